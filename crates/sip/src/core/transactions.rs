//! The transaction tables: `sipx-sip`'s four machines (RFC 3261 §17, RFC 6026), where each sends, and its deadlines.
//!
//! The machines are driven, not changed. What is ours: matching, the flow of each transaction, deadlines, and memory: what is
//! finished shrinks to a `Spent`. Outputs come out in order; what is for the core comes back from the call that caused it.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sipx_sip::transaction::{ClientState, ServerState};
use sipx_sip::{ClientTransaction, Output, Reliability, ServerTransaction, Timer, Timers, TransactionKey, TuEvent};

use super::dialog::Dialog;
use super::reliable::Early;
use super::spent::{self, Rest, Spent};
use crate::api::{LegId, Transport};
use crate::details::ReferId;
use crate::flow::{Flow, Listener};
use crate::wire::{self, HeaderName, Headers, Message, Method, Request, Response};

/// 64·T1: how long anything is waited for (RFC 3261 §17.1.1.2).
pub(crate) const TIMEOUT: Duration = Duration::from_secs(32);
/// T1, the estimate of a round trip.
pub(crate) const T1: Duration = Duration::from_millis(500);
/// T2, the longest pause between two repetitions.
pub(crate) const T2: Duration = Duration::from_secs(4);

/// A transaction's number within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TxId(u64);

/// What a client transaction is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// A call we place, or one fork of it.
    Call(Box<Fork>),
    /// A re-INVITE or UPDATE within a leg's dialog. The dialog is kept for the ACK of a 2xx that comes when the leg is gone.
    Refresh(LegId, Option<Box<Dialog>>),
    /// A REFER within a leg's dialog.
    Refer(LegId),
    /// A NOTIFY of how the call goes that this REFER asked for.
    Notify(ReferId),
    /// A request of ours outside of any call.
    Probe(Box<Probe>),
    /// BYE, CANCEL, PRACK: the answer is only awaited.
    Farewell,
}

/// What a request outside of any call is for.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    /// OPTIONS to a contact of an extension.
    Contact { ext: String, uri: String },
    /// OPTIONS to a target of a trunk.
    Target { trunk: usize, target: usize },
    /// Our REGISTER at a trunk's registrar.
    Registrar { trunk: usize },
}

/// One INVITE of a call we place.
#[derive(Debug)]
pub(crate) struct Fork {
    pub leg: LegId,
    pub local_tag: String,
    pub behind_nat: bool,
    /// The call was given up or won elsewhere: CANCEL, and hang up on whoever answers all the same.
    pub unwanted: bool,
    pub cancelled: bool,
    pub provisional: bool,
    /// The dialogs its provisional answers made.
    pub early: Vec<Early>,
    /// Why it is cancelled, for those who ring in vain.
    pub why: Option<String>,
    /// The ACKs sent, by To tag, to be repeated when their 2xx is.
    pub acks: Vec<(String, Flow, Bytes)>,
}

/// What the tables want done outside.
#[derive(Debug)]
pub(crate) enum Effect {
    Send(Flow, Bytes),
    Timer(Instant, TxId, Timer),
}

/// What a transaction tells the core.
#[derive(Debug)]
pub(crate) struct Told {
    pub id: TxId,
    pub event: TuEvent,
}

/// Where a request that came in belongs.
#[derive(Debug)]
pub(crate) enum Routed {
    /// To a transaction we have; it was dealt with.
    Known(Vec<Told>),
    /// To none.
    New(Box<Request>),
}

#[derive(Debug)]
enum Machine {
    /// An INVITE.
    Server(ServerTransaction),
    /// Any other request, not answered yet: copies of it are dropped (RFC 3261 §17.2.2). Answered, it is spent.
    Asked(Box<Request>),
    Client(ClientTransaction, Purpose),
}

/// A transaction that is going on.
#[derive(Debug)]
struct Entry {
    machine: Machine,
    key: MatchKey,
    /// RFC 3261 §8.2.2.2: Call-ID, From tag, CSeq; of a request outside of dialogs that is being answered.
    merge: Option<MatchKey>,
    flow: Flow,
    /// Too large for UDP, and so sent by TCP: where it goes when nobody answers there.
    instead_of: Option<Box<Flow>>,
    /// The leg an INVITE or UPDATE that came in belongs to.
    leg: Option<LegId>,
    deadlines: Vec<(Timer, Instant)>,
}

