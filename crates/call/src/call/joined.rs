//! Caller and agent joined: what the agent does with the caller by keys or REFER, whom else it brings in, who holds, who
//! listens in. Who hears whom is [`Talk`]'s to say; every change of it goes through [`Call::remix`].

use std::time::Instant;

use crate::api::{Action, HangUpCause, Route, Supervision};
use crate::leg::{Leg, SideLeg};
use crate::record::{By, How, WhyGivenBack};
use crate::rules::Does;
use crate::timer::{self, Timer};
use crate::together::{Consult, Keyed, Talk};

use super::{Call, Phase, termination};

impl Call {
    fn talk(&mut self) -> Option<&mut Talk> {
        match &mut self.phase {
            Phase::Joined(talk) => Some(talk),
            _ => None,
        }
    }

    fn consult(&self) -> Option<&Consult> {
        match &self.phase {
            Phase::Joined(talk) => Some(&talk.consult),
            _ => None,
        }
    }

    /// Orders who hears whom, if that has changed, and music for a caller who hears nobody.
    pub(super) fn remix(&mut self) {
        let held = self.held.clone();
        let Phase::Joined(talk) = &mut self.phase else { return };
        let wanted = talk.wanted(&held);
        let music = talk.caller_waits(&held);
        let changed = talk.routes != wanted;
        talk.routes.clone_from(&wanted);
        if !music {
            self.hold_music(false);
        }
        if changed {
            let plain = [(Leg::Caller, Leg::Agent), (Leg::Agent, Leg::Caller)];
            let routes: Vec<Route> = wanted.into_iter().collect();
            self.act(match routes.is_empty() {
                true => Action::Unbridge,
                false if routes.iter().map(|r| (r.from, r.to)).eq(plain) => Action::Bridge,
                false => Action::Mix { routes },
            });
        }
        if music {
            self.hold_music(true);
        }
    }

    /// Parts everybody; the end of legs follows.
    pub(super) fn part(&mut self) {
        let Phase::Joined(talk) = &mut self.phase else { return };
        if !std::mem::take(&mut talk.routes).is_empty() {
            self.act(Action::Unbridge);
        }
    }

    /// Lets third party and supervisor go.
    pub(super) fn end_sides(&mut self, cause: HangUpCause) {
        for timer in [Timer::ThirdRing, Timer::FeatureKeys] {
            self.timers.stop(timer);
        }
        for leg in [Leg::Agent, Leg::Caller] {
            self.ringback(leg, false);
        }
        let third = self.third.end(Leg::Third, cause);
        let supervisor = self.supervisor.end(Leg::Supervisor, cause);
        self.act_all(third.into_iter().chain(supervisor));
        self.held.retain(|l| matches!(l, Leg::Caller | Leg::Agent));
    }

    /// The agent is gone from a talk that may go on without.
    pub(super) fn agent_left_talk(&mut self, now: Instant) {
        if self.agent.is_none() {
            return;
        }
        let Some(consult) = self.consult().cloned() else { return };
        if consult == Consult::None {
            self.part();
            self.lose_agent();
            return self.end(now, termination("hangup", By::Agent, 200), HangUpCause::OtherSideGone);
        }
        self.lose_agent();
        self.without_agent(now, consult);
    }

    /// Caller and third party are left to each other, or will be when it answers.
    fn without_agent(&mut self, now: Instant, consult: Consult) {
        self.timers.stop(Timer::FeatureKeys);
        let Some(talk) = self.talk() else { return };
        match consult {
            Consult::Private | Consult::ThreeWay => {
                talk.with = Leg::Third;
                talk.consult = Consult::None;
                self.keeper.passed_on_ended(true);
            }
            Consult::Calling | Consult::Passing { .. } => talk.consult = Consult::Passing { refer: false },
            Consult::None => {}
        }
        self.remix();
        self.silent_hold(now);
    }

    /// A held caller with nobody but us: music is all there is, and is on.
    fn silent_hold(&mut self, now: Instant) {
        if matches!(self.consult(), Some(Consult::Passing { .. })) {
            let line = self.rules.lines.passing.clone();
            self.say(now, vec![line], false, None);
        }
    }
}

