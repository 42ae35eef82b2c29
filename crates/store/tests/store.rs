//! The store as its users meet it: on disk, reopened, refused.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use baton_store::{AgentRow, CallRow, CaseChange, OutboxState, Registration, Seed, Store, StoreError};
use serde_json::{Value, json};
use tempfile::TempDir;

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../media/demo/contacts.toml")
}

fn call(id: &str, ended: Option<&str>, disposition: Option<&str>) -> CallRow {
    let started = "2026-11-24T10:00:00.000Z";
    CallRow {
        call_id: id.into(),
        started_at: started.into(),
        ended_at: ended.map(Into::into),
        from: "+15551230001".into(),
        to: "100".into(),
        disposition: disposition.map(Into::into),
        json: json!({"call_id": id, "started_at": started, "ended_at": ended, "turns": [{"text": "hello"}], "termination": null}).to_string(),
    }
}

fn change<'a>(key: &'a str, summary: &'a str, closes: bool) -> CaseChange<'a> {
    CaseChange {
        key,
        call_id: "c1",
        contact_id: Some("c01"),
        disposition: Some("ESC_ASKED_FOR_PERSON"),
        trigger: Some("asked_for_person"),
        summary,
        body: "{}",
        closes,
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("var/lib/baton.db");
    let store = Store::open(&path).await.unwrap();
    store.save_call(&call("c1", None, None)).await.unwrap();
    store.outbox_add("c1:open", "c1", "open", "{}").await.unwrap();
    drop(store);

    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.call("c1").await.unwrap(), Some(call("c1", None, None)));
    assert_eq!(store.outbox_depth().await.unwrap(), 1);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "customers' data is the owner's");
    store.close().await;
}

#[tokio::test]
async fn a_call_keeps_its_last_version_and_its_place() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    for id in ["c1", "c2", "c3"] {
        store.save_call(&call(id, None, None)).await.unwrap();
    }
    let ended = call("c1", Some("2026-11-24T10:05:00.000Z"), Some("RESOLVED"));
    store.save_call(&ended).await.unwrap();
    store.save_call(&call("c1", None, None)).await.unwrap();

    assert_eq!(store.call("c1").await.unwrap(), Some(ended), "an ended call is not opened again");
    let ids = |rows: Vec<CallRow>| rows.into_iter().map(|c| c.call_id).collect::<Vec<_>>();
    assert_eq!(ids(store.calls(10).await.unwrap()), ["c3", "c2", "c1"]);
    assert_eq!(ids(store.calls(2).await.unwrap()), ["c3", "c2"]);
    assert_eq!(store.call("nobody").await.unwrap(), None);
}

#[tokio::test]
async fn calls_cut_by_a_crash_are_marked_once() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    store.save_call(&call("live", None, Some("ESC_ASKED_FOR_PERSON"))).await.unwrap();
    store.save_call(&CallRow { json: "{\"cut".into(), ..call("garbled", None, None) }).await.unwrap();
    let done = call("done", Some("2026-11-24T10:05:00.000Z"), Some("RESOLVED"));
    store.save_call(&done).await.unwrap();

    assert_eq!(store.mark_interrupted().await.unwrap(), 2);
    for id in ["live", "garbled"] {
        let row = store.call(id).await.unwrap().unwrap();
        let record: Value = serde_json::from_str(&row.json).unwrap();
        assert_eq!(record["termination"], json!({"cause": "interrupted", "by": "baton"}));
        assert_eq!(record["ended_at"].as_str(), row.ended_at.as_deref());
        assert_eq!(record["call_id"], json!(id));
        row.ended_at.unwrap().parse::<jiff::Timestamp>().unwrap();
    }
    let live: Value = serde_json::from_str(&store.call("live").await.unwrap().unwrap().json).unwrap();
    assert_eq!(live["turns"][0]["text"], "hello", "the rest of the record stays");
    assert_eq!(store.call("done").await.unwrap(), Some(done));
    assert_eq!(store.mark_interrupted().await.unwrap(), 0);
}

