//! Speech-to-text by whisper.cpp. One model in memory, one state per worker. The context is fitted to the utterance (a full
//! one costs seconds), timestamps stay on (without them a short context repeats itself), and what looks invented is dropped.

use std::path::Path;
use std::sync::Arc;

use crate::words::{plain, unlooped};
use baton_audio::{RATE, resample_f32};
use baton_speech::{Hints, SttError, Transcriber, Transcript, Word};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

const MODEL_RATE: u32 = 16_000;
/// Mean token log-probability below which words are held for invented.
const LEAST_LOGPROB: f32 = -1.1;

pub struct Model(Arc<WhisperContext>);

impl Model {
    pub fn load(path: &Path) -> Result<Self, String> {
        whisper_rs::install_logging_hooks(); // its chatter goes nowhere unless a log backend is chosen
        let context =
            WhisperContext::new_with_params(path, WhisperContextParameters::default()).map_err(|e| e.to_string())?;
        Ok(Self(Arc::new(context)))
    }

    pub fn transcriber(&self, threads: usize) -> Result<Whisper, String> {
        let state = self.0.create_state().map_err(|e| e.to_string())?;
        let mut whisper = Whisper { context: Arc::clone(&self.0), state, threads: i32::try_from(threads).unwrap_or(1) };
        // The first run allocates; do it before anybody waits for it.
        let _ = whisper.transcribe(&vec![0; RATE as usize], &Hints::default());
        Ok(whisper)
    }
}

pub struct Whisper {
    context: Arc<WhisperContext>,
    state: WhisperState,
    threads: i32,
}

impl Transcriber for Whisper {
    fn restart(&mut self) -> Result<(), SttError> {
        self.state = self.context.create_state().map_err(|e| SttError::Engine(e.to_string()))?;
        Ok(())
    }

    fn transcribe(&mut self, pcm: &[i16], hints: &Hints) -> Result<Transcript, SttError> {
        let failed = |e: whisper_rs::WhisperError| SttError::Engine(e.to_string());
        let float: Vec<f32> = pcm.iter().map(|s| f32::from(*s) / 32_768.0).collect();
        let mut audio = resample_f32(&float, RATE, MODEL_RATE);
        let seconds = audio.len() as f32 / MODEL_RATE as f32;
        // whisper.cpp refuses less than a second, and very short words are heard better with room around them.
        audio.resize(audio.len().max(MODEL_RATE as usize) + MODEL_RATE as usize / 4, 0.0);

        let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        params.set_language(Some(if hints.language.is_empty() { "en" } else { &hints.language }));
        params.set_n_threads(self.threads);
        // 50 positions a second, some room, in steps of 64.
        let context = (audio.len() as f32 / MODEL_RATE as f32 * 50.0) as i32 + 32;
        params.set_audio_ctx(((context + 63) / 64 * 64).clamp(256, 1_500));
        params.set_single_segment(true);
        params.set_no_context(true);
        params.set_temperature_inc(0.0);
        params.set_max_tokens((seconds * 6.0) as i32 + 12);
        params.set_suppress_blank(true);
        params.set_suppress_nst(true);
        params.set_print_special(false);
        params.set_print_progress(false);
        params.set_print_realtime(false);
        params.set_print_timestamps(false);
        if !hints.prompt.is_empty() {
            params.set_initial_prompt(&hints.prompt.replace('\0', " "));
        }
        self.state.full(params, &audio).map_err(failed)?;

        let mut words: Vec<Word> = Vec::new();
        let (mut text, mut logprob, mut tokens, mut silent) = (String::new(), 0.0f32, 0u32, 0.0f32);
        for segment in self.state.as_iter() {
            text.push_str(&segment.to_str_lossy().map_err(failed)?);
            silent = silent.max(segment.no_speech_probability());
            for i in 0..segment.n_tokens() {
                if let Some(token) = segment.get_token(i) {
                    let data = token.token_data();
                    let special = token.to_str_lossy().is_ok_and(|t| t.starts_with("[_") || t.starts_with("<|"));
                    if !special {
                        logprob += data.plog;
                        tokens += 1;
                        add_piece(&mut words, &token.to_str_lossy().map_err(failed)?, data.p);
                    }
                }
            }
        }
        let mean = if tokens == 0 { f32::NEG_INFINITY } else { logprob / tokens as f32 };
        let text = unlooped(&plain(&text));
        let invented = mean < LEAST_LOGPROB || silent > 0.8 && mean < -0.6 || is_filler(&text, &hints.prompt, mean);
        if text.is_empty() || invented {
            tracing::info!(text, mean, silent, seconds, "dropped: no words, or words that look invented");
            return Ok(Transcript { text: String::new(), confidence: 0.0, words: Vec::new() });
        }
        words.truncate(text.split_whitespace().count());
        Ok(Transcript { text, confidence: mean.exp().clamp(0.0, 1.0), words })
    }
}

/// A token's text: the beginning of a word, or more of the last one, which is as sure as its least sure token.
fn add_piece(words: &mut Vec<Word>, piece: &str, p: f32) {
    match words.last_mut() {
        Some(word) if !piece.starts_with(' ') => {
            word.text.push_str(piece);
            word.confidence = word.confidence.min(p);
        }
        _ => words.push(Word { text: piece.trim_start().to_owned(), confidence: p }),
    }
}

/// Words the model is known to find in noise, unless it is quite sure; and its own prompt read back.
fn is_filler(text: &str, prompt: &str, mean: f32) -> bool {
    const FILLERS: [&str; 7] = [
        "you",
        "thank you for watching",
        "thanks for watching",
        "bye-bye",
        "subtitles by the amara.org community",
        "the end",
        "so",
    ];
    let low = text.to_lowercase();
    let low = low.trim_matches(|c: char| !c.is_alphanumeric());
    FILLERS.contains(&low) && mean < -0.35 || low.len() > 12 && prompt.to_lowercase().contains(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fillers_are_dropped_unless_sure() {
        assert!(is_filler("You", "", -0.5) && !is_filler("yes", "", -0.5));
    }
}
