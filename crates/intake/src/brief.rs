//! What a person is told: the spoken briefing and the written summary, from the same facts. Neither names anything that
//! was not collected, looked up or tried.

use crate::api::{Attempt, Briefing, BriefingNotes, ContactView, OrderView, TriggerName};
use crate::flow::{Flow, Intent};
use crate::form::{Form, Skipped};
use crate::raw::{Confirm, SlotKind};
use crate::understand::dates::{self, Day};

/// About 20 seconds at the pace of a telephone voice.
const WORDS: usize = 52;
/// Of the caller's own words, so that one long sentence does not push out the rest.
const QUOTED: usize = 16;
const LATE: &str = "The record is not yet in the CRM.";

/// Everything a briefing may draw on.
pub struct Facts<'a> {
    pub flow: &'a Flow,
    pub form: &'a Form,
    pub attempts: &'a [Attempt],
    pub contact: Option<&'a ContactView>,
    pub identified: bool,
    pub caller: Option<&'a str>,
    pub topic: Option<&'a Intent>,
    pub order: Option<&'a OrderView>,
    pub today: Option<Day>,
    /// How the caller sounded, in words.
    pub mood: Vec<String>,
    /// The call in a language model's words.
    pub in_short: Option<&'a str>,
}

/// The spoken briefing.
pub fn briefing(facts: &Facts<'_>, trigger: TriggerName, notes: &BriefingNotes) -> Briefing {
    let compiled = facts.flow.triggers.get(&trigger);
    let (name, text) = match compiled {
        Some(t) => (t.briefing.clone(), t.template.render(&|slot| facts.spoken(slot, trigger))),
        // A trigger that this flow does not define can still be raised from outside.
        None => (trigger.as_str().to_owned(), format!("{}. {}", facts.who(), why(facts, trigger))),
    };
    let budget = WORDS - if notes.record_late { LATE.split(' ').count() } else { 0 };
    let mut text = within(&text, budget);
    if notes.record_late {
        text.push(' ');
        text.push_str(LATE);
    }
    Briefing { template: name, text }
}

/// The written summary.
pub fn summary(facts: &Facts<'_>, trigger: Option<TriggerName>) -> String {
    let form = facts.form;
    let mut out = vec![facts.who() + "."];
    let slot = |kind| facts.flow.slot_of(kind).and_then(|s| form.slots().get(&s.name));
    if let Some(topic) = form.text("topic") {
        out.push(format!("About {topic}."));
    }
    if let Some(reason) = slot(SlotKind::Reason) {
        out.push(format!("In the caller's words: \"{}\".", reason.value));
    }
    if let Some(number) = slot(SlotKind::Number) {
        let sure = if number.confirmed { "" } else { " (not confirmed)" };
        let item = facts.order.filter(|o| o.number == number.value && !o.item.is_empty());
        let item = item.map(|o| format!(", {}", o.item)).unwrap_or_default();
        out.push(format!("Order {}{item}{sure}.", number.value));
    }
    if let Some(amount) = slot(SlotKind::Money) {
        out.push(format!("Amount {}.", amount.value));
    }
    for slot in facts.flow.slots.iter().filter(|s| s.kind.is_plain()) {
        if let Some(value) = form.slots().get(&slot.name) {
            let doubted = slot.confirm == Confirm::Explicit && !value.confirmed;
            let sure = if doubted { " (not confirmed)" } else { "" };
            out.push(format!("{}: {}{sure}.", capital(&slot.label), value.value));
        }
    }
    if let Some(phone) = slot(SlotKind::Phone) {
        out.push(format!("Call back on {}.", phone.value));
    }
    let tried: Vec<String> = facts.attempts.iter().map(|a| format!("{}: {}", a.action, a.outcome)).collect();
    out.push(if tried.is_empty() { "Nothing was tried.".into() } else { format!("Tried: {}.", tried.join(" / ")) });
    if let Some(missing) = facts.not_given() {
        out.push(format!("Not given: {missing}."));
    }
    if !facts.mood.is_empty() {
        out.push(format!("Mood: {}.", facts.mood.join(", ")));
    }
    if let Some(trigger) = trigger {
        out.push(format!("To a person: {}", why(facts, trigger)));
    }
    if let Some(short) = facts.in_short {
        out.push(format!("In short: {short}"));
    }
    out.join(" ")
}

