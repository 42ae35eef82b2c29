//! The system of record as an agent and a caller meet it: the real binary, real calls, and systems of record that keep state
//! and fail as told (`crates/crm/tests/fakes`). Callers press 0, so that nothing here depends on what was heard.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails is a failed test")]

#[path = "../crates/crm/tests/fakes/mod.rs"]
mod fakes;
#[path = "../crates/crm/tests/support/systems.rs"]
mod systems;

use std::io::{Read, Write};
use std::process::{Command, Output};
use std::time::Duration;

use fakes::hubspot::HubSpot;
use fakes::shopify::Shopify;
use fakes::zendesk::Zendesk;
use fakes::{Fake, Fault};
use serde_json::Value;
use support::talk::{self, Caller, People, Talk, header};
use support::{Gateway, baton, dir};
use tokio::runtime::Runtime;

const LIMIT: Duration = Duration::from_secs(60);
const MARIA: &str = "+15551230001";

/// `[crm]` of a gateway that has these systems: the first has people and cases, the second, if any, orders. Both have short
/// patience, so that a test of it is short too.
fn crm(systems: &[(&str, &str)]) -> String {
    let (kind, url) = systems[0];
    let sections = systems.iter().map(|(kind, url)| {
        let text = systems::config(kind, url);
        let at = text.find(&format!("[{kind}]")).unwrap();
        text[at..].replacen('[', "[crm.", 1)
    });
    let sections = sections.collect::<Vec<_>>().join("\n");
    let orders = systems.get(1).map(|(orders, _)| format!("orders = \"{orders}\"\n")).unwrap_or_default();
    assert!(url.starts_with("http://127.0.0.1:"));
    format!(
        "kind = \"{kind}\"\n{orders}timeout_ms = 1000\nlookup_ms = 1000\nsettle_s = 0\nupdate_s = 0\n\n[crm.map]\n\
         dispositions = {{ ESC-PERSON = \"Escalated\", RESOLVED = \"Solved\" }}\nqueues = {{ support = \"360001\" }}\n\
         agents = {{ 1001 = \"77\" }}\nfields = {{ order_number = \"360042\" }}\n\n{sections}"
    )
}

/// A gateway on that `[crm]`.
fn start(name: &str, crm: &str) -> Gateway {
    Gateway::start(&dir(name).unwrap(), |text| talk::config(&text, crm)).unwrap()
}

fn until(what: &str, mut test: impl FnMut() -> bool) {
    talk::until(what, || Ok(test())).unwrap();
}

/// A command of the same binary, beside the gateway that runs.
fn run(gateway: &Gateway, args: &[&str]) -> (Output, String) {
    let config = gateway.dir.join("baton.toml");
    let out = Command::new(baton()).args(args).args(["--config", config.to_str().unwrap()]).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out, said)
}

/// The agent's phone, rung for a caller who pressed 0.
fn person(people: &mut People, caller: Caller) -> Talk {
    people.press(&caller, "0#");
    people.to_agent(caller).unwrap()
}

/// The address in the agent's INVITE.
fn context(talk: &Talk) -> String {
    let info = header(&talk.invite, "Call-Info").expect("a context URL");
    let (url, rest) = info.trim_start_matches('<').split_once('>').unwrap();
    assert_eq!(rest, ";purpose=info");
    url.to_owned()
}

fn count<V: fakes::Vendor>(fake: &Fake<V>, what: &str) -> usize {
    fake.objects().into_iter().find(|(name, _)| *name == what).unwrap().1
}

fn late_words(record: &Value) -> bool {
    record["briefing"]["text"].as_str().unwrap().contains("The record is not yet in the CRM.")
}

/// The call that goes on is known to be Maria's.
fn is_known(gateway: &Gateway) -> bool {
    let records = gateway.records().unwrap();
    records
        .iter()
        .any(|r| r["ended_at"].is_null() && r["contact"]["id"] == "101" && r["contact"]["name"] == "Maria Gomez")
}

