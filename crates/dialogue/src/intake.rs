//! The conversation: one question at a time, but whatever the caller says is taken wherever it fits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::flow::{ActionKind, Flow, SlotKind, TriggerName};
use crate::form::{Form, Source};
use crate::understand::{self as hear, OrderHeard};
use crate::{Action, ActionResult, Attempt, ContactView, Expected, Next, OrderView, Reply};

/// How long a caller may stay silent after our words: for an answer that is in their head, and for one they must look up.
const PATIENCE: Duration = Duration::from_secs(7);
const PATIENCE_LOOKING: Duration = Duration::from_secs(12);
const PATIENCE_ASKED_FOR: Duration = Duration::from_secs(25);

/// After so many misses in a row, a person takes over.
const MISSES: u8 = 3;

/// What the last question was.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asking {
    /// How can I help?
    Help,
    /// Am I speaking with …?
    Holder,
    /// Are you calling about …'s account?
    WhoseAccount,
    /// The slot of this kind.
    Slot(SlotKind),
    /// Was it this order number?
    Confirm(String),
    /// Is it about this order of yours?
    KnownOrder(String),
    /// Did that help?
    Solved,
    /// Anything else?
    More,
    /// A number to call back.
    Callback,
    /// The call is being handed over or is over.
    Nothing,
}

/// A transfer that is decided and waits for what the agent will need.
#[derive(Debug, Clone)]
struct Pending {
    trigger: TriggerName,
    to_ask: Vec<SlotKind>,
}

/// One caller's conversation.
#[derive(Debug)]
pub struct Intake {
    flow: Arc<Flow>,
    number: Option<String>,
    form: Form,
    contact: Option<ContactView>,
    holder: Option<bool>,
    relation: Option<String>,
    holder_said: Option<String>,
    /// The caller said that they are not the person their number belongs to.
    denied: bool,
    asking: Asking,
    intent: Option<usize>,
    order: Option<OrderView>,
    attempts: Vec<Attempt>,
    failed: u8,
    misses: u8,
    person_asked: u8,
    scope_asked: bool,
    skipped: BTreeSet<String>,
    turn: BTreeMap<&'static str, usize>,
    last: Vec<String>,
    pending: Option<Pending>,
}

impl Intake {
    /// A conversation that has not begun. `number` is the caller's, if it was signalled.
    pub fn new(flow: Arc<Flow>, number: Option<String>) -> Self {
        Self {
            flow,
            number,
            form: Form::default(),
            contact: None,
            holder: None,
            relation: None,
            holder_said: None,
            denied: false,
            asking: Asking::Help,
            intent: None,
            order: None,
            attempts: Vec::new(),
            failed: 0,
            misses: 0,
            person_asked: 0,
            scope_asked: false,
            skipped: BTreeSet::new(),
            turn: BTreeMap::new(),
            last: Vec::new(),
            pending: None,
        }
    }

    /// The greeting.
    pub fn begin(&mut self) -> Reply {
        self.asking = Asking::Help;
        // Not interruptible: it says that this is an assistant and that the call may be transcribed.
        Reply { interruptible: false, ..self.listen(vec![self.flow.greeting()], PATIENCE) }
    }

    /// The CRM knows whose number this is. May come at any time.
    pub fn contact_found(&mut self, contact: ContactView) {
        if self.contact.is_none() && !self.denied {
            self.contact = Some(contact);
            self.match_name();
        }
    }

    /// The caller said `text`.
    pub fn heard(&mut self, text: &str, confidence: f32) -> Reply {
        if hear::has_phrase(text, &self.flow.distress) {
            self.take(text, confidence, true);
            return self.escalate(TriggerName::Distress, true);
        }
        if self.asking == Asking::Callback {
            return self.callback_answer(text);
        }
        if hear::wants_repeat(text) {
            return self.listen(self.last.clone(), PATIENCE);
        }
        if hear::wants_time(text) {
            let line = self.say("wait");
            let last = std::mem::take(&mut self.last);
            let reply = self.listen(vec![line], PATIENCE_ASKED_FOR);
            self.last = last; // "repeat that" still means the question
            return reply;
        }
        if hear::wants_person(text) {
            self.person_asked += 1;
            self.take(text, confidence, false);
            let insists = self.person_asked > 1;
            return self.escalate(self.pending.as_ref().map_or(TriggerName::AskedForPerson, |p| p.trigger), insists);
        }
        let mut said = Vec::new();
        match self.answer(text, confidence, &mut said) {
            Answered::Yes => {
                self.misses = 0;
                self.proceed(said)
            }
            Answered::Reply(reply) => {
                self.misses = 0;
                reply
            }
            Answered::No => self.miss("say_again"),
        }
    }

