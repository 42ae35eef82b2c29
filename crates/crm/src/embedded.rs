//! The embedded system of record: Baton's own store, for who has no other.

use async_trait::async_trait;
use baton_store::{CaseChange, ContactRow, OrderRow, RecordRow, Store, StoreError};

use crate::{Capability, CaseView, CaseWrite, Crm, CrmError, Lookup, Numbering, Order, Person, Receipt, Record, Step};

/// The store as a system of record.
#[derive(Debug, Clone)]
pub struct Embedded {
    store: Store,
    numbering: Numbering,
}

impl Embedded {
    /// On this store; national numbers are North American.
    pub fn new(store: Store) -> Self {
        Self { store, numbering: Numbering::default() }
    }

    /// National numbers are of this plan instead.
    #[must_use]
    pub fn numbering(self, numbering: Numbering) -> Self {
        Self { numbering, ..self }
    }

    async fn person(&self, contact: ContactRow) -> Result<Person, CrmError> {
        let orders = self.store.orders(&contact.id).await.map_err(unavailable)?.into_iter().map(order).collect();
        let records = self.store.records(&contact.id).await.map_err(unavailable)?.into_iter().map(record).collect();
        let ContactRow { id, name, email, phones, flags, attributes, authorised } = contact;
        Ok(Person { id, name, email, phones, flags, orders, attributes, authorised, records, ..Person::default() })
    }

    async fn apply(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        let body = serde_json::to_string(write).map_err(|e| CrmError::Refused(e.to_string()))?;
        let change = CaseChange {
            key: &write.key,
            call_id: &write.call_id,
            contact_id: write.contact.as_deref(),
            disposition: Some(write.disposition.as_str()).filter(|code| !code.is_empty()),
            trigger: write.trigger.as_deref(),
            summary: &write.summary,
            body: &body,
            closes: write.step == Step::Complete,
        };
        let stamp = match write.step {
            Step::Note => self.store.note_case(&change, write.note.as_deref().unwrap_or_default()).await,
            Step::Link => self.store.link_case(&change).await,
            _ => self.store.change_case(&change).await,
        }
        .map_err(unavailable)?;
        Ok(Receipt { system: self.name().to_owned(), record_id: record_id(stamp.case_id), acknowledged_at: stamp.at })
    }
}

#[async_trait]
impl Crm for Embedded {
    fn name(&self) -> &str {
        "embedded"
    }

    async fn find_person(&self, lookup: Lookup) -> Result<Vec<Person>, CrmError> {
        let contacts = match lookup {
            Lookup::Phone(number) => {
                let readings = self.numbering.readings(&number);
                let mut found = self.store.contacts_by_phone(&readings).await.map_err(unavailable)?;
                // Whatever the search thinks is like it: only a whole number that is equal counts.
                found.retain(|contact| contact.phones.iter().any(|phone| readings.contains(phone)));
                found
            }
            Lookup::Email(address) => self.store.contacts_by_email(&address).await.map_err(unavailable)?,
            Lookup::Order(number) => match self.store.order(&number).await.map_err(unavailable)? {
                Some(order) => self.store.contact(&order.contact_id).await.map_err(unavailable)?.into_iter().collect(),
                None => Vec::new(),
            },
            Lookup::Name(name) => self.store.contacts_by_name(&name).await.map_err(unavailable)?,
            Lookup::Id(id) => self.store.contact(&id).await.map_err(unavailable)?.into_iter().collect(),
        };
        let mut people = Vec::with_capacity(contacts.len());
        for contact in contacts {
            people.push(self.person(contact).await?);
        }
        Ok(people)
    }

    async fn order(&self, number: String) -> Result<Option<(Order, Person)>, CrmError> {
        let Some(found) = self.store.order(&number).await.map_err(unavailable)? else { return Ok(None) };
        let Some(holder) = self.store.contact(&found.contact_id).await.map_err(unavailable)? else { return Ok(None) };
        Ok(Some((order(found), self.person(holder).await?)))
    }

    async fn record(&self, kind: String, number: String) -> Result<Option<(Record, Person)>, CrmError> {
        let Some(found) = self.store.record(&kind, &number).await.map_err(unavailable)? else { return Ok(None) };
        let Some(holder) = self.store.contact(&found.contact_id).await.map_err(unavailable)? else { return Ok(None) };
        Ok(Some((record(found), self.person(holder).await?)))
    }

    async fn write(&self, write: &CaseWrite) -> Result<Receipt, CrmError> {
        self.apply(write).await
    }

    async fn cases(&self, call_id: &str) -> Result<Vec<CaseView>, CrmError> {
        let Some(case) = self.store.case(call_id).await.map_err(unavailable)? else { return Ok(Vec::new()) };
        let notes = self.store.case_notes(case.id).await.map_err(unavailable)?;
        Ok(vec![CaseView {
            record_id: record_id(case.id),
            contact: case.contact_id,
            disposition: case.disposition,
            text: case.summary,
            notes: notes.into_iter().map(|note| note.text).collect(),
            closed: case.closed,
        }])
    }

    async fn check(&self) -> Vec<Capability> {
        let depth = self.store.outbox_depth().await.map(|depth| format!("{depth} writes wait")).map_err(unavailable);
        vec![
            Capability::tried("read the store", depth),
            Capability::untried("write cases", "the store was opened for writing at start"),
        ]
    }
}

fn record_id(case_id: i64) -> String {
    format!("CASE-{case_id:05}")
}

fn order(row: OrderRow) -> Order {
    let OrderRow { number, item, status, amount_cents, currency, ordered_on, eta, note, .. } = row;
    Order { number, item, status, amount_cents, currency, ordered_on, eta, note }
}

fn record(row: RecordRow) -> Record {
    let RecordRow { kind, number, status, what, due, .. } = row;
    Record { kind, number, status, what, due }
}

fn unavailable(error: StoreError) -> CrmError {
    CrmError::Unavailable(error.to_string())
}
