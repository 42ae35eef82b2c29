//! What is refused at the edge, on real sockets: who sends too much, connects too often, or dawdles.

mod support;

use std::time::Duration;

use baton_sip::{Defence, SipConfig, Transport};
use support::{Authority, PATIENCE, config, until, wary};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

fn options(n: usize, via: &str) -> String {
    format!(
        "OPTIONS sip:baton.localhost SIP/2.0\r\nVia: SIP/2.0/{via} 127.0.0.1;rport;branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:baton.localhost>\r\nCall-ID: {n}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[tokio::test]
async fn a_flood_is_cut_to_its_pace_and_others_are_answered() {
    let defence = Defence { messages_per_s: 1, message_burst: 20, ..wary() };
    let mut config = SipConfig { defence, ..config(&[]) };
    config.listen = support::listen(&[Transport::Udp], "0.0.0.0:0");
    let (sip, _events) = baton_sip::start(config).await.unwrap();
    let port = sip.local_addr(Transport::Udp).unwrap().port();
    let flood = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for n in 0..150 {
        flood.send_to(options(n, "UDP").as_bytes(), ("127.0.0.1", port)).await.unwrap();
    }
    until("the rest is counted", || sip.counters().limited >= 100).await;
    let (mut buffer, mut answers) = ([0; 2_048], 0);
    let other = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other.send_to(options(999, "UDP").as_bytes(), ("127.0.0.1", port)).await.unwrap();
    let n = timeout(PATIENCE, other.recv(&mut buffer)).await.unwrap().unwrap();
    assert!(buffer[..n].starts_with(b"SIP/2.0 200 "));
    while flood.try_recv(&mut buffer).is_ok() {
        answers += 1;
    }
    assert!((20..50).contains(&answers), "{answers}");
}

#[tokio::test]
async fn a_connection_that_floods_is_closed() {
    let defence = Defence { messages_per_s: 1, message_burst: 20, ..wary() };
    let (sip, _events) = baton_sip::start(SipConfig { defence, ..config(&[Transport::Tcp]) }).await.unwrap();
    let mut stream = TcpStream::connect(sip.local_addr(Transport::Tcp).unwrap()).await.unwrap();
    let all: String = (0..100).map(|n| options(n, "TCP")).collect();
    stream.write_all(all.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut got)).await.expect("not closed");
    let answers = String::from_utf8_lossy(&got).matches("SIP/2.0 200 ").count();
    assert!(answers <= 22, "{answers}");
    until("it is gone", || sip.counters().connections == 0).await;
}

#[tokio::test]
async fn who_connects_too_often_is_turned_away() {
    let defence = Defence { connections_per_s: 1, connection_burst: 5, ..wary() };
    let (sip, _events) = baton_sip::start(SipConfig { defence, ..config(&[Transport::Tcp]) }).await.unwrap();
    let at = sip.local_addr(Transport::Tcp).unwrap();
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(TcpStream::connect(at).await.unwrap());
    }
    until("the rest is counted", || sip.counters().limited >= 13).await;
    let mut closed = 0;
    for stream in &mut open {
        closed += usize::from(matches!(
            timeout(Duration::from_millis(200), stream.read(&mut [0; 1])).await,
            Ok(Ok(0) | Err(_))
        ));
    }
    assert!((13..=15).contains(&closed), "{closed}");
}

#[tokio::test]
async fn who_dawdles_loses_the_connection_on_every_transport() {
    let authority = Authority::new("slow");
    let transports = [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];
    let mut config = SipConfig { tls: Some(authority.files("localhost")), ..config(&transports) };
    config.limits.tcp_patience = Duration::from_millis(200);
    let (sip, _events) = baton_sip::start(config).await.unwrap();
    for transport in transports {
        let at = sip.local_addr(transport).unwrap();
        for began in [&b""[..], b"OPTIONS sip:a", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\x16\x03\x01\x02\x00\x01"] {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream.write_all(began).await.unwrap();
            let mut rest = Vec::new();
            let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("still open");
        }
    }
    // A WebSocket that was opened and says nothing, or begins a frame and does not end it.
    for began in [&b""[..], b"\x81\xfe\x01\x00\x00\x00\x00\x00abc"] {
        let tcp = TcpStream::connect(sip.local_addr(Transport::Ws).unwrap()).await.unwrap();
        let mut request =
            tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request("ws://localhost/").unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
        let (socket, _) = tokio_tungstenite::client_async(request, tcp).await.unwrap();
        let mut tcp = socket.into_inner();
        tcp.write_all(began).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.expect("still open");
    }
    until("none is left", || sip.counters().connections == 0).await;
}
