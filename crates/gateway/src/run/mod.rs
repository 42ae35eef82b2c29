//! `baton run`: everything started in order, events brought to the calls they belong to, and an orderly end. Whatever may
//! be wrong with models, store, ports or config is found before the first port answers: nothing is half-started.

mod call_task;
mod case;
mod desk;
mod http;
mod journal;
mod lines;
mod locations;
mod means;
mod metrics;
pub mod recordings;
mod records;
#[cfg_attr(not(feature = "native-speech"), allow(dead_code, reason = "without engines here, nothing asks elsewhere"))]
mod remote;
mod secrets;
mod shared;
mod speech;
mod traces;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use baton_agents::Input as FloorInput;
use baton_crm::Outbox;
use baton_intake::Embedder;
use baton_media::{MediaConfig, MediaEvent, MediaEvents};
use baton_sip::{Registration, SipCommand, SipConfig, SipEvent, TrunkState};
use baton_store::Store;
use dashmap::DashMap;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc};
use tracing::{info, warn};

use crate::cli::{refuse, say};
use crate::config::{Config, Secret};
use call_task::Arrival;
use means::Means;
use recordings::Recordings;
use shared::{CallEvent, Shared};

/// How long the outbox may take at the end.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// So many calls at most can have been live when a gateway ended.
const MOST_CUT: u32 = 10_000;

/// Why the gateway did not start. Each says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Speech(#[from] speech::SpeechError),
    #[error(transparent)]
    Store(#[from] baton_store::StoreError),
    #[error("cannot read the contacts to start with, {path}: {cause}", path = .path.display())]
    Seed { path: PathBuf, cause: String },
    #[error("cannot load the hold music, {path}: {cause}\n    give another file under [media] hold_music, or remove the key", path = .path.display())]
    HoldMusic { path: PathBuf, cause: String },
    #[error("{0}: {1}\n    {2}")]
    Crm(String, String, String),
    #[error(transparent)]
    Media(#[from] baton_media::MediaStartError),
    #[error(transparent)]
    Sip(#[from] baton_sip::StartError),
    #[error("the API cannot listen on {addr}: {cause}\n    free the port, or set [http] bind to another")]
    Http { addr: std::net::SocketAddr, cause: std::io::Error },
    #[error("cannot keep an extension's password in {path}: {cause}", path = .path.display())]
    Secret { path: PathBuf, cause: std::io::Error },
    #[error("cannot record into {path}: {cause}\n    give a folder under [recording] dir that this user can write", path = .path.display())]
    Recordings { path: PathBuf, cause: std::io::Error },
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}

/// Runs the gateway until it is told to end. `file` is where `config` came from; `None` is the embedded default.
pub fn main(config: Config, file: Option<PathBuf>) -> ExitCode {
    log(&config);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return refuse(&StartError::Runtime(e)),
    };
    match runtime.block_on(Gateway::start(config)) {
        Ok(gateway) => runtime.block_on(gateway.run(file.as_deref())),
        Err(e) => refuse(&e),
    }
}

fn log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log.filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    if config.log.json { log.json().init() } else { log.init() }
}

struct Gateway {
    config: Config,
    shared: Arc<Shared>,
    sip_events: mpsc::Receiver<SipEvent>,
    meaning: Option<Arc<dyn Embedder>>,
    means: Arc<Means>,
    keeper: locations::Keeper,
    callbacks: mpsc::Receiver<desk::CallBack>,
    draining: Arc<AtomicBool>,
    drain_asked: mpsc::Receiver<()>,
}

