//! The call itself: its phases, and what each input means in them. `talk` is the conversation, `handover` the way to a
//! person, `queue` the waiting for one, `joined` the talk with one, `callback` a call that we begin, `ending` the end; this
//! file holds the state, the border, and what stands above every phase.

mod callback;
mod ending;
mod handover;
mod joined;
mod queue;
mod talk;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use baton_intake::{Action as IntakeAction, AnswerError, Day, Expected, Flow, Intake, Question, Taken};
use jiff::Timestamp;

use crate::api::{Action, HangUpCause, Input, LineId, Offered, Setup};
use crate::keep::{Keeper, termination};
use crate::leg::{AgentLeg, CallerLeg, Leg, SideLeg};
use crate::lines::{CutOff, Line, Lines};
use crate::record::{By, CallRecord, NotTaken};
use crate::rules::Rules;
use crate::ticket::Ticket;
use crate::timer::{self, Timer, Timers};
use crate::together::Talk;
use crate::transfer::{Step, Transfer};
use handover::Monologue;
use queue::Waited;

/// Where a call stands.
#[derive(Debug)]
enum Phase {
    /// Answered; the caller's ACK has not come.
    Arriving,
    /// The assistant has the caller.
    Conversing,
    /// On the way to a person; how far, the transfer knows: searching, awaiting the case, ringing, briefing, deciding.
    Transferring(Transfer),
    /// A callback: the agent has taken it, the caller is called.
    CallingBack,
    /// Accepted: caller and agent are told of each other, in these lines.
    Introducing(Vec<LineId>),
    /// Caller and agent talk, or whom the agent has brought in.
    Joined(Talk),
    /// The assistant has the caller back, because a transfer failed.
    GivenBack,
    /// The assistant's last words are being said.
    Leaving,
    /// The legs are ended; their figures and the CRM's answer are on their way.
    Closing,
    /// Over, record completed.
    Ended,
}

/// One caller's visit.
#[derive(Debug)]
pub struct Call {
    flow: Arc<Flow>,
    rules: Arc<Rules>,
    intake: Intake,
    phase: Phase,
    caller: CallerLeg,
    agent: AgentLeg,
    third: SideLeg,
    supervisor: SideLeg,
    /// Who has put us on hold.
    held: BTreeSet<Leg>,
    /// Ringing tone is on for.
    ringback: BTreeSet<Leg>,
    /// The way to a person, as it was asked for last: for a callback.
    waited: Option<Waited>,
    /// An agent is asked of a queue, or promised.
    in_queue: bool,
    /// The promise that this call keeps.
    ticket: Option<Box<Ticket>>,
    monologue: Monologue,
    lines: Lines,
    timers: Timers,
    keeper: Keeper,
    actions: VecDeque<Action>,
    next_line: u64,
    /// The caller's way to speech-to-text is open.
    listening: bool,
    hold_music: bool,
    /// The caller is speaking.
    hearing: bool,
    /// What the caller's speech cut off, until it turns out to be words.
    interrupted: Option<CutOff>,
    /// Something is being done for the assistant.
    acting: bool,
    speech_down: bool,
    escalations: u32,
    /// Case writes without an answer.
    cases_open: u32,
    /// Ports whose figures have not come.
    ports_open: u32,
}

impl Call {
    /// A call that was just taken, with the rules as they come. `wall` is the same moment as `now`.
    pub fn new(now: Instant, wall: Timestamp, setup: Setup) -> Self {
        Self::with_rules(now, wall, setup, Arc::default())
    }

    /// A call that was just taken. `wall` is the same moment as `now`.
    pub fn with_rules(now: Instant, wall: Timestamp, setup: Setup, rules: Arc<Rules>) -> Self {
        let mut call = Self::blank(now, wall, setup, rules);
        call.timers.set(Timer::Confirm, now + timer::CONFIRM);
        call.act(Action::AnswerCaller);
        if let Some(number) = dialable(&call.keeper.record().from) {
            call.act(Action::LookUpContact { number });
        }
        call.save();
        call
    }