#[tokio::test]
async fn a_case_write_counts_once_and_the_closing_one_stands() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    let first = store.change_case(&change("c1:open", "opened", false)).await.unwrap();
    assert_eq!(store.change_case(&change("c1:open", "again", false)).await.unwrap(), first);
    let case = store.case("c1").await.unwrap().unwrap();
    assert_eq!((case.summary.as_str(), case.revision, case.closed), ("opened", 1, false));

    let last = store.change_case(&change("c1:complete", "closed", true)).await.unwrap();
    assert_eq!(last.case_id, first.case_id);
    store.change_case(&change("c1:update-1", "late", false)).await.unwrap();
    let case = store.case("c1").await.unwrap().unwrap();
    assert_eq!((case.summary.as_str(), case.revision, case.closed), ("closed", 3, true));
}

#[tokio::test]
async fn the_outbox_remembers() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    let (row, new) = store.outbox_add("a:open", "a", "open", "1").await.unwrap();
    assert!(new && row.state == OutboxState::Pending);
    let (row, new) = store.outbox_add("a:open", "a", "open", "2").await.unwrap();
    assert!(!new && row.payload == "1", "the first stands");
    store.outbox_add("b:open", "b", "open", "3").await.unwrap();

    let next: jiff::Timestamp = "2026-11-24T10:00:00.250Z".parse().unwrap();
    store.outbox_failed("a:open", 1, "down", next).await.unwrap();
    let pending = store.outbox_pending().await.unwrap();
    assert_eq!(pending.iter().map(|r| r.key.as_str()).collect::<Vec<_>>(), ["a:open", "b:open"]);
    assert_eq!(
        (pending[0].attempts, pending[0].next_at, pending[0].last_error.as_deref()),
        (1, Some(next), Some("down"))
    );

    store.outbox_delivered("b:open", "{}").await.unwrap();
    store.outbox_give_up("a:open", 2, "refused").await.unwrap();
    assert_eq!(store.outbox_depth().await.unwrap(), 0);
    assert_eq!(store.outbox_dead().await.unwrap()[0].last_error.as_deref(), Some("refused"));
    assert_eq!(store.outbox_get("b:open").await.unwrap().unwrap().receipt.as_deref(), Some("{}"));

    assert!(store.outbox_revive("a:open").await.unwrap());
    assert!(!store.outbox_revive("b:open").await.unwrap(), "what was delivered is not sent again");
    let row = store.outbox_get("a:open").await.unwrap().unwrap();
    assert_eq!((row.state, row.attempts), (OutboxState::Pending, 0));
}

#[tokio::test]
async fn the_demo_seed_is_whole_and_seeding_again_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    let seed = Seed::read(demo()).unwrap();
    assert!(seed.len() >= 10);
    store.seed(&seed).await.unwrap();
    let maria = store.contacts_by_phone(&["+15551230001".into()]).await.unwrap();
    assert_eq!(maria.len(), 1);
    assert_eq!((maria[0].name.as_str(), maria[0].phones[0].as_str()), ("Maria Gomez", "+15551230001"));
    let orders = store.orders(&maria[0].id).await.unwrap();
    let kettle = store.order("a 1042").await.unwrap().unwrap();
    let known = (kettle.item.as_str(), kettle.status.as_str(), kettle.amount_cents, kettle.currency.as_str());
    assert_eq!(known, ("blue kettle", "delayed", Some(21_250), "USD"));
    assert!(orders.contains(&kettle));
    kettle.eta.as_deref().unwrap().parse::<jiff::civil::Date>().unwrap();
    assert_eq!(store.contacts_by_name("maría GÓMEZ").await.unwrap(), maria);

    store.seed(&seed).await.unwrap();
    assert_eq!(store.contacts_by_phone(&["+15551230001".into()]).await.unwrap(), maria);
    assert_eq!(store.orders(&maria[0].id).await.unwrap(), orders);
}

