//! What the control plane says to the media plane and hears from it. Plain data.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use baton_audio::{AudioFrame, Clip};

use crate::Codec;

/// How the media plane runs.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Address RTP and RTCP sockets are bound to.
    pub bind: IpAddr,
    /// Address peers are told (in SDP); differs from `bind` behind a static NAT.
    pub advertised: IpAddr,
    /// UDP ports to use. A leg takes an even one for RTP and the next odd one for RTCP (RFC 3550 §11).
    pub ports: RangeInclusive<u16>,
    /// Shard threads.
    pub threads: usize,
    /// Whether each shard thread is pinned to a core of its own.
    pub pin: bool,
    /// How long a leg that should receive may get no RTP before [`MediaEvent::Silent`].
    pub silence_limit: Duration,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertised: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: 20_000..=29_999,
            threads: 1,
            pin: false,
            silence_limit: Duration::from_secs(30),
        }
    }
}

/// Why the media plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum MediaStartError {
    /// The port range holds no even port followed by an odd one.
    #[error("the port range {first}-{last} holds no pair of an even and the next odd port")]
    NoPorts {
        /// First port of the range.
        first: u16,
        /// Last port of the range.
        last: u16,
    },
    /// `threads` is zero.
    #[error("it needs at least one thread")]
    NoThreads,
    /// The address is not one of this machine.
    #[error("cannot bind UDP sockets to {addr}: {cause}")]
    Bind {
        /// The address.
        addr: IpAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The system refuses a thread, a timer or an event descriptor.
    #[error("the system refuses a thread, timer or descriptor: {0}")]
    System(#[from] io::Error),
}

/// Why no leg was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Every port pair of the range is taken.
    #[error("every RTP port pair is taken")]
    PortsExhausted,
    /// The shard's order ring is full.
    #[error("the media thread does not keep up with its orders")]
    Full,
}

/// The order ring of the leg's shard is full; the order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the media thread does not keep up with its orders")]
pub struct Full;

/// One leg's media: a port pair and everything behind it. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaLeg(pub u64);

/// One order to play a clip, named by whoever gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlayId(pub u64);

/// What a leg may be told. An order for a leg that is closed is ignored.
#[derive(Debug)]
pub enum MediaCommand {
    /// Where the peer is and what was agreed with it. Starts the outbound stream; given again (re-INVITE) it changes the
    /// agreement, and the stream goes on with its SSRC, sequence and timestamp.
    Connect {
        /// The address of the peer's SDP. Where it truly sends from is learnt from its packets.
        remote: SocketAddr,
        /// The audio codec we send.
        codec: Codec,
        /// Its RTP payload type.
        payload_type: u8,
        /// Payload type of `telephone-event` (RFC 4733), both ways.
        dtmf_payload_type: Option<u8>,
        /// Whether we may send (SDP direction as we see it). While we may not, the playlist waits.
        send: bool,
        /// Whether we receive. While we do not, what arrives is dropped and silence is no fault.
        receive: bool,
    },
    /// Appends a clip to the leg's playlist. A looped clip plays until [`MediaCommand::Stop`] or the next `Play`. Heard by
    /// the peer in place of a bridged leg's audio while it lasts.
    Play {
        /// The name its events carry.
        id: PlayId,
        /// What to play.
        clip: Clip,
        /// Whether it starts again at its end, without a gap.
        looped: bool,
    },
    /// Empties the playlist at once: [`MediaEvent::PlayEnded`] with `completed: false` for each clip cut or not begun.
    Stop,
    /// Sends the peer's audio, after the jitter buffer, decoded and concealed, one frame each 20 ms. A full ring loses
    /// the newest frame. `None` closes the tap; the ring's consumer then sees it abandoned.
    Tap {
        /// Where to.
        to: Option<rtrb::Producer<AudioFrame>>,
    },
    /// Sends a digit (RFC 4733); several queue up. Nothing else is sent while it lasts. Ignored where the peer takes none.
    Digit {
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
        /// How long it is pressed; 40 ms to 6 s.
        duration_ms: u32,
    },
    /// Joins two legs: both playlists are emptied, what either receives goes to the other, as soon as it arrives.
    Bridge {
        /// The other leg.
        with: MediaLeg,
    },
    /// Parts a bridged leg from its other; both go on with their players.
    Unbridge,
    /// Ends the leg and frees its ports.
    Close,
}

