//! What all connectors over HTTP share: one client for each system with its credentials, pace and circuit breaker. A
//! request is sent once; it is sent a second time only when the system said that it did nothing: its credentials had run
//! out, or it was turned away for its rate and the wait is short. All other repetition is the outbox's.

mod auth;
mod breaker;
mod pace;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Client, ClientBuilder, Method, redirect};
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::ExposeSecret;
use serde_json::Value;
use tracing::{debug, warn};

pub(crate) use auth::{Auth, Grant, TokenSource, lock, rsa_key};
use breaker::Breaker;
use pace::{Pace, UNSAID};
pub(crate) use pace::{Rules, Seen};

use crate::CrmError;
use crate::mapping::rows;

/// A wait up to this is sat out; a longer one is the caller's to decide about.
const PATIENCE: Duration = Duration::from_millis(1_000);
/// Who gives up sooner did not give up on the system.
const SLOW: Duration = Duration::from_millis(500);
/// An answer larger than this is not read to its end.
const LARGEST: usize = 4 << 20;
/// Lists are not followed beyond so many pages.
const MOST_PAGES: usize = 10;
/// How much of a vendor's message is kept.
const MESSAGE: usize = 300;

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client: {0}")]
pub struct HttpError(pub(crate) String);

/// One system's client.
pub(crate) struct Http {
    client: Client,
    base: String,
    auth: Auth,
    rules: Rules,
    breaker: Mutex<Breaker>,
    pace: Mutex<Pace>,
}

/// What to ask.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
    search: bool,
}

impl Request {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), headers: Vec::new(), body: None, search: false }
    }
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self::new(Method::POST, path).body(body)
    }
    /// A POST whose path says all.
    pub fn post_empty(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }
    pub fn put(path: impl Into<String>, body: Value) -> Self {
        Self::new(Method::PUT, path).body(body)
    }
    pub fn patch(path: impl Into<String>, body: Value) -> Self {
        Self::new(Method::PATCH, path).body(body)
    }
    pub fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
    pub fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
    /// It counts against the vendor's limit on searches.
    pub fn search(self) -> Self {
        Self { search: true, ..self }
    }
}

/// An answer that is neither a fault of the system nor a refusal of who asks: 2xx, or another 4xx.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    pub fn found(self) -> Result<Option<Value>, CrmError> {
        if matches!(self.status, 404 | 410) { Ok(None) } else { self.ok().map(Some) }
    }

    /// The body; a 4xx is a refusal.
    pub fn ok(self) -> Result<Value, CrmError> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        Err(CrmError::Refused(format!("{} {}", self.status, message(&self.body))))
    }
}

/// A client's beginnings: TLS as the platform trusts it. Redirects are not followed: credentials would go with them.
pub fn client() -> Result<ClientBuilder, HttpError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|e| HttpError(e.to_string()))?
        .with_no_client_auth();
    Ok(Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .user_agent(concat!("baton/", env!("CARGO_PKG_VERSION"))))
}

impl Http {
    /// A client for the system at `base`, such as `https://acme.example.com`.
    pub fn new(base: &str, auth: Auth, rules: Rules) -> Result<Self, HttpError> {
        let base = base.trim_end_matches('/').to_owned();
        let builder = client()?;
        let builder = if is_loopback(&base) { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|e| HttpError(e.to_string()))?;
        Ok(Self { client, base, auth, rules, breaker: Mutex::default(), pace: Mutex::default() })
    }

    /// The system's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Asks, and answers what the system said. See the module for when it asks twice.
    pub async fn send(&self, request: Request) -> Result<Answer, CrmError> {
        let mut renewed = false;
        let mut waited = false;
        loop {
            self.admit(&request).await?;
            let mut in_flight = InFlight { http: self, since: Instant::now(), answered: false };
            let outcome = self.once(&request).await;
            in_flight.answered = true;
            let (status, headers, body) = match outcome {
                Ok(answer) => answer,
                Err(error) => {
                    if !matches!(error, CrmError::Denied(_)) {
                        self.failed(&error);
                    }
                    return Err(error);
                }
            };
            let seen = Seen { status, headers: &headers, body: &body };
            let hold = (self.rules.hold)(&seen);
            if (self.rules.limited)(&seen) {
                // It is alive: a rate limit is no failure.
                lock(&self.breaker).succeeded();
                let after = hold.unwrap_or(UNSAID);
                lock(&self.pace).hold(Instant::now(), after);
                if !waited && after <= PATIENCE {
                    waited = true;
                    continue;
                }
                return Err(CrmError::NotNow { after, why: format!("{status} rate limit") });
            }
            if (self.rules.expired)(&seen) {
                lock(&self.breaker).succeeded();
                if !renewed && self.auth.expire() {
                    debug!(system = self.base, "credentials had run out; renewed");
                    renewed = true;
                    continue;
                }
                return Err(CrmError::Denied(self.scrub(&format!("{status} {}", message(&body)))));
            }
            if let Some(hold) = hold.filter(|hold| !hold.is_zero()) {
                lock(&self.pace).hold(Instant::now(), hold);
            }
            if status >= 500 || status == 408 {
                let error = CrmError::Unavailable(self.scrub(&format!("{status} {}", message(&body))));
                self.failed(&error);
                return Err(error);
            }
            lock(&self.breaker).succeeded();
            if status == 403 {
                return Err(CrmError::Denied(self.scrub(&format!("403 {}", message(&body)))));
            }
            let body = if status >= 400 { Value::String(self.scrub(&message(&body))) } else { body };
            return Ok(Answer { status, body });
        }
    }

