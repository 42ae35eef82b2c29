//! Who sends too much, who fails too often, and for how long nobody listens to them. Pure: time and addresses in,
//! verdicts out; each table has one owner and a fixed largest size.
//!
//! A UDP source can be forged, so a ban can be provoked against somebody else: networks that must never be shut out belong
//! into [`Defence::trusted`]. What must always hold: a ban ends by itself; trusted networks are never limited; no table
//! grows with the number of addresses an attacker makes up.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use ipnet::IpNet;

/// Sources remembered in one table.
const MAX_SOURCES: usize = 65_536;
/// Pause between two sweeps of a full table.
const SWEEP: Duration = Duration::from_secs(1);
/// A limited source is reported once in this time.
const REPORT: Duration = Duration::from_secs(30);

/// Bounds for one source: an IPv4 address or an IPv6 /64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defence {
    /// Never limited, never banned: trunks, proxies in front. Loopback by default.
    pub trusted: Vec<IpNet>,
    /// Messages a second that one source may send in the long run; 0 is no limit.
    pub messages_per_s: u32,
    /// Messages it may send at once.
    pub message_burst: u32,
    /// Connections a second that one source may open in the long run; 0 is no limit.
    pub connections_per_s: u32,
    /// Connections it may open at once.
    pub connection_burst: u32,
    /// Failures within `window` that get a source banned: wrong passwords, unknown extensions, foreign addresses, numbers
    /// nobody has. 0 bans nobody.
    pub failures: u32,
    /// In which time failures count.
    pub window: Duration,
    /// How long a ban lasts.
    pub ban: Duration,
}

impl Default for Defence {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"];
        Self {
            trusted: loopback.iter().filter_map(|net| net.parse().ok()).collect(),
            messages_per_s: 500,
            message_burst: 2_000,
            connections_per_s: 20,
            connection_burst: 200,
            failures: 20,
            window: Duration::from_secs(60),
            ban: Duration::from_secs(600),
        }
    }
}

impl Defence {
    /// Whether a source is never limited.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.trusted.iter().any(|net| net.contains(&ip))
    }
}

/// What stands for all addresses of one source: an IPv6 host has a whole /64 to send from.
pub(crate) fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Tokens that come back with time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant, per_s: f64, burst: f64) -> bool {
        let back = now.saturating_duration_since(self.at).as_secs_f64() * per_s;
        self.tokens = (self.tokens + back).min(burst);
        self.at = now;
        let has = self.tokens >= 1.0;
        if has {
            self.tokens -= 1.0;
        }
        has
    }
}

/// The pace of one connection.
#[derive(Debug)]
pub(crate) struct Pace {
    bucket: Bucket,
    per_s: f64,
    burst: f64,
}

impl Pace {
    pub fn new(defence: &Defence, ip: IpAddr) -> Self {
        let free = defence.messages_per_s == 0 || defence.trusts(ip);
        let per_s = if free { f64::INFINITY } else { f64::from(defence.messages_per_s) };
        let burst = f64::from(defence.message_burst.max(1));
        Self { bucket: Bucket { tokens: burst, at: Instant::now() }, per_s, burst }
    }

    /// Whether one more message is within bounds.
    pub fn admit(&mut self, now: Instant) -> bool {
        self.per_s.is_infinite() || self.bucket.take(now, self.per_s, self.burst)
    }
}

/// What becomes of one more arrival of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Admitted,
    /// Too many. `report`: nobody was told of this source lately.
    Refused {
        report: bool,
    },
}

/// The pace of all sources at one socket.
#[derive(Debug)]
pub(crate) struct Rate {
    per_s: f64,
    burst: f64,
    trusted: Defence,
    sources: HashMap<IpAddr, (Bucket, Option<Instant>)>,
    swept: Option<Instant>,
}

impl Rate {
    pub fn of_messages(defence: &Defence) -> Self {
        Self::new(defence, defence.messages_per_s, defence.message_burst)
    }

    pub fn of_connections(defence: &Defence) -> Self {
        Self::new(defence, defence.connections_per_s, defence.connection_burst)
    }

