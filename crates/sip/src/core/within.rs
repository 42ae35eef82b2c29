//! Requests within a dialog, theirs and ours: BYE, re-INVITE, UPDATE, INFO, OPTIONS.

use std::time::Instant;

use tracing::{debug, info};

use super::calls_in::Pending2xx;
use super::requests::{body_acceptable, capabilities};
use super::transactions::{Purpose, TxId};
use super::{Core, Leg, Phase};
use crate::api::{EndCause, LegId, SipEvent};
use crate::flow::Flow;
use crate::wire::{self, ContentType, HeaderName, Method, Request, Response};

impl Core {
    /// The leg a request names by our tag, its Call-ID and the sender's tag.
    pub(super) fn leg_within(&self, request: &Request) -> Option<LegId> {
        let leg = *self.dialogs.get(&wire::tag(&request.headers, &HeaderName::To)?)?;
        let dialog = self.legs.get(&leg)?.dialog.as_ref()?;
        let theirs = wire::tag(&request.headers, &HeaderName::From).unwrap_or_default();
        (dialog.call_id == wire::call_id(&request.headers) && dialog.remote_tag == theirs).then_some(leg)
    }

    pub(super) fn on_request_within(&mut self, now: Instant, flow: Flow, request: &Request) {
        let Some(leg) = self.leg_within(request) else {
            return self.reply(flow, request, 481, "no such dialog", &[]);
        };
        let Some(cseq) = wire::cseq(&request.headers) else { return };
        let Some(dialog) = self.legs.get_mut(&leg).and_then(|l| l.dialog.as_mut()) else { return };
        if !dialog.accept_cseq(cseq.sequence) {
            return self.reply(flow, request, 500, "CSeq out of order", &[]);
        }
        dialog.heard_along(flow);
        let Some(tx) = self.tx.serve(now, request, wire::reply_flow(&request.headers, flow), Some(leg)) else { return };
        match request.method {
            Method::Bye => self.on_bye(now, leg, tx, request),
            Method::Invite => self.on_reinvite(now, leg, tx, request),
            Method::Update => self.on_update(now, leg, tx, request),
            Method::Info => self.on_info(now, leg, tx, request),
            Method::Options => self.finish_within(now, tx, request, 200, &capabilities()),
            _ => self.finish_within(now, tx, request, 405, &[(HeaderName::Allow, wire::ALLOW)]),
        }
    }

    fn on_bye(&mut self, now: Instant, leg: LegId, tx: TxId, request: &Request) {
        self.finish_within(now, tx, request, 200, &[]);
        let open = self.legs.get(&leg).map(|state| match state.phase {
            Phase::Incoming { tx, .. } => (Some(tx), state.reoffer),
            _ => (None, state.reoffer),
        });
        let (first, reoffer) = open.unwrap_or_default();
        for open in [first, reoffer].into_iter().flatten() {
            self.give_up_server(now, leg, open);
        }
        self.end(leg, EndCause::Bye, wire::text(&request.headers, &HeaderName::Reason));
    }

    /// A request of theirs that will not be answered any more: the dialog is ending.
    fn give_up_server(&mut self, now: Instant, leg: LegId, tx: TxId) {
        let tag = self.legs.get(&leg).and_then(|l| l.dialog.as_ref()).map(|d| d.local_tag.clone()).unwrap_or_default();
        if let Some(request) = self.tx.pending_request(tx).cloned() {
            self.terminate(now, tx, &request, &tag);
        }
    }

    fn on_reinvite(&mut self, now: Instant, leg: LegId, tx: TxId, request: &Request) {
        let Some(state) = self.legs.get(&leg) else { return };
        // RFC 3261 §14.2: one that comes while the last is unanswered gets 500; one that meets ours gets 491.
        if !matches!(state.phase, Phase::Up) || state.reoffer.is_some() {
            return self.finish_within(now, tx, request, 500, &[(HeaderName::RetryAfter, "3")]);
        }
        if state.refreshing.is_some() || state.unacked.is_some() || state.bye.is_some() {
            return self.finish_within(now, tx, request, 491, &[]);
        }
        self.respond(now, tx, wire::answer(request, 100, None, None, &self.config.user_agent));
        self.offer_to_house(now, leg, tx, request);
    }

