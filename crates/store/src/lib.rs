//! What must outlive the process: contacts and orders, cases, call records, the CRM outbox, agents' locations. One SQLite
//! file. It knows no SIP, no CRM vendor and no rule of a conversation; `baton-crm` gives the rows their meaning.
//!
//! What must always hold:
//! - a write that returned `Ok` survives `kill -9` and power loss (WAL with `synchronous=FULL`);
//! - one process has the store at a time;
//! - a case write has one effect per key, however often it comes;
//! - an ended call is not opened again;
//! - no card number and no code that a caller said or typed is in it.

mod agents;
mod batch;
mod calls;
mod cases;
mod error;
mod lock;
mod migrate;
mod outbox;
mod people;
mod privacy;
pub mod redact;
mod registrations;
mod seed;
pub mod text;
mod tickets;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

pub use agents::AgentRow;
pub use calls::CallRow;
pub use cases::{CaseChange, CaseRow, CaseStamp, NoteRow};
pub use error::StoreError;
pub use outbox::{OutboxRow, OutboxState};
pub use people::{ContactRow, OrderRow, RecordRow};
pub use privacy::{Forgotten, Subject};
pub use registrations::Registration;
pub use seed::{Seed, SeedError};

/// How long a write waits for another program that has the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The open store. Clones are handles to the same one; the last to go releases it.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// SQLite has one writer at a time: a pool of one makes ours queue in order instead of colliding.
    writes: SqlitePool,
    /// Readers see the last commit and never wait for the writer (WAL).
    reads: SqlitePool,
    /// The outbox's writes, which share commits.
    batch: tokio::sync::mpsc::Sender<batch::Op>,
    _lock: lock::Lock,
}

impl Store {
    /// Opens the store at `path`, making it (and its folder) if there is none, and brings its schema up.
    ///
    /// # Errors
    /// [`StoreError`] says what is wrong and what to do; nothing stays open then.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = prepare(path.as_ref())?;
        let lock = lock::Lock::take(&path)?;
        // Made by us, not by SQLite: customers' data is for the owner's eyes. SQLite gives -wal and -shm the same mode.
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| StoreError::from_io(&path, &e))?;
        let fault = |e: sqlx::Error| StoreError::from_sqlx(&path, &e);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("secure_delete", "on") // what is deleted is overwritten: it may be somebody's wish
            .busy_timeout(BUSY_TIMEOUT);
        let pool = |size| SqlitePoolOptions::new().max_connections(size).idle_timeout(None).max_lifetime(None);
        let writes = pool(1).connect_with(options.clone()).await.map_err(fault)?;
        migrate::migrate(&path, &writes).await?;
        let reads = pool(2).connect_with(options.pragma("query_only", "on")).await.map_err(fault)?;
        let batch = batch::start(path.clone(), writes.clone());
        Ok(Self(Arc::new(Inner { path, writes, reads, batch, _lock: lock })))
    }

    /// The store's file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Finishes what is being written and folds the write-ahead log into the file. Handles that are left fail from here on.
    pub async fn close(self) {
        self.0.reads.close().await;
        self.0.writes.close().await;
    }

    fn fault(&self, error: &sqlx::Error) -> StoreError {
        StoreError::from_sqlx(&self.0.path, error)
    }

    /// A write of several statements. Takes the write lock at once: a lock taken half-way could not be waited for.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.0.writes.begin_with("BEGIN IMMEDIATE").await.map_err(|e| self.fault(&e))
    }
}

/// Makes the folder, and follows links so that two names of one store share one lock.
fn prepare(path: &Path) -> Result<PathBuf, StoreError> {
    let fault = |e| StoreError::from_io(path, &e);
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir).map_err(fault)?;
    }
    if path.is_dir() {
        return Err(fault(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(e) => Err(fault(e)),
    }
}

/// RFC 3339 with milliseconds, as everywhere outside.
fn stamp(at: jiff::Timestamp) -> String {
    format!("{at:.3}")
}

/// What a stored time says. Only [`stamp`] writes those columns; a damaged one reads as 1970.
fn time(text: &str) -> jiff::Timestamp {
    text.parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_named_loses_nothing_and_passes() {
        let dir = tempfile::TempDir::new().unwrap();
        let store = Store::open(dir.path().join("b.db")).await.unwrap();
        let call = |id: &str, json: String| CallRow {
            call_id: id.into(),
            started_at: "2026-11-24T10:00:00.000Z".into(),
            ended_at: None,
            from: String::new(),
            to: String::new(),
            disposition: None,
            json,
        };
        store.save_call(&call("c1", "{}".into())).await.unwrap();
        // SQLite's cap on pages gives the error that a full disk gives (SQLITE_FULL).
        sqlx::raw_sql("PRAGMA max_page_count = 40").execute(&store.0.writes).await.unwrap();
        let big = call("c2", "x".repeat(400_000));
        let error = store.save_call(&big).await.unwrap_err();
        assert!(
            matches!(error, StoreError::DiskFull { .. }) && error.to_string().contains("disk is full"),
            "{error:?}"
        );
        assert_eq!(store.calls(10).await.unwrap().len(), 1);
        sqlx::raw_sql("PRAGMA max_page_count = 100000").execute(&store.0.writes).await.unwrap();
        store.save_call(&big).await.unwrap();
    }
}
