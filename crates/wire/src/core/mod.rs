//! The pure front end: transactions, dialogs, registrar. Bytes and time in; bytes, events and the next deadline out.

mod dialog;
mod legs;
mod message;
mod registrar;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sipx_sip::message::{Message, Method, Request, Response};
use sipx_sip::name::HeaderName;
use sipx_sip::parser::{Limits, parse_datagram};


use sipx_sip::transaction::{Dispatch, Output, Reliability, Timer, Timers, TransactionKey, TransactionLayer, TuEvent};
use sipx_sip::validate::validate_request;
use tracing::{debug, info, trace};

use crate::digest::{Verdict, Verifier};
use crate::{Listen, SipCommand, SipConfig, SipEvent, Transport, guard};
use legs::{Branch, Legs};
use message::{phrase, response, response_peer, stamp_via, tag, value, values};
use registrar::{Change, Registrar, Wanted};

/// The other end of a message's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Over what.
    pub transport: Transport,
    /// Its address.
    pub addr: SocketAddr,
    /// UDP: the listener's index; TCP: the connection's number.
    pub via: usize,
}

/// Bytes to send.
#[derive(Debug, Clone)]
pub struct Transmit {
    /// Whither.
    pub to: Peer,
    /// What.
    pub bytes: Bytes,
}

/// Sizes of the tables: after the RFC's timers they are zero again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Client and server transactions.
    pub transactions: usize,
    /// Legs.
    pub legs: usize,
    /// Timers.
    pub timers: usize,
    /// INVITE branches that may still be answered.
    pub branches: usize,
}

#[derive(Debug)]
enum Due {
    Transaction(TransactionKey, Timer),
    /// Send the 2xx again, or give up on its ACK.
    Ok(crate::LegId),
    /// A server transaction that nobody answered.
    Abandon(TransactionKey),
}

/// The front end's state.
pub struct Core {
    config: SipConfig,
    locals: Vec<Listen>,
    layer: TransactionLayer,
    verifier: Verifier,
    registrar: Registrar,
    legs: Legs,
    branches: HashMap<TransactionKey, Branch>,
    peers: HashMap<TransactionKey, Peer>,
    due: BTreeMap<(Instant, u64), Due>,
    timer_at: HashMap<(TransactionKey, Timer), (Instant, u64)>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<SipEvent>,
    rng: StdRng,
    sequence: u64,
    draining: bool,
}

impl Core {
    /// A front end that listens at `locals` (the addresses as bound). `seed` must be random: tags, branches and nonces come
    /// from it.
    pub fn new(now: Instant, config: SipConfig, locals: Vec<Listen>, seed: [u8; 32]) -> Self {
        let users = config.extensions.iter().map(|e| (e.ext.clone(), e.ha1.clone())).collect();
        let mut rng = StdRng::from_seed(seed);
        Self {
            verifier: Verifier::new(now, config.domain.clone(), users, rng.random()),
            registrar: Registrar::new(config.expires),
            layer: TransactionLayer::new(Timers::default()),
            legs: Legs::default(),
            branches: HashMap::new(),
            peers: HashMap::new(),
            due: BTreeMap::new(),
            timer_at: HashMap::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            sequence: 0,
            draining: false,
            rng,
            config,
            locals,
        }
    }

    /// Takes a datagram, or one message of a stream.
    pub fn receive(&mut self, now: Instant, bytes: Bytes, peer: &Peer) {
        if guard::is_keepalive(&bytes) {
            return;
        }
        if let Err(refused) = guard::check(&bytes) {
            debug!(peer = %peer.addr, %refused, "refused before parsing");
            return self.salvage(&bytes, 513, "Message Too Large", peer);
        }
        match parse_datagram(bytes.clone(), &Limits::datagram()) {
            Ok(message) => {
                trace!(peer = %peer.addr, "received\n{}", message::masked(&message));
                self.dispatch(now, message, peer);
            }
            Err(e) => {
                debug!(peer = %peer.addr, error = %e, "malformed");
                self.salvage(&bytes, 400, "Bad Request", peer);
            }
        }
    }

    /// Does what it is told.
    pub fn command(&mut self, now: Instant, command: SipCommand) {
        self.obey(now, command);
    }

    /// Runs every timer that is due.
    pub fn timeout(&mut self, now: Instant) {
        while let Some(entry) = self.due.first_entry() {
            if entry.key().0 > now {
                break;
            }
            match entry.remove() {
                Due::Transaction(key, timer) => {
                    self.timer_at.remove(&(key.clone(), timer));
                    let outputs = self.layer.on_timer(&key, timer);
                    self.outputs(now, &key, outputs);
                }
                Due::Ok(leg) => self.ok_again(now, leg),
                Due::Abandon(key) => {
                    if self.layer.abandon(&key) {
                        self.forget(&key);
                    }
                }
            }
        }
        for ext in self.registrar.expire(now) {
            info!(extension = ext, "registration expired");
            self.events.push_back(SipEvent::Unregistered { ext });
        }
    }

