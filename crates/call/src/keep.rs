//! Keeps the call record: turns what happened, and when, into its fields and latencies. It decides nothing, except that a
//! disposition is settled once.

use std::time::Instant;

use baton_intake::{Intake, ToneReading, TriggerName};
use jiff::Timestamp;

use crate::api::{self, Setup, Supervision};
use crate::leg::Leg;
use crate::lines::{Line, heard_of};
use crate::record::{
    Agent, Briefing, By, CallRecord, Callback, Contact, Control, Crm, GivenBack, How, Latency, Media, MediaStats,
    NotTaken, PassedOn, Policy, Recording, Stamp, Supervised, Termination, Tone, Tried, Turn, Who, WhyGivenBack,
};
use crate::ticket::Ticket;

#[derive(Debug)]
pub(crate) struct Keeper {
    record: CallRecord,
    began: Instant,
    wall: Timestamp,
    settled: bool,
    /// This escalation has led to a join.
    joined: bool,
    /// The record changed since it was last asked.
    changed: bool,
    escalated: Option<Instant>,
    invited: Option<Instant>,
    answered: Option<Instant>,
    accepted: Option<Instant>,
    caller_audio: Option<Instant>,
    agent_audio: Option<Instant>,
}

impl Keeper {
    /// `wall` is the same moment as `now`.
    pub fn new(now: Instant, wall: Timestamp, setup: &Setup) -> Self {
        let record = CallRecord {
            call_id: setup.call_id.clone(),
            started_at: Stamp(wall),
            ended_at: None,
            from: setup.from.clone(),
            to: setup.to.clone(),
            trunk: setup.trunk.clone(),
            flow: setup.flow.name().to_owned(),
            contact: None,
            turns: Vec::new(),
            slots: Default::default(),
            attempts: Vec::new(),
            tone: None,
            trigger: None,
            disposition: None,
            summary: None,
            briefing: None,
            crm: None,
            agent: None,
            bridged_at: None,
            given_back: Vec::new(),
            passed_on: Vec::new(),
            supervisors: Vec::new(),
            callback: None,
            termination: None,
            latency_ms: Latency::default(),
            media: Vec::new(),
            recordings: Vec::new(),
        };
        Self {
            record,
            began: now,
            wall,
            settled: false,
            joined: false,
            changed: true,
            escalated: None,
            invited: None,
            answered: None,
            accepted: None,
            caller_audio: None,
            agent_audio: None,
        }
    }

    pub fn record(&self) -> &CallRecord {
        &self.record
    }

    /// Whether the record changed since the last time this was asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn stamp(&self, at: Instant) -> Stamp {
        Stamp(self.wall.saturating_add(at.saturating_duration_since(self.began)).unwrap_or(self.wall))
    }

    fn at_ms(&self, at: Instant) -> u64 {
        ms(self.began, at)
    }
}

/// The conversation.
impl Keeper {
    /// What the caller's voice and words told; it belongs to the words that follow.
    pub fn tone(&mut self, reading: &ToneReading) {
        let ToneReading { score, peak, why, plain } = reading.clone();
        self.record.tone = Some(Tone { score, peak, why, plain });
    }

    pub fn understood(&mut self, intake: &Intake) {
        self.record.slots.clone_from(intake.form().slots());
        self.record.attempts = intake.attempts().to_vec();
        self.record.contact = intake.contact().map(|c| Contact {
            id: c.id.clone(),
            name: c.name.clone(),
            account_holder: intake.account_holder(),
            matched_by: c.matched_by.clone(),
        });
        self.changed = true;
    }

    pub fn heard(&mut self, text: &str, confidence: f32, ended: Instant) {
        let (text, at_ms) = (text.to_owned(), self.at_ms(ended));
        let confidence = Some(confidence.clamp(0.0, 1.0));
        self.record.turns.push(Turn { who: Who::Caller, text, at_ms, confidence, dtmf: false, cut: false });
        self.changed = true;
    }

