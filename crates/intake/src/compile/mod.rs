//! Raw config to flows: every reference checked, every phrase, pattern and template parsed, every fault collected with
//! its place and its remedy. Nothing that compiles can fail for its config in the middle of a call.

mod parts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::api::TriggerName;
use crate::flow::{Dispositions, Flow, Slot, TransferRules, Trigger};
use crate::raw::{self, SlotKind};
use crate::template::Template;
use crate::understand::words::normal;

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

/// Facts that every template may name, besides the flow's slots.
pub(crate) const FACTS: [&str; 5] = ["who", "tried", "missing", "why", "caller_number"];

/// Triggers that a conversation can always run into.
const NEEDED: [TriggerName; 5] = [
    TriggerName::AskedForPerson,
    TriggerName::OutOfScope,
    TriggerName::TwoFailedAttempts,
    TriggerName::NoInput,
    TriggerName::SystemFault,
];

/// Compiles flows. `queues` are the queue names that exist. On failure every fault is returned, not only the first.
pub fn compile(raw: raw::Flows, queues: &[String]) -> Result<BTreeMap<String, Arc<Flow>>, Vec<ConfigError>> {
    let mut compiler = Compiler { errors: Vec::new(), briefings: BTreeMap::new(), queues };
    compiler.briefings(&raw);
    compiler.triggers(&raw);
    let flows: BTreeMap<String, Arc<Flow>> =
        raw.flow.iter().map(|(name, flow)| (name.clone(), Arc::new(compiler.flow(name, flow, &raw.trigger)))).collect();
    if compiler.errors.is_empty() { Ok(flows) } else { Err(compiler.errors) }
}

struct Compiler<'a> {
    errors: Vec<ConfigError>,
    briefings: BTreeMap<String, Template>,
    queues: &'a [String],
}

