//! One leg: what comes from its peer, what goes to it. Driven by packets, ticks of 20 ms and orders; it knows no clock and
//! no socket but the [`Port`] it is given.
//!
//! A tick has two halves, so that legs that hear each other do so in the same tick: [`Leg::listen`] takes 20 ms from the
//! jitter buffer, if anybody wants them; [`Leg::speak`] decides in one place what is sent: a digit, else the player, else
//! nothing if a bridged peer's packets carry the stream, else the mix of those it hears, else silence.

mod connection;
mod ear;
mod receive;
mod report;
mod speak;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtrb::Producer;

pub use connection::Connection;
pub use ear::{Ear, WIDE};
pub use speak::Mix;

use crate::dtmf::{DigitReceiver, DigitSender};
use crate::latch::Latch;
use crate::outbound::Outbound;
use crate::player::{Played, Player};
use crate::quality::Reception;
use crate::relay::Relay;
use crate::shard::{Garbage, Sinks};
use crate::{Codec, MediaCommand, MediaEvent, MediaFault, MediaLeg, Sources, StereoFrame};

/// Between two RTCP reports.
const REPORT: Duration = Duration::from_secs(5);
/// Payload type of comfort noise (RFC 3389).
const COMFORT_NOISE: u8 = 13;
/// Packets a leg may get in 20 ms in the long run, and at once after a stall.
const PACE: u32 = 6;
const BURST: u32 = 100;

/// A leg's pair of sockets, or what stands for them in a test.
pub trait Port {
    /// Sends a datagram from the RTP port; false if it was not taken.
    fn rtp(&mut self, to: SocketAddr, datagram: &[u8]) -> bool;
    /// The same from the RTCP port.
    fn rtcp(&mut self, to: SocketAddr, datagram: &[u8]) -> bool;
}

/// A moment, in the clocks a leg needs.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic.
    pub now: Instant,
    /// Microseconds since some origin.
    pub micros: u64,
    /// The same as NTP time (32.32).
    pub ntp: u64,
}

/// An order as the media thread gets it: what needs memory has it already.
pub enum Task {
    /// See [`MediaCommand::Connect`].
    Connect(Box<Connection>),
    /// Any other.
    Plain(MediaCommand),
}

impl From<MediaCommand> for Task {
    /// Makes the coders of a connection. Allocates: not for the media thread.
    fn from(command: MediaCommand) -> Self {
        match command {
            MediaCommand::Connect(agreement) => Self::Connect(Box::new(Connection::new(agreement))),
            other => Self::Plain(other),
        }
    }
}

/// Somebody this leg hears.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Its seat in the shard.
    pub seat: usize,
    /// Who sits there.
    pub leg: MediaLeg,
    /// How loud, in 4,096ths.
    pub gain: i32,
    /// Its live audio has been heard here.
    heard: bool,
}

/// How what a leg hears reaches it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It hears nobody.
    #[default]
    Alone,
    /// One other's packets, as they come.
    Relay,
    /// Decoded, mixed and encoded, tick by tick.
    Mix,
}

/// Seats, at most as many as a leg may hear.
pub type Seats = [Option<usize>; Sources::MOST];

/// See the module.
pub struct Leg<P> {
    id: MediaLeg,
    port: P,
    link: Option<Box<Connection>>,
    latch: Option<Latch>,
    reception: Reception,
    /// What the peer says, decoded, if anybody listens.
    pub ear: Ear,
    digits_in: DigitReceiver,
    strays: u64,
    refused: u64,
    flooded: u64,
    /// Packets that may still come before the next tick, and those of this tick.
    allowance: u32,
    faults: [bool; 3],
    first_reported: bool,
    /// Last sign of life, from when on silence is counted; whether the silence has been reported.
    heard_at: Option<Instant>,
    silence_reported: bool,
    silence_ever: bool,
    silence_limit: Duration,
    out: Outbound,
    mouth: speak::Mouth,
    player: Player,
    digits_out: DigitSender,
    event_timestamp: u32,
    relay: Relay,
    hears: [Option<Source>; Sources::MOST],
    /// How what it hears reaches it.
    pub mode: Mode,
    /// Who hears this leg.
    pub hearers: Seats,
    /// Its codec changed in mid-stream: how it is heard must be looked at again.
    pub changed: bool,
    /// In 4,096ths; how loud the peer is to others.
    gain: i32,
    tap: Option<Producer<baton_audio::AudioFrame>>,
    record: Option<Producer<StereoFrame>>,
    record_paused: bool,
    overruns: u64,
    /// Late ticks of the shard when it was connected.
    late_before: Option<u64>,
    media_time: u32,
    rtcp: report::Reports,
}

