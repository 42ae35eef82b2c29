//! The two legs of a call as far as the call must know them: what it takes to end each. Dialogs and ports are the driver's.
//!
//! What must always hold: an agent who was promised is released exactly once, and a leg that was begun is ended exactly
//! once, by one function for each leg, whatever state it is in.

use std::time::Duration;

use crate::api::{Action, HangUpCause};

/// Which of a call's legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leg {
    /// Who called.
    Caller,
    /// Who is to help. One at a time.
    Agent,
}

impl Leg {
    /// As it stands in the call record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
        }
    }
}

/// The caller's leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallerLeg {
    /// 200 sent.
    Answered,
    /// ACK received.
    Confirmed,
    /// Ended, by whomever.
    Gone,
}

impl CallerLeg {
    /// The ACK came. `false`: it was there already.
    pub fn confirmed(&mut self) -> bool {
        let first = *self == Self::Answered;
        if first {
            *self = Self::Confirmed;
        }
        first
    }

    /// The caller ended it.
    pub fn gone(&mut self) {
        *self = Self::Gone;
    }

    /// We end it.
    pub fn end(&mut self, cause: HangUpCause) -> Option<Action> {
        let live = *self != Self::Gone;
        *self = Self::Gone;
        live.then_some(Action::HangUp { leg: Leg::Caller, cause })
    }
}

/// The agent's leg, with who is at its end. From the promise on it holds the only note of the promised extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AgentLeg {
    /// Nobody is promised.
    None,
    /// Promised; no INVITE sent.
    Promised(String),
    /// INVITE sent.
    Inviting(String),
    /// Answered.
    Up(String),
}

impl AgentLeg {
    /// An agent is promised. `false`: there is one already.
    pub fn promise(&mut self, extension: &str) -> bool {
        let free = *self == Self::None;
        if free {
            *self = Self::Promised(extension.to_owned());
        }
        free
    }

    /// Sends the INVITE, if somebody is promised.
    pub fn invite(&mut self, timeout: Duration) -> Option<Action> {
        let Self::Promised(extension) = self else { return None };
        let extension = std::mem::take(extension);
        *self = Self::Inviting(extension.clone());
        Some(Action::RingAgent { extension, timeout })
    }

    /// The agent picked up. `false`: nobody was being rung.
    pub fn answered(&mut self) -> bool {
        let Self::Inviting(extension) = self else { return false };
        *self = Self::Up(std::mem::take(extension));
        true
    }

    /// Who is promised, rung or spoken with.
    pub fn extension(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Promised(e) | Self::Inviting(e) | Self::Up(e) => Some(e),
        }
    }

    /// The leg ended by itself. What is left to do: give the agent back.
    pub fn gone(&mut self) -> Option<Action> {
        let extension = self.extension()?.to_owned();
        *self = Self::None;
        Some(Action::ReleaseAgent { extension })
    }

    /// We end it, whatever state it is in, and give the agent back.
    pub fn end(&mut self, cause: HangUpCause) -> Vec<Action> {
        let leg = match self {
            Self::None | Self::Promised(_) => None,
            Self::Inviting(_) => Some(Action::CancelAgent),
            Self::Up(_) => Some(Action::HangUp { leg: Leg::Agent, cause }),
        };
        leg.into_iter().chain(self.gone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: Duration = Duration::from_secs(20);

    #[test]
    fn each_state_of_the_agents_leg_is_ended_by_what_it_needs_and_only_once() {
        let release = || Action::ReleaseAgent { extension: "1001".into() };
        let bye = Action::HangUp { leg: Leg::Agent, cause: HangUpCause::Normal };
        let mut leg = AgentLeg::None;
        assert!(leg.end(HangUpCause::Normal).is_empty());
        leg.promise("1001");
        assert!(!leg.promise("1002"), "one at a time");
        assert_eq!(leg.end(HangUpCause::Normal), [release()]);
        leg.promise("1001");
        assert!(leg.invite(RING).is_some() && leg.invite(RING).is_none());
        assert_eq!(leg.clone().end(HangUpCause::Normal), [Action::CancelAgent, release()]);
        assert!(leg.answered() && !leg.answered());
        assert_eq!(leg.end(HangUpCause::Normal), [bye, release()]);
        assert!(leg.end(HangUpCause::Normal).is_empty());
        assert!(!leg.answered(), "an answer that came too late");
    }

    #[test]
    fn the_callers_leg_is_ended_once() {
        let mut leg = CallerLeg::Answered;
        assert!(leg.confirmed() && !leg.confirmed());
        assert!(leg.end(HangUpCause::Normal).is_some());
        assert!(leg.end(HangUpCause::Normal).is_none());
        let mut leg = CallerLeg::Confirmed;
        leg.gone();
        assert!(leg.end(HangUpCause::Normal).is_none(), "a caller who hung up gets no BYE");
    }
}
