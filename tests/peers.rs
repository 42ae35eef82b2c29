//! Real peers on loopback: SIPp as caller, baresip as the agent's softphone. Skipped with a clear word where a peer is not
//! installed (`scripts/setup.sh test` installs both).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a helper that fails is a failed test"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use baton_phone::drill::{self, DrillSpec};
use support::peer::{Baresip, Phone, TONE, has, level, recording};
use support::{Gateway, PASSWORD, caller, dir, free_port};

#[test]
fn sipp_calls_are_answered_and_ended_and_nothing_is_left() {
    if !has("sipp") {
        return;
    }
    let gateway = Gateway::start(&dir("sipp").unwrap(), |t| t).unwrap();
    let out = Command::new("sipp")
        .args([
            "-sn",
            "uac",
            "-s",
            "5000",
            "-m",
            "20",
            "-r",
            "5",
            "-d",
            "1500",
            "-i",
            "127.0.0.1",
            "-nostdin",
            "-timeout",
            "60",
            "-p",
        ])
        .arg(free_port().unwrap().to_string())
        .arg(gateway.sip.to_string())
        .current_dir(&gateway.dir)
        .output()
        .unwrap();
    assert!(out.status.success(), "SIPp: {}", String::from_utf8_lossy(&out.stderr));
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while gateway.records().unwrap().iter().filter(|r| !r["ended_at"].is_null()).count() < 20 {
        assert!(std::time::Instant::now() < deadline, "twenty finished records");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let mut metrics = gateway.get("/metrics").unwrap().1;
    while !metrics.contains("baton_calls_live 0\n") && std::time::Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(100));
        metrics = gateway.get("/metrics").unwrap().1;
    }
    assert!(metrics.contains("baton_calls_live 0\n") && metrics.contains("baton_calls_total 20\n"), "{metrics}");
    for record in gateway.records().unwrap() {
        assert_eq!(
            (record["termination"]["cause"].as_str(), record["termination"]["by"].as_str()),
            (Some("hangup"), Some("caller"))
        );
        assert!(record["disposition"].is_string());
    }
}

#[test]
fn a_leg_that_sends_no_rtp_ends_the_call_and_is_named() {
    if !has("sipp") {
        return;
    }
    let change = |t: String| t.replace("silence_limit_s = 30", "silence_limit_s = 3");
    let gateway = Gateway::start(&dir("silent").unwrap(), change).unwrap();
    let port = free_port().unwrap().to_string();
    // SIPp's own caller sends no RTP; it takes the BYE that it did not expect for a failed call, which is what we want.
    let _ = Command::new("sipp")
        .args([
            "-sn",
            "uac",
            "-s",
            "5000",
            "-m",
            "1",
            "-d",
            "40000",
            "-i",
            "127.0.0.1",
            "-nostdin",
            "-timeout",
            "60",
            "-p",
        ])
        .args([&port, &gateway.sip.to_string()])
        .current_dir(&gateway.dir)
        .output()
        .unwrap();
    let record = gateway.record_of("sipp").unwrap();
    assert_eq!(record["termination"]["cause"], "rtp_timeout", "{record}");
    assert_eq!(record["termination"]["by"], "caller");
}

#[test]
fn baresip_registers_as_the_agent_is_briefed_and_joined_in_opus_with_keys() {
    if !has("baresip") {
        return;
    }
    // The caller speaks G.711 in the clear: everything between the two is coded and encrypted anew, and recorded.
    let folder = dir("baresip").unwrap();
    let change = |t: String| {
        let own = "number = \"1001\"\ncodecs = [\"opus\"]\nsrtp = \"required\"\n";
        t.replace("number = \"1001\"\n", own)
            .replace("this call may be transcribed", "this call is recorded")
            .replace("dir = \"var/recordings\"", &format!("dir = \"{}\"", folder.join("recordings").display()))
            .replace("# [recording.flow.orders]", "[recording.flow.orders]\nconsent = \"announced\"")
    };
    let gateway = Gateway::start(&folder, change).unwrap();
    let phone = Phone {
        home: gateway.dir.join("phone"),
        user: "1001",
        codec: "opus",
        srtp: true,
        account: &format!(";auth_user=1001;auth_pass={PASSWORD};answermode=auto;regint=60"),
        command: None,
        seconds: 120,
    };
    let baresip = Baresip::start(gateway.sip, &phone).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !gateway.get("/api/v1/agents").unwrap().1.contains("\"ready\"") {
        assert!(std::time::Instant::now() < deadline, "baresip registers");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let script = caller("disputed-amount").unwrap();
    let number = script.from.clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // The caller does not know when a real phone has joined; it hangs up after a while.
    let report = runtime.block_on(drill::run(DrillSpec {
        limit: Duration::from_secs(80),
        ..DrillSpec::new(gateway.sip, vec![script], vec![])
    }));
    drop(baresip);
    report.unwrap();
    let record = gateway.record_of(&number).unwrap();
    assert_eq!(record["agent"]["extension"], "1001", "{record}");
    assert!(record["briefing"]["completed"].as_bool().unwrap(), "the end of the briefing accepts");
    assert!(record["bridged_at"].is_string() && record["latency_ms"]["accept_to_two_way"].is_number(), "{record}");
    let legs: Vec<(&str, bool)> = record["media"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["codec"].as_str().unwrap(), m["srtp"].is_string()))
        .collect();
    assert_eq!(legs, [("PCMU", false), ("opus", true)], "{record}");
    let (left, right) = recording(Path::new(record["recordings"][0]["file"].as_str().unwrap())).unwrap();
    let tone = |pcm: &[i16]| pcm.chunks(1_600).map(|c| level(c, TONE)).fold(0.0, f32::max);
    assert!(tone(&right) > 4_500.0 && tone(&left) < 1_500.0, "the agent is heard: {} {}", tone(&right), tone(&left));
}