/// What a message is matched by, hashed under secret keys: a tenth of the size of what it stands for.
pub(super) type MatchKey = u128;

/// All transactions.
#[derive(Debug)]
pub(crate) struct Transactions {
    entries: HashMap<TxId, Box<Entry>>,
    spent: HashMap<TxId, Spent>,
    /// By key and transport: a copy that came by another transport is another path's, not a repetition.
    servers: HashMap<(MatchKey, Transport), TxId>,
    clients: HashMap<MatchKey, TxId>,
    merges: HashMap<MatchKey, TxId>,
    hashers: [RandomState; 2],
    effects: Vec<Effect>,
    timers: Timers,
    last: u64,
    size: SizeRule,
}

/// RFC 3261 §18.1.1: what is too large for UDP goes by TCP.
#[derive(Debug)]
struct SizeRule {
    /// The largest request sent by UDP.
    most: usize,
    /// TCP listeners, by index.
    tcp: Vec<(usize, Listener)>,
    /// Peers that do not answer by TCP, and when that is tried again.
    refused: HashMap<SocketAddr, Instant>,
}

/// How long a peer that did not answer by TCP is spared another try.
const TCP_AGAIN: Duration = Duration::from_secs(600);
/// Such peers remembered.
const TCP_REFUSED: usize = 4_096;

impl SizeRule {
    /// The flow of a request that was meant to go by `flow`.
    fn carry(&self, now: Instant, request: &Request, flow: Flow) -> Option<Flow> {
        let fits = flow.transport != Transport::Udp || request.method == Method::Cancel;
        if fits || self.tcp.is_empty() {
            return None;
        }
        let mut bytes = Vec::with_capacity(2_048);
        request.write_to(&mut bytes);
        if bytes.len() <= self.most {
            return None;
        }
        if self.refused.get(&flow.remote).is_some_and(|until| now < *until) {
            return None;
        }
        let (listener, at) = self.tcp.iter().find(|(_, l)| l.reaches(flow.remote.ip()))?;
        let local = at.towards(flow.remote.ip());
        Some(Flow { transport: Transport::Tcp, listener: *listener, local, remote: flow.remote, connection: None })
    }

    fn note_refused(&mut self, now: Instant, remote: SocketAddr) {
        if self.refused.len() >= TCP_REFUSED {
            self.refused.clear();
        }
        self.refused.insert(remote, now + TCP_AGAIN);
    }
}

impl Transactions {
    /// `udp_max` is the largest request sent by UDP where a TCP listener can send a larger one.
    pub fn new(udp_max: usize, listeners: &[Listener]) -> Self {
        let tcp = listeners.iter().copied().enumerate().filter(|(_, l)| l.transport == Transport::Tcp).collect();
        let size = SizeRule { most: udp_max, tcp, refused: HashMap::new() };
        let timers = Timers { t1: T1, t2: T2, t4: Duration::from_secs(5) };
        let (entries, spent, servers, clients, merges) = Default::default();
        let hashers = [RandomState::new(), RandomState::new()];
        Self { entries, spent, servers, clients, merges, hashers, effects: Vec::new(), timers, last: 0, size }
    }

    /// Client and server transactions.
    pub fn len(&self) -> usize {
        self.entries.len() + self.spent.len()
    }

    /// What is to be done outside, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The message sent last of those that are not taken yet.
    pub fn last_sent(&self) -> Option<Bytes> {
        self.effects.iter().rev().find_map(|e| if let Effect::Send(_, bytes) = e { Some(bytes.clone()) } else { None })
    }