    fn new(defence: &Defence, per_s: u32, burst: u32) -> Self {
        let (per_s, burst) = (f64::from(per_s), f64::from(burst.max(1)));
        Self { per_s, burst, trusted: defence.clone(), sources: HashMap::new(), swept: None }
    }

    /// Counts one more arrival.
    pub fn admit(&mut self, now: Instant, ip: IpAddr) -> Admission {
        if self.per_s == 0.0 || self.trusted.trusts(ip) {
            return Admission::Admitted;
        }
        let mut key = source(ip);
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&key) {
            self.sweep(now);
            if self.sources.len() >= MAX_SOURCES {
                key = IpAddr::V6(Ipv6Addr::UNSPECIFIED); // who finds no room shares one pace with all others
            }
        }
        let fresh = (Bucket { tokens: self.burst, at: now }, None);
        let (bucket, reported) = self.sources.entry(key).or_insert(fresh);
        if bucket.take(now, self.per_s, self.burst) {
            return Admission::Admitted;
        }
        let report = reported.is_none_or(|at| now >= at + REPORT);
        if report {
            *reported = Some(now);
        }
        Admission::Refused { report }
    }

    /// Forgets those whose bucket is full again. Once a second: the work for made-up addresses must stay small too.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|at| now < at + SWEEP) {
            return;
        }
        self.swept = Some(now);
        let full = Duration::from_secs_f64(self.burst / self.per_s);
        self.sources.retain(|_, (bucket, _)| now < bucket.at + full);
    }
}

/// A source that is not listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ban {
    pub source: IpAddr,
    pub until: Instant,
    pub failures: u32,
}

/// Failures and bans of all sources.
#[derive(Debug)]
pub(crate) struct Bans {
    defence: Defence,
    failures: HashMap<IpAddr, (u32, Instant)>,
    banned: HashMap<IpAddr, Instant>,
}

impl Bans {
    pub fn new(defence: Defence) -> Self {
        Self { defence, failures: HashMap::new(), banned: HashMap::new() }
    }

    /// Counts a failure; the ban it leads to, if any.
    pub fn failed(&mut self, now: Instant, ip: IpAddr) -> Option<Ban> {
        if self.defence.failures == 0 || self.defence.trusts(ip) {
            return None;
        }
        let source = source(ip);
        if self.banned.contains_key(&source) {
            return None;
        }
        if self.failures.len() >= MAX_SOURCES && !self.failures.contains_key(&source) {
            self.failures.clear(); // an attack from everywhere: begin to count anew rather than grow
        }
        let (count, since) = self.failures.entry(source).or_insert((0, now));
        if now >= *since + self.defence.window {
            (*count, *since) = (0, now);
        }
        *count += 1;
        let failures = *count;
        if failures < self.defence.failures || self.banned.len() >= MAX_SOURCES {
            return None;
        }
        self.failures.remove(&source);
        let until = now + self.defence.ban;
        self.banned.insert(source, until);
        Some(Ban { source, until, failures })
    }

    /// Whether a source is banned.
    pub fn is_banned(&self, now: Instant, ip: IpAddr) -> bool {
        !self.banned.is_empty() && self.banned.get(&source(ip)).is_some_and(|until| now < *until)
    }

    /// A ban's time may be over; whether it is.
    pub fn expire(&mut self, now: Instant, source: IpAddr) -> bool {
        let over = self.banned.get(&source).is_some_and(|until| now >= *until);
        if over {
            self.banned.remove(&source);
        }
        over
    }

    /// Ends a ban before its time; whether there was one.
    pub fn pardon(&mut self, ip: IpAddr) -> bool {
        self.failures.remove(&source(ip));
        self.banned.remove(&source(ip)).is_some()
    }

