//! Voice activity by Silero's 8 kHz model: each window goes in with the last 32 samples of the one before.

use std::sync::Arc;

use baton_speech::VoiceActivity;
use ort::session::Session;
use ort::value::Tensor;

pub struct Silero {
    session: Session,
    state: Vec<f32>,
    input: [f32; 288],
}

impl Silero {
    pub fn load(model: &[u8]) -> Result<Self, String> {
        let session = Session::builder()
            .and_then(|b| Ok(b.with_intra_threads(1)?))
            .and_then(|mut b| b.commit_from_memory(model))
            .map_err(|e| e.to_string())?;
        Ok(Self { session, state: vec![0.0; 256], input: [0.0; 288] })
    }

    fn run(&mut self, window: &[i16; 256]) -> ort::Result<f32> {
        self.input.copy_within(256.., 0);
        for (to, from) in self.input[32..].iter_mut().zip(window) {
            *to = f32::from(*from) / 32_768.0;
        }
        let input = Tensor::from_array(([1usize, 288], self.input.to_vec()))?;
        let state = Tensor::from_array(([2usize, 1, 128], self.state.clone()))?;
        let rate = Tensor::from_array(([1usize], vec![8_000i64]))?;
        let outputs = self.session.run(ort::inputs!["input" => input, "state" => state, "sr" => rate])?;
        let (_, probability) = outputs["output"].try_extract_tensor::<f32>()?;
        let probability = probability.first().copied().unwrap_or(0.0);
        let (_, state) = outputs["stateN"].try_extract_tensor::<f32>()?;
        self.state.copy_from_slice(state);
        Ok(probability)
    }
}

impl VoiceActivity for Silero {
    fn probability(&mut self, window: &[i16; 256]) -> f32 {
        self.run(window).unwrap_or(0.0)
    }

    fn reset(&mut self) {
        self.state.fill(0.0);
        self.input.fill(0.0);
    }
}

/// One for an ear. The model was loaded once at start, so this cannot fail for its sake; out of memory, nothing is heard.
pub fn activity(model: &Arc<Vec<u8>>) -> Box<dyn VoiceActivity> {
    match Silero::load(model) {
        Ok(silero) => Box::new(silero),
        Err(e) => {
            tracing::error!(error = e, "voice activity could not be loaded for a call");
            Box::new(Deaf)
        }
    }
}

struct Deaf;

impl VoiceActivity for Deaf {
    fn probability(&mut self, _window: &[i16; 256]) -> f32 {
        0.0
    }
    fn reset(&mut self) {}
}
