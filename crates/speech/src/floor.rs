//! The noise floor of one call, and the level of its caller. Pure: levels in, corrected probabilities out.
//!
//! Voice activity alone takes any voice for the caller's: a television, a colleague. What is hardly above the line's own
//! noise, or far below the caller's voice, is held for neither.

/// What is not above the floor by so much is not the caller, dB.
const ABOVE_FLOOR_DB: f32 = 3.0;
/// What is below the caller's own voice by so much is somebody behind, dB.
const BEHIND_DB: f32 = 24.0;
/// Probabilities a voice and its absence are learnt from.
const SURELY: f32 = 0.8;
const SURELY_NOT: f32 = 0.15;
/// The probability left to what is too soft: below what keeps a turn alive.
const TOO_SOFT: f32 = 0.2;
/// The floor is never held for higher: a line as loud as that is heard, noise and all. dB below full scale.
const HIGHEST_FLOOR_DB: f32 = -30.0;
const FIRST_FLOOR_DB: f32 = -65.0;
/// Windows with a sure voice after which the caller's level is known.
const KNOWN_AFTER: u32 = 30;

/// Follows one call.
#[derive(Debug)]
pub struct Floor {
    noise_db: f32,
    voice_db: f32,
    voiced: u32,
}

impl Default for Floor {
    fn default() -> Self {
        Self { noise_db: FIRST_FLOOR_DB, voice_db: 0.0, voiced: 0 }
    }
}

impl Floor {
    /// A window's samples and its probability of speech; the probability that the caller speaks.
    pub fn window(&mut self, samples: &[i16], probability: f32) -> f32 {
        let db = level_db(samples);
        if probability <= SURELY_NOT {
            // Down at once, up slowly: a cough is not the floor.
            let rate = if db < self.noise_db { 0.3 } else { 0.05 };
            self.noise_db = (self.noise_db + (db - self.noise_db) * rate).min(HIGHEST_FLOOR_DB);
        }
        let behind = self.voiced >= KNOWN_AFTER && db < self.voice_db - BEHIND_DB;
        if db < self.noise_db + ABOVE_FLOOR_DB || behind {
            return probability.min(TOO_SOFT);
        }
        if probability >= SURELY {
            self.voiced = self.voiced.saturating_add(1);
            // A mean at first, then a slow average: people move from the telephone.
            let rate = (1.0 / self.voiced as f32).max(0.01);
            self.voice_db += (db - self.voice_db) * rate;
        }
        probability
    }

    /// The line's noise, dB below full scale.
    pub fn noise_db(&self) -> f32 {
        self.noise_db
    }
}

/// RMS of the samples in dB below full scale; digital silence is -90.
fn level_db(samples: &[i16]) -> f32 {
    let mean = samples.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / samples.len().max(1) as f32;
    10.0 * (mean / 32_768f32.powi(2)).max(1e-9).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(level: i16) -> Vec<i16> {
        (0..256).map(|i| if i % 8 < 4 { level } else { -level }).collect()
    }

    #[test]
    fn the_floor_rises_with_the_lines_noise_and_never_above_a_voice() {
        let mut floor = Floor::default();
        for _ in 0..200 {
            floor.window(&square(300), 0.02);
        }
        assert!((-42.0..-39.0).contains(&floor.noise_db()), "{}", floor.noise_db());
        assert_eq!(floor.window(&square(3_000), 0.9), 0.9);
        assert_eq!(floor.window(&square(310), 0.9), 0.2, "no louder than the noise");
        for _ in 0..2_000 {
            floor.window(&square(8_000), 0.02);
        }
        assert_eq!(floor.noise_db(), -30.0);
        for _ in 0..20 {
            floor.window(&square(0), 0.02);
        }
        assert!(floor.noise_db() < -80.0, "a quiet line is learnt at once");
    }

    #[test]
    fn a_television_behind_the_caller_is_not_the_caller_and_a_soft_caller_is() {
        let mut floor = Floor::default();
        assert_eq!(floor.window(&square(100), 0.9), 0.9, "nobody is known yet");
        for _ in 0..60 {
            assert_eq!(floor.window(&square(4_000), 0.95), 0.95);
        }
        assert_eq!(floor.window(&square(150), 0.9), 0.2);
        assert_eq!(floor.window(&square(600), 0.9), 0.9, "the caller turned away");
    }
}
