//! Systems of record that keep state and answer as their makers' documents say, on a port of this machine; and that fail as
//! told: before or after the effect, with an answer or without. HTTP/1.1 by hand, so that a connection can be cut between
//! the effect and its answer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a panic here is a failed test")]
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::cmp_owned, reason = "a JSON id against a path's text: serde_json compares numbers with numbers only")]

pub mod gorgias;
pub mod hubspot;
pub mod salesforce;
pub mod shopify;
pub mod webhook;
pub mod zendesk;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as the system sees it.
#[derive(Debug, Clone)]
pub struct Req {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    /// The query as it came.
    pub raw_query: String,
    pub headers: Vec<(String, String)>,
    pub raw: String,
    pub body: Value,
}

impl Req {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    /// Method and path's parts, for matching.
    pub fn parts(&self) -> (&str, Vec<&str>) {
        (&self.method, self.path.trim_matches('/').split('/').collect())
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Resp {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Value,
}

pub fn ok(body: Value) -> Resp {
    Resp { status: 200, headers: Vec::new(), body }
}

pub fn status(status: u16, body: Value) -> Resp {
    Resp { status, headers: Vec::new(), body }
}

/// What a system does with requests. One request at a time, as a database would have it.
pub trait Vendor: Send + 'static {
    fn answer(&mut self, req: &Req) -> Resp;
    /// What it says when somebody asks too often.
    fn limited(&self) -> Resp {
        Resp { status: 429, headers: vec![("retry-after", "0.02".into())], body: json!({"error": "too many requests"}) }
    }
    /// What it says when the token has run out. Later tokens are good again.
    fn expired(&mut self) -> Resp {
        status(401, json!({"error": "unauthorized"}))
    }
    /// How many objects it holds that our writes made.
    fn objects(&self) -> Vec<(&'static str, usize)>;
}

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 500 instead of an effect.
    Broken,
    /// The effect, then the connection is cut.
    AnswerLost,
    /// No effect, and the connection is cut.
    RequestLost,
    /// Turned away for its rate.
    Limited,
    /// The credentials have run out.
    Expired,
    /// It will not take this.
    Refused,
    /// The effect comes late, and so does the answer.
    Slow(Duration),
    /// No effect, and no answer ever.
    HangBefore,
    /// The effect, and no answer ever.
    HangAfter,
}

#[derive(Default)]
struct Plan {
    /// Counts requests from when it was armed.
    seen: usize,
    faults: Vec<(usize, Fault)>,
    always: Option<Fault>,
    latency: Duration,
}

pub struct Fake<V> {
    pub url: String,
    pub vendor: Arc<Mutex<V>>,
    pub log: Arc<Mutex<Vec<Req>>>,
    plan: Arc<Mutex<Plan>>,
    /// Told of each request's number, once before its effect and once after it.
    pub watch: tokio::sync::broadcast::Sender<(usize, bool)>,
    task: tokio::task::JoinHandle<()>,
}

impl<V> Drop for Fake<V> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<V: Vendor> Fake<V> {
    pub async fn start(vendor: V) -> Self {
        Self::start_with(|_| vendor).await
    }

    /// The system is told its own address: some put it into their answers.
    pub async fn start_with(vendor: impl FnOnce(&str) -> V) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let vendor = Arc::new(Mutex::new(vendor(&url)));
        let log: Arc<Mutex<Vec<Req>>> = Arc::default();
        let plan: Arc<Mutex<Plan>> = Arc::default();
        let (watch, _) = tokio::sync::broadcast::channel(1_024);
        let all = (Arc::clone(&vendor), Arc::clone(&log), Arc::clone(&plan), watch.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (vendor, log, plan, watch) = all.clone();
                tokio::spawn(async move {
                    let _ = serve(stream, vendor, log, plan, watch).await;
                });
            }
        });
        Self { url, vendor, log, plan, watch, task }
    }

    /// From now on, the requests of these numbers (from 0) go wrong.
    pub fn arm(&self, faults: &[(usize, Fault)]) {
        let mut plan = self.plan.lock().unwrap();
        (plan.seen, plan.faults, plan.always) = (0, faults.to_vec(), None);
    }

    /// From now on all requests go wrong, or none.
    pub fn always(&self, fault: Option<Fault>) {
        let mut plan = self.plan.lock().unwrap();
        (plan.faults, plan.always) = (Vec::new(), fault);
    }

    /// Every answer takes so long.
    pub fn latency(&self, latency: Duration) {
        self.plan.lock().unwrap().latency = latency;
    }

    /// How many requests came since it was armed.
    pub fn seen(&self) -> usize {
        self.plan.lock().unwrap().seen
    }

    pub fn objects(&self) -> Vec<(&'static str, usize)> {
        self.vendor.lock().unwrap().objects()
    }
}

