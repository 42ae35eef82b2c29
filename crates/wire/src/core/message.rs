//! Small reading and writing of messages. Values are handled as text; what is echoed is echoed as it came.

use bytes::Bytes;
use sipx_sip::headers::{Address, Via};
use sipx_sip::message::{Header, Headers, Message, Method, Request, Response, StatusCode};
use sipx_sip::name::HeaderName;
use sipx_sip::uri::Uri;
use sipx_sip::{RequestBuilder, ResponseBuilder};

use super::Peer;
use crate::{Party, Transport};

/// The methods we take, for Allow.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, INFO, UPDATE";

/// A header's first value.
pub(crate) fn value(headers: &Headers, name: &HeaderName) -> Option<String> {
    headers.value(name).map(|v| String::from_utf8_lossy(&v).trim().to_owned())
}

/// All values of a header, rows split at commas outside quotes and brackets.
pub(crate) fn values(headers: &Headers, name: &HeaderName) -> Vec<String> {
    headers.get_all(name).flat_map(|h| split(&String::from_utf8_lossy(&h.value()))).collect()
}

fn split(row: &str) -> Vec<String> {
    let (mut out, mut quoted, mut angle, mut current, mut escaped) = (Vec::new(), false, false, String::new(), false);
    for c in row.chars() {
        match c {
            '"' if !escaped => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            ',' if !quoted && !angle => {
                out.push(std::mem::take(&mut current).trim().to_owned());
                continue;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        current.push(c);
    }
    out.push(current.trim().to_owned());
    out.retain(|v| !v.is_empty());
    out
}

/// The tag of a From or To.
pub(crate) fn tag(headers: &Headers, name: &HeaderName) -> Option<String> {
    let address = address(headers, name)?;
    address.tag().map(|t| String::from_utf8_lossy(t).into_owned())
}

/// A From, To or the like, parsed.
pub(crate) fn address(headers: &Headers, name: &HeaderName) -> Option<Address> {
    Address::parse(&headers.value(name)?, "address").ok()
}

/// CSeq's number.
pub(crate) fn cseq(headers: &Headers) -> Option<u32> {
    value(headers, &HeaderName::CSeq)?.split_whitespace().next()?.parse().ok()
}

/// Body as text, if it is a session description.
pub(crate) fn sdp(headers: &Headers, body: &Bytes) -> Option<String> {
    let kind = value(headers, &HeaderName::ContentType).unwrap_or_default().to_ascii_lowercase();
    (kind.starts_with("application/sdp") && !body.is_empty()).then(|| String::from_utf8_lossy(body).into_owned())
}

/// Who a From or To names.
pub(crate) fn party(headers: &Headers, name: &HeaderName) -> Party {
    let Some(address) = address(headers, name) else { return Party::default() };
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    Party {
        user: user_of(&address.uri),
        host: address.uri.host().map(ToString::to_string).unwrap_or_default(),
        display: address.display_name.as_deref().map(text).filter(|d| !d.is_empty()),
        asserted: None,
    }
}

/// A URI's user part, or a tel URI's number.
pub(crate) fn user_of(uri: &Uri) -> String {
    let user = uri.decoded_user().or_else(|| uri.tel_parts().map(|t| t.subscriber().to_vec())).unwrap_or_default();
    String::from_utf8_lossy(&user).into_owned()
}

/// The network's word on who calls (RFC 3325).
pub(crate) fn asserted(headers: &Headers) -> Option<String> {
    values(headers, &HeaderName::PAssertedIdentity)
        .iter()
        .filter_map(|v| Address::parse(v.as_bytes(), "P-Asserted-Identity").ok())
        .map(|a| user_of(&a.uri))
        .find(|u| !u.is_empty())
}

/// Writes into the top Via where the request really came from (RFC 3261 §18.2.1, RFC 3581).
pub(crate) fn stamp_via(request: &mut Request, peer: &Peer) {
    let Some(index) = request.headers.iter().position(|h| *h.name() == HeaderName::Via) else { return };
    let Some(row) = value(&request.headers, &HeaderName::Via) else { return };
    let end = sipx_sip::headers::first_hop_end(row.as_bytes()).min(row.len());
    let (first, rest) = row.split_at(end);
    let Ok(via) = Via::parse_one(first.trim().as_bytes()) else { return };
    let mut hop: String = first.trim().trim_end_matches(',').to_owned();
    let wants_port = matches!(via.rport(), Some(None));
    let differs = via.host.to_string().trim_matches(['[', ']']) != peer.addr.ip().to_string();
    if wants_port {
        hop = replace_param(&hop, "rport", &format!("rport={}", peer.addr.port()));
    }
    if (wants_port || differs) && via.received().is_none() {
        hop.push_str(&format!(";received={}", peer.addr.ip()));
    }
    if let Ok(header) = Header::build(HeaderName::Via, format!("{hop}{rest}")) {
        request.headers.remove_first(&HeaderName::Via);
        request.headers.insert(index, header);
    }
}

fn replace_param(hop: &str, name: &str, with: &str) -> String {
    hop.split(';').map(|p| if p.trim().eq_ignore_ascii_case(name) { with.to_owned() } else { p.to_owned() }).collect::<Vec<_>>().join(";")
}

/// Where a response to a request goes (RFC 3261 §18.2.2, RFC 3581): back to the source if it asked for that, else to the
/// source's address and the port its Via names.
pub(crate) fn response_peer(request: &Request, peer: &Peer) -> Peer {
    let mut to = peer.clone();
    let via = value(&request.headers, &HeaderName::Via).and_then(|v| {
        let end = sipx_sip::headers::first_hop_end(v.as_bytes()).min(v.len());
        Via::parse_one(v[..end].trim().trim_end_matches(',').as_bytes()).ok()
    });
    if let Some(via) = via.filter(|v| peer.transport == Transport::Udp && v.rport().is_none()) {
        to.addr.set_port(via.port.unwrap_or(5060));
    }
    to
}

/// A response to a request. `None` if the request lacks what a response must echo.
pub(crate) fn response(request: &Request, code: u16, reason: &str, tag: Option<&str>, more: &[(HeaderName, String)], body: Option<&str>) -> Option<Response> {
    let status = StatusCode::new(code)?;
    let mut builder = ResponseBuilder::to_request(request, status, Bytes::copy_from_slice(reason.as_bytes())).ok()?;
    if let Some(tag) = tag
        && self::tag(&request.headers, &HeaderName::To).is_none()
        && let Some(to) = value(&request.headers, &HeaderName::To)
    {
        // A display name may hold what may be echoed but not built (RFC 4475 §3.1.1.2): then the answer goes without a tag.
        let plain = ResponseBuilder::to_request(request, status, Bytes::copy_from_slice(reason.as_bytes())).ok()?;
        builder = builder.set_header(&HeaderName::To, format!("{to};tag={tag}")).unwrap_or(plain);
    }
    // A dialog's route set is echoed (RFC 3261 §12.1.1).
    if request.method == Method::Invite && (101..300).contains(&code) {
        for route in request.headers.get_all(&HeaderName::RecordRoute) {
            builder = builder.header(HeaderName::RecordRoute, String::from_utf8_lossy(&route.value()).into_owned()).ok()?;
        }
    }
    for (name, value) in more {
        builder = builder.header(name.clone(), value.clone()).ok()?;
    }
    if let Some(body) = body {
        builder = builder.header(HeaderName::ContentType, "application/sdp").ok()?.body(body.to_owned());
    }
    Some(builder.build())
}

/// A request of these header fields, in order.
pub(crate) fn request(method: Method, uri: &str, headers: Vec<(HeaderName, String)>, body: Option<&str>) -> Option<Request> {
    let uri = Uri::parse(Bytes::copy_from_slice(uri.as_bytes())).ok()?;
    let mut builder = RequestBuilder::new(method, uri);
    for (name, value) in headers {
        builder = builder.header(name, value).ok()?;
    }
    if let Some(body) = body {
        builder = builder.header(HeaderName::ContentType, "application/sdp").ok()?.body(body.to_owned());
    }
    Some(builder.build())
}

/// A message for the trace: credentials masked.
pub(crate) fn masked(message: &Message) -> String {
    String::from_utf8_lossy(&message.to_bytes())
        .lines()
        .map(|l| {
            let low = l.to_ascii_lowercase();
            if low.starts_with("authorization:") || low.starts_with("proxy-authorization:") { "Authorization: ***" } else { l }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// The usual words for a status.
pub(crate) fn phrase(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        603 => "Decline",
        _ if code < 200 => "Progress",
        _ if code < 300 => "OK",
        _ => "Rejected",
    }
}
