//! Digest access authentication (RFC 7616, RFC 8760), the verifying side. Passwords are kept as HA1 hashes. Nonces carry
//! their own time and a keyed mark, so a challenge costs no memory; what is remembered is only the count of those in use,
//! so that a replayed one is refused.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use sha2::Sha256;

/// How long a nonce is good for; after it the answer is a new challenge with `stale=true`.
const NONCE_LIFE: Duration = Duration::from_secs(300);
/// Nonces in use that are remembered.
const REMEMBERED: usize = 20_000;

/// A password's hashes for one user and realm. The password itself is not kept.
#[derive(Clone)]
pub struct Ha1 {
    md5: String,
    sha256: Option<String>,
}

impl std::fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ha1(***)")
    }
}

impl Ha1 {
    /// `H(user:realm:password)`.
    pub fn from_password(user: &str, realm: &str, password: &str) -> Self {
        let text = format!("{user}:{realm}:{password}");
        Self { md5: hex(&Md5::digest(&text)), sha256: Some(hex(&Sha256::digest(&text))) }
    }

    /// From the MD5 hash alone; such an extension cannot use SHA-256. `None` if it is not 32 hex digits.
    pub fn from_md5_hex(md5: &str) -> Option<Self> {
        let fits = md5.len() == 32 && md5.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| Self { md5: md5.to_ascii_lowercase(), sha256: None })
    }
}

/// What an Authorization header amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The user is who they say.
    Granted {
        /// User name.
        user: String,
    },
    /// Challenge (again); `stale`: the password was right, the nonce too old.
    Challenge {
        /// The password was right.
        stale: bool,
    },
    /// The password is wrong, or the user is unknown. To the client it looks like a challenge.
    Denied {
        /// For the log.
        user: String,
        /// For the log.
        why: &'static str,
    },
}

/// The verifier of one realm.
pub struct Verifier {
    realm: String,
    users: HashMap<String, Ha1>,
    key: [u8; 32],
    began: Instant,
    /// Highest nonce count seen, and when; of nonces that were used with success.
    used: HashMap<String, (u32, Instant)>,
    issued: u64,
}

impl Verifier {
    /// For these users. `key` must be random and private.
    pub fn new(now: Instant, realm: String, users: HashMap<String, Ha1>, key: [u8; 32]) -> Self {
        Self { realm, users, key, began: now, used: HashMap::new(), issued: 0 }
    }

    /// The WWW-Authenticate values to send, strongest first (RFC 8760 §2.4).
    pub fn challenges(&mut self, now: Instant, stale: bool) -> Vec<String> {
        let nonce = self.nonce(now);
        let stale = if stale { ", stale=true" } else { "" };
        ["SHA-256", "MD5"]
            .map(|algorithm| format!("Digest realm=\"{}\", nonce=\"{nonce}\", qop=\"auth\", algorithm={algorithm}{stale}", self.realm))
            .to_vec()
    }

