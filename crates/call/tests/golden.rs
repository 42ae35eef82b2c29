//! Golden call scripts, `testdata/*.txt`: one call each, in the words of the trade.
//!
//! ```text
//! given 1001 rings                     the usual beginning, as far as that: see GIVEN
//! flow of orders                       the shipped flow, in place of testdata/flow.toml
//! flow if_late = "wait"                a key of the flow, changed for this script
//! rules introduction = "…"             a key of the rules
//! callback                             the call is a promised callback; 1001 is offered to it at once
//! at 1.200s  caller says "agent"       what happens, and when; timers run out on the way
//! expect ring agent 1001               must have been decided since, in this order (the beginning of its words is enough)
//! expect no bridge                     must not have been decided since
//! expect nothing                       nothing was, beyond saving the record
//! record agent.extension = "1001"      how the record stands now
//! ```
//!
//! Every script must end with the call over, and its record completed once.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_call::record::Policy;
use baton_call::{
    Action, AgentGone, Call, CallerGone, Input, Leg, LineId, Offered, Rules, Setup, Supervision, Ticket, Timer,
};
use baton_intake::{ActionResult, Briefing, Flow, TriggerName};
use serde_json::Value;

#[test]
fn every_script_goes_as_written() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    let mut scripts: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    scripts.retain(|p| p.extension().is_some_and(|e| e == "txt"));
    scripts.sort();
    let failures: Vec<String> = scripts
        .iter()
        .filter_map(|path| {
            let why = play(&std::fs::read_to_string(path).unwrap()).err()?;
            Some(format!("{}:{why}", path.file_name().unwrap().display()))
        })
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
    assert!(scripts.len() >= 25, "only {} scripts", scripts.len());
}

/// The record is the outward face: these names, and no others, after a call with everything in it.
#[test]
fn the_record_has_the_agreed_shape() {
    let script = include_str!("../testdata/42-the-shipped-flow.txt");
    let mut run = Run::new(support::default_flow(), Arc::default(), false);
    for line in script.lines().map(str::trim).filter(|l| l.starts_with("at ")) {
        run.line(line).unwrap();
    }
    let record = serde_json::to_value(run.call.record()).unwrap();
    let keys = |pointer: &str| {
        let object = record.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}")).as_object().unwrap();
        object.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    let shape = [
        (
            "",
            "agent attempts bridged_at briefing call_id contact crm disposition ended_at flow from latency_ms media \
             slots started_at summary termination to tone trigger trunk turns",
        ),
        ("/contact", "account_holder id matched_by name"),
        ("/turns/0", "at_ms dtmf text who"),
        ("/turns/1", "at_ms confidence dtmf text who"),
        ("/slots/name", "confirmed source value"),
        ("/attempts/0", "action outcome"),
        ("/briefing", "completed controls template text"),
        ("/crm", "acknowledged_at policy record_id requested_at system"),
        ("/agent", "accepted_at answered_at declined extension rang_at"),
        ("/termination", "by cause sip"),
        ("/latency_ms", "accept_to_two_way answer_to_briefing answer_to_greeting reply trigger_to_ring"),
    ];
    for (pointer, wanted) in shape {
        assert_eq!(keys(pointer), wanted, "at {pointer}");
    }
    assert_eq!(record["started_at"], "2026-03-02T09:30:00.250Z");
    assert_eq!(record["turns"][0]["who"], "assistant");
}

/// What most scripts begin with; each includes the ones before it. The caller asks for an agent at 6 s.
const GIVEN: [(&str, &[&str]); 4] = [
    ("caller is greeted", &["0.1s ACK", "0.14s line starts", "4s line ends"]),
    ("caller waits", &["6s caller says \"agent\"", "6.05s CRM acknowledges", "8s line ends"]),
    ("1001 rings", &["8.1s agent 1001 is free", "8.15s 180 from agent"]),
    ("1001 hears the briefing", &["10s 200 from agent", "10.01s briefing starts"]),
];

