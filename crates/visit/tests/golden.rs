//! Golden call scripts: `testdata/*.txt`, one call each, in the words of the trade. A line is a time and what happens then,
//! or what must (`>`) or must not (`!`) have been decided since the last event. `record` lines look at the record.

mod common;

use std::time::{Duration, Instant};

use baton_call::{Action, Call, CallerGone, Input, Leg, LineId, Setup, Timer};
use baton_intake::ActionResult;

struct Run {
    call: Call,
    began: Instant,
    now: Instant,
    caller_lines: Vec<LineId>,
    agent_line: Option<LineId>,
    done: Vec<String>,
}

#[test]
fn every_script_goes_as_written() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    let mut scripts: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "txt")).collect();
    scripts.sort();
    assert!(scripts.len() >= 15, "only {} scripts", scripts.len());
    let failures: Vec<String> = scripts
        .iter()
        .filter_map(|path| script(&std::fs::read_to_string(path).unwrap()).err().map(|why| format!("{}: {why}", path.file_name().unwrap().display())))
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn script(text: &str) -> Result<(), String> {
    let policy = text.lines().find_map(|l| l.strip_prefix("policy ")).unwrap_or_default().to_owned();
    let flow = common::flow(|toml| policy.split_whitespace().fold(toml, |toml, pair| {
        let (key, value) = pair.split_once('=').unwrap();
        toml.lines().map(|l| if l.starts_with(&format!("{key} = ")) { format!("{key} = {value}") } else { l.to_owned() }).collect::<Vec<_>>().join("\n")
    }));
    let began = Instant::now();
    let setup = Setup { call_id: "golden".into(), from: "+15551230001".into(), to: "5000".into(), trunk: "test".into(), flow };
    let call = Call::new(began, jiff::Timestamp::from_second(1_800_000_000).unwrap(), setup);
    let mut run = Run { call, began, now: began, caller_lines: Vec::new(), agent_line: None, done: Vec::new() };
    run.drain();
    for (n, line) in text.lines().enumerate().map(|(n, l)| (n + 1, l.trim())).filter(|(_, l)| !l.is_empty() && !l.starts_with('#') && !l.starts_with("policy ")) {
        run.line(line).map_err(|why| format!("line {n}: {line}\n    {why}"))?;
    }
    Ok(())
}

