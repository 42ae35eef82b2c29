//! The call itself: phases, legs, timers, record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use baton_intake::{ActionResult, BriefingNotes, ContactView, Expected, Flow, Intake, Line, Next, Reply, TriggerName};
use jiff::Timestamp;

use crate::record::{self, CallRecord};
use crate::transfer::{AgentStep, Case, Step, Transfer};
use crate::{
    ACTION_BUDGET, AGENT_DECISION, Action, CallerGone, CaseDraft, DIGIT_GAP, FAREWELL, HangUpCause, Input, LONGEST, Leg, LineId, Setup, Timer,
};

#[derive(Debug)]
enum Phase {
    /// Answered, not yet acknowledged.
    Arriving,
    /// The assistant has the caller.
    Conversing,
    /// On the way to a person.
    Transferring(Box<Transfer>),
    /// Caller and agent talk.
    Joined { agent: String },
    /// The last line is being said.
    Leaving,
    /// Over.
    Over,
}

/// What the caller is being told now.
#[derive(Debug)]
struct Saying {
    line: LineId,
    texts: Vec<String>,
    interruptible: bool,
    /// What comes when it is over.
    then: Then,
    /// End of the words it replies to.
    replies_to: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Listen(std::time::Duration),
    HangUp,
}

/// What the agent is being told now.
#[derive(Debug, Clone, Copy)]
struct Told {
    line: LineId,
    briefing: bool,
}

/// One caller's visit.
#[derive(Debug)]
pub struct Call {
    flow: Arc<Flow>,
    intake: Intake,
    phase: Phase,
    began: Instant,
    wall: Timestamp,
    record: CallRecord,
    actions: VecDeque<Action>,
    timers: BTreeMap<Timer, Instant>,
    next_line: u64,
    /// Lines to the caller that are not over, oldest first.
    saying: VecDeque<Saying>,
    told: Option<Told>,
    listening: bool,
    digits: String,
    /// End of the caller's last words, until a reply to them starts.
    heard_at: Option<Instant>,
    marks: Marks,
}

/// Moments kept for the latencies.
#[derive(Debug, Default)]
struct Marks {
    confirmed: Option<Instant>,
    escalated: Option<Instant>,
    answered: Option<Instant>,
    accepted: Option<Instant>,
    caller_audio: Option<Instant>,
    agent_audio: Option<Instant>,
}

impl Call {
    /// A call that was just taken. `wall` is the same moment as `now`.
    pub fn new(now: Instant, wall: Timestamp, setup: Setup) -> Self {
        let number = Some(setup.from.clone()).filter(|n| n.chars().filter(char::is_ascii_digit).count() >= 3);
        let mut call = Self {
            intake: Intake::new(Arc::clone(&setup.flow), number.clone()),
            phase: Phase::Arriving,
            began: now,
            wall,
            record: CallRecord {
                call_id: setup.call_id,
                started_at: wall,
                ended_at: None,
                from: setup.from,
                to: setup.to,
                trunk: setup.trunk,
                flow: setup.flow.name().to_owned(),
                contact: None,
                turns: Vec::new(),
                slots: Default::default(),
                attempts: Vec::new(),
                trigger: None,
                disposition: None,
                summary: None,
                briefing: None,
                crm: None,
                agent: None,
                bridged_at: None,
                termination: None,
                latency_ms: Default::default(),
                media: Vec::new(),
            },
            flow: setup.flow,
            actions: VecDeque::new(),
            timers: BTreeMap::from([(Timer::Longest, now + LONGEST)]),
            next_line: 0,
            saying: VecDeque::new(),
            told: None,
            listening: false,
            digits: String::new(),
            heard_at: None,
            marks: Marks::default(),
        };
        call.act(Action::SaveRecord);
        call.act(Action::AnswerCaller);
        if let Some(number) = number {
            call.act(Action::LookUpContact { number });
        }
        call
    }

