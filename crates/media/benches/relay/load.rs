//! Paced RTP through any forwarder, measured from outside: what each side sends must come out at the other. Loopback only.
//!
//! 50 packets a second in each direction of each call, the legs' phases spread over the 20 ms. A packet carries when it was
//! sent; the kernel stamps when it arrived, so that this program's own scheduling is not in the latency.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use crate::sys::{self, Epoll};

const HEADER: usize = 12;
const PTIME_NS: u64 = 20_000_000;
/// What a packet carries behind its header: mark, call, side, whether it counts, number, time sent.
const META: usize = 24;
const MARK: [u8; 4] = *b"load";

/// One call: where its two sides are bound, and where they send.
#[derive(Clone, Copy)]
pub struct Call {
    /// `(own address, the forwarder's)` of side A and side B.
    pub sides: [(SocketAddrV4, SocketAddrV4); 2],
}

/// How each side's packets are made.
#[derive(Clone, Copy)]
pub struct Packets {
    /// Bytes of payload.
    pub payload: usize,
    /// Payload types of the sides.
    pub types: [u8; 2],
    /// Whether the payload comes out as it went in; where it does not, packets are only counted.
    pub intact: bool,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Packets sent while it counted, and how many of them came out.
    pub sent: u64,
    /// See `sent`.
    pub received: u64,
    /// Packets whose payload was changed, or that came out elsewhere.
    pub wrong: u64,
    /// Sequence numbers that did not follow.
    pub jumps: u64,
    /// Latency from one side's send to the other's arrival, in µs.
    pub p50_us: f64,
    /// See `p50_us`.
    pub p99_us: f64,
    /// CPU of the forwarder, in ms per second of one direction of a call.
    pub cpu_ms: f64,
}

impl Figures {
    /// Share of packets lost, in percent.
    pub fn loss_percent(&self) -> f64 {
        100.0 * self.sent.saturating_sub(self.received) as f64 / self.sent.max(1) as f64
    }
}

struct Leg {
    socket: UdpSocket,
    to: SocketAddr,
    call: u32,
    side: u8,
    number: u32,
    last: Option<u16>,
}

/// Sends and receives for `warm + seconds`, counts the last `seconds`; `cpu_ns` tells the forwarder's CPU time so far.
pub fn run(calls: &[Call], packets: Packets, warm: u64, seconds: u64, cpu_ns: impl Fn() -> u64) -> io::Result<Figures> {
    let epoll = Epoll::new()?;
    let mut legs = Vec::new();
    for (call, sides) in calls.iter().enumerate() {
        for (side, (local, to)) in sides.sides.into_iter().enumerate() {
            let socket = UdpSocket::bind(local)?;
            socket.set_nonblocking(true)?;
            sys::stamp_arrivals(&socket)?;
            epoll.add(socket.as_raw_fd(), legs.len() as u64)?;
            legs.push(Leg { socket, to: to.into(), call: call as u32, side: side as u8, number: 0, last: None });
        }
    }
    let count = legs.len() as u64;
    let mut run = Run { legs, packets, epoll, latencies: Vec::new(), figures: Figures::default(), counting: false };
    run.latencies.reserve(((warm + seconds) * 50 * count) as usize);
    let begin = sys::monotonic() + 50_000_000;
    let (first, last) = (warm * 50 * count, (warm + seconds) * 50 * count);
    let (mut cpu, mut since) = (0, 0);
    for k in 0..last {
        if k == first {
            (cpu, since, run.counting) = (cpu_ns(), sys::monotonic(), true);
        }
        // The phases of the legs lie evenly over each 20 ms.
        let due = begin + k * PTIME_NS / count;
        while sys::monotonic() < due {
            run.drain();
            sys::sleep_until(due.min(sys::monotonic() + 300_000) + 150_000);
        }
        run.send((k % count) as usize);
    }
    let elapsed = (sys::monotonic() - since) as f64 / 1e9;
    let cpu_ms = (cpu_ns() - cpu) as f64 / 1e6 / elapsed / count as f64;
    run.counting = false;
    let end = sys::monotonic() + 500_000_000;
    while sys::monotonic() < end {
        run.drain();
        sys::sleep_until(sys::monotonic() + 1_000_000);
    }
    let mut figures = run.figures;
    run.latencies.sort_unstable();
    let at = |part: f64| {
        let index = ((run.latencies.len() as f64 - 1.0).max(0.0) * part) as usize;
        run.latencies.get(index).map_or(f64::NAN, |ns| *ns as f64 / 1_000.0)
    };
    (figures.p50_us, figures.p99_us, figures.cpu_ms) = (at(0.5), at(0.99), cpu_ms);
    Ok(figures)
}

