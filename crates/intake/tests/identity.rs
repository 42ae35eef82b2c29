//! Who is told what, and what a new config means for a call that is under way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]

mod support;

use std::sync::Arc;

use baton_intake::{
    Action, ActionResult, ContactView, Day, Flow, Intake, Next, OrderView, RecordView, Reply, compile, raw,
};
use support::DEFAULT_FLOW;

fn made(name: &str, text: &str) -> Arc<Flow> {
    let raw: raw::Flows = toml::from_str(text).unwrap();
    compile(raw, &["support".to_owned()]).unwrap().remove(name).unwrap()
}

fn said(reply: &Reply) -> String {
    reply.say.join(" ")
}

fn helen() -> ContactView {
    ContactView {
        id: "p1".into(),
        name: "Helen Brooks".into(),
        matched_by: "caller_id".into(),
        records: vec![RecordView {
            kind: "appointment".into(),
            status: "confirmed".into(),
            when: Some("2026-11-26".into()),
            ..RecordView::default()
        }],
        attributes: [("date_of_birth".to_owned(), "1978-03-03".to_owned())].into(),
        ..ContactView::default()
    }
}

fn clinic(birthday: &str) -> (Intake, Vec<String>) {
    let flow = made("clinic", include_str!("../../../sip-configs/flows/clinic.toml"));
    let mut intake = Intake::new(flow, Some("+15550001111".to_owned()));
    intake.set_today(Day::new(2026, 11, 24).unwrap());
    intake.contact_found(helen());
    let mut heard = vec![said(&intake.begin())];
    for line in ["When is my appointment?", "Helen Brooks", birthday] {
        heard.push(said(&intake.heard(line, 0.9)));
    }
    (intake, heard)
}

#[test]
fn a_clinic_tells_nothing_before_the_birthday_matches() {
    let (intake, heard) = clinic("March 3rd 1978");
    assert!(heard[3].contains("confirmed") && heard[3].contains("November 26"), "{heard:?}");
    assert!(heard[..3].iter().all(|h| !h.contains("Helen") && !h.contains("confirmed")), "{heard:?}");
    assert!(intake.form().slots()["date_of_birth"].confirmed);

    let (mut intake, heard) = clinic("March 4th 1978");
    assert!(heard[3].contains("doesn't match"), "{heard:?}");
    let reply = intake.heard("It is March 5th 1978", 0.9);
    let mut told = said(&reply);
    if let Next::Act(Action::Lookup { contact, .. }) = &reply.next {
        assert_eq!(*contact, None, "who is not believed is not looked up as that person");
        let found = intake.action_result(ActionResult::Record(Some((helen().records.remove(0), helen()))));
        told.push_str(&said(&found));
    }
    assert!(!told.contains("confirmed") && !told.contains("November 26"), "{told}");
}

fn stranger_asks(flow: Arc<Flow>) -> String {
    let order = OrderView {
        number: "A-1042".into(),
        status: "delayed".into(),
        item: "blue kettle".into(),
        ..OrderView::default()
    };
    let maria = ContactView { id: "c1".into(), name: "Maria Gomez".into(), ..ContactView::default() };
    let mut intake = Intake::new(flow, None);
    intake.begin();
    let mut told = String::new();
    for line in ["Where is order A 1042?", "yes", "Paul Smith", "yes", "yes"] {
        let reply = intake.heard(line, 0.9);
        told.push_str(&said(&reply));
        if let Next::Act(_) = reply.next {
            told.push_str(&said(&intake.action_result(ActionResult::Order(Some((order.clone(), maria.clone()))))));
        }
    }
    told
}

#[test]
fn what_may_be_told_before_identity_is_the_configs_word() {
    let closed = stranger_asks(made("orders", DEFAULT_FLOW));
    assert!(!closed.contains("delayed") && !closed.contains("kettle"), "{closed}");
    let open =
        stranger_asks(made("orders", &DEFAULT_FLOW.replace("reveal = [\"name\"]", "reveal = [\"name\", \"status\"]")));
    assert!(open.contains("delayed"), "{open}");
}

#[test]
fn the_contacts_name_is_said_only_where_it_may() {
    let ask = |text: &str| {
        let mut intake = Intake::new(made("orders", text), None);
        intake.contact_found(support::contacts().remove(0));
        intake.begin();
        said(&intake.heard("where is my order", 0.9))
    };
    assert!(ask(DEFAULT_FLOW).contains("Maria Gomez"));
    let hidden = ask(&DEFAULT_FLOW.replace("reveal = [\"name\"]", "reveal = []"));
    assert!(!hidden.contains("Maria") && hidden.contains("name"), "{hidden}");
}

#[test]
fn a_call_keeps_the_flow_it_began_with() {
    let before = made("orders", DEFAULT_FLOW);
    let mut old = Intake::new(before.clone(), None);
    old.begin();
    let after = made("orders", &DEFAULT_FLOW.replace("May I have your full name?", "Who is calling?"));
    let mut new = Intake::new(after, None);
    new.begin();
    drop(before);
    assert!(said(&old.heard("where is my order", 0.9)).contains("May I have your full name?"));
    assert!(said(&new.heard("where is my order", 0.9)).contains("Who is calling?"));
}

#[test]
fn keys_fill_what_they_can() {
    let flow = made("claim", include_str!("../../../sip-configs/flows/claim.toml"));
    let mut intake = Intake::new(flow, None);
    intake.set_today(Day::new(2026, 11, 24).unwrap());
    intake.begin();
    let mut reply = intake.heard("I want to file a claim", 0.9);
    for _ in 0..12 {
        let keys = match intake.asking() {
            "name" => {
                reply = intake.heard("Frank Miller", 0.9);
                continue;
            }
            "account_holder" => "1",
            "policy_number" => "882104",
            "cause" => "2",
            "incident_date" => "1123#",
            "injured" => "2",
            "amount" => "600#",
            _ => break,
        };
        for key in keys.chars() {
            reply = intake.digits(&key.to_string());
        }
    }
    let form = intake.form();
    let value = |slot: &str| form.text(slot).unwrap_or("-").to_owned();
    let all = ["policy_number", "cause", "incident_date", "injured", "amount"].map(value);
    assert_eq!(all, ["HM-882104", "theft", "2026-11-23", "no", "$600"], "{reply:?}");
    assert_eq!(intake.asking(), "email");
}
