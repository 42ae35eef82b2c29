//! Text-to-speech by piper. Its phonemizer drops punctuation and is not safe to call from two threads, so clauses are
//! phonemized one at a time under one lock, and their marks are put back.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use baton_audio::{Clip, RATE, resample_f32};
use baton_speech::{Synthesizer, TtsError};
use espeak_rs::text_to_phonemes;
use piper_rs::{ModelConfig, Piper};

/// espeak-ng keeps global state; two threads in it crash the process.
static PHONEMIZER: Mutex<()> = Mutex::new(());

/// Tells the phonemizer where its data is.
pub fn espeak_data(parent: &Path) {
    // SAFETY: called once, at start-up, before any thread that reads the environment is started.
    unsafe { std::env::set_var("PIPER_ESPEAKNG_DATA_DIRECTORY", parent) };
}

pub struct Voice {
    model: PathBuf,
    json: PathBuf,
    piper: Piper,
    language: String,
}

impl Voice {
    pub fn load(model: &Path, json: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(json).map_err(|e| e.to_string())?;
        let config: ModelConfig = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let language = config.espeak.voice.clone();
        let session = ort::session::Session::builder()
            .and_then(|b| Ok(b.with_intra_threads(1)?))
            .and_then(|mut b| b.commit_from_file(model))
            .map_err(|e| e.to_string())?;
        let mut voice = Self {
            model: model.to_owned(),
            json: json.to_owned(),
            piper: Piper::from_session(session, config),
            language,
        };
        // The first run allocates; do it before anybody waits for it.
        voice.synthesize("Ready.").map_err(|e| e.to_string())?;
        Ok(voice)
    }

    fn phonemes(&self, clause: &str) -> Result<String, TtsError> {
        let mut out = String::new();
        let mut rest = clause;
        while !rest.is_empty() {
            let end = rest.find([',', ';', ':', '.', '!', '?']).unwrap_or(rest.len());
            let (words, tail) = rest.split_at(end);
            let marks: String = tail.chars().take_while(|c| ",;:.!?".contains(*c)).collect();
            rest = &tail[marks.len()..];
            if words.chars().any(char::is_alphanumeric) {
                let _one_at_a_time = PHONEMIZER.lock().unwrap_or_else(PoisonError::into_inner);
                let spoken = text_to_phonemes(words.trim(), &self.language, None)
                    .map_err(|e| TtsError::Engine(e.to_string()))?;
                out.push_str(spoken.join(" ").trim());
            }
            out.extend(marks.chars().take(1));
            if !rest.is_empty() {
                out.push(' ');
            }
        }
        if !out.ends_with(['.', '!', '?']) {
            out.push('.');
        }
        Ok(out)
    }
}

impl Synthesizer for Voice {
    fn restart(&mut self) -> Result<(), TtsError> {
        *self = Self::load(&self.model, &self.json).map_err(TtsError::Engine)?;
        Ok(())
    }

    fn synthesize(&mut self, clause: &str) -> Result<Clip, TtsError> {
        let phonemes = self.phonemes(clause)?;
        let (samples, rate) =
            self.piper.create(&phonemes, true, None, None, None, None).map_err(|e| TtsError::Engine(e.to_string()))?;
        let pcm = resample_f32(&samples, rate, RATE)
            .into_iter()
            .map(|s| (s * 30_000.0).clamp(-32_768.0, 32_767.0) as i16)
            .collect();
        Ok(Clip::new(pcm))
    }
}
