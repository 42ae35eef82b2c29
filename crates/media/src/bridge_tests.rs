//! Bridges on a virtual clock, and walks at random over everything a shard may be told.

use super::*;

#[test]
fn prompt_music_digit_bridge_and_after_are_one_stream() {
    let mut w = World::new();
    let (caller, agent) = (w.connected(0, Codec::Pcmu, 101), w.connected(1, Codec::Pcmu, 96));
    w.run(40);
    w.play(caller, 1, 800, false);
    w.run(140);
    w.play(caller, 2, 1_600, true);
    w.run(500);
    w.order(caller, MediaCommand::Digit { digit: '5', duration_ms: 60 });
    w.run(300);
    w.order(caller, MediaCommand::Bridge { with: agent });
    w.run(60);
    for n in 0..50 {
        w.audio(1, n, 0, &[n as u8; 160]);
        w.run(20);
    }
    w.run(400); // the agent's phone falls silent
    for n in 50..60 {
        w.audio(1, n, 0, &[n as u8; 160]);
        w.run(20);
    }
    w.order(caller, MediaCommand::Unbridge);
    w.play(caller, 3, 800, false);
    w.run(200);
    let sent = w.sent(0);
    is_one_stream(&sent, 101);
    // Where the source changes, 5 ms are blended.
    let payloads = |value: u8| sent.iter().filter(|s| s.rtp().payload.get(40..) == Some(&[value; 120])).count();
    assert!((0..60).all(|n| payloads(n) == 1), "every packet of the agent, once");
    assert_eq!(payloads(Codec::Pcmu.encode(1_000)), 5);
    assert_eq!(payloads(Codec::Pcmu.encode(3_000)), 5);
    let most = sent.windows(2).map(|w| w[1].at - w[0].at).max().unwrap();
    assert!(most <= Duration::from_millis(220), "the stream never stops: {most:?}");
}

#[test]
fn a_bridge_relays_at_once_both_ways_with_digits_mapped() {
    let mut w = World::new();
    let (a, b) = (w.connected(0, Codec::Pcmu, 101), w.connected(1, Codec::Pcmu, 96));
    w.play(a, 1, 8_000, true);
    w.run(40);
    w.order(a, MediaCommand::Bridge { with: b });
    w.events();
    w.log.borrow_mut().clear();
    for n in 0..3 {
        for (seat, other) in [(0, 1), (1, 0)] {
            let payload: Vec<u8> = (0..160).map(|i| (i * 7 + n * 3 + seat as u32) as u8).collect();
            w.audio(seat, n, 0, &payload);
            let relayed = w.sent(other);
            assert_eq!(relayed.len(), 1, "before any tick");
            // The first is blended with what played before (5 ms).
            assert_eq!(relayed[0].rtp().payload[40..], payload[40..]);
            assert_eq!(n == 0, relayed[0].rtp().payload[..40] != payload[..40]);
            assert_eq!(relayed[0].to, peer(other));
        }
    }
    let live: Vec<_> = w.events().into_iter().filter(|e| matches!(e, MediaEvent::BridgeAudio { .. })).collect();
    let at = w.now();
    assert_eq!(
        live,
        [MediaEvent::BridgeAudio { from: a, to: b, at }, MediaEvent::BridgeAudio { from: b, to: a, at }],
        "once each"
    );
    for n in 0..5u16 {
        let event = Event { code: 11, end: n > 1, volume: 10, duration: 160 * (n + 1).min(3) };
        let payload = event.bytes();
        let packet = Rtp {
            marker: n == 0,
            payload_type: 101,
            sequence: 903 + n,
            timestamp: 50_480,
            ssrc: 70,
            payload: &payload,
        };
        w.packet(0, peer(0), packet);
    }
    let relayed = w.sent(1);
    assert_eq!(relayed.len(), 5);
    assert!(relayed.iter().all(|s| s.rtp().payload_type == 96 && s.rtp().timestamp == relayed[0].rtp().timestamp));
    assert_eq!(relayed.iter().filter(|s| s.rtp().marker).count(), 1);
    assert_eq!(w.events(), [MediaEvent::Digit { leg: a, digit: '#', at }]);
}

#[test]
fn what_comes_twice_is_relayed_once_and_what_comes_late_in_its_place() {
    let mut w = World::new();
    let (a, b) = (w.connected(0, Codec::Pcmu, 101), w.connected(1, Codec::Pcmu, 101));
    w.order(a, MediaCommand::Bridge { with: b });
    for n in [0, 1, 3, 2, 1, 2, 3, 4, 0, 5] {
        w.audio(0, n, 0, &[n as u8; 160]);
    }
    let relayed = w.sent(1);
    let order: Vec<u8> = relayed.iter().map(|s| s.rtp().payload[100]).collect();
    assert_eq!(order, [0, 1, 3, 2, 4, 5]);
    let first = relayed[0].rtp();
    for s in &relayed {
        let (packet, n) = (s.rtp(), s.rtp().payload[100]);
        assert_eq!(packet.sequence.wrapping_sub(first.sequence), u16::from(n));
        assert_eq!(packet.timestamp.wrapping_sub(first.timestamp), 160 * u32::from(n));
    }
}

