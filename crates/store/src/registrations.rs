//! Where agents' phones are (RFC 3261 §10): bindings that a restart of the gateway must not forget.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::{Store, StoreError, stamp, time};

/// One binding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// Whose phone: the address of record.
    pub aor: String,
    /// Where it wants its calls: the Contact URI.
    pub contact: String,
    /// Where the REGISTER came from, `address:port`.
    pub source: String,
    /// When it ends unless renewed.
    pub expires_at: Timestamp,
    /// Call-ID of the REGISTER that made or renewed it. With `cseq` it tells an old request from a new one.
    pub call_id: String,
    /// CSeq number of that REGISTER.
    pub cseq: u32,
    /// What `source` was reached over: `udp`, `tcp`, `tls`, `wss`. A connection does not outlive the gateway; a datagram's
    /// source may still be good.
    pub transport: String,
    /// `+sip.instance` (RFC 5626), by which a phone that comes back from elsewhere replaces its former self.
    pub instance: Option<String>,
    /// What the phone calls itself.
    pub user_agent: Option<String>,
    /// Preference among its owner's contacts, in thousandths.
    pub q: u16,
    /// Route of requests to it (RFC 3327).
    pub path: Vec<String>,
}

impl Store {
    /// Puts these bindings of one address of record in place of all it had; none forgets it.
    pub async fn set_registrations(&self, aor: &str, bindings: &[Registration]) -> Result<(), StoreError> {
        let fault = |e: sqlx::Error| self.fault(&e);
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM registrations WHERE aor = ?").bind(aor).execute(&mut *tx).await.map_err(fault)?;
        for binding in bindings {
            sqlx::query(
                "INSERT INTO registrations
                   (aor, contact, source, expires_at, call_id, cseq, transport, instance, user_agent, q, path)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(aor)
            .bind(&binding.contact)
            .bind(&binding.source)
            .bind(stamp(binding.expires_at))
            .bind(&binding.call_id)
            .bind(binding.cseq)
            .bind(&binding.transport)
            .bind(&binding.instance)
            .bind(&binding.user_agent)
            .bind(binding.q)
            .bind(binding.path.join("\n"))
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
        }
        tx.commit().await.map_err(fault)
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
        call_id: row.try_get("call_id")?,
        cseq: row.try_get("cseq")?,
        transport: row.try_get("transport")?,
        instance: row.try_get("instance")?,
        user_agent: row.try_get("user_agent")?,
        q: row.try_get("q")?,
        path: row.try_get::<String, _>("path")?.lines().map(str::to_owned).collect(),
    })
}