    /// Brings a request to the transaction it belongs to. A known one is repeated from there.
    pub fn route(&mut self, now: Instant, request: Box<Request>, transport: Transport) -> Routed {
        let Some(id) = self.find_server(&request, &request.method, transport) else {
            return Routed::New(request);
        };
        if let Some(spent) = self.spent.get(&id) {
            match &spent.rest {
                Rest::Accepted if request.method == Method::Ack => {
                    return Routed::Known(vec![Told { id, event: TuEvent::Ack(request) }]);
                }
                Rest::Answer(again) => self.effects.push(Effect::Send(again.0, again.1.clone())),
                _ => {}
            }
            return Routed::Known(Vec::new());
        }
        let outputs = match self.entries.get_mut(&id).map(|e| &mut e.machine) {
            Some(Machine::Server(tx)) => tx.on_request(&request),
            Some(Machine::Client(..) | Machine::Asked(_)) => Vec::new(),
            None => return Routed::New(request),
        };
        let told = self.apply(now, id, outputs);
        self.shrink(id);
        Routed::Known(told)
    }

    /// The transaction of the INVITE a CANCEL means (RFC 3261 §9.2).
    pub fn cancelled(&self, cancel: &Request, transport: Transport) -> Option<TxId> {
        self.find_server(cancel, &Method::Invite, transport)
    }

    /// Whether another copy of this request, by another path, is being answered already (RFC 3261 §8.2.2.2).
    pub fn is_merged(&self, request: &Request) -> bool {
        self.merge_key(request).is_some_and(|key| self.merges.contains_key(&key))
    }

