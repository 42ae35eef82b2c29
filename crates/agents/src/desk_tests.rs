use std::collections::BTreeSet;

use jiff::Zoned;

use super::*;
use crate::plan::{AgentPlan, Member};
use crate::{Hours, Strategy};

const S: fn(u64) -> Duration = Duration::from_secs;

/// A Tuesday, 10:00.
const MORNING: &str = "2026-11-24T10:00:00+00:00[UTC]";

struct Bench {
    desk: Desk,
    t: Instant,
}

impl Bench {
    /// A desk at which these agents are ready.
    fn with(queues: Vec<QueuePlan>, agents: Vec<AgentPlan>) -> Self {
        let t = Instant::now();
        let everybody: BTreeSet<String> =
            queues.iter().flat_map(|q| q.members.iter().map(|m| m.extension.clone())).collect();
        let desk = Desk::new(t, MORNING.parse().unwrap(), Plan { queues, agents });
        let mut bench = Self { desk, t };
        for (n, extension) in everybody.into_iter().enumerate() {
            bench.desk.handle(t + Duration::from_millis(n as u64), Input::Registered { extension });
        }
        bench.events();
        bench
    }

    fn one(agents: &[&str]) -> Self {
        Self::with(vec![QueuePlan::new("q", agents.iter().copied())], Vec::new())
    }

    /// What the desk says to this, apart from what agents do.
    fn at(&mut self, s: u64, input: Input) -> Vec<String> {
        self.desk.handle(self.t + S(s), input);
        self.events()
    }

    fn events(&mut self) -> Vec<String> {
        let name = |who: Waiter| match who {
            Waiter::Call(id) => id,
            Waiter::Callback(id) => format!("callback {id}"),
        };
        std::iter::from_fn(|| self.desk.poll_event())
            .filter_map(|event| match event {
                Event::Offer { who, agents } => {
                    let agents: Vec<String> = agents.into_iter().map(|a| a.extension).collect();
                    Some(format!("{}: {}", name(who), agents.join("+")))
                }
                Event::Place { who, position, .. } => Some(format!("{} is {position}", name(who))),
                Event::Nobody { who, why } => Some(format!("{}: {why:?}", name(who))),
                Event::Agent { .. } => None,
            })
            .collect()
    }

    fn wants(&mut self, s: u64, who: &str) -> Vec<String> {
        let want = self.want(s, who, "q");
        self.at(s, Input::Wants(want))
    }

    fn want(&self, s: u64, who: &str, queue: &str) -> Want {
        Want {
            who: Waiter::Call(who.into()),
            queue: queue.into(),
            not: Vec::new(),
            since: self.t + S(s),
            priority: 0,
            needs: Vec::new(),
        }
    }

    fn released(&mut self, s: u64, extension: &str, how: Released) -> Vec<String> {
        self.at(s, Input::Released { extension: extension.into(), how })
    }

    /// The agent takes the call and ends it, with no time to wrap up.
    fn takes(&mut self, s: u64, extension: &str) {
        self.at(s, Input::Answered { extension: extension.into() });
        self.at(s, Input::Talking { extension: extension.into() });
    }

    fn leaves(&mut self, s: u64, who: &str, why: Left) -> Vec<String> {
        self.at(s, Input::Leaves { who: Waiter::Call(who.into()), why })
    }

    fn wishes(&mut self, s: u64, extension: &str, wish: Wish) -> Vec<String> {
        self.at(s, Input::Wish { extension: extension.into(), wish })
    }
}

