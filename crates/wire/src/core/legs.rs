//! Legs: calls from outside, calls to outside, and what happens within them.

use std::collections::HashMap;
use std::time::Instant;

use sipx_sip::message::{Message, Method, Request, Response};
use sipx_sip::name::HeaderName;
use sipx_sip::transaction::TransactionKey;
use tracing::{debug, info};

use super::dialog::{AwaitAck, Dialog, T1, T2};
use super::message::{self, asserted, cseq, party, phrase, request, response, sdp, tag, value, values};
use super::{Core, Due, Peer, allow, retry_after};
use crate::{EndCause, LegId, SipCommand, SipEvent};

/// All legs and the ways to find one.
#[derive(Default)]
pub(super) struct Legs {
    by_id: HashMap<LegId, Leg>,
    by_tag: HashMap<String, LegId>,
    /// Call-ID, From tag, CSeq of INVITEs that began a live leg: what arrives again on another way is merged (§8.2.2.2).
    by_invite: HashMap<(String, String, u32), LegId>,
    next: u64,
    /// Where the request being handled came from.
    pub current: Option<Peer>,
}

impl Legs {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    fn remove(&mut self, id: LegId) -> Option<Leg> {
        let leg = self.by_id.remove(&id)?;
        if let Some(dialog) = &leg.dialog {
            self.by_tag.remove(&dialog.local_tag);
        }
        self.by_invite.retain(|_, l| *l != id);
        Some(leg)
    }
}

struct Leg {
    state: State,
    dialog: Option<Dialog>,
}

enum State {
    /// An INVITE waits for our final answer.
    Offered { key: TransactionKey, invite: Box<Request> },
    /// Our INVITEs are out.
    Calling { cancelled: bool, failure: Option<(u16, String)> },
    /// Answered. A new offer of theirs may wait for our answer.
    Up { reoffer: Option<(TransactionKey, Box<Request>)> },
}

/// One INVITE of ours, until its transaction is over.
pub(super) struct Branch {
    leg: LegId,
    provisional: bool,
    cancel: bool,
    cancel_sent: bool,
    over: bool,
    /// The dialog it made, by the far side's tag, and the ACK to send again if the 2xx comes again.
    won: Vec<(String, Request)>,
}

/// Calls from outside.
impl Core {
    pub(super) fn invited(&mut self, now: Instant, key: &TransactionKey, invite: &Request) {
        let headers = &invite.headers;
        let Some(peer) = self.legs.current.clone() else { return };
        let identity = (value(headers, &HeaderName::CallId).unwrap_or_default(), tag(headers, &HeaderName::From).unwrap_or_default(), cseq(headers).unwrap_or(0));
        if self.legs.by_invite.contains_key(&identity) {
            return self.reply(now, key, invite, 482, &[]);
        }
        if self.draining || self.legs.len() >= self.config.max_legs {
            return self.reply(now, key, invite, 503, &[retry_after()]);
        }
        let body = !invite.body().is_empty();
        let kind = value(headers, &HeaderName::ContentType).unwrap_or_default().to_ascii_lowercase();
        if body && !kind.starts_with("application/sdp") {
            return self.reply(now, key, invite, 415, &[(HeaderName::Accept, "application/sdp".into())]);
        }
        let accepts = values(headers, &HeaderName::Accept);
        let takes_sdp = |a: &String| ["application/sdp", "application/*", "*/*"].iter().any(|t| a.to_ascii_lowercase().starts_with(t));
        if !accepts.is_empty() && !accepts.iter().any(takes_sdp) {
            return self.reply(now, key, invite, 406, &[]);
        }
        let mut to = party(headers, &HeaderName::To);
        to.user = message::user_of(&invite.uri);
        if !self.config.numbers.iter().any(|n| *n == to.user) {
            info!(number = to.user, source = %peer.addr, "call refused: no such number");
            return self.reply(now, key, invite, 404, &[]);
        }
        let local_tag = self.token();
        let Some(dialog) = Dialog::from_invite(invite, local_tag.clone(), peer.clone()) else {
            return self.reply(now, key, invite, 400, &[]);
        };
        self.legs.next += 1;
        let leg = LegId(self.legs.next);
        if let Some(trying) = response(invite, 100, phrase(100), None, &[], None) {
            self.respond(now, key, trying);
        }
        let mut from = party(headers, &HeaderName::From);
        from.asserted = asserted(headers);
        self.events.push_back(SipEvent::Incoming { leg, call_id: identity.0.clone(), from, to, sdp: sdp(headers, invite.body()), source: peer.addr });
        self.legs.by_tag.insert(local_tag, leg);
        self.legs.by_invite.insert(identity, leg);
        let state = State::Offered { key: key.clone(), invite: Box::new(invite.clone()) };
        self.legs.by_id.insert(leg, Leg { state, dialog: Some(dialog) });
    }