    /// Voice was heard, but no words in it.
    pub fn not_understood(&mut self) -> Reply {
        self.miss("say_again")
    }

    /// Nothing was said in time.
    pub fn no_input(&mut self) -> Reply {
        self.miss("no_input")
    }

    /// Digits were typed. `0` asks for a person wherever no digit is expected, and always alone.
    pub fn digits(&mut self, digits: &str) -> Reply {
        let yes_no = match digits {
            "1" => Some(true),
            "2" => Some(false),
            _ => None,
        };
        match (&self.asking, yes_no) {
            (Asking::Callback, _) if digits.len() >= 7 => self.callback_answer(digits),
            (Asking::Callback, Some(answer)) => self.callback_answer(if answer { "yes" } else { "no" }),
            _ if digits == "0" => {
                self.person_asked += 1;
                self.escalate(TriggerName::AskedForPerson, self.person_asked > 1)
            }
            (Asking::Holder | Asking::WhoseAccount | Asking::Confirm(_) | Asking::KnownOrder(_) | Asking::Solved | Asking::More, Some(answer)) => {
                self.heard(if answer { "yes" } else { "no" }, 1.0)
            }
            _ => {
                let form = self.flow.slot(SlotKind::Order).and_then(|s| s.form.clone());
                let typed = form.filter(|f| f.digits == digits.len()).and_then(|f| hear::order(digits, &f, &self.known_orders()));
                match typed {
                    Some(OrderHeard::Full { number, .. }) => {
                        self.set(SlotKind::Order, number, true, Source::Dtmf);
                        self.misses = 0;
                        let mut said = Vec::new();
                        self.acknowledge_order(&mut said);
                        self.proceed(said)
                    }
                    _ => self.miss("say_again"),
                }
            }
        }
    }

    /// What came of an action.
    pub fn action_result(&mut self, result: ActionResult) -> Reply {
        let number = self.slot_text(SlotKind::Order).unwrap_or_default();
        match result {
            ActionResult::Failed => {
                self.attempt("order_status", "the lookup failed");
                let reply = self.escalate(TriggerName::SystemFault, true);
                let failed = self.say("order_not_found").replace("{order}", &number);
                Reply { say: [vec![failed], reply.say].concat(), ..reply }
            }
            ActionResult::Order(None) => {
                self.attempt("order_status", &format!("no order {number} was found"));
                self.failed += 1;
                if self.failed >= 2 {
                    return self.escalate(TriggerName::TwoFailedAttempts, false);
                }
                self.clear(SlotKind::Order);
                let said = vec![self.say("order_not_found").replace("{order}", &number)];
                self.ask(SlotKind::Order, said)
            }
            ActionResult::Order(Some((order, owner))) => self.order_found(order, owner),
        }
    }

    /// The transfer failed: the caller is back, nobody can talk to them now.
    pub fn handed_back(&mut self) -> Reply {
        self.pending = None;
        self.asking = Asking::Callback;
        self.misses = 0;
        let say = vec![self.say("nobody_free"), self.say("callback_ask")];
        Reply { interruptible: true, ..self.listen(say, PATIENCE_LOOKING) }
    }

