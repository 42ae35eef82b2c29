//! The SIP core: bytes and time in, bytes and events out. It knows no socket, no clock and no task.
//!
//! Feed it with [`Core::receive`], [`Core::command`] and, at [`Core::next_deadline`], [`Core::fire`]; after each, drain
//! [`Core::poll_output`] and [`Core::poll_event`]. What must always hold: a request is refused without state wherever it
//! can be; a new call makes no state once the house is full; every table is empty when its calls are over.

mod bans;
mod calls_in;
mod calls_out;
mod dialog;
mod probe;
mod refer;
mod register;
mod reliable;
mod reoffer;
mod requests;
mod session;
mod spent;
mod transactions;
mod trunks;
mod within;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use sha2::{Digest, Sha256};
use sipx_sip::{Timer, TuEvent, validate_response};
use tracing::{debug, info, trace};

use self::calls_out::{Draft, Placing};
use self::dialog::Dialog;
use self::refer::{Afterlife, Referral, Referring};
use self::reliable::Reliable;
use self::reoffer::Offering;
use self::session::SessionTimer;
use self::transactions::{Effect, Purpose, Told, Transactions, TxId, relax};
use self::trunks::{Attempt, TrunkTimer};
use crate::api::{ContactView, EndCause, LegId, SipCommand, SipConfig, SipEvent, Transport};
use crate::auth::Verifier;
use crate::defence::Bans;
use crate::details::ReferId;
use crate::dns::Place;
use crate::fields::escape_user;
use crate::flow::{ConnectionId, Flow, Listener};
use crate::guard::{self, FramingError};
use crate::ladder::{self, Ladders};
use crate::registrar::{Reach, Registrar};
use crate::sdp::{self, SessionId};
use crate::timer::TimerQueue;
use crate::trunk::{TrunkView, Trunks};
use crate::wire::{self, HeaderName, Message, Request, Response};

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoreOutput {
    /// Send these bytes.
    Send {
        /// Where and by which way.
        flow: Flow,
        /// One whole message.
        bytes: Bytes,
    },
    /// Close a connection whose framing is lost, after what was sent before.
    Close(ConnectionId),
    /// Send what is for this address by that connection too (RFC 5923).
    Alias(ConnectionId, std::net::SocketAddr),
    /// Find out where this is, and tell by [`Core::looked_up`].
    LookUp(Place),
}

/// How full the tables are. After all calls are over all but `bindings` return to zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Client and server transactions.
    pub transactions: usize,
    /// Legs.
    pub legs: usize,
    /// Dialogs that can be found by their tag.
    pub dialogs: usize,
    /// REFERs of peers whose call goes on, and legs that still hear of theirs.
    pub referrals: usize,
    /// Registered contacts.
    pub bindings: usize,
    /// Deadlines, those that mean nothing any more included.
    pub deadlines: usize,
}

/// What the core did besides answering calls, since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CoreCounters {
    /// Requests answered 503 before any state was made.
    pub shed: u64,
    /// Failures counted against sources.
    pub failures: u64,
    /// Messages of banned sources that were not looked at.
    pub ignored: u64,
    /// Bans so far.
    pub bans: u64,
    /// Sources banned now.
    pub banned: usize,
}

