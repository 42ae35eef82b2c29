//! SRTP and SRTCP (RFC 3711, RFC 7714) with keys exchanged in SDP (RFC 4568): the three suites that telephones speak.
//! Works in place on borrowed bytes; key schedules are made with a context, packets allocate nothing.

mod keys;
mod suite;

pub use keys::{CryptoAttribute, CryptoKey, CryptoPair, CryptoParseError, CryptoSuite, SrtpPolicy};

use suite::{Cipher, RTCP_LABELS, RTP_LABELS};

/// Most bytes protection adds to a packet.
pub const OVERHEAD: usize = 20;

/// Why a packet was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too short, or its header lies.
    Malformed,
    /// Seen already, or older than the window.
    Replayed,
    /// The tag is not that of the key.
    NotAuthentic,
}

/// Sources whose place in the sequence is remembered.
const SOURCES: usize = 4;
/// Room for a packet's bytes beyond its length.
const INDEX: usize = 4;

/// Both directions of a leg, RTP and RTCP.
pub struct Secure {
    keys: CryptoPair,
    send: Sender,
    receive: Receiver,
}

impl Secure {
    /// Contexts of a pair of keys. Derives the session keys; what follows does not allocate.
    pub fn new(keys: CryptoPair) -> Self {
        Self { send: Sender::new(&keys.send), receive: Receiver::new(&keys.receive), keys }
    }

    /// Goes on where the other stands, direction by direction, if its key is the same: a sequence number must never be
    /// used twice with a key.
    pub fn go_on_from(&mut self, old: &mut Self) {
        if self.keys.send == old.keys.send {
            std::mem::swap(&mut self.send, &mut old.send);
        }
        if self.keys.receive == old.keys.receive {
            std::mem::swap(&mut self.receive, &mut old.receive);
        }
    }

    /// Protects the RTP packet in the first `length` bytes; the new length, `None` where there is no room for the tag.
    pub fn protect_rtp(&mut self, packet: &mut [u8], length: usize) -> Option<usize> {
        self.send.rtp(packet, length)
    }

    /// The same of an RTCP packet.
    pub fn protect_rtcp(&mut self, packet: &mut [u8], length: usize) -> Option<usize> {
        self.send.rtcp(packet, length)
    }

    /// Checks and decrypts an RTP packet in place; its length without the tag.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        self.receive.rtp(packet)
    }

    /// The same of an RTCP packet.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        self.receive.rtcp(packet)
    }
}

struct Sender {
    rtp: Cipher,
    rtcp: Cipher,
    index: RolloverCounter,
    rtcp_index: u32,
}

impl Sender {
    fn new(key: &CryptoKey) -> Self {
        let (rtp, rtcp) = (Cipher::new(key, RTP_LABELS), Cipher::new(key, RTCP_LABELS));
        Self { rtp, rtcp, index: RolloverCounter::default(), rtcp_index: 0 }
    }

    fn rtp(&mut self, packet: &mut [u8], length: usize) -> Option<usize> {
        let header = header_length(packet.get(..length)?)?;
        let (sequence, ssrc) = (sequence_of(packet)?, word(packet, 8)?);
        let index = self.index.estimate(sequence);
        self.index.advance(index);
        self.rtp.seal_rtp(packet, header, length, ssrc, index)
    }

    fn rtcp(&mut self, packet: &mut [u8], length: usize) -> Option<usize> {
        let ssrc = word(packet.get(..length)?, 4)?;
        // 2^31 packets under one key (RFC 3711 §9.2) are more than a call of ours lasts: at its end we fall silent.
        self.rtcp_index = self.rtcp_index.checked_add(1).filter(|index| *index < 1 << 31)?;
        self.rtcp.seal_rtcp(packet, length, ssrc, self.rtcp_index)
    }
}

struct Receiver {
    rtp: Cipher,
    rtcp: Cipher,
    sources: [Option<Source>; SOURCES],
    oldest: usize,
    rtcp_window: Window,
}

struct Source {
    ssrc: u32,
    index: RolloverCounter,
    window: Window,
}

impl Receiver {
    fn new(key: &CryptoKey) -> Self {
        let (rtp, rtcp) = (Cipher::new(key, RTP_LABELS), Cipher::new(key, RTCP_LABELS));
        Self { rtp, rtcp, sources: [const { None }; SOURCES], oldest: 0, rtcp_window: Window::default() }
    }

