//! Where a name is (RFC 3263): by NAPTR which transport, by SRV which hosts in which order, by A and AAAA their addresses.
//! Answers are kept as long as their records say.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use rand::Rng;
use tokio::net::lookup_host;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::api::Transport;
use crate::flow::Listener;

/// How long one question may take, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// How long all questions about one name may take.
const WHOLE: Duration = Duration::from_secs(6);
/// Addresses used of one name.
const MOST: usize = 8;

/// A name that has to be found before it can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name.
    pub host: String,
    /// The port, where it was written: then the name is that of a host, and no SRV record is asked for.
    pub port: Option<u16>,
    /// The transport, where it was written: then no NAPTR record is asked for.
    pub transport: Option<Transport>,
    /// It is a `sips:` URI: TLS and nothing else.
    pub secure: bool,
}

/// Asks name servers.
#[derive(Debug)]
pub(crate) struct Dns {
    /// `None` where the system names no server: then its own ways (hosts file, mDNS) are all there is.
    resolver: Option<TokioResolver>,
    /// A server of our own choice: the system's ways are not asked.
    chosen: bool,
}

impl Dns {
    /// Asks that server, or those of the system.
    pub fn new(server: Option<SocketAddr>) -> Self {
        let mut options = ResolverOpts::default();
        (options.timeout, options.attempts) = (PATIENCE, ATTEMPTS);
        let builder = match server {
            None => TokioResolver::builder_tokio(),
            Some(server) => {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                Ok(Resolver::builder_with_config(config, TokioRuntimeProvider::default()))
            }
        };
        let resolver = builder.and_then(|builder| builder.with_options(options).build());
        if let Err(error) = &resolver {
            warn!(%error, "no name server is known: names are found by the system alone, without SRV and NAPTR");
        }
        Self { resolver: resolver.ok(), chosen: server.is_some() }
    }

    /// The addresses of a place that our listeners reach, the first to be tried first.
    pub async fn locate(&self, place: &Place, listeners: &[Listener]) -> Vec<(Transport, SocketAddr)> {
        let found = timeout(WHOLE, self.find(place, listeners)).await.unwrap_or_else(|_| {
            debug!(host = place.host, "name servers do not answer in time");
            Vec::new()
        });
        let reached = |(transport, addr): &(Transport, SocketAddr)| {
            listeners.iter().any(|l| l.transport == *transport && l.reaches(addr.ip()))
        };
        found.into_iter().filter(reached).take(MOST).collect()
    }

    async fn find(&self, place: &Place, listeners: &[Listener]) -> Vec<(Transport, SocketAddr)> {
        let host = place.host.as_str();
        let default = place.transport.unwrap_or(if place.secure { Transport::Tls } else { Transport::Udp });
        if let Some(port) = place.port {
            return self.addresses(host, port, default).await;
        }
        let resolver = self.resolver.as_ref().filter(|_| !is_special(host));
        if let Some(resolver) = resolver {
            let speaks = |t: Transport| listeners.iter().any(|l| l.transport == t) && (!place.secure || t.is_secure());
            for (transport, name) in services(resolver, place, speaks).await {
                let mut found = Vec::new();
                for (target, port) in servers(resolver, &name).await {
                    found.extend(self.addresses(&target, port, transport).await);
                }
                if !found.is_empty() {
                    return found;
                }
            }
        }
        self.addresses(host, default.default_port(), default).await
    }

    async fn addresses(&self, host: &str, port: u16, transport: Transport) -> Vec<(Transport, SocketAddr)> {
        let found: Vec<SocketAddr> = match &self.resolver {
            Some(resolver) if self.chosen => match resolver.lookup_ip(absolute(host)).await {
                Ok(found) => found.iter().map(|ip| SocketAddr::new(ip, port)).collect(),
                Err(_) => Vec::new(),
            },
            _ => lookup_host((host.trim_end_matches('.'), port)).await.map(Iterator::collect).unwrap_or_default(),
        };
        found.into_iter().map(|addr| (transport, addr)).collect()
    }
}

