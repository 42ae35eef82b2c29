//! One call in the world: what the gateway's driver would do for it, and what caller and agent do in return.

use std::time::{Duration, Instant};

use baton_agents::{self as desk, Want};
use baton_call::{
    Action, AgentGone, Call, CallerGone, Input, Leg, LineId, Released, Route, Setup, Supervision, Ticket,
};
use baton_intake::ActionResult;
use rand::Rng;

use crate::line::{Voice, Voicing};
use crate::people::{self, Deed, Habit, Then};
use crate::{Event, World};

/// One call, its legs and its ear.
pub(crate) struct Visit {
    pub call: Call,
    caller_up: bool,
    /// When the caller went, in their own place.
    left: Option<Instant>,
    agents: Vec<AgentLeg>,
    /// The number of a third party's leg, and whether it was answered.
    third: Option<(u64, bool)>,
    supervised: bool,
    holding: bool,
    /// Waits in this queue, since then.
    pub in_line: Option<(String, Instant)>,
    /// It keeps the promise of this ticket.
    pub ticket: Option<String>,
    /// The promise is to be kept another time.
    pub again: Option<(Ticket, Instant)>,
    legs: u64,
    ear_open: bool,
    /// Escalations so far.
    cases: usize,
    says: std::vec::IntoIter<String>,
    /// Counts what has been said on either side, so that a caller speaks once for each turn.
    turn: u64,
    caller_voice: Voice,
    agent_voice: Voice,
}

impl Visit {
    fn new(call: Call, says: Vec<String>) -> Self {
        Self {
            call,
            caller_up: true,
            left: None,
            agents: Vec::new(),
            third: None,
            supervised: false,
            holding: false,
            in_line: None,
            ticket: None,
            again: None,
            legs: 0,
            ear_open: false,
            cases: 0,
            says: says.into_iter(),
            turn: 0,
            caller_voice: Voice::default(),
            agent_voice: Voice::default(),
        }
    }

    /// A call that keeps a promise: it waits for agents from its beginning, and its caller was not called yet.
    pub fn callback(call: Call, ticket: String) -> Self {
        Self { caller_up: false, ticket: Some(ticket), ..Self::new(call, Vec::new()) }
    }

    fn answered(&self) -> Option<&AgentLeg> {
        self.agents.iter().find(|a| a.answered)
    }
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
        let call = Call::with_rules(self.now, wall, setup, self.rules.clone());
        let visit = Visit::new(call, caller.says);
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
            if let Input::AgentsOffered { agents } = input {
                for agent in agents {
                    self.release(agent.extension, Released::NotNeeded);
                }
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
        match &input {
            // A third party's leg that is closed brings nothing more.
            Input::LegRinging { leg: Leg::Third } if visit.third.is_none_or(|t| t.1) => return,
            Input::LegAnswered { leg: Leg::Third } if visit.third.is_none_or(|t| t.1) => return,
            Input::LegFailed { leg: Leg::Third, .. } if visit.third.is_none_or(|t| t.1) => return,
            Input::LegAnswered { leg: Leg::Third } => visit.third = visit.third.map(|(id, _)| (id, true)),
            Input::LegFailed { leg: Leg::Third, .. } => {
                visit.third = None;
                self.after(10, Event::Feed(i, stats(Leg::Third)));
            }
            Input::SupervisorJoins { .. } if visit.supervised => return,
            Input::SupervisorJoins { .. } => visit.supervised = true,
            _ => {}
        }
        let Some(visit) = self.visits.get_mut(&i) else { return };
        visit.call.handle(self.now, input);
        self.drain(i);
    }

    pub(crate) fn feed_agent(&mut self, i: usize, leg: u64, input: Input) {
        let Some(visit) = self.visits.get_mut(&i) else { return };
        let Some(agent) = visit.agents.iter_mut().find(|a| a.id == leg) else { return };
        match input {
            Input::AgentAnswered { extension } => {
                agent.answered = true;
                let then = agent.then.take();
                self.desk(desk::Input::Answered { extension: extension.clone() });
                self.served.entry(extension.clone()).or_default().0 += 1;
                self.feed(i, Input::AgentAnswered { extension });
                self.after_answer(i, leg, then);
            }
            Input::AgentFailed { .. } | Input::AgentGone { .. } => {
                let extension = agent.extension.clone();
                self.agent_leg_over(i, &extension);
                self.feed(i, input);
            }
            input => self.feed(i, input),
        }
    }

