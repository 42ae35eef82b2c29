//! Text-to-speech by piper. Its phonemizer drops punctuation and crashes when two threads are in it, so what stands
//! between marks is phonemized piece by piece under one lock, the marks are put back, and each sentence is synthesized
//! by itself.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use baton_audio::{Clip, RATE, resample_f32};
use baton_speech::{Synthesizer, TtsError};
use espeak_rs::text_to_phonemes;
use piper_rs::{ModelConfig, Piper};

/// espeak-ng keeps global state. A call takes about a millisecond.
static PHONEMIZER: Mutex<()> = Mutex::new(());

const DATA: &str = "PIPER_ESPEAKNG_DATA_DIRECTORY";
/// Between two sentences of one clause: 200 ms at 8 kHz.
const PAUSE: usize = 1_600;

/// Has the phonemizer take its data from `parent/espeak-ng-data`, once for the process.
pub fn find_data(parent: &Path) -> Result<(), String> {
    let _one_at_a_time = PHONEMIZER.lock().unwrap_or_else(PoisonError::into_inner);
    if std::env::var_os(DATA).is_none_or(|found| found != parent.as_os_str()) {
        // SAFETY: at start-up, and under a lock that everybody who comes here takes; Rust's own readers are synchronised
        // by std, and the only reader that is meant is the call below.
        unsafe { std::env::set_var(DATA, parent) };
    }
    text_to_phonemes("ready", "en-us", None).map(|_| ()).map_err(|e| e.to_string())
}

/// A voice: one model session, which cannot run twice at a time.
pub struct Voice {
    piper: Piper,
    language: String,
}

impl Voice {
    /// Loads it and runs it once.
    pub fn load(model: &Path, description: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(description).map_err(|e| e.to_string())?;
        let config: ModelConfig = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let language = config.espeak.voice.clone();
        let session = ort::session::Session::builder()
            .and_then(|b| Ok(b.with_intra_threads(1)?))
            .and_then(|mut b| b.commit_from_file(model))
            .map_err(|e| e.to_string())?;
        let mut voice = Self { piper: Piper::from_session(session, config), language };
        voice.synthesize("Ready.").map_err(|e| e.to_string())?;
        Ok(voice)
    }

    /// A piece without marks, in phonemes.
    fn phonemes(&self, words: &str) -> Result<String, TtsError> {
        let _one_at_a_time = PHONEMIZER.lock().unwrap_or_else(PoisonError::into_inner);
        let spoken = text_to_phonemes(words, &self.language, None).map_err(|e| TtsError::Engine(e.to_string()))?;
        Ok(spoken.join(" ").trim().to_owned())
    }

    fn sentence(&self, pieces: &[Piece]) -> Result<String, TtsError> {
        let mut out = String::new();
        for piece in pieces {
            let phonemes = self.phonemes(&piece.words)?;
            if !phonemes.is_empty() {
                out.push_str(if out.is_empty() { "" } else { " " });
                out.push_str(&phonemes);
                out.push(piece.mark);
            }
        }
        Ok(out)
    }
}

impl Synthesizer for Voice {
    fn synthesize(&mut self, clause: &str) -> Result<Clip, TtsError> {
        let mut pcm: Vec<i16> = Vec::new();
        for pieces in sentences(clause) {
            let phonemes = self.sentence(&pieces)?;
            if phonemes.is_empty() {
                continue;
            }
            let spoken = self.piper.create(&phonemes, true, None, None, None, None);
            let (samples, rate) = spoken.map_err(|e| TtsError::Engine(e.to_string()))?;
            if !pcm.is_empty() {
                pcm.extend(std::iter::repeat_n(0, PAUSE));
            }
            pcm.extend(
                resample_f32(&samples, rate, RATE)
                    .into_iter()
                    .map(|s| (s * 32_000.0).clamp(-32_767.0, 32_767.0) as i16),
            );
        }
        Ok(Clip::new(pcm))
    }
}

/// Words up to a mark, and the mark.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    words: String,
    mark: char,
}

/// A clause by sentences, each in pieces that end at a mark. What ends without one ends like a sentence.
fn sentences(clause: &str) -> Vec<Vec<Piece>> {
    let mut out = vec![Vec::new()];
    let mut words: Vec<&str> = Vec::new();
    let tokens: Vec<&str> = clause.split_whitespace().collect();
    for (i, token) in tokens.iter().enumerate() {
        let bare = token.trim_end_matches([',', ';', ':', '.', '!', '?']);
        if bare.chars().any(char::is_alphanumeric) {
            words.push(bare);
        }
        let mark = token[bare.len()..].chars().next();
        let end = i + 1 == tokens.len();
        let Some(mark) = mark.or(end.then_some('.')) else { continue };
        if !words.is_empty() {
            let piece = Piece { words: named_letters(&words).join(" "), mark };
            words.clear();
            if let Some(sentence) = out.last_mut() {
                sentence.push(piece);
            }
        }
        if matches!(mark, '.' | '!' | '?') && !end {
            out.push(Vec::new());
        }
    }
    out.retain(|sentence| !sentence.is_empty());
    out
}

/// The phonemizer takes a lone "A" for the article: "uh one zero four two". Where it is a letter, by its neighbours, it
/// becomes a word that sounds like one.
fn named_letters<'a>(words: &[&'a str]) -> Vec<&'a str> {
    const DIGITS: [&str; 11] = ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    let letter = |w: Option<&&str>| w.is_some_and(|w| w.len() == 1 && w.starts_with(|c: char| c.is_ascii_uppercase()));
    let digit = |w: Option<&&str>| w.is_some_and(|w| DIGITS.contains(w));
    let named = |(i, word): (usize, &&'a str)| {
        let (before, after) = (i.checked_sub(1).and_then(|i| words.get(i)), words.get(i + 1));
        let is_letter = letter(before) || letter(after) || digit(before) || digit(after);
        if *word == "A" && is_letter { "eigh" } else { *word }
    };
    words.iter().enumerate().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(clause: &str) -> Vec<Vec<(String, char)>> {
        sentences(clause).into_iter().map(|s| s.into_iter().map(|p| (p.words, p.mark)).collect()).collect()
    }

    #[test]
    fn marks_separate_words_and_sentences() {
        let piece = |words: &str, mark| (words.to_owned(), mark);
        assert_eq!(
            cut("Gomez, verified. Really?! no end"),
            [vec![piece("Gomez", ','), piece("verified", '.')], vec![piece("Really", '?')], vec![piece("no end", '.')]]
        );
        assert_eq!(cut(", . !"), Vec::<Vec<(String, char)>>::new());
        assert_eq!(cut("three o'clock -"), [vec![piece("three o'clock", '.')]]);
    }

    #[test]
    fn a_letter_is_told_from_the_article() {
        let named = |text: &str| named_letters(&text.split(' ').collect::<Vec<_>>()).join(" ");
        assert_eq!(named("order A one zero four two"), "order eigh one zero four two");
        assert_eq!(named("G A R C I A"), "G eigh R C I eigh");
        assert_eq!(named("A person will help"), "A person will help");
        assert_eq!(named("one moment A"), "one moment A");
    }
}
