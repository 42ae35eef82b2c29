//! The jitter buffer: packets laid out by timestamp, decoded when their time comes, read 20 ms at a time.
//!
//! Time inside is in units of 8 kHz since the stream began, whatever the codec's RTP clock: order, duplicates and packet
//! lengths (10-120 ms, changing at will) matter nothing. It is no clock: whoever owns it reads it once every 20 ms. What
//! moves its delay:
//! - it starts, and starts again after a gap or a new stream, [`START`] behind the packet that begins it;
//! - when a read finds it empty, it waits (concealment is played) and what comes next is played late rather than lost:
//!   delay grows by as much as the network made us wait;
//! - when a read leaves hardly anything, the audio is drawn out by a pitch period before it runs empty; when for 2 s no read
//!   left less than [`SPARE`], it is shortened by pitch periods, as it is at every read while the delay is beyond [`MOST`].
//!   A clock that runs fast or slow on the other side is thereby followed.
//!
//! What must always hold: an insert or a read touches only memory it was made with, whatever arrives.

use baton_audio::FRAME_SAMPLES;

use crate::Codec;
use crate::plc::{Concealment, lengthen, scalable, shorten};
use crate::voice::{MOST_SAMPLES, Voices};
use crate::wire::Rtp;

/// Packets that may wait, and how long each may be; longer ones of G.711 and G.722 are kept in pieces of 20 ms.
const SLOTS: usize = 32;
const PAYLOAD: usize = 400;
/// Delay at the start: 40 ms.
const START: i64 = 320;
/// What may be left after a read in the long run: 30 ms.
const SPARE: i64 = 240;
/// What a read should leave, or the audio is drawn out: 20 ms, a packet.
const LEAST: i64 = 160;
/// Delay beyond which it shrinks at every read: 200 ms; beyond the other, 20 ms are left out at once: 400 ms.
const MOST: i64 = 1_600;
const FAR_TOO_MUCH: i64 = 3_200;
/// Reads over which the least left over is taken: 2 s. Reads between two stretches: 100 ms.
const WINDOW: u32 = 100;
const BETWEEN: u32 = 5;
/// Further from the present than this is another stream: 512 ms.
const HORIZON: i64 = 4_096;
/// A gap this long or less, after running empty, is lost audio (concealed); a longer one is a pause (start again): 60 ms.
const SHORT_GAP: i64 = 480;
const FRAME: i64 = FRAME_SAMPLES as i64;
/// Decoded samples that may wait: a frame, what is looked ahead, and the longest packet.
const DECODED: usize = MOST_SAMPLES + 640;

#[derive(Clone, Copy)]
struct Slot {
    at: i64,
    units: i64,
    codec: Codec,
    length: usize,
    payload: [u8; PAYLOAD],
}

/// 20 ms as they were read.
#[derive(Clone, Copy)]
pub struct Sound {
    /// The first 160 samples at 8 kHz, or 320 at 16 kHz.
    pub pcm: [i16; 320],
    /// Whether it is 16 kHz.
    pub wide: bool,
    /// Whether it is (or continues) something the peer has said, not the silence before its first packet.
    pub live: bool,
}

/// See the module.
pub struct JitterBuffer {
    slots: Box<[Option<Slot>; SLOTS]>,
    /// RTP clock, the newest timestamp and its place in time (in RTP units), by which others are placed.
    clock: u32,
    newest: (u32, i64),
    /// The next time to decode, and the time after the newest packet.
    next: i64,
    end: i64,
    running: bool,
    /// A read found less than a frame.
    starved: bool,
    /// A timestamp far from the present: two of a kind mean that the stream starts again.
    outlier: Option<u32>,
    /// Silence still to be played before the first packet; whether that has been decoded.
    lead: i64,
    said: bool,
    decoded: Box<[i16; DECODED]>,
    waiting: usize,
    wide: bool,
    concealment: Concealment,
    /// The level of a comfort-noise packet, when it is its turn.
    noise: Option<u8>,
    /// Since the window began: reads, and the least left over.
    reads: u32,
    least: i64,
    /// By how much it is to be shortened; reads since it was last drawn out.
    surplus: i64,
    since_stretch: u32,
    late: u64,
    concealed: u64,
    stretched: u64,
}

