//! HubSpot, by its CRM objects (https://developers.hubspot.com/docs/api-reference/crm-calls-v3/guide).
//!
//! Calls and notes carry a property with a unique value, and are written by upsert on it: HubSpot itself keeps them from
//! being doubled. They are read back by that property, not searched for: a search sees a new object after some seconds.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use crate::http::{Http, Request, Rules};
use crate::mapping::{self, Mapping, rows, segment, text};
use crate::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Lookup, Numbering, Person, PopRequest, Receipt, Step, Ticket,
};

/// The connector.
pub struct HubSpot {
    pub(crate) http: Http,
    pub(crate) mapping: Mapping,
    pub(crate) numbering: Numbering,
    /// The account's number, for the addresses of its pages.
    pub(crate) portal: Option<String>,
    /// Label and id of each disposition of the account.
    pub(crate) dispositions: OnceCell<Vec<(String, String)>>,
}

/// A property of calls and of notes with a unique value: the call's id, the note's key.
pub(crate) const CALL_ID: &str = "baton_call_id";
pub(crate) const NOTE_KEY: &str = "baton_key";
/// A property of notes: whose.
pub(crate) const NOTE_CALL: &str = "baton_call";
const CONTACT: [&str; 6] = ["firstname", "lastname", "email", "phone", "mobilephone", "lifecyclestage"];
const CALL: [&str; 4] = ["hs_call_body", "hs_call_status", "hs_call_disposition", CALL_ID];

/// 429 with `Retry-After` in general; searches are limited to four a second without a header that says so.
pub(crate) fn rules() -> Rules {
    Rules { search_gap: std::time::Duration::from_millis(260), ..Rules::default() }
}

impl HubSpot {
    async fn search(&self, kind: &str, groups: Vec<Value>, properties: &[&str]) -> Result<Vec<Value>, CrmError> {
        // Every field that the description marks as required is sent, also where the service takes less.
        let page = |after: &str| {
            let body =
                json!({"filterGroups": groups, "properties": properties, "sorts": [], "limit": 100, "after": after});
            Request::post(format!("/crm/v3/objects/{kind}/search"), body).search()
        };
        self.http.list(page("0"), "results", |answer| answer["paging"]["next"]["after"].as_str().map(page)).await
    }

    async fn contacts(&self, lookup: &Lookup) -> Result<Vec<Value>, CrmError> {
        let is = |property: &str, value: &str| json!({"propertyName": property, "operator": "EQ", "value": value});
        Ok(match lookup {
            Lookup::Phone(number) => {
                // The searchable property holds bare digits, with or without the country.
                let writings = self.numbering.writings(number);
                let groups: Vec<Value> = writings
                    .iter()
                    .take(5)
                    .map(|w| json!({"filters": [is("hs_searchable_calculated_phone_number", w.trim_start_matches('+'))]}))
                    .collect();
                if groups.is_empty() {
                    return Ok(Vec::new());
                }
                let mut found = self.search("contacts", groups, &CONTACT).await?;
                found.retain(|c| phones(c).iter().any(|phone| self.numbering.same(phone, number)));
                found
            }
            Lookup::Email(address) => {
                let address = address.trim().to_lowercase();
                let mut found =
                    self.search("contacts", vec![json!({"filters": [is("email", &address)]})], &CONTACT).await?;
                found.retain(|c| property(c, "email").is_some_and(|email| email.eq_ignore_ascii_case(&address)));
                found
            }
            Lookup::Name(name) => {
                let (first, last) = name.trim().split_once(' ').unwrap_or((name.trim(), ""));
                let filters = json!({"filters": [is("firstname", first), is("lastname", last)]});
                let mut found = self.search("contacts", vec![filters], &CONTACT).await?;
                found.retain(|c| full_name(c).eq_ignore_ascii_case(name.trim()));
                found
            }
            Lookup::Id(id) => {
                let request = Request::get(format!("/crm/v3/objects/contacts/{}", segment(id)));
                self.http.send(request.query("properties", CONTACT.join(","))).await?.found()?.into_iter().collect()
            }
            Lookup::Order(_) => Vec::new(),
        })
    }

