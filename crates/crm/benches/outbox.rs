//! `make bench`: what the outbox takes, and what a connector's latency adds before an agent may ring. Prints a table and adds
//! to `target/bench/summary.json`. The store is on this machine's disk with every commit synced; systems are fakes on
//! loopback.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr, reason = "it runs by hand")]

#[path = "../tests/fakes/mod.rs"]
mod fakes;
#[path = "../tests/support/systems.rs"]
mod systems;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_crm::{CaseWrite, Embedded, Outbox, Step};
use baton_store::Store;
use serde_json::{Map, Value, json};

const RATE: u32 = 100;
const SUSTAINED: Duration = Duration::from_secs(15);

fn main() {
    // `cargo test` runs benches too, without this flag: then there is nothing to measure.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut rows = Map::new();
    runtime.block_on(async {
        outbox(target, &mut rows).await;
        connectors(target, &mut rows).await;
    });
    let out = std::env::var_os("BATON_BENCH_SUMMARY").map_or_else(|| target.join("bench/summary.json"), Into::into);
    std::fs::create_dir_all(out.parent().unwrap()).unwrap();
    let known = std::fs::read_to_string(&out).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut summary: Map<String, Value> = known.unwrap_or_default();
    summary.extend(rows);
    std::fs::write(&out, serde_json::to_string_pretty(&summary).unwrap()).unwrap();
}

fn write(call: usize, step: Step) -> CaseWrite {
    CaseWrite {
        key: format!("bench-{call}:{}", step.name()),
        call_id: format!("bench-{call}"),
        step,
        from: "+15551230001".into(),
        to: "+15550000100".into(),
        started_at: Some(jiff::Timestamp::now()),
        disposition: "ESC".into(),
        summary: "disputes a charge of 212 dollars for a kettle that came broken; wants a person".into(),
        slots: json!({"name": {"value": "Maria Gomez"}, "order_number": {"value": "A-1042"}}),
        ..CaseWrite::default()
    }
}

/// As fast as it goes, then at the rate that must be sustained.
async fn outbox(target: &Path, rows: &mut Map<String, Value>) {
    let dir = tempfile::TempDir::new_in(target).unwrap();
    let store = Store::open(dir.path().join("fast.db")).await.unwrap();
    let outbox = Outbox::start(store.clone(), Arc::new(Embedded::new(store)), Duration::from_secs(30)).await.unwrap();
    let started = Instant::now();
    let workers: Vec<_> = (0..16)
        .map(|worker| {
            let outbox = outbox.clone();
            tokio::spawn(async move {
                let mut settled = 0_usize;
                while started.elapsed() < SUSTAINED {
                    outbox
                        .enqueue(&write(worker + 16 * settled, Step::Complete))
                        .await
                        .unwrap()
                        .settled()
                        .await
                        .unwrap();
                    settled += 1;
                }
                settled
            })
        })
        .collect();
    let mut total = 0;
    for worker in workers {
        total += worker.await.unwrap();
    }
    let rate = total as f64 / started.elapsed().as_secs_f64();
    let conditions =
        "embedded store: recorded, delivered and noted as delivered, each synced to disk; 16 calls at a time";
    row(rows, "crm.outbox_writes_per_s", "writes/s", rate, total, conditions);

    let store = Store::open(dir.path().join("paced.db")).await.unwrap();
    let outbox = Outbox::start(store.clone(), Arc::new(Embedded::new(store)), Duration::from_secs(30)).await.unwrap();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / RATE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let (started, mut calls, mut under_way) = (Instant::now(), 0, Vec::new());
    while started.elapsed() < SUSTAINED {
        tick.tick().await;
        let (outbox, write) = (outbox.clone(), write(calls, Step::Complete));
        under_way.push(tokio::spawn(async move {
            let asked = Instant::now();
            let mut delivery = outbox.enqueue(&write).await.unwrap();
            let durable = asked.elapsed();
            delivery.settled().await.unwrap();
            (durable, asked.elapsed())
        }));
        calls += 1;
    }
    let (mut durable, mut settled) = (Vec::new(), Vec::new());
    for one in under_way {
        let (d, s) = one.await.unwrap();
        durable.push(d.as_secs_f64() * 1e3);
        settled.push(s.as_secs_f64() * 1e3);
    }
    let behind = started.elapsed() - SUSTAINED;
    let conditions = format!(
        "{RATE} writes a second for {} s, embedded store; the last settled {} ms after the end",
        SUSTAINED.as_secs(),
        behind.as_millis()
    );
    for (name, mut values) in [("durable", durable), ("settled", settled)] {
        values.sort_by(f64::total_cmp);
        for (percent, part) in [(50, 0.5), (95, 0.95)] {
            row(
                rows,
                &format!("crm.outbox_{name}_p{percent}_ms_at_100"),
                "ms",
                at(&values, part),
                values.len(),
                &conditions,
            );
        }
    }
}

/// From the wish to write a case to its acknowledgement: what stands between a trigger and the agent's phone ringing.
async fn connectors(target: &Path, rows: &mut Map<String, Value>) {
    for latency in [0, 100, 500] {
        let dir = tempfile::TempDir::new_in(target).unwrap();
        let store = Store::open(dir.path().join("b.db")).await.unwrap();
        let fake = fakes::Fake::start_with(fakes::zendesk::Zendesk::new).await;
        fake.latency(Duration::from_millis(latency));
        let text = systems::config("zendesk", &fake.url).replace("app_id = 7\n", "");
        let crm = systems::connect(&text, &store);
        let outbox = Outbox::start(store, crm, Duration::from_secs(30)).await.unwrap();
        let mut values = Vec::new();
        for call in 0..20 {
            let asked = Instant::now();
            outbox.enqueue(&write(call, Step::Open)).await.unwrap().settled().await.unwrap();
            values.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        values.sort_by(f64::total_cmp);
        let conditions = format!(
            "a new call's case in Zendesk (fake, {latency} ms an answer), store synced; this much before the phone may ring"
        );
        row(
            rows,
            &format!("crm.case_acknowledged_p50_ms_at_{latency}"),
            "ms",
            at(&values, 0.5),
            values.len(),
            &conditions,
        );
    }
}

fn at(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

fn row(rows: &mut Map<String, Value>, name: &str, unit: &str, value: f64, n: usize, conditions: &str) {
    println!("{name:<42} {value:>9.1} {unit}   n={n}");
    rows.insert(
        name.into(),
        json!({"value": value, "unit": unit, "beside": null, "ratio": null, "n": n, "conditions": conditions}),
    );
}