    /// What speech-to-text should expect to hear: names, numbers, the company.
    pub fn hints(&self) -> String {
        let mut hints = vec![self.flow.company.clone()];
        if let Some(contact) = &self.contact {
            hints.push(contact.name.clone());
            hints.extend(contact.orders.iter().map(|o| format!("order {}", o.number)));
            hints.extend(contact.orders.iter().map(|o| o.item.clone()));
        } else if let Some(form) = self.flow.slot(SlotKind::Order).and_then(|s| s.form.as_ref()) {
            let letters = form.assume.clone().unwrap_or_else(|| "A".repeat(form.letters));
            hints.push(format!("order {}", form.write(&letters, &"2719403865"[..form.digits.min(10)])));
        }
        hints.join(", ") + "."
    }

    /// What kind of answer is expected.
    pub fn expected(&self) -> Expected {
        match self.asking {
            Asking::Holder | Asking::WhoseAccount | Asking::Confirm(_) | Asking::KnownOrder(_) | Asking::Solved | Asking::More => Expected::YesNo,
            Asking::Slot(SlotKind::Order) => Expected::Number(self.flow.slot(SlotKind::Order).and_then(|s| s.form.as_ref()).map_or(4, |f| f.digits)),
            Asking::Slot(SlotKind::Phone) | Asking::Callback => Expected::Number(10),
            Asking::Slot(SlotKind::Name) => Expected::Name,
            _ => Expected::Anything,
        }
    }

    /// What was collected.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// What was tried.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The CRM's person, as far as one is known.
    pub fn contact(&self) -> Option<&ContactView> {
        self.contact.as_ref()
    }

    /// Whether the caller is the account holder; `None` while that is open.
    pub fn account_holder(&self) -> Option<bool> {
        self.holder
    }

    pub(crate) fn flow(&self) -> &Flow {
        &self.flow
    }

    pub(crate) fn slot_text(&self, kind: SlotKind) -> Option<String> {
        self.flow.slot(kind).and_then(|s| self.form.text(&s.name)).map(str::to_owned)
    }

    pub(crate) fn intent_name(&self) -> Option<&str> {
        self.intent.map(|i| self.flow.intents[i].name.as_str())
    }

    /// The order's status, once it was looked up for its holder.
    pub(crate) fn order_status(&self) -> Option<String> {
        self.order.as_ref().map(|o| o.status.clone())
    }

    /// Who holds the account when the caller does not.
    pub(crate) fn holder_name(&self) -> Option<String> {
        let relation = self.relation.as_ref().map(|r| format!("their {r}"));
        let name = self.holder_said.clone().or_else(|| self.contact.as_ref().map(|c| c.name.clone()));
        match (relation, name) {
            (Some(relation), Some(name)) => Some(format!("{relation}, {name}")),
            (relation, name) => relation.or(name),
        }
    }
}

enum Answered {
    Yes,
    No,
    Reply(Reply),
}

