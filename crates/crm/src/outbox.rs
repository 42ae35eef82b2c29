//! The outbox: what a system of record must get is on disk before it is sent, is sent again until it is acknowledged, and
//! is given up only into the dead letters. One task leads; each call with something to send has a lane of its own, so a
//! call's writes go in order and no call waits for another's.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_store::{OutboxRow, OutboxState, Store, StoreError};
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::{CaseWrite, Crm, CrmError, Hint, Receipt};

/// How many tries may be under way at once: a system that comes back must not fall over what has waited for it.
const TRIES_AT_ONCE: usize = 16;

/// How stubborn the outbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long one try may take.
    pub try_timeout: Duration,
    /// The pause after the first failure; it doubles with each.
    pub first_pause: Duration,
    /// The pause does not grow beyond this.
    pub longest_pause: Duration,
    /// After so many failures a write becomes a dead letter.
    pub tries: u32,
}

impl Policy {
    /// Pauses of 250 ms to a minute, for about a day: a CRM that is down overnight loses nothing to the dead letters.
    pub fn new(try_timeout: Duration) -> Self {
        let longest_pause = Duration::from_secs(60);
        Self { try_timeout, first_pause: Duration::from_millis(250), longest_pause, tries: 2_000 }
    }

    /// The pause after the `failures`th failure. `spread`, 0 to 1, takes up to half of it away: calls that failed together
    /// do not come back together.
    fn pause(&self, failures: u32, spread: f64) -> Duration {
        let doubled = self.first_pause.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(30)));
        doubled.min(self.longest_pause).mul_f64(1.0 - spread.clamp(0.0, 1.0) / 2.0)
    }
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// The system has it.
    Acknowledged(Receipt),
    /// It does not have it yet; it is tried again.
    Failing {
        /// How often it has failed.
        attempt: u32,
        /// Why the last time.
        error: String,
    },
    /// Given up. It stays in the dead letters until [`Outbox::resend`].
    Dead {
        /// Why the last time.
        error: String,
    },
}

type State = Option<DeliveryEvent>;

/// A write on its way, to be watched, by several if need be. Dropping this does not stop the write.
#[derive(Debug, Clone)]
pub struct Delivery(watch::Receiver<State>);

impl Delivery {
    /// What happened to it since last asked; waits for that. Only the latest counts: failures may be passed over. `None`
    /// after the last word, or if the outbox has stopped (what is pending is then sent at the next start).
    pub async fn next(&mut self) -> Option<DeliveryEvent> {
        loop {
            self.0.changed().await.ok()?;
            if let Some(event) = self.0.borrow_and_update().clone() {
                return Some(event);
            }
        }
    }

    /// Waits for the last word: acknowledged or dead. `None` if the outbox has stopped.
    pub async fn settled(&mut self) -> Option<DeliveryEvent> {
        loop {
            match self.next().await? {
                DeliveryEvent::Failing { .. } => {}
                last => return Some(last),
            }
        }
    }
}

/// The outbox's handle. With the last clone it stops; nothing is lost by that.
#[derive(Clone)]
pub struct Outbox {
    store: Store,
    watched: Watched,
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    Deliver(Box<Job>),
    /// To be answered once nothing is under way.
    Flush(oneshot::Sender<()>),
}

/// A row to be delivered.
struct Job {
    row: OutboxRow,
    /// When a try of before may have been cut short: its effect may be there, or may still come.
    doubt: Option<Instant>,
    /// It is new: no try of it was ever made.
    new: bool,
}

impl Outbox {
    /// Starts with the default [`Policy`]; `try_timeout` bounds each try. What was pending at the last end is sent.
    pub async fn start(store: Store, crm: Arc<dyn Crm>, try_timeout: Duration) -> Result<Self, StoreError> {
        Self::start_with(store, crm, Policy::new(try_timeout)).await
    }

