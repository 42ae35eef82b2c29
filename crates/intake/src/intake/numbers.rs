//! The order's number: found in what was said, by pattern and by the caller's own record, whole or over several turns, and
//! corrected.

use super::listen::{Gained, Heard, same_code};
use super::{Focus, Intake};
use crate::api::{OrderView, TriggerName};
use crate::form::Source;
use crate::raw::SlotKind;
use crate::understand::codes::{self, Code, Pattern, Surety};
use crate::understand::near::nearest;
use crate::understand::words::{Word, words};
use crate::understand::{lexicon, numbers};

/// A code, and whether it is on the caller's record.
struct Match {
    code: Code,
    on_record: bool,
}

impl Intake {
    pub(super) fn take_number(&mut self, heard: &Heard, gained: &mut Gained) {
        let Some(slot) = self.slot_name(SlotKind::Number) else { return };
        let confirms = matches!(&self.focus, Focus::Confirm { slot: s, .. } if *s == slot);
        if confirms
            && lexicon::answer(&heard.words) == Some(false)
            && let Some(guess) = self.guess.take()
        {
            self.not_meant.insert(guess);
        }
        let asked = self.asks_for(SlotKind::Number) || matches!(self.focus, Focus::Letter { .. } | Focus::Offer { .. });
        let confirming = matches!(&self.focus, Focus::Confirm { slot: s, .. } if *s == slot);
        let before = match &self.focus {
            Focus::Letter { digits } => Some(words(&format!("{} {digits}", heard.text))),
            _ if !self.partial.is_empty() => Some(words(&format!("{} {}", self.partial, heard.text))),
            _ => None,
        };
        let found = self.find_number(&heard.words, asked || confirming);
        let joined = before.and_then(|w| self.find_number(&w, true));
        let found = match (found, joined) {
            // The letter alone, or the rest of the number: only together they are one.
            (Some(f), Some(j)) if f.code.open_letters && !j.code.open_letters => Some(j),
            (Some(f), _) => Some(f),
            (None, joined) => joined,
        };
        if let Some(found) = found {
            self.partial.clear();
            self.set_number(&slot, found, heard, asked || confirming, gained);
            return;
        }
        let answer = lexicon::answer(&heard.words);
        if confirming && let Some(whole) = self.tail_corrected(&slot, heard) {
            self.set_number(&slot, whole, heard, true, gained);
            return;
        }
        if confirming && let Some(yes) = answer {
            gained.any = true;
            if yes {
                self.guess = None;
                self.form.confirm(&slot);
            } else {
                self.renew.insert(slot.clone());
            }
            return;
        }
        if let Focus::Offer { number } = &self.focus
            && let Some(yes) = answer
        {
            let number = number.clone();
            gained.any = true;
            if yes {
                self.form.set(&slot, number, Source::Crm, true);
                self.renew.remove(&slot);
            } else {
                self.not_meant.insert(number);
            }
            return;
        }
        let most = self.flow.slot(&slot).and_then(|s| s.patterns.iter().map(Pattern::digit_count).max()).unwrap_or(0);
        let digits = numbers::all_digits(&words(&format!("{} {}", self.partial, heard.text)));
        let letters_only = digits.is_empty() && asked && heard.words.len() <= 8 && {
            let spelled: usize = codes::runs(&heard.words, true).iter().map(|r| r.end - r.start).sum();
            spelled > 0 && spelled * 2 >= heard.words.len()
        };
        let other = lexicon::wants_time(&heard.words) || lexicon::does_not_have(&heard.words) || answer == Some(false);
        if asked && ((2..most).contains(&digits.len()) || letters_only) && !other {
            self.partial = format!("{} {}", self.partial, heard.text).trim().to_owned();
            gained.partial = true;
            gained.any = true;
        } else {
            self.partial.clear();
        }
    }

    fn set_number(&mut self, slot: &str, found: Match, heard: &Heard, asked: bool, gained: &mut Gained) {
        let Match { code, on_record } = found;
        let known = self.form.slots().get(slot).cloned();
        let replace = match &known {
            None => true,
            Some(k) if k.value == code.value => {
                gained.any = true;
                if asked {
                    self.guess = None;
                    self.form.confirm(slot);
                }
                return;
            }
            Some(k) => asked || !k.confirmed || lexicon::corrects(&heard.words) || self.is_between_topics(),
        };
        if !replace {
            return;
        }
        gained.any = true;
        self.guess = (code.surety == Surety::Near).then(|| code.value.clone());
        if code.open_letters {
            // The caller may mean the letter they gave before: "no, one zero four three".
            let prefix: String = known.map(|k| k.value).unwrap_or_default();
            let prefix = prefix.trim_end_matches(|c: char| c.is_ascii_digit());
            if prefix.is_empty() {
                gained.letter = Some(code.value);
                return;
            }
            self.form.set(slot, format!("{prefix}{}", code.value), Source::Speech, false);
            gained.confirm = true;
        } else {
            let sure = code.surety == Surety::Exact && heard.confidence >= self.flow.confirm_below;
            self.form.set(slot, code.value.clone(), Source::Speech, on_record);
            // On the way to a person a clearly heard number is not read back.
            let brief = self.pending.as_ref().is_some_and(|p| p.trigger == TriggerName::AskedForPerson);
            gained.confirm = !(on_record || sure && brief);
        }
        self.renew.remove(slot);
        self.match_number();
        let now = self.form.slots().get(slot).cloned();
        if let Some(now) = now.filter(|n| n.confirmed) {
            gained.confirm = false;
            let item = self.item_of(&now.value);
            gained.say.push(self.fill(&self.flow.say.took, &[("number", Some(&now.value)), ("item", item.as_deref())]));
        }
    }

