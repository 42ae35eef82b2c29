//! How a request says who asks: fixed credentials, or tokens that are fetched and renewed.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::CrmError;

/// A token is renewed this long before it runs out.
const MARGIN: Duration = Duration::from_secs(60);

/// How a system is told who asks.
pub(crate) enum Auth {
    /// Nothing is sent; the webhook signs its bodies instead.
    None,
    /// RFC 7617.
    Basic { user: String, password: SecretString },
    /// A header of the vendor's with a fixed secret; `scheme` stands before it.
    Fixed { header: &'static str, scheme: &'static str, secret: SecretString },
    /// A bearer token that is fetched and renewed.
    Token(Box<TokenSource>),
}

/// Where tokens come from.
pub(crate) struct TokenSource {
    pub endpoint: String,
    pub grant: Grant,
    current: Mutex<Option<Token>>,
}

pub(crate) enum Grant {
    /// RFC 6749 §6. A new refresh token in the answer takes the old one's place while the process lives.
    Refresh { client_id: String, client_secret: SecretString, refresh_token: Mutex<SecretString> },
    /// RFC 7523: a signed assertion (RS256) is turned in for a token.
    JwtBearer { client_id: String, subject: String, audience: String, key: Box<RsaKeyPair> },
}

struct Token {
    secret: SecretString,
    until: Option<Instant>,
}

impl Auth {
    pub fn bearer(secret: SecretString) -> Self {
        Self::Fixed { header: "authorization", scheme: "Bearer ", secret }
    }

    /// The header to send; fetches a token if there is none that holds.
    pub async fn header(&self, client: &reqwest::Client) -> Result<Option<(HeaderName, HeaderValue)>, CrmError> {
        let (name, value) = match self {
            Self::None => return Ok(None),
            Self::Basic { user, password } => {
                let both = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
                (AUTHORIZATION, format!("Basic {both}"))
            }
            Self::Fixed { header, scheme, secret } => {
                (HeaderName::from_static(header), format!("{scheme}{}", secret.expose_secret()))
            }
            Self::Token(source) => (AUTHORIZATION, format!("Bearer {}", source.token(client).await?.expose_secret())),
        };
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| CrmError::Denied("the secret has characters no header takes".into()))?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }

    /// The token that was sent holds no more. Answers whether another can be had.
    pub fn expire(&self) -> bool {
        match self {
            Self::Token(source) => {
                *lock(&source.current) = None;
                true
            }
            _ => false,
        }
    }

    /// Every secret that an answer might repeat.
    pub fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::None => Vec::new(),
            Self::Basic { user, password } => {
                let both = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
                vec![password.clone(), SecretString::from(both)]
            }
            Self::Fixed { secret, .. } => vec![secret.clone()],
            Self::Token(source) => {
                let mut secrets: Vec<_> = lock(&source.current).iter().map(|t| t.secret.clone()).collect();
                if let Grant::Refresh { client_secret, refresh_token, .. } = &source.grant {
                    secrets.extend([client_secret.clone(), lock(refresh_token).clone()]);
                }
                secrets
            }
        }
    }
}

impl TokenSource {
    pub fn new(endpoint: String, grant: Grant) -> Box<Self> {
        Box::new(Self { endpoint, grant, current: Mutex::new(None) })
    }

    async fn token(&self, client: &reqwest::Client) -> Result<SecretString, CrmError> {
        if let Some(token) = &*lock(&self.current)
            && token.until.is_none_or(|until| until > Instant::now() + MARGIN)
        {
            return Ok(token.secret.clone());
        }
        let form = self.form()?;
        let answer = client.post(&self.endpoint).header("accept", "application/json").form(&form).send().await;
        let answer = answer.map_err(|e| CrmError::Unavailable(format!("no token: {}", e.without_url())))?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        let Some(secret) = body["access_token"].as_str().filter(|_| status.is_success()) else {
            // RFC 6749 §5.2: `error` is a code, never a credential.
            let word = body["error"].as_str().unwrap_or("no access_token in the answer");
            let message = format!("{} from the token endpoint: {word}", status.as_u16());
            return Err(if status.is_server_error() {
                CrmError::Unavailable(message)
            } else {
                CrmError::Denied(message)
            });
        };
        let secret = SecretString::from(secret);
        if let (Grant::Refresh { refresh_token, .. }, Some(next)) = (&self.grant, body["refresh_token"].as_str()) {
            *lock(refresh_token) = SecretString::from(next);
        }
        let until = body["expires_in"].as_u64().map(|s| Instant::now() + Duration::from_secs(s));
        *lock(&self.current) = Some(Token { secret: secret.clone(), until });
        Ok(secret)
    }

    fn form(&self) -> Result<Vec<(&'static str, String)>, CrmError> {
        Ok(match &self.grant {
            Grant::Refresh { client_id, client_secret, refresh_token } => vec![
                ("grant_type", "refresh_token".into()),
                ("client_id", client_id.clone()),
                ("client_secret", client_secret.expose_secret().to_owned()),
                ("refresh_token", lock(refresh_token).expose_secret().to_owned()),
            ],
            Grant::JwtBearer { client_id, subject, audience, key } => vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".into()),
                ("assertion", assertion(client_id, subject, audience, key)?),
            ],
        })
    }
}

/// A private key in PEM, PKCS#8 or PKCS#1, of 2048 bits or more.
pub(crate) fn rsa_key(pem: &SecretString) -> Result<RsaKeyPair, String> {
    let key = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes())
        .map_err(|_| "it is no private key in PEM (-----BEGIN PRIVATE KEY-----)".to_owned())?;
    let pair = match &key {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err("it is no RSA key".to_owned()),
    };
    pair.map_err(|e| format!("the RSA key is rejected: {e}"))
}

/// RFC 7523 §3; RS256 of RFC 7518.
fn assertion(client_id: &str, subject: &str, audience: &str, key: &RsaKeyPair) -> Result<String, CrmError> {
    let expires = Timestamp::now().as_second() + 180;
    let claims = json!({"iss": client_id, "sub": subject, "aud": audience, "exp": expires});
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| CrmError::Denied("the private key does not sign".into()))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// A poisoned lock holds a whole value all the same: each is set at once.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
