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
/// The level of digital silence.
const SILENCE_DB: f32 = -100.0;

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Contour {
    /// Root mean square of the active frames, dBov.
    pub level_dbov: f32,
    /// From the 20th to the 80th percentile of the active frames, dB.
    pub level_range_db: f32,
    /// Active seconds.
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
    let active: Vec<bool> = levels.iter().map(|level| *level >= divide).collect();
    let count = active.iter().filter(|a| **a).count();
    let power: f32 = mean_square.iter().zip(&active).filter(|(_, a)| **a).map(|(p, _)| *p).sum();
    let voiced = pitch.iter().zip(&active).filter(|(p, a)| **a && p.f0 > 0.0).count();
    let mut loudnesses: Vec<f32> = levels.iter().zip(&active).filter(|(_, a)| **a).map(|(l, _)| *l).collect();
    let active_s = count as f32 * HOP_S;
    let (pauses, pause_s) = pauses(&active);
    Some(Contour {
        level_dbov: 10.0 * (power / count.max(1) as f32).max(1e-10).log10(),
        level_range_db: percentile(&mut loudnesses, 0.8) - percentile(&mut loudnesses, 0.2),
        active_s,
        voiced_ratio: voiced as f32 / count.max(1) as f32,
        pauses,
        pause_s,
        rate: nuclei(&levels, &active, pitch) as f32 / active_s.max(HOP_S),
    })
}

/// How many gaps there are inside, and how long they are together.
fn pauses(active: &[bool]) -> (u32, f32) {
    let inner = active.iter().skip_while(|a| !**a);
    let (mut count, mut total, mut gap) = (0, 0.0, 0u32);
    for on in inner {
        if !on {
            gap += 1;
            continue;
        }
        let seconds = gap as f32 * HOP_S;
        if seconds >= SHORTEST_PAUSE_S {
            count += 1;
            total += seconds;
        }
        gap = 0;
    }
    (count, total)
}

/// Counts voiced tops of the level with a dip before the next.
fn nuclei(levels: &[f32], active: &[bool], pitch: &[Pitch]) -> u32 {
    let smooth: Vec<f32> = (0..levels.len())
        .map(|at| {
            let near = &levels[at.saturating_sub(1)..(at + 2).min(levels.len())];
            near.iter().sum::<f32>() / near.len() as f32
        })
        .collect();
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
        assert!((c.level_dbov + 20.0).abs() < 0.1, "pauses do not count: {}", c.level_dbov);
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
