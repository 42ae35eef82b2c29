//! Requests within a dialog: which dialog they mean, BYE, their re-INVITE and UPDATE, INFO, OPTIONS. PRACK, REFER and NOTIFY
//! have files of their own, and so have re-INVITEs of ours.

use std::time::Instant;

use tracing::{debug, info};

use super::calls_in::Pending2xx;
use super::dialog::Dialog;
use super::requests::{body_acceptable, capabilities};
use super::transactions::{Purpose, TxId};
use super::{Core, Leg, Phase};
use crate::api::{EndCause, LegId, SipEvent};
use crate::flow::Flow;
use crate::wire::{self, ContentType, HeaderName, Method, Request, Response};

impl Core {
    /// The leg a request names by our tag, its Call-ID and the sender's tag.
    pub(super) fn leg_within(&mut self, request: &Request) -> Option<LegId> {
        let ours = wire::tag(&request.headers, &HeaderName::To)?;
        let leg = *self.dialogs.get(&ours)?;
        let theirs = wire::tag(&request.headers, &HeaderName::From).unwrap_or_default();
        let (dialog, _) = self.dialog_of(leg, &ours, &theirs)?;
        (dialog.call_id == wire::call_id(&request.headers)).then_some(leg)
    }

    /// A leg's dialog with these tags: its own, or one a provisional answer made. Whether it is established.
    pub(super) fn dialog_of(&mut self, leg: LegId, ours: &str, theirs: &str) -> Option<(&mut Dialog, bool)> {
        let state = self.legs.get_mut(&leg)?;
        match &state.phase {
            Phase::Placing(placing) => {
                let early = self.tx.early_mut(&placing.forks, ours, theirs)?;
                Some((&mut early.dialog, false))
            }
            phase => {
                let up = matches!(phase, Phase::Up);
                let dialog = state.dialog.as_mut().filter(|d| d.remote_tag == theirs && d.local_tag == ours)?;
                Some((dialog, up))
            }
        }
    }

    /// The dialog of a request that is known to be a leg's.
    fn dialog_of_request(&mut self, leg: LegId, request: &Request) -> Option<&mut Dialog> {
        let ours = wire::tag(&request.headers, &HeaderName::To)?;
        let theirs = wire::tag(&request.headers, &HeaderName::From).unwrap_or_default();
        self.dialog_of(leg, &ours, &theirs).map(|(dialog, _)| dialog)
    }

    pub(super) fn on_request_within(&mut self, now: Instant, flow: Flow, request: &Request) {
        let ours = wire::tag(&request.headers, &HeaderName::To).unwrap_or_default();
        let theirs = wire::tag(&request.headers, &HeaderName::From).unwrap_or_default();
        let known = self.dialogs.get(&ours).copied();
        let found = known.and_then(|leg| Some((leg, self.dialog_of(leg, &ours, &theirs)?.0)));
        let Some((leg, dialog)) = found.filter(|(_, d)| d.call_id == wire::call_id(&request.headers)) else {
            if self.on_late_notify(flow, request) {
                return;
            }
            return self.reply(flow, request, 481, "no such dialog", &[]);
        };
        let Some(cseq) = wire::cseq(&request.headers) else { return };
        if !dialog.accept_cseq(cseq.sequence) {
            return self.reply(flow, request, 500, "CSeq out of order", &[]);
        }
        dialog.heard_along(flow);
        let Some(tx) = self.tx.serve(now, request, wire::reply_flow(&request.headers, flow), Some(leg)) else { return };
        match request.method {
            Method::Bye => self.on_bye(now, leg, tx, request),
            Method::Invite => self.on_reinvite(now, leg, tx, request),
            Method::Update => self.on_update(now, leg, tx, request),
            Method::Prack => self.on_prack(now, leg, tx, request),
            Method::Info => self.on_info(now, leg, tx, request),
            Method::Refer => self.on_refer(now, leg, tx, request),
            Method::Notify => self.on_notify(now, leg, tx, request),
            Method::Options => self.finish_within(now, tx, request, 200, &capabilities()),
            _ => self.finish_within(now, tx, request, 405, &[(HeaderName::Allow, wire::ALLOW)]),
        }
    }