/// Understanding an answer.
impl Intake {
    fn answer(&mut self, text: &str, confidence: f32, said: &mut Vec<String>) -> Answered {
        let asking = self.asking.clone();
        let yes_no = hear::yes_no(text);
        let mut moved = false;
        match &asking {
            Asking::Holder => match yes_no {
                Some(true) if self.third_party(text) => moved = true,
                Some(true) => {
                    self.confirm_holder();
                    moved = true;
                }
                Some(false) => {
                    self.denied = true;
                    moved = true;
                }
                None => {}
            },
            Asking::WhoseAccount => {
                if let Some(theirs) = yes_no {
                    if theirs {
                        self.holder = Some(false);
                    } else {
                        self.contact = None;
                    }
                    moved = true;
                }
            }
            Asking::Confirm(number) | Asking::KnownOrder(number) => match yes_no {
                Some(true) => {
                    let source = if matches!(asking, Asking::KnownOrder(_)) { Source::Crm } else { Source::Speech };
                    self.set(SlotKind::Order, number.clone(), true, source);
                    moved = true;
                }
                Some(false) => {
                    let known = matches!(asking, Asking::KnownOrder(_));
                    if !known {
                        self.clear(SlotKind::Order);
                    }
                    if !self.take(text, confidence, false) || self.slot_text(SlotKind::Order).is_none() {
                        return Answered::Reply(self.ask(SlotKind::Order, Vec::new()));
                    }
                    moved = true;
                }
                None => {}
            },
            Asking::Solved => {
                let done = hear::is_done(text);
                match yes_no {
                    Some(true) => return Answered::Reply(if done { self.finish() } else { self.anything_else() }),
                    _ if done && !text.to_lowercase().contains("not") => return Answered::Reply(self.finish()),
                    Some(false) => {
                        self.failed += 1;
                        if let Some(last) = self.attempts.last_mut() {
                            last.outcome.push_str(", which did not help");
                        }
                        if self.failed >= 2 {
                            return Answered::Reply(self.escalate(TriggerName::TwoFailedAttempts, false));
                        }
                        return Answered::Reply(self.again(text, confidence));
                    }
                    None => {}
                }
            }
            Asking::More => {
                if hear::is_done(text) || yes_no == Some(false) {
                    return Answered::Reply(self.finish());
                }
                self.intent = None;
                if yes_no == Some(true) && text.split_whitespace().count() <= 3 {
                    self.asking = Asking::Help;
                    let line = self.say("what_else");
                    return Answered::Reply(self.listen(vec![line], PATIENCE));
                }
            }
            Asking::Slot(kind) if hear::not_known(text) => {
                if let Some(slot) = self.flow.slot(*kind) {
                    self.skipped.insert(slot.name.clone());
                }
                moved = true;
            }
            _ => {}
        }
        let had_order = self.slot_text(SlotKind::Order);
        moved |= self.take(text, confidence, matches!(asking, Asking::Help | Asking::More | Asking::Solved | Asking::Slot(SlotKind::Reason)));
        if self.slot_text(SlotKind::Order) != had_order {
            self.acknowledge_order(said);
        }
        if asking == Asking::Solved && moved {
            // A new matter instead of an answer.
            return Answered::Reply(self.again(text, confidence));
        }
        if self.pending.is_some() {
            return Answered::Yes; // on the way to a person nobody is asked twice
        }
        if moved { Answered::Yes } else { Answered::No }
    }

    /// Takes whatever the text holds, wherever it fits. Whether anything was taken.
    fn take(&mut self, text: &str, confidence: f32, as_reason: bool) -> bool {
        let mut moved = self.third_party(text);
        let asked_name = self.asking == Asking::Slot(SlotKind::Name);
        if (asked_name || self.slot_text(SlotKind::Name).is_none())
            && let Some(name) = hear::name(text, asked_name)
        {
            let confirmed = confidence > 0.6 && self.contact.is_none();
            self.set(SlotKind::Name, name, confirmed, Source::Speech);
            self.match_name();
            moved = true;
        }
        let asked_amount = self.asking == Asking::Slot(SlotKind::Amount);
        if let Some(cents) = crate::numbers::money(text, asked_amount) {
            self.set(SlotKind::Amount, format!("${}.{:02}", cents / 100, cents % 100), true, Source::Speech);
            moved = true;
        }
        if self.asking == Asking::Slot(SlotKind::Phone) && let Some(phone) = hear::phone(text) {
            self.set(SlotKind::Phone, phone, true, Source::Speech);
            moved = true;
        }
        moved |= !asked_amount && self.take_order(text, confidence);
        let intent = hear::intent(&self.flow, text);
        if intent.is_some() && (self.intent.is_none() || as_reason) {
            self.intent = intent;
            moved = true;
        }
        let words = text.split_whitespace().count();
        if self.slot_text(SlotKind::Reason).is_none() && (as_reason && words >= 3 || intent.is_some()) {
            self.set(SlotKind::Reason, text.trim().to_owned(), true, Source::Speech);
            moved = true;
        }
        moved
    }

    fn take_order(&mut self, text: &str, confidence: f32) -> bool {
        let Some(form) = self.flow.slot(SlotKind::Order).and_then(|s| s.form.clone()) else { return false };
        let Some(OrderHeard::Full { number, known }) = hear::order(text, &form, &self.known_orders()) else { return false };
        let same = self.slot_text(SlotKind::Order).as_deref() == Some(number.as_str());
        // The caller's own order needs no question; nor does one that was said again.
        let confirmed = known && self.holder == Some(true) || same || known && confidence > 0.5;
        self.set(SlotKind::Order, number, confirmed, Source::Speech);
        if !same {
            self.order = None;
        }
        true
    }

