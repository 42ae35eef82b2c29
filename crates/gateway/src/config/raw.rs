//! The config as it is written: one TOML file, serde structs, unknown keys refused. Nothing here is checked beyond types;
//! that happens when it is compiled.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use baton_intake::raw as intake;
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    #[serde(default)]
    pub sip: Sip,
    #[serde(default)]
    pub media: Media,
    #[serde(default)]
    pub speech: Speech,
    #[serde(default)]
    pub store: Store,
    #[serde(default)]
    pub crm: Crm,
    #[serde(default)]
    pub http: Http,
    #[serde(default)]
    pub log: Log,
    #[serde(default)]
    pub extension: Vec<Extension>,
    #[serde(default)]
    pub queue: Vec<Queue>,
    #[serde(default)]
    pub did: Vec<Did>,
    #[serde(default)]
    pub flow: BTreeMap<String, intake::Flow>,
    #[serde(default)]
    pub trigger: Vec<intake::Trigger>,
    #[serde(default)]
    pub briefing: BTreeMap<String, intake::Briefing>,
}

/// `[sip]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sip {
    pub udp: Vec<SocketAddr>,
    pub tcp: Vec<SocketAddr>,
    pub tls: Vec<SocketAddr>,
    pub ws: Vec<SocketAddr>,
    pub wss: Vec<SocketAddr>,
    pub advertised: Option<IpAddr>,
    pub domain: String,
    pub digest_sha256: bool,
    pub session_expires_s: Option<u64>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub client_ca: Option<PathBuf>,
    pub client_required: bool,
    pub trust: Option<PathBuf>,
    pub ws_origins: Vec<String>,
    pub defence: Defence,
}

impl Default for Sip {
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 5060));
        Self {
            udp: vec![loopback],
            tcp: vec![loopback],
            tls: Vec::new(),
            ws: Vec::new(),
            wss: Vec::new(),
            advertised: None,
            domain: "baton.localhost".into(),
            digest_sha256: false,
            session_expires_s: None,
            certificate: None,
            key: None,
            client_ca: None,
            client_required: false,
            trust: None,
            ws_origins: Vec::new(),
            defence: Defence::default(),
        }
    }
}

/// `[sip.defence]`: what one source may do.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defence {
    pub trusted: Vec<String>,
    pub messages_per_s: Option<u32>,
    pub connections_per_s: Option<u32>,
    pub failures: Option<u32>,
    pub window_s: Option<u64>,
    pub ban_s: Option<u64>,
}

/// `[media]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    pub bind: IpAddr,
    pub advertised: Option<IpAddr>,
    pub ports: [u16; 2],
    pub codecs: Vec<Codec>,
    pub threads: usize,
    pub pin: bool,
    pub silence_limit_s: u64,
    pub hold_music: Option<PathBuf>,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            bind: IpAddr::from([127, 0, 0, 1]),
            advertised: None,
            ports: [30_000, 31_999],
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            threads: 1,
            pin: true,
            silence_limit_s: 30,
            hold_music: None,
        }
    }
}

/// A codec's name as SDP writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Codec {
    Pcmu,
    Pcma,
}

/// `[speech]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Speech {
    pub models: PathBuf,
    pub stt_workers: usize,
    pub stt_threads: usize,
    pub tts_workers: usize,
    pub cache: PathBuf,
}

impl Default for Speech {
    fn default() -> Self {
        Self {
            models: "media/models".into(),
            stt_workers: 1,
            stt_threads: 1,
            tts_workers: 1,
            cache: "var/speech-cache".into(),
        }
    }
}

/// `[store]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    pub path: PathBuf,
    /// Contacts and orders to load at start, for a trial.
    pub seed: Option<PathBuf>,
}

impl Default for Store {
    fn default() -> Self {
        Self { path: "var/baton.db".into(), seed: None }
    }
}

/// `[crm]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Crm {
    pub kind: CrmKind,
    /// How long one request may take before it counts as failed.
    pub timeout_ms: u64,
}

impl Default for Crm {
    fn default() -> Self {
        Self { kind: CrmKind::Embedded, timeout_ms: 2_000 }
    }
}

/// Which system of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CrmKind {
    Embedded,
}

/// `[http]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub bind: Option<SocketAddr>,
    /// Required on every request once `bind` is not loopback.
    pub token: Option<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self { bind: Some(SocketAddr::from(([127, 0, 0, 1], 8060))), token: None }
    }
}

/// `[log]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub filter: String,
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info,ort=warn".into(), json: false }
    }
}

/// `[[extension]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    pub number: String,
    pub password: Option<String>,
    /// `MD5(user:realm:password)` in hex, for who will not keep a password in a file.
    pub ha1: Option<String>,
}

/// `[[queue]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    pub name: String,
    pub agents: Vec<String>,
    #[serde(default = "Queue::wrap_up")]
    pub wrap_up_s: u64,
}

impl Queue {
    fn wrap_up() -> u64 {
        5
    }
}

/// `[[did]]`: a called number and the flow that answers it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Did {
    pub number: String,
    pub flow: String,
}