fn play(script: &str) -> Result<(), String> {
    let lines: Vec<(usize, &str)> = script.lines().enumerate().map(|(n, l)| (n + 1, l.trim())).collect();
    let meant = |l: &&(usize, &str)| !l.1.is_empty() && !l.1.starts_with('#');
    let changes: Vec<(String, String)> = lines
        .iter()
        .filter_map(|(_, l)| l.strip_prefix("flow ")?.split_once(" = "))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let shipped = lines.iter().any(|(_, l)| *l == "flow of orders");
    let flow = if shipped { support::default_flow() } else { support::shop(&changes) };
    let rules: Vec<&str> = lines.iter().filter_map(|(_, l)| l.strip_prefix("rules ")).collect();
    let mut rules: Rules = toml::from_str(&rules.join("\n")).map_err(|e| format!("rules: {e}"))?;
    rules.queues = vec!["support".into(), "billing".into()];
    let callback = lines.iter().any(|(_, l)| *l == "callback");
    let mut run = Run::new(flow, Arc::new(rules), callback);
    for (n, line) in lines.iter().filter(meant) {
        run.line(line).map_err(|why| format!("{n}: {line}\n  {why}"))?;
    }
    if !run.call.is_over() {
        return Err("end: the call goes on".into());
    }
    let completed = run.everything.iter().filter(|a| *a == "complete record").count();
    if completed != 1 || run.everything.last().is_none_or(|a| a != "complete record") {
        return Err(format!("end: record completed {completed} times, or not last: {:#?}", run.everything));
    }
    Ok(())
}

struct Run {
    call: Call,
    began: Instant,
    now: Instant,
    /// What was decided since the last event, and how much of it was expected.
    decided: Vec<String>,
    seen: usize,
    everything: Vec<String>,
    caller_lines: Vec<LineId>,
    agent_line: Option<LineId>,
    /// Who was rung last.
    rung: String,
}

impl Run {
    fn new(flow: Arc<Flow>, rules: Arc<Rules>, callback: bool) -> Self {
        let began = Instant::now();
        let setup = Setup {
            call_id: "call-1".into(),
            from: "+15551230001".into(),
            to: "5000".into(),
            trunk: "carrier".into(),
            flow,
        };
        let wall = "2026-03-02T09:30:00.25Z".parse().unwrap();
        let call = if callback {
            let waited = began - Duration::from_secs(90);
            let ids = ("call-9".to_owned(), setup.flow);
            let mut call = Call::callback(began, wall, ids, (ticket(), waited), rules);
            call.handle(began, Input::AgentOffered { extension: "1001".into() });
            call
        } else {
            Call::with_rules(began, wall, setup, rules)
        };
        let mut run = Self {
            call,
            began,
            now: began,
            decided: Vec::new(),
            seen: 0,
            everything: Vec::new(),
            caller_lines: Vec::new(),
            agent_line: None,
            rung: String::new(),
        };
        run.drain();
        run
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match verb {
            "flow" | "rules" | "callback" => Ok(()),
            "given" => self.given(rest),
            "at" => self.event(rest),
            "expect" => self.expect(rest),
            "record" => self.record(rest),
            _ => Err("neither given, at, expect, record, flow, rules nor callback".into()),
        }
    }

    fn given(&mut self, what: &str) -> Result<(), String> {
        let upto = GIVEN.iter().position(|(name, _)| *name == what).ok_or("no such beginning")?;
        for event in GIVEN[..=upto].iter().flat_map(|(_, events)| *events) {
            self.event(event)?;
        }
        Ok(())
    }

    fn event(&mut self, rest: &str) -> Result<(), String> {
        let (at, what) = rest.split_once("s ").ok_or("at TIMEs EVENT")?;
        let at: f64 = at.parse().map_err(|e| format!("{e}"))?;
        if what.trim() != "INVITE" {
            (self.seen, self.decided) = (0, Vec::new());
        }
        self.advance(self.began + Duration::from_secs_f64(at));
        for input in self.inputs(what.trim())? {
            self.call.handle(self.now, input);
            self.drain();
        }
        Ok(())
    }

