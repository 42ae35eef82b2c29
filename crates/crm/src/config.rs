//! `[crm]`: which system, how it is reached, what its words are. Read raw, checked whole at load, then connected.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_store::Store;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::gorgias::{self, Gorgias};
use crate::http::{Auth, Grant, Http, HttpError, Rules, TokenSource, is_loopback, rsa_key};
use crate::hubspot::{self, HubSpot};
use crate::rt::{RequestTracker, RtFields};
use crate::salesforce::{self, Salesforce};
use crate::shopify::{self, Shopify};
use crate::webhook::Webhook;
use crate::zendesk::{self, Zendesk};
use crate::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Embedded, Known, Lookup, Mapping, Numbering, Order, Person,
    PopRequest, Receipt, ScreenPop, TwoSystems,
};

/// Which system of record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Baton's own store.
    #[default]
    Embedded,
    /// Zendesk Support.
    Zendesk,
    /// HubSpot.
    HubSpot,
    /// Salesforce.
    Salesforce,
    /// Gorgias.
    Gorgias,
    /// Shopify.
    Shopify,
    /// Request Tracker 5.
    Rt,
    /// A signed webhook.
    Webhook,
}

/// `[crm]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrmConfig {
    /// Where people and cases are.
    pub kind: Kind,
    /// Where orders are, if elsewhere.
    pub orders: Option<Kind>,
    /// How long one write may take before it counts as failed, in ms.
    pub timeout_ms: u64,
    /// How long one question may take, all its requests together, in ms.
    pub lookup_ms: u64,
    /// How long a write whose answer was lost may still take effect, in s; for systems that cannot refuse a double.
    pub settle_s: u64,
    /// Calling code of national numbers.
    pub country: String,
    /// Our words and the system's.
    pub map: Mapping,
    /// Needed where `kind` or `orders` says so, as the ones below.
    pub zendesk: Option<ZendeskConfig>,
    /// `[crm.hubspot]`
    pub hubspot: Option<HubSpotConfig>,
    /// `[crm.salesforce]`
    pub salesforce: Option<SalesforceConfig>,
    /// `[crm.gorgias]`
    pub gorgias: Option<GorgiasConfig>,
    /// `[crm.shopify]`
    pub shopify: Option<ShopifyConfig>,
    /// `[crm.rt]`
    pub rt: Option<RtConfig>,
    /// `[crm.webhook]`
    pub webhook: Option<WebhookConfig>,
}

impl Default for CrmConfig {
    fn default() -> Self {
        Self {
            kind: Kind::Embedded,
            orders: None,
            timeout_ms: 2_000,
            lookup_ms: 3_500,
            settle_s: 60,
            country: "1".into(),
            map: Mapping::default(),
            zendesk: None,
            hubspot: None,
            salesforce: None,
            gorgias: None,
            shopify: None,
            rt: None,
            webhook: None,
        }
    }
}

/// `[crm.zendesk]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZendeskConfig {
    /// `https://acme.zendesk.com`
    pub url: String,
    /// With `token`: whose API token it is.
    pub email: Option<String>,
    /// An API token; goes with `email`.
    pub token: Option<SecretString>,
    /// An OAuth access token instead.
    pub oauth_token: Option<SecretString>,
    /// The account has Talk Partner Edition.
    #[serde(default)]
    pub talk: bool,
    /// The app whose call objects are made; with `talk`.
    pub app_id: Option<u64>,
    /// The ticket field for the disposition, by id.
    pub disposition_field: Option<String>,
}

/// `[crm.hubspot]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSpotConfig {
    /// The API's address.
    #[serde(default = "hubspot_url")]
    pub url: String,
    /// A private app's access token.
    pub token: Option<SecretString>,
    /// OAuth instead: the app's id; goes with the next two.
    pub client_id: Option<String>,
    /// The app's secret.
    pub client_secret: Option<SecretString>,
    /// From the app's installation.
    pub refresh_token: Option<SecretString>,
    /// The account's number, for the addresses of its pages.
    pub portal: Option<String>,
}

fn hubspot_url() -> String {
    "https://api.hubapi.com".into()
}

