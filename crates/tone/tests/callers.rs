//! The sample callers: none of them is upset, whatever their voice. And the same voices raised, by arithmetic: louder, higher,
//! sharper, with the same words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails is a failed test")]

use std::path::{Path, PathBuf};

use baton_audio::{RATE, load_clip, resample};
use baton_tone::{Config, Features, Frustration, Level, Term, UtteranceInput};

struct Caller {
    name: String,
    /// Words and samples.
    says: Vec<(String, Vec<i16>)>,
}

fn callers() -> Vec<Caller> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../media/callers");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    let mut all = Vec::new();
    for folder in folders {
        let Ok(text) = std::fs::read_to_string(folder.join("caller.toml")) else { continue };
        let script: toml::Table = toml::from_str(&text).unwrap();
        let says = ["say", "talk"].iter().filter_map(|part| script.get(*part)?.as_array()).flatten();
        let says = says.filter_map(|say| {
            let file = folder.join(say.get("file")?.as_str()?);
            Some((say.get("text")?.as_str()?.to_owned(), load_clip(file).unwrap().samples().to_vec()))
        });
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        all.push(Caller { name, says: says.collect() });
    }
    all
}

/// The same, as if in anger: 3.9 semitones higher and a quarter faster (played faster), sharper (a first difference mixed in:
/// a shelf of some 6 dB above 1 kHz) and louder.
fn raised(pcm: &[i16]) -> Vec<i16> {
    let fast = resample(pcm, RATE * 5 / 4, RATE);
    let sharp: Vec<f32> = fast.windows(2).map(|w| f32::from(w[1]) - 0.6 * f32::from(w[0])).collect();
    let power = |x: &[f32]| x.iter().map(|s| s * s).sum::<f32>() / x.len() as f32;
    let before = power(&pcm.iter().map(|s| f32::from(*s)).collect::<Vec<_>>());
    let gain = 10f32.powf(8.0 / 20.0) * (before / power(&sharp)).sqrt();
    sharp.iter().map(|s| (s * gain).clamp(-32_768.0, 32_767.0) as i16).collect()
}

#[test]
fn nobody_among_the_sample_callers_is_upset() {
    let callers = callers();
    assert!(callers.len() >= 10, "{}", callers.len());
    let mut measured = 0;
    for caller in callers {
        let mut mood = Frustration::new(Config::default());
        for (text, pcm) in &caller.says {
            let features = Features::of(pcm);
            measured += usize::from(features.is_some());
            let r = mood.utterance(UtteranceInput { features, text, ..UtteranceInput::default() });
            println!("{:<24}{:6.1} {:?} {} | {text}", caller.name, r.score, r.level, r.words());
            assert!(r.level <= Level::Soften, "{}: {r:?}", caller.name);
            let voice: f32 = r.why.iter().filter(|w| w.term.is_voice()).map(|w| w.points).sum();
            assert!(voice < 12.0, "{}: a calm voice is worth nearly nothing: {r:?}", caller.name);
        }
    }
    assert!(measured > 35, "{measured}");
}

#[test]
fn a_raised_voice_is_heard_beside_its_own_start() {
    let (mut heard, mut all) = (0, 0);
    for caller in callers() {
        let long = |pcm: &Vec<i16>| Features::of(pcm).is_some().then(|| pcm.clone());
        let calm: Vec<Vec<i16>> = caller.says.iter().filter_map(|(_, pcm)| long(pcm)).collect();
        let loud: Vec<Vec<i16>> = caller.says.iter().filter_map(|(_, pcm)| long(&raised(pcm))).collect();
        if calm.len() < 2 || loud.len() < 2 {
            continue;
        }
        let mut mood = Frustration::new(Config::default());
        let mut say = |pcm: &[i16]| {
            let features = Features::of(pcm);
            assert!(features.is_some());
            mood.utterance(UtteranceInput { features, text: "It is on the box.", ..UtteranceInput::default() })
        };
        for pcm in &calm {
            say(pcm);
        }
        all += 1;
        let last = loud.iter().map(|pcm| say(pcm)).last().unwrap();
        println!("{:<24}{:6.1} {:?} {}", caller.name, last.score, last.level, last.words());
        assert!(last.level <= Level::Soften, "the voice alone reaches no person: {last:?}");
        heard += usize::from(last.score >= 12.0 && last.why.iter().any(|r| r.term == Term::Voice));
    }
    assert!(all >= 6 && heard == all, "{heard} of {all}");
}

/// Syllables of an English text, near enough: groups of vowels, a silent e at the end taken away.
fn syllables(text: &str) -> usize {
    let words = text.to_lowercase();
    words
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|w| !w.is_empty())
        .map(|word| {
            let vowel: Vec<bool> = word.chars().map(|c| "aeiouy".contains(c)).collect();
            let groups = usize::from(vowel[0]) + vowel.windows(2).filter(|w| !w[0] && w[1]).count();
            let silent = word.ends_with('e') && !word.ends_with("le") && groups > 1;
            (groups - usize::from(silent)).max(1)
        })
        .sum()
}

#[test]
fn the_rate_counts_the_syllables_that_were_spoken() {
    let mut pairs = Vec::new();
    for (text, pcm) in callers().into_iter().flat_map(|c| c.says) {
        if let Some(f) = Features::of(&pcm) {
            // The recordings have 0.2 s of silence at their ends.
            pairs.push((syllables(&text) as f32, f.rate_hz * (f.duration_s - f.pause_s - 0.2)));
        }
    }
    let n = pairs.len() as f32;
    let mean = |f: &dyn Fn(&(f32, f32)) -> f32| pairs.iter().map(f).sum::<f32>() / n;
    let (written, counted) = (mean(&|p| p.0), mean(&|p| p.1));
    let both = mean(&|p| (p.0 - written) * (p.1 - counted));
    let spread = (mean(&|p| (p.0 - written).powi(2)) * mean(&|p| (p.1 - counted).powi(2))).sqrt();
    println!("{n} utterances: {written:.1} syllables written, {counted:.1} counted, correlation {:.3}", both / spread);
    assert!(n > 30.0 && (counted / written - 1.0).abs() < 0.15 && both / spread > 0.9);
}
