//! The long-term average spectrum of the voiced frames, and how steeply it falls: a pressed or raised voice has more of its
//! power above 1 kHz (J. Sundberg & M. Nordenberg, "Effects of vocal loudness variation on spectrum balance as reflected by the
//! alpha measure", JASA 120, 2006). The bands end where the telephone's do, at 300 and 3,400 Hz.

use crate::pitch::{BINS, Pitch, RATE};

const LOW_HZ: f32 = 300.0;
const MIDDLE_HZ: f32 = 1_000.0;
const HIGH_HZ: f32 = 3_400.0;

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Slopes {
    /// 500 to 1,500 Hz, dB per kHz.
    pub low_db_khz: f32,
    /// 1,500 to 3,400 Hz, dB per kHz.
    pub high_db_khz: f32,
    /// Power from 1,000 to 3,400 Hz over that from 300 to 1,000 Hz, dB.
    pub alpha_db: f32,
    /// Highest level from 300 to 2,000 Hz less the highest from 2,000 to 3,400 Hz, dB.
    pub hammarberg_db: f32,
}

/// Averages the power spectra of the voiced frames. `None`: no voiced frame.
pub(crate) fn slopes(power: &[f32], pitch: &[Pitch]) -> Option<Slopes> {
    let mut mean = [0.0f64; BINS];
    for (frame, pitch) in power.chunks_exact(BINS).zip(pitch) {
        if pitch.f0 > 0.0 {
            for (sum, bin) in mean.iter_mut().zip(frame) {
                *sum += f64::from(*bin);
            }
        }
    }
    let total: f64 = mean.iter().sum();
    if total <= 0.0 {
        return None;
    }
    // Relative to the whole and never below -100 dB, so that an empty band has a level.
    let points: Vec<(f32, f32, f32)> = mean
        .iter()
        .enumerate()
        .map(|(bin, power)| {
            let part = (power / total).max(1e-10) as f32;
            (bin as f32 * RATE / (2 * (BINS - 1)) as f32, part, 10.0 * part.log10())
        })
        .collect();
    let band = |from: f32, to: f32| points.iter().filter(move |(hz, ..)| (from..to).contains(hz));
    let power_of = |from, to| band(from, to).map(|(_, part, _)| part).sum::<f32>();
    let top = |from, to| band(from, to).map(|(.., db)| *db).fold(f32::MIN, f32::max);
    Some(Slopes {
        low_db_khz: regression(band(500.0, 1_500.0)),
        high_db_khz: regression(band(1_500.0, HIGH_HZ)),
        alpha_db: 10.0 * (power_of(MIDDLE_HZ, HIGH_HZ) / power_of(LOW_HZ, MIDDLE_HZ)).log10(),
        hammarberg_db: top(LOW_HZ, 2_000.0) - top(2_000.0, HIGH_HZ),
    })
}

/// Least squares: dB per kHz.
fn regression<'a>(points: impl Iterator<Item = &'a (f32, f32, f32)> + Clone) -> f32 {
    let n = points.clone().count().max(1) as f32;
    let mean_x = points.clone().map(|(hz, ..)| hz / 1_000.0).sum::<f32>() / n;
    let mean_y = points.clone().map(|(.., db)| db).sum::<f32>() / n;
    let (mut xy, mut xx) = (0.0, 0.0);
    for (hz, _, db) in points {
        let x = hz / 1_000.0 - mean_x;
        xy += x * (db - mean_y);
        xx += x * x;
    }
    if xx > 0.0 { xy / xx } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(level_db: impl Fn(f32) -> f32) -> Slopes {
        let frame: Vec<f32> = (0..BINS).map(|bin| 10f32.powf(level_db(bin as f32 * 15.625) / 10.0)).collect();
        slopes(&frame, &[Pitch { f0: 100.0, r: 0.9 }]).unwrap()
    }

    #[test]
    fn a_straight_fall_has_its_slope_everywhere() {
        let s = of(|hz| -12.0 * hz / 1_000.0);
        assert!((s.low_db_khz + 12.0).abs() < 0.01 && (s.high_db_khz + 12.0).abs() < 0.01, "{s:?}");
        assert!((s.hammarberg_db - 12.0 * 1.7).abs() < 0.3, "{s:?}");
    }

    #[test]
    fn a_flat_spectrum_has_power_as_its_bands_are_wide() {
        let s = of(|_| -40.0);
        assert!((s.alpha_db - 10.0 * (2_400f32 / 700.0).log10()).abs() < 0.15, "{s:?}");
        assert!(s.low_db_khz.abs() < 0.01 && s.hammarberg_db.abs() < 0.01);
    }

    #[test]
    fn only_voiced_frames_count() {
        let mut power = vec![1.0; BINS];
        power.extend((0..BINS).map(|bin| if bin < 64 { 1.0 } else { 1e-6 }));
        let unvoiced_first = [Pitch::default(), Pitch { f0: 100.0, r: 0.9 }];
        assert!(slopes(&power, &unvoiced_first).unwrap().hammarberg_db > 50.0);
        assert_eq!(slopes(&power, &[Pitch::default(); 2]), None);
    }
}
