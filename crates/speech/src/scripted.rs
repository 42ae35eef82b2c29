//! Twins of the three traits for tests: loudness is voice, and words are scripted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use baton_audio::Clip;

use crate::{Engines, Hints, SttError, Synthesizer, Transcriber, Transcript, TtsError, VoiceActivity};

/// Answers each transcription with the next of its lines; `Err` fails, a line `!panic` panics.
#[derive(Clone, Default)]
pub struct Script(pub Arc<Mutex<VecDeque<Result<String, SttError>>>>);

impl Script {
    /// These lines, one for each transcription.
    pub fn new(lines: &[&str]) -> Self {
        Self(Arc::new(Mutex::new(lines.iter().map(|l| Ok((*l).to_owned())).collect())))
    }
}

impl Transcriber for Script {
    #[expect(clippy::panic, reason = "a script may ask for a panicking engine")]
    fn transcribe(&mut self, _pcm: &[i16], _hints: &Hints) -> Result<Transcript, SttError> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let text = next.unwrap_or_else(|| Ok(String::new()))?;
        if text == "!panic" {
            panic!("scripted");
        }
        Ok(Transcript { text, confidence: 1.0, words: Vec::new() })
    }
}

/// "Speaks" a clause as a tone of 10 ms per letter.
pub struct Tone;

impl Synthesizer for Tone {
    fn synthesize(&mut self, clause: &str) -> Result<Clip, TtsError> {
        let n = clause.len() * 80;
        Ok(Clip::new((0..n).map(|i| ((i as f32 * 0.3).sin() * 6_000.0) as i16).collect()))
    }
}

/// Holds loud audio for speech.
pub struct Loud;

impl VoiceActivity for Loud {
    fn probability(&mut self, window: &[i16; 256]) -> f32 {
        let mean = window.iter().map(|s| u32::from(s.unsigned_abs())).sum::<u32>() / 256;
        if mean > 500 { 0.95 } else { 0.02 }
    }
    fn reset(&mut self) {}
}

/// All three.
pub fn engines(script: &Script) -> Engines {
    Engines {
        transcribers: vec![Box::new(script.clone())],
        synthesizers: vec![Box::new(Tone)],
        voice_activity: Box::new(|| Box::new(Loud)),
        voice: "tone".into(),
        more_voices: Vec::new(),
    }
}
