//! Retention, and deletion of what is known of one caller. Live calls and writes that still wait for their system are left
//! alone and told of: deleting those would be losing them.

use jiff::Timestamp;
use sqlx::{Row, Sqlite, Transaction};

use crate::{Store, StoreError, stamp};

/// Whose data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Their numbers, in every writing that calls came from ([`Store::callers`]).
    pub callers: Vec<String>,
    /// Their id as a contact, here or in the system of record.
    pub contact: Option<String>,
}

/// What was deleted, and what is left to do elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// The calls whose records are gone. Recordings under these ids are for their keeper to delete.
    pub calls: Vec<String>,
    /// How many cases are gone.
    pub cases: u64,
    /// How many settled outbox rows are gone.
    pub outbox: u64,
    /// How many contacts, with their orders.
    pub contacts: u64,
    /// Receipts, as JSON, of what other systems hold about these calls. They must be asked to delete it themselves.
    pub receipts: Vec<String>,
    /// Calls still going on, and calls whose callback is still owed: ask again when they are over.
    pub live: Vec<String>,
    /// Keys of writes not delivered yet: ask again when they are, or when they are dead.
    pub waiting: Vec<String>,
}

impl Store {
    /// Every number that calls came from, as it was signalled, or are to be called back.
    pub async fn callers(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query_scalar(
            "SELECT DISTINCT caller FROM calls
             UNION SELECT DISTINCT json_extract(payload, '$.from') FROM outbox WHERE json_valid(payload)
               AND json_extract(payload, '$.from') IS NOT NULL
             UNION SELECT DISTINCT json_extract(ticket, '$.number') FROM tickets WHERE json_valid(ticket)
               AND json_extract(ticket, '$.number') IS NOT NULL",
        );
        rows.fetch_all(&self.0.reads).await.map_err(|e| self.fault(&e))
    }

    /// Deletes what is known of somebody, and overwrites where it stood.
    pub async fn forget(&self, subject: &Subject) -> Result<Forgotten, StoreError> {
        let fault = |e: sqlx::Error| self.fault(&e);
        let mut tx = self.begin().await?;
        let callers = serde_json::Value::from(subject.callers.clone()).to_string();
        let rows = sqlx::query(
            "WITH subject (call_id) AS (
               SELECT call_id FROM calls WHERE caller IN (SELECT value FROM json_each(?1))
                 OR (json_valid(record) AND json_extract(record, '$.contact.id') = ?2)
               UNION SELECT call_id FROM cases WHERE contact_id = ?2
               UNION SELECT call_id FROM outbox WHERE json_valid(payload)
                 AND (json_extract(payload, '$.from') IN (SELECT value FROM json_each(?1))
                      OR json_extract(payload, '$.contact') = ?2))
             SELECT call_id, EXISTS (SELECT 1 FROM calls c WHERE c.call_id = subject.call_id AND ended_at IS NULL) AS live
             FROM subject ORDER BY call_id",
        )
        .bind(&callers)
        .bind(&subject.contact)
        .fetch_all(&mut *tx)
        .await
        .map_err(fault)?;
        let owed = "SELECT id FROM tickets WHERE json_valid(ticket)
             AND json_extract(ticket, '$.number') IN (SELECT value FROM json_each(?1)) ORDER BY id";
        let owed = sqlx::query_scalar(owed).bind(&callers).fetch_all(&mut *tx).await.map_err(fault)?;
        let mut out = Forgotten { live: owed, ..Forgotten::default() };
        for row in &rows {
            let call: String = row.try_get("call_id").map_err(fault)?;
            if out.live.contains(&call) {
                // The promise is of this call: its record is still needed.
            } else if row.try_get("live").map_err(fault)? {
                out.live.push(call);
            } else {
                forget_call(&mut tx, call, &mut out).await.map_err(fault)?;
            }
        }
        if out.live.is_empty() && out.waiting.is_empty() {
            let query = sqlx::query("DELETE FROM contacts WHERE id = ?").bind(&subject.contact);
            out.contacts = query.execute(&mut *tx).await.map_err(fault)?.rows_affected();
        }
        tx.commit().await.map_err(fault)?;
        self.checkpoint().await?;
        Ok(out)
    }

    /// Deletes the records of calls that ended before `before`, with their cases and delivered writes. Dead letters stay:
    /// somebody has to look at them. Answers how many calls went.
    pub async fn expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        let fault = |e: sqlx::Error| self.fault(&e);
        let before = stamp(before);
        let mut tx = self.begin().await?;
        let waits = "SELECT call_id FROM outbox WHERE state <> 'delivered'";
        for delete in [
            format!("DELETE FROM cases WHERE updated_at < ?1 AND closed AND call_id NOT IN ({waits})"),
            "DELETE FROM outbox WHERE state = 'delivered' AND settled_at < ?1".to_owned(),
        ] {
            // Only constants are put together here.
            sqlx::query(sqlx::AssertSqlSafe(delete)).bind(&before).execute(&mut *tx).await.map_err(fault)?;
        }
        let calls = sqlx::query("DELETE FROM calls WHERE ended_at < ?1").bind(&before);
        let calls = calls.execute(&mut *tx).await.map_err(fault)?.rows_affected();
        tx.commit().await.map_err(fault)?;
        self.checkpoint().await?;
        Ok(calls)
    }

    /// Folds the write-ahead log into the file and empties it: deleted rows must not live on there.
    async fn checkpoint(&self) -> Result<(), StoreError> {
        let fault = |e: sqlx::Error| self.fault(&e);
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&self.0.writes).await.map_err(fault)?;
        Ok(())
    }
}

async fn forget_call(tx: &mut Transaction<'static, Sqlite>, call: String, out: &mut Forgotten) -> sqlx::Result<()> {
    let waiting: Vec<String> =
        sqlx::query_scalar("SELECT key FROM outbox WHERE call_id = ? AND state = 'pending' ORDER BY seq")
            .bind(&call)
            .fetch_all(&mut **tx)
            .await?;
    if !waiting.is_empty() {
        out.waiting.extend(waiting);
        return Ok(());
    }
    let receipts = sqlx::query_scalar("SELECT receipt FROM outbox WHERE call_id = ? AND receipt IS NOT NULL");
    for receipt in receipts.bind(&call).fetch_all(&mut **tx).await? {
        if !out.receipts.contains(&receipt) {
            out.receipts.push(receipt);
        }
    }
    let outbox = sqlx::query("DELETE FROM outbox WHERE call_id = ?").bind(&call).execute(&mut **tx).await?;
    let cases = sqlx::query("DELETE FROM cases WHERE call_id = ?").bind(&call).execute(&mut **tx).await?;
    sqlx::query("DELETE FROM calls WHERE call_id = ?").bind(&call).execute(&mut **tx).await?;
    out.outbox += outbox.rows_affected();
    out.cases += cases.rows_affected();
    out.calls.push(call);
    Ok(())
}
