//! What must not be kept is not on the disk, byte for byte; what somebody wants gone is gone.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use baton_crm::{CaseWrite, Crm, Embedded, Numbering, Outbox, Step, privacy};
use baton_store::{CallRow, Seed, Store};
use serde_json::json;
use tempfile::TempDir;

/// Whether any of the store's files holds these bytes.
fn on_disk(dir: &Path, text: &str) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

fn call(id: &str, from: &str, ended: Option<&str>, said: &str) -> CallRow {
    CallRow {
        call_id: id.into(),
        started_at: "2026-11-24T10:00:00.000Z".into(),
        ended_at: ended.map(str::to_owned),
        from: from.into(),
        to: "100".into(),
        disposition: None,
        json: json!({"call_id": id, "from": from, "contact": {"id": "c1"},
            "turns": [{"who": "assistant", "text": "What is your PIN?"}, {"who": "caller", "text": "8 3 7 1"}, {"who": "caller", "text": said}]})
        .to_string(),
    }
}

fn write(call: &str, from: &str, summary: &str) -> CaseWrite {
    CaseWrite {
        key: format!("{call}:complete"),
        call_id: call.into(),
        step: Step::Complete,
        from: from.into(),
        contact: Some("c1".into()),
        summary: summary.into(),
        slots: json!({"pin": {"value": "8371", "source": "dtmf"}, "name": {"value": "Maria Gomez"}}),
        ..CaseWrite::default()
    }
}

#[tokio::test]
async fn card_numbers_and_codes_are_never_on_the_disk() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    let said = "pay with 4929 1188 3307 0014, the security code is 905";
    store.save_call(&call("k1", "+15551230001", None, said)).await.unwrap();
    let crm = Arc::new(Embedded::new(store.clone()));
    let outbox = Outbox::start(store.clone(), crm.clone(), Duration::from_secs(5)).await.unwrap();
    let note = CaseWrite { key: "k1:note".into(), step: Step::Note, note: Some(said.into()), ..write("k1", "", said) };
    outbox.enqueue(&note).await.unwrap().settled().await.unwrap();
    outbox.enqueue(&write("k1", "+15551230001", said)).await.unwrap().settled().await.unwrap();

    // The embedded system got what the disk has, and nothing else.
    let case = crm.cases("k1").await.unwrap().remove(0);
    assert_eq!(case.notes, ["pay with [card number], the security code is [code]"]);
    for secret in ["4929 1188", "3307 0014", "905\"", "is 905", "8 3 7 1", "8371"] {
        assert!(!on_disk(dir.path(), secret), "{secret}");
    }
    assert!(on_disk(dir.path(), "Maria Gomez"), "the search itself finds what is there");
}

#[tokio::test]
async fn a_caller_is_forgotten_everywhere_here_and_told_of_elsewhere() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    let people = "[[contact]]\nid = \"c1\"\nname = \"Maria Gomez\"\nphones = [\"+1 555 123 0001\"]\n[[contact]]\nid = \"c2\"\nname = \"Otto Other\"\nphones = [\"+1 555 123 0002\"]";
    store.seed(&Seed::parse(people).unwrap()).await.unwrap();
    let over = Some("2026-11-24T10:05:00.000Z");
    for (id, from, ended) in [("k1", "+15551230001", over), ("k2", "5551230001", over), ("k3", "+15551230001", None)] {
        store.save_call(&call(id, from, ended, "my name is Maria Gomez")).await.unwrap();
    }
    let mut other = call("k9", "+15551230002", over, "I am Otto Other");
    other.json = other.json.replace("\"c1\"", "\"c2\"");
    store.save_call(&other).await.unwrap();
    let crm = Arc::new(Embedded::new(store.clone()));
    let outbox = Outbox::start(store.clone(), crm, Duration::from_secs(5)).await.unwrap();
    outbox.enqueue(&write("k1", "+15551230001", "Maria Gomez asked")).await.unwrap().settled().await.unwrap();
    store.outbox_add("k2:open", "k2", "open", r#"{"from":"5551230001"}"#).await.unwrap();
    let receipt = r#"{"system":"zendesk","record_id":"42","acknowledged_at":"2026-11-24T10:00:00Z"}"#;
    store.outbox_add("k1:open", "k1", "open", r#"{"from":"+15551230001"}"#).await.unwrap();
    store.outbox_delivered("k1:open", receipt).await.unwrap();

    let plan = Numbering::default();
    let gone = privacy::forget(&store, &plan, &["(555) 123-0001".into()], Some("c1")).await.unwrap();
    assert_eq!((gone.calls.as_slice(), gone.live.as_slice()), (&["k1".to_owned()][..], &["k3".to_owned()][..]));
    assert_eq!(gone.waiting, ["k2:open"]);
    assert!(!gone.is_complete());
    assert_eq!(gone.elsewhere.len(), 1);
    assert_eq!((gone.elsewhere[0].system.as_str(), gone.elsewhere[0].record_id.as_str()), ("zendesk", "42"));
    assert!(store.contact("c1").await.unwrap().is_some(), "still needed by the call that goes on");

    store.save_call(&call("k3", "+15551230001", over, "")).await.unwrap();
    store.save_ticket("k2", r#"{"id":"k2","number":"+15551230001","summary":"4111111111111111"}"#).await.unwrap();
    assert!(!on_disk(dir.path(), "411111111111"), "a promise is kept without card numbers too");
    let owed = privacy::forget(&store, &plan, &["5551230001".into()], None).await.unwrap();
    assert_eq!((owed.live, owed.calls), (vec!["k2".to_owned()], vec!["k3".to_owned()]), "a callback is owed");
    store.remove_ticket("k2").await.unwrap();
    store.outbox_give_up("k2:open", 1, "nobody there").await.unwrap();
    let gone = privacy::forget(&store, &plan, &["(555) 123-0001".into()], Some("c1")).await.unwrap();
    assert!(gone.is_complete() && gone.calls == ["k2"], "{gone:?}");
    assert!(store.contact("c1").await.unwrap().is_none());
    assert!(store.call("k9").await.unwrap().is_some(), "others' calls stay");
    assert!(!on_disk(dir.path(), "Maria Gomez"), "overwritten, not only unlinked");
    assert!(on_disk(dir.path(), "Otto Other"));
    let again = privacy::forget(&store, &plan, &["+15551230001".into()], Some("c1")).await.unwrap();
    assert_eq!(again, privacy::Deletion::default());
}

#[tokio::test]
async fn old_calls_expire_and_dead_letters_stay() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    store.save_call(&call("old", "+15551230001", Some("2020-01-01T00:00:00.000Z"), "")).await.unwrap();
    store.save_call(&call("live", "+15551230001", None, "")).await.unwrap();
    let now = jiff::Timestamp::now();
    store.save_call(&call("new", "+15551230001", Some(&format!("{now:.3}")), "")).await.unwrap();
    store.outbox_add("old:open", "old", "open", "{}").await.unwrap();
    store.outbox_give_up("old:open", 3, "refused").await.unwrap();
    assert_eq!(privacy::expire(&store, Duration::from_secs(30 * 86_400)).await.unwrap(), 1);
    assert!(store.call("old").await.unwrap().is_none());
    assert!(store.call("live").await.unwrap().is_some() && store.call("new").await.unwrap().is_some());
    assert_eq!(store.outbox_dead().await.unwrap().len(), 1);
}
