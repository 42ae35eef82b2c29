//! Slots that stand on their own: e-mail, date, choice, yes or no, free text, spelled words, numbers by pattern. How each is
//! heard, also unasked; how it is checked against the record, confirmed and typed.

use super::listen::{Gained, Heard};
use super::{Focus, Intake};
use crate::api::Reply;
use crate::flow::Slot;
use crate::form::Source;
use crate::raw::{Confirm, SlotKind};
use crate::understand::dates;
use crate::understand::{codes, lexicon, money, value};

impl Intake {
    pub(super) fn take_fields(&mut self, heard: &Heard, gained: &mut Gained) {
        let flow = self.flow.clone();
        if let Focus::Confirm { slot, .. } = self.focus.clone()
            && flow.slot(&slot).is_some_and(|s| s.kind != SlotKind::Number)
        {
            self.confirm_answered(&slot, heard, gained);
        }
        if let Focus::Slot(name) = self.focus.clone()
            && let Some(slot) = flow.slot(&name).filter(|s| s.kind.is_plain())
            && let Some(value) = self.asked_value(slot, heard)
        {
            self.set_field(slot, value, Source::Speech, gained);
        }
        self.take_volunteered(heard, gained);
    }

    /// Values of slots that nobody asked for.
    pub(super) fn take_volunteered(&mut self, heard: &Heard, gained: &mut Gained) {
        let flow = self.flow.clone();
        let focus = self.focus.clone();
        let unasked = |s: &&Slot| s.kind.is_plain() && focus != Focus::Slot(s.name.clone());
        for slot in flow.slots.iter().filter(unasked) {
            if let Some(value) = self.volunteered(slot, heard) {
                self.set_field(slot, value, Source::Speech, gained);
            }
        }
    }

    /// The answer to a slot's own question. A code may come in pieces over two turns.
    fn asked_value(&mut self, slot: &Slot, heard: &Heard) -> Option<String> {
        let evades = lexicon::does_not_have(&heard.words) || lexicon::wants_time(&heard.words);
        if evades && slot.kind != SlotKind::YesNo {
            return None;
        }
        if slot.kind != SlotKind::Code {
            return value::read(slot, &heard.text, self.today);
        }
        let joined = format!("{} {}", self.partial, heard.text);
        let found = value::read(slot, &heard.text, None).or_else(|| value::read(slot, &joined, None));
        self.partial.clear();
        if found.is_none() {
            let words = crate::understand::words::words(&joined);
            let most = slot.patterns.iter().map(codes::Pattern::digit_count).max().unwrap_or(0);
            let digits = crate::understand::numbers::all_digits(&words).len();
            if (1..most).contains(&digits) {
                self.partial = joined.trim().to_owned();
            }
        }
        found
    }

    /// What was said for a slot that was not asked for. Only what cannot be meant otherwise.
    fn volunteered(&self, slot: &Slot, heard: &Heard) -> Option<String> {
        let wanted = match self.topic.and_then(|t| self.flow.intents.get(t)) {
            Some(topic) => topic.needs.contains(&slot.name),
            None => self.flow.intents.iter().any(|i| i.needs.contains(&slot.name)),
        };
        let filled = self.form.text(&slot.name).is_some();
        if !wanted || (filled && !lexicon::corrects(&heard.words)) {
            return None;
        }
        match slot.kind {
            SlotKind::Email => value::read(slot, &heard.text, None),
            SlotKind::Code => {
                let runs = codes::runs(&heard.words, false);
                let exact = runs.iter().flat_map(|r| r.codes(&slot.patterns, false));
                exact.filter(|c| c.surety == codes::Surety::Exact).map(|c| c.value).next()
            }
            SlotKind::Choice if self.topic.is_some() => value::choice(slot, &heard.text),
            SlotKind::YesNo if self.topic.is_some() => value::yes_or_no(slot, &heard.text),
            SlotKind::Date => self.volunteered_date(slot, heard),
            _ => None,
        }
    }

