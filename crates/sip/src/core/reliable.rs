//! Before the final answer: provisional answers sent reliably and acknowledged by PRACK (RFC 3262), as caller and as called,
//! and the early dialogs they make (RFC 3261 §12.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sipx_sip::rel::{Offered, RAck, RSeq, Received, Sequence};
use tracing::{debug, info};

use super::dialog::Dialog;
use super::requests::body_acceptable;
use super::transactions::{Purpose, T1, TIMEOUT, TxId};
use super::{Core, Deadline, LegTimer, Phase};
use crate::api::{EndCause, LegId, SipEvent};
use crate::flow::Flow;
use crate::wire::{self, HeaderName, Method, Request, Response};

/// At most this many provisional answers wait for the PRACK of the one before.
const WAITING: usize = 8;
/// At most this many early dialogs of one INVITE are kept; a proxy that forks wider gets no PRACK for the rest.
const EARLY: usize = 16;

/// A dialog that a provisional answer to an INVITE of ours made.
#[derive(Debug)]
pub(crate) struct Early {
    pub dialog: Dialog,
    sequence: Sequence,
    /// Our offer has its answer, reliably: UPDATE may bring another (RFC 3311 §5.1).
    pub agreed: bool,
    /// The peer lists UPDATE.
    pub updates: bool,
    /// Its BYE came before its 2xx.
    pub hung_up: bool,
}

/// Our reliable provisional answers to one INVITE.
#[derive(Debug)]
pub(super) struct Reliable {
    next_rseq: u32,
    waiting: VecDeque<(u16, Option<String>)>,
    /// Sent, and not acknowledged.
    out: Option<Out>,
    /// Our description was acknowledged.
    pub described: bool,
    /// The 2xx must wait until it is (RFC 3262 §3).
    answer: Option<String>,
}

#[derive(Debug)]
struct Out {
    rseq: u32,
    cseq: u32,
    flow: Flow,
    bytes: Bytes,
    pause: Duration,
    /// `None` once the final answer is out: it is not repeated then, its PRACK still is answered.
    next: Option<Instant>,
    give_up: Instant,
    with_sdp: bool,
}

/// As called.
impl Core {
    pub(super) fn progress(&mut self, now: Instant, leg: LegId, code: u16, sdp: Option<String>) {
        let code = if (101..200).contains(&code) { code } else { 183 };
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let Phase::Incoming { tx, offered } = state.phase else {
            return debug!(leg = leg.0, code, "no such answer in this state");
        };
        let Some(request) = self.tx.pending_request(tx) else { return };
        let peer = Offered::in_request(request);
        let reliably = peer.required || (peer.supported && sdp.is_some());
        if !reliably {
            // Without PRACK an offer must not stand here (RFC 3264 §4), an answer may (RFC 3261 §13.2.1).
            let sdp = sdp.filter(|_| offered).map(|sdp| Self::describe(state, &sdp));
            let Some((tx, mut response)) = self.early_answer(leg, code, None) else { return };
            let body = wire::finish(&mut response.headers, sdp.as_deref());
            response.set_body(body);
            return self.respond(now, tx, Some(response));
        }
        let first = self.first_rseq();
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let reliable = state.reliable.get_or_insert_with(|| {
            Box::new(Reliable { next_rseq: first, waiting: VecDeque::new(), out: None, described: false, answer: None })
        });
        if reliable.waiting.len() >= WAITING {
            return debug!(leg = leg.0, code, "too many provisional answers wait for PRACK");
        }
        reliable.waiting.push_back((code, sdp));
        self.next_reliable(now, leg);
    }

