//! Building and reading SIP messages with `rsip`: headers by name as plain text, so that nothing the peer wrote is lost.

use rsip::message::HasHeaders;
use rsip::{Header, Headers, Method, Request, Response, SipMessage, StatusCode, Uri, Version};

/// What a message must bring to be of use here.
#[derive(Debug, thiserror::Error)]
#[error("not a SIP message: {0}")]
pub struct MessageError(#[from] rsip::Error);

/// Reads one datagram or one framed message.
pub fn parse(bytes: &[u8]) -> Result<SipMessage, MessageError> {
    Ok(SipMessage::try_from(bytes)?)
}

/// A SIP URI, checked.
pub fn uri(text: &str) -> Result<Uri, MessageError> {
    Ok(Uri::try_from(text)?)
}

/// A request with its Content-Length.
pub fn request(method: Method, uri: Uri, headers: Vec<Header>, body: Option<String>) -> Request {
    let (headers, body) = with_body(headers, body);
    Request { method, uri, version: Version::V2, headers, body }
}

/// A response to `to`, with the headers that RFC 3261 §8.2.6 copies. `tag` is put on To unless it has one.
pub fn response(to: &Request, code: u16, tag: &str, mut more: Vec<Header>, body: Option<String>) -> Response {
    let mut headers = Vec::new();
    for header in to.headers.iter() {
        let (name, value) = split(header);
        match long_name(&name).as_str() {
            "via" | "from" | "call-id" | "cseq" => headers.push(header.clone()),
            "record-route" if code < 300 => headers.push(header.clone()),
            "to" if code > 100 && tag_of(&value).is_none() => {
                headers.push(Header::Other("To".into(), format!("{value};tag={tag}")));
            }
            "to" => headers.push(header.clone()),
            _ => {}
        }
    }
    headers.append(&mut more);
    let (headers, body) = with_body(headers, body);
    Response { status_code: StatusCode::Other(code, reason(code).into()), version: Version::V2, headers, body }
}

/// Every value of a header, in order; compact forms count (RFC 3261 §7.3.3).
pub fn values(message: &impl HasHeaders, name: &str) -> Vec<String> {
    let wanted = name.to_ascii_lowercase();
    message.headers().iter().map(split).filter(|(n, _)| long_name(n) == wanted).map(|(_, v)| v).collect()
}

/// The first value of a header.
pub fn value(message: &impl HasHeaders, name: &str) -> Option<String> {
    values(message, name).into_iter().next()
}

/// A header by name, in the form that serialises as it is given.
pub fn header(name: &str, value: impl Into<String>) -> Header {
    Header::Other(name.into(), value.into())
}

/// The `tag` parameter of a From or To value.
pub fn tag_of(value: &str) -> Option<String> {
    let params = value.rsplit_once('>').map_or(value, |(_, after)| after);
    param(params, "tag")
}

/// A `;name=value` parameter.
pub fn param(text: &str, name: &str) -> Option<String> {
    text.split(';').skip(1).find_map(|p| {
        let (key, value) = p.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The URI inside a name-addr or addr-spec.
pub fn inner_uri(value: &str) -> String {
    match (value.find('<'), value.find('>')) {
        (Some(a), Some(b)) if a < b => value[a + 1..b].to_owned(),
        _ => value.split(';').next().unwrap_or(value).trim().to_owned(),
    }
}

/// The display name of a name-addr, without its quotes.
pub fn display_name(value: &str) -> Option<String> {
    let name = value.split_once('<')?.0.trim().trim_matches('"');
    (!name.is_empty()).then(|| name.to_owned())
}

/// The user part of the URI in a header value or of a bare URI.
pub fn user_of(value: &str) -> Option<String> {
    let uri = inner_uri(value);
    let rest = uri.split_once(':').map_or(uri.as_str(), |(_, r)| r);
    rest.split_once('@').map(|(user, _)| user.split(';').next().unwrap_or(user).to_owned())
}

/// The socket address of a URI whose host is an IPv4 address; port 5060 when none is given.
pub fn addr_of(uri: &str) -> Option<std::net::SocketAddr> {
    let rest = uri.split_once(':').map_or(uri, |(_, r)| r);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = rest.split([';', '?', '>']).next()?;
    host.parse().ok().or_else(|| host.parse::<std::net::IpAddr>().ok().map(|ip| (ip, 5060).into()))
}

/// The number and method of a CSeq value.
pub fn cseq(message: &impl HasHeaders) -> Option<(u32, String)> {
    let value = value(message, "cseq")?;
    let (number, method) = value.trim().split_once(char::is_whitespace)?;
    Some((number.parse().ok()?, method.trim().to_ascii_uppercase()))
}

/// The branch of the topmost Via.
pub fn branch(message: &impl HasHeaders) -> String {
    value(message, "via").and_then(|v| param(v.split(',').next().unwrap_or(""), "branch")).unwrap_or_default()
}

/// The standard reason phrase.
pub fn reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        400 => "Bad Request",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => "Unknown",
    }
}

fn with_body(mut headers: Vec<Header>, body: Option<String>) -> (Headers, Vec<u8>) {
    let body = body.unwrap_or_default();
    if !body.is_empty() {
        headers.push(header("Content-Type", "application/sdp"));
    }
    headers.push(header("Content-Length", body.len().to_string()));
    (headers.into(), body.into_bytes())
}

fn split(header: &Header) -> (String, String) {
    let text = header.to_string();
    match text.split_once(':') {
        Some((name, value)) => (name.trim().to_owned(), value.trim().to_owned()),
        None => (text, String::new()),
    }
}

fn long_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "v" => "via",
        "f" => "from",
        "t" => "to",
        "i" => "call-id",
        "m" => "contact",
        "l" => "content-length",
        "c" => "content-type",
        _ => return name,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_peer_writes() {
        let text = "INVITE sip:+15550001000@127.0.0.1:5060 SIP/2.0\r\n\
            v: SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bKabc;rport\r\n\
            From: \"Maria Gomez\" <sip:+15551230001@127.0.0.1>;tag=one\r\nTo: <sip:+15550001000@127.0.0.1>\r\n\
            Call-ID: x@y\r\nCSeq: 7 INVITE\r\nRecord-Route: <sip:127.0.0.9;lr>\r\nContent-Length: 0\r\n\r\n";
        let SipMessage::Request(request) = parse(text.as_bytes()).unwrap() else { panic!("not a request") };
        let from = value(&request, "From").unwrap();
        assert_eq!(user_of(&from).as_deref(), Some("+15551230001"));
        assert_eq!(display_name(&from).as_deref(), Some("Maria Gomez"));
        assert_eq!(tag_of(&from).as_deref(), Some("one"));
        assert_eq!(branch(&request), "z9hG4bKabc");
        assert_eq!(cseq(&request), Some((7, "INVITE".into())));
        let ringing = response(&request, 180, "mine", vec![], None);
        assert_eq!(tag_of(&value(&ringing, "to").unwrap()).as_deref(), Some("mine"));
        assert_eq!(values(&ringing, "record-route").len(), 1);
        let SipMessage::Response(again) = parse(ringing.to_string().as_bytes()).unwrap() else { panic!("no response") };
        assert_eq!(again.status_code.code(), 180);
        assert_eq!(branch(&again), "z9hG4bKabc");
    }

    #[test]
    fn addresses() {
        assert_eq!(addr_of("sip:1001@127.0.0.1:5070;transport=udp").unwrap().to_string(), "127.0.0.1:5070");
        assert_eq!(addr_of("sip:127.0.0.2").unwrap().to_string(), "127.0.0.2:5060");
        assert_eq!(addr_of("sip:a@example.org"), None);
        assert_eq!(inner_uri("sip:a@b;tag=1"), "sip:a@b");
    }
}
