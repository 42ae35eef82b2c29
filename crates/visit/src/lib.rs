//! One caller's visit as a pure machine. [`Call::handle`] takes what happened and when, [`Call::poll_action`] yields what is
//! to be done, [`Call::poll_timeout`] names the timer that runs out next. No socket, no clock, no file, no tokio: the driver
//! beside it (`crates/gateway`) has those.
//!
//! What must always hold, whatever comes in whatever order:
//! - no leg outlives its call; a caller who is gone, at any moment, releases the agent;
//! - the two are never joined before the CRM has acknowledged the case or the flow's policy has decided to proceed;
//! - every finished call has one disposition, and its record is completed once;
//! - a caller who waits or talks with an agent is never heard by speech-to-text;
//! - a failed transfer has one way out: the caller is given back to the assistant.
//!
//! Dispositions: a trigger's code stands from the escalation on. It is replaced once, at the end, when the caller was not
//! joined: by the flow's `abandoned` if they left, by its `callback` if one was promised.

mod call;
pub mod record;
mod transfer;

use std::time::{Duration, Instant};

use baton_intake::{Action as IntakeAction, ActionResult, ContactView, Expected, Flow, Form, TriggerName};

pub use call::Call;
pub use transfer::Transfer;

/// Which of a call's legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leg {
    /// Who called.
    Caller,
    /// Who is to help. One at a time.
    Agent,
}

/// One thing said to one leg: a few sentences, told apart by this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineId(pub u64);

/// What a call begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Unique.
    pub call_id: String,
    /// The caller's number; empty if withheld.
    pub from: String,
    /// The called number.
    pub to: String,
    /// Where the call came from.
    pub trunk: String,
    /// The flow that answers.
    pub flow: std::sync::Arc<Flow>,
}

/// How a caller went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerGone {
    /// BYE.
    Hangup,
    /// CANCEL before the answer.
    Cancel,
    /// Our 200 was never acknowledged.
    NoAck,
    /// The transport or the media failed.
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
    /// It does not, or could not be asked.
    ContactUnknown,
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
    /// The caller spoke, but no words were found.
    NotUnderstood,
    /// A digit was pressed.
    Digit {
        /// By whom.
        leg: Leg,
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
    },
    /// A line's first packet has left.
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
    /// The CRM has the case.
    CaseWritten {
        /// Which system.
        system: String,
        /// Its id there.
        record_id: String,
    },
    /// The CRM does not have the case yet. `last`: it will not be tried again by itself.
    CaseFailed {
        /// Given up.
        last: bool,
    },
    /// An agent is promised to this call.
    AgentOffered {
        /// Who.
        extension: String,
    },
    /// Nobody is ready.
    NoAgent,
    /// The agent's phone rings.
    AgentRinging,
    /// The agent picked up.
    AgentAnswered,
    /// The agent's phone did not take the call.
    AgentFailed {
        /// The SIP status.
        code: u16,
    },
    /// The agent hung up after having picked up.
    AgentGone,
    /// After the join, the first packet of `from`'s live audio has left towards the other.
    BridgeAudio {
        /// Whose audio.
        from: Leg,
        /// When.
        at: Instant,
    },
    /// A leg has sent no RTP for the configured time.
    MediaSilent {
        /// Which.
        leg: Leg,
    },
    /// A leg's audio figures, when its port closes.
    MediaStats(record::Media),
    /// Speech-to-text or text-to-speech does not work.
    SpeechDown,
    /// The gateway ends now.
    Shutdown,
    /// A timer of [`Call::poll_timeout`] ran out.
    Timeout(Timer),
}

/// The call's timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The caller says nothing.
    NoInput,
    /// No further digit comes.
    DigitGap,
    /// An action of the assistant takes too long.
    ActionBudget,
    /// The CRM has not acknowledged the case.
    CrmWait,
    /// The agent's phone rings.
    AgentRing,
    /// The agent has heard the briefing and decides nothing.
    AgentDecision,
    /// A spoken word for who waits.
    HoldNews,
    /// The last line was not played to its end.
    Farewell,
    /// No call lasts longer.
    Longest,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send the 200.
    AnswerCaller,
    /// Ask the CRM whose number this is.
    LookUpContact {
        /// As signalled.
        number: String,
    },
    /// Say this.
    Say {
        /// The line's number.
        line: LineId,
        /// To whom.
        leg: Leg,
        /// Sentences.
        texts: Vec<String>,
    },
    /// Stop what is being said to this leg.
    StopSpeech {
        /// Which.
        leg: Leg,
    },
    /// Open or close the caller's way to speech-to-text.
    Listen {
        /// Open.
        on: bool,
        /// What may be heard.
        hints: String,
        /// What kind of answer.
        expected: Expected,
    },
    /// Music for the caller.
    HoldMusic {
        /// On.
        on: bool,
    },
    /// Do something for the assistant.
    RunAction(IntakeAction),
    /// Write the case to the CRM.
    WriteCase(CaseDraft),
    /// Synthesize the briefing while the phone rings.
    PrepareBriefing {
        /// Its words.
        text: String,
    },
    /// Promise an agent of this queue to the call.
    FindAgent {
        /// Which queue.
        queue: String,
        /// Who must not be asked again.
        not: Vec<String>,
    },
    /// Ring the agent's phone.
    RingAgent {
        /// Whose.
        extension: String,
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
    /// The call is done with the agent.
    ReleaseAgent {
        /// Who.
        extension: String,
    },
    /// End a leg.
    HangUp {
        /// Which.
        leg: Leg,
        /// Why, for the Reason header.
        cause: HangUpCause,
    },
    /// The record changed: write it down.
    SaveRecord,
    /// The record is complete: write it down, and to the CRM.
    CompleteRecord,
}

/// Why a leg is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUpCause {
    /// The call is over.
    Normal,
    /// The other side is gone.
    OtherSideGone,
    /// The agent pressed 2, or did not decide.
    Declined,
    /// No RTP came.
    NoMedia,
    /// The gateway ends.
    Shutdown,
}

/// A case as it is written before the join.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseDraft {
    /// The call.
    pub call_id: String,
    /// The CRM's person.
    pub contact: Option<String>,
    /// The caller's name.
    pub caller_name: Option<String>,
    /// Whether the caller is the account holder.
    pub account_holder: Option<bool>,
    /// Why a person is called.
    pub trigger: TriggerName,
    /// The outcome's code.
    pub disposition: String,
    /// In words.
    pub summary: String,
    /// What was collected.
    pub slots: Form,
}

/// How long the assistant's own actions may take.
pub(crate) const ACTION_BUDGET: Duration = Duration::from_secs(5);
/// A pause after a digit ends what was typed.
pub(crate) const DIGIT_GAP: Duration = Duration::from_millis(1_500);
/// How long an agent may hesitate after the briefing.
pub(crate) const AGENT_DECISION: Duration = Duration::from_secs(15);
/// The farewell's ceiling.
pub(crate) const FAREWELL: Duration = Duration::from_secs(15);
/// Four hours.
pub(crate) const LONGEST: Duration = Duration::from_secs(4 * 3_600);
