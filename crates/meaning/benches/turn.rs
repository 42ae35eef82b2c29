//! What understanding a turn costs with the embedding model: the first utterances of the corpus's shop calls, each met by
//! the opening question, where a model is asked most; and what is understood, on the corpus's final part. Adds to
//! `target/bench/summary.json`. `cargo bench -p baton-meaning`; says so where the models are not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../../intake/tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use baton_intake::{Embedder, Intake};
use baton_meaning::MiniLm;
use serde_json::{Map, Value, json};
use support::corpus::{Figures, calls, run};

fn main() {
    // `cargo test` runs benches too, without this flag: then there is nothing to measure.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let dir = std::env::var_os("BATON_MODELS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../media/models")), PathBuf::from);
    let paths = ["libonnxruntime.so", "minilm-int8.onnx", "minilm-vocab.txt"].map(|name| dir.join(name));
    if let Some(missing) = paths.iter().find(|p| !p.exists()) {
        println!("skipped: {} is not there; run `baton models fetch`", missing.display());
        return;
    }
    baton_meaning::runtime(&paths[0]).unwrap();
    let model: Arc<dyn Embedder> = Arc::new(MiniLm::load(&paths[1], &paths[2], 1).unwrap());
    let lines: Vec<String> = ["final-orders-1.txt", "final-orders-2.txt", "blind-orders.txt"]
        .iter()
        .flat_map(|f| {
            let path = format!("{}/../intake/testdata/corpus/{f}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).expect("the corpus");
            text.lines().filter_map(|l| l.strip_prefix("< ").map(str::to_owned)).collect::<Vec<_>>()
        })
        .collect();
    let flow = support::corpus::flow("orders", Some(&model));
    let known = support::contacts().remove(0);
    let start = Instant::now();
    let mut whole = Vec::new();
    let mut alone = Vec::new();
    for _ in 0..3 {
        for line in &lines {
            let before = cpu_ms(start);
            std::hint::black_box(model.embed(line));
            alone.push(cpu_ms(start) - before);
            let mut intake = Intake::new(flow.clone(), None);
            intake.contact_found(known.clone());
            intake.begin();
            let before = cpu_ms(start);
            std::hint::black_box(intake.heard(line, 0.9));
            whole.push(cpu_ms(start) - before);
        }
    }
    let mut rows = Map::new();
    for (name, times) in [("intake.embedding_ms", &mut alone), ("intake.turn_ms", &mut whole)] {
        times.sort_by(f64::total_cmp);
        let at = |p: f64| times[((times.len() - 1) as f64 * p) as usize];
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        let n = times.len();
        println!("{name}: n {n} CPU mean {mean:.2} ms p50 {:.2} p95 {:.2} max {:.2}", at(0.5), at(0.95), at(1.0));
        let conditions = "CPU time of one thread, first words of the corpus's shop calls, the embedding model";
        for (name, value) in [(name.to_owned(), mean), (name.replace("_ms", "_p95_ms"), at(0.95))] {
            rows.insert(name, row(value, "ms", n, conditions));
        }
    }
    let mut figures = Figures::default();
    for call in calls("final-") {
        figures.add(&call, &run(&call, Some(&model)));
    }
    println!("final part of the corpus, with the model: {figures}");
    for (name, value) in [
        ("intake.slot_accuracy_pct", figures.slot_accuracy()),
        ("intake.trigger_precision_pct", figures.precision()),
        ("intake.trigger_recall_pct", figures.recall()),
        ("intake.briefing_facts_pct", figures.facts()),
    ] {
        rows.insert(name.into(), row(value, "%", figures.calls, "final part of the corpus as text, with the model"));
    }
    add_to_summary(rows);
}

fn row(value: f64, unit: &str, n: usize, conditions: &str) -> Value {
    json!({"value": value, "unit": unit, "beside": null, "ratio": null, "n": n, "conditions": conditions})
}

/// Adds figures to those of the other benches.
fn add_to_summary(rows: Map<String, Value>) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/bench/summary.json"));
    let known = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut summary: Map<String, Value> = known.unwrap_or_default();
    summary.extend(rows);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, serde_json::to_string_pretty(&summary).unwrap()).unwrap();
}

/// CPU time of this thread, in milliseconds: what a turn costs, however busy the machine is. Wall time where the kernel does
/// not tell.
fn cpu_ms(begun: Instant) -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_cpu = stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok());
    on_cpu.map_or_else(|| begun.elapsed().as_secs_f64() * 1e3, |ns| ns / 1e6)
}