    fn third_party(&mut self, text: &str) -> bool {
        let Some(found) = hear::third_party(text) else { return false };
        self.holder = Some(false);
        self.relation = found.relation.or(self.relation.take());
        self.holder_said = found.holder.or(self.holder_said.take());
        true
    }

    /// A name that agrees with the record makes the caller its holder.
    fn match_name(&mut self) {
        let (Some(name), Some(contact)) = (self.slot_text(SlotKind::Name), &self.contact) else { return };
        if self.holder == Some(false) {
            return;
        }
        if hear::same_name(&name, &contact.name) {
            self.confirm_holder();
        } else {
            self.denied = true;
        }
    }

    fn confirm_holder(&mut self) {
        if let Some(contact) = &self.contact {
            let name = contact.name.clone();
            self.holder = Some(true);
            self.denied = false;
            self.set(SlotKind::Name, name, true, Source::Crm);
        }
    }

    fn known_orders(&self) -> Vec<&str> {
        self.contact.iter().flat_map(|c| c.orders.iter().map(|o| o.number.as_str())).collect()
    }
}

/// Deciding what comes next.
impl Intake {
    fn proceed(&mut self, said: Vec<String>) -> Reply {
        if let Some(pending) = self.pending.take() {
            return self.on_the_way(pending, said);
        }
        let intent = self.intent;
        if self.amount_over_limit() {
            return self.escalate_saying(TriggerName::AmountOverLimit, said);
        }
        if self.holder.is_none() && let Some(contact) = &self.contact {
            if !self.denied {
                let line = self.flow.wording("am_i_speaking", 0).replace("{contact}", &contact.name);
                self.asking = Asking::Holder;
                return self.listen([said, vec![line]].concat(), PATIENCE);
            }
            if self.slot_text(SlotKind::Name).is_some() {
                let line = self.flow.wording("whose_account", 0).replace("{contact}", &contact.name);
                self.asking = Asking::WhoseAccount;
                return self.listen([said, vec![line]].concat(), PATIENCE);
            }
        }
        if self.missing(SlotKind::Name) {
            return self.ask(SlotKind::Name, said);
        }
        if self.missing(SlotKind::Reason) {
            return self.ask(SlotKind::Reason, said);
        }
        let Some(intent) = intent else {
            if std::mem::replace(&mut self.scope_asked, true) {
                return self.escalate_saying(TriggerName::OutOfScope, said);
            }
            self.asking = Asking::Slot(SlotKind::Reason);
            let line = self.say("offer_help");
            self.clear(SlotKind::Reason);
            return self.listen([said, vec![line]].concat(), PATIENCE);
        };
        for name in self.flow.intents[intent].needs.clone() {
            let Some(kind) = self.flow.slot_named(&name).map(|s| s.kind) else { continue };
            if self.missing(kind) {
                return if kind == SlotKind::Order { self.ask_order(said) } else { self.ask(kind, said) };
            }
        }
        if let Some(number) = self.unconfirmed_order() {
            let line = self.say("confirm_order").replace("{order}", &number);
            self.asking = Asking::Confirm(number);
            return self.listen([said, vec![line]].concat(), PATIENCE);
        }
        if self.amount_over_limit() {
            return self.escalate_saying(TriggerName::AmountOverLimit, said);
        }
        self.resolve(intent, said)
    }

