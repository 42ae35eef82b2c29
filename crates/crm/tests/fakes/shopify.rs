//! Shopify's Admin GraphQL API as far as it is asked: the operation is told by its root field, the state is behind it. What
//! the schema itself allows is another test's (`vendor_specs.rs`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{PEOPLE, Req, Resp, Vendor, digits, ok, status};

#[derive(Default)]
pub struct Shopify {
    objects: BTreeMap<String, Value>,
    tags: BTreeMap<String, BTreeSet<String>>,
    notes: BTreeMap<String, String>,
    metafields: BTreeMap<String, Value>,
}

fn order() -> Value {
    json!({"name": "#1042", "createdAt": "2026-11-20T10:00:00Z", "displayFulfillmentStatus": "IN_PROGRESS", "cancelledAt": null,
        "note": null, "currentTotalPriceSet": {"shopMoney": {"amount": "212.5", "currencyCode": "USD"}},
        "lineItems": {"nodes": [{"title": "blue kettle"}]}, "fulfillments": [{"estimatedDeliveryAt": "2026-11-30T00:00:00Z"}]})
}

impl Shopify {
    fn customer(&self, p: &super::Someone) -> Value {
        let id = format!("gid://shopify/Customer/{}", p.id);
        json!({"displayName": format!("{} {}", p.first, p.last), "state": "ENABLED",
            "tags": self.tags.get(&id).cloned().unwrap_or_default(), "note": self.notes.get(&id),
            "defaultEmailAddress": {"emailAddress": p.email}, "defaultPhoneNumber": {"phoneNumber": format!("+{}", digits(p.phone))},
            "orders": {"nodes": if p.id == 101 { json!([order()]) } else { json!([]) }}, "id": id})
    }

    fn object(&self, handle: &str) -> Value {
        let Some(fields) = self.objects.get(handle) else { return Value::Null };
        let list: Vec<Value> = fields.as_object().unwrap().iter().map(|(k, v)| json!({"key": k, "value": v})).collect();
        json!({"id": format!("gid://shopify/Metaobject/{handle}"), "handle": handle, "fields": list})
    }

    fn run(&mut self, query: &str, v: &Value) -> Value {
        let find = |known: &dyn Fn(&super::Someone) -> bool| {
            PEOPLE.iter().find(|p| known(p)).map_or(Value::Null, |p| self.customer(p))
        };
        if query.contains("customerByIdentifier(") {
            let by = &v["by"];
            let hit = |p: &super::Someone| match (by["phoneNumber"].as_str(), by["emailAddress"].as_str()) {
                (Some(phone), _) => format!("+{}", digits(p.phone)) == phone && p.id != 103,
                (_, Some(email)) => p.email.eq_ignore_ascii_case(email),
                _ => false,
            };
            json!({"customerByIdentifier": find(&hit)})
        } else if query.contains("{ customer(id:") {
            let id = v["id"].as_str().unwrap().rsplit('/').next().unwrap();
            json!({"customer": find(&|p: &super::Someone| p.id.to_string() == id)})
        } else if query.contains("{ orders(first: 5") {
            let mut found = order();
            found["customer"] = self.customer(&PEOPLE[0]);
            let asked = v["q"].as_str().unwrap();
            json!({"orders": {"nodes": if asked.contains("name:\"#1042\"") { json!([found]) } else { json!([]) }}})
        } else if query.contains("metaobjectByHandle(") {
            json!({"metaobjectByHandle": self.object(v["h"]["handle"].as_str().unwrap())})
        } else if query.contains("metaobjectUpsert(") {
            let handle = v["h"]["handle"].as_str().unwrap().to_owned();
            assert!(handle.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{handle}");
            let fields = self.objects.entry(handle.clone()).or_insert_with(|| json!({}));
            for field in v["m"]["fields"].as_array().unwrap() {
                fields[field["key"].as_str().unwrap()] = field["value"].clone();
            }
            json!({"metaobjectUpsert": {"metaobject": {"id": format!("gid://shopify/Metaobject/{handle}")}, "userErrors": []}})
        } else if query.contains("tagsAdd(") {
            let tags = v["tags"].as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned());
            self.tags.entry(v["id"].as_str().unwrap().into()).or_default().extend(tags);
            json!({"tagsAdd": {"userErrors": []}})
        } else if query.contains("metafieldsSet(") {
            for field in v["m"].as_array().unwrap() {
                self.metafields.insert(
                    format!("{} {} {}", field["ownerId"], field["namespace"], field["key"]),
                    field["value"].clone(),
                );
            }
            json!({"metafieldsSet": {"userErrors": []}})
        } else if query.contains("customerUpdate(") {
            self.notes.insert(v["input"]["id"].as_str().unwrap().into(), v["input"]["note"].as_str().unwrap().into());
            json!({"customerUpdate": {"userErrors": []}})
        } else if query.contains("accessScopes") {
            json!({"currentAppInstallation": {"accessScopes": [{"handle": "read_customers"}]}})
        } else if query.contains("metaobjectDefinitionByType(") {
            let keys = ["disposition", "trigger", "summary", "details", "customer", "from", "to", "status", "notes"];
            json!({"metaobjectDefinitionByType": {"fieldDefinitions": keys.iter().map(|k| json!({"key": k})).collect::<Vec<_>>()}})
        } else {
            panic!("not asked before: {query}")
        }
    }
}

impl Vendor for Shopify {
    fn answer(&mut self, req: &Req) -> Resp {
        if req.header("x-shopify-access-token") != Some("shpat_1") {
            return status(401, json!({"errors": "[API] Invalid API key or access token"}));
        }
        if req.path != "/admin/api/2026-07/graphql.json" {
            return status(404, json!({"errors": "Not Found"}));
        }
        let data = self.run(req.body["query"].as_str().unwrap(), &req.body["variables"]);
        let cost = json!({"requestedQueryCost": 12, "throttleStatus": {"maximumAvailable": 2000.0, "currentlyAvailable": 1988, "restoreRate": 100.0}});
        ok(json!({"data": data, "extensions": {"cost": cost}}))
    }

    fn limited(&self) -> Resp {
        let cost = json!({"requestedQueryCost": 12, "throttleStatus": {"maximumAvailable": 2000.0, "currentlyAvailable": 10, "restoreRate": 100.0}});
        ok(
            json!({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}], "extensions": {"cost": cost}}),
        )
    }

    fn objects(&self) -> Vec<(&'static str, usize)> {
        let marks = |text: &str| text.matches("[baton ").count();
        let noted: usize = self.notes.values().map(|n| marks(n)).sum();
        let remarks: usize = self.objects.values().map(|o| marks(o["notes"].as_str().unwrap_or_default())).sum();
        vec![
            ("calls", self.objects.len()),
            ("customer notes", noted),
            ("remarks", remarks),
            ("metafields", self.metafields.len()),
        ]
    }
}
