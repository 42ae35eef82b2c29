//! When a person is called: triggers, their conditions and what their briefings name.

use std::collections::{BTreeMap, BTreeSet};

use super::{Compiler, FACTS, NEEDED};
use crate::api::TriggerName;
use crate::flow::{Slot, Trigger};
use crate::raw::{self, Missing, SlotKind};
use crate::when::{Kind, When};

/// Everything that a condition may name, and what it is.
pub(super) fn kinds(slots: &[Slot], intents: &[raw::Intent]) -> BTreeMap<String, Kind> {
    let yes_no = || Kind::OneOf(vec!["yes".into(), "no".into()]);
    let mut out: BTreeMap<String, Kind> = BTreeMap::new();
    for slot in slots {
        let kind = match slot.kind {
            SlotKind::Money => Kind::Number,
            SlotKind::YesNo | SlotKind::AccountHolder => yes_no(),
            SlotKind::Choice => Kind::OneOf(slot.options.iter().map(|o| o.0.clone()).collect()),
            _ => Kind::Text,
        };
        out.insert(slot.name.clone(), kind);
    }
    out.insert("topic".into(), Kind::OneOf(intents.iter().map(|i| i.name.clone()).collect()));
    out.insert("identified".into(), yes_no());
    out.insert("authorised".into(), yes_no());
    out.insert("failed".into(), Kind::Number);
    out.insert("frustration".into(), Kind::Number);
    out.insert("contact".into(), Kind::Text);
    out
}

impl Compiler<'_> {
    /// What can be checked of triggers without a flow.
    pub(super) fn triggers(&mut self, raw: &raw::Flows) {
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
            if trigger.priority.is_some_and(|p| p > 9) {
                self.fault(
                    &at("priority"),
                    format!("trigger `{name}` has priority {}", trigger.priority.unwrap_or(0)),
                    "give 0 to 9, the most urgent highest",
                );
            }
            if name == "distress" && (trigger.missing == Missing::Ask && !trigger.requires.is_empty()) {
                self.fault(
                    &at("requires"),
                    "trigger `distress` would wait for answers",
                    "remove `requires`, or set missing = \"skip\": distress never waits",
                );
            }
            self.condition(&index, trigger);
        }
    }

    fn condition(&mut self, index: &str, trigger: &raw::Trigger) {
        let at = |key| ["trigger", index, "condition", key];
        let (name, c) = (trigger.name.as_str(), &trigger.condition);
        let by_phrase = matches!(name, "asked_for_person" | "distress");
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
        if name != "distress" && !c.examples.is_empty() {
            self.fault(
                &at("examples"),
                format!("trigger `{name}` does not fire on examples"),
                "remove `examples`; distress has them",
            );
        }
        let by_amount = name == "amount_over_limit";
        let has_limit = c.slot.is_some() && c.over.is_some_and(|o| o > 0.0 && o < 1e9);
        if by_amount && !has_limit && (c.when.is_none() || c.slot.is_some() || c.over.is_some()) {
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
        let by_rule = matches!(name, "complexity" | "vip");
        if by_rule && c.when.is_none() {
            self.fault(
                &at("when"),
                format!("trigger `{name}` has no condition"),
                "add condition = { when = \"contact.tier = 'vip'\" }",
            );
        }
        let may_when = by_rule || by_amount || matches!(name, "distress" | "third_party");
        if !may_when && c.when.is_some() {
            self.fault(
                &at("when"),
                format!("trigger `{name}` does not fire on a condition"),
                "remove `when`; use the triggers complexity or vip for a rule of your own",
            );
        }
        let counted = matches!(name, "two_failed_attempts" | "no_input");
        if c.after.is_some_and(|n| !counted || !(1..=9).contains(&n)) {
            self.fault(
                &at("after"),
                format!("trigger `{name}` cannot fire after {} times", c.after.unwrap_or(0)),
                "`after` is for two_failed_attempts and no_input, from 1 to 9",
            );
        }
    }

    fn when(
        &mut self,
        index: &str,
        flow: &str,
        trigger: &raw::Trigger,
        kinds: &BTreeMap<String, Kind>,
    ) -> Option<When> {
        let text = trigger.condition.when.as_deref()?;
        match When::parse(text, kinds) {
            Ok(when) => Some(when),
            Err(e) => {
                self.fault(
                    &["trigger", index, "condition", "when"],
                    format!("condition of trigger `{}` in flow `{flow}`: {e}", trigger.name),
                    "write slot names, `topic`, `contact.NAME`, numbers and 'words', with = != < > and or not",
                );
                None
            }
        }
    }

    pub(super) fn flow_triggers(
        &mut self,
        flow: &str,
        raw: &[raw::Trigger],
        known: &BTreeSet<String>,
        slots: &[Slot],
        kinds: &BTreeMap<String, Kind>,
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
            let when = self.when(&index, flow, trigger, kinds);
            let compiled = Trigger {
                phrases: self.phrases(&["trigger", &index, "condition", "phrases"], &trigger.condition.phrases),
                examples: trigger.condition.examples.clone(),
                over: over.map(|(slot, dollars)| (slot, (dollars * 100.0).round() as u64)),
                disposition: trigger.disposition.clone().unwrap_or_default(),
                briefing,
                template,
                queue: trigger.queue.clone().unwrap_or_default(),
                requires: trigger.requires.clone(),
                say: trigger.say.clone(),
                when,
                after: trigger.condition.after,
                priority: trigger.priority.unwrap_or(5),
                missing: trigger.missing,
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
}
