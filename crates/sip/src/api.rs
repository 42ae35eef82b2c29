//! What the house sees of SIP: configuration, events, commands. Plain data, no behaviour.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::auth::Ha1;
use crate::defence::Defence;
use crate::details::{CallDetails, ReferId, ReferStep, ReferTarget};
use crate::hep::HepConfig;
use crate::tls::TlsFiles;
use crate::trunk::TrunkConfig;

/// One SIP leg: a dialog, or what is on its way to become one. Legs we place come from `SipHandle::new_leg`, legs
/// that come in are numbered by the endpoint; the two never collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegId(pub u64);

/// The transports spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams; transactions retransmit.
    Udp,
    /// Streams, cut by Content-Length.
    Tcp,
    /// Streams under TLS (RFC 3261 §26.2).
    Tls,
    /// One message in one WebSocket message (RFC 7118).
    Ws,
    /// The same under TLS.
    Wss,
}

impl Transport {
    /// The token of a Via header.
    pub fn token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// Whether there are connections, and the transport loses nothing while one lives.
    pub fn is_stream(self) -> bool {
        self != Self::Udp
    }

    /// Whether it is carried by TLS.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// The URI parameter that names it, empty for UDP. `wss` is written `ws` (RFC 7118 §5.2.2 knows no other value, and
    /// which of the two is meant shows from the connection); `tls` is deprecated by RFC 3261 §26.2.2 and what every phone
    /// understands.
    pub fn uri_parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
            Self::Ws | Self::Wss => ";transport=ws",
        }
    }

    /// The port meant where none is written (RFC 3261 §19.1.2, RFC 7118 §5.2.1).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        })
    }
}

/// One address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// Over what.
    pub transport: Transport,
    /// Where; port 0 takes any free one.
    pub bind: SocketAddr,
}

/// An extension that may register, and the hashes of its password.
#[derive(Debug, Clone)]
pub struct ExtensionAuth {
    /// The user part of its address of record, and its digest user name.
    pub ext: String,
    /// What its phone must prove to know.
    pub ha1: Ha1,
}

/// Bounds that keep a hostile or broken network from eating the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Live legs; one more INVITE gets 503 with Retry-After.
    pub legs: usize,
    /// Transactions in memory; above it requests get 503 before state is made.
    pub transactions: usize,
    /// Contacts of one extension.
    pub contacts: usize,
    /// Shortest registration granted; a shorter wish gets 423.
    pub min_expires: Duration,
    /// Longest registration granted; a longer wish is shortened.
    pub max_expires: Duration,
    /// How long a call we placed may ring before it is taken for dead (RFC 3261 §16.6 timer C).
    pub ring: Duration,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address.
    pub connections_per_peer: usize,
    /// How long a peer may take to finish a message it began, a handshake, or to send its first.
    pub tcp_patience: Duration,
    /// How long a connection may be silent.
    pub tcp_idle: Duration,
    /// Calls whose SIP messages are kept for `SipHandle::ladder`, the latest; 0 keeps none.
    pub traced_calls: usize,
    /// Events that may wait for the house before new calls are refused.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            legs: 4_000,
            transactions: 100_000,
            contacts: 8,
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3_600),
            ring: Duration::from_secs(180),
            connections: 2_000,
            connections_per_peer: 200,
            tcp_patience: Duration::from_secs(20),
            tcp_idle: Duration::from_secs(3_900),
            traced_calls: 2_000,
            events: 4_096,
        }
    }
}

