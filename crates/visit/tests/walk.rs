//! A random walk over the call: a hundred thousand calls get inputs in any order, sense and nonsense, and after every step
//! what must always hold is checked against a small model of the outside world.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_call::{Action, Call, CallerGone, Input, Leg, LineId, Setup, Timer};
use baton_intake::{ActionResult, Flow};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const CALLS: u64 = 100_000;

/// What the outside knows, from the actions alone.
#[derive(Default)]
struct World {
    caller_up: bool,
    agent_leg: bool,
    promised: Option<String>,
    ear_open: bool,
    music: bool,
    joined: bool,
    acknowledged: bool,
    policy_late: bool,
    completed: u32,
    hung_up: bool,
    lines: BTreeSet<u64>,
    open_lines: Vec<LineId>,
    wants_agent: bool,
}

#[test]
fn a_hundred_thousand_calls_hold_what_must_hold() {
    let flows = [
        common::flow(|t| t),
        common::flow(|t| t.replace("if_late = \"proceed\"", "if_late = \"wait\"")),
        common::flow(|t| t.replace("accept_on_briefing_end = true", "accept_on_briefing_end = false")),
    ];
    let base: u64 = std::env::var("BATON_WALK_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_124);
    let (mut joined, mut given_back) = (0, 0);
    for n in 0..CALLS {
        let seed = base.wrapping_add(n);
        let outcome = std::panic::catch_unwind(|| walk(seed, &flows[n as usize % flows.len()]));
        match outcome {
            Ok((j, g)) => (joined, given_back) = (joined + u32::from(j), given_back + u32::from(g)),
            Err(_) => panic!("seed {seed} (repeat with BATON_WALK_SEED={seed})"),
        }
    }
    // The walk reaches what it is about.
    assert!(joined > 2_000 && given_back > 500, "joined {joined}, given back {given_back}");
}

fn walk(seed: u64, flow: &Arc<Flow>) -> (bool, bool) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut now = Instant::now();
    let setup = Setup { call_id: seed.to_string(), from: "+15551230001".into(), to: "5000".into(), trunk: "t".into(), flow: Arc::clone(flow) };
    let mut call = Call::new(now, jiff::Timestamp::UNIX_EPOCH, setup);
    let mut world = World { caller_up: true, ..World::default() };
    let (mut was_joined, mut given_back) = (false, false);
    drain(&mut call, &mut world);
    for _ in 0..rng.random_range(5..140) {
        now += Duration::from_millis(rng.random_range(0..2_500));
        let input = input(&mut rng, now, &call, &mut world);
        if matches!(input, Input::Timeout(Timer::CrmWait) | Input::CaseFailed { last: true }) {
            world.policy_late = true;
        }
        step(&mut call, &mut world, now, input);
        was_joined |= world.joined;
        given_back |= call.record().trigger.is_some() && world.ear_open;
        if call.is_over() {
            break;
        }
    }
    // Left alone, every call ends by its own timers.
    let mut fired = 0;
    while let Some((at, timer)) = call.poll_timeout() {
        now = now.max(at);
        world.policy_late |= timer == Timer::CrmWait;
        step(&mut call, &mut world, now, Input::Timeout(timer));
        fired += 1;
        assert!(fired < 2_000, "timers make no progress");
    }
    assert!(call.is_over(), "no timer is left and the call is not over");
    assert!(!world.caller_up && !world.agent_leg && world.promised.is_none(), "a leg or an agent outlived the call");
    assert_eq!(world.completed, 1, "the record is completed once");
    assert!(!world.ear_open, "nobody listens to a call that is over");
    let record = call.record();
    assert!(record.disposition.as_ref().is_some_and(|d| !d.is_empty()), "one disposition");
    assert!(record.termination.is_some() && record.ended_at.is_some());
    if record.bridged_at.is_some() {
        let crm = record.crm.as_ref().unwrap();
        let policy = crm.policy.unwrap();
        assert!(policy == "proceeded" || crm.acknowledged_at <= record.bridged_at, "joined before the record");
    }
    // Whatever comes after the end changes nothing, except that a late agent is given back.
    let over = format!("{record:?}");
    for _ in 0..5 {
        let late = input(&mut rng, now, &call, &mut world);
        if !matches!(late, Input::MediaStats(_)) {
            step(&mut call, &mut world, now, late);
        }
    }
    assert_eq!(format!("{:?}", call.record()), over);
    assert!(world.promised.is_none());
    (was_joined, given_back)
}

fn step(call: &mut Call, world: &mut World, now: Instant, input: Input) {
    match &input {
        Input::CallerGone { .. } => world.caller_up = false,
        Input::AgentFailed { .. } | Input::AgentGone => world.agent_leg = false,
        Input::AgentOffered { extension } => {
            // The desk promises one agent for each request.
            world.wants_agent = false;
            world.promised.get_or_insert_with(|| extension.clone());
        }
        Input::NoAgent => world.wants_agent = false,
        Input::CaseWritten { .. } => world.acknowledged |= call.record().crm.is_some(),
        Input::LineEnded { line, .. } => world.open_lines.retain(|l| l != line),
        _ => {}
    }
    let gone = matches!(input, Input::CallerGone { .. } | Input::Shutdown);
    let second = matches!(&input, Input::AgentOffered { extension } if world.promised.as_ref() != Some(extension));
    call.handle(now, input);
    if second {
        // Not ours to track: it must come back at once.
        let mut back = false;
        let mut rest = Vec::new();
        while let Some(action) = call.poll_action() {
            match &action {
                Action::ReleaseAgent { extension } if !back && Some(extension) != world.promised.as_ref() => back = true,
                _ => rest.push(action),
            }
        }
        assert!(back, "a second agent was kept");
        rest.into_iter().for_each(|a| apply(a, world));
    } else {
        drain(call, world);
    }
    if gone {
        assert!(call.is_over() && world.promised.is_none() && !world.agent_leg, "the caller is gone and an agent is not released");
    }
    if world.joined || world.music {
        assert!(!world.ear_open, "a caller who waits or talks with an agent is heard");
    }
    assert_eq!(call.is_joined(), world.joined && !call.is_over());
}

