//! Call records: the JSON as it is shown outside, and the few columns it is found by.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::{Store, StoreError, redact, stamp};

/// One call's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRow {
    /// Unique.
    pub call_id: String,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; none while the call is live.
    pub ended_at: Option<String>,
    /// The caller's number.
    pub from: String,
    /// The called number.
    pub to: String,
    /// The business outcome's code.
    pub disposition: Option<String>,
    /// The whole record.
    pub json: String,
}

impl Store {
    /// Writes a call's record over its earlier version. An ended call stays as it ended: a late version without an end is
    /// dropped. Card numbers and codes in its words are taken out ([`crate::redact`]).
    pub async fn save_call(&self, row: &CallRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO calls (call_id, started_at, ended_at, caller, callee, disposition, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (call_id) DO UPDATE SET
               ended_at = ?3, caller = ?4, callee = ?5, disposition = ?6, record = ?7
             WHERE calls.ended_at IS NULL OR ?3 IS NOT NULL",
        )
        .bind(&row.call_id)
        .bind(&row.started_at)
        .bind(&row.ended_at)
        .bind(&row.from)
        .bind(&row.to)
        .bind(&row.disposition)
        .bind(redact::json_text(&row.json).as_ref())
        .execute(&self.0.writes)
        .await
        .map_err(|e| self.fault(&e))?;
        Ok(())
    }

    /// The call of that id.
    pub async fn call(&self, call_id: &str) -> Result<Option<CallRow>, StoreError> {
        let row =
            sqlx::query("SELECT * FROM calls WHERE call_id = ?").bind(call_id).fetch_optional(&self.0.reads).await;
        row.and_then(|row| row.as_ref().map(read).transpose()).map_err(|e| self.fault(&e))
    }

    /// The calls that began last, newest first.
    pub async fn calls(&self, limit: u32) -> Result<Vec<CallRow>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM calls ORDER BY rowid DESC LIMIT ?").bind(limit).fetch_all(&self.0.reads).await;
        rows.and_then(|rows| rows.iter().map(read).collect()).map_err(|e| self.fault(&e))
    }

    /// To be called once, at start, before the first call is taken: calls without an end were cut by the last end of the
    /// gateway. Each gets one, now, with the cause `interrupted`. Answers how many there were.
    pub async fn mark_interrupted(&self) -> Result<u64, StoreError> {
        let fault = |e: sqlx::Error| self.fault(&e);
        let now = stamp(Timestamp::now());
        let mut tx = self.begin().await?;
        let rows =
            sqlx::query("SELECT * FROM calls WHERE ended_at IS NULL").fetch_all(&mut *tx).await.map_err(fault)?;
        for row in &rows {
            let call = read(row).map_err(fault)?;
            sqlx::query("UPDATE calls SET ended_at = ?2, record = ?3 WHERE call_id = ?1")
                .bind(&call.call_id)
                .bind(&now)
                .bind(interrupted(&call, &now))
                .execute(&mut *tx)
                .await
                .map_err(fault)?;
        }
        tx.commit().await.map_err(fault)?;
        Ok(rows.len() as u64)
    }
}

/// The record with its end. One that does not parse is made anew from the columns: the call must not vanish from the list.
fn interrupted(call: &CallRow, now: &str) -> String {
    let mut record = match serde_json::from_str(&call.json) {
        Ok(Value::Object(record)) => record,
        _ => {
            let CallRow { call_id, started_at, from, to, disposition, .. } = call;
            let record = json!({"call_id": call_id, "started_at": started_at, "from": from, "to": to, "disposition": disposition});
            record.as_object().cloned().unwrap_or_else(Map::new)
        }
    };
    record.insert("ended_at".into(), json!(now));
    record.insert("termination".into(), json!({"cause": "interrupted", "by": "baton"}));
    Value::Object(record).to_string()
}

fn read(row: &SqliteRow) -> sqlx::Result<CallRow> {
    Ok(CallRow {
        call_id: row.try_get("call_id")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
        from: row.try_get("caller")?,
        to: row.try_get("callee")?,
        disposition: row.try_get("disposition")?,
        json: row.try_get("record")?,
    })
}
