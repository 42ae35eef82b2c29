//! From bytes to messages and back: the only place, with the core's files, that knows `sipx-sip`. It reads what the core
//! asks for and writes answers; it keeps no state.

use std::net::SocketAddr;

use bytes::Bytes;
pub(crate) use sipx_sip::headers::{self, Address, CSeq, Contact, ContentType, Via};
pub(crate) use sipx_sip::{Header, HeaderName, Headers, Host, Message, Method, Request, Response, StatusCode, Uri};
use sipx_sip::{Limits, parse_datagram};

use crate::api::{Party, Transport};
use crate::dns::Place;
use crate::flow::Flow;
use crate::guard::{self, Fields};

/// Methods we act on, as `Allow` lists them.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY, REGISTER";
/// Option tags we understand.
pub(crate) const SUPPORTED: &str = "timer, 100rel, replaces, norefersub";
/// Those of a re-INVITE: its provisional answers need no PRACK.
pub(crate) const SUPPORTED_WITHIN: &str = "timer, replaces, norefersub";
/// Bodies we understand.
pub(crate) const ACCEPT: &str = "application/sdp, application/dtmf-relay, application/dtmf, message/sipfrag";

/// Parses a message whose sizes the guard has found harmless.
pub(crate) fn parse(bytes: Bytes) -> Result<Message, String> {
    let limits = Limits { max_headers: guard::MAX_HEADERS, ..Limits::datagram() };
    parse_datagram(bytes, &limits).map_err(|e| e.to_string())
}

/// A message as it goes out.
pub(crate) fn bytes_of(message: &Message) -> Bytes {
    let mut out = Vec::with_capacity(1_024);
    message.write_to(&mut out);
    Bytes::from(out)
}

/// A header's value as text, unfolded; the first where there are several.
pub(crate) fn text(headers: &Headers, name: &HeaderName) -> Option<String> {
    headers.value(name).map(|v| String::from_utf8_lossy(&v).into_owned())
}

/// All values of a header, row by row.
pub(crate) fn rows(headers: &Headers, name: &HeaderName) -> Vec<String> {
    headers.get_all(name).map(|h| String::from_utf8_lossy(&h.value()).into_owned()).collect()
}

/// Appends a header; a value that would break the message (CR, LF, NUL) is left out.
pub(crate) fn push(headers: &mut Headers, name: HeaderName, value: impl Into<String>) {
    match Header::build(name, value.into()) {
        Ok(header) => headers.push(header),
        Err(error) => tracing::warn!(%error, "header left out"),
    }
}

/// A header name that `sipx-sip` has no constant for.
pub(crate) fn named(name: &str) -> HeaderName {
    HeaderName::parse(&Bytes::copy_from_slice(name.as_bytes()))
}

/// One that is known to have none.
pub(crate) fn other(name: &'static str) -> HeaderName {
    HeaderName::Other(Bytes::from_static(name.as_bytes()))
}

/// The tag of From or To.
pub(crate) fn tag(headers: &Headers, name: &HeaderName) -> Option<String> {
    let value = headers.value(name)?;
    if let Some(tag) = plain_tag(&value) {
        return tag.map(|t| String::from_utf8_lossy(t).into_owned());
    }
    let address = Address::parse(&value, "address").ok()?;
    address.tag().map(|t| String::from_utf8_lossy(t).into_owned())
}

/// The tag of `… <uri>;tag=x` as nearly everybody writes it, without reading the rest; `None` where that takes a parser.
fn plain_tag(value: &[u8]) -> Option<Option<&[u8]>> {
    let after = value.iter().rposition(|b| *b == b'>')? + 1;
    let params = value.get(after..)?;
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~;=".contains(b);
    if !params.iter().all(token) {
        return None;
    }
    let mut tags = params.split(|b| *b == b';').filter_map(|p| {
        let (name, tag) = p.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"tag=").then_some(tag)
    });
    let tag = tags.next();
    if tags.next().is_some() { None } else { Some(tag) }
}

