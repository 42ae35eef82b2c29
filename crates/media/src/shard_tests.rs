//! A shard on a virtual clock, with ports that write down what is sent.

use std::cell::RefCell;
use std::rc::Rc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rtrb::{Consumer, RingBuffer};

use super::*;
use crate::wire::{Event, MAX_PACKET, Rtp};
use crate::{Agreement, Codec, CodecList, LegStats, PlayId};

#[path = "sound_tests.rs"]
mod sound;

#[path = "hostile_tests.rs"]
mod hostile;

#[path = "bridge_tests.rs"]
mod bridge;

const SILENCE_LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Sent {
    at: Duration,
    seat: usize,
    to: SocketAddr,
    bytes: Vec<u8>,
    rtcp: bool,
}

impl Sent {
    fn rtp(&self) -> Rtp<'_> {
        Rtp::parse(&self.bytes).expect("what we send is RTP")
    }
}

struct Recorder {
    seat: usize,
    clock: Rc<RefCell<Duration>>,
    log: Rc<RefCell<Vec<Sent>>>,
}

impl Recorder {
    fn note(&self, to: SocketAddr, bytes: &[u8], rtcp: bool) -> bool {
        let at = *self.clock.borrow();
        self.log.borrow_mut().push(Sent { at, seat: self.seat, to, bytes: bytes.to_vec(), rtcp });
        true
    }
}

impl Port for Recorder {
    fn rtp(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        self.note(to, datagram, false)
    }
    fn rtcp(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        self.note(to, datagram, true)
    }
}

struct World {
    shard: Shard<Recorder>,
    events: Consumer<MediaEvent>,
    garbage: Consumer<Garbage<Recorder>>,
    counters: Arc<Counters>,
    log: Rc<RefCell<Vec<Sent>>>,
    clock: Rc<RefCell<Duration>>,
    origin: Instant,
}

fn peer(n: usize) -> SocketAddr {
    ([192, 0, 2, 1], 4_000 + 2 * n as u16).into()
}

impl World {
    fn new() -> Self {
        let (event_in, events) = RingBuffer::new(4_096);
        let (garbage_in, garbage) = RingBuffer::new(4_096);
        let counters = Arc::new(Counters::default());
        let origin = Instant::now();
        let sinks = Sinks::new(event_in, garbage_in, 16, Arc::clone(&counters));
        let shard = Shard::new(8, origin, SystemTime::now(), sinks);
        Self { shard, events, garbage, counters, log: Rc::default(), clock: Rc::default(), origin }
    }

    fn now(&self) -> Instant {
        self.origin + *self.clock.borrow()
    }

    fn open(&mut self, seat: usize) -> MediaLeg {
        let leg = leg_on(seat, 1);
        let port = Recorder { seat, clock: Rc::clone(&self.clock), log: Rc::clone(&self.log) };
        self.shard.admit(Box::new(Leg::new(leg, port, SILENCE_LIMIT, [0x1234_5678_FFFF_FF00 + seat as u64, 65_530])));
        leg
    }

    fn connected(&mut self, seat: usize, codec: Codec, dtmf: u8) -> MediaLeg {
        let leg = self.open(seat);
        self.connect(leg, codec, dtmf, true, true);
        leg
    }

    fn connect(&mut self, leg: MediaLeg, codec: Codec, dtmf: u8, send: bool, receive: bool) {
        let codecs = CodecList::one(codec, codec.usual_payload_type());
        let agreement = Agreement::new(peer(seat_of(leg)), codecs);
        let agreement = Agreement { dtmf_payload_type: Some(dtmf), send, receive, ..agreement };
        self.order(leg, MediaCommand::Connect(agreement));
    }

    fn order(&mut self, leg: MediaLeg, command: MediaCommand) {
        let now = self.now();
        assert!(self.shard.order(now, leg, command.into()).is_none());
    }

