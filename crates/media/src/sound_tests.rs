//! What is heard: transcoding, mixing, supervision, switches without a click, recording; on a virtual clock.

use super::*;
use crate::srtp::{CryptoKey, CryptoPair, CryptoSuite, Secure};
use crate::voice::{MOST_SAMPLES, Voices};
use crate::{MediaFault, Supervise};

/// A peer: what it says is coded as its codec wants it, what it is sent is decoded.
pub struct Peer {
    seat: usize,
    codec: Codec,
    voices: Voices,
    pub sequence: u16,
    timestamp: u32,
    pub heard: Vec<i16>,
    secure: Option<Secure>,
}

impl Peer {
    pub fn new(w: &mut World, seat: usize, codec: Codec) -> (MediaLeg, Self) {
        let codecs = CodecList::one(codec, codec.usual_payload_type());
        let agreement = Agreement { dtmf_payload_type: Some(101), ..Agreement::new(peer(seat), codecs) };
        let leg = w.open(seat);
        w.order(leg, MediaCommand::Connect(agreement));
        let voices = Voices::of(&codecs);
        (leg, Self { seat, codec, voices, sequence: 65_500, timestamp: 7, heard: Vec::new(), secure: None })
    }

    fn rate(&self) -> f64 {
        f64::from(self.codec.sample_rate())
    }

    /// Says 20 ms.
    pub fn say(&mut self, w: &mut World, pcm: &[i16]) {
        let mut payload = [0; 600];
        let length = self.voices.get(self.codec).map_or(0, |voice| voice.encode(pcm, &mut payload));
        let packet = Rtp {
            marker: false,
            payload_type: self.codec.usual_payload_type(),
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: 70 + self.seat as u32,
            payload: &payload[..length],
        };
        let mut bytes = [0; MAX_PACKET + 20];
        let mut length = packet.write(&mut bytes);
        if let Some(secure) = &mut self.secure {
            length = secure.protect_rtp(&mut bytes, length).unwrap();
        }
        let now = w.now();
        w.shard.rtp(now, self.seat, peer(self.seat), &mut bytes[..length]);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.codec.tick());
    }

    /// 20 ms of a tone.
    pub fn hum(&mut self, w: &mut World, hz: f64, n: usize) {
        let rate = self.rate();
        let count = self.codec.sample_rate() as usize / 50;
        let wave = |i: usize| ((i as f64 * hz * std::f64::consts::TAU / rate).sin() * 8_000.0) as i16;
        self.say(w, &(n * count..(n + 1) * count).map(wave).collect::<Vec<_>>());
    }

    /// Hears what it was sent.
    pub fn listen(&mut self, w: &mut World) -> Vec<Sent> {
        let mut sent = w.sent(self.seat);
        for packet in &mut sent {
            if let Some(secure) = &mut self.secure {
                let length = secure.open_rtp(&mut packet.bytes).expect("what is sent is authentic");
                packet.bytes.truncate(length);
            }
            let rtp = packet.rtp();
            if rtp.payload_type == self.codec.usual_payload_type() {
                let mut pcm = [0; MOST_SAMPLES];
                let n = self.voices.get(self.codec).map_or(0, |voice| voice.decode(rtp.payload, &mut pcm));
                self.heard.extend(&pcm[..n]);
            }
        }
        sent
    }

    /// 20 ms that never arrive.
    pub fn skip(&mut self) {
        self.timestamp = self.timestamp.wrapping_add(self.codec.tick());
    }

    /// Level (rms) of a tone in the last half second heard.
    pub fn level(&self, hz: f64) -> f64 {
        let n = self.codec.sample_rate() as usize / 2;
        let tail = &self.heard[self.heard.len().saturating_sub(n)..];
        let (mut re, mut im) = (0.0, 0.0);
        for (i, sample) in tail.iter().enumerate() {
            let angle = i as f64 * hz * std::f64::consts::TAU / self.rate();
            (re, im) = (re + f64::from(*sample) * angle.cos(), im + f64::from(*sample) * angle.sin());
        }
        (re * re + im * im).sqrt() * std::f64::consts::SQRT_2 / tail.len().max(1) as f64
    }
}

const LOUD: std::ops::Range<f64> = 3_500.0..7_000.0;
const FAINT: std::ops::Range<f64> = 0.0..150.0;

