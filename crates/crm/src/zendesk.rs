//! Zendesk Support, with Talk Partner Edition where the account has it
//! (https://developer.zendesk.com/api-reference/ticketing/introduction/).
//!
//! The call's ticket carries its id as `external_id`, which Zendesk does not keep unique: a ticket is looked for before one
//! is made, and is made with an `Idempotency-Key`, so that a request that is sent again is answered with the first one's
//! ticket.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::http::{Http, Request, Rules, Seen};
use crate::mapping::{self, Mapping, id_value, mark, rows, segment, text};
use crate::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Lookup, Numbering, Person, PopRequest, Receipt, ScreenPop, Step,
    resolves,
};

/// The connector.
pub struct Zendesk {
    pub(crate) http: Http,
    pub(crate) mapping: Mapping,
    pub(crate) numbering: Numbering,
    /// Talk Partner Edition: tickets are made as calls, and agents' screens can be told what to show.
    pub(crate) talk: bool,
    /// The app whose call objects we make; none if no call objects are wanted.
    pub(crate) app_id: Option<u64>,
    /// The ticket field for the disposition.
    pub(crate) disposition_field: Option<String>,
}

/// Every ticket of ours has it.
const TAG: &str = "baton";
/// The call is over.
const ENDED: &str = "baton_ended";
/// The call object's id follows.
const CALL: &str = "baton_call_";
/// The key of a note's write follows in the comment.
const NOTE: &str = "Note";

/// `Retry-After` on 429; an endpoint's own limit in `ratelimit-remaining` and `ratelimit-reset`; the account's in
/// `X-Rate-Limit-Remaining`, which is of a minute.
pub(crate) fn rules() -> Rules {
    Rules {
        hold: |seen: &Seen<'_>| {
            let spent = |name: &str| seen.header(name).is_some_and(|left| left == "0");
            let reset = || seen.seconds("ratelimit-reset");
            seen.retry_after()
                .or_else(|| (spent("ratelimit-remaining") || spent("x-rate-limit-remaining")).then(reset).flatten())
        },
        ..Rules::default()
    }
}

impl Zendesk {
    async fn search_users(&self, query: String) -> Result<Vec<Value>, CrmError> {
        let first = Request::get("/api/v2/users/search").query("query", query).search();
        self.http.list(first, "users", |page| page["next_page"].as_str().map(Request::get)).await
    }

    async fn person(&self, user: &Value) -> Result<Person, CrmError> {
        let id = text(&user["id"]).unwrap_or_default();
        let query = format!("type:ticket status<solved requester:{id}");
        let request = Request::get("/api/v2/search").query("query", query).query("sort_by", "created_at").search();
        let found = self.http.ask(request).await?;
        Ok(Person {
            name: user["name"].as_str().unwrap_or_default().to_owned(),
            email: user["email"].as_str().map(str::to_owned),
            phones: user["phone"].as_str().map(|phone| self.numbering.e164(phone)).into_iter().collect(),
            standing: (user["suspended"] == true).then(|| "suspended".to_owned()),
            flags: rows(user, "tags").iter().filter_map(text).collect(),
            tickets: mapping::tickets(rows(&found, "results"), ["id", "subject", "status"]),
            id,
            ..Person::default()
        })
    }

    /// The call's tickets, the eldest first.
    async fn tickets(&self, call_id: &str) -> Result<Vec<Value>, CrmError> {
        let found = self.http.ask(Request::get("/api/v2/tickets").query("external_id", call_id)).await?;
        let mut tickets: Vec<Value> = rows(&found, "tickets").to_vec();
        tickets.retain(|ticket| ticket["external_id"] == call_id);
        tickets.sort_by_key(|ticket| ticket["id"].as_u64());
        Ok(tickets)
    }

    /// The call's ticket as it stood before this write, or as it was made by it; true if by it.
    async fn ticket(&self, write: &CaseWrite) -> Result<(Value, bool), CrmError> {
        if let Some(id) = &write.hint.record_id
            && let Some(found) =
                self.http.send(Request::get(format!("/api/v2/tickets/{}", segment(id)))).await?.found()?
        {
            return Ok((found["ticket"].clone(), false));
        }
        if !write.hint.fresh
            && let Some(eldest) = self.tickets(&write.call_id).await?.into_iter().next()
        {
            return Ok((eldest, false));
        }
        let mut ticket = self.change(write);
        ticket["external_id"] = Value::from(write.call_id.as_str());
        ticket["comment"] = json!({"body": format!("{}\n{}", mapping::body(write), mark(&write.key)), "public": false});
        ticket["tags"] = json!([TAG]);
        let (path, body) = if self.talk {
            ticket["via_id"] = Value::from(45); // an inbound call
            ("/api/v2/channels/voice/tickets", json!({"ticket": ticket}))
        } else {
            ("/api/v2/tickets", json!({"ticket": ticket}))
        };
        let made = self.http.ask(Request::post(path, body).header("idempotency-key", &write.key)).await?;
        Ok((made["ticket"].clone(), true))
    }

