//! The endpoint's outside: how it is started, and the handle of the house. The one task that owns the core is in `owner`, the
//! sockets are in `sockets`, connections in `stream`; none of them decides anything of SIP.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::api::{ContactView, LegId, SipCommand, SipConfig, SipEvent, Transport};
use crate::core::{Core, CoreCounters, Sizes};
use crate::dns::Dns;
use crate::flow::Listener;
use crate::hep::{Exporter, HepConfig};
use crate::ladder::{Ladders, TraceStep};
use crate::owner::{Order, Owner};
use crate::sockets;
use crate::stream::Kit;
use crate::tls::{Tls, TlsError};
use crate::trunk::{self, TrunkError, TrunkView};

/// Messages that may wait for the owner.
const ARRIVALS: usize = 4_096;
/// Commands that may wait for the owner.
const COMMANDS: usize = 4_096;
/// Datagrams read at one wake of a socket, and messages dealt with at one wake of the owner.
pub(crate) const BATCH: usize = 64;

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
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A trunk's configuration is wrong.
    #[error(transparent)]
    Trunk(#[from] TrunkError),
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
    commands: mpsc::Sender<Order>,
    shared: Arc<Shared>,
    kit: Arc<Kit>,
    ladders: Ladders,
}

/// What the owner and the sockets show to the house.
#[derive(Debug)]
pub(crate) struct Shared {
    placed_legs: AtomicU64,
    pub draining: AtomicBool,
    /// Datagrams that found no room.
    pub dropped: AtomicU64,
    /// Messages and connections of sources that sent too many.
    pub limited: AtomicU64,
    pub listeners: Vec<Listener>,
    pub contacts: RwLock<HashMap<String, Vec<ContactView>>>,
    pub view: RwLock<View>,
    pub trunks: RwLock<Vec<TrunkView>>,
}

/// What the owner last saw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct View {
    pub sizes: Sizes,
    pub connections: usize,
    pub core: CoreCounters,
}

/// What happened since the start, and what is now, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Datagrams dropped because the owner did not keep up.
    pub dropped: u64,
    /// Messages and connections refused because their source sent too many.
    pub limited: u64,
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
    /// Connections now.
    pub connections: usize,
}

impl SipHandle {
    /// A leg for a call to be placed.
    pub fn new_leg(&self) -> LegId {
        LegId(self.shared.placed_legs.fetch_add(1, Ordering::Relaxed) * 2 + 1)
    }

    /// Orders something. Does not wait; what comes of it is told by events.
    pub fn send(&self, command: SipCommand) -> Result<(), Gone> {
        self.order(Order::Command(command))
    }

    fn order(&self, order: Order) -> Result<(), Gone> {
        self.commands.try_send(order).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Gone::Full,
            mpsc::error::TrySendError::Closed(_) => Gone::Stopped,
        })
    }

    /// Reads certificates and keys again. New connections use them; where anything is wrong, the old ones stay in force.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        self.kit.tls.as_ref().ok_or(TlsError::NotConfigured)?.reload()?;
        info!("certificates were read again");
        Ok(())
    }

    /// Ends a ban before its time.
    pub fn pardon(&self, source: IpAddr) -> Result<(), Gone> {
        self.order(Order::Pardon(source))
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

    /// The SIP messages of some legs, in order of time: while they live, and as long as they are among the latest
    /// `traced_calls`. Empty for any other. `ladder::draw` makes a picture of them.
    pub fn ladder(&self, legs: &[LegId]) -> Vec<TraceStep> {
        self.ladders.of_legs(legs)
    }

    /// While on, new calls and OPTIONS get 503; live calls go on.
    pub fn drain(&self, on: bool) {
        self.shared.draining.store(on, Ordering::Relaxed);
    }

    /// How the trunks are.
    pub fn trunks(&self) -> Vec<TrunkView> {
        self.shared.trunks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How full the tables are.
    pub fn sizes(&self) -> Sizes {
        self.view().sizes
    }

    /// Datagrams that were dropped because the owner did not keep up.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// What happened since the start.
    pub fn counters(&self) -> Counters {
        let View { sizes: _, connections, core } = self.view();
        let CoreCounters { shed, failures, ignored, bans, banned } = core;
        let limited = self.shared.limited.load(Ordering::Relaxed);
        Counters { dropped: self.dropped(), limited, shed, failures, ignored, bans, banned, connections }
    }

    fn view(&self) -> View {
        *self.shared.view.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds every listener, then starts serving.
pub async fn start(mut config: SipConfig) -> Result<(SipHandle, mpsc::Receiver<SipEvent>), StartError> {
    if config.listen.is_empty() {
        return Err(StartError::NoListener);
    }
    trunk::check(&config.trunks)?;
    config.defence.trusted.extend(config.trunks.iter().flat_map(|t| t.sources.iter().copied()));
    let tls = config.tls.clone().map(Tls::load).transpose()?;
    if tls.is_none() && config.listen.iter().any(|l| l.transport.is_secure()) {
        return Err(TlsError::NotConfigured.into());
    }
    let (mut listeners, mut bound) = (Vec::new(), Vec::new());
    for listen in &config.listen {
        let (socket, listener) = sockets::bind(*listen, config.advertised).await?;
        info!(transport = %listen.transport, addr = %listener.bound, "SIP listens");
        listeners.push(listener);
        bound.push(socket);
    }
    let shared = Arc::new(Shared {
        placed_legs: AtomicU64::new(0),
        draining: AtomicBool::new(false),
        dropped: AtomicU64::new(0),
        limited: AtomicU64::new(0),
        listeners: listeners.clone(),
        contacts: RwLock::default(),
        view: RwLock::default(),
        trunks: RwLock::default(),
    });
    let (arrivals_in, arrivals) = mpsc::channel(ARRIVALS);
    let (commands_in, commands) = mpsc::channel(COMMANDS);
    let (events, events_out) = mpsc::channel(config.limits.events.max(16));
    let tasks = sockets::read_all(&bound, &listeners, &config.defence, &arrivals_in, &shared);
    let kit = Arc::new(Kit {
        limits: config.limits.clone(),
        defence: config.defence.clone(),
        tls,
        dns: Dns::new(config.dns),
        ws_origins: config.ws_origins.clone(),
        hep: config.hep.clone().and_then(start_hep),
        arrivals: arrivals_in,
    });
    let core = Core::new(Instant::now(), config, listeners, rand::random());
    let ladders = core.ladders();
    let owner = Owner::new(core, bound, Arc::clone(&kit), events, Arc::clone(&shared), tasks);
    tokio::spawn(owner.run(arrivals, commands));
    Ok((SipHandle { commands: commands_in, shared, kit, ladders }, events_out))
}

/// A capture server that cannot be used is no reason not to take calls.
fn start_hep(config: HepConfig) -> Option<Exporter> {
    let to = config.to;
    match Exporter::start(config) {
        Ok(exporter) => Some(exporter),
        Err(error) => {
            warn!(%to, %error, "no copies for the capture server");
            None
        }
    }
}
