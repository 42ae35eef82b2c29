//! Calls that come in: INVITE, our answers, their ACK, their CANCEL (RFC 3261 §9.2, §13.3, §14.2).

use std::time::Instant;

use tracing::{debug, info};

use super::dialog::Dialog;
use super::reliable::Settled;
use super::requests::{body_acceptable, capabilities};
use super::transactions::{T1, T2, TIMEOUT, TxId};
use super::{Core, Deadline, Leg, LegTimer, Phase, Unacked};
use crate::api::{EndCause, LegId, Party, SipEvent};
use crate::details::{self, CallDetails, Replaces};
use crate::flow::Flow;
use crate::ladder::Glance;
use crate::wire::{self, HeaderName, Message, Method, Request, Response};

impl Core {
    /// An INVITE outside of any dialog.
    pub(super) fn on_invite(&mut self, now: Instant, flow: Flow, request: &Request) {
        let mut called = wire::user_text(&request.uri);
        let full = self.legs.len() >= self.config.limits.legs || self.congested;
        if full || self.draining {
            let why = if self.draining { "Draining" } else { "Overloaded" };
            info!(from = %flow.remote, called, why, "call refused with 503");
            return self.reply(flow, request, 503, why, &[(HeaderName::RetryAfter, if full { "5" } else { "60" })]);
        }
        let Ok(trunk) = self.trunk_of(now, flow, request) else { return };
        let mut from = caller(request);
        if let Some(t) = trunk.and_then(|t| self.trunks.get(t)) {
            (called, from.user) = t.heard(&called, &from.user);
            from.asserted = from.asserted.map(|number| t.config.numbers.normalised(&number));
        }
        let replaced = match self.replaced_by(request) {
            Ok(leg) => leg,
            Err(code) => {
                info!(from = %flow.remote, called, code, "call refused: it replaces none of ours");
                return self.reply(flow, request, code, "Replaces", &[]);
            }
        };
        if replaced.is_none() && !self.config.numbers.iter().any(|n| is_number(n, &called)) {
            info!(from = %flow.remote, called, "call refused with 404: no such number; to take its calls, name it as a DID");
            self.suspect(now, flow);
            return self.reply(flow, request, 404, "no such number", &[]);
        }
        let sdp = match body_acceptable(request) {
            Ok(sdp) => sdp,
            Err((code, why, extra)) => {
                info!(from = %flow.remote, called, code, why, "call refused");
                let extra: Vec<_> = extra.iter().map(|(n, v)| (n.clone(), v.as_str())).collect();
                return self.reply(flow, request, code, why, &extra);
            }
        };
        if let Some(min) = super::session::too_small(&request.headers) {
            return self.reply(flow, request, 422, "session interval too small", &[(HeaderName::MinSe, min)]);
        }
        let tag = self.random_hex();
        let Some(dialog) = Dialog::uas(request, tag.clone(), flow) else {
            info!(from = %flow.remote, called, "call refused with 400: no Contact");
            return self.reply(flow, request, 400, "no Contact", &[]);
        };
        self.received_legs += 1;
        let leg = LegId(self.received_legs * 2);
        if let Some(Err(busy)) = trunk.map(|t| self.trunks.admit(now, t, leg)) {
            info!(from = %flow.remote, called, %busy, "call refused with 503");
            return self.reply(flow, request, 503, "Trunk limit reached", &[(HeaderName::RetryAfter, "5")]);
        }
        let Some(tx) = self.tx.serve(now, request, wire::reply_flow(&request.headers, flow), Some(leg)) else {
            return self.trunks.release(leg);
        };
        self.dialogs.insert(tag, leg);
        let call_id = wire::call_id(&request.headers);
        self.open_ladder(&call_id, leg);
        let cseq = wire::cseq(&request.headers).map_or(0, |c| c.sequence);
        self.ladders.note(now, false, &flow, Glance { call_id: call_id.as_bytes(), status: 0, method: 0, cseq });
        let phase = Phase::Incoming { tx, offered: sdp.is_some() };
        let peer_updates = super::session::allows_update(&request.headers);
        self.legs.insert(leg, Leg { dialog: Some(dialog), peer_updates, ..Leg::new(phase, called.clone()) });
        self.respond(now, tx, wire::answer(request, 100, None, None, &self.config.user_agent));
        self.events.push_back(SipEvent::Incoming {
            leg,
            call_id,
            from,
            to: Party { user: called, host: wire::host_text(&request.uri), ..Party::default() },
            sdp,
            source: flow.remote,
            user_agent: wire::text(&request.headers, &HeaderName::UserAgent),
            details: Box::new(CallDetails {
                replaces: replaced,
                trunk: trunk.and_then(|t| Some(self.trunks.get(t)?.config.name.clone())),
                ..details::of_invite(&request.headers)
            }),
        });
    }

