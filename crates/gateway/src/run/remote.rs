//! Engines elsewhere: speech-to-text and text-to-speech by the OpenAI-compatible endpoints `audio/transcriptions` and
//! `audio/speech`. Who uses them has outgrown one machine.
//!
//! What must always hold: a request is over within its time-out; what did not work is done by the local engine at once; a
//! server that fails repeatedly is left alone for a while, so that callers do not wait for its time-out each time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use baton_audio::{Clip, RATE, decode_clip};
use baton_speech::{Engines, Hints, SttError, Synthesizer, Transcriber, Transcript, TtsError};
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::config::RemoteEngine;

/// Failures in a row after which a server is left alone, and for how long.
const FAILURES: u32 = 3;
const REST: Duration = Duration::from_secs(30);
/// An answer larger than this is not read to its end: a minute of wide-band speech.
const LARGEST: usize = 8 << 20;
/// How sure words are of which the server does not say it.
const CONFIDENCE: f32 = 0.8;
const BOUNDARY: &str = "baton-7MA4YWxkTrZu0gW";

/// Requests to engines elsewhere since start, and how many of them the local engine had to do.
#[derive(Debug, Default)]
pub struct RemoteCounters {
    pub requests: AtomicU64,
    pub fallbacks: AtomicU64,
}

/// Why a remote engine cannot be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client for {url}: {cause}")]
pub struct RemoteError {
    url: String,
    cause: String,
}

/// One server.
struct Remote {
    client: reqwest::Client,
    to: RemoteEngine,
    runtime: Handle,
    health: Mutex<Health>,
    counters: Arc<RemoteCounters>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    rests_until: Option<Instant>,
}

/// Puts the remote engines before the local ones, where the configuration names any.
pub fn before_local(
    mut engines: Engines,
    stt: Option<&RemoteEngine>,
    tts: Option<&RemoteEngine>,
    counters: &Arc<RemoteCounters>,
) -> Result<Engines, RemoteError> {
    if let Some(to) = stt {
        let remote = Arc::new(Remote::new(to, counters)?);
        let local: Vec<_> = engines.transcribers.into_iter().map(|e| Arc::new(Mutex::new(e))).collect();
        let nth = |n: usize| local.get(n.checked_rem(local.len())?).cloned();
        engines.transcribers = (0..to.workers)
            .map(|n| Box::new(Ears { remote: Arc::clone(&remote), local: nth(n) }) as Box<dyn Transcriber>)
            .collect();
        info!(url = to.url, model = to.model, workers = to.workers, "speech-to-text is asked elsewhere");
    }
    if let Some(to) = tts {
        let remote = Arc::new(Remote::new(to, counters)?);
        let local: Vec<_> = engines.synthesizers.into_iter().map(|e| Arc::new(Mutex::new(e))).collect();
        let nth = |n: usize| local.get(n.checked_rem(local.len())?).cloned();
        engines.synthesizers = (0..to.workers)
            .map(|n| {
                Box::new(Mouth { remote: Arc::clone(&remote), local: nth(n), substitute: false })
                    as Box<dyn Synthesizer>
            })
            .collect();
        // Part of every cached clip's key: another voice's clips are not played for this one.
        engines.voice = format!("{} {} {}", to.url, to.model, to.voice);
        info!(url = to.url, model = to.model, voice = to.voice, "text-to-speech is asked elsewhere");
    }
    Ok(engines)
}

impl Remote {
    fn new(to: &RemoteEngine, counters: &Arc<RemoteCounters>) -> Result<Self, RemoteError> {
        let failed = |cause: String| RemoteError { url: to.url.clone(), cause };
        let client = baton_crm::client()
            .map_err(|e| failed(e.to_string()))?
            .timeout(to.timeout)
            .build()
            .map_err(|e| failed(e.to_string()))?;
        let runtime = Handle::try_current().map_err(|e| failed(e.to_string()))?;
        Ok(Self { client, to: to.clone(), runtime, health: Mutex::default(), counters: Arc::clone(counters) })
    }

    /// The body of the answer to a POST, or why there is none. Blocks its worker's thread, never longer than the time-out.
    fn post(&self, path: &str, content: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
        if self.rests() {
            return Err("it is left alone for a while".into());
        }
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}/{path}", self.to.url.trim_end_matches('/'));
        let mut request = self.client.post(url).header(CONTENT_TYPE, content).body(body);
        if let Some(key) = &self.to.key {
            request = request.bearer_auth(key);
        }
        let answer = self.runtime.block_on(async {
            let mut answer = request.send().await.map_err(|e| said(&e))?;
            let status = answer.status();
            let mut bytes = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|e| said(&e))? {
                if bytes.len() + chunk.len() > LARGEST {
                    return Err(format!("its answer is larger than {} MiB", LARGEST >> 20));
                }
                bytes.extend_from_slice(&chunk);
            }
            match status.is_success() {
                true => Ok(bytes),
                false => Err(format!("{status}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]))),
            }
        });
        self.note(answer.is_ok());
        answer
    }

    fn rests(&self) -> bool {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match health.rests_until {
            Some(until) if Instant::now() < until => true,
            Some(_) => {
                // One may try; if it fails, the rest goes on.
                health.rests_until = Some(Instant::now() + REST);
                false
            }
            None => false,
        }
    }

