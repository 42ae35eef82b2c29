//! The media plane on real loopback sockets. Peers send a packet whenever they hear one, so that the gateway's own pace
//! drives a test, and every wait has a deadline; nothing sleeps.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic here is a failed test")]

mod support;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use baton_audio::Clip;
use baton_media::{Codec, MediaCommand, MediaConfig, MediaEvent, MediaLeg, MediaStartError, OpenError, PlayId};
use support::{Engine, Peer, assert_one_stream, correlation, decoded, encoded, noise, ports};

const ULAW: Codec = Codec::Pcmu;
const ALAW: Codec = Codec::Pcma;

fn play(engine: &Engine, leg: MediaLeg, id: u64, pcm: &[i16], looped: bool) {
    engine.command(leg, MediaCommand::Play { id: PlayId(id), clip: Clip::new(pcm.to_vec()), looped });
}

fn payloads(packets: &[rtp::packet::Packet]) -> Vec<u8> {
    packets.iter().filter(|p| p.header.payload_type != support::DTMF).flat_map(|p| p.payload.to_vec()).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

#[test]
fn a_clip_is_heard_whole_in_one_stream_at_its_pace() {
    let mut engine = Engine::new(2);
    let (leg, peer) = engine.leg(ALAW);
    let pcm = noise(1, 8_000);
    let began = Instant::now();
    play(&engine, leg, 7, &pcm, false);
    let heard = peer.hear_while(|_| began.elapsed() < Duration::from_millis(1_200));
    assert_one_stream(&heard);
    assert!(heard.windows(2).all(|p| p[1].header.timestamp.wrapping_sub(p[0].header.timestamp) == 160));
    assert!(heard.iter().all(|p| p.header.payload_type == 8 && p.payload.len() == 160));
    assert!(heard[0].header.marker && heard[1..].iter().all(|p| !p.header.marker));
    assert!(contains(&payloads(&heard), &encoded(ALAW, &pcm)));
    assert!((45..=62).contains(&heard.len()), "1.2 s are 60 packets: {}", heard.len());
    let started = engine.event(|e| match e {
        MediaEvent::PlayStarted { id: PlayId(7), at, .. } => Some(*at),
        _ => None,
    });
    assert!(started >= began && started < began + Duration::from_millis(100));
    let played = engine.event(|e| match e {
        MediaEvent::PlayEnded { id: PlayId(7), completed: true, played, .. } => Some(*played),
        _ => None,
    });
    assert_eq!(played, Duration::from_secs(1));
}

#[test]
fn clips_queue_music_loops_without_a_seam_stop_ends_it() {
    let mut engine = Engine::new(2);
    let (leg, peer) = engine.leg(ULAW);
    let (one, two, music) = (noise(1, 1_000), noise(2, 1_500), noise(3, 1_111));
    play(&engine, leg, 1, &one, false);
    play(&engine, leg, 2, &two, false);
    play(&engine, leg, 3, &music, true);
    let wanted = encoded(ULAW, &[&one[..], &two, &music, &music, &music].concat());
    let mut so_far = Vec::new();
    peer.hear_while(|p| {
        so_far.extend(p.payload.to_vec());
        !contains(&so_far, &wanted)
    });
    engine.command(leg, MediaCommand::Stop);
    let mut told = Vec::new();
    engine.event(|e| {
        match e {
            MediaEvent::PlayStarted { id, .. } => told.push(format!("{} starts", id.0)),
            MediaEvent::PlayEnded { id, completed, .. } => told.push(format!("{} ends {completed}", id.0)),
            _ => {}
        }
        matches!(e, MediaEvent::PlayEnded { id: PlayId(3), .. }).then_some(())
    });
    assert_eq!(told, ["1 starts", "1 ends true", "2 starts", "2 ends true", "3 starts", "3 ends false"]);
    let mut silent = 0;
    peer.hear_while(|p| {
        silent = if p.payload.iter().all(|b| *b == 0xFF) { silent + 1 } else { 0 };
        silent < 5
    });
}

#[test]
fn a_tap_hears_what_was_said() {
    let mut engine = Engine::new(2);
    let (leg, mut peer) = engine.leg(ULAW);
    let (to, mut tap) = rtrb::RingBuffer::new(512);
    engine.command(leg, MediaCommand::Tap { to: Some(to) });
    let pcm = noise(4, 16_000);
    let mut rest = pcm.chunks(160);
    peer.hear();
    peer.say(&encoded(ULAW, rest.next().unwrap()));
    engine.event(|e| matches!(e, MediaEvent::FirstPacket { leg: l, .. } if *l == leg).then_some(()));
    let mut after = 0;
    loop {
        peer.hear();
        match rest.next() {
            Some(chunk) => peer.say(&encoded(ULAW, chunk)),
            None if after < 8 => after += 1,
            None => break,
        }
    }
    let mut frames = Vec::new();
    while let Ok(frame) = tap.pop() {
        frames.push(frame);
    }
    assert!(frames.windows(2).all(|f| f[1].media_time.wrapping_sub(f[0].media_time) == 160));
    let heard: Vec<i16> = frames.iter().flat_map(|f| f.samples).collect();
    let best = correlation(&pcm[500..2_000], &heard).min(correlation(&pcm[14_000..15_500], &heard));
    assert!(best > 0.99, "{best}");
    engine.command(leg, MediaCommand::Tap { to: None });
    engine.command(leg, MediaCommand::Close);
    engine.event(|e| matches!(e, MediaEvent::Closed { .. }).then_some(()));
}

/// Both peers talk for a second through a bridge, a third leg's silence giving the pace. For each direction: how well
/// what was heard correlates, what was said, what was heard.
fn converse(engine: &Engine, [(a, mut one), (b, mut two)]: [(MediaLeg, Peer); 2]) -> [(f64, Vec<u8>, Vec<u8>); 2] {
    let (pacing, pace) = engine.leg(ULAW);
    let spoken = [noise(11, 8_000), noise(12, 8_000)];
    let said = [encoded(one.codec, &spoken[0]), encoded(two.codec, &spoken[1])];
    engine.command(a, MediaCommand::Bridge { with: b });
    pace.hear();
    for (from_one, from_two) in said[0].chunks(160).zip(said[1].chunks(160)) {
        one.say(from_one);
        two.say(from_two);
        pace.hear();
    }
    engine.command(pacing, MediaCommand::Close);
    let listen = |peer: &Peer, spoken: &[i16], said: &[u8]| {
        let (mut silent, mut live) = (0, 0);
        let packets = peer.hear_while(|p| {
            let quiet = p.payload.iter().all(|byte| *byte == p.payload[0]);
            (silent, live) = if quiet { (silent + 1, live) } else { (0, live + 1) };
            live == 0 || silent < 3
        });
        assert_one_stream(&packets);
        let heard = payloads(&packets);
        (correlation(&spoken[2_000..4_000], &decoded(peer.codec, &heard)), said.to_vec(), heard)
    };
    [listen(&two, &spoken[0], &said[0]), listen(&one, &spoken[1], &said[1])]
}

#[test]
fn a_bridge_carries_both_ways_byte_for_byte() {
    let mut engine = Engine::new(3);
    let (a, b) = (engine.leg(ULAW), engine.leg(ULAW));
    let (leg_a, leg_b) = (a.0, b.0);
    for (correlation, said, heard) in converse(&engine, [a, b]) {
        assert!(correlation > 0.99, "{correlation}");
        assert!(contains(&heard, &said[40..]), "the very bytes, but for 5 ms in which the voice is faded in");
    }
    let mut live = Vec::new();
    engine.event(|e| {
        if let MediaEvent::BridgeAudio { from, to, .. } = e {
            live.push((*from, *to));
        }
        (live.len() == 2).then_some(())
    });
    live.sort();
    assert_eq!(live, [(leg_a, leg_b), (leg_b, leg_a)]);
}

#[test]
fn a_bridge_between_two_laws_carries_both_ways() {
    let engine = Engine::new(3);
    let (a, b) = (engine.leg(ULAW), engine.leg(ALAW));
    for (correlation, ..) in converse(&engine, [a, b]) {
        assert!(correlation > 0.99, "{correlation}");
    }
}

#[test]
fn legs_of_two_shards_meet_on_one() {
    let mut engine = Engine::with(MediaConfig { ports: ports(5), threads: 2, pin: true, ..MediaConfig::default() });
    let legs: Vec<_> = (0..4).map(|_| engine.leg(ULAW)).collect();
    let [a, b, c, d]: [_; 4] = legs.try_into().ok().unwrap();
    let ids = [a.0, b.0];
    // The least loaded shard takes a leg, so neighbours are apart. Orders given behind the bridge stay behind it.
    for (correlation, said, heard) in converse(&engine, [a, b]) {
        assert!(correlation > 0.99 && contains(&heard, &said[40..]), "{correlation}");
    }
    let cd = [c.0, d.0];
    engine.command(cd[0], MediaCommand::Bridge { with: cd[1] });
    engine.command(cd[1], MediaCommand::Unbridge);
    play(&engine, cd[1], 5, &noise(6, 800), false);
    engine.event(|e| matches!(e, MediaEvent::PlayEnded { id: PlayId(5), completed: true, .. }).then_some(()));
    for leg in ids.into_iter().chain(cd) {
        engine.command(leg, MediaCommand::Close);
    }
    let mut closed = 0;
    engine.event(|e| {
        closed += usize::from(matches!(e, MediaEvent::Closed { .. }));
        (closed == 4).then_some(())
    });
}

#[test]
fn three_legs_of_three_shards_hear_each_other_and_a_supervisor_comes_along() {
    let mut engine = Engine::with(MediaConfig { ports: ports(5), threads: 3, ..MediaConfig::default() });
    let mut legs: Vec<_> = (0..3).map(|_| engine.leg(ULAW)).collect();
    let (beside, _) = engine.handle.open_beside(legs[0].0).unwrap();
    let ids: Vec<MediaLeg> = legs.iter().map(|(leg, _)| *leg).collect();
    engine.handle.conference(&ids).unwrap();
    engine.handle.supervise(ids[2], ids[1], ids[0], baton_media::Supervise::Barge).unwrap();
    engine.command(beside, MediaCommand::Close);
    let said = encoded(ULAW, &noise(8, 160));
    let mut pairs = std::collections::HashSet::new();
    for _ in 0..50 {
        for (_, peer) in &mut legs {
            peer.hear();
            peer.say(&said);
        }
        while let Some(event) = engine.events.try_next() {
            if let MediaEvent::BridgeAudio { from, to, .. } = event {
                pairs.insert((from, to));
            }
        }
    }
    assert_eq!(pairs.len(), 6, "{pairs:?}");
}

#[test]
fn after_the_bridge_the_player_goes_on_in_the_same_stream() {
    let mut engine = Engine::new(2);
    let ((a, one), (b, mut two)) = (engine.leg(ULAW), engine.leg(ULAW));
    let (prompt, speech, goodbye) = (noise(1, 1_600), noise(2, 1_600), noise(3, 1_600));
    play(&engine, a, 1, &prompt, false);
    engine.event(|e| matches!(e, MediaEvent::PlayEnded { id: PlayId(1), .. }).then_some(()));
    engine.command(a, MediaCommand::Bridge { with: b });
    for chunk in speech.chunks(160) {
        two.say(&encoded(ULAW, chunk));
    }
    engine.event(|e| matches!(e, MediaEvent::BridgeAudio { from, to, .. } if (*from, *to) == (b, a)).then_some(()));
    let mut heard = Vec::new();
    heard.extend(one.hear_while({
        let (wanted, mut so_far) = (encoded(ULAW, &speech), Vec::new());
        move |p| {
            so_far.extend(p.payload.to_vec());
            !contains(&so_far, &wanted[40..])
        }
    }));
    engine.command(b, MediaCommand::Unbridge);
    play(&engine, a, 2, &goodbye, false);
    heard.extend(one.hear_while({
        let (wanted, mut so_far) = (encoded(ULAW, &goodbye), Vec::new());
        move |p| {
            so_far.extend(p.payload.to_vec());
            !contains(&so_far, &wanted[40..])
        }
    }));
    assert_one_stream(&heard);
    assert!(contains(&payloads(&heard), &encoded(ULAW, &prompt)));
}

#[test]
fn digits_in_are_told_once_and_digits_out_are_as_rfc_4733_has_them() {
    let mut engine = Engine::new(2);
    let (leg, mut peer) = engine.leg(ULAW);
    for code in [1, 1, 10, 11] {
        peer.press(code);
    }
    let mut digits = String::new();
    engine.event(|e| {
        if let MediaEvent::Digit { digit, .. } = e {
            digits.push(*digit);
        }
        (digits.len() == 4).then_some(())
    });
    assert_eq!(digits, "11*#");
    engine.command(leg, MediaCommand::Digit { digit: '9', duration_ms: 100 });
    let mut ends = 0;
    let heard = peer.hear_while(|p| {
        ends += usize::from(p.header.payload_type == support::DTMF && p.payload[1] & 0x80 != 0);
        ends < 3
    });
    let events: Vec<_> = heard.iter().filter(|p| p.header.payload_type == support::DTMF).collect();
    assert_eq!(events.len(), 7);
    assert!(events.iter().all(|p| p.payload[0] == 9 && p.header.timestamp == events[0].header.timestamp));
    assert!(events[0].header.marker && events[1..].iter().all(|p| !p.header.marker));
    let durations: Vec<u16> = events.iter().map(|p| u16::from_be_bytes([p.payload[2], p.payload[3]])).collect();
    assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
}

#[test]
fn ports_run_out_come_back_and_are_pairs() {
    let range = ports(3);
    let mut engine = Engine::with(MediaConfig { ports: range.clone(), ..MediaConfig::default() });
    let legs: Vec<_> = (0..3).map(|_| engine.handle.open().unwrap()).collect();
    assert!(legs.iter().all(|(_, addr)| addr.port() % 2 == 0 && range.contains(&addr.port())));
    assert!(UdpSocket::bind(("127.0.0.1", legs[0].1.port() + 1)).is_err(), "RTCP's port is taken too");
    assert!(matches!(engine.handle.open(), Err(OpenError::PortsExhausted)));
    engine.command(legs[1].0, MediaCommand::Close);
    engine.event(|e| matches!(e, MediaEvent::Closed { leg, .. } if *leg == legs[1].0).then_some(()));
    let deadline = Instant::now() + support::DEADLINE;
    let (leg, addr) = loop {
        match engine.handle.open() {
            Ok(opened) => break opened,
            Err(_) => assert!(Instant::now() < deadline, "the pair comes back"),
        }
        std::thread::yield_now();
    };
    assert_eq!(addr, legs[1].1);
    assert_ne!(leg, legs[1].0);
    engine.command(legs[1].0, MediaCommand::Stop); // of the old leg: ignored
    assert!(matches!(engine.handle.open(), Err(OpenError::PortsExhausted)));
}

#[test]
fn a_port_of_another_program_is_passed_over() {
    let range = ports(2);
    let _theirs = UdpSocket::bind(("127.0.0.1", *range.start() + 1)).unwrap();
    let engine = Engine::with(MediaConfig { ports: range.clone(), ..MediaConfig::default() });
    assert_eq!(engine.handle.open().unwrap().1.port(), *range.start() + 2);
    assert!(matches!(engine.handle.open(), Err(OpenError::PortsExhausted)));
}

#[test]
fn what_cannot_start_says_why() {
    let start = |config| baton_media::start(config).err().unwrap();
    let ok = MediaConfig { ports: ports(1), ..MediaConfig::default() };
    assert!(matches!(start(MediaConfig { ports: 9_001..=9_002, ..ok.clone() }), MediaStartError::NoPorts { .. }));
    assert!(matches!(start(MediaConfig { threads: 0, ..ok.clone() }), MediaStartError::NoThreads));
    let elsewhere = "192.0.2.77".parse().unwrap();
    assert!(
        matches!(start(MediaConfig { bind: elsewhere, ..ok }), MediaStartError::Bind { addr, .. } if addr == elsewhere)
    );
}

#[test]
fn silence_is_told_with_its_leg() {
    let mut engine = Engine::with(MediaConfig {
        ports: ports(2),
        silence_limit: Duration::from_millis(300),
        ..MediaConfig::default()
    });
    let (leg, _peer) = engine.leg(ULAW);
    let for_ = engine.event(|e| match e {
        MediaEvent::Silent { leg: l, for_ } if *l == leg => Some(*for_),
        _ => None,
    });
    assert!(for_ >= Duration::from_millis(300) && for_ < Duration::from_secs(2));
}

#[test]
fn a_flood_of_noise_from_strangers_hurts_nobody() {
    let mut engine = Engine::new(2);
    let (leg, mut peer) = engine.leg(ULAW);
    let target = peer.to;
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let said = encoded(ULAW, &noise(5, 8_000));
    let mut heard = Vec::new();
    for (n, chunk) in said.chunks(160).enumerate() {
        heard.push(peer.hear());
        peer.say(chunk);
        for i in 0..40u8 {
            let length = (n * 40 + usize::from(i) * 37) % 1_500;
            let mut bytes: Vec<u8> = (0..length).map(|b| (b as u8).wrapping_mul(i).wrapping_add(n as u8)).collect();
            if let Some(first) = bytes.first_mut() {
                *first = 0x80 | (*first & 0x3F);
            }
            stranger.send_to(&bytes, target).unwrap();
            stranger.send_to(&bytes, (target.ip(), target.port() + 1)).unwrap();
        }
    }
    assert_one_stream(&heard);
    engine.command(leg, MediaCommand::Close);
    let stats = engine.event(|e| match e {
        MediaEvent::Closed { stats, .. } => Some(*stats),
        _ => None,
    });
    assert!(stats.strays > 500 && stats.lost == 0 && stats.received >= 49, "{stats:?}");
    assert!(engine.handle.counters().malformed > 0);
}

#[test]
fn threads_end_with_the_last_handle() {
    let Engine { handle, mut events } = Engine::new(1);
    let (leg, addr) = handle.open().unwrap();
    handle.command(leg, MediaCommand::Close).unwrap();
    drop(handle.clone());
    drop(handle); // joins the threads
    UdpSocket::bind(addr).unwrap();
    while events.try_next().is_some() {}
}
