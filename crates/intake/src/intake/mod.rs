//! The conversation: a form, one question on the table at a time, and rules for what comes next. Whatever a caller says
//! is taken wherever it fits, asked for or not.
//!
//! `listen`, with `people`, `numbers`, `topics` and `fields`, takes facts out of what was said, `temper` weighs how, `rules` holds the triggers over what is known,
//! `steer` decides what to ask or do, `resolve` tries to help, `keys` reads DTMF, `callback` is the way out when nobody is
//! free. This file holds the state and the border.

mod callback;
mod fields;
mod keys;
mod listen;
mod numbers;
mod people;
mod resolve;
mod rules;
mod steer;
mod temper;
mod topics;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::api::{
    Action, ActionResult, Attempt, Briefing, BriefingNotes, CallerId, ContactView, Expected, Next, OrderView, Reply,
    TriggerName,
};
use crate::brief;
use crate::flow::Flow;
use crate::form::Form;
use crate::raw::SlotKind;
use crate::template::Template;
use crate::understand::codes::Pattern;
use crate::understand::dates::Day;
use crate::understand::phrase::best;
use crate::understand::repeats::{sentences_once, words_once};
use crate::understand::words::{Gap, words};
use crate::understand::{lexicon, names};
use listen::Heard;
use temper::Temper;

/// For who was told to take their time.
const LONG_PATIENCE: Duration = Duration::from_secs(25);

/// Utterances that are kept for a language model.
const MOST_SAID: usize = 30;

/// Of a North American number.
const PHONE_DIGITS: usize = 10;

/// One conversation with a caller.
#[derive(Debug, Clone)]
pub struct Intake {
    flow: Arc<Flow>,
    caller: CallerId,
    contact: Option<ContactView>,
    /// The caller is not the person that the number belongs to.
    stranger: bool,
    /// The caller is the contact, by name or by own word. Only then may the contact's orders be told.
    identified: bool,
    form: Form,
    attempts: Vec<Attempt>,
    /// Attempts that did not help.
    failed: usize,
    /// Index of the intent in the flow.
    topic: Option<usize>,
    acknowledged: bool,
    topic_offered: bool,
    /// Intents that the caller said they do not mean.
    denied: BTreeSet<usize>,
    greeted: bool,
    thanked: bool,
    focus: Focus,
    pending: Option<Pending>,
    /// How often each slot was asked for.
    asked: BTreeMap<String, usize>,
    /// Slots whose value turned out to be of no use and is asked for again.
    renew: BTreeSet<String>,
    /// Known orders that the caller does not mean.
    not_meant: BTreeSet<String>,
    /// A number of the caller's own record that was taken for one heard slightly wrong; theirs once they say so.
    guess: Option<String>,
    /// Slots whose value is to be read back.
    to_confirm: Vec<String>,
    /// Slots whose value is not the one on the CRM's record.
    mismatched: BTreeSet<String>,
    /// The caller agreed to be the contact; a mismatch may still forbid to believe it.
    identity_agreed: bool,
    /// The caller's utterances, the last of many.
    said: Vec<String>,
    temper: Temper,
    today: Option<Day>,
    silent: usize,
    unmatched: usize,
    person_requests: usize,
    /// The beginning of a number said over two turns.
    partial: String,
    keys: String,
    /// An amount in cents that was mentioned before the topic gave it a meaning.
    amount: Option<u64>,
    /// The order that was found last.
    order: Option<OrderView>,
    /// The last answer to a look-up, as it was said.
    told: Option<String>,
    /// The call in a language model's words, all of whose facts are known.
    in_short: Option<String>,
    acting: Option<Action>,
    last: Vec<String>,
    /// The last reply, once nothing can follow it.
    over: Option<Reply>,
}

/// The question on the table.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Focus {
    /// How can I help?
    Open,
    /// Am I speaking with …?
    Identity,
    /// A slot's own question.
    Slot(String),
    /// Whose account is it?
    HolderName,
    /// I heard …, is that right?
    Confirm { slot: String, misses: usize },
    /// Is it about this order of yours?
    Offer { number: String },
    /// Which letter comes before these digits?
    Letter { digits: String },
    /// Is it about …?
    Topic { intent: usize },
    /// Would you rather talk to a person?
    PersonOffer,
    /// Something is being looked up.
    Acting,
    /// Does that help?
    Helped,
    /// What is still open?
    StillOpen,
    /// Is there anything else?
    AnythingElse,
    /// Shall we call this number back?
    CallbackOffer { number: String },
    /// What number should we call?
    Callback,
    /// Nothing: the conversation has ended or is with a person.
    Over,
}

/// A person is on the way; a few things are asked first.
#[derive(Debug, Clone)]
struct Pending {
    trigger: TriggerName,
    asked: BTreeSet<String>,
}

