//! Flows as they run: the four samples in one gateway, spoken to by voice; web hooks and a language model beside them, on small
//! servers of their own; flows read again on SIGHUP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use baton_phone::{InviteOptions, Phone, PhoneConfig};
use serde_json::{Value, json};
use support::{Gateway, dir, spoken};

const SECRET: &str = "a-shared-secret-of-32-characters";

/// One request as it came.
#[derive(Debug, Clone)]
struct Request {
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A small HTTP server: `answer` says what a request is answered with; none: it is never answered.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn start(answer: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Self { url, seen }
    }

    fn seen(&self, path: &str) -> Vec<Request> {
        self.seen.lock().unwrap().iter().filter(|r| r.path == path).cloned().collect()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Option<String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut request = Request { path, headers: Vec::new(), body: String::new() };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            request.headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut body = vec![0; request.header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        request.body = String::from_utf8(body).unwrap();
        seen.lock().unwrap().push(request.clone());
        let Some(body) = answer(&request) else {
            // Whoever asks gives up: wait for that, and answer nothing.
            let _ = reader.read_line(&mut String::new());
            return;
        };
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        if writer.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

/// What the stand-in for a language model answers, by what the caller said.
fn model(request: &Request) -> Option<String> {
    let asked = request.json();
    let said = asked["messages"][1]["content"].as_str().unwrap_or_default().to_lowercase();
    let said = said.split("the caller said:").nth(1).unwrap_or_default().to_owned();
    let text = if said.contains("lamp") {
        // One thing that was never said, one in nobody's record, and a summary that is true.
        json!({"slots": [{"slot": "amount", "quote": "five hundred dollars"}, {"slot": "phone", "quote": "555 867 5309"}],
            "summary": "The caller paid too much for the lamp."})
        .to_string()
    } else if said.contains("rug") {
        json!({"slots": [], "summary": "Harold Finch lost 900 dollars in Boston."}).to_string()
    } else if said.contains("outage") || said.contains("report") {
        "Sure! Here is what I found: {".to_owned()
    } else {
        return None;
    };
    Some(json!({"choices": [{"message": {"role": "assistant", "content": text}}]}).to_string())
}

#[test]
fn all_flows_run_with_web_hooks_and_a_language_model() {
    let hooks = Server::start(|request| match request.path.as_str() {
        "/refund" => Some(json!({"done": true, "say": "You get your money back on Friday."}).to_string()),
        _ => None,
    });
    let language = Server::start(model);
    let titles = [
        "refund under the limit",
        "angry but polite",
        "asks for the state of a report",
        "when is my appointment",
        "state of a claim",
    ];
    let calls = spoken::calls(&titles).unwrap();
    assert_eq!(calls.len(), titles.len());
    let sections = format!(
        "[webhook.refund]\nurl = \"{0}/refund\"\nsecret = \"{SECRET}\"\n\n[webhook.replace]\nurl = \"{0}/replace\"\nsecret = \"{SECRET}\"\n\
         timeout_ms = 500\n\n[language]\nurl = \"{1}/v1\"\nmodel = \"stand-in\"\ntimeout_ms = 700\n\n[[did]]\nnumber = \"5000\"",
        hooks.url, language.url
    );
    let hooked = move |text: String| {
        let text = text.replacen("[[did]]\nnumber = \"5000\"", &sections, 1);
        ["refund", "replace"].iter().zip(["billing_dispute", "damaged_item"]).fold(text, |text, (hook, intent)| {
            let (before, after) = text.split_once(&format!("name = \"{intent}\"")).unwrap();
            let after =
                after.replacen("action = \"take_request\"", &format!("action = \"webhook\"\nwebhook = \"{hook}\""), 1);
            format!("{before}name = \"{intent}\"{after}")
        })
    };
    let gateway = Arc::new(spoken::gateway(&dir("flows").unwrap(), &calls, 3, hooked).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcomes = runtime.block_on(spoken::run(Arc::clone(&gateway), calls, 5, 3)).unwrap();
    let of = |title: &str| {
        let at = titles.iter().position(|t| *t == title).unwrap();
        &outcomes[at]
    };

    // What the web hook did is told, and counts as an attempt.
    let refund = &of("refund under the limit").record;
    let said = refund["turns"].to_string();
    assert!(said.contains("You get your money back"), "{said}");
    assert_eq!(refund["disposition"], "REQUEST-REFUND", "{refund:#}");
    assert_eq!(
        (&refund["attempts"][0]["action"], &refund["attempts"][0]["outcome"]),
        (&json!("refund"), &json!("done"))
    );
    let asked = hooks.seen("/refund");
    assert_eq!(asked.len(), 1, "once: {asked:?}");
    let (body, now) = (&asked[0].body, jiff::Timestamp::now().as_second());
    let (at, signature) = (asked[0].header("baton-timestamp"), asked[0].header("baton-signature"));
    assert!(baton_crm::verify_webhook(SECRET, at, signature, body, now, 300), "{:?}", asked[0]);
    assert!(asked[0].header("idempotency-key").contains(refund["call_id"].as_str().unwrap()));
    let data = &asked[0].json()["data"];
    assert_eq!((&data["action"], &data["contact"]), (&json!("refund"), &json!("c2")), "{data:#}");
    assert_eq!(data["values"]["order_number"], "A-1043", "{data:#}");

    // The language model sums up; what was not said it cannot bring in.
    let summary = refund["summary"].as_str().unwrap();
    assert!(summary.ends_with("In short: The caller paid too much for the lamp."), "{summary}");
    assert!(refund["slots"]["amount"]["value"] == "$80" && refund["slots"]["phone"].is_null(), "{refund:#}");

    // A web hook that does not answer in time is a fault of ours: a person takes over.
    let rug = &of("angry but polite").record;
    assert_eq!(rug["trigger"], "system_fault", "{rug:#}");
    assert!(rug["attempts"].to_string().contains("did not answer"), "{rug:#}");
    assert!(!rug["summary"].as_str().unwrap().contains("Boston"), "nothing invented: {rug:#}");

    // The other flows, with the CRM's records behind them; what the model says there is no JSON, or comes never.
    for (title, told) in [
        ("asks for the state of a report", "being repaired"),
        ("when is my appointment", "confirmed"),
        ("state of a claim", "being reviewed"),
    ] {
        let outcome = of(title);
        assert!(
            outcome.trigger_right && outcome.disposition_right,
            "{title}: {:?}\n{:#}",
            outcome.faults,
            outcome.record
        );
        assert!(outcome.record["turns"].to_string().contains(told), "{title}: {:#}", outcome.record);
    }
    let asked = language.seen("/v1/chat/completions");
    assert!(asked.len() >= 5, "{}", asked.len());
    let question = asked[0].json();
    assert_eq!(question["response_format"]["json_schema"]["strict"], true, "{question:#}");
    assert_eq!(question["response_format"]["json_schema"]["schema"]["type"], "object", "{question:#}");
}

#[test]
fn flows_are_read_again_and_live_calls_keep_theirs() {
    let dir = dir("reload").unwrap();
    let short = |text: String| text.replace("patience_s = 7", "patience_s = 3");
    let gateway = Gateway::start(&dir, short).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let before = runtime.block_on(ring_in(&gateway, "+15550000001"));
    wait_for(&gateway, "+15550000001", "Northwind Supply");

    let file = dir.join("baton.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let new = text
        .replace("company = \"Northwind Supply\"", "company = \"Southwind Limited\"")
        .replace("\"I didn't hear anything.\"", "\"Nothing has reached me.\"");
    // The voice is measured from here on, and callers are told.
    let new = new.replacen("voice = false", "voice = true\ndisclosure = \"I also listen to how you speak.\" #", 1);
    std::fs::write(&file, &new).unwrap();
    gateway.signal("HUP").unwrap();
    wait_for_log(&gateway, "are read again");
    let after = runtime.block_on(ring_in(&gateway, "+15550000002"));
    wait_for(&gateway, "+15550000002", "Southwind Limited");
    wait_for(&gateway, "+15550000002", "I also listen to how you speak.");
    wait_for(&gateway, "+15550000002", "Nothing has reached me.");
    wait_for(&gateway, "+15550000001", "I didn't hear anything.");

    std::fs::write(
        &file,
        new.replace("Southwind", "Eastwind").replace("briefing = \"urgent\"", "briefing = \"urgnet\""),
    )
    .unwrap();
    gateway.signal("HUP").unwrap();
    wait_for_log(&gateway, "`urgnet`, which is not defined");
    let last = runtime.block_on(ring_in(&gateway, "+15550000003"));
    wait_for(&gateway, "+15550000003", "Southwind Limited");
    drop((before, after, last));
}

/// A caller who says nothing.
async fn ring_in(gateway: &Gateway, from: &str) -> (Phone, baton_phone::Call) {
    let phone = Phone::open(PhoneConfig::new("127.0.0.1:0".parse().unwrap(), from)).await.unwrap();
    let call = phone.invite(InviteOptions {
        uri: format!("sip:5000@{}", gateway.sip),
        from: Some(format!("sip:{from}@127.0.0.1")),
        display: None,
        headers: Vec::new(),
        noise: None,
    });
    (phone, call.unwrap())
}

/// Waits until the assistant has said something to that caller.
fn wait_for(gateway: &Gateway, from: &str, words: &str) {
    wait(&format!("`{words}` to {from}"), || {
        let records = gateway.records().unwrap();
        records.iter().any(|r| r["from"] == from && r["turns"].to_string().contains(words))
    });
}

fn wait_for_log(gateway: &Gateway, words: &str) {
    wait(words, || std::fs::read_to_string(gateway.dir.join("baton.log")).unwrap().contains(words));
}

fn wait(what: &str, mut there: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while !there() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}