/// What the endpoint must know.
#[derive(Debug, Clone)]
pub struct SipConfig {
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// The address written into Via and Contact where a listener is bound to the unspecified address. `None` takes that
    /// of the default route.
    pub advertised: Option<IpAddr>,
    /// Digest realm, and the host of our own addresses.
    pub domain: String,
    /// Value of `Server` and `User-Agent`.
    pub user_agent: String,
    /// Who may register.
    pub extensions: Vec<ExtensionAuth>,
    /// Challenge with SHA-256 before MD5 (RFC 8760). Off for phones, and SIPp, that take the first challenge and know
    /// MD5 alone.
    pub sha256: bool,
    /// The session interval we ask for where the peer does not (RFC 4028), 90 s or more; `None` leaves it to the peer.
    pub session_expires: Option<Duration>,
    /// Where copies of all SIP messages go, for a capture server as Homer; `None` for nowhere.
    pub hep: Option<HepConfig>,
    /// Users that are answered (DIDs, names); all others get 404. `*` answers any.
    pub numbers: Vec<String>,
    /// Bounds.
    pub limits: Limits,
    /// Certificate and key for TLS and WSS, and whom to believe. Needed as soon as one of them is listened on.
    pub tls: Option<TlsFiles>,
    /// Values of `Origin` a WebSocket client may come with; empty takes any. Browsers send it, phones need not.
    pub ws_origins: Vec<String>,
    /// The largest request sent by UDP, in bytes; a larger one goes by TCP if there is a TCP listener to send it from, and
    /// back to UDP if nobody answers there (RFC 3261 §18.1.1).
    pub udp_max: usize,
    /// The name server asked where trunks and URIs are (RFC 3263); `None` asks those of the system.
    pub dns: Option<SocketAddr>,
    /// Bounds for each source, and bans.
    pub defence: Defence,
    /// Carriers and PBXs.
    pub trunks: Vec<TrunkConfig>,
    /// Only trunks and registered phones may call; all others have to prove a trunk's password. Off, anybody may who calls
    /// a number of ours.
    pub known_callers_only: bool,
    /// How often contacts are asked by OPTIONS whether they are there, which also keeps a NAT's door open; those that
    /// answered once and do no longer are not called. `None` asks nobody.
    pub qualify: Option<Duration>,
    /// Tell of every change by [`SipEvent::Registrations`], to be kept over a restart.
    pub tell_registrations: bool,
    /// What was kept, with the seconds that are left.
    pub restore: Vec<Registration>,
}

impl Default for SipConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            advertised: None,
            domain: "baton.localhost".into(),
            user_agent: concat!("Baton/", env!("CARGO_PKG_VERSION")).into(),
            extensions: Vec::new(),
            sha256: true,
            hep: None,
            session_expires: Some(Duration::from_secs(1_800)),
            numbers: Vec::new(),
            limits: Limits::default(),
            tls: None,
            ws_origins: Vec::new(),
            udp_max: 1_300,
            dns: None,
            defence: Defence::default(),
            trunks: Vec::new(),
            known_callers_only: false,
            qualify: None,
            tell_registrations: false,
            restore: Vec::new(),
        }
    }
}

/// Somebody named in a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// User part of the URI, unescaped, without its parameters; of a `tel:` URI the number.
    pub user: String,
    /// Host part; empty for `tel:`.
    pub host: String,
    /// Display name.
    pub display: Option<String>,
    /// User part of P-Asserted-Identity (RFC 3325). Worth what the peer that sent it is worth.
    pub asserted: Option<String>,
}

/// Why an offered or established leg ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// BYE, theirs or ours.
    Bye,
    /// The caller gave up before our answer.
    Cancel,
    /// Our 2xx, or a reliable 18x, was never acknowledged (RFC 3261 §13.3.1.4, RFC 3262 §3); BYE or 500 was sent.
    NoAck,
    /// The peer cannot be reached any more.
    TransportError,
    /// The session was not refreshed in time (RFC 4028); BYE was sent.
    SessionExpired,
}

/// Where an extension is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactView {
    /// Contact URI.
    pub uri: String,
    /// Where its REGISTER came from, and where its calls go.
    pub source: SocketAddr,
    /// Over what.
    pub transport: Transport,
    /// Its User-Agent.
    pub user_agent: Option<String>,
    /// Whether it may be called: it answers when asked, or was never asked.
    pub reachable: bool,
}

/// One contact of an extension with all that must be known to call it after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Whose.
    pub ext: String,
    /// Contact URI.
    pub contact: String,
    /// `+sip.instance`, by which a phone that comes back from elsewhere replaces its former self.
    pub instance: Option<String>,
    /// Preference in thousandths, 0 to 1000.
    pub q: u16,
    /// Route of requests to it (RFC 3327).
    pub path: Vec<String>,
    /// Its User-Agent.
    pub user_agent: Option<String>,
    /// Over what it is called.
    pub transport: Transport,
    /// Where it is called.
    pub source: SocketAddr,
    /// Seconds left.
    pub expires_s: u32,
    /// Call-ID of its REGISTER.
    pub call_id: String,
    /// CSeq of its REGISTER: an older one changes nothing.
    pub cseq: u32,
}

