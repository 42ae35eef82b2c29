//! Moonshine's shipped graphs to the ones that are fast here. The work is done by `python/moonshine.py` with onnx and
//! onnxruntime, installed by pip into a passing folder from pinned, hashed wheels; this module runs it and watches it.
//!
//! Nothing it makes is trusted: the caller places each file only with its pinned digest.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::pip::{Registry, RegistryError};

const SCRIPT: &str = include_str!("../python/moonshine.py");
/// Wheels for CPython 3.11 to 3.14 on x86-64 and aarch64, each with its SHA-256.
const REQUIREMENTS: &str = include_str!("../python/moonshine-requirements.txt");

/// What the script reads in its input folder.
pub(crate) const INPUTS: [&str; 2] = ["encoder_model.ort", "decoder_model_merged.ort"];
/// What it makes, in the order in which it does.
pub(crate) const OUTPUTS: [&str; 3] = ["encoder", "first", "next"];

#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("{0}")]
    Packages(#[from] RegistryError),
    #[error("{path}: {cause}", path = .0.display(), cause = .1)]
    Io(PathBuf, #[source] io::Error),
    #[error("the converter failed: {0}")]
    Script(String),
}

/// Folders of one conversion, all below one that may be removed at any time.
pub(crate) struct Workshop {
    root: PathBuf,
}

impl Workshop {
    /// An empty one.
    pub(crate) fn new(root: PathBuf) -> io::Result<Self> {
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        let this = Self { root };
        fs::create_dir_all(this.input())?;
        fs::create_dir_all(this.output())?;
        Ok(this)
    }

    /// Where the shipped graphs go.
    pub(crate) fn input(&self) -> PathBuf {
        self.root.join("in")
    }

    fn output(&self) -> PathBuf {
        self.root.join("out")
    }

    /// The file of one of [`OUTPUTS`].
    pub(crate) fn made(&self, name: &str) -> PathBuf {
        self.output().join(format!("{name}.onnx"))
    }

    /// Installs the packages (`links`: a folder of the user's that may hold wheels) and converts. `done` hears of each
    /// file as it is finished.
    pub(crate) fn run(
        &self,
        registry: &dyn Registry,
        links: Option<&Path>,
        done: &mut dyn FnMut(&str),
    ) -> Result<(), RunError> {
        let write = |name: &str, text: &str| {
            let path = self.root.join(name);
            fs::write(&path, text).map_err(|e| RunError::Io(path.clone(), e)).map(|()| path)
        };
        let (requirements, script) = (write("requirements.txt", REQUIREMENTS)?, write("moonshine.py", SCRIPT)?);
        let packages = self.root.join("packages");
        let python = registry.install(&requirements, links, &packages)?;

        // Its warnings are of no use to anybody unless it fails.
        let log = self.root.join("log");
        let at_log = |e| RunError::Io(log.clone(), e);
        let mut command = Command::new(python);
        command.arg("-I").arg(&script).args([&packages, &self.input(), &self.output()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log).map_err(at_log)?);
        let mut child = command.spawn().map_err(|e| RunError::Script(e.to_string()))?;
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                done(line.trim());
            }
        }
        let status = child.wait().map_err(|e| RunError::Script(e.to_string()))?;
        if status.success() {
            return Ok(());
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        let last = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
        Err(RunError::Script(format!("{last} ({status})")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Package;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn every_package_is_pinned_with_a_digest() {
        let logical = REQUIREMENTS.replace("\\\n", " ");
        let lines: Vec<&str> = logical.lines().filter(|l| !l.trim().is_empty()).collect();
        assert!(lines.len() >= 8, "{lines:?}");
        for line in lines {
            assert!(line.contains("==") && line.contains("--hash=sha256:"), "{line}");
        }
    }

    /// Installs nothing, and gives a shell script for Python.
    struct Shell(Option<PathBuf>);

    impl Registry for Shell {
        fn locate(&self, _: &Package) -> Result<String, RegistryError> {
            Err(RegistryError("not asked".into()))
        }
        fn download(&self, _: &Package, _: &Path) -> Result<(), RegistryError> {
            Err(RegistryError("not asked".into()))
        }
        fn install(&self, requirements: &Path, _: Option<&Path>, _: &Path) -> Result<PathBuf, RegistryError> {
            assert!(fs::read_to_string(requirements).unwrap().contains("onnx=="));
            self.0.clone().ok_or_else(|| RegistryError("no wheels".into()))
        }
    }

    fn shell(dir: &Path, text: &str) -> Shell {
        let path = dir.join("python");
        fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Shell(Some(path))
    }

    #[test]
    fn a_conversion_is_followed_and_its_failure_told_in_its_own_words() {
        let dir = tempfile::tempdir().unwrap();
        let workshop = Workshop::new(dir.path().join("w")).unwrap();
        // Arguments: -I SCRIPT PACKAGES IN OUT.
        let python =
            shell(dir.path(), "for f in encoder first next; do cp $4/encoder_model.ort $5/$f.onnx; echo $f; done");
        fs::write(workshop.input().join(INPUTS[0]), b"graph").unwrap();
        let mut done = Vec::new();
        workshop.run(&python, None, &mut |name| done.push(name.to_owned())).unwrap();
        assert_eq!(done, OUTPUTS);
        assert_eq!(fs::read(workshop.made("next")).unwrap(), b"graph");

        let python = shell(dir.path(), "echo warning >&2; echo 'MemoryError: out of it' >&2; echo >&2; exit 3");
        let error = workshop.run(&python, None, &mut |_| ()).unwrap_err().to_string();
        assert!(error.contains("MemoryError: out of it") && error.contains('3'), "{error}");
        let error = workshop.run(&Shell(None), None, &mut |_| ()).unwrap_err().to_string();
        assert_eq!(error, "no wheels");
        assert!(!Workshop::new(dir.path().join("w")).unwrap().made("next").exists(), "what was left is gone");
    }
}