    fn play(&mut self, leg: MediaLeg, id: u64, samples: usize, looped: bool) {
        let clip = Clip::new(vec![(id as i16).wrapping_mul(1_000); samples]);
        self.order(leg, MediaCommand::Play { id: PlayId(id), clip, looped });
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 5 {
            *self.clock.borrow_mut() += GRID;
            let now = self.now();
            self.shard.tick(now);
        }
    }

    /// The peer of a seat sends a packet.
    fn packet(&mut self, seat: usize, from: SocketAddr, packet: Rtp<'_>) {
        let mut bytes = [0; MAX_PACKET];
        let length = packet.write(&mut bytes);
        let now = self.now();
        self.shard.rtp(now, seat, from, &mut bytes[..length]);
    }

    fn audio(&mut self, seat: usize, n: u32, payload_type: u8, payload: &[u8]) {
        let packet = Rtp {
            marker: n == 0,
            payload_type,
            sequence: 900u16.wrapping_add(n as u16),
            timestamp: n.wrapping_mul(160).wrapping_add(50_000),
            ssrc: 70 + seat as u32,
            payload,
        };
        self.packet(seat, peer(seat), packet);
    }

    fn events(&mut self) -> Vec<MediaEvent> {
        std::iter::from_fn(|| self.events.pop().ok()).collect()
    }

    /// RTP sent from a seat since the last time.
    fn sent(&mut self, seat: usize) -> Vec<Sent> {
        let (mine, others) = self.log.borrow_mut().drain(..).partition(|s| s.seat == seat && !s.rtcp);
        *self.log.borrow_mut() = others;
        mine
    }
}

/// One source, each sequence number once and in order, audio timestamps never back.
fn is_one_stream(sent: &[Sent], dtmf: u8) {
    let (first, mut end) = (sent[0].rtp(), None);
    for (n, packet) in sent.iter().enumerate() {
        let packet = packet.rtp();
        assert_eq!(packet.ssrc, first.ssrc, "packet {n}");
        assert_eq!(packet.sequence, first.sequence.wrapping_add(n as u16), "packet {n}");
        if packet.payload_type != dtmf {
            if let Some(end) = end {
                let gap = packet.timestamp.wrapping_sub(end) as i32;
                assert!(gap >= 0, "packet {n} begins {gap} samples after the one before");
            }
            end = Some(packet.timestamp.wrapping_add(packet.payload.len() as u32));
        }
    }
}

#[test]
fn a_connected_leg_sends_silence_every_20_ms() {
    let mut w = World::new();
    w.open(0);
    w.run(100);
    assert!(w.sent(0).is_empty(), "not before it is connected");
    let leg = w.shard.at(0).unwrap().id();
    w.connect(leg, Codec::Pcma, 101, true, true);
    w.run(1_000);
    let sent = w.sent(0);
    assert_eq!(sent.len(), 50);
    is_one_stream(&sent, 101);
    for (n, s) in sent.iter().enumerate() {
        let packet = s.rtp();
        assert_eq!((s.to, packet.payload_type, packet.marker), (peer(0), 8, n == 0));
        assert_eq!(packet.payload, [0xD5; 160]);
        assert_eq!(packet.timestamp, sent[0].rtp().timestamp.wrapping_add(160 * n as u32), "across the wrap");
        assert_eq!(s.at - sent[0].at, Duration::from_millis(20 * n as u64));
    }
}