/// The SIP core.
pub struct Core {
    config: SipConfig,
    listeners: Vec<Listener>,
    rng: StdRng,
    /// Makes the tags of answers given without state (RFC 3261 §8.2.7).
    secret: [u8; 32],
    tx: Transactions,
    timers: TimerQueue<Deadline>,
    legs: HashMap<LegId, Leg>,
    /// Our tag → the leg it belongs to.
    dialogs: HashMap<String, LegId>,
    /// REFERs of peers.
    referrals: HashMap<ReferId, Referral>,
    /// Our tag → a dialog whose leg is gone and whose NOTIFYs still come.
    afterlife: HashMap<String, Afterlife>,
    last_refer: u64,
    registrar: Registrar,
    verifier: Verifier,
    /// Extensions whose contacts will be asked.
    qualifying: HashSet<String>,
    trunks: Trunks,
    /// Calls on their way out by a trunk.
    attempts: HashMap<LegId, Attempt>,
    /// Knows the passwords trunks' calls must prove.
    callers: Verifier,
    bans: Bans,
    counters: CoreCounters,
    /// The messages of calls of late.
    ladders: Ladders,
    /// The time last told.
    heard: Instant,
    outputs: VecDeque<CoreOutput>,
    events: VecDeque<SipEvent>,
    /// Extensions whose contacts changed.
    moved: Vec<String>,
    received_legs: u64,
    draining: bool,
    congested: bool,
}

/// Why the core wants to be woken.
#[derive(Debug)]
enum Deadline {
    Transaction(TxId, Timer),
    /// A CANCEL was sent and the INVITE still has no final answer, or a re-INVITE has none.
    GiveUp(TxId),
    /// A REFER of the peer's takes too long.
    Refer(ReferId),
    /// Nothing more is expected for this tag of ours.
    Afterlife(Box<str>),
    Leg(LegId, LegTimer),
    Binding(String),
    /// An extension's contacts are to be asked whether they are there.
    Qualify(String),
    Trunk(usize, TrunkTimer),
    /// A target of a trunk has said nothing to an INVITE.
    Patience(LegId, TxId),
    /// A ban's time is over.
    Ban(IpAddr),
}

/// Deadlines of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LegTimer {
    /// Repeat the 2xx, or give up on its ACK.
    Repeat2xx,
    /// Repeat a reliable provisional answer, or give up on its PRACK.
    RepeatReliable,
    /// Glare is over: offer again.
    Offer,
    /// The peer never told what became of our REFER.
    Referring,
    /// The call we placed has rung long enough.
    Ring,
    /// Look whether the session is to be refreshed, or was not.
    Session,
}

/// A call's leg as SIP sees it.
#[derive(Debug)]
struct Leg {
    phase: Phase,
    /// There from the start for a call that came in; from the 2xx on for one we placed.
    dialog: Option<Dialog>,
    /// We placed it: the Call-ID is ours.
    placed: bool,
    /// User part of our Contact.
    user: String,
    session: SessionId,
    /// What we last described ourselves as.
    described: Option<String>,
    /// Our 2xx to an INVITE that waits for its ACK.
    unacked: Option<Unacked>,
    /// A re-INVITE or UPDATE of theirs that waits for the house.
    reoffer: Option<TxId>,
    /// A BYE of ours that waits for the ACK (RFC 3261 §15), with its Reason.
    bye: Option<Option<String>>,
    /// A re-INVITE or UPDATE of ours that is not answered.
    refreshing: Option<TxId>,
    /// An offer of ours, sent or waiting.
    offering: Option<Box<Offering>>,
    /// Our provisional answers that want PRACK.
    reliable: Option<Box<Reliable>>,
    /// The peer's INVITE lists UPDATE.
    peer_updates: bool,
    /// A REFER of ours whose end is not known.
    referring: Option<Box<Referring>>,
    timer: Option<SessionTimer>,
}

#[derive(Debug)]
enum Phase {
    /// A call that came in and has no final answer.
    Incoming { tx: TxId, offered: bool },
    /// A call we place.
    Placing(Placing),
    /// Answered.
    Up,
}

#[derive(Debug)]
struct Unacked {
    cseq: u32,
    flow: Flow,
    bytes: Bytes,
    pause: Duration,
    next: Instant,
    give_up: Instant,
    /// The 2xx carried our offer: the ACK brings the answer.
    offered_by_us: bool,
    initial: bool,
}

