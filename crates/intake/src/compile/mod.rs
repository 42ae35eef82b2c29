//! Raw config to flows: every reference checked, every phrase, pattern and template parsed, every fault collected with
//! its place and its remedy. Nothing that compiles can fail for its config in the middle of a call.

mod intents;
mod slots;
mod triggers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::api::TriggerName;
use crate::flow::{Dispositions, Flow, IdentityRules, Slot, TransferRules};
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
pub(crate) const FACTS: [&str; 6] = ["who", "tried", "missing", "why", "caller_number", "mood"];

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

    fn flow(&mut self, name: &str, raw: &raw::Flow, triggers: &[raw::Trigger]) -> Flow {
        let company = |text: &str| text.replace("{company}", raw.company.trim()).trim().to_owned();
        self.prompts(name, raw);
        let slots = self.slots(name, raw);
        let known = collected(&slots);
        let dispositions = self.dispositions(name, &raw.disposition);
        let say = self.lines(name, &raw.lines, &company);
        let kinds = triggers::kinds(&slots, &raw.intent);
        let triggers = self.flow_triggers(name, triggers, &known, &slots, &kinds);
        let intents = self.intents(name, raw, &known, &slots, &triggers, &dispositions);
        let patience = self.seconds(&["flow", name, "patience_s"], raw.patience_s, 2.0, 60.0);
        if !(0.0..=1.0).contains(&raw.confirm_below) {
            self.fault(
                &["flow", name, "confirm_below"],
                format!("`confirm_below` is {}", raw.confirm_below),
                "give a confidence from 0 to 1",
            );
        }
        if raw.language.trim().len() != 2 {
            self.fault(
                &["flow", name, "language"],
                format!("`{}` is no language", raw.language),
                "give a two-letter code (ISO 639-1), e.g. \"en\"",
            );
        }
        Flow {
            name: name.to_owned(),
            company: raw.company.trim().to_owned(),
            greeting: company(&raw.greeting),
            opening: company(&raw.opening),
            voice: raw.voice.trim().to_owned(),
            language: raw.language.trim().to_lowercase(),
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
            identity: self.identity(name, &raw.identity),
            tone: self.tone(name, &raw.tone),
            meaning: self.meaning(name, &raw.meaning),
            learnt: std::sync::OnceLock::new(),
        }
    }

    fn identity(&mut self, flow: &str, raw: &raw::Identity) -> IdentityRules {
        for unknown in raw.reveal.iter().filter(|r| !["name", "status"].contains(&r.as_str())) {
            self.fault(
                &["flow", flow, "identity", "reveal"],
                format!("`{unknown}` cannot be revealed before identity is confirmed"),
                "use \"name\", \"status\", both or none",
            );
        }
        let reveals = |what: &str| raw.reveal.iter().any(|r| r == what);
        IdentityRules { reveal_name: reveals("name"), reveal_status: reveals("status"), third_party: raw.third_party }
    }

    fn tone(&mut self, flow: &str, raw: &raw::Tone) -> raw::Tone {
        let rising = 0.0 < raw.soften && raw.soften < raw.offer && raw.offer < raw.transfer && raw.transfer <= 1.0;
        if !rising {
            self.fault(
                &["flow", flow, "tone"],
                format!("tone levels {}, {}, {} do not rise", raw.soften, raw.offer, raw.transfer),
                "give 0 < soften < offer < transfer <= 1",
            );
        }
        raw.clone()
    }

    fn meaning(&mut self, flow: &str, raw: &raw::Meaning) -> raw::Meaning {
        let fits = (0.0..=1.0).contains(&raw.threshold) && (0.0..=1.0).contains(&raw.margin);
        if !fits || raw.ask > raw.threshold || raw.ask < 0.0 || !(0.4..=1.0).contains(&raw.urgent) {
            self.fault(
                &["flow", flow, "meaning"],
                format!("similarities threshold {}, margin {}, ask {} cannot be", raw.threshold, raw.margin, raw.ask),
                "give 0 <= ask <= threshold <= 1, and a small margin such as 0.05",
            );
        }
        raw.clone()
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
            SlotKind::AccountHolder => out.extend(["holder_name", "relation", "authorised"].map(str::to_owned)),
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
    const VALUE: &[&str] = &["label", "value"];
    vec![
        ("identity", &mut l.identity, &["contact"]),
        ("identity_no", &mut l.identity_no, &[]),
        ("holder_name", &mut l.holder_name, &[]),
        ("machine", &mut l.machine, &[]),
        ("confirm", &mut l.confirm, NUMBER),
        ("confirm_value", &mut l.confirm_value, VALUE),
        ("got_value", &mut l.got_value, VALUE),
        ("mismatch", &mut l.mismatch, &["label"]),
        ("is_it_about", &mut l.is_it_about, &["topic"]),
        ("soften", &mut l.soften, &[]),
        ("offer_person", &mut l.offer_person, &[]),
        ("record_is", &mut l.record_is, &["what", "number", "status", "when"]),
        ("no_record", &mut l.no_record, &["what"]),
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
        ("use_keys", &mut l.use_keys, &[]),
    ]
}