struct Run {
    legs: Vec<Leg>,
    packets: Packets,
    epoll: Epoll,
    latencies: Vec<u64>,
    figures: Figures,
    counting: bool,
}

impl Run {
    fn send(&mut self, index: usize) {
        let leg = &mut self.legs[index];
        let mut bytes = vec![0u8; HEADER + self.packets.payload];
        bytes[0] = 0x80;
        bytes[1] = self.packets.types[usize::from(leg.side)] | if leg.number == 0 { 0x80 } else { 0 };
        bytes[2..4].copy_from_slice(&(leg.number as u16).to_be_bytes());
        bytes[4..8].copy_from_slice(&leg.number.wrapping_mul(160).to_be_bytes());
        bytes[8..12].copy_from_slice(&(0x1000_0000 + leg.call * 2 + u32::from(leg.side)).to_be_bytes());
        for (i, byte) in bytes[HEADER..].iter_mut().enumerate() {
            *byte = pattern(leg.number, i);
        }
        if self.packets.intact {
            let meta = &mut bytes[HEADER..HEADER + META];
            meta[..4].copy_from_slice(&MARK);
            meta[4..8].copy_from_slice(&leg.call.to_be_bytes());
            (meta[8], meta[9]) = (leg.side, u8::from(self.counting));
            meta[10..14].copy_from_slice(&leg.number.to_be_bytes());
            meta[16..24].copy_from_slice(&sys::wall().to_be_bytes());
        }
        leg.number = leg.number.wrapping_add(1);
        if leg.socket.send_to(&bytes, leg.to).is_ok() && self.counting {
            self.figures.sent += 1;
        }
    }

    fn drain(&mut self) {
        let mut bytes = [0u8; 2_048];
        loop {
            let ready = self.epoll.ready();
            if ready.is_empty() {
                return;
            }
            for token in ready {
                while let Some((length, arrived)) = sys::receive(&self.legs[token as usize].socket, &mut bytes) {
                    self.arrived(token as usize, &bytes[..length], arrived);
                }
            }
        }
    }

    fn arrived(&mut self, index: usize, bytes: &[u8], at: u64) {
        let leg = &mut self.legs[index];
        if bytes.len() < HEADER || (192..=223).contains(&bytes[1]) {
            return;
        }
        let sequence = u16::from_be_bytes([bytes[2], bytes[3]]);
        if leg.last.replace(sequence).is_some_and(|last| sequence != last.wrapping_add(1)) && self.counting {
            self.figures.jumps += 1;
        }
        if !self.packets.intact {
            self.figures.received += u64::from(self.counting);
            return;
        }
        let payload = &bytes[HEADER..];
        let number = |at: usize| payload.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let ours = payload.len() == self.packets.payload && payload[..4] == MARK;
        if ours && (payload[9] == 0 || number(4) != leg.call || payload[8] == leg.side) {
            self.figures.wrong += u64::from(payload[9] != 0);
            return;
        }
        let count = number(10);
        let whole = || payload.iter().enumerate().skip(META).all(|(i, byte)| *byte == pattern(count, i));
        if !ours || !whole() {
            // Silence the forwarder filled in before the call was heard is not ours to count.
            self.figures.wrong += u64::from(self.counting);
            return;
        }
        self.figures.received += 1;
        let sent = payload[16..24].iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
        self.latencies.push(at.saturating_sub(sent));
    }
}

fn pattern(number: u32, at: usize) -> u8 {
    (number.wrapping_mul(31) as usize + at * 7) as u8
}