/// Sent-by and branch of a top Via written as nearly everybody writes it, without reading the rest; `None` where that takes a
/// parser.
pub(crate) fn plain_via(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let hop = value.split(|b| *b == b',').next()?;
    if hop.contains(&b'"') {
        return None;
    }
    let mut parts = hop.split(|b| *b == b';');
    let head = parts.next()?.strip_prefix(b"SIP/2.0/")?;
    let space = head.iter().position(|b| *b == b' ')?;
    let sent_by = head.get(space + 1..)?;
    // An IPv6 address has several spellings.
    if sent_by.is_empty() || !sent_by.iter().all(|b| b.is_ascii_graphic() && *b != b'[') {
        return None;
    }
    let mut branches = parts.filter_map(|p| {
        let (name, branch) = p.split_at_checked(7)?;
        name.eq_ignore_ascii_case(b"branch=").then_some(branch)
    });
    let branch = branches.next().filter(|b| b.iter().all(u8::is_ascii_graphic))?;
    if branches.next().is_some() { None } else { Some((sent_by, branch)) }
}

/// CSeq, where it can be read.
pub(crate) fn cseq(headers: &Headers) -> Option<CSeq> {
    headers.typed::<CSeq>()?.ok()
}

/// Whether a comma-separated header lists that token.
pub(crate) fn lists(headers: &Headers, name: &HeaderName, token: &str) -> bool {
    rows(headers, name).iter().flat_map(|row| row.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
}

/// The top Via, where it can be read.
pub(crate) fn top_via(headers: &Headers) -> Option<Via> {
    headers.typed::<Via>()?.ok()
}

/// Call-ID, or nothing.
pub(crate) fn call_id(headers: &Headers) -> String {
    text(headers, &HeaderName::CallId).unwrap_or_default()
}

/// The first Contact of a message.
pub(crate) fn contact(headers: &Headers) -> Option<Uri> {
    headers.typed::<Contact>()?.ok().map(|c| c.0.uri)
}

/// A URI as text.
pub(crate) fn uri_text(uri: &Uri) -> String {
    String::from_utf8_lossy(&uri.to_bytes()).into_owned()
}

/// A host as text.
pub(crate) fn host_text(uri: &Uri) -> String {
    uri.host().map(|h| String::from_utf8_lossy(&h.to_bytes()).into_owned()).unwrap_or_default()
}

/// The user of a URI: unescaped, without user parameters (`+1555;npdi`); the number of a `tel:` URI.
pub(crate) fn user_text(uri: &Uri) -> String {
    let user = match uri.tel_parts() {
        Some(tel) => tel.subscriber().to_vec(),
        None => uri.decoded_user().unwrap_or_default(),
    };
    let user = String::from_utf8_lossy(&user).into_owned();
    user.split(';').next().unwrap_or_default().to_owned()
}

/// Who a From, To or P-Asserted-Identity value names.
pub(crate) fn party(value: &[u8]) -> Party {
    let Ok(address) = Address::parse(value, "address") else { return Party::default() };
    let display = address.display_name.map(|d| String::from_utf8_lossy(&d).trim().to_owned()).filter(|d| !d.is_empty());
    Party { user: user_text(&address.uri), host: host_text(&address.uri), display, asserted: None }
}

/// The address a URI points to, if it is no name.
pub(crate) fn uri_addr(uri: &Uri) -> Option<SocketAddr> {
    let Host::Ip(ip) = uri.host()? else { return None };
    Some(SocketAddr::new(*ip, uri_port(uri)))
}

/// The port a URI points to, said or meant.
pub(crate) fn uri_port(uri: &Uri) -> u16 {
    uri.port().unwrap_or_else(|| uri_transport(uri).unwrap_or(Transport::Udp).default_port())
}

/// What is to be found out of a URI whose host is a name; `None` where there is nothing to find out.
pub(crate) fn place(uri: &Uri) -> Option<Place> {
    if !matches!(uri.host()?, Host::Name(_)) {
        return None;
    }
    let transport = uri_transport(uri).filter(|_| uri.transport().is_some());
    Some(Place { host: host_text(uri), port: uri.port(), transport, secure: uri.scheme().is_secure() })
}

/// The transport a URI asks for; UDP where it does not say, TLS where it is a `sips:` one that does not.
pub(crate) fn uri_transport(uri: &Uri) -> Option<Transport> {
    let secure = uri.scheme().is_secure();
    match (uri.transport().map(<[u8]>::to_ascii_lowercase).as_deref(), secure) {
        (None | Some(b"udp"), false) => Some(Transport::Udp),
        (Some(b"tcp"), false) => Some(Transport::Tcp),
        (None | Some(b"tcp"), true) | (Some(b"tls"), _) => Some(Transport::Tls),
        (Some(b"ws"), false) => Some(Transport::Ws),
        (Some(b"ws"), true) | (Some(b"wss"), _) => Some(Transport::Wss),
        _ => None,
    }
}

/// The SDP of a message: its body, or that part of a multipart body (RFC 5621).
pub(crate) fn sdp_of(headers: &Headers, body: &Bytes) -> Option<String> {
    if body.is_empty() {
        return None;
    }
    let kind = headers.typed::<ContentType>()?.ok()?;
    if kind.is("application", "sdp") {
        return Some(String::from_utf8_lossy(body).into_owned());
    }
    if kind.media_type != b"multipart" {
        return None;
    }
    let boundary = format!("--{}", String::from_utf8_lossy(kind.param("boundary")?));
    let body = String::from_utf8_lossy(body).into_owned();
    body.split(&boundary).find_map(|part| {
        let (head, content) = part.split_once("\r\n\r\n")?;
        let is_sdp =
            head.to_ascii_lowercase().lines().any(|l| l.starts_with("content-type:") && l.contains("application/sdp"));
        is_sdp.then(|| format!("{}\r\n", content.trim_end()))
    })
}

/// Notes on the top Via where the request really came from (RFC 3261 §18.2.1, RFC 3581 §4).
pub(crate) fn stamp_via(request: &mut Request, source: SocketAddr) {
    let Some(via) = top_via(&request.headers) else { return };
    let wants_port = via.rport().is_some();
    let honest = matches!(via.host, Host::Ip(ip) if ip.to_canonical() == source.ip().to_canonical());
    let Some(row) = request.headers.remove_first(&HeaderName::Via) else { return };
    let value = row.value().into_owned();
    let end = headers::first_hop_end(&value);
    let (hop, others) = value.split_at(end);
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in split_unquoted(hop, b';') {
        let name = part.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
        if !name.eq_ignore_ascii_case(b"rport") && !name.eq_ignore_ascii_case(b"received") {
            kept.push(part.trim_ascii());
        }
    }
    let mut stamped = kept.join(&b';');
    if wants_port || !honest {
        stamped.extend_from_slice(format!(";received={}", source.ip().to_canonical()).as_bytes());
    }
    if wants_port {
        stamped.extend_from_slice(format!(";rport={}", source.port()).as_bytes());
    }
    stamped.extend_from_slice(others);
    let header = Header::build(HeaderName::Via, stamped).unwrap_or(row);
    request.headers.push_front(header);
}

/// Where the answer to a stamped request goes (RFC 3261 §18.2.2): the source address, at the port it sent from if it asked
/// for that, else at the port its Via names.
pub(crate) fn reply_flow(request: &Headers, flow: Flow) -> Flow {
    if flow.transport.is_stream() {
        return flow;
    }
    let Some(via) = top_via(request) else { return flow };
    if via.rport().is_some() {
        return flow;
    }
    Flow { remote: SocketAddr::new(flow.remote.ip(), via.port.unwrap_or(5060)), ..flow }
}

/// The address a request's sender, by its `alias` parameter, wants to be reached under by the same connection
/// (RFC 5923 §5). Believed where it is an address of the host the connection comes from.
pub(crate) fn alias(request: &Headers, flow: Flow) -> Option<SocketAddr> {
    let via = top_via(request).filter(|via| via.params.iter().any(|p| p.name.eq_ignore_ascii_case(b"alias")))?;
    let Host::Ip(ip) = via.host else { return None };
    let port = via.port.unwrap_or_else(|| flow.transport.default_port());
    (ip.to_canonical() == flow.remote.ip().to_canonical()).then(|| SocketAddr::new(flow.remote.ip(), port))
}

/// The same request for another transport: its top Via says so.
pub(crate) fn carried_by(request: &mut Request, transport: Transport, alias: bool) {
    let Some(row) = request.headers.remove_first(&HeaderName::Via) else { return };
    let value = row.value().into_owned();
    let rest = value.iter().position(u8::is_ascii_whitespace).map_or(&value[..0], |i| &value[i..]);
    let mut stamped = format!("SIP/2.0/{}", transport.token()).into_bytes();
    stamped.extend_from_slice(rest.strip_suffix(b";alias").unwrap_or(rest));
    if alias {
        stamped.extend_from_slice(b";alias");
    }
    request.headers.push_front(Header::build(HeaderName::Via, stamped).unwrap_or(row));
}

/// Builds an answer: Via, From, To (with our tag), Call-ID, CSeq of the request, and what else is given.
pub(crate) fn answer(
    request: &Request,
    code: u16,
    reason: Option<&str>,
    tag: Option<&str>,
    agent: &str,
) -> Option<Response> {
    let phrase = reason.map_or_else(|| reason_phrase(code).to_owned(), |r| r.replace(['\r', '\n', '\0'], " "));
    let mut response = Response::new(StatusCode::new(code)?, phrase);
    for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
        for header in request.headers.get_all(&name) {
            match tag {
                Some(tag) if name == HeaderName::To && code > 100 && self::tag(&request.headers, &name).is_none() => {
                    push(
                        &mut response.headers,
                        name.clone(),
                        format!("{};tag={tag}", String::from_utf8_lossy(&header.value())),
                    );
                }
                _ => response.headers.push(header.clone()),
            }
        }
    }
    if code == 100 {
        // RFC 3261 §8.2.6.1: what the sender measures by.
        response.headers.remove_all(&HeaderName::Timestamp);
        if let Some(stamp) = request.headers.get(&HeaderName::Timestamp) {
            response.headers.push(stamp.clone());
        }
    } else {
        push(&mut response.headers, HeaderName::Server, agent);
    }
    Some(response)
}