    /// Takes what happened at `now`. What does not fit is ignored.
    pub fn handle(&mut self, now: Instant, input: Input) {
        // Above every phase: what ends a call ends it once.
        match (&input, &self.phase) {
            (Input::MediaStats(media), _) => {
                self.record.media.push(media.clone());
                return;
            }
            (Input::AgentOffered { extension }, phase) if !matches!(phase, Phase::Transferring(_)) => {
                let extension = extension.clone();
                self.act(Action::ReleaseAgent { extension });
                return;
            }
            (_, Phase::Over) => return,
            (Input::CallerGone { cause, sip }, _) => {
                let (cause, sip) = (*cause, *sip);
                return self.caller_gone(now, cause, sip);
            }
            (Input::Shutdown, _) => return self.end_by_us(now, "shutdown", HangUpCause::Shutdown, 503),
            (Input::Timeout(Timer::Longest), _) => return self.end_by_us(now, "too_long", HangUpCause::Normal, 200),
            (Input::MediaSilent { leg: Leg::Caller }, _) => return self.end_by_us(now, "rtp_timeout", HangUpCause::NoMedia, 408),
            _ => {}
        }
        match input {
            Input::CallerConfirmed => self.confirmed(now),
            Input::ContactFound(contact) => self.contact_found(contact),
            Input::SpeechStarted => self.speech_started(now),
            Input::Heard { text, confidence, ended } => self.heard(now, text, confidence, ended),
            Input::NotUnderstood => self.turn(now, |intake| intake.not_understood()),
            Input::Digit { leg: Leg::Caller, digit } => self.caller_digit(now, digit),
            Input::Digit { leg: Leg::Agent, digit } => self.agent_digit(now, digit),
            Input::LineStarted { line, at } => self.line_started(line, at),
            Input::LineEnded { line, completed } => self.line_ended(now, line, completed),
            Input::ActionResult(result) => self.action_result(now, result),
            Input::CaseWritten { system, record_id } => self.case_written(now, system, record_id),
            Input::CaseFailed { last } => {
                if last {
                    self.step(now, Transfer::late);
                }
            }
            Input::AgentOffered { extension } => self.agent_offered(now, extension),
            Input::NoAgent => self.step(now, |t| if t.agent == AgentStep::Wanted { Step::GiveBack } else { Step::Wait }),
            Input::AgentRinging => self.agent_ringing(now),
            Input::AgentAnswered => self.agent_answered(now),
            Input::AgentFailed { .. } => self.next_agent(None),
            Input::AgentGone => self.agent_gone(now, "hangup"),
            Input::MediaSilent { leg: Leg::Agent } => {
                self.act_hang_up(Leg::Agent, HangUpCause::NoMedia);
                self.agent_gone(now, "rtp_timeout");
            }
            Input::BridgeAudio { from, at } => self.bridge_audio(from, at),
            Input::SpeechDown => self.speech_down(now),
            Input::Timeout(timer) => self.timeout(now, timer),
            Input::ContactUnknown
            | Input::MediaStats(_)
            | Input::MediaSilent { leg: Leg::Caller }
            | Input::CallerGone { .. }
            | Input::Shutdown => {}
        }
    }

    /// The next thing to do. Call until it is empty.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The timer that runs out first.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.timers.iter().map(|(timer, at)| (*at, *timer)).min()
    }

    /// The record as it stands.
    pub fn record(&self) -> &CallRecord {
        &self.record
    }

    /// Whether the call is over: no leg is left, the record is complete.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Whether caller and agent talk with each other.
    pub fn is_joined(&self) -> bool {
        matches!(self.phase, Phase::Joined { .. })
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    fn set(&mut self, timer: Timer, at: Instant) {
        self.timers.insert(timer, at);
    }

    fn wall(&self, at: Instant) -> Timestamp {
        let since = i64::try_from(at.saturating_duration_since(self.began).as_millis()).unwrap_or(0);
        let at = self.wall.as_millisecond().saturating_add(since);
        Timestamp::from_millisecond(at).unwrap_or(self.wall)
    }

    fn since_start(&self, at: Instant) -> u64 {
        ms(self.began, at)
    }
}