    /// A call of which nothing is known but its setup.
    fn blank(now: Instant, wall: Timestamp, setup: Setup, rules: Arc<Rules>) -> Self {
        let mut call = Self {
            intake: Intake::new(Arc::clone(&setup.flow), dialable(&setup.from)),
            keeper: Keeper::new(now, wall, &setup),
            flow: setup.flow,
            rules,
            phase: Phase::Arriving,
            caller: CallerLeg::Answered,
            agent: AgentLeg::None,
            third: SideLeg::None,
            supervisor: SideLeg::None,
            held: BTreeSet::new(),
            ringback: BTreeSet::new(),
            waited: None,
            in_queue: false,
            ticket: None,
            monologue: Monologue::default(),
            lines: Lines::default(),
            timers: Timers::default(),
            actions: VecDeque::new(),
            next_line: 0,
            listening: false,
            hold_music: false,
            hearing: false,
            interrupted: None,
            acting: false,
            speech_down: false,
            escalations: 0,
            cases_open: 0,
            ports_open: 1,
        };
        call.timers.set(Timer::CallCeiling, now + timer::CALL_CEILING);
        call
    }

    /// Tells which day it is where the callers are; without it "tomorrow" and dates without a year are not understood.
    pub fn set_today(&mut self, today: Day) {
        self.intake.set_today(today);
    }

