//! What a flow collects and what it can do: its slots, intents and phrases.

use std::collections::{BTreeMap, BTreeSet};

use super::{Compiler, FACTS};
use crate::api::TriggerName;
use crate::flow::{Dispositions, Does, Intent, Slot, Trigger};
use crate::raw::{self, SlotKind};
use crate::template::Template;
use crate::understand::codes::Pattern;
use crate::understand::phrase::Phrase;

impl Compiler<'_> {
    pub(super) fn slots(&mut self, flow: &str, raw: &raw::Flow) -> Vec<Slot> {
        let mut out: Vec<Slot> = Vec::new();
        for (i, slot) in raw.slot.iter().enumerate() {
            let index = i.to_string();
            let at = |key| ["flow", flow, "slot", index.as_str(), key];
            let name = slot.name.as_str();
            if !is_name(name) || FACTS.contains(&name) || ["holder_name", "relation", "topic"].contains(&name) {
                self.fault(
                    &at("name"),
                    format!("`{name}` cannot be a slot's name"),
                    "use small letters, digits and _, and none of the names that are filled by themselves",
                );
            }
            if out.iter().any(|s| s.name == name) {
                self.fault(&at("name"), format!("slot `{name}` is there twice"), "rename or remove one");
            } else if out.iter().any(|s| s.kind == slot.kind) {
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
            let numbered = slot.kind == SlotKind::Number;
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
            let first = slot.ask.first().cloned().unwrap_or_default();
            out.push(Slot {
                name: name.to_owned(),
                kind: slot.kind,
                ask: slot.ask.clone(),
                ask_short: slot.ask_short.clone().unwrap_or(first),
                label: slot.label.clone().unwrap_or_else(|| name.replace('_', " ")),
                patterns,
            });
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

    pub(super) fn intents(
        &mut self,
        flow: &str,
        raw: &raw::Flow,
        known: &BTreeSet<String>,
        slots: &[Slot],
        triggers: &BTreeMap<TriggerName, Trigger>,
        dispositions: &Dispositions,
    ) -> Vec<Intent> {
        if raw.intent.is_empty() {
            self.fault(
                &["flow", flow, "intent"],
                format!("flow `{flow}` has no intents"),
                format!("add [[flow.{flow}.intent]], one for each thing callers want"),
            );
        }
        let mut out: Vec<Intent> = Vec::new();
        for (i, intent) in raw.intent.iter().enumerate() {
            let index = i.to_string();
            let at = |key| ["flow", flow, "intent", index.as_str(), key];
            let name = intent.name.as_str();
            if out.iter().any(|o| o.name == name) {
                self.fault(&at("name"), format!("intent `{name}` is there twice"), "rename or remove one");
            }
            if intent.label.trim().is_empty() {
                self.fault(
                    &at("label"),
                    format!("intent `{name}` has no label"),
                    "add label = \"…\", fitting after \"about\" in a briefing",
                );
            }
            if intent.phrases.is_empty() {
                self.fault(
                    &at("phrases"),
                    format!("intent `{name}` has no phrases"),
                    "add phrases = [\"…\"], what callers say",
                );
            }
            for need in intent.needs.iter().filter(|n| !slots.iter().any(|s| s.name == **n)) {
                self.fault(
                    &at("needs"),
                    format!("intent `{name}` needs slot `{need}`, which nobody collects"),
                    format!("add [[flow.{flow}.slot]] name = \"{need}\", or correct the name"),
                );
            }
            let does = self.does(&at, intent, known, slots, triggers);
            out.push(Intent {
                name: name.to_owned(),
                label: intent.label.trim().to_owned(),
                phrases: self.phrases(&at("phrases"), &intent.phrases),
                priority: intent.priority,
                needs: intent.needs.clone(),
                does,
                acknowledge: intent.acknowledge.clone(),
                solved: intent.solved.clone().unwrap_or_else(|| dispositions.solved.clone()),
            });
        }
        out
    }

    fn does<'p>(
        &mut self,
        at: &dyn Fn(&'p str) -> [&'p str; 5],
        intent: &raw::Intent,
        known: &BTreeSet<String>,
        slots: &[Slot],
        triggers: &BTreeMap<TriggerName, Trigger>,
    ) -> Does {
        let name = &intent.name;
        let numbered = intent.needs.iter().any(|n| slots.iter().any(|s| s.name == *n && s.kind == SlotKind::Number));
        match (intent.action.as_deref(), intent.trigger.as_deref()) {
            (Some("order_status"), None) => {
                if !numbered {
                    self.fault(
                        &at("needs"),
                        format!("intent `{name}` looks an order up and does not need its number"),
                        "add the slot of kind \"number\" to `needs`",
                    );
                }
                if !intent.needs.iter().any(|n| slots.iter().any(|s| s.name == *n && s.kind == SlotKind::PersonName)) {
                    self.fault(
                        &at("needs"),
                        format!("intent `{name}` reads an order out and does not need the caller's name"),
                        "add the slot of kind \"person_name\" to `needs`",
                    );
                }
                Does::OrderStatus
            }
            (Some("take_request"), None) => {
                let text = intent.done.clone().unwrap_or_default();
                if text.trim().is_empty() {
                    self.fault(
                        &at("done"),
                        format!("intent `{name}` takes a request and does not say so"),
                        "add done = \"…\", said when the request was taken",
                    );
                }
                let template = Template::parse(&text).unwrap_or_else(|e| {
                    self.fault(&at("done"), format!("intent `{name}`: {e}"), "write {slot} for a value");
                    Template::default()
                });
                for slot in template.slots().into_iter().filter(|s| !known.contains(*s)) {
                    self.fault(
                        &at("done"),
                        format!("intent `{name}` names slot `{slot}`, which nobody collects"),
                        "correct the name, or add the slot",
                    );
                }
                for slot in template.bare_slots() {
                    self.fault(
                        &at("done"),
                        format!("what intent `{name}` says has a hole when `{slot}` was not collected"),
                        format!("put it in a section: [ … {{{slot}}} … ]"),
                    );
                }
                Does::TakeRequest(template)
            }
            (None, Some(trigger)) => match TriggerName::named(trigger).filter(|t| triggers.contains_key(t)) {
                Some(trigger) => Does::Trigger(trigger),
                None => {
                    self.fault(
                        &at("trigger"),
                        format!("intent `{name}` fires trigger `{trigger}`, which is not defined"),
                        "define it as a [[trigger]], or correct the name",
                    );
                    Does::Trigger(TriggerName::OutOfScope)
                }
            },
            (Some(action), None) => {
                self.fault(
                    &at("action"),
                    format!("intent `{name}` has action `{action}`, which does not exist"),
                    "use order_status or take_request",
                );
                Does::OrderStatus
            }
            _ => {
                self.fault(
                    &at("action"),
                    format!("intent `{name}` must have either an `action` or a `trigger`"),
                    "add action = \"order_status\" or trigger = \"out_of_scope\"",
                );
                Does::OrderStatus
            }
        }
    }

    pub(super) fn phrases(&mut self, path: &[&str], raw: &[String]) -> Vec<Phrase> {
        let mut out = Vec::new();
        for text in raw {
            match Phrase::parse(text) {
                Ok(phrase) => out.push(phrase),
                Err(e) => self.fault(path, e, "write words, a|b for alternatives, word* for beginnings, my? for what may be missing, .. for a gap"),
            }
        }
        out
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
