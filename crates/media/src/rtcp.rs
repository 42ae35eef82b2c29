//! RTCP, as a telephone needs it (RFC 3550 §6): sender and receiver reports with a CNAME, VoIP metrics (RFC 3611 §4.7),
//! BYE; of what comes in, the report about us and its score. On borrowed bytes; nothing is allocated.

use crate::quality::Report;

/// Longest compound packet we send.
pub const MAX: usize = 160;

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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Heard {
    /// NTP time (middle 32 bits) of a sender report.
    pub sender_ntp: Option<u32>,
    /// The report block about us.
    pub report: Option<Block>,
    /// Listening quality (MOS-LQ) of the VoIP metrics about us.
    pub mos: Option<f64>,
}

/// What of a report block about us matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Packets lost in all.
    pub lost: u32,
    /// Highest sequence number that came, extended.
    pub highest: u32,
    /// Interarrival jitter, in RTP clock units.
    pub jitter: u32,
    /// Our last report, by its time; 0 if none came.
    pub last_sr: u32,
    /// Since then, in 65,536ths of a second.
    pub delay: u32,
}

/// A VoIP metrics block (RFC 3611 §4.7), as far as we measure it; rates and densities in 256ths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Metrics {
    /// Lost.
    pub loss_rate: u8,
    /// Came too late.
    pub discard_rate: u8,
    /// Share lost within bursts.
    pub burst_density: u8,
    /// Share lost between bursts.
    pub gap_density: u8,
    /// Round-trip time.
    pub round_trip_ms: u16,
    /// Delay of this end.
    pub end_system_ms: u16,
    /// R factor, 0 to 100.
    pub r_factor: u8,
    /// Mean opinion score, in tenths.
    pub mos_tenths: u8,
    /// Jitter buffer delay at rest.
    pub nominal_ms: u16,
    /// The same at worst, so far.
    pub most_ms: u16,
}

/// Writes SR (RR if nothing was sent), SDES, VoIP metrics and, at the end, BYE; the length. `out` holds at least [`MAX`].
pub fn write(out: &mut [u8], sender: Sender, report: Option<(Report, Echo, Metrics)>, bye: bool) -> usize {
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
    if let Some((report, echo, _)) = report {
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
    if let Some((report, _, metrics)) = report {
        w.metrics(sender.ssrc, report.ssrc, metrics);
    }
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
        match kind {
            200 => heard.sender_ntp = Some((word(body, 1)? << 16) | (word(body, 2)? >> 16)),
            207 => heard.mos = score(body, ours).or(heard.mos),
            _ => {}
        }
        let fixed = match kind {
            200 => 6,
            201 => 1,
            _ => continue,
        };
        for block in 0..usize::from(flags & 0x1F) {
            let at = fixed + block * 6;
            let part = |n: usize| word(body, at + n);
            let block = Block {
                lost: part(1)? & 0xFF_FFFF,
                highest: part(2)?,
                jitter: part(3)?,
                last_sr: part(4)?,
                delay: part(5)?,
            };
            if part(0)? == ours {
                heard.report = Some(block);
            }
        }
    }
    (!first).then_some(heard)
}

/// MOS-LQ of the VoIP metrics block about `ours` in an extended report, if it holds one.
fn score(body: &[u8], ours: u32) -> Option<f64> {
    let mut blocks = body.get(4..)?;
    loop {
        let [kind, _, l0, l1] = *blocks.first_chunk::<4>()?;
        let length = 4 + usize::from(u16::from_be_bytes([l0, l1])) * 4;
        let block = blocks.get(..length)?;
        if kind == 7 && word(block, 1)? == ours {
            let tenths = *block.get(26)?;
            return (10..=50).contains(&tenths).then(|| f64::from(tenths) / 10.0);
        }
        blocks = blocks.get(length..)?;
    }
}

fn word(body: &[u8], index: usize) -> Option<u32> {
    body.get(index * 4..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    /// An extended report of one VoIP metrics block about `source`.
    fn metrics(&mut self, ours: u32, source: u32, m: Metrics) {
        /// Not measured (§4.7.3, §4.7.5).
        const UNKNOWN: u8 = 127;
        self.header(0, 207, 10);
        self.word(ours);
        self.bytes(&[7, 0, 0, 8]);
        self.word(source);
        self.bytes(&[m.loss_rate, m.discard_rate, m.burst_density, m.gap_density]);
        self.word(0); // burst and gap durations: not measured
        self.halves(m.round_trip_ms, m.end_system_ms);
        self.bytes(&[UNKNOWN, UNKNOWN, UNKNOWN, 16]); // signal, noise, echo return loss; Gmin
        self.bytes(&[m.r_factor, UNKNOWN, m.mos_tenths, m.mos_tenths]);
        let [n0, n1] = m.nominal_ms.to_be_bytes();
        self.bytes(&[0b1111_0000, 0, n0, n1]); // enhanced concealment, adaptive buffer
        self.halves(m.most_ms, 400);
    }
    fn halves(&mut self, one: u16, two: u16) {
        self.word((u32::from(one) << 16) | u32::from(two));
    }
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
        let metrics = Metrics { mos_tenths: 41, r_factor: 88, ..Metrics::default() };
        let mut out = [0; MAX];
        let length = write(&mut out, US, Some((report, Echo { last_sr: 0xABCD, delay: 65_536 }, metrics)), true);
        assert_eq!(length, 28 + 24 + 20 + 44 + 8);
        assert_eq!(&out[..4], &[0x81, 200, 0, 12]);
        let heard = read(&out[..length], 9).unwrap();
        let block = Block { lost: 25, highest: 99, jitter: 12, last_sr: 0xABCD, delay: 65_536 };
        assert_eq!(heard, Heard { sender_ntp: Some(0x2222_3333), report: Some(block), mos: Some(4.1) });
        let other = read(&out[..length], 8).unwrap();
        assert_eq!((other.report, other.mos), (None, None));
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
            (bytes[0], bytes[1], bytes[2]) = (bytes[0] & 0x1F | 0x80, 200 + bytes[1] % 8, 0);
            let _ = read(&bytes[..random.random_range(0..=60)], random.random());
        }
    }
}
