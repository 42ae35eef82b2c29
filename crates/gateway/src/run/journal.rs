//! The record on disk. Every durable change of a call's record is written as it happens, so that kill -9 leaves it; the
//! call never waits for the disk. Only the latest version matters: while one is being written, later ones replace each
//! other.

use baton_call::record::CallRecord;
use baton_store::{CallRow, Store, redact};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tracing::{error, warn};

/// The pen of one call.
pub struct Journal {
    latest: watch::Sender<Option<CallRow>>,
    writer: JoinHandle<()>,
}

impl Journal {
    /// Starts the writer for one call; whoever follows `changes` is told too.
    pub fn open(store: Store, changes: broadcast::Sender<String>) -> Self {
        let (latest, versions) = watch::channel(None);
        Self { latest, writer: tokio::spawn(write(store, versions, changes)) }
    }

    /// Has `record` written, after what is being written now.
    pub fn save(&self, record: &CallRecord) {
        match row(record) {
            Ok(row) => {
                self.latest.send_replace(Some(row));
            }
            Err(e) => error!(error = %e, "a call record does not serialise"),
        }
    }

    /// Waits until the last version is on disk.
    pub async fn close(self) {
        drop(self.latest);
        if let Err(e) = self.writer.await {
            error!(error = %e, "the journal's writer failed");
        }
    }
}

fn row(record: &CallRecord) -> Result<CallRow, serde_json::Error> {
    Ok(CallRow {
        call_id: record.call_id.clone(),
        started_at: record.started_at.to_string(),
        ended_at: record.ended_at.as_ref().map(ToString::to_string),
        from: record.from.clone(),
        to: record.to.clone(),
        disposition: record.disposition.clone(),
        // Here already: who follows along sees no card number either.
        json: redact::json_text(&serde_json::to_string(record)?).into_owned(),
    })
}

async fn write(store: Store, mut versions: watch::Receiver<Option<CallRow>>, changes: broadcast::Sender<String>) {
    loop {
        let open = versions.changed().await.is_ok();
        let row = versions.borrow_and_update().clone();
        if let Some(row) = row {
            // A full disk must not end a call. The next change tries again, and so does the end of the call.
            let mut tries = 0;
            while let Err(e) = store.save_call(&row).await {
                tries += 1;
                warn!(call_id = row.call_id, error = %e, tries, "the call record could not be written; trying again");
                if open {
                    break;
                }
                if tries == 5 {
                    // The log is the last place that can keep it.
                    error!(call_id = row.call_id, record = row.json, "the call record stays unwritten");
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(200 << tries)).await;
            }
            if tries == 0 && changes.receiver_count() > 0 {
                let _ = changes.send(row.json); // an error means that the last reader has just gone
            }
        }
        if !open {
            return;
        }
    }
}
