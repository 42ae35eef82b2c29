//! Request Tracker 5, by its REST 2 interface (https://docs.bestpractical.com/rt/5.0.3/RT/REST2.html).
//!
//! RT has no unique field, so a second ticket for the same call cannot be refused: a ticket is looked for by its call
//! before one is made, and none is made while an earlier request may still have its effect. Should two have come into
//! being all the same, the elder stands and the younger are rejected.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::http::{Http, Request};
use crate::mapping::{self, Mapping, rows, segment, text};
use crate::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Lookup, Numbering, Person, PopRequest, Receipt, Step, resolves,
    settled,
};

/// Where things are in this RT; names of its custom fields.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RtFields {
    /// A ticket field, freeform single: the call's id. Without it nothing can be written.
    pub call: String,
    /// A ticket field, freeform single: the disposition.
    pub disposition: String,
    /// A user field, freeform multiple: telephone numbers in E.164. RT ignores a search by `MobilePhone` and returns
    /// everyone.
    pub phone: String,
    /// The queue for calls that name none.
    pub queue: String,
}

impl Default for RtFields {
    fn default() -> Self {
        Self {
            call: "Baton Call".into(),
            disposition: "Disposition".into(),
            phone: "Phone".into(),
            queue: "General".into(),
        }
    }
}

/// The connector.
pub struct RequestTracker {
    pub(crate) http: Http,
    pub(crate) fields: RtFields,
    pub(crate) mapping: Mapping,
    pub(crate) numbering: Numbering,
    /// How long a create whose answer was lost may still have its effect.
    pub(crate) settle: Duration,
}

const API: &str = "/REST/2.0";
/// Comments' subjects begin with these; a write's key follows.
const NOTE: &str = "Baton note ";
const UPDATE: &str = "Baton update ";
const END: &str = "Baton end ";
const USER_FIELDS: &str = "Name,RealName,EmailAddress,CustomFields,Disabled";

impl RequestTracker {
    async fn users(&self, query: Value) -> Result<Vec<Value>, CrmError> {
        let page = |n: u64| {
            Request::post(format!("{API}/users"), query.clone())
                .query("fields", USER_FIELDS)
                .query("per_page", "50")
                .query("page", n.to_string())
        };
        self.http.list(page(1), "items", |answer| next_page(answer).map(page)).await
    }

    async fn person(&self, user: &Value) -> Result<Person, CrmError> {
        let name = user["Name"].as_str().unwrap_or_default();
        let email = user["EmailAddress"].as_str().filter(|e| !e.is_empty());
        let query =
            format!("Requestor.Name = '{}' AND (Status = 'new' OR Status = 'open' OR Status = 'stalled')", quote(name));
        let request = Request::get(format!("{API}/tickets"))
            .query("query", query)
            .query("fields", "Subject,Status")
            .query("orderby", "Created")
            .query("order", "DESC")
            .query("per_page", "20");
        let found = self.http.ask(request).await?;
        Ok(Person {
            id: name.to_owned(),
            name: user["RealName"].as_str().filter(|n| !n.is_empty()).unwrap_or(name).to_owned(),
            email: email.map(str::to_owned),
            phones: field(user, &self.fields.phone),
            standing: (text(&user["Disabled"]).as_deref() == Some("1")).then(|| "disabled".to_owned()),
            tickets: mapping::tickets(rows(&found, "items"), ["id", "Subject", "Status"]),
            ..Person::default()
        })
    }

    /// The call's tickets, the eldest first; those rejected as doubles are no longer its.
    async fn tickets(&self, call_id: &str) -> Result<Vec<Value>, CrmError> {
        let query = format!("'CF.{{{}}}' = '{}' AND Status != 'rejected'", self.fields.call, quote(call_id));
        let page = |n: u64| {
            Request::get(format!("{API}/tickets"))
                .query("query", query.clone())
                .query("fields", "Subject,Status,CustomFields,Requestor")
                .query("orderby", "id")
                .query("per_page", "20")
                .query("page", n.to_string())
        };
        let mut found = self.http.list(page(1), "items", |answer| next_page(answer).map(page)).await?;
        // The search's word is not enough: a field that is not there would match every ticket.
        found.retain(|ticket| field(ticket, &self.fields.call) == [call_id]);
        Ok(found)
    }

