use super::*;

/// A folder that goes when the test does.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("baton-store-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn row(id: &str, ended: Option<&str>) -> CallRow {
    let (call_id, started_at) = (id.to_owned(), format!("2026-11-24T10:00:0{id}Z"));
    CallRow { call_id, started_at, ended_at: ended.map(Into::into), from: "+1".into(), to: "5000".into(), disposition: None, json: "{\"turns\":[]}".into() }
}

#[tokio::test]
async fn calls_survive_and_the_interrupted_are_marked() {
    let dir = Dir::new("calls");
    let path = dir.0.join("deep/er/baton.db");
    let store = Store::open(&path).await.unwrap();
    store.save_call(&row("1", None)).await.unwrap();
    store.save_call(&row("2", Some("2026-11-24T10:01:00Z"))).await.unwrap();
    assert!(matches!(Store::open(&path).await, Err(StoreError::Locked { .. })), "one gateway per store");
    drop(store);
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.mark_interrupted().await.unwrap(), 1);
    assert_eq!(store.mark_interrupted().await.unwrap(), 0);
    let cut = store.call("1").await.unwrap().unwrap();
    assert!(cut.json.contains("\"interrupted\"") && cut.ended_at.is_some());
    let ids: Vec<_> = store.calls(10).await.unwrap().into_iter().map(|c| c.call_id).collect();
    assert_eq!(ids, ["2", "1"]);
    assert_eq!(store.call("3").await.unwrap(), None);
}

#[tokio::test]
async fn the_demo_contacts_load_twice_and_are_found() {
    let dir = Dir::new("seed");
    let store = Store::open(&dir.0.join("b.db")).await.unwrap();
    let seed = Seed::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../media/demo/contacts.toml"))).unwrap();
    assert!(seed.contact.len() >= 10);
    store.seed(&seed).await.unwrap();
    store.seed(&seed).await.unwrap();
    let found = store.contacts_by_phone("+15551230001").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(store.orders_of(&found[0].id).await.unwrap().len(), 1);
    for written in ["A-1042", "a1042", "A 10 42"] {
        assert_eq!(store.order(written).await.unwrap().unwrap().item, "blue kettle");
    }
    assert_eq!(store.order("A-104").await.unwrap(), None);
}

#[tokio::test]
async fn one_case_per_call_and_one_effect_per_key() {
    let dir = Dir::new("case");
    let store = Store::open(&dir.0.join("b.db")).await.unwrap();
    for _ in 0..3 {
        store.write_case("c:write", "c", None, "ESC", "s", "{}").await.unwrap();
    }
    store.write_case("c:complete", "c", None, "ESC", "done", "{}").await.unwrap();
    let cases = store.cases().await.unwrap();
    assert_eq!((cases.len(), cases[0].writes, cases[0].summary.as_str()), (1, 2, "done"));
}

#[tokio::test]
async fn what_is_wrong_says_what_to_do() {
    let dir = Dir::new("wrong");
    std::fs::create_dir_all(&dir.0).unwrap();
    let file = dir.0.join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Store::open(&file.join("b.db")).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("[store] path"), "{error}");
    let damaged = dir.0.join("damaged.db");
    std::fs::write(&damaged, vec![7u8; 8_192]).unwrap();
    assert!(matches!(Store::open(&damaged).await, Err(StoreError::Open { .. })));
}