#[test]
fn any_two_codecs_are_joined_both_ways_and_digits_go_along() {
    for one in Codec::ALL {
        for two in Codec::ALL {
            let mut w = World::new();
            let (a, mut caller) = Peer::new(&mut w, 0, one);
            let (b, mut agent) = Peer::new(&mut w, 1, two);
            w.order(a, MediaCommand::Bridge { with: b });
            let mut digits = 0;
            for n in 0..100 {
                caller.hum(&mut w, 440.0, n);
                agent.hum(&mut w, 1_000.0, n);
                if n == 50 {
                    let payload = Event { code: 5, end: true, volume: 10, duration: 800 }.bytes();
                    let (sequence, timestamp) = (caller.sequence, caller.timestamp);
                    caller.sequence = caller.sequence.wrapping_add(1);
                    let ssrc = 70;
                    let event = Rtp { marker: true, payload_type: 101, sequence, timestamp, ssrc, payload: &payload };
                    w.packet(0, peer(0), event);
                }
                w.run(20);
                digits += agent.listen(&mut w).iter().filter(|s| s.rtp().payload_type == 101).count();
                caller.listen(&mut w);
            }
            assert!(digits >= 1, "{one} to {two}: the digit");
            assert!(LOUD.contains(&agent.level(440.0)), "{one} to {two}: {}", agent.level(440.0));
            assert!(LOUD.contains(&caller.level(1_000.0)), "{two} to {one}: {}", caller.level(1_000.0));
            let live = w.events().into_iter().filter(|e| matches!(e, MediaEvent::BridgeAudio { .. })).count();
            assert_eq!(live, 2, "{one} and {two}");
        }
    }
}

#[test]
fn one_codec_on_both_sides_is_passed_on_untouched() {
    for codec in Codec::ALL {
        let mut w = World::new();
        let (a, mut caller) = Peer::new(&mut w, 0, codec);
        let (b, _) = Peer::new(&mut w, 1, codec);
        w.order(a, MediaCommand::Bridge { with: b });
        caller.hum(&mut w, 440.0, 0);
        w.run(20);
        w.sent(1);
        for n in 1..50 {
            caller.hum(&mut w, 440.0, n);
            assert_eq!(w.sent(1).len(), 1, "{codec}: at once");
            w.run(20);
            assert!(w.sent(1).is_empty(), "{codec}: and nothing besides");
        }
    }
}

#[test]
fn three_hear_each_other_and_a_supervisor_hears_whispers_and_barges() {
    let tones = [440.0, 1_000.0, 1_500.0];
    let codecs = [Codec::Pcmu, Codec::Opus, Codec::G722];
    // Who hears whom: rows hear columns.
    let cases: [(Option<Supervise>, [[bool; 3]; 3]); 4] = [
        (None, [[false, true, true], [true, false, true], [true, true, false]]),
        (Some(Supervise::Listen), [[false, true, false], [true, false, false], [true, true, false]]),
        (Some(Supervise::Whisper), [[false, true, false], [true, false, true], [true, true, false]]),
        (Some(Supervise::Barge), [[false, true, true], [true, false, true], [true, true, false]]),
    ];
    for (how, expected) in cases {
        let mut w = World::new();
        let mut peers: Vec<(MediaLeg, Peer)> = (0..3).map(|n| Peer::new(&mut w, n, codecs[n])).collect();
        let legs: Vec<MediaLeg> = peers.iter().map(|(leg, _)| *leg).collect();
        w.order(legs[0], MediaCommand::Bridge { with: legs[1] });
        for (row, hears) in expected.iter().enumerate() {
            let sources = (0..3).filter(|column| hears[*column]).map(|column| legs[column]).collect();
            w.order(legs[row], MediaCommand::Hear { sources });
        }
        for n in 0..100 {
            for (seat, (_, peer)) in peers.iter_mut().enumerate() {
                peer.hum(&mut w, tones[seat], n);
            }
            w.run(20);
            peers.iter_mut().for_each(|(_, peer)| {
                peer.listen(&mut w);
            });
        }
        for (row, hears) in expected.iter().enumerate() {
            for (column, heard) in hears.iter().enumerate() {
                let level = peers[row].1.level(tones[column]);
                let range = if *heard { LOUD } else { FAINT };
                assert!(range.contains(&level), "{how:?}: {row} hears {column} at {level}");
            }
        }
        closed(&mut w, legs[1]);
        w.run(100);
        assert_eq!(w.sent(2).len(), 5, "the others go on");
    }
}

