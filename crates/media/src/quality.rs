//! What a peer's RTP stream was like: sequence numbers, loss, jitter (RFC 3550 §6.4.1, A.1, A.3, A.8) and a score
//! (ITU-T G.107, simplified). Time comes in as timestamp units; no clock.

use crate::Codec;

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
    /// In seconds.
    jitter: f64,
    clock: u32,
    report: Reported,
    losses: Losses,
}

/// Where losses lie in a stream, by the Markov model of RFC 3611 appendix A.2. Late packets count as lost there.
#[derive(Default)]
struct Losses {
    /// Packets received since the last loss, and losses of the burst in progress.
    since: u64,
    lost: u64,
    /// Transitions, named as there.
    c11: u64,
    c13: u64,
    c14: u64,
    c22: u64,
    c23: u64,
    c33: u64,
    /// Losses, and runs of them.
    total: u64,
    runs: u64,
}

/// Packets received in a row after which a burst is over (RFC 3611 §4.7.2, Gmin).
const GMIN: u64 = 16;

impl Losses {
    fn received(&mut self) {
        self.since += 1;
    }

    fn lost(&mut self, count: u64) {
        self.runs += 1;
        // A jump of thousands is no burst worth counting one by one.
        for _ in 0..count.min(100) {
            self.total += 1;
            if self.since >= GMIN {
                if self.lost == 1 {
                    self.c14 += 1
                } else {
                    self.c13 += 1
                }
                self.lost = 1;
                self.c11 += self.since;
            } else {
                self.lost += 1;
                if self.since == 0 {
                    self.c33 += 1;
                } else {
                    self.c23 += 1;
                    self.c22 += self.since - 1;
                }
            }
            self.since = 0;
        }
    }
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
    /// Numbers passed over by the newest packet.
    missed: u16,
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
            Verdict::Fresh => {
                let missed = self.stream.as_ref().map_or(0, |s| s.missed);
                if missed > 0 {
                    self.losses.lost(u64::from(missed));
                }
                self.losses.received();
                self.received += 1;
            }
            Verdict::Duplicate | Verdict::Old => {}
        }
        verdict
    }

    /// Takes an audio packet's times: when it came and what its timestamp says, both by the RTP clock of its codec.
    pub fn times(&mut self, clock: u32, arrival: u32, timestamp: u32) {
        let Some(stream) = &mut self.stream else { return };
        if std::mem::replace(&mut self.clock, clock) != clock {
            stream.transit = None;
        }
        let transit = arrival.wrapping_sub(timestamp) as i32;
        if let Some(before) = stream.transit {
            let d = f64::from(transit.wrapping_sub(before)).abs() / f64::from(clock.max(1));
            // A second or more is a clock that jumped or a pause, not jitter.
            if d < 1.0 && timestamp != stream.timestamp {
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
        self.jitter * 1_000.0
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
            jitter: (self.jitter * f64::from(self.clock)) as u32,
        })
    }

    /// Share of packets lost within bursts, 0 to 1 (RFC 3611 §4.7.2).
    pub fn burst_density(&self) -> f64 {
        let l = &self.losses;
        let share = |n: u64, of: u64| if of == 0 { 0.0 } else { n as f64 / of as f64 };
        let p32 = share(l.c23, l.c13 + l.c23 + l.c33);
        let p23 = if l.c22 + l.c23 == 0 { 1.0 } else { 1.0 - share(l.c22, l.c22 + l.c23) };
        if l.total == 0 { 0.0 } else { p23 / (p23 + p32).max(f64::MIN_POSITIVE) }
    }

    /// Share of packets lost between bursts, 0 to 1.
    pub fn gap_density(&self) -> f64 {
        self.losses.c14 as f64 / (self.losses.c11 + self.losses.c14).max(1) as f64
    }

    /// How much longer runs of loss are than they would be at random, 1 or more (G.107 §7.6, BurstR).
    pub fn burstiness(&self) -> f64 {
        let run = self.losses.total as f64 / self.losses.runs.max(1) as f64;
        let share = self.lost() as f64 / self.expected().max(1) as f64;
        (run * (1.0 - share)).max(1.0)
    }

    fn expected(&self) -> u64 {
        self.expected_before + self.stream.as_ref().map_or(0, |s| u64::from(s.highest.wrapping_sub(s.first)) + 1)
    }
}

