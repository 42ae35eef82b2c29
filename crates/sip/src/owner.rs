//! The driver beside the core: one task that owns the core and every connection.
//!
//! It takes from the sockets' bounded channel, from the house's commands and from the clock, and does what the core says. It
//! decides nothing of SIP. What must always hold: nobody waits for the owner but peers on connections, and the owner waits
//! for nobody: datagrams and events that find no room are dropped, counted, or refused with 503.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info, trace, warn};

use crate::api::{SipCommand, SipEvent, Transport};
use crate::core::{Core, CoreOutput};
use crate::defence::source;
use crate::dns::Place;
use crate::endpoint::{BATCH, Shared, View};
use crate::flow::{ConnectionId, Flow};
use crate::guard::FramingError;
use crate::sockets::Socket;
use crate::stream::{self, Connection, Kit, Opening};
use crate::wire;

/// Names kept for the certificates of peers they were looked up for.
const NAMES: usize = 4_096;
/// Messages waiting from which on new work is refused with 503.
const CROWDED: usize = 2_048;

/// What the house orders.
#[derive(Debug)]
pub(crate) enum Order {
    Command(SipCommand),
    Pardon(IpAddr),
}

/// What socket tasks bring to the owner.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// One message.
    Message(Flow, Bytes),
    /// A keepalive on a connection, and its answer.
    Ping(ConnectionId, Bytes),
    /// A stream lost its framing; its reader has stopped.
    Misframed(Flow, FramingError),
    /// Somebody connected.
    Accepted(usize, TcpStream, SocketAddr),
    /// A connection ended.
    Closed(ConnectionId, &'static str),
    /// No connection came about, and why.
    ConnectFailed(ConnectionId, Flow, String),
    /// A host name was looked up for this command.
    Resolved(SipCommand, Place, Vec<(Transport, SocketAddr)>),
    /// A host name was looked up for the core.
    LookedUp(Place, Vec<(Transport, SocketAddr)>),
}

/// The owner of the core.
pub(crate) struct Owner {
    core: Core,
    sockets: Vec<Socket>,
    kit: Arc<Kit>,
    connections: HashMap<ConnectionId, Connection>,
    /// How a peer is reached without connecting: where it came from, and under which address it wants to be known
    /// (RFC 5923).
    by_peer: HashMap<(Transport, SocketAddr), ConnectionId>,
    /// Connections of each source.
    of_source: HashMap<IpAddr, usize>,
    /// The name each address was looked up under; certificates name names.
    names: HashMap<SocketAddr, String>,
    last_connection: u64,
    events: mpsc::Sender<SipEvent>,
    /// Events the house has no room for yet.
    waiting: VecDeque<SipEvent>,
    shared: Arc<Shared>,
    /// Dropped with the owner, and the socket tasks with it.
    _tasks: JoinSet<()>,
}

impl Owner {
    pub fn new(
        core: Core,
        sockets: Vec<Socket>,
        kit: Arc<Kit>,
        events: mpsc::Sender<SipEvent>,
        shared: Arc<Shared>,
        tasks: JoinSet<()>,
    ) -> Self {
        let (connections, by_peer, of_source, names, waiting) = Default::default();
        Self {
            core,
            sockets,
            kit,
            connections,
            by_peer,
            of_source,
            names,
            last_connection: 0,
            events,
            waiting,
            shared,
            _tasks: tasks,
        }
    }

    pub async fn run(mut self, mut arrivals: mpsc::Receiver<Arrival>, mut commands: mpsc::Receiver<Order>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut orders = Vec::with_capacity(BATCH);
        self.carry_out(Instant::now());
        self.publish(Instant::now()); // what was restored
        loop {
            let deadline = self.core.next_deadline();
            tokio::select! {
                _ = arrivals.recv_many(&mut batch, BATCH) => {}
                n = commands.recv_many(&mut orders, BATCH) => if n == 0 { break },
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => {}
                room = self.events.reserve(), if !self.waiting.is_empty() => match (room, self.waiting.pop_front()) {
                    (Ok(room), Some(event)) => room.send(event),
                    _ => break,
                },
            }
            if self.events.is_closed() {
                break;
            }
            let now = Instant::now();
            self.core.set_draining(self.shared.draining.load(Ordering::Relaxed));
            let behind = !self.waiting.is_empty() || self.events.capacity() < self.events.max_capacity() / 4;
            self.core.set_congested(behind || arrivals.len() >= CROWDED);
            for order in orders.drain(..) {
                self.order(now, order);
                self.carry_out(now);
            }
            for arrival in batch.drain(..) {
                self.arrive(now, arrival);
                self.carry_out(now);
            }
            self.core.fire(now);
            self.carry_out(now);
            self.publish(now);
        }
        debug!("the SIP endpoint stops");
    }