/// What changed about a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrunkState {
    /// We are registered at its provider, for so many seconds, and will refresh that.
    Registered {
        /// Seconds granted.
        expires_s: u32,
    },
    /// We are not, or no longer.
    Unregistered {
        /// What the provider answered; 408 nothing, 503 it cannot be reached.
        code: u16,
        /// In words for an admin.
        reason: String,
        /// Seconds until the next try.
        retry_s: u64,
    },
    /// A target answers again.
    TargetUp {
        /// Its URI.
        target: String,
    },
    /// A target answers no longer: calls try the others first.
    TargetDown {
        /// Its URI.
        target: String,
    },
}

/// What the endpoint tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "events are few and pass by value through one channel")]
pub enum SipEvent {
    /// Somebody calls; 100 is sent, the rest is up to `Ring`, `Answer`, `Reject`.
    Incoming {
        /// The new leg.
        leg: LegId,
        /// Call-ID.
        call_id: String,
        /// The caller.
        from: Party,
        /// The number called: the Request-URI, not the To header, which a forwarding carrier leaves as it was.
        to: Party,
        /// Their offer; `None` asks for ours in the 2xx.
        sdp: Option<String>,
        /// Where the request came from.
        source: SocketAddr,
        /// Their User-Agent.
        user_agent: Option<String>,
        /// What else the INVITE says of the caller, the call's way here and what it replaces.
        details: Box<CallDetails>,
    },
    /// A 18x on a call we placed. A reliable one (RFC 3262) is acknowledged already; forks may tell several.
    Progress {
        /// Which leg.
        leg: LegId,
        /// Status.
        code: u16,
        /// Early media, if it came.
        sdp: Option<String>,
    },
    /// 2xx on a call we placed; the ACK is sent.
    Answered {
        /// Which leg.
        leg: LegId,
        /// Their answer.
        sdp: Option<String>,
    },
    /// The ACK for our 2xx to an INVITE or re-INVITE.
    Confirmed {
        /// Which leg.
        leg: LegId,
        /// Their answer, where the offer was ours (an INVITE without SDP).
        sdp: Option<String>,
    },
    /// A call we placed was not taken. The leg is gone.
    Failed {
        /// Which leg.
        leg: LegId,
        /// Their final status; 480 nobody registered, 408 nothing came back, 487 after our own cancel.
        code: u16,
        /// The reason phrase, or ours.
        reason: String,
    },
    /// The leg is gone, by whose doing ever (but not after our own `Reject`).
    Ended {
        /// Which leg.
        leg: LegId,
        /// How.
        cause: EndCause,
        /// Their Reason header (RFC 3326), if any.
        reason: Option<String>,
    },
    /// re-INVITE or UPDATE: answer with `AnswerReoffer`.
    Reoffer {
        /// Which leg.
        leg: LegId,
        /// Their offer; `None` asks for ours.
        sdp: Option<String>,
    },
    /// What came of our `Reoffer`, `Hold` or `Resume`. One that was overtaken by a later one is not told.
    Reoffered {
        /// Which leg.
        leg: LegId,
        /// Their answer, or their refusal: the session is as it was before. 491 after glare that did not end.
        sdp: Result<Option<String>, u16>,
    },
    /// The PRACK brought the answer to an offer of ours in a `Progress`, for an INVITE that had none (RFC 3262 §5).
    EarlyAnswer {
        /// Which leg.
        leg: LegId,
        /// Their answer.
        sdp: String,
    },
    /// The peer asks that we call somebody else (RFC 3515): say `AcceptRefer` or `RejectRefer`.
    Refer {
        /// The leg it came on; may have ended before it is dealt with.
        leg: LegId,
        /// Names it in commands.
        refer: ReferId,
        /// Whom to call, and which call that is to replace.
        target: Box<ReferTarget>,
        /// Referred-By (RFC 3892), as it stands.
        referred_by: Option<String>,
    },
    /// How a `Refer` of ours goes.
    Referral {
        /// Which leg.
        leg: LegId,
        /// What is known now.
        step: ReferStep,
    },
    /// A digit by INFO.
    InfoDigit {
        /// Which leg.
        leg: LegId,
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
        /// How long it was pressed, milliseconds, where dtmf-relay says so.
        duration_ms: Option<u16>,
    },
    /// A contact was registered, refreshed, restored, or answers again.
    Registered {
        /// Whose.
        ext: String,
        /// Contact URI.
        contact: String,
        /// Seconds granted.
        expires_s: u32,
    },
    /// All contacts an extension has now, after any of them came, was refreshed or went; only if asked for.
    Registrations {
        /// Whose.
        ext: String,
        /// What it has; none is to be forgotten.
        contacts: Vec<Registration>,
    },
    /// An extension's last contact is gone, or answers no longer.
    Unregistered {
        /// Whose.
        ext: String,
    },
    /// A source failed too often and is not listened to for a while; what goes on in its live calls is.
    Banned {
        /// An IPv4 address, or the first address of an IPv6 /64.
        source: IpAddr,
        /// For how long.
        ban: Duration,
        /// The failures counted.
        failures: u32,
    },
    /// Something changed about a trunk.
    Trunk {
        /// Its name.
        name: String,
        /// What.
        state: TrunkState,
    },
    /// A ban is over.
    Pardoned {
        /// Whose.
        source: IpAddr,
    },
}

