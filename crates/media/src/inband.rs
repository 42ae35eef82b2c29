//! DTMF tones in the audio itself (ITU-T Q.23, Q.24), for lines without RFC 4733: Goertzel filters on half frames.
//!
//! A digit is named once, when its two tones have stood for 40 ms, alone: 8 dB over everything else, their levels within
//! what lines do to them, and no strong second harmonic (a voice has one).

use baton_audio::FRAME_SAMPLES;

const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
/// Samples looked at together: 13 ms, in which neighbouring tones can be told apart.
const BLOCK: usize = 105;
/// Blocks in a row that must agree: 39 ms. Q.24 wants 40 ms tones heard.
const STEADY: u8 = 3;
/// Blocks without the tones after which the same key may be pressed again: 26 ms.
const GONE: u8 = 2;
/// Least level of a tone: about -30 dBm0 (Q.24 asks for -25 at the most), as an amplitude.
const LEAST: f32 = 350.0;

/// Hears digits, 20 ms at a time.
pub struct ToneDetector {
    block: [i16; BLOCK],
    filled: usize,
    candidate: Option<char>,
    steady: u8,
    pressed: Option<char>,
    gone: u8,
}

impl ToneDetector {
    /// It has heard nothing.
    pub fn new() -> Self {
        Self { block: [0; BLOCK], filled: 0, candidate: None, steady: 0, pressed: None, gone: 0 }
    }

    /// Takes 20 ms at 8 kHz; a digit, once, where one was pressed. A frame has room for no second one.
    pub fn hear(&mut self, pcm: &[i16; FRAME_SAMPLES]) -> Option<char> {
        let mut digit = None;
        for sample in pcm {
            self.block[self.filled] = *sample;
            self.filled += 1;
            if self.filled == BLOCK {
                self.filled = 0;
                let key = key(&self.block);
                digit = self.step(key).or(digit);
            }
        }
        digit
    }

    fn step(&mut self, key: Option<char>) -> Option<char> {
        self.steady = if key.is_some() && key == self.candidate { self.steady.saturating_add(1) } else { 1 };
        self.candidate = key;
        if key.is_none() || key != self.pressed {
            self.gone = self.gone.saturating_add(1);
        } else {
            self.gone = 0;
        }
        if self.gone >= GONE {
            self.pressed = None;
        }
        if key.is_some() && self.steady >= STEADY && self.pressed.is_none() {
            (self.pressed, self.gone) = (key, 0);
            return key;
        }
        None
    }
}

/// The key whose tones a block holds.
fn key(block: &[i16; BLOCK]) -> Option<char> {
    let total: f32 = block.iter().map(|s| f32::from(*s) * f32::from(*s)).sum::<f32>() / BLOCK as f32;
    if total < LEAST * LEAST {
        return None;
    }
    let (row, low) = strongest(block, &ROWS)?;
    let (column, high) = strongest(block, &COLUMNS)?;
    // Twist: the higher tone up to 4 dB louder, or 8 dB softer (Q.24).
    let twist = high / low;
    let loud = low > LEAST * LEAST / 2.0 && high > LEAST * LEAST / 2.0;
    // A power is half an amplitude squared: what is not in the two tones is noise or speech.
    let alone = low + high > 0.7 * total;
    let voice = power(block, 2.0 * ROWS[row]) > 0.1 * low || power(block, 2.0 * COLUMNS[column]) > 0.1 * high;
    (loud && alone && !voice && (0.158..2.6).contains(&twist)).then_some(KEYS[row][column])
}

/// The strongest of four tones, if it is far stronger than the others.
fn strongest(block: &[i16; BLOCK], tones: &[f32; 4]) -> Option<(usize, f32)> {
    let powers = tones.map(|hz| power(block, hz));
    let (best, most) = powers.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    powers.iter().enumerate().all(|(n, other)| n == best || most > 4.0 * other).then_some((best, most))
}

