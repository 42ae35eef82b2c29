//! The media plane: RTP ports, jitter buffer, DTMF, player, taps, bridge. Audio never waits here.
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
mod jitter;
mod latch;
mod leg;
mod outbound;
mod player;
mod quality;
mod relay;
mod rtcp;
mod shard;
mod sys;
mod thread;
mod wire;

pub use api::{
    Full, LegStats, MediaCommand, MediaConfig, MediaCounters, MediaEvent, MediaLeg, MediaStartError, OpenError, PlayId,
};
pub use codec::Codec;
pub use control::{MediaEvents, MediaHandle, start};
