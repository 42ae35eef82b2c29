//! Random days at the desk, with the simplest model beside it: who waits, who was promised to whom, and a count of its own.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::Strategy;
use crate::plan::AgentPlan;

#[derive(Default)]
struct Model {
    /// Who waits, with whom they have asked.
    waits: BTreeMap<Waiter, Want>,
    /// Extension → to whom, and whether they picked up or talk.
    promised: BTreeMap<String, (Waiter, u8)>,
    /// Visits that are not over.
    inside: BTreeSet<Waiter>,
    staffed: BTreeSet<String>,
    answered: u64,
    abandoned: u64,
    given_back: u64,
    callbacks: u64,
    offered: u64,
    called_back: u64,
    handled: BTreeMap<String, u64>,
}

pub fn days(days: u64) {
    for seed in 0..days {
        day(seed);
    }
}

fn plan(rng: &mut StdRng) -> Plan {
    let strategies = [Strategy::LongestIdle, Strategy::RoundRobin, Strategy::FewestCalls, Strategy::RingAll];
    let mut queue = |name: &str, members: [&str; 4], overflow: Option<&str>| QueuePlan {
        strategy: *strategies.choose(rng).unwrap(),
        overflow: overflow.map(str::to_owned),
        max_wait: S(rng.random_range(20..300)),
        max_waiting: rng.random_range(2..9),
        max_tries: rng.random_range(1..5),
        pause_after_missed: rng.random_range(0..4),
        ..QueuePlan::new(name, members)
    };
    let queues = vec![
        queue("sales", ["1", "2", "3", "4"], Some("all")),
        queue("support", ["3", "4", "5", "6"], None),
        queue("all", ["1", "3", "5", "7"], Some("sales")),
    ];
    Plan { queues, agents: vec![AgentPlan::here("3").with_skills(&["de"]), AgentPlan::elsewhere("7")] }
}

fn day(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let t = Instant::now();
    let mut desk = Desk::new(t, MORNING.parse().unwrap(), plan(&mut rng));
    let mut model = Model::default();
    model.staffed.insert("7".to_owned());
    let mut now = t;
    for step in 0..1_500 {
        now += Duration::from_millis(rng.random_range(0..5_000));
        while let Some(at) = desk.poll_timeout().filter(|at| *at <= now) {
            desk.handle(at, Input::Timeout);
            drain(&mut desk, &mut model, at, seed);
        }
        let input = something(&mut rng, &mut model, now, step);
        desk.handle(now, input);
        drain(&mut desk, &mut model, now, seed);
        compare(&desk, &model, seed);
    }
}

fn something(rng: &mut StdRng, model: &mut Model, now: Instant, step: u32) -> Input {
    let extension = || ["1", "2", "3", "4", "5", "6", "7"].map(str::to_owned);
    let any = extension().choose(rng).unwrap().clone();
    let promised = model.promised.keys().cloned().collect::<Vec<_>>().choose(rng).cloned();
    let waits = model.waits.keys().cloned().collect::<Vec<_>>().choose(rng).cloned();
    match rng.random_range(0..20) {
        0..2 => {
            model.staffed.insert(any.clone());
            Input::Wish { extension: any, wish: Wish::Ready }
        }
        2..4 => Input::Registered { extension: any },
        4 => Input::Unregistered { extension: any },
        5 => Input::Wish { extension: any, wish: Wish::Pause { reason: String::new() } },
        6..11 => {
            let who = format!("{step}");
            let back = rng.random_ratio(1, 8);
            let who = if back { Waiter::Callback(who) } else { Waiter::Call(who) };
            let want = Want {
                who: who.clone(),
                queue: (*["sales", "support", "all"].choose(rng).unwrap()).into(),
                not: Vec::new(),
                since: now,
                priority: rng.random_range(0..3),
                needs: if rng.random_ratio(1, 6) { vec!["de".into()] } else { Vec::new() },
            };
            model.offered += u64::from(!back);
            model.inside.insert(who.clone());
            model.waits.insert(who, want.clone());
            Input::Wants(want)
        }
        11 => match waits {
            Some(who) => {
                let why = *[Left::Abandoned, Left::GivenBack, Left::Callback].choose(rng).unwrap();
                leave(model, &who, why)
            }
            None => Input::Timeout,
        },
        _ => match promised {
            Some(extension) => with_agent(rng, model, extension),
            None => Input::Timeout,
        },
    }
}

