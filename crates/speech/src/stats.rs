//! What hearing has done so far, for metrics: counters that only grow, and the load of now.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::queue::{Kind, Level};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn more(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    finals: Count,
    partials: Count,
    late: Count,
    wait_us: Count,
    decode_us: Count,
    samples: Count,
    pub partials_refused: Count,
    pub shortened: Count,
    pub overloaded: Count,
    pub failed: Count,
    pub restarts: Count,
    waiting: AtomicUsize,
    workers: AtomicUsize,
    level: AtomicUsize,
}

impl Counters {
    pub fn decoded(&self, kind: Kind, waited: Duration, took: Duration, samples: usize, is_late: bool) {
        match kind {
            Kind::Final => {
                self.finals.add();
                self.late.more(u64::from(is_late));
            }
            Kind::Partial => self.partials.add(),
        }
        self.wait_us.more(waited.as_micros() as u64);
        self.decode_us.more(took.as_micros() as u64);
        self.samples.more(samples as u64);
    }

    pub fn load(&self, waiting: usize, workers: usize, level: Level) {
        self.waiting.store(waiting, Ordering::Relaxed);
        self.workers.store(workers, Ordering::Relaxed);
        self.level.store(level as usize, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> SpeechStats {
        SpeechStats {
            finals: self.finals.get(),
            partials: self.partials.get(),
            late: self.late.get(),
            partials_refused: self.partials_refused.get(),
            shortened: self.shortened.get(),
            overloaded: self.overloaded.get(),
            failed: self.failed.get(),
            restarts: self.restarts.get(),
            wait: Duration::from_micros(self.wait_us.get()),
            decoding: Duration::from_micros(self.decode_us.get()),
            speech: Duration::from_micros(self.samples.get() * 125),
            waiting: self.waiting.load(Ordering::Relaxed),
            workers: self.workers.load(Ordering::Relaxed),
            level: match self.level.load(Ordering::Relaxed) {
                0 => Level::Normal,
                1 => Level::NoPartials,
                2 => Level::Shorter,
                _ => Level::Overloaded,
            },
        }
    }
}

/// What speech-to-text has done since it was started, and how it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpeechStats {
    /// Turns transcribed. One that went on after a pause counts for each pause.
    pub finals: u64,
    /// Partial transcripts.
    pub partials: u64,
    /// Finals whose words came after the turn's end.
    pub late: u64,
    /// Partials not made for lack of time.
    pub partials_refused: u64,
    /// Utterances of which only the end was heard, for lack of time.
    pub shortened: u64,
    /// Utterances refused for lack of time.
    pub overloaded: u64,
    /// Utterances on which an engine failed.
    pub failed: u64,
    /// Engines started anew after a panic.
    pub restarts: u64,
    /// All waits in the queue together.
    pub wait: Duration,
    /// All decoding together.
    pub decoding: Duration,
    /// All speech that was decoded.
    pub speech: Duration,
    /// Jobs that wait now.
    pub waiting: usize,
    /// Engines at work or ready.
    pub workers: usize,
    /// What is given up now.
    pub level: Level,
}
