//! The triggers that look at what is known: who speaks for whom, amounts, conditions over slots and the CRM's record.

use super::Intake;
use crate::api::TriggerName;
use crate::form::Source;
use crate::raw::{SlotKind, ThirdPartyRule};
use crate::understand::{money, names};
use crate::when::Value;

impl Intake {
    /// Checks the triggers that look at the form. The gravest first.
    pub(super) fn fire(&mut self) {
        if self.pending.is_some() {
            return;
        }
        if self.when_holds(TriggerName::Distress) == Some(true) {
            return self.pend(TriggerName::Distress);
        }
        if self.third_party_stops() {
            return self.pend(TriggerName::ThirdParty);
        }
        let flow = self.flow.clone();
        let limit = flow.triggers.get(&TriggerName::AmountOverLimit).and_then(|t| t.over.as_ref());
        let over =
            limit.is_some_and(|(slot, limit)| self.form.text(slot).and_then(money::cents).is_some_and(|c| c > *limit));
        if over || self.when_holds(TriggerName::AmountOverLimit) == Some(true) {
            return self.pend(TriggerName::AmountOverLimit);
        }
        for rule in [TriggerName::Complexity, TriggerName::Vip] {
            if self.when_holds(rule) == Some(true) {
                return self.pend(rule);
            }
        }
    }

    /// Whether a trigger's condition holds; `None` when it has none.
    fn when_holds(&self, trigger: TriggerName) -> Option<bool> {
        let when = self.flow.triggers.get(&trigger)?.when.as_ref()?;
        Some(when.holds(&|name| self.known(name)))
    }

    fn third_party_stops(&mut self) -> bool {
        if self.account_holder() != Some(false) || !self.flow.triggers.contains_key(&TriggerName::ThirdParty) {
            return false;
        }
        if self.flow.identity.third_party == ThirdPartyRule::UnlessAuthorised {
            let name = self.slot_name(SlotKind::PersonName);
            let asked_in_vain = name.as_ref().is_some_and(|n| self.form.is_skipped(n));
            let listed = self.contact().is_some_and(|c| !c.authorised.is_empty());
            if listed && self.slot_value(SlotKind::PersonName).is_none() && !asked_in_vain {
                return false; // the name decides
            }
            if self.is_authorised() {
                self.form.set("authorised", "yes", Source::Crm, true);
                return false;
            }
            self.form.set("authorised", "no", Source::Crm, true);
        }
        self.when_holds(TriggerName::ThirdParty) != Some(false)
    }

    /// Whether the caller, who is not the account holder, may act for them: by full name, on the CRM's list.
    pub(super) fn is_authorised(&self) -> bool {
        if self.flow.identity.third_party != ThirdPartyRule::UnlessAuthorised {
            return false;
        }
        let Some(contact) = self.contact().filter(|c| self.is_for(c)) else { return false };
        let name = self.slot_value(SlotKind::PersonName).unwrap_or_default();
        contact.authorised.iter().any(|a| names::same_in_full(&name, a))
    }

    /// Whether the contact's orders and records may be told to the caller.
    pub(super) fn may_be_told(&self) -> bool {
        self.mismatched.is_empty() && (self.identified || self.is_authorised())
    }

    /// A name's value in a condition.
    fn known(&self, name: &str) -> Option<Value> {
        let text = |t: &str| Some(Value::Text(t.to_owned()));
        let yes_no = |b: bool| Some(Value::Text(if b { "yes" } else { "no" }.to_owned()));
        if let Some(attribute) = name.strip_prefix("contact.") {
            return self.contact()?.attributes.get(attribute).cloned().map(Value::Text);
        }
        match name {
            "topic" => self.topic.and_then(|t| self.flow.intents.get(t)).and_then(|i| text(&i.name)),
            "identified" => yes_no(self.identified),
            "authorised" => yes_no(self.is_authorised()),
            "failed" => Some(Value::Number(self.failed as f64)),
            "frustration" => Some(Value::Number(f64::from(self.frustration().0))),
            "contact" => self.contact().and_then(|c| text(&c.name)),
            slot => {
                let value = self.form.text(slot)?;
                match self.flow.slot(slot).map(|s| s.kind) {
                    Some(SlotKind::Money) => money::cents(value).map(|c| Value::Number(c as f64 / 100.0)),
                    _ => text(value),
                }
            }
        }
    }
}
