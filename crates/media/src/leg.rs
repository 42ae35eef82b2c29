//! One leg: what comes from its peer, what goes to it. Driven by packets, ticks of 20 ms and orders; it knows no clock and
//! no socket but the [`Port`] it is given.
//!
//! What it sends at a tick is decided in one place ([`Leg::tick`]): a digit, else the player, else nothing if a bridged
//! peer's packets carry the stream, else silence.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use baton_audio::{AudioFrame, FRAME_SAMPLES};
use rtrb::Producer;

use crate::dtmf::{DigitReceiver, DigitSender};
use crate::jitter::JitterBuffer;
use crate::latch::Latch;
use crate::outbound::Outbound;
use crate::player::{Played, Player};
use crate::quality::{Reception, Verdict, mos};
use crate::relay::Relay;
use crate::rtcp;
use crate::shard::{Garbage, Sinks};
use crate::wire::{Event, MAX_PAYLOAD, Rtp};
use crate::{Codec, LegStats, MediaCommand, MediaEvent, MediaLeg};

/// Between two RTCP reports.
const REPORT: Duration = Duration::from_secs(5);
/// Payload type of comfort noise (RFC 3389): a sign of life, nothing to hear.
const COMFORT_NOISE: u8 = 13;

/// A leg's pair of sockets, or what stands for them in a test.
pub trait Port {
    /// Sends a datagram from the RTP port; false if it was not taken.
    fn rtp(&mut self, to: SocketAddr, datagram: &[u8]) -> bool;
    /// The same from the RTCP port.
    fn rtcp(&mut self, to: SocketAddr, datagram: &[u8]) -> bool;
}

/// A moment, in the two clocks a leg needs.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic.
    pub now: Instant,
    /// The same at 8 kHz, from any origin.
    pub units: u32,
    /// The same as NTP time (32.32).
    pub ntp: u64,
}

/// What was agreed with the peer.
#[derive(Clone, Copy)]
struct Link {
    codec: Codec,
    payload_type: u8,
    dtmf: Option<u8>,
    send: bool,
    receive: bool,
}

/// A packet for the bridged leg.
#[derive(Clone, Copy)]
pub struct Live<'a> {
    packet: Rtp<'a>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Audio(Codec),
    Event,
    Noise,
}

/// The other side of a bridge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Other {
    /// Its seat in the shard.
    pub seat: usize,
    /// Who sits there.
    pub leg: MediaLeg,
    /// Its live audio has been heard here.
    heard: bool,
}

/// See the module.
pub struct Leg<P> {
    id: MediaLeg,
    port: P,
    link: Option<Link>,
    latch: Option<Latch>,
    reception: Reception,
    jitter: JitterBuffer,
    digits_in: DigitReceiver,
    strays: u64,
    first_reported: bool,
    /// Last sign of life, from when on silence is counted; whether the silence has been reported.
    heard_at: Option<Instant>,
    silence_reported: bool,
    silence_limit: Duration,
    out: Outbound,
    player: Player,
    digits_out: DigitSender,
    event_timestamp: u32,
    relay: Relay,
    other: Option<Other>,
    tap: Option<Producer<AudioFrame>>,
    media_time: u32,
    rtcp: Reports,
}

#[derive(Default)]
struct Reports {
    due: Option<Instant>,
    /// Port of the peer's RTCP, once it was heard.
    source_port: Option<u16>,
    sender: Option<(u32, Instant)>,
    round_trip: Option<Duration>,
}

impl<P: Port> Leg<P> {
    /// A leg that waits to be connected. `random` seeds its stream.
    pub fn new(id: MediaLeg, port: P, silence_limit: Duration, random: [u64; 2]) -> Self {
        Self {
            id,
            port,
            link: None,
            latch: None,
            reception: Reception::default(),
            jitter: JitterBuffer::new(),
            digits_in: DigitReceiver::default(),
            strays: 0,
            first_reported: false,
            heard_at: None,
            silence_reported: false,
            silence_limit,
            out: Outbound::new(random),
            player: Player::new(),
            digits_out: DigitSender::new(),
            event_timestamp: 0,
            relay: Relay::default(),
            other: None,
            tap: None,
            media_time: 0,
            rtcp: Reports::default(),
        }
    }

    /// Which leg it is.
    pub fn id(&self) -> MediaLeg {
        self.id
    }

    /// Its sockets.
    pub fn port(&self) -> &P {
        &self.port
    }

    /// The other side of its bridge.
    pub fn other(&self) -> Option<Other> {
        self.other
    }

    /// Whether it is connected, and so needs ticks.
    pub fn connected(&self) -> bool {
        self.link.is_some()
    }

