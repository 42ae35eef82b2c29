//! `baton crm`: what the credentials can do; writes that were given up, and sending them again. `baton forget`: one caller's
//! data, or all that is old. Each works beside a gateway that runs, by its API, and without one, on the store itself.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use baton_crm::config::Kind;
use baton_crm::privacy::{self, Deletion};
use baton_crm::{CapabilityState, Numbering};
use baton_store::{Store, StoreError};
use clap::Subcommand;
use serde_json::Value;

use super::{api, refuse, say};
use crate::config::{self, Config};
use crate::letters;
use crate::run::recordings;

#[derive(Subcommand)]
pub enum Command {
    /// Ask the system of record what the credentials can and cannot do. Leaves nothing behind there. 0: it can do all.
    Test {
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// List the writes that were given up: what, how often it was tried, why it failed last. 0: there are none.
    Dead {
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Send writes that were given up again, with all their tries.
    Resend {
        #[arg(long)]
        config: Option<PathBuf>,
        /// Their keys, as `baton crm dead` lists them.
        #[arg(required_unless_present = "all")]
        keys: Vec<String>,
        /// All of them.
        #[arg(long, conflicts_with = "keys")]
        all: bool,
    },
}

pub fn main(command: Command) -> ExitCode {
    match command {
        Command::Test { config } => test(config),
        Command::Dead { config } => dead(config),
        Command::Resend { config, keys, all } => resend(config, keys, all),
    }
}

fn test(file: Option<PathBuf>) -> ExitCode {
    with_config(file, |config| async move {
        // Beside a gateway that runs the store is taken; most systems do not need it.
        let store = match Store::open(&config.store).await {
            Ok(store) => Some(store),
            Err(StoreError::InUse { .. }) if !config.crm.uses_store() => None,
            Err(e @ StoreError::InUse { .. }) if config.crm.kind == Kind::Embedded && config.crm.orders.is_none() => {
                // The store is the system: that a gateway runs on it is the answer.
                return match api::ask(&config, "GET", "/readyz") {
                    Ok(_) => {
                        say("system of record: embedded\n  can      write cases: a gateway runs on the store");
                        ExitCode::SUCCESS
                    }
                    Err(_) => refuse(&e),
                };
            }
            Err(e) => return refuse(&e),
        };
        let crm = match config.crm.connect(store.as_ref()) {
            Ok(crm) => crm,
            Err(fault) => return refuse(&format!("{}: {}\n    {}", fault.key, fault.what, fault.hint)),
        };
        say(&format!("system of record: {}", crm.name()));
        let mut sound = true;
        for capability in crm.check().await {
            sound &= !matches!(capability.state, CapabilityState::Cannot(_));
            say(&format!("  {capability}"));
        }
        if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

fn dead(file: Option<PathBuf>) -> ExitCode {
    with_config(file, |config| async move {
        let letters = match letters_of(&config).await {
            Ok(letters) => letters,
            Err(e) => return refuse(&e),
        };
        if letters.is_empty() {
            say("no write was given up");
            return ExitCode::SUCCESS;
        }
        for letter in &letters {
            let word = |name: &str| letter[name].as_str().unwrap_or("-").to_owned();
            say(&format!("{}  {}, {} tries, since {}", word("key"), word("step"), letter["attempts"], word("since")));
            say(&format!("    {}", word("error")));
        }
        say("send them again with: baton crm resend KEY…    (or --all)");
        ExitCode::FAILURE
    })
}

fn resend(file: Option<PathBuf>, keys: Vec<String>, all: bool) -> ExitCode {
    with_config(file, |config| async move {
        let keys = if all {
            match letters_of(&config).await {
                Ok(letters) => letters.iter().filter_map(|l| l["key"].as_str().map(str::to_owned)).collect(),
                Err(e) => return refuse(&e),
            }
        } else {
            keys
        };
        let mut sound = true;
        for key in &keys {
            match resend_one(&config, key).await {
                Ok(Some(when)) => say(&format!("{key}: {when}")),
                Ok(None) => {
                    sound = false;
                    say(&format!("{key}: no write of this key was given up; see: baton crm dead"));
                }
                Err(e) => return refuse(&e),
            }
        }
        if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

async fn letters_of(config: &Config) -> Result<Vec<Value>, String> {
    match Store::open(&config.store).await {
        Ok(store) => Ok(store.outbox_dead().await.map_err(|e| e.to_string())?.iter().map(letters::letter).collect()),
        Err(StoreError::InUse { .. }) => {
            let (status, body) = api::ask(config, "GET", "/api/v1/outbox/dead")?;
            serde_json::from_str(&body).map_err(|_| format!("the gateway that runs answered {status}: {body}"))
        }
        Err(e) => Err(e.to_string()),
    }
}

/// When it is sent; nothing if it is no dead letter.
async fn resend_one(config: &Config, key: &str) -> Result<Option<&'static str>, String> {
    match Store::open(&config.store).await {
        Ok(store) => {
            let revived = store.outbox_revive(key).await.map_err(|e| e.to_string())?;
            store.close().await;
            Ok(revived.then_some("is sent when the gateway starts"))
        }
        Err(StoreError::InUse { .. }) => {
            match api::ask(config, "POST", &format!("/api/v1/outbox/resend/{}", api::part(key)))? {
                (202, _) => Ok(Some("is being sent")),
                (404, _) => Ok(None),
                (status, body) => Err(format!("the gateway that runs answered {status}: {body}")),
            }
        }
        Err(e) => Err(e.to_string()),
    }
}

/// Whose data, or how old, is to be deleted.
#[derive(clap::Args)]
pub struct Forget {
    #[arg(long)]
    config: Option<PathBuf>,
    /// The caller's numbers, in any writing.
    #[arg(required_unless_present_any = ["contact", "older_than"])]
    numbers: Vec<String>,
    /// The caller's id in the system of record.
    #[arg(long)]
    contact: Option<String>,
    /// Instead: all calls that ended so many days ago, with their cases and sent writes.
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["numbers", "contact"])]
    older_than: Option<u32>,
}

/// Deletes, and says what is left to do elsewhere.
pub fn forget(what: Forget) -> ExitCode {
    let Forget { config, numbers, contact, older_than } = what;
    with_config(config, move |config| async move {
        let outcome = match older_than {
            Some(days) => expire(&config, days).await,
            None => forget_caller(&config, &numbers, contact.as_deref()).await,
        };
        match outcome {
            Ok(sound) if sound => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(e) => refuse(&e),
        }
    })
}

async fn expire(config: &Config, days: u32) -> Result<bool, String> {
    let calls = match Store::open(&config.store).await {
        Ok(store) => privacy::expire(&store, Duration::from_secs(86_400) * days).await.map_err(|e| e.to_string())?,
        Err(StoreError::InUse { .. }) => {
            let (status, body) = api::ask(config, "POST", &format!("/api/v1/forget?older_than_days={days}"))?;
            let answer: Value = serde_json::from_str(&body).unwrap_or_default();
            answer["calls"].as_u64().ok_or_else(|| format!("the gateway that runs answered {status}: {body}"))?
        }
        Err(e) => return Err(e.to_string()),
    };
    say(&format!("deleted: {calls} calls that ended more than {days} days ago"));
    Ok(true)
}

async fn forget_caller(config: &Config, numbers: &[String], contact: Option<&str>) -> Result<bool, String> {
    let deletion = match Store::open(&config.store).await {
        Ok(store) => {
            let numbering = Numbering::new(&config.crm.country);
            let deletion = privacy::forget(&store, &numbering, numbers, contact).await.map_err(|e| e.to_string())?;
            recordings::forget(&config.recording.dir, &deletion.calls).map_err(|e| {
                format!(
                    "the recordings of these calls could not be deleted: {e}\n    delete them by hand in {}: {}",
                    config.recording.dir.display(),
                    deletion.calls.join(", ")
                )
            })?;
            deletion
        }
        Err(StoreError::InUse { .. }) => {
            let numbers = numbers.iter().map(|number| format!("number={}", api::part(number)));
            let contact = contact.map(|id| format!("contact={}", api::part(id)));
            let query: Vec<String> = numbers.chain(contact).collect();
            let (status, body) = api::ask(config, "POST", &format!("/api/v1/forget?{}", query.join("&")))?;
            serde_json::from_str::<Deletion>(&body)
                .map_err(|_| format!("the gateway that runs answered {status}: {body}"))?
        }
        Err(e) => return Err(e.to_string()),
    };
    say(&format!(
        "deleted: {} calls with their recordings, {} cases, writes and contacts",
        deletion.calls.len(),
        deletion.rows
    ));
    for receipt in &deletion.elsewhere {
        say(&format!("  still in {}, ask it to delete: {}", receipt.system, receipt.record_id));
    }
    for call in &deletion.live {
        say(&format!("  still live, ask again when it is over: {call}"));
    }
    for key in &deletion.waiting {
        say(&format!("  not delivered yet, ask again then: {key}"));
    }
    Ok(deletion.is_complete())
}

fn with_config<F, Fut>(file: Option<PathBuf>, then: F) -> ExitCode
where
    F: FnOnce(Config) -> Fut,
    Fut: Future<Output = ExitCode>,
{
    let config = match config::load(file.as_deref()) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults),
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(then(config)),
        Err(e) => refuse(&e),
    }
}