impl Gateway {
    async fn start(config: Config) -> Result<Self, StartError> {
        // What takes long or may be missing comes first, the ports last.
        let store = Store::open(&config.store).await?;
        let cut: Vec<String> = store
            .calls(MOST_CUT)
            .await?
            .into_iter()
            .filter(|row| row.ended_at.is_none())
            .map(|row| row.call_id)
            .collect();
        let interrupted = store.mark_interrupted().await?;
        if interrupted > 0 {
            warn!(interrupted, "calls were cut by the last end of this gateway; their records say so");
        }
        if let Some(path) = &config.seed {
            let seed = baton_store::Seed::read(path)
                .map_err(|e| StartError::Seed { path: path.clone(), cause: e.to_string() })?;
            store.seed(&seed).await?;
        }
        let hold_music = hold_music(&config)?;
        let metrics = metrics::Metrics::new();
        let speech = speech::start(&config, &metrics.remote)?;
        let meaning = speech::meaning(&config);
        learn(&config, meaning.as_ref());
        let passwords = secrets::passwords(&config)?;

        let crm = config.crm.connect(&store).map_err(|fault| StartError::Crm(fault.key, fault.what, fault.hint))?;
        let means = Means::new(&config).map_err(|fault| StartError::Crm(fault.key, fault.what, fault.hint))?;
        let write_timeout = Duration::from_millis(config.crm.timeout_ms);
        let outbox = Outbox::start(store.clone(), Arc::clone(&crm), write_timeout).await?;
        for call_id in cut {
            if let Some(row) = store.call(&call_id).await?
                && let Some(last) = serde_json::from_str(&row.json).ok().as_ref().and_then(case::last_word)
            {
                outbox.enqueue(&last).await?;
            }
        }
        if let Some(days) = config.keep_days {
            tokio::spawn(forget_old(store.clone(), days));
        }
        let recordings = Recordings::start(&config.recording)
            .map_err(|cause| StartError::Recordings { path: config.recording.dir.clone(), cause })?;
        if let Some(days) = config.recording.keep_days.into_iter().chain(config.keep_days).min() {
            tokio::spawn(recordings::purge(config.recording.dir.clone(), days));
        }
        let http = match config.http {
            Some(addr) => Some((http::bind(addr).await.map_err(|cause| StartError::Http { addr, cause })?, addr)),
            None => None,
        };
        let (media, media_events) = baton_media::start(MediaConfig {
            bind: config.media.bind,
            advertised: config.media.advertised,
            ports: config.media.ports.0..=config.media.ports.1,
            threads: config.media.threads,
            pin: config.media.pin,
            silence_limit: config.media.silence_limit,
        })?;
        let (sip, sip_events) =
            baton_sip::start(sip_config(&config, &passwords, locations::kept(&store).await?)).await?;

        let (desk, callbacks) = desk::start(config.floor.clone(), store.clone()).await;
        let shared = Arc::new(Shared {
            sip,
            media,
            speech,
            store,
            crm,
            outbox,
            desk,
            hold_music,
            ringback: ringback(),
            rules: Arc::new(config.rules.clone()),
            extensions: config.extensions.iter().map(|e| e.number.clone()).collect(),
            trunks: config.sip.trunks.iter().filter(|t| !t.targets.is_empty()).map(|t| t.name.clone()).collect(),
            lines: config.media.clone(),
            recordings,
            domain: config.sip.domain.clone(),
            pages: http::page::Pages::new(&config),
            numbering: baton_crm::Numbering::new(&config.crm.country),
            case_pause: Duration::from_secs(config.crm.update_s),
            metrics,
            changes: broadcast::Sender::new(256),
            words: broadcast::Sender::new(256),
            by_leg: DashMap::new(),
            by_media: DashMap::new(),
            live: DashMap::new(),
            traces: traces::Traces::default(),
        });
        for flow in config.dids.values() {
            shared.speech.preload(flow.voice(), &flow.prompts());
        }
        tokio::spawn(pump_media(media_events, Arc::clone(&shared)));

        let draining = Arc::new(AtomicBool::new(false));
        let (drain, drain_asked) = mpsc::channel(1);
        if let Some((listener, _)) = http {
            let api = http::Api {
                shared: Arc::clone(&shared),
                draining: Arc::clone(&draining),
                drain,
                token: config.http_token.clone(),
                recordings: config.recording.dir.clone(),
            };
            tokio::spawn(http::serve(listener, api));
        }
        say(&banner(&config, &passwords));
        let keeper = locations::keeper(shared.store.clone());
        let means = Arc::new(means);
        Ok(Self { config, shared, sip_events, meaning, means, keeper, callbacks, draining, drain_asked })
    }

