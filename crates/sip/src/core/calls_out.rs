//! Calls we place: INVITE to one or several places at once, what comes back, CANCEL, and the races between them
//! (RFC 3261 §9.1, §13.2; RFC 6026).
//!
//! A leg forks as several INVITEs, each with a Call-ID and From tag of its own: a phone that registered twice would take two
//! copies of one INVITE for a loop (482). A fork outlives its leg as long as its transaction does, and then needs no leg:
//! a 2xx nobody wants is acknowledged and hung up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::{debug, info};

use super::dialog::Dialog;
use super::transactions::{Fork, Purpose, TIMEOUT, TxId};
use super::{Core, Deadline, Leg, LegTimer, Phase};
use crate::api::{EndCause, LegId, SipEvent};
use crate::fields::{completed_elsewhere, escape_user, quoted, reason};
use crate::flow::Flow;
use crate::trunk::HeaderRule;
use crate::wire::{self, HeaderName, Message, Method, Request, Response, Uri};

/// How often a call that rings is looked at; no further ahead, so that the deadlines of calls long over do not pile up.
const LOOK: Duration = Duration::from_secs(32);

/// What a call we place is made of.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Host part of From; ours where there is none.
    pub from_host: Option<String>,
    /// The number called, for header rules.
    pub number: String,
    /// What a trunk wants changed in the headers.
    pub rules: Vec<HeaderRule>,
    pub from_user: String,
    pub from_display: Option<String>,
    pub headers: Vec<(String, String)>,
    pub sdp: String,
}

/// A call we place, not answered yet.
#[derive(Debug)]
pub(super) struct Placing {
    pub(super) forks: Vec<TxId>,
    /// The tag each fork's From has.
    pub(super) tags: Vec<String>,
    /// Final answers of forks that are over.
    refusals: Vec<(u16, String)>,
    began: Instant,
}

/// One place to call.
pub(super) struct Target {
    pub uri: Uri,
    pub flow: Flow,
    pub behind_nat: bool,
    /// Route headers, nearest hop first.
    pub routes: Vec<String>,
}

impl Core {
    pub(super) fn invite_extension(&mut self, now: Instant, leg: LegId, ext: &str, draft: &Draft) {
        let callable = self.registrar.callable(now, ext);
        let bindings: Vec<_> = callable.into_iter().map(|b| (b.uri.clone(), b.flow, b.path.clone())).collect();
        let targets: Vec<Target> = bindings
            .into_iter()
            .filter_map(|(uri, flow, routes)| {
                let uri = Uri::parse(Bytes::from(uri)).ok()?;
                let behind_nat = wire::uri_addr(&uri).is_none_or(|addr| addr.ip() != flow.remote.ip());
                Some(Target { uri, flow, behind_nat, routes })
            })
            .collect();
        if targets.is_empty() {
            let silent = self.registrar.contacts(now, ext).next().is_some();
            let why = if silent { "does not answer at any of its contacts" } else { "is not registered" };
            return self.fail(now, leg, 480, format!("{ext} {why}"));
        }
        self.place(now, leg, targets, draft);
    }

    pub(super) fn invite_uri(&mut self, now: Instant, leg: LegId, uri: &str, addr: Option<SocketAddr>, draft: &Draft) {
        let Some(uri) =
            Uri::parse(Bytes::copy_from_slice(uri.as_bytes())).ok().filter(|u| u.scheme().is_sip() && !u.has_headers())
        else {
            return self.fail(now, leg, 400, format!("{uri:?} is not a SIP URI"));
        };
        let (Some(addr), Some(transport)) = (addr.or_else(|| wire::uri_addr(&uri)), wire::uri_transport(&uri)) else {
            return self.fail(now, leg, 503, format!("no address for {}", wire::uri_text(&uri)));
        };
        let Some(flow) = self.flow_to(transport, addr) else {
            return self.fail(now, leg, 503, format!("no {transport} listener reaches {addr}"));
        };
        self.place(now, leg, vec![Target { uri, flow, behind_nat: false, routes: Vec::new() }], draft);
    }