/// The conversation.
impl Call {
    fn confirmed(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Arriving) {
            self.phase = Phase::Conversing;
            self.marks.confirmed = Some(now);
            let reply = self.intake.begin();
            self.follow(now, reply);
        }
    }

    fn contact_found(&mut self, contact: ContactView) {
        self.intake.contact_found(contact);
        self.refresh_record();
        if self.listening {
            self.listen(true);
        }
    }

    fn speech_started(&mut self, now: Instant) {
        if !self.has_caller() {
            return;
        }
        // Whoever speaks is not silent; a ceiling stands in case their words never come.
        if self.timers.contains_key(&Timer::NoInput) {
            self.set(Timer::NoInput, now + std::time::Duration::from_secs(25));
        }
        if self.saying.front().is_some_and(|s| s.interruptible) {
            self.interrupt(now);
        }
    }

    /// The caller talks over us: we stop, and their words will be the answer.
    fn interrupt(&mut self, now: Instant) {
        self.act(Action::StopSpeech { leg: Leg::Caller });
        self.saying.clear();
        self.set(Timer::NoInput, now + std::time::Duration::from_secs(25));
    }

    fn heard(&mut self, now: Instant, text: String, confidence: f32, ended: Instant) {
        if !self.has_caller() {
            return; // held, joined or leaving: nobody listens
        }
        let at_ms = self.since_start(ended);
        self.record.turns.push(record::Turn { who: "caller", text: text.clone(), at_ms, confidence: Some(confidence), dtmf: false });
        self.heard_at = Some(ended);
        self.turn(now, |intake| intake.heard(&text, confidence));
    }

    fn turn(&mut self, now: Instant, answer: impl FnOnce(&mut Intake) -> Reply) {
        if !self.has_caller() {
            return;
        }
        if self.saying.front().is_some_and(|s| s.interruptible) {
            self.interrupt(now);
        }
        self.timers.remove(&Timer::NoInput);
        let reply = answer(&mut self.intake);
        self.follow(now, reply);
    }

    fn action_result(&mut self, now: Instant, result: ActionResult) {
        if self.has_caller() && self.timers.remove(&Timer::ActionBudget).is_some() {
            let reply = self.intake.action_result(result);
            self.follow(now, reply);
        }
    }

    fn caller_digit(&mut self, now: Instant, digit: char) {
        if !self.has_caller() {
            return;
        }
        if self.saying.front().is_some_and(|s| s.interruptible) {
            self.interrupt(now);
        }
        if digit.is_ascii_digit() {
            self.digits.push(digit);
        }
        let full = match self.intake.expected() {
            Expected::YesNo => true,
            Expected::Number(n) => self.digits.len() >= n,
            Expected::Anything | Expected::Name => false,
        };
        if full || digit == '#' {
            self.typed(now);
        } else {
            self.set(Timer::DigitGap, now + DIGIT_GAP);
        }
    }

    fn typed(&mut self, now: Instant) {
        self.timers.remove(&Timer::DigitGap);
        let digits = std::mem::take(&mut self.digits);
        if digits.is_empty() || !self.has_caller() {
            return;
        }
        let at_ms = self.since_start(now);
        self.record.turns.push(record::Turn { who: "caller", text: digits.clone(), at_ms, confidence: None, dtmf: true });
        self.turn(now, |intake| intake.digits(&digits));
    }

    /// Does what the conversation wants.
    fn follow(&mut self, now: Instant, reply: Reply) {
        self.refresh_record();
        match reply.next {
            Next::Listen { patience } => {
                self.say(reply.say, reply.interruptible, Then::Listen(patience));
                self.listen(true);
            }
            Next::Act(action) => {
                self.say(reply.say, reply.interruptible, Then::Nothing);
                self.set(Timer::ActionBudget, now + ACTION_BUDGET);
                self.act(Action::RunAction(action));
            }
            Next::Escalate { trigger, disposition, queue } => self.escalate(now, reply.say, trigger, disposition, queue),
            Next::Finish { disposition } => {
                self.listen(false);
                self.phase = Phase::Leaving;
                self.record.disposition = Some(disposition);
                self.set(Timer::Farewell, now + FAREWELL);
                self.say(reply.say, false, Then::HangUp);
            }
        }
        self.act(Action::SaveRecord);
    }

    fn say(&mut self, texts: Vec<String>, interruptible: bool, then: Then) {
        self.next_line += 1;
        let line = LineId(self.next_line);
        let replies_to = self.heard_at.take();
        self.act(Action::Say { line, leg: Leg::Caller, texts: texts.clone() });
        self.saying.push_back(Saying { line, texts, interruptible, then, replies_to });
    }

    fn listen(&mut self, on: bool) {
        if on || self.listening {
            self.listening = on;
            let (hints, expected) = (self.intake.hints(), self.intake.expected());
            self.act(Action::Listen { on, hints, expected });
        }
    }

    fn line_started(&mut self, line: LineId, at: Instant) {
        if self.told.is_some_and(|t| t.line == line && t.briefing) {
            if let Some(answered) = self.marks.answered {
                self.record.latency_ms.answer_to_briefing.get_or_insert(ms(answered, at));
            }
            return;
        }
        let at_ms = self.since_start(at);
        let Some(saying) = self.saying.iter_mut().find(|s| s.line == line) else { return };
        if let Some(ended) = saying.replies_to.take() {
            self.record.latency_ms.reply.push(ms(ended, at));
        }
        if let Some(confirmed) = self.marks.confirmed {
            self.record.latency_ms.answer_to_greeting.get_or_insert(ms(confirmed, at));
        }
        let text = saying.texts.join(" ");
        self.record.turns.push(record::Turn { who: "assistant", text, at_ms, confidence: None, dtmf: false });
    }

    fn line_ended(&mut self, now: Instant, line: LineId, completed: bool) {
        if self.told.is_some_and(|t| t.line == line) {
            return self.agent_line_ended(now, completed);
        }
        let Some(at) = self.saying.iter().position(|s| s.line == line) else { return };
        let Some(saying) = self.saying.remove(at) else { return };
        if !self.saying.is_empty() {
            return; // another line follows
        }
        match saying.then {
            Then::Listen(patience) if self.has_caller() => self.set(Timer::NoInput, now + patience),
            Then::HangUp => self.end_by_us(now, "completed", HangUpCause::Normal, 200),
            Then::Nothing | Then::Listen(_) => {}
        }
    }

    fn speech_down(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Conversing | Phase::Arriving) {
            let trigger = TriggerName::SystemFault;
            let (disposition, queue) = self.flow.escalation(trigger);
            let line = self.flow.line(Line::SpeechDown, 0);
            self.escalate(now, vec![line], trigger, disposition, queue);
        }
    }

    /// Whether the assistant has the caller: talks with them and hears them.
    fn has_caller(&self) -> bool {
        matches!(self.phase, Phase::Conversing)
    }

    fn refresh_record(&mut self) {
        self.record.slots = self.intake.form().clone();
        self.record.attempts = self.intake.attempts().to_vec();
        self.record.contact = self.intake.contact().map(|c| record::Contact {
            id: c.id.clone(),
            name: c.name.clone(),
            account_holder: self.intake.account_holder(),
            matched_by: c.matched_by.clone(),
        });
        self.record.summary = Some(self.intake.summary(self.record.trigger));
    }
}

