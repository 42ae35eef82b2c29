//! What arrives from the peer: checked, counted, buffered if somebody listens, handed on if somebody relays it.

use std::net::SocketAddr;

use super::{BURST, COMFORT_NOISE, Leg, Moment, PACE, Port};
use crate::quality::Verdict;
use crate::shard::Sinks;
use crate::srtp::Refused;
use crate::wire::{Event, MAX_PAYLOAD, Rtp};
use crate::{Codec, MediaEvent, MediaFault};

/// A packet for the legs that hear this one.
#[derive(Clone, Copy)]
pub struct Live<'a> {
    /// As it came, decrypted.
    pub packet: Rtp<'a>,
    /// What it is.
    pub kind: Kind,
    /// The digit that begins with it.
    pub digit: Option<char>,
}

/// What a payload type means on a leg.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Audio.
    Audio(Codec),
    /// A digit (RFC 4733).
    Event,
    /// Comfort noise (RFC 3389).
    Noise,
}

impl<P: Port> Leg<P> {
    /// A datagram on the RTP port, decrypted in place. What those who hear this leg are to be told comes back.
    pub fn receive<'a>(
        &mut self,
        at: Moment,
        from: SocketAddr,
        datagram: &'a mut [u8],
        sinks: &mut Sinks<P>,
    ) -> Option<Live<'a>> {
        let mux = self.link.as_ref().is_some_and(|link| link.agreement.rtcp_mux);
        if mux && datagram.get(1).is_some_and(|kind| (192..=223).contains(kind)) {
            self.receive_rtcp(at, from, datagram, sinks);
            return None;
        }
        let packet = self.opened(at, from, datagram, sinks)?;
        let Some(kind) = self.kind_of(&packet) else {
            if self.latch.as_ref().is_some_and(|latch| latch.target() == from) {
                self.fault(at, MediaFault::UnknownPayloadType(packet.payload_type), sinks);
            }
            self.stray(sinks);
            return None;
        };
        if !self.latch.as_mut().is_some_and(|latch| latch.accept(at.now, from, packet.ssrc, packet.sequence)) {
            self.stray(sinks);
            return None;
        }
        if !self.within_pace(at, sinks) {
            return None;
        }
        let verdict = self.reception.packet(packet.ssrc, packet.sequence);
        (self.heard_at, self.silence_reported) = (Some(at.now), false);
        if !std::mem::replace(&mut self.first_reported, true) {
            sinks.event(MediaEvent::FirstPacket { leg: self.id, at: at.now });
        }
        if verdict == Verdict::NewStream {
            self.ear.reset();
            self.digits_in.reset();
        }
        let receive = self.link.as_ref().is_some_and(|link| link.agreement.receive);
        if !receive || matches!(verdict, Verdict::Duplicate | Verdict::Old) {
            return None;
        }
        let digit = self.take(at, &packet, kind, sinks);
        self.hearers[0].is_some().then_some(Live { packet, kind, digit })
    }

    /// The packet, decrypted where that was agreed.
    fn opened<'a>(
        &mut self,
        at: Moment,
        from: SocketAddr,
        datagram: &'a mut [u8],
        sinks: &mut Sinks<P>,
    ) -> Option<Rtp<'a>> {
        let mut length = datagram.len();
        if Rtp::parse_header(datagram).is_none() {
            self.strays += 1;
            sinks.counters.malformed.add(1);
            return None;
        }
        if let Some(secure) = self.link.as_mut().and_then(|link| link.secure.as_mut()) {
            match secure.open_rtp(datagram) {
                Ok(opened) => length = opened,
                Err(why) => {
                    self.refuse(at, from, why, sinks);
                    return None;
                }
            }
        }
        let packet = Rtp::parse(datagram.get(..length)?);
        if packet.is_none() {
            self.strays += 1;
            sinks.counters.malformed.add(1);
        }
        packet
    }

    /// Counts what was not encrypted as agreed. The peer itself is reported once: others are strays anyway.
    pub(super) fn refuse(&mut self, at: Moment, from: SocketAddr, why: Refused, sinks: &mut Sinks<P>) {
        self.refused += 1;
        sinks.counters.refused.add(1);
        let peer = self.latch.as_ref().is_some_and(|latch| latch.target().ip() == from.ip());
        if peer && why == Refused::NotAuthentic {
            self.fault(at, MediaFault::NotAuthentic, sinks);
        }
    }

    pub(super) fn stray(&mut self, sinks: &mut Sinks<P>) {
        self.strays += 1;
        sinks.counters.strays.add(1);
    }

    /// False for what is beyond any pace of audio: it costs its reception, and nothing else.
    fn within_pace(&mut self, at: Moment, sinks: &mut Sinks<P>) -> bool {
        if let Some(rest) = self.allowance.checked_sub(1) {
            self.allowance = rest;
            return true;
        }
        self.flooded += 1;
        sinks.counters.flooded.add(1);
        self.fault(at, MediaFault::Flood, sinks);
        false
    }

    /// A tick passed: more may come.
    pub(super) fn allow(&mut self) {
        self.allowance = (self.allowance + PACE).min(BURST);
    }

    fn take(&mut self, at: Moment, packet: &Rtp<'_>, kind: Kind, sinks: &mut Sinks<P>) -> Option<char> {
        match kind {
            Kind::Audio(codec) => {
                let arrival = (at.micros * u64::from(codec.clock_rate() / 1_000) / 1_000) as u32;
                self.reception.times(codec.clock_rate(), arrival, packet.timestamp);
                if self.ear.codec.replace(codec) != Some(codec) {
                    self.changed = true;
                }
                if self.ear.wanted {
                    self.ear.jitter.insert(packet, codec);
                }
            }
            Kind::Event => {
                if let Some(event) = Event::parse(packet.payload)
                    && let Some(digit) = self.digits_in.hear(packet.timestamp, packet.marker, event)
                {
                    sinks.event(MediaEvent::Digit { leg: self.id, digit, at: at.now });
                    return Some(digit);
                }
            }
            Kind::Noise => {
                if let Some(level) = packet.payload.first() {
                    self.ear.jitter.comfort(*level);
                }
            }
        }
        None
    }

    /// What a payload type means here. Peers that were offered both laws may switch between them (RFC 3264 §8.3.2).
    fn kind_of(&self, packet: &Rtp<'_>) -> Option<Kind> {
        let agreement = &self.link.as_ref()?.agreement;
        if packet.payload.len() > MAX_PAYLOAD {
            return None;
        }
        match packet.payload_type {
            pt if agreement.dtmf_payload_type == Some(pt) => Some(Kind::Event),
            COMFORT_NOISE => Some(Kind::Noise),
            pt => agreement.codecs.of(pt).or_else(|| Codec::of_static_payload_type(pt)).map(Kind::Audio),
        }
    }
}