    pub(super) fn place(&mut self, now: Instant, leg: LegId, targets: Vec<Target>, draft: &Draft) {
        if self.legs.contains_key(&leg) {
            return debug!(leg = leg.0, "a leg is placed once");
        }
        let placing = Placing { forks: Vec::new(), tags: Vec::new(), refusals: Vec::new(), began: now };
        let mut state = Leg::new(Phase::Placing(placing), draft.from_user.clone());
        let sdp = Self::describe(&mut state, &draft.sdp);
        self.legs.insert(leg, state);
        for target in targets {
            self.fork_to(now, leg, &target, draft, &sdp);
        }
        self.timers.set(now + self.config.limits.ring.min(LOOK), Deadline::Leg(leg, LegTimer::Ring));
    }

    /// Calls one more place for a leg that is being placed.
    pub(super) fn place_next(&mut self, now: Instant, leg: LegId, target: Target, draft: &Draft) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let sdp = Self::describe(state, &draft.sdp);
        self.fork_to(now, leg, &target, draft, &sdp);
    }

    fn fork_to(&mut self, now: Instant, leg: LegId, target: &Target, draft: &Draft, sdp: &str) {
        let tag = self.random_hex();
        self.dialogs.insert(tag.clone(), leg);
        let mut invite = self.draft_invite(target, draft, &tag);
        let (flow, behind_nat) = (target.flow, target.behind_nat);
        self.open_ladder(&wire::call_id(&invite.headers), leg);
        self.add_via(&mut invite, flow);
        let body = wire::finish(&mut invite.headers, Some(sdp));
        invite.set_body(body);
        let fork = Fork {
            leg,
            local_tag: tag.clone(),
            behind_nat,
            unwanted: false,
            cancelled: false,
            provisional: false,
            early: Vec::new(),
            why: None,
            acks: Vec::new(),
        };
        let sent = self.tx.send(now, invite, flow, Purpose::Call(Box::new(fork)));
        if let Some(Leg { phase: Phase::Placing(placing), .. }) = self.legs.get_mut(&leg) {
            placing.forks.extend(sent);
            placing.tags.push(tag);
        }
    }

    fn draft_invite(&mut self, target: &Target, draft: &Draft, tag: &str) -> Request {
        let mut invite = Request::new(Method::Invite, target.uri.clone());
        let call_id = format!("{}@{}", self.random_hex(), target.flow.local.ip());
        let display = quoted(draft.from_display.as_deref());
        let host = draft.from_host.as_ref().unwrap_or(&self.config.domain);
        let from = format!("{display}<sip:{}@{host}>;tag={tag}", escape_user(&draft.from_user));
        let headers = &mut invite.headers;
        for route in &target.routes {
            wire::push(headers, HeaderName::Route, &**route);
        }
        wire::push(headers, HeaderName::MaxForwards, "70");
        wire::push(headers, HeaderName::From, from);
        wire::push(headers, HeaderName::To, format!("<{}>", wire::uri_text(&target.uri)));
        wire::push(headers, HeaderName::CallId, call_id);
        wire::push(headers, HeaderName::CSeq, "1 INVITE");
        wire::push(headers, HeaderName::Contact, Self::contact(&draft.from_user, target.flow));
        wire::push(headers, HeaderName::Allow, wire::ALLOW);
        wire::push(headers, HeaderName::Supported, wire::SUPPORTED);
        if let Some(interval) = self.config.session_expires {
            let seconds = super::session::offered(interval);
            wire::push(headers, HeaderName::SessionExpires, seconds.to_string());
        }
        wire::push(headers, HeaderName::UserAgent, &*self.config.user_agent);
        for (name, value) in &draft.headers {
            wire::push(headers, wire::named(name), &**value);
        }
        for rule in &draft.rules {
            let (HeaderRule::Set { name, .. } | HeaderRule::Remove { name }) = rule;
            headers.remove_all(&wire::named(name));
            if let HeaderRule::Set { name, value } = rule {
                let value = value.replace("{number}", &draft.number).replace("{caller}", &draft.from_user);
                wire::push(headers, wire::named(name), value);
            }
        }
        invite
    }

    /// A response to an INVITE of a call we placed.
    pub(super) fn on_call_response(&mut self, now: Instant, id: TxId, response: &Response) {
        let code = response.status.code();
        let Some(fork) = self.tx.fork_mut(id) else { return };
        let leg = fork.leg;
        match code {
            100..=199 => {
                fork.provisional = true;
                if fork.unwanted {
                    return self.send_cancel(now, id);
                }
                if code > 100 && self.legs.contains_key(&leg) && self.on_early(now, id, response) {
                    let sdp = wire::sdp_of(&response.headers, response.body());
                    self.events.push_back(SipEvent::Progress { leg, code, sdp });
                }
            }
            200..=299 => self.on_call_answered(now, id, response),
            401 | 407 if self.answer_challenge(now, id, response) => {}
            422 if self.ask_longer(now, id, response) => {}
            _ => self.on_call_failure(now, id, code, &String::from_utf8_lossy(&response.reason)),
        }
    }

    /// A 2xx: the first of a leg wins. A repeated one gets its ACK again; one that lost or came too late, ACK and BYE.
    fn on_call_answered(&mut self, now: Instant, id: TxId, response: &Response) {
        let theirs = wire::tag(&response.headers, &HeaderName::To).unwrap_or_default();
        let Some(fork) = self.tx.fork_mut(id) else { return };
        if let Some((_, flow, bytes)) = fork.acks.iter().find(|(tag, ..)| *tag == theirs) {
            let (flow, bytes) = (*flow, bytes.clone());
            return self.send_bytes(flow, bytes);
        }
        let Some((invite, flow)) = self.tx.invite(id) else { return };
        let sequence = wire::cseq(&invite.headers).map_or(1, |c| c.sequence);
        let Some(fork) = self.tx.fork_mut(id) else { return };
        let (leg, unwanted) = (fork.leg, fork.unwanted);
        let mut dialog = Dialog::uac(&invite, response, &fork.local_tag, flow, fork.behind_nat);
        let early = fork.early.iter().find(|e| e.dialog.remote_tag == theirs);
        let hung_up = early.is_some_and(|e| e.hung_up);
        if let Some(early) = early {
            dialog.continues(&early.dialog);
        }
        let (ack_flow, ack) = self.ack(&dialog, sequence);
        if let Some(fork) = self.tx.fork_mut(id) {
            fork.acks.reserve_exact(1); // it is kept for half a minute, and a second is rare
            fork.acks.push((theirs, ack_flow, Bytes::copy_from_slice(&ack)));
            fork.early = Vec::new();
        }
        self.send_bytes(ack_flow, ack);
        let wins = !unwanted && matches!(self.legs.get(&leg), Some(Leg { phase: Phase::Placing(_), .. }));
        if !wins {
            debug!(leg = leg.0, "an answer nobody waits for is hung up");
            return self.send_bye(now, &mut dialog, Some(completed_elsewhere()));
        }
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let ours = dialog.local_tag.clone();
        state.dialog = Some(dialog);
        let Phase::Placing(placing) = std::mem::replace(&mut state.phase, Phase::Up) else { return };
        for tag in placing.tags.iter().filter(|tag| **tag != ours) {
            self.dialogs.remove(tag);
        }
        for other in placing.forks.into_iter().filter(|other| *other != id) {
            self.give_up_fork(now, other, Some(completed_elsewhere()));
        }
        // RFC 3261 §13.2.2.4 leaves 2xx that another proxy's fork answers: those of this INVITE are unwanted from now on.
        if let Some(fork) = self.tx.fork_mut(id) {
            fork.unwanted = true;
        }
        let sdp = wire::sdp_of(&response.headers, response.body());
        self.events.push_back(SipEvent::Answered { leg, sdp });
        self.start_session_timer(now, leg, &response.headers);
        if hung_up {
            // Their BYE overtook their 2xx.
            self.end(now, leg, EndCause::Bye, None);
        }
    }

    /// 422: the INVITE again, with the interval the peer asks for (RFC 4028 §7.4). `false` if it does not say which.
    fn ask_longer(&mut self, now: Instant, id: TxId, response: &Response) -> bool {
        let min = wire::text(&response.headers, &HeaderName::MinSe);
        let min = min.and_then(|m| m.split(';').next()?.trim().parse::<u32>().ok()).filter(|m| *m <= 86_400);
        let Some((invite, ..)) = self.tx.client(id) else { return false };
        let (Some(min), None) = (min, invite.headers.get(&HeaderName::MinSe)) else { return false };
        let with = [HeaderName::SessionExpires, HeaderName::MinSe].map(|name| (name, min.to_string()));
        self.invite_again(now, id, &[HeaderName::SessionExpires], with.to_vec())
    }

    /// Sends an INVITE that was refused once more, with other headers.
    pub(super) fn invite_again(
        &mut self,
        now: Instant,
        id: TxId,
        without: &[HeaderName],
        with: Vec<(HeaderName, String)>,
    ) -> bool {
        let Some((invite, flow, _)) = self.tx.client(id) else { return false };
        let Some(sequence) = wire::cseq(&invite.headers).map(|c| c.sequence + 1) else { return false };
        let mut invite = invite.clone();
        let body = invite.body().clone();
        for name in [HeaderName::Via, HeaderName::CSeq].iter().chain(without) {
            invite.headers.remove_all(name);
        }
        wire::push(&mut invite.headers, HeaderName::CSeq, format!("{sequence} INVITE"));
        for (name, value) in with {
            wire::push(&mut invite.headers, name, value);
        }
        self.add_via(&mut invite, flow);
        invite.set_body(body);
        let Some(fork) = self.tx.fork_mut(id) else { return false };
        if fork.unwanted {
            return false;
        }
        let again = Fork { local_tag: fork.local_tag.clone(), early: Vec::new(), why: None, acks: Vec::new(), ..*fork };
        let leg = again.leg;
        let Some(new) = self.tx.send(now, invite, flow, Purpose::Call(Box::new(Fork { provisional: false, ..again })))
        else {
            return false;
        };
        if let Some(Leg { phase: Phase::Placing(placing), .. }) = self.legs.get_mut(&leg) {
            placing.forks.iter_mut().filter(|f| **f == id).for_each(|f| *f = new);
        }
        true
    }

    /// A fork has failed; the leg has when all have.
    pub(super) fn on_call_failure(&mut self, now: Instant, id: TxId, code: u16, reason: &str) {
        let Some(fork) = self.tx.fork_mut(id) else { return };
        let (leg, heard) = (fork.leg, fork.provisional);
        let Some(Leg { phase: Phase::Placing(placing), .. }) = self.legs.get_mut(&leg) else { return };
        placing.forks.retain(|f| *f != id);
        placing.refusals.push((code, reason.to_owned()));
        // RFC 3261 §16.7 step 5: 6xx ends them all.
        let rest = if code >= 600 { std::mem::take(&mut placing.forks) } else { Vec::new() };
        let over = placing.forks.is_empty();
        let best = placing.refusals.iter().min_by_key(|(code, _)| rank(*code)).cloned();
        for other in rest {
            self.give_up_fork(now, other, None);
        }
        // A call that rang and was then not taken is not rung elsewhere.
        let elsewhere = over && !(code == 408 && heard) && self.try_next(now, leg, code);
        if let Some((code, reason)) = best.filter(|_| over && !elsewhere) {
            self.fail(now, leg, code, reason);
        }
    }

    pub(super) fn cancel(&mut self, now: Instant, leg: LegId, why: Option<String>) {
        match self.legs.get_mut(&leg).map(|l| &mut l.phase) {
            Some(Phase::Placing(_)) => self.cancel_with(now, leg, 487, "cancelled", why),
            // It was answered while the command was on its way.
            Some(Phase::Up) => self.hang_up(now, leg, why.or_else(|| Some(reason(487, "cancelled")))),
            _ => debug!(leg = leg.0, "nothing to cancel"),
        }
    }

    pub(super) fn on_ring_timer(&mut self, now: Instant, leg: LegId) {
        let Some(Leg { phase: Phase::Placing(placing), .. }) = self.legs.get(&leg) else { return };
        let ends = placing.began + self.config.limits.ring;
        if now >= ends {
            return self.cancel_with(now, leg, 408, "rang too long", None);
        }
        self.timers.set(ends.min(now + LOOK), Deadline::Leg(leg, LegTimer::Ring));
    }

    fn cancel_with(&mut self, now: Instant, leg: LegId, code: u16, reason: &str, why: Option<String>) {
        let Some(Leg { phase: Phase::Placing(placing), .. }) = self.legs.get_mut(&leg) else { return };
        for fork in std::mem::take(&mut placing.forks) {
            self.give_up_fork(now, fork, why.clone());
        }
        self.fail(now, leg, code, reason.to_owned());
    }

    /// Nobody wants this fork any more: CANCEL it, now or once something was heard of it (RFC 3261 §9.1).
    pub(super) fn give_up_fork(&mut self, now: Instant, id: TxId, why: Option<String>) {
        let Some(fork) = self.tx.fork_mut(id) else { return };
        (fork.unwanted, fork.why) = (true, why);
        if fork.provisional {
            self.send_cancel(now, id);
        }
    }

    fn send_cancel(&mut self, now: Instant, id: TxId) {
        let Some((invite, flow, true)) = self.tx.client(id) else { return };
        let mut cancel = Request::new(Method::Cancel, invite.uri.clone());
        for name in [
            HeaderName::Via,
            HeaderName::Route,
            HeaderName::MaxForwards,
            HeaderName::From,
            HeaderName::To,
            HeaderName::CallId,
        ] {
            for header in invite.headers.get_all(&name) {
                cancel.headers.push(header.clone());
            }
        }
        let sequence = wire::cseq(&invite.headers).map_or(1, |c| c.sequence);
        wire::push(&mut cancel.headers, HeaderName::CSeq, format!("{sequence} CANCEL"));
        let Some(fork) = self.tx.fork_mut(id) else { return };
        if std::mem::replace(&mut fork.cancelled, true) {
            return;
        }
        if let Some(why) = fork.why.take() {
            wire::push(&mut cancel.headers, HeaderName::Reason, why);
        }
        wire::finish(&mut cancel.headers, None);
        self.tx.send(now, cancel, flow, Purpose::Farewell);
        self.timers.set(now + TIMEOUT, Deadline::GiveUp(id));
    }

    /// The ACK of a 2xx, ready to send.
    pub(super) fn ack(&mut self, dialog: &Dialog, sequence: u32) -> (Flow, Bytes) {
        let (mut ack, flow) = dialog.ack(sequence);
        self.add_via(&mut ack, flow);
        wire::finish(&mut ack.headers, None);
        (flow, wire::bytes_of(&Message::Request(ack)))
    }

    /// A call we placed is not taken: the leg is gone.
    pub(super) fn fail(&mut self, now: Instant, leg: LegId, code: u16, reason: String) {
        info!(leg = leg.0, code, reason, "call was not taken");
        self.forget(now, leg);
        self.events.push_back(SipEvent::Failed { leg, code, reason });
    }
}

/// The best of several refusals (RFC 3261 §16.7 step 6): 6xx, then what says most about the person called; silence and
/// broken phones say least.
fn rank(code: u16) -> u16 {
    match code {
        600.. => 0,
        408 | 503 => 900,
        500..=599 => 800,
        code => code,
    }
}
