//! Where extensions are now (RFC 3261 §10.3): bindings with their expiry, nothing of who may set them. Changes are all or
//! nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::flow::Flow;

/// One place where an extension can be reached.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    /// Contact URI, the Request-URI of calls to it.
    pub uri: String,
    /// `+sip.instance`, by which a phone that comes back from elsewhere replaces its former self.
    pub instance: Option<String>,
    /// Where calls to it are sent.
    pub flow: Flow,
    /// Route of requests to it, nearest hop first (RFC 3327).
    pub path: Vec<String>,
    /// Preference in thousandths.
    pub q: u16,
    pub user_agent: Option<String>,
    pub until: Instant,
    pub reach: Reach,
    pub call_id: String,
    pub cseq: u32,
}

/// What asking a contact by OPTIONS has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It has never answered; it may be one of those that answer no OPTIONS.
    Unknown,
    /// It answered last time.
    Answers,
    /// It did answer, and does no longer.
    Silent,
}

/// One Contact of a REGISTER.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub uri: String,
    pub instance: Option<String>,
    /// Seconds, from its parameter or the Expires header.
    pub expires: u32,
    pub flow: Flow,
    pub path: Vec<String>,
    pub q: u16,
}

/// Who sent a REGISTER, as far as bindings remember it.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub call_id: String,
    pub cseq: u32,
    pub user_agent: Option<String>,
}

/// Why a REGISTER changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegisterError {
    #[error("a registration of less than {min_s} s")]
    TooBrief { min_s: u32 },
    #[error("more than {most} contacts")]
    TooMany { most: usize },
    #[error("CSeq is not above that of an earlier request of this Call-ID")]
    OutOfOrder,
}

/// All bindings of all extensions.
#[derive(Debug)]
pub(crate) struct Registrar {
    bindings: BTreeMap<String, Vec<Binding>>,
    min: u32,
    max: u32,
    most: usize,
}

impl Registrar {
    pub fn new(min: Duration, max: Duration, most: usize) -> Self {
        let seconds = |d: Duration| u32::try_from(d.as_secs()).unwrap_or(u32::MAX);
        Self { bindings: BTreeMap::new(), min: seconds(min), max: seconds(max), most }
    }

    /// The bindings of an extension that are alive.
    pub fn contacts(&self, now: Instant, ext: &str) -> impl Iterator<Item = &Binding> {
        self.bindings.get(ext).into_iter().flatten().filter(move |b| b.until > now)
    }

    /// Those of them that may be called, the preferred ones first.
    pub fn callable(&self, now: Instant, ext: &str) -> Vec<&Binding> {
        let mut all: Vec<_> = self.contacts(now, ext).filter(|b| b.reach != Reach::Silent).collect();
        all.sort_by_key(|b| std::cmp::Reverse(b.q));
        all
    }

    /// Whether somebody is registered at that very address and port.
    pub fn is_at(&self, now: Instant, flow: Flow) -> bool {
        let at = |b: &Binding| b.until > now && b.flow.remote == flow.remote && b.flow.transport == flow.transport;
        self.bindings.values().flatten().any(at)
    }

    /// Notes whether a contact answered; `Some` with whether it can be reached, if that changed.
    pub fn qualified(&mut self, ext: &str, uri: &str, answered: bool) -> Option<bool> {
        let binding = self.bindings.get_mut(ext)?.iter_mut().find(|b| b.uri == uri)?;
        let before = binding.reach;
        binding.reach = match (before, answered) {
            (_, true) => Reach::Answers,
            (Reach::Unknown, false) => Reach::Unknown,
            (Reach::Answers | Reach::Silent, false) => Reach::Silent,
        };
        let silent = |reach| reach == Reach::Silent;
        (silent(before) != silent(binding.reach)).then_some(answered)
    }

