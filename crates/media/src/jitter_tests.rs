//! The jitter buffer on packets it is given and reads that are 20 ms apart.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;
use crate::CodecList;

const ULAW: Codec = Codec::Pcmu;

/// Sample `t` of a stream: a loud saw of period 53, as far as µ-law keeps it.
fn sample(t: u32) -> i16 {
    ULAW.decode(byte(t))
}

fn byte(t: u32) -> u8 {
    ULAW.encode((t % 53) as i16 * 300 - 7_800)
}

/// A stream that starts at `base` (its sample 0) and is read every 20 ms.
struct Stream {
    buffer: JitterBuffer,
    voices: Voices,
    base: u32,
    heard: Vec<i16>,
}

impl Stream {
    fn new(base: u32) -> Self {
        let voices = Voices::of(&CodecList::one(ULAW, 0));
        Self { buffer: JitterBuffer::new(), voices, base, heard: Vec::new() }
    }
    fn insert(&mut self, t: u32, length: u32) {
        let payload: Vec<u8> = (t..t + length).map(byte).collect();
        let timestamp = self.base.wrapping_add(t);
        let packet = Rtp { marker: false, payload_type: 0, sequence: 0, timestamp, ssrc: 1, payload: &payload };
        self.buffer.insert(&packet, ULAW);
    }
    fn read(&mut self) {
        let sound = self.buffer.read(&mut self.voices);
        assert!(!sound.wide);
        self.heard.extend(&sound.pcm[..160]);
    }
    fn starts_with_lead_then(&self, count: u32) -> bool {
        // The saw begins loud: its first 5 ms are faded in.
        let expected: Vec<i16> = (40..count).map(sample).collect();
        self.heard[..320] == [0; 320] && self.heard[360..] == expected
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
        assert!(s.starts_with_lead_then(18 * 160), "base {base}");
        assert_eq!((s.buffer.late(), s.buffer.concealed()), (0, 0));
    }
}

