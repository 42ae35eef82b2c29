//! Contacts, orders and cases: the embedded system of record.

use std::path::Path;

use serde::Deserialize;
use sqlx::Row;

use crate::{Store, StoreError};

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Unique.
    pub id: String,
    /// Full name.
    pub name: String,
    /// E.164.
    #[serde(default)]
    pub phones: Vec<String>,
    /// E-mail.
    pub email: Option<String>,
    /// `vip` and the like.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// As written.
    pub number: String,
    /// Whose.
    pub contact: String,
    /// What, in words.
    pub item: String,
    /// In a word that can be read out.
    pub status: String,
    /// In cents.
    pub amount_cents: u64,
    /// Expected on, ISO date.
    pub eta: Option<String>,
}

/// A case, as written for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its number.
    pub id: i64,
    /// The call.
    pub call_id: String,
    /// The outcome's code.
    pub disposition: String,
    /// In words.
    pub summary: String,
    /// All of it, JSON.
    pub json: String,
    /// How many different writes it took.
    pub writes: i64,
}

/// Contacts and orders to begin with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// `[[contact]]`
    #[serde(default)]
    pub contact: Vec<Contact>,
    /// `[[order]]`
    #[serde(default)]
    pub order: Vec<Order>,
}

impl Seed {
    /// Reads a TOML file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        toml::from_str(&text).map_err(|e| e.to_string())
    }
}

/// An order number as it is searched: letters and digits, upper case.
fn order_key(number: &str) -> String {
    number.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

impl Store {
    /// Loads contacts and orders; what is there already is brought up to date.
    pub async fn seed(&self, seed: &Seed) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        for contact in &seed.contact {
            sqlx::query("INSERT INTO contacts (id, name, email, flags) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, flags = excluded.flags")
                .bind(&contact.id)
                .bind(&contact.name)
                .bind(&contact.email)
                .bind(serde_json::to_string(&contact.flags)?)
                .execute(&mut *transaction)
                .await?;
            for phone in &contact.phones {
                sqlx::query("INSERT OR IGNORE INTO contact_phones (phone, contact) VALUES (?, ?)").bind(phone).bind(&contact.id).execute(&mut *transaction).await?;
            }
        }
        for order in &seed.order {
            sqlx::query("INSERT INTO orders (number, key, contact, item, status, amount_cents, eta) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET item = excluded.item, status = excluded.status, amount_cents = excluded.amount_cents, eta = excluded.eta")
                .bind(&order.number)
                .bind(order_key(&order.number))
                .bind(&order.contact)
                .bind(&order.item)
                .bind(&order.status)
                .bind(i64::try_from(order.amount_cents).unwrap_or(i64::MAX))
                .bind(&order.eta)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Everybody with this number, exactly as given.
    pub async fn contacts_by_phone(&self, phone: &str) -> Result<Vec<Contact>, StoreError> {
        let rows = sqlx::query("SELECT c.* FROM contacts c JOIN contact_phones p ON p.contact = c.id WHERE p.phone = ? ORDER BY c.id").bind(phone).fetch_all(&self.pool).await?;
        rows.iter().map(contact).collect()
    }

    /// One person.
    pub async fn contact(&self, id: &str) -> Result<Option<Contact>, StoreError> {
        let row = sqlx::query("SELECT * FROM contacts WHERE id = ?").bind(id).fetch_optional(&self.pool).await?;
        row.as_ref().map(contact).transpose()
    }

    /// A person's orders, newest number first.
    pub async fn orders_of(&self, contact: &str) -> Result<Vec<Order>, StoreError> {
        let rows = sqlx::query("SELECT * FROM orders WHERE contact = ? ORDER BY number DESC").bind(contact).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(order).collect())
    }

    /// One order; case, dashes and spaces do not matter.
    pub async fn order(&self, number: &str) -> Result<Option<Order>, StoreError> {
        let row = sqlx::query("SELECT * FROM orders WHERE key = ?").bind(order_key(number)).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(order))
    }

    /// Writes a call's case. One case per call; a key that was written before changes nothing. The case's number.
    pub async fn write_case(&self, key: &str, call_id: &str, contact: Option<&str>, disposition: &str, summary: &str, json: &str) -> Result<i64, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let fresh = sqlx::query("INSERT OR IGNORE INTO case_keys (key, call_id) VALUES (?, ?)").bind(key).bind(call_id).execute(&mut *transaction).await?.rows_affected() > 0;
        if fresh {
            sqlx::query(
                "INSERT INTO cases (call_id, id, contact, disposition, summary, json, written_at) VALUES (?, (SELECT coalesce(max(id), 0) + 1 FROM cases), ?, ?, ?, ?, ?)
                 ON CONFLICT (call_id) DO UPDATE SET contact = coalesce(excluded.contact, contact), disposition = excluded.disposition, summary = excluded.summary, json = excluded.json, writes = writes + 1, written_at = excluded.written_at",
            )
            .bind(call_id)
            .bind(contact)
            .bind(disposition)
            .bind(summary)
            .bind(json)
            .bind(jiff::Timestamp::now().to_string())
            .execute(&mut *transaction)
            .await?;
        }
        let id: i64 = sqlx::query("SELECT id FROM cases WHERE call_id = ?").bind(call_id).fetch_one(&mut *transaction).await?.get(0);
        transaction.commit().await?;
        Ok(id)
    }

    /// All cases, oldest first.
    pub async fn cases(&self) -> Result<Vec<Case>, StoreError> {
        let rows = sqlx::query("SELECT * FROM cases ORDER BY id").fetch_all(&self.pool).await?;
        Ok(rows
            .iter()
            .map(|r| Case { id: r.get("id"), call_id: r.get("call_id"), disposition: r.get("disposition"), summary: r.get("summary"), json: r.get("json"), writes: r.get("writes") })
            .collect())
    }
}

fn contact(row: &sqlx::sqlite::SqliteRow) -> Result<Contact, StoreError> {
    Ok(Contact {
        id: row.get("id"),
        name: row.get("name"),
        phones: Vec::new(),
        email: row.get("email"),
        flags: serde_json::from_str(&row.get::<String, _>("flags"))?,
    })
}

fn order(row: &sqlx::sqlite::SqliteRow) -> Order {
    Order {
        number: row.get("number"),
        contact: row.get("contact"),
        item: row.get("item"),
        status: row.get("status"),
        amount_cents: u64::try_from(row.get::<i64, _>("amount_cents")).unwrap_or(0),
        eta: row.get("eta"),
    }
}
