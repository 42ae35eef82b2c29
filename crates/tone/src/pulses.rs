//! Glottal periods, one after the other: how evenly they follow (jitter) and how equally strong they are (shimmer).
//!
//! From a strong point in each voiced stretch one walks left and right, each time to where the last period's waveform fits
//! best between 0.8 and 1.25 periods away. Samples are 125 µs apart, a third of the periods' usual unevenness, so this is done
//! on a signal of four times the rate, with a parabola between its points.

use crate::pitch::{FRAME, HOP, Pitch};

/// Times the telephone's rate.
const FINER: usize = 4;
/// Taps of the interpolation filter on each side, at the telephone's rate.
const TAPS: usize = 16;
/// Correlation below which a period has no neighbour.
const LEAST_FIT: f32 = 0.5;
/// Neighbouring periods, or their amplitudes, that differ by more are not a voice's unevenness but an error of this walk.
const MOST_PERIOD_FACTOR: f32 = 1.3;
const MOST_AMPLITUDE_FACTOR: f32 = 1.6;
/// A voiced stretch of fewer frames is left out.
const FEWEST_FRAMES: usize = 4;
/// Fewer pairs of periods say nothing.
const FEWEST_PAIRS: usize = 10;

/// Unevenness of the periods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Unevenness {
    /// Mean difference of neighbouring periods over the mean period: "jitter (local)".
    pub jitter: f32,
    /// Mean difference of neighbouring periods' amplitudes, dB: "shimmer (local, dB)".
    pub shimmer_db: f32,
}

/// Measures it. `None`: too few periods.
pub(crate) fn unevenness(x: &[f32], pitch: &[Pitch]) -> Option<Unevenness> {
    let fine = interpolate(x);
    let mut sums = Sums::default();
    for (first, last) in stretches(pitch) {
        let walk = Walk { fine: &fine, pitch, from: first * HOP * FINER, to: (last * HOP + FRAME) * FINER };
        sums.add(&walk.periods(first, last));
    }
    (sums.period_pairs >= FEWEST_PAIRS && sums.amplitude_pairs >= FEWEST_PAIRS).then(|| Unevenness {
        jitter: sums.period_steps / sums.period_pairs as f32 / (sums.periods / sums.count as f32),
        shimmer_db: sums.amplitude_steps_db / sums.amplitude_pairs as f32,
    })
}

/// First and last frame of each voiced stretch.
fn stretches(pitch: &[Pitch]) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let mut start = None;
    for (at, voiced) in pitch.iter().map(|p| p.f0 > 0.0).chain([false]).enumerate() {
        match (start, voiced) {
            (None, true) => start = Some(at),
            (Some(first), false) => {
                if at - first >= FEWEST_FRAMES {
                    all.push((first, at - 1));
                }
                start = None;
            }
            _ => {}
        }
    }
    all
}

#[derive(Default)]
struct Sums {
    periods: f32,
    count: usize,
    period_steps: f32,
    period_pairs: usize,
    amplitude_steps_db: f32,
    amplitude_pairs: usize,
}

/// A period: its length in fine samples, its amplitude.
#[derive(Clone, Copy)]
struct Period {
    length: f32,
    amplitude: f32,
}

impl Sums {
    fn add(&mut self, periods: &[Period]) {
        self.periods += periods.iter().map(|p| p.length).sum::<f32>();
        self.count += periods.len();
        for pair in periods.windows(2) {
            let &[a, b] = pair else { continue };
            if a.length.max(b.length) > MOST_PERIOD_FACTOR * a.length.min(b.length) {
                continue;
            }
            self.period_steps += (a.length - b.length).abs();
            self.period_pairs += 1;
            let (weak, strong) = (a.amplitude.min(b.amplitude), a.amplitude.max(b.amplitude));
            if weak > 0.0 && strong <= MOST_AMPLITUDE_FACTOR * weak {
                self.amplitude_steps_db += 20.0 * (strong / weak).log10();
                self.amplitude_pairs += 1;
            }
        }
    }
}

struct Walk<'a> {
    fine: &'a [f32],
    pitch: &'a [Pitch],
    from: usize,
    to: usize,
}

