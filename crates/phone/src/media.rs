//! A phone's audio: one UDP port, one thread that sends a packet every 20 ms, one that records what comes in.
//!
//! It sends all the time, as a phone does: clips when there are any, RFC 4733 events, and in between a faint room tone
//! (about -66 dBFS, far below speech) in which no two frames are equal, so that a relayed packet can be recognised.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

use crate::g711;
use crate::heard::{Heard, Recorder, VOICED_RMS};
use crate::rtp::{self, PACKET_SAMPLES, Packet};
use crate::sdp::Remote;

const TICK: Duration = Duration::from_millis(20);
/// Length of a digit, in packets, and the silence after it.
const DIGIT_PACKETS: u16 = 5;
const DIGIT_GAP: u16 = 3;
/// The end packet of an event is sent three times (RFC 4733 §2.5.1.4).
const END_REPEATS: u16 = 3;

/// One clip given to [`Media::play`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlayId(u64);

/// When a clip was on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Played {
    /// Which clip.
    pub id: PlayId,
    /// Its first packet was sent.
    pub start: Instant,
    /// End of the last 20 ms of it that hold sound: what a listener takes for the end of speech.
    pub voiced_end: Instant,
    /// End of its last packet.
    pub end: Instant,
}

/// One packet as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct SentPacket {
    /// Handed to the socket.
    pub at: Instant,
    /// First sample of it in [`Sent::samples`].
    pub position: usize,
}

/// Everything sent so far, after companding: the samples that a perfect line would deliver.
#[derive(Clone, Debug)]
pub struct Sent {
    /// 8 kHz mono, from the first packet on, one packet after the other.
    pub samples: Vec<i16>,
    /// The audio packets.
    pub packets: Vec<SentPacket>,
    /// The clips that were played, the last perhaps not to its end.
    pub played: Vec<Played>,
    /// Digits with the time of their first packet.
    pub digits: Vec<(char, Instant)>,
}

/// The audio side of one call.
#[derive(Debug)]
pub struct Media {
    shared: Arc<Shared>,
    local: SocketAddr,
    changed: watch::Receiver<()>,
}

impl Media {
    /// Opens a port on `bind` and starts both threads. Nothing is sent before [`Media::connect`].
    /// `noise` is mixed under everything that is sent, looped: a noisy line.
    pub fn open(bind: IpAddr, noise: Option<Arc<[i16]>>) -> std::io::Result<Self> {
        let socket = UdpSocket::bind((bind, 0))?;
        let local = socket.local_addr()?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (change, changed) = watch::channel(());
        let zero = Instant::now();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            recorder: Mutex::new(Recorder::new(zero)),
            sender: Mutex::new(Sender::new(noise)),
            change,
        });
        let receive = socket.try_clone()?;
        let mine = Arc::clone(&shared);
        std::thread::Builder::new().name("phone-hear".into()).spawn(move || hear(&receive, &mine))?;
        let mine = Arc::clone(&shared);
        std::thread::Builder::new().name("phone-speak".into()).spawn(move || speak(&socket, &mine))?;
        Ok(Self { shared, local, changed })
    }

    /// Where this phone listens for RTP.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sends to `remote` from the next tick on, or nothing while it holds us.
    pub(crate) fn connect(&self, remote: Remote) {
        self.shared.sender().remote = Some(remote);
    }

    /// Queues a clip behind those that play.
    pub fn play(&self, samples: Arc<[i16]>) -> PlayId {
        let mut sender = self.shared.sender();
        sender.next_id += 1;
        let id = PlayId(sender.next_id);
        sender.clips.push_back(Playing { id, samples, at: 0, start: None });
        id
    }

    /// Queues digits; they take the place of audio while they last. Characters that are no digits are left out.
    pub fn press(&self, digits: &str) {
        let mut sender = self.shared.sender();
        sender.digits.extend(digits.chars().filter(|d| rtp::event_of(*d).is_some()));
    }

    /// Nothing is left to play or press.
    pub fn is_idle(&self) -> bool {
        let sender = self.shared.sender();
        sender.clips.is_empty() && sender.digits.is_empty() && sender.digit.is_none()
    }

    /// When a clip was played, once it has been.
    pub fn played(&self, id: PlayId) -> Option<Played> {
        self.shared.sender().sent.played.iter().find(|p| p.id == id).copied()
    }

    /// A copy of everything sent so far. A clip that still plays counts as played up to here.
    pub fn sent(&self) -> Sent {
        let sender = self.shared.sender();
        let mut sent = sender.sent.clone();
        sent.played.extend(sender.clips.front().and_then(Playing::so_far));
        sent
    }

    /// How many digits were sent so far, counting one as soon as its first packet is.
    pub fn sent_digits(&self) -> usize {
        self.shared.sender().sent.digits.len()
    }

    /// A copy of everything heard so far.
    pub fn heard(&self) -> Heard {
        let mut heard = self.shared.recorder().heard.clone();
        heard.stats.sent = self.shared.sender().packets;
        heard
    }

    /// Looks at what was heard without copying it.
    pub fn listen<T>(&self, look: impl FnOnce(&Heard) -> T) -> T {
        look(&self.shared.recorder().heard)
    }

    /// Waits until `ready`, asked after every packet heard or sent, or until the deadline; says which.
    pub async fn wait(&self, limit: Duration, mut ready: impl FnMut(&Self) -> bool) -> bool {
        let mut changed = self.changed.clone();
        let wait = async {
            while !ready(self) {
                if changed.changed().await.is_err() {
                    return ready(self);
                }
            }
            true
        };
        tokio::time::timeout(limit, wait).await.unwrap_or(false)
    }

    /// Ends both threads within one tick.
    pub fn close(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.close();
    }
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    recorder: Mutex<Recorder>,
    sender: Mutex<Sender>,
    change: watch::Sender<()>,
}

