//! Between the rooms: what one calls a thing, said in another's words; and the questions to the CRM, asked beside the call.

use std::sync::Arc;
use std::time::Duration;

use baton_call::record::{CallRecord, MediaStats, RemoteStats};
use baton_call::{CaseDraft, HangUpCause, Input};
use baton_crm::{CaseWrite, DeliveryEvent, Lookup, Person, PopRequest, Step};
use baton_intake::{Action, ActionResult, ContactView, Day, OrderView, ToneReading};
use baton_media::{LegFaults, LegStats};
use baton_sip::{LegId, SipCommand, fields};
use baton_speech::Expected;
use baton_tone::Term;
use tracing::{error, info, warn};

use super::shared::{CallEvent, Inbox, Shared};

/// How long the CRM may take to answer a question of the conversation.
const QUESTION: Duration = Duration::from_secs(4);

/// A call's id: when, and 48 random bits; sorts by time.
pub fn new_call_id() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    format!("{now}-{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff)
}

/// The day it is where this gateway stands.
pub fn today() -> Option<Day> {
    let date = jiff::Zoned::now().date();
    Day::new(i32::from(date.year()), u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?)
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

/// Does something for the conversation.
pub fn run_action(shared: &Arc<Shared>, inbox: &Inbox, action: Action) {
    let (shared, inbox) = (Arc::clone(shared), inbox.clone());
    tokio::spawn(async move {
        let result = match action {
            Action::OrderStatus { number } => match tokio::time::timeout(QUESTION, shared.crm.order(number)).await {
                Ok(Ok(found)) => {
                    ActionResult::Order(found.map(|(found, person)| (order(found), contact(person, "order"))))
                }
                Ok(Err(e)) => {
                    warn!(error = %e, "the order could not be looked up");
                    ActionResult::Failed
                }
                Err(_) => ActionResult::Failed,
            },
            Action::Lookup { record, .. } => {
                warn!(record, "nothing answers look-ups of this record");
                ActionResult::Failed
            }
            Action::Webhook { name, .. } => {
                warn!(name, "there is no web hook of this name");
                ActionResult::Failed
            }
        };
        inbox.send(CallEvent::Answer(Input::ActionResult(result)));
    });
}

/// Writes the case through the outbox and tells the call how it goes.
pub fn write_case(shared: &Arc<Shared>, inbox: &Inbox, draft: CaseDraft) {
    let (shared, inbox) = (Arc::clone(shared), inbox.clone());
    tokio::spawn(async move {
        let case = CaseWrite {
            key: draft.key,
            call_id: draft.call_id,
            from: draft.from,
            queue: Some(draft.queue),
            contact: draft.contact_id,
            caller_name: draft.caller_name,
            account_holder: draft.account_holder,
            trigger: Some(draft.trigger.to_string()),
            disposition: draft.disposition,
            summary: draft.summary,
            slots: serde_json::to_value(&draft.slots).unwrap_or_default(),
            ..CaseWrite::default()
        };
        let mut delivery = match shared.outbox.enqueue(&case).await {
            Ok(delivery) => delivery,
            Err(e) => {
                error!(error = %e, "the case could not even be recorded for sending");
                inbox.send(CallEvent::Answer(Input::CaseFailed { final_: true }));
                return;
            }
        };
        while let Some(event) = delivery.next().await {
            let (input, last) = match event {
                DeliveryEvent::Acknowledged(receipt) => {
                    (Input::CaseWritten { system: receipt.system, record_id: receipt.record_id }, true)
                }
                DeliveryEvent::Failing { .. } => (Input::CaseFailed { final_: false }, false),
                DeliveryEvent::Dead { .. } => (Input::CaseFailed { final_: true }, true),
            };
            inbox.send(CallEvent::Answer(input));
            if last {
                return;
            }
        }
    });
}

/// Brings the CRM's case up to date at the end of the call; a solved call gets its first here. Returns when the outbox has it:
/// from then on it is not lost.
pub async fn complete(shared: &Arc<Shared>, record: &CallRecord) {
    let case = CaseWrite {
        key: format!("{}:end", record.call_id),
        call_id: record.call_id.clone(),
        contact: record.contact.as_ref().map(|c| c.id.clone()),
        caller_name: record.slots.get("name").map(|v| v.value.clone()),
        account_holder: record.contact.as_ref().and_then(|c| c.account_holder),
        trigger: record.trigger.map(|t| t.to_string()),
        disposition: record.disposition.clone().unwrap_or_default(),
        summary: record.summary.clone().unwrap_or_default(),
        slots: serde_json::to_value(&record.slots).unwrap_or_default(),
        step: Step::Complete,
        from: record.from.clone(),
        to: record.to.clone(),
        started_at: Some(record.started_at.0),
        ended_at: record.ended_at.map(|t| t.0),
        bridged_at: record.bridged_at.map(|t| t.0),
        agent: record.agent.as_ref().and_then(|a| a.extension.clone()),
        ..CaseWrite::default()
    };
    if let Err(e) = shared.outbox.enqueue(&case).await {
        error!(call_id = case.call_id, error = %e, "the end of the call could not be recorded for the CRM");
    }
}

/// The last word on a call that the end of an earlier process cut, from its record: the CRM is told of it as of any other.
pub fn cut_short(record: &serde_json::Value) -> Option<CaseWrite> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let time = |value: &serde_json::Value| value.as_str().and_then(|at| at.parse().ok());
    let call_id = text(&record["call_id"])?;
    Some(CaseWrite {
        key: format!("{call_id}:end"),
        call_id,
        step: Step::Complete,
        contact: text(&record["contact"]["id"]),
        caller_name: text(&record["slots"]["name"]["value"]),
        account_holder: record["contact"]["account_holder"].as_bool(),
        trigger: text(&record["trigger"]),
        disposition: text(&record["disposition"]).unwrap_or_default(),
        summary: text(&record["summary"]).unwrap_or_else(|| "The call was interrupted.".into()),
        slots: record["slots"].clone(),
        from: text(&record["from"]).unwrap_or_default(),
        to: text(&record["to"]).unwrap_or_default(),
        started_at: time(&record["started_at"]),
        ended_at: time(&record["ended_at"]),
        bridged_at: time(&record["bridged_at"]),
        agent: text(&record["agent"]["extension"]),
        ..CaseWrite::default()
    })
}

