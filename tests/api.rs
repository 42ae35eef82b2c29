//! The API as scripts and dashboards use it, on the real binary with a call in progress.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a failed test")]

use std::io::BufRead;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use baton_phone::{InviteOptions, Phone, PhoneConfig};
use serde_json::Value;
use support::{Gateway, baton, dir};

fn json(answer: (u16, String)) -> Value {
    assert_eq!(answer.0, 200, "{}", answer.1);
    serde_json::from_str(&answer.1).unwrap()
}

fn until(what: &str, mut test: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !test() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_call_is_followed_told_and_ended_and_an_agent_is_paused() {
    // A capture server that keeps what it is sent.
    let capture = UdpSocket::bind("127.0.0.1:0").unwrap();
    capture.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let to = capture.local_addr().unwrap();
    let hep = |t: String| t + &format!("\n[sip.hep]\nto = \"{to}\"\npassword = \"homer\"\n");
    let gateway = Gateway::start(&dir("api").unwrap(), hep).unwrap();
    let events = gateway.events().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in events.lines().map_while(Result::ok) {
            if let Some(record) = line.strip_prefix("data: ")
                && tell.send(serde_json::from_str::<Value>(record).unwrap()).is_err()
            {
                return;
            }
        }
    });

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let target = format!("sip:5000@{}", gateway.sip);
    let number = "+15550001234";
    let phone = runtime.block_on(Phone::open(PhoneConfig::new("127.0.0.1:0".parse().unwrap(), number))).unwrap();
    let call = runtime.block_on(async {
        phone
            .invite(InviteOptions { uri: target, from: None, display: None, headers: Vec::new(), noise: None })
            .unwrap()
    });
    let id = loop {
        let record = told.recv_timeout(Duration::from_secs(60)).expect("the greeting, in the events");
        assert_eq!(record["from"], number);
        if record["turns"].as_array().is_some_and(|turns| !turns.is_empty()) {
            break record["call_id"].as_str().unwrap().to_owned();
        }
    };
    assert_eq!(json(gateway.get("/api/v1/calls?live=1").unwrap()).as_array().unwrap().len(), 1);

    assert_eq!(gateway.post(&format!("/api/v1/calls/{id}/hangup")).unwrap().0, 202);
    until("the call ended", || json(gateway.get("/api/v1/calls?live=1").unwrap()).as_array().unwrap().is_empty());
    let timeline = json(gateway.get(&format!("/api/v1/calls/{id}/timeline")).unwrap());
    let timeline: Vec<&str> = timeline.as_array().unwrap().iter().map(|m| m["what"].as_str().unwrap()).collect();
    assert_eq!(timeline.first().unwrap(), &format!("INVITE from {number} for 5000"), "{timeline:?}");
    assert!(timeline.last().unwrap().starts_with("over: shutdown by baton"), "{timeline:?}");
    drop(call);

    // The messages of the call, by the API and by the command that asks it; a call nobody knows.
    let ladder = gateway.get(&format!("/api/v1/calls/{id}/trace")).unwrap();
    assert_eq!(ladder.0, 200);
    for step in ["INVITE 1", "200 (INVITE 1)", "ACK 1", "BYE"] {
        assert!(ladder.1.contains(step), "{step} is missing:\n{}", ladder.1);
    }
    let trace = |id: &str| {
        let config = gateway.dir.join("baton.toml");
        Command::new(baton()).arg("trace").arg("--config").arg(config).arg(id).output().unwrap()
    };
    let drawn = trace(&id);
    assert!(drawn.status.success(), "{drawn:?}");
    assert_eq!(String::from_utf8(drawn.stdout).unwrap().trim_end(), ladder.1.trim_end());
    assert_eq!(trace("none").status.code(), Some(1));

    let mut copies = String::new();
    let mut packet = [0u8; 4096];
    while !copies.contains("BYE sip:") {
        let n = capture.recv(&mut packet).expect("a copy of each message, the BYE at last");
        assert!(packet[..n].starts_with(b"HEP3"), "no HEP3 packet");
        copies.push_str(&String::from_utf8_lossy(&packet[..n]));
    }
    assert!(copies.contains("INVITE sip:5000@") && copies.contains("homer"), "{copies}");

    let state = |e: &str| {
        json(gateway.get("/api/v1/agents").unwrap())
            .as_array()
            .unwrap()
            .iter()
            .find(|a| a["extension"] == e)
            .map(|a| a["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(state("1001").as_deref(), Some("offline"));
    assert_eq!(json(gateway.post("/api/v1/agents/1001/pause").unwrap())["extension"], "1001");
    assert!(["offline", "paused"].contains(&state("1001").unwrap().as_str()));
    assert_eq!(json(gateway.post("/api/v1/agents/1001/ready").unwrap())["state"], "offline");
    assert_eq!(gateway.post("/api/v1/agents/7777/pause").unwrap().0, 404);
    assert_eq!(gateway.get("/api/v1/calls/none/timeline").unwrap().0, 404);
}
