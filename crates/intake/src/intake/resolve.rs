//! Trying to help: telling an order's status, taking a request down, and hearing whether that solved it. What is tried
//! is an [`Attempt`]; what did not help counts towards the trigger `two_failed_attempts`.

use super::listen::{Gained, Heard, same_code};
use super::{Focus, Intake};
use crate::api::{Action, ActionResult, Attempt, ContactView, Next, OrderView, RecordView, Reply, TriggerName};
use crate::flow::Does;
use crate::raw::SlotKind;
use crate::understand::mood::mood;
use crate::understand::{dates, lexicon, names};

/// So many attempts that did not help bring in a person, when the trigger does not say.
const FAILURES: usize = 2;

impl Intake {
    /// Everything needed is there: do what the intent leads to.
    pub(super) fn act(&mut self, mut say: Vec<String>) -> Reply {
        let flow = self.flow.clone();
        let Some(intent) = self.topic.and_then(|t| flow.intents.get(t)) else { return self.step(say) };
        match &intent.does {
            Does::OrderStatus => self.look_up(say),
            Does::Lookup { record, by } => self.look_up_record(record, by.as_deref(), say),
            Does::Webhook { name, .. } => {
                let values = self.form.slots().iter().map(|(k, v)| (k.clone(), v.value.clone())).collect();
                self.do_action(Action::Webhook { name: name.clone(), values }, say)
            }
            Does::TakeRequest(done) => {
                if self.failed > 0 {
                    // What the caller said since goes to the same request.
                    self.attempts.push(Attempt { action: "take_request".into(), outcome: "request extended".into() });
                    say.push(flow.say.added.clone());
                } else {
                    let outcome = format!("request taken down: {}", intent.label);
                    self.attempts.push(Attempt { action: "take_request".into(), outcome });
                    say.push(done.render(&|name| self.told_back(name)));
                }
                self.focus = Focus::Helped;
                say.push(flow.say.helped.clone());
                self.listen_after(say)
            }
            Does::Trigger(trigger) => {
                self.pend(*trigger);
                self.step_to_person(say)
            }
        }
    }

    fn look_up(&mut self, mut say: Vec<String>) -> Reply {
        let Some(number) = self.slot_value(SlotKind::Number) else {
            if let Some(only) = self.only_order() {
                let line = self.offer(only);
                if let Some(slot) = self.slot_name(SlotKind::Number) {
                    self.renew.insert(slot);
                }
                say.push(line);
                return self.listen_after(say);
            }
            self.attempts.push(Attempt { action: "order_status".into(), outcome: "no order number to look up".into() });
            say.push(self.flow.say.no_number.clone());
            self.pend(TriggerName::OutOfScope);
            return self.step_to_person(say);
        };
        let own = self.own_orders().find(|o| self.may_be_told() && same_code(&o.number, &number)).cloned();
        // A second attempt asks the system again: the view may have been old.
        if let Some(order) = own
            && self.failed == 0
        {
            return self.tell(&order, say);
        }
        self.do_action(Action::OrderStatus { number }, say)
    }

    /// Where something else on record stands. What the caller's own record shows is told from there, the first time.
    fn look_up_record(&mut self, record: &str, by: Option<&str>, say: Vec<String>) -> Reply {
        let number = by.and_then(|slot| self.form.text(slot)).map(str::to_owned);
        let fits = |r: &&RecordView| r.kind == record && number.as_deref().is_none_or(|n| same_code(&r.number, n));
        let own = self.contact().filter(|_| self.may_be_told()).and_then(|c| c.records.iter().find(fits)).cloned();
        if let Some(own) = own
            && self.failed == 0
        {
            return self.tell_record(&own, say);
        }
        let contact = self.contact().filter(|_| self.may_be_told()).map(|c| c.id.clone());
        self.do_action(Action::Lookup { record: record.to_owned(), number, contact }, say)
    }

    fn tell_record(&mut self, record: &RecordView, mut say: Vec<String>) -> Reply {
        let when = record.when.as_deref().map(|w| dates::spoken(w, self.today).unwrap_or_else(|| w.to_owned()));
        let number = Some(record.number.as_str()).filter(|n| !n.is_empty());
        let values = [
            ("what", Some(record.kind.as_str())),
            ("number", number),
            ("status", Some(record.status.as_str())),
            ("when", when.as_deref()),
        ];
        let outcome = [Some("told that the"), values[0].1, number, Some("is"), values[2].1, when.as_deref()];
        let outcome = outcome.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let attempt = Attempt { action: format!("{}_status", record.kind), outcome };
        say.push(self.fill(&self.flow.say.record_is, &values));
        self.give_answer(attempt, say)
    }

