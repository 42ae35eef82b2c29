//! Speech-to-text by whisper.cpp. One model in memory, one state per worker. The context is fitted to the utterance (a full
//! one costs seconds), timestamps stay on (without them a short context repeats itself until the token limit).

use std::path::Path;
use std::sync::Arc;

use baton_audio::{RATE, resample_f32};
use baton_speech::{Hints, SttError, Transcriber, Transcript};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

use crate::invented::{Certainty, said};

const MODEL_RATE: usize = 16_000;
/// Shorter audio is refused by whisper.cpp, and a lone "yes" is heard better with room after it.
const SHORTEST: usize = MODEL_RATE * 5 / 4;
/// The model's window is 30 s; a turn is never as long.
const LONGEST: usize = MODEL_RATE * 29;
/// The model reads 224 tokens of prompt at most, from the end; this many characters are surely fewer.
const PROMPT: usize = 600;

/// The model in memory, shared by its transcribers.
pub struct Model(Arc<WhisperContext>);

impl Model {
    /// Loads it.
    pub fn load(path: &Path) -> Result<Self, String> {
        whisper_rs::install_logging_hooks(); // its chatter goes nowhere unless a log backend is chosen
        let context = WhisperContext::new_with_params(path, WhisperContextParameters::default());
        Ok(Self(Arc::new(context.map_err(|e| e.to_string())?)))
    }

    /// A transcriber with a state of its own, run once.
    pub fn transcriber(&self, threads: usize) -> Result<Whisper, String> {
        let state = self.0.create_state().map_err(|e| e.to_string())?;
        let threads = i32::try_from(threads.max(1)).unwrap_or(1);
        let mut whisper = Whisper { context: Arc::clone(&self.0), state, threads };
        whisper.transcribe(&[0; RATE as usize], &Hints::default()).map_err(|e| e.to_string())?;
        Ok(whisper)
    }
}

/// One worker's transcriber.
pub struct Whisper {
    context: Arc<WhisperContext>,
    state: WhisperState,
    threads: i32,
}

impl Transcriber for Whisper {
    fn transcribe(&mut self, pcm_8k: &[i16], hints: &Hints) -> Result<Transcript, SttError> {
        let failed = |e: whisper_rs::WhisperError| SttError::Engine(e.to_string());
        let float: Vec<f32> = pcm_8k.iter().map(|s| f32::from(*s) / 32_768.0).collect();
        let mut audio = resample_f32(&float, RATE, MODEL_RATE as u32);
        let seconds = audio.len() as f32 / MODEL_RATE as f32;
        audio.resize(audio.len().clamp(SHORTEST, LONGEST), 0.0);
        let prompt = prompt(&hints.prompt);
        self.state.full(self.params(audio.len(), &prompt), &audio).map_err(failed)?;

        let (mut text, mut sum, mut tokens, mut no_speech) = (String::new(), 0.0f32, 0u32, 0.0f32);
        for segment in self.state.as_iter() {
            text.push_str(&segment.to_str_lossy().map_err(failed)?);
            no_speech = no_speech.max(segment.no_speech_probability());
            // From the end-of-text token up there are marks and times, no words.
            let words = (0..segment.n_tokens())
                .filter_map(|i| segment.get_token(i))
                .filter(|t| t.token_id() < self.context.token_eot());
            for token in words {
                sum += token.token_probability().max(1e-6).ln();
                tokens += 1;
            }
        }
        let mean_logprob = if tokens == 0 { f32::NEG_INFINITY } else { sum / tokens as f32 };
        let said = said(&text, &prompt, Certainty { mean_logprob, no_speech }, seconds);
        tracing::debug!(raw = text, mean_logprob, no_speech, seconds, kept = said.is_some(), "transcribed");
        Ok(match said {
            Some(text) => Transcript { text, confidence: mean_logprob.exp().clamp(0.0, 1.0) },
            None => Transcript { text: String::new(), confidence: 0.0 },
        })
    }

    fn restart(&mut self) {
        match self.context.create_state() {
            Ok(state) => self.state = state,
            Err(e) => tracing::error!(error = %e, "a new speech-to-text state could not be made; the old one is kept"),
        }
    }
}

impl Whisper {
    fn params<'a>(&self, samples: usize, prompt: &str) -> FullParams<'a, 'a> {
        let seconds = samples as f32 / MODEL_RATE as f32;
        let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        params.set_n_threads(self.threads);
        params.set_language(Some("en"));
        // 50 positions a second and some room, in steps of 64.
        params.set_audio_ctx((((seconds * 50.0) as i32 + 32 + 63) / 64 * 64).clamp(256, 1_500));
        params.set_single_segment(true);
        params.set_no_context(true);
        params.set_temperature_inc(0.0);
        params.set_max_tokens((seconds * 8.0) as i32 + 16);
        params.set_suppress_blank(true);
        params.set_suppress_nst(true);
        params.set_print_special(false);
        params.set_print_progress(false);
        params.set_print_realtime(false);
        params.set_print_timestamps(false);
        if !prompt.is_empty() {
            params.set_initial_prompt(prompt);
        }
        params
    }
}

/// One line without what a C string cannot hold, cut at a word.
fn prompt(hints: &str) -> String {
    let line =
        hints.split(|c: char| c.is_whitespace() || c == '\0').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(PROMPT) {
        Some((end, _)) => line[..end].rsplit_once(' ').map_or(&line[..end], |(head, _)| head).to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_one_clean_line_of_bounded_length() {
        assert_eq!(prompt("Maria Gomez,\n A-1042\0 x"), "Maria Gomez, A-1042 x");
        let long = prompt(&"blåbær ".repeat(400));
        assert!(long.chars().count() <= PROMPT && long.ends_with("blåbær"), "{long}");
    }
}
