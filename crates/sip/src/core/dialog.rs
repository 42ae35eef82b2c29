//! A dialog (RFC 3261 §12): who, under which tags, by which route, and what number the next request has. It sends
//! nothing; it says how a request within it must look and where it goes.

use std::net::SocketAddr;

use crate::api::Transport;
use crate::flow::Flow;
use crate::wire::{self, Address, HeaderName, Headers, Host, Method, Request, Response, Uri};

/// One dialog.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    pub call_id: String,
    pub local_tag: String,
    pub remote_tag: String,
    /// Our From or To value, with tag.
    local: String,
    /// Theirs.
    remote: String,
    pub local_cseq: u32,
    /// The highest number of theirs; `None` before their first request.
    remote_cseq: Option<u32>,
    /// Their Contact: the Request-URI of what we send.
    pub target: Uri,
    /// Route set, nearest first, each as it stood in Record-Route.
    routes: Vec<String>,
    /// How the peer was last reached.
    pub flow: Flow,
    /// The peer is behind NAT: its Contact is not where it can be reached, `flow` is.
    behind_nat: bool,
}

impl Dialog {
    /// The dialog an INVITE asks us for. `None` if it has no usable Contact and is no RFC 2543 request either.
    pub fn uas(invite: &Request, local_tag: String, flow: Flow) -> Option<Self> {
        let headers = &invite.headers;
        let via = wire::top_via(headers)?;
        let from = headers.value(&HeaderName::From)?;
        let remote_tag = wire::tag(headers, &HeaderName::From).unwrap_or_default();
        let target = match wire::contact(headers) {
            Some(uri) => uri,
            None if remote_tag.is_empty() => Address::parse(&from, "From").ok()?.uri,
            None => return None,
        };
        let to = wire::text(headers, &HeaderName::To)?;
        let honest = matches!(via.host, Host::Ip(ip) if ip.to_canonical() == flow.remote.ip().to_canonical());
        Some(Self {
            call_id: wire::call_id(headers),
            local: format!("{to};tag={local_tag}"),
            local_tag,
            remote_tag,
            remote: String::from_utf8_lossy(&from).into_owned(),
            local_cseq: 0,
            remote_cseq: wire::cseq(headers).map(|c| c.sequence),
            target,
            routes: route_set(headers),
            flow,
            behind_nat: !honest,
        })
    }

    /// The dialog a 2xx makes of an INVITE of ours. `local_tag` stands in its From. `nat`: the peer registered from behind one.
    pub fn uac(invite: &Request, response: &Response, local_tag: &str, flow: Flow, nat: bool) -> Self {
        let headers = &response.headers;
        let mut routes = route_set(headers);
        routes.reverse();
        Self {
            call_id: wire::call_id(&invite.headers),
            local_tag: local_tag.to_owned(),
            remote_tag: wire::tag(headers, &HeaderName::To).unwrap_or_default(),
            local: wire::text(&invite.headers, &HeaderName::From).unwrap_or_default(),
            remote: wire::text(headers, &HeaderName::To).unwrap_or_default(),
            local_cseq: wire::cseq(&invite.headers).map_or(1, |c| c.sequence),
            remote_cseq: None,
            target: wire::contact(headers).unwrap_or_else(|| invite.uri.clone()),
            routes,
            flow,
            behind_nat: nat,
        }
    }

    /// Goes on counting where the early dialog of the same tags had come to.
    pub fn continues(&mut self, early: &Self) {
        self.local_cseq = self.local_cseq.max(early.local_cseq);
        self.remote_cseq = self.remote_cseq.max(early.remote_cseq);
    }

    /// Takes the number of a request of theirs; `false` if it is out of order (RFC 3261 §12.2.2), which is answered 500.
    pub fn accept_cseq(&mut self, sequence: u32) -> bool {
        let in_order = self.remote_cseq.is_none_or(|last| sequence > last);
        if in_order {
            self.remote_cseq = Some(sequence);
        }
        in_order
    }

    /// Takes a new Contact from a target refresh request or its 2xx.
    pub fn refresh_target(&mut self, headers: &Headers) {
        if let Some(uri) = wire::contact(headers) {
            self.target = uri;
        }
    }

