//! What the contour of levels tells: loudness, pauses, and how fast somebody speaks.

use crate::pitch::{HOP_S, Pitch};

/// Quieter than the loud parts by this is a pause (N. H. de Jong & T. Wempe, "Praat script to detect syllable nuclei and measure
/// speech rate automatically", Behavior Research Methods 41, 2009).
const PAUSE_BELOW_DB: f32 = 25.0;
/// On a noisy line the pause is only as quiet as the line; this part of the way from its level to the voice's divides them.
const ABOVE_FLOOR: f32 = 0.3;
/// A shorter gap is a stop consonant.
const SHORTEST_PAUSE_S: f32 = 0.2;
/// Between two syllables the level dips at least so far (de Jong & Wempe).
const DIP_DB: f32 = 2.0;
/// Frames on each side that a syllable's level is averaged over. With it, the nuclei of the sample callers are as near to the
/// syllables of their texts as Praat's are (correlation 0.96 of both); more smoothing loses syllables.
const SYLLABLE_FRAMES: usize = 2;
/// The level of digital silence.
const SILENCE_DB: f32 = -100.0;

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Contour {
    /// Root mean square of the active frames, dBov.
    pub level_dbov: f32,
    /// From the 20th to the 80th percentile of the active frames, dB.
    pub level_range_db: f32,
    /// Seconds of speech: all but the pauses, and what is before and after.
    pub active_s: f32,
    /// Active frames that are voiced, over all active frames.
    pub voiced_ratio: f32,
    /// Pauses inside.
    pub pauses: u32,
    /// Their total.
    pub pause_s: f32,
    /// Syllable nuclei in a second of active speech.
    pub rate: f32,
}

