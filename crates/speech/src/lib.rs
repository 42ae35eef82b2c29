//! Hearing and speaking, without the engines: end of turn, worker pools, text for the voice. The engines stand behind
//! three traits; `baton-speech-native` has the real ones, [`scripted`] has twins for tests. No sockets, no async.
//!
//! What must always hold: audio is taken from the media plane's rings and never waited for; what an ear hears while it is
//! closed is forgotten; an engine that panics costs its own job only; what is said to one caller is never kept on disk.

mod cache;
mod endpoint;
mod hearing;
mod level;
pub mod scripted;
mod speaking;
mod stt;
pub mod text;
mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_audio::{AudioFrame, Clip};

pub use hearing::Ear;

/// Speech-to-text. Each has a thread of its own.
pub trait Transcriber: Send {
    /// The words in `pcm_8k` (mono, 8 kHz). Empty text: nothing was said.
    fn transcribe(&mut self, pcm_8k: &[i16], hints: &Hints) -> Result<Transcript, SttError>;

    /// Called after a panic in [`transcribe`](Self::transcribe): throw away what may be half done.
    fn restart(&mut self) {}
}

/// Text-to-speech. Each has a thread of its own.
pub trait Synthesizer: Send {
    /// One clause, already in words a voice reads right ([`text::speakable`]).
    fn synthesize(&mut self, clause: &str) -> Result<Clip, TtsError>;
}

/// Voice activity. One per ear.
pub trait VoiceActivity: Send {
    /// The probability that this window (32 ms at 8 kHz) holds speech, 0 to 1. Windows come in order.
    fn probability(&mut self, window: &[i16; 256]) -> f32;

    /// Forgets what went before: another stretch of audio begins.
    fn reset(&mut self);
}

/// What is likely to be heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// Names, order numbers, products expected now.
    pub prompt: String,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// The words; empty if nothing was said.
    pub text: String,
    /// How sure the engine is, 0 to 1.
    pub confidence: f32,
}

/// Why nothing was transcribed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SttError {
    /// The engine failed.
    #[error("speech-to-text failed: {0}")]
    Engine(String),
    /// More is waiting than can be transcribed in time.
    #[error("too much speech is waiting to be transcribed")]
    Overloaded,
}

/// Why nothing was spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TtsError {
    /// The engine failed.
    #[error("text-to-speech failed: {0}")]
    Engine(String),
    /// More is waiting than can be spoken in time.
    #[error("too much text is waiting to be spoken")]
    Overloaded,
}

/// The engines to work with.
pub struct Engines {
    /// Each gets a thread.
    pub transcribers: Vec<Box<dyn Transcriber>>,
    /// Each gets a thread.
    pub synthesizers: Vec<Box<dyn Synthesizer>>,
    /// Makes one for each ear; called on the thread that opens the ear, so it should be quick.
    pub voice_activity: Box<dyn Fn() -> Box<dyn VoiceActivity> + Send + Sync>,
    /// Names the voice and its settings: clips of another voice are never taken from the cache.
    pub voice: String,
}

/// How to hear and speak.
#[derive(Debug, Clone)]
pub struct SpeechConfig {
    /// Where preloaded clauses are kept between runs; `None`: in memory only.
    pub cache_dir: Option<PathBuf>,
    /// Silence that ends a turn whose words tell nothing of its end. Whole answers end sooner, hanging words later.
    pub end_of_turn: Duration,
    /// Threads that listen; one is enough for about a hundred ears.
    pub hearing_threads: usize,
    /// Utterances that may wait for speech-to-text, over all ears.
    pub stt_waiting: usize,
    /// Texts that may wait for text-to-speech.
    pub tts_waiting: usize,
}

impl Default for SpeechConfig {
    fn default() -> Self {
        Self {
            cache_dir: None,
            end_of_turn: Duration::from_millis(608),
            hearing_threads: 1,
            stt_waiting: 64,
            tts_waiting: 256,
        }
    }
}

/// What kind of answer is expected. Decides how soon a turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expected {
    /// Anything.
    #[default]
    Anything,
    /// Yes or no.
    YesNo,
    /// A number of up to so many digits, perhaps with letters. Callers pause inside.
    Digits(usize),
    /// A person's name.
    Name,
}

/// What an ear is to expect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    /// For speech-to-text.
    pub hints: Hints,
    /// For the end of the turn.
    pub kind: Expected,
}

/// What an ear tells.
#[derive(Debug, Clone)]
pub enum HearEvent {
    /// Somebody began to speak.
    SpeechStarted {
        /// When it was noticed, some 130 ms after the first sound.
        at: Instant,
    },
    /// Somebody said something.
    Utterance {
        /// The words.
        text: String,
        /// How sure the engine is, 0 to 1.
        confidence: f32,
        /// When the voice began.
        started: Instant,
        /// When the last voiced audio ended.
        ended: Instant,
        /// When the turn was held to be over: this is when the event was sent.
        endpointed: Instant,
        /// When the words were known; before `endpointed` if they were transcribed ahead.
        decoded: Instant,
    },
    /// There was a voice, but no words in it.
    NothingHeard {
        /// When the last voiced audio ended.
        ended: Instant,
    },
    /// Speech-to-text failed for a turn.
    Failed(SttError),
}

/// What the voice delivers.
#[derive(Debug, Clone)]
pub enum Spoken {
    /// The next clause.
    Clip {
        /// Its place in the text, from 0.
        index: usize,
        /// Its words as they were written.
        text: String,
        /// Its audio, levelled, with the pause that belongs after it.
        clip: Clip,
    },
    /// All clauses were delivered.
    Done,
    /// No more will come.
    Failed(TtsError),
}

/// Hearing and speaking. Cheap to clone; its threads end with the last clone and the last [`Ear`].
#[derive(Clone)]
pub struct Speech {
    hearing: hearing::Hearing,
    speaking: Arc<speaking::Speaking>,
}

impl Speech {
    /// Starts the threads.
    pub fn start(engines: Engines, config: SpeechConfig) -> Self {
        let Engines { transcribers, synthesizers, voice_activity, voice } = engines;
        Self {
            hearing: hearing::Hearing::start(transcribers, voice_activity.into(), &config),
            speaking: Arc::new(speaking::Speaking::start(synthesizers, &voice, config)),
        }
    }

    /// Listens to a leg. The ear is closed until it is opened; it ends when it is dropped or its ring is. `events` is
    /// called on a hearing thread and must not block.
    pub fn listen(&self, audio: rtrb::Consumer<AudioFrame>, events: Box<dyn Fn(HearEvent) + Send>) -> Ear {
        self.hearing.listen(audio, events)
    }

    /// Speaks a text: clause by clause, in order, each as soon as it is there. What is in memory comes at once, on this
    /// thread; the rest on a voice's thread, which `out` must not block.
    pub fn speak(&self, text: &str, out: Box<dyn FnMut(Spoken) + Send>) {
        self.speaking.speak(text, out);
    }

    /// Has texts spoken into the cache when there is nothing else to do, and kept on disk: only what every caller may
    /// hear belongs here.
    pub fn preload(&self, texts: &[String]) {
        self.speaking.preload(texts);
    }

    /// Whether all that was to be preloaded is.
    pub fn is_preloaded(&self) -> bool {
        self.speaking.is_preloaded()
    }
}
