//! The pitch track: fundamental frequency and periodicity every 10 ms.
//!
//! The method is P. Boersma, "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a
//! sampled sound", IFA Proceedings 17 (1993): the autocorrelation of a Hann-windowed frame divided by that of the window, its
//! peaks as candidates, and the cheapest path through them. It needs no energy at the fundamental itself, which a telephone
//! line (300 to 3,400 Hz) does not carry for most voices. The numbers below are that paper's and Praat's defaults.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use crate::contour::percentile;

/// Between frames: 10 ms.
pub(crate) const HOP: usize = 80;
/// A frame: three periods of the lowest voice, 40 ms.
pub(crate) const FRAME: usize = 320;
/// Seconds between frames.
pub(crate) const HOP_S: f32 = 0.01;
/// Samples a second.
pub(crate) const RATE: f32 = 8_000.0;

/// The frame and half a frame of zeros, so that lags up to the longest period do not wrap.
const FFT: usize = 512;
/// The autocorrelation is wanted between samples too: a period of 13 samples is not measured by whole ones.
const FINER: usize = 4;
const LAGS: usize = FFT * FINER;
/// Bins of one frame's power spectrum; bin `k` is at `k * RATE / 512` Hz.
pub(crate) const BINS: usize = FFT / 2 + 1;

const FLOOR_HZ: f32 = 75.0;
const CEILING_HZ: f32 = 600.0;
/// The longest period, in samples; half of it on each side of a frame's middle is where its peak is looked for.
const LONGEST: usize = 107;
const SILENCE: f32 = 0.03;
const VOICING: f32 = 0.45;
const OCTAVE_COST: f32 = 0.01;
const JUMP_COST: f32 = 0.35;
const VOICED_UNVOICED_COST: f32 = 0.14;
const CANDIDATES: usize = 14;

/// One frame of the track.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pitch {
    /// Hz; 0 where there is no voice.
    pub f0: f32,
    /// Height of the autocorrelation at the period, 0 to 1: the periodic part of the power.
    pub r: f32,
}

/// What the frames of an utterance hold. All three are of one length, and [`Analysis::power`] of [`BINS`] times it.
pub(crate) struct Analysis {
    /// The track.
    pub pitch: Vec<Pitch>,
    /// Mean square of the windowed samples, full scale 1.
    pub mean_square: Vec<f32>,
    /// Power spectra, one after the other.
    pub power: Vec<f32>,
}

#[derive(Clone, Copy)]
struct Candidate {
    f0: f32,
    r: f32,
    strength: f32,
}

/// Analyses samples of full scale 1. `None`: shorter than a frame.
pub(crate) fn analyse(x: &[f32]) -> Option<Analysis> {
    if x.len() < FRAME {
        return None;
    }
    let frames = (x.len() - FRAME) / HOP + 1;
    let mean = x.iter().sum::<f32>() / x.len() as f32;
    let global_peak = x.iter().map(|s| (s - mean).abs()).fold(0.0, f32::max);
    let mut spectra = Spectra::new();
    let mut analysis = Analysis {
        pitch: Vec::with_capacity(frames),
        mean_square: Vec::with_capacity(frames),
        power: Vec::with_capacity(frames * BINS),
    };
    let mut choices = Vec::with_capacity(frames);
    for frame in x.windows(FRAME).step_by(HOP) {
        let (mean_square, local_peak) = spectra.frame(frame)?;
        analysis.mean_square.push(mean_square);
        analysis.power.extend_from_slice(&spectra.power);
        choices.push(candidates(spectra.autocorrelation()?, local_peak, global_peak));
    }
    analysis.pitch = cheapest_path(&choices);
    narrow(&mut choices, &analysis.pitch);
    analysis.pitch = cheapest_path(&choices);
    Some(analysis)
}

/// The two transforms and their buffers.
struct Spectra {
    forward: std::sync::Arc<dyn realfft::RealToComplex<f32>>,
    backward: std::sync::Arc<dyn realfft::ComplexToReal<f32>>,
    hann: Vec<f32>,
    hann_power: f32,
    /// Autocorrelation of the window, at lags of a quarter of a sample.
    window_lags: Vec<f32>,
    time: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    power: Vec<f32>,
    fine: Vec<Complex<f32>>,
    lags: Vec<f32>,
}

impl Spectra {
    fn new() -> Self {
        let mut planner = RealFftPlanner::<f32>::new();
        let hann: Vec<f32> =
            (0..FRAME).map(|n| 0.5 - 0.5 * (std::f32::consts::TAU * (n as f32 + 0.5) / FRAME as f32).cos()).collect();
        let window_lags = (0..=(LONGEST + 1) * FINER)
            .map(|lag| {
                let t = lag as f32 / (FINER * FRAME) as f32;
                let turn = std::f32::consts::TAU * t;
                (1.0 - t) * (2.0 / 3.0 + turn.cos() / 3.0) + turn.sin() / std::f32::consts::TAU
            })
            .collect();
        Self {
            forward: planner.plan_fft_forward(FFT),
            backward: planner.plan_fft_inverse(LAGS),
            hann_power: hann.iter().map(|w| w * w).sum(),
            hann,
            window_lags,
            time: vec![0.0; FFT],
            spectrum: vec![Complex::default(); BINS],
            power: vec![0.0; BINS],
            fine: vec![Complex::default(); LAGS / 2 + 1],
            lags: vec![0.0; LAGS],
        }
    }

