//! Every request of the connectors for HubSpot, Zendesk and Shopify held to what the vendor publishes: HubSpot's and
//! Zendesk's descriptions by Prism, Shopify's schema by a server that runs it. Each request goes to both: to the
//! description, whose objections fail the test, and to the fake with state, whose answer the connector gets, so that the
//! whole suite runs. Skipped, with a word, where descriptions or node are absent.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a panic here is a failed test")]

mod fakes;
#[path = "support/systems.rs"]
mod systems;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use baton_crm::conformance::{self, Fixture};
use baton_store::Store;
use fakes::{Fake, Req, Resp, Vendor, fixture, status};
use serde_json::Value;
use systems::{config, connect};
use tempfile::TempDir;

const PACKAGES: [&str; 3] = ["@stoplight/prism-cli@5.14", "graphql@16", "@graphql-tools/mock"];

/// Descriptions and node packages; none, with a word on what lacks.
fn tools() -> Option<(PathBuf, PathBuf)> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    if !shared.join("data/vendor-specs").is_dir() {
        eprintln!("SKIPPED: the vendors' descriptions are not there ({}/data/vendor-specs)", shared.display());
        return None;
    }
    let npm = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("npm");
    if !npm.join("node_modules/.bin/prism").exists() {
        std::fs::create_dir_all(&npm).unwrap();
        std::fs::write(npm.join("package.json"), "{\"private\": true}").unwrap();
        let install =
            Command::new("npm").args(["install", "--no-audit", "--no-fund"]).args(PACKAGES).current_dir(&npm).output();
        if !install.is_ok_and(|done| done.status.success()) {
            eprintln!("SKIPPED: node and npm are not there, or npm install {PACKAGES:?} failed");
            return None;
        }
    }
    Some((shared.canonicalize().unwrap(), npm))
}

/// A server that holds requests to a description, for as long as the value lives.
struct Judge {
    server: Child,
    port: u16,
}

impl Judge {
    fn prism(npm: &Path, description: &Path) -> Self {
        let prism = npm.join("node_modules/.bin/prism");
        Self::start(|port| {
            let mut command = Command::new(&prism);
            command.args(["mock", "-h", "127.0.0.1", "-p", &port.to_string()]).arg(description);
            command
        })
    }