#[test]
fn callers_wait_in_line_and_are_told_as_it_moves() {
    let mut b = Bench::one(&["1001"]);
    assert_eq!(b.wants(1, "a"), ["a: 1001"]);
    assert_eq!(b.wants(2, "b"), ["b is 1"]);
    assert_eq!(b.wants(3, "c"), ["c is 2"]);
    assert_eq!(b.leaves(4, "b", Left::Abandoned), ["c is 1"]);
    b.takes(5, "1001");
    assert!(b.released(65, "1001", Released::Talked).is_empty(), "wrap-up");
    assert_eq!(b.desk.poll_timeout(), Some(b.t + S(70)));
    assert_eq!(b.at(70, Input::Timeout), ["c: 1001"]);
    b.takes(72, "1001");
    let q = &b.desk.figures().queues["q"];
    assert_eq!((q.offered, q.answered, q.abandoned, q.waiting), (3, 2, 1, 0));
    assert_eq!((q.wait, q.longest_wait, q.answered_in_time), (S(4 + 69), S(69), 1));
    assert_eq!(b.desk.figures().agents["1001"].talk, S(60));
}

#[test]
fn who_is_urgent_goes_first_and_who_was_declined_keeps_the_place() {
    let mut b = Bench::one(&["1001", "1002"]);
    assert_eq!(b.wants(1, "a"), ["a: 1001"]);
    assert_eq!(b.wants(2, "b"), ["b: 1002"]);
    assert_eq!(b.wants(3, "c"), ["c is 1"]);
    let urgent = Want { priority: 5, ..b.want(4, "fire", "q") };
    assert_eq!(b.at(4, Input::Wants(urgent)), ["fire is 1", "c is 2"]);
    // 1001 declines the first caller, who goes on waiting for 1002, in front of c.
    assert_eq!(b.released(5, "1001", Released::Declined), ["fire: 1001", "c is 1"]);
    let again = Want { not: vec!["1001".into()], ..b.want(1, "a", "q") };
    assert_eq!(b.at(5, Input::Wants(again)), ["a is 1", "c is 2"]);
    assert_eq!(b.released(6, "1002", Released::NotNeeded), ["a: 1002", "c is 1"]);
    assert_eq!(b.desk.figures().queues["q"].offered, 4, "each was counted once");
}

#[test]
fn an_agent_with_the_skill_passes_over_who_needs_another() {
    let mut queue = QueuePlan::new("q", ["1001", "1002"]);
    let german = || vec![AgentPlan::here("1002").with_skills(&["de"])];
    let mut b = Bench::with(vec![queue.clone()], german());
    let speaks = |b: &Bench, who: &str, needs: &str| Want { needs: vec![needs.into()], ..b.want(1, who, "q") };
    let want = speaks(&b, "a", "de");
    assert_eq!(b.at(1, Input::Wants(want)), ["a: 1002"]);
    let want = speaks(&b, "b", "de");
    assert_eq!(b.at(2, Input::Wants(want)), ["b is 1"], "1001 is free, and does not speak it");
    assert_eq!(b.wants(3, "c"), ["c: 1001"]);
    let want = speaks(&b, "d", "fr");
    assert_eq!(b.at(4, Input::Wants(want)), ["d: Empty"], "nobody speaks that");
    queue.strict_skills = false;
    let mut b = Bench::with(vec![queue], german());
    let want = speaks(&b, "d", "fr");
    assert_eq!(b.at(4, Input::Wants(want)), ["d: 1001"], "better than nobody");
}

