//! What a phone heard: a timeline of 8 kHz samples placed by RTP timestamp, packet by packet, with the time of each.
//!
//! The timeline starts when the phone opened its port, so a gap in the stream is silence of the right length. No sockets
//! and no clock in here: arrival times come in as arguments.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::g711;
use crate::rtp::{self, Packet};
use crate::sdp::{Codec, Remote};

/// Root mean square above which a packet counts as sound, about -44 dBFS: well over a quiet line, well under speech.
pub const VOICED_RMS: f64 = 200.0;
/// On a noisy line a packet must stand out from the noise by this factor (6 dB) to count as sound.
const ABOVE_NOISE: f64 = 2.0;
/// The noise is what the quietest packets of the last three seconds hold: speech always pauses within that.
const NOISE_PACKETS: usize = 150;
/// Silence that separates two spells of sound.
pub const SPELL_GAP: Duration = Duration::from_millis(300);
/// A jump between RTP time and arrival time above this starts the timeline anew at the time of arrival.
const REANCHOR_SAMPLES: i64 = 8_000;

/// One audio packet as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct HeardPacket {
    /// Arrival.
    pub at: Instant,
    /// First sample of the packet in [`Heard::samples`].
    pub position: usize,
    /// Number of samples.
    pub len: usize,
    /// RTP marker bit.
    pub marker: bool,
    /// Loud enough for sound; see [`VOICED_RMS`].
    pub voiced: bool,
    /// Largest magnitude in the packet.
    pub peak: u16,
}

/// A stretch of sound with no pause of 300 ms or more in it.
#[derive(Clone, Copy, Debug)]
pub struct Spell {
    /// Arrival of its first voiced packet.
    pub start: Instant,
    /// Arrival of its last voiced packet.
    pub end: Instant,
}

/// Reception statistics (RFC 3550 §6.4, appendix A).
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RtpStats {
    /// RTP packets received, audio and events.
    pub received: u64,
    /// Expected by sequence numbers and not received.
    pub lost: u64,
    /// Received twice, or after a later one.
    pub late: u64,
    /// Datagrams that were no RTP of this stream's payload types.
    pub strays: u64,
    /// Interarrival jitter at the end, ms.
    pub jitter_ms: f64,
    /// RTP packets sent.
    pub sent: u64,
}

/// Everything heard so far.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The moment of sample 0.
    pub zero: Instant,
    /// 8 kHz mono.
    pub samples: Vec<i16>,
    /// Audio packets in order of arrival.
    pub packets: Vec<HeardPacket>,
    /// Spells of sound in order.
    pub spells: Vec<Spell>,
    /// RFC 4733 digits, each once, with the arrival of its first packet.
    pub digits: Vec<(char, Instant)>,
    /// Counters.
    pub stats: RtpStats,
}

impl Heard {
    pub(crate) fn new(zero: Instant) -> Self {
        Self {
            zero,
            samples: Vec::new(),
            packets: Vec::new(),
            spells: Vec::new(),
            digits: Vec::new(),
            stats: RtpStats::default(),
        }
    }

    /// Arrival of the first audio packet.
    pub fn first_packet(&self) -> Option<Instant> {
        self.packets.first().map(|p| p.at)
    }

    /// Arrival of the last voiced packet.
    pub fn last_voiced(&self) -> Option<Instant> {
        self.spells.last().map(|s| s.end)
    }

    /// Arrival of the first voiced packet after `from`.
    pub fn voiced_after(&self, from: Instant) -> Option<Instant> {
        self.after(from).find(|p| p.voiced).map(|p| p.at)
    }

    /// Arrival of the first packet after `from` that is more than digital silence. A gateway that sends silence between
    /// its sentences is so measured by the first packet of the sentence, one that pauses by its first packet.
    pub fn sound_after(&self, from: Instant) -> Option<Instant> {
        self.after(from).find(|p| p.peak > 16).map(|p| p.at)
    }

    /// How much voiced audio arrived after `from`.
    pub fn voiced_time_after(&self, from: Instant) -> Duration {
        let samples: usize = self.after(from).filter(|p| p.voiced).map(|p| p.len).sum();
        Duration::from_micros(samples as u64 * 125)
    }

    /// The samples whose place in the timeline lies after `from`.
    pub fn since(&self, from: Instant) -> &[i16] {
        let start = samples_between(self.zero, from).min(self.samples.len());
        &self.samples[start..]
    }

    fn after(&self, from: Instant) -> impl Iterator<Item = &HeardPacket> {
        let start = self.packets.partition_point(|p| p.at <= from);
        self.packets[start..].iter()
    }
}

/// Turns packets into [`Heard`].
#[derive(Debug)]
pub struct Recorder {
    pub heard: Heard,
    stream: Option<Stream>,
    last_event: Option<u32>,
    /// Levels (RMS) of the last packets.
    levels: VecDeque<f64>,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    first_sequence: i64,
    highest: i64,
    received: u64,
    lost_before: u64,
    anchor_timestamp: u32,
    anchor_position: i64,
    transit: Option<i64>,
    jitter: f64,
}

