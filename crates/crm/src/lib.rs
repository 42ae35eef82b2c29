//! Systems of record behind one trait, written through a durable outbox. A connector ([`Crm`]) makes one try and says how
//! it went; trying again, the order of a call's writes and their memory across restarts are the [`Outbox`]'s.
//!
//! What must always hold:
//! - a write that was enqueued is delivered, or stands in the dead letters; it is never lost;
//! - it has one effect, also when the answer to it was lost or the process died in between;
//! - a call's writes reach the system in the order they were asked for;
//! - no secret is in an error, a log or a `Debug`.

pub mod config;
pub mod conformance;
mod connect;
mod embedded;
mod gorgias;
mod hook;
mod http;
mod hubspot;
mod mapping;
mod model;
mod numbering;
mod outbox;
pub mod privacy;
mod rt;
mod salesforce;
mod shopify;
mod two;
mod webhook;
mod zendesk;

use std::time::Duration;

use async_trait::async_trait;

pub use embedded::Embedded;
pub use hook::{Hook, HookAnswer, HookCall, HookConfig, JsonService};
pub use http::{HttpError, client};
pub use mapping::{Known, Mapping};
pub use model::{
    Capability, CapabilityState, CaseView, CaseWrite, CrmError, Hint, Lookup, Order, Person, PopRequest, Receipt,
    Record, ScreenPop, Step, Ticket,
};
pub use numbering::Numbering;
pub use outbox::{Delivery, DeliveryEvent, Outbox, Policy};
pub use rt::RtFields;
pub use two::TwoSystems;
pub use webhook::verify as verify_webhook;

/// A system of record. Its methods make one try each, bounded in time by who calls them; dropping the future gives up.
///
/// A write's key is its own: the same key again changes nothing and is acknowledged again, also if the first answer was
/// lost. What a write needs and is not there yet is made. A write that comes after the last word ([`Step::Complete`]) does
/// not undo it. [`conformance`] holds every connector to that.
#[async_trait]
pub trait Crm: Send + Sync {
    /// Its name, for records and receipts.
    fn name(&self) -> &str;

    /// Everybody who fits, with what is open for them. More than one is no match: the caller must be asked.
    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError>;

    /// The order of that number, and whose it is. Case, dashes and spaces in the number do not matter. Without it, a system
    /// that knows no orders.
    async fn order(&self, _number: String) -> Result<Option<(Order, Person)>, CrmError> {
        Ok(None)
    }

    /// The record of that kind (`ticket`, `claim`) and number, and whose it is.
    async fn record(&self, kind: String, number: String) -> Result<Option<(Record, Person)>, CrmError> {
        Err(CrmError::Refused(format!("{} looks up no {kind} by its number ({number})", self.name())))
    }

    /// One write of a call's case; what it does is said by its [`Step`].
    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError>;

    /// All records of that call: one, or none yet. More than one would be a fault of the connector.
    async fn cases(&self, call_id: &str) -> Result<Vec<CaseView>, CrmError>;

    /// The address of the case, or of the person while there is none, for the agent's phone and desk. Asks nothing, so that
    /// no phone rings later for it. `None` if the system has no page for it.
    fn page(&self, _request: &PopRequest) -> Option<String> {
        None
    }

    /// Has the agent's screen show the case, where the system can; says where it is to be seen.
    async fn screen_pop(&self, request: &PopRequest) -> Result<Option<ScreenPop>, CrmError> {
        Ok(self.page(request).map(|url| ScreenPop { url, native: false }))
    }

    /// What the credentials can and cannot do, tried live without leaving anything behind.
    async fn check(&self) -> Vec<Capability>;
}

/// For systems that cannot refuse a double: nothing was found, but may a try of before still have its effect?
fn settled(write: &CaseWrite, settle: Duration) -> Result<(), CrmError> {
    match write.hint.doubt.and_then(|doubt| settle.checked_sub(doubt)).filter(|left| !left.is_zero()) {
        Some(after) => Err(CrmError::NotNow { after, why: "a try without an answer may still take effect".into() }),
        None => Ok(()),
    }
}

/// Whether the help desk may close the case with this write: the assistant solved it alone. Where a person was called the
/// case is theirs to close, also when nobody came.
fn resolves(write: &CaseWrite) -> bool {
    write.step == Step::Complete && write.trigger.is_none()
}
