//! Who takes the call: agents, what they are doing, and the queues they serve. Pure: time comes in as an argument.
//!
//! What must always hold: an agent is promised to one call at a time; whoever is promised is given back exactly once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

/// What an agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// No phone is registered.
    Offline,
    /// Can take a call.
    Ready,
    /// Promised to a call; the phone rings or is about to.
    Ringing,
    /// Hears the briefing.
    Briefing,
    /// Talks with a caller.
    Busy,
    /// Has work left from the last call.
    WrapUp,
}

#[derive(Debug)]
struct Agent {
    registered: bool,
    state: AgentState,
    /// Since when they are in this state; decides who is longest idle.
    since: Option<Instant>,
}

#[derive(Debug)]
struct Queue {
    agents: Vec<String>,
    wrap_up: Duration,
}

/// All agents and queues.
#[derive(Debug)]
pub struct Pool {
    agents: BTreeMap<String, Agent>,
    queues: BTreeMap<String, Queue>,
}

impl Pool {
    /// A pool of queues: name, extensions, wrap-up time. Everybody starts offline.
    pub fn new(queues: impl IntoIterator<Item = (String, Vec<String>, Duration)>) -> Self {
        let queues: BTreeMap<String, Queue> =
            queues.into_iter().map(|(name, agents, wrap_up)| (name, Queue { agents, wrap_up })).collect();
        let agents = queues
            .values()
            .flat_map(|q| q.agents.iter().cloned())
            .map(|extension| (extension, Agent { registered: false, state: AgentState::Offline, since: None }))
            .collect();
        Self { agents, queues }
    }

    /// The extension's phone is there. Registrations are refreshed often: only the first one changes anything.
    pub fn registered(&mut self, now: Instant, extension: &str) {
        if let Some(agent) = self.agents.get_mut(extension) {
            agent.registered = true;
            if agent.state == AgentState::Offline {
                (agent.state, agent.since) = (AgentState::Ready, Some(now));
            }
        }
    }

    /// The extension's phone is gone. A call in progress goes on; nobody new is sent there.
    pub fn unregistered(&mut self, extension: &str) {
        if let Some(agent) = self.agents.get_mut(extension) {
            agent.registered = false;
            if matches!(agent.state, AgentState::Ready | AgentState::WrapUp) {
                agent.state = AgentState::Offline;
            }
        }
    }

    /// Promises the agent of `queue` who is idle longest, and none of `not`, to a call. `None`: nobody is ready.
    pub fn reserve(&mut self, now: Instant, queue: &str, not: &[String]) -> Option<String> {
        self.handle_timeout(now);
        let extension = self
            .queues
            .get(queue)?
            .agents
            .iter()
            .filter(|e| !not.contains(e))
            .filter_map(|e| self.agents.get(e).filter(|a| a.state == AgentState::Ready).map(|a| (a.since, e)))
            .min_by_key(|(since, _)| *since)
            .map(|(_, e)| e.clone())?;
        self.set(&extension, AgentState::Ringing, now);
        Some(extension)
    }

    /// The agent picked up and hears the briefing.
    pub fn answered(&mut self, now: Instant, extension: &str) {
        self.advance(now, extension, AgentState::Ringing, AgentState::Briefing);
    }

    /// The agent talks with the caller.
    pub fn talking(&mut self, now: Instant, extension: &str) {
        self.advance(now, extension, AgentState::Briefing, AgentState::Busy);
    }

    /// The call is done with the agent. Who talked has wrap-up time; who did not is idle again, last in line.
    pub fn released(&mut self, now: Instant, extension: &str, talked: bool) {
        let wrap_up = self.wrap_up(extension);
        let Some(agent) = self.agents.get(extension) else { return };
        if matches!(agent.state, AgentState::Ringing | AgentState::Briefing | AgentState::Busy) {
            let state = match (agent.registered, talked && !wrap_up.is_zero()) {
                (false, _) => AgentState::Offline,
                (true, true) => AgentState::WrapUp,
                (true, false) => AgentState::Ready,
            };
            self.set(extension, state, now);
        }
    }