/// The transfer.
impl Call {
    fn escalate(&mut self, now: Instant, mut say: Vec<String>, trigger: TriggerName, disposition: String, queue: String) {
        self.listen(false);
        self.timers.remove(&Timer::NoInput);
        self.timers.remove(&Timer::ActionBudget);
        let rules = self.flow.transfer();
        self.marks.escalated = Some(now);
        self.record.trigger = Some(trigger);
        self.record.disposition = Some(disposition.clone());
        self.refresh_record();
        self.record.crm = Some(record::Crm { system: None, record_id: None, requested_at: self.wall(now), acknowledged_at: None, policy: None });
        self.record.agent = Some(record::Agent::default());
        self.phase = Phase::Transferring(Box::new(Transfer::new(trigger, queue.clone(), rules.if_late)));
        // The case and the agent at once; the words to the caller need neither.
        self.act(Action::WriteCase(CaseDraft {
            call_id: self.record.call_id.clone(),
            contact: self.intake.contact().map(|c| c.id.clone()),
            caller_name: self.record.slots.text("name").map(str::to_owned),
            account_holder: self.intake.account_holder(),
            trigger,
            disposition,
            summary: self.record.summary.clone().unwrap_or_default(),
            slots: self.record.slots.clone(),
        }));
        self.act(Action::FindAgent { queue, not: Vec::new() });
        say.push(self.flow.line(Line::Connecting, 0));
        self.say(say, false, Then::Nothing);
        self.act(Action::HoldMusic { on: true });
        self.set(Timer::CrmWait, now + rules.crm_wait);
        self.set(Timer::HoldNews, now + rules.news_every);
        self.act(Action::SaveRecord);
    }

    /// Moves the transfer and does what it then wants.
    fn step(&mut self, now: Instant, change: impl FnOnce(&mut Transfer) -> Step) {
        let Phase::Transferring(transfer) = &mut self.phase else { return };
        let step = change(transfer);
        self.note_policy();
        match step {
            Step::Wait => {}
            Step::Ring(extension) => self.ring(now, extension),
            Step::GiveBack => self.give_back(now),
        }
    }