fn leave(model: &mut Model, who: &Waiter, why: Left) -> Input {
    model.waits.remove(who);
    if model.inside.remove(who) && matches!(who, Waiter::Call(_)) {
        match why {
            Left::Abandoned => model.abandoned += 1,
            Left::GivenBack => model.given_back += 1,
            Left::Callback => model.callbacks += 1,
        }
    }
    Input::Leaves { who: who.clone(), why }
}

/// The agent goes on, or is done with it. Who is not taken here is not taken at all: the model keeps no list of them.
fn with_agent(rng: &mut StdRng, model: &mut Model, extension: String) -> Input {
    let (who, stage) = model.promised.get(&extension).cloned().unwrap();
    if rng.random_bool(0.7) && stage < 2 {
        model.promised.insert(extension.clone(), (who.clone(), stage + 1));
        if stage == 0 {
            return Input::Answered { extension };
        }
        *model.handled.entry(extension.clone()).or_default() += 1;
        if model.inside.remove(&who) {
            match who {
                Waiter::Call(_) => model.answered += 1,
                Waiter::Callback(_) => model.called_back += 1,
            }
        } else if let Waiter::Callback(_) = who {
            model.called_back += 1;
        }
        return Input::Talking { extension };
    }
    model.promised.remove(&extension);
    let how = match stage {
        2 => Released::Talked,
        _ => *[Released::Declined, Released::Missed, Released::NotNeeded].choose(rng).unwrap(),
    };
    Input::Released { extension, how }
}

fn drain(desk: &mut Desk, model: &mut Model, now: Instant, seed: u64) {
    let mut gone = Vec::new();
    while let Some(event) = desk.poll_event() {
        match event {
            Event::Offer { who, agents } => {
                let want = model.waits.remove(&who);
                assert!(want.is_some(), "seed {seed}: {who:?} waits for nobody and was offered somebody");
                assert!(!agents.is_empty(), "seed {seed}");
                for agent in agents {
                    assert!(!want.as_ref().unwrap().not.contains(&agent.extension), "seed {seed}");
                    let before = model.promised.insert(agent.extension.clone(), (who.clone(), 0));
                    assert!(before.is_none(), "seed {seed}: {} is promised twice", agent.extension);
                }
            }
            Event::Place { who, position, .. } => {
                assert!(position >= 1 && model.waits.contains_key(&who), "seed {seed}: {who:?} has no place");
            }
            Event::Nobody { who, .. } => {
                assert!(model.waits.contains_key(&who), "seed {seed}: {who:?} was told twice");
                gone.push(who);
            }
            Event::Agent { .. } => {}
        }
    }
    for who in gone {
        let input = leave(model, &who, Left::GivenBack);
        desk.handle(now, input);
        drain(desk, model, now, seed);
    }
}

fn compare(desk: &Desk, model: &Model, seed: u64) {
    for (extension, (_, stage)) in &model.promised {
        let states = [AgentState::Ringing, AgentState::Briefing, AgentState::Busy];
        assert_eq!(desk.state(extension), Some(states[usize::from(*stage)]), "seed {seed}: {extension}");
    }
    let figures = desk.figures();
    let sum = |f: fn(&crate::figures::QueueFigures) -> u64| figures.queues.values().map(f).sum::<u64>();
    assert_eq!(sum(|q| q.offered), model.offered, "seed {seed}");
    assert_eq!(sum(|q| q.answered), model.answered, "seed {seed}");
    assert_eq!(sum(|q| q.abandoned), model.abandoned, "seed {seed}");
    assert_eq!(sum(|q| q.given_back), model.given_back, "seed {seed}");
    assert_eq!(sum(|q| q.callbacks), model.callbacks, "seed {seed}");
    assert_eq!(sum(|q| q.called_back), model.called_back, "seed {seed}");
    assert_eq!(sum(|q| q.overflowed_in), sum(|q| q.overflowed_out), "seed {seed}");
    for (name, q) in &figures.queues {
        let out = q.answered + q.abandoned + q.given_back + q.callbacks + q.overflowed_out + q.waiting;
        assert_eq!(q.offered + q.overflowed_in, out, "seed {seed}: {name} {q:?}");
    }
    for (extension, handled) in &model.handled {
        assert_eq!(figures.agents[extension].handled, *handled, "seed {seed}: {extension}");
    }
}