/// The SRV names to ask for, in order: what NAPTR says, else one for each transport we speak (RFC 3263 §4.1).
async fn services(
    resolver: &TokioResolver,
    place: &Place,
    speaks: impl Fn(Transport) -> bool,
) -> Vec<(Transport, String)> {
    let guess = |transport: Transport| (transport, format!("{}.{}", srv_prefix(transport), place.host));
    if let Some(transport) = place.transport {
        return vec![guess(transport)];
    }
    let mut pointers = Vec::new();
    if let Ok(lookup) = resolver.lookup(absolute(&place.host), RecordType::NAPTR).await {
        for record in lookup.answers() {
            let RData::NAPTR(naptr) = &record.data else { continue };
            let transport = match naptr.services.to_ascii_uppercase().as_slice() {
                b"SIP+D2U" => Transport::Udp,
                b"SIP+D2T" => Transport::Tcp,
                b"SIPS+D2T" => Transport::Tls,
                _ => continue,
            };
            if naptr.flags.eq_ignore_ascii_case(b"s") && speaks(transport) {
                pointers.push((naptr.order, naptr.preference, transport, naptr.replacement.to_ascii()));
            }
        }
    }
    pointers.sort_by_key(|(order, preference, ..)| (*order, *preference));
    if pointers.is_empty() {
        let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
        return all.into_iter().filter(|t| speaks(*t)).map(guess).collect();
    }
    pointers.into_iter().map(|(_, _, transport, name)| (transport, name)).collect()
}

fn srv_prefix(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
        Transport::Ws => "_sip._ws",
        Transport::Wss => "_sips._wss",
    }
}

/// The hosts and ports of a service, in the order of RFC 2782: by priority, and among equals by chance after their weight.
async fn servers(resolver: &TokioResolver, name: &str) -> Vec<(String, u16)> {
    let Ok(lookup) = resolver.lookup(absolute(name), RecordType::SRV).await else { return Vec::new() };
    let mut found = Vec::new();
    for record in lookup.answers() {
        let RData::SRV(srv) = &record.data else { continue };
        if !srv.target.is_root() {
            found.push((srv.priority, srv.weight, srv.target.to_ascii(), srv.port));
        }
    }
    let lots: Vec<f64> = found.iter().map(|_| rand::rng().random_range(0.0..1.0)).collect();
    in_order(found, &lots)
}

/// Drawing one after the other with chances after the weights is the same as sorting by u^(1/weight), u drawn evenly.
fn in_order(found: Vec<(u16, u16, String, u16)>, lots: &[f64]) -> Vec<(String, u16)> {
    let key = |weight: u16, lot: f64| if weight == 0 { 0.0 } else { lot.powf(1.0 / f64::from(weight)) };
    let mut drawn: Vec<_> = found.into_iter().zip(lots).map(|(r, lot)| (r.0, key(r.1, *lot), r.2, r.3)).collect();
    drawn.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    drawn.into_iter().map(|(_, _, target, port)| (target, port)).collect()
}

/// Names that no name server knows (RFC 6761, RFC 6762).
fn is_special(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    matches!(last, "localhost" | "invalid" | "local")
}

/// As it stands, without the search list of the system.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_tried_by_priority_and_then_by_chance_after_their_weight() {
        let record = |priority, weight, name: &str| (priority, weight, name.to_owned(), 5060);
        let all = vec![record(20, 0, "last"), record(10, 1, "light"), record(10, 99, "heavy"), record(10, 0, "spare")];
        let order = |lots: &[f64]| in_order(all.clone(), lots).into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(order(&[0.9, 0.5, 0.5, 0.5]), ["heavy", "light", "spare", "last"]);
        assert_eq!(order(&[0.9, 0.9999, 0.5, 0.5]), ["light", "heavy", "spare", "last"]);
    }

    #[test]
    fn names_nobody_knows_are_not_asked_for() {
        assert!(is_special("localhost") && is_special("x.INVALID.") && is_special("desk.local"));
        assert!(!is_special("sip.example.com") && !is_special("local.example"));
    }
}
