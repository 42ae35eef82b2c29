//! The outbox against a system of record that fails in every way. Time stands still and is moved by hand: a blocking task
//! keeps the paused clock from running ahead while SQLite works.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use baton_crm::{DeliveryEvent, Embedded, Outbox, Policy, Step};
use baton_store::{OutboxState, Store, StoreError};
use support::{Fault, Faulty, Try, write};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::advance;

const TRY: Duration = Duration::from_secs(2);

fn policy() -> Policy {
    Policy { tries: 5, ..Policy::new(TRY) }
}

struct Bench {
    store: Store,
    outbox: Outbox,
    tries: mpsc::UnboundedReceiver<Try>,
    dir: TempDir,
    _clock: std::sync::mpsc::Sender<()>,
}

async fn bench(faults: impl IntoIterator<Item = Fault>) -> Bench {
    on(TempDir::new().unwrap(), faults).await
}

/// Holds the clock until dropped.
fn hold() -> std::sync::mpsc::Sender<()> {
    let (clock, held) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || held.recv());
    clock
}

async fn on(dir: TempDir, faults: impl IntoIterator<Item = Fault>) -> Bench {
    let clock = hold();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    let (crm, tries) = Faulty::new(Embedded::new(store.clone()), faults);
    let outbox = Outbox::start_with(store.clone(), crm, policy()).await.unwrap();
    Bench { store, outbox, tries, dir, _clock: clock }
}

