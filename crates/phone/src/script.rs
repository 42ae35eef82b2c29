//! What a drill's people do, read from TOML: callers (`media/callers/NAME/caller.toml`) and agents.
//!
//! A script says when its person speaks only in terms of what a person can hear and see. The gateway never reads these
//! files. `[expect]` is for whoever checks the outcome, `[voice]` for the script that makes the audio.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One caller.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerScript {
    /// Name of the folder it was read from.
    #[serde(skip)]
    pub name: String,
    /// Folder it was read from; files are named relative to it.
    #[serde(skip)]
    pub folder: PathBuf,
    /// One sentence on who calls and why.
    pub about: String,
    /// Calling number: the user part of From.
    pub from: String,
    /// Display name in From.
    pub display: Option<String>,
    /// Number called.
    #[serde(default = "default_to")]
    pub to: String,
    /// How long the other side must be silent before this caller takes it that it is its turn, ms.
    #[serde(default = "default_gap")]
    pub gap_ms: u64,
    /// Noise file, mixed under the whole call and looped.
    pub noise: Option<PathBuf>,
    /// What it says, in order; each waits for its moment and none is said on hold.
    #[serde(default)]
    pub say: Vec<Say>,
    /// What it says to the agent once both are joined.
    #[serde(default)]
    pub talk: Vec<Say>,
    /// When it hangs up by itself.
    #[serde(default)]
    pub hang_up: HangUp,
    /// What must come out.
    #[serde(default)]
    pub expect: Expect,
    /// How its audio is made; read by `make.sh` alone.
    #[serde(default)]
    pub voice: toml::Table,
}

/// One utterance, or one string of digits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Say {
    /// Audio file.
    pub file: Option<PathBuf>,
    /// What is said in it.
    #[serde(default)]
    pub text: String,
    /// Digits to press instead (RFC 4733).
    pub dtmf: Option<String>,
    /// When.
    #[serde(default)]
    pub when: When,
    /// With [`When::AtMs`]: since the call was answered (for `talk`: since the join), ms.
    #[serde(default)]
    pub at_ms: u64,
    /// With [`When::AfterPrompt`]: silence that ends the other side's turn, instead of the caller's own `gap_ms`.
    pub gap_ms: Option<u64>,
    /// Samples of `file`; filled by [`CallerScript::load`].
    #[serde(skip)]
    pub samples: Option<Arc<[i16]>>,
}

/// What an utterance waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The other side has spoken since our last utterance and is silent now.
    #[default]
    AfterPrompt,
    /// A moment of the call.
    AtMs,
    /// The join.
    OnJoin,
}

/// When a caller hangs up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HangUp {
    /// `None`: it waits until the other side hangs up.
    pub when: Option<HangUpWhen>,
    /// With `after_ms`: since the call was answered; else added to the moment named by `when`. ms.
    #[serde(default)]
    pub ms: u64,
}

/// The moment of a caller's hanging up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HangUpWhen {
    /// An agent's phone rings for this call.
    AgentRinging,
    /// So long after the answer.
    AfterMs,
    /// Everything was said, and the other side's turn after it is over.
    AfterLast,
    /// Both are joined.
    Joined,
}

/// What must come out of the call, for checks against the call record.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Slots by name with the value they must have.
    #[serde(default)]
    pub slots: BTreeMap<String, String>,
    /// Trigger of the escalation.
    pub trigger: Option<String>,
    /// Disposition code.
    pub disposition: Option<String>,
    /// The assistant alone was enough.
    #[serde(default)]
    pub solved: bool,
    /// Whether the caller holds the account, where it must be known.
    pub account_holder: Option<bool>,
    /// The caller and a person are joined.
    #[serde(default)]
    pub joined: bool,
}

/// One agent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentScript {
    /// Extension: user of REGISTER and its digest.
    pub extension: String,
    /// Digest password; often put in by whoever runs the drill.
    #[serde(default)]
    pub password: String,
    /// What it does when its phone rings.
    #[serde(default)]
    pub on_ring: OnRing,
    /// How long it rings before that, ms.
    #[serde(default = "default_ring")]
    pub ring_ms: u64,
    /// Digits it presses, one after another: 1 accept, 2 decline, 3 repeat, * skip.
    #[serde(default = "default_press")]
    pub press: Vec<Press>,
    /// It takes the end of the briefing as the join, without any digit.
    #[serde(default)]
    pub joins_at_briefing_end: bool,
    /// File with what it says after the join.
    pub talk: Option<PathBuf>,
    /// What is said in it.
    #[serde(default)]
    pub text: String,
    /// From the join to its first word, ms.
    #[serde(default = "default_talk_delay")]
    pub talk_after_ms: u64,
    /// From the join to its hanging up, ms; `None`: it waits for the caller to hang up.
    pub hang_up_after_ms: Option<u64>,
    /// How its audio is made; read by `make.sh` alone.
    #[serde(default)]
    pub voice: toml::Table,
    /// Samples of `talk`; filled by [`AgentScript::load`].
    #[serde(skip)]
    pub samples: Option<Arc<[i16]>>,
}

