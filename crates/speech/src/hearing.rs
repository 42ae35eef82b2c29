//! Ears: one thread looks every 10 ms at what the media plane has put into the rings, runs voice activity on it, and sends
//! what was said to speech-to-text.
//!
//! A turn is transcribed ahead: as soon as there is a short silence, all that was said goes to the pool. If the silence
//! lasts, the words are already there; if the voice goes on, they are thrown away. Nothing is decoded twice in vain. Partial
//! transcripts, where wanted, are made while the caller speaks, ever less often the longer it lasts.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use baton_audio::{AudioFrame, Clip};
use rtrb::Consumer;
use tracing::error;

use crate::echo::Echo;
use crate::endpoint::{Endpointer, Turn};
use crate::floor::Floor;
use crate::queue::Kind;
use crate::stats::{Counters, SpeechStats};
use crate::stt::{Done, Heard, Job, Pool};
use crate::{Expectation, Expected, HearEvent, Hints, Transcriber, VoiceActivity};

/// Audio kept from before a voice is noticed: 512 ms, so that no first syllable is lost, and a single one has room around it.
const PRE_ROLL: usize = 4_096;
/// Speech before the first partial transcript: a second. The next comes after as much again, or half of what there is.
const FIRST_PARTIAL: usize = 8_000;
/// Less is nobody's voice, not even our own.
const MAYBE_VOICE: f32 = 0.15;
const LOOK_EVERY: Duration = Duration::from_millis(10);

struct Control {
    open: AtomicBool,
    gone: AtomicBool,
    voice: AtomicBool,
    expectation: Mutex<Expectation>,
    played: Mutex<Vec<Played>>,
}

/// What the other side hears of us, as far as the ear must know it.
enum Played {
    Clip(Clip, Instant),
    Stopped(Instant),
}

/// One leg's ear. Dropping it ends it.
pub struct Ear(Arc<Control>);

impl Ear {
    /// Opens or closes it. What comes in while it is closed is forgotten, and so is a turn that was not over.
    pub fn open(&self, open: bool) {
        self.0.open.store(open, Ordering::Relaxed);
    }

    /// Tells it what to expect.
    pub fn expect(&self, expectation: Expectation) {
        *self.0.expectation.lock().unwrap_or_else(PoisonError::into_inner) = expectation;
    }
}

impl Ear {
    /// The first packet of `clip` left for the person whom this ear hears: what comes back of it is not what they say.
    pub fn played(&self, clip: Clip, at: Instant) {
        self.note(Played::Clip(clip, at));
    }

    /// What was being played to them was stopped.
    pub fn stopped(&self, at: Instant) {
        self.note(Played::Stopped(at));
    }

    fn note(&self, played: Played) {
        self.0.played.lock().unwrap_or_else(PoisonError::into_inner).push(played);
    }

    /// Whether the voice is measured beside the words. It is not until told: callers only, never agents, and not where it is
    /// switched off.
    pub fn measure_voice(&self, measure: bool) {
        self.0.voice.store(measure, Ordering::Relaxed);
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Relaxed);
    }
}

struct Listener {
    id: u64,
    control: Arc<Control>,
    audio: Consumer<AudioFrame>,
    vad: Box<dyn VoiceActivity>,
    events: Box<dyn Fn(HearEvent) + Send>,
    endpointer: Endpointer,
    floor: Floor,
    echo: Echo,
    window: Vec<i16>,
    recent: VecDeque<i16>,
    said: Vec<i16>,
    serial: u64,
    turn: u64,
    probe: Probe,
    /// Samples said at which the next partial transcript is due; `None`: none are wanted.
    next_partial: Option<usize>,
    /// Turns that are over and whose words are still in the pool: job, end of voice, end of turn.
    over: Vec<(u64, Instant, Instant)>,
    was_open: bool,
}

/// What is known of the words of the turn so far.
enum Probe {
    None,
    /// In the pool.
    Pending {
        ended: Instant,
    },
    Known {
        done: Result<Heard, crate::SttError>,
        ended: Instant,
        decoded: Instant,
    },
}

