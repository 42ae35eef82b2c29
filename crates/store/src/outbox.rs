//! The outbox's rows: writes that some system of record must get, in the order they were asked for. This is their memory
//! only; `baton-crm` delivers them.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::{Store, StoreError, redact, stamp, time};

/// How far a write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxState {
    /// To be delivered.
    Pending,
    /// Acknowledged.
    Delivered,
    /// Given up, to be looked at by a person.
    Dead,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Order of arrival.
    pub seq: i64,
    /// Unique.
    pub key: String,
    /// Whose.
    pub call_id: String,
    /// Which of the call's writes.
    pub step: String,
    /// JSON.
    pub payload: String,
    /// How far it has come.
    pub state: OutboxState,
    /// Failed tries.
    pub attempts: u32,
    /// When it is tried again.
    pub next_at: Option<Timestamp>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// JSON; there once it is delivered.
    pub receipt: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
}

impl Store {
    /// Puts a write in. When this returns, it is on disk. If the key is there already nothing changes; either way the
    /// row as it stands is returned, and whether it is new. Card numbers and codes in the payload's words are taken out
    /// ([`crate::redact`]): what is to be sent is the row's payload, not the one handed in.
    pub async fn outbox_add(
        &self,
        key: &str,
        call_id: &str,
        step: &str,
        payload: &str,
    ) -> Result<(OutboxRow, bool), StoreError> {
        let fault = |e: sqlx::Error| self.fault(&e);
        let payload = redact::json_text(payload);
        let mut tx = self.begin().await?;
        let added = sqlx::query(
            "INSERT INTO outbox (key, call_id, step, payload, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
        )
        .bind(key)
        .bind(call_id)
        .bind(step)
        .bind(payload.as_ref())
        .bind(stamp(Timestamp::now()))
        .execute(&mut *tx)
        .await
        .map_err(fault)?
        .rows_affected();
        let row =
            sqlx::query("SELECT * FROM outbox WHERE key = ?").bind(key).fetch_one(&mut *tx).await.map_err(fault)?;
        tx.commit().await.map_err(fault)?;
        Ok((read(&row).map_err(fault)?, added > 0))
    }

    /// The write of that key.
    pub async fn outbox_get(&self, key: &str) -> Result<Option<OutboxRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM outbox WHERE key = ?").bind(key).fetch_optional(&self.0.reads).await;
        row.and_then(|row| row.as_ref().map(read).transpose()).map_err(|e| self.fault(&e))
    }

    /// What came before a call's write: whether there is any, and the receipt of the last that was acknowledged.
    pub async fn outbox_before(&self, call_id: &str, seq: i64) -> Result<(bool, Option<String>), StoreError> {
        let row = sqlx::query(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE call_id = ?1 AND seq < ?2) AS any,
                    (SELECT receipt FROM outbox WHERE call_id = ?1 AND seq < ?2 AND receipt IS NOT NULL
                     ORDER BY seq DESC LIMIT 1) AS receipt",
        )
        .bind(call_id)
        .bind(seq)
        .fetch_one(&self.0.reads)
        .await;
        row.and_then(|row| Ok((row.try_get("any")?, row.try_get("receipt")?))).map_err(|e| self.fault(&e))
    }

    /// What is to be delivered, oldest first.
    pub async fn outbox_pending(&self) -> Result<Vec<OutboxRow>, StoreError> {
        self.outbox_rows("SELECT * FROM outbox WHERE state = 'pending' ORDER BY seq").await
    }

    /// What was given up, oldest first.
    pub async fn outbox_dead(&self) -> Result<Vec<OutboxRow>, StoreError> {
        self.outbox_rows("SELECT * FROM outbox WHERE state = 'dead' ORDER BY seq").await
    }

    /// How many writes wait to be delivered.
    pub async fn outbox_depth(&self) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE state = 'pending'")
            .fetch_one(&self.0.reads)
            .await
            .map_err(|e| self.fault(&e))?;
        Ok(count.unsigned_abs())
    }

    /// A try failed; the next is at `next_at`.
    pub async fn outbox_failed(
        &self,
        key: &str,
        attempts: u32,
        error: &str,
        next_at: Timestamp,
    ) -> Result<(), StoreError> {
        self.outbox_set(
            sqlx::query(
                "UPDATE outbox SET attempts = ?2, last_error = ?3, next_at = ?4 WHERE key = ?1 AND state = 'pending'",
            )
            .bind(key)
            .bind(attempts)
            .bind(error)
            .bind(stamp(next_at)),
        )
        .await
        .map(|_| ())
    }

    /// It was acknowledged.
    pub async fn outbox_delivered(&self, key: &str, receipt: &str) -> Result<(), StoreError> {
        self.outbox_set(
            sqlx::query(
                "UPDATE outbox SET state = 'delivered', receipt = ?2, next_at = NULL, last_error = NULL, settled_at = ?3 WHERE key = ?1",
            )
            .bind(key)
            .bind(receipt)
            .bind(stamp(Timestamp::now())),
        )
        .await
        .map(|_| ())
    }

    /// It is given up.
    pub async fn outbox_give_up(&self, key: &str, attempts: u32, error: &str) -> Result<(), StoreError> {
        self.outbox_set(
            sqlx::query(
                "UPDATE outbox SET state = 'dead', attempts = ?2, last_error = ?3, next_at = NULL, settled_at = ?4
                 WHERE key = ?1 AND state = 'pending'",
            )
            .bind(key)
            .bind(attempts)
            .bind(error)
            .bind(stamp(Timestamp::now())),
        )
        .await
        .map(|_| ())
    }

    /// What was given up is to be delivered after all, with all its tries. False if no dead write has that key.
    pub async fn outbox_revive(&self, key: &str) -> Result<bool, StoreError> {
        self.outbox_set(
            sqlx::query(
                "UPDATE outbox SET state = 'pending', attempts = 0, settled_at = NULL WHERE key = ? AND state = 'dead'",
            )
            .bind(key),
        )
        .await
        .map(|changed| changed > 0)
    }

    async fn outbox_rows(&self, query: &'static str) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = sqlx::query(query).fetch_all(&self.0.reads).await;
        rows.and_then(|rows| rows.iter().map(read).collect()).map_err(|e| self.fault(&e))
    }

    async fn outbox_set(
        &self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<u64, StoreError> {
        Ok(query.execute(&self.0.writes).await.map_err(|e| self.fault(&e))?.rows_affected())
    }
}

fn read(row: &SqliteRow) -> sqlx::Result<OutboxRow> {
    let state: String = row.try_get("state")?;
    let (next, created): (Option<String>, String) = (row.try_get("next_at")?, row.try_get("created_at")?);
    Ok(OutboxRow {
        seq: row.try_get("seq")?,
        key: row.try_get("key")?,
        call_id: row.try_get("call_id")?,
        step: row.try_get("step")?,
        payload: row.try_get("payload")?,
        state: match state.as_str() {
            "delivered" => OutboxState::Delivered,
            "dead" => OutboxState::Dead,
            _ => OutboxState::Pending,
        },
        attempts: row.try_get("attempts")?,
        next_at: next.as_deref().map(time),
        last_error: row.try_get("last_error")?,
        receipt: row.try_get("receipt")?,
        created_at: time(&created),
    })
}
