//! From a checked `[crm]` to connectors: one function for each system. Nothing is asked of the system here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_store::Store;
use secrecy::ExposeSecret;

use crate::config::{
    CrmConfig, Fault, GorgiasConfig, HubSpotConfig, Kind, RtConfig, SalesforceConfig, ShopifyConfig, WebhookConfig,
    ZendeskConfig,
};
use crate::gorgias::{self, Gorgias};
use crate::http::{Auth, Grant, Http, HttpError, Rules, TokenSource, is_loopback, rsa_key};
use crate::hubspot::{self, HubSpot};
use crate::rt::RequestTracker;
use crate::salesforce::{self, Salesforce};
use crate::shopify::{self, Shopify};
use crate::webhook::{LEAST_SECRET, Webhook};
use crate::zendesk::{self, Zendesk};
use crate::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Embedded, Lookup, Mapping, Numbering, Order, Person, PopRequest,
    Receipt, Record, ScreenPop, TwoSystems,
};

impl CrmConfig {
    /// Connects: `kind`, and `orders` beside it. Nothing is asked yet. Only where [`CrmConfig::uses_store`] is it needed.
    ///
    /// # Errors
    /// The first of what [`CrmConfig::check`] tells.
    pub fn connect<'a>(&self, store: impl Into<Option<&'a Store>>) -> Result<Arc<dyn Crm>, Fault> {
        let store = store.into();
        let cases = self.open(self.kind, store)?;
        let both = match self.orders.filter(|orders| *orders != self.kind) {
            Some(orders) => Arc::new(TwoSystems::new(cases, self.open(orders, store)?)),
            None => cases,
        };
        Ok(Arc::new(Bounded { inner: both, longest: Duration::from_millis(self.lookup_ms) }))
    }

    fn open(&self, kind: Kind, store: Option<&Store>) -> Result<Arc<dyn Crm>, Fault> {
        if let Some(system) = self.system(kind)? {
            return Ok(system);
        }
        let store = store.ok_or_else(|| wrong("kind", "the embedded system needs the store", "open it first"))?;
        Ok(Arc::new(Embedded::new(store.clone()).numbering(Numbering::new(&self.country))))
    }

    /// A system over HTTP; none for the embedded one.
    pub(crate) fn system(&self, kind: Kind) -> Result<Option<Arc<dyn Crm>>, Fault> {
        let words = Words {
            mapping: self.map.clone(),
            numbering: Numbering::new(&self.country),
            settle: Duration::from_secs(self.settle_s),
        };
        Ok(Some(match kind {
            Kind::Embedded => return Ok(None),
            Kind::Zendesk => zendesk(section(self.zendesk.as_ref(), "zendesk")?, words)?,
            Kind::HubSpot => hubspot(section(self.hubspot.as_ref(), "hubspot")?, words)?,
            Kind::Salesforce => salesforce(section(self.salesforce.as_ref(), "salesforce")?, words)?,
            Kind::Gorgias => gorgias(section(self.gorgias.as_ref(), "gorgias")?, words)?,
            Kind::Shopify => shopify(section(self.shopify.as_ref(), "shopify")?, words)?,
            Kind::Rt => rt(section(self.rt.as_ref(), "rt")?, words)?,
            Kind::Webhook => webhook(section(self.webhook.as_ref(), "webhook")?, words)?,
        }))
    }
}

/// What every system is told besides its own section.
struct Words {
    mapping: Mapping,
    numbering: Numbering,
    /// How long a create whose answer was lost may still have its effect.
    settle: Duration,
}

fn zendesk(c: &ZendeskConfig, words: Words) -> Result<Arc<dyn Crm>, Fault> {
    let Words { mapping, numbering, .. } = words;
    let auth = match (&c.email, &c.token, &c.oauth_token) {
        (Some(email), Some(token), None) => Auth::Basic { user: format!("{email}/token"), password: token.clone() },
        (None, None, Some(token)) => Auth::bearer(token.clone()),
        _ => {
            return Err(wrong("zendesk", "the credentials are not whole", "give email and token, or oauth_token"));
        }
    };
    if c.app_id.is_some() && !c.talk {
        return Err(wrong("zendesk.app_id", "call objects need Talk Partner Edition", "set talk = true"));
    }
    let (talk, app_id, disposition_field) = (c.talk, c.app_id, c.disposition_field.clone());
    let http = http("zendesk", &c.url, auth, zendesk::rules())?;
    Ok(Arc::new(Zendesk { http, mapping, numbering, talk, app_id, disposition_field }))
}

fn hubspot(c: &HubSpotConfig, words: Words) -> Result<Arc<dyn Crm>, Fault> {
    let Words { mapping, numbering, .. } = words;
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
    Ok(Arc::new(HubSpot { http, mapping, numbering, portal: c.portal.clone(), dispositions: Default::default() }))
}