#[test]
fn gain_makes_a_voice_louder_and_two_loud_ones_do_not_clip() {
    let mut w = World::new();
    let (a, mut caller) = Peer::new(&mut w, 0, Codec::Pcmu);
    let (b, mut agent) = Peer::new(&mut w, 1, Codec::Pcmu);
    w.order(a, MediaCommand::Bridge { with: b });
    w.order(a, MediaCommand::Gain { db: -20 });
    let mut run = |w: &mut World, agent: &mut Peer, from: usize| {
        for n in from..from + 60 {
            caller.hum(w, 440.0, n);
            w.run(20);
            agent.listen(w);
        }
        agent.level(440.0)
    };
    assert!((500.0..640.0).contains(&run(&mut w, &mut agent, 0)), "a tenth");
    w.order(a, MediaCommand::Gain { db: 20 });
    let loud = run(&mut w, &mut agent, 60);
    assert!(loud > 20_000.0, "{loud}");
    assert!(agent.heard.iter().all(|s| s.unsigned_abs() <= 32_124), "bent, not cut");
    w.order(a, MediaCommand::Gain { db: 0 });
    assert!(LOUD.contains(&run(&mut w, &mut agent, 120)), "and relayed again");
}

/// Largest energy of the second difference in 2 ms, relative to what the same sources have by themselves: a click is a
/// step, and a step is all high frequencies.
fn roughness(pcm: &[i16]) -> f64 {
    let bend: Vec<f64> =
        pcm.windows(3).map(|w| (f64::from(w[0]) - 2.0 * f64::from(w[1]) + f64::from(w[2])).powi(2)).collect();
    bend.windows(16).map(|w| w.iter().sum()).fold(0.0, f64::max)
}

#[test]
fn no_switch_between_prompt_music_briefing_and_bridge_clicks() {
    let low = |hz: f64, n: usize| -> Clip {
        let wave = |i: usize| ((i as f64 * hz * std::f64::consts::TAU / 8_000.0).cos() * 9_000.0) as i16;
        Clip::new((0..n).map(wave).collect())
    };
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let mut w = World::new();
        let (a, mut caller) = Peer::new(&mut w, 0, codec);
        let (b, mut agent) = Peer::new(&mut w, 1, codec);
        w.run(100);
        let mut n = 0;
        let mut step = |w: &mut World, caller: &mut Peer, ticks: usize, speaks: bool| {
            for _ in 0..ticks {
                if speaks {
                    agent.hum(w, 210.0, n);
                    n += 1;
                }
                w.run(20);
                caller.listen(w);
            }
        };
        let start = |w: &mut World, id, clip, looped| w.order(a, MediaCommand::Play { id: PlayId(id), clip, looped });
        step(&mut w, &mut caller, 3, false);
        caller.heard.clear(); // the first clip's own beginning is its own
        start(&mut w, 1, low(190.0, 80_000), false);
        step(&mut w, &mut caller, 7, false);
        let own = roughness(&caller.heard[200..]);
        start(&mut w, 2, low(230.0, 80_000), true);
        w.order(a, MediaCommand::Stop);
        start(&mut w, 3, low(170.0, 80_000), true);
        step(&mut w, &mut caller, 9, false);
        w.order(a, MediaCommand::Bridge { with: b });
        step(&mut w, &mut caller, 11, true);
        w.order(a, MediaCommand::Unbridge);
        start(&mut w, 4, low(200.0, 80_000), false);
        step(&mut w, &mut caller, 7, true);
        w.order(a, MediaCommand::Hear { sources: [b].into_iter().collect() });
        w.order(b, MediaCommand::Gain { db: 3 });
        w.order(a, MediaCommand::Stop);
        step(&mut w, &mut caller, 11, true);
        w.order(a, MediaCommand::Unbridge);
        step(&mut w, &mut caller, 3, false);
        let worst = roughness(&caller.heard[200..]);
        assert!(worst < 12.0 * own, "{codec}: {worst:.0} where a source alone has {own:.0}");
        // The measure sees a splice.
        let mut spliced = caller.heard[200..1_200].to_vec();
        let at = (400..600).max_by_key(|i| spliced[*i].unsigned_abs()).unwrap();
        spliced[at..].iter_mut().for_each(|s| *s = s.saturating_neg());
        assert!(roughness(&spliced) > 40.0 * own, "{codec}: {} where {own}", roughness(&spliced));
    }
}

