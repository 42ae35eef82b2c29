//! The control side: opens ports, routes orders to shards, reads events, frees what the shards are done with. Locks and
//! allocations are at home here, and here only.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::leg::Leg;
use crate::shard::{Counters, Garbage, Shard, Sinks, leg_on, seat_of};
use crate::sys::{self, EventFd};
use crate::thread::{Driver, Order, Sockets};
use crate::{
    Full, MediaCommand, MediaConfig, MediaCounters, MediaEvent, MediaLeg, MediaStartError, OpenError, Sources,
    Supervise,
};

/// Orders that may wait for a shard, and for a leg that is on its way between two.
const ORDERS: usize = 4_096;
const HELD: usize = 256;
/// Times an order that waited is tried on a full ring.
const TRIES: usize = 100_000;

/// Starts the media threads. They end when the last handle is dropped.
pub fn start(config: MediaConfig) -> Result<(MediaHandle, MediaEvents), MediaStartError> {
    let (first, last) = (*config.ports.start(), *config.ports.end());
    // Pairs of an even port and the next: port zero means "any" to the system and is none.
    let lowest = u32::from(first).max(1).next_multiple_of(2);
    let pairs = (u32::from(last) + 1).saturating_sub(lowest) as usize / 2;
    if pairs == 0 {
        return Err(MediaStartError::NoPorts { first, last });
    }
    if config.threads == 0 {
        return Err(MediaStartError::NoThreads);
    }
    UdpSocket::bind((config.bind, 0)).map_err(|cause| MediaStartError::Bind { addr: config.bind, cause })?;

    let stop = Arc::new(AtomicBool::new(false));
    let (woken, reap) = (Arc::new(EventFd::new()?), Arc::new(EventFd::new()?));
    let mut state = State {
        free: (0..pairs).collect(),
        routes: (0..pairs).map(|_| None).collect(),
        serial: 0,
        load: vec![0; config.threads],
        orders: Vec::new(),
    };
    let (mut links, mut drivers, mut events, mut garbage) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let origin = (Instant::now(), SystemTime::now());
    for _ in 0..config.threads {
        let wake = Arc::new(EventFd::new()?);
        let counters = Arc::new(Counters::default());
        let (order_in, order_out) = RingBuffer::new(ORDERS);
        let (event_in, event_out) = RingBuffer::new((pairs * 16).clamp(1_024, 65_536));
        let (garbage_in, garbage_out) = RingBuffer::new((pairs * 4).clamp(1_024, 16_384));
        let sinks = Sinks::new(event_in, garbage_in, pairs + 1_024, Arc::clone(&counters));
        let shard = Shard::new(pairs, origin.0, origin.1, sinks);
        let wakes = [Arc::clone(&wake), Arc::clone(&woken), Arc::clone(&reap)];
        drivers.push(Driver::new(shard, order_out, wakes, Arc::clone(&stop))?);
        state.orders.push(order_in);
        links.push(Link { wake, counters });
        events.push(event_out);
        garbage.push(garbage_out);
    }
    let shared = Arc::new(Shared { lowest: lowest as u16, state: Mutex::new(state), links, stop, reap, config });
    let control = Control { threads: spawn(&shared, drivers, garbage)?, shared };
    Ok((MediaHandle(Arc::new(control)), MediaEvents { rings: events, next: 0, woken }))
}

/// The way to the media plane. Cheap to clone, usable from any thread; never to be used on a media thread.
#[derive(Clone)]
pub struct MediaHandle(Arc<Control>);

impl MediaHandle {
    /// Opens a leg: binds a pair of ports and hands it to a shard. The address is the one to put into SDP.
    pub fn open(&self) -> Result<(MediaLeg, SocketAddr), OpenError> {
        self.0.shared.open(None)
    }

    /// The same, on the shard of another leg, if that is still open: legs of one call belong together, and what they say to
    /// each other need not be moved.
    pub fn open_beside(&self, leg: MediaLeg) -> Result<(MediaLeg, SocketAddr), OpenError> {
        self.0.shared.open(Some(leg))
    }

    /// Everybody hears everybody else: a call of three, as a handover may begin.
    pub fn conference(&self, legs: &[MediaLeg]) -> Result<(), Full> {
        let (Some(first), others) = (legs.first(), legs.get(1..).unwrap_or_default()) else { return Ok(()) };
        for leg in others {
            // Whoever sits elsewhere comes to the first.
            self.command(*leg, MediaCommand::Hear { sources: Sources::default().and(*first, 0) })?;
        }
        for leg in legs {
            let sources = legs.iter().copied().filter(|other| other != leg).collect();
            self.command(*leg, MediaCommand::Hear { sources })?;
        }
        Ok(())
    }

