//! A network and peers that do what they should not: the call survives, what is wrong is named and counted.

use super::sound::Peer;
use super::*;
use crate::MediaFault;

const LOUD: std::ops::Range<f64> = 3_500.0..7_000.0;

#[test]
fn a_flood_of_a_hundred_times_the_rate_is_cut_and_named() {
    let mut w = World::new();
    let (a, mut caller) = Peer::new(&mut w, 0, Codec::Pcmu);
    let (b, _) = Peer::new(&mut w, 1, Codec::Pcmu);
    w.order(a, MediaCommand::Bridge { with: b });
    for _ in 0..100 {
        for n in 0..100 {
            caller.hum(&mut w, 440.0, n);
        }
        w.run(20);
    }
    let relayed = w.sent(1).len();
    assert!(relayed < 900, "of 10,000: {relayed}");
    let faults = w.events().into_iter().filter(|e| matches!(e, MediaEvent::Fault { fault: MediaFault::Flood, .. }));
    assert_eq!(faults.count(), 1);
    assert!(closed(&mut w, a).flooded > 9_000);
}

#[test]
fn a_payload_type_nobody_agreed_to_is_named_once_and_heard_by_nobody() {
    let mut w = World::new();
    let leg = w.connected(0, Codec::Pcmu, 101);
    for n in 0..20 {
        w.audio(0, n, 0, &[9; 160]);
        w.audio(0, n, 77, &[9; 160]);
    }
    let faults: Vec<_> = w.events().into_iter().filter(|e| matches!(e, MediaEvent::Fault { .. })).collect();
    assert!(matches!(faults[..], [MediaEvent::Fault { fault: MediaFault::UnknownPayloadType(77), .. }]));
    assert_eq!(closed(&mut w, leg).strays, 20);
}

#[test]
fn a_codec_that_changes_in_mid_call_is_followed() {
    let mut w = World::new();
    let all: CodecList = Codec::ALL.into_iter().map(|codec| (codec, codec.usual_payload_type())).collect();
    let (a, first) = Peer::new(&mut w, 0, Codec::Pcmu);
    w.order(a, MediaCommand::Connect(Agreement::new(peer(0), all)));
    let (b, mut agent) = Peer::new(&mut w, 1, Codec::Pcmu);
    w.order(a, MediaCommand::Bridge { with: b });
    let mut sequence = first.sequence;
    for codec in [Codec::Pcmu, Codec::Opus, Codec::G722, Codec::Pcma, Codec::Opus] {
        let (_, mut phase) = Peer::new(&mut World::new(), 0, codec);
        phase.sequence = sequence;
        for n in 0..60 {
            phase.hum(&mut w, 440.0, n);
            w.run(20);
            agent.listen(&mut w);
        }
        sequence = phase.sequence;
        assert!(LOUD.contains(&agent.level(440.0)), "{codec}: {}", agent.level(440.0));
    }
    // What is sent to the agent stays one stream through it all.
    assert_eq!(closed(&mut w, a).lost, 0);
}

#[test]
fn a_re_invite_changes_the_codec_we_send() {
    let mut w = World::new();
    let (a, mut caller) = Peer::new(&mut w, 0, Codec::Pcmu);
    let (b, mut agent) = Peer::new(&mut w, 1, Codec::Pcmu);
    w.order(a, MediaCommand::Bridge { with: b });
    for n in 0..30 {
        caller.hum(&mut w, 440.0, n);
        w.run(20);
        agent.listen(&mut w);
    }
    w.order(b, MediaCommand::Connect(Agreement::new(peer(1), CodecList::one(Codec::Opus, 111))));
    let (_, mut other) = Peer::new(&mut World::new(), 1, Codec::Opus);
    for n in 30..90 {
        caller.hum(&mut w, 440.0, n);
        w.run(20);
        other.listen(&mut w);
    }
    assert!(LOUD.contains(&other.level(440.0)), "{}", other.level(440.0));
}

