//! The local engines: whisper.cpp for hearing, piper for speaking, Silero for voice activity. A leaf: nothing but the
//! gateway and the whole-system tests links it. No audio leaves the machine.
//!
//! espeak-ng, which piper's phonemizer links, is GPL-3.0-or-later: a binary with this crate is distributed under its terms.

mod invented;
mod piper;
mod silero;
mod whisper;

use std::fmt;
use std::path::{Path, PathBuf};

use baton_speech::{Engines, Synthesizer, Transcriber};

/// What to load, and how many work with it.
#[derive(Debug, Clone)]
pub struct NativeConfig {
    /// whisper.cpp model (ggml).
    pub whisper: PathBuf,
    /// piper voice (`.onnx`); its `.onnx.json` stands beside it.
    pub voice: PathBuf,
    /// Silero's voice activity model.
    pub silero: PathBuf,
    /// The onnxruntime library, 1.24 or newer.
    pub onnxruntime: PathBuf,
    /// The folder that *holds* `espeak-ng-data` (of espeak-ng 1.52; other versions have other phonemes).
    pub espeak_data: PathBuf,
    /// Utterances transcribed at the same time; each takes about 50 MB.
    pub stt_workers: usize,
    /// Threads for each of them. More than the machine has idle cores make it slower.
    pub stt_threads: usize,
    /// Clauses synthesized at the same time; each takes about 100 MB.
    pub tts_workers: usize,
}

/// Why the engines are not there.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// Files are missing, all of them named. Checked first: onnxruntime's loader hangs without a word where its library
    /// is not.
    #[error("speech models are missing:{}\n    run: baton models fetch    (without network: baton models fetch --from DIR)", List(.0))]
    Missing(Vec<MissingFile>),
    /// A file is there and cannot be used.
    #[error("{what} cannot be loaded from {}: {cause}\n    run: baton models fetch    (it replaces a damaged file)", path.display())]
    Load {
        /// What it is.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The engine's word.
        cause: String,
    },
}

/// A file that should be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingFile {
    /// What it is.
    pub what: &'static str,
    /// Where it should be.
    pub path: PathBuf,
}

struct List<'a>(&'a [MissingFile]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|file| write!(f, "\n    {}: {}", file.what, file.path.display()))
    }
}

const WHISPER: &str = "the speech-to-text model";
const VOICE: &str = "the voice";
const SILERO: &str = "the voice activity model";
const ONNXRUNTIME: &str = "the onnxruntime library";
const ESPEAK: &str = "the phonemizer's data";

/// Loads everything and runs each engine once, so that the first caller waits for nothing. Takes a few seconds. Call it at
/// start-up: the phonemizer finds its data through the process's environment.
pub fn engines(config: NativeConfig) -> Result<Engines, NativeError> {
    let json = description(&config.voice);
    let missing = missing(&config, &json);
    if !missing.is_empty() {
        return Err(NativeError::Missing(missing));
    }
    ort::init_from(&config.onnxruntime).map_err(|e| load(ONNXRUNTIME, &config.onnxruntime)(e.to_string()))?.commit();

    let model = whisper::Model::load(&config.whisper).map_err(load(WHISPER, &config.whisper))?;
    let mut transcribers: Vec<Box<dyn Transcriber>> = Vec::new();
    for _ in 0..config.stt_workers.max(1) {
        transcribers.push(Box::new(model.transcriber(config.stt_threads).map_err(load(WHISPER, &config.whisper))?));
    }

    piper::find_data(&config.espeak_data).map_err(load(ESPEAK, &config.espeak_data))?;
    let mut synthesizers: Vec<Box<dyn Synthesizer>> = Vec::new();
    for _ in 0..config.tts_workers.max(1) {
        synthesizers.push(Box::new(piper::Voice::load(&config.voice, &json).map_err(load(VOICE, &config.voice))?));
    }

    let silero = silero::Model::load(&config.silero).map_err(load(SILERO, &config.silero))?;
    let voice_activity = Box::new(move || silero.activity());
    Ok(Engines { transcribers, synthesizers, voice_activity, voice: voice_name(&config.voice) })
}

fn description(voice: &Path) -> PathBuf {
    let mut name = voice.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

fn missing(config: &NativeConfig, json: &Path) -> Vec<MissingFile> {
    let files = [
        (WHISPER, config.whisper.clone()),
        (VOICE, config.voice.clone()),
        ("the voice's description", json.to_owned()),
        (SILERO, config.silero.clone()),
        (ONNXRUNTIME, config.onnxruntime.clone()),
        (ESPEAK, config.espeak_data.join("espeak-ng-data").join("phontab")),
    ];
    files.into_iter().filter(|(_, path)| !path.is_file()).map(|(what, path)| MissingFile { what, path }).collect()
}

fn load<'a>(what: &'static str, path: &'a Path) -> impl Fn(String) -> NativeError + 'a {
    move |cause| NativeError::Load { what, path: path.to_owned(), cause }
}

/// The voice's name with its size: another file under the same name is another voice.
fn voice_name(voice: &Path) -> String {
    let stem = voice.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{stem} {}", std::fs::metadata(voice).map(|m| m.len()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_file_is_named_with_what_to_do() {
        let gone = |name: &str| Path::new("/nonexistent").join(name);
        let outcome = engines(NativeConfig {
            whisper: gone("ggml-base.bin"),
            voice: gone("joe.onnx"),
            silero: gone("silero_vad.onnx"),
            onnxruntime: gone("libonnxruntime.so"),
            espeak_data: gone(""),
            stt_workers: 1,
            stt_threads: 1,
            tts_workers: 1,
        });
        let Err(error) = outcome else { panic!("nothing is there") };
        let said = error.to_string();
        for name in
            ["ggml-base.bin", "joe.onnx:", "joe.onnx.json", "silero_vad.onnx", "libonnxruntime.so", "espeak-ng-data"]
        {
            assert!(format!("{said}:").contains(name) || said.contains(name.trim_end_matches(':')), "{name} in {said}");
        }
        assert!(said.contains("run: baton models fetch"), "{said}");
    }
}
