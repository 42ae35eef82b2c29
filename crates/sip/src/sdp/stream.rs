//! Streams as a description has them: codecs with their payload types, keys, addresses, direction, and all other attributes
//! as they stand. Reads and writes; what is to be agreed is `negotiate`'s.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use sipx_sdp::rtpmap::Rtpmap;
use sipx_sdp::{MediaDescription, SessionDescription};

use super::{Direction, SdpError};

/// A codec of a stream: what rtpmap and fmtp say of one payload type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecDesc {
    /// Encoding name, as `PCMU`, `opus`, `G722`, `telephone-event`. Compared without regard to case.
    pub name: String,
    /// RTP clock, Hz. 8,000 for G722 all the same (RFC 3551 §4.5.2).
    pub clock: u32,
    /// Channels; 2 for opus always (RFC 7587 §7).
    pub channels: u8,
    /// Payload type.
    pub pt: u8,
    /// Format parameters, without the payload type.
    pub fmtp: Option<String>,
}

impl CodecDesc {
    /// A codec with one channel and no parameters.
    pub fn new(name: &str, clock: u32, pt: u8) -> Self {
        Self { name: name.into(), clock, channels: 1, pt, fmtp: None }
    }

    /// The same with that many channels.
    #[must_use]
    pub fn channels(self, channels: u8) -> Self {
        Self { channels, ..self }
    }

    /// The same with these format parameters.
    #[must_use]
    pub fn fmtp(self, parameters: &str) -> Self {
        Self { fmtp: Some(parameters.into()), ..self }
    }

    /// Whether both mean the same format, whatever its payload type and parameters here and there.
    pub fn same_format(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name) && self.clock == other.clock && self.channels == other.channels
    }

    /// Whether it is the digits of RFC 4733.
    pub fn is_events(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
    }

    /// What a payload type without rtpmap stands for (RFC 3551 §6).
    fn of_static(pt: u8) -> Option<Self> {
        let (name, clock) = match pt {
            0 => ("PCMU", 8_000),
            3 => ("GSM", 8_000),
            4 => ("G723", 8_000),
            8 => ("PCMA", 8_000),
            9 => ("G722", 8_000),
            13 => ("CN", 8_000),
            18 => ("G729", 8_000),
            _ => return None,
        };
        Some(Self::new(name, clock, pt))
    }

    fn write(&self, out: &mut String) {
        let channels = if self.channels > 1 { format!("/{}", self.channels) } else { String::new() };
        let _ = write!(out, "a=rtpmap:{} {}/{}{channels}\r\n", self.pt, self.name, self.clock);
        if let Some(fmtp) = &self.fmtp {
            let _ = write!(out, "a=fmtp:{} {fmtp}\r\n", self.pt);
        }
    }
}

/// An `a=crypto` line: the key somebody encrypts what it sends with (RFC 4568). Debug output leaves the key out.
#[derive(Clone, PartialEq, Eq)]
pub struct CryptoAttr {
    /// Joins an answer's line to the offer's.
    pub tag: u32,
    /// Suite, as `AES_CM_128_HMAC_SHA1_80`.
    pub suite: String,
    /// Key parameters, as `inline:…`.
    pub key_params: String,
    /// Session parameters, if any, as they stand.
    pub session_params: Option<String>,
}

impl CryptoAttr {
    /// Reads an attribute's value. `None` if a part is missing.
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.splitn(4, ' ').filter(|p| !p.is_empty());
        let (tag, suite, key) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        let session_params = parts.next().map(|p| p.trim().to_owned()).filter(|p| !p.is_empty());
        key.starts_with("inline:").then(|| Self { tag, suite: suite.into(), key_params: key.into(), session_params })
    }

    /// The attribute's value, key and all.
    pub fn value(&self) -> String {
        let more = self.session_params.as_ref().map(|p| format!(" {p}")).unwrap_or_default();
        format!("{} {} {}{more}", self.tag, self.suite, self.key_params)
    }
}