impl SipEvent {
    /// The leg it is about.
    pub fn leg(&self) -> Option<LegId> {
        match self {
            Self::Incoming { leg, .. }
            | Self::Progress { leg, .. }
            | Self::Answered { leg, .. }
            | Self::Confirmed { leg, .. }
            | Self::Failed { leg, .. }
            | Self::Ended { leg, .. }
            | Self::Reoffer { leg, .. }
            | Self::Reoffered { leg, .. }
            | Self::EarlyAnswer { leg, .. }
            | Self::Refer { leg, .. }
            | Self::Referral { leg, .. }
            | Self::InfoDigit { leg, .. } => Some(*leg),
            Self::Registered { .. }
            | Self::Registrations { .. }
            | Self::Unregistered { .. }
            | Self::Banned { .. }
            | Self::Trunk { .. }
            | Self::Pardoned { .. } => None,
        }
    }
}

/// What the endpoint is told. A command that does not fit its leg's state is ignored and logged at debug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SipCommand {
    /// 180 Ringing.
    Ring {
        /// Which leg.
        leg: LegId,
    },
    /// A 18x, with early media where `sdp` is given. Sent reliably (RFC 3262) to a peer that requires that, or that can do it
    /// and is to know our description; a description that could not be sent reliably to an INVITE without offer is left out.
    Progress {
        /// Which leg.
        leg: LegId,
        /// 101 to 199; 183 where it is none of these.
        code: u16,
        /// Answer to their offer, or offer where none came.
        sdp: Option<String>,
    },
    /// 200 with our description. Where a reliable 18x carried one, that stands and this one is not used.
    Answer {
        /// Which leg.
        leg: LegId,
        /// Answer, or offer where none came.
        sdp: String,
    },
    /// A final refusal.
    Reject {
        /// Which leg.
        leg: LegId,
        /// 3xx to 6xx.
        code: u16,
        /// Reason phrase; `None` takes the RFC's.
        reason: Option<String>,
    },
    /// Calls an extension at all its contacts; the first 2xx wins.
    Invite {
        /// A new leg.
        leg: LegId,
        /// Whom.
        ext: String,
        /// User part of From.
        from_user: String,
        /// Display name of From.
        from_display: Option<String>,
        /// More header fields, such as `X-Baton-Call-ID`.
        headers: Vec<(String, String)>,
        /// Our offer.
        sdp: String,
    },
    /// Calls a URI. A host name is resolved before.
    InviteUri {
        /// A new leg.
        leg: LegId,
        /// `sip:` URI.
        uri: String,
        /// User part of From.
        from_user: String,
        /// Display name of From.
        from_display: Option<String>,
        /// More header fields.
        headers: Vec<(String, String)>,
        /// Our offer.
        sdp: String,
    },
    /// Calls a number by a trunk, at the first of its targets that works.
    InviteTrunk {
        /// A new leg.
        leg: LegId,
        /// Its name.
        trunk: String,
        /// The number, in E.164 where it is one; the trunk's rules say how it is dialled.
        number: String,
        /// The caller's number; empty takes the trunk's own.
        from_user: String,
        /// Display name of From.
        from_display: Option<String>,
        /// More header fields.
        headers: Vec<(String, String)>,
        /// Our offer.
        sdp: String,
    },
    /// Stops a call we placed that is not answered yet. `Failed` with 487 comes at once; an answer that crosses it is
    /// acknowledged and hung up.
    Cancel {
        /// Which leg.
        leg: LegId,
    },
    /// Like `Cancel`, telling the phone why (RFC 3326), as `SIP;cause=200;text="Call completed elsewhere"`.
    CancelFor {
        /// Which leg.
        leg: LegId,
        /// Reason value.
        reason: String,
    },
    /// Ends an established leg.
    Bye {
        /// Which leg.
        leg: LegId,
        /// Reason value (RFC 3326), as `Q.850;cause=16;text="…"`.
        reason: Option<String>,
    },
    /// Answers a `Reoffer`.
    AnswerReoffer {
        /// Which leg.
        leg: LegId,
        /// Our description, or a status such as 488.
        sdp: Result<String, u16>,
    },
    /// Changes an established session: a new address, codec, direction. `Reoffered` tells what came of it. Waits while another
    /// exchange is open; backs off and tries again on glare (RFC 3261 §14.1); a newer one takes the place of one that waits.
    Reoffer {
        /// Which leg.
        leg: LegId,
        /// Our new offer.
        sdp: String,
    },
    /// Puts the peer on hold: our last description, `sendonly` (RFC 3264 §8.4).
    Hold {
        /// Which leg.
        leg: LegId,
    },
    /// Ends our hold: our last description, `sendrecv`.
    Resume {
        /// Which leg.
        leg: LegId,
    },
    /// Asks the peer to call somebody else (RFC 3515). `Referral` tells how that goes; the leg stays until it is hung up.
    Refer {
        /// Which leg.
        leg: LegId,
        /// URI to call; with `replaces`, empty takes the address of that leg's peer.
        to: String,
        /// An established leg of ours the new call is to replace: an attended transfer (RFC 3891).
        replaces: Option<LegId>,
        /// Referred-By value (RFC 3892), as `<sip:help@example.org>`.
        referred_by: Option<String>,
    },
    /// 202 to a REFER, and a first NOTIFY with 100. More go out by `ReferStatus` until one is final.
    AcceptRefer {
        /// The leg it came on.
        leg: LegId,
        /// Which one.
        refer: ReferId,
    },
    /// Refuses a REFER.
    RejectRefer {
        /// The leg it came on.
        leg: LegId,
        /// Which one.
        refer: ReferId,
        /// 4xx to 6xx; 603 where it is none of these.
        code: u16,
    },
    /// How the call goes that an accepted REFER asked for: NOTIFY with that status line.
    ReferStatus {
        /// The leg it came on.
        leg: LegId,
        /// Which one.
        refer: ReferId,
        /// 100 to 699; from 200 on it is the last.
        code: u16,
        /// Reason phrase; `None` takes the RFC's.
        reason: Option<String>,
    },
}

impl SipCommand {
    /// The leg it is about.
    pub fn leg(&self) -> LegId {
        match self {
            Self::Ring { leg }
            | Self::Answer { leg, .. }
            | Self::Reject { leg, .. }
            | Self::Invite { leg, .. }
            | Self::InviteUri { leg, .. }
            | Self::InviteTrunk { leg, .. }
            | Self::Progress { leg, .. }
            | Self::Cancel { leg }
            | Self::CancelFor { leg, .. }
            | Self::Bye { leg, .. }
            | Self::AnswerReoffer { leg, .. }
            | Self::Reoffer { leg, .. }
            | Self::Hold { leg }
            | Self::Resume { leg }
            | Self::Refer { leg, .. }
            | Self::AcceptRefer { leg, .. }
            | Self::RejectRefer { leg, .. }
            | Self::ReferStatus { leg, .. } => *leg,
        }
    }
}