#[test]
fn a_recording_has_both_sides_relayed_or_not_and_silence_while_paused() {
    for two in [Codec::Pcmu, Codec::Opus] {
        let mut w = World::new();
        let (a, mut caller) = Peer::new(&mut w, 0, Codec::Pcmu);
        let (b, mut agent) = Peer::new(&mut w, 1, two);
        w.order(a, MediaCommand::Bridge { with: b });
        let (to, mut recorded) = RingBuffer::new(1_000);
        w.order(a, MediaCommand::Record { to: Some(to) });
        let mut at_once = 0;
        for n in 0..150 {
            if n == 100 {
                w.order(a, MediaCommand::PauseRecording(true));
            }
            caller.hum(&mut w, 440.0, n);
            agent.hum(&mut w, 1_000.0, n);
            at_once += w.sent(0).len();
            w.run(20);
            caller.listen(&mut w);
            agent.listen(&mut w);
        }
        assert_eq!(at_once >= 150, two == Codec::Pcmu, "a recorded call is relayed all the same");
        let frames: Vec<StereoFrame> = std::iter::from_fn(|| recorded.pop().ok()).collect();
        assert_eq!(frames.len(), 150);
        let tone = |pcm: Vec<i16>, hz: f64| {
            let (_, mut probe) = Peer::new(&mut World::new(), 5, Codec::Pcmu);
            probe.heard = pcm;
            probe.level(hz)
        };
        let left: Vec<i16> = frames[50..100].iter().flat_map(|f| f.left).collect();
        let right: Vec<i16> = frames[50..100].iter().flat_map(|f| f.right).collect();
        assert!(LOUD.contains(&tone(left.clone(), 440.0)) && FAINT.contains(&tone(left, 1_000.0)));
        assert!(LOUD.contains(&tone(right.clone(), 1_000.0)) && FAINT.contains(&tone(right, 440.0)));
        assert!(frames[101..].iter().all(|f| f.left == [0; 160] && f.right == [0; 160]), "paused");
    }
}

#[test]
fn digits_are_heard_in_the_sound_where_that_is_agreed() {
    let mut w = World::new();
    let (leg, mut caller) = Peer::new(&mut w, 0, Codec::Pcma);
    let agreement = Agreement { in_band_dtmf: true, ..Agreement::new(peer(0), CodecList::one(Codec::Pcma, 8)) };
    w.order(leg, MediaCommand::Connect(agreement));
    for n in 0..30 {
        let wave = |i: usize, hz: f64| (i as f64 * hz * std::f64::consts::TAU / 8_000.0).sin() * 4_000.0;
        let press = (8..14).contains(&n);
        let tone = |i| if press { (wave(i, 770.0) + wave(i, 1_336.0)) as i16 } else { 0 };
        caller.say(&mut w, &(n * 160..(n + 1) * 160).map(tone).collect::<Vec<_>>());
        w.run(20);
    }
    let digits: Vec<_> = w.events().into_iter().filter(|e| matches!(e, MediaEvent::Digit { digit: '5', .. })).collect();
    assert_eq!(digits.len(), 1);
}

#[test]
fn with_srtp_all_is_encrypted_the_rest_refused_and_a_reconnect_goes_on() {
    for suite in CryptoSuite::ALL {
        let mut w = World::new();
        let (a, mut caller) = Peer::new(&mut w, 0, Codec::Pcmu);
        let (b, mut agent) = Peer::new(&mut w, 1, Codec::Pcmu);
        let keys = CryptoPair { send: CryptoKey::generate(suite), receive: CryptoKey::generate(suite) };
        let theirs = CryptoPair { send: keys.receive, receive: keys.send };
        let agreement = Agreement { crypto: Some(keys), ..Agreement::new(peer(0), CodecList::one(Codec::Pcmu, 0)) };
        w.order(a, MediaCommand::Connect(agreement.clone()));
        w.order(a, MediaCommand::Bridge { with: b });
        caller.hum(&mut w, 440.0, 0);
        assert!(matches!(w.events()[..], [MediaEvent::Fault { fault: MediaFault::NotAuthentic, .. }]), "in the clear");
        caller.secure = Some(Secure::new(theirs));
        for n in 1..60 {
            caller.hum(&mut w, 440.0, n);
            agent.hum(&mut w, 1_000.0, n);
            w.run(20);
            caller.listen(&mut w);
            agent.listen(&mut w);
            if n % 20 == 0 {
                w.order(a, MediaCommand::Connect(agreement.clone())); // a re-INVITE with the same keys
            }
        }
        assert!(LOUD.contains(&caller.level(1_000.0)) && LOUD.contains(&agent.level(440.0)), "{suite:?}");
        let stats = closed(&mut w, a);
        assert_eq!((stats.refused, stats.received), (1, 59));
        let bye = w.log.borrow().iter().rfind(|s| s.seat == 0 && s.rtcp).unwrap().bytes.clone();
        let opened = Secure::new(theirs).open_rtcp(&mut bye.clone()).unwrap();
        assert!(opened < bye.len(), "reports are encrypted as well");
    }
}
