//! Whole calls on a virtual clock. The call, the pool of agents and the conversation are the real ones; carrier, phones,
//! speech and CRM are of straw, with delays, losses and habits drawn from one seed. Nothing waits: a day of calls takes a
//! moment, and the same seed plays the same day again.
//!
//! The world carries out each call's actions as the gateway would, and checks on the way what one call cannot see: that no
//! agent's phone serves two calls, that no phone rings for a caller who is gone, that nobody on hold is listened to. What it
//! finds wrong stands in [`Report::faults`].

mod floor;
mod line;
mod people;
mod visit;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_agents::figures::Figures;
use baton_agents::{self as desk, AgentState, Desk, Plan, QueuePlan};
use baton_call::record::CallRecord;
use baton_call::{Input, Rules, Ticket};
use baton_intake::Flow;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub use people::{Agent, Between, Caller, Deed, Habit, Then, maria, order};
use visit::Visit;

/// How a world went.
#[derive(Debug)]
pub struct Report {
    /// Each call's record, in the order of arrival.
    pub records: Vec<CallRecord>,
    /// What must not happen, and did.
    pub faults: Vec<String>,
    /// How often each agent picked up, and was joined with a caller.
    pub served: BTreeMap<String, (u32, u32)>,
    /// The longest that a phone rang, or an agent was spoken to, after the caller had gone.
    pub longest_for_nobody: Duration,
    /// Where each agent stands at the end.
    pub agents: Vec<(String, AgentState)>,
    /// What the desk has counted.
    pub figures: Figures,
    /// The same, counted by what the calls did.
    pub counted: BTreeMap<String, Counted>,
    /// Records of calls that kept a promise, in the order in which they began.
    pub callbacks: Vec<CallRecord>,
    /// Callbacks that were promised.
    pub promised: usize,
    /// Promises that nobody has kept when the day was over.
    pub owed: usize,
    /// Moments at which something happened.
    pub steps: u64,
}

/// What one queue's callers did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Came, by their own flow or sent by an agent.
    pub came: u64,
    /// Were joined.
    pub answered: u64,
    /// Hung up before.
    pub abandoned: u64,
    /// Went back to the assistant.
    pub given_back: u64,
    /// Chose to be called back.
    pub callbacks: u64,
    /// What the answered waited.
    pub wait: Duration,
}

/// What happens at some moment.
#[derive(Debug)]
enum Event {
    Arrives(usize),
    Registers(String),
    Unregisters(String),
    /// A gateway's event for a call.
    Feed(usize, Input),
    /// One of the agent's leg, with the leg's number: a leg that is closed brings nothing more.
    FeedAgent(usize, u64, Input),
    /// A line of the leg that has been stopped since brings nothing more.
    FeedLine(usize, line::Voicing, Input),
    /// The caller's turn, if nothing has been said since.
    CallerSpeaks(usize, u64),
    /// Words that were heard while the ear was open.
    Decoded(usize, String),
    /// Somebody at a number outside hangs up, if it is still this leg.
    ThirdLeaves(usize, u64),
    /// The gateway drains, or ends.
    Stops(bool),
}

/// Everything.
pub struct World {
    began: Instant,
    now: Instant,
    flow: Arc<Flow>,
    between: Between,
    rng: StdRng,
    events: BinaryHeap<Reverse<(Instant, u64)>>,
    happenings: BTreeMap<u64, Event>,
    next: u64,
    desk: Desk,
    rules: Arc<Rules>,
    tickets: BTreeMap<String, (Ticket, Instant)>,
    /// Visits that keep a promise, by ticket.
    keeping: BTreeMap<String, usize>,
    counted: BTreeMap<String, Counted>,
    promised: BTreeSet<String>,
    steps: u64,
    invited: usize,
    agents: BTreeMap<String, (Agent, usize)>,
    callers: Vec<Caller>,
    visits: BTreeMap<usize, Visit>,
    over: BTreeMap<usize, CallRecord>,
    /// Extension → the call whose leg is on its phone.
    phones: BTreeMap<String, usize>,
    served: BTreeMap<String, (u32, u32)>,
    faults: Vec<String>,
    for_nobody: Duration,
}

impl World {
    /// A world in which nothing has happened. All agents serve the queue `support`, with 5 s of wrap-up.
    pub fn new(seed: u64, flow: Arc<Flow>, between: Between, agents: Vec<Agent>, callers: Vec<Caller>) -> Self {
        let extensions: Vec<String> = agents.iter().map(|a| a.extension.clone()).collect();
        let plan = Plan { queues: vec![QueuePlan::new("support", extensions)], agents: Vec::new() };
        Self::with_queues(seed, flow, between, plan, Rules::default(), agents, callers)
    }