    /// The leg an INVITE is to take the place of (RFC 3891 §3).
    fn replaced_by(&mut self, request: &Request) -> Result<Option<LegId>, u16> {
        let rows = wire::rows(&request.headers, &HeaderName::Replaces);
        match rows.as_slice() {
            [] => Ok(None),
            [value] => self.replaced(&Replaces::parse(value).ok_or(400u16)?).map(Some),
            _ => Err(400),
        }
    }

    pub(super) fn answer_call(&mut self, now: Instant, leg: LegId, sdp: &str) {
        if !matches!(self.legs.get(&leg), Some(Leg { phase: Phase::Incoming { .. }, .. })) {
            return debug!(leg = leg.0, "no answer in this state");
        }
        let settled = self.settle_reliable(leg, sdp);
        if matches!(settled, Settled::Wait) {
            return;
        }
        let Some((tx, mut response)) = self.early_answer(leg, 200, None) else { return };
        let Some(request) = self.tx.pending_request(tx) else { return };
        let cseq = wire::cseq(&request.headers).map_or(0, |c| c.sequence);
        let wish = super::session::wish(&request.headers);
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let Phase::Incoming { offered, .. } = state.phase else { return };
        // What a reliable answer said before stands (RFC 3261 §13.2.1); repeated, it pleases those who want it here.
        let sdp = match (settled, offered) {
            (Settled::Describe, _) => Some(Self::describe(state, sdp)),
            (_, true) => state.described.clone().map(|said| Self::describe(state, &said)),
            (_, false) => None,
        };
        let offered_by_us = !offered && sdp.is_some();
        state.phase = Phase::Up;
        for (name, value) in capabilities() {
            if matches!(name, HeaderName::Allow | HeaderName::Supported) {
                wire::push(&mut response.headers, name, value);
            }
        }
        self.accept_session_timer(now, leg, wish, &mut response);
        self.accept(now, leg, tx, response, sdp.as_deref(), Pending2xx { cseq, offered_by_us, initial: true });
    }

    pub(super) fn reject(&mut self, now: Instant, leg: LegId, code: u16, reason: Option<&str>) {
        let code = if (300..700).contains(&code) { code } else { 480 };
        let Some((tx, mut response)) = self.early_answer(leg, code, reason) else { return };
        if code == 503 {
            wire::push(&mut response.headers, HeaderName::RetryAfter, "5");
        }
        wire::finish(&mut response.headers, None);
        info!(leg = leg.0, code, reason = reason.unwrap_or_else(|| wire::reason_phrase(code)), "call refused");
        self.respond(now, tx, Some(response));
        self.forget(now, leg);
    }

    /// Sends a 2xx to an INVITE or re-INVITE and repeats it until its ACK (RFC 3261 §13.3.1.4).
    pub(super) fn accept(
        &mut self,
        now: Instant,
        leg: LegId,
        tx: TxId,
        mut response: Response,
        sdp: Option<&str>,
        pending: Pending2xx,
    ) {
        let body = wire::finish(&mut response.headers, sdp);
        response.set_body(body);
        let Some(flow) = self.tx.flow_of(tx) else { return };
        self.respond(now, tx, Some(response));
        let Some(bytes) = self.tx.last_sent() else { return };
        let Pending2xx { cseq, offered_by_us, initial } = pending;
        let next = now + T1;
        let Some(state) = self.legs.get_mut(&leg) else { return };
        state.unacked =
            Some(Unacked { cseq, flow, bytes, pause: T1, next, give_up: now + TIMEOUT, offered_by_us, initial });
        self.timers.set(next, Deadline::Leg(leg, LegTimer::Repeat2xx));
    }

