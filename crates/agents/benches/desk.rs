//! What one input costs at a full desk: callers wait in two queues, agents come and go, every offer is taken.
//! `cargo bench -p baton-agents`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints")]

use std::time::{Duration, Instant};

use baton_agents::{Desk, Event, Input, Left, Plan, QueuePlan, Released, Waiter, Want};

fn main() {
    println!("{:>8} {:>8} {:>10} {:>14}", "waiting", "agents", "inputs", "µs an input");
    for (waiting, agents) in [(20, 10), (200, 50), (1_000, 200)] {
        measure(waiting, agents);
    }
}

fn measure(waiting: usize, agents: usize) {
    let began = Instant::now();
    let extensions: Vec<String> = (0..agents).map(|n| format!("{}", 1_000 + n)).collect();
    let queue = |name: &str| QueuePlan {
        max_waiting: usize::MAX,
        wrap_up: Duration::ZERO,
        max_wait: Duration::from_secs(86_400),
        ..QueuePlan::new(name, extensions.iter().map(String::as_str))
    };
    let plan = Plan { queues: vec![queue("sales"), queue("support")], agents: Vec::new() };
    let mut desk = Desk::new(began, "2026-11-24T10:00:00+00:00[UTC]".parse().unwrap(), plan);
    let mut now = began;
    let mut offered: Vec<(Waiter, String)> = Vec::new();
    let mut caller = 0_u64;
    let mut inputs = 0_u64;
    let mut give = |desk: &mut Desk, now: Instant, input: Input, offered: &mut Vec<(Waiter, String)>| {
        inputs += 1;
        desk.handle(now, input);
        while let Some(event) = desk.poll_event() {
            if let Event::Offer { who, agents } = event {
                offered.extend(agents.into_iter().map(|a| (who.clone(), a.extension)));
            }
        }
    };
    for extension in &extensions {
        give(&mut desk, now, Input::Registered { extension: extension.clone() }, &mut offered);
    }
    let mut comes = |now: Instant| {
        caller += 1;
        let queue = if caller.is_multiple_of(2) { "sales" } else { "support" };
        let who = Waiter::Call(format!("{caller}"));
        Input::Wants(Want { who, queue: queue.into(), not: vec![], since: now, priority: 0, needs: vec![] })
    };
    for _ in 0..waiting + agents {
        let input = comes(now);
        give(&mut desk, now, input, &mut offered);
    }
    // From here on the desk is full: who has an agent talks and goes, and another caller comes.
    let start = Instant::now();
    for n in 0..5_000_u64 {
        now += Duration::from_millis(100);
        let (who, extension) = offered.remove(0);
        give(&mut desk, now, Input::Answered { extension: extension.clone() }, &mut offered);
        give(&mut desk, now, Input::Talking { extension: extension.clone() }, &mut offered);
        if n.is_multiple_of(50) {
            give(&mut desk, now, Input::Leaves { who, why: Left::Abandoned }, &mut offered);
        }
        give(&mut desk, now, Input::Released { extension, how: Released::Talked }, &mut offered);
        let input = comes(now);
        give(&mut desk, now, input, &mut offered);
    }
    let took = start.elapsed();
    println!("{waiting:>8} {agents:>8} {:>10} {:>14.1}", 20_000, took.as_secs_f64() * 1e6 / 20_000.0);
}