    /// Brings SIP's events to their calls, until the end: the first SIGTERM (or SIGINT) drains, the second ends.
    async fn run(mut self, file: Option<&Path>) -> ExitCode {
        let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
        let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
            return refuse(&"cannot listen for signals");
        };
        let mut check = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                event = self.sip_events.recv() => match event {
                    Some(event) => self.on_sip(event),
                    None => return refuse(&"the SIP endpoint stopped"),
                },
                Some(callback) = self.callbacks.recv() => self.call_back(callback),
                Some(()) = self.drain_asked.recv() => self.drain(),
                _ = terminate.recv() => self.on_signal(),
                _ = interrupt.recv() => self.on_signal(),
                _ = hangup.recv() => self.reload(file),
                _ = check.tick(), if self.draining.load(Ordering::Relaxed) => {
                    if self.shared.live.is_empty() {
                        info!("all calls are over");
                        return self.end().await;
                    }
                }
            }
        }
    }

    /// What is still to be sent gets a moment; what remains is sent at the next start.
    async fn end(self) -> ExitCode {
        if !self.shared.outbox.flush(LAST_WRITES).await {
            warn!("not everything reached the CRM; it is kept and sent at the next start");
        }
        ExitCode::SUCCESS
    }

    fn on_signal(&self) {
        if self.draining.load(Ordering::Relaxed) {
            warn!(live = self.shared.live.len(), "ending live calls now");
            for call in &self.shared.live {
                call.value().send(CallEvent::End);
            }
        } else {
            self.drain();
        }
    }

    /// Reads the flows, triggers, briefings, `[tone]`, `[webhook]`, `[language]` and TLS files again; live calls keep what they began
    /// with. A config with faults changes nothing. What else is in the file takes a restart.
    fn reload(&mut self, file: Option<&Path>) {
        match crate::config::load(file) {
            Ok(new) => {
                match Means::new(&new) {
                    Ok(means) => self.means = Arc::new(means),
                    Err(fault) => return warn!(key = fault.key, what = fault.what, "the config in use stays"),
                }
                learn(&new, self.meaning.as_ref());
                if let Err(e) = self.shared.sip.reload_tls() {
                    warn!(error = %e, "the certificate in use stays");
                }
                let mut kept = Vec::new();
                for (number, flow) in new.dids {
                    match self.config.dids.get_mut(&number) {
                        Some(old) => *old = flow,
                        None => kept.push(number),
                    }
                }
                if !kept.is_empty() {
                    warn!(?kept, "new numbers are answered after a restart");
                }
                for flow in self.config.dids.values() {
                    self.shared.speech.preload(flow.voice(), &flow.prompts());
                }
                info!("flows, triggers, briefings and certificates are read again; new calls follow them");
            }
            Err(faults) => warn!("the config has faults, the one in use stays:\n{faults}"),
        }
    }

    /// A promised call begins; its flow is the one of the call in which it was promised.
    fn call_back(&self, callback: desk::CallBack) {
        let flow = self.config.dids.values().find(|flow| flow.name() == callback.ticket.flow);
        match flow.or_else(|| self.config.dids.values().next()) {
            Some(flow) => call_task::call_back(&self.shared, Arc::clone(flow), Arc::clone(&self.means), callback),
            None => warn!("no flow is there for a promised call"),
        }
    }

    fn tell_floor(&self, input: FloorInput) {
        self.shared.tell_desk(desk::Request::Tell(input));
    }

    fn drain(&self) {
        info!(live = self.shared.live.len(), "draining: no new calls, live calls finish");
        self.tell_floor(FloorInput::Drain);
        for call in &self.shared.live {
            call.value().send(CallEvent::Answer(baton_call::Input::Drain));
        }
        self.draining.store(true, Ordering::Relaxed);
        self.shared.sip.drain(true);
    }

    fn on_sip(&self, event: SipEvent) {
        match event {
            SipEvent::Incoming { leg, from, to, sdp, source, details, .. } => {
                let Some(flow) = self.config.dids.get(&to.user) else {
                    self.shared.sip_send(SipCommand::Reject { leg, code: 404, reason: Some("no such number".into()) });
                    return;
                };
                let arrival = Arrival {
                    leg,
                    call_id: records::new_call_id(),
                    // Who withholds their number is nobody to look up (RFC 3323).
                    from: if details.anonymous { String::new() } else { from.asserted.unwrap_or(from.user) },
                    to: to.user,
                    trunk: details.trunk.unwrap_or_else(|| source.ip().to_string()),
                    offer: sdp,
                    flow: Arc::clone(flow),
                    means: Arc::clone(&self.means),
                };
                call_task::take(&self.shared, arrival);
            }
            SipEvent::Registered { ext, contact, .. } => {
                info!(extension = ext, contact, "registered");
                self.tell_floor(FloorInput::Registered { extension: ext });
            }
            SipEvent::Unregistered { ext } => {
                info!(extension = ext, "no longer registered");
                self.tell_floor(FloorInput::Unregistered { extension: ext });
            }
            SipEvent::Registrations { ext, contacts } => locations::keep(&self.keeper, ext, contacts),
            SipEvent::Banned { source, .. } => warn!(%source, "banned for a while: too many failures"),
            SipEvent::Pardoned { source } => info!(%source, "no longer banned"),
            SipEvent::Trunk { name, state } => tell_trunk(&name, state),
            event => {
                let inbox = event.leg().and_then(|leg| self.shared.by_leg.get(&leg).map(|entry| entry.value().clone()));
                if let Some(inbox) = inbox {
                    inbox.send(CallEvent::Sip(event));
                }
            }
        }
    }
}

