//! New offers of ours within a call: hold, resume, another codec or address, by re-INVITE, or by UPDATE before the call is
//! answered (RFC 3261 §14, RFC 3311).
//!
//! One exchange at a time: an offer waits while another is open, backs off on glare and tries again. Refused, the session is
//! what it was before.

use std::time::{Duration, Instant};

use rand::Rng;
use sipx_sip::TuEvent;
use tracing::{debug, info};

use super::transactions::{Purpose, T1, TIMEOUT, TxId};
use super::{Core, Deadline, Leg, LegTimer, Phase};
use crate::api::{LegId, SipEvent};
use crate::flow::Flow;
use crate::sdp::{self, Direction};
use crate::wire::{self, HeaderName, Method, Request};

/// How often an offer that meets one of theirs is tried again.
const TRIES: u32 = 8;

/// An offer of ours on its way to an answer.
#[derive(Debug)]
pub(super) struct Offering {
    sdp: String,
    state: Sent,
    tries: u32,
    /// What takes its place once it is over.
    then: Option<String>,
}

#[derive(Debug)]
enum Sent {
    /// Another exchange is open.
    Waiting,
    /// Glare: again at that time.
    Backing(Instant),
    /// By this transaction. What we had said before.
    By(TxId, Option<String>),
}

impl Core {
    pub(super) fn offer_direction(&mut self, now: Instant, leg: LegId, direction: Direction) {
        let current = self.legs.get(&leg).and_then(|l| {
            let next = l.offering.as_ref().map(|o| o.then.as_ref().unwrap_or(&o.sdp));
            Some(sdp::with_direction(next.or(l.described.as_ref())?, direction))
        });
        match current {
            Some(sdp) => self.reoffer(now, leg, sdp),
            None => debug!(leg = leg.0, "nothing was described yet: no hold"),
        }
    }

    pub(super) fn reoffer(&mut self, now: Instant, leg: LegId, sdp: String) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        match &mut state.offering {
            Some(offering) if matches!(offering.state, Sent::By(..)) => offering.then = Some(sdp),
            Some(offering) => offering.sdp = sdp,
            none => *none = Some(Box::new(Offering { sdp, state: Sent::Waiting, tries: 0, then: None })),
        }
        self.try_offer(now, leg);
    }

    /// Sends the offer that waits, if nothing else is open.
    pub(super) fn try_offer(&mut self, now: Instant, leg: LegId) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let Some(offering) = &mut state.offering else { return };
        let sdp = match offering.state {
            Sent::Waiting => offering.sdp.clone(),
            Sent::Backing(at) if now >= at => offering.sdp.clone(),
            Sent::Backing(_) | Sent::By(..) => return,
        };
        let busy = state.reoffer.is_some() || state.unacked.is_some() || state.refreshing.is_some();
        if busy || state.bye.is_some() {
            return;
        }
        let Some((mut request, flow)) = self.offer_request(leg) else { return };
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let before = state.described.clone();
        let described = Self::describe(state, &sdp);
        let (user, timer) = (state.user.clone(), state.timer.as_ref().map(super::session::SessionTimer::interval));
        let headers = &mut request.headers;
        wire::push(headers, HeaderName::Contact, Self::contact(&user, flow));
        wire::push(headers, HeaderName::Allow, wire::ALLOW);
        wire::push(headers, HeaderName::Supported, wire::SUPPORTED_WITHIN);
        if let Some(interval) = timer {
            wire::push(headers, HeaderName::SessionExpires, interval.to_string());
        }
        let ack = state.dialog.clone().filter(|_| request.method == Method::Invite).map(Box::new);
        let id = self.send_request(now, request, flow, Some(&described), Purpose::Refresh(leg, ack));
        let (Some(state), Some(id)) = (self.legs.get_mut(&leg), id) else { return };
        state.refreshing = Some(id);
        if let Some(offering) = &mut state.offering {
            offering.state = Sent::By(id, before);
        }
        self.timers.set(now + TIMEOUT + T1, Deadline::GiveUp(id));
    }

    /// The request that can carry an offer now: re-INVITE once the call is answered; before, UPDATE where the first offer has
    /// its answer already and the peer takes UPDATE.
    fn offer_request(&mut self, leg: LegId) -> Option<(Request, Flow)> {
        let state = self.legs.get_mut(&leg)?;
        match &state.phase {
            Phase::Up => Some(state.dialog.as_mut()?.request(Method::Invite)),
            Phase::Incoming { .. } => {
                let agreed = state.peer_updates && state.reliable.as_ref().is_some_and(|r| r.described);
                agreed.then_some(state.dialog.as_mut()?.request(Method::Update))
            }
            Phase::Placing(placing) => {
                let forks = placing.forks.clone();
                forks.into_iter().find_map(|id| {
                    let early = self.tx.fork_mut(id)?.early.iter_mut().find(|e| e.agreed && e.updates)?;
                    Some(early.dialog.request(Method::Update))
                })
            }
        }
    }

    /// A response to, or the failure of, an offer of ours. `false` if this transaction was none.
    pub(super) fn on_offer_event(&mut self, now: Instant, id: TxId, leg: LegId, code: u16, event: &TuEvent) -> bool {
        let Some(state) = self.legs.get_mut(&leg) else { return false };
        let Some(offering) = state.offering.as_mut() else { return false };
        if !matches!(offering.state, Sent::By(by, _) if by == id) {
            return false;
        }
        let Sent::By(_, before) = std::mem::replace(&mut offering.state, Sent::Waiting) else { return false };
        if code == 491 && offering.tries < TRIES && offering.then.is_none() {
            offering.tries += 1;
            let at = now + self.back_off(leg);
            let Some(state) = self.legs.get_mut(&leg) else { return true };
            state.described = before;
            if let Some(offering) = &mut state.offering {
                offering.state = Sent::Backing(at);
            }
            self.timers.set(at, Deadline::Leg(leg, LegTimer::Offer));
            return true;
        }
        let then = offering.then.take();
        state.offering = then.clone().map(|sdp| Box::new(Offering { sdp, state: Sent::Waiting, tries: 0, then: None }));
        let outcome = match event {
            TuEvent::Response(response) if code < 300 => {
                if let (Some(dialog), Phase::Up) = (&mut state.dialog, &state.phase) {
                    dialog.refresh_target(&response.headers);
                }
                Ok(wire::sdp_of(&response.headers, response.body()))
            }
            _ => {
                info!(leg = leg.0, code, "our new offer was refused: the session stays as it was");
                state.described = before;
                Err(code)
            }
        };
        if then.is_none() {
            self.events.push_back(SipEvent::Reoffered { leg, sdp: outcome });
        }
        true
    }

    /// RFC 3261 §14.1: whoever chose the Call-ID waits 2.1 to 4 s, the other up to 2 s, in steps of 10 ms.
    pub(super) fn back_off(&mut self, leg: LegId) -> Duration {
        let ours = self.legs.get(&leg).is_some_and(|l: &Leg| l.placed);
        let steps = if ours { self.rng.random_range(210..=400) } else { self.rng.random_range(0..=200) };
        Duration::from_millis(steps * 10)
    }
}
