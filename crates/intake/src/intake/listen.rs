//! What an utterance gives: names, numbers, amounts, topics, each put where it belongs in the form. Nothing is asked or
//! decided here.

use super::{Focus, Intake};
use crate::api::TriggerName;
use crate::form::Source;
use crate::meaning::Meant;
use crate::raw::SlotKind;
use crate::understand::codes::{self, Code, Pattern, Surety};
use crate::understand::money;
use crate::understand::names::{self, ThirdParty};
use crate::understand::near::nearest;
use crate::understand::phrase::best;
use crate::understand::words::{Word, words};
use crate::understand::{lexicon, numbers};

/// One utterance.
pub(super) struct Heard {
    pub text: String,
    pub words: Vec<Word>,
    pub confidence: f32,
    /// In the embedding model's terms, where there is one.
    pub vector: Option<Vec<f32>>,
}

/// What an utterance gave.
#[derive(Debug, Default)]
pub(super) struct Gained {
    /// Anything at all.
    pub any: bool,
    /// To be said before the next question.
    pub say: Vec<String>,
    /// A number that must be read back.
    pub confirm: bool,
    /// Digits whose letter is missing.
    pub letter: Option<String>,
    /// The beginning of a number.
    pub partial: bool,
    /// A topic, new or repeated.
    pub topic: bool,
    /// An intent that may be meant.
    pub perhaps: Option<usize>,
}

/// A code, and whether it is on the caller's record.
struct Match {
    code: Code,
    on_record: bool,
}

impl Intake {
    pub(super) fn take_all(&mut self, heard: &Heard) -> Gained {
        let mut gained = Gained::default();
        self.take_people(heard, &mut gained);
        self.take_number(heard, &mut gained);
        self.take_phone(heard, &mut gained);
        self.take_topic(heard, &mut gained);
        self.take_amount(heard, &mut gained);
        self.take_fields(heard, &mut gained);
        gained
    }

    fn take_people(&mut self, heard: &Heard, gained: &mut Gained) {
        let words = &heard.words;
        let answer = lexicon::answer(words);
        let asked_identity = self.focus == Focus::Identity;
        let asked_holder = self.asks_for(SlotKind::AccountHolder);
        let kin = || (asked_identity || asked_holder).then(|| names::kin_of_holder(words)).flatten();
        let third = names::third_party(words).or_else(kin);
        if let Some(third) = third {
            self.set_third_party(third, asked_identity);
            gained.any = true;
        } else if let Some(own) = lexicon::claims_account(words).or(answer.filter(|_| asked_holder)) {
            self.set_holder(own, Source::Speech);
            gained.any = true;
        }
        if self.account_holder() == Some(false)
            && let Some(name) = names::holder_named(words)
        {
            self.form.set("holder_name", name, Source::Speech, false);
            gained.any = true;
        }
        if self.focus == Focus::HolderName {
            if self.form.text("holder_name").is_none()
                && let Some(name) = names::answered(words)
            {
                self.form.set("holder_name", name, Source::Speech, false);
                gained.any = true;
            }
            return;
        }
        let asked_name = self.asks_for(SlotKind::PersonName);
        if answer.is_none()
            && words.len() <= 4
            && let (Some(known), Some(full)) = (self.slot_value(SlotKind::PersonName), names::answered(words))
            && names::first(&full).is_some_and(|f| f.eq_ignore_ascii_case(&known))
        {
            // The family name comes a turn after the given name.
            self.set_name(full);
            gained.any = true;
            return;
        }
        let name = if asked_name || (asked_identity && answer != Some(true)) {
            names::answered(words)
        } else {
            names::introduced(words)
        };
        // "No, Ellen is my client, I'm her carer": the name of whom they call for is not theirs.
        let others = self.account_holder() == Some(false) && asked_identity;
        let name = name.filter(|n| !(others && self.contact.as_ref().is_some_and(|c| names::same(n, &c.name))));
        if let Some(name) = name {
            let known = self.slot_value(SlotKind::PersonName);
            // "Yes, this is Dave Chang": who agrees to be the contact and gives half the name right is the contact.
            let agrees = asked_identity && answer == Some(true) && names::introduced(words).is_some();
            if agrees && self.contact.as_ref().is_some_and(|c| names::same_in_part(&name, &c.name)) {
                self.identify(Source::Speech);
                gained.any = true;
                return;
            }
            let named_anew = !self.identified && names::says_name(words);
            if named_anew || known.is_none() || asked_name || asked_identity || lexicon::corrects(words) {
                self.set_name(name);
                gained.any = true;
            }
        } else if asked_identity && self.account_holder() != Some(false) {
            self.identity_answered(answer, heard, gained);
        }
    }

