//! SDP offer and answer (RFC 8866, RFC 3264) for one audio stream. Every other stream of an offer is declined with port 0.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

/// The codecs a leg can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl Codec {
    /// Static payload type (RFC 3551).
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// As in rtpmap.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }
}

/// Which way audio flows, as the description's author sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// They send.
    SendOnly,
    /// They listen.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    fn attribute(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The same flow seen from the other side.
    pub fn mirrored(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            other => other,
        }
    }
}

/// The far side's audio, as agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where RTP goes. An address of 0.0.0.0 means hold (RFC 2543 style) and comes out as `direction`.
    pub addr: SocketAddr,
    /// The codec.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// telephone-event (RFC 4733), if agreed.
    pub dtmf_payload_type: Option<u8>,
    /// As the far side sees it.
    pub direction: Direction,
}

/// Why a description does not lead to audio. All of them are answered 488.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// It does not read as SDP.
    #[error("the session description is malformed: {0}")]
    Malformed(&'static str),
    /// It has no audio stream over RTP/AVP, or that stream is declined.
    #[error("the session description offers no audio over RTP/AVP")]
    NoAudio,
    /// None of its codecs is ours.
    #[error("no common codec: they have {theirs}")]
    NoCodec {
        /// What they have.
        theirs: String,
    },
}

/// Session id and version of an `o=` line. Every description we make has a higher version.
#[derive(Debug, Clone, Copy)]
pub struct SessionId(u64);

impl SessionId {
    /// The next one.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The payload type we give telephone-event in our own offers.
const DTMF: u8 = 101;

/// An offer of one audio stream.
pub fn offer(local: SocketAddr, codecs: &[Codec], session: SessionId) -> String {
    let types: String = codecs.iter().map(|c| format!(" {}", c.payload_type())).collect();
    let mut out = head(local, session);
    let _ = write!(out, "m=audio {} RTP/AVP{types} {DTMF}\r\n", local.port());
    for codec in codecs {
        let _ = write!(out, "a=rtpmap:{} {}/8000\r\n", codec.payload_type(), codec.name());
    }
    let _ = write!(out, "a=rtpmap:{DTMF} telephone-event/8000\r\na=fmtp:{DTMF} 0-16\r\na=ptime:20\r\na=sendrecv\r\n");
    out
}

/// Our answer to `offer`, and what it means for audio. `codecs` are ours; the offer's order of preference is kept.
pub fn answer(offer: &str, local: SocketAddr, codecs: &[Codec], session: SessionId) -> Result<(String, Remote), SdpError> {
    let media = parse(offer)?;
    let chosen = media.iter().position(Media::usable).ok_or(SdpError::NoAudio)?;
    let remote = media[chosen].remote(codecs)?;
    let mut out = head(local, session);
    for (i, stream) in media.iter().enumerate() {
        if i != chosen {
            let first = stream.formats.first().map_or("0", String::as_str);
            let _ = write!(out, "m={} 0 {} {first}\r\n", stream.kind, stream.protocol);
            continue;
        }
        let dtmf = remote.dtmf_payload_type.map(|pt| format!(" {pt}")).unwrap_or_default();
        let _ = write!(out, "m=audio {} RTP/AVP {}{dtmf}\r\n", local.port(), remote.payload_type);
        let _ = write!(out, "a=rtpmap:{} {}/8000\r\n", remote.payload_type, remote.codec.name());
        if let Some(pt) = remote.dtmf_payload_type {
            let _ = write!(out, "a=rtpmap:{pt} telephone-event/8000\r\na=fmtp:{pt} 0-16\r\n");
        }
        let _ = write!(out, "a=ptime:20\r\na={}\r\n", remote.direction.mirrored().attribute());
    }
    Ok((out, remote))
}

/// What an answer to our offer means for audio.
pub fn read_answer(answer: &str, codecs: &[Codec]) -> Result<Remote, SdpError> {
    parse(answer)?.iter().find(|m| m.usable()).ok_or(SdpError::NoAudio)?.remote(codecs)
}

fn head(local: SocketAddr, session: SessionId) -> String {
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let ip = local.ip();
    format!("v=0\r\no=baton {0} {0} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n", session.0)
}

struct Media {
    kind: String,
    port: u16,
    protocol: String,
    formats: Vec<String>,
    connection: Option<IpAddr>,
    rtpmaps: Vec<(u8, String)>,
    direction: Direction,
}

impl Media {
    fn usable(&self) -> bool {
        self.kind == "audio" && self.port != 0 && matches!(self.protocol.as_str(), "RTP/AVP" | "RTP/AVPF")
    }

