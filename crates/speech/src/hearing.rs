//! Ears: a thread looks every 10 ms at what the media plane has put into the rings, runs voice activity on it, and sends
//! what was said to speech-to-text.
//!
//! A turn is transcribed ahead: at the first short silence all that was said goes to the pool. If the silence lasts, the
//! words are already there and are final; if the voice goes on, they are thrown away. What must always hold: audio is
//! taken and never waited for; an ear that fails costs nobody else anything.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use baton_audio::{AudioFrame, FRAME_SAMPLES, RATE};
use rtrb::Consumer;
use tracing::error;

use crate::endpoint::{Endpointer, Turn, WINDOW_MS};
use crate::stt::{Done, Job, Pool};
use crate::{Expectation, HearEvent, SpeechConfig, SttError, Transcriber, Transcript, VoiceActivity};

const WINDOW: usize = 256;
/// Windows kept from before a voice begins (320 ms), so that no first syllable is lost, and while one is being noticed.
const PRE_ROLL: usize = 10;
const RECENT: usize = PRE_ROLL + 16;
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A gap in the audio up to this long was lost on its way and is filled with silence; a longer one is another stream.
const GAP: u32 = 2 * RATE;

type MakeVad = Arc<dyn Fn() -> Box<dyn VoiceActivity> + Send + Sync>;

struct Control {
    /// Odd: open. Every change counts, so that an ear closed and opened between two looks is noticed.
    openings: AtomicU32,
    gone: AtomicBool,
    expectation: Mutex<Expectation>,
}

impl Control {
    fn expectation(&self) -> Expectation {
        self.expectation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One leg's ear. It is closed until it is opened; dropping it ends it.
pub struct Ear(Arc<Control>);

impl Ear {
    /// Opens or closes it. What comes in while it is closed is forgotten, and so is a turn that was not over.
    pub fn open(&self, open: bool) {
        let step = |n: u32| (n % 2 == 1) != open;
        let _ =
            self.0.openings.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| step(n).then(|| n.wrapping_add(1)));
    }

    /// Tells it what to expect from now on.
    pub fn expect(&self, expectation: Expectation) {
        *self.0.expectation.lock().unwrap_or_else(PoisonError::into_inner) = expectation;
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Release);
    }
}

#[derive(Clone)]
pub(crate) struct Hearing {
    threads: Arc<[Sender<Listener>]>,
    make_vad: MakeVad,
    open_ms: u32,
    next: Arc<AtomicU64>,
}

impl Hearing {
    pub fn start(engines: Vec<Box<dyn Transcriber>>, make_vad: MakeVad, config: &SpeechConfig) -> Self {
        let pool = Arc::new(Pool::start(engines, config.stt_waiting));
        let spawn = |n: usize| {
            let (fresh, arriving) = mpsc::channel();
            let pool = Arc::clone(&pool);
            let run = move || listen_to_all(&arriving, &pool);
            if let Err(e) = thread::Builder::new().name(format!("hearing-{n}")).spawn(run) {
                error!(error = %e, "a hearing thread did not start");
            }
            fresh
        };
        let open_ms = u32::try_from(config.end_of_turn.as_millis()).unwrap_or(u32::MAX);
        let threads = (0..config.hearing_threads.max(1)).map(spawn).collect();
        Self { threads, make_vad, open_ms, next: Arc::new(AtomicU64::new(0)) }
    }

    pub fn listen(&self, audio: Consumer<AudioFrame>, events: Box<dyn Fn(HearEvent) + Send>) -> Ear {
        let control = Arc::new(Control {
            openings: AtomicU32::new(0),
            gone: AtomicBool::new(false),
            expectation: Mutex::default(),
        });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let listener = Listener {
            id,
            control: Arc::clone(&control),
            audio,
            vad: (self.make_vad)(),
            events,
            endpointer: Endpointer::new(self.open_ms),
            window: Vec::with_capacity(WINDOW + FRAME_SAMPLES),
            recent: VecDeque::with_capacity((RECENT + 1) * WINDOW),
            said: Vec::new(),
            started: Instant::now(),
            media_time: None,
            openings: 0,
            serial: 0,
            turn: 0,
            probe: None,
            split: Vec::new(),
        };
        let thread = &self.threads[id as usize % self.threads.len()];
        if thread.send(listener).is_err() {
            error!("an ear found no thread that listens");
        }
        Ear(control)
    }
}