impl Run {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(wanted) = line.strip_prefix("> ") {
            let at = self.done.iter().position(|d| d.contains(wanted)).ok_or_else(|| format!("not decided; was: {:#?}", self.done))?;
            self.done.drain(..=at);
            return Ok(());
        }
        if let Some(unwanted) = line.strip_prefix("! ") {
            return match self.done.iter().find(|d| d.contains(unwanted)) {
                Some(found) => Err(format!("was decided: {found}")),
                None => Ok(()),
            };
        }
        if let Some(wanted) = line.strip_prefix("record ") {
            let json = serde_json::to_string(self.call.record()).unwrap();
            return if json.contains(wanted) { Ok(()) } else { Err(format!("the record is {json}")) };
        }
        if line == "over" {
            return if self.call.is_over() { Ok(()) } else { Err("the call goes on".into()) };
        }
        let (at, event) = line.split_once("s ").ok_or("TIMEs EVENT")?;
        self.done.clear();
        self.advance(self.began + Duration::from_secs_f64(at.parse().map_err(|e| format!("{e}"))?));
        for input in self.inputs(event)? {
            self.call.handle(self.now, input);
            self.drain();
        }
        Ok(())
    }

    /// Lets every timer run out that does before `to`.
    fn advance(&mut self, to: Instant) {
        let mut fired = Vec::new();
        while let Some((at, timer)) = self.call.poll_timeout().filter(|(at, _)| *at <= to) {
            self.now = at.max(self.now);
            self.done.clear();
            self.call.handle(self.now, Input::Timeout(timer));
            self.drain();
            fired.append(&mut self.done);
        }
        self.now = to.max(self.now);
        self.done = fired;
    }

    fn inputs(&mut self, event: &str) -> Result<Vec<Input>, String> {
        let (verb, rest) = event.split_once(' ').unwrap_or((event, ""));
        let quoted = rest.trim_matches('"').to_owned();
        let line = |line: Option<LineId>| line.ok_or("nothing is being said");
        Ok(match (verb, rest) {
            ("time", "passes") => vec![],
            ("ACK", _) => vec![Input::CallerConfirmed],
            ("contact", _) => vec![Input::ContactFound(common::maria())],
            ("caller", "BYE") => vec![Input::CallerGone { cause: CallerGone::Hangup, sip: 200 }],
            ("caller", "CANCEL") => vec![Input::CallerGone { cause: CallerGone::Cancel, sip: 487 }],
            ("caller", "starts") => vec![Input::SpeechStarted],
            ("caller", "silent-rtp") => vec![Input::MediaSilent { leg: Leg::Caller }],
            ("says", _) => vec![Input::SpeechStarted, Input::Heard { text: quoted, confidence: 0.9, ended: self.now }],
            ("types", _) => rest.chars().map(|digit| Input::Digit { leg: Leg::Caller, digit }).collect(),
            ("line", "starts") => vec![Input::LineStarted { line: line(self.caller_lines.last().copied())?, at: self.now }],
            ("line", "ends") => std::mem::take(&mut self.caller_lines).into_iter().map(|line| Input::LineEnded { line, completed: true }).collect(),
            ("order", "found") => vec![Input::ActionResult(ActionResult::Order(Some((common::order(), common::maria()))))],
            ("crm", "acknowledges") => vec![Input::CaseWritten { system: "embedded".into(), record_id: "17".into() }],
            ("crm", "fails") => vec![Input::CaseFailed { last: false }],
            ("crm", "gives-up") => vec![Input::CaseFailed { last: true }],
            ("agent", "rings") => vec![Input::AgentRinging],
            ("agent", "answers") => vec![Input::AgentAnswered],
            ("agent", "busy") => vec![Input::AgentFailed { code: 486 }],
            ("agent", "unregistered") => vec![Input::AgentFailed { code: 480 }],
            ("agent", "BYE") => vec![Input::AgentGone],
            ("agent", "silent-rtp") => vec![Input::MediaSilent { leg: Leg::Agent }],
            ("briefing", "starts") => vec![Input::LineStarted { line: line(self.agent_line)?, at: self.now }],
            ("briefing", "ends") => vec![Input::LineEnded { line: line(self.agent_line)?, completed: true }],
            ("presses", _) => rest.chars().map(|digit| Input::Digit { leg: Leg::Agent, digit }).collect(),
            ("offered", _) => vec![Input::AgentOffered { extension: rest.into() }],
            ("nobody", _) => vec![Input::NoAgent],
            ("both", _) => vec![Input::BridgeAudio { from: Leg::Agent, at: self.now }, Input::BridgeAudio { from: Leg::Caller, at: self.now + Duration::from_millis(12) }],
            ("speech", "down") => vec![Input::SpeechDown],
            ("shutdown", _) => vec![Input::Shutdown],
            ("stray", "timer") => vec![Input::Timeout(Timer::AgentRing)],
            _ => return Err(format!("unknown event `{event}`")),
        })
    }

    fn drain(&mut self) {
        while let Some(action) = self.call.poll_action() {
            match &action {
                Action::Say { line, leg: Leg::Caller, .. } => self.caller_lines.push(*line),
                Action::Say { line, leg: Leg::Agent, .. } | Action::PlayBriefing { line, .. } => self.agent_line = Some(*line),
                _ => {}
            }
            self.done.push(words(&action));
        }
    }
}

/// An action in the words of the scripts.
fn words(action: &Action) -> String {
    match action {
        Action::AnswerCaller => "200 to the caller".into(),
        Action::Say { leg: Leg::Caller, texts, .. } => format!("tell caller: {}", texts.join(" ")),
        Action::Say { leg: Leg::Agent, texts, .. } => format!("tell agent: {}", texts.join(" ")),
        Action::StopSpeech { leg } => format!("stop talking to {leg:?}").to_lowercase(),
        Action::Listen { on, .. } => if *on { "open the caller's ear" } else { "close the caller's ear" }.into(),
        Action::HoldMusic { on } => if *on { "hold music on" } else { "hold music off" }.into(),
        Action::RunAction(a) => format!("look up {a:?}"),
        Action::WriteCase(c) => format!("write case {} {}", c.trigger, c.disposition),
        Action::PrepareBriefing { text } => format!("prepare briefing: {text}"),
        Action::FindAgent { queue, not } => format!("find agent in {queue} not {not:?}"),
        Action::RingAgent { extension } => format!("INVITE {extension}"),
        Action::CancelAgent => "CANCEL agent".into(),
        Action::PlayBriefing { text, .. } => format!("brief agent: {text}"),
        Action::Bridge => "join".into(),
        Action::ReleaseAgent { extension } => format!("release {extension}"),
        Action::HangUp { leg: Leg::Caller, cause } => format!("BYE caller {cause:?}"),
        Action::HangUp { leg: Leg::Agent, cause } => format!("BYE agent {cause:?}"),
        Action::LookUpContact { number } => format!("whose number is {number}"),
        Action::SaveRecord => "save".into(),
        Action::CompleteRecord => "complete the record".into(),
    }
}
