//! A circuit breaker: a system that fails again and again is left alone for a while, so that callers do not wait for
//! timeouts and the system can come back. Pure: time comes in as an argument.

use std::time::{Duration, Instant};

/// So many failures in a row open it.
const THRESHOLD: u32 = 5;
/// How long it stays open the first time; doubles with each failed probe.
const FIRST_REST: Duration = Duration::from_secs(2);
/// It does not stay open longer than this between probes.
const LONGEST_REST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    /// Open until then; after that one request probes.
    open_until: Option<Instant>,
    rest: Duration,
    /// A probe is under way since then.
    probing: Option<Instant>,
}

impl Breaker {
    /// May a request go? If not, how long to wait.
    pub fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        let Some(until) = self.open_until else { return Ok(()) };
        if let Some(wait) = until.checked_duration_since(now).filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        // A probe whose caller gave up reports nothing: after a rest it counts as failed.
        if let Some(since) = self.probing
            && now.saturating_duration_since(since) < self.rest
        {
            return Err(self.rest - now.saturating_duration_since(since));
        }
        self.probing = Some(now);
        Ok(())
    }

    /// The system answered.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It could not be reached, gave no answer, or answered that it is broken. Answers whether it is open now.
    pub fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.probing = None;
        if self.failures < THRESHOLD {
            return false;
        }
        self.rest = if self.rest.is_zero() { FIRST_REST } else { (self.rest * 2).min(LONGEST_REST) };
        self.open_until = Some(now + self.rest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_opens_after_a_row_of_failures_and_probes_with_longer_rests() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        for _ in 1..THRESHOLD {
            assert!(!breaker.failed(start));
            assert_eq!(breaker.admit(start), Ok(()));
        }
        assert!(breaker.failed(start));
        assert_eq!(breaker.admit(start + SECOND), Err(SECOND));
        let probe = start + FIRST_REST;
        assert_eq!(breaker.admit(probe), Ok(()), "one probes");
        assert_eq!(breaker.admit(probe), Err(FIRST_REST), "the others wait for it");
        assert!(breaker.failed(probe));
        assert_eq!(breaker.admit(probe), Err(FIRST_REST * 2));
        let mut now = probe;
        for _ in 0..10 {
            now += LONGEST_REST;
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.failed(now);
        }
        assert_eq!(breaker.admit(now), Err(LONGEST_REST));
        breaker.succeeded();
        assert_eq!(breaker.admit(now), Ok(()));
        assert!(!breaker.failed(now), "it counts from the start again");
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..20 {
            for _ in 1..THRESHOLD {
                assert!(!breaker.failed(now));
            }
            breaker.succeeded();
        }
    }

    #[test]
    fn a_probe_nobody_hears_of_again_does_not_lock_it() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        (0..THRESHOLD).for_each(|_| _ = breaker.failed(now));
        assert_eq!(breaker.admit(now + FIRST_REST), Ok(()));
        assert_eq!(breaker.admit(now + FIRST_REST * 2), Ok(()), "the first probe was dropped");
    }
}
