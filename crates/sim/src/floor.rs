//! The desk in the world: what calls ask of it and what it answers, the tickets that a gateway would keep on disk, and a count
//! of its own beside the desk's figures.

use std::time::Instant;

use baton_agents::{self as desk, Left, Waiter, Want};
use baton_call::{Call, Input, LeftQueue, Offered, Released, Ticket};
use rand::Rng;

use crate::visit::Visit;
use crate::{Counted, Event, World};

impl World {
    /// Tells the desk something, and carries its answers to the calls.
    pub(crate) fn desk(&mut self, input: desk::Input) {
        self.desk.handle(self.now, input);
        while let Some(event) = self.desk.poll_event() {
            let ms = self.rng.random_range(1..40);
            match event {
                desk::Event::Offer { who, agents } => {
                    let offered = |a: desk::Promise| Offered { extension: a.extension, must_accept: a.must_accept };
                    let input = Input::AgentsOffered { agents: agents.into_iter().map(offered).collect() };
                    if let Some(i) = self.visit_of(&who, true) {
                        self.after(ms, Event::Feed(i, input));
                    }
                }
                desk::Event::Place { who, position, wait } => {
                    if let Some(i) = self.visit_of(&who, false) {
                        self.after(ms, Event::Feed(i, Input::Queued { position, wait }));
                    }
                }
                desk::Event::Nobody { who, .. } => {
                    if let Some(i) = self.visit_of(&who, false) {
                        self.after(ms, Event::Feed(i, Input::NoAgent));
                    }
                }
                desk::Event::Agent { .. } => {}
            }
        }
    }

    /// Whose visit that is. A ticket that comes up, and that nobody keeps yet, begins one.
    fn visit_of(&mut self, who: &Waiter, begin: bool) -> Option<usize> {
        match who {
            Waiter::Call(id) => id.strip_prefix("sim-")?.parse().ok(),
            Waiter::Callback(id) => {
                if let Some(i) = self.keeping.get(id) {
                    return Some(*i);
                }
                if !begin {
                    return None;
                }
                let (ticket, since) = self.tickets.remove(id)?;
                Some(self.keep(ticket, since))
            }
        }
    }

    fn keep(&mut self, ticket: Ticket, since: Instant) -> usize {
        let i = self.callers.len();
        let promised: usize = ticket.id.strip_prefix("sim-").and_then(|n| n.parse().ok()).unwrap_or(0);
        self.callers.push(self.callers[promised].clone());
        self.keeping.insert(ticket.id.clone(), i);
        let id = ticket.id.clone();
        let wall = jiff::Timestamp::from_millisecond(1_790_000_000_000).unwrap_or_default();
        let ids = (format!("sim-{i}"), self.flow.clone());
        let call = Call::callback(self.now, wall, ids, (ticket, since), self.rules.clone());
        self.visits.insert(i, Visit::callback(call, id));
        self.drain(i);
        i
    }

    pub(crate) fn waiter(&self, i: usize) -> Waiter {
        match self.visits.get(&i).and_then(|v| v.ticket.clone()) {
            Some(ticket) => Waiter::Callback(ticket),
            None => Waiter::Call(format!("sim-{i}")),
        }
    }

    pub(crate) fn find(&mut self, i: usize, mut want: Want) {
        want.who = self.waiter(i);
        let queue = want.queue.clone();
        let Some(visit) = self.visits.get_mut(&i) else { return };
        if visit.in_line.is_none() {
            visit.in_line = Some((queue.clone(), want.since));
            if visit.ticket.is_none() {
                self.counted.entry(queue).or_default().came += 1;
            }
            if let Some((after, digit)) = self.callers[i].presses_in_line {
                let leg = baton_call::Leg::Caller;
                self.push(self.now + after, Event::Feed(i, Input::Digit { leg, digit }));
            }
        }
        self.desk(desk::Input::Wants(want));
    }

    pub(crate) fn leave(&mut self, i: usize, why: LeftQueue) {
        let who = self.waiter(i);
        let Some(visit) = self.visits.get_mut(&i) else { return };
        let Some((queue, _)) = visit.in_line.take() else {
            // A callback is in line without having asked.
            if visit.ticket.is_none() {
                self.fault("a caller leaves a line and was in none");
            }
            return;
        };
        let (counted, why) = (self.counted.entry(queue).or_default(), why);
        let kept = matches!(who, Waiter::Callback(_));
        let left = match why {
            LeftQueue::Abandoned => {
                counted.abandoned += u64::from(!kept);
                Left::Abandoned
            }
            LeftQueue::GivenBack => {
                counted.given_back += u64::from(!kept);
                Left::GivenBack
            }
            LeftQueue::Callback => {
                counted.callbacks += u64::from(!kept);
                Left::Callback
            }
        };
        self.desk(desk::Input::Leaves { who, why: left });
    }

    pub(crate) fn stops(&mut self, ends: bool) {
        self.desk(desk::Input::Drain);
        let live: Vec<usize> = self.visits.keys().copied().collect();
        for i in live {
            self.feed(i, if ends { Input::Shutdown } else { Input::Drain });
        }
    }

    /// The two are joined.
    pub(crate) fn served(&mut self, i: usize, extension: &str) {
        let now = self.now;
        let Some(visit) = self.visits.get_mut(&i) else { return };
        if let Some((queue, since)) = visit.in_line.take().filter(|_| visit.ticket.is_none()) {
            let counted: &mut Counted = self.counted.entry(queue).or_default();
            counted.answered += 1;
            counted.wait += now.saturating_duration_since(since);
        }
        self.desk(desk::Input::Talking { extension: extension.to_owned() });
    }

    /// The promise goes into the line. That of a call which keeps one waits until that call is over.
    pub(crate) fn promise(&mut self, i: usize, ticket: Ticket, since: Instant) {
        self.promised.insert(ticket.id.clone());
        if let Some(visit) = self.visits.get_mut(&i).filter(|v| v.ticket.is_some()) {
            visit.again = Some((ticket, since));
            return;
        }
        self.put_in_line(ticket, since);
    }

    pub(crate) fn put_in_line(&mut self, ticket: Ticket, since: Instant) {
        let want = Want {
            who: Waiter::Callback(ticket.id.clone()),
            queue: ticket.queue.clone(),
            not: Vec::new(),
            since,
            priority: ticket.priority,
            needs: ticket.needs.clone(),
        };
        self.tickets.insert(ticket.id.clone(), (ticket, since));
        self.desk(desk::Input::Wants(want));
    }

    pub(crate) fn release(&mut self, extension: String, how: Released) {
        let how = match how {
            Released::Talked => desk::Released::Talked,
            Released::Declined => desk::Released::Declined,
            Released::Missed => desk::Released::Missed,
            Released::NotNeeded => desk::Released::NotNeeded,
        };
        self.desk(desk::Input::Released { extension, how });
    }
}
