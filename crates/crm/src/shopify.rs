//! Shopify, by its Admin GraphQL API (https://shopify.dev/docs/api/admin-graphql).
//!
//! Shopify has no object for a call, so a call is a metaobject of our type whose handle is the call's id: it is written by
//! an upsert on the handle, which Shopify keeps unique. The customer gets a tag, a metafield that says what the last call
//! was, and remarks in their note.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::http::{Http, Request, Rules, Seen};
use crate::mapping::{self, Mapping, mark, rows, text};
use crate::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Lookup, Numbering, Order, Person, PopRequest, Receipt, Step,
};

/// The connector.
pub struct Shopify {
    pub(crate) http: Http,
    pub(crate) mapping: Mapping,
    pub(crate) numbering: Numbering,
    /// Such as `2026-07`.
    pub(crate) version: String,
}

/// The metaobject's type, and the namespace of metafields.
pub(crate) const TYPE: &str = "baton_call";
const NAMESPACE: &str = "baton";
/// What a metaobject of ours holds, all text; the definition must have these.
const FIELDS: [&str; 9] = ["disposition", "trigger", "summary", "details", "customer", "from", "to", "status", "notes"];

const CUSTOMER: &str = "id displayName state tags note defaultEmailAddress { emailAddress } defaultPhoneNumber { phoneNumber } \
    orders(first: 3, sortKey: CREATED_AT, reverse: true) { nodes { ...order } }";
const ORDER: &str = "fragment order on Order { name createdAt displayFulfillmentStatus cancelledAt note \
    currentTotalPriceSet { shopMoney { amount currencyCode } } lineItems(first: 1) { nodes { title } } \
    fulfillments(first: 1) { estimatedDeliveryAt } }";

/// Turned away with 200 and `THROTTLED` among the errors; the bucket's state is in `extensions.cost`.
pub(crate) fn rules() -> Rules {
    Rules {
        limited: |seen| seen.status == 429 || throttled(seen.body),
        hold: |seen: &Seen<'_>| {
            seen.retry_after().or_else(|| {
                let cost = &seen.body["extensions"]["cost"];
                let asked = cost["requestedQueryCost"].as_f64()?;
                let (left, rate) = (
                    cost["throttleStatus"]["currentlyAvailable"].as_f64()?,
                    cost["throttleStatus"]["restoreRate"].as_f64()?,
                );
                let missing = (asked - left).max(0.0);
                (missing > 0.0 && rate > 0.0).then(|| std::time::Duration::from_secs_f64((missing / rate).min(60.0)))
            })
        },
        ..Rules::default()
    }
}

fn throttled(body: &Value) -> bool {
    rows(body, "errors").iter().any(|error| error["extensions"]["code"] == "THROTTLED")
}

impl Shopify {
    async fn graphql(&self, query: String, variables: Value) -> Result<Value, CrmError> {
        let path = format!("/admin/api/{}/graphql.json", self.version);
        let answer =
            self.http.send(Request::post(path, json!({"query": query, "variables": variables}))).await?.ok()?;
        if let Some(error) = rows(&answer, "errors").first() {
            let said = error["message"].as_str().unwrap_or("an error without words").to_owned();
            return Err(match error["extensions"]["code"].as_str() {
                Some("ACCESS_DENIED") => CrmError::Denied(said),
                Some("INTERNAL_SERVER_ERROR") => CrmError::Unavailable(said),
                _ => CrmError::Refused(said),
            });
        }
        Ok(answer["data"].clone())
    }

    /// A mutation's payload; `userErrors` come with 200 and are refusals.
    async fn mutate(&self, name: &str, query: String, variables: Value) -> Result<Value, CrmError> {
        let data = self.graphql(query, variables).await?;
        match rows(&data[name], "userErrors").first() {
            None => Ok(data[name].clone()),
            Some(error) => {
                let field = &error["field"];
                Err(CrmError::Refused(format!("{name}: {} ({field})", error["message"].as_str().unwrap_or_default())))
            }
        }
    }

    async fn customer(&self, identifier: Value) -> Result<Option<Value>, CrmError> {
        let query = format!(
            "query ($by: CustomerIdentifierInput!) {{ customerByIdentifier(identifier: $by) {{ {CUSTOMER} }} }} {ORDER}"
        );
        let data = self.graphql(query, json!({"by": identifier})).await?;
        Ok(Some(data["customerByIdentifier"].clone()).filter(|customer| !customer.is_null()))
    }

