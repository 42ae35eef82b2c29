//! The config as it is written: one TOML file, serde structs, unknown keys refused. Nothing here is checked beyond types;
//! that happens when it is compiled.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use baton_agents::Strategy;
use baton_call::Rules;
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
    pub recording: Recording,
    #[serde(default)]
    pub speech: Speech,
    #[serde(default)]
    pub store: Store,
    #[serde(default)]
    pub crm: baton_crm::config::CrmConfig,
    #[serde(default)]
    pub http: Http,
    #[serde(default)]
    pub log: Log,
    #[serde(default)]
    pub trunk: Vec<Trunk>,
    #[serde(default)]
    pub extension: Vec<Extension>,
    #[serde(default)]
    pub queue: Vec<Queue>,
    #[serde(default)]
    pub calls: Rules,
    #[serde(default = "words_alone")]
    pub tone: baton_tone::Config,
    #[serde(default)]
    pub webhook: BTreeMap<String, baton_crm::HookConfig>,
    pub language: Option<super::Language>,
    #[serde(default)]
    pub did: Vec<Did>,
    #[serde(default)]
    pub flow: BTreeMap<String, intake::Flow>,
    #[serde(default)]
    pub trigger: Vec<intake::Trigger>,
    #[serde(default)]
    pub briefing: BTreeMap<String, intake::Briefing>,
}

/// Without `[tone]` no voice is measured: callers would have to be told of that.
fn words_alone() -> baton_tone::Config {
    baton_tone::Config { voice: false, ..baton_tone::Config::default() }
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
    pub known_callers_only: bool,
    pub qualify_s: u64,
    pub udp_max: usize,
    pub dns: Option<SocketAddr>,
    pub hep: Option<Hep>,
    pub defence: Defence,
}

/// `[sip.hep]`: copies of all SIP messages for a capture server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hep {
    pub to: SocketAddr,
    #[serde(default = "node")]
    pub node: u32,
    pub password: Option<String>,
}

/// Our number at the capture server, unless another is given.
fn node() -> u32 {
    2_001
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
            known_callers_only: false,
            qualify_s: 60,
            udp_max: 1_300,
            dns: None,
            hep: None,
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
    pub srtp: Srtp,
    pub in_band_dtmf: bool,
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
            codecs: vec![Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus],
            srtp: Srtp::Off,
            in_band_dtmf: true,
            threads: 1,
            pin: true,
            silence_limit_s: 30,
            hold_music: None,
        }
    }
}

/// A codec's name as SDP writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Codec {
    #[serde(rename = "PCMU", alias = "pcmu")]
    Pcmu,
    #[serde(rename = "PCMA", alias = "pcma")]
    Pcma,
    #[serde(rename = "G722", alias = "g722")]
    G722,
    #[serde(rename = "opus", alias = "OPUS", alias = "Opus")]
    Opus,
}

/// Whether audio is encrypted (SDES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Srtp {
    Off,
    Optional,
    Required,
}

/// `[recording]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recording {
    pub dir: PathBuf,
    /// Days that recordings are kept; without it, as long as their calls.
    pub keep_days: Option<u32>,
    /// With less room than this on the disk, no recording is begun.
    pub keep_free_mb: u64,
    /// Which flows are recorded, and how their callers agree.
    pub flow: BTreeMap<String, RecordedFlow>,
}

impl Default for Recording {
    fn default() -> Self {
        Self { dir: "var/recordings".into(), keep_days: None, keep_free_mb: 512, flow: BTreeMap::new() }
    }
}

/// `[recording.flow.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedFlow {
    pub consent: ConsentKind,
    /// With `asked`: the flow's slot that must be `yes`.
    pub slot: Option<String>,
    /// With `announced`: the word by which the greeting tells of it.
    pub notice: Option<String>,
}

/// How a caller agrees to being recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsentKind {
    /// The greeting says it; who stays agrees.
    Announced,
    /// A slot of the flow asks, and the recording begins with its `yes`.
    Asked,
}

/// Which engine hears: Moonshine (English), Whisper (many languages), or Moonshine where its files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SttEngine {
    Auto,
    Moonshine,
    Whisper,
}

/// `[speech]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Speech {
    pub models: PathBuf,
    pub engine: SttEngine,
    pub stt_workers: usize,
    pub stt_threads: usize,
    pub tts_workers: usize,
    pub cache: PathBuf,
    /// Whether callers' words are told while they speak. Costs as much again as hearing them.
    pub partials: bool,
    pub remote_stt: Option<RemoteEngine>,
    pub remote_tts: Option<RemoteEngine>,
}

/// `[speech.remote_stt]`, `[speech.remote_tts]`: a server with the OpenAI-compatible audio endpoints.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteEngine {
    pub url: String,
    pub model: String,
    /// `remote_tts` only.
    #[serde(default)]
    pub voice: String,
    /// `remote_stt` only.
    #[serde(default = "english")]
    pub language: String,
    pub key: Option<String>,
    /// Then the local engine does it.
    #[serde(default = "remote_timeout")]
    pub timeout_ms: u64,
    /// Requests under way at the same time.
    #[serde(default = "remote_workers")]
    pub workers: usize,
}

