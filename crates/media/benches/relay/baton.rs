//! The media plane under the same load: bridged calls on one media thread.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

use baton_audio::Clip;
use baton_media::{
    Agreement, Codec, CodecList, CryptoKey, CryptoPair, CryptoSuite, MediaCommand, MediaConfig, MediaHandle, MediaLeg,
    PlayId, start,
};

use crate::load::{self, Call, Figures, Packets};
use crate::rtpengine::Mode;
use crate::{LOAD_CORE, PCMU, TARGET_CORE, Table, sys};

/// What a run showed.
pub struct Outcome {
    /// The load's figures.
    pub figures: Figures,
    /// Memory a call took, sockets' buffers not counted.
    pub kib_per_call: f64,
}

/// Plain calls, PCMU on both sides.
pub fn relay(count: u16, seconds: u64) -> Result<Outcome, Box<dyn Error>> {
    let (media, _events) = plane()?;
    let before = sys::resident_kib();
    let calls = bridged(&media, count)?;
    let kib_per_call = (sys::resident_kib() - before) / f64::from(count);
    let figures = measure(&calls, seconds, PCMU)?;
    Ok(Outcome { figures, kib_per_call })
}

/// Everything but the plain relay.
pub fn others(table: &mut Table, seconds: u64, wanted: &dyn Fn(&str) -> bool) -> Result<(), Box<dyn Error>> {
    if !wanted("baton") {
        return Ok(());
    }
    let rtpengine = wanted("rtpengine");
    let beside = |count, mode, packets| if rtpengine { crate::beside(count, seconds, mode, packets) } else { Ok(None) };
    let named = |figures: Option<Figures>| figures.map(|f| ("rtpengine userspace", f.cpu_ms));

    let suite = CryptoSuite::AesCm128HmacSha1_80;
    let theirs = beside(200, Mode::Secure, PCMU)?;
    table.say("rtpengine, SRTP between two hops", theirs.as_ref());
    let ours = chained(200, seconds, Codec::Pcmu, Some(suite), PCMU)?;
    table.say("baton, SRTP between two hops", Some(&ours));
    table.row("media.srtp_200_cpu_ms_per_stream_s", "ms", ours.cpu_ms, named(theirs));
    let gcm = chained(200, seconds, Codec::Pcmu, Some(CryptoSuite::AeadAes128Gcm), PCMU)?;
    table.row("media.srtp_gcm_200_cpu_ms_per_stream_s", "ms", gcm.cpu_ms, None);

    let laws = Packets { types: [0, 8], intact: false, ..PCMU };
    let theirs = beside(100, Mode::Transcode, laws)?;
    let ours = pcmu_to_pcma(100, seconds, laws)?;
    table.say("baton, PCMU to PCMA", Some(&ours));
    table.row("media.pcmu_pcma_100_cpu_ms_per_stream_s", "ms", ours.cpu_ms, named(theirs));

    let counted = Packets { intact: false, ..PCMU };
    let opus = chained(20, seconds, Codec::Opus, None, counted)?;
    table.say("baton, G.711 to Opus and back", Some(&opus));
    table.row("media.g711_opus_20_cpu_ms_per_stream_s", "ms", opus.cpu_ms, None);
    let mixed = three_way(50, seconds, counted)?;
    table.say("baton, calls of three", Some(&mixed));
    table.row("media.three_way_50_cpu_ms_per_stream_s", "ms", mixed.cpu_ms, None);

    let late = lateness(400, 40, seconds)?;
    table.row("media.tick_late_p999_us", "us", late, None);
    Ok(())
}

/// Upper bound of the lateness of 99.9 % of ticks, in µs, while so many calls are relayed and so many legs play into and
/// are heard through jitter buffer and tap.
fn lateness(calls: u16, heard: u16, seconds: u64) -> Result<f64, Box<dyn Error>> {
    let (media, _events) = plane()?;
    let calls = bridged(&media, calls)?;
    let (mut taps, mut sockets) = (Vec::new(), Vec::new());
    for n in 0..heard {
        let (leg, at) = media.open()?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        media.command(leg, connect(socket.local_addr()?, Codec::Pcmu, None))?;
        let clip = Clip::new((0..16_000).map(|i| (i * 31 % 9_000) as i16).collect());
        media.command(leg, MediaCommand::Play { id: PlayId(u64::from(n)), clip, looped: true })?;
        let (to, tap) = rtrb::RingBuffer::new(2_048);
        media.command(leg, MediaCommand::Tap { to: Some(to) })?;
        taps.push(tap);
        sockets.push((socket, at));
    }
    sys::sleep_until(sys::monotonic() + 500_000_000); // the orders have been carried out
    // The peers of the tapped legs answer each packet with one.
    let stop = AtomicBool::new(false);
    let before = media.counters();
    std::thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let peers = scope.spawn(|| {
            let mut bytes = [0u8; 2_048];
            while !stop.load(Ordering::Acquire) {
                for (socket, at) in &sockets {
                    while let Ok(length) = socket.recv(&mut bytes) {
                        let _ = socket.send_to(&bytes[..length], at);
                    }
                }
                sys::sleep_until(sys::monotonic() + 2_000_000);
            }
        });
        let figures = measure(&calls, seconds, PCMU);
        stop.store(true, Ordering::Release);
        peers.join().map_err(|_| "the peers panicked")?;
        figures.map(drop)
    })?;
    let after = media.counters();
    let counts: Vec<u64> = after.lateness.iter().zip(before.lateness).map(|(after, before)| after - before).collect();
    let total: u64 = counts.iter().sum();
    let mut below = 0;
    for (count, bound) in counts.iter().zip([100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0]) {
        below += count;
        if below as f64 >= total as f64 * 0.999 {
            return Ok(bound);
        }
    }
    Ok(after.worst_late_us as f64)
}