    fn resolve(&mut self, intent: usize, said: Vec<String>) -> Reply {
        let (action, done, name) = {
            let intent = &self.flow.intents[intent];
            (intent.action, intent.done.clone(), intent.name.clone())
        };
        match action {
            None => self.escalate_saying(TriggerName::OutOfScope, said),
            Some(ActionKind::OrderStatus) if self.holder == Some(false) => self.escalate_saying(TriggerName::ThirdParty, said),
            Some(ActionKind::OrderStatus) => match self.slot_text(SlotKind::Order) {
                Some(_) if self.order.is_some() => {
                    // The same answer again would not help.
                    self.failed += 1;
                    self.attempt("order_status", "had been read out already, which did not help");
                    if self.failed >= 2 { self.escalate_saying(TriggerName::TwoFailedAttempts, said) } else { self.what_else(said) }
                }
                Some(number) => {
                    self.asking = Asking::Nothing;
                    let line = self.say("checking");
                    Reply { say: [said, vec![line]].concat(), interruptible: true, next: Next::Act(Action::OrderStatus { number }) }
                }
                None => {
                    self.failed += 1;
                    self.attempt("order_status", "the caller had no order number");
                    if self.failed >= 2 { self.escalate_saying(TriggerName::TwoFailedAttempts, said) } else { self.what_else(said) }
                }
            },
            Some(ActionKind::LogRequest) => {
                if self.attempts.iter().any(|a| a.action == name) {
                    self.failed += 1;
                    return if self.failed >= 2 { self.escalate_saying(TriggerName::TwoFailedAttempts, said) } else { self.what_else(said) };
                }
                self.attempt(&name, "the request was noted");
                let done = self.with_slots(&done.unwrap_or_default());
                let ask = self.say("did_that_help");
                self.asking = Asking::Solved;
                self.listen([said, vec![done, ask]].concat(), PATIENCE)
            }
        }
    }

    fn order_found(&mut self, order: OrderView, owner: ContactView) -> Reply {
        let name = self.slot_text(SlotKind::Name).unwrap_or_default();
        let own = match &self.contact {
            Some(contact) if self.holder == Some(true) => contact.id == owner.id,
            _ => hear::same_name(&name, &owner.name),
        };
        if !own {
            self.holder = Some(false);
            self.holder_said = self.holder_said.take().or(Some("the holder of that order".into()));
            self.attempt("order_status", "the order belongs to somebody else; nothing was read out");
            return self.escalate(TriggerName::ThirdParty, false);
        }
        if self.contact.is_none() || self.holder.is_none() {
            self.contact = Some(ContactView { matched_by: "order".into(), ..owner });
            self.confirm_holder();
        }
        self.set(SlotKind::Order, order.number.clone(), true, Source::Crm);
        let key = if order.eta.is_some() { "status_eta" } else { "status" };
        let line = self
            .say(key)
            .replace("{order}", &order.number)
            .replace("{item}", &order.item)
            .replace("{status}", &order.status)
            .replace("{eta}", order.eta.as_deref().unwrap_or_default());
        let eta = order.eta.as_ref().map(|eta| format!(", expected {eta}")).unwrap_or_default();
        self.attempt("order_status", &format!("told that it is {}{eta}", order.status));
        self.order = Some(order);
        self.asking = Asking::Solved;
        let ask = self.say("did_that_help");
        self.listen(vec![line, ask], PATIENCE)
    }

    /// What was tried did not help, once: the caller may say more. If they just did, that is taken.
    fn again(&mut self, text: &str, confidence: f32) -> Reply {
        let before = self.intent;
        self.asking = Asking::Help;
        self.intent = None;
        if text.split_whitespace().count() >= 4 && self.take(text, confidence, true) && self.intent.is_some() {
            return self.proceed(Vec::new());
        }
        self.intent = before;
        self.what_else(Vec::new())
    }

    fn what_else(&mut self, said: Vec<String>) -> Reply {
        self.asking = Asking::Help;
        let line = self.say("what_else");
        self.listen([said, vec![line]].concat(), PATIENCE)
    }

    fn anything_else(&mut self) -> Reply {
        self.asking = Asking::More;
        let line = self.say("anything_else");
        self.listen(vec![line], PATIENCE)
    }

    fn finish(&mut self) -> Reply {
        self.asking = Asking::Nothing;
        Reply { say: vec![self.say("goodbye")], interruptible: false, next: Next::Finish { disposition: self.flow.solved.clone() } }
    }

    fn escalate(&mut self, trigger: TriggerName, at_once: bool) -> Reply {
        self.escalate_with(trigger, at_once, Vec::new())
    }

