//! The speech room, started: the local engines if this binary was built with them.

use baton_models::Layout;
use baton_speech::{Speech, SpeechConfig};

use crate::config::Config;

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
    // Without the embedding model the flows' phrases decide alone.
    let mut missing = baton_models::missing(&config.speech.models);
    missing.retain(|m| !m.is_optional());
    if !missing.is_empty() {
        return Err(SpeechError::Missing { names: missing.iter().map(|m| m.name).collect::<Vec<_>>().join(", ") });
    }
    let engines = baton_speech_native::engines(&baton_speech_native::NativeConfig {
        whisper: layout.whisper(),
        voice: layout.voice(),
        silero: layout.silero(),
        onnxruntime: layout.onnxruntime(),
        espeak_data: layout.espeak_data(),
        stt_workers: config.speech.stt_workers,
        stt_threads: config.speech.stt_threads,
        tts_workers: config.speech.tts_workers,
    })?;
    Ok(Speech::start(engines, SpeechConfig { cache_dir: Some(config.speech.cache.clone()) }))
}

/// Says that this binary cannot hear or speak.
#[cfg(not(feature = "native-speech"))]
pub fn start(_config: &Config) -> Result<Speech, SpeechError> {
    Err(SpeechError::NotBuilt)
}
