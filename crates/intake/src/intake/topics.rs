//! What the call is about: the intent by phrases or by meaning, and the caller's own words for it.

use super::listen::{Gained, Heard};
use super::{Focus, Intake};
use crate::api::TriggerName;
use crate::form::Source;
use crate::meaning::Meant;
use crate::raw::SlotKind;
use crate::understand::phrase::best;
use crate::understand::words::words;
use crate::understand::{codes, lexicon, names};

impl Intake {
    pub(super) fn take_topic(&mut self, heard: &Heard, gained: &mut Gained) {
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
