//! The speech-to-text pool: one thread per engine on one bounded queue. A turn has at most one job waiting: a newer one
//! takes its place, because it holds all of the older one's audio.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use baton_tone::Features;
use tracing::error;

use crate::{Hints, SttError, Transcriber, Transcript};

/// Jobs that may wait.
const WAITING: usize = 64;

/// An utterance to transcribe.
pub(crate) struct Job {
    pub ear: u64,
    pub turn: u64,
    pub serial: u64,
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
    pub result: Result<Heard, SttError>,
}

/// What one stretch of audio told.
pub(crate) struct Heard {
    pub transcript: Transcript,
    pub features: Option<Features>,
}

/// The pool's queue.
#[derive(Clone)]
pub(crate) struct Pool(Arc<(Mutex<VecDeque<Job>>, Condvar)>);

impl Pool {
    pub fn start(engines: Vec<Box<dyn Transcriber>>) -> Self {
        let pool = Self(Arc::new((Mutex::new(VecDeque::new()), Condvar::new())));
        for (n, engine) in engines.into_iter().enumerate() {
            let pool = pool.clone();
            let spawned = thread::Builder::new().name(format!("stt-{n}")).spawn(move || pool.work(engine));
            if let Err(e) = spawned {
                error!(error = %e, "a speech-to-text thread did not start");
            }
        }
        pool
    }

    /// Hands a job in. A full queue refuses it at once.
    pub fn submit(&self, job: Job) {
        let (queue, wake) = &*self.0;
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = queue.iter_mut().find(|j| j.ear == job.ear && j.turn == job.turn) {
            *waiting = job;
        } else if queue.len() >= WAITING {
            let _ = job.done.send(Done { ear: job.ear, serial: job.serial, result: Err(SttError::Overloaded) });
        } else {
            queue.push_back(job);
        }
        wake.notify_one();
    }

    fn work(&self, mut engine: Box<dyn Transcriber>) {
        let (queue, wake) = &*self.0;
        loop {
            let job = {
                let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    match queue.pop_front() {
                        Some(job) => break job,
                        None => queue = wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
                    }
                }
            };
            let result = catch_unwind(AssertUnwindSafe(|| engine.transcribe(&job.pcm, &job.hints)))
                .unwrap_or_else(|_| Err(SttError::Engine("the engine panicked".into())))
                .map(|transcript| Heard { features: features(&job, &transcript), transcript });
            let _ = job.done.send(Done { ear: job.ear, serial: job.serial, result });
        }
    }
}

/// The voice is measured on the samples that gave the words, where there are words and the ear was told to. The words are never
/// lost for it.
fn features(job: &Job, transcript: &Transcript) -> Option<Features> {
    if !job.voice || transcript.text.trim().is_empty() {
        return None;
    }
    catch_unwind(|| Features::of(&job.pcm)).ok().flatten()
}
