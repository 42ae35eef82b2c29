//! The jitter buffer: what arrived, laid out by timestamp in a fixed ring of samples, read out 20 ms at a time.
//!
//! Laying samples (not packets) by time makes order, duplicates and packet lengths (10-120 ms, changing at will) matter
//! nothing. It is no clock: whoever owns it reads it once every 20 ms. Three rules move its delay:
//! - it starts, and starts again after a gap or a new stream, [`START`] behind the packet that begins it;
//! - when a read finds it empty, the cursor waits (concealment is played) and what comes next is played late rather than
//!   lost: delay grows by as much as the network made us wait;
//! - when for 5 s no read found less than [`SPARE`] beyond what it took, 20 ms are skipped, in a pause if one comes;
//!   beyond [`MOST`] 20 ms are skipped at every read.
//!
//! What must always hold: an insert or a read touches only the ring, whatever timestamps arrive.

use baton_audio::FRAME_SAMPLES;

use crate::Codec;

/// Samples the ring holds: 512 ms. A power of two.
const RING: usize = 4_096;
/// Delay at the start: 40 ms.
const START: u32 = 320;
/// Delay that no read needed, beyond which it shrinks: 60 ms.
const SPARE: u32 = 480;
/// Delay beyond which it shrinks at once: 200 ms.
const MOST: u32 = 1_600;
/// Reads over which the least spare delay is taken: 5 s.
const WINDOW: u32 = 250;
/// A gap this long or less, after running empty, is lost audio (concealed); a longer one is a pause (start again): 60 ms.
const SHORT_GAP: i32 = 480;
/// Below this a frame counts as a pause that may be skipped (about -40 dB).
const QUIET: i16 = 330;
const FRAME: u32 = FRAME_SAMPLES as u32;

/// See the module.
pub struct JitterBuffer {
    samples: [i16; RING],
    filled: [bool; RING],
    /// Timestamp of the next sample to read.
    cursor: u32,
    /// Timestamp after the newest sample.
    end: u32,
    running: bool,
    /// A read found less than a frame.
    starved: bool,
    /// A timestamp far from the ring: two of a kind mean that the stream starts again.
    outlier: Option<u32>,
    least: u32,
    reads: u32,
    /// Frames that may be skipped, and reads since then.
    surplus: bool,
    waited: u32,
    concealment: Concealment,
    late: u64,
    concealed: u64,
}

