//! Who takes the call: agents, what each is doing, and the queues they serve.
//!
//! Not here: ringing, timing a ring, deciding what happens to a caller nobody takes (`baton-call`), and who may register
//! (`baton-sip`). Pure: time comes in as an argument.
//!
//! What must always hold: an agent is promised to one call at a time; whoever was promised stays promised until
//! [`Pool::released`], whatever their phone does meanwhile; nobody paused, offline or in wrap-up is promised.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What an agent is doing, as supervisors see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// No phone is registered.
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
    /// Takes no calls by their own wish.
    Paused,
}

/// All agents and queues of one gateway.
#[derive(Debug)]
pub struct Pool {
    agents: BTreeMap<String, Agent>,
    queues: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
struct Agent {
    registered: bool,
    paused: bool,
    work: Work,
    wrap_up: Duration,
}

/// What an agent has in hand, apart from whether their phone is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Nothing, since then. `None`: never had a call nor a phone.
    Idle(Option<Instant>),
    Ringing,
    Briefing,
    Busy,
    WrapUp {
        until: Instant,
    },
}

impl Agent {
    fn state(&self) -> AgentState {
        match self.work {
            Work::Ringing => AgentState::Ringing,
            Work::Briefing => AgentState::Briefing,
            Work::Busy => AgentState::Busy,
            _ if !self.registered => AgentState::Offline,
            _ if self.paused => AgentState::Paused,
            Work::WrapUp { .. } => AgentState::WrapUp,
            Work::Idle(_) => AgentState::Ready,
        }
    }

    fn is_promised(&self) -> bool {
        matches!(self.work, Work::Ringing | Work::Briefing | Work::Busy)
    }
}

impl Pool {
    /// A pool of queues: name, extensions, wrap-up time. Everybody starts offline. Who serves several queues has the
    /// longest of their wrap-up times.
    pub fn new(queues: impl IntoIterator<Item = (String, Vec<String>, Duration)>) -> Self {
        let mut pool = Self { agents: BTreeMap::new(), queues: BTreeMap::new() };
        for (name, extensions, wrap_up) in queues {
            for extension in &extensions {
                let agent = pool.agents.entry(extension.clone()).or_insert(Agent {
                    registered: false,
                    paused: false,
                    work: Work::Idle(None),
                    wrap_up,
                });
                agent.wrap_up = agent.wrap_up.max(wrap_up);
            }
            pool.queues.insert(name, extensions);
        }
        pool
    }

    /// The extension's phone is there. A refresh changes nothing: only who was offline begins to be idle.
    pub fn registered(&mut self, now: Instant, extension: &str) {
        let Some(agent) = self.agents.get_mut(extension) else { return };
        if !std::mem::replace(&mut agent.registered, true)
            && let Work::Idle(_) = agent.work
        {
            agent.work = Work::Idle(Some(now));
        }
    }

    /// The extension's phone is gone. A call in progress goes on; nobody new is sent there.
    pub fn unregistered(&mut self, extension: &str) {
        if let Some(agent) = self.agents.get_mut(extension) {
            agent.registered = false;
        }
    }

    /// The agent wants no calls for now. A call in progress goes on.
    pub fn pause(&mut self, extension: &str) {
        if let Some(agent) = self.agents.get_mut(extension) {
            agent.paused = true;
        }
    }

    /// The agent is back: ends a pause, and a wrap-up before its time.
    pub fn ready(&mut self, now: Instant, extension: &str) {
        let Some(agent) = self.agents.get_mut(extension) else { return };
        agent.paused = false;
        if let Work::WrapUp { .. } = agent.work {
            agent.work = Work::Idle(Some(now));
        }
    }

    /// Promises the agent of `queue` who has been idle longest, and is none of `not`, to a call. `None`: nobody is ready.
    /// Who is promised must be given back by [`Pool::released`].
    pub fn reserve(&mut self, now: Instant, queue: &str, not: &[String]) -> Option<String> {
        self.handle_timeout(now);
        let extension = self
            .queues
            .get(queue)?
            .iter()
            .filter(|e| !not.contains(e))
            .filter_map(|e| self.agents.get(e).filter(|a| a.state() == AgentState::Ready).map(|a| (idle_since(a), e)))
            .min_by_key(|(since, _)| *since)
            .map(|(_, e)| e.clone())?;
        self.agents.get_mut(&extension)?.work = Work::Ringing;
        Some(extension)
    }

