//! The phone against SIPp (Debian: sip-tester), a peer with nothing of ours in it. Skipped, and said so, where it is absent.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panic, as tests do")]

use std::process::Stdio;
use std::time::Duration;

use baton_phone::{Call, CallEvent, InviteOptions, Phone, PhoneConfig};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// A running SIPp, or `None` when it is not installed.
fn sipp(arguments: &[&str], port: u16) -> Option<Child> {
    let port = port.to_string();
    let started = Command::new("sipp")
        .args(arguments)
        .args(["-i", "127.0.0.1", "-p", &port, "-m", "1", "-nostdin", "-timeout", "15s"])
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    if started.is_err() {
        eprintln!("SKIPPED: sipp is not installed (apt-get install sip-tester)");
    }
    started.ok()
}

fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn phone() -> Phone {
    Phone::open(PhoneConfig::new("127.0.0.1:0".parse().unwrap(), "phone")).await.unwrap()
}

async fn event(call: &mut Call) -> CallEvent {
    timeout(SOON, call.event()).await.expect("an event in time").expect("the call lives")
}

async fn succeeds(mut sipp: Child) {
    let status = timeout(SOON, sipp.wait()).await.expect("sipp ends").unwrap();
    assert!(status.success(), "sipp says {status}");
}

#[tokio::test]
async fn we_call_sipp() {
    let port = free_port();
    let Some(server) = sipp(&["-sn", "uas"], port) else { return };
    let phone = phone().await;
    // SIPp may take a moment to bind; the retransmission of INVITE bridges it.
    let uri = format!("sip:service@127.0.0.1:{port}");
    let mut call = phone.invite(InviteOptions { uri, ..Default::default() }).unwrap();
    assert!(matches!(event(&mut call).await, CallEvent::Progress { code: 180, .. }));
    assert!(matches!(event(&mut call).await, CallEvent::Answered { .. }));
    call.hang_up();
    assert!(matches!(event(&mut call).await, CallEvent::HungUp { .. }));
    succeeds(server).await;
}

#[tokio::test]
async fn sipp_calls_us() {
    let mut phone = phone().await;
    let target = phone.local_addr().to_string();
    let Some(client) = sipp(&["-sn", "uac", "-s", "phone", "-d", "300", &target], free_port()) else { return };
    let incoming = timeout(SOON, phone.incoming()).await.expect("a call in time").unwrap();
    assert_eq!(incoming.from_user, "sipp");
    incoming.ring();
    let mut call = incoming.answer();
    assert!(matches!(event(&mut call).await, CallEvent::Confirmed { .. }));
    assert!(matches!(event(&mut call).await, CallEvent::Ended { .. }));
    succeeds(client).await;
}