    fn escalate_saying(&mut self, trigger: TriggerName, said: Vec<String>) -> Reply {
        self.escalate_with(trigger, false, said)
    }

    fn escalate_with(&mut self, trigger: TriggerName, at_once: bool, said: Vec<String>) -> Reply {
        let at_once = at_once || matches!(trigger, TriggerName::Distress | TriggerName::SystemFault | TriggerName::NoInput);
        let requires = self.flow.triggers.get(&trigger).map(|t| t.requires.clone()).unwrap_or_default();
        let to_ask: Vec<SlotKind> = if at_once {
            Vec::new()
        } else {
            requires.iter().filter_map(|name| self.flow.slot_named(name)).map(|s| s.kind).filter(|k| self.missing(*k)).collect()
        };
        let mut said = said;
        if !to_ask.is_empty() && self.pending.is_none() {
            said.push(self.say("before_person"));
        }
        self.on_the_way(Pending { trigger, to_ask }, said)
    }

    /// Asks once for each thing the agent will need, then hands over.
    fn on_the_way(&mut self, mut pending: Pending, said: Vec<String>) -> Reply {
        while !pending.to_ask.is_empty() {
            let kind = pending.to_ask.remove(0);
            if !self.missing(kind) {
                continue;
            }
            // "Am I speaking with …?" is answered faster than "your name?".
            if kind == SlotKind::Name && !self.denied && self.holder.is_none() && let Some(contact) = &self.contact {
                let line = self.flow.wording("am_i_speaking", 0).replace("{contact}", &contact.name);
                self.asking = Asking::Holder;
                self.pending = Some(pending);
                return self.listen([said, vec![line]].concat(), PATIENCE);
            }
            self.pending = Some(pending);
            return self.ask(kind, said);
        }
        self.asking = Asking::Nothing;
        let (disposition, queue) = self.flow.escalation(pending.trigger);
        Reply { say: said, interruptible: false, next: Next::Escalate { trigger: pending.trigger, disposition, queue } }
    }

    fn miss(&mut self, key: &'static str) -> Reply {
        if self.asking == Asking::Callback {
            return self.callback_miss();
        }
        self.misses += 1;
        if let Some(pending) = self.pending.take() {
            return self.on_the_way(pending, Vec::new());
        }
        if self.misses >= MISSES {
            return self.escalate(TriggerName::NoInput, true);
        }
        let again = self.last.last().cloned();
        let mut say = vec![self.say(key)];
        // The greeting is not said twice; its question is in the re-prompt.
        if self.asking != Asking::Help {
            say.extend(again);
        }
        let last = self.last.clone();
        let reply = self.listen(say, PATIENCE);
        self.last = last;
        reply
    }

    fn ask_order(&mut self, said: Vec<String>) -> Reply {
        let only = self.contact.as_ref().filter(|c| self.holder == Some(true) && c.orders.len() == 1).and_then(|c| c.orders.first().cloned());
        let refused = matches!(&self.asking, Asking::KnownOrder(_));
        match only.filter(|_| !refused && !self.turn.contains_key("confirm_known_order")) {
            Some(order) => {
                let line = self.say("confirm_known_order").replace("{order}", &order.number).replace("{item}", &order.item);
                self.asking = Asking::KnownOrder(order.number);
                self.listen([said, vec![line]].concat(), PATIENCE)
            }
            None => self.ask(SlotKind::Order, said),
        }
    }

    fn ask(&mut self, kind: SlotKind, said: Vec<String>) -> Reply {
        let key = match kind {
            SlotKind::Name => "ask name",
            SlotKind::Reason => "ask reason",
            SlotKind::Order => "ask order",
            SlotKind::Amount => "ask amount",
            SlotKind::Phone => "ask phone",
        };
        let nth = self.turn.entry(key).or_default();
        let asked = *nth;
        *nth += 1;
        let line = self.flow.slot(kind).and_then(|s| s.ask.get(asked % s.ask.len().max(1)).cloned()).unwrap_or_default();
        self.asking = Asking::Slot(kind);
        let patience = if matches!(kind, SlotKind::Order | SlotKind::Phone) { PATIENCE_LOOKING } else { PATIENCE };
        self.listen([said, vec![line]].concat(), patience)
    }

