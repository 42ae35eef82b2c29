//! Twins of the three traits for tests: loudness is voice, words come from a script, speech is a tone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_audio::Clip;

use crate::{Engines, Hints, SttError, Synthesizer, Transcriber, Transcript, TtsError, VoiceActivity};

/// Answers each transcription with the next of its lines, and with empty text when they are used up. The line `!panic`
/// panics. Clones share the script.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<Played>>);

#[derive(Default)]
struct Played {
    lines: VecDeque<Result<String, SttError>>,
    heard: Vec<(usize, String)>,
}

impl Script {
    /// These lines, one for each transcription.
    pub fn new(lines: &[&str]) -> Self {
        let script = Self::default();
        lines.iter().for_each(|line| script.push(Ok((*line).to_owned())));
        script
    }

    /// One more line, or a failure.
    pub fn push(&self, line: Result<String, SttError>) {
        self.played().lines.push_back(line);
    }

    /// What was transcribed so far: length in samples, and the prompt that came with it.
    pub fn heard(&self) -> Vec<(usize, String)> {
        self.played().heard.clone()
    }

    fn played(&self) -> MutexGuard<'_, Played> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transcriber for Script {
    #[expect(clippy::panic, reason = "a script may ask for a panicking engine")]
    fn transcribe(&mut self, pcm: &[i16], hints: &Hints) -> Result<Transcript, SttError> {
        let mut played = self.played();
        played.heard.push((pcm.len(), hints.prompt.clone()));
        let text = played.lines.pop_front().unwrap_or_else(|| Ok(String::new()))?;
        drop(played);
        if text == "!panic" {
            panic!("as the script says");
        }
        Ok(Transcript { text, confidence: 1.0 })
    }
}

/// "Speaks" a clause as a tone of 10 ms a letter, after 100 ms of silence. Fails at "fail on purpose".
pub struct Tone;

impl Synthesizer for Tone {
    fn synthesize(&mut self, clause: &str) -> Result<Clip, TtsError> {
        if clause.contains("fail on purpose") {
            return Err(TtsError::Engine("as asked".to_owned()));
        }
        let tone = (0..clause.len() * 80).map(|i| ((i as f32 * 0.3).sin() * 6_000.0) as i16);
        Ok(Clip::new(std::iter::repeat_n(0, 800).chain(tone).collect()))
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

/// All three, one of each.
pub fn engines(script: &Script) -> Engines {
    Engines {
        transcribers: vec![Box::new(script.clone())],
        synthesizers: vec![Box::new(Tone)],
        voice_activity: Box::new(|| Box::new(Loud)),
        voice: "tone".to_owned(),
    }
}
