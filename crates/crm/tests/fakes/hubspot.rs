//! HubSpot: contacts, tickets, calls and notes with unique properties, associations, dispositions; its OAuth endpoint.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{PEOPLE, Req, Resp, Vendor, digits, ok, status};

#[derive(Default)]
pub struct HubSpot {
    objects: BTreeMap<String, Vec<Value>>,
    associations: Vec<(String, String, String)>,
    tokens: usize,
    /// Tokens of before this number hold no more.
    good_from: usize,
    next: usize,
}

impl HubSpot {
    /// One property of the call's object.
    pub fn call_property(&self, call_id: &str, name: &str) -> Option<String> {
        let calls = self.objects.get("calls")?;
        let call = calls.iter().find(|call| call["properties"]["baton_call_id"] == call_id)?;
        call["properties"][name].as_str().map(str::to_owned)
    }

    fn upsert(&mut self, kind: &str, unique: &str, body: &Value) -> Resp {
        let mut results = Vec::new();
        for input in body["inputs"].as_array().unwrap() {
            if input["idProperty"] != unique || input["properties"][unique] != input["id"] {
                return status(
                    400,
                    json!({"status": "error", "message": format!("{} is no unique property", input["idProperty"])}),
                );
            }
            if input["properties"]["hs_timestamp"].is_null() {
                return status(400, json!({"status": "error", "message": "hs_timestamp is required"}));
            }
            let list = self.objects.entry(kind.into()).or_default();
            let known = list.iter_mut().find(|o| o["properties"][unique] == input["id"]);
            let object = match known {
                Some(object) => {
                    for (name, value) in input["properties"].as_object().unwrap() {
                        object["properties"][name] = value.clone();
                    }
                    object.clone()
                }
                None => {
                    self.next += 1;
                    let made = json!({"id": (7_000 + self.next).to_string(), "properties": input["properties"]});
                    list.push(made.clone());
                    made
                }
            };
            results.push(object);
        }
        ok(json!({"status": "COMPLETE", "results": results}))
    }

    fn search(&self, kind: &str, body: &Value) -> Resp {
        for needed in ["filterGroups", "properties", "sorts", "limit", "after"] {
            if body[needed].is_null() {
                return status(400, json!({"message": format!("{needed} is required")}));
            }
        }
        let fits = |object: &Value, filter: &Value| {
            let (name, value) = (filter["propertyName"].as_str().unwrap(), filter["value"].as_str().unwrap());
            match name {
                // Calculated: the digits of the number, without its country.
                "hs_searchable_calculated_phone_number" => {
                    let held = digits(object["properties"]["phone"].as_str().unwrap_or_default());
                    let local = &held[held.len().saturating_sub(10)..];
                    local == value || held == value
                }
                name => object["properties"][name].as_str() == Some(value),
            }
        };
        let contacts: Vec<Value>;
        let all = if kind == "contacts" {
            contacts = PEOPLE.iter().map(contact).collect();
            &contacts
        } else {
            self.objects.get(kind).map_or(&[][..], Vec::as_slice)
        };
        let hit = |o: &&Value| {
            body["filterGroups"]
                .as_array()
                .unwrap()
                .iter()
                .any(|g| g["filters"].as_array().unwrap().iter().all(|f| fits(o, f)))
        };
        let found: Vec<&Value> = all.iter().filter(hit).collect();
        // A position that is not ours (a description's example, say) is behind the end.
        let after: usize = body["after"].as_str().unwrap().parse().unwrap_or(found.len());
        let next = (after + 1 < found.len()).then(|| json!({"next": {"after": (after + 1).to_string()}}));
        ok(json!({"total": found.len(), "results": found.get(after).into_iter().collect::<Vec<_>>(), "paging": next}))
    }
}

fn contact(p: &super::Someone) -> Value {
    json!({"id": p.id.to_string(), "properties": {"firstname": p.first, "lastname": p.last, "email": p.email, "phone": p.phone,
        "mobilephone": null, "lifecyclestage": "customer"}})
}

const DISPOSITIONS: [(&str, &str); 2] =
    [("Escalated", "9d9162e7-6cf3-4944-bf63-4dff82258764"), ("Solved", "f240bbac-87c9-4f6e-bf70-924b57d47db7")];

