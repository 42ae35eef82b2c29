//! A call that we begin: the promised callback. The agent is rung and briefed first; once the agent has taken it, the caller
//! is called, and the two are joined when the caller picks up. Nobody is called for whom no agent is there.

use std::sync::Arc;
use std::time::Instant;

use baton_intake::Flow;
use jiff::Timestamp;

use crate::api::{Action, HangUpCause, LeftQueue, Setup};
use crate::leg::{CallerLeg, Leg};
use crate::record::By;
use crate::rules::Rules;
use crate::ticket::Ticket;
use crate::timer::Timer;
use crate::transfer::Transfer;

use super::queue::Waited;
use super::{Call, Phase, termination};

impl Call {
    /// Keeps a promise, when the queue has offered agents to its ticket: then feed [`crate::Input::AgentsOffered`]. `since`:
    /// the caller has waited since. The call's own id must be new; a ticket whose flow is gone cannot be kept.
    pub fn callback(
        now: Instant,
        wall: Timestamp,
        (call_id, flow): (String, Arc<Flow>),
        (mut ticket, since): (Ticket, Instant),
        rules: Arc<Rules>,
    ) -> Self {
        ticket.tries += 1;
        let setup =
            Setup { call_id, from: ticket.number.clone(), to: ticket.to.clone(), trunk: ticket.trunk.clone(), flow };
        let mut call = Self::blank(now, wall, setup, rules);
        call.caller = CallerLeg::Absent;
        call.ports_open = 0;
        let acknowledged = ticket.case.is_some();
        let rules = call.flow.transfer();
        let mut transfer = Transfer::again(now, ticket.trigger, ticket.queue.clone(), rules, acknowledged);
        transfer.since = since;
        call.waited = Some(Waited {
            trigger: ticket.trigger,
            disposition: ticket.disposition.clone(),
            queue: ticket.queue.clone(),
            since,
        });
        call.keeper.calls_back(now, &ticket);
        call.phase = Phase::Transferring(transfer);
        call.in_queue = true;
        call.ticket = Some(Box::new(ticket));
        call.timers.set(Timer::AgentSearch, now + crate::timer::AGENT_SEARCH);
        call.save();
        call
    }

    /// The agent has taken it: the caller is called.
    pub(super) fn call_back(&mut self, now: Instant) {
        let Some(number) = self.ticket.as_ref().map(|t| t.number.clone()).filter(|_| self.caller == CallerLeg::Absent)
        else {
            return;
        };
        self.stop_transfer_timers();
        if self.transfer().is_some_and(|t| t.line().is_some()) {
            self.act(Action::StopSpeech { leg: Leg::Agent });
        }
        self.phase = Phase::CallingBack;
        self.caller.call();
        self.ports_open += 1;
        let timeout = self.rules.outside_ring;
        self.act(Action::Dial { leg: Leg::Caller, to: number, timeout });
        self.timers.set(Timer::CallerRing, now + timeout);
        let line = self.new_line();
        let texts = vec![self.rules.lines.calling.clone()];
        self.act(Action::Say { line, leg: Leg::Agent, texts, interruptible: true });
        self.ringback(Leg::Agent, true);
    }

    /// The caller picked up.
    pub(super) fn caller_picked_up(&mut self, now: Instant) {
        if !self.caller.picked_up() {
            return;
        }
        self.timers.stop(Timer::CallerRing);
        self.act(Action::StopSpeech { leg: Leg::Agent });
        self.join(now);
    }

    /// The caller did not. `hang_up`: their phone still rings.
    pub(super) fn caller_unreached(&mut self, now: Instant, hang_up: bool) {
        if !matches!(self.phase, Phase::CallingBack) {
            return;
        }
        if !hang_up {
            self.caller.gone();
        }
        self.callback_failed(now, "unanswered", 408);
    }

    /// The promise could not be kept this time: it stays in line, or it was tried often enough.
    pub(super) fn callback_failed(&mut self, now: Instant, cause: &str, sip: u16) {
        let Some(ticket) = self.ticket.take() else { return };
        let since = self.waited.as_ref().map_or(now, |w| w.since);
        let again = ticket.tries < self.rules.callback_tries;
        let disposition = if again { self.flow.callback() } else { self.flow.abandoned() }.to_owned();
        self.keeper.settle(&disposition);
        self.leave_queue(LeftQueue::Callback);
        if again {
            self.act(Action::KeepPlace { ticket, since });
        }
        let by = if cause == "no_agent" { By::Agent } else { By::Caller };
        let why = if self.agent.is_up() { HangUpCause::OtherSideGone } else { HangUpCause::Normal };
        self.end(now, termination(cause, by, sip), why);
    }
}