impl Recorder {
    pub fn new(zero: Instant) -> Self {
        Self { heard: Heard::new(zero), stream: None, last_event: None, levels: VecDeque::new() }
    }

    /// Takes one datagram. `remote` is what the answer said; before it is known, static payload types are believed.
    pub fn datagram(&mut self, bytes: &[u8], at: Instant, remote: Option<&Remote>) {
        let Some(packet) = Packet::parse(bytes) else {
            self.heard.stats.strays += 1;
            return;
        };
        let event_type = remote.map_or(Some(101), |r| r.event_type);
        let codec = match (packet.payload_type, remote) {
            (t, Some(r)) if t == r.payload_type => Some(r.codec),
            (0, _) => Some(Codec::Pcmu),
            (8, _) => Some(Codec::Pcma),
            _ => None,
        };
        if codec.is_none() && Some(packet.payload_type) != event_type {
            self.heard.stats.strays += 1;
            return;
        }
        let Some(position) = self.place(&packet, at, codec.is_some()) else { return };
        match codec {
            Some(codec) => self.audio(&packet, codec, position, at),
            None => self.event(&packet, at),
        }
    }

    /// Sequence and timestamp bookkeeping. `None` for a duplicate.
    fn place(&mut self, packet: &Packet<'_>, at: Instant, audio: bool) -> Option<usize> {
        let arrival = samples_between(self.heard.zero, at) as i64;
        let sequence = i64::from(packet.sequence);
        let changed = self.stream.as_ref().is_none_or(|s| s.ssrc != packet.ssrc);
        if changed {
            let lost_before = self.stream.as_ref().map_or(0, Stream::lost);
            self.stream = Some(Stream {
                ssrc: packet.ssrc,
                first_sequence: sequence,
                highest: sequence - 1,
                received: 0,
                lost_before,
                anchor_timestamp: packet.timestamp,
                anchor_position: arrival,
                transit: None,
                jitter: 0.0,
            });
        }
        let stream = self.stream.as_mut()?;
        // Extend the sequence number to the value nearest to the highest seen (RFC 3550 appendix A.1).
        let extended = stream.highest + i64::from((packet.sequence.wrapping_sub(stream.highest as u16)) as i16);
        stream.received += 1;
        self.heard.stats.received += 1;
        if extended <= stream.highest {
            self.heard.stats.late += 1;
        }
        stream.highest = stream.highest.max(extended);
        self.heard.stats.lost = stream.lost();

        let offset = i64::from(packet.timestamp.wrapping_sub(stream.anchor_timestamp) as i32);
        let mut position = stream.anchor_position + offset;
        let drift = (position - arrival).abs();
        if drift > REANCHOR_SAMPLES || (packet.marker && audio && drift > REANCHOR_SAMPLES / 4) {
            stream.anchor_timestamp = packet.timestamp;
            stream.anchor_position = arrival;
            stream.transit = None;
            position = arrival;
        }
        if audio {
            let transit = arrival - i64::from(packet.timestamp.wrapping_sub(stream.anchor_timestamp) as i32);
            if let Some(before) = stream.transit.replace(transit) {
                stream.jitter += ((transit - before).abs() as f64 - stream.jitter) / 16.0;
            }
            self.heard.stats.jitter_ms = stream.jitter / 8.0;
        }
        Some(position.max(0) as usize)
    }

    fn audio(&mut self, packet: &Packet<'_>, codec: Codec, position: usize, at: Instant) {
        let len = packet.payload.len();
        let heard = &mut self.heard;
        if heard.samples.len() < position + len {
            heard.samples.resize(position + len, 0);
        }
        let (mut energy, mut peak) = (0.0, 0u16);
        for (slot, byte) in heard.samples[position..position + len].iter_mut().zip(packet.payload) {
            *slot = g711::decode(codec, *byte);
            energy += f64::from(*slot) * f64::from(*slot);
            peak = peak.max(slot.unsigned_abs());
        }
        let level = (energy / len.max(1) as f64).sqrt();
        self.levels.push_back(level);
        if self.levels.len() > NOISE_PACKETS {
            self.levels.pop_front();
        }
        let voiced = level > VOICED_RMS.max(ABOVE_NOISE * noise(&self.levels));
        heard.packets.push(HeardPacket { at, position, len, marker: packet.marker, voiced, peak });
        if voiced {
            match heard.spells.last_mut() {
                Some(spell) if at.saturating_duration_since(spell.end) < SPELL_GAP => spell.end = at,
                _ => heard.spells.push(Spell { start: at, end: at }),
            }
        }
    }

    fn event(&mut self, packet: &Packet<'_>, at: Instant) {
        // All packets of one event carry its start as timestamp (RFC 4733 §2.5.1).
        if self.last_event.replace(packet.timestamp) == Some(packet.timestamp) {
            return;
        }
        if let Some(digit) = packet.payload.first().and_then(|code| rtp::digit_of(*code)) {
            self.heard.digits.push((digit, at));
        }
    }
}

impl Stream {
    fn lost(&self) -> u64 {
        let expected = (self.highest - self.first_sequence + 1).max(0) as u64;
        self.lost_before + expected.saturating_sub(self.received)
    }
}

