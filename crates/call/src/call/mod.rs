//! The call itself: its phases, and what each input means in them. `talk` is the conversation, `handover` the way to a
//! person, `ending` the end; this file holds the state, the border, and what stands above every phase.

mod ending;
mod handover;
mod talk;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use baton_intake::{Action as IntakeAction, Expected, Flow, Intake};
use jiff::Timestamp;

use crate::api::{Action, HangUpCause, Input, LineId, Setup};
use crate::keep::{Keeper, termination};
use crate::leg::{AgentLeg, CallerLeg, Leg};
use crate::lines::{Line, Lines};
use crate::record::{By, CallRecord, NotTaken};
use crate::timer::{self, Timer, Timers};
use crate::transfer::{Step, Transfer};

/// Where a call stands.
#[derive(Debug)]
enum Phase {
    /// Answered; the caller's ACK has not come.
    Arriving,
    /// The assistant has the caller.
    Conversing,
    /// On the way to a person; how far, the transfer knows: searching, awaiting the case, ringing, briefing, deciding.
    Transferring(Transfer),
    /// Caller and agent talk.
    Joined,
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
    intake: Intake,
    phase: Phase,
    caller: CallerLeg,
    agent: AgentLeg,
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
    interrupted: Option<Vec<String>>,
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
    /// A call that was just taken. `wall` is the same moment as `now`.
    pub fn new(now: Instant, wall: Timestamp, setup: Setup) -> Self {
        let number = Some(setup.from.clone()).filter(|n| n.chars().filter(char::is_ascii_digit).count() >= 3);
        let mut call = Self {
            intake: Intake::new(Arc::clone(&setup.flow), number.clone()),
            keeper: Keeper::new(now, wall, &setup),
            flow: setup.flow,
            phase: Phase::Arriving,
            caller: CallerLeg::Answered,
            agent: AgentLeg::None,
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
        call.timers.set(Timer::Confirm, now + timer::CONFIRM);
        call.timers.set(Timer::CallCeiling, now + timer::CALL_CEILING);
        call.act(Action::AnswerCaller);
        if let Some(number) = number {
            call.act(Action::LookUpContact { number });
        }
        call.save();
        call
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
            Input::AgentOffered { extension } => self.agent_offered(now, extension),
            Input::AgentAnswered => self.agent_answered(now),
            Input::MediaStats { leg, stats } => self.port_closed(leg, stats),
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
            Input::Heard { text, confidence, ended } => self.heard(now, &text, confidence, ended),
            Input::NotUnderstood => self.not_understood(now),
            Input::Digit { leg: Leg::Caller, digit } => self.caller_pressed(now, digit),
            Input::Digit { leg: Leg::Agent, digit } => self.agent_pressed(now, digit),
            Input::LineStarted { line, at } => self.line_started(line, at),
            Input::LineEnded { line, completed } => self.line_ended(now, line, completed),
            Input::ActionResult(result) => self.action_result(now, result),
            Input::NoAgent => self.nobody(now),
            Input::AgentRinging => self.agent_ringing(now),
            Input::AgentFailed { code } => self.agent_failed(now, code),
            Input::AgentGone { .. } => self.agent_gone(now),
            Input::BridgeAudio { from, at } => self.bridge_audio(from, at),
            Input::MediaSilent { leg: Leg::Agent } => self.agent_silent(now),
            Input::SpeechDown => self.speech_down(now),
            // Nothing hangs on these: the assistant asks for a name it does not know, and live calls outlast a drain.
            Input::ContactUnknown | Input::ContactFailed | Input::Drain => {}
            // Above every phase; see `take`.
            Input::CallerGone { .. }
            | Input::AgentOffered { .. }
            | Input::AgentAnswered
            | Input::CaseWritten { .. }
            | Input::CaseFailed { .. }
            | Input::MediaSilent { leg: Leg::Caller }
            | Input::MediaStats { .. }
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
            Timer::AgentSearch => self.nobody(now),
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
    fn is_talking(&self) -> bool {
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
        if line.texts.iter().all(String::is_empty) {
            return;
        }
        self.timers.stop(Timer::NoInput);
        let (id, texts, interruptible) = (line.id, line.texts.clone(), line.interruptible);
        self.lines.push(line);
        self.timers.set(Timer::LineCeiling, now + timer::line_ceiling(self.lines.chars()));
        self.act(Action::Say { line: id, leg: Leg::Caller, texts, interruptible });
    }

    /// Stops what is being said to the caller.
    fn stop_lines(&mut self) -> Option<Vec<String>> {
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
            Step::Join => self.join(now),
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
        NotTaken::NoAnswer | NotTaken::Busy | NotTaken::Unavailable | NotTaken::HungUp => HangUpCause::Normal,
    }
}
