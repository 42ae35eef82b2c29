//! A call's case in the system of record, from the first thing a caller tells to the last word. One task for each call hands
//! the writes to the outbox in the order of what happened. While one is on its way the next only gathers: the system is told
//! how things stand, not every step to there. What an escalation writes goes at once, and is reported to the call.

use std::sync::Arc;
use std::time::Duration;

use baton_call::record::CallRecord;
use baton_call::{CaseDraft, Input};
use baton_crm::{CaseWrite, Delivery, DeliveryEvent, Step};
use baton_store::redact;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::{error, warn};

use super::shared::{CallEvent, Inbox, Shared};

/// One call's hand on its case.
pub struct Case(mpsc::UnboundedSender<Told>);

enum Told {
    Changed(Box<Value>),
    Escalated(Box<CaseDraft>, Box<Value>),
    Over(Box<Value>, oneshot::Sender<()>),
}

impl Case {
    /// Begins. Nothing is written before there is something to write.
    pub fn open(shared: &Arc<Shared>, inbox: &Inbox) -> Self {
        // Unbounded: a call has few changes, and its task never waits.
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(Clerk::new(shared, inbox).serve(told));
        Self(tell)
    }

    /// The record has changed: the case follows.
    pub fn changed(&self, record: &CallRecord) {
        let _ = self.0.send(Told::Changed(Box::new(clean(record))));
    }

    /// A person is called: the case must be acknowledged before they are. The call is told how it goes.
    pub fn escalated(&self, draft: CaseDraft, record: &CallRecord) {
        let _ = self.0.send(Told::Escalated(Box::new(draft), Box::new(clean(record))));
    }

    /// The call is over: the case's last word; a solved call gets its first here. Returns when the outbox has it: from then
    /// on it is not lost.
    pub async fn over(self, record: &CallRecord) {
        let (done, wait) = oneshot::channel();
        let _ = self.0.send(Told::Over(Box::new(clean(record)), done));
        let _ = wait.await;
    }
}

/// The record as it may leave the process: card numbers and codes are out, also those said over several turns, which the
/// case's own words would not show.
fn clean(record: &CallRecord) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    redact::json(&mut value);
    value
}

struct Clerk {
    shared: Arc<Shared>,
    inbox: Inbox,
    /// What the system was told last, without key and step.
    known: Option<CaseWrite>,
    /// What it is to be told next.
    next: Option<CaseWrite>,
    under_way: Option<Delivery>,
    /// When it may be told again.
    again: Instant,
    pause: Duration,
    /// Updates and links so far: part of their keys.
    updates: u32,
    /// Remarks so far: of when, and what.
    remarks: Vec<(String, String)>,
    /// Whose agents are to take it, once that is known.
    queue: Option<String>,
}

impl Clerk {
    fn new(shared: &Arc<Shared>, inbox: &Inbox) -> Self {
        Self {
            shared: Arc::clone(shared),
            inbox: inbox.clone(),
            known: None,
            next: None,
            under_way: None,
            again: Instant::now(),
            pause: shared.case_pause,
            updates: 0,
            remarks: Vec::new(),
            queue: None,
        }
    }

    async fn serve(mut self, mut told: mpsc::UnboundedReceiver<Told>) {
        loop {
            let due = self.next.is_some() && self.under_way.is_none();
            tokio::select! {
                biased;
                news = told.recv() => match news {
                    Some(Told::Changed(record)) => self.changed(&record).await,
                    Some(Told::Escalated(draft, record)) => self.escalated(*draft, &record).await,
                    Some(Told::Over(record, done)) => {
                        self.over(&record).await;
                        let _ = done.send(());
                        return;
                    }
                    None => return, // the process ends, or the call fell: its record is told at the next start
                },
                _ = settled(self.under_way.as_mut()), if self.under_way.is_some() => self.under_way = None,
                () = sleep_until(self.again), if due => self.update().await,
            }
        }
    }