#[test]
fn a_fifth_lost_at_random_and_bursts_of_300_ms_are_survived() {
    for codec in Codec::ALL {
        let mut random = StdRng::seed_from_u64(8);
        let mut w = World::new();
        let (a, mut caller) = Peer::new(&mut w, 0, codec);
        let (b, mut agent) = Peer::new(&mut w, 1, if codec.is_g711() { Codec::Opus } else { Codec::Pcmu });
        w.order(a, MediaCommand::Bridge { with: b });
        let mut packets = 0;
        for n in 0..500 {
            // Every two seconds the network holds everything back for 300 ms.
            if n % 100 >= 15 {
                let due = if n % 100 == 15 { 16 } else { 1 };
                for k in 0..due {
                    if random.random_bool(0.2) {
                        caller.sequence = caller.sequence.wrapping_add(1);
                        caller.skip();
                    } else {
                        caller.hum(&mut w, 440.0, n + 1 - due + k);
                    }
                    packets += 1;
                }
            }
            w.run(20);
            agent.listen(&mut w);
        }
        let level = agent.level(440.0);
        assert!((2_500.0..7_000.0).contains(&level), "{codec}: {level}");
        let stats = closed(&mut w, a);
        assert!((0.15..0.25).contains(&(stats.lost as f64 / f64::from(packets))), "{codec}: {stats:?}");
        assert!(stats.concealed > 50 && stats.mos < 3.6 && stats.mos > 1.0, "{codec}: {stats:?}");
    }
}

#[test]
fn packet_lengths_of_10_to_60_ms_are_heard_across_a_change_of_codec() {
    for ms in [10usize, 20, 30, 40, 60] {
        let mut w = World::new();
        let (a, _) = Peer::new(&mut w, 0, Codec::Pcmu);
        let (b, mut agent) = Peer::new(&mut w, 1, Codec::G722);
        w.order(a, MediaCommand::Bridge { with: b });
        let (length, mut sent) = (ms * 8, 0usize);
        for tick in 0..120 {
            while sent <= tick * 160 {
                let wave = |i: usize| ((i as f64 * 440.0 * std::f64::consts::TAU / 8_000.0).sin() * 8_000.0) as i16;
                let payload: Vec<u8> = (sent..sent + length).map(|i| Codec::Pcmu.encode(wave(i))).collect();
                let (sequence, timestamp) = ((sent / length) as u16, sent as u32);
                let packet = Rtp { marker: false, payload_type: 0, sequence, timestamp, ssrc: 3, payload: &payload };
                w.packet(0, peer(0), packet);
                sent += length;
            }
            w.run(20);
            agent.listen(&mut w);
        }
        assert!(LOUD.contains(&agent.level(440.0)), "{ms} ms: {}", agent.level(440.0));
        assert_eq!(closed(&mut w, a).concealed, 0, "{ms} ms");
    }
}

#[test]
fn another_source_in_mid_call_is_one_stream_to_the_other_side() {
    let mut w = World::new();
    let (a, mut caller) = Peer::new(&mut w, 0, Codec::Pcmu);
    let (b, mut agent) = Peer::new(&mut w, 1, Codec::Opus);
    w.order(a, MediaCommand::Bridge { with: b });
    let mut sent = Vec::new();
    for n in 0..60 {
        caller.hum(&mut w, 440.0, n);
        w.run(20);
        sent.extend(agent.listen(&mut w));
    }
    for n in 0..60u32 {
        let wave = |i: u32| ((f64::from(i) * 440.0 * std::f64::consts::TAU / 8_000.0).sin() * 8_000.0) as i16;
        let payload: Vec<u8> = (n * 160..(n + 1) * 160).map(|i| Codec::Pcmu.encode(wave(i))).collect();
        let (sequence, timestamp) = (n as u16 + 5, n * 160 + 0x8000_0000);
        w.packet(0, peer(0), Rtp { marker: false, payload_type: 0, sequence, timestamp, ssrc: 999, payload: &payload });
        w.run(20);
        sent.extend(agent.listen(&mut w));
    }
    let sources: std::collections::HashSet<u32> = sent.iter().map(|s| s.rtp().ssrc).collect();
    assert_eq!(sources.len(), 1);
    assert!(sent.windows(2).all(|p| p[1].rtp().timestamp.wrapping_sub(p[0].rtp().timestamp) == 960), "48 kHz, no jump");
    assert!(LOUD.contains(&agent.level(440.0)));
}