    /// Judges an Authorization value for a request of this method.
    pub fn verify(&mut self, now: Instant, authorization: &str, method: &str) -> Verdict {
        let Some(fields) = parse(authorization) else { return Verdict::Challenge { stale: false } };
        let get = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        let user = get("username").to_owned();
        let denied = |why| Verdict::Denied { user: user.clone(), why };
        if get("realm") != self.realm {
            return Verdict::Challenge { stale: false };
        }
        let Some(age) = self.age(now, get("nonce")) else { return Verdict::Challenge { stale: false } };
        let sha256 = get("algorithm").eq_ignore_ascii_case("SHA-256");
        if !sha256 && !get("algorithm").is_empty() && !get("algorithm").eq_ignore_ascii_case("MD5") {
            return Verdict::Challenge { stale: false };
        }
        let Some(ha1) = self.users.get(&user) else { return denied("no such extension") };
        let ha1 = match (sha256, &ha1.sha256) {
            (false, _) => &ha1.md5,
            (true, Some(hash)) => hash,
            (true, None) => return denied("only MD5 is possible for an extension whose HA1 is configured"),
        };
        let hash = |text: String| if sha256 { hex(&Sha256::digest(text)) } else { hex(&Md5::digest(text)) };
        let ha2 = hash(format!("{method}:{}", get("uri")));
        let expected = if get("qop").is_empty() {
            hash(format!("{ha1}:{}:{ha2}", get("nonce"))) // RFC 2069 clients
        } else {
            hash(format!("{ha1}:{}:{}:{}:{}:{ha2}", get("nonce"), get("nc"), get("cnonce"), get("qop")))
        };
        if !same(expected.as_bytes(), get("response").to_ascii_lowercase().as_bytes()) {
            return denied("wrong password");
        }
        if age > NONCE_LIFE {
            return Verdict::Challenge { stale: true };
        }
        // RFC 7616 §3.4: the count must rise, or the request is a replay. A client without qop gets one use of a nonce.
        let count = u32::from_str_radix(get("nc"), 16).unwrap_or(1);
        let nonce = get("nonce").to_owned();
        if self.used.get(&nonce).is_some_and(|(last, _)| count <= *last) {
            return Verdict::Challenge { stale: true };
        }
        if self.used.len() >= REMEMBERED {
            self.used.retain(|_, (_, at)| now.saturating_duration_since(*at) < NONCE_LIFE);
        }
        self.used.insert(nonce, (count, now));
        Verdict::Granted { user }
    }

    fn nonce(&mut self, now: Instant) -> String {
        self.issued += 1;
        let ms = now.saturating_duration_since(self.began).as_millis();
        let body = format!("{ms:012x}{:08x}", self.issued as u32);
        format!("{body}{}", self.mark(&body))
    }

    /// How old a nonce of ours is; `None` if it is not ours.
    fn age(&self, now: Instant, nonce: &str) -> Option<Duration> {
        let (body, mark) = (nonce.get(..20)?, nonce.get(20..)?);
        if !same(self.mark(body).as_bytes(), mark.as_bytes()) {
            return None;
        }
        let issued = Duration::from_millis(u64::from_str_radix(body.get(..12)?, 16).ok()?);
        Some(now.saturating_duration_since(self.began).saturating_sub(issued))
    }

    fn mark(&self, body: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(body);
        hash.update(self.key);
        hex(&hash.finalize()[..12])
    }
}

