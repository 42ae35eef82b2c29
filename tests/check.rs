//! `baton check`: every broken mapping of the table is refused with file, line and remedy, by the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use support::{baton, dir, root};

#[derive(Deserialize)]
struct Table {
    row: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    what: String,
    old: String,
    new: String,
    message: String,
}

/// What is wrong beside the flows: (what, text to replace, by what, part of the message).
const BESIDE: &[(&str, &str, &str, &str)] = &[
    ("queue without agents", "agents = [\"1001\", \"1002\"]", "agents = []", "has no agents"),
    ("queue with an unknown agent", "agents = [\"1001\", \"1002\"]", "agents = [\"1003\"]", "extension 1003"),
    ("number without a flow", "number = \"5000\"\nflow = \"orders\"", "number = \"5000\"\nflow = \"oders\"", "`oders`"),
    (
        "web hook that is not defined",
        "action = \"order_status\"\n",
        "action = \"webhook\"\nwebhook = \"look\"\ndone = \"Done.\"\n",
        "web hook `look`, which is not defined",
    ),
    (
        "web hook with a short secret",
        "[[did]]",
        "[webhook.look]\nurl = \"https://x.example/h\"\nsecret = \"short\"\n\n[[did]]",
        "too short",
    ),
    (
        "web hook in the clear",
        "[[did]]",
        "[webhook.look]\nurl = \"http://x.example/h\"\nsecret = \"0123456789abcdef\"\n\n[[did]]",
        "in the clear",
    ),
    (
        "web hook that a caller would wait for too long",
        "[[did]]",
        "[webhook.look]\nurl = \"https://x.example/h\"\nsecret = \"0123456789abcdef\"\ntimeout_ms = 30000\n\n[[did]]",
        "between 100 and 4500",
    ),
    (
        "language model in the clear",
        "[[did]]",
        "[language]\nurl = \"http://x.example/v1\"\nmodel = \"m\"\n\n[[did]]",
        "in the clear",
    ),
    (
        "language model without a name",
        "[[did]]",
        "[language]\nurl = \"https://x.example/v1\"\nmodel = \"\"\n\n[[did]]",
        "language.model",
    ),
    ("tone weight out of range", "voice = false ", "memory = 3.0 ", "memory"),
    (
        "CRM field for a slot nobody collects",
        "kind = \"embedded\"",
        "map = { fields = { ordr = \"1\" } } \nkind = \"embedded\"",
        "ordr",
    ),
];

#[test]
fn broken_configs_are_refused_with_line_and_remedy() {
    let dir = dir("check").unwrap();
    let text = std::fs::read_to_string(root().join("sip-configs/baton.toml")).unwrap()
        + "\n"
        + &std::fs::read_to_string(root().join("sip-configs/flows/orders.toml")).unwrap();
    let (code, said) = check(&dir, &text);
    assert_eq!(code, Some(0), "the config that is broken below is whole: {said}");
    let table = std::fs::read_to_string(root().join("crates/intake/testdata/broken.toml")).unwrap();
    let table: Table = toml::from_str(&table).unwrap();
    let mut rows = table.row;
    rows.extend(BESIDE.iter().map(|(what, old, new, message)| Row {
        what: (*what).into(),
        old: (*old).into(),
        new: (*new).into(),
        message: (*message).into(),
    }));
    assert!(rows.len() >= 30, "{}", rows.len());
    for Row { what, old, new, message } in rows {
        assert!(text.contains(&old), "{what}: there is no `{old}`");
        let (code, said) = check(&dir, &text.replacen(&old, &new, 1));
        assert_eq!(code, Some(2), "{what}: {said}");
        // `FILE:LINE: what is wrong`, and below it, indented, what to do.
        let lines: Vec<&str> = said.lines().collect();
        let at = lines.iter().position(|line| line.contains(&message));
        let at = at.unwrap_or_else(|| panic!("{what}: nothing says `{message}`:\n{said}"));
        let place = lines[at].split_once("broken.toml:").and_then(|(_, rest)| rest.split(':').next());
        let line = place.and_then(|n| n.parse::<usize>().ok());
        assert!(line.is_some_and(|n| n >= 1), "{what}: no line:\n{said}");
        let remedy = lines[at + 1..].iter().find(|line| !line.trim().is_empty());
        assert!(remedy.is_some_and(|line| line.starts_with("    ")), "{what}: no remedy:\n{said}");
    }
}

fn check(dir: &Path, text: &str) -> (Option<i32>, String) {
    let file = dir.join("broken.toml");
    std::fs::write(&file, text).unwrap();
    let out = Command::new(baton()).args(["check", "--config"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code(), said)
}