    /// When [`Core::timeout`] is next wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timers = self.due.first_key_value().map(|((at, _), _)| *at);
        [timers, self.registrar.poll_timeout()].into_iter().flatten().min()
    }

    /// The next bytes to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<SipEvent> {
        self.events.pop_front()
    }

    /// No new calls: INVITE and OPTIONS get 503.
    pub fn drain(&mut self, on: bool) {
        self.draining = on;
    }

    /// A connection is gone, or a datagram could not be sent.
    pub fn unreachable(&mut self, now: Instant, peer: &Peer) {
        let keys: Vec<TransactionKey> = self.peers.iter().filter(|(_, p)| *p == peer).map(|(k, _)| k.clone()).collect();
        for key in keys {
            let outputs = self.layer.on_transport_error(&key);
            self.outputs(now, &key, outputs);
            self.forget(&key);
        }
    }

    /// How full the tables are.
    pub fn sizes(&self) -> Sizes {
        let (client, server) = self.layer.len();
        Sizes { transactions: client + server, legs: self.legs.len(), timers: self.due.len(), branches: self.branches.len() }
    }

    fn salvage(&mut self, bytes: &[u8], code: u16, reason: &str, peer: &Peer) {
        if let Some(answer) = guard::answer(bytes, code, reason) {
            self.transmits.push_back(Transmit { to: peer.clone(), bytes: answer.into() });
        }
    }

    fn dispatch(&mut self, now: Instant, message: Message, peer: &Peer) {
        let reliability = reliability(peer);
        match message {
            Message::Request(mut request) => {
                stamp_via(&mut request, peer);
                // §8.2: what is no sound request is answered without any state.
                let fault = validate_request(&request).iter().filter(|f| !f.is_repairable()).map(|f| (f.status(), format!("{f:?}"))).max();
                if let Some((code, why)) = fault {
                    debug!(peer = %peer.addr, why, "unsound request");
                    if request.method != Method::Ack {
                        self.stateless(&request, code, peer);
                    }
                    return;
                }
                match self.layer.receive(Message::Request(request), reliability) {
                    Dispatch::Matched { key, outputs } => self.outputs(now, &key, outputs),
                    Dispatch::Created { key, outputs } => {
                        let to = self.layer.server_request(&key).map_or_else(|| peer.clone(), |r| response_peer(r, peer));
                        self.peers.insert(key.clone(), to);
                        self.schedule(now + Duration::from_secs(240), Due::Abandon(key.clone()));
                        self.current_peer(peer, |core| core.outputs(now, &key, outputs));
                    }
                    Dispatch::Unmatched(message) => {
                        if let Message::Request(request) = *message
                            && request.method == Method::Ack
                        {
                            self.acked(&request);
                        }
                    }
                }
            }
            Message::Response(response) => match self.layer.receive(Message::Response(response), reliability) {
                Dispatch::Matched { key, outputs } | Dispatch::Created { key, outputs } => self.outputs(now, &key, outputs),
                Dispatch::Unmatched(message) => {
                    if let Message::Response(response) = *message {
                        self.stray_response(&response);
                    }
                }
            },
        }
    }

    /// Remembers where the request being handled came from.
    fn current_peer(&mut self, peer: &Peer, then: impl FnOnce(&mut Self)) {
        self.legs.current = Some(peer.clone());
        then(self);
        self.legs.current = None;
    }

    fn outputs(&mut self, now: Instant, key: &TransactionKey, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send(message) => {
                    if let Some(to) = self.peers.get(key).cloned() {
                        self.send(*message, to);
                    }
                }
                Output::SetTimer { timer, after } => {
                    self.clear(key, timer);
                    let at = self.schedule(now + after, Due::Transaction(key.clone(), timer));
                    self.timer_at.insert((key.clone(), timer), at);
                }
                Output::ClearTimer(timer) => self.clear(key, timer),
                Output::ToTu(event) => self.tu(now, key, *event),
                Output::Terminated(_) => self.forget(key),
                _ => {}
            }
        }
    }

    fn tu(&mut self, now: Instant, key: &TransactionKey, event: TuEvent) {
        match event {
            TuEvent::Request(request) => self.request(now, key, &request),
            TuEvent::Ack(ack) => self.acked(&ack),
            TuEvent::Response(response) => self.answered(now, key, &response),
            TuEvent::Timeout => self.unanswered(now, key, 408),
            TuEvent::TransportError => self.unanswered(now, key, 503),
            _ => {}
        }
    }

    fn send(&mut self, message: Message, to: Peer) {
        trace!(peer = %to.addr, "sent\n{}", message::masked(&message));
        self.transmits.push_back(Transmit { to, bytes: message.to_bytes() });
    }

    /// Sends a request in a client transaction of its own.
    fn send_request(&mut self, now: Instant, request: Request, to: Peer) -> Option<TransactionKey> {
        let (key, outputs) = self.layer.send_request(request, reliability(&to))?;
        self.peers.insert(key.clone(), to);
        self.outputs(now, &key, outputs);
        Some(key)
    }

    fn respond(&mut self, now: Instant, key: &TransactionKey, response: Response) {
        let outputs = self.layer.send_response(key, response);
        self.outputs(now, key, outputs);
    }

    /// A response without a body to the request of a server transaction.
    fn reply(&mut self, now: Instant, key: &TransactionKey, request: &Request, code: u16, more: &[(HeaderName, String)]) {
        let tag = self.token();
        let mut headers = vec![(HeaderName::Server, self.config.user_agent.clone())];
        headers.extend_from_slice(more);
        if let Some(response) = response(request, code, phrase(code), Some(&tag), &headers, None) {
            self.respond(now, key, response);
        }
    }

    fn stateless(&mut self, request: &Request, code: u16, peer: &Peer) {
        let tag = self.token();
        let to = response_peer(request, peer);
        if let Some(response) = response(request, code, phrase(code), Some(&tag), &[], None) {
            self.send(Message::Response(response), to);
        }
    }

    fn schedule(&mut self, at: Instant, due: Due) -> (Instant, u64) {
        self.sequence += 1;
        self.due.insert((at, self.sequence), due);
        (at, self.sequence)
    }

    fn clear(&mut self, key: &TransactionKey, timer: Timer) {
        if let Some(at) = self.timer_at.remove(&(key.clone(), timer)) {
            self.due.remove(&at);
        }
    }

    /// A transaction is over: nothing of it stays.
    fn forget(&mut self, key: &TransactionKey) {
        for timer in Timer::ALL {
            self.clear(key, timer);
        }
        self.peers.remove(key);
        self.branches.remove(key);
        self.due.retain(|_, due| !matches!(due, Due::Abandon(k) if k == key));
    }

    fn token(&mut self) -> String {
        format!("{:016x}", self.rng.random::<u64>())
    }

    fn branch(&mut self) -> String {
        format!("z9hG4bK{:016x}{:08x}", self.rng.random::<u64>(), self.rng.random::<u32>())
    }

    /// Our address as `peer` reaches us.
    fn local(&self, peer: &Peer) -> SocketAddr {
        let udp = self.locals.get(peer.via).filter(|l| peer.transport == Transport::Udp && l.transport == Transport::Udp);
        let same = udp.or_else(|| self.locals.iter().find(|l| l.transport == peer.transport)).or(self.locals.first());
        same.map_or(peer.addr, |l| l.bind)
    }

    fn contact(&self, peer: &Peer) -> String {
        let transport = if peer.transport == Transport::Tcp { ";transport=tcp" } else { "" };
        format!("<sip:baton@{}{transport}>", self.local(peer))
    }

    fn via(&mut self, peer: &Peer) -> String {
        let (local, branch) = (self.local(peer), self.branch());
        format!("SIP/2.0/{} {local};branch={branch};rport", peer.transport.token())
    }
}

