//! A receiver of the signed webhook, as docs/crm.md describes one: it checks signatures and keeps idempotency keys.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{PEOPLE, Req, Resp, Vendor, digits, ok, status};

pub const SECRET: &str = "a-shared-secret-of-32-characters";

#[derive(Default)]
pub struct Webhook {
    cases: BTreeMap<String, Value>,
    keys: BTreeMap<String, Value>,
    notes: usize,
}

fn person(p: &super::Someone) -> Value {
    json!({"id": p.id.to_string(), "name": format!("{} {}", p.first, p.last), "email": p.email, "phones": [format!("+{}", digits(p.phone))],
        "orders": if p.id == 101 { json!([order()]) } else { json!([]) }})
}

fn order() -> Value {
    json!({"number": "A-1042", "item": "blue kettle", "status": "delayed", "amount_cents": 21_250, "currency": "USD"})
}

impl Webhook {
    fn case(&mut self, step: &str, data: &Value) -> Value {
        let count = self.cases.len();
        let case = self.cases.entry(data["call_id"].as_str().unwrap().into()).or_insert_with(|| {
            json!({"record_id": format!("R-{count}"), "notes": [], "closed": false, "text": data["summary"],
                "disposition": data["disposition"], "contact": data["contact"]})
        });
        match step {
            "note" => {
                case["notes"].as_array_mut().unwrap().push(data["note"].clone());
                self.notes += 1;
            }
            "link" => case["contact"] = data["contact"].clone(),
            _ if case["closed"] == true => {}
            step => {
                for (ours, theirs) in [("text", "summary"), ("disposition", "disposition"), ("contact", "contact")] {
                    case[ours] = data[theirs].clone();
                }
                case["closed"] = json!(step == "complete");
            }
        }
        json!({"record_id": case["record_id"]})
    }
}

impl Vendor for Webhook {
    fn answer(&mut self, req: &Req) -> Resp {
        let (at, signature) =
            (req.header("baton-timestamp").unwrap_or_default(), req.header("baton-signature").unwrap_or_default());
        let now = jiff::Timestamp::now().as_second();
        if req.path != "/hooks/baton" || !baton_crm::verify_webhook(SECRET, at, signature, &req.raw, now, 300) {
            return status(401, json!({"error": "bad signature"}));
        }
        let data = &req.body["data"];
        match req.body["type"].as_str().unwrap() {
            "ping" => ok(json!({})),
            "person.find" => {
                let value = data["value"].as_str().unwrap();
                let hits = PEOPLE.iter().filter(|p| match data["by"].as_str().unwrap() {
                    "phone" => {
                        [digits(p.phone), digits(p.phone)[1..].to_owned()].contains(&digits(value)) && value.len() > 9
                    }
                    "email" => p.email.eq_ignore_ascii_case(value),
                    "order" => p.id == 101 && digits(value) == "1042",
                    _ => p.id.to_string() == value,
                });
                ok(json!({"people": hits.map(person).collect::<Vec<_>>()}))
            }
            "order.find" if digits(data["number"].as_str().unwrap()) == "1042" => {
                ok(json!({"order": order(), "person": person(&PEOPLE[0])}))
            }
            "order.find" => ok(json!({"order": null})),
            "case.read" => {
                ok(json!({"cases": self.cases.get(data["call_id"].as_str().unwrap()).into_iter().collect::<Vec<_>>()}))
            }
            "screen.pop" => ok(
                json!({"url": format!("https://crm.example/calls/{}", data["call_id"].as_str().unwrap()), "native": true}),
            ),
            kind => {
                let key = req.header("idempotency-key").unwrap().to_owned();
                if let Some(answer) = self.keys.get(&key) {
                    return ok(answer.clone());
                }
                let answer = self.case(kind.strip_prefix("case.").unwrap(), data);
                self.keys.insert(key, answer.clone());
                ok(answer)
            }
        }
    }

    fn objects(&self) -> Vec<(&'static str, usize)> {
        vec![("cases", self.cases.len()), ("notes", self.notes)]
    }
}
