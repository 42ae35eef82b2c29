//! The schema's versions, numbered by SQLite's `user_version`. A version that was released is never edited: what changes
//! is appended. Each step is one transaction, so a gateway killed in one starts again before it.

use std::path::Path;

use sqlx::SqlitePool;

use crate::StoreError;

/// "Batn": tells a Baton store from other programs' databases.
const APPLICATION_ID: i64 = 0x4261_746e;

const STEPS: &[&str] = &[include_str!("../migrations/0001_base.sql")];

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
    for (version, step) in (1_i64..).zip(STEPS).skip(usize::try_from(found).unwrap_or(0)) {
        let mut step_tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(fault)?;
        sqlx::raw_sql(*step).execute(&mut *step_tx).await.map_err(fault)?;
        let marks = format!("PRAGMA user_version = {version}; PRAGMA application_id = {APPLICATION_ID}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(marks)).execute(&mut *step_tx).await.map_err(fault)?;
        step_tx.commit().await.map_err(fault)?;
        tracing::info!(version, store = %path.display(), "store schema brought up");
    }
    Ok(())
}
