//! Hearing and speaking, without the engines: end of turn, worker pools, text for the voice. The engines stand behind three
//! traits; `crates/speech-native` has the real ones, [`scripted`] twins for tests.
//!
//! What must always hold: audio is taken from the media plane's rings and never waited for; what an ear hears while it is
//! closed is forgotten; a worker that panics costs its own job only.

pub mod echo;
pub mod endpoint;
pub mod floor;
mod hearing;
mod queue;
pub mod scripted;
pub mod shape;
mod speaking;
mod stats;
mod stt;
pub mod text;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use baton_audio::Clip;

pub use hearing::Ear;
pub use queue::Level;
pub use stats::SpeechStats;

/// Speech-to-text. One per worker thread.
pub trait Transcriber: Send {
    /// The words in `pcm` (8 kHz). Empty text: none.
    fn transcribe(&mut self, pcm: &[i16], hints: &Hints) -> Result<Transcript, SttError>;

    /// Makes the engine whole again after it panicked in the middle of something. Called on its worker's thread.
    fn restart(&mut self) -> Result<(), SttError> {
        Ok(())
    }
}

/// Text-to-speech. One per worker thread.
pub trait Synthesizer: Send {
    /// One clause, already in words a voice reads right.
    fn synthesize(&mut self, clause: &str) -> Result<Clip, TtsError>;

    /// Whether the last clip was made in another's place, by another voice: it is played and not kept.
    fn is_substitute(&self) -> bool {
        false
    }

    /// Makes the engine whole again after it panicked in the middle of something. Called on its worker's thread.
    fn restart(&mut self) -> Result<(), TtsError> {
        Ok(())
    }
}

/// Voice activity. One per ear.
pub trait VoiceActivity: Send {
    /// The probability that this window (32 ms at 8 kHz) holds speech.
    fn probability(&mut self, window: &[i16; 256]) -> f32;
    /// Forgets what went before.
    fn reset(&mut self);
}

/// What may be heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// Names, numbers, products expected now.
    pub prompt: String,
    /// What was asked for. A single syllable is heard by what it may be.
    pub kind: Expected,
    /// What is spoken, as a two-letter code (ISO 639-1); empty: English.
    pub language: String,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// The words.
    pub text: String,
    /// 0 to 1.
    pub confidence: f32,
    /// Word by word, in order, where the engine tells.
    pub words: Vec<Word>,
}

/// One word heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// As in the transcript, its punctuation included.
    pub text: String,
    /// 0 to 1: how sure the engine is of its least sure part.
    pub confidence: f32,
}

/// Why nothing was transcribed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SttError {
    /// The engine failed.
    #[error("speech-to-text failed: {0}")]
    Engine(String),
    /// More is waiting than can be heard in time.
    #[error("speech-to-text has too much waiting")]
    Overloaded,
}

/// Why nothing was spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TtsError {
    /// The engine failed.
    #[error("text-to-speech failed: {0}")]
    Engine(String),
}

/// The engines to work with.
pub struct Engines {
    /// One thread each.
    pub transcribers: Vec<Box<dyn Transcriber>>,
    /// One thread each.
    pub synthesizers: Vec<Box<dyn Synthesizer>>,
    /// Makes one for each ear.
    pub voice_activity: Box<dyn Fn() -> Box<dyn VoiceActivity> + Send + Sync>,
    /// Names the voice; part of every cached clip's key.
    pub voice: String,
    /// Other voices, by name.
    pub more_voices: Vec<(String, Vec<Box<dyn Synthesizer>>)>,
}

/// How to hear and speak.
#[derive(Debug, Clone, Default)]
pub struct SpeechConfig {
    /// Where spoken clauses are kept; `None`: in memory only.
    pub cache_dir: Option<PathBuf>,
    /// Whether ears tell what they have heard while the caller still speaks. Costs as much again as the final words, or
    /// twice; for a cheap engine only.
    pub partials: bool,
}