    /// Notes the way the peer last came, where that is the only way to it: a NAT's port or a connection may change.
    pub fn heard_along(&mut self, flow: Flow) {
        if flow.transport == self.flow.transport && (self.behind_nat || flow.transport.is_stream()) {
            self.flow = flow;
        }
    }

    /// A request with the next number, and where it goes. Via and body are still missing.
    pub fn request(&mut self, method: Method) -> (Request, Flow) {
        self.local_cseq += 1;
        self.numbered(method, self.local_cseq)
    }

    /// The ACK of a 2xx to the INVITE of that number.
    pub fn ack(&self, sequence: u32) -> (Request, Flow) {
        self.numbered(Method::Ack, sequence)
    }

    fn numbered(&self, method: Method, sequence: u32) -> (Request, Flow) {
        let (uri, routes) = self.path();
        let mut request = Request::new(method, uri);
        let cseq = format!("{sequence} {}", request.method);
        let headers = &mut request.headers;
        for route in routes {
            wire::push(headers, HeaderName::Route, route);
        }
        wire::push(headers, HeaderName::MaxForwards, "70");
        wire::push(headers, HeaderName::From, &*self.local);
        wire::push(headers, HeaderName::To, &*self.remote);
        wire::push(headers, HeaderName::CallId, &*self.call_id);
        wire::push(headers, HeaderName::CSeq, cseq);
        (request, self.next_hop())
    }

    /// Request-URI and Route headers (RFC 3261 §12.2.1.1), strict routers included.
    fn path(&self) -> (Uri, Vec<String>) {
        let Some(first) = self.routes.first().and_then(|r| Address::parse(r.as_bytes(), "Route").ok()) else {
            return (self.target.clone(), Vec::new());
        };
        if first.uri.params().is_some_and(|p| p.contains("lr")) {
            return (self.target.clone(), self.routes.clone());
        }
        let mut routes = self.routes[1..].to_vec();
        routes.push(format!("<{}>", wire::uri_text(&self.target)));
        (first.uri, routes)
    }

    /// The next hop: the nearest route, else their Contact; where that is a name or unreachable, the way they last came.
    fn next_hop(&self) -> Flow {
        let route = self.routes.first().and_then(|r| Address::parse(r.as_bytes(), "Route").ok()).map(|a| a.uri);
        let uri = match &route {
            Some(uri) => uri,
            None if self.behind_nat && wire::uri_addr(&self.target).is_none_or(|a| a.ip() != self.flow.remote.ip()) => {
                return self.flow;
            }
            None => &self.target,
        };
        let (Some(addr), Some(transport)) = (wire::uri_addr(uri), wire::uri_transport(uri)) else { return self.flow };
        redirect(self.flow, addr, transport)
    }
}

/// `flow` turned to another address; the connection is kept where the peer is the same or its port is only its own choice.
pub(crate) fn redirect(flow: Flow, addr: SocketAddr, transport: Transport) -> Flow {
    if transport != flow.transport {
        // A Contact that says nothing of TCP, from a peer that came by TCP, means TCP in the field; the reverse is rare
        // and its listener may not exist. The flow that works is kept.
        return flow;
    }
    match transport {
        Transport::Udp => Flow { remote: addr, ..flow },
        // A stream peer's ephemeral port differs from the one in its Contact: same host, same connection. And nobody
        // connects to a browser.
        Transport::Ws | Transport::Wss => flow,
        _ if addr.ip() == flow.remote.ip() => flow,
        _ => Flow { remote: addr, connection: None, ..flow },
    }
}

/// Record-Route values in the order they stand.
fn route_set(headers: &Headers) -> Vec<String> {
    let rows = wire::rows(headers, &HeaderName::RecordRoute);
    rows.iter().flat_map(|row| split_routes(row)).collect()
}