    /// Lets every timer run out that does before `to`.
    fn advance(&mut self, to: Instant) {
        while let Some((at, timer)) = self.call.poll_timeout().filter(|(at, _)| *at <= to) {
            self.now = at.max(self.now);
            self.call.handle(self.now, Input::Timeout(timer));
            self.drain();
        }
        self.now = to.max(self.now);
    }

    fn drain(&mut self) {
        while let Some(action) = self.call.poll_action() {
            match &action {
                Action::Say { line, leg: Leg::Caller, .. } => self.caller_lines.push(*line),
                Action::Say { line, leg: Leg::Agent, .. } | Action::PlayBriefing { line, .. } => {
                    self.agent_line = Some(*line);
                }
                Action::RingAgent { extension, .. } => self.rung.clone_from(extension),
                _ => {}
            }
            let words = support::words(&action);
            self.everything.push(words.clone());
            if words != "save record" {
                self.decided.push(words);
            }
        }
    }

    fn expect(&mut self, what: &str) -> Result<(), String> {
        if what == "nothing" {
            return match self.decided.is_empty() {
                true => Ok(()),
                false => Err(format!("decided: {:#?}", self.decided)),
            };
        }
        if let Some(unwanted) = what.strip_prefix("no ") {
            return match self.decided.iter().find(|d| d.starts_with(unwanted)) {
                Some(found) => Err(format!("decided: {found}")),
                None => Ok(()),
            };
        }
        let found = self.decided[self.seen..].iter().position(|d| d.starts_with(what));
        let found = found.ok_or_else(|| format!("not decided; was: {:#?}", &self.decided[self.seen..]))?;
        self.seen += found + 1;
        Ok(())
    }

    fn record(&self, what: &str) -> Result<(), String> {
        let (path, wanted) = what.split_once(" = ").ok_or("record PATH = JSON")?;
        let wanted: Value = serde_json::from_str(wanted.trim()).map_err(|e| format!("{e}"))?;
        let record = serde_json::to_value(self.call.record()).unwrap();
        let pointer = format!("/{}", path.trim().replace('.', "/"));
        match record.pointer(&pointer) {
            Some(found) if *found == wanted => Ok(()),
            Some(found) => Err(format!("it is {found}")),
            None if wanted.is_null() => Ok(()),
            None => Err(format!("there is no such field in {record:#}")),
        }
    }

