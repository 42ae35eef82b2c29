//! What was collected, and from where.

use std::collections::BTreeMap;

use serde::Serialize;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The caller said it.
    Speech,
    /// The caller typed it.
    Dtmf,
    /// The CRM holds it and the caller agreed.
    Crm,
}

/// One slot's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotValue {
    /// The value, as it is written.
    pub value: String,
    /// Whether the caller confirmed it, or it agrees with the CRM's record.
    pub confirmed: bool,
    /// Where it came from.
    pub source: Source,
}

/// All slots filled so far, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Form(BTreeMap<String, SlotValue>);

impl Form {
    /// A slot's value.
    pub fn get(&self, slot: &str) -> Option<&SlotValue> {
        self.0.get(slot)
    }

    /// A slot's text.
    pub fn text(&self, slot: &str) -> Option<&str> {
        self.0.get(slot).map(|v| v.value.as_str())
    }

    /// Fills a slot, replacing what was there.
    pub fn set(&mut self, slot: &str, value: impl Into<String>, confirmed: bool, source: Source) {
        self.0.insert(slot.into(), SlotValue { value: value.into(), confirmed, source });
    }

    /// Empties a slot.
    pub fn clear(&mut self, slot: &str) {
        self.0.remove(slot);
    }

    /// All slots, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SlotValue)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }
}
