//! Agents' states: who had paused or was wrapping up must not be rung because the gateway was restarted.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::{Store, StoreError, stamp, time};

/// One agent's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentRow {
    /// Whose: the extension.
    pub extension: String,
    /// The desk's word for it.
    pub state: String,
    /// Why, as the agent gave it.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

impl Store {
    /// Writes an agent's state over the earlier one.
    pub async fn save_agent(&self, agent: &AgentRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO agents (extension, state, reason, since) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (extension) DO UPDATE SET state = ?2, reason = ?3, since = ?4",
        )
        .bind(&agent.extension)
        .bind(&agent.state)
        .bind(&agent.reason)
        .bind(stamp(agent.since))
        .execute(&self.0.writes)
        .await
        .map_err(|e| self.fault(&e))?;
        Ok(())
    }

    /// All agents' last states, by extension.
    pub async fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM agents ORDER BY extension").fetch_all(&self.0.reads).await;
        rows.and_then(|rows| rows.iter().map(read).collect()).map_err(|e| self.fault(&e))
    }

    /// Forgets an agent that the config does not have any more.
    pub async fn remove_agent(&self, extension: &str) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM agents WHERE extension = ?").bind(extension);
        query.execute(&self.0.writes).await.map_err(|e| self.fault(&e))?;
        Ok(())
    }
}

fn read(row: &SqliteRow) -> sqlx::Result<AgentRow> {
    let since: String = row.try_get("since")?;
    Ok(AgentRow {
        extension: row.try_get("extension")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        since: time(&since),
    })
}