/// The fields of a Digest value.
fn parse(value: &str) -> Option<HashMap<String, String>> {
    let (scheme, rest) = value.trim().split_once(char::is_whitespace)?;
    if !scheme.eq_ignore_ascii_case("digest") {
        return None;
    }
    let mut fields = HashMap::new();
    let mut rest = rest.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut value = String::new();
                let mut chars = quoted.char_indices();
                let end = loop {
                    match chars.next()? {
                        (_, '\\') => value.push(chars.next()?.1),
                        (i, '"') => break i,
                        (_, c) => value.push(c),
                    }
                };
                (value, &quoted[end + 1..])
            }
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        fields.insert(name.trim().to_ascii_lowercase(), value);
        rest = tail.trim_start().trim_start_matches(',').trim_start();
    }
    Some(fields)
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier() -> (Verifier, Instant) {
        let now = Instant::now();
        let users = HashMap::from([("1001".to_owned(), Ha1::from_password("1001", "r", "secret"))]);
        (Verifier::new(now, "r".into(), users, [7; 32]), now)
    }

    fn nonce_of(challenge: &str) -> String {
        parse(challenge).unwrap()["nonce"].clone()
    }

    fn answer(nonce: &str, user: &str, password: &str, nc: u32, sha256: bool) -> String {
        let h = |t: String| if sha256 { hex(&Sha256::digest(t)) } else { hex(&Md5::digest(t)) };
        let (ha1, ha2) = (h(format!("{user}:r:{password}")), h("REGISTER:sip:r".into()));
        let response = h(format!("{ha1}:{nonce}:{nc:08x}:abc:auth:{ha2}"));
        let algorithm = if sha256 { "SHA-256" } else { "MD5" };
        format!(
            "Digest username=\"{user}\", realm=\"r\", nonce=\"{nonce}\", uri=\"sip:r\", response=\"{response}\", algorithm={algorithm}, cnonce=\"abc\", qop=auth, nc={nc:08x}"
        )
    }

    #[test]
    fn the_example_of_rfc_2617() {
        // §3.5: HA1 and HA2 as printed there.
        let ha1 = Ha1::from_password("Mufasa", "testrealm@host.com", "Circle Of Life");
        assert_eq!(ha1.md5, "939e7578ed9e3c518a452acee763bce9");
        let ha2 = hex(&Md5::digest("GET:/dir/index.html"));
        let response = hex(&Md5::digest(format!("{}:dcd98b7102dd2f0e8b11d0f600bfb0c093:00000001:0a4f113b:auth:{ha2}", ha1.md5)));
        assert_eq!(response, "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn both_algorithms_are_granted_and_a_wrong_password_is_not() {
        for sha256 in [true, false] {
            let (mut v, now) = verifier();
            let challenges = v.challenges(now, false);
            assert!(challenges[0].contains("algorithm=SHA-256") && challenges[1].contains("algorithm=MD5"));
            let nonce = nonce_of(&challenges[0]);
            assert_eq!(v.verify(now, &answer(&nonce, "1001", "secret", 1, sha256), "REGISTER"), Verdict::Granted { user: "1001".into() });
            assert!(matches!(v.verify(now, &answer(&nonce, "1001", "wrong", 2, sha256), "REGISTER"), Verdict::Denied { .. }));
            assert!(matches!(v.verify(now, &answer(&nonce, "9999", "secret", 2, sha256), "REGISTER"), Verdict::Denied { .. }));
            assert!(matches!(v.verify(now, &answer(&nonce, "1001", "secret", 2, sha256), "INVITE"), Verdict::Denied { .. }));
        }
    }

    #[test]
    fn a_replay_and_an_old_nonce_are_stale_and_a_foreign_one_is_nothing() {
        let (mut v, now) = verifier();
        let nonce = nonce_of(&v.challenges(now, false)[0]);
        let first = answer(&nonce, "1001", "secret", 1, true);
        assert!(matches!(v.verify(now, &first, "REGISTER"), Verdict::Granted { .. }));
        assert_eq!(v.verify(now, &first, "REGISTER"), Verdict::Challenge { stale: true });
        assert!(matches!(v.verify(now, &answer(&nonce, "1001", "secret", 2, true), "REGISTER"), Verdict::Granted { .. }));
        let later = now + NONCE_LIFE + Duration::from_secs(1);
        assert_eq!(v.verify(later, &answer(&nonce, "1001", "secret", 3, true), "REGISTER"), Verdict::Challenge { stale: true });
        assert_eq!(v.verify(now, &answer("00ff", "1001", "secret", 1, true), "REGISTER"), Verdict::Challenge { stale: false });
        assert_eq!(v.verify(now, "Digest username=\"a\\", "REGISTER"), Verdict::Challenge { stale: false });
    }

    #[test]
    fn two_phones_in_the_same_millisecond_get_two_nonces() {
        let (mut v, now) = verifier();
        let (a, b) = (nonce_of(&v.challenges(now, false)[0]), nonce_of(&v.challenges(now, false)[0]));
        assert_ne!(a, b);
        assert!(matches!(v.verify(now, &answer(&a, "1001", "secret", 1, true), "REGISTER"), Verdict::Granted { .. }));
        assert!(matches!(v.verify(now, &answer(&b, "1001", "secret", 1, true), "REGISTER"), Verdict::Granted { .. }));
    }
}