    /// A day that fits the slot's side of today. A birthday is one only with its year.
    fn volunteered_date(&self, slot: &Slot, heard: &Heard) -> Option<String> {
        let today = self.today?;
        let past = value::around(slot) == dates::Around::Past;
        let birth = slot.label.contains("birth");
        let asked_other =
            matches!(&self.focus, Focus::Slot(s) if self.flow.slot(s).is_some_and(|s| s.kind == SlotKind::Date));
        if asked_other {
            return None;
        }
        let all = dates::all(&heard.words, Some(today), value::around(slot));
        let fits = |d: &&dates::Found| {
            if birth {
                d.day < today && d.has_year
            } else if past {
                d.day <= today && d.day.year >= today.year - 2
            } else {
                d.day >= today
            }
        };
        // A year-less "the third" in a flow that also asks for days to come is one of those.
        let clear = |d: &&dates::Found| {
            !past
                || birth
                || d.has_year
                || !self
                    .flow
                    .slots
                    .iter()
                    .any(|s| s.kind == SlotKind::Date && value::around(s) == dates::Around::Future)
        };
        all.iter().filter(fits).find(clear).map(|d| d.day.iso())
    }

    fn confirm_answered(&mut self, name: &str, heard: &Heard, gained: &mut Gained) {
        let flow = self.flow.clone();
        let Some(slot) = flow.slot(name) else { return };
        let answer = lexicon::answer(&heard.words);
        let other = (slot.kind != SlotKind::YesNo && slot.kind != SlotKind::Text)
            .then(|| value::read(slot, &heard.text, self.today))
            .flatten()
            .filter(|v| self.form.text(name) != Some(v) && (answer != Some(true) || heard.words.len() > 3));
        if let Some(value) = other.filter(|_| slot.kind.is_plain()) {
            self.set_field(slot, value, Source::Speech, gained);
            return;
        }
        match answer {
            Some(true) => self.form.confirm(name),
            Some(false) => {
                self.renew.insert(name.to_owned());
            }
            None => return,
        }
        gained.any = true;
        self.to_confirm.retain(|s| s != name);
    }

    pub(super) fn set_field(&mut self, slot: &Slot, value: String, source: Source, gained: &mut Gained) {
        gained.any = true;
        let typed = source == Source::Dtmf;
        self.renew.remove(&slot.name);
        self.to_confirm.retain(|s| *s != slot.name);
        if let Some(on_record) = self.on_record(slot) {
            let same = same_value(&on_record, &value);
            self.form.set(&slot.name, value, source, same);
            if !same {
                self.mismatched.insert(slot.name.clone());
                self.identified = false;
                self.renew.insert(slot.name.clone());
                gained.say.push(self.fill(&self.flow.say.mismatch, &[("label", Some(&slot.label))]));
            } else {
                self.mismatched.remove(&slot.name);
                if self.identity_agreed {
                    self.identified = true;
                }
            }
            return;
        }
        self.form.set(&slot.name, value.clone(), source, typed);
        match slot.confirm {
            Confirm::Explicit if !typed => self.to_confirm.push(slot.name.clone()),
            Confirm::Implicit => {
                let value = self.say_value(slot, &value);
                let line =
                    self.fill(&self.flow.say.got_value, &[("label", Some(&slot.label)), ("value", Some(&value))]);
                gained.say.push(capital(&line));
            }
            _ => {}
        }
    }

    /// What the CRM has for a slot that must match it.
    fn on_record(&self, slot: &Slot) -> Option<String> {
        let attribute = slot.must_match.as_ref()?;
        self.contact()?.attributes.get(attribute).cloned()
    }

    /// A value as it is read to somebody.
    pub(super) fn say_value(&self, slot: &Slot, value: &str) -> String {
        match slot.kind {
            SlotKind::Date => dates::spoken(value, self.today).unwrap_or_else(|| value.to_owned()),
            SlotKind::Email => value.replace('.', " dot ").replace('@', " at ").replace('_', " underscore "),
            SlotKind::Spelled => value.chars().map(String::from).collect::<Vec<_>>().join(" "),
            _ => value.to_owned(),
        }
    }

