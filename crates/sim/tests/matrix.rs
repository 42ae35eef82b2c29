//! docs/race-matrix.md names tests that are there, and every script stands in it.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::Path;

/// What stands in back quotes after `word`.
fn named(text: &str, word: &str) -> BTreeSet<String> {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let opening = format!("{word} `");
    words.split(&opening).skip(1).filter_map(|rest| rest.split_once('`')).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_row_is_a_test_and_every_script_is_in_a_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let matrix = std::fs::read_to_string(root.join("docs/race-matrix.md")).unwrap();
    let scripts: BTreeSet<String> = std::fs::read_dir(root.join("crates/call/testdata"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(named(&matrix, "script"), scripts);
    let tests: String = ["days.rs", "queues.rs", "sweeps.rs"]
        .map(|f| std::fs::read_to_string(root.join("crates/sim/tests").join(f)).unwrap())
        .concat();
    for sweep in named(&matrix, "sweep") {
        assert!(tests.contains(&format!("#[test]\nfn {sweep}()")), "there is no sweep `{sweep}`");
    }
    // A row of a table without a test is a promise.
    for row in matrix.lines().filter(|l| l.starts_with("| ") && !l.ends_with("held by |")) {
        assert!(row.contains("script `") || row.contains("sweep `"), "no test: {row}");
    }
}