impl Core {
    /// A core for these listeners. `seed` must be random and private: tags, branches and nonces are made of it.
    pub fn new(now: Instant, config: SipConfig, listeners: Vec<Listener>, seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let (mut secret, mut key) = ([0; 32], [0; 32]);
        rng.fill_bytes(&mut secret);
        rng.fill_bytes(&mut key);
        let users = config.extensions.iter().map(|e| (e.ext.clone(), e.ha1.clone())).collect();
        let inbound = config.trunks.iter().filter_map(|t| t.inbound.clone());
        let callers = inbound.map(|i| (i.ext, i.ha1)).collect();
        let mut caller_key = [0; 32];
        rng.fill_bytes(&mut caller_key);
        let limits = &config.limits;
        let mut core = Self {
            registrar: Registrar::new(limits.min_expires, limits.max_expires, limits.contacts),
            verifier: Verifier::new(now, &config.domain, users, config.sha256, key),
            trunks: Trunks::new(now, config.trunks.clone()),
            attempts: HashMap::new(),
            callers: Verifier::new(now, &config.domain, callers, config.sha256, caller_key),
            bans: Bans::new(config.defence.clone()),
            counters: CoreCounters::default(),
            tx: Transactions::new(config.udp_max, &listeners),
            listeners,
            rng,
            secret,
            timers: TimerQueue::new(),
            legs: HashMap::new(),
            dialogs: HashMap::new(),
            referrals: HashMap::new(),
            afterlife: HashMap::new(),
            last_refer: 0,
            ladders: Ladders::new(config.limits.traced_calls),
            heard: now,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            moved: Vec::new(),
            received_legs: 0,
            draining: false,
            congested: false,
            qualifying: HashSet::new(),
            config,
        };
        core.restore(now);
        core.start_trunks(now);
        core
    }

    /// One datagram, or one message cut from a stream.
    pub fn receive(&mut self, now: Instant, flow: Flow, bytes: Bytes) {
        if guard::is_keepalive(&bytes) {
            return;
        }
        trace!(from = %flow.remote, transport = %flow.transport, message = %wire::masked(&bytes), "received");
        if let Err(refusal) = guard::check(&bytes) {
            self.refuse_bytes(flow, &bytes, refusal.status(), &refusal.to_string());
            return;
        }
        let parsed = wire::parse(bytes.clone());
        if self.bans.is_banned(now, flow.remote.ip()) && !self.is_of_a_call(&parsed) {
            self.counters.ignored += 1;
            return;
        }
        self.heard = now;
        if let Some(glance) = ladder::glance(&bytes) {
            self.ladders.note(now, false, &flow, glance);
        }
        match parsed {
            Ok(Message::Request(request)) => self.on_request(now, flow, request),
            Ok(Message::Response(response)) => self.on_response(now, flow, response),
            Err(why) => self.refuse_bytes(flow, &bytes, 400, &why),
        }
        self.pump();
    }

    /// A stream cannot be cut into messages any more.
    pub fn misframed(&mut self, flow: Flow, error: &FramingError) {
        self.refuse_bytes(flow, &error.head, error.status, error.why);
        if let Some(connection) = flow.connection {
            self.outputs.push_back(CoreOutput::Close(connection));
        }
    }

    /// The driver could not deliver along a flow.
    pub fn unreachable(&mut self, now: Instant, flow: &Flow) {
        let told = self.tx.unreachable(now, flow);
        self.heed(now, told);
        self.pump();
    }

    /// Does what the house wants.
    pub fn command(&mut self, now: Instant, command: SipCommand) {
        self.command_to(now, command, None);
    }

