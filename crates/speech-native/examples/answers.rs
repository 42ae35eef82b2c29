//! Short answers as an ear cuts them out of a call: heard right, heard as something else, or not heard at all.
//!
//! `cargo run --release -p baton-speech-native --example answers -- MODELS LIST`. LIST has a line for each recording: path, tab, words.
//! Each is heard at several alignments to the packets, levels, and levels of noise on the line.

#[path = "support/samples.rs"]
mod samples;
#[path = "support/score.rs"]
mod score;

use std::path::PathBuf;

use baton_audio::load_clip;
use baton_speech::endpoint::{Endpointer, Turn};
use baton_speech::floor::Floor;
use baton_speech::{Expected, Hints, Transcriber, VoiceActivity};
use baton_speech_native::{NativeConfig, engines};
use samples::{Failure, listed, telephone};
use score::canonical;

const PRE_ROLL: usize = 4_096;

#[expect(clippy::print_stdout, reason = "an example for a terminal")]
fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1).map(PathBuf::from);
    let models = args.next().ok_or("give the models' folder")?;
    let list = listed(&args.next().ok_or("give the list")?)?;
    let mut engines = engines(&NativeConfig::in_dir(&models))?;
    let stt = engines.transcribers.first_mut().ok_or("no engine")?;
    let mut vad = (engines.voice_activity)();
    let show = std::env::var_os("SHOW").is_some();
    let (mut right, mut other, mut nothing, mut no_turn) = (0, 0, 0, 0);
    for sample in &list {
        let clip = load_clip(&sample.path)?;
        let want = canonical(&sample.words);
        let mut odd: Vec<String> = Vec::new();
        for (shift, gain, noise) in [
            (0, 1.0, None),
            (37, 1.0, None),
            (91, 1.0, None),
            (160, 1.0, None),
            (203, 1.0, None),
            (0, 0.3, None),
            (91, 0.1, None),
            (160, 0.3, Some(20.0)),
            (37, 1.0, Some(15.0)),
        ] {
            let quiet: Vec<i16> = std::iter::repeat_n(0, shift)
                .chain(clip.samples().iter().map(|s| (f32::from(*s) * gain) as i16))
                .chain(std::iter::repeat_n(0, 8_000))
                .collect();
            let pcm = telephone(&quiet, noise);
            match turn(&pcm, expected(&want), vad.as_mut(), stt.as_mut())? {
                None => {
                    no_turn += 1;
                    odd.push("[no turn]".into());
                }
                Some(text) if text.is_empty() => {
                    nothing += 1;
                    odd.push("[nothing]".into());
                }
                Some(text) if canonical(&text) == want => right += 1,
                Some(text) => {
                    other += 1;
                    odd.push(text);
                }
            }
        }
        if show && !odd.is_empty() {
            println!("  {} ({}): {}", sample.words, sample.path.display(), odd.join(" | "));
        }
    }
    let all = right + other + nothing + no_turn;
    println!("{all} answers: {right} right, {other} as something else, {nothing} as nothing, {no_turn} not noticed");
    Ok(())
}

/// What would have been asked for, to be answered like this.
fn expected(words: &[String]) -> Expected {
    match words {
        [word] if word.bytes().all(|b| b.is_ascii_digit()) => Expected::Digits(word.len()),
        [word] if ["yes", "no", "yeah", "nope", "correct"].contains(&word.as_str()) => Expected::YesNo,
        _ => Expected::Anything,
    }
}

/// What the first turn's first probe hears.
fn turn(
    pcm: &[i16],
    kind: Expected,
    vad: &mut dyn VoiceActivity,
    stt: &mut dyn Transcriber,
) -> Result<Option<String>, Failure> {
    vad.reset();
    let hints = Hints { kind, ..Hints::default() };
    let (mut floor, mut endpointer) = (Floor::default(), Endpointer::default());
    let mut began = 0;
    for (i, window) in pcm.as_chunks::<256>().0.iter().enumerate() {
        match endpointer.window(floor.window(window, vad.probability(window))) {
            Turn::Started => began = ((i + 1) * 256).saturating_sub(PRE_ROLL),
            Turn::Probe => {
                return Ok(Some(stt.transcribe(&pcm[began..(i + 1) * 256], &hints)?.text));
            }
            _ => {}
        }
    }
    Ok(None)
}