    fn on_update(&mut self, now: Instant, leg: LegId, tx: TxId, request: &Request) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        if request.body().is_empty() {
            // A session refresh, or a new Contact (RFC 3311 §5.2, RFC 4028 §9).
            if let Some(min) = super::session::too_small(&request.headers) {
                return self.finish_within(now, tx, request, 422, &[(HeaderName::MinSe, min)]);
            }
            if let Some(dialog) = &mut state.dialog {
                dialog.refresh_target(&request.headers);
            }
            let Some(mut response) = self.answer_within(leg, request, 200) else { return };
            self.accept_session_timer(now, leg, &request.headers, &mut response);
            wire::finish(&mut response.headers, None);
            return self.respond(now, tx, Some(response));
        }
        // RFC 3311 §5.2: 500 while an offer of theirs is open, 491 while one of ours is.
        if !matches!(state.phase, Phase::Up) || state.reoffer.is_some() {
            return self.finish_within(now, tx, request, 500, &[(HeaderName::RetryAfter, "3")]);
        }
        if state.refreshing.is_some() || state.unacked.as_ref().is_some_and(|u| u.offered_by_us) || state.bye.is_some()
        {
            return self.finish_within(now, tx, request, 491, &[]);
        }
        self.offer_to_house(now, leg, tx, request);
    }

    /// Hands a new offer to the house, which answers with `AnswerReoffer`.
    fn offer_to_house(&mut self, now: Instant, leg: LegId, tx: TxId, request: &Request) {
        let sdp = match body_acceptable(request) {
            Ok(sdp) => sdp,
            Err((code, _, extra)) => {
                let extra: Vec<_> = extra.iter().map(|(n, v)| (n.clone(), v.as_str())).collect();
                return self.finish_within(now, tx, request, code, &extra);
            }
        };
        if let Some(min) = super::session::too_small(&request.headers) {
            return self.finish_within(now, tx, request, 422, &[(HeaderName::MinSe, min)]);
        }
        let Some(state) = self.legs.get_mut(&leg) else { return };
        state.reoffer = Some(tx);
        self.events.push_back(SipEvent::Reoffer { leg, sdp });
    }

    pub(super) fn answer_reoffer(&mut self, now: Instant, leg: LegId, sdp: Result<String, u16>) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let Some(tx) = state.reoffer.take() else { return debug!(leg = leg.0, "no offer is waiting for this answer") };
        let Some(request) = self.tx.pending_request(tx).cloned() else { return };
        let sdp = match sdp {
            Ok(sdp) => Self::describe(state, &sdp),
            Err(code) => {
                return self.finish_within(now, tx, &request, if (400..700).contains(&code) { code } else { 488 }, &[]);
            }
        };
        if let Some(dialog) = &mut state.dialog {
            dialog.refresh_target(&request.headers);
        }
        let Some(mut response) = self.answer_within(leg, &request, 200) else { return };
        self.accept_session_timer(now, leg, &request.headers, &mut response);
        if request.method == Method::Invite {
            let cseq = wire::cseq(&request.headers).map_or(0, |c| c.sequence);
            let offered_by_us = request.body().is_empty();
            return self.accept(now, leg, tx, response, &sdp, Pending2xx { cseq, offered_by_us, initial: false });
        }
        let body = wire::finish(&mut response.headers, Some(&sdp));
        response.set_body(body);
        self.respond(now, tx, Some(response));
    }

    fn on_info(&mut self, now: Instant, leg: LegId, tx: TxId, request: &Request) {
        if request.headers.get(&wire::named("Info-Package")).is_some() {
            return self.finish_within(now, tx, request, 469, &[]); // RFC 6086 §4.2.1: we have none
        }
        if request.body().is_empty() {
            return self.finish_within(now, tx, request, 200, &[]);
        }
        let kind = request.headers.typed::<ContentType>().and_then(Result::ok);
        let relay = kind.as_ref().is_some_and(|k| k.is("application", "dtmf-relay"));
        if !relay && !kind.is_some_and(|k| k.is("application", "dtmf")) {
            return self.finish_within(now, tx, request, 415, &[(HeaderName::Accept, wire::ACCEPT)]);
        }
        match digit(&String::from_utf8_lossy(request.body()), relay) {
            Some(digit) => {
                self.finish_within(now, tx, request, 200, &[]);
                self.events.push_back(SipEvent::InfoDigit { leg, digit });
            }
            None => self.finish_within(now, tx, request, 400, &[]),
        }
    }

    /// Ends an established leg; one that is not established yet is rejected or cancelled.
    pub(super) fn hang_up(&mut self, now: Instant, leg: LegId, reason: Option<String>) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        match state.phase {
            Phase::Incoming { .. } => {
                self.reject(now, leg, 480, None);
                self.events.push_back(SipEvent::Ended { leg, cause: EndCause::Bye, reason: None });
            }
            Phase::Placing(_) => self.cancel(now, leg),
            Phase::Up if state.unacked.as_ref().is_some_and(|u| u.initial) => {
                // RFC 3261 §15: not before the ACK, or before it is given up.
                state.bye.get_or_insert(reason);
            }
            Phase::Up => self.say_bye(now, leg, reason, EndCause::Bye),
        }
    }

    /// Sends BYE, forgets the leg, tells of its end.
    pub(super) fn say_bye(&mut self, now: Instant, leg: LegId, reason: Option<String>, cause: EndCause) {
        if let Some(open) = self.legs.get_mut(&leg).and_then(|l| l.reoffer.take()) {
            self.give_up_server(now, leg, open);
        }
        let Some(Leg { dialog: Some(mut dialog), .. }) = self.forget(leg) else { return };
        self.send_bye(now, &mut dialog, reason);
        self.events.push_back(SipEvent::Ended { leg, cause, reason: None });
    }

    pub(super) fn send_bye(&mut self, now: Instant, dialog: &mut super::Dialog, reason: Option<String>) {
        let (mut bye, flow) = dialog.request(Method::Bye);
        if let Some(reason) = reason {
            wire::push(&mut bye.headers, HeaderName::Reason, reason);
        }
        self.send_request(now, bye, flow, None, Purpose::Farewell);
    }

    /// Completes a request of ours with Via, User-Agent and body, and sends it by a transaction.
    pub(super) fn send_request(
        &mut self,
        now: Instant,
        mut request: Request,
        flow: Flow,
        sdp: Option<&str>,
        purpose: Purpose,
    ) -> Option<TxId> {
        self.add_via(&mut request, flow);
        wire::push(&mut request.headers, HeaderName::UserAgent, &*self.config.user_agent);
        let body = wire::finish(&mut request.headers, sdp);
        request.set_body(body);
        self.tx.send(now, request, flow, purpose)
    }

    /// An answer within a dialog; Contact and the like for a 2xx. Content-Length is still missing.
    fn answer_within(&self, leg: LegId, request: &Request, code: u16) -> Option<Response> {
        let mut response = wire::answer(request, code, None, None, &self.config.user_agent)?;
        let state = self.legs.get(&leg)?;
        let flow = state.dialog.as_ref()?.flow;
        wire::push(&mut response.headers, HeaderName::Contact, Self::contact(&state.user, flow));
        wire::push(&mut response.headers, HeaderName::Allow, wire::ALLOW);
        wire::push(&mut response.headers, HeaderName::Supported, wire::SUPPORTED);
        for route in request.headers.get_all(&HeaderName::RecordRoute) {
            response.headers.push(route.clone());
        }
        Some(response)
    }

    fn finish_within(&mut self, now: Instant, tx: TxId, request: &Request, code: u16, extra: &[(HeaderName, &str)]) {
        if code >= 400 {
            info!(method = %request.method, code, call_id = wire::call_id(&request.headers), "request within a dialog refused");
        }
        let mut response = wire::answer(request, code, None, None, &self.config.user_agent);
        if let Some(response) = &mut response {
            for (name, value) in extra {
                wire::push(&mut response.headers, name.clone(), *value);
            }
            wire::finish(&mut response.headers, None);
        }
        self.respond(now, tx, response);
    }
}

