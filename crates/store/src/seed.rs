//! Contacts, orders and other records to start with, from a TOML file. The file is the master of what it lists: seeding again
//! brings the store to it, and leaves alone what it does not list; a listed contact has the records that are listed. Everything is checked on reading: a seed that was read can be
//! stored.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::civil::Date;
use jiff::{Span, Zoned};
use serde::Deserialize;

use crate::text::{e164, name_key, order_key};
use crate::{Store, StoreError};

/// What the file lists, checked.
#[derive(Debug, Clone)]
pub struct Seed {
    contacts: Vec<Contact>,
    orders: Vec<Order>,
    records: Vec<Record>,
}

/// Why a seed cannot be read. The file's name is for the caller to add.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// Not TOML, or not these keys.
    #[error("{0}")]
    Parse(#[from] toml::de::Error),
    /// A value that cannot be stored.
    #[error("{place}: {what}\n    {hint}")]
    Value {
        /// Which contact or order.
        place: String,
        /// What is wrong.
        what: String,
        /// What to write instead.
        hint: &'static str,
    },
}

impl Seed {
    /// Reads a seed file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, SeedError> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Reads a seed's text.
    pub fn parse(text: &str) -> Result<Self, SeedError> {
        let raw: raw::File = toml::from_str(text)?;
        let contacts = raw.contact.into_iter().map(check_contact).collect::<Result<Vec<_>, _>>()?;
        let orders = raw.order.into_iter().map(check_order).collect::<Result<Vec<_>, _>>()?;
        let records = raw.record.into_iter().map(check_record).collect::<Result<Vec<_>, _>>()?;
        let keys = orders.iter().map(|o| ("order number", o.key.as_str(), &o.number));
        let mut seen = HashMap::new();
        for (kind, key, written) in contacts.iter().map(|c| ("contact id", c.id.as_str(), &c.id)).chain(keys) {
            if let Some(before) = seen.insert((kind, key), written) {
                let what = format!("the {kind} is there twice (also as {before:?})");
                return Err(value(written, what, "order numbers that differ only in case, dashes or spaces are one"));
            }
        }
        if let Some(order) = orders.iter().find(|o| !contacts.iter().any(|c| c.id == o.contact)) {
            let what = format!("no contact has the id {:?}", order.contact);
            return Err(value(format!("order {:?}", order.number), what, "list its contact in the same file"));
        }
        if let Some(record) = records.iter().find(|r| !contacts.iter().any(|c| c.id == r.contact)) {
            let what = format!("no contact has the id {:?}", record.contact);
            let place = format!("record {:?} {:?}", record.kind, record.number);
            return Err(value(place, what, "list its contact in the same file"));
        }
        Ok(Self { contacts, orders, records })
    }

    /// How many contacts it lists.
    pub fn len(&self) -> usize {
        self.contacts.len()
    }

    /// Whether it lists none.
    pub fn is_empty(&self) -> bool {
        self.contacts.is_empty()
    }
}

