//! Zendesk Support and Talk Partner Edition: users, tickets, comments, tags, call objects, idempotency keys.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{PEOPLE, Req, Resp, Vendor, digits, ok, status};

pub struct Zendesk {
    base: String,
    tickets: Vec<Value>,
    comments: BTreeMap<u64, Vec<Value>>,
    calls: Vec<Value>,
    keys: BTreeMap<String, (String, Value)>,
    pub popped: Vec<String>,
}

impl Zendesk {
    pub fn new(base: &str) -> Self {
        let before = json!({"id": 1, "subject": "Where is my kettle?", "status": "open", "requester_id": 101, "tags": [],
            "external_id": null, "custom_fields": []});
        Self {
            base: base.into(),
            tickets: vec![before],
            comments: BTreeMap::new(),
            calls: Vec::new(),
            keys: BTreeMap::new(),
            popped: Vec::new(),
        }
    }

    /// The call's ticket, if there is one.
    pub fn ticket_of(&self, call_id: &str) -> Option<Value> {
        self.tickets.iter().find(|ticket| ticket["external_id"] == call_id).cloned()
    }

    fn create(&mut self, req: &Req) -> Resp {
        if let Some(key) = req.header("idempotency-key")
            && let Some((body, answer)) = self.keys.get(key)
        {
            return if *body == req.raw {
                Resp { headers: vec![("x-idempotency-lookup", "hit".into())], ..status(201, answer.clone()) }
            } else {
                status(
                    400,
                    json!({"error": "IdempotentRequestError", "description": "the key was used with another request"}),
                )
            };
        }
        let Some(mut ticket) = req.body.get("ticket").filter(|t| t["comment"]["body"].is_string()).cloned() else {
            return status(
                422,
                json!({"error": "RecordInvalid", "description": "Record validation errors", "details": {"comment": []}}),
            );
        };
        let id = self.tickets.len() as u64 + 1;
        let comment = ticket.as_object_mut().unwrap().remove("comment").unwrap();
        self.comments.entry(id).or_default().push(comment);
        ticket["id"] = json!(id);
        ticket["status"] = json!("new");
        if ticket["tags"].is_null() {
            ticket["tags"] = json!([]);
        }
        self.tickets.push(ticket.clone());
        let answer = json!({"ticket": ticket});
        if let Some(key) = req.header("idempotency-key") {
            self.keys.insert(key.into(), (req.raw.clone(), answer.clone()));
        }
        status(201, answer)
    }

    fn change(&mut self, id: u64, change: &Value) -> Resp {
        let Some(ticket) = self.tickets.iter_mut().find(|t| t["id"] == id) else { return missing() };
        for (name, value) in change.as_object().unwrap() {
            if name == "comment" {
                self.comments.entry(id).or_default().push(value.clone());
            } else {
                ticket[name] = value.clone();
            }
        }
        ok(json!({"ticket": ticket}))
    }

    fn users(&self, req: &Req) -> Resp {
        let query = req.param("query").unwrap_or_default();
        let (field, term) = query.split_once(':').unwrap_or(("", query));
        let term = term.trim_matches('"');
        let found: Vec<Value> = PEOPLE
            .iter()
            .filter(|p| match field {
                // By digits anywhere within, as full-text searches have it.
                "phone" => !digits(term).is_empty() && digits(p.phone).contains(&digits(term)),
                "email" => p.email.eq_ignore_ascii_case(term),
                _ => format!("{} {}", p.first, p.last) == term,
            })
            .map(user)
            .collect();
        // One a page: whoever wants all must follow.
        let page: usize = req.param("page").and_then(|p| p.parse().ok()).unwrap_or(1);
        let next = (page < found.len()).then(|| {
            let query: Vec<&str> = req.raw_query.split('&').filter(|p| !p.starts_with("page=")).collect();
            format!("{}/api/v2/users/search?{}&page={}", self.base, query.join("&"), page + 1)
        });
        let rows: Vec<Value> = found.get(page - 1).cloned().into_iter().collect();
        ok(json!({"users": rows, "next_page": next, "count": found.len()}))
    }
}

fn user(p: &super::Someone) -> Value {
    json!({"id": p.id, "name": format!("{} {}", p.first, p.last), "email": p.email, "phone": p.phone, "tags": ["vip"],
        "suspended": false, "role": "end-user"})
}

fn missing() -> Resp {
    status(404, json!({"error": "RecordNotFound", "description": "Not found"}))
}

