//! Keys as SDP carries them (RFC 4568 `a=crypto`), and what to do about them by policy. Nothing here prints a key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How packets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CryptoSuite {
    /// RFC 4568 §6.2.1: AES counter mode, 80-bit tags.
    AesCm128HmacSha1_80,
    /// RFC 4568 §6.2.2: the same with 32-bit tags on RTP.
    AesCm128HmacSha1_32,
    /// RFC 7714 §14.2: AES-GCM with 128-bit tags.
    AeadAes128Gcm,
}

impl CryptoSuite {
    /// All of them, strongest first: the order to offer them in.
    pub const ALL: [Self; 3] = [Self::AeadAes128Gcm, Self::AesCm128HmacSha1_80, Self::AesCm128HmacSha1_32];

    /// Its name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
        }
    }

    const fn salt_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 12,
            _ => 14,
        }
    }
}

/// A master key and salt of one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CryptoKey {
    suite: CryptoSuite,
    key: [u8; 16],
    salt: [u8; 14],
}

impl fmt::Debug for CryptoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (key not shown)", self.suite.name())
    }
}

impl CryptoKey {
    /// A key made of the system's random numbers.
    pub fn generate(suite: CryptoSuite) -> Self {
        let mut bytes = [0; 32];
        crate::sys::fill_random(&mut bytes);
        let (mut key, mut salt) = ([0; 16], [0; 14]);
        key.copy_from_slice(&bytes[..16]);
        salt[..suite.salt_length()].copy_from_slice(&bytes[16..16 + suite.salt_length()]);
        Self { suite, key, salt }
    }

    /// A key from its bytes, key first; `None` if there are too few or too many.
    pub fn from_bytes(suite: CryptoSuite, bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<16>()?;
        let mut salt = [0; 14];
        (rest.len() == suite.salt_length()).then(|| salt[..rest.len()].copy_from_slice(rest))?;
        Some(Self { suite, key: *key, salt })
    }

    /// How it protects.
    pub fn suite(&self) -> CryptoSuite {
        self.suite
    }

    pub(super) fn key(&self) -> &[u8; 16] {
        &self.key
    }

    pub(super) fn salt(&self) -> &[u8] {
        &self.salt[..self.suite.salt_length()]
    }
}

/// The keys of a leg: ours, which what we send is protected with, and the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CryptoPair {
    /// Of what we send.
    pub send: CryptoKey,
    /// Of what we receive.
    pub receive: CryptoKey,
}

/// One `a=crypto` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CryptoAttribute {
    /// Which line of the offer an answer takes.
    pub tag: u32,
    /// The key.
    pub key: CryptoKey,
}

/// Why an `a=crypto` line cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoParseError {
    /// It is not `tag suite inline:key`.
    #[error("not of the form `tag suite inline:key`")]
    Form,
    /// The suite is none of ours: another line may be.
    #[error("a suite we do not speak")]
    Suite,
    /// The key is no base64, or not as long as the suite wants it.
    #[error("the key is not as long as its suite wants it")]
    Key,
    /// It asks for a master key index, another tag length, or unencrypted packets.
    #[error("a session parameter or key index we do not speak")]
    Parameter,
}

impl FromStr for CryptoAttribute {
    type Err = CryptoParseError;

    /// Reads what stands behind `a=crypto:`.
    fn from_str(text: &str) -> Result<Self, CryptoParseError> {
        let mut words = text.split_ascii_whitespace();
        let tag = words.next().filter(|tag| tag.len() <= 9).and_then(|tag| tag.parse().ok());
        let tag = tag.ok_or(CryptoParseError::Form)?;
        let name = words.next().ok_or(CryptoParseError::Form)?;
        let suite = CryptoSuite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name));
        let suite = suite.ok_or(CryptoParseError::Suite)?;
        let parameters = words.next().ok_or(CryptoParseError::Form)?;
        // Several keys (`;`) exist only with a key index. Behind the key may stand a lifetime, which outlasts any call.
        let mut parts = parameters.split('|');
        let key = parts.next().and_then(|part| part.strip_prefix("inline:")).ok_or(CryptoParseError::Form)?;
        if parameters.contains(';') || parts.any(|part| part.contains(':')) {
            return Err(CryptoParseError::Parameter);
        }
        // A window hint and key derivation rate 0 change nothing; anything else would.
        if words.any(|word| !word.starts_with("WSH=") && word != "KDR=0") {
            return Err(CryptoParseError::Parameter);
        }
        let bytes = STANDARD.decode(key).map_err(|_| CryptoParseError::Key)?;
        let key = CryptoKey::from_bytes(suite, &bytes).ok_or(CryptoParseError::Key)?;
        Ok(Self { tag, key })
    }
}

impl CryptoAttribute {
    /// What stands behind `a=crypto:`. The only way a key gets out: into SDP.
    pub fn to_sdp(&self) -> String {
        let bytes = [&self.key.key[..], self.key.salt()].concat();
        format!("{} {} inline:{}", self.tag, self.key.suite.name(), STANDARD.encode(bytes))
    }
}

/// Whether a leg's media is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SrtpPolicy {
    /// Never.
    #[default]
    Off,
    /// Where the other side offers it; offered to others, who may refuse.
    Optional,
    /// Always, or there is no call.
    Required,
}

impl SrtpPolicy {
    /// Keys of ours for a leg, a fresh one for each suite, the best first; none where it is off.
    pub fn offer(self) -> Vec<CryptoAttribute> {
        let line = |(n, suite)| CryptoAttribute { tag: n as u32 + 1, key: CryptoKey::generate(suite) };
        if self == Self::Off { Vec::new() } else { CryptoSuite::ALL.into_iter().enumerate().map(line).collect() }
    }
}