    /// The call's one ticket, made if there is none; true if it was made now.
    async fn ticket(&self, write: &CaseWrite) -> Result<(String, bool), CrmError> {
        if !write.hint.fresh {
            let mut found = self.tickets(&write.call_id).await?.into_iter().filter_map(|t| text(&t["id"]));
            if let Some(eldest) = found.next() {
                for younger in found {
                    let path = format!("{API}/ticket/{}", segment(&younger));
                    self.http.ask(Request::put(path, json!({"Status": "rejected"}))).await?;
                }
                return Ok((eldest, false));
            }
            settled(write, self.settle)?;
        }
        let queue = self.mapping.queue(write.queue.as_deref()).unwrap_or(&self.fields.queue);
        let mut ticket = json!({
            "Queue": queue,
            "Subject": mapping::subject(write),
            "Content": mapping::body(write),
            "ContentType": "text/plain",
            "CustomFields": self.custom_fields(write),
        });
        if let Some(contact) = &write.contact {
            ticket["Requestor"] = Value::from(contact.as_str());
        }
        let made = self.http.ask(Request::post(format!("{API}/ticket"), ticket)).await?;
        let id = text(&made["id"]).ok_or_else(|| CrmError::Refused("RT made a ticket without an id".into()))?;
        // RT drops a field that is not applied to the queue and says 201: without the call's id it is lost to us.
        if field(&self.read(&id).await?, &self.fields.call) != [write.call_id.as_str()] {
            let path = format!("{API}/ticket/{}", segment(&id));
            self.http.ask(Request::put(path, json!({"Status": "rejected"}))).await?;
            let what =
                format!("the custom field {:?} is not applied to tickets of the queue {queue:?}", self.fields.call);
            return Err(CrmError::Refused(what));
        }
        Ok((id, true))
    }

    fn custom_fields(&self, write: &CaseWrite) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert(self.fields.call.clone(), Value::from(write.call_id.as_str()));
        if !write.disposition.is_empty() {
            let disposition = self.mapping.disposition(&write.disposition);
            fields.insert(self.fields.disposition.clone(), Value::from(disposition));
        }
        fields.extend(self.mapping.fields(write).into_iter().map(|(field, value)| (field.to_owned(), value.into())));
        fields
    }

    async fn read(&self, id: &str) -> Result<Value, CrmError> {
        self.http.ask(Request::get(format!("{API}/ticket/{}", segment(id)))).await
    }

    async fn put(&self, id: &str, change: Value) -> Result<(), CrmError> {
        self.http.ask(Request::put(format!("{API}/ticket/{}", segment(id)), change)).await.map(drop)
    }

    /// Comments once for each write: a comment's subject is in the ticket's history as `Data`.
    async fn comment(&self, id: &str, write: &CaseWrite, words: &str) -> Result<(), CrmError> {
        let subject = format!("{}{}", comment_kind(write.step), write.key);
        if self.history(id).await?.contains(&subject) {
            return Ok(());
        }
        let comment = json!({"Subject": subject, "Content": words, "ContentType": "text/plain"});
        let path = format!("{API}/ticket/{}/comment", segment(id));
        self.http.ask(Request::post(path, comment)).await.map(drop)
    }

    fn change(&self, write: &CaseWrite) -> Value {
        let mut change = json!({"Subject": mapping::subject(write), "CustomFields": self.custom_fields(write)});
        if let Some(contact) = &write.contact {
            change["Requestor"] = Value::from(contact.as_str());
        }
        change
    }

    /// The subjects of the ticket's comments.
    async fn history(&self, id: &str) -> Result<Vec<String>, CrmError> {
        let page = |n: u64| {
            Request::get(format!("{API}/ticket/{}/history", segment(id)))
                .query("fields", "Type,Data")
                .query("per_page", "100")
                .query("page", n.to_string())
        };
        let all = self.http.list(page(1), "items", |answer| next_page(answer).map(page)).await?;
        let comments = all.iter().filter(|t| t["Type"] == "Comment");
        Ok(comments.filter_map(|t| t["Data"].as_str()).map(|data| data.trim().to_owned()).collect())
    }

    async fn apply(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        let (id, made) = self.ticket(write).await?;
        match write.step {
            Step::Note => self.comment(&id, write, write.note.as_deref().unwrap_or_default()).await?,
            Step::Link if made => {}
            Step::Link => self.put(&id, json!({"Requestor": write.contact})).await?,
            Step::Open | Step::Update | Step::Complete => {
                if !made {
                    let over = self.history(&id).await?.iter().any(|subject| subject.starts_with(END));
                    if !over {
                        self.put(&id, self.change(write)).await?;
                    }
                    self.comment(&id, write, &mapping::body(write)).await?;
                } else if write.step == Step::Complete {
                    self.comment(&id, write, "The call is over.").await?;
                }
                if resolves(write) {
                    self.put(&id, json!({"Status": "resolved"})).await?;
                }
            }
        }
        Ok(Receipt::now(self.name(), id))
    }

    async fn view(&self, ticket: &Value) -> Result<CaseView, CrmError> {
        let id = text(&ticket["id"]).unwrap_or_default();
        let request = Request::get(format!("{API}/ticket/{}/attachments", segment(&id)))
            .query("fields", "Subject,Content,ContentType")
            .query("per_page", "100");
        let attachments = self.http.ask(request).await?;
        let by = |start: &'static str| {
            move |a: &&Value| {
                a["ContentType"] == "text/plain" && a["Subject"].as_str().is_some_and(|s| s.starts_with(start))
            }
        };
        let content = |a: &Value| a["Content"].as_str().map(str::to_owned);
        let all = rows(&attachments, "items");
        Ok(CaseView {
            record_id: id,
            contact: rows(ticket, "Requestor").first().and_then(|r| text(&r["id"])),
            disposition: field(ticket, &self.fields.disposition).first().map(|d| self.mapping.code(d)),
            text: all.iter().filter(|a| !by(NOTE)(a)).filter_map(content).collect::<Vec<_>>().join("\n"),
            notes: all.iter().filter(by(NOTE)).filter_map(content).collect(),
            closed: ticket["Status"] == "resolved" || all.iter().any(|a| by(END)(&a)),
        })
    }
}

