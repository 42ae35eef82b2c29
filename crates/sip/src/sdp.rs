//! Offer and answer (RFC 3264); text in, text out, no state. The functions here are for one G.711 stream with telephone-event;
//! [`negotiate`] is for any codecs, SRTP keys and what else a stream says.
//!
//! It is not a negotiation of everything SDP can say: every other stream of an offer is declined in its place with port 0,
//! and what is not understood is left unanswered. Reading is `sipx-sdp`'s.

pub mod negotiate;
pub mod stream;

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sipx_sdp::{MediaDescription, SessionDescription, rtpmap::Rtpmap};

/// The codecs a leg can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl Codec {
    /// Its static payload type (RFC 3551 §6).
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// Its name in rtpmap.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }
}

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

/// The far side's audio, as agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where our RTP goes.
    pub addr: SocketAddr,
    /// The codec.
    pub codec: Codec,
    /// The payload type we send it with.
    pub payload_type: u8,
    /// The payload type of telephone-event (RFC 4733), if agreed.
    pub dtmf_payload_type: Option<u8>,
    /// Which way audio flows, as the far side sees it.
    pub direction: Direction,
    /// Packet length they wish for, milliseconds.
    pub ptime_ms: u32,
}

impl Remote {
    /// Whether we send to them.
    pub fn we_send(&self) -> bool {
        self.direction.receives()
    }

    /// Whether they send to us.
    pub fn we_receive(&self) -> bool {
        self.direction.sends()
    }
}

