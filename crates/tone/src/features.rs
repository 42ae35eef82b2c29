//! The features of one utterance.

use crate::contour::{self, percentile};
use crate::pitch::{self, HOP_S, RATE};
use crate::{pulses, spectrum};

/// Voice that an utterance must hold to be measured. A "yes" tells nothing of its speaker's state.
pub const LEAST_VOICED_S: f32 = 1.0;

/// Only so much of the end of a long utterance is measured, so that the cost of one is bounded.
pub const LONGEST_S: f32 = 30.0;

/// What an utterance's sound tells, in the units of the trade. All of them but [`level_dbov`](Features::level_dbov) are the
/// same whatever the line's gain.
///
/// References: F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for voice research and affective
/// computing", IEEE Trans. Affective Computing 7, 2016, for the choice; P. Boersma 1993 for F0 and HNR; N. de Jong & T. Wempe
/// 2009 for rate and pauses. Bands are cut to the telephone's 300 to 3,400 Hz. Every one but level range, voiced ratio and
/// pauses is compared with Praat in `tests/praat.rs`.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Features {
    /// How long the audio is, s.
    pub duration_s: f32,
    /// How much of it is voiced, s; at least [`LEAST_VOICED_S`].
    pub voiced_s: f32,
    /// Root mean square of the speech without its pauses, dBov: relative to 32,768 (ITU-T G.100.1), so that a full-scale sine
    /// has -3.01.
    pub level_dbov: f32,
    /// Spread of the level from syllable to syllable: 20th to 80th percentile, dB.
    pub level_range_db: f32,
    /// Median of the fundamental frequency, Hz.
    pub f0_hz: f32,
    /// Its standard deviation, semitones.
    pub f0_sd_st: f32,
    /// Its range from the 20th to the 80th percentile, semitones.
    pub f0_range_st: f32,
    /// Slope of the voiced long-term spectrum from 500 to 1,500 Hz, dB per kHz.
    pub slope_low_db_khz: f32,
    /// The same from 1,500 to 3,400 Hz.
    pub slope_high_db_khz: f32,
    /// Alpha ratio: power from 1,000 to 3,400 Hz over that from 300 to 1,000 Hz, dB. Higher: a more pressed voice.
    pub alpha_db: f32,
    /// Hammarberg index: the highest level from 300 to 2,000 Hz over the highest from 2,000 to 3,400 Hz, dB.
    pub hammarberg_db: f32,
    /// Mean difference of neighbouring periods over the mean period ("local"); 0.01 is one percent. 0: too few periods.
    pub jitter: f32,
    /// Mean difference of neighbouring periods' amplitudes ("local"), dB. 0: too few periods.
    pub shimmer_db: f32,
    /// Harmonics-to-noise ratio, mean over the voiced frames, dB.
    pub hnr_db: f32,
    /// Syllable nuclei in a second of speech without its pauses: a proxy of the articulation rate.
    pub rate_hz: f32,
    /// The voiced part of the speech without its pauses, 0 to 1.
    pub voiced_ratio: f32,
    /// Pauses of at least 0.2 s inside.
    pub pauses: u32,
    /// Their total, s.
    pub pause_s: f32,
}

impl Features {
    /// Measures an utterance: voice-gated audio of the caller alone, 8 kHz. `None`: it holds less than [`LEAST_VOICED_S`] of
    /// voice. Takes one or two milliseconds for each second of audio and allocates: not for an audio thread.
    pub fn of(pcm: &[i16]) -> Option<Self> {
        let end = pcm.len().saturating_sub((LONGEST_S * RATE) as usize);
        let x: Vec<f32> = pcm.iter().skip(end).map(|s| f32::from(*s) / 32_768.0).collect();
        let analysis = pitch::analyse(&x)?;
        let mut tones: Vec<f32> =
            analysis.pitch.iter().filter(|p| p.f0 > 0.0).map(|p| 12.0 * (p.f0 / 100.0).log2()).collect();
        let voiced = tones.len() as f32;
        if voiced * HOP_S < LEAST_VOICED_S - 0.5 * HOP_S {
            return None;
        }
        let contour = contour::measure(&analysis.mean_square, &analysis.pitch)?;
        let slopes = spectrum::slopes(&analysis.power, &analysis.pitch)?;
        let unevenness = pulses::unevenness(&x, &analysis.pitch);
        let mean_tone = tones.iter().sum::<f32>() / voiced;
        let variance = tones.iter().map(|t| (t - mean_tone).powi(2)).sum::<f32>() / voiced;
        // A ratio of periodic to other power; what is perfectly periodic to this arithmetic has 60 dB.
        let harmonic = |r: f32| 10.0 * (r / (1.0 - r).max(1e-6)).max(1e-6).log10();
        let hnr = analysis.pitch.iter().filter(|p| p.f0 > 0.0).map(|p| harmonic(p.r)).sum::<f32>() / voiced;
        Some(Self {
            duration_s: x.len() as f32 / RATE,
            voiced_s: voiced * HOP_S,
            level_dbov: contour.level_dbov,
            level_range_db: contour.level_range_db,
            f0_hz: 100.0 * (percentile(&mut tones, 0.5) / 12.0).exp2(),
            f0_sd_st: variance.sqrt(),
            f0_range_st: percentile(&mut tones, 0.8) - percentile(&mut tones, 0.2),
            slope_low_db_khz: slopes.low_db_khz,
            slope_high_db_khz: slopes.high_db_khz,
            alpha_db: slopes.alpha_db,
            hammarberg_db: slopes.hammarberg_db,
            jitter: unevenness.map_or(0.0, |u| u.jitter),
            shimmer_db: unevenness.map_or(0.0, |u| u.shimmer_db),
            hnr_db: hnr,
            rate_hz: contour.rate,
            voiced_ratio: contour.voiced_ratio,
            pauses: contour.pauses,
            pause_s: contour.pause_s,
        })
    }
}

#[cfg(test)]
#[path = "features_tests.rs"]
mod tests;