    /// Digits typed in a row are one turn.
    pub fn typed(&mut self, now: Instant, digit: char) {
        match self.record.turns.last_mut() {
            Some(turn) if turn.dtmf => turn.text.push(digit),
            _ => self.record.turns.push(Turn {
                who: Who::Caller,
                text: digit.into(),
                at_ms: self.at_ms(now),
                confidence: Some(1.0),
                dtmf: true,
                cut: false,
            }),
        }
        self.changed = true;
    }

    /// The first packet of one of our lines has left. The first line of all is the greeting.
    pub fn line_started(&mut self, line: &mut Line, at: Instant) {
        if line.turn.is_some() {
            return;
        }
        line.turn = Some(self.record.turns.len());
        let (text, at_ms) = (line.texts.join(" "), self.at_ms(at));
        let turn = Turn { who: Who::Assistant, text, at_ms, confidence: None, dtmf: false, cut: false };
        self.record.turns.push(turn);
        let latency = &mut self.record.latency_ms;
        latency.answer_to_greeting.get_or_insert(ms(self.began, at));
        if let Some(ended) = line.replies_to {
            latency.reply.push(ms(ended, at));
        }
        self.changed = true;
    }

    /// A line was not said to its end: what was heard of it, as far as that is known, is what was said. A line of which
    /// nothing was heard is no turn; then its place in the record, which is free.
    pub fn line_cut(&mut self, line: &Line) -> Option<usize> {
        let at = line.turn?;
        let turn = self.record.turns.get_mut(at)?;
        turn.cut = true;
        self.changed = true;
        let heard = line.heard?;
        heard_of(&line.text(), heard).clone_into(&mut turn.text);
        if !turn.text.is_empty() {
            return None;
        }
        self.record.turns.remove(at);
        Some(at)
    }
}

/// The transfer.
impl Keeper {
    pub fn escalated(&mut self, now: Instant, trigger: TriggerName, disposition: &str, summary: String) {
        self.escalated = Some(now);
        self.joined = false;
        self.record.trigger = Some(trigger);
        if !self.settled {
            self.record.disposition = Some(disposition.to_owned());
        }
        self.record.summary = Some(summary);
        self.record.crm = Some(Crm {
            system: None,
            record_id: None,
            requested_at: self.stamp(now),
            acknowledged_at: None,
            policy: None,
        });
        self.changed = true;
    }

    pub fn case_written(&mut self, now: Instant, system: String, record_id: String) {
        let at = self.stamp(now);
        let joined = self.joined;
        if let Some(crm) = self.record.crm.as_mut().filter(|c| c.acknowledged_at.is_none()) {
            crm.system = Some(system);
            crm.record_id = Some(record_id);
            crm.acknowledged_at = Some(at);
            if !joined {
                crm.policy = Some(Policy::Acknowledged);
            }
            self.changed = true;
        }
    }

    pub fn proceeded(&mut self) {
        if let Some(crm) = &mut self.record.crm {
            crm.policy = Some(Policy::Proceeded);
            self.changed = true;
        }
    }

    /// Of several who are rung at once the first stands in the record until one has picked up.
    pub fn invited(&mut self, now: Instant, extensions: &[String]) {
        self.invited = Some(now);
        let agent = self.agent();
        let Agent { declined, tried, .. } = std::mem::take(agent);
        *agent = Agent { declined, tried, extension: extensions.first().cloned(), ..Agent::default() };
        self.changed = true;
    }

    pub fn rang(&mut self, now: Instant) {
        let at = self.stamp(now);
        self.agent().rang_at.get_or_insert(at);
        self.mark_ring(now);
        self.changed = true;
    }

    pub fn answered(&mut self, now: Instant, extension: &str) {
        self.answered = Some(now);
        let at = self.stamp(now);
        let agent = self.agent();
        agent.extension = Some(extension.to_owned());
        agent.answered_at = Some(at);
        if let Some(invited) = self.invited.filter(|_| self.record.latency_ms.trigger_to_ring.is_none()) {
            self.mark_ring(invited); // no 180 came before the 200
        }
        self.changed = true;
    }