    fn acknowledge_order(&mut self, said: &mut Vec<String>) {
        let slot = self.flow.slot(SlotKind::Order).map(|s| s.name.clone()).unwrap_or_default();
        if let Some(value) = self.form.get(&slot).filter(|v| v.confirmed).cloned() {
            said.push(self.say("got_it").replace("{order}", &value.value));
        }
    }

    fn callback_answer(&mut self, text: &str) -> Reply {
        let this = ["this number", "this one", "same number", "number i'm calling", "the number i called"].iter().any(|p| text.to_lowercase().contains(p));
        let number = match hear::phone(text) {
            Some(number) => Some(number),
            None if this || hear::yes_no(text) == Some(true) => self.number.clone(),
            None => None,
        };
        match number {
            Some(number) => {
                self.set(SlotKind::Phone, number.clone(), true, Source::Speech);
                let say = vec![self.say("callback_done").replace("{phone}", &number), self.say("goodbye")];
                Reply { say, interruptible: false, next: Next::Finish { disposition: self.flow.callback.clone() } }
            }
            None if hear::yes_no(text) == Some(false) || hear::is_done(text) => {
                let say = vec![self.say("callback_none"), self.say("goodbye")];
                Reply { say, interruptible: false, next: Next::Finish { disposition: self.flow.abandoned.clone() } }
            }
            None => self.callback_miss(),
        }
    }

    /// After two misses the number the caller rang from will do; without one, nothing can be promised.
    fn callback_miss(&mut self) -> Reply {
        self.misses += 1;
        if self.misses < 2 {
            let say = vec![self.say("say_again"), self.say("callback_ask")];
            return self.listen(say, PATIENCE_LOOKING);
        }
        match self.number.clone() {
            Some(number) => self.callback_answer(&number),
            None => self.callback_answer("no"),
        }
    }

    fn listen(&mut self, say: Vec<String>, patience: Duration) -> Reply {
        self.last.clone_from(&say);
        Reply { say, interruptible: true, next: Next::Listen { patience } }
    }

    fn say(&mut self, key: &'static str) -> String {
        let nth = self.turn.entry(key).or_default();
        let text = self.flow.wording(key, *nth);
        *nth += 1;
        text
    }

    fn with_slots(&self, text: &str) -> String {
        self.form.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), &value.value))
    }

    fn attempt(&mut self, action: &str, outcome: &str) {
        self.attempts.push(Attempt { action: action.into(), outcome: outcome.into() });
    }

    fn missing(&self, kind: SlotKind) -> bool {
        self.flow.slot(kind).is_some_and(|s| self.form.get(&s.name).is_none() && !self.skipped.contains(&s.name))
    }

    fn unconfirmed_order(&self) -> Option<String> {
        let slot = self.flow.slot(SlotKind::Order)?;
        self.form.get(&slot.name).filter(|v| !v.confirmed).map(|v| v.value.clone())
    }

    fn amount_over_limit(&self) -> bool {
        let disputes = self.intent.is_some_and(|i| {
            let amount = self.flow.slot(SlotKind::Amount).map(|s| s.name.as_str());
            self.flow.intents[i].needs.iter().any(|n| Some(n.as_str()) == amount)
        });
        let cents = self.slot_text(SlotKind::Amount).and_then(|a| crate::numbers::money(&a, true));
        disputes && cents.is_some_and(|c| c > self.flow.amount_limit_cents)
    }

    fn set(&mut self, kind: SlotKind, value: impl Into<String>, confirmed: bool, source: Source) {
        if let Some(slot) = self.flow.slot(kind) {
            self.form.set(&slot.name, value, confirmed, source);
        }
    }

    fn clear(&mut self, kind: SlotKind) {
        if let Some(slot) = self.flow.slot(kind) {
            self.form.clear(&slot.name);
        }
    }
}