    async fn person(&self, contact: &Value) -> Result<Person, CrmError> {
        let id = text(&contact["id"]).unwrap_or_default();
        let request =
            Request::get(format!("/crm/v3/objects/contacts/{}", segment(&id))).query("associations", "tickets");
        let read = self.http.ask(request).await?;
        let ids: Vec<Value> = rows(&read["associations"]["tickets"], "results")
            .iter()
            .filter_map(|ticket| text(&ticket["id"]))
            .map(|id| json!({"id": id}))
            .take(100)
            .collect();
        let mut tickets = Vec::new();
        if !ids.is_empty() {
            let properties = ["subject", "hs_pipeline_stage", "closed_date", "createdate"];
            let body = json!({"inputs": ids, "properties": properties, "propertiesWithHistory": []});
            let found = self.http.ask(Request::post("/crm/v3/objects/tickets/batch/read", body)).await?;
            let mut open: Vec<&Value> =
                rows(&found, "results").iter().filter(|t| property(t, "closed_date").is_none()).collect();
            open.sort_by_key(|t| std::cmp::Reverse(property(t, "createdate")));
            tickets.extend(open.into_iter().map(|ticket| Ticket {
                id: text(&ticket["id"]).unwrap_or_default(),
                subject: property(ticket, "subject").unwrap_or_default(),
                status: property(ticket, "hs_pipeline_stage").unwrap_or_default(),
            }));
        }
        Ok(Person {
            id,
            name: full_name(contact),
            email: property(contact, "email"),
            phones: phones(contact).iter().map(|phone| self.numbering.e164(phone)).collect(),
            standing: property(contact, "lifecyclestage"),
            tickets,
            ..Person::default()
        })
    }

    /// The call's object, read by its unique property: at once, where a search would lag behind.
    async fn call(&self, call_id: &str) -> Result<Option<Value>, CrmError> {
        let request = Request::get(format!("/crm/v3/objects/calls/{}", segment(call_id)))
            .query("idProperty", CALL_ID)
            .query("properties", CALL.join(","))
            .query("associations", "contacts");
        let found = self.http.send(request).await?.found()?;
        Ok(found.filter(|call| property(call, CALL_ID).is_none_or(|id| id == call_id)))
    }

    async fn upsert(
        &self,
        kind: &str,
        unique: &str,
        id: &str,
        properties: Map<String, Value>,
    ) -> Result<String, CrmError> {
        let input = json!({"idProperty": unique, "id": id, "properties": properties});
        let path = format!("/crm/v3/objects/{kind}/batch/upsert");
        let answer = self.http.ask(Request::post(path, json!({"inputs": [input]}))).await?;
        let made = rows(&answer, "results").first().and_then(|made| text(&made["id"]));
        made.ok_or_else(|| CrmError::Refused(format!("the {kind} upsert was answered without a result")))
    }

    async fn associate(&self, from: &str, id: &str, contact: &str) -> Result<(), CrmError> {
        let path = format!("/crm/v4/objects/{from}/{}/associations/default/contact/{}", segment(id), segment(contact));
        // The empty body keeps `content-length` on the request.
        self.http.ask(Request::put(path, json!({}))).await.map(drop)
    }

    async fn dispositions(&self) -> Result<&[(String, String)], CrmError> {
        let list = self.dispositions.get_or_try_init(async || {
            let list = self.http.ask(Request::get("/calling/v1/dispositions")).await?;
            let pair = |d: &Value| Some((d["label"].as_str()?.to_owned(), d["id"].as_str()?.to_owned()));
            Ok(list.as_array().map(|list| list.iter().filter_map(pair).collect()).unwrap_or_default())
        });
        list.await.map(Vec::as_slice)
    }

    /// The account's id for one of our codes: mapped to it, or to its label. None if the account has none like it.
    async fn disposition(&self, code: &str) -> Result<Option<String>, CrmError> {
        let word = self.mapping.disposition(code);
        let known = self.dispositions().await?.iter();
        Ok(known.filter(|(label, id)| label == word || id == word).map(|(_, id)| id.clone()).next())
    }

    async fn properties(&self, write: &CaseWrite) -> Result<Map<String, Value>, CrmError> {
        let mut properties = Map::new();
        let mut set = |name: &str, value: String| _ = properties.insert(name.to_owned(), Value::from(value));
        set(CALL_ID, write.call_id.clone());
        set("hs_timestamp", write.started_at.unwrap_or_else(Timestamp::now).as_millisecond().to_string());
        set("hs_call_title", mapping::subject(write));
        set("hs_call_body", mapping::body(write));
        set("hs_call_direction", "INBOUND".into());
        set("hs_call_status", if write.step == Step::Complete { "COMPLETED" } else { "IN_PROGRESS" }.into());
        set("hs_call_from_number", write.from.clone());
        set("hs_call_to_number", write.to.clone());
        if let Some(seconds) = mapping::duration_s(write) {
            set("hs_call_duration", (seconds * 1_000).to_string());
        }
        if let Some(owner) = self.mapping.agent(write.agent.as_deref()) {
            set("hubspot_owner_id", owner.to_owned());
        }
        for (field, value) in self.mapping.fields(write) {
            set(field, value);
        }
        if !write.disposition.is_empty()
            && let Some(id) = self.disposition(&write.disposition).await?
        {
            properties.insert("hs_call_disposition".into(), Value::from(id));
        }
        Ok(properties)
    }