    /// Takes what happened at `now`. What does not fit is ignored.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.take(now, input);
        self.save();
    }

    /// The next thing to do. To be drained after each [`Call::handle`].
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The timer that runs out next: then `handle(now, Input::Timeout(timer))`. `None` only when the call is over.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.timers.next()
    }

    /// What a language model may be asked about what was said. `None`: nothing was said, or the call is ending.
    pub fn question(&self) -> Option<Question> {
        let ending = matches!(self.phase, Phase::Leaving | Phase::Closing | Phase::Ended);
        if ending { None } else { self.intake.question() }
    }

    /// What a language model answered. Only what the caller said or the record holds is taken from it.
    ///
    /// # Errors
    /// It is not the answer that was asked for; nothing is taken.
    pub fn advised(&mut self, answer: &str) -> Result<Taken, AnswerError> {
        if matches!(self.phase, Phase::Closing | Phase::Ended) {
            return Ok(Taken::default());
        }
        let taken = self.intake.answered(answer)?;
        self.keeper.understood(&self.intake);
        self.save();
        Ok(taken)
    }

    /// An upset caller was offered a person and has not said yes or no yet.
    pub fn offers_person(&self) -> bool {
        self.is_talking() && self.intake.offers_person()
    }

    /// What the call will leave behind, as it stands now.
    pub fn record(&self) -> &CallRecord {
        self.keeper.record()
    }

    /// Nothing more will happen: the legs are ended, the record is complete. Drain the actions, then drop the call.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// What stands above every phase comes first; the rest is for the phase.
    fn take(&mut self, now: Instant, input: Input) {
        match input {
            Input::AgentOffered { extension } => {
                self.agents_offered(now, vec![Offered { extension, must_accept: false }]);
            }
            Input::AgentsOffered { agents } => self.agents_offered(now, agents),
            Input::AgentAnswered { extension } => self.agent_answered(now, extension),
            Input::SupervisorJoins { extension, mode } => self.supervisor_joins(now, &extension, mode),
            Input::MediaStats { leg, stats } => self.port_closed(leg, stats),
            Input::Recording(news) => self.keeper.recording(now, news),
            _ if self.is_over() => {}
            Input::CaseWritten { system, record_id } => self.case_written(now, system, record_id),
            Input::CaseFailed { final_ } => self.case_failed(now, final_),
            Input::Timeout(timer) => {
                if self.timers.fire(timer, now) {
                    self.timeout(now, timer);
                }
            }
            _ if matches!(self.phase, Phase::Closing) => {}
            Input::CallerGone { cause, sip } => self.caller_gone(now, cause, sip),
            Input::Shutdown => self.end(now, termination("shutdown", By::Baton, 503), HangUpCause::Shutdown),
            // Who has put us on hold need not send anything.
            Input::MediaSilent { leg } if self.held.contains(&leg) => {}
            Input::MediaSilent { leg: Leg::Caller } => {
                self.end(now, termination("rtp_timeout", By::Caller, 408), HangUpCause::NoMedia);
            }
            input => self.take_in_phase(now, input),
        }
    }

    fn take_in_phase(&mut self, now: Instant, input: Input) {
        match input {
            Input::CallerConfirmed => self.confirmed(now),
            Input::ContactFound(contact) => {
                self.intake.contact_found(contact);
                self.keeper.understood(&self.intake);
            }
            Input::SpeechStarted => self.speech_started(now),
            Input::Tone(reading) => {
                self.keeper.tone(&reading);
                self.intake.tone(reading);
            }
            Input::Heard { text, confidence, ended } => self.heard(now, &text, confidence, ended),
            Input::SpeechStopped => self.speech_stopped(now),
            Input::NotUnderstood => self.not_understood(now),
            Input::Digit { leg: Leg::Caller, digit } => self.caller_pressed(now, digit),
            Input::Digit { leg: Leg::Agent, digit } => self.agent_pressed(now, digit),
            Input::Digit { leg: Leg::Supervisor, digit } => self.supervisor_pressed(now, digit),
            Input::LineStarted { line, at } => self.line_started(line, at),
            Input::LineHeard { line, chars } => self.line_heard(line, chars),
            Input::LineEnded { line, completed } => self.line_ended(now, line, completed),
            Input::ActionResult(result) => self.action_result(now, result),
            Input::NoAgent => self.nobody(now),
            Input::Queued { position, wait } => self.queued(now, position, wait),
            Input::AgentRinging { extension } => self.agent_ringing(now, &extension),
            Input::AgentFailed { extension, code } => self.agent_failed(now, &extension, code),
            Input::AgentGone { .. } => self.agent_gone(now),
            Input::AnsweredByMachine => self.machine_answered(now),
            Input::AgentVoice { on } => self.agent_voice(now, on),
            Input::LegRinging { leg } => self.leg_rings(leg),
            Input::LegAnswered { leg } => self.leg_answered(now, leg),
            Input::LegFailed { leg, code } => self.leg_failed(now, leg, code),
            Input::LegGone { leg } => self.leg_gone(now, leg),
            Input::Hold { leg, on } => self.hold(now, leg, on),
            Input::Refer { leg, to } => self.refer(now, leg, &to),
            Input::BridgeAudio { from, at } => self.bridge_audio(from, at),
            Input::MediaSilent { leg: Leg::Agent } => self.agent_silent(now),
            Input::MediaSilent { leg: leg @ (Leg::Third | Leg::Supervisor) } => self.side_silent(now, leg),
            Input::SpeechBusy => self.speech_busy(now),
            Input::SpeechDown => self.speech_down(now),
            // Nothing hangs on these: the assistant asks for a name it does not know, and live calls outlast a drain.
            Input::ContactUnknown | Input::ContactFailed | Input::Drain => {}
            Input::Digit { leg: Leg::Third, .. } => {}
            // Above every phase; see `take`.
            Input::CallerGone { .. }
            | Input::AgentOffered { .. }
            | Input::AgentsOffered { .. }
            | Input::AgentAnswered { .. }
            | Input::SupervisorJoins { .. }
            | Input::CaseWritten { .. }
            | Input::CaseFailed { .. }
            | Input::MediaSilent { leg: Leg::Caller }
            | Input::MediaStats { .. }
            | Input::Recording(_)
            | Input::Shutdown
            | Input::Timeout(_) => {}
        }
    }

    fn timeout(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Confirm => self.end(now, termination("no_ack", By::Carrier, 408), HangUpCause::Normal),
            Timer::NoInput => self.no_input(now),
            Timer::Utterance => self.not_understood(now),
            Timer::LineCeiling => {
                drop(self.lines.drain());
                self.all_said(now);
            }
            Timer::ActionBudget => self.action_result(now, baton_intake::ActionResult::Failed),
            Timer::CrmWait => self.case_late(now),
            Timer::AgentSearch | Timer::QueueCeiling => self.nobody(now),
            Timer::AgentMonologue => self.monologue_due(now),
            Timer::Introduction => self.introduced(now),
            Timer::CallerRing => self.caller_unreached(now, true),
            Timer::ThirdRing => self.third_lost(now, 408, true),
            Timer::FeatureKeys => self.keys_paused(now),
            Timer::AgentRing => self.next_agent(now, NotTaken::NoAnswer, Some(HangUpCause::Normal)),
            Timer::BriefingCeiling => self.briefing_ended(now, false),
            Timer::AgentLinger => self.next_agent(now, NotTaken::NoDecision, Some(HangUpCause::NoDecision)),
            Timer::HoldNews => self.hold_news(now),
            Timer::FinalSave => self.complete(),
            Timer::CallCeiling => self.end(now, termination("too_long", By::Baton, 200), HangUpCause::Normal),
        }
    }
}

