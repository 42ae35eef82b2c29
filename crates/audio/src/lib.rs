//! Audio by value: 20 ms frames, clips, files, G.711, G.722, resampling. No sockets, no clock. Frames and clips are mono,
//! 8 kHz, signed 16 bit: what a telephone carries. Wide-band codecs pass 16 kHz between legs ([`halfband`]).

mod file;
pub mod g711;
pub mod g722;
pub mod halfband;
mod resample;

use std::sync::Arc;
use std::time::Duration;

pub use file::{LoadError, decode_clip, load_clip, read_audio, write_wav};
pub use resample::{resample, resample_f32};

/// Samples a second, everywhere inside.
pub const RATE: u32 = 8_000;

/// Samples in one frame: 20 ms.
pub const FRAME_SAMPLES: usize = 160;

/// 20 ms of audio, passed by value.
#[derive(Clone, Copy, Debug)]
pub struct AudioFrame {
    /// Samples at 8 kHz since the leg's media began; wraps after six days.
    pub media_time: u32,
    /// The samples.
    pub samples: [i16; FRAME_SAMPLES],
}

impl AudioFrame {
    /// 20 ms of silence.
    pub const fn silence(media_time: u32) -> Self {
        Self { media_time, samples: [0; FRAME_SAMPLES] }
    }
}

/// A piece of audio to play, shared and never changed.
#[derive(Clone, Debug)]
pub struct Clip(Arc<[i16]>);

impl Clip {
    /// A clip of these samples at [`RATE`].
    pub fn new(samples: Vec<i16>) -> Self {
        Self(samples.into())
    }

    /// How many samples.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to play.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The samples.
    pub fn samples(&self) -> &[i16] {
        &self.0
    }

    /// How long it plays.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.0.len() as u64 * 1_000_000 / u64::from(RATE))
    }
}