    /// Sources that are banned now.
    pub fn len(&self) -> usize {
        self.banned.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defence() -> Defence {
        Defence {
            messages_per_s: 10,
            message_burst: 20,
            failures: 3,
            window: Duration::from_secs(60),
            ban: Duration::from_secs(600),
            ..Defence::default()
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_then_a_steady_pace_and_one_report() {
        let (mut rate, t) = (Rate::of_messages(&defence()), Instant::now());
        let mut admitted = |at: Instant, n: usize, from: &str| {
            (0..n).filter(|_| rate.admit(at, ip(from)) == Admission::Admitted).count()
        };
        assert_eq!(admitted(t, 30, "192.0.2.1"), 20);
        assert_eq!(admitted(t, 30, "192.0.2.2"), 20, "each source has its own");
        assert_eq!(admitted(t + Duration::from_secs(1), 30, "192.0.2.1"), 10);
        assert_eq!(admitted(t + Duration::from_secs(100), 30, "192.0.2.1"), 20, "no more than a burst is saved up");
        assert_eq!(admitted(t, 5_000, "127.0.0.1"), 5_000, "trusted");
        assert_eq!(admitted(t, 15, "2001:db8::1") + admitted(t, 15, "2001:db8::2"), 20, "a /64 is one source");
        assert_eq!(admitted(t, 15, "::ffff:198.51.100.1") + admitted(t, 15, "198.51.100.1"), 20);
        let reports = (0..50).filter(|_| rate.admit(t, ip("192.0.2.2")) == Admission::Refused { report: true }).count();
        assert_eq!(reports, 0, "told of already");
        let later = t + REPORT;
        (0..20).for_each(|_| _ = rate.admit(later, ip("192.0.2.2")));
        assert_eq!(rate.admit(later, ip("192.0.2.2")), Admission::Refused { report: true });
    }

    #[test]
    fn made_up_addresses_fill_no_memory() {
        let (mut rate, mut bans, t) = (Rate::of_messages(&defence()), Bans::new(defence()), Instant::now());
        for n in 0..200_000u32 {
            let from = IpAddr::V4((0x2000_0000 + n).into());
            rate.admit(t, from);
            bans.failed(t, from);
        }
        assert!(rate.sources.len() <= MAX_SOURCES + 1 && bans.failures.len() <= MAX_SOURCES);
        assert_eq!(rate.admit(t, ip("203.0.113.1")), Admission::Refused { report: false }, "shares with the others");
        assert_eq!(rate.admit(t + Duration::from_secs(2), ip("203.0.113.1")), Admission::Admitted);
        assert!(rate.sources.len() < 10);
    }

    #[test]
    fn failures_within_the_window_ban_until_it_is_over() {
        let (mut bans, t, him) = (Bans::new(defence()), Instant::now(), ip("192.0.2.1"));
        let at = |s| t + Duration::from_secs(s);
        assert_eq!((bans.failed(at(0), him), bans.failed(at(30), him)), (None, None));
        assert_eq!(bans.failed(at(60), him), None, "a new window");
        assert_eq!(bans.failed(at(61), him), None);
        let ban = bans.failed(at(62), him).unwrap();
        assert_eq!((ban.until, ban.failures, ban.source), (at(662), 3, him));
        assert_eq!(bans.failed(at(63), him), None, "banned once");
        assert!(
            bans.is_banned(at(661), him) && !bans.is_banned(at(662), him) && !bans.is_banned(at(63), ip("192.0.2.2"))
        );
        assert!(!bans.expire(at(661), him) && bans.expire(at(662), him) && !bans.expire(at(663), him));
        assert_eq!((bans.failed(at(663), him), bans.len()), (None, 0), "a clean sheet");
    }

    #[test]
    fn trusted_sources_and_the_pardoned_are_heard() {
        let (mut bans, t) = (Bans::new(defence()), Instant::now());
        for _ in 0..100 {
            assert_eq!(bans.failed(t, ip("::ffff:127.0.0.1")), None);
            bans.failed(t, ip("2001:db8::1"));
        }
        assert!(bans.is_banned(t, ip("2001:db8::ffff")));
        assert!(bans.pardon(ip("2001:db8::2")) && !bans.is_banned(t, ip("2001:db8::1")));
        let mut off = Bans::new(Defence { failures: 0, ..defence() });
        assert!((0..100).all(|_| off.failed(t, ip("192.0.2.1")).is_none()));
    }

    #[test]
    fn a_connection_has_the_same_pace() {
        let t = Instant::now();
        let mut pace = Pace::new(&defence(), ip("192.0.2.1"));
        assert_eq!((0..40).filter(|_| pace.admit(t)).count(), 20);
        let mut free = Pace::new(&defence(), ip("127.0.0.1"));
        assert!((0..5_000).all(|_| free.admit(t)));
    }
}
