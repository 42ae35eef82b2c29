//! Voice activity by Silero's 8 kHz model. One session for all ears, each with a state of its own; each window goes in
//! with the last 32 samples of the one before.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use baton_speech::VoiceActivity;
use ort::session::Session;
use ort::value::Tensor;
use tracing::error;

const OLD: usize = 32;
const NEW: usize = 256;
const STATE: usize = 2 * 128;

/// The model in memory.
pub struct Model(Arc<Mutex<Session>>);

impl Model {
    /// Loads it and runs it once.
    pub fn load(path: &Path) -> Result<Self, String> {
        let session = Session::builder()
            .and_then(|b| Ok(b.with_intra_threads(1)?))
            .and_then(|mut b| b.commit_from_file(path))
            .map_err(|e| e.to_string())?;
        let model = Self(Arc::new(Mutex::new(session)));
        model.ear().run(&[0; NEW]).map_err(|e| e.to_string())?;
        Ok(model)
    }

    /// One ear's voice activity.
    pub fn activity(&self) -> Box<dyn VoiceActivity> {
        Box::new(self.ear())
    }

    fn ear(&self) -> Silero {
        Silero { session: Arc::clone(&self.0), state: [0.0; STATE], input: [0.0; OLD + NEW], failed: false }
    }
}

struct Silero {
    session: Arc<Mutex<Session>>,
    state: [f32; STATE],
    input: [f32; OLD + NEW],
    failed: bool,
}

impl Silero {
    fn run(&mut self, window: &[i16; NEW]) -> ort::Result<f32> {
        self.input.copy_within(NEW.., 0);
        for (to, from) in self.input[OLD..].iter_mut().zip(window) {
            *to = f32::from(*from) / 32_768.0;
        }
        let input = Tensor::from_array(([1usize, OLD + NEW], self.input.to_vec()))?;
        let state = Tensor::from_array(([2usize, 1, 128], self.state.to_vec()))?;
        let rate = Tensor::from_array(([1usize], vec![8_000i64]))?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(ort::inputs!["input" => input, "state" => state, "sr" => rate])?;
        let (_, state) = outputs["stateN"].try_extract_tensor::<f32>()?;
        if state.len() == STATE {
            self.state.copy_from_slice(state);
        }
        let (_, probability) = outputs["output"].try_extract_tensor::<f32>()?;
        Ok(probability.first().copied().unwrap_or(0.0))
    }
}

impl VoiceActivity for Silero {
    fn probability(&mut self, window: &[i16; NEW]) -> f32 {
        self.run(window).unwrap_or_else(|e| {
            if !std::mem::replace(&mut self.failed, true) {
                error!(error = %e, "voice activity failed; this ear is deaf");
            }
            0.0
        })
    }

    fn reset(&mut self) {
        self.state.fill(0.0);
        self.input.fill(0.0);
    }
}
