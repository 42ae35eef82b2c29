//! The end of turns on recordings: how many are cut off, and how long is waited after the others.
//!
//! `cargo run --release -p baton-speech-native --example endpoint -- MODELS CALLERS [LIST]`. Each recording is one turn, heard as
//! it is, and once more with its longest inner pause drawn out to 500 ms, as people hesitate. Time is that of the windows; words
//! are held to be known 150 ms after they were asked for.

#[path = "support/samples.rs"]
mod samples;

use std::path::PathBuf;

use baton_audio::load_clip;
use baton_speech::endpoint::{Endpointer, Turn, WINDOW_MS};
use baton_speech::floor::Floor;
use baton_speech::shape::{Shape, shape};
use baton_speech::{Expected, Hints, Transcriber, VoiceActivity};
use baton_speech_native::{NativeConfig, engines};
use samples::{Failure, Sample, callers, listed, telephone};

const DECODE_WINDOWS: usize = 5;
const PRE_ROLL_WINDOWS: usize = 16;
/// Silence after each recording, so that every turn ends.
const TAIL_WINDOWS: usize = 40;

struct Outcome {
    cut_off: bool,
    /// What was asked had been answered before the pause: nothing is lost.
    answered: bool,
    wait_ms: u32,
    probes: usize,
}

#[expect(clippy::print_stdout, reason = "an example for a terminal")]
fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1).map(PathBuf::from);
    let models = args.next().ok_or("give the models' folder")?;
    let mut all: Vec<Sample> = callers(&args.next().ok_or("give the callers' folder")?)?;
    if let Some(list) = args.next() {
        all.extend(listed(&list)?);
    }
    let mut engines = engines(&NativeConfig::in_dir(&models))?;
    let stt = engines.transcribers.first_mut().ok_or("no engine")?;
    let mut vad = (engines.voice_activity)();
    for hesitant in [false, true] {
        let mut outcomes = Vec::new();
        for sample in &all {
            let pcm = telephone(load_clip(&sample.path)?.samples(), None);
            let windows = windows(&pcm, vad.as_mut(), hesitant);
            let Some(outcome) = turn(&windows, sample.asked, vad.as_mut(), stt.as_mut())? else { continue };
            if outcome.cut_off {
                println!("  cut off: {} ({})", sample.words, sample.path.display());
            }
            outcomes.push(outcome);
        }
        let cut = outcomes.iter().filter(|o| o.cut_off).count();
        let answered = outcomes.iter().filter(|o| o.answered).count();
        let mut waits: Vec<u32> = outcomes.iter().filter(|o| !o.cut_off && !o.answered).map(|o| o.wait_ms).collect();
        waits.sort_unstable();
        let at = |p: f64| waits.get((waits.len() as f64 * p) as usize).copied().unwrap_or(0);
        let probes: usize = outcomes.iter().map(|o| o.probes).sum();
        println!(
            "{}: {} turns, {cut} cut off ({:.1} %), {answered} ended after the answer and before more words, wait p50 {} ms, p90 {} ms, {:.2} transcriptions a turn",
            if hesitant { "with a 500 ms hesitation" } else { "as recorded" },
            outcomes.len(),
            100.0 * cut as f64 / outcomes.len().max(1) as f64,
            at(0.5),
            at(0.9),
            probes as f64 / outcomes.len().max(1) as f64,
        );
    }
    Ok(())
}

fn windows(pcm: &[i16], vad: &mut dyn VoiceActivity, hesitant: bool) -> Vec<[i16; 256]> {
    let (chunks, _) = pcm.as_chunks::<256>();
    let mut windows = vec![[0i16; 256]; PRE_ROLL_WINDOWS];
    windows.extend_from_slice(chunks);
    if hesitant {
        vad.reset();
        let voiced: Vec<bool> = windows.iter().map(|w| vad.probability(w) > 0.4).collect();
        let (first, last) = (voiced.iter().position(|v| *v).unwrap_or(0), voiced.iter().rposition(|v| *v).unwrap_or(0));
        let mut longest = 0..0;
        let mut start = first;
        for (i, voice) in voiced.iter().enumerate().take(last + 1).skip(first) {
            if *voice {
                if i - start > longest.len() {
                    longest = start..i;
                }
                start = i + 1;
            }
        }
        let more = (500 / WINDOW_MS as usize).saturating_sub(longest.len());
        if longest.len() >= 2 {
            let at = longest.start + longest.len() / 2;
            let quiet = windows[at];
            windows.splice(at..at, std::iter::repeat_n(quiet, more));
        }
    }
    windows.extend(std::iter::repeat_n([0; 256], TAIL_WINDOWS));
    windows
}

/// Runs one turn; `None`: no voice was found.
fn turn(
    windows: &[[i16; 256]],
    expected: Expected,
    vad: &mut dyn VoiceActivity,
    stt: &mut dyn Transcriber,
) -> Result<Option<Outcome>, Failure> {
    vad.reset();
    let raw: Vec<f32> = windows.iter().map(|w| vad.probability(w)).collect();
    let Some(last) = raw.iter().rposition(|p| *p >= 0.5) else { return Ok(None) };
    let (mut floor, mut endpointer) = (Floor::default(), Endpointer::default());
    let (mut began, mut probes) = (0, 0);
    let mut pending: Option<(usize, String)> = None;
    let mut answered = false;
    for (i, (window, probability)) in windows.iter().zip(&raw).enumerate() {
        if let Some((_, text)) = pending.take_if(|(at, _)| *at <= i) {
            endpointer.words(&text, expected);
            answered = shape(&text, expected) == Shape::Complete;
        }
        match endpointer.window(floor.window(window, *probability)) {
            Turn::Started => began = i.saturating_sub(PRE_ROLL_WINDOWS),
            Turn::Probe => {
                probes += 1;
                let said: Vec<i16> = windows[began..=i].iter().flatten().copied().collect();
                pending = Some((
                    i + DECODE_WINDOWS,
                    stt.transcribe(&said, &Hints { kind: expected, ..Hints::default() })?.text,
                ));
            }
            Turn::Resumed => pending = None,
            Turn::Ended => {
                let wait_ms = i.saturating_sub(last) as u32 * WINDOW_MS;
                return Ok(Some(Outcome {
                    cut_off: i < last && !answered,
                    answered: i < last && answered,
                    wait_ms,
                    probes,
                }));
            }
            Turn::Nothing => {}
        }
    }
    Ok(None)
}