    pub(super) fn on_2xx_timer(&mut self, now: Instant, at: Instant, leg: LegId) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let Some(unacked) = state.unacked.as_mut().filter(|u| u.next == at) else { return };
        if now >= unacked.give_up {
            info!(leg = leg.0, "no ACK for our 2xx: hanging up");
            state.unacked = None;
            let reason = Some("SIP;cause=408;text=\"no ACK\"".to_owned());
            return self.say_bye(now, leg, reason, EndCause::NoAck);
        }
        unacked.pause = (unacked.pause * 2).min(T2);
        unacked.next = (now + unacked.pause).min(unacked.give_up);
        let (flow, bytes, next) = (unacked.flow, unacked.bytes.clone(), unacked.next);
        self.timers.set(next, Deadline::Leg(leg, LegTimer::Repeat2xx));
        self.send_bytes(flow, bytes);
    }

    /// An ACK of a 2xx; those of refusals end in their transaction.
    pub(super) fn on_ack(&mut self, now: Instant, ack: &Request) {
        let Some(leg) = self.leg_within(ack) else { return debug!("ACK without a dialog dropped") };
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let cseq = wire::cseq(&ack.headers).map(|c| c.sequence);
        let Some(unacked) = state.unacked.take_if(|u| Some(u.cseq) == cseq) else { return };
        let sdp = if unacked.offered_by_us { wire::sdp_of(&ack.headers, ack.body()) } else { None };
        self.events.push_back(SipEvent::Confirmed { leg, sdp });
        if let Some(reason) = state.bye.take() {
            self.say_bye(now, leg, reason, EndCause::Bye);
        }
        self.try_offer(now, leg);
    }

    /// CANCEL ends an INVITE that has no final answer yet; it is answered itself in any case.
    pub(super) fn on_cancel(&mut self, now: Instant, flow: Flow, cancel: &Request) {
        let Some(tx) = self.tx.cancelled(cancel, flow.transport) else {
            return self.reply(flow, cancel, 481, "nothing to cancel", &[]);
        };
        let leg = self.tx.leg_of(tx);
        let tag = leg.and_then(|l| self.legs.get(&l)).and_then(|l| l.dialog.as_ref()).map(|d| d.local_tag.clone());
        let tag = tag.unwrap_or_else(|| self.stateless_tag(cancel));
        let Some(mut ok) = wire::answer(cancel, 200, None, Some(&tag), &self.config.user_agent) else { return };
        wire::finish(&mut ok.headers, None);
        self.send_bytes(wire::reply_flow(&cancel.headers, flow), wire::bytes_of(&Message::Response(ok)));
        let Some(invite) = self.tx.pending_request(tx).filter(|r| r.method == Method::Invite).cloned() else { return };
        self.terminate(now, tx, &invite, &tag);
        let Some(leg) = leg else { return };
        match self.legs.get_mut(&leg) {
            Some(state) if state.reoffer == Some(tx) => {
                state.reoffer = None; // the dialog stands
                self.try_offer(now, leg);
            }
            Some(_) => self.end(now, leg, EndCause::Cancel, wire::text(&cancel.headers, &HeaderName::Reason)),
            None => {}
        }
    }

    /// 487 to an INVITE that is given up.
    pub(super) fn terminate(&mut self, now: Instant, tx: TxId, request: &Request, tag: &str) {
        let mut response = wire::answer(request, 487, None, Some(tag), &self.config.user_agent);
        if let Some(response) = &mut response {
            wire::finish(&mut response.headers, None);
        }
        self.respond(now, tx, response);
    }

    /// An answer to the INVITE of a call that came in and is still open, with all that makes a dialog of it. The body and
    /// Content-Length are still missing.
    pub(super) fn early_answer(&self, leg: LegId, code: u16, reason: Option<&str>) -> Option<(TxId, Response)> {
        let state = self.legs.get(&leg)?;
        let Phase::Incoming { tx, .. } = state.phase else {
            debug!(leg = leg.0, code, "no such answer in this state");
            return None;
        };
        let (request, dialog) = (self.tx.pending_request(tx)?, state.dialog.as_ref()?);
        let mut response = wire::answer(request, code, reason, Some(&dialog.local_tag), &self.config.user_agent)?;
        if code < 300 {
            for route in request.headers.get_all(&HeaderName::RecordRoute) {
                response.headers.push(route.clone());
            }
            wire::push(&mut response.headers, HeaderName::Contact, Self::contact(&state.user, dialog.flow));
        }
        if code < 200 {
            wire::push(&mut response.headers, HeaderName::Allow, wire::ALLOW);
        }
        Some((tx, response))
    }
}

/// What a 2xx that waits for its ACK is.
pub(super) struct Pending2xx {
    pub cseq: u32,
    pub offered_by_us: bool,
    pub initial: bool,
}

/// Who calls: From, and P-Asserted-Identity beside it.
fn caller(request: &Request) -> Party {
    let from = request.headers.value(&HeaderName::From).map(|v| wire::party(&v)).unwrap_or_default();
    let asserted = request.headers.value(&HeaderName::PAssertedIdentity).and_then(|v| {
        let first = wire::split_unquoted(&v, b',').first().map(|f| f.to_vec())?;
        Some(wire::party(&first).user).filter(|user| !user.is_empty())
    });
    Party { asserted, ..from }
}

/// Whether the user called is that number; a leading `+` is how some carriers write it and others do not.
pub(super) fn is_number(number: &str, called: &str) -> bool {
    let digits =
        |s: &str| s.trim_start_matches('+').chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect::<String>();
    let dialled = |s: &str| s.len() >= 7 && s.chars().all(|c| c.is_ascii_digit());
    number == "*" || number == called || (dialled(&digits(number)) && digits(number) == digits(called))
}

#[cfg(test)]
mod tests {
    use super::is_number;

    #[test]
    fn numbers() {
        for (number, called, fits) in [
            ("*", "anyone", true),
            ("+15551234567", "15551234567", true),
            ("15551234567", "+1-555-123-4567", true),
            ("support", "Support", false),
            ("100", "+100", false),
            ("+15551234567", "15551234568", false),
        ] {
            assert_eq!(is_number(number, called), fits, "{number} {called}");
        }
    }
}
