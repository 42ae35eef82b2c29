//! Gorgias (https://developers.gorgias.com/reference).
//!
//! Calls themselves can only be read there, so a call is a ticket of the channel `phone`. Its `external_id` is the call's id;
//! Gorgias keeps it, but not unique: a ticket is looked for before one is made, and none is made while an earlier request
//! may still have its effect. A `PUT` replaces tags and custom fields: they are read and merged first. Messages always
//! carry `sent_datetime`: one without might be sent to the customer.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::http::{Http, Request, Rules, Seen};
use crate::mapping::{self, Mapping, id_value, mark, rows, segment, text};
use crate::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Lookup, Numbering, Person, PopRequest, Receipt, Step, resolves,
    settled,
};

/// The connector.
pub struct Gorgias {
    pub(crate) http: Http,
    pub(crate) mapping: Mapping,
    pub(crate) numbering: Numbering,
    /// The account's own user, whose name notes carry.
    pub(crate) email: String,
    /// The ticket field for the disposition.
    pub(crate) disposition_field: Option<String>,
    /// How long a create whose answer was lost may still have its effect.
    pub(crate) settle: Duration,
}

const TAG: &str = "baton";
const ENDED: &str = "baton-ended";
const NOTE: &str = "Note: ";

/// 40 requests in 20 s: `X-Gorgias-Account-Api-Call-Limit: 39/40`, and `Retry-after` on 429.
pub(crate) fn rules() -> Rules {
    Rules {
        hold: |seen: &Seen<'_>| {
            let full = seen.header("x-gorgias-account-api-call-limit").and_then(|value| value.split_once('/'));
            let full = full.is_some_and(|(used, of)| used.trim() == of.trim());
            seen.retry_after().or_else(|| full.then_some(Duration::from_millis(500)))
        },
        ..Rules::default()
    }
}

impl Gorgias {
    async fn list(&self, path: &str, filter: &str, value: &str) -> Result<Vec<Value>, CrmError> {
        let first = Request::get(path).query(filter, value).query("limit", "50");
        let next = |page: &Value| {
            let cursor = page["meta"]["next_cursor"].as_str()?;
            Some(Request::get(path).query(filter, value).query("limit", "50").query("cursor", cursor))
        };
        self.http.list(first, "data", next).await
    }

    async fn customer(&self, id: &str) -> Result<Option<Value>, CrmError> {
        self.http.send(Request::get(format!("/api/customers/{}", segment(id)))).await?.found()
    }

    async fn customers(&self, lookup: &Lookup) -> Result<Vec<Value>, CrmError> {
        let mut found: Vec<Value> = Vec::new();
        match lookup {
            Lookup::Phone(number) => {
                for writing in self.numbering.writings(number) {
                    let search = json!({"type": "customer_channel_phone", "query": writing, "size": 50});
                    let hits = self.http.ask(Request::post("/api/search", search).search()).await?;
                    for hit in rows(&hits, "data") {
                        let id = text(&hit["customer"]["id"]).or_else(|| text(&hit["id"])).unwrap_or_default();
                        if found.iter().any(|known| text(&known["id"]).as_deref() == Some(&id)) {
                            continue;
                        }
                        // The hit's word is not enough: the customer's own channels are compared.
                        if let Some(customer) = self.customer(&id).await?
                            && phones(&customer).iter().any(|phone| self.numbering.same(phone, number))
                        {
                            found.push(customer);
                        }
                    }
                }
            }
            Lookup::Email(address) => {
                let address = address.trim();
                for hit in self.list("/api/customers", "email", address).await? {
                    if hit["email"].as_str().is_some_and(|e| e.eq_ignore_ascii_case(address)) {
                        found.extend(self.customer(&text(&hit["id"]).unwrap_or_default()).await?);
                    }
                }
            }
            Lookup::Id(id) => found.extend(self.customer(id).await?),
            Lookup::Name(_) | Lookup::Order(_) => {} // neither can be asked for
        }
        Ok(found)
    }

    async fn person(&self, customer: &Value) -> Result<Person, CrmError> {
        let id = text(&customer["id"]).unwrap_or_default();
        let mut tickets = self.list("/api/tickets", "customer_id", &id).await?;
        tickets.retain(|ticket| ticket["status"] != "closed");
        tickets.sort_by_key(|ticket| std::cmp::Reverse(ticket["id"].as_u64()));
        Ok(Person {
            name: text(&customer["name"]).unwrap_or_default(),
            email: text(&customer["email"]),
            phones: phones(customer).iter().map(|phone| self.numbering.e164(phone)).collect(),
            tickets: mapping::tickets(&tickets, ["id", "subject", "status"]),
            id,
            ..Person::default()
        })
    }