impl<P: Port> Leg<P> {
    /// A leg that waits to be connected. `random` seeds its stream. Allocates.
    pub fn new(id: MediaLeg, port: P, silence_limit: Duration, random: [u64; 2]) -> Self {
        Self {
            id,
            port,
            link: None,
            latch: None,
            reception: Reception::default(),
            ear: Ear::new(),
            digits_in: DigitReceiver::default(),
            strays: 0,
            refused: 0,
            flooded: 0,
            allowance: BURST,
            faults: [false; 3],
            first_reported: false,
            heard_at: None,
            silence_reported: false,
            silence_ever: false,
            silence_limit,
            out: Outbound::new(random),
            mouth: speak::Mouth::default(),
            player: Player::new(),
            digits_out: DigitSender::new(),
            event_timestamp: 0,
            relay: Relay::default(),
            hears: [None; Sources::MOST],
            mode: Mode::Alone,
            hearers: [None; Sources::MOST],
            changed: false,
            gain: UNITY,
            tap: None,
            record: None,
            record_paused: false,
            overruns: 0,
            late_before: None,
            media_time: 0,
            rtcp: report::Reports::default(),
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

    /// Whether it is connected, and so needs ticks.
    pub fn connected(&self) -> bool {
        self.link.is_some()
    }

    /// Whom it hears.
    pub fn hears(&self) -> impl Iterator<Item = Source> + '_ {
        self.hears.iter().flatten().copied()
    }

    /// The same, by value.
    pub fn sources(&self) -> [Option<Source>; Sources::MOST] {
        self.hears
    }

    /// Another leg hears this one: its packets, or (`decoded`) its audio, `wide` if at 16 kHz.
    pub fn is_heard_by(&mut self, seat: usize, decoded: bool, wide: bool) {
        if let Some(place) = self.hearers.iter_mut().find(|place| place.is_none()) {
            *place = Some(seat);
        }
        if decoded {
            self.ear.wish_also(wide);
        }
    }

    /// What is sent to the peer.
    pub fn codec_out(&self) -> Option<Codec> {
        self.link.as_ref()?.agreement.codecs.first().map(|(codec, _)| codec)
    }

    /// What the peer speaks: what came last, or else what was agreed.
    pub fn codec_in(&self) -> Option<Codec> {
        self.ear.codec.or(self.codec_out())
    }

    /// The payload type under which a packet of `codec` could be sent to the peer as it is.
    pub fn relay_type(&self, codec: Codec) -> Option<u8> {
        let codecs = &self.link.as_ref()?.agreement.codecs;
        let (first, payload_type) = codecs.first()?;
        let other_law = || (first.is_g711() && codec.is_g711()).then_some(payload_type);
        // One stream has one clock.
        let same_clock = codec.clock_rate() == first.clock_rate();
        codecs.payload_type(codec).filter(|_| same_clock).or_else(other_law)
    }

    /// Whether its peer is to be heard louder or softer than it is.
    pub fn has_gain(&self) -> bool {
        self.gain != UNITY
    }

    /// Whether somebody but its listeners wants its audio decoded: tap, recorder, ears for tones.
    pub fn listens_itself(&self) -> bool {
        self.tap.is_some() || self.record.is_some() || self.link.as_ref().is_some_and(|l| l.agreement.in_band_dtmf)
    }

    /// Whether it is recorded, and so wants to know what it hears even where that is relayed.
    pub fn recorded(&self) -> bool {
        self.record.is_some()
    }

    /// An order that concerns this leg alone; true if how legs hear each other must be looked at again. Bridging and
    /// closing are the shard's.
    pub fn order(&mut self, at: Moment, task: Task, sinks: &mut Sinks<P>) -> bool {
        match task {
            Task::Connect(connection) => {
                self.connect(at, connection, sinks);
                return true;
            }
            Task::Plain(MediaCommand::Play { id, clip, looped }) => {
                let leg = self.id;
                self.player.append(id, clip, looped, |played| sinks.played(leg, at.now, played));
            }
            Task::Plain(MediaCommand::Stop) => self.stop(at, sinks),
            Task::Plain(MediaCommand::Tap { to }) => {
                if !self.ear.wanted {
                    self.ear.reset();
                }
                if let Some(old) = std::mem::replace(&mut self.tap, to) {
                    sinks.bin(Garbage::Tap(old));
                }
                return true;
            }
            Task::Plain(MediaCommand::Record { to }) => {
                if let Some(old) = std::mem::replace(&mut self.record, to) {
                    sinks.bin(Garbage::Record(old));
                }
                return true;
            }
            Task::Plain(MediaCommand::PauseRecording(paused)) => self.record_paused = paused,
            Task::Plain(MediaCommand::Gain { db }) => {
                self.gain = gain_of(db);
                return true;
            }
            Task::Plain(MediaCommand::Digit { digit, duration_ms }) => {
                if self.link.as_ref().is_some_and(|link| link.agreement.dtmf_payload_type.is_some()) {
                    self.digits_out.press(digit, duration_ms);
                }
            }
            Task::Plain(other) => sinks.bin(Garbage::Order(other)),
        }
        false
    }

    fn connect(&mut self, at: Moment, mut connection: Box<Connection>, sinks: &mut Sinks<P>) {
        let agreement = &mut connection.agreement;
        let remote = agreement.remote;
        if remote.ip().is_unspecified() || remote.port() == 0 {
            agreement.send = false; // the old way to hold (RFC 2543 §B.5), or a stream refused: there is nobody to send to
        }
        match &mut self.latch {
            Some(latch) => latch.rename(remote),
            None => self.latch = Some(Latch::new(remote)),
        }
        self.rtcp.source = None;
        if self.link.as_ref().is_none_or(|old| !old.agreement.receive) && agreement.receive {
            self.heard_at = Some(at.now);
            self.silence_reported = false;
        }
        if agreement.dtmf_payload_type.is_none() {
            self.digits_out.clear();
        }
        if let Some((codec, _)) = agreement.codecs.first() {
            self.out.pace(codec.tick());
        }
        if self.ear.codec.is_some_and(|codec| agreement.codecs.payload_type(codec).is_none()) {
            self.ear.codec = None;
        }
        self.late_before.get_or_insert(sinks.counters.ticks_late.get());
        self.rtcp.due.get_or_insert(at.now + REPORT);
        if let Some(old) = &mut self.link {
            connection.go_on_from(old);
        }
        if let Some(old) = self.link.replace(connection) {
            sinks.bin(Garbage::Connection(old));
        }
    }

    /// Empties the playlist.
    pub fn stop(&mut self, at: Moment, sinks: &mut Sinks<P>) {
        let leg = self.id;
        self.player.stop(|played| sinks.played(leg, at.now, played));
    }

    /// From now on it hears these.
    pub fn hear(&mut self, sources: impl Iterator<Item = (usize, MediaLeg, i8)>) {
        let before = self.hears;
        self.hears = [None; Sources::MOST];
        for (place, (seat, leg, db)) in self.hears.iter_mut().zip(sources) {
            let heard = before.iter().flatten().any(|source| source.leg == leg && source.heard);
            *place = Some(Source { seat, leg, gain: gain_of(db), heard });
        }
        self.relay = Relay::default();
    }

    /// Hears somebody no more.
    pub fn forget(&mut self, leg: MediaLeg) {
        for place in &mut self.hears {
            place.take_if(|source| source.leg == leg);
        }
    }

    /// Ends it: what it holds goes to the bin, its figures to the control plane, a BYE to the peer.
    pub fn close(&mut self, at: Moment, sinks: &mut Sinks<P>) {
        self.stop(at, sinks);
        if let Some(tap) = self.tap.take() {
            sinks.bin(Garbage::Tap(tap));
        }
        if let Some(record) = self.record.take() {
            sinks.bin(Garbage::Record(record));
        }
        if self.link.is_some() {
            self.send_report(at, true, sinks);
        }
        sinks.event(MediaEvent::Closed { leg: self.id, stats: self.stats(sinks.counters.ticks_late.get()) });
    }

    fn fault(&mut self, at: Moment, fault: MediaFault, sinks: &mut Sinks<P>) {
        let kind = match fault {
            MediaFault::UnknownPayloadType(_) => 0,
            MediaFault::NotAuthentic => 1,
            MediaFault::Flood => 2,
        };
        if let Some(told @ false) = self.faults.get_mut(kind) {
            *told = true;
            sinks.event(MediaEvent::Fault { leg: self.id, fault, at: at.now });
        }
    }
}

/// A gain of 1.
pub const UNITY: i32 = 4_096;

/// A gain in 4,096ths. Computed here, not in a table: an order is no tick.
fn gain_of(db: i8) -> i32 {
    (f64::from(UNITY) * 10f64.powf(f64::from(db.clamp(-40, 20)) / 20.0)).round() as i32
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
