//! One agent: whether the phone is there, what the agent wishes, what is in hand. No rule about queues.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What an agent is doing, as supervisors see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// No phone is registered, or the agent has signed out.
    Offline,
    /// Can take a call.
    Ready,
    /// Promised to a call: the phone rings, or will once the case is recorded.
    Ringing,
    /// Picked up and hears the briefing.
    Briefing,
    /// Talks with a caller.
    Busy,
    /// Has work left from the last call.
    WrapUp,
    /// Takes no calls by their own wish, or because the phone rang out too often.
    Paused,
}

/// How an agent came out of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Released {
    /// Spoke with the caller: wrap-up begins.
    Talked,
    /// Refused it, or heard the briefing and did not take it: last in line.
    Declined,
    /// Did not pick up, or could not be reached: last in line, and one more missed call.
    Missed,
    /// Was not needed after all: the caller left, a colleague was faster, the case was not recorded. Keeps the place in line.
    NotNeeded,
}

/// What an agent has in hand, apart from whether their phone is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing, since then. `None`: never had a call nor a phone.
    Idle(Option<Instant>),
    Ringing,
    Briefing,
    Busy,
    WrapUp {
        until: Instant,
    },
}

/// One agent.
#[derive(Debug)]
pub(crate) struct Agent {
    /// The phone is there. Phones that do not register here (behind a trunk, outside) always are.
    pub registered: bool,
    /// The agent has gone home, whatever the phone does.
    pub signed_out: bool,
    /// Takes no calls, and why.
    pub paused: Option<String>,
    pub work: Work,
    pub wrap_up: Duration,
    pub skills: BTreeSet<String>,
    /// Joined only by a key: what picks up there may be a mailbox.
    pub must_accept: bool,
    /// Calls that rang out in a row.
    pub missed: u32,
    /// Calls taken, for who is to share them evenly.
    pub taken: u64,
    /// Idle since, as it was before the promise.
    before: Option<Instant>,
}

impl Agent {
    pub fn new(wrap_up: Duration) -> Self {
        Self {
            registered: false,
            signed_out: false,
            paused: None,
            work: Work::Idle(None),
            wrap_up,
            skills: BTreeSet::new(),
            must_accept: false,
            missed: 0,
            taken: 0,
            before: None,
        }
    }

    pub fn state(&self) -> AgentState {
        match self.work {
            Work::Ringing => AgentState::Ringing,
            Work::Briefing => AgentState::Briefing,
            Work::Busy => AgentState::Busy,
            _ if !self.registered || self.signed_out => AgentState::Offline,
            _ if self.paused.is_some() => AgentState::Paused,
            Work::WrapUp { .. } => AgentState::WrapUp,
            Work::Idle(_) => AgentState::Ready,
        }
    }

    /// At work: free now, or after the call in hand.
    pub fn is_staffed(&self) -> bool {
        self.registered && !self.signed_out && self.paused.is_none()
    }

    pub fn is_promised(&self) -> bool {
        matches!(self.work, Work::Ringing | Work::Briefing | Work::Busy)
    }

    pub fn promise(&mut self) {
        self.before = self.idle_since();
        self.work = Work::Ringing;
    }

    /// The call is done with the agent.
    pub fn release(&mut self, now: Instant, how: Released) {
        self.missed = match how {
            Released::Missed => self.missed.saturating_add(1),
            Released::NotNeeded => self.missed,
            Released::Talked | Released::Declined => 0,
        };
        self.taken += u64::from(how == Released::Talked);
        self.work = match how {
            Released::Talked if !self.wrap_up.is_zero() => Work::WrapUp { until: now + self.wrap_up },
            Released::NotNeeded => Work::Idle(self.before.or(Some(now))),
            _ => Work::Idle(Some(now)),
        };
    }

    pub fn idle_since(&self) -> Option<Instant> {
        match self.work {
            Work::Idle(since) => since,
            _ => None,
        }
    }

    pub fn wraps_until(&self) -> Option<Instant> {
        match self.work {
            Work::WrapUp { until } => Some(until),
            _ => None,
        }
    }
}
