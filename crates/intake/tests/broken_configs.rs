//! Every broken mapping is refused, at its place. Each row edits the default flow and names where the fault is told and
//! what the message says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]

mod support;

use baton_intake::{compile, raw};
use support::DEFAULT_FLOW;

#[derive(serde::Deserialize)]
struct Row {
    what: String,
    old: String,
    new: String,
    path: String,
    message: String,
}

fn rows() -> Vec<Row> {
    let mut table: std::collections::BTreeMap<String, Vec<Row>> =
        toml::from_str(include_str!("../testdata/broken.toml")).unwrap();
    table.remove("row").unwrap()
}

#[test]
fn broken_configs_are_refused() {
    let rows = rows();
    assert!(rows.len() >= 30, "{}", rows.len());
    for Row { what, old, new, path, message } in &rows {
        assert!(DEFAULT_FLOW.contains(old.as_str()), "{what}: the default flow has no `{old}`");
        let text = DEFAULT_FLOW.replacen(old.as_str(), new, 1);
        let raw: raw::Flows = match toml::from_str(&text) {
            Ok(raw) => raw,
            Err(e) if path.is_empty() => {
                assert!(e.to_string().contains(message.as_str()), "{what}: {e}");
                continue;
            }
            Err(e) => panic!("{what}: {e}"),
        };
        let errors = compile(raw, &["support".to_owned()]).expect_err(what.as_str());
        let found = errors.iter().find(|e| e.path.join(".") == *path && e.message.contains(message.as_str()));
        let found = found.unwrap_or_else(|| panic!("{what}: {errors:#?}"));
        assert!(!found.hint.is_empty(), "{what}: no hint");
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let text =
        DEFAULT_FLOW.replace("disposition = \"ESC-URGENT\"\n", "").replace("queue = \"support\"", "queue = \"x\"");
    let errors = compile(toml::from_str(&text).unwrap(), &["support".to_owned()]).unwrap_err();
    assert!(errors.len() >= 9, "{errors:#?}");
}

#[test]
fn the_default_flow_compiles_and_tells_what_it_must() {
    let flow = support::flow();
    assert!(flow.greeting().contains("assistant") && flow.greeting().contains("transcribed"));
    let prompts = flow.prompts();
    assert!(prompts.len() > 20 && prompts.iter().all(|p| !p.contains(['{', '[', '|'])), "{prompts:#?}");
}
