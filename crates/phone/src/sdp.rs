//! The little SDP that a G.711 phone needs (RFC 4566, RFC 3264): one audio stream, PCMU and PCMA, telephone-event.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// A G.711 variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Codec {
    /// µ-law, static payload type 0.
    Pcmu,
    /// A-law, static payload type 8.
    Pcma,
}

impl Codec {
    /// The static RTP payload type (RFC 3551 table 4).
    pub fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }
}

/// Payload type that this phone offers for telephone-event.
const EVENT_TYPE: u8 = 101;

/// What the other side's SDP asks of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    pub addr: SocketAddr,
    pub codec: Codec,
    pub payload_type: u8,
    pub event_type: Option<u8>,
    /// We may send: the other side's direction includes receiving.
    pub send: bool,
    /// The other side's direction, for the mirror in an answer.
    pub direction: &'static str,
}

/// Why an SDP cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SdpError {
    #[error("no audio stream in the session description")]
    Audio,
    #[error("no connection address in the session description")]
    Address,
    #[error("no common codec: the other side offers none of those asked for")]
    Codec,
}

/// Our offer.
pub fn offer(local: SocketAddr, codecs: &[Codec], version: u64) -> String {
    let types: Vec<String> = codecs.iter().map(|c| c.payload_type().to_string()).collect();
    let mut sdp = head(local, version);
    sdp.push_str(&format!("m=audio {} RTP/AVP {} {EVENT_TYPE}\r\n", local.port(), types.join(" ")));
    for codec in codecs {
        sdp.push_str(&format!("a=rtpmap:{} {}/8000\r\n", codec.payload_type(), codec.name()));
    }
    sdp.push_str(&tail(EVENT_TYPE, "sendrecv"));
    sdp
}

/// Reads an offer or an answer; `codecs` is what we accept, best first.
pub fn read(sdp: &str, codecs: &[Codec]) -> Result<Remote, SdpError> {
    let (mut session_addr, mut session_direction) = (None, None);
    let mut audio: Option<Audio> = None;
    let mut section = Section::Session;
    for line in sdp.lines().map(str::trim_end) {
        match (line.split_once('='), section, &mut audio) {
            (Some(("m", value)), ..) => {
                section = Section::Other;
                if audio.is_none() && value.starts_with("audio ") {
                    audio = Audio::parse(value).filter(|a| a.port != 0);
                    section = if audio.is_some() { Section::Audio } else { Section::Other };
                }
            }
            (Some(("c", value)), Section::Session, _) => session_addr = connection(value),
            (Some(("a", value)), Section::Session, _) => session_direction = direction_of(value).or(session_direction),
            (Some(("c", value)), Section::Audio, Some(audio)) => audio.addr = connection(value),
            (Some(("a", value)), Section::Audio, Some(audio)) => audio.attribute(value),
            _ => {}
        }
    }
    let audio = audio.ok_or(SdpError::Audio)?;
    let ip = audio.addr.or(session_addr).ok_or(SdpError::Address)?;
    let (codec, payload_type) = codecs.iter().find_map(|c| audio.find(*c)).ok_or(SdpError::Codec)?;
    let direction = audio.direction.or(session_direction).unwrap_or("sendrecv");
    Ok(Remote {
        addr: SocketAddr::new(ip, audio.port),
        codec,
        payload_type,
        event_type: audio.event_type,
        send: matches!(direction, "sendrecv" | "recvonly") && !ip.is_unspecified(),
        direction,
    })
}

/// Our answer to an offer that was read as `remote`. Streams other than the first audio are refused with port 0
/// (RFC 3264 §6).
pub fn answer(offer: &str, remote: &Remote, local: SocketAddr, version: u64) -> String {
    let mut sdp = head(local, version);
    let mirrored = match remote.direction {
        "sendonly" => "recvonly",
        "recvonly" => "sendonly",
        other => other,
    };
    let mut taken = false;
    for media in offer.lines().filter_map(|l| l.trim_end().strip_prefix("m=")) {
        let words: Vec<&str> = media.split_whitespace().collect();
        let usable = words.first() == Some(&"audio") && words.get(1).is_some_and(|p| *p != "0");
        if usable && !taken {
            taken = true;
            let event = remote.event_type.map(|t| format!(" {t}")).unwrap_or_default();
            sdp.push_str(&format!("m=audio {} RTP/AVP {}{event}\r\n", local.port(), remote.payload_type));
            sdp.push_str(&format!("a=rtpmap:{} {}/8000\r\n", remote.payload_type, remote.codec.name()));
            match remote.event_type {
                Some(event) => sdp.push_str(&tail(event, mirrored)),
                None => sdp.push_str(&format!("a=ptime:20\r\na={mirrored}\r\n")),
            }
        } else if let [kind, _, profile, format, ..] = words[..] {
            sdp.push_str(&format!("m={kind} 0 {profile} {format}\r\n"));
        }
    }
    sdp
}

