//! The same SIPp scenario (INVITE with SDP, 180, 200 with SDP, ACK, BYE, 200) against Baton's endpoint and against
//! `rsipstack`, one after the other, each in a process of its own whose CPU time is read from `/proc`.
//!
//! `cargo run --release` prints the table; arguments are calls per second, 200 and 1,000 without any. `overload`, `soak` and
//! `register` instead of rates put Baton's endpoint alone under stress. Needs `sipp`.

mod servers;
mod stress;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

/// How long calls are placed at each rate.
const SECONDS: u64 = 10;
/// What SIPp waits between ACK and BYE, milliseconds.
const TALK_MS: &str = "500";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, stack, addr, threads] = args.as_slice()
        && mode == "serve"
    {
        return serve(stack, addr.parse()?, threads.parse()?);
    }
    match args.first().map(String::as_str) {
        Some("overload") => return stress::overload(),
        Some("soak") => return stress::soak(),
        Some("register") => return stress::register(),
        _ => {}
    }
    let rates: Vec<u64> =
        args.iter().map(|a| a.parse().context("a rate is calls per second")).collect::<Result<_>>()?;
    let rates = if rates.is_empty() { vec![200, 1_000] } else { rates };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(table(rates))
}

async fn table(rates: Vec<u64>) -> Result<()> {
    println!(
        "{:<10} {:>7} {:>8} {:>8} {:>7} {:>12} {:>7} {:>10}",
        "stack", "threads", "calls/s", "calls", "failed", "CPU µs/call", "RSS MB", "of theirs"
    );
    for (threads, rate) in [1, 2].iter().flat_map(|t| rates.iter().map(|r| (*t, *r))) {
        let theirs = measure("rsipstack", rate, threads).await?;
        let ours = measure("baton", rate, threads).await?;
        for (name, m) in [("rsipstack", &theirs), ("baton", &ours)] {
            println!(
                "{name:<10} {threads:>7} {rate:>8} {:>8} {:>7} {:>12.1} {:>7.1} {:>10.2}",
                m.calls,
                m.failed,
                m.cpu_us,
                m.rss_mb,
                m.cpu_us / theirs.cpu_us
            );
        }
    }
    Ok(())
}

/// One thread is a runtime that stays on its thread; more are tokio's workers.
fn serve(stack: &str, addr: SocketAddr, threads: usize) -> Result<()> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(threads).enable_all().build()?;
    match stack {
        "baton" => runtime.block_on(servers::baton(addr)),
        "rsipstack" => runtime.block_on(servers::rsipstack(addr)),
        other => bail!("no stack {other}"),
    }
}

struct Measured {
    calls: u64,
    failed: u64,
    cpu_us: f64,
    rss_mb: f64,
}

async fn measure(stack: &str, rate: u64, threads: usize) -> Result<Measured> {
    let port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let addr = format!("127.0.0.1:{port}");
    let mut server = Command::new(std::env::current_exe()?)
        .args(["serve", stack, &addr, &threads.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let measured = under_load(&mut server, &addr, rate).await;
    server.kill().await?;
    measured
}

async fn under_load(server: &mut Child, addr: &str, rate: u64) -> Result<Measured> {
    let pid = server.id().context("the server has ended")?;
    if sipp(addr, 50, 50).await.context("warming up")?.0 == 0 {
        bail!("the server does not answer");
    }
    let (calls, before) = (rate * SECONDS, cpu(pid)?);
    let began = Instant::now();
    let (done, failed) = sipp(addr, rate, calls).await?;
    let spent = cpu(pid)? - before;
    let pace = done as f64 / began.elapsed().as_secs_f64();
    if pace < rate as f64 * 0.8 {
        eprintln!("{stack}: only {pace:.0} calls/s were reached", stack = addr);
    }
    let cpu_us = spent.as_secs_f64() * 1e6 / done.max(1) as f64;
    Ok(Measured { calls: done, failed, cpu_us, rss_mb: rss_mb(pid)? })
}

/// Runs SIPp's own `uac`; how many calls were done, and how many failed. What it did not get to place is neither.
async fn sipp(addr: &str, rate: u64, calls: u64) -> Result<(u64, u64)> {
    let dir = std::env::temp_dir().join(format!("baton-sip-load-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let stats = dir.join("stats.csv");
    let output = Command::new("sipp")
        .args(["-sn", "uac", addr, "-s", "help", "-i", "127.0.0.1", "-nostdin", "-d", TALK_MS])
        .args(["-r", &rate.to_string(), "-m", &calls.to_string(), "-l", "20000"])
        .args(["-timeout", "60", "-recv_timeout", "20000", "-trace_stat", "-stf"])
        .arg(&stats)
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .await
        .context("cannot run sipp")?;
    let text = std::fs::read_to_string(&stats).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let _ = std::fs::remove_dir_all(&dir);
    let done = figure(&text, "SuccessfulCall(C)").context("no figures from sipp")?;
    Ok((done, figure(&text, "FailedCall(C)").unwrap_or_default()))
}

/// The last value of a column of SIPp's statistics.
fn figure(stats: &str, name: &str) -> Option<u64> {
    let mut lines = stats.lines();
    let at = lines.next()?.split(';').position(|n| n == name)?;
    lines.next_back()?.split(';').nth(at)?.parse().ok()
}

/// User and system time of a process.
fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<u64> = rest.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    // USER_HZ is 100 on every Linux there is.
    Ok(Duration::from_millis(fields.iter().sum::<u64>() * 10))
}

fn rss_mb(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap_or_default();
    let kb: f64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or_default();
    Ok(kb / 1024.0)
}
