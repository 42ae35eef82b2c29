//! The embedded system of record: Baton's own store.

use baton_store::{Store, StoreError};

use crate::{Answer, CaseWrite, Crm, CrmError, Lookup, Order, Person, Receipt};

/// The store as a system of record.
pub struct Embedded {
    store: Store,
}

impl Embedded {
    /// On this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    async fn person(&self, contact: baton_store::Contact) -> Result<Person, CrmError> {
        let orders = self.store.orders_of(&contact.id).await.map_err(failed)?.into_iter().map(order).collect();
        Ok(Person { id: contact.id, name: contact.name, flags: contact.flags, orders })
    }
}

impl Crm for Embedded {
    fn name(&self) -> &str {
        "embedded"
    }

    fn find_person(&self, lookup: Lookup) -> Answer<'_, Vec<Person>> {
        Box::pin(async move {
            let contacts = match lookup {
                Lookup::Id(id) => self.store.contact(&id).await.map_err(failed)?.into_iter().collect(),
                Lookup::Phone(number) => {
                    let mut found: Vec<baton_store::Contact> = Vec::new();
                    for variant in variants(&number) {
                        for contact in self.store.contacts_by_phone(&variant).await.map_err(failed)? {
                            if !found.iter().any(|f| f.id == contact.id) {
                                found.push(contact);
                            }
                        }
                    }
                    found
                }
            };
            let mut people = Vec::new();
            for contact in contacts {
                people.push(self.person(contact).await?);
            }
            Ok(people)
        })
    }

    fn order(&self, number: String) -> Answer<'_, Option<(Order, Person)>> {
        Box::pin(async move {
            let Some(found) = self.store.order(&number).await.map_err(failed)? else { return Ok(None) };
            let Some(contact) = self.store.contact(&found.contact).await.map_err(failed)? else { return Ok(None) };
            Ok(Some((order(found), self.person(contact).await?)))
        })
    }

    fn write_case(&self, case: CaseWrite) -> Answer<'_, Receipt> {
        Box::pin(async move {
            let json = serde_json::to_string(&case).map_err(|e| CrmError::Refused(e.to_string()))?;
            let id = self.store.write_case(&case.key, &case.call_id, case.contact.as_deref(), &case.disposition, &case.summary, &json).await.map_err(failed)?;
            Ok(Receipt { system: self.name().to_owned(), record_id: id.to_string() })
        })
    }
}

/// The ways a number may be kept: as given, E.164, digits, national (North America).
fn variants(number: &str) -> Vec<String> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let national = digits.strip_prefix('1').filter(|n| n.len() == 10).map(str::to_owned);
    let mut out = vec![number.to_owned(), format!("+{digits}"), digits.clone()];
    if digits.len() == 10 {
        out.extend([format!("+1{digits}"), format!("1{digits}")]);
    }
    out.extend(national);
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|v| v.len() > 1 && seen.insert(v.clone()));
    out
}

fn order(order: baton_store::Order) -> Order {
    let baton_store::Order { number, item, status, amount_cents, eta, .. } = order;
    Order { number, item, status, amount_cents, eta }
}

fn failed(e: StoreError) -> CrmError {
    CrmError::Unavailable(e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_sought_in_every_usual_form() {
        let all = variants("+15551230001");
        for form in ["+15551230001", "15551230001", "5551230001"] {
            assert!(all.contains(&form.to_owned()), "{form}");
        }
        assert!(variants("5551230001").contains(&"+15551230001".to_owned()));
        assert!(variants("anonymous").iter().all(|v| v == "anonymous"));
    }
}
