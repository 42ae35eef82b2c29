//! Where agents' phones are, kept over a restart: a phone that registered for an hour is not lost because the gateway was
//! away for a second.

use baton_sip::{Registration, Transport};
use baton_store::{Registration as Row, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tracing::warn;

/// What was kept and has not run out.
pub async fn kept(store: &Store) -> Result<Vec<Registration>, StoreError> {
    let now = Timestamp::now();
    Ok(store.registrations(now).await?.into_iter().filter_map(|row| of_row(row, now)).collect())
}

/// Where changes of locations go to be kept.
pub type Keeper = mpsc::Sender<(String, Vec<Registration>)>;

/// Starts what keeps locations: one change after the other, so that the last is what stays.
pub fn keeper(store: Store) -> Keeper {
    let (keeper, mut changes) = mpsc::channel::<(String, Vec<Registration>)>(1_024);
    tokio::spawn(async move {
        while let Some((ext, contacts)) = changes.recv().await {
            let now = Timestamp::now();
            let rows: Vec<Row> = contacts.into_iter().map(|contact| to_row(contact, now)).collect();
            if let Err(e) = store.set_registrations(&ext, &rows).await {
                warn!(extension = ext, error = %e, "the registration is not kept for the next start");
            }
        }
    });
    keeper
}

/// Has what an extension has now kept. Phones refresh every few minutes: one that is not kept is only told.
pub fn keep(keeper: &Keeper, ext: String, contacts: Vec<Registration>) {
    if keeper.try_send((ext, contacts)).is_err() {
        warn!("too many registrations change at once; one is not kept for the next start");
    }
}

fn to_row(contact: Registration, now: Timestamp) -> Row {
    let expires_at = now.checked_add(SignedDuration::from_secs(i64::from(contact.expires_s))).unwrap_or(now);
    Row {
        aor: contact.ext,
        contact: contact.contact,
        source: contact.source.to_string(),
        expires_at,
        call_id: contact.call_id,
        cseq: contact.cseq,
        transport: contact.transport.to_string(),
        instance: contact.instance,
        user_agent: contact.user_agent,
        q: contact.q,
        path: contact.path,
    }
}

/// A row that cannot be read back is one registration less; the phone will come again.
fn of_row(row: Row, now: Timestamp) -> Option<Registration> {
    let transport = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss]
        .into_iter()
        .find(|t| t.to_string() == row.transport)?;
    Some(Registration {
        ext: row.aor,
        contact: row.contact,
        source: row.source.parse().ok()?,
        expires_s: u32::try_from(row.expires_at.duration_since(now).as_secs()).ok()?,
        call_id: row.call_id,
        cseq: row.cseq,
        transport,
        instance: row.instance,
        user_agent: row.user_agent,
        q: row.q,
        path: row.path,
    })
}