    /// Puts back what a snapshot held.
    pub fn restore(&mut self, ext: &str, binding: Binding) {
        let of_ext = self.bindings.entry(ext.to_owned()).or_default();
        of_ext.retain(|b| b.uri != binding.uri);
        of_ext.push(binding);
    }

    /// Bindings in all.
    pub fn len(&self) -> usize {
        self.bindings.values().map(Vec::len).sum()
    }

    /// Sets, refreshes and removes bindings; gives the seconds granted to each wish, in order.
    pub fn register(
        &mut self,
        now: Instant,
        ext: &str,
        wishes: &[Wish],
        from: &Origin,
    ) -> Result<Vec<u32>, RegisterError> {
        let granted: Vec<u32> = wishes.iter().map(|w| w.expires.min(self.max)).collect();
        if granted.iter().any(|s| *s > 0 && *s < self.min) {
            return Err(RegisterError::TooBrief { min_s: self.min });
        }
        let mut next: Vec<Binding> = self.contacts(now, ext).cloned().collect();
        for (wish, seconds) in wishes.iter().zip(&granted) {
            if next.iter().any(|b| b.uri == wish.uri && b.call_id == from.call_id && from.cseq <= b.cseq) {
                return Err(RegisterError::OutOfOrder);
            }
            let known = next.iter().any(|b| b.uri == wish.uri && b.reach == Reach::Answers);
            next.retain(|b| b.uri != wish.uri && (wish.instance.is_none() || b.instance != wish.instance));
            if *seconds > 0 {
                let until = now + Duration::from_secs(u64::from(*seconds));
                let Origin { call_id, cseq, user_agent } = from.clone();
                next.push(Binding {
                    uri: wish.uri.clone(),
                    instance: wish.instance.clone(),
                    flow: wish.flow,
                    path: wish.path.clone(),
                    q: wish.q,
                    user_agent,
                    until,
                    reach: if known { Reach::Answers } else { Reach::Unknown },
                    call_id,
                    cseq,
                });
            }
        }
        if next.len() > self.most {
            return Err(RegisterError::TooMany { most: self.most });
        }
        self.replace(ext, next);
        Ok(granted)
    }

    /// `Contact: *` with `Expires: 0`.
    pub fn remove_all(&mut self, now: Instant, ext: &str, from: &Origin) -> Result<(), RegisterError> {
        if self.contacts(now, ext).any(|b| b.call_id == from.call_id && from.cseq <= b.cseq) {
            return Err(RegisterError::OutOfOrder);
        }
        self.replace(ext, Vec::new());
        Ok(())
    }

    /// Drops what has run out of an extension; whether it is gone with it.
    pub fn expire(&mut self, now: Instant, ext: &str) -> bool {
        let Some(bindings) = self.bindings.get_mut(ext) else { return false };
        bindings.retain(|b| b.until > now);
        bindings.is_empty() && self.bindings.remove(ext).is_some()
    }

