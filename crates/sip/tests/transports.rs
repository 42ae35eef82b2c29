//! TLS, WebSocket, keepalives, and the choice between UDP and TCP, on real sockets of loopback.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod support;

use std::sync::Arc;

use baton_sip::{EndCause, SipCommand, SipConfig, SipEvent, StartError, TlsError, Transport};
use futures_util::{SinkExt, StreamExt};
use support::{Authority, PATIENCE, answer, config, invite, next, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test]
async fn two_endpoints_talk_over_tls_and_reuse_the_connection() {
    let authority = Authority::new("talk");
    let start = |name: &str| {
        let tls = authority.files(name);
        baton_sip::start(SipConfig { tls: Some(tls), ..config(&[Transport::Tls]) })
    };
    let (a, mut heard_a) = start("a.test").await.unwrap();
    let (b, mut heard_b) = start("localhost").await.unwrap();
    let port = b.local_addr(Transport::Tls).unwrap().port();
    for uri in [
        format!("sips:help@127.0.0.1:{port}"),
        format!("sip:help@localhost:{port};transport=tls"),
        format!("sip:help@127.0.0.1:{port};transport=tls"),
    ] {
        a.send(invite(a.new_leg(), uri, vec![])).unwrap();
        let (leg, _) = answer(&b, &mut heard_b).await;
        assert!(matches!(next(&mut heard_a).await, SipEvent::Answered { .. }));
        // The BYE goes the other way, by the connection the call came by.
        b.send(SipCommand::Bye { leg, reason: None }).unwrap();
        assert!(matches!(next(&mut heard_a).await, SipEvent::Ended { cause: EndCause::Bye, .. }));
        assert!(matches!(next(&mut heard_b).await, SipEvent::Ended { .. }));
    }
    assert_eq!((a.counters().connections, b.counters().connections), (1, 1), "one connection for all");
    // RFC 5923: b reaches a's own address by that connection as well; nobody connects a second time.
    let port = a.local_addr(Transport::Tls).unwrap().port();
    b.send(invite(b.new_leg(), format!("sips:help@127.0.0.1:{port}"), vec![])).unwrap();
    answer(&a, &mut heard_a).await;
    assert!(matches!(next(&mut heard_b).await, SipEvent::Answered { .. }));
    assert_eq!((a.counters().connections, b.counters().connections), (1, 1), "and for the way back");
}

#[tokio::test]
async fn a_server_that_is_not_who_it_should_be_is_not_called() {
    let (good, evil) = (Authority::new("good"), Authority::new("evil"));
    let tls = |files| SipConfig { tls: Some(files), ..config(&[Transport::Tls]) };
    let (a, mut heard) = baton_sip::start(tls(good.files("a.test"))).await.unwrap();
    let (b, _heard_b) = baton_sip::start(tls(evil.files("localhost"))).await.unwrap();
    let port = b.local_addr(Transport::Tls).unwrap().port();
    a.send(invite(a.new_leg(), format!("sips:help@localhost:{port}"), vec![])).unwrap();
    assert!(matches!(next(&mut heard).await, SipEvent::Failed { code: 503, .. }));
}

async fn shown(at: std::net::SocketAddr, roots: &std::path::Path) -> Result<CertificateDer<'static>, std::io::Error> {
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from_pem_file(roots).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(store).with_no_client_auth();
    let tcp = TcpStream::connect(at).await?;
    let name = ServerName::IpAddress(at.ip().into());
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    stream.write_all(b"\r\n\r\n").await?;
    let mut pong = [0; 2];
    stream.read_exact(&mut pong).await?;
    assert_eq!(&pong, b"\r\n");
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    Ok(certificates[0].clone().into_owned())
}

