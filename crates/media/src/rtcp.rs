//! RTCP, as little as a telephone needs (RFC 3550 §6): sender and receiver reports with a CNAME, BYE; of what comes in,
//! the round-trip time. On borrowed bytes; nothing is allocated.

use crate::quality::Report;

/// Longest compound packet we send.
pub const MAX: usize = 128;

/// What a report says of us.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// Our source.
    pub ssrc: u32,
    /// Wall-clock time, NTP format (32.32).
    pub ntp: u64,
    /// The same moment as an RTP timestamp.
    pub timestamp: u32,
    /// RTP packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

/// When the peer's last sender report came, for its round-trip time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo {
    /// Middle 32 bits of its NTP time.
    pub last_sr: u32,
    /// Since then, in 65,536ths of a second.
    pub delay: u32,
}

/// What a compound packet told us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// NTP time (middle 32 bits) of a sender report.
    pub sender_ntp: Option<u32>,
    /// `(last_sr, delay)` of the report block about us.
    pub echo: Option<(u32, u32)>,
}

/// Writes SR (RR if nothing was sent), SDES and, at the end, BYE; the length.
pub fn write(out: &mut [u8; MAX], sender: Sender, report: Option<(Report, Echo)>, bye: bool) -> usize {
    let mut w = Writer { out, at: 0 };
    let blocks = u8::from(report.is_some());
    let (kind, fixed) = if sender.packets > 0 { (200, 6) } else { (201, 1) };
    w.header(blocks, kind, fixed + 6 * u16::from(blocks));
    w.word(sender.ssrc);
    if sender.packets > 0 {
        w.word((sender.ntp >> 32) as u32);
        w.word(sender.ntp as u32);
        w.word(sender.timestamp);
        w.word(sender.packets);
        w.word(sender.octets);
    }
    if let Some((report, echo)) = report {
        w.word(report.ssrc);
        w.word((u32::from(report.fraction_lost) << 24) | (report.lost & 0xFF_FFFF));
        w.word(report.highest);
        w.word(report.jitter);
        w.word(echo.last_sr);
        w.word(echo.delay);
    }
    // SDES: one chunk, CNAME (item 1) of 8 hexadecimal digits, then the end of the list and padding to a word.
    w.header(1, 202, 4);
    w.word(sender.ssrc);
    w.bytes(&[1, 8]);
    for shift in (0..8).rev() {
        w.bytes(&[b"0123456789abcdef"[(sender.ssrc >> (4 * shift)) as usize & 15]]);
    }
    w.bytes(&[0, 0]);
    if bye {
        w.header(1, 203, 1);
        w.word(sender.ssrc);
    }
    w.at
}

/// Reads a compound packet; `None` if it is none. `ours` is our source.
pub fn read(mut datagram: &[u8], ours: u32) -> Option<Heard> {
    let mut heard = Heard::default();
    let mut first = true;
    while !datagram.is_empty() {
        let [flags, kind, l0, l1] = *datagram.first_chunk::<4>()?;
        if flags >> 6 != 2 || (first && !(200..=201).contains(&kind)) {
            return None;
        }
        first = false;
        let length = (usize::from(u16::from_be_bytes([l0, l1])) + 1) * 4;
        let body = datagram.get(4..length)?;
        datagram = datagram.get(length..)?;
        if kind == 200 {
            heard.sender_ntp = Some((word(body, 1)? << 16) | (word(body, 2)? >> 16));
        }
        let fixed = match kind {
            200 => 6,
            201 => 1,
            _ => continue,
        };
        for block in 0..usize::from(flags & 0x1F) {
            let at = fixed + block * 6;
            if word(body, at)? == ours {
                heard.echo = Some((word(body, at + 4)?, word(body, at + 5)?));
            }
        }
    }
    (!first).then_some(heard)
}

fn word(body: &[u8], index: usize) -> Option<u32> {
    body.get(index * 4..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

struct Writer<'a> {
    out: &'a mut [u8; MAX],
    at: usize,
}

impl Writer<'_> {
    fn header(&mut self, count: u8, kind: u8, words: u16) {
        let [l0, l1] = words.to_be_bytes();
        self.bytes(&[0x80 | count, kind, l0, l1]);
    }
    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }
    fn bytes(&mut self, bytes: &[u8]) {
        for (to, from) in self.out.iter_mut().skip(self.at).zip(bytes) {
            *to = *from;
        }
        self.at += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const US: Sender = Sender { ssrc: 7, ntp: 0x1111_2222_3333_4444, timestamp: 800, packets: 5, octets: 800 };

    #[test]
    fn a_sender_report_with_everything_reads_back() {
        let report = Report { ssrc: 9, fraction_lost: 64, lost: 25, highest: 99, jitter: 12 };
        let mut out = [0; MAX];
        let length = write(&mut out, US, Some((report, Echo { last_sr: 0xABCD, delay: 65_536 })), true);
        assert_eq!(length, 28 + 24 + 20 + 8);
        assert_eq!(&out[..4], &[0x81, 200, 0, 12]);
        let heard = read(&out[..length], 9).unwrap();
        assert_eq!(heard, Heard { sender_ntp: Some(0x2222_3333), echo: Some((0xABCD, 65_536)) });
        assert_eq!(read(&out[..length], 8).unwrap().echo, None);
    }

    #[test]
    fn who_sent_nothing_reports_as_receiver() {
        let mut out = [0; MAX];
        let length = write(&mut out, Sender { packets: 0, ..US }, None, false);
        assert_eq!((length, out[1]), (8 + 20, 201));
        assert_eq!(read(&out[..length], 1), Some(Heard::default()));
    }

    #[test]
    fn lies_and_noise_are_refused() {
        let mut out = [0; MAX];
        let length = write(&mut out, US, None, false);
        assert!(read(&[], 1).is_none());
        for cut in 1..length {
            assert!(cut == 28 || read(&out[..cut], 1).is_none(), "{cut} bytes");
        }
        out[0] |= 31; // 31 report blocks that are not there
        assert!(read(&out[..length], 1).is_none());
        let mut random = StdRng::seed_from_u64(3);
        for _ in 0..100_000 {
            let mut bytes = [0u8; 60];
            random.fill(&mut bytes);
            (bytes[0], bytes[1], bytes[2]) = (bytes[0] & 0x1F | 0x80, 200 + bytes[1] % 4, 0);
            let _ = read(&bytes[..random.random_range(0..=60)], random.random());
        }
    }
}