async fn serve<V: Vendor>(
    stream: TcpStream,
    vendor: Arc<Mutex<V>>,
    log: Arc<Mutex<Vec<Req>>>,
    plan: Arc<Mutex<Plan>>,
    watch: tokio::sync::broadcast::Sender<(usize, bool)>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let Some(req) = read(&mut stream).await? else { return Ok(()) };
        log.lock().unwrap().push(req.clone());
        let (number, fault, latency) = {
            let mut plan = plan.lock().unwrap();
            let number = plan.seen;
            plan.seen += 1;
            let fault = plan.faults.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault).or(plan.always);
            (number, fault, plan.latency)
        };
        let _ = watch.send((number, false));
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let answer = match fault {
            Some(Fault::RequestLost) => return Ok(()),
            // As careless systems do, it repeats what it was sent, credentials and all.
            Some(Fault::Broken) => {
                status(500, json!({"error": format!("internal error; headers were {:?}", req.headers)}))
            }
            Some(Fault::Limited) => vendor.lock().unwrap().limited(),
            Some(Fault::Refused) => status(422, json!({"error": "RecordInvalid", "description": "not like this"})),
            Some(Fault::Expired) => vendor.lock().unwrap().expired(),
            Some(Fault::AnswerLost) => {
                vendor.lock().unwrap().answer(&req);
                let _ = watch.send((number, true));
                return Ok(());
            }
            Some(Fault::HangBefore) => std::future::pending().await,
            Some(Fault::HangAfter) => {
                vendor.lock().unwrap().answer(&req);
                let _ = watch.send((number, true));
                std::future::pending().await
            }
            Some(Fault::Slow(late)) => {
                tokio::time::sleep(late).await;
                vendor.lock().unwrap().answer(&req)
            }
            None => vendor.lock().unwrap().answer(&req),
        };
        let _ = watch.send((number, true));
        let body = if answer.body.is_null() { String::new() } else { answer.body.to_string() };
        let mut head = format!("HTTP/1.1 {} X\r\ncontent-type: application/json\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if answer.status != 204 {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        stream.get_mut().write_all(format!("{head}\r\n{body}").as_bytes()).await?;
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Req>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok()).unwrap_or(0);
    let mut raw = vec![0; length];
    stream.read_exact(&mut raw).await?;
    let raw = String::from_utf8(raw).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query_pairs = query.split('&').filter(|p| !p.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    });
    Ok(Some(Req {
        method,
        path: decode(path),
        query: query_pairs.collect(),
        raw_query: query.to_owned(),
        body: serde_json::from_str(&raw).unwrap_or_else(|_| Value::String(raw.clone())),
        headers,
        raw,
    }))
}

/// Percent-encoding and `+` of forms undone.
pub fn decode(text: &str) -> String {
    let (bytes, mut out, mut i) = (text.as_bytes(), Vec::new(), 0);
    while i < bytes.len() {
        match bytes[i] {
            b'+' => out.push(b' '),
            b'%' if i + 2 < bytes.len() => {
                out.push(u8::from_str_radix(&text[i + 1..i + 3], 16).unwrap());
                i += 2;
            }
            byte => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8(out).unwrap()
}

/// People that every fake knows.
pub struct Someone {
    pub id: u64,
    pub first: &'static str,
    pub last: &'static str,
    pub email: &'static str,
    /// As it was typed in once.
    pub phone: &'static str,
}

pub const PEOPLE: [Someone; 4] = [
    Someone { id: 101, first: "Maria", last: "Gomez", email: "maria.gomez@example.com", phone: "+1 (555) 123-0001" },
    Someone { id: 102, first: "Laura", last: "Bennett", email: "laura@example.com", phone: "+15551230011" },
    Someone { id: 103, first: "Mark", last: "Bennett", email: "mark@example.com", phone: "+15551230011" },
    // Like Maria's number for a search by digits, and not it.
    Someone { id: 104, first: "Anna", last: "Schmidt", email: "anna@example.com", phone: "+49 1555 1230001" },
];

/// How a search by text takes numbers: digits anywhere within.
pub fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

pub fn fixture() -> baton_crm::conformance::Fixture {
    baton_crm::conformance::Fixture {
        stamp: "run1".into(),
        name: "Maria Gomez".into(),
        phones: vec!["+15551230001".into(), "(555) 123-0001".into()],
        emails: vec!["Maria.Gomez@example.com".into()],
        shared_phone: Some("+15551230011".into()),
        strangers: vec!["+15551230000".into(), "1230001".into(), "anonymous".into()],
        dispositions: ["ESC".into(), "SOLVED".into()],
        agent: Some("1001".into()),
        queue: Some("billing".into()),
        ..Default::default()
    }
}
