//! What crosses the border of this crate: facts in, replies out. Plain data, no rules.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Who the network says is calling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallerId {
    /// The calling number in E.164 form (`+15551234567`), when it is known and not withheld.
    pub number: Option<String>,
}

impl From<Option<String>> for CallerId {
    fn from(number: Option<String>) -> Self {
        Self { number }
    }
}

/// What the CRM knows of a person, as far as a conversation needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactView {
    /// The CRM's own identifier.
    pub id: String,
    /// Full name, as the CRM writes it.
    pub name: String,
    /// The person's orders, newest first.
    #[serde(default)]
    pub orders: Vec<OrderView>,
    /// How the person was found: `caller_id`, `phone`, `order` or `name`.
    #[serde(default)]
    pub matched_by: String,
    /// Other things on the person's record: tickets, appointments, claims; newest first.
    #[serde(default)]
    pub records: Vec<RecordView>,
    /// What else the CRM says of the person (`tier` = `vip`, `date_of_birth` = `1978-03-03`), for rules and for checking
    /// what a caller says. Never read out.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Full names of those who may act for the person.
    #[serde(default)]
    pub authorised: Vec<String>,
}

/// A ticket, an appointment, a claim: anything with a state that may be told on the phone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordView {
    /// What it is, as a flow's `record` names it: `ticket`, `appointment`, `claim`.
    pub kind: String,
    /// Its number, as the store writes it; empty when it has none.
    #[serde(default)]
    pub number: String,
    /// Where it stands, to be read after "is": `being repaired`, `confirmed`.
    pub status: String,
    /// What it is about, in words.
    #[serde(default)]
    pub what: String,
    /// When it is, or is expected: an ISO date or words.
    #[serde(default)]
    pub when: Option<String>,
}

/// What the caller's voice said beside the words, as `crates/tone` scores it. Plain data: no rule here reads sound.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ToneReading {
    /// Frustration in this utterance, 0 to 1, relative to the caller's own start.
    pub score: f32,
    /// The highest score of the call so far.
    pub peak: f32,
    /// Why, with figures, for the record (`6 dB louder than at the start`).
    pub why: Vec<String>,
    /// Why, without figures, for the agent (`speaks much louder than at the start`).
    #[serde(default)]
    pub plain: Vec<String>,
}

/// One order, as far as it may be told on the phone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// The order's number, as the store writes it (`A-1042`).
    pub number: String,
    /// Where it stands: `processing`, `shipped`, `delayed`, `delivered`, `cancelled`, or the store's own word.
    pub status: String,
    /// What was ordered, in words (`blue kettle`).
    #[serde(default)]
    pub item: String,
    /// What was paid, in cents.
    #[serde(default)]
    pub amount_cents: u64,
    /// When it is expected or was delivered: an ISO date or words (`on Friday`).
    #[serde(default)]
    pub eta: Option<String>,
}

/// What the caller hears next, and what happens after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Sentences in the order to be spoken; may be empty (while digits are being typed, for one).
    pub say: Vec<String>,
    /// Whether the caller may speak over it.
    pub interruptible: bool,
    /// What happens once it was said.
    pub next: Next,
}

/// What happens after a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Listen; call [`crate::Intake::no_input`] when nothing was said for so long.
    Listen {
        /// Silence, from the end of the reply, after which the caller is asked again.
        patience: Duration,
    },
    /// Do this and answer with [`crate::Intake::action_result`].
    Act(Action),
    /// Bring in a person.
    Escalate {
        /// Why.
        trigger: TriggerName,
        /// The business outcome's code for the call record.
        disposition: String,
        /// The queue whose agents are to be rung.
        queue: String,
    },
    /// Say it, then hang up.
    Finish {
        /// The business outcome's code for the call record.
        disposition: String,
    },
}

/// Something to be looked up or done outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Look up one order by its number.
    OrderStatus {
        /// In the flow's canonical form (`A-1042`); stores should compare letters and digits only.
        number: String,
    },
    /// Look up something else on record.
    Lookup {
        /// What: `ticket`, `appointment`, `claim`.
        record: String,
        /// Its number, when the caller gave one.
        number: Option<String>,
        /// The CRM's identifier of the person, when the caller is known to be that person.
        contact: Option<String>,
    },
    /// Call a web hook of the config.
    Webhook {
        /// Its name.
        name: String,
        /// What was collected, by slot.
        values: BTreeMap<String, String>,
    },
}

/// What came of an [`Action`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionResult {
    /// The order and whose it is, or that there is none of that number. Nothing of it is read out unless that is the caller.
    Order(Option<(OrderView, ContactView)>),
    /// What [`Action::Lookup`] found and whose it is. Nothing of it is read out unless that is the caller.
    Record(Option<(RecordView, ContactView)>),
    /// A web hook answered.
    Hook {
        /// Whether what was asked for was done.
        done: bool,
        /// A sentence for the caller, when it gave one.
        say: Option<String>,
    },
    /// The system did not answer, or answered with a fault.
    Failed,
}

/// One thing that was tried for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The action's name in the flow (`order_status`).
    pub action: String,
    /// What came of it, in words.
    pub outcome: String,
}

/// What sort of answer is expected, so that the ear can be tuned for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Free speech.
    Anything,
    /// Yes or no.
    YesNo,
    /// A number, perhaps with letters, of so many digits: callers pause inside it.
    Number(usize),
    /// A person's name.
    Name,
    /// Something spelled or said with pauses, so many characters at most: an e-mail address, a spelled word.
    Spelled(usize),
}

/// Why a person is called. The strings are those of the call record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerName {
    /// The caller asked for one.
    AskedForPerson,
    /// The flow offers nothing for what the caller wants.
    OutOfScope,
    /// What could be tried was tried, and did not help.
    TwoFailedAttempts,
    /// A disputed amount is above what the assistant may handle.
    AmountOverLimit,
    /// Complaint in words and tone.
    Frustration,
    /// Words of danger or despair.
    Distress,
    /// The caller is not the account holder.
    ThirdParty,
    /// Nothing, or nothing understandable, was said for several turns.
    NoInput,
    /// A part of the system is down.
    SystemFault,
    /// A rule over what was collected says that the case is one for a person.
    Complexity,
    /// A rule over the CRM's record of the person says so.
    Vip,
}

impl TriggerName {
    /// Every trigger.
    pub const ALL: [Self; 11] = [
        Self::AskedForPerson,
        Self::OutOfScope,
        Self::TwoFailedAttempts,
        Self::AmountOverLimit,
        Self::Frustration,
        Self::Distress,
        Self::ThirdParty,
        Self::NoInput,
        Self::SystemFault,
        Self::Complexity,
        Self::Vip,
    ];

    /// As it stands in the config and the call record.
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
            Self::Complexity => "complexity",
            Self::Vip => "vip",
        }
    }

    /// The trigger of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == name)
    }
}

impl fmt::Display for TriggerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the briefing must add about the transfer itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BriefingNotes {
    /// The CRM has not acknowledged the case yet.
    pub record_late: bool,
}

/// What the agent is told before the caller is joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Briefing {
    /// Name of the template.
    pub template: String,
    /// To be spoken: at most about 20 seconds, most important first.
    pub text: String,
}