/// Requests from outside.
impl Core {
    fn request(&mut self, now: Instant, key: &TransactionKey, request: &Request) {
        let headers = &request.headers;
        if request.method == Method::Cancel {
            return self.cancelled(now, key, request);
        }
        if let Method::Other(_) = request.method {
            return self.reply(now, key, request, 501, &[allow()]);
        }
        if !matches!(request.method, Method::Invite | Method::Bye | Method::Options | Method::Register | Method::Info | Method::Update) {
            return self.reply(now, key, request, 405, &[allow()]);
        }
        if !request.uri.scheme().is_sip() && !matches!(request.uri.scheme(), sipx_sip::uri::Scheme::Tel) {
            return self.reply(now, key, request, 416, &[]);
        }
        // §8.2.2.3: nothing that a peer may require is supported.
        let required = values(headers, &HeaderName::Require);
        if !required.is_empty() {
            return self.reply(now, key, request, 420, &[(HeaderName::Unsupported, required.join(", "))]);
        }
        if tag(headers, &HeaderName::To).is_some() {
            return self.in_dialog(now, key, request);
        }
        match request.method {
            Method::Invite => self.invited(now, key, request),
            Method::Register => self.registering(now, key, request),
            Method::Options if self.draining => self.reply(now, key, request, 503, &[retry_after()]),
            Method::Options => {
                let more = [allow(), (HeaderName::Accept, "application/sdp".into()), (HeaderName::Supported, String::new())];
                self.reply(now, key, request, 200, &more[..2]);
            }
            _ => self.reply(now, key, request, 481, &[]),
        }
    }