impl JitterBuffer {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            samples: [0; RING],
            filled: [false; RING],
            cursor: 0,
            end: 0,
            running: false,
            starved: false,
            outlier: None,
            least: u32::MAX,
            reads: 0,
            surplus: false,
            waited: 0,
            concealment: Concealment::new(),
            late: 0,
            concealed: 0,
        }
    }

    /// Forgets what is buffered; the next packet starts it again.
    pub fn reset(&mut self) {
        self.running = false;
        self.outlier = None;
    }

    /// Packets that came after their time, and frames skipped because the delay was beyond its limit.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Frames read that were made up, wholly or in part.
    pub fn concealed(&self) -> u64 {
        self.concealed
    }

    /// How much is buffered, in samples.
    pub fn depth(&self) -> u32 {
        if self.running { self.end.wrapping_sub(self.cursor).min(RING as u32) } else { 0 }
    }

    /// Takes a packet's payload. `marker` says that a talkspurt begins with it.
    pub fn insert(&mut self, timestamp: u32, marker: bool, codec: Codec, payload: &[u8]) {
        let length = payload.len() as i32;
        if !self.running {
            self.start(timestamp);
        }
        let ahead = timestamp.wrapping_sub(self.cursor) as i32;
        if self.starved {
            let gap = timestamp.wrapping_sub(self.end) as i32;
            if gap > SHORT_GAP || (marker && gap > 0) || gap <= -(RING as i32) {
                self.start(timestamp);
            } else if gap.saturating_add(length) <= 0 {
                self.late += 1; // its time was concealed while the cursor waited
                return;
            }
        } else if ahead.unsigned_abs() as usize >= RING || ahead.saturating_add(length) > RING as i32 {
            let confirmed =
                self.outlier.is_some_and(|seen| (timestamp.wrapping_sub(seen) as i32).unsigned_abs() <= MOST);
            self.outlier = Some(timestamp);
            if !confirmed {
                self.late += 1;
                return;
            }
            self.start(timestamp);
        } else if ahead + length <= 0 {
            self.late += 1;
            return;
        }
        self.outlier = None;
        self.starved = false;
        for (offset, byte) in payload.iter().enumerate() {
            let at = timestamp.wrapping_add(offset as u32);
            if (at.wrapping_sub(self.cursor) as i32) >= 0 {
                let index = at as usize % RING;
                self.samples[index] = codec.decode(*byte);
                self.filled[index] = true;
            }
        }
        let end = timestamp.wrapping_add(payload.len() as u32);
        if (end.wrapping_sub(self.end) as i32) > 0 {
            self.end = end;
        }
    }

    /// Reads the next 20 ms.
    pub fn read(&mut self) -> [i16; FRAME_SAMPLES] {
        let mut frame = [0; FRAME_SAMPLES];
        if self.running {
            self.shrink();
        }
        if self.depth() < FRAME {
            self.starved = self.running;
            let heard = self.concealment.audible();
            frame.fill_with(|| self.concealment.next());
            self.concealed += u64::from(heard);
            return frame;
        }
        let mut made_up = false;
        for sample in &mut frame {
            let index = self.cursor as usize % RING;
            if std::mem::take(&mut self.filled[index]) {
                *sample = self.samples[index];
                self.concealment.heard(*sample);
            } else {
                made_up |= self.concealment.audible();
                *sample = self.concealment.next();
            }
            self.cursor = self.cursor.wrapping_add(1);
        }
        self.concealed += u64::from(made_up);
        frame
    }

    fn start(&mut self, timestamp: u32) {
        self.filled.fill(false);
        self.cursor = timestamp.wrapping_sub(START);
        self.end = timestamp;
        self.running = true;
        self.starved = false;
        self.least = u32::MAX;
        self.reads = 0;
        self.surplus = false;
    }

    /// Skips a frame where the delay is longer than it needs to be.
    fn shrink(&mut self) {
        let depth = self.depth();
        self.least = self.least.min(depth);
        self.reads += 1;
        self.waited += 1;
        if self.reads >= WINDOW {
            self.surplus = self.least >= FRAME + SPARE;
            self.least = u32::MAX;
            self.reads = 0;
            self.waited = 0;
        }
        if depth > FRAME + MOST {
            self.late += u64::from(!self.quiet());
            self.skip();
        } else if self.surplus && depth >= 2 * FRAME && (self.quiet() || self.waited >= WINDOW - 1) {
            self.skip();
            self.surplus = false;
        }
    }

    fn quiet(&self) -> bool {
        (0..FRAME).all(|offset| {
            let index = self.cursor.wrapping_add(offset) as usize % RING;
            !self.filled[index] || self.samples[index].unsigned_abs() < QUIET as u16
        })
    }

    fn skip(&mut self) {
        for _ in 0..FRAME {
            self.filled[self.cursor as usize % RING] = false;
            self.cursor = self.cursor.wrapping_add(1);
        }
    }
}

/// What is played where nothing came: the last 20 ms again and again, faded to nothing over 60 ms.
struct Concealment {
    last: [i16; FRAME_SAMPLES],
    at: usize,
    run: i32,
}

impl Concealment {
    /// Samples until it is silent.
    const FADE: i32 = 480;

    fn new() -> Self {
        Self { last: [0; FRAME_SAMPLES], at: 0, run: Self::FADE }
    }

    fn heard(&mut self, sample: i16) {
        self.last[self.at] = sample;
        self.at = (self.at + 1) % FRAME_SAMPLES;
        self.run = 0;
    }

    fn audible(&self) -> bool {
        self.run < Self::FADE
    }

