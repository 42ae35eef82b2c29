//! Salesforce, by its REST API (https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/).
//!
//! A call is a Case, upserted by an external id that Salesforce keeps unique, and a Task of the subtype Call on it: both in
//! one composite request, all or nothing. A Task has no unique field; it is looked for by `CallObject` before one is made,
//! and none is made while an earlier request may still have its effect.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::http::{Http, Request, Rules};
use crate::mapping::{self, Mapping, mark, rows, segment, text};
use crate::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Lookup, Numbering, Person, PopRequest, Receipt, Step, resolves,
    settled,
};

/// The connector.
pub struct Salesforce {
    pub(crate) http: Http,
    pub(crate) mapping: Mapping,
    pub(crate) numbering: Numbering,
    /// Such as `v62.0`.
    pub(crate) version: String,
    /// The Case's external id field.
    pub(crate) case_field: String,
    /// How long a create whose answer was lost may still have its effect.
    pub(crate) settle: Duration,
}

const CONTACT: &str = "Id, Name, Email, Phone, MobilePhone, HomePhone";
/// The field's length; longer text is refused, not cut.
const DESCRIPTION: usize = 32_000;

/// A session that ended is 401 `INVALID_SESSION_ID`; the day's requests used up is 403 `REQUEST_LIMIT_EXCEEDED`.
pub(crate) fn rules() -> Rules {
    Rules {
        limited: |seen| {
            seen.status == 429 || (seen.status == 403 && error_code(seen.body) == Some("REQUEST_LIMIT_EXCEEDED"))
        },
        hold: |seen| {
            // Without a word on how long: the limit is of a day, its window slides.
            let exceeded = seen.status == 403 && error_code(seen.body) == Some("REQUEST_LIMIT_EXCEEDED");
            seen.retry_after().or_else(|| exceeded.then_some(Duration::from_secs(60)))
        },
        expired: |seen| seen.status == 401,
        ..Rules::default()
    }
}

fn error_code(body: &Value) -> Option<&str> {
    body[0]["errorCode"].as_str()
}

impl Salesforce {
    fn path(&self, rest: &str) -> String {
        format!("/services/data/{}/{rest}", self.version)
    }

    async fn query(&self, soql: String) -> Result<Vec<Value>, CrmError> {
        let first = Request::get(self.path("query")).query("q", soql);
        self.http.list(first, "records", |page| page["nextRecordsUrl"].as_str().map(Request::get)).await
    }

    async fn contacts(&self, lookup: &Lookup) -> Result<Vec<Value>, CrmError> {
        Ok(match lookup {
            Lookup::Phone(number) => {
                let terms: Vec<String> =
                    self.numbering.writings(number).iter().map(|w| format!("\"{}\"", sosl(w))).collect();
                if terms.is_empty() {
                    return Ok(Vec::new());
                }
                let fields = CONTACT.replace(' ', "");
                let find = format!("FIND {{{}}} IN PHONE FIELDS RETURNING Contact({fields})", terms.join(" OR "));
                let found = self.http.ask(Request::get(self.path("search")).query("q", find).search()).await?;
                let mut found: Vec<Value> = rows(&found, "searchRecords").to_vec();
                found.retain(|c| phones(c).iter().any(|phone| self.numbering.same(phone, number)));
                found
            }
            Lookup::Email(address) => {
                self.query(format!("SELECT {CONTACT} FROM Contact WHERE Email = '{}'", soql(address.trim()))).await?
            }
            Lookup::Name(name) => {
                self.query(format!("SELECT {CONTACT} FROM Contact WHERE Name = '{}'", soql(name.trim()))).await?
            }
            Lookup::Id(id) => self.query(format!("SELECT {CONTACT} FROM Contact WHERE Id = '{}'", soql(id))).await?,
            Lookup::Order(_) => Vec::new(),
        })
    }

    async fn person(&self, contact: &Value) -> Result<Person, CrmError> {
        let id = text(&contact["Id"]).unwrap_or_default();
        let open = format!(
            "SELECT Id, CaseNumber, Subject, Status FROM Case WHERE ContactId = '{}' AND IsClosed = false ORDER BY CreatedDate DESC LIMIT 20",
            soql(&id)
        );
        let tickets = self.query(open).await?;
        Ok(Person {
            id,
            name: contact["Name"].as_str().unwrap_or_default().to_owned(),
            email: text(&contact["Email"]),
            phones: phones(contact).iter().map(|phone| self.numbering.e164(phone)).collect(),
            tickets: mapping::tickets(&tickets, ["Id", "Subject", "Status"]),
            ..Person::default()
        })
    }