    /// Asks, and answers the body; what is not 2xx is an error.
    pub async fn ask(&self, request: Request) -> Result<Value, CrmError> {
        self.send(request).await?.ok()
    }

    /// Asks for a list, page by page, and answers all of what stands under `key`. See [`Http::pages`].
    pub async fn list(
        &self,
        first: Request,
        key: &str,
        next: impl Fn(&Value) -> Option<Request>,
    ) -> Result<Vec<Value>, CrmError> {
        let pages = self.pages(first, next).await?;
        Ok(pages.iter().flat_map(|page| rows(page, key)).cloned().collect())
    }

    /// Asks for a list, page by page. `next` answers the request for the page after this one, if there is one.
    async fn pages(&self, first: Request, next: impl Fn(&Value) -> Option<Request>) -> Result<Vec<Value>, CrmError> {
        let (mut pages, mut request) = (Vec::new(), Some(first));
        while let Some(asked) = request {
            let Some(page) = self.send(asked).await?.found()? else { break };
            request = next(&page).filter(|_| pages.len() + 1 < MOST_PAGES);
            pages.push(page);
        }
        Ok(pages)
    }

    async fn admit(&self, request: &Request) -> Result<(), CrmError> {
        let started = Instant::now();
        loop {
            let now = Instant::now();
            // The pace first: what waits for it must not be taken for a probe.
            let gap = (request.search && !self.rules.search_gap.is_zero()).then_some(self.rules.search_gap);
            let wait = match lock(&self.pace).admit(now, gap) {
                Ok(()) => break,
                Err(wait) => wait,
            };
            if wait + now.duration_since(started) > PATIENCE {
                return Err(CrmError::NotNow { after: wait, why: "rate limit".into() });
            }
            tokio::time::sleep(wait).await;
        }
        lock(&self.breaker)
            .admit(Instant::now())
            .map_err(|after| CrmError::NotNow { after, why: "the system failed repeatedly and is left alone".into() })
    }

    async fn once(&self, request: &Request) -> Result<(u16, HeaderMap, Value), CrmError> {
        // A page's address from the system's own answer is whole; it must lead back to the same system.
        let url = match request.path.strip_prefix(self.base.as_str()) {
            Some(rest) if rest.starts_with('/') => request.path.clone(),
            _ if request.path.starts_with('/') => format!("{}{}", self.base, request.path),
            _ => return Err(CrmError::Refused("the system's answer leads to another system".into())),
        };
        let mut builder = self.client.request(request.method.clone(), url).header("accept", "application/json");
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        if let Some((name, value)) = self.auth.header(&self.client).await? {
            builder = builder.header(name, value);
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(body) = &request.body {
            builder = match body {
                // A signed body goes out as it was signed.
                Value::String(text) => builder.header("content-type", "application/json").body(text.clone()),
                body => builder.json(body),
            };
        }
        let mut answer = builder.send().await.map_err(|e| lost(&e))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| lost(&e))? {
            if bytes.len() + chunk.len() > LARGEST {
                return Err(CrmError::AnswerLost(format!("it is larger than {} MiB", LARGEST >> 20)));
            }
            bytes.extend_from_slice(&chunk);
        }
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok((status, headers, body))
    }

    fn failed(&self, error: &CrmError) {
        if lock(&self.breaker).failed(Instant::now()) {
            warn!(system = self.base, %error, "the system fails repeatedly; it is left alone for a while");
        }
    }

    /// A vendor's words without any secret of ours in them.
    fn scrub(&self, text: &str) -> String {
        self.auth
            .secrets()
            .iter()
            .map(ExposeSecret::expose_secret)
            .filter(|secret| secret.len() > 3)
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

/// A request whose caller gave up waiting is a failure too, or a system that hangs would never be left alone.
struct InFlight<'a> {
    http: &'a Http,
    since: Instant,
    answered: bool,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.answered && self.since.elapsed() >= SLOW {
            self.http.failed(&CrmError::TimedOut);
        }
    }
}

/// Whether it never left, or may have had its effect.
fn lost(error: &reqwest::Error) -> CrmError {
    let mut cause = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        cause = inner.to_string();
        source = inner.source();
    }
    if error.is_connect() || error.is_builder() {
        CrmError::Unavailable(format!("cannot connect: {cause}"))
    } else if error.is_timeout() {
        CrmError::TimedOut
    } else {
        CrmError::AnswerLost(cause)
    }
}

/// The words in a vendor's error, wherever it keeps them.
fn message(body: &Value) -> String {
    let text = match body {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => ["message", "description", "error_description", "error", "errors", "detail"]
            .iter()
            .find_map(|key| other.get(0).unwrap_or(other).get(key))
            .map_or_else(|| other.to_string(), |found| found.as_str().map_or_else(|| found.to_string(), str::to_owned)),
    };
    match text.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Whether an address is on this machine: only there may it go without TLS.
pub(crate) fn is_loopback(base: &str) -> bool {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(authority, |(h, _)| h);
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