    fn replace(&mut self, ext: &str, bindings: Vec<Binding>) {
        if bindings.is_empty() {
            self.bindings.remove(ext);
        } else {
            self.bindings.insert(ext.to_owned(), bindings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Transport;

    fn flow() -> Flow {
        let addr = "127.0.0.1:5070".parse().unwrap();
        Flow { transport: Transport::Udp, listener: 0, local: addr, remote: addr, connection: None }
    }

    fn wish(uri: &str, expires: u32) -> Wish {
        Wish { uri: uri.into(), instance: None, expires, flow: flow(), path: Vec::new(), q: 1_000 }
    }

    fn from(cseq: u32) -> Origin {
        Origin { call_id: "c".into(), cseq, user_agent: None }
    }

    fn setup() -> (Registrar, Instant) {
        (Registrar::new(Duration::from_secs(60), Duration::from_secs(3_600), 3), Instant::now())
    }

    #[test]
    fn comes_refreshes_goes() {
        let (mut r, t) = setup();
        assert_eq!(
            r.register(t, "1001", &[wish("sip:a@h", 60), wish("sip:b@h", 99_999)], &from(1)),
            Ok(vec![60, 3_600])
        );
        assert_eq!(r.contacts(t + Duration::from_secs(59), "1001").count(), 2);
        assert_eq!(r.contacts(t + Duration::from_secs(60), "1001").count(), 1);
        assert!(!r.expire(t + Duration::from_secs(60), "1001"));
        r.register(t, "1001", &[wish("sip:b@h", 0)], &from(2)).unwrap();
        assert_eq!(r.len(), 0);
        r.register(t, "1001", &[wish("sip:b@h", 60)], &from(3)).unwrap();
        assert!(r.expire(t + Duration::from_secs(61), "1001") && !r.expire(t + Duration::from_secs(61), "1001"));
    }

    #[test]
    fn refusals_change_nothing() {
        let (mut r, t) = setup();
        r.register(t, "1001", &[wish("sip:a@h", 60)], &from(5)).unwrap();
        assert_eq!(
            r.register(t, "1001", &[wish("sip:b@h", 600), wish("sip:c@h", 59)], &from(6)),
            Err(RegisterError::TooBrief { min_s: 60 })
        );
        assert_eq!(
            r.register(t, "1001", &[wish("sip:b@h", 600), wish("sip:a@h", 0)], &from(5)),
            Err(RegisterError::OutOfOrder)
        );
        assert_eq!(r.remove_all(t, "1001", &from(4)), Err(RegisterError::OutOfOrder));
        let four = ["a", "b", "c", "d"].map(|u| wish(&format!("sip:{u}@h"), 60));
        assert_eq!(r.register(t, "1001", &four, &from(7)), Err(RegisterError::TooMany { most: 3 }));
        assert_eq!(r.contacts(t, "1001").map(|b| b.uri.as_str()).collect::<Vec<_>>(), ["sip:a@h"]);
        r.remove_all(t, "1001", &from(8)).unwrap();
        assert_eq!(r.len(), 0);
    }

    #[test]
    fn only_who_did_answer_can_fall_silent() {
        let (mut r, t) = setup();
        r.register(t, "1001", &[Wish { q: 300, ..wish("sip:a@h", 60) }, wish("sip:b@h", 60)], &from(1)).unwrap();
        let callable = |r: &Registrar| r.callable(t, "1001").iter().map(|b| b.uri.clone()).collect::<Vec<_>>();
        assert_eq!(callable(&r), ["sip:b@h", "sip:a@h"], "by q");
        assert_eq!(r.qualified("1001", "sip:a@h", false), None);
        assert_eq!(r.qualified("1001", "sip:b@h", true), None);
        assert_eq!(r.qualified("1001", "sip:b@h", false), Some(false));
        assert_eq!(r.qualified("1001", "sip:b@h", false), None);
        assert_eq!(callable(&r), ["sip:a@h"]);
        assert_eq!(r.qualified("1001", "sip:b@h", true), Some(true));
        r.qualified("1001", "sip:b@h", false);
        r.register(t, "1001", &[wish("sip:b@h", 60)], &from(2)).unwrap();
        assert_eq!(callable(&r).len(), 2, "a REGISTER is a sign of life");
        assert_eq!(r.qualified("1001", "sip:c@h", true), None);
    }

    #[test]
    fn a_phone_that_moved_replaces_itself() {
        let (mut r, t) = setup();
        for port in [1, 2] {
            let moved = Wish { instance: Some("<urn:uuid:1>".into()), ..wish(&format!("sip:a@h:{port}"), 60) };
            r.register(t, "1001", &[moved], &Origin { call_id: port.to_string(), cseq: 1, user_agent: None }).unwrap();
        }
        assert_eq!(r.contacts(t, "1001").map(|b| b.uri.as_str()).collect::<Vec<_>>(), ["sip:a@h:2"]);
    }
}
