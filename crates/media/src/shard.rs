//! A shard: the legs of one media thread, on any clock and any ports. It is told of packets, orders and the passing of
//! time, and keeps a grid of 5 ms ticks; each connected leg runs at every fourth, so that legs are spread over the grid and
//! each is paced by absolute time.
//!
//! What must always hold: between setting up and closing of legs nothing here allocates or frees; a bridged pair sits in
//! one shard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use baton_audio::{AudioFrame, Clip};
use rtrb::Producer;

use crate::leg::{Leg, Moment, Port};
use crate::{MediaCommand, MediaCounters, MediaEvent, MediaLeg};

/// The grid.
pub const GRID: Duration = Duration::from_millis(5);
/// Grid ticks to a leg's tick.
const PER_LEG: u64 = 4;
/// A shard that stood still longer than this does not send what it missed: 200 ms.
const CATCH_UP: u64 = 40;

/// The seat of a leg: its port pair's number, which its id carries.
pub fn seat_of(leg: MediaLeg) -> usize {
    (leg.0 & 0xFFFF) as usize
}

/// The id of the `serial`th leg, on a seat.
pub fn leg_on(seat: usize, serial: u64) -> MediaLeg {
    MediaLeg((serial << 16) | (seat as u64 & 0xFFFF))
}

/// What a media thread is done with, to be freed (or, of a moved leg, carried on) elsewhere.
pub enum Garbage<P> {
    /// A clip that was played or cut.
    Clip(Clip),
    /// A tap that was closed.
    Tap(Producer<AudioFrame>),
    /// An order for a leg that is not here.
    Order(MediaCommand),
    /// A leg that was closed.
    Closed(Box<Leg<P>>),
    /// A leg on its way to another shard.
    Moved(Box<Leg<P>>),
}

/// Where a shard's events and leavings go.
pub struct Sinks<P> {
    events: Producer<MediaEvent>,
    garbage: Producer<Garbage<P>>,
    /// What the garbage ring did not take, until it does. Never grows.
    parked: Vec<Garbage<P>>,
    pub(crate) counters: Arc<Counters>,
    told: bool,
    binned: bool,
}

/// What was put into the rings since the last time it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stirred {
    /// Events.
    pub events: bool,
    /// Garbage.
    pub garbage: bool,
}

impl<P> Sinks<P> {
    /// Sinks into these rings; `parking` bounds what waits when the garbage ring is full.
    pub fn new(
        events: Producer<MediaEvent>,
        garbage: Producer<Garbage<P>>,
        parking: usize,
        counters: Arc<Counters>,
    ) -> Self {
        Self { events, garbage, parked: Vec::with_capacity(parking), counters, told: false, binned: false }
    }

    /// Tells the control plane. A full ring loses the event, and counts it.
    pub fn event(&mut self, event: MediaEvent) {
        match self.events.push(event) {
            Ok(()) => self.told = true,
            Err(_) => self.counters.events_lost.add(1),
        }
    }

    /// Gives memory away.
    pub fn bin(&mut self, garbage: Garbage<P>) {
        match self.garbage.push(garbage) {
            Ok(()) => self.binned = true,
            Err(rtrb::PushError::Full(garbage)) if self.parked.len() < self.parked.capacity() => {
                self.parked.push(garbage);
            }
            Err(_) => self.counters.freed_inline.add(1),
        }
    }

    /// Whom to wake.
    pub fn stirred(&mut self) -> Stirred {
        while !self.garbage.is_full()
            && let Some(parked) = self.parked.pop()
        {
            self.bin(parked);
        }
        Stirred { events: std::mem::take(&mut self.told), garbage: std::mem::take(&mut self.binned) }
    }
}

/// See the module.
pub struct Shard<P> {
    seats: Vec<Option<Seat<P>>>,
    /// The seats that are taken, in no order.
    taken: Vec<usize>,
    origin: Instant,
    origin_ntp: u64,
    /// Grid ticks done since the origin.
    grid: u64,
    /// Where events and leavings go.
    pub sinks: Sinks<P>,
}

struct Seat<P> {
    leg: Box<Leg<P>>,
    /// Which of four grid ticks is its own, once it is connected.
    phase: Option<u64>,
}

