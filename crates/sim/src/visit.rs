//! One call in the world: what the gateway's driver would do for it, and what caller and agent do in return.

use std::time::{Duration, Instant};

use baton_call::{Action, AgentGone, Call, CallerGone, Input, Leg, LineId, Setup};
use baton_intake::ActionResult;
use rand::Rng;

use crate::line::{Ticket, Voice};
use crate::people::{self, Habit, Then};
use crate::{Event, World};

/// One call, its legs and its ear.
pub(crate) struct Visit {
    pub call: Call,
    caller_up: bool,
    /// When the caller went, in their own place.
    left: Option<Instant>,
    agent: Option<AgentLeg>,
    legs: u64,
    ear_open: bool,
    /// Escalations so far.
    cases: usize,
    says: std::vec::IntoIter<String>,
    /// Counts what has been said on either side, so that a caller speaks once for each turn.
    turn: u64,
    caller_voice: Voice,
    agent_voice: Voice,
    talked: bool,
}

struct AgentLeg {
    id: u64,
    extension: String,
    answered: bool,
    then: Option<Then>,
}

impl World {
    pub(crate) fn arrives(&mut self, i: usize) {
        let caller = self.callers[i].clone();
        let since = i64::try_from(caller.arrives.as_millis()).unwrap_or(0);
        let setup = Setup {
            call_id: format!("sim-{i}"),
            from: caller.from.clone(),
            to: "5000".into(),
            trunk: "carrier".into(),
            flow: self.flow.clone(),
        };
        let wall = jiff::Timestamp::from_millisecond(1_780_000_000_000 + since).unwrap_or_default();
        let visit = Visit {
            call: Call::new(self.now, wall, setup),
            caller_up: true,
            left: None,
            agent: None,
            legs: 0,
            ear_open: false,
            cases: 0,
            says: caller.says.into_iter(),
            turn: 0,
            caller_voice: Voice::default(),
            agent_voice: Voice::default(),
            talked: false,
        };
        self.visits.insert(i, visit);
        if let Some(gives_up) = caller.gives_up {
            self.caller_leaves(i, gives_up);
        }
        self.drain(i);
    }

    /// The caller hangs up in so long; the BYE takes its way.
    fn caller_leaves(&mut self, i: usize, after: Duration) {
        let ms = self.network();
        let gone = Input::CallerGone { cause: CallerGone::Hangup, sip: 200 };
        self.push(self.now + after + Duration::from_millis(ms), Event::Feed(i, gone));
    }

    pub(crate) fn feed(&mut self, i: usize, input: Input) {
        let Some(visit) = self.visits.get_mut(&i) else {
            // The call is over: who is offered to it goes back, as the gateway does.
            if let Input::AgentOffered { extension } = input {
                self.pool.released(self.now, &extension, false);
            }
            return;
        };
        if let Input::CallerGone { .. } = input {
            if !visit.caller_up {
                return;
            }
            visit.caller_up = false;
            visit.left = Some(self.now);
            self.after(10, Event::Feed(i, stats(Leg::Caller)));
        }
        let Some(visit) = self.visits.get_mut(&i) else { return };
        visit.call.handle(self.now, input);
        self.drain(i);
    }

    pub(crate) fn feed_agent(&mut self, i: usize, leg: u64, input: Input) {
        let Some(visit) = self.visits.get_mut(&i) else { return };
        let Some(agent) = visit.agent.as_mut().filter(|a| a.id == leg) else { return };
        match input {
            Input::AgentAnswered => {
                agent.answered = true;
                let (extension, then) = (agent.extension.clone(), agent.then.take());
                self.pool.answered(&extension);
                self.served.entry(extension).or_default().0 += 1;
                self.feed(i, Input::AgentAnswered);
                self.after_answer(i, leg, then);
            }
            Input::AgentFailed { .. } | Input::AgentGone { .. } => {
                self.agent_leg_over(i);
                self.feed(i, input);
            }
            input => self.feed(i, input),
        }
    }

    pub(crate) fn feed_line(&mut self, i: usize, ticket: Ticket, input: Input) {
        let Some(visit) = self.visits.get_mut(&i) else { return };
        let voice = match ticket.leg {
            Leg::Caller => &mut visit.caller_voice,
            Leg::Agent => &mut visit.agent_voice,
        };
        if voice.epoch != ticket.epoch {
            return;
        }
        let ended = matches!(input, Input::LineEnded { .. });
        if let Input::LineEnded { line, .. } = input {
            voice.ended(line);
        }
        self.feed(i, input);
        if ended && ticket.leg == Leg::Caller {
            self.callers_turn(i);
        }
    }

    /// The caller has heard us out: their turn, whether or not anybody listens.
    fn callers_turn(&mut self, i: usize) {
        let thinks = self.callers[i].thinks;
        let Some(visit) = self.visits.get(&i).filter(|v| v.caller_up && v.caller_voice.is_silent()) else { return };
        let turn = visit.turn;
        self.push(self.now + thinks, Event::CallerSpeaks(i, turn));
    }

