//! The endpoint on real sockets of loopback: what the virtual clock cannot show.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]

use std::net::SocketAddr;
use std::time::Duration;

use baton_sip::sdp::{self, stream::Description};
use baton_sip::{
    EndCause, ExtensionAuth, Ha1, LegId, Listen, SipCommand, SipConfig, SipEvent, SipHandle, StartError, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

async fn endpoint() -> (SipHandle, Receiver<SipEvent>) {
    endpoint_at("127.0.0.1:0").await.unwrap()
}

async fn endpoint_at(bind: &str) -> Result<(SipHandle, Receiver<SipEvent>), StartError> {
    let bind = bind.parse().unwrap();
    let listen = [Transport::Udp, Transport::Tcp].map(|transport| Listen { transport, bind }).to_vec();
    let extensions =
        vec![ExtensionAuth { ext: "1001".into(), ha1: Ha1::from_password("1001", "baton.localhost", "secret") }];
    baton_sip::start(SipConfig { listen, numbers: vec!["help".into()], extensions, ..SipConfig::default() }).await
}

async fn next(events: &mut Receiver<SipEvent>) -> SipEvent {
    timeout(PATIENCE, events.recv()).await.expect("no event in time").expect("the endpoint stopped")
}

fn our_sdp() -> String {
    sdp::plain_offer("127.0.0.1:4000".parse().unwrap())
}

fn invite(leg: LegId, to: SocketAddr, host: &str, transport: Transport) -> SipCommand {
    let parameter = if transport == Transport::Tcp { ";transport=tcp" } else { "" };
    let uri = format!("sip:help@{host}:{}{parameter}", to.port());
    SipCommand::InviteUri { leg, uri, from_user: "me".into(), from_display: None, headers: vec![], sdp: our_sdp() }
}

async fn settled(sip: &SipHandle) {
    for _ in 0..1_000 {
        if sip.sizes().legs == 0 && sip.sizes().dialogs == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await; // looked at again: nothing tells when a table is empty
    }
    panic!("{:?}", sip.sizes());
}

#[tokio::test]
async fn two_endpoints_talk_over_udp_and_tcp() {
    for (transport, host, bind) in [
        (Transport::Udp, "127.0.0.1", "127.0.0.1:0"),
        (Transport::Tcp, "127.0.0.1", "127.0.0.1:0"),
        (Transport::Udp, "localhost", "127.0.0.1:0"),
        (Transport::Udp, "127.0.0.1", "0.0.0.0:0"),
        (Transport::Udp, "[::1]", "[::1]:0"),
        (Transport::Tcp, "[::1]", "[::1]:0"),
    ] {
        let (Ok((a, mut heard_a)), Ok((b, mut heard_b))) = (endpoint_at(bind).await, endpoint_at(bind).await) else {
            assert!(bind.starts_with("[::1]"), "cannot bind {bind}");
            println!("SKIPPED: no IPv6 on this machine");
            continue;
        };
        println!("{transport} {host} on {bind}");
        let leg = a.new_leg();
        a.send(invite(leg, b.local_addr(transport).unwrap(), host, transport)).unwrap();
        let SipEvent::Incoming { leg: theirs, sdp: Some(offer), .. } = next(&mut heard_b).await else { panic!() };
        let answer = sdp::plain_answer(&offer, "127.0.0.1:5000".parse().unwrap()).unwrap();
        b.send(SipCommand::Ring { leg: theirs }).unwrap();
        b.send(SipCommand::Answer { leg: theirs, sdp: answer }).unwrap();
        assert!(matches!(next(&mut heard_a).await, SipEvent::Progress { code: 180, .. }));
        let SipEvent::Answered { sdp: Some(answer), .. } = next(&mut heard_a).await else { panic!() };
        assert_eq!(Description::parse(&answer).unwrap().streams[0].port, 5_000);
        assert!(matches!(next(&mut heard_b).await, SipEvent::Confirmed { .. }));
        b.send(SipCommand::Bye { leg: theirs, reason: None }).unwrap();
        assert!(matches!(next(&mut heard_a).await, SipEvent::Ended { cause: EndCause::Bye, .. }));
        settled(&a).await;
        settled(&b).await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_and_nothing_stays_open() {
    let (first, _events) = endpoint().await;
    let taken = first.local_addr(Transport::Tcp).unwrap();
    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let listen =
        vec![Listen { transport: Transport::Udp, bind: free }, Listen { transport: Transport::Tcp, bind: taken }];
    let error = baton_sip::start(SipConfig { listen, ..SipConfig::default() }).await.unwrap_err();
    assert!(matches!(error, StartError::PortInUse { transport: Transport::Tcp, addr } if addr == taken), "{error}");
    UdpSocket::bind(free).await.unwrap();
    assert!(matches!(baton_sip::start(SipConfig::default()).await, Err(StartError::NoListener)));
}

#[tokio::test]
async fn nobody_there_is_a_failed_call() {
    let (sip, mut events) = endpoint().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    sip.send(invite(sip.new_leg(), free, "127.0.0.1", Transport::Tcp)).unwrap();
    assert!(matches!(next(&mut events).await, SipEvent::Failed { code: 503, .. }));
    sip.send(invite(sip.new_leg(), free, "no-such-host.invalid", Transport::Udp)).unwrap();
    assert!(matches!(next(&mut events).await, SipEvent::Failed { code: 503, .. }));
    settled(&sip).await;
}

fn options(branch: &str) -> String {
    format!(
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: {branch}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

async fn read_until(stream: &mut TcpStream, count: usize, what: &str) -> String {
    let (mut got, mut buffer) = (String::new(), [0; 4_096]);
    while got.matches(what).count() < count {
        let n = timeout(PATIENCE, stream.read(&mut buffer)).await.expect("nothing came").unwrap();
        assert!(n > 0, "closed after {got:?}");
        got.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    got
}

#[tokio::test]
async fn a_stream_is_framed_pinged_and_closed_when_it_cannot_be_cut() {
    let (sip, _events) = endpoint().await;
    let mut stream = TcpStream::connect(sip.local_addr(Transport::Tcp).unwrap()).await.unwrap();
    stream.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read_until(&mut stream, 1, "\r\n").await, "\r\n");
    let two = format!("\r\n{}{}", options("one"), options("two"));
    let (first, second) = two.split_at(150);
    stream.write_all(first.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    stream.write_all(second.as_bytes()).await.unwrap();
    let answers = read_until(&mut stream, 2, "SIP/2.0 200 OK").await;
    assert!(answers.find("bKone").unwrap() < answers.find("bKtwo").unwrap());
    stream.write_all(options("bad").replace("Content-Length: 0", "Content-Length: -5").as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("not closed").unwrap();
    assert!(String::from_utf8_lossy(&rest).starts_with("SIP/2.0 400 "));
}

#[tokio::test]
async fn a_peer_that_never_finishes_is_dropped_and_others_are_served() {
    let bind = "127.0.0.1:0".parse().unwrap();
    let mut config = SipConfig { listen: vec![Listen { transport: Transport::Tcp, bind }], ..SipConfig::default() };
    config.limits.tcp_patience = Duration::from_millis(200);
    config.limits.connections_per_peer = 2;
    let (sip, _events) = baton_sip::start(config).await.unwrap();
    let at = sip.local_addr(Transport::Tcp).unwrap();
    let mut slow = TcpStream::connect(at).await.unwrap();
    slow.write_all(b"OPTIONS sip:a SIP/2.0\r\n").await.unwrap();
    let mut quick = TcpStream::connect(at).await.unwrap();
    quick.write_all(options("q").as_bytes()).await.unwrap();
    read_until(&mut quick, 1, "SIP/2.0 200 OK").await;
    let mut third = TcpStream::connect(at).await.unwrap();
    assert_eq!(timeout(PATIENCE, third.read(&mut [0; 1])).await.expect("not refused").unwrap_or(0), 0);
    assert_eq!(timeout(PATIENCE, slow.read(&mut [0; 1])).await.expect("not dropped").unwrap_or(0), 0);
}

#[tokio::test]
async fn draining_refuses_over_the_wire() {
    let (sip, _events) = endpoint().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(sip.local_addr(Transport::Udp).unwrap()).await.unwrap();
    let mut buffer = [0; 2_048];
    for (on, status) in [(false, "SIP/2.0 200 "), (true, "SIP/2.0 503 "), (false, "SIP/2.0 200 ")] {
        sip.drain(on);
        let message = options(&status[8..11]).replace("SIP/2.0/TCP 127.0.0.1;", "SIP/2.0/UDP 127.0.0.1;rport;");
        socket.send(message.as_bytes()).await.unwrap();
        let n = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("no answer").unwrap();
        assert!(String::from_utf8_lossy(&buffer[..n]).starts_with(status));
    }
}

#[tokio::test]
async fn a_phone_on_tcp_is_called_over_its_own_connection() {
    use md5::{Digest, Md5};
    let md5 = |text: String| Md5::digest(text).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let (sip, mut events) = endpoint().await;
    let mut phone = TcpStream::connect(sip.local_addr(Transport::Tcp).unwrap()).await.unwrap();
    let register = |cseq: u32, extra: &str| {
        format!(
            "REGISTER sip:baton.localhost SIP/2.0\r\nVia: SIP/2.0/TCP 10.1.1.1:5060;branch=z9hG4bKr{cseq};rport\r\nMax-Forwards: 70\r\nFrom: <sip:1001@baton.localhost>;tag=1\r\nTo: <sip:1001@baton.localhost>\r\nCall-ID: r\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:1001@10.1.1.1:5060;transport=tcp>\r\n{extra}Content-Length: 0\r\n\r\n"
        )
    };
    phone.write_all(register(1, "").as_bytes()).await.unwrap();
    let challenge = read_until(&mut phone, 1, "algorithm=MD5").await;
    let nonce = challenge.split("nonce=\"").nth(1).and_then(|n| n.split('"').next()).unwrap();
    let (ha1, ha2) = (md5("1001:baton.localhost:secret".into()), md5("REGISTER:sip:baton.localhost".into()));
    let response = md5(format!("{ha1}:{nonce}:00000001:c:auth:{ha2}"));
    let credentials = format!(
        "Authorization: Digest username=\"1001\", realm=\"baton.localhost\", nonce=\"{nonce}\", uri=\"sip:baton.localhost\", response=\"{response}\", cnonce=\"c\", nc=00000001, qop=auth\r\n"
    );
    phone.write_all(register(2, &credentials).as_bytes()).await.unwrap();
    read_until(&mut phone, 1, "SIP/2.0 200 ").await;
    assert!(matches!(next(&mut events).await, SipEvent::Registered { expires_s: 3_600, .. }));
    assert_eq!(sip.contacts("1001")[0].source, phone.local_addr().unwrap());
    let leg = sip.new_leg();
    sip.send(SipCommand::Invite {
        leg,
        ext: "1001".into(),
        from_user: "me".into(),
        from_display: None,
        headers: vec![],
        sdp: our_sdp(),
    })
    .unwrap();
    let invite = read_until(&mut phone, 1, "a=sendrecv").await;
    assert!(invite.starts_with("INVITE sip:1001@10.1.1.1:5060;transport=tcp SIP/2.0\r\n"));
}
