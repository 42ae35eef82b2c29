//! The order in which utterances are transcribed, and what is given up when too many wait. Pure: time comes in.
//!
//! What must always hold: an ear has at most one final and one partial waiting, a newer one in the older one's place (it
//! holds all of the older one's audio); a final goes before every partial; among finals, those of ears that are not being
//! heard already go first, then what is due first; nothing waits beyond a bound.
//!
//! With load, first partials are refused, then long utterances are cut to their end, then jobs are refused; see [`Level`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Jobs that may wait, whatever the estimates say.
const WAITING: usize = 64;
/// Expected waits from which each level holds.
const NO_PARTIALS: Duration = Duration::from_millis(250);
const SHORTER: Duration = Duration::from_millis(1_000);
const OVERLOADED: Duration = Duration::from_millis(4_000);
/// What is kept of an utterance at [`Level::Shorter`]: its last eight seconds at 8 kHz.
const KEPT_SAMPLES: usize = 64_000;
/// A job that is late by more is not worth its time: the caller has spoken again, or has gone.
const STALE: Duration = Duration::from_secs(5);
/// CPU seconds per second of speech before anything was measured: Whisper's, the slower one.
const FIRST_RATE: f64 = 0.25;

/// What a transcription is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A turn that may be over.
    Final,
    /// A turn that goes on.
    Partial,
}

/// How far the pool is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// All is heard in time.
    #[default]
    Normal = 0,
    /// No partial transcripts.
    NoPartials = 1,
    /// Of long utterances, only the end is heard. No new calls should be taken.
    Shorter = 2,
    /// Utterances are refused.
    Overloaded = 3,
}

/// What the order is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub ear: u64,
    pub turn: u64,
    pub kind: Kind,
    pub due: Instant,
    pub samples: usize,
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoPartials,
    Full,
    NoWorkers,
}

/// How a job is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// How long it waited.
    pub waited: Duration,
    /// Too late to be of use.
    pub stale: bool,
    /// Only so many of its last samples.
    pub shorten_to: Option<usize>,
}

struct Waiting<T> {
    entry: Entry,
    since: Instant,
    item: T,
}

/// The queue, and who is at work.
pub(crate) struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    /// The ear of each job under way, and its samples.
    running: Vec<(u64, usize)>,
    workers: usize,
    /// CPU seconds per second of speech, a running mean.
    rate: f64,
}

impl<T> Queue<T> {
    pub fn new(workers: usize) -> Self {
        Self { waiting: VecDeque::new(), running: Vec::new(), workers, rate: FIRST_RATE }
    }

    pub fn submit(&mut self, entry: Entry, item: T, now: Instant) -> Result<(), (Refusal, T)> {
        if self.workers == 0 {
            return Err((Refusal::NoWorkers, item));
        }
        if entry.kind == Kind::Final {
            // The final holds whatever a partial would have told.
            self.waiting.retain(|w| w.entry.ear != entry.ear || w.entry.kind == Kind::Final);
        }
        let same = |w: &&mut Waiting<T>| {
            let e = w.entry;
            e.ear == entry.ear && e.kind == entry.kind && (e.turn == entry.turn || e.kind == Kind::Partial)
        };
        if let Some(older) = self.waiting.iter_mut().find(same) {
            // Its place in time stays: else a caller who pauses often would never be heard.
            let due = older.entry.due.min(entry.due);
            *older = Waiting { entry: Entry { due, ..entry }, since: older.since, item };
            return Ok(());
        }
        match (entry.kind, self.level()) {
            (Kind::Partial, level) if level > Level::Normal => return Err((Refusal::NoPartials, item)),
            (_, Level::Overloaded) => return Err((Refusal::Full, item)),
            _ => {}
        }
        self.waiting.push_back(Waiting { entry, since: now, item });
        Ok(())
    }

    /// The next job for a worker that is free.
    pub fn take(&mut self, now: Instant) -> Option<(T, Taken)> {
        let level = self.level();
        let rank = |w: &Waiting<T>| {
            let is_heard = self.running.iter().any(|(ear, _)| *ear == w.entry.ear);
            (w.entry.kind == Kind::Partial, is_heard, w.entry.due)
        };
        let at = (0..self.waiting.len()).min_by_key(|i| self.waiting.get(*i).map(rank))?;
        let Waiting { entry, since, item } = self.waiting.remove(at)?;
        let shorten = level >= Level::Shorter && entry.samples > KEPT_SAMPLES;
        let samples = if shorten { KEPT_SAMPLES } else { entry.samples };
        self.running.push((entry.ear, samples));
        let taken = Taken {
            waited: now.saturating_duration_since(since),
            stale: now > entry.due + STALE,
            shorten_to: shorten.then_some(KEPT_SAMPLES),
        };
        Some((item, taken))
    }

    /// A job is done: of this ear, of so many samples. `took`: how long, if it was done at all.
    pub fn finished(&mut self, ear: u64, samples: usize, took: Option<Duration>) {
        if let Some(at) = self.running.iter().position(|(e, _)| *e == ear) {
            self.running.swap_remove(at);
        }
        if let Some(took) = took {
            let seconds = (samples as f64 / 8_000.0).max(0.5);
            self.rate += (took.as_secs_f64() / seconds - self.rate) * 0.1;
        }
    }

    pub fn lose_worker(&mut self) {
        self.workers = self.workers.saturating_sub(1);
    }

    pub fn workers(&self) -> usize {
        self.workers
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.waiting.drain(..).map(|w| w.item)
    }

    /// How far behind: from what waits and runs, how fast it goes, and how many work.
    pub fn level(&self) -> Level {
        let finals = self.waiting.iter().filter(|w| w.entry.kind == Kind::Final).map(|w| w.entry.samples);
        // What runs is half done, on average.
        let samples = finals.sum::<usize>() + self.running.iter().map(|(_, n)| n / 2).sum::<usize>();
        // A free worker takes a job at once: only what is behind others waits.
        let idle = self.waiting.len() + self.running.len() <= self.workers;
        let expected = Duration::from_secs_f64(samples as f64 / 8_000.0 * self.rate / self.workers.max(1) as f64);
        match expected {
            _ if self.workers == 0 || self.waiting.len() >= WAITING || expected >= OVERLOADED => Level::Overloaded,
            _ if idle => Level::Normal,
            e if e >= SHORTER => Level::Shorter,
            e if e >= NO_PARTIALS => Level::NoPartials,
            _ => Level::Normal,
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
