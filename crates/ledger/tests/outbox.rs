//! The outbox against a system of record that fails in every way, and against kill -9.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use baton_crm::{Answer, CaseWrite, Crm, CrmError, DeliveryEvent, Embedded, Lookup, Order, Outbox, Person, Receipt};
use baton_store::Store;

/// The embedded system, with faults in front of it.
struct Faulty {
    inner: Embedded,
    calls: AtomicU32,
    fault: fn(u32) -> Fault,
}

enum Fault {
    None,
    Before,
    After,
    Hang,
    Refuse,
}

impl Crm for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }
    fn find_person(&self, lookup: Lookup) -> Answer<'_, Vec<Person>> {
        self.inner.find_person(lookup)
    }
    fn order(&self, number: String) -> Answer<'_, Option<(Order, Person)>> {
        self.inner.order(number)
    }
    fn write_case(&self, case: CaseWrite) -> Answer<'_, Receipt> {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match (self.fault)(n) {
                Fault::None => self.inner.write_case(case).await,
                Fault::Before => Err(CrmError::Unavailable("503".into())),
                Fault::After => {
                    self.inner.write_case(case).await?;
                    Err(CrmError::Unavailable("the answer was lost".into()))
                }
                Fault::Hang => std::future::pending().await,
                Fault::Refuse => Err(CrmError::Refused("422".into())),
            }
        })
    }
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("baton-crm-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }
    fn db(&self) -> PathBuf {
        self.0.join("b.db")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn case(key: &str) -> CaseWrite {
    let call_id = key.split(':').next().unwrap().to_owned();
    CaseWrite { key: key.into(), call_id, contact: None, caller_name: None, account_holder: None, trigger: None, disposition: "ESC".into(), summary: key.into(), slots: serde_json::json!({}) }
}

async fn outcome(name: &str, fault: fn(u32) -> Fault) -> (Vec<DeliveryEvent>, Store, Outbox, Dir) {
    let dir = Dir::new(name);
    let store = Store::open(&dir.db()).await.unwrap();
    let crm = Arc::new(Faulty { inner: Embedded::new(store.clone()), calls: AtomicU32::new(0), fault });
    let outbox = Outbox::start(store.clone(), crm, Duration::from_millis(300)).await.unwrap();
    let mut delivery = outbox.enqueue(&case("c1:write")).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = delivery.next().await {
        let last = !matches!(event, DeliveryEvent::Failing { .. });
        events.push(event);
        if last {
            break;
        }
    }
    (events, store, outbox, dir)
}

#[tokio::test]
async fn acknowledged_at_once() {
    let (events, store, outbox, _dir) = outcome("ok", |_| Fault::None).await;
    assert!(matches!(&events[..], [DeliveryEvent::Acknowledged(r)] if r.record_id == "1"));
    assert_eq!(store.outbox_depth().await.unwrap(), 0);
    // The same step again is acknowledged from memory.
    let again = outbox.enqueue(&case("c1:write")).await.unwrap().next().await;
    assert!(matches!(again, Some(DeliveryEvent::Acknowledged(_))));
    assert_eq!(store.cases().await.unwrap()[0].writes, 1);
}

#[tokio::test]
async fn failing_hanging_and_a_lost_answer_end_in_one_case() {
    let (events, store, _outbox, _dir) = outcome("faults", |n| match n { 0 => Fault::Before, 1 => Fault::After, 2 => Fault::Hang, _ => Fault::None }).await;
    assert_eq!(events.len(), 4, "{events:?}");
    assert!(matches!(events[3], DeliveryEvent::Acknowledged(_)));
    let cases = store.cases().await.unwrap();
    assert_eq!((cases.len(), cases[0].writes), (1, 1), "one effect, though the first answer was lost");
}

#[tokio::test]
async fn what_is_refused_waits_for_a_person() {
    let (events, store, outbox, _dir) = outcome("refused", |n| if n == 0 { Fault::Refuse } else { Fault::None }).await;
    assert!(matches!(&events[..], [DeliveryEvent::Dead { .. }]));
    assert_eq!(outbox.dead().await.unwrap()[0].key, "c1:write");
    assert_eq!(store.outbox_depth().await.unwrap(), 1, "not lost");
    assert!(outbox.resend("c1:write").await.unwrap());
    assert!(!outbox.resend("nonsense").await.unwrap());
    let mut delivery = outbox.enqueue(&case("c1:after")).await.unwrap();
    assert!(matches!(delivery.next().await, Some(DeliveryEvent::Acknowledged(_))));
    assert_eq!(store.cases().await.unwrap()[0].writes, 2, "in order: the resent one, then the next");
}

/// Not a test: the victim of the test below. Writes cases until it is killed.
#[tokio::test]
async fn victim() {
    let Ok(db) = std::env::var("BATON_TEST_VICTIM_DB") else { return };
    let store = Store::open(db.as_ref()).await.unwrap();
    let outbox = Outbox::start(store.clone(), Arc::new(Embedded::new(store)), Duration::from_secs(1)).await.unwrap();
    for n in 0.. {
        // The line is printed once the write is durable: from then on it must have its effect.
        let mut delivery = outbox.enqueue(&case(&format!("c{n}:write"))).await.unwrap();
        println!("durable c{n}");
        if n % 3 == 0 {
            delivery.next().await;
        }
    }
}

#[test]
fn kill_9_at_any_moment_loses_nothing_and_doubles_nothing() {
    use std::io::{BufRead, BufReader};
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for round in 0..24u32 {
        let dir = Dir::new(&format!("kill{round}"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["victim", "--exact", "--nocapture", "--test-threads=1"])
            .env("BATON_TEST_VICTIM_DB", dir.db())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed after a number of lines that differs each round: at whatever it does then.
        let mut durable = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            durable.extend(line.rsplit_once("durable ").map(|(_, id)| id.to_owned()));
            if durable.len() as u32 > round * 3 {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        runtime.block_on(async {
            let store = Store::open(&dir.db()).await.unwrap();
            let outbox = Outbox::start(store.clone(), Arc::new(Embedded::new(store.clone())), Duration::from_secs(1)).await.unwrap();
            // Lanes run beside each other; a later write of the last call is behind everything of that call.
            for id in &durable {
                let mut delivery = outbox.enqueue(&case(&format!("{id}:after"))).await.unwrap();
                assert!(matches!(delivery.next().await, Some(DeliveryEvent::Acknowledged(_))));
            }
            let cases = store.cases().await.unwrap();
            for id in &durable {
                let writes = cases.iter().find(|c| c.call_id == *id).map(|c| c.writes);
                assert_eq!(writes, Some(2), "round {round}: {id}: the write and the one after, once each");
            }
        });
    }
}