    async fn tasks(&self, call_id: &str) -> Result<Vec<Value>, CrmError> {
        let fields = "Id, Status, CallDisposition, Description, WhoId, WhatId";
        let tasks =
            format!("SELECT {fields} FROM Task WHERE CallObject = '{}' ORDER BY CreatedDate ASC", soql(call_id));
        self.query(tasks).await
    }

    fn case_body(&self, write: &CaseWrite) -> Value {
        let mut case = json!({
            "Subject": mapping::subject(write),
            "Description": cut(&mapping::body(write), DESCRIPTION),
            "Origin": "Phone",
        });
        if let Some(contact) = &write.contact {
            case["ContactId"] = Value::from(contact.as_str());
        }
        if let Some(queue) = self.mapping.queues.get(write.queue.as_deref().unwrap_or_default()) {
            case["OwnerId"] = Value::from(queue.as_str());
        }
        if resolves(write) {
            case["Status"] = Value::from("Closed");
        }
        for (field, value) in self.mapping.fields(write) {
            case[field] = Value::from(value);
        }
        case
    }

    fn task_body(&self, write: &CaseWrite) -> Value {
        let mut task = json!({
            "Subject": mapping::subject(write),
            "Description": cut(&mapping::body(write), DESCRIPTION),
            "Status": if write.step == Step::Complete { "Completed" } else { "In Progress" },
        });
        if !write.disposition.is_empty() {
            task["CallDisposition"] = Value::from(cut(self.mapping.disposition(&write.disposition), 255));
        }
        if let Some(seconds) = mapping::duration_s(write) {
            task["CallDurationInSeconds"] = Value::from(seconds);
        }
        if let Some(contact) = &write.contact {
            task["WhoId"] = Value::from(contact.as_str());
        }
        if let Some(owner) = self.mapping.agent(write.agent.as_deref()) {
            task["OwnerId"] = Value::from(owner);
        }
        task
    }

    /// Case and Task in one request, all or nothing. Answers the Case's id.
    async fn both(&self, write: &CaseWrite, task: Option<&Value>) -> Result<String, CrmError> {
        let case_url = self.path(&format!("sobjects/Case/{}/{}", self.case_field, segment(&write.call_id)));
        let case =
            json!({"method": "PATCH", "url": case_url, "referenceId": "baton_case", "body": self.case_body(write)});
        let mut body = self.task_body(write);
        let task = match task.and_then(|task| text(&task["Id"])) {
            Some(id) => {
                let url = self.path(&format!("sobjects/Task/{}", segment(&id)));
                json!({"method": "PATCH", "url": url, "referenceId": "baton_task", "body": body})
            }
            None => {
                body["TaskSubtype"] = Value::from("Call");
                body["CallType"] = Value::from("Inbound");
                body["CallObject"] = Value::from(write.call_id.as_str());
                body["WhatId"] = Value::from("@{baton_case.id}");
                let day = write.started_at.unwrap_or_else(Timestamp::now).strftime("%Y-%m-%d").to_string();
                body["ActivityDate"] = Value::from(day);
                json!({"method": "POST", "url": self.path("sobjects/Task"), "referenceId": "baton_task", "body": body})
            }
        };
        let request = json!({"allOrNone": true, "compositeRequest": [case, task]});
        let answer = self.http.ask(Request::post(self.path("composite"), request)).await?;
        for part in rows(&answer, "compositeResponse") {
            let status = part["httpStatusCode"].as_u64().unwrap_or(500);
            let code = error_code(&part["body"]).unwrap_or_default();
            if status >= 300 && code != "PROCESSING_HALTED" {
                let said = format!("{status} {code} {}", part["body"][0]["message"].as_str().unwrap_or_default());
                // Somebody else had the record for a moment; a fault of theirs: both pass.
                let passes = status >= 500 || code == "UNABLE_TO_LOCK_ROW";
                return Err(if passes { CrmError::Unavailable(said) } else { CrmError::Refused(said) });
            }
        }
        let made = rows(&answer, "compositeResponse").iter().find(|part| part["referenceId"] == "baton_case");
        match made.and_then(|part| text(&part["body"]["id"])) {
            Some(id) => Ok(id),
            None => self
                .case_id(&write.call_id)
                .await?
                .ok_or_else(|| CrmError::Unavailable("the case is not there yet".into())),
        }
    }

    async fn case_id(&self, call_id: &str) -> Result<Option<String>, CrmError> {
        let soql = format!("SELECT Id FROM Case WHERE {} = '{}'", self.case_field, soql(call_id));
        Ok(self.query(soql).await?.first().and_then(|case| text(&case["Id"])))
    }

    async fn comments(&self, case: &str) -> Result<Vec<String>, CrmError> {
        let soql =
            format!("SELECT CommentBody FROM CaseComment WHERE ParentId = '{}' ORDER BY CreatedDate ASC", soql(case));
        Ok(self.query(soql).await?.iter().filter_map(|comment| text(&comment["CommentBody"])).collect())
    }

