//! A signed webhook, for systems Baton does not know: one address that is asked and told everything, in JSON. See
//! docs/crm.md for the messages.
//!
//! Each request carries `Baton-Timestamp` (Unix seconds) and `Baton-Signature: v1=` HMAC-SHA256 in hex over the timestamp, a
//! full stop and the body, with the shared secret (RFC 2104). The receiver refuses what is older than five minutes, and
//! keeps `Idempotency-Key`s: a key it has seen is answered as the first time.

use async_trait::async_trait;
use jiff::Timestamp;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::http::{Http, Request};
use crate::mapping::{rows, text};
use crate::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Lookup, Order, Person, PopRequest, Receipt, Record, ScreenPop,
    Ticket,
};

/// Characters of a secret, at least.
pub(crate) const LEAST_SECRET: usize = 16;

/// The connector.
pub struct Webhook {
    pub(crate) http: Http,
    /// The address's path.
    pub(crate) path: String,
    pub(crate) secret: SecretString,
}

impl Webhook {
    pub(crate) async fn ask(&self, kind: &str, key: Option<&str>, data: Value) -> Result<Option<Value>, CrmError> {
        let body = json!({"type": kind, "data": data}).to_string();
        let at = Timestamp::now().as_second().to_string();
        let signature = sign(self.secret.expose_secret(), &at, &body);
        let mut request = Request::post(self.path.as_str(), Value::String(body))
            .header("baton-timestamp", at)
            .header("baton-signature", format!("v1={signature}"));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.http.send(request).await?.found()
    }
}