    fn note(&self, worked: bool) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if worked {
            if health.rests_until.is_some() {
                info!(url = self.to.url, "the remote engine works again");
            }
            *health = Health::default();
            return;
        }
        health.failures += 1;
        if health.failures == FAILURES {
            warn!(url = self.to.url, "the remote engine fails repeatedly; the local one works for a while");
        }
        if health.failures >= FAILURES {
            health.rests_until = Some(Instant::now() + REST);
        }
    }

    fn falls_back(&self, why: &str) {
        self.counters.fallbacks.fetch_add(1, Ordering::Relaxed);
        warn!(url = self.to.url, why, "the remote engine did not do it");
    }
}

fn said(error: &reqwest::Error) -> String {
    match error {
        e if e.is_timeout() => "it did not answer in time".into(),
        e if e.is_connect() => "cannot connect".into(),
        e => e.to_string(),
    }
}

/// Speech-to-text elsewhere, with an engine here for when that fails.
struct Ears {
    remote: Arc<Remote>,
    local: Option<Arc<Mutex<Box<dyn Transcriber>>>>,
}

impl Ears {
    fn ask(&self, pcm: &[i16], hints: &Hints) -> Result<Transcript, String> {
        let to = &self.remote.to;
        let mut form = Vec::with_capacity(pcm.len() * 2 + 1_024);
        let mut field = |name: &str, value: &str| {
            form.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes());
            form.extend(value.bytes());
            form.extend(b"\r\n");
        };
        field("model", &to.model);
        field("response_format", "verbose_json");
        field("language", &to.language);
        field("temperature", "0");
        if !hints.prompt.is_empty() {
            field("prompt", &hints.prompt);
        }
        form.extend(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"said.wav\"\r\nContent-Type: audio/wav\r\n\r\n"
            )
            .bytes(),
        );
        form.extend(wav(pcm));
        form.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
        let content = format!("multipart/form-data; boundary={BOUNDARY}");
        let body = self.remote.post("audio/transcriptions", &content, form)?;
        let body: Value = serde_json::from_slice(&body).map_err(|e| format!("its answer is no JSON: {e}"))?;
        let text = body["text"].as_str().ok_or("its answer holds no `text`")?.trim().to_owned();
        let logprobs: Vec<f64> =
            body["segments"].as_array().into_iter().flatten().filter_map(|s| s["avg_logprob"].as_f64()).collect();
        let confidence = match logprobs.len() {
            0 => CONFIDENCE,
            n => (logprobs.iter().sum::<f64>() / n as f64).exp().clamp(0.0, 1.0) as f32,
        };
        Ok(Transcript { text, confidence, words: Vec::new() })
    }
}

impl Transcriber for Ears {
    fn transcribe(&mut self, pcm: &[i16], hints: &Hints) -> Result<Transcript, SttError> {
        let why = match self.ask(pcm, hints) {
            Ok(transcript) => return Ok(transcript),
            Err(why) => why,
        };
        self.remote.falls_back(&why);
        match &self.local {
            Some(local) => local.lock().unwrap_or_else(PoisonError::into_inner).transcribe(pcm, hints),
            None => Err(SttError::Engine(why)),
        }
    }

    fn restart(&mut self) -> Result<(), SttError> {
        match &self.local {
            Some(local) => local.lock().unwrap_or_else(PoisonError::into_inner).restart(),
            None => Ok(()),
        }
    }
}

/// Text-to-speech elsewhere, with a voice here for when that fails.
struct Mouth {
    remote: Arc<Remote>,
    local: Option<Arc<Mutex<Box<dyn Synthesizer>>>>,
    substitute: bool,
}

impl Synthesizer for Mouth {
    fn synthesize(&mut self, clause: &str) -> Result<Clip, TtsError> {
        let to = &self.remote.to;
        let body = json!({"model": to.model, "voice": to.voice, "input": clause, "response_format": "wav"});
        let clip = self
            .remote
            .post("audio/speech", "application/json", body.to_string().into_bytes())
            .and_then(|bytes| decode_clip(bytes, "wav").map_err(|e| format!("its answer is no WAV: {e}")));
        self.substitute = clip.is_err();
        let why = match clip {
            Ok(clip) => return Ok(clip),
            Err(why) => why,
        };
        self.remote.falls_back(&why);
        match &self.local {
            Some(local) => local.lock().unwrap_or_else(PoisonError::into_inner).synthesize(clause),
            None => Err(TtsError::Engine(why)),
        }
    }

    fn is_substitute(&self) -> bool {
        self.substitute
    }

    fn restart(&mut self) -> Result<(), TtsError> {
        match &self.local {
            Some(local) => local.lock().unwrap_or_else(PoisonError::into_inner).restart(),
            None => Ok(()),
        }
    }
}

/// 16-bit mono at 8 kHz in a WAV file.
fn wav(pcm: &[i16]) -> Vec<u8> {
    let bytes = u32::try_from(pcm.len() * 2).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(pcm.len() * 2 + 44);
    out.extend(b"RIFF");
    out.extend((bytes.saturating_add(36)).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16u32.to_le_bytes());
    for n in [1u16, 1] {
        out.extend(n.to_le_bytes());
    }
    out.extend(RATE.to_le_bytes());
    out.extend((RATE * 2).to_le_bytes());
    for n in [2u16, 16] {
        out.extend(n.to_le_bytes());
    }
    out.extend(b"data");
    out.extend(bytes.to_le_bytes());
    out.extend(pcm.iter().flat_map(|s| s.to_le_bytes()));
    out
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
