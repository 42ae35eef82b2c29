//! The driver beside the core: sockets, one task that owns the core, and the handle of the house.
//!
//! Socket tasks feed one bounded channel; the owner takes from it, from the house's commands and from the clock, and does
//! what the core says. It decides nothing of SIP. What must always hold: nobody waits for the owner but TCP peers, and the
//! owner waits for nobody: datagrams and events that find no room are dropped, counted, or refused with 503.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info, trace, warn};

use crate::api::{ContactView, LegId, SipCommand, SipConfig, SipEvent, Transport};
use crate::core::{Core, CoreOutput, Sizes};
use crate::flow::{ConnectionId, Flow, Listener};
use crate::guard::FramingError;
use crate::tcp::{self, Connection};
use crate::wire;

/// Messages that may wait for the owner.
const ARRIVALS: usize = 4_096;
/// Commands that may wait for the owner.
const COMMANDS: usize = 4_096;
/// Datagrams read at one wake of a socket, and messages dealt with at one wake of the owner.
const BATCH: usize = 64;

/// Why the endpoint cannot start. Nothing stays open.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process, or another listener of the config, has the port.
    #[error("{transport} port {addr} is in use; stop what listens there (`ss -lnp` shows it) or change [sip] listen")]
    PortInUse {
        /// Over what.
        transport: Transport,
        /// Where.
        addr: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {transport} {addr}: {cause}")]
    Listen {
        /// Over what.
        transport: Transport,
        /// Where.
        addr: SocketAddr,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The config names no listener.
    #[error("no SIP listener is configured")]
    NoListener,
}

/// A command was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// The endpoint has stopped.
    #[error("the SIP endpoint has stopped")]
    Stopped,
    /// More commands wait than it can hold.
    #[error("the SIP endpoint is overloaded")]
    Full,
}

/// The house's handle. The endpoint stops when the last one, or the receiver of events, is dropped.
#[derive(Debug, Clone)]
pub struct SipHandle {
    commands: mpsc::Sender<SipCommand>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    placed_legs: AtomicU64,
    draining: AtomicBool,
    dropped: AtomicU64,
    listeners: Vec<Listener>,
    contacts: RwLock<HashMap<String, Vec<ContactView>>>,
    sizes: RwLock<Sizes>,
}

impl SipHandle {
    /// A leg for a call to be placed.
    pub fn new_leg(&self) -> LegId {
        LegId(self.shared.placed_legs.fetch_add(1, Ordering::Relaxed) * 2 + 1)
    }