    /// A supervisor joins a bridged call: hears both; is heard by nobody, by the agent, or by both.
    pub fn supervise(
        &self,
        supervisor: MediaLeg,
        agent: MediaLeg,
        caller: MediaLeg,
        how: Supervise,
    ) -> Result<(), Full> {
        let (alone, with) = (Sources::default().and(agent, 0), Sources::default().and(agent, 0).and(supervisor, 0));
        let to_caller = if how == Supervise::Barge { with } else { alone };
        let (alone, with) = (Sources::default().and(caller, 0), Sources::default().and(caller, 0).and(supervisor, 0));
        let to_agent = if how == Supervise::Listen { alone } else { with };
        let to_supervisor = Sources::default().and(caller, 0).and(agent, 0);
        for (leg, sources) in [(supervisor, to_supervisor), (agent, to_agent), (caller, to_caller)] {
            self.command(leg, MediaCommand::Hear { sources })?;
        }
        Ok(())
    }

    /// Gives an order. Orders to one leg are carried out in order; one for a closed leg is ignored.
    pub fn command(&self, leg: MediaLeg, command: MediaCommand) -> Result<(), Full> {
        self.0.shared.command(leg, command)
    }

    /// What the shards have counted.
    pub fn counters(&self) -> MediaCounters {
        let mut sum = MediaCounters::default();
        self.0.shared.links.iter().for_each(|link| link.counters.add_to(&mut sum));
        sum
    }
}

/// The events of all shards. Poll [`MediaEvents::as_raw_fd`], clear it, then take events until there is none.
pub struct MediaEvents {
    rings: Vec<Consumer<MediaEvent>>,
    next: usize,
    woken: Arc<EventFd>,
}

impl MediaEvents {
    /// The next event, if one waits. Events of one leg come in order.
    pub fn try_next(&mut self) -> Option<MediaEvent> {
        for _ in 0..self.rings.len() {
            self.next = (self.next + 1) % self.rings.len();
            if let Some(event) = self.rings.get_mut(self.next).and_then(|ring| ring.pop().ok()) {
                return Some(event);
            }
        }
        None
    }

    /// An event descriptor, readable when events wait. It stays this object's.
    pub fn as_raw_fd(&self) -> RawFd {
        self.woken.as_raw_fd()
    }

    /// Makes the descriptor unreadable until more events come. Clear before taking events, or one may be slept over.
    pub fn clear_wake(&self) {
        self.woken.clear();
    }
}

impl AsRawFd for MediaEvents {
    fn as_raw_fd(&self) -> RawFd {
        self.woken.as_raw_fd()
    }
}

struct Control {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Control {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.links.iter().for_each(|link| link.wake.signal());
        self.shared.reap.signal();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Shared {
    config: MediaConfig,
    lowest: u16,
    state: Mutex<State>,
    links: Vec<Link>,
    stop: Arc<AtomicBool>,
    reap: Arc<EventFd>,
}

struct Link {
    wake: Arc<EventFd>,
    counters: Arc<Counters>,
}

struct State {
    /// Pairs that are free, the longest unused first: a late packet of an old call finds nobody.
    free: VecDeque<usize>,
    /// Who sits on which pair.
    routes: Vec<Option<Route>>,
    serial: u64,
    /// Legs on each shard.
    load: Vec<usize>,
    orders: Vec<Producer<Order>>,
}

struct Route {
    leg: MediaLeg,
    shard: usize,
    way: Way,
}

/// A bridge wants both legs on one shard. While the second moves, the orders of both wait, in order, with the second.
enum Way {
    Here,
    /// On its way; what waits for it.
    Moving(Vec<(MediaLeg, MediaCommand)>),
    /// Its bridge waits for that leg.
    Behind(MediaLeg),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, beside: Option<MediaLeg>) -> Result<(MediaLeg, SocketAddr), OpenError> {
        let mut state = self.state();
        let beside = beside.and_then(|leg| state.route(leg)).map(|route| route.shard);
        for _ in 0..state.free.len() {
            let Some(pair) = state.free.pop_front() else { break };
            let port = self.lowest + 2 * pair as u16;
            let Ok(sockets) = bind(self.config.bind, port) else {
                state.free.push_back(pair); // another program's for now
                continue;
            };
            let idlest = || state.load.iter().enumerate().min_by_key(|(_, load)| **load).map_or(0, |(shard, _)| shard);
            let shard = beside.unwrap_or_else(idlest);
            state.serial += 1;
            let leg = leg_on(pair, state.serial);
            let body = Leg::new(leg, sockets, self.config.silence_limit, sys::random());
            if self.push(&mut state, shard, Order::Admit(Box::new(body))).is_err() {
                state.free.push_front(pair);
                return Err(OpenError::Full);
            }
            state.load[shard] += 1;
            state.routes[pair] = Some(Route { leg, shard, way: Way::Here });
            return Ok((leg, SocketAddr::new(self.config.advertised, port)));
        }
        Err(OpenError::PortsExhausted)
    }

