//! The call record: what every call leaves behind, solved or escalated. Its JSON is the outward face; names and shapes
//! change only by a written decision. Times are when it happened on the wire.

use std::collections::BTreeMap;
use std::fmt;

use baton_intake::{Attempt, SlotValue, TriggerName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::api::Supervision;

/// A moment, written as RFC 3339 in UTC with exactly three decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub Timestamp);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One call's record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallRecord {
    /// Unique, also in logs and in the CRM.
    pub call_id: String,
    /// When the INVITE was taken.
    pub started_at: Stamp,
    /// When the call was over; empty while it is live.
    pub ended_at: Option<Stamp>,
    /// The caller's number as signalled; empty if withheld.
    pub from: String,
    /// The called number.
    pub to: String,
    /// Where the call came from.
    pub trunk: String,
    /// The flow that answered it.
    pub flow: String,
    /// Whom the call is about, as the CRM knows them.
    pub contact: Option<Contact>,
    /// What was heard, in order.
    pub turns: Vec<Turn>,
    /// What was collected, by slot.
    pub slots: BTreeMap<String, SlotValue>,
    /// What was tried.
    pub attempts: Vec<Attempt>,
    /// How upset the caller was, words and voice together; empty where neither was weighed.
    pub tone: Option<Tone>,
    /// Why a person was called.
    pub trigger: Option<TriggerName>,
    /// The business outcome's code; see the crate's page for when it settles.
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
    pub bridged_at: Option<Stamp>,
    /// Every failed transfer that gave the caller back to the assistant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given_back: Vec<GivenBack>,
    /// Every agent who passed the caller on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed_on: Vec<PassedOn>,
    /// Every supervisor who took part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supervisors: Vec<Supervised>,
    /// The callback that was promised in this call, or that this call is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
    /// How it ended, technically, and whose doing that was.
    pub termination: Option<Termination>,
    /// The times that matter, in milliseconds.
    pub latency_ms: Latency,
    /// Each leg's audio.
    pub media: Vec<Media>,
    /// What was recorded of the call's sound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recordings: Vec<Recording>,
}

/// A recording of the call's sound: the caller on the left, what the caller heard on the right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recording {
    /// The file.
    pub file: String,
    /// When it began.
    pub at: Stamp,
    /// How long it is; empty while it goes on, and where a crash cut it.
    pub duration_ms: Option<u64>,
    /// How often it was paused; it is silent then, and goes on in time.
    #[serde(skip_serializing_if = "is_zero")]
    pub pauses: u32,
    /// What kept it from being whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// How upset the caller was.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tone {
    /// At the last word, 0 to 1.
    pub score: f32,
    /// At its worst, 0 to 1.
    pub peak: f32,
    /// Why, with figures.
    pub why: Vec<String>,
    /// Why, in words for an agent.
    pub plain: Vec<String>,
}

/// The CRM's person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// The CRM's id.
    pub id: String,
    /// Full name.
    pub name: String,
    /// Whether the caller is the account holder; empty if that stayed open.
    pub account_holder: Option<bool>,
    /// How they were found: `caller_id`, `phone`, `order` or `name`.
    pub matched_by: String,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The caller.
    Caller,
    /// The assistant.
    Assistant,
}

/// Something said or typed. A line of ours that nobody heard is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Turn {
    /// Who.
    pub who: Who,
    /// The words, or the digits.
    pub text: String,
    /// Milliseconds since `started_at`: the end of the caller's words, the start of ours.
    pub at_ms: u64,
    /// Speech-to-text's confidence, 0 to 1; 1 for digits. Not given for our own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    /// Typed, not spoken.
    pub dtmf: bool,
    /// Ours, and not said to its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// What an agent pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// 1
    Accept,
    /// 2
    Decline,
    /// 3
    Repeat,
    /// `*`
    Skip,
}

/// The briefing as it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Briefing {
    /// Its template.
    pub template: String,
    /// Its words.
    pub text: String,
    /// Whether the agent heard it to its end.
    pub completed: bool,
    /// What the agent pressed, in order.
    pub controls: Vec<Control>,
}

/// By what the two could be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The CRM had the case before the join.
    Acknowledged,
    /// The flow's policy went on without it.
    Proceeded,
}

/// The case in the CRM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Crm {
    /// Which system; empty until it has answered.
    pub system: Option<String>,
    /// The case's id there.
    pub record_id: Option<String>,
    /// When the write was asked for.
    pub requested_at: Stamp,
    /// When it was acknowledged.
    pub acknowledged_at: Option<Stamp>,
    /// By what the two could be joined; empty while that is open. What arrives after the join changes nothing here.
    pub policy: Option<Policy>,
}

/// Why an agent did not take the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotTaken {
    /// Pressed 2, or refused on the phone (603).
    Declined,
    /// The phone rang out.
    NoAnswer,
    /// Busy (486, 600).
    Busy,
    /// No phone there, or one that could not take the call.
    Unavailable,
    /// Hung up during the briefing.
    HungUp,
    /// Heard the briefing and decided nothing.
    NoDecision,
    /// Sent no audio.
    Silent,
    /// A mailbox or a machine picked up.
    Machine,
}