    /// The agent picked up and hears the briefing.
    pub fn answered(&mut self, extension: &str) {
        self.advance(extension, Work::Ringing, Work::Briefing);
    }

    /// The agent talks with the caller.
    pub fn talking(&mut self, extension: &str) {
        self.advance(extension, Work::Briefing, Work::Busy);
    }

    /// The call is done with the agent. Who `talked` has wrap-up time; who did not is idle again, last in line.
    pub fn released(&mut self, now: Instant, extension: &str, talked: bool) {
        let Some(agent) = self.agents.get_mut(extension).filter(|a| a.is_promised()) else { return };
        agent.work = match talked && !agent.wrap_up.is_zero() {
            true => Work::WrapUp { until: now + agent.wrap_up },
            false => Work::Idle(Some(now)),
        };
    }

    /// When the next wrap-up ends.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.agents.values().filter_map(wraps_until).min()
    }

    /// Ends every wrap-up whose time is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        for agent in self.agents.values_mut() {
            if let Some(until) = wraps_until(agent).filter(|until| *until <= now) {
                agent.work = Work::Idle(Some(until));
            }
        }
    }

    /// What one agent is doing; `None` for an extension that serves no queue.
    pub fn state(&self, extension: &str) -> Option<AgentState> {
        self.agents.get(extension).map(Agent::state)
    }

    /// Everybody, by extension.
    pub fn states(&self) -> Vec<(String, AgentState)> {
        self.agents.iter().map(|(e, a)| (e.clone(), a.state())).collect()
    }

    fn advance(&mut self, extension: &str, from: Work, to: Work) {
        if let Some(agent) = self.agents.get_mut(extension).filter(|a| a.work == from) {
            agent.work = to;
        }
    }
}

fn idle_since(agent: &Agent) -> Option<Instant> {
    match agent.work {
        Work::Idle(since) => since,
        _ => None,
    }
}