    fn agent_offered(&mut self, now: Instant, extension: String) {
        match &self.phase {
            Phase::Transferring(transfer) if transfer.agent == AgentStep::Wanted => self.step(now, |t| t.offered(extension)),
            _ => self.act(Action::ReleaseAgent { extension }), // one at a time
        }
    }

    fn note_policy(&mut self) {
        let Phase::Transferring(transfer) = &self.phase else { return };
        let policy = match transfer.case {
            Case::Asked => return,
            Case::Acknowledged => "acknowledged",
            Case::Proceeded => "proceeded",
        };
        if let Some(crm) = &mut self.record.crm {
            crm.policy = Some(policy);
        }
        self.timers.remove(&Timer::CrmWait);
    }

    fn case_written(&mut self, now: Instant, system: String, record_id: String) {
        let at = self.wall(now);
        if let Some(crm) = self.record.crm.as_mut().filter(|c| c.acknowledged_at.is_none()) {
            crm.system = Some(system);
            crm.record_id = Some(record_id);
            crm.acknowledged_at = Some(at);
            self.step(now, Transfer::acknowledged);
            self.act(Action::SaveRecord);
        }
    }

    fn ring(&mut self, now: Instant, extension: String) {
        let Phase::Transferring(transfer) = &self.phase else { return };
        let notes = BriefingNotes { record_late: transfer.case == Case::Proceeded };
        let briefing = self.intake.briefing(transfer.trigger, &notes);
        if let Some(agent) = &mut self.record.agent {
            agent.extension = Some(extension.clone());
            (agent.rang_at, agent.answered_at) = (None, None);
        }
        // Ring first: the words are ready long before anybody picks up.
        self.act(Action::RingAgent { extension });
        self.act(Action::PrepareBriefing { text: briefing.text.clone() });
        self.record.briefing =
            Some(record::Briefing { template: briefing.template, text: briefing.text, completed: false, controls: Vec::new() });
        self.set(Timer::AgentRing, now + self.flow.transfer().ring_timeout);
        self.act(Action::SaveRecord);
    }

    fn agent_ringing(&mut self, now: Instant) {
        let ringing = matches!(&self.phase, Phase::Transferring(t) if matches!(t.agent, AgentStep::Ringing(_)));
        let at = self.wall(now);
        if let Some(agent) = self.record.agent.as_mut().filter(|a| ringing && a.rang_at.is_none()) {
            agent.rang_at = Some(at);
            if let Some(escalated) = self.marks.escalated {
                self.record.latency_ms.trigger_to_ring.get_or_insert(ms(escalated, now));
            }
            self.act(Action::SaveRecord);
        }
    }

    fn agent_answered(&mut self, now: Instant) {
        let Phase::Transferring(transfer) = &mut self.phase else { return };
        let AgentStep::Ringing(extension) = &transfer.agent else { return };
        transfer.agent = AgentStep::Briefing(extension.clone());
        self.timers.remove(&Timer::AgentRing);
        self.marks.answered = Some(now);
        let at = self.wall(now);
        if let Some(agent) = &mut self.record.agent {
            agent.rang_at.get_or_insert(at); // some phones answer without ringing
            agent.answered_at = Some(at);
        }
        if let Some(escalated) = self.marks.escalated {
            self.record.latency_ms.trigger_to_ring.get_or_insert(ms(escalated, now));
        }
        self.brief();
        self.act(Action::SaveRecord);
    }

    fn brief(&mut self) {
        self.next_line += 1;
        let line = LineId(self.next_line);
        self.told = Some(Told { line, briefing: true });
        let text = self.record.briefing.as_ref().map(|b| b.text.clone()).unwrap_or_default();
        self.act(Action::PlayBriefing { line, text });
    }

    fn agent_line_ended(&mut self, now: Instant, completed: bool) {
        let briefing = self.told.take().is_some_and(|t| t.briefing);
        if !matches!(&self.phase, Phase::Transferring(t) if matches!(t.agent, AgentStep::Briefing(_))) {
            return;
        }
        if briefing {
            if let Some(briefing) = &mut self.record.briefing {
                briefing.completed |= completed;
            }
            if completed && self.flow.transfer().accept_on_briefing_end {
                return self.accept(now);
            }
            self.next_line += 1;
            let line = LineId(self.next_line);
            self.told = Some(Told { line, briefing: false });
            self.act(Action::Say { line, leg: Leg::Agent, texts: vec![self.flow.line(Line::AgentHelp, 0)] });
        }
        self.set(Timer::AgentDecision, now + AGENT_DECISION);
    }