    /// CANCEL is a transaction of its own that points at another (§9.2).
    pub(super) fn cancelled(&mut self, now: Instant, key: &TransactionKey, cancel: &Request) {
        let invite = TransactionKey::for_cancelled_invite(cancel).filter(|k| self.layer.server_request(k).is_some());
        let Some(invite_key) = invite else {
            return self.reply(now, key, cancel, 481, &[]);
        };
        self.reply(now, key, cancel, 200, &[]);
        let found = self.legs.by_id.iter().find(|(_, l)| matches!(&l.state, State::Offered { key, .. } if *key == invite_key)).map(|(id, _)| *id);
        if let Some(leg) = found {
            self.end_offered(now, leg, 487);
            self.events.push_back(SipEvent::Ended { leg, cause: EndCause::Cancel });
        }
    }

    fn end_offered(&mut self, now: Instant, leg: LegId, code: u16) {
        if let Some(Leg { state: State::Offered { key, invite }, dialog }) = self.legs.remove(leg) {
            let tag = dialog.map(|d| d.local_tag).unwrap_or_default();
            let more: Vec<_> = (code == 503).then(retry_after).into_iter().collect();
            if let Some(response) = response(&invite, code, phrase(code), Some(&tag), &more, None) {
                self.respond(now, &key, response);
            }
        }
    }

    /// Sends a 2xx with our session and keeps sending it until its ACK comes.
    fn accept(&mut self, now: Instant, leg: LegId, key: &TransactionKey, invite: &Request, body: &str, initial: bool) {
        let Some(dialog) = self.legs.by_id.get(&leg).and_then(|l| l.dialog.as_ref()) else { return };
        let (tag, peer) = (dialog.local_tag.clone(), dialog.peer.clone());
        let more = [(HeaderName::Contact, self.contact(&peer)), allow(), (HeaderName::Server, self.config.user_agent.clone())];
        let Some(ok) = response(invite, 200, phrase(200), Some(&tag), &more, Some(body)) else { return };
        let to = self.peers.get(key).cloned().unwrap_or(peer);
        self.respond(now, key, ok.clone());
        if invite.method == Method::Invite {
            let await_ack = AwaitAck {
                response: ok,
                to,
                cseq: cseq(&invite.headers).unwrap_or(0),
                interval: T1,
                until: now + 64 * T1,
                initial,
                offer_was_ours: sdp(&invite.headers, invite.body()).is_none(),
            };
            if let Some(dialog) = self.legs.by_id.get_mut(&leg).and_then(|l| l.dialog.as_mut()) {
                dialog.await_ack = Some(await_ack);
            }
            self.schedule(now + T1, Due::Ok(leg));
        }
    }

    /// §13.3.1.4: the 2xx is ours to repeat, over every transport, until the ACK or 64·T1.
    pub(super) fn ok_again(&mut self, now: Instant, leg: LegId) {
        let Some(dialog) = self.legs.by_id.get_mut(&leg).and_then(|l| l.dialog.as_mut()) else { return };
        let Some(wait) = &mut dialog.await_ack else { return };
        if now >= wait.until {
            let initial = wait.initial;
            dialog.await_ack = None;
            info!(leg = leg.0, initial, "no ACK for our 200: ending the call");
            self.bye(now, leg, Some("SIP;cause=408;text=\"no ACK\"".into()));
            self.events.push_back(SipEvent::Ended { leg, cause: EndCause::NoAck });
            return;
        }
        let (response, to) = (wait.response.clone(), wait.to.clone());
        wait.interval = (wait.interval * 2).min(T2);
        let next = (now + wait.interval).min(wait.until);
        self.send(Message::Response(response), to);
        self.schedule(next, Due::Ok(leg));
    }

