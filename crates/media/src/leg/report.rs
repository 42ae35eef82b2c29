//! RTCP both ways, and what a leg's media was like.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Leg, Moment, Port, REPORT};
use crate::quality::{Delay, Loss, score};
use crate::shard::Sinks;
use crate::srtp::OVERHEAD;
use crate::{LegFaults, LegStats, MediaEvent, RemoteStats, rtcp};

/// Reports in a row that say that nothing of ours arrived, from which on audio is one-way.
const DEAF: u8 = 2;

/// RTCP's own state.
#[derive(Default)]
pub struct Reports {
    pub(super) due: Option<Instant>,
    /// Where the peer's RTCP comes from, once it was heard.
    pub(super) source: Option<SocketAddr>,
    sender: Option<(u32, Instant)>,
    round_trip: Option<Duration>,
    remote: RemoteStats,
    /// The highest sequence number of ours the peer had, and reports since then that named no higher.
    arrived: Option<u32>,
    deaf: u8,
    one_way_told: bool,
    sent_before: u64,
}

impl<P: Port> Leg<P> {
    /// A datagram on the RTCP port (or, multiplexed, on the other).
    pub fn receive_rtcp(&mut self, at: Moment, from: SocketAddr, datagram: &mut [u8], sinks: &mut Sinks<P>) {
        let known = self.latch.as_ref().is_some_and(|latch| latch.target().ip() == from.ip());
        if !known {
            self.stray(sinks);
            return;
        }
        let mut length = datagram.len();
        if let Some(secure) = self.link.as_mut().and_then(|link| link.secure.as_mut()) {
            match secure.open_rtcp(datagram) {
                Ok(opened) => length = opened,
                Err(why) => {
                    self.refuse(at, from, why, sinks);
                    return;
                }
            }
        }
        let Some(heard) = rtcp::read(datagram.get(..length).unwrap_or_default(), self.out.ssrc()) else {
            sinks.counters.malformed.add(1);
            return;
        };
        self.rtcp.source = Some(from);
        if let Some(ntp) = heard.sender_ntp {
            self.rtcp.sender = Some((ntp, at.now));
        }
        if let Some(block) = heard.report {
            self.reported(at, block, sinks);
        }
        if let Some(mos) = heard.mos {
            self.rtcp.remote.mos = Some(mos);
        }
    }

    fn reported(&mut self, at: Moment, block: rtcp::Block, sinks: &mut Sinks<P>) {
        let clock = self.codec_out().map_or(8_000, |codec| codec.clock_rate());
        self.rtcp.remote.lost = block.lost;
        self.rtcp.remote.jitter_ms = f64::from(block.jitter) * 1_000.0 / f64::from(clock);
        if block.last_sr != 0 {
            // RFC 3550 §6.4.1: arrival - LSR - DLSR, in 65,536ths of a second. More than 10 s is nonsense.
            let units = ((at.ntp >> 16) as u32).wrapping_sub(block.last_sr).wrapping_sub(block.delay);
            if units < 655_360 {
                self.rtcp.round_trip = Some(Duration::from_micros(u64::from(units) * 1_000_000 / 65_536));
            }
        }
        let sent = self.out.packets();
        let spoken = sent > self.rtcp.sent_before + 100;
        if self.rtcp.arrived.replace(block.highest) == Some(block.highest) && spoken {
            self.rtcp.deaf = self.rtcp.deaf.saturating_add(1);
        } else if !spoken {
            return;
        } else {
            self.rtcp.deaf = 0;
        }
        self.rtcp.sent_before = sent;
        if self.rtcp.deaf >= DEAF && !std::mem::replace(&mut self.rtcp.one_way_told, true) {
            sinks.event(MediaEvent::OneWay { leg: self.id, at: at.now });
        }
    }

    pub(super) fn watch_silence(&mut self, at: Moment, receive: bool, sinks: &mut Sinks<P>) {
        let Some(heard_at) = self.heard_at else { return };
        let for_ = at.now.saturating_duration_since(heard_at);
        if receive && !self.silence_reported && for_ >= self.silence_limit {
            (self.silence_reported, self.silence_ever) = (true, true);
            sinks.event(MediaEvent::Silent { leg: self.id, for_ });
        }
    }

    /// Sends a report, if one is due.
    pub(super) fn report(&mut self, at: Moment, sinks: &mut Sinks<P>) {
        if self.rtcp.due.is_some_and(|due| at.now >= due) {
            self.rtcp.due = Some(at.now + REPORT);
            self.send_report(at, false, sinks);
        }
    }

