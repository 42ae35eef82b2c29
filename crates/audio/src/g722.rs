//! ITU-T G.722 at 64 kbit/s: 16 kHz audio in two bands of ADPCM, one byte for two samples. Allocates nothing.
//!
//! The names of tables and quantities are the Recommendation's (§3, §6.2). The band coders are public because the test
//! sequences of its Appendix II drive them without the filter bank.

const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];
const WL: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1_198, 3_042];
const RL42: [usize; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
const WH: [i32; 3] = [0, -214, 798];
const RH2: [usize; 4] = [2, 1, 2, 1];
const ILB: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656, 2_714, 2_774, 2_834,
    2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520, 3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];
const Q6: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023, 1_121, 1_219,
    1_339, 1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];
const QM2: [i32; 4] = [-7_408, -1_616, 7_408, 1_616];
const QM4: [i32; 16] =
    [0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288, 4_240, 2_584, 1_200, 0];
const QM5: [i32; 32] = [
    -280, -280, -23_352, -17_560, -14_120, -11_664, -9_752, -8_184, -6_864, -5_712, -4_696, -3_784, -2_960, -2_208,
    -1_520, -880, 23_352, 17_560, 14_120, 11_664, 9_752, 8_184, 6_864, 5_712, 4_696, 3_784, 2_960, 2_208, 1_520, 880,
    280, -280,
];
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192, -10_232, -9_360,
    -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008, -3_576, -3_168, -2_776, -2_400, -2_032,
    -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008, 16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9_360, 8_576,
    7_856, 7_192, 6_576, 6_000, 5_456, 4_944, 4_464, 4_008, 3_576, 3_168, 2_776, 2_400, 2_032, 1_688, 1_360, 1_040,
    728, 432, 136, -432, -136,
];

/// How many bits of a code word carry the lower band (table 1 of the Recommendation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 64 kbit/s: all six.
    One,
    /// 56 kbit/s: five.
    Two,
    /// 48 kbit/s: four.
    Three,
}

/// One band's adaptive predictor and step size, the same at both ends.
#[derive(Clone, Debug)]
struct Band {
    s: i32,
    sz: i32,
    r: [i32; 2],
    a: [i32; 2],
    p: [i32; 2],
    d: [i32; 6],
    b: [i32; 6],
    nb: i32,
    det: i32,
}

impl Band {
    const fn new(det: i32) -> Self {
        Self { s: 0, sz: 0, r: [0; 2], a: [0; 2], p: [0; 2], d: [0; 6], b: [0; 6], nb: 0, det }
    }

    /// Blocks LOGSCL and SCALEL, or LOGSCH and SCALEH: the next step size.
    fn scale(&mut self, weight: i32, most: i32, shift: i32) {
        self.nb = (((self.nb * 127) >> 7) + weight).clamp(0, most);
        let shift = shift - (self.nb >> 11);
        let step = ILB[((self.nb >> 6) & 31) as usize];
        self.det = (if shift < 0 { step << -shift } else { step >> shift }) << 2;
    }

    /// Block 4: the predictor takes the quantised difference `d`.
    fn predict(&mut self, d: i32) {
        let r = saturated(self.s + d);
        let p = saturated(self.sz + d);
        let same = |x: i32, y: i32| (x < 0) == (y < 0);
        // UPPOL2
        let doubled = saturated(self.a[0] << 2);
        let toward = (if same(p, self.p[0]) { -doubled } else { doubled }).min(32_767);
        let step = if same(p, self.p[1]) { 128 } else { -128 };
        let a2 = ((toward >> 7) + step + ((self.a[1] * 32_512) >> 15)).clamp(-12_288, 12_288);
        // UPPOL1
        let step = if same(p, self.p[0]) { 192 } else { -192 };
        let limit = saturated(15_360 - a2);
        let a1 = saturated(step + ((self.a[0] * 32_640) >> 15)).clamp(-limit, limit);
        // UPZERO
        let step = if d == 0 { 0 } else { 128 };
        for (b, old) in self.b.iter_mut().zip(self.d) {
            let toward = if same(d, old) { step } else { -step };
            *b = saturated(toward + ((*b * 32_640) >> 15));
        }
        // DELAYA
        self.d.rotate_right(1);
        self.d[0] = d;
        (self.r, self.p, self.a) = ([r, self.r[0]], [p, self.p[0]], [a1, a2]);
        // FILTEP, FILTEZ, PREDIC
        let term = |coefficient: i32, value: i32| (coefficient * saturated(2 * value)) >> 15;
        let sp = saturated(term(a1, self.r[0]) + term(a2, self.r[1]));
        self.sz = saturated(self.b.iter().zip(self.d).map(|(b, d)| term(*b, d)).sum());
        self.s = saturated(sp + self.sz);
    }
}

