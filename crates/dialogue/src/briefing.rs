//! What the agent hears and what the CRM keeps: the same facts, once spoken, once written. Only what was collected is ever
//! named, and a spoken briefing stays within twenty seconds, most important first.

use serde::Serialize;

use crate::compile::names;
use crate::flow::TriggerName;
use crate::intake::Intake;
use crate::raw::SlotKind;

/// About twenty seconds of speech.
const BUDGET_WORDS: usize = 55;

/// The caller's own words are quoted up to this many.
const REASON_WORDS: usize = 16;

/// The words to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Briefing {
    /// The template it was made from.
    pub template: String,
    /// What is spoken.
    pub text: String,
}

/// What the call knows and the conversation does not.
#[derive(Debug, Clone, Copy, Default)]
pub struct BriefingNotes {
    /// The CRM has not acknowledged the case.
    pub record_late: bool,
}

impl Intake {
    /// The briefing for a trigger. There is one for each, even with nothing collected.
    pub fn briefing(&self, trigger: TriggerName, notes: &BriefingNotes) -> Briefing {
        let Some(rule) = self.flow().triggers.get(&trigger) else {
            return Briefing { template: String::new(), text: trigger.to_string() };
        };
        let mut parts: Vec<(bool, String)> = Vec::new();
        for (optional, part) in split(&rule.template) {
            match self.fill(&part, trigger) {
                Some(text) => parts.push((optional, text)),
                None if optional => {}
                // A part that is not optional is said without what is missing.
                None => parts.push((false, drop_names(&part))),
            }
        }
        while parts.iter().map(|(_, p)| p.split_whitespace().count()).sum::<usize>() > BUDGET_WORDS
            && let Some(last) = parts.iter().rposition(|(optional, _)| *optional)
        {
            parts.remove(last);
        }
        let mut text = parts.iter().map(|(_, p)| p.trim()).filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ");
        if notes.record_late {
            text.push_str(" The record is not in the system yet.");
        }
        Briefing { template: rule.briefing.clone(), text }
    }

    /// The written summary for the CRM.
    pub fn summary(&self, trigger: Option<TriggerName>) -> String {
        let mut out = Vec::new();
        let name = self.slot_text(SlotKind::Name).unwrap_or_else(|| "not given".into());
        let holder = match self.account_holder() {
            Some(true) => "account holder".to_owned(),
            Some(false) => match self.holder_name() {
                Some(holder) => format!("not the account holder, calling for {holder}"),
                None => "not the account holder".into(),
            },
            None => "identity not confirmed".into(),
        };
        out.push(format!("Caller: {name} ({holder})."));
        if let Some(reason) = self.slot_text(SlotKind::Reason) {
            out.push(format!("In the caller's words: \"{reason}\"."));
        }
        if let Some(intent) = self.intent_name() {
            out.push(format!("Category: {intent}."));
        }
        if let Some(order) = self.slot_text(SlotKind::Order) {
            let status = self.order_status().map(|s| format!(", status {s}")).unwrap_or_default();
            out.push(format!("Order: {order}{status}."));
        }
        if let Some(amount) = self.slot_text(SlotKind::Amount) {
            out.push(format!("Amount in question: {amount}."));
        }
        if let Some(phone) = self.slot_text(SlotKind::Phone) {
            out.push(format!("Call back on: {phone}."));
        }
        for attempt in self.attempts() {
            out.push(format!("Tried {}: {}.", attempt.action, attempt.outcome));
        }
        if let Some(rule) = trigger.and_then(|t| self.flow().triggers.get(&t)) {
            out.push(format!("Escalated: {}", rule.why));
        }
        out.join(" ")
    }

    fn fill(&self, part: &str, trigger: TriggerName) -> Option<String> {
        let mut out = part.to_owned();
        for name in names(part) {
            let value = self.fact(&name, trigger)?;
            out = out.replace(&format!("{{{name}}}"), &value);
        }
        Some(out)
    }

    fn fact(&self, name: &str, trigger: TriggerName) -> Option<String> {
        match name {
            "caller" => Some(self.slot_text(SlotKind::Name).unwrap_or_else(|| "A caller who gave no name".into())),
            "holder" => Some(match (self.account_holder(), self.holder_name()) {
                (Some(true), _) => "the account holder".into(),
                (Some(false), Some(holder)) => format!("not the account holder, calling for {holder}"),
                (Some(false), None) => "not the account holder".into(),
                (None, _) => "identity not confirmed".into(),
            }),
            "about" => self.slot_text(SlotKind::Reason).map(|reason| {
                let words: Vec<&str> = reason.split_whitespace().collect();
                let cut = words.len() > REASON_WORDS;
                let kept = words[..words.len().min(REASON_WORDS)].join(" ");
                kept.trim_end_matches(['.', ',', '!', '?', ';']).to_owned() + if cut { ", and more" } else { "" }
            }),
            "status" => self.order_status(),
            "tried" => self.attempts().last().map(|a| format!("{}: {}", a.action.replace('_', " "), a.outcome)),
            "why" => self.flow().triggers.get(&trigger).map(|t| t.why.clone()),
            slot => self.form().text(slot).map(str::to_owned),
        }
    }
}

/// The template's parts: text outside brackets is always said, text inside only when all its names have values.
fn split(template: &str) -> Vec<(bool, String)> {
    let mut out = Vec::new();
    for piece in template.split('[') {
        match piece.split_once(']') {
            Some((optional, fixed)) => {
                out.push((true, optional.to_owned()));
                out.push((false, fixed.to_owned()));
            }
            None => out.push((false, piece.to_owned())),
        }
    }
    out.retain(|(_, text)| !text.trim().is_empty());
    out
}

fn drop_names(part: &str) -> String {
    let mut out = part.to_owned();
    for name in names(part) {
        out = out.replace(&format!("{{{name}}}"), "");
    }
    out
}