/// `part` (0 to 1) of the way up the sorted values, between neighbours. 0 without values.
pub(crate) fn percentile(values: &mut [f32], part: f32) -> f32 {
    values.sort_by(f32::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let at = part * last as f32;
    let low = values[at as usize];
    let high = values[(at as usize + 1).min(last)];
    low + (high - low) * at.fract()
}

/// Measures. `None`: nothing but digital silence.
pub(crate) fn measure(mean_square: &[f32], pitch: &[Pitch]) -> Option<Contour> {
    let levels: Vec<f32> = mean_square.iter().map(|p| (10.0 * p.max(1e-10).log10()).max(SILENCE_DB)).collect();
    let mut sorted = levels.clone();
    let (loud, floor) = (percentile(&mut sorted, 0.95), percentile(&mut sorted, 0.05));
    if levels.is_empty() || loud <= SILENCE_DB {
        return None;
    }
    let divide = (loud - PAUSE_BELOW_DB).max(floor + ABOVE_FLOOR * (loud - floor));
    let mut active: Vec<bool> = levels.iter().map(|level| *level >= divide).collect();
    let (pauses, pause_s) = pauses(&mut active);
    let count = active.iter().filter(|a| **a).count();
    let power: f32 = mean_square.iter().zip(&active).filter(|(_, a)| **a).map(|(p, _)| *p).sum();
    let voiced = pitch.iter().zip(&active).filter(|(p, a)| **a && p.f0 > 0.0).count();
    let mut loudnesses: Vec<f32> = levels.iter().zip(&active).filter(|(_, a)| **a).map(|(l, _)| *l).collect();
    let active_s = count as f32 * HOP_S;
    Some(Contour {
        level_dbov: 10.0 * (power / count.max(1) as f32).max(1e-10).log10(),
        level_range_db: percentile(&mut loudnesses, 0.8) - percentile(&mut loudnesses, 0.2),
        active_s,
        voiced_ratio: voiced as f32 / count.max(1) as f32,
        pauses,
        pause_s,
        rate: nuclei(mean_square, &active, pitch) as f32 / active_s.max(HOP_S),
    })
}

/// How many gaps inside are pauses, and how long they are together. Shorter gaps are speech, and marked so.
fn pauses(active: &mut [bool]) -> (u32, f32) {
    let (mut count, mut total, mut gap, mut begun) = (0, 0.0, 0usize, false);
    for at in 0..active.len() {
        if !active[at] {
            gap += usize::from(begun);
            continue;
        }
        let seconds = gap as f32 * HOP_S;
        if seconds >= SHORTEST_PAUSE_S {
            count += 1;
            total += seconds;
        } else {
            active[at - gap..at].fill(true);
        }
        (gap, begun) = (0, true);
    }
    (count, total)
}

/// Counts voiced tops of the level with a dip before the next.
fn nuclei(mean_square: &[f32], active: &[bool], pitch: &[Pitch]) -> u32 {
    let smooth = smoothed(mean_square);
    let (mut count, mut valley, mut top): (u32, f32, Option<(f32, bool)>) = (0, f32::MAX, None);
    for (at, level) in smooth.iter().enumerate() {
        let voiced = active[at] && pitch.get(at).is_some_and(|p| p.f0 > 0.0);
        match top {
            // Climbing out of a valley.
            None if *level >= valley + DIP_DB => top = Some((*level, voiced)),
            None => valley = valley.min(*level),
            Some((height, _)) if *level > height => top = Some((*level, voiced)),
            Some((height, was_voiced)) if *level <= height - DIP_DB => {
                count += u32::from(was_voiced);
                (valley, top) = (*level, None);
            }
            Some(_) => {}
        }
    }
    count + u32::from(top.is_some_and(|(_, voiced)| voiced))
}

/// Levels, dB, under a Hann window of [`SYLLABLE_FRAMES`] on each side: what is shorter than a syllable is smoothed away.
fn smoothed(mean_square: &[f32]) -> Vec<f32> {
    let weight = |d: usize| 0.5 + 0.5 * (std::f32::consts::PI * d as f32 / SYLLABLE_FRAMES as f32).cos();
    let at = |at: usize| {
        let from = at.saturating_sub(SYLLABLE_FRAMES);
        let near = mean_square.iter().enumerate().skip(from).take_while(|(n, _)| *n <= at + SYLLABLE_FRAMES);
        let (sum, weights) = near.fold((0.0, 0.0), |(sum, weights), (n, power)| {
            let weight = weight(n.abs_diff(at));
            (sum + weight * power, weights + weight)
        });
        10.0 * f32::max(sum / weights, 1e-10).log10()
    };
    (0..mean_square.len()).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of 10 ms: `#` loud, `+` 6 dB below, `.` far below.
    fn frames(picture: &str) -> (Vec<f32>, Vec<Pitch>) {
        let level = |c| match c {
            '#' => 0.01,
            '+' => 0.0025,
            _ => 1e-7,
        };
        let pitch = |c| Pitch { f0: if c == '.' { 0.0 } else { 120.0 }, r: 0.9 };
        (picture.chars().map(level).collect(), picture.chars().map(pitch).collect())
    }

    #[test]
    fn syllables_are_tops_with_dips_between() {
        let (power, pitch) = frames(&format!("....{}....", "#######+++++".repeat(8)));
        let c = measure(&power, &pitch).unwrap();
        assert!((c.active_s - 0.96).abs() < 0.011, "{c:?}");
        assert!((c.rate - 8.0 / 0.96).abs() < 0.2, "{c:?}");
        assert_eq!((c.pauses, c.voiced_ratio), (0, 1.0));
    }

    #[test]
    fn a_pause_is_long_and_inside() {
        let (power, pitch) = frames(&format!(
            "{}{}{}{}{}{}{}",
            ".".repeat(50),
            "#".repeat(30),
            ".".repeat(10),
            "#".repeat(30),
            ".".repeat(40),
            "#".repeat(30),
            ".".repeat(60)
        ));
        let c = measure(&power, &pitch).unwrap();
        assert_eq!(c.pauses, 1);
        assert!((c.pause_s - 0.4).abs() < 0.001);
        assert!((c.active_s - 1.0).abs() < 0.011, "a short gap is speech: {}", c.active_s);
        assert!((c.level_dbov + 20.46).abs() < 0.1, "pauses do not count: {}", c.level_dbov);
    }

    #[test]
    fn silence_is_nothing_and_percentiles_interpolate() {
        assert_eq!(measure(&[0.0; 100], &[Pitch::default(); 100]), None);
        assert_eq!(measure(&[], &[]), None);
        assert_eq!(percentile(&mut [3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(percentile(&mut [1.0, 2.0], 0.25), 1.25);
        assert_eq!(percentile(&mut [], 0.5), 0.0);
    }
}