    fn registering(&mut self, now: Instant, key: &TransactionKey, request: &Request) {
        let headers = &request.headers;
        let Some(peer) = self.legs.current.clone() else { return };
        // Everybody is challenged alike, whether the extension is there or not.
        let authorization = values_whole(request, &HeaderName::Authorization).into_iter().find(|a| a.to_ascii_lowercase().starts_with("digest"));
        let verdict = match &authorization {
            Some(value) => self.verifier.verify(now, value, "REGISTER"),
            None => Verdict::Challenge { stale: false },
        };
        let user = match verdict {
            Verdict::Granted { user } => user,
            Verdict::Challenge { stale } => return self.challenge(now, key, request, stale),
            Verdict::Denied { user, why } => {
                info!(extension = user, source = %peer.addr, why, "registration refused");
                return self.challenge(now, key, request, false);
            }
        };
        let aor = message::party(headers, &HeaderName::To).user;
        if aor != user {
            info!(extension = aor, by = user, source = %peer.addr, why = "an extension registers itself only", "registration refused");
            return self.reply(now, key, request, 403, &[]);
        }
        let default = value(headers, &HeaderName::Expires).and_then(|e| e.parse().ok()).unwrap_or(3_600);
        let rows = values(headers, &HeaderName::Contact);
        let change = if rows.iter().any(|r| r == "*") {
            if rows.len() > 1 || default != 0 {
                return self.reply(now, key, request, 400, &[]);
            }
            Ok(self.registrar.remove_all(&user))
        } else {
            let Some(wanted) = rows.iter().map(|r| wanted(r)).collect::<Option<Vec<_>>>() else {
                return self.reply(now, key, request, 400, &[]);
            };
            let call_id = value(headers, &HeaderName::CallId).unwrap_or_default();
            let cseq = message::cseq(headers).unwrap_or_default();
            self.registrar.register(now, &user, &wanted, default, (&call_id, cseq), &peer)
        };
        match change {
            Ok(change) => {
                let bindings = self.registrar.contacts(now, &user);
                let contacts: Vec<_> = bindings
                    .iter()
                    .map(|b| (HeaderName::Contact, format!("<{}>;expires={}", b.uri, b.until.saturating_duration_since(now).as_secs())))
                    .collect();
                self.reply(now, key, request, 200, &contacts);
                match change {
                    Change::Appeared => {
                        let contact = bindings.first().map(|b| b.uri.clone()).unwrap_or_default();
                        self.events.push_back(SipEvent::Registered { ext: user, contact });
                    }
                    Change::Vanished => self.events.push_back(SipEvent::Unregistered { ext: user }),
                    Change::None => {}
                }
            }
            Err(refusal) => {
                info!(extension = user, source = %peer.addr, code = refusal.code, why = refusal.reason, "registration refused");
                let more: Vec<_> = refusal.min_expires.map(|m| (HeaderName::MinExpires, m.to_string())).into_iter().collect();
                self.reply(now, key, request, refusal.code, &more);
            }
        }
    }

    fn challenge(&mut self, now: Instant, key: &TransactionKey, request: &Request, stale: bool) {
        let challenges: Vec<_> = self.verifier.challenges(now, stale).into_iter().map(|c| (HeaderName::WwwAuthenticate, c)).collect();
        self.reply(now, key, request, 401, &challenges);
    }
}

fn values_whole(request: &Request, name: &HeaderName) -> Vec<String> {
    request.headers.get_all(name).map(|h| String::from_utf8_lossy(&h.value()).trim().to_owned()).collect()
}

/// One Contact of a REGISTER. `None`: it does not parse (400), e.g. a `?` outside brackets.
fn wanted(row: &str) -> Option<Wanted> {
    let address = sipx_sip::headers::Address::parse(row.as_bytes(), "Contact").ok()?;
    if !address.uri.scheme().is_sip() {
        return None;
    }
    let expires = match address.param("expires") {
        // §10.2.1.1: what is no number counts as 3600.
        Some(text) => Some(std::str::from_utf8(text).ok().and_then(|t| t.parse::<u64>().ok()).map_or(3_600, |e| u32::try_from(e).unwrap_or(u32::MAX))),
        None => None,
    };
    Some(Wanted { uri: address.uri.to_string(), expires })
}

fn allow() -> (HeaderName, String) {
    (HeaderName::Allow, message::ALLOW.to_owned())
}

fn retry_after() -> (HeaderName, String) {
    (HeaderName::RetryAfter, "10".to_owned())
}

fn reliability(peer: &Peer) -> Reliability {
    match peer.transport {
        Transport::Udp => Reliability::Unreliable,
        Transport::Tcp => Reliability::Reliable,
    }
}
