//! The legs of a call as far as the call must know them: what it takes to end each. Dialogs and ports are the driver's.
//!
//! What must always hold: an agent who was promised is released exactly once, and a leg that was begun is ended exactly
//! once, by one function for each leg, whatever state it is in.

use std::time::Duration;

use crate::api::{Action, HangUpCause, Offered, Released};

/// Which of a call's legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leg {
    /// Who called.
    Caller,
    /// Who is to help. One at a time.
    Agent,
    /// Whom the agent asks, or passes the caller on to.
    Third,
    /// Who listens in.
    Supervisor,
}

impl Leg {
    /// As it stands in the call record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
            Self::Third => "third",
            Self::Supervisor => "supervisor",
        }
    }
}

/// The caller's leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallerLeg {
    /// A callback, and not called yet.
    Absent,
    /// A callback: INVITE sent.
    Calling,
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

    /// The caller is called.
    pub fn call(&mut self) {
        *self = Self::Calling;
    }

    /// The caller picked up. `false`: nobody was called.
    pub fn picked_up(&mut self) -> bool {
        let called = *self == Self::Calling;
        if called {
            *self = Self::Confirmed;
        }
        called
    }

    /// Can hear and be heard, or will in a moment.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Answered | Self::Confirmed)
    }

    /// The caller ended it.
    pub fn gone(&mut self) {
        *self = Self::Gone;
    }

    /// We end it.
    pub fn end(&mut self, cause: HangUpCause) -> Option<Action> {
        let live = !matches!(self, Self::Gone | Self::Absent);
        *self = Self::Gone;
        live.then_some(Action::HangUp { leg: Leg::Caller, cause })
    }
}

/// The agents' legs, with who is at their ends. From the promise on it holds the only note of who is promised. Several are
/// promised and rung at once, where the queue says so; at most one is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AgentLeg {
    /// Nobody is promised.
    None,
    /// Promised; no INVITE sent.
    Promised(Vec<Offered>),
    /// INVITE sent.
    Inviting(Vec<Offered>),
    /// Answered.
    Up(Offered),
}

impl AgentLeg {
    /// Agents are promised. `false`: there are some already, or nobody was.
    pub fn promise(&mut self, agents: Vec<Offered>) -> bool {
        let free = *self == Self::None && !agents.is_empty();
        if free {
            *self = Self::Promised(agents);
        }
        free
    }

    /// Sends the INVITEs, if somebody is promised.
    pub fn invite(&mut self, timeout: Duration) -> Vec<Action> {
        let Self::Promised(agents) = self else { return Vec::new() };
        let agents = std::mem::take(agents);
        let ring = |a: &Offered| Action::RingAgent { extension: a.extension.clone(), timeout };
        let actions = agents.iter().map(ring).collect();
        *self = Self::Inviting(agents);
        actions
    }

    /// The agent picked up: what is left to do is to stop ringing the others. `None`: this one was not being rung.
    pub fn answered(&mut self, extension: &str) -> Option<Vec<Action>> {
        let Self::Inviting(agents) = self else { return None };
        let at = agents.iter().position(|a| a.extension == extension)?;
        let winner = agents.remove(at);
        let cancelled = |a: &Offered| {
            let extension = a.extension.clone();
            [
                Action::CancelAgent { extension: extension.clone(), cause: HangUpCause::AnsweredElsewhere },
                Action::ReleaseAgent { extension, how: Released::NotNeeded },
            ]
        };
        let actions = agents.iter().flat_map(cancelled).collect();
        *self = Self::Up(winner);
        Some(actions)
    }

    /// One of several phones that ring did not take it. What is left to do; `None`: it is the last one, or was not rung.
    pub fn one_less(&mut self, extension: &str, how: Released) -> Option<Action> {
        let Self::Inviting(agents) = self else { return None };
        let at = agents.iter().position(|a| a.extension == extension).filter(|_| agents.len() > 1)?;
        let extension = agents.remove(at).extension;
        Some(Action::ReleaseAgent { extension, how })
    }