fn acknowledged(event: Option<DeliveryEvent>) -> baton_crm::Receipt {
    match event {
        Some(DeliveryEvent::Acknowledged(receipt)) => receipt,
        other => panic!("not acknowledged: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_remembered() {
    let b = bench([]).await;
    let mut delivery = b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
    let receipt = acknowledged(delivery.next().await);
    assert_eq!((receipt.system.as_str(), receipt.record_id.as_str()), ("embedded", "CASE-00001"));
    assert_eq!(delivery.next().await, None, "there is no word after the last");
    assert_eq!(b.store.outbox_depth().await.unwrap(), 0);

    let mut again = b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
    assert_eq!(acknowledged(again.next().await), receipt);
    assert_eq!(b.store.case("c1").await.unwrap().unwrap().revision, 1);
}

#[tokio::test(start_paused = true)]
async fn it_stands_on_disk_before_it_is_sent() {
    let mut b = bench([Fault::Hang]).await;
    b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
    b.tries.recv().await.unwrap();
    let row = b.store.outbox_get("c1:open").await.unwrap().unwrap();
    assert_eq!((row.state, row.call_id.as_str(), row.step.as_str()), (OutboxState::Pending, "c1", "open"));
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_again_after_a_pause_that_grows() {
    let mut b = bench([Fault::Down, Fault::Down, Fault::Down]).await;
    let mut delivery = b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
    let mut last = b.tries.recv().await.unwrap().at;
    for (attempt, pause) in [(1, 250), (2, 500), (3, 1_000)] {
        let event = delivery.next().await.unwrap();
        assert_eq!(event, DeliveryEvent::Failing { attempt, error: "503".into() });
        let row = b.store.outbox_get("c1:open").await.unwrap().unwrap();
        assert_eq!((row.attempts, row.last_error.as_deref()), (attempt, Some("503")));
        advance(Duration::from_millis(pause / 2 - 2)).await;
        assert!(b.tries.try_recv().is_err(), "not before half the pause");
        advance(Duration::from_millis(pause / 2 + 4)).await;
        let next = b.tries.recv().await.unwrap().at;
        let waited = (next - last).as_millis();
        assert!((u128::from(pause) / 2 - 2..=u128::from(pause) + 2).contains(&waited), "{waited} ms after {attempt}");
        last = next;
    }
    acknowledged(delivery.next().await);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_has_one_effect() {
    for fault in [Fault::AnswerLost, Fault::HangAfter] {
        let mut b = bench([fault, fault]).await;
        let mut delivery = b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
        for _ in 0..2 {
            b.tries.recv().await.unwrap();
            while b.store.case("c1").await.unwrap().is_none() {
                tokio::task::yield_now().await;
            }
            if fault == Fault::HangAfter {
                advance(TRY).await;
            }
            assert!(matches!(delivery.next().await, Some(DeliveryEvent::Failing { .. })), "{fault:?}");
            advance(Duration::from_secs(1)).await;
        }
        acknowledged(delivery.next().await);
        assert_eq!(b.store.case("c1").await.unwrap().unwrap().revision, 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_try_that_hangs_ends_in_time_and_holds_up_no_other_call() {
    let mut b = bench([Fault::Hang]).await;
    let mut stuck = b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
    b.tries.recv().await.unwrap();
    let mut other = b.outbox.enqueue(&write("c2", Step::Open)).await.unwrap();
    acknowledged(other.next().await);
    advance(TRY).await;
    assert_eq!(stuck.next().await, Some(DeliveryEvent::Failing { attempt: 1, error: "no answer in time".into() }));
    advance(Duration::from_millis(250)).await;
    acknowledged(stuck.next().await);
}

#[tokio::test(start_paused = true)]
async fn a_calls_writes_keep_their_order() {
    let mut b = bench([Fault::Down]).await;
    let mut open = b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
    b.outbox.enqueue(&write("c1", Step::Update)).await.unwrap();
    let mut complete = b.outbox.enqueue(&write("c1", Step::Complete)).await.unwrap();
    assert!(matches!(open.next().await, Some(DeliveryEvent::Failing { .. })));
    advance(Duration::from_secs(1)).await;
    acknowledged(complete.settled().await);
    let mut order = Vec::new();
    while let Ok(one) = b.tries.try_recv() {
        order.push(one.key);
    }
    assert_eq!(order, ["c1:open", "c1:open", "c1:update", "c1:complete"]);
    let case = b.store.case("c1").await.unwrap().unwrap();
    assert_eq!((case.revision, case.closed, case.summary.as_str()), (3, true, "written by c1:complete"));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_dead_until_resent_and_the_call_goes_on() {
    let b = bench([Fault::Refuse, Fault::Panic]).await;
    for (call, error) in [("c1", "refused: 422"), ("c2", "broke off")] {
        let mut open = b.outbox.enqueue(&write(call, Step::Open)).await.unwrap();
        match open.next().await {
            Some(DeliveryEvent::Dead { error: said }) => assert!(said.contains(error), "{said}"),
            other => panic!("{other:?}"),
        }
    }
    for call in ["c1", "c2"] {
        let mut complete = b.outbox.enqueue(&write(call, Step::Complete)).await.unwrap();
        acknowledged(complete.settled().await);
        let mut same = b.outbox.enqueue(&write(call, Step::Open)).await.unwrap();
        assert!(matches!(same.next().await, Some(DeliveryEvent::Dead { .. })), "asking again does not revive it");
    }
    let keys = |rows: Vec<baton_store::OutboxRow>| rows.into_iter().map(|r| r.key).collect::<Vec<_>>();
    assert_eq!(keys(b.outbox.dead().await.unwrap()), ["c1:open", "c2:open"]);

    let mut resent = b.outbox.resend("c1:open").await.unwrap().unwrap();
    acknowledged(resent.settled().await);
    assert!(b.outbox.resend("c1:open").await.unwrap().is_none());
    assert!(b.outbox.resend("nonsense").await.unwrap().is_none());
    assert_eq!(keys(b.outbox.dead().await.unwrap()), ["c2:open"]);
    let case = b.store.case("c1").await.unwrap().unwrap();
    assert_eq!((case.revision, case.summary.as_str()), (2, "written by c1:complete"), "late, it does not undo the end");
}

#[tokio::test(start_paused = true)]
async fn after_its_last_try_it_is_dead() {
    let mut b = bench([Fault::Down; 5]).await;
    let mut delivery = b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
    for attempt in 1..5 {
        assert_eq!(delivery.next().await, Some(DeliveryEvent::Failing { attempt, error: "503".into() }));
        advance(Duration::from_secs(60)).await;
    }
    assert_eq!(delivery.next().await, Some(DeliveryEvent::Dead { error: "503".into() }));
    let dead = b.outbox.dead().await.unwrap();
    assert_eq!((dead.len(), dead[0].attempts, dead[0].last_error.as_deref()), (1, 5, Some("503")));
    while b.tries.try_recv().is_ok() {}
    advance(Duration::from_secs(3_600)).await;
    assert!(b.tries.try_recv().is_err(), "nothing more by itself");
}

#[tokio::test(start_paused = true)]
async fn two_who_ask_for_the_same_write_watch_the_same() {
    let mut b = bench([Fault::Down]).await;
    let mut one = b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
    let failing = one.next().await;
    let mut two = b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
    assert_eq!(two.next().await, failing, "the newcomer hears how it stands");
    advance(Duration::from_millis(250)).await;
    assert_eq!(acknowledged(one.next().await), acknowledged(two.next().await));
    b.tries.recv().await.unwrap();
    b.tries.recv().await.unwrap();
    assert!(b.tries.try_recv().is_err(), "one failed try and one that went well, not one for each who asked");
}

#[tokio::test(start_paused = true)]
async fn what_was_pending_is_sent_at_the_next_start_and_flush_waits_for_it() {
    let mut b = bench([Fault::AnswerLost, Fault::Hang]).await;
    let mut delivery = b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
    b.outbox.enqueue(&write("c1", Step::Complete)).await.unwrap();
    assert!(matches!(delivery.next().await, Some(DeliveryEvent::Failing { .. })));
    b.outbox.enqueue(&write("c2", Step::Complete)).await.unwrap();
    b.tries.recv().await.unwrap();
    b.tries.recv().await.unwrap();
    drop(b.outbox);
    assert_eq!(delivery.next().await, None, "the outbox has stopped");
    drop((b.store, delivery));

    let path = b.dir.path().join("b.db");
    while let Err(StoreError::InUse { .. }) = Store::open(&path).await {
        tokio::task::yield_now().await; // until the outbox's task has let go
    }
    let b = on(b.dir, []).await;
    assert!(b.outbox.flush(Duration::from_secs(1)).await);
    assert_eq!(b.store.outbox_depth().await.unwrap(), 0);
    assert_eq!(b.store.case("c1").await.unwrap().unwrap().revision, 2);
    assert_eq!(b.store.case("c2").await.unwrap().unwrap().revision, 1);
}

#[tokio::test(start_paused = true)]
async fn flush_gives_up_in_time() {
    let mut b = bench([Fault::Hang]).await;
    b.outbox.enqueue(&write("c1", Step::Open)).await.unwrap();
    b.tries.recv().await.unwrap();
    let outbox = b.outbox.clone();
    let flush = tokio::spawn(async move { outbox.flush(Duration::from_secs(1)).await });
    tokio::task::yield_now().await;
    advance(Duration::from_millis(1_001)).await;
    assert!(!flush.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_row_that_does_not_read_is_a_dead_letter_not_a_stop() {
    let _clock = hold();
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    store.outbox_add("c1:open", "c1", "open", "{\"from\": 1").await.unwrap();
    let outbox = Outbox::start(store.clone(), Arc::new(Embedded::new(store.clone())), TRY).await.unwrap();
    assert!(outbox.flush(Duration::from_secs(3_600)).await);
    assert_eq!(outbox.dead().await.unwrap().len(), 1);
}