impl Intake {
    /// A conversation that has not begun.
    pub fn new(flow: Arc<Flow>, caller: impl Into<CallerId>) -> Self {
        Self {
            flow,
            caller: caller.into(),
            contact: None,
            stranger: false,
            identified: false,
            form: Form::default(),
            attempts: Vec::new(),
            failed: 0,
            topic: None,
            acknowledged: false,
            topic_offered: false,
            denied: BTreeSet::new(),
            greeted: false,
            thanked: false,
            focus: Focus::Open,
            pending: None,
            asked: BTreeMap::new(),
            renew: BTreeSet::new(),
            not_meant: BTreeSet::new(),
            guess: None,
            to_confirm: Vec::new(),
            mismatched: BTreeSet::new(),
            identity_agreed: false,
            said: Vec::new(),
            temper: Temper::default(),
            today: None,
            silent: 0,
            unmatched: 0,
            person_requests: 0,
            partial: String::new(),
            keys: String::new(),
            amount: None,
            order: None,
            told: None,
            in_short: None,
            acting: None,
            last: Vec::new(),
            over: None,
        }
    }

    /// Tells which day it is where the caller is; without it "tomorrow" and days without a year are not understood.
    pub fn set_today(&mut self, today: Day) {
        self.today = Some(today);
    }

    /// The CRM's answer about the caller; may come at any time.
    pub fn contact_found(&mut self, contact: ContactView) {
        if self.identified {
            return;
        }
        self.contact = Some(contact);
        self.stranger = false;
        if let Some(name) = self.slot_value(SlotKind::PersonName) {
            self.match_name(&name);
        }
        self.match_number();
    }

    /// Greeting and first question. The greeting is not to be talked over: it tells that an assistant listens.
    pub fn begin(&mut self) -> Reply {
        self.focus = Focus::Open;
        let opening = self.flow.opening.clone();
        let reply = self.listen_after(vec![self.flow.greeting.clone(), opening.clone()]);
        self.last = vec![opening];
        Reply { interruptible: false, ..reply }
    }

    /// The caller said this. `confidence` is 0 to 1.
    pub fn heard(&mut self, text: &str, confidence: f32) -> Reply {
        if let Some(over) = &self.over {
            return over.clone();
        }
        let text = sentences_once(text);
        let mut heard = Heard { words: words_once(words(&text)), text, confidence, vector: None };
        if heard.words.len() >= 3 {
            heard.vector = self.flow.vector(&heard.text);
        }
        let words = &heard.words;
        if lexicon::is_noise(words) && lexicon::answer(words).is_none() {
            return self.missed(&heard);
        }
        self.silent = 0;
        self.keys.clear();
        if self.said.len() == MOST_SAID {
            self.said.remove(0);
        }
        self.said.push(heard.text.clone());
        let urgent = heard.vector.as_ref().is_some_and(|v| self.flow.is_urgent(v));
        if urgent || self.speaks_of(TriggerName::Distress, &heard) {
            self.take_all(&heard);
            self.note_reason(&heard, true);
            return self.escalate_now(TriggerName::Distress, Vec::new());
        }
        if matches!(self.focus, Focus::CallbackOffer { .. } | Focus::Callback) {
            return self.callback_heard(&heard);
        }
        if lexicon::wants_repeat(words) {
            return self.listen_after(self.last.clone());
        }
        let person = self.wants_person(&heard);
        if lexicon::asks_whether_machine(words) && !person {
            return self.aside(self.flow.say.machine.clone());
        }
        self.weigh(&heard);
        let mut gained = self.take_all(&heard);
        if person {
            return self.person_requested(gained.say);
        }
        if let Some(reply) = self.tempered(&heard, &mut gained) {
            return reply;
        }
        if self.focus == Focus::PersonOffer {
            return self.offer_answered(&heard, gained);
        }
        if !gained.any && lexicon::wants_time(words) {
            let reply = Reply {
                say: vec![self.flow.say.wait.clone()],
                interruptible: true,
                next: Next::Listen { patience: LONG_PATIENCE },
            };
            return reply;
        }
        self.respond(&heard, gained)
    }

    /// The caller typed these keys: one, or several at once. `0` asks for a person, `#` ends a number.
    pub fn digits(&mut self, keys: &str) -> Reply {
        if let Some(over) = &self.over {
            return over.clone();
        }
        self.silent = 0;
        self.typed(keys)
    }

    /// Something was said, and no words were made out.
    pub fn not_understood(&mut self) -> Reply {
        self.heard("", 0.0)
    }

    /// Nothing was said within the reply's patience.
    pub fn no_input(&mut self) -> Reply {
        if let Some(over) = &self.over {
            return over.clone();
        }
        self.silence()
    }

