//! Digest authentication, the side that proves (RFC 7616, RFC 8760): answers to the challenges of providers.

use std::fmt;

use crate::auth::{Algorithm, parse};

/// What proves us to a provider.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The authentication name.
    pub user: String,
    /// The password. Providers' algorithms are not known beforehand, so a hash would not do.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, ***)", self.user)
    }
}

/// A challenge that can be answered, and how often it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// From a proxy (407) and not from whom we asked (401).
    pub proxy: bool,
    realm: String,
    pub nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// Whether the algorithm was named; if not, neither do we.
    named: bool,
    qop: bool,
    /// The one before was good, only too old.
    pub stale: bool,
    used: u32,
}

impl Challenge {
    /// The first of the values that we can answer: they stand in the order of preference (RFC 8760 §2.4).
    pub fn choose(values: &[String], proxy: bool) -> Option<Self> {
        values.iter().find_map(|value| Self::read(value, proxy))
    }

    fn read(value: &str, proxy: bool) -> Option<Self> {
        let mut fields = parse(value)?;
        let algorithm = match fields.get("algorithm").map(|a| a.to_ascii_uppercase()).as_deref() {
            None | Some("MD5") => Algorithm::Md5,
            Some("SHA-256") => Algorithm::Sha256,
            Some("SHA-512-256") => Algorithm::Sha512_256,
            Some(_) => return None,
        };
        let qop = match fields.get("qop") {
            None => false,
            Some(offered) if offered.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return None, // auth-int alone
        };
        let stale = fields.get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true"));
        let named = fields.contains_key("algorithm");
        let (realm, nonce) = (fields.remove("realm")?, fields.remove("nonce")?);
        let sound = |text: &str| !text.contains(['"', '\\', '\r', '\n']);
        let opaque = fields.remove("opaque");
        let usable = sound(&realm) && sound(&nonce) && opaque.as_deref().is_none_or(sound);
        usable.then_some(Self { proxy, realm, nonce, opaque, algorithm, named, qop, stale, used: 0 })
    }

    /// The value of (Proxy-)Authorization for one more request.
    pub fn answer(&mut self, credentials: &Credentials, method: &str, uri: &str, cnonce: &str) -> String {
        self.used += 1;
        let Credentials { user, password } = credentials;
        let (hash, realm, nonce) = (|text: String| self.algorithm.hash(&text), &self.realm, &self.nonce);
        let ha1 = hash(format!("{user}:{realm}:{password}"));
        let ha2 = hash(format!("{method}:{uri}"));
        let nc = format!("{:08x}", self.used);
        let response = match self.qop {
            true => hash(format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}")),
            false => hash(format!("{ha1}:{nonce}:{ha2}")),
        };
        let user = user.replace('\\', "\\\\").replace('"', "\\\"");
        let mut value = format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\""
        );
        if self.named {
            value += &format!(", algorithm={}", self.algorithm.name());
        }
        if self.qop {
            value += &format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\"");
        }
        if let Some(opaque) = &self.opaque {
            value += &format!(", opaque=\"{opaque}\"");
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_examples() {
        // RFC 7616 §3.9.1, both algorithms of one offer.
        let us = Credentials { user: "Mufasa".into(), password: "Circle of Life".into() };
        let offer = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in [
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ] {
            let mut challenge = Challenge::choose(&[offer(algorithm)], false).unwrap();
            let value = challenge.answer(&us, "GET", "/dir/index.html", cnonce);
            assert!(value.contains(&format!("response=\"{response}\"")), "{value}");
            assert!(value.contains("nc=00000001") && value.contains("opaque=\"FQhe"));
            assert!(challenge.answer(&us, "GET", "/", cnonce).contains("nc=00000002"));
        }
        // RFC 2069: no qop, and its example as corrected by erratum 749.
        let old = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"".to_owned();
        let us = Credentials { user: "Mufasa".into(), password: "CircleOfLife".into() };
        let value = Challenge::choose(&[old], true).unwrap().answer(&us, "GET", "/dir/index.html", "");
        assert!(value.ends_with("response=\"1949323746fe6a43ef61f9606e7febea\""), "{value}");
    }

    #[test]
    fn the_first_that_can_be_answered_is_taken() {
        let values = [
            "Basic realm=\"x\"",
            "Digest realm=\"x\", nonce=\"1\", algorithm=SHA-999",
            "Digest realm=\"x\", nonce=\"2\", qop=\"auth-int\"",
            "Digest realm=\"x\\\"\", nonce=\"3\"",
            "Digest realm=\"x\", nonce=\"4\", algorithm=SHA-256, stale=TRUE",
            "Digest realm=\"x\", nonce=\"5\", algorithm=MD5",
        ]
        .map(str::to_owned);
        let chosen = Challenge::choose(&values, false).unwrap();
        assert_eq!((chosen.nonce.as_str(), chosen.stale), ("4", true));
        assert_eq!(Challenge::choose(&values[..4], false), None);
    }
}