    async fn by_id(&self, id: &str) -> Result<Option<Value>, CrmError> {
        if !id.starts_with("gid://shopify/Customer/") {
            return Ok(None);
        }
        let query = format!("query ($id: ID!) {{ customer(id: $id) {{ {CUSTOMER} }} }} {ORDER}");
        let data = self.graphql(query, json!({"id": id})).await?;
        Ok(Some(data["customer"].clone()).filter(|customer| !customer.is_null()))
    }

    async fn find_order(&self, number: &str) -> Result<Option<(Value, Value)>, CrmError> {
        let key = baton_store::text::order_key(number);
        if key.is_empty() {
            return Ok(None);
        }
        let query = format!(
            "query ($q: String!) {{ orders(first: 5, query: $q) {{ nodes {{ ...order customer {{ {CUSTOMER} }} }} }} }} {ORDER}"
        );
        // The shop's numbers are `#1001` or have a prefix of its own; the search takes them with and without.
        let wanted = number.trim().trim_start_matches('#').replace(['"', '\\'], " ");
        let data = self
            .graphql(query, json!({"q": format!("name:\"{wanted}\" OR name:\"#{wanted}\" OR name:\"{key}\"")}))
            .await?;
        let order = rows(&data["orders"], "nodes")
            .iter()
            .find(|order| order["name"].as_str().is_some_and(|name| baton_store::text::order_key(name) == key));
        Ok(order.map(|order| (order.clone(), order["customer"].clone())))
    }

    fn person(&self, customer: &Value) -> Person {
        Person {
            id: text(&customer["id"]).unwrap_or_default(),
            name: text(&customer["displayName"]).unwrap_or_default(),
            email: text(&customer["defaultEmailAddress"]["emailAddress"]),
            phones: text(&customer["defaultPhoneNumber"]["phoneNumber"])
                .map(|p| self.numbering.e164(&p))
                .into_iter()
                .collect(),
            standing: text(&customer["state"]).map(|state| state.to_lowercase()),
            flags: rows(customer, "tags").iter().filter_map(text).collect(),
            orders: rows(&customer["orders"], "nodes").iter().map(order).collect(),
            ..Person::default()
        }
    }

    async fn object(&self, call_id: &str) -> Result<Option<Value>, CrmError> {
        let query =
            "query ($h: MetaobjectHandleInput!) { metaobjectByHandle(handle: $h) { id handle fields { key value } } }";
        let data = self.graphql(query.into(), json!({"h": {"type": TYPE, "handle": handle(call_id)}})).await?;
        Ok(Some(data["metaobjectByHandle"].clone()).filter(|object| !object.is_null()))
    }

    async fn upsert(&self, call_id: &str, fields: &[(&str, String)]) -> Result<String, CrmError> {
        let query = "mutation ($h: MetaobjectHandleInput!, $m: MetaobjectUpsertInput!) { \
            metaobjectUpsert(handle: $h, metaobject: $m) { metaobject { id } userErrors { field message } } }";
        let fields: Vec<Value> = fields.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let variables = json!({"h": {"type": TYPE, "handle": handle(call_id)}, "m": {"fields": fields}});
        let made = self.mutate("metaobjectUpsert", query.into(), variables).await?;
        text(&made["metaobject"]["id"]).ok_or_else(|| CrmError::Refused("metaobjectUpsert gave no id".into()))
    }

