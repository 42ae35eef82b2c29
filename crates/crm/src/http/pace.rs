//! How fast a system lets itself be asked: what it says in its answers, and what its documents say where it says nothing.
//! Pure: time comes in as an argument.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::Value;

/// Nobody is made to wait longer by a header, whatever it says: it may be wrong, or a date far off.
const LONGEST_HOLD: Duration = Duration::from_secs(120);
/// What a 429 without a word means.
pub(crate) const UNSAID: Duration = Duration::from_secs(1);

/// An answer, as the rules see it.
pub(crate) struct Seen<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    pub body: &'a Value,
}

impl Seen<'_> {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// A header that counts seconds, whole or with a fraction.
    pub fn seconds(&self, name: &str) -> Option<Duration> {
        let seconds: f64 = self.header(name)?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok().map(|d| d.min(LONGEST_HOLD))
    }

    /// `Retry-After` (RFC 9110 §10.2.3): seconds or a date.
    pub fn retry_after(&self) -> Option<Duration> {
        self.seconds("retry-after").or_else(|| {
            let date = jiff::fmt::rfc2822::parse(self.header("retry-after")?).ok()?.timestamp();
            let wait = date.as_second().saturating_sub(jiff::Timestamp::now().as_second());
            Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)).min(LONGEST_HOLD))
        })
    }
}

/// A vendor's ways where they differ.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// The request was turned away for its rate.
    pub limited: fn(&Seen<'_>) -> bool,
    /// How long to ask nothing after this answer. For one that was turned away too, if it says how long.
    pub hold: fn(&Seen<'_>) -> Option<Duration>,
    /// The credentials have run out: they are to be renewed and the request sent again.
    pub expired: fn(&Seen<'_>) -> bool,
    /// The least time between two searches, where the vendor limits them without a header.
    pub search_gap: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            limited: |seen| seen.status == 429,
            hold: |seen| seen.retry_after(),
            expired: |seen| seen.status == 401,
            search_gap: Duration::ZERO,
        }
    }
}

/// When the system may be asked next.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    not_before: Option<Instant>,
    next_search: Option<Instant>,
}

impl Pace {
    /// How long a request must wait. One that need not takes its place among the searches.
    pub fn admit(&mut self, now: Instant, search_gap: Option<Duration>) -> Result<(), Duration> {
        let wait = |at: Option<Instant>| at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let mut longest = wait(self.not_before);
        if search_gap.is_some() {
            longest = longest.max(wait(self.next_search));
        }
        if !longest.is_zero() {
            return Err(longest);
        }
        if let Some(gap) = search_gap {
            self.next_search = Some(now + gap);
        }
        Ok(())
    }

    /// Ask nothing for so long.
    pub fn hold(&mut self, now: Instant, wait: Duration) {
        let until = now + wait.min(LONGEST_HOLD);
        self.not_before = Some(self.not_before.map_or(until, |before| before.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_holds_everything_and_a_gap_only_searches() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let gap = Duration::from_millis(250);
        assert_eq!(pace.admit(now, Some(gap)), Ok(()));
        assert_eq!(pace.admit(now, Some(gap)), Err(gap));
        assert_eq!(pace.admit(now, None), Ok(()));
        pace.hold(now, Duration::from_secs(2));
        pace.hold(now, Duration::from_secs(1));
        assert_eq!(pace.admit(now, None), Err(Duration::from_secs(2)), "the longer hold counts");
        assert_eq!(pace.admit(now + Duration::from_secs(2), Some(gap)), Ok(()));
        pace.hold(now, Duration::from_secs(86_400));
        assert_eq!(pace.admit(now, None), Err(LONGEST_HOLD));
    }

    #[test]
    fn retry_after_in_both_writings() {
        let said = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", value.parse().unwrap());
            Seen { status: 429, headers: &headers, body: &Value::Null }.retry_after()
        };
        assert_eq!(said("3"), Some(Duration::from_secs(3)));
        assert_eq!(said("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(said("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(said("99999999"), Some(LONGEST_HOLD));
        assert_eq!(said("-4"), None);
        assert_eq!(said("soon"), None);
    }
}
