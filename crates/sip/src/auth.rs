//! Digest authentication (RFC 7616, RFC 8760), the verifying side. Passwords are kept as HA1 hashes only.
//!
//! A challenge costs no memory: a nonce carries its own time and a keyed mark. What is remembered are the counts of nonces
//! that proved a password, so that no request can be replayed. What must always hold: an unknown extension cannot be told
//! from a known one with a wrong password, neither by the answer nor by the work done for it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use rand::RngCore;
use sha2::{Sha256, Sha512_256};

/// How long a nonce is good for. After it the right password gets `stale=true` and a new one.
const NONCE_LIFE: Duration = Duration::from_secs(300);
/// How far behind the highest nonce count a request may come: UDP reorders.
const WINDOW: u32 = 64;
/// Nonces remembered at the same time.
const MAX_NONCES: usize = 65_536;

/// A password's hashes for one user and realm.
#[derive(Clone, PartialEq, Eq)]
pub struct Ha1 {
    md5: String,
    sha256: Option<String>,
    sha512_256: Option<String>,
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1(***)")
    }
}

impl Ha1 {
    /// `H(user:realm:password)`, for all algorithms.
    pub fn from_password(user: &str, realm: &str, password: &str) -> Self {
        let text = format!("{user}:{realm}:{password}");
        Self {
            md5: Algorithm::Md5.hash(&text),
            sha256: Some(Algorithm::Sha256.hash(&text)),
            sha512_256: Some(Algorithm::Sha512_256.hash(&text)),
        }
    }

    /// From a stored MD5 hash of 32 hex digits; `None` if it is anything else. While one extension has no SHA-256 hash,
    /// that algorithm is offered to none: an offer that depends on the user would tell which users exist.
    pub fn from_md5_hex(md5: &str) -> Option<Self> {
        let fits = md5.len() == 32 && md5.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| Self { md5: md5.to_ascii_lowercase(), sha256: None, sha512_256: None })
    }

    /// With a stored SHA-256 hash of 64 hex digits as well; `None` if it is anything else.
    pub fn with_sha256_hex(self, sha256: &str) -> Option<Self> {
        Some(Self { sha256: Some(hex64(sha256)?), ..self })
    }

    /// With a stored SHA-512-256 hash of 64 hex digits as well; `None` if it is anything else.
    pub fn with_sha512_256_hex(self, sha512_256: &str) -> Option<Self> {
        Some(Self { sha512_256: Some(hex64(sha512_256)?), ..self })
    }

    /// The hashes as hex digits: MD5, SHA-256, SHA-512-256, as far as they are there. Whoever has them can register.
    pub fn to_hex(&self) -> (&str, Option<&str>, Option<&str>) {
        (&self.md5, self.sha256.as_deref(), self.sha512_256.as_deref())
    }

    fn of(&self, algorithm: Algorithm) -> Option<&str> {
        match algorithm {
            Algorithm::Md5 => Some(&self.md5),
            Algorithm::Sha256 => self.sha256.as_deref(),
            Algorithm::Sha512_256 => self.sha512_256.as_deref(),
        }
    }
}

/// What an Authorization header amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The user is who they say.
    Granted { user: String },
    /// Challenge, once more where there was an answer. `why` is for our log alone.
    Challenge { stale: bool, user: String, why: &'static str },
}

/// The verifier of one realm.
#[derive(Debug)]
pub(crate) struct Verifier {
    realm: String,
    users: HashMap<String, Ha1>,
    /// Hashed for users that do not exist, so that they cost the same.
    nobody: Ha1,
    algorithms: Vec<Algorithm>,
    key: [u8; 32],
    began: Instant,
    used: HashMap<String, Counts>,
    /// Nonces in `used` with the moment they are forgotten, in that order.
    forget: VecDeque<(Instant, String)>,
}

/// Which nonce counts were seen: the highest, and a bit for each of the `WINDOW` at and below it.
#[derive(Debug)]
struct Counts {
    highest: u32,
    seen: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha256,
    Sha512_256,
    Md5,
}

impl Verifier {
    /// `key` must be random and stay private.
    pub fn new(now: Instant, realm: &str, users: HashMap<String, Ha1>, sha256: bool, key: [u8; 32]) -> Self {
        let nobody = Ha1::from_password("", realm, &hex(&key));
        // What one extension has no hash for is offered to none: an offer that depends on the user would tell which exist.
        let all_have = |algorithm: &Algorithm| users.values().all(|ha1| ha1.of(*algorithm).is_some());
        let strong = [Algorithm::Sha256, Algorithm::Sha512_256].into_iter().filter(|_| sha256).filter(all_have);
        let algorithms: Vec<_> = strong.chain([Algorithm::Md5]).collect();
        let (used, forget) = (HashMap::new(), VecDeque::new());
        Self { realm: realm.replace(['"', '\\'], ""), users, nobody, algorithms, key, began: now, used, forget }
    }

