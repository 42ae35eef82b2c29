//! Transactions that have their final answer: what each may still have to repeat, and no more. A busy endpoint holds a minute's
//! worth of these, and few of others.

use std::time::Instant;

use bytes::Bytes;
use sipx_sip::transaction::{ClientState, ServerState};
use sipx_sip::{ClientTransaction, Output, ServerTransaction, Timer};

use super::transactions::{MatchKey, Purpose};
use crate::api::{LegId, Transport};
use crate::flow::Flow;
use crate::wire::{self, Message, Method, Request, Response, StatusCode};

/// A finished transaction.
#[derive(Debug)]
pub(super) struct Spent {
    pub rest: Rest,
    pub key: MatchKey,
    /// Of a server transaction: it is found by this as well.
    pub transport: Transport,
    pub merge: Option<MatchKey>,
    pub leg: Option<LegId>,
    /// Ends it.
    pub timer: Timer,
    pub at: Instant,
}

/// What is left to do.
#[derive(Debug)]
pub(super) enum Rest {
    /// An INVITE we answered 2xx: its ACKs are the dialog's, copies of it are not (RFC 6026).
    Accepted,
    /// An INVITE we refused, acknowledged: nothing is answered any more.
    Confirmed,
    /// Another request we answered: a copy gets the answer again.
    Answer(Box<(Flow, Bytes)>),
    /// An INVITE of ours that was refused: a copy of that gets its ACK again.
    Refused(Box<(Flow, Bytes)>),
    /// An INVITE of ours that was taken: more 2xx may come, from this fork and others.
    Taken(Box<Taken>),
    /// Another request of ours: copies of its answer are dropped.
    Done,
}

/// What a late 2xx needs to be acknowledged and hung up.
#[derive(Debug)]
pub(super) struct Taken {
    pub flow: Flow,
    pub purpose: Purpose,
}

impl Taken {
    /// The request as far as another dialog of it needs it: From, Call-ID and number, which the ACK sent has as well.
    pub fn origin(&self) -> Option<Request> {
        let Purpose::Call(fork) = &self.purpose else { return None };
        let (_, _, ack) = fork.acks.first()?;
        match wire::parse(ack.clone()).ok()? {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        }
    }
}

/// What is left of an INVITE's server transaction, and the timer that ends it. `None` while it is not finished.
pub(super) fn of_server(tx: &ServerTransaction) -> Option<(Rest, Timer)> {
    match tx.state() {
        ServerState::Accepted => Some((Rest::Accepted, Timer::L)),
        ServerState::Confirmed => Some((Rest::Confirmed, Timer::I)),
        _ => None,
    }
}

/// Whether a client transaction is finished, and then what is left of it.
pub(super) fn of_client(tx: &mut ClientTransaction, flow: Flow, purpose: Purpose) -> Result<(Rest, Timer), Purpose> {
    match tx.state() {
        ClientState::Accepted => Ok((Rest::Taken(Box::new(Taken { flow, purpose })), Timer::M)),
        ClientState::Completed if tx.request().method == Method::Invite => {
            // Any final answer brings the ACK again.
            let again = StatusCode::new(500).map(|code| Response::new(code, "")).map(|r| tx.on_response(r));
            match again.and_then(sent) {
                Some(ack) => Ok((Rest::Refused(Box::new((flow, ack))), Timer::D)),
                None => Err(purpose),
            }
        }
        ClientState::Completed => Ok((Rest::Done, Timer::K)),
        _ => Err(purpose),
    }
}

fn sent(outputs: Vec<Output>) -> Option<Bytes> {
    outputs.into_iter().find_map(|output| match output {
        // A copy: what the serialiser made may have twice the room it needs.
        Output::Send(message) => Some(Bytes::copy_from_slice(&wire::bytes_of(&message))),
        _ => None,
    })
}
