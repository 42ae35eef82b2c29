//! The call record: what every call leaves behind, solved or escalated. Its JSON is the outward face (`docs/record.md`).
//! Times are when it happened on the wire.

use baton_intake::{Attempt, Form, TriggerName};
use jiff::Timestamp;
use serde::Serialize;

/// One call's record.
#[derive(Debug, Clone, Serialize)]
pub struct CallRecord {
    /// Unique, also in logs and in the CRM.
    pub call_id: String,
    /// When the INVITE was taken.
    pub started_at: Timestamp,
    /// When the call was over; empty while it is live.
    pub ended_at: Option<Timestamp>,
    /// The caller's number as signalled.
    pub from: String,
    /// The called number.
    pub to: String,
    /// Where the call came from.
    pub trunk: String,
    /// The flow that answered it.
    pub flow: String,
    /// Who the CRM knows the caller as.
    pub contact: Option<Contact>,
    /// What was said, in order.
    pub turns: Vec<Turn>,
    /// What was collected.
    pub slots: Form,
    /// What was tried.
    pub attempts: Vec<Attempt>,
    /// Why a person was called.
    pub trigger: Option<TriggerName>,
    /// The business outcome's code. One per call.
    pub disposition: Option<String>,
    /// The case in words.
    pub summary: Option<String>,
    /// What the agent was told.
    pub briefing: Option<Briefing>,
    /// The CRM's part.
    pub crm: Option<Crm>,
    /// The agent's part.
    pub agent: Option<Agent>,
    /// When the two were joined.
    pub bridged_at: Option<Timestamp>,
    /// How it ended, technically, and by whom.
    pub termination: Option<Termination>,
    /// The times that matter, in milliseconds.
    pub latency_ms: Latency,
    /// Each leg's audio.
    pub media: Vec<Media>,
}

/// The CRM's person.
#[derive(Debug, Clone, Serialize)]
pub struct Contact {
    /// The CRM's id.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Whether the caller is that person; empty if it stayed open.
    pub account_holder: Option<bool>,
    /// How they were found.
    pub matched_by: String,
}

/// Something said or typed.
#[derive(Debug, Clone, Serialize)]
pub struct Turn {
    /// `caller` or `assistant`.
    pub who: &'static str,
    /// The words, or the digits.
    pub text: String,
    /// Milliseconds since `started_at`: the end of the caller's words, the start of ours.
    pub at_ms: u64,
    /// Speech-to-text's confidence, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    /// Typed, not spoken.
    pub dtmf: bool,
}

/// The briefing as it went.
#[derive(Debug, Clone, Serialize)]
pub struct Briefing {
    /// Its template.
    pub template: String,
    /// Its words.
    pub text: String,
    /// Whether it was heard to its end.
    pub completed: bool,
    /// What the agent pressed: `accept`, `decline`, `repeat`, `skip`.
    pub controls: Vec<&'static str>,
}

/// The case in the CRM.
#[derive(Debug, Clone, Serialize)]
pub struct Crm {
    /// Which system.
    pub system: Option<String>,
    /// The record's id there.
    pub record_id: Option<String>,
    /// When the write was asked for.
    pub requested_at: Timestamp,
    /// When it was acknowledged.
    pub acknowledged_at: Option<Timestamp>,
    /// `acknowledged`, or `proceeded` without it; empty while that is open.
    pub policy: Option<&'static str>,
}

/// The agent's part in the call.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Agent {
    /// Who was rung last.
    pub extension: Option<String>,
    /// When that phone began to ring.
    pub rang_at: Option<Timestamp>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When the call was accepted.
    pub accepted_at: Option<Timestamp>,
    /// Who was rung before and did not take it.
    pub declined: Vec<String>,
}

/// A call's technical end.
#[derive(Debug, Clone, Serialize)]
pub struct Termination {
    /// `hangup`, `cancelled`, `completed`, `no_ack`, `rtp_timeout`, `fault`, `shutdown`, `interrupted`, `too_long`.
    pub cause: String,
    /// `caller`, `agent`, `carrier` or `baton`.
    pub by: &'static str,
    /// The SIP status that goes with it.
    pub sip: u16,
}

/// Milliseconds between two moments on the wire.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Latency {
    /// ACK of our answer → first packet of the greeting.
    pub answer_to_greeting: Option<u64>,
    /// End of the caller's words → first packet of the reply, for each reply.
    pub reply: Vec<u64>,
    /// Decision to escalate → the agent's phone rings.
    pub trigger_to_ring: Option<u64>,
    /// The agent's answer → first packet of the briefing.
    pub answer_to_briefing: Option<u64>,
    /// Acceptance → the first packet of each side's live audio has left towards the other.
    pub accept_to_two_way: Option<u64>,
}

/// One leg's audio.
#[derive(Debug, Clone, Serialize)]
pub struct Media {
    /// `caller` or `agent`.
    pub leg: &'static str,
    /// As in SDP.
    pub codec: &'static str,
    /// Packets that came.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Frames made up in their place.
    pub concealed: u64,
    /// Interarrival jitter, RFC 3550.
    pub jitter_ms: f32,
    /// Estimated by the E-model (ITU-T G.107, simplified).
    pub mos: f32,
}