    /// Makes the server transaction of a new request, answered along `flow`. `None` without a usable Via.
    pub fn serve(&mut self, now: Instant, request: &Request, flow: Flow, leg: Option<LegId>) -> Option<TxId> {
        let key = self.server_key(request, &request.method)?;
        let outside = wire::tag(&request.headers, &HeaderName::To).is_none();
        let merge = if outside { self.merge_key(request) } else { None };
        let (machine, outputs) = if request.method == Method::Invite {
            let (tx, outputs) = ServerTransaction::new(request.clone(), reliability(flow), self.timers);
            (Machine::Server(tx), outputs)
        } else {
            (Machine::Asked(Box::new(request.clone())), Vec::new())
        };
        let id = self.insert(key, machine, flow, merge);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.leg = leg;
        }
        self.servers.insert((key, flow.transport), id);
        if let Some(merge) = merge {
            self.merges.insert(merge, id);
        }
        // The first output hands the request to the core, which has it; the second is the 100 after 200 ms.
        self.apply(now, id, outputs);
        Some(id)
    }

    /// Sends an answer by a server transaction.
    pub fn respond(&mut self, now: Instant, id: TxId, response: Response) -> Vec<Told> {
        let outputs = match self.entries.get_mut(&id).map(|e| &mut e.machine) {
            Some(Machine::Server(tx)) => tx.on_tu_response(response),
            Some(Machine::Asked(_)) => {
                self.answer(now, id, response);
                Vec::new()
            }
            _ => Vec::new(),
        };
        let told = self.apply(now, id, outputs);
        self.shrink(id);
        told
    }

    /// The request of a server transaction that still waits for its final answer.
    pub fn pending_request(&self, id: TxId) -> Option<&Request> {
        match &self.entries.get(&id)?.machine {
            Machine::Server(tx) if matches!(tx.state(), ServerState::Trying | ServerState::Proceeding) => {
                Some(tx.request())
            }
            Machine::Asked(request) => Some(request),
            _ => None,
        }
    }

    /// Answers a request that is no INVITE: the first final answer stands (RFC 3261 §17.2.2).
    fn answer(&mut self, now: Instant, id: TxId, response: Response) {
        let last = response.status.is_final();
        let bytes = wire::bytes_of(&Message::Response(response));
        let Some(flow) = self.entries.get(&id).map(|e| e.flow) else { return };
        self.effects.push(Effect::Send(flow, bytes.clone()));
        if !last {
            return;
        }
        let Some(entry) = self.entries.remove(&id) else { return };
        relax(&mut self.entries);
        let Entry { key, merge, leg, .. } = *entry;
        let at = now + self.timers.timer_j(reliability(flow));
        let (rest, timer) = (Rest::Answer(Box::new((flow, Bytes::copy_from_slice(&bytes)))), Timer::J);
        self.spent.insert(id, Spent { rest, key, transport: flow.transport, merge, leg, timer, at });
        self.effects.push(Effect::Timer(at, id, timer));
    }

    /// Where a transaction sends.
    pub fn flow_of(&self, id: TxId) -> Option<Flow> {
        match self.spent.get(&id).map(|s| &s.rest) {
            Some(Rest::Answer(again) | Rest::Refused(again)) => Some(again.0),
            Some(Rest::Taken(taken)) => Some(taken.flow),
            Some(_) => None,
            None => Some(self.entries.get(&id)?.flow),
        }
    }

    /// The leg a server transaction belongs to.
    pub fn leg_of(&self, id: TxId) -> Option<LegId> {
        self.spent.get(&id).map_or_else(|| self.entries.get(&id)?.leg, |s| s.leg)
    }

    /// Starts a client transaction.
    pub fn send(&mut self, now: Instant, mut request: Request, mut flow: Flow, purpose: Purpose) -> Option<TxId> {
        let key = self
            .branch_key(&request.headers, &request.method)
            .or_else(|| Some(self.hash(&TransactionKey::from_sent_request(&request)?)))?;
        let by_tcp = self.size.carry(now, &request, flow);
        let instead_of = by_tcp.map(|by_tcp| {
            wire::carried_by(&mut request, Transport::Tcp, true);
            Box::new(std::mem::replace(&mut flow, by_tcp))
        });
        let (tx, outputs) = ClientTransaction::new(request, reliability(flow), self.timers);
        let id = self.insert(key, Machine::Client(tx, purpose), flow, None);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.instead_of = instead_of;
        }
        self.clients.insert(key, id);
        self.apply(now, id, outputs);
        Some(id)
    }

    /// Brings a response to its client transaction; `false` if there is none.
    pub fn answered(&mut self, now: Instant, response: Response) -> (bool, Vec<Told>) {
        let method = wire::cseq(&response.headers).map(|c| Method::parse(&Bytes::from(c.method.as_bytes().to_vec())));
        let key = method
            .and_then(|method| self.branch_key(&response.headers, &method))
            .or_else(|| TransactionKey::from_response(&response).map(|key| self.hash(&key)));
        let Some(id) = key.and_then(|key| self.clients.get(&key).copied()) else { return (false, Vec::new()) };
        if let Some(spent) = self.spent.get(&id) {
            let status = response.status;
            match &spent.rest {
                Rest::Taken(_) if status.is_success() => {
                    return (true, vec![Told { id, event: TuEvent::Response(Box::new(response)) }]);
                }
                Rest::Refused(ack) if status.is_final() => self.effects.push(Effect::Send(ack.0, ack.1.clone())),
                _ => {}
            }
            return (true, Vec::new());
        }
        let Some(Machine::Client(tx, _)) = self.entries.get_mut(&id).map(|e| &mut e.machine) else {
            return (false, Vec::new());
        };
        let outputs = tx.on_response(response);
        (true, self.apply(now, id, outputs))
    }

    /// Whether a deadline still means something.
    pub fn awaits(&self, id: TxId, timer: Timer, at: Instant) -> bool {
        match self.spent.get(&id) {
            Some(spent) => spent.timer == timer && spent.at == at,
            None => self.entries.get(&id).is_some_and(|e| e.deadlines.contains(&(timer, at))),
        }
    }

    /// A deadline has come; it means nothing if it was set anew or cleared since.
    pub fn fire(&mut self, now: Instant, at: Instant, id: TxId, timer: Timer) -> Vec<Told> {
        if self.spent.get(&id).is_some_and(|s| s.timer == timer && s.at == at) {
            self.remove(id);
        }
        let Some(entry) = self.entries.get_mut(&id) else { return Vec::new() };
        let Some(i) = entry.deadlines.iter().position(|d| *d == (timer, at)) else { return Vec::new() };
        entry.deadlines.swap_remove(i);
        let outputs = match &mut entry.machine {
            Machine::Server(tx) => tx.on_timer(timer),
            Machine::Client(tx, _) => tx.on_timer(timer),
            Machine::Asked(_) => Vec::new(),
        };
        self.apply(now, id, outputs)
    }

    /// The transport could not deliver along a flow: its unfinished client transactions fail.
    pub fn unreachable(&mut self, now: Instant, flow: &Flow) -> Vec<Told> {
        let hit = |e: &Entry| {
            matches!(e.machine, Machine::Client(..))
                && e.flow.transport == flow.transport
                && e.flow.remote == flow.remote
        };
        let failed: Vec<TxId> = self.entries.iter().filter(|(_, e)| hit(e)).map(|(id, _)| *id).collect();
        let mut told = Vec::new();
        for id in failed {
            if self.fall_back(now, id) {
                continue;
            }
            if let Some(Machine::Client(tx, _)) = self.entries.get_mut(&id).map(|e| &mut e.machine)
                && matches!(tx.state(), ClientState::Calling | ClientState::Trying | ClientState::Proceeding)
            {
                let outputs = tx.on_transport_error();
                told.extend(self.apply(now, id, outputs));
            }
        }
        told
    }

    /// A request that went by TCP for its size alone goes by UDP after all (RFC 3261 §18.1.1), if it did.
    fn fall_back(&mut self, now: Instant, id: TxId) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let Machine::Client(tx, _) = &mut entry.machine else { return false };
        let unanswered = matches!(tx.state(), ClientState::Calling | ClientState::Trying);
        let Some(udp) = entry.instead_of.take().filter(|_| unanswered).map(|flow| *flow) else { return false };
        let mut request = tx.request().clone();
        wire::carried_by(&mut request, Transport::Udp, false);
        let (again, outputs) = ClientTransaction::new(request, reliability(udp), self.timers);
        *tx = again;
        entry.flow = udp;
        entry.deadlines.clear();
        self.size.note_refused(now, udp.remote);
        self.apply(now, id, outputs);
        true
    }

    /// Drops a transaction that nothing will end: an INVITE of ours that was cancelled and never answered.
    pub fn abandon(&mut self, id: TxId) {
        self.remove(id);
    }

    /// What a client transaction is for.
    pub fn purpose(&self, id: TxId) -> Option<&Purpose> {
        if let Some(spent) = self.spent.get(&id) {
            return if let Rest::Taken(taken) = &spent.rest { Some(&taken.purpose) } else { None };
        }
        match &self.entries.get(&id)?.machine {
            Machine::Client(_, purpose) => Some(purpose),
            Machine::Server(_) | Machine::Asked(_) => None,
        }
    }

    /// A fork's own state.
    pub fn fork_mut(&mut self, id: TxId) -> Option<&mut Fork> {
        if let Some(spent) = self.spent.get_mut(&id) {
            let Rest::Taken(taken) = &mut spent.rest else { return None };
            return if let Purpose::Call(fork) = &mut taken.purpose { Some(fork) } else { None };
        }
        match &mut self.entries.get_mut(&id)?.machine {
            Machine::Client(_, Purpose::Call(fork)) => Some(fork),
            _ => None,
        }
    }

    /// The early dialog with these tags among the forks of a call.
    pub fn early_mut(&mut self, forks: &[TxId], local_tag: &str, remote_tag: &str) -> Option<&mut Early> {
        let id = *forks
            .iter()
            .find(|id| matches!(self.purpose(**id), Some(Purpose::Call(f)) if f.local_tag == local_tag))?;
        self.fork_mut(id)?.early.iter_mut().find(|e| e.dialog.remote_tag == remote_tag)
    }

    /// The INVITE of a client transaction that may be answered already, as far as a dialog needs it, and its flow.
    pub fn invite(&self, id: TxId) -> Option<(Request, Flow)> {
        if let Some(spent) = self.spent.get(&id) {
            return if let Rest::Taken(taken) = &spent.rest { Some((taken.origin()?, taken.flow)) } else { None };
        }
        self.client(id).map(|(request, flow, _)| (request.clone(), flow))
    }

    /// The request and flow of a client transaction, and whether its final answer is still due.
    pub fn client(&self, id: TxId) -> Option<(&Request, Flow, bool)> {
        let entry = self.entries.get(&id)?;
        match &entry.machine {
            Machine::Client(tx, _) => {
                let open = matches!(tx.state(), ClientState::Calling | ClientState::Trying | ClientState::Proceeding);
                Some((tx.request(), entry.flow, open))
            }
            _ => None,
        }
    }

    /// The transaction of a request; `method` is its own, or INVITE for what a CANCEL means.
    fn find_server(&self, request: &Request, method: &Method, transport: Transport) -> Option<TxId> {
        if let Some(key) = self.branch_key(&request.headers, method) {
            return self.servers.get(&(key, transport)).copied();
        }
        let key = legacy_key(request, method)?;
        self.servers.get(&(self.hash(&key), transport)).copied().or_else(|| {
            // An RFC 2543 ACK carries the To tag of our answer, which the INVITE it belongs to had not.
            let TransactionKey::Legacy { request_uri, top_via, from_tag, call_id, cseq, method, .. } = key else {
                return None;
            };
            let first =
                TransactionKey::Legacy { request_uri, top_via, from_tag, to_tag: Vec::new(), call_id, cseq, method };
            self.servers.get(&(self.hash(&first), transport)).copied()
        })
    }

    fn server_key(&self, request: &Request, method: &Method) -> Option<MatchKey> {
        self.branch_key(&request.headers, method).or_else(|| Some(self.hash(&legacy_key(request, method)?)))
    }

    /// RFC 3261 §17.1.3, §17.2.3: branch, sent-by, and the method, ACK standing with its INVITE. `None` where the branch
    /// identifies nothing: without the magic cookie, or the cookie alone.
    fn branch_key(&self, headers: &Headers, method: &Method) -> Option<MatchKey> {
        let method = if *method == Method::Ack { &Method::Invite } else { method };
        let value = headers.value(&HeaderName::Via)?;
        if let Some((sent_by, branch)) = wire::plain_via(&value) {
            return is_identity(branch).then(|| self.hash(&(branch, sent_by.to_ascii_lowercase(), method.as_bytes())));
        }
        let via = wire::top_via(headers)?;
        let branch = via.branch().filter(|b| is_identity(b))?;
        let mut sent_by = via.host.to_bytes().to_ascii_lowercase();
        sent_by.extend(via.port.map(|port| format!(":{port}").into_bytes()).unwrap_or_default());
        Some(self.hash(&(branch, sent_by, method.as_bytes())))
    }

    fn hash<T: Hash>(&self, what: &T) -> MatchKey {
        let [high, low] = [0, 1].map(|i| u128::from(self.hashers[i].hash_one(what)));
        high << 64 | low
    }

    fn merge_key(&self, request: &Request) -> Option<MatchKey> {
        let headers: &Headers = &request.headers;
        let cseq = wire::cseq(headers)?;
        let tag = wire::tag(headers, &HeaderName::From)?;
        Some(self.hash(&(wire::call_id(headers), tag, cseq.sequence, cseq.method)))
    }

    fn insert(&mut self, key: MatchKey, machine: Machine, flow: Flow, merge: Option<MatchKey>) -> TxId {
        self.last += 1;
        let id = TxId(self.last);
        let entry = Entry { machine, key, merge, flow, instead_of: None, leg: None, deadlines: Vec::new() };
        self.entries.insert(id, Box::new(entry));
        id
    }

    fn apply(&mut self, now: Instant, id: TxId, outputs: Vec<Output>) -> Vec<Told> {
        let mut told = Vec::new();
        for output in outputs {
            let Some(entry) = self.entries.get_mut(&id) else { break };
            match output {
                Output::Send(message) => self.effects.push(Effect::Send(entry.flow, wire::bytes_of(&message))),
                Output::SetTimer { timer, after } => {
                    let at = now + after;
                    entry.deadlines.retain(|(t, _)| *t != timer);
                    entry.deadlines.push((timer, at));
                    self.effects.push(Effect::Timer(at, id, timer));
                }
                Output::ClearTimer(timer) => entry.deadlines.retain(|(t, _)| *t != timer),
                Output::ToTu(event) => told.push(Told { id, event: *event }),
                Output::Terminated(_) => {
                    // The core may still ask what the transaction was for: it is removed once all was told.
                    entry.deadlines.clear();
                    if told.is_empty() {
                        self.remove(id);
                    }
                }
                _ => {}
            }
        }
        told
    }

    /// Drops what ended while it told the core something, and shrinks what is finished. To be called after that was dealt
    /// with.
    pub fn settle(&mut self, id: TxId) {
        let over = match self.entries.get(&id).map(|e| &e.machine) {
            Some(Machine::Client(tx, _)) => tx.state() == ClientState::Terminated,
            Some(Machine::Server(tx)) => tx.state() == ServerState::Terminated,
            Some(Machine::Asked(_)) | None => return,
        };
        if over {
            self.remove(id);
        } else {
            self.shrink(id);
        }
    }

    /// Keeps of a finished transaction what it may have to repeat.
    fn shrink(&mut self, id: TxId) {
        let Some(mut entry) = self.entries.remove(&id) else { return };
        let flow = entry.flow;
        let left = match entry.machine {
            Machine::Asked(request) => Err(Machine::Asked(request)),
            Machine::Server(tx) => match spent::of_server(&tx) {
                Some(left) => Ok(left),
                None => Err(Machine::Server(tx)),
            },
            Machine::Client(mut tx, purpose) => match spent::of_client(&mut tx, flow, purpose) {
                Ok(left) => Ok(left),
                Err(purpose) => Err(Machine::Client(tx, purpose)),
            },
        };
        match left {
            Ok((rest, timer)) => {
                // A reliable transport's timer is zero, and fires all the same.
                let Some(&(_, at)) = entry.deadlines.iter().find(|(t, _)| *t == timer) else {
                    return self.unlink(id, entry.key, entry.merge, flow.transport);
                };
                let Entry { key, merge, leg, .. } = *entry;
                self.spent.insert(id, Spent { rest, key, transport: flow.transport, merge, leg, timer, at });
                relax(&mut self.entries);
            }
            Err(machine) => {
                entry.machine = machine;
                self.entries.insert(id, entry);
            }
        }
    }

    fn remove(&mut self, id: TxId) {
        if let Some(spent) = self.spent.remove(&id) {
            relax(&mut self.spent);
            return self.unlink(id, spent.key, spent.merge, spent.transport);
        }
        let Some(entry) = self.entries.remove(&id) else { return };
        relax(&mut self.entries);
        self.unlink(id, entry.key, entry.merge, entry.flow.transport);
    }

    /// Nothing finds it any more.
    fn unlink(&mut self, id: TxId, key: MatchKey, merge: Option<MatchKey>, transport: Transport) {
        if self.clients.get(&key) == Some(&id) {
            self.clients.remove(&key);
            relax(&mut self.clients);
        }
        if self.servers.get(&(key, transport)) == Some(&id) {
            self.servers.remove(&(key, transport));
            relax(&mut self.servers);
        }
        if let Some(merge) = merge.filter(|merge| self.merges.get(merge) == Some(&id)) {
            self.merges.remove(&merge);
            relax(&mut self.merges);
        }
    }
}

