//! The embedded system of record: who is found, and who is not.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::sync::Arc;

use baton_crm::conformance::{self, Fixture};
use baton_crm::{CaseWrite, Crm, Embedded, Lookup, Numbering, Step};
use baton_store::{Seed, Store};
use tempfile::TempDir;

const PEOPLE: &str = r#"
[[contact]]
id = "c1"
name = "Maria Gómez"
phones = ["+1 555 123 0001", "+1 555 123 0099"]
email = "Maria.Gomez@example.com"
flags = ["vip"]
attributes = { date_of_birth = "1978-03-03" }
authorised = ["Carlos Gómez"]

[[contact]]
id = "c2"
name = "Laura Bennett"
phones = ["+1 555 123 0011"]

[[contact]]
id = "c3"
name = "Mark Bennett"
phones = ["+1 555 123 0011"]

[[contact]]
id = "c4"
name = "Anna Schmidt"
phones = ["+49 555 123 0001"]

[[order]]
number = "A-1042"
contact = "c1"
item = "blue kettle"
status = "delayed"
amount_cents = 21250
eta = "in 6 days"

[[order]]
number = "SO-20391"
contact = "c1"
item = "steel toaster"
status = "shipped"
ordered_on = "yesterday"

[[record]]
kind = "ticket"
number = "T-58213"
contact = "c1"
status = "being repaired"
what = "the toaster"
due = "in 2 days"

[[record]]
kind = "appointment"
contact = "c2"
status = "confirmed"
due = "by noon"
"#;

async fn crm(dir: &TempDir) -> (Arc<dyn Crm>, Store) {
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    store.seed(&Seed::parse(PEOPLE).unwrap()).await.unwrap();
    (Arc::new(Embedded::new(store.clone())), store)
}

async fn ids(crm: &dyn Crm, lookup: Lookup) -> Vec<String> {
    crm.find_person(lookup).await.unwrap().into_iter().map(|p| p.id).collect()
}

#[tokio::test]
async fn a_caller_is_found_however_the_trunk_writes_the_number() {
    let dir = TempDir::new().unwrap();
    let (crm, store) = crm(&dir).await;
    for number in [
        "+15551230001",
        "15551230001",
        "5551230001",
        "0015551230001",
        "(555) 123-0001",
        "sip:+15551230001@carrier.example",
        "5551230099",
    ] {
        assert_eq!(ids(crm.as_ref(), Lookup::Phone(number.into())).await, ["c1"], "{number}");
    }
    for number in ["1230001", "551230001", "+5551230001", "+155512300010", "anonymous", "", "1001"] {
        assert_eq!(
            ids(crm.as_ref(), Lookup::Phone(number.into())).await,
            Vec::<String>::new(),
            "{number}: like it is not it"
        );
    }
    let german = Embedded::new(store).numbering(Numbering::new("49"));
    assert_eq!(ids(&german, Lookup::Phone("05551230001".into())).await, ["c4"]);
}

#[tokio::test]
async fn several_on_one_number_are_all_told() {
    let dir = TempDir::new().unwrap();
    let (crm, _) = crm(&dir).await;
    assert_eq!(ids(crm.as_ref(), Lookup::Phone("+15551230011".into())).await, ["c2", "c3"]);
}

#[tokio::test]
async fn people_by_order_name_and_id() {
    let dir = TempDir::new().unwrap();
    let (crm, _) = crm(&dir).await;
    for lookup in [Lookup::Order("a 10 42".into()), Lookup::Name("maria gomez".into()), Lookup::Id("c1".into())] {
        let people = crm.find_person(lookup.clone()).await.unwrap();
        assert_eq!(people.len(), 1, "{lookup:?}");
        let maria = &people[0];
        assert_eq!((maria.name.as_str(), maria.flags.as_slice()), ("Maria Gómez", ["vip".to_owned()].as_slice()));
        let numbers: Vec<_> = maria.orders.iter().map(|o| o.number.as_str()).collect();
        assert_eq!(numbers, ["SO-20391", "A-1042"], "newest first");
    }
    for lookup in [Lookup::Order("A-104".into()), Lookup::Name("Maria".into()), Lookup::Id("c9".into())] {
        assert!(ids(crm.as_ref(), lookup).await.is_empty());
    }
}

