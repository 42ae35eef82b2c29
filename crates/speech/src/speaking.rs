//! The voice: a pool of synthesizers, clauses in order, what was spoken before from the cache.
//!
//! What must always hold: every text gets its clauses in order and then one `Done`, or a `Failed`; the caller whose audio
//! runs out first is served first; prompts are prepared only in idle time; only prompts are kept on disk.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use baton_audio::Clip;
use tracing::{error, warn};

use crate::cache::{Disk, Memory};
use crate::level::levelled;
use crate::text::{clauses, speakable};
use crate::{SpeechConfig, Spoken, Synthesizer, TtsError};

/// A text on its way.
struct Job {
    clauses: VecDeque<(usize, String)>,
    /// When its next clause is wanted: at once, or when what was delivered has been played.
    due: Instant,
    out: Box<dyn FnMut(Spoken) + Send>,
}

#[derive(Default)]
struct Work {
    jobs: Vec<Job>,
    preload: VecDeque<String>,
    preloading: usize,
    closed: bool,
}

struct Shared {
    work: Mutex<Work>,
    wake: Condvar,
    memory: Mutex<Memory>,
    disk: Option<Disk>,
    workers: usize,
    most_waiting: usize,
}

/// The voice. Dropping it ends its threads.
pub(crate) struct Speaking(Arc<Shared>);

impl Speaking {
    pub fn start(engines: Vec<Box<dyn Synthesizer>>, voice: &str, config: SpeechConfig) -> Self {
        let shared = Arc::new(Shared {
            work: Mutex::default(),
            wake: Condvar::new(),
            memory: Mutex::default(),
            disk: config.cache_dir.and_then(|dir| Disk::open(dir, voice)),
            workers: engines.len(),
            most_waiting: config.tts_waiting.max(1),
        });
        for (n, mut engine) in engines.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let run = move || shared.run(engine.as_mut());
            if let Err(e) = thread::Builder::new().name(format!("tts-{n}")).spawn(run) {
                error!(error = %e, "a text-to-speech thread did not start");
            }
        }
        Self(shared)
    }

    pub fn speak(&self, text: &str, mut out: Box<dyn FnMut(Spoken) + Send>) {
        let mut rest: VecDeque<(usize, String)> =
            clauses(text).into_iter().filter(|c| c.chars().any(char::is_alphanumeric)).enumerate().collect();
        let mut due = Instant::now();
        while let Some((index, clause)) = rest.front() {
            let Some(clip) = lock(&self.0.memory).get(&speakable(clause)) else { break };
            due += clip.duration();
            out(Spoken::Clip { index: *index, text: clause.clone(), clip });
            rest.pop_front();
        }
        if rest.is_empty() {
            return out(Spoken::Done);
        }
        let mut work = lock(&self.0.work);
        if work.jobs.len() >= self.0.most_waiting {
            drop(work);
            return out(Spoken::Failed(TtsError::Overloaded));
        }
        work.jobs.push(Job { clauses: rest, due, out });
        self.0.wake.notify_one();
    }

    pub fn preload(&self, texts: &[String]) {
        lock(&self.0.work).preload.extend(texts.iter().flat_map(|t| clauses(t)));
        self.0.wake.notify_all();
    }

    pub fn is_preloaded(&self) -> bool {
        let work = lock(&self.0.work);
        work.preloading == 0 && work.preload.is_empty()
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        lock(&self.0.work).closed = true;
        self.0.wake.notify_all();
    }
}

enum Next {
    Speak(Job),
    Preload(String),
}

impl Shared {
    fn run(&self, engine: &mut dyn Synthesizer) {
        while let Some(next) = self.next() {
            match next {
                Next::Speak(job) => self.speak(engine, job),
                Next::Preload(clause) => {
                    if let Err(e) = self.clip(engine, &clause, true) {
                        warn!(clause, error = %e, "a prompt could not be prepared");
                    }
                    lock(&self.work).preloading -= 1;
                    self.wake.notify_one();
                }
            }
        }
    }

    fn next(&self) -> Option<Next> {
        let mut work = lock(&self.work);
        loop {
            let urgent = work.jobs.iter().enumerate().min_by_key(|(_, job)| job.due).map(|(i, _)| i);
            if let Some(i) = urgent {
                return Some(Next::Speak(work.jobs.remove(i)));
            }
            if work.closed {
                return None;
            }
            // One of several workers is kept free for callers.
            let idle = work.preloading == 0 || work.preloading + 1 < self.workers;
            if let Some(clause) = if idle { work.preload.pop_front() } else { None } {
                work.preloading += 1;
                return Some(Next::Preload(clause));
            }
            work = self.wake.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// One clause of the job; what is left of it queues again, behind whoever's audio runs out sooner.
    fn speak(&self, engine: &mut dyn Synthesizer, mut job: Job) {
        let Some((index, clause)) = job.clauses.pop_front() else { return };
        let tell = |out: &mut Box<dyn FnMut(Spoken) + Send>, spoken| {
            if catch_unwind(AssertUnwindSafe(|| out(spoken))).is_err() {
                error!("whoever was spoken for panicked");
            }
        };
        match self.clip(engine, &clause, false) {
            Err(e) => tell(&mut job.out, Spoken::Failed(e)),
            Ok(clip) => {
                job.due = job.due.max(Instant::now()) + clip.duration();
                tell(&mut job.out, Spoken::Clip { index, text: clause, clip });
                if job.clauses.is_empty() {
                    return tell(&mut job.out, Spoken::Done);
                }
                lock(&self.work).jobs.push(job);
                self.wake.notify_one();
            }
        }
    }

    fn clip(&self, engine: &mut dyn Synthesizer, clause: &str, keep: bool) -> Result<Clip, TtsError> {
        let words = speakable(clause);
        if let Some(clip) = lock(&self.memory).get(&words) {
            return Ok(clip);
        }
        if let Some(clip) = self.disk.as_ref().and_then(|disk| disk.get(&words)) {
            lock(&self.memory).put(&words, &clip);
            return Ok(clip);
        }
        let synthesize = || if words.is_empty() { Ok(Clip::new(Vec::new())) } else { engine.synthesize(&words) };
        let clip = catch_unwind(AssertUnwindSafe(synthesize))
            .unwrap_or_else(|_| Err(TtsError::Engine("the engine panicked".to_owned())))?;
        let clip = levelled(&clip, clause);
        lock(&self.memory).put(&words, &clip);
        if let Some(disk) = self.disk.as_ref().filter(|_| keep) {
            disk.put(&words, &clip);
        }
        Ok(clip)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