    fn identity_answered(&mut self, answer: Option<bool>, heard: &Heard, gained: &mut Gained) {
        let Some(contact) = self.contact.clone() else { return };
        let says_name = names::answered(&heard.words).is_some_and(|n| names::same(&n, &contact.name));
        match answer {
            Some(true) => self.identify(Source::Crm),
            None if says_name => self.identify(Source::Speech),
            Some(false) => {
                self.stranger = true;
                self.identified = false;
            }
            None => return,
        }
        gained.any = true;
    }

    /// The caller is the contact.
    fn identify(&mut self, source: Source) {
        let Some(contact) = &self.contact else { return };
        self.identity_agreed = true;
        self.identified = self.mismatched.is_empty();
        self.stranger = false;
        let name = contact.name.clone();
        if let Some(slot) = self.slot_name(SlotKind::PersonName) {
            self.form.set(&slot, name, source, true);
        }
        self.set_holder(true, source);
    }

    fn set_name(&mut self, name: String) {
        let Some(slot) = self.slot_name(SlotKind::PersonName) else { return };
        if !self.match_name(&name) {
            self.form.set(&slot, name, Source::Speech, false);
        }
    }

    /// Compares a spoken name with the contact's. Agreement identifies the caller, unless they speak for someone else.
    pub(super) fn match_name(&mut self, name: &str) -> bool {
        let Some(contact) = &self.contact else { return false };
        let same = names::same(name, &contact.name);
        // Behind the number is a person; behind a name or an order found later must be the full name.
        let enough = contact.matched_by == "caller_id" || names::same_in_full(name, &contact.name);
        if !(same && enough) {
            self.stranger = !same;
            return false;
        }
        if self.account_holder() == Some(false) {
            self.stranger = false;
            let known = contact.name.clone();
            if let Some(slot) = self.slot_name(SlotKind::PersonName) {
                self.form.set(&slot, known, Source::Speech, true);
            }
            return true;
        }
        self.identify(Source::Speech);
        true
    }

    fn set_holder(&mut self, own: bool, source: Source) {
        if let Some(slot) = self.slot_name(SlotKind::AccountHolder) {
            self.form.set(&slot, if own { "yes" } else { "no" }, source, true);
        }
        if !own {
            self.identified = false;
        }
    }

    fn set_third_party(&mut self, third: ThirdParty, of_contact: bool) {
        self.set_holder(false, Source::Speech);
        if let Some(relation) = third.relation {
            self.form.set("relation", relation, Source::Speech, false);
        }
        if let Some(holder) = third.holder {
            self.form.set("holder_name", holder, Source::Speech, false);
        } else if of_contact && let Some(contact) = &self.contact {
            let name = contact.name.clone();
            self.form.set("holder_name", name, Source::Crm, true);
        }
        if of_contact {
            self.stranger = true;
        }
    }