/// Gives memory back once a table is mostly empty: after a storm it must not keep the size of the storm.
pub(super) fn relax<K: Eq + Hash, V>(table: &mut HashMap<K, V>) {
    if table.capacity() > 1_024 && table.len() < table.capacity() / 8 {
        table.shrink_to(table.len() * 2);
    }
}

fn reliability(flow: Flow) -> Reliability {
    match flow.transport {
        Transport::Udp => Reliability::Unreliable,
        _ => Reliability::Reliable,
    }
}

fn is_identity(branch: &[u8]) -> bool {
    let cookie = sipx_sip::headers::BRANCH_MAGIC_COOKIE;
    branch.len() > cookie.len() && branch.get(..cookie.len()).is_some_and(|b| b.eq_ignore_ascii_case(cookie))
}

/// What RFC 2543 matched by (RFC 3261 §17.2.3).
fn legacy_key(request: &Request, method: &Method) -> Option<TransactionKey> {
    wire::top_via(&request.headers)?;
    let tag = |name| wire::tag(&request.headers, &name).unwrap_or_default().into_bytes();
    let method = if *method == Method::Ack { &Method::Invite } else { method };
    Some(TransactionKey::Legacy {
        request_uri: request.uri.to_bytes().to_vec(),
        top_via: wire::text(&request.headers, &HeaderName::Via)?.into_bytes(),
        from_tag: tag(HeaderName::From),
        to_tag: tag(HeaderName::To),
        call_id: wire::call_id(&request.headers).into_bytes(),
        cseq: wire::cseq(&request.headers)?.sequence,
        method: method.as_bytes().to_vec(),
    })
}
