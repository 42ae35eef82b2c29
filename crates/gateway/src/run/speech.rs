//! The speech room, started: the local engines if this binary was built with them.

#[cfg(feature = "native-speech")]
use baton_models::{Layout, SttModel, missing_for};
use baton_speech::Speech;
#[cfg(feature = "native-speech")]
use baton_speech::SpeechConfig;
#[cfg(feature = "native-speech")]
use baton_speech_native::{Engine, MoonshineFiles};

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
    Engine(#[from] baton_speech_native::NativeError),
    #[cfg(not(feature = "native-speech"))]
    #[error("this binary was built without local speech\n    build with the feature native-speech")]
    NotBuilt,
}

/// Checks the models, loads the engines, starts their threads.
#[cfg(feature = "native-speech")]
pub fn start(config: &Config) -> Result<Speech, SpeechError> {
    let layout = Layout::new(&config.speech.models);
    let (engine, wanted) = match config.speech.engine {
        SttEngine::Moonshine => (Engine::Moonshine, SttModel::Moonshine),
        SttEngine::Auto if missing_for(&layout.dir, &[SttModel::Moonshine]).is_empty() => {
            (Engine::Moonshine, SttModel::Moonshine)
        }
        SttEngine::Auto | SttEngine::Whisper => (Engine::Whisper, SttModel::Whisper),
    };
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
        silero: layout.silero(),
        onnxruntime: layout.onnxruntime(),
        espeak_data: layout.espeak_data(),
        stt_workers: config.speech.stt_workers,
        stt_threads: config.speech.stt_threads,
        tts_workers: config.speech.tts_workers,
    })?;
    Ok(Speech::start(engines, SpeechConfig { cache_dir: Some(config.speech.cache.clone()), ..SpeechConfig::default() }))
}

/// Says that this binary cannot hear or speak.
#[cfg(not(feature = "native-speech"))]
pub fn start(_config: &Config) -> Result<Speech, SpeechError> {
    Err(SpeechError::NotBuilt)
}
