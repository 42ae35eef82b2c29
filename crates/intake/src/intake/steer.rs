//! What comes next: the question that is still to be asked, the action that can be taken, the person to be brought in.

use std::collections::BTreeSet;

use super::listen::{Gained, Heard};
use super::{Focus, Intake, Pending};
use crate::api::{Next, OrderView, Reply, TriggerName};
use crate::flow::Does;
use crate::form::{Skipped, Source};
use crate::raw::{Missing, SlotKind};
use crate::understand::lexicon;

/// Turns in a row without a usable word, after which a person takes over, when the trigger does not say.
const MISSES: usize = 3;

impl Intake {
    /// Answers an utterance from which everything was taken.
    pub(super) fn respond(&mut self, heard: &Heard, gained: Gained) -> Reply {
        if let Some(reply) = self.after_resolution(heard, &gained) {
            return reply;
        }
        if self.focus == Focus::Acting && self.acting.is_some() {
            // The look-up is still on its way; what was said is kept.
            return self.listen_after(vec![self.flow.say.wait.clone()]);
        }
        if lexicon::is_done(&heard.words) && !gained.any && matches!(self.focus, Focus::Open) {
            return self.finish();
        }
        if gained.partial || (!gained.any && !self.partial.is_empty()) {
            self.unmatched = 0;
            return self.listen_after(vec![self.flow.say.go_on.clone()]);
        }
        if let Some(digits) = gained.letter {
            let line = self.fill(&self.flow.say.letter, &[("number", Some(&spaced(&digits)))]);
            if self.focus != (Focus::Letter { digits: digits.clone() }) {
                self.focus = Focus::Letter { digits };
                return self.listen_after(vec![line]);
            }
            // Asked for the letter once already: the digits must do.
            if let Some(slot) = self.slot_name(SlotKind::Number) {
                self.form.set(&slot, digits, Source::Speech, false);
            }
            return self.step(gained.say);
        }
        let mut any = gained.any;
        if !any && lexicon::does_not_have(&heard.words) {
            any = self.skip_focus(Skipped::NotHad);
        }
        if !any && let Some(intent) = gained.perhaps {
            return self.ask_topic(intent, gained.say);
        }
        if !any {
            return self.missed(heard);
        }
        if matches!(self.focus, Focus::Topic { .. }) && !gained.topic {
            // None of what was offered: the caller is asked in other words, and not for ever.
            self.focus = Focus::Open;
            return self.missed(heard);
        }
        self.unmatched = 0;
        if gained.confirm {
            return self.read_back(gained.say);
        }
        self.step(gained.say)
    }

    fn ask_topic(&mut self, intent: usize, mut say: Vec<String>) -> Reply {
        let label = self.flow.intents.get(intent).map(|i| i.label.clone());
        say.push(self.fill(&self.flow.say.is_it_about, &[("topic", label.as_deref())]));
        self.focus = Focus::Topic { intent };
        self.listen_after(say)
    }

    fn read_back(&mut self, mut say: Vec<String>) -> Reply {
        let Some(slot) = self.slot_name(SlotKind::Number) else { return self.step(say) };
        let number = self.form.text(&slot).map(str::to_owned);
        say.push(self.fill(&self.flow.say.confirm, &[("number", number.as_deref())]));
        self.focus = Focus::Confirm { slot, misses: 0 };
        self.listen_after(say)
    }

    /// The next question or deed. `say` goes before it.
    pub(super) fn step(&mut self, mut say: Vec<String>) -> Reply {
        self.fire();
        if self.pending.is_some() {
            return self.step_to_person(say);
        }
        let flow = self.flow.clone();
        if let Some(reply) = self.read_field_back(&mut say) {
            return reply;
        }
        let Some(intent) = self.topic.and_then(|t| flow.intents.get(t)) else {
            // Who gives an order's number and no more most likely wants to know where it is.
            if let Some(looks_up) = flow.intents.iter().position(|i| matches!(i.does, Does::OrderStatus))
                && self.slot_value(SlotKind::Number).is_some()
                && !std::mem::replace(&mut self.topic_offered, true)
            {
                return self.ask_topic(looks_up, say);
            }
            self.focus = Focus::Open;
            if let Some(first) = self.first_name().filter(|_| !std::mem::replace(&mut self.thanked, true)) {
                say.push(format!("Thank you, {first}."));
            }
            say.push(flow.opening.clone());
            return self.listen_after(say);
        };
        if let Does::Trigger(trigger) = intent.does {
            self.pend(trigger);
            return self.step_to_person(say);
        }
        if !std::mem::replace(&mut self.acknowledged, true) && !self.is_soft() {
            say.extend(intent.acknowledge.clone());
        }
        for need in &intent.needs {
            if (self.is_missing(need) || self.is_half_a_name(need))
                && let Some(question) = self.ask(need, self.is_soft())
            {
                say.push(question);
                return self.listen_after(say);
            }
        }
        self.fire();
        if self.pending.is_some() { self.step_to_person(say) } else { self.act(say) }
    }