/// Has the agent's screen show the case, where the system of record can.
pub fn screen_pop(shared: &Arc<Shared>, record: &CallRecord, extension: &str) {
    let request = PopRequest {
        call_id: record.call_id.clone(),
        record_id: record.crm.as_ref().and_then(|crm| crm.record_id.clone()),
        contact: record.contact.as_ref().map(|c| c.id.clone()),
        agent: Some(extension.to_owned()),
    };
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        match shared.crm.screen_pop(&request).await {
            Ok(Some(pop)) => info!(call_id = request.call_id, url = pop.url, native = pop.native, "screen pop"),
            Ok(None) => {}
            Err(e) => warn!(call_id = request.call_id, error = %e, "the agent's screen shows nothing"),
        }
    });
}

fn contact(person: Person, matched_by: &str) -> ContactView {
    ContactView {
        id: person.id,
        name: person.name,
        orders: person.orders.into_iter().map(order).collect(),
        matched_by: matched_by.into(),
        ..ContactView::default()
    }
}

fn order(order: baton_crm::Order) -> OrderView {
    let baton_crm::Order { number, item, status, amount_cents, eta, .. } = order;
    let amount_cents = amount_cents.and_then(|c| u64::try_from(c).ok()).unwrap_or(0);
    OrderView { number, item, status, amount_cents, eta }
}

/// A leg's figures as the record has them.
pub fn media(stats: &LegStats) -> MediaStats {
    let LegFaults { one_way, silent, unknown_payload_type, not_authentic, flood } = stats.faults;
    let faults = [
        (one_way, "one_way"),
        (silent, "silent"),
        (unknown_payload_type, "unknown_payload_type"),
        (not_authentic, "not_authentic"),
        (flood, "flood"),
    ];
    MediaStats {
        codec: stats.codec.map_or("none", |codec| codec.name()).to_owned(),
        srtp: stats.crypto.map(|suite| suite.name()),
        received: stats.received,
        sent: stats.sent,
        lost: stats.lost,
        late: stats.late,
        concealed: stats.concealed,
        jitter_ms: stats.jitter_ms as f32,
        mos: stats.mos as f32,
        remote: stats.remote.map(|remote| RemoteStats {
            lost: remote.lost,
            jitter_ms: remote.jitter_ms as f32,
            round_trip_ms: remote.round_trip_ms as f32,
            mos: remote.mos.map(|mos| mos as f32),
        }),
        overruns: stats.overruns,
        ticks_late: stats.ticks_late,
        faults: faults.into_iter().filter_map(|(was, name)| was.then_some(name)).collect(),
    }
}