#[test]
fn people_and_tickets_at_the_desk_orders_from_the_shop_and_the_agents_screen() {
    let fakes = Runtime::new().unwrap();
    let (desk, shop) =
        fakes.block_on(async { (Fake::start_with(Zendesk::new).await, Fake::start(Shopify::default()).await) });
    let gateway = start("crm-two", &crm(&[("zendesk", &desk.url), ("shopify", &shop.url)]));
    let (out, said) = run(&gateway, &["check"]);
    assert!(out.status.success() && said.contains("zendesk, orders in shopify"), "{said}");
    // Beside the gateway that runs; it leaves nothing behind.
    let (out, said) = run(&gateway, &["crm", "test"]);
    assert!(out.status.success(), "{said}");
    for line in ["system of record: zendesk", "can      zendesk: sign in", "can      shopify: write calls"] {
        assert!(said.contains(line), "`{line}` is not in:\n{said}");
    }
    assert_eq!(count(&desk, "tickets"), 0);

    let mut people = People::at(&gateway).unwrap();
    let call = people.call(&gateway, MARIA).unwrap();
    until("the desk knows the caller", || is_known(&gateway));
    // What the caller tells is in the system of record while they are still with the assistant.
    people.press(&call, "1042#");
    let live = gateway.records().unwrap()[0]["call_id"].as_str().unwrap().to_owned();
    let order = serde_json::json!({"id": 360_042, "value": "#1042"});
    until("the desk has the order's number", || {
        let ticket = desk.vendor.lock().unwrap().ticket_of(&live);
        ticket.is_some_and(|ticket| ticket["custom_fields"].as_array().unwrap().contains(&order))
    });
    assert!(gateway.records().unwrap()[0]["trigger"].is_null(), "nobody was called yet");
    let talk = person(&mut people, call);
    // The agent picked up: the desk has the ticket, the phone its address, the screen shows it.
    let ticket = desk.vendor.lock().unwrap().ticket_of(&talk.call_id).expect("the record comes first");
    assert_eq!(context(&talk), format!("{}/agent/tickets/{}", desk.url, ticket["id"]));
    assert!(header(&talk.invite, "User-to-User").unwrap().ends_with(";encoding=hex;purpose=x-baton"));
    until("the agent's screen shows it", || {
        desk.vendor.lock().unwrap().popped == [format!("77 tickets {}", ticket["id"])]
    });
    assert_eq!((&ticket["requester_id"], &ticket["group_id"]), (&101.into(), &360_001.into()));
    let call_id = talk.call_id.clone();
    let record = people.finish(&gateway, talk).unwrap();
    assert_eq!(record["crm"]["policy"], "acknowledged");
    assert!(record["crm"]["acknowledged_at"].as_str() <= record["bridged_at"].as_str());
    assert!(!late_words(&record), "{}", record["briefing"]);
    gateway.until_delivered().unwrap();
    let ticket = desk.vendor.lock().unwrap().ticket_of(&call_id).unwrap();
    assert_eq!(ticket["assignee_id"], 77, "whoever took the call has the ticket: {ticket}");
    assert!(ticket["tags"].as_array().unwrap().contains(&"baton_ended".into()), "{ticket}");
    assert_eq!((count(&desk, "tickets"), count(&desk, "calls")), (1, 1));
    let orders = shop.log.lock().unwrap().iter().filter(|req| req.raw.contains("customerByIdentifier")).count();
    assert!(orders > 0, "the shop was asked for the caller's orders");

    // What Baton keeps of the caller goes by command, beside the gateway that runs.
    let (out, said) = run(&gateway, &["forget", "(555) 123-0001"]);
    assert!(out.status.success(), "{said}");
    assert!(said.contains("deleted: 1 calls") && said.contains("still in zendesk, ask it to delete: 2"), "{said}");
    assert!(gateway.records().unwrap().is_empty());
    let (out, said) = run(&gateway, &["forget", "--older-than", "30"]);
    assert!(out.status.success() && said.contains("deleted: 0 calls"), "{said}");
}

