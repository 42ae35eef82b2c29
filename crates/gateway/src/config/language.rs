//! `[language]`: a model that may help to understand callers, behind an OpenAI-compatible interface. None is needed.

use std::time::Duration;

use baton_crm::JsonService;
use baton_crm::config::Fault;
use secrecy::SecretString;
use serde::Deserialize;

/// Where it is and how long it may take.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// The interface's base, such as `http://127.0.0.1:8080/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// The bearer token, if it wants one.
    pub key: Option<SecretString>,
    /// How long an answer may take; late is as good as never.
    #[serde(default = "usual_time")]
    pub timeout_ms: u64,
}

fn usual_time() -> u64 {
    2_500
}

impl Language {
    /// Ready to be asked. Nothing is sent yet.
    ///
    /// # Errors
    /// What is wrong with the section, and what to do.
    pub fn connect(&self) -> Result<JsonService, Fault> {
        let fault = |key: &str, what: &str, hint: &str| Fault {
            key: format!("language.{key}"),
            what: what.into(),
            hint: hint.into(),
        };
        if self.model.trim().is_empty() {
            return Err(fault("model", "it is empty", "name the model as its interface knows it"));
        }
        if !(100..=20_000).contains(&self.timeout_ms) {
            return Err(fault("timeout_ms", "it is not between 100 and 20000", "2500 suits most"));
        }
        let url = format!("{}/chat/completions", self.url.trim_end_matches('/'));
        JsonService::new("language", &url, self.key.clone(), Duration::from_millis(self.timeout_ms))
    }
}