fn english() -> String {
    "en".into()
}

fn remote_timeout() -> u64 {
    1_500
}

fn remote_workers() -> usize {
    8
}

impl Default for Speech {
    fn default() -> Self {
        Self {
            models: "media/models".into(),
            engine: SttEngine::Auto,
            stt_workers: 1,
            stt_threads: 1,
            tts_workers: 1,
            cache: "var/speech-cache".into(),
            partials: false,
            remote_stt: None,
            remote_tts: None,
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
    /// Days that calls are kept; without it, for ever.
    pub keep_days: Option<u32>,
}

impl Default for Store {
    fn default() -> Self {
        Self { path: "var/baton.db".into(), seed: None, keep_days: None }
    }
}

/// `[http]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub bind: Option<SocketAddr>,
    /// Required on every request once `bind` is not loopback.
    pub token: Option<String>,
    /// Where agents' browsers reach `bind`, when it is not that address itself.
    pub url: Option<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self { bind: Some(SocketAddr::from(([127, 0, 0, 1], 8060))), token: None, url: None }
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

/// `[[trunk]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    pub name: String,
    #[serde(default)]
    pub sources: Vec<String>,
    #[serde(default)]
    pub challenge: bool,
    pub user: Option<String>,
    pub password: Option<String>,
    pub registrar: Option<String>,
    pub domain: Option<String>,
    #[serde(default)]
    pub targets: Vec<String>,
    #[serde(default = "Trunk::health")]
    pub health_s: u64,
    #[serde(default = "Trunk::answer_within")]
    pub answer_within_s: u64,
    #[serde(default)]
    pub channels: usize,
    #[serde(default)]
    pub calls_per_s: u32,
    #[serde(default)]
    pub numbers: Numbers,
    #[serde(default)]
    pub dids: BTreeMap<String, String>,
    pub caller_id: Option<String>,
    #[serde(default)]
    pub caller_id_always: bool,
    #[serde(default)]
    pub asserted: bool,
    #[serde(default)]
    pub set_headers: BTreeMap<String, String>,
    #[serde(default)]
    pub remove_headers: Vec<String>,
    /// What is not given here is as in `[media]`.
    pub codecs: Option<Vec<Codec>>,
    pub srtp: Option<Srtp>,
    pub in_band_dtmf: Option<bool>,
}

impl Trunk {
    fn health() -> u64 {
        60
    }
    fn answer_within() -> u64 {
        5
    }
}

/// `[trunk.numbers]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Numbers {
    pub country: Option<String>,
    pub national_prefix: Option<String>,
    pub international_prefix: Option<String>,
    pub bare: BareNumber,
    pub rewrite: BTreeMap<String, String>,
    pub dial: DialForm,
}

/// What digits with neither prefix are.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BareNumber {
    #[default]
    Unknown,
    National,
    International,
}

/// How numbers are written towards the trunk.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DialForm {
    #[default]
    Plus,
    Digits,
    National,
    International,
}

/// `[[extension]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    pub number: String,
    #[serde(default)]
    pub skills: Vec<String>,
    /// Joined only by a key: what picks up there may be a mailbox.
    #[serde(default)]
    pub must_accept: bool,
    pub password: Option<String>,
    /// `MD5(user:realm:password)` in hex, for who will not keep a password in a file.
    pub ha1: Option<String>,
    /// What is not given here is as in `[media]`.
    pub codecs: Option<Vec<Codec>>,
    pub srtp: Option<Srtp>,
    pub in_band_dtmf: Option<bool>,
}

/// `[[queue]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    pub name: String,
    pub agents: Vec<String>,
    #[serde(default)]
    pub strategy: Strategy,
    #[serde(default = "Queue::wrap_up")]
    pub wrap_up_s: u64,
    #[serde(default = "Queue::max_wait")]
    pub max_wait_s: u64,
    #[serde(default = "Queue::max_waiting")]
    pub max_waiting: usize,
    #[serde(default = "Queue::max_tries")]
    pub max_tries: usize,
    pub overflow: Option<String>,
    #[serde(default)]
    pub hours: Vec<String>,
    #[serde(default)]
    pub closed: Vec<String>,
    #[serde(default)]
    pub pause_after_missed: u32,
    #[serde(default = "Queue::service_level")]
    pub service_level_s: u64,
}

impl Queue {
    fn wrap_up() -> u64 {
        5
    }
    fn max_wait() -> u64 {
        600
    }
    fn max_waiting() -> usize {
        100
    }
    fn max_tries() -> usize {
        10
    }
    fn service_level() -> u64 {
        20
    }
}

/// `[[did]]`: a called number and the flow that answers it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Did {
    pub number: String,
    pub flow: String,
}
