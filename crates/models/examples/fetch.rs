//! Makes a models folder complete and checks it: `cargo run -p baton-models --example fetch -- DIR [FROM]`.

use baton_models::{Console, State, fetch, verify};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let dir = arguments.next().unwrap_or_else(|| "media/models".into());
    let outcome = fetch(&dir, arguments.next().as_deref(), &mut Console::default());
    for status in verify(&dir) {
        eprintln!("{:<18} {:>11} B  {:?}", status.name, status.bytes, status.state);
    }
    match outcome {
        Ok(()) if verify(&dir).iter().all(|s| s.state == State::Ok) => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