    /// An answer is given, `say`'s last line, and the caller asked whether it helps. The very answer that did not help before is
    /// another attempt in vain by itself: nobody is made to hear it twice and to say once more that it is of no use.
    fn give_answer(&mut self, attempt: Attempt, mut say: Vec<String>) -> Reply {
        let answer = say.last().cloned();
        let again = self.failed > 0 && answer.is_some() && self.told == answer;
        self.told = answer;
        if again {
            self.failed += 1;
            let outcome = "asked again, and the answer is the same; not solved".to_owned();
            self.attempts.push(Attempt { action: attempt.action, outcome });
            if self.failed >= self.most_failures() {
                say.pop();
                return self.failed_again(say);
            }
        } else {
            self.attempts.push(attempt);
        }
        self.focus = Focus::Helped;
        say.push(self.flow.say.helped.clone());
        self.listen_after(say)
    }

    fn record_found(&mut self, record: &str, number: Option<&str>, found: Option<(RecordView, ContactView)>) -> Reply {
        match found {
            Some((view, holder)) if self.is_holder(&holder) => {
                if !self.identified && self.account_holder() != Some(false) {
                    self.contact = Some(holder);
                    self.stranger = false;
                    if let Some(name) = self.slot_value(SlotKind::PersonName) {
                        self.match_name(&name);
                    }
                }
                self.tell_record(&view, Vec::new())
            }
            found => {
                let why = if found.is_some() { "is under another name; nothing was read out" } else { "was not found" };
                self.failed += 1;
                let named = number.map(|n| format!(" {n}")).unwrap_or_default();
                self.attempts
                    .push(Attempt { action: format!("{record}_status"), outcome: format!("{record}{named} {why}") });
                let line = self.fill(&self.flow.say.no_record, &[("what", Some(record))]);
                let by = self.topic.and_then(|t| self.flow.intents.get(t)).and_then(|i| match &i.does {
                    Does::Lookup { by, .. } => by.clone(),
                    _ => None,
                });
                match by.filter(|_| self.failed < self.most_failures()) {
                    Some(slot) => {
                        self.asked.remove(&slot);
                        self.renew.insert(slot);
                        self.step(vec![line])
                    }
                    None => self.failed_again(vec![line]),
                }
            }
        }
    }

    fn hook_done(&mut self, name: &str, done: bool, said: Option<String>) -> Reply {
        if !done {
            self.attempts.push(Attempt { action: name.to_owned(), outcome: "was refused".into() });
            return self.failed_again(said.into_iter().collect());
        }
        self.attempts.push(Attempt { action: name.to_owned(), outcome: "done".into() });
        let flow = self.flow.clone();
        let intent = self.topic.and_then(|t| flow.intents.get(t));
        let line = match intent.map(|i| &i.does) {
            Some(Does::Webhook { done, .. }) => done.render(&|slot| self.told_back(slot)),
            _ => String::new(),
        };
        self.focus = Focus::Helped;
        self.listen_after(vec![said.unwrap_or(line), flow.say.helped.clone()])
    }

    fn most_failures(&self) -> usize {
        self.flow.triggers.get(&TriggerName::TwoFailedAttempts).and_then(|t| t.after).unwrap_or(FAILURES)
    }

    fn do_action(&mut self, action: Action, mut say: Vec<String>) -> Reply {
        self.acting = Some(action.clone());
        self.focus = Focus::Acting;
        say.push(self.flow.say.looking.clone());
        Reply { say, interruptible: false, next: Next::Act(action) }
    }

    pub(super) fn resolved(&mut self, result: ActionResult) -> Reply {
        let Some(action) = self.acting.take() else {
            let last = self.last.clone();
            return self.listen_after(last);
        };
        match (action, result) {
            (Action::OrderStatus { number }, ActionResult::Order(found)) => self.order_found(&number, found),
            (Action::Lookup { record, number, .. }, ActionResult::Record(found)) => {
                self.record_found(&record, number.as_deref(), found)
            }
            (Action::Webhook { name, .. }, ActionResult::Hook { done, say }) => self.hook_done(&name, done, say),
            (action, _) => {
                let (action, outcome) = match action {
                    Action::OrderStatus { .. } => ("order_status".to_owned(), "the order system did not answer"),
                    Action::Lookup { record, .. } => (format!("{record}_status"), "the system did not answer"),
                    Action::Webhook { name, .. } => (name, "the system did not answer"),
                };
                self.attempts.push(Attempt { action, outcome: outcome.into() });
                self.escalate_now(TriggerName::SystemFault, vec![self.flow.say.lookup_failed.clone()])
            }
        }
    }

