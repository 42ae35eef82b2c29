//! kill -9 at any moment, then a new start: nothing that was enqueued is lost, nothing is doubled. The victim is this test
//! binary in a process of its own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a panic here is a failed test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use baton_crm::{Embedded, Outbox, Policy, Step};
use baton_store::{OutboxState, Store};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{Fault, Faulty, write};
use tempfile::TempDir;

const ROUNDS: u64 = 200;
const CALLS: usize = 8;
/// Victims at a time: most of their time is start-up and waiting for the disk.
const AT_ONCE: usize = 6;

fn policy() -> Policy {
    Policy {
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(4),
        ..Policy::new(Duration::from_millis(50))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_doubled_by_kill_9() {
    let (mut cut_short, mut left_pending) = (0, 0);
    let rounds: Vec<u64> = (0..ROUNDS).collect();
    for some in rounds.chunks(AT_ONCE) {
        let running: Vec<_> = some.iter().map(|&round| tokio::spawn(one_round(round))).collect();
        for round in running {
            let (cut, left) = round.await.unwrap();
            cut_short += u32::from(cut);
            left_pending += u32::from(left);
        }
    }
    assert!(cut_short > 0, "no round was killed before its end: the test tests nothing");
    assert!(left_pending > 0, "no round was killed with a write on its way: the test tests nothing");
}

/// Answers whether the victim was killed before its end, and whether with a write on its way.
async fn one_round(round: u64) -> (bool, bool) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("b.db");
    let killed_at = path.clone();
    let enqueued = tokio::task::spawn_blocking(move || kill_at_random(&killed_at, round)).await.unwrap();

    let store = Store::open(&path).await.unwrap();
    let pending = store.outbox_depth().await.unwrap();
    let outbox = Outbox::start_with(store.clone(), Arc::new(Embedded::new(store.clone())), policy()).await.unwrap();
    assert!(outbox.flush(Duration::from_secs(60)).await, "round {round}");
    assert_eq!(store.outbox_depth().await.unwrap(), 0);

    let mut writes_of: BTreeMap<String, u32> = BTreeMap::new();
    for call in 0..CALLS {
        for step in [Step::Open, Step::Update, Step::Complete] {
            let key = write(&format!("call-{call}"), step).key;
            match store.outbox_get(&key).await.unwrap() {
                Some(row) => {
                    assert_eq!(row.state, OutboxState::Delivered, "round {round}: {key}");
                    *writes_of.entry(row.call_id).or_default() += 1;
                }
                None => assert!(!enqueued.contains(&key), "round {round}: {key} was enqueued and is lost"),
            }
        }
    }
    for (call, writes) in writes_of {
        let case = store.case(&call).await.unwrap().unwrap();
        assert_eq!(case.revision, writes, "round {round}: {call}: one effect for each write");
    }
    (enqueued.len() < CALLS * 3, pending > 0)
}

/// Runs the victim and kills it after some of its lines; answers the keys it said were enqueued.
fn kill_at_random(path: &Path, seed: u64) -> BTreeSet<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored", "--nocapture"])
        .env("BATON_TEST_VICTIM", path)
        .env("BATON_TEST_SEED", seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let last = StdRng::seed_from_u64(seed).random_range(1..CALLS * 6);
    let mut enqueued = BTreeSet::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut seen = 0;
    // Every line is a moment: enqueued, or a try that begins. The kill comes right behind it, while the victim runs on.
    while seen < last
        && let Some(line) = lines.next()
    {
        seen += usize::from(line.starts_with("enqueued ") || line.starts_with("try "));
        enqueued.extend(line.strip_prefix("enqueued ").map(str::to_owned));
    }
    child.kill().unwrap();
    // What it had said and we had not read yet counts too.
    enqueued.extend(lines.filter_map(|line| line.strip_prefix("enqueued ").map(str::to_owned)));
    child.wait().unwrap();
    enqueued
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by nothing_is_lost_or_doubled_by_kill_9, in a process of its own"]
async fn victim() {
    let Some(path) = std::env::var_os("BATON_TEST_VICTIM") else { return };
    let seed: u64 = std::env::var("BATON_TEST_SEED").unwrap().parse().unwrap();
    let mut random = StdRng::seed_from_u64(seed ^ 0xfeed);
    let faults = [Fault::Down, Fault::AnswerLost, Fault::Hang, Fault::HangAfter];
    let faults: Vec<Fault> = (0..CALLS).map(|_| faults[random.random_range(0..faults.len())]).collect();
    let store = Store::open(path).await.unwrap();
    let (crm, mut tries) = Faulty::new(Embedded::new(store.clone()), faults);
    let outbox = Outbox::start_with(store, crm, policy()).await.unwrap();
    tokio::spawn(async move {
        while let Some(one) = tries.recv().await {
            say(&format!("try {}", one.key));
        }
    });
    for call in 0..CALLS {
        for step in [Step::Open, Step::Update, Step::Complete] {
            let write = write(&format!("call-{call}"), step);
            let mut delivery = outbox.enqueue(&write).await.unwrap();
            say(&format!("enqueued {}", write.key));
            if random.random_bool(0.2) {
                delivery.settled().await;
            }
        }
    }
    outbox.flush(Duration::from_secs(60)).await;
}

/// Whole lines, at once: `println!` would hold them back.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
