//! `baton crm test`: asks the system of record what these credentials can and cannot do. `baton forget`: one caller's data.

use std::path::PathBuf;
use std::process::ExitCode;

use baton_crm::{Capability, CapabilityState};
use baton_store::{Store, Subject};
use clap::Subcommand;

use super::{refuse, say};
use crate::config::{self, Config};
use crate::run::recordings;

#[derive(Subcommand)]
pub enum Command {
    /// Ask the system of record what the credentials can and cannot do. Leaves nothing behind there. 0: it can do all.
    Test {
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

pub fn main(command: Command) -> ExitCode {
    let Command::Test { config } = command;
    with_store(config, |config, store| async move {
        let crm = match config.crm.connect(&store) {
            Ok(crm) => crm,
            Err(fault) => return refuse(&format!("{}: {}\n    {}", fault.key, fault.what, fault.hint)),
        };
        say(&format!("system of record: {}", crm.name()));
        let mut sound = true;
        for Capability { what, state } in crm.check().await {
            let (word, why) = match state {
                CapabilityState::Can(seen) => ("can", seen),
                CapabilityState::Cannot(why) => {
                    sound = false;
                    ("CANNOT", why)
                }
                CapabilityState::Untried(why) => ("untried", why),
            };
            say(&format!("  {word:<8} {what}{}{why}", if why.is_empty() { "" } else { ": " }));
        }
        if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

/// Deletes what the store holds of one caller, and says what is left to do elsewhere.
pub fn forget(config: Option<PathBuf>, numbers: Vec<String>, contact: Option<String>) -> ExitCode {
    with_store(config, |config, store| async move {
        let forgotten = match store.forget(&Subject { callers: numbers, contact }).await {
            Ok(forgotten) => forgotten,
            Err(e) => return refuse(&e),
        };
        say(&format!(
            "deleted: {} calls, {} cases, {} contacts, {} sent writes",
            forgotten.calls.len(),
            forgotten.cases,
            forgotten.contacts,
            forgotten.outbox
        ));
        match recordings::forget(&config.recording.dir, &forgotten.calls) {
            Ok(0) => {}
            Ok(files) => say(&format!("deleted: {files} recordings")),
            Err(e) => {
                return refuse(&format!(
                    "the recordings of these calls could not be deleted: {e}\n    delete them by hand in {}: {}",
                    config.recording.dir.display(),
                    forgotten.calls.join(", ")
                ));
            }
        }
        for receipt in &forgotten.receipts {
            say(&format!("  still in another system, ask it to delete: {receipt}"));
        }
        for call in &forgotten.live {
            say(&format!("  still live, ask again when it is over: {call}"));
        }
        for key in &forgotten.waiting {
            say(&format!("  not delivered yet, ask again then: {key}"));
        }
        if forgotten.live.is_empty() && forgotten.waiting.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

fn with_store<F, Fut>(file: Option<PathBuf>, then: F) -> ExitCode
where
    F: FnOnce(Config, Store) -> Fut,
    Fut: Future<Output = ExitCode>,
{
    let config = match config::load(file.as_deref()) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return refuse(&e),
    };
    runtime.block_on(async {
        match Store::open(&config.store).await {
            Ok(store) => then(config, store).await,
            Err(e) => refuse(&e),
        }
    })
}
