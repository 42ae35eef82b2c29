//! RTP headers (RFC 3550 §5.1) and `telephone-event` payloads (RFC 4733 §2.3) on borrowed bytes: nothing is allocated,
//! nothing indexes past an end, whatever the bytes are.
//!
//! Why not the `rtp` crate on this path: 0.17 pulls tokio in through `webrtc-util`, which this crate must not depend on,
//! and its parser panics on a header extension whose element runs past its block (a test below shows it), which one
//! hostile datagram would use to end a media thread. It is the oracle of the tests instead: it reads what we write, and we
//! read what it writes.

/// RTP fixed header, in bytes.
pub const HEADER: usize = 12;
/// Longest payload we take or send: 120 ms of G.711.
pub const MAX_PAYLOAD: usize = 960;
/// Longest RTP packet we send.
pub const MAX_PACKET: usize = HEADER + MAX_PAYLOAD;

/// One RTP packet. CSRCs, extensions and padding are skipped when read and never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtp<'a> {
    /// First packet of a talkspurt, or of an event.
    pub marker: bool,
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, by the codec's RTP clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// The payload, without padding.
    pub payload: &'a [u8],
}

impl<'a> Rtp<'a> {
    /// Reads a datagram; `None` if it is no RTP of version 2, lies about its lengths, or is RTCP.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = datagram.split_first_chunk::<HEADER>()?;
        let [flags, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *head;
        // RTCP packet types 192-223 look like payload types 64-95 with the marker set (RFC 5761 §4).
        if flags >> 6 != 2 || (192..=223).contains(&kind) {
            return None;
        }
        rest = rest.get(usize::from(flags & 0x0F) * 4..)?;
        if flags & 0x10 != 0 {
            let ([_, _, l0, l1], after) = rest.split_first_chunk::<4>()?;
            rest = after.get(usize::from(u16::from_be_bytes([*l0, *l1])) * 4..)?;
        }
        if flags & 0x20 != 0 {
            let padding = usize::from(*rest.last()?);
            if padding == 0 {
                return None;
            }
            rest = rest.get(..rest.len().checked_sub(padding)?)?;
        }
        Some(Self {
            marker: kind & 0x80 != 0,
            payload_type: kind & 0x7F,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            payload: rest,
        })
    }

    /// What of a header is not encrypted by SRTP; `None` if it is no RTP of version 2, or RTCP.
    pub fn parse_header(datagram: &[u8]) -> Option<()> {
        let head = datagram.first_chunk::<HEADER>()?;
        (head[0] >> 6 == 2 && !(192..=223).contains(&head[1])).then_some(())
    }

    /// Writes it, with the payload cut at [`MAX_PAYLOAD`]; the packet's length. `out` is to hold [`MAX_PACKET`].
    pub fn write(&self, out: &mut [u8]) -> usize {
        let Some(out) = out.first_chunk_mut::<MAX_PACKET>() else { return 0 };
        out[0] = 0x80;
        out[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7F);
        out[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        let length = self.payload.len().min(MAX_PAYLOAD);
        for (to, from) in out[HEADER..].iter_mut().zip(self.payload) {
            *to = *from;
        }
        HEADER + length
    }
}

/// A `telephone-event` payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// 0-15 are the DTMF digits.
    pub code: u8,
    /// The event has ended.
    pub end: bool,
    /// Power, in -dBm0.
    pub volume: u8,
    /// How long so far, in timestamp units.
    pub duration: u16,
}

impl Event {
    /// Reads a payload (the first event, should there be several).
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [code, flags, d0, d1] = *payload.first_chunk::<4>()?;
        Some(Self { code, end: flags & 0x80 != 0, volume: flags & 0x3F, duration: u16::from_be_bytes([d0, d1]) })
    }

    /// The payload.
    pub fn bytes(self) -> [u8; 4] {
        let [d0, d1] = self.duration.to_be_bytes();
        [self.code, (u8::from(self.end) << 7) | (self.volume & 0x3F), d0, d1]
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use rtp::header::Header;
    use rtp::packet::Packet;
    use webrtc_util::marshal::{Marshal, Unmarshal};

    use super::*;

    #[test]
    fn the_rtp_crate_reads_what_we_write() {
        let payload = [7u8; 160];
        let packet = Rtp {
            marker: true,
            payload_type: 101,
            sequence: 65_535,
            timestamp: 0x1234_5678,
            ssrc: 0xDEAD_BEEF,
            payload: &payload,
        };
        let mut out = [0; MAX_PACKET];
        let length = packet.write(&mut out);
        let read = Packet::unmarshal(&mut &out[..length]).unwrap();
        assert_eq!(read.payload, &payload[..]);
        assert_eq!(
            (read.header.marker, read.header.payload_type, read.header.sequence_number, read.header.timestamp),
            (true, 101, 65_535, 0x1234_5678)
        );
        assert_eq!(read.header.ssrc, 0xDEAD_BEEF);
        assert_eq!(Rtp::parse(&out[..length]), Some(packet));
    }

    #[test]
    fn we_read_what_the_rtp_crate_writes_with_sources_extensions_and_padding() {
        let mut header = Header {
            version: 2,
            padding: true,
            payload_type: 8,
            sequence_number: 9,
            timestamp: 10,
            ssrc: 11,
            csrc: vec![1, 2, 3],
            ..Header::default()
        };
        header.set_extension(3, Bytes::from_static(&[1, 2, 3, 4, 5])).unwrap();
        let packet = Packet { header, payload: Bytes::from(vec![0x55; 157]) };
        let bytes = packet.marshal().unwrap();
        let read = Rtp::parse(&bytes).unwrap();
        assert_eq!(read.payload, &[0x55; 157]);
        assert_eq!((read.payload_type, read.sequence, read.timestamp, read.ssrc), (8, 9, 10, 11));
    }

    /// The reason given at the top of this file. When it fails, the `rtp` crate has been mended.
    #[test]
    fn the_rtp_crate_panics_where_we_do_not() {
        let mut hostile = vec![0x90, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xBE, 0xDE, 0, 1];
        hostile.extend([0x1F, 0, 0, 0]); // an element of 16 bytes in a block of 4
        let oracle = std::panic::catch_unwind(|| Packet::unmarshal(&mut hostile.as_slice()).is_ok());
        assert!(oracle.is_err());
        assert_eq!(Rtp::parse(&hostile).unwrap().payload, &[] as &[u8]);
    }

    #[test]
    fn what_is_no_rtp_is_refused() {
        let packet = [0x80u8, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xFF];
        assert!(Rtp::parse(&packet).is_some());
        for length in 0..HEADER {
            assert!(Rtp::parse(&packet[..length]).is_none(), "{length} bytes");
        }
        let with = |index: usize, byte: u8| {
            let mut changed = packet;
            changed[index] = byte;
            Rtp::parse(&changed).is_none()
        };
        assert!(with(0, 0x40), "version 1");
        assert!(with(0, 0x81), "a source that is not there");
        assert!(with(0, 0x90), "an extension that is not there");
        assert!(with(0, 0xA0), "255 bytes of padding");
        assert!(with(1, 200), "an RTCP sender report");
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..200_000 {
            let mut bytes = [0u8; 64];
            random.fill(&mut bytes);
            bytes[0] |= 0x80;
            let length = random.random_range(0..=bytes.len());
            if let Some(packet) = Rtp::parse(&bytes[..length]) {
                assert!(packet.payload.len() + HEADER <= length);
                let _ = Event::parse(packet.payload);
            }
        }
    }
}