/// Mean square of what a block holds at a frequency (Goertzel).
fn power(block: &[i16; BLOCK], hz: f32) -> f32 {
    let coefficient = 2.0 * (std::f32::consts::TAU * hz / 8_000.0).cos();
    let (mut one, mut two) = (0.0f32, 0.0f32);
    for sample in block {
        (one, two) = (f32::from(*sample) + coefficient * one - two, one);
    }
    let n = BLOCK as f32;
    2.0 * (one * one + two * two - coefficient * one * two) / (n * n)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn tones(low: f32, high: f32, amplitude: (f32, f32), n: usize) -> Vec<i16> {
        let wave = |hz: f32, i: usize| (std::f32::consts::TAU * hz * i as f32 / 8_000.0).sin();
        (0..n).map(|i| (amplitude.0 * wave(low, i) + amplitude.1 * wave(high, i)) as i16).collect()
    }

    fn heard(pcm: &[i16]) -> String {
        let mut detector = ToneDetector::new();
        pcm.chunks_exact(160).filter_map(|frame| detector.hear(frame.try_into().unwrap())).collect()
    }

    #[test]
    fn every_key_is_heard_once_however_long_it_is_pressed() {
        for (row, low) in ROWS.into_iter().enumerate() {
            for (column, high) in COLUMNS.into_iter().enumerate() {
                for ms in [60, 80, 200, 2_000] {
                    for (a, b) in [(4_000.0, 4_000.0), (1_000.0, 1_400.0), (8_000.0, 4_000.0)] {
                        // 1.5 % off pitch is still the key (Q.24).
                        let press = tones(low * 1.012, high * 0.988, (a, b), ms * 8);
                        let pcm = [vec![0; 333], press.clone(), vec![0; 480], press, vec![0; 800]].concat();
                        let key = KEYS[row][column];
                        assert_eq!(heard(&pcm), format!("{key}{key}"), "{key} for {ms} ms at {a}, {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn through_g711_and_noise_they_are_still_heard() {
        let mut random = StdRng::seed_from_u64(5);
        let mut pcm = Vec::new();
        for key in "159D".chars() {
            let (row, column) = (0..16).map(|i| (i / 4, i % 4)).find(|(r, c)| KEYS[*r][*c] == key).unwrap();
            pcm.extend(tones(ROWS[row], COLUMNS[column], (3_000.0, 3_000.0), 800));
            pcm.extend(vec![0; 800]);
        }
        for sample in &mut pcm {
            let noisy = sample.saturating_add(random.random_range(-400..400));
            *sample = baton_audio::g711::decode_ulaw(baton_audio::g711::encode_ulaw(noisy));
        }
        assert_eq!(heard(&pcm), "159D");
    }

    #[test]
    fn single_tones_noise_and_rich_sounds_are_no_digits() {
        let mut random = StdRng::seed_from_u64(6);
        let noise: Vec<i16> = (0..80_000).map(|_| random.random_range(-9_000..9_000)).collect();
        assert_eq!(heard(&noise), "");
        for hz in [350.0, 440.0, 697.0, 1_209.0, 425.0] {
            assert_eq!(heard(&tones(hz, 1.0, (8_000.0, 0.0), 16_000)), "", "{hz} Hz");
        }
        assert_eq!(heard(&tones(350.0, 440.0, (6_000.0, 6_000.0), 16_000)), "", "dial tone");
        // A voice of 116 Hz: all harmonics, among them some near the tones.
        let mut voice = vec![0f32; 16_000];
        for harmonic in 1..28 {
            for (i, sample) in voice.iter_mut().enumerate() {
                *sample += (116.0 * harmonic as f32 * i as f32 * std::f32::consts::TAU / 8_000.0).sin() * 900.0;
            }
        }
        assert_eq!(heard(&voice.iter().map(|s| *s as i16).collect::<Vec<_>>()), "");
    }
}