    pub(super) fn pend(&mut self, trigger: TriggerName) {
        self.pending = Some(Pending { trigger, asked: BTreeSet::new() });
    }

    /// A person is on the way: what they need and nobody said is asked for once.
    pub(super) fn step_to_person(&mut self, mut say: Vec<String>) -> Reply {
        let flow = self.flow.clone();
        let Some(pending) = self.pending.clone() else { return self.step(say) };
        let Some(trigger) = flow.triggers.get(&pending.trigger) else {
            return self.escalate_now(pending.trigger, say);
        };
        let first = pending.asked.is_empty();
        let ask = trigger.missing == Missing::Ask;
        for slot in trigger.requires.iter().filter(|_| ask) {
            if pending.asked.contains(slot) || !self.is_missing(slot) || !self.fits_topic(slot) {
                continue;
            }
            if let Some(p) = &mut self.pending {
                p.asked.insert(slot.clone());
            }
            let Some(question) = self.ask(slot, pending.trigger == TriggerName::AskedForPerson) else { continue };
            if first {
                say.extend(trigger.say.clone());
                if pending.trigger == TriggerName::AskedForPerson {
                    say.push(flow.say.person_coming.clone());
                }
            }
            say.push(if first { question } else { capital(&question) });
            return self.listen_after(say);
        }
        let said_already = !first;
        let reply = self.escalate_now(pending.trigger, say);
        if said_already { without(reply, trigger.say.as_deref()) } else { reply }
    }

    /// An order number is not asked for when the topic has nothing to do with one.
    fn fits_topic(&self, slot: &str) -> bool {
        let numbered = self
            .flow
            .slot(slot)
            .is_some_and(|s| s.kind.is_plain() || matches!(s.kind, SlotKind::Number | SlotKind::Money));
        let topic = self.topic.and_then(|t| self.flow.intents.get(t));
        !numbered || topic.is_none_or(|t| t.needs.iter().any(|n| n == slot))
    }

    pub(super) fn person_requested(&mut self, say: Vec<String>) -> Reply {
        self.person_requests += 1;
        self.unmatched = 0;
        self.mark_unsolved();
        if self.person_requests >= 2 || self.pending.is_some() {
            let trigger = self.pending.as_ref().map_or(TriggerName::AskedForPerson, |p| p.trigger);
            return self.escalate_now(trigger, say);
        }
        self.pend(TriggerName::AskedForPerson);
        self.step_to_person(say)
    }

    pub(super) fn escalate_now(&mut self, trigger: TriggerName, mut say: Vec<String>) -> Reply {
        self.pending = None;
        self.acting = None;
        self.focus = Focus::Over;
        let (disposition, queue) =
            match self.flow.triggers.get(&trigger).or_else(|| self.flow.triggers.get(&TriggerName::SystemFault)) {
                Some(t) => {
                    say.extend(t.say.clone());
                    (t.disposition.clone(), t.queue.clone())
                }
                None => (self.flow.dispositions.unreached.clone(), String::new()),
            };
        let reply = Reply { say, interruptible: false, next: Next::Escalate { trigger, disposition, queue } };
        self.over = Some(Reply { say: Vec::new(), ..reply.clone() });
        reply
    }