/// What kind of answer is expected. Decides how soon a turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expected {
    /// Anything.
    #[default]
    Anything,
    /// Yes or no.
    YesNo,
    /// So many digits.
    Digits(usize),
    /// A name.
    Name,
}

/// What an ear should expect.
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
        /// When it was noticed.
        at: Instant,
    },
    /// What somebody has said so far; more comes. Only where [`SpeechConfig::partials`] asks for it.
    Partial {
        /// The words so far; the next ones may differ in all of them.
        text: String,
    },
    /// Somebody said something.
    Utterance {
        /// The words.
        text: String,
        /// 0 to 1.
        confidence: f32,
        /// Word by word, where the engine tells.
        words: Vec<Word>,
        /// How it was said. `None`: the ear was not told to measure the voice, or there is less than a second of it.
        features: Option<baton_tone::Features>,
        /// When the last voiced audio ended.
        ended: Instant,
        /// When the turn was held to be over.
        endpointed: Instant,
        /// When the words were known.
        decoded: Instant,
    },
    /// There was a voice, but no words in it.
    NothingHeard,
    /// Speech-to-text failed.
    Failed(SttError),
}

/// What the voice delivers.
#[derive(Debug, Clone)]
pub enum Spoken {
    /// The next clause.
    Clip {
        /// Its place, from 0.
        index: usize,
        /// Its words.
        text: String,
        /// Its audio.
        clip: Clip,
    },
    /// All clauses were delivered.
    Done,
    /// No more will come.
    Failed(TtsError),
}

/// Hearing and speaking. Cheap to clone.
#[derive(Clone)]
pub struct Speech {
    hearing: hearing::Hearing,
    voice: Arc<speaking::Voice>,
    more_voices: Arc<HashMap<String, Arc<speaking::Voice>>>,
}

impl Speech {
    /// Starts the threads.
    pub fn start(engines: Engines, config: SpeechConfig) -> Self {
        let Engines { transcribers, synthesizers, voice_activity, voice, more_voices } = engines;
        let more_voices = more_voices
            .into_iter()
            .map(|(name, engines)| (name.clone(), speaking::Voice::start(engines, name, config.cache_dir.clone())));
        Self {
            hearing: hearing::Hearing::start(transcribers, voice_activity, config.partials),
            more_voices: Arc::new(more_voices.collect()),
            voice: speaking::Voice::start(synthesizers, voice, config.cache_dir),
        }
    }

    /// Listens to a leg. The ear is closed until it is opened; it ends when it is dropped or its ring is.
    pub fn listen(&self, audio: rtrb::Consumer<baton_audio::AudioFrame>, events: Box<dyn Fn(HearEvent) + Send>) -> Ear {
        self.hearing.listen(audio, events)
    }

    /// Speaks a text: clause by clause, in order, as soon as each is there. `out` is called on another thread, or at once
    /// where everything is in the cache.
    pub fn speak(&self, text: &str, out: Box<dyn FnMut(Spoken) + Send>) {
        self.voice.speak(text, out);
    }

    /// The same by a voice of that name; by the usual one where there is none.
    pub fn speak_as(&self, voice: &str, text: &str, out: Box<dyn FnMut(Spoken) + Send>) {
        self.voice(voice).speak(text, out);
    }

    fn voice(&self, name: &str) -> &speaking::Voice {
        self.more_voices.get(name).unwrap_or(&self.voice)
    }

    /// What speech-to-text has done, and how it stands.
    pub fn stats(&self) -> SpeechStats {
        self.hearing.stats()
    }

    /// Whether another call can be heard without cost to those that are. Refuse new ones where not.
    pub fn has_room(&self) -> bool {
        let stats = self.stats();
        stats.workers > 0 && stats.level < Level::Shorter
    }

    /// Has texts spoken into the cache when there is nothing else to do.
    pub fn preload(&self, voice: &str, texts: &[String]) {
        self.voice(voice).preload(texts);
    }

    /// Whether everything that was to be preloaded is.
    pub fn is_preloaded(&self) -> bool {
        self.voice.is_idle() && self.more_voices.values().all(|voice| voice.is_idle())
    }
}