/// The signature's hex digits.
fn sign(secret: &str, at: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// For receivers: whether a request is from who shares the secret, and no older than `max_age_s` at `now` (Unix seconds).
/// Compares in constant time.
pub fn verify(secret: &str, timestamp: &str, signature: &str, body: &str, now: i64, max_age_s: i64) -> bool {
    let Ok(at) = timestamp.parse::<i64>() else { return false };
    if now.abs_diff(at) > max_age_s.unsigned_abs() {
        return false;
    }
    let Some(hex) = signature.strip_prefix("v1=") else { return false };
    let bytes: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|i| hex.get(i..i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    bytes.is_some_and(|tag| hmac::verify(&key, format!("{timestamp}.{body}").as_bytes(), &tag).is_ok())
}

#[async_trait]
impl Crm for Webhook {
    fn name(&self) -> &str {
        "webhook"
    }

    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError> {
        let (by, value) = match lookup {
            Lookup::Phone(value) => ("phone", value),
            Lookup::Email(value) => ("email", value),
            Lookup::Order(value) => ("order", value),
            Lookup::Name(value) => ("name", value),
            Lookup::Id(value) => ("id", value),
        };
        let answer = self.ask("person.find", None, json!({"by": by, "value": value})).await?.unwrap_or_default();
        Ok(rows(&answer, "people").iter().map(person).collect())
    }

    async fn order(&self, number: String) -> Result<Option<(Order, Person)>, CrmError> {
        let answer = self.ask("order.find", None, json!({"number": number})).await?.unwrap_or_default();
        Ok(answer["order"].is_object().then(|| (order(&answer["order"]), person(&answer["person"]))))
    }

    async fn record(&self, kind: String, number: String) -> Result<Option<(Record, Person)>, CrmError> {
        let asked = json!({"kind": kind, "number": number});
        let answer = self.ask("record.find", None, asked).await?.unwrap_or_default();
        Ok(answer["record"].is_object().then(|| (record(&answer["record"]), person(&answer["person"]))))
    }

    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        let data = serde_json::to_value(write).map_err(|e| CrmError::Refused(e.to_string()))?;
        let kind = format!("case.{}", write.step.name());
        let answer = self.ask(&kind, Some(&write.key), data).await?;
        let answer = answer.ok_or_else(|| CrmError::Refused("404: nobody listens at this address".into()))?;
        // A receiver without ids of its own may answer with nothing.
        let record_id = text(&answer["record_id"]).unwrap_or_else(|| write.call_id.clone());
        Ok(Receipt::now(self.name(), record_id))
    }

    async fn cases(&self, call_id: &str) -> Result<Vec<CaseView>, CrmError> {
        let answer = self.ask("case.read", None, json!({"call_id": call_id})).await?.unwrap_or_default();
        let view = |case: &Value| CaseView {
            record_id: text(&case["record_id"]).unwrap_or_default(),
            contact: text(&case["contact"]),
            disposition: text(&case["disposition"]),
            text: text(&case["text"]).unwrap_or_default(),
            notes: rows(case, "notes").iter().filter_map(text).collect(),
            closed: case["closed"] == true,
        };
        Ok(rows(&answer, "cases").iter().map(view).collect())
    }

    async fn screen_pop(&self, request: &PopRequest) -> Result<Option<ScreenPop>, CrmError> {
        let PopRequest { call_id, record_id, contact, agent } = request;
        let data = json!({"call_id": call_id, "record_id": record_id, "contact": contact, "agent": agent});
        let answer = self.ask("screen.pop", None, data).await?.unwrap_or_default();
        Ok(text(&answer["url"]).map(|url| ScreenPop { url, native: answer["native"] == true }))
    }

    async fn check(&self) -> Vec<Capability> {
        let answer = self.ask("ping", None, json!({})).await;
        let answer =
            answer.and_then(|a| a.ok_or_else(|| CrmError::Refused("404: nobody listens at this address".into())));
        vec![Capability::tried("be heard", answer.map(|_| "the receiver took a signed ping".into()))]
    }
}

fn person(value: &Value) -> Person {
    Person {
        id: text(&value["id"]).unwrap_or_default(),
        name: text(&value["name"]).unwrap_or_default(),
        email: text(&value["email"]),
        phones: rows(value, "phones").iter().filter_map(text).collect(),
        standing: text(&value["standing"]),
        flags: rows(value, "flags").iter().filter_map(text).collect(),
        orders: rows(value, "orders").iter().map(order).collect(),
        tickets: rows(value, "tickets")
            .iter()
            .map(|ticket| Ticket {
                id: text(&ticket["id"]).unwrap_or_default(),
                subject: text(&ticket["subject"]).unwrap_or_default(),
                status: text(&ticket["status"]).unwrap_or_default(),
            })
            .collect(),
        attributes: value["attributes"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
            .collect(),
        authorised: rows(value, "authorised").iter().filter_map(text).collect(),
        records: rows(value, "records").iter().map(record).collect(),
    }
}

fn record(value: &Value) -> Record {
    Record {
        kind: text(&value["kind"]).unwrap_or_default(),
        number: text(&value["number"]).unwrap_or_default(),
        status: text(&value["status"]).unwrap_or_default(),
        what: text(&value["what"]).unwrap_or_default(),
        due: text(&value["due"]),
    }
}

fn order(value: &Value) -> Order {
    Order {
        number: text(&value["number"]).unwrap_or_default(),
        item: text(&value["item"]).unwrap_or_default(),
        status: text(&value["status"]).unwrap_or_default(),
        amount_cents: value["amount_cents"].as_i64(),
        currency: text(&value["currency"]).unwrap_or_default(),
        ordered_on: text(&value["ordered_on"]),
        eta: text(&value["eta"]),
        note: text(&value["note"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_secret_time_and_body() {
        let signed = format!("v1={}", sign("secret", "1700000000", "{}"));
        let holds = |secret, at, body, now| verify(secret, at, &signed, body, now, 300);
        assert!(holds("secret", "1700000000", "{}", 1_700_000_200));
        assert!(!holds("other", "1700000000", "{}", 1_700_000_200));
        assert!(!holds("secret", "1700000001", "{}", 1_700_000_200));
        assert!(!holds("secret", "1700000000", "{ }", 1_700_000_200));
        assert!(!holds("secret", "1700000000", "{}", 1_700_000_301), "too old");
        for nonsense in ["", "v1=", "v1=zz", "v1=abc", "v2=00"] {
            assert!(!verify("secret", "1700000000", nonsense, "{}", 1_700_000_000, 300), "{nonsense}");
        }
    }

    #[test]
    fn the_signature_is_hmac_sha256() {
        // RFC 4231, test case 2, through the same key and hex.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        let tag = hmac::sign(&key, b"what do ya want for nothing?");
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
