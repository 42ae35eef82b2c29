//! `make demo`: one whole warm transfer on loopback, real speech, real SIP and RTP. Exit 0 only if it was warm.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use baton_phone::drill::{self, DrillSpec};
use baton_speech::Hints;
use baton_speech_native::{Engine, NativeConfig, engines};
use serde_json::Value;
use support::{Gateway, agent, caller, disagreements, root};

fn main() -> ExitCode {
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(
                std::io::stderr(),
                "\nthe demo failed: {e:#}\n  the gateway's log: target/demo/gateway/baton.log"
            );
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn demo() -> Result<()> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "disputed-amount".into());
    let out = root().join("target/demo");
    std::fs::create_dir_all(&out)?;
    say("starting the gateway (models are loaded) …");
    let gateway = Gateway::start(&out.join("gateway"), |text| text)?;
    let script = caller(&name)?;
    let (from, expect) = (script.from.clone(), script.expect.clone());
    say(&format!(
        "extension 1001 registers; {} calls 5000: {}\nthis is real time, it takes about a minute …",
        script.from, script.about
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(drill::run(DrillSpec::new(gateway.sip, vec![script], vec![agent("1001")?])))?;
    let record = gateway.record_of(&from)?;
    std::fs::write(out.join("call.json"), serde_json::to_string_pretty(&record)?)?;
    let caller = &report.callers[0];
    caller.write_heard(&out.join("caller-heard.wav"))?;

    say("\n     time  what");
    for (ms, what) in caller.figures().timeline {
        say(&format!("{:8.2}s  {what}", ms / 1_000.0));
    }
    let accepted = report.accepted(0);
    if let Some((_, call)) = accepted {
        call.write_heard(&out.join("agent-heard.wav"))?;
        say("\n     time  at the agent's phone");
        for event in &call.events {
            say(&format!("{:8.2}s  {}", event.at.saturating_duration_since(caller.invited).as_secs_f64(), event.what));
        }
    }
    say("\nwhat was said");
    for turn in record["turns"].as_array().context("no turns")? {
        say(&format!(
            "{:8.2}s  {:<9} {}",
            turn["at_ms"].as_f64().unwrap_or(0.0) / 1_000.0,
            text(&turn["who"]),
            text(&turn["text"])
        ));
    }
    say(&format!(
        "\ntrigger      {}\ndisposition  {}\nsummary      {}\nbriefing     {}",
        text(&record["trigger"]),
        text(&record["disposition"]),
        text(&record["summary"]),
        text(&record["briefing"]["text"])
    ));
    say(&format!("latencies    {} ms", record["latency_ms"]));

    let (_, call) = accepted.context("no agent was joined with the caller")?;
    warm(&record, caller, call, &disagreements(&record, &expect))?;
    say(
        "\nthe transfer was warm. Listen to target/demo/caller-heard.wav and agent-heard.wav; the record is target/demo/call.json",
    );
    Ok(())
}

/// Whether the transfer was warm, from the record and from what was heard on the wire.
fn warm(
    record: &Value,
    caller: &drill::CallerReport,
    agent: &drill::AgentCall,
    disagreements: &[String],
) -> Result<()> {
    ensure!(disagreements.is_empty(), "the record is not what was said: {}", disagreements.join("; "));
    let (acknowledged, bridged) = (text(&record["crm"]["acknowledged_at"]), text(&record["bridged_at"]));
    ensure!(
        !acknowledged.is_empty() && acknowledged <= bridged,
        "the case was not acknowledged before the join: {acknowledged} / {bridged}"
    );
    let hand = caller.hand.as_ref().context("no hand-over was measured")?;
    for (way, correlation) in [("caller → agent", hand.caller_to_agent), ("agent → caller", hand.agent_to_caller)] {
        let correlation = correlation.with_context(|| format!("nothing was said {way}"))?;
        say(&format!("correlation  {way} {correlation:.3}"));
        ensure!(correlation >= 0.95, "audio {way} is not what was sent");
    }
    // The agent's recording, heard by the same model that any listener could run.
    let dir = root().join("media/models");
    let mut engines = engines(&NativeConfig { engine: Engine::Whisper, stt_threads: 2, ..NativeConfig::in_dir(&dir) })?;
    let (heard, answered) =
        agent.audio.as_ref().map(|(h, _)| h).zip(agent.answered).context("the agent heard nothing")?;
    let until =
        agent.joined.map_or(heard.samples.len(), |j| (j.saturating_duration_since(answered).as_millis() * 8) as usize);
    let briefing = heard.since(answered);
    let briefing = &briefing[..until.min(briefing.len())];
    let words = engines.transcribers[0].transcribe(briefing, &Hints::default())?.text;
    say(&format!("agent heard  {words}"));
    let digits = |t: &str| t.chars().filter(char::is_ascii_digit).collect::<String>();
    let name = text(&record["slots"]["name"]["value"]);
    let order = text(&record["slots"]["order_number"]["value"]);
    let last = name.split(' ').next_back().unwrap_or_default().to_lowercase();
    ensure!(
        words.to_lowercase().contains(&last)
            || words.to_lowercase().contains(&name.split(' ').next().unwrap_or_default().to_lowercase()),
        "the caller's name is not in what the agent heard"
    );
    if !order.is_empty() && !digits(&words).contains(&digits(&order)) {
        bail!("order {order} is not in what the agent heard");
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