    fn fields(&self, write: &CaseWrite) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("disposition", self.mapping.disposition(&write.disposition).to_owned()),
            ("trigger", write.trigger.clone().unwrap_or_default()),
            ("summary", write.summary.clone()),
            ("details", mapping::body(write)),
            ("from", write.from.clone()),
            ("to", write.to.clone()),
            ("status", if write.step == Step::Complete { "ended" } else { "live" }.to_owned()),
        ];
        if let Some(contact) = &write.contact {
            fields.push(("customer", contact.clone()));
        }
        fields
    }

    /// Tag and metafield: both say what they say, however often.
    async fn mark_customer(&self, write: &CaseWrite, customer: &str) -> Result<(), CrmError> {
        let query =
            "mutation ($id: ID!, $tags: [String!]!) { tagsAdd(id: $id, tags: $tags) { userErrors { field message } } }";
        let mut tags = vec!["baton-call".to_owned()];
        if !write.disposition.is_empty() {
            tags.push(self.mapping.disposition(&write.disposition).chars().take(40).collect());
        }
        self.mutate("tagsAdd", query.into(), json!({"id": customer, "tags": tags})).await?;
        let query =
            "mutation ($m: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $m) { userErrors { field message } } }";
        let value =
            json!({"call": write.call_id, "disposition": write.disposition, "summary": write.summary}).to_string();
        let field =
            json!({"ownerId": customer, "namespace": NAMESPACE, "key": "last_call", "type": "json", "value": value});
        self.mutate("metafieldsSet", query.into(), json!({"m": [field]})).await.map(drop)
    }

    /// Appends to the customer's note, once for each key.
    async fn note_customer(&self, customer: &str, key: &str, words: &str) -> Result<(), CrmError> {
        let Some(found) = self.by_id(customer).await? else { return Ok(()) };
        let note = text(&found["note"]).unwrap_or_default();
        let mark = mark(key);
        if note.contains(&mark) {
            return Ok(());
        }
        let query =
            "mutation ($input: CustomerInput!) { customerUpdate(input: $input) { userErrors { field message } } }";
        let note = format!("{note}\n{words} {mark}").trim_start().to_owned();
        self.mutate("customerUpdate", query.into(), json!({"input": {"id": customer, "note": note}})).await.map(drop)
    }

    async fn apply(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        let known = if write.hint.fresh { None } else { self.object(&write.call_id).await? };
        let over = known.as_ref().is_some_and(|object| field(object, "status") == "ended");
        let id = known.as_ref().and_then(|object| text(&object["id"]));
        let mut fields = if known.is_none() || (!over && !matches!(write.step, Step::Note | Step::Link)) {
            self.fields(write)
        } else {
            Vec::new()
        };
        match write.step {
            Step::Note => {
                let mut notes = known.as_ref().map(|object| field(object, "notes")).unwrap_or_default();
                let mark = mark(&write.key);
                if !notes.contains(&mark) {
                    notes.push_str(&format!(
                        "{} {mark}\n",
                        write.note.as_deref().unwrap_or_default().replace('\n', " ")
                    ));
                    fields.push(("notes", notes));
                }
            }
            Step::Link if known.is_some() => fields.extend(write.contact.clone().map(|contact| ("customer", contact))),
            _ => {}
        }
        let id = match id {
            Some(id) if fields.is_empty() => id,
            _ => self.upsert(&write.call_id, &fields).await?,
        };
        if let Some(customer) = write.contact.as_deref().filter(|_| write.step == Step::Link || !over) {
            self.mark_customer(write, customer).await?;
            if let Some(note) = write.note.as_deref().filter(|_| write.step == Step::Note) {
                self.note_customer(customer, &write.key, note).await?;
            }
        }
        Ok(Receipt::now(self.name(), id))
    }
}

#[async_trait]
impl Crm for Shopify {
    fn name(&self) -> &str {
        "shopify"
    }

    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError> {
        let found = match &lookup {
            Lookup::Phone(number) => {
                let mut found: Vec<Value> = Vec::new();
                // Shopify keeps numbers in E.164, each once.
                for reading in self.numbering.readings(number) {
                    found.extend(self.customer(json!({"phoneNumber": reading})).await?);
                }
                let equal = |c: &Value| {
                    c["defaultPhoneNumber"]["phoneNumber"].as_str().is_some_and(|p| self.numbering.same(p, number))
                };
                found.retain(equal);
                found
            }
            Lookup::Email(address) => {
                let address = address.trim();
                let mut found: Vec<Value> =
                    self.customer(json!({"emailAddress": address.to_lowercase()})).await?.into_iter().collect();
                let email = |c: &Value| {
                    c["defaultEmailAddress"]["emailAddress"].as_str().is_some_and(|e| e.eq_ignore_ascii_case(address))
                };
                found.retain(email);
                found
            }
            Lookup::Order(number) => self
                .find_order(number)
                .await?
                .into_iter()
                .map(|(_, customer)| customer)
                .filter(|c| !c.is_null())
                .collect(),
            Lookup::Id(id) => self.by_id(id).await?.into_iter().collect(),
            Lookup::Name(_) => Vec::new(), // names are not unique enough to be searched by
        };
        Ok(found.iter().map(|customer| self.person(customer)).collect())
    }

