//! Offer and answer (RFC 3264) for one audio stream of any codecs, plain or encrypted by keys in the description (RFC 4568).
//! Pure: what we can do goes in, text and what was agreed come out.
//!
//! One codec is agreed, with telephone-event of its clock beside it, so that nobody changes codec without a new offer. Other
//! streams are refused in their place. ICE and DTLS are not understood here: their attributes go through as they stand, to and
//! from whoever does.

use std::net::SocketAddr;

use super::stream::{Attr, CodecDesc, CryptoAttr, Description, Protocol, Stream};
use super::{Direction, SdpError, SessionId, head};

/// Where dynamic payload types begin (RFC 3551 §6), and the first we try for telephone-event.
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;
const EVENTS: u8 = 101;

/// What one end of a stream can do and wants.
#[derive(Debug, Clone)]
pub struct Local {
    /// Where our RTP comes in. RTCP is one port above, unless they share it.
    pub addr: SocketAddr,
    /// Codecs in our order of preference, with the payload types of our offers. No telephone-event.
    pub codecs: Vec<CodecDesc>,
    /// Digits by RFC 4733, with the codec's clock.
    pub events: bool,
    /// Profiles taken, the best first; offers use the first.
    pub protocols: Vec<Protocol>,
    /// Our keys, one a suite, the best first; none: nothing is encrypted. Beside a plain profile they are an offer that may be
    /// passed over (RFC 8643). Fresh ones for every leg.
    pub crypto: Vec<CryptoAttr>,
    /// Nothing goes in the clear: without keys of both sides there is no audio.
    pub encrypted: bool,
    /// RTP and RTCP may share the port.
    pub rtcp_mux: bool,
    /// The length of our packets, milliseconds.
    pub ptime_ms: u32,
    /// What we want: `SendOnly` to hold.
    pub direction: Direction,
    /// More attributes of the stream, as ICE candidates and the DTLS fingerprint.
    pub raw: Vec<Attr>,
}

impl Local {
    /// G.711, both laws, in the clear.
    pub fn g711(addr: SocketAddr) -> Self {
        Self::plain(addr, vec![CodecDesc::new("PCMU", 8_000, 0), CodecDesc::new("PCMA", 8_000, 8)])
    }

    /// Plain RTP both ways with digits.
    pub fn plain(addr: SocketAddr, codecs: Vec<CodecDesc>) -> Self {
        Self {
            addr,
            codecs,
            events: true,
            protocols: vec![Protocol::Avp, Protocol::Avpf],
            crypto: Vec::new(),
            encrypted: false,
            rtcp_mux: false,
            ptime_ms: 20,
            direction: Direction::SendRecv,
            raw: Vec::new(),
        }
    }
}

/// What both ends have agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Which stream of the description it is.
    pub stream: usize,
    /// The profile.
    pub protocol: Protocol,
    /// Where our RTP goes.
    pub addr: SocketAddr,
    /// Where our RTCP goes.
    pub rtcp: SocketAddr,
    /// RTP and RTCP share the port.
    pub rtcp_mux: bool,
    /// The codec, with the payload type and parameters of the far side: how we send.
    pub codec: CodecDesc,
    /// The payload type the far side sends the codec with.
    pub receive_pt: u8,
    /// What else it may send at any packet, with the payload types it sends it with: an answer to our offer may name several.
    pub also: Vec<CodecDesc>,
    /// telephone-event of the far side, of the codec's clock where there is one.
    pub events: Option<CodecDesc>,
    /// Keys: ours for what we send, theirs for what we receive.
    pub crypto: Option<Keys>,
    /// Which way media flows, as the far side sees it, our own wish considered.
    pub direction: Direction,
    /// Packet length the far side wishes for, milliseconds; 20 where it does not say.
    pub ptime_ms: u32,
    /// The far side's other attributes of the stream, then those of its session.
    pub raw: Vec<Attr>,
}

/// The two keys of an encrypted stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// We encrypt with it.
    pub ours: CryptoAttr,
    /// They do.
    pub theirs: CryptoAttr,
}

