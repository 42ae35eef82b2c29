//! Trunks on real sockets: names found by NAPTR and SRV, and Kamailio as a provider that wants proof.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails is a failed test")]

mod support;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use baton_sip::{Account, EndCause, SipCommand, SipConfig, SipEvent, SipHandle, Transport, TrunkConfig, TrunkState};
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};
use support::{answer, config, has, next, our_sdp};
use tokio::net::UdpSocket;
use tokio::process::Command;

/// A name server that knows these records.
async fn name_server(records: Vec<(&'static str, RData)>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let mut known: HashMap<Name, Vec<RData>> = HashMap::new();
    for (name, data) in records {
        known.entry(name.parse().unwrap()).or_default().push(data);
    }
    tokio::spawn(async move {
        let mut buffer = [0; 1_500];
        while let Ok((n, from)) = socket.recv_from(&mut buffer).await {
            let Ok(query) = Message::from_vec(&buffer[..n]) else { continue };
            let mut response = Message::response(query.metadata.id, query.metadata.op_code);
            for question in query.queries {
                for data in known.get(question.name()).into_iter().flatten() {
                    if data.record_type() == question.query_type() {
                        response.add_answer(Record::from_rdata(question.name().clone(), 60, data.clone()));
                    }
                }
                response.add_query(question);
            }
            let _ = socket.send_to(&response.to_vec().unwrap(), from).await;
        }
    });
    at
}

fn call(sip: &SipHandle, number: &str) -> SipCommand {
    SipCommand::InviteTrunk {
        leg: sip.new_leg(),
        trunk: "provider".into(),
        number: number.into(),
        from_user: "+442071838000".into(),
        from_display: None,
        headers: vec![],
        sdp: our_sdp(),
    }
}

#[tokio::test]
async fn a_target_is_found_by_naptr_and_srv_and_a_dead_one_is_passed_over() {
    let mut provider = config(&[Transport::Udp, Transport::Tcp]);
    provider.numbers = vec!["*".into()];
    let (theirs, mut heard) = baton_sip::start(provider).await.unwrap();
    let (tcp, udp) = (theirs.local_addr(Transport::Tcp).unwrap(), theirs.local_addr(Transport::Udp).unwrap());
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let name = |text: &str| text.parse::<Name>().unwrap();
    let srv = |priority, port, host: &str| RData::SRV(SRV::new(priority, 0, port, name(host)));
    let naptr = |order, service: &str, to: &str| {
        let bytes = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
        RData::NAPTR(NAPTR::new(order, 0, bytes("s"), bytes(service), bytes(""), name(to)))
    };
    let here = || RData::A(A::new(127, 0, 0, 1));
    let dns = name_server(vec![
        ("provider.example.", naptr(2, "SIP+D2U", "_sip._udp.provider.example.")),
        ("provider.example.", naptr(1, "SIP+D2T", "_other._tcp.provider.example.")),
        ("provider.example.", naptr(0, "SIPS+D2T", "_sips._tcp.provider.example.")),
        ("_other._tcp.provider.example.", srv(20, tcp.port(), "b.provider.example.")),
        ("_other._tcp.provider.example.", srv(10, dead.port(), "a.provider.example.")),
        ("_sip._udp.provider.example.", srv(10, udp.port(), "b.provider.example.")),
        ("a.provider.example.", here()),
        ("b.provider.example.", here()),
        ("plain.example.", here()),
    ])
    .await;
    let trunk = |target: &str| TrunkConfig {
        name: "provider".into(),
        targets: vec![target.into()],
        health: None,
        ..TrunkConfig::default()
    };
    // By NAPTR to TCP (TLS, which it prefers, has no listener here), by SRV past the dead one; with the transport said, by
    // SRV of UDP; with the port said, by the address alone.
    let plain = format!("sip:plain.example:{};transport=tcp", tcp.port());
    for (target, transport) in [
        ("sip:provider.example", Transport::Tcp),
        ("sip:provider.example;transport=udp", Transport::Udp),
        (plain.as_str(), Transport::Tcp),
    ] {
        let ours =
            SipConfig { dns: Some(dns), trunks: vec![trunk(target)], ..config(&[Transport::Udp, Transport::Tcp]) };
        let (sip, mut events) = baton_sip::start(ours).await.unwrap();
        // Found as soon as it is looked up: until then a call has nowhere to go.
        let mut called = Box::pin(answer(&theirs, &mut heard));
        sip.send(call(&sip, "+442071838750")).unwrap();
        let mut answered = false;
        let (leg, from) = loop {
            tokio::select! {
                called = &mut called => break called,
                event = next(&mut events) => match event {
                    SipEvent::Answered { .. } => answered = true,
                    SipEvent::Failed { code: 503, .. } => sip.send(call(&sip, "+442071838750")).unwrap(),
                    event => panic!("{event:?}"),
                },
            }
        };
        drop(called);
        let own = sip.local_addr(Transport::Udp).unwrap();
        assert_eq!(from == own, transport == Transport::Udp, "{target}: {from}");
        assert!(answered || matches!(next(&mut events).await, SipEvent::Answered { .. }));
        theirs.send(SipCommand::Bye { leg, reason: None }).unwrap();
        assert!(matches!(next(&mut events).await, SipEvent::Ended { cause: EndCause::Bye, .. }));
        assert!(matches!(next(&mut heard).await, SipEvent::Ended { .. }));
    }
    // A URI is found the same way.
    let (sip, mut events) =
        baton_sip::start(SipConfig { dns: Some(dns), ..config(&[Transport::Udp, Transport::Tcp]) }).await.unwrap();
    sip.send(support::invite(sip.new_leg(), "sip:help@provider.example".into(), vec![])).unwrap();
    answer(&theirs, &mut heard).await;
    assert!(matches!(next(&mut events).await, SipEvent::Answered { .. }));
}

#[tokio::test]
async fn kamailio_as_a_provider_wants_proof_and_gets_it() {
    if !has("kamailio") || !has("sipp") {
        return;
    }
    let port = async || UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (proxy, switch) = (port().await, port().await);
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("provider");
    std::fs::create_dir_all(&dir).unwrap();
    let cfg = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/provider.cfg");
    let written = std::fs::read_to_string(cfg).unwrap();
    let cfg = dir.join("provider.cfg");
    std::fs::write(&cfg, written.replace("PROXY", &proxy.to_string()).replace("SWITCH", &switch.to_string())).unwrap();
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
    let mut sipp = Command::new("sipp");
    sipp.args(["-sn", "uas", "-i", "127.0.0.1", "-p", &switch.to_string(), "-nostdin", "-m", "1"]).current_dir(&dir);
    let mut answering =
        sipp.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();

    let account =
        Account { registrar: Some(format!("sip:127.0.0.1:{proxy}")), ..Account::new("acme", "pw", "provider.test") };
    let trunk = TrunkConfig {
        name: "provider".into(),
        account: Some(account),
        targets: vec![format!("sip:127.0.0.1:{proxy}")],
        health: Some(Duration::from_secs(1)),
        ..TrunkConfig::default()
    };
    let (sip, mut events) =
        baton_sip::start(SipConfig { trunks: vec![trunk], ..config(&[Transport::Udp]) }).await.unwrap();
    // It may come up after our first REGISTER, which is repeated.
    let SipEvent::Trunk { name, state } = next(&mut events).await else { panic!("no registration") };
    assert_eq!((name.as_str(), &state), ("provider", &TrunkState::Registered { expires_s: 120 }));
    assert_eq!(sip.trunks()[0].registered, Some(true));
    sip.send(call(&sip, "+442071838750")).unwrap();
    let leg = loop {
        match next(&mut events).await {
            SipEvent::Progress { .. } => {}
            SipEvent::Answered { leg, .. } => break leg,
            event => panic!("{event:?}"),
        }
    };
    sip.send(SipCommand::Bye { leg, reason: None }).unwrap();
    assert!(matches!(next(&mut events).await, SipEvent::Ended { cause: EndCause::Bye, .. }));
    // SIPp ends by itself when its one call was hung up as it should be.
    let ended = tokio::time::timeout(support::PATIENCE, answering.wait()).await.expect("SIPp got no BYE").unwrap();
    assert!(ended.success());
    if let Some(pid) = proxying.id() {
        let _ = Command::new("kill").arg(pid.to_string()).status().await;
    }
    let _ = tokio::time::timeout(support::PATIENCE, proxying.wait()).await;
}
