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

use baton_audio::{AudioFrame, Clip, FRAME_SAMPLES};
use rtrb::Producer;

use crate::leg::{Connection, Leg, Mix, Mode, Moment, Port, Task, UNITY, WIDE};
use crate::{MediaCommand, MediaCounters, MediaEvent, MediaLeg, Sources, StereoFrame};

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
    /// A recording that ended.
    Record(Producer<StereoFrame>),
    /// An agreement that another took the place of.
    Connection(Box<Connection>),
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
    /// How legs hear each other is to be looked at anew.
    unsettled: bool,
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
            unsettled: false,
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
    pub fn order(&mut self, now: Instant, leg: MediaLeg, task: Task) -> Option<Box<Leg<P>>> {
        let at = self.moment(now);
        let rewire = match task {
            Task::Plain(MediaCommand::Bridge { with }) => self.bridge(at, leg, with),
            Task::Plain(MediaCommand::Hear { sources }) => self.hear(leg, sources),
            Task::Plain(MediaCommand::Unbridge) => self.part(leg),
            Task::Plain(MediaCommand::Close) => {
                let mut gone = self.remove(leg)?;
                gone.close(at, &mut self.sinks);
                return Some(gone);
            }
            other => {
                let seat = self.seats.get_mut(seat_of(leg)).and_then(Option::as_mut);
                match (seat.filter(|seat| seat.leg.id() == leg), other) {
                    (Some(seat), task) => seat.leg.order(at, task, &mut self.sinks),
                    (None, Task::Connect(connection)) => {
                        self.sinks.bin(Garbage::Connection(connection));
                        false
                    }
                    (None, Task::Plain(command)) => {
                        self.sinks.bin(Garbage::Order(command));
                        false
                    }
                }
            }
        };
        self.unsettled |= rewire;
        None
    }

    /// Takes a leg out of its seat (and its bridge).
    pub fn remove(&mut self, leg: MediaLeg) -> Option<Box<Leg<P>>> {
        self.part(leg);
        let index = seat_of(leg);
        let gone = self.seats.get_mut(index)?.take_if(|seat| seat.leg.id() == leg)?;
        self.taken.retain(|seat| *seat != index);
        self.unsettled = true;
        Some(gone.leg)
    }

    /// A datagram came to a seat's RTP port; those who relay the leg send it on at once. It is decrypted in place.
    pub fn rtp(&mut self, now: Instant, seat: usize, from: SocketAddr, datagram: &mut [u8]) {
        let at = self.moment(now);
        self.settle();
        let Some((leg, sinks)) = self.leg_and_sinks(seat) else { return };
        let live = leg.receive(at, from, datagram, sinks);
        let hearers = leg.hearers;
        self.unsettled |= std::mem::take(&mut leg.changed);
        let Some(live) = live else { return };
        for hearer in hearers.into_iter().flatten() {
            if let Some((leg, sinks)) = self.leg_and_sinks(hearer) {
                leg.relay(at, live, sinks);
            }
        }
    }

    /// A datagram came to a seat's RTCP port.
    pub fn rtcp(&mut self, now: Instant, seat: usize, from: SocketAddr, datagram: &mut [u8]) {
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
        self.settle();
        self.grid = self.grid.max(due.saturating_sub(CATCH_UP));
        while self.grid < due {
            self.grid += 1;
            self.note_lateness(now);
            let phase = self.grid % PER_LEG;
            for index in &self.taken {
                let Some(Some(seat)) = self.seats.get_mut(*index) else { continue };
                if seat.phase.is_none() && seat.leg.connected() {
                    seat.phase = Some(phase);
                }
                if seat.phase == Some(phase) {
                    seat.leg.listen(at, &mut self.sinks);
                }
            }
            for taken in 0..self.taken.len() {
                let Some(index) = self.taken.get(taken).copied() else { continue };
                let Some(Some(seat)) =
                    self.seats.get(index).filter(|seat| seat.as_ref().is_some_and(|seat| seat.phase == Some(phase)))
                else {
                    continue;
                };
                let mix = self.mix(&seat.leg);
                let live = self.live(&seat.leg);
                if let Some((leg, sinks)) = self.leg_and_sinks(index) {
                    leg.speak(at, mix.as_ref(), live, sinks);
                }
            }
        }
    }

    /// Which of those a leg hears have something to say in this tick.
    fn live(&self, leg: &Leg<P>) -> [bool; Sources::MOST] {
        if leg.mode != Mode::Mix {
            return [false; Sources::MOST];
        }
        leg.sources().map(|source| {
            let other = source.and_then(|s| self.at(s.seat).filter(|other| other.id() == s.leg));
            other.is_some_and(|other| other.ear.live)
        })
    }

    /// What a leg hears of others, decoded: where it is mixed, or recorded.
    fn mix(&self, leg: &Leg<P>) -> Option<Mix> {
        if leg.mode != Mode::Mix && !(leg.mode == Mode::Relay && leg.recorded()) {
            return None;
        }
        let mut mix: Mix = [0; WIDE];
        let n = if leg.speaks_wide() { WIDE } else { FRAME_SAMPLES };
        for source in leg.hears() {
            if let Some(other) = self.at(source.seat).filter(|other| other.id() == source.leg) {
                other.ear.add_to(&mut mix[..n], other.loudness(source.gain));
            }
        }
        Some(mix)
    }

    /// How long until the next grid tick; never zero.
    pub fn until_next(&self, now: Instant) -> Duration {
        let since = now.saturating_duration_since(self.origin).as_nanos() % GRID.as_nanos();
        GRID - Duration::from_nanos(since as u64)
    }

    fn here(&self, leg: MediaLeg) -> bool {
        self.at(seat_of(leg)).is_some_and(|found| found.id() == leg)
    }

    fn bridge(&mut self, at: Moment, leg: MediaLeg, with: MediaLeg) -> bool {
        if leg == with || !self.here(leg) || !self.here(with) {
            return false;
        }
        self.part(leg);
        self.part(with);
        for (one, other) in [(leg, with), (with, leg)] {
            if let Some((leg, sinks)) = self.leg_and_sinks(seat_of(one)) {
                leg.stop(at, sinks);
                leg.hear([(seat_of(other), other, 0)].into_iter());
            }
        }
        true
    }

    fn hear(&mut self, leg: MediaLeg, sources: Sources) -> bool {
        if !self.here(leg) {
            return false;
        }
        let mut found = [None; Sources::MOST];
        let present = sources.iter().filter(|(source, _)| *source != leg && self.here(*source));
        for (place, (source, gain)) in found.iter_mut().zip(present) {
            *place = Some((seat_of(source), source, gain));
        }
        if let Some(leg) = self.leg_mut(seat_of(leg)) {
            leg.hear(found.into_iter().flatten());
        }
        true
    }

    fn part(&mut self, leg: MediaLeg) -> bool {
        let Some(one) = self.leg_mut(seat_of(leg)).filter(|found| found.id() == leg) else { return false };
        one.hear(std::iter::empty());
        for index in &self.taken {
            if let Some(Some(seat)) = self.seats.get_mut(*index) {
                seat.leg.forget(leg);
            }
        }
        true
    }

    /// Looks anew at how legs hear each other, if an order or a packet has changed that: who may relay, whose audio must be
    /// decoded and at which rate. A burst of orders costs this once.
    fn settle(&mut self) {
        if !std::mem::take(&mut self.unsettled) {
            return;
        }
        for index in 0..self.taken.len() {
            let Some(seat) = self.taken.get(index).copied() else { continue };
            let Some(mode) = self.at(seat).map(|leg| self.mode_of(leg)) else { continue };
            if let Some(leg) = self.leg_mut(seat) {
                (leg.mode, leg.hearers) = (mode, [None; Sources::MOST]);
                leg.ear.wish(leg.listens_itself());
            }
        }
        for index in 0..self.taken.len() {
            let Some(hearer) = self.taken.get(index).copied() else { continue };
            let Some(leg) = self.at(hearer) else { continue };
            let (sources, wide) = (leg.sources(), leg.speaks_wide());
            let decoded = leg.mode == Mode::Mix || leg.recorded();
            for source in sources.into_iter().flatten() {
                let other = self.leg_mut(source.seat).filter(|other| other.id() == source.leg);
                if let Some(other) = other {
                    other.is_heard_by(hearer, decoded, wide);
                }
            }
        }
        for index in &self.taken {
            if let Some(Some(seat)) = self.seats.get_mut(*index) {
                seat.leg.ear.settle();
            }
        }
    }

    fn mode_of(&self, leg: &Leg<P>) -> Mode {
        let mut sources = leg.hears();
        let (Some(only), None) = (sources.next(), sources.next()) else {
            return if leg.hears().next().is_some() { Mode::Mix } else { Mode::Alone };
        };
        let Some(other) = self.at(only.seat).filter(|other| other.id() == only.leg) else { return Mode::Mix };
        let plain = only.gain == UNITY && !other.has_gain();
        let relayed = other.codec_in().is_none_or(|codec| leg.relay_type(codec).is_some());
        if plain && relayed { Mode::Relay } else { Mode::Mix }
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
            micros: since.as_micros() as u64,
            ntp: self.origin_ntp.wrapping_add((since.as_secs() << 32).wrapping_add(fraction)),
        }
    }

    fn note_lateness(&self, now: Instant) {
        let since = now.saturating_duration_since(self.origin).as_micros() as u64;
        let late = since.saturating_sub(self.grid * GRID.as_micros() as u64);
        let counters = &self.sinks.counters;
        counters.ticks.add(1);
        counters.late_us.add(late);
        counters.worst_late_us.raise(late);
        let bounds = [100, 200, 500, 1_000, 2_000, 5_000, 10_000];
        if let Some(bucket) = counters.lateness.get(bounds.iter().take_while(|bound| late > **bound).count()) {
            bucket.add(1);
        }
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
    pub late_us: Counter,
    pub worst_late_us: Counter,
    pub lateness: [Counter; 8],
    pub record_overruns: Counter,
    pub refused: Counter,
    pub flooded: Counter,
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
        sum.late_us += self.late_us.get();
        sum.worst_late_us = sum.worst_late_us.max(self.worst_late_us.get());
        for (sum, bucket) in sum.lateness.iter_mut().zip(&self.lateness) {
            *sum += bucket.get();
        }
        sum.record_overruns += self.record_overruns.get();
        sum.refused += self.refused.get();
        sum.flooded += self.flooded.get();
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