    /// The answer to [`Next::Act`].
    pub fn action_result(&mut self, result: ActionResult) -> Reply {
        if let Some(over) = &self.over {
            return over.clone();
        }
        self.resolved(result)
    }

    /// A transfer failed and the caller is back: apologise, take a number to call back, finish.
    pub fn handed_back(&mut self) -> Reply {
        self.over = None;
        self.offer_callback()
    }

    /// Bring in a person for a reason the conversation itself does not see: a system fault, a supervisor's wish.
    pub fn escalate(&mut self, trigger: TriggerName) -> Reply {
        self.escalate_now(trigger, Vec::new())
    }

    /// Words the ear should expect now.
    pub fn hints(&self) -> String {
        let mut out = vec![self.flow.company.clone()];
        if !self.stranger
            && let Some(contact) = &self.contact
        {
            out.push(contact.name.clone());
            out.extend(contact.orders.iter().map(|o| format!("order {}", o.number)));
            out.extend(contact.orders.iter().map(|o| o.item.clone()).filter(|i| !i.is_empty()));
        }
        out.extend(self.flow.vocabulary().cloned());
        if let Focus::Slot(slot) = &self.focus {
            out.extend(self.flow.slot(slot).iter().flat_map(|s| s.examples.iter().take(3)).cloned());
        }
        out.join(", ") + "."
    }

    /// The sort of answer expected now.
    pub fn expected(&self) -> Expected {
        match &self.focus {
            Focus::Identity | Focus::Confirm { .. } | Focus::Offer { .. } | Focus::Helped | Focus::AnythingElse => {
                Expected::YesNo
            }
            Focus::CallbackOffer { .. } | Focus::Topic { .. } | Focus::PersonOffer => Expected::YesNo,
            Focus::Letter { .. } => Expected::Number(self.longest_number()),
            Focus::Callback => Expected::Number(PHONE_DIGITS),
            Focus::HolderName => Expected::Name,
            Focus::Slot(slot) => match self.flow.slot(slot).map(|s| s.kind) {
                Some(SlotKind::Number) => Expected::Number(self.longest_number()),
                Some(SlotKind::Phone) => Expected::Number(PHONE_DIGITS),
                Some(SlotKind::PersonName) => Expected::Name,
                Some(SlotKind::AccountHolder | SlotKind::YesNo) => Expected::YesNo,
                Some(SlotKind::Code) => Expected::Number(self.field_length().unwrap_or(1)),
                Some(SlotKind::Email) => Expected::Spelled(40),
                Some(SlotKind::Spelled) => Expected::Spelled(20),
                _ => Expected::Anything,
            },
            Focus::Open | Focus::Acting | Focus::StillOpen | Focus::Over => Expected::Anything,
        }
    }

    /// What is asked now: a slot's name, or `opening`, `identity`, `confirm`, `offer`, `holder_name`, `letter`, `topic`,
    /// `person`, `helped`, `open`, `else`, `callback`; empty when nothing is.
    pub fn asking(&self) -> &str {
        match &self.focus {
            Focus::Open => "opening",
            Focus::Identity => "identity",
            Focus::Slot(slot) => slot,
            Focus::HolderName => "holder_name",
            Focus::Confirm { .. } => "confirm",
            Focus::Offer { .. } => "offer",
            Focus::Letter { .. } => "letter",
            Focus::Topic { .. } => "topic",
            Focus::PersonOffer => "person",
            Focus::Helped => "helped",
            Focus::StillOpen => "open",
            Focus::AnythingElse => "else",
            Focus::CallbackOffer { .. } | Focus::Callback => "callback",
            Focus::Acting | Focus::Over => "",
        }
    }

    /// The intent's name: the category of the case in the CRM. `None` before the matter is known.
    pub fn category(&self) -> Option<&str> {
        self.topic.and_then(|t| self.flow.intents.get(t)).map(|i| i.name.as_str())
    }

    /// A person was offered to an upset caller, who has not said yes or no yet.
    pub fn offers_person(&self) -> bool {
        self.focus == Focus::PersonOffer
    }

    /// What was collected.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// What was tried.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The CRM's person that this call is about: whose number it is, or whose order was looked up, also when someone else
    /// calls for them. `None` once the caller said that they are someone else and call for themselves.
    pub fn contact(&self) -> Option<&ContactView> {
        self.contact.as_ref().filter(|c| !self.stranger || self.is_for(c))
    }

    /// Whether the caller speaks for `contact`.
    fn is_for(&self, contact: &ContactView) -> bool {
        self.account_holder() == Some(false)
            && self.form.text("holder_name").is_some_and(|holder| names::same(holder, &contact.name))
    }

