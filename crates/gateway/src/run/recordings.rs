//! Recordings beside the calls: files are made, written and deleted where waiting for a disk hurts nobody.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use baton_media::{Recorded, Recorder, free_space};
use dashmap::DashMap;
use tracing::{info, warn};

use super::shared::{CallEvent, Inbox};
use crate::config::{Consent, Recording};

/// Ends of recordings' names.
const SUFFIX: &str = ".opus";

/// Makes recordings.
pub struct Recordings {
    dir: PathBuf,
    keep_free: u64,
    flows: BTreeMap<String, Consent>,
    recorder: Arc<Recorder>,
    /// Whose a file is.
    owners: Arc<DashMap<PathBuf, Inbox>>,
}

impl Recordings {
    /// Starts the recorder, if any flow is recorded.
    pub fn start(config: &Recording) -> io::Result<Option<Self>> {
        if config.flows.is_empty() {
            return Ok(None);
        }
        make_dir(&config.dir)?;
        let owners: Arc<DashMap<PathBuf, Inbox>> = Arc::default();
        let told = Arc::clone(&owners);
        let recorder = Recorder::start(move |recorded: Recorded| {
            if let Some((_, inbox)) = told.remove(&recorded.path) {
                inbox.send(CallEvent::Recorded(recorded));
            }
        })?;
        Ok(Some(Self {
            dir: config.dir.clone(),
            keep_free: config.keep_free,
            flows: config.flows.clone(),
            recorder: Arc::new(recorder),
            owners,
        }))
    }

    /// By what a flow's calls are recorded; `None`: not at all.
    pub fn consent(&self, flow: &str) -> Option<&Consent> {
        self.flows.get(flow)
    }

    /// Begins a recording of a call, after `earlier` others: [`CallEvent::RecordingReady`] follows, and at its end
    /// [`CallEvent::Recorded`].
    pub fn begin(&self, call_id: &str, earlier: usize, inbox: &Inbox) {
        let nth = if earlier == 0 { String::new() } else { format!("-{}", earlier + 1) };
        let path = self.dir.join(format!("{call_id}{nth}{SUFFIX}"));
        let (keep_free, recorder) = (self.keep_free, Arc::clone(&self.recorder));
        let (owners, inbox) = (Arc::clone(&self.owners), inbox.clone());
        tokio::task::spawn_blocking(move || {
            owners.insert(path.clone(), inbox.clone());
            let ready = make(&path, keep_free, &recorder).map(|to| (path.display().to_string(), to));
            if ready.is_err() {
                owners.remove(&path);
            }
            inbox.send(CallEvent::RecordingReady(ready));
        });
    }
}

fn make(path: &Path, keep_free: u64, recorder: &Recorder) -> Result<rtrb::Producer<baton_media::StereoFrame>, String> {
    let dir = path.parent().unwrap_or(Path::new("."));
    make_dir(dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
    match free_space(dir) {
        Ok(free) if free < keep_free => Err(format!(
            "{} has {} MB left, and {} MB are to stay free: make room, or lower [recording] keep_free_mb",
            dir.display(),
            free / 1_048_576,
            keep_free / 1_048_576
        )),
        _ => recorder.record(path).map_err(|e| e.to_string()),
    }
}

/// Readable by the gateway's user alone.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700).create(dir)
}

/// Once an hour, deletes recordings that are older than they may be kept.
pub async fn purge(dir: PathBuf, days: u32) {
    loop {
        let swept = dir.clone();
        let limit = Duration::from_secs(u64::from(days) * 86_400);
        match tokio::task::spawn_blocking(move || delete_older(&swept, limit)).await {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(files)) => info!(files, days, "recordings older than they may be kept are deleted"),
            Ok(Err(e)) => warn!(dir = %dir.display(), error = %e, "old recordings could not be deleted"),
        }
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    }
}

fn delete_older(dir: &Path, limit: Duration) -> io::Result<usize> {
    let now = SystemTime::now();
    delete(dir, |_, changed| now.duration_since(changed).is_ok_and(|age| age > limit))
}

/// Deletes the recordings of these calls; how many files went.
pub fn forget(dir: &Path, calls: &[String]) -> io::Result<usize> {
    delete(dir, |name, _| {
        let stem = name.strip_suffix(SUFFIX).unwrap_or(name);
        calls.iter().any(|call| stem.strip_prefix(call.as_str()).is_some_and(|rest| rest.is_empty() || is_nth(rest)))
    })
}

/// A later recording of the same call.
fn is_nth(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|n| n.len() <= 3 && n.parse::<u32>().is_ok())
}

fn delete(dir: &Path, which: impl Fn(&str, SystemTime) -> bool) -> io::Result<usize> {
    if !dir.is_dir() {
        return Ok(0);
    }
    let mut gone = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.ends_with(SUFFIX)) else { continue };
        if which(name, entry.metadata()?.modified()?) {
            std::fs::remove_file(entry.path())?;
            gone += 1;
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("baton-recordings-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        make_dir(&dir).unwrap();
        dir
    }

    #[test]
    fn what_is_too_old_goes_and_nothing_else() {
        let dir = dir("old");
        for name in ["a.opus", "b.opus", "notes.txt"] {
            let file = std::fs::File::create(dir.join(name)).unwrap();
            if name != "b.opus" {
                file.set_modified(SystemTime::now() - Duration::from_secs(3 * 86_400)).unwrap();
            }
        }
        assert_eq!(delete_older(&dir, Duration::from_secs(2 * 86_400)).unwrap(), 1);
        assert!(!dir.join("a.opus").exists() && dir.join("b.opus").exists() && dir.join("notes.txt").exists());
        assert_eq!(delete_older(&dir.join("missing"), Duration::ZERO).unwrap(), 0);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_forgotten_calls_recordings_go_all_of_them() {
        let dir = dir("forget");
        for name in ["20260101-7.opus", "20260101-7-2.opus", "20260101-77.opus", "20260101-7-abc.opus"] {
            std::fs::File::create(dir.join(name)).unwrap();
        }
        assert_eq!(forget(&dir, &["20260101-7".into()]).unwrap(), 2);
        assert!(dir.join("20260101-77.opus").exists() && dir.join("20260101-7-abc.opus").exists());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