impl Shared {
    // A panic of one thread must not hide what the other recorded.
    fn sender(&self) -> MutexGuard<'_, Sender> {
        self.sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn hear(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0u8; 2048];
    while !shared.stopped() {
        // A timeout only looks at the stop flag again; an ICMP refusal shows up as an error and is no reason to stop.
        let Ok(len) = socket.recv(&mut buffer) else { continue };
        let at = Instant::now();
        let remote = shared.sender().remote;
        shared.recorder().datagram(&buffer[..len], at, remote.as_ref());
        shared.change.send_replace(());
    }
}

#[expect(clippy::disallowed_methods, reason = "the 20 ms pacing of RTP, to absolute deadlines")]
fn speak(socket: &UdpSocket, shared: &Shared) {
    let mut next = Instant::now();
    let mut datagram = Vec::with_capacity(200);
    while !shared.stopped() {
        next += TICK;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let remote = {
            let mut sender = shared.sender();
            sender.tick(Instant::now(), &mut datagram);
            sender.remote.filter(|r| r.send)
        };
        if let Some(remote) = remote
            && !datagram.is_empty()
        {
            // A refused datagram (nobody listens yet) is what a phone would shrug at, too.
            let _ = socket.send_to(&datagram, remote.addr);
        }
        shared.change.send_replace(());
    }
}

#[derive(Debug)]
struct Playing {
    id: PlayId,
    samples: Arc<[i16]>,
    at: usize,
    start: Option<Instant>,
}

impl Playing {
    fn so_far(&self) -> Option<Played> {
        let start = self.start?;
        let samples = &self.samples[..self.at.min(self.samples.len())];
        let after = |samples: usize| start + Duration::from_micros(samples as u64 * 125);
        Some(Played { id: self.id, start, voiced_end: after(voiced_len(samples)), end: after(samples.len()) })
    }
}

#[derive(Debug)]
struct Pressing {
    code: u8,
    digit: char,
    packet: u16,
    timestamp: u32,
}

#[derive(Debug)]
struct Sender {
    remote: Option<Remote>,
    clips: VecDeque<Playing>,
    digits: VecDeque<char>,
    digit: Option<Pressing>,
    next_id: u64,
    noise: Option<Arc<[i16]>>,
    noise_at: usize,
    random: SmallRng,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    talking: bool,
    packets: u64,
    sent: Sent,
}