/// What an agent does with a ringing phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRing {
    /// 200.
    #[default]
    Answer,
    /// 486 Busy Here.
    Busy,
    /// 603 Decline.
    Decline,
    /// It rings on and nobody comes.
    RingOut,
    /// The phone is dead: no response of any kind.
    Ignore,
}

/// One digit of an agent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Press {
    /// Which.
    pub digit: char,
    /// When, counted from the answer or the digit before: after so many ms, or once the voice has ended when `None`.
    pub after_ms: Option<u64>,
}

/// Why a script cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It could not be read.
    #[error("{path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no script.
    #[error("{path}: {source}")]
    Toml {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// Audio that it names could not be used.
    #[error("{path}: {source}")]
    Audio {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: baton_audio::LoadError,
    },
    /// An utterance with neither `file` nor `dtmf`, or with both.
    #[error("{path}: utterance {number} needs either `file` or `dtmf`")]
    Utterance {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        number: usize,
    },
}

impl CallerScript {
    /// Reads `folder/caller.toml` and its audio.
    pub fn load(folder: &Path) -> Result<Self, ScriptError> {
        let path = folder.join("caller.toml");
        let mut script: Self = read(&path)?;
        script.name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        script.folder = folder.to_path_buf();
        for (number, say) in script.say.iter_mut().chain(&mut script.talk).enumerate() {
            if say.file.is_some() == say.dtmf.is_some() {
                return Err(ScriptError::Utterance { path, number: number + 1 });
            }
            if let Some(file) = &say.file {
                say.samples = Some(audio(&folder.join(file))?);
            }
        }
        Ok(script)
    }

    /// Reads every caller below `folder`, by name.
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, ScriptError> {
        let fail = |source| ScriptError::Read { path: folder.to_path_buf(), source };
        let mut folders: Vec<PathBuf> =
            std::fs::read_dir(folder).map_err(fail)?.filter_map(|e| Some(e.ok()?.path())).collect();
        folders.retain(|f| f.join("caller.toml").is_file());
        folders.sort();
        folders.iter().map(|f| Self::load(f)).collect()
    }

    /// Samples of its noise, if it has any.
    pub(crate) fn noise(&self) -> Result<Option<Arc<[i16]>>, ScriptError> {
        self.noise.as_ref().map(|file| audio(&self.folder.join(file))).transpose()
    }
}

impl AgentScript {
    /// An agent that answers after `ring_ms`, listens to the briefing and accepts with 1.
    pub fn accepting(extension: &str, password: &str) -> Self {
        Self {
            extension: extension.into(),
            password: password.into(),
            on_ring: OnRing::Answer,
            ring_ms: default_ring(),
            press: default_press(),
            joins_at_briefing_end: false,
            talk: None,
            text: String::new(),
            voice: toml::Table::new(),
            talk_after_ms: default_talk_delay(),
            hang_up_after_ms: None,
            samples: None,
        }
    }

    /// Reads an agent's TOML file and its audio, which is named relative to it.
    pub fn load(path: &Path) -> Result<Self, ScriptError> {
        let mut script: Self = read(path)?;
        if let Some(talk) = &script.talk {
            script.samples = Some(audio(&path.parent().unwrap_or(Path::new("")).join(talk))?);
        }
        Ok(script)
    }

    /// Its ringing time.
    pub fn ring(&self) -> Duration {
        Duration::from_millis(self.ring_ms)
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ScriptError> {
    let text = std::fs::read_to_string(path).map_err(|source| ScriptError::Read { path: path.into(), source })?;
    toml::from_str(&text).map_err(|source| ScriptError::Toml { path: path.into(), source: Box::new(source) })
}

fn audio(path: &Path) -> Result<Arc<[i16]>, ScriptError> {
    let clip = baton_audio::load_clip(path).map_err(|source| ScriptError::Audio { path: path.into(), source })?;
    Ok(clip.samples().into())
}

fn default_to() -> String {
    "5000".into()
}

fn default_gap() -> u64 {
    700
}

fn default_ring() -> u64 {
    800
}

fn default_talk_delay() -> u64 {
    200
}

fn default_press() -> Vec<Press> {
    vec![Press { digit: '1', after_ms: None }]
}