    async fn changed(&mut self, record: &Value) {
        let Some(mut write) = of_record(record) else { return };
        if write.ended_at.is_some() {
            self.next = None; // the last word follows
            return;
        }
        write.queue.clone_from(&self.queue);
        for remark in remarks(record) {
            if !self.remarks.contains(&remark) {
                let (key, note) = (format!("{}:note-{}", write.call_id, self.remarks.len() + 1), remark.1.clone());
                self.remarks.push(remark);
                self.send(CaseWrite { key, step: Step::Note, note: Some(note), ..write.clone() }).await;
            }
        }
        // That somebody rings is no case yet; what they tell is.
        let worth = self.known.is_some() || !write.values().is_empty();
        self.next = Some(write).filter(|write| worth && self.known.as_ref() != Some(write));
    }

    async fn update(&mut self) {
        let Some(write) = self.next.take() else { return };
        let only_linked = self.known.as_ref().is_some_and(|known| {
            write.contact.is_some() && CaseWrite { contact: write.contact.clone(), ..known.clone() } == write
        });
        let step = if only_linked { Step::Link } else { Step::Update };
        self.updates += 1;
        let key = format!("{}:{}-{}", write.call_id, step.name(), self.updates);
        self.known = Some(write.clone());
        self.send(CaseWrite { key, step, ..write }).await;
    }

    async fn escalated(&mut self, draft: CaseDraft, record: &Value) {
        let Some(write) = of_record(record) else { return };
        let CaseDraft { key, trigger, disposition, queue, .. } = draft;
        self.queue = Some(queue);
        let write = CaseWrite { trigger: Some(trigger.to_string()), disposition, queue: self.queue.clone(), ..write };
        self.next = None;
        self.known = Some(write.clone());
        match self.send(CaseWrite { key, ..write }).await {
            Some(delivery) => {
                tokio::spawn(report(delivery, self.inbox.clone()));
            }
            None => self.inbox.send(CallEvent::Answer(Input::CaseFailed { final_: true })),
        }
    }

    async fn over(&mut self, record: &Value) {
        if let Some(write) = last_word(record) {
            self.send(CaseWrite { queue: self.queue.clone(), ..write }).await;
        }
    }

    /// Hands it to the outbox; from then on it is not lost.
    async fn send(&mut self, write: CaseWrite) -> Option<Delivery> {
        self.again = Instant::now() + self.pause;
        match self.shared.outbox.enqueue(&write).await {
            Ok(delivery) => {
                self.under_way = Some(delivery.clone());
                Some(delivery)
            }
            Err(e) => {
                error!(key = write.key, error = %e, "a CRM write could not even be recorded for sending");
                self.known = None; // what comes next says it again
                None
            }
        }
    }
}

async fn settled(delivery: Option<&mut Delivery>) {
    match delivery {
        Some(delivery) => _ = delivery.settled().await,
        None => std::future::pending().await,
    }
}

/// Tells the call how its case goes.
async fn report(mut delivery: Delivery, inbox: Inbox) {
    while let Some(event) = delivery.next().await {
        let (input, last) = match event {
            DeliveryEvent::Acknowledged(receipt) => {
                (Input::CaseWritten { system: receipt.system, record_id: receipt.record_id }, true)
            }
            DeliveryEvent::Failing { .. } => (Input::CaseFailed { final_: false }, false),
            DeliveryEvent::Dead { error } => {
                warn!(error, "the case is refused; it waits with the dead letters (baton crm dead)");
                (Input::CaseFailed { final_: true }, true)
            }
        };
        inbox.send(CallEvent::Answer(input));
        if last {
            return;
        }
    }
}

/// A call's case as its record has it, as first written: without a key.
fn of_record(record: &Value) -> Option<CaseWrite> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let time = |value: &Value| value.as_str().and_then(|at| at.parse().ok());
    Some(CaseWrite {
        call_id: text(&record["call_id"])?,
        contact: text(&record["contact"]["id"]),
        caller_name: text(&record["slots"]["name"]["value"]).or_else(|| text(&record["contact"]["name"])),
        account_holder: record["contact"]["account_holder"].as_bool(),
        trigger: text(&record["trigger"]),
        disposition: text(&record["disposition"]).unwrap_or_default(),
        summary: text(&record["summary"]).unwrap_or_else(|| "The call goes on.".into()),
        slots: record["slots"].clone(),
        from: text(&record["from"]).unwrap_or_default(),
        to: text(&record["to"]).unwrap_or_default(),
        started_at: time(&record["started_at"]),
        ended_at: time(&record["ended_at"]),
        bridged_at: time(&record["bridged_at"]),
        agent: text(&record["agent"]["extension"]).filter(|_| record["agent"]["accepted_at"].is_string()),
        ..CaseWrite::default()
    })
}