fn salesforce(c: &SalesforceConfig, words: Words) -> Result<Arc<dyn Crm>, Fault> {
    let Words { mapping, numbering, settle } = words;
    secure("crm.salesforce.login_url", &c.login_url)?;
    let key = rsa_key(&c.private_key)
        .map_err(|what| wrong("salesforce.private_key", &what, "use ${file:PATH} with the key in PEM"))?;
    let login = c.login_url.trim_end_matches('/');
    let grant = Grant::JwtBearer {
        client_id: c.client_id.clone(),
        subject: c.username.clone(),
        audience: login.to_owned(),
        key: Box::new(key),
    };
    let auth = Auth::Token(TokenSource::new(format!("{login}/services/oauth2/token"), grant));
    let http = http("salesforce", &c.url, auth, salesforce::rules())?;
    let (version, case_field) = (c.version.clone(), c.case_field.clone());
    Ok(Arc::new(Salesforce { http, mapping, numbering, version, case_field, settle }))
}

fn gorgias(c: &GorgiasConfig, words: Words) -> Result<Arc<dyn Crm>, Fault> {
    let Words { mapping, numbering, settle } = words;
    let auth = Auth::Basic { user: c.email.clone(), password: c.key.clone() };
    let http = http("gorgias", &c.url, auth, gorgias::rules())?;
    let (email, disposition_field) = (c.email.clone(), c.disposition_field.clone());
    Ok(Arc::new(Gorgias { http, mapping, numbering, email, disposition_field, settle }))
}

fn shopify(c: &ShopifyConfig, words: Words) -> Result<Arc<dyn Crm>, Fault> {
    let Words { mapping, numbering, .. } = words;
    let auth = Auth::Fixed { header: "x-shopify-access-token", scheme: "", secret: c.token.clone() };
    let http = http("shopify", &c.url, auth, shopify::rules())?;
    Ok(Arc::new(Shopify { http, mapping, numbering, version: c.version.clone() }))
}

fn rt(c: &RtConfig, words: Words) -> Result<Arc<dyn Crm>, Fault> {
    let Words { mapping, numbering, settle } = words;
    let auth = match (&c.token, &c.user, &c.password) {
        (Some(token), None, None) => Auth::Fixed { header: "authorization", scheme: "token ", secret: token.clone() },
        (None, Some(user), Some(password)) => Auth::Basic { user: user.clone(), password: password.clone() },
        _ => return Err(wrong("rt", "the credentials are not whole", "give token, or user and password")),
    };
    let http = http("rt", &c.url, auth, Rules::default())?;
    Ok(Arc::new(RequestTracker { http, fields: c.fields.clone(), mapping, numbering, settle }))
}

fn webhook(c: &WebhookConfig, _words: Words) -> Result<Arc<dyn Crm>, Fault> {
    if c.secret.expose_secret().len() < LEAST_SECRET {
        return Err(wrong("webhook.secret", "it is too short", "16 characters at least; openssl rand -hex 32"));
    }
    let (base, path) = split(&c.url);
    let http = http("webhook", base, Auth::None, Rules::default())?;
    Ok(Arc::new(Webhook { http, path: path.to_owned(), secret: c.secret.clone() }))
}

/// An address's origin and path.
pub(crate) fn split(url: &str) -> (&str, &str) {
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
pub(crate) fn secure(key: &str, url: &str) -> Result<(), Fault> {
    let fault = |what: &str, hint: &str| Fault { key: key.into(), what: what.into(), hint: hint.into() };
    let plain = url.starts_with("http://");
    if !plain && !url.starts_with("https://") {
        return Err(fault("it is no address", "write it as https://…"));
    }
    if plain && !is_loopback(url) {
        return Err(fault("the credentials would go in the clear", "use https"));
    }
    Ok(())
}

fn http(section: &str, url: &str, auth: Auth, rules: Rules) -> Result<Http, Fault> {
    secure(&format!("crm.{section}.url"), url)?;
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
    async fn record(&self, kind: String, number: String) -> Result<Option<(Record, Person)>, CrmError> {
        self.within(self.inner.record(kind, number)).await
    }
    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        self.inner.write(write).await
    }
    async fn cases(&self, call_id: &str) -> Result<Vec<CaseView>, CrmError> {
        self.inner.cases(call_id).await
    }
    fn page(&self, request: &PopRequest) -> Option<String> {
        self.inner.page(request)
    }
    async fn screen_pop(&self, request: &PopRequest) -> Result<Option<ScreenPop>, CrmError> {
        self.within(self.inner.screen_pop(request)).await
    }
    async fn check(&self) -> Vec<Capability> {
        self.inner.check().await
    }
}
