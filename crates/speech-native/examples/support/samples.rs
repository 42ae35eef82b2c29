//! Recordings for the examples, as a telephone carries them.
#![allow(dead_code, reason = "not every example needs all of it")]

use std::path::{Path, PathBuf};

use baton_audio::g711;
use baton_speech::Expected;

/// Whatever goes wrong.
pub type Failure = Box<dyn std::error::Error>;

/// A recording and its words.
#[derive(Debug)]
pub struct Sample {
    /// Where it is.
    pub path: PathBuf,
    /// What is said in it.
    pub words: String,
    /// What the caller's record would make expected.
    pub expected: String,
    /// What was asked for.
    pub asked: Expected,
}

/// Every `file` with the `text` that belongs to it in the folders' `caller.toml`.
pub fn callers(dir: &Path) -> Result<Vec<Sample>, Failure> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).collect();
    folders.sort();
    let mut samples = Vec::new();
    for folder in folders {
        let Ok(script) = std::fs::read_to_string(folder.join("caller.toml")) else { continue };
        let of_key = |key: &str| {
            script
                .lines()
                .find_map(|l| Some(l.strip_prefix(key)?.trim_start().strip_prefix('=')?.trim().trim_matches('"')))
        };
        let known = ["display", "name", "order_number"].into_iter().filter_map(of_key);
        let expected = format!("Northwind, {}.", known.collect::<Vec<_>>().join(", "));
        let mut file: Option<String> = None;
        for line in script.lines() {
            let value = |key: &str| {
                Some(line.strip_prefix(key)?.trim_start().strip_prefix('=')?.trim().trim_matches('"').to_owned())
            };
            if let Some(name) = value("file") {
                file = Some(name);
            } else if let (Some(words), Some(name)) = (value("text"), file.take()) {
                let asked = asked(&words);
                samples.push(Sample { path: folder.join(name), words, expected: expected.clone(), asked });
            }
        }
    }
    Ok(samples)
}

/// A line for each: path, tab, words, and perhaps a tab and what was asked for: `anything`, `digits 4`. Who is asked for digits
/// has three numbers open, this one among them.
pub fn listed(list: &Path) -> Result<Vec<Sample>, Failure> {
    let text = std::fs::read_to_string(list)?;
    let mut samples = Vec::new();
    for line in text.lines() {
        let mut parts = line.split('\t');
        let (Some(path), Some(words)) = (parts.next(), parts.next()) else { continue };
        let digits = parts.next().map(|kind| kind.strip_prefix("digits ").and_then(|n| n.parse().ok()));
        let asked = match digits {
            Some(Some(n)) => Expected::Digits(n),
            Some(None) => Expected::Anything,
            None => asked(words),
        };
        let figures: String = words.split(' ').filter_map(figure).collect();
        let turned: String = figures.chars().rev().collect();
        let expected = match asked {
            Expected::Digits(_) => format!("{turned}, {figures}, 7{turned}."),
            _ => String::new(),
        };
        samples.push(Sample { path: path.into(), words: words.to_owned(), expected, asked });
    }
    Ok(samples)
}

/// What would have been asked for, to be answered like this.
pub fn asked(words: &str) -> Expected {
    let low = words.to_lowercase();
    let digits = low.split(|c: char| !c.is_alphanumeric()).filter(|w| figure(w).is_some()).count();
    match digits {
        0..=2 if low.starts_with("yes") || low.starts_with("no") => Expected::YesNo,
        0..=2 => Expected::Anything,
        n => Expected::Digits(n),
    }
}

fn figure(word: &str) -> Option<char> {
    const WORDS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let n = if word == "oh" { 0 } else { WORDS.iter().position(|w| *w == word)? };
    char::from_digit(n as u32, 10)
}

/// Through µ-law, with white noise so many decibels below the voice where asked.
pub fn telephone(pcm: &[i16], noise_db: Option<f32>) -> Vec<i16> {
    let rms = (pcm.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / pcm.len().max(1) as f32).sqrt();
    let level = noise_db.map_or(0.0, |db| rms * 10f32.powf(-db / 20.0) * 3f32.sqrt());
    let mut seed = 1u32;
    // What the ear keeps from before the voice and waits for after it.
    let silent = |ms: usize| std::iter::repeat_n(&0i16, ms * 8);
    silent(320)
        .chain(pcm)
        .chain(silent(192))
        .map(|s| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (seed as f32 / u32::MAX as f32 * 2.0 - 1.0) * level;
            g711::decode_ulaw(g711::encode_ulaw((f32::from(*s) + noise).clamp(-32_768.0, 32_767.0) as i16))
        })
        .collect()
}