#[derive(Clone)]
pub(crate) struct Hearing {
    fresh: Sender<Listener>,
    make_vad: Arc<dyn Fn() -> Box<dyn VoiceActivity> + Send + Sync>,
    next: Arc<AtomicU64>,
    counters: Arc<Counters>,
    partials: bool,
}

impl Hearing {
    pub fn start(
        engines: Vec<Box<dyn Transcriber>>,
        make_vad: Box<dyn Fn() -> Box<dyn VoiceActivity> + Send + Sync>,
        partials: bool,
    ) -> Self {
        let (fresh, arriving) = mpsc::channel();
        let counters = Arc::new(Counters::default());
        let pool = Pool::start(engines, Arc::clone(&counters));
        if let Err(e) = thread::Builder::new().name("hearing".into()).spawn(move || listen_to_all(&arriving, &pool)) {
            error!(error = %e, "the hearing thread did not start");
        }
        Self { fresh, make_vad: make_vad.into(), next: Arc::new(AtomicU64::new(1)), counters, partials }
    }

    pub fn stats(&self) -> SpeechStats {
        self.counters.snapshot()
    }

    pub fn listen(&self, audio: Consumer<AudioFrame>, events: Box<dyn Fn(HearEvent) + Send>) -> Ear {
        let control = Arc::new(Control {
            open: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            voice: AtomicBool::new(false),
            expectation: Mutex::new(Expectation::default()),
            played: Mutex::default(),
        });
        let listener = Listener {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            control: Arc::clone(&control),
            audio,
            vad: (self.make_vad)(),
            events,
            endpointer: Endpointer::default(),
            floor: Floor::default(),
            echo: Echo::default(),
            window: Vec::with_capacity(512),
            recent: VecDeque::with_capacity(PRE_ROLL + 512),
            said: Vec::new(),
            serial: 0,
            turn: 0,
            probe: Probe::None,
            next_partial: self.partials.then_some(FIRST_PARTIAL),
            over: Vec::new(),
            was_open: false,
        };
        let _ = self.fresh.send(listener);
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
        for result in results.try_iter() {
            if let Some(listener) = listeners.iter_mut().find(|l| l.id == result.ear) {
                listener.decoded(result);
            }
        }
        listeners.retain(|l| !l.control.gone.load(Ordering::Relaxed));
        for listener in &mut listeners {
            listener.look(pool, &done);
        }
        // A result is worth waking for; audio comes every 20 ms anyway.
        if let Ok(result) = results.recv_timeout(LOOK_EVERY)
            && let Some(listener) = listeners.iter_mut().find(|l| l.id == result.ear)
        {
            listener.decoded(result);
        }
    }
}

