//! One thing that goes wrong, at every moment at which it can: a call with everything in it, played again and again with the
//! fault a few milliseconds later each time. The rows of docs/race-matrix.md.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_agents::{AgentState, Plan, QueuePlan, Strategy};
use baton_call::Rules;
use baton_call::record::{CallRecord, Policy};
use baton_intake::{Flow, compile, raw};
use baton_sim::{Agent, Between, Caller, Deed, Habit, Report, Then, World};

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

fn asks(arrives: Duration) -> Caller {
    Caller::saying(arrives, &["I want an agent", "yes please"])
}

/// Takes the call 2 s after the answer, does these things, each so long after the answer, and talks for 60 s.
fn takes(deeds: &[(Duration, Deed)]) -> Habit {
    Habit::PicksUp(s(3), Then::Does([&[(s(2), Deed::Presses('1'))], deeds].concat(), s(60)))
}

/// Two agents who ring at once, introduced before they are joined, allowed to call numbers that begin with 0.
fn world(seed: u64, between: Between, habits: [Habit; 2], callers: Vec<Caller>, strategy: Strategy) -> World {
    let plan = QueuePlan { strategy, wrap_up: s(2), ..QueuePlan::new("support", ["1001", "1002"]) };
    let rules =
        Rules { introduction: "You are both on the line now.".into(), outside: vec!["0".into()], ..Rules::default() };
    let agents = ["1001", "1002"].iter().zip(habits).map(|(e, h)| Agent::who(e, &[h])).collect();
    let plan = Plan { queues: vec![plan], agents: Vec::new() };
    World::with_queues(
        seed,
        flow(if seed % 2 == 1 { "wait" } else { "proceed" }),
        between,
        plan,
        rules,
        agents,
        callers,
    )
}

/// What holds at the end of every world, whatever went wrong.
fn check(report: &Report, step: u64) {
    assert_eq!(report.faults, Vec::<String>::new(), "step {step}");
    assert!(report.longest_for_nobody <= ms(200), "step {step}: {:?}", report.longest_for_nobody);
    for record in &report.records {
        assert!(record.disposition.as_ref().is_some_and(|d| !d.is_empty()), "step {step}: {record:#?}");
        assert!(record.ended_at.is_some() && record.termination.is_some(), "step {step}: {record:#?}");
    }
    for (extension, state) in &report.agents {
        let idle = matches!(state, AgentState::Ready | AgentState::Offline | AgentState::WrapUp);
        assert!(idle, "step {step}: {extension} is {state:?} after hours");
    }
    for q in report.figures.queues.values() {
        let out = q.answered + q.abandoned + q.given_back + q.callbacks;
        assert_eq!((q.offered, q.waiting), (out, 0), "step {step}: {q:?}");
    }
}

/// How the calls of a sweep ended: by how the last transfer went and who ended it.
#[derive(Default)]
struct Ends(BTreeMap<String, u32>);

impl Ends {
    fn note(&mut self, record: &CallRecord) {
        let joined = if record.bridged_at.is_some() { "joined" } else { "alone" };
        let end = record.termination.as_ref().unwrap();
        *self.0.entry(format!("{joined} {} {:?}", end.cause, end.by)).or_default() += 1;
    }

    fn at_least(&self, n: u32, what: &[&str]) {
        for what in what {
            assert!(self.0.get(*what).is_some_and(|found| *found >= n), "{what}: {:?}", self.0);
        }
    }
}

/// The attended transfer of these tests: asked for 4 s after the join, three-way 20 s later.
fn attended() -> Vec<(Duration, Deed)> {
    let keys = |from: u64, typed: &str| -> Vec<(Duration, Deed)> {
        typed.chars().zip(0..).map(|(d, n)| (ms(from + 150 * n), Deed::Presses(d))).collect()
    };
    [keys(12_000, "*30301#"), keys(36_000, "*4")].concat()
}

#[test]
fn a_caller_may_leave_in_line_in_the_introduction_and_in_a_three_way() {
    let mut ends = Ends::default();
    for step in 0..900 {
        // Another caller keeps both agents' queue busy first: ours waits in line, then both phones ring.
        let first = Caller { talks: s(4), ..asks(s(0)) };
        let ours = Caller { gives_up: Some(ms(97 * step)), ..asks(ms(500)) };
        let habits = [takes(&attended()), Habit::Ignores];
        let between = Between { outside_answers: 1.0, loss: 0.02, ..Between::default() };
        let report = world(step, between, habits, vec![first, ours], Strategy::RingAll).run();
        check(&report, step);
        ends.note(&report.records[1]);
    }
    ends.at_least(100, &["alone hangup Caller", "joined hangup Caller"]);
}

#[test]
fn of_two_who_answer_at_once_one_has_the_call() {
    let (mut first, mut second) = (0, 0);
    for step in 0..200 {
        let picks = |at: u64| Habit::PicksUp(ms(at), Then::Listens(s(20)));
        let habits = [picks(3_000), picks(2_950 + step / 2)];
        let report = world(step, Between::default(), habits, vec![asks(s(0))], Strategy::RingAll).run();
        check(&report, step);
        let record = &report.records[0];
        assert!(record.bridged_at.is_some() && record.agent.as_ref().unwrap().declined.is_empty(), "{record:#?}");
        match record.agent.as_ref().unwrap().extension.as_deref() {
            Some("1001") => first += 1,
            _ => second += 1,
        }
        let joined: u32 = report.served.values().map(|(_, joined)| joined).sum();
        assert_eq!(joined, 1, "step {step}");
    }
    assert!(first > 20 && second > 20, "{first} {second}");
}

