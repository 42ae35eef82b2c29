//! Promised callbacks, as the call plane writes them down: an id and a text that only it reads.

use sqlx::Row;

use crate::{Store, StoreError, redact};

impl Store {
    /// Keeps a ticket; one of the same id gives way to it. Card numbers and codes in its words are taken out.
    pub async fn save_ticket(&self, id: &str, ticket: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO tickets (id, ticket) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET ticket = ?2")
            .bind(id)
            .bind(redact::json_text(ticket).as_ref())
            .execute(&self.0.writes)
            .await
            .map_err(|e| self.fault(&e))?;
        Ok(())
    }

    /// Forgets a ticket.
    pub async fn remove_ticket(&self, id: &str) -> Result<(), StoreError> {
        let gone = sqlx::query("DELETE FROM tickets WHERE id = ?").bind(id).execute(&self.0.writes).await;
        gone.map_err(|e| self.fault(&e)).map(|_| ())
    }

    /// All tickets: ids and texts.
    pub async fn tickets(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query("SELECT id, ticket FROM tickets ORDER BY id").fetch_all(&self.0.reads).await;
        rows.and_then(|rows| rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("ticket")?))).collect())
            .map_err(|e| self.fault(&e))
    }
}
