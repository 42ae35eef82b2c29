//! Busy days on the virtual clock: several queues with all strategies, agents who do everything that agents do, callers who
//! wait, leave, hold and are called back. What must always hold is checked in every moment by the world and at the end here;
//! the desk's figures are set beside a count of what the calls did.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use baton_agents::{AgentPlan, AgentState, Member, Plan, QueuePlan, Strategy};
use baton_call::Rules;
use baton_intake::{Flow, compile, raw};
use baton_sim::{Agent, Between, Caller, Counted, Deed, Habit, Report, Then, World};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

const FLOW: &str = include_str!("../../call/testdata/flow.toml");

/// The scripts' flow; distress goes to a queue of its own.
fn flow(if_late: &str, accept_on_end: bool) -> Arc<Flow> {
    let text = FLOW
        .replace("if_late = \"proceed\"", &format!("if_late = \"{if_late}\""))
        .replace("accept_on_briefing_end = true", &format!("accept_on_briefing_end = {accept_on_end}"));
    let (head, urgent) = text.split_once("name = \"distress\"").unwrap();
    let urgent = urgent.replacen("queue = \"support\"", "queue = \"urgent\"", 1);
    let raw: raw::Flows = toml::from_str(&format!("{head}name = \"distress\"{urgent}")).unwrap();
    compile(raw, &["support".to_owned(), "urgent".to_owned()]).unwrap().remove("shop").unwrap()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn upto(rng: &mut StdRng, most: u64) -> Duration {
    ms(rng.random_range(0..most))
}

/// Keys one after the other, from then on.
fn keys(from: Duration, typed: &str) -> Vec<(Duration, Deed)> {
    typed.chars().zip(0..).map(|(digit, n)| (from + ms(200 * n), Deed::Presses(digit))).collect()
}

fn then(rng: &mut StdRng) -> Then {
    let after = s(2) + upto(rng, 40_000);
    let talks = ms(rng.random_range(500..90_000));
    let does = |first: Duration, what: Vec<(Duration, Deed)>| {
        Then::Does([vec![(first, Deed::Presses('1'))], what].concat(), talks)
    };
    match rng.random_range(0..17) {
        0 => Then::HangsUp(upto(rng, 9_000)),
        1 => Then::Presses(vec![(upto(rng, 9_000), '2')], s(60)),
        2 => Then::Presses(vec![(s(1), '3'), (s(3), '1'), (ms(3_001), '2')], s(60)),
        3 => Then::Presses(vec![(upto(rng, 4_000), '*')], s(60)),
        4 => Then::Mailbox,
        5 => does(s(1), keys(after, "*1")),
        6 => does(s(1), keys(after, "*203012345#")),
        7 => does(s(1), keys(after, "*303012345#").into_iter().chain(keys(after + s(20), "*4")).collect()),
        8 => does(s(1), keys(after, "*303012345#").into_iter().chain(keys(after + s(9), "*5")).collect()),
        9 => does(s(1), vec![(after, Deed::Refers("urgent"))]),
        10 => does(s(1), vec![(after, Deed::Refers("0301234")), (after + s(3), Deed::Presses('5'))]),
        11 => does(s(1), vec![(after, Deed::Holds(true)), (after + s(5), Deed::Holds(false))]),
        12 => does(s(4), vec![(ms(500), Deed::Holds(true)), (ms(1_500), Deed::Refers("urgent"))]),
        13 => does(s(1), vec![(after, Deed::IsSupervised)]),
        14 => does(s(30), vec![(upto(rng, 9_000), Deed::Vanishes)]),
        _ => Then::Listens(talks),
    }
}

fn habit(rng: &mut StdRng) -> Habit {
    match rng.random_range(0..10) {
        0 => Habit::Ignores,
        1 => Habit::Refuses(*[480, 486, 603].choose(rng).unwrap()),
        _ => Habit::PicksUp(upto(rng, 21_000), then(rng)),
    }
}

fn plan(rng: &mut StdRng) -> Plan {
    let all = [Strategy::LongestIdle, Strategy::RoundRobin, Strategy::FewestCalls, Strategy::RingAll];
    let members = |from: u32, to: u32| (from..to).map(|n| Member { extension: n.to_string(), tier: (n % 2) as u8 });
    let mut queue = |name: &str, from, to, overflow: Option<&str>| QueuePlan {
        strategy: *all.choose(rng).unwrap(),
        overflow: overflow.map(str::to_owned),
        max_wait: s(rng.random_range(30..240)),
        max_waiting: rng.random_range(5..40),
        max_tries: rng.random_range(2..6),
        ..QueuePlan::new(name, members(from, to))
    };
    let queues = vec![queue("support", 1001, 1008, Some("urgent")), queue("urgent", 1006, 1011, None)];
    Plan { queues, agents: vec![AgentPlan { must_accept: true, ..AgentPlan::here("1003") }] }
}

fn caller(rng: &mut StdRng, long: u64) -> Caller {
    const SAID: [&[&str]; 8] = [
        &["agent", "yes"],
        &["agent", "yes"],
        &["I want a person", "no", "five five five one two three four five six seven"],
        &["where is my order A 1042", "yes", "Maria Gomez", "yes thanks", "no that is all"],
        &["where is my kettle", "Maria Gomez", "agent", "agent", "yes"],
        &["mumble", "mumble", "mumble", "mumble"],
        &["my house is on fire", "yes"],
        &[],
    ];
    Caller {
        thinks: ms(rng.random_range(100..3_000)),
        impatient: rng.random_bool(0.3),
        gives_up: rng.random_bool(0.3).then(|| upto(rng, 200_000)),
        talks: ms(rng.random_range(100..120_000)),
        presses_in_line: rng.random_bool(0.2).then(|| (upto(rng, 60_000), '1')),
        answers_callback: rng.random_bool(0.7).then(|| upto(rng, 25_000)),
        holds: rng.random_bool(0.2).then(|| (upto(rng, 30_000), upto(rng, 30_000))),
        ..Caller::saying(upto(rng, long), SAID.choose(rng).unwrap())
    }
}

fn a_day(seed: u64, callers: usize) -> Report {
    let mut rng = StdRng::seed_from_u64(seed);
    let long = 8_000 * callers as u64;
    let people = (0..callers).map(|_| caller(&mut rng, long)).collect();
    let agents = (0..10)
        .map(|n| Agent {
            extension: format!("{}", 1001 + n),
            registers: upto(&mut rng, long / 10),
            unregisters: rng.random_bool(0.2).then(|| ms(rng.random_range(long / 5..long))),
            habits: (0..11).map(|_| habit(&mut rng)).collect(),
        })
        .collect();
    let between = Between { loss: 0.05, crm: 5..4_000, crm_fails: 0.05, crm_silent: 0.03, ..Between::default() };
    let introduction = if seed.is_multiple_of(2) { String::new() } else { "You are both on the line now.".to_owned() };
    let rules = Rules { introduction, outside: vec!["0".into()], ..Rules::default() };
    let policy = if seed.is_multiple_of(2) { "wait" } else { "proceed" };
    let plan = plan(&mut rng);
    World::with_queues(seed, flow(policy, !seed.is_multiple_of(3)), between, plan, rules, agents, people).run()
}

fn check(report: &Report, callers: usize, seed: u64) {
    assert_eq!(report.faults, Vec::<String>::new(), "seed {seed}");
    assert_eq!(report.records.len(), callers, "seed {seed}: a caller was lost");
    assert!(report.longest_for_nobody <= ms(200), "seed {seed}: {:?}", report.longest_for_nobody);
    for record in report.records.iter().chain(&report.callbacks) {
        assert!(record.disposition.as_ref().is_some_and(|d| !d.is_empty()), "seed {seed}: {record:#?}");
        assert!(record.ended_at.is_some() && record.termination.is_some(), "seed {seed}: {record:#?}");
        let policy = record.crm.as_ref().and_then(|c| c.policy);
        // A second escalation has a case of its own, which need not have come to a join.
        let again = !record.given_back.is_empty();
        assert!(record.bridged_at.is_none() || policy.is_some() || again, "seed {seed}: {record:#?}");
    }
    for (extension, state) in &report.agents {
        let idle = matches!(state, AgentState::Ready | AgentState::Offline | AgentState::WrapUp);
        assert!(idle, "seed {seed}: {extension} is {state:?} after hours");
    }
    // Beside the desk's figures: what the calls did, and what the phones did.
    let total = report.counted.values().fold(Counted::default(), |a, c| Counted {
        came: a.came + c.came,
        answered: a.answered + c.answered,
        abandoned: a.abandoned + c.abandoned,
        given_back: a.given_back + c.given_back,
        callbacks: a.callbacks + c.callbacks,
        wait: a.wait + c.wait,
    });
    let queues = || report.figures.queues.values();
    let figures = Counted {
        came: queues().map(|q| q.offered).sum(),
        answered: queues().map(|q| q.answered).sum(),
        abandoned: queues().map(|q| q.abandoned).sum(),
        given_back: queues().map(|q| q.given_back).sum(),
        callbacks: queues().map(|q| q.callbacks).sum(),
        wait: queues().map(|q| q.wait).sum(),
    };
    assert_eq!(figures, total, "seed {seed}");
    for (name, q) in &report.figures.queues {
        let out = q.answered + q.abandoned + q.given_back + q.callbacks + q.overflowed_out;
        assert_eq!((q.offered + q.overflowed_in, q.waiting), (out, 0), "seed {seed}: {name} {q:?}");
    }
    for (extension, (_, joined)) in &report.served {
        let handled = report.figures.agents.get(extension).map_or(0, |a| a.handled);
        assert_eq!(handled, u64::from(*joined), "seed {seed}: {extension}");
    }
    // A promise is kept, tried often enough, or still in line; it is not forgotten.
    let last_tries = report.callbacks.iter().filter(|r| r.disposition.as_deref() != Some("CALLBACK")).count();
    assert_eq!(report.promised, last_tries + report.owed, "seed {seed}");
}

/// How far the walk goes: BATON_WALK_DAYS for more. `make test` walks the long way in the release profile.
fn days() -> u64 {
    let usual = if cfg!(debug_assertions) { 6 } else { 120 };
    std::env::var("BATON_WALK_DAYS").ok().and_then(|v| v.parse().ok()).unwrap_or(usual)
}

#[test]
fn busy_days_lose_nobody_and_count_right() {
    let first = std::env::var("BATON_WALK_SEED").ok().and_then(|v| v.parse().ok()).unwrap_or(0);
    let (mut steps, mut joined, mut callbacks, mut passed, mut back) = (0, 0, 0, 0, 0);
    for seed in first..first + days() {
        let report = a_day(seed, 300);
        check(&report, 300, seed);
        steps += report.steps;
        joined += report.records.iter().filter(|r| r.bridged_at.is_some()).count();
        callbacks += report.callbacks.iter().filter(|r| r.bridged_at.is_some()).count();
        passed += report.records.iter().filter(|r| !r.passed_on.is_empty()).count();
        back += report.records.iter().filter(|r| !r.given_back.is_empty()).count();
    }
    println!("{steps} steps: {joined} joined, {callbacks} called back, {passed} passed on, {back} given back");
    // A walk that never gets anywhere proves nothing.
    let least = 5 * usize::try_from(days()).unwrap_or(0);
    for (what, n) in
        [("joined", joined / 8), ("passed on", passed), ("given back", back), ("called back", callbacks * 5)]
    {
        assert!(n >= least, "too few were {what}: {n}");
    }
}

#[test]
fn the_same_seed_is_the_same_busy_day() {
    let plain = || a_day(5, 100).records.iter().map(|r| format!("{r:?}")).collect::<Vec<_>>();
    assert_eq!(plain(), plain());
}