    pub(super) fn acked(&mut self, ack: &Request) {
        let Some(id) = tag(&ack.headers, &HeaderName::To).and_then(|t| self.legs.by_tag.get(&t).copied()) else { return };
        let Some(dialog) = self.legs.by_id.get_mut(&id).and_then(|l| l.dialog.as_mut()) else { return };
        if !dialog.is_from(ack) || dialog.await_ack.as_ref().is_none_or(|w| Some(w.cseq) != cseq(&ack.headers)) {
            return;
        }
        let Some(wait) = dialog.await_ack.take() else { return };
        if wait.initial {
            let sdp = sdp(&ack.headers, ack.body()).filter(|_| wait.offer_was_ours);
            self.events.push_back(SipEvent::Confirmed { leg: id, sdp });
        }
    }
}

/// Requests within a dialog.
impl Core {
    pub(super) fn in_dialog(&mut self, now: Instant, key: &TransactionKey, request: &Request) {
        let found = tag(&request.headers, &HeaderName::To).and_then(|t| self.legs.by_tag.get(&t).copied());
        let leg = found.and_then(|id| self.legs.by_id.get_mut(&id).map(|l| (id, l)));
        let Some((id, leg)) = leg.filter(|(_, l)| l.dialog.as_ref().is_some_and(|d| d.is_from(request))) else {
            return self.reply(now, key, request, 481, &[]);
        };
        let Some(dialog) = leg.dialog.as_mut() else { return };
        let number = cseq(&request.headers).unwrap_or(0);
        if number <= dialog.remote_cseq && dialog.remote_cseq != 0 {
            return self.reply(now, key, request, 500, &[]); // §12.2.2: out of order
        }
        dialog.remote_cseq = number;
        if let Some(peer) = self.legs.current.clone() {
            dialog.peer = peer; // a reconnected stream, a rebound NAT
        }
        match request.method {
            Method::Bye => {
                // §15.1.2: a BYE before our answer ends the INVITE, too.
                if matches!(leg.state, State::Offered { .. }) {
                    self.end_offered(now, id, 487);
                }
                self.legs.remove(id);
                self.reply(now, key, request, 200, &[]);
                self.events.push_back(SipEvent::Ended { leg: id, cause: EndCause::Bye });
            }
            Method::Invite | Method::Update => self.reoffered(now, key, request, id),
            Method::Info => {
                let digit = info_digit(request);
                self.reply(now, key, request, 200, &[]);
                if let Some(digit) = digit {
                    self.events.push_back(SipEvent::InfoDigit { leg: id, digit });
                }
            }
            Method::Options => self.reply(now, key, request, 200, &[allow()]),
            _ => self.reply(now, key, request, 405, &[allow()]),
        }
    }

    fn reoffered(&mut self, now: Instant, key: &TransactionKey, request: &Request, id: LegId) {
        let Some(leg) = self.legs.by_id.get_mut(&id) else { return };
        let busy = leg.dialog.as_ref().is_some_and(|d| d.await_ack.is_some());
        match &mut leg.state {
            State::Up { reoffer: None } if !busy || request.method == Method::Update => {}
            // §14.2: one at a time; they may try again.
            State::Up { .. } | State::Offered { .. } => return self.reply(now, key, request, 500, &[(HeaderName::RetryAfter, "2".into())]),
            State::Calling { .. } => return self.reply(now, key, request, 491, &[]),
        }
        if let Some(dialog) = leg.dialog.as_mut() {
            dialog.refresh_target(request);
        }
        let offer = sdp(&request.headers, request.body());
        if request.method == Method::Update && offer.is_none() {
            return self.reply(now, key, request, 200, &[]); // a target or timer refresh
        }
        leg.state = State::Up { reoffer: Some((key.clone(), Box::new(request.clone()))) };
        self.events.push_back(SipEvent::Reoffer { leg: id, sdp: offer });
    }
}