    /// Whether there is such an extension. For our own eyes: no answer may depend on it.
    pub fn knows(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// WWW-Authenticate values, the preferred first (RFC 8760 §2.4).
    pub fn challenges(&self, now: Instant, rng: &mut impl RngCore, stale: bool) -> Vec<String> {
        let nonce = self.nonce(now, rng.next_u64());
        let (realm, stale) = (&self.realm, if stale { ", stale=true" } else { "" });
        let of = |a: &Algorithm| {
            format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\", algorithm={}{stale}", a.name())
        };
        self.algorithms.iter().map(of).collect()
    }

    /// Judges the Authorization values of a request.
    pub fn verify(&mut self, now: Instant, authorization: &[String], method: &str) -> Verdict {
        while self.forget.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, nonce)) = self.forget.pop_front() {
                self.used.remove(&nonce);
            }
        }
        let ours = authorization.iter().filter_map(|v| parse(v)).find(|f| f.get("realm") == Some(&self.realm));
        match ours {
            Some(fields) => self.judge(now, &fields, method),
            None => Verdict::Challenge { stale: false, user: String::new(), why: "no credentials for this realm" },
        }
    }

    fn judge(&mut self, now: Instant, fields: &HashMap<String, String>, method: &str) -> Verdict {
        let get = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        let user = get("username").to_owned();
        let again = |stale, why| Verdict::Challenge { stale, user: user.clone(), why };
        let nonce = get("nonce").to_owned();
        let Some(age) = self.age(now, &nonce) else { return again(false, "nonce is not ours") };
        let algorithm = match get("algorithm").to_ascii_uppercase().as_str() {
            "SHA-256" => Algorithm::Sha256,
            "SHA-512-256" => Algorithm::Sha512_256,
            "" | "MD5" => Algorithm::Md5,
            _ => return again(false, "algorithm was not offered"),
        };
        if !self.algorithms.contains(&algorithm) {
            return again(false, "algorithm was not offered");
        }
        let count = match (get("qop"), get("nc").len(), u32::from_str_radix(get("nc"), 16)) {
            ("auth", 8, Ok(count)) if count > 0 && !get("cnonce").is_empty() => count,
            _ => return again(false, "qop=auth with nc and cnonce is required"),
        };
        let known = self.users.get(&user);
        let ha1 = known.unwrap_or(&self.nobody).of(algorithm).unwrap_or_default();
        let ha2 = algorithm.hash(&format!("{method}:{}", get("uri")));
        let expected = algorithm.hash(&format!("{ha1}:{nonce}:{}:{}:auth:{ha2}", get("nc"), get("cnonce")));
        let right = same(expected.as_bytes(), get("response").to_ascii_lowercase().as_bytes());
        match (known.is_some(), right) {
            (false, _) => return again(false, "no such extension"),
            (true, false) => return again(false, "wrong password"),
            (true, true) => {}
        }
        if age >= NONCE_LIFE {
            return again(true, "nonce has expired");
        }
        if !self.count(now, nonce, NONCE_LIFE - age, count) {
            return again(true, "nonce count was used before");
        }
        Verdict::Granted { user }
    }

    /// Notes a nonce count (RFC 7616 §3.4); `false` if it was used before or is too far behind.
    fn count(&mut self, now: Instant, nonce: String, left: Duration, count: u32) -> bool {
        if let Some(counts) = self.used.get_mut(&nonce) {
            return counts.take(count);
        }
        if self.used.len() >= MAX_NONCES {
            return false;
        }
        // Lives differ by when in its life a nonce was first used; forgetting a little late is safe, early is not.
        let at = (now + left).max(self.forget.back().map_or(now, |(at, _)| *at));
        self.forget.push_back((at, nonce.clone()));
        self.used.insert(nonce, Counts { highest: count, seen: 1 });
        true
    }

    fn nonce(&self, now: Instant, random: u64) -> String {
        let ms = now.saturating_duration_since(self.began).as_millis();
        let body = format!("{ms:012x}{random:016x}");
        let mark = self.mark(&body);
        body + &mark
    }

    /// How old a nonce of ours is; `None` if it is not ours.
    fn age(&self, now: Instant, nonce: &str) -> Option<Duration> {
        let (body, mark) = (nonce.get(..28)?, nonce.get(28..)?);
        if !same(self.mark(body).as_bytes(), mark.as_bytes()) {
            return None;
        }
        let issued = Duration::from_millis(u64::from_str_radix(body.get(..12)?, 16).ok()?);
        Some(now.saturating_duration_since(self.began).saturating_sub(issued))
    }

    fn mark(&self, body: &str) -> String {
        let inner = Sha256::new().chain_update(self.key).chain_update(body).finalize();
        let outer = Sha256::new().chain_update(self.key).chain_update(inner).finalize();
        hex(&outer[..16])
    }
}