/// What the agent asks for.
impl Call {
    pub(super) fn feature_key(&mut self, now: Instant, digit: char) {
        let rules = std::sync::Arc::clone(&self.rules);
        let with_agent = !self.agent.is_none();
        let Some(talk) = self.talk().filter(|t| t.with == Leg::Agent && with_agent) else { return };
        let keyed = talk.keys.press(&rules, digit);
        self.timers.stop(Timer::FeatureKeys);
        match keyed {
            Keyed::Nothing => {}
            Keyed::More => self.timers.set(Timer::FeatureKeys, now + timer::FEATURE_KEYS),
            Keyed::Done(does) => self.feature(now, does),
        }
    }

    pub(super) fn keys_paused(&mut self, now: Instant) {
        let keyed = self.talk().map(|t| t.keys.pause());
        if let Some(Keyed::Done(does)) = keyed {
            self.feature(now, does);
        }
    }

    fn feature(&mut self, now: Instant, does: Does) {
        let Some(consult) = self.consult().cloned() else { return };
        let by = self.agent.extensions().join(", ");
        match (does, consult) {
            (Does::Assistant, Consult::None) => self.send_back(now, &by),
            (Does::Queue { queue }, Consult::None) => self.send_to_queue(now, queue, &by),
            (Does::Blind { to: Some(to) }, Consult::None) if self.may_call(&to) => {
                self.keeper.passed_on(now, &by, How::Blind, &to);
                self.dial_third(now, to, Consult::Passing { refer: false });
                self.part();
                self.end_agent(HangUpCause::PassedOn);
                self.silent_hold(now);
            }
            (Does::Attended { to: Some(to) }, Consult::None) if self.may_call(&to) => {
                self.keeper.passed_on(now, &by, How::Attended, &to);
                self.dial_third(now, to, Consult::Calling);
                self.ringback(Leg::Agent, true);
            }
            (Does::ThreeWay, Consult::Private) => self.consult_is(Consult::ThreeWay),
            (Does::Return, Consult::Calling | Consult::Private | Consult::ThreeWay) => {
                self.third_lost(now, 487, true);
            }
            (Does::Complete, consult @ (Consult::Calling | Consult::Private | Consult::ThreeWay)) => {
                self.end_agent(HangUpCause::PassedOn);
                self.without_agent(now, consult);
            }
            (Does::PauseRecording, _) => self.act(Action::PauseRecording { on: true }),
            (Does::ResumeRecording, _) => self.act(Action::PauseRecording { on: false }),
            _ => {}
        }
    }

    fn consult_is(&mut self, consult: Consult) {
        if let Some(talk) = self.talk() {
            talk.consult = consult;
        }
        self.remix();
    }

    /// To a person's assistant again: the one way out of every talk that is not the end of the call.
    fn send_back(&mut self, now: Instant, by: &str) {
        self.keeper.passed_on(now, by, How::Assistant, "");
        self.keeper.passed_on_ended(true);
        self.part();
        self.end_agent(HangUpCause::PassedOn);
        self.end_sides(HangUpCause::PassedOn);
        self.give_back(now, WhyGivenBack::SentBack);
    }

    fn send_to_queue(&mut self, now: Instant, queue: String, by: &str) {
        self.keeper.passed_on(now, by, How::Queue, &queue);
        self.part();
        self.pass_to_queue(now, queue, by);
    }

    /// Agents pass callers on to numbers that the house allows, and to no others: whoever holds an agent's phone could call
    /// the world at the house's cost.
    fn may_call(&self, to: &str) -> bool {
        let digits = to.strip_prefix('+').unwrap_or(to);
        let number = !digits.is_empty() && digits.len() <= 20 && digits.chars().all(|c| c.is_ascii_digit());
        number && self.rules.outside.iter().any(|prefix| !prefix.is_empty() && to.starts_with(prefix.as_str()))
    }

