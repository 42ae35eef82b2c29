//! The speech-to-text pool: one thread per engine on one bounded queue, the most urgent job first.
//!
//! What must always hold: every job that is handed in and not withdrawn or replaced is answered, once; a turn has at most
//! one job waiting (a newer one holds all of the older one's audio and takes its place); an engine that panics costs its
//! own job only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use tracing::error;

use crate::{Hints, SttError, Transcriber, Transcript};

/// An utterance to transcribe.
pub(crate) struct Job {
    pub ear: u64,
    pub turn: u64,
    pub serial: u64,
    pub pcm: Vec<i16>,
    pub hints: Hints,
    /// When its words are wanted.
    pub due: Instant,
    pub done: Sender<Done>,
}

/// A job's result.
pub(crate) struct Done {
    pub ear: u64,
    pub serial: u64,
    pub result: Result<Transcript, SttError>,
}

struct Queue {
    jobs: Mutex<Jobs>,
    wake: Condvar,
    most: usize,
}

#[derive(Default)]
struct Jobs {
    waiting: Vec<Job>,
    closed: bool,
}

/// The pool. Dropping it ends its threads.
pub(crate) struct Pool(Arc<Queue>);

impl Pool {
    /// At most `most` jobs wait.
    pub fn start(engines: Vec<Box<dyn Transcriber>>, most: usize) -> Self {
        let queue = Arc::new(Queue { jobs: Mutex::default(), wake: Condvar::new(), most: most.max(1) });
        for (n, engine) in engines.into_iter().enumerate() {
            let queue = Arc::clone(&queue);
            if let Err(e) = thread::Builder::new().name(format!("stt-{n}")).spawn(move || queue.work(engine)) {
                error!(error = %e, "a speech-to-text thread did not start");
            }
        }
        Self(queue)
    }

    /// Hands a job in. A full queue refuses it at once: words that come too late help nobody.
    pub fn submit(&self, job: Job) {
        let mut jobs = self.0.lock();
        if let Some(waiting) = jobs.waiting.iter_mut().find(|j| j.ear == job.ear && j.turn == job.turn) {
            *waiting = job;
        } else if jobs.waiting.len() >= self.0.most {
            let _ = job.done.send(Done { ear: job.ear, serial: job.serial, result: Err(SttError::Overloaded) });
        } else {
            jobs.waiting.push(job);
        }
        self.0.wake.notify_one();
    }

    /// Takes back what still waits of a turn, or of a whole ear: nobody wants to know any more.
    pub fn withdraw(&self, ear: u64, turn: Option<u64>) {
        self.0.lock().waiting.retain(|j| j.ear != ear || turn.is_some_and(|turn| turn != j.turn));
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.wake.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut jobs = self.lock();
        loop {
            let urgent = jobs.waiting.iter().enumerate().min_by_key(|(_, job)| job.due).map(|(i, _)| i);
            match urgent {
                Some(i) => return Some(jobs.waiting.remove(i)), // not swap_remove: of equals the older goes first
                None if jobs.closed => return None,
                None => jobs = self.wake.wait(jobs).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn work(&self, mut engine: Box<dyn Transcriber>) {
        while let Some(job) = self.next() {
            let outcome = catch_unwind(AssertUnwindSafe(|| engine.transcribe(&job.pcm, &job.hints)));
            let result = outcome.unwrap_or_else(|_| {
                error!("a speech-to-text engine panicked; it is started again");
                let _ = catch_unwind(AssertUnwindSafe(|| engine.restart()));
                Err(SttError::Engine("the engine panicked".to_owned()))
            });
            let _ = job.done.send(Done { ear: job.ear, serial: job.serial, result });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;

    /// Says it began, waits to be let go, answers with the length of the audio.
    struct Held(Sender<usize>, Receiver<()>);

    impl Transcriber for Held {
        fn transcribe(&mut self, pcm: &[i16], _: &Hints) -> Result<Transcript, SttError> {
            let _ = self.0.send(pcm.len());
            let _ = self.1.recv();
            Ok(Transcript { text: pcm.len().to_string(), confidence: 1.0 })
        }
    }

    #[test]
    fn the_urgent_goes_first_the_newer_replaces_and_a_full_queue_refuses() {
        let ((began, begins), (go, gate), (done, results)) = (channel(), channel(), channel());
        let pool = Pool::start(vec![Box::new(Held(began, gate))], 3);
        let now = Instant::now();
        let job = |ear, turn, serial, samples, due_ms| Job {
            ear,
            turn,
            serial,
            pcm: vec![0; samples],
            hints: Hints::default(),
            due: now + Duration::from_millis(due_ms),
            done: done.clone(),
        };
        pool.submit(job(1, 1, 1, 10, 0));
        let limit = Duration::from_secs(10);
        assert_eq!(begins.recv_timeout(limit), Ok(10), "the worker is busy from here on");
        pool.submit(job(2, 1, 2, 20, 500));
        pool.submit(job(3, 1, 3, 30, 100));
        pool.submit(job(2, 1, 4, 40, 500)); // replaces the first of ear 2
        pool.submit(job(2, 2, 5, 50, 600)); // another turn of it does not
        pool.submit(job(4, 1, 6, 60, 0));
        let refused = results.recv_timeout(limit).unwrap();
        assert_eq!((refused.serial, refused.result), (6, Err(SttError::Overloaded)));
        pool.withdraw(2, Some(2));
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        let served: Vec<u64> = (0..3).map(|_| results.recv_timeout(limit).unwrap().serial).collect();
        assert_eq!(served, [1, 3, 4]);
        assert_eq!((begins.recv_timeout(limit), begins.recv_timeout(limit)), (Ok(30), Ok(40)));
        drop(go);
        drop(pool);
        drop(done);
        assert!(results.recv_timeout(limit).is_err(), "nothing else was decoded, and the thread has ended");
    }
}
