//! Group commit for the outbox. A commit costs one sync of the disk however many writes it holds, so writes that come
//! while one is under way share the next. Who asked is answered after the commit that holds their write, as before.

use std::path::PathBuf;

use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::{mpsc, oneshot};

use crate::outbox::{OutboxRow, read};
use crate::{Store, StoreError};

/// So many writes share a commit at most: the last of them waits for all.
const MOST: usize = 64;
/// So many may wait before who asks waits too.
const QUEUE: usize = 1_024;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A write that may share its commit. Repeating one changes nothing, so that a batch that failed can be gone through again.
pub(crate) enum Op {
    Add { key: String, call_id: String, step: String, payload: String, at: String, reply: Reply<(OutboxRow, bool)> },
    Delivered { key: String, receipt: String, at: String, reply: Reply<()> },
}

enum Outcome {
    Added(Box<(OutboxRow, bool)>),
    Delivered,
}

/// Starts the writer. It ends with the last handle to the store. Not even then has it anything left that somebody waits for:
/// who waits has a handle.
pub(crate) fn start(path: PathBuf, pool: SqlitePool) -> mpsc::Sender<Op> {
    let (ops, mut inbox) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        while let Some(first) = inbox.recv().await {
            let mut batch = vec![first];
            while batch.len() < MOST
                && let Ok(op) = inbox.try_recv()
            {
                batch.push(op);
            }
            match together(&pool, &batch).await {
                Ok(outcomes) => batch.into_iter().zip(outcomes).for_each(|(op, outcome)| op.answer(outcome)),
                // One that cannot be written must not take the others with it.
                Err(error) if batch.len() == 1 => batch.into_iter().for_each(|op| op.fail(&path, &error)),
                Err(_) => {
                    for op in batch {
                        let alone = together(&pool, std::slice::from_ref(&op)).await;
                        match alone.map(|mut outcomes| outcomes.pop()) {
                            Ok(Some(outcome)) => op.answer(outcome),
                            Ok(None) => {} // one operation has one outcome
                            Err(error) => op.fail(&path, &error),
                        }
                    }
                }
            }
        }
    });
    ops
}

impl Store {
    /// Has an operation written, and waits for the commit that holds it.
    pub(crate) async fn batched<T>(&self, make: impl FnOnce(Reply<T>) -> Op) -> Result<T, StoreError> {
        let closed = || StoreError::Failed { path: self.0.path.clone(), cause: "it is closed".into() };
        let (reply, answer) = oneshot::channel();
        self.0.batch.send(make(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

async fn together(pool: &SqlitePool, batch: &[Op]) -> sqlx::Result<Vec<Outcome>> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for op in batch {
        outcomes.push(op.apply(&mut tx).await?);
    }
    tx.commit().await?;
    Ok(outcomes)
}

impl Op {
    async fn apply(&self, tx: &mut Transaction<'static, Sqlite>) -> sqlx::Result<Outcome> {
        match self {
            Self::Add { key, call_id, step, payload, at, .. } => {
                let added = sqlx::query(
                    "INSERT INTO outbox (key, call_id, step, payload, created_at) VALUES (?, ?, ?, ?, ?)
                     ON CONFLICT (key) DO NOTHING RETURNING *",
                )
                .bind(key)
                .bind(call_id)
                .bind(step)
                .bind(payload)
                .bind(at)
                .fetch_optional(&mut **tx)
                .await?;
                if let Some(row) = added {
                    return Ok(Outcome::Added(Box::new((read(&row)?, true))));
                }
                let row = sqlx::query("SELECT * FROM outbox WHERE key = ?").bind(key).fetch_one(&mut **tx).await?;
                Ok(Outcome::Added(Box::new((read(&row)?, false))))
            }
            Self::Delivered { key, receipt, at, .. } => {
                sqlx::query(
                    "UPDATE outbox SET state = 'delivered', receipt = ?2, next_at = NULL, last_error = NULL, settled_at = ?3
                     WHERE key = ?1",
                )
                .bind(key)
                .bind(receipt)
                .bind(at)
                .execute(&mut **tx)
                .await?;
                Ok(Outcome::Delivered)
            }
        }
    }

    /// Who asked may have gone; the write stands all the same.
    fn answer(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Add { reply, .. }, Outcome::Added(row)) => _ = reply.send(Ok(*row)),
            (Self::Delivered { reply, .. }, Outcome::Delivered) => _ = reply.send(Ok(())),
            _ => {} // outcomes are in the order of their operations
        }
    }

    fn fail(self, path: &std::path::Path, error: &sqlx::Error) {
        let error = StoreError::from_sqlx(path, error);
        match self {
            Self::Add { reply, .. } => _ = reply.send(Err(error)),
            Self::Delivered { reply, .. } => _ = reply.send(Err(error)),
        }
    }
}
