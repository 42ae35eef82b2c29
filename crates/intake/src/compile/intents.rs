//! What a flow can do: its intents, what they lead to, and phrases.

use std::collections::{BTreeMap, BTreeSet};

use super::Compiler;
use crate::api::TriggerName;
use crate::flow::{Dispositions, Does, Intent, Slot, Trigger};
use crate::raw::{self, SlotKind};
use crate::template::Template;
use crate::understand::phrase::Phrase;

impl Compiler<'_> {
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
                examples: intent.examples.clone(),
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
            (Some("take_request"), None) => Does::TakeRequest(self.done(at, intent, known)),
            (Some("webhook"), None) => {
                let hook = intent.webhook.clone().unwrap_or_default();
                if hook.trim().is_empty() {
                    self.fault(
                        &at("webhook"),
                        format!("intent `{name}` calls a web hook without a name"),
                        "add webhook = \"…\"",
                    );
                }
                Does::Webhook { name: hook, done: self.done(at, intent, known) }
            }
            (Some("lookup"), None) => self.lookup(at, intent, slots),
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
                    "use order_status, lookup, webhook or take_request",
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

    /// What is said when a request was taken.
    fn done<'p>(
        &mut self,
        at: &dyn Fn(&'p str) -> [&'p str; 5],
        intent: &raw::Intent,
        known: &BTreeSet<String>,
    ) -> Template {
        let name = &intent.name;
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
        template
    }

    fn lookup<'p>(&mut self, at: &dyn Fn(&'p str) -> [&'p str; 5], intent: &raw::Intent, slots: &[Slot]) -> Does {
        let name = &intent.name;
        let record = intent.record.clone().unwrap_or_default();
        if record.trim().is_empty() {
            self.fault(
                &at("record"),
                format!("intent `{name}` looks something up and does not say what"),
                "add record = \"ticket\", \"appointment\", …: the kind of record in the CRM",
            );
        }
        if !intent.needs.iter().any(|n| slots.iter().any(|s| s.name == *n && s.kind == SlotKind::PersonName)) {
            self.fault(
                &at("needs"),
                format!("intent `{name}` reads a record out and does not need the caller's name"),
                "add the slot of kind \"person_name\" to `needs`",
            );
        }
        if let Some(by) = intent.by.as_ref().filter(|by| !intent.needs.contains(by)) {
            self.fault(
                &at("by"),
                format!("intent `{name}` looks up by slot `{by}`, which it does not need"),
                format!("add \"{by}\" to `needs`, or correct the name"),
            );
        }
        Does::Lookup { record, by: intent.by.clone() }
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
