//! The way to a person, carried out: what [`Transfer`] decides becomes actions, timers and record.
//!
//! In this order: the ear is closed, the caller told, the case written and an agent looked for at once; the agent's phone
//! rings when both are there; the briefing is prepared while it rings, and said the moment it is answered. A transfer that
//! fails, for whatever reason, goes through [`Call::give_back`], the only way out.

use std::time::{Duration, Instant};

use baton_intake::{BriefingNotes, Line as FlowLine, TriggerName};

use crate::api::{Action, CaseDraft, LineId};
use crate::leg::{AgentLeg, Leg};
use crate::lines::After;
use crate::record::{By, NotTaken, WhyGivenBack};
use crate::timer::{self, Timer};
use crate::transfer::{Step, Transfer};

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
        let transfer = Transfer::new(trigger, queue.clone(), self.flow.transfer());
        let rules = transfer.rules;
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

    fn find_agent(&mut self, now: Instant) {
        let Some(transfer) = self.transfer() else { return };
        let (queue, not) = (transfer.queue.clone(), transfer.asked.clone());
        self.timers.set(Timer::AgentSearch, now + timer::AGENT_SEARCH);
        self.act(Action::FindAgent { queue, not });
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
        let actions = self.agent.end(HangUpCause::Normal);
        self.act_all(actions);
        self.hold_music(false);
        self.keeper.given_back(now, why);
        self.phase = Phase::GivenBack;
        let reply = self.intake.handed_back();
        self.follow(now, reply, None);
    }

    pub(super) fn hold_news(&mut self, now: Instant) {
        let Some(transfer) = self.transfer() else { return };
        let (nth, every) = (transfer.news, transfer.rules.news_every.max(Duration::from_secs(1)));
        self.timers.set(Timer::HoldNews, now + every);
        if !self.lines.is_silent() {
            return;
        }
        if let Some(transfer) = self.transfer() {
            transfer.news += 1;
        }
        let news = self.flow.line(FlowLine::HoldNews, nth);
        self.say(now, vec![news], false, None);
    }

    pub(super) fn stop_transfer_timers(&mut self) {
        let transfers =
            [Timer::CrmWait, Timer::AgentSearch, Timer::AgentRing, Timer::BriefingCeiling, Timer::AgentLinger];
        for timer in transfers.into_iter().chain([Timer::HoldNews]) {
            self.timers.stop(timer);
        }
    }
}

