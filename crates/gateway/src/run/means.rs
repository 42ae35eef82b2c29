//! What a conversation has beside its flow: how mood is weighed, the CRM's answers, web hooks, a language model. All of it is asked
//! beside the call, each within its time; what comes of it is brought to the call's inbox.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_call::Input;
use baton_call::record::CallRecord;
use baton_crm::{CrmError, Hook, HookAnswer, HookCall, JsonService, Lookup, Person};
use baton_intake::{Action, ActionResult, ContactView, OrderView, Question, RecordView};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::shared::{CallEvent, Inbox, Shared};
use crate::config::{Config, Language};

/// How long the CRM may take to answer a question of the conversation.
const QUESTION: Duration = Duration::from_secs(4);

/// As the config has it when a call begins.
pub struct Means {
    /// How a caller's mood is weighed.
    pub tone: Arc<baton_tone::Config>,
    hooks: BTreeMap<String, Arc<Hook>>,
    model: Option<Arc<Model>>,
}

struct Model {
    service: JsonService,
    name: String,
}

impl Means {
    /// From a checked config.
    pub fn new(config: &Config) -> Result<Self, baton_crm::config::Fault> {
        let mut hooks = BTreeMap::new();
        for (name, hook) in &config.hooks {
            hooks.insert(name.clone(), Arc::new(Hook::new(name, hook)?));
        }
        let model = config.language.as_ref().map(Model::new).transpose()?.map(Arc::new);
        Ok(Self { tone: Arc::new(config.tone.clone()), hooks, model })
    }

    /// Whether there is a language model to be asked.
    pub fn has_model(&self) -> bool {
        self.model.is_some()
    }

    /// Asks the language model; the answer comes as [`CallEvent::Advice`], also when there is none.
    pub fn ask_model(&self, inbox: &Inbox, question: Question) {
        let Some(model) = self.model.clone() else { return };
        let inbox = inbox.clone();
        tokio::spawn(async move {
            let answer = model.ask(&question).await;
            if let Err(e) = &answer {
                info!(error = %e, "the language model was of no help; the call goes on without");
            }
            inbox.send(CallEvent::Advice(answer.ok()));
        });
    }

    /// Does something for the conversation.
    pub fn run_action(&self, shared: &Arc<Shared>, inbox: &Inbox, record: &CallRecord, action: Action) {
        let (shared, inbox) = (Arc::clone(shared), inbox.clone());
        let (hook, call) = match &action {
            Action::Webhook { name, values } => (self.hooks.get(name).cloned(), hook_call(record, name, values)),
            _ => (None, HookCall::default()),
        };
        tokio::spawn(async move {
            let result = match action {
                Action::OrderStatus { number } => order_status(&shared, number).await,
                Action::Lookup { record, number, contact } => record_status(&shared, record, number, contact).await,
                Action::Webhook { name, .. } => web_hook(hook, &name, &call).await,
            };
            inbox.send(CallEvent::Answer(Input::ActionResult(result)));
        });
    }
}

impl Model {
    fn new(config: &Language) -> Result<Self, baton_crm::config::Fault> {
        Ok(Self { service: config.connect()?, name: config.model.clone() })
    }

    /// The text of the first choice.
    async fn ask(&self, question: &Question) -> Result<String, CrmError> {
        let schema: Value = serde_json::from_str(question.schema).unwrap_or_default();
        // What must not be kept must not be told either: card numbers and codes are taken out as for the store.
        let user = baton_store::redact::text(&question.user);
        let body = json!({
            "model": self.name,
            "temperature": 0,
            "messages": [{"role": "system", "content": question.system}, {"role": "user", "content": user}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "call", "strict": true, "schema": schema}},
        });
        let answer = self.service.post(body).await?;
        let text = answer["choices"][0]["message"]["content"].as_str();
        text.map(str::to_owned).ok_or_else(|| CrmError::Refused("its answer has no choices[0].message.content".into()))
    }
}

/// Asks the CRM whose number this is.
pub fn look_up(shared: &Arc<Shared>, inbox: &Inbox, number: String) {
    let (shared, inbox) = (Arc::clone(shared), inbox.clone());
    tokio::spawn(async move {
        let found = tokio::time::timeout(QUESTION, shared.crm.find_person(Lookup::Phone(number))).await;
        let input = match found {
            Ok(Ok(mut people)) if people.len() == 1 => Input::ContactFound(contact(people.remove(0), "caller_id")),
            Ok(Ok(_)) => Input::ContactUnknown, // nobody, or several: the caller is asked
            Ok(Err(e)) => {
                warn!(error = %e, "the CRM could not be asked who calls");
                Input::ContactUnknown
            }
            Err(_) => {
                warn!("the CRM did not say in time who calls");
                Input::ContactUnknown
            }
        };
        inbox.send(CallEvent::Answer(input));
    });
}