#[tokio::test]
async fn dates_counted_in_days_are_counted_from_today_and_the_newest_order_is_first() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    let order = |number: &str, on: &str, eta: &str| {
        format!(
            "[[order]]\nnumber = \"{number}\"\ncontact = \"1\"\nitem = \"x\"\nstatus = \"shipped\"\nordered_on = \"{on}\"\neta = \"{eta}\"\n"
        )
    };
    let text = "[[contact]]\nid = \"1\"\nname = \"A B\"\n".to_owned()
        + &order("A-1", "9 days ago", "in 3 days")
        + &order("A-2", "yesterday", "2030-01-02");
    let before = jiff::Zoned::now().date();
    store.seed(&Seed::parse(&text).unwrap()).await.unwrap();
    let orders = store.orders("1").await.unwrap();
    assert_eq!((orders[0].number.as_str(), orders[0].eta.as_deref()), ("A-2", Some("2030-01-02")));
    let eta: jiff::civil::Date = orders[1].eta.as_deref().unwrap().parse().unwrap();
    let days = before.until(eta).unwrap().get_days();
    assert!((3..=4).contains(&days), "4 if midnight passed: {days}");
}

#[tokio::test]
async fn a_changed_seed_is_followed_and_the_rest_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    store.seed(&Seed::read(demo()).unwrap()).await.unwrap();
    let text = "[[contact]]\nid = \"c01\"\nname = \"Maria Lopez\"\nphones = [\"+1 555 777 0000\"]\n\
                [[order]]\nnumber = \"A 1042\"\ncontact = \"c01\"\nitem = \"red kettle\"\nstatus = \"shipped\"\n";
    store.seed(&Seed::parse(text).unwrap()).await.unwrap();
    assert!(store.contacts_by_phone(&["+15551230001".into()]).await.unwrap().is_empty(), "the old number is gone");
    assert_eq!(store.contact("c01").await.unwrap().unwrap().name, "Maria Lopez");
    assert_eq!(store.order("A-1042").await.unwrap().unwrap().item, "red kettle");
    assert_eq!(store.contacts_by_name("David Chen").await.unwrap().len(), 1);
}

#[tokio::test]
async fn registrations_hold_until_they_expire() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("b.db");
    let store = Store::open(&path).await.unwrap();
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let binding = |contact: &str, expires: &str| Registration {
        aor: "sip:1001@baton".into(),
        contact: contact.into(),
        source: "127.0.0.1:5062".into(),
        expires_at: at(expires),
        ..Registration::default()
    };
    let desk = Registration {
        q: 500,
        path: vec!["<sip:edge1;lr>".into(), "<sip:edge2;lr>".into()],
        ..binding("sip:1001@10.0.0.1", "2026-11-24T11:00:00Z")
    };
    let gone = binding("sip:1001@10.0.0.3", "2026-11-24T11:00:00Z");
    store.set_registrations("sip:1001@baton", &[desk.clone(), gone]).await.unwrap();
    let short = binding("sip:1001@10.0.0.2", "2026-11-24T10:00:00Z");
    store.set_registrations("sip:1001@baton", &[desk.clone(), short]).await.unwrap();
    drop(store);
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.registrations(at("2026-11-24T10:00:00Z")).await.unwrap(), std::slice::from_ref(&desk));
    let renewed = Registration { expires_at: at("2026-11-24T12:00:00Z"), ..desk };
    store.set_registrations("sip:1001@baton", std::slice::from_ref(&renewed)).await.unwrap();
    assert_eq!(store.registrations(at("2026-11-24T11:30:00Z")).await.unwrap(), [renewed]);
    store.set_registrations("sip:1001@baton", &[]).await.unwrap();
    assert!(store.registrations(at("2026-11-24T11:30:00Z")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_registrar_and_a_desk_find_what_they_knew_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("b.db");
    let store = Store::open(&path).await.unwrap();
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let phone = Registration {
        aor: "sip:1001@baton".into(),
        contact: "sip:1001@10.0.0.1;transport=tls".into(),
        source: "10.0.0.1:40312".into(),
        expires_at: at("2026-11-24T11:00:00Z"),
        call_id: "a84b4c76e66710".into(),
        cseq: 1_826,
        transport: "tls".into(),
        instance: Some("<urn:uuid:00000000-0000-1000-8000-000A95A0E128>".into()),
        user_agent: Some("desk phone".into()),
    };
    store.save_registration(&Registration { cseq: 1_825, ..phone.clone() }).await.unwrap();
    store.save_registration(&phone).await.unwrap();
    let agent = |extension: &str, state: &str| AgentRow {
        extension: extension.into(),
        state: state.into(),
        reason: (state == "paused").then(|| "lunch".into()),
        since: at("2026-11-24T10:00:00Z"),
    };
    store.save_agent(&agent("1001", "ready")).await.unwrap();
    store.save_agent(&agent("1001", "paused")).await.unwrap();
    store.save_agent(&agent("1002", "ready")).await.unwrap();
    store.remove_agent("1002").await.unwrap();
    drop(store);

    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.registrations(at("2026-11-24T10:30:00Z")).await.unwrap(), [phone]);
    assert_eq!(store.agents().await.unwrap(), [agent("1001", "paused")]);
    assert_eq!(store.remove_registrations("sip:1001@baton").await.unwrap(), 1);
    assert_eq!(store.registrations(at("2026-11-24T10:30:00Z")).await.unwrap(), []);
}

