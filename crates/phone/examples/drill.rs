//! Runs sample callers, one after the other, and one agent against a gateway, and prints what the wire showed:
//! `cargo run -p baton-phone --example drill -- 127.0.0.1:5060 AGENT.toml PASSWORD CALLER_FOLDER…`
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::path::Path;

use baton_phone::drill::{DrillSpec, run};
use baton_phone::script::{AgentScript, CallerScript};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gateway, agent, password, callers @ ..] = &arguments[..] else {
        return Err("usage: drill GATEWAY AGENT.toml PASSWORD CALLER_FOLDER…".into());
    };
    for folder in callers {
        let caller = CallerScript::load(Path::new(folder))?;
        let mut agent = AgentScript::load(Path::new(agent))?;
        agent.password.clone_from(password);
        let report = run(DrillSpec::new(gateway.parse()?, vec![caller], vec![agent])).await?;
        let figures = report.callers[0].figures();
        println!("== {} ({}), ended by {:?}", figures.name, figures.code, figures.ended_by);
        for (ms, what) in &figures.timeline {
            println!("{ms:>9.0} ms  {what}");
        }
        for call in report.agents.iter().flat_map(|a| &a.calls) {
            for event in &call.events {
                let ms = event.at.saturating_duration_since(report.callers[0].invited).as_millis();
                println!("{ms:>9} ms  agent: {}", event.what);
            }
        }
        for reply in &figures.replies {
            println!(
                "reply {:>7.0?} ms, voiced {:>7.0?} ms after: {}",
                reply.first_packet_ms, reply.first_voiced_ms, reply.said
            );
        }
        println!("{:?} {:?}", figures.hand, figures.rtp);
        report.callers[0].write_heard(&std::env::temp_dir().join(format!("{}-caller-heard.wav", figures.name)))?;
        if let Some((_, call)) = report.accepted(0) {
            call.write_heard(&std::env::temp_dir().join(format!("{}-agent-heard.wav", figures.name)))?;
        }
    }
    Ok(())
}
