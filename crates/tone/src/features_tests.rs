//! Signals whose properties are known because they were made so.

use super::*;

/// A seeded generator of noise (xorshift), even from -1 to 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

fn pcm(x: impl Iterator<Item = f32>) -> Vec<i16> {
    x.map(|s| (s * 32_768.0).clamp(-32_768.0, 32_767.0) as i16).collect()
}

fn sine(hz: f32, amplitude: f32, seconds: f32) -> Vec<i16> {
    pcm((0..(seconds * RATE) as usize).map(|n| amplitude * (std::f32::consts::TAU * hz * n as f32 / RATE).sin()))
}

/// A voice made of pulses at given times (s) and amplitudes, each with the harmonics of a telephone line: the band-limited
/// pulse is the sum of cosines from 300 to 3,400 Hz under a bell of one millisecond.
fn pulse_train(pulses: &[(f32, f32)], seconds: f32) -> Vec<f32> {
    let mut x = vec![0.0f32; (seconds * RATE) as usize];
    for (time, amplitude) in pulses {
        let middle = (time * RATE) as isize;
        for n in (middle - 40).max(0)..(middle + 40).min(x.len() as isize) {
            let t = n as f32 / RATE - time;
            let bell = (-(t / 0.001).powi(2)).exp();
            x[n as usize] += amplitude * bell * (std::f32::consts::TAU * 800.0 * t).cos();
        }
    }
    x
}

/// Pulses whose periods and amplitudes wander by chance, evenly within these parts of their means. (By turns would not do: two
/// periods together then repeat exactly, and are the true period.)
fn uneven(period: f32, jitter: f32, shimmer: f32, seconds: f32) -> Vec<(f32, f32)> {
    let (mut noise, mut t, mut all) = (Noise(11), 0.05, Vec::new());
    while t < seconds - 0.05 {
        all.push((t, 0.3 * (1.0 + shimmer * noise.next())));
        t += period * (1.0 + jitter * noise.next());
    }
    all
}

/// The mean of `f` over neighbours.
fn mean_step(values: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    values.windows(2).map(|w| f(w[0], w[1])).sum::<f32>() / (values.len() - 1) as f32
}

#[test]
fn the_level_of_a_sine_is_known() {
    for (amplitude, dbov) in [(1.0, -3.01), (0.1, -23.01), (0.01, -43.01)] {
        let f = Features::of(&sine(200.0, amplitude, 2.0)).unwrap();
        assert!((f.level_dbov - dbov).abs() < 0.05, "{amplitude}: {}", f.level_dbov);
        assert!((f.level_range_db).abs() < 0.1);
        assert_eq!((f.pauses, f.voiced_ratio), (0, 1.0));
    }
}

#[test]
fn the_pitch_of_sines_and_pulses_is_known_to_a_tenth_of_a_semitone() {
    for hz in [80.0, 110.0, 157.3, 220.0, 333.3, 440.0, 590.0] {
        let whole = Features::of(&sine(hz, 0.2, 1.5)).unwrap();
        assert!((12.0 * (whole.f0_hz / hz).log2()).abs() < 0.1, "sine of {hz}: {}", whole.f0_hz);
        assert!(whole.f0_sd_st < 0.05);
    }
    // No power at the fundamental, as on a telephone line.
    for hz in [85.0, 120.0, 210.0, 320.0] {
        let x = pulse_train(&uneven(1.0 / hz, 0.0, 0.0, 2.0), 2.0);
        let f = Features::of(&pcm(x.into_iter())).unwrap();
        assert!((12.0 * (f.f0_hz / hz).log2()).abs() < 0.1, "pulses of {hz}: {}", f.f0_hz);
    }
}

#[test]
fn a_glide_of_an_octave_has_its_spread() {
    // F0 = 100 Hz × 2^(t/2): a whole octave in 2 s, even in semitones.
    let phase = |t: f32| 100.0 * 2.0 / std::f32::consts::LN_2 * ((t / 2.0).exp2() - 1.0);
    let x = (0..16_000).map(|n| 0.2 * (std::f32::consts::TAU * phase(n as f32 / RATE)).sin());
    let f = Features::of(&pcm(x)).unwrap();
    assert!((f.f0_hz - 141.4).abs() < 2.0, "{}", f.f0_hz);
    assert!((f.f0_sd_st - 12.0 / 12f32.sqrt()).abs() < 0.15, "{}", f.f0_sd_st);
    assert!((f.f0_range_st - 7.2).abs() < 0.25, "{}", f.f0_range_st);
}

