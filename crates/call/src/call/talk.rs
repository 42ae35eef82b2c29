//! The conversation: what the caller says and types goes to the intake, what it replies is said and followed.
//!
//! The caller may speak over anything but an announcement. What stops us must turn out to be words for us: if it was a cough
//! or an "uh-huh", we go on with the clause that was cut, and nobody is asked to repeat what they never said. What the record
//! says that we said is what was heard of it. The silence that counts as no input
//! begins where our line ended, not where it was ordered.

use std::time::Instant;

use baton_intake::{ActionResult, Expected, Line as FlowLine, Next, Reply, TriggerName};

use crate::api::LineId;
use crate::leg::Leg;
use crate::lines::{After, Line};
use crate::record::By;
use crate::timer::{self, Timer};

use super::{Call, HangUpCause, Phase, termination};

impl Call {
    /// The ACK: both sides can hear.
    pub(super) fn confirmed(&mut self, now: Instant) {
        if !self.caller.confirmed() {
            return;
        }
        self.timers.stop(Timer::Confirm);
        self.phase = Phase::Conversing;
        if self.speech_down {
            return self.ask_for_person(now);
        }
        let reply = self.intake.begin();
        self.follow(now, reply, None);
    }

    pub(super) fn speech_started(&mut self, now: Instant) {
        if !self.is_talking() || !self.listening {
            return;
        }
        self.hearing = true;
        self.timers.stop(Timer::NoInput);
        self.timers.set(Timer::Utterance, now + timer::UTTERANCE);
        if self.lines.may_be_stopped() {
            self.interrupted = self.stop_lines();
        }
    }

    pub(super) fn heard(&mut self, now: Instant, text: &str, confidence: f32, ended: Instant) {
        if text.trim().is_empty() {
            return self.not_understood(now);
        }
        if !self.spoken_to() {
            return;
        }
        self.keeper.heard(text.trim(), confidence, ended);
        if self.is_backchannel(text) && self.resume(now) {
            return;
        }
        self.answered_us();
        let reply = self.intake.heard(text, confidence);
        self.follow(now, reply, Some(ended));
    }

    /// There was speech, or noise, and no words.
    pub(super) fn not_understood(&mut self, now: Instant) {
        if !self.spoken_to() {
            return;
        }
        if self.resume(now) {
            return;
        }
        if !self.lines.is_silent() {
            return; // noise over an announcement
        }
        let reply = self.intake.not_understood();
        self.follow(now, reply, None);
    }

    /// The caller is silent again: words come soon, or none.
    pub(super) fn speech_stopped(&mut self, now: Instant) {
        if self.hearing && self.is_talking() {
            self.timers.set(Timer::Utterance, now + timer::DECODING);
        }
    }

    /// What stopped us was no interruption: we go on with the clause that was cut. `false`: nothing was cut, or all of it was
    /// heard.
    fn resume(&mut self, now: Instant) -> bool {
        let rest = self.interrupted.take().map(|cut| cut.rest()).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        let id = self.new_line();
        self.say_line(now, Line { again: true, ..Line::new(id, rest, true) });
        true
    }

    /// "Uh-huh" over what we say means: go on. After a question that wants yes or no it is an answer.
    fn is_backchannel(&self, text: &str) -> bool {
        let plain: String = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-')).collect();
        let plain = plain.trim().to_lowercase();
        self.intake.expected() != Expected::YesNo && self.rules.backchannels.contains(&plain)
    }

    /// So much of a line was played.
    pub(super) fn line_heard(&mut self, id: LineId, chars: usize) {
        if let Some(line) = self.lines.get_mut(id) {
            line.heard = Some(line.heard.map_or(chars, |h| h.max(chars)));
        }
        if let Some(cut) = &mut self.interrupted {
            cut.heard(id, chars);
        }
    }

    fn line_cut(&mut self, line: &Line) {
        if let Some(at) = self.keeper.line_cut(line) {
            self.lines.turn_removed(at);
        }
    }

    pub(super) fn no_input(&mut self, now: Instant) {
        if self.held.contains(&Leg::Caller) {
            return; // nobody is there to be asked; the silence counts anew when they are back
        }
        if self.is_talking() {
            let reply = self.intake.no_input();
            self.follow(now, reply, None);
        }
    }

    /// Digits count wherever the assistant has the caller, also while speech-to-text is down.
    pub(super) fn caller_pressed(&mut self, now: Instant, digit: char) {
        if matches!(self.phase, Phase::Transferring(_)) {
            return self.waiting_caller_pressed(now, digit);
        }
        if !self.is_talking() || !matches!(digit, '0'..='9' | '*' | '#') {
            return;
        }
        self.keeper.typed(now, digit);
        self.answered_us();
        let reply = self.intake.digits(digit.encode_utf8(&mut [0; 4]));
        self.follow(now, reply, None);
    }