    /// The caller speaks. Only what begins while the ear is open is heard, and it is decoded even if the ear closes then.
    pub(crate) fn caller_speaks(&mut self, i: usize, turn: u64) {
        let Some(visit) = self.visits.get_mut(&i).filter(|v| v.caller_up && v.turn == turn) else { return };
        visit.turn += 1;
        if !visit.ear_open {
            return;
        }
        if visit.cases > visit.call.record().given_back.len() {
            self.fault("a held caller is listened to");
            return;
        }
        let Some(text) = visit.says.next() else { return };
        let speaks = 80 * text.len() as u64 + 200;
        self.feed(i, Input::SpeechStarted);
        let decoded = speaks + self.rng.random_range(self.between.ear.clone());
        self.after(decoded, Event::Decoded(i, text));
    }

    pub(crate) fn decoded(&mut self, i: usize, text: String) {
        let ended = self.now - Duration::from_millis(self.between.ear.start.min(200));
        self.feed(i, Input::Heard { text, confidence: 0.9, ended });
    }

    /// What the agent does once the phone is picked up.
    fn after_answer(&mut self, i: usize, leg: u64, then: Option<Then>) {
        match then {
            Some(Then::HangsUp(after)) => self.agent_leaves(i, leg, after),
            Some(Then::Presses(keys, _)) => {
                for (after, digit) in keys {
                    let pressed = Input::Digit { leg: Leg::Agent, digit };
                    self.push(self.now + after, Event::FeedAgent(i, leg, pressed));
                }
            }
            Some(Then::Listens(_)) | None => {}
        }
    }

    fn agent_leaves(&mut self, i: usize, leg: u64, after: Duration) {
        let ms = self.network();
        let gone = Input::AgentGone { cause: AgentGone::Hangup };
        self.push(self.now + after + Duration::from_millis(ms), Event::FeedAgent(i, leg, gone));
    }

    fn drain(&mut self, i: usize) {
        while let Some(action) = self.visits.get_mut(&i).and_then(|v| v.call.poll_action()) {
            self.act(i, action);
        }
        if self.visits.get(&i).is_some_and(|v| v.call.is_over())
            && let Some(visit) = self.visits.remove(&i)
        {
            if visit.agent.is_some() || visit.caller_up {
                self.fault("a leg outlives its call");
            }
            self.over.insert(i, visit.call.record().clone());
        }
    }

    fn act(&mut self, i: usize, action: Action) {
        let Some(visit) = self.visits.get_mut(&i) else { return };
        match action {
            Action::AnswerCaller => {
                let ms = self.network() + self.network();
                self.after(ms, Event::Feed(i, Input::CallerConfirmed));
            }
            Action::LookUpContact { .. } => {
                let ms = self.rng.random_range(self.between.crm.clone());
                self.after(ms, Event::Feed(i, Input::ContactFound(people::maria())));
            }
            Action::Say { line, leg, texts, interruptible } => {
                visit.turn += u64::from(leg == Leg::Caller);
                let chars = texts.iter().map(String::len).sum();
                self.speak(i, leg, line, chars);
                if leg == Leg::Caller && interruptible && self.callers[i].impatient {
                    let turn = self.visits.get(&i).map_or(0, |v| v.turn);
                    self.after(900, Event::CallerSpeaks(i, turn));
                }
            }
            Action::PlayBriefing { line, text } => self.speak(i, Leg::Agent, line, text.len()),
            Action::StopSpeech { leg } => {
                let voice = match leg {
                    Leg::Caller => &mut visit.caller_voice,
                    Leg::Agent => &mut visit.agent_voice,
                };
                for line in voice.stop() {
                    self.after(20, Event::Feed(i, Input::LineEnded { line, completed: false }));
                }
            }
            Action::Listen { on, .. } => visit.ear_open = on,
            Action::RunAction(_) => {
                let ms = self.rng.random_range(self.between.crm.clone());
                let found = ActionResult::Order(Some((people::order(), people::maria())));
                self.after(ms, Event::Feed(i, Input::ActionResult(found)));
            }
            Action::WriteCase(_) => {
                visit.cases += 1;
                self.write_case(i);
            }
            Action::FindAgent { queue, not } => {
                let found = match self.pool.reserve(self.now, &queue, &not) {
                    Some(extension) => Input::AgentOffered { extension },
                    None => Input::NoAgent,
                };
                let ms = self.rng.random_range(1..40);
                self.after(ms, Event::Feed(i, found));
            }
            Action::RingAgent { extension, .. } => self.ring(i, extension),
            Action::CancelAgent | Action::HangUp { leg: Leg::Agent, .. } => self.agent_leg_over(i),
            Action::Bridge => self.bridge(i),
            Action::ReleaseAgent { extension } => {
                let talked = std::mem::take(&mut visit.talked);
                self.pool.released(self.now, &extension, talked);
            }
            Action::HangUp { leg: Leg::Caller, .. } => {
                visit.caller_up = false;
                self.after(10, Event::Feed(i, stats(Leg::Caller)));
            }
            Action::HoldMusic { .. }
            | Action::PrepareBriefing { .. }
            | Action::Unbridge
            | Action::SaveRecord
            | Action::CompleteRecord => {}
        }
    }