    pub(crate) fn feed_line(&mut self, i: usize, ticket: Voicing, input: Input) {
        let Some(visit) = self.visits.get_mut(&i) else { return };
        let voice = if ticket.leg == Leg::Caller { &mut visit.caller_voice } else { &mut visit.agent_voice };
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
            Some(Then::Does(deeds, _)) => {
                for (after, deed) in deeds {
                    let input = match deed {
                        Deed::Presses(digit) => Input::Digit { leg: Leg::Agent, digit },
                        Deed::Holds(on) => Input::Hold { leg: Leg::Agent, on },
                        Deed::Refers(to) => Input::Refer { leg: Leg::Agent, to: to.to_owned() },
                        Deed::IsSupervised => {
                            let mode = Supervision::Whisper;
                            Input::SupervisorJoins { extension: "9001".into(), mode }
                        }
                        Deed::Vanishes => Input::AgentGone { cause: AgentGone::Fault },
                    };
                    self.push(self.now + after, Event::FeedAgent(i, leg, input));
                }
            }
            Some(Then::Mailbox) => self.after(120, Event::FeedAgent(i, leg, Input::AgentVoice { on: true })),
            Some(Then::Listens(_)) | None => {}
        }
    }

    fn agent_leaves(&mut self, i: usize, leg: u64, after: Duration) {
        let ms = self.network();
        let gone = Input::AgentGone { cause: AgentGone::Hangup };
        self.push(self.now + after + Duration::from_millis(ms), Event::FeedAgent(i, leg, gone));
    }

    /// Somebody at a number outside hangs up.
    pub(crate) fn third_leaves(&mut self, i: usize, leg: u64) {
        let Some(visit) = self.visits.get_mut(&i).filter(|v| v.third == Some((leg, true))) else { return };
        visit.third = None;
        self.after(10, Event::Feed(i, stats(Leg::Third)));
        self.feed(i, Input::LegGone { leg: Leg::Third });
    }

    pub(crate) fn drain(&mut self, i: usize) {
        while let Some(action) = self.visits.get_mut(&i).and_then(|v| v.call.poll_action()) {
            self.act(i, action);
        }
        if self.visits.get(&i).is_some_and(|v| v.call.is_over())
            && let Some(visit) = self.visits.remove(&i)
        {
            if !visit.agents.is_empty() || visit.caller_up || visit.third.is_some() || visit.supervised {
                self.fault("a leg outlives its call");
            }
            if visit.in_line.is_some() {
                self.fault("a caller who is gone stands in line");
            }
            self.over.insert(i, visit.call.record().clone());
            if let Some(ticket) = visit.ticket {
                self.keeping.remove(&ticket);
            }
            if let Some((ticket, since)) = visit.again {
                self.put_in_line(ticket, since);
            }
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
                let voice = if leg == Leg::Caller { &mut visit.caller_voice } else { &mut visit.agent_voice };
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
            Action::FindAgent { queue, not, since, priority, needs } => {
                let who = self.waiter(i);
                self.find(i, Want { who, queue, not, since, priority, needs });
            }
            Action::LeaveQueue { why } => self.leave(i, why),
            Action::KeepPlace { ticket, since } => self.promise(i, *ticket, since),
            Action::RingAgent { extension, .. } => self.ring(i, extension),
            Action::CancelAgent { extension, .. } => self.agent_leg_over(i, &extension),
            Action::HangUp { leg: Leg::Agent, .. } => {
                let up = visit.answered().map(|a| a.extension.clone());
                match up {
                    Some(extension) => self.agent_leg_over(i, &extension),
                    None => self.fault("BYE to an agent who is not there"),
                }
            }
            Action::HangUp { leg: Leg::Third, .. } => {
                visit.third = None;
                self.after(10, Event::Feed(i, stats(Leg::Third)));
            }
            Action::HangUp { leg: Leg::Supervisor, .. } => {
                visit.supervised = false;
                self.after(10, Event::Feed(i, stats(Leg::Supervisor)));
            }
            Action::Dial { leg, to, .. } => self.dial(i, leg, &to),
            Action::AgentTalking { extension } => self.talks(i, &extension),
            Action::Bridge => self.bridge(i),
            Action::Mix { routes } => self.mixed(i, &routes),
            Action::ReleaseAgent { extension, how } => self.release(extension, how),
            Action::HangUp { leg: Leg::Caller, .. } => {
                visit.caller_up = false;
                self.after(10, Event::Feed(i, stats(Leg::Caller)));
            }
            Action::HoldMusic { .. }
            | Action::Ringback { .. }
            | Action::AnswerRefer { .. }
            | Action::ReferProgress { .. }
            | Action::PrepareBriefing { .. }
            | Action::PauseRecording { .. }
            | Action::Unbridge
            | Action::SaveRecord
            | Action::CompleteRecord => {}
        }
    }

    fn speak(&mut self, i: usize, leg: Leg, line: LineId, chars: usize) {
        let ready = match leg {
            Leg::Caller => self.rng.random_range(self.between.voice.clone()),
            _ => 10, // prepared while the phone rang
        };
        let Some(visit) = self.visits.get_mut(&i) else { return };
        let voice = if leg == Leg::Caller { &mut visit.caller_voice } else { &mut visit.agent_voice };
        let (start, end) = voice.say(self.now, ready, line, chars);
        let ticket = Voicing { leg, epoch: voice.epoch };
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
        visit.agents.push(AgentLeg { id, extension: extension.clone(), answered: false, then });
        let there = invite + reply;
        let rings = Input::AgentRinging { extension: extension.clone() };
        match habit {
            Some(Habit::Refuses(code)) => {
                self.after(there, Event::FeedAgent(i, id, Input::AgentFailed { extension, code }));
            }
            Some(Habit::Ignores) => self.after(there, Event::FeedAgent(i, id, rings)),
            Some(Habit::PicksUp(after, _)) => {
                self.after(there, Event::FeedAgent(i, id, rings));
                let answered = self.now + Duration::from_millis(there) + after;
                self.push(answered, Event::FeedAgent(i, id, Input::AgentAnswered { extension }));
            }
            None => self.after(there, Event::FeedAgent(i, id, Input::AgentFailed { extension, code: 480 })),
        }
    }

    /// A number outside is called: the caller's own, or a third party's.
    fn dial(&mut self, i: usize, leg: Leg, _to: &str) {
        let there = self.network() + self.network();
        if leg == Leg::Caller {
            let answer = self.callers[i].answers_callback;
            let Some(visit) = self.visits.get_mut(&i) else { return };
            visit.caller_up = true;
            match answer {
                Some(after) => {
                    let at = self.now + Duration::from_millis(there) + after;
                    self.push(at, Event::Feed(i, Input::LegAnswered { leg }));
                }
                None => self.after(there, Event::Feed(i, Input::LegRinging { leg })),
            }
            return;
        }
        let (answers, after) = (self.rng.random_bool(self.between.outside_answers), self.rng.random_range(500..25_000));
        let talks = self.rng.random_range(1_000..60_000);
        let Some(visit) = self.visits.get_mut(&i) else { return };
        visit.legs += 1;
        let id = visit.legs;
        visit.third = Some((id, false));
        self.after(there, Event::Feed(i, Input::LegRinging { leg }));
        if answers {
            self.after(there + after, Event::Feed(i, Input::LegAnswered { leg }));
            self.after(there + after + talks, Event::ThirdLeaves(i, id));
        } else if after < 12_000 {
            self.after(there + after, Event::Feed(i, Input::LegFailed { leg, code: 486 }));
        }
    }

    /// Others than caller and agent take part.
    fn mixed(&mut self, i: usize, routes: &[Route]) {
        let Some(visit) = self.visits.get(&i) else { return };
        let up = |leg: Leg| match leg {
            Leg::Caller => visit.caller_up,
            Leg::Agent => visit.answered().is_some(),
            Leg::Third => visit.third.is_some_and(|(_, answered)| answered),
            Leg::Supervisor => visit.supervised,
        };
        if !routes.iter().all(|r| up(r.from) && up(r.to)) {
            self.fault(&format!("mixed with nobody: {routes:?}"));
        }
        if routes.iter().any(|r| (r.from, r.to) == (Leg::Supervisor, Leg::Caller)) {
            self.fault("a whisper reaches the caller");
        }
    }

    /// The phone is free again; what was being said there is cut.
    fn agent_leg_over(&mut self, i: usize, extension: &str) {
        let Some(visit) = self.visits.get_mut(&i) else { return };
        let Some(at) = visit.agents.iter().position(|a| a.extension == extension) else { return };
        let agent = visit.agents.remove(at);
        visit.holding = false;
        let cut = if agent.answered { visit.agent_voice.stop() } else { Vec::new() };
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
        let Some(visit) = self.visits.get(&i) else { return };
        let crm = visit.call.record().crm.clone();
        let (ear_open, together) = (visit.ear_open, visit.caller_up && visit.answered().is_some());
        if ear_open || !together || crm.is_none_or(|c| c.policy.is_none()) {
            self.fault("joined with an open ear, with nobody, or before the record");
        }
        for from in [Leg::Agent, Leg::Caller] {
            let at = self.now + Duration::from_millis(self.rng.random_range(5..40));
            self.push(at, Event::Feed(i, Input::BridgeAudio { from, at }));
        }
    }

    /// The agent has the caller: from now on both do what they do in a talk.
    fn talks(&mut self, i: usize, extension: &str) {
        let leg = self.visits.get(&i).and_then(Visit::answered).filter(|a| a.extension == extension).map(|a| a.id);
        let Some(leg) = leg else { return self.fault("an agent talks who is not there") };
        self.served(i, extension);
        let habits = self.agents.get(extension).map(|(a, rung)| (&a.habits, rung - 1));
        let habit = habits.and_then(|(h, rung)| h.get(rung % h.len()).cloned());
        self.served.entry(extension.to_owned()).or_default().1 += 1;
        if let Some((after, long)) = self.callers[i].holds {
            for (at, on) in [(after, true), (after + long, false)] {
                self.push(self.now + at, Event::Feed(i, Input::Hold { leg: Leg::Caller, on }));
            }
        }
        self.caller_leaves(i, self.callers[i].talks);
        if let Some(Habit::PicksUp(_, Then::Listens(talks) | Then::Presses(_, talks) | Then::Does(_, talks))) = habit {
            self.agent_leaves(i, leg, talks);
        }
    }
}

fn stats(leg: Leg) -> Input {
    let stats = baton_call::record::MediaStats { codec: "PCMU".into(), received: 1, mos: 4.4, ..Default::default() };
    Input::MediaStats { leg, stats }
}