    /// Who is promised, rung or spoken with.
    pub fn extensions(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::Promised(agents) | Self::Inviting(agents) => agents.iter().map(|a| a.extension.clone()).collect(),
            Self::Up(a) => vec![a.extension.clone()],
        }
    }

    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up(_))
    }

    pub fn is_ringing(&self, extension: &str) -> bool {
        matches!(self, Self::Inviting(agents) if agents.iter().any(|a| a.extension == extension))
    }

    /// Whether who picked up must press a key to be joined.
    pub fn must_accept(&self) -> bool {
        matches!(self, Self::Up(a) if a.must_accept)
    }

    /// The leg ended by itself. What is left to do: give the agents back.
    pub fn gone(&mut self, how: Released) -> Vec<Action> {
        let release = |extension| Action::ReleaseAgent { extension, how };
        let actions = self.extensions().into_iter().map(release).collect();
        *self = Self::None;
        actions
    }

    /// We end it, whatever state it is in, and give the agents back.
    pub fn end(&mut self, cause: HangUpCause, how: Released) -> Vec<Action> {
        let mut actions = match self {
            Self::None | Self::Promised(_) => Vec::new(),
            Self::Inviting(agents) => {
                let cancel = |a: &Offered| Action::CancelAgent { extension: a.extension.clone(), cause };
                agents.iter().map(cancel).collect()
            }
            Self::Up(_) => vec![Action::HangUp { leg: Leg::Agent, cause }],
        };
        actions.extend(self.gone(how));
        actions
    }
}

/// A leg beside caller and agent: a third party, a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SideLeg {
    /// There is none.
    None,
    /// INVITE sent.
    Calling,
    /// Answered.
    Up,
}

impl SideLeg {
    /// We end it.
    pub fn end(&mut self, leg: Leg, cause: HangUpCause) -> Option<Action> {
        let live = *self != Self::None;
        *self = Self::None;
        live.then_some(Action::HangUp { leg, cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: Duration = Duration::from_secs(20);

    fn agents(extensions: &[&str]) -> Vec<Offered> {
        let offered = |e: &&str| Offered { extension: (*e).into(), must_accept: false };
        extensions.iter().map(offered).collect()
    }

    fn cancel(extension: &str, cause: HangUpCause) -> Action {
        Action::CancelAgent { extension: extension.into(), cause }
    }

    fn release(extension: &str) -> Action {
        Action::ReleaseAgent { extension: extension.into(), how: Released::NotNeeded }
    }

    #[test]
    fn each_state_of_the_agents_leg_is_ended_by_what_it_needs_and_only_once() {
        let end = |leg: &mut AgentLeg| leg.end(HangUpCause::Normal, Released::NotNeeded);
        let bye = Action::HangUp { leg: Leg::Agent, cause: HangUpCause::Normal };
        let mut leg = AgentLeg::None;
        assert!(end(&mut leg).is_empty());
        assert!(!leg.promise(Vec::new()), "nobody");
        leg.promise(agents(&["1001"]));
        assert!(!leg.promise(agents(&["1002"])), "one offer at a time");
        assert_eq!(end(&mut leg), [release("1001")]);
        leg.promise(agents(&["1001"]));
        assert!(leg.invite(RING).len() == 1 && leg.invite(RING).is_empty());
        assert_eq!(end(&mut leg.clone()), [cancel("1001", HangUpCause::Normal), release("1001")]);
        assert_eq!(leg.answered("1001"), Some(Vec::new()));
        assert_eq!(leg.answered("1001"), None);
        assert_eq!(end(&mut leg), [bye, release("1001")]);
        assert!(end(&mut leg).is_empty());
        assert_eq!(leg.answered("1001"), None, "an answer that came too late");
    }

    #[test]
    fn of_several_phones_the_first_that_answers_stops_the_others() {
        let mut leg = AgentLeg::None;
        leg.promise(agents(&["1", "2", "3", "4"]));
        assert_eq!(leg.invite(RING).len(), 4);
        assert_eq!(leg.one_less("2", Released::NotNeeded), Some(release("2")));
        assert_eq!(leg.one_less("2", Released::NotNeeded), None);
        let elsewhere = HangUpCause::AnsweredElsewhere;
        let stopped = vec![cancel("1", elsewhere), release("1"), cancel("4", elsewhere), release("4")];
        assert_eq!(leg.answered("3"), Some(stopped));
        assert_eq!((leg.answered("1"), leg.extensions()), (None, vec!["3".to_owned()]));
        let mut last = AgentLeg::Inviting(agents(&["1"]));
        assert_eq!(last.one_less("1", Released::Missed), None, "the last one is the end of the ringing");
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
        let mut leg = CallerLeg::Absent;
        assert!(leg.end(HangUpCause::Normal).is_none() && !leg.confirmed(), "nobody was called yet");
        let mut leg = CallerLeg::Calling;
        assert!(leg.end(HangUpCause::Normal).is_some());
    }
}
