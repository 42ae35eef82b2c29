//! Sockets: bound, read and accepted from. The first place where somebody who sends too much, or is banned, is no longer
//! listened to, before any work is done for him.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

use crate::api::{Listen, Transport};
use crate::defence::{Admission, Defence, Rate};
use crate::endpoint::{BATCH, Shared, StartError};
use crate::flow::{Flow, Listener};
use crate::owner::Arrival;
use crate::stun;

/// Bytes of datagrams that may wait in the system.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A bound socket.
pub(crate) enum Socket {
    Udp(Arc<UdpSocket>),
    Stream(Arc<TcpListener>),
}

/// Binds one listener; its address is real from now on.
pub(crate) async fn bind(listen: Listen, advertised: Option<IpAddr>) -> Result<(Socket, Listener), StartError> {
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { transport: listen.transport, addr: listen.bind },
        _ => StartError::Listen { transport: listen.transport, addr: listen.bind, cause },
    };
    let (socket, bound) = match listen.transport {
        Transport::Udp => {
            let socket = UdpSocket::bind(listen.bind).await.map_err(failed)?;
            // The system's default holds some 250 messages, which thousands of calls a second fill in a blink. It grants
            // less where its own limit (net.core.rmem_max) is lower; that is no reason not to start.
            let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
            let bound = socket.local_addr().map_err(failed)?;
            (Socket::Udp(Arc::new(socket)), bound)
        }
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
            let listener = TcpListener::bind(listen.bind).await.map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            (Socket::Stream(Arc::new(listener)), bound)
        }
    };
    let (v4, v6) = match advertised {
        Some(IpAddr::V4(ip)) => (Some(ip), None),
        Some(IpAddr::V6(ip)) => (None, Some(ip)),
        None => default_route(),
    };
    Ok((socket, Listener { transport: listen.transport, bound, v4, v6 }))
}

/// Starts reading from all of them.
pub(crate) fn read_all(
    sockets: &[Socket],
    listeners: &[Listener],
    defence: &Defence,
    arrivals: &mpsc::Sender<Arrival>,
    shared: &Arc<Shared>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (i, (socket, bound)) in sockets.iter().zip(listeners).enumerate() {
        let (arrivals, shared) = (arrivals.clone(), Arc::clone(shared));
        match socket {
            Socket::Udp(udp) => {
                let rate = Rate::of_messages(defence);
                tasks.spawn(read_udp(Arc::clone(udp), *bound, i, rate, arrivals, shared));
            }
            Socket::Stream(listener) => {
                let rate = Rate::of_connections(defence);
                tasks.spawn(accept(Arc::clone(listener), i, rate, arrivals, shared));
            }
        }
    }
    tasks
}

async fn read_udp(
    socket: Arc<UdpSocket>,
    bound: Listener,
    listener: usize,
    mut rate: Rate,
    arrivals: mpsc::Sender<Arrival>,
    shared: Arc<Shared>,
) {
    let mut buffer = vec![0; 65_536];
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        let now = Instant::now();
        for _ in 0..BATCH {
            let (n, remote) = match socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => continue, // an ICMP error of something we sent
            };
            if !admitted(&mut rate, now, remote, &shared, "messages") {
                continue;
            }
            if let Some(answer) = stun::answer(&buffer[..n], remote) {
                let _ = socket.try_send_to(&answer, remote); // asked again if it is lost
                continue;
            }
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

async fn accept(
    listener: Arc<TcpListener>,
    index: usize,
    mut rate: Rate,
    arrivals: mpsc::Sender<Arrival>,
    shared: Arc<Shared>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if !admitted(&mut rate, Instant::now(), peer, &shared, "connections") {
                    continue; // dropped is closed
                }
                if arrivals.send(Arrival::Accepted(index, stream, peer)).await.is_err() {
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

fn admitted(rate: &mut Rate, now: Instant, peer: SocketAddr, shared: &Shared, what: &str) -> bool {
    match rate.admit(now, peer.ip()) {
        Admission::Admitted => true,
        Admission::Refused { report } => {
            shared.limited.fetch_add(1, Ordering::Relaxed);
            if report {
                warn!(from = %peer.ip(), "more {what} a second than one source may send: the rest is dropped; if this is a trunk or a proxy of yours, name its network in the trusted list");
            }
            false
        }
    }
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