    async fn apply(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        let task = if write.hint.fresh { None } else { self.tasks(&write.call_id).await?.into_iter().next() };
        let over = task.as_ref().is_some_and(|task| task["Status"] == "Completed");
        let keep = task.is_some() && (over || matches!(write.step, Step::Note | Step::Link));
        let known = task.as_ref().and_then(|task| text(&task["WhatId"])).filter(|_| keep);
        if task.is_none() {
            settled(write, self.settle)?;
        }
        let case = match known {
            Some(case) => case,
            None => self.both(write, task.as_ref()).await?,
        };
        match write.step {
            Step::Note => {
                let mark = mark(&write.key);
                if !self.comments(&case).await?.iter().any(|comment| comment.contains(&mark)) {
                    let words = format!("{}\n{mark}", write.note.as_deref().unwrap_or_default());
                    let body = json!({"ParentId": case, "CommentBody": cut(&words, 4_000), "IsPublished": false});
                    self.http.ask(Request::post(self.path("sobjects/CaseComment"), body)).await?;
                }
            }
            Step::Link => {
                if let (Some(contact), Some(task)) = (&write.contact, task.as_ref().and_then(|t| text(&t["Id"]))) {
                    let case_path = self.path(&format!("sobjects/Case/{}", segment(&case)));
                    self.http.ask(Request::patch(case_path, json!({"ContactId": contact}))).await?;
                    let task_path = self.path(&format!("sobjects/Task/{}", segment(&task)));
                    self.http.ask(Request::patch(task_path, json!({"WhoId": contact}))).await?;
                }
            }
            Step::Open | Step::Update | Step::Complete => {}
        }
        Ok(Receipt::now(self.name(), case))
    }
}

#[async_trait]
impl Crm for Salesforce {
    fn name(&self) -> &str {
        "salesforce"
    }

    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError> {
        let mut people = Vec::new();
        for contact in self.contacts(&lookup).await? {
            people.push(self.person(&contact).await?);
        }
        Ok(people)
    }

    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        self.apply(write).await
    }

    async fn cases(&self, call_id: &str) -> Result<Vec<CaseView>, CrmError> {
        let mut views = Vec::new();
        for task in self.tasks(call_id).await? {
            let case = text(&task["WhatId"]).unwrap_or_default();
            views.push(CaseView {
                contact: text(&task["WhoId"]),
                disposition: text(&task["CallDisposition"]).map(|word| self.mapping.code(&word)),
                text: text(&task["Description"]).unwrap_or_default(),
                notes: self.comments(&case).await?,
                closed: task["Status"] == "Completed",
                record_id: case,
            });
        }
        Ok(views)
    }

    fn page(&self, request: &PopRequest) -> Option<String> {
        let (kind, id) = match (&request.record_id, &request.contact) {
            (Some(case), _) => ("Case", case),
            (None, contact) => ("Contact", contact.as_ref()?),
        };
        Some(format!("{}/lightning/r/{kind}/{}/view", self.http.base(), segment(id)))
    }

    async fn check(&self) -> Vec<Capability> {
        let limits = self.http.ask(Request::get(self.path("limits"))).await;
        let left = limits.map(|l| format!("{} requests left today", l["DailyApiRequests"]["Remaining"]));
        let people = self.contacts(&Lookup::Email("nobody@example.invalid".into())).await;
        let tasks = self.tasks("baton-check").await;
        let case = self.case_id("baton-check").await;
        vec![
            Capability::tried("sign in", left),
            Capability::tried("find people", people.map(|_| "contacts can be queried".into())),
            Capability::tried("read calls", tasks.map(|_| "tasks can be queried by CallObject".into())),
            Capability::tried("see the external id of cases", case.map(|_| format!("{} is there", self.case_field))),
            Capability::untried(
                "write cases and tasks",
                "it would leave some behind; create and edit on Case, Task, CaseComment",
            ),
        ]
    }
}

fn phones(contact: &Value) -> Vec<String> {
    ["Phone", "MobilePhone", "HomePhone"].iter().filter_map(|name| text(&contact[*name])).collect()
}

/// Within a quoted SOQL string.
fn soql(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'").replace(['\n', '\r'], " ")
}

/// Within a SOSL term: its reserved characters are escaped.
fn sosl(value: &str) -> String {
    value.chars().fold(String::new(), |mut out, c| {
        if "?&|!{}[]()^~*:\\\"'+-".contains(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

fn cut(text: &str, longest: usize) -> &str {
    text.char_indices().nth(longest).map_or(text, |(end, _)| &text[..end])
}
