//! Who takes the call: agents and what each is doing, queues and who waits in them, and how well that goes.
//!
//! Not here: ringing, timing a ring, briefing, what a caller hears (`baton-call`), and who may register (`baton-sip`). Pure:
//! time comes in as an argument.
//!
//! The rooms: [`Desk`] is the machine that brings waiting callers and free agents together, [`Pool`] knows what each agent is
//! doing, [`plan`] how queues and agents were set up, [`Hours`] when a queue is open, [`figures`] what supervisors count,
//! [`FeatureCodes`] what agents dial to say that they are there, [`raw`] what the config says.
//!
//! What must always hold: an agent is promised to one call at a time; whoever was promised stays promised until released,
//! whatever their phone does meanwhile; nobody paused, offline or in wrap-up is promised; who waits is served in the order
//! of priority and arrival, among those whom a free agent may take; who waits is told sooner or later, and once, that an
//! agent is there or that nobody will come; each visit to a queue is counted under exactly one outcome.

mod agent;
mod codes;
mod desk;
pub mod figures;
mod hours;
mod lines;
pub mod plan;
mod pool;
pub mod raw;

pub use agent::{AgentState, Released};
pub use codes::{FeatureCodes, Wish};
pub use desk::{Desk, Event, Input, Left, Promise, Waiter, Want, WhyNobody};
pub use hours::{BadHours, Hours};
pub use plan::{AgentPlan, Member, Plan, QueuePlan, Strategy};
pub use pool::Pool;
