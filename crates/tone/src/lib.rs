//! What the voice says beside the words: features of an utterance, the speaker's own baseline, and a fused, explained score.
//!
//! Pure: samples and words in, numbers and sentences out. No socket, clock, file or thread.
//!
//! - [`Features::of`] measures one utterance's audio (8 kHz, voice-gated, the caller alone).
//! - [`Frustration`] follows one call: [`Frustration::utterance`] takes features, words and what happened in the turn, and gives a
//!   [`Reading`]: a score from 0 to 100, a [`Level`], and every term of it in words.
//!
//! What is claimed, and what is not: the voice tells *arousal*, relative to the caller's own start. It does not tell anger from
//! joy or fear, and a cold, quiet anger not at all. So **the voice alone never raises the level above [`Level::Soften`]**, whatever
//! the weights; a person comes into it only with words or turns that say so in the same utterance. No model was trained: the
//! weights are set by hand ([`Config`] names the sources), and no recording of anybody's emotions is in this repository.
//!
//! ```
//! use baton_tone::{Config, Frustration, Level, UtteranceInput};
//!
//! let mut mood = Frustration::new(Config::default());
//! let text = "Where is my order?";
//! assert_eq!(mood.utterance(UtteranceInput { text, ..UtteranceInput::default() }).level, Level::Calm);
//! let text = "I already told you, this is ridiculous!";
//! let reading = mood.utterance(UtteranceInput { text, misunderstood: true, ..UtteranceInput::default() });
//! assert_eq!(reading.level, Level::Soften);
//! assert_eq!(reading.words(), "complained once (\"ridiculous\"); repeated once; misunderstood once");
//! ```
//!
//! # Wiring
//!
//! *Speech* calls [`Features::of`] on the worker thread that transcribes, on the very samples it transcribes, and hands the result
//! on with the words (`HearEvent::Utterance`). It does so only for an ear that was told to (`Ear::measure_voice`): callers only,
//! never agents, and not when [`Config::voice`] is off.
//!
//! *Intake*, or whoever owns the call, owns one [`Frustration`] for each. At each utterance it builds an [`UtteranceInput`] (its own
//! knowledge of repeats, misunderstandings and interruptions beside words and features), and acts when [`Reading::rose`] is set: at
//! [`Level::Soften`] shorter prompts and an apology, at [`Level::OfferPerson`] the question whether a person is wanted
//! ([`Frustration::offer_declined`] on a "no"), at [`Level::Transfer`] the `frustration` trigger. Where a flow has steps of its own,
//! [`LevelsConfig::on_steps`] puts the score on its scale. Distress, safety words and asking for a person do not pass through
//! here: they act at once. [`Reading::words`] goes to the log and the record, [`Reading::plain`] to the briefing notes and the
//! agent's screen.

mod baseline;
mod config;
mod contour;
mod features;
mod lexicon;
mod pitch;
mod pulses;
mod repeats;
mod score;
mod spectrum;
mod why;

pub use config::{Band, Config, ConfigError, Cue, LevelsConfig, ToneConfig, TurnsConfig, WordsConfig};
pub use features::{Features, LEAST_VOICED_S, LONGEST_S};
pub use lexicon::{Hit, Lexicon, LexiconError, Mood};
pub use score::{Frustration, Level, Reading, UtteranceInput};
pub use why::{Reason, Term};
