//! `baton trace`: the SIP messages of one call, drawn by the running gateway.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{refuse, say};
use crate::config::{self, Config};

/// Asks the gateway that runs with this config.
pub fn main(config: Option<PathBuf>, call_id: &str) -> ExitCode {
    let config = match config::load(config.as_deref()) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return refuse(&e),
    };
    match runtime.block_on(ask(&config, call_id)) {
        Ok((true, drawing)) => {
            say(drawing.trim_end());
            ExitCode::SUCCESS
        }
        Ok((false, why)) => {
            say(why.trim_end());
            ExitCode::FAILURE
        }
        Err(why) => refuse(&why),
    }
}

/// Whether there is a drawing, and it; or why not.
async fn ask(config: &Config, call_id: &str) -> Result<(bool, String), String> {
    let Some(addr) = config.http else {
        return Err("this config has no API to ask: set [http] bind".into());
    };
    let client =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().map_err(|e| e.to_string())?;
    let mut request = client.get(format!("http://{addr}/api/v1/calls/{call_id}/trace"));
    if let Some(token) = &config.http_token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.map_err(|e| {
        format!("no gateway answers on {addr} ({e})\n    start it with: baton run, or name its config: baton trace --config FILE")
    })?;
    let drawn = answer.status().is_success();
    let body = answer.text().await.map_err(|e| e.to_string())?;
    if drawn {
        return Ok((true, body));
    }
    let told = serde_json::from_str::<serde_json::Value>(&body).ok();
    Ok((false, told.and_then(|t| Some(t["error"].as_str()?.to_owned())).unwrap_or(body)))
}
