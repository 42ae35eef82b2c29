//! Spoken clauses that are kept: in memory all of them, up to a bound, the least recently used going first; on disk those
//! that every caller hears. A clip is known by voice and words.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use baton_audio::{Clip, RATE, load_clip, write_wav};
use sha2::{Digest, Sha256};
use tracing::{debug, warn};

/// Samples kept in memory: 35 minutes, 32 MB.
const MOST_SAMPLES: usize = 16 << 20;
/// Files kept on disk; the oldest go at start.
const MOST_FILES: usize = 4_096;
/// Changes whenever clips of the same words come out otherwise.
const FORMAT: &str = "baton clip 1";

/// Clips in memory.
#[derive(Default)]
pub(crate) struct Memory {
    clips: HashMap<String, (Clip, u64)>,
    samples: usize,
    uses: u64,
}

impl Memory {
    pub fn get(&mut self, words: &str) -> Option<Clip> {
        self.uses += 1;
        let (clip, used) = self.clips.get_mut(words)?;
        *used = self.uses;
        Some(clip.clone())
    }

    pub fn put(&mut self, words: &str, clip: &Clip) {
        self.uses += 1;
        self.samples += clip.len();
        if let Some((old, _)) = self.clips.insert(words.to_owned(), (clip.clone(), self.uses)) {
            self.samples -= old.len();
        }
        while self.samples > MOST_SAMPLES && self.clips.len() > 1 {
            let oldest = self.clips.iter().min_by_key(|(_, (_, used))| *used).map(|(words, _)| words.clone());
            if let Some((old, _)) = oldest.and_then(|words| self.clips.remove(&words)) {
                self.samples -= old.len();
            }
        }
    }
}

/// Clips on disk, in a folder of our own.
pub(crate) struct Disk {
    dir: PathBuf,
    voice: String,
}

impl Disk {
    /// `None` if the folder cannot be made.
    pub fn open(dir: PathBuf, voice: &str) -> Option<Self> {
        if let Err(e) = fs::create_dir_all(&dir) {
            warn!(dir = %dir.display(), error = %e, "spoken prompts cannot be kept on disk; they are kept in memory");
            return None;
        }
        prune(&dir, MOST_FILES);
        Some(Self { dir, voice: voice.to_owned() })
    }

    pub fn get(&self, words: &str) -> Option<Clip> {
        let file = self.file(words);
        if !file.exists() {
            return None;
        }
        load_clip(&file).inspect_err(|e| debug!(file = %file.display(), error = %e, "a kept clip is unreadable")).ok()
    }

    /// Put in place whole, by a rename: a reader never sees half a clip.
    pub fn put(&self, words: &str, clip: &Clip) {
        let file = self.file(words);
        let fresh = file.with_extension(format!("{}.new", std::process::id()));
        let written = write_wav(&fresh, clip.samples(), RATE).and_then(|()| fs::rename(&fresh, &file));
        if let Err(e) = written {
            debug!(file = %file.display(), error = %e, "a clip was not kept on disk");
            let _ = fs::remove_file(&fresh);
        }
    }

    fn file(&self, words: &str) -> PathBuf {
        let hash = Sha256::digest(format!("{FORMAT}\0{}\0{words}", self.voice));
        let name: String = hash.iter().take(16).map(|b| format!("{b:02x}")).collect();
        self.dir.join(format!("{name}.wav"))
    }
}

fn prune(dir: &Path, most: usize) {
    let files =
        fs::read_dir(dir).into_iter().flatten().flatten().filter(|f| f.path().extension().is_some_and(|e| e == "wav"));
    let age = |f: &fs::DirEntry| f.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut files: Vec<(SystemTime, PathBuf)> = files.map(|f| (age(&f), f.path())).collect();
    files.sort();
    for (_, file) in files.iter().take(files.len().saturating_sub(most)) {
        let _ = fs::remove_file(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_forgets_what_was_not_used() {
        let mut memory = Memory::default();
        let clip = Clip::new(vec![0; MOST_SAMPLES / 4]);
        for words in ["a", "b", "c", "d"] {
            memory.put(words, &clip);
        }
        assert!(memory.get("a").is_some());
        memory.put("e", &clip);
        assert!(memory.get("b").is_none() && memory.get("a").is_some() && memory.get("e").is_some());
        memory.put("e", &clip);
        assert_eq!(memory.samples, MOST_SAMPLES);
    }

    #[test]
    fn a_voice_never_speaks_with_anothers_clip_and_old_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let disk = |voice| Disk::open(dir.path().to_owned(), voice).unwrap();
        disk("joe").put("hello", &Clip::new(vec![500; 800]));
        assert_eq!(disk("joe").get("hello").unwrap().len(), 800);
        assert!(disk("amy").get("hello").is_none() && disk("joe").get("hello.").is_none());
        fs::write(disk("joe").file("torn"), b"RIFF").unwrap();
        assert!(disk("joe").get("torn").is_none());
        prune(dir.path(), 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
