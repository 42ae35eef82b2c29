//! What a leg's peer says, decoded: the jitter buffer and what is made of a frame for those who want it, at 8 and at
//! 16 kHz. Nobody listens to most bridged legs; then nothing here runs.

use baton_audio::FRAME_SAMPLES;
use baton_audio::halfband::{Down, Up};

use crate::Codec;
use crate::inband::ToneDetector;
use crate::jitter::JitterBuffer;
use crate::voice::Voices;

/// Samples of 20 ms at 16 kHz.
pub const WIDE: usize = 2 * FRAME_SAMPLES;

/// See the module.
pub struct Ear {
    /// Somebody listens.
    pub wanted: bool,
    /// Somebody listens at 16 kHz.
    wide_wanted: bool,
    /// What the two become once all wishes are known.
    wished: bool,
    wished_wide: bool,
    /// The newest 20 ms are something the peer has said.
    pub live: bool,
    /// The codec of the last audio packet.
    pub codec: Option<Codec>,
    /// Packets on their way to being heard.
    pub jitter: JitterBuffer,
    /// Ears for tones, where the line has no other way for digits.
    pub tones: ToneDetector,
    /// The newest 20 ms at 8 kHz, and at 16 where that is wanted.
    pub narrow: [i16; FRAME_SAMPLES],
    /// See `narrow`.
    pub wide: [i16; WIDE],
    down: Down,
    up: Up,
}

impl Ear {
    /// Ears that hear nothing yet. Allocates.
    pub fn new() -> Self {
        Self {
            wanted: false,
            wide_wanted: false,
            wished: false,
            wished_wide: false,
            live: false,
            codec: None,
            jitter: JitterBuffer::new(),
            tones: ToneDetector::new(),
            narrow: [0; FRAME_SAMPLES],
            wide: [0; WIDE],
            down: Down::default(),
            up: Up::default(),
        }
    }

    /// Begins to collect who wants to listen; `itself` says that the leg does.
    pub fn wish(&mut self, itself: bool) {
        (self.wished, self.wished_wide) = (itself, false);
    }

    /// Another leg wants to listen, at 16 kHz if `wide`.
    pub fn wish_also(&mut self, wide: bool) {
        self.wished = true;
        self.wished_wide |= wide;
    }

    /// All wishes are known.
    pub fn settle(&mut self) {
        if self.wished && !self.wanted {
            self.reset();
        }
        (self.wanted, self.wide_wanted) = (self.wished, self.wished_wide);
    }

    /// Another stream, or listening begins anew.
    pub fn reset(&mut self) {
        self.jitter.reset();
        (self.narrow, self.wide) = ([0; FRAME_SAMPLES], [0; WIDE]);
    }

    /// Hears the next 20 ms.
    pub fn listen(&mut self, voices: &mut Voices) {
        let sound = self.jitter.read(voices);
        self.live = sound.live;
        if sound.wide {
            self.wide = sound.pcm;
            self.down.run(&self.wide, &mut self.narrow);
        } else {
            self.narrow.copy_from_slice(&sound.pcm[..FRAME_SAMPLES]);
            if self.wide_wanted {
                self.up.run(&self.narrow, &mut self.wide);
            }
        }
    }

    /// Adds the newest 20 ms, `gain` 4,096ths as loud, to a mix at 8 or 16 kHz.
    pub fn add_to(&self, mix: &mut [i32], gain: i32) {
        let pcm: &[i16] = if mix.len() > FRAME_SAMPLES { &self.wide } else { &self.narrow };
        for (sum, sample) in mix.iter_mut().zip(pcm) {
            *sum += i32::from(*sample) * gain / super::UNITY;
        }
    }
}

/// Brings a mix back to 16 bits. Up to three quarters of full scale nothing changes; beyond, loud sums are bent, not cut.
pub fn guard(sum: i32) -> i16 {
    const KNEE: i32 = 24_576;
    const ROOM: i32 = 32_767 - KNEE;
    let magnitude = sum.abs();
    if magnitude <= KNEE {
        return sum as i16;
    }
    let over = i64::from(magnitude - KNEE);
    // A curve that leaves the knee with slope 1 and reaches full scale only in the infinite.
    let bent = KNEE + (over * i64::from(ROOM) / (over + i64::from(ROOM))) as i32;
    (if sum < 0 { -bent } else { bent }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_changes_nothing_below_its_knee_and_never_clips() {
        assert!((-24_576..=24_576).all(|v| i32::from(guard(v)) == v));
        let mut last = i32::from(guard(24_576));
        for sum in (24_577..400_000).step_by(97) {
            let bent = i32::from(guard(sum));
            assert!(bent >= last && bent < 32_767 && guard(-sum) == -guard(sum));
            last = bent;
        }
        assert!(i32::from(guard(30_000)) > 27_500, "two voices at once are hardly bent");
    }
}