    fn order_found(&mut self, number: &str, found: Option<(OrderView, ContactView)>) -> Reply {
        match found {
            Some((order, holder)) if self.is_holder(&holder) => {
                if !self.identified && self.account_holder() != Some(false) {
                    self.contact = Some(holder);
                    self.stranger = false;
                    if let Some(name) = self.slot_value(SlotKind::PersonName) {
                        self.match_name(&name);
                    }
                }
                self.match_number();
                self.tell(&order, Vec::new())
            }
            Some(_) => self.not_usable(
                "order is under another name; nothing was read out",
                self.flow.say.not_yours.clone(),
                number,
            ),
            None => self.not_usable("no such order", self.flow.say.not_found.clone(), number),
        }
    }

    /// Whether the caller is who the order belongs to: identified as that contact, or by giving both the order's number
    /// and the holder's full name.
    fn is_holder(&self, holder: &ContactView) -> bool {
        if self.flow.identity.reveal_status {
            return true;
        }
        if self.account_holder() == Some(false) {
            return self.is_authorised() && self.contact().is_some_and(|c| c.id == holder.id);
        }
        if !self.mismatched.is_empty() {
            return false;
        }
        if self.identified {
            return self.contact.as_ref().is_some_and(|c| c.id == holder.id);
        }
        self.slot_value(SlotKind::PersonName).is_some_and(|name| names::same_in_full(&name, &holder.name))
    }

    /// The number led nowhere: once it is asked for again, then a person takes over.
    fn not_usable(&mut self, outcome: &str, line: String, number: &str) -> Reply {
        self.failed += 1;
        self.attempts.push(Attempt { action: "order_status".into(), outcome: format!("{number}: {outcome}") });
        let line = self.fill(&line, &[("number", Some(number))]);
        if self.failed >= self.most_failures() {
            return self.failed_again(vec![line]);
        }
        if let Some(slot) = self.slot_name(SlotKind::Number) {
            self.asked.remove(&slot);
            self.renew.insert(slot);
        }
        self.step(vec![line])
    }

    fn tell(&mut self, order: &OrderView, mut say: Vec<String>) -> Reply {
        let (sentence, outcome) = told(order);
        self.order = Some(order.clone());
        // What was just acknowledged need not be named twice.
        let item = self.fill(&self.flow.say.took, &[("number", Some(&order.number)), ("item", Some(&order.item))]);
        say.retain(|line| *line != item);
        say.push(sentence);
        self.give_answer(Attempt { action: "order_status".into(), outcome }, say)
    }

    /// Silence after "does that help?". Once is no answer. Then it is consent, unless an answer was of no help before: who has
    /// said so and falls silent has not been helped, and a person sees to it.
    pub(super) fn silent_after_answer(&mut self) -> Option<Reply> {
        if self.silent == 0 {
            return None;
        }
        if self.failed == 0 {
            return Some(self.finish());
        }
        self.mark_unsolved();
        self.failed = self.failed.max(self.most_failures());
        Some(self.failed_again(Vec::new()))
    }

