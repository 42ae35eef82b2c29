//! The form a conversation fills: slot by slot, where each value came from and whether the caller confirmed it.
//! A value is here only because the caller said or typed it, or because the CRM holds it and the caller agreed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The caller said it.
    Speech,
    /// The caller typed it.
    Dtmf,
    /// The CRM or the network supplied it and the caller agreed.
    Crm,
}

/// One collected value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotValue {
    /// In its canonical written form: `A-1042`, `$212.50`, `+15551234567`.
    pub value: String,
    /// Whether the caller agreed to it, or it agrees with the caller's own record.
    pub confirmed: bool,
    /// Where it came from.
    pub source: Source,
}

/// What was collected so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Form {
    slots: BTreeMap<String, SlotValue>,
    /// Asked for in vain: slot → why there is no value.
    #[serde(skip)]
    skipped: BTreeMap<String, Skipped>,
}

/// Why a slot stays empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// The caller does not have it or will not say.
    NotHad,
    /// It was asked for and not understood, or not answered.
    NotHeard,
}

impl Form {
    /// Every collected value, by slot name.
    pub fn slots(&self) -> &BTreeMap<String, SlotValue> {
        &self.slots
    }

    /// A slot's value, with where it came from.
    pub fn get(&self, slot: &str) -> Option<&SlotValue> {
        self.slots.get(slot)
    }

    /// A slot's value alone.
    pub fn text(&self, slot: &str) -> Option<&str> {
        self.slots.get(slot).map(|s| s.value.as_str())
    }

    /// Whether the slot was asked for in vain.
    pub fn is_skipped(&self, slot: &str) -> bool {
        self.skipped.contains_key(slot)
    }

    pub(crate) fn skipped(&self) -> &BTreeMap<String, Skipped> {
        &self.skipped
    }

    pub(crate) fn set(&mut self, slot: &str, value: impl Into<String>, source: Source, confirmed: bool) {
        self.skipped.remove(slot);
        self.slots.insert(slot.to_owned(), SlotValue { value: value.into(), confirmed, source });
    }

    pub(crate) fn confirm(&mut self, slot: &str) {
        if let Some(s) = self.slots.get_mut(slot) {
            s.confirmed = true;
        }
    }

    pub(crate) fn skip(&mut self, slot: &str, why: Skipped) {
        if !self.slots.contains_key(slot) {
            self.skipped.insert(slot.to_owned(), why);
        }
    }
}