fn listen_to_all(arriving: &Receiver<Listener>, pool: &Pool) {
    let (done, results) = mpsc::channel::<Done>();
    let mut listeners: Vec<Listener> = Vec::new();
    loop {
        // With nobody to listen to, this thread rests.
        if listeners.is_empty() {
            match arriving.recv() {
                Ok(listener) => listeners.push(listener),
                Err(_) => return,
            }
        }
        listeners.extend(arriving.try_iter());
        listeners.retain_mut(|listener| {
            let look = || listener.look(pool, &done);
            let stays = catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| {
                error!("an ear panicked and is closed");
                false
            });
            if !stays {
                pool.withdraw(listener.id, None);
            }
            stays
        });
        // A result is worth waking for; audio comes every 20 ms anyway.
        let first = results.recv_timeout(LOOK_EVERY);
        for result in first.into_iter().chain(results.try_iter()) {
            if let Some(listener) = listeners.iter_mut().find(|l| l.id == result.ear) {
                let told = catch_unwind(AssertUnwindSafe(|| listener.decoded(result)));
                if told.is_err() {
                    error!("an ear's owner panicked at its words");
                }
            }
        }
    }
}

type Words = Result<Transcript, SttError>;

/// The transcription of the turn so far.
struct Probe {
    serial: u64,
    /// End of the voice in it.
    ended: Instant,
    words: Option<(Words, Instant)>,
}

struct Listener {
    id: u64,
    control: Arc<Control>,
    audio: Consumer<AudioFrame>,
    vad: Box<dyn VoiceActivity>,
    events: Box<dyn Fn(HearEvent) + Send>,
    endpointer: Endpointer,
    /// Samples that do not fill a window yet.
    window: Vec<i16>,
    /// What came before a voice is noticed.
    recent: VecDeque<i16>,
    /// The turn's audio.
    said: Vec<i16>,
    started: Instant,
    /// Where the next frame should begin.
    media_time: Option<u32>,
    openings: u32,
    serial: u64,
    turn: u64,
    probe: Option<Probe>,
    /// Parts of long turns, on their way through the pool: serial, began, split.
    split: Vec<(u64, Instant, Instant)>,
}

impl Listener {
    /// Takes what is in the ring. False: there is no more to listen to.
    fn look(&mut self, pool: &Pool, done: &Sender<Done>) -> bool {
        if self.control.gone.load(Ordering::Acquire) {
            return false;
        }
        let openings = self.control.openings.load(Ordering::Acquire);
        if openings != self.openings {
            self.openings = openings;
            self.forget(pool);
        }
        let ends = self.audio.is_abandoned(); // asked first: what is in an abandoned ring is complete
        if openings.is_multiple_of(2) {
            while self.audio.pop().is_ok() {}
            return !ends;
        }
        while let Ok(frame) = self.audio.pop() {
            self.fill_gap(frame.media_time, pool, done);
            self.media_time = Some(frame.media_time.wrapping_add(FRAME_SAMPLES as u32));
            self.push(&frame.samples, pool, done);
        }
        !ends
    }

    fn fill_gap(&mut self, media_time: u32, pool: &Pool, done: &Sender<Done>) {
        let gap = self.media_time.map_or(0, |expected| media_time.wrapping_sub(expected));
        if (1..=GAP).contains(&gap) {
            self.push(&vec![0; gap as usize], pool, done);
        }
    }

    fn push(&mut self, samples: &[i16], pool: &Pool, done: &Sender<Done>) {
        self.window.extend_from_slice(samples);
        while let Some(window) = self.window.first_chunk::<WINDOW>().copied() {
            self.window.drain(..WINDOW);
            self.take(&window, pool, done);
        }
    }