/// Sets body and its headers; always sets Content-Length. Must come last.
pub(crate) fn finish(headers: &mut Headers, sdp: Option<&str>) -> Bytes {
    finish_with(headers, sdp.map(|sdp| ("application/sdp", sdp.to_owned())))
}

/// Like `finish`, with a body of any type.
pub(crate) fn finish_with(headers: &mut Headers, body: Option<(&str, String)>) -> Bytes {
    if let Some((kind, _)) = &body {
        push(headers, HeaderName::ContentType, *kind);
    }
    let body = Bytes::from(body.map(|(_, text)| text).unwrap_or_default());
    push(headers, HeaderName::ContentLength, body.len().to_string());
    body
}

/// An answer to bytes that could not be parsed, made of their own lines. `None` where silence is due: responses, ACK, and
/// requests that lack what an answer must carry.
pub(crate) fn salvage(bytes: &[u8], code: u16, tag: &str, source: Flow) -> Option<(Flow, Bytes)> {
    let head = guard::head_of(&bytes[..bytes.len().min(guard::MAX_HEAD)]);
    let mut fields = Fields { rest: head };
    let start = fields.next()?;
    let sip = |b: &[u8]| b.len() >= 4 && b[..4].eq_ignore_ascii_case(b"SIP/");
    if sip(start) || start.starts_with(b"ACK ") || !start.windows(4).any(sip) {
        return None;
    }
    let mut request = Request::new(Method::Options, Uri::sip(Host::Ip(source.local.ip())));
    for field in fields {
        if field.len() > 1_024 {
            continue;
        }
        let name = HeaderName::parse(&Bytes::copy_from_slice(guard::field_name(field)));
        let wanted = [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
        let repeated = name != HeaderName::Via && request.headers.get(&name).is_some();
        if !wanted.contains(&name) || repeated {
            continue;
        }
        let value: Vec<u8> = field
            .splitn(2, |b| *b == b':')
            .nth(1)?
            .iter()
            .map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b })
            .collect();
        push(&mut request.headers, name, String::from_utf8_lossy(value.trim_ascii()));
    }
    let complete = [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq]
        .iter()
        .all(|n| request.headers.get(n).is_some());
    if !complete || top_via(&request.headers).is_none() {
        return None;
    }
    stamp_via(&mut request, source.remote);
    let mut response = answer(&request, code, None, Some(tag), "Baton")?;
    finish(&mut response.headers, None);
    Some((reply_flow(&request.headers, source), bytes_of(&Message::Response(response))))
}