/// A digit in an INFO: `application/dtmf-relay` (`Signal=5`) or `application/dtmf` (`5`).
fn info_digit(request: &Request) -> Option<char> {
    let kind = value(&request.headers, &HeaderName::ContentType)?.to_ascii_lowercase();
    let body = String::from_utf8_lossy(request.body()).into_owned();
    let text = if kind.starts_with("application/dtmf-relay") {
        body.lines().find_map(|l| l.split_once('=').filter(|(n, _)| n.trim().eq_ignore_ascii_case("signal")).map(|(_, v)| v.trim().to_owned()))?
    } else if kind.starts_with("application/dtmf") {
        body.trim().to_owned()
    } else {
        return None;
    };
    match text.as_str() {
        "10" => Some('*'),
        "11" => Some('#'),
        _ => text.chars().next().map(|c| c.to_ascii_uppercase()).filter(|c| c.is_ascii_digit() || matches!(c, '*' | '#' | 'A'..='D')),
    }
}

/// What we are told to do.
impl Core {
    pub(super) fn obey(&mut self, now: Instant, command: SipCommand) {
        match command {
            SipCommand::Ring { leg } => self.provisional(now, leg, 180),
            SipCommand::Answer { leg, sdp } => {
                let Some(entry) = self.legs.by_id.get_mut(&leg) else { return };
                if let State::Offered { key, invite } = std::mem::replace(&mut entry.state, State::Up { reoffer: None }) {
                    self.accept(now, leg, &key, &invite, &sdp, true);
                }
            }
            SipCommand::Reject { leg, code, reason } => {
                debug!(leg = leg.0, code, reason, "rejecting");
                self.end_offered(now, leg, code);
            }
            SipCommand::Invite { leg, ext, from_user, from_display, headers, sdp } => {
                self.call(now, leg, &ext, (&from_user, from_display.as_deref()), &headers, &sdp);
            }
            SipCommand::Cancel { leg } => self.cancel(now, leg),
            SipCommand::Bye { leg, reason } => self.bye(now, leg, reason),
            SipCommand::AnswerReoffer { leg, sdp } => self.answer_reoffer(now, leg, sdp),
        }
    }

    fn provisional(&mut self, now: Instant, leg: LegId, code: u16) {
        let Some(Leg { state: State::Offered { key, invite }, dialog: Some(dialog) }) = self.legs.by_id.get(&leg) else { return };
        let (key, tag, contact) = (key.clone(), dialog.local_tag.clone(), self.contact(&dialog.peer));
        if let Some(response) = response(invite, code, phrase(code), Some(&tag), &[(HeaderName::Contact, contact)], None) {
            self.respond(now, &key, response);
        }
    }

    fn answer_reoffer(&mut self, now: Instant, leg: LegId, sdp: Result<String, u16>) {
        let Some(entry) = self.legs.by_id.get_mut(&leg) else { return };
        let State::Up { reoffer } = &mut entry.state else { return };
        let Some((key, request)) = reoffer.take() else { return };
        match sdp {
            Ok(sdp) => self.accept(now, leg, &key, &request, &sdp, false),
            Err(code) => self.reply(now, &key, &request, code, &[]),
        }
    }

    /// Ends a leg, whatever it is: BYE when it is up, a final answer or CANCEL before.
    pub(super) fn bye(&mut self, now: Instant, leg: LegId, reason: Option<String>) {
        match self.legs.by_id.get(&leg).map(|l| &l.state) {
            Some(State::Offered { .. }) => return self.end_offered(now, leg, 480),
            Some(State::Calling { .. }) => return self.cancel(now, leg),
            Some(State::Up { .. }) => {}
            None => return,
        }
        let Some(Leg { state, dialog: Some(mut dialog) }) = self.legs.remove(leg) else { return };
        if let State::Up { reoffer: Some((key, request)) } = state {
            self.reply(now, &key, &request, 487, &[]);
        }
        self.send_bye(now, &mut dialog, reason);
    }

    fn send_bye(&mut self, now: Instant, dialog: &mut Dialog, reason: Option<String>) {
        let (via, contact) = (self.via(&dialog.peer), self.contact(&dialog.peer));
        let more: Vec<_> = reason.map(|r| (HeaderName::Reason, r)).into_iter().collect();
        if let Some(bye) = dialog.request(Method::Bye, via, &contact, &more) {
            let peer = dialog.peer.clone();
            self.send_request(now, bye, peer);
        }
    }
}

