//! The local engines: Moonshine or whisper.cpp for hearing, piper for speaking, Silero for voice activity. A leaf: nothing but the
//! gateway and the whole-system tests links it.

mod bias;
mod moonshine;
mod piper;
mod silero;
mod tokens;
mod whisper;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use baton_speech::{Engines, Hints, SttError, Synthesizer, Transcriber, Transcript};

pub use moonshine::MoonshineFiles;

/// Which engine hears. `speech.engine` in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// Moonshine where its files are, else Whisper: Moonshine is faster and makes fewer mistakes, in English alone.
    #[default]
    Auto,
    /// whisper.cpp: many languages.
    Whisper,
    /// Moonshine base through onnxruntime: English.
    Moonshine,
}

/// A name that is no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no speech-to-text engine: give auto, moonshine or whisper")]
pub struct UnknownEngine(pub String);

impl std::str::FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        match name {
            "auto" => Ok(Self::Auto),
            "whisper" => Ok(Self::Whisper),
            "moonshine" => Ok(Self::Moonshine),
            other => Err(UnknownEngine(other.to_owned())),
        }
    }
}

/// What to load, and how many work with it.
#[derive(Debug, Clone)]
pub struct NativeConfig {
    /// Which engine hears.
    pub engine: Engine,
    /// whisper.cpp model (ggml). Needed only where that engine is taken.
    pub whisper: PathBuf,
    /// Moonshine's files. Needed only where that engine is taken.
    pub moonshine: MoonshineFiles,
    /// piper voice (.onnx); its .onnx.json stands beside it.
    pub voice: PathBuf,
    /// Other voices that flows name, each with one worker.
    pub more_voices: Vec<PathBuf>,
    /// Whether callers speak other languages than English too: Whisper hears those.
    pub many_languages: bool,
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

impl NativeConfig {
    /// Everything as `baton models fetch` names it below its folder, one worker of each kind with one thread.
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            engine: Engine::Auto,
            whisper: dir.join("ggml-base.bin"),
            moonshine: MoonshineFiles::in_dir(dir),
            voice: dir.join("en_US-joe-medium.onnx"),
            more_voices: Vec::new(),
            many_languages: false,
            silero: dir.join("silero_vad.onnx"),
            onnxruntime: dir.join("libonnxruntime.so"),
            espeak_data: dir.to_owned(),
            stt_workers: 1,
            stt_threads: 1,
            tts_workers: 1,
        }
    }

    /// The engine that [`engines`] takes: never `Auto`.
    pub fn chosen(&self) -> Engine {
        match self.engine {
            Engine::Auto if self.moonshine.each().into_iter().all(|f| f.exists()) => Engine::Moonshine,
            Engine::Auto => Engine::Whisper,
            named => named,
        }
    }
}

/// Loads everything and warms it up.
pub fn engines(config: &NativeConfig) -> Result<Engines, NativeError> {
    let jsons: Vec<PathBuf> =
        config.more_voices.iter().chain([&config.voice]).map(|v| v.with_extension("onnx.json")).collect();
    let chosen = config.chosen();
    let hears: Vec<&PathBuf> = match chosen {
        Engine::Moonshine if config.many_languages => {
            config.moonshine.each().into_iter().chain([&config.whisper]).collect()
        }
        Engine::Moonshine => config.moonshine.each().to_vec(),
        _ => vec![&config.whisper],
    };
    for (what, path) in hears
        .into_iter()
        .map(|path| ("the speech-to-text model", path))
        .chain([
            ("the voice activity model", &config.silero),
            ("the onnxruntime library", &config.onnxruntime),
            ("the phonemizer's data", &config.espeak_data.join("espeak-ng-data")),
        ])
        .chain(config.more_voices.iter().chain([&config.voice]).map(|path| ("the voice", path)))
        .chain(jsons.iter().map(|path| ("the voice's description", path)))
    {
        if !path.exists() {
            return Err(NativeError::Missing { what, path: path.clone() });
        }
    }
    ort::init_from(&config.onnxruntime)
        .map_err(|e| load("the onnxruntime library", &config.onnxruntime, e.to_string()))?
        .commit();
    piper::espeak_data(&config.espeak_data);

    let transcribers = match chosen {
        Engine::Moonshine if config.many_languages => both(config),
        Engine::Moonshine => moonshines(config),
        _ => whispers(config),
    }?;
    tracing::info!(engine = ?chosen, workers = config.stt_workers, threads = config.stt_threads, "speech-to-text is loaded");
    let mut synthesizers: Vec<Box<dyn Synthesizer>> = Vec::new();
    for _ in 0..config.tts_workers {
        synthesizers.push(voice(&config.voice)?);
    }
    let mut more_voices = Vec::new();
    for path in &config.more_voices {
        more_voices.push((name(path), vec![voice(path)?]));
    }
    let silero = Arc::new(
        std::fs::read(&config.silero).map_err(|e| load("the voice activity model", &config.silero, e.to_string()))?,
    );
    silero::Silero::load(&silero).map_err(|cause| load("the voice activity model", &config.silero, cause))?;
    let voice_activity = Box::new(move || silero::activity(&silero));
    Ok(Engines { transcribers, synthesizers, voice_activity, voice: name(&config.voice), more_voices })
}

/// A voice is called as its file is.
fn name(voice: &Path) -> String {
    voice.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

fn voice(path: &Path) -> Result<Box<dyn Synthesizer>, NativeError> {
    let loaded = piper::Voice::load(path, &path.with_extension("onnx.json"));
    Ok(Box::new(loaded.map_err(|cause| load("the voice", path, cause))?))
}

fn load(what: &'static str, path: &Path, cause: String) -> NativeError {
    NativeError::Load { what, path: path.to_owned(), cause }
}

fn whispers(config: &NativeConfig) -> Result<Vec<Box<dyn Transcriber>>, NativeError> {
    let failed = |cause| load("the speech-to-text model", &config.whisper, cause);
    let model = whisper::Model::load(&config.whisper).map_err(failed)?;
    let one = |_| Ok(Box::new(model.transcriber(config.stt_threads).map_err(failed)?) as Box<dyn Transcriber>);
    (0..config.stt_workers).map(one).collect()
}

fn moonshines(config: &NativeConfig) -> Result<Vec<Box<dyn Transcriber>>, NativeError> {
    let failed = |cause| load("the speech-to-text model", &config.moonshine.encoder, cause);
    let one = |_| {
        let engine = moonshine::Moonshine::load(&config.moonshine, config.stt_threads).map_err(failed)?;
        Ok(Box::new(engine) as Box<dyn Transcriber>)
    };
    (0..config.stt_workers).map(one).collect()
}

/// English by Moonshine, everything else by Whisper.
struct Both {
    english: Box<dyn Transcriber>,
    other: Box<dyn Transcriber>,
}

impl Transcriber for Both {
    fn transcribe(&mut self, pcm: &[i16], hints: &Hints) -> Result<Transcript, SttError> {
        match hints.language.as_str() {
            "" | "en" => self.english.transcribe(pcm, hints),
            _ => self.other.transcribe(pcm, hints),
        }
    }

    fn restart(&mut self) -> Result<(), SttError> {
        self.english.restart()?;
        self.other.restart()
    }
}

fn both(config: &NativeConfig) -> Result<Vec<Box<dyn Transcriber>>, NativeError> {
    let pairs = moonshines(config)?.into_iter().zip(whispers(config)?);
    Ok(pairs.map(|(english, other)| Box::new(Both { english, other }) as Box<dyn Transcriber>).collect())
}
