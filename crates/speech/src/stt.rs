//! The speech-to-text pool: one thread per engine on one bounded queue, [`Queue`]'s order. A worker whose engine panics
//! answers that job with an error, has its engine restarted, and goes on; one that cannot be restarted leaves the pool.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use baton_tone::Features;
use tracing::{error, warn};

use crate::queue::{Entry, Kind, Queue, Refusal, Taken};
use crate::stats::Counters;
use crate::{Hints, SttError, Transcriber, Transcript};

/// How often an engine that panicked may fail to restart before its worker is given up.
const RESTARTS: u32 = 5;
const BETWEEN_RESTARTS: Duration = Duration::from_millis(500);

/// An utterance to transcribe.
pub(crate) struct Job {
    pub ear: u64,
    pub turn: u64,
    pub serial: u64,
    pub kind: Kind,
    /// When its words should be known.
    pub due: Instant,
    pub pcm: Vec<i16>,
    pub hints: Hints,
    /// Whether the voice is measured too.
    pub voice: bool,
    pub done: Sender<Done>,
}

/// A job's result.
pub(crate) struct Done {
    pub ear: u64,
    pub serial: u64,
    pub kind: Kind,
    pub result: Result<Heard, SttError>,
}

/// What one stretch of audio told.
pub(crate) struct Heard {
    pub transcript: Transcript,
    pub features: Option<Features>,
}

struct Shared {
    queue: Mutex<Queue<Job>>,
    wake: Condvar,
    counters: Arc<Counters>,
}

/// The pool's handle.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

impl Pool {
    pub fn start(engines: Vec<Box<dyn Transcriber>>, counters: Arc<Counters>) -> Self {
        let queue = Mutex::new(Queue::new(engines.len()));
        let pool = Self(Arc::new(Shared { queue, wake: Condvar::new(), counters }));
        for (n, engine) in engines.into_iter().enumerate() {
            let worker = pool.clone();
            let spawned = thread::Builder::new().name(format!("stt-{n}")).spawn(move || worker.work(engine));
            if let Err(e) = spawned {
                error!(error = %e, "a speech-to-text thread did not start");
                pool.leave();
            }
        }
        pool.tell_load(&pool.lock());
        pool
    }

    /// Hands a job in. What cannot be heard in time is answered at once.
    pub fn submit(&self, job: Job) {
        let counters = &self.0.counters;
        let entry = Entry { ear: job.ear, turn: job.turn, kind: job.kind, due: job.due, samples: job.pcm.len() };
        let mut queue = self.lock();
        match queue.submit(entry, job, Instant::now()) {
            Ok(()) => self.0.wake.notify_one(),
            Err((Refusal::NoPartials, _)) => counters.partials_refused.add(),
            Err((Refusal::Full, job)) => {
                counters.overloaded.add();
                answer(job, Err(SttError::Overloaded));
            }
            Err((Refusal::NoWorkers, job)) => {
                counters.failed.add();
                answer(job, Err(SttError::Engine("no speech-to-text engine is left".into())));
            }
        }
        self.tell_load(&queue);
    }

    fn work(&self, mut engine: Box<dyn Transcriber>) {
        loop {
            let (mut job, taken) = self.next();
            let counters = &self.0.counters;
            if taken.stale {
                counters.overloaded.add();
                self.lock().finished(job.ear, job.pcm.len(), None);
                answer(job, Err(SttError::Overloaded));
                continue;
            }
            if let Some(keep) = taken.shorten_to
                && job.pcm.len() > keep
            {
                counters.shortened.add();
                job.pcm.drain(..job.pcm.len() - keep);
            }
            let began = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(|| engine.transcribe(&job.pcm, &job.hints)));
            let took = began.elapsed();
            counters.decoded(job.kind, taken.waited, took, job.pcm.len(), began + took > job.due);
            self.lock().finished(job.ear, job.pcm.len(), Some(took));
            match result {
                Ok(result) => {
                    if result.is_err() {
                        counters.failed.add();
                    }
                    answer(job, result);
                }
                Err(_) => {
                    counters.failed.add();
                    answer(job, Err(SttError::Engine("the engine panicked".into())));
                    if !self.restart(engine.as_mut()) {
                        return self.leave();
                    }
                }
            }
        }
    }

    fn next(&self) -> (Job, Taken) {
        let mut queue = self.lock();
        loop {
            if let Some(next) = queue.take(Instant::now()) {
                self.tell_load(&queue);
                return next;
            }
            queue = self.0.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether the engine works again.
    fn restart(&self, engine: &mut dyn Transcriber) -> bool {
        for attempt in 1..=RESTARTS {
            match catch_unwind(AssertUnwindSafe(|| engine.restart())) {
                Ok(Ok(())) => {
                    self.0.counters.restarts.add();
                    warn!(attempt, "a speech-to-text engine panicked and was started anew");
                    return true;
                }
                Ok(Err(e)) => error!(attempt, error = %e, "a speech-to-text engine cannot be started anew"),
                Err(_) => error!(attempt, "a speech-to-text engine panicked while it was started anew"),
            }
            // Out of memory, most likely: give others time to give some back.
            thread::park_timeout(BETWEEN_RESTARTS);
        }
        false
    }

    /// One worker less. The last one answers what still waits.
    fn leave(&self) {
        let mut queue = self.lock();
        queue.lose_worker();
        if queue.workers() == 0 {
            for job in queue.drain() {
                answer(job, Err(SttError::Engine("no speech-to-text engine is left".into())));
            }
        }
        self.tell_load(&queue);
    }

    fn tell_load(&self, queue: &Queue<Job>) {
        self.0.counters.load(queue.waiting(), queue.workers(), queue.level());
    }

    fn lock(&self) -> MutexGuard<'_, Queue<Job>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(job: Job, result: Result<Transcript, SttError>) {
    let result = result.map(|transcript| Heard { features: features(&job, &transcript), transcript });
    let _ = job.done.send(Done { ear: job.ear, serial: job.serial, kind: job.kind, result });
}

/// The voice is measured on the samples that gave the words, where there are words and the ear was told to. The words are
/// never lost for it.
fn features(job: &Job, transcript: &Transcript) -> Option<Features> {
    if !job.voice || job.kind == Kind::Partial || transcript.text.trim().is_empty() {
        return None;
    }
    catch_unwind(|| Features::of(&job.pcm)).ok().flatten()
}
