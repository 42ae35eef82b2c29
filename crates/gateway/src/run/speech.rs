//! The speech room, started: the local engines if this binary was built with them.

#[cfg(feature = "native-speech")]
use baton_models::{Layout, SttModel, missing_for};
use baton_speech::Speech;
#[cfg(feature = "native-speech")]
use baton_speech::SpeechConfig;
#[cfg(feature = "native-speech")]
use baton_speech_native::{Engine, MoonshineFiles};

use std::sync::Arc;

use baton_intake::Embedder;
#[cfg(feature = "native-speech")]
use tracing::{info, warn};

use super::remote::RemoteCounters;
#[cfg(feature = "native-speech")]
use super::remote::{RemoteError, before_local};
use crate::config::Config;
#[cfg(feature = "native-speech")]
use crate::config::SttEngine;

/// Why there is no speech.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    #[error(
        "speech models are missing: {names}\n    run: baton models fetch    (without network: baton models fetch --from DIR)"
    )]
    Missing { names: String },
    #[cfg(feature = "native-speech")]
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[cfg(feature = "native-speech")]
    #[error(transparent)]
    Engine(#[from] baton_speech_native::NativeError),
    #[cfg(not(feature = "native-speech"))]
    #[error("this binary was built without local speech\n    build with the feature native-speech")]
    NotBuilt,
}

/// Checks the models, loads the engines, puts remote ones before them where there are any, starts their threads.
#[cfg(feature = "native-speech")]
pub fn start(config: &Config, counters: &Arc<RemoteCounters>) -> Result<Speech, SpeechError> {
    let layout = Layout::new(&config.speech.models);
    let (engine, wanted) = match config.speech.engine {
        SttEngine::Moonshine => (Engine::Moonshine, SttModel::Moonshine),
        SttEngine::Auto if missing_for(&layout.dir, &[SttModel::Moonshine]).is_empty() => {
            (Engine::Moonshine, SttModel::Moonshine)
        }
        SttEngine::Auto | SttEngine::Whisper => (Engine::Whisper, SttModel::Whisper),
    };
    let many_languages = config.dids.values().any(|flow| flow.language() != "en");
    let mut more_voices = Vec::new();
    for flow in config.dids.values().filter(|flow| !flow.voice().is_empty()) {
        let path = layout.dir.join(format!("{}.onnx", flow.voice()));
        if path != layout.voice() && !more_voices.contains(&path) {
            more_voices.push(path);
        }
    }
    // Without the embedding model the flows' phrases decide alone.
    let mut missing = missing_for(&layout.dir, &[wanted]);
    missing.retain(|m| !m.is_optional());
    if !missing.is_empty() {
        return Err(SpeechError::Missing { names: missing.iter().map(|m| m.name).collect::<Vec<_>>().join(", ") });
    }
    let moonshine = layout.moonshine();
    let engines = baton_speech_native::engines(&baton_speech_native::NativeConfig {
        engine,
        whisper: layout.whisper(),
        moonshine: MoonshineFiles {
            encoder: moonshine.encoder,
            first: moonshine.first,
            next: moonshine.next,
            tokens: moonshine.tokens,
        },
        voice: layout.voice(),
        more_voices,
        many_languages,
        silero: layout.silero(),
        onnxruntime: layout.onnxruntime(),
        espeak_data: layout.espeak_data(),
        stt_workers: config.speech.stt_workers,
        stt_threads: config.speech.stt_threads,
        tts_workers: config.speech.tts_workers,
    })?;
    let (stt, tts) = (config.speech.remote_stt.as_ref(), config.speech.remote_tts.as_ref());
    let engines = before_local(engines, stt, tts, counters)?;
    Ok(Speech::start(
        engines,
        SpeechConfig { cache_dir: Some(config.speech.cache.clone()), partials: config.speech.partials },
    ))
}

/// The model that tells how near in meaning two sentences are; `None` where it was not fetched: the flows' phrases decide alone
/// then. To be loaded after [`start`], which makes sure of the library it runs in.
#[cfg(feature = "native-speech")]
pub fn meaning(config: &Config) -> Option<Arc<dyn Embedder>> {
    let layout = Layout::new(&config.speech.models);
    let (model, vocabulary) = (layout.minilm(), layout.minilm_vocabulary());
    if !model.is_file() || !vocabulary.is_file() {
        info!("no embedding model: the flows' phrases decide alone (baton models fetch brings it)");
        return None;
    }
    match baton_meaning::MiniLm::load(&model, &vocabulary, 1) {
        Ok(model) => Some(Arc::new(model)),
        Err(e) => {
            warn!(error = %e, "the embedding model does not load: the flows' phrases decide alone");
            None
        }
    }
}

/// There is none without the native engines.
#[cfg(not(feature = "native-speech"))]
pub fn meaning(_config: &Config) -> Option<Arc<dyn Embedder>> {
    None
}

/// Says that this binary cannot hear or speak.
#[cfg(not(feature = "native-speech"))]
pub fn start(_config: &Config, _counters: &Arc<RemoteCounters>) -> Result<Speech, SpeechError> {
    Err(SpeechError::NotBuilt)
}
