//! What goes wrong, on the real binary: refusals that say what to do, kill -9 in mid-call, SIGTERM, agents who do not take it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a helper that fails is a failed test"
)]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use baton_phone::{CallEvent, InviteOptions, Phone, PhoneConfig};
use support::{Gateway, agent, baton, caller, config, dir, root};

fn run(args: &[&str]) -> Output {
    Command::new(baton()).args(args).current_dir(root()).output().unwrap()
}

/// Starts on a config that must be refused: exit 2, and a message that holds every one of `words`.
fn refused(command: &str, name: &str, change: impl Fn(String) -> String, words: &[&str]) {
    let dir = dir(name).unwrap();
    let file = dir.join("baton.toml");
    std::fs::write(&file, config(&dir, change).unwrap().0).unwrap();
    let out = run(&[command, "--config", file.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{name}: {text}");
    for word in words {
        assert!(text.contains(word), "{name}: `{word}` is not in:\n{text}");
    }
}

#[test]
fn what_cannot_start_says_why_and_what_to_do() {
    refused(
        "check",
        "unknown-key",
        |t| t.replace("[media]", "[media]\nvolume = 11"),
        &["baton.toml:", "volume", "correct the key"],
    );
    refused(
        "check",
        "no-disposition",
        |t| t.replacen("disposition = \"ESC-PERSON\"\n", "", 1),
        &["baton.toml:", "disposition"],
    );
    refused("check", "no-briefing", |t| t.replacen("briefing = ", "# briefing = ", 1), &["baton.toml:", "briefing"]);
    refused("check", "no-flow", |t| t.replace("flow = \"orders\"\n", "flow = \"other\"\n"), &["other", "not defined"]);
    refused(
        "check",
        "no-agent",
        |t| t.replace("agents = [\"1001\", \"1002\"]", "agents = [\"1001\", \"7777\"]"),
        &["7777", "[[extension]]"],
    );
    refused(
        "check",
        "no-env",
        |t| t.replace("domain = \"baton.localhost\"", "domain = \"${env:BATON_TEST_NOT_SET}\""),
        &["BATON_TEST_NOT_SET", "export"],
    );
    refused("run", "no-models", |t| t.replace("models = \"", "models = \"/nonexistent"), &["baton models fetch"]);
    refused(
        "check",
        "no-certificate",
        |t| t.replacen("[sip]", "[sip]\ntls = [\"127.0.0.1:5061\"]", 1),
        &["baton.toml:", "certificate", "privkey.pem"],
    );
    refused(
        "check",
        "no-network",
        |t| t.replacen("[sip.defence]", "[sip.defence]\ntrusted = [\"elsewhere\"]", 1),
        &["elsewhere", "203.0.113.0/24"],
    );
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    refused("run", "port-in-use", |t| t.replacen("udp = [\"", &format!("udp = [\"{addr}\", \""), 1), &[&addr]);
    let sound = run(&["check"]);
    assert!(sound.status.success() && String::from_utf8_lossy(&sound.stdout).contains("5000 → orders"));
    let version = run(&["--version"]);
    assert!(String::from_utf8_lossy(&version.stdout).contains("GPL-3.0-or-later"));
}

#[test]
fn init_writes_a_config_that_is_sound() {
    let dir = dir("init").unwrap();
    let to = dir.join("mine");
    assert!(run(&["init", to.to_str().unwrap()]).status.success());
    assert!(run(&["check", "--config", to.join("baton.toml").to_str().unwrap()]).status.success());
    assert_eq!(run(&["init", to.to_str().unwrap()]).status.code(), Some(2), "nothing is overwritten");
}

#[test]
fn every_sample_config_is_sound_with_a_flow() {
    let dir = dir("samples").unwrap();
    let flow = std::fs::read_to_string(root().join("sip-configs/flows/orders.toml")).unwrap();
    let samples: Vec<_> =
        std::fs::read_dir(root().join("sip-configs/gateway")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(samples.len() >= 4);
    for sample in samples {
        let file = dir.join(sample.file_name().unwrap());
        std::fs::write(&file, std::fs::read_to_string(&sample).unwrap() + &flow).unwrap();
        let checked = Command::new(baton())
            .args(["check", "--config"])
            .arg(&file)
            .envs(["TRUNK_PASSWORD", "ZENDESK_TOKEN", "SHOPIFY_TOKEN"].map(|name| (name, "not-a-real-one")))
            .output()
            .unwrap();
        assert!(checked.status.success(), "{}: {}", sample.display(), String::from_utf8_lossy(&checked.stderr));
    }
}

async fn phone() -> Phone {
    Phone::open(PhoneConfig::new("127.0.0.1:0".parse().unwrap(), "+15550009999")).await.unwrap()
}

async fn until_answered(call: &mut baton_phone::Call) {
    loop {
        match tokio::time::timeout(Duration::from_secs(60), call.event()).await.unwrap().unwrap() {
            CallEvent::Answered { .. } => return,
            other => assert!(!format!("{other:?}").starts_with("Failed"), "{other:?}"),
        }
    }
}

/// Waits until the gateway's API shows what is wanted.
fn until(what: &str, mut test: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !test() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn kill_9_in_a_call_leaves_its_record_and_sigterm_lets_calls_finish() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gateway = Gateway::start(&dir("kill").unwrap(), |t| t).unwrap();
    let phone = runtime.block_on(phone());
    let target = format!("sip:5000@{}", gateway.sip);
    let mut call = runtime.block_on(async {
        phone
            .invite(InviteOptions { uri: target.clone(), from: None, display: None, headers: Vec::new(), noise: None })
            .unwrap()
    });
    runtime.block_on(until_answered(&mut call));
    until("a live call", || !gateway.records().unwrap().is_empty());
    let mut gateway = gateway.kill_and_restart().unwrap();
    let record = gateway.records().unwrap().remove(0);
    assert_eq!(record["termination"]["cause"], "interrupted");
    assert!(record["ended_at"].is_string());
    let id = record["call_id"].as_str().unwrap();
    let told = gateway.get(&format!("/api/v1/calls/{id}/timeline")).unwrap().1;
    assert!(told.contains("over: interrupted"), "{told}");

    let mut second = runtime.block_on(async {
        phone
            .invite(InviteOptions { uri: target.clone(), from: None, display: None, headers: Vec::new(), noise: None })
            .unwrap()
    });
    runtime.block_on(until_answered(&mut second));
    gateway.signal("TERM").unwrap();
    until("draining", || gateway.get("/readyz").unwrap().0 == 503);
    assert_eq!(gateway.get("/healthz").unwrap().0, 200);
    let refused = runtime.block_on(phone.options(&target)).unwrap();
    assert_eq!(refused, 503, "OPTIONS while draining");
    until("the live call's record", || {
        gateway.records().unwrap().iter().filter(|r| r["ended_at"].is_null()).count() == 1
    });
    runtime.block_on(async { second.hang_up() });
    assert!(gateway.wait(Duration::from_secs(60)).unwrap().success());
}

#[test]
fn when_nobody_takes_it_the_caller_is_given_back() {
    let gateway = Gateway::start(&dir("nobody").unwrap(), |t| t).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut declines = agent("1001").unwrap();
    declines.on_ring = baton_phone::script::OnRing::Busy;
    let mut script = caller("disputed-amount").unwrap();
    script.talk.clear();
    let number = script.from.clone();
    let report = runtime.block_on(baton_phone::drill::run(baton_phone::drill::DrillSpec {
        limit: Duration::from_secs(75),
        ..baton_phone::drill::DrillSpec::new(gateway.sip, vec![script], vec![declines])
    }));
    assert!(report.is_ok());
    gateway.record_of(&number).unwrap();
    // The promised call may have begun by then; it has a record of its own, in which nobody has said anything yet.
    let mut records = gateway.records().unwrap();
    records.retain(|r| r["from"] == number.as_str() && r["turns"].as_array().is_some_and(|turns| !turns.is_empty()));
    assert_eq!(records.len(), 1);
    let record = records.remove(0);
    assert!(record["ended_at"].is_string() && record["bridged_at"].is_null());
    assert_eq!(record["agent"]["declined"], serde_json::json!(["1001"]));
    let said = record["turns"].to_string();
    assert!(
        said.contains("nobody") || said.contains("Nobody") || said.contains("no one"),
        "the caller is told: {said}"
    );
    assert!(record["disposition"].is_string());
}

#[test]
fn sighup_reads_the_flows_again_and_a_faulty_file_changes_nothing() {
    let gateway = Gateway::start(&dir("reload").unwrap(), |t| t).unwrap();
    let file = gateway.dir.join("baton.toml");
    let log = || std::fs::read_to_string(gateway.dir.join("baton.log")).unwrap();
    let sound = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, sound.replace("[media]", "[media]\nvolume = 11")).unwrap();
    gateway.signal("HUP").unwrap();
    until("the fault, in the log", || log().contains("the one in use stays"));
    assert!(log().contains("volume"));

    std::fs::write(&file, sound.replace("Northwind Supply", "Southwind Supply")).unwrap();
    gateway.signal("HUP").unwrap();
    until("the flows read again, in the log", || log().contains("read again"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let phone = runtime.block_on(phone());
    let target = format!("sip:5000@{}", gateway.sip);
    let mut call = runtime.block_on(async {
        phone
            .invite(InviteOptions { uri: target, from: None, display: None, headers: Vec::new(), noise: None })
            .unwrap()
    });
    runtime.block_on(until_answered(&mut call));
    until("the new greeting", || gateway.get("/api/v1/calls").unwrap().1.contains("Southwind Supply"));
    runtime.block_on(async { call.hang_up() });
}
