//! The way to a person, carried out: what [`Transfer`] decides becomes actions, timers and record.
//!
//! In this order: the ear is closed, the caller told, the case written and an agent looked for at once; the agent's phone
//! rings when both are there; the briefing is prepared while it rings, and said the moment it is answered. A transfer that
//! fails, for whatever reason, goes through [`Call::give_back`], the only way out.

use std::time::{Duration, Instant};

use baton_intake::{BriefingNotes, Line as FlowLine, TriggerName};

use crate::api::{Action, CaseDraft, LeftQueue, LineId, Offered, Released};
use crate::leg::{AgentLeg, Leg};
use crate::lines::After;
use crate::record::{By, NotTaken, WhyGivenBack};
use crate::timer::{self, Timer};
use crate::together::Talk;
use crate::transfer::{Step, Transfer};

use super::queue::Waited;
use super::{Call, HangUpCause, Phase, termination};

/// The beginning: case and search.
impl Call {
    pub(super) fn escalate(
        &mut self,
        now: Instant,
        mut say: Vec<String>,
        (trigger, disposition, queue): (TriggerName, String, String),
        replies_to: Option<Instant>,
    ) {
        self.stop_talking();
        if self.lines.may_be_stopped() {
            self.stop_lines();
        }
        self.lines.after = After::Nothing;
        let transfer = Transfer::new(now, trigger, queue.clone(), self.flow.transfer());
        let rules = transfer.rules;
        self.waited = Some(Waited { trigger, disposition: disposition.clone(), queue: queue.clone(), since: now });
        self.phase = Phase::Transferring(transfer);
        say.push(self.flow.line(FlowLine::Connecting, 0));
        self.say(now, say, false, replies_to);
        let case = self.case(trigger, disposition.clone(), queue.clone());
        self.keeper.escalated(now, trigger, &disposition, case.summary.clone());
        self.cases_open += 1;
        self.act(Action::WriteCase(case));
        self.timers.set(Timer::CrmWait, now + rules.crm_wait);
        self.find_agent(now);
        self.all_said(now);
    }

    fn case(&mut self, trigger: TriggerName, disposition: String, queue: String) -> CaseDraft {
        self.escalations += 1;
        let record = self.keeper.record();
        let contact = self.intake.contact();
        let said = self.intake.form().text("name").map(str::to_owned);
        CaseDraft {
            key: format!("{}:{}", record.call_id, self.escalations),
            call_id: record.call_id.clone(),
            from: record.from.clone(),
            contact_id: contact.map(|c| c.id.clone()),
            caller_name: said.or_else(|| contact.map(|c| c.name.clone())),
            account_holder: self.intake.account_holder(),
            trigger,
            disposition,
            queue,
            summary: self.intake.summary(Some(trigger)),
            slots: self.intake.form().clone(),
            attempts: self.intake.attempts().to_vec(),
        }
    }

    pub(super) fn case_written(&mut self, now: Instant, system: String, record_id: String) {
        if self.cases_open > 1 {
            self.cases_open -= 1; // of an earlier escalation of this call: writes are answered in order
            return;
        }
        self.cases_open = 0;
        self.keeper.case_written(now, system, record_id);
        self.timers.stop(Timer::CrmWait);
        if let Some(transfer) = self.transfer() {
            let step = transfer.acknowledged();
            self.step(now, step);
        }
        self.close_if_done();
    }

    pub(super) fn case_failed(&mut self, now: Instant, final_: bool) {
        if !final_ {
            return;
        }
        let open = self.cases_open;
        self.cases_open = open.saturating_sub(1);
        if open == 1 {
            self.case_late(now);
        }
        self.close_if_done();
    }

    pub(super) fn case_late(&mut self, now: Instant) {
        self.timers.stop(Timer::CrmWait);
        let Some(transfer) = self.transfer() else { return };
        let step = transfer.late();
        if transfer.proceeded() {
            self.keeper.proceeded();
        }
        self.step(now, step);
    }