#[test]
fn a_system_that_fails_costs_nobody_the_call_and_nothing_is_lost_or_doubled() {
    let fakes = Runtime::new().unwrap();
    let desk = fakes.block_on(Fake::start_with(Zendesk::new));
    let gateway = start("crm-faults", &crm(&[("zendesk", &desk.url)]));
    let mut people = People::at(&gateway).unwrap();
    let mut tickets = 0;

    // Down for the whole call; slow by 30 s: the flow's policy goes on without it, and the agent is told.
    for fault in [Fault::RequestLost, Fault::Slow(Duration::from_secs(30))] {
        desk.always(Some(fault));
        let call = people.call(&gateway, MARIA).unwrap();
        let talk = person(&mut people, call);
        assert_eq!(count(&desk, "tickets"), tickets, "{fault:?}: the agent's phone rang before the record");
        assert!(context(&talk).ends_with(&format!("/calls/{}", talk.call_id)), "no ticket yet: Baton's own page");
        let record = people.finish(&gateway, talk).unwrap();
        assert_eq!(record["crm"]["policy"], "proceeded", "{fault:?}");
        assert!(late_words(&record), "{fault:?}: {}", record["briefing"]);
        assert!(record["crm"]["acknowledged_at"].is_null() && record["crm"]["requested_at"].is_string());
        desk.always(None);
        gateway.until_delivered().unwrap();
        tickets += 1;
        assert_eq!(count(&desk, "tickets"), tickets, "{fault:?}");
    }
    let metrics = gateway.get("/metrics").unwrap().1;
    assert!(metrics.contains("baton_crm_records_total{policy=\"proceeded\"} 2"), "{metrics}");

    // Turned away for its rate, failing, its answer lost after the effect: one after the other, in each of the first requests.
    for fault in [Fault::Limited, Fault::Broken, Fault::AnswerLost] {
        let call = people.call(&gateway, MARIA).unwrap();
        until("the desk knows the caller", || is_known(&gateway));
        desk.arm(&[(0, fault), (1, fault), (2, fault)]);
        let talk = person(&mut people, call);
        people.finish(&gateway, talk).unwrap();
        gateway.until_delivered().unwrap();
        tickets += 1;
        assert_eq!(count(&desk, "tickets"), tickets, "{fault:?}");
    }

    // Refused for good: a dead letter, listed and sent again by command.
    desk.always(Some(Fault::Refused));
    let call = people.call(&gateway, MARIA).unwrap();
    let talk = person(&mut people, call);
    let call_id = talk.call_id.clone();
    let record = people.finish(&gateway, talk).unwrap();
    assert_eq!(record["crm"]["policy"], "proceeded");
    assert!(late_words(&record));
    gateway.until_delivered().unwrap();
    desk.always(None);
    assert_eq!(count(&desk, "tickets"), tickets);
    let (out, said) = run(&gateway, &["crm", "dead"]);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{call_id}:1")) && said.contains("422"), "{said}");
    let (out, said) = run(&gateway, &["crm", "resend", "no-such-key"]);
    assert!(out.status.code() == Some(1) && said.contains("baton crm dead"), "{said}");
    let (out, said) = run(&gateway, &["crm", "resend", "--all"]);
    assert!(out.status.success() && said.contains("is being sent"), "{said}");
    gateway.until_delivered().unwrap();
    let (out, said) = run(&gateway, &["crm", "dead"]);
    assert!(out.status.success() && said.contains("no write was given up"), "{said}");
    assert_eq!(count(&desk, "tickets"), tickets + 1);
}

