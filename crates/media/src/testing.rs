//! Ways in for fuzzers, and nothing else: each takes any bytes whatever and panics if something that must always hold does
//! not. Not part of the interface; may change any day.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtrb::RingBuffer;

use crate::leg::{Leg, Port};
use crate::shard::{Counters, Shard, Sinks, leg_on};
use crate::srtp::Secure;
use crate::wire::{Event, MAX_PACKET, MAX_PAYLOAD, Rtp};
use crate::{
    Agreement, Codec, CodecList, CryptoAttribute, CryptoKey, CryptoPair, CryptoSuite, MediaCommand, Sources, rtcp,
};

/// An RTP packet: what is read is within the datagram, and read again alike after it was written.
pub fn rtp(data: &[u8]) {
    let Some(packet) = Rtp::parse(data) else { return };
    assert!(Rtp::parse_header(data).is_some() && packet.payload.len() + 12 <= data.len());
    let mut out = [0; MAX_PACKET];
    let length = packet.write(&mut out);
    if packet.payload.len() <= MAX_PAYLOAD {
        assert_eq!(Rtp::parse(out.get(..length).unwrap_or_default()), Some(packet));
    }
    if let Some(event) = Event::parse(packet.payload) {
        assert_eq!(Event::parse(&event.bytes()), Some(event));
    }
    for codec in Codec::ALL {
        let _ = codec.units(packet.payload);
    }
}

/// A compound RTCP packet.
pub fn rtcp(data: &[u8]) {
    let ours = data.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    if let Some(heard) = rtcp::read(data, ours) {
        assert!(heard.mos.is_none_or(|mos| (1.0..=5.0).contains(&mos)));
    }
}

/// Bytes where SRTP and SRTCP are expected, in each suite: never taken for genuine, before and after genuine packets; and a
/// genuine one with something changed in it is not, either. An `a=crypto` line, too.
pub fn srtp(data: &[u8]) {
    for suite in CryptoSuite::ALL {
        let key = |byte| CryptoKey::from_bytes(suite, &[byte; 30]).or(CryptoKey::from_bytes(suite, &[byte; 28]));
        let (Some(one), Some(two)) = (key(1), key(2)) else { continue };
        let mut ours = Secure::new(CryptoPair { send: one, receive: two });
        let mut theirs = Secure::new(CryptoPair { send: two, receive: one });
        for round in 0..2u16 {
            let mut bytes = data.to_vec();
            assert!(ours.open_rtp(&mut bytes).is_err(), "{suite:?}: forged RTP");
            let mut bytes = data.to_vec();
            assert!(ours.open_rtcp(&mut bytes).is_err(), "{suite:?}: forged RTCP");

            let payload = data.get(..data.len().min(MAX_PAYLOAD)).unwrap_or_default();
            let packet = Rtp { marker: false, payload_type: 0, sequence: round, timestamp: 0, ssrc: 7, payload };
            let mut genuine = [0; MAX_PACKET + crate::srtp::OVERHEAD];
            let plain = packet.write(&mut genuine);
            let Some(length) = theirs.protect_rtp(&mut genuine, plain) else { continue };
            let mut changed = genuine;
            if let Some(byte) = changed.get_mut(usize::from(data.first().copied().unwrap_or(0)) % length) {
                *byte ^= data.last().copied().unwrap_or(1).max(1);
            }
            let changed = changed.get_mut(..length).unwrap_or_default();
            assert!(ours.open_rtp(changed).is_err(), "{suite:?}: a changed packet");
            let again = genuine;
            let genuine = genuine.get_mut(..length).unwrap_or_default();
            assert_eq!(ours.open_rtp(genuine).ok(), Some(plain), "{suite:?}");
            assert_eq!(Rtp::parse(genuine.get(..plain).unwrap_or_default()), Some(packet), "{suite:?}");
            let mut replayed = again;
            assert!(ours.open_rtp(replayed.get_mut(..length).unwrap_or_default()).is_err(), "{suite:?}: a replay");
        }
    }
    if let Ok(line) = String::from_utf8_lossy(data).parse::<CryptoAttribute>() {
        assert_eq!(line.to_sdp().parse(), Ok(line));
    }
}

struct Nowhere;

impl Port for Nowhere {
    fn rtp(&mut self, _: SocketAddr, datagram: &[u8]) -> bool {
        assert!(!datagram.is_empty());
        true
    }
    fn rtcp(&mut self, _: SocketAddr, datagram: &[u8]) -> bool {
        assert!(!datagram.is_empty());
        true
    }
}

/// Datagrams for two legs that hear each other, one of all codecs and one encrypted, in the order and at the pace the bytes
/// say: nothing panics and nothing is freed on the media thread.
pub fn leg(data: &[u8]) {
    let (event_in, mut events) = RingBuffer::new(1_024);
    let (garbage_in, _garbage) = RingBuffer::new(1_024);
    let counters = Arc::new(Counters::default());
    let sinks = Sinks::new(event_in, garbage_in, 16, Arc::clone(&counters));
    let origin = Instant::now();
    let mut shard: Shard<Nowhere> = Shard::new(2, origin, SystemTime::now(), sinks);
    let peer = |seat: usize| SocketAddr::from(([192, 0, 2, 1], 4_000 + 2 * seat as u16));
    let all: CodecList = Codec::ALL.into_iter().map(|codec| (codec, codec.usual_payload_type())).collect();
    for seat in 0..2 {
        let leg = leg_on(seat, 1);
        shard.admit(Box::new(Leg::new(leg, Nowhere, Duration::from_secs(30), [seat as u64, 9])));
        let in_band_dtmf = seat == 0;
        let agreement = Agreement { dtmf_payload_type: Some(101), in_band_dtmf, ..Agreement::new(peer(seat), all) };
        shard.order(origin, leg, MediaCommand::Connect(agreement).into());
    }
    let sources = Sources::default().and(leg_on(1, 1), -3);
    shard.order(origin, leg_on(0, 1), MediaCommand::Hear { sources }.into());
    shard.order(origin, leg_on(1, 1), MediaCommand::Hear { sources: Sources::default().and(leg_on(0, 1), 0) }.into());
    let (mut now, mut rest) = (origin, data);
    while let Some(([what, length], after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(*length).min(after.len());
        let (datagram, more) = after.split_at(length);
        rest = more;
        let (mut bytes, seat) = (datagram.to_vec(), usize::from(what & 1));
        if what & 2 == 0 {
            shard.rtp(now, seat, peer(seat), &mut bytes)
        } else {
            shard.rtcp(now, seat, peer(seat), &mut bytes)
        }
        for _ in 0..what >> 6 {
            now += Duration::from_millis(5);
            shard.tick(now);
        }
        while events.pop().is_ok() {}
    }
    for _ in 0..8 {
        now += Duration::from_millis(5);
        shard.tick(now);
    }
    assert_eq!(counters.freed_inline.get(), 0);
}