    /// Takes a frame: its mean square, and its peak near the middle.
    fn frame(&mut self, frame: &[f32]) -> Option<(f32, f32)> {
        let mean = frame.iter().sum::<f32>() / FRAME as f32;
        let middle = frame.iter().skip((FRAME - LONGEST) / 2).take(LONGEST);
        let peak = middle.map(|s| (s - mean).abs()).fold(0.0, f32::max);
        self.time.fill(0.0);
        for ((out, s), w) in self.time.iter_mut().zip(frame).zip(&self.hann) {
            *out = (s - mean) * w;
        }
        let mean_square = self.time.iter().map(|s| s * s).sum::<f32>() / self.hann_power;
        self.forward.process(&mut self.time, &mut self.spectrum).ok()?;
        for (power, bin) in self.power.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr();
        }
        Some((mean_square, peak))
    }

    /// The normalised autocorrelation of the frame taken last, at lags of a quarter of a sample.
    fn autocorrelation(&mut self) -> Option<&[f32]> {
        self.fine.fill(Complex::default());
        for (fine, power) in self.fine.iter_mut().zip(&self.power) {
            fine.re = *power;
        }
        self.fine[BINS - 1].re *= 0.5;
        self.backward.process(&mut self.fine, &mut self.lags).ok()?;
        let zero = self.lags[0];
        for (lag, window) in self.lags.iter_mut().zip(&self.window_lags) {
            *lag = if zero > 0.0 { *lag / (zero * window) } else { 0.0 };
        }
        Some(&self.lags[..self.window_lags.len()])
    }
}

/// A frame's candidates; the first is "no voice".
fn candidates(lags: &[f32], local_peak: f32, global_peak: f32) -> Vec<Candidate> {
    let loudness = if global_peak > 0.0 { local_peak / global_peak } else { 0.0 };
    let unvoiced = VOICING + (2.0 - loudness * (1.0 + VOICING) / SILENCE).max(0.0);
    let mut found = vec![Candidate { f0: 0.0, r: 0.0, strength: unvoiced }];
    if local_peak <= 0.0 {
        return found;
    }
    let shortest = (RATE / CEILING_HZ * FINER as f32) as usize;
    for (at, near) in lags.windows(3).enumerate().skip(shortest.saturating_sub(1)) {
        let &[left, height, right] = near else { continue };
        if height < 0.5 * VOICING || height < left || height <= right {
            continue;
        }
        // A parabola through three points finds the top between them.
        let bend = left - 2.0 * height + right;
        let shift = if bend < 0.0 { 0.5 * (left - right) / bend } else { 0.0 };
        let f0 = RATE * FINER as f32 / (at as f32 + 1.0 + shift);
        if !(FLOOR_HZ..=CEILING_HZ).contains(&f0) {
            continue;
        }
        let top = height - 0.25 * (left - right) * shift;
        let r = if top > 1.0 { 1.0 / top } else { top };
        found.push(Candidate { f0, r, strength: r - OCTAVE_COST * (FLOOR_HZ / f0).log2() });
    }
    if found.len() > CANDIDATES + 1 {
        found[1..].sort_by(|a, b| b.strength.total_cmp(&a.strength));
        found.truncate(CANDIDATES + 1);
    }
    found
}

/// Takes away the candidates out of the speaker's range, so that a frame an octave off does not pass for a lively voice: from
/// three quarters of the first quartile to one and a half times the third (D. Hirst, "The analysis by synthesis of speech melody",
/// Journal of Speech Sciences 1, 2011).
fn narrow(choices: &mut [Vec<Candidate>], first: &[Pitch]) {
    let mut voiced: Vec<f32> = first.iter().map(|p| p.f0).filter(|f0| *f0 > 0.0).collect();
    let range = 0.75 * percentile(&mut voiced, 0.25)..=1.5 * percentile(&mut voiced, 0.75);
    for frame in choices {
        frame.retain(|c| c.f0 == 0.0 || range.contains(&c.f0));
    }
}

/// Viterbi: the strongest candidates, less what jumps between them cost.
fn cheapest_path(choices: &[Vec<Candidate>]) -> Vec<Pitch> {
    let mut score: Vec<f32> = Vec::new();
    let mut from: Vec<Vec<usize>> = Vec::with_capacity(choices.len());
    let mut before: &[Candidate] = &[];
    for here in choices {
        let mut next = Vec::with_capacity(here.len());
        let mut origin = Vec::with_capacity(here.len());
        for candidate in here {
            let (best, value) = before
                .iter()
                .zip(&score)
                .map(|(old, score)| score - jump(old.f0, candidate.f0))
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .unwrap_or((0, 0.0));
            next.push(value + candidate.strength);
            origin.push(best);
        }
        score = next;
        from.push(origin);
        before = here;
    }
    let mut at = score.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at);
    let mut path: Vec<Pitch> = choices
        .iter()
        .zip(&from)
        .rev()
        .map(|(here, origin)| {
            let pitch = here.get(at).map_or_else(Pitch::default, |c| Pitch { f0: c.f0, r: c.r });
            at = origin.get(at).copied().unwrap_or(0);
            pitch
        })
        .collect();
    path.reverse();
    path
}

fn jump(a: f32, b: f32) -> f32 {
    match (a > 0.0, b > 0.0) {
        (false, false) => 0.0,
        (true, true) => JUMP_COST * (a / b).log2().abs(),
        _ => VOICED_UNVOICED_COST,
    }
}