impl JitterBuffer {
    /// An empty one. Allocates.
    pub fn new() -> Self {
        Self {
            slots: Box::new([None; SLOTS]),
            clock: 8_000,
            newest: (0, 0),
            next: 0,
            end: 0,
            running: false,
            starved: false,
            outlier: None,
            lead: 0,
            said: false,
            decoded: Box::new([0; DECODED]),
            waiting: 0,
            wide: false,
            concealment: Concealment::new(),
            noise: None,
            reads: 0,
            least: i64::MAX,
            surplus: 0,
            since_stretch: 0,
            late: 0,
            concealed: 0,
            stretched: 0,
        }
    }

    /// Forgets what is buffered; the next packet starts it again.
    pub fn reset(&mut self) {
        (self.running, self.said, self.outlier) = (false, false, None);
    }

    /// Packets that came after their time or for which there was no room, and frames left out at once.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Frames read that were made up, wholly or in part.
    pub fn concealed(&self) -> u64 {
        self.concealed
    }

    /// Times the audio was drawn out or shortened.
    pub fn stretched(&self) -> u64 {
        self.stretched
    }

    /// How much is buffered, in units.
    pub fn depth(&self) -> i64 {
        if self.running { (self.end - self.next).max(0) + self.decoded_units() + self.lead } else { 0 }
    }

    fn decoded_units(&self) -> i64 {
        (if self.wide { self.waiting / 2 } else { self.waiting }) as i64
    }

    /// A comfort-noise packet of this level, in -dBov: heard once what came before it has been, until audio comes.
    pub fn comfort(&mut self, level: u8) {
        self.noise = Some(level);
    }

    /// Takes a packet. Its marker says that a talkspurt begins with it.
    pub fn insert(&mut self, packet: &Rtp<'_>, codec: Codec) {
        let Some(units) = codec.units(packet.payload).map(i64::from) else { return };
        if self.clock != codec.clock_rate() {
            (self.clock, self.running) = (codec.clock_rate(), false);
        }
        if !self.running {
            self.start(packet.timestamp);
        }
        let mut at = self.place(packet.timestamp);
        if self.starved {
            let gap = at - self.end;
            if gap > SHORT_GAP || (packet.marker && gap > 0) || gap <= -HORIZON {
                self.start(packet.timestamp);
                at = 0;
            } else if gap + units <= 0 {
                self.late += 1; // its time was concealed while it was waited for
                return;
            }
        } else if !(-HORIZON..HORIZON).contains(&(at - self.next)) {
            let confirmed = self.outlier.is_some_and(|seen| {
                let apart = i64::from(packet.timestamp.wrapping_sub(seen) as i32);
                self.units(apart).abs() <= MOST
            });
            self.outlier = Some(packet.timestamp);
            if !confirmed {
                self.late += 1;
                return;
            }
            self.start(packet.timestamp);
            at = 0;
        } else if at + units <= self.next {
            self.late += 1;
            return;
        }
        (self.outlier, self.starved) = (None, false);
        self.remember(packet.timestamp);
        if codec == Codec::Opus {
            self.keep(at, units, codec, packet.payload);
        } else {
            for (n, piece) in packet.payload.chunks(FRAME_SAMPLES).enumerate() {
                self.keep(at + n as i64 * FRAME, piece.len() as i64, codec, piece);
            }
        }
    }

    /// Where a timestamp lies in time.
    fn place(&self, timestamp: u32) -> i64 {
        let since = i64::from(timestamp.wrapping_sub(self.newest.0) as i32);
        self.units(self.newest.1 + since)
    }

    fn units(&self, rtp: i64) -> i64 {
        (rtp * 8_000).div_euclid(i64::from(self.clock))
    }

    fn remember(&mut self, timestamp: u32) {
        let since = i64::from(timestamp.wrapping_sub(self.newest.0) as i32);
        if since > 0 {
            self.newest = (timestamp, self.newest.1 + since);
        }
    }

