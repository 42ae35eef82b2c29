//! What crosses the border of this crate: inputs, actions. Plain data, no rules.

use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_intake::{
    Action as IntakeAction, ActionResult, Attempt, ContactView, Expected, Flow, Form, ToneReading, TriggerName,
};
use serde::Serialize;

use crate::leg::Leg;
use crate::record::MediaStats;
use crate::ticket::Ticket;
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

/// An agent as offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Who.
    pub extension: String,
    /// Joined only by a key, whatever the flow says: what picks up there may be a mailbox.
    pub must_accept: bool,
}

/// How an agent came out of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// Spoke with the caller.
    Talked,
    /// Refused, or heard the briefing and did not take it.
    Declined,
    /// Did not pick up, or could not be reached.
    Missed,
    /// Was not needed after all.
    NotNeeded,
}

/// Why somebody is in line no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftQueue {
    /// The caller hung up.
    Abandoned,
    /// The caller is with the assistant again.
    GivenBack,
    /// The caller is to be called back.
    Callback,
}

/// How a supervisor takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Supervision {
    /// Hears everybody, is heard by nobody.
    Listen,
    /// Is heard by the agent alone.
    Whisper,
    /// Is heard by everybody.
    Barge,
}

/// `to` hears `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Who speaks.
    pub from: Leg,
    /// Who hears it.
    pub to: Leg,
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
    /// How the words that follow in [`Input::Heard`] were said.
    Tone(ToneReading),
    /// The caller said something.
    Heard {
        /// The words.
        text: String,
        /// 0 to 1.
        confidence: f32,
        /// When the last voiced audio ended.
        ended: Instant,
    },
    /// The caller has ceased to speak; words, or none, will follow.
    SpeechStopped,
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
    /// So much of a line has been played, told whenever a clause ends and before the end of a line that was cut. Without it
    /// a line that was cut counts as not said at all when it is resumed, and as said in the record.
    LineHeard {
        /// Which line.
        line: LineId,
        /// Characters of its sentences, these joined by one blank and every run of white space taken as one.
        chars: usize,
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
    /// An agent is promised to this call; answers [`Action::FindAgent`]. The same as [`Input::AgentsOffered`] with one who
    /// may be joined without a key.
    AgentOffered {
        /// Who.
        extension: String,
    },
    /// These agents are promised to this call, and all of them are to be rung: the first who picks up has it.
    AgentsOffered {
        /// At least one.
        agents: Vec<Offered>,
    },
    /// Nobody is free now, but somebody will be: the caller's place in line. Answers [`Action::FindAgent`] at first, and
    /// comes again whenever the place has changed.
    Queued {
        /// From 1.
        position: usize,
        /// How long it may take.
        wait: Duration,
    },
    /// Nobody will come; answers [`Action::FindAgent`], or comes after [`Input::Queued`] when waiting has become vain.
    NoAgent,
    /// The agent's phone rings (180).
    AgentRinging {
        /// Whose.
        extension: String,
    },
    /// The agent picked up.
    AgentAnswered {
        /// Who.
        extension: String,
    },
    /// The agent's phone did not take the call.
    AgentFailed {
        /// Whose.
        extension: String,
        /// The SIP status: 408 no answer, 480 not registered, 486 busy, 603 declined, …
        code: u16,
    },
    /// What picked up on the agent's leg is a mailbox or a machine.
    AnsweredByMachine,
    /// Somebody, or something, began or ceased to speak on the agent's leg. Only needed until the join: who speaks on and on
    /// into the briefing is a mailbox ([`crate::Rules::machine_after`]).
    AgentVoice {
        /// Began.
        on: bool,
    },
    /// A leg that was dialled by [`Action::Dial`] rings.
    LegRinging {
        /// Which.
        leg: Leg,
    },
    /// It was answered, and can be heard.
    LegAnswered {
        /// Which.
        leg: Leg,
    },
    /// It was not.
    LegFailed {
        /// Which.
        leg: Leg,
        /// The SIP status.
        code: u16,
    },
    /// A leg of [`Leg::Third`] or [`Leg::Supervisor`] ended after it was answered.
    LegGone {
        /// Which.
        leg: Leg,
    },
    /// A side put us on hold by re-INVITE (`sendonly`, `inactive`), or took us back (RFC 3264 §8.4). Other changes of a
    /// description (address, codec) are the driver's alone.
    Hold {
        /// Which side.
        leg: Leg,
        /// On hold.
        on: bool,
    },
    /// A side asks us to connect the other one elsewhere (RFC 3515); answered by [`Action::AnswerRefer`].
    Refer {
        /// Which side.
        leg: Leg,
        /// The user part of the Refer-To URI: a queue, the assistant's name, or a number.
        to: String,
    },
    /// A supervisor's leg is up and wants to take part.
    SupervisorJoins {
        /// Who.
        extension: String,
        /// How.
        mode: Supervision,
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
    /// The caller said something, and speech-to-text has too much to do to hear it in time.
    SpeechBusy,
    /// The call's sound is being recorded, or was.
    Recording(Recording),
    /// Speech-to-text or text-to-speech does not work.
    SpeechDown,
    /// The gateway takes no new calls. This one goes on as it would have.
    Drain,
    /// The gateway ends now: so does the call.
    Shutdown,
    /// A timer of [`crate::Call::poll_timeout`] ran out.
    Timeout(Timer),
}

/// What becomes of a recording. The driver decides whether there is one; the call keeps book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recording {
    /// It began.
    Began {
        /// Into which file.
        file: String,
    },
    /// The one that goes on is paused.
    Paused,
    /// One is over.
    Ended {
        /// Which.
        file: String,
        /// How long it is.
        duration: Duration,
        /// What kept it from being whole.
        fault: Option<String>,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Let the recorder hear silence, or sound again: an agent takes down a card number. Nothing where nothing is recorded.
    PauseRecording {
        /// Silence.
        on: bool,
    },
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
    /// Promise an agent of this queue to the call, as soon as one is free; answered by [`Input::AgentsOffered`],
    /// [`Input::Queued`] or [`Input::NoAgent`]. It stands until one of them is offered, or [`Action::LeaveQueue`].
    FindAgent {
        /// Which queue.
        queue: String,
        /// Who has been asked already.
        not: Vec<String>,
        /// Waiting since: the place in line.
        since: Instant,
        /// Higher goes first.
        priority: u8,
        /// What the agent must be able to do.
        needs: Vec<String>,
    },
    /// No agent is wanted any more. Once for each visit to a queue that does not end in a join.
    LeaveQueue {
        /// Why.
        why: LeftQueue,
    },
    /// The caller is to be called back: keep the place in line for this ticket, and begin [`crate::Call::callback`] when an
    /// agent is offered to it. To be kept on disk: it was promised.
    KeepPlace {
        /// The ticket. One of an id that is known already takes its place.
        ticket: Box<Ticket>,
        /// Waiting since, on the clock of this process; [`Ticket::waiting_since`] is the same moment.
        since: Instant,
    },
    /// Ring the agent's phone. Several in a row for several agents.
    RingAgent {
        /// Whose.
        extension: String,
        /// How long; the call ends it with [`Action::CancelAgent`].
        timeout: Duration,
    },
    /// Stop ringing this agent: CANCEL, or BYE if it was answered in the meantime.
    CancelAgent {
        /// Whose phone.
        extension: String,
        /// Why, for the Reason header (RFC 3326).
        cause: HangUpCause,
    },
    /// Call somebody who is no agent of this call's: the caller, who was promised it; a third party. Answered by
    /// [`Input::LegRinging`], [`Input::LegAnswered`], [`Input::LegFailed`].
    Dial {
        /// Which leg it becomes.
        leg: Leg,
        /// Whom.
        to: String,
        /// How long it rings; the call ends it with [`Action::HangUp`].
        timeout: Duration,
    },
    /// Ringing tone for a leg, while somebody it waits for is rung. A mode.
    Ringback {
        /// Whose.
        leg: Leg,
        /// On.
        on: bool,
    },
    /// Say the briefing to the agent.
    PlayBriefing {
        /// The line's number.
        line: LineId,
        /// Its words.
        text: String,
    },
    /// The agent has the caller now: no more promise, but a call. Comes before they hear each other, and also where a side on
    /// hold keeps them from it.
    AgentTalking {
        /// Who.
        extension: String,
    },
    /// Join caller and agent, and nobody else. Takes the place of what was joined or mixed before.
    Bridge,
    /// Who hears whom from now on, and nobody else does: a third party, a supervisor. Takes the place of what was joined or
    /// mixed before.
    Mix {
        /// Each way on its own, in order.
        routes: Vec<Route>,
    },
    /// Nobody hears anybody. The end of a leg follows, or music for who is on hold.
    Unbridge,
    /// The call is done with an agent who was promised to it. Once for each who was offered.
    ReleaseAgent {
        /// Who.
        extension: String,
        /// How they came out of it.
        how: Released,
    },
    /// Answer a REFER: 202, or why not.
    AnswerRefer {
        /// Whose.
        leg: Leg,
        /// The SIP status.
        code: u16,
    },
    /// Tell who sent a REFER how it goes: NOTIFY with this status as `message/sipfrag` (RFC 3515 §2.4.5). A final one ends
    /// the subscription.
    ReferProgress {
        /// Whose.
        leg: Leg,
        /// The SIP status.
        code: u16,
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
    /// A colleague was faster.
    AnsweredElsewhere,
    /// A machine picked up.
    Machine,
    /// The caller was passed on, and this leg has done its part.
    PassedOn,
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