/// What happened on the wire, and when.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// The first RTP packet of the leg's peer was accepted.
    FirstPacket {
        /// The leg.
        leg: MediaLeg,
        /// When.
        at: Instant,
    },
    /// The peer pressed a key (RFC 4733); reported once, at its first packet.
    Digit {
        /// The leg.
        leg: MediaLeg,
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
        /// When.
        at: Instant,
    },
    /// The first packet of a clip was handed to the socket.
    PlayStarted {
        /// The leg.
        leg: MediaLeg,
        /// Which order.
        id: PlayId,
        /// When.
        at: Instant,
    },
    /// A clip ended, or was cut or removed before it began.
    PlayEnded {
        /// The leg.
        leg: MediaLeg,
        /// Which order.
        id: PlayId,
        /// Whether all of it was sent.
        completed: bool,
        /// How much of it was sent.
        played: Duration,
        /// When.
        at: Instant,
    },
    /// The first live audio packet of `from` left towards `to` since they were bridged.
    BridgeAudio {
        /// Who spoke.
        from: MediaLeg,
        /// Who hears it.
        to: MediaLeg,
        /// When.
        at: Instant,
    },
    /// Nothing came from the peer for the configured time, though it should send. Once for each such time.
    Silent {
        /// The leg.
        leg: MediaLeg,
        /// For how long.
        for_: Duration,
    },
    /// The leg is closed and its ports are free, or about to be.
    Closed {
        /// The leg.
        leg: MediaLeg,
        /// How it was.
        stats: LegStats,
    },
}

impl MediaEvent {
    /// The leg it is about; of a [`MediaEvent::BridgeAudio`] the one that spoke.
    pub fn leg(&self) -> MediaLeg {
        match *self {
            Self::FirstPacket { leg, .. }
            | Self::Digit { leg, .. }
            | Self::PlayStarted { leg, .. }
            | Self::PlayEnded { leg, .. }
            | Self::BridgeAudio { from: leg, .. }
            | Self::Silent { leg, .. }
            | Self::Closed { leg, .. } => leg,
        }
    }
}

/// How a leg's media was, over its whole life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LegStats {
    /// RTP packets accepted from the peer.
    pub received: u64,
    /// Packets its sequence numbers promised and that never came (RFC 3550 §6.4.1, never below zero here).
    pub lost: u64,
    /// Packets that came too late to be heard by a tap, or were dropped to shorten the delay.
    pub late: u64,
    /// 20 ms frames a tap got made up, in whole or in part.
    pub concealed: u64,
    /// Datagrams that were not of the peer: wrong source, not RTP, unknown payload type.
    pub strays: u64,
    /// Interarrival jitter in milliseconds (RFC 3550 §6.4.1) at the end.
    pub jitter_ms: f64,
    /// Mean opinion score of what we heard, 1 to 4.5, by a simplified E-model (ITU-T G.107): G.711 with concealment.
    pub mos: f64,
    /// RTP packets sent.
    pub sent: u64,
    /// The agreed codec; `None` for a leg that was never connected.
    pub codec: Option<Codec>,
}

/// What the shards count, together, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaCounters {
    /// Ticks of 5 ms that ran.
    pub ticks: u64,
    /// Of these, how many ran 5 ms late or more.
    pub ticks_late: u64,
    /// Worst lateness of a tick, in microseconds.
    pub worst_late_us: u64,
    /// Datagrams that were no RTP (or, on the RTCP port, no RTCP).
    pub malformed: u64,
    /// Datagrams from sources other than the leg's peer.
    pub strays: u64,
    /// Frames a full tap ring did not take.
    pub tap_overruns: u64,
    /// Events a full event ring did not take.
    pub events_lost: u64,
    /// Datagrams the system did not take.
    pub send_failures: u64,
    /// Things the full garbage ring did not take, freed on the media thread instead.
    pub freed_inline: u64,
}