    /// Like [`Core::command`], where the host name of an `InviteUri` was resolved to `addr`.
    pub fn command_to(&mut self, now: Instant, command: SipCommand, addr: Option<std::net::SocketAddr>) {
        self.heard = now;
        match command {
            SipCommand::Ring { leg } => self.progress(now, leg, 180, None),
            SipCommand::Progress { leg, code, sdp } => self.progress(now, leg, code, sdp),
            SipCommand::Answer { leg, sdp } => self.answer_call(now, leg, &sdp),
            SipCommand::Reject { leg, code, reason } => self.reject(now, leg, code, reason.as_deref()),
            SipCommand::Invite { leg, ext, from_user, from_display, headers, sdp } => {
                self.invite_extension(
                    now,
                    leg,
                    &ext,
                    &Draft { from_user, from_display, headers, sdp, ..Draft::default() },
                );
            }
            SipCommand::InviteUri { leg, uri, from_user, from_display, headers, sdp } => {
                self.invite_uri(
                    now,
                    leg,
                    &uri,
                    addr,
                    &Draft { from_user, from_display, headers, sdp, ..Draft::default() },
                );
            }
            SipCommand::InviteTrunk { leg, trunk, number, from_user, from_display, headers, sdp } => {
                let draft = Draft { from_user, from_display, headers, sdp, ..Draft::default() };
                self.invite_trunk(now, leg, &trunk, &number, draft);
            }
            SipCommand::Cancel { leg } => self.cancel(now, leg, None),
            SipCommand::CancelFor { leg, reason } => self.cancel(now, leg, Some(reason)),
            SipCommand::Bye { leg, reason } => self.hang_up(now, leg, reason),
            SipCommand::AnswerReoffer { leg, sdp } => self.answer_reoffer(now, leg, sdp),
            SipCommand::Reoffer { leg, sdp } => self.reoffer(now, leg, sdp),
            SipCommand::Hold { leg } => self.offer_direction(now, leg, sdp::Direction::SendOnly),
            SipCommand::Resume { leg } => self.offer_direction(now, leg, sdp::Direction::SendRecv),
            SipCommand::Refer { leg, to, replaces, referred_by } => self.refer(now, leg, &to, replaces, referred_by),
            SipCommand::AcceptRefer { refer, .. } => self.accept_refer(now, refer),
            SipCommand::RejectRefer { refer, code, .. } => self.reject_refer(now, refer, code),
            SipCommand::ReferStatus { refer, code, reason, .. } => self.refer_status(now, refer, code, reason),
        }
        self.pump();
    }

    /// Does what is due.
    pub fn fire(&mut self, now: Instant) {
        self.heard = now;
        while let Some((at, deadline)) = self.timers.due(now) {
            match deadline {
                Deadline::Transaction(id, timer) => {
                    let told = self.tx.fire(now, at, id, timer);
                    self.heed(now, told);
                }
                Deadline::GiveUp(id) => {
                    let open = self.tx.client(id).is_some_and(|(_, _, open)| open);
                    match self.tx.purpose(id) {
                        Some(Purpose::Refresh(leg, _)) if open => {
                            let leg = *leg;
                            self.on_refresh_stuck(now, id, leg);
                        }
                        _ if open => {
                            debug!("a cancelled call was never answered: given up");
                            self.tx.abandon(id);
                        }
                        _ => {}
                    }
                }
                Deadline::Refer(refer) => self.on_refer_timer(now, at, refer),
                Deadline::Afterlife(tag) => drop(self.afterlife.remove(&*tag)),
                Deadline::Leg(leg, timer) => self.on_leg_timer(now, at, leg, timer),
                Deadline::Binding(ext) => {
                    if self.registrar.expire(now, &ext) {
                        info!(extension = ext, "registration ran out");
                        self.events.push_back(SipEvent::Unregistered { ext: ext.clone() });
                    }
                    self.tell_registrations(now, &ext);
                    self.moved.push(ext);
                }
                Deadline::Qualify(ext) => self.qualify(now, &ext),
                Deadline::Trunk(trunk, timer) => self.on_trunk_timer(now, trunk, timer),
                Deadline::Patience(leg, id) => self.on_patience(now, leg, id),
                Deadline::Ban(source) => self.end_ban(now, source),
            }
            self.pump();
        }
    }