    /// Whether the caller is the account holder; `None` when that was not settled.
    pub fn account_holder(&self) -> Option<bool> {
        match self.slot_value(SlotKind::AccountHolder)?.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    }

    /// Written summary for the CRM.
    pub fn summary(&self, trigger: Option<TriggerName>) -> String {
        brief::summary(&self.facts(), trigger)
    }

    /// What the agent is told before the caller is joined.
    pub fn briefing(&self, trigger: TriggerName, notes: &BriefingNotes) -> Briefing {
        brief::briefing(&self.facts(), trigger, notes)
    }

    /// What the caller said so far, in order.
    pub(crate) fn caller_said(&self) -> &[String] {
        &self.said
    }

    /// Slots without a value, with their labels; those of the matter in hand.
    pub(crate) fn empty_slots(&self) -> impl Iterator<Item = (&str, &str)> {
        let topic = self.topic.and_then(|t| self.flow.intents.get(t));
        let wanted = move |name: &String| topic.is_none_or(|t| t.needs.contains(name));
        let slots = self.flow.slots.iter().filter(move |s| wanted(&s.name) && self.form.text(&s.name).is_none());
        slots.map(|s| (s.name.as_str(), s.label.as_str()))
    }

    pub(crate) fn flow(&self) -> &Arc<Flow> {
        &self.flow
    }

    pub(crate) fn today(&self) -> Option<Day> {
        self.today
    }

    pub(crate) fn in_short(&mut self, summary: String) {
        self.in_short = Some(summary);
    }

    pub(crate) fn form_mut(&mut self) -> &mut Form {
        &mut self.form
    }

    fn facts(&self) -> brief::Facts<'_> {
        brief::Facts {
            flow: &self.flow,
            form: &self.form,
            attempts: &self.attempts,
            contact: self.contact.as_ref(),
            identified: self.identified,
            caller: self.caller.number.as_deref(),
            topic: self.topic.and_then(|t| self.flow.intents.get(t)),
            order: self.order.as_ref(),
            today: self.today,
            mood: self.frustration().1,
            in_short: self.in_short.as_deref(),
        }
    }

    fn speaks_of(&self, trigger: TriggerName, heard: &Heard) -> bool {
        let Some(trigger) = self.flow.triggers.get(&trigger) else { return false };
        best(&trigger.phrases, &heard.words).is_some()
    }

    /// "Are you a real person?" alone asks for none.
    fn wants_person(&self, heard: &Heard) -> bool {
        let Some(trigger) = self.flow.triggers.get(&TriggerName::AskedForPerson) else { return false };
        if !lexicon::asks_whether_machine(&heard.words) {
            return best(&trigger.phrases, &heard.words).is_some();
        }
        heard
            .words
            .split_inclusive(|w| w.gap != Gap::None)
            .any(|clause| !lexicon::asks_whether_machine(clause) && best(&trigger.phrases, clause).is_some())
    }

    fn slot_name(&self, kind: SlotKind) -> Option<String> {
        self.flow.slot_of(kind).map(|s| s.name.clone())
    }

    fn slot_value(&self, kind: SlotKind) -> Option<String> {
        self.form.text(&self.flow.slot_of(kind)?.name).map(str::to_owned)
    }

    fn asks_for(&self, kind: SlotKind) -> bool {
        matches!(&self.focus, Focus::Slot(s) if self.flow.slot(s).is_some_and(|s| s.kind == kind))
    }

    /// A line of the flow with its values.
    fn fill(&self, line: &str, values: &[(&str, Option<&str>)]) -> String {
        let value = |name: &str| values.iter().find(|v| v.0 == name).and_then(|v| v.1).map(str::to_owned);
        Template::parse(line).unwrap_or_default().render(&value)
    }

    /// Says something beside the question, then the question again.
    fn aside(&mut self, line: String) -> Reply {
        let last = self.last.clone();
        let reply = self.listen_after([line].into_iter().chain(last.iter().cloned()).collect());
        self.last = last;
        reply
    }

    fn listen_after(&mut self, say: Vec<String>) -> Reply {
        if !say.is_empty() {
            self.last.clone_from(&say);
        }
        Reply { say, interruptible: true, next: Next::Listen { patience: self.flow.patience } }
    }

    /// Digits of the longest number that may be typed.
    fn longest_number(&self) -> usize {
        let patterns = self.flow.slot_of(SlotKind::Number).map(|s| s.patterns.as_slice()).unwrap_or_default();
        patterns.iter().map(Pattern::digit_count).max().unwrap_or(1)
    }

    fn first_name(&self) -> Option<String> {
        let name = self.slot_value(SlotKind::PersonName)?;
        names::first(&name).map(str::to_owned)
    }
}
