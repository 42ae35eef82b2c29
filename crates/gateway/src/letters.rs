//! A dead letter as the API and the command line tell it.

use baton_store::OutboxRow;
use serde_json::{Value, json};

/// What a person needs to decide about it; not what was to be written.
pub fn letter(row: &OutboxRow) -> Value {
    json!({
        "key": row.key, "call_id": row.call_id, "step": row.step, "since": format!("{:.0}", row.created_at),
        "attempts": row.attempts, "error": row.last_error,
    })
}