    fn inputs(&mut self, what: &str) -> Result<Vec<Input>, String> {
        if let Some(input) = spoken(what, self.now) {
            return Ok(vec![Input::SpeechStarted, input]);
        }
        if let Some(keys) = what.strip_prefix("caller presses ") {
            return Ok(keys.chars().map(|digit| Input::Digit { leg: Leg::Caller, digit }).collect());
        }
        if let Some(keys) = what.strip_prefix("agent presses ") {
            return Ok(keys.chars().map(|digit| Input::Digit { leg: Leg::Agent, digit }).collect());
        }
        if let Some((code, extension)) = from_agent(what, &self.rung) {
            return Ok(vec![match code {
                180..=183 => Input::AgentRinging { extension },
                200..=299 => Input::AgentAnswered { extension },
                code => Input::AgentFailed { extension, code },
            }]);
        }
        if let Some(extension) = what.strip_prefix("agent ").and_then(|w| w.strip_suffix(" is free")) {
            return Ok(vec![Input::AgentOffered { extension: extension.into() }]);
        }
        if let Some(input) = with_others(what) {
            return Ok(vec![input?]);
        }
        if let Some(inputs) = self.of_lines(what) {
            return inputs;
        }
        Ok(match what {
            "INVITE" | "time passes" => vec![],
            "ACK" => vec![Input::CallerConfirmed],
            "caller BYE" => vec![Input::CallerGone { cause: CallerGone::Hangup, sip: 200 }],
            "caller CANCEL" => vec![Input::CallerGone { cause: CallerGone::Cancel, sip: 487 }],
            "contact found" => vec![Input::ContactFound(support::maria())],
            "contact unknown" => vec![Input::ContactUnknown],
            "caller begins to speak" => vec![Input::SpeechStarted],
            "caller is silent again" => vec![Input::SpeechStopped],
            "caller mumbles" => vec![Input::SpeechStarted, Input::NotUnderstood],
            "no words come of it" => vec![Input::NotUnderstood],
            "order found" => {
                vec![Input::ActionResult(ActionResult::Order(Some((support::order(), support::maria()))))]
            }
            "order system fails" => vec![Input::ActionResult(ActionResult::Failed)],
            "CRM acknowledges" => vec![Input::CaseWritten { system: "embedded".into(), record_id: "17".into() }],
            "CRM fails once" => vec![Input::CaseFailed { final_: false }],
            "CRM gives up" => vec![Input::CaseFailed { final_: true }],
            "nobody is free" => vec![Input::NoAgent],
            "a machine is detected" => vec![Input::AnsweredByMachine],
            "agent's leg speaks" => vec![Input::AgentVoice { on: true }],
            "agent's leg is silent" => vec![Input::AgentVoice { on: false }],
            "agent BYE" => vec![Input::AgentGone { cause: AgentGone::Hangup }],
            "audio flows" => vec![
                Input::BridgeAudio { from: Leg::Agent, at: self.now },
                Input::BridgeAudio { from: Leg::Caller, at: self.now + Duration::from_millis(12) },
            ],
            "caller sends no RTP" => vec![Input::MediaSilent { leg: Leg::Caller }],
            "agent sends no RTP" => vec![Input::MediaSilent { leg: Leg::Agent }],
            "speech is down" => vec![Input::SpeechDown],
            "speech is too busy to hear" => vec![Input::SpeechBusy],
            "gateway drains" => vec![Input::Drain],
            "gateway shuts down" => vec![Input::Shutdown],
            "caller's port closes" => vec![Input::MediaStats { leg: Leg::Caller, stats: support::stats() }],
            "third's port closes" => vec![Input::MediaStats { leg: Leg::Third, stats: support::stats() }],
            "agent's port closes" => vec![Input::MediaStats { leg: Leg::Agent, stats: support::stats() }],
            "a stale ring timer" => vec![Input::Timeout(Timer::AgentRing)],
            _ => return Err("unknown event".into()),
        })
    }

    /// Our line to the caller is the last one; it ends together with those before it.
    fn of_lines(&mut self, what: &str) -> Option<Result<Vec<Input>, String>> {
        let now = self.now;
        let all = |lines: Vec<LineId>, completed| match lines.is_empty() {
            true => Err("nothing is being said".to_owned()),
            false => Ok(lines.into_iter().map(|line| Input::LineEnded { line, completed }).collect()),
        };
        if let Some(chars) = what.strip_prefix("line was heard to ") {
            let line = self.caller_lines.last().copied().ok_or_else(|| "nothing is being said".to_owned());
            let chars: Result<usize, String> = chars.parse().map_err(|e| format!("{e}"));
            return Some(line.and_then(|line| Ok(vec![Input::LineHeard { line, chars: chars? }])));
        }
        let agent = self.agent_line.ok_or_else(|| "nothing is being said to the agent".to_owned());
        Some(match what {
            "line starts" => match self.caller_lines.last() {
                Some(line) => Ok(vec![Input::LineStarted { line: *line, at: now }]),
                None => Err("nothing is being said".into()),
            },
            "line ends" => all(std::mem::take(&mut self.caller_lines), true),
            "line is cut" => all(std::mem::take(&mut self.caller_lines), false),
            "briefing starts" => agent.map(|line| vec![Input::LineStarted { line, at: now }]),
            "briefing ends" => agent.map(|line| vec![Input::LineEnded { line, completed: true }]),
            "briefing is cut" => agent.map(|line| vec![Input::LineEnded { line, completed: false }]),
            _ => return None,
        })
    }
}

/// `caller says "…"`; the words ended 600 ms before they were understood.
fn spoken(what: &str, now: Instant) -> Option<Input> {
    let text = what.strip_prefix("caller says \"")?.strip_suffix('"')?.to_owned();
    Some(Input::Heard { text, confidence: 0.9, ended: now - Duration::from_millis(600) })
}

