//! What a SIP endpoint must survive: three times what it can carry for a minute, and a long run. Both tell how full its
//! tables and its memory are before and after.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{cpu, figure, rss_mb};

/// The server, on one core of its own where there are two.
struct Server {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    addr: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start() -> Result<Self> {
        let port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let addr = format!("127.0.0.1:{port}");
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(std::env::current_exe()?)
            .args(["serve", "baton", &addr, "1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run taskset (util-linux)")?;
        let (stdin, stdout) = (child.stdin.take().context("no pipe")?, child.stdout.take().context("no pipe")?);
        Ok(Self { child, stdin, stdout: BufReader::new(stdout), addr })
    }

    /// How full its tables are, in its own words.
    fn tables(&mut self) -> Result<String> {
        writeln!(self.stdin)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Waits until the tables are empty; how long that took, or what is left after `limit`.
    fn emptied(&mut self, limit: Duration) -> Result<String> {
        let began = Instant::now();
        loop {
            let tables = self.tables()?;
            if tables.contains("transactions: 0, legs: 0, dialogs: 0") {
                return Ok(format!("empty {:.0} s after the last call", began.elapsed().as_secs_f64()));
            }
            if began.elapsed() > limit {
                return Ok(format!("NOT empty after {} s: {tables}", limit.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn rss(&self) -> Result<f64> {
        rss_mb(self.child.id())
    }
}

struct Run {
    done: u64,
    failed: u64,
    shed: u64,
    seconds: f64,
}

/// `overload.xml` of `sip-configs/sipp`, or another scenario.
fn sipp(server: &Server, scenario: &str, rate: u64, calls: u64, more: &[&str]) -> Result<Run> {
    let dir = std::env::temp_dir().join(format!("baton-sip-stress-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let stats = dir.join("stats.csv");
    let scenarios = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sip-configs/sipp"));
    let began = Instant::now();
    let output = Command::new("sipp")
        .arg("-sf")
        .arg(scenarios.join(scenario))
        .args([&server.addr, "-s", "help", "-i", "127.0.0.1", "-nostdin", "-l", "60000"])
        .args(["-r", &rate.to_string(), "-m", &calls.to_string()])
        .args(["-timeout", "600", "-recv_timeout", "40000", "-trace_stat", "-stf"])
        .arg(&stats)
        .args(more)
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .context("cannot run sipp")?;
    let text = std::fs::read_to_string(&stats).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let _ = std::fs::remove_dir_all(&dir);
    Ok(Run {
        done: figure(&text, "SuccessfulCall(C)").context("no figures from sipp")?,
        failed: figure(&text, "FailedCall(C)").unwrap_or_default(),
        shed: figure(&text, "GenericCounter1(C)").unwrap_or_default(),
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// The highest of some rates that one core carries without a call refused or lost.
fn capacity() -> Result<u64> {
    let mut carried = 0;
    for rate in [1_000, 1_500, 2_000, 2_500, 3_000, 4_000, 5_000, 6_000] {
        let server = Server::start()?;
        sipp(&server, "overload.xml", 50, 50, &["-d", "500"])?;
        let before = cpu(server.child.id())?;
        let run = sipp(&server, "overload.xml", rate, rate * 8, &["-d", "500"])?;
        let spent = (cpu(server.child.id())? - before).as_secs_f64();
        let pace = run.done as f64 / run.seconds;
        println!(
            "  {rate:>6} calls/s asked, {pace:>6.0} reached: {} done, {} refused, {} lost, {:.1} µs a call",
            run.done - run.shed,
            run.shed,
            run.failed,
            spent * 1e6 / run.done.max(1) as f64
        );
        if run.shed + run.failed > 0 || pace < rate as f64 * 0.8 {
            break;
        }
        carried = rate;
    }
    Ok(carried)
}

/// Three times what it carries, for a minute.
pub fn overload() -> Result<()> {
    println!("what one core carries:");
    let capacity = capacity()?;
    if capacity == 0 {
        bail!("not even the lowest rate was carried");
    }
    let mut server = Server::start()?;
    // The memory to compare with is that after a run within its means.
    sipp(&server, "overload.xml", capacity, capacity * 10, &["-d", "500"])?;
    println!("warm: {}", server.emptied(Duration::from_secs(60))?);
    let before = server.rss()?;
    let rate = capacity * 3;
    let run = sipp(&server, "overload.xml", rate, rate * 60, &["-d", "500"])?;
    println!(
        "{rate} calls/s asked for, {:.0} placed, over {:.0} s: {} carried to their end, {} refused with 503, {} lost",
        run.done as f64 / run.seconds,
        run.seconds,
        run.done - run.shed,
        run.shed,
        run.failed
    );
    let after = server.rss()?;
    println!("tables: {}", server.emptied(Duration::from_secs(90))?);
    println!("memory: {before:.1} MB before, {after:.1} MB at the end, {:.1} MB when empty", server.rss()?);
    Ok(())
}

/// Fifty thousand calls, memory looked at ten times.
pub fn soak() -> Result<()> {
    let mut server = Server::start()?;
    for part in 1..=10 {
        let run = sipp(&server, "overload.xml", 1_000, 5_000, &["-d", "200"])?;
        println!("{:>6} calls: {} refused, {} lost, {:.1} MB", part * 5_000, run.shed, run.failed, server.rss()?);
    }
    println!("tables: {}; {:.1} MB", server.emptied(Duration::from_secs(90))?, server.rss()?);
    Ok(())
}

/// Registrations with digest: what one costs, challenge and proof.
pub fn register() -> Result<()> {
    let users = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sip-configs/sipp/registrations.csv");
    let server = Server::start()?;
    for rate in [500, 1_000, 2_000, 4_000] {
        let before = cpu(server.child.id())?;
        let run = sipp(&server, "registrations.xml", rate, rate * 8, &["-inf", users])?;
        let spent = (cpu(server.child.id())? - before).as_secs_f64();
        println!(
            "{rate:>6} REGISTER/s asked, {:>6.0} reached: {} done, {} failed, {:.1} µs each, {:.0}/s a core",
            run.done as f64 / run.seconds,
            run.done,
            run.failed,
            spent * 1e6 / run.done.max(1) as f64,
            run.done as f64 / spent
        );
    }
    Ok(())
}