    /// When [`Core::fire`] is to be called next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// What is to be sent next.
    pub fn poll_output(&mut self) -> Option<CoreOutput> {
        self.outputs.pop_front()
    }

    /// What the house is told next.
    pub fn poll_event(&mut self) -> Option<SipEvent> {
        self.events.pop_front()
    }

    /// New calls and OPTIONS get 503 while draining.
    pub fn set_draining(&mut self, on: bool) {
        self.draining = on;
    }

    /// New calls get 503 while the house does not keep up with events.
    pub fn set_congested(&mut self, on: bool) {
        self.congested = on;
    }

    /// Where an extension is now.
    pub fn contacts(&self, now: Instant, ext: &str) -> Vec<ContactView> {
        let view = |b: &crate::registrar::Binding| ContactView {
            uri: b.uri.clone(),
            source: b.flow.remote,
            transport: b.flow.transport,
            user_agent: b.user_agent.clone(),
            reachable: b.reach != Reach::Silent,
        };
        self.registrar.contacts(now, ext).map(view).collect()
    }

    /// The extensions whose contacts changed since this was last asked.
    pub fn take_moved(&mut self) -> Vec<String> {
        std::mem::take(&mut self.moved)
    }

    /// The messages of calls of late; what comes later is in it, too.
    pub fn ladders(&self) -> Ladders {
        self.ladders.clone()
    }

    /// Whether a trunk changed since this was last asked.
    pub fn take_trunks_changed(&mut self) -> bool {
        self.trunks.take_changed()
    }

    /// How the trunks are.
    pub fn trunks(&self) -> Vec<TrunkView> {
        self.trunks.views()
    }

    /// How full the tables are.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            transactions: self.tx.len(),
            legs: self.legs.len(),
            dialogs: self.dialogs.len(),
            referrals: self.referrals.len() + self.afterlife.len(),
            bindings: self.registrar.len(),
            deadlines: self.timers.len(),
        }
    }
}

/// Shared by the core's parts.
impl Core {
    fn on_response(&mut self, now: Instant, flow: Flow, response: Response) {
        let findings = validate_response(&response);
        if !findings.is_empty() {
            debug!(from = %flow.remote, ?findings, "response dropped");
            return;
        }
        let (known, told) = self.tx.answered(now, response);
        if !known {
            debug!(from = %flow.remote, "response without a request of ours dropped");
        }
        self.heed(now, told);
    }

    /// Deals with what transactions tell.
    fn heed(&mut self, now: Instant, told: Vec<Told>) {
        for Told { id, event } in told {
            match (event, self.tx.purpose(id)) {
                (TuEvent::Ack(ack), _) => self.on_ack(now, &ack),
                (TuEvent::Response(response), Some(Purpose::Call(_))) => self.on_call_response(now, id, &response),
                (TuEvent::Timeout, Some(Purpose::Call(_))) => {
                    self.on_call_failure(now, id, 408, "no answer to the INVITE")
                }
                (TuEvent::TransportError, Some(Purpose::Call(_))) => {
                    self.on_call_failure(now, id, 503, "the peer cannot be reached")
                }
                (event, Some(Purpose::Refresh(leg, _))) => {
                    let leg = *leg;
                    self.on_refresh_event(now, id, leg, event);
                }
                (event, Some(Purpose::Probe(_))) => self.on_probe_event(now, id, event),
                (event, Some(Purpose::Refer(leg))) => {
                    let leg = *leg;
                    self.on_refer_event(now, id, leg, &event);
                }
                (event, Some(Purpose::Notify(refer))) => {
                    let refer = *refer;
                    self.on_notify_event(now, refer, &event);
                }
                (TuEvent::Timeout | TuEvent::TransportError, _) => debug!("a transaction ended without its answer"),
                _ => {}
            }
            self.tx.settle(id);
        }
    }