/// Calls to outside.
impl Core {
    fn call(&mut self, now: Instant, leg: LegId, ext: &str, from: (&str, Option<&str>), more: &[(String, String)], body: &str) {
        let bindings = self.registrar.contacts(now, ext);
        if bindings.is_empty() {
            let reason = format!("{ext} is not registered");
            self.events.push_back(SipEvent::Failed { leg, code: 480, reason });
            return;
        }
        self.legs.by_id.insert(leg, Leg { state: State::Calling { cancelled: false, failure: None }, dialog: None });
        for binding in bindings {
            let (via, tag, call_id) = (self.via(&binding.peer), self.token(), self.token());
            let display = from.1.map(|d| format!("\"{}\" ", d.replace(['"', '\\', '\r', '\n'], ""))).unwrap_or_default();
            let user: String = from.0.chars().filter(|c| c.is_ascii_alphanumeric() || "+-_.".contains(*c)).collect();
            let user = if user.is_empty() { "anonymous".to_owned() } else { user };
            let mut headers = vec![
                (HeaderName::Via, via),
                (HeaderName::MaxForwards, "70".into()),
                (HeaderName::From, format!("{display}<sip:{user}@{}>;tag={tag}", self.config.domain)),
                (HeaderName::To, format!("<sip:{ext}@{}>", self.config.domain)),
                (HeaderName::CallId, format!("{call_id}@{}", self.config.domain)),
                (HeaderName::CSeq, "1 INVITE".into()),
                (HeaderName::Contact, self.contact(&binding.peer)),
                allow(),
                (HeaderName::UserAgent, self.config.user_agent.clone()),
            ];
            headers.extend(more.iter().map(|(n, v)| (HeaderName::parse(&n.clone().into_bytes().into()), v.replace(['\r', '\n'], " "))));
            let key = request(Method::Invite, &binding.uri, headers, Some(body)).and_then(|invite| self.send_request(now, invite, binding.peer));
            if let Some(key) = key {
                self.branches.insert(key, Branch { leg, provisional: false, cancel: false, cancel_sent: false, over: false, won: Vec::new() });
            }
        }
        self.settle(leg);
    }

    /// A response to one of our requests. Only INVITE's matter to a leg.
    pub(super) fn answered(&mut self, now: Instant, key: &TransactionKey, response: &Response) {
        let code = response.status.code();
        let Some(branch) = self.branches.get_mut(key) else { return };
        let leg = branch.leg;
        match code {
            100..200 => {
                branch.provisional = true;
                if branch.cancel {
                    return self.send_cancel(now, key);
                }
                if code > 100 {
                    self.events.push_back(SipEvent::Progress { leg, code });
                }
            }
            200..300 => self.taken(now, key, response),
            _ => {
                branch.over = true;
                let reason = String::from_utf8_lossy(&response.reason).into_owned();
                self.failed(leg, code, reason);
            }
        }
    }

    pub(super) fn unanswered(&mut self, _now: Instant, key: &TransactionKey, code: u16) {
        if let Some(branch) = self.branches.get_mut(key) {
            branch.over = true;
            let leg = branch.leg;
            self.failed(leg, code, phrase(code).to_owned());
        }
    }

    /// A 2xx after its transaction is gone can only be acknowledged if its leg is: nothing is known of it any more.
    pub(super) fn stray_response(&mut self, response: &Response) {
        debug!(code = response.status.code(), "response to nothing of ours");
    }

