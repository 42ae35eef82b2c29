use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;

fn exts(names: &[&str]) -> Vec<String> {
    names.iter().map(|e| (*e).to_owned()).collect()
}

fn pool() -> (Pool, Instant) {
    let queues = [
        ("support".to_owned(), exts(&["1001", "1002", "1003"]), S(5)),
        ("billing".to_owned(), exts(&["1003", "1004"]), S(9)),
    ];
    (Pool::new(queues), Instant::now())
}

#[test]
fn the_longest_idle_comes_first_and_those_already_asked_are_left_out() {
    let (mut pool, t) = pool();
    assert_eq!(pool.reserve(t, "support", &[]), None, "nobody is registered");
    pool.registered(t, "1002");
    pool.registered(t + S(1), "1001");
    pool.registered(t + S(2), "1002"); // a refresh does not cost the place in line
    assert_eq!(pool.reserve(t + S(9), "support", &[]).as_deref(), Some("1002"));
    pool.released(t + S(10), "1002", false);
    assert_eq!(pool.reserve(t + S(11), "support", &[]).as_deref(), Some("1001"), "1002 has just been rung");
    assert_eq!(pool.reserve(t + S(11), "support", &exts(&["1002"])), None);
    assert_eq!(pool.reserve(t + S(11), "no such queue", &[]), None);
}

#[test]
fn an_agent_goes_through_the_call_and_its_wrap_up() {
    let (mut pool, t) = pool();
    pool.registered(t, "1001");
    assert_eq!(pool.state("1001"), Some(AgentState::Ready));
    pool.talking("1001");
    assert_eq!(pool.state("1001"), Some(AgentState::Ready), "nobody talks before a call was promised");
    pool.reserve(t, "support", &[]);
    assert_eq!(pool.state("1001"), Some(AgentState::Ringing));
    pool.answered("1001");
    assert_eq!(pool.state("1001"), Some(AgentState::Briefing));
    pool.talking("1001");
    assert_eq!(pool.state("1001"), Some(AgentState::Busy));
    pool.released(t + S(60), "1001", true);
    assert_eq!(pool.state("1001"), Some(AgentState::WrapUp));
    assert_eq!(pool.reserve(t + S(64), "support", &[]), None);
    assert_eq!(pool.poll_timeout(), Some(t + S(65)));
    assert_eq!(pool.reserve(t + S(65), "support", &[]).as_deref(), Some("1001"));
}

#[test]
fn who_serves_two_queues_is_promised_to_one_call_and_has_the_longer_wrap_up() {
    let (mut pool, t) = pool();
    pool.registered(t, "1003");
    assert_eq!(pool.reserve(t, "billing", &[]).as_deref(), Some("1003"));
    assert_eq!(pool.reserve(t, "support", &[]), None);
    pool.released(t, "1003", true);
    assert_eq!(pool.poll_timeout(), Some(t + S(9)));
}

#[test]
fn a_phone_that_vanishes_in_a_call_is_not_rung_again_until_it_is_back() {
    let (mut pool, t) = pool();
    pool.registered(t, "1001");
    pool.reserve(t, "support", &[]);
    pool.unregistered("1001");
    assert_eq!(pool.state("1001"), Some(AgentState::Ringing), "still promised");
    pool.registered(t, "1001");
    assert_eq!(pool.reserve(t, "support", &[]), None, "registering anew frees nobody");
    pool.unregistered("1001");
    pool.released(t, "1001", false);
    assert_eq!(pool.state("1001"), Some(AgentState::Offline));
    assert_eq!(pool.reserve(t, "support", &[]), None);
    pool.registered(t, "1001");
    assert!(pool.reserve(t, "support", &[]).is_some());
}

#[test]
fn a_pause_holds_off_calls_and_ready_ends_it() {
    let (mut pool, t) = pool();
    pool.registered(t, "1001");
    pool.pause("1001");
    assert_eq!((pool.state("1001"), pool.reserve(t, "support", &[])), (Some(AgentState::Paused), None));
    pool.ready(t, "1001");
    assert!(pool.reserve(t, "support", &[]).is_some());
    pool.pause("1001");
    assert_eq!(pool.state("1001"), Some(AgentState::Ringing), "the call in hand goes on");
    pool.released(t, "1001", true);
    assert_eq!(pool.state("1001"), Some(AgentState::Paused));
    pool.ready(t, "1001");
    assert_eq!(pool.state("1001"), Some(AgentState::Ready), "ready also ends a wrap-up");
}

/// Beside the pool walks the simplest model: who is promised, and who has a phone and no pause.
#[test]
fn no_agent_is_ever_promised_twice() {
    let everybody = ["1001", "1002", "1003", "1004", "9999"];
    for seed in 0..300 {
        let (mut pool, mut now) = pool();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut promised: Vec<String> = Vec::new();
        let mut reachable: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
        for _ in 0..400 {
            now += Duration::from_millis(rng.random_range(0..4_000));
            let any = everybody[rng.random_range(0..everybody.len())];
            match rng.random_range(0..11) {
                0 | 1 => {
                    pool.registered(now, any);
                    reachable.entry(any).or_default().0 = true;
                }
                2 => {
                    pool.unregistered(any);
                    reachable.entry(any).or_default().0 = false;
                }
                3 => {
                    pool.pause(any);
                    reachable.entry(any).or_default().1 = true;
                }
                4 => {
                    pool.ready(now, any);
                    reachable.entry(any).or_default().1 = false;
                }
                5..=7 => {
                    let queue = ["support", "billing"][rng.random_range(0..2)];
                    let not = if rng.random() { vec![any.to_owned()] } else { Vec::new() };
                    if let Some(e) = pool.reserve(now, queue, &not) {
                        assert!(!promised.contains(&e), "seed {seed}: {e} was promised already");
                        assert!(!not.contains(&e), "seed {seed}: {e} was ruled out");
                        assert_eq!(reachable.get(e.as_str()), Some(&(true, false)), "seed {seed}: {e} is not there");
                        promised.push(e);
                    }
                }
                8 => {
                    pool.answered(any);
                    pool.talking(any);
                }
                9 => pool.handle_timeout(now),
                _ if promised.is_empty() => pool.released(now, any, true),
                _ => {
                    let e = promised.swap_remove(rng.random_range(0..promised.len()));
                    pool.released(now, &e, rng.random());
                }
            }
            for e in &promised {
                let state = pool.state(e).unwrap();
                let working = matches!(state, AgentState::Ringing | AgentState::Briefing | AgentState::Busy);
                assert!(working, "seed {seed}: {e} was promised and is {state:?}");
            }
        }
        for e in promised {
            pool.released(now, &e, true);
        }
        pool.handle_timeout(now + S(9));
        assert_eq!(pool.poll_timeout(), None, "seed {seed}: somebody wraps up for ever");
    }
}