impl Stream {
    fn new(ssrc: u32, sequence: u16) -> Self {
        let first = u32::from(sequence);
        Self { ssrc, first, highest: first, seen: 1, transit: None, timestamp: 0, missed: 0, bad: None }
    }

    fn packet(&mut self, sequence: u16) -> Verdict {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        self.missed = 0;
        if (1..DROPOUT).contains(&ahead) {
            self.highest = self.highest.wrapping_add(u32::from(ahead));
            self.seen = self.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            self.bad = None;
            self.missed = ahead - 1;
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

/// Loss as the E-model takes it.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Share of packets not heard, 0 to 1.
    pub share: f64,
    /// BurstR: 1 where losses lie at random.
    pub burstiness: f64,
}

/// One-way delay in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Delay(pub f64);

/// R factor (0 to 100) and mean opinion score (1 to 4.5) on the narrow-band scale, by G.107 with all but codec, loss and
/// delay at their defaults.
pub fn score(codec: Option<Codec>, loss: Loss, Delay(delay_ms): Delay) -> (f64, f64) {
    // Packet-loss robustness Bpl: G.113 appendix I for G.711 with concealment. For the wide-band codecs none is published
    // on this scale: G.722 is taken as more sensitive (its predictor carries an error on), Opus with FEC as less.
    let robustness = match codec {
        Some(Codec::G722) => 12.0,
        Some(Codec::Opus) => 32.0,
        _ => 25.1,
    };
    let percent = loss.share.clamp(0.0, 1.0) * 100.0;
    let equipment = 95.0 * percent / (percent / loss.burstiness.max(1.0) + robustness);
    // G.107 §7: Id, simplified.
    let delay = 0.024 * delay_ms + 0.11 * (delay_ms - 177.3).max(0.0);
    let r = (93.2 - equipment - delay).clamp(0.0, 100.0);
    (r, (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5))
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
            r.times(8_000, i * 160 + (i % 2) * 80, i * 160);
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
    fn the_score_falls_with_loss_bursts_and_delay() {
        let mos = |share, burstiness, delay| score(Some(Codec::Pcmu), Loss { share, burstiness }, Delay(delay)).1;
        assert!((mos(0.0, 1.0, 20.0) - 4.4).abs() < 0.02);
        assert!(mos(0.01, 1.0, 20.0) > 4.2 && mos(0.05, 1.0, 20.0) < 4.1 && mos(0.2, 1.0, 20.0) < 2.7);
        assert!(mos(0.0, 1.0, 400.0) < 3.8 && mos(1.0, 1.0, 2_000.0) == 1.0);
        assert!(mos(0.1, 3.0, 20.0) < mos(0.1, 1.0, 20.0) - 0.1, "the same loss in bursts is worse");
    }

    #[test]
    fn losses_in_bursts_are_told_from_losses_between() {
        let (mut scattered, mut burst) = (Reception::default(), Reception::default());
        feed(&mut scattered, 1, (0..5_000).filter(|i| i % 50 != 7));
        feed(&mut burst, 1, (0..5_000).filter(|i| !(20..30).contains(&(i % 500))));
        assert_eq!(scattered.lost(), burst.lost());
        assert!(scattered.gap_density() > 0.015 && burst.gap_density() < 0.001);
        assert!(burst.burst_density() > 0.9, "{}", burst.burst_density());
        assert!(scattered.burstiness() < 1.05 && burst.burstiness() > 9.0);
    }
}
