//! What understanding a turn costs, by phrases alone: every utterance of the corpus, in whole conversations on the default
//! flow. `cargo bench -p baton-intake`. The embedding model's share is measured in `crates/meaning`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use baton_intake::Intake;

fn main() {
    let flow = support::flow();
    let lines: Vec<String> = ["final-orders-1.txt", "final-orders-2.txt", "tuning-orders.txt"]
        .iter()
        .flat_map(|f| {
            let path = format!("{}/testdata/corpus/{f}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).expect("the corpus");
            text.lines().filter_map(|l| l.strip_prefix("< ").map(str::to_owned)).collect::<Vec<_>>()
        })
        .collect();
    let known = support::contacts().remove(0);
    let start = Instant::now();
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..20 {
        for line in &lines {
            let mut intake = Intake::new(flow.clone(), None);
            intake.contact_found(known.clone());
            intake.begin();
            let before = cpu_ms(start);
            std::hint::black_box(intake.heard(line, 0.9));
            times.push(cpu_ms(start) - before);
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |p: f64| times[((times.len() - 1) as f64 * p) as usize];
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    println!(
        "intake.turn_ms by phrases, CPU: n {} mean {mean:.3} p50 {:.3} p99 {:.3} max {:.3}",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// CPU time of this thread, in milliseconds: what a turn costs, however busy the machine is. Wall time where the kernel does
/// not tell.
fn cpu_ms(begun: Instant) -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_cpu = stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok());
    on_cpu.map_or_else(|| begun.elapsed().as_secs_f64() * 1e3, |ns| ns / 1e6)
}
