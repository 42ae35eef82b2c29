//! The one RTP stream a leg sends, whatever it carries: one SSRC, every sequence number once and in order, timestamps that
//! follow the leg's ticks.

use crate::srtp::OVERHEAD;
use crate::wire::{HEADER, MAX_PACKET, Rtp};

/// See the module.
pub struct Outbound {
    ssrc: u32,
    sequence: u16,
    /// Timestamp of the frame the current tick sends.
    clock: u32,
    /// Timestamp after the newest audio sent.
    end: u32,
    marker: bool,
    packets: u64,
    octets: u64,
    /// RTP clock units in 20 ms.
    tick: u32,
    packet: [u8; MAX_PACKET + OVERHEAD],
}

impl Outbound {
    /// A stream that begins at random (RFC 3550 §5.1).
    pub fn new(random: [u64; 2]) -> Self {
        let clock = random[0] as u32;
        Self {
            ssrc: (random[0] >> 32) as u32,
            sequence: random[1] as u16,
            clock,
            end: clock,
            marker: true,
            packets: 0,
            octets: 0,
            tick: 160,
            packet: [0; MAX_PACKET + OVERHEAD],
        }
    }

    /// Its source.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The sequence number the next packet takes.
    pub fn sequence(&self) -> u16 {
        self.sequence
    }

    /// Packets sent.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload bytes sent.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Timestamp of what is sent now.
    pub fn now(&self) -> u32 {
        if (self.end.wrapping_sub(self.clock) as i32) > 0 { self.end } else { self.clock }
    }

    /// Timestamp after the newest audio sent.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// RTP clock units in 20 ms from now on.
    pub fn pace(&mut self, tick: u32) {
        self.tick = tick;
    }

    /// RTP clock units in 20 ms.
    pub fn tick(&self) -> u32 {
        self.tick
    }

    /// 20 ms passed.
    pub fn advance(&mut self) {
        self.clock = self.clock.wrapping_add(self.tick);
    }

    /// The next audio packet begins a talkspurt: nothing was sent for a while, or another source begins.
    pub fn mark(&mut self) {
        self.marker = true;
    }

    /// An audio packet of our own, next in sequence, at the present timestamp; its length. `duration` is in RTP clock units.
    pub fn audio(&mut self, payload_type: u8, payload: &[u8], duration: u32) -> usize {
        let (timestamp, sequence) = (self.now(), self.sequence);
        // A relay that ran ahead of our ticks has moved the stream's time; ticks follow from there.
        self.clock = timestamp;
        self.relayed_audio(payload_type, sequence, timestamp, payload, duration)
    }

    /// An audio packet whose place in the stream is given; its length.
    pub fn relayed_audio(
        &mut self,
        payload_type: u8,
        sequence: u16,
        timestamp: u32,
        payload: &[u8],
        duration: u32,
    ) -> usize {
        let marker = std::mem::take(&mut self.marker);
        let end = timestamp.wrapping_add(duration);
        if (end.wrapping_sub(self.end) as i32) > 0 || self.packets == 0 {
            self.end = end;
        }
        self.write(Rtp { marker, payload_type, sequence, timestamp, ssrc: self.ssrc, payload })
    }

    /// An event packet (RFC 4733), whose timestamp is that of the event's begin; its length.
    pub fn event(&mut self, payload_type: u8, sequence: u16, timestamp: u32, first: bool, payload: &[u8]) -> usize {
        self.write(Rtp { marker: first, payload_type, sequence, timestamp, ssrc: self.ssrc, payload })
    }

    /// The packet written last, with room behind it for what SRTP adds.
    pub fn packet(&mut self) -> &mut [u8] {
        &mut self.packet
    }

    fn write(&mut self, packet: Rtp<'_>) -> usize {
        let length = packet.write(&mut self.packet);
        let next = packet.sequence.wrapping_add(1);
        if (next.wrapping_sub(self.sequence) as i16) > 0 {
            self.sequence = next;
        }
        self.packets += 1;
        self.octets += (length - HEADER) as u64;
        length
    }
}