impl<P: Port> Shard<P> {
    /// A shard of so many seats, whose grid begins at `origin` (`wall` is the same moment).
    pub fn new(seats: usize, origin: Instant, wall: SystemTime, sinks: Sinks<P>) -> Self {
        // NTP counts from 1900, 70 years (of which 17 were leap years) before Unix.
        let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let origin_ntp =
            ((unix.as_secs() + 2_208_988_800) << 32) | ((u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000);
        Self {
            seats: (0..seats).map(|_| None).collect(),
            taken: Vec::with_capacity(seats),
            origin,
            origin_ntp,
            grid: 0,
            sinks,
        }
    }

    /// Whether nobody sits here: nothing to tick for.
    pub fn idle(&self) -> bool {
        self.taken.is_empty()
    }

    /// A leg comes to sit here. An occupied or unknown seat hands it back (to the bin).
    pub fn admit(&mut self, leg: Box<Leg<P>>) {
        let seat = seat_of(leg.id());
        match self.seats.get_mut(seat) {
            Some(place @ None) => {
                *place = Some(Seat { leg, phase: None });
                self.taken.push(seat);
            }
            _ => self.sinks.bin(Garbage::Closed(leg)),
        }
    }

    /// The leg that sits there.
    pub fn at(&self, seat: usize) -> Option<&Leg<P>> {
        self.seats.get(seat)?.as_ref().map(|seat| &*seat.leg)
    }

    /// An order for a leg. A leg that is closed by it is handed out.
    pub fn order(&mut self, now: Instant, leg: MediaLeg, command: MediaCommand) -> Option<Box<Leg<P>>> {
        let at = self.moment(now);
        match command {
            MediaCommand::Bridge { with } => self.bridge(at, leg, with),
            MediaCommand::Unbridge => self.part(leg),
            MediaCommand::Close => {
                let mut gone = self.remove(leg)?;
                gone.close(at, &mut self.sinks);
                return Some(gone);
            }
            other => {
                let seat = self.seats.get_mut(seat_of(leg)).and_then(Option::as_mut);
                match seat.filter(|seat| seat.leg.id() == leg) {
                    Some(seat) => seat.leg.order(at, other, &mut self.sinks),
                    None => self.sinks.bin(Garbage::Order(other)),
                }
            }
        }
        None
    }

    /// Takes a leg out of its seat (and its bridge).
    pub fn remove(&mut self, leg: MediaLeg) -> Option<Box<Leg<P>>> {
        self.part(leg);
        let index = seat_of(leg);
        let gone = self.seats.get_mut(index)?.take_if(|seat| seat.leg.id() == leg)?;
        self.taken.retain(|seat| *seat != index);
        Some(gone.leg)
    }

    /// A datagram came to a seat's RTP port; a bridged leg sends it on at once.
    pub fn rtp(&mut self, now: Instant, seat: usize, from: SocketAddr, datagram: &[u8]) {
        let at = self.moment(now);
        let Some(leg) = self.leg_mut(seat) else { return };
        let other = leg.other();
        let Some((leg, sinks)) = self.leg_and_sinks(seat) else { return };
        let live = leg.receive(at, from, datagram, sinks);
        if let (Some(live), Some(other)) = (live, other)
            && let Some((leg, sinks)) = self.leg_and_sinks(other.seat)
        {
            leg.relay(at, live, sinks);
        }
    }

    /// A datagram came to a seat's RTCP port.
    pub fn rtcp(&mut self, now: Instant, seat: usize, from: SocketAddr, datagram: &[u8]) {
        let at = self.moment(now);
        if let Some((leg, sinks)) = self.leg_and_sinks(seat) {
            leg.receive_rtcp(at, from, datagram, sinks);
        }
    }

    /// Time passed: runs every grid tick that is due.
    pub fn tick(&mut self, now: Instant) {
        let at = self.moment(now);
        let due = (now.saturating_duration_since(self.origin).as_micros() / GRID.as_micros()) as u64;
        if self.idle() {
            self.grid = due;
            return;
        }
        self.grid = self.grid.max(due.saturating_sub(CATCH_UP));
        while self.grid < due {
            self.grid += 1;
            self.note_lateness(now);
            for index in &self.taken {
                let Some(Some(seat)) = self.seats.get_mut(*index) else { continue };
                if seat.phase.is_none() && seat.leg.connected() {
                    seat.phase = Some(self.grid % PER_LEG);
                }
                if seat.phase == Some(self.grid % PER_LEG) {
                    seat.leg.tick(at, &mut self.sinks);
                }
            }
        }
    }

    /// How long until the next grid tick; never zero.
    pub fn until_next(&self, now: Instant) -> Duration {
        let since = now.saturating_duration_since(self.origin).as_nanos() % GRID.as_nanos();
        GRID - Duration::from_nanos(since as u64)
    }

    fn bridge(&mut self, at: Moment, leg: MediaLeg, with: MediaLeg) {
        let here = |shard: &Self, leg| shard.at(seat_of(leg)).is_some_and(|found| found.id() == leg);
        if leg == with || !here(self, leg) || !here(self, with) {
            return;
        }
        self.part(leg);
        self.part(with);
        for (one, other) in [(leg, with), (with, leg)] {
            if let Some((leg, sinks)) = self.leg_and_sinks(seat_of(one)) {
                leg.stop(at, sinks);
                leg.join(Some((seat_of(other), other)));
            }
        }
    }

    fn part(&mut self, leg: MediaLeg) {
        let Some(one) = self.leg_mut(seat_of(leg)).filter(|found| found.id() == leg) else { return };
        let other = one.other();
        one.join(None);
        if let Some(other) = other
            && let Some(two) = self.leg_mut(other.seat).filter(|found| found.id() == other.leg)
        {
            two.join(None);
        }
    }

    fn leg_mut(&mut self, seat: usize) -> Option<&mut Leg<P>> {
        self.seats.get_mut(seat)?.as_mut().map(|seat| &mut *seat.leg)
    }

    fn leg_and_sinks(&mut self, seat: usize) -> Option<(&mut Leg<P>, &mut Sinks<P>)> {
        let leg = self.seats.get_mut(seat)?.as_mut().map(|seat| &mut *seat.leg)?;
        Some((leg, &mut self.sinks))
    }

    fn moment(&self, now: Instant) -> Moment {
        let since = now.saturating_duration_since(self.origin);
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        Moment {
            now,
            units: (since.as_micros() * 8 / 1_000) as u32,
            ntp: self.origin_ntp.wrapping_add((since.as_secs() << 32).wrapping_add(fraction)),
        }
    }

    fn note_lateness(&self, now: Instant) {
        let since = now.saturating_duration_since(self.origin).as_micros() as u64;
        let late = since.saturating_sub(self.grid * GRID.as_micros() as u64);
        let counters = &self.sinks.counters;
        counters.ticks.add(1);
        counters.worst_late_us.raise(late);
        if late >= GRID.as_micros() as u64 {
            counters.ticks_late.add(1);
        }
    }
}

/// A figure one thread raises and others read.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    pub fn raise(&self, to: u64) {
        self.0.fetch_max(to, Ordering::Relaxed);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The figures of one shard; see [`MediaCounters`].
#[derive(Default)]
pub struct Counters {
    pub ticks: Counter,
    pub ticks_late: Counter,
    pub worst_late_us: Counter,
    pub malformed: Counter,
    pub strays: Counter,
    pub tap_overruns: Counter,
    pub events_lost: Counter,
    pub send_failures: Counter,
    pub freed_inline: Counter,
}

impl Counters {
    /// Adds these to a sum over shards.
    pub fn add_to(&self, sum: &mut MediaCounters) {
        sum.ticks += self.ticks.get();
        sum.ticks_late += self.ticks_late.get();
        sum.worst_late_us = sum.worst_late_us.max(self.worst_late_us.get());
        sum.malformed += self.malformed.get();
        sum.strays += self.strays.get();
        sum.tap_overruns += self.tap_overruns.get();
        sum.events_lost += self.events_lost.get();
        sum.send_failures += self.send_failures.get();
        sum.freed_inline += self.freed_inline.get();
    }
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
