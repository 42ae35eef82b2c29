//! Requests as they come in: what is wrong with them, whose they are, and those that belong to no dialog.

use std::time::Instant;

use sipx_sip::headers::{ContactValue, RecordRoute};
use sipx_sip::validate::Finding;
use sipx_sip::{Scheme, validate_request};
use tracing::debug;

use super::Core;
use super::transactions::Routed;
use crate::flow::Flow;
use crate::wire::{self, ContentType, HeaderName, Method, Request};

/// Why a request is not acted upon: status, words, more headers.
pub(super) type Refused = (u16, &'static str, Vec<(HeaderName, String)>);

impl Core {
    pub(super) fn on_request(&mut self, now: Instant, flow: Flow, mut request: Request) {
        let headers = &request.headers;
        let essentials = [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
        if wire::top_via(headers).is_none() || essentials.iter().any(|name| headers.get(name).is_none()) {
            // No answer could reach, or be matched by, who sent this.
            debug!(from = %flow.remote, "request without the headers of an answer dropped");
            return;
        }
        if let Some(connection) = flow.connection
            && let Some(addr) = wire::alias(&request.headers, flow)
        {
            self.outputs.push_back(super::CoreOutput::Alias(connection, addr));
        }
        wire::stamp_via(&mut request, flow.remote);
        if let Err((code, why)) = well_formed(&request) {
            if request.method != Method::Ack {
                self.reply(flow, &request, code, why, &[]);
            }
            return;
        }
        match self.tx.route(now, Box::new(request), flow.transport) {
            Routed::Known(told) => self.heed(now, told),
            Routed::New(request) => self.on_new_request(now, flow, &request),
        }
    }

    fn on_new_request(&mut self, now: Instant, flow: Flow, request: &Request) {
        let in_dialog = wire::tag(&request.headers, &HeaderName::To).is_some();
        match &request.method {
            Method::Ack => return self.on_ack(now, request),
            Method::Cancel => return self.on_cancel(now, flow, request),
            _ => {}
        }
        if let Err((code, why, extra)) = self.acceptable(request, in_dialog) {
            let extra: Vec<_> = extra.iter().map(|(name, value)| (name.clone(), value.as_str())).collect();
            return self.reply(flow, request, code, why, &extra);
        }
        match (&request.method, in_dialog) {
            (Method::Register, _) => self.on_register(now, flow, request),
            (_, true) => self.on_request_within(now, flow, request),
            (Method::Invite, false) => self.on_invite(now, flow, request),
            (Method::Options, false) => self.on_options(flow, request),
            (Method::Refer, false) => self.reply(flow, request, 403, "REFER outside of a call", &[]),
            (_, false) => self.reply(flow, request, 481, "no such dialog", &[]),
        }
    }

    /// Checks of RFC 3261 §8.2 that hold for every request but ACK and CANCEL.
    fn acceptable(&self, request: &Request, in_dialog: bool) -> Result<(), Refused> {
        let refused = |code, why| Err((code, why, Vec::new()));
        match &request.method {
            Method::Other(_) => return refused(501, "unknown method"),
            Method::Invite | Method::Bye | Method::Options | Method::Info | Method::Update | Method::Register => {}
            Method::Prack | Method::Refer | Method::Notify => {}
            _ => return Err((405, "method not allowed", vec![(HeaderName::Allow, wire::ALLOW.into())])),
        }
        let scheme = request.uri.scheme();
        let called = matches!(scheme, Scheme::Tel) && request.method == Method::Invite;
        if !scheme.is_sip() && !called {
            return refused(416, "unsupported URI scheme");
        }
        let mut unknown: Vec<String> = Vec::new();
        for row in wire::rows(&request.headers, &HeaderName::Require) {
            let path = request.method == Method::Register; // RFC 3327 is for registrars alone
            let known = |tag: &str| {
                path && tag.eq_ignore_ascii_case("path")
                    || wire::SUPPORTED.split(", ").any(|t| t.eq_ignore_ascii_case(tag))
            };
            let tags = row.split(',').map(str::trim).filter(|t| !t.is_empty() && !known(t));
            unknown.extend(tags.map(str::to_owned));
        }
        if !unknown.is_empty() {
            return Err((420, "unsupported extension required", vec![(HeaderName::Unsupported, unknown.join(", "))]));
        }
        let crowded = self.congested && matches!(request.method, Method::Register | Method::Options);
        if !in_dialog && (crowded || self.tx.len() >= self.config.limits.transactions) {
            return Err((503, "overloaded", vec![(HeaderName::RetryAfter, "5".into())]));
        }
        if !in_dialog && self.tx.is_merged(request) {
            return refused(482, "merged request");
        }
        Ok(())
    }

    fn on_options(&mut self, flow: Flow, request: &Request) {
        if self.draining {
            return self.reply(flow, request, 503, "Draining", &[(HeaderName::RetryAfter, "60")]);
        }
        self.reply(flow, request, 200, "OPTIONS", &capabilities());
    }
}

/// What we can do, for OPTIONS and 2xx (RFC 3261 §11.2).
pub(super) fn capabilities() -> [(HeaderName, &'static str); 5] {
    [
        (HeaderName::Allow, wire::ALLOW),
        (HeaderName::Accept, wire::ACCEPT),
        (HeaderName::AcceptEncoding, "identity"),
        (HeaderName::AcceptLanguage, "en"),
        (HeaderName::Supported, wire::SUPPORTED),
    ]
}

/// Whether the body is a description we can read, and whether the sender can read ours.
pub(super) fn body_acceptable(request: &Request) -> Result<Option<String>, Refused> {
    let headers = &request.headers;
    let encoding = wire::text(headers, &HeaderName::ContentEncoding);
    if encoding.is_some_and(|e| !e.eq_ignore_ascii_case("identity")) {
        return Err((415, "unknown content encoding", vec![(HeaderName::AcceptEncoding, "identity".into())]));
    }
    let sdp = wire::sdp_of(headers, request.body());
    if sdp.is_none() && !request.body().is_empty() {
        return Err((415, "unknown content type", vec![(HeaderName::Accept, wire::ACCEPT.into())]));
    }
    let accepts = wire::rows(headers, &HeaderName::Accept).join(",").to_ascii_lowercase();
    let takes_sdp =
        accepts.is_empty() || ["application/sdp", "application/*", "*/*"].iter().any(|t| accepts.contains(t));
    if !takes_sdp {
        return Err((406, "sender does not accept SDP", Vec::new()));
    }
    Ok(sdp)
}

/// What makes a request malformed whatever it wants: 400 or 505.
fn well_formed(request: &Request) -> Result<(), (u16, &'static str)> {
    let findings = validate_request(request);
    if findings.contains(&Finding::UnsupportedVersion) {
        return Err((505, "unknown version"));
    }
    if let Some(finding) = findings.iter().find(|f| !f.is_repairable()) {
        return Err((400, describe(finding)));
    }
    let headers = &request.headers;
    if headers.typed_all::<ContactValue>().any(|c| c.is_err()) {
        return Err((400, "malformed Contact"));
    }
    if matches!(headers.typed::<ContentType>(), Some(Err(_))) {
        return Err((400, "malformed Content-Type"));
    }
    if request.method == Method::Invite && headers.typed_all::<RecordRoute>().any(|r| r.is_err()) {
        return Err((400, "malformed Record-Route"));
    }
    Ok(())
}

fn describe(finding: &Finding) -> &'static str {
    match finding {
        Finding::MissingRequiredHeader(_) => "a required header is missing",
        Finding::MalformedRequiredHeader(_) => "a required header is malformed",
        Finding::RepeatedSingleValueHeader(_) => "a header that may stand once is repeated",
        Finding::CSeqMethodMismatch => "CSeq names another method",
        Finding::RequestUriHasHeaders => "the Request-URI carries headers",
        _ => "malformed request",
    }
}
