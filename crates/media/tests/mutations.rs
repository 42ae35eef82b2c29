//! The fuzz targets of `fuzz/` without a fuzzer: seeds of `corpus/`, mutated by a generator that always makes the same
//! mutations. Some thousands in every run of the tests; a million of each with
//!
//! ```text
//! cargo test --release -p baton-media --test mutations -- --ignored --nocapture
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a helper that fails is a failed test"
)]

use std::path::Path;
use std::time::Instant;

use baton_media::testing;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Mutations in every run of the tests, and when asked for.
const FEW: u64 = 3_000;
const MANY: u64 = 1_000_000;

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
        match rng.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] = rng.random(),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part.repeat(rng.random_range(1..6)));
            }
            5 => {
                let other = seeds.choose(rng).unwrap();
                let from = rng.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => drop(bytes.splice(at..at, rng.random::<u32>().to_be_bytes())),
        }
        bytes.truncate(4_000);
    }
    bytes
}

fn run(name: &str, target: fn(&[u8]), times: u64) {
    let seeds = seeds(name);
    let mut rng = StdRng::seed_from_u64(20_261_124);
    let began = Instant::now();
    seeds.iter().for_each(|seed| target(seed));
    for n in 0..times {
        let bytes = mutate(&mut rng, &seeds);
        if let Err(panic) = std::panic::catch_unwind(|| target(&bytes)) {
            println!("{name}, mutation {n}: {}", bytes.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    }
    println!("{name}: {times} mutations in {:.1} s", began.elapsed().as_secs_f64());
}

#[test]
fn rtp() {
    run("rtp", testing::rtp, FEW);
}

#[test]
fn rtcp() {
    run("rtcp", testing::rtcp, FEW);
}

#[test]
fn srtp() {
    run("srtp", testing::srtp, FEW);
}

#[test]
fn leg() {
    run("leg", testing::leg, FEW);
}

#[test]
#[ignore = "minutes"]
fn a_million_of_each() {
    run("rtp", testing::rtp, MANY);
    run("rtcp", testing::rtcp, MANY);
    run("srtp", testing::srtp, MANY);
    run("leg", testing::leg, MANY);
}
