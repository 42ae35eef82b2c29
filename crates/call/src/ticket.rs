//! A promised callback: all that is needed to keep a place in line for it, to brief an agent, and to call.

use baton_intake::{Briefing, TriggerName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::Policy;

/// A promised callback. Kept on disk: a promise outlives the process that made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// The call in which it was promised.
    pub id: String,
    /// Whom to call.
    pub number: String,
    /// The flow of that call.
    pub flow: String,
    /// The trunk it came by.
    pub trunk: String,
    /// The number that was called.
    pub to: String,
    /// Whose agents are to call.
    pub queue: String,
    /// Place in line: higher goes first.
    pub priority: u8,
    /// What the agent must be able to do.
    pub needs: Vec<String>,
    /// Place in line: waiting since.
    pub waiting_since: Timestamp,
    /// Why a person was called.
    pub trigger: TriggerName,
    /// The trigger's code.
    pub disposition: String,
    /// What the agent is told.
    pub briefing: Briefing,
    /// The case in words.
    pub summary: String,
    /// The case in the CRM: system and id there; empty if it was not acknowledged then.
    pub case: Option<(String, String)>,
    /// By what the case could be handled; empty if that was open.
    pub policy: Option<Policy>,
    /// How often it was tried.
    pub tries: u32,
}
