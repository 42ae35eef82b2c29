//! Digest authentication as a client computes it (RFC 2617, RFC 7616, RFC 8760), MD5 and SHA-256, `qop=auth` or none.
//!
//! Computed by hand rather than through `rsip`, whose generator prints the nonce count in decimal.

use md5::{Digest, Md5};
use sha2::Sha256;

/// Hash named by a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// `MD5`, also what an absent `algorithm` means (RFC 2617 §3.2.1).
    Md5,
    /// `SHA-256` (RFC 7616 §3.3).
    Sha256,
}

impl Algorithm {
    /// The token as it stands in headers.
    pub fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hash(self, text: &str) -> String {
        let bytes = match self {
            Self::Md5 => Md5::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
        };
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// One `WWW-Authenticate` or `Proxy-Authenticate` challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Protection domain.
    pub realm: String,
    /// Server nonce.
    pub nonce: String,
    /// Opaque, returned as it came.
    pub opaque: Option<String>,
    /// Hash to use.
    pub algorithm: Algorithm,
    /// Whether the server offers `qop=auth`.
    pub qop_auth: bool,
    /// The nonce was good but old: the same password is worth another try.
    pub stale: bool,
}

impl Challenge {
    /// Reads a header value. `None` for another scheme, an unknown algorithm or a missing realm or nonce.
    pub fn parse(value: &str) -> Option<Self> {
        let rest = strip_scheme(value)?;
        let params = split_params(rest);
        let get = |name: &str| params.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        let algorithm = match get("algorithm") {
            None => Algorithm::Md5,
            Some(a) if a.eq_ignore_ascii_case("MD5") => Algorithm::Md5,
            Some(a) if a.eq_ignore_ascii_case("SHA-256") => Algorithm::Sha256,
            Some(_) => return None,
        };
        Some(Self {
            realm: get("realm")?,
            nonce: get("nonce")?,
            opaque: get("opaque"),
            algorithm,
            qop_auth: get("qop").is_some_and(|q| q.split(',').any(|t| t.trim().eq_ignore_ascii_case("auth"))),
            stale: get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
        })
    }

    /// The `Authorization` value that answers this challenge. `count` is the nonce count, from 1.
    pub fn answer(&self, user: &str, password: &str, method: &str, uri: &str, cnonce: &str, count: u32) -> String {
        let h = |text: &str| self.algorithm.hash(text);
        let ha1 = h(&format!("{user}:{}:{password}", self.realm));
        let ha2 = h(&format!("{method}:{uri}"));
        let nc = format!("{count:08x}");
        let response = if self.qop_auth {
            h(&format!("{ha1}:{}:{nc}:{cnonce}:auth:{ha2}", self.nonce))
        } else {
            h(&format!("{ha1}:{}:{ha2}", self.nonce))
        };
        let mut out = format!(
            "Digest username=\"{user}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\", algorithm={}",
            self.realm,
            self.nonce,
            self.algorithm.token()
        );
        if self.qop_auth {
            out.push_str(&format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            out.push_str(&format!(", opaque=\"{opaque}\""));
        }
        out
    }
}

fn strip_scheme(value: &str) -> Option<&str> {
    let value = value.trim_start();
    let scheme = value.get(..7)?;
    scheme.eq_ignore_ascii_case("Digest ").then(|| &value[7..])
}

/// Splits `a=b, c="d, e"` at the commas outside quotes and takes the quotes off.
fn split_params(text: &str) -> Vec<(String, String)> {
    let mut params = Vec::new();
    let (mut quoted, mut escaped, mut current) = (false, false, String::new());
    for c in text.chars().chain([',']) {
        match c {
            _ if escaped => {
                current.push(c);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                if let Some((name, value)) = current.split_once('=') {
                    params.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                current.clear();
            }
            _ => current.push(c),
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(value: &str) -> String {
        let params = split_params(strip_scheme(value).unwrap());
        params.into_iter().find(|(k, _)| k == "response").unwrap().1
    }

    #[test]
    fn rfc_2617_section_3_5() {
        let challenge = Challenge::parse(
            "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        )
        .unwrap();
        assert_eq!(challenge.algorithm, Algorithm::Md5);
        let answer = challenge.answer("Mufasa", "Circle Of Life", "GET", "/dir/index.html", "0a4f113b", 1);
        assert_eq!(response(&answer), "6629fae49393a05397450978507c4ef1");
        assert!(answer.contains("opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""));
    }

    #[test]
    fn rfc_7616_section_3_9_1() {
        for (algorithm, expected) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let challenge = Challenge::parse(&format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            ))
            .unwrap();
            let answer = challenge.answer(
                "Mufasa",
                "Circle of Life",
                "GET",
                "/dir/index.html",
                "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
                1,
            );
            assert_eq!(response(&answer), expected);
        }
    }

    #[test]
    fn without_qop_as_rfc_2069() {
        let challenge = Challenge::parse("Digest realm=\"r\", nonce=\"n\"").unwrap();
        let answer = challenge.answer("u", "p", "REGISTER", "sip:h", "c", 1);
        let md5 = |t: &str| Algorithm::Md5.hash(t);
        assert_eq!(response(&answer), md5(&format!("{}:n:{}", md5("u:r:p"), md5("REGISTER:sip:h"))));
        assert!(!answer.contains("cnonce"));
    }

    #[test]
    fn refuses_what_it_cannot_answer() {
        assert_eq!(Challenge::parse("Basic realm=\"x\""), None);
        assert_eq!(Challenge::parse("Digest realm=\"x\", nonce=\"y\", algorithm=SHA-512-256"), None);
        assert_eq!(Challenge::parse("Digest realm=\"x\""), None);
    }
}