/// How a caller's leg is ended: BYE if it was answered, a refusal before.
pub fn goodbye(leg: LegId, answered: bool, cause: HangUpCause) -> SipCommand {
    let (code, text) = told(cause);
    info!(leg = leg.0, text, "ending a leg");
    if answered {
        SipCommand::Bye { leg, reason: Some(fields::reason(code, text)) }
    } else {
        SipCommand::Reject { leg, code: if code == 200 { 480 } else { code }, reason: Some(text.into()) }
    }
}

/// How a leg that we called is ended: BYE if it was answered, CANCEL before.
pub fn stop_calling(leg: LegId, answered: bool, cause: HangUpCause) -> SipCommand {
    let (code, text) = told(cause);
    info!(leg = leg.0, text, "ending a leg");
    match (answered, cause) {
        (true, _) => SipCommand::Bye { leg, reason: Some(fields::reason(code, text)) },
        (false, HangUpCause::AnsweredElsewhere) => SipCommand::CancelFor { leg, reason: fields::completed_elsewhere() },
        (false, _) => SipCommand::Cancel { leg },
    }
}

fn told(cause: HangUpCause) -> (u16, &'static str) {
    match cause {
        HangUpCause::Normal => (200, "call completed"),
        HangUpCause::OtherSideGone => (200, "the other side hung up"),
        HangUpCause::Declined => (603, "declined"),
        HangUpCause::NoDecision => (603, "no decision after the briefing"),
        HangUpCause::NoMedia => (408, "no RTP received"),
        HangUpCause::AnsweredElsewhere => (200, "answered elsewhere"),
        HangUpCause::Machine => (200, "a machine answered"),
        HangUpCause::PassedOn => (200, "the caller was passed on"),
        HangUpCause::Shutdown => (503, "gateway is ending"),
    }
}

/// Header fields of the agent's INVITE: which case it is, and where a screen may read it (RFC 7433, RFC 3261 §20.9); who calls
/// (RFC 3325).
pub fn agent_headers(record: &CallRecord, domain: &str, api: Option<std::net::SocketAddr>) -> Vec<(String, String)> {
    let url = api.map(|addr| format!("http://{addr}/api/v1/calls/{}", record.call_id)).unwrap_or_default();
    let (user, display) = caller_identity(record);
    let mut headers =
        vec![("X-Baton-Call-ID".to_owned(), record.call_id.clone()), fields::user_to_user(&record.call_id, &url)];
    if !user.is_empty() {
        headers.push(fields::asserted_identity(&user, domain, display.as_deref()));
    }
    headers.extend(fields::call_info(&url, "info"));
    headers
}

/// What the agent's phone shows: the caller, by name if it is known.
pub fn caller_identity(record: &CallRecord) -> (String, Option<String>) {
    let name =
        record.slots.get("name").map(|v| v.value.clone()).or_else(|| record.contact.as_ref().map(|c| c.name.clone()));
    (record.from.clone(), name)
}

/// How something was said, on the steps of the flow. What the words themselves complain of the conversation hears by itself.
pub fn tone(config: &baton_tone::Config, steps: [f32; 3], reading: &baton_tone::Reading) -> ToneReading {
    let by_itself = |term| matches!(term, Term::Complaint | Term::Profanity);
    let why = reading.why.iter().filter(|reason| !by_itself(reason.term)).map(|reason| reason.words.clone()).collect();
    let on_steps = |score| config.levels.on_steps(score, steps);
    ToneReading { score: on_steps(reading.score), peak: on_steps(reading.peak), why }
}

/// The conversation's word for what comes next, as endpointing knows it.
pub fn expected(expected: baton_intake::Expected) -> Expected {
    match expected {
        baton_intake::Expected::YesNo => Expected::YesNo,
        baton_intake::Expected::Number(n) => Expected::Digits(n),
        baton_intake::Expected::Name => Expected::Name,
        _ => Expected::Anything,
    }
}