/// The lower band, 0-4 kHz, six bits a sample.
#[derive(Clone, Debug)]
pub struct LowBand(Band);

impl Default for LowBand {
    fn default() -> Self {
        Self(Band::new(32))
    }
}

impl LowBand {
    /// Code of the next sample (15 bits).
    pub fn encode(&mut self, x: i32) -> u8 {
        let e = saturated(x - self.0.s);
        let magnitude = if e < 0 { -(e + 1) } else { e };
        let mut i = 1;
        while i < 30 && magnitude >= (Q6[i] * self.0.det) >> 12 {
            i += 1;
        }
        // Table 15: negative 63, 62, 31, 30 ... 4; positive 61, 60 ... 32.
        let code = match (e < 0, i as u8) {
            (true, i @ 1..=2) => 64 - i,
            (true, i) => 34 - i,
            (false, i) => 62 - i,
        };
        self.adapt(code);
        code
    }

    /// The next sample (15 bits) of a code.
    pub fn decode(&mut self, code: u8, mode: Mode) -> i32 {
        let quantised = match mode {
            Mode::One => QM6[usize::from(code & 63)],
            Mode::Two => QM5[usize::from((code & 63) >> 1)],
            Mode::Three => QM4[usize::from((code & 63) >> 2)],
        };
        let r = (self.0.s + ((self.0.det * quantised) >> 15)).clamp(-16_384, 16_383);
        self.adapt(code);
        r
    }

    fn adapt(&mut self, code: u8) {
        let coarse = usize::from((code & 63) >> 2);
        let d = (self.0.det * QM4[coarse]) >> 15;
        self.0.scale(WL[RL42[coarse]], 18_432, 8);
        self.0.predict(d);
    }
}

/// The higher band, 4-8 kHz, two bits a sample.
#[derive(Clone, Debug)]
pub struct HighBand(Band);

impl Default for HighBand {
    fn default() -> Self {
        Self(Band::new(8))
    }
}

impl HighBand {
    /// Code of the next sample (15 bits).
    pub fn encode(&mut self, x: i32) -> u8 {
        let e = saturated(x - self.0.s);
        let magnitude = if e < 0 { -(e + 1) } else { e };
        let far = magnitude >= (564 * self.0.det) >> 12;
        let code = match (e < 0, far) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.adapt(code);
        code
    }

    /// The next sample (15 bits) of a code.
    pub fn decode(&mut self, code: u8) -> i32 {
        let r = (self.0.s + ((self.0.det * QM2[usize::from(code & 3)]) >> 15)).clamp(-16_384, 16_383);
        self.adapt(code);
        r
    }

    fn adapt(&mut self, code: u8) {
        let code = usize::from(code & 3);
        let d = (self.0.det * QM2[code]) >> 15;
        self.0.scale(WH[RH2[code]], 22_528, 10);
        self.0.predict(d);
    }
}

/// 16 kHz samples to bytes.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    low: LowBand,
    high: HighBand,
    x: [i32; 24],
}

impl Encoder {
    /// Encodes pairs of samples, a byte each, as far as both last; how many bytes.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        let mut count = 0;
        for (pair, byte) in pcm.chunks_exact(2).zip(out) {
            let (odd, even) = qmf(&mut self.x, [i32::from(pair[0]), i32::from(pair[1])]);
            let (low, high) = ((even + odd) >> 14, (even - odd) >> 14);
            *byte = (self.high.encode(high) << 6) | self.low.encode(low);
            count += 1;
        }
        count
    }
}

/// Bytes to 16 kHz samples.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    low: LowBand,
    high: HighBand,
    x: [i32; 24],
}

impl Decoder {
    /// Decodes bytes, two samples each, as far as both last; how many samples.
    pub fn decode(&mut self, bytes: &[u8], out: &mut [i16]) -> usize {
        let mut count = 0;
        for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
            let (low, high) = (self.low.decode(byte & 63, Mode::One), self.high.decode(byte >> 6));
            let (odd, even) = qmf(&mut self.x, [low + high, low - high]);
            (pair[0], pair[1]) = (saturated(even >> 11) as i16, saturated(odd >> 11) as i16);
            count += 2;
        }
        count
    }
}

/// The quadrature mirror filter (§5.1, table 11): takes two samples, gives the sums over both phases.
fn qmf(x: &mut [i32; 24], new: [i32; 2]) -> (i32, i32) {
    x.copy_within(2.., 0);
    (x[22], x[23]) = (new[0], new[1]);
    let mut sums = (0, 0);
    for i in 0..12 {
        sums.0 += x[2 * i] * QMF[i];
        sums.1 += x[2 * i + 1] * QMF[11 - i];
    }
    sums
}

fn saturated(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

#[cfg(test)]
#[path = "g722_tests.rs"]
mod tests;