    /// What of a write goes into a ticket's own fields.
    fn change(&self, write: &CaseWrite) -> Value {
        let mut fields: Vec<Value> = self
            .mapping
            .fields(write)
            .into_iter()
            .map(|(id, value)| json!({"id": id_value(id), "value": value}))
            .collect();
        if let Some(field) = self.disposition_field.as_deref().filter(|_| !write.disposition.is_empty()) {
            fields.push(json!({"id": id_value(field), "value": self.mapping.disposition(&write.disposition)}));
        }
        let mut ticket = json!({"subject": mapping::subject(write), "custom_fields": fields});
        if let Some(contact) = &write.contact {
            ticket["requester_id"] = id_value(contact);
        }
        if let Some(group) = self.mapping.queue(write.queue.as_deref()).and_then(|group| group.parse::<u64>().ok()) {
            ticket["group_id"] = Value::from(group);
        }
        if let Some(agent) = self.mapping.agent(write.agent.as_deref()) {
            ticket["assignee_id"] = id_value(agent);
        }
        ticket
    }

    async fn put(&self, id: &str, ticket: Value) -> Result<Value, CrmError> {
        self.http.ask(Request::put(format!("/api/v2/tickets/{}", segment(id)), json!({"ticket": ticket}))).await
    }

    async fn tag(&self, id: &str, tag: &str) -> Result<(), CrmError> {
        let path = format!("/api/v2/tickets/{}/tags", segment(id));
        self.http.ask(Request::put(path, json!({"tags": [tag]}))).await.map(drop)
    }

    async fn comments(&self, id: &str) -> Result<Vec<Value>, CrmError> {
        let first = Request::get(format!("/api/v2/tickets/{}/comments", segment(id)));
        self.http.list(first, "comments", |page| page["next_page"].as_str().map(Request::get)).await
    }

    /// Adds a private comment, once for each key, together with a change of the ticket.
    async fn comment(&self, id: &str, key: &str, words: &str, mut change: Value) -> Result<(), CrmError> {
        let mark = mark(key);
        let there = self.comments(id).await?.iter().any(|c| c["body"].as_str().is_some_and(|b| b.contains(&mark)));
        if !there {
            change["comment"] = json!({"body": format!("{words}\n{mark}"), "public": false});
        }
        if there && change.as_object().is_none_or(serde_json::Map::is_empty) {
            return Ok(());
        }
        self.put(id, change).await.map(drop)
    }

    /// The call object of Talk Partner Edition: made once, brought up to date at the end.
    async fn call_object(&self, ticket: &Value, write: &CaseWrite) -> Result<(), CrmError> {
        let (Some(app_id), Some(id)) = (self.app_id, text(&ticket["id"])) else { return Ok(()) };
        let mut call = json!({"call_type": "phone"});
        if !write.disposition.is_empty() {
            call["call_disposition"] = Value::from(self.mapping.disposition(&write.disposition));
        }
        if let Some(ended) = write.ended_at {
            call["call_ended_at"] = Value::from(format!("{ended:.0}"));
            call["completion_status"] = Value::from("completed");
        }
        if let Some(agent) = self.mapping.agent(write.agent.as_deref()) {
            call["agent_id"] = id_value(agent);
        }
        let known = rows(ticket, "tags").iter().filter_map(Value::as_str).find_map(|tag| tag.strip_prefix(CALL));
        if let Some(known) = known {
            return self.http.ask(Request::patch(format!("/api/v2/calls/{}", segment(known)), call)).await.map(drop);
        }
        call["app_id"] = Value::from(app_id);
        call["ticket_id"] = id_value(&id);
        let line = |number: &str| Value::from(if number.is_empty() { "unknown" } else { number });
        call["from_line"] = line(&write.from);
        call["to_line"] = line(&write.to);
        call["direction"] = Value::from("inbound");
        call["call_started_at"] = Value::from(write.started_at.map(|at| format!("{at:.0}")).unwrap_or_default());
        let request = Request::post("/api/v2/calls", call).header("idempotency-key", format!("{}:call", write.key));
        let made = self.http.ask(request).await?;
        match text(&made["call"]["id"]).or_else(|| text(&made["id"])) {
            Some(call) => self.tag(&id, &format!("{CALL}{call}")).await,
            None => Ok(()),
        }
    }

    async fn apply(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        let (ticket, made) = self.ticket(write).await?;
        let id = text(&ticket["id"]).ok_or_else(|| CrmError::Refused("Zendesk made a ticket without an id".into()))?;
        let over = rows(&ticket, "tags").iter().any(|tag| tag == ENDED);
        match write.step {
            Step::Note => {
                let words = format!("{NOTE}: {}", write.note.as_deref().unwrap_or_default());
                self.comment(&id, &write.key, &words, json!({})).await?;
            }
            Step::Link if made => {}
            Step::Link => {
                if let Some(contact) = &write.contact {
                    self.put(&id, json!({"requester_id": id_value(contact)})).await?;
                }
            }
            Step::Open | Step::Update | Step::Complete => {
                if !made {
                    let change = if over { json!({}) } else { self.change(write) };
                    self.comment(&id, &write.key, &mapping::body(write), change).await?;
                }
                if !over {
                    self.call_object(&ticket, write).await?;
                }
                if write.step == Step::Complete {
                    if resolves(write) && !over {
                        self.put(&id, json!({"status": "solved"})).await?;
                    }
                    self.tag(&id, ENDED).await?;
                }
            }
        }
        Ok(Receipt::now(self.name(), id))
    }