#[test]
fn a_token_that_ends_in_mid_call_and_kill_9_before_the_acknowledgement() {
    let fakes = Runtime::new().unwrap();
    let hubspot = fakes.block_on(Fake::start(HubSpot::default()));
    let without_pages = crm(&[("hubspot", &hubspot.url)]).replace("portal = \"77\"\n", "");
    let gateway = start("crm-token", &without_pages);
    let mut people = People::at(&gateway).unwrap();

    let call = people.call(&gateway, MARIA).unwrap();
    until("the caller is known", || is_known(&gateway));
    hubspot.arm(&[(0, Fault::Expired)]);
    let talk = person(&mut people, call);
    // HubSpot has no page of a call: the agent's is Baton's own.
    let page = context(&talk);
    for said in ["<h1>Maria Gomez</h1>", "asked for person", "in hubspot", "the call goes on"] {
        until(said, || fetch(&page).contains(said)); // the page follows the record on disk
    }
    let record = people.finish(&gateway, talk).unwrap();
    assert_eq!(record["crm"]["policy"], "acknowledged", "the token was renewed and the agent waited for no policy");
    gateway.until_delivered().unwrap();
    assert_eq!(count(&hubspot, "calls"), 1);

    // The write has its effect, its answer never comes, and the gateway is killed: one record, and it is completed.
    let call = people.call(&gateway, MARIA).unwrap();
    until("the caller is known", || is_known(&gateway));
    hubspot.arm(&[(0, Fault::HangAfter)]);
    let mut watch = hubspot.watch.subscribe();
    people.press(&call, "0");
    let effect = async { while watch.recv().await.unwrap() != (0, true) {} };
    fakes.block_on(async { tokio::time::timeout(LIMIT, effect).await }).expect("the write has its effect");
    let gateway = gateway.kill_and_restart().unwrap();
    hubspot.always(None);
    gateway.until_delivered().unwrap();
    let record = gateway.records().unwrap().remove(0);
    assert_eq!(record["termination"]["cause"], "interrupted");
    assert_eq!(count(&hubspot, "calls"), 2, "one for each call");
    let id = record["call_id"].as_str().unwrap();
    until("the last word arrives", || {
        let status = hubspot.vendor.lock().unwrap().call_property(id, "hs_call_status");
        status.as_deref() == Some("COMPLETED")
    });
}

#[test]
fn a_card_number_that_is_typed_reaches_neither_disk_nor_log_nor_system() {
    let fakes = Runtime::new().unwrap();
    let hubspot = fakes.block_on(Fake::start(HubSpot::default()));
    let gateway = start("crm-card", &crm(&[("hubspot", &hubspot.url)]));
    let people = People::at(&gateway).unwrap();
    let caller = people.call(&gateway, MARIA).unwrap();
    people.press(&caller, "4111111111111111#");
    until("it is told as a card number", || gateway.get("/api/v1/calls").unwrap().1.contains("[card number]"));
    people.runtime.block_on(async { caller.call.media().wait(LIMIT, |media| media.sent_digits() == 17).await });
    people.runtime.block_on(async { caller.call.hang_up() });
    until("the call is over", || gateway.records().unwrap()[0]["ended_at"].is_string());
    gateway.until_delivered().unwrap();
    let secret = "111111111111";
    assert!(!gateway.get("/api/v1/calls").unwrap().1.contains(secret));
    assert!(hubspot.log.lock().unwrap().iter().all(|request| !request.raw.contains(secret)));
    for file in std::fs::read_dir(&gateway.dir).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{}", file.display());
    }
}

#[test]
fn words_that_fit_nothing_are_told_before_anything_starts() {
    for (wrong, right, says) in [
        ("ESC-PERSON = ", "ESC-PERSEN = ", "crm.map.dispositions.ESC-PERSEN: no trigger or flow has this disposition"),
        ("support = \"360001\"", "suport = \"360001\"", "crm.map.queues.suport: there is no such queue"),
        ("1001 = \"77\"", "1009 = \"77\"", "crm.map.agents.1009: there is no such extension"),
        ("order_number = \"360042\"", "colour = \"9\"", "crm.map.fields.colour: no flow collects this slot"),
        ("orders = \"shopify\"\n", "orders = \"zendesk\"\n", "crm.orders: that system knows no orders"),
        ("[crm.shopify]\n", "[crm.hubspot]\n", "crm.shopify: the section is missing"),
    ] {
        let dir = dir("crm-words").unwrap();
        let file = dir.join("baton.toml");
        let both = crm(&[("zendesk", "http://127.0.0.1:9"), ("shopify", "http://127.0.0.1:9")]).replace(wrong, right);
        let (text, ..) = support::config(&dir, |text| talk::config(&text, &both)).unwrap();
        std::fs::write(&file, text).unwrap();
        let out = Command::new(baton()).args(["check", "--config"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(2) && said.contains(says) && said.contains("baton.toml:"), "{says}:\n{said}");
    }
}

fn fetch(url: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}
