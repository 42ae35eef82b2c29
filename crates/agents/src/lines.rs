//! Who waits in the queues, in the order in which they are served; how long that may take.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use crate::desk::{Waiter, Want};

/// Somebody who waits.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub want: Want,
    /// In this queue since.
    pub entered: Instant,
    /// No agent at work may take it, since.
    pub hopeless: Option<Instant>,
    /// Queues that could not serve it.
    pub tried: Vec<String>,
    /// The place that was told last, from 1.
    pub told: Option<usize>,
}

impl Entry {
    pub fn new(want: Want, now: Instant) -> Self {
        Self { want, entered: now, hopeless: None, tried: Vec::new(), told: None }
    }

    pub fn is_callback(&self) -> bool {
        matches!(self.want.who, Waiter::Callback(_))
    }

    /// A promised call that nobody has been asked to make yet: nobody waits on the line, so it may take its time.
    pub fn is_parked(&self) -> bool {
        self.is_callback() && self.want.not.is_empty()
    }
}

/// Everybody who waits, over all queues: who is urgent first, then who came first.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    entries: Vec<Entry>,
}

impl Lines {
    pub fn add(&mut self, entry: Entry) {
        let key = |e: &Entry| (Reverse(e.want.priority), e.want.since);
        let at = self.entries.partition_point(|e| key(e) <= key(&entry));
        self.entries.insert(at, entry);
    }

    pub fn remove(&mut self, who: &Waiter) -> Option<Entry> {
        let at = self.entries.iter().position(|e| e.want.who == *who)?;
        Some(self.entries.remove(at))
    }

    /// Takes out who stands there, over all queues.
    pub fn take(&mut self, at: usize) -> Option<Entry> {
        (at < self.entries.len()).then(|| self.entries.remove(at))
    }

    pub fn get(&self, at: usize) -> Option<&Entry> {
        self.entries.get(at)
    }

    pub fn get_mut(&mut self, at: usize) -> Option<&mut Entry> {
        self.entries.get_mut(at)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    pub fn of<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |e| e.want.queue == queue)
    }
}

/// How long a call keeps an agent of a queue: the mean of the last ones, the newest weighing an eighth, as TCP smooths its
/// round-trip time (RFC 6298 §2).
#[derive(Debug)]
pub(crate) struct Handling(Duration);

impl Handling {
    pub fn begin(estimate: Duration) -> Self {
        Self(estimate)
    }

    pub fn took(&mut self, time: Duration) {
        self.0 = (self.0 * 7 + time) / 8;
    }

    /// For who stands at `place`, with so many agents at work.
    pub fn wait(&self, place: usize, agents: usize) -> Duration {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        self.0.saturating_mul(place) / u32::try_from(agents.max(1)).unwrap_or(u32::MAX)
    }
}
