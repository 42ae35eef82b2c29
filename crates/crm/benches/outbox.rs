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

use baton_crm::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Embedded, Lookup, Order, Outbox, Person, PopRequest, Receipt,
    ScreenPop, Step,
};
use baton_store::Store;
use serde_json::{Map, Value, json};

const RATE: u32 = 100;
const SUSTAINED: Duration = Duration::from_secs(10);

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

/// A system that has everything at once: what is measured is the outbox.
struct AtOnce;

#[async_trait::async_trait]
impl Crm for AtOnce {
    fn name(&self) -> &str {
        "at-once"
    }
    async fn find_person(&self, _: Lookup) -> Result<Vec<Person>, CrmError> {
        Ok(Vec::new())
    }
    async fn order(&self, _: String) -> Result<Option<(Order, Person)>, CrmError> {
        Ok(None)
    }
    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        let acknowledged_at = jiff::Timestamp::now();
        Ok(Receipt { system: "at-once".into(), record_id: write.call_id.clone(), acknowledged_at })
    }
    async fn cases(&self, _: &str) -> Result<Vec<CaseView>, CrmError> {
        Ok(Vec::new())
    }
    async fn screen_pop(&self, _: &PopRequest) -> Result<Option<ScreenPop>, CrmError> {
        Ok(None)
    }
    async fn check(&self) -> Vec<Capability> {
        Vec::new()
    }
}

async fn outbox(target: &Path, rows: &mut Map<String, Value>) {
    let at_once = |_: &Store| -> Arc<dyn Crm> { Arc::new(AtOnce) };
    let rate = as_fast_as_it_goes(target, at_once).await;
    let conditions =
        "recorded and noted as delivered, both synced to disk; 64 calls at a time; a system that answers at once";
    row(rows, "crm.outbox_writes_per_s", "writes/s", rate.0, rate.1, conditions);
    let embedded = |store: &Store| -> Arc<dyn Crm> { Arc::new(Embedded::new(store.clone())) };
    let rate = as_fast_as_it_goes(target, embedded).await;
    row(
        rows,
        "crm.embedded_writes_per_s",
        "writes/s",
        rate.0,
        rate.1,
        "the same, into the embedded system, a third sync a write",
    );
    paced(target, rows).await;
}

/// Writes a second, and how many there were.
async fn as_fast_as_it_goes(target: &Path, make: impl Fn(&Store) -> Arc<dyn Crm>) -> (f64, usize) {
    let dir = tempfile::TempDir::new_in(target).unwrap();
    let store = Store::open(dir.path().join("fast.db")).await.unwrap();
    let outbox = Outbox::start(store.clone(), make(&store), Duration::from_secs(30)).await.unwrap();
    let started = Instant::now();
    let workers: Vec<_> = (0..64)
        .map(|worker| {
            let outbox = outbox.clone();
            tokio::spawn(async move {
                let mut settled = 0_usize;
                while started.elapsed() < SUSTAINED {
                    outbox
                        .enqueue(&write(worker + 64 * settled, Step::Complete))
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
    (total as f64 / started.elapsed().as_secs_f64(), total)
}

/// At the rate that must be sustained.
async fn paced(target: &Path, rows: &mut Map<String, Value>) {
    let dir = tempfile::TempDir::new_in(target).unwrap();
    let store = Store::open(dir.path().join("paced.db")).await.unwrap();
    let outbox = Outbox::start(store.clone(), Arc::new(AtOnce), Duration::from_secs(30)).await.unwrap();
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
        "{RATE} writes a second for {} s; the last settled {} ms after the end",
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