impl Counts {
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let shift = count - self.highest;
            self.seen = if shift < WINDOW { (self.seen << shift) | 1 } else { 1 };
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        if behind >= WINDOW || self.seen & (1 << behind) != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

impl Algorithm {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
            Self::Md5 => "MD5",
        }
    }

    pub fn hash(self, text: &str) -> String {
        match self {
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Sha512_256 => hex(&Sha512_256::digest(text)),
            Self::Md5 => hex(&Md5::digest(text)),
        }
    }
}

/// The fields of a Digest value; `None` for another scheme or broken quoting.
pub(crate) fn parse(value: &str) -> Option<HashMap<String, String>> {
    let (scheme, rest) = value.trim().split_once(char::is_whitespace)?;
    if !scheme.eq_ignore_ascii_case("digest") {
        return None;
    }
    let mut fields = HashMap::new();
    for part in crate::wire::split_unquoted(rest.as_bytes(), b',') {
        let part = std::str::from_utf8(part).ok()?.trim();
        if part.is_empty() {
            continue;
        }
        let (name, value) = part.split_once('=')?;
        let value = value.trim();
        let value = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted.strip_suffix('"')?),
            None => value.to_owned(),
        };
        fields.insert(name.trim().to_ascii_lowercase(), value);
    }
    Some(fields)
}

fn unquote(text: &str) -> String {
    let (mut out, mut escaped) = (String::new(), false);
    for c in text.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            c => {
                out.push(c);
                escaped = false;
            }
        }
    }
    out
}

/// Compares without telling by time where two values differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