#[test]
fn a_peer_that_sends_nothing_is_not_said_to_be_heard() {
    let mut w = World::new();
    let (a, mut caller) = Peer::new(&mut w, 0, Codec::Pcmu);
    let (b, _) = Peer::new(&mut w, 1, Codec::Opus);
    w.order(a, MediaCommand::Bridge { with: b });
    w.run(500);
    let live = |w: &mut World| w.events().into_iter().filter(|e| matches!(e, MediaEvent::BridgeAudio { .. })).count();
    assert_eq!(live(&mut w), 0);
    caller.hum(&mut w, 440.0, 0);
    w.run(100);
    assert_eq!(live(&mut w), 1, "one side alone");
}

#[test]
fn comfort_noise_is_heard_between_talkspurts() {
    let mut w = World::new();
    let (a, mut caller) = Peer::new(&mut w, 0, Codec::Pcmu);
    let (b, mut agent) = Peer::new(&mut w, 1, Codec::Opus);
    w.order(a, MediaCommand::Bridge { with: b });
    for n in 0..30 {
        caller.hum(&mut w, 440.0, n);
        w.run(20);
    }
    let noise = Rtp {
        marker: false,
        payload_type: 13,
        sequence: caller.sequence,
        timestamp: 7 + 30 * 160,
        ssrc: 70,
        payload: &[45],
    };
    w.packet(0, peer(0), noise);
    w.run(1_000);
    agent.listen(&mut w);
    let tail = &agent.heard[agent.heard.len() - 4_000..];
    let rms = (tail.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 4_000.0).sqrt();
    // -45 dBov are 184; the encoder may take some of it away.
    assert!((30.0..260.0).contains(&rms), "{rms}");
}

#[test]
fn reports_that_say_the_peer_hears_nothing_are_one_way_audio() {
    let mut w = World::new();
    let leg = w.connected(0, Codec::Pcmu, 101);
    for n in 0..4u8 {
        w.run(5_100);
        let ours = w.log.borrow().iter().find(|s| s.rtcp).unwrap().bytes[4..8].to_vec();
        let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
        report.extend(&ours);
        report.extend([0; 4]); // lost
        report.extend([0, 0, 0, 9]); // always the same highest sequence number
        report.extend([0; 12]);
        let now = w.now();
        w.shard.rtcp(now, 0, ([192, 0, 2, 1], 4_001).into(), &mut report);
        let told =
            w.events().into_iter().filter(|e| matches!(e, MediaEvent::OneWay { leg: l, .. } if *l == leg)).count();
        assert_eq!(told, usize::from(n == 2), "report {n}");
    }
}

/// Bytes of real packets, changed at random: RTP, SRTP, RTCP and digits, on a leg that hears, is heard and is recorded.
#[test]
fn mutations_of_real_packets_never_panic() {
    let mut random = StdRng::seed_from_u64(21);
    let mut w = World::new();
    let all: CodecList = Codec::ALL.into_iter().map(|codec| (codec, codec.usual_payload_type())).collect();
    let (a, mut caller) = Peer::new(&mut w, 0, Codec::Opus);
    let agreement = Agreement { in_band_dtmf: true, rtcp_mux: true, ..Agreement::new(peer(0), all) };
    w.order(a, MediaCommand::Connect(Agreement { dtmf_payload_type: Some(101), ..agreement }));
    let (b, _) = Peer::new(&mut w, 1, Codec::Pcmu);
    w.order(a, MediaCommand::Bridge { with: b });
    let seeds: Vec<Vec<u8>> = {
        for n in 0..5 {
            caller.hum(&mut w, 440.0, n);
        }
        w.run(6_000);
        w.log.borrow_mut().drain(..).map(|s| s.bytes).collect()
    };
    for n in 0..40_000 {
        let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..bytes.len().min(40));
            bytes[at] = match random.random_range(0..3) {
                0 => random.random(),
                1 => [0, 1, 0x7F, 0x80, 0xFF][random.random_range(0..5)],
                _ => bytes[at] ^ (1 << random.random_range(0..8)),
            };
        }
        bytes.truncate(random.random_range(0..=bytes.len()));
        let now = w.now();
        if n % 5 == 0 {
            w.shard.rtcp(now, 0, peer(0), &mut bytes);
        } else {
            w.shard.rtp(now, 0, peer(0), &mut bytes);
        }
        if n % 4 == 0 {
            w.run(5);
            w.log.borrow_mut().clear();
            w.events();
        }
    }
    w.run(1_000);
    assert_eq!(w.shard.at(0).map(Leg::id), Some(a), "and it still sits there");
}
