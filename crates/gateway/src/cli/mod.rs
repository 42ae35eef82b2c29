//! The commands. Exit status: 0 done, 1 it ran and failed, 2 it was not started because something given to it is wrong.

mod api;
mod crm;
mod dial;
mod init;
mod models;
mod trace;
mod version;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config;
use crate::run;

/// A real-time voice gateway whose transfers are warm.
#[derive(Parser)]
#[command(name = "baton", version = version::SHORT, long_version = version::long())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway. SIGTERM: no new calls, live calls finish; a second SIGTERM ends them. SIGHUP: flows are read again.
    Run {
        /// The config; without it, the embedded default on loopback.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Check a config and start nothing: 0 and a summary, or 2 with file:line, what is wrong, what to do.
    Check {
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Write a commented config to start from.
    Init { dir: PathBuf },
    /// The speech models: list, fetch, verify.
    Models {
        #[command(subcommand)]
        command: models::Command,
    },
    /// The system of record: what the credentials can do; writes that were given up.
    Crm {
        #[command(subcommand)]
        command: crm::Command,
    },
    /// Delete what Baton keeps of one caller, by number and contact id, or all that is old; says what other systems hold.
    Forget(crm::Forget),
    /// The SIP messages of one call, drawn as a ladder: of a live call, or one of the latest. Asks the running gateway.
    Trace {
        #[arg(long)]
        config: Option<PathBuf>,
        /// As the log and the record name it.
        call_id: String,
    },
    /// Place one call: play, record, report. For scripts and people.
    Dial(dial::Args),
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { config } => match config::load(config.as_deref()) {
            Ok(loaded) => run::main(loaded, config),
            Err(faults) => refuse(&faults),
        },
        Command::Check { config } => match config::load(config.as_deref()) {
            Ok(config) => {
                say(&summary(&config));
                ExitCode::SUCCESS
            }
            Err(faults) => refuse(&faults),
        },
        Command::Init { dir } => init::main(&dir),
        Command::Models { command } => models::main(command),
        Command::Crm { command } => crm::main(command),
        Command::Forget(what) => crm::forget(what),
        Command::Trace { config, call_id } => trace::main(config, &call_id),
        Command::Dial(args) => dial::main(args),
    }
}

/// Prints to standard output. A closed pipe (`| head`) is not an error.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints the cause and the remedy to standard error; exit status 2: nothing was started.
pub fn refuse(cause: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "baton: {cause}");
    ExitCode::from(2)
}

fn summary(config: &config::Config) -> String {
    let listeners: Vec<String> = config.sip.listen.iter().map(|l| format!("{} {}", l.transport, l.bind)).collect();
    let numbers: Vec<String> = config.dids.iter().map(|(n, f)| format!("{n} → {}", f.name())).collect();
    let queues: Vec<String> = config.floor.queues.iter().map(|q| format!("{} ({})", q.name, members(q))).collect();
    format!(
        "config is sound\n  SIP        {}\n  RTP        {} ports {}-{}\n  numbers    {}\n  queues     {}\n  extensions {}\n  store      {}\n  record     {}",
        listeners.join(", "),
        config.media.bind,
        config.media.ports.0,
        config.media.ports.1,
        numbers.join(", "),
        queues.join(", "),
        config.extensions.len(),
        config.store.display(),
        record(&config.crm),
    )
}

fn record(crm: &baton_crm::config::CrmConfig) -> String {
    match crm.orders.filter(|orders| *orders != crm.kind) {
        Some(orders) => format!("{}, orders in {orders}", crm.kind),
        None => crm.kind.to_string(),
    }
}

fn members(queue: &baton_agents::QueuePlan) -> String {
    queue.members.iter().map(|m| m.extension.as_str()).collect::<Vec<_>>().join(", ")
}
