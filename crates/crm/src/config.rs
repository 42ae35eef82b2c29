//! `[crm]`: which system, how it is reached, what its words are. Read raw, checked whole at load, then connected.

use secrecy::SecretString;
use serde::Deserialize;

use crate::rt::RtFields;
use crate::{Known, Mapping};

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

impl std::fmt::Display for Kind {
    /// As in the config.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Zendesk => "zendesk",
            Self::HubSpot => "hubspot",
            Self::Salesforce => "salesforce",
            Self::Gorgias => "gorgias",
            Self::Shopify => "shopify",
            Self::Rt => "rt",
            Self::Webhook => "webhook",
        })
    }
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
    /// How often at most a case is brought up to date while its call goes on, in s. What comes sooner goes together.
    pub update_s: u64,
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
            update_s: 3,
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
    /// Whether people, cases or orders are in Baton's own store.
    pub fn uses_store(&self) -> bool {
        self.kind == Kind::Embedded || self.orders == Some(Kind::Embedded)
    }

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
}