impl Store {
    /// Brings contacts and orders to what `seed` lists, all or nothing. Dates counted in days are counted from today.
    pub async fn seed(&self, seed: &Seed) -> Result<(), StoreError> {
        let fault = |e: sqlx::Error| self.fault(&e);
        let today = Zoned::now().date();
        let mut tx = self.begin().await?;
        for contact in &seed.contacts {
            sqlx::query(
                "INSERT INTO contacts (id, name, name_key, email, flags, attributes, authorised)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (id) DO UPDATE SET name = ?2, name_key = ?3, email = ?4, flags = ?5,
                   attributes = ?6, authorised = ?7",
            )
            .bind(&contact.id)
            .bind(&contact.name)
            .bind(name_key(&contact.name))
            .bind(&contact.email)
            .bind(serde_json::Value::from(contact.flags.clone()).to_string())
            .bind(serde_json::json!(contact.attributes).to_string())
            .bind(serde_json::Value::from(contact.authorised.clone()).to_string())
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
            sqlx::query("DELETE FROM contact_phones WHERE contact_id = ?")
                .bind(&contact.id)
                .execute(&mut *tx)
                .await
                .map_err(fault)?;
            sqlx::query("DELETE FROM records WHERE contact_id = ?")
                .bind(&contact.id)
                .execute(&mut *tx)
                .await
                .map_err(fault)?;
            for (position, phone) in (0_i64..).zip(&contact.phones) {
                sqlx::query("INSERT OR IGNORE INTO contact_phones (contact_id, phone, position) VALUES (?, ?, ?)")
                    .bind(&contact.id)
                    .bind(phone)
                    .bind(position)
                    .execute(&mut *tx)
                    .await
                    .map_err(fault)?;
            }
        }
        for order in &seed.orders {
            sqlx::query(
                "INSERT INTO orders (number_key, number, contact_id, item, status, amount_cents, currency, ordered_on, eta, note)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (number_key) DO UPDATE SET number = ?2, contact_id = ?3, item = ?4, status = ?5,
                   amount_cents = ?6, currency = ?7, ordered_on = ?8, eta = ?9, note = ?10",
            )
            .bind(&order.key)
            .bind(&order.number)
            .bind(&order.contact)
            .bind(&order.item)
            .bind(&order.status)
            .bind(order.amount_cents)
            .bind(&order.currency)
            .bind(order.ordered_on.map(|day| day.on(today)))
            .bind(order.eta.map(|day| day.on(today)))
            .bind(&order.note)
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
        }
        for record in &seed.records {
            sqlx::query(
                "INSERT INTO records (kind, number, number_key, contact_id, status, what, due)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&record.kind)
            .bind(&record.number)
            .bind(order_key(&record.number))
            .bind(&record.contact)
            .bind(&record.status)
            .bind(&record.what)
            .bind(record.due.as_ref().map(|due| Day::parse(due).map_or_else(|| due.clone(), |day| day.on(today))))
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
        }
        tx.commit().await.map_err(fault)
    }
}

#[derive(Debug, Clone)]
struct Contact {
    id: String,
    name: String,
    email: Option<String>,
    phones: Vec<String>,
    flags: Vec<String>,
    attributes: BTreeMap<String, String>,
    authorised: Vec<String>,
}

#[derive(Debug, Clone)]
struct Record {
    kind: String,
    number: String,
    contact: String,
    status: String,
    what: String,
    /// A day, which may be counted from the day of seeding, or words.
    due: Option<String>,
}

#[derive(Debug, Clone)]
struct Order {
    key: String,
    number: String,
    contact: String,
    item: String,
    status: String,
    amount_cents: Option<i64>,
    currency: String,
    ordered_on: Option<Day>,
    eta: Option<Day>,
    note: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    On(Date),
    /// Days from the day of seeding, negative before it.
    FromToday(i32),
}

impl Day {
    fn on(self, today: Date) -> String {
        match self {
            Self::On(date) => date.to_string(),
            Self::FromToday(days) => today.saturating_add(Span::new().days(days)).to_string(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        match text.as_str() {
            "today" => return Some(Self::FromToday(0)),
            "tomorrow" => return Some(Self::FromToday(1)),
            "yesterday" => return Some(Self::FromToday(-1)),
            _ => {}
        }
        // At most ten years: the span stays within any calendar.
        let days = |text: &str| {
            let (count, unit) = text.split_once(' ')?;
            let count: i32 = count.parse().ok().filter(|n| (0..=3_650).contains(n))?;
            matches!(unit, "day" | "days").then_some(count)
        };
        if let Some(rest) = text.strip_prefix("in ") {
            return days(rest).map(Self::FromToday);
        }
        if let Some(rest) = text.strip_suffix(" ago") {
            return days(rest).map(|n| Self::FromToday(-n));
        }
        text.parse().ok().map(Self::On)
    }
}

fn check_contact(raw: raw::Contact) -> Result<Contact, SeedError> {
    let place = format!("contact {:?}", raw.id);
    if raw.id.trim().is_empty() || name_key(&raw.name).is_empty() {
        return Err(value(place, "id or name is empty", "every contact needs both"));
    }
    let phone = |text: &String| {
        e164(text).ok_or_else(|| {
            value(&place, format!("{text:?} is no phone number"), "write it with the country: \"+1 555 123 0001\"")
        })
    };
    let phones = raw.phones.iter().map(phone).collect::<Result<_, _>>()?;
    let raw::Contact { id, name, email, flags, attributes, authorised, .. } = raw;
    Ok(Contact { id, name, email, phones, flags, attributes, authorised })
}

fn check_record(raw: raw::Record) -> Result<Record, SeedError> {
    let raw::Record { kind, number, contact, status, what, due } = raw;
    if kind.trim().is_empty() || status.trim().is_empty() {
        let hint = "kind is what a flow looks up (\"ticket\"), status is read out after \"is\"";
        return Err(value(format!("record {number:?}"), "kind or status is empty", hint));
    }
    Ok(Record { kind, number, contact, status, what, due })
}

fn check_order(raw: raw::Order) -> Result<Order, SeedError> {
    let place = format!("order {:?}", raw.number);
    let key = order_key(&raw.number);
    if key.is_empty() {
        return Err(value(place, "the number has no letter or digit", "write it as \"A-1042\""));
    }
    let day = |text: Option<&String>| {
        text.map(|text| {
            Day::parse(text).ok_or_else(|| {
                value(
                    &place,
                    format!("{text:?} is no date"),
                    "write \"2026-11-27\", \"today\", \"in 3 days\" or \"5 days ago\"",
                )
            })
        })
        .transpose()
    };
    let (ordered_on, eta) = (day(raw.ordered_on.as_ref())?, day(raw.eta.as_ref())?);
    if raw.amount_cents.is_some_and(|cents| cents < 0) {
        return Err(value(place, "the amount is below zero", "amount_cents is what was paid, in hundredths"));
    }
    Ok(Order {
        key,
        number: raw.number,
        contact: raw.contact,
        item: raw.item,
        status: raw.status,
        amount_cents: raw.amount_cents,
        currency: raw.currency.unwrap_or_else(|| "USD".into()),
        ordered_on,
        eta,
        note: raw.note,
    })
}

fn value(place: impl Into<String> + Clone, what: impl Into<String>, hint: &'static str) -> SeedError {
    SeedError::Value { place: place.into(), what: what.into(), hint }
}

mod raw {
    //! The file's own shape.

    use super::{BTreeMap, Deserialize};

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct File {
        #[serde(default)]
        pub contact: Vec<Contact>,
        #[serde(default)]
        pub order: Vec<Order>,
        #[serde(default)]
        pub record: Vec<Record>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Contact {
        pub id: String,
        pub name: String,
        pub email: Option<String>,
        #[serde(default)]
        pub phones: Vec<String>,
        #[serde(default)]
        pub flags: Vec<String>,
        #[serde(default)]
        pub attributes: BTreeMap<String, String>,
        #[serde(default)]
        pub authorised: Vec<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Record {
        pub kind: String,
        #[serde(default)]
        pub number: String,
        /// A contact's id.
        pub contact: String,
        pub status: String,
        #[serde(default)]
        pub what: String,
        pub due: Option<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Order {
        pub number: String,
        /// A contact's id.
        pub contact: String,
        pub item: String,
        pub status: String,
        pub amount_cents: Option<i64>,
        pub currency: Option<String>,
        pub ordered_on: Option<String>,
        pub eta: Option<String>,
        pub note: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        let today: Date = "2026-11-24".parse().unwrap();
        for (text, date) in [
            ("in 6 days", "2026-11-30"),
            ("12 days ago", "2026-11-12"),
            ("1 day ago", "2026-11-23"),
            ("Tomorrow", "2026-11-25"),
            ("2027-01-02", "2027-01-02"),
        ] {
            assert_eq!(Day::parse(text).unwrap().on(today), date, "{text}");
        }
        for bad in ["soon", "in days", "in -3 days", "3 weeks ago", "2026-13-01", "in 99999 days"] {
            assert_eq!(Day::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_stored_is_refused_with_a_hint() {
        let contact = |phones: &str, order: &str| {
            format!("[[contact]]\nid = \"1\"\nname = \"A B\"\nphones = [{phones}]\n{order}")
        };
        let order = |number: &str, more: &str| {
            format!("[[order]]\nnumber = \"{number}\"\ncontact = \"1\"\nitem = \"x\"\nstatus = \"shipped\"\n{more}\n")
        };
        for (text, says) in [
            (contact("\"555 123 0001\"", ""), "with the country"),
            (contact("", &order("A-1", "eta = \"soon\"")), "in 3 days"),
            (contact("", &order("A-1", "amount_cents = -1")), "below zero"),
            (contact("", &(order("A-1", "") + &order("a 1", ""))), "there twice"),
            (contact("", &contact("", "")), "there twice"),
            (contact("", &order("--", "")), "no letter or digit"),
            (order("A-1", ""), "no contact has the id \"1\""),
            (contact("", "phone = 3"), "unknown field"),
        ] {
            let said = Seed::parse(&text).unwrap_err().to_string();
            assert!(said.contains(says), "{text}\n{said}");
        }
    }
}