    fn agent_digit(&mut self, now: Instant, digit: char) {
        if !matches!(&self.phase, Phase::Transferring(t) if matches!(t.agent, AgentStep::Briefing(_))) {
            return; // after the join, digits are for whoever is on the other side
        }
        let control = match digit {
            '1' => "accept",
            '2' => "decline",
            '3' => "repeat",
            '*' => "skip",
            _ => return,
        };
        if let Some(briefing) = &mut self.record.briefing {
            briefing.controls.push(control);
        }
        match digit {
            '1' | '*' => self.accept(now),
            '2' => self.next_agent(Some(HangUpCause::Declined)),
            _ => {
                self.timers.remove(&Timer::AgentDecision);
                self.told = None; // the line that is stopped has nothing more to say
                self.act(Action::StopSpeech { leg: Leg::Agent });
                self.brief();
            }
        }
    }

    fn accept(&mut self, now: Instant) {
        let Phase::Transferring(transfer) = &self.phase else { return };
        let AgentStep::Briefing(extension) = transfer.agent.clone() else { return };
        if transfer.case == Case::Asked {
            return; // cannot be: no phone rings before the case is settled
        }
        self.marks.accepted = Some(now);
        let at = self.wall(now);
        if let Some(agent) = &mut self.record.agent {
            agent.accepted_at = Some(at);
        }
        self.record.bridged_at = Some(at);
        self.told = None;
        self.saying.clear();
        for timer in [Timer::AgentDecision, Timer::HoldNews, Timer::AgentRing, Timer::CrmWait] {
            self.timers.remove(&timer);
        }
        self.phase = Phase::Joined { agent: extension };
        self.act(Action::StopSpeech { leg: Leg::Agent });
        self.act(Action::HoldMusic { on: false });
        self.act(Action::StopSpeech { leg: Leg::Caller });
        self.act(Action::Bridge);
        self.act(Action::SaveRecord);
    }

    fn bridge_audio(&mut self, from: Leg, at: Instant) {
        let mark = match from {
            Leg::Caller => &mut self.marks.caller_audio,
            Leg::Agent => &mut self.marks.agent_audio,
        };
        mark.get_or_insert(at);
        if let (Some(accepted), Some(a), Some(b)) = (self.marks.accepted, self.marks.caller_audio, self.marks.agent_audio) {
            self.record.latency_ms.accept_to_two_way.get_or_insert(ms(accepted, a.max(b)));
        }
    }

    /// The agent in hand does not take the call: end that leg, look for the next.
    fn next_agent(&mut self, hang_up: Option<HangUpCause>) {
        let Phase::Transferring(transfer) = &mut self.phase else { return };
        let step = transfer.agent.clone();
        if !matches!(step, AgentStep::Ringing(_) | AgentStep::Briefing(_)) {
            return;
        }
        let Some(extension) = transfer.passed_over() else { return };
        let (queue, not) = (transfer.queue.clone(), transfer.declined.clone());
        if let Some(agent) = &mut self.record.agent {
            agent.declined.clone_from(&not);
            agent.extension = None;
        }
        self.told = None;
        self.timers.remove(&Timer::AgentRing);
        self.timers.remove(&Timer::AgentDecision);
        if let Some(cause) = hang_up {
            self.end_agent_leg(&step, cause);
        }
        self.act(Action::ReleaseAgent { extension });
        self.act(Action::FindAgent { queue, not });
        self.act(Action::SaveRecord);
    }

    fn end_agent_leg(&mut self, step: &AgentStep, cause: HangUpCause) {
        match step {
            AgentStep::Ringing(_) => self.act(Action::CancelAgent),
            AgentStep::Briefing(_) => self.act_hang_up(Leg::Agent, cause),
            AgentStep::Wanted | AgentStep::Promised(_) => {}
        }
    }

    fn agent_gone(&mut self, now: Instant, cause: &str) {
        if let Phase::Joined { agent } = &self.phase {
            let agent = agent.clone();
            self.act(Action::ReleaseAgent { extension: agent });
            self.phase = Phase::Conversing; // nobody holds the caller; end_by_us does the rest
            self.finish(now, cause, "agent", 200);
            self.act_hang_up(Leg::Caller, HangUpCause::OtherSideGone);
            self.close();
            return;
        }
        self.next_agent(None);
    }

