//! `baton trace`: the SIP messages of one call, drawn by the running gateway.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{api, refuse, say};
use crate::config;

/// Asks the gateway that runs with this config.
pub fn main(config: Option<PathBuf>, call_id: &str) -> ExitCode {
    let config = match config::load(config.as_deref()) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults),
    };
    match api::ask(&config, "GET", &format!("/api/v1/calls/{}/trace", api::part(call_id))) {
        Ok((200, drawing)) => {
            say(drawing.trim_end());
            ExitCode::SUCCESS
        }
        Ok((_, body)) => {
            let told = serde_json::from_str::<serde_json::Value>(&body).ok();
            say(told.as_ref().and_then(|told| told["error"].as_str()).unwrap_or(&body));
            ExitCode::FAILURE
        }
        Err(why) => refuse(&why),
    }
}
