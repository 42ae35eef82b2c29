//! One caller's visit as pure machines. [`Call::handle`] takes what happened and when, [`Call::poll_action`] yields what is
//! to be done, [`Call::poll_timeout`] names the timer that runs out next. No socket, no clock, no file, no tokio: the driver
//! beside it has those. Mutate once, then drain.
//!
//! The rooms: `call` is the visit with its phases, `transfer` the way to a person, `together` who hears whom once they are
//! joined, `leg` the SIP legs, `lines` what is being said to the caller, `timer` every deadline by name, [`Rules`] what is the
//! same for every call, [`Ticket`] a promised callback, [`record`] what the call leaves behind.
//!
//! What must always hold, whatever comes in whatever order:
//! - no leg outlives its call; a caller who is gone, at any moment, releases the agent in the same drain;
//! - the two are never joined before the CRM has acknowledged the case or the flow's policy has decided to proceed;
//! - a caller who waits or talks with an agent is never heard by speech-to-text;
//! - a caller on hold hears nobody and is heard by nobody; a supervisor who whispers is heard by the agent alone;
//! - of several phones that ring, the first that answers is briefed, and the others stop in the same drain;
//! - every failed transfer has one way out: the caller is told and given back to the assistant;
//! - every finished call has one disposition, and its record is completed exactly once;
//! - some timer always runs, so that a call ends even if the world falls silent.
//!
//! # Dispositions
//! One per call, settled once; nothing that happens later replaces a settled one. It settles when the two are joined (the
//! trigger's code), when the assistant finishes (`solved`, `callback`, `unreached`, …), or, if neither has happened, when
//! the call ends: then it is the flow's `abandoned`, also when the caller left while an agent's phone rang. From the
//! escalation on the record shows the trigger's code, so that a case in the CRM and a call that was cut short by a crash
//! have one; the trigger itself stays in `trigger` whatever the disposition.
//!
//! # What the driver owes
//! - It closes a leg's port when told [`Action::HangUp`] or [`Action::CancelAgent`], and when a leg has failed or is gone by
//!   itself, and
//!   then brings that port's [`Input::MediaStats`]; the record waits for them, for a second at most. Figures that come
//!   later still go into [`Call::record`], and no action tells to save them.
//! - A line is one [`Action::Say`] or [`Action::PlayBriefing`]. Every line ends with one [`Input::LineEnded`], also when it
//!   was stopped or could not be spoken. Lines to one leg are heard in the order in which they were ordered.
//! - After [`Action::CancelAgent`] and [`Action::HangUp`] nothing of that leg is reported any more; if it was answered all the
//!   same, the driver sends its BYE. An answer that was under way is taken, and cancelled once more.
//! - [`Action::HoldMusic`] is a mode: music fills the caller's leg whenever nothing is being said.
//! - When a leg is gone, that is reported before the ends of the lines that were cut with it.

mod api;
mod call;
mod keep;
mod leg;
mod lines;
pub mod record;
mod rules;
mod ticket;
mod timer;
mod together;
mod transfer;

pub use api::{
    Action, AgentGone, CallerGone, CaseDraft, HangUpCause, Input, LeftQueue, LineId, Offered, Recording, Released,
    Route, Setup, Supervision,
};
pub use call::Call;
pub use leg::Leg;
pub use rules::{Does, Feature, QueueLines, Rules, Wanted};
pub use ticket::Ticket;
pub use timer::Timer;
