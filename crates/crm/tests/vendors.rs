//! Every connector against a system that keeps state: the suite for all, and every fault at every single request of a call.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a panic here is a failed test")]

mod fakes;
#[path = "support/systems.rs"]
mod systems;

use std::sync::Arc;
use std::time::Duration;

use baton_crm::conformance::{self, Fixture};
use baton_crm::{CaseWrite, DeliveryEvent, Lookup, Outbox, Policy, Step};
use baton_store::Store;
use fakes::{Fake, Fault, Vendor, fixture};
use jiff::Timestamp;
use systems::{SECRETS, config, connect};
use tempfile::TempDir;

const FAULTS: [Fault; 5] = [Fault::Broken, Fault::AnswerLost, Fault::RequestLost, Fault::Limited, Fault::Expired];

async fn store() -> (Store, TempDir) {
    let dir = TempDir::new().unwrap();
    (Store::open(dir.path().join("b.db")).await.unwrap(), dir)
}

/// The suite, then the faults.
async fn holds<V: Vendor>(kind: &str, fixture: Fixture, make: impl Fn(&str) -> V) {
    let (store, _dir) = store().await;
    let fake = Fake::start_with(&make).await;
    let crm = connect(&config(kind, &fake.url), &store);
    assert_eq!(conformance::run(crm.as_ref(), &fixture).await, [], "{kind}");

    let clean = run(kind, &store, &make, &format!("{kind}-clean"), &[]).await;
    eprintln!("{kind}: a call is {} requests and leaves {:?}", clean.requests, clean.objects);
    let mut faults = 0;
    for fault in FAULTS {
        for at in 0..clean.requests {
            // One fault; then the same again at the next request, so that the way back is hit too.
            for plan in [&[(at, fault)][..], &[(at, fault), (at + 1, fault)]] {
                let call = format!("{kind}-{fault:?}-{at}-{}", plan.len());
                let hit = run(kind, &store, &make, &call, plan).await;
                assert_eq!(hit.objects, clean.objects, "{call}: lost or doubled");
                faults += 1;
            }
        }
    }
    eprintln!("{kind}: {faults} calls with faults, each with the effects of one without");
}

struct Run {
    requests: usize,
    objects: Vec<(&'static str, usize)>,
}

/// One call's writes through the outbox, with requests going wrong as planned.
async fn run<V: Vendor>(
    kind: &str,
    store: &Store,
    make: impl Fn(&str) -> V,
    call: &str,
    plan: &[(usize, Fault)],
) -> Run {
    let fake = Fake::start_with(make).await;
    let crm = connect(&config(kind, &fake.url), store);
    let contact = crm.find_person(Lookup::Phone("+15551230001".into())).await.unwrap().remove(0).id;
    let policy = Policy {
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(4),
        ..Policy::new(Duration::from_secs(20))
    };
    let outbox = Outbox::start_with(store.clone(), Arc::clone(&crm), policy).await.unwrap();
    fake.arm(plan);
    let mut deliveries = Vec::new();
    for write in writes(call, &contact) {
        deliveries.push((write.key.clone(), outbox.enqueue(&write).await.unwrap()));
    }
    for (key, delivery) in &mut deliveries {
        let event = tokio::time::timeout(Duration::from_secs(60), delivery.settled()).await;
        assert!(matches!(event, Ok(Some(DeliveryEvent::Acknowledged(_)))), "{key}: {event:?}");
        let row = format!("{:?}", store.outbox_get(key).await.unwrap());
        assert!(!SECRETS.iter().any(|secret| row.contains(secret)), "{row}");
    }
    let requests = fake.seen();
    fake.always(None);
    let cases = crm.cases(call).await.unwrap();
    assert_eq!(cases.len(), 1, "{call}: {cases:?}");
    let case = &cases[0];
    assert!(case.closed && case.notes.len() == 1, "{call}: {case:?}");
    assert_eq!(
        (case.disposition.as_deref(), case.contact.as_deref()),
        (Some("SOLVED"), Some(contact.as_str())),
        "{call}"
    );
    Run { requests, objects: fake.objects() }
}

fn writes(call: &str, contact: &str) -> Vec<CaseWrite> {
    let base = CaseWrite {
        call_id: call.into(),
        from: "+15551230001".into(),
        to: "+15550000100".into(),
        started_at: Some(Timestamp::now()),
        trigger: Some("asked_for_person".into()),
        disposition: "ESC".into(),
        summary: "rings about a delivery".into(),
        ..CaseWrite::default()
    };
    [Step::Open, Step::Update, Step::Note, Step::Link, Step::Complete]
        .map(|step| CaseWrite {
            key: format!("{call}:{}", step.name()),
            step,
            contact: matches!(step, Step::Link | Step::Complete).then(|| contact.to_owned()),
            note: (step == Step::Note).then(|| "in a hurry".into()),
            disposition: if step == Step::Complete { "SOLVED" } else { "ESC" }.into(),
            ended_at: (step == Step::Complete).then(Timestamp::now),
            agent: (step == Step::Complete).then(|| "1001".into()),
            ..base.clone()
        })
        .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zendesk() {
    holds("zendesk", fixture(), fakes::zendesk::Zendesk::new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hubspot() {
    holds("hubspot", fixture(), |_| fakes::hubspot::HubSpot::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn salesforce() {
    holds("salesforce", fixture(), |_| fakes::salesforce::Salesforce::of(systems::KEY)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gorgias() {
    holds("gorgias", fixture(), |_| fakes::gorgias::Gorgias::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shopify() {
    // A number is one customer's there; orders are known there.
    let fixture = Fixture { shared_phone: None, orders: vec!["#1042".into(), "1042".into()], ..fixture() };
    holds("shopify", fixture, |_| fakes::shopify::Shopify::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook() {
    let fixture = Fixture { orders: vec!["A-1042".into(), "a 1042".into()], ..fixture() };
    holds("webhook", fixture, |_| fakes::webhook::Webhook::default()).await;
}
