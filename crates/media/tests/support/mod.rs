//! What the engine tests share: a peer on a real socket, paced by what it hears, and events with a deadline.
#![allow(dead_code)] // each test binary uses its part

use std::net::{SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use baton_media::{
    Agreement, Codec, CodecList, CryptoAttribute, CryptoKey, MediaCommand, MediaConfig, MediaEvent, MediaEvents,
    MediaHandle, MediaLeg,
};
use bytes::Bytes;
use rtp::header::Header;
use rtp::packet::Packet;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;
use webrtc_util::marshal::{Marshal, Unmarshal};

pub const DEADLINE: Duration = Duration::from_secs(10);
pub const DTMF: u8 = 101;

/// Ports of this process's own: tests of one binary run side by side.
pub fn ports(pairs: u16) -> RangeInclusive<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below the ephemeral range, where the peers' own ports are.
    let base = 20_000 + (std::process::id() % 60) as u16 * 200;
    let first = base + NEXT.fetch_add(2 * pairs, Ordering::Relaxed);
    first..=first + 2 * pairs - 1
}

pub struct Engine {
    pub handle: MediaHandle,
    pub events: MediaEvents,
}

impl Engine {
    pub fn new(pairs: u16) -> Self {
        Self::with(MediaConfig { ports: ports(pairs), ..MediaConfig::default() })
    }

    pub fn with(config: MediaConfig) -> Self {
        let (handle, events) = baton_media::start(config).unwrap();
        Self { handle, events }
    }

    /// A leg and its peer, connected.
    pub fn leg(&self, codec: Codec) -> (MediaLeg, Peer) {
        let (leg, addr) = self.handle.open().unwrap();
        let peer = Peer::new(addr, codec);
        self.command(leg, peer.connect());
        (leg, peer)
    }

    pub fn command(&self, leg: MediaLeg, command: MediaCommand) {
        self.handle.command(leg, command).unwrap();
    }

    /// The next event that `wanted` maps to something.
    pub fn event<T>(&mut self, mut wanted: impl FnMut(&MediaEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.events.clear_wake();
            while let Some(event) = self.events.try_next() {
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
            wait_readable(self.events.as_raw_fd(), deadline);
        }
    }
}

fn wait_readable(fd: RawFd, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd of ours.
    let ready = unsafe { libc::poll(&raw mut poll, 1, left.as_millis() as i32) };
    assert!(ready > 0, "no such event in time");
}

pub struct Peer {
    pub socket: UdpSocket,
    pub codec: Codec,
    pub to: SocketAddr,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    secure: Option<Context>,
}

impl Peer {
    pub fn new(to: SocketAddr, codec: Codec) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self {
            socket,
            codec,
            to,
            sequence: rand::random(),
            timestamp: rand::random(),
            ssrc: rand::random(),
            secure: None,
        }
    }

    pub fn connect(&self) -> MediaCommand {
        MediaCommand::Connect(self.agreement())
    }

    pub fn agreement(&self) -> Agreement {
        let codecs = CodecList::one(self.codec, self.codec.usual_payload_type());
        Agreement { dtmf_payload_type: Some(DTMF), ..Agreement::new(self.socket.local_addr().unwrap(), codecs) }
    }

    /// From now on what it says is encrypted.
    pub fn encrypt(&mut self, key: CryptoKey) {
        let line = CryptoAttribute { tag: 1, key }.to_sdp();
        let bytes = STANDARD.decode(line.rsplit(':').next().unwrap()).unwrap();
        let profile = ProtectionProfile::Aes128CmHmacSha1_80;
        self.secure = Some(Context::new(&bytes[..16], &bytes[16..], profile, None, None).unwrap());
    }

    /// The next RTP packet from the gateway.
    pub fn hear(&self) -> Packet {
        let mut buffer = [0; 2_048];
        let (length, from) = self.socket.recv_from(&mut buffer).expect("a packet in time");
        assert_eq!(from, self.to);
        Packet::unmarshal(&mut &buffer[..length]).unwrap()
    }