fn wraps_until(agent: &Agent) -> Option<Instant> {
    match agent.work {
        Work::WrapUp { until } => Some(until),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn exts(names: &[&str]) -> Vec<String> {
        names.iter().map(|e| (*e).to_owned()).collect()
    }

    fn pool() -> (Pool, Instant) {
        let queues = [
            ("support".to_owned(), exts(&["1001", "1002", "1003"]), S(5)),
            ("billing".to_owned(), exts(&["1003", "1004"]), S(9)),
        ];
        (Pool::new(queues), Instant::now())
    }

    #[test]
    fn the_longest_idle_comes_first_and_those_already_asked_are_left_out() {
        let (mut pool, t) = pool();
        assert_eq!(pool.reserve(t, "support", &[]), None, "nobody is registered");
        pool.registered(t, "1002");
        pool.registered(t + S(1), "1001");
        pool.registered(t + S(2), "1002"); // a refresh does not cost the place in line
        assert_eq!(pool.reserve(t + S(9), "support", &[]).as_deref(), Some("1002"));
        pool.released(t + S(10), "1002", false);
        assert_eq!(pool.reserve(t + S(11), "support", &[]).as_deref(), Some("1001"), "1002 has just been rung");
        assert_eq!(pool.reserve(t + S(11), "support", &exts(&["1002"])), None);
        assert_eq!(pool.reserve(t + S(11), "no such queue", &[]), None);
    }

    #[test]
    fn an_agent_goes_through_the_call_and_its_wrap_up() {
        let (mut pool, t) = pool();
        pool.registered(t, "1001");
        assert_eq!(pool.state("1001"), Some(AgentState::Ready));
        pool.talking("1001");
        assert_eq!(pool.state("1001"), Some(AgentState::Ready), "nobody talks before a call was promised");
        pool.reserve(t, "support", &[]);
        assert_eq!(pool.state("1001"), Some(AgentState::Ringing));
        pool.answered("1001");
        assert_eq!(pool.state("1001"), Some(AgentState::Briefing));
        pool.talking("1001");
        assert_eq!(pool.state("1001"), Some(AgentState::Busy));
        pool.released(t + S(60), "1001", true);
        assert_eq!(pool.state("1001"), Some(AgentState::WrapUp));
        assert_eq!(pool.reserve(t + S(64), "support", &[]), None);
        assert_eq!(pool.poll_timeout(), Some(t + S(65)));
        assert_eq!(pool.reserve(t + S(65), "support", &[]).as_deref(), Some("1001"));
    }

    #[test]
    fn who_serves_two_queues_is_promised_to_one_call_and_has_the_longer_wrap_up() {
        let (mut pool, t) = pool();
        pool.registered(t, "1003");
        assert_eq!(pool.reserve(t, "billing", &[]).as_deref(), Some("1003"));
        assert_eq!(pool.reserve(t, "support", &[]), None);
        pool.released(t, "1003", true);
        assert_eq!(pool.poll_timeout(), Some(t + S(9)));
    }

    #[test]
    fn a_phone_that_vanishes_in_a_call_is_not_rung_again_until_it_is_back() {
        let (mut pool, t) = pool();
        pool.registered(t, "1001");
        pool.reserve(t, "support", &[]);
        pool.unregistered("1001");
        assert_eq!(pool.state("1001"), Some(AgentState::Ringing), "still promised");
        pool.registered(t, "1001");
        assert_eq!(pool.reserve(t, "support", &[]), None, "registering anew frees nobody");
        pool.unregistered("1001");
        pool.released(t, "1001", false);
        assert_eq!(pool.state("1001"), Some(AgentState::Offline));
        assert_eq!(pool.reserve(t, "support", &[]), None);
        pool.registered(t, "1001");
        assert!(pool.reserve(t, "support", &[]).is_some());
    }

    #[test]
    fn a_pause_holds_off_calls_and_ready_ends_it() {
        let (mut pool, t) = pool();
        pool.registered(t, "1001");
        pool.pause("1001");
        assert_eq!((pool.state("1001"), pool.reserve(t, "support", &[])), (Some(AgentState::Paused), None));
        pool.ready(t, "1001");
        assert!(pool.reserve(t, "support", &[]).is_some());
        pool.pause("1001");
        assert_eq!(pool.state("1001"), Some(AgentState::Ringing), "the call in hand goes on");
        pool.released(t, "1001", true);
        assert_eq!(pool.state("1001"), Some(AgentState::Paused));
        pool.ready(t, "1001");
        assert_eq!(pool.state("1001"), Some(AgentState::Ready), "ready also ends a wrap-up");
    }

    /// Beside the pool walks the simplest model: who is promised, and who has a phone and no pause.
    #[test]
    fn no_agent_is_ever_promised_twice() {
        let everybody = ["1001", "1002", "1003", "1004", "9999"];
        for seed in 0..300 {
            let (mut pool, mut now) = pool();
            let mut rng = StdRng::seed_from_u64(seed);
            let mut promised: Vec<String> = Vec::new();
            let mut reachable: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
            for _ in 0..400 {
                now += Duration::from_millis(rng.random_range(0..4_000));
                let any = everybody[rng.random_range(0..everybody.len())];
                match rng.random_range(0..11) {
                    0 | 1 => {
                        pool.registered(now, any);
                        reachable.entry(any).or_default().0 = true;
                    }
                    2 => {
                        pool.unregistered(any);
                        reachable.entry(any).or_default().0 = false;
                    }
                    3 => {
                        pool.pause(any);
                        reachable.entry(any).or_default().1 = true;
                    }
                    4 => {
                        pool.ready(now, any);
                        reachable.entry(any).or_default().1 = false;
                    }
                    5..=7 => {
                        let queue = ["support", "billing"][rng.random_range(0..2)];
                        let not = if rng.random() { vec![any.to_owned()] } else { Vec::new() };
                        if let Some(e) = pool.reserve(now, queue, &not) {
                            assert!(!promised.contains(&e), "seed {seed}: {e} was promised already");
                            assert!(!not.contains(&e), "seed {seed}: {e} was ruled out");
                            assert_eq!(
                                reachable.get(e.as_str()),
                                Some(&(true, false)),
                                "seed {seed}: {e} is not there"
                            );
                            promised.push(e);
                        }
                    }
                    8 => {
                        pool.answered(any);
                        pool.talking(any);
                    }
                    9 => pool.handle_timeout(now),
                    _ if promised.is_empty() => pool.released(now, any, true),
                    _ => {
                        let e = promised.swap_remove(rng.random_range(0..promised.len()));
                        pool.released(now, &e, rng.random());
                    }
                }
                for e in &promised {
                    let state = pool.state(e).unwrap();
                    let working = matches!(state, AgentState::Ringing | AgentState::Briefing | AgentState::Busy);
                    assert!(working, "seed {seed}: {e} was promised and is {state:?}");
                }
            }
            for e in promised {
                pool.released(now, &e, true);
            }
            pool.handle_timeout(now + S(9));
            assert_eq!(pool.poll_timeout(), None, "seed {seed}: somebody wraps up for ever");
        }
    }
}