    /// The one way out of a failed transfer: the caller is told, and the assistant's again.
    pub(super) fn give_back(&mut self, now: Instant, why: WhyGivenBack) {
        self.stop_transfer_timers();
        self.end_agent(HangUpCause::Normal);
        self.leave_queue(LeftQueue::GivenBack);
        self.hold_music(false);
        self.keeper.given_back(now, why);
        if self.ticket.is_some() && !self.caller.is_up() {
            return self.callback_failed(now, "no_agent", 480);
        }
        self.phase = Phase::GivenBack;
        let reply = if why == WhyGivenBack::SentBack { self.intake.returned() } else { self.intake.handed_back() };
        self.follow(now, reply, None);
    }

    /// Ends the agents' legs, whatever state they are in. Who has talked has something to write up.
    pub(super) fn end_agent(&mut self, cause: HangUpCause) {
        let how = self.how_released();
        let actions = self.agent.end(cause, how);
        self.act_all(actions);
        self.ringback(Leg::Agent, false);
        self.held.remove(&Leg::Agent);
    }

    pub(super) fn how_released(&self) -> Released {
        if matches!(self.phase, Phase::Joined(_)) { Released::Talked } else { Released::NotNeeded }
    }

    pub(super) fn stop_transfer_timers(&mut self) {
        const TRANSFER: [Timer; 10] = [
            Timer::CrmWait,
            Timer::AgentSearch,
            Timer::QueueCeiling,
            Timer::AgentRing,
            Timer::BriefingCeiling,
            Timer::AgentLinger,
            Timer::AgentMonologue,
            Timer::Introduction,
            Timer::CallerRing,
            Timer::HoldNews,
        ];
        for timer in TRANSFER {
            self.timers.stop(timer);
        }
    }
}

/// The agent: rung, briefed, deciding.
impl Call {
    /// Above every phase: who is offered to a call that wants nobody is given back at once.
    pub(super) fn agents_offered(&mut self, now: Instant, agents: Vec<Offered>) {
        let wanted = self.agent.is_none() && !agents.is_empty();
        let step = self.transfer().filter(|_| wanted).and_then(Transfer::offered);
        match step {
            Some(step) => {
                self.agent.promise(agents);
                self.timers.stop(Timer::AgentSearch);
                self.timers.stop(Timer::QueueCeiling);
                self.step(now, step);
            }
            None => {
                let release = |a: Offered| Action::ReleaseAgent { extension: a.extension, how: Released::NotNeeded };
                self.act_all(agents.into_iter().map(release));
            }
        }
    }

    pub(super) fn nobody(&mut self, now: Instant) {
        if let Some(transfer) = self.transfer() {
            let step = transfer.nobody();
            self.step(now, step);
        }
    }

    pub(super) fn ring(&mut self, now: Instant) {
        let Some(timeout) = self.transfer().map(|t| t.rules.ring_timeout) else { return };
        let invites = self.agent.invite(timeout);
        self.keeper.invited(now, &self.agent.extensions());
        self.ports_open += u32::try_from(invites.len()).unwrap_or(0);
        self.timers.set(Timer::AgentRing, now + timeout);
        self.act_all(invites);
        self.prepare_briefing();
    }

    pub(super) fn prepare_briefing(&mut self) {
        if let Some(briefing) = self.briefing() {
            self.act(Action::PrepareBriefing { text: briefing.text });
        }
    }

    fn briefing(&mut self) -> Option<baton_intake::Briefing> {
        let (trigger, record_late) = self.transfer().map(|t| (t.trigger, t.record_is_late()))?;
        if let Some(ticket) = &self.ticket {
            return Some(ticket.briefing.clone());
        }
        Some(self.intake.briefing(trigger, &BriefingNotes { record_late }))
    }

    pub(super) fn agent_ringing(&mut self, now: Instant, extension: &str) {
        if self.agent.is_ringing(extension) {
            self.keeper.rang(now);
        }
    }

