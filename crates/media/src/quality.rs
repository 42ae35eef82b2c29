//! What a peer's RTP stream was like: sequence numbers, loss, jitter (RFC 3550 §6.4.1, A.1, A.3, A.8) and a score
//! (ITU-T G.107, simplified). Time comes in as timestamp units; no clock.

/// What a packet is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next, or a late one not seen before.
    Fresh,
    /// The first of a stream: the first of all, another SSRC, or a sequence that started again.
    NewStream,
    /// Seen already.
    Duplicate,
    /// Of the stream before this one.
    Old,
}

/// A jump of more than this forwards, or of [`MISORDER`] back, is no loss but a stream that started again.
const DROPOUT: u16 = 3_000;
const MISORDER: u16 = 100;

/// See the module. Totals run over all of a leg's streams.
#[derive(Default)]
pub struct Reception {
    stream: Option<Stream>,
    previous: Option<u32>,
    received: u64,
    expected_before: u64,
    jitter: f64,
    report: Reported,
}

struct Stream {
    ssrc: u32,
    first: u32,
    /// Highest sequence number, cycles in the upper half.
    highest: u32,
    /// Bit `n` is set when `highest - n` came.
    seen: u64,
    transit: Option<i32>,
    timestamp: u32,
    /// A sequence number far from the rest; its successor confirms it.
    bad: Option<u16>,
}

#[derive(Default)]
struct Reported {
    expected: u64,
    received: u64,
}

/// The figures of an RTCP report block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whose stream.
    pub ssrc: u32,
    /// Lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Lost in all; 24 bits.
    pub lost: u32,
    /// Highest sequence number, extended.
    pub highest: u32,
    /// In timestamp units.
    pub jitter: u32,
}

impl Reception {
    /// Counts a packet of the peer.
    pub fn packet(&mut self, ssrc: u32, sequence: u16) -> Verdict {
        let verdict = match &mut self.stream {
            Some(stream) if stream.ssrc == ssrc => stream.packet(sequence),
            // A straggler of the stream before; a peer that truly goes back to it would confirm it soon enough.
            Some(stream) if self.previous == Some(ssrc) && stream.highest.wrapping_sub(stream.first) < 25 => {
                Verdict::Old
            }
            _ => Verdict::NewStream,
        };
        match verdict {
            Verdict::NewStream => {
                self.expected_before = self.expected();
                self.previous = self.stream.as_ref().map(|s| s.ssrc).filter(|before| *before != ssrc);
                self.stream = Some(Stream::new(ssrc, sequence));
                self.received += 1;
            }
            Verdict::Fresh => self.received += 1,
            Verdict::Duplicate | Verdict::Old => {}
        }
        verdict
    }

    /// Takes an audio packet's times: when it came and what its timestamp says, both at 8 kHz.
    pub fn times(&mut self, arrival: u32, timestamp: u32) {
        let Some(stream) = &mut self.stream else { return };
        let transit = arrival.wrapping_sub(timestamp) as i32;
        if let Some(before) = stream.transit {
            let d = f64::from(transit.wrapping_sub(before)).abs();
            // A second or more is a clock that jumped or a pause, not jitter.
            if d < 8_000.0 && timestamp != stream.timestamp {
                self.jitter += (d - self.jitter) / 16.0;
            }
        }
        (stream.transit, stream.timestamp) = (Some(transit), timestamp);
    }

    /// Packets that came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets that should have come and did not.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// Jitter in milliseconds.
    pub fn jitter_ms(&self) -> f64 {
        self.jitter / 8.0
    }

    /// The report block due now, and the start of the next interval.
    pub fn report(&mut self) -> Option<Report> {
        let (expected, received) = (self.expected(), self.received);
        let stream = self.stream.as_ref()?;
        let due = expected - self.report.expected.min(expected);
        let missing = due.saturating_sub(received - self.report.received);
        self.report = Reported { expected, received };
        Some(Report {
            ssrc: stream.ssrc,
            fraction_lost: (missing * 256).checked_div(due).unwrap_or(0).min(255) as u8,
            lost: self.lost().min(0x7F_FFFF) as u32,
            highest: stream.highest,
            jitter: self.jitter as u32,
        })
    }

    fn expected(&self) -> u64 {
        self.expected_before + self.stream.as_ref().map_or(0, |s| u64::from(s.highest.wrapping_sub(s.first)) + 1)
    }
}

impl Stream {
    fn new(ssrc: u32, sequence: u16) -> Self {
        let first = u32::from(sequence);
        Self { ssrc, first, highest: first, seen: 1, transit: None, timestamp: 0, bad: None }
    }

