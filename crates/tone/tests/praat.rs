//! The features against Praat's, on the sample callers: 66 utterances of seven voices in the telephone band, one of them in
//! noise. Praat comes from PyPI (`praat-parselmouth`), into an environment of its own under `target/`; where it cannot be had
//! (no Python, no network), the test says that it was skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails is a failed test")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use baton_audio::{load_clip, write_wav};
use baton_tone::Features;
use serde_json::Value;

const PRAAT: &str = "praat-parselmouth==0.4.7";
const NUMPY: &str = "numpy>=2,<3";

/// Feature; what the median and the ninth decile of the absolute differences may be.
const TOLERANCES: [(&str, f64, f64); 14] = [
    ("voiced_s", 0.08, 0.16),
    ("f0_hz", 1.0, 3.5),
    ("f0_sd_st", 0.1, 0.3),
    ("f0_range_st", 0.15, 0.6),
    ("hnr_db", 0.4, 0.8),
    ("jitter", 0.003, 0.007),
    ("shimmer_db", 0.08, 0.2),
    ("level_dbov", 0.4, 0.8),
    ("alpha_db", 0.2, 0.5),
    ("hammarberg_db", 0.3, 2.0),
    ("slope_low_db_khz", 0.5, 1.0),
    ("slope_high_db_khz", 0.2, 1.0),
    ("rate_hz", 0.6, 1.6),
    ("pauses", 0.0, 1.0),
];

/// Python with Praat in it. `None`: it cannot be had.
fn python() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("praat");
    let python = venv.join("bin/python");
    let runs = |command: &mut Command| command.output().is_ok_and(|o| o.status.success());
    let has_praat = |python: &Path| runs(Command::new(python).args(["-c", "import parselmouth, numpy"]));
    if !has_praat(&python) {
        let _ = runs(Command::new("python3").args(["-m", "venv"]).arg(&venv))
            && runs(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--timeout", "20", PRAAT, NUMPY]));
    }
    has_praat(&python).then_some(python)
}

/// The callers' utterances as WAV files, with our features of each that is long enough.
fn utterances(dir: &Path) -> Vec<(PathBuf, Features)> {
    std::fs::create_dir_all(dir).unwrap();
    let callers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../media/callers");
    let mut files: Vec<PathBuf> = std::fs::read_dir(callers)
        .unwrap()
        .filter_map(|folder| std::fs::read_dir(folder.unwrap().path()).ok())
        .flat_map(|folder| folder.map(|file| file.unwrap().path()))
        .filter(|file| file.extension().is_some_and(|e| e == "flac"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for (n, file) in files.iter().enumerate() {
        let clip = load_clip(file).unwrap();
        if let Some(features) = Features::of(clip.samples()) {
            let wav = dir.join(format!("{n}.wav"));
            write_wav(&wav, clip.samples(), baton_audio::RATE).unwrap();
            all.push((wav, features));
        }
    }
    all
}

#[test]
fn the_features_are_praats() {
    let Some(python) = python() else {
        eprintln!("SKIPPED: {PRAAT} could not be had (no python3 with venv, or no package index)");
        return;
    };
    let dir = std::env::temp_dir().join(format!("baton-praat-{}", std::process::id()));
    let ours = utterances(&dir);
    assert!(ours.len() >= 35, "only {} of the sample callers' utterances hold a second of voice", ours.len());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/praat.py");
    let output =
        Command::new(python).args(["-W", "ignore"]).arg(script).args(ours.iter().map(|(f, _)| f)).output().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let praats: HashMap<String, Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|v| (v["file"].as_str().unwrap().to_owned(), v))
        .collect();
    let mut wrong = Vec::new();
    println!("{:<20}{:>10}{:>10}{:>10}{:>10}  of {}", "feature", "median", "allowed", "90%", "allowed", ours.len());
    for (name, median_allowed, most_allowed) in TOLERANCES {
        let mut differences: Vec<f64> = ours
            .iter()
            .map(|(file, features)| {
                let praat = praats[file.to_str().unwrap()][name].as_f64().unwrap();
                (serde_json::to_value(features).unwrap()[name].as_f64().unwrap() - praat).abs()
            })
            .collect();
        differences.sort_by(f64::total_cmp);
        let (median, most) = (differences[differences.len() / 2], differences[differences.len() * 9 / 10]);
        println!("{name:<20}{median:>10.4}{median_allowed:>10.4}{most:>10.4}{most_allowed:>10.4}");
        if median > median_allowed || most > most_allowed {
            wrong.push(name);
        }
    }
    assert_eq!(wrong, [""; 0], "run with --nocapture for the table");
}