    /// Above every phase: a phone that answers too late, because the caller is gone, a colleague was faster or another agent
    /// is wanted, is hung up.
    pub(super) fn agent_answered(&mut self, now: Instant, extension: String) {
        if let Some(others) = self.agent.answered(&extension) {
            self.act_all(others);
            self.timers.stop(Timer::AgentRing);
            self.keeper.answered(now, &extension);
            self.monologue = Monologue::begin(now);
            if let Some(transfer) = self.transfer() {
                let step = transfer.answered();
                self.step(now, step);
            }
        } else if !(self.agent.is_up() && self.agent.extensions() == [extension.as_str()]) {
            let cause = if self.agent.is_up() { HangUpCause::AnsweredElsewhere } else { HangUpCause::OtherSideGone };
            self.act(Action::CancelAgent { extension, cause });
        }
    }

    /// Says the briefing, from the beginning.
    pub(super) fn brief(&mut self, now: Instant) {
        if self.held.contains(&Leg::Agent) {
            return; // nobody would hear it; it begins when they are back
        }
        let Some(briefing) = self.briefing() else { return };
        let said = self.transfer().and_then(|t| t.line());
        if said.is_some() {
            self.act(Action::StopSpeech { leg: Leg::Agent });
        } else {
            self.keeper.briefed(&briefing);
        }
        let line = self.new_line();
        if let Some(transfer) = self.transfer() {
            transfer.briefing_is(line);
        }
        self.timers.stop(Timer::AgentLinger);
        self.timers.set(Timer::BriefingCeiling, now + timer::BRIEFING_CEILING);
        self.act(Action::PlayBriefing { line, text: briefing.text });
    }

    pub(super) fn telling_agent(&mut self, id: LineId, at: Instant) {
        if self.transfer().is_some_and(|t| t.line() == Some(id)) {
            self.keeper.briefing_started(at);
        }
    }

    pub(super) fn told_agent(&mut self, now: Instant, id: LineId, completed: bool) {
        if self.transfer().is_some_and(|t| t.line() == Some(id)) {
            self.briefing_ended(now, completed);
        }
    }

    pub(super) fn briefing_ended(&mut self, now: Instant, completed: bool) {
        let (mute, must_accept) = (self.speech_down, self.agent.must_accept());
        let unheard = self.held.contains(&Leg::Agent);
        let Some(transfer) = self.transfer() else { return };
        let step = if unheard { Step::Wait } else { transfer.briefing_ended(completed, mute, must_accept) };
        if step == Step::Wait {
            return; // that was the help
        }
        if completed {
            self.keeper.briefing_completed();
        }
        self.timers.stop(Timer::BriefingCeiling);
        self.step(now, step);
    }

    pub(super) fn help(&mut self, now: Instant) {
        let line = self.new_line();
        if let Some(transfer) = self.transfer() {
            transfer.help_is(line);
        }
        self.timers.set(Timer::AgentLinger, now + timer::AGENT_LINGER);
        let texts = vec![self.flow.line(FlowLine::AgentHelp, 0)];
        self.act(Action::Say { line, leg: Leg::Agent, texts, interruptible: true });
    }

    /// During the briefing and while deciding keys take the call or refuse it; after the join they may be codes.
    pub(super) fn agent_pressed(&mut self, now: Instant, digit: char) {
        let away = self.held.contains(&Leg::Agent); // no hand on the phone that holds
        if let Some((control, step)) = self.transfer().filter(|_| !away).and_then(|t| t.pressed(digit)) {
            self.keeper.control(control);
            self.step(now, step);
        } else if matches!(self.phase, Phase::Joined(_)) {
            self.feature_key(now, digit);
        }
    }

    pub(super) fn agent_failed(&mut self, now: Instant, extension: &str, code: u16) {
        if !self.agent.is_ringing(extension) {
            return;
        }
        let why = match code {
            486 | 600 => NotTaken::Busy,
            603 => NotTaken::Declined,
            408 | 487 => NotTaken::NoAnswer,
            _ => NotTaken::Unavailable,
        };
        match self.agent.one_less(extension, released(why)) {
            // Others still ring.
            Some(release) => {
                self.act(release);
                self.keeper.passed_over(extension, why);
                if let Some(transfer) = self.transfer() {
                    transfer.asked.push(extension.to_owned());
                }
            }
            None => self.next_agent(now, why, None),
        }
    }