impl Sender {
    fn new(noise: Option<Arc<[i16]>>) -> Self {
        let mut random = SmallRng::from_rng(&mut rand::rng());
        Self {
            remote: None,
            clips: VecDeque::new(),
            digits: VecDeque::new(),
            digit: None,
            next_id: 0,
            noise: noise.filter(|n| !n.is_empty()),
            noise_at: 0,
            sequence: random.random(),
            timestamp: random.random(),
            ssrc: random.random(),
            random,
            talking: false,
            packets: 0,
            sent: Sent { samples: Vec::new(), packets: Vec::new(), played: Vec::new(), digits: Vec::new() },
        }
    }

    /// Writes the next packet; leaves `datagram` empty when there is nobody to send to.
    fn tick(&mut self, now: Instant, datagram: &mut Vec<u8>) {
        datagram.clear();
        let Some(remote) = self.remote else { return };
        if !remote.send {
            self.timestamp = self.timestamp.wrapping_add(PACKET_SAMPLES as u32);
            return;
        }
        if self.digit.is_none()
            && let Some(event) = remote.event_type
            && let Some(digit) = self.digits.pop_front()
        {
            let code = rtp::event_of(digit).unwrap_or_default();
            self.digit = Some(Pressing { code, digit, packet: 0, timestamp: self.timestamp });
            self.sent.digits.push((digit, now));
            tracing::debug!(%digit, event, "pressing");
        }
        if !self.event(remote, datagram) {
            self.audio(remote, now, datagram);
        }
        self.timestamp = self.timestamp.wrapping_add(PACKET_SAMPLES as u32);
        self.packets += 1;
    }

    /// One packet of the digit that is pressed, if any. The gap after a digit is audio again.
    fn event(&mut self, remote: Remote, datagram: &mut Vec<u8>) -> bool {
        let (Some(pressing), Some(event_type)) = (&mut self.digit, remote.event_type) else { return false };
        let packet = pressing.packet;
        pressing.packet += 1;
        if packet >= DIGIT_PACKETS + END_REPEATS {
            if packet >= DIGIT_PACKETS + END_REPEATS + DIGIT_GAP {
                self.digit = None;
            }
            return false;
        }
        let end = packet >= DIGIT_PACKETS;
        let duration = (packet + 1).min(DIGIT_PACKETS) * PACKET_SAMPLES as u16;
        let [high, low] = duration.to_be_bytes();
        let payload = [pressing.code, if end { 0x80 | 10 } else { 10 }, high, low];
        let (timestamp, marker) = (pressing.timestamp, packet == 0);
        tracing::trace!(digit = %pressing.digit, packet, "event packet");
        self.write(event_type, marker, timestamp, &payload, datagram);
        self.talking = false;
        true
    }

    fn audio(&mut self, remote: Remote, now: Instant, datagram: &mut Vec<u8>) {
        let frame = self.frame(now);
        let mut payload = [0u8; PACKET_SAMPLES];
        self.sent.packets.push(SentPacket { at: now, position: self.sent.samples.len() });
        for (byte, sample) in payload.iter_mut().zip(frame) {
            *byte = g711::encode(remote.codec, sample);
            self.sent.samples.push(g711::decode(remote.codec, *byte));
        }
        let marker = !std::mem::replace(&mut self.talking, true);
        self.write(remote.payload_type, marker, self.timestamp, &payload, datagram);
    }

    /// The next 20 ms: room tone, the clip that plays, the line's noise.
    fn frame(&mut self, now: Instant) -> [i16; PACKET_SAMPLES] {
        let mut frame: [i16; PACKET_SAMPLES] = std::array::from_fn(|_| self.random.random_range(-24..=24));
        if let Some(playing) = self.clips.front_mut() {
            playing.start.get_or_insert(now);
            let rest = &playing.samples[playing.at.min(playing.samples.len())..];
            for (slot, sample) in frame.iter_mut().zip(rest) {
                *slot = slot.saturating_add(*sample);
            }
            playing.at += PACKET_SAMPLES;
            if playing.at >= playing.samples.len() {
                self.sent.played.extend(playing.so_far());
                self.clips.pop_front();
            }
        }
        if let Some(noise) = &self.noise {
            for slot in &mut frame {
                *slot = slot.saturating_add(noise[self.noise_at % noise.len()]);
                self.noise_at += 1;
            }
        }
        frame
    }

