//! Speech-to-text by Moonshine base (English) through onnxruntime. Its cost grows with the utterance, not with a fixed
//! window; it hears 16 kHz samples as they are, and punctuates.
//!
//! Three graphs: the encoder, the decoder's first step, which makes the caches, and its further steps. Decoding is greedy.
//! The model is only asked when voice activity found speech, so the end token is forbidden on the first step (else strings
//! of digits come back empty); tokens are capped by the audio's length, and what turns in circles is cut.

use std::path::{Path, PathBuf};

use baton_audio::{RATE, resample_f32};
use baton_speech::{Expected, Hints, SttError, Transcriber, Transcript, Word};
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{DynValue, Tensor};

use crate::bias::Bias;
use crate::tokens::Tokens;
use crate::words::{plain, unlooped};

const MODEL_RATE: u32 = 16_000;
const START: i64 = 1;
const END: usize = 2;
/// The model says no more than this in a second, and a little at each end (its authors' own limit).
const TOKENS_PER_SECOND: f32 = 6.5;
const TOKENS_MORE: f32 = 4.0;
/// A single word without room around it is heard worse: a shorter sound gets silence behind it.
const SHORTEST: usize = MODEL_RATE as usize * 3 / 2;
/// Mean token log-probability below which words are held for invented. Of one or two words the mean says little, and the
/// model is seldom sure of one syllable over the telephone: "no" comes out at -1.4 where a sentence has -0.2.
const LEAST_LOGPROB: f32 = -0.9;
const LEAST_LOGPROB_OF_FEW: f32 = -1.9;
/// Tokens of two words and their punctuation.
const FEW: usize = 4;

/// A sound of an ear that may be one word: what it keeps before and behind, and a second.
const LONGEST_ANSWER: usize = RATE as usize * 17 / 10;
const YES_NO: [&str; 9] = ["Yes", "No", "Yeah", "Nope", "Yep", "Correct", "Right", "Sure", "Okay"];
const DIGITS: [&str; 21] = [
    "Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Oh", "0", "1", "2", "3", "4", "5",
    "6", "7", "8", "9",
];

/// The four files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoonshineFiles {
    /// Audio to states.
    pub encoder: PathBuf,
    /// The decoder's first step.
    pub first: PathBuf,
    /// Its further steps.
    pub next: PathBuf,
    /// The vocabulary.
    pub tokens: PathBuf,
}

impl MoonshineFiles {
    /// As `baton models fetch` names them below its folder.
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            encoder: dir.join("moonshine-base-encoder.onnx"),
            first: dir.join("moonshine-base-first.onnx"),
            next: dir.join("moonshine-base-next.onnx"),
            tokens: dir.join("moonshine-base-tokens.bin"),
        }
    }

    pub(crate) fn each(&self) -> [&PathBuf; 4] {
        [&self.encoder, &self.first, &self.next, &self.tokens]
    }
}

/// One worker's engine.
pub struct Moonshine {
    files: MoonshineFiles,
    threads: usize,
    encoder: Session,
    first: Session,
    next: Session,
    /// Of the next step's inputs after the token, in the graph's order: the name, and the output that feeds it.
    caches: Vec<Cache>,
    tokens: Tokens,
}

struct Cache {
    input: String,
    output: String,
    /// Made anew by each step; the encoder's part is made once.
    grows: bool,
}

impl Moonshine {
    /// Loads the graphs for `threads` threads and warms them up.
    pub fn load(files: &MoonshineFiles, threads: usize) -> Result<Self, String> {
        let tokens = Tokens::parse(&std::fs::read(&files.tokens).map_err(|e| e.to_string())?)?;
        let next = session(&files.next, threads)?;
        let caches = next
            .inputs()
            .iter()
            .filter_map(|i| {
                let rest = i.name().strip_prefix("past_key_values.")?;
                let grows = rest.contains(".decoder.");
                Some(Cache { input: i.name().to_owned(), output: format!("present.{rest}"), grows })
            })
            .collect();
        let (encoder, first) = (session(&files.encoder, threads)?, session(&files.first, threads)?);
        let mut this = Self { files: files.clone(), threads, encoder, first, next, caches, tokens };
        // The first run allocates; do it before anybody waits for it.
        this.decode(&vec![0.0; MODEL_RATE as usize], &mut Bias::default()).map_err(|e| e.to_string())?;
        Ok(this)
    }