    /// A world with these queues and rules.
    pub fn with_queues(
        seed: u64,
        flow: Arc<Flow>,
        between: Between,
        plan: Plan,
        rules: Rules,
        agents: Vec<Agent>,
        callers: Vec<Caller>,
    ) -> Self {
        let now = Instant::now();
        let wall = jiff::Timestamp::from_millisecond(1_780_000_000_000).unwrap_or_default();
        let queues = plan.queues.iter().map(|q| q.name.clone()).collect();
        let mut world = Self {
            began: now,
            now,
            flow,
            between,
            rng: StdRng::seed_from_u64(seed),
            events: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            next: 0,
            desk: Desk::new(now, wall.to_zoned(jiff::tz::TimeZone::UTC), plan),
            rules: Arc::new(Rules { queues, ..rules }),
            tickets: BTreeMap::new(),
            keeping: BTreeMap::new(),
            counted: BTreeMap::new(),
            promised: BTreeSet::new(),
            steps: 0,
            invited: callers.len(),
            agents: BTreeMap::new(),
            callers: Vec::new(),
            visits: BTreeMap::new(),
            over: BTreeMap::new(),
            phones: BTreeMap::new(),
            served: BTreeMap::new(),
            faults: Vec::new(),
            for_nobody: Duration::ZERO,
        };
        for agent in agents {
            world.at(agent.registers, Event::Registers(agent.extension.clone()));
            if let Some(when) = agent.unregisters {
                world.at(when, Event::Unregisters(agent.extension.clone()));
            }
            world.agents.insert(agent.extension.clone(), (agent, 0));
        }
        for (i, caller) in callers.into_iter().enumerate() {
            world.at(caller.arrives, Event::Arrives(i));
            world.callers.push(caller);
        }
        world
    }

    /// The gateway drains at that moment, or ends.
    #[must_use]
    pub fn stopping(mut self, at: Duration, ends: bool) -> Self {
        self.at(at, Event::Stops(ends));
        self
    }

    /// Lets everything happen until every call is over.
    pub fn run(mut self) -> Report {
        while let Some(at) = self.next_moment() {
            self.now = self.now.max(at);
            self.steps += 1;
            self.moment();
        }
        let left = self.visits.len() + self.phones.len();
        if left > 0 {
            self.fault("a call or a phone is left over");
        }
        for (extension, state) in self.desk.states() {
            if matches!(state, AgentState::Ringing | AgentState::Briefing | AgentState::Busy) {
                self.fault(&format!("{extension} is {state:?} and no call is left"));
            }
        }
        let callbacks = self.over.split_off(&self.invited);
        Report {
            records: self.over.into_values().collect(),
            faults: self.faults,
            served: self.served,
            longest_for_nobody: self.for_nobody,
            agents: self.desk.states(),
            figures: self.desk.figures().clone(),
            counted: self.counted,
            callbacks: callbacks.into_values().collect(),
            promised: self.promised.len(),
            owed: self.tickets.len(),
            steps: self.steps,
        }
    }

    fn next_moment(&self) -> Option<Instant> {
        let event = self.events.peek().map(|Reverse((at, _))| *at);
        let timer = self.visits.values().filter_map(|v| v.call.poll_timeout()).map(|(at, _)| at).min();
        event.into_iter().chain(timer).chain(self.desk.poll_timeout()).min()
    }

    fn moment(&mut self) {
        if self.desk.poll_timeout().is_some_and(|at| at <= self.now) {
            return self.desk(desk::Input::Timeout);
        }
        let due = self.visits.iter().find_map(|(i, v)| {
            let (_, timer) = v.call.poll_timeout().filter(|(at, _)| *at <= self.now)?;
            Some((*i, timer))
        });
        if let Some((i, timer)) = due {
            return self.feed(i, Input::Timeout(timer));
        }
        let Some(Reverse((_, key))) = self.events.pop() else { return };
        match self.happenings.remove(&key) {
            Some(Event::Arrives(i)) => self.arrives(i),
            Some(Event::Registers(extension)) => self.desk(desk::Input::Registered { extension }),
            Some(Event::Unregisters(extension)) => self.desk(desk::Input::Unregistered { extension }),
            Some(Event::Feed(i, input)) => self.feed(i, input),
            Some(Event::FeedAgent(i, leg, input)) => self.feed_agent(i, leg, input),
            Some(Event::FeedLine(i, ticket, input)) => self.feed_line(i, ticket, input),
            Some(Event::CallerSpeaks(i, turn)) => self.caller_speaks(i, turn),
            Some(Event::Decoded(i, text)) => self.decoded(i, text),
            Some(Event::ThirdLeaves(i, leg)) => self.third_leaves(i, leg),
            Some(Event::Stops(ends)) => self.stops(ends),
            None => {}
        }
    }

    /// So long from the world's beginning.
    fn at(&mut self, when: Duration, event: Event) {
        self.push(self.began + when, event);
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.push(self.now + Duration::from_millis(ms), event);
    }

    fn push(&mut self, at: Instant, event: Event) {
        self.next += 1;
        self.events.push(Reverse((at, self.next)));
        self.happenings.insert(self.next, event);
    }

    /// One way through the network, with retransmissions of what is lost.
    fn network(&mut self) -> u64 {
        let mut ms = self.rng.random_range(self.between.network.clone());
        let mut t1 = 500;
        while self.rng.random_bool(self.between.loss) && t1 < 4_000 {
            ms += t1;
            t1 *= 2;
        }
        ms
    }

    fn fault(&mut self, what: &str) {
        let at = self.now.saturating_duration_since(self.began);
        self.faults.push(format!("{at:?}: {what}"));
    }
}
