//! Real peers on loopback: SIPp as caller, baresip as the agent's softphone. Skipped with a clear word where a peer is not
//! installed (`scripts/setup.sh test` installs both).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a helper that fails is a failed test"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use baton_phone::drill::{self, DrillSpec};
use support::{Gateway, PASSWORD, caller, dir, free_port};

fn has(program: &str) -> bool {
    let there =
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|o| o.status.success());
    if !there {
        println!("SKIPPED: {program} is not installed; run scripts/setup.sh test");
    }
    there
}

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
fn baresip_registers_as_the_agent_is_briefed_and_joined() {
    if !has("baresip") {
        return;
    }
    let gateway = Gateway::start(&dir("baresip").unwrap(), |t| t).unwrap();
    let home = gateway.dir.join("phone");
    std::fs::create_dir_all(&home).unwrap();
    let speech = home.join("agent.wav");
    // The agent's microphone: a tone, long enough for the call.
    let tone: Vec<i16> = (0..8_000 * 120).map(|i| ((i as f32 * 0.35).sin() * 6_000.0) as i16).collect();
    baton_audio::write_wav(&speech, &tone, 8_000).unwrap();
    let modules =
        ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules", "/usr/local/lib/baresip/modules"];
    let modules = modules.iter().find(|m| std::path::Path::new(m).exists()).expect("baresip's modules");
    let port = free_port().unwrap();
    let config = format!(
        "sip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\naudio_source aufile,{}\naudio_player aufile,{}\naudio_srate 8000-8000\nmodule_path {modules}\nmodule g711.so\nmodule aufile.so\nmodule_app account.so\nmodule_app menu.so\n",
        speech.display(),
        home.join("heard.wav").display()
    );
    std::fs::write(home.join("config"), config).unwrap();
    let account = format!(
        "<sip:1001@{}>;auth_user=1001;auth_pass={PASSWORD};answermode=auto;regint=60;audio_codecs=pcmu\n",
        gateway.sip
    );
    std::fs::write(home.join("accounts"), account).unwrap();
    let mut baresip = Command::new("baresip")
        .arg("-f")
        .arg(&home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = baresip.stdout.take().unwrap();
    std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).for_each(drop));
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
    let _ = baresip.kill();
    let _ = baresip.wait();
    report.unwrap();
    let record = gateway.record_of(&number).unwrap();
    assert_eq!(record["agent"]["extension"], "1001", "{record}");
    assert!(record["briefing"]["completed"].as_bool().unwrap(), "the end of the briefing accepts");
    assert!(record["bridged_at"].is_string() && record["latency_ms"]["accept_to_two_way"].is_number(), "{record}");
}