    /// An order that concerns this leg alone. Bridging and closing are the shard's.
    pub fn order(&mut self, at: Moment, command: MediaCommand, sinks: &mut Sinks<P>) {
        match command {
            MediaCommand::Connect { remote, codec, payload_type, dtmf_payload_type: dtmf, send, receive } => {
                self.connect(at, remote, Link { codec, payload_type, dtmf, send, receive });
            }
            MediaCommand::Play { id, clip, looped } => {
                let leg = self.id;
                self.player.append(id, clip, looped, |played| sinks.played(leg, at.now, played));
            }
            MediaCommand::Stop => self.stop(at, sinks),
            MediaCommand::Tap { to } => {
                self.jitter.reset();
                if let Some(old) = std::mem::replace(&mut self.tap, to) {
                    sinks.bin(Garbage::Tap(old));
                }
            }
            MediaCommand::Digit { digit, duration_ms } => {
                if self.link.is_some_and(|link| link.dtmf.is_some()) {
                    self.digits_out.press(digit, duration_ms);
                }
            }
            MediaCommand::Bridge { .. } | MediaCommand::Unbridge | MediaCommand::Close => {}
        }
    }

    fn connect(&mut self, at: Moment, remote: SocketAddr, mut link: Link) {
        if remote.ip().is_unspecified() || remote.port() == 0 {
            link.send = false; // the old way to hold (RFC 2543 §B.5), or a stream refused: there is nobody to send to
        }
        match &mut self.latch {
            Some(latch) => latch.rename(remote),
            None => self.latch = Some(Latch::new(remote)),
        }
        self.rtcp.source_port = None;
        if self.link.is_none_or(|old| !old.receive) && link.receive {
            self.heard_at = Some(at.now);
            self.silence_reported = false;
        }
        if link.dtmf.is_none() {
            self.digits_out.clear();
        }
        self.rtcp.due.get_or_insert(at.now + REPORT);
        self.link = Some(link);
    }

    /// Empties the playlist.
    pub fn stop(&mut self, at: Moment, sinks: &mut Sinks<P>) {
        let leg = self.id;
        self.player.stop(|played| sinks.played(leg, at.now, played));
    }

    /// Joins or parts: from now on `other`'s packets are ours to send.
    pub fn join(&mut self, other: Option<(usize, MediaLeg)>) {
        self.other = other.map(|(seat, leg)| Other { seat, leg, heard: false });
        self.relay = Relay::default();
        self.player.settle();
    }

    /// Ends it: what it holds goes to the bin, its figures to the control plane, a BYE to the peer.
    pub fn close(&mut self, at: Moment, sinks: &mut Sinks<P>) {
        self.stop(at, sinks);
        if let Some(tap) = self.tap.take() {
            sinks.bin(Garbage::Tap(tap));
        }
        if self.link.is_some() {
            self.send_report(at, true, sinks);
        }
        sinks.event(MediaEvent::Closed { leg: self.id, stats: self.stats() });
    }

