//! What is heard where nothing came, and how audio is made a little shorter or longer: both repeat or leave out whole
//! pitch periods and blend the ends, so that nothing clicks. At 8 or 16 kHz, on plain samples.

/// Past samples kept: 30 ms at 16 kHz.
const PAST: usize = 480;
/// Longest pitch period: 15 ms (66 Hz) at 16 kHz.
const LONGEST: usize = 240;

/// A pitch period of `x`, in samples between `least` and `most`, and how well the sound repeats by it (-1 to 1). Compares
/// `length` samples; every second one where the rate is high.
fn period(x: &[i16], least: usize, most: usize, length: usize) -> (usize, f64) {
    let step = if least > 40 { 2 } else { 1 };
    let mut best = (least, -1.0);
    let mut lag = least;
    while lag <= most && lag + length <= x.len() {
        let (mut dot, mut here, mut there) = (0i64, 0i64, 0i64);
        for (a, b) in x[..length].iter().zip(&x[lag..lag + length]).step_by(step) {
            let (a, b) = (i64::from(*a), i64::from(*b));
            dot += a * b;
            here += a * a;
            there += b * b;
        }
        let scale = ((here as f64) * (there as f64)).sqrt();
        let match_ = if scale > 0.0 { dot as f64 / scale } else { 1.0 };
        if match_ > best.1 + 1e-9 {
            best = (lag, match_);
        }
        lag += step;
    }
    best
}

/// Loudest sample below which a stretch may be cut anywhere (about -40 dB).
const QUIET: u16 = 330;

/// A period by which the 20 ms at the head of `x` may be shortened or lengthened without being heard; `None` where the
/// sound repeats itself too little. `n` is 20 ms in samples.
pub fn scalable(x: &[i16], n: usize) -> Option<usize> {
    let (least, most) = (n / 8, n / 2);
    if x.len() < n {
        return None;
    }
    if x[..n].iter().all(|s| s.unsigned_abs() < QUIET) {
        return Some(most);
    }
    let (lag, match_) = period(x, least, most, n / 2);
    (match_ > 0.6).then_some(lag)
}

/// Writes the head of `x`, a period left out, to `out`; `x` holds at least `out` and the period.
pub fn shorten(x: &[i16], lag: usize, out: &mut [i16]) {
    for (i, y) in out.iter_mut().enumerate() {
        *y = blend(x[i], x[i + lag], i, lag);
    }
}

/// Writes the head of `x`, a period of it repeated, to `out`, which holds at least two periods.
pub fn lengthen(x: &[i16], lag: usize, out: &mut [i16]) {
    for (i, y) in out.iter_mut().enumerate() {
        *y = if i < lag { x[i] } else { blend(x[i], x[i - lag], i - lag, lag) };
    }
}

/// From `a` to `b` over `length` samples.
fn blend(a: i16, b: i16, at: usize, length: usize) -> i16 {
    if at >= length {
        return b;
    }
    let (a, b, at, length) = (i32::from(a), i32::from(b), at as i32, length as i32);
    ((a * (length - at) + b * at) / length) as i16
}

/// Makes up what was lost: the last pitch period again and again, faded to nothing over 60 ms; after a comfort-noise
/// packet (RFC 3389), noise of the level it named.
pub struct Concealment {
    past: [i16; PAST],
    wide: bool,
    /// The period repeated now, and the place in it.
    lag: usize,
    at: usize,
    /// Samples made up in a row.
    run: usize,
    /// What comes next begins a stream, in the midst of a sound perhaps.
    begins: bool,
    /// Loudest sample of the comfort noise.
    noise: i32,
    random: u32,
}

impl Concealment {
    /// It has heard nothing.
    pub fn new() -> Self {
        Self {
            past: [0; PAST],
            wide: false,
            lag: 0,
            at: 0,
            run: usize::MAX,
            begins: true,
            noise: 0,
            random: 0x1234_5678,
        }
    }

    /// Samples until it is silent, and until it begins to fade.
    fn fade(&self) -> (usize, usize) {
        if self.wide { (960, 160) } else { (480, 80) }
    }

    /// Forgets what it heard; from now on at 8 or 16 kHz.
    pub fn reset(&mut self, wide: bool) {
        (self.past, self.wide, self.run, self.noise) = ([0; PAST], wide, usize::MAX, 0);
    }

    /// A stream begins with what is heard next: if it is loud at once, it is faded in over 5 ms.
    pub fn begin(&mut self) {
        self.begins = true;
    }

    /// Comfort noise of this level from now on, until something is heard: -`level` dBov.
    pub fn comfort(&mut self, level: u8) {
        // Uniform noise of amplitude A has a level of A²/3; 0 dBov is that of a full-scale square wave.
        self.noise = (32_767.0 * 3f64.sqrt() * 10f64.powf(-f64::from(level.min(127)) / 20.0)) as i32;
    }

    /// Whether what it makes up stands for something that was there.
    pub fn audible(&self) -> bool {
        self.noise == 0 && self.run < self.fade().0
    }

