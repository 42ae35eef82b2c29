//! The speaker's own voice when calm, and how far an utterance is from it.

use crate::Features;
use crate::config::ToneConfig;
use crate::contour::percentile;

/// Cues, in the order of [`ToneConfig::cues`].
pub(crate) const CUES: usize = 6;
pub(crate) const LEVEL: usize = 0;
pub(crate) const PITCH: usize = 1;
pub(crate) const MELODY: usize = 2;
pub(crate) const PRESS: usize = 3;
pub(crate) const RATE: usize = 4;
pub(crate) const ROUGH: usize = 5;

/// A change of a cue beyond twice its full size counts no more.
const MOST: f32 = 1.5;
/// Counts against, at most: a voice that is softer than at the start.
const LEAST: f32 = -0.5;
/// A cue is plain from this on.
pub(crate) const PLAIN: f32 = 0.33;

const MOST_MELODY_ST: f32 = 6.0;

/// The population's calm telephone speech: mean and standard deviation of melody (semitones), alpha ratio (dB), rate
/// (syllables a second). Level and pitch have no place here: a line's gain and a speaker's size say nothing of a mood. From what
/// the literature gives for read and spontaneous speech (F0 SD 2 to 4 semitones, 3.3 to 5.9 syllables a second), widened; alpha
/// as the sample callers have it in the telephone's bands.
const POPULATION: [(usize, f32, f32); 3] = [(MELODY, 3.0, 1.2), (PRESS, -8.0, 3.5), (RATE, 4.5, 0.8)];

/// The cues of an utterance, in their units.
pub(crate) type Cues = [f32; CUES];

/// `None`: no features, or numbers no voice has (they come from outside this crate).
pub(crate) fn cues(features: &Features) -> Option<Cues> {
    let f = features;
    let cues = [
        f.level_dbov,
        12.0 * (f.f0_hz / 100.0).log2(),
        // More than any voice has comes of frames an octave off (creak, noise).
        f.f0_sd_st.clamp(0.0, MOST_MELODY_ST),
        f.alpha_db,
        f.rate_hz,
        // Downwards is rougher.
        -f.hnr_db,
    ];
    cues.iter().all(|c| c.is_finite() && c.abs() < 1_000.0).then_some(cues)
}

/// The running median of the first calm utterances.
#[derive(Debug, Clone, Default)]
pub(crate) struct Baseline {
    calm: Vec<Cues>,
    /// Lively utterances without a complaint, while there is no baseline yet.
    lively: usize,
}

/// How far an utterance is from calm.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Distance {
    /// The changes, in their units.
    pub change: Cues,
    /// Each of them from 0 (calm) to 1 (as in anger).
    pub part: Cues,
    /// All together, 0 to 1.5: arousal.
    pub arousal: f32,
    /// How much the baseline is to be believed, 0 to 1.
    pub trust: f32,
}

impl Baseline {
    /// The distance of an utterance from what is known.
    pub fn distance(&self, cues: &Cues, config: &ToneConfig) -> Distance {
        if self.calm.is_empty() {
            return Distance::default();
        }
        let mut distance = Distance { trust: (0.4 + 0.2 * self.calm.len() as f32).min(1.0), ..Distance::default() };
        let (mut sum, mut weights) = (0.0, 0.0);
        for (at, (_, cue)) in config.cues().iter().enumerate() {
            let mut known: Vec<f32> = self.calm.iter().map(|c| c[at]).collect();
            let change = cues[at] - percentile(&mut known, 0.5);
            let beyond = (change.abs() - cue.still).max(0.0) * change.signum();
            let part = (beyond / (cue.full - cue.still)).clamp(LEAST, MOST);
            (distance.change[at], distance.part[at]) = (change, part);
            sum += cue.weight * part;
            weights += cue.weight;
        }
        distance.arousal = (sum / weights).max(0.0);
        // One cue alone is a hand on the receiver, a question's melody or a better line. A raised voice has two of the three.
        if [LEVEL, PITCH, PRESS].iter().filter(|at| distance.part[**at] >= PLAIN).count() < 2 {
            distance.arousal *= 0.5;
        }
        distance
    }

    /// How lively a voice is beside the population's, 0 to 1. For callers who start angry; the gain of the line has no part in it.
    pub fn absolute(cues: &Cues) -> f32 {
        let parts = POPULATION.map(|(at, mean, sd)| ((cues[at] - mean) / (2.0 * sd)).clamp(LEAST, MOST));
        let mean = parts.iter().sum::<f32>() / parts.len() as f32;
        ((mean - 0.4) / 0.6).clamp(0.0, 1.0)
    }

    /// Learns from an utterance, if it is among the first and calm. `calm`: the score is low; `plain`: nothing in words or turns
    /// tells of trouble.
    pub fn learn(&mut self, cues: &Cues, calm: bool, plain: bool, config: &ToneConfig) {
        if self.calm.len() >= config.baseline.clamp(1, 9) {
            return;
        }
        let lively = self.calm.is_empty() && Self::absolute(cues) > 0.25;
        if calm && !lively {
            self.calm.push(*cues);
        } else if plain && self.calm.is_empty() {
            // Nobody complains for minutes and speaks like that: it is how this person speaks.
            self.lively += 1;
            if self.lively >= config.patience {
                self.calm.push(*cues);
            }
        }
    }
}