    fn keep(&mut self, at: i64, units: i64, codec: Codec, payload: &[u8]) {
        if payload.len() > PAYLOAD || self.slots.iter().flatten().any(|slot| slot.at == at) {
            return;
        }
        let mut kept = [0; PAYLOAD];
        kept[..payload.len()].copy_from_slice(payload);
        let slot = Slot { at, units, codec, length: payload.len(), payload: kept };
        match self.slots.iter().position(Option::is_none).or_else(|| self.first()) {
            Some(place) => {
                self.late += u64::from(self.slots[place].is_some()); // the oldest gives way
                self.slots[place] = Some(slot);
            }
            None => return,
        }
        self.end = self.end.max(at + units);
    }

    /// The earliest packet.
    fn first(&self) -> Option<usize> {
        let waiting = self.slots.iter().enumerate().filter_map(|(n, slot)| slot.as_ref().map(|slot| (slot.at, n)));
        waiting.min().map(|(_, n)| n)
    }

    /// Reads the next 20 ms.
    pub fn read(&mut self, voices: &mut Voices) -> Sound {
        let concealed = self.concealed;
        let (scale, n) = (self.scale(), self.frame());
        let wanted = if scale == Scale::Shorten { n + n / 2 } else { n };
        let made_up = self.decode_until(wanted, voices);
        let n = if self.wide { 320 } else { n.min(160) }; // what was decoded may be of another rate
        let mut sound = Sound { pcm: [0; 320], wide: self.wide, live: self.said };
        if self.waiting < n {
            self.starved = self.running;
            if let Some(level) = self.noise.take() {
                self.concealment.comfort(level);
            }
            self.concealed += u64::from(self.concealment.audible());
            self.concealment.fill(&mut sound.pcm[..n]);
            return sound;
        }
        let lag = match scale {
            Scale::Keep => None,
            Scale::Shorten | Scale::Lengthen => scalable(&self.decoded[..self.waiting], n),
        };
        let used = match (scale, lag) {
            (Scale::Shorten, Some(lag)) if self.waiting >= n + lag => {
                shorten(&self.decoded[..], lag, &mut sound.pcm[..n]);
                self.surplus -= self.to_units(lag);
                self.stretched += 1;
                n + lag
            }
            (Scale::Lengthen, Some(lag)) => {
                lengthen(&self.decoded[..], lag, &mut sound.pcm[..n]);
                (self.since_stretch, self.least) = (0, i64::MAX);
                self.stretched += 1;
                n - lag
            }
            _ => {
                sound.pcm[..n].copy_from_slice(&self.decoded[..n]);
                n
            }
        };
        self.decoded.copy_within(used..self.waiting, 0);
        self.waiting -= used;
        if self.concealed == concealed {
            self.concealed += u64::from(made_up);
        }
        sound
    }

    fn frame(&self) -> usize {
        if self.wide { 320 } else { 160 }
    }

    fn to_units(&self, samples: usize) -> i64 {
        (if self.wide { samples / 2 } else { samples }) as i64
    }

    fn start(&mut self, timestamp: u32) {
        self.slots.fill(None);
        self.waiting = 0;
        self.concealment.begin();
        (self.newest, self.next, self.end) = ((timestamp, 0), 0, 0);
        (self.running, self.starved, self.lead) = (true, false, START);
        (self.least, self.reads, self.surplus, self.since_stretch) = (i64::MAX, 0, 0, 0);
    }

    /// What this read is to do about the delay.
    fn scale(&mut self) -> Scale {
        if !self.running || self.starved || self.lead > 0 {
            return Scale::Keep;
        }
        let left = self.depth() - FRAME;
        self.least = self.least.min(left);
        self.reads += 1;
        self.since_stretch += 1;
        if self.reads >= WINDOW {
            self.surplus = if self.least > SPARE { self.least - SPARE + FRAME / 2 } else { 0 };
            (self.reads, self.least) = (0, i64::MAX);
        }
        if left > FAR_TOO_MUCH {
            self.skip();
        }
        match left {
            _ if left > MOST || self.surplus > 0 => Scale::Shorten,
            0..LEAST if self.since_stretch >= BETWEEN => Scale::Lengthen,
            _ => Scale::Keep,
        }
    }