/// Small deeds shared by the phases.
impl Call {
    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    fn act_all(&mut self, actions: impl IntoIterator<Item = Action>) {
        self.actions.extend(actions);
    }

    fn save(&mut self) {
        if self.keeper.take_changed() && !self.is_over() {
            self.act(Action::SaveRecord);
        }
    }

    /// The assistant has the caller and may be answered.
    pub fn is_talking(&self) -> bool {
        matches!(self.phase, Phase::Conversing | Phase::GivenBack)
    }

    fn transfer(&mut self) -> Option<&mut Transfer> {
        match &mut self.phase {
            Phase::Transferring(transfer) => Some(transfer),
            _ => None,
        }
    }

    fn new_line(&mut self) -> LineId {
        self.next_line += 1;
        LineId(self.next_line)
    }

    /// Orders a line to the caller.
    fn say(&mut self, now: Instant, texts: Vec<String>, interruptible: bool, replies_to: Option<Instant>) {
        let id = self.new_line();
        self.say_line(now, Line { replies_to, ..Line::new(id, texts, interruptible) });
    }

    fn say_line(&mut self, now: Instant, line: Line) {
        if line.texts.iter().all(String::is_empty) || !self.caller.is_up() {
            return;
        }
        self.timers.stop(Timer::NoInput);
        let (id, texts, interruptible) = (line.id, line.texts.clone(), line.interruptible);
        self.lines.push(line);
        self.timers.set(Timer::LineCeiling, now + timer::line_ceiling(self.lines.chars()));
        self.act(Action::Say { line: id, leg: Leg::Caller, texts, interruptible });
    }

    /// Stops what is being said to the caller.
    fn stop_lines(&mut self) -> Option<CutOff> {
        self.act(Action::StopSpeech { leg: Leg::Caller });
        self.lines.stop()
    }

    fn listen(&mut self, on: bool) {
        if on {
            let (hints, expected) = (self.intake.hints(), self.intake.expected());
            self.act(Action::Listen { on, hints, expected });
        } else if self.listening {
            self.act(Action::Listen { on, hints: String::new(), expected: Expected::Anything });
            self.hearing = false;
            self.interrupted = None;
        }
        self.listening = on;
    }

    /// Ringing tone for a leg that waits for another one.
    fn ringback(&mut self, leg: Leg, on: bool) {
        let changed = if on { self.ringback.insert(leg) } else { self.ringback.remove(&leg) };
        if changed {
            self.act(Action::Ringback { leg, on });
        }
    }

    fn hold_music(&mut self, on: bool) {
        if std::mem::replace(&mut self.hold_music, on) != on {
            self.act(Action::HoldMusic { on });
        }
    }

    fn run(&mut self, now: Instant, action: IntakeAction) {
        self.acting = true;
        self.timers.set(Timer::ActionBudget, now + timer::ACTION_BUDGET);
        self.act(Action::RunAction(action));
    }

    /// Whatever the assistant was waiting for is waited for no more.
    fn stop_talking(&mut self) {
        self.listen(false);
        self.acting = false;
        for timer in [Timer::NoInput, Timer::Utterance, Timer::ActionBudget] {
            self.timers.stop(timer);
        }
    }

    fn step(&mut self, now: Instant, step: Step) {
        match step {
            Step::Wait => {}
            Step::Ring => self.ring(now),
            Step::PrepareAgain => self.prepare_briefing(),
            Step::Brief => self.brief(now),
            Step::Help => self.help(now),
            Step::Join => self.accepted(now),
            Step::Next(why) => self.next_agent(now, why, Some(cause_of(why))),
            Step::GiveBack(why) => self.give_back(now, why),
        }
    }
}

fn cause_of(why: NotTaken) -> HangUpCause {
    match why {
        NotTaken::Declined => HangUpCause::Declined,
        NotTaken::NoDecision => HangUpCause::NoDecision,
        NotTaken::Silent => HangUpCause::NoMedia,
        NotTaken::Machine => HangUpCause::Machine,
        NotTaken::NoAnswer | NotTaken::Busy | NotTaken::Unavailable | NotTaken::HungUp => HangUpCause::Normal,
    }
}

/// A number that could be called.
fn dialable(number: &str) -> Option<String> {
    Some(number.to_owned()).filter(|n| n.chars().filter(char::is_ascii_digit).count() >= 3)
}