    async fn apply(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        let known = if write.hint.fresh { None } else { self.call(&write.call_id).await? };
        let over = known.as_ref().is_some_and(|call| property(call, "hs_call_status").as_deref() == Some("COMPLETED"));
        let keep = matches!(write.step, Step::Note | Step::Link) || over;
        let id = match known.as_ref().and_then(|call| text(&call["id"])).filter(|_| keep) {
            Some(id) => id,
            None => self.upsert("calls", CALL_ID, &write.call_id, self.properties(write).await?).await?,
        };
        if let Some(contact) = write.contact.as_deref().filter(|_| write.step == Step::Link || !over) {
            self.associate("calls", &id, contact).await?;
        }
        if write.step == Step::Note {
            let mut note = Map::new();
            note.insert(NOTE_KEY.into(), Value::from(write.key.as_str()));
            note.insert(NOTE_CALL.into(), Value::from(write.call_id.as_str()));
            let at = write.started_at.unwrap_or_else(Timestamp::now);
            note.insert("hs_timestamp".into(), Value::from(at.as_millisecond().to_string()));
            note.insert("hs_note_body".into(), Value::from(write.note.as_deref().unwrap_or_default()));
            let note = self.upsert("notes", NOTE_KEY, &write.key, note).await?;
            if let Some(contact) = &write.contact {
                self.associate("notes", &note, contact).await?;
            }
        }
        Ok(Receipt::now(self.name(), id))
    }
}

#[async_trait]
impl Crm for HubSpot {
    fn name(&self) -> &str {
        "hubspot"
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
        let Some(call) = self.call(call_id).await? else { return Ok(Vec::new()) };
        let whose = json!({"filters": [{"propertyName": NOTE_CALL, "operator": "EQ", "value": call_id}]});
        let notes = self.search("notes", vec![whose], &["hs_note_body", NOTE_CALL]).await?;
        let disposition = match property(&call, "hs_call_disposition") {
            Some(id) => {
                let known = self.dispositions().await?.iter().find(|(_, known)| *known == id);
                let label = known.map_or(id.as_str(), |(label, _)| label);
                let by_id = self.mapping.code(&id);
                Some(if by_id == id { self.mapping.code(label) } else { by_id })
            }
            None => None,
        };
        Ok(vec![CaseView {
            record_id: text(&call["id"]).unwrap_or_default(),
            contact: rows(&call["associations"]["contacts"], "results").first().and_then(|c| text(&c["id"])),
            disposition,
            text: property(&call, "hs_call_body").unwrap_or_default(),
            notes: notes.iter().filter_map(|note| property(note, "hs_note_body")).collect(),
            closed: property(&call, "hs_call_status").as_deref() == Some("COMPLETED"),
        }])
    }

    fn page(&self, request: &PopRequest) -> Option<String> {
        let (portal, contact) = (self.portal.as_ref()?, request.contact.as_ref()?);
        // A call has no page of its own: it stands in the contact's timeline.
        Some(format!("https://app.hubspot.com/contacts/{}/record/0-1/{}", segment(portal), segment(contact)))
    }

    async fn check(&self) -> Vec<Capability> {
        let people = self.contacts(&Lookup::Email("nobody@example.invalid".into())).await;
        let call = self.call("baton-check").await;
        let dispositions = self.dispositions().await.map(|list| {
            let labels: Vec<&str> = list.iter().map(|(label, _)| label.as_str()).collect();
            labels.join(", ")
        });
        let mut report = vec![
            Capability::tried("find people", people.map(|_| "contacts can be searched".into())),
            Capability::tried("read calls", call.map(|_| format!("the property {CALL_ID} is there"))),
            Capability::tried("read dispositions", dispositions),
        ];
        for (code, word) in &self.mapping.dispositions {
            if let Ok(list) = self.dispositions().await
                && !list.iter().any(|(label, id)| label == word || id == word)
            {
                let missing = CrmError::Refused(format!("the account has no disposition {word:?}"));
                report.push(Capability::tried(&format!("write the disposition {code}"), Err(missing)));
            }
        }
        report.push(Capability::untried(
            "write calls and notes",
            "it would leave one behind; scope crm.objects.contacts.write",
        ));
        report
    }
}

fn property(object: &Value, name: &str) -> Option<String> {
    text(&object["properties"][name])
}

fn phones(contact: &Value) -> Vec<String> {
    ["phone", "mobilephone"].iter().filter_map(|name| property(contact, name)).collect()
}

fn full_name(contact: &Value) -> String {
    let part = |name| property(contact, name).unwrap_or_default();
    format!("{} {}", part("firstname"), part("lastname")).trim().to_owned()
}