#[tokio::test]
async fn what_else_is_on_record_comes_with_its_holder() {
    let dir = TempDir::new().unwrap();
    let (crm, store) = crm(&dir).await;
    store.seed(&Seed::parse(PEOPLE).unwrap()).await.unwrap(); // again: nothing is doubled
    let maria = crm.find_person(Lookup::Id("c1".into())).await.unwrap().remove(0);
    let known = maria.all_attributes();
    assert_eq!((known["date_of_birth"].as_str(), known["vip"].as_str()), ("1978-03-03", "yes"));
    assert_eq!(maria.authorised, ["Carlos Gómez"]);
    let days: Vec<_> = maria.all_records().iter().map(|r| (r.kind.clone(), r.due.clone().unwrap().len())).collect();
    assert_eq!(days, [("ticket".to_owned(), "2026-11-26".len())], "a day that is counted becomes a date");
    for number in ["T-58213", "t 58 213"] {
        let (ticket, holder) = crm.record("ticket".into(), number.into()).await.unwrap().unwrap();
        assert_eq!(
            (ticket.status.as_str(), ticket.what.as_str(), holder.id.as_str()),
            ("being repaired", "the toaster", "c1")
        );
    }
    for (kind, number) in [("claim", "T-58213"), ("ticket", "T-58214"), ("appointment", ""), ("appointment", "-")] {
        assert!(crm.record(kind.into(), number.into()).await.unwrap().is_none(), "{kind} {number}");
    }
    let laura = crm.find_person(Lookup::Id("c2".into())).await.unwrap().remove(0);
    assert_eq!(laura.all_records()[0].due.as_deref(), Some("by noon"));
}

#[tokio::test]
async fn an_order_comes_with_its_holder() {
    let dir = TempDir::new().unwrap();
    let (crm, _) = crm(&dir).await;
    for number in ["A-1042", "a1042", "A 1042", "a - 10-42"] {
        let (order, holder) = crm.order(number.into()).await.unwrap().unwrap();
        assert_eq!((order.status.as_str(), order.amount_cents, holder.id.as_str()), ("delayed", Some(21_250), "c1"));
    }
    assert!(crm.order("B-1042".into()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_case_is_made_changed_and_closed_and_each_write_counts_once() {
    let dir = TempDir::new().unwrap();
    let (crm, store) = crm(&dir).await;
    let step = |key: &str, step, summary: &str| CaseWrite {
        key: key.into(),
        call_id: "call".into(),
        step,
        contact: Some("c1".into()),
        trigger: Some("asked_for_person".into()),
        disposition: "ESC_ASKED_FOR_PERSON".into(),
        summary: summary.into(),
        ..CaseWrite::default()
    };
    let open = step("call:open", Step::Open, "asks for a person");
    let first = crm.write(&open).await.unwrap();
    assert_eq!((first.system.as_str(), first.record_id.as_str()), ("embedded", "CASE-00001"));
    assert_eq!(crm.write(&open).await.unwrap(), first, "the same answer again");
    crm.write(&step("call:update-1", Step::Update, "gave an order number")).await.unwrap();
    let last = crm.write(&step("call:complete", Step::Complete, "joined")).await.unwrap();
    assert_eq!(last.record_id, first.record_id);

    let case = store.case("call").await.unwrap().unwrap();
    assert_eq!((case.summary.as_str(), case.closed, case.revision), ("joined", true, 3));
    assert_eq!(case.contact_id.as_deref(), Some("c1"));
    let body: CaseWrite = serde_json::from_str(&case.body).unwrap();
    assert_eq!(body.step, Step::Complete);

    let solved =
        CaseWrite { key: "other:complete".into(), call_id: "other".into(), ..step("", Step::Complete, "solved") };
    assert_eq!(crm.write(&solved).await.unwrap().record_id, "CASE-00002", "a call solved alone has its record too");
}

#[tokio::test]
async fn the_suite_for_all_connectors_holds() {
    let dir = TempDir::new().unwrap();
    let (_, store) = crm(&dir).await;
    let crm = Embedded::new(store);
    let fixture = Fixture {
        stamp: "t1".into(),
        name: "Maria Gómez".into(),
        phones: vec!["+15551230001".into(), "(555) 123-0099".into()],
        emails: vec!["maria.gomez@example.com".into()],
        shared_phone: Some("+15551230011".into()),
        strangers: vec!["+15551230000".into(), "1230001".into(), "anonymous".into()],
        orders: vec!["A-1042".into(), "a 1042".into()],
        dispositions: ["ESC_ASKED_FOR_PERSON".into(), "SOLVED".into()],
        agent: Some("1001".into()),
        queue: Some("billing".into()),
        keeps_nothing: false,
    };
    assert_eq!(conformance::run(&crm, &fixture).await, []);
}
