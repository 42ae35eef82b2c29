//! Sentence embeddings by MiniLM (all-MiniLM-L6-v2, int8), through onnxruntime: what `baton-intake` compares utterances
//! with an intent's examples by. A leaf: nothing but the gateway and tests links it.
//!
//! What must always hold: no sentence makes it fail loudly; where the model cannot answer it answers nothing, and the
//! flow's phrases decide.

#![warn(missing_docs)]

mod wordpiece;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use baton_intake::Embedder;
use ort::session::Session;
use ort::value::Tensor;

pub use wordpiece::Vocabulary;

/// Longer sentences are cut; a caller's turn hardly has as many pieces.
const MOST_PIECES: usize = 128;

/// The model and its words.
pub struct MiniLm {
    vocabulary: Vocabulary,
    /// One runs one sentence at a time.
    sessions: Vec<Mutex<Session>>,
}

/// Why the model is not there.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing.
    #[error("{what} is missing: {path}\n    run: baton models fetch", path = .path.display())]
    Missing {
        /// What it is.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// A file is there and cannot be used.
    #[error("{what} cannot be loaded from {path}: {cause}\n    check it with: baton models verify", path = .path.display())]
    Unusable {
        /// What it is.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The engine's word.
        cause: String,
    },
}

/// Loads the onnxruntime library; before [`MiniLm::load`], unless other engines have done so in this process.
pub fn runtime(library: &Path) -> Result<(), LoadError> {
    const WHAT: &str = "the onnxruntime library";
    // Checked first: its loader hangs without a word where the library is not.
    if !library.exists() {
        return Err(LoadError::Missing { what: WHAT, path: library.into() });
    }
    let unusable = |e: ort::Error| LoadError::Unusable { what: WHAT, path: library.into(), cause: e.to_string() };
    ort::init_from(library).map_err(unusable)?.commit();
    Ok(())
}

impl MiniLm {
    /// Loads the model (`.onnx`) and its vocabulary (one piece a line). `workers` sentences are embedded at a time, each on
    /// one thread; a worker takes about 30 MB.
    pub fn load(model: &Path, vocabulary: &Path, workers: usize) -> Result<Self, LoadError> {
        for (what, path) in [("the embedding model", model), ("the embedding model's vocabulary", vocabulary)] {
            if !path.exists() {
                return Err(LoadError::Missing { what, path: path.into() });
            }
        }
        let text = std::fs::read_to_string(vocabulary).map_err(|e| LoadError::Unusable {
            what: "the embedding model's vocabulary",
            path: vocabulary.into(),
            cause: e.to_string(),
        })?;
        let words = Vocabulary::new(&text).ok_or_else(|| LoadError::Unusable {
            what: "the embedding model's vocabulary",
            path: vocabulary.into(),
            cause: "it has no [CLS], [SEP] and [UNK]".into(),
        })?;
        let session = || {
            Session::builder()
                .and_then(|b| Ok(b.with_intra_threads(1)?))
                .and_then(|mut b| b.commit_from_file(model))
                .map_err(|e| LoadError::Unusable {
                    what: "the embedding model",
                    path: model.into(),
                    cause: e.to_string(),
                })
        };
        let sessions = (0..workers.max(1)).map(|_| session().map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Self { vocabulary: words, sessions })
    }

    fn run(session: &mut Session, pieces: &[i64]) -> ort::Result<Vec<f32>> {
        let n = pieces.len();
        let ids = Tensor::from_array(([1usize, n], pieces.to_vec()))?;
        let mask = Tensor::from_array(([1usize, n], vec![1_i64; n]))?;
        let kinds = Tensor::from_array(([1usize, n], vec![0_i64; n]))?;
        let outputs =
            session.run(ort::inputs!["input_ids" => ids, "attention_mask" => mask, "token_type_ids" => kinds])?;
        let (_, states) = outputs["last_hidden_state"].try_extract_tensor::<f32>()?;
        Ok(mean(states, n))
    }
}

impl Embedder for MiniLm {
    fn embed(&self, sentence: &str) -> Option<Vec<f32>> {
        let pieces = self.vocabulary.pieces(sentence, MOST_PIECES);
        let free = self.sessions.iter().find_map(|s| s.try_lock().ok());
        let mut session = match free {
            Some(session) => session,
            None => self.sessions.first()?.lock().ok()?,
        };
        Self::run(&mut session, &pieces).ok().filter(|v| !v.is_empty() && v.iter().all(|x| x.is_finite()))
    }
}

/// The mean of the pieces' states, at unit length.
fn mean(states: &[f32], pieces: usize) -> Vec<f32> {
    let width = states.len().checked_div(pieces).unwrap_or(0);
    let mut out = vec![0.0_f32; width];
    for state in states.chunks_exact(width.max(1)) {
        out.iter_mut().zip(state).for_each(|(o, s)| *o += s);
    }
    let length = out.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    out.iter_mut().for_each(|x| *x /= length);
    out
}