    pub(super) fn send_report(&mut self, at: Moment, bye: bool, sinks: &mut Sinks<P>) {
        let metrics = self.metrics();
        let (Some(latch), Some(link)) = (&self.latch, &mut self.link) else { return };
        let target = latch.target();
        let mux = link.agreement.rtcp_mux;
        let beside = || target.port().checked_add(1).map(|port| SocketAddr::new(target.ip(), port));
        let named = self.rtcp.source.or(link.agreement.remote_rtcp);
        let Some(to) = (if mux { Some(target) } else { named.or_else(beside) }) else { return };
        let sender = rtcp::Sender {
            ssrc: self.out.ssrc(),
            ntp: at.ntp,
            timestamp: self.out.now(),
            packets: self.out.packets() as u32,
            octets: self.out.octets() as u32,
        };
        let echo = self.rtcp.sender.map_or_else(rtcp::Echo::default, |(last_sr, heard)| rtcp::Echo {
            last_sr,
            delay: (at.now.saturating_duration_since(heard).as_micros() * 65_536 / 1_000_000) as u32,
        });
        let report = self.reception.report().map(|report| (report, echo, metrics));
        let mut out = [0; rtcp::MAX + OVERHEAD];
        let mut length = Some(rtcp::write(&mut out, sender, report, bye));
        if let (Some(secure), Some(plain)) = (&mut link.secure, length) {
            length = secure.protect_rtcp(&mut out, plain);
        }
        let Some(packet) = length.and_then(|length| out.get(..length)) else { return };
        let taken = if mux { self.port.rtp(to, packet) } else { self.port.rtcp(to, packet) };
        sinks.sent(taken);
    }

    /// What RTCP XR says of what we heard (RFC 3611 §4.7).
    fn metrics(&self) -> rtcp::Metrics {
        let (received, lost) = (self.reception.received(), self.reception.lost());
        let late = self.ear.jitter.late();
        let of = |n: u64| (n * 256 / (received + lost).max(1)).min(255) as u8;
        let (r, mos) = self.quality();
        let depth = (self.ear.jitter.depth() / 8).clamp(0, 1_000) as u16;
        rtcp::Metrics {
            loss_rate: of(lost),
            discard_rate: of(late),
            burst_density: (self.reception.burst_density() * 256.0).min(255.0) as u8,
            gap_density: (self.reception.gap_density() * 256.0).min(255.0) as u8,
            round_trip_ms: self.rtcp.round_trip.map_or(0, |trip| trip.as_millis().min(65_535) as u16),
            end_system_ms: 20 + depth,
            r_factor: r as u8,
            mos_tenths: (mos * 10.0).round() as u8,
            nominal_ms: 40,
            most_ms: depth.max(40),
        }
    }

    /// R factor and MOS of what was heard.
    fn quality(&self) -> (f64, f64) {
        let (received, lost) = (self.reception.received(), self.reception.lost());
        let late = self.ear.jitter.late().min(received);
        let share = (lost + late) as f64 / (received + lost).max(1) as f64;
        let trip = self.rtcp.round_trip.map_or(0.0, |trip| trip.as_secs_f64() * 500.0);
        // One way: half the round trip, a packet, and a jitter buffer of 40 ms or twice the jitter.
        let buffer = (2.0 * self.reception.jitter_ms()).clamp(40.0, 200.0);
        score(self.codec_in(), Loss { share, burstiness: self.reception.burstiness() }, Delay(trip + 20.0 + buffer))
    }

    /// How it was, with the late ticks of its shard as they stand now.
    pub(super) fn stats(&self, ticks_late: u64) -> LegStats {
        let (received, lost) = (self.reception.received(), self.reception.lost());
        let [unknown_payload_type, not_authentic, flood] = self.faults;
        let round_trip_ms = self.rtcp.round_trip.map_or(0.0, |trip| trip.as_secs_f64() * 1_000.0);
        LegStats {
            received,
            lost,
            late: self.ear.jitter.late(),
            concealed: self.ear.jitter.concealed(),
            strays: self.strays,
            jitter_ms: self.reception.jitter_ms(),
            mos: self.quality().1,
            sent: self.out.packets(),
            refused: self.refused,
            flooded: self.flooded,
            stretched: self.ear.jitter.stretched(),
            remote: self.rtcp.arrived.map(|_| RemoteStats { round_trip_ms, ..self.rtcp.remote }),
            codec: self.codec_in().filter(|_| self.link.is_some()),
            crypto: self.link.as_ref().and_then(|link| link.agreement.crypto).map(|keys| keys.send.suite()),
            overruns: self.overruns,
            ticks_late: self.late_before.map_or(0, |before| ticks_late.saturating_sub(before)),
            faults: LegFaults {
                one_way: self.rtcp.one_way_told,
                silent: self.silence_ever,
                unknown_payload_type,
                not_authentic,
                flood,
            },
        }
    }
}