    /// A datagram on the RTP port. What a bridged leg is to be told comes back.
    pub fn receive<'a>(
        &mut self,
        at: Moment,
        from: SocketAddr,
        datagram: &'a [u8],
        sinks: &mut Sinks<P>,
    ) -> Option<Live<'a>> {
        let Some(packet) = Rtp::parse(datagram) else {
            self.strays += 1;
            sinks.counters.malformed.add(1);
            return None;
        };
        let kind = self.kind_of(&packet);
        let (Some(link), Some(kind), Some(latch)) = (self.link, kind, &mut self.latch) else {
            self.strays += 1;
            sinks.counters.strays.add(1);
            return None;
        };
        if !latch.accept(at.now, from, packet.ssrc, packet.sequence) {
            self.strays += 1;
            sinks.counters.strays.add(1);
            return None;
        }
        let verdict = self.reception.packet(packet.ssrc, packet.sequence);
        (self.heard_at, self.silence_reported) = (Some(at.now), false);
        if !std::mem::replace(&mut self.first_reported, true) {
            sinks.event(MediaEvent::FirstPacket { leg: self.id, at: at.now });
        }
        if verdict == Verdict::NewStream {
            self.jitter.reset();
            self.digits_in.reset();
        }
        if !link.receive || matches!(verdict, Verdict::Duplicate | Verdict::Old) {
            return None;
        }
        match kind {
            Kind::Audio(codec) => {
                self.reception.times(at.units, packet.timestamp);
                if self.tap.is_some() {
                    self.jitter.insert(packet.timestamp, packet.marker, codec, packet.payload);
                }
            }
            Kind::Event => {
                if let Some(event) = Event::parse(packet.payload)
                    && let Some(digit) = self.digits_in.hear(packet.timestamp, packet.marker, event)
                {
                    sinks.event(MediaEvent::Digit { leg: self.id, digit, at: at.now });
                }
            }
            Kind::Noise => {}
        }
        self.other.is_some().then_some(Live { packet, kind })
    }

    /// What a payload type means here. Peers that were offered both laws may switch between them (RFC 3264 §8.3.2).
    fn kind_of(&self, packet: &Rtp<'_>) -> Option<Kind> {
        let link = self.link?;
        if packet.payload.len() > MAX_PAYLOAD {
            return None;
        }
        match packet.payload_type {
            pt if link.dtmf == Some(pt) => Some(Kind::Event),
            pt if pt == link.payload_type => Some(Kind::Audio(link.codec)),
            COMFORT_NOISE => Some(Kind::Noise),
            pt => Codec::of_static_payload_type(pt).map(Kind::Audio),
        }
    }

    /// A packet of the bridged leg, to be sent at once.
    pub fn relay(&mut self, at: Moment, live: Live<'_>, sinks: &mut Sinks<P>) {
        let (Some(link), Some(latch)) = (self.link, &self.latch) else { return };
        if !link.send || self.player.active() || self.digits_out.active() {
            return;
        }
        let event = live.kind == Kind::Event;
        let payload_type = match (live.kind, link.dtmf) {
            (Kind::Audio(_), _) if !live.packet.payload.is_empty() => link.payload_type,
            (Kind::Event, Some(payload_type)) => payload_type,
            _ => return,
        };
        let Some(place) = self.relay.place(at.now, &live.packet, event, &self.out) else { return };
        let mut mapped = [0; MAX_PAYLOAD];
        let payload = match live.kind {
            Kind::Audio(codec) => match codec.map_to(link.codec) {
                Some(map) => {
                    for (to, byte) in mapped.iter_mut().zip(live.packet.payload) {
                        *to = map[usize::from(*byte)];
                    }
                    mapped.get(..live.packet.payload.len()).unwrap_or_default()
                }
                None => live.packet.payload,
            },
            _ => live.packet.payload,
        };
        let datagram = if event {
            self.out.event(payload_type, place.sequence, place.timestamp, live.packet.marker, payload)
        } else {
            if place.seam || live.packet.marker {
                self.out.mark();
            }
            self.out.relayed_audio(payload_type, place.sequence, place.timestamp, payload)
        };
        sinks.sent(self.port.rtp(latch.target(), datagram));
        if let (false, Some(other)) = (event, &mut self.other)
            && !std::mem::replace(&mut other.heard, true)
        {
            sinks.event(MediaEvent::BridgeAudio { from: other.leg, to: self.id, at: at.now });
        }
    }

    /// 20 ms passed.
    pub fn tick(&mut self, at: Moment, sinks: &mut Sinks<P>) {
        let Some(link) = self.link else { return };
        self.feed_tap(sinks);
        if !link.send {
            self.out.mark();
        } else if !self.send_digit(link, sinks) {
            let relayed = self.other.is_some() && self.relay.live(at.now);
            if self.player.active() || !relayed {
                let leg = self.id; // an empty player is silent
                let frame = self.player.take(|played| sinks.played(leg, at.now, played));
                self.send_frame(link, &frame, sinks);
            }
        }
        self.out.advance();
        self.media_time = self.media_time.wrapping_add(FRAME_SAMPLES as u32);
        self.watch_silence(at, link, sinks);
        if self.rtcp.due.is_some_and(|due| at.now >= due) {
            self.rtcp.due = Some(at.now + REPORT);
            self.send_report(at, false, sinks);
        }
    }

    /// A datagram on the RTCP port.
    pub fn receive_rtcp(&mut self, at: Moment, from: SocketAddr, datagram: &[u8], sinks: &mut Sinks<P>) {
        let known = self.latch.as_ref().is_some_and(|latch| latch.target().ip() == from.ip());
        if !known {
            self.strays += 1;
            sinks.counters.strays.add(1);
            return;
        }
        let Some(heard) = rtcp::read(datagram, self.out.ssrc()) else {
            sinks.counters.malformed.add(1);
            return;
        };
        self.rtcp.source_port = Some(from.port());
        if let Some(ntp) = heard.sender_ntp {
            self.rtcp.sender = Some((ntp, at.now));
        }
        if let Some((last_sr, delay)) = heard.echo.filter(|(last_sr, _)| *last_sr != 0) {
            // RFC 3550 §6.4.1: arrival - LSR - DLSR, in 65,536ths of a second. More than 10 s is nonsense.
            let units = ((at.ntp >> 16) as u32).wrapping_sub(last_sr).wrapping_sub(delay);
            if units < 655_360 {
                self.rtcp.round_trip = Some(Duration::from_micros(u64::from(units) * 1_000_000 / 65_536));
            }
        }
    }

    fn feed_tap(&mut self, sinks: &mut Sinks<P>) {
        let Some(tap) = &mut self.tap else { return };
        if tap.is_abandoned() {
            if let Some(tap) = self.tap.take() {
                sinks.bin(Garbage::Tap(tap));
            }
            return;
        }
        let frame = AudioFrame { media_time: self.media_time, samples: self.jitter.read() };
        if tap.push(frame).is_err() {
            sinks.counters.tap_overruns.add(1);
        }
    }

    /// True if a digit holds the stream at this tick.
    fn send_digit(&mut self, link: Link, sinks: &mut Sinks<P>) -> bool {
        let (Some(payload_type), Some(latch), true) = (link.dtmf, &self.latch, self.digits_out.active()) else {
            return false;
        };
        let Some(packet) = self.digits_out.tick() else {
            self.send_frame(link, &[0; FRAME_SAMPLES], sinks); // the pause between two digits
            return true;
        };
        if packet.first {
            self.event_timestamp = self.out.now();
        }
        let (sequence, timestamp) = (self.out.sequence(), self.event_timestamp);
        let datagram = self.out.event(payload_type, sequence, timestamp, packet.first, &packet.event.bytes());
        sinks.sent(self.port.rtp(latch.target(), datagram));
        self.relay.interrupted();
        self.out.mark();
        true
    }

    fn send_frame(&mut self, link: Link, frame: &[i16; FRAME_SAMPLES], sinks: &mut Sinks<P>) {
        let Some(latch) = &self.latch else { return };
        let payload = frame.map(|sample| link.codec.encode(sample));
        let datagram = self.out.audio(link.payload_type, &payload);
        sinks.sent(self.port.rtp(latch.target(), datagram));
        self.relay.interrupted();
    }

    fn watch_silence(&mut self, at: Moment, link: Link, sinks: &mut Sinks<P>) {
        let Some(heard_at) = self.heard_at else { return };
        let for_ = at.now.saturating_duration_since(heard_at);
        if link.receive && !self.silence_reported && for_ >= self.silence_limit {
            self.silence_reported = true;
            sinks.event(MediaEvent::Silent { leg: self.id, for_ });
        }
    }

    fn send_report(&mut self, at: Moment, bye: bool, sinks: &mut Sinks<P>) {
        let Some(latch) = &self.latch else { return };
        let target = latch.target();
        let Some(port) = self.rtcp.source_port.or_else(|| target.port().checked_add(1)) else { return };
        let sender = rtcp::Sender {
            ssrc: self.out.ssrc(),
            ntp: at.ntp,
            timestamp: self.out.now(),
            packets: self.out.packets() as u32,
            octets: self.out.octets() as u32,
        };
        let echo = self.rtcp.sender.map_or_else(rtcp::Echo::default, |(last_sr, heard)| rtcp::Echo {
            last_sr,
            delay: (at.now.saturating_duration_since(heard).as_micros() * 65_536 / 1_000_000) as u32,
        });
        let mut out = [0; rtcp::MAX];
        let length = rtcp::write(&mut out, sender, self.reception.report().map(|report| (report, echo)), bye);
        sinks.sent(self.port.rtcp(SocketAddr::new(target.ip(), port), out.get(..length).unwrap_or_default()));
    }

    fn stats(&self) -> LegStats {
        let (received, lost) = (self.reception.received(), self.reception.lost());
        let jitter_ms = self.reception.jitter_ms();
        let loss = lost as f64 / (received + lost).max(1) as f64;
        let trip = self.rtcp.round_trip.map_or(0.0, |trip| trip.as_secs_f64() * 500.0);
        LegStats {
            received,
            lost,
            late: self.jitter.late(),
            concealed: self.jitter.concealed(),
            strays: self.strays,
            jitter_ms,
            // One way: half the round trip, a packet, and a jitter buffer of 40 ms or twice the jitter.
            mos: mos(loss, trip + 20.0 + (2.0 * jitter_ms).clamp(40.0, 200.0)),
            sent: self.out.packets(),
            codec: self.link.map(|link| link.codec),
        }
    }
}

impl<P> Sinks<P> {
    fn sent(&mut self, taken: bool) {
        if !taken {
            self.counters.send_failures.add(1);
        }
    }

    fn played(&mut self, leg: MediaLeg, at: Instant, played: Played) {
        match played {
            Played::Started(id) => self.event(MediaEvent::PlayStarted { leg, id, at }),
            Played::Ended { id, completed, played, clip } => {
                self.event(MediaEvent::PlayEnded { leg, id, completed, played, at });
                self.bin(Garbage::Clip(clip));
            }
        }
    }
}