    /// Starts with another policy.
    pub async fn start_with(store: Store, crm: Arc<dyn Crm>, policy: Policy) -> Result<Self, StoreError> {
        let (pending, dead) = (store.outbox_pending().await?, store.outbox_dead().await?.len());
        if !pending.is_empty() || dead > 0 {
            info!(pending = pending.len(), dead, "the outbox has writes from before");
        }
        let watched = Watched::default();
        // Unbounded: each entry is a row in the store already, and their number is bounded by the calls that make them.
        let (orders, inbox) = mpsc::unbounded_channel();
        for row in pending {
            watched.claim(&row.key);
            // What an earlier process was doing when it ended is not known.
            let _ = orders.send(Order::Deliver(Box::new(Job { row, doubt: Some(Instant::now()), new: false })));
        }
        let sender = Sender {
            store: store.clone(),
            crm,
            policy,
            watched: watched.clone(),
            slots: Semaphore::new(TRIES_AT_ONCE),
        };
        tokio::spawn(lead(Arc::new(sender), inbox));
        Ok(Self { store, watched, orders })
    }

    /// Writes `write` down, durably, and has it sent. A key that was enqueued before is not sent twice: the delivery then
    /// tells how that one went, or goes.
    ///
    /// # Errors
    /// It could not be written down (a full disk): nothing is sent. The caller decides whether to try again.
    pub async fn enqueue(&self, write: &CaseWrite) -> Result<Delivery, StoreError> {
        let watching = match self.watched.claim(&write.key) {
            Claim::Taken(watching) => return Ok(Delivery(watching)),
            Claim::Ours(watching) => watching,
        };
        let mut unclaim = Unclaim { watched: &self.watched, key: &write.key, armed: true };
        // Some systems want to know when the call began, and the same write must say the same each time it is sent.
        let started_at = write.started_at.or_else(|| Some(Timestamp::now()));
        let payload = serde_json::to_string(&CaseWrite { started_at, ..write.clone() }).unwrap_or_default();
        let (row, new) = self.store.outbox_add(&write.key, &write.call_id, write.step.name(), &payload).await?;
        let settled = match row.state {
            OutboxState::Pending => None,
            OutboxState::Dead => Some(DeliveryEvent::Dead { error: row.last_error.clone().unwrap_or_default() }),
            OutboxState::Delivered => match row.receipt.as_deref().map(serde_json::from_str) {
                Some(Ok(receipt)) => Some(DeliveryEvent::Acknowledged(receipt)),
                _ => Some(DeliveryEvent::Dead { error: "delivered, but its receipt does not read".into() }),
            },
        };
        match settled {
            Some(event) => self.watched.settle(&write.key, event),
            None => {
                let _ = self.orders.send(Order::Deliver(Box::new(Job { row, doubt: None, new })));
            }
        }
        unclaim.armed = false;
        Ok(Delivery(watching))
    }

    /// The dead letters, oldest first.
    pub async fn dead(&self) -> Result<Vec<OutboxRow>, StoreError> {
        self.store.outbox_dead().await
    }

    /// Sends a dead letter again, with all its tries. `None` if there is none of that key.
    pub async fn resend(&self, key: &str) -> Result<Option<Delivery>, StoreError> {
        let Claim::Ours(watching) = self.watched.claim(key) else { return Ok(None) };
        let mut unclaim = Unclaim { watched: &self.watched, key, armed: true };
        if !self.store.outbox_revive(key).await? {
            return Ok(None);
        }
        let Some(row) = self.store.outbox_get(key).await? else { return Ok(None) };
        let _ = self.orders.send(Order::Deliver(Box::new(Job { row, doubt: Some(Instant::now()), new: false })));
        unclaim.armed = false;
        Ok(Some(Delivery(watching)))
    }

    /// Waits until nothing is on its way, at most so long. Before an orderly end: saves the next start the work.
    pub async fn flush(&self, within: Duration) -> bool {
        let (done, wait) = oneshot::channel();
        self.orders.send(Order::Flush(done)).is_ok() && matches!(tokio::time::timeout(within, wait).await, Ok(Ok(())))
    }
}

