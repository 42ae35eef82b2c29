//! What crosses the border of this crate: inputs, actions. Plain data, no rules.

use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_intake::{Action as IntakeAction, ActionResult, Attempt, ContactView, Expected, Flow, Form, TriggerName};
use serde::Serialize;

use crate::leg::Leg;
use crate::record::MediaStats;
use crate::timer::Timer;

/// One thing said to one leg: a few sentences, told apart by this number. Unique within its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineId(pub u64);

/// What a call begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Unique, also in logs and in the CRM.
    pub call_id: String,
    /// The caller's number as signalled; empty if withheld.
    pub from: String,
    /// The called number.
    pub to: String,
    /// Where the call came from.
    pub trunk: String,
    /// The flow that answers.
    pub flow: Arc<Flow>,
}

/// How a caller went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerGone {
    /// BYE.
    Hangup,
    /// CANCEL before the answer.
    Cancel,
    /// Our 2xx was never acknowledged (RFC 3261 §13.3.1.4).
    NoAck,
    /// The transport, the session timer or the media negotiation failed.
    Fault,
}

/// How an agent's answered leg went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentGone {
    /// BYE.
    Hangup,
    /// The transport or the session timer failed.
    Fault,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// The caller's ACK is there: both sides can hear.
    CallerConfirmed,
    /// The caller is gone.
    CallerGone {
        /// How.
        cause: CallerGone,
        /// The SIP status that goes with it.
        sip: u16,
    },
    /// The CRM knows the caller's number.
    ContactFound(ContactView),
    /// It does not.
    ContactUnknown,
    /// It could not be asked.
    ContactFailed,
    /// The caller began to speak.
    SpeechStarted,
    /// The caller said something.
    Heard {
        /// The words.
        text: String,
        /// 0 to 1.
        confidence: f32,
        /// When the last voiced audio ended.
        ended: Instant,
    },
    /// The caller spoke, but no words were made out.
    NotUnderstood,
    /// A digit was pressed.
    Digit {
        /// By whom.
        leg: Leg,
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
    },
    /// A line's first RTP packet has left.
    LineStarted {
        /// Which line.
        line: LineId,
        /// When.
        at: Instant,
    },
    /// A line is over.
    LineEnded {
        /// Which line.
        line: LineId,
        /// Whether all of it was played.
        completed: bool,
    },
    /// What came of [`Action::RunAction`].
    ActionResult(ActionResult),
    /// The CRM has acknowledged the case.
    CaseWritten {
        /// Which system.
        system: String,
        /// The case's id there.
        record_id: String,
    },
    /// A write of the case failed.
    CaseFailed {
        /// It will not be tried again while the caller waits.
        final_: bool,
    },
    /// An agent is promised to this call; answers [`Action::FindAgent`].
    AgentOffered {
        /// Who.
        extension: String,
    },
    /// Nobody is ready; answers [`Action::FindAgent`].
    NoAgent,
    /// The agent's phone rings (180).
    AgentRinging,
    /// The agent picked up.
    AgentAnswered,
    /// The agent's phone did not take the call.
    AgentFailed {
        /// The SIP status: 408 no answer, 480 not registered, 486 busy, 603 declined, …
        code: u16,
    },
    /// The agent's leg ended after it was answered.
    AgentGone {
        /// How.
        cause: AgentGone,
    },
    /// After the join, the first packet of `from`'s live audio has left towards the other.
    BridgeAudio {
        /// Whose audio.
        from: Leg,
        /// When.
        at: Instant,
    },
    /// A leg has sent no RTP for the configured time, while it should.
    MediaSilent {
        /// Which.
        leg: Leg,
    },
    /// A leg's audio figures, once its port is closed.
    MediaStats {
        /// Which leg.
        leg: Leg,
        /// The figures.
        stats: MediaStats,
    },
    /// Speech-to-text or text-to-speech does not work.
    SpeechDown,
    /// The gateway takes no new calls. This one goes on as it would have.
    Drain,
    /// The gateway ends now: so does the call.
    Shutdown,
    /// A timer of [`crate::Call::poll_timeout`] ran out.
    Timeout(Timer),
}

