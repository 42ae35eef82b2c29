//! Contacts and their orders, as the embedded system of record keeps them. Reading only: they come in by [`crate::Seed`].

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::text::{name_key, order_key};
use crate::{Store, StoreError};

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactRow {
    /// Unique.
    pub id: String,
    /// Full name.
    pub name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// E.164, the main one first.
    pub phones: Vec<String>,
    /// Free marks, such as `vip`.
    pub flags: Vec<String>,
    /// What else is known of them, by name: `tier` is `gold`.
    pub attributes: BTreeMap<String, String>,
    /// Full names of those who may act for them.
    pub authorised: Vec<String>,
}

/// Something on a person's record beside orders: a ticket, an appointment, a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// What it is: `ticket`, `appointment`.
    pub kind: String,
    /// As the business writes it; empty if it has none.
    pub number: String,
    /// Whose it is.
    pub contact_id: String,
    /// Where it stands, to be read out after "is".
    pub status: String,
    /// What it is about; may be empty.
    pub what: String,
    /// When it is or is expected: a date, or words.
    pub due: Option<String>,
}

/// Something a person ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// As the shop writes it: `A-1042`.
    pub number: String,
    /// Whose it is.
    pub contact_id: String,
    /// In words.
    pub item: String,
    /// `processing`, `shipped`, `delayed`, `delivered`, `cancelled`, `returned`, `refunded`, or the shop's own word.
    pub status: String,
    /// In hundredths of `currency`.
    pub amount_cents: Option<i64>,
    /// ISO 4217.
    pub currency: String,
    /// ISO date.
    pub ordered_on: Option<String>,
    /// ISO date: when it is expected, or came.
    pub eta: Option<String>,
    /// For the agent.
    pub note: Option<String>,
}

impl Store {
    /// Everyone who has one of these numbers (E.164, compared whole).
    pub async fn contacts_by_phone(&self, phones: &[String]) -> Result<Vec<ContactRow>, StoreError> {
        let wanted = serde_json::Value::from(phones.to_vec()).to_string();
        self.contacts(
            "SELECT * FROM contacts WHERE id IN
               (SELECT contact_id FROM contact_phones WHERE phone IN (SELECT value FROM json_each(?)))
             ORDER BY id",
            &wanted,
        )
        .await
    }

    /// Everyone of that name, whatever case, accents and punctuation.
    pub async fn contacts_by_name(&self, name: &str) -> Result<Vec<ContactRow>, StoreError> {
        self.contacts("SELECT * FROM contacts WHERE name_key = ? ORDER BY id", &name_key(name)).await
    }

    /// Everyone with that e-mail address, whatever case.
    pub async fn contacts_by_email(&self, address: &str) -> Result<Vec<ContactRow>, StoreError> {
        let address = address.trim().to_lowercase();
        self.contacts("SELECT * FROM contacts WHERE lower(email) = ? ORDER BY id", &address).await
    }

    /// The contact of that id.
    pub async fn contact(&self, id: &str) -> Result<Option<ContactRow>, StoreError> {
        Ok(self.contacts("SELECT * FROM contacts WHERE id = ?", id).await?.pop())
    }

    /// The order of that number, whatever case, dashes and spaces.
    pub async fn order(&self, number: &str) -> Result<Option<OrderRow>, StoreError> {
        Ok(self.order_rows("SELECT * FROM orders WHERE number_key = ?", &order_key(number)).await?.pop())
    }

    /// A contact's orders, newest first.
    pub async fn orders(&self, contact_id: &str) -> Result<Vec<OrderRow>, StoreError> {
        self.order_rows("SELECT * FROM orders WHERE contact_id = ? ORDER BY ordered_on DESC, number", contact_id).await
    }

    /// What else is on a contact's record, in the order it was listed.
    pub async fn records(&self, contact_id: &str) -> Result<Vec<RecordRow>, StoreError> {
        self.record_rows("SELECT * FROM records WHERE contact_id = ? ORDER BY id", &[contact_id]).await
    }

    /// The record of that kind and number, whatever case, dashes and spaces.
    pub async fn record(&self, kind: &str, number: &str) -> Result<Option<RecordRow>, StoreError> {
        let key = order_key(number);
        if key.is_empty() {
            return Ok(None);
        }
        Ok(self.record_rows("SELECT * FROM records WHERE kind = ? AND number_key = ?", &[kind, &key]).await?.pop())
    }

    async fn record_rows(&self, query: &'static str, arguments: &[&str]) -> Result<Vec<RecordRow>, StoreError> {
        let query = arguments.iter().fold(sqlx::query(query), |query, argument| query.bind(*argument));
        let rows = query.fetch_all(&self.0.reads).await;
        rows.and_then(|rows| rows.iter().map(read_record).collect()).map_err(|e| self.fault(&e))
    }

    async fn contacts(&self, query: &'static str, argument: &str) -> Result<Vec<ContactRow>, StoreError> {
        let fault = |e: sqlx::Error| self.fault(&e);
        let rows = sqlx::query(query).bind(argument).fetch_all(&self.0.reads).await.map_err(fault)?;
        let mut contacts = Vec::with_capacity(rows.len());
        for row in rows {
            let id: String = row.try_get("id").map_err(fault)?;
            let phones = sqlx::query_scalar("SELECT phone FROM contact_phones WHERE contact_id = ? ORDER BY position")
                .bind(&id)
                .fetch_all(&self.0.reads)
                .await
                .map_err(fault)?;
            let flags: String = row.try_get("flags").map_err(fault)?;
            let attributes: String = row.try_get("attributes").map_err(fault)?;
            let authorised: String = row.try_get("authorised").map_err(fault)?;
            contacts.push(ContactRow {
                id,
                name: row.try_get("name").map_err(fault)?,
                email: row.try_get("email").map_err(fault)?,
                phones,
                flags: serde_json::from_str(&flags).unwrap_or_default(),
                attributes: serde_json::from_str(&attributes).unwrap_or_default(),
                authorised: serde_json::from_str(&authorised).unwrap_or_default(),
            });
        }
        Ok(contacts)
    }

    async fn order_rows(&self, query: &'static str, argument: &str) -> Result<Vec<OrderRow>, StoreError> {
        let rows = sqlx::query(query).bind(argument).fetch_all(&self.0.reads).await;
        rows.and_then(|rows| rows.iter().map(read_order).collect()).map_err(|e| self.fault(&e))
    }
}

fn read_record(row: &SqliteRow) -> sqlx::Result<RecordRow> {
    Ok(RecordRow {
        kind: row.try_get("kind")?,
        number: row.try_get("number")?,
        contact_id: row.try_get("contact_id")?,
        status: row.try_get("status")?,
        what: row.try_get("what")?,
        due: row.try_get("due")?,
    })
}

fn read_order(row: &SqliteRow) -> sqlx::Result<OrderRow> {
    Ok(OrderRow {
        number: row.try_get("number")?,
        contact_id: row.try_get("contact_id")?,
        item: row.try_get("item")?,
        status: row.try_get("status")?,
        amount_cents: row.try_get("amount_cents")?,
        currency: row.try_get("currency")?,
        ordered_on: row.try_get("ordered_on")?,
        eta: row.try_get("eta")?,
        note: row.try_get("note")?,
    })
}
