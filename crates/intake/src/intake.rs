//! The conversation.

use std::sync::Arc;
use std::time::Duration;

use crate::api::{
    ActionResult, Attempt, Briefing, BriefingNotes, CallerId, ContactView, Expected, Handback, Next, Reply, TriggerName,
};
use crate::flow::Flow;
use crate::form::Form;

/// One conversation with a caller.
#[derive(Debug, Clone)]
pub struct Intake {
    flow: Arc<Flow>,
    caller: CallerId,
    contact: Option<ContactView>,
    form: Form,
    attempts: Vec<Attempt>,
}

impl Intake {
    /// A conversation that has not begun.
    pub fn new(flow: Arc<Flow>, caller: CallerId) -> Self {
        Self { flow, caller, contact: None, form: Form::default(), attempts: Vec::new() }
    }

    /// The CRM's answer about the caller; may come at any time.
    pub fn contact(&mut self, contact: ContactView) {
        self.contact = Some(contact);
    }

    /// Greeting and first question.
    pub fn begin(&mut self) -> Reply {
        let _ = &self.caller;
        Reply {
            say: vec![self.flow.greeting.clone()],
            interruptible: true,
            next: Next::Listen { patience: Duration::from_secs(7) },
        }
    }

    /// The caller said this. `confidence` is 0 to 1.
    pub fn heard(&mut self, text: &str, confidence: f32) -> Reply {
        let _ = (text, confidence);
        self.begin()
    }

    /// The caller typed these keys: one, or several at once. `0` asks for a person, `#` ends a number.
    pub fn digits(&mut self, keys: &str) -> Reply {
        let _ = keys;
        self.begin()
    }

    /// Nothing was said within the reply's patience.
    pub fn no_input(&mut self) -> Reply {
        self.begin()
    }

    /// The answer to [`Next::Act`].
    pub fn action_result(&mut self, result: ActionResult) -> Reply {
        let _ = result;
        self.begin()
    }

    /// A transfer failed and the caller is back: apologise, take a number to call back, finish.
    pub fn handed_back(&mut self, why: Handback) -> Reply {
        let _ = why;
        self.begin()
    }

    /// Bring in a person for a reason the conversation itself does not see: a system fault, a supervisor's wish.
    pub fn escalate(&mut self, trigger: TriggerName) -> Reply {
        let _ = trigger;
        self.begin()
    }

    /// Words the ear should expect now.
    pub fn hints(&self) -> String {
        String::new()
    }

    /// The sort of answer expected now.
    pub fn expected(&self) -> Expected {
        Expected::Anything
    }

    /// What was collected.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// What was tried.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The CRM's person that this call is about, if it was found.
    pub fn known_contact(&self) -> Option<&ContactView> {
        self.contact.as_ref()
    }

    /// Whether the caller is the account holder; `None` when that was not settled.
    pub fn account_holder(&self) -> Option<bool> {
        None
    }

    /// Written summary for the CRM.
    pub fn summary(&self, trigger: Option<TriggerName>) -> String {
        let _ = trigger;
        String::new()
    }

    /// What the agent is told before the caller is joined.
    pub fn briefing(&self, trigger: TriggerName, notes: &BriefingNotes) -> Briefing {
        let _ = (trigger, notes);
        Briefing { template: String::new(), text: String::new() }
    }
}
