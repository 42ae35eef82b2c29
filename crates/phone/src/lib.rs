//! The test phone: a small, honest SIP user agent with real-time G.711 audio, for `baton dial`, drills and tests.
//!
//! It stands outside the gateway. SIP messages go through `rsip`, SDP, RTP and G.711 are its own, so that a tester never
//! shares a parser with what it tests. It is not a product phone: one codec family, no SRTP, no NAT traversal.
//! What must always hold: what it reports is what was on the wire, with the time it was there.

pub mod dial;
pub mod drill;
pub mod script;

mod call;
mod digest;
mod g711;
mod heard;
mod measure;
mod media;
mod message;
mod rtp;
mod sdp;
mod ua;

pub use call::{Call, CallEvent, Incoming, InviteOptions};
pub use digest::{Algorithm, Challenge};
pub use heard::{Heard, HeardPacket, RtpStats, Spell};
pub use measure::{correlation, first_relayed};
pub use media::{Media, PlayId, Played, Sent, SentPacket};
pub use sdp::Codec;
pub use ua::{Phone, PhoneConfig, PhoneError, RegisterError};