    pub(super) fn agent_gone(&mut self, now: Instant) {
        match &self.phase {
            Phase::Joined(_) => self.agent_left_talk(now),
            Phase::Introducing(_) => {
                self.lose_agent();
                self.give_back(now, WhyGivenBack::NobodyFree);
            }
            Phase::CallingBack => {
                self.lose_agent();
                self.callback_failed(now, "no_agent", 480);
            }
            _ if self.agent.is_up() => self.next_agent(now, NotTaken::HungUp, None),
            // It never was up: whatever still rings is stopped.
            _ => self.next_agent(now, NotTaken::Unavailable, Some(HangUpCause::Normal)),
        }
    }

    /// The agent's leg ended by itself after it was accepted.
    pub(super) fn lose_agent(&mut self) {
        let actions = self.agent.gone(self.how_released());
        self.act_all(actions);
        self.ringback(Leg::Agent, false);
        self.held.remove(&Leg::Agent);
    }

    pub(super) fn agent_silent(&mut self, now: Instant) {
        match (&self.phase, &self.agent) {
            (Phase::Joined(talk), _) if talk.with == Leg::Agent => {
                self.end(now, termination("rtp_timeout", By::Agent, 408), HangUpCause::NoMedia);
            }
            (Phase::Transferring(_), AgentLeg::Up(_)) => {
                self.next_agent(now, NotTaken::Silent, Some(HangUpCause::NoMedia));
            }
            _ => {}
        }
    }

    /// These agents do not take it. `hang_up`: the legs are still there.
    pub(super) fn next_agent(&mut self, now: Instant, why: NotTaken, hang_up: Option<HangUpCause>) {
        let Some(Step::Next(why)) = self.transfer().map(|t| t.agent_lost(why)) else { return };
        let extensions = self.agent.extensions();
        if extensions.is_empty() {
            return;
        }
        for timer in [Timer::AgentRing, Timer::BriefingCeiling, Timer::AgentLinger, Timer::AgentMonologue] {
            self.timers.stop(timer);
        }
        let actions = match hang_up {
            Some(cause) => self.agent.end(cause, released(why)),
            None => self.agent.gone(released(why)),
        };
        self.act_all(actions);
        self.held.remove(&Leg::Agent);
        for extension in &extensions {
            self.keeper.passed_over(extension, why);
        }
        if let Some(transfer) = self.transfer() {
            transfer.passed_over(extensions);
        }
        self.find_agent(now);
    }

    /// The agent has accepted: the two are introduced, or joined at once. A caller who is to be called back is called now.
    pub(super) fn accepted(&mut self, now: Instant) {
        if !self.caller.is_up() {
            return self.call_back(now);
        }
        self.stop_transfer_timers();
        self.hush();
        let text = self.rules.introduction.clone();
        if text.is_empty() || self.speech_down || self.held.contains(&Leg::Agent) {
            return self.join(now);
        }
        let extension = self.agent.extensions().join(", ");
        let texts = vec![text.replace("{agent}", &extension)];
        self.hold_music(false);
        let agent_line = self.new_line();
        self.act(Action::Say { line: agent_line, leg: Leg::Agent, texts: texts.clone(), interruptible: false });
        let caller_line = LineId(self.next_line + 1);
        self.phase = Phase::Introducing(vec![agent_line, caller_line]);
        self.timers.set(Timer::Introduction, now + timer::INTRODUCTION);
        self.say(now, texts, false, None);
    }

    /// One line of the introduction is over.
    pub(super) fn introduction_line_ended(&mut self, now: Instant, id: LineId) {
        let Phase::Introducing(lines) = &mut self.phase else { return };
        lines.retain(|l| *l != id);
        if lines.is_empty() {
            self.introduced(now);
        }
    }