/// Two calls in a row: what the load sends is coded as `between`, or encrypted, on the way from one to the other.
fn chained(
    count: u16,
    seconds: u64,
    between: Codec,
    suite: Option<CryptoSuite>,
    packets: Packets,
) -> Result<Figures, Box<dyn Error>> {
    let (media, _events) = plane()?;
    let mut calls = Vec::new();
    for n in 0..count {
        let (a, to_a) = side(&media, 10_000 + 2 * n, Codec::Pcmu)?;
        let (b, to_b) = side(&media, 14_000 + 2 * n, Codec::Pcmu)?;
        let ((x, at_x), (y, at_y)) = (media.open()?, media.open()?);
        let pair = suite.map(|suite| (CryptoKey::generate(suite), CryptoKey::generate(suite)));
        let keys = |(send, receive): (CryptoKey, CryptoKey)| CryptoPair { send, receive };
        media.command(x, connect(at_y, between, pair.map(keys)))?;
        media.command(y, connect(at_x, between, pair.map(|(one, two)| keys((two, one)))))?;
        media.command(a, MediaCommand::Bridge { with: x })?;
        media.command(b, MediaCommand::Bridge { with: y })?;
        calls.push(Call { sides: [to_a, to_b] });
    }
    measure(&calls, seconds, packets)
}

fn pcmu_to_pcma(count: u16, seconds: u64, packets: Packets) -> Result<Figures, Box<dyn Error>> {
    let (media, _events) = plane()?;
    let mut calls = Vec::new();
    for n in 0..count {
        let (a, to_a) = side(&media, 10_000 + 2 * n, Codec::Pcmu)?;
        let (b, to_b) = side(&media, 14_000 + 2 * n, Codec::Pcma)?;
        media.command(a, MediaCommand::Bridge { with: b })?;
        calls.push(Call { sides: [to_a, to_b] });
    }
    measure(&calls, seconds, packets)
}

/// The third of each call is sent what is said, and says nothing.
fn three_way(count: u16, seconds: u64, packets: Packets) -> Result<Figures, Box<dyn Error>> {
    let (media, _events) = plane()?;
    let silent = UdpSocket::bind("127.0.0.1:0")?;
    let mut calls = Vec::new();
    for n in 0..count {
        let (a, to_a) = side(&media, 10_000 + 2 * n, Codec::Pcmu)?;
        let (b, to_b) = side(&media, 14_000 + 2 * n, Codec::Pcmu)?;
        let (c, _) = media.open()?;
        media.command(c, connect(silent.local_addr()?, Codec::Pcmu, None))?;
        media.conference(&[a, b, c])?;
        calls.push(Call { sides: [to_a, to_b] });
    }
    measure(&calls, seconds, packets)
}

fn plane() -> Result<(MediaHandle, baton_media::MediaEvents), Box<dyn Error>> {
    sys::pin(TARGET_CORE); // the media thread inherits it
    let started = start(MediaConfig { ports: 20_000..=29_999, ..MediaConfig::default() })?;
    sys::pin(LOAD_CORE);
    Ok(started)
}

fn measure(calls: &[Call], seconds: u64, packets: Packets) -> Result<Figures, Box<dyn Error>> {
    let thread = sys::thread_named("baton-media-0").ok_or("no media thread")?;
    Ok(load::run(calls, packets, 2, seconds, || sys::cpu_ns(std::process::id(), Some(thread)))?)
}

fn bridged(media: &MediaHandle, count: u16) -> Result<Vec<Call>, Box<dyn Error>> {
    let mut calls = Vec::new();
    for n in 0..count {
        let (a, to_a) = side(media, 10_000 + 2 * n, Codec::Pcmu)?;
        let (b, to_b) = side(media, 14_000 + 2 * n, Codec::Pcmu)?;
        media.command(a, MediaCommand::Bridge { with: b })?;
        calls.push(Call { sides: [to_a, to_b] });
    }
    Ok(calls)
}

type Side = (SocketAddrV4, SocketAddrV4);

/// A leg whose peer is the load at a port.
fn side(media: &MediaHandle, port: u16, codec: Codec) -> Result<(MediaLeg, Side), Box<dyn Error>> {
    let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let (leg, address) = media.open()?;
    let SocketAddr::V4(address) = address else { return Err("no IPv4".into()) };
    media.command(leg, connect(local.into(), codec, None))?;
    Ok((leg, (local, address)))
}

fn connect(remote: SocketAddr, codec: Codec, crypto: Option<CryptoPair>) -> MediaCommand {
    let codecs = CodecList::one(codec, codec.usual_payload_type());
    MediaCommand::Connect(Agreement { crypto, ..Agreement::new(remote, codecs) })
}
