//! A random walk: calls to which anything happens in any order, sense and nonsense mixed, with a small model beside the
//! machine that knows only legs, promises and the ear, and checks after each step what must always hold.
//!
//! Fails with the seed: `BATON_WALK_SEED=N BATON_WALK_CALLS=1 cargo test -p baton-call --test walk` plays that call again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_call::record::Policy;
use baton_call::{Action, AgentGone, Call, CallerGone, Input, Leg, LineId, Offered, Rules, Setup, Supervision, Timer};
use baton_intake::{ActionResult, Flow, IfLate};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// `make test` walks the full way in the release profile; unoptimised it would take minutes.
const CALLS: u64 = if cfg!(debug_assertions) { 25_000 } else { 100_000 };

#[test]
fn whatever_happens_the_call_keeps_its_promises() {
    let number = |name: &str, or| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or);
    let (first, calls): (u64, u64) = (number("BATON_WALK_SEED", 1), number("BATON_WALK_CALLS", CALLS));
    let flows: Vec<Arc<Flow>> = ["proceed", "wait"]
        .into_iter()
        .flat_map(|late| ["true", "false"].map(|end| (late, end)))
        .map(|(late, end)| {
            let late = ("if_late".to_owned(), format!("\"{late}\""));
            support::shop(&[late, ("accept_on_briefing_end".to_owned(), end.to_owned())])
        })
        .collect();
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get() as u64).min(calls);
    let walk = &|worker: u64| {
        let mut seen = Seen::default();
        for seed in (first..first + calls).skip(worker as usize).step_by(workers as usize) {
            Walk::new(seed, &flows[seed as usize % flows.len()]).go(&mut seen);
        }
        seen
    };
    let seen = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|w| scope.spawn(move || walk(w))).collect();
        threads.into_iter().fold(Seen::default(), |a, t| a.plus(&t.join().unwrap()))
    });
    println!("{calls} calls: {seen:?}");
    // A walk that never gets anywhere proves nothing.
    for (what, n) in [
        ("joined", seen.joined),
        ("given back", seen.given_back),
        ("proceeded", seen.proceeded),
        ("solved or finished", seen.finished),
        ("left while ringing or briefed", seen.left_agent),
    ] {
        assert!(calls < CALLS || n > calls / 100, "only {n} of {calls} calls were {what}");
    }
}

#[derive(Debug, Default)]
struct Seen {
    joined: u64,
    given_back: u64,
    proceeded: u64,
    finished: u64,
    left_agent: u64,
    steps: u64,
}

impl Seen {
    fn plus(self, o: &Self) -> Self {
        Self {
            joined: self.joined + o.joined,
            given_back: self.given_back + o.given_back,
            proceeded: self.proceeded + o.proceeded,
            finished: self.finished + o.finished,
            left_agent: self.left_agent + o.left_agent,
            steps: self.steps + o.steps,
        }
    }
}

/// One line of the trace; put into words only when it is needed.
enum Moment {
    Happened(Input),
    Decided(Action),
}

impl Moment {
    fn words(&self) -> String {
        match self {
            Self::Happened(input) => format!("{input:?}"),
            Self::Decided(action) => format!("    {}", support::words(action)),
        }
    }
}

/// What the model knows: only what went in and what came out.
struct Model {
    caller_up: bool,
    ringing: BTreeSet<String>,
    up: Option<String>,
    holds: bool,
    /// Whether it was answered.
    third: Option<bool>,
    supervisors: u32,
    in_queue: bool,
    tickets: u32,
    /// Offered and not released.
    promised: Vec<String>,
    ear_open: bool,
    music: bool,
    bridged: bool,
    ever_bridged: bool,
    /// The disposition as it was when the two were joined or the call ended.
    settled: Option<String>,
    lines: BTreeSet<LineId>,
    open_lines: Vec<(LineId, Leg)>,
    completed: u32,
    case_written: bool,
    case_asked: bool,
    /// Escalations so far.
    cases: usize,
    wants_agent: bool,
    acting: bool,
}

impl Model {
    /// Any leg but the caller's.
    fn has_leg(&self) -> bool {
        !self.ringing.is_empty() || self.up.is_some() || self.third.is_some() || self.supervisors > 0
    }
}

struct Walk {
    seed: u64,
    rng: StdRng,
    call: Call,
    now: Instant,
    if_late: IfLate,
    model: Model,
    trace: Vec<Moment>,
    /// How much of what happens makes no sense, in percent.
    nonsense: u32,
}

