//! The connector for Request Tracker 5 against a real one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a panic here is a failed test")]

#[path = "support/rt.rs"]
mod rt;

use std::sync::Arc;
use std::time::Duration;

use baton_crm::config::CrmConfig;
use baton_crm::conformance::{self, Fixture};
use baton_crm::{CapabilityState, CaseWrite, Crm, CrmError, DeliveryEvent, Hint, Lookup, Outbox, Step};
use baton_store::Store;
use rt::{ROOT, Rt};
use tempfile::TempDir;

async fn connect(rt: &Rt, more: &str) -> (Arc<dyn Crm>, Store, TempDir) {
    let text = format!(
        "kind = \"rt\"\nlookup_ms = 60000\nsettle_s = 0\n{more}\n[rt]\nurl = \"{}\"\nuser = \"{}\"\npassword = \"{}\"",
        rt.url, ROOT.0, ROOT.1
    );
    let config: CrmConfig = toml::from_str(&text).unwrap();
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    (config.connect(&store).unwrap(), store, dir)
}

fn write(call: &str, step: Step) -> CaseWrite {
    CaseWrite {
        key: format!("{call}:{}", step.name()),
        call_id: call.into(),
        step,
        from: "+15551230001".into(),
        disposition: "ESC".into(),
        trigger: Some("asked_for_person".into()),
        summary: "rings about a delivery".into(),
        ..CaseWrite::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_request_tracker() {
    let Some(rt) = Rt::start().await else { return };
    let map = "[map]\nqueues = { billing = \"Billing\" }\ndispositions = { ESC = \"Escalated\" }\nfields = { order_number = \"Order Number\" }";
    let (crm, store, _dir) = connect(&rt, map).await;

    // Somebody with an open ticket, made as an agent would make it.
    let ticket = CaseWrite { contact: Some("maria".into()), ..write("before", Step::Open) };
    crm.write(&ticket).await.unwrap();
    let fixture = Fixture {
        stamp: "rt".into(),
        name: "Maria Gomez".into(),
        phones: vec!["+15551230001".into(), "(555) 123-0099".into()],
        emails: vec!["Maria@example.com".into()],
        shared_phone: Some("+15551230011".into()),
        strangers: vec!["+15551230000".into(), "1230001".into(), "anonymous".into()],
        dispositions: ["ESC".into(), "SOLVED".into()],
        queue: Some("billing".into()),
        ..Fixture::default()
    };
    assert_eq!(conformance::run(crm.as_ref(), &fixture).await, []);

    pages(crm.as_ref()).await;
    doubles(crm.as_ref()).await;
    refusals(&rt, crm.as_ref()).await;
    through_the_outbox(Arc::clone(&crm), store).await;
}

async fn pages(crm: &dyn Crm) {
    let crowd = crm.find_person(Lookup::Phone("+15551230077".into())).await.unwrap();
    assert_eq!(crowd.len(), 23, "more than one page of them");
}

/// Two tickets of one call, as a create that took effect late leaves them: the elder stands.
async fn doubles(crm: &dyn Crm) {
    let open = write("double", Step::Open);
    let blind = CaseWrite { hint: Hint { fresh: true, ..Hint::default() }, ..open.clone() };
    let first = crm.write(&blind).await.unwrap();
    let second = crm.write(&CaseWrite { key: "double:again".into(), ..blind }).await.unwrap();
    assert_ne!(first.record_id, second.record_id, "RT itself does not refuse a double");
    assert_eq!(crm.cases("double").await.unwrap().len(), 2);
    let receipt = crm.write(&open).await.unwrap();
    assert_eq!(receipt.record_id, first.record_id);
    let left = crm.cases("double").await.unwrap();
    assert_eq!((left.len(), &left[0].record_id), (1, &first.record_id));
}

async fn refusals(rt: &Rt, crm: &dyn Crm) {
    // A number that reads as a query is a number.
    let odd = crm.cases("x' OR id > 0 OR 'CF.{Baton Call}' = 'x").await.unwrap();
    assert_eq!(odd, []);

    let text = format!("kind = \"rt\"\n[rt]\nurl = \"{}\"\nuser = \"root\"\npassword = \"not the password\"", rt.url);
    let config: CrmConfig = toml::from_str(&text).unwrap();
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    let denied = config.connect(&store).unwrap();
    let error = denied.write(&write("denied", Step::Open)).await.unwrap_err();
    assert!(matches!(&error, CrmError::Denied(_)), "{error}");
    let report = denied.check().await;
    assert!(
        report.iter().any(|c| matches!(&c.state, CapabilityState::Cannot(why) if why.contains("401"))),
        "{report:?}"
    );
    assert!(!format!("{config:?}{report:?}{error}").contains("not the password"));

    let (wrong, _store, _dir) = connect(rt, "[map]\nqueues = { q = \"No Such Queue\" }").await;
    let refused = wrong.write(&CaseWrite { queue: Some("q".into()), ..write("refused", Step::Open) }).await;
    let refused = refused.unwrap_err();
    assert!(matches!(&refused, CrmError::Denied(_) | CrmError::Refused(_)), "{refused}");

    // A field that RT does not have: RT says 201 and drops it; the connector says so instead of losing the call.
    let text = format!(
        "kind = \"rt\"\nsettle_s = 0\n[rt]\nurl = \"{}\"\nuser = \"{}\"\npassword = \"{}\"\nfields = {{ call = \"Nope\" }}",
        rt.url, ROOT.0, ROOT.1
    );
    let config: CrmConfig = toml::from_str(&text).unwrap();
    let nameless = config.connect(&store).unwrap();
    let blind = CaseWrite { hint: Hint { fresh: true, ..Hint::default() }, ..write("nope", Step::Open) };
    let error = nameless.write(&blind).await.unwrap_err();
    assert!(matches!(&error, CrmError::Refused(why) if why.contains("\"Nope\" is not applied")), "{error}");
    let report = nameless.check().await;
    assert!(
        report
            .iter()
            .any(|c| matches!(&c.state, CapabilityState::Cannot(why) if why.contains("make the custom field"))),
        "{report:?}"
    );
}

async fn through_the_outbox(crm: Arc<dyn Crm>, store: Store) {
    let outbox = Outbox::start(store, Arc::clone(&crm), Duration::from_secs(60)).await.unwrap();
    for step in [Step::Open, Step::Update, Step::Note, Step::Complete] {
        let write = CaseWrite { note: (step == Step::Note).then(|| "in a hurry".into()), ..write("outbox", step) };
        let mut delivery = outbox.enqueue(&write).await.unwrap();
        if step == Step::Complete {
            assert!(matches!(delivery.settled().await, Some(DeliveryEvent::Acknowledged(_))));
        }
    }
    let cases = crm.cases("outbox").await.unwrap();
    assert_eq!((cases.len(), cases[0].notes.len(), cases[0].closed), (1, 1, true), "{cases:?}");
}
