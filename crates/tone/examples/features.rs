//! Prints the features of recordings (WAV, FLAC, MP3, OGG), one JSON object a line:
//! `cargo run -p baton-tone --example features -- media/callers/*/*.flac`
use std::io::Write;

use baton_audio::load_clip;
use baton_tone::Features;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    for file in std::env::args().skip(1) {
        let clip = load_clip(std::path::Path::new(&file))?;
        let features = serde_json::to_value(Features::of(clip.samples()))?;
        writeln!(out, "{}", serde_json::json!({ "file": file, "features": features }))?;
    }
    Ok(())
}