#[test]
fn strategies_choose_whom_they_say() {
    let rung = |strategy, tiers: [u8; 3]| {
        let members = ["1001", "1002", "1003"].into_iter().zip(tiers);
        let members: Vec<Member> = members.map(|(e, tier)| Member { extension: e.into(), tier }).collect();
        let plan = QueuePlan { strategy, wrap_up: S(0), ..QueuePlan::new("q", members) };
        let mut b = Bench::with(vec![plan], Vec::new());
        let mut rung = Vec::new();
        for n in 0..4 {
            let offer = b.wants(10 * n, "x").join(" ").replace("x: ", "");
            for e in offer.split('+') {
                // 1002 talks, the others are not needed after all.
                if e == "1002" {
                    b.takes(10 * n + 1, e);
                }
                let how = if e == "1002" { Released::Talked } else { Released::Declined };
                b.released(10 * n + 2, e, how);
            }
            b.leaves(10 * n + 3, "x", Left::GivenBack);
            rung.push(offer);
        }
        rung.join(" ")
    };
    assert_eq!(rung(Strategy::LongestIdle, [0; 3]), "1001 1002 1003 1001");
    assert_eq!(rung(Strategy::RoundRobin, [0; 3]), "1001 1002 1003 1001");
    assert_eq!(rung(Strategy::RoundRobin, [1, 0, 0]), "1002 1003 1002 1003");
    assert_eq!(rung(Strategy::FewestCalls, [0; 3]), "1001 1002 1003 1001");
    assert_eq!(rung(Strategy::FewestCalls, [1, 0, 0]), "1002 1003 1003 1003");
    assert_eq!(rung(Strategy::RingAll, [0, 0, 1]), "1001+1002 1001+1002 1001+1002 1001+1002");
}

#[test]
fn a_colleague_who_was_faster_costs_nobody_their_place() {
    let plan = QueuePlan { strategy: Strategy::RingAll, ..QueuePlan::new("q", ["1001", "1002"]) };
    let longest = QueuePlan::new("longest", ["1001", "1002"]);
    let mut b = Bench::with(vec![plan, longest], Vec::new());
    assert_eq!(b.wants(10, "a"), ["a: 1001+1002"]);
    b.takes(12, "1002");
    b.released(12, "1001", Released::NotNeeded);
    b.released(20, "1002", Released::Declined);
    let want = b.want(21, "b", "longest");
    assert_eq!(b.at(21, Input::Wants(want)), ["b: 1001"]);
}

#[test]
fn what_a_queue_cannot_serve_goes_on_and_not_in_circles() {
    let first = QueuePlan { overflow: Some("second".into()), max_wait: S(60), ..QueuePlan::new("q", ["1001"]) };
    let second = QueuePlan { overflow: Some("q".into()), max_wait: S(30), ..QueuePlan::new("second", ["2001"]) };
    let mut b = Bench::with(vec![first, second], Vec::new());
    assert_eq!(b.wants(1, "a"), ["a: 1001"]);
    let want = b.want(1, "z", "second");
    assert_eq!(b.at(1, Input::Wants(want)), ["z: 2001"]);
    assert_eq!(b.wants(2, "b"), ["b is 1"]);
    assert_eq!(b.desk.poll_timeout(), Some(b.t + S(62)));
    assert_eq!(b.at(62, Input::Timeout), ["b is 1"], "in the second queue");
    assert_eq!(b.at(92, Input::Timeout), ["b: Exhausted"]);
    b.leaves(92, "b", Left::GivenBack);
    // 1001 is away: straight to the second queue; and declined there, told so.
    b.released(93, "1001", Released::Declined);
    b.wishes(93, "1001", Wish::SignOut);
    b.released(93, "2001", Released::Declined);
    assert_eq!(b.wants(94, "c"), ["c: 2001"]);
    b.released(95, "2001", Released::Declined);
    let again = Want { not: vec!["2001".into()], ..b.want(94, "c", "q") };
    assert_eq!(b.at(95, Input::Wants(again)), ["c: Empty"]);
    b.leaves(95, "c", Left::Abandoned);
    let figures = b.desk.figures();
    let (q, second) = (&figures.queues["q"], &figures.queues["second"]);
    assert_eq!((q.offered, q.overflowed_out, q.waiting), (3, 2, 1), "a has no end yet");
    assert_eq!((second.overflowed_in, second.given_back, second.abandoned), (2, 1, 1));
}

