//! What is collected from a caller, when a person is called, and what that person is told.
//!
//! Pure: no sockets, clock, tokio or files. Words come in ([`Intake::heard`]), a [`Reply`] comes out: what to say and
//! what happens next. Everything that is asked, tried and told is read from a [`Flow`], compiled from TOML by
//! [`compile`], which refuses a flow with a broken reference.
//!
//! What must always hold: nothing is briefed that was not collected; nothing private is read out before the caller's
//! identity is confirmed; distress is never made to wait; every conversation ends in a [`Next::Finish`] or a
//! [`Next::Escalate`], each with its disposition.

mod api;
mod assist;
mod brief;
mod compile;
mod flow;
mod form;
mod intake;
mod meaning;
pub mod raw;
mod template;
mod understand;
mod when;

pub use api::{
    Action, ActionResult, Attempt, Briefing, BriefingNotes, CallerId, ContactView, Expected, Next, OrderView,
    RecordView, Reply, ToneReading, TriggerName,
};
pub use assist::{AnswerError, Question, Taken};
pub use compile::{ConfigError, compile};
pub use flow::{Flow, IfLate, Line, TransferRules};
pub use form::{Form, SlotValue, Source};
pub use intake::Intake;
pub use meaning::Embedder;
pub use understand::dates::Day;