/// Once a day, deletes what is older than it may be kept.
async fn forget_old(store: Store, days: u32) {
    loop {
        match baton_crm::privacy::expire(&store, Duration::from_secs(86_400) * days).await {
            Ok(0) => {}
            Ok(calls) => info!(calls, days, "calls older than they may be kept are deleted"),
            Err(e) => warn!(error = %e, "old calls could not be deleted"),
        }
        tokio::time::sleep(Duration::from_secs(86_400)).await;
    }
}

/// Teaches the flows their intents' example sentences.
fn learn(config: &Config, meaning: Option<&Arc<dyn Embedder>>) {
    let Some(meaning) = meaning else { return };
    let mut learnt = BTreeSet::new();
    for flow in config.dids.values() {
        if learnt.insert(flow.name()) {
            let examples = flow.learn(Arc::clone(meaning));
            info!(flow = flow.name(), examples, "intents are known by meaning too");
        }
    }
}

fn tell_trunk(trunk: &str, state: TrunkState) {
    match state {
        TrunkState::Registered { expires_s } => info!(trunk, expires_s, "registered at the provider"),
        TrunkState::Unregistered { code, reason, retry_s } => {
            warn!(trunk, code, reason, retry_s, "not registered at the provider");
        }
        TrunkState::TargetUp { target } => info!(trunk, target, "the target answers again"),
        TrunkState::TargetDown { target } => warn!(trunk, target, "the target does not answer"),
    }
}

/// The media plane's wake-up call; the plane owns the descriptor.
struct Wake(std::os::fd::RawFd);

impl std::os::fd::AsRawFd for Wake {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0
    }
}