    fn start(command: impl Fn(u16) -> Command) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = command(port).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let judge = Self { server, port };
        let give_up = Instant::now() + Duration::from_secs(90);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < give_up, "the server for the description does not listen");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        judge
    }

    /// Status, objections, body.
    fn ask(&self, req: &Req) -> (u16, String, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let target =
            if req.raw_query.is_empty() { req.path.clone() } else { format!("{}?{}", req.path, req.raw_query) };
        let mut head = format!("{} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n", req.method);
        for (name, value) in &req.headers {
            if !matches!(name.as_str(), "host" | "connection") {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        stream.write_all(format!("{head}\r\n{}", req.raw).as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        let objections = head.lines().find(|l| l.to_lowercase().starts_with("sl-violations:")).unwrap_or_default();
        let body = match body.find(['{', '[']).zip(body.rfind(['}', ']'])) {
            Some((from, to)) => serde_json::from_str(&body[from..=to]).unwrap_or(Value::Null),
            None => Value::Null,
        };
        (code, objections.to_owned(), body)
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A fake whose every request is judged first.
struct Judged<V> {
    inner: V,
    /// The start of the path, and who judges it; none: nobody describes it.
    judges: Vec<(&'static str, Option<Judge>)>,
    objections: Vec<String>,
    judged: usize,
    undescribed: Vec<String>,
    /// The description's own example is the answer.
    examples: bool,
}

impl<V: Vendor> Judged<V> {
    fn new(inner: V, judges: Vec<(&'static str, Option<Judge>)>, examples: bool) -> Self {
        Self { inner, judges, objections: Vec::new(), judged: 0, undescribed: Vec::new(), examples }
    }
}

impl<V: Vendor> Vendor for Judged<V> {
    fn answer(&mut self, req: &Req) -> Resp {
        let judge = self.judges.iter().find(|(start, _)| req.path.starts_with(start));
        // The reference shows a body for adding tags, the description forgets it.
        let judge = judge.filter(|_| !(req.method == "PUT" && req.path.ends_with("/tags")));
        let Some((_, Some(judge))) = judge else {
            let what = format!("{} {}", req.method, req.path);
            self.undescribed.push(what);
            let answer = self.inner.answer(req);
            // The fake knows nothing of what an example made up.
            return if self.examples && answer.status == 404 { status(200, Value::Null) } else { answer };
        };
        let (code, said, body) = judge.ask(req);
        self.judged += 1;
        // GraphQL objects with 200.
        if code >= 400 || !said.is_empty() || body["errors"].is_array() {
            self.objections.push(format!("{} {}: {code} {said} {body}\n  sent {}", req.method, req.path, req.raw));
        }
        let answer = self.inner.answer(req);
        if self.examples && code < 300 { status(code, body) } else { answer }
    }

    fn objects(&self) -> Vec<(&'static str, usize)> {
        self.inner.objects()
    }
}

async fn judged<V: Vendor>(kind: &str, fixture: Fixture, make: impl FnOnce(&str) -> Judged<V>) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("b.db")).await.unwrap();
    let fake = Fake::start_with(make).await;
    let crm = connect(&config(kind, &fake.url), &store);
    let failures = conformance::run(crm.as_ref(), &fixture).await;
    let vendor = fake.vendor.lock().unwrap();
    assert!(vendor.objections.is_empty(), "{kind}:\n{}", vendor.objections.join("\n"));
    assert_eq!(failures, [], "{kind}");
    assert!(vendor.judged > 20, "{kind}: only {} requests were held to the description", vendor.judged);
    let mut beyond = vendor.undescribed.clone();
    beyond.sort();
    beyond.dedup();
    eprintln!("{kind}: {} requests held to the description; not described: {beyond:?}", vendor.judged);
}

fn hubspot(specs: &Path, npm: &Path) -> Vec<(&'static str, Option<Judge>)> {
    let one = |file: &str| Some(Judge::prism(npm, &specs.join("hubspot").join(file)));
    vec![
        ("/crm/v3/objects/contacts", one("contacts-v3.prism.json")),
        ("/crm/v3/objects/tickets", one("tickets-v3.prism.json")),
        ("/crm/v3/objects/calls", one("calls-v3.prism.json")),
        ("/crm/v3/objects/notes", one("notes-v3.prism.json")),
    ]
}

fn zendesk(specs: &Path, npm: &Path) -> Vec<(&'static str, Option<Judge>)> {
    // Call objects are another description's, which is not published.
    vec![
        ("/api/v2/calls", None),
        ("/api/v2", Some(Judge::prism(npm, &specs.join("zendesk/support-api-2024.prism.json")))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hubspot_by_its_description() {
    let Some((shared, npm)) = tools() else { return };
    let specs = shared.join("data/vendor-specs");
    let stateful = Judged::new(fakes::hubspot::HubSpot::default(), hubspot(&specs, &npm), false);
    judged("hubspot", fixture(), |_| stateful).await;
    let examples = Judged::new(fakes::hubspot::HubSpot::default(), hubspot(&specs, &npm), true);
    judged("hubspot", Fixture { keeps_nothing: true, ..fixture() }, |_| examples).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zendesk_by_its_description() {
    let Some((shared, npm)) = tools() else { return };
    let specs = shared.join("data/vendor-specs");
    let make = |url: &str, examples| Judged::new(fakes::zendesk::Zendesk::new(url), zendesk(&specs, &npm), examples);
    judged("zendesk", fixture(), |url| make(url, false)).await;
    judged("zendesk", Fixture { keeps_nothing: true, ..fixture() }, |url| make(url, true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shopify_by_its_schema() {
    let Some((shared, npm)) = tools() else { return };
    let script = npm.join("shopify_mock.mjs"); // beside the packages it imports
    std::fs::copy(shared.join("tools/shopify_mock.mjs"), &script).unwrap();
    let schema = shared.join("data/vendor-specs/shopify/admin_2026-07.introspection.json.gz");
    let judge = Judge::start(|port| {
        let mut command = Command::new("node");
        command.arg(&script).arg(&schema).arg(port.to_string());
        command
    });
    // Its made-up answers are not used: they hold made-up user errors too.
    let vendor = Judged::new(fakes::shopify::Shopify::default(), vec![("/admin", Some(judge))], false);
    let fixture = Fixture { shared_phone: None, orders: vec!["#1042".into()], ..fixture() };
    judged("shopify", fixture, |_| vendor).await;
}
