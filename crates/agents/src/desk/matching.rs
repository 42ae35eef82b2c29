//! Whom a free agent is given to, and who is told what.

use std::time::Duration;

use crate::lines::Entry;
use crate::plan::{Member, Strategy};

use super::{Desk, Event, Promise, Waiter};

impl Desk {
    /// Promises free agents to who waits, in the order of the line. Who may be served by none that is free lets others pass.
    pub(super) fn bring_together(&mut self, now: std::time::Instant) {
        let waiting: Vec<Waiter> = self.lines.iter().map(|e| e.want.who.clone()).collect();
        for who in waiting {
            let Some(entry) = self.lines.iter().find(|e| e.want.who == who) else { continue };
            if entry.is_parked() && (self.draining || !self.is_open(&entry.want.queue)) {
                continue;
            }
            let chosen = self.choose(entry);
            if !chosen.is_empty() {
                self.offer(now, &who, &chosen);
            }
        }
    }

    /// The agents to be rung: one, or all that are free in the lowest tier; none, if none is.
    fn choose(&self, entry: &Entry) -> Vec<String> {
        let Some(queue) = self.queues.get(&entry.want.queue) else { return Vec::new() };
        let needs = self.needs(entry);
        let members = self.pool.members(&entry.want.queue);
        let mut free: Vec<(usize, &Member)> = members
            .iter()
            .enumerate()
            .filter(|(_, m)| self.pool.is_ready(&m.extension) && !entry.want.not.contains(&m.extension))
            .filter(|(_, m)| self.can(&m.extension, needs))
            .collect();
        let Some(tier) = free.iter().map(|(_, m)| m.tier).min() else { return Vec::new() };
        free.retain(|(_, m)| m.tier == tier);
        let idle = |m: &Member| self.pool.idle_since(&m.extension);
        let first = match queue.plan.strategy {
            Strategy::RingAll => return free.into_iter().map(|(_, m)| m.extension.clone()).collect(),
            Strategy::LongestIdle => free.into_iter().min_by_key(|(_, m)| idle(m)),
            Strategy::FewestCalls => {
                let taken = |m: &Member| self.pool.agent(&m.extension).map(|a| a.taken);
                free.into_iter().min_by_key(|(_, m)| (taken(m), idle(m)))
            }
            Strategy::RoundRobin => {
                let last = queue.last.as_ref().and_then(|l| members.iter().position(|m| m.extension == *l));
                let after = last.map_or(0, |l| l + 1);
                free.into_iter().min_by_key(|(n, _)| (n + members.len() - after.min(members.len())) % members.len())
            }
        };
        first.map(|(_, m)| m.extension.clone()).into_iter().collect()
    }

    fn offer(&mut self, now: std::time::Instant, who: &Waiter, chosen: &[String]) {
        let Some(entry) = self.lines.remove(who) else { return };
        let queue = entry.want.queue;
        let mut agents = Vec::new();
        for extension in chosen {
            if !self.pool.promise(extension) {
                continue;
            }
            self.promised.insert(extension.clone(), (who.clone(), queue.clone()));
            self.figures.agent(extension).promised += 1;
            let must_accept = self.pool.agent(extension).is_some_and(|a| a.must_accept);
            agents.push(Promise { extension: extension.clone(), must_accept });
        }
        if let Some(queue) = self.queues.get_mut(&queue) {
            queue.last = chosen.last().cloned();
        }
        debug_assert!(now >= entry.entered, "time runs forwards");
        self.events.push_back(Event::Offer { who: who.clone(), agents });
    }

    /// Tells callers their place when it has changed, and everybody what agents do.
    pub(super) fn tell(&mut self) {
        let moved: Vec<(Waiter, usize, Duration)> = self
            .lines
            .iter()
            .filter(|e| !e.is_callback())
            .filter_map(|e| {
                let position = self.lines.place(&e.want.who)?;
                (e.told != Some(position))
                    .then(|| (e.want.who.clone(), position, self.estimate(&e.want.queue, position)))
            })
            .collect();
        for (who, position, wait) in moved {
            if let Some(entry) = self.lines.iter_mut().find(|e| e.want.who == who) {
                entry.told = Some(position);
            }
            self.events.push_back(Event::Place { who, position, wait });
        }
        for (extension, state) in self.pool.states() {
            if self.shown.get(&extension) != Some(&state) {
                self.shown.insert(extension.clone(), state);
                self.events.push_back(Event::Agent { extension, state });
            }
        }
    }

    /// How long who stands at `position` may wait.
    pub(super) fn estimate(&self, queue: &str, position: usize) -> Duration {
        let at_work = |m: &&Member| self.pool.agent(&m.extension).is_some_and(|a| a.is_staffed());
        let agents = self.pool.members(queue).iter().filter(at_work).count();
        self.queues.get(queue).map(|q| q.handling.wait(position, agents)).unwrap_or_default()
    }
}