    /// Leaves out 20 ms at once.
    fn skip(&mut self) {
        self.late += 1;
        let drop = self.waiting.min(self.frame());
        self.decoded.copy_within(drop..self.waiting, 0);
        self.waiting -= drop;
        if drop == 0 {
            self.next += FRAME;
        }
    }

    /// Decodes packets until so many samples wait, or there are no more; true if some of it had to be made up.
    fn decode_until(&mut self, wanted: usize, voices: &mut Voices) -> bool {
        let mut made_up = false;
        while self.waiting < wanted && self.running {
            if self.lead > 0 {
                let count = self.lead.min(FRAME);
                let mut silence = [0; 2 * FRAME_SAMPLES];
                let n = self.samples(count).min(silence.len());
                self.concealment.fill(&mut silence[..n]);
                self.push(&silence[..n]);
                self.lead -= count;
                continue;
            }
            let Some(place) = self.first() else { break };
            let Some(slot) = self.slots[place].take() else { break };
            if slot.at + slot.units <= self.next {
                continue;
            }
            self.rate(slot.codec);
            if slot.at > self.next {
                made_up |= self.bridge_gap(&slot, voices);
                self.slots[place] = Some(slot);
            } else {
                made_up |= self.decode(&slot, voices);
            }
        }
        made_up
    }

    fn samples(&self, units: i64) -> usize {
        (if self.wide { 2 * units } else { units }) as usize
    }

    /// Another sample rate from here on: what waits at the old one is given up.
    fn rate(&mut self, codec: Codec) {
        let wide = codec.sample_rate() == 16_000;
        if wide != self.wide {
            (self.wide, self.waiting) = (wide, 0);
            self.concealment.reset(wide);
        }
    }

    fn decode(&mut self, slot: &Slot, voices: &mut Voices) -> bool {
        let mut pcm = [0; MOST_SAMPLES];
        let payload = &slot.payload[..slot.length];
        let got = voices.get(slot.codec).map_or(0, |voice| voice.decode(payload, &mut pcm));
        let skip = self.samples(self.next - slot.at).min(got);
        self.next = slot.at + slot.units;
        if got == 0 {
            let n = self.samples(slot.units).min(MOST_SAMPLES);
            self.concealment.fill(&mut pcm[..n]);
            self.push(&pcm[..n]);
            return true;
        }
        self.said = true;
        self.concealment.heard(&mut pcm[skip..got]);
        self.push(&pcm[skip..got]);
        false
    }

    /// Makes up a piece of what is missing before `slot`; true if it stands for something heard.
    fn bridge_gap(&mut self, slot: &Slot, voices: &mut Voices) -> bool {
        let gap = slot.at - self.next;
        let piece = if gap == slot.units { gap.min(3 * FRAME) } else { gap.min(FRAME) };
        let mut pcm = [0; MOST_SAMPLES];
        let n = self.samples(piece).min(MOST_SAMPLES);
        let heard = self.concealment.audible();
        // The packet right after a lost one may carry it a second time (Opus FEC).
        let next = (gap == piece).then_some(&slot.payload[..slot.length]);
        let recovered = voices.get(slot.codec).map_or(0, |voice| voice.recover(next, &mut pcm[..n]));
        if recovered == n {
            self.concealment.recovered(&pcm[..n]);
        } else {
            self.concealment.fill(&mut pcm[..n]);
        }
        self.push(&pcm[..n]);
        self.next += piece;
        heard
    }

    fn push(&mut self, pcm: &[i16]) {
        let room = DECODED - self.waiting;
        let n = pcm.len().min(room);
        self.decoded[self.waiting..self.waiting + n].copy_from_slice(&pcm[..n]);
        self.waiting += n;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    Keep,
    Shorten,
    Lengthen,
}

#[cfg(test)]
#[path = "jitter_tests.rs"]
mod tests;