    fn on_bye(&mut self, now: Instant, leg: LegId, tx: TxId, request: &Request) {
        self.finish_within(now, tx, request, 200, &[]);
        let Some(state) = self.legs.get(&leg) else { return };
        match &state.phase {
            Phase::Incoming { tx, .. } => {
                let (tx, tag) = (*tx, state.dialog.as_ref().map(|d| d.local_tag.clone()).unwrap_or_default());
                self.give_up_server(now, tx, &tag);
            }
            Phase::Up => {}
            Phase::Placing(placing) => {
                // It has overtaken the 2xx that will say the call was answered.
                let tag = |name| wire::tag(&request.headers, name).unwrap_or_default();
                let (ours, theirs) = (tag(&HeaderName::To), tag(&HeaderName::From));
                if let Some(early) = self.tx.early_mut(&placing.forks, &ours, &theirs) {
                    early.hung_up = true;
                }
                return;
            }
        }
        self.end(now, leg, EndCause::Bye, wire::text(&request.headers, &HeaderName::Reason));
    }

    /// A request of theirs that will not be answered any more: the dialog is ending. `tag` is ours.
    pub(super) fn give_up_server(&mut self, now: Instant, tx: TxId, tag: &str) {
        if let Some(request) = self.tx.pending_request(tx).cloned() {
            self.terminate(now, tx, &request, tag);
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
        if request.body().is_empty() {
            // A session refresh, or a new Contact (RFC 3311 §5.2, RFC 4028 §9).
            if let Some(min) = super::session::too_small(&request.headers) {
                return self.finish_within(now, tx, request, 422, &[(HeaderName::MinSe, min)]);
            }
            if let Some(dialog) = self.dialog_of_request(leg, request) {
                dialog.refresh_target(&request.headers);
            }
            let Some(state) = self.legs.get(&leg) else { return };
            let (user, up) = (state.user.clone(), matches!(state.phase, Phase::Up));
            let Some(mut response) = self.answer_within(tx, &user, request, 200) else { return };
            if up {
                self.accept_session_timer(now, leg, super::session::wish(&request.headers), &mut response);
            }
            wire::finish(&mut response.headers, None);
            return self.respond(now, tx, Some(response));
        }
        // RFC 3311 §5.2: 500 while an offer of theirs is open, 491 while one of ours is.
        let agreed = self.agreed(leg, request);
        let Some(state) = self.legs.get_mut(&leg) else { return };
        if !agreed || state.reoffer.is_some() {
            return self.finish_within(now, tx, request, 500, &[(HeaderName::RetryAfter, "3")]);
        }
        if state.refreshing.is_some() || state.unacked.as_ref().is_some_and(|u| u.offered_by_us) || state.bye.is_some()
        {
            return self.finish_within(now, tx, request, 491, &[]);
        }
        self.offer_to_house(now, leg, tx, request);
    }

    /// Whether the first offer of the request's dialog has its answer, so that another may come.
    fn agreed(&mut self, leg: LegId, request: &Request) -> bool {
        let Some(state) = self.legs.get(&leg) else { return false };
        match &state.phase {
            Phase::Up => true,
            Phase::Incoming { .. } => state.reliable.as_ref().is_some_and(|r| r.described),
            Phase::Placing(placing) => {
                let (ours, theirs) = (HeaderName::To, HeaderName::From);
                let tag = |name| wire::tag(&request.headers, name).unwrap_or_default();
                self.tx.early_mut(&placing.forks, &tag(&ours), &tag(&theirs)).is_some_and(|e| e.agreed)
            }
        }
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
                self.finish_within(now, tx, &request, if (400..700).contains(&code) { code } else { 488 }, &[]);
                return self.try_offer(now, leg);
            }
        };
        let (user, up) = (state.user.clone(), matches!(state.phase, Phase::Up));
        if let Some(dialog) = self.dialog_of_request(leg, &request) {
            dialog.refresh_target(&request.headers);
        }
        let Some(mut response) = self.answer_within(tx, &user, &request, 200) else { return };
        if up {
            self.accept_session_timer(now, leg, super::session::wish(&request.headers), &mut response);
        }
        if request.method == Method::Invite {
            let cseq = wire::cseq(&request.headers).map_or(0, |c| c.sequence);
            let offered_by_us = request.body().is_empty();
            return self.accept(now, leg, tx, response, Some(&sdp), Pending2xx { cseq, offered_by_us, initial: false });
        }
        let body = wire::finish(&mut response.headers, Some(&sdp));
        response.set_body(body);
        self.respond(now, tx, Some(response));
        self.try_offer(now, leg);
    }

    fn on_info(&mut self, now: Instant, leg: LegId, tx: TxId, request: &Request) {
        if request.headers.get(&wire::other("Info-Package")).is_some() {
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
            Some((digit, duration_ms)) => {
                self.finish_within(now, tx, request, 200, &[]);
                self.events.push_back(SipEvent::InfoDigit { leg, digit, duration_ms });
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
            Phase::Placing(_) => self.cancel(now, leg, reason),
            Phase::Up if state.unacked.as_ref().is_some_and(|u| u.initial) => {
                // RFC 3261 §15: not before the ACK, or before it is given up.
                state.bye.get_or_insert(reason);
            }
            Phase::Up => self.say_bye(now, leg, reason, EndCause::Bye),
        }
    }

    /// Sends BYE, forgets the leg, tells of its end.
    pub(super) fn say_bye(&mut self, now: Instant, leg: LegId, reason: Option<String>, cause: EndCause) {
        let Some(Leg { dialog: Some(mut dialog), .. }) = self.forget(now, leg) else { return };
        self.send_bye(now, &mut dialog, reason);
        self.events.push_back(SipEvent::Ended { leg, cause, reason: None });
    }

    pub(super) fn send_bye(&mut self, now: Instant, dialog: &mut Dialog, reason: Option<String>) {
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
        request: Request,
        flow: Flow,
        sdp: Option<&str>,
        purpose: Purpose,
    ) -> Option<TxId> {
        self.send_with(now, request, flow, sdp.map(|sdp| ("application/sdp", sdp.to_owned())), purpose)
    }

    /// Like `send_request`, with a body of that type.
    pub(super) fn send_with(
        &mut self,
        now: Instant,
        mut request: Request,
        flow: Flow,
        body: Option<(&str, String)>,
        purpose: Purpose,
    ) -> Option<TxId> {
        self.add_via(&mut request, flow);
        wire::push(&mut request.headers, HeaderName::UserAgent, &*self.config.user_agent);
        let body = wire::finish_with(&mut request.headers, body);
        request.set_body(body);
        self.tx.send(now, request, flow, purpose)
    }

    /// An answer within a dialog; Contact and the like for a 2xx. Content-Length is still missing.
    pub(super) fn answer_within(&self, tx: TxId, user: &str, request: &Request, code: u16) -> Option<Response> {
        let mut response = wire::answer(request, code, None, None, &self.config.user_agent)?;
        let flow = self.tx.flow_of(tx)?;
        wire::push(&mut response.headers, HeaderName::Contact, Self::contact(user, flow));
        wire::push(&mut response.headers, HeaderName::Allow, wire::ALLOW);
        wire::push(&mut response.headers, HeaderName::Supported, wire::SUPPORTED_WITHIN);
        for route in request.headers.get_all(&HeaderName::RecordRoute) {
            response.headers.push(route.clone());
        }
        Some(response)
    }

    pub(super) fn finish_within(
        &mut self,
        now: Instant,
        tx: TxId,
        request: &Request,
        code: u16,
        extra: &[(HeaderName, &str)],
    ) {
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

/// The digit of an INFO body, and how long it was pressed: `Signal=5` and `Duration=160` lines of dtmf-relay, or the bare digit
/// of application/dtmf.
fn digit(body: &str, relay: bool) -> Option<(char, Option<u16>)> {
    let line = |wanted: &str| {
        body.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    // Some send `Signal=5` under application/dtmf as well.
    let bare = || body.trim().rsplit('=').next().map(|s| s.trim().to_owned());
    let signal = if relay { line("signal")? } else { line("signal").or_else(bare)? };
    let duration = line("duration").and_then(|d| d.parse().ok());
    let mut chars = signal.chars();
    let digit = match (signal.as_str(), chars.next(), chars.next()) {
        ("10", ..) => '*',
        ("11", ..) => '#',
        ("12" | "13" | "14" | "15", ..) => char::from(b'A' + signal.parse::<u8>().ok()? - 12),
        (_, Some(c), None) if c.is_ascii_digit() || matches!(c.to_ascii_uppercase(), '*' | '#' | 'A'..='D') => {
            c.to_ascii_uppercase()
        }
        _ => return None,
    };
    Some((digit, duration))
}

#[cfg(test)]
mod tests {
    use super::digit;

    #[test]
    fn digits_of_info() {
        assert_eq!(digit("Signal=5\r\nDuration=160\r\n", true), Some(('5', Some(160))));
        assert_eq!(digit("signal = #\r\n", true), Some(('#', None)));
        assert_eq!(digit("Signal=11", true), Some(('#', None)));
        assert_eq!(digit("Signal=13", true), Some(('B', None)));
        assert_eq!(digit("*", false), Some(('*', None)));
        assert_eq!(digit("Signal=7", false), Some(('7', None)));
        for bad in ["", "Signal=", "Signal=55", "Signal=16", "Duration=5"] {
            assert_eq!(digit(bad, true), None, "{bad}");
        }
    }
}