/// Whose lines are being read.
#[derive(Clone, Copy)]
enum Section {
    Session,
    Audio,
    Other,
}

fn head(local: SocketAddr, version: u64) -> String {
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let ip = local.ip();
    format!("v=0\r\no=phone {version} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n")
}

fn tail(event: u8, direction: &str) -> String {
    format!("a=rtpmap:{event} telephone-event/8000\r\na=fmtp:{event} 0-15\r\na=ptime:20\r\na={direction}\r\n")
}

fn connection(value: &str) -> Option<IpAddr> {
    value.split_whitespace().nth(2)?.split('/').next()?.parse().ok()
}

fn direction_of(attribute: &str) -> Option<&'static str> {
    ["sendrecv", "sendonly", "recvonly", "inactive"].into_iter().find(|d| *d == attribute)
}

struct Audio {
    port: u16,
    addr: Option<IpAddr>,
    types: Vec<u8>,
    maps: Vec<(u8, String)>,
    event_type: Option<u8>,
    direction: Option<&'static str>,
}

impl Audio {
    fn parse(media: &str) -> Option<Self> {
        let mut words = media.split_whitespace().skip(1);
        let port = words.next()?.split('/').next()?.parse().ok()?;
        let types = words.skip(1).filter_map(|t| t.parse().ok()).collect();
        Some(Self { port, addr: None, types, maps: Vec::new(), event_type: None, direction: None })
    }

    fn attribute(&mut self, value: &str) {
        if let Some(direction) = direction_of(value) {
            self.direction = Some(direction);
        }
        let Some((number, map)) = value.strip_prefix("rtpmap:").and_then(|v| v.split_once(' ')) else { return };
        let Ok(number) = number.parse() else { return };
        let map = map.trim().to_ascii_uppercase();
        if map.starts_with("TELEPHONE-EVENT/8000") {
            self.event_type = self.event_type.or(Some(number));
        }
        self.maps.push((number, map));
    }

    fn find(&self, codec: Codec) -> Option<(Codec, u8)> {
        let wanted = format!("{}/8000", codec.name());
        let by_map = |t: &u8| self.maps.iter().any(|(n, map)| n == t && map.starts_with(&wanted));
        let by_number = |t: &u8| *t == codec.payload_type() && !self.maps.iter().any(|(n, _)| n == t);
        self.types.iter().find(|t| by_map(t) || by_number(t)).map(|t| (codec, *t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Codec; 2] = [Codec::Pcmu, Codec::Pcma];

    #[test]
    fn own_offer_is_readable_and_answerable() {
        let local = "127.0.0.1:4000".parse().unwrap();
        let offer = offer(local, &[Codec::Pcma, Codec::Pcmu], 1);
        let remote = read(&offer, &BOTH).unwrap();
        assert_eq!((remote.addr, remote.codec, remote.event_type), (local, Codec::Pcmu, Some(101)));
        let answer = answer(&offer, &remote, "127.0.0.1:5000".parse().unwrap(), 2);
        assert_eq!(read(&answer, &[Codec::Pcma]), Err(SdpError::Codec));
        assert!(read(&answer, &BOTH).unwrap().send);
    }

    #[test]
    fn hold_is_mirrored_and_other_streams_are_refused() {
        let offer = "v=0\r\nc=IN IP4 10.0.0.1\r\nm=video 9 RTP/AVP 96\r\na=inactive\r\nm=audio 8000 RTP/AVP 18 8 97\r\n\
                     c=IN IP4 10.0.0.2\r\na=rtpmap:97 telephone-event/8000\r\na=sendonly\r\n";
        let remote = read(offer, &BOTH).unwrap();
        assert_eq!(remote.addr.to_string(), "10.0.0.2:8000");
        assert_eq!((remote.codec, remote.event_type, remote.send), (Codec::Pcma, Some(97), false));
        let answer = answer(offer, &remote, "127.0.0.1:5000".parse().unwrap(), 2);
        assert!(answer.contains("m=video 0 RTP/AVP 96\r\nm=audio 5000 RTP/AVP 8 97\r\n"));
        assert!(answer.contains("a=recvonly"));
    }

    #[test]
    fn what_cannot_work_is_named() {
        assert_eq!(read("v=0\r\n", &BOTH), Err(SdpError::Audio));
        assert_eq!(read("v=0\r\nm=audio 4 RTP/AVP 0\r\n", &BOTH), Err(SdpError::Address));
        assert_eq!(read("c=IN IP4 1.2.3.4\r\nm=audio 4 RTP/AVP 18\r\n", &BOTH), Err(SdpError::Codec));
        assert_eq!(read("c=IN IP4 1.2.3.4\r\nm=audio 0 RTP/AVP 0\r\n", &BOTH), Err(SdpError::Audio));
    }
}