    /// Nothing of use was said.
    pub(super) fn missed(&mut self, heard: &Heard) -> Reply {
        if matches!(self.focus, Focus::CallbackOffer { .. } | Focus::Callback) {
            return self.callback_missed();
        }
        if self.pending.is_some() {
            self.skip_focus(Skipped::NotHeard);
            return self.step(Vec::new());
        }
        self.unmatched += 1;
        let most = self.flow.triggers.get(&TriggerName::NoInput).and_then(|t| t.after).unwrap_or(MISSES);
        if self.unmatched >= most {
            let spoke = self.focus == Focus::Open && heard.words.len() >= 3;
            let trigger = if spoke { TriggerName::OutOfScope } else { TriggerName::NoInput };
            return self.give_up(trigger);
        }
        match self.focus.clone() {
            Focus::Open if lexicon::only_greets(&heard.words) && !std::mem::replace(&mut self.greeted, true) => {
                self.unmatched -= 1;
                let opening = self.flow.opening.clone();
                self.listen_after(vec![opening])
            }
            Focus::Open | Focus::StillOpen => {
                let spoke = heard.words.len() >= 4;
                let line = self.flow.rephrase.get(self.unmatched - 1).cloned();
                match line {
                    Some(line) if self.unmatched == 1 || !spoke => self.listen_after(vec![line]),
                    _ => self.give_up(TriggerName::OutOfScope),
                }
            }
            Focus::Confirm { slot, misses } => {
                if misses > 0 {
                    self.to_confirm.retain(|s| *s != slot);
                    return self.step(Vec::new());
                }
                self.focus = Focus::Confirm { slot, misses: 1 };
                let last = self.last.clone();
                self.listen_after(last)
            }
            Focus::Slot(slot) => match self.ask(&slot, false) {
                Some(question) => self.listen_after(vec![question]),
                None => self.step(Vec::new()),
            },
            Focus::Identity if self.unmatched >= 2 => {
                self.stranger = true;
                self.step(Vec::new())
            }
            Focus::Letter { digits } => {
                if let Some(slot) = self.slot_name(SlotKind::Number) {
                    self.form.set(&slot, digits, Source::Speech, false);
                }
                self.step(Vec::new())
            }
            _ => {
                let last = self.last.clone();
                self.listen_after(last)
            }
        }
    }

    fn give_up(&mut self, trigger: TriggerName) -> Reply {
        if trigger == TriggerName::NoInput {
            return self.escalate_now(trigger, Vec::new());
        }
        self.pend(trigger);
        self.unmatched = 0;
        self.step_to_person(Vec::new())
    }

    /// Nothing was said at all.
    pub(super) fn silence(&mut self) -> Reply {
        if !self.keys.is_empty() {
            return self.typed("#");
        }
        match self.focus {
            Focus::AnythingElse => return self.finish(),
            Focus::CallbackOffer { .. } | Focus::Callback => return self.callback_missed(),
            Focus::Helped => {
                if let Some(reply) = self.silent_after_answer() {
                    return reply;
                }
            }
            _ => {}
        }
        self.silent += 1;
        if self.pending.is_some() {
            self.skip_focus(Skipped::NotHeard);
            return self.step(Vec::new());
        }
        match self.flow.no_input.get(self.silent - 1).cloned() {
            Some(line) => {
                let Focus::Slot(slot) = self.focus.clone() else { return self.aside(line) };
                self.partial.clear();
                match self.ask(&slot, false) {
                    Some(question) => {
                        let reply = self.listen_after(vec![line, question.clone()]);
                        self.last = vec![question];
                        reply
                    }
                    // Asked for often enough: whoever stays silent once more is not asked for it again.
                    None if self.silent > 1 => self.step(Vec::new()),
                    None => self.aside(line),
                }
            }
            None => self.escalate_now(TriggerName::NoInput, Vec::new()),
        }
    }

    /// Gives up on what was just asked for. Whether that was something to be skipped.
    pub(super) fn skip_focus(&mut self, why: Skipped) -> bool {
        let slot = match &self.focus {
            Focus::Slot(slot) => slot.clone(),
            Focus::HolderName => "holder_name".to_owned(),
            Focus::Identity => {
                self.stranger = true;
                return true;
            }
            Focus::Letter { digits } => {
                let digits = digits.clone();
                if let Some(slot) = self.slot_name(SlotKind::Number) {
                    self.form.set(&slot, digits, Source::Speech, false);
                }
                return true;
            }
            Focus::Offer { number } => {
                self.not_meant.insert(number.clone());
                return true;
            }
            Focus::Confirm { slot, .. } => {
                let slot = slot.clone();
                self.to_confirm.retain(|s| *s != slot);
                return true;
            }
            _ => return false,
        };
        self.renew.remove(&slot);
        self.form.skip(&slot, why);
        true
    }