    pub(super) fn introduced(&mut self, now: Instant) {
        if let Phase::Introducing(lines) = &self.phase {
            let cut = !lines.is_empty();
            if cut {
                self.act(Action::StopSpeech { leg: Leg::Agent });
            }
            self.join(now);
        }
    }

    /// What is being said to either ends here. What the caller is just being told about the wait: the wait is over.
    fn hush(&mut self) {
        if self.transfer().is_some_and(|t| t.line().is_some()) {
            self.act(Action::StopSpeech { leg: Leg::Agent });
        }
        if !self.lines.is_silent() {
            self.stop_lines();
        }
    }

    /// The two are joined.
    pub(super) fn join(&mut self, now: Instant) {
        self.stop_transfer_timers();
        if !self.lines.is_silent() {
            self.stop_lines();
        }
        self.hold_music(false);
        self.ringback(Leg::Agent, false);
        self.in_queue = false;
        let talking = self.agent.extensions().into_iter().map(|extension| Action::AgentTalking { extension });
        self.act_all(talking);
        self.keeper.joined(now);
        self.phase = Phase::Joined(Talk::new());
        self.remix();
    }

    pub(super) fn bridge_audio(&mut self, from: Leg, at: Instant) {
        if matches!(self.phase, Phase::Joined(_)) {
            self.keeper.bridge_audio(from, at);
        }
    }
}

/// What the queue makes of an agent who did not take it.
fn released(why: NotTaken) -> Released {
    match why {
        NotTaken::NoAnswer | NotTaken::Unavailable | NotTaken::Machine => Released::Missed,
        NotTaken::Declined | NotTaken::Busy | NotTaken::HungUp | NotTaken::NoDecision | NotTaken::Silent => {
            Released::Declined
        }
    }
}

/// A mailbox tells itself by speaking on and on into the briefing, where a person stops to listen. This adds up what is
/// spoken at the beginning of the agent's leg, pauses between words included.
#[derive(Debug, Default)]
pub(super) struct Monologue {
    answered: Option<Instant>,
    /// The present monologue's beginning.
    since: Option<Instant>,
    /// It paused then.
    paused: Option<Instant>,
}

impl Monologue {
    fn begin(now: Instant) -> Self {
        Self { answered: Some(now), ..Self::default() }
    }

    /// Voice came or went. When it will have been too long, if it does not pause before.
    fn voice(&mut self, now: Instant, on: bool, limit: Duration) -> Option<Instant> {
        if !on {
            self.paused = self.since.map(|_| now);
            return None;
        }
        let goes_on = self.paused.is_none_or(|p| now.saturating_duration_since(p) <= timer::MONOLOGUE_GAP);
        let since = *self.since.get_or_insert(now);
        let since = if goes_on { since } else { now };
        (self.since, self.paused) = (Some(since), None);
        let due = since + limit;
        self.answered.filter(|a| due <= *a + timer::MONOLOGUE_WINDOW).map(|_| due)
    }
}

/// Machines on the agent's leg.
impl Call {
    pub(super) fn agent_voice(&mut self, now: Instant, on: bool) {
        let limit = self.rules.machine_after;
        if limit.is_zero() || !self.transfer().is_some_and(|t| t.is_with_agent()) {
            return;
        }
        match self.monologue.voice(now, on, limit) {
            Some(due) => self.timers.set(Timer::AgentMonologue, due.max(now)),
            None => self.timers.stop(Timer::AgentMonologue),
        }
    }

    pub(super) fn monologue_due(&mut self, now: Instant) {
        self.machine_answered(now);
    }

    /// A mailbox is neither briefed nor joined.
    pub(super) fn machine_answered(&mut self, now: Instant) {
        if self.transfer().is_some_and(|t| t.is_with_agent()) {
            self.next_agent(now, NotTaken::Machine, Some(HangUpCause::Machine));
        }
    }
}