    fn order(&mut self, now: Instant, order: Order) {
        let command = match order {
            Order::Command(command) => command,
            Order::Pardon(ip) => return self.core.pardon(now, ip),
        };
        let place = match &command {
            SipCommand::InviteUri { uri, .. } => place_of(uri),
            _ => None,
        };
        let Some(place) = place else { return self.core.command(now, command) };
        let (kit, listeners) = (Arc::clone(&self.kit), self.shared.listeners.clone());
        tokio::spawn(async move {
            let addrs = kit.dns.locate(&place, &listeners).await;
            let _ = kit.arrivals.send(Arrival::Resolved(command, place, addrs)).await;
        });
    }

    fn arrive(&mut self, now: Instant, arrival: Arrival) {
        match arrival {
            Arrival::Message(flow, bytes) => {
                self.copy(&flow, false, &bytes);
                self.core.receive(now, flow, bytes);
            }
            Arrival::Ping(id, answer) => {
                if let Some(connection) = self.connections.get(&id) {
                    connection.send(answer);
                }
            }
            Arrival::Misframed(flow, error) => self.core.misframed(flow, &error),
            Arrival::Accepted(listener, stream, peer) => self.accept(now, listener, stream, peer),
            Arrival::Closed(id, why) => {
                debug!(connection = id.0, why, "connection ended");
                self.close(id);
            }
            Arrival::ConnectFailed(id, flow, why) => {
                info!(to = %flow.remote, transport = %flow.transport, why, "cannot connect");
                self.close(id);
                self.core.unreachable(now, &flow);
            }
            Arrival::Resolved(command, place, addrs) => {
                self.note_names(&place, &addrs);
                self.core.command_to(now, command, addrs.first().map(|(_, addr)| *addr));
            }
            Arrival::LookedUp(place, addrs) => {
                self.note_names(&place, &addrs);
                self.core.looked_up(now, &place, &addrs);
            }
        }
    }

    fn look_up(&self, place: Place) {
        let (kit, listeners) = (Arc::clone(&self.kit), self.shared.listeners.clone());
        tokio::spawn(async move {
            let addrs = kit.dns.locate(&place, &listeners).await;
            let _ = kit.arrivals.send(Arrival::LookedUp(place, addrs)).await;
        });
    }

    /// Certificates name the name that was asked for, not what it stands for (RFC 5922 §4).
    fn note_names(&mut self, place: &Place, addrs: &[(Transport, SocketAddr)]) {
        if self.names.len() >= NAMES {
            self.names.clear(); // looked up again before the next call
        }
        self.names.extend(addrs.iter().map(|(_, addr)| (*addr, place.host.clone())));
    }

    fn accept(&mut self, now: Instant, listener: usize, stream: TcpStream, peer: SocketAddr) {
        let limits = &self.kit.limits;
        let of_peer = self.of_source.get(&source(peer.ip())).copied().unwrap_or(0);
        if self.core.is_banned(now, peer.ip()) {
            return debug!(from = %peer, "connection refused: banned");
        }
        if self.connections.len() >= limits.connections || of_peer >= limits.connections_per_peer {
            return info!(from = %peer, open = self.connections.len(), of_peer, "connection refused: too many are open");
        }
        let bound = self.shared.listeners[listener];
        let local = stream
            .local_addr()
            .map_or_else(|_| bound.towards(peer.ip()), |a| SocketAddr::new(a.ip(), bound.bound.port()));
        let flow = Flow { transport: bound.transport, listener, local, remote: peer, connection: None };
        let id = self.next_connection();
        let connection = stream::open(Opening::Accepted(stream), flow, id, Arc::clone(&self.kit));
        self.keep(id, connection);
    }

    /// Does what the core says, until it says no more.
    fn carry_out(&mut self, now: Instant) {
        while let Some(output) = self.core.poll_output() {
            match output {
                CoreOutput::Send { flow, bytes } => {
                    trace!(to = %flow.remote, transport = %flow.transport, message = %wire::masked(&bytes), "sent");
                    self.copy(&flow, true, &bytes);
                    match flow.transport {
                        Transport::Udp => self.send_udp(now, flow, &bytes),
                        _ => self.send_stream(now, flow, bytes),
                    }
                }
                CoreOutput::Close(id) => self.close(id),
                CoreOutput::Alias(id, addr) => self.alias(id, addr),
                CoreOutput::LookUp(place) => self.look_up(place),
            }
        }
    }