    async fn view(&self, ticket: &Value) -> Result<CaseView, CrmError> {
        let id = text(&ticket["id"]).unwrap_or_default();
        let said = self.comments(&id).await?.iter().filter_map(|comment| text(&comment["body"])).collect();
        let disposition = mapping::field_value(ticket, self.disposition_field.as_deref());
        Ok(CaseView {
            contact: text(&ticket["requester_id"]),
            disposition: disposition.map(|word| self.mapping.code(&word)),
            closed: rows(ticket, "tags").iter().any(|tag| tag == ENDED),
            ..mapping::view(id, said, NOTE)
        })
    }
}

#[async_trait]
impl Crm for Zendesk {
    fn name(&self) -> &str {
        "zendesk"
    }

    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError> {
        let mut users: Vec<Value> = Vec::new();
        match &lookup {
            Lookup::Phone(number) => {
                for writing in self.numbering.writings(number) {
                    for user in self.search_users(format!("phone:\"{writing}\"")).await? {
                        let equal = user["phone"].as_str().is_some_and(|phone| self.numbering.same(phone, number));
                        if equal && !users.iter().any(|known| known["id"] == user["id"]) {
                            users.push(user);
                        }
                    }
                }
            }
            Lookup::Email(address) => {
                users = self.search_users(format!("email:\"{}\"", plain(address))).await?;
                users.retain(|u| u["email"].as_str().is_some_and(|e| e.eq_ignore_ascii_case(address.trim())));
            }
            Lookup::Name(name) => {
                users = self.search_users(format!("name:\"{}\"", plain(name))).await?;
                users.retain(|u| u["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)));
            }
            Lookup::Id(id) => {
                let found = self.http.send(Request::get(format!("/api/v2/users/{}", segment(id)))).await?.found()?;
                users.extend(found.map(|found| found["user"].clone()));
            }
            Lookup::Order(_) => {} // Zendesk knows no orders
        }
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
        let (kind, id) = shown(request)?;
        Some(format!("{}/agent/{kind}/{id}", self.http.base()))
    }

    async fn screen_pop(&self, request: &PopRequest) -> Result<Option<ScreenPop>, CrmError> {
        let (Some(url), Some((kind, id))) = (self.page(request), shown(request)) else { return Ok(None) };
        let native = match self.mapping.agent(request.agent.as_deref()).filter(|_| self.talk) {
            Some(agent) => {
                let path = format!("/api/v2/channels/voice/agents/{}/{kind}/{id}/display", segment(agent));
                // An agent who is not signed in to Zendesk is no fault: the page's address is shown all the same.
                self.http.ask(Request::post_empty(path)).await.is_ok()
            }
            None => false,
        };
        Ok(Some(ScreenPop { url, native }))
    }

    async fn check(&self) -> Vec<Capability> {
        let me = self.http.ask(Request::get("/api/v2/users/me")).await;
        let me = me.map(|me| format!("as {}, {}", me["user"]["name"], me["user"]["role"]));
        let people =
            self.search_users("email:\"nobody@example.invalid\"".into()).await.map(|_| "users can be searched".into());
        let tickets = self.tickets("baton-check").await.map(|_| "tickets can be listed".into());
        let mut report = vec![
            Capability::tried("sign in", me),
            Capability::tried("find people", people),
            Capability::tried("read tickets", tickets),
        ];
        match &self.disposition_field {
            Some(field) => {
                let found = self.http.ask(Request::get(format!("/api/v2/ticket_fields/{}", segment(field)))).await;
                let title = found.map(|f| f["ticket_field"]["title"].as_str().unwrap_or_default().to_owned());
                report.push(Capability::tried("see the disposition field", title));
            }
            None => report.push(Capability::untried(
                "write dispositions",
                "disposition_field is not set: they stand in the text only",
            )),
        }
        let why = "it would leave a ticket behind; the role needs to make and edit tickets";
        report.push(Capability::untried("write tickets", why));
        if self.talk || self.app_id.is_some() {
            report
                .push(Capability::untried("write calls", "it would leave one behind; Talk Partner Edition is needed"));
        }
        report
    }
}

/// What an agent is to see: the ticket, or the person while there is none. The id is fit for a path.
fn shown(request: &PopRequest) -> Option<(&'static str, String)> {
    match (&request.record_id, &request.contact) {
        (Some(ticket), _) => Some(("tickets", segment(ticket))),
        (None, user) => Some(("users", segment(user.as_ref()?))),
    }
}

/// Within a quoted search term.
fn plain(term: &str) -> String {
    term.trim().replace(['"', '\\'], " ")
}
