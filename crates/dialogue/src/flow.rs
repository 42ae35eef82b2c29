//! A flow that is known to hold together. Only [`crate::compile`] makes one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::raw::{ActionKind, IfLate, SlotKind};

/// Why a person is called. The names are those of the call record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerName {
    /// The caller asked for a person.
    AskedForPerson,
    /// Nothing the assistant does fits.
    OutOfScope,
    /// What was tried did not help, twice.
    TwoFailedAttempts,
    /// A disputed amount above the flow's limit.
    AmountOverLimit,
    /// Rising frustration in words and voice.
    Frustration,
    /// Distress or danger.
    Distress,
    /// The caller is not the account holder and wants what only the holder may have.
    ThirdParty,
    /// Nothing was heard, or nothing understood, time and again.
    NoInput,
    /// Speech or the CRM is down.
    SystemFault,
}

impl TriggerName {
    /// Every trigger; each flow's config must map them all.
    pub const ALL: [Self; 9] = [
        Self::AskedForPerson,
        Self::OutOfScope,
        Self::TwoFailedAttempts,
        Self::AmountOverLimit,
        Self::Frustration,
        Self::Distress,
        Self::ThirdParty,
        Self::NoInput,
        Self::SystemFault,
    ];

    /// Its name in config, record and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AskedForPerson => "asked_for_person",
            Self::OutOfScope => "out_of_scope",
            Self::TwoFailedAttempts => "two_failed_attempts",
            Self::AmountOverLimit => "amount_over_limit",
            Self::Frustration => "frustration",
            Self::Distress => "distress",
            Self::ThirdParty => "third_party",
            Self::NoInput => "no_input",
            Self::SystemFault => "system_fault",
        }
    }
}

impl std::fmt::Display for TriggerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One conversation, checked.
#[derive(Debug)]
pub struct Flow {
    pub(crate) name: String,
    pub(crate) company: String,
    pub(crate) greeting: String,
    pub(crate) lines: BTreeMap<String, Vec<String>>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) amount_limit_cents: u64,
    pub(crate) solved: String,
    pub(crate) abandoned: String,
    pub(crate) callback: String,
    pub(crate) distress: Vec<Vec<String>>,
    pub(crate) triggers: BTreeMap<TriggerName, Trigger>,
    pub(crate) transfer: TransferRules,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub name: String,
    pub kind: SlotKind,
    pub ask: Vec<String>,
    pub form: Option<OrderForm>,
}

/// The form of an order number: letters, then digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderForm {
    pub letters: usize,
    pub digits: usize,
    pub dash: bool,
    pub assume: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Intent {
    pub name: String,
    pub phrases: Vec<Vec<String>>,
    pub action: Option<ActionKind>,
    pub needs: Vec<String>,
    pub done: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Trigger {
    pub disposition: String,
    pub briefing: String,
    pub template: String,
    pub queue: String,
    pub why: String,
    pub requires: Vec<String>,
}

/// How the agent is reached and when the two are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferRules {
    /// How long one agent's phone rings.
    pub ring_timeout: Duration,
    /// How long the CRM may take to acknowledge before `if_late` decides.
    pub crm_wait: Duration,
    /// What happens then.
    pub if_late: IfLate,
    /// Whether the end of the briefing accepts the call.
    pub accept_on_briefing_end: bool,
    /// How often a waiting caller is told that it goes on.
    pub news_every: Duration,
}

/// What is said by the call itself rather than by the conversation. Every flow has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Before the transfer. Never interrupted.
    Connecting,
    /// To a waiting caller, every so often.
    HoldNews,
    /// The very end.
    Goodbye,
    /// To the agent, after the briefing, where its end does not accept.
    AgentHelp,
    /// Speech-to-text is down: to the caller.
    SpeechDown,
}

impl Line {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::HoldNews => "hold_news",
            Self::Goodbye => "goodbye",
            Self::AgentHelp => "agent_help",
            Self::SpeechDown => "speech_down",
        }
    }
}

/// Names of all lines a flow must have: those of the call, and those of the conversation.
pub(crate) const LINES: [&str; 26] = [
    "connecting", "hold_news", "nobody_free", "goodbye", "agent_help", "speech_down", "am_i_speaking", "whose_account", "say_again",
    "no_input", "wait", "got_it", "confirm_order", "confirm_known_order", "order_not_found", "status", "status_eta", "did_that_help",
    "what_else", "anything_else", "offer_help", "before_person", "callback_ask", "callback_done", "callback_none", "checking",
];

impl Flow {
    /// The flow's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A line of the call's own, in its `nth` wording (they are used in turn).
    pub fn line(&self, line: Line, nth: usize) -> String {
        self.wording(line.key(), nth)
    }

    /// What is said in the same words in every call, to be synthesized before the first.
    pub fn prompts(&self) -> Vec<String> {
        let asks = self.slots.iter().flat_map(|s| s.ask.iter());
        let all = std::iter::once(&self.greeting).chain(asks).chain(self.lines.values().flatten());
        all.map(|text| self.filled(text)).filter(|text| !text.contains('{')).collect()
    }

    /// How the agent is reached.
    pub fn transfer(&self) -> TransferRules {
        self.transfer
    }

    /// Disposition of a call whose caller left before anything was settled.
    pub fn abandoned(&self) -> &str {
        &self.abandoned
    }

    /// Disposition of a call that ended with a promised callback.
    pub fn callback(&self) -> &str {
        &self.callback
    }

    /// Disposition and queue of a trigger.
    pub fn escalation(&self, trigger: TriggerName) -> (String, String) {
        self.triggers.get(&trigger).map_or_else(Default::default, |t| (t.disposition.clone(), t.queue.clone()))
    }

    pub(crate) fn wording(&self, key: &str, nth: usize) -> String {
        let wordings = self.lines.get(key).map_or(&[][..], Vec::as_slice);
        wordings.get(nth.checked_rem(wordings.len()).unwrap_or(0)).map_or_else(String::new, |text| self.filled(text))
    }

    pub(crate) fn greeting(&self) -> String {
        self.filled(&self.greeting)
    }

    pub(crate) fn slot(&self, kind: SlotKind) -> Option<&Slot> {
        self.slots.iter().find(|s| s.kind == kind)
    }

    pub(crate) fn slot_named(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|s| s.name == name)
    }

    fn filled(&self, text: &str) -> String {
        text.replace("{company}", &self.company)
    }
}