fn drain(call: &mut Call, world: &mut World) {
    while let Some(action) = call.poll_action() {
        apply(action, world);
    }
}

fn apply(action: Action, world: &mut World) {
    // After the end only one thing may still be done: give a late agent back.
    assert!(world.completed == 0 || matches!(action, Action::ReleaseAgent { .. }), "{action:?} after the end");
    match action {
        Action::Say { line, .. } | Action::PlayBriefing { line, .. } => {
            assert!(world.lines.insert(line.0), "line {line:?} is used twice");
            world.open_lines.push(line);
        }
        Action::Listen { on, .. } => world.ear_open = on,
        Action::HoldMusic { on } => world.music = on,
        Action::FindAgent { .. } => world.wants_agent = true,
        Action::RingAgent { extension } => {
            assert!(!world.agent_leg, "two agent legs");
            assert_eq!(world.promised.as_ref(), Some(&extension), "rings who was not promised");
            assert!(world.acknowledged || world.policy_late, "an agent is rung before the record");
            world.agent_leg = true;
        }
        Action::CancelAgent | Action::HangUp { leg: Leg::Agent, .. } => world.agent_leg = false,
        Action::Bridge => {
            assert!(!world.joined && world.agent_leg && world.caller_up, "joined without two legs");
            assert!(world.acknowledged || world.policy_late, "joined before the record");
            world.joined = true;
        }
        Action::ReleaseAgent { extension } => {
            assert_eq!(world.promised.take(), Some(extension), "releases who was not promised");
        }
        Action::HangUp { leg: Leg::Caller, .. } => {
            assert!(!std::mem::replace(&mut world.hung_up, true), "hangs up twice");
            world.caller_up = false;
        }
        Action::CompleteRecord => world.completed += 1,
        _ => {}
    }
}

fn input(rng: &mut StdRng, now: Instant, call: &Call, world: &mut World) -> Input {
    const SAYINGS: [&str; 12] = [
        "agent please", "agent", "yes", "no", "A 1042", "where is my order", "Maria Gomez", "I want a refund of $500", "thanks, that's all",
        "there is a fire, it is an emergency", "mumble", "this number",
    ];
    let line = world.open_lines.last().copied().unwrap_or(LineId(rng.random_range(0..9)));
    let leg = if rng.random() { Leg::Caller } else { Leg::Agent };
    // What leads to a join is helped along, so that the walk gets there often.
    if world.wants_agent && rng.random_bool(0.25) {
        return Input::AgentOffered { extension: ["1001", "1002"][rng.random_range(0..2)].into() };
    }
    if call.record().crm.is_some() && !world.acknowledged && rng.random_bool(0.2) {
        return Input::CaseWritten { system: "s".into(), record_id: "1".into() };
    }
    if world.agent_leg && !world.joined && rng.random_bool(0.1) {
        return if rng.random() { Input::AgentAnswered } else { Input::Digit { leg: Leg::Agent, digit: '1' } };
    }
    let weighted = rng.random_range(0..100);
    match weighted {
        0..10 => Input::CallerConfirmed,
        10..30 => Input::Heard { text: SAYINGS[rng.random_range(0..SAYINGS.len())].into(), confidence: 0.9, ended: now },
        30..35 => Input::SpeechStarted,
        35..37 => Input::NotUnderstood,
        37..41 => Input::Digit { leg, digit: ['0', '1', '2', '3', '*', '#'][rng.random_range(0..6)] },
        41..46 => Input::LineStarted { line, at: now },
        46..56 => Input::LineEnded { line, completed: rng.random_bool(0.8) },
        56..58 => Input::ActionResult(if rng.random() { ActionResult::Failed } else { ActionResult::Order(Some((common::order(), common::maria()))) }),
        58..64 => Input::CaseWritten { system: "s".into(), record_id: "1".into() },
        64..66 => Input::CaseFailed { last: rng.random() },
        66..74 if world.wants_agent => Input::AgentOffered { extension: ["1001", "1002"][rng.random_range(0..2)].into() },
        74..76 if world.wants_agent => Input::NoAgent,
        76..80 => Input::AgentRinging,
        80..86 if world.agent_leg => Input::AgentAnswered,
        86..88 if world.agent_leg => Input::AgentFailed { code: 486 },
        88..90 if world.agent_leg => Input::AgentGone,
        90..92 => Input::BridgeAudio { from: leg, at: now },
        92 if rng.random_bool(0.2) => Input::MediaSilent { leg },
        93 if rng.random_bool(0.5) => Input::SpeechDown,
        94 => Input::ContactFound(common::maria()),
        95 if world.caller_up && rng.random_bool(0.3) => Input::CallerGone { cause: CallerGone::Hangup, sip: 200 },
        96 if rng.random_bool(0.2) => Input::Shutdown,
        _ => call.poll_timeout().map_or(Input::ContactUnknown, |(_, timer)| Input::Timeout(timer)),
    }
}