#[test]
fn a_tap_and_the_digits_follow_a_new_source_from_its_first_packet() {
    let mut w = World::new();
    let leg = w.connected(0, Codec::Pcmu, 101);
    let (to, mut tap) = RingBuffer::new(64);
    w.order(leg, MediaCommand::Tap { to: Some(to) });
    for n in 0..10 {
        w.audio(0, n, 0, &[Codec::Pcmu.encode(1_000); 160]);
        w.run(20);
    }
    let payload = Event { code: 5, end: true, volume: 10, duration: 800 }.bytes();
    for ssrc in [70, 99] {
        let sequence = if ssrc == 70 { 910 } else { 1 };
        w.packet(
            0,
            peer(0),
            Rtp { marker: true, payload_type: 101, sequence, timestamp: 51_600, ssrc, payload: &payload },
        );
    }
    let digits = w.events().into_iter().filter(|e| matches!(e, MediaEvent::Digit { digit: '5', .. })).count();
    assert_eq!(digits, 2, "the same timestamp of another source is another event");
    while tap.pop().is_ok() {}
    for n in 0..10u16 {
        // A little behind the first source: its own place in time, not late in the other's.
        let (sequence, timestamp) = (2 + n, 50_000 + 160 * u32::from(n));
        let payload = [Codec::Pcmu.encode(-2_000); 160];
        w.packet(0, peer(0), Rtp { marker: false, payload_type: 0, sequence, timestamp, ssrc: 99, payload: &payload });
        w.run(20);
    }
    let frames: Vec<AudioFrame> = std::iter::from_fn(|| tap.pop().ok()).collect();
    let new = frames.iter().filter(|f| f.samples[80] < -1_500).count();
    assert!(new >= 7, "{new} of 10 after 40 ms of delay");
}

#[test]
fn a_tap_gets_a_frame_every_20_ms_whatever_comes() {
    let mut w = World::new();
    let leg = w.connected(0, Codec::Pcmu, 101);
    let (to, mut tap) = RingBuffer::new(64);
    w.run(100);
    w.order(leg, MediaCommand::Tap { to: Some(to) });
    for n in 0..40 {
        if n != 20 {
            let level = Codec::Pcmu.encode(n as i16 * 100);
            w.audio(0, n, 0, &[level; 160]);
        }
        w.run(20);
    }
    let frames: Vec<AudioFrame> = std::iter::from_fn(|| tap.pop().ok()).collect();
    assert_eq!(frames.len(), 40);
    assert!(frames.windows(2).all(|f| f[1].media_time - f[0].media_time == 160));
    let heard: Vec<i16> = frames.iter().map(|f| f.samples[80]).collect();
    let level = |n: i16| Codec::Pcmu.decode(Codec::Pcmu.encode(n * 100));
    let delay = heard.iter().position(|v| *v == level(1)).unwrap() - 1;
    assert!((2..=3).contains(&delay), "40 to 60 ms: {delay}");
    for n in (1..35).filter(|n| *n != 20) {
        assert_eq!(heard[n as usize + delay], level(n));
    }
    let concealed = f64::from(heard[20 + delay]) / f64::from(level(19));
    assert!((0.6..=1.0).contains(&concealed), "the lost frame is the one before, fading");
    w.run(2_000);
    assert_eq!(w.counters.tap_overruns.get(), 100 - 64, "a full ring loses the newest");
    w.order(leg, MediaCommand::Tap { to: None });
    assert!(!tap.is_abandoned(), "freed elsewhere");
    while w.garbage.pop().is_ok() {}
    assert!(tap.is_abandoned());
}

#[test]
fn silence_is_reported_once_and_only_where_something_should_come() {
    let mut w = World::new();
    let leg = w.connected(0, Codec::Pcmu, 101);
    w.run(29_900);
    assert_eq!(w.events(), []);
    w.run(60_000);
    assert!(matches!(w.events()[..], [MediaEvent::Silent { leg: l, for_ }] if l == leg && for_ >= SILENCE_LIMIT));
    w.audio(0, 0, 0, &[1; 160]);
    w.run(29_000);
    assert!(matches!(w.events()[..], [MediaEvent::FirstPacket { .. }]));
    w.run(2_000);
    assert!(matches!(w.events()[..], [MediaEvent::Silent { .. }]), "again after it was broken");
    w.audio(0, 1, 0, &[1; 160]);
    w.connect(leg, Codec::Pcmu, 101, true, false);
    w.run(90_000);
    w.connect(leg, Codec::Pcmu, 101, true, true);
    w.run(29_000);
    assert_eq!(w.events(), [], "on hold, and just off hold");
}

