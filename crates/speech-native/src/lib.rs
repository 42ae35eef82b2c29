//! The local engines: whisper.cpp for hearing, piper for speaking, Silero for voice activity. A leaf: nothing but the
//! gateway and the whole-system tests links it.

mod piper;
mod silero;
mod whisper;

use std::path::PathBuf;
use std::sync::Arc;

use baton_speech::Engines;

/// What to load, and how many work with it.
#[derive(Debug, Clone)]
pub struct NativeConfig {
    /// whisper.cpp model (ggml).
    pub whisper: PathBuf,
    /// piper voice (.onnx); its .onnx.json stands beside it.
    pub voice: PathBuf,
    /// Silero voice activity model.
    pub silero: PathBuf,
    /// The onnxruntime library.
    pub onnxruntime: PathBuf,
    /// The folder that holds `espeak-ng-data`.
    pub espeak_data: PathBuf,
    /// Utterances transcribed at the same time.
    pub stt_workers: usize,
    /// Threads for each.
    pub stt_threads: usize,
    /// Clauses synthesized at the same time.
    pub tts_workers: usize,
}

/// Why the engines are not there.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// A file is missing. Checked first: the onnxruntime loader hangs without a word where its library is not.
    #[error("{what} is missing: {path}\n    run: baton models fetch    (without network: baton models fetch --from DIR)", path = .path.display())]
    Missing {
        /// What it is.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// A file is there and cannot be used.
    #[error("{what} cannot be loaded from {path}: {cause}\n    check it with: baton models verify", path = .path.display())]
    Load {
        /// What it is.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The engine's word.
        cause: String,
    },
}

/// Loads everything and warms it up.
pub fn engines(config: &NativeConfig) -> Result<Engines, NativeError> {
    let json = config.voice.with_extension("onnx.json");
    for (what, path) in [
        ("the speech-to-text model", &config.whisper),
        ("the voice", &config.voice),
        ("the voice's description", &json),
        ("the voice activity model", &config.silero),
        ("the onnxruntime library", &config.onnxruntime),
        ("the phonemizer's data", &config.espeak_data.join("espeak-ng-data")),
    ] {
        if !path.exists() {
            return Err(NativeError::Missing { what, path: path.clone() });
        }
    }
    let load = |what, path: &PathBuf, cause: String| NativeError::Load { what, path: path.clone(), cause };
    ort::init_from(&config.onnxruntime)
        .map_err(|e| load("the onnxruntime library", &config.onnxruntime, e.to_string()))?
        .commit();
    piper::espeak_data(&config.espeak_data);

    let whisper = whisper::Model::load(&config.whisper)
        .map_err(|cause| load("the speech-to-text model", &config.whisper, cause))?;
    let mut transcribers: Vec<Box<dyn baton_speech::Transcriber>> = Vec::new();
    for _ in 0..config.stt_workers {
        let engine = whisper
            .transcriber(config.stt_threads)
            .map_err(|cause| load("the speech-to-text model", &config.whisper, cause))?;
        transcribers.push(Box::new(engine));
    }
    let mut synthesizers: Vec<Box<dyn baton_speech::Synthesizer>> = Vec::new();
    for _ in 0..config.tts_workers {
        let engine =
            piper::Voice::load(&config.voice, &json).map_err(|cause| load("the voice", &config.voice, cause))?;
        synthesizers.push(Box::new(engine));
    }
    let silero = Arc::new(
        std::fs::read(&config.silero).map_err(|e| load("the voice activity model", &config.silero, e.to_string()))?,
    );
    silero::Silero::load(&silero).map_err(|cause| load("the voice activity model", &config.silero, cause))?;
    let voice = config.voice.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let voice_activity = Box::new(move || silero::activity(&silero));
    Ok(Engines { transcribers, synthesizers, voice_activity, voice })
}
