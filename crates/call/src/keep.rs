//! Keeps the call record: turns what happened, and when, into its fields and latencies. It decides nothing, except that a
//! disposition is settled once.

use std::time::Instant;

use baton_intake::{Intake, TriggerName};
use jiff::Timestamp;

use crate::api::Setup;
use crate::leg::Leg;
use crate::lines::Line;
use crate::record::{
    Agent, Briefing, By, CallRecord, Contact, Control, Crm, GivenBack, Latency, Media, MediaStats, NotTaken, Policy,
    Stamp, Termination, Tried, Turn, Who, WhyGivenBack,
};

#[derive(Debug)]
pub(crate) struct Keeper {
    record: CallRecord,
    began: Instant,
    wall: Timestamp,
    settled: bool,
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
            trigger: None,
            disposition: None,
            summary: None,
            briefing: None,
            crm: None,
            agent: None,
            bridged_at: None,
            given_back: Vec::new(),
            termination: None,
            latency_ms: Latency::default(),
            media: Vec::new(),
        };
        Self {
            record,
            began: now,
            wall,
            settled: false,
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

    pub fn line_cut(&mut self, line: &Line) {
        if let Some(turn) = line.turn.and_then(|t| self.record.turns.get_mut(t)) {
            turn.cut = true;
            self.changed = true;
        }
    }
}

/// The transfer.
impl Keeper {
    pub fn escalated(&mut self, now: Instant, trigger: TriggerName, disposition: &str, summary: String) {
        self.escalated = Some(now);
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
        let joined = self.record.bridged_at.is_some();
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

    pub fn invited(&mut self, now: Instant, extension: &str) {
        self.invited = Some(now);
        let agent = self.agent();
        agent.extension = Some(extension.to_owned());
        self.changed = true;
    }

    pub fn rang(&mut self, now: Instant) {
        let at = self.stamp(now);
        self.agent().rang_at.get_or_insert(at);
        self.mark_ring(now);
        self.changed = true;
    }

    pub fn answered(&mut self, now: Instant) {
        self.answered = Some(now);
        let at = self.stamp(now);
        self.agent().answered_at = Some(at);
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
        *agent = Agent { declined, tried, ..Agent::default() };
        self.changed = true;
    }

    pub fn joined(&mut self, now: Instant) {
        self.accepted = Some(now);
        let at = self.stamp(now);
        self.agent().accepted_at = Some(at);
        self.record.bridged_at = Some(at);
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
        self.record.summary = Some(intake.summary(self.record.trigger));
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
        self.record.media.sort_by_key(|m| m.leg != Leg::Caller.as_str());
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