impl std::fmt::Debug for CryptoAttr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CryptoAttr").field("tag", &self.tag).field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// RTP profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `RTP/AVP`.
    Avp,
    /// `RTP/AVPF`.
    Avpf,
    /// `RTP/SAVP`, keys by `a=crypto`.
    Savp,
    /// `RTP/SAVPF`, keys by `a=crypto`.
    Savpf,
    /// `UDP/TLS/RTP/SAVP`, keys by DTLS.
    DtlsSavp,
    /// `UDP/TLS/RTP/SAVPF`, keys by DTLS.
    DtlsSavpf,
}

impl Protocol {
    /// As an `m=` line names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avp => "RTP/AVP",
            Self::Avpf => "RTP/AVPF",
            Self::Savp => "RTP/SAVP",
            Self::Savpf => "RTP/SAVPF",
            Self::DtlsSavp => "UDP/TLS/RTP/SAVP",
            Self::DtlsSavpf => "UDP/TLS/RTP/SAVPF",
        }
    }

    /// Reads the name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Avp, Self::Avpf, Self::Savp, Self::Savpf, Self::DtlsSavp, Self::DtlsSavpf]
            .into_iter()
            .find(|p| p.name().eq_ignore_ascii_case(name))
    }

    /// Whether its keys stand in `a=crypto` lines.
    pub fn needs_crypto(self) -> bool {
        matches!(self, Self::Savp | Self::Savpf)
    }

    /// Whether `a=crypto` lines mean something in it: beside a plain profile encryption is offered, not demanded (RFC 8643).
    pub fn may_have_crypto(self) -> bool {
        !matches!(self, Self::DtlsSavp | Self::DtlsSavpf)
    }
}

/// An attribute as it stands: `a=name` or `a=name:value`.
pub type Attr = (String, Option<String>);

/// One `m=` line and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// `audio`, `video`, `application`…
    pub kind: String,
    /// RTP port; 0 means refused.
    pub port: u16,
    /// Profile, as it stands.
    pub protocol: String,
    /// Payload types, as they stand.
    pub formats: Vec<String>,
    /// Its address, its own or the session's; `None` if that is a name or missing.
    pub addr: Option<IpAddr>,
    /// Codecs in the author's order of preference, telephone-event not among them.
    pub codecs: Vec<CodecDesc>,
    /// telephone-event, one for each clock.
    pub events: Vec<CodecDesc>,
    /// Keys, in the author's order of preference.
    pub crypto: Vec<CryptoAttr>,
    /// Packet length the author wishes for, milliseconds.
    pub ptime_ms: Option<u32>,
    /// Longest packet the author takes, milliseconds.
    pub maxptime_ms: Option<u32>,
    /// RTP and RTCP share the port (RFC 5761).
    pub rtcp_mux: bool,
    /// RTCP's port where `a=rtcp` names one (RFC 3605).
    pub rtcp_port: Option<u16>,
    /// Which way media flows, as the author sees it; an address of 0.0.0.0 counts as hold.
    pub direction: Direction,
    /// All other attributes, in order: ICE, DTLS, mid, ssrc and what there will be.
    pub raw: Vec<Attr>,
}

/// A session description, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Streams in order; an answer's correspond to the offer's by position.
    pub streams: Vec<Stream>,
    /// Attributes of the session, direction not among them.
    pub raw: Vec<Attr>,
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// [`SdpError::Malformed`] where it is none, or larger than anything honest.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        let read = super::parse(text)?;
        let streams = read.media.iter().map(|m| stream(&read, m)).collect();
        let raw = read.attributes.iter().filter(|a| direction_of(&a.name).is_none());
        Ok(Self { streams, raw: raw.map(|a| (a.name.clone(), a.value.clone())).collect() })
    }
}