#[test]
fn any_packet_length_from_10_to_60_ms_comes_out_whole() {
    for length in [80, 160, 240, 320, 400, 480] {
        let mut s = Stream::new(77);
        let mut sent = 0;
        for tick in 0..40u32 {
            while sent <= tick * 160 {
                s.insert(sent, length);
                sent += length;
            }
            s.read();
        }
        assert!(s.starts_with_lead_then(38 * 160), "packets of {length}");
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
    assert!(s.starts_with_lead_then(19 * 160));
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
    // The saw goes on where it was: its period is found.
    let close = lost[..80].iter().zip(8 * 160..).filter(|(v, t)| (i32::from(**v) - i32::from(sample(*t))).abs() < 700);
    assert!(close.count() > 65, "the wave goes on");
    assert_eq!(s.heard[320 + 9 * 160 + 80..], (9 * 160 + 80..18 * 160).map(sample).collect::<Vec<_>>(), "in time");
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
    for stall in [6u32, 15] {
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
        for _ in 0..stall {
            s.read();
        }
        push(&mut s, stall + 1);
        s.read();
        let deep = s.buffer.depth();
        assert!(deep >= i64::from(stall) * 160 - 320, "{deep}");
        for _ in 0..60 {
            push(&mut s, 1);
            s.read();
        }
        assert!(s.buffer.depth() <= MOST + FRAME, "within 200 ms soon: {}", s.buffer.depth());
        assert_eq!(s.buffer.late(), 0, "nothing was thrown away");
        for _ in 0..3_000 {
            push(&mut s, 1);
            s.read();
        }
        assert!(s.buffer.depth() <= FRAME + SPARE + 80, "{}", s.buffer.depth());
    }
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

/// An hour with a clock 200 ppm fast, then slow: 36 packets more or fewer than reads. No loss, no late packet, hardly a
/// frame made up: the difference is taken out or put in by pitch periods.
#[test]
fn a_clock_200_ppm_off_for_an_hour_is_followed() {
    for ppm in [200i64, -200] {
        let mut s = Stream::new(0);
        let mut sent = 0u32;
        for tick in 0..180_000u64 {
            let due = (tick as i64 + tick as i64 * ppm / 1_000_000) as u32 + 1;
            while sent < due {
                s.insert(sent * 160, 160);
                sent += 1;
            }
            s.read();
            s.heard.clear();
            assert!(s.buffer.depth() <= 800, "{ppm} ppm: {} at {tick}", s.buffer.depth());
        }
        assert!((i64::from(sent) - 180_000).abs() >= 35);
        assert_eq!((s.buffer.late(), s.buffer.concealed()), (0, 0), "{ppm} ppm");
        assert!((20..2_000).contains(&s.buffer.stretched()), "{ppm} ppm: {}", s.buffer.stretched());
    }
}

#[test]
fn opus_recovers_a_lost_packet_from_the_next_better_than_by_guessing() {
    let list = CodecList::one(Codec::Opus, 111);
    let mut random = StdRng::seed_from_u64(4);
    let mut pitch = 120.0f64;
    let mut phase = 0.0f64;
    let speech: Vec<i16> = (0..64_000)
        .map(|i| {
            if i % 1_600 == 0 {
                pitch = random.random_range(90.0..220.0);
            }
            phase += pitch / 16_000.0;
            let wave: f64 = (1..12).map(|h| (phase * f64::from(h) * std::f64::consts::TAU).sin() / f64::from(h)).sum();
            (wave * 4_000.0 * (0.6 + 0.4 * (i as f64 / 2_000.0).sin())) as i16
        })
        .collect();
    let hear = |lose: bool, fec: bool| {
        let (mut sender, mut receiver) = (Voices::of(&list), Voices::of(&list));
        let mut buffer = JitterBuffer::new();
        let mut heard = Vec::new();
        for (n, frame) in speech.chunks_exact(320).enumerate() {
            let mut payload = [0; 600];
            let length = sender.get(Codec::Opus).map_or(0, |voice| voice.encode(frame, &mut payload));
            let packet = Rtp {
                marker: false,
                payload_type: 111,
                sequence: 0,
                timestamp: n as u32 * 960,
                ssrc: 1,
                payload: &payload[..length],
            };
            // A lost pair leaves nothing to recover the first of the two from.
            let lost = if fec { n % 10 == 5 } else { n % 20 == 5 || n % 20 == 6 };
            if !(lose && lost) {
                buffer.insert(&packet, Codec::Opus);
            }
            let sound = buffer.read(&mut receiver);
            heard.extend(if sound.wide { sound.pcm.to_vec() } else { vec![0; 320] });
        }
        (heard, buffer.late())
    };
    let (whole, late) = hear(false, false);
    assert_eq!(late, 0);
    let error = |(heard, _): (Vec<i16>, u64)| {
        let sum: f64 = whole.iter().zip(&heard).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        sum / whole.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>()
    };
    let (recovered, guessed) = (error(hear(true, true)), error(hear(true, false)));
    assert!(recovered < guessed, "FEC {recovered:.4}, without {guessed:.4}");
}

#[test]
fn random_input_never_panics_or_grows() {
    let mut random = StdRng::seed_from_u64(11);
    let list: CodecList = Codec::ALL.into_iter().map(|codec| (codec, codec.usual_payload_type())).collect();
    let mut voices = Voices::of(&list);
    let mut buffer = JitterBuffer::new();
    for _ in 0..60_000 {
        let near = buffer.newest.0.wrapping_add(random.random_range(0..12_000)).wrapping_sub(6_000);
        let timestamp = if random.random_bool(0.9) { near } else { random.random() };
        let bytes: Vec<u8> = (0..random.random_range(0..=960)).map(|_| random.random()).collect();
        let codec = if random.random_bool(0.9) { ULAW } else { Codec::ALL[random.random_range(0..4)] };
        let marker = random.random_bool(0.1);
        buffer.insert(&Rtp { marker, payload_type: 0, sequence: 0, timestamp, ssrc: 0, payload: &bytes }, codec);
        if random.random_bool(0.5) {
            let _ = buffer.read(&mut voices);
        }
        assert!(buffer.waiting <= DECODED && buffer.depth() < 40_000);
    }
}