/// An offer of one audio stream.
pub fn offer(local: &Local, session: SessionId) -> String {
    let protocol = local.protocols.first().copied().unwrap_or(Protocol::Avp);
    let mut events: Vec<CodecDesc> = Vec::new();
    for codec in local.codecs.iter().filter(|_| local.events) {
        if events.iter().any(|e| e.clock == codec.clock) {
            continue;
        }
        let taken = |pt: u8| local.codecs.iter().chain(&events).any(|c| c.pt == pt);
        let free = (EVENTS..=*DYNAMIC.end()).chain(DYNAMIC).find(|pt| !taken(*pt));
        events.extend(free.map(|pt| CodecDesc::new("telephone-event", codec.clock, pt).fmtp("0-15")));
    }
    let stream = Stream {
        codecs: local.codecs.clone(),
        events,
        crypto: if protocol.may_have_crypto() { local.crypto.clone() } else { Vec::new() },
        rtcp_mux: local.rtcp_mux,
        direction: local.direction,
        ..ours(local, protocol)
    };
    let mut text = head(local.addr.ip(), session);
    stream.write(&mut text);
    text
}

/// Answers an offer with the best of what both can do.
///
/// # Errors
/// What keeps the two from audio; such an offer gets 488.
pub fn answer(offer: &Description, local: &Local, session: SessionId) -> Result<(String, Agreed), SdpError> {
    let mut fault = no_profile(offer);
    let mut candidates: Vec<(usize, Protocol)> = offer
        .streams
        .iter()
        .enumerate()
        .filter(|(_, s)| s.kind == "audio" && s.port != 0)
        .filter_map(|(i, s)| Some((i, Protocol::parse(&s.protocol).filter(|p| local.protocols.contains(p))?)))
        .collect();
    candidates.sort_by_key(|(_, p)| local.protocols.iter().position(|l| l == p));
    for (i, protocol) in candidates {
        match agree(offer, i, protocol, local) {
            Ok(agreed) => return Ok((answer_text(offer, &agreed, local, session), agreed)),
            Err(error) => fault = error,
        }
    }
    Err(fault)
}

/// Reads the answer to an offer that [`offer`] made of `local`.
///
/// # Errors
/// What keeps the two from audio. An answer outside of what was offered is [`SdpError::NoCodec`] or [`SdpError::NoCrypto`].
pub fn read_answer(answer: &str, local: &Local) -> Result<Agreed, SdpError> {
    let answer = Description::parse(answer)?;
    let stream = answer.streams.first().filter(|s| s.kind == "audio" && s.port != 0).ok_or(SdpError::NoAudio)?;
    let protocol = Protocol::parse(&stream.protocol);
    let protocol = protocol.filter(|p| local.protocols.first() == Some(p)).ok_or_else(|| no_profile(&answer))?;
    let offered = |theirs: &&CodecDesc| local.codecs.iter().any(|l| l.same_format(theirs));
    let mut common = stream.codecs.iter().filter(offered).cloned();
    let codec = common.next().ok_or_else(|| no_codec(stream))?;
    let sent_as = |codec: &CodecDesc| local.codecs.iter().find(|l| l.same_format(codec)).map_or(codec.pt, |l| l.pt);
    let also = common.map(|codec| CodecDesc { pt: sent_as(&codec), ..codec }).collect();
    let crypto = keys(stream, protocol, local, |ours, theirs| {
        (ours.tag == theirs.tag && ours.suite == theirs.suite).then(|| ours.clone())
    })?;
    let receive_pt = sent_as(&codec);
    Ok(Agreed { also, ..finish(&answer, 0, protocol, local, codec, receive_pt, crypto)? })
}

/// The first of their lines that one of ours fits; an error where the stream must not go without.
fn keys(
    stream: &Stream,
    protocol: Protocol,
    local: &Local,
    fits: impl Fn(&CryptoAttr, &CryptoAttr) -> Option<CryptoAttr>,
) -> Result<Option<Keys>, SdpError> {
    let pair = stream.crypto.iter().filter(|_| protocol.may_have_crypto()).find_map(|theirs| {
        let ours = local.crypto.iter().find_map(|ours| fits(ours, theirs))?;
        Some(Keys { ours, theirs: theirs.clone() })
    });
    let without = !protocol.needs_crypto() && !local.encrypted;
    if pair.is_none() && !without { Err(SdpError::NoCrypto) } else { Ok(pair) }
}

/// There is audio, but in no profile that is taken here; or there is none.
fn no_profile(description: &Description) -> SdpError {
    let audio = description.streams.iter().filter(|s| s.kind == "audio" && s.port != 0);
    let theirs: Vec<&str> = audio.map(|s| s.protocol.as_str()).collect();
    if theirs.is_empty() { SdpError::NoAudio } else { SdpError::NoProfile { theirs: theirs.join(", ") } }
}

