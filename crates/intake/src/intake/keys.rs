//! DTMF: `0` asks for a person, `1` and `2` are yes and no, digits fill numbers and `#` ends them, `*` starts over.

use std::time::Duration;

use super::listen::{Gained, Heard, same_code};
use super::{Focus, Intake};
use crate::api::{Next, Reply};
use crate::form::Source;
use crate::raw::SlotKind;
use crate::understand::codes;
use crate::understand::words::words;

/// Between two keys of a number.
const KEY_PATIENCE: Duration = Duration::from_secs(4);

impl Intake {
    pub(super) fn typed(&mut self, keys: &str) -> Reply {
        let yes_no = matches!(
            self.focus,
            Focus::Identity
                | Focus::Confirm { .. }
                | Focus::Offer { .. }
                | Focus::Helped
                | Focus::AnythingElse
                | Focus::CallbackOffer { .. }
                | Focus::Topic { .. }
                | Focus::PersonOffer
        ) || self.asks_for(SlotKind::AccountHolder);
        if self.keys.is_empty() && yes_no && matches!(keys, "1" | "2") {
            return self.heard(if keys == "1" { "yes" } else { "no" }, 1.0);
        }
        // Several keys at once were gathered until the caller paused: nothing more will come.
        let mut ended = keys.chars().count() > 1;
        for key in keys.chars() {
            match key {
                '*' => self.keys.clear(),
                '#' => ended = true,
                d if d.is_ascii_digit() => self.keys.push(d),
                _ => {}
            }
        }
        let number = self.takes_number();
        let phone =
            self.asks_for(SlotKind::Phone) || matches!(self.focus, Focus::Callback | Focus::CallbackOffer { .. });
        let field = self.types_field();
        let full = number && self.number_is_full()
            || phone && self.keys.len() >= 11
            || self.field_length().is_some_and(|n| field.is_some() && self.keys.len() >= n);
        let person = self.keys.chars().all(|k| k == '0') && !self.keys.is_empty();
        let many = field.is_some() && self.field_length() != Some(1);
        let may_begin_number = phone || many || (number && !matches!(self.focus, Focus::Open | Focus::StillOpen));
        if person && (ended || !may_begin_number) {
            self.keys.clear();
            return self.person_requested(Vec::new());
        }
        if !(ended || full) || self.keys.is_empty() {
            // Keys still come, one at a time; nothing is said over them.
            if !(number || phone || field.is_some()) {
                self.keys.clear();
            }
            return Reply { say: Vec::new(), interruptible: true, next: Next::Listen { patience: KEY_PATIENCE } };
        }
        let keys = std::mem::take(&mut self.keys);
        if phone {
            return self.phone_typed(&keys);
        }
        if field.is_some() {
            return self.field_typed(&keys);
        }
        self.number_typed(&keys)
    }

    /// Numbers can be typed whenever they are wanted, also while one is being confirmed.
    fn takes_number(&self) -> bool {
        let open = matches!(
            self.focus,
            Focus::Open | Focus::StillOpen | Focus::Letter { .. } | Focus::Confirm { .. } | Focus::Offer { .. }
        );
        self.asks_for(SlotKind::Number) || open && self.flow.slot_of(SlotKind::Number).is_some()
    }

    fn number_is_full(&self) -> bool {
        let own = self.own_orders().any(|o| o.number.chars().filter(char::is_ascii_digit).eq(self.keys.chars()));
        own || self.keys.len() >= self.longest_number()
    }

    /// Letters cannot be typed: the caller's record or the pattern supplies them, else the look-up does without.
    fn number_typed(&mut self, keys: &str) -> Reply {
        let Some(slot) = self.slot_name(SlotKind::Number) else { return self.step(Vec::new()) };
        let own = self.own_orders().find(|o| o.number.chars().filter(char::is_ascii_digit).eq(keys.chars()));
        let value = match own {
            Some(order) => Some(order.number.clone()),
            None => codes::runs(&words(keys), false)
                .iter()
                .flat_map(|r| r.codes(&self.flow.slot(&slot).map(|s| s.patterns.clone()).unwrap_or_default(), true))
                .map(|c| c.value)
                .next(),
        };
        let Some(value) = value else {
            return self.missed(&Heard { text: String::new(), words: Vec::new(), confidence: 0.0, vector: None });
        };
        // A caller who types what they said before confirms it.
        let said = self.form.text(&slot).is_some_and(|v| same_code(v, &value) || v.ends_with(&value));
        let value = if said { self.form.text(&slot).unwrap_or(&value).to_owned() } else { value };
        self.form.set(&slot, value, Source::Dtmf, true);
        self.renew.remove(&slot);
        self.match_number();
        self.unmatched = 0;
        let number = self.form.text(&slot).map(str::to_owned);
        let took = self.fill(&self.flow.say.took, &[("number", number.as_deref())]);
        self.step(vec![took])
    }

    fn phone_typed(&mut self, keys: &str) -> Reply {
        if !(7..=15).contains(&keys.len()) {
            return self.missed(&Heard { text: String::new(), words: Vec::new(), confidence: 0.0, vector: None });
        }
        let number = codes::phone_written(keys, false);
        if let Some(slot) = self.slot_name(SlotKind::Phone) {
            self.form.set(&slot, number.clone(), Source::Dtmf, true);
        }
        if matches!(self.focus, Focus::Callback | Focus::CallbackOffer { .. }) {
            return self.callback_taken(&number);
        }
        let heard = Heard { text: String::new(), words: Vec::new(), confidence: 1.0, vector: None };
        self.respond(&heard, Gained { any: true, ..Gained::default() })
    }
}
