//! Pinned digests and hashing while bytes go by. SHA-256 where we chose, SHA-1 where the publisher (whisper.cpp) did.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// A digest a file must have, in lower-case hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-1, 40 digits.
    Sha1(&'static str),
    /// SHA-256, 64 digits.
    Sha256(&'static str),
}

impl Checksum {
    /// The digits alone.
    pub fn hex(&self) -> &'static str {
        match self {
            Self::Sha1(hex) | Self::Sha256(hex) => hex,
        }
    }

    /// Reads the whole file and gives what it has instead, as `Some("sha256 …")`, or `None` when it is right.
    pub(crate) fn differs(&self, path: &Path) -> io::Result<Option<String>> {
        let mut hashing = Hashing::new(io::sink(), *self);
        let mut file = File::open(path)?;
        copy(&mut file, &mut hashing, |_| ())?;
        Ok(hashing.differs())
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha1(hex) => write!(f, "sha1 {hex}"),
            Self::Sha256(hex) => write!(f, "sha256 {hex}"),
        }
    }
}

enum State {
    Sha1(Sha1),
    Sha256(Sha256),
}

/// A writer that passes bytes on and digests them.
pub(crate) struct Hashing<W> {
    inner: W,
    state: State,
    wanted: Checksum,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(inner: W, wanted: Checksum) -> Self {
        let state = match wanted {
            Checksum::Sha1(_) => State::Sha1(Sha1::new()),
            Checksum::Sha256(_) => State::Sha256(Sha256::new()),
        };
        Self { inner, state, wanted }
    }

    /// What was found, when it is not what was wanted.
    pub(crate) fn differs(self) -> Option<String> {
        let (kind, digest) = match self.state {
            State::Sha1(h) => ("sha1", h.finalize().to_vec()),
            State::Sha256(h) => ("sha256", h.finalize().to_vec()),
        };
        let found = hex(&digest);
        (found != self.wanted.hex()).then(|| format!("{kind} {found}"))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        match &mut self.state {
            State::Sha1(h) => h.update(&bytes[..n]),
            State::Sha256(h) => h.update(&bytes[..n]),
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// [`io::copy`] in larger steps, with a look at each.
pub(crate) fn copy(from: &mut impl Read, to: &mut (impl Write + ?Sized), mut step: impl FnMut(u64)) -> io::Result<u64> {
    let mut buffer = vec![0; 256 * 1024];
    let mut total = 0;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        to.write_all(&buffer[..n])?;
        total += n as u64;
        step(n as u64);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
pub(crate) fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
pub(crate) fn sha1_of(bytes: &[u8]) -> String {
    hex(&Sha1::digest(bytes))
}
