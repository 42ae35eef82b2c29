//! Where a bridged peer's packets go in the stream we send: its sequence numbers and timestamps, moved by an offset, so
//! that what it lost, reordered or paused is heard as such, and our stream has no seam.
//!
//! The offset is fixed by the first packet after anything else was sent (silence, a clip, a digit) and when the peer's
//! stream starts again. No sequence number of ours is used twice.

use std::time::{Duration, Instant};

use crate::outbound::Outbound;
use crate::wire::Rtp;

/// A peer that has sent nothing for this long is filled in for, so that the stream goes on.
const QUIET: Duration = Duration::from_millis(200);
/// A jump beyond this many packets, or ticks of 20 ms (500 ms), is another stream.
const SEQUENCE_JUMP: i16 = 50;
const TIME_JUMP_TICKS: i32 = 25;

/// See the module.
#[derive(Default)]
pub struct Relay {
    offset: Option<Offset>,
    last: Option<Instant>,
}

struct Offset {
    ssrc: u32,
    /// Newest sequence number and a timestamp of theirs, and what they became.
    theirs: (u16, u32),
    ours: (u16, u32),
    /// Sequence numbers since the offset was fixed: how far back a straggler may be.
    reach: u16,
}

/// A packet's place in our stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// The offset was fixed anew by it.
    pub seam: bool,
}

impl Relay {
    /// Whether the peer's packets carry the stream now.
    pub fn live(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.duration_since(last) < QUIET)
    }

    /// Something else was sent: the next packet is placed anew.
    pub fn interrupted(&mut self) {
        self.offset = None;
    }

    /// Places a packet; `None` if its place is taken or gone. An event's timestamp may lie far back.
    pub fn place(&mut self, now: Instant, packet: &Rtp<'_>, event: bool, out: &Outbound) -> Option<Place> {
        let known = self.offset.as_mut().filter(|o| o.ssrc == packet.ssrc).and_then(|offset| {
            let step = packet.sequence.wrapping_sub(offset.theirs.0) as i16;
            let moved = packet.timestamp.wrapping_sub(offset.theirs.1);
            let timestamp = offset.ours.1.wrapping_add(moved);
            let jump = timestamp.wrapping_sub(out.end()) as i32;
            let most = TIME_JUMP_TICKS * out.tick() as i32;
            let followed =
                step.unsigned_abs() <= SEQUENCE_JUMP.unsigned_abs() && jump <= most && (event || jump >= -most);
            followed.then(|| {
                let sequence = offset.ours.0.wrapping_add(step as u16);
                if step > 0 {
                    offset.reach = offset.reach.saturating_add(step as u16);
                    offset.theirs.0 = packet.sequence;
                    offset.ours.0 = sequence;
                    if !event {
                        (offset.theirs.1, offset.ours.1) = (packet.timestamp, timestamp);
                    }
                }
                let gone = step == 0 || (step < 0 && step.unsigned_abs() > offset.reach);
                (!gone).then_some(Place { sequence, timestamp, seam: false })
            })
        });
        let place = match known {
            Some(place) => place?,
            None => {
                let place = Place { sequence: out.sequence(), timestamp: out.now(), seam: true };
                self.offset = Some(Offset {
                    ssrc: packet.ssrc,
                    theirs: (packet.sequence, packet.timestamp),
                    ours: (place.sequence, place.timestamp),
                    reach: 0,
                });
                place
            }
        };
        self.last = Some(now);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        relay: Relay,
        out: Outbound,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { relay: Relay::default(), out: Outbound::new([1_000, 65_530]), now: Instant::now() }
        }
        fn pass(&mut self, ssrc: u32, sequence: u16, timestamp: u32) -> Option<(u16, u32)> {
            let payload = [0u8; 160];
            let packet = Rtp { marker: false, payload_type: 0, sequence, timestamp, ssrc, payload: &payload };
            let place = self.relay.place(self.now, &packet, false, &self.out)?;
            self.out.relayed_audio(0, place.sequence, place.timestamp, &payload, 160);
            Some((place.sequence, place.timestamp))
        }
    }

    #[test]
    fn order_and_gaps_are_kept_across_the_wrap() {
        let mut b = Bench::new();
        assert_eq!(b.pass(1, 500, 80_000), Some((65_530, 1_000)));
        assert_eq!(b.pass(1, 501, 80_160), Some((65_531, 1_160)));
        assert_eq!(b.pass(1, 510, 81_600), Some((4, 2_600)), "eight were lost");
        assert_eq!(b.pass(1, 509, 81_440), Some((3, 2_440)), "one was late");
        assert_eq!(b.pass(1, 510, 81_600), None, "one came twice");
        assert_eq!(b.pass(1, 499, 79_840), None, "one is older than the bridge");
    }

    #[test]
    fn after_something_else_was_sent_it_goes_on_behind_it() {
        let mut b = Bench::new();
        b.pass(1, 500, 80_000);
        for _ in 0..10 {
            b.out.advance();
            b.out.audio(0, &[0; 160], 160);
            b.relay.interrupted();
        }
        b.out.advance();
        let (sequence, timestamp) = b.pass(1, 511, 81_760).unwrap();
        assert_eq!((sequence, timestamp), (65_530u16.wrapping_add(11), 1_000 + 11 * 160));
    }

    #[test]
    fn another_stream_has_no_seam_in_ours() {
        let mut b = Bench::new();
        b.pass(1, 500, 80_000);
        assert_eq!(b.pass(2, 9_000, 5), Some((65_531, 1_160)));
        assert_eq!(b.pass(2, 30_000, 4_000_000), Some((65_532, 1_320)), "nor has one that started again");
    }

    #[test]
    fn hours_of_it_do_not_overflow() {
        let mut b = Bench::new();
        let mut expected = 65_530u16;
        for i in 0..200_000u32 {
            assert_eq!(b.pass(1, i as u16, i.wrapping_mul(160)).map(|p| p.0), Some(expected));
            expected = expected.wrapping_add(1);
        }
    }

    #[test]
    fn who_sends_nothing_is_not_live() {
        let mut b = Bench::new();
        assert!(!b.relay.live(b.now));
        b.pass(1, 1, 1);
        assert!(b.relay.live(b.now));
        b.now += QUIET;
        assert!(!b.relay.live(b.now));
    }
}
