//! All agents, and who serves which queue. It promises agents and takes them back; whom it is asked to promise, and for
//! whom, the [`crate::Desk`] decides.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::agent::{Agent, AgentState, Released, Work};
use crate::codes::Wish;
use crate::plan::{AgentPlan, Member, Plan};

/// All agents and queues of one gateway.
#[derive(Debug, Default)]
pub struct Pool {
    agents: BTreeMap<String, Agent>,
    queues: BTreeMap<String, Vec<Member>>,
}

impl Pool {
    /// A pool of queues: name, extensions, wrap-up time. Everybody starts offline. Who serves several queues has the
    /// longest of their wrap-up times.
    pub fn new(queues: impl IntoIterator<Item = (String, Vec<String>, Duration)>) -> Self {
        let mut pool = Self::default();
        for (name, extensions, wrap_up) in queues {
            pool.add_queue(name, extensions.into_iter().map(Member::from).collect(), wrap_up);
        }
        pool
    }

    /// The pool of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut pool = Self::default();
        for queue in &plan.queues {
            pool.add_queue(queue.name.clone(), queue.members.clone(), queue.wrap_up);
        }
        for AgentPlan { extension, skills, registers, must_accept } in &plan.agents {
            let agent = pool.agents.entry(extension.clone()).or_insert_with(|| Agent::new(Duration::ZERO));
            agent.skills.clone_from(skills);
            agent.must_accept = *must_accept;
            agent.registered = !registers;
        }
        pool
    }

    fn add_queue(&mut self, name: String, members: Vec<Member>, wrap_up: Duration) {
        for member in &members {
            let agent = self.agents.entry(member.extension.clone()).or_insert_with(|| Agent::new(wrap_up));
            agent.wrap_up = agent.wrap_up.max(wrap_up);
        }
        self.queues.insert(name, members);
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
        self.pause_for(extension, "");
    }

    pub(crate) fn pause_for(&mut self, extension: &str, reason: &str) {
        if let Some(agent) = self.agents.get_mut(extension) {
            agent.paused = Some(reason.to_owned());
        }
    }

    /// The agent is back: ends a pause, and a wrap-up before its time.
    pub fn ready(&mut self, now: Instant, extension: &str) {
        let Some(agent) = self.agents.get_mut(extension) else { return };
        let away = agent.paused.take().is_some() | std::mem::take(&mut agent.signed_out);
        agent.missed = 0;
        match agent.work {
            Work::WrapUp { .. } => agent.work = Work::Idle(Some(now)),
            Work::Idle(_) if away => agent.work = Work::Idle(Some(now)),
            _ => {}
        }
    }

    /// What the agent wishes.
    pub(crate) fn set(&mut self, now: Instant, extension: &str, wish: &Wish) {
        match wish {
            Wish::Ready => self.ready(now, extension),
            Wish::Pause { reason } => self.pause_for(extension, reason),
            Wish::SignOut => {
                if let Some(agent) = self.agents.get_mut(extension) {
                    agent.signed_out = true;
                }
            }
        }
    }

    /// Promises the agent of `queue` who has been idle longest, and is none of `not`, to a call. `None`: nobody is ready.
    /// Who is promised must be given back by [`Pool::released`].
    pub fn reserve(&mut self, now: Instant, queue: &str, not: &[String]) -> Option<String> {
        self.handle_timeout(now);
        let members = self.queues.get(queue)?;
        let free = members.iter().filter(|m| !not.contains(&m.extension)).filter(|m| self.is_ready(&m.extension));
        let extension = free.min_by_key(|m| self.idle_since(&m.extension)).map(|m| m.extension.clone())?;
        self.promise(&extension);
        Some(extension)
    }

    /// Promises an agent who is ready. `false`: they are not.
    pub(crate) fn promise(&mut self, extension: &str) -> bool {
        let ready = self.is_ready(extension);
        if let Some(agent) = self.agents.get_mut(extension).filter(|_| ready) {
            agent.promise();
        }
        ready
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
        self.release(now, extension, if talked { Released::Talked } else { Released::Declined });
    }

    /// The call is done with the agent. `false`: nobody was promised.
    pub(crate) fn release(&mut self, now: Instant, extension: &str, how: Released) -> bool {
        let agent = self.agents.get_mut(extension).filter(|a| a.is_promised());
        agent.map(|agent| agent.release(now, how)).is_some()
    }

    /// When the next wrap-up ends.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.agents.values().filter_map(Agent::wraps_until).min()
    }

    /// Ends every wrap-up whose time is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        for agent in self.agents.values_mut() {
            if let Some(until) = agent.wraps_until().filter(|until| *until <= now) {
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

/// What the desk asks.
impl Pool {
    pub(crate) fn agent(&self, extension: &str) -> Option<&Agent> {
        self.agents.get(extension)
    }

    pub(crate) fn members(&self, queue: &str) -> &[Member] {
        self.queues.get(queue).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn any_ready(&self) -> bool {
        self.agents.values().any(|a| a.state() == AgentState::Ready)
    }

    pub(crate) fn is_ready(&self, extension: &str) -> bool {
        self.state(extension) == Some(AgentState::Ready)
    }

    pub(crate) fn idle_since(&self, extension: &str) -> Option<Instant> {
        self.agents.get(extension).and_then(Agent::idle_since)
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
