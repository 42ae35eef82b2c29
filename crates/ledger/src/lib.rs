//! Systems of record behind one trait, written through a durable outbox. A write is recorded in the store before it is
//! sent; it has exactly one effect, also when the answer to it was lost or the process died in between.

mod embedded;
mod outbox;

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

pub use embedded::Embedded;
pub use outbox::{Delivery, DeliveryEvent, Outbox};

/// What a connector's method gives back: awaited by whoever asked.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, CrmError>> + Send + 'a>>;

/// Why a system of record did not answer as hoped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrmError {
    /// It cannot be reached, or fails for the moment: worth trying again.
    #[error("{0}")]
    Unavailable(String),
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
    /// It refuses this: trying again is no use.
    #[error("refused: {0}")]
    Refused(String),
}

/// How to find somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// By telephone number, as signalled.
    Phone(String),
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
    /// `vip` and the like.
    pub flags: Vec<String>,
    /// Their orders, newest first.
    pub orders: Vec<Order>,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// As written.
    pub number: String,
    /// What, in words.
    pub item: String,
    /// In a word that can be read out.
    pub status: String,
    /// In cents.
    pub amount_cents: u64,
    /// Expected on, ISO date.
    pub eta: Option<String>,
}

/// What is written of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseWrite {
    /// `call_id:step`: one effect per key.
    pub key: String,
    /// The call.
    pub call_id: String,
    /// The system's person.
    pub contact: Option<String>,
    /// The caller's name.
    pub caller_name: Option<String>,
    /// Whether the caller is the account holder.
    pub account_holder: Option<bool>,
    /// Why a person was called.
    pub trigger: Option<String>,
    /// The outcome's code.
    pub disposition: String,
    /// In words.
    pub summary: String,
    /// What was collected.
    pub slots: serde_json::Value,
}

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which system.
    pub system: String,
    /// The record's id there.
    pub record_id: String,
}

/// A system of record.
pub trait Crm: Send + Sync {
    /// Its name, for the record.
    fn name(&self) -> &str;

    /// Everybody who fits. More than one is no match: the caller must be asked.
    fn find_person(&self, lookup: Lookup) -> Answer<'_, Vec<Person>>;

    /// An order and whose it is.
    fn order(&self, number: String) -> Answer<'_, Option<(Order, Person)>>;

    /// Writes the call's case, or brings it up to date. The same key again changes nothing and is acknowledged again.
    fn write_case(&self, case: CaseWrite) -> Answer<'_, Receipt>;
}