    /// Tokens and their log-probabilities, without the end token.
    fn decode(&mut self, audio: &[f32], bias: &mut Bias) -> ort::Result<Vec<(usize, f32)>> {
        let most = (audio.len() as f32 / MODEL_RATE as f32 * TOKENS_PER_SECOND + TOKENS_MORE) as usize;
        let input = Tensor::from_array(([1, audio.len()], audio.to_vec()))?;
        let mut encoded = self.encoder.run(ort::inputs!["input_values" => input])?;
        let states = taken(&mut encoded, "last_hidden_state")?;
        let start = Tensor::from_array(([1usize, 1], vec![START]))?;
        let mut outputs = self.first.run(ort::inputs!["input_ids" => start, "encoder_hidden_states" => states])?;
        let mut chosen = best(&outputs, Some(END), &bias.weights(&self.tokens))?;
        let mut cache =
            self.caches.iter().map(|c| taken(&mut outputs, &c.output)).collect::<ort::Result<Vec<DynValue>>>()?;
        drop(outputs);

        let mut said = Vec::with_capacity(most);
        while chosen.0 != END && said.len() < most {
            said.push(chosen);
            bias.said(chosen.0, &self.tokens);
            if circles(&said) {
                break;
            }
            let token = Tensor::from_array(([1usize, 1], vec![chosen.0 as i64]))?;
            let mut inputs: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(1 + cache.len());
            inputs.push(("input_ids", token.into()));
            inputs.extend(self.caches.iter().zip(&cache).map(|(c, value)| (c.input.as_str(), value.into())));
            let mut outputs = self.next.run(inputs)?;
            chosen = best(&outputs, None, &bias.weights(&self.tokens))?;
            for (c, value) in self.caches.iter().zip(&mut cache).filter(|(c, _)| c.grows) {
                *value = taken(&mut outputs, &c.output)?;
            }
        }
        Ok(said)
    }
}

impl Transcriber for Moonshine {
    fn restart(&mut self) -> Result<(), SttError> {
        *self = Self::load(&self.files, self.threads).map_err(SttError::Engine)?;
        Ok(())
    }

    fn transcribe(&mut self, pcm: &[i16], hints: &Hints) -> Result<Transcript, SttError> {
        let float: Vec<f32> = pcm.iter().map(|s| f32::from(*s) / 32_768.0).collect();
        let mut audio = resample_f32(&float, RATE, MODEL_RATE);
        audio.resize(audio.len().max(SHORTEST), 0.0);
        let said = self
            .decode(&audio, &mut Bias::new(&hints.prompt, answers(hints.kind, pcm.len())))
            .map_err(|e| SttError::Engine(e.to_string()))?;
        let seconds = pcm.len() as f32 / RATE as f32;
        let transcript = heard(&said, &self.tokens, hints.kind);
        if transcript.text.is_empty() {
            let words = self.tokens.text(said.iter().map(|(token, _)| *token));
            tracing::debug!(words, mean = mean(&said), seconds, "dropped: no words, or words that look invented");
        }
        Ok(transcript)
    }
}

/// One-word answers to what was asked, where the sound is short enough to be one.
fn answers(expected: Expected, samples: usize) -> &'static [&'static str] {
    match expected {
        _ if samples > LONGEST_ANSWER => &[],
        Expected::YesNo => &YES_NO,
        Expected::Digits(_) => &DIGITS,
        Expected::Anything => &YES_NO[..2],
        Expected::Name => &[],
    }
}

/// The words, or none where they look invented.
fn heard(said: &[(usize, f32)], tokens: &Tokens, expected: Expected) -> Transcript {
    let raw = tokens.text(said.iter().map(|(token, _)| *token));
    let text = unlooped(&plain(&raw));
    let logprob = mean(said);
    let least = if said.len() <= FEW { LEAST_LOGPROB_OF_FEW } else { LEAST_LOGPROB };
    // What was asked for is no invention, however softly it is said.
    let is_answer = is_one_of(&text, answers(expected, 0)) && expected != Expected::Anything;
    if text.is_empty() || !is_answer && (logprob < least || is_filler(&text, logprob)) {
        return Transcript { text: String::new(), confidence: 0.0, words: Vec::new() };
    }
    let mut words = words(said, tokens);
    words.truncate(text.split_whitespace().count());
    Transcript { text, confidence: logprob.exp().clamp(0.0, 1.0), words }
}