/// Who is told of each write that is not settled. A key stands here from before its row is written until after its row is
/// settled, so of two who enqueue the same write one finds it here and the other finds its row settled.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<HashMap<String, watch::Sender<State>>>>);

enum Claim {
    Ours(watch::Receiver<State>),
    Taken(watch::Receiver<State>),
}

impl Watched {
    fn claim(&self, key: &str) -> Claim {
        let mut all = self.lock();
        if let Some(told) = all.get(key) {
            let mut watching = told.subscribe();
            watching.mark_changed(); // what it says now is news to the newcomer
            return Claim::Taken(watching);
        }
        let (told, watching) = watch::channel(None);
        all.insert(key.to_owned(), told);
        Claim::Ours(watching)
    }

    fn tell(&self, key: &str, event: DeliveryEvent) {
        if let Some(told) = self.lock().get(key) {
            told.send_replace(Some(event));
        }
    }

    fn settle(&self, key: &str, event: DeliveryEvent) {
        if let Some(told) = self.lock().remove(key) {
            told.send_replace(Some(event));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<State>>> {
        // Held for a look-up only, never across an await; what a panicking holder left is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a claim back if enqueueing fails or is dropped half-way.
struct Unclaim<'a> {
    watched: &'a Watched,
    key: &'a str,
    armed: bool,
}

impl Drop for Unclaim<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.watched.lock().remove(self.key);
        }
    }
}

/// Starts what is to be sent, one write of each call at a time, until the last handle is gone.
async fn lead(sender: Arc<Sender>, mut inbox: mpsc::UnboundedReceiver<Order>) {
    // A call stands here while one of its writes is under way, with what waits behind that one.
    let mut lanes: HashMap<String, VecDeque<Box<Job>>> = HashMap::new();
    let mut under_way: JoinSet<()> = JoinSet::new();
    let mut calls: HashMap<Id, (String, String)> = HashMap::new();
    let mut flushing: Vec<oneshot::Sender<()>> = Vec::new();
    loop {
        let next = tokio::select! {
            order = inbox.recv() => match order {
                None => return,
                Some(Order::Flush(done)) => { flushing.push(done); None }
                Some(Order::Deliver(job)) => match lanes.get_mut(&job.row.call_id) {
                    Some(lane) => { lane.push_back(job); None }
                    None => { lanes.insert(job.row.call_id.clone(), VecDeque::new()); Some(job) }
                },
            },
            Some(ended) = under_way.join_next_with_id(), if !under_way.is_empty() => {
                let id = match &ended { Ok((id, ())) => *id, Err(e) => e.id() };
                let Some((call_id, key)) = calls.remove(&id) else { continue };
                if let Err(e) = ended {
                    // A fault in the connector's code must not hold up the call's other writes.
                    sender.give_up(&key, 1, format!("the connector broke off: {e}")).await;
                }
                let next = lanes.get_mut(&call_id).and_then(VecDeque::pop_front);
                if next.is_none() { lanes.remove(&call_id); }
                next
            }
        };
        if let Some(job) = next {
            let (call_id, key) = (job.row.call_id.clone(), job.row.key.clone());
            let task = under_way.spawn(deliver(Arc::clone(&sender), job));
            calls.insert(task.id(), (call_id, key));
        }
        if lanes.is_empty() {
            flushing.drain(..).for_each(|done| _ = done.send(()));
        }
    }
}

/// What every delivery needs.
struct Sender {
    store: Store,
    crm: Arc<dyn Crm>,
    policy: Policy,
    watched: Watched,
    slots: Semaphore,
}

impl Sender {
    async fn once(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        let _slot = self.slots.acquire().await;
        let answer = self.crm.write(write);
        tokio::time::timeout(self.policy.try_timeout, answer).await.unwrap_or(Err(CrmError::TimedOut))
    }

