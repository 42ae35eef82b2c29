//! What the documents tell the reader to type, typed: every command in a `sh` block of README and guides is run, against a
//! gateway of its own where it needs one. A command nobody taught this test fails it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a helper that fails is a failed test"
)]

use std::path::Path;
use std::process::{Command, Output};

use support::{Gateway, baton, dir, free_port, root};

/// Every line of every `sh` block, with the file it stands in.
fn commands() -> Vec<(String, String)> {
    let mut files = vec![root().join("README.md")];
    files.extend(std::fs::read_dir(root().join("docs")).unwrap().map(|e| e.unwrap().path()));
    files.sort();
    let mut found = Vec::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "md")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let mut inside = false;
        for line in std::fs::read_to_string(file).unwrap().lines() {
            match line.trim() {
                "```sh" => inside = true,
                "```" => inside = false,
                line if inside => {
                    // What stands behind `#` is for people; `&&` is two commands.
                    let line = line.split(" #").next().unwrap_or_default();
                    found.extend(line.split("&&").map(|c| (name.clone(), c.trim().to_owned())));
                }
                _ => {}
            }
        }
    }
    found.retain(|(_, c)| !c.is_empty());
    found
}

fn run(program: impl AsRef<std::ffi::OsStr>, args: &[&str], dir: &Path) -> Output {
    Command::new(program).args(args).current_dir(dir).output().unwrap()
}

#[test]
fn what_the_documents_tell_you_to_type_works() {
    let place = dir("docs").unwrap();
    let gateway = Gateway::start(&dir("docs-gateway").unwrap(), |t| t).unwrap();
    let speech = std::fs::read_dir(root().join("media/callers")).unwrap().map(|e| e.unwrap().path());
    let speech = speech.flat_map(|d| std::fs::read_dir(d).into_iter().flatten()).map(|e| e.unwrap().path());
    let speech = speech.into_iter().find(|f| f.extension().is_some_and(|e| e == "wav" || e == "ogg" || e == "flac"));
    std::fs::copy(speech.expect("a recording in media/callers"), place.join("question.wav")).unwrap();

    let all = commands();
    assert!(all.len() >= 10, "the documents' commands were not found: {all:?}");
    for (file, command) in all {
        println!("{file}: {command}");
        let command = command.replace("127.0.0.1:5060", &gateway.sip.to_string());
        let words: Vec<&str> = command.split_whitespace().collect();
        let out = match words.as_slice() {
            ["make", target] => run("make", &["--dry-run", target], root()),
            // Benchmarks and examples: that they are there; they run for minutes.
            ["cd", folder] => {
                assert!(root().join(folder).is_dir(), "{file}: {folder} is there");
                continue;
            }
            ["cargo", "run" | "bench", rest @ ..] => {
                let manifest = if rest.contains(&"-p") { "Cargo.toml" } else { "benches/sip-load/Cargo.toml" };
                let named = |option: &str| rest.iter().position(|w| *w == option).and_then(|at| rest.get(at + 1));
                let folder = match named("-p") {
                    Some(package) => root().join("crates").join(package.trim_start_matches("baton-")),
                    None => root().join("benches/sip-load"),
                };
                assert!(root().join(manifest).is_file() && folder.is_dir(), "{file}: `{command}`");
                for (option, place) in [("--example", "examples"), ("--bench", "benches")] {
                    if let Some(name) = named(option) {
                        let found = [format!("{place}/{name}.rs"), format!("{place}/{name}/main.rs")];
                        assert!(found.iter().any(|f| folder.join(f).is_file()), "{file}: `{command}`");
                    }
                }
                continue;
            }
            ["$EDITOR", file] => {
                assert!(place.join(file).is_file(), "{file} is there to be edited");
                continue;
            }
            ["baton", "init", to] => {
                let _ = std::fs::remove_dir_all(place.join(to));
                run(baton(), &["init", to], &place)
            }
            // Every test of this project that starts a gateway runs this one.
            ["baton", "run", "--config", file] => run(baton(), &["check", "--config", file], &place),
            ["baton", "crm", verb, ..] => run(baton(), &["crm", verb, "--help"], &place),
            ["baton", "forget", ..] => run(baton(), &["forget", "--help"], &place),
            ["baton", "check", ..] => run(baton(), &words[1..], &place),
            ["baton", "models", ..] => run(baton(), &["models", "verify", "--help"], root()),
            ["baton", "dial", ..] => run(baton(), &words[1..], &place),
            ["sipp", ..] => {
                let port = free_port().unwrap().to_string();
                let mut args: Vec<&str> = words[1..].to_vec();
                // A few calls tell as much as many.
                if let Some(calls) = args.iter().position(|a| *a == "-m") {
                    args[calls + 1] = "5";
                }
                args.extend(["-i", "127.0.0.1", "-p", &port, "-nostdin", "-timeout", "60"]);
                run("sipp", &args, root())
            }
            ["curl", url] => {
                let path = url.split_once("127.0.0.1:8060").expect("the default API address").1;
                assert_eq!(gateway.get(path).unwrap().0, 200, "{file}: {command}");
                continue;
            }
            _ => panic!("{file}: teach tests/docs.rs to run `{command}`"),
        };
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{file}: `{command}` ends with {}: {error}", out.status);
        if words.contains(&"--record") {
            assert!(place.join("answer.wav").is_file(), "{command} records what it hears");
            let report: serde_json::Value = serde_json::from_slice(&out.stdout).expect("--json prints JSON");
            assert!(report.is_object());
        }
    }
}