impl Facts<'_> {
    fn spoken(&self, slot: &str, trigger: TriggerName) -> Option<String> {
        match slot {
            "who" => Some(self.who()),
            "why" => Some(why(self, trigger)),
            "tried" => self.tried(),
            "missing" => self.missing(),
            "caller_number" => self.caller.map(str::to_owned),
            "mood" => (!self.mood.is_empty()).then(|| self.mood.join(", ")),
            _ => {
                let value = self.form.slots().get(slot)?;
                let kind = self.flow.slot(slot).map(|s| s.kind);
                Some(match kind {
                    Some(SlotKind::Reason) => first_words(&value.value, QUOTED),
                    Some(SlotKind::Date) => {
                        dates::spoken(&value.value, self.today).unwrap_or_else(|| value.value.clone())
                    }
                    Some(SlotKind::Text) => first_words(&value.value, QUOTED),
                    Some(SlotKind::Number | SlotKind::Code) if !value.confirmed => {
                        format!("{}, as heard and not confirmed", value.value)
                    }
                    _ => value.value.clone(),
                })
            }
        }
    }

    /// Who is calling, and whether that is the account holder.
    fn who(&self) -> String {
        let name = self.flow.slot_of(SlotKind::PersonName).and_then(|s| self.form.text(&s.name));
        let holder = self.flow.slot_of(SlotKind::AccountHolder).and_then(|s| self.form.text(&s.name));
        let other = self.form.text("holder_name");
        let relation = self.form.text("relation");
        let mut out = match name {
            Some(name) => name.to_owned(),
            None => "A caller who gave no name".to_owned(),
        };
        if name.is_none()
            && let Some(contact) = self.contact.filter(|c| c.matched_by == "caller_id")
        {
            out.push_str(&format!(", from the number of {}", contact.name));
        }
        match (holder, other, relation) {
            (Some("yes"), ..) if self.identified => out.push_str(", the account holder"),
            (Some("yes"), ..) => out.push_str(", says to be the account holder"),
            (Some("no"), Some(other), Some(relation)) => {
                out.push_str(&format!(", not the account holder, calling for {other}, the caller's {relation}"));
            }
            (Some("no"), Some(other), None) => out.push_str(&format!(", not the account holder, calling for {other}")),
            (Some("no"), None, Some(relation)) => {
                out.push_str(&format!(", not the account holder, calling for the caller's {relation}"));
            }
            (Some("no"), None, None) => out.push_str(", not the account holder"),
            _ => out.push_str(", not confirmed as the account holder"),
        }
        out
    }

    fn tried(&self) -> Option<String> {
        let last = self.attempts.last()?;
        let more = match self.attempts.len() {
            1 => String::new(),
            n => format!("{n} attempts, last "),
        };
        Some(format!("{more}{}", last.outcome.replace("; not solved", ", not solved")))
    }

    /// What was asked for in vain.
    fn missing(&self) -> Option<String> {
        let labels: Vec<&str> = self.form.skipped().keys().map(|s| self.label(s)).collect();
        (!labels.is_empty()).then(|| labels.join(", "))
    }

    fn not_given(&self) -> Option<String> {
        let why = |s: &Skipped| match s {
            Skipped::NotHad => "does not have it",
            Skipped::NotHeard => "not understood",
        };
        let all: Vec<String> =
            self.form.skipped().iter().map(|(slot, s)| format!("{} ({})", self.label(slot), why(s))).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    fn label<'s>(&'s self, slot: &'s str) -> &'s str {
        match slot {
            "holder_name" => "account holder's name",
            _ => self.flow.slot(slot).map_or(slot, |s| s.label.as_str()),
        }
    }
}

fn why(facts: &Facts<'_>, trigger: TriggerName) -> String {
    let over = || facts.flow.triggers.get(&trigger).and_then(|t| t.over.as_ref());
    match trigger {
        TriggerName::AskedForPerson => "Asked for a person.".into(),
        TriggerName::OutOfScope if facts.topic.is_some_and(|t| matches!(t.does, crate::flow::Does::OrderStatus)) => {
            "The assistant could not look it up.".into()
        }
        TriggerName::OutOfScope => "The assistant cannot handle this.".into(),
        TriggerName::TwoFailedAttempts => match facts.flow.triggers.get(&trigger).and_then(|t| t.after) {
            None | Some(2) => "Two attempts did not solve it.".into(),
            Some(1) => "One attempt did not solve it.".into(),
            Some(n) => format!("{n} attempts did not solve it."),
        },
        TriggerName::AmountOverLimit => match over() {
            Some((_, cents)) => {
                format!("The amount is over the limit of {}.", crate::understand::money::written(*cents))
            }
            None => "The amount is over the limit.".into(),
        },
        TriggerName::Frustration => "The caller is upset.".into(),
        TriggerName::Distress => "The caller may be in danger or distress.".into(),
        TriggerName::ThirdParty => "Needs a person because the caller is not the account holder.".into(),
        TriggerName::NoInput => "The assistant could not understand the caller.".into(),
        TriggerName::SystemFault => "A system on our side failed.".into(),
        TriggerName::Complexity => "A case of this sort is for a person.".into(),
        TriggerName::Vip => "The customer's record asks for a person.".into(),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

/// At most `n` words: whole sentences if half of that can be had so, else cut.
fn first_words(text: &str, n: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let fits = &words[..words.len().min(n)];
    let whole = fits.iter().rposition(|w| w.ends_with(['.', '?', '!'])).map_or(0, |i| i + 1);
    let cut = if words.len() > n && whole * 2 >= n { &fits[..whole] } else { fits };
    cut.join(" ").trim_end_matches([',', ';', ':', '.']).to_owned()
}

/// Whole sentences from the front, as many as fit; the first always, cut if it must be.
fn within(text: &str, budget: usize) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut used = 0;
    for sentence in split_sentences(text) {
        let n = sentence.split_whitespace().count();
        if used + n > budget {
            if used == 0 {
                out.push(first_words(&sentence, budget) + ".");
            }
            break;
        }
        used += n;
        out.push(sentence);
    }
    out.join(" ")
}

fn split_sentences(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut current = String::new();
    for word in text.split_whitespace() {
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
        if word.ends_with(['.', '?', '!']) {
            out.push(std::mem::take(&mut current));
        }
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}