    /// What is known of the call from before this write.
    async fn hint(&self, call_id: &str, seq: i64, new: bool) -> Hint {
        let (any, receipt) = match self.store.outbox_before(call_id, seq).await {
            Ok(before) => before,
            // Then nothing is known, and the connector searches.
            Err(error) => {
                warn!(call_id, %error, "what came before a write could not be read");
                return Hint::default();
            }
        };
        let receipt = receipt.and_then(|text| serde_json::from_str::<Receipt>(&text).ok());
        let record_id = receipt.filter(|r| r.system == self.crm.name()).map(|r| r.record_id);
        Hint { fresh: new && !any, record_id, doubt: None }
    }

    async fn give_up(&self, key: &str, attempts: u32, error: String) {
        error!(key, attempts, error, "a CRM write is given up; it waits with the dead letters");
        if let Err(e) = self.store.outbox_give_up(key, attempts, &error).await {
            warn!(key, error = %e, "that could not be noted: the next start tries it again");
        }
        self.watched.settle(key, DeliveryEvent::Dead { error });
    }

    async fn acknowledged(&self, key: &str, receipt: Receipt) {
        let text = serde_json::to_string(&receipt).unwrap_or_default();
        if let Err(e) = self.store.outbox_delivered(key, &text).await {
            // The effect is there. The next start sends it once more, which its key makes harmless.
            warn!(key, error = %e, "an acknowledgement could not be noted");
        }
        self.watched.settle(key, DeliveryEvent::Acknowledged(receipt));
    }
}

/// Sends one write until it is settled.
async fn deliver(sender: Arc<Sender>, job: Box<Job>) {
    let Job { row: OutboxRow { key, payload, mut attempts, call_id, seq, .. }, mut doubt, new } = *job;
    let mut write: CaseWrite = match serde_json::from_str(&payload) {
        Ok(write) => write,
        Err(e) => return sender.give_up(&key, attempts, format!("what is stored does not read: {e}")).await,
    };
    write.hint = sender.hint(&call_id, seq, new).await;
    loop {
        write.hint.doubt = doubt.map(|since| since.elapsed());
        let error = match sender.once(&write).await {
            Ok(receipt) => return sender.acknowledged(&key, receipt).await,
            Err(error) => error,
        };
        write.hint.fresh = false;
        if error.in_doubt() {
            doubt = Some(Instant::now());
        }
        // What was not even sent is not a try that failed.
        let asked_to_wait = match &error {
            CrmError::NotNow { after, .. } => Some(*after),
            _ => None,
        };
        attempts += u32::from(asked_to_wait.is_none());
        if attempts >= sender.policy.tries || matches!(error, CrmError::Refused(_)) {
            return sender.give_up(&key, attempts, error.to_string()).await;
        }
        let pause = match asked_to_wait {
            // Spread, so that those who were told the same do not all come back at once.
            Some(after) => after + sender.policy.first_pause.mul_f64(rand::random()),
            None => sender.policy.pause(attempts, rand::random()),
        };
        let again = Instant::now() + pause;
        warn!(key, attempts, %error, again_in = ?pause, "a CRM write failed");
        let next_at = Timestamp::now().saturating_add(pause).unwrap_or(Timestamp::MAX);
        if let Err(e) = sender.store.outbox_failed(&key, attempts, &error.to_string(), next_at).await {
            warn!(key, error = %e, "that could not be noted");
        }
        sender.watched.tell(&key, DeliveryEvent::Failing { attempt: attempts, error: error.to_string() });
        tokio::time::sleep_until(again).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let policy = Policy::new(Duration::from_secs(1));
        let pauses: Vec<u128> = [1, 2, 3, 8, 9, 200, u32::MAX].map(|n| policy.pause(n, 0.0).as_millis()).into();
        assert_eq!(pauses, [250, 500, 1_000, 32_000, 60_000, 60_000, 60_000]);
        assert_eq!(policy.pause(1, 1.0), Duration::from_millis(125), "half at least");
        let day: Duration = (1..policy.tries).map(|n| policy.pause(n, 0.5)).sum();
        assert!(day > Duration::from_secs(24 * 3_600), "{day:?}");
    }
}