#[test]
fn nobody_waits_where_nobody_will_come() {
    let plan = QueuePlan { max_waiting: 1, max_tries: 2, ..QueuePlan::new("q", ["1001", "1002", "1003"]) };
    let mut b = Bench::with(vec![plan], Vec::new());
    for e in ["1001", "1002", "1003"] {
        b.wishes(1, e, Wish::Pause { reason: "lunch".into() });
    }
    assert_eq!(b.desk.pause_reason("1001"), Some("lunch"));
    assert_eq!(b.wants(2, "a"), ["a: Empty"]);
    b.wishes(3, "1001", Wish::Ready);
    assert_eq!(b.wants(4, "a"), ["a: 1001"]);
    assert_eq!(b.wants(5, "b"), ["b is 1"], "1001 is at work");
    assert_eq!(b.wants(6, "c"), ["c: Full"]);
    b.wishes(10, "1001", Wish::SignOut);
    assert_eq!(b.desk.poll_timeout(), Some(b.t + S(40)), "phones come back within the grace");
    b.wishes(20, "1001", Wish::Ready);
    assert!(b.at(40, Input::Timeout).is_empty());
    b.at(50, Input::Unregistered { extension: "1001".into() });
    assert_eq!(b.at(80, Input::Timeout), ["b: Empty"]);
    let asked = Want { not: vec!["1002".into(), "1003".into()], ..b.want(81, "d", "q") };
    assert_eq!(b.at(81, Input::Wants(asked)), ["d: Exhausted"]);
    let unknown = b.want(82, "e", "nowhere");
    assert_eq!(b.at(82, Input::Wants(unknown)), ["e: Unknown"]);
}

#[test]
fn closing_time_turns_nobody_out_and_callbacks_wait_for_the_morning() {
    let hours = Hours::parse(&["mon-fri 09:00-10:01"], &[]).unwrap();
    let mut b = Bench::with(vec![QueuePlan { hours, max_wait: S(9_999), ..QueuePlan::new("q", ["1001"]) }], Vec::new());
    assert_eq!(b.wants(1, "a"), ["a: 1001"]);
    assert_eq!(b.wants(59, "b"), ["b is 1"]);
    assert_eq!(b.wants(60, "c"), ["c: Closed"]);
    let ticket = |b: &Bench| Want { who: Waiter::Callback("t".into()), ..b.want(2, "", "q") };
    let want = ticket(&b);
    assert_eq!(b.at(61, Input::Wants(want)), ["b is 2"]);
    assert_eq!(b.released(70, "1001", Released::Declined), ["b: 1001"], "closed, and the ticket was here before b");
    b.released(80, "1001", Released::Declined);
    b.leaves(80, "b", Left::GivenBack);
    assert_eq!(b.desk.poll_timeout(), Some(b.t + S(23 * 3_600)));
    b.at(80, Input::Drain);
    assert!(b.at(23 * 3_600, Input::Timeout).is_empty(), "a gateway that drains begins nothing");
    b.desk.draining = false;
    assert_eq!(b.at(23 * 3_600, Input::Timeout), ["callback t: 1001"]);
    // The agent declines the callback, and there is no other: it is to be tried another time.
    b.released(23 * 3_601, "1001", Released::Declined);
    let again = Want { not: vec!["1001".into()], ..ticket(&b) };
    assert_eq!(b.at(23 * 3_601, Input::Wants(again)), ["callback t: Empty"]);
}

#[test]
fn a_callback_keeps_the_callers_place() {
    let mut b = Bench::one(&["1001"]);
    b.wants(1, "a");
    assert_eq!(b.wants(2, "b"), ["b is 1"]);
    assert_eq!(b.wants(3, "c"), ["c is 2"]);
    assert_eq!(b.leaves(4, "b", Left::Callback), ["c is 1"]);
    let ticket = Want { who: Waiter::Callback("b".into()), ..b.want(2, "", "q") };
    assert_eq!(b.at(4, Input::Wants(ticket)), ["c is 2"]);
    assert_eq!(b.released(9, "1001", Released::Declined), ["callback b: 1001", "c is 1"]);
    b.takes(10, "1001");
    let q = &b.desk.figures().queues["q"];
    assert_eq!((q.offered, q.callbacks, q.called_back, q.answered), (3, 1, 1, 0));
}

