//! One store, one gateway: a lock on a file beside the store, which the system releases however the process ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// Held as long as the store is open.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never used: dropping it releases the lock")] File);

impl Lock {
    /// Takes the lock of the store at `store`, or says who has it.
    pub(crate) fn take(store: &Path) -> Result<Self, StoreError> {
        let path = beside(store);
        let fault = |e| StoreError::from_io(store, &e);
        // Not truncated: until we hold the lock, what stands there is the other process's id.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).ok().and_then(|pid| pid.trim().parse().ok());
                return Err(StoreError::InUse { path: store.to_owned(), holder });
            }
            Err(TryLockError::Error(e)) => return Err(fault(e)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(fault)?;
        Ok(Self(file))
    }
}

fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
