//! The embedded system of record's cases: one for each call, changed by writes that each count once.

use jiff::Timestamp;
use sqlx::Row;

use crate::{Store, StoreError, redact, stamp, time};

/// One write to a call's case. It carries all of the case: a later one stands over an earlier.
#[derive(Debug, Clone, Copy)]
pub struct CaseChange<'a> {
    /// The write's own; the same key again changes nothing.
    pub key: &'a str,
    /// Whose case.
    pub call_id: &'a str,
    /// The person, if known.
    pub contact_id: Option<&'a str>,
    /// The business outcome's code.
    pub disposition: Option<&'a str>,
    /// Why a person was called.
    pub trigger: Option<&'a str>,
    /// In words.
    pub summary: &'a str,
    /// All of it, as JSON.
    pub body: &'a str,
    /// Nothing comes after it.
    pub closes: bool,
}

/// What a write came to; the same for every repetition of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseStamp {
    /// The case's id.
    pub case_id: i64,
    /// When the write took effect.
    pub at: Timestamp,
}

/// A remark on a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteRow {
    /// In words.
    pub text: String,
    /// When it was made.
    pub at: Timestamp,
}

/// A case as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseRow {
    /// Unique.
    pub id: i64,
    /// Whose.
    pub call_id: String,
    /// The person.
    pub contact_id: Option<String>,
    /// The business outcome's code.
    pub disposition: Option<String>,
    /// Why a person was called.
    pub trigger: Option<String>,
    /// In words.
    pub summary: String,
    /// All of it, as JSON.
    pub body: String,
    /// Whether the call is over.
    pub closed: bool,
    /// How many writes took effect.
    pub revision: u32,
    /// First write.
    pub created_at: Timestamp,
    /// Last write.
    pub updated_at: Timestamp,
}

impl Store {
    /// Applies a write, once. A write that comes after the closing one (sent again from the dead letters, say) is taken but
    /// does not undo what the closing one says.
    pub async fn change_case(&self, change: &CaseChange<'_>) -> Result<CaseStamp, StoreError> {
        self.once(change, Effect::Whole).await
    }

    /// Adds a remark, once, to the call's case, closed or not. A case that is not there yet is made of the change's words;
    /// one that is there keeps its own.
    pub async fn note_case(&self, change: &CaseChange<'_>, text: &str) -> Result<CaseStamp, StoreError> {
        self.once(change, Effect::Note(text)).await
    }

    /// Says whose the call's case is, once, closed or not. A case that is not there yet is made of the change's words; one
    /// that is there keeps the rest of its own.
    pub async fn link_case(&self, change: &CaseChange<'_>) -> Result<CaseStamp, StoreError> {
        self.once(change, Effect::Link).await
    }

    async fn once(&self, change: &CaseChange<'_>, effect: Effect<'_>) -> Result<CaseStamp, StoreError> {
        let fault = |e: sqlx::Error| self.fault(&e);
        let (summary, body) = (redact::text(change.summary), redact::json_text(change.body));
        let change = &CaseChange { summary: &summary, body: &body, ..*change };
        let mut tx = self.begin().await?;
        let before = sqlx::query("SELECT case_id, at FROM case_writes WHERE key = ?")
            .bind(change.key)
            .fetch_optional(&mut *tx)
            .await
            .map_err(fault)?;
        if let Some(row) = before {
            let at: String = row.try_get("at").map_err(fault)?;
            return Ok(CaseStamp { case_id: row.try_get("case_id").map_err(fault)?, at: time(&at) });
        }
        let now = stamp(Timestamp::now());
        // Not an upsert: that would use up a case number for each change.
        let changed = set(sqlx::query_scalar(effect.update()), change, &now);
        let case_id = match changed.fetch_optional(&mut *tx).await.map_err(fault)? {
            Some(id) => id,
            None => {
                let made = sqlx::query_scalar(
                    "INSERT INTO cases
                       (call_id, contact_id, disposition, trigger, summary, body, closed, revision, created_at, updated_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?8) RETURNING id",
                );
                set(made, change, &now).fetch_one(&mut *tx).await.map_err(fault)?
            }
        };
        sqlx::query("INSERT INTO case_writes (key, case_id, at) VALUES (?, ?, ?)")
            .bind(change.key)
            .bind(case_id)
            .bind(&now)
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
        if let Effect::Note(text) = effect {
            sqlx::query("INSERT INTO case_notes (key, case_id, text, at) VALUES (?, ?, ?, ?)")
                .bind(change.key)
                .bind(case_id)
                .bind(redact::text(text).as_ref())
                .bind(&now)
                .execute(&mut *tx)
                .await
                .map_err(fault)?;
        }
        tx.commit().await.map_err(fault)?;
        Ok(CaseStamp { case_id, at: time(&now) })
    }