    fn dial_third(&mut self, now: Instant, to: String, consult: Consult) {
        let timeout = self.rules.outside_ring;
        self.third = SideLeg::Calling;
        self.ports_open += 1;
        self.timers.set(Timer::ThirdRing, now + timeout);
        self.consult_is(consult);
        self.act(Action::Dial { leg: Leg::Third, to, timeout });
    }

    /// A side wants the other one connected elsewhere. Only an agent may, and only while talking: in the briefing the caller
    /// is not the agent's to give.
    pub(super) fn refer(&mut self, now: Instant, leg: Leg, to: &str) {
        let refuse = |code| Action::AnswerRefer { leg, code };
        if leg != Leg::Agent {
            return self.act(refuse(403));
        }
        if self.agent.is_none() || self.consult() != Some(&Consult::None) {
            return self.act(refuse(491));
        }
        let by = self.agent.extensions().join(", ");
        if to == self.rules.assistant {
            self.refer_done(leg);
            return self.send_back(now, &by);
        }
        if self.rules.queues.iter().any(|q| q == to) {
            self.refer_done(leg);
            return self.send_to_queue(now, to.to_owned(), &by);
        }
        if !self.may_call(to) {
            return self.act(refuse(404));
        }
        self.act(Action::AnswerRefer { leg, code: 202 });
        self.act(Action::ReferProgress { leg, code: 100 });
        self.keeper.passed_on(now, &by, How::Blind, to);
        self.dial_third(now, to.to_owned(), Consult::Passing { refer: true });
    }

    fn refer_done(&mut self, leg: Leg) {
        self.act(Action::AnswerRefer { leg, code: 202 });
        self.act(Action::ReferProgress { leg, code: 200 });
    }
}

/// The third party.
impl Call {
    pub(super) fn leg_rings(&mut self, leg: Leg) {
        let refer = matches!(self.consult(), Some(Consult::Passing { refer: true }));
        if leg == Leg::Third && refer && self.agent.is_up() {
            self.act(Action::ReferProgress { leg: Leg::Agent, code: 180 });
        }
    }

    pub(super) fn leg_answered(&mut self, now: Instant, leg: Leg) {
        match leg {
            Leg::Caller => self.caller_picked_up(now),
            Leg::Third => self.third_answered(),
            Leg::Agent | Leg::Supervisor => {}
        }
    }

    fn third_answered(&mut self) {
        if self.third != SideLeg::Calling {
            return;
        }
        self.third = SideLeg::Up;
        self.timers.stop(Timer::ThirdRing);
        self.ringback(Leg::Agent, false);
        match self.consult().cloned() {
            Some(Consult::Calling) => self.consult_is(Consult::Private),
            Some(Consult::Passing { refer }) => {
                if refer && self.agent.is_up() {
                    self.act(Action::ReferProgress { leg: Leg::Agent, code: 200 });
                }
                self.end_agent(HangUpCause::PassedOn);
                if !self.lines.is_silent() {
                    self.stop_lines();
                }
                self.keeper.passed_on_ended(true);
                if let Some(talk) = self.talk() {
                    talk.with = Leg::Third;
                }
                self.consult_is(Consult::None);
            }
            _ => {}
        }
    }

    pub(super) fn leg_failed(&mut self, now: Instant, leg: Leg, code: u16) {
        match leg {
            Leg::Caller => self.caller_unreached(now, false),
            Leg::Third if self.third == SideLeg::Calling => self.third_lost(now, code, false),
            Leg::Third | Leg::Agent | Leg::Supervisor => {}
        }
    }

    pub(super) fn leg_gone(&mut self, now: Instant, leg: Leg) {
        match leg {
            Leg::Third if self.third == SideLeg::Up => self.third_lost(now, 200, false),
            Leg::Supervisor if self.supervisor != SideLeg::None => {
                self.supervisor = SideLeg::None;
                self.held.remove(&Leg::Supervisor);
                if let Some(talk) = self.talk() {
                    talk.supervisor = None;
                }
                self.remix();
            }
            _ => {}
        }
    }