impl Walk {
    fn new(seed: u64, flow: &Arc<Flow>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let from = ["+15551230001", "", "anonymous"].choose(&mut rng).unwrap();
        let now = Instant::now();
        let setup = Setup {
            call_id: format!("walk-{seed}"),
            from: (*from).into(),
            to: "5000".into(),
            trunk: "carrier".into(),
            flow: Arc::clone(flow),
        };
        let introduction = if seed.is_multiple_of(3) { "Now you are both here.".to_owned() } else { String::new() };
        let rules = Rules {
            introduction,
            outside: vec!["0".into()],
            queues: vec!["support".into(), "billing".into()],
            ..Rules::default()
        };
        let call = Call::with_rules(now, jiff::Timestamp::UNIX_EPOCH, setup, Arc::new(rules));
        let model = Model {
            caller_up: true,
            ringing: BTreeSet::new(),
            up: None,
            holds: false,
            third: None,
            supervisors: 0,
            in_queue: false,
            tickets: 0,
            promised: Vec::new(),
            ear_open: false,
            music: false,
            bridged: false,
            ever_bridged: false,
            settled: None,
            lines: BTreeSet::new(),
            open_lines: Vec::new(),
            completed: 0,
            case_written: false,
            case_asked: false,
            cases: 0,
            wants_agent: false,
            acting: false,
        };
        let nonsense = *[0, 10, 50, 100].choose(&mut rng).unwrap();
        Self { seed, rng, call, now, if_late: flow.transfer().if_late, model, trace: Vec::new(), nonsense }
    }

    fn go(mut self, seen: &mut Seen) {
        self.drain();
        let steps = self.rng.random_range(1..90);
        for _ in 0..steps {
            seen.steps += 1;
            self.pass_time();
            let input = if self.rng.random_ratio(self.nonsense, 100) { self.anything() } else { self.sensible() };
            self.feed(input);
            if self.call.is_over() {
                break;
            }
        }
        // The world falls silent: timers alone must bring the call to its end.
        let mut fired = 0;
        while let Some((at, timer)) = self.call.poll_timeout() {
            self.now = self.now.max(at);
            self.feed(Input::Timeout(timer));
            fired += 1;
            self.check(fired < 2_000, "timers fire for ever");
        }
        self.at_the_end();
        let record = self.call.record();
        seen.joined += u64::from(self.model.ever_bridged);
        seen.given_back += u64::from(!record.given_back.is_empty());
        seen.proceeded += u64::from(record.crm.as_ref().is_some_and(|c| c.policy == Some(Policy::Proceeded)));
        seen.finished += u64::from(record.termination.as_ref().is_some_and(|t| t.cause == "completed"));
        let by_caller = record.termination.as_ref().is_some_and(|t| t.cause == "hangup");
        let with_agent = record.agent.as_ref().is_some_and(|a| a.extension.is_some());
        seen.left_agent += u64::from(by_caller && with_agent && !self.model.ever_bridged);
    }

    /// Timers run out on time; now and then the driver is late.
    fn pass_time(&mut self) {
        let ms = *[0, 1, 20, 300, 2_000, 9_000].choose(&mut self.rng).unwrap();
        let to = self.now + Duration::from_millis(self.rng.random_range(0..=ms));
        while let Some((at, timer)) = self.call.poll_timeout().filter(|(at, _)| *at <= to) {
            if self.rng.random_ratio(1, 10) {
                break;
            }
            self.now = self.now.max(at);
            self.feed(Input::Timeout(timer));
        }
        self.now = to;
    }