    /// Moves what the transactions want done to where it is done, in order.
    fn pump(&mut self) {
        for effect in self.tx.take_effects() {
            match effect {
                Effect::Send(flow, bytes) => self.put_out(flow, bytes),
                Effect::Timer(at, id, timer) => self.timers.set(at, Deadline::Transaction(id, timer)),
            }
        }
        self.drop_stale();
    }

    /// Drops the first deadlines while they mean nothing any more: nobody is to be woken for them.
    fn drop_stale(&mut self) {
        while let Some((at, first)) = self.timers.first() {
            let live = match first {
                Deadline::Transaction(id, timer) => self.tx.awaits(*id, *timer, at),
                Deadline::GiveUp(id) => self.tx.client(*id).is_some_and(|(_, _, open)| open),
                Deadline::Leg(leg, LegTimer::Repeat2xx) => {
                    self.legs.get(leg).is_some_and(|l| l.unacked.as_ref().is_some_and(|u| u.next == at))
                }
                Deadline::Leg(leg, _) => self.legs.contains_key(leg),
                _ => true,
            };
            if live || self.timers.due(at).is_none() {
                return;
            }
        }
    }

    /// Sends outside of any transaction, behind all that was sent before.
    fn send_bytes(&mut self, flow: Flow, bytes: Bytes) {
        self.pump();
        self.put_out(flow, bytes);
    }

    fn put_out(&mut self, flow: Flow, bytes: Bytes) {
        if let Some(glance) = ladder::glance(&bytes) {
            self.ladders.note(self.heard, true, &flow, glance);
        }
        self.outputs.push_back(CoreOutput::Send { flow, bytes });
    }

    /// The messages of a new call are kept from here on.
    fn open_ladder(&mut self, call_id: &str, leg: LegId) {
        self.ladders.open(self.heard, call_id, leg);
    }

    fn on_leg_timer(&mut self, now: Instant, at: Instant, leg: LegId, timer: LegTimer) {
        match timer {
            LegTimer::Repeat2xx => self.on_2xx_timer(now, at, leg),
            LegTimer::RepeatReliable => self.on_reliable_timer(now, at, leg),
            LegTimer::Offer => self.try_offer(now, leg),
            LegTimer::Referring => self.on_referring_timer(at, leg),
            LegTimer::Ring => self.on_ring_timer(now, leg),
            LegTimer::Session => self.on_session_timer(now, at, leg),
        }
    }

    /// Answers by a server transaction.
    fn respond(&mut self, now: Instant, id: TxId, response: Option<Response>) {
        if let Some(response) = response {
            let told = self.tx.respond(now, id, response);
            self.heed(now, told);
        }
    }

    /// Answers a request and forgets it.
    fn reply(&mut self, flow: Flow, request: &Request, code: u16, why: &str, extra: &[(HeaderName, &str)]) {
        debug!(from = %flow.remote, method = %request.method, code, why, "request answered without state");
        let tag = self.stateless_tag(request);
        let reason = (code == 503).then_some(why);
        self.counters.shed += u64::from(code == 503);
        let Some(mut response) = wire::answer(request, code, reason, Some(&tag), &self.config.user_agent) else {
            return;
        };
        for (name, value) in extra {
            wire::push(&mut response.headers, name.clone(), *value);
        }
        wire::finish(&mut response.headers, None);
        let flow = wire::reply_flow(&request.headers, flow);
        self.send_bytes(flow, wire::bytes_of(&Message::Response(response)));
    }

    fn refuse_bytes(&mut self, flow: Flow, bytes: &[u8], code: u16, why: &str) {
        debug!(from = %flow.remote, transport = %flow.transport, code, why, "message refused");
        let tag = self.hash_tag(&bytes[..bytes.len().min(2_048)]);
        if let Some((flow, bytes)) = wire::salvage(bytes, code, &tag, flow) {
            self.send_bytes(flow, bytes);
        }
    }

