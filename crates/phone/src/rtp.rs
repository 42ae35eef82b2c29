//! RTP headers (RFC 3550 §5.1) and telephone events (RFC 4733), in plain bytes.

/// Samples in one 20 ms packet at 8 kHz.
pub const PACKET_SAMPLES: usize = 160;

/// One received packet, borrowed from its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// `None` when the datagram is no RTP version 2 packet or its lengths do not fit.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let [b0, b1, s0, s1, ..] = *datagram else { return None };
        if b0 >> 6 != 2 {
            return None;
        }
        let word = |at: usize| datagram.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let mut start = 12 + 4 * usize::from(b0 & 0x0f);
        if b0 & 0x10 != 0 {
            start += 4 + 4 * (word(start)? & 0xffff) as usize;
        }
        let padding = if b0 & 0x20 != 0 { usize::from(*datagram.last()?) } else { 0 };
        let payload = datagram.get(start..datagram.len().checked_sub(padding)?)?;
        Some(Self {
            payload_type: b1 & 0x7f,
            marker: b1 & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: word(4)?,
            ssrc: word(8)?,
            payload,
        })
    }

    /// Writes the packet into `out`, which is cleared first.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(0x80);
        out.push(self.payload_type | if self.marker { 0x80 } else { 0 });
        out.extend(self.sequence.to_be_bytes());
        out.extend(self.timestamp.to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        out.extend(self.payload);
    }
}

/// The RFC 4733 event code of a DTMF digit.
pub fn event_of(digit: char) -> Option<u8> {
    "0123456789*#ABCD".find(digit.to_ascii_uppercase()).map(|i| i as u8)
}

/// The DTMF digit of an RFC 4733 event code.
pub fn digit_of(event: u8) -> Option<char> {
    "0123456789*#ABCD".chars().nth(usize::from(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_extension() {
        let packet =
            Packet { payload_type: 101, marker: true, sequence: 7, timestamp: 99, ssrc: 0xdead_beef, payload: &[1, 2] };
        let mut bytes = Vec::new();
        packet.write(&mut bytes);
        assert_eq!(Packet::parse(&bytes), Some(packet));

        // One CSRC, a one-word extension and three bytes of padding.
        let mut odd = vec![0x80 | 0x20 | 0x10 | 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9, 9, 9];
        odd.extend([0xbe, 0xde, 0, 1, 5, 5, 5, 5]);
        odd.extend([42, 43, 0, 0, 3]);
        assert_eq!(Packet::parse(&odd).map(|p| p.payload), Some(&[42u8, 43][..]));
    }

    #[test]
    fn short_or_strange_is_refused() {
        assert_eq!(Packet::parse(&[]), None);
        assert_eq!(Packet::parse(&[0x80, 0, 0, 1]), None);
        assert_eq!(Packet::parse(&[0x40; 20]), None);
        let mut padded = vec![0xa0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        padded.push(200);
        assert_eq!(Packet::parse(&padded), None);
    }

    #[test]
    fn digits() {
        for digit in "0123456789*#ABCD".chars() {
            assert_eq!(event_of(digit).and_then(digit_of), Some(digit));
        }
        assert_eq!(event_of('x'), None);
    }
}