    /// For the capture server, if there is one.
    fn copy(&self, flow: &Flow, sent: bool, bytes: &Bytes) {
        if let Some(hep) = &self.kit.hep {
            hep.copy(flow, sent, bytes);
        }
    }

    fn send_udp(&mut self, now: Instant, flow: Flow, bytes: &Bytes) {
        let Some(Socket::Udp(socket)) = self.sockets.get(flow.listener) else { return };
        match socket.try_send_to(bytes, flow.remote) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed); // what matters is repeated
            }
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {} // of an earlier datagram
            Err(error) => {
                warn!(to = %flow.remote, %error, "datagram not sent");
                self.core.unreachable(now, &flow);
            }
        }
    }

    fn send_stream(&mut self, now: Instant, flow: Flow, bytes: Bytes) {
        let live = flow
            .connection
            .filter(|id| self.connections.contains_key(id))
            .or_else(|| self.by_peer.get(&(flow.transport, flow.remote)).copied());
        let id = match live {
            Some(id) => id,
            None if matches!(flow.transport, Transport::Ws | Transport::Wss) => {
                debug!(to = %flow.remote, "the browser's connection is gone");
                return self.core.unreachable(now, &flow);
            }
            None if self.connections.len() >= self.kit.limits.connections => {
                warn!(to = %flow.remote, "no room for another connection");
                return self.core.unreachable(now, &flow);
            }
            None => {
                let id = self.next_connection();
                let name = self.names.get(&flow.remote).cloned();
                let connection = stream::open(Opening::Connect { name }, flow, id, Arc::clone(&self.kit));
                self.keep(id, connection);
                id
            }
        };
        if self.connections.get(&id).is_some_and(|c| !c.send(bytes)) {
            info!(to = %flow.remote, "peer does not read what it is sent: connection closed");
            self.close(id);
        }
    }

    fn next_connection(&mut self) -> ConnectionId {
        self.last_connection += 1;
        ConnectionId(self.last_connection)
    }

    fn keep(&mut self, id: ConnectionId, connection: Connection) {
        *self.of_source.entry(source(connection.remote.ip())).or_default() += 1;
        self.by_peer.insert((connection.transport, connection.remote), id);
        self.connections.insert(id, connection);
    }

    /// A peer wants requests to that address of its own to come by this connection. Nobody takes an address that another
    /// live connection has.
    fn alias(&mut self, id: ConnectionId, addr: SocketAddr) {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| c.alias.is_none()) else { return };
        if let Entry::Vacant(free) = self.by_peer.entry((connection.transport, addr)) {
            connection.alias = Some(addr);
            free.insert(id);
        }
    }

    fn close(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        for addr in [Some(connection.remote), connection.alias].into_iter().flatten() {
            let key = (connection.transport, addr);
            if self.by_peer.get(&key) == Some(&id) {
                self.by_peer.remove(&key);
            }
        }
        let source = source(connection.remote.ip());
        if let Some(count) = self.of_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.of_source.remove(&source);
            }
        }
        connection.close();
    }

    /// Tells the house, and brings what it may look up to date.
    fn publish(&mut self, now: Instant) {
        while let Some(event) = self.core.poll_event() {
            self.waiting.push_back(event);
        }
        while let Some(event) = self.waiting.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
                self.waiting.push_front(event);
                break;
            }
        }
        for ext in self.core.take_moved() {
            let contacts = self.core.contacts(now, &ext);
            let mut table = self.shared.contacts.write().unwrap_or_else(PoisonError::into_inner);
            if contacts.is_empty() {
                table.remove(&ext);
            } else {
                table.insert(ext, contacts);
            }
        }
        let view = View { sizes: self.core.sizes(), connections: self.connections.len(), core: self.core.counters() };
        if self.core.take_trunks_changed() {
            *self.shared.trunks.write().unwrap_or_else(PoisonError::into_inner) = self.core.trunks();
        }
        *self.shared.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }
}

/// What has to be found out before a URI can be called. Its transport is settled: the call is made by what it says.
fn place_of(uri: &str) -> Option<Place> {
    let uri = wire::Uri::parse(Bytes::copy_from_slice(uri.as_bytes())).ok()?;
    let transport = wire::uri_transport(&uri);
    Some(Place { transport, ..wire::place(&uri)? })
}