impl Stream {
    /// Writes the `m=` line and its attributes.
    pub(super) fn write(&self, out: &mut String) {
        let _ = write!(out, "m={} {} {}", self.kind, self.port, self.protocol);
        if self.codecs.is_empty() && self.events.is_empty() {
            let _ = write!(out, " {}", self.formats.first().map_or("0", String::as_str));
        }
        for codec in self.codecs.iter().chain(&self.events) {
            let _ = write!(out, " {}", codec.pt);
        }
        out.push_str("\r\n");
        if self.port == 0 {
            return;
        }
        for codec in self.codecs.iter().chain(&self.events) {
            codec.write(out);
        }
        if let Some(ms) = self.ptime_ms {
            let _ = write!(out, "a=ptime:{ms}\r\n");
        }
        if let Some(ms) = self.maxptime_ms {
            let _ = write!(out, "a=maxptime:{ms}\r\n");
        }
        for crypto in &self.crypto {
            let _ = write!(out, "a=crypto:{}\r\n", crypto.value());
        }
        if let Some(port) = self.rtcp_port {
            let _ = write!(out, "a=rtcp:{port}\r\n");
        }
        if self.rtcp_mux {
            out.push_str("a=rtcp-mux\r\n");
        }
        for (name, value) in &self.raw {
            let clean = |text: &str| text.replace(['\r', '\n', '\0'], " ");
            let _ = match value {
                Some(value) => write!(out, "a={}:{}\r\n", clean(name), clean(value)),
                None => write!(out, "a={}\r\n", clean(name)),
            };
        }
        let _ = write!(out, "a={}\r\n", self.direction.attribute());
    }
}

fn direction_of(name: &str) -> Option<Direction> {
    [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
        .into_iter()
        .find(|d| d.attribute() == name)
}

fn stream(session: &SessionDescription, media: &MediaDescription) -> Stream {
    let addr = media.connection.as_ref().or(session.connection.as_ref()).and_then(|c| c.address.ip());
    let inherited = session.attributes.iter().find_map(|a| direction_of(&a.name));
    let mut out = Stream {
        kind: media.media.clone(),
        port: media.port,
        protocol: media.protocol.clone(),
        formats: media.formats.clone(),
        addr,
        codecs: Vec::new(),
        events: Vec::new(),
        crypto: Vec::new(),
        ptime_ms: None,
        maxptime_ms: None,
        rtcp_mux: false,
        rtcp_port: None,
        direction: inherited.unwrap_or(Direction::SendRecv),
        raw: Vec::new(),
    };
    let (mut maps, mut parameters) = (Vec::new(), Vec::new());
    for attribute in &media.attributes {
        let value = attribute.value.as_deref();
        let number = || value.and_then(|v| v.split_whitespace().next()?.split('.').next()?.parse::<u32>().ok());
        match (attribute.name.as_str(), value) {
            ("rtpmap", Some(value)) => maps.extend(value.split_once(' ')),
            ("fmtp", Some(value)) => parameters.extend(value.split_once(' ')),
            ("crypto", Some(value)) => out.crypto.extend(CryptoAttr::parse(value)),
            ("ptime", Some(_)) => out.ptime_ms = number().filter(|ms| (5..=400).contains(ms)),
            ("maxptime", Some(_)) => out.maxptime_ms = number().filter(|ms| (5..=400).contains(ms)),
            ("rtcp", Some(_)) => out.rtcp_port = number().and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0),
            ("rtcp-mux", _) => out.rtcp_mux = true,
            (name, None) if direction_of(name).is_some() => {
                out.direction = direction_of(name).unwrap_or(out.direction);
            }
            (name, value) => out.raw.push((name.to_owned(), value.map(str::to_owned))),
        }
    }
    if addr == Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) {
        // Hold in the manner of RFC 2543: they hear nothing; RFC 3264 §8.4 forbids to send there.
        out.direction = if out.direction.sends() { Direction::SendOnly } else { Direction::Inactive };
    }
    for format in &media.formats {
        let codec = codec(format, &maps).map(|codec| {
            let fmtp = parameters.iter().find(|(pt, _)| pt == format).map(|(_, p)| p.trim().to_owned());
            CodecDesc { fmtp, ..codec }
        });
        match codec {
            Some(codec) if codec.is_events() => out.events.push(codec),
            Some(codec) => out.codecs.push(codec),
            None => {}
        }
    }
    out
}

fn codec(format: &str, maps: &[(&str, &str)]) -> Option<CodecDesc> {
    let pt: u8 = format.parse().ok().filter(|pt| *pt < 128)?;
    let Some((_, map)) = maps.iter().find(|(of, _)| *of == format) else { return CodecDesc::of_static(pt) };
    let map = Rtpmap::parse(map.trim()).ok()?;
    let channels = u8::try_from(map.channels()).ok()?;
    Some(CodecDesc { name: map.encoding().to_owned(), clock: map.clock_rate(), channels, pt, fmtp: None })
}