#[test]
fn accept_and_decline_in_one_breath_are_one_decision() {
    let (mut taken, mut declined) = (0, 0);
    for step in 0..120 {
        let keys = vec![(ms(2_000), '1'), (ms(1_940 + step), '2')];
        let habits = [Habit::PicksUp(s(3), Then::Presses(keys, s(20))), Habit::Ignores];
        let report = world(step, Between::default(), habits, vec![asks(s(0))], Strategy::LongestIdle).run();
        check(&report, step);
        match report.records[0].bridged_at {
            Some(_) => taken += 1,
            None => declined += 1,
        }
    }
    assert!(taken > 20 && declined > 20, "{taken} {declined}");
}

/// The phone vanishes at every moment from its answer on: in the briefing the next agent is rung, after it the call is over.
#[test]
fn an_agents_phone_may_vanish_at_any_moment() {
    let mut ends = Ends::default();
    let mut next = 0;
    for step in 0..300 {
        let gone = takes(&[(ms(40 * step), Deed::Vanishes)]);
        let report = world(step, Between::default(), [gone, takes(&[])], vec![asks(s(0))], Strategy::LongestIdle).run();
        check(&report, step);
        let record = &report.records[0];
        ends.note(record);
        next += u32::from(record.agent.as_ref().is_some_and(|a| a.extension.as_deref() == Some("1002")));
    }
    ends.at_least(20, &["joined hangup Agent", "joined hangup Caller"]);
    assert!(next > 20, "{next}");
}

/// The agent holds for three seconds, from every moment on: nothing is joined that did not hear, and nobody is lost.
#[test]
fn an_agent_may_hold_at_any_moment() {
    let mut ends = Ends::default();
    for step in 0..250 {
        let from = 40 * step;
        let holds = takes(&[(ms(from), Deed::Holds(true)), (ms(from + 3_000), Deed::Holds(false))]);
        let caller = Caller { holds: Some((ms(20 * step), s(2))), talks: s(20), ..asks(s(0)) };
        let report = world(step, Between::default(), [holds, takes(&[])], vec![caller], Strategy::LongestIdle).run();
        check(&report, step);
        ends.note(&report.records[0]);
    }
    ends.at_least(200, &["joined hangup Caller"]);
}

/// A REFER at every moment from the answer on: refused until the two talk, then carried out.
#[test]
fn an_agent_may_refer_at_any_moment() {
    let (mut refused, mut passed) = (0, 0);
    for step in 0..250 {
        let refers = takes(&[(ms(50 * step), Deed::Refers("0301"))]);
        let caller = Caller { talks: s(40), ..asks(s(0)) };
        let report = world(step, Between::default(), [refers, takes(&[])], vec![caller], Strategy::LongestIdle).run();
        check(&report, step);
        let record = &report.records[0];
        assert!(record.bridged_at.is_some(), "step {step}: {record:#?}");
        match record.passed_on.len() {
            0 => refused += 1,
            _ => passed += 1,
        }
    }
    assert!(refused > 20 && passed > 20, "{refused} {passed}");
}

/// The CRM answers at every moment of a transfer, fails, or never answers.
#[test]
fn the_crm_may_answer_at_any_moment_of_the_transfer() {
    let (mut acknowledged, mut proceeded, mut given_back) = (0, 0, 0);
    for step in 0..300 {
        let crm = 60 * step;
        let between = Between {
            crm: crm..crm + 1,
            crm_silent: if step % 10 == 9 { 1.0 } else { 0.0 },
            crm_fails: if step % 10 == 8 { 1.0 } else { 0.0 },
            ..Between::default()
        };
        let report = world(step, between, [takes(&[]), takes(&[])], vec![asks(s(0))], Strategy::LongestIdle).run();
        check(&report, step);
        let record = &report.records[0];
        let crm = record.crm.as_ref().unwrap();
        match (record.bridged_at, crm.policy) {
            (Some(joined), Some(Policy::Acknowledged)) => {
                assert!(crm.acknowledged_at.is_some_and(|at| at <= joined), "step {step}: {record:#?}");
                acknowledged += 1;
            }
            (Some(_), Some(Policy::Proceeded)) => proceeded += 1,
            (Some(_), None) => panic!("step {step}: joined before the record: {record:#?}"),
            (None, _) => given_back += 1,
        }
    }
    assert!(acknowledged > 20 && proceeded > 20 && given_back > 20, "{acknowledged} {proceeded} {given_back}");
}

/// The gateway drains at every moment: nobody is cut off. It ends at every moment: everybody is, cleanly, and a promise stays.
#[test]
fn the_gateway_may_drain_or_end_at_any_moment() {
    let mut ends = Ends::default();
    let mut owed = 0;
    for step in 0..400 {
        let called = Caller { presses_in_line: Some((s(1), '1')), ..asks(ms(800)) };
        let callers = vec![Caller { talks: s(20), ..asks(s(0)) }, called];
        let habits = [takes(&[]), Habit::Ignores];
        let end = step % 2 == 1;
        let report =
            world(step, Between::default(), habits, callers, Strategy::RingAll).stopping(ms(150 * step), end).run();
        check(&report, step);
        owed += report.owed;
        for record in &report.records {
            let cause = &record.termination.as_ref().unwrap().cause;
            assert!(end || cause != "shutdown", "step {step}: a drain cut a call off: {record:#?}");
            ends.note(record);
        }
    }
    ends.at_least(20, &["alone shutdown Baton", "joined shutdown Baton", "joined hangup Caller"]);
    assert!(owed > 20, "promises are kept for the next gateway: {owed}");
}