/// The level that one packet in twenty stays below; nothing before a second of packets has come.
fn noise(levels: &VecDeque<f64>) -> f64 {
    if levels.len() < NOISE_PACKETS / 3 {
        return 0.0;
    }
    let mut sorted: Vec<f64> = levels.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 20]
}

fn samples_between(zero: Instant, at: Instant) -> usize {
    (at.saturating_duration_since(zero).as_micros() / 125) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, timestamp: u32, level: i16) -> Vec<u8> {
        let payload = [g711::encode_ulaw(level); 160];
        let mut bytes = Vec::new();
        Packet { payload_type: 0, marker: false, sequence, timestamp, ssrc: 1, payload: &payload }.write(&mut bytes);
        bytes
    }

    #[test]
    fn gaps_are_silence_and_lost_packets_are_counted() {
        let zero = Instant::now();
        let mut recorder = Recorder::new(zero);
        let ms = Duration::from_millis;
        recorder.datagram(&packet(65_534, u32::MAX - 100, 8_000), zero + ms(40), None);
        // Two packets lost over the wrap of sequence and timestamp, then one out of order and one twice.
        recorder.datagram(&packet(1, 379, 8_000), zero + ms(100), None);
        recorder.datagram(&packet(0, 219, 8_000), zero + ms(101), None);
        recorder.datagram(&packet(1, 379, 8_000), zero + ms(102), None);
        let heard = &recorder.heard;
        assert_eq!(heard.samples.len(), 320 + 480 + 160);
        assert!(heard.samples[..320].iter().all(|s| *s == 0));
        assert!(heard.samples[320..480].iter().all(|s| *s > 7_000));
        assert!(heard.samples[480..640].iter().all(|s| *s == 0));
        assert!(heard.samples[640..].iter().all(|s| *s > 7_000));
        assert_eq!((heard.stats.received, heard.stats.late), (4, 2));
        assert_eq!(heard.spells.len(), 1);
    }

    #[test]
    fn spells_first_sound_and_voiced_time() {
        let zero = Instant::now();
        let mut recorder = Recorder::new(zero);
        let at = |n: u64| zero + Duration::from_millis(20 * n);
        for n in 0..100u16 {
            // Sound in packets 10..30 and 60..80, very soft from 8 and 58 on.
            let level = match n {
                10..30 | 60..80 => 3_000,
                8 | 9 | 58 | 59 => 40,
                _ => 0,
            };
            recorder.datagram(&packet(n, u32::from(n) * 160, level), at(n.into()), None);
        }
        let heard = &recorder.heard;
        let spells: Vec<_> = heard.spells.iter().map(|s| (s.start, s.end)).collect();
        assert_eq!(spells, [(at(10), at(29)), (at(60), at(79))]);
        assert_eq!(heard.sound_after(at(40)), Some(at(58)));
        assert_eq!(heard.voiced_after(at(40)), Some(at(60)));
        assert_eq!(heard.voiced_time_after(at(69)), Duration::from_millis(200));
        assert_eq!(heard.stats.lost, 0);
        assert!(heard.stats.jitter_ms < 0.01);
    }

    #[test]
    fn noise_on_the_line_is_no_sound() {
        let zero = Instant::now();
        let mut recorder = Recorder::new(zero);
        let at = |n: u64| zero + Duration::from_millis(20 * n);
        for n in 0..600u16 {
            let level = if (200..260).contains(&n) || (400..460).contains(&n) { 3_000 } else { 350 };
            recorder.datagram(&packet(n, u32::from(n) * 160, level), at(n.into()), None);
        }
        // The first second may count as sound: nothing is known of the line yet.
        let known: Vec<_> = recorder.heard.spells.iter().map(|s| (s.start, s.end)).filter(|s| s.0 > at(60)).collect();
        assert_eq!(known, [(at(200), at(259)), (at(400), at(459))]);
    }

    #[test]
    fn a_new_stream_starts_where_it_arrives() {
        let zero = Instant::now();
        let mut recorder = Recorder::new(zero);
        recorder.datagram(&packet(5, 1_000, 500), zero, None);
        let mut other = packet(900, 77_000_000, 500);
        other[11] = 9;
        recorder.datagram(&other, zero + Duration::from_secs(2), None);
        assert_eq!(recorder.heard.packets[1].position, 16_000);
        assert_eq!(recorder.heard.stats.lost, 0);
    }

    #[test]
    fn an_event_is_one_digit_however_often_it_is_sent() {
        let zero = Instant::now();
        let mut recorder = Recorder::new(zero);
        let mut bytes = Vec::new();
        for (sequence, timestamp, code) in [(1, 160, 5), (2, 160, 5), (3, 160, 5), (4, 960, 5)] {
            let payload = [code, 10, 0, 160];
            Packet { payload_type: 101, marker: false, sequence, timestamp, ssrc: 1, payload: &payload }
                .write(&mut bytes);
            recorder.datagram(&bytes, zero, None);
        }
        let digits: String = recorder.heard.digits.iter().map(|(d, _)| *d).collect();
        assert_eq!(digits, "55");
    }
}