pub(super) fn split_routes(row: &str) -> Vec<String> {
    let (mut out, mut depth, mut from) = (Vec::new(), 0usize, 0);
    for (i, c) in row.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                out.push(row[from..i].trim().to_owned());
                from = i + 1;
            }
            _ => {}
        }
    }
    out.push(row[from..].trim().to_owned());
    out.retain(|r| !r.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Message;

    fn flow() -> Flow {
        let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:40000".parse().unwrap());
        Flow { transport: Transport::Udp, listener: 0, local, remote, connection: None }
    }

    fn invite(extra: &str, via_host: &str) -> Request {
        let text = format!(
            "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP {via_host};branch=z9hG4bK1\r\nFrom: \"X\" <sip:x@y>;tag=far\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n{extra}\r\n"
        );
        match wire::parse(text.into()).unwrap() {
            Message::Request(r) => r,
            Message::Response(_) => unreachable!(),
        }
    }

    #[test]
    fn a_uas_dialog_goes_to_the_contact() {
        let mut d =
            Dialog::uas(&invite("Contact: <sip:x@192.0.2.9:5070>\r\n", "192.0.2.9"), "near".into(), flow()).unwrap();
        let (bye, to) = d.request(Method::Bye);
        assert_eq!(to.remote, "192.0.2.9:5070".parse().unwrap());
        assert_eq!(wire::text(&bye.headers, &HeaderName::From).unwrap(), "<sip:a@b>;tag=near");
        assert_eq!(wire::text(&bye.headers, &HeaderName::To).unwrap(), "\"X\" <sip:x@y>;tag=far");
        assert_eq!(wire::text(&bye.headers, &HeaderName::CSeq).unwrap(), "1 BYE");
        assert!(!d.accept_cseq(7) && d.accept_cseq(9) && !d.accept_cseq(8));
    }

    #[test]
    fn behind_nat_the_way_it_came_is_the_way_back() {
        let natted =
            Dialog::uas(&invite("Contact: <sip:x@10.0.0.5:5070>\r\n", "10.0.0.5"), "n".into(), flow()).unwrap();
        assert_eq!(natted.ack(1).1.remote, flow().remote);
        let direct = Dialog::uas(&invite("Contact: <sip:x@192.0.2.77>\r\n", "192.0.2.9"), "n".into(), flow()).unwrap();
        assert_eq!(direct.ack(1).1.remote, "192.0.2.77:5060".parse().unwrap());
        let named =
            Dialog::uas(&invite("Contact: <sip:x@phone.example>\r\n", "192.0.2.9"), "n".into(), flow()).unwrap();
        assert_eq!(named.ack(1).1.remote, flow().remote);
    }

    #[test]
    fn loose_and_strict_routes() {
        let rr = "Record-Route: <sip:p1.example;lr>, <sip:192.0.2.2;lr>\r\nRecord-Route: <sip:p3;lr>\r\nContact: <sip:x@10.0.0.5>\r\n";
        let d = Dialog::uas(&invite(rr, "192.0.2.9"), "n".into(), flow()).unwrap();
        let (ack, to) = d.ack(7);
        assert_eq!(
            wire::rows(&ack.headers, &HeaderName::Route),
            ["<sip:p1.example;lr>", "<sip:192.0.2.2;lr>", "<sip:p3;lr>"]
        );
        assert_eq!((wire::uri_text(&ack.uri), to.remote), ("sip:x@10.0.0.5".into(), flow().remote));
        let strict = "Record-Route: <sip:192.0.2.3:5080>, <sip:p2;lr>\r\nContact: <sip:x@10.0.0.5>\r\n";
        let d = Dialog::uas(&invite(strict, "192.0.2.9"), "n".into(), flow()).unwrap();
        let (ack, to) = d.ack(7);
        assert_eq!(wire::uri_text(&ack.uri), "sip:192.0.2.3:5080");
        assert_eq!(wire::rows(&ack.headers, &HeaderName::Route), ["<sip:p2;lr>", "<sip:x@10.0.0.5>"]);
        assert_eq!(to.remote, "192.0.2.3:5080".parse().unwrap());
    }

    #[test]
    fn a_request_without_contact_is_rfc_2543_or_nothing() {
        assert!(Dialog::uas(&invite("", "192.0.2.9"), "n".into(), flow()).is_none());
    }
}