    fn next(&mut self) -> i16 {
        if !self.audible() {
            return 0;
        }
        let sample = i32::from(self.last[self.at]) * (Self::FADE - self.run) / Self::FADE;
        self.at = (self.at + 1) % FRAME_SAMPLES;
        self.run += 1;
        sample as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ULAW: Codec = Codec::Pcmu;

    /// Sample `t` of a stream whose every sample tells its place (as far as µ-law keeps it): a loud saw of period 97.
    fn sample(t: u32) -> i16 {
        ULAW.decode(ULAW.encode((t % 97) as i16 * 300 - 14_550))
    }

    fn payload(t: u32, length: u32) -> Vec<u8> {
        (t..t + length).map(|t| ULAW.encode((t % 97) as i16 * 300 - 14_550)).collect()
    }

    /// A stream that starts at `base` (its sample 0) and is read every 20 ms.
    struct Stream {
        buffer: JitterBuffer,
        base: u32,
        heard: Vec<i16>,
    }

    impl Stream {
        fn new(base: u32) -> Self {
            Self { buffer: JitterBuffer::new(), base, heard: Vec::new() }
        }
        fn insert(&mut self, t: u32, length: u32) {
            self.buffer.insert(self.base.wrapping_add(t), false, ULAW, &payload(t, length));
        }
        fn read(&mut self) {
            self.heard.extend(self.buffer.read());
        }
        /// Where sample `t` of the stream is in what was heard, for a run of 160.
        fn place(&self, t: u32) -> Option<usize> {
            let wanted: Vec<i16> = (t..t + 160).map(sample).collect();
            self.heard.windows(160).position(|w| w == wanted)
        }
    }

    #[test]
    fn in_order_it_delays_by_40_ms_and_changes_nothing() {
        for base in [0, 5_000, u32::MAX - 700] {
            let mut s = Stream::new(base);
            for i in 0..20 {
                s.insert(i * 160, 160);
                s.read();
            }
            let expected: Vec<i16> = vec![0; 320].into_iter().chain((0..18 * 160).map(sample)).collect();
            assert_eq!(s.heard, expected, "base {base}");
            assert_eq!((s.buffer.late(), s.buffer.concealed()), (0, 0));
        }
    }

    #[test]
    fn any_packet_length_from_10_to_60_ms_comes_out_whole() {
        for length in [80, 160, 240, 320, 480] {
            let mut s = Stream::new(77);
            let mut sent = 0;
            for tick in 0..100u32 {
                while sent <= tick * 160 {
                    s.insert(sent, length);
                    sent += length;
                }
                s.read();
            }
            let expected: Vec<i16> = vec![0; 320].into_iter().chain((0..98 * 160).map(sample)).collect();
            assert_eq!(s.heard, expected, "packets of {length}");
        }
    }

    #[test]
    fn reordered_and_doubled_packets_come_out_in_order_once() {
        let mut s = Stream::new(0);
        s.insert(0, 160);
        s.read();
        for pair in 0..10 {
            let t = 160 + pair * 320;
            s.insert(t + 160, 160);
            s.insert(t, 160);
            s.insert(t, 160);
            s.read();
            s.read();
        }
        let expected: Vec<i16> = vec![0; 320].into_iter().chain((0..19 * 160).map(sample)).collect();
        assert_eq!(s.heard, expected);
    }

    #[test]
    fn a_lost_packet_is_concealed_in_its_place() {
        let mut s = Stream::new(0);
        for i in 0..20 {
            if i != 8 {
                s.insert(i * 160, 160);
            }
            s.read();
        }
        assert_eq!(s.buffer.concealed(), 1);
        let lost = &s.heard[320 + 8 * 160..320 + 9 * 160];
        assert!(lost.iter().any(|v| v.abs() > 3_000), "the last frame again, not silence");
        assert_eq!(s.heard[320 + 9 * 160..], (9 * 160..18 * 160).map(sample).collect::<Vec<_>>(), "and on in time");
    }

    #[test]
    fn concealment_fades_to_silence_in_60_ms_and_then_counts_nothing() {
        let mut s = Stream::new(0);
        for i in 0..5 {
            s.insert(i * 160, 160);
            s.read();
        }
        for _ in 0..50 {
            s.read();
        }
        assert!(s.heard[s.heard.len() - 160..].iter().all(|v| *v == 0));
        assert_eq!(s.buffer.concealed(), 3);
    }

    #[test]
    fn a_stall_and_its_burst_lose_nothing_and_the_delay_comes_down_again() {
        let mut s = Stream::new(0);
        let mut next = 0;
        let mut push = |s: &mut Stream, n: u32| {
            for _ in 0..n {
                s.insert(next, 160);
                next += 160;
            }
        };
        for _ in 0..10 {
            push(&mut s, 1);
            s.read();
        }
        for _ in 0..6 {
            s.read(); // 120 ms of nothing
        }
        push(&mut s, 7);
        s.read();
        let deep = s.buffer.depth();
        assert!((800..=MOST).contains(&deep), "{deep}");
        for _ in 0..20 {
            push(&mut s, 1);
            s.read();
        }
        assert!((0..30).all(|i| s.place(i * 160).is_some()), "every packet was heard");
        assert_eq!(s.buffer.late(), 0);
        for _ in 0..3_000 {
            push(&mut s, 1);
            s.read();
        }
        assert!(s.buffer.depth() <= FRAME + SPARE, "{}", s.buffer.depth());
    }

    #[test]
    fn delay_never_stays_beyond_200_ms() {
        let mut s = Stream::new(0);
        for i in 0..20 {
            s.insert(i * 160, 160); // all at once: 400 ms
        }
        for i in 20..40 {
            s.insert(i * 160, 160);
            s.read();
        }
        assert!(s.buffer.depth() <= MOST + FRAME, "{}", s.buffer.depth());
    }

    #[test]
    fn a_packet_after_its_time_is_late_and_dropped() {
        let mut s = Stream::new(0);
        for i in 0..10 {
            if i != 3 {
                s.insert(i * 160, 160);
            }
            s.read();
        }
        let before = s.buffer.depth();
        s.insert(3 * 160, 160);
        assert_eq!((s.buffer.late(), s.buffer.depth()), (1, before));
    }

    #[test]
    fn after_a_pause_in_the_stream_the_delay_is_as_at_the_start() {
        let mut s = Stream::new(0);
        for i in 0..10 {
            s.insert(i * 160, 160);
            s.read();
        }
        for _ in 0..50 {
            s.read(); // silence suppression: nothing is sent for a second
        }
        s.insert(60 * 160, 160);
        assert_eq!(s.buffer.depth(), START + 160);
    }

    #[test]
    fn a_stream_that_starts_again_elsewhere_is_followed_a_single_wild_packet_is_not() {
        let mut s = Stream::new(0);
        for i in 0..10 {
            s.insert(i * 160, 160);
            s.read();
        }
        let before = s.buffer.depth();
        s.insert(1_000_000, 160);
        assert_eq!(s.buffer.depth(), before, "one wild packet");
        s.insert(10 * 160, 160);
        assert_eq!(s.buffer.depth(), before + 160);
        s.insert(2_000_000, 160);
        s.insert(2_000_160, 160);
        assert_eq!(s.buffer.depth(), START + 160, "two in a row");
    }

    #[test]
    fn random_input_never_panics_or_grows() {
        use rand::{Rng, SeedableRng, rngs::StdRng};
        let mut random = StdRng::seed_from_u64(11);
        let mut buffer = JitterBuffer::new();
        for _ in 0..100_000 {
            let near = buffer.cursor.wrapping_add(random.random_range(0..12_000)).wrapping_sub(6_000);
            let timestamp = if random.random_bool(0.9) { near } else { random.random() };
            let bytes = vec![random.random(); random.random_range(0..=960)];
            buffer.insert(timestamp, random.random_bool(0.1), ULAW, &bytes);
            if random.random_bool(0.5) {
                let _ = buffer.read();
            }
            assert!(buffer.depth() as usize <= RING);
        }
    }
}