impl Vendor for HubSpot {
    fn answer(&mut self, req: &Req) -> Resp {
        let (method, parts) = req.parts();
        if parts == ["oauth", "v1", "token"] {
            assert_eq!(req.header("content-type"), Some("application/x-www-form-urlencoded"));
            if !req.raw.contains("grant_type=refresh_token") || !req.raw.contains("refresh_token=refresh-1") {
                return status(400, json!({"error": "invalid_grant"}));
            }
            self.tokens += 1;
            return ok(
                json!({"access_token": format!("access-{}", self.tokens), "expires_in": 1_800, "token_type": "bearer"}),
            );
        }
        let bearer = req.header("authorization").and_then(|a| a.strip_prefix("Bearer ")).unwrap_or_default();
        let number: usize = bearer.strip_prefix("access-").and_then(|n| n.parse().ok()).unwrap_or(0);
        if bearer != "pat-1" && (number == 0 || number < self.good_from) {
            return status(401, json!({"status": "error", "category": "EXPIRED_AUTHENTICATION", "message": "expired"}));
        }
        match (method, parts.as_slice()) {
            ("POST", ["crm", "v3", "objects", kind, "search"]) => self.search(kind, &req.body),
            ("GET", ["crm", "v3", "objects", "contacts", id]) => {
                let Some(p) = PEOPLE.iter().find(|p| p.id.to_string() == *id) else {
                    return status(404, json!({"message": "none"}));
                };
                let mut contact = contact(p);
                if p.id == 101 && req.param("associations").is_some() {
                    contact["associations"] = json!({"tickets": {"results": [{"id": "501", "type": "contact_to_ticket"}, {"id": "502", "type": "contact_to_ticket"}]}});
                }
                ok(contact)
            }
            ("POST", ["crm", "v3", "objects", "tickets", "batch", "read"]) => {
                ok(json!({"status": "COMPLETE", "results": [
                {"id": "501", "properties": {"subject": "Where is my kettle?", "hs_pipeline_stage": "1", "closed_date": null, "createdate": "2026-11-01"}},
                {"id": "502", "properties": {"subject": "An old one", "hs_pipeline_stage": "4", "closed_date": "2026-10-02", "createdate": "2026-10-01"}}]}))
            }
            ("POST", ["crm", "v3", "objects", "calls", "batch", "upsert"]) => {
                self.upsert("calls", "baton_call_id", &req.body)
            }
            ("POST", ["crm", "v3", "objects", "notes", "batch", "upsert"]) => {
                self.upsert("notes", "baton_key", &req.body)
            }
            ("GET", ["crm", "v3", "objects", "calls", id]) => {
                let calls = self.objects.get("calls").map_or(&[][..], Vec::as_slice);
                let Some(call) = calls.iter().find(|c| c["properties"]["baton_call_id"] == *id) else {
                    return status(404, json!({"message": "resource not found"}));
                };
                let mut call = call.clone();
                let mine = self.associations.iter().filter(|(kind, from, _)| kind == "calls" && call["id"] == *from);
                let contacts: Vec<Value> = mine.map(|(_, _, to)| json!({"id": to})).collect();
                call["associations"] = json!({"contacts": {"results": contacts}});
                ok(call)
            }
            ("PUT", ["crm", "v4", "objects", kind, id, "associations", "default", "contact", to]) => {
                let known = ((*kind).to_owned(), (*id).to_owned(), (*to).to_owned());
                if !self.associations.contains(&known) {
                    self.associations.push(known);
                }
                ok(json!({"status": "COMPLETE", "results": []}))
            }
            ("GET", ["calling", "v1", "dispositions"]) => {
                ok(DISPOSITIONS.iter().map(|(label, id)| json!({"id": id, "label": label, "deleted": false})).collect())
            }
            _ => status(404, json!({"message": format!("no such path: {}", req.path)})),
        }
    }

    fn expired(&mut self) -> Resp {
        self.good_from = self.tokens + 1;
        status(401, json!({"status": "error", "category": "EXPIRED_AUTHENTICATION", "message": "the token expired"}))
    }

    fn objects(&self) -> Vec<(&'static str, usize)> {
        let count = |kind| self.objects.get(kind).map_or(0, Vec::len);
        vec![("calls", count("calls")), ("notes", count("notes"))]
    }
}
