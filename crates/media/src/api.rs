//! What the control plane says to the media plane and hears from it. Plain data.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use baton_audio::{AudioFrame, Clip};

use crate::srtp::{CryptoPair, CryptoSuite};
use crate::{Codec, CodecList, StereoFrame};

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
    Connect(Agreement),
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
    /// Sends the leg's two directions to a recorder, 20 ms at a time at 8 kHz: what its peer says on the left, what it is
    /// sent on the right. A full ring loses the newest frame, and counts it. `None` ends it.
    Record {
        /// Where to.
        to: Option<rtrb::Producer<StereoFrame>>,
    },
    /// While paused the recorder gets silence in place of sound (card numbers), so that its time stays true.
    PauseRecording(bool),
    /// How loud the peer's voice is to whoever hears it, in dB; -40 to 20. Anything but 0 takes the leg off the fast path.
    Gain {
        /// In dB.
        db: i8,
    },
    /// From now on the leg hears these (and only these) others, mixed: one-sided listening, whispering, a call of three.
    /// They must sit on the leg's shard (see [`MediaHandle::open_beside`](crate::MediaHandle::open_beside)); those that do
    /// not, or are closed, are not heard. Playlists go on.
    Hear {
        /// Whom, and how loud.
        sources: Sources,
    },
    /// Joins two legs: both playlists are emptied, what either receives goes to the other, as soon as it arrives where both
    /// speak one codec, else decoded and encoded anew.
    Bridge {
        /// The other leg.
        with: MediaLeg,
    },
    /// Parts a leg from all it hears and is heard by; each goes on with its player.
    Unbridge,
    /// Ends the leg and frees its ports.
    Close,
}

/// What was agreed with a leg's peer (by SDP offer and answer), and where the peer is.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// The address of the peer's SDP. Where it truly sends from is learnt from its packets.
    pub remote: SocketAddr,
    /// Where its RTCP goes, if it named another place than the next port (RFC 3605).
    pub remote_rtcp: Option<SocketAddr>,
    /// RTP and RTCP share the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// The codecs, the one we send first; what arrives may be any of them.
    pub codecs: CodecList,
    /// Payload type of `telephone-event` (RFC 4733), both ways.
    pub dtmf_payload_type: Option<u8>,
    /// Listen for the tones themselves: for trunks without `telephone-event`. Decodes all that arrives.
    pub in_band_dtmf: bool,
    /// Whether the peer takes comfort noise (RFC 3389, payload type 13).
    pub comfort_noise: bool,
    /// Whether we may send (SDP direction as we see it). While we may not, the playlist waits.
    pub send: bool,
    /// Whether we receive. While we do not, what arrives is dropped and silence is no fault.
    pub receive: bool,
    /// Keys of both directions. With keys, what arrives in the clear is dropped and counted; without, nothing is encrypted.
    pub crypto: Option<CryptoPair>,
}

impl Agreement {
    /// G.711 or whatever else with a peer, both ways, in the clear, without digits.
    pub fn new(remote: SocketAddr, codecs: CodecList) -> Self {
        Self {
            remote,
            remote_rtcp: None,
            rtcp_mux: false,
            codecs,
            dtmf_payload_type: None,
            in_band_dtmf: false,
            comfort_noise: false,
            send: true,
            receive: true,
            crypto: None,
        }
    }
}

/// Whom a leg hears, and how loud; at most six.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources([Option<(MediaLeg, i8)>; Sources::MOST]);

impl Sources {
    /// As many as there may be.
    pub const MOST: usize = 6;

    /// Adds one, with a gain in dB (-40 to 20). A seventh is left out.
    #[must_use]
    pub fn and(mut self, leg: MediaLeg, gain_db: i8) -> Self {
        if let Some(place) = self.0.iter_mut().find(|place| place.is_none()) {
            *place = Some((leg, gain_db.clamp(-40, 20)));
        }
        self
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (MediaLeg, i8)> + '_ {
        self.0.iter().flatten().copied()
    }
}

impl FromIterator<MediaLeg> for Sources {
    fn from_iter<I: IntoIterator<Item = MediaLeg>>(legs: I) -> Self {
        legs.into_iter().fold(Self::default(), |sources, leg| sources.and(leg, 0))
    }
}