    fn feed(&mut self, input: Input) {
        self.trace.push(Moment::Happened(input.clone()));
        let gone = matches!(input, Input::CallerGone { .. }) && self.model.caller_up;
        let was_over = self.call.is_over();
        match &input {
            Input::CallerGone { .. } => self.model.caller_up = false,
            Input::AgentOffered { extension } => {
                self.model.promised.push(extension.clone());
                self.model.wants_agent = false;
            }
            Input::AgentsOffered { agents } => {
                self.model.promised.extend(agents.iter().map(|a| a.extension.clone()));
                self.model.wants_agent = false;
            }
            Input::NoAgent => self.model.wants_agent = false,
            Input::AgentAnswered { extension } if self.model.ringing.remove(extension) => {
                self.model.up = Some(extension.clone());
            }
            Input::AgentFailed { extension, .. } => {
                self.model.ringing.remove(extension);
            }
            Input::AgentGone { .. } => (self.model.up, self.model.holds) = (None, false),
            Input::LegAnswered { leg: Leg::Third } if self.model.third == Some(false) => self.model.third = Some(true),
            Input::LegFailed { leg: Leg::Third, .. } if self.model.third == Some(false) => self.model.third = None,
            Input::LegGone { leg: Leg::Third } if self.model.third == Some(true) => self.model.third = None,
            Input::LegGone { leg: Leg::Supervisor } => self.model.supervisors = 0,
            Input::Hold { leg: Leg::Agent, on } => self.model.holds = *on && self.model.up.is_some(),
            Input::SupervisorJoins { .. } => self.model.supervisors += 1,
            Input::CaseWritten { .. } => self.model.case_written = true,
            Input::LineEnded { line, .. } => self.model.open_lines.retain(|(l, _)| l != line),
            Input::ActionResult(_) => self.model.acting = false,
            _ => {}
        }
        self.call.handle(self.now, input);
        self.drain();
        if gone {
            self.check(self.model.promised.is_empty(), "the caller is gone and an agent is not released");
            self.check(!self.model.has_leg(), "the caller is gone and a leg is there");
        }
        self.check(was_over || self.call.is_over() || self.call.poll_timeout().is_some(), "no timer runs");
        let held = self.model.music || self.model.bridged;
        self.check(!(held && self.model.ear_open), "a held or joined caller is heard by speech-to-text");
        let record = self.call.record();
        if record.ended_at.is_some() || record.bridged_at.is_some() {
            let now = record.disposition.clone();
            self.check(now.is_some(), "no disposition");
            let settled = self.model.settled.get_or_insert_with(|| now.clone().unwrap()).clone();
            self.check(now == Some(settled), "a settled disposition changed");
        }
        if self.call.record().ended_at.is_some() {
            self.check(!self.model.caller_up, "the call is over and the caller's leg is not");
            self.check(!self.model.has_leg(), "a leg outlives the call");
            self.check(!self.model.in_queue, "the call is over and waits in line");
            self.check(self.model.promised.is_empty(), "an agent stays promised to a call that is over");
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.call.poll_action() {
            self.trace.push(Moment::Decided(action.clone()));
            self.acted(&action);
        }
    }

    fn acted(&mut self, action: &Action) {
        let late = matches!(
            action,
            Action::ReleaseAgent { .. } | Action::CancelAgent { .. } | Action::HangUp { leg: Leg::Supervisor, .. }
        );
        self.check(self.model.completed == 0 || late, "something is done after the record was completed");
        match action {
            Action::Say { line, leg, .. } => self.line(*line, *leg),
            Action::PlayBriefing { line, .. } => {
                self.check(self.model.up.is_some(), "a briefing for nobody");
                self.line(*line, Leg::Agent);
            }
            Action::Listen { on, .. } => {
                let held = self.model.cases > self.call.record().given_back.len();
                self.check(!(*on && held), "the ear is opened to a caller who is on the way to a person");
                self.model.ear_open = *on;
            }
            Action::HoldMusic { on } => self.model.music = *on,
            Action::RunAction(_) => self.model.acting = true,
            Action::WriteCase(_) => {
                self.model.case_asked = true;
                self.model.cases += 1;
                self.model.case_written = false;
                self.check(!self.model.ear_open, "the ear is open when the case is written");
            }
            Action::FindAgent { .. } => {
                self.check(self.model.caller_up, "an agent is looked for, for nobody");
                (self.model.wants_agent, self.model.in_queue) = (true, true);
            }
            Action::LeaveQueue { .. } => {
                self.check(self.model.in_queue, "left a queue twice");
                (self.model.wants_agent, self.model.in_queue) = (false, false);
            }
            Action::KeepPlace { ticket, .. } => {
                self.check(!ticket.number.is_empty(), "a promise to call nobody");
                self.model.tickets += 1;
                self.check(self.model.tickets == 1, "promised twice");
            }
            Action::RingAgent { extension, .. } => {
                self.check(self.model.up.is_none(), "rung while another agent is there");
                self.check(self.model.promised.contains(extension), "rung without a promise");
                self.check_record_first();
                let new = self.model.ringing.insert(extension.clone());
                self.check(new || self.model.promised.iter().filter(|e| *e == extension).count() > 1, "rung twice");
            }
            Action::CancelAgent { extension, .. } => {
                self.model.ringing.remove(extension);
                self.check(self.model.up.as_ref() != Some(extension), "cancelled who is up");
            }
            Action::AgentTalking { extension } => {
                self.check(self.model.up.as_ref() == Some(extension), "talks with who is not there");
                self.check_record_first();
                (self.model.in_queue, self.model.ever_bridged) = (false, true);
            }
            Action::Bridge => {
                self.check(self.model.up.is_some() && self.model.caller_up, "joined with nobody");
                self.check(!self.model.holds, "joined with who holds");
                self.joined(&[Leg::Caller, Leg::Agent]);
            }
            Action::Mix { routes } => {
                let legs: Vec<Leg> = routes.iter().flat_map(|r| [r.from, r.to]).collect();
                self.check(!(self.model.holds && legs.contains(&Leg::Agent)), "mixed with who holds");
                self.joined(&legs);
            }
            Action::Dial { leg, .. } => {
                self.check(*leg == Leg::Third && self.model.third.is_none(), "two third parties");
                self.model.third = Some(false);
            }
            Action::Ringback { .. } | Action::AnswerRefer { .. } | Action::ReferProgress { .. } => {}
            Action::Unbridge => {
                self.check(self.model.bridged, "parted what was not joined");
                self.model.bridged = false;
            }
            Action::ReleaseAgent { extension, .. } => {
                let at = self.model.promised.iter().position(|e| e == extension);
                self.check(at.is_some(), "released twice, or never promised");
                self.model.promised.swap_remove(at.unwrap());
            }
            Action::HangUp { leg: Leg::Agent, .. } => {
                self.check(self.model.up.is_some(), "BYE to an agent who is not there");
                (self.model.up, self.model.holds) = (None, false);
            }
            Action::HangUp { leg: Leg::Third, .. } => {
                self.check(self.model.third.is_some(), "BYE to a third party who is not there");
                self.model.third = None;
            }
            Action::HangUp { leg: Leg::Supervisor, .. } => {
                self.check(self.model.supervisors > 0, "BYE to a supervisor who is not there");
                self.model.supervisors -= 1;
            }
            Action::HangUp { leg: Leg::Caller, .. } => {
                self.check(self.model.caller_up, "BYE to a caller who is gone");
                self.model.caller_up = false;
            }
            Action::CompleteRecord => self.model.completed += 1,
            Action::AnswerCaller
            | Action::LookUpContact { .. }
            | Action::StopSpeech { .. }
            | Action::PrepareBriefing { .. }
            | Action::PauseRecording { .. }
            | Action::SaveRecord => {}
        }
    }

    fn line(&mut self, line: LineId, leg: Leg) {
        let new = self.model.lines.insert(line);
        self.check(new, "a line's number was used twice");
        self.check(leg == Leg::Agent || self.model.caller_up, "words for a caller who is gone");
        self.model.open_lines.push((line, leg));
    }

    /// Some are joined, in whatever way.
    fn joined(&mut self, legs: &[Leg]) {
        let up = |leg: &Leg| match leg {
            Leg::Caller => self.model.caller_up,
            Leg::Agent => self.model.up.is_some(),
            Leg::Third => self.model.third == Some(true),
            Leg::Supervisor => self.model.supervisors > 0,
        };
        self.check(legs.iter().all(up), "joined with nobody");
        let caller = legs.contains(&Leg::Caller);
        self.check(!(caller && (self.model.music || self.model.ear_open)), "joined over hold music or an open ear");
        self.check_record_first();
        self.model.bridged = true;
        self.check(self.model.ever_bridged, "heard before the call was the agent's");
    }

    fn check_record_first(&self) {
        let policy = self.call.record().crm.as_ref().and_then(|c| c.policy);
        let fine = match policy {
            Some(Policy::Acknowledged) => self.model.case_written,
            Some(Policy::Proceeded) => self.if_late == IfLate::Proceed,
            None => false,
        };
        self.check(fine, "on the way to a join before the record");
    }

    fn at_the_end(&self) {
        let record = self.call.record();
        self.check(self.call.is_over(), "no timer runs and the call is not over");
        self.check(self.model.completed == 1, "the record was not completed exactly once");
        self.check(record.ended_at.is_some() && record.termination.is_some(), "an end without a cause");
        self.check(record.disposition.as_ref().is_some_and(|d| !d.is_empty()), "no disposition");
        self.check(!self.model.ear_open && !self.model.music && !self.model.bridged, "something goes on after the end");
        self.check(self.model.ever_bridged == record.bridged_at.is_some(), "the record of the join is wrong");
    }

    fn check(&self, holds: bool, what: &str) {
        if !holds {
            let last = self.trace.len().saturating_sub(60);
            let trace: Vec<String> = self.trace[last..].iter().map(Moment::words).collect();
            panic!("seed {}: {what}\n{}\n{:#?}", self.seed, trace.join("\n"), self.call.record());
        }
    }
}

/// What happens.
impl Walk {
    /// What could happen now, by what the model knows.
    fn sensible(&mut self) -> Input {
        let agents = ["1001", "1002", "1003"].choose(&mut self.rng).unwrap();
        if !self.model.caller_up {
            return match self.rng.random_range(0..2) {
                0 => Input::MediaStats { leg: Leg::Caller, stats: support::stats() },
                _ => self.case(),
            };
        }
        if self.rng.random_ratio(1, 80) {
            return Input::CallerGone { cause: CallerGone::Hangup, sip: 200 };
        }
        if !self.model.open_lines.is_empty() && self.rng.random_ratio(2, 5) {
            let (line, _) = *self.model.open_lines.choose(&mut self.rng).unwrap();
            return match self.rng.random_range(0..3) {
                0 => Input::LineStarted { line, at: self.now },
                n => Input::LineEnded { line, completed: n == 1 },
            };
        }
        if self.model.case_asked && !self.model.case_written && self.rng.random_ratio(1, 4) {
            return self.case();
        }
        if self.model.wants_agent && self.rng.random_ratio(1, 2) {
            return match self.rng.random_range(0..16) {
                0 => Input::NoAgent,
                1..4 => Input::Queued { position: self.rng.random_range(1..4), wait: Duration::from_secs(90) },
                4 if self.rng.random_ratio(1, 3) => Input::Digit { leg: Leg::Caller, digit: '1' },
                4..7 => self.several(),
                _ => Input::AgentOffered { extension: (*agents).into() },
            };
        }
        let ringing = self.model.ringing.iter().next().cloned();
        match ringing {
            Some(extension) if self.rng.random_ratio(1, 2) => match self.rng.random_range(0..6) {
                0 | 1 => Input::AgentRinging { extension },
                2 => Input::AgentFailed { extension, code: *[408, 480, 486, 603].choose(&mut self.rng).unwrap() },
                _ => Input::AgentAnswered { extension },
            },
            _ if self.model.third.is_some() && self.rng.random_ratio(1, 3) => self.third(),
            _ if self.model.up.is_some() && self.rng.random_ratio(1, 2) => self.with_agent(),
            _ if self.model.acting => {
                Input::ActionResult(ActionResult::Order(Some((support::order(), support::maria()))))
            }
            _ if self.model.ear_open => self.speech(),
            _ => Input::CallerConfirmed,
        }
    }