    fn command(&self, leg: MediaLeg, command: MediaCommand) -> Result<(), Full> {
        self.dispatch(&mut self.state(), leg, command)
    }

    fn dispatch(&self, state: &mut State, leg: MediaLeg, command: MediaCommand) -> Result<(), Full> {
        let Some(route) = state.route(leg) else { return Ok(()) };
        let shard = route.shard;
        if let Some(held) = state.queue_of(leg) {
            return hold(held, leg, command);
        }
        if let MediaCommand::Bridge { with } = command
            && let Some(other) = state.route(with)
            && other.shard != shard
        {
            return self.fetch(state, leg, with, shard);
        }
        if let MediaCommand::Hear { sources } = command
            && let Some(first) = sources.iter().map(|(source, _)| source).find(|source| state.comes_to(*source, shard))
            && let Some(Route { way: Way::Moving(held), .. }) = state.route(first)
        {
            // One of them is on its way here: this waits for it.
            hold(held, leg, command)?;
            if let Some(route) = state.route(leg) {
                route.way = Way::Behind(first);
            }
            return Ok(());
        }
        if let MediaCommand::Hear { sources } = command
            && let Some(to) = sources.iter().find_map(|(source, _)| state.route(source).map(|route| route.shard))
            && to != shard
        {
            // Whoever is to listen goes where the call is; a call that goes on is not torn apart.
            return self.move_to(state, leg, to, (leg, MediaCommand::Hear { sources }));
        }
        self.push(state, shard, Order::Leg(leg, command.into())).map_err(|_| Full)
    }

    /// Has a leg move to another shard, and what waits for it after it.
    fn move_to(&self, state: &mut State, leg: MediaLeg, to: usize, held: (MediaLeg, MediaCommand)) -> Result<(), Full> {
        let Some(from) = state.route(leg).map(|route| route.shard) else { return Ok(()) };
        self.push(state, from, Order::Release(leg)).map_err(|_| Full)?;
        if let Some(route) = state.route(leg) {
            (route.way, route.shard) = (Way::Moving(vec![held]), to);
        }
        state.load[from] = state.load[from].saturating_sub(1);
        state.load[to] += 1;
        Ok(())
    }

    /// Brings `with` to the shard of `leg`, where they will be bridged.
    fn fetch(&self, state: &mut State, leg: MediaLeg, with: MediaLeg, to: usize) -> Result<(), Full> {
        let Some(other) = state.route(with) else { return Ok(()) };
        match &mut other.way {
            Way::Here => {
                self.move_to(state, with, to, (leg, MediaCommand::Bridge { with }))?;
                if let Some(route) = state.route(leg) {
                    route.way = Way::Behind(with);
                }
                Ok(())
            }
            // It is being bridged to somebody else this very moment: the control plane has made two plans for one leg.
            Way::Moving(_) | Way::Behind(_) => Err(Full),
        }
    }

    #[expect(clippy::result_large_err, reason = "what was not taken is handed back: an order, no error")]
    fn push(&self, state: &mut State, shard: usize, order: Order) -> Result<(), Order> {
        let Some(ring) = state.orders.get_mut(shard) else { return Err(order) };
        ring.push(order).map_err(|rtrb::PushError::Full(order)| order)?;
        if let Some(link) = self.links.get(shard) {
            link.wake.signal();
        }
        Ok(())
    }

    /// Pushes, come what may: the shard drains its ring as long as it runs.
    fn push_surely(&self, state: &mut State, shard: usize, mut order: Order) {
        while let Err(refused) = self.push(state, shard, order) {
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            order = refused;
            std::thread::yield_now();
        }
    }

    /// A closed leg's sockets are closed, then its pair is free.
    fn free(&self, leg: Box<Leg<Sockets>>) {
        let id = leg.id();
        drop(leg);
        let mut state = self.state();
        let pair = seat_of(id);
        let Some(route) = state.routes.get_mut(pair).and_then(|route| route.take_if(|route| route.leg == id)) else {
            return;
        };
        state.load[route.shard] = state.load[route.shard].saturating_sub(1);
        state.free.push_back(pair);
        // It was closed before it could be moved: what waited behind it goes on alone.
        self.release_held(&mut state, route);
    }

