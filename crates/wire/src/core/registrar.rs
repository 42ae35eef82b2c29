//! Where extensions are now (RFC 3261 §10.3).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Peer;

/// The most contacts of one extension.
const MAX_CONTACTS: usize = 10;

/// One place where an extension is.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    /// The Contact URI.
    pub uri: String,
    /// Where its REGISTER came from: requests go there, through whatever NAT is between.
    pub peer: Peer,
    /// Until when.
    pub until: Instant,
    call_id: String,
    cseq: u32,
}

/// One contact of a REGISTER.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub uri: String,
    /// Seconds; `None` takes the request's Expires.
    pub expires: Option<u32>,
}

/// What a REGISTER did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The extension's first contact came.
    Appeared,
    /// Its last contact went.
    Vanished,
    /// Neither.
    None,
}

/// A REGISTER that is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    pub min_expires: Option<u32>,
}

/// All bindings.
#[derive(Debug)]
pub(crate) struct Registrar {
    bindings: BTreeMap<String, Vec<Binding>>,
    min: Duration,
    max: Duration,
}

impl Registrar {
    pub fn new((min, max): (Duration, Duration)) -> Self {
        Self { bindings: BTreeMap::new(), min, max }
    }

    /// The live contacts of an extension.
    pub fn contacts(&self, now: Instant, ext: &str) -> Vec<Binding> {
        self.bindings.get(ext).into_iter().flatten().filter(|b| b.until > now).cloned().collect()
    }

    /// Takes an authenticated REGISTER. `wanted` empty: a query.
    pub fn register(&mut self, now: Instant, ext: &str, wanted: &[Wanted], default: u32, (call_id, cseq): (&str, u32), peer: &Peer) -> Result<Change, Refusal> {
        let max = u32::try_from(self.max.as_secs()).unwrap_or(u32::MAX);
        let min = u32::try_from(self.min.as_secs()).unwrap_or(0);
        let expires = |w: &Wanted| w.expires.unwrap_or(default).min(max);
        if wanted.iter().map(expires).any(|e| e > 0 && e < min) {
            return Err(Refusal { code: 423, reason: "Interval Too Brief", min_expires: Some(min) });
        }
        let had = !self.contacts(now, ext).is_empty();
        let bindings = self.bindings.entry(ext.to_owned()).or_default();
        bindings.retain(|b| b.until > now);
        // RFC 3261 §10.3 step 7: an older request of the same Call-ID must not undo a newer one; all or nothing.
        let out_of_order = wanted.iter().any(|w| bindings.iter().any(|b| b.uri == w.uri && b.call_id == call_id && cseq <= b.cseq));
        if out_of_order {
            return Err(Refusal { code: 500, reason: "CSeq Out Of Order", min_expires: None });
        }
        let fresh = wanted.iter().filter(|w| expires(w) > 0 && !bindings.iter().any(|b| b.uri == w.uri)).count();
        if bindings.len() + fresh > MAX_CONTACTS {
            return Err(Refusal { code: 403, reason: "Too Many Contacts", min_expires: None });
        }
        for want in wanted {
            bindings.retain(|b| b.uri != want.uri);
            let seconds = expires(want);
            if seconds > 0 {
                let until = now + Duration::from_secs(u64::from(seconds));
                bindings.push(Binding { uri: want.uri.clone(), peer: peer.clone(), until, call_id: call_id.to_owned(), cseq });
            }
        }
        let has = !bindings.is_empty();
        if !has {
            self.bindings.remove(ext);
        }
        Ok(match (had, has) {
            (false, true) => Change::Appeared,
            (true, false) => Change::Vanished,
            _ => Change::None,
        })
    }

    /// `Contact: *` with `Expires: 0`.
    pub fn remove_all(&mut self, ext: &str) -> Change {
        if self.bindings.remove(ext).is_some() { Change::Vanished } else { Change::None }
    }

    /// When the next binding runs out.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.bindings.values().flatten().map(|b| b.until).min()
    }

    /// Drops what has run out; the extensions that are gone with it.
    pub fn expire(&mut self, now: Instant) -> Vec<String> {
        let mut gone = Vec::new();
        self.bindings.retain(|ext, bindings| {
            bindings.retain(|b| b.until > now);
            if bindings.is_empty() {
                gone.push(ext.clone());
            }
            !bindings.is_empty()
        });
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Transport;

    fn setup() -> (Registrar, Instant, Peer) {
        let peer = Peer { transport: Transport::Udp, addr: "127.0.0.1:5070".parse().unwrap(), via: 0 };
        (Registrar::new((Duration::from_secs(30), Duration::from_secs(3_600))), Instant::now(), peer)
    }

    fn want(uri: &str, expires: u32) -> Wanted {
        Wanted { uri: uri.into(), expires: Some(expires) }
    }

    #[test]
    fn comes_refreshes_expires() {
        let (mut r, t, peer) = setup();
        assert_eq!(r.register(t, "1001", &[want("sip:a@h", 60)], 3600, ("c", 1), &peer), Ok(Change::Appeared));
        assert_eq!(r.register(t, "1001", &[want("sip:a@h", 60)], 3600, ("c", 2), &peer), Ok(Change::None));
        assert_eq!(r.contacts(t + Duration::from_secs(59), "1001").len(), 1);
        assert!(r.contacts(t + Duration::from_secs(60), "1001").is_empty());
        assert_eq!(r.expire(t + Duration::from_secs(60)), ["1001"]);
        assert_eq!(r.poll_timeout(), None);
    }

    #[test]
    fn too_brief_is_423_and_too_long_is_cut() {
        let (mut r, t, peer) = setup();
        let refusal = r.register(t, "1001", &[want("sip:a@h", 5)], 3600, ("c", 1), &peer).unwrap_err();
        assert_eq!((refusal.code, refusal.min_expires), (423, Some(30)));
        r.register(t, "1001", &[want("sip:a@h", 999_999)], 3600, ("c", 1), &peer).unwrap();
        assert_eq!(r.poll_timeout(), Some(t + Duration::from_secs(3_600)));
    }

    #[test]
    fn an_old_request_does_not_undo_a_new_one() {
        let (mut r, t, peer) = setup();
        r.register(t, "1001", &[want("sip:a@h", 60)], 3600, ("c", 7), &peer).unwrap();
        assert_eq!(r.register(t, "1001", &[want("sip:a@h", 0)], 3600, ("c", 6), &peer).unwrap_err().code, 500);
        assert_eq!(r.contacts(t, "1001").len(), 1);
        assert_eq!(r.register(t, "1001", &[want("sip:a@h", 0)], 3600, ("c", 8), &peer), Ok(Change::Vanished));
    }

    #[test]
    fn several_contacts_and_a_bound() {
        let (mut r, t, peer) = setup();
        for i in 0..MAX_CONTACTS {
            r.register(t, "1001", &[want(&format!("sip:a{i}@h"), 60)], 3600, ("c", i as u32), &peer).unwrap();
        }
        assert_eq!(r.register(t, "1001", &[want("sip:more@h", 60)], 3600, ("d", 1), &peer).unwrap_err().code, 403);
        assert_eq!(r.remove_all("1001"), Change::Vanished);
        assert_eq!(r.remove_all("1001"), Change::None);
    }
}