    /// The one way out of a failed transfer: the caller is the assistant's again.
    fn give_back(&mut self, now: Instant) {
        self.release_agent(HangUpCause::Normal);
        for timer in [Timer::CrmWait, Timer::HoldNews, Timer::AgentRing, Timer::AgentDecision] {
            self.timers.remove(&timer);
        }
        self.phase = Phase::Conversing;
        self.act(Action::HoldMusic { on: false });
        let reply = self.intake.handed_back();
        self.follow(now, reply);
    }

    /// Ends the agent's leg and gives the agent back, wherever the transfer stands.
    fn release_agent(&mut self, cause: HangUpCause) {
        let (step, extension) = match &self.phase {
            Phase::Transferring(transfer) => match transfer.agent.extension() {
                Some(extension) => (transfer.agent.clone(), extension.to_owned()),
                None => return,
            },
            Phase::Joined { agent } => (AgentStep::Briefing(agent.clone()), agent.clone()),
            _ => return,
        };
        self.told = None;
        self.end_agent_leg(&step, cause);
        self.act(Action::ReleaseAgent { extension });
    }
}

/// Timers and ends.
impl Call {
    fn timeout(&mut self, now: Instant, timer: Timer) {
        if self.timers.get(&timer).is_none_or(|at| *at > now) {
            return; // set anew, or gone
        }
        self.timers.remove(&timer);
        match timer {
            Timer::NoInput => self.turn(now, |intake| intake.no_input()),
            Timer::DigitGap => self.typed(now),
            Timer::ActionBudget => {
                self.set(Timer::ActionBudget, now);
                self.action_result(now, ActionResult::Failed);
            }
            Timer::CrmWait => self.step(now, Transfer::late),
            Timer::AgentRing => self.next_agent(Some(HangUpCause::Normal)),
            Timer::AgentDecision => self.next_agent(Some(HangUpCause::Declined)),
            Timer::HoldNews => self.hold_news(now),
            Timer::Farewell => self.end_by_us(now, "completed", HangUpCause::Normal, 200),
            Timer::Longest => {}
        }
    }

    fn hold_news(&mut self, now: Instant) {
        let Phase::Transferring(transfer) = &mut self.phase else { return };
        let nth = transfer.news;
        transfer.news += 1;
        let line = self.flow.line(Line::HoldNews, nth);
        self.set(Timer::HoldNews, now + self.flow.transfer().news_every);
        if self.saying.is_empty() {
            self.say(vec![line], false, Then::Nothing);
        }
    }

    fn caller_gone(&mut self, now: Instant, cause: CallerGone, sip: u16) {
        let (cause, by) = match cause {
            CallerGone::Hangup => ("hangup", "caller"),
            CallerGone::Cancel => ("cancelled", "caller"),
            CallerGone::NoAck => ("no_ack", "carrier"),
            CallerGone::Fault => ("fault", "carrier"),
        };
        self.release_agent(HangUpCause::OtherSideGone);
        self.finish(now, cause, by, sip);
        self.close();
    }

    fn end_by_us(&mut self, now: Instant, cause: &str, hang_up: HangUpCause, sip: u16) {
        self.release_agent(hang_up);
        self.act_hang_up(Leg::Caller, hang_up);
        let by = if hang_up == HangUpCause::NoMedia { "caller" } else { "baton" };
        self.finish(now, cause, by, sip);
        self.close();
    }

    /// Settles what the record says of the end.
    fn finish(&mut self, now: Instant, cause: &str, by: &'static str, sip: u16) {
        self.refresh_record();
        // A trigger's code stands if the two were joined; a promised callback or a solved call has its own already.
        let settled = self.record.bridged_at.is_some() || matches!(self.phase, Phase::Leaving);
        if !settled || self.record.disposition.is_none() {
            self.record.disposition = Some(self.flow.abandoned().to_owned());
        }
        self.record.termination = Some(record::Termination { cause: cause.to_owned(), by, sip });
        self.record.ended_at = Some(self.wall(now));
    }

    fn close(&mut self) {
        self.listen(false);
        self.phase = Phase::Over;
        self.timers.clear();
        self.saying.clear();
        self.told = None;
        self.act(Action::CompleteRecord);
    }

    fn act_hang_up(&mut self, leg: Leg, cause: HangUpCause) {
        self.act(Action::HangUp { leg, cause });
    }
}

fn ms(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}
