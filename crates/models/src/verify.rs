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

/// A speech-to-text model, of which one is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SttModel {
    /// Whisper base, many languages.
    Whisper,
    /// Moonshine base, English.
    Moonshine,
}

/// Like [`missing`], without the speech-to-text models that are not in `wanted`.
pub fn missing_for(dir: &Path, wanted: &[SttModel]) -> Vec<&'static Model> {
    let is_wanted = |m: &&Model| match m.recipe {
        Recipe::Whisper { .. } => wanted.contains(&SttModel::Whisper),
        Recipe::Moonshine { .. } => wanted.contains(&SttModel::Moonshine),
        _ => true,
    };
    missing(dir).into_iter().filter(is_wanted).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;

    #[test]
    fn an_empty_folder_lacks_everything() {
        let dir = tempfile::tempdir().unwrap();
        assert!(verify(dir.path()).iter().all(|s| s.state == State::Missing));
        assert_eq!(missing(dir.path()).len(), list().len());
        assert_eq!(missing_for(dir.path(), &[SttModel::Moonshine]).len(), list().len() - 1);
        assert_eq!(missing_for(dir.path(), &[]).len(), list().len() - 2);
        assert!(verify(&dir.path().join("nowhere")).iter().all(|s| s.state == State::Missing));
    }

    #[test]
    fn a_wrong_size_is_seen_at_once_and_wrong_contents_by_digest() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let silero = || verify(dir.path()).into_iter().find(|s| s.path == layout.silero()).unwrap();
        let is_missing = || missing(dir.path()).iter().any(|m| m.name == "silero_vad.onnx");

        fs::write(layout.silero(), b"cut short").unwrap();
        assert!(matches!(silero().state, State::Wrong { found, .. } if found == "9 bytes"));
        assert!(is_missing());

        fs::File::create(layout.silero()).unwrap().set_len(silero().bytes).unwrap();
        assert!(!is_missing());
        let State::Wrong { expected, found } = silero().state else { panic!("zeros are no model") };
        assert!(expected.starts_with("sha256 1a153a22") && found.starts_with("sha256 "), "{expected}, {found}");

        fs::remove_file(layout.silero()).unwrap();
        fs::create_dir(layout.silero()).unwrap();
        assert!(matches!(silero().state, State::Wrong { found, .. } if found == "not a file"));
    }

    #[test]
    fn a_folder_has_one_status_that_names_the_file_at_fault() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("espeak-ng-data");
        fs::create_dir(&data).unwrap();
        let statuses: Vec<_> = verify(dir.path()).into_iter().filter(|s| s.path == data).collect();
        assert!(matches!(&statuses[..], [Status { state: State::Missing, .. }]));
        fs::write(data.join("phontab"), b"other").unwrap();
        let status = verify(dir.path()).into_iter().find(|s| s.path == data).unwrap();
        assert!(matches!(status.state, State::Wrong { expected, .. } if expected.contains("phontab: 58652 bytes")));
    }

    #[test]
    fn the_list_is_sound() {
        for model in list() {
            let digits = model.files.iter().map(|f| f.checksum).chain(model.packages.iter().map(|p| p.checksum));
            assert!(digits.clone().all(|c| matches!(c.hex().len(), 40 | 64) && !c.hex().contains(char::is_uppercase)));
            let fits = match &model.recipe {
                Recipe::Members(members) => members.len() == model.files.len() && model.packages.len() == 1,
                Recipe::Folder(prefix) => prefix.ends_with('/') && model.packages.len() == 1,
                Recipe::Moonshine { .. } => model.files.len() == 4 && model.packages.len() == 1,
                Recipe::Whisper { pieces, .. } => pieces.len() + 1 == model.packages.len() && model.files.len() == 1,
            };
            assert!(fits, "{}", model.name);
        }
    }
}