    /// What the order is, once that may be told.
    fn item_of(&self, number: &str) -> Option<String> {
        let contact = self.contact().filter(|_| self.may_be_told())?;
        contact.orders.iter().find(|o| same_code(&o.number, number)).map(|o| o.item.clone()).filter(|i| !i.is_empty())
    }

    /// A number that is on the caller's own record needs no confirmation, and is written as the record has it.
    pub(crate) fn match_number(&mut self) {
        let Some(slot) = self.slot_name(SlotKind::Number) else { return };
        let Some(value) = self.form.slots().get(&slot).cloned() else { return };
        if self.guess.as_ref() == Some(&value.value) {
            return;
        }
        let own = self.own_orders().find(|o| same_code(&o.number, &value.value)).map(|o| o.number.clone());
        if let Some(number) = own {
            self.form.set(&slot, number, value.source, true);
        }
    }

    pub(super) fn own_orders(&self) -> impl Iterator<Item = &OrderView> {
        self.contact().into_iter().flat_map(|c| &c.orders)
    }

    /// "SO-20351, is that right?" "No, nine one.": the last digits anew.
    fn tail_corrected(&self, slot: &str, heard: &Heard) -> Option<Match> {
        let digits = numbers::all_digits(&heard.words);
        let value = self.form.text(slot)?;
        let keep = value.len().checked_sub(digits.len())?;
        let replaced = value.get(keep..)?;
        let fits = digits.len() >= 2 && replaced.bytes().all(|b| b.is_ascii_digit()) && replaced != digits;
        let value = fits.then(|| value.get(..keep).map(|head| format!("{head}{digits}"))).flatten()?;
        let on_record = self.own_orders().any(|o| same_code(&o.number, &value));
        let code = Code { value, surety: Surety::Exact, open_letters: false, start: 0, end: heard.words.len() };
        Some(Match { code, on_record })
    }

    fn find_number(&self, words: &[Word], asked: bool) -> Option<Match> {
        if let Some(point) = lexicon::correction_point(words)
            && let Some(found) = self.number_in(&words[point..], asked)
        {
            return Some(found);
        }
        self.number_in(words, asked)
    }

    fn number_in(&self, words: &[Word], asked: bool) -> Option<Match> {
        let slot = self.flow.slot_of(SlotKind::Number)?;
        let own: Vec<(Pattern, &str)> =
            self.own_orders().map(|o| (Pattern::of_code(&o.number), o.number.as_str())).collect();
        let own_patterns: Vec<Pattern> = own.iter().map(|o| o.0.clone()).collect();
        let mut best: Option<Match> = None;
        for run in codes::runs(words, false) {
            if let Some(code) =
                run.codes(&own_patterns, true).into_iter().find(|c| c.surety != Surety::Doubtful || asked)
            {
                // Digits alone that two orders share settle nothing.
                let digits = run.digits();
                let shared = own.iter().filter(|o| digits_of(o.1) == digits).count() > 1;
                if !(code.surety == Surety::DigitsOnly && shared) {
                    return Some(Match { code, on_record: true });
                }
            }
            let named = words[run.start.saturating_sub(5)..run.start]
                .iter()
                .any(|w| matches!(w.norm.as_str(), "order" | "number" | "reference" | "confirmation"));
            let phone_like = run.digits().len() >= 7;
            let near = self
                .near(&run)
                .filter(|_| asked || named || !run.letters().is_empty() || (4..7).contains(&run.digits().len()));
            for code in run.codes(&slot.patterns, (asked || named) && !phone_like) {
                if best.as_ref().is_none_or(|b| code.surety > b.code.surety) {
                    best = Some(Match { code, on_record: false });
                }
            }
            // A number of the caller's own is likelier than one that a pattern makes up.
            if let Some(value) = near
                && best.as_ref().is_none_or(|b| b.code.surety < Surety::Exact)
            {
                let code = Code { value, surety: Surety::Near, open_letters: false, start: run.start, end: run.end };
                return Some(Match { code, on_record: false });
            }
        }
        best
    }

    /// The caller's own order that a run may have been meant for.
    fn near(&self, run: &codes::Run) -> Option<String> {
        let own = self.own_orders().map(|o| o.number.as_str()).filter(|n| !self.not_meant.contains(*n));
        nearest(run, own).map(str::to_owned)
    }
}

fn digits_of(code: &str) -> String {
    code.chars().filter(char::is_ascii_digit).collect()
}