#[async_trait]
impl Crm for RequestTracker {
    fn name(&self) -> &str {
        "rt"
    }

    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError> {
        let equals = |field: &str, value: &str| json!([{"field": field, "operator": "=", "value": value}]);
        let users = match &lookup {
            Lookup::Phone(number) => {
                let readings = self.numbering.readings(number);
                let custom = format!("CustomField.{{{}}}", self.fields.phone);
                let mut found: Vec<Value> = Vec::new();
                for reading in &readings {
                    for user in self.users(equals(&custom, reading)).await? {
                        let equal = field(&user, &self.fields.phone).iter().any(|p| readings.contains(p));
                        if equal && !found.iter().any(|known| known["Name"] == user["Name"]) {
                            found.push(user);
                        }
                    }
                }
                found
            }
            Lookup::Email(address) => {
                let mut users = self.users(equals("EmailAddress", address.trim())).await?;
                users.retain(|u| u["EmailAddress"].as_str().is_some_and(|e| e.eq_ignore_ascii_case(address.trim())));
                users
            }
            Lookup::Name(name) => {
                let mut users = self.users(equals("RealName", name)).await?;
                users.retain(|u| u["RealName"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)));
                users
            }
            Lookup::Id(id) => {
                let found = self.http.send(Request::get(format!("{API}/user/{}", segment(id)))).await?;
                found.found()?.into_iter().collect()
            }
            Lookup::Order(_) => Vec::new(), // RT knows no orders
        };
        let mut people = Vec::with_capacity(users.len());
        for user in &users {
            people.push(self.person(user).await?);
        }
        Ok(people)
    }

    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        self.apply(write).await
    }

    async fn cases(&self, call_id: &str) -> Result<Vec<CaseView>, CrmError> {
        let mut views = Vec::new();
        for ticket in self.tickets(call_id).await? {
            views.push(self.view(&ticket).await?);
        }
        Ok(views)
    }

    fn page(&self, request: &PopRequest) -> Option<String> {
        let base = self.http.base();
        Some(match (&request.record_id, &request.contact) {
            (Some(ticket), _) => format!("{base}/Ticket/Display.html?id={}", segment(ticket)),
            (None, Some(user)) => format!("{base}/User/Summary.html?Name={}", segment(user)),
            (None, None) => format!("{base}/"),
        })
    }

    async fn check(&self) -> Vec<Capability> {
        let version = self
            .http
            .ask(Request::get(format!("{API}/rt")))
            .await
            .map(|v| format!("RT {}", v["Version"].as_str().unwrap_or("?")));
        let people = self.users(json!([{"field": "Name", "operator": "=", "value": "nobody-at-all"}])).await;
        let mut report = vec![
            Capability::tried("reach the API", version),
            Capability::tried("find people", people.map(|_| "users can be searched".into())),
        ];
        let queue = self.http.ask(Request::get(format!("{API}/queue/{}", segment(&self.fields.queue)))).await;
        report.push(Capability::tried("see the default queue", queue.map(|q| text(&q["id"]).unwrap_or_default())));
        for (name, kind) in
            [(&self.fields.call, "tickets"), (&self.fields.disposition, "tickets"), (&self.fields.phone, "users")]
        {
            let query = json!([{"field": "Name", "operator": "=", "value": name}]);
            let found = self.http.ask(Request::post(format!("{API}/customfields"), query)).await.and_then(|found| {
                let known = rows(&found, "items").first().and_then(|f| text(&f["id"]));
                known.ok_or_else(|| CrmError::Refused(format!("make the custom field {name:?} and apply it to {kind}")))
            });
            report.push(Capability::tried(&format!("see the field {name:?}"), found));
        }
        report.push(Capability::untried(
            "write tickets",
            "it would leave one behind; rights needed: CreateTicket, ModifyTicket, CommentOnTicket, ModifyCustomField",
        ));
        report
    }
}

fn comment_kind(step: Step) -> &'static str {
    match step {
        Step::Note => NOTE,
        Step::Complete => END,
        _ => UPDATE,
    }
}

/// The number of the page after this one.
fn next_page(answer: &Value) -> Option<u64> {
    let (page, pages) = (answer["page"].as_u64()?, answer["pages"].as_u64()?);
    (page < pages).then_some(page + 1)
}

/// A custom field's values.
fn field(record: &Value, name: &str) -> Vec<String> {
    let field = rows(record, "CustomFields").iter().find(|field| field["name"] == name);
    field.map(|field| rows(field, "values").iter().filter_map(text).collect()).unwrap_or_default()
}

/// Within a quoted string of a ticket query.
fn quote(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}
