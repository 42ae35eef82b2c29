//! `make bench`: calls of the corpus spoken through the whole gateway, over SIP and RTP, with the real models: what comes out of
//! slots, triggers, dispositions and briefings. The list is `media/callers/spoken/calls.toml`; `BATON_BENCH_AT_ONCE` calls go
//! on together, six without it. `BATON_BENCH_CALLS="title;title"` plays only some, and writes no figures.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::json;
use support::{add_to_summary, root, spoken};

const AT_ONCE: usize = 6;

fn main() -> Result<()> {
    // `cargo test` runs benches too, without this flag: then there is nothing to measure.
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let only = std::env::var("BATON_BENCH_CALLS").unwrap_or_default();
    let only: Vec<&str> = only.split(';').filter(|title| !title.is_empty()).collect();
    let at_once = std::env::var("BATON_BENCH_AT_ONCE").ok().and_then(|n| n.parse().ok()).unwrap_or(AT_ONCE);
    let calls = spoken::calls(&only)?;
    let agents = at_once + 2;
    let gateway = Arc::new(spoken::gateway(&root().join("target/bench/spoken"), &calls, agents, |text| text)?);
    let runtime = tokio::runtime::Runtime::new()?;
    let outcomes = runtime.block_on(spoken::run(Arc::clone(&gateway), calls.clone(), at_once, agents))?;

    let mut wrong = String::new();
    for (spoken, outcome) in calls.iter().zip(&outcomes) {
        let call = &spoken.call;
        let mark = if outcome.faults.is_empty() { "ok   " } else { "WRONG" };
        say(&format!("{mark} {} / {} ({})", call.flow, call.title, spoken.voice));
        if !outcome.faults.is_empty() {
            wrong.push_str(&format!("\n{} / {}\n", call.flow, call.title));
            outcome.faults.iter().for_each(|fault| wrong.push_str(&format!("  {fault}\n")));
            for turn in outcome.record["turns"].as_array().into_iter().flatten() {
                let who = turn["who"].as_str().unwrap_or_default();
                wrong.push_str(&format!("    {who:<9} {}\n", turn["text"].as_str().unwrap_or_default()));
            }
        }
    }
    say(&wrong);
    let (mut slots, mut facts) = ((0, 0), (0, 0));
    let (mut fired, mut expected, mut right, mut all_right, mut codes) = (0, 0, 0, 0, 0);
    for (spoken, outcome) in calls.iter().zip(&outcomes) {
        slots = (slots.0 + outcome.slots.0, slots.1 + outcome.slots.1);
        facts = (facts.0 + outcome.facts.0, facts.1 + outcome.facts.1);
        let wanted = spoken.call.end.starts_with("escalate");
        let has = !outcome.record["trigger"].is_null();
        (fired, expected) = (fired + usize::from(has), expected + usize::from(wanted));
        right += usize::from(has && wanted && outcome.trigger_right);
        all_right += usize::from(outcome.trigger_right);
        codes += usize::from(outcome.disposition_right);
    }
    let awkward = calls.iter().filter(|c| c.call.awkward).count();
    let voices: std::collections::BTreeSet<&str> = calls.iter().map(|c| c.voice.as_str()).collect();
    let n = calls.len();
    let conditions = format!(
        "{n} calls of the corpus ({awkward} awkward) in {} synthetic voices, PCMU over loopback, {at_once} at once, models by default",
        voices.len()
    );
    let mut rows = serde_json::Map::new();
    for (name, (part, whole)) in [
        ("intake.spoken_slot_accuracy_pct", slots),
        ("intake.spoken_trigger_right_pct", (all_right, n)),
        ("intake.spoken_trigger_precision_pct", (right, fired)),
        ("intake.spoken_trigger_recall_pct", (right, expected)),
        ("intake.spoken_disposition_pct", (codes, n)),
        ("intake.spoken_briefing_facts_pct", facts),
    ] {
        let value = if whole == 0 { 100.0 } else { 100.0 * part as f64 / whole as f64 };
        say(&format!("{name:<40} {value:>9.1} %   {part} of {whole}"));
        let row =
            json!({"value": value, "unit": "%", "beside": null, "ratio": null, "n": whole, "conditions": conditions});
        rows.insert(name.into(), row);
    }
    if only.is_empty() {
        add_to_summary(rows).context("the summary cannot be written")?;
    }
    Ok(())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
