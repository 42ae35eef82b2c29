//! The media plane under the same load: bridged calls on one media thread.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use baton_media::{Codec, MediaCommand, MediaConfig, MediaHandle, MediaLeg, start};

use crate::load::{self, Call, Figures};
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
    let figures = measure(&calls, seconds)?;
    Ok(Outcome { figures, kib_per_call })
}

/// Everything but the plain relay.
pub fn others(_table: &mut Table, _seconds: u64, _wanted: &dyn Fn(&str) -> bool) -> Result<(), Box<dyn Error>> {
    Ok(())
}

fn plane() -> Result<(MediaHandle, baton_media::MediaEvents), Box<dyn Error>> {
    sys::pin(TARGET_CORE); // the media thread inherits it
    let started = start(MediaConfig { ports: 20_000..=29_999, ..MediaConfig::default() })?;
    sys::pin(LOAD_CORE);
    Ok(started)
}

fn measure(calls: &[Call], seconds: u64) -> Result<Figures, Box<dyn Error>> {
    let thread = sys::thread_named("baton-media-0").ok_or("no media thread")?;
    Ok(load::run(calls, PCMU, 2, seconds, || sys::cpu_ns(std::process::id(), Some(thread)))?)
}

fn bridged(media: &MediaHandle, count: u16) -> Result<Vec<Call>, Box<dyn Error>> {
    let mut calls = Vec::new();
    for n in 0..count {
        let side = |port: u16| -> Result<(MediaLeg, (SocketAddrV4, SocketAddrV4)), Box<dyn Error>> {
            let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
            let (leg, address) = media.open()?;
            let SocketAddr::V4(address) = address else { return Err("no IPv4".into()) };
            let connect = MediaCommand::Connect {
                remote: local.into(),
                codec: Codec::Pcmu,
                payload_type: 0,
                dtmf_payload_type: None,
                send: true,
                receive: true,
            };
            media.command(leg, connect)?;
            Ok((leg, (local, address)))
        };
        let ((a, to_a), (b, to_b)) = (side(10_000 + 2 * n)?, side(14_000 + 2 * n)?);
        media.command(a, MediaCommand::Bridge { with: b })?;
        calls.push(Call { sides: [to_a, to_b] });
    }
    Ok(calls)
}
