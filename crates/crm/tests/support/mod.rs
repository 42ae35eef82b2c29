//! A system of record that fails as told, in front of the embedded one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use baton_crm::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Embedded, Lookup, Order, Person, PopRequest, Receipt, ScreenPop,
    Step,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How one try goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing reaches the system.
    Down,
    /// The effect is there, its answer is not.
    AnswerLost,
    /// Neither answer nor end.
    Hang,
    /// The effect is there, then neither answer nor end.
    HangAfter,
    /// The system will not have it.
    Refuse,
    /// The connector's code fails.
    Panic,
}

pub struct Faulty {
    inner: Embedded,
    faults: Mutex<VecDeque<Fault>>,
    tries: mpsc::UnboundedSender<Try>,
}

/// A try, as it begins.
#[derive(Debug, Clone)]
pub struct Try {
    pub key: String,
    pub at: Instant,
}

impl Faulty {
    /// The first tries go as `faults` says, later ones well. Every try is reported.
    pub fn new(inner: Embedded, faults: impl IntoIterator<Item = Fault>) -> (Arc<Self>, mpsc::UnboundedReceiver<Try>) {
        let (tries, seen) = mpsc::unbounded_channel();
        (Arc::new(Self { inner, faults: Mutex::new(faults.into_iter().collect()), tries }), seen)
    }

    async fn one(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        let fault = self.faults.lock().unwrap().pop_front();
        let _ = self.tries.send(Try { key: write.key.clone(), at: Instant::now() });
        let apply = async || self.inner.write(write).await;
        match fault {
            None => apply().await,
            Some(Fault::Down) => Err(CrmError::Unavailable("503".into())),
            Some(Fault::AnswerLost) => apply().await.and(Err(CrmError::Unavailable("connection reset".into()))),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::HangAfter) => {
                apply().await?;
                std::future::pending().await
            }
            Some(Fault::Refuse) => Err(CrmError::Refused("422 no such field".into())),
            Some(Fault::Panic) => panic!("a bug in the connector, on purpose"),
        }
    }
}

#[async_trait]
impl Crm for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }

    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError> {
        self.inner.find_person(lookup).await
    }

    async fn order(&self, number: String) -> Result<Option<(Order, Person)>, CrmError> {
        self.inner.order(number).await
    }

    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        self.one(write).await
    }

    async fn cases(&self, call_id: &str) -> Result<Vec<CaseView>, CrmError> {
        self.inner.cases(call_id).await
    }

    async fn screen_pop(&self, request: &PopRequest) -> Result<Option<ScreenPop>, CrmError> {
        self.inner.screen_pop(request).await
    }

    async fn check(&self) -> Vec<Capability> {
        self.inner.check().await
    }
}

/// A write of a call's case.
pub fn write(call_id: &str, step: Step) -> CaseWrite {
    let word = serde_json::to_value(step).unwrap();
    let key = format!("{call_id}:{}", word.as_str().unwrap());
    CaseWrite {
        call_id: call_id.into(),
        step,
        disposition: "ESC_ASKED_FOR_PERSON".into(),
        summary: format!("written by {key}"),
        slots: serde_json::json!({"name": {"value": "Maria Gomez", "confirmed": true, "source": "speech"}}),
        key,
        ..CaseWrite::default()
    }
}