    /// What was said after an answer, after "anything else?", after "what is still open?".
    pub(super) fn after_resolution(&mut self, heard: &Heard, gained: &Gained) -> Option<Reply> {
        let words = &heard.words;
        let answer = lexicon::answer(words);
        // "Thanks for nothing" is no thanks.
        let complains = mood(words).complaints > 0;
        let content = lexicon::is_content(words) && !complains;
        let done = lexicon::is_done(words) && !complains;
        let answer = answer.or(complains.then_some(false));
        match self.focus {
            Focus::Helped => {
                self.unmatched = 0;
                let topic = gained.topic && words.len() > 3;
                let unsolved = answer == Some(false) && !done && !content;
                let more = words.len() > 4 && !done && !content && answer != Some(true);
                if done && !(unsolved || topic && answer == Some(false)) {
                    return Some(self.finish());
                }
                if unsolved || (more && topic) {
                    return Some(self.did_not_help(words.len() > 4));
                }
                if answer == Some(true) || content {
                    return Some(if topic { self.step(Vec::new()) } else { self.anything_else() });
                }
                if gained.any { Some(self.step(Vec::new())) } else { None }
            }
            Focus::AnythingElse => {
                self.unmatched = 0;
                if gained.topic || (gained.any && answer != Some(false)) {
                    self.failed = 0;
                    return Some(self.step(Vec::new()));
                }
                if done || answer == Some(false) || (content && words.len() <= 6) {
                    return Some(self.finish());
                }
                if answer == Some(true) {
                    self.topic = None;
                    return Some(self.step(Vec::new()));
                }
                None
            }
            Focus::StillOpen if done && !gained.any => Some(self.finish()),
            // Whatever is still open, a second look is the second attempt.
            Focus::StillOpen => Some(self.step(Vec::new())),
            _ => None,
        }
    }

    fn anything_else(&mut self) -> Reply {
        self.focus = Focus::AnythingElse;
        let line = self.flow.say.anything_else.clone();
        self.listen_after(vec![line])
    }

    fn did_not_help(&mut self, explained: bool) -> Reply {
        self.mark_unsolved();
        self.failed += 1;
        if self.failed >= self.most_failures() {
            return self.failed_again(Vec::new());
        }
        if explained {
            return self.step(Vec::new());
        }
        self.focus = Focus::StillOpen;
        let line = self.flow.say.not_helped.clone();
        self.listen_after(vec![line])
    }

    fn failed_again(&mut self, say: Vec<String>) -> Reply {
        self.pend(TriggerName::TwoFailedAttempts);
        self.step_to_person(say)
    }

    /// The answer on the table did not help.
    pub(super) fn mark_unsolved(&mut self) {
        if matches!(self.focus, Focus::Helped)
            && let Some(last) = self.attempts.last_mut()
            && !last.outcome.ends_with("not solved")
        {
            last.outcome.push_str("; not solved");
        }
    }

    pub(super) fn finish(&mut self) -> Reply {
        let intent = self.topic.and_then(|t| self.flow.intents.get(t));
        let helped = matches!(self.focus, Focus::Helped | Focus::AnythingElse) && !self.attempts.is_empty();
        let disposition = match intent {
            Some(intent) if helped => intent.solved.clone(),
            None if helped => self.flow.dispositions.solved.clone(),
            _ => self.flow.dispositions.nothing_done.clone(),
        };
        self.end(vec![self.flow.say.goodbye.clone()], disposition)
    }

    pub(super) fn end(&mut self, say: Vec<String>, disposition: String) -> Reply {
        self.focus = Focus::Over;
        let reply = Reply { say, interruptible: false, next: Next::Finish { disposition } };
        self.over = Some(Reply { say: Vec::new(), ..reply.clone() });
        reply
    }
}

/// An order's state as a sentence for the caller, and as an outcome for the record.
fn told(order: &OrderView) -> (String, String) {
    let status = order.status.trim().to_lowercase().replace('_', " ");
    let is = match status.as_str() {
        "processing" | "pending" | "preparing" | "confirmed" | "received" | "open" => "is being prepared".to_owned(),
        "shipped" | "dispatched" => "has been shipped".to_owned(),
        "in transit" | "on the way" => "is on its way".to_owned(),
        "delivered" => "was delivered".to_owned(),
        "cancelled" | "canceled" => "was cancelled".to_owned(),
        "returned" => "was returned".to_owned(),
        "refunded" => "was refunded".to_owned(),
        other => format!("is {other}"),
    };
    let item = if order.item.is_empty() { String::new() } else { format!(", the {},", order.item) };
    let eta = order
        .eta
        .as_deref()
        .map(str::trim)
        .filter(|e| !e.is_empty())
        .map(|e| if e.starts_with(|c: char| c.is_ascii_digit()) { format!("on {e}") } else { e.to_owned() });
    let past = matches!(status.as_str(), "delivered" | "cancelled" | "canceled" | "returned" | "refunded");
    let (when, note) = match eta {
        Some(eta) if past => (format!(" {eta}."), format!(" {eta}")),
        Some(eta) => (format!(". It should arrive {eta}."), format!(", expected {eta}")),
        None => (".".to_owned(), String::new()),
    };
    (format!("Order {}{item} {is}{when}", order.number), format!("told that {} {is}{note}", order.number))
}
