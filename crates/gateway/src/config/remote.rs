//! `[speech.remote_stt]` and `[speech.remote_tts]`.

use std::fmt;
use std::time::Duration;

use super::{Compiler, raw};

/// A server with the OpenAI-compatible audio endpoints.
#[derive(Clone)]
pub struct RemoteEngine {
    /// Up to and with `/v1`.
    pub url: String,
    pub model: String,
    pub voice: String,
    pub language: String,
    pub key: Option<String>,
    pub timeout: Duration,
    /// Requests under way at the same time.
    pub workers: usize,
}

impl fmt::Debug for RemoteEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteEngine({} {} {})", self.url, self.model, self.voice)
    }
}

impl Compiler<'_> {
    pub(super) fn remote(&mut self, key: &str, raw: raw::RemoteEngine) -> RemoteEngine {
        let at = |name: &str| ["speech".to_owned(), key.to_owned(), name.to_owned()];
        if !raw.url.starts_with("http://") && !raw.url.starts_with("https://") {
            self.fault(
                &at("url"),
                format!("`{}` is no URL of a server", raw.url),
                "write it up to the version, e.g. \"http://127.0.0.1:8000/v1\"",
            );
        }
        if key == "remote_tts" && raw.voice.is_empty() {
            self.fault(&at("voice"), "remote_tts names no voice", "name one that the server knows, e.g. \"alloy\"");
        }
        for (name, n, most) in [("timeout_ms", raw.timeout_ms, 30_000), ("workers", raw.workers as u64, 256)] {
            if n == 0 || n > most {
                self.fault(&at(name), format!("`{name}` is {n}"), format!("give a number from 1 to {most}"));
            }
        }
        RemoteEngine {
            url: raw.url,
            model: raw.model,
            voice: raw.voice,
            language: raw.language,
            key: raw.key,
            timeout: Duration::from_millis(raw.timeout_ms),
            workers: raw.workers,
        }
    }
}