    /// A single name is not enough to find or prove anybody; the full one is asked for once.
    fn is_half_a_name(&self, slot: &str) -> bool {
        let named = self.flow.slot(slot).is_some_and(|s| s.kind == SlotKind::PersonName);
        let half = self.form.text(slot).is_some_and(|n| !n.contains(' '));
        named && half && !self.identified && !self.asked.contains_key(slot)
    }

    fn is_missing(&self, slot: &str) -> bool {
        if self.renew.contains(slot) {
            return true;
        }
        if slot == "holder_name" && self.account_holder() != Some(false) {
            return false;
        }
        self.form.text(slot).is_none() && !self.form.is_skipped(slot)
    }

    /// The question for a slot, which becomes the one on the table. `None` when it was asked often enough: then the slot
    /// is skipped.
    fn ask(&mut self, slot: &str, short: bool) -> Option<String> {
        let flow = self.flow.clone();
        if slot == "holder_name" {
            self.focus = Focus::HolderName;
            return Some(flow.say.holder_name.clone());
        }
        let compiled = flow.slot(slot)?;
        if compiled.kind == SlotKind::PersonName
            && !self.stranger
            && flow.identity.reveal_name
            && self.account_holder() != Some(false)
            && let Some(contact) = &self.contact
        {
            self.focus = Focus::Identity;
            return Some(self.fill(&flow.say.identity, &[("contact", Some(&contact.name))]));
        }
        if compiled.kind == SlotKind::Number
            && let Some(number) = self.likely_order().or_else(|| self.only_order())
        {
            return Some(self.offer(number));
        }
        let times = self.asked.entry(slot.to_owned()).or_default();
        let last = compiled.ask.len().saturating_sub(1);
        let Some(question) = compiled.ask.get((*times).min(last)).filter(|_| *times < compiled.tries) else {
            self.renew.remove(slot);
            self.form.skip(slot, Skipped::NotHeard);
            return None;
        };
        *times += 1;
        let first = *times == 1;
        self.focus = Focus::Slot(slot.to_owned());
        let stranger =
            compiled.kind == SlotKind::PersonName && first && (self.stranger || self.account_holder() == Some(false));
        Some(if short && first {
            compiled.ask_short.clone()
        } else if stranger {
            flow.say.identity_no.clone()
        } else {
            question.clone()
        })
    }

    /// The one order of an identified caller whose item they spoke of.
    fn likely_order(&self) -> Option<String> {
        if !self.may_be_told() {
            return None;
        }
        let reason = self.slot_value(SlotKind::Reason).unwrap_or_default().to_lowercase();
        let named = |o: &&OrderView| {
            let noun = o.item.split_whitespace().last().unwrap_or_default().to_lowercase();
            noun.len() > 3 && reason.contains(&noun)
        };
        let mut fitting = self.own_orders().filter(|o| !self.not_meant.contains(&o.number)).filter(named);
        let first = fitting.next()?;
        fitting.next().is_none().then(|| first.number.clone())
    }

    /// The only order an identified caller has left, when they do not have its number.
    pub(super) fn only_order(&self) -> Option<String> {
        let mut left = self.own_orders().filter(|o| self.may_be_told() && !self.not_meant.contains(&o.number));
        let first = left.next()?;
        left.next().is_none().then(|| first.number.clone())
    }

    pub(super) fn offer(&mut self, number: String) -> String {
        let item = self.own_orders().find(|o| o.number == number).map(|o| o.item.clone()).filter(|i| !i.is_empty());
        let line = self.fill(&self.flow.say.is_it_this, &[("number", Some(&number)), ("item", item.as_deref())]);
        self.focus = Focus::Offer { number };
        line
    }
}

fn without(mut reply: Reply, line: Option<&str>) -> Reply {
    reply.say.retain(|l| Some(l.as_str()) != line);
    reply
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

/// Digits one by one, so that they are not read as a quantity.
fn spaced(digits: &str) -> String {
    digits.chars().map(String::from).collect::<Vec<_>>().join(" ")
}
