//! Both engines on the sample callers, and on recordings of one's own, as a telephone carries them (8 kHz µ-law): word error
//! rate, CPU, and how many digits came out right.
//!
//! `cargo run --release -p baton-speech-native --example wer -- MODELS CALLERS [LIST]`. CALLERS is `media/callers`; LIST has
//! a line for each recording: path, tab, words.

#[path = "support/samples.rs"]
mod samples;
#[path = "support/score.rs"]
mod score;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use baton_audio::load_clip;
use baton_speech::{Expected, Hints};
use baton_speech_native::{Engine, NativeConfig, engines};
use samples::{Failure, callers, listed, telephone};
use score::{canonical, distance};

#[expect(clippy::print_stdout, reason = "an example for a terminal")]
fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1).map(PathBuf::from);
    let models = args.next().ok_or("give the models' folder")?;
    let mut sets = vec![("callers", callers(&args.next().ok_or("give the callers' folder")?)?)];
    if let Some(list) = args.next() {
        sets.push(("recordings", listed(&list)?));
    }
    for engine in [Engine::Moonshine, Engine::Whisper] {
        let mut engines = engines(&NativeConfig { engine, ..NativeConfig::in_dir(&models) })?;
        let stt = engines.transcribers.first_mut().ok_or("no engine")?;
        for (set, samples) in &sets {
            for (noise_db, biased) in [(None, false), (None, true), (Some(10.0), false), (Some(10.0), true)] {
                let (mut wrong, mut words, mut audio, mut cpu) = (0, 0, Duration::ZERO, Duration::ZERO);
                let (mut digits_right, mut with_digits) = (0, 0);
                let mut times = Vec::new();
                for sample in samples {
                    let pcm = telephone(load_clip(&sample.path)?.samples(), noise_db);
                    let (began, before) = (Instant::now(), cpu_time());
                    let prompt = if biased { sample.expected.clone() } else { String::new() };
                    let heard = stt.transcribe(
                        &pcm,
                        &Hints {
                            prompt,
                            kind: if biased { sample.asked } else { Expected::Anything },
                            ..Hints::default()
                        },
                    )?;
                    cpu += cpu_time() - before;
                    times.push(began.elapsed());
                    audio += Duration::from_micros(pcm.len() as u64 * 125);
                    let (want, got) = (canonical(&sample.words), canonical(&heard.text));
                    let errors = distance(&want, &got);
                    if errors > 0 && std::env::var_os("SHOW").is_some() && noise_db.is_none() {
                        println!(
                            "  {}\n    {}\n    {} ({:.2})",
                            sample.path.display(),
                            sample.words,
                            heard.text,
                            heard.confidence
                        );
                    }
                    (wrong, words) = (wrong + errors, words + want.len());
                    let digits = |w: &[String]| {
                        w.iter().flat_map(|w| w.chars()).filter(char::is_ascii_digit).collect::<String>()
                    };
                    if !digits(&want).is_empty() {
                        with_digits += 1;
                        digits_right += usize::from(digits(&want) == digits(&got));
                    }
                }
                times.sort();
                println!(
                    "{engine:?} {set}{}{}: {} utterances, {words} words, WER {:.1} %, digits right {digits_right} of {with_digits}, CPU {:.0} ms an utterance ({:.3} s a second of speech), p50 {:.0} ms, p95 {:.0} ms",
                    if noise_db.is_some() { " + noise 10 dB" } else { "" },
                    if biased { " + bias" } else { "" },
                    samples.len(),
                    100.0 * wrong as f64 / words.max(1) as f64,
                    cpu.as_secs_f64() * 1e3 / samples.len().max(1) as f64,
                    cpu.as_secs_f64() / audio.as_secs_f64(),
                    percentile(&times, 0.5),
                    percentile(&times, 0.95),
                );
            }
        }
        println!("{engine:?}: {} MB resident", resident_mb());
    }
    Ok(())
}

fn percentile(sorted: &[Duration], p: f64) -> f64 {
    sorted
        .get(((sorted.len() as f64 * p) as usize).min(sorted.len().saturating_sub(1)))
        .map_or(0.0, Duration::as_secs_f64)
        * 1e3
}

/// CPU time of this process.
fn cpu_time() -> Duration {
    // SAFETY: an all-zero rusage is valid, and getrusage fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let of = |t: libc::timeval| Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64);
    of(usage.ru_utime) + of(usage.ru_stime)
}

fn resident_mb() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|s| s.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or(0) * 4_096 / 1_000_000
}