    fn packet(&mut self, sequence: u16) -> Verdict {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if (1..DROPOUT).contains(&ahead) {
            self.highest = self.highest.wrapping_add(u32::from(ahead));
            self.seen = self.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            self.bad = None;
            return Verdict::Fresh;
        }
        let behind = ahead.wrapping_neg();
        if behind < MISORDER {
            let bit = 1u64.checked_shl(u32::from(behind)).unwrap_or(0);
            // Older than what is remembered, or than the stream itself: nothing to gain from it.
            if bit == 0 || self.seen & bit != 0 || u32::from(behind) > self.highest.wrapping_sub(self.first) {
                return Verdict::Duplicate;
            }
            self.seen |= bit;
            return Verdict::Fresh;
        }
        if self.bad == Some(sequence) {
            return Verdict::NewStream;
        }
        self.bad = Some(sequence.wrapping_add(1));
        Verdict::Old
    }
}

/// Mean opinion score (1 to 4.5) of G.711 with concealment: `loss` as a share of 1, one-way delay in milliseconds.
pub fn mos(loss: f64, delay_ms: f64) -> f64 {
    // G.113 appendix I: Ie 0, Bpl 25.1 for G.711 with concealment and random loss. G.107 §7: Id, simplified.
    let percent = loss.clamp(0.0, 1.0) * 100.0;
    let equipment = 95.0 * percent / (percent + 25.1);
    let delay = 0.024 * delay_ms + 0.11 * (delay_ms - 177.3).max(0.0);
    let r = (93.2 - equipment - delay).clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(r: &mut Reception, ssrc: u32, sequences: impl IntoIterator<Item = u16>) -> Vec<Verdict> {
        sequences.into_iter().map(|s| r.packet(ssrc, s)).collect()
    }

    #[test]
    fn loss_order_and_doubles_across_the_wrap() {
        let mut r = Reception::default();
        feed(&mut r, 1, [65_533, 65_534, 0, 65_535, 65_535, 2, 2, 5]);
        // 65533..=5 is nine numbers; 1, 3 and 4 never came.
        assert_eq!((r.received(), r.lost()), (6, 3));
        assert_eq!(feed(&mut r, 1, [1, 1]), [Verdict::Fresh, Verdict::Duplicate]);
        assert_eq!(r.lost(), 2);
    }

    #[test]
    fn another_source_begins_a_stream_and_loses_nothing() {
        let mut r = Reception::default();
        feed(&mut r, 1, 0..100);
        assert_eq!(feed(&mut r, 2, 40_000..40_010)[0], Verdict::NewStream);
        assert_eq!(feed(&mut r, 1, [100]), [Verdict::Old], "a straggler");
        assert_eq!((r.received(), r.lost()), (110, 0));
        feed(&mut r, 2, 40_010..40_050);
        assert_eq!(feed(&mut r, 1, [101]), [Verdict::NewStream], "and back for good");
    }

    #[test]
    fn a_sequence_that_starts_again_needs_two_packets() {
        let mut r = Reception::default();
        feed(&mut r, 1, 0..100);
        assert_eq!(feed(&mut r, 1, [30_000, 100]), [Verdict::Old, Verdict::Fresh], "one wild number");
        assert_eq!(feed(&mut r, 1, [30_000, 30_001]), [Verdict::Old, Verdict::NewStream]);
        assert_eq!(r.lost(), 0);
    }

    #[test]
    fn jitter_is_that_of_rfc_3550() {
        let mut r = Reception::default();
        feed(&mut r, 1, [0]);
        for i in 0..2_000u32 {
            r.times(i * 160 + (i % 2) * 80, i * 160);
        }
        assert!((r.jitter_ms() - 10.0).abs() < 0.01, "every transit differs by 10 ms: {}", r.jitter_ms());
    }

    #[test]
    fn a_report_covers_its_interval() {
        let mut r = Reception::default();
        feed(&mut r, 9, (0..100).filter(|i| i % 4 != 1));
        let report = r.report().unwrap();
        assert_eq!((report.ssrc, report.lost, report.highest), (9, 25, 99));
        assert_eq!(report.fraction_lost, 64);
        feed(&mut r, 9, 100..200);
        assert_eq!(r.report().unwrap().fraction_lost, 0);
    }

    #[test]
    fn the_score_falls_with_loss_and_delay() {
        assert!((mos(0.0, 20.0) - 4.4).abs() < 0.02);
        assert!(mos(0.01, 20.0) > 4.2 && mos(0.05, 20.0) < 4.1 && mos(0.2, 20.0) < 2.7);
        assert!(mos(0.0, 400.0) < 3.8 && mos(1.0, 2_000.0) == 1.0);
    }
}
