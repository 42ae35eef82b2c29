//! What is collected from a caller, when a person is called, and what that person is told. Pure: no socket, no clock, no
//! file. Texts and digits come in, lines to say and the next step come out.
//!
//! What must always hold: nothing is said of an order before the caller is known to be its holder; a briefing names only what
//! was collected; every way out has a disposition.

mod briefing;
mod compile;
mod flow;
mod form;
mod intake;
pub mod numbers;
pub mod raw;
mod understand;

use std::time::Duration;

use serde::Serialize;

pub use briefing::{Briefing, BriefingNotes};
pub use compile::{ConfigError, compile};
pub use flow::{Flow, IfLate, Line, TransferRules, TriggerName};
pub use form::{Form, SlotValue, Source};
pub use intake::Intake;

/// What the CRM knows of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactView {
    /// The CRM's id.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Their orders, newest first.
    pub orders: Vec<OrderView>,
    /// How they were found: `caller_id`, `order`, …
    pub matched_by: String,
}

/// What the CRM knows of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderView {
    /// As it is written, e.g. `A-1042`.
    pub number: String,
    /// What was ordered, in words.
    pub item: String,
    /// Its status, in a word that can be read out: "delayed".
    pub status: String,
    /// Price in cents.
    pub amount_cents: u64,
    /// Expected on, as an ISO date, if that is known.
    pub eta: Option<String>,
}

/// Something the assistant wants done outside. Answer with [`Intake::action_result`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look this order up.
    OrderStatus {
        /// As it is written.
        number: String,
    },
}

/// What came of an [`Action`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionResult {
    /// The order and who it belongs to, or that there is none of that number.
    Order(Option<(OrderView, ContactView)>),
    /// It could not be asked.
    Failed,
}

/// Something tried for the caller, for the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// What was tried.
    pub action: String,
    /// What came of it.
    pub outcome: String,
}

/// What the caller is expected to say next; speech-to-text and endpointing make use of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Anything.
    Anything,
    /// Yes or no.
    YesNo,
    /// An order number; so many digits.
    Number(usize),
    /// A name.
    Name,
}

/// What to say, and then what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Lines to say, in order.
    pub say: Vec<String>,
    /// Whether the caller may talk over them.
    pub interruptible: bool,
    /// What comes after.
    pub next: Next,
}

/// The next step of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Listen; after `patience` of silence, tell [`Intake::no_input`].
    Listen {
        /// Counted from the end of our own words.
        patience: Duration,
    },
    /// Do this, then tell [`Intake::action_result`].
    Act(Action),
    /// A person is needed.
    Escalate {
        /// Why.
        trigger: TriggerName,
        /// The outcome's code.
        disposition: String,
        /// Who takes it.
        queue: String,
    },
    /// The call is over once the lines are said.
    Finish {
        /// The outcome's code.
        disposition: String,
    },
}
