//! Real peers on loopback: SIPp, sipsak, pjsua2 over TLS, Kamailio in front, and sipvicious, which must find nothing. Each is
//! skipped with a clear word where it is not installed (`scripts/setup.sh test`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper that fails is a failed test"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use baton_sip::{Defence, EndCause, SipCommand, SipConfig, SipEvent, SipHandle, Transport};
use support::{Authority, PATIENCE, answer, config, has, next, wary};
use tokio::net::UdpSocket;
use tokio::process::Command;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// How long a peer may run.
const LONG: Duration = Duration::from_secs(90);

fn here(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(file).to_string_lossy().into_owned()
}

fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("peers-{name}"));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

async fn run(command: &mut Command, what: &str) -> Output {
    let running = command.kill_on_drop(true).stdin(Stdio::null()).output();
    timeout(LONG, running).await.unwrap_or_else(|_| panic!("{what} does not end")).unwrap()
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// SIPp with a scenario of ours, towards a port.
async fn sipp(dir: &Path, scenario: &str, port: u16, calls: u32) -> Output {
    let local = free_port().await.to_string();
    let (calls, scenario) = (calls.to_string(), here(scenario));
    let mut command = Command::new("sipp");
    command.args([
        "-sf",
        &scenario,
        "-s",
        "help",
        "-m",
        &calls,
        "-r",
        "10",
        "-i",
        "127.0.0.1",
        "-p",
        &local,
        "-nostdin",
    ]);
    command.args(["-timeout", "60", "-timeout_error", "-trace_err"]).arg(format!("127.0.0.1:{port}")).current_dir(dir);
    run(&mut command, "SIPp").await
}

/// Answers every call, and hangs up on it if asked to; tells how each call ended.
async fn serve(
    sip: SipHandle,
    mut events: Receiver<SipEvent>,
    hang_up: bool,
    calls: usize,
) -> (Vec<EndCause>, Receiver<SipEvent>) {
    let mut causes = Vec::new();
    while causes.len() < calls {
        match timeout(LONG, events.recv()).await.expect("no event in time").expect("the endpoint stopped") {
            SipEvent::Incoming { leg, sdp: Some(offer), .. } => {
                let ours = "127.0.0.1:5000".parse().unwrap();
                let sdp = baton_sip::sdp::plain_answer(&offer, ours).unwrap();
                sip.send(SipCommand::Answer { leg, sdp }).unwrap();
            }
            SipEvent::Confirmed { leg, .. } if hang_up => sip.send(SipCommand::Bye { leg, reason: None }).unwrap(),
            SipEvent::Ended { cause, .. } => causes.push(cause),
            _ => {}
        }
    }
    (causes, events)
}

#[tokio::test]
async fn sipp_registers_with_digest() {
    if !has("sipp") {
        return;
    }
    // SIPp takes the first challenge and knows MD5 alone. Every call of it comes from one address: one binding.
    let (sip, mut events) = baton_sip::start(SipConfig { sha256: false, ..config(&[Transport::Udp]) }).await.unwrap();
    let output = sipp(&scratch("register"), "register.xml", sip.local_addr(Transport::Udp).unwrap().port(), 20).await;
    assert!(output.status.success(), "{}", text(&output));
    for _ in 0..20 {
        assert!(matches!(next(&mut events).await, SipEvent::Registered { expires_s: 300, .. }));
    }
    assert_eq!((sip.contacts("1001").len(), sip.counters().failures), (1, 0));
}

#[tokio::test]
async fn sipsak_asks_for_our_options() {
    if !has("sipsak") {
        return;
    }
    let (sip, _events) = baton_sip::start(config(&[Transport::Udp, Transport::Tcp])).await.unwrap();
    for (transport, flag) in [(Transport::Udp, "udp"), (Transport::Tcp, "tcp")] {
        let uri = format!("sip:help@127.0.0.1:{}", sip.local_addr(transport).unwrap().port());
        let output = run(Command::new("sipsak").args(["-vvv", "-E", flag, "-s", &uri]), "sipsak").await;
        let said = text(&output);
        assert!(output.status.success() && said.contains("200 OK"), "{said}");
        assert!(said.contains("Allow: INVITE"), "{said}");
    }
}

/// The interpreter of a virtual environment that has pjsua2, made if need be.
async fn python_with_pjsua2() -> Option<PathBuf> {
    if !has("python3") {
        return None;
    }
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("venv");
    let python = venv.join("bin/python");
    let imports = async |python: &Path| {
        Command::new(python).args(["-c", "import pjsua2"]).output().await.is_ok_and(|o| o.status.success())
    };
    if imports(&python).await {
        return Some(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv), "python3 -m venv").await;
    run(Command::new(&python).args(["-m", "pip", "install", "-q", "pjsua2-python"]), "pip").await;
    let there = imports(&python).await;
    if !there {
        println!("SKIPPED: pjsua2-python cannot be had from pip for this Python");
    }
    there.then_some(python)
}

#[tokio::test]
async fn pjsua2_registers_and_calls_over_tls() {
    let Some(python) = python_with_pjsua2().await else { return };
    let authority = Authority::new("pjsua2");
    let tls = Some(authority.files("localhost"));
    let (sip, mut events) = baton_sip::start(SipConfig { tls, ..config(&[Transport::Tls]) }).await.unwrap();
    let port = sip.local_addr(Transport::Tls).unwrap().port().to_string();
    let phone =
        tokio::spawn(async move { run(Command::new(python).args([&here("tls_phone.py"), &port]), "pjsua2").await });
    let SipEvent::Registered { ext, contact, .. } = next(&mut events).await else { panic!() };
    assert!(ext == "1001" && contact.contains("transport=TLS"), "{contact}");
    assert_eq!(sip.contacts("1001")[0].transport, Transport::Tls);
    let (leg, _) = answer(&sip, &mut events).await;
    sip.send(SipCommand::Bye { leg, reason: None }).unwrap();
    assert!(matches!(next(&mut events).await, SipEvent::Ended { cause: EndCause::Bye, .. }));
    let said = text(&phone.await.unwrap());
    assert!(said.contains("register-200") && said.contains("confirmed") && said.contains("disconnected"), "{said}");
    assert_eq!(sip.counters().failures, 0);
}

/// Waits until a proxy answers OPTIONS through to us.
async fn answers(port: u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let local = socket.local_addr().unwrap();
    let mut buffer = [0; 2_048];
    for n in 0..100 {
        let options = format!(
            "OPTIONS sip:help@127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKup{n}\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag={n}\r\nTo: <sip:help@b>\r\nCall-ID: up{n}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        let _ = socket.send_to(options.as_bytes(), ("127.0.0.1", port)).await;
        if let Ok(Ok(_)) = timeout(Duration::from_millis(200), socket.recv(&mut buffer)).await {
            return;
        }
    }
    panic!("the proxy does not come up");
}

#[tokio::test]
async fn kamailio_in_front_stays_in_the_path_of_calls_and_registrations() {
    if !has("kamailio") || !has("sipp") {
        return;
    }
    let dir = scratch("kamailio");
    for (scenario, hang_up) in [("caller_hangs_up.xml", false), ("called_hangs_up.xml", true)] {
        let (sip, events) = baton_sip::start(SipConfig { sha256: false, ..config(&[Transport::Udp]) }).await.unwrap();
        let (ours, proxy) = (sip.local_addr(Transport::Udp).unwrap().port(), free_port().await);
        let written = std::fs::read_to_string(here("kamailio.cfg")).unwrap();
        let cfg = dir.join(format!("{proxy}.cfg"));
        std::fs::write(&cfg, written.replace("PROXY", &proxy.to_string()).replace("BATON", &ours.to_string())).unwrap();
        let mut kamailio = Command::new("kamailio");
        kamailio
            .args(["-DD", "-E", "-m", "32", "-M", "4", "-Y"])
            .arg(&dir)
            .arg("-P")
            .arg(dir.join("pid"))
            .arg("-f")
            .arg(&cfg);
        let log = std::fs::File::create(dir.join("kamailio.log")).unwrap();
        let mut proxying = kamailio.kill_on_drop(true).stderr(log).stdout(Stdio::null()).spawn().unwrap();
        answers(proxy).await;
        let calls = tokio::spawn(serve(sip.clone(), events, hang_up, 10));
        let output = sipp(&dir, scenario, proxy, 10).await;
        assert!(output.status.success(), "{}", text(&output));
        let (causes, _events) = calls.await.unwrap();
        assert_eq!(causes, [EndCause::Bye; 10]);
        let output = sipp(&dir, "register.xml", proxy, 3).await;
        assert!(output.status.success(), "{}", text(&output));
        // Where it is called: by way of the proxy, whatever the contact says.
        assert_eq!(sip.contacts("1001")[0].source.port(), proxy);
        // Terminated and not killed: it takes its children with it.
        if let Some(pid) = proxying.id() {
            run(Command::new("kill").arg(pid.to_string()), "kill").await;
        }
        let _ = timeout(PATIENCE, proxying.wait()).await;
    }
}

#[tokio::test]
async fn sipvicious_finds_nothing_and_is_banned_until_the_ban_is_over() {
    if !has("svwar") || !has("svcrack") {
        return;
    }
    let dir = scratch("sipvicious");
    for method in ["REGISTER", "INVITE", "OPTIONS"] {
        let defence = Defence { failures: 20, ban: Duration::from_secs(600), ..wary() };
        let (sip, mut events) =
            baton_sip::start(SipConfig { defence, sha256: false, ..config(&[Transport::Udp]) }).await.unwrap();
        let target = format!("udp://127.0.0.1:{}", sip.local_addr(Transport::Udp).unwrap().port());
        let mut svwar = Command::new("svwar");
        svwar.args(["-m", method, "-e", "900-1100", "-b", "127.0.0.1", "--force", "--maximumtime", "5", &target]);
        let said = text(&run(svwar.current_dir(&dir), "svwar").await);
        assert!(!said.contains("| 1001") && !said.contains("| 1002"), "{method}: {said}");
        // REGISTER is answered alike for every name and OPTIONS too: svwar sees that and gives up of itself.
        if method == "INVITE" {
            assert!(matches!(next(&mut events).await, SipEvent::Banned { failures: 20, .. }), "{said}");
            assert!(sip.counters().ignored > 0);
        }
    }
    let defence = Defence { failures: 20, ban: Duration::from_secs(4), ..wary() };
    let (sip, mut events) =
        baton_sip::start(SipConfig { defence, sha256: false, ..config(&[Transport::Udp]) }).await.unwrap();
    let port = sip.local_addr(Transport::Udp).unwrap().port();
    // The right password is in the list, behind more wrong ones than are taken.
    let words: String = (0..60).map(|n| format!("guess{n}\n")).chain(["secret\n".to_owned()]).collect();
    std::fs::write(dir.join("words"), words).unwrap();
    let mut svcrack = Command::new("svcrack");
    svcrack
        .args(["-u", "1001", "-d", "words", "-b", "127.0.0.1", "--maximumtime", "2"])
        .arg(format!("udp://127.0.0.1:{port}"));
    let said = text(&run(svcrack.current_dir(&dir), "svcrack").await);
    assert!(!said.contains("secret"), "{said}");
    assert!(matches!(next(&mut events).await, SipEvent::Banned { .. }), "{said}");
    assert_eq!(sip.counters().bans, 1);
    // A phone behind the same address, once the ban is over.
    while !matches!(next(&mut events).await, SipEvent::Pardoned { .. }) {}
    if has("sipp") {
        let output = sipp(&dir, "register.xml", port, 3).await;
        assert!(output.status.success(), "{}", text(&output));
        assert!(matches!(next(&mut events).await, SipEvent::Registered { .. }));
    }
}
