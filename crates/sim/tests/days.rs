//! Whole calls on the virtual clock: single calls swept through every moment at which something can go wrong, and days with
//! many callers who want the same few agents.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_agents::AgentState;
use baton_call::record::{CallRecord, Policy};
use baton_intake::{Flow, compile, raw};
use baton_sim::{Agent, Between, Caller, Habit, Report, Then, World};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

const FLOW: &str = include_str!("../../call/testdata/flow.toml");

fn flow(if_late: &str) -> Arc<Flow> {
    let text = FLOW.replace("if_late = \"proceed\"", &format!("if_late = \"{if_late}\""));
    let raw: raw::Flows = toml::from_str(&text).unwrap();
    compile(raw, &["support".to_owned()]).unwrap().remove("shop").unwrap()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// Picks up after 3 s and listens to the end.
fn willing() -> Habit {
    Habit::PicksUp(s(3), Then::Listens(s(300)))
}

fn wants_a_person(arrives: Duration) -> Caller {
    Caller::saying(arrives, &["I want an agent", "yes please"])
}

fn only(report: Report) -> CallRecord {
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!(report.records.len(), 1);
    report.records.into_iter().next().unwrap()
}

/// What holds for every record of a finished call.
fn check(record: &CallRecord, seed: u64) {
    let id = format!("seed {seed}, {}: {record:#?}", record.call_id);
    assert!(record.disposition.as_ref().is_some_and(|d| !d.is_empty()), "no disposition: {id}");
    assert!(record.ended_at.unwrap() >= record.started_at && record.termination.is_some(), "no end: {id}");
    assert_eq!(record.media.first().map(|m| m.leg), Some("caller"), "no media figures: {id}");
    // Whom an agent has passed on is joined more than once; the fields are those of the last time.
    if let Some(joined) = record.bridged_at.filter(|_| record.passed_on.is_empty() && record.given_back.is_empty()) {
        let crm = record.crm.as_ref().unwrap();
        let acknowledged = crm.acknowledged_at.is_some_and(|at| at <= joined);
        assert!(acknowledged || crm.policy == Some(Policy::Proceeded), "joined before the record: {id}");
        assert_eq!(acknowledged, crm.policy == Some(Policy::Acknowledged), "the policy is wrong: {id}");
        let agent = record.agent.as_ref().unwrap();
        assert!(agent.answered_at <= agent.accepted_at && agent.accepted_at == Some(joined), "{id}");
        assert!(!agent.declined.contains(agent.extension.as_ref().unwrap()), "{id}");
        assert!(record.disposition.as_ref().unwrap().starts_with("ESC-"), "{id}");
        let latency = &record.latency_ms;
        assert!(latency.trigger_to_ring.is_some() && latency.answer_to_briefing.is_some_and(|l| l <= 20), "{id}");
    }
}

#[test]
fn one_caller_one_agent() {
    let world = |habit| {
        World::new(1, flow("wait"), Between::default(), vec![Agent::who("1001", &[habit])], vec![wants_a_person(s(0))])
    };
    let record = only(world(willing()).run());
    check(&record, 1);
    assert_eq!(record.agent.as_ref().unwrap().extension.as_deref(), Some("1001"));
    assert_eq!(record.termination.as_ref().unwrap().cause, "hangup");
    assert!(record.briefing.as_ref().unwrap().completed);
    assert!(record.latency_ms.accept_to_two_way.is_some_and(|l| l <= 40));
    assert_eq!(record.latency_ms.reply.len(), 1);

    let record = only(world(Habit::PicksUp(s(2), Then::Presses(vec![(s(1), '2')], s(9)))).run());
    check(&record, 1);
    assert_eq!(record.disposition.as_deref(), Some("CALLBACK"));
    assert_eq!(record.agent.as_ref().unwrap().declined, ["1001"]);
}

/// The caller hangs up at every moment of a call with a decline and a second agent, a moment being 37 ms.
#[test]
fn a_caller_may_leave_at_any_moment() {
    let declines = Habit::PicksUp(s(2), Then::Presses(vec![(s(2), '2')], s(9)));
    let agents = || vec![Agent::who("1001", std::slice::from_ref(&declines)), Agent::who("1002", &[willing()])];
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for step in 0..1_000 {
        let caller = Caller { gives_up: Some(ms(37 * step)), ..wants_a_person(s(0)) };
        let between = Between { loss: 0.02, ..Between::default() };
        let report = World::new(step, flow("wait"), between, agents(), vec![caller]).run();
        assert!(report.longest_for_nobody <= ms(200), "seed {step}: {:?}", report.longest_for_nobody);
        let record = only(report);
        check(&record, step);
        let by = record.termination.as_ref().unwrap().cause.clone();
        *ends.entry(format!("{} {by}", record.disposition.unwrap())).or_default() += 1;
    }
    assert!(ends.get("ABANDONED hangup").is_some_and(|n| *n > 200), "{ends:?}");
    assert!(ends.get("ESC-PERSON hangup").is_some_and(|n| *n > 100), "{ends:?}");
}

/// The agent picks up around the moment at which the ring times out.
#[test]
fn an_answer_that_crosses_the_time_out_serves_one_call_or_none() {
    let (mut joined, mut not) = (0, 0);
    for step in 0..200 {
        let habit = Habit::PicksUp(ms(19_800 + 2 * step), Then::Listens(s(30)));
        let agents = vec![Agent::who("1001", &[habit])];
        let record = only(World::new(step, flow("wait"), Between::default(), agents, vec![wants_a_person(s(0))]).run());
        check(&record, step);
        match record.bridged_at {
            Some(_) => joined += 1,
            None => not += 1,
        }
    }
    assert!(joined > 20 && not > 20, "{joined} joined, {not} not");
}

/// The CRM answers around the moment at which it is late, or never, under both policies.
#[test]
fn the_record_comes_first_whenever_it_comes() {
    let (mut acknowledged, mut proceeded, mut given_back) = (0, 0, 0);
    for step in 0..200_u64 {
        let if_late = if step.is_multiple_of(2) { "wait" } else { "proceed" };
        let late = 2_900 + step;
        let between =
            Between { crm: late..late + 1, crm_silent: if step % 10 > 7 { 1.0 } else { 0.0 }, ..Between::default() };
        let agents = vec![Agent::who("1001", &[Habit::PicksUp(ms(1), Then::Presses(vec![(ms(30), '1')], s(30)))])];
        let record = only(World::new(step, flow(if_late), between, agents, vec![wants_a_person(s(0))]).run());
        check(&record, step);
        match (record.bridged_at, record.crm.as_ref().unwrap().policy) {
            (Some(_), Some(Policy::Acknowledged)) => acknowledged += 1,
            (Some(_), _) => proceeded += 1,
            (None, _) => given_back += 1,
        }
        assert!(record.bridged_at.is_some() || if_late == "wait", "seed {step}: {record:#?}");
    }
    assert!(acknowledged > 20 && proceeded > 20 && given_back > 20, "{acknowledged} {proceeded} {given_back}");
}

/// Three callers at once, one agent: they wait in line and are served one after the other; one would rather be called, keeps
/// the place, and is.
#[test]
fn callers_compete_for_one_agent() {
    let talks = Habit::PicksUp(s(3), Then::Listens(s(10)));
    let agents = vec![Agent::who("1001", &[talks])];
    let called = Caller { presses_in_line: Some((s(9), '1')), ..wants_a_person(ms(10)) };
    let callers = vec![wants_a_person(s(0)), called, wants_a_person(ms(20)), wants_a_person(s(120))];
    let report = World::new(7, flow("wait"), Between::default(), agents, callers).run();
    assert_eq!(report.faults, Vec::<String>::new());
    report.records.iter().for_each(|r| check(r, 7));
    let joined: Vec<bool> = report.records.iter().map(|r| r.bridged_at.is_some()).collect();
    assert_eq!(joined, [true, false, true, true]);
    assert_eq!(report.records[1].disposition.as_deref(), Some("CALLBACK"));
    let [callback] = report.callbacks.as_slice() else { panic!("{:?}", report.callbacks) };
    assert_eq!(callback.callback.as_ref().unwrap().of.as_deref(), Some("sim-1"));
    assert_eq!(callback.disposition.as_deref(), Some("ESC-PERSON"));
    assert!(callback.bridged_at.is_some() && callback.crm.as_ref().unwrap().policy == Some(Policy::Acknowledged));
    assert_eq!(report.served["1001"], (4, 4));
    assert_eq!(report.owed, 0);
    let figures = &report.figures.queues["support"];
    assert_eq!((figures.offered, figures.answered, figures.callbacks, figures.called_back), (4, 3, 1, 1));
}

fn a_day(seed: u64) -> (Report, usize) {
    let mut rng = StdRng::seed_from_u64(seed);
    let said: [&[&str]; 7] = [
        &["agent", "yes"],
        &["I want a person", "no", "five five five one two three four five six seven"],
        &["where is my order A 1042", "yes", "Maria Gomez", "yes thanks", "no that is all"],
        &["where is my kettle", "Maria Gomez", "agent"],
        &["mumble", "mumble", "mumble", "mumble"],
        &["my house is on fire", "yes"],
        &[],
    ];
    let callers: Vec<Caller> = (0..300)
        .map(|_| Caller {
            arrives: ms(rng.random_range(0..3_000_000)),
            thinks: ms(rng.random_range(100..3_000)),
            impatient: rng.random_bool(0.3),
            gives_up: rng.random_bool(0.4).then(|| ms(rng.random_range(0..90_000))),
            talks: ms(rng.random_range(100..120_000)),
            ..Caller::saying(s(0), said.choose(&mut rng).unwrap())
        })
        .collect();
    let habit = |rng: &mut StdRng| {
        let then = match rng.random_range(0..7) {
            0 => Then::HangsUp(ms(rng.random_range(0..9_000))),
            1 => Then::Presses(vec![(ms(rng.random_range(0..9_000)), '2')], s(60)),
            2 => Then::Presses(vec![(s(1), '3'), (s(3), '1'), (ms(3_001), '2')], s(60)),
            3 => Then::Presses(vec![(ms(rng.random_range(0..4_000)), '*')], s(60)),
            _ => Then::Listens(ms(rng.random_range(500..90_000))),
        };
        match rng.random_range(0..10) {
            0 => Habit::Ignores,
            1 => Habit::Refuses(*[480, 486, 603].choose(rng).unwrap()),
            _ => Habit::PicksUp(ms(rng.random_range(0..22_000)), then),
        }
    };
    let agents = (0..10)
        .map(|n| Agent {
            extension: format!("{}", 1001 + n),
            registers: ms(rng.random_range(0..600_000)),
            unregisters: rng.random_bool(0.3).then(|| ms(rng.random_range(600_000..3_000_000))),
            habits: (0..7).map(|_| habit(&mut rng)).collect(),
        })
        .collect();
    let between = Between { loss: 0.05, crm: 5..4_000, crm_fails: 0.05, crm_silent: 0.03, ..Between::default() };
    let policy = if seed.is_multiple_of(2) { "wait" } else { "proceed" };
    let report = World::new(seed, flow(policy), between, agents, callers).run();
    (report, 300)
}

#[test]
fn days_with_three_hundred_callers_and_ten_agents() {
    for seed in 0..if cfg!(debug_assertions) { 4 } else { 20 } {
        let (report, callers) = a_day(seed);
        assert_eq!(report.faults, Vec::<String>::new(), "seed {seed}");
        assert_eq!(report.records.len(), callers, "seed {seed}: a caller was lost");
        assert!(report.longest_for_nobody <= ms(200), "seed {seed}: {:?}", report.longest_for_nobody);
        report.records.iter().for_each(|r| check(r, seed));
        // The records and the phones count the same.
        let joined = report.records.iter().chain(&report.callbacks).filter(|r| r.bridged_at.is_some()).count();
        let served: u32 = report.served.values().map(|(_, joined)| joined).sum();
        assert_eq!(joined as u32, served, "seed {seed}");
        assert!(joined > 40, "seed {seed}: only {joined} were joined");
        for (extension, state) in &report.agents {
            let idle = matches!(state, AgentState::Ready | AgentState::Offline | AgentState::WrapUp);
            assert!(idle, "seed {seed}: {extension} is {state:?} after hours");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_day() {
    let plain = |r: &CallRecord| format!("{r:?}");
    let days: Vec<Vec<String>> = (0..2).map(|_| a_day(3).0.records.iter().map(plain).collect()).collect();
    assert_eq!(days[0], days[1]);
}