async fn order_status(shared: &Shared, number: String) -> ActionResult {
    match tokio::time::timeout(QUESTION, shared.crm.order(number)).await.unwrap_or(Err(CrmError::TimedOut)) {
        Ok(found) => ActionResult::Order(found.map(|(found, person)| (order(found), contact(person, "order")))),
        Err(e) => {
            warn!(error = %e, "the order could not be looked up");
            ActionResult::Failed
        }
    }
}

/// Of a caller who is known what is on their record; else by its number.
async fn record_status(shared: &Shared, kind: String, number: Option<String>, holder: Option<String>) -> ActionResult {
    let ask = async {
        if let Some(id) = holder {
            let people = shared.crm.find_person(Lookup::Id(id)).await?;
            let fits = |r: &RecordView| r.kind == kind && number.as_deref().is_none_or(|n| same(&r.number, n));
            let person = people.into_iter().next().map(|p| contact(p, "caller_id"));
            let found = person.and_then(|p| p.records.iter().find(|r| fits(r)).cloned().map(|r| (r, p)));
            if found.is_some() || number.is_none() {
                return Ok(found);
            }
        }
        let Some(number) = number else { return Ok(None) };
        let found = shared.crm.record(kind, number).await?;
        Ok(found.map(|(found, person)| (record(found), contact(person, "order"))))
    };
    match tokio::time::timeout(QUESTION, ask).await.unwrap_or(Err(CrmError::TimedOut)) {
        Ok(found) => ActionResult::Record(found),
        Err(e) => {
            warn!(error = %e, "a record could not be looked up");
            ActionResult::Failed
        }
    }
}

async fn web_hook(hook: Option<Arc<Hook>>, name: &str, call: &HookCall) -> ActionResult {
    let Some(hook) = hook else {
        warn!(name, "there is no web hook of this name: add [webhook.{name}]");
        return ActionResult::Failed;
    };
    match hook.run(call).await {
        Ok(HookAnswer { done, say }) => {
            info!(name, done, "web hook");
            ActionResult::Hook { done, say }
        }
        Err(e) => {
            warn!(name, error = %e, "the web hook did not do it");
            ActionResult::Failed
        }
    }
}

fn hook_call(record: &CallRecord, name: &str, values: &BTreeMap<String, String>) -> HookCall {
    let known = record.contact.as_ref().filter(|c| c.account_holder == Some(true));
    HookCall {
        key: format!("{}:{name}:{}", record.call_id, record.attempts.len()),
        name: name.to_owned(),
        call_id: record.call_id.clone(),
        from: record.from.clone(),
        contact: known.map(|c| c.id.clone()),
        values: values.clone(),
    }
}

fn contact(person: Person, matched_by: &str) -> ContactView {
    let (attributes, records) = (person.all_attributes(), person.all_records());
    ContactView {
        id: person.id,
        name: person.name,
        orders: person.orders.into_iter().map(order).collect(),
        matched_by: matched_by.into(),
        records: records.into_iter().map(record).collect(),
        attributes,
        authorised: person.authorised,
    }
}

fn order(order: baton_crm::Order) -> OrderView {
    let baton_crm::Order { number, item, status, amount_cents, eta, .. } = order;
    let amount_cents = amount_cents.and_then(|c| u64::try_from(c).ok()).unwrap_or(0);
    OrderView { number, item, status, amount_cents, eta }
}

fn record(record: baton_crm::Record) -> RecordView {
    let baton_crm::Record { kind, number, status, what, due } = record;
    RecordView { kind, number, status, what, when: due }
}

/// Whether two numbers are the same but for case, blanks and hyphens.
fn same(a: &str, b: &str) -> bool {
    let plain = |s: &str| s.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_person_stands_is_there_for_the_flows_rules() {
        let person = Person {
            standing: Some("active".into()),
            flags: vec!["VIP".into(), "region: north".into(), "late payer".into()],
            tickets: vec![baton_crm::Ticket { id: "7".into(), subject: "rug".into(), status: "open".into() }],
            ..Person::default()
        };
        let view = contact(person, "caller_id");
        let says = |name: &str| view.attributes.get(name).map(String::as_str);
        assert_eq!((says("standing"), says("tier"), says("vip")), (Some("active"), Some("vip"), Some("yes")));
        assert_eq!((says("region"), says("late payer")), (Some("north"), Some("yes")));
        assert_eq!((view.records[0].kind.as_str(), view.records[0].status.as_str()), ("ticket", "open"));
    }
}