#[test]
fn jitter_is_what_was_put_in() {
    for (period, jitter) in [(0.008, 0.0), (0.008, 0.01), (0.008, 0.03), (0.005, 0.01), (0.005, 0.04)] {
        let pulses = uneven(period, jitter, 0.0, 2.5);
        let f = Features::of(&pcm(pulse_train(&pulses, 2.5).into_iter())).unwrap();
        let periods: Vec<f32> = pulses.windows(2).map(|w| w[1].0 - w[0].0).collect();
        let known = mean_step(&periods, |a, b| (a - b).abs()) / period;
        assert!((f.jitter - known).abs() < 0.1 * known + 0.001, "{known} at {period} s: {}", f.jitter);
    }
}

#[test]
fn shimmer_is_what_was_put_in() {
    for shimmer in [0.0, 0.05, 0.1, 0.2] {
        let pulses = uneven(0.007, 0.0, shimmer, 2.5);
        let f = Features::of(&pcm(pulse_train(&pulses, 2.5).into_iter())).unwrap();
        let amplitudes: Vec<f32> = pulses.iter().map(|p| p.1).collect();
        let known = mean_step(&amplitudes, |a, b| (20.0 * (a / b).log10()).abs());
        assert!((f.shimmer_db - known).abs() < 0.1 * known + 0.03, "{known} dB: {}", f.shimmer_db);
    }
}

#[test]
fn hnr_is_the_ratio_of_the_sine_to_the_noise() {
    for hnr in [3.0, 6.0, 10.0, 15.0, 20.0] {
        let mut noise = Noise(7);
        let (tone, power) = (0.1f32, 0.1f32 * 0.1 / 2.0);
        // Even noise from -a to a has a power of a²/3.
        let a = (3.0 * power / 10f32.powf(hnr / 10.0)).sqrt();
        let x = (0..24_000).map(|n| tone * (std::f32::consts::TAU * 180.0 * n as f32 / RATE).sin() + a * noise.next());
        let f = Features::of(&pcm(x)).unwrap();
        assert!((f.hnr_db - hnr).abs() < 1.0, "{hnr}: {}", f.hnr_db);
    }
}

#[test]
fn what_is_no_voice_is_not_measured() {
    let mut noise = Noise(3);
    assert_eq!(Features::of(&[]), None);
    assert_eq!(Features::of(&[5; 100]), None);
    assert_eq!(Features::of(&[0; 80_000]), None);
    assert_eq!(Features::of(&[i16::MIN; 80_000]), None, "a stuck line");
    assert_eq!(Features::of(&pcm((0..40_000).map(|_| 0.1 * noise.next()))), None, "hiss");
    assert_eq!(Features::of(&sine(150.0, 0.2, 0.9)), None, "too short");
    assert!(Features::of(&sine(150.0, 0.2, 1.1)).is_some());
}

#[test]
fn only_the_end_of_a_very_long_utterance_is_measured() {
    let mut long = sine(300.0, 0.2, 40.0);
    long.extend(sine(100.0, 0.2, LONGEST_S));
    let f = Features::of(&long).unwrap();
    assert!((f.f0_hz - 100.0).abs() < 1.0 && f.f0_sd_st < 0.1);
    assert_eq!(f.duration_s, LONGEST_S);
}

#[test]
fn gain_changes_the_level_and_nothing_else() {
    let x = pulse_train(&uneven(0.0065, 0.01, 0.1, 3.0), 3.0);
    let loud = Features::of(&pcm(x.iter().copied())).unwrap();
    let quiet = Features::of(&pcm(x.iter().map(|s| s / 4.0))).unwrap();
    assert!((loud.level_dbov - quiet.level_dbov - 12.04).abs() < 0.05);
    for (a, b, within) in [
        (loud.f0_hz, quiet.f0_hz, 0.1),
        (loud.jitter, quiet.jitter, 0.0005),
        (loud.shimmer_db, quiet.shimmer_db, 0.02),
        (loud.alpha_db, quiet.alpha_db, 0.05),
        (loud.slope_low_db_khz, quiet.slope_low_db_khz, 0.2),
        (loud.rate_hz, quiet.rate_hz, 0.05),
    ] {
        assert!((a - b).abs() < within, "{a} and {b}");
    }
}