/// The digit of an INFO body: `Signal=5` lines of dtmf-relay, or the bare digit of application/dtmf.
fn digit(body: &str, relay: bool) -> Option<char> {
    let signal = if relay {
        body.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case("signal").then(|| value.trim().to_owned())
        })?
    } else {
        // Some send `Signal=5` under this type as well.
        body.trim().rsplit('=').next()?.trim().to_owned()
    };
    let mut chars = signal.chars();
    match (signal.as_str(), chars.next(), chars.next()) {
        ("10", ..) => Some('*'),
        ("11", ..) => Some('#'),
        ("12" | "13" | "14" | "15", ..) => signal.parse::<u8>().ok().map(|n| char::from(b'A' + n - 12)),
        (_, Some(c), None) if c.is_ascii_digit() || matches!(c.to_ascii_uppercase(), '*' | '#' | 'A'..='D') => {
            Some(c.to_ascii_uppercase())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::digit;

    #[test]
    fn digits_of_info() {
        assert_eq!(digit("Signal=5\r\nDuration=160\r\n", true), Some('5'));
        assert_eq!(digit("signal = #\r\n", true), Some('#'));
        assert_eq!(digit("Signal=11", true), Some('#'));
        assert_eq!(digit("Signal=13", true), Some('B'));
        assert_eq!(digit("*", false), Some('*'));
        assert_eq!(digit("Signal=7", false), Some('7'));
        for bad in ["", "Signal=", "Signal=55", "Signal=16", "Duration=5"] {
            assert_eq!(digit(bad, true), None, "{bad}");
        }
    }
}
