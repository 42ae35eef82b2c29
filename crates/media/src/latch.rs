//! Where a leg's peer really is: symmetric RTP (RFC 4961) that strangers cannot steal.
//!
//! The address the peer's SDP named is always believed. Another source is believed only while nothing is locked, after
//! three packets in a row that belong together; once locked, the lock moves only to the named address, or, when the locked
//! source has been silent for 3 s (a NAT that forgot it), to a source that goes on with the very same stream.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Packets in a row before a source that was not named is believed.
const PROOF: u8 = 3;
/// Silence of the locked source after which its stream may move.
const FORGOTTEN: Duration = Duration::from_secs(3);
/// Sources watched at once.
const CANDIDATES: usize = 4;

/// See the module.
pub struct Latch {
    named: SocketAddr,
    locked: Option<Lock>,
    candidates: [Option<Candidate>; CANDIDATES],
    oldest: usize,
}

#[derive(Clone, Copy)]
struct Lock {
    source: SocketAddr,
    ssrc: u32,
    heard: Instant,
}

#[derive(Clone, Copy)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    count: u8,
}

impl Latch {
    /// The peer is said to be at `named`.
    pub fn new(named: SocketAddr) -> Self {
        Self { named, locked: None, candidates: [None; CANDIDATES], oldest: 0 }
    }

    /// The peer names its address again. If it is another, everything is learnt anew.
    pub fn rename(&mut self, named: SocketAddr) {
        if named != self.named {
            *self = Self::new(named);
        }
    }

    /// Where to send.
    pub fn target(&self) -> SocketAddr {
        self.locked.map_or(self.named, |lock| lock.source)
    }

    /// Whether a packet from `source` is the peer's.
    pub fn accept(&mut self, now: Instant, source: SocketAddr, ssrc: u32, sequence: u16) -> bool {
        if let Some(lock) = &mut self.locked
            && lock.source == source
        {
            (lock.ssrc, lock.heard) = (ssrc, now);
            return true;
        }
        let believed = source == self.named
            || match self.locked {
                None => self.proves(source, ssrc, sequence),
                Some(lock) => {
                    now.duration_since(lock.heard) >= FORGOTTEN
                        && ssrc == lock.ssrc
                        && self.proves(source, ssrc, sequence)
                }
            };
        if believed {
            self.locked = Some(Lock { source, ssrc, heard: now });
            self.candidates = [None; CANDIDATES];
        }
        believed
    }

    fn proves(&mut self, source: SocketAddr, ssrc: u32, sequence: u16) -> bool {
        if let Some(candidate) = self.candidates.iter_mut().flatten().find(|c| c.source == source) {
            let follows = candidate.ssrc == ssrc && (1..=2).contains(&sequence.wrapping_sub(candidate.sequence));
            candidate.count = if follows { candidate.count + 1 } else { 1 };
            (candidate.ssrc, candidate.sequence) = (ssrc, sequence);
            return candidate.count >= PROOF;
        }
        let place = self.candidates.iter().position(Option::is_none).unwrap_or(self.oldest);
        self.oldest = (place + 1) % CANDIDATES;
        if let Some(slot) = self.candidates.get_mut(place) {
            *slot = Some(Candidate { source, ssrc, sequence, count: 1 });
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    struct Bench {
        latch: Latch,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { latch: Latch::new(at(4_000)), now: Instant::now() }
        }
        fn packet(&mut self, port: u16, ssrc: u32, sequence: u16) -> bool {
            self.latch.accept(self.now, at(port), ssrc, sequence)
        }
    }

    #[test]
    fn the_named_address_is_believed_at_once_and_always() {
        let mut b = Bench::new();
        assert_eq!(b.latch.target(), at(4_000));
        assert!(b.packet(4_000, 1, 10));
        assert!((0..100).all(|i| !b.packet(6_666, 1, 11 + i)), "a stranger, even with the same stream");
        assert!(b.packet(4_000, 2, 900), "another stream from there");
        assert_eq!(b.latch.target(), at(4_000));
    }

    #[test]
    fn behind_a_nat_three_packets_in_a_row_are_believed() {
        let mut b = Bench::new();
        assert!(!b.packet(5_000, 1, 65_535));
        assert!(!b.packet(5_000, 1, 0));
        assert!(b.packet(5_000, 1, 1));
        assert_eq!(b.latch.target(), at(5_000));
        assert!((0..100).all(|i| !b.packet(6_666, 9, i)));
        assert!(b.packet(4_000, 1, 5), "the named address may still take it back");
    }

    #[test]
    fn what_does_not_belong_together_proves_nothing() {
        let mut b = Bench::new();
        assert!((0..50).all(|i| !b.packet(6_666, i, i as u16)), "a new source each time");
        assert!((0..50).all(|i| !b.packet(6_667, 1, i * 1_000)), "sequence numbers at random");
    }

    #[test]
    fn strangers_in_between_do_not_keep_the_peer_out() {
        let mut b = Bench::new();
        for i in 0..2 {
            assert!(!b.packet(6_666, i, 7 * i as u16) && !b.packet(5_000, 1, i as u16) && !b.packet(6_667, 3, 1));
        }
        assert!(b.packet(5_000, 1, 2));
    }

    #[test]
    fn a_nat_that_forgot_moves_the_stream_only_after_silence() {
        let mut b = Bench::new();
        for i in 0..3 {
            b.packet(5_000, 1, i);
        }
        assert!((3..10).all(|i| !b.packet(5_001, 1, i)));
        b.now += FORGOTTEN;
        assert!((3..10).all(|i| !b.packet(6_666, 2, i)), "another stream may not");
        assert!(!b.packet(5_001, 1, 11) && !b.packet(5_001, 1, 12));
        assert!(b.packet(5_001, 1, 13));
        assert_eq!(b.latch.target(), at(5_001));
    }

    #[test]
    fn a_new_offer_with_another_address_starts_anew_with_the_same_it_does_not() {
        let mut b = Bench::new();
        for i in 0..3 {
            b.packet(5_000, 1, i);
        }
        b.latch.rename(at(4_000));
        assert_eq!(b.latch.target(), at(5_000));
        b.latch.rename(at(4_002));
        assert_eq!(b.latch.target(), at(4_002));
    }
}
