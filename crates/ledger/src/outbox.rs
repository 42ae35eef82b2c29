//! The outbox: one task sends what stands in the store's outbox, in order per call, until it is acknowledged or given up
//! into the dead letters. What was pending at the last end is sent at the next start.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use baton_store::{Entry, EntryState, Store, StoreError};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::{CaseWrite, Crm, CrmError, Receipt};

/// A write is tried this often before it becomes a dead letter: with the pauses below, about twenty minutes.
const TRIES: u32 = 12;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What becomes of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// The system has it.
    Acknowledged(Receipt),
    /// It does not have it yet.
    Failing {
        /// How often it was tried.
        attempt: u32,
        /// The last failure.
        error: String,
    },
    /// Given up; it stays in the dead letters.
    Dead {
        /// The last failure.
        error: String,
    },
}

/// A write on its way.
pub struct Delivery(mpsc::UnboundedReceiver<DeliveryEvent>);

impl Delivery {
    /// What happens to it next; `None` after the last word.
    pub async fn next(&mut self) -> Option<DeliveryEvent> {
        self.0.recv().await
    }
}

/// The outbox's address.
#[derive(Clone)]
pub struct Outbox {
    store: Store,
    jobs: mpsc::UnboundedSender<Job>,
}

struct Job {
    entry: Entry,
    watcher: Option<mpsc::UnboundedSender<DeliveryEvent>>,
}

impl Outbox {
    /// Starts the task and sends what is pending. `timeout` bounds each try.
    pub async fn start(store: Store, crm: Arc<dyn Crm>, timeout: Duration) -> Result<Self, StoreError> {
        let pending = store.outbox_in(EntryState::Pending).await?;
        let dead = store.outbox_in(EntryState::Dead).await?.len();
        if !pending.is_empty() || dead > 0 {
            info!(pending = pending.len(), dead, "the outbox holds writes from before");
        }
        // Unbounded on purpose: each job is a row in the store already; what bounds it is the calls that make them.
        let (jobs, queue) = mpsc::unbounded_channel();
        for entry in pending {
            let _ = jobs.send(Job { entry, watcher: None });
        }
        tokio::spawn(dispatch(store.clone(), crm, timeout, queue));
        Ok(Self { store, jobs })
    }

    /// Records a write, durably, and has it sent.
    pub async fn enqueue(&self, case: &CaseWrite) -> Result<Delivery, StoreError> {
        let entry = self.store.outbox_add(&case.key, &case.call_id, &serde_json::to_string(case)?).await?;
        let (watcher, events) = mpsc::unbounded_channel();
        match (entry.state, &entry.receipt) {
            (EntryState::Delivered, Some(receipt)) => {
                let _ = watcher.send(DeliveryEvent::Acknowledged(serde_json::from_str(receipt)?));
            }
            _ => {
                let _ = self.jobs.send(Job { entry, watcher: Some(watcher) });
            }
        }
        Ok(Delivery(events))
    }

    /// The dead letters.
    pub async fn dead(&self) -> Result<Vec<Entry>, StoreError> {
        self.store.outbox_in(EntryState::Dead).await
    }

    /// Sends a dead letter again. Whether there was one of that key.
    pub async fn resend(&self, key: &str) -> Result<bool, StoreError> {
        let revived = self.store.outbox_revive(key).await?;
        if revived && let Some(entry) = self.store.outbox_in(EntryState::Pending).await?.into_iter().find(|e| e.key == key) {
            let _ = self.jobs.send(Job { entry, watcher: None });
        }
        Ok(revived)
    }
}

/// Keeps one lane per call: its writes go in order, and no call waits for another's.
async fn dispatch(store: Store, crm: Arc<dyn Crm>, timeout: Duration, mut queue: mpsc::UnboundedReceiver<Job>) {
    let mut lanes: HashMap<String, mpsc::UnboundedSender<Job>> = HashMap::new();
    let (done, mut idle) = mpsc::unbounded_channel::<String>();
    let mut open: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        tokio::select! {
            job = queue.recv() => {
                let Some(job) = job else { return };
                let call_id = job.entry.call_id.clone();
                *open.entry(call_id.clone()).or_default() += 1;
                let lane = lanes.entry(call_id).or_insert_with(|| {
                    let (lane, jobs) = mpsc::unbounded_channel();
                    tokio::spawn(run_lane(store.clone(), Arc::clone(&crm), timeout, jobs, done.clone()));
                    lane
                });
                let _ = lane.send(job);
            }
            Some(call_id) = idle.recv() => {
                let left = open.get_mut(&call_id).map_or(0, |n| { *n -= 1; *n });
                if left == 0 {
                    open.remove(&call_id);
                    lanes.remove(&call_id);
                }
            }
        }
    }
}

async fn run_lane(store: Store, crm: Arc<dyn Crm>, timeout: Duration, mut jobs: mpsc::UnboundedReceiver<Job>, done: mpsc::UnboundedSender<String>) {
    while let Some(job) = jobs.recv().await {
        let call_id = job.entry.call_id.clone();
        deliver(&store, crm.as_ref(), timeout, job).await;
        let _ = done.send(call_id);
    }
}

async fn deliver(store: &Store, crm: &dyn Crm, timeout: Duration, job: Job) {
    let Job { entry, watcher } = job;
    let tell = |event| watcher.as_ref().map(|w| w.send(event));
    let case: CaseWrite = match serde_json::from_str(&entry.payload) {
        Ok(case) => case,
        Err(e) => {
            error!(key = entry.key, error = %e, "an outbox row does not read; it stays with the dead letters");
            let _ = store.outbox_failed(&entry.key, &e.to_string(), true).await;
            tell(DeliveryEvent::Dead { error: e.to_string() });
            return;
        }
    };
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        let answer = tokio::time::timeout(timeout, crm.write_case(case.clone())).await.unwrap_or(Err(CrmError::TimedOut));
        let error = match answer {
            Ok(receipt) => {
                let text = serde_json::to_string(&receipt).unwrap_or_default();
                if let Err(e) = store.outbox_delivered(&entry.key, &text).await {
                    // The effect is there; at worst it is asked for again after a restart, and the key makes that harmless.
                    warn!(key = entry.key, error = %e, "an acknowledgement could not be noted");
                }
                tell(DeliveryEvent::Acknowledged(receipt));
                return;
            }
            Err(e) => e,
        };
        let dead = attempt >= TRIES || matches!(error, CrmError::Refused(_));
        warn!(key = entry.key, attempt, %error, dead, "a write to the system of record failed");
        if let Err(e) = store.outbox_failed(&entry.key, &error.to_string(), dead).await {
            warn!(key = entry.key, error = %e, "a failure could not be noted");
        }
        if dead {
            tell(DeliveryEvent::Dead { error: error.to_string() });
            return;
        }
        tell(DeliveryEvent::Failing { attempt, error: error.to_string() });
        // Half fixed, half random: calls that failed together do not come back together.
        tokio::time::sleep(pause / 2 + pause.mul_f64(rand::random::<f64>() / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
