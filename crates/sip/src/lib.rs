//! The SIP front end: guards, messages, transactions, dialogs, registrar and transports behind one endpoint.
//!
//! It is not the call: it decides nothing about who is answered, only how SIP says it. Bytes pass the [`guard`], become
//! messages through `sipx-sip` (named in this crate alone), go through transactions to dialogs and the registrar, and come
//! out as [`SipEvent`]s; [`SipCommand`]s go the other way. The part that decides ([`Core`]) knows no socket and no
//! clock; [`start`] stands beside it, owns the sockets and one task that owns the core.
//!
//! What must always hold: nothing is parsed before its size is known to be harmless; every request gets the RFC's answer
//! or the RFC's silence; a leg ends with exactly one [`SipEvent::Failed`] or [`SipEvent::Ended`]; no transaction, dialog
//! or timer outlives its purpose.

mod api;
mod auth;
mod core;
mod defence;
mod details;
mod digest;
mod dns;
mod endpoint;
pub mod fields;
mod flow;
pub mod guard;
pub mod hep;
pub mod ladder;
mod owner;
mod registrar;
pub mod sdp;
mod sockets;
mod stream;
mod stun;
#[doc(hidden)]
pub mod testing;
mod timer;
mod tls;
mod trunk;
mod websocket;
mod wire;

pub use api::{
    ContactView, EndCause, ExtensionAuth, LegId, Limits, Listen, Party, Registration, SipCommand, SipConfig, SipEvent,
    Transport, TrunkState,
};
pub use auth::Ha1;
pub use core::{Core, CoreCounters, CoreOutput, Sizes};
pub use defence::Defence;
pub use details::{CallDetails, Diversion, HistoryHop, ReferId, ReferStep, ReferTarget, Replaces, UserToUser};
pub use digest::Credentials;
pub use dns::Place;
pub use endpoint::{Counters, Gone, SipHandle, StartError, start};
pub use flow::{ConnectionId, Flow, Listener};
pub use hep::HepConfig;
pub use ipnet::IpNet;
pub use ladder::TraceStep;
pub use tls::{TlsError, TlsFiles};
pub use trunk::check as check_trunks;
pub use trunk::{Account, Bare, CallerId, Dial, HeaderRule, NumberRules, Rewrite, TrunkConfig, TrunkError, TrunkView};
