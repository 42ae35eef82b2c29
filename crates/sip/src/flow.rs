//! Where a message came from and where its answer goes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::api::Transport;

/// A connection, numbered by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One way to one peer. For streams the connection is a wish: when it is gone the driver connects to `remote`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Over what.
    pub transport: Transport,
    /// Which listener's socket.
    pub listener: usize,
    /// Our address as the peer should see it; goes into Via and Contact.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
    /// The connection it came by.
    pub connection: Option<ConnectionId>,
}

/// A bound listener and the addresses it is known by.
#[derive(Debug, Clone, Copy)]
pub struct Listener {
    /// Over what.
    pub transport: Transport,
    /// As bound; the port is real, the address may be unspecified.
    pub bound: SocketAddr,
    /// Stands for an unspecified IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Stands for an unspecified IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

impl Listener {
    /// A listener bound to one address.
    pub fn new(transport: Transport, bound: SocketAddr) -> Self {
        Self { transport, bound, v4: None, v6: None }
    }

    /// Our address towards this peer.
    pub fn towards(&self, remote: IpAddr) -> SocketAddr {
        let ip = match (self.bound.ip(), remote) {
            (ip, _) if !ip.is_unspecified() => ip,
            (_, IpAddr::V4(peer)) if peer.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            (_, IpAddr::V6(peer)) if peer.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            (_, IpAddr::V4(_)) => IpAddr::V4(self.v4.unwrap_or(Ipv4Addr::LOCALHOST)),
            (_, IpAddr::V6(_)) => IpAddr::V6(self.v6.unwrap_or(Ipv6Addr::LOCALHOST)),
        };
        SocketAddr::new(ip, self.bound.port())
    }

    /// Whether this listener's socket reaches that address family.
    pub fn reaches(&self, remote: IpAddr) -> bool {
        self.bound.is_ipv4() == remote.is_ipv4()
    }
}