/// What is to be done.
#[expect(clippy::large_enum_variant, reason = "one case per escalation, moved twice")]
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send the 200.
    AnswerCaller,
    /// Ask the CRM whose number this is.
    LookUpContact {
        /// As signalled.
        number: String,
    },
    /// Say this, after what is being said to that leg already.
    Say {
        /// The line's number.
        line: LineId,
        /// To whom.
        leg: Leg,
        /// Sentences.
        texts: Vec<String>,
        /// Whether speech or digits of the caller may stop it. For the driver's information: the call itself decides.
        interruptible: bool,
    },
    /// Stop everything that is being said to this leg.
    StopSpeech {
        /// Which.
        leg: Leg,
    },
    /// Open or close the caller's way to speech-to-text.
    Listen {
        /// Open.
        on: bool,
        /// Words that may be heard; empty when closed.
        hints: String,
        /// What sort of answer.
        expected: Expected,
    },
    /// Music for the caller whenever nothing is being said.
    HoldMusic {
        /// On.
        on: bool,
    },
    /// Do something for the assistant; answered by [`Input::ActionResult`].
    RunAction(IntakeAction),
    /// Write the case to the CRM; answered by [`Input::CaseWritten`] or [`Input::CaseFailed`].
    WriteCase(CaseDraft),
    /// Synthesize the briefing while the phone rings.
    PrepareBriefing {
        /// Its words.
        text: String,
    },
    /// Promise an agent of this queue to the call; answered by [`Input::AgentOffered`] or [`Input::NoAgent`].
    FindAgent {
        /// Which queue.
        queue: String,
        /// Who has been asked already.
        not: Vec<String>,
    },
    /// Ring the agent's phone.
    RingAgent {
        /// Whose.
        extension: String,
        /// How long; the call ends it with [`Action::CancelAgent`].
        timeout: Duration,
    },
    /// Stop ringing.
    CancelAgent,
    /// Say the briefing to the agent.
    PlayBriefing {
        /// The line's number.
        line: LineId,
        /// Its words.
        text: String,
    },
    /// Join the two.
    Bridge,
    /// Part the two; the end of a leg follows.
    Unbridge,
    /// The call is done with an agent who was promised to it. Once for each [`Input::AgentOffered`].
    ReleaseAgent {
        /// Who.
        extension: String,
    },
    /// End a leg: BYE, or what its state asks for.
    HangUp {
        /// Which.
        leg: Leg,
        /// Why, for the Reason header (RFC 3326).
        cause: HangUpCause,
    },
    /// The record changed: persist [`crate::Call::record`], so that a crash leaves it.
    SaveRecord,
    /// The record is complete: persist it, and complete the case in the CRM. The last action of a call.
    CompleteRecord,
}

/// Why a leg is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUpCause {
    /// The call is over.
    Normal,
    /// The other side is gone.
    OtherSideGone,
    /// The agent pressed 2.
    Declined,
    /// The agent heard the briefing and decided nothing.
    NoDecision,
    /// No RTP came.
    NoMedia,
    /// The gateway ends.
    Shutdown,
}

/// A case as it is written before the join.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseDraft {
    /// Idempotency key: the call's id and the escalation's number within it. Written twice, it must have one effect.
    pub key: String,
    /// The call.
    pub call_id: String,
    /// The calling number; empty if withheld.
    pub from: String,
    /// The CRM's person.
    pub contact_id: Option<String>,
    /// The caller's name: as given, else as the CRM has it.
    pub caller_name: Option<String>,
    /// Whether the caller is the account holder; `None` when that is open.
    pub account_holder: Option<bool>,
    /// Why a person is called.
    pub trigger: TriggerName,
    /// The outcome's code as it stands now; the completed record may bring another.
    pub disposition: String,
    /// Whose agents are rung.
    pub queue: String,
    /// In words.
    pub summary: String,
    /// What was collected.
    pub slots: Form,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}