    /// When the next wrap-up ends.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wrapping().map(|(_, until)| until).min()
    }

    /// Ends every wrap-up whose time is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        let over: Vec<String> = self.wrapping().filter(|(_, until)| *until <= now).map(|(e, _)| e.to_owned()).collect();
        for extension in over {
            self.set(&extension, AgentState::Ready, now);
        }
    }

    /// Everybody, by extension.
    pub fn states(&self) -> Vec<(String, AgentState)> {
        self.agents.iter().map(|(e, a)| (e.clone(), a.state)).collect()
    }

    fn wrapping(&self) -> impl Iterator<Item = (&str, Instant)> {
        self.agents
            .iter()
            .filter(|(_, a)| a.state == AgentState::WrapUp)
            .filter_map(|(e, a)| Some((e.as_str(), a.since? + self.wrap_up(e))))
    }

    fn wrap_up(&self, extension: &str) -> Duration {
        let of = |q: &&Queue| q.agents.iter().any(|e| e == extension);
        self.queues.values().filter(of).map(|q| q.wrap_up).max().unwrap_or_default()
    }

    fn advance(&mut self, now: Instant, extension: &str, from: AgentState, to: AgentState) {
        if self.agents.get(extension).is_some_and(|a| a.state == from) {
            self.set(extension, to, now);
        }
    }

    fn set(&mut self, extension: &str, state: AgentState, now: Instant) {
        if let Some(agent) = self.agents.get_mut(extension) {
            (agent.state, agent.since) = (state, Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn pool() -> (Pool, Instant) {
        let agents = ["1001", "1002", "1003"].map(str::to_owned).to_vec();
        (Pool::new([("support".to_owned(), agents, Duration::from_secs(5))]), Instant::now())
    }

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn the_longest_idle_is_first_and_the_declined_are_left_out() {
        let (mut pool, t) = pool();
        assert_eq!(pool.reserve(t, "support", &[]), None, "nobody is registered");
        for (i, e) in ["1002", "1001"].into_iter().enumerate() {
            pool.registered(t + S(i as u64), e);
        }
        assert_eq!(pool.reserve(t + S(9), "support", &[]).as_deref(), Some("1002"));
        pool.released(t + S(10), "1002", false);
        assert_eq!(pool.reserve(t + S(11), "support", &[]).as_deref(), Some("1001"), "1002 has just been rung");
        assert_eq!(pool.reserve(t + S(11), "support", &["1002".into()]), None);
        assert_eq!(pool.reserve(t + S(11), "nonsense", &[]), None);
    }

    #[test]
    fn wrap_up_is_over_when_its_time_is() {
        let (mut pool, t) = pool();
        pool.registered(t, "1001");
        pool.reserve(t, "support", &[]);
        pool.answered(t, "1001");
        pool.talking(t, "1001");
        pool.released(t + S(60), "1001", true);
        assert_eq!(pool.reserve(t + S(64), "support", &[]), None);
        assert_eq!(pool.poll_timeout(), Some(t + S(65)));
        assert_eq!(pool.reserve(t + S(65), "support", &[]).as_deref(), Some("1001"));
    }

    #[test]
    fn a_phone_that_vanishes_in_a_call_is_not_rung_again() {
        let (mut pool, t) = pool();
        pool.registered(t, "1001");
        pool.reserve(t, "support", &[]);
        pool.unregistered("1001");
        pool.released(t, "1001", false);
        assert_eq!(pool.reserve(t, "support", &[]), None);
        pool.registered(t, "1001");
        assert!(pool.reserve(t, "support", &[]).is_some());
    }

    #[test]
    fn no_agent_is_ever_promised_twice() {
        for seed in 0..200 {
            let (mut pool, mut now) = pool();
            let mut rng = StdRng::seed_from_u64(seed);
            let mut promised: Vec<String> = Vec::new();
            for _ in 0..500 {
                now += Duration::from_millis(rng.random_range(0..3_000));
                let any = ["1001", "1002", "1003"][rng.random_range(0..3)];
                match rng.random_range(0..7) {
                    0 => pool.registered(now, any),
                    1 => pool.unregistered(any),
                    2 | 3 => {
                        if let Some(e) = pool.reserve(now, "support", &[]) {
                            assert!(!promised.contains(&e), "seed {seed}: {e} was promised already");
                            promised.push(e);
                        }
                    }
                    4 => pool.answered(now, any),
                    5 => pool.talking(now, any),
                    _ => {
                        if !promised.is_empty() {
                            let e = promised.swap_remove(rng.random_range(0..promised.len()));
                            pool.released(now, &e, rng.random());
                        }
                    }
                }
            }
        }
    }
}