#[tokio::test]
async fn what_cannot_be_opened_says_why_and_what_to_do() {
    let dir = TempDir::new().unwrap();
    let open = async |path: PathBuf| Store::open(path).await.unwrap_err();

    let error = open(dir.path().to_owned()).await;
    assert!(error.to_string().contains("set [store] path to a file"), "{error}");

    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = open(file.join("b.db")).await;
    assert!(matches!(error, StoreError::Open { .. }) && error.to_string().contains("must be a folder"), "{error}");

    let text = dir.path().join("text.db");
    std::fs::File::create(&text)
        .unwrap()
        .write_all(&b"this is no database, it is a letter to a friend\n".repeat(100))
        .unwrap();
    let error = open(text).await;
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");

    let foreign = dir.path().join("foreign.db");
    raw(&foreign, "CREATE TABLE songs (name TEXT)").await;
    assert!(matches!(open(foreign).await, StoreError::Foreign { .. }));

    let newer = dir.path().join("newer.db");
    Store::open(&newer).await.unwrap().close().await;
    raw(&newer, "PRAGMA user_version = 999").await;
    let error = open(newer).await;
    assert!(
        matches!(error, StoreError::Newer { found: 999, .. }) && error.to_string().contains("newer Baton"),
        "{error}"
    );
}

async fn raw(path: &Path, sql: &'static str) {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn two_processes_do_not_share_a_store() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("b.db");
    let mut other = Other::start(&path);
    let error = Store::open(&path).await.unwrap_err();
    let pid = other.0.id();
    assert!(matches!(error, StoreError::InUse { holder: Some(holder), .. } if holder == pid), "{error:?}");
    assert!(error.to_string().contains(&pid.to_string()));

    let alias = dir.path().join("alias.db");
    std::os::unix::fs::symlink(&path, &alias).unwrap();
    assert!(matches!(Store::open(&alias).await.unwrap_err(), StoreError::InUse { .. }), "nor under another name");

    other.0.kill().unwrap();
    other.0.wait().unwrap();
    let store = Store::open(&path).await.unwrap();
    assert!(matches!(Store::open(&path).await.unwrap_err(), StoreError::InUse { .. }), "nor within one process");
    drop(store);
}

/// This test binary again, as another process that has the store.
struct Other(Child);

impl Other {
    fn start(path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "other_process", "--ignored", "--nocapture"])
            .env("BATON_TEST_STORE", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("the store is open")));
        Self(child)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "run by two_processes_do_not_share_a_store, in a process of its own"]
async fn other_process() {
    let Some(path) = std::env::var_os("BATON_TEST_STORE") else { return };
    let _store = Store::open(path).await.unwrap();
    println!("the store is open");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

#[tokio::test]
async fn promised_calls_outlive_the_process() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("b.db");
    let store = Store::open(&path).await.unwrap();
    store.save_ticket("call-1", "first").await.unwrap();
    store.save_ticket("call-2", "second").await.unwrap();
    store.save_ticket("call-1", "first, again").await.unwrap();
    store.remove_ticket("call-2").await.unwrap();
    drop(store);
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.tickets().await.unwrap(), [("call-1".to_owned(), "first, again".to_owned())]);
}
