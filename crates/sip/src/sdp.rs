//! Offer and answer (RFC 3264); text in, text out, no state: [`negotiate`] does it, [`stream`] reads and writes.
//!
//! It is not a negotiation of everything SDP can say: every other stream of an offer is declined in its place with port 0,
//! and what is not understood is left unanswered. Reading is `sipx-sdp`'s.

pub mod negotiate;
pub mod stream;

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use sipx_sdp::SessionDescription;

use self::negotiate::Local;
use self::stream::Description;

/// Which way audio flows, as the author of the description sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// The author sends: plays hold music, say.
    SendOnly,
    /// The author listens.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether the author sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the author receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same flow seen from the other side.
    pub fn mirrored(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            both => both,
        }
    }

    /// Of who sends and who receives.
    pub fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    fn attribute(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// Why a description does not lead to audio. An offer like that is answered 488.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// It does not read as SDP.
    #[error("the session description is malformed: {0}")]
    Malformed(String),
    /// It has no audio stream, or that stream is declined.
    #[error("no audio in the session description")]
    NoAudio,
    /// None of its codecs is ours.
    #[error("no common codec: they have {theirs}")]
    NoCodec {
        /// Their formats.
        theirs: String,
    },
    /// There is audio, in none of the profiles that are taken here.
    #[error("their audio is {theirs}, which is not taken here")]
    NoProfile {
        /// Their profiles.
        theirs: String,
    },
    /// The stream is to be encrypted, and no key of theirs fits one of ours.
    #[error("no common crypto suite")]
    NoCrypto,
    /// The address of the stream is missing or a name.
    #[error("the stream has no usable address")]
    NoAddress,
}

/// Session id and version of an `o=` line. Within a dialog the endpoint rewrites both, so that a leg keeps its id and every
/// changed description raises the version (RFC 3264 §8), whatever is given here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId {
    /// Unique to the session.
    pub id: u64,
    /// Rises with every change.
    pub version: u64,
}

impl SessionId {
    /// A fresh one.
    pub fn next() -> Self {
        let id = u64::from(rand::random::<u32>()) | 1 << 33;
        Self { id, version: id }
    }

    /// The same session, changed.
    #[must_use]
    pub fn changed(self) -> Self {
        Self { version: self.version + 1, ..self }
    }
}

/// An offer of G.711 in the clear: enough for an example or a test.
pub fn plain_offer(local: SocketAddr) -> String {
    negotiate::offer(&Local::g711(local), SessionId::next())
}

/// An answer of the same kind.
///
/// # Errors
/// What keeps the two from audio.
pub fn plain_answer(offer: &str, local: SocketAddr) -> Result<String, SdpError> {
    Ok(negotiate::answer(&Description::parse(offer)?, &Local::g711(local), SessionId::next())?.0)
}

/// The same description under another session id and version.
pub(crate) fn with_session(sdp: &str, session: SessionId) -> String {
    let start = if sdp.starts_with("o=") { Some(0) } else { sdp.find("\no=").map(|i| i + 1) };
    let origin = start.and_then(|start| {
        let line = sdp.get(start..)?.split('\n').next()?;
        let (user, rest) = line.split_once(' ')?;
        let (_, rest) = rest.split_once(' ')?;
        let (_, rest) = rest.split_once(' ')?;
        Some((start, line.len(), user, rest))
    });
    let Some((start, length, user, rest)) = origin else { return sdp.to_owned() };
    let (before, after) = (sdp.get(..start).unwrap_or_default(), sdp.get(start + length..).unwrap_or_default());
    format!("{before}{user} {} {} {rest}{after}", session.id, session.version)
}

/// The same description, all its streams in another direction.
pub fn with_direction(sdp: &str, direction: Direction) -> String {
    let is_direction =
        |line: &str| matches!(line.trim_end(), "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive");
    let mut out = String::with_capacity(sdp.len() + 16);
    let mut open = false;
    for line in sdp.split_inclusive('\n').filter(|line| !is_direction(line)) {
        if line.starts_with("m=") && std::mem::replace(&mut open, true) {
            let _ = write!(out, "a={}\r\n", direction.attribute());
        }
        out.push_str(line);
    }
    if open {
        let _ = write!(out, "a={}\r\n", direction.attribute());
    }
    out
}

/// Bounds of an honest description. Reading is not linear in any of them.
const MAX_LINES: usize = 600;
const MAX_STREAMS: usize = 32;
const MAX_FORMATS: usize = 64;

fn parse(text: &str) -> Result<SessionDescription, SdpError> {
    let streams = text.lines().filter(|l| l.starts_with("m="));
    let wide = streams.clone().any(|l| l.split_whitespace().nth(2 + MAX_FORMATS + 1).is_some());
    if wide || streams.count() > MAX_STREAMS || text.lines().nth(MAX_LINES).is_some() {
        return Err(SdpError::Malformed("more lines, streams or formats than anything honest".into()));
    }
    // `o=` tells us nothing, and the reader wants numbers where some peers write more digits than it takes.
    let text: String = text
        .lines()
        .map(|line| if line.starts_with("o=") { "o=- 0 0 IN IP4 0.0.0.0\n".to_owned() } else { format!("{line}\n") })
        .collect();
    let text = if text.contains("\no=") { text } else { format!("{text}o=- 0 0 IN IP4 0.0.0.0\n") };
    if !text.starts_with("v=0") {
        return Err(SdpError::Malformed("no v=0 line".into()));
    }
    sipx_sdp::parse(&text).map_err(|e| SdpError::Malformed(e.to_string()))
}

fn head(ip: IpAddr, session: SessionId) -> String {
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    let SessionId { id, version } = session;
    format!("v=0\r\no=- {id} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leg_keeps_its_session() {
        let text = plain_offer("127.0.0.1:30000".parse().unwrap());
        let text = with_session(&text, SessionId { id: 7, version: 9 });
        assert!(text.contains("o=- 7 9 IN IP4 127.0.0.1\r\n") && text.ends_with("a=sendrecv\r\n"));
        assert_eq!(SessionId { id: 7, version: 9 }.changed().version, 10);
        let held = with_direction(&text, Direction::SendOnly);
        assert!(held.ends_with("a=sendonly\r\n") && !held.contains("sendrecv"));
    }
}
