//! What a flow collects: its slots, and whether what is said of each can be understood.

use std::collections::BTreeMap;

use super::{Compiler, FACTS};
use crate::flow::Slot;
use crate::raw::{self, Confirm, SlotKind};
use crate::understand::codes::Pattern;
use crate::understand::phrase::Phrase;
use crate::understand::value;

impl Compiler<'_> {
    pub(super) fn slots(&mut self, flow: &str, raw: &raw::Flow) -> Vec<Slot> {
        let mut out: Vec<Slot> = Vec::new();
        for (i, slot) in raw.slot.iter().enumerate() {
            let index = i.to_string();
            let at = |key| ["flow", flow, "slot", index.as_str(), key];
            let name = slot.name.as_str();
            if !is_name(name)
                || FACTS.contains(&name)
                || ["holder_name", "relation", "topic", "authorised", "contact"].contains(&name)
            {
                self.fault(
                    &at("name"),
                    format!("`{name}` cannot be a slot's name"),
                    "use small letters, digits and _, and none of the names that are filled by themselves",
                );
            }
            if out.iter().any(|s| s.name == name) {
                self.fault(&at("name"), format!("slot `{name}` is there twice"), "rename or remove one");
            } else if !slot.kind.is_plain() && out.iter().any(|s| s.kind == slot.kind) {
                self.fault(
                    &at("kind"),
                    format!("slot `{name}` is the second of its kind"),
                    "one slot of each kind is understood in a flow",
                );
            }
            if slot.ask.is_empty() || slot.ask.iter().any(|a| a.trim().is_empty()) {
                self.fault(
                    &at("ask"),
                    format!("slot `{name}` has no question"),
                    "add ask = [\"…\"], and rewordings for further tries",
                );
            }
            if slot.ask.iter().chain(&slot.ask_short).any(|a| a.contains(['{', '}'])) {
                self.fault(
                    &at("ask"),
                    format!("a question of slot `{name}` names a slot"),
                    "questions are fixed lines; they are synthesized ahead",
                );
            }
            let mut patterns = Vec::new();
            for pattern in &slot.patterns {
                match Pattern::parse(pattern) {
                    Ok(p) => patterns.push(p),
                    Err(e) => self.fault(
                        &at("patterns"),
                        e,
                        "use @ for a letter, # for a digit, letters and digits themselves, - and blanks",
                    ),
                }
            }
            let numbered = matches!(slot.kind, SlotKind::Number | SlotKind::Code);
            if numbered && slot.patterns.is_empty() {
                self.fault(
                    &at("patterns"),
                    format!("slot `{name}` has no pattern"),
                    "add patterns = [\"@-####\"]: @ is a letter, # a digit",
                );
            }
            if !numbered && !slot.patterns.is_empty() {
                self.fault(
                    &at("patterns"),
                    format!("slot `{name}` is no number, so patterns mean nothing"),
                    "remove `patterns`, or set kind = \"number\"",
                );
            }
            let options = self.options(flow, &index, slot);
            let keys = self.keys(flow, &index, slot);
            if slot.tries.is_some_and(|t| !(1..=5).contains(&t)) {
                self.fault(
                    &at("tries"),
                    format!("slot `{name}` is asked for {} times", slot.tries.unwrap_or(0)),
                    "give 1 to 5",
                );
            }
            let first = slot.ask.first().cloned().unwrap_or_default();
            out.push(Slot {
                name: name.to_owned(),
                kind: slot.kind,
                ask: slot.ask.clone(),
                ask_short: slot.ask_short.clone().unwrap_or(first),
                label: slot.label.clone().unwrap_or_else(|| name.replace('_', " ")),
                patterns,
                confirm: slot.confirm.unwrap_or(match slot.kind {
                    SlotKind::Email | SlotKind::Spelled | SlotKind::Code | SlotKind::Number => Confirm::Explicit,
                    SlotKind::Date | SlotKind::Choice => Confirm::Implicit,
                    _ => Confirm::Never,
                }),
                tries: slot.tries.unwrap_or(slot.ask.len()),
                examples: slot.examples.clone(),
                options,
                keys,
                around: slot.around,
                must_match: slot.must_match.clone(),
            });
            self.examples(flow, &index, out.last());
        }
        for (kind, what) in [(SlotKind::PersonName, "person_name"), (SlotKind::Reason, "reason")] {
            if !out.iter().any(|s| s.kind == kind) {
                self.fault(
                    &["flow", flow, "slot"],
                    format!("flow `{flow}` has no slot of kind `{what}`"),
                    format!("add [[flow.{flow}.slot]] with kind = \"{what}\""),
                );
            }
        }
        out
    }

    fn options(&mut self, flow: &str, index: &str, slot: &raw::Slot) -> Vec<(String, Vec<Phrase>)> {
        let at = ["flow", flow, "slot", index, "options"];
        let chooses = slot.kind == SlotKind::Choice;
        if chooses && slot.options.len() < 2 {
            self.fault(
                &at,
                format!("slot `{}` is a choice with fewer than two options", slot.name),
                "add options = { value = [\"what callers say\"], … }",
            );
        }
        if !chooses && slot.kind != SlotKind::YesNo && !slot.options.is_empty() {
            self.fault(
                &at,
                format!("slot `{}` is no choice, so options mean nothing", slot.name),
                "remove `options`, or set kind = \"choice\"",
            );
        }
        let mut out = Vec::new();
        for (value, phrases) in &slot.options {
            if slot.kind == SlotKind::YesNo && value != "yes" && value != "no" {
                self.fault(
                    &at,
                    format!("option `{value}` of slot `{}` is neither yes nor no", slot.name),
                    "use options = { yes = [\"…\"], no = [\"…\"] }, or set kind = \"choice\"",
                );
            }
            if phrases.is_empty() {
                self.fault(
                    &at,
                    format!("option `{value}` of slot `{}` has no phrases", slot.name),
                    "write what callers say for it",
                );
            }
            out.push((value.clone(), self.phrases(&at, phrases)));
        }
        out
    }

    fn keys(&mut self, flow: &str, index: &str, slot: &raw::Slot) -> BTreeMap<char, String> {
        let at = ["flow", flow, "slot", index, "keys"];
        let mut out = BTreeMap::new();
        for (key, value) in &slot.keys {
            let mut chars = key.chars();
            match (chars.next().filter(char::is_ascii_digit), chars.next()) {
                (Some(digit), None) if digit != '0' => {
                    out.insert(digit, value.clone());
                }
                _ => self.fault(
                    &at,
                    format!("`{key}` of slot `{}` is no key", slot.name),
                    "use \"1\" to \"9\"; 0 always asks for a person",
                ),
            }
            if !slot.options.contains_key(value) {
                self.fault(
                    &at,
                    format!("key {key} of slot `{}` means `{value}`, which is no option of it", slot.name),
                    "name one of the options",
                );
            }
        }
        out
    }

    /// An example that is not understood is a wrong pattern, a wrong kind or a wrong example.
    fn examples(&mut self, flow: &str, index: &str, slot: Option<&Slot>) {
        let Some(slot) = slot else { return };
        for example in slot.examples.iter().filter(|e| value::read(slot, e, None).is_none()) {
            self.fault(
                &["flow", flow, "slot", index, "examples"],
                format!("\"{example}\" is not understood as a value of slot `{}`", slot.name),
                "correct the example, the kind, the patterns or the options",
            );
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