#[tokio::test]
async fn certificates_are_read_again_and_a_bad_one_changes_nothing() {
    let authority = Authority::new("reload");
    let files = authority.files("first");
    let (sip, _events) =
        baton_sip::start(SipConfig { tls: Some(files.clone()), ..config(&[Transport::Tls]) }).await.unwrap();
    let at = sip.local_addr(Transport::Tls).unwrap();
    let first = shown(at, &authority.ca()).await.unwrap();
    assert_eq!(first, shown(at, &authority.ca()).await.unwrap());
    authority.sign("first");
    sip.reload_tls().unwrap();
    let second = shown(at, &authority.ca()).await.unwrap();
    assert_ne!(first, second);
    std::fs::write(&files.certificate, "no certificate").unwrap();
    let error = sip.reload_tls().unwrap_err();
    assert!(matches!(&error, TlsError::Content { what: "certificate", .. }), "{error}");
    assert_eq!(second, shown(at, &authority.ca()).await.unwrap());
    std::fs::remove_file(&files.certificate).unwrap();
    assert!(matches!(sip.reload_tls().unwrap_err(), TlsError::Read { .. }));
    let without = baton_sip::start(config(&[Transport::Wss])).await.unwrap_err();
    assert!(matches!(without, StartError::Tls(TlsError::NotConfigured)));
    let (plain, _events) = baton_sip::start(config(&[Transport::Udp])).await.unwrap();
    assert!(matches!(plain.reload_tls().unwrap_err(), TlsError::NotConfigured));
}

#[tokio::test]
async fn who_must_show_a_certificate_and_shows_none_is_refused() {
    let authority = Authority::new("mutual");
    let strict =
        baton_sip::TlsFiles { client_ca: Some(authority.ca()), client_required: true, ..authority.files("server") };
    let (b, mut heard_b) =
        baton_sip::start(SipConfig { tls: Some(strict), ..config(&[Transport::Tls]) }).await.unwrap();
    let at = b.local_addr(Transport::Tls).unwrap();
    assert!(shown(at, &authority.ca()).await.is_err(), "no certificate, no service");
    let files = authority.files("client");
    let (a, mut heard_a) = baton_sip::start(SipConfig { tls: Some(files), ..config(&[Transport::Tls]) }).await.unwrap();
    a.send(invite(a.new_leg(), format!("sips:help@{at}"), vec![])).unwrap();
    answer(&b, &mut heard_b).await;
    assert!(matches!(next(&mut heard_a).await, SipEvent::Answered { .. }));
}

fn options(branch: &str, via: &str) -> String {
    format!(
        "OPTIONS sip:baton.localhost SIP/2.0\r\nVia: SIP/2.0/{via};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:baton.localhost>\r\nCall-ID: {branch}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[tokio::test]
async fn a_browser_speaks_sip_over_websocket() {
    let authority = Authority::new("ws");
    let tls = Some(authority.files("localhost"));
    let ws_origins = vec!["https://desk.example".to_owned()];
    let (sip, _events) =
        baton_sip::start(SipConfig { tls, ws_origins, ..config(&[Transport::Ws, Transport::Wss]) }).await.unwrap();
    let request = |scheme: &str, origin: Option<&str>, protocol: Option<&str>| {
        let mut request = format!("{scheme}://localhost/").into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("Origin", origin.parse().unwrap());
        }
        if let Some(protocol) = protocol {
            request.headers_mut().insert("Sec-WebSocket-Protocol", protocol.parse().unwrap());
        }
        request
    };
    let at = sip.local_addr(Transport::Ws).unwrap();
    for (origin, protocol, status) in
        [(Some("https://evil.example"), Some("sip"), 403), (Some("https://desk.example"), None, 400)]
    {
        let tcp = TcpStream::connect(at).await.unwrap();
        match tokio_tungstenite::client_async(request("ws", origin, protocol), tcp).await {
            Err(Error::Http(response)) => assert_eq!(response.status(), status),
            other => panic!("{other:?}"),
        }
    }
    let tcp = TcpStream::connect(at).await.unwrap();
    let origin = Some("https://desk.example");
    let (mut socket, response) =
        tokio_tungstenite::client_async(request("ws", origin, Some("xmpp, sip")), tcp).await.unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "sip");
    socket.send(Message::text(options("one", "WS df7jal23ls0d.invalid"))).await.unwrap();
    socket.send(Message::binary(options("two", "WS df7jal23ls0d.invalid"))).await.unwrap();
    socket.send(Message::text("\r\n\r\n")).await.unwrap();
    let mut got = Vec::new();
    while got.len() < 3 {
        match timeout(PATIENCE, socket.next()).await.expect("no answer").unwrap().unwrap() {
            Message::Text(text) => got.push(text.to_string()),
            other => panic!("{other:?}"),
        }
    }
    assert!(got[0].starts_with("SIP/2.0 200 ") && got[0].contains("bKone") && got[1].contains("bKtwo"), "{got:?}");
    assert!(got.contains(&"\r\n".to_owned()));

    // The same under TLS.
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from_pem_file(authority.ca()).unwrap()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(store).with_no_client_auth();
    let tcp = TcpStream::connect(sip.local_addr(Transport::Wss).unwrap()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = TlsConnector::from(Arc::new(client)).connect(name, tcp).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request("wss", None, Some("sip")), tls).await.unwrap();
    socket.send(Message::text(options("three", "WSS df7jal23ls0d.invalid"))).await.unwrap();
    let answer = timeout(PATIENCE, socket.next()).await.expect("no answer").unwrap().unwrap().into_text().unwrap();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    drop(socket);
    until("connections are forgotten", || sip.counters().connections <= 1).await;
}