    /// Orders something. Does not wait; what comes of it is told by events.
    pub fn send(&self, command: SipCommand) -> Result<(), Gone> {
        self.commands.try_send(command).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Gone::Full,
            mpsc::error::TrySendError::Closed(_) => Gone::Stopped,
        })
    }

    /// The address of the first listener of a transport, with its real port.
    pub fn local_addr(&self, transport: Transport) -> Option<SocketAddr> {
        self.shared.listeners.iter().find(|l| l.transport == transport).map(|l| l.bound)
    }

    /// Where an extension is registered now.
    pub fn contacts(&self, ext: &str) -> Vec<ContactView> {
        let contacts = self.shared.contacts.read().unwrap_or_else(PoisonError::into_inner);
        contacts.get(ext).cloned().unwrap_or_default()
    }

    /// While on, new calls and OPTIONS get 503; live calls go on.
    pub fn drain(&self, on: bool) {
        self.shared.draining.store(on, Ordering::Relaxed);
    }

    /// How full the tables are.
    pub fn sizes(&self) -> Sizes {
        *self.shared.sizes.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Datagrams that were dropped because the owner did not keep up.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

/// Binds every listener, then starts serving.
pub async fn start(config: SipConfig) -> Result<(SipHandle, mpsc::Receiver<SipEvent>), StartError> {
    if config.listen.is_empty() {
        return Err(StartError::NoListener);
    }
    let (mut listeners, mut sockets) = (Vec::new(), Vec::new());
    for listen in &config.listen {
        let failed = |cause: io::Error| match cause.kind() {
            io::ErrorKind::AddrInUse => StartError::PortInUse { transport: listen.transport, addr: listen.bind },
            _ => StartError::Listen { transport: listen.transport, addr: listen.bind, cause },
        };
        let (socket, bound) = match listen.transport {
            Transport::Udp => {
                let socket = UdpSocket::bind(listen.bind).await.map_err(failed)?;
                let bound = socket.local_addr().map_err(failed)?;
                (Socket::Udp(Arc::new(socket)), bound)
            }
            Transport::Tcp => {
                let listener = TcpListener::bind(listen.bind).await.map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                (Socket::Tcp(Arc::new(listener)), bound)
            }
        };
        info!(transport = %listen.transport, addr = %bound, "SIP listens");
        let (v4, v6) = match config.advertised {
            Some(IpAddr::V4(ip)) => (Some(ip), None),
            Some(IpAddr::V6(ip)) => (None, Some(ip)),
            None => default_route(),
        };
        listeners.push(Listener { transport: listen.transport, bound, v4, v6 });
        sockets.push(socket);
    }
    let shared = Arc::new(Shared {
        placed_legs: AtomicU64::new(0),
        draining: AtomicBool::new(false),
        dropped: AtomicU64::new(0),
        listeners: listeners.clone(),
        contacts: RwLock::default(),
        sizes: RwLock::default(),
    });
    let (arrivals_in, arrivals) = mpsc::channel(ARRIVALS);
    let (commands_in, commands) = mpsc::channel(COMMANDS);
    let (events, events_out) = mpsc::channel(config.limits.events.max(16));
    let mut tasks = JoinSet::new();
    for (i, socket) in sockets.iter().enumerate() {
        match socket {
            Socket::Udp(udp) => {
                tasks.spawn(read_udp(Arc::clone(udp), listeners[i], i, arrivals_in.clone(), Arc::clone(&shared)))
            }
            Socket::Tcp(tcp) => tasks.spawn(accept_tcp(Arc::clone(tcp), i, arrivals_in.clone())),
        };
    }
    let limits = config.limits.clone();
    let core = Core::new(Instant::now(), config, listeners, rand::random());
    let owner = Owner {
        core,
        sockets,
        limits,
        arrivals: arrivals_in,
        connections: HashMap::new(),
        by_peer: HashMap::new(),
        last_connection: 0,
        events,
        waiting: VecDeque::new(),
        shared: Arc::clone(&shared),
        _tasks: tasks,
    };
    tokio::spawn(owner.run(arrivals, commands));
    Ok((SipHandle { commands: commands_in, shared }, events_out))
}

/// What socket tasks bring to the owner.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// One message.
    Message(Flow, Bytes),
    /// CRLF CRLF on a connection.
    Ping(Flow),
    /// A stream lost its framing; its reader has stopped.
    Misframed(Flow, FramingError),
    /// Somebody connected.
    Accepted(usize, TcpStream, SocketAddr),
    /// A connection ended.
    Closed(ConnectionId, &'static str),
    /// Nobody answers there.
    ConnectFailed(ConnectionId, Flow),
    /// A host name was looked up for this command.
    Resolved(SipCommand, Option<SocketAddr>),
}

enum Socket {
    Udp(Arc<UdpSocket>),
    Tcp(Arc<TcpListener>),
}

struct Owner {
    core: Core,
    sockets: Vec<Socket>,
    limits: crate::api::Limits,
    arrivals: mpsc::Sender<Arrival>,
    connections: HashMap<ConnectionId, Connection>,
    by_peer: HashMap<SocketAddr, ConnectionId>,
    last_connection: u64,
    events: mpsc::Sender<SipEvent>,
    /// Events the house has no room for yet.
    waiting: VecDeque<SipEvent>,
    shared: Arc<Shared>,
    /// Dropped with the owner, and the socket tasks with it.
    _tasks: JoinSet<()>,
}

impl Owner {
    async fn run(mut self, mut arrivals: mpsc::Receiver<Arrival>, mut commands: mpsc::Receiver<SipCommand>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut orders = Vec::with_capacity(BATCH);
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
            self.core
                .set_congested(!self.waiting.is_empty() || self.events.capacity() < self.events.max_capacity() / 4);
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

    fn order(&mut self, now: Instant, command: SipCommand) {
        let name = match &command {
            SipCommand::InviteUri { uri, .. } => host_to_resolve(uri),
            _ => None,
        };
        let Some((host, port)) = name else { return self.core.command(now, command) };
        let (arrivals, shared) = (self.arrivals.clone(), Arc::clone(&self.shared));
        tokio::spawn(async move {
            let reached = |addr: &SocketAddr| shared.listeners.iter().any(|l| l.reaches(addr.ip()));
            let addr = lookup_host((host.as_str(), port)).await.ok().and_then(|mut found| found.find(reached));
            let _ = arrivals.send(Arrival::Resolved(command, addr)).await;
        });
    }

    fn arrive(&mut self, now: Instant, arrival: Arrival) {
        match arrival {
            Arrival::Message(flow, bytes) => self.core.receive(now, flow, bytes),
            Arrival::Ping(flow) => {
                if let Some(connection) = flow.connection.and_then(|id| self.connections.get(&id)) {
                    connection.send(Bytes::from_static(b"\r\n"));
                }
            }
            Arrival::Misframed(flow, error) => self.core.misframed(flow, &error),
            Arrival::Accepted(listener, stream, peer) => self.accept(listener, stream, peer),
            Arrival::Closed(id, why) => {
                debug!(connection = id.0, why, "connection ended");
                self.close(id);
            }
            Arrival::ConnectFailed(id, flow) => {
                debug!(to = %flow.remote, "cannot connect");
                self.close(id);
                self.core.unreachable(now, &flow);
            }
            Arrival::Resolved(command, addr) => self.core.command_to(now, command, addr),
        }
    }

    fn accept(&mut self, listener: usize, stream: TcpStream, peer: SocketAddr) {
        let of_peer = self.connections.values().filter(|c| c.remote.ip() == peer.ip()).count();
        if self.connections.len() >= self.limits.connections || of_peer >= self.limits.connections_per_peer {
            info!(from = %peer, "connection refused: too many");
            return;
        }
        let _ = stream.set_nodelay(true);
        let bound = self.shared.listeners[listener];
        let local = stream
            .local_addr()
            .map_or_else(|_| bound.towards(peer.ip()), |a| SocketAddr::new(a.ip(), bound.bound.port()));
        let flow = Flow { transport: Transport::Tcp, listener, local, remote: peer, connection: None };
        let id = self.next_connection();
        let connection = tcp::accepted(stream, flow, id, &self.limits, self.arrivals.clone());
        self.keep(id, connection);
    }

    /// Does what the core says, until it says no more.
    fn carry_out(&mut self, now: Instant) {
        while let Some(output) = self.core.poll_output() {
            match output {
                CoreOutput::Send { flow, bytes } => {
                    trace!(to = %flow.remote, transport = %flow.transport, message = %wire::masked(&bytes), "sent");
                    match flow.transport {
                        Transport::Udp => self.send_udp(now, flow, &bytes),
                        Transport::Tcp => self.send_tcp(flow, bytes),
                    }
                }
                CoreOutput::Close(id) => self.close(id),
            }
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

    fn send_tcp(&mut self, flow: Flow, bytes: Bytes) {
        let live = flow
            .connection
            .filter(|id| self.connections.contains_key(id))
            .or_else(|| self.by_peer.get(&flow.remote).copied());
        let id = match live {
            Some(id) => id,
            None if self.connections.len() >= self.limits.connections => {
                return warn!(to = %flow.remote, "no room for another connection");
            }
            None => {
                let id = self.next_connection();
                let connection = tcp::connect(flow, id, &self.limits, self.arrivals.clone());
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
        self.by_peer.insert(connection.remote, id);
        self.connections.insert(id, connection);
    }

    fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id) {
            if self.by_peer.get(&connection.remote) == Some(&id) {
                self.by_peer.remove(&connection.remote);
            }
            connection.close();
        }
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
        *self.shared.sizes.write().unwrap_or_else(PoisonError::into_inner) = self.core.sizes();
    }
}

async fn read_udp(
    socket: Arc<UdpSocket>,
    bound: Listener,
    listener: usize,
    arrivals: mpsc::Sender<Arrival>,
    shared: Arc<Shared>,
) {
    let mut buffer = vec![0; 65_536];
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        for _ in 0..BATCH {
            let (n, remote) = match socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => continue, // an ICMP error of something we sent
            };
            let flow = Flow {
                transport: Transport::Udp,
                listener,
                local: bound.towards(remote.ip()),
                remote,
                connection: None,
            };
            let arrival = Arrival::Message(flow, Bytes::copy_from_slice(&buffer[..n]));
            match arrivals.try_send(arrival) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    shared.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn accept_tcp(tcp: Arc<TcpListener>, listener: usize, arrivals: mpsc::Sender<Arrival>) {
    loop {
        match tcp.accept().await {
            Ok((stream, peer)) => {
                if arrivals.send(Arrival::Accepted(listener, stream, peer)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                warn!(%error, "cannot accept connections");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await; // out of file descriptors: not in a tight loop
            }
        }
    }
}

/// The host of a URI that is a name, and the port to ask for.
fn host_to_resolve(uri: &str) -> Option<(String, u16)> {
    let uri = wire::Uri::parse(Bytes::copy_from_slice(uri.as_bytes())).ok()?;
    if wire::uri_addr(&uri).is_some() {
        return None;
    }
    Some((wire::host_text(&uri), uri.port().unwrap_or(5060))).filter(|(host, _)| !host.is_empty())
}

/// Our addresses towards the rest of the world. Connecting a datagram socket sends nothing.
fn default_route() -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    let probe = |bind: &str, to: &str| {
        let socket = std::net::UdpSocket::bind(bind).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let v4 = match probe("0.0.0.0:0", "192.0.2.1:9") {
        Some(IpAddr::V4(ip)) => Some(ip),
        _ => None,
    };
    let v6 = match probe("[::]:0", "[2001:db8::1]:9") {
        Some(IpAddr::V6(ip)) => Some(ip),
        _ => None,
    };
    (v4, v6)
}