    /// A case's remarks, oldest first.
    pub async fn case_notes(&self, case_id: i64) -> Result<Vec<NoteRow>, StoreError> {
        let rows = sqlx::query("SELECT text, at FROM case_notes WHERE case_id = ? ORDER BY rowid")
            .bind(case_id)
            .fetch_all(&self.0.reads)
            .await;
        let read = |row: &sqlx::sqlite::SqliteRow| -> sqlx::Result<NoteRow> {
            let at: String = row.try_get("at")?;
            Ok(NoteRow { text: row.try_get("text")?, at: time(&at) })
        };
        rows.and_then(|rows| rows.iter().map(read).collect()).map_err(|e| self.fault(&e))
    }

    /// A call's case.
    pub async fn case(&self, call_id: &str) -> Result<Option<CaseRow>, StoreError> {
        let fault = |e: sqlx::Error| self.fault(&e);
        let row =
            sqlx::query("SELECT * FROM cases WHERE call_id = ?").bind(call_id).fetch_optional(&self.0.reads).await;
        let read = |row: sqlx::sqlite::SqliteRow| -> sqlx::Result<CaseRow> {
            let (created, updated): (String, String) = (row.try_get("created_at")?, row.try_get("updated_at")?);
            Ok(CaseRow {
                id: row.try_get("id")?,
                call_id: row.try_get("call_id")?,
                contact_id: row.try_get("contact_id")?,
                disposition: row.try_get("disposition")?,
                trigger: row.try_get("trigger")?,
                summary: row.try_get("summary")?,
                body: row.try_get("body")?,
                closed: row.try_get("closed")?,
                revision: row.try_get("revision")?,
                created_at: time(&created),
                updated_at: time(&updated),
            })
        };
        row.and_then(|row| row.map(read).transpose()).map_err(fault)
    }
}

/// What a write does to a case that is there.
#[derive(Debug, Clone, Copy)]
enum Effect<'a> {
    Whole,
    Note(&'a str),
    Link,
}

impl Effect<'_> {
    /// All three take the same parameters.
    fn update(self) -> &'static str {
        match self {
            Self::Whole => {
                "UPDATE cases SET
                   contact_id  = iif(closed, contact_id, coalesce(?2, contact_id)),
                   disposition = iif(closed, disposition, ?3),
                   trigger     = iif(closed, trigger, ?4),
                   summary     = iif(closed, summary, ?5),
                   body        = iif(closed, body, ?6),
                   closed      = closed OR ?7,
                   revision    = revision + 1,
                   updated_at  = ?8
                 WHERE call_id = ?1 RETURNING id"
            }
            Self::Note(_) => {
                "UPDATE cases SET revision = revision + 1, updated_at = ?8
                 WHERE call_id = ?1 RETURNING id"
            }
            Self::Link => {
                "UPDATE cases SET contact_id = coalesce(?2, contact_id), revision = revision + 1, updated_at = ?8
                 WHERE call_id = ?1 RETURNING id"
            }
        }
    }
}

type Scalar<'q> = sqlx::query::QueryScalar<'q, sqlx::Sqlite, i64, sqlx::sqlite::SqliteArguments>;

/// The parameters of all these statements, 1 to 8; SQLite takes some that a statement does not name.
fn set<'q>(query: Scalar<'q>, change: &'q CaseChange<'_>, now: &'q str) -> Scalar<'q> {
    query
        .bind(change.call_id)
        .bind(change.contact_id)
        .bind(change.disposition)
        .bind(change.trigger)
        .bind(change.summary)
        .bind(change.body)
        .bind(change.closes)
        .bind(now)
}
