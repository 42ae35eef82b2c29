//! Two systems at once: one keeps people and cases, the other knows the orders (Zendesk and Shopify, say). An id of the
//! other system is marked with its name, so that it is never written into the first as a person of its own.

use std::sync::Arc;

use async_trait::async_trait;
use tracing::warn;

use crate::{
    Capability, CaseView, CaseWrite, Crm, CrmError, Lookup, Order, Person, PopRequest, Receipt, Record, ScreenPop,
};

/// Cases in one system, orders from another.
pub struct TwoSystems {
    cases: Arc<dyn Crm>,
    orders: Arc<dyn Crm>,
}

impl TwoSystems {
    /// Of these two.
    pub fn new(cases: Arc<dyn Crm>, orders: Arc<dyn Crm>) -> Self {
        Self { cases, orders }
    }

    /// Fills in orders, and whatever else the second system knows of the same person. Its silence costs nobody the call.
    async fn with_orders(&self, mut person: Person) -> Person {
        let by_email = person.email.clone().map(Lookup::Email);
        let by_phone = person.phones.iter().cloned().map(Lookup::Phone);
        for lookup in by_email.into_iter().chain(by_phone) {
            match self.orders.find_person(lookup).await {
                Ok(mut found) if found.len() == 1 => {
                    let other = found.remove(0);
                    person.orders = other.orders;
                    person.flags.extend(other.flags);
                    return person;
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(system = self.orders.name(), %error, "a caller's orders could not be read");
                    return person;
                }
            }
        }
        person
    }

    /// The first system's person for one of the second: by e-mail, then by number, if that is one person. Otherwise the
    /// second's, with its id marked.
    async fn known(&self, mut other: Person) -> Result<Person, CrmError> {
        let by_email = other.email.clone().map(Lookup::Email);
        let by_phone = other.phones.iter().cloned().map(Lookup::Phone);
        for lookup in by_email.into_iter().chain(by_phone) {
            let mut found = self.cases.find_person(lookup).await?;
            if found.len() == 1 {
                let mut person = found.remove(0);
                person.orders = other.orders;
                person.flags.extend(other.flags);
                return Ok(person);
            }
        }
        other.id = format!("{}{}", self.mark(), other.id);
        Ok(other)
    }

    /// Which of the two has the page, and what it is to be asked for.
    fn shown_by(&self, request: &PopRequest) -> (&dyn Crm, PopRequest) {
        match request.contact.as_deref().and_then(|id| id.strip_prefix(&self.mark())) {
            Some(theirs) if request.record_id.is_none() => {
                (&*self.orders, PopRequest { contact: Some(theirs.to_owned()), ..request.clone() })
            }
            Some(_) => (&*self.cases, PopRequest { contact: None, ..request.clone() }),
            None => (&*self.cases, request.clone()),
        }
    }

    fn mark(&self) -> String {
        format!("{}:", self.orders.name())
    }
}

#[async_trait]
impl Crm for TwoSystems {
    fn name(&self) -> &str {
        self.cases.name()
    }

    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError> {
        let mark = self.mark();
        match lookup {
            Lookup::Order(_) => {
                let mut people = Vec::new();
                for other in self.orders.find_person(lookup).await? {
                    people.push(self.known(other).await?);
                }
                Ok(people)
            }
            Lookup::Id(id) if id.starts_with(&mark) => {
                let theirs = id.trim_start_matches(&mark).to_owned();
                let found = self.orders.find_person(Lookup::Id(theirs)).await?;
                Ok(found.into_iter().map(|p| Person { id: format!("{mark}{}", p.id), ..p }).collect())
            }
            lookup => {
                let mut people = self.cases.find_person(lookup).await?;
                // Several are no match anyway: their orders would be asked for in vain.
                if people.len() == 1 {
                    let person = people.remove(0);
                    people.push(self.with_orders(person).await);
                }
                Ok(people)
            }
        }
    }

    async fn order(&self, number: String) -> Result<Option<(Order, Person)>, CrmError> {
        let Some((order, holder)) = self.orders.order(number).await? else { return Ok(None) };
        Ok(Some((order, self.known(holder).await?)))
    }

    async fn record(&self, kind: String, number: String) -> Result<Option<(Record, Person)>, CrmError> {
        self.cases.record(kind, number).await
    }

    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        match write.contact.as_deref().filter(|id| id.starts_with(&self.mark())) {
            // Nobody the first system could link to; its text says who it is all the same.
            Some(other) => {
                let summary = format!("{}\nKnown to {} as {}", write.summary, self.orders.name(), other);
                self.cases.write(&CaseWrite { contact: None, summary, ..write.clone() }).await
            }
            None => self.cases.write(write).await,
        }
    }

    async fn cases(&self, call_id: &str) -> Result<Vec<CaseView>, CrmError> {
        self.cases.cases(call_id).await
    }

    fn page(&self, request: &PopRequest) -> Option<String> {
        let (system, request) = self.shown_by(request);
        system.page(&request)
    }

    async fn screen_pop(&self, request: &PopRequest) -> Result<Option<ScreenPop>, CrmError> {
        let (system, request) = self.shown_by(request);
        system.screen_pop(&request).await
    }

    async fn check(&self) -> Vec<Capability> {
        let mut report = Vec::new();
        for system in [&self.cases, &self.orders] {
            let name = system.name().to_owned();
            let named = |c: Capability| Capability { what: format!("{name}: {}", c.what), ..c };
            report.extend(system.check().await.into_iter().map(named));
        }
        report
    }
}