    /// A slot's value as the caller hears it.
    pub(super) fn told_back(&self, name: &str) -> Option<String> {
        let value = self.form.text(name)?;
        Some(self.flow.slot(name).map_or_else(|| value.to_owned(), |slot| self.say_value(slot, value)))
    }

    /// The question whether a value was heard right, if one waits for it.
    pub(super) fn read_field_back(&mut self, say: &mut Vec<String>) -> Option<Reply> {
        let flow = self.flow.clone();
        let name = self.to_confirm.first().cloned()?;
        let slot = flow.slot(&name)?;
        let value = self.say_value(slot, self.form.text(&name)?);
        say.push(self.fill(&flow.say.confirm_value, &[("label", Some(&slot.label)), ("value", Some(&value))]));
        self.focus = Focus::Confirm { slot: name, misses: 0 };
        Some(self.listen_after(std::mem::take(say)))
    }

    /// A slot whose confirmation the flow demands, though its kind is taken as heard by itself.
    pub(super) fn confirm_if_wanted(&mut self, name: &str) {
        let explicit = self.flow.slot(name).is_some_and(|s| s.confirm == Confirm::Explicit);
        let open = self.form.slots().get(name).is_some_and(|v| !v.confirmed);
        if explicit && open && !self.to_confirm.iter().any(|s| s == name) {
            self.to_confirm.push(name.to_owned());
        }
    }

    /// Whether keys mean something for the slot that is asked for.
    pub(super) fn types_field(&self) -> Option<SlotKind> {
        let Focus::Slot(name) = &self.focus else { return None };
        let kind = self.flow.slot(name)?.kind;
        matches!(kind, SlotKind::Date | SlotKind::Choice | SlotKind::YesNo | SlotKind::Code | SlotKind::Money)
            .then_some(kind)
    }

    /// How many keys make the asked slot's value; then nobody needs to press `#`.
    pub(super) fn field_length(&self) -> Option<usize> {
        let Focus::Slot(name) = &self.focus else { return None };
        let slot = self.flow.slot(name)?;
        match slot.kind {
            SlotKind::Date => Some(8),
            SlotKind::Choice | SlotKind::YesNo => Some(1),
            SlotKind::Code => slot.patterns.iter().map(codes::Pattern::digit_count).max(),
            _ => None,
        }
    }

    /// Keys for the slot that is asked for.
    pub(super) fn field_typed(&mut self, keys: &str) -> Reply {
        let flow = self.flow.clone();
        let Focus::Slot(name) = self.focus.clone() else { return self.step(Vec::new()) };
        let nothing = Heard { text: String::new(), words: Vec::new(), confidence: 0.0, vector: None };
        let Some(slot) = flow.slot(&name) else { return self.missed(&nothing) };
        let found = match slot.kind {
            SlotKind::Date => dates::typed(keys, self.today, value::around(slot)).map(dates::Day::iso),
            SlotKind::Choice => keys.chars().next().and_then(|k| slot.keys.get(&k)).cloned(),
            SlotKind::YesNo => match keys {
                "1" => Some("yes".to_owned()),
                "2" => Some("no".to_owned()),
                _ => None,
            },
            SlotKind::Code => value::read(slot, keys, None),
            SlotKind::Money => keys.parse::<u64>().ok().and_then(|d| d.checked_mul(100)).map(money::written),
            _ => None,
        };
        let Some(found) = found else { return self.missed(&nothing) };
        let mut gained = Gained::default();
        self.unmatched = 0;
        self.set_field(slot, found, Source::Dtmf, &mut gained);
        self.step(gained.say)
    }
}

fn same_value(a: &str, b: &str) -> bool {
    let plain = |s: &str| s.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    plain(a) == plain(b)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}