impl Vendor for Zendesk {
    fn answer(&mut self, req: &Req) -> Resp {
        if !req.header("authorization").is_some_and(|a| a.starts_with("Basic ")) {
            return status(401, json!({"error": "Couldn't authenticate you"}));
        }
        let (method, parts) = req.parts();
        match (method, parts.as_slice()) {
            ("GET", ["api", "v2", "users", "search"]) => self.users(req),
            ("GET", ["api", "v2", "users", "me"]) => ok(json!({"user": {"name": "Baton", "role": "agent"}})),
            ("GET", ["api", "v2", "users", id]) => {
                PEOPLE.iter().find(|p| p.id.to_string() == *id).map_or_else(missing, |p| ok(json!({"user": user(p)})))
            }
            ("GET", ["api", "v2", "search"]) => {
                let query = req.param("query").unwrap_or_default();
                let whose = query.split("requester:").nth(1).unwrap_or_default();
                let open = |t: &&Value| {
                    t["requester_id"].to_string() == whose && !matches!(t["status"].as_str(), Some("solved" | "closed"))
                };
                ok(json!({"results": self.tickets.iter().filter(open).collect::<Vec<_>>()}))
            }
            ("GET", ["api", "v2", "tickets"]) => {
                let id = req.param("external_id");
                let found: Vec<&Value> = self.tickets.iter().filter(|t| t["external_id"].as_str() == id).collect();
                ok(json!({"tickets": found}))
            }
            ("POST", ["api", "v2", "channels", "voice", "tickets"]) => {
                if !matches!(req.body["ticket"]["via_id"].as_u64(), Some(44..=46)) {
                    return status(
                        422,
                        json!({"error": "RecordInvalid", "description": "via_id must be 44, 45 or 46"}),
                    );
                }
                self.create(req)
            }
            ("POST", ["api", "v2", "tickets"]) => self.create(req),
            ("GET", ["api", "v2", "ticket_fields", id]) => {
                ok(json!({"ticket_field": {"id": id, "title": "Disposition"}}))
            }
            ("POST", ["api", "v2", "channels", "voice", "agents", agent, kind, id, "display"]) => {
                self.popped.push(format!("{agent} {kind} {id}"));
                ok(Value::Null)
            }
            ("GET", ["api", "v2", "tickets", id]) => {
                let id: u64 = id.parse().unwrap_or(0);
                let found = self.tickets.iter().find(|t| t["id"] == id);
                found.map_or_else(missing, |ticket| ok(json!({"ticket": ticket})))
            }
            ("PUT", ["api", "v2", "tickets", id]) => self.change(id.parse().unwrap_or(0), &req.body["ticket"].clone()),
            ("GET", ["api", "v2", "tickets", id, "comments"]) => ok(
                json!({"comments": self.comments.get(&id.parse().unwrap_or(0)).cloned().unwrap_or_default(), "next_page": null}),
            ),
            ("PUT", ["api", "v2", "tickets", id, "tags"]) => {
                let id: u64 = id.parse().unwrap_or(0);
                let Some(ticket) = self.tickets.iter_mut().find(|t| t["id"] == id) else { return missing() };
                for tag in req.body["tags"].as_array().unwrap() {
                    if !ticket["tags"].as_array().unwrap().contains(tag) {
                        ticket["tags"].as_array_mut().unwrap().push(tag.clone());
                    }
                }
                ok(json!({"tags": ticket["tags"]}))
            }
            ("POST", ["api", "v2", "calls"]) => {
                let key = req.header("idempotency-key").unwrap_or_default().to_owned();
                if let Some((_, answer)) = self.keys.get(&key) {
                    return status(201, answer.clone());
                }
                for needed in ["app_id", "from_line", "to_line", "call_started_at", "direction"] {
                    if req.body[needed].is_null() || req.body[needed] == "" {
                        return status(
                            422,
                            json!({"error": "RecordInvalid", "description": format!("{needed} is missing")}),
                        );
                    }
                }
                let mut call = req.body.clone();
                call["id"] = json!(self.calls.len() + 900);
                self.calls.push(call.clone());
                let answer = json!({"call": call});
                self.keys.insert(key, (String::new(), answer.clone()));
                status(201, answer)
            }
            ("PATCH", ["api", "v2", "calls", id]) => {
                let Some(call) = self.calls.iter_mut().find(|c| c["id"].to_string() == *id) else { return missing() };
                for (name, value) in req.body.as_object().unwrap() {
                    call[name] = value.clone();
                }
                ok(json!({"call": call}))
            }
            _ => missing(),
        }
    }

    fn objects(&self) -> Vec<(&'static str, usize)> {
        let comments = self.comments.values().map(Vec::len).sum();
        vec![("tickets", self.tickets.len() - 1), ("comments", comments), ("calls", self.calls.len())]
    }
}
