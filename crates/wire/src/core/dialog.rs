//! A dialog (RFC 3261 §12): what requests within it carry.

use std::time::{Duration, Instant};

use sipx_sip::message::{Method, Request, Response};
use sipx_sip::name::HeaderName;

use super::Peer;
use super::message::{address, cseq, request, tag, value, values};

/// Retransmission of a 2xx until its ACK (RFC 3261 §13.3.1.4).
pub(crate) const T1: Duration = Duration::from_millis(500);
pub(crate) const T2: Duration = Duration::from_secs(4);

/// A 2xx that waits for its ACK.
#[derive(Debug)]
pub(crate) struct AwaitAck {
    pub response: Response,
    pub to: Peer,
    pub cseq: u32,
    pub interval: Duration,
    pub until: Instant,
    /// It answers the INVITE that made the dialog.
    pub initial: bool,
    /// Our offer was in the 2xx, so the ACK brings the answer.
    pub offer_was_ours: bool,
}

/// One dialog.
#[derive(Debug)]
pub(crate) struct Dialog {
    pub call_id: String,
    pub local_tag: String,
    pub remote_tag: String,
    /// From or To as it names us, without tag; likewise the far side.
    local: String,
    remote: String,
    /// Their Contact.
    target: String,
    routes: Vec<String>,
    pub local_cseq: u32,
    pub remote_cseq: u32,
    pub peer: Peer,
    pub await_ack: Option<AwaitAck>,
}

impl Dialog {
    /// The dialog an INVITE from outside begins (§12.1.1).
    pub fn from_invite(invite: &Request, local_tag: String, peer: Peer) -> Option<Self> {
        let headers = &invite.headers;
        Some(Self {
            call_id: value(headers, &HeaderName::CallId)?,
            local_tag,
            remote_tag: tag(headers, &HeaderName::From).unwrap_or_default(),
            local: bare(&value(headers, &HeaderName::To)?),
            remote: bare(&value(headers, &HeaderName::From)?),
            target: contact(invite)?,
            routes: values(headers, &HeaderName::RecordRoute),
            local_cseq: 0,
            remote_cseq: cseq(headers)?,
            peer,
            await_ack: None,
        })
    }

    /// The dialog a 2xx to our INVITE begins (§12.1.2).
    pub fn from_answer(invite: &Request, answer: &Response, peer: Peer) -> Option<Self> {
        let target = values(&answer.headers, &HeaderName::Contact).into_iter().next();
        let mut routes = values(&answer.headers, &HeaderName::RecordRoute);
        routes.reverse();
        Some(Self {
            call_id: value(&invite.headers, &HeaderName::CallId)?,
            local_tag: tag(&invite.headers, &HeaderName::From)?,
            remote_tag: tag(&answer.headers, &HeaderName::To).unwrap_or_default(),
            local: bare(&value(&invite.headers, &HeaderName::From)?),
            remote: bare(&value(&answer.headers, &HeaderName::To)?),
            target: target.map_or_else(|| invite.uri.to_string(), |c| uri_in(&c)),
            routes,
            local_cseq: cseq(&invite.headers)?,
            remote_cseq: 0,
            peer,
            await_ack: None,
        })
    }

    /// A request within the dialog (§12.2.1.1). ACK takes the INVITE's CSeq, others the next.
    pub fn request(&mut self, method: Method, via: String, contact: &str, more: &[(HeaderName, String)]) -> Option<Request> {
        if method != Method::Ack {
            self.local_cseq += 1;
        }
        let mut headers = vec![
            (HeaderName::Via, via),
            (HeaderName::MaxForwards, "70".into()),
            (HeaderName::From, format!("{};tag={}", self.local, self.local_tag)),
            (HeaderName::To, with_tag(&self.remote, &self.remote_tag)),
            (HeaderName::CallId, self.call_id.clone()),
            (HeaderName::CSeq, format!("{} {method}", self.local_cseq)),
            (HeaderName::Contact, contact.to_owned()),
        ];
        headers.extend(self.routes.iter().map(|r| (HeaderName::Route, r.clone())));
        headers.extend(more.iter().cloned());
        request(method, &self.target, headers, None)
    }

    /// Whether a request within this dialog comes from its far side.
    pub fn is_from(&self, request: &Request) -> bool {
        let theirs = tag(&request.headers, &HeaderName::From).unwrap_or_default();
        value(&request.headers, &HeaderName::CallId).as_deref() == Some(&self.call_id) && theirs == self.remote_tag
    }

    /// A re-INVITE or UPDATE may move the far side (target refresh, §12.2.2).
    pub fn refresh_target(&mut self, request: &Request) {
        if let Some(target) = contact(request) {
            self.target = target;
        }
    }
}

fn contact(request: &Request) -> Option<String> {
    let row = values(&request.headers, &HeaderName::Contact).into_iter().next();
    match row {
        Some(row) => Some(uri_in(&row)),
        // RFC 2543 clients may send none: From is the best guess.
        None => address(&request.headers, &HeaderName::From).map(|a| a.uri.to_string()),
    }
}

fn uri_in(value: &str) -> String {
    match value.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
        Some((uri, _)) => uri.to_owned(),
        None => value.split(';').next().unwrap_or(value).trim().to_owned(),
    }
}

/// The value without its tag; other parameters and the display name stay.
fn bare(value: &str) -> String {
    let (head, params) = match value.rfind('>') {
        Some(at) => value.split_at(at + 1),
        None => value.split_at(value.find(';').unwrap_or(value.len())),
    };
    let kept: String = params
        .split(';')
        .filter(|p| !p.trim().is_empty() && !p.trim().to_ascii_lowercase().starts_with("tag="))
        .map(|p| format!(";{}", p.trim()))
        .collect();
    // Parameters after a bare URI would be the URI's: brackets keep them apart.
    if head.contains('<') { format!("{}{kept}", head.trim()) } else { format!("<{}>{kept}", head.trim()) }
}

fn with_tag(value: &str, tag: &str) -> String {
    if tag.is_empty() { value.to_owned() } else { format!("{value};tag={tag}") }
}
