//! What may go wrong with the store, in words for who runs the gateway: cause first, then the remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not be opened, or did not take or give something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened or made.
    #[error("cannot open the store {}: {cause}\n    {remedy}", path.display())]
    Open {
        /// The store's file.
        path: PathBuf,
        /// What the system says.
        cause: String,
        /// What to do.
        remedy: String,
    },
    /// Another gateway has it. Two gateways on one store would each deliver the other's CRM writes.
    #[error("the store {} is in use by another gateway{}\n    stop that one first, or set [store] path to another file", path.display(), Holder(*.holder))]
    InUse {
        /// The store's file.
        path: PathBuf,
        /// The other gateway's process id, if it could be read.
        holder: Option<u32>,
    },
    /// A later version of Baton has written it.
    #[error("the store {} has schema version {found}, this Baton knows up to {known}\n    run the newer Baton that wrote it, or set [store] path to another file", path.display())]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The latest this version knows.
        known: i64,
    },
    /// An SQLite database, but of some other program.
    #[error("{} is a database of another program, not a Baton store\n    set [store] path to another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Not a database, or a damaged one.
    #[error("the store {} is damaged: {cause}\n    move it away and restore a backup, or try: sqlite3 {} .recover", path.display(), path.display())]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What SQLite says.
        cause: String,
    },
    /// No room left. What was there before is whole, the write had no effect.
    #[error("no room to write to the store {}: the disk is full\n    free some space beside it; what waits is tried again", path.display())]
    DiskFull {
        /// The store's file.
        path: PathBuf,
    },
    /// Another program (a shell, a backup) held it longer than we wait.
    #[error("the store {} is locked by another program\n    close what has it open (try: fuser {})", path.display(), path.display())]
    Busy {
        /// The store's file.
        path: PathBuf,
    },
    /// Anything else.
    #[error("the store {} failed: {cause}", path.display())]
    Failed {
        /// The store's file.
        path: PathBuf,
        /// What SQLite says.
        cause: String,
    },
}

impl StoreError {
    /// What SQLite said, sorted by its primary result code (https://www.sqlite.org/rescode.html).
    pub(crate) fn from_sqlx(path: &Path, error: &sqlx::Error) -> Self {
        let path = path.to_owned();
        let cause = error.to_string();
        let code = match error {
            sqlx::Error::Database(e) => e.code().and_then(|code| code.parse::<i32>().ok()),
            _ => None,
        };
        match code.map(|code| code & 0xff) {
            Some(5 | 6) => Self::Busy { path },             // SQLITE_BUSY, SQLITE_LOCKED
            Some(11 | 26) => Self::Damaged { path, cause }, // SQLITE_CORRUPT, SQLITE_NOTADB
            Some(13) => Self::DiskFull { path },            // SQLITE_FULL
            Some(8 | 14) => {
                let remedy = remedy(&path, io::ErrorKind::PermissionDenied); // SQLITE_READONLY, SQLITE_CANTOPEN
                Self::Open { path, cause, remedy }
            }
            _ => Self::Failed { path, cause },
        }
    }

    pub(crate) fn from_io(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path: path.to_owned() },
            kind => Self::Open { path: path.to_owned(), cause: error.to_string(), remedy: remedy(path, kind) },
        }
    }
}

fn remedy(path: &Path, kind: io::ErrorKind) -> String {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match kind {
        io::ErrorKind::IsADirectory => {
            format!("set [store] path to a file, such as {}", path.join("baton.db").display())
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            format!("{} must be a folder; set [store] path to a file in one", dir.display())
        }
        _ => format!(
            "give the user the gateway runs as write access to {}, or set [store] path to a file elsewhere",
            dir.display()
        ),
    }
}

struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |pid| write!(f, " (process {pid})"))
    }
}
