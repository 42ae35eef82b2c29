//! Brings waiting callers and free agents together. Calls say that they want somebody, agents that they are free; the desk
//! promises agents, tells callers their place, sends them on where a queue cannot serve them, and counts.
//!
//! A visit lasts from the first [`Input::Wants`] to [`Input::Talking`] or [`Input::Leaves`]; who is offered agents and wants
//! again, because none of them took it, keeps the place by [`Want::since`]. A callback waits in the same line as the callers,
//! in the place of the caller who was promised it; it is never sent on, and it outlasts closing time.

mod matching;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::Zoned;
use serde::{Deserialize, Serialize};

use crate::agent::{AgentState, Released};
use crate::codes::Wish;
use crate::figures::{Figures, Outcome};
use crate::lines::{Entry, Handling, Lines};
use crate::plan::{Plan, QueuePlan};
use crate::pool::Pool;

/// Who waits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Waiter {
    /// A caller on the line, by the call's id.
    Call(String),
    /// A promised callback, by its ticket.
    Callback(String),
}

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Who.
    pub who: Waiter,
    /// Whose agents.
    pub queue: String,
    /// Agents who have been asked in vain.
    pub not: Vec<String>,
    /// Waiting since: the place in line.
    pub since: Instant,
    /// Higher goes first.
    pub priority: u8,
    /// What the agent must be able to do.
    pub needs: Vec<String>,
}

/// Why somebody waits no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The caller hung up.
    Abandoned,
    /// The caller is with the assistant again.
    GivenBack,
    /// The caller was promised a call.
    Callback,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// The extension's phone is there, still or again.
    Registered {
        /// Whose.
        extension: String,
    },
    /// It is gone.
    Unregistered {
        /// Whose.
        extension: String,
    },
    /// An agent wishes something, or somebody does for them.
    Wish {
        /// Who.
        extension: String,
        /// What.
        wish: Wish,
    },
    /// Somebody wants an agent; answered by [`Event::Offer`], [`Event::Place`] or [`Event::Nobody`].
    Wants(Want),
    /// Somebody wants none any more.
    Leaves {
        /// Who.
        who: Waiter,
        /// Why.
        why: Left,
    },
    /// The agent picked up.
    Answered {
        /// Who.
        extension: String,
    },
    /// The agent talks with the caller.
    Talking {
        /// Who.
        extension: String,
    },
    /// A call is done with an agent who was offered to it. Once for each who was offered.
    Released {
        /// Who.
        extension: String,
        /// How they came out of it.
        how: Released,
    },
    /// The gateway takes no new calls: no callback is begun any more.
    Drain,
    /// A timer ran out.
    Timeout,
}

/// An agent as offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Who.
    pub extension: String,
    /// Joined only by a key.
    pub must_accept: bool,
}

/// Why nobody will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNobody {
    /// No such queue.
    Unknown,
    /// Outside the opening hours.
    Closed,
    /// No agent is at work who may take it, or all of them have been asked.
    Empty,
    /// Too many wait already.
    Full,
    /// Waited too long, or too many agents were asked.
    Exhausted,
}

/// What the desk decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// These agents are promised to the waiter. Several: all of them are to be rung at once. For a callback that has no call
    /// yet, one is to be begun.
    Offer {
        /// To whom.
        who: Waiter,
        /// At least one.
        agents: Vec<Promise>,
    },
    /// The waiter stands here in line; told at the beginning, and when it changes.
    Place {
        /// Who.
        who: Waiter,
        /// From 1.
        position: usize,
        /// How long it may take.
        wait: Duration,
    },
    /// Nobody will come.
    Nobody {
        /// For whom.
        who: Waiter,
        /// Why.
        why: WhyNobody,
    },
    /// An agent is doing something else now.
    Agent {
        /// Who.
        extension: String,
        /// What.
        state: AgentState,
    },
}

/// A visit to a queue that is not over.
#[derive(Debug)]
struct Visit {
    queue: String,
    since: Instant,
}

#[derive(Debug)]
struct Queue {
    plan: QueuePlan,
    handling: Handling,
    /// Who was rung last, for [`crate::Strategy::RoundRobin`].
    last: Option<String>,
}

/// All queues of one gateway.
#[derive(Debug)]
pub struct Desk {
    pool: Pool,
    queues: BTreeMap<String, Queue>,
    lines: Lines,
    visits: BTreeMap<Waiter, Visit>,
    /// Extension → whom it is promised to, in which queue.
    promised: BTreeMap<String, (Waiter, String)>,
    /// Extension → since when it talks.
    talking: BTreeMap<String, Instant>,
    shown: BTreeMap<String, AgentState>,
    figures: Figures,
    events: VecDeque<Event>,
    draining: bool,
    /// The same moment on both clocks.
    clock: (Instant, Zoned),
    /// The last moment of which the desk has heard.
    now: Instant,
}