/// One agent who was asked in vain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// Who.
    pub extension: String,
    /// Why not.
    pub outcome: NotTaken,
}

/// The agent's part in the call. Times are those of the agent named by `extension`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Agent {
    /// Who was rung last, and did not pass the call on.
    pub extension: Option<String>,
    /// When that phone began to ring.
    pub rang_at: Option<Stamp>,
    /// When it was answered.
    pub answered_at: Option<Stamp>,
    /// When the call was accepted.
    pub accepted_at: Option<Stamp>,
    /// Everybody who was rung and did not take it, in order; `tried` says why.
    pub declined: Vec<String>,
    /// The same, with reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
}

/// Why a transfer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyGivenBack {
    /// No agent was free, or none of them took it.
    NobodyFree,
    /// The CRM did not acknowledge the case, and the policy is to wait for it.
    RecordNotAcknowledged,
    /// The caller did not want to wait any longer.
    CallerChose,
    /// The agent sent the caller back.
    SentBack,
    /// The agent had gone, and whom the caller was passed on to did not answer.
    NotReached,
}

/// How an agent passed a caller on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// To the assistant.
    Assistant,
    /// To another queue.
    Queue,
    /// To a number, and hung up.
    Blind,
    /// To a number, after speaking with who answered.
    Attended,
}

/// An agent passed the caller on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOn {
    /// When.
    pub at: Stamp,
    /// Who did.
    pub by: String,
    /// How.
    pub how: How,
    /// The queue or the number; empty for the assistant.
    pub to: String,
    /// Whether the caller got there; empty while that is open.
    pub reached: Option<bool>,
}

/// A supervisor took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Supervised {
    /// Since when.
    pub at: Stamp,
    /// Who.
    pub extension: String,
    /// How far they went.
    pub mode: Supervision,
}

/// A callback, seen from the call that promised it or from the one that kept it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Callback {
    /// Whom to call.
    pub number: String,
    /// In the call that keeps it: the one in which it was promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// In the call that keeps it: which try this is, from 1.
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
}

/// A transfer that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GivenBack {
    /// When.
    pub at: Stamp,
    /// Why.
    pub why: WhyGivenBack,
}

/// Whose doing an end was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The caller, or the caller's leg.
    Caller,
    /// The agent, or the agent's leg.
    Agent,
    /// The network between.
    Carrier,
    /// The gateway.
    Baton,
}

/// A call's technical end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Termination {
    /// `hangup`, `cancelled`, `completed`, `no_ack`, `rtp_timeout`, `fault`, `shutdown`, `too_long`, for a callback
    /// `unanswered` and `no_agent`; a store adds
    /// `interrupted` to what a crash left.
    pub cause: String,
    /// Whose doing.
    pub by: By,
    /// The SIP status that goes with it.
    pub sip: u16,
}

/// Milliseconds between two moments on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Our 200 → first packet of the greeting.
    pub answer_to_greeting: Option<u64>,
    /// End of the caller's words → first packet of the reply, for each reply.
    pub reply: Vec<u64>,
    /// Decision to escalate → the first agent's phone rings (180; its INVITE, where no 180 came).
    pub trigger_to_ring: Option<u64>,
    /// The agent's answer → first packet of the briefing.
    pub answer_to_briefing: Option<u64>,
    /// Acceptance → the first packet of each side's live audio has left towards the other.
    pub accept_to_two_way: Option<u64>,
}

/// One leg's audio.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Media {
    /// `caller`, `agent`, `third` or `supervisor`.
    pub leg: &'static str,
    /// The figures.
    #[serde(flatten)]
    pub stats: MediaStats,
}

/// A leg's figures, as its port closed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MediaStats {
    /// As in SDP: `PCMU`, `PCMA`, `G722`, `opus`.
    pub codec: String,
    /// How it was encrypted (RFC 4568's name of the suite); empty where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srtp: Option<&'static str>,
    /// Packets that came.
    pub received: u64,
    /// Packets that went.
    pub sent: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late to be heard.
    pub late: u64,
    /// 20 ms frames made up in their place.
    pub concealed: u64,
    /// Interarrival jitter, RFC 3550 §6.4.1.
    pub jitter_ms: f32,
    /// Estimated by the E-model (ITU-T G.107), 1 to 4.5.
    pub mos: f32,
    /// What the peer's reports say of what we sent; empty where it sent none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteStats>,
    /// 20 ms frames that speech-to-text or the recorder were too slow to take.
    pub overruns: u64,
    /// The media thread's ticks that ran 5 ms late or more while the leg was open.
    pub ticks_late: u64,
    /// What was wrong: `one_way`, `silent`, `unknown_payload_type`, `not_authentic`, `flood`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<&'static str>,
}

/// A leg's audio as its peer reports it (RTCP).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RemoteStats {
    /// Packets of ours that never came there.
    pub lost: u32,
    /// Interarrival jitter there.
    pub jitter_ms: f32,
    /// There and back.
    pub round_trip_ms: f32,
    /// Its own estimate, where it sends XR VoIP metrics (RFC 3611).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos: Option<f32>,
}
