//! The end, from whichever side and in whatever phase: one function ends the legs, settles the disposition and closes the
//! record. A caller who hangs up is handled here and nowhere else.

use std::time::Instant;

use crate::api::{Action, CallerGone, HangUpCause, LeftQueue};
use crate::leg::{CallerLeg, Leg};
use crate::record::{By, MediaStats, Termination};
use crate::timer::{self, Timer};

use super::{Call, Phase, termination};

impl Call {
    pub(super) fn caller_gone(&mut self, now: Instant, cause: CallerGone, sip: u16) {
        let (cause, by) = match cause {
            CallerGone::Hangup => ("hangup", By::Caller),
            CallerGone::Cancel => ("cancelled", By::Caller),
            CallerGone::NoAck => ("no_ack", By::Carrier),
            CallerGone::Fault => ("fault", By::Carrier),
        };
        self.caller.gone();
        self.end(now, termination(cause, by, sip), HangUpCause::OtherSideGone);
    }

    /// Ends every leg that is still there: the agent's first, who may be hearing a briefing for a caller who is gone.
    pub(super) fn end(&mut self, now: Instant, termination: Termination, cause: HangUpCause) {
        self.part();
        self.end_agent(cause);
        self.end_sides(cause);
        self.leave_queue(LeftQueue::Abandoned);
        self.keep_promise();
        let caller = self.caller.end(cause);
        self.act_all(caller);
        self.stop_talking();
        self.hold_music(false);
        self.timers.stop_all();
        let lines: Vec<_> = self.lines.drain().collect();
        for line in lines.iter().rev() {
            self.keeper.line_cut(line); // the last one first: a turn that goes moves none of theirs
        }
        self.keeper.settle(self.flow.abandoned());
        self.keeper.ended(now, &self.intake, termination);
        self.phase = Phase::Closing;
        self.timers.set(Timer::FinalSave, now + timer::FINAL_SAVE);
        self.close_if_done();
    }

    /// A callback that ends before its caller was there is still owed.
    fn keep_promise(&mut self) {
        let owed = matches!(self.caller, CallerLeg::Absent | CallerLeg::Calling);
        if let Some(mut ticket) = self.ticket.take().filter(|_| owed)
            && let Some(since) = self.waited.as_ref().map(|w| w.since)
        {
            ticket.tries = ticket.tries.saturating_sub(1); // it was none
            self.act(Action::KeepPlace { ticket, since });
        }
    }

    pub(super) fn port_closed(&mut self, leg: Leg, stats: MediaStats) {
        self.ports_open = self.ports_open.saturating_sub(1);
        self.keeper.media(leg, stats);
        self.close_if_done();
    }

    /// Completes the record as soon as nothing is missing.
    pub(super) fn close_if_done(&mut self) {
        if matches!(self.phase, Phase::Closing) && self.ports_open == 0 && self.cases_open == 0 {
            self.complete();
        }
    }

    pub(super) fn complete(&mut self) {
        self.timers.stop_all();
        self.phase = Phase::Ended;
        self.act(Action::CompleteRecord);
    }
}
