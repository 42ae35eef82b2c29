//! rtpengine as the one to compare with: userspace forwarding (`--table=-1`), told of calls by its `ng` protocol
//! (bencode over UDP). Every call is set up by an offer and an answer, as a SIP proxy would.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::load::Call;
use crate::sys;

/// What it does with a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// RTP on both sides.
    Plain,
    /// Two calls in a row, SRTP between them: per packet one encryption and one decryption, over two hops.
    Secure,
    /// PCMU to PCMA.
    Transcode,
}

/// A running rtpengine; ends with this value.
pub struct Rtpengine {
    child: Child,
    control: UdpSocket,
    cookie: u32,
    files: PathBuf,
}

impl Rtpengine {
    /// Starts it on a core, with one worker. `Ok(None)` where it is not installed.
    pub fn start(core: usize) -> io::Result<Option<Self>> {
        let files = std::env::temp_dir().join(format!("baton-bench-{}", std::process::id()));
        std::fs::create_dir_all(&files)?;
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let arguments = [
            "--config-file=none".into(),
            "--table=-1".into(),
            "--foreground".into(),
            "--interface=lo/127.0.0.1".into(),
            format!("--listen-ng=127.0.0.1:{port}"),
            "--port-min=20000".into(),
            "--port-max=32000".into(),
            "--num-threads=1".into(),
            "--log-level=3".into(),
            "--log-stderr".into(),
            "--delete-delay=0".into(),
            "--no-redis-required".into(),
            format!("--pidfile={}", files.join("pid").display()),
        ];
        let spawned = Command::new("taskset")
            .args(["-c", &core.to_string(), "chrt", "-f", "5", "rtpengine"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let control = UdpSocket::bind("127.0.0.1:0")?;
        control.connect((Ipv4Addr::LOCALHOST, port))?;
        control.set_read_timeout(Some(Duration::from_millis(300)))?;
        let mut started = Self { child, control, cookie: 0, files };
        for _ in 0..20 {
            if started.ask(&[("command", Value::text("ping"))]).is_ok() {
                return Ok(Some(started));
            }
            if started.child.try_wait()?.is_some() {
                return Ok(None);
            }
            sys::sleep_until(sys::monotonic() + 200_000_000);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "rtpengine does not answer"))
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sets up so many calls.
    pub fn calls(&mut self, count: u16, mode: Mode) -> io::Result<Vec<Call>> {
        (0..count).map(|n| self.call(n, mode)).collect()
    }

    fn call(&mut self, n: u16, mode: Mode) -> io::Result<Call> {
        let (a, b) = (10_000 + 2 * n, 14_000 + 2 * n);
        let (to_a, to_b) = match mode {
            Mode::Plain | Mode::Transcode => {
                let transcode = mode == Mode::Transcode;
                let offer = self.offer(n, "p", &sdp(a, 0), "RTP/AVP", transcode)?;
                let answer = self.answer(n, "p", &sdp(b, if transcode { 8 } else { 0 }))?;
                (port(&answer)?, port(&offer)?)
            }
            Mode::Secure => {
                let first = self.offer(n, "x", &sdp(a, 0), "RTP/SAVP", false)?;
                let second = self.offer(n, "y", &first, "RTP/AVP", false)?;
                let back = self.answer(n, "y", &sdp(b, 0))?;
                let answer = self.answer(n, "x", &back)?;
                (port(&answer)?, port(&second)?)
            }
        };
        let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        Ok(Call { sides: [(at(a), at(to_a)), (at(b), at(to_b))] })
    }

    fn offer(&mut self, n: u16, leg: &str, sdp: &str, protocol: &str, transcode: bool) -> io::Result<String> {
        let mut ask = vec![("command", Value::text("offer")), ("transport-protocol", Value::text(protocol))];
        if protocol == "RTP/SAVP" {
            ask.push(("SDES", Value::List(vec![Value::text("only-AES_CM_128_HMAC_SHA1_80")])));
        }
        if transcode {
            let only = |name: &str| Value::List(vec![Value::text(name)]);
            ask.push(("codec", Value::Dictionary(vec![("mask", only("PCMU")), ("transcode", only("PCMA"))])));
        }
        self.describe(n, leg, sdp, ask)
    }

    fn answer(&mut self, n: u16, leg: &str, sdp: &str) -> io::Result<String> {
        self.describe(n, leg, sdp, vec![("command", Value::text("answer")), ("to-tag", Value::text("b"))])
    }

    fn describe(&mut self, n: u16, leg: &str, sdp: &str, mut ask: Vec<(&'static str, Value)>) -> io::Result<String> {
        ask.extend([
            ("call-id", Value::text(&format!("{leg}{n}"))),
            ("from-tag", Value::text("a")),
            ("sdp", Value::text(sdp)),
            ("flags", Value::List(vec![Value::text("trust-address")])),
            ("replace", Value::List(vec![Value::text("origin"), Value::text("session-connection")])),
            ("ICE", Value::text("remove")),
            ("DTLS", Value::text("off")),
        ]);
        let answer = self.ask(&ask)?;
        let (length, text) =
            answer.split_once("3:sdp").and_then(|(_, rest)| rest.split_once(':')).ok_or_else(|| bad(&answer))?;
        let text = length.parse().ok().and_then(|length: usize| text.get(..length)).ok_or_else(|| bad(&answer))?;
        Ok(text.to_owned())
    }

    fn ask(&mut self, ask: &[(&'static str, Value)]) -> io::Result<String> {
        self.cookie += 1;
        let cookie = format!("{}_{} ", std::process::id(), self.cookie);
        let mut message = cookie.clone();
        Value::Dictionary(ask.to_vec()).write(&mut message);
        self.control.send(message.as_bytes())?;
        let mut bytes = vec![0; 65_535];
        loop {
            let length = self.control.recv(&mut bytes)?;
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            match text.strip_prefix(&cookie) {
                Some(answer) if answer.contains("5:error") => return Err(bad(answer)),
                Some(answer) => return Ok(answer.to_owned()),
                None => {} // an answer to a question asked before
            }
        }
    }
}

impl Drop for Rtpengine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.files);
    }
}

/// A bencoded value.
#[derive(Clone)]
enum Value {
    Text(String),
    List(Vec<Value>),
    Dictionary(Vec<(&'static str, Value)>),
}

impl Value {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(&format!("{}:{text}", text.len())),
            Self::List(items) => {
                out.push('l');
                items.iter().for_each(|item| item.write(out));
                out.push('e');
            }
            Self::Dictionary(entries) => {
                let mut entries = entries.clone();
                entries.sort_by_key(|(key, _)| *key);
                out.push('d');
                for (key, value) in entries {
                    Self::text(key).write(out);
                    value.write(out);
                }
                out.push('e');
            }
        }
    }
}

fn sdp(port: u16, payload_type: u8) -> String {
    let name = if payload_type == 0 { "PCMU" } else { "PCMA" };
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, port).into();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {payload_type}\r\n\
         a=rtpmap:{payload_type} {name}/8000\r\na=ptime:20\r\na=sendrecv\r\n",
        ip = address.ip()
    )
}

fn port(sdp: &str) -> io::Result<u16> {
    let after = sdp.split("m=audio ").nth(1).ok_or_else(|| bad(sdp))?;
    after.split_whitespace().next().and_then(|port| port.parse().ok()).ok_or_else(|| bad(sdp))
}

fn bad(answer: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("rtpengine says {answer}"))
}
