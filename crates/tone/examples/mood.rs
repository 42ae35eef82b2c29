//! Follows a call in words alone: one utterance a line on standard input, its level, score and reasons on standard output. An empty
//! line begins another call. For trying phrases.
use std::io::{BufRead, Write};

use baton_tone::{Config, Frustration, UtteranceInput};

fn main() -> std::io::Result<()> {
    let mut mood = Frustration::new(Config::default());
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let text = line?;
        if text.trim().is_empty() {
            mood = Frustration::new(Config::default());
            continue;
        }
        let r = mood.utterance(UtteranceInput { text: &text, ..UtteranceInput::default() });
        writeln!(out, "{:>5.1} {:<12} {text} | {}", r.score, format!("{:?}", r.level), r.words())?;
    }
    Ok(())
}
