//! `make bench`: the latencies of the handoff and of the conversation, over real calls with real models on this machine. Prints
//! a table and adds to `target/bench/summary.json`. Calls come two at a time; the figures are the gateway's own, from the
//! call records, which count from and to packets on the wire.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use baton_phone::drill::{self, DrillSpec};
use serde_json::json;
use support::{Gateway, add_to_summary, agent, caller, root};

/// Callers who end at an agent; each calls as often as `BATON_BENCH_ROUNDS` says, five times without it.
const CALLERS: [&str; 4] = ["asks-for-person", "disputed-amount", "out-of-scope", "line-noise"];
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    // `cargo test` runs benches too, without this flag: then there is nothing to measure.
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let gateway =
        Gateway::start(&root().join("target/bench/gateway"), |t| t.replace("wrap_up_s = 5", "wrap_up_s = 0"))?;
    let runtime = tokio::runtime::Runtime::new()?;
    let cpu_before = cpu_seconds(gateway.pid());
    let mut records = Vec::new();
    let rounds = std::env::var("BATON_BENCH_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(ROUNDS);
    for round in 0..rounds {
        for pair in CALLERS.chunks(2) {
            let scripts = pair.iter().map(|c| caller(c)).collect::<Result<Vec<_>>>()?;
            let numbers: Vec<String> = scripts.iter().map(|s| s.from.clone()).collect();
            let agents = vec![agent("1001")?, agent("1002")?];
            runtime.block_on(drill::run(DrillSpec {
                limit: Duration::from_secs(150),
                ..DrillSpec::new(gateway.sip, scripts, agents)
            }))?;
            for number in numbers {
                records.push(gateway.record_of(&number)?);
            }
            say(&format!("round {} of {rounds}: {} calls", round + 1, records.len()));
        }
    }
    let cpu = (cpu_seconds(gateway.pid()) - cpu_before) / records.len() as f64;
    let conditions =
        format!("{} calls, two at a time, Moonshine on one thread, 2 cores shared with the callers", records.len());
    let mut summary = serde_json::Map::new();
    let mut row = |name: &str, unit: &str, values: Vec<f64>, percentile: f64| {
        let value = at(values.clone(), percentile);
        say(&format!("{name:<40} {value:>9.1} {unit}   n={}", values.len()));
        summary.insert(name.into(), json!({"value": value, "unit": unit, "beside": null, "ratio": null, "n": values.len(), "conditions": conditions}));
    };
    let of = |key: &str| records.iter().filter_map(|r| r["latency_ms"][key].as_f64()).collect::<Vec<_>>();
    let replies = records
        .iter()
        .flat_map(|r| r["latency_ms"]["reply"].as_array().cloned().unwrap_or_default())
        .filter_map(|v| v.as_f64())
        .collect::<Vec<_>>();
    for (percent, part) in [(50, 0.5), (95, 0.95)] {
        row(&format!("handoff.trigger_to_ring_p{percent}_ms"), "ms", of("trigger_to_ring"), part);
        row(&format!("handoff.answer_to_briefing_p{percent}_ms"), "ms", of("answer_to_briefing"), part);
        row(&format!("handoff.accept_to_two_way_p{percent}_ms"), "ms", of("accept_to_two_way"), part);
        row(&format!("voice.reply_p{percent}_ms"), "ms", replies.clone(), part);
    }
    row("gateway.cpu_s_per_call", "s", vec![cpu], 0.5);
    row("gateway.resident_mib", "MiB", vec![resident_mib(gateway.pid())], 0.5);
    add_to_summary(summary)
}

fn at(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(((values.len() as f64 - 1.0).max(0.0) * part).round() as usize).copied().unwrap_or(f64::NAN)
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// User and system time of a process, from /proc (clock ticks of 10 ms).
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:")?.trim().trim_end_matches(" kB").trim().parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1_024.0
}
