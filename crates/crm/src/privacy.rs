//! Retention, and deletion of a caller's data, by command. What Baton keeps is deleted here; what a system of record was
//! told is told of, with its ids: deleting there is that system's own act, with its own rules and proof.

use std::time::Duration;

use baton_store::{Forgotten, Store, StoreError, Subject};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Numbering, Receipt};

/// What was deleted, and what is left to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The calls whose records are gone. Recordings under these ids are for their keeper to delete.
    pub calls: Vec<String>,
    /// How many cases of the embedded system, delivered or dead writes, and contacts are gone.
    pub rows: u64,
    /// What other systems hold about these calls, each once.
    pub elsewhere: Vec<Receipt>,
    /// Calls still going on, and calls that were promised: ask again when they are over.
    pub live: Vec<String>,
    /// Keys of writes that still wait for their system: ask again when they are delivered or dead.
    pub waiting: Vec<String>,
}

impl Deletion {
    /// Nothing is left to ask again for.
    pub fn is_complete(&self) -> bool {
        self.live.is_empty() && self.waiting.is_empty()
    }
}

/// Deletes what is kept of a caller, found by numbers (in any writing), by contact id, or both.
pub async fn forget(
    store: &Store,
    numbering: &Numbering,
    phones: &[String],
    contact: Option<&str>,
) -> Result<Deletion, StoreError> {
    let theirs = |from: &String| phones.iter().any(|phone| from == phone || numbering.same(from, phone));
    let callers = store.callers().await?.into_iter().filter(theirs).collect();
    let subject = Subject { callers, contact: contact.map(str::to_owned) };
    let Forgotten { calls, cases, outbox, contacts, receipts, live, waiting } = store.forget(&subject).await?;
    let mut elsewhere: Vec<Receipt> = Vec::new();
    for receipt in receipts.iter().filter_map(|text| serde_json::from_str::<Receipt>(text).ok()) {
        let known = elsewhere.iter().any(|r| r.system == receipt.system && r.record_id == receipt.record_id);
        if receipt.system != "embedded" && !known {
            elsewhere.push(receipt);
        }
    }
    Ok(Deletion { calls, rows: cases + outbox + contacts, elsewhere, live, waiting })
}

/// Deletes records of calls that ended longer ago than `keep`, with their cases and delivered writes. Dead letters stay:
/// somebody has to look at them. Answers how many calls went. To be run daily.
pub async fn expire(store: &Store, keep: Duration) -> Result<u64, StoreError> {
    let before = Timestamp::now().saturating_sub(keep).unwrap_or(Timestamp::MIN);
    store.expire(before).await
}