#[test]
fn on_hold_nothing_is_sent_and_the_playlist_waits() {
    let mut w = World::new();
    let leg = w.connected(0, Codec::Pcmu, 101);
    w.play(leg, 1, 1_600, false);
    w.run(100);
    w.connect(leg, Codec::Pcmu, 101, false, true);
    w.sent(0);
    w.run(1_000);
    assert!(w.sent(0).is_empty());
    w.connect(leg, Codec::Pcmu, 101, true, true);
    w.run(100);
    let sent = w.sent(0);
    assert!(sent[0].rtp().marker, "a new talkspurt");
    assert_eq!(sent.iter().filter(|s| s.rtp().payload == [Codec::Pcmu.encode(1_000); 160]).count(), 5);
    assert!(matches!(w.events()[..], [
        MediaEvent::PlayStarted { .. },
        MediaEvent::PlayEnded { completed: true, played, .. }
    ] if played == Duration::from_millis(200)));
}

#[test]
fn an_address_of_nobody_is_a_hold() {
    let mut w = World::new();
    let leg = w.connected(0, Codec::Pcmu, 101);
    w.run(40);
    w.sent(0);
    for remote in ["0.0.0.0:4000", "192.0.2.1:0"] {
        w.order(leg, MediaCommand::Connect(Agreement::new(remote.parse().unwrap(), CodecList::one(Codec::Pcmu, 0))));
        w.run(6_000);
    }
    assert!(w.sent(0).is_empty());
}

#[test]
fn strangers_and_noise_change_nothing_and_are_counted() {
    let mut w = World::new();
    let leg = w.connected(0, Codec::Pcmu, 101);
    for n in 0..10 {
        w.audio(0, n, 0, &[1; 160]);
    }
    let mut random = StdRng::seed_from_u64(5);
    let now = w.now();
    for n in 0..10_000u16 {
        let mut noise = [0u8; 200];
        random.fill(&mut noise);
        let length = random.random_range(0..200);
        w.shard.rtp(now, 0, ([198, 51, 100, 7], 1_000 + n).into(), &mut noise[..length]);
        w.shard.rtcp(now, 0, peer(0), &mut noise[..length]);
        w.shard.rtcp(now, 7, peer(0), &mut noise[..length]);
        let packet = Rtp { marker: false, payload_type: 0, sequence: n, timestamp: 0, ssrc: 1, payload: &[2; 160] };
        w.packet(0, ([198, 51, 100, 7], 1_000).into(), packet);
    }
    w.run(20);
    assert!(w.sent(0).iter().all(|s| s.to == peer(0)), "never sent to a stranger");
    let stats = closed(&mut w, leg);
    assert_eq!((stats.received, stats.lost, stats.strays), (10, 0, 20_000));
}

fn closed(w: &mut World, leg: MediaLeg) -> LegStats {
    let now = w.now();
    let gone = w.shard.order(now, leg, MediaCommand::Close.into()).expect("it was there");
    w.shard.sinks.bin(Garbage::Closed(gone));
    match w.events().pop() {
        Some(MediaEvent::Closed { leg: l, stats }) if l == leg => stats,
        other => panic!("{other:?}"),
    }
}

#[test]
fn behind_a_nat_audio_goes_where_audio_comes_from() {
    let mut w = World::new();
    w.connected(0, Codec::Pcmu, 101);
    let nat: SocketAddr = ([203, 0, 113, 5], 61_000).into();
    for n in 0..5 {
        let packet = Rtp { marker: false, payload_type: 0, sequence: n, timestamp: 0, ssrc: 1, payload: &[2; 160] };
        w.packet(0, nat, packet);
    }
    w.run(20);
    assert_eq!(w.sent(0)[0].to, nat);
}