    fn speak(&mut self, i: usize, leg: Leg, line: LineId, chars: usize) {
        let ready = match leg {
            Leg::Caller => self.rng.random_range(self.between.voice.clone()),
            Leg::Agent => 10, // prepared while the phone rang
        };
        let Some(visit) = self.visits.get_mut(&i) else { return };
        let voice = match leg {
            Leg::Caller => &mut visit.caller_voice,
            Leg::Agent => &mut visit.agent_voice,
        };
        let (start, end) = voice.say(self.now, ready, line, chars);
        let ticket = Ticket { leg, epoch: voice.epoch };
        self.push(start, Event::FeedLine(i, ticket, Input::LineStarted { line, at: start }));
        self.push(end, Event::FeedLine(i, ticket, Input::LineEnded { line, completed: true }));
    }

    fn write_case(&mut self, i: usize) {
        let ms = self.rng.random_range(self.between.crm.clone());
        let answer = match self.rng.random_range(0.0..1.0) {
            x if x < self.between.crm_silent => return,
            x if x < self.between.crm_silent + self.between.crm_fails => Input::CaseFailed { final_: true },
            _ => Input::CaseWritten { system: "straw".into(), record_id: format!("case-{i}") },
        };
        self.after(ms, Event::Feed(i, answer));
    }

    fn ring(&mut self, i: usize, extension: String) {
        if let Some(other) = self.phones.insert(extension.clone(), i) {
            self.fault(&format!("{extension} is rung for call {i} and serves call {other}"));
        }
        let (invite, reply) = (self.network(), self.network());
        let habit = self.agents.get_mut(&extension).and_then(|(agent, rung)| {
            *rung += 1;
            agent.habits.get((*rung - 1) % agent.habits.len().max(1)).cloned()
        });
        let Some(visit) = self.visits.get_mut(&i) else { return };
        visit.legs += 1;
        let id = visit.legs;
        let then = match &habit {
            Some(Habit::PicksUp(_, then)) => Some(then.clone()),
            _ => None,
        };
        visit.agent = Some(AgentLeg { id, extension, answered: false, then });
        let there = invite + reply;
        match habit {
            Some(Habit::Refuses(code)) => self.after(there, Event::FeedAgent(i, id, Input::AgentFailed { code })),
            Some(Habit::Ignores) => self.after(there, Event::FeedAgent(i, id, Input::AgentRinging)),
            Some(Habit::PicksUp(after, _)) => {
                self.after(there, Event::FeedAgent(i, id, Input::AgentRinging));
                let answered = self.now + Duration::from_millis(there) + after;
                self.push(answered, Event::FeedAgent(i, id, Input::AgentAnswered));
            }
            None => self.after(there, Event::FeedAgent(i, id, Input::AgentFailed { code: 480 })),
        }
    }

    /// The phone is free again; what was being said there is cut.
    fn agent_leg_over(&mut self, i: usize) {
        let Some(visit) = self.visits.get_mut(&i) else { return };
        let Some(agent) = visit.agent.take() else { return };
        let cut = visit.agent_voice.stop();
        if let Some(left) = visit.left {
            self.for_nobody = self.for_nobody.max(self.now.saturating_duration_since(left));
        }
        self.phones.remove(&agent.extension);
        for line in cut {
            self.after(20, Event::Feed(i, Input::LineEnded { line, completed: false }));
        }
        self.after(10, Event::Feed(i, stats(Leg::Agent)));
    }

    fn bridge(&mut self, i: usize) {
        let Some(visit) = self.visits.get_mut(&i) else { return };
        let Some(agent) = visit.agent.as_ref().filter(|a| a.answered) else {
            return self.fault("joined with nobody");
        };
        let crm = visit.call.record().crm.clone();
        let (leg, extension, ear_open, caller_up) =
            (agent.id, agent.extension.clone(), visit.ear_open, visit.caller_up);
        visit.talked = true;
        if ear_open || !caller_up || crm.is_none_or(|c| c.policy.is_none()) {
            self.fault("joined with an open ear, without a caller, or before the record");
        }
        self.pool.talking(&extension);
        let habit =
            self.agents.get(&extension).and_then(|(a, rung)| a.habits.get((rung - 1) % a.habits.len()).cloned());
        self.served.entry(extension).or_default().1 += 1;
        for from in [Leg::Agent, Leg::Caller] {
            let at = self.now + Duration::from_millis(self.rng.random_range(5..40));
            self.push(at, Event::Feed(i, Input::BridgeAudio { from, at }));
        }
        self.caller_leaves(i, self.callers[i].talks);
        if let Some(Habit::PicksUp(_, Then::Listens(talks) | Then::Presses(_, talks))) = habit {
            self.agent_leaves(i, leg, talks);
        }
    }
}

fn stats(leg: Leg) -> Input {
    let stats = baton_call::record::MediaStats {
        codec: "PCMU".into(),
        received: 1,
        lost: 0,
        concealed: 0,
        jitter_ms: 0.0,
        mos: 4.4,
    };
    Input::MediaStats { leg, stats }
}