#[tokio::test]
async fn stun_is_answered_on_udp_and_between_messages_of_a_stream() {
    let (sip, _events) = baton_sip::start(config(&[Transport::Udp, Transport::Tcp])).await.unwrap();
    let mut binding = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    binding.extend([9; 12]);
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.send_to(&binding, sip.local_addr(Transport::Udp).unwrap()).await.unwrap();
    let mut buffer = [0; 512];
    let n = timeout(PATIENCE, udp.recv(&mut buffer)).await.expect("no answer").unwrap();
    let port = u16::from_be_bytes([buffer[26], buffer[27]]) ^ 0x2112;
    assert_eq!((n, &buffer[..2], port), (32, &[1, 1][..], udp.local_addr().unwrap().port()));
    let mut tcp = TcpStream::connect(sip.local_addr(Transport::Tcp).unwrap()).await.unwrap();
    tcp.write_all(&binding[..7]).await.unwrap();
    tcp.flush().await.unwrap();
    tcp.write_all(&binding[7..]).await.unwrap();
    tcp.write_all(options("after", "TCP 127.0.0.1").as_bytes()).await.unwrap();
    let mut answer = [0; 32 + 11];
    timeout(PATIENCE, tcp.read_exact(&mut answer)).await.expect("no answer").unwrap();
    assert_eq!((&answer[..2], &answer[32..]), (&[1, 1][..], &b"SIP/2.0 200"[..]));
}

#[tokio::test]
async fn what_is_too_large_for_udp_goes_by_tcp_and_back_if_nobody_answers_there() {
    let long = || vec![("X-Context".to_owned(), "x".repeat(1_400))];
    let (a, mut heard_a) = baton_sip::start(config(&[Transport::Udp, Transport::Tcp])).await.unwrap();
    // Someone who listens on both, at one port.
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        free.local_addr().unwrap().port()
    };
    let mut both = config(&[]);
    both.listen = support::listen(&[Transport::Udp, Transport::Tcp], &format!("127.0.0.1:{port}"));
    let (b, mut heard_b) = baton_sip::start(both).await.unwrap();
    a.send(invite(a.new_leg(), format!("sip:help@127.0.0.1:{port}"), long())).unwrap();
    let (leg, _) = answer(&b, &mut heard_b).await;
    assert_eq!(b.counters().connections, 1, "it came by TCP");
    assert!(matches!(next(&mut heard_a).await, SipEvent::Answered { .. }));
    b.send(SipCommand::Bye { leg, reason: None }).unwrap();
    assert!(matches!(next(&mut heard_a).await, SipEvent::Ended { cause: EndCause::Bye, .. }));
    // Someone who knows UDP alone.
    let (c, mut heard_c) = baton_sip::start(config(&[Transport::Udp])).await.unwrap();
    let udp = c.local_addr(Transport::Udp).unwrap();
    for _ in 0..2 {
        a.send(invite(a.new_leg(), format!("sip:help@{udp}"), long())).unwrap();
        answer(&c, &mut heard_c).await;
        assert!(matches!(next(&mut heard_a).await, SipEvent::Answered { .. }));
    }
}