#[test]
fn closing_says_how_it_was_and_frees_elsewhere() {
    let mut w = World::new();
    let (a, b) = (w.connected(0, Codec::Pcmu, 101), w.connected(1, Codec::Pcma, 101));
    let (to, tap) = RingBuffer::new(4);
    w.order(a, MediaCommand::Tap { to: Some(to) });
    w.order(a, MediaCommand::Bridge { with: b });
    for n in 0..100 {
        if n % 10 != 5 {
            w.audio(0, n, 0, &[1; 160]);
        }
        w.run(20);
    }
    w.play(a, 1, 80_000, false);
    w.run(20);
    let stats = closed(&mut w, a);
    assert_eq!((stats.received, stats.lost, stats.codec), (90, 10, Some(Codec::Pcmu)));
    assert!(stats.sent >= 100 && (2.5..4.2).contains(&stats.mos), "{stats:?}");
    assert!(w.log.borrow().iter().any(|s| s.seat == 0 && s.rtcp && s.bytes[s.bytes.len() - 7] == 203), "a BYE");
    assert!(!tap.is_abandoned());
    let binned: Vec<_> = std::iter::from_fn(|| w.garbage.pop().ok()).collect();
    assert!(matches!(binned[..], [Garbage::Clip(_), Garbage::Tap(_), Garbage::Closed(_)]));
    w.sent(1);
    w.run(100);
    assert_eq!(w.sent(1).len(), 5, "the other goes on by itself");
    w.order(a, MediaCommand::Stop);
    w.play(a, 2, 160, false);
    assert!(matches!(w.garbage.pop(), Ok(Garbage::Order(_))), "too late, freed elsewhere");
}

#[test]
fn reports_go_out_every_5_seconds_to_the_next_port() {
    let mut w = World::new();
    w.connected(0, Codec::Pcmu, 101);
    w.run(21_000);
    let reports: Vec<Sent> = w.log.borrow().iter().filter(|s| s.rtcp).cloned().collect();
    assert_eq!(reports.len(), 4);
    assert!(reports.iter().all(|s| s.to.port() == peer(0).port() + 1 && s.bytes[1] == 200));
}

#[test]
fn a_long_way_there_and_back_lowers_the_score() {
    let mut w = World::new();
    let leg = w.connected(0, Codec::Pcmu, 101);
    w.run(5_100);
    let report = w.log.borrow().iter().find(|s| s.rtcp).unwrap().clone();
    let word = |at: usize| &report.bytes[at..at + 4];
    // A receiver report about us: our SSRC, 16 bytes that do not matter here, then when our report came and how long ago.
    let mut heard = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
    heard.extend_from_slice(word(4));
    heard.extend([0; 12]);
    heard.extend([report.bytes[10], report.bytes[11], report.bytes[12], report.bytes[13]]);
    heard.extend([0; 4]);
    *w.clock.borrow_mut() = report.at + Duration::from_millis(800);
    let now = w.now();
    w.shard.rtcp(now, 0, ([192, 0, 2, 1], 4_001).into(), &mut heard);
    let stats = closed(&mut w, leg);
    assert!((2.3..3.0).contains(&stats.mos), "460 ms mouth to ear: {}", stats.mos);
}

#[test]
fn after_standing_still_it_catches_up_a_little_and_goes_on() {
    let mut w = World::new();
    w.connected(0, Codec::Pcmu, 101);
    w.run(200);
    w.sent(0);
    *w.clock.borrow_mut() += Duration::from_secs(3);
    w.run(20);
    let sent = w.sent(0);
    assert!(sent.len() <= 12, "{}", sent.len());
    w.run(200);
    assert_eq!(w.sent(0).len(), 10);
    assert!(w.counters.ticks_late.get() > 0 && w.counters.worst_late_us.get() >= 200_000 - 5_000);
}

#[test]
fn a_full_event_ring_loses_and_counts_a_full_garbage_ring_parks() {
    let mut w = World::new();
    let leg = w.connected(0, Codec::Pcmu, 101);
    for n in 0..5_000 {
        w.play(leg, n, 0, false);
        w.run(20);
    }
    assert_eq!(w.counters.events_lost.get(), 10_000 + 1 - 4_096, "start and end of each, and one silence");
    assert_eq!(w.counters.freed_inline.get(), 5_000 - 4_096 - 16);
    while w.garbage.pop().is_ok() {}
    assert!(w.shard.sinks.stirred().garbage);
    assert_eq!(w.garbage.slots(), 16, "what was parked follows");
}