    fn taken(&mut self, now: Instant, key: &TransactionKey, response: &Response) {
        let Some(invite) = self.layer.client_request(key).cloned() else { return };
        let Some(peer) = self.peers.get(key).cloned() else { return };
        let Some(branch) = self.branches.get_mut(key) else { return };
        let (leg, theirs) = (branch.leg, tag(&response.headers, &HeaderName::To).unwrap_or_default());
        branch.over = true;
        if let Some((_, ack)) = branch.won.iter().find(|(t, _)| *t == theirs) {
            let ack = ack.clone();
            return self.send(Message::Request(ack), peer); // our ACK was lost
        }
        let Some(mut dialog) = Dialog::from_answer(&invite, response, peer.clone()) else { return };
        let (via, contact) = (self.via(&peer), self.contact(&peer));
        let Some(ack) = dialog.request(Method::Ack, via, &contact, &[]) else { return };
        self.send(Message::Request(ack.clone()), peer);
        if let Some(branch) = self.branches.get_mut(key) {
            branch.won.push((theirs, ack));
        }
        let wanted = matches!(self.legs.by_id.get(&leg).map(|l| &l.state), Some(State::Calling { cancelled: false, .. }));
        if !wanted {
            // Another place answered first, or we had given up: this one is ended as it begins (§13.2.2.4).
            self.send_bye(now, &mut dialog, Some("SIP;cause=200;text=\"Call completed elsewhere\"".into()));
            return self.settle(leg);
        }
        self.legs.by_tag.insert(dialog.local_tag.clone(), leg);
        self.legs.by_id.insert(leg, Leg { state: State::Up { reoffer: None }, dialog: Some(dialog) });
        self.events.push_back(SipEvent::Answered { leg, sdp: sdp(&response.headers, response.body()) });
        let others: Vec<_> = self.branches.iter().filter(|(k, b)| b.leg == leg && *k != key && !b.over).map(|(k, _)| k.clone()).collect();
        for other in others {
            self.cancel_branch(now, &other);
        }
    }

    fn cancel(&mut self, now: Instant, leg: LegId) {
        let Some(entry) = self.legs.by_id.get_mut(&leg) else { return };
        match &mut entry.state {
            State::Calling { cancelled, .. } => *cancelled = true,
            State::Up { .. } => return self.bye(now, leg, None), // the 200 crossed our CANCEL
            State::Offered { .. } => return,
        }
        let branches: Vec<_> = self.branches.iter().filter(|(_, b)| b.leg == leg && !b.over).map(|(k, _)| k.clone()).collect();
        for key in branches {
            self.cancel_branch(now, &key);
        }
        self.settle(leg);
    }

    fn cancel_branch(&mut self, now: Instant, key: &TransactionKey) {
        if let Some(branch) = self.branches.get_mut(key) {
            branch.cancel = true;
            if branch.provisional {
                self.send_cancel(now, key); // §9.1: not before a provisional response
            }
        }
    }

    fn send_cancel(&mut self, now: Instant, key: &TransactionKey) {
        let sent = self.branches.get_mut(key).is_none_or(|b| std::mem::replace(&mut b.cancel_sent, true));
        let (Some(invite), Some(peer)) = (self.layer.client_request(key), self.peers.get(key).cloned()) else { return };
        if sent {
            return;
        }
        let copy = |name: HeaderName| value(&invite.headers, &name).map(|v| (name, v));
        let mut headers: Vec<_> = [HeaderName::Via, HeaderName::MaxForwards, HeaderName::From, HeaderName::To, HeaderName::CallId].into_iter().filter_map(copy).collect();
        headers.push((HeaderName::CSeq, format!("{} CANCEL", cseq(&invite.headers).unwrap_or(1))));
        if let Some(cancel) = request(Method::Cancel, &invite.uri.to_string(), headers, None) {
            self.send_request(now, cancel, peer);
        }
    }

    fn failed(&mut self, leg: LegId, code: u16, reason: String) {
        if let Some(Leg { state: State::Calling { failure, .. }, .. }) = self.legs.by_id.get_mut(&leg) {
            // §16.7: a 6xx decides, else the lowest class; the first of equals.
            let rank = |c: u16| if c >= 600 { 0 } else { c / 100 };
            if failure.as_ref().is_none_or(|(had, _)| rank(code) < rank(*had)) {
                *failure = Some((code, reason));
            }
        }
        self.settle(leg);
    }

    /// Tells of a call of ours that no branch can take any more.
    fn settle(&mut self, leg: LegId) {
        if self.branches.values().any(|b| b.leg == leg && !b.over) {
            return;
        }
        let Some(Leg { state: State::Calling { cancelled, failure }, .. }) = self.legs.by_id.get_mut(&leg) else { return };
        let (code, reason) = if *cancelled { (487, phrase(487).to_owned()) } else { failure.take().unwrap_or((503, phrase(503).to_owned())) };
        self.legs.remove(leg);
        self.events.push_back(SipEvent::Failed { leg, code, reason });
    }
}