/// A word for each token that begins one, as sure as its least sure token.
fn words(said: &[(usize, f32)], tokens: &Tokens) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut bytes: Vec<Vec<u8>> = Vec::new();
    for (token, logprob) in said {
        let Some(piece) = tokens.bytes(*token) else { continue };
        let confidence = logprob.exp().clamp(0.0, 1.0);
        match (bytes.last_mut(), words.last_mut()) {
            (Some(so_far), Some(word)) if !piece.starts_with(b" ") => {
                so_far.extend_from_slice(&piece);
                word.confidence = word.confidence.min(confidence);
            }
            _ => {
                bytes.push(piece);
                words.push(Word { text: String::new(), confidence });
            }
        }
    }
    for (word, bytes) in words.iter_mut().zip(bytes) {
        word.text = String::from_utf8_lossy(&bytes).trim().to_owned();
    }
    words.retain(|w| !w.text.is_empty());
    words
}

fn is_one_of(text: &str, words: &[&str]) -> bool {
    let text = text.trim_matches(|c: char| !c.is_alphanumeric());
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

fn mean(said: &[(usize, f32)]) -> f32 {
    if said.is_empty() { f32::NEG_INFINITY } else { said.iter().map(|(_, p)| p).sum::<f32>() / said.len() as f32 }
}

/// What the model says of silence and noise, unless it is quite sure.
fn is_filler(text: &str, logprob: f32) -> bool {
    const FILLERS: [&str; 9] = [
        "you",
        "thank you",
        "thank you for watching",
        "thanks for watching",
        "bye-bye",
        "the end",
        "so",
        "i'm sorry",
        "okay",
    ];
    let low = text.to_lowercase();
    let low = low.trim_matches(|c: char| !c.is_alphanumeric());
    FILLERS.contains(&low) && logprob < -0.35
}

/// Whether the last tokens say the same thing again and again: up to eight tokens, four times in a row.
fn circles(said: &[(usize, f32)]) -> bool {
    (1..=8usize).any(|n| {
        said.len() >= 4 * n && {
            let tail = &said[said.len() - 4 * n..];
            // Figures may well be said four times over: "one one one one".
            n > 2 && tail.iter().zip(&tail[n..]).all(|(a, b)| a.0 == b.0)
                || said.len() >= 16 * n && said[said.len() - 16 * n..].windows(n + 1).all(|w| w[0].0 == w[n].0)
        }
    })
}

/// The likeliest token of the last position, some having more weight, and its log-probability without that.
fn best(outputs: &SessionOutputs<'_>, forbidden: Option<usize>, weights: &[(usize, f32)]) -> ort::Result<(usize, f32)> {
    let logits = outputs.get("logits").ok_or_else(|| ort::Error::new("the decoder gives no logits"))?;
    let (_, logits) = logits.try_extract_tensor::<f32>()?;
    let (mut at, mut top) = (END, f32::NEG_INFINITY);
    for (i, logit) in logits.iter().enumerate() {
        if *logit > top && Some(i) != forbidden {
            (at, top) = (i, *logit);
        }
    }
    let sum: f32 = logits.iter().enumerate().filter(|(i, _)| Some(*i) != forbidden).map(|(_, l)| (l - top).exp()).sum();
    let heavier = weights.iter().filter_map(|(i, more)| Some((*i, *logits.get(*i)?, more)));
    let (mut said, mut weight) = ((at, top), top);
    for (i, logit, more) in heavier {
        if logit + more > weight {
            (said, weight) = ((i, logit), logit + more);
        }
    }
    Ok((said.0, said.1 - top - sum.ln()))
}

fn taken(outputs: &mut SessionOutputs<'_>, name: &str) -> ort::Result<DynValue> {
    outputs.remove(name).ok_or_else(|| ort::Error::new(format!("the graph gives no {name}")))
}

fn session(path: &Path, threads: usize) -> Result<Session, String> {
    Session::builder()
        .and_then(|b| Ok(b.with_intra_threads(threads)?))
        .and_then(|mut b| b.commit_from_file(path))
        .map_err(|e| e.to_string())
}

#[cfg(test)]
#[path = "moonshine_tests.rs"]
mod tests;
