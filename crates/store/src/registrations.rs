//! Where agents' phones are (RFC 3261 §10): bindings that a restart of the gateway must not forget.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::{Store, StoreError, stamp, time};

/// One binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Whose phone: the address of record.
    pub aor: String,
    /// Where it wants its calls: the Contact URI.
    pub contact: String,
    /// Where the REGISTER came from, `address:port`.
    pub source: String,
    /// When it ends unless renewed.
    pub expires_at: Timestamp,
}

impl Store {
    /// Adds or renews a binding.
    pub async fn save_registration(&self, binding: &Registration) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO registrations (aor, contact, source, expires_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (aor, contact) DO UPDATE SET source = ?3, expires_at = ?4",
        )
        .bind(&binding.aor)
        .bind(&binding.contact)
        .bind(&binding.source)
        .bind(stamp(binding.expires_at))
        .execute(&self.0.writes)
        .await
        .map_err(|e| self.fault(&e))?;
        Ok(())
    }

    /// Removes a binding.
    pub async fn remove_registration(&self, aor: &str, contact: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM registrations WHERE aor = ? AND contact = ?")
            .bind(aor)
            .bind(contact)
            .execute(&self.0.writes)
            .await
            .map_err(|e| self.fault(&e))?;
        Ok(())
    }

    /// The bindings that hold at `now`; the others are forgotten.
    pub async fn registrations(&self, now: Timestamp) -> Result<Vec<Registration>, StoreError> {
        let fault = |e: sqlx::Error| self.fault(&e);
        sqlx::query("DELETE FROM registrations WHERE expires_at <= ?")
            .bind(stamp(now))
            .execute(&self.0.writes)
            .await
            .map_err(fault)?;
        let rows = sqlx::query("SELECT * FROM registrations ORDER BY aor, contact").fetch_all(&self.0.reads).await;
        rows.and_then(|rows| rows.iter().map(read).collect()).map_err(fault)
    }
}

fn read(row: &SqliteRow) -> sqlx::Result<Registration> {
    let expires: String = row.try_get("expires_at")?;
    Ok(Registration {
        aor: row.try_get("aor")?,
        contact: row.try_get("contact")?,
        source: row.try_get("source")?,
        expires_at: time(&expires),
    })
}
