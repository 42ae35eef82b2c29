//! Downloads one file whose size and digest are known, and picks up where an earlier try stopped.
//!
//! Bytes go to `FILE.part`; the file has its own name only when its digest is right. A part survives a broken line, a full
//! disk and the end of the process; a part that turns out wrong does not. As long as bytes come, it is tried again.

use crate::catalogue::Package;
use crate::progress::Progress;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{StatusCode, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    /// The other side, or the way to it.
    #[error("{0}")]
    Unreachable(String),
    /// It came whole, and twice wrong.
    #[error("expected {expected}, found {found}")]
    Wrong { expected: String, found: String },
    /// Our side: the disk.
    #[error("{1}: {0}")]
    Disk(#[source] io::Error, PathBuf),
}

/// How often in a row nothing may come before it is given up.
const FRUITLESS: u32 = 3;

/// Brings the package's file from `url` into `dir` and gives its path.
pub(crate) fn download(
    url: &str,
    package: &Package,
    dir: &Path,
    progress: &mut dyn Progress,
) -> Result<PathBuf, DownloadError> {
    let (part, whole) = (dir.join(format!("{}.part", package.file)), dir.join(package.file));
    let disk = |e| DownloadError::Disk(e, part.clone());
    let agent = agent();
    let mut first = true;
    loop {
        let resumed = length(&part).map_err(disk)? > 0;
        complete(&agent, url, package, &part, progress)?;
        match package.checksum.differs(&part).map_err(disk)? {
            None => break,
            Some(found) => {
                fs::remove_file(&part).map_err(disk)?;
                // What an earlier try left may have been damaged, or of another build; once from the beginning, then.
                if !(resumed && first) {
                    return Err(DownloadError::Wrong { expected: package.checksum.to_string(), found });
                }
                progress.say(&format!("{}: the part left by an earlier try was wrong; starting again", package.file));
                first = false;
            }
        }
    }
    fs::rename(&part, &whole).map_err(disk)?;
    Ok(whole)
}

/// Appends to `part` until it is of full length.
fn complete(
    agent: &ureq::Agent,
    url: &str,
    package: &Package,
    part: &Path,
    progress: &mut dyn Progress,
) -> Result<(), DownloadError> {
    let disk = |e| DownloadError::Disk(e, part.to_owned());
    if length(part).map_err(disk)? > package.bytes {
        fs::remove_file(part).map_err(disk)?;
    }
    let have = length(part).map_err(disk)?;
    if have == package.bytes {
        return Ok(());
    }
    progress.start(package.file, package.bytes, have);
    let mut fruitless = 0;
    let outcome = loop {
        let before = length(part).map_err(disk)?;
        let tried = once(agent, url, package.bytes, part, progress);
        let after = length(part).map_err(disk)?;
        match tried {
            Ok(()) if after == package.bytes => break Ok(()),
            Err(e @ DownloadError::Disk(..)) => break Err(e),
            tried if after <= before => {
                fruitless += 1;
                if fruitless == FRUITLESS {
                    let short = || DownloadError::Unreachable("the server sends less than the file".into());
                    break Err(tried.err().unwrap_or_else(short));
                }
            }
            _ => fruitless = 0,
        }
    };
    progress.finish();
    outcome
}

/// One request, or one look at a local file.
fn once(
    agent: &ureq::Agent,
    url: &str,
    bytes: u64,
    part: &Path,
    progress: &mut dyn Progress,
) -> Result<(), DownloadError> {
    let disk = |e| DownloadError::Disk(e, part.to_owned());
    let mut out = OpenOptions::new().create(true).append(true).open(part).map_err(disk)?;
    let have = out.seek(SeekFrom::End(0)).map_err(disk)?;
    let (mut body, from) = open(agent, url, have)?;
    if from != have {
        out.set_len(from).map_err(disk)?;
        progress.start(&part.file_stem().unwrap_or_default().to_string_lossy(), bytes, from);
    }
    let mut left = bytes.saturating_sub(from);
    let mut buffer = vec![0; 64 * 1024];
    while left > 0 {
        let n = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n.min(left as usize),
            Err(e) => return Err(DownloadError::Unreachable(e.to_string())),
        };
        out.write_all(&buffer[..n]).map_err(disk)?;
        progress.advance(n as u64);
        left -= n as u64;
    }
    out.sync_all().map_err(disk)
}

/// A reader, and the place in the file at which it begins: `have`, or 0 if the server cannot go on from there.
fn open(agent: &ureq::Agent, url: &str, have: u64) -> Result<(Box<dyn Read>, u64), DownloadError> {
    let unreachable = |e: &dyn std::fmt::Display| DownloadError::Unreachable(e.to_string());
    if let Some(path) = url.strip_prefix("file://") {
        let mut file = File::open(percent_decoded(path)).map_err(|e| unreachable(&format!("{url}: {e}")))?;
        file.seek(SeekFrom::Start(have)).map_err(|e| unreachable(&e))?;
        return Ok((Box::new(file), have));
    }
    let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    if have > 0 {
        request = request.header(header::RANGE, format!("bytes={have}-"));
    }
    let response = request.call().map_err(|e| unreachable(&e))?;
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|v| v.to_str().ok());
    // RFC 9110 §14.4: "bytes FIRST-LAST/COMPLETE".
    let start: Option<u64> = range.and_then(|r| r.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok());
    let from = match (response.status(), start) {
        (StatusCode::OK, _) => 0,
        (StatusCode::PARTIAL_CONTENT, Some(start)) if start == have => have,
        // Neither can be gone on from; the next try has nothing to go on from, and asks for the whole.
        (StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT, _) if have > 0 => {
            return Ok((Box::new(io::empty()), 0));
        }
        (status, _) => return Err(unreachable(&format!("the server answered {status}"))),
    };
    Ok((Box::new(response.into_body().into_reader()), from))
}

fn agent() -> ureq::Agent {
    let tls = TlsConfig::builder().root_certs(roots()).build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(20)))
        // No limit on the whole: a slow line is not a broken one.
        .timeout_per_read(Some(Duration::from_secs(60)));
    config.build().into()
}

/// The certificates that pip or other tools were told to trust, else the system's.
fn roots() -> RootCerts {
    for name in ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"] {
        let Some(pem) = std::env::var_os(name).and_then(|path| fs::read(path).ok()) else { continue };
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(c)) => Some(c),
                _ => None,
            })
            .collect();
        if !certificates.is_empty() {
            return RootCerts::new_with_certs(&certificates);
        }
    }
    RootCerts::PlatformVerifier
}

fn length(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(meta) => Ok(meta.len()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(e),
    }
}

fn percent_decoded(path: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.first_chunk::<2>().filter(|_| *first == b'%');
        let value = escaped.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}
