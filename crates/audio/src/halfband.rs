//! Between 8 and 16 kHz, as a stream: a half-band filter of 47 taps (linear phase, 60 dB). Allocates nothing.

/// The odd taps of one side, of 65,536; the middle one is a half, the even ones are nothing. Kaiser window, beta 6.
const TAPS: [i64; 12] = [20_753, -6_637, 3_661, -2_300, 1_501, -978, 622, -377, 214, -109, 47, -13];
const DOWN_PAST: usize = 46;
const UP_PAST: usize = 23;
/// Most samples at 16 kHz taken at once: 20 ms.
const MOST: usize = 320;

/// 16 kHz to 8 kHz. Delays by 1.4 ms.
#[derive(Clone, Debug)]
pub struct Down {
    past: [i16; DOWN_PAST],
}

impl Default for Down {
    fn default() -> Self {
        Self { past: [0; DOWN_PAST] }
    }
}

impl Down {
    /// Takes an even number of samples, at most 320, and gives half as many.
    pub fn run(&mut self, pcm: &[i16], out: &mut [i16]) {
        let mut x = [0i16; DOWN_PAST + MOST];
        let length = pcm.len().min(MOST) & !1;
        x[..DOWN_PAST].copy_from_slice(&self.past);
        x[DOWN_PAST..DOWN_PAST + length].copy_from_slice(&pcm[..length]);
        for (n, y) in out.iter_mut().enumerate().take(length / 2) {
            let middle = 23 + 2 * n;
            let mut sum = i64::from(x[middle]) << 15;
            for (k, tap) in TAPS.iter().enumerate() {
                sum += tap * (i64::from(x[middle - 2 * k - 1]) + i64::from(x[middle + 2 * k + 1]));
            }
            *y = rounded(sum);
        }
        self.past.copy_from_slice(&x[length..length + DOWN_PAST]);
    }
}

/// 8 kHz to 16 kHz. Delays by 1.4 ms.
#[derive(Clone, Debug)]
pub struct Up {
    past: [i16; UP_PAST],
}

impl Default for Up {
    fn default() -> Self {
        Self { past: [0; UP_PAST] }
    }
}

impl Up {
    /// Takes at most 160 samples and gives twice as many.
    pub fn run(&mut self, pcm: &[i16], out: &mut [i16]) {
        let mut x = [0i16; UP_PAST + MOST / 2];
        let length = pcm.len().min(MOST / 2);
        x[..UP_PAST].copy_from_slice(&self.past);
        x[UP_PAST..UP_PAST + length].copy_from_slice(&pcm[..length]);
        for (n, pair) in out.chunks_exact_mut(2).enumerate().take(length) {
            let middle = n + 11;
            let mut sum = 0i64;
            for (k, tap) in TAPS.iter().enumerate() {
                sum += tap * (i64::from(x[middle - k]) + i64::from(x[middle + 1 + k]));
            }
            (pair[0], pair[1]) = (x[middle], rounded(2 * sum));
        }
        self.past.copy_from_slice(&x[length..length + UP_PAST]);
    }
}

fn rounded(sum: i64) -> i16 {
    ((sum + (1 << 15)) >> 16).clamp(-32_768, 32_767) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, rate: f64, n: usize) -> Vec<i16> {
        (0..n).map(|i| ((i as f64 * hz * std::f64::consts::TAU / rate).sin() * 10_000.0) as i16).collect()
    }

    fn level(pcm: &[i16]) -> f64 {
        (pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len() as f64).sqrt()
    }

    fn down(pcm: &[i16]) -> Vec<i16> {
        let mut filter = Down::default();
        pcm.chunks(320)
            .flat_map(|chunk| {
                let mut out = [0; 160];
                filter.run(chunk, &mut out);
                out
            })
            .collect()
    }

    fn up(pcm: &[i16]) -> Vec<i16> {
        let mut filter = Up::default();
        pcm.chunks(160)
            .flat_map(|chunk| {
                let mut out = [0; 320];
                filter.run(chunk, &mut out);
                out
            })
            .collect()
    }

    #[test]
    fn speech_passes_and_what_would_alias_does_not() {
        for (hz, low, high) in
            [(300.0, 0.98, 1.02), (3_000.0, 0.97, 1.02), (5_000.0, 0.0, 0.004), (7_000.0, 0.0, 0.004)]
        {
            let gain = level(&down(&tone(hz, 16_000.0, 16_000))[200..]) / 7_071.0;
            assert!((low..=high).contains(&gain), "{hz} Hz down: {gain}");
        }
        for hz in [300.0, 1_000.0, 3_000.0] {
            let heard = up(&tone(hz, 8_000.0, 8_000));
            let expected = tone(hz, 16_000.0, 16_000);
            let error: f64 = (1_000..15_000).map(|i| (f64::from(heard[i + 24]) - f64::from(expected[i])).powi(2)).sum();
            assert!((error / 14_000.0).sqrt() < 120.0, "{hz} Hz up: {}", (error / 14_000.0).sqrt());
        }
    }

    #[test]
    fn full_scale_does_not_wrap() {
        let square: Vec<i16> = (0..1_600).map(|i| if i / 40 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        for heard in [down(&square), up(&square)] {
            assert!(heard.windows(2).all(|w| (i32::from(w[0]) - i32::from(w[1])).abs() < 65_535));
        }
    }
}