    async fn order(&self, number: String) -> Result<Option<(Order, Person)>, CrmError> {
        let found = self.find_order(&number).await?;
        Ok(found.map(|(found, customer)| (order(&found), self.person(&customer))))
    }

    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        self.apply(write).await
    }

    async fn cases(&self, call_id: &str) -> Result<Vec<CaseView>, CrmError> {
        let Some(object) = self.object(call_id).await? else { return Ok(Vec::new()) };
        let disposition = field(&object, "disposition");
        Ok(vec![CaseView {
            record_id: text(&object["id"]).unwrap_or_default(),
            contact: Some(field(&object, "customer")).filter(|id| !id.is_empty()),
            disposition: (!disposition.is_empty()).then(|| self.mapping.code(&disposition)),
            text: field(&object, "details"),
            notes: field(&object, "notes").lines().map(str::to_owned).collect(),
            closed: field(&object, "status") == "ended",
        }])
    }

    fn page(&self, request: &PopRequest) -> Option<String> {
        let contact = request.contact.as_deref()?;
        let number = contact.rsplit('/').next().unwrap_or(contact);
        Some(format!("{}/admin/customers/{}", self.http.base(), mapping::segment(number)))
    }

    async fn check(&self) -> Vec<Capability> {
        let scopes =
            self.graphql("query { currentAppInstallation { accessScopes { handle } } }".into(), json!({})).await;
        let scopes = scopes.map(|data| {
            let scopes = rows(&data["currentAppInstallation"], "accessScopes");
            scopes.iter().filter_map(|scope| text(&scope["handle"])).collect::<Vec<_>>().join(", ")
        });
        let people = self.customer(json!({"emailAddress": "nobody@example.invalid"})).await;
        let orders = self.find_order("ZZ-0").await;
        let query =
            format!("query {{ metaobjectDefinitionByType(type: \"{TYPE}\") {{ fieldDefinitions {{ key }} }} }}");
        let definition = self.graphql(query, json!({})).await.and_then(|data| {
            let there: Vec<String> = rows(&data["metaobjectDefinitionByType"], "fieldDefinitions")
                .iter()
                .filter_map(|field| text(&field["key"]))
                .collect();
            let missing: Vec<&str> = FIELDS.into_iter().filter(|field| !there.iter().any(|key| key == field)).collect();
            if missing.is_empty() {
                return Ok(format!("the metaobject definition {TYPE} is there"));
            }
            Err(CrmError::Refused(format!("add to the metaobject definition {TYPE}: {}", missing.join(", "))))
        });
        vec![
            Capability::tried("sign in", scopes),
            Capability::tried("find people", people.map(|_| "customers can be found".into())),
            Capability::tried("find orders", orders.map(|_| "orders can be searched".into())),
            Capability::tried("write calls", definition),
        ]
    }
}

fn order(order: &Value) -> Order {
    let money = &order["currentTotalPriceSet"]["shopMoney"];
    let day = |value: &Value| value.as_str().and_then(|at| at.get(..10)).map(str::to_owned);
    let status = if order["cancelledAt"].is_string() { Some("cancelled".to_owned()) } else { None };
    let fulfilment = || text(&order["displayFulfillmentStatus"]).map(|s| s.to_lowercase().replace('_', " "));
    Order {
        number: text(&order["name"]).unwrap_or_default(),
        item: rows(&order["lineItems"], "nodes").first().and_then(|line| text(&line["title"])).unwrap_or_default(),
        status: status.or_else(fulfilment).unwrap_or_default(),
        amount_cents: text(&money["amount"]).and_then(|amount| cents(&amount)),
        currency: text(&money["currencyCode"]).unwrap_or_default(),
        ordered_on: day(&order["createdAt"]),
        eta: rows(order, "fulfillments").first().and_then(|f| day(&f["estimatedDeliveryAt"])),
        note: text(&order["note"]),
    }
}

/// `212.5` → 21250. Not by way of a float: hundredths are exact.
fn cents(amount: &str) -> Option<i64> {
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let part: String = part.chars().chain("00".chars()).take(2).collect();
    let (whole, part): (i64, i64) = (whole.parse().ok()?, part.parse().ok()?);
    whole.checked_mul(100)?.checked_add(if amount.starts_with('-') { -part } else { part })
}

fn field(object: &Value, key: &str) -> String {
    let field = rows(object, "fields").iter().find(|field| field["key"] == key);
    field.and_then(|field| text(&field["value"])).unwrap_or_default()
}

/// Handles are small letters, digits and hyphens.
fn handle(call_id: &str) -> String {
    call_id.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (amount, is) in
            [("212.50", 21_250), ("212.5", 21_250), ("0.07", 7), ("19", 1_900), ("1.999", 199), ("-3.20", -320)]
        {
            assert_eq!(cents(amount), Some(is), "{amount}");
        }
        assert_eq!(cents("many"), None);
    }
}
