//! Is everything there, and is it what it should be? Reads only.
//!
//! [`verify`] digests every file; [`missing`] looks at presence and size alone, for a quick check before each start.

use crate::catalogue::{Model, ModelFile, Recipe, list};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How one file, or one folder, was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The model it belongs to.
    pub name: &'static str,
    /// The file or the folder.
    pub path: PathBuf,
    /// What is the matter with it.
    pub state: State,
    /// The bytes it should have (of a folder: its checked files together).
    pub bytes: u64,
}

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Not there (of a folder: one of its files is not).
    Missing,
    /// There, but not what it should be.
    Wrong {
        /// The size or checksum it should have, with the file's name when it is one in a folder.
        expected: String,
        /// What it has, or why it could not be read.
        found: String,
    },
}

/// Checks all of every model: presence, size, and then the digest of the whole (about a second).
pub fn verify(dir: &Path) -> Vec<Status> {
    list().iter().flat_map(|m| statuses(m, dir, Depth::Digest)).collect()
}

/// The models that are absent or of the wrong size. Cheap enough for every start; a damaged file of the right size is
/// found by [`verify`].
pub fn missing(dir: &Path) -> Vec<&'static Model> {
    list().iter().filter(|m| !is_whole(m, dir, Depth::Size)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    Size,
    Digest,
}

pub(crate) fn is_whole(model: &Model, dir: &Path, depth: Depth) -> bool {
    model.files.iter().all(|f| check(f, &dir.join(f.name), depth) == State::Ok)
}

/// One status for each file, or a single one for a folder.
pub(crate) fn statuses(model: &Model, dir: &Path, depth: Depth) -> Vec<Status> {
    let each = model.files.iter().map(|f| {
        let path = dir.join(f.name);
        Status { name: model.name, state: check(f, &path, depth), path, bytes: f.bytes }
    });
    if !matches!(model.recipe, Recipe::Folder(_)) {
        return each.collect();
    }
    let each: Vec<_> = each.collect();
    let state = match each.iter().find(|s| s.state != State::Ok) {
        None => State::Ok,
        Some(Status { state: State::Wrong { expected, found }, path, .. }) => {
            State::Wrong { expected: format!("{}: {expected}", path.display()), found: found.clone() }
        }
        Some(s) => s.state.clone(),
    };
    vec![Status { name: model.name, path: dir.join(model.name), state, bytes: model.bytes() }]
}

pub(crate) fn check(file: &ModelFile, path: &Path, depth: Depth) -> State {
    let unreadable = |e: io::Error| State::Wrong { expected: "a readable file".into(), found: e.to_string() };
    match fs::metadata(path) {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => State::Missing,
        Err(e) => unreadable(e),
        Ok(meta) if !meta.is_file() => unreadable(io::Error::other("not a file")),
        Ok(meta) if meta.len() != file.bytes => {
            State::Wrong { expected: format!("{} bytes", file.bytes), found: format!("{} bytes", meta.len()) }
        }
        Ok(_) if depth == Depth::Size => State::Ok,
        Ok(_) => match file.checksum.differs(path) {
            Ok(None) => State::Ok,
            Ok(Some(found)) => State::Wrong { expected: file.checksum.to_string(), found },
            Err(e) => unreadable(e),
        },
    }
}