    /// The third party is not there any more: agent and caller speak again; without an agent the caller is given back, or,
    /// when they had spoken with the third party, the call is over. `hang_up`: the leg is still there.
    pub(super) fn third_lost(&mut self, now: Instant, code: u16, hang_up: bool) {
        self.timers.stop(Timer::ThirdRing);
        self.ringback(Leg::Agent, false);
        self.held.remove(&Leg::Third);
        let Some(consult) = self.consult().cloned() else { return };
        let talked = consult == Consult::None;
        if talked {
            self.part();
        }
        if hang_up {
            let bye = self.third.end(Leg::Third, HangUpCause::Normal);
            self.act_all(bye);
        } else {
            self.third = SideLeg::None;
        }
        if talked {
            return self.end(now, termination("hangup", By::Agent, 200), HangUpCause::OtherSideGone);
        }
        self.keeper.passed_on_ended(false);
        if consult == (Consult::Passing { refer: true }) && self.agent.is_up() {
            self.act(Action::ReferProgress { leg: Leg::Agent, code });
        }
        if self.agent.is_none() {
            self.part();
            self.end_sides(HangUpCause::Normal);
            if !self.lines.is_silent() {
                self.stop_lines();
            }
            return self.give_back(now, WhyGivenBack::NotReached);
        }
        self.consult_is(Consult::None);
    }

    pub(super) fn side_silent(&mut self, now: Instant, leg: Leg) {
        match leg {
            Leg::Third if self.third == SideLeg::Up => self.third_lost(now, 408, true),
            Leg::Supervisor => {
                let bye = self.supervisor.end(Leg::Supervisor, HangUpCause::NoMedia);
                self.act_all(bye);
                if let Some(talk) = self.talk() {
                    talk.supervisor = None;
                }
                self.remix();
            }
            _ => {}
        }
    }
}

/// Hold and supervision.
impl Call {
    /// A side holds, or is back. An agent who holds in the briefing does not hear it: it is said again when they are back.
    pub(super) fn hold(&mut self, now: Instant, leg: Leg, on: bool) {
        let there = match leg {
            Leg::Caller => self.caller.is_up(),
            Leg::Agent => self.agent.is_up(),
            Leg::Third => self.third == SideLeg::Up,
            Leg::Supervisor => self.supervisor == SideLeg::Up,
        };
        let changed = there && if on { self.held.insert(leg) } else { self.held.remove(&leg) };
        if !changed {
            return;
        }
        self.remix();
        if leg == Leg::Caller && !on {
            self.all_said(now);
        }
        if leg != Leg::Agent || !self.transfer().is_some_and(|t| t.is_with_agent()) {
            return;
        }
        if on {
            self.act(Action::StopSpeech { leg });
            self.timers.stop(Timer::BriefingCeiling);
            self.timers.set(Timer::AgentLinger, now + timer::AGENT_LINGER);
        } else {
            self.brief(now);
        }
    }

    /// Above every phase: a supervisor who comes when there is no talk is let go at once.
    pub(super) fn supervisor_joins(&mut self, now: Instant, extension: &str, mode: Supervision) {
        self.ports_open += 1;
        if self.supervisor != SideLeg::None || self.talk().is_none() {
            return self.act(Action::HangUp { leg: Leg::Supervisor, cause: HangUpCause::Normal });
        }
        self.supervisor = SideLeg::Up;
        self.keeper.supervised(now, extension, mode);
        self.supervise(mode);
    }

    /// 4 listens, 5 whispers, 6 barges in.
    pub(super) fn supervisor_pressed(&mut self, _now: Instant, digit: char) {
        let mode = match digit {
            '4' => Supervision::Listen,
            '5' => Supervision::Whisper,
            '6' => Supervision::Barge,
            _ => return,
        };
        if self.supervisor == SideLeg::Up {
            self.keeper.supervision(mode);
            self.supervise(mode);
        }
    }

    fn supervise(&mut self, mode: Supervision) {
        if let Some(talk) = self.talk() {
            talk.supervisor = Some(mode);
        }
        self.remix();
    }
}