/// `[crm.salesforce]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SalesforceConfig {
    /// The org: `https://acme.my.salesforce.com`
    pub url: String,
    /// Where tokens are: `https://login.salesforce.com`, `https://test.salesforce.com` for a sandbox.
    #[serde(default = "salesforce_login")]
    pub login_url: String,
    /// The connected app's consumer key.
    pub client_id: String,
    /// The integration user.
    pub username: String,
    /// The key whose certificate the connected app has, in PEM.
    pub private_key: SecretString,
    /// The API's version.
    #[serde(default = "salesforce_version")]
    pub version: String,
    /// A Case field: text, external id, unique.
    #[serde(default = "salesforce_case_field")]
    pub case_field: String,
}

fn salesforce_login() -> String {
    "https://login.salesforce.com".into()
}
fn salesforce_version() -> String {
    "v62.0".into()
}
fn salesforce_case_field() -> String {
    "Gateway_Call_Id__c".into()
}

/// `[crm.gorgias]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GorgiasConfig {
    /// `https://acme.gorgias.com`
    pub url: String,
    /// The user whose key it is; notes carry their name.
    pub email: String,
    /// The REST API key.
    pub key: SecretString,
    /// The ticket field for the disposition, by id.
    pub disposition_field: Option<String>,
}

/// `[crm.shopify]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShopifyConfig {
    /// `https://acme.myshopify.com`
    pub url: String,
    /// The Admin API access token.
    pub token: SecretString,
    /// The API's version.
    #[serde(default = "shopify_version")]
    pub version: String,
}

fn shopify_version() -> String {
    "2026-07".into()
}

/// `[crm.rt]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RtConfig {
    /// RT's address, with its path if it has one.
    pub url: String,
    /// An authentication token.
    pub token: Option<SecretString>,
    /// A user instead; goes with `password`.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// Names of queue and custom fields.
    #[serde(default)]
    pub fields: RtFields,
}

/// `[crm.webhook]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// The receiver's address.
    pub url: String,
    /// Shared with the receiver; 16 characters at least.
    pub secret: SecretString,
}

