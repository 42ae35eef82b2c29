//! What is the same for every call of a gateway, whatever its flow: who goes first in line, what a caller in line is told,
//! what an agent can do by keys. Read from the config; durations are in seconds there.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_intake::TriggerName;
use serde::Deserialize;

/// The rules.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Who is served before others, and by whom, according to why a person is called.
    pub wants: BTreeMap<TriggerName, Wanted>,
    /// Pressed by a caller in line: to be called back without losing the place. Empty: not offered.
    pub callback_key: Option<char>,
    /// Pressed by a caller in line: back to the assistant. Empty: not offered.
    pub leave_key: Option<char>,
    /// How often a promised call is tried.
    pub callback_tries: u32,
    /// How long a phone outside rings, in seconds: a caller who is called back, a third party.
    #[serde(with = "seconds", rename = "outside_ring_s")]
    pub outside_ring: Duration,
    /// What is told to who waits in line.
    pub lines: QueueLines,
    /// What an agent can do with keys while talking with the caller.
    pub features: Vec<Feature>,
    /// Numbers that agents may pass callers on to: what they begin with (`+49`, `1`, `00`). None: no numbers at all.
    pub outside: Vec<String>,
    /// The user part of a Refer-To URI that means the assistant.
    pub assistant: String,
    /// The queues, as a Refer-To URI may name them. Filled in by who reads the config.
    #[serde(skip)]
    pub queues: Vec<String>,
    /// Somebody who speaks for so long, in seconds, during the first ten seconds of the agent's leg is a mailbox. 0: never.
    #[serde(with = "seconds", rename = "machine_after_s")]
    pub machine_after: Duration,
    /// Said to caller and agent together before they are joined; `{agent}` is the extension. Empty: joined at once.
    pub introduction: String,
    /// What takes back a false interruption: not words, but signs that the caller listens.
    pub backchannels: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        let urgent = Wanted { priority: 9, skills: Vec::new() };
        let feature = |code: &str, does| Feature { code: code.into(), does };
        Self {
            wants: BTreeMap::from([(TriggerName::Distress, urgent)]),
            callback_key: Some('1'),
            leave_key: None,
            callback_tries: 3,
            outside_ring: Duration::from_secs(30),
            lines: QueueLines::default(),
            features: vec![
                feature("*1", Does::Assistant),
                feature("*2", Does::Blind { to: None }),
                feature("*3", Does::Attended { to: None }),
                feature("*4", Does::ThreeWay),
                feature("*5", Does::Return),
                feature("*6", Does::Complete),
                feature("*9", Does::PauseRecording),
                feature("*0", Does::ResumeRecording),
            ],
            outside: Vec::new(),
            assistant: "assistant".into(),
            queues: Vec::new(),
            machine_after: Duration::from_secs(4),
            introduction: String::new(),
            backchannels: [
                "uh-huh", "uh huh", "mm-hmm", "mm hmm", "mhm", "hmm", "hm", "mm", "aha", "okay", "ok", "right",
                "i see", "sure",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }
}

/// What one trigger's callers want of a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// Higher goes first.
    pub priority: u8,
    /// What the agent must be able to do.
    pub skills: Vec<String>,
}

/// What is told to who waits in line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueLines {
    /// To who is first.
    pub next: String,
    /// To the others: `{position}`, and `{wait}` in words.
    pub place: String,
    /// After either, where a callback can be had.
    pub offer: String,
    /// To who chose it: `{phone}`.
    pub promised: String,
    /// To a caller whom an agent passes on.
    pub passing: String,
    /// To an agent who took a callback, while the caller is called.
    pub calling: String,
}

impl Default for QueueLines {
    fn default() -> Self {
        Self {
            next: "You are next in line. The wait is {wait}.".into(),
            place: "You are number {position} in line. The wait is {wait}.".into(),
            offer: "To be called back without losing your place, press 1.".into(),
            promised: "Thank you. You keep your place, and we will call you back on {phone}. Goodbye.".into(),
            passing: "One moment please, I am passing you on.".into(),
            calling: "I am calling them now.".into(),
        }
    }
}

/// A wait in words.
pub(crate) fn wait_in_words(wait: Duration) -> String {
    match wait.as_secs().div_ceil(60) {
        0 | 1 => "less than a minute".to_owned(),
        minutes => format!("about {minutes} minutes"),
    }
}

/// What keys do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The keys: `*` or `#` first, then what no other code begins with.
    pub code: String,
    /// What they do.
    pub does: Does,
}

/// What an agent does with the caller.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// The assistant takes the caller back.
    Assistant,
    /// The caller waits for an agent of another queue.
    Queue {
        /// Its name.
        queue: String,
    },
    /// The caller is connected with a number; the agent is done. Without `to` the number is keyed after the code, up to `#`.
    Blind {
        /// The number.
        #[serde(default)]
        to: Option<String>,
    },
    /// The agent speaks with a number while the caller hears music. Without `to` it is keyed.
    Attended {
        /// The number.
        #[serde(default)]
        to: Option<String>,
    },
    /// All three speak.
    ThreeWay,
    /// The third party is let go; agent and caller speak again.
    Return,
    /// The agent leaves caller and third party to each other; hanging up does the same.
    Complete,
    /// The recording, if there is one, hears nothing: a card number is said.
    PauseRecording,
    /// It hears again.
    ResumeRecording,
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, de::Error};

    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}
