//! What forwarding a bridged call costs: the media plane beside rtpengine (userspace) and a bare epoll loop (the floor),
//! in the same run, each on core 1 with real-time priority where permitted, the load on core 0.
//!
//! Prints a table and merges it into `target/bench/summary.json`. Set by environment: `BATON_BENCH_CALLS` (`100,200,400`),
//! `BATON_BENCH_SECONDS` (6), `BATON_BENCH_TARGETS` (`bare,baton,rtpengine`), `BATON_BENCH_ONLY=relay`. rtpengine is left out, in so many words,
//! where it is not installed (Debian: `rtpengine-daemon`).

mod baton;
mod load;
mod rtpengine;
mod sys;

use std::error::Error;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;

use load::{Call, Figures, Packets};
use rtpengine::{Mode, Rtpengine};
use serde_json::{Map, Value, json};

const LOAD_CORE: usize = 0;
const TARGET_CORE: usize = 1;
const PCMU: Packets = Packets { payload: 160, types: [0, 0], intact: true };

fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let counts: Vec<u16> =
        setting("BATON_BENCH_CALLS", "100,200,400").split(',').map(str::parse).collect::<Result<_, _>>()?;
    let seconds: u64 = setting("BATON_BENCH_SECONDS", "6").parse()?;
    let targets = setting("BATON_BENCH_TARGETS", "bare,baton,rtpengine");
    let wanted = |name: &str| targets.split(',').any(|target| target == name);

    sys::real_time(0);
    let mut table = Table { rows: Map::new(), seconds };
    for count in counts {
        let bare = wanted("bare").then(|| bare_loop(count, seconds)).transpose()?;
        let theirs = if wanted("rtpengine") { beside(count, seconds, Mode::Plain, PCMU)? } else { None };
        table.say(&format!("bare loop, {count} calls"), bare.as_ref());
        table.say(&format!("rtpengine, {count} calls"), theirs.as_ref());
        if wanted("baton") {
            let ours = baton::relay(count, seconds)?;
            table.say(&format!("baton, {count} calls"), Some(&ours.figures));
            let beside = theirs.map(|figures| ("rtpengine userspace", figures.cpu_ms));
            table.row(&format!("media.relay_{count}_cpu_ms_per_stream_s"), "ms", ours.figures.cpu_ms, beside);
            let beside = theirs.map(|figures| ("rtpengine userspace", figures.p99_us));
            table.row(&format!("media.relay_{count}_p99_us"), "us", ours.figures.p99_us, beside);
            if count == 400 {
                let floor = bare.map_or(0.0, |figures| figures.p99_us);
                table.row("media.relay_added_p99_us", "us", ours.figures.p99_us - floor, None);
            }
            table.row("media.kib_per_call", "KiB", ours.kib_per_call, None);
        }
    }
    if std::env::var("BATON_BENCH_ONLY").is_err() {
        baton::others(&mut table, seconds, &wanted)?;
    }
    table.write()
}

/// The figures so far.
pub struct Table {
    rows: Map<String, Value>,
    seconds: u64,
}

impl Table {
    /// Prints one measurement.
    pub fn say(&self, name: &str, figures: Option<&Figures>) {
        let text = figures.map_or("not measured".to_owned(), |f| {
            format!(
                "{:6.3} ms/stream-s   loss {:.3}%   p50 {:5.0} us   p99 {:5.0} us   wrong {}   jumps {}",
                f.cpu_ms,
                f.loss_percent(),
                f.p50_us,
                f.p99_us,
                f.wrong,
                f.jumps
            )
        });
        let _ = writeln!(std::io::stdout(), "{name:32} {text}");
    }

    /// Notes one figure for the summary, beside another's.
    pub fn row(&mut self, name: &str, unit: &str, value: f64, beside: Option<(&str, f64)>) {
        let ratio = beside.map(|(_, theirs)| value / theirs);
        let beside = beside.map(|(who, theirs)| format!("{who}: {theirs:.3} {unit}"));
        let of = ratio.map_or(String::new(), |ratio| format!("   {ratio:.2} of it"));
        let with = beside.as_ref().map_or(String::new(), |beside| format!("   beside {beside}"));
        let _ = writeln!(std::io::stdout(), "    {name} = {value:.3} {unit}{with}{of}");
        let conditions = format!("loopback, {} s, 20 ms PCMU, load on core 0, forwarder on core 1", self.seconds);
        self.rows.insert(
            name.into(),
            json!({"value": value, "unit": unit, "beside": beside, "ratio": ratio, "n": 1, "conditions": conditions}),
        );
    }

    fn write(self) -> Result<(), Box<dyn Error>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench/summary.json");
        let old = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
        let mut summary: Map<String, Value> = old.unwrap_or_default();
        summary.extend(self.rows);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, serde_json::to_string_pretty(&Value::Object(summary))?)?;
        Ok(())
    }
}

/// rtpengine at so many calls.
pub fn beside(count: u16, seconds: u64, mode: Mode, packets: Packets) -> Result<Option<Figures>, Box<dyn Error>> {
    let Some(mut engine) = Rtpengine::start(TARGET_CORE)? else {
        let _ = writeln!(std::io::stdout(), "rtpengine is not installed: not compared");
        return Ok(None);
    };
    let calls = engine.calls(count, mode)?;
    sys::pin(LOAD_CORE);
    let process = engine.process();
    Ok(Some(load::run(&calls, packets, 2, seconds, || sys::cpu_ns(process, None))?))
}

/// The least a user-space forwarder can do: wait, receive, send.
fn bare_loop(count: u16, seconds: u64) -> Result<Figures, Box<dyn Error>> {
    let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let (mut calls, mut sockets) = (Vec::new(), Vec::new());
    for n in 0..count {
        let call = Call { sides: [(at(10_000 + 2 * n), at(20_000 + 4 * n)), (at(14_000 + 2 * n), at(20_002 + 4 * n))] };
        for (local, remote) in call.sides {
            sockets.push((UdpSocket::bind(remote)?, local));
        }
        calls.push(call);
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    let thread = std::sync::atomic::AtomicI32::new(0);
    std::thread::scope(|scope| {
        let forwarder = scope.spawn(|| -> std::io::Result<()> {
            sys::pin(TARGET_CORE);
            sys::real_time(0);
            thread.store(sys::thread_id(), std::sync::atomic::Ordering::Release);
            let epoll = sys::Epoll::new()?;
            for (token, (socket, _)) in sockets.iter().enumerate() {
                epoll.add(socket.as_raw_fd(), token as u64)?;
            }
            let mut bytes = [0u8; 2_048];
            while !stop.load(std::sync::atomic::Ordering::Acquire) {
                for token in epoll.wait(100) {
                    let length = sockets[token as usize].0.recv(&mut bytes)?;
                    let other = token as usize ^ 1;
                    sockets[other].0.send_to(&bytes[..length], sockets[other].1)?;
                }
            }
            Ok(())
        });
        sys::pin(LOAD_CORE);
        let cpu = || sys::cpu_ns(std::process::id(), Some(thread.load(std::sync::atomic::Ordering::Acquire)));
        let figures = load::run(&calls, PCMU, 2, seconds, cpu);
        stop.store(true, std::sync::atomic::Ordering::Release);
        forwarder.join().map_err(|_| "the bare loop panicked")??;
        Ok(figures?)
    })
}