/// Whole messages for the trace log: what proves a password and what decrypts the call is masked.
pub(crate) fn masked(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split("\r\n").map(|line| {
        let name = line.split(':').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("proxy-authorization") {
            format!("{name}: ***")
        } else if line.starts_with("a=crypto:") {
            "a=crypto:***".to_owned()
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\r\n")
}

/// Splits at a byte outside of quoted strings.
pub(crate) fn split_unquoted(value: &[u8], at: u8) -> Vec<&[u8]> {
    let (mut parts, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (i, byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b if *b == at && !quoted => {
                parts.push(&value[from..i]);
                from = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&value[from..]);
    parts
}

/// The RFC's words for a status.
pub(crate) fn reason_phrase(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ if code < 200 => "Progress",
        _ if code < 300 => "OK",
        _ if code < 400 => "Redirect",
        _ if code < 500 => "Request Failed",
        _ if code < 600 => "Server Failed",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        let (local, remote) = ("127.0.0.1:5060".parse().unwrap(), "192.0.2.9:40000".parse().unwrap());
        Flow { transport: Transport::Udp, listener: 0, local, remote, connection: None }
    }

    fn request(via: &str) -> Request {
        let bytes = format!(
            "OPTIONS sip:a@b SIP/2.0\r\nVia: {via}\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
        );
        match parse(bytes.into()).unwrap() {
            Message::Request(r) => r,
            Message::Response(_) => unreachable!(),
        }
    }

    #[test]
    fn via_tells_where_the_request_came_from() {
        for (via, stamped, port) in [
            ("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1", 5060),
            (
                "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1",
                "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK1;received=192.0.2.9",
                5070,
            ),
            (
                "SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK1;x=\";\", SIP/2.0/TCP p",
                "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;x=\";\";received=192.0.2.9;rport=40000, SIP/2.0/TCP p",
                40000,
            ),
        ] {
            let mut r = request(via);
            stamp_via(&mut r, flow().remote);
            assert_eq!(text(&r.headers, &HeaderName::Via).unwrap(), stamped);
            assert_eq!(reply_flow(&r.headers, flow()).remote.port(), port);
        }
    }

    #[test]
    fn the_short_ways_say_what_the_parser_says() {
        for value in [
            "<sip:a@b>;tag=1",
            "\"x;tag=9 <\" <sip:a@b;tag=8>;x=y;TAG=a-b.c;z",
            "<sip:a@b>",
            "sip:a@b;tag=7",
            "<sip:a@b> ; tag = 7",
            "<sip:a@b>;tag=\"7\"",
            "\"a>\" <sip:a@b>;tag=5",
        ] {
            let parsed = Address::parse(value.as_bytes(), "From").ok();
            let parsed = parsed.as_ref().and_then(|a| a.tag());
            if let Some(short) = plain_tag(value.as_bytes()) {
                assert_eq!(short, parsed, "{value}");
            }
        }
        for value in [
            "SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKa;rport",
            "SIP/2.0/TCP [2001:db8::9]:5061;rport;BRANCH=z9hG4bK-x;received=1.2.3.4, SIP/2.0/UDP p;branch=z9hG4bKb",
            "SIP / 2.0 / UDP host ;branch=z9hG4bKa",
            "SIP/2.0/UDP host : 5060;branch=z9hG4bKa",
            "SIP/2.0/UDP host;x=\",;branch=z9hG4bKq\";branch=z9hG4bKa",
            "SIP/2.0/UDP host",
        ] {
            let mut headers = Headers::new();
            push(&mut headers, HeaderName::Via, value);
            let via = top_via(&headers);
            if let (Some((sent_by, branch)), Some(via)) = (plain_via(value.as_bytes()), via) {
                let port = via.port.map(|p| format!(":{p}")).unwrap_or_default();
                assert_eq!(sent_by, [via.host.to_bytes().to_vec(), port.into_bytes()].concat(), "{value}");
                assert_eq!(Some(branch), via.branch(), "{value}");
            }
        }
    }

    #[test]
    fn an_answer_carries_what_it_must() {
        let r = request("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1");
        let response = answer(&r, 404, None, Some("t"), "Baton").unwrap();
        assert_eq!(text(&response.headers, &HeaderName::To).unwrap(), "<sip:a@b>;tag=t");
        assert_eq!(response.reason, "Not Found");
        assert!(
            text(&answer(&r, 100, None, Some("t"), "Baton").unwrap().headers, &HeaderName::To).unwrap().ends_with('>')
        );
    }

    #[test]
    fn what_cannot_be_parsed_is_answered_if_it_is_a_request_with_its_essentials() {
        let broken = b"INVITE <sip:a@b> SIP/2.0\r\nv: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\nf: <sip:x@y>;tag=1\r\nt: <sip:a@b>\r\ni: c\r\nCSeq: 1 INVITE\r\n\r\n";
        let (to, bytes) = salvage(broken, 400, "t", flow()).unwrap();
        assert_eq!(to.remote, "192.0.2.9:5060".parse().unwrap());
        assert!(bytes.starts_with(
            b"SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;received=192.0.2.9\r\n"
        ));
        assert_eq!(salvage(b"SIP/2.0 200 OK\r\n\r\n", 400, "t", flow()), None);
        assert_eq!(salvage(b"ACK <sip:a@b> SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n", 400, "t", flow()), None);
        assert_eq!(salvage(b"\xff\xfe", 400, "t", flow()), None);
    }

    #[test]
    fn sdp_is_found_inside_multipart() {
        let body = "--x\r\nContent-Type: application/isup\r\n\r\n\u{1}\r\n--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\ns=-\r\n--x--\r\n";
        let mut headers = Headers::new();
        push(&mut headers, HeaderName::ContentType, "multipart/mixed;boundary=x");
        assert_eq!(sdp_of(&headers, &Bytes::from(body)).unwrap(), "v=0\r\ns=-\r\n");
    }

    #[test]
    fn credentials_are_not_logged() {
        let shown = masked(
            b"REGISTER sip:a SIP/2.0\r\nAuthorization: Digest response=\"secret\"\r\n\r\na=crypto:1 X inline:secret\r\n",
        );
        assert!(shown.contains("Authorization: ***") && !shown.contains("secret"));
    }
}
