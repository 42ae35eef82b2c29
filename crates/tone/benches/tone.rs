//! What tone costs a call: processor time of this thread for features and score, over the length of what was said. The worst case,
//! a caller who never pauses; a real one is silent for half the call and more. Prints it and adds it to
//! `target/bench/summary.json`.

use std::io::Write;
use std::path::{Path, PathBuf};

use baton_audio::load_clip;
use baton_tone::{Config, Features, Frustration, UtteranceInput};
use serde_json::json;

const ROUNDS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo test` runs benches too, without this flag: then there is nothing to measure.
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut utterances = Vec::new();
    for folder in std::fs::read_dir(root.join("media/callers"))? {
        let Ok(files) = std::fs::read_dir(folder?.path()) else { continue };
        let files: Vec<PathBuf> = files.filter_map(|f| Some(f.ok()?.path())).collect();
        for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "flac")) {
            utterances.push(load_clip(file)?);
        }
    }
    let text = "I already told you that the lamp has not arrived, and I'm not happy about it.";
    let mut mood = Frustration::new(Config::default());
    let before = cpu_seconds()?;
    for clip in utterances.iter().cycle().take(utterances.len() * ROUNDS) {
        let features = Features::of(clip.samples());
        std::hint::black_box(mood.utterance(UtteranceInput { features, text, ..UtteranceInput::default() }));
    }
    let cpu = cpu_seconds()? - before;
    let n = utterances.len() * ROUNDS;
    let said = utterances.iter().map(|c| c.duration().as_secs_f64()).sum::<f64>() * ROUNDS as f64;
    let conditions = format!(
        "{} utterances of the sample callers, {:.1} s on average, no pauses",
        utterances.len(),
        said / n as f64
    );
    let mut summary = serde_json::Map::new();
    for (name, unit, value) in
        [("tone.core_pct_per_call", "%", 100.0 * cpu / said), ("tone.ms_per_utterance", "ms", 1_000.0 * cpu / n as f64)]
    {
        writeln!(std::io::stdout(), "{name:<40} {value:>9.3} {unit}   n={n}")?;
        let row =
            json!({"value": value, "unit": unit, "beside": null, "ratio": null, "n": n, "conditions": conditions});
        summary.insert(name.into(), row);
    }
    let dir = root.join("target/bench");
    std::fs::create_dir_all(&dir)?;
    let path = dir.join("summary.json");
    let known = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut all: serde_json::Map<String, serde_json::Value> = known.unwrap_or_default();
    all.extend(summary);
    std::fs::write(path, serde_json::to_string_pretty(&all)?)?;
    Ok(())
}

/// Time this thread has run, from the scheduler, in nanoseconds.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(stat.split_whitespace().next().unwrap_or_default().parse::<f64>()? / 1e9)
}