/// The agent: rung, briefed, deciding.
impl Call {
    /// Above every phase: who is offered to a call that wants nobody is given back at once.
    pub(super) fn agent_offered(&mut self, now: Instant, extension: String) {
        let promised = self.agent.extension().is_none();
        let step = self.transfer().filter(|_| promised).and_then(Transfer::offered);
        match step {
            Some(step) => {
                self.agent.promise(&extension);
                self.timers.stop(Timer::AgentSearch);
                self.step(now, step);
            }
            None => self.act(Action::ReleaseAgent { extension }),
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
        let Some(invite) = self.agent.invite(timeout) else { return };
        if let Some(extension) = self.agent.extension() {
            self.keeper.invited(now, extension);
        }
        self.ports_open += 1;
        self.timers.set(Timer::AgentRing, now + timeout);
        self.act(invite);
        self.prepare_briefing();
    }

    pub(super) fn prepare_briefing(&mut self) {
        if let Some(briefing) = self.briefing() {
            self.act(Action::PrepareBriefing { text: briefing.text });
        }
    }

    fn briefing(&mut self) -> Option<baton_intake::Briefing> {
        let (trigger, record_late) = self.transfer().map(|t| (t.trigger, t.record_is_late()))?;
        Some(self.intake.briefing(trigger, &BriefingNotes { record_late }))
    }

    pub(super) fn agent_ringing(&mut self, now: Instant) {
        if matches!(self.agent, AgentLeg::Inviting(_)) {
            self.keeper.rang(now);
        }
    }

    /// Above every phase: a phone that answers too late, because the caller is gone or another agent is wanted, is hung up.
    pub(super) fn agent_answered(&mut self, now: Instant) {
        if self.agent.answered() {
            self.timers.stop(Timer::AgentRing);
            self.keeper.answered(now);
            if let Some(transfer) = self.transfer() {
                let step = transfer.answered();
                self.step(now, step);
            }
        } else if !matches!(self.agent, AgentLeg::Up(_)) {
            self.act(Action::HangUp { leg: Leg::Agent, cause: HangUpCause::OtherSideGone });
        }
    }

    /// Says the briefing, from the beginning.
    pub(super) fn brief(&mut self, now: Instant) {
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
        let mute = self.speech_down;
        let Some(transfer) = self.transfer() else { return };
        let step = transfer.briefing_ended(completed, mute);
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

    /// Keys count during the briefing and while deciding; after the join they are the agent's own business.
    pub(super) fn agent_pressed(&mut self, now: Instant, digit: char) {
        if let Some((control, step)) = self.transfer().and_then(|t| t.pressed(digit)) {
            self.keeper.control(control);
            self.step(now, step);
        }
    }

    pub(super) fn agent_failed(&mut self, now: Instant, code: u16) {
        if matches!(self.agent, AgentLeg::Inviting(_)) {
            let why = match code {
                486 | 600 => NotTaken::Busy,
                603 => NotTaken::Declined,
                408 | 487 => NotTaken::NoAnswer,
                _ => NotTaken::Unavailable,
            };
            self.next_agent(now, why, None);
        }
    }

    pub(super) fn agent_gone(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Joined) {
            let released = self.agent.gone();
            self.act(Action::Unbridge);
            self.act_all(released);
            return self.end(now, termination("hangup", By::Agent, 200), HangUpCause::OtherSideGone);
        }
        let answered = matches!(self.agent, AgentLeg::Up(_));
        self.next_agent(now, if answered { NotTaken::HungUp } else { NotTaken::Unavailable }, None);
    }

    pub(super) fn agent_silent(&mut self, now: Instant) {
        match (&self.phase, &self.agent) {
            (Phase::Joined, _) => {
                self.end(now, termination("rtp_timeout", By::Agent, 408), HangUpCause::NoMedia);
            }
            (_, AgentLeg::Up(_)) => self.next_agent(now, NotTaken::Silent, Some(HangUpCause::NoMedia)),
            _ => {}
        }
    }

    /// This agent does not take it. `hang_up`: the leg is still there.
    pub(super) fn next_agent(&mut self, now: Instant, why: NotTaken, hang_up: Option<HangUpCause>) {
        let Some(Step::Next(why)) = self.transfer().map(|t| t.agent_lost(why)) else { return };
        let Some(extension) = self.agent.extension().map(str::to_owned) else { return };
        for timer in [Timer::AgentRing, Timer::BriefingCeiling, Timer::AgentLinger] {
            self.timers.stop(timer);
        }
        match hang_up {
            Some(cause) => {
                let actions = self.agent.end(cause);
                self.act_all(actions);
            }
            None => {
                let released = self.agent.gone();
                self.act_all(released);
            }
        }
        self.keeper.passed_over(&extension, why);
        if let Some(transfer) = self.transfer() {
            transfer.passed_over(extension);
        }
        self.find_agent(now);
    }

    /// The two are joined. What the caller is just being told about the wait ends here: the wait is over.
    pub(super) fn join(&mut self, now: Instant) {
        self.stop_transfer_timers();
        if self.transfer().is_some_and(|t| t.line().is_some()) {
            self.act(Action::StopSpeech { leg: Leg::Agent });
        }
        if !self.lines.is_silent() {
            self.stop_lines();
        }
        self.hold_music(false);
        self.act(Action::Bridge);
        self.keeper.joined(now);
        self.phase = Phase::Joined;
    }

    pub(super) fn bridge_audio(&mut self, from: Leg, at: Instant) {
        if matches!(self.phase, Phase::Joined) {
            self.keeper.bridge_audio(from, at);
        }
    }
}
