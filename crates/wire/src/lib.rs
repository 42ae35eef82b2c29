//! The SIP front end. Bytes pass the guards ([`guard`]), become messages (`sipx-sip`, named in this crate alone), go through
//! transactions to dialogs and registrar, and come out as [`SipEvent`]s; [`SipCommand`]s go the other way.
//!
//! The pure part ([`core`]) knows no socket and no clock: bytes and time come in, bytes and events come out. The driver
//! beside it ([`start`]) owns the sockets and one task that owns the core.
//!
//! What must always hold: no input panics or is parsed before its size is known to be harmless; every request gets the
//! RFC's answer or the RFC's silence; no transaction, dialog or timer outlives its purpose.

pub mod core;
pub mod digest;
pub mod guard;
pub mod sdp;

mod driver;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use digest::Ha1;
pub use driver::{Gone, SipHandle, StartError, start};

/// One SIP leg: a dialog, or what is on the way to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u64);

/// The transports that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Streams, framed by Content-Length.
    Tcp,
}

impl Transport {
    /// As Via writes it.
    pub fn token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Udp { "udp" } else { "tcp" })
    }
}

/// An address to listen on.
#[derive(Debug, Clone, Copy)]
pub struct Listen {
    /// Over what.
    pub transport: Transport,
    /// Where.
    pub bind: SocketAddr,
}

/// An extension and its password's hashes.
#[derive(Debug, Clone)]
pub struct ExtensionAuth {
    /// The user part.
    pub ext: String,
    /// What it must prove to know.
    pub ha1: Ha1,
}

/// What the front end needs to know.
#[derive(Debug, Clone)]
pub struct SipConfig {
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// Realm of digest, host of our addresses.
    pub domain: String,
    /// `Server` and `User-Agent`.
    pub user_agent: String,
    /// Who may register.
    pub extensions: Vec<ExtensionAuth>,
    /// Users that are answered; any other gets 404.
    pub numbers: Vec<String>,
    /// Legs at the same time; beyond it 503 with Retry-After.
    pub max_legs: usize,
    /// Bounds of a registration's life.
    pub expires: (Duration, Duration),
}

impl Default for SipConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            domain: "baton.localhost".into(),
            user_agent: "Baton".into(),
            extensions: Vec::new(),
            numbers: Vec::new(),
            max_legs: 4_000,
            expires: (Duration::from_secs(30), Duration::from_secs(3_600)),
        }
    }
}

/// Somebody named in a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// User part of the URI.
    pub user: String,
    /// Host part.
    pub host: String,
    /// Display name.
    pub display: Option<String>,
    /// User part of P-Asserted-Identity (RFC 3325), if it was there.
    pub asserted: Option<String>,
}

/// How an established or offered leg ended without our doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// BYE.
    Bye,
    /// CANCEL before our answer.
    Cancel,
    /// Our 2xx was never acknowledged (RFC 3261 §13.3.1.4).
    NoAck,
    /// The transport failed.
    TransportError,
}

/// What the front end tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SipEvent {
    /// Somebody calls.
    Incoming {
        /// The new leg.
        leg: LegId,
        /// Call-ID.
        call_id: String,
        /// Who.
        from: Party,
        /// Whom.
        to: Party,
        /// The offer, if there was one.
        sdp: Option<String>,
        /// Where the request came from.
        source: SocketAddr,
    },
    /// 18x on a call we placed.
    Progress {
        /// Which.
        leg: LegId,
        /// Status.
        code: u16,
    },
    /// 2xx on a call we placed; the ACK is sent.
    Answered {
        /// Which.
        leg: LegId,
        /// The answer.
        sdp: Option<String>,
    },
    /// Our 2xx was acknowledged.
    Confirmed {
        /// Which.
        leg: LegId,
        /// The answer, if the offer was ours.
        sdp: Option<String>,
    },
    /// A call we placed was not taken.
    Failed {
        /// Which.
        leg: LegId,
        /// Status; 480 nobody registered, 408 no answer to the request, 487 after our own cancel.
        code: u16,
        /// In words.
        reason: String,
    },
    /// A leg ended.
    Ended {
        /// Which.
        leg: LegId,
        /// How.
        cause: EndCause,
    },
    /// A new offer within the dialog; answer with [`SipCommand::AnswerReoffer`].
    Reoffer {
        /// Which.
        leg: LegId,
        /// The offer; empty if ours is wanted.
        sdp: Option<String>,
    },
    /// A digit by INFO.
    InfoDigit {
        /// Which.
        leg: LegId,
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        digit: char,
    },
    /// A phone is there.
    Registered {
        /// Whose.
        ext: String,
        /// Its Contact.
        contact: String,
    },
    /// An extension's last phone is gone.
    Unregistered {
        /// Whose.
        ext: String,
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
            | Self::InfoDigit { leg, .. } => Some(*leg),
            Self::Registered { .. } | Self::Unregistered { .. } => None,
        }
    }
}

/// What the front end is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SipCommand {
    /// 180.
    Ring {
        /// Which leg.
        leg: LegId,
    },
    /// 200 with this session.
    Answer {
        /// Which leg.
        leg: LegId,
        /// Our SDP.
        sdp: String,
    },
    /// A final refusal.
    Reject {
        /// Which leg.
        leg: LegId,
        /// Status.
        code: u16,
        /// For the log and a Reason header.
        reason: Option<String>,
    },
    /// Call an extension, at every place it is registered.
    Invite {
        /// The new leg, from [`SipHandle::new_leg`].
        leg: LegId,
        /// Whom.
        ext: String,
        /// User part of From.
        from_user: String,
        /// Display name of From.
        from_display: Option<String>,
        /// More header fields.
        headers: Vec<(String, String)>,
        /// The offer.
        sdp: String,
    },
    /// Stop a call we placed.
    Cancel {
        /// Which leg.
        leg: LegId,
    },
    /// End an established leg.
    Bye {
        /// Which leg.
        leg: LegId,
        /// A Reason value (RFC 3326).
        reason: Option<String>,
    },
    /// Our answer to a new offer, or a refusing status.
    AnswerReoffer {
        /// Which leg.
        leg: LegId,
        /// SDP, or a status such as 488.
        sdp: Result<String, u16>,
    },
}