impl Compiler<'_> {
    fn fault(&mut self, path: &[&str], message: impl Into<String>, hint: impl Into<String>) {
        let path = path.iter().map(|&s| s.to_owned()).collect();
        self.errors.push(ConfigError { path, message: message.into(), hint: hint.into() });
    }

    fn briefings(&mut self, raw: &raw::Flows) {
        for (name, briefing) in &raw.briefing {
            match Template::parse(&briefing.text) {
                Ok(template) => {
                    self.briefings.insert(name.clone(), template);
                }
                Err(e) => self.fault(
                    &["briefing", name, "text"],
                    format!("briefing `{name}`: {e}"),
                    "write {slot} for a value and [ … ] around what goes when a value is missing",
                ),
            }
            if briefing.text.trim().is_empty() {
                self.fault(
                    &["briefing", name, "text"],
                    format!("briefing `{name}` is empty"),
                    "write what the agent is told",
                );
            }
            if !raw.trigger.iter().any(|t| t.briefing.as_deref() == Some(name)) {
                self.fault(
                    &["briefing", name],
                    format!("briefing `{name}` is used by no trigger"),
                    "name it in a [[trigger]], or remove it",
                );
            }
        }
    }

    /// What can be checked of triggers without a flow.
    fn triggers(&mut self, raw: &raw::Flows) {
        let mut seen = BTreeSet::new();
        for (i, trigger) in raw.trigger.iter().enumerate() {
            let index = i.to_string();
            let at = |key| ["trigger", index.as_str(), key];
            let name = trigger.name.as_str();
            if TriggerName::named(name).is_none() {
                let all = TriggerName::ALL.map(TriggerName::as_str).join(", ");
                self.fault(&at("name"), format!("there is no trigger `{name}`"), format!("use one of: {all}"));
            }
            if !seen.insert((name, trigger.flow.as_deref())) {
                self.fault(&at("name"), format!("trigger `{name}` is there twice"), "remove one of the two");
            }
            if let Some(flow) = trigger.flow.as_deref().filter(|f| !raw.flow.contains_key(*f)) {
                self.fault(
                    &at("flow"),
                    format!("trigger `{name}` belongs to flow `{flow}`, which is not defined"),
                    "correct the name, or leave `flow` out for every flow",
                );
            }
            if trigger.disposition.as_deref().is_none_or(|d| d.trim().is_empty()) {
                self.fault(
                    &at("disposition"),
                    format!("trigger `{name}` has no disposition"),
                    "add disposition = \"…\", the outcome's code in your CRM",
                );
            }
            match trigger.briefing.as_deref() {
                None => self.fault(
                    &at("briefing"),
                    format!("trigger `{name}` has no briefing"),
                    "add briefing = \"…\", the name of a [briefing.NAME]",
                ),
                Some(b) if !raw.briefing.contains_key(b) => self.fault(
                    &at("briefing"),
                    format!("trigger `{name}` uses briefing `{b}`, which is not defined"),
                    format!("define [briefing.{b}], or correct the name"),
                ),
                Some(_) => {}
            }
            match trigger.queue.as_deref() {
                None => self.fault(
                    &at("queue"),
                    format!("trigger `{name}` has no queue"),
                    "add queue = \"…\", the name of a [[queue]]",
                ),
                Some(q) if !self.queues.iter().any(|known| known == q) => self.fault(
                    &at("queue"),
                    format!("trigger `{name}` goes to queue `{q}`, which is not defined"),
                    format!("define [[queue]] name = \"{q}\", or use one of: {}", self.queues.join(", ")),
                ),
                Some(_) => {}
            }
            self.condition(&index, trigger);
        }
    }

    fn condition(&mut self, index: &str, trigger: &raw::Trigger) {
        let at = |key| ["trigger", index, "condition", key];
        let (name, c) = (trigger.name.as_str(), &trigger.condition);
        let by_phrase = matches!(name, "asked_for_person" | "distress");
        let by_amount = name == "amount_over_limit";
        if by_phrase && c.phrases.is_empty() {
            self.fault(
                &at("phrases"),
                format!("trigger `{name}` has no phrases"),
                "add condition = { phrases = [\"…\"] }",
            );
        }
        if !by_phrase && !c.phrases.is_empty() {
            self.fault(
                &at("phrases"),
                format!("trigger `{name}` does not fire on phrases"),
                "remove `phrases`; asked_for_person and distress have them",
            );
        }
        if by_amount && (c.slot.is_none() || c.over.is_none_or(|o| !(o > 0.0 && o < 1e9))) {
            self.fault(
                &at("over"),
                format!("trigger `{name}` has no limit"),
                "add condition = { slot = \"amount\", over = 200 }, in dollars",
            );
        }
        if !by_amount && (c.slot.is_some() || c.over.is_some()) {
            self.fault(
                &at("over"),
                format!("trigger `{name}` does not fire on an amount"),
                "remove `slot` and `over`; amount_over_limit has them",
            );
        }
    }

    fn flow(&mut self, name: &str, raw: &raw::Flow, triggers: &[raw::Trigger]) -> Flow {
        let company = |text: &str| text.replace("{company}", raw.company.trim()).trim().to_owned();
        self.prompts(name, raw);
        let slots = self.slots(name, raw);
        let known = collected(&slots);
        let dispositions = self.dispositions(name, &raw.disposition);
        let say = self.lines(name, &raw.lines, &company);
        let triggers = self.flow_triggers(name, triggers, &known, &slots);
        let intents = self.intents(name, raw, &known, &slots, &triggers, &dispositions);
        let patience = self.seconds(&["flow", name, "patience_s"], raw.patience_s, 2.0, 60.0);
        if !(0.0..=1.0).contains(&raw.confirm_below) {
            self.fault(
                &["flow", name, "confirm_below"],
                format!("`confirm_below` is {}", raw.confirm_below),
                "give a confidence from 0 to 1",
            );
        }
        Flow {
            name: name.to_owned(),
            company: raw.company.trim().to_owned(),
            greeting: company(&raw.greeting),
            opening: company(&raw.opening),
            rephrase: raw.rephrase.iter().map(|l| company(l)).collect(),
            no_input: raw.no_input.iter().map(|l| company(l)).collect(),
            patience,
            confirm_below: raw.confirm_below,
            vocabulary: raw.vocabulary.clone(),
            slots,
            intents,
            triggers,
            say,
            transfer: self.transfer(name, &raw.transfer),
            dispositions,
        }
    }

    fn prompts(&mut self, name: &str, raw: &raw::Flow) {
        if !normal(&raw.greeting).split(' ').any(|w| w == "assistant") {
            self.fault(
                &["flow", name, "greeting"],
                format!("the greeting of flow `{name}` does not say that an assistant speaks"),
                "callers must be told; use the word \"assistant\", and say that the call may be transcribed",
            );
        }
        for (key, text) in [("company", &raw.company), ("opening", &raw.opening)] {
            if text.trim().is_empty() {
                self.fault(&["flow", name, key], format!("flow `{name}` has no `{key}`"), format!("add {key} = \"…\""));
            }
        }
        for (key, list) in [("rephrase", &raw.rephrase), ("no_input", &raw.no_input)] {
            if list.is_empty() || list.iter().any(|l| l.trim().is_empty()) {
                self.fault(
                    &["flow", name, key],
                    format!("flow `{name}` has no lines in `{key}`"),
                    format!("add {key} = [\"…\", \"…\"], a wording for each try"),
                );
            }
        }
        let fixed = [&raw.greeting, &raw.opening].into_iter().chain(&raw.rephrase).chain(&raw.no_input);
        for text in fixed.filter(|t| t.replace("{company}", "").contains(['{', '}'])) {
            self.fault(
                &["flow", name],
                format!("a line of flow `{name}` names more than {{company}}: \"{text}\""),
                "only {company} is known there",
            );
        }
    }

    fn flow_triggers(
        &mut self,
        flow: &str,
        raw: &[raw::Trigger],
        known: &BTreeSet<String>,
        slots: &[Slot],
    ) -> BTreeMap<TriggerName, Trigger> {
        let mut out = BTreeMap::new();
        for (i, trigger) in raw.iter().enumerate().filter(|(_, t)| t.flow.as_deref().is_none_or(|f| f == flow)) {
            let index = i.to_string();
            let at = |key| ["trigger", index.as_str(), key];
            let Some(name) = TriggerName::named(&trigger.name) else { continue };
            for slot in trigger.requires.iter().filter(|s| !known.contains(*s)) {
                self.fault(
                    &at("requires"),
                    format!("trigger `{name}` requires slot `{slot}`, which flow `{flow}` does not collect"),
                    format!("add [[flow.{flow}.slot]] name = \"{slot}\", or correct the name"),
                );
            }
            let briefing = trigger.briefing.clone().unwrap_or_default();
            let template = self.briefings.get(&briefing).cloned().unwrap_or_default();
            for slot in template.slots().into_iter().filter(|s| !known.contains(*s) && !FACTS.contains(s)) {
                self.fault(
                    &["briefing", &briefing, "text"],
                    format!("briefing `{briefing}` names slot `{slot}`, which flow `{flow}` does not collect"),
                    format!("add [[flow.{flow}.slot]] name = \"{slot}\", or correct the name"),
                );
            }
            for slot in template.bare_slots().filter(|s| !["who", "why"].contains(s)) {
                self.fault(
                    &["briefing", &briefing, "text"],
                    format!("briefing `{briefing}` has a hole when `{slot}` was not collected"),
                    format!("put it in a section: [ … {{{slot}}} … ]"),
                );
            }
            let over = trigger.condition.slot.clone().zip(trigger.condition.over);
            if let Some((slot, _)) = &over
                && !slots.iter().any(|s| s.name == *slot && s.kind == SlotKind::Money)
            {
                self.fault(
                    &["trigger", &index, "condition", "slot"],
                    format!("trigger `{name}` watches slot `{slot}`, which is no amount of money in flow `{flow}`"),
                    "name a slot with kind = \"money\"",
                );
            }
            let compiled = Trigger {
                phrases: self.phrases(&["trigger", &index, "condition", "phrases"], &trigger.condition.phrases),
                over: over.map(|(slot, dollars)| (slot, (dollars * 100.0).round() as u64)),
                disposition: trigger.disposition.clone().unwrap_or_default(),
                briefing,
                template,
                queue: trigger.queue.clone().unwrap_or_default(),
                requires: trigger.requires.clone(),
                say: trigger.say.clone(),
            };
            // A trigger for this flow alone goes before one for every flow.
            if trigger.flow.is_some() || !out.contains_key(&name) {
                out.insert(name, compiled);
            }
        }
        for name in NEEDED.into_iter().filter(|n| !out.contains_key(n)) {
            self.fault(
                &["trigger"],
                format!("flow `{flow}` has no trigger `{name}`, which any call can run into"),
                format!("add [[trigger]] name = \"{name}\" with disposition, briefing and queue"),
            );
        }
        out
    }

    fn dispositions(&mut self, flow: &str, raw: &raw::Disposition) -> Dispositions {
        let mut code = |key: &str, value: &Option<String>| match value.as_deref().map(str::trim) {
            Some(code) if !code.is_empty() => code.to_owned(),
            _ => {
                self.fault(
                    &["flow", flow, "disposition", key],
                    format!("flow `{flow}` has no disposition for `{key}`"),
                    format!("add {key} = \"…\" to [flow.{flow}.disposition]"),
                );
                String::new()
            }
        };
        Dispositions {
            solved: code("solved", &raw.solved),
            nothing_done: code("nothing_done", &raw.nothing_done),
            callback: code("callback", &raw.callback),
            unreached: code("unreached", &raw.unreached),
            abandoned: code("abandoned", &raw.abandoned),
        }
    }

    fn lines(&mut self, flow: &str, raw: &raw::Lines, company: &dyn Fn(&str) -> String) -> raw::Lines {
        let mut say = raw.clone();
        for (key, line, allowed) in each_line(&mut say) {
            *line = company(line);
            let at = ["flow", flow, "lines", key];
            if line.is_empty() {
                self.fault(
                    &at,
                    format!("line `{key}` of flow `{flow}` is empty"),
                    "write what is said, or leave the key out for the default",
                );
            }
            match Template::parse(line) {
                Err(e) => self.fault(&at, format!("line `{key}`: {e}"), "write {name} for a value"),
                Ok(t) => {
                    for slot in t.slots().into_iter().filter(|s| !allowed.contains(s)) {
                        let hint = if allowed.is_empty() {
                            "no value is known there".to_owned()
                        } else {
                            format!("known there: {}", allowed.join(", "))
                        };
                        self.fault(&at, format!("line `{key}` names `{slot}`"), hint);
                    }
                }
            }
        }
        if say.hold_news.is_empty() || say.hold_news.iter().any(|l| l.trim().is_empty()) {
            self.fault(
                &["flow", flow, "lines", "hold_news"],
                format!("flow `{flow}` has nothing to say to a caller on hold"),
                "add hold_news = [\"…\"]",
            );
        }
        say
    }

    fn transfer(&mut self, flow: &str, raw: &raw::Transfer) -> TransferRules {
        let at = |key| ["flow", flow, "transfer", key];
        if raw.crm_wait_ms > 60_000 {
            self.fault(&at("crm_wait_ms"), format!("`crm_wait_ms` is {}", raw.crm_wait_ms), "give at most 60000");
        }
        TransferRules {
            ring_timeout: self.seconds(&at("ring_s"), raw.ring_s, 3.0, 120.0),
            news_every: self.seconds(&at("news_every_s"), raw.news_every_s, 5.0, 300.0),
            accept_on_briefing_end: raw.accept_on_briefing_end,
            crm_wait: Duration::from_millis(raw.crm_wait_ms),
            if_late: raw.if_late,
        }
    }

    fn seconds(&mut self, path: &[&str], value: f64, low: f64, high: f64) -> Duration {
        if !(low..=high).contains(&value) {
            let key = path.last().copied().unwrap_or_default();
            self.fault(path, format!("`{key}` is {value}"), format!("give seconds from {low} to {high}"));
            return Duration::from_secs(1);
        }
        Duration::from_secs_f64(value)
    }
}

