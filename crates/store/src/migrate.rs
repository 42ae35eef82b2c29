//! The schema's versions, numbered by SQLite's `user_version`. A version that was released is never edited: what changes
//! is appended. Each step is one transaction, so a gateway killed in one starts again before it.
//!
//! Some PRAGMAs do nothing inside a transaction, and SQLite's own way of changing a table (make the new one, copy, drop,
//! rename; https://www.sqlite.org/lang_altertable.html#otheralter) would let foreign keys delete what refers to it. So the
//! keys are off while a step runs, are checked before it is kept, and are on again whatever happened. A step holds no
//! PRAGMA of its own.

use std::path::Path;

use sqlx::{Connection, SqliteConnection, SqlitePool};

use crate::StoreError;

/// "Batn": tells a Baton store from other programs' databases.
const APPLICATION_ID: i64 = 0x4261_746e;

const STEPS: &[&str] = &[
    include_str!("../migrations/0001_base.sql"),
    include_str!("../migrations/0002_people_of_the_house.sql"),
    include_str!("../migrations/0003_locations.sql"),
    include_str!("../migrations/0004_promised_calls.sql"),
    include_str!("../migrations/0005_records.sql"),
];

/// Brings the schema to the latest version.
pub(crate) async fn migrate(path: &Path, pool: &SqlitePool) -> Result<(), StoreError> {
    let fault = |e: sqlx::Error| StoreError::from_sqlx(path, &e);
    let known = STEPS.len() as i64;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(pool).await.map_err(fault)?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(pool).await.map_err(fault)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(pool).await.map_err(fault)?;
    if application != APPLICATION_ID && (found != 0 || tables != 0) {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    if done == STEPS.len() {
        return Ok(());
    }
    let mut connection = pool.acquire().await.map_err(fault)?;
    sqlx::raw_sql("PRAGMA foreign_keys = OFF").execute(&mut *connection).await.map_err(fault)?;
    let mut outcome = Ok(());
    for (version, step) in (1_i64..).zip(STEPS).skip(done) {
        outcome = take(path, &mut connection, version, step).await;
        if outcome.is_err() {
            break;
        }
    }
    sqlx::raw_sql("PRAGMA foreign_keys = ON").execute(&mut *connection).await.map_err(fault)?;
    outcome
}

/// One step: all of it with its mark, or nothing.
async fn take(
    path: &Path,
    connection: &mut SqliteConnection,
    version: i64,
    step: &'static str,
) -> Result<(), StoreError> {
    let fault = |e: sqlx::Error| StoreError::from_sqlx(path, &e);
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(fault)?;
    sqlx::raw_sql(step).execute(&mut *tx).await.map_err(fault)?;
    let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut *tx).await.map_err(fault)?;
    if !dangling.is_empty() {
        let cause = format!("schema version {version} would leave {} rows that refer to nothing", dangling.len());
        return Err(StoreError::Damaged { path: path.to_owned(), cause });
    }
    let marks = format!("PRAGMA user_version = {version}; PRAGMA application_id = {APPLICATION_ID}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(marks)).execute(&mut *tx).await.map_err(fault)?;
    tx.commit().await.map_err(fault)?;
    tracing::info!(version, store = %path.display(), "store schema brought up");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

    async fn pool(path: &Path) -> SqlitePool {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true).foreign_keys(true);
        SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
    }

    async fn number(pool: &SqlitePool, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
    }

    #[test]
    fn steps_hold_no_pragma_of_their_own() {
        for step in STEPS {
            assert!(!step.to_uppercase().lines().any(|line| line.trim_start().starts_with("PRAGMA")), "{step}");
        }
    }

    #[tokio::test]
    async fn an_older_store_is_brought_up_with_all_it_holds() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("b.db");
        let pool = pool(&path).await;
        let mut connection = pool.acquire().await.unwrap();
        take(&path, &mut connection, 1, STEPS[0]).await.unwrap();
        sqlx::raw_sql(
            "INSERT INTO registrations VALUES ('sip:1@b', 'sip:1@10.0.0.1', '10.0.0.1:5060', '2030-01-01T00:00:00.000Z');
             INSERT INTO outbox (key, call_id, step, payload, created_at) VALUES ('c:open', 'c', 'open', '{}', '2026-01-01T00:00:00.000Z');
             INSERT INTO contacts (id, name, name_key, email) VALUES ('c1', 'A B', 'a b', 'A@b.example')",
        )
        .execute(&mut *connection)
        .await
        .unwrap();
        drop(connection);
        for _ in 0..2 {
            migrate(&path, &pool).await.unwrap();
            assert_eq!(number(&pool, "PRAGMA user_version").await, STEPS.len() as i64);
            assert_eq!(number(&pool, "PRAGMA foreign_keys").await, 1, "on again");
            let kept = "SELECT (SELECT count(*) FROM registrations) + (SELECT count(*) FROM outbox) + (SELECT count(*) FROM contacts)";
            assert_eq!(number(&pool, kept).await, 3);
        }
    }

    #[tokio::test]
    async fn a_step_that_would_leave_loose_ends_is_not_kept() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("b.db");
        let pool = pool(&path).await;
        migrate(&path, &pool).await.unwrap();
        sqlx::raw_sql(
            "INSERT INTO contacts (id, name, name_key) VALUES ('c1', 'A B', 'a b');
             INSERT INTO orders (number_key, number, contact_id, item, status, currency) VALUES ('A1', 'A-1', 'c1', 'x', 'y', 'USD')",
        )
        .execute(&pool)
        .await
        .unwrap();
        let mut connection = pool.acquire().await.unwrap();
        sqlx::raw_sql("PRAGMA foreign_keys = OFF").execute(&mut *connection).await.unwrap();
        let error = take(&path, &mut connection, 99, "DELETE FROM contacts").await.unwrap_err();
        assert!(error.to_string().contains("refer to nothing"), "{error}");
        let broken = take(&path, &mut connection, 99, "DROP TABLE orders; CREATE NONSENSE").await;
        assert!(broken.is_err());
        drop(connection);
        assert_eq!(number(&pool, "SELECT count(*) FROM contacts").await, 1);
        assert_eq!(number(&pool, "SELECT count(*) FROM orders").await, 1);
        assert_eq!(number(&pool, "PRAGMA user_version").await, STEPS.len() as i64);
    }
}
