//! `baton dial`: the test phone on the command line. It shares no SIP code with the gateway.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use baton_phone::dial::{Dial, dial};

use super::{refuse, say};

#[derive(clap::Args)]
pub struct Args {
    /// Whom to call, e.g. sip:5000@127.0.0.1:5060
    uri: String,
    /// Who calls, e.g. sip:+15551230001@127.0.0.1
    #[arg(long)]
    from: Option<String>,
    /// Audio to play once the call is answered (WAV, FLAC, MP3, OGG).
    #[arg(long)]
    play: Option<PathBuf>,
    /// Where to write what was heard (WAV).
    #[arg(long)]
    record: Option<PathBuf>,
    /// Digits to press, e.g. 1,2
    #[arg(long)]
    dtmf: Option<String>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
    /// Hang up after so many seconds.
    #[arg(long)]
    max_seconds: Option<u64>,
}

pub fn main(args: Args) -> ExitCode {
    let json = args.json;
    let options = Dial {
        uri: args.uri,
        from: args.from,
        play: args.play,
        record: args.record,
        dtmf: args.dtmf,
        json,
        max_duration: args.max_seconds.map(Duration::from_secs),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return refuse(&e),
    };
    match runtime.block_on(dial(options)) {
        Ok(report) => {
            let answered = (200..300).contains(&report.code);
            match serde_json::to_string_pretty(&report) {
                Ok(text) if json => say(&text),
                _ => say(&format!(
                    "{} after {} ms, ended by {:?} after {} ms, heard {:?}",
                    report.code,
                    report.answered_ms.unwrap_or(0),
                    report.ended_by,
                    report.ended_ms,
                    report.rtp
                )),
            }
            if answered { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(e) => refuse(&e),
    }
}