/// Something wrong in `[crm]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which key, from the top: `crm.zendesk.url`.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl CrmConfig {
    /// Everything that is wrong, without asking any system. `known` holds the rest of the config's words.
    pub fn check(&self, known: &Known<'_>) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self
            .map
            .faults(known)
            .into_iter()
            .map(|(key, what)| Fault { key, what, hint: "correct it, or take the line out".into() })
            .collect();
        let mut fault = |key: &str, what: &str, hint: &str| {
            faults.push(Fault { key: key.into(), what: what.into(), hint: hint.into() });
        };
        if self.country.is_empty() || self.country.len() > 3 || !self.country.bytes().all(|b| b.is_ascii_digit()) {
            fault("crm.country", "it is no calling code", "write it as \"1\" or \"49\"");
        }
        for (key, value) in [("crm.timeout_ms", self.timeout_ms), ("crm.lookup_ms", self.lookup_ms)] {
            if !(100..=60_000).contains(&value) {
                fault(key, "it is not between 100 and 60000", "2000 suits most systems");
            }
        }
        if self.orders.is_some_and(|orders| !matches!(orders, Kind::Embedded | Kind::Shopify | Kind::Webhook)) {
            fault("crm.orders", "that system knows no orders", "embedded, shopify or webhook");
        }
        for kind in [Some(self.kind), self.orders].into_iter().flatten() {
            if let Err(wrong) = self.system(kind) {
                faults.push(wrong);
            }
        }
        faults
    }

    /// Connects: `kind`, and `orders` beside it. Nothing is asked yet.
    ///
    /// # Errors
    /// The first of what [`CrmConfig::check`] tells.
    pub fn connect(&self, store: &Store) -> Result<Arc<dyn Crm>, Fault> {
        let cases = self.open(self.kind, store)?;
        let both = match self.orders.filter(|orders| *orders != self.kind) {
            Some(orders) => Arc::new(TwoSystems::new(cases, self.open(orders, store)?)),
            None => cases,
        };
        Ok(Arc::new(Bounded { inner: both, longest: Duration::from_millis(self.lookup_ms) }))
    }

    fn open(&self, kind: Kind, store: &Store) -> Result<Arc<dyn Crm>, Fault> {
        let system = self.system(kind)?;
        Ok(system.unwrap_or_else(|| Arc::new(Embedded::new(store.clone()).numbering(Numbering::new(&self.country)))))
    }

    /// A system over HTTP; none for the embedded one.
    fn system(&self, kind: Kind) -> Result<Option<Arc<dyn Crm>>, Fault> {
        let (mapping, numbering) = (self.map.clone(), Numbering::new(&self.country));
        let settle = Duration::from_secs(self.settle_s);
        Ok(Some(match kind {
            Kind::Embedded => return Ok(None),
            Kind::Zendesk => {
                let c = section(self.zendesk.as_ref(), "zendesk")?;
                let auth = match (&c.email, &c.token, &c.oauth_token) {
                    (Some(email), Some(token), None) => {
                        Auth::Basic { user: format!("{email}/token"), password: token.clone() }
                    }
                    (None, None, Some(token)) => Auth::bearer(token.clone()),
                    _ => {
                        return Err(wrong(
                            "zendesk",
                            "the credentials are not whole",
                            "give email and token, or oauth_token",
                        ));
                    }
                };
                if c.app_id.is_some() && !c.talk {
                    return Err(wrong("zendesk.app_id", "call objects need Talk Partner Edition", "set talk = true"));
                }
                let (talk, app_id, disposition_field) = (c.talk, c.app_id, c.disposition_field.clone());
                let http = http("zendesk", &c.url, auth, zendesk::rules())?;
                Arc::new(Zendesk { http, mapping, numbering, talk, app_id, disposition_field })
            }
            Kind::HubSpot => {
                let c = section(self.hubspot.as_ref(), "hubspot")?;
                let auth = match (&c.token, &c.client_id, &c.client_secret, &c.refresh_token) {
                    (Some(token), None, None, None) => Auth::bearer(token.clone()),
                    (None, Some(id), Some(secret), Some(refresh)) => Auth::Token(TokenSource::new(
                        format!("{}/oauth/v1/token", c.url.trim_end_matches('/')),
                        Grant::Refresh {
                            client_id: id.clone(),
                            client_secret: secret.clone(),
                            refresh_token: refresh.clone().into(),
                        },
                    )),
                    _ => {
                        let hint = "give token, or client_id with client_secret and refresh_token";
                        return Err(wrong("hubspot", "the credentials are not whole", hint));
                    }
                };
                let http = http("hubspot", &c.url, auth, hubspot::rules())?;
                Arc::new(HubSpot {
                    http,
                    mapping,
                    numbering,
                    portal: c.portal.clone(),
                    dispositions: Default::default(),
                })
            }
            Kind::Salesforce => {
                let c = section(self.salesforce.as_ref(), "salesforce")?;
                secure("salesforce.login_url", &c.login_url)?;
                let key = rsa_key(&c.private_key)
                    .map_err(|what| wrong("salesforce.private_key", &what, "use ${file:PATH} with the key in PEM"))?;
                let login = c.login_url.trim_end_matches('/');
                let grant = Grant::JwtBearer {
                    client_id: c.client_id.clone(),
                    subject: c.username.clone(),
                    audience: login.to_owned(),
                    key,
                };
                let auth = Auth::Token(TokenSource::new(format!("{login}/services/oauth2/token"), grant));
                let http = http("salesforce", &c.url, auth, salesforce::rules())?;
                let (version, case_field) = (c.version.clone(), c.case_field.clone());
                Arc::new(Salesforce { http, mapping, numbering, version, case_field, settle })
            }
            Kind::Gorgias => {
                let c = section(self.gorgias.as_ref(), "gorgias")?;
                let auth = Auth::Basic { user: c.email.clone(), password: c.key.clone() };
                let http = http("gorgias", &c.url, auth, gorgias::rules())?;
                let (email, disposition_field) = (c.email.clone(), c.disposition_field.clone());
                Arc::new(Gorgias { http, mapping, numbering, email, disposition_field, settle })
            }
            Kind::Shopify => {
                let c = section(self.shopify.as_ref(), "shopify")?;
                let auth = Auth::Fixed { header: "x-shopify-access-token", scheme: "", secret: c.token.clone() };
                let http = http("shopify", &c.url, auth, shopify::rules())?;
                Arc::new(Shopify { http, mapping, numbering, version: c.version.clone() })
            }
            Kind::Rt => {
                let c = section(self.rt.as_ref(), "rt")?;
                let auth = match (&c.token, &c.user, &c.password) {
                    (Some(token), None, None) => {
                        Auth::Fixed { header: "authorization", scheme: "token ", secret: token.clone() }
                    }
                    (None, Some(user), Some(password)) => {
                        Auth::Basic { user: user.clone(), password: password.clone() }
                    }
                    _ => return Err(wrong("rt", "the credentials are not whole", "give token, or user and password")),
                };
                let http = http("rt", &c.url, auth, Rules::default())?;
                Arc::new(RequestTracker { http, fields: c.fields.clone(), mapping, numbering, settle })
            }
            Kind::Webhook => {
                let c = section(self.webhook.as_ref(), "webhook")?;
                if c.secret.expose_secret().len() < 16 {
                    return Err(wrong(
                        "webhook.secret",
                        "it is too short",
                        "16 characters at least; openssl rand -hex 32",
                    ));
                }
                let (base, path) = split(&c.url);
                let http = http("webhook", base, Auth::None, Rules::default())?;
                Arc::new(Webhook { http, path: path.to_owned(), secret: c.secret.clone() })
            }
        }))
    }
}