    fn several(&mut self) -> Input {
        let must_accept = self.rng.random();
        let all = ["1001", "1002", "1003"].map(|e| Offered { extension: e.into(), must_accept });
        Input::AgentsOffered { agents: all.into_iter().take(self.rng.random_range(1..=3)).collect() }
    }

    fn with_agent(&mut self) -> Input {
        const KEYS: [char; 9] = ['1', '2', '3', '*', '4', '5', '6', '#', '9'];
        const TO: [&str; 4] = ["billing", "assistant", "0301", "1"];
        let on = self.rng.random();
        match self.rng.random_range(0..16) {
            0 => Input::AgentGone { cause: AgentGone::Hangup },
            1 => Input::BridgeAudio { from: Leg::Agent, at: self.now },
            2 => Input::BridgeAudio { from: Leg::Caller, at: self.now },
            3 => Input::Hold { leg: *[Leg::Agent, Leg::Caller, Leg::Third].choose(&mut self.rng).unwrap(), on },
            4 => Input::Refer { leg: Leg::Agent, to: (*TO.choose(&mut self.rng).unwrap()).into() },
            5 => match on {
                true => Input::SupervisorJoins { extension: "9001".into(), mode: Supervision::Whisper },
                false => Input::LegGone { leg: Leg::Supervisor },
            },
            6 => Input::Digit { leg: Leg::Supervisor, digit: *['4', '5', '6', '7'].choose(&mut self.rng).unwrap() },
            7 => match self.rng.random_ratio(1, 6) {
                true => Input::AnsweredByMachine,
                false => Input::AgentVoice { on },
            },
            _ => Input::Digit { leg: Leg::Agent, digit: *KEYS.choose(&mut self.rng).unwrap() },
        }
    }

