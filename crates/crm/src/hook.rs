//! What a conversation may ask of other services in JSON: a web hook that does something for the caller (`[webhook.NAME]`),
//! signed as the webhook connector signs; and a service behind a bearer token. One try each, within its time; who fails
//! repeatedly is left alone for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::CrmError;
use crate::config::Fault;
use crate::connect::{secure, split};
use crate::http::{Auth, Http, HttpError, Request, Rules};
use crate::mapping::text;
use crate::webhook::{LEAST_SECRET, Webhook};

/// `[webhook.NAME]`: an address that does something for a caller when a flow's intent says so.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookConfig {
    /// Where it listens.
    pub url: String,
    /// What requests are signed with; 16 characters at least.
    pub secret: SecretString,
    /// How long it may take, in ms.
    #[serde(default = "usual_time")]
    pub timeout_ms: u64,
}

fn usual_time() -> u64 {
    3_000
}

/// What is asked of a web hook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookCall {
    /// One effect for each: a receiver keeps them, as those of case writes.
    pub key: String,
    /// The hook's name in the config.
    pub name: String,
    /// For whom: the call, the caller's number, the CRM's id of the person if the caller is known to be that person.
    pub call_id: String,
    /// The caller's number.
    pub from: String,
    /// The CRM's id of the person.
    pub contact: Option<String>,
    /// What was collected, by slot.
    pub values: BTreeMap<String, String>,
}

/// What it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookAnswer {
    /// Whether what was asked for was done.
    pub done: bool,
    /// A sentence for the caller.
    pub say: Option<String>,
}

/// A web hook, ready to be called.
pub struct Hook {
    webhook: Webhook,
    longest: Duration,
}

impl Hook {
    /// From its config; `name` stands in faults.
    ///
    /// # Errors
    /// What is wrong with the config, and what to do.
    pub fn new(name: &str, config: &HookConfig) -> Result<Self, Fault> {
        let key = |key: &str| format!("webhook.{name}.{key}");
        let fault = |at: &str, what: &str, hint: &str| Fault { key: key(at), what: what.into(), hint: hint.into() };
        if config.secret.expose_secret().len() < LEAST_SECRET {
            return Err(fault("secret", "it is too short", "16 characters at least; openssl rand -hex 32"));
        }
        if !(100..=LONGEST_MS).contains(&config.timeout_ms) {
            let hint = "the caller waits for it; 3000 suits most";
            return Err(fault("timeout_ms", "it is not between 100 and 4500", hint));
        }
        secure(&key("url"), &config.url)?;
        let (base, path) = split(&config.url);
        let http = Http::new(base, Auth::None, Rules::default())
            .map_err(|HttpError(what)| fault("url", &what, "check the system's certificates"))?;
        let webhook = Webhook { http, path: path.to_owned(), secret: config.secret.clone() };
        Ok(Self { webhook, longest: Duration::from_millis(config.timeout_ms) })
    }

    /// Asks once, within its time.
    ///
    /// # Errors
    /// It could not be asked, did not answer in time, or not as a web hook answers. The effect may be there all the same.
    pub async fn run(&self, call: &HookCall) -> Result<HookAnswer, CrmError> {
        let HookCall { key, name, call_id, from, contact, values } = call;
        let data = json!({"action": name, "call_id": call_id, "from": from, "contact": contact, "values": values});
        let ask = self.webhook.ask("action.run", Some(key), data);
        let answer = tokio::time::timeout(self.longest, ask).await.unwrap_or(Err(CrmError::TimedOut))?;
        let answer = answer.ok_or_else(|| CrmError::Refused("404: nobody listens at this address".into()))?;
        let done = answer["done"].as_bool();
        let done = done.ok_or_else(|| CrmError::Refused("its answer has no `done`, true or false".into()))?;
        Ok(HookAnswer { done, say: text(&answer["say"]) })
    }
}

/// The longest a caller may be kept waiting by a web hook: the conversation gives an action five seconds in all.
const LONGEST_MS: u64 = 4_500;

/// A service that is asked by POST in JSON, with a bearer token if it wants one.
pub struct JsonService {
    http: Http,
    path: String,
    longest: Duration,
}

impl JsonService {
    /// At this address. `key` names the config's section in faults.
    ///
    /// # Errors
    /// What is wrong with the address, and what to do.
    pub fn new(key: &str, url: &str, token: Option<SecretString>, longest: Duration) -> Result<Self, Fault> {
        secure(&format!("{key}.url"), url)?;
        let (base, path) = split(url);
        let auth = token.map_or(Auth::None, Auth::bearer);
        let http = Http::new(base, auth, Rules::default()).map_err(|HttpError(what)| Fault {
            key: format!("{key}.url"),
            what,
            hint: "check the system's certificates".into(),
        })?;
        Ok(Self { http, path: path.to_owned(), longest })
    }

    /// Asks once, within its time.
    ///
    /// # Errors
    /// Why there is no answer of use.
    pub async fn post(&self, body: Value) -> Result<Value, CrmError> {
        let send = async { self.http.send(Request::post(self.path.as_str(), body)).await?.ok() };
        tokio::time::timeout(self.longest, send).await.unwrap_or(Err(CrmError::TimedOut))
    }
}