    fn rtp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let header = header_length(packet).ok_or(Refused::Malformed)?;
        let sequence = sequence_of(packet).ok_or(Refused::Malformed)?;
        let ssrc = word(packet, 8).ok_or(Refused::Malformed)?;
        let known = self.sources.iter_mut().flatten().find(|source| source.ssrc == ssrc);
        let index = known.as_ref().map_or(u64::from(sequence), |source| source.index.estimate(sequence));
        if known.as_ref().is_some_and(|source| !source.window.fresh(index)) {
            return Err(Refused::Replayed);
        }
        let length = self.rtp.open_rtp(packet, header, ssrc, index)?;
        match known {
            Some(source) => {
                source.index.advance(index);
                source.window.mark(index);
            }
            None => self.meet(ssrc, index),
        }
        Ok(length)
    }

    fn meet(&mut self, ssrc: u32, index: u64) {
        let mut source = Source { ssrc, index: RolloverCounter::default(), window: Window::default() };
        source.index.advance(index);
        source.window.mark(index);
        let place = self.sources.iter().position(Option::is_none).unwrap_or(self.oldest);
        self.oldest = (place + 1) % SOURCES;
        if let Some(slot) = self.sources.get_mut(place) {
            *slot = Some(source);
        }
    }

    fn rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let ssrc = word(packet, 4).ok_or(Refused::Malformed)?;
        let index = self.rtcp.rtcp_index(packet).ok_or(Refused::Malformed)?;
        if !self.rtcp_window.fresh(u64::from(index & 0x7FFF_FFFF)) {
            return Err(Refused::Replayed);
        }
        let length = self.rtcp.open_rtcp(packet, ssrc, index)?;
        self.rtcp_window.mark(u64::from(index & 0x7FFF_FFFF));
        Ok(length)
    }
}

/// The upper 32 bits of a packet's index, which are not sent (RFC 3711 §3.3.1).
#[derive(Clone, Copy, Default)]
struct RolloverCounter {
    /// The highest index so far, once there is one.
    highest: Option<u64>,
}

impl RolloverCounter {
    /// The index nearest to the highest one that has this sequence number.
    fn estimate(&self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else { return u64::from(sequence) };
        let step = i64::from(sequence.wrapping_sub(highest as u16) as i16);
        let index = highest.wrapping_add_signed(step);
        // Nothing lies before the first packet of all; 48 bits are not exceeded in any call.
        if step < 0 && highest < step.unsigned_abs() { u64::from(sequence) } else { index }
    }

    fn advance(&mut self, index: u64) {
        self.highest = Some(self.highest.map_or(index, |highest| highest.max(index)));
    }
}

/// Which of the newest 128 indices were seen.
#[derive(Clone, Copy, Default)]
struct Window {
    highest: u64,
    seen: u128,
}

impl Window {
    fn fresh(&self, index: u64) -> bool {
        if self.seen == 0 || index > self.highest {
            return true;
        }
        let behind = self.highest - index;
        behind < 128 && self.seen & (1 << behind) == 0
    }

    fn mark(&mut self, index: u64) {
        if self.seen == 0 || index > self.highest {
            let ahead = if self.seen == 0 { 0 } else { index - self.highest };
            self.seen = if ahead < 128 { self.seen << ahead } else { 0 } | 1;
            self.highest = index;
        } else if self.highest - index < 128 {
            self.seen |= 1 << (self.highest - index);
        }
    }
}

/// Bytes of an RTP header with its sources and extension; `None` where it lies about them or is no RTP.
fn header_length(packet: &[u8]) -> Option<usize> {
    let flags = *packet.first()?;
    let mut length = 12 + usize::from(flags & 0x0F) * 4;
    if flags & 0x10 != 0 {
        let words = packet.get(length + 2..length + 4)?;
        length += 4 + usize::from(u16::from_be_bytes([words[0], words[1]])) * 4;
    }
    (flags >> 6 == 2 && packet.len() >= length).then_some(length)
}

fn sequence_of(packet: &[u8]) -> Option<u16> {
    packet.get(2..4)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn word(packet: &[u8], at: usize) -> Option<u32> {
    packet.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