/// Every slot name that a flow can fill, those that come along included.
fn collected(slots: &[Slot]) -> BTreeSet<String> {
    let mut out: BTreeSet<String> = slots.iter().map(|s| s.name.clone()).collect();
    for slot in slots {
        match slot.kind {
            SlotKind::AccountHolder => out.extend(["holder_name".to_owned(), "relation".to_owned()]),
            SlotKind::Reason => out.extend(["topic".to_owned()]),
            _ => {}
        }
    }
    out
}

/// Every single line with its key and the values it may name.
fn each_line(l: &mut raw::Lines) -> Vec<(&'static str, &mut String, &'static [&'static str])> {
    const NUMBER: &[&str] = &["number"];
    const ORDER: &[&str] = &["number", "item"];
    vec![
        ("identity", &mut l.identity, &["contact"]),
        ("identity_no", &mut l.identity_no, &[]),
        ("holder_name", &mut l.holder_name, &[]),
        ("machine", &mut l.machine, &[]),
        ("confirm", &mut l.confirm, NUMBER),
        ("took", &mut l.took, ORDER),
        ("is_it_this", &mut l.is_it_this, ORDER),
        ("go_on", &mut l.go_on, &[]),
        ("letter", &mut l.letter, NUMBER),
        ("added", &mut l.added, &[]),
        ("no_number", &mut l.no_number, &[]),
        ("wait", &mut l.wait, &[]),
        ("person_coming", &mut l.person_coming, &[]),
        ("looking", &mut l.looking, &[]),
        ("not_found", &mut l.not_found, NUMBER),
        ("not_yours", &mut l.not_yours, NUMBER),
        ("lookup_failed", &mut l.lookup_failed, &[]),
        ("helped", &mut l.helped, &[]),
        ("not_helped", &mut l.not_helped, &[]),
        ("anything_else", &mut l.anything_else, &[]),
        ("goodbye", &mut l.goodbye, &[]),
        ("connecting", &mut l.connecting, &[]),
        ("nobody_free", &mut l.nobody_free, &[]),
        ("callback_offer", &mut l.callback_offer, &[]),
        ("callback_ask", &mut l.callback_ask, &[]),
        ("callback_thanks", &mut l.callback_thanks, &["phone"]),
        ("callback_none", &mut l.callback_none, &[]),
        ("agent_help", &mut l.agent_help, &[]),
        ("speech_down", &mut l.speech_down, &[]),
    ]
}
