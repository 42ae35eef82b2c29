//! `[sip]`: where it listens, what it shows and whom it believes, what it suffers from one source.

use std::path::PathBuf;
use std::time::Duration;

use baton_sip::{Defence, HepConfig, Listen, TlsFiles, Transport, TrunkConfig};

use super::{Compiler, raw};

/// The SIP front end's part of the config.
#[derive(Debug, Clone)]
pub struct Sip {
    pub listen: Vec<Listen>,
    pub advertised: Option<std::net::IpAddr>,
    pub domain: String,
    pub digest_sha256: bool,
    pub session_expires: Option<Duration>,
    pub tls: Option<TlsFiles>,
    pub ws_origins: Vec<String>,
    pub known_callers_only: bool,
    pub qualify: Option<Duration>,
    pub udp_max: usize,
    pub dns: Option<std::net::SocketAddr>,
    pub hep: Option<HepConfig>,
    pub defence: Defence,
    pub trunks: Vec<TrunkConfig>,
}

impl Compiler<'_> {
    pub(super) fn sip(&mut self, raw: raw::Sip, trunks: Vec<raw::Trunk>) -> Sip {
        let mut listen = Vec::new();
        for (transport, addrs) in [
            (Transport::Udp, &raw.udp),
            (Transport::Tcp, &raw.tcp),
            (Transport::Tls, &raw.tls),
            (Transport::Ws, &raw.ws),
            (Transport::Wss, &raw.wss),
        ] {
            listen.extend(addrs.iter().map(|bind| Listen { transport, bind: *bind }));
        }
        if listen.is_empty() {
            self.fault(&["sip"], "no listener", "name at least one, e.g. udp = [\"127.0.0.1:5060\"]");
        }
        if let Some(s) = raw.session_expires_s.filter(|s| *s < 90) {
            self.fault(
                &["sip", "session_expires_s"],
                format!("`session_expires_s` is {s}"),
                "give 90 or more (RFC 4028 §4), or remove the key",
            );
        }
        if !(500..=65_000).contains(&raw.udp_max) {
            self.fault(
                &["sip", "udp_max"],
                format!("`udp_max` is {}", raw.udp_max),
                "give bytes between 500 and 65000; 1300 suits most networks (RFC 3261 §18.1.1)",
            );
        }
        let tls = self.tls(&raw);
        let defence = self.defence(&raw.defence);
        let trunks = self.trunks(trunks, &raw.domain);
        Sip {
            listen,
            advertised: raw.advertised,
            domain: raw.domain,
            digest_sha256: raw.digest_sha256,
            session_expires: raw.session_expires_s.map(Duration::from_secs),
            tls,
            ws_origins: raw.ws_origins,
            known_callers_only: raw.known_callers_only,
            qualify: (raw.qualify_s > 0).then(|| Duration::from_secs(raw.qualify_s)),
            udp_max: raw.udp_max,
            dns: raw.dns,
            hep: raw.hep.map(|h| HepConfig { to: h.to, node: h.node, password: h.password }),
            defence,
            trunks,
        }
    }

    fn tls(&mut self, raw: &raw::Sip) -> Option<TlsFiles> {
        let secure = !raw.tls.is_empty() || !raw.wss.is_empty();
        let file = |this: &mut Self, key: &str, path: &Option<PathBuf>| {
            let path = this.path(path.clone()?);
            if !path.is_file() {
                this.fault(
                    &["sip", key],
                    format!("{} is not there", path.display()),
                    "give a PEM file that this user can read",
                );
            }
            Some(path)
        };
        let (certificate, key) = (file(self, "certificate", &raw.certificate), file(self, "key", &raw.key));
        let (client_ca, trust) = (file(self, "client_ca", &raw.client_ca), file(self, "trust", &raw.trust));
        if raw.client_required && client_ca.is_none() {
            self.fault(
                &["sip", "client_required"],
                "client certificates are required, but there is no `client_ca` to check them with",
                "set `client_ca`, or remove `client_required`",
            );
        }
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                Some(TlsFiles { certificate, key, client_ca, client_required: raw.client_required, trust })
            }
            (None, None) if !secure => None,
            _ => {
                self.fault(
                    &["sip", if raw.tls.is_empty() { "wss" } else { "tls" }],
                    "TLS needs both `certificate` and `key`",
                    "set certificate = \"…/fullchain.pem\" and key = \"…/privkey.pem\"",
                );
                None
            }
        }
    }

    fn defence(&mut self, raw: &raw::Defence) -> Defence {
        let default = Defence::default();
        let mut trusted = default.trusted.clone();
        for (i, net) in raw.trusted.iter().enumerate() {
            match net.parse() {
                Ok(net) => trusted.push(net),
                Err(_) => self.fault(
                    &["sip", "defence", "trusted", &i.to_string()],
                    format!("`{net}` is no network"),
                    "write it as an address and a prefix, e.g. \"203.0.113.0/24\"",
                ),
            }
        }
        Defence {
            trusted,
            messages_per_s: raw.messages_per_s.unwrap_or(default.messages_per_s),
            message_burst: raw.messages_per_s.map_or(default.message_burst, |n| n.saturating_mul(4)),
            connections_per_s: raw.connections_per_s.unwrap_or(default.connections_per_s),
            connection_burst: raw.connections_per_s.map_or(default.connection_burst, |n| n.saturating_mul(10)),
            failures: raw.failures.unwrap_or(default.failures),
            window: raw.window_s.map_or(default.window, Duration::from_secs),
            ban: raw.ban_s.map_or(default.ban, Duration::from_secs),
        }
    }
}
