//! The media plane: RTP and SRTP ports, codecs, jitter buffer, DTMF, player, taps, recorder, bridge and mixer. Audio never
//! waits here.
//!
//! [`start`] runs one or more shard threads (`std::thread`, no async runtime). A leg lives on one shard, which alone reads
//! and writes its sockets. Orders come in and events go out through bounded single-producer rings; whatever memory a
//! shard is done with goes back to a reaper thread. This crate knows no SIP and no call: it is told where a leg's peer is
//! and what to play, and says what happened on the wire.
//!
//! What must always hold: a shard thread takes no lock and, once its legs are set up, allocates and frees nothing; each
//! leg sends one RTP stream (one SSRC, sequence and timestamp never jump back) through prompt, music, briefing and bridge;
//! nothing that arrives from the network can panic it.

mod api;
mod codec;
mod control;
mod dtmf;
mod inband;
mod jitter;
mod latch;
mod leg;
mod outbound;
mod player;
mod plc;
mod quality;
mod record;
mod relay;
mod rtcp;
mod shard;
mod srtp;
mod sys;
#[doc(hidden)]
pub mod testing;
mod thread;
mod voice;
mod wire;

pub use api::{
    Agreement, Full, LegFaults, LegStats, MediaCommand, MediaConfig, MediaCounters, MediaEvent, MediaFault, MediaLeg,
    MediaStartError, OpenError, PlayId, RemoteStats, Sources, Supervise,
};
pub use codec::{Codec, CodecList};
pub use control::{MediaEvents, MediaHandle, start};
pub use record::{RecordError, Recorded, Recorder, StereoFrame};
pub use srtp::{CryptoAttribute, CryptoKey, CryptoPair, CryptoParseError, CryptoSuite, SrtpPolicy};
pub use sys::free_space;