    fn take_number(&mut self, heard: &Heard, gained: &mut Gained) {
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

    pub(super) fn own_orders(&self) -> impl Iterator<Item = &crate::api::OrderView> {
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

    fn take_phone(&mut self, heard: &Heard, gained: &mut Gained) {
        let Some(slot) = self.slot_name(SlotKind::Phone) else { return };
        if let Some(number) = codes::phone(&heard.words) {
            self.form.set(&slot, number, Source::Speech, false);
            self.confirm_if_wanted(&slot);
            gained.any = true;
        }
    }

    fn take_topic(&mut self, heard: &Heard, gained: &mut Gained) {
        let words = &heard.words;
        let score = |(i, intent): (usize, &crate::flow::Intent)| {
            best(&intent.phrases, words).map(|f| (f.score + intent.priority, std::cmp::Reverse(i), f))
        };
        let found = self.flow.intents.iter().enumerate().filter_map(score).max_by_key(|f| (f.0, f.1));
        let free = self.topic.is_none() || self.is_between_topics() || self.asks_for(SlotKind::Reason);
        if let Some((score, std::cmp::Reverse(i), _)) = found {
            let other = self.topic != Some(i);
            // Amid other questions a passing word does not change the topic.
            if other && (free || score >= 3) && !matches!(self.focus, Focus::Confirm { .. } | Focus::HolderName) {
                self.set_topic(i);
                self.note_reason(heard, true);
                gained.any = true;
                gained.topic = true;
            } else if !other {
                gained.topic = free || self.focus == Focus::Open;
                gained.any |= gained.topic;
            }
        }
        self.take_meaning(heard, gained);
        let asked_reason = self.asks_for(SlotKind::Reason) && !lexicon::does_not_have(words);
        let aside = lexicon::only_greets(words) || lexicon::wants_time(words) || self.wants_person(heard);
        let told = self.focus == Focus::Open && words.len() >= 4 && !gained.any && !aside;
        if asked_reason || told || (gained.topic && self.slot_value(SlotKind::Reason).is_none()) {
            self.note_reason(heard, asked_reason);
            gained.any |= asked_reason;
        }
    }

    /// What no phrase says is looked for among the intents' examples; also the answer to "is it about …?".
    fn take_meaning(&mut self, heard: &Heard, gained: &mut Gained) {
        if let Focus::Topic { intent } = self.focus
            && !gained.topic
            && let Some(yes) = lexicon::answer(&heard.words)
        {
            gained.any = true;
            if yes {
                self.set_topic(intent);
                gained.topic = true;
                self.reread_reason(gained);
            } else {
                self.denied.insert(intent);
            }
            return;
        }
        let open = matches!(self.focus, Focus::Open | Focus::AnythingElse | Focus::Topic { .. })
            || (self.asks_for(SlotKind::Reason) && self.topic.is_none());
        let says = heard.words.len() >= 3 && !lexicon::only_greets(&heard.words) && !lexicon::is_done(&heard.words);
        if gained.topic || !open || !says {
            return;
        }
        // One embedding does for the whole utterance, unless much of it is about something else.
        let told = self.own_words(&heard.text);
        let part = told.split_whitespace().count();
        let whole = part == 0 || part * 3 >= heard.words.len() * 2;
        let vector = if whole { heard.vector.clone() } else { self.flow.vector(&told) };
        let Some(vector) = vector else { return };
        match self.flow.meant(&vector, &self.denied) {
            Some(Meant::Intent(intent)) => {
                self.set_topic(intent);
                self.note_reason(heard, true);
                gained.any = true;
                gained.topic = true;
            }
            Some(Meant::Perhaps(intent)) if self.topic != Some(intent) => gained.perhaps = Some(intent),
            _ => {}
        }
    }

    /// Now that the topic is known, what the caller said before may fill its slots.
    fn reread_reason(&mut self, gained: &mut Gained) {
        let Some(text) = self.slot_value(SlotKind::Reason) else { return };
        let heard = Heard { words: words(&text), text, confidence: 1.0, vector: None };
        self.take_amount(&heard, gained);
        self.take_volunteered(&heard, gained);
    }

    fn set_topic(&mut self, intent: usize) {
        self.topic = Some(intent);
        self.acknowledged = false;
        if let Some(label) = self.flow.intents.get(intent).map(|i| i.label.clone()) {
            self.form.set("topic", label, Source::Speech, false);
        }
    }

    /// Takes the caller's own words as the reason.
    pub(super) fn note_reason(&mut self, heard: &Heard, replace: bool) {
        let Some(slot) = self.slot_name(SlotKind::Reason) else { return };
        if self.form.text(&slot).is_some() && !replace {
            return;
        }
        let text = self.own_words(&heard.text);
        if !text.is_empty() {
            self.form.set(&slot, text, Source::Speech, false);
        }
    }

    /// The sentences that tell the matter, without greetings, introductions and calls for a person.
    fn own_words(&self, text: &str) -> String {
        let person = self.flow.triggers.get(&TriggerName::AskedForPerson);
        let telling = |sentence: &&str| {
            let w = words(sentence);
            let topic = self.flow.intents.iter().any(|i| best(&i.phrases, &w).is_some());
            let wants_person = person.is_some_and(|t| best(&t.phrases, &w).is_some());
            let introduces = names::introduced(&w).is_some() && w.len() <= 8;
            let number_only = !codes::runs(&w, false).is_empty() && w.len() <= 9;
            topic || (w.len() >= 3 && !wants_person && !introduces && !number_only && !lexicon::only_greets(&w))
        };
        let mut chosen: Vec<&str> = Vec::new();
        for sentence in sentences(text) {
            let w = words(sentence);
            // "I'm John Smith, my order A-1042 is late": of a sentence that also introduces, the telling parts.
            let mixed = names::introduced(&w).is_some() || lexicon::claims_account(&w).is_some();
            let parts: Vec<&str> = sentence
                .split(", ")
                .filter(|part| mixed && telling(part) && lexicon::claims_account(&words(part)).is_none())
                .collect();
            if !parts.is_empty() {
                chosen.extend(parts);
            } else if telling(&sentence) {
                chosen.push(sentence);
            }
        }
        let mut out = String::new();
        let mut count = 0;
        for word in chosen.join(" ").split_whitespace() {
            if out.is_empty() && is_opener(word) {
                continue;
            }
            if count == 30 {
                break;
            }
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(word);
            count += 1;
        }
        out.trim_end_matches(['.', ',', '!', ';', ' ']).to_owned()
    }

    fn take_amount(&mut self, heard: &Heard, gained: &mut Gained) {
        let Some(slot) = self.slot_name(SlotKind::Money) else { return };
        let asked = self.asks_for(SlotKind::Money);
        let found = money::amounts(&heard.words, asked);
        if let Some(amount) = money::disputed(&heard.words, &found) {
            self.amount = Some(amount.cents);
        }
        let wanted =
            asked || self.topic.and_then(|t| self.flow.intents.get(t)).is_some_and(|i| i.needs.contains(&slot));
        if wanted && let Some(cents) = self.amount.take() {
            self.form.set(&slot, money::written(cents), Source::Speech, false);
            self.confirm_if_wanted(&slot);
            gained.any = true;
        }
    }

    pub(super) fn is_between_topics(&self) -> bool {
        matches!(self.focus, Focus::Open | Focus::Helped | Focus::StillOpen | Focus::AnythingElse)
    }
}

/// Whether two codes are the same but for blanks and hyphens.
pub(super) fn same_code(a: &str, b: &str) -> bool {
    let plain = |s: &str| s.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    plain(a) == plain(b)
}

fn digits_of(code: &str) -> String {
    code.chars().filter(char::is_ascii_digit).collect()
}

fn sentences(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    for (i, c) in text.char_indices() {
        let ends = matches!(c, '.' | '!' | '?') && text[i + 1..].chars().next().is_none_or(char::is_whitespace);
        if ends {
            out.push(text[start..=i].trim());
            start = i + 1;
        }
    }
    out.push(text[start..].trim());
    out.retain(|s| !s.is_empty());
    out
}

fn is_opener(word: &str) -> bool {
    let w = words(word);
    let Some(first) = w.first() else { return true };
    matches!(
        first.norm.as_str(),
        "hi" | "hello" | "hey" | "yes" | "yeah" | "well" | "um" | "uh" | "so" | "okay" | "ok" | "oh" | "and" | "please"
    )
}