    /// The call's tickets with their messages, the eldest first; those trashed as doubles are no longer its.
    async fn tickets(&self, call_id: &str) -> Result<Vec<Value>, CrmError> {
        let mut found = self.list("/api/tickets", "external_id", call_id).await?;
        found.retain(|ticket| ticket["external_id"] == call_id && ticket["trashed_datetime"].is_null());
        found.sort_by_key(|ticket| ticket["id"].as_u64());
        let mut whole = Vec::with_capacity(found.len());
        for ticket in found {
            let id = text(&ticket["id"]).unwrap_or_default();
            whole.extend(self.http.send(Request::get(format!("/api/tickets/{}", segment(&id)))).await?.found()?);
        }
        Ok(whole)
    }

    /// The call's one ticket, made if there is none; true if it was made now.
    async fn ticket(&self, write: &CaseWrite) -> Result<(Value, bool), CrmError> {
        if !write.hint.fresh {
            let mut found = self.tickets(&write.call_id).await?.into_iter();
            if let Some(eldest) = found.next() {
                for younger in found {
                    let path = format!("/api/tickets/{}", segment(&text(&younger["id"]).unwrap_or_default()));
                    let away = json!({"trashed_datetime": format!("{:.0}", Timestamp::now())});
                    self.http.ask(Request::put(path, away)).await?;
                }
                return Ok((eldest, false));
            }
            settled(write, self.settle)?;
        }
        let at = format!("{:.0}", write.started_at.unwrap_or_else(Timestamp::now));
        let customer = match &write.contact {
            Some(id) => json!({"id": id_value(id)}),
            None => {
                json!({"name": write.caller_name, "channels": [{"type": "phone", "address": write.from, "preferred": true}]})
            }
        };
        let message = json!({
            "channel": "phone", "via": "api", "from_agent": false, "public": false, "sent_datetime": at,
            "source": {"type": "phone", "from": {"address": write.from}, "to": [{"address": write.to}]},
            "sender": customer, "subject": mapping::subject(write),
            "body_text": format!("{}\n{}", mapping::body(write), mark(&write.key)),
        });
        let mut ticket = json!({
            "channel": "phone", "via": "api", "from_agent": false, "external_id": write.call_id, "customer": customer,
            "subject": mapping::subject(write), "messages": [message], "tags": [{"name": TAG}],
            "custom_fields": self.custom_fields(write),
        });
        if let Some(team) = self.mapping.queue(write.queue.as_deref()).and_then(|team| team.parse::<u64>().ok()) {
            ticket["assignee_team"] = json!({"id": team});
        }
        Ok((self.http.ask(Request::post("/api/tickets", ticket)).await?, true))
    }

    fn custom_fields(&self, write: &CaseWrite) -> Vec<Value> {
        let mut fields: Vec<Value> = self
            .mapping
            .fields(write)
            .into_iter()
            .map(|(id, value)| json!({"id": id_value(id), "value": value}))
            .collect();
        if let Some(field) = self.disposition_field.as_deref().filter(|_| !write.disposition.is_empty()) {
            fields.push(json!({"id": id_value(field), "value": self.mapping.disposition(&write.disposition)}));
        }
        fields
    }

    /// A ticket's fields with ours over them: what is not sent would be gone.
    fn merged(&self, ticket: &Value, write: &CaseWrite) -> Vec<Value> {
        let mut merged = self.custom_fields(write);
        for field in rows(ticket, "custom_fields") {
            if !merged.iter().any(|ours| ours["id"] == field["id"]) {
                merged.push(json!({"id": field["id"], "value": field["value"]}));
            }
        }
        merged
    }

    /// An internal note, once for each key.
    async fn note(&self, ticket: &Value, key: &str, words: &str) -> Result<(), CrmError> {
        let mark = mark(key);
        let said = |m: &Value| m["body_text"].as_str().is_some_and(|b| b.contains(&mark));
        if rows(ticket, "messages").iter().any(said) {
            return Ok(());
        }
        let message = json!({
            "channel": "internal-note", "via": "api", "public": false, "from_agent": true,
            "sent_datetime": format!("{:.0}", Timestamp::now()),
            "source": {"type": "internal-note", "from": {"address": self.email}, "to": []},
            "sender": {"email": self.email}, "body_text": format!("{words}\n{mark}"),
        });
        let path = format!("/api/tickets/{}/messages", segment(&text(&ticket["id"]).unwrap_or_default()));
        self.http.ask(Request::post(path, message)).await.map(drop)
    }

