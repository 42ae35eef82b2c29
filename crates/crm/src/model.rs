//! What is said to a system of record and what it answers: people, orders, tickets, the call's writes, their receipts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Why a system of record did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrmError {
    /// It cannot be reached, or fails for the moment: worth another try. Nothing had an effect.
    #[error("{0}")]
    Unavailable(String),
    /// No answer within the time allowed. The effect may be there, or may still come.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke after the request was on its way. The effect may be there, or may still come.
    #[error("the answer was lost: {0}")]
    AnswerLost(String),
    /// Not asked at all: a rate limit, an open circuit breaker, or an effect of before that may still come.
    #[error("not before {} ms: {why}", after.as_millis())]
    NotNow {
        /// When asking makes sense again.
        after: Duration,
        /// What stands against it now.
        why: String,
    },
    /// The credentials do not suffice. Worth another try: they can be put right while the write waits.
    #[error("not allowed: {0}")]
    Denied(String),
    /// It will not take this, however often it is sent.
    #[error("refused: {0}")]
    Refused(String),
}

impl CrmError {
    /// Whether the request may have had, or may yet have, its effect.
    pub fn in_doubt(&self) -> bool {
        matches!(self, Self::TimedOut | Self::AnswerLost(_))
    }
}

/// How to find somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// By telephone number, in any writing: as signalled, or as typed by the caller.
    Phone(String),
    /// By e-mail address; case does not matter.
    Email(String),
    /// By the number of an order of theirs.
    Order(String),
    /// By full name.
    Name(String),
    /// By the system's own id.
    Id(String),
}

/// Somebody the system knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// The system's id.
    pub id: String,
    /// Full name.
    pub name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// E.164, the main one first.
    pub phones: Vec<String>,
    /// How they stand with the business, in the system's word: `active`, `suspended`, `customer`.
    pub standing: Option<String>,
    /// Free marks, such as `vip`.
    pub flags: Vec<String>,
    /// Their orders, newest first.
    pub orders: Vec<Order>,
    /// What is open with the help desk, newest first.
    pub tickets: Vec<Ticket>,
    /// What else the system says of them, by name (`tier` is `gold`): for a flow's rules and for checking what a caller says.
    pub attributes: BTreeMap<String, String>,
    /// Full names of those who may act for them.
    pub authorised: Vec<String>,
    /// What else is on their record and may be told: appointments, claims, tickets that have a word for where they stand.
    pub records: Vec<Record>,
}

impl Person {
    /// All of a kind that is on record; the help desk's tickets are of the kind `ticket`.
    pub fn all_records(&self) -> Vec<Record> {
        let ticket = |t: &Ticket| Record {
            kind: "ticket".into(),
            number: t.id.clone(),
            status: t.status.clone(),
            what: t.subject.clone(),
            due: None,
        };
        self.records.iter().cloned().chain(self.tickets.iter().map(ticket)).collect()
    }

    /// The attributes, with `standing`, and each flag as an attribute that is `yes`.
    pub fn all_attributes(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for flag in self.flags.iter().map(|flag| flag.trim().to_lowercase()) {
            match flag.split_once([':', '=']) {
                Some((name, value)) => all.insert(name.trim().to_owned(), value.trim().to_owned()),
                None => {
                    if flag == "vip" {
                        all.insert("tier".to_owned(), flag.clone());
                    }
                    all.insert(flag, "yes".to_owned())
                }
            };
        }
        all.extend(self.standing.clone().map(|standing| ("standing".into(), standing)));
        all.extend(self.attributes.clone());
        all
    }
}

/// Something on a person's record that has a state: an appointment, a claim, a ticket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// What it is, as a flow's `record` names it.
    pub kind: String,
    /// As the business writes it; empty if it has none.
    pub number: String,
    /// To be read out after "is": `being repaired`.
    pub status: String,
    /// What it is about; may be empty.
    pub what: String,
    /// When it is or is expected: an ISO date, or words.
    pub due: Option<String>,
}

/// Something open with the help desk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticket {
    /// The system's id.
    pub id: String,
    /// In words.
    pub subject: String,
    /// In the system's word: `open`, `pending`.
    pub status: String,
}

/// An order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// As the shop writes it.
    pub number: String,
    /// In words.
    pub item: String,
    /// In a word that can be read out: `shipped`, `delayed`.
    pub status: String,
    /// What was paid, in hundredths of `currency`.
    pub amount_cents: Option<i64>,
    /// ISO 4217.
    pub currency: String,
    /// ISO date.
    pub ordered_on: Option<String>,
    /// ISO date: when it is expected, or came.
    pub eta: Option<String>,
    /// For the agent.
    pub note: Option<String>,
}

/// Which of a call's writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The first: makes the call's case, before the agent is joined.
    #[default]
    Open,
    /// In between: brings the case up to date while the call goes on.
    Update,
    /// Adds the remark [`CaseWrite::note`]; what else the case says stays as it is.
    Note,
    /// Links the case to [`CaseWrite::contact`], found out later; what else it says stays as it is.
    Link,
    /// The case's last word: the call is over. A call that needs no person may have this one only.
    Complete,
}

impl Step {
    /// Its name, as stored and as part of keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Update => "update",
            Self::Note => "note",
            Self::Link => "link",
            Self::Complete => "complete",
        }
    }
}