/// The last word on a call, from its record: of one that ended, and of one that the end of an earlier process cut.
pub fn last_word(record: &Value) -> Option<CaseWrite> {
    let write = of_record(record)?;
    let summary = if record["summary"].is_string() { write.summary } else { "The call was interrupted.".to_owned() };
    Some(CaseWrite { key: format!("{}:end", write.call_id), step: Step::Complete, summary, ..write })
}

/// What a person who reads the case would want to know of the call's way: when, and what.
fn remarks(record: &Value) -> Vec<(String, String)> {
    let list = |key: &str| record[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let word = |value: &Value| value.as_str().unwrap_or("?").replace('_', " ");
    let mut out = Vec::new();
    for back in list("given_back") {
        let told = format!("The caller was given back to the assistant: {}.", word(&back["why"]));
        out.push((word(&back["at"]), told));
    }
    for on in list("passed_on") {
        let by = word(&on["by"]);
        let told = match (on["how"].as_str(), on["to"].as_str()) {
            (Some("assistant"), _) => format!("Agent {by} gave the caller back to the assistant."),
            (Some("queue"), Some(to)) => format!("Agent {by} passed the caller on to the queue {to}."),
            (how, to) => format!("Agent {by} passed the caller on to {} ({}).", to.unwrap_or("?"), how.unwrap_or("?")),
        };
        out.push((word(&on["at"]), told));
    }
    if let Some(number) = record["callback"]["number"].as_str().filter(|_| record["callback"]["of"].is_null()) {
        out.push((String::new(), format!("A call back on {number} was promised.")));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_case_is_of_the_record_and_its_last_word_too() {
        let mut record = json!({
            "call_id": "c1", "from": "+15551230001", "to": "5000", "started_at": "2026-11-24T10:00:00.000Z",
            "ended_at": null, "contact": {"id": "c01", "name": "Maria Gomez", "account_holder": true},
            "slots": {"order_number": {"value": "A-1042", "confirmed": true, "source": "speech"}},
            "trigger": "asked_for_person", "disposition": "ESC-PERSON", "summary": null,
            "agent": {"extension": "1001", "accepted_at": null}, "bridged_at": null
        });
        let write = of_record(&record).unwrap();
        assert_eq!(write.caller_name.as_deref(), Some("Maria Gomez"), "as the system has it, until they say it");
        assert_eq!(write.values(), [("order_number", "A-1042".to_owned())]);
        assert_eq!((write.agent, write.summary.as_str()), (None, "The call goes on."), "who was only rung has it not");
        record["agent"]["accepted_at"] = json!("2026-11-24T10:01:00.000Z");
        record["slots"]["name"] = json!({"value": "Maria"});
        let last = last_word(&record).unwrap();
        assert_eq!((last.key.as_str(), last.step), ("c1:end", Step::Complete));
        assert_eq!((last.agent.as_deref(), last.caller_name.as_deref()), (Some("1001"), Some("Maria")));
        assert_eq!(last.summary, "The call was interrupted.");
        assert!(of_record(&json!({})).is_none());
    }

    #[test]
    fn remarks_tell_the_calls_way() {
        let mut record = json!({
            "given_back": [{"at": "2026-11-24T10:02:00.000Z", "why": "nobody_free"}],
            "passed_on": [{"at": "2026-11-24T10:01:00.000Z", "by": "1001", "how": "queue", "to": "billing", "reached": null}]
        });
        record["callback"] = json!({"number": "+15550001234"});
        let told: Vec<String> = remarks(&record).into_iter().map(|(_, told)| told).collect();
        assert_eq!(
            told,
            [
                "The caller was given back to the assistant: nobody free.",
                "Agent 1001 passed the caller on to the queue billing.",
                "A call back on +15550001234 was promised.",
            ]
        );
        assert!(remarks(&json!({})).is_empty());
    }
}