/// `200 from agent`, who was rung last; `200 from 1002`.
fn from_agent(what: &str, rung: &str) -> Option<(u16, String)> {
    let (code, who) = what.split_once(" from ")?;
    let extension = if who == "agent" { rung } else { who };
    let is_number = extension.chars().all(|c| c.is_ascii_digit());
    Some((code.parse().ok()?, extension.to_owned())).filter(|_| is_number)
}

/// What comes from queues, third parties and supervisors, and what any leg can do.
fn with_others(what: &str) -> Option<Result<Input, String>> {
    let leg = |name: &str| match name {
        "caller" => Ok(Leg::Caller),
        "agent" => Ok(Leg::Agent),
        "third" => Ok(Leg::Third),
        "supervisor" => Ok(Leg::Supervisor),
        other => Err(format!("no leg `{other}`")),
    };
    let offered = |(extension, must_accept)| Offered { extension, must_accept };
    if let Some(agents) = what.strip_prefix("agents ").and_then(|w| w.strip_suffix(" are free")) {
        let agents = agents.split(' ').map(|e| offered((e.to_owned(), false))).collect();
        return Some(Ok(Input::AgentsOffered { agents }));
    }
    if let Some(extension) = what.strip_prefix("outside agent ").and_then(|w| w.strip_suffix(" is free")) {
        return Some(Ok(Input::AgentsOffered { agents: vec![offered((extension.to_owned(), true))] }));
    }
    if let Some(rest) = what.strip_prefix("place is ") {
        let (position, wait) = rest.split_once(", wait ")?;
        let (position, wait): (usize, u64) = (position.parse().ok()?, wait.strip_suffix('s')?.parse().ok()?);
        return Some(Ok(Input::Queued { position, wait: Duration::from_secs(wait) }));
    }
    if let Some(rest) = what.strip_prefix("supervisor ").and_then(|w| w.strip_suffix("s")) {
        let (extension, mode) = rest.split_once(' ')?;
        let mode = match mode {
            "listen" => Supervision::Listen,
            "whisper" => Supervision::Whisper,
            "barge" => Supervision::Barge,
            _ => return None,
        };
        return Some(Ok(Input::SupervisorJoins { extension: extension.into(), mode }));
    }
    let (name, does) = what.split_once(' ')?;
    if let Some(to) = does.strip_prefix("REFERs to ") {
        return Some(leg(name).map(|leg| Input::Refer { leg, to: to.into() }));
    }
    if let Some(digit) = does.strip_prefix("presses ").filter(|_| name == "supervisor") {
        return Some(leg(name).map(|leg| Input::Digit { leg, digit: digit.chars().next().unwrap_or('?') }));
    }
    let does = match does {
        "holds" => |leg| Input::Hold { leg, on: true },
        "resumes" => |leg| Input::Hold { leg, on: false },
        "rings" => |leg| Input::LegRinging { leg },
        "answers" => |leg| Input::LegAnswered { leg },
        "is busy" => |leg| Input::LegFailed { leg, code: 486 },
        "hangs up" => |leg| Input::LegGone { leg },
        "is silent" => |leg| Input::MediaSilent { leg },
        _ => return None,
    };
    Some(leg(name).map(does))
}

fn ticket() -> Ticket {
    Ticket {
        id: "call-1".into(),
        number: "+15551230001".into(),
        flow: "shop".into(),
        trunk: "carrier".into(),
        to: "5000".into(),
        queue: "support".into(),
        priority: 0,
        needs: Vec::new(),
        waiting_since: "2026-03-02T09:28:30.25Z".parse().unwrap(),
        trigger: TriggerName::AskedForPerson,
        disposition: "ESC-PERSON".into(),
        briefing: Briefing { template: "case".into(), text: "Maria Gomez wants a person.".into() },
        summary: "Wants a person.".into(),
        case: Some(("embedded".into(), "17".into())),
        policy: Some(Policy::Acknowledged),
        tries: 0,
    }
}