impl Listener {
    fn look(&mut self, pool: &Pool, done: &Sender<Done>) {
        for played in self.control.played.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            match played {
                Played::Clip(clip, at) => self.echo.played(clip, at),
                Played::Stopped(at) => self.echo.stopped(at),
            }
        }
        let open = self.control.open.load(Ordering::Relaxed);
        if !open || !self.was_open {
            self.forget();
            self.was_open = open;
            if !open {
                while self.audio.pop().is_ok() {}
                return;
            }
        }
        while let Ok(frame) = self.audio.pop() {
            self.window.extend_from_slice(&frame.samples);
            while self.window.len() >= 256 {
                let mut window = [0i16; 256];
                window.copy_from_slice(&self.window[..256]);
                self.window.drain(..256);
                self.take(&window, pool, done);
            }
        }
    }

    fn take(&mut self, window: &[i16; 256], pool: &Pool, done: &Sender<Done>) {
        let now = Instant::now();
        let mut probability = self.floor.window(window, self.vad.probability(window));
        let silence = [0; 256];
        let mut window = window;
        if self.echo.window(window, now, probability >= MAYBE_VOICE) {
            // Our own voice is not kept either: it would be among the caller's words.
            (probability, window) = (0.0, &silence);
        }
        if self.said.is_empty() {
            self.recent.extend(window);
            while self.recent.len() > PRE_ROLL {
                self.recent.pop_front();
            }
        } else {
            self.said.extend_from_slice(window);
        }
        match self.endpointer.window(probability) {
            Turn::Nothing => self.partial(now, pool, done),
            Turn::Started => {
                self.turn += 1;
                self.said = self.recent.drain(..).collect();
                self.next_partial = self.next_partial.map(|_| FIRST_PARTIAL);
                (self.events)(HearEvent::SpeechStarted { at: now });
            }
            Turn::Probe => {
                self.serial += 1;
                let ended = now - Duration::from_millis(u64::from(self.endpointer.silence_ms()));
                self.probe = Probe::Pending { ended };
                let due = now + Duration::from_millis(u64::from(self.endpointer.remaining_ms()));
                pool.submit(self.job(Kind::Final, self.serial, due, done));
            }
            Turn::Resumed => {
                self.serial += 1; // whatever the pool says of the shorter turn is out of date
                self.probe = Probe::None;
            }
            Turn::Ended => {
                self.said.clear();
                match std::mem::replace(&mut self.probe, Probe::None) {
                    Probe::Pending { ended } => self.over.push((self.serial, ended, now)),
                    Probe::Known { done, ended, decoded } => self.tell(done, ended, now, decoded),
                    Probe::None => {}
                }
            }
        }
    }

    /// A partial transcript, when one is wanted and due.
    fn partial(&mut self, now: Instant, pool: &Pool, done: &Sender<Done>) {
        let said = self.said.len();
        let is_due = self.next_partial.is_some_and(|at| said >= at);
        if !is_due || !self.endpointer.is_speaking() || !matches!(self.probe, Probe::None) {
            return;
        }
        self.next_partial = Some((said + FIRST_PARTIAL).max(said + said / 2));
        pool.submit(self.job(Kind::Partial, self.turn, now + LOOK_EVERY, done));
    }

    fn job(&self, kind: Kind, serial: u64, due: Instant, done: &Sender<Done>) -> Job {
        let (mut hints, expected) = self.expected();
        hints.kind = expected;
        let voice = self.control.voice.load(Ordering::Relaxed);
        Job {
            ear: self.id,
            turn: self.turn,
            serial,
            kind,
            due,
            pcm: self.said.clone(),
            hints,
            voice,
            done: done.clone(),
        }
    }

    fn expected(&self) -> (Hints, Expected) {
        let expectation = self.control.expectation.lock().unwrap_or_else(PoisonError::into_inner);
        (expectation.hints.clone(), expectation.kind)
    }

    fn decoded(&mut self, done: Done) {
        let now = Instant::now();
        if done.kind == Kind::Partial {
            let is_of_now = done.serial == self.turn && self.endpointer.is_speaking();
            if let Ok(Heard { transcript, .. }) = done.result
                && is_of_now
                && !transcript.text.trim().is_empty()
            {
                (self.events)(HearEvent::Partial { text: transcript.text });
            }
            return;
        }
        if let Some(at) = self.over.iter().position(|(serial, _, _)| *serial == done.serial) {
            let (_, ended, over) = self.over.remove(at);
            return self.tell(done.result, ended, over, now);
        }
        if let Probe::Pending { ended } = self.probe
            && done.serial == self.serial
        {
            if let Ok(heard) = &done.result {
                let (_, kind) = self.expected();
                self.endpointer.words(&heard.transcript.text, kind);
            }
            self.probe = Probe::Known { done: done.result, ended, decoded: now };
        }
    }

    fn tell(&self, result: Result<Heard, crate::SttError>, ended: Instant, endpointed: Instant, decoded: Instant) {
        if !self.control.open.load(Ordering::Relaxed) {
            return;
        }
        (self.events)(match result {
            Ok(heard) if heard.transcript.text.trim().is_empty() => HearEvent::NothingHeard,
            Ok(Heard { transcript: t, features }) => HearEvent::Utterance {
                text: t.text,
                confidence: t.confidence,
                words: t.words,
                features,
                ended,
                endpointed,
                decoded,
            },
            Err(e) => HearEvent::Failed(e),
        });
    }

    fn forget(&mut self) {
        self.over.clear();
        if self.said.is_empty() && self.recent.is_empty() && matches!(self.probe, Probe::None) {
            return;
        }
        self.endpointer = Endpointer::default();
        self.vad.reset();
        self.window.clear();
        self.recent.clear();
        self.said.clear();
        self.serial += 1;
        self.probe = Probe::None;
    }
}
