//! Gorgias: customers and their channels, search, tickets, messages. `external_id` is kept and not unique; a `PUT` replaces.

use serde_json::{Value, json};

use super::{PEOPLE, Req, Resp, Vendor, digits, ok, status};

pub struct Gorgias {
    pub tickets: Vec<Value>,
    messages: u64,
    /// Messages that would have gone out to the customer.
    pub sent_out: usize,
}

impl Default for Gorgias {
    fn default() -> Self {
        let before = json!({"id": 1, "external_id": null, "subject": "Where is my kettle?", "status": "open", "customer": {"id": 101},
            "messages": [], "tags": [], "custom_fields": [], "trashed_datetime": null});
        Self { tickets: vec![before], messages: 0, sent_out: 0 }
    }
}

impl Gorgias {
    fn message(&mut self, message: &Value) -> Option<Value> {
        for needed in ["channel", "via", "source", "body_text"] {
            message.get(needed)?;
        }
        message["from_agent"].as_bool()?;
        if message["from_agent"] == true && message["public"] == true || message["sent_datetime"].is_null() {
            self.sent_out += 1;
        }
        self.messages += 1;
        let mut message = message.clone();
        message["id"] = json!(self.messages);
        Some(message)
    }
}

fn customer(p: &super::Someone) -> Value {
    json!({"id": p.id, "name": format!("{} {}", p.first, p.last), "email": p.email,
        "channels": [{"type": "email", "address": p.email}, {"type": "phone", "address": p.phone}]})
}

fn missing() -> Resp {
    status(404, json!({"error": {"msg": "Not found."}}))
}

impl Vendor for Gorgias {
    fn answer(&mut self, req: &Req) -> Resp {
        if !req.header("authorization").is_some_and(|a| a.starts_with("Basic ")) {
            return status(401, json!({"error": {"msg": "Unauthorized."}}));
        }
        let (method, parts) = req.parts();
        let mut answer = match (method, parts.as_slice()) {
            ("GET", ["api", "account"]) => ok(json!({"domain": "acme"})),
            ("GET", ["api", "custom-fields", id]) => ok(json!({"id": id, "label": "Disposition"})),
            ("POST", ["api", "search"]) => {
                if req.body["size"].as_u64().is_none_or(|s| s > 50) || req.body["type"] != "customer_channel_phone" {
                    return status(400, json!({"error": {"msg": "Invalid search."}}));
                }
                let term = digits(req.body["query"].as_str().unwrap());
                let hits = PEOPLE.iter().filter(|p| !term.is_empty() && digits(p.phone).contains(&term));
                ok(
                    json!({"data": hits.map(|p| json!({"id": p.id + 5_000, "address": p.phone, "customer": {"id": p.id}})).collect::<Vec<_>>()}),
                )
            }
            ("GET", ["api", "customers"]) => {
                let hits =
                    PEOPLE.iter().filter(|p| req.param("email").is_some_and(|e| e.eq_ignore_ascii_case(p.email)));
                ok(
                    json!({"data": hits.map(|p| json!({"id": p.id, "email": p.email})).collect::<Vec<_>>(), "meta": {"next_cursor": null}}),
                )
            }
            ("GET", ["api", "customers", id]) => {
                PEOPLE.iter().find(|p| p.id.to_string() == *id).map_or_else(missing, |p| ok(customer(p)))
            }
            ("GET", ["api", "tickets"]) => {
                let whose = req.param("customer_id");
                let hits: Vec<Value> = self
                    .tickets
                    .iter()
                    .filter(|t| req.param("external_id").is_none_or(|id| t["external_id"] == id))
                    .filter(|t| whose.is_none_or(|id| t["customer"]["id"].to_string() == id))
                    .map(|t| {
                        // The list has tickets without their messages.
                        let mut brief = t.clone();
                        brief.as_object_mut().unwrap().remove("messages");
                        brief
                    })
                    .collect();
                // One a page.
                let at: usize = req.param("cursor").map_or(0, |c| c.parse().unwrap());
                let next = (at + 1 < hits.len()).then(|| (at + 1).to_string());
                ok(json!({"data": hits.get(at).into_iter().collect::<Vec<_>>(), "meta": {"next_cursor": next}}))
            }
            ("GET", ["api", "tickets", id]) => {
                let found = self.tickets.iter().find(|t| t["id"].to_string() == *id);
                found.map_or_else(missing, |ticket| ok(ticket.clone()))
            }
            ("POST", ["api", "tickets"]) => {
                let mut ticket = req.body.clone();
                let sent: Vec<Value> = ticket["messages"].as_array().cloned().unwrap_or_default();
                let messages: Option<Vec<Value>> = sent.iter().map(|m| self.message(m)).collect();
                let Some(messages) = messages.filter(|m| !m.is_empty()) else {
                    return status(400, json!({"error": {"msg": "messages: Missing data for required field."}}));
                };
                ticket["id"] = json!(self.tickets.len() + 1);
                ticket["messages"] = json!(messages);
                ticket["status"] = json!("open");
                ticket["trashed_datetime"] = Value::Null;
                self.tickets.push(ticket.clone());
                status(201, ticket)
            }
            ("PUT", ["api", "tickets", id]) => {
                let Some(ticket) = self.tickets.iter_mut().find(|t| t["id"].to_string() == *id) else {
                    return missing();
                };
                for (name, value) in req.body.as_object().unwrap() {
                    ticket[name] = value.clone();
                }
                status(202, ticket.clone())
            }
            ("POST", ["api", "tickets", id, "messages"]) => {
                let Some(at) = self.tickets.iter().position(|t| t["id"].to_string() == *id) else { return missing() };
                let Some(message) = self.message(&req.body) else {
                    return status(400, json!({"error": {"msg": "Missing data for required field."}}));
                };
                self.tickets[at]["messages"].as_array_mut().unwrap().push(message.clone());
                status(201, message)
            }
            _ => missing(),
        };
        answer.headers.push(("x-gorgias-account-api-call-limit", "3/40".into()));
        answer
    }

    fn objects(&self) -> Vec<(&'static str, usize)> {
        let live: Vec<&Value> =
            self.tickets.iter().filter(|t| t["external_id"].is_string() && t["trashed_datetime"].is_null()).collect();
        let messages = live.iter().map(|t| t["messages"].as_array().map_or(0, Vec::len)).sum();
        vec![("tickets", live.len()), ("messages", messages), ("sent to the customer", self.sent_out)]
    }
}
