//! The whole-system bench: starts the real `baton` binary on its own ports and folders, speaks SIP and RTP to it through the
//! test phone, and reads what it leaves behind. Knows nothing of the gateway's inside.

pub mod peer;
pub mod spoken;
pub mod talk;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use baton_phone::script::{AgentScript, CallerScript};
use serde_json::{Map, Value};

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An empty folder of its own for a test.
pub fn dir(name: &str) -> Result<PathBuf> {
    let dir = root().join("target/whole").join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Adds figures to `target/bench/summary.json`; those of other benches stay.
pub fn add_to_summary(rows: Map<String, Value>) -> Result<()> {
    let path = root().join("target/bench/summary.json");
    let old = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut summary: Map<String, Value> = old.unwrap_or_default();
    summary.extend(rows);
    std::fs::create_dir_all(root().join("target/bench"))?;
    std::fs::write(&path, serde_json::to_string_pretty(&summary)?)?;
    Ok(())
}

/// The binary under test: what `BATON_BIN` names, else the one built in the same profile as this.
pub fn baton() -> PathBuf {
    if let Some(path) = std::env::var_os("BATON_BIN") {
        return path.into();
    }
    let mut dir = std::env::current_exe().unwrap_or_default();
    dir.pop();
    if dir.ends_with("deps") {
        dir.pop();
    }
    dir.join("baton")
}

/// A sample caller of `media/callers`.
pub fn caller(name: &str) -> Result<CallerScript> {
    Ok(CallerScript::load(&root().join("media/callers").join(name))?)
}

/// An agent that accepts with 1 and says a sentence after the join.
pub fn agent(extension: &str) -> Result<AgentScript> {
    let mut script = AgentScript::load(&root().join("media/callers/agents/accepts.toml"))
        .unwrap_or_else(|_| AgentScript::accepting(extension, PASSWORD));
    script.extension = extension.into();
    script.password = PASSWORD.into();
    Ok(script)
}

/// The agents' password in these runs; each run is its own gateway on loopback.
pub const PASSWORD: &str = "whole-system-bench";

/// A running gateway.
pub struct Gateway {
    child: Child,
    /// Where SIP listens.
    pub sip: SocketAddr,
    http: SocketAddr,
    /// Its folder: config, store, logs.
    pub dir: PathBuf,
}

/// A port nobody uses now, for UDP and TCP alike.
pub fn free_port() -> Result<u16> {
    for _ in 0..50 {
        let udp = UdpSocket::bind(("127.0.0.1", 0))?;
        let port = udp.local_addr()?.port();
        if port > 12_000 && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on loopback")
}

/// The default config on ports, store and passwords of its own. `change` edits the text.
pub fn config(dir: &Path, change: impl Fn(String) -> String) -> Result<(String, SocketAddr, SocketAddr)> {
    let (sip, http) =
        (SocketAddr::from(([127, 0, 0, 1], free_port()?)), SocketAddr::from(([127, 0, 0, 1], free_port()?)));
    // Every gateway has ports of its own for RTP, so that several can run beside each other.
    let rtp = 20_000 + (sip.port() % 100) * 200;
    let text = std::fs::read_to_string(root().join("sip-configs/baton.toml"))?
        + &std::fs::read_to_string(root().join("sip-configs/flows/orders.toml"))?;
    let text = text
        .replace("\"127.0.0.1:5060\"", &format!("\"{sip}\""))
        .replace("\"127.0.0.1:8060\"", &format!("\"{http}\""))
        .replace("ports = [30000, 31999]", &format!("ports = [{rtp}, {}]", rtp + 199))
        .replace("\"media/models\"", &format!("\"{}\"", root().join("media/models").display()))
        .replace("\"var/speech-cache\"", &format!("\"{}\"", root().join("target/speech-cache").display()))
        .replace(
            "path = \"var/baton.db\"",
            &format!(
                "path = \"{}\"\nseed = \"{}\"",
                dir.join("baton.db").display(),
                root().join("media/demo/contacts.toml").display()
            ),
        )
        .replace("number = \"1001\"\n", &format!("number = \"1001\"\npassword = \"{PASSWORD}\"\n"))
        .replace("number = \"1002\"\n", &format!("number = \"1002\"\npassword = \"{PASSWORD}\"\n"));
    Ok((change(text), sip, http))
}

impl Gateway {
    /// Starts one in `dir` (emptied first) and waits until it is ready.
    pub fn start(dir: &Path, change: impl Fn(String) -> String) -> Result<Self> {
        let _ = std::fs::remove_dir_all(dir);
        std::fs::create_dir_all(dir)?;
        let (text, sip, http) = config(dir, change)?;
        std::fs::write(dir.join("baton.toml"), text)?;
        Self::again(dir, sip, http)
    }

    /// Starts on a folder that is there already.
    fn again(dir: &Path, sip: SocketAddr, http: SocketAddr) -> Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("baton.log"))?;
        let mut child = Command::new(baton())
            .args(["run", "--config"])
            .arg(dir.join("baton.toml"))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}; build it with: cargo build --release", baton().display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let (ready, waits) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // Read to the end, so that the gateway never blocks on a full pipe.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.starts_with("baton is ready") {
                    let _ = ready.send(());
                }
            }
        });
        if waits.recv_timeout(Duration::from_secs(90)).is_err() {
            let _ = child.kill();
            bail!(
                "the gateway did not get ready:\n{}",
                std::fs::read_to_string(dir.join("baton.log")).unwrap_or_default()
            );
        }
        Ok(Self { child, sip, http, dir: dir.to_owned() })
    }

    /// kill -9, then a new start on the same folder.
    pub fn kill_and_restart(mut self) -> Result<Self> {
        self.child.kill()?;
        self.child.wait()?;
        let (dir, sip, http) = (self.dir.clone(), self.sip, self.http);
        std::mem::forget(self);
        Self::again(&dir, sip, http)
    }

    /// The gateway's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name: `TERM`, `INT`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status()?;
        if done.success() { Ok(()) } else { bail!("the gateway is gone") }
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the gateway goes on");
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// GET of its API: status and body.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        self.request("GET", path)
    }

    /// POST to its API, without a body: status and body.
    pub fn post(&self, path: &str) -> Result<(u16, String)> {
        self.request("POST", path)
    }

    /// The API's server-sent events from now on.
    pub fn events(&self) -> Result<BufReader<TcpStream>> {
        let mut stream = TcpStream::connect(self.http)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", self.http)?;
        Ok(BufReader::new(stream))
    }

    fn request(&self, method: &str, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.http)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.http
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer); // a recording is no text
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let code = head.split(' ').nth(1).and_then(|c| c.parse().ok()).context("no HTTP status")?;
        // axum answers with Content-Length; what is chunked is joined.
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Ok((code, if chunked { body.lines().skip(1).step_by(2).collect() } else { body.to_owned() }))
    }

    /// Waits until no call goes on and the system of record has all that the outbox held.
    pub fn until_delivered(&self) -> Result<()> {
        talk::until("the outbox is empty", || {
            let metrics = self.get("/metrics")?.1;
            let says = |line: &str| metrics.lines().any(|l| l == line);
            Ok(says("baton_calls_live 0") && says("baton_crm_outbox_depth 0"))
        })
    }

    /// All call records, newest first.
    pub fn records(&self) -> Result<Vec<Value>> {
        Ok(serde_json::from_str(&self.get("/api/v1/calls")?.1)?)
    }

    /// The record of the newest call from `number`, once it is complete.
    pub fn record_of(&self, number: &str) -> Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(15);
        // Ports' figures and recordings' ends come a moment after the call's.
        let is_whole = |record: &Value| {
            let over = |kept: &Value| kept["duration_ms"].is_u64() || kept["fault"].is_string();
            !record["media"].as_array().is_none_or(Vec::is_empty)
                && record["recordings"].as_array().is_none_or(|all| all.iter().all(over))
        };
        loop {
            let found = self.records()?.into_iter().find(|r| r["from"] == number && !r["ended_at"].is_null());
            match found {
                Some(record) if is_whole(&record) || Instant::now() > deadline => return Ok(record),
                None if Instant::now() > deadline => bail!("no finished call from {number}"),
                _ => std::thread::park_timeout(Duration::from_millis(100)),
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What of a record does not agree with what a caller's script expects. Empty: all does.
pub fn disagreements(record: &Value, expect: &baton_phone::script::Expect) -> Vec<String> {
    let mut out = Vec::new();
    let mut check = |what: &str, wanted: &str, got: &Value| {
        let got = got.as_str().map_or_else(|| got.to_string(), str::to_owned);
        if got != wanted {
            out.push(format!("{what}: {got}, not {wanted}"));
        }
    };
    for (slot, wanted) in &expect.slots {
        check(slot, wanted, &record["slots"][slot]["value"]);
    }
    if let Some(trigger) = &expect.trigger {
        check("trigger", trigger, &record["trigger"]);
    }
    if let Some(disposition) = &expect.disposition {
        check("disposition", disposition, &record["disposition"]);
    }
    if let Some(holder) = expect.account_holder {
        // Of a caller whom the CRM does not know, the slot alone tells.
        let slot = record["slots"]["account_holder"]["value"].as_str().map(|v| Value::from(v == "yes"));
        let told =
            Some(&record["contact"]["account_holder"]).filter(|v| !v.is_null()).cloned().or(slot).unwrap_or_default();
        check("account_holder", &holder.to_string(), &told);
    }
    if expect.joined && record["bridged_at"].is_null() {
        out.push("not joined".into());
    }
    out
}

/// One figure of a benchmark.
#[derive(Debug)]
pub struct Row {
    /// As `make bench` prints it; stable.
    pub name: String,
    /// Of the value.
    pub unit: &'static str,
    /// The figure.
    pub value: f64,
    /// From how many.
    pub n: usize,
    /// How it came about.
    pub conditions: String,
}

/// Adds the figures to `target/bench/summary.json`.
pub fn summarise(rows: &[Row]) -> Result<()> {
    let path = root().join("target/bench/summary.json");
    let known = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let mut summary: serde_json::Map<String, Value> = known.unwrap_or_default();
    for Row { name, unit, value, n, conditions } in rows {
        let row = serde_json::json!({"value": value, "unit": unit, "beside": null, "ratio": null, "n": n, "conditions": conditions});
        summary.insert(name.clone(), row);
    }
    std::fs::create_dir_all(root().join("target/bench"))?;
    std::fs::write(path, serde_json::to_string_pretty(&Value::Object(summary))?)?;
    Ok(())
}
