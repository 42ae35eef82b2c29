//! What must outlive the process: contacts, orders, cases, call records, outbox. One SQLite file, write-ahead log, synced at
//! every commit: what was acknowledged survives kill -9 and a power cut. One gateway per file, held by a lock.

mod outbox;
mod people;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Executor, Row};

pub use outbox::{Entry, EntryState};
pub use people::{Case, Contact, Order, Seed};

/// The schema's version this build knows.
const VERSION: i64 = 1;

/// What is wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its folder or file cannot be made or opened.
    #[error("cannot open the store {path}: {cause}\n    check that the folder can be written, or set [store] path to another", path = .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// The system's word.
        cause: String,
    },
    /// Another gateway has it.
    #[error("the store {path} is in use by another gateway\n    stop that one, or set [store] path to another", path = .path.display())]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// It was written by a newer build.
    #[error("the store {path} has schema {found}, this build knows {VERSION}\n    run the newer baton, or set [store] path to another", path = .path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// A statement failed: a full disk, a damaged file.
    #[error("the store failed: {0}")]
    Failed(#[from] sqlx::Error),
    /// What is kept does not read as JSON.
    #[error("a stored value is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
    _lock: Arc<File>,
}

/// One call as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRow {
    /// Unique.
    pub call_id: String,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; empty while the call is live.
    pub ended_at: Option<String>,
    /// The caller's number.
    pub from: String,
    /// The called number.
    pub to: String,
    /// The outcome's code.
    pub disposition: Option<String>,
    /// The whole record.
    pub json: String,
}

impl Store {
    /// Opens the store, making it if it is not there.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |cause: String| StoreError::Open { path: path.to_owned(), cause };
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            std::fs::create_dir_all(dir).map_err(|e| failed(e.to_string()))?;
        }
        let lock = File::create(path.with_extension("lock")).map_err(|e| failed(e.to_string()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::Locked { path: path.to_owned() }),
            Err(std::fs::TryLockError::Error(e)) => return Err(failed(e.to_string())),
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.map_err(|e| failed(e.to_string()))?;
        let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(&pool).await.map_err(|e| failed(e.to_string()))?.get(0);
        match found {
            0 => {
                let mut transaction = pool.begin().await?;
                transaction.execute(sqlx::raw_sql(include_str!("schema.sql"))).await?;
                transaction.execute(sqlx::raw_sql("PRAGMA user_version = 1")).await?;
                transaction.commit().await?;
            }
            VERSION => {}
            found => return Err(StoreError::Newer { path: path.to_owned(), found }),
        }
        Ok(Self { pool, _lock: Arc::new(lock) })
    }

    /// Writes a call's record, replacing the version before.
    pub async fn save_call(&self, row: &CallRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO calls (call_id, started_at, ended_at, caller, callee, disposition, json) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (call_id) DO UPDATE SET ended_at = excluded.ended_at, disposition = excluded.disposition, json = excluded.json",
        )
        .bind(&row.call_id)
        .bind(&row.started_at)
        .bind(&row.ended_at)
        .bind(&row.from)
        .bind(&row.to)
        .bind(&row.disposition)
        .bind(&row.json)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// One call.
    pub async fn call(&self, call_id: &str) -> Result<Option<CallRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM calls WHERE call_id = ?").bind(call_id).fetch_optional(&self.pool).await?;
        Ok(row.map(|r| call_row(&r)))
    }

    /// The newest calls.
    pub async fn calls(&self, limit: u32) -> Result<Vec<CallRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM calls ORDER BY started_at DESC LIMIT ?").bind(limit).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(call_row).collect())
    }

    /// At start: every call without an end was cut by the end of the process. Its record says so from now on.
    pub async fn mark_interrupted(&self) -> Result<u64, StoreError> {
        let rows = sqlx::query("SELECT * FROM calls WHERE ended_at IS NULL").fetch_all(&self.pool).await?;
        let now = jiff::Timestamp::now().to_string();
        for row in &rows {
            let mut row = call_row(row);
            let mut json: serde_json::Value = serde_json::from_str(&row.json)?;
            json["ended_at"] = now.clone().into();
            json["termination"] = serde_json::json!({"cause": "interrupted", "by": "baton", "sip": 0});
            row.json = json.to_string();
            row.ended_at = Some(now.clone());
            self.save_call(&row).await?;
        }
        Ok(rows.len() as u64)
    }
}

fn call_row(row: &sqlx::sqlite::SqliteRow) -> CallRow {
    CallRow {
        call_id: row.get("call_id"),
        started_at: row.get("started_at"),
        ended_at: row.get("ended_at"),
        from: row.get("caller"),
        to: row.get("callee"),
        disposition: row.get("disposition"),
        json: row.get("json"),
    }
}

#[cfg(test)]
mod tests;