#[test]
fn a_phone_that_rings_out_too_often_is_paused() {
    let mut b = Bench::with(vec![QueuePlan { pause_after_missed: 2, ..QueuePlan::new("q", ["1001"]) }], Vec::new());
    for s in [1, 3] {
        b.wants(s, "a");
        b.released(s + 1, "1001", Released::Missed);
        b.leaves(s + 1, "a", Left::GivenBack);
    }
    assert_eq!((b.desk.state("1001"), b.desk.pause_reason("1001")), (Some(AgentState::Paused), Some("missed")));
    b.wishes(9, "1001", Wish::Ready);
    assert_eq!(b.wants(10, "a"), ["a: 1001"]);
    assert_eq!(b.desk.figures().agents["1001"].missed, 2);
}

#[test]
fn who_is_elsewhere_is_there_until_they_sign_out_and_must_accept() {
    let mut b = Bench::with(
        vec![QueuePlan::new("q", ["1001", "+4930123"])],
        vec![AgentPlan::elsewhere("+4930123"), AgentPlan::here("1001")],
    );
    b.at(1, Input::Unregistered { extension: "1001".into() });
    b.desk.handle(b.t + S(2), Input::Wants(b.want(2, "a", "q")));
    let offered = std::iter::from_fn(|| b.desk.poll_event()).find_map(|e| match e {
        Event::Offer { agents, .. } => Some(agents),
        _ => None,
    });
    assert_eq!(offered, Some(vec![Promise { extension: "+4930123".into(), must_accept: true }]));
    b.wishes(3, "+4930123", Wish::SignOut);
    b.released(4, "+4930123", Released::Declined);
    assert_eq!(b.desk.state("+4930123"), Some(AgentState::Offline));
}

#[test]
fn a_colleague_is_claimed_only_when_ready() {
    let mut b = Bench::one(&["1001", "1002"]);
    b.wants(1, "a");
    assert!(!b.desk.claim(b.t + S(2), "1001", Waiter::Call("x".into())), "promised already");
    assert!(b.desk.claim(b.t + S(2), "1002", Waiter::Call("x".into())));
    assert_eq!(b.wants(3, "b"), ["b is 1"]);
    b.takes(4, "1002");
    assert_eq!(b.desk.figures().queues["q"].answered, 0, "x waits in no queue");
    assert_eq!(b.released(5, "1002", Released::NotNeeded), ["b: 1002"]);
}

#[test]
fn the_wait_is_learnt_from_the_calls() {
    let mut b = Bench::with(vec![QueuePlan { wrap_up: S(0), ..QueuePlan::new("q", ["1001", "1002"]) }], Vec::new());
    assert_eq!(b.desk.estimate("q", 3), S(270), "three calls of three minutes, two agents");
    for n in 0..40 {
        b.wants(n * 100, "a");
        b.takes(n * 100, if n % 2 == 0 { "1001" } else { "1002" });
        b.released(n * 100 + 60, if n % 2 == 0 { "1001" } else { "1002" }, Released::Talked);
    }
    let learnt = b.desk.estimate("q", 2);
    assert!(learnt >= S(60) && learnt < S(62), "{learnt:?}");
}

#[test]
fn all_of_a_walk_is_counted_once() {
    walk::days(if cfg!(debug_assertions) { 60 } else { 400 });
}

#[path = "desk_walk_tests.rs"]
mod walk;

fn wall(s: &str) -> Zoned {
    s.parse().unwrap()
}

#[test]
fn a_set_clock_moves_the_hours() {
    let hours = Hours::parse(&["tue 09:00-11:00"], &[]).unwrap();
    let mut b = Bench::with(vec![QueuePlan { hours, ..QueuePlan::new("q", ["1001"]) }], Vec::new());
    b.desk.set_clock(b.t, wall("2026-11-24T12:00:00+00:00[UTC]"));
    assert_eq!(b.wants(1, "a"), ["a: Closed"]);
}