/// 64 hex digits, in lower case.
fn hex64(text: &str) -> Option<String> {
    let fits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| text.to_ascii_lowercase())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    /// What a phone answers to a challenge.
    pub(crate) fn respond(challenge: &str, user: &str, password: &str, method: &str, uri: &str, nc: u32) -> String {
        let fields = parse(challenge).unwrap();
        let algorithm = match fields["algorithm"].as_str() {
            "SHA-256" => Algorithm::Sha256,
            "SHA-512-256" => Algorithm::Sha512_256,
            _ => Algorithm::Md5,
        };
        let (realm, nonce) = (&fields["realm"], &fields["nonce"]);
        let (ha1, ha2) =
            (algorithm.hash(&format!("{user}:{realm}:{password}")), algorithm.hash(&format!("{method}:{uri}")));
        let response = algorithm.hash(&format!("{ha1}:{nonce}:{nc:08x}:abc:auth:{ha2}"));
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", algorithm={}, cnonce=\"abc\", qop=auth, nc={nc:08x}",
            algorithm.name()
        )
    }

    fn verifier() -> (Verifier, Instant, StdRng) {
        let now = Instant::now();
        let users = HashMap::from([("1001".to_owned(), Ha1::from_password("1001", "r", "secret"))]);
        (Verifier::new(now, "r", users, true, [7; 32]), now, StdRng::seed_from_u64(1))
    }

    fn try_it(v: &mut Verifier, at: Instant, challenge: &str, user: &str, password: &str, nc: u32) -> Verdict {
        v.verify(at, &[respond(challenge, user, password, "REGISTER", "sip:r", nc)], "REGISTER")
    }

    fn stale(verdict: &Verdict) -> Option<bool> {
        match verdict {
            Verdict::Granted { .. } => None,
            Verdict::Challenge { stale, .. } => Some(*stale),
        }
    }

    #[test]
    fn rfc_examples() {
        // RFC 2617 §3.5.
        let ha1 = Ha1::from_password("Mufasa", "testrealm@host.com", "Circle Of Life");
        assert_eq!(ha1.md5, "939e7578ed9e3c518a452acee763bce9");
        // RFC 7616 §3.9.1.
        let ha1 = Ha1::from_password("Mufasa", "http-auth@example.org", "Circle of Life");
        let sha = Algorithm::Sha256;
        let ha2 = sha.hash("GET:/dir/index.html");
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let response = sha.hash(&format!("{}:{nonce}:00000001:{cnonce}:auth:{ha2}", ha1.of(sha).unwrap()));
        assert_eq!(response, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
        // FIPS 180-4's example for SHA-512/256, the hash RFC 7616 calls SHA-512-256.
        let abc = "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23";
        assert_eq!(Algorithm::Sha512_256.hash("abc"), abc);
    }

    #[test]
    fn the_right_password_is_granted_by_every_algorithm() {
        let (mut v, now, mut rng) = verifier();
        let challenges = v.challenges(now, &mut rng, false);
        let offered = ["algorithm=SHA-256", "algorithm=SHA-512-256", "algorithm=MD5"];
        assert!(challenges.len() == 3 && challenges.iter().zip(offered).all(|(c, o)| c.ends_with(o)), "{challenges:?}");
        for (nc, challenge) in challenges.iter().enumerate() {
            assert_eq!(
                try_it(&mut v, now, challenge, "1001", "secret", nc as u32 + 1),
                Verdict::Granted { user: "1001".into() }
            );
        }
    }

    #[test]
    fn a_wrong_password_and_an_unknown_user_look_alike() {
        let (mut v, now, mut rng) = verifier();
        let challenge = v.challenges(now, &mut rng, false).remove(0);
        assert_eq!(stale(&try_it(&mut v, now, &challenge, "1001", "wrong", 1)), Some(false));
        assert_eq!(stale(&try_it(&mut v, now, &challenge, "9999", "secret", 1)), Some(false));
        assert!(v.used.is_empty(), "no memory for those who prove nothing");
        let other_method = respond(&challenge, "1001", "secret", "INVITE", "sip:r", 1);
        assert_eq!(stale(&v.verify(now, &[other_method], "REGISTER")), Some(false));
    }

    #[test]
    fn a_replay_is_stale_and_reordering_is_not() {
        let (mut v, now, mut rng) = verifier();
        let challenge = v.challenges(now, &mut rng, false).remove(0);
        let mut at = |nc| stale(&try_it(&mut v, now, &challenge, "1001", "secret", nc));
        assert_eq!((at(1), at(3), at(2)), (None, None, None));
        assert_eq!((at(1), at(2), at(3)), (Some(true), Some(true), Some(true)));
        assert_eq!((at(200), at(3), at(136), at(137), at(137)), (None, Some(true), Some(true), None, Some(true)));
    }

    #[test]
    fn nonces_age_and_are_forgotten() {
        let (mut v, now, mut rng) = verifier();
        let challenge = v.challenges(now, &mut rng, false).remove(0);
        let late = now + NONCE_LIFE - Duration::from_secs(1);
        assert_eq!(stale(&try_it(&mut v, late, &challenge, "1001", "secret", 1)), None);
        let later = now + NONCE_LIFE;
        assert_eq!(stale(&try_it(&mut v, later, &challenge, "1001", "secret", 2)), Some(true));
        assert_eq!((v.used.len(), v.forget.len()), (0, 0));
        let forged = challenge.replace("nonce=\"0", "nonce=\"1");
        assert_eq!(stale(&try_it(&mut v, now, &forged, "1001", "secret", 1)), Some(false));
        for junk in ["Digest username=\"a\\", "Basic abc", "Digest", "", "Digest a=\"b"] {
            assert_eq!(stale(&v.verify(now, &[junk.to_owned()], "REGISTER")), Some(false), "{junk}");
        }
    }

    #[test]
    fn an_md5_only_extension_takes_sha256_from_all() {
        let users = HashMap::from([
            ("a".to_owned(), Ha1::from_password("a", "r", "x")),
            ("b".to_owned(), Ha1::from_md5_hex(&Algorithm::Md5.hash("b:r:y")).unwrap()),
        ]);
        let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(2));
        let mut v = Verifier::new(now, "r", users, true, [1; 32]);
        let challenges = v.challenges(now, &mut rng, true);
        assert!(challenges.len() == 1 && challenges[0].ends_with("algorithm=MD5, stale=true"));
        assert_eq!(stale(&try_it(&mut v, now, &challenges[0], "b", "y", 1)), None);
        assert_eq!(Ha1::from_md5_hex("zz"), None);
        let whole = Ha1::from_password("b", "r", "y");
        let (md5, sha256, sha512) = whole.to_hex();
        let stored = Ha1::from_md5_hex(md5).unwrap().with_sha256_hex(sha256.unwrap()).unwrap();
        assert_eq!(stored.clone().with_sha512_256_hex(&sha512.unwrap().to_uppercase()), Some(whole.clone()));
        assert!(stored.with_sha512_256_hex("0").is_none());
    }
}