    fn third(&mut self) -> Input {
        let leg = Leg::Third;
        match self.rng.random_range(0..6) {
            0 => Input::LegRinging { leg },
            1 => Input::LegFailed { leg, code: 486 },
            2 => Input::LegGone { leg },
            3 => Input::MediaSilent { leg },
            _ => Input::LegAnswered { leg },
        }
    }

    fn case(&mut self) -> Input {
        match self.rng.random_range(0..4) {
            0 => Input::CaseFailed { final_: self.rng.random() },
            _ => Input::CaseWritten { system: "embedded".into(), record_id: "17".into() },
        }
    }

    fn speech(&mut self) -> Input {
        const SAID: [&str; 12] = [
            "agent",
            "I want a person",
            "where is my order A 1042",
            "Maria Gomez",
            "yes",
            "no",
            "no that is all",
            "the house is on fire",
            "five five five one two three four five six seven",
            "mhm",
            "",
            "where is my kettle",
        ];
        match self.rng.random_range(0..6) {
            0 => Input::SpeechStarted,
            1 => Input::NotUnderstood,
            2 => {
                Input::Digit { leg: Leg::Caller, digit: *['0', '1', '2', '5', '#', '*'].choose(&mut self.rng).unwrap() }
            }
            _ => {
                let text = (*SAID.choose(&mut self.rng).unwrap()).into();
                Input::Heard { text, confidence: self.rng.random(), ended: self.now }
            }
        }
    }