impl Desk {
    /// A desk at which nobody waits. `wall` is the same moment as `now`, in the time zone of the opening hours.
    pub fn new(now: Instant, wall: Zoned, plan: Plan) -> Self {
        let pool = Pool::of(&plan);
        let shown = pool.states().into_iter().collect();
        let queue = |plan: QueuePlan| Queue { handling: Handling::begin(plan.talk_estimate), last: None, plan };
        let mut figures = Figures::default();
        for q in &plan.queues {
            figures.queue(&q.name);
        }
        Self {
            pool,
            queues: plan.queues.into_iter().map(|q| (q.name.clone(), queue(q))).collect(),
            lines: Lines::default(),
            visits: BTreeMap::new(),
            promised: BTreeMap::new(),
            talking: BTreeMap::new(),
            shown,
            figures,
            events: VecDeque::new(),
            draining: false,
            clock: (now, wall),
            now,
        }
    }

    /// The wall clock was set: opening hours go by this from now on.
    pub fn set_clock(&mut self, now: Instant, wall: Zoned) {
        self.clock = (now, wall);
    }

    /// Takes what happened at `now`. What does not fit is ignored.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        self.pool.handle_timeout(now);
        match input {
            Input::Registered { extension } => self.pool.registered(now, &extension),
            Input::Unregistered { extension } => self.pool.unregistered(&extension),
            Input::Wish { extension, wish } => self.pool.set(now, &extension, &wish),
            Input::Wants(want) => self.wants(now, want),
            Input::Leaves { who, why } => self.leaves(now, &who, why),
            Input::Answered { extension } => self.pool.answered(&extension),
            Input::Talking { extension } => self.talks(now, &extension),
            Input::Released { extension, how } => self.released(now, &extension, how),
            Input::Drain => self.draining = true,
            Input::Timeout => {}
        }
        self.send_on(now);
        self.bring_together(now);
        self.tell();
    }

    /// What was decided. To be drained after each [`Desk::handle`].
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to come back with [`Input::Timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let entries = self.lines.iter().filter_map(|e| self.deadline(e));
        let opening = self.lines.iter().filter(|e| e.is_parked()).filter_map(|e| self.opens(&e.want.queue));
        entries.chain(opening).chain(self.pool.poll_timeout()).min()
    }

    /// What one agent is doing; `None` for an extension that serves no queue.
    pub fn state(&self, extension: &str) -> Option<AgentState> {
        self.pool.state(extension)
    }

    /// Everybody, by extension.
    pub fn states(&self) -> Vec<(String, AgentState)> {
        self.pool.states()
    }

    /// Whom an agent is promised to, rung for, or talks with.
    pub fn serves(&self, extension: &str) -> Option<&Waiter> {
        self.promised.get(extension).map(|(who, _)| who)
    }

    /// Why an agent is paused, in the house's code; empty if that was not said.
    pub fn pause_reason(&self, extension: &str) -> Option<&str> {
        self.pool.agent(extension)?.paused.as_deref()
    }

    /// Promises one certain agent to a call, if they are ready: a colleague who is consulted. To be released like any other.
    pub fn claim(&mut self, now: Instant, extension: &str, who: Waiter) -> bool {
        self.pool.handle_timeout(now);
        let promised = self.pool.promise(extension);
        if promised {
            self.promised.insert(extension.to_owned(), (who, String::new()));
            self.figures.agent(extension).promised += 1;
            self.tell();
        }
        promised
    }

    /// What was counted.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    fn plan(&self, queue: &str) -> Option<&QueuePlan> {
        self.queues.get(queue).map(|q| &q.plan)
    }
}

/// Who comes and goes.
impl Desk {
    fn wants(&mut self, now: Instant, want: Want) {
        let waits = self.lines.remove(&want.who);
        let known = self.visits.contains_key(&want.who);
        if self.plan(&want.queue).is_none() {
            return self.events.push_back(Event::Nobody { who: want.who, why: WhyNobody::Unknown });
        }
        if !known {
            let visit = Visit { queue: want.queue.clone(), since: want.since };
            if let Waiter::Call(_) = want.who {
                let figures = self.figures.queue(&want.queue);
                figures.offered += 1;
                figures.waiting += 1;
            }
            self.visits.insert(want.who.clone(), visit);
        }
        // Who was sent on and was not taken there wants again by the first queue's name, and stays where they are.
        let tried = waits.map(|e| e.tried).unwrap_or_default();
        let mut entry = Entry { tried, ..Entry::new(want, now) };
        if let Some(visit) = self.visits.get(&entry.want.who).filter(|v| known && v.queue != entry.want.queue) {
            entry.tried.push(std::mem::replace(&mut entry.want.queue, visit.queue.clone()));
        }
        match self.unfit(&entry) {
            Some(why) if !entry.is_parked() => self.onward(now, entry, why),
            _ => self.lines.add(entry),
        }
    }

    fn leaves(&mut self, now: Instant, who: &Waiter, why: Left) {
        self.lines.remove(who);
        let outcome = match why {
            Left::Abandoned => Outcome::Abandoned,
            Left::GivenBack => Outcome::GivenBack,
            Left::Callback => Outcome::Callback,
        };
        self.visit_over(now, who, outcome);
    }

    fn talks(&mut self, now: Instant, extension: &str) {
        if self.pool.state(extension) != Some(AgentState::Briefing) {
            return;
        }
        self.pool.talking(extension);
        self.talking.insert(extension.to_owned(), now);
        self.figures.agent(extension).handled += 1;
        if let Some((who, queue)) = self.promised.get(extension).cloned() {
            match who {
                Waiter::Callback(_) => {
                    self.figures.queue(&queue).called_back += 1;
                    self.visits.remove(&who);
                }
                Waiter::Call(_) if !queue.is_empty() => self.visit_over(now, &who, Outcome::Answered),
                Waiter::Call(_) => {} // a colleague who was consulted
            }
        }
    }

    fn visit_over(&mut self, now: Instant, who: &Waiter, outcome: Outcome) {
        let Some(visit) = self.visits.remove(who) else { return };
        if let Waiter::Callback(_) = who {
            return;
        }
        let level = self.plan(&visit.queue).map(|p| p.service_level).unwrap_or_default();
        self.figures.left(&visit.queue, outcome, now.saturating_duration_since(visit.since), level);
    }

    fn released(&mut self, now: Instant, extension: &str, how: Released) {
        if !self.pool.release(now, extension, how) {
            return;
        }
        let queue = self.promised.remove(extension).map(|(_, queue)| queue).unwrap_or_default();
        let figures = self.figures.agent(extension);
        match how {
            Released::Declined => figures.declined += 1,
            Released::Missed => figures.missed += 1,
            Released::Talked | Released::NotNeeded => {}
        }
        if let Some(since) = self.talking.remove(extension) {
            let talked = now.saturating_duration_since(since);
            figures.talk += talked;
            if let Some(queue) = self.queues.get_mut(&queue) {
                queue.handling.took(talked + queue.plan.wrap_up);
            }
        }
        let limit = self.plan(&queue).map_or(0, |p| p.pause_after_missed);
        if limit > 0 && self.pool.agent(extension).is_some_and(|a| a.missed >= limit) {
            self.pool.pause_for(extension, "missed");
        }
    }
}

/// Who cannot be served here.
impl Desk {
    /// Why this queue cannot serve who comes to it. Who waits already is not turned away for closing time or company.
    fn unfit(&self, entry: &Entry) -> Option<WhyNobody> {
        let plan = self.plan(&entry.want.queue)?;
        let first = entry.want.not.is_empty();
        if first && !self.is_open(&entry.want.queue) {
            return Some(WhyNobody::Closed);
        }
        if entry.want.not.len() >= plan.max_tries.max(1) {
            return Some(WhyNobody::Exhausted);
        }
        if !self.is_hopeful(entry) {
            return Some(WhyNobody::Empty);
        }
        let waiting = self.lines.of(&plan.name).filter(|e| !e.is_callback()).count();
        (first && waiting >= plan.max_waiting).then_some(WhyNobody::Full)
    }

    /// Whether some agent at work may take it, now or after the call in hand.
    fn is_hopeful(&self, entry: &Entry) -> bool {
        let needs = self.needs(entry);
        self.pool.members(&entry.want.queue).iter().any(|m| {
            let staffed = self.pool.agent(&m.extension).is_some_and(|a| a.is_staffed());
            staffed && !entry.want.not.contains(&m.extension) && self.can(&m.extension, needs)
        })
    }

    /// The skills that count: where they are only a wish and nobody at work has them, none.
    fn needs<'a>(&self, entry: &'a Entry) -> &'a [String] {
        let strict = self.plan(&entry.want.queue).is_none_or(|p| p.strict_skills);
        let staffed = |e: &str| self.pool.agent(e).is_some_and(|a| a.is_staffed());
        let mut members = self.pool.members(&entry.want.queue).iter();
        if strict || members.any(|m| staffed(&m.extension) && self.can(&m.extension, &entry.want.needs)) {
            &entry.want.needs
        } else {
            &[]
        }
    }

    fn can(&self, extension: &str, needs: &[String]) -> bool {
        self.pool.agent(extension).is_some_and(|a| needs.iter().all(|n| a.skills.contains(n)))
    }

    /// Notes for whom there is hope, and sends on who has waited in vain.
    fn send_on(&mut self, now: Instant) {
        // Most callers of a queue want anybody: for those the answer is the same.
        let mut anybody: BTreeMap<&str, bool> = BTreeMap::new();
        let mut hopeful = Vec::new();
        for entry in self.lines.iter() {
            hopeful.push(match entry.want.not.is_empty() && entry.want.needs.is_empty() {
                true => *anybody.entry(&entry.want.queue).or_insert_with(|| self.is_hopeful(entry)),
                false => self.is_hopeful(entry),
            });
        }
        for (entry, hopeful) in self.lines.iter_mut().zip(hopeful) {
            if hopeful {
                entry.hopeless = None;
            } else {
                entry.hopeless.get_or_insert(now);
            }
        }
        let due: Vec<Waiter> = self
            .lines
            .iter()
            .filter(|e| self.deadline(e).is_some_and(|at| at <= now))
            .map(|e| e.want.who.clone())
            .collect();
        for who in due {
            if let Some(entry) = self.lines.remove(&who) {
                let why = if entry.hopeless.is_some() { WhyNobody::Empty } else { WhyNobody::Exhausted };
                self.onward(now, entry, why);
            }
        }
    }

    fn deadline(&self, entry: &Entry) -> Option<Instant> {
        let plan = self.plan(&entry.want.queue).filter(|_| !entry.is_parked())?;
        let patience = entry.entered + plan.max_wait;
        Some(entry.hopeless.map_or(patience, |since| patience.min(since + plan.empty_grace)))
    }

    /// To the next queue that can serve it; or nobody will come.
    fn onward(&mut self, now: Instant, mut entry: Entry, why: WhyNobody) {
        let from = entry.want.queue.clone();
        entry.tried.push(from.clone());
        let next = self.plan(&from).filter(|_| !entry.is_callback()).and_then(|p| p.overflow.clone());
        let Some(next) = next.filter(|q| !entry.tried.contains(q) && self.queues.contains_key(q)) else {
            let who = entry.want.who;
            return self.events.push_back(Event::Nobody { who, why });
        };
        if let Some(visit) = self.visits.get_mut(&entry.want.who) {
            let waited = now.saturating_duration_since(visit.since);
            visit.queue.clone_from(&next);
            self.figures.left(&from, Outcome::Overflowed, waited, Duration::ZERO);
            let figures = self.figures.queue(&next);
            figures.overflowed_in += 1;
            figures.waiting += 1;
        }
        entry.want.queue = next;
        // Those who declined in the first queue stay asked; how many were tried counts anew.
        let fresh = Entry { entered: now, hopeless: None, told: None, ..entry };
        match self.unfit_after_overflow(&fresh) {
            Some(why) => self.onward(now, fresh, why),
            None => self.lines.add(fresh),
        }
    }

    fn unfit_after_overflow(&self, entry: &Entry) -> Option<WhyNobody> {
        if !self.is_open(&entry.want.queue) {
            return Some(WhyNobody::Closed);
        }
        if !self.is_hopeful(entry) {
            return Some(WhyNobody::Empty);
        }
        let plan = self.plan(&entry.want.queue)?;
        let waiting = self.lines.of(&plan.name).filter(|e| !e.is_callback()).count();
        (waiting >= plan.max_waiting).then_some(WhyNobody::Full)
    }

    fn is_open(&self, queue: &str) -> bool {
        self.plan(queue).is_some_and(|p| p.hours.is_open(self.wall().datetime()))
    }

    /// When a closed queue opens. One that is open, or never opens, does not.
    fn opens(&self, queue: &str) -> Option<Instant> {
        let wall = self.wall();
        let opening = self.plan(queue)?.hours.next_opening(&wall)?;
        let until = Duration::try_from(wall.duration_until(&opening)).ok()?;
        Some(self.now + until)
    }

    /// Local time.
    fn wall(&self) -> Zoned {
        let (then, wall) = &self.clock;
        wall.checked_add(self.now.saturating_duration_since(*then)).unwrap_or_else(|_| wall.clone())
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