impl Walk<'_> {
    fn periods(&self, first: usize, last: usize) -> Vec<Period> {
        let middle = (first + last) / 2 * HOP * FINER + FRAME * FINER / 2;
        let Some(expected) = self.expected(middle) else { return Vec::new() };
        let half = (expected / 2.0) as usize;
        let around = middle.saturating_sub(half)..(middle + half).min(self.fine.len());
        let strongest = around.max_by(|a, b| self.fine[*a].abs().total_cmp(&self.fine[*b].abs())).unwrap_or(middle);
        let mut periods = self.go(strongest, -1);
        periods.reverse();
        periods.extend(self.go(strongest, 1));
        periods
    }

    /// Walks from pulse to pulse, as long as there is one. The position walked to is rounded, the period is not: each is
    /// measured from a position of its own, so that rounding does not look like jitter.
    fn go(&self, start: usize, direction: isize) -> Vec<Period> {
        let mut periods = Vec::new();
        let mut at = start;
        while let Some(expected) = self.expected(at)
            && let Some(length) = self.neighbour(at, expected, direction)
        {
            let Some(next) = at.checked_add_signed((length.round() as isize) * direction) else { break };
            if next < self.from || next >= self.to {
                break;
            }
            periods.push(Period { length, amplitude: self.amplitude(next, length) });
            at = next;
        }
        periods
    }

    /// The pitch track's period at a fine sample.
    fn expected(&self, at: usize) -> Option<f32> {
        let frame = (at / FINER).checked_sub(FRAME / 2 - HOP / 2).map_or(0, |s| s / HOP).min(self.pitch.len() - 1);
        // At the ends of a stretch the nearest frame may be one without a voice; its neighbour has one.
        [frame, frame.saturating_sub(1), frame + 1]
            .iter()
            .filter_map(|f| self.pitch.get(*f))
            .find(|p| p.f0 > 0.0)
            .map(|p| FINER as f32 * crate::pitch::RATE / p.f0)
    }

    /// How far the best copy of the period around `at` is, in fine samples.
    fn neighbour(&self, at: usize, expected: f32, direction: isize) -> Option<f32> {
        let half = (expected / 2.0) as usize;
        let (shortest, longest) = ((expected * 0.8) as usize, (expected * 1.25) as usize + 1);
        let reach = longest + half + FINER;
        if at < reach || at + reach >= self.fine.len() {
            return None;
        }
        let here = &self.fine[at - half..=at + half];
        let fit = |lag: usize, step: usize| {
            let there = if direction < 0 { at - lag } else { at + lag };
            correlation(here, &self.fine[there - half..=there + half], step)
        };
        let coarse =
            (shortest..=longest).step_by(2).map(|lag| (lag, fit(lag, FINER))).max_by(|a, b| a.1.total_cmp(&b.1))?;
        let near = coarse.0.saturating_sub(3)..=coarse.0 + 3;
        let (lag, best) = near.map(|lag| (lag, fit(lag, 1))).max_by(|a, b| a.1.total_cmp(&b.1))?;
        if best < LEAST_FIT {
            return None;
        }
        let (left, right) = (fit(lag - 1, 1), fit(lag + 1, 1));
        let bend = left - 2.0 * best + right;
        let shift = if bend < 0.0 { (0.5 * (left - right) / bend).clamp(-0.5, 0.5) } else { 0.0 };
        Some(lag as f32 + shift)
    }

    /// Hann-weighted root mean square of the period around a pulse.
    fn amplitude(&self, at: usize, length: f32) -> f32 {
        let half = (length / 2.0).max(1.0);
        let (mut sum, mut weights) = (0.0, 0.0);
        let reach = half as usize;
        let around = self.fine.iter().enumerate().take(at + reach + 1).skip(at.saturating_sub(reach));
        for (n, s) in around {
            let weight = 0.5 + 0.5 * (std::f32::consts::PI * (n as f32 - at as f32) / half).cos();
            sum += weight * s * s;
            weights += weight;
        }
        if weights > 0.0 { (sum / weights).sqrt() } else { 0.0 }
    }
}

/// Normalised correlation, over every `step`th sample.
fn correlation(a: &[f32], b: &[f32], step: usize) -> f32 {
    let (mut ab, mut aa, mut bb) = (0.0f32, 0.0f32, 0.0f32);
    for (x, y) in a.iter().zip(b).step_by(step) {
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    let norm = (aa * bb).sqrt();
    if norm > 0.0 { ab / norm } else { 0.0 }
}

/// The signal at [`FINER`] times its rate: a windowed sinc between the samples.
fn interpolate(x: &[f32]) -> Vec<f32> {
    let phases: Vec<[f32; 2 * TAPS]> = (1..FINER)
        .map(|phase| {
            let offset = phase as f32 / FINER as f32;
            std::array::from_fn(|tap| {
                let t = tap as f32 - (TAPS as f32 - 1.0) - offset;
                let window = 0.5 + 0.5 * (std::f32::consts::PI * t / (TAPS as f32 + 1.0)).cos();
                window * (std::f32::consts::PI * t).sin() / (std::f32::consts::PI * t)
            })
        })
        .collect();
    let mut padded = vec![0.0; x.len() + 2 * TAPS];
    padded[TAPS - 1..TAPS - 1 + x.len()].copy_from_slice(x);
    let mut fine = Vec::with_capacity(x.len() * FINER);
    for near in padded.windows(2 * TAPS).take(x.len()) {
        fine.push(near[TAPS - 1]);
        fine.extend(phases.iter().map(|taps| near.iter().zip(taps).map(|(s, t)| s * t).sum::<f32>()));
    }
    fine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_the_samples_lies_the_same_wave() {
        let wave = |t: f32| (t * 0.7).sin() + 0.3 * (t * 1.9 + 1.0).cos();
        let x: Vec<f32> = (0..400).map(|n| wave(n as f32)).collect();
        let fine = interpolate(&x);
        assert_eq!(fine.len(), 1_600);
        for (n, is) in fine.iter().enumerate().take(1_500).skip(100) {
            let should = wave(n as f32 / 4.0);
            assert!((is - should).abs() < 0.01, "at {n}: {is} for {should}");
        }
    }

    #[test]
    fn voiced_stretches_are_found_to_the_end() {
        let voiced = |pattern: &str| -> Vec<Pitch> {
            pattern.chars().map(|c| Pitch { f0: if c == 'v' { 100.0 } else { 0.0 }, r: 0.9 }).collect()
        };
        assert_eq!(stretches(&voiced("..vvvv..vv.vvvvv")), [(2, 5), (11, 15)]);
        assert_eq!(stretches(&[]), []);
    }
}
