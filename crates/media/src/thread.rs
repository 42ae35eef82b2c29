//! The loop around a shard: waits for packets, ticks and orders on real descriptors and hands them to it.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rtrb::Consumer;

use crate::MediaLeg;
use crate::leg::{Leg, Port, Task};
use crate::shard::{GRID, Garbage, Shard, seat_of};
use crate::sys::{self, Epoll, EventFd, Ticker};

const WAKE: u64 = 0;
const TICK: u64 = 1;
/// Tokens from here on: twice the seat, plus one for RTCP.
const SOCKETS: u64 = 2;
/// The timer aims this far behind the grid, so that a wake-up is never a moment too early for its tick.
const BEHIND: Duration = Duration::from_micros(50);
/// Longer datagrams are cut; no packet of a phone is as long.
const DATAGRAM: usize = 2_048;
/// Orders taken before sockets are looked at again.
const ORDERS: usize = 64;
/// A busy thread lets packets gather for this long before it looks at them: one wake-up then serves many. It is what a
/// relayed packet may be delayed.
const GATHER: Duration = Duration::from_micros(500);
/// Looks at the sockets between two rests.
const ROUNDS: usize = 64;
/// Packets in a tick of the grid from which on a thread is busy: two in the time they gather.
const BUSY: u32 = 10;

/// A leg's sockets. Non-blocking: a full send buffer loses the packet.
pub struct Sockets {
    /// The even port.
    pub rtp: UdpSocket,
    /// The next odd one.
    pub rtcp: UdpSocket,
}

impl Port for Sockets {
    fn rtp(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        self.rtp.send_to(datagram, to).is_ok()
    }
    fn rtcp(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        self.rtcp.send_to(datagram, to).is_ok()
    }
}

/// What comes down the order ring.
pub enum Order {
    /// A new leg, or one moved here.
    Admit(Box<Leg<Sockets>>),
    /// An order of the control plane.
    Leg(MediaLeg, Task),
    /// The leg moves to another shard.
    Release(MediaLeg),
}

/// Everything a media thread needs, made before it starts.
pub struct Driver {
    /// Its legs.
    pub shard: Shard<Sockets>,
    /// Its order ring.
    pub orders: Consumer<Order>,
    /// Woken when there are orders, or when it is to stop.
    pub wake: Arc<EventFd>,
    /// Woken when there are events.
    pub events: Arc<EventFd>,
    /// Woken when there is garbage.
    pub garbage: Arc<EventFd>,
    /// It is to stop.
    pub stop: Arc<AtomicBool>,
    epoll: Epoll,
    ticker: Ticker,
}

impl Driver {
    /// Prepares it. Fails where the system refuses a descriptor.
    pub fn new(
        shard: Shard<Sockets>,
        orders: Consumer<Order>,
        [wake, events, garbage]: [Arc<EventFd>; 3],
        stop: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let (epoll, ticker) = (Epoll::new()?, Ticker::new()?);
        epoll.add(&*wake, WAKE)?;
        epoll.add(&ticker, TICK)?;
        Ok(Self { shard, orders, wake, events, garbage, stop, epoll, ticker })
    }

    /// The media thread.
    pub fn run(mut self, pin_to: Option<usize>) {
        if let Some(core) = pin_to {
            sys::pin(core);
        }
        sys::ask_for_real_time();
        let mut ready = Epoll::ready();
        let mut datagram = [0u8; DATAGRAM];
        let mut ticking = false;
        let mut pace = Pace::default();
        while !self.stop.load(Ordering::Acquire) {
            if pace.busy {
                sys::rest(GATHER);
            }
            let mut count = self.epoll.wait(&mut ready);
            let now = Instant::now();
            pace.note(now, count as u32);
            // After a rest some sockets hold more than one packet, in a flood many: all that waits is taken, round by round.
            for _ in 0..ROUNDS {
                for event in ready.iter().take(count) {
                    match event.u64 {
                        WAKE => self.wake.clear(),
                        TICK => self.ticker.clear(),
                        token => self.read(now, token - SOCKETS, &mut datagram),
                    }
                }
                if !pace.busy || count == 0 {
                    break;
                }
                count = self.epoll.look(&mut ready);
            }
            self.take_orders(now);
            self.shard.tick(now);
            if ticking == self.shard.idle() {
                ticking = !ticking;
                if ticking {
                    self.ticker.start(self.shard.until_next(Instant::now()) + BEHIND, GRID);
                } else {
                    self.ticker.stop();
                }
            }
            let stirred = self.shard.sinks.stirred();
            if stirred.events {
                self.events.signal();
            }
            if stirred.garbage {
                self.garbage.signal();
            }
        }
    }

    /// One datagram of a socket that has some: the next round takes its next, so that no flood keeps others waiting.
    fn read(&mut self, now: Instant, socket: u64, datagram: &mut [u8; DATAGRAM]) {
        let (seat, control) = ((socket / 2) as usize, socket % 2 == 1);
        let Some(leg) = self.shard.at(seat) else { return };
        let sockets = leg.port();
        let received = if control { sockets.rtcp.recv_from(datagram) } else { sockets.rtp.recv_from(datagram) };
        let Ok((length, from)) = received else { return };
        let bytes = datagram.get_mut(..length).unwrap_or_default();
        if control { self.shard.rtcp(now, seat, from, bytes) } else { self.shard.rtp(now, seat, from, bytes) }
    }

    fn take_orders(&mut self, now: Instant) {
        for _ in 0..ORDERS {
            let Ok(order) = self.orders.pop() else { return };
            match order {
                Order::Admit(leg) => self.admit(leg),
                Order::Leg(leg, task) => {
                    if let Some(gone) = self.shard.order(now, leg, task) {
                        self.leave(gone, Garbage::Closed);
                    }
                }
                Order::Release(leg) => {
                    if let Some(gone) = self.shard.remove(leg) {
                        self.leave(gone, Garbage::Moved);
                    }
                }
            }
        }
        self.wake.signal(); // there may be more
    }

    fn admit(&mut self, leg: Box<Leg<Sockets>>) {
        let token = SOCKETS + 2 * seat_of(leg.id()) as u64;
        // A refusal (no memory in the kernel) leaves a leg that hears nothing: its silence is reported like any other.
        let _ = self.epoll.add(&leg.port().rtp, token);
        let _ = self.epoll.add(&leg.port().rtcp, token + 1);
        self.shard.admit(leg);
    }

    fn leave(&mut self, leg: Box<Leg<Sockets>>, to: fn(Box<Leg<Sockets>>) -> Garbage<Sockets>) {
        self.epoll.remove(&leg.port().rtp);
        self.epoll.remove(&leg.port().rtcp);
        self.shard.sinks.bin(to(leg));
    }
}

/// How much there is to do, tick by tick.
#[derive(Default)]
struct Pace {
    since: Option<Instant>,
    count: u32,
    busy: bool,
}

impl Pace {
    fn note(&mut self, now: Instant, count: u32) {
        self.count = self.count.saturating_add(count);
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= GRID {
            // Rested or not, a thread that was called away for long has no reason to rest more.
            self.busy = self.count >= BUSY && elapsed < 2 * GRID;
            (self.since, self.count) = (Some(now), 0);
        }
    }
}
