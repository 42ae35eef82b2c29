//! The outbox's rows: every write to a system of record stands here before it is sent.

use sqlx::Row;

use crate::{Store, StoreError};

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryState {
    /// To be sent.
    Pending,
    /// Acknowledged.
    Delivered,
    /// Given up; a person must look.
    Dead,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Order of writing.
    pub seq: i64,
    /// `call_id:step`.
    pub key: String,
    /// The call.
    pub call_id: String,
    /// What is written, as JSON.
    pub payload: String,
    /// How far it has come.
    pub state: EntryState,
    /// How often it was tried.
    pub attempts: u32,
    /// The last failure.
    pub error: Option<String>,
    /// What was acknowledged, as JSON.
    pub receipt: Option<String>,
}

impl Store {
    /// Records a write. A key that is there already keeps its row: the same step is not written twice.
    pub async fn outbox_add(&self, key: &str, call_id: &str, payload: &str) -> Result<Entry, StoreError> {
        sqlx::query("INSERT INTO outbox (key, call_id, payload, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING")
            .bind(key)
            .bind(call_id)
            .bind(payload)
            .bind(jiff::Timestamp::now().to_string())
            .execute(&self.pool)
            .await?;
        let row = sqlx::query("SELECT * FROM outbox WHERE key = ?").bind(key).fetch_one(&self.pool).await?;
        Ok(entry(&row))
    }

    /// Everything in a state, in order of writing.
    pub async fn outbox_in(&self, state: EntryState) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query("SELECT * FROM outbox WHERE state = ? ORDER BY seq").bind(word(state)).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(entry).collect())
    }

    /// Notes an acknowledgement.
    pub async fn outbox_delivered(&self, key: &str, receipt: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE outbox SET state = 'delivered', receipt = ?, error = NULL, attempts = attempts + 1 WHERE key = ?").bind(receipt).bind(key).execute(&self.pool).await?;
        Ok(())
    }

    /// Notes a failure; `dead`: it will not be tried again by itself.
    pub async fn outbox_failed(&self, key: &str, error: &str, dead: bool) -> Result<(), StoreError> {
        let state = if dead { "dead" } else { "pending" };
        sqlx::query("UPDATE outbox SET state = ?, error = ?, attempts = attempts + 1 WHERE key = ?").bind(state).bind(error).bind(key).execute(&self.pool).await?;
        Ok(())
    }

    /// Puts a dead write back in line. Whether there was one.
    pub async fn outbox_revive(&self, key: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE outbox SET state = 'pending', attempts = 0 WHERE key = ? AND state = 'dead'").bind(key).execute(&self.pool).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Writes that are not acknowledged.
    pub async fn outbox_depth(&self) -> Result<u64, StoreError> {
        let n: i64 = sqlx::query("SELECT count(*) FROM outbox WHERE state != 'delivered'").fetch_one(&self.pool).await?.get(0);
        Ok(u64::try_from(n).unwrap_or(0))
    }
}

fn word(state: EntryState) -> &'static str {
    match state {
        EntryState::Pending => "pending",
        EntryState::Delivered => "delivered",
        EntryState::Dead => "dead",
    }
}

fn entry(row: &sqlx::sqlite::SqliteRow) -> Entry {
    Entry {
        seq: row.get("seq"),
        key: row.get("key"),
        call_id: row.get("call_id"),
        payload: row.get("payload"),
        state: match row.get::<String, _>("state").as_str() {
            "delivered" => EntryState::Delivered,
            "dead" => EntryState::Dead,
            _ => EntryState::Pending,
        },
        attempts: u32::try_from(row.get::<i64, _>("attempts")).unwrap_or(0),
        error: row.get("error"),
        receipt: row.get("receipt"),
    }
}
