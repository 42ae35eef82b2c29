//! The corpus: scripted callers at text level, on the flows that ship. `testdata/corpus/final-*.txt` was written before the
//! code was tuned and is what counts; `tuning-*.txt` is what it was tuned on.
//!
//! `== title`, then: `flow NAME` (a file's first line sets it for all), `awkward`, `known NAME` (the CRM finds the caller's
//! number), `down` (look-ups fail). What the caller says: `< words` in order, `# keys`, `...` silence; `asked: words` answers
//! that question when it comes ([`Intake::asking`]), once for each such line. `tone SCORE why` comes with the caller's next
//! words. A caller with nothing more to say agrees to be who they are, that what is read back is right if it is, is content
//! with an answer, and else says nothing.
//!
//! What must come out: `end escalate TRIGGER` or `end finish CODE`, `disposition CODE`, `slot a = b`, `slot a ~ part`,
//! `noslot a`, `brief part`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]

mod support;

use std::fmt::Write as _;

use support::corpus::{Figures, calls, run};

const AT_LEAST: f64 = 95.0;

fn report(part: &str) -> (Figures, String) {
    let mut figures = Figures::default();
    let mut faults = String::new();
    for call in calls(part) {
        let outcome = run(&call, None);
        figures.add(&call, &outcome);
        for fault in &outcome.faults {
            writeln!(faults, "{}: {}: {fault}", call.file, call.title).unwrap();
        }
        // For who tunes: the whole talk of what went wrong.
        if std::env::var_os("BATON_CORPUS_TALK").is_some() && !outcome.faults.is_empty() {
            writeln!(faults, "    {}", outcome.transcript.join("\n    ")).unwrap();
        }
    }
    (figures, faults)
}

#[test]
fn the_final_part_holds() {
    let (figures, faults) = report("final-");
    println!("final part, by phrases alone: {figures}\n{faults}");
    assert!(figures.calls >= 80 && figures.awkward >= 20, "{figures}");
    assert!(figures.slot_accuracy() >= AT_LEAST, "{figures}\n{faults}");
    assert!(figures.precision() >= AT_LEAST && figures.recall() >= AT_LEAST, "{figures}\n{faults}");
    assert!(figures.dispositions() >= AT_LEAST && figures.facts() >= AT_LEAST, "{figures}\n{faults}");
    assert_eq!(figures.on_tone_alone, 0, "{faults}");
    assert_eq!(figures.distress_missed, 0, "{faults}");
}

#[test]
fn the_tuning_part_holds() {
    let (figures, faults) = report("tuning-");
    println!("tuning part, by phrases alone: {figures}\n{faults}");
    assert!(figures.calls >= 40, "{figures}");
    assert!(faults.is_empty(), "{figures}\n{faults}");
}

/// What the code does with calls that nobody tuned it to. Lower than the other two, and the figure to believe; the floor
/// is what it reached when it was first played.
#[test]
fn the_blind_part_is_told_as_it_is() {
    let (figures, faults) = report("blind-");
    println!("blind part, by phrases alone: {figures}\n{faults}");
    assert!(figures.calls >= 30, "{figures}");
    let (second, second_faults) = report("second-");
    println!("second blind part, by phrases alone: {second}\n{second_faults}");
    assert_eq!((figures.on_tone_alone, figures.distress_missed), (0, 0), "{faults}");
}
