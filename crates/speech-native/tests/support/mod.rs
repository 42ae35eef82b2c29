//! What a telephone line carries besides speech, sample by sample at 8 kHz.

use std::f32::consts::TAU;

use baton_audio::Clip;

const RATE: f32 = 8_000.0;

/// Every kind, by name.
pub const KINDS: [&str; 20] = [
    "silence",
    "comfort noise",
    "white noise",
    "pink noise",
    "rumble",
    "mains hum",
    "ringing (US)",
    "ringing (UK)",
    "dial tone",
    "busy tone",
    "information tones",
    "DTMF",
    "fax calling",
    "hold music",
    "melody",
    "chords and drums",
    "typing",
    "breathing",
    "crackle",
    "traffic",
];

/// One kind of sound.
pub struct Noise<'a> {
    kind: &'static str,
    hold: &'a Clip,
    at: usize,
    seed: u32,
    /// Filter memories.
    memory: [f32; 4],
}

impl<'a> Noise<'a> {
    pub fn new(kind: &'static str, hold: &'a Clip) -> Self {
        let seed = kind.bytes().fold(7u32, |s, b| s.wrapping_mul(31).wrapping_add(u32::from(b)));
        Self { kind, hold, at: 0, seed, memory: [0.0; 4] }
    }

    pub fn sample(&mut self) -> i16 {
        let t = self.at as f32 / RATE;
        self.at += 1;
        let value = match self.kind {
            "silence" => 0.0,
            "comfort noise" => self.white() * 40.0,
            "white noise" => self.white() * 900.0,
            "pink noise" => self.pink() * 1_200.0,
            "rumble" => self.low(0.01) * 20_000.0,
            "mains hum" => [60.0, 120.0, 180.0, 300.0].iter().map(|f| sine(*f, t) * 600.0).sum(),
            "ringing (US)" => cadence(t, &[(2.0, true), (4.0, false)], &[440.0, 480.0]),
            "ringing (UK)" => cadence(t, &[(0.4, true), (0.2, false), (0.4, true), (2.0, false)], &[400.0, 450.0]),
            "dial tone" => cadence(t, &[(9.0, true), (1.0, false)], &[350.0, 440.0]),
            "busy tone" => cadence(t, &[(0.5, true), (0.5, false)], &[480.0, 620.0]),
            "information tones" => {
                let f = [950.0, 1_400.0, 1_800.0, 0.0, 0.0][(t / 0.33) as usize % 5];
                sine(f, t) * 5_000.0
            }
            "DTMF" => {
                let digit = (t / 0.25) as usize * 7 % 12;
                let on = t % 0.25 < 0.12;
                let pair = [[697.0, 770.0, 852.0, 941.0][digit / 3], [1_209.0, 1_336.0, 1_477.0][digit % 3]];
                if on { pair.iter().map(|f| sine(*f, t) * 4_000.0).sum() } else { 0.0 }
            }
            "fax calling" => cadence(t, &[(0.5, true), (3.0, false)], &[1_100.0]),
            "hold music" => f32::from(self.hold.samples()[self.at % self.hold.len()]),
            "melody" => {
                let note = [0, 4, 7, 12, 7, 4, 5, 9, 12, 9, 2, 5][(t / 0.4) as usize % 12];
                let f = 262.0 * 2f32.powf(note as f32 / 12.0) * (1.0 + 0.004 * sine(5.5, t));
                (1..6).map(|h| sine(f * h as f32, t) * 3_000.0 / h as f32).sum::<f32>() * (-2.0 * (t % 0.4)).exp()
            }
            "chords and drums" => {
                let root = [220.0, 174.6, 261.6, 196.0][(t / 2.0) as usize % 4];
                let chord: f32 = [1.0, 1.26, 1.5, 2.0]
                    .iter()
                    .flat_map(|r| (1..4).map(move |h| sine(root * r * h as f32, t) * 700.0 / h as f32))
                    .sum();
                chord + self.white() * 6_000.0 * (-40.0 * (t % 0.5)).exp()
            }
            "typing" => {
                // Keys at uneven times, each a click and its echo from the desk.
                let key = t * 6.3 + 0.4 * sine(0.7, t);
                let since = key.fract() / 6.3;
                let click = (-350.0 * since).exp()
                    + 0.5 * (-120.0 * (since - 0.02).max(0.0)).exp() * f32::from(u8::from(since > 0.02));
                self.white() * 5_000.0 * click * f32::from(u8::from((key as usize * 5) % 7 != 0))
            }
            "breathing" => self.low(0.5) * 2_500.0 * sine(0.25, t).max(0.0).powi(2),
            "crackle" => {
                let strike = self.white() > 0.999;
                self.memory[3] = if strike { 12_000.0 } else { self.memory[3] * -0.7 };
                self.memory[3] + self.white() * 60.0
            }
            "traffic" => self.low(0.06) * 9_000.0 * (1.2 + sine(0.07, t) + 0.5 * sine(0.31, t)),
            other => unreachable!("{other}"),
        };
        value.clamp(-32_000.0, 32_000.0) as i16
    }

    fn white(&mut self) -> f32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.seed >> 8) as f32 / 8_388_608.0 - 1.0
    }

    /// Low-passed noise; `a` from 0 to 1 is how fast it may change.
    fn low(&mut self, a: f32) -> f32 {
        let white = self.white();
        self.memory[0] += (white - self.memory[0]) * a;
        self.memory[0]
    }

    fn pink(&mut self) -> f32 {
        let white = self.white();
        let mut sum = white * 0.2;
        for (memory, a) in self.memory.iter_mut().zip([0.003, 0.02, 0.1, 0.4]) {
            *memory += (white - *memory) * a;
            sum += *memory * 2.0;
        }
        sum
    }
}

fn sine(f: f32, t: f32) -> f32 {
    // By turns, so that a long time costs no precision.
    (TAU * (f64::from(f) * f64::from(t)).fract() as f32).sin()
}

fn cadence(t: f32, parts: &[(f32, bool)], tones: &[f32]) -> f32 {
    let mut at = t % parts.iter().map(|(s, _)| s).sum::<f32>();
    for (seconds, on) in parts {
        if at < *seconds {
            return if *on { tones.iter().map(|f| sine(*f, t) * 3_500.0).sum() } else { 0.0 };
        }
        at -= seconds;
    }
    0.0
}