    /// What cannot be, mostly.
    fn anything(&mut self) -> Input {
        const TIMERS: [Timer; 19] = [
            Timer::Confirm,
            Timer::NoInput,
            Timer::Utterance,
            Timer::LineCeiling,
            Timer::ActionBudget,
            Timer::CrmWait,
            Timer::AgentSearch,
            Timer::QueueCeiling,
            Timer::AgentMonologue,
            Timer::Introduction,
            Timer::CallerRing,
            Timer::ThirdRing,
            Timer::FeatureKeys,
            Timer::AgentRing,
            Timer::BriefingCeiling,
            Timer::AgentLinger,
            Timer::HoldNews,
            Timer::FinalSave,
            Timer::CallCeiling,
        ];
        let leg = *[Leg::Caller, Leg::Agent].choose(&mut self.rng).unwrap();
        let line = LineId(self.rng.random_range(0..12));
        let any = self.rng.random_range(0..100);
        match any {
            0..6 => Input::CallerConfirmed,
            6 => Input::CallerGone { cause: CallerGone::Cancel, sip: 487 },
            7 => Input::CallerGone { cause: CallerGone::Fault, sip: 503 },
            8..11 => Input::ContactFound(support::maria()),
            11 => Input::ContactUnknown,
            12 => Input::ContactFailed,
            13..33 => self.speech(),
            33..38 => Input::Digit { leg, digit: *['1', '2', '3', '*', 'A', '#', '0'].choose(&mut self.rng).unwrap() },
            38..43 => Input::LineStarted { line, at: self.now },
            43..50 => Input::LineEnded { line, completed: self.rng.random() },
            50..53 => Input::ActionResult(ActionResult::Order(None)),
            53 => Input::ActionResult(ActionResult::Failed),
            54..59 => self.case(),
            59..64 => Input::AgentOffered { extension: (*["1001", "1002"].choose(&mut self.rng).unwrap()).into() },
            64..66 => Input::NoAgent,
            66 => Input::AgentRinging { extension: "1001".into() },
            67 => self.several(),
            68..73 => Input::AgentAnswered { extension: (*["1001", "1002"].choose(&mut self.rng).unwrap()).into() },
            73..75 => Input::AgentFailed { extension: "1001".into(), code: 486 },
            75..77 => Input::AgentGone { cause: AgentGone::Fault },
            77..79 => Input::BridgeAudio { from: leg, at: self.now },
            79 => Input::MediaSilent { leg },
            80 => Input::MediaStats { leg, stats: support::stats() },
            81 if self.rng.random_ratio(1, 2) => Input::SpeechBusy,
            81 => Input::SpeechDown,
            82 => Input::Drain,
            83 => match self.rng.random_ratio(1, 4) {
                true => Input::Shutdown,
                false => Input::Drain,
            },
            84..88 => self.with_agent(),
            88..90 => self.third(),
            90 => Input::Queued { position: 2, wait: Duration::from_secs(60) },
            91 => Input::LineHeard { line, chars: self.rng.random_range(0..60) },
            92 => Input::SpeechStopped,
            _ => Input::Timeout(*TIMERS.choose(&mut self.rng).unwrap()),
        }
    }
}