#[test]
fn between_two_laws_a_bridge_maps_each_byte() {
    let mut w = World::new();
    let (a, b) = (w.connected(0, Codec::Pcmu, 101), w.connected(1, Codec::Pcma, 101));
    w.order(a, MediaCommand::Bridge { with: b });
    let payload: Vec<u8> = (0..240).map(|i| i as u8).collect();
    w.audio(0, 0, 0, &payload);
    let relayed = w.sent(1);
    assert_eq!(relayed[0].rtp().payload_type, 8);
    let expected: Vec<u8> = payload.iter().map(|byte| Codec::Pcma.encode(Codec::Pcmu.decode(*byte))).collect();
    assert_eq!(relayed[0].rtp().payload[40..], expected[40..]);
    w.audio(0, 1, 0, &payload);
    assert_eq!(w.sent(1)[0].rtp().payload, expected, "behind the blended beginning");
}

#[test]
fn a_bridge_cuts_what_plays_and_a_clip_played_into_it_is_heard_alone() {
    let mut w = World::new();
    let (a, b) = (w.connected(0, Codec::Pcmu, 101), w.connected(1, Codec::Pcmu, 101));
    w.play(a, 1, 80_000, true);
    w.play(b, 2, 80_000, false);
    w.run(100);
    w.order(b, MediaCommand::Bridge { with: a });
    let ended: Vec<_> =
        w.events().into_iter().filter(|e| matches!(e, MediaEvent::PlayEnded { completed: false, .. })).collect();
    assert_eq!(ended.len(), 2);
    w.play(a, 3, 800, false);
    w.sent(0);
    for n in 0..10 {
        w.audio(1, n, 0, &[9; 160]);
        w.run(20);
    }
    let heard: Vec<bool> = w.sent(0).iter().map(|s| s.rtp().payload.get(40..) == Some(&[9; 120])).collect();
    assert_eq!(heard.iter().filter(|live| **live).count(), 5, "{heard:?}");
}

/// A peer that speaks RTP and means harm: nothing panics, and the leg still works.
#[test]
fn hostile_streams_of_the_peer_itself() {
    let mut random = StdRng::seed_from_u64(9);
    let mut w = World::new();
    let (a, b) = (w.connected(0, Codec::Pcmu, 101), w.connected(1, Codec::Pcma, 101));
    let (to, mut tap) = RingBuffer::new(64);
    w.order(a, MediaCommand::Tap { to: Some(to) });
    w.order(a, MediaCommand::Bridge { with: b });
    let edges = [0u32, 1, 159, 160, 4_095, 4_096, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, u32::MAX - 160, u32::MAX];
    for _ in 0..50_000 {
        let payload: Vec<u8> = (0..random.random_range(0..970)).map(|_| random.random()).collect();
        let edge = edges[random.random_range(0..edges.len())];
        let packet = Rtp {
            marker: random.random(),
            payload_type: [0, 8, 13, 101, 127][random.random_range(0..5)],
            sequence: if random.random_bool(0.5) { edge as u16 } else { random.random() },
            timestamp: if random.random_bool(0.7) { edge } else { random.random() },
            ssrc: random.random_range(0..3),
            payload: &payload,
        };
        w.packet(0, peer(0), packet);
        if random.random_bool(0.1) {
            w.run(5);
            while tap.pop().is_ok() {}
            w.log.borrow_mut().clear();
            w.events();
        }
    }
    w.run(1_000);
    for n in 0..20 {
        w.audio(0, n, 0, &[n as u8; 160]);
        w.run(20);
    }
    let heard = w.sent(1);
    assert!((5..20).all(|n| heard.iter().any(|s| s.rtp().payload[0] == Codec::Pcmu.map_to(Codec::Pcma).unwrap()[n])));
}

/// Orders and packets at random: each leg's stream stays one stream, nothing panics, every play that starts ends.
#[test]
fn random_walk() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut w = World::new();
        let legs: Vec<MediaLeg> = (0..4)
            .map(|seat| w.connected(seat, if seat % 2 == 0 { Codec::Pcmu } else { Codec::Pcma }, 96 + seat as u8))
            .collect();
        let mut sent = vec![Vec::new(); 4];
        let mut next = [0u32; 4];
        for step in 0..400u64 {
            let (seat, other) = (random.random_range(0..4), random.random_range(0..4));
            let (leg, with) = (legs[seat], legs[other]);
            match random.random_range(0..12) {
                0 => w.play(leg, step, random.random_range(0..3_000), random.random_bool(0.2)),
                1 => w.order(leg, MediaCommand::Stop),
                2 => w.order(leg, MediaCommand::Bridge { with }),
                3 => w.order(leg, MediaCommand::Unbridge),
                4 => w.order(leg, MediaCommand::Digit { digit: '7', duration_ms: random.random_range(0..200) }),
                5 => w.connect(leg, Codec::Pcmu, 96 + seat as u8, random.random_bool(0.8), random.random_bool(0.8)),
                6 => next[seat] += random.random_range(0..100),
                7 => next[seat] = random.random(),
                _ => {}
            }
            for (seat, next) in next.iter_mut().enumerate() {
                if random.random_bool(0.8) {
                    let length = [80, 160, 240, 0, 480][random.random_range(0..5)];
                    w.audio(seat, *next, [0, 8][random.random_range(0..2)], &vec![3; length]);
                }
                *next = next.wrapping_add(1);
            }
            w.run(random.random_range(0..8) * 5);
        }
        for (seat, sent) in sent.iter_mut().enumerate() {
            sent.extend(w.sent(seat));
            let (mut seen, ssrc) = (std::collections::HashSet::new(), sent[0].rtp().ssrc);
            for packet in sent.iter() {
                assert_eq!(packet.rtp().ssrc, ssrc, "seed {seed}");
                assert!(seen.insert(packet.rtp().sequence), "seed {seed}: {} twice", packet.rtp().sequence);
            }
            closed(&mut w, legs[seat]);
        }
    }
}
