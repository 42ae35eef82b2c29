//! The corpus of `crates/intake`, with the real model beside the flows' phrases, and what a turn costs. Skips, and says so,
//! where the models have not been fetched.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]
#![allow(clippy::print_stdout, reason = "says what was skipped, and the figures")]

#[path = "../../intake/tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use baton_intake::Embedder;
use baton_meaning::MiniLm;
use support::corpus::{Figures, calls, run};

fn model() -> Option<Arc<dyn Embedder>> {
    let dir = std::env::var_os("BATON_MODELS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../media/models")), PathBuf::from);
    // The names are those of the catalogue in crates/models.
    let paths = ["libonnxruntime.so", "minilm-int8.onnx", "minilm-vocab.txt"].map(|name| dir.join(name));
    if let Some(missing) = paths.iter().find(|p| !p.exists()) {
        println!("skipped: {} is not there; run `baton models fetch`", missing.display());
        return None;
    }
    baton_meaning::runtime(&paths[0]).unwrap();
    Some(Arc::new(MiniLm::load(&paths[1], &paths[2], 1).unwrap()))
}

fn report(part: &str, model: &Arc<dyn Embedder>) -> (Figures, String) {
    let mut figures = Figures::default();
    let mut faults = String::new();
    for call in calls(part) {
        let outcome = run(&call, Some(model));
        figures.add(&call, &outcome);
        for fault in &outcome.faults {
            writeln!(faults, "{}: {}: {fault}", call.file, call.title).unwrap();
        }
        if std::env::var_os("BATON_CORPUS_TALK").is_some() && !outcome.faults.is_empty() {
            writeln!(faults, "    {}", outcome.transcript.join("\n    ")).unwrap();
        }
    }
    (figures, faults)
}

#[test]
fn both_parts_hold_with_the_model() {
    let Some(model) = model() else { return };
    let (tuning, tuning_faults) = report("tuning-", &model);
    println!("tuning part, with the model: {tuning}\n{tuning_faults}");
    let (figures, faults) = report("final-", &model);
    println!("final part, with the model: {figures}\n{faults}");
    let (blind, blind_faults) = report("blind-", &model);
    println!("blind part, with the model: {blind}\n{blind_faults}");
    let (second, second_faults) = report("second-", &model);
    println!("second blind part, with the model: {second}\n{second_faults}");
    assert!(figures.calls >= 80 && figures.awkward >= 20, "{figures}");
    assert!(figures.slot_accuracy() >= 95.0, "{figures}\n{faults}");
    assert!(figures.precision() >= 95.0 && figures.recall() >= 95.0, "{figures}\n{faults}");
    assert!(figures.dispositions() >= 95.0 && figures.facts() >= 95.0, "{figures}\n{faults}");
    assert_eq!((figures.on_tone_alone, figures.distress_missed), (0, 0), "{faults}");
    assert!(tuning.slot_accuracy() >= 95.0 && tuning.recall() >= 95.0, "{tuning}\n{tuning_faults}");
}

#[test]
fn the_same_meaning_is_nearer_than_another() {
    let Some(model) = model() else { return };
    let near = |a: &str, b: &str| -> f32 {
        let (a, b) = (model.embed(a).unwrap(), model.embed(b).unwrap());
        a.iter().zip(&b).map(|(a, b)| a * b).sum()
    };
    let same = near("Where is my parcel?", "Has my package been shipped yet?");
    let other = near("Where is my parcel?", "I would like to apply for a job.");
    assert!(same > other + 0.3, "{same} {other}");
    assert!((near("hello there", "hello there") - 1.0).abs() < 1e-3);
    assert!(model.embed("").is_some() && model.embed(&"word ".repeat(5_000)).is_some());
}