/// What a supervisor does in a call of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervise {
    /// Hears both, is heard by nobody.
    Listen,
    /// Hears both, is heard by the agent alone.
    Whisper,
    /// A call of three.
    Barge,
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
    /// One-way audio: the peer is heard and is sent audio, but by its own reports (RTCP) nothing of it arrives. Once a leg.
    /// The other way round is [`MediaEvent::Silent`].
    OneWay {
        /// The leg.
        leg: MediaLeg,
        /// When.
        at: Instant,
    },
    /// What arrives does not fit what was agreed; once a leg for each fault. The call goes on.
    Fault {
        /// The leg.
        leg: MediaLeg,
        /// What.
        fault: MediaFault,
        /// When.
        at: Instant,
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
            | Self::OneWay { leg, .. }
            | Self::Fault { leg, .. }
            | Self::Closed { leg, .. } => leg,
        }
    }
}

/// What a peer does that was not agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaFault {
    /// RTP of a payload type nobody agreed to.
    UnknownPayloadType(u8),
    /// RTP or RTCP in the clear, or under another key, where SRTP was agreed.
    NotAuthentic,
    /// Far more packets than 20 ms of audio need: what is beyond is dropped.
    Flood,
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
    /// SRTP and SRTCP packets that were refused: not authentic, replayed, or in the clear.
    pub refused: u64,
    /// Packets beyond any pace of audio, dropped.
    pub flooded: u64,
    /// Times the audio was drawn out or shortened by a pitch period to follow the network or the peer's clock.
    pub stretched: u64,
    /// What the peer heard of us, by its RTCP; `None` from a peer that reported nothing.
    pub remote: Option<RemoteStats>,
    /// The agreed codec; `None` for a leg that was never connected.
    pub codec: Option<Codec>,
    /// How it was encrypted, if it was.
    pub crypto: Option<CryptoSuite>,
    /// Frames that a full tap or recording ring did not take.
    pub overruns: u64,
    /// Ticks of its shard that ran 5 ms late or more, since it was connected.
    pub ticks_late: u64,
    /// What was wrong at one time or another.
    pub faults: LegFaults,
}

/// What was wrong with a leg's media at one time or another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegFaults {
    /// See [`MediaEvent::OneWay`].
    pub one_way: bool,
    /// See [`MediaEvent::Silent`].
    pub silent: bool,
    /// See [`MediaFault::UnknownPayloadType`].
    pub unknown_payload_type: bool,
    /// See [`MediaFault::NotAuthentic`].
    pub not_authentic: bool,
    /// See [`MediaFault::Flood`].
    pub flood: bool,
}

/// What the peer's reports say of the stream we sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RemoteStats {
    /// Packets lost in all, by the newest report block.
    pub lost: u32,
    /// Interarrival jitter in milliseconds.
    pub jitter_ms: f64,
    /// Round-trip time in milliseconds; 0 until known.
    pub round_trip_ms: f64,
    /// Its listening quality (1 to 4.5), from RTCP XR VoIP metrics (RFC 3611 §4.7), if it sends them.
    pub mos: Option<f64>,
}

/// What the shards count, together, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaCounters {
    /// Ticks of 5 ms that ran.
    pub ticks: u64,
    /// Of these, how many ran 5 ms late or more.
    pub ticks_late: u64,
    /// The lateness of all of them together, in microseconds.
    pub late_us: u64,
    /// Worst lateness of a tick, in microseconds.
    pub worst_late_us: u64,
    /// Datagrams that were no RTP (or, on the RTCP port, no RTCP).
    pub malformed: u64,
    /// Datagrams from sources other than the leg's peer.
    pub strays: u64,
    /// Frames a full tap ring did not take.
    pub tap_overruns: u64,
    /// Frames a full recording ring did not take.
    pub record_overruns: u64,
    /// SRTP packets refused: not authentic, replayed, or in the clear.
    pub refused: u64,
    /// Packets dropped because their leg was flooded.
    pub flooded: u64,
    /// Ticks by how late they ran: up to 0.1, 0.2, 0.5, 1, 2, 5, 10 ms, and later.
    pub lateness: [u64; 8],
    /// Events a full event ring did not take.
    pub events_lost: u64,
    /// Datagrams the system did not take.
    pub send_failures: u64,
    /// Things the full garbage ring did not take, freed on the media thread instead.
    pub freed_inline: u64,
}