/// Why a description does not lead to audio. An offer like that is answered 488.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// It does not read as SDP.
    #[error("the session description is malformed: {0}")]
    Malformed(String),
    /// It has no audio stream over plain RTP, or that stream is declined.
    #[error("no audio over RTP/AVP in the session description")]
    NoAudio,
    /// None of its codecs is ours.
    #[error("no common codec: they have {theirs}")]
    NoCodec {
        /// Their formats.
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

/// Payload type of telephone-event in our offers.
const OFFERED_DTMF: u8 = 101;

/// An offer of these codecs, in our order of preference, with telephone-event.
pub fn offer(local: SocketAddr, codecs: &[Codec], session: SessionId) -> String {
    let formats: Vec<(u8, Codec)> = codecs.iter().map(|c| (c.payload_type(), *c)).collect();
    head(local.ip(), session) + &audio(local.port(), "RTP/AVP", &formats, Some(OFFERED_DTMF), Direction::SendRecv)
}

/// Answers an offer with the first of `codecs`, our order of preference, that it has.
pub fn answer(
    offer: &str,
    local: SocketAddr,
    codecs: &[Codec],
    session: SessionId,
) -> Result<(String, Remote), SdpError> {
    let description = parse(offer)?;
    let chosen = description.media.iter().position(usable).ok_or(SdpError::NoAudio)?;
    let remote = remote(&description, &description.media[chosen], codecs)?;
    let mut text = head(local.ip(), session);
    for (i, stream) in description.media.iter().enumerate() {
        if i == chosen {
            let formats = [(remote.payload_type, remote.codec)];
            text +=
                &audio(local.port(), &stream.protocol, &formats, remote.dtmf_payload_type, remote.direction.mirrored());
        } else {
            let format = stream.formats.first().map_or("0", String::as_str);
            let _ = write!(text, "m={} 0 {} {format}\r\n", stream.media, stream.protocol);
        }
    }
    Ok((text, remote))
}

/// Reads the answer to an offer of `offered`: its first format that we offered is what both speak.
pub fn read_answer(answer: &str, offered: &[Codec]) -> Result<Remote, SdpError> {
    let description = parse(answer)?;
    let stream = description.media.iter().find(|m| usable(m)).ok_or(SdpError::NoAudio)?;
    let theirs = stream.formats.iter().find_map(|f| codec_of(stream, f).filter(|c| offered.contains(c)));
    let preferred: Vec<Codec> = theirs.into_iter().collect();
    remote(&description, stream, &preferred)
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

fn usable(stream: &MediaDescription) -> bool {
    stream.media == "audio" && stream.port != 0 && matches!(stream.protocol.as_str(), "RTP/AVP" | "RTP/AVPF")
}

fn remote(description: &SessionDescription, stream: &MediaDescription, codecs: &[Codec]) -> Result<Remote, SdpError> {
    let found = codecs.iter().find_map(|codec| {
        let format = stream.formats.iter().find(|f| codec_of(stream, f) == Some(*codec))?;
        Some((*codec, format.parse().ok()?))
    });
    let (codec, payload_type) = found.ok_or_else(|| {
        let names = stream.formats.iter().map(|f| stream.rtpmap(f).unwrap_or(f)).collect::<Vec<_>>();
        SdpError::NoCodec { theirs: names.join(", ") }
    })?;
    let connection = stream.connection.as_ref().or(description.connection.as_ref()).ok_or(SdpError::NoAddress)?;
    let ip = connection.address.ip().ok_or(SdpError::NoAddress)?;
    let mut direction = match stream.declared_direction().unwrap_or_else(|| description.direction()) {
        sipx_sdp::Direction::SendRecv => Direction::SendRecv,
        sipx_sdp::Direction::SendOnly => Direction::SendOnly,
        sipx_sdp::Direction::RecvOnly => Direction::RecvOnly,
        sipx_sdp::Direction::Inactive => Direction::Inactive,
    };
    if ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED) {
        // Hold in the manner of RFC 2543: they hear nothing; RFC 3264 §8.4 forbids to send there.
        direction = if direction.sends() { Direction::SendOnly } else { Direction::Inactive };
    }
    let dtmf_payload_type = stream.formats.iter().find_map(|f| {
        let map = Rtpmap::parse(stream.rtpmap(f)?.trim()).ok()?;
        let fits = map.encoding().eq_ignore_ascii_case("telephone-event") && map.clock_rate() == 8_000;
        fits.then(|| f.parse().ok()).flatten()
    });
    let ptime = stream.attribute("ptime").and_then(|a| a.value.as_deref()).and_then(|v| v.trim().parse().ok());
    let ptime_ms = ptime.filter(|ms| (10..=200).contains(ms)).unwrap_or(20);
    Ok(Remote { addr: SocketAddr::new(ip, stream.port), codec, payload_type, dtmf_payload_type, direction, ptime_ms })
}

/// The codec a format stands for, by rtpmap or as a static payload type.
fn codec_of(stream: &MediaDescription, format: &str) -> Option<Codec> {
    let Some(map) = stream.rtpmap(format) else {
        return match format {
            "0" => Some(Codec::Pcmu),
            "8" => Some(Codec::Pcma),
            _ => None,
        };
    };
    let map = Rtpmap::parse(map.trim()).ok()?;
    let fits = |codec: &Codec| {
        map.encoding().eq_ignore_ascii_case(codec.name()) && map.clock_rate() == 8_000 && map.channels() == 1
    };
    [Codec::Pcmu, Codec::Pcma].into_iter().find(fits)
}

fn head(ip: IpAddr, session: SessionId) -> String {
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    let SessionId { id, version } = session;
    format!("v=0\r\no=- {id} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n")
}

fn audio(port: u16, protocol: &str, formats: &[(u8, Codec)], dtmf: Option<u8>, direction: Direction) -> String {
    let mut text = format!("m=audio {port} {protocol}");
    for pt in formats.iter().map(|(pt, _)| *pt).chain(dtmf) {
        let _ = write!(text, " {pt}");
    }
    text.push_str("\r\n");
    for (pt, codec) in formats {
        let _ = write!(text, "a=rtpmap:{pt} {}/8000\r\n", codec.name());
    }
    if let Some(pt) = dtmf {
        let _ = write!(text, "a=rtpmap:{pt} telephone-event/8000\r\na=fmtp:{pt} 0-15\r\n");
    }
    let _ = write!(text, "a=ptime:20\r\na={}\r\n", direction.attribute());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

    fn local() -> SocketAddr {
        "127.0.0.1:30000".parse().unwrap()
    }

    fn answered(offer: &str) -> Result<(String, Remote), SdpError> {
        answer(offer, local(), &BOTH, SessionId::next())
    }

    #[test]
    fn our_offer_and_our_answer_agree() {
        let offer = offer("127.0.0.2:4000".parse().unwrap(), &BOTH, SessionId::next());
        let (text, remote) = answer(&offer, local(), &[Codec::Pcma], SessionId::next()).unwrap();
        assert_eq!(
            (remote.codec, remote.payload_type, remote.dtmf_payload_type, remote.ptime_ms),
            (Codec::Pcma, 8, Some(101), 20)
        );
        assert_eq!(remote.addr, "127.0.0.2:4000".parse().unwrap());
        let back = read_answer(&text, &BOTH).unwrap();
        assert_eq!((back.codec, back.addr, back.direction), (Codec::Pcma, local(), Direction::SendRecv));
    }

    #[test]
    fn other_streams_are_declined_in_their_place_and_dynamic_types_kept() {
        let offer = "v=0\r\no=x 184467440737095516159 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\nm=video 5000 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 96 108 97\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:108 pcma/8000\r\na=rtpmap:97 telephone-event/8000\r\na=sendonly\r\na=ptime:30\r\nm=audio 4002 RTP/SAVP 0\r\n";
        let (text, remote) = answered(offer).unwrap();
        let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("m=")).collect();
        assert_eq!(lines, ["m=video 0 RTP/AVP 96", "m=audio 30000 RTP/AVP 108 97", "m=audio 0 RTP/SAVP 0"]);
        assert!(text.contains("a=recvonly") && text.contains("a=rtpmap:108 PCMA/8000"));
        assert_eq!((remote.direction, remote.payload_type, remote.ptime_ms), (Direction::SendOnly, 108, 30));
        assert!(!remote.we_send() && remote.we_receive());
    }

    #[test]
    fn holds_are_heard() {
        let held = |line: &str, ip: &str| {
            answered(&format!("v=0\r\nc=IN IP4 {ip}\r\n{line}m=audio 4000 RTP/AVP 0\r\n")).unwrap().1.direction
        };
        assert_eq!(held("", "1.2.3.4"), Direction::SendRecv);
        assert_eq!(held("a=sendonly\r\n", "1.2.3.4"), Direction::SendOnly, "session level");
        assert_eq!(held("a=recvonly\r\n", "1.2.3.4"), Direction::RecvOnly);
        assert_eq!(held("a=inactive\r\n", "1.2.3.4"), Direction::Inactive);
        assert_eq!(held("", "0.0.0.0"), Direction::SendOnly);
    }

    #[test]
    fn ipv6_and_what_does_not_lead_to_audio() {
        let six = "v=0\r\nc=IN IP6 2001:db8::1\r\nm=audio 4000 RTP/AVP 0\r\n";
        assert_eq!(read_answer(six, &BOTH).unwrap().addr, "[2001:db8::1]:4000".parse().unwrap());
        let no_codec = "v=0\r\nc=IN IP4 1.2.3.4\r\nm=audio 4000 RTP/AVP 9 18\r\na=rtpmap:9 G722/8000\r\n";
        assert_eq!(answered(no_codec).unwrap_err().to_string(), "no common codec: they have G722/8000, 18");
        for (bad, error) in [
            ("v=0\r\nm=audio 0 RTP/AVP 0\r\n", SdpError::NoAudio),
            ("v=0\r\nm=audio 9 RTP/SAVP 0\r\n", SdpError::NoAudio),
            ("v=0\r\nm=audio 9 RTP/AVP 0\r\n", SdpError::NoAddress),
            ("v=0\r\nc=IN IP4 host.example\r\nm=audio 9 RTP/AVP 0\r\n", SdpError::NoAddress),
        ] {
            assert_eq!(answered(bad).unwrap_err(), error, "{bad}");
        }
        for bad in ["", "hello", "v=0\r\nm=audio\r\n", "v=0\r\nm=audio x RTP/AVP 0\r\n"] {
            assert!(answered(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_leg_keeps_its_session() {
        let text = offer(local(), &BOTH, SessionId::next());
        let text = with_session(&text, SessionId { id: 7, version: 9 });
        assert!(text.contains("o=- 7 9 IN IP4 127.0.0.1\r\n") && text.ends_with("a=sendrecv\r\n"));
        assert_eq!(SessionId { id: 7, version: 9 }.changed().version, 10);
    }
}