/// One write of a call's case. It carries all that is known then, so that a later one makes good an earlier that was lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CaseWrite {
    /// `call_id:step`: one effect for each key.
    pub key: String,
    /// Whose case.
    pub call_id: String,
    /// Which write it is.
    pub step: Step,
    /// The caller's number.
    #[serde(default)]
    pub from: String,
    /// The called number.
    #[serde(default)]
    pub to: String,
    /// When the call began.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// The system's person.
    #[serde(default)]
    pub contact: Option<String>,
    /// The caller's name, as they gave it.
    #[serde(default)]
    pub caller_name: Option<String>,
    /// Whether the caller is the account holder; none if it stayed open.
    #[serde(default)]
    pub account_holder: Option<bool>,
    /// Why a person was called; none if nobody was.
    #[serde(default)]
    pub trigger: Option<String>,
    /// The business outcome's code.
    #[serde(default)]
    pub disposition: String,
    /// The queue whose agents are to take it.
    #[serde(default)]
    pub queue: Option<String>,
    /// In words.
    #[serde(default)]
    pub summary: String,
    /// What was collected, as in the call record.
    #[serde(default)]
    pub slots: serde_json::Value,
    /// The remark of a [`Step::Note`].
    #[serde(default)]
    pub note: Option<String>,
    /// The extension of the agent who took the call.
    #[serde(default)]
    pub agent: Option<String>,
    /// When the two were joined.
    #[serde(default)]
    pub bridged_at: Option<Timestamp>,
    /// When the call was over.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// What the outbox knows beside the words; not stored.
    #[serde(skip)]
    pub hint: Hint,
}

impl CaseWrite {
    /// The collected values, by slot name. Both forms are read: a bare value and the call record's `{"value": …}`.
    pub fn values(&self) -> Vec<(&str, String)> {
        let Some(slots) = self.slots.as_object() else { return Vec::new() };
        slots
            .iter()
            .filter_map(|(slot, value)| {
                let value = value.get("value").unwrap_or(value);
                let text = match value {
                    serde_json::Value::Null => return None,
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                Some((slot.as_str(), text))
            })
            .collect()
    }
}

/// What the outbox knows of a write beside its words. It spares a connector searches; one that ignores it is still right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hint {
    /// Nothing of this call was ever sent: there can be nothing to be found.
    pub fresh: bool,
    /// The record that an earlier write of this call was acknowledged with.
    pub record_id: Option<String>,
    /// How long ago a try of this write ended without an answer. Its effect may still come: a system that cannot refuse a
    /// double must not be asked again before that is out of the question.
    pub doubt: Option<Duration>,
}

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which system: [`crate::Crm::name`].
    pub system: String,
    /// The record's id there.
    pub record_id: String,
    /// When the write took effect.
    pub acknowledged_at: Timestamp,
}

impl Receipt {
    /// For a write that has just taken effect.
    pub fn now(system: &str, record_id: String) -> Self {
        Self { system: system.to_owned(), record_id, acknowledged_at: Timestamp::now() }
    }
}

/// A call's record as the system has it, read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseView {
    /// The record's id, as in the receipt.
    pub record_id: String,
    /// Whom it is linked to.
    pub contact: Option<String>,
    /// Our code, mapped back from the system's.
    pub disposition: Option<String>,
    /// All its text.
    pub text: String,
    /// Its remarks, oldest first.
    pub notes: Vec<String>,
    /// Whether the call is over.
    pub closed: bool,
}

/// Whose screen is to show what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PopRequest {
    /// Whose case.
    pub call_id: String,
    /// The record, from its receipt; none if the system has not acknowledged one yet.
    pub record_id: Option<String>,
    /// The system's person.
    pub contact: Option<String>,
    /// The extension of the agent whose phone rings.
    pub agent: Option<String>,
}

/// What the agent's screen shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenPop {
    /// The page of the record, or of the person while there is none. For a SIP header or the agent's desk.
    pub url: String,
    /// The system was told to open it on the agent's screen by itself, and took that.
    pub native: bool,
}

/// Something the credentials were tried for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// What: `find people`, `write calls`.
    pub what: String,
    /// How it went.
    pub state: CapabilityState,
}

/// How trying a capability went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CapabilityState {
    /// It works; with what was seen.
    Can(String),
    /// It does not, and what to do.
    Cannot(String),
    /// It cannot be tried without writing something, or the system offers nothing like it.
    Untried(String),
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, said) = match &self.state {
            CapabilityState::Can(said) => ("can", said),
            CapabilityState::Cannot(said) => ("CANNOT", said),
            CapabilityState::Untried(said) => ("untried", said),
        };
        write!(f, "{word:<8} {}: {said}", self.what)
    }
}

impl Capability {
    /// From a try: what was seen, or what went wrong.
    pub fn tried(what: &str, outcome: Result<String, CrmError>) -> Self {
        let state = match outcome {
            Ok(seen) => CapabilityState::Can(seen),
            Err(error) => CapabilityState::Cannot(error.to_string()),
        };
        Self { what: what.to_owned(), state }
    }

    /// Not tried, and why.
    pub fn untried(what: &str, why: &str) -> Self {
        Self { what: what.to_owned(), state: CapabilityState::Untried(why.to_owned()) }
    }
}