/// Brings the media plane's events to the calls they belong to.
async fn pump_media(mut events: MediaEvents, shared: Arc<Shared>) {
    // SAFETY: the descriptor belongs to `events`, which this function owns until it returns; `fd` goes first.
    let fd = unsafe { AsyncFd::register_with_interest(Wake(events.as_raw_fd()), tokio::io::Interest::READABLE) };
    let fd = match fd {
        Ok(fd) => fd,
        Err(e) => {
            tracing::error!(error = %e, "media events cannot be awaited");
            return;
        }
    };
    while let Ok(mut ready) = fd.readable().await {
        events.clear_wake();
        ready.clear_ready();
        while let Some(event) = events.try_next() {
            let leg = event.leg();
            let closed = matches!(event, MediaEvent::Closed { .. });
            let found = shared.by_media.get(&leg).map(|entry| entry.value().clone());
            if let Some(inbox) = found {
                inbox.send(CallEvent::Media(event));
            }
            if closed {
                shared.by_media.remove(&leg);
            }
        }
    }
}

fn hold_music(config: &Config) -> Result<baton_audio::Clip, StartError> {
    const BUILT_IN: &[u8] = include_bytes!("../../../../media/music/hold.wav");
    match &config.media.hold_music {
        Some(path) => {
            baton_audio::load_clip(path).map_err(|e| StartError::HoldMusic { path: path.clone(), cause: e.to_string() })
        }
        None => baton_audio::decode_clip(BUILT_IN, "wav")
            .map_err(|e| StartError::HoldMusic { path: "built-in".into(), cause: e.to_string() }),
    }
}

/// Ringing tone: 440 and 480 Hz, two seconds on, four off, at -19 dBm0 each (ITU-T E.180 supplement 2, North America).
fn ringback() -> baton_audio::Clip {
    let rate = baton_audio::RATE as usize;
    let tone = |n: usize| {
        let t = n as f32 / rate as f32 * std::f32::consts::TAU;
        ((t * 440.0).sin() + (t * 480.0).sin()) * 2_500.0
    };
    baton_audio::Clip::new((0..rate * 6).map(|n| if n < rate * 2 { tone(n) as i16 } else { 0 }).collect())
}

fn sip_config(config: &Config, passwords: &secrets::Passwords, restore: Vec<Registration>) -> SipConfig {
    let sip = config.sip.clone();
    SipConfig {
        listen: sip.listen,
        advertised: sip.advertised,
        sha256: sip.digest_sha256,
        session_expires: sip.session_expires,
        tls: sip.tls,
        ws_origins: sip.ws_origins,
        defence: sip.defence,
        trunks: sip.trunks,
        known_callers_only: sip.known_callers_only,
        qualify: sip.qualify,
        udp_max: sip.udp_max,
        dns: sip.dns,
        hep: sip.hep,
        tell_registrations: true,
        restore,
        extensions: passwords.sip_extensions(&sip.domain),
        domain: sip.domain,
        user_agent: concat!("Baton/", env!("CARGO_PKG_VERSION")).into(),
        numbers: config.dids.keys().cloned().collect(),
        ..SipConfig::default()
    }
}

fn banner(config: &Config, passwords: &secrets::Passwords) -> String {
    let mut text = String::from("baton is ready\n");
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<10} {value}\n"));
    for listen in &config.sip.listen {
        line("SIP", format!("{} {}", listen.transport, listen.bind));
    }
    line("RTP", format!("{} ports {}-{}", config.media.bind, config.media.ports.0, config.media.ports.1));
    for (number, flow) in &config.dids {
        line(
            "call",
            format!(
                "sip:{number}@{} (flow {})",
                config.sip.listen.first().map_or_else(String::new, |l| l.bind.to_string()),
                flow.name()
            ),
        );
    }
    for extension in &config.extensions {
        let password = match &extension.secret {
            Secret::Generated => format!(
                "password {} (made by Baton, kept in {})",
                passwords.shown(&extension.number),
                passwords.dir().display()
            ),
            _ => "password as configured".into(),
        };
        line("register", format!("{}@{}, {password}", extension.number, config.sip.domain));
    }
    if let Some(addr) = config.http {
        line("API", format!("http://{addr}/api/v1/calls"));
    }
    text.push_str("  stop with  Ctrl-C (once: live calls finish; twice: at once)");
    text
}