    fn mark_ring(&mut self, at: Instant) {
        if let Some(escalated) = self.escalated {
            self.record.latency_ms.trigger_to_ring.get_or_insert(ms(escalated, at));
        }
    }

    pub fn briefed(&mut self, briefing: &baton_intake::Briefing) {
        let (template, text) = (briefing.template.clone(), briefing.text.clone());
        self.record.briefing = Some(Briefing { template, text, completed: false, controls: Vec::new() });
        self.changed = true;
    }

    /// The first packet of the briefing has left. A repetition does not count.
    pub fn briefing_started(&mut self, at: Instant) {
        if let Some(answered) = self.answered.take() {
            self.record.latency_ms.answer_to_briefing = Some(ms(answered, at));
            self.changed = true;
        }
    }

    pub fn briefing_completed(&mut self) {
        if let Some(briefing) = &mut self.record.briefing {
            briefing.completed = true;
            self.changed = true;
        }
    }

    pub fn control(&mut self, control: Control) {
        if let Some(briefing) = &mut self.record.briefing {
            briefing.controls.push(control);
            self.changed = true;
        }
    }

    pub fn passed_over(&mut self, extension: &str, outcome: NotTaken) {
        let agent = self.agent();
        agent.declined.push(extension.to_owned());
        agent.tried.push(Tried { extension: extension.to_owned(), outcome });
        let (declined, tried) = (std::mem::take(&mut agent.declined), std::mem::take(&mut agent.tried));
        // Of several who are rung at once the others go on ringing.
        let others = agent.extension.take().filter(|e| e != extension);
        *agent = Agent { declined, tried, extension: others, rang_at: agent.rang_at, ..Agent::default() };
        if agent.extension.is_none() {
            agent.rang_at = None;
        }
        self.changed = true;
    }

    pub fn passed_on(&mut self, now: Instant, by: &str, how: How, to: &str) {
        let at = self.stamp(now);
        self.record.passed_on.push(PassedOn { at, by: by.to_owned(), how, to: to.to_owned(), reached: None });
        self.changed = true;
    }

    /// Whether the caller got where an agent has last passed them on to.
    pub fn passed_on_ended(&mut self, reached: bool) {
        if let Some(last) = self.record.passed_on.last_mut().filter(|p| p.reached.is_none()) {
            last.reached = Some(reached);
            self.changed = true;
        }
    }

    pub fn supervised(&mut self, now: Instant, extension: &str, mode: Supervision) {
        let at = self.stamp(now);
        self.record.supervisors.push(Supervised { at, extension: extension.to_owned(), mode });
        self.changed = true;
    }

    /// The last supervisor goes further.
    pub fn supervision(&mut self, mode: Supervision) {
        let rank = |m| m as u8;
        if let Some(last) = self.record.supervisors.last_mut().filter(|s| rank(mode) > rank(s.mode)) {
            last.mode = mode;
            self.changed = true;
        }
    }

    pub fn callback_promised(&mut self, number: &str) {
        let before = self.record.callback.take();
        let (of, nth) = before.map_or((None, None), |c| (c.of, c.nth));
        self.record.callback = Some(Callback { number: number.to_owned(), of, nth });
        self.changed = true;
    }

    /// This call keeps a promise: the case is the other call's.
    pub fn calls_back(&mut self, now: Instant, ticket: &Ticket) {
        self.escalated(now, ticket.trigger, &ticket.disposition, ticket.summary.clone());
        let at = self.stamp(now);
        if let Some(crm) = &mut self.record.crm {
            crm.policy = Some(if ticket.case.is_some() { Policy::Acknowledged } else { Policy::Proceeded });
            if let Some((system, record_id)) = &ticket.case {
                crm.system = Some(system.clone());
                crm.record_id = Some(record_id.clone());
                crm.acknowledged_at = Some(at);
            }
        }
        self.record.callback =
            Some(Callback { number: ticket.number.clone(), of: Some(ticket.id.clone()), nth: Some(ticket.tries) });
        self.changed = true;
    }