    /// The same tag for every copy of a request (RFC 3261 §8.2.7).
    fn stateless_tag(&self, request: &Request) -> String {
        let headers = &request.headers;
        let cseq = wire::cseq(headers).map_or(0, |c| c.sequence);
        let of = format!(
            "{}\0{}\0{cseq}",
            wire::call_id(headers),
            wire::text(headers, &HeaderName::From).unwrap_or_default()
        );
        self.hash_tag(of.as_bytes())
    }

    fn hash_tag(&self, of: &[u8]) -> String {
        let hash = Sha256::new().chain_update(self.secret).chain_update(of).finalize();
        hash[..8].iter().map(|b| format!("{b:02x}")).collect()
    }

    fn random_hex(&mut self) -> String {
        format!("{:024x}", self.rng.random::<u128>() >> 32)
    }

    /// A listener's own flow towards an address.
    fn flow_to(&self, transport: Transport, remote: std::net::SocketAddr) -> Option<Flow> {
        let fits = |l: &&Listener| l.transport == transport && l.reaches(remote.ip());
        let listener = self.listeners.iter().position(|l| fits(&l))?;
        let local = self.listeners[listener].towards(remote.ip());
        Some(Flow { transport, listener, local, remote, connection: None })
    }

    /// Puts the top Via on a request of ours.
    fn add_via(&mut self, request: &mut Request, flow: Flow) {
        let branch = self.random_hex();
        // RFC 5923 §5: what the peer has for us may come by the connection this goes by.
        let alias = if flow.transport.is_stream() { ";alias" } else { "" };
        let via = format!("SIP/2.0/{} {};branch=z9hG4bK{branch};rport{alias}", flow.transport.token(), flow.local);
        if let Ok(header) = wire::Header::build(HeaderName::Via, via) {
            request.headers.push_front(header);
        }
    }

    /// Our Contact along a flow.
    fn contact(user: &str, flow: Flow) -> String {
        let transport = flow.transport.uri_parameter();
        let at = if user.is_empty() { String::new() } else { format!("{}@", escape_user(user)) };
        format!("<sip:{at}{}{transport}>", flow.local)
    }

    /// Our description under the leg's own session id, the version raised where anything changed (RFC 3264 §8).
    fn describe(leg: &mut Leg, text: &str) -> String {
        let text = sdp::with_session(text, SessionId { id: leg.session.id, version: 0 });
        if leg.described.as_ref().is_some_and(|last| *last != text) {
            leg.session = leg.session.changed();
        }
        let current = sdp::with_session(&text, leg.session);
        leg.described = Some(text);
        current
    }

    /// Forgets a leg and tells of its end.
    fn end(&mut self, now: Instant, leg: LegId, cause: EndCause, reason: Option<String>) {
        self.forget(now, leg);
        self.events.push_back(SipEvent::Ended { leg, cause, reason });
    }

    fn forget(&mut self, now: Instant, leg: LegId) -> Option<Leg> {
        self.trunks.release(leg);
        self.attempts.remove(&leg);
        let gone = self.legs.remove(&leg)?;
        relax(&mut self.legs);
        relax(&mut self.dialogs);
        if let Some(open) = gone.reoffer {
            self.give_up_server(now, open, "");
        }
        if let Phase::Placing(placing) = &gone.phase {
            for tag in &placing.tags {
                self.dialogs.remove(tag);
            }
        }
        if let Some(dialog) = &gone.dialog {
            self.dialogs.remove(&dialog.local_tag);
            self.outlive(now, leg, dialog, gone.referring.is_some());
        }
        Some(gone)
    }
}

impl Leg {
    fn new(phase: Phase, user: String) -> Self {
        Self {
            placed: matches!(phase, Phase::Placing(_)),
            phase,
            dialog: None,
            user,
            session: SessionId::next(),
            described: None,
            unacked: None,
            reoffer: None,
            bye: None,
            refreshing: None,
            offering: None,
            reliable: None,
            peer_updates: false,
            referring: None,
            timer: None,
        }
    }
}