    /// Makes up the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        if self.noise > 0 {
            out.fill_with(|| {
                // Numerical Recipes' generator; its upper bits are random enough to hiss.
                self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (i32::from((self.random >> 16) as i16) * self.noise / 32_768) as i16
            });
            return;
        }
        let (silent, full) = self.fade();
        if self.run == 0 {
            let (least, most) = if self.wide { (80, LONGEST) } else { (40, LONGEST / 2) };
            let reversed: [i16; PAST] = std::array::from_fn(|i| self.past[PAST - 1 - i]);
            (self.lag, self.at) = (period(&reversed, least, most, most).0, 0);
        }
        for sample in out {
            if self.run >= silent || self.lag == 0 {
                *sample = 0;
                continue;
            }
            // The end of the period leads into its beginning: its last quarter is blended with what came before it.
            let (start, quarter) = (PAST - self.lag, self.lag / 4);
            let here = self.past[start + self.at];
            let value = match self.at.checked_sub(self.lag - quarter) {
                Some(i) => blend(here, self.past[start + self.at - self.lag], i, quarter),
                None => here,
            };
            let left = silent - self.run.max(full);
            *sample = (i32::from(value) * left as i32 / (silent - full) as i32) as i16;
            self.at = (self.at + 1) % self.lag;
            self.run += 1;
        }
    }

    /// Takes what is heard; the first of it after a loss is blended with what would have been made up.
    pub fn heard(&mut self, pcm: &mut [i16]) {
        if (1..self.fade().0).contains(&self.run) || self.noise > 0 {
            let mut made = [0i16; 80];
            let length = made.len().min(pcm.len());
            self.fill(&mut made[..length]);
            for (i, (sample, made)) in pcm.iter_mut().zip(&made[..length]).enumerate() {
                *sample = blend(*made, *sample, i, length);
            }
        }
        let begins = std::mem::take(&mut self.begins);
        if begins && pcm.first().is_some_and(|first| first.unsigned_abs() > QUIET) {
            let length = pcm.len().min(if self.wide { 80 } else { 40 });
            for (i, sample) in pcm.iter_mut().take(length).enumerate() {
                *sample = blend(0, *sample, i, length);
            }
        }
        (self.run, self.noise) = (0, 0);
        let keep = pcm.len().min(PAST);
        self.past.copy_within(keep.., 0);
        self.past[PAST - keep..].copy_from_slice(&pcm[pcm.len() - keep..]);
    }

    /// Takes what a codec made up by itself: it is remembered, and counts as made up.
    pub fn recovered(&mut self, pcm: &[i16]) {
        let keep = pcm.len().min(PAST);
        self.past.copy_within(keep.., 0);
        self.past[PAST - keep..].copy_from_slice(&pcm[pcm.len() - keep..]);
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    fn tone(hz: f64, from: usize, n: usize) -> Vec<i16> {
        (from..from + n).map(|i| ((i as f64 * hz * std::f64::consts::TAU / 8_000.0).sin() * 8_000.0) as i16).collect()
    }

    /// The largest step between samples, where a tone of this pitch and level has at most `most`.
    fn largest_step(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|w| (i32::from(w[0]) - i32::from(w[1])).abs()).max().unwrap_or(0)
    }

    #[test]
    fn a_lost_stretch_of_a_tone_goes_on_and_fades_without_a_click() {
        for hz in [110.0, 180.0, 233.0] {
            let mut plc = Concealment::new();
            let mut heard = tone(hz, 0, 480);
            plc.heard(&mut heard);
            let mut made = vec![0; 160];
            plc.fill(&mut made);
            let expected = tone(hz, 480, 80);
            let error: f64 = made.iter().zip(&expected).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / 80.0;
            assert!(error.sqrt() < 1_200.0, "{hz} Hz: {}", error.sqrt());
            let mut after = tone(hz, 640, 160);
            plc.heard(&mut after);
            let all = [heard.clone(), made, after].concat();
            assert!(largest_step(&all) < 3 * largest_step(&heard), "{hz} Hz: {}", largest_step(&all));
        }
        let mut plc = Concealment::new();
        plc.heard(&mut tone(200.0, 0, 480));
        let mut made = vec![0; 800];
        plc.fill(&mut made);
        assert!(made[480..].iter().all(|s| *s == 0) && !plc.audible());
    }

    #[test]
    fn scaling_a_tone_leaves_out_or_repeats_whole_periods() {
        let x = tone(200.0, 0, 400);
        let lag = scalable(&x, 160).unwrap();
        assert_eq!(lag % 40, 0, "a period of 200 Hz: {lag}");
        let (mut short, mut long) = (vec![0; 160], vec![0; 160]);
        shorten(&x, lag, &mut short);
        lengthen(&x, lag, &mut long);
        for (name, out, next) in [("short", &short, x[160 + lag]), ("long", &long, x[160 - lag])] {
            let joined: Vec<i16> = out.iter().copied().chain([next]).collect();
            assert!(largest_step(&joined) <= largest_step(&x) * 5 / 4, "{name}");
        }
        let mut random = rand::rngs::StdRng::seed_from_u64(2);
        let noise: Vec<i16> = (0..400).map(|_| random.random_range(-9_000..9_000)).collect();
        assert_eq!(scalable(&noise, 160), None, "what does not repeat is left alone");
    }

    #[test]
    fn comfort_noise_has_its_level() {
        let mut plc = Concealment::new();
        plc.comfort(50);
        let mut out = vec![0; 8_000];
        plc.fill(&mut out);
        let rms = (out.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 8_000.0).sqrt();
        let level = 20.0 * (rms / 32_768.0).log10();
        assert!((level + 50.0).abs() < 1.0, "{level} dBov");
        assert!(!plc.audible(), "noise that was asked for is no loss");
    }
}