    /// The next packets for which `more` is true, and the first for which it is not.
    pub fn hear_while(&self, mut more: impl FnMut(&Packet) -> bool) -> Vec<Packet> {
        let deadline = Instant::now() + DEADLINE;
        let mut heard = Vec::new();
        loop {
            assert!(Instant::now() < deadline, "{} packets and no end", heard.len());
            let packet = self.hear();
            let go_on = more(&packet);
            heard.push(packet);
            if !go_on {
                return heard;
            }
        }
    }

    pub fn say(&mut self, payload: &[u8]) {
        self.say_for(payload.len() as u32, payload);
    }

    /// Says what lasts so many units of the codec's clock.
    pub fn say_for(&mut self, units: u32, payload: &[u8]) {
        self.send(self.codec.usual_payload_type(), false, self.timestamp, payload);
        self.timestamp = self.timestamp.wrapping_add(units);
    }

    /// A digit as RFC 4733 sends it: updates, and three ends. It takes 100 ms of the stream's time.
    pub fn press(&mut self, code: u8) {
        for n in 1..=7u16 {
            let duration = (n.min(5) * 160).to_be_bytes();
            let payload = [code, if n >= 5 { 0x8A } else { 0x0A }, duration[0], duration[1]];
            self.send(DTMF, n == 1, self.timestamp, &payload);
        }
        self.timestamp = self.timestamp.wrapping_add(1_600);
    }

    fn send(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8]) {
        let header = Header {
            version: 2,
            marker,
            payload_type,
            sequence_number: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            ..Header::default()
        };
        let packet = Packet { header, payload: Bytes::copy_from_slice(payload) };
        let mut bytes = packet.marshal().unwrap();
        if let Some(secure) = &mut self.secure {
            bytes = secure.encrypt_rtp(&bytes).unwrap();
        }
        self.socket.send_to(&bytes, self.to).unwrap();
        self.sequence = self.sequence.wrapping_add(1);
    }
}

/// Audio that correlates with nothing but itself: low-passed noise, about the level of speech.
pub fn noise(seed: u64, samples: usize) -> Vec<i16> {
    use rand::{Rng, SeedableRng};
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut last = 0.0;
    (0..samples)
        .map(|_| {
            last = 0.7 * last + random.random_range(-6_000.0..6_000.0);
            last as i16
        })
        .collect()
}

pub fn encoded(codec: Codec, pcm: &[i16]) -> Vec<u8> {
    pcm.iter()
        .map(|s| match codec {
            Codec::Pcmu => baton_audio::g711::encode_ulaw(*s),
            _ => baton_audio::g711::encode_alaw(*s),
        })
        .collect()
}

pub fn decoded(codec: Codec, bytes: &[u8]) -> Vec<i16> {
    bytes
        .iter()
        .map(|b| match codec {
            Codec::Pcmu => baton_audio::g711::decode_ulaw(*b),
            _ => baton_audio::g711::decode_alaw(*b),
        })
        .collect()
}

/// Best normalised correlation of `sent` with any stretch of `heard`.
pub fn correlation(sent: &[i16], heard: &[i16]) -> f64 {
    let energy = |x: &[i16]| x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let own = energy(sent);
    heard
        .windows(sent.len())
        .map(|w| {
            let dot: f64 = w.iter().zip(sent).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            dot / (own * energy(w)).max(1.0)
        })
        .fold(0.0, f64::max)
}

/// One source, sequence numbers without a gap, audio timestamps without a step back.
pub fn assert_one_stream(packets: &[Packet]) {
    for pair in packets.windows(2) {
        let (a, b) = (&pair[0].header, &pair[1].header);
        assert_eq!(a.ssrc, b.ssrc);
        assert_eq!(b.sequence_number, a.sequence_number.wrapping_add(1));
        if a.payload_type != DTMF && b.payload_type != DTMF {
            assert!(b.timestamp.wrapping_sub(a.timestamp) as i32 >= pair[0].payload.len() as i32);
        }
    }
}