    /// The same moment on the wall.
    pub fn wall(&self, at: Instant) -> Timestamp {
        self.stamp(at).0
    }

    pub fn joined(&mut self, now: Instant) {
        self.accepted = Some(now);
        self.joined = true;
        let at = self.stamp(now);
        self.agent().accepted_at = Some(at);
        self.record.bridged_at.get_or_insert(at);
        if let Some(code) = self.record.disposition.clone() {
            self.settle(&code);
        }
        self.changed = true;
    }

    pub fn bridge_audio(&mut self, from: Leg, at: Instant) {
        let Some(accepted) = self.accepted else { return };
        match from {
            Leg::Caller => self.caller_audio.get_or_insert(at),
            Leg::Agent => self.agent_audio.get_or_insert(at),
            Leg::Third | Leg::Supervisor => return,
        };
        if let (Some(caller), Some(agent)) = (self.caller_audio, self.agent_audio) {
            self.record.latency_ms.accept_to_two_way.get_or_insert(ms(accepted, caller.max(agent)));
            self.changed = true;
        }
    }

    pub fn given_back(&mut self, now: Instant, why: WhyGivenBack) {
        let at = self.stamp(now);
        self.record.given_back.push(GivenBack { at, why });
        self.changed = true;
    }

    fn agent(&mut self) -> &mut Agent {
        self.record.agent.get_or_insert_default()
    }
}

/// The end.
impl Keeper {
    /// Gives the call its disposition, unless it has one that is settled.
    pub fn settle(&mut self, code: &str) {
        if !std::mem::replace(&mut self.settled, true) {
            self.record.disposition = Some(code.to_owned());
            self.changed = true;
        }
    }

    pub fn ended(&mut self, now: Instant, intake: &Intake, termination: Termination) {
        self.understood(intake);
        // A callback's case was told in the call that promised it.
        let told_before = self.record.callback.as_ref().is_some_and(|c| c.of.is_some());
        if !told_before || !intake.form().slots().is_empty() {
            self.record.summary = Some(intake.summary(self.record.trigger));
        }
        self.record.termination = Some(termination);
        self.record.ended_at = Some(self.stamp(now));
        self.changed = true;
    }

    /// A port was closed. Of agents' legs the one in the record counts, if it was answered at all.
    pub fn media(&mut self, leg: Leg, stats: MediaStats) {
        if leg == Leg::Agent && self.record.agent.as_ref().is_none_or(|a| a.answered_at.is_none()) {
            return;
        }
        self.record.media.retain(|m| m.leg != leg.as_str());
        self.record.media.push(Media { leg: leg.as_str(), stats });
        let order = [Leg::Caller, Leg::Agent, Leg::Third, Leg::Supervisor].map(Leg::as_str);
        self.record.media.sort_by_key(|m| order.iter().position(|l| *l == m.leg));
        self.changed = true;
    }
}

/// What was recorded.
impl Keeper {
    pub fn recording(&mut self, now: Instant, news: api::Recording) {
        let at = self.stamp(now);
        let recordings = &mut self.record.recordings;
        match news {
            api::Recording::Began { file } => {
                recordings.push(Recording { file, at, duration_ms: None, pauses: 0, fault: None });
            }
            api::Recording::Paused => {
                let Some(last) = recordings.last_mut().filter(|r| r.duration_ms.is_none()) else { return };
                last.pauses += 1;
            }
            api::Recording::Ended { file, duration, fault } => {
                let Some(ended) = recordings.iter_mut().find(|r| r.file == file) else { return };
                (ended.duration_ms, ended.fault) = (u64::try_from(duration.as_millis()).ok(), fault);
            }
        }
        self.changed = true;
    }
}

/// Whose doing an end was, in words.
pub(crate) fn termination(cause: &str, by: By, sip: u16) -> Termination {
    Termination { cause: cause.to_owned(), by, sip }
}

fn ms(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}
