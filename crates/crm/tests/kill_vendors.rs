//! kill -9 at every request of a call, once before the request had its effect and once between the effect and its answer;
//! then a new start on the same store. The system is in this process and outlives the victim.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a panic here is a failed test"
)]

mod fakes;
#[path = "support/systems.rs"]
mod systems;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use baton_crm::{CaseWrite, Outbox, Policy, Step};
use baton_store::{OutboxState, Store};
use fakes::{Fake, Fault, Vendor};
use systems::{config, connect};
use tempfile::TempDir;

fn policy() -> Policy {
    Policy {
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(10),
        ..Policy::new(Duration::from_secs(30))
    }
}

const STEPS: [Step; 4] = [Step::Open, Step::Update, Step::Note, Step::Complete];

fn write(step: Step) -> CaseWrite {
    CaseWrite {
        key: format!("killed:{}", step.name()),
        call_id: "killed".into(),
        step,
        from: "+15551230001".into(),
        to: "+15550000100".into(),
        trigger: Some("asked_for_person".into()),
        disposition: "ESC".into(),
        summary: "rings about a delivery".into(),
        note: (step == Step::Note).then(|| "in a hurry".into()),
        contact: Some("101".into()),
        started_at: "2026-11-24T10:00:00Z".parse().ok(),
        ..CaseWrite::default()
    }
}

/// Every kill point of one system, some at a time. Answers how many there were.
async fn every_point<V: Vendor>(kind: &'static str, make: fn(&str) -> V) -> usize {
    let (requests, clean) = one(kind, make, None).await;
    let points: Vec<(usize, Fault)> =
        (0..requests).flat_map(|at| [(at, Fault::HangBefore), (at, Fault::HangAfter)]).collect();
    for some in points.chunks(4) {
        let running: Vec<_> = some.iter().map(|&point| tokio::spawn(one(kind, make, Some(point)))).collect();
        for (run, point) in running.into_iter().zip(some) {
            let (_, objects) = run.await.unwrap();
            assert_eq!(objects, clean, "{kind}, killed at {point:?}: lost or doubled");
        }
    }
    points.len()
}

async fn one<V: Vendor>(
    kind: &'static str,
    make: fn(&str) -> V,
    point: Option<(usize, Fault)>,
) -> (usize, Vec<(&'static str, usize)>) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("b.db");
    let fake = Fake::start_with(make).await;
    fake.arm(point.as_slice());
    let mut watch = fake.watch.subscribe();
    let mut victim = start(&path, &config(kind, &fake.url));
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    if let Some((at, fault)) = point {
        let after = fault == Fault::HangAfter;
        let wait = async { while watch.recv().await.unwrap() != (at, after) {} };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("{kind}: no request {at}"));
        victim.kill().unwrap();
    }
    let enqueued = tokio::task::spawn_blocking(move || {
        let mut keys = Vec::new();
        while let Some(Ok(line)) = lines.next() {
            keys.extend(line.strip_prefix("enqueued ").map(str::to_owned));
        }
        victim.wait().unwrap();
        keys
    });
    let enqueued = enqueued.await.unwrap();
    let requests = fake.seen();
    fake.always(None);

    let store = Store::open(&path).await.unwrap();
    for key in &enqueued {
        assert!(store.outbox_get(key).await.unwrap().is_some(), "{key} was enqueued and is lost");
    }
    let outbox = Outbox::start_with(store.clone(), connect(&config(kind, &fake.url), &store), policy()).await.unwrap();
    // What the victim had not come to is asked for now; what it had is not sent twice by that.
    for step in STEPS {
        outbox.enqueue(&write(step)).await.unwrap();
    }
    assert!(outbox.flush(Duration::from_secs(60)).await, "{kind} {point:?}");
    for step in STEPS {
        let row = store.outbox_get(&write(step).key).await.unwrap().unwrap();
        assert_eq!(row.state, OutboxState::Delivered, "{kind} {point:?}: {row:?}");
    }
    (requests, fake.objects())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_doubled_by_kill_9_at_any_request() {
    let points = every_point("zendesk", fakes::zendesk::Zendesk::new).await
        + every_point("gorgias", |_| fakes::gorgias::Gorgias::default()).await
        + every_point("hubspot", |_| fakes::hubspot::HubSpot::default()).await
        + every_point("salesforce", |_| fakes::salesforce::Salesforce::of(systems::KEY)).await
        + every_point("shopify", |_| fakes::shopify::Shopify::default()).await
        + every_point("webhook", |_| fakes::webhook::Webhook::default()).await;
    eprintln!("killed at {points} points");
    assert!(points > 60, "{points}");
}

fn start(path: &Path, config: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored", "--nocapture"])
        .env("BATON_TEST_VICTIM", path)
        .env("BATON_TEST_CONFIG", config)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by nothing_is_lost_or_doubled_by_kill_9_at_any_request, in a process of its own"]
async fn victim() {
    let Some(path) = std::env::var_os("BATON_TEST_VICTIM") else { return };
    let config = std::env::var("BATON_TEST_CONFIG").unwrap();
    let store = Store::open(path).await.unwrap();
    let crm = connect(&config, &store);
    let outbox = Outbox::start_with(store, crm, policy()).await.unwrap();
    for step in STEPS {
        let write = write(step);
        outbox.enqueue(&write).await.unwrap();
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "enqueued {}", write.key).and_then(|()| out.flush());
    }
    outbox.flush(Duration::from_secs(60)).await;
}