    fn take(&mut self, window: &[i16; WINDOW], pool: &Pool, done: &Sender<Done>) {
        let probability = self.vad.probability(window);
        if self.said.is_empty() {
            self.recent.extend(window);
            let too_many = self.recent.len().saturating_sub(RECENT * WINDOW);
            self.recent.drain(..too_many);
        } else {
            self.said.extend_from_slice(window);
        }
        match self.endpointer.window(probability, level_db(window)) {
            Turn::Nothing => {}
            Turn::Started { windows } => {
                let at = self.heard_at();
                self.turn += 1;
                let keep = (PRE_ROLL + windows as usize) * WINDOW;
                let surplus = self.recent.len().saturating_sub(keep);
                self.said = self.recent.drain(..).skip(surplus).collect();
                self.started = earlier(at, windows * WINDOW_MS);
                (self.events)(HearEvent::SpeechStarted { at: Instant::now() });
            }
            Turn::Probe => {
                let ended = earlier(self.heard_at(), self.endpointer.silence_ms());
                let due = ended + Duration::from_millis(u64::from(self.endpointer.limit_ms()));
                let serial = self.submit(self.said.clone(), due, pool, done);
                self.probe = Some(Probe { serial, ended, words: None });
            }
            Turn::Resumed => {
                self.probe = None;
                pool.withdraw(self.id, Some(self.turn));
            }
            Turn::Split => {
                let now = self.heard_at();
                let pcm = std::mem::take(&mut self.said);
                let serial = self.submit(pcm, now, pool, done);
                self.split.push((serial, self.started, now));
                self.turn += 1;
                self.started = now;
                self.said.extend_from_slice(window); // not empty: the turn goes on
            }
            Turn::Ended => self.end(),
            Turn::Dropped => self.said.clear(),
        }
    }

    fn submit(&mut self, pcm: Vec<i16>, due: Instant, pool: &Pool, done: &Sender<Done>) -> u64 {
        self.serial += 1;
        let hints = self.control.expectation().hints;
        let (ear, turn, serial) = (self.id, self.turn, self.serial);
        pool.submit(Job { ear, turn, serial, pcm, hints, due, done: done.clone() });
        serial
    }

    fn decoded(&mut self, done: Done) {
        let now = Instant::now();
        if let Some(at) = self.split.iter().position(|(serial, ..)| *serial == done.serial) {
            let (_, started, split) = self.split.remove(at);
            return self.tell(done.result, started, split, split, now);
        }
        let Some(probe) = self.probe.as_mut().filter(|p| p.serial == done.serial) else { return };
        let expected = self.control.expectation().kind;
        let text = done.result.as_ref().ok().map(|t| t.text.as_str());
        let turn = self.endpointer.words(text, expected);
        probe.words = Some((done.result, now));
        if turn == Turn::Ended {
            self.end();
        }
    }

    /// The turn is over, and its words are known.
    fn end(&mut self) {
        self.said.clear();
        let started = self.started;
        if let Some(Probe { ended, words: Some((words, decoded)), .. }) = self.probe.take() {
            self.tell(words, started, ended, Instant::now(), decoded);
        }
    }

    fn tell(&self, words: Words, started: Instant, ended: Instant, endpointed: Instant, decoded: Instant) {
        if self.control.openings.load(Ordering::Acquire) != self.openings {
            return; // closed since
        }
        (self.events)(match words {
            Ok(t) if t.text.trim().is_empty() => HearEvent::NothingHeard { ended },
            Ok(t) => {
                HearEvent::Utterance { text: t.text, confidence: t.confidence, started, ended, endpointed, decoded }
            }
            Err(e) => HearEvent::Failed(e),
        });
    }

    /// When the audio that was taken last was heard: what waits in the ring came later.
    fn heard_at(&self) -> Instant {
        let waiting = self.audio.slots() * FRAME_SAMPLES + self.window.len();
        earlier(Instant::now(), (waiting * 1_000 / RATE as usize) as u32)
    }

    fn forget(&mut self, pool: &Pool) {
        pool.withdraw(self.id, None);
        self.endpointer.reset();
        self.vad.reset();
        self.window.clear();
        self.recent.clear();
        self.said.clear();
        self.media_time = None;
        self.probe = None;
        self.split.clear();
    }
}

fn earlier(at: Instant, ms: u32) -> Instant {
    at.checked_sub(Duration::from_millis(u64::from(ms))).unwrap_or(at)
}

/// Root mean square in dB of full scale.
fn level_db(window: &[i16; WINDOW]) -> f32 {
    let power = window.iter().map(|s| (f32::from(*s) / 32_768.0).powi(2)).sum::<f32>() / WINDOW as f32;
    10.0 * power.max(1e-9).log10()
}
