//! `make bench`: what a system of record costs before an agent's phone rings, through the whole gateway: from the decision to
//! call a person to 180 from the agent's phone, by how long the system takes for an answer. Prints a table and adds to
//! `target/bench/summary.json`. The figures are the gateway's own, from the call records.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "it runs by hand")]

#[path = "../crates/crm/tests/fakes/mod.rs"]
mod fakes;
#[path = "../crates/crm/tests/support/systems.rs"]
mod systems;

use std::io::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};
use support::talk::{self, People};
use support::{Gateway, root};
use tokio::runtime::Runtime;

/// Calls for each row, if `BATON_BENCH_ROUNDS` does not say how many.
const CALLS: usize = 20;

fn calls() -> usize {
    std::env::var("BATON_BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(CALLS)
}

fn main() {
    // `cargo test` runs benches too, without this flag: then there is nothing to measure.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let mut rows = Map::new();
    let embedded = measure("embedded", "");
    let base = at(&embedded, 0.5);
    row(&mut rows, "crm.trigger_to_ring_p50_ms_embedded", base, "Baton's own store");
    row(&mut rows, "crm.trigger_to_ring_p95_ms_embedded", at(&embedded, 0.95), "Baton's own store");
    for latency in [0, 100, 500] {
        let runtime = Runtime::new().unwrap();
        let fake = runtime.block_on(fakes::Fake::start(fakes::webhook::Webhook::default()));
        fake.latency(Duration::from_millis(latency));
        let text = systems::config("webhook", &fake.url);
        let section = &text[text.find("[webhook]").unwrap()..];
        let crm = format!("kind = \"webhook\"\n\n{}", section.replacen('[', "[crm.", 1));
        let values = measure(&format!("webhook-{latency}"), &crm);
        let conditions = format!("signed webhook that takes {latency} ms for each answer");
        row(&mut rows, &format!("crm.trigger_to_ring_p50_ms_at_{latency}"), at(&values, 0.5), &conditions);
        row(&mut rows, &format!("crm.trigger_to_ring_p95_ms_at_{latency}"), at(&values, 0.95), &conditions);
        let added = at(&values, 0.5) - base;
        row(&mut rows, &format!("crm.trigger_to_ring_added_ms_at_{latency}"), added, "the same, less the embedded row");
    }
    let out = root().join("target/bench/summary.json");
    let known = std::fs::read_to_string(&out).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut summary: Map<String, Value> = known.unwrap_or_default();
    summary.extend(rows);
    std::fs::write(&out, serde_json::to_string_pretty(&summary).unwrap()).unwrap();
}

/// Trigger to ring of so many calls, sorted, in ms; `crm` is what `[crm]` says, empty for the default.
fn measure(name: &str, crm: &str) -> Vec<f64> {
    let change = |text: String| talk::config(&text, crm).replace("crm_wait_ms = 1500", "crm_wait_ms = 10000");
    let gateway = Gateway::start(&root().join("target/bench").join(name), change).unwrap();
    let mut people = People::at(&gateway).unwrap();
    let mut values: Vec<f64> = (0..calls())
        .map(|_| {
            let caller = people.call(&gateway, "+15551230001").unwrap();
            people.press(&caller, "0");
            let talk = people.to_agent(caller).unwrap();
            let record = people.finish(&gateway, talk).unwrap();
            assert_eq!(record["crm"]["policy"], "acknowledged", "{record}");
            record["latency_ms"]["trigger_to_ring"].as_f64().unwrap()
        })
        .collect();
    values.sort_by(f64::total_cmp);
    values
}

fn at(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

fn row(rows: &mut Map<String, Value>, name: &str, value: f64, conditions: &str) {
    let _ = writeln!(std::io::stdout(), "{name:<42} {value:>9.1} ms   n={}", calls());
    rows.insert(
        name.into(),
        json!({"value": value, "unit": "ms", "beside": null, "ratio": null, "n": calls(),
            "conditions": format!("{conditions}; decision to escalate to 180 from the agent's phone, one call at a time")}),
    );
}