    /// A leg left its old shard: to the new one with it, and what waited for it after it.
    fn forward(&self, leg: Box<Leg<Sockets>>) {
        let mut state = self.state();
        let Some(route) = state.route(leg.id()) else { return };
        let (id, shard) = (route.leg, route.shard);
        let way = std::mem::replace(&mut route.way, Way::Here);
        self.push_surely(&mut state, shard, Order::Admit(leg));
        self.release_held(&mut state, Route { leg: id, shard, way });
    }

    fn release_held(&self, state: &mut State, moved: Route) {
        let Way::Moving(held) = moved.way else { return };
        for route in state.routes.iter_mut().flatten() {
            if matches!(route.way, Way::Behind(first) if first == moved.leg) {
                route.way = Way::Here;
            }
        }
        for (leg, command) in held {
            match command {
                // Another of those it is to hear may still be on its way.
                MediaCommand::Hear { sources } => {
                    let again = || MediaCommand::Hear { sources };
                    let taken = (0..TRIES).any(|_| self.dispatch(state, leg, again()).is_ok());
                    debug_assert!(taken, "the shard drains its ring");
                }
                other => match state.queue_of(leg) {
                    // It waits again, for the next: what followed waits with it.
                    Some(held) => held.push((leg, other)),
                    None => self.push_surely(state, moved.shard, Order::Leg(leg, other.into())),
                },
            }
        }
    }

    /// The reaper: frees what shards are done with, carries legs from one to the other.
    fn reap(&self, mut rings: Vec<Consumer<Garbage<Sockets>>>) {
        loop {
            let stopping = self.stop.load(Ordering::Acquire);
            self.reap.clear();
            for ring in &mut rings {
                while let Ok(garbage) = ring.pop() {
                    match garbage {
                        Garbage::Closed(leg) => self.free(leg),
                        Garbage::Moved(leg) => self.forward(leg),
                        Garbage::Clip(clip) => drop(clip),
                        Garbage::Tap(tap) => drop(tap), // its consumer sees it abandoned
                        Garbage::Record(record) => drop(record),
                        Garbage::Connection(connection) => drop(connection),
                        Garbage::Order(order) => drop(order),
                    }
                }
            }
            if stopping {
                return;
            }
            self.reap.wait();
        }
    }
}

impl State {
    /// Where the orders of a leg wait that is on its way, or waits for one that is.
    fn queue_of(&mut self, leg: MediaLeg) -> Option<&mut Vec<(MediaLeg, MediaCommand)>> {
        let first = match self.route(leg)?.way {
            Way::Here => return None,
            Way::Moving(_) => leg,
            Way::Behind(first) => first,
        };
        match &mut self.route(first)?.way {
            Way::Moving(held) => Some(held),
            _ => None,
        }
    }

    /// Whether a leg is on its way to that shard.
    fn comes_to(&mut self, leg: MediaLeg, shard: usize) -> bool {
        self.route(leg).is_some_and(|route| route.shard == shard && matches!(route.way, Way::Moving(_)))
    }

    fn route(&mut self, leg: MediaLeg) -> Option<&mut Route> {
        self.routes.get_mut(seat_of(leg))?.as_mut().filter(|route| route.leg == leg)
    }
}

fn hold(held: &mut Vec<(MediaLeg, MediaCommand)>, leg: MediaLeg, command: MediaCommand) -> Result<(), Full> {
    if held.len() >= HELD {
        return Err(Full);
    }
    held.push((leg, command));
    Ok(())
}

fn bind(addr: std::net::IpAddr, port: u16) -> io::Result<Sockets> {
    let open = |port| {
        let socket = UdpSocket::bind((addr, port))?;
        socket.set_nonblocking(true)?;
        sys::mark_expedited(&socket);
        Ok::<_, io::Error>(socket)
    };
    Ok(Sockets { rtp: open(port)?, rtcp: open(port + 1)? })
}

fn spawn(
    shared: &Arc<Shared>,
    drivers: Vec<Driver>,
    garbage: Vec<Consumer<Garbage<Sockets>>>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    let spawned = (|| {
        let reaper = Arc::clone(shared);
        let name = |name: String| std::thread::Builder::new().name(name);
        threads.push(name("baton-reaper".into()).spawn(move || reaper.reap(garbage))?);
        for (n, driver) in drivers.into_iter().enumerate() {
            let core = shared.config.pin.then_some(n);
            threads.push(name(format!("baton-media-{n}")).spawn(move || driver.run(core))?);
        }
        Ok(())
    })();
    if let Err(e) = spawned {
        drop(Control { shared: Arc::clone(shared), threads }); // ends those that did start
        return Err(e);
    }
    Ok(threads)
}
