//! The terms of a score in words: with figures for the log, without them for the agent's screen.

use std::fmt;

use crate::baseline::{Distance, LEVEL, MELODY, PITCH, PLAIN, PRESS, RATE, ROUGH};

/// What a score is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Term {
    /// The voice beside the speaker's own baseline.
    Voice,
    /// The voice beside the population's.
    VoiceFromTheStart,
    /// The voice rises from turn to turn.
    VoiceRises,
    /// Complaints.
    Complaint,
    /// Swearing.
    Profanity,
    /// The caller says the same again, or that it was said.
    Repeated,
    /// We did not understand.
    Misunderstood,
    /// The caller spoke over us.
    Interrupted,
}

/// One term of a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// Which.
    pub term: Term,
    /// Its points now.
    pub points: f32,
    /// In words with figures, for the log: "6 dB louder than at the start".
    pub words: String,
    /// In words without figures, for the agent: "speaks much louder than at the start".
    pub plain: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.words)
    }
}

impl Term {
    /// Whether this is the voice, not words or turns.
    pub fn is_voice(self) -> bool {
        matches!(self, Self::Voice | Self::VoiceFromTheStart | Self::VoiceRises)
    }

    /// A term of words or turns that was met `count` times; `quote`: the last complaint.
    pub(crate) fn reason(self, points: f32, count: u32, quote: &str) -> Reason {
        let times = times(count);
        let (words, plain) = match self {
            Self::Voice | Self::VoiceFromTheStart | Self::VoiceRises => (String::new(), String::new()),
            Self::Complaint if quote.is_empty() => (format!("complained {times}"), format!("complained {times}")),
            Self::Complaint => {
                let words = format!("complained {times} (\"{quote}\")");
                (words.clone(), words)
            }
            // What was said is in the transcript; it need not be on the agent's screen twice.
            Self::Profanity => (format!("swore {times}"), format!("swore {times}")),
            Self::Repeated => (format!("repeated {times}"), format!("had to repeat something {times}")),
            Self::Misunderstood => (format!("misunderstood {times}"), format!("was misunderstood {times}")),
            Self::Interrupted => (format!("interrupted us {times}"), format!("spoke over the assistant {times}")),
        };
        Reason { term: self, points, words, plain }
    }
}

/// The voice beside the speaker's baseline.
pub(crate) fn voice(points: f32, d: &Distance) -> Reason {
    let (mut words, mut plain) = (Vec::new(), Vec::new());
    if d.part[LEVEL] >= PLAIN {
        words.push(format!("{:.0} dB louder", d.change[LEVEL]));
        plain.push(if d.part[LEVEL] > 0.8 { "much louder" } else { "louder" });
    }
    if d.part[PITCH] >= PLAIN {
        words.push(format!("{:.0} semitones higher", d.change[PITCH]));
        plain.push("higher");
    }
    if d.part[PRESS] >= PLAIN {
        words.push(format!("sharper by {:.0} dB above 1 kHz", d.change[PRESS]));
        plain.push("sharper");
    }
    if d.part[RATE] >= PLAIN {
        words.push(format!("faster by {:.1} syllables a second", d.change[RATE]));
        plain.push("faster");
    }
    if d.part[MELODY] >= PLAIN {
        words.push("livelier".to_owned());
        plain.push("livelier");
    }
    if d.part[ROUGH] >= PLAIN {
        words.push("rougher".to_owned());
        plain.push("rougher");
    }
    if words.is_empty() {
        words.push("a little more excited".to_owned());
        plain.push("a little more excited");
    }
    Reason {
        term: Term::Voice,
        points,
        words: format!("{} than at the start", list(&words)),
        plain: format!("speaks {} than at the start", list(&plain)),
    }
}

pub(crate) fn from_the_start(points: f32) -> Reason {
    let plain = "has spoken excitedly from the start".to_owned();
    Reason { term: Term::VoiceFromTheStart, points, words: "excited voice from the start".to_owned(), plain }
}

pub(crate) fn rises(points: f32) -> Reason {
    let plain = "sounds more excited from turn to turn".to_owned();
    Reason { term: Term::VoiceRises, points, words: "voice rising over three turns".to_owned(), plain }
}

/// "a, b and c".
pub(crate) fn list(items: &[impl AsRef<str>]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

fn times(count: u32) -> String {
    const WORDS: [&str; 6] = ["not at all", "once", "twice", "three times", "four times", "five times"];
    WORDS.get(count as usize).map_or_else(|| "many times".to_owned(), |w| (*w).to_owned())
}