    fn remote(&self, codecs: &[Codec]) -> Result<Remote, SdpError> {
        let types: Vec<u8> = self.formats.iter().filter_map(|f| f.parse().ok()).collect();
        let name = |pt: u8| match self.rtpmaps.iter().find(|(p, _)| *p == pt) {
            Some((_, map)) => map.to_ascii_uppercase(),
            None if pt == 0 => "PCMU/8000".into(),
            None if pt == 8 => "PCMA/8000".into(),
            None => String::new(),
        };
        let codec_of = |pt: u8| codecs.iter().copied().find(|c| name(pt).starts_with(&format!("{}/8000", c.name())));
        let (payload_type, codec) = types
            .iter()
            .find_map(|pt| codec_of(*pt).map(|c| (*pt, c)))
            .ok_or_else(|| SdpError::NoCodec { theirs: types.iter().map(|pt| name(*pt)).collect::<Vec<_>>().join(", ") })?;
        let dtmf_payload_type = types.iter().copied().find(|pt| name(*pt).starts_with("TELEPHONE-EVENT/8000"));
        let ip = self.connection.ok_or(SdpError::Malformed("no connection address"))?;
        let direction = match (ip.is_unspecified(), self.direction) {
            (true, Direction::SendRecv) => Direction::SendOnly,
            (true, Direction::RecvOnly) => Direction::Inactive,
            (_, direction) => direction,
        };
        Ok(Remote { addr: SocketAddr::new(ip, self.port), codec, payload_type, dtmf_payload_type, direction })
    }
}

fn parse(text: &str) -> Result<Vec<Media>, SdpError> {
    let mut media: Vec<Media> = Vec::new();
    let (mut connection, mut direction, mut version) = (None, Direction::SendRecv, false);
    for line in text.lines().map(str::trim_end).filter(|l| !l.is_empty()) {
        let (kind, value) = line.split_once('=').ok_or(SdpError::Malformed("a line without `=`"))?;
        match kind {
            "v" => version = value == "0",
            "m" => {
                let mut fields = value.split_whitespace();
                let (Some(kind), Some(port), Some(protocol)) = (fields.next(), fields.next(), fields.next()) else {
                    return Err(SdpError::Malformed("an m= line of fewer than four fields"));
                };
                let port = port.split('/').next().unwrap_or(port).parse().map_err(|_| SdpError::Malformed("a port that is no number"))?;
                if media.len() >= 16 {
                    return Err(SdpError::Malformed("more than 16 streams"));
                }
                let formats = fields.map(str::to_owned).collect();
                let (kind, protocol) = (kind.to_owned(), protocol.to_owned());
                media.push(Media { kind, port, protocol, formats, connection, rtpmaps: Vec::new(), direction });
            }
            "c" => {
                let ip = value.split_whitespace().nth(2).and_then(|a| a.split('/').next()).and_then(|a| a.parse().ok());
                let ip = Some(ip.ok_or(SdpError::Malformed("a connection address that is no IP address"))?);
                match media.last_mut() {
                    Some(stream) => stream.connection = ip,
                    None => connection = ip,
                }
            }
            "a" => {
                let towards = match value {
                    "sendrecv" => Some(Direction::SendRecv),
                    "sendonly" => Some(Direction::SendOnly),
                    "recvonly" => Some(Direction::RecvOnly),
                    "inactive" => Some(Direction::Inactive),
                    _ => None,
                };
                match (media.last_mut(), towards) {
                    (Some(stream), Some(towards)) => stream.direction = towards,
                    (None, Some(towards)) => direction = towards,
                    (Some(stream), None) => {
                        if let Some((pt, map)) = value.strip_prefix("rtpmap:").and_then(|v| v.split_once(' '))
                            && let Ok(pt) = pt.trim().parse()
                        {
                            stream.rtpmaps.push((pt, map.trim().to_owned()));
                        }
                    }
                    (None, None) => {}
                }
            }
            _ => {}
        }
    }
    if version { Ok(media) } else { Err(SdpError::Malformed("no v=0 line")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

    fn local() -> SocketAddr {
        "127.0.0.1:30000".parse().unwrap()
    }

    #[test]
    fn our_offer_and_our_answer_agree() {
        let offer = offer("127.0.0.2:4000".parse().unwrap(), &BOTH, SessionId::next());
        let (text, remote) = answer(&offer, local(), &[Codec::Pcma], SessionId::next()).unwrap();
        assert_eq!((remote.codec, remote.payload_type, remote.dtmf_payload_type), (Codec::Pcma, 8, Some(101)));
        assert_eq!(remote.addr, "127.0.0.2:4000".parse().unwrap());
        let back = read_answer(&text, &BOTH).unwrap();
        assert_eq!((back.codec, back.addr, back.direction), (Codec::Pcma, local(), Direction::SendRecv));
    }

    #[test]
    fn other_streams_are_declined_in_place() {
        let offer = "v=0\r\no=x 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\nm=video 5000 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 96 8 97\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/8000\r\na=sendonly\r\n";
        let (text, remote) = answer(offer, local(), &BOTH, SessionId::next()).unwrap();
        let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("m=")).collect();
        assert_eq!(lines, ["m=video 0 RTP/AVP 96", "m=audio 30000 RTP/AVP 8 97"]);
        assert!(text.contains("a=recvonly"), "hold is mirrored");
        assert_eq!(remote.direction, Direction::SendOnly);
    }

    #[test]
    fn hold_in_the_old_way_and_ipv6() {
        let held = "v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 0\r\n";
        assert_eq!(answer(held, local(), &BOTH, SessionId::next()).unwrap().1.direction, Direction::SendOnly);
        let six = "v=0\r\nc=IN IP6 2001:db8::1\r\nm=audio 4000 RTP/AVP 0\r\n";
        assert_eq!(read_answer(six, &BOTH).unwrap().addr, "[2001:db8::1]:4000".parse().unwrap());
    }

    #[test]
    fn what_does_not_lead_to_audio_is_named() {
        let no_codec = "v=0\r\nc=IN IP4 1.2.3.4\r\nm=audio 4000 RTP/AVP 9 18\r\na=rtpmap:9 G722/8000\r\na=rtpmap:18 G729/8000\r\n";
        let error = answer(no_codec, local(), &BOTH, SessionId::next()).unwrap_err();
        assert_eq!(error.to_string(), "no common codec: they have G722/8000, G729/8000");
        assert_eq!(read_answer("v=0\r\nm=audio 0 RTP/AVP 0\r\n", &BOTH), Err(SdpError::NoAudio));
        assert_eq!(read_answer("v=0\r\nm=audio 9 RTP/SAVP 0\r\n", &BOTH), Err(SdpError::NoAudio));
        for bad in ["", "hello", "v=0\r\nm=audio\r\n", "v=0\r\nm=audio x RTP/AVP 0\r\n", "v=0\r\nc=IN IP4 x\r\n"] {
            assert!(read_answer(bad, &BOTH).is_err(), "{bad:?}");
        }
    }
}