    pub(super) fn action_result(&mut self, now: Instant, result: ActionResult) {
        if !std::mem::take(&mut self.acting) {
            return;
        }
        self.timers.stop(Timer::ActionBudget);
        if self.is_talking() {
            let reply = self.intake.action_result(result);
            self.follow(now, reply, None);
        }
    }

    /// What the caller said was not heard, for want of time: the question comes again, with the keys to answer it by. It counts
    /// as not understood, so that it ends at a person.
    pub(super) fn speech_busy(&mut self, now: Instant) {
        if !self.spoken_to() {
            return;
        }
        self.answered_us();
        let mut reply = self.intake.not_understood();
        if matches!(reply.next, Next::Listen { .. }) {
            reply.say.insert(0, self.flow.line(FlowLine::UseKeys, 0));
        }
        self.follow(now, reply, None);
    }

    /// We can neither be sure to hear nor to be heard: a person takes over. Once; after a failed transfer the callback can
    /// still be had by digits.
    pub(super) fn speech_down(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.speech_down, true) && matches!(self.phase, Phase::Conversing) {
            self.ask_for_person(now);
        }
    }

    fn ask_for_person(&mut self, now: Instant) {
        let mut reply = self.intake.escalate(TriggerName::SystemFault);
        if reply.say.is_empty() {
            reply.say.push(self.flow.line(FlowLine::SpeechDown, 0));
        }
        self.follow(now, reply, None);
    }

    /// Says the reply, and does what it leads to.
    pub(super) fn follow(&mut self, now: Instant, reply: Reply, replies_to: Option<Instant>) {
        self.keeper.understood(&self.intake);
        self.timers.stop(Timer::NoInput);
        let Reply { say, interruptible, next } = reply;
        match next {
            Next::Listen { patience } => {
                self.lines.after = After::Listen(patience);
                self.say(now, say, interruptible, replies_to);
                self.listen(true);
            }
            Next::Act(action) => {
                self.lines.after = After::Nothing;
                self.say(now, say, interruptible, replies_to);
                self.run(now, action);
            }
            Next::Escalate { trigger, disposition, queue } => {
                return self.escalate(now, say, (trigger, disposition, queue), replies_to);
            }
            Next::Finish { disposition } => {
                if disposition == self.flow.callback()
                    && let Some(number) = self.intake.callback_number()
                {
                    self.keep_place(now, &number);
                }
                self.keeper.settle(&disposition);
                self.stop_talking();
                self.phase = Phase::Leaving;
                self.lines.after = After::HangUp;
                self.say(now, say, false, replies_to);
            }
        }
        self.all_said(now);
    }

    /// A line to the caller, or to the agent, is over.
    pub(super) fn line_ended(&mut self, now: Instant, id: LineId, completed: bool) {
        if let Some(line) = self.lines.ended(id) {
            if !completed {
                self.line_cut(&line);
            }
            self.introduction_line_ended(now, id);
            return self.all_said(now);
        }
        self.introduction_line_ended(now, id);
        self.told_agent(now, id, completed);
    }

    pub(super) fn line_started(&mut self, id: LineId, at: Instant) {
        match self.lines.get_mut(id) {
            Some(line) => self.keeper.line_started(line, at),
            None => self.telling_agent(id, at),
        }
    }

    /// What follows once nothing more is to be said to the caller.
    pub(super) fn all_said(&mut self, now: Instant) {
        if !self.lines.is_empty() {
            return;
        }
        self.timers.stop(Timer::LineCeiling);
        match (&self.phase, self.lines.after) {
            (Phase::Conversing | Phase::GivenBack, After::Listen(patience)) if !self.hearing => {
                self.timers.set(Timer::NoInput, now + patience);
            }
            (Phase::Transferring(transfer), _) if self.caller.is_up() => {
                let every = transfer.rules.news_every;
                self.timers.set(Timer::HoldNews, now + every);
                self.hold_music(true);
            }
            (Phase::Leaving, After::HangUp) => {
                self.end(now, termination("completed", By::Baton, 200), HangUpCause::Normal);
            }
            _ => {}
        }
    }

    /// Whether what the ear brings is for us. It ends the caller's speaking either way.
    fn spoken_to(&mut self) -> bool {
        self.hearing = false;
        self.timers.stop(Timer::Utterance);
        self.is_talking() && self.listening
    }

    /// The caller has answered: what is still being said is no longer of use, unless it is an announcement.
    fn answered_us(&mut self) {
        self.interrupted = None;
        if self.lines.may_be_stopped() {
            self.stop_lines();
        }
    }
}