fn agree(offer: &Description, i: usize, protocol: Protocol, local: &Local) -> Result<Agreed, SdpError> {
    let stream = offer.streams.get(i).ok_or(SdpError::NoAudio)?;
    let common = local.codecs.iter().find_map(|l| stream.codecs.iter().find(|c| l.same_format(c)));
    let codec = common.ok_or_else(|| no_codec(stream))?.clone();
    // RFC 4568 §5.1.2: the offerer's order decides, the answer keeps its tag.
    let crypto = keys(stream, protocol, local, |ours, theirs| {
        (ours.suite == theirs.suite).then(|| CryptoAttr { tag: theirs.tag, ..ours.clone() })
    })?;
    let receive_pt = codec.pt;
    finish(offer, i, protocol, local, codec, receive_pt, crypto)
}

fn finish(
    description: &Description,
    i: usize,
    protocol: Protocol,
    local: &Local,
    codec: CodecDesc,
    receive_pt: u8,
    crypto: Option<Keys>,
) -> Result<Agreed, SdpError> {
    let stream = description.streams.get(i).ok_or(SdpError::NoAudio)?;
    let ip = stream.addr.ok_or(SdpError::NoAddress)?;
    let addr = SocketAddr::new(ip, stream.port);
    let rtcp_mux = stream.rtcp_mux && local.rtcp_mux;
    let rtcp_port = if rtcp_mux { stream.port } else { stream.rtcp_port.unwrap_or(stream.port.saturating_add(1)) };
    let own_clock = stream.events.iter().find(|e| e.clock == codec.clock);
    let events =
        own_clock.or_else(|| stream.events.iter().find(|e| e.clock == 8_000)).filter(|_| local.events).cloned();
    let sends = stream.direction.sends() && local.direction.receives();
    let receives = stream.direction.receives() && local.direction.sends();
    let raw = stream.raw.iter().chain(&description.raw).cloned().collect();
    Ok(Agreed {
        stream: i,
        protocol,
        addr,
        rtcp: SocketAddr::new(ip, rtcp_port),
        rtcp_mux,
        codec,
        receive_pt,
        also: Vec::new(),
        events,
        crypto,
        direction: Direction::of(sends, receives),
        ptime_ms: stream.ptime_ms.unwrap_or(20).min(stream.maxptime_ms.unwrap_or(400)),
        raw,
    })
}

fn answer_text(offer: &Description, agreed: &Agreed, local: &Local, session: SessionId) -> String {
    let mut text = head(local.addr.ip(), session);
    for (i, theirs) in offer.streams.iter().enumerate() {
        if i != agreed.stream {
            Stream { port: 0, codecs: Vec::new(), events: Vec::new(), ..theirs.clone() }.write(&mut text);
            continue;
        }
        let preferred = local.codecs.iter().find(|l| l.same_format(&agreed.codec));
        let codec = CodecDesc { fmtp: preferred.and_then(|l| l.fmtp.clone()), ..agreed.codec.clone() };
        let mid = theirs.raw.iter().filter(|(name, _)| name == "mid" && !local.raw.iter().any(|(n, _)| n == "mid"));
        let stream = Stream {
            codecs: vec![codec],
            events: agreed.events.clone().map(|e| e.fmtp("0-15")).into_iter().collect(),
            crypto: agreed.crypto.iter().map(|k| k.ours.clone()).collect(),
            rtcp_mux: agreed.rtcp_mux,
            direction: agreed.direction.mirrored(),
            raw: mid.chain(&local.raw).cloned().collect(),
            ..ours(local, agreed.protocol)
        };
        stream.write(&mut text);
    }
    text
}

/// A stream of ours, without what is agreed upon.
fn ours(local: &Local, protocol: Protocol) -> Stream {
    Stream {
        kind: "audio".into(),
        port: local.addr.port(),
        protocol: protocol.name().into(),
        formats: Vec::new(),
        addr: Some(local.addr.ip()),
        codecs: Vec::new(),
        events: Vec::new(),
        crypto: Vec::new(),
        ptime_ms: Some(local.ptime_ms),
        maxptime_ms: None,
        rtcp_mux: false,
        rtcp_port: None,
        direction: local.direction,
        raw: local.raw.clone(),
    }
}

fn no_codec(stream: &Stream) -> SdpError {
    let name = |c: &CodecDesc| format!("{}/{}", c.name, c.clock);
    let theirs = stream.codecs.iter().map(name).collect::<Vec<_>>().join(", ");
    SdpError::NoCodec { theirs: if theirs.is_empty() { stream.formats.join(", ") } else { theirs } }
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
