//! Whom a free agent is given to, and who is told what.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::lines::Entry;
use crate::plan::{Member, Strategy};

use super::{Desk, Event, Promise};

impl Desk {
    /// Promises free agents to who waits, in the order of the line. Who may be served by none that is free lets others pass.
    pub(super) fn bring_together(&mut self, now: Instant) {
        let mut at = 0;
        while self.pool.any_ready() {
            let Some(entry) = self.lines.get(at) else { break };
            let sleeps = entry.is_parked() && (self.draining || !self.is_open(&entry.want.queue));
            let chosen = if sleeps { Vec::new() } else { self.choose(entry) };
            match chosen.is_empty() {
                true => at += 1,
                false => self.offer(now, at, &chosen), // and the next one has moved up
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

    /// Takes who stands `at` this place out of the lines, and promises these agents to them.
    fn offer(&mut self, now: Instant, at: usize, chosen: &[String]) {
        let Some(entry) = self.lines.take(at) else { return };
        let (who, queue) = (entry.want.who, entry.want.queue);
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
        self.events.push_back(Event::Offer { who, agents });
    }

    /// Tells callers their place when it has changed, and everybody what agents do.
    pub(super) fn tell(&mut self) {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut moved = Vec::new();
        for (at, entry) in self.lines.iter().enumerate() {
            let place = places.entry(&entry.want.queue).or_default();
            *place += 1;
            if !entry.is_callback() && entry.told != Some(*place) {
                moved.push((at, *place, self.estimate(&entry.want.queue, *place)));
            }
        }
        for (at, position, wait) in moved {
            let Some(entry) = self.lines.get_mut(at) else { continue };
            entry.told = Some(position);
            self.events.push_back(Event::Place { who: entry.want.who.clone(), position, wait });
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