    /// Sends the next provisional answer, if none waits for its PRACK.
    fn next_reliable(&mut self, now: Instant, leg: LegId) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let Some(reliable) = state.reliable.as_mut().filter(|r| r.out.is_none()) else { return };
        let Some((code, sdp)) = reliable.waiting.pop_front() else { return };
        let rseq = reliable.next_rseq;
        reliable.next_rseq += 1;
        let sdp = sdp.map(|sdp| Self::describe(state, &sdp));
        let Some((tx, mut response)) = self.early_answer(leg, code, None) else { return };
        wire::push(&mut response.headers, HeaderName::Require, "100rel");
        wire::push(&mut response.headers, HeaderName::RSeq, rseq.to_string());
        let body = wire::finish(&mut response.headers, sdp.as_deref());
        response.set_body(body);
        let (Some(flow), Some(cseq)) = (self.tx.flow_of(tx), wire::cseq(&response.headers)) else { return };
        self.respond(now, tx, Some(response));
        let Some(bytes) = self.tx.last_sent() else { return };
        let next = now + T1;
        let out = Out {
            rseq,
            cseq: cseq.sequence,
            flow,
            bytes,
            pause: T1,
            next: Some(next),
            give_up: now + TIMEOUT,
            with_sdp: sdp.is_some(),
        };
        if let Some(reliable) = self.legs.get_mut(&leg).and_then(|l| l.reliable.as_mut()) {
            reliable.out = Some(out);
            self.timers.set(next, Deadline::Leg(leg, LegTimer::RepeatReliable));
        }
    }

    /// Repeats a provisional answer, or gives the call up for want of its PRACK (RFC 3262 §3).
    pub(super) fn on_reliable_timer(&mut self, now: Instant, at: Instant, leg: LegId) {
        let out = self.legs.get_mut(&leg).and_then(|l| l.reliable.as_mut()?.out.as_mut());
        let Some(out) = out.filter(|o| o.next == Some(at)) else { return };
        if now >= out.give_up {
            info!(leg = leg.0, "no PRACK for our provisional answer: call refused");
            self.reject(now, leg, 500, Some("no PRACK"));
            return self.events.push_back(SipEvent::Ended { leg, cause: EndCause::NoAck, reason: None });
        }
        out.pause *= 2;
        let next = (now + out.pause).min(out.give_up);
        out.next = Some(next);
        let (flow, bytes) = (out.flow, out.bytes.clone());
        self.timers.set(next, Deadline::Leg(leg, LegTimer::RepeatReliable));
        self.send_bytes(flow, bytes);
    }

    pub(super) fn on_prack(&mut self, now: Instant, leg: LegId, tx: TxId, request: &Request) {
        let Some(Ok(rack)) = request.headers.typed::<RAck>() else {
            return self.finish_within(now, tx, request, 400, &[]);
        };
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let acknowledged = state.reliable.as_mut().and_then(|reliable| {
            let fits = |o: &mut Out| o.rseq == rack.rseq && o.cseq == rack.cseq && rack.method == b"INVITE";
            let out = reliable.out.take_if(fits)?;
            reliable.described |= out.with_sdp;
            Some((out.with_sdp, reliable.described))
        });
        let Some((with_sdp, described)) = acknowledged else {
            return self.finish_within(now, tx, request, 481, &[]);
        };
        let sdp = match body_acceptable(request) {
            Ok(sdp) => sdp,
            Err((code, ..)) => return self.finish_within(now, tx, request, code, &[]),
        };
        let offered = !matches!(state.phase, Phase::Incoming { offered: false, .. });
        match sdp {
            Some(sdp) if !offered && with_sdp => {
                self.finish_within(now, tx, request, 200, &[]);
                self.events.push_back(SipEvent::EarlyAnswer { leg, sdp });
            }
            Some(sdp) if described && state.reoffer.is_none() => {
                state.reoffer = Some(tx);
                self.events.push_back(SipEvent::Reoffer { leg, sdp: Some(sdp) });
            }
            // Their first offer is not answered yet, or another one waits: this one comes too early.
            Some(_) => self.finish_within(now, tx, request, 491, &[]),
            None => self.finish_within(now, tx, request, 200, &[]),
        }
        let answer = self.legs.get_mut(&leg).and_then(|l| l.reliable.as_mut()?.answer.take());
        match answer {
            Some(sdp) => self.answer_call(now, leg, &sdp),
            None => self.next_reliable(now, leg),
        }
    }

    /// What the provisional answers leave for the 2xx to say.
    pub(super) fn settle_reliable(&mut self, leg: LegId, sdp: &str) -> Settled {
        let Some(state) = self.legs.get_mut(&leg) else { return Settled::Wait };
        let Some(reliable) = &mut state.reliable else { return Settled::Describe };
        reliable.waiting.clear();
        if reliable.out.as_ref().is_some_and(|o| o.with_sdp) {
            reliable.answer = Some(sdp.to_owned());
            return Settled::Wait;
        }
        if let Some(out) = &mut reliable.out {
            out.next = None;
        }
        if reliable.described { Settled::Described } else { Settled::Describe }
    }

    fn first_rseq(&mut self) -> u32 {
        use rand::Rng;
        self.rng.random_range(1..1 << 20)
    }
}

/// How the 2xx stands to the provisional answers before it.
pub(super) enum Settled {
    /// It carries our description.
    Describe,
    /// They have agreed already.
    Described,
    /// It must wait for a PRACK.
    Wait,
}

/// As caller.
impl Core {
    /// A provisional answer to an INVITE of ours: its dialog, and its PRACK. `false` if it is a copy, or came before one that
    /// is missing.
    pub(super) fn on_early(&mut self, now: Instant, id: TxId, response: &Response) -> bool {
        let Some(theirs) = wire::tag(&response.headers, &HeaderName::To) else { return true };
        let Some((invite, flow, _)) = self.tx.client(id) else { return false };
        let invite_cseq = wire::cseq(&invite.headers).map_or(1, |c| c.sequence);
        let known = self.tx.fork_mut(id).is_some_and(|f| f.early.iter().any(|e| e.dialog.remote_tag == theirs));
        if !known {
            let Some((invite, ..)) = self.tx.client(id) else { return false };
            let invite = invite.clone();
            let Some(fork) = self.tx.fork_mut(id) else { return false };
            if fork.early.len() >= EARLY {
                return true;
            }
            let dialog = Dialog::uac(&invite, response, &fork.local_tag, flow, fork.behind_nat);
            let sequence = Sequence::default();
            fork.early.push(Early { dialog, sequence, agreed: false, updates: false, hung_up: false });
        }
        let Some(fork) = self.tx.fork_mut(id) else { return false };
        let Some(early) = fork.early.iter_mut().find(|e| e.dialog.remote_tag == theirs) else { return false };
        early.updates |= wire::lists(&response.headers, &HeaderName::Allow, "UPDATE");
        let rseq = response.headers.typed::<RSeq>().and_then(Result::ok);
        let Some(RSeq(rseq)) = rseq.filter(|_| wire::lists(&response.headers, &HeaderName::Require, "100rel")) else {
            return true;
        };
        match early.sequence.accept(rseq) {
            Received::Acknowledge => {}
            Received::Duplicate | Received::OutOfOrder => return false,
        }
        early.agreed |= wire::sdp_of(&response.headers, response.body()).is_some();
        let (mut prack, flow) = early.dialog.request(Method::Prack);
        wire::push(&mut prack.headers, HeaderName::RAck, format!("{rseq} {invite_cseq} INVITE"));
        self.send_request(now, prack, flow, None, Purpose::Farewell);
        true
    }
}