    async fn apply(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        let (ticket, made) = self.ticket(write).await?;
        let id = text(&ticket["id"]).ok_or_else(|| CrmError::Refused("Gorgias made a ticket without an id".into()))?;
        let over = tags(&ticket).any(|tag| tag == ENDED);
        let mut change = serde_json::Map::new();
        match write.step {
            Step::Note => {
                self.note(&ticket, &write.key, &format!("{NOTE}{}", write.note.as_deref().unwrap_or_default())).await?;
            }
            Step::Link => {
                if let Some(contact) = write.contact.as_deref().filter(|_| !made) {
                    change.insert("customer".into(), json!({"id": id_value(contact)}));
                }
            }
            Step::Open | Step::Update | Step::Complete => {
                if !made {
                    self.note(&ticket, &write.key, &mapping::body(write)).await?;
                }
                if !made && !over {
                    change.insert("subject".into(), Value::from(mapping::subject(write)));
                    change.insert("custom_fields".into(), Value::from(self.merged(&ticket, write)));
                    if let Some(contact) = &write.contact {
                        change.insert("customer".into(), json!({"id": id_value(contact)}));
                    }
                    if let Some(agent) = self.mapping.agent(write.agent.as_deref()) {
                        change.insert("assignee_user".into(), json!({"id": id_value(agent)}));
                    }
                }
                if write.step == Step::Complete && !over {
                    let names: Vec<Value> = tags(&ticket).chain([ENDED]).map(|name| json!({"name": name})).collect();
                    change.insert("tags".into(), Value::from(names));
                    if resolves(write) {
                        change.insert("status".into(), Value::from("closed"));
                    }
                }
            }
        }
        if !change.is_empty() {
            self.http.ask(Request::put(format!("/api/tickets/{}", segment(&id)), Value::Object(change))).await?;
        }
        Ok(Receipt::now(self.name(), id))
    }
}

#[async_trait]
impl Crm for Gorgias {
    fn name(&self) -> &str {
        "gorgias"
    }

    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError> {
        let mut people = Vec::new();
        for customer in self.customers(&lookup).await? {
            people.push(self.person(&customer).await?);
        }
        Ok(people)
    }

    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        self.apply(write).await
    }

    async fn cases(&self, call_id: &str) -> Result<Vec<CaseView>, CrmError> {
        let view = |ticket: &Value| {
            let said = rows(ticket, "messages").iter().filter_map(|message| text(&message["body_text"])).collect();
            let disposition = mapping::field_value(ticket, self.disposition_field.as_deref());
            CaseView {
                contact: text(&ticket["customer"]["id"]),
                disposition: disposition.map(|word| self.mapping.code(&word)),
                closed: tags(ticket).any(|tag| tag == ENDED),
                ..mapping::view(text(&ticket["id"]).unwrap_or_default(), said, NOTE)
            }
        };
        Ok(self.tickets(call_id).await?.iter().map(view).collect())
    }

    fn page(&self, request: &PopRequest) -> Option<String> {
        let (kind, id) = match (&request.record_id, &request.contact) {
            (Some(ticket), _) => ("ticket", ticket),
            (None, customer) => ("customer", customer.as_ref()?),
        };
        Some(format!("{}/app/{kind}/{}", self.http.base(), segment(id)))
    }

    async fn check(&self) -> Vec<Capability> {
        let account = self.http.ask(Request::get("/api/account")).await.map(|a| text(&a["domain"]).unwrap_or_default());
        let people = self.list("/api/customers", "email", "nobody@example.invalid").await;
        let tickets = self.list("/api/tickets", "external_id", "baton-check").await;
        let mut report = vec![
            Capability::tried("sign in", account),
            Capability::tried("find people", people.map(|_| "customers can be listed".into())),
            Capability::tried("read tickets", tickets.map(|_| "tickets can be listed".into())),
        ];
        if let Some(field) = &self.disposition_field {
            let found = self.http.ask(Request::get(format!("/api/custom-fields/{}", segment(field)))).await;
            report.push(Capability::tried(
                "see the disposition field",
                found.map(|f| text(&f["label"]).unwrap_or_default()),
            ));
        }
        report.push(Capability::untried(
            "write tickets",
            "it would leave one behind; scopes tickets:write, customers:write",
        ));
        report
    }
}

fn phones(customer: &Value) -> Vec<String> {
    let channels = rows(customer, "channels").iter().filter(|c| matches!(c["type"].as_str(), Some("phone" | "sms")));
    channels.filter_map(|c| text(&c["address"])).collect()
}

fn tags(ticket: &Value) -> impl Iterator<Item = &str> {
    rows(ticket, "tags").iter().filter_map(|tag| tag["name"].as_str())
}