/// An address's origin and path.
fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    match url.get(host..).and_then(|rest| rest.find('/')) {
        Some(at) => url.split_at(host + at),
        None => (url, "/"),
    }
}

fn section<'a, T>(section: Option<&'a T>, name: &str) -> Result<&'a T, Fault> {
    section.ok_or_else(|| wrong(name, "the section is missing", &format!("add [crm.{name}]")))
}

fn wrong(key: &str, what: &str, hint: &str) -> Fault {
    Fault { key: format!("crm.{key}"), what: what.into(), hint: hint.into() }
}

/// Credentials go over TLS; to this machine itself they need not.
fn secure(key: &str, url: &str) -> Result<(), Fault> {
    let plain = url.starts_with("http://");
    if !plain && !url.starts_with("https://") {
        return Err(wrong(key, "it is no address", "write it as https://…"));
    }
    if plain && !is_loopback(url) {
        return Err(wrong(key, "the credentials would go in the clear", "use https"));
    }
    Ok(())
}

fn http(section: &str, url: &str, auth: Auth, rules: Rules) -> Result<Http, Fault> {
    secure(&format!("{section}.url"), url)?;
    Http::new(url, auth, rules).map_err(|HttpError(what)| wrong(section, &what, "check the system's certificates"))
}

/// A bound on every question: a slow system must not keep a caller waiting. Writes are bounded by the outbox.
struct Bounded {
    inner: Arc<dyn Crm>,
    longest: Duration,
}

impl Bounded {
    async fn within<T>(&self, ask: impl Future<Output = Result<T, CrmError>>) -> Result<T, CrmError> {
        tokio::time::timeout(self.longest, ask).await.unwrap_or(Err(CrmError::TimedOut))
    }
}

#[async_trait]
impl Crm for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }
    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError> {
        self.within(self.inner.find_person(lookup)).await
    }
    async fn order(&self, number: String) -> Result<Option<(Order, Person)>, CrmError> {
        self.within(self.inner.order(number)).await
    }
    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        self.inner.write(write).await
    }
    async fn cases(&self, call_id: &str) -> Result<Vec<CaseView>, CrmError> {
        self.inner.cases(call_id).await
    }
    async fn screen_pop(&self, request: &PopRequest) -> Result<Option<ScreenPop>, CrmError> {
        self.within(self.inner.screen_pop(request)).await
    }
    async fn check(&self) -> Vec<Capability> {
        self.inner.check().await
    }
}