    fn write(&mut self, payload_type: u8, marker: bool, timestamp: u32, payload: &[u8], datagram: &mut Vec<u8>) {
        self.sequence = self.sequence.wrapping_add(1);
        Packet { payload_type, marker, sequence: self.sequence, timestamp, ssrc: self.ssrc, payload }.write(datagram);
    }
}

/// Samples up to the end of the last 20 ms that hold sound.
fn voiced_len(samples: &[i16]) -> usize {
    let voiced = |c: &[i16]| {
        let energy: f64 = c.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
        (energy / c.len() as f64).sqrt() > VOICED_RMS
    };
    samples.chunks(PACKET_SAMPLES).rposition(voiced).map_or(0, |n| ((n + 1) * PACKET_SAMPLES).min(samples.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Codec;

    fn remote(codec: Codec) -> Remote {
        Remote {
            addr: "127.0.0.1:9".parse().unwrap(),
            codec,
            payload_type: codec.payload_type(),
            event_type: Some(101),
            send: true,
            direction: "sendrecv",
        }
    }

    #[test]
    fn digits_follow_rfc_4733_and_audio_waits() {
        let mut sender = Sender::new(None);
        sender.remote = Some(remote(Codec::Pcmu));
        sender.digits.extend(['7', '#']);
        let mut events = Vec::new();
        let mut audio = 0;
        for _ in 0..40 {
            let mut datagram = Vec::new();
            sender.tick(Instant::now(), &mut datagram);
            let packet = Packet::parse(&datagram).unwrap();
            match packet.payload_type {
                101 => events.push((packet.marker, packet.timestamp, packet.payload.to_vec())),
                _ => audio += 1,
            }
        }
        assert_eq!(events.len(), 16);
        assert_eq!(audio, 40 - 16);
        let first: Vec<_> = events[..8].iter().map(|e| e.2.clone()).collect();
        assert_eq!(first[0], [7, 10, 0, 160]);
        assert_eq!(first[4], [7, 10, 3, 32]);
        assert_eq!(first[5..], vec![vec![7, 0x8a, 3, 32]; 3][..]);
        assert!(events[..8].iter().all(|e| e.1 == events[0].1), "one timestamp for one event");
        assert!(events[0].0 && !events[1].0 && events[8].0, "the marker begins an event");
        assert_eq!(events[8].2[0], 11);
    }

    #[test]
    fn a_clip_is_sent_whole_and_its_end_of_speech_is_known() {
        let mut clip = vec![5_000i16; 400];
        clip.extend([0; 800]);
        let mut sender = Sender::new(None);
        sender.remote = Some(remote(Codec::Pcma));
        sender.clips.push_back(Playing { id: PlayId(1), samples: clip.into(), at: 0, start: None });
        let now = Instant::now();
        for _ in 0..9 {
            sender.tick(now, &mut Vec::new());
        }
        let played = sender.sent.played[0];
        assert_eq!(played.voiced_end - played.start, Duration::from_millis(60));
        assert_eq!(played.end - played.start, Duration::from_millis(150));
        assert!(sender.sent.samples[..400].iter().all(|s| *s > 4_500));
        assert!(sender.sent.samples[480..].iter().all(|s| s.abs() < 64));
    }

    #[test]
    fn nothing_is_sent_while_the_other_side_holds() {
        let mut sender = Sender::new(None);
        sender.remote = Some(Remote { send: false, ..remote(Codec::Pcmu) });
        let mut datagram = vec![1];
        sender.tick(Instant::now(), &mut datagram);
        assert!(datagram.is_empty());
    }
}
