//! The fuzz targets of `fuzz/` without a fuzzer: seeds of `corpus/`, mutated by a generator that always makes the same
//! mutations. A few thousand in every run of the tests; a million of each with
//!
//! ```text
//! cargo test --release -p baton-sip --test mutations -- --ignored --nocapture
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper that fails is a failed test"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use baton_sip::testing;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Mutations in every run of the tests.
const FEW: u64 = 3_000;
/// Mutations when asked for.
const MANY: u64 = 1_000_000;

/// Words that parsers look for.
const WORDS: [&str; 44] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "\0",
    ";",
    ",",
    ":",
    "<",
    ">",
    "\"",
    "\\",
    "=",
    "@",
    "%",
    "%00",
    "[",
    "]",
    "::",
    " ",
    "\t",
    "\r\n ",
    "sip:",
    "sips:",
    "tel:",
    "SIP/2.0",
    "Via: ",
    "v: ",
    "Content-Length: ",
    "l: 0",
    "Contact: *",
    "Route: <sip:a;lr>",
    ";tag=",
    ";branch=z9hG4bK",
    "4294967296",
    "-1",
    "99999999999999999999",
    "\u{feff}",
    "\u{1F600}",
    "a=rtpmap:0 PCMU/8000\r\n",
    "m=audio 0 RTP/AVP 0\r\n",
    "c=IN IP6 ::\r\n",
    "auth,auth-int",
    "nc=00000001",
];

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort(); // the same order everywhere
    let seeds: Vec<_> = files.iter().map(|f| std::fs::read(f).unwrap()).collect();
    assert!(seeds.len() >= 5, "{} is empty", dir.display());
    seeds
}

fn mutate(rng: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds.choose(rng).unwrap().clone();
    for _ in 0..rng.random_range(1..8) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..40usize)).min(bytes.len());
        match rng.random_range(0..10) {
            0 if at < bytes.len() => bytes[at] = rng.random(),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                let times = rng.random_range(1..20);
                bytes.splice(at..at, part.repeat(times));
            }
            5 => {
                let other = seeds.choose(rng).unwrap();
                let from = rng.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            6 => swap_lines(rng, &mut bytes),
            7 if at < bytes.len() => bytes[at] = b"<>;,\":@%[]= \r\n\0/?&+-09"[rng.random_range(0..22)],
            _ => drop(bytes.splice(at..at, WORDS.choose(rng).unwrap().bytes())),
        }
        bytes.truncate(70_000);
    }
    bytes
}

fn swap_lines(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let (a, b) = (rng.random_range(0..lines.len()), rng.random_range(0..lines.len()));
    match rng.random_range(0..3) {
        0 => lines.swap(a, b),
        1 => lines.insert(a, lines[b].clone()),
        _ => drop(lines.remove(a)),
    }
    *bytes = lines.concat();
}

/// What this thread has computed so far: others on the machine do not count.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of this function, valid for the call.
    let known = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(known, 0);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

fn run(name: &str, target: fn(&[u8]), times: u64) {
    let seeds = seeds(name);
    let mut rng = StdRng::seed_from_u64(20_261_124);
    let (began, mut slowest) = (Instant::now(), (Duration::ZERO, 0));
    seeds.iter().for_each(|seed| target(seed));
    for n in 0..times {
        let bytes = mutate(&mut rng, &seeds);
        let at = cpu_time();
        if let Err(panic) = std::panic::catch_unwind(|| target(&bytes)) {
            println!("{name}, mutation {n}: {}", bytes.escape_ascii());
            std::panic::resume_unwind(panic);
        }
        slowest = slowest.max((cpu_time().saturating_sub(at), bytes.len()));
    }
    let (seconds, (slowest, length)) = (began.elapsed().as_secs_f64(), slowest);
    println!("{name}: {times} mutations in {seconds:.1} s, the slowest took {slowest:?} of CPU ({length} bytes)");
}

#[test]
fn framing() {
    run("framing", testing::framing, FEW);
}

#[test]
fn sip() {
    run("sip", testing::sip, FEW);
}

#[test]
fn sdp() {
    run("sdp", testing::description, FEW);
}

#[test]
fn digest() {
    run("digest", testing::digest, FEW);
}

#[test]
#[ignore = "minutes"]
fn a_million_of_each() {
    run("framing", testing::framing, MANY);
    run("sdp", testing::description, MANY);
    run("digest", testing::digest, MANY);
    run("sip", testing::sip, MANY);
}
