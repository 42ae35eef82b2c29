//! Systems of record behind one trait, written through a durable outbox. A connector ([`Crm`]) makes one try and says how
//! it went; trying again, the order of a call's writes and their memory across restarts are the [`Outbox`]'s.
//!
//! What must always hold:
//! - a write that was enqueued is delivered, or stands in the dead letters; it is never lost;
//! - it has one effect, also when the answer to it was lost or the process died in between;
//! - a call's writes reach the system in the order they were asked for.

mod embedded;
mod numbering;
mod outbox;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use embedded::Embedded;
pub use numbering::Numbering;
pub use outbox::{Delivery, DeliveryEvent, Outbox, Policy};

/// A system of record. Its methods make one try each, bounded in time by who calls them; dropping the future gives up.
#[async_trait]
pub trait Crm: Send + Sync {
    /// Its name, for records and receipts.
    fn name(&self) -> &str;

    /// Everybody who fits. More than one is no match: the caller must be asked.
    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError>;

    /// The order of that number, and whose it is. Case, dashes and spaces in the number do not matter.
    async fn order(&self, number: String) -> Result<Option<(Order, Person)>, CrmError>;

    /// Makes the call's case, before the agent is joined. This and the next two: the same key again changes nothing and is
    /// acknowledged again, also if the first answer was lost; what the write needs and is not there yet is made.
    async fn write_case(&self, write: &CaseWrite) -> Result<Receipt, CrmError>;

    /// Brings the case up to date while the call goes on.
    async fn update_case(&self, write: &CaseWrite) -> Result<Receipt, CrmError>;

    /// The call is over: the case's last word.
    async fn complete_case(&self, write: &CaseWrite) -> Result<Receipt, CrmError>;
}

/// Why a system of record did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrmError {
    /// It cannot be reached, or fails for the moment: worth another try.
    #[error("{0}")]
    Unavailable(String),
    /// No answer within the time allowed. The effect may be there.
    #[error("no answer in time")]
    TimedOut,
    /// It will not take this, however often it is sent.
    #[error("refused: {0}")]
    Refused(String),
}

/// How to find somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// By telephone number, in any writing: as signalled, or as typed by the caller.
    Phone(String),
    /// By the number of an order of theirs.
    Order(String),
    /// By full name.
    Name(String),
    /// By the system's own id.
    Id(String),
}

/// Somebody the system knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The system's id.
    pub id: String,
    /// Full name.
    pub name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// E.164, the main one first.
    pub phones: Vec<String>,
    /// Free marks, such as `vip`.
    pub flags: Vec<String>,
    /// Their orders, newest first.
    pub orders: Vec<Order>,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The first: [`Crm::write_case`].
    #[default]
    Open,
    /// In between: [`Crm::update_case`].
    Update,
    /// The last: [`Crm::complete_case`]. A call that needs no person may have this one only.
    Complete,
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
    /// In words.
    #[serde(default)]
    pub summary: String,
    /// What was collected, as in the call record.
    #[serde(default)]
    pub slots: serde_json::Value,
    /// The extension of the agent who took the call.
    #[serde(default)]
    pub agent: Option<String>,
    /// When the two were joined.
    #[serde(default)]
    pub bridged_at: Option<Timestamp>,
    /// When the call was over.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
}

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which system: [`Crm::name`].
    pub system: String,
    /// The record's id there.
    pub record_id: String,
    /// When the write took effect.
    pub acknowledged_at: Timestamp,
}
