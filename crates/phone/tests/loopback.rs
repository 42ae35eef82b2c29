//! Phone against phone, and against raw datagrams, on loopback. Every wait has a deadline.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panic, as tests do")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use baton_phone::dial::{Dial, EndedBy, dial};
use baton_phone::{Call, CallEvent, Incoming, InviteOptions, Phone, PhoneConfig, PhoneError, correlation};
use rand::{Rng, SeedableRng};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);

async fn phone(user: &str) -> Phone {
    Phone::open(PhoneConfig::new("127.0.0.1:0".parse().unwrap(), user)).await.unwrap()
}

fn to(addr: SocketAddr) -> InviteOptions {
    InviteOptions { uri: format!("sip:5000@{addr}"), ..Default::default() }
}

async fn event(call: &mut Call) -> CallEvent {
    timeout(SOON, call.event()).await.expect("an event in time").expect("the call lives")
}

async fn incoming(phone: &mut Phone) -> Incoming {
    timeout(SOON, phone.incoming()).await.expect("a call in time").expect("the phone lives")
}

/// Two seconds of something with the shape of speech.
fn babble(seed: u64) -> Arc<[i16]> {
    let mut random = rand::rngs::SmallRng::seed_from_u64(seed);
    let mut low = 0.0f64;
    (0..16_000)
        .map(|n| {
            low = 0.92 * low + random.random_range(-1.0..1.0);
            (low * 3_000.0 * (1.2 + (f64::from(n) / 900.0).sin())) as i16
        })
        .collect()
}

#[tokio::test]
async fn a_call_carries_voice_and_digits_both_ways() {
    let (caller, mut agent) = (phone("+15551230001").await, phone("1001").await);
    let options = InviteOptions {
        display: Some("Maria Gomez".into()),
        headers: vec![("X-Case".into(), "42".into())],
        ..to(agent.local_addr())
    };
    let mut a = caller.invite(options).unwrap();
    let ringing = incoming(&mut agent).await;
    assert_eq!(ringing.from_user, "+15551230001");
    assert_eq!(ringing.from_display.as_deref(), Some("Maria Gomez"));
    assert!(ringing.invite.contains("X-Case: 42"));
    ringing.ring();
    assert!(matches!(event(&mut a).await, CallEvent::Progress { code: 180, .. }));
    let mut b = ringing.answer();
    assert!(matches!(event(&mut a).await, CallEvent::Answered { .. }));
    assert!(matches!(event(&mut b).await, CallEvent::Confirmed { .. }));

    let (from_a, from_b) = (babble(1), babble(2));
    let played = a.media().play(Arc::clone(&from_a));
    b.media().play(Arc::clone(&from_b));
    assert!(a.media().wait(SOON, |m| m.played(played).is_some()).await);
    a.media().press("159#");
    assert!(b.media().wait(SOON, |m| m.listen(|h| h.digits.len() == 4)).await);
    let (heard_a, heard_b) = (a.media().heard(), b.media().heard());
    assert_eq!(heard_b.digits.iter().map(|(d, _)| *d).collect::<String>(), "159#");
    for (sent, heard) in [(&from_a, &heard_b), (&from_b, &heard_a)] {
        let c = correlation(sent, &heard.samples);
        assert!(c > 0.99, "correlation {c}");
        assert_eq!((heard.stats.lost, heard.stats.strays), (0, 0));
        assert_eq!(heard.spells.len(), 1, "one spell of sound: {:?}", heard.spells);
    }
    // On an idle line, room tone still tells one phone from the other.
    let now = std::time::Instant::now();
    assert!(b.media().wait(SOON, |m| m.heard().packets.last().is_some_and(|p| p.at > now)).await);
    assert!(baton_phone::first_relayed(&a.media().sent(), &b.media().heard(), now).is_some());
    assert!(baton_phone::first_relayed(&b.media().sent(), &b.media().heard(), now).is_none());

    b.hang_up();
    assert!(matches!(event(&mut a).await, CallEvent::Ended { .. }));
    assert!(matches!(event(&mut b).await, CallEvent::HungUp { .. }));
}

#[tokio::test]
async fn busy_and_declined() {
    let (caller, mut agent) = (phone("a").await, phone("b").await);
    for code in [486, 603] {
        let mut a = caller.invite(to(agent.local_addr())).unwrap();
        let mut b = incoming(&mut agent).await.reject(code);
        assert!(matches!(event(&mut a).await, CallEvent::Failed { code: c, .. } if c == code));
        assert!(matches!(event(&mut b).await, CallEvent::HungUp { .. }), "the refusal was acknowledged");
    }
}

#[tokio::test]
async fn cancel_while_ringing() {
    let (caller, mut agent) = (phone("a").await, phone("b").await);
    let mut a = caller.invite(to(agent.local_addr())).unwrap();
    let mut ringing = incoming(&mut agent).await;
    ringing.ring();
    assert!(matches!(event(&mut a).await, CallEvent::Progress { code: 180, .. }));
    a.hang_up();
    assert!(matches!(event(&mut a).await, CallEvent::Failed { code: 487, .. }));
    assert!(matches!(event(&mut ringing.call).await, CallEvent::Ended { .. }));
}

#[tokio::test]
async fn options_and_unknown_dialogs() {
    let (asking, asked) = (phone("a").await, phone("b").await);
    assert_eq!(asking.options(&format!("sip:{}", asked.local_addr())).await.unwrap(), 200);
    let peer = Peer::open().await;
    peer.send(&peer.request("BYE", "nobody@here", 3, "z9hG4bKx", &[], ""), asked.local_addr()).await;
    assert!(peer.receive().await.0.starts_with("SIP/2.0 481 "));
    assert!(matches!(
        asking.invite(InviteOptions { uri: "tel:5".into(), ..Default::default() }),
        Err(PhoneError::Uri(_))
    ));
}

#[tokio::test]
async fn register_answers_the_strongest_challenge() {
    let registrar = Peer::open().await;
    let mut config = PhoneConfig::new("127.0.0.1:0".parse().unwrap(), "1001");
    config.password = Some("secret".into());
    config.domain = "baton.localhost".into();
    let mut phone = Phone::open(config).await.unwrap();
    let target = registrar.addr();
    let registering = tokio::spawn(async move { phone.register(target, Duration::from_secs(600)).await });

    let (first, from) = registrar.receive().await;
    assert!(first.starts_with("REGISTER sip:baton.localhost SIP/2.0\r\n"), "{first}");
    let challenges = [
        ("WWW-Authenticate", "Digest realm=\"baton\", nonce=\"n1\", qop=\"auth\", algorithm=MD5"),
        ("WWW-Authenticate", "Digest realm=\"baton\", nonce=\"n2\", qop=\"auth\", algorithm=SHA-256"),
    ];
    registrar.send(&registrar.answer(&first, "401 Unauthorized", &challenges, ""), from).await;
    let (second, from) = registrar.receive().await;
    assert!(second.contains("CSeq: 2 REGISTER"));
    assert_eq!(field(&first, "Call-ID"), field(&second, "Call-ID"));

    // rsip computes digests on its own: an independent check of ours. (Its header parser knows "SHA256" only.)
    let request = rsip::Request::try_from(second.replace("=SHA-256", "=SHA256").as_str()).unwrap();
    let authorization = rsip::message::HeadersExt::authorization_header(&request).unwrap();
    let typed = rsip::headers::ToTypedHeader::typed(authorization).unwrap();
    assert_eq!(typed.nonce, "n2");
    let generator = rsip::services::DigestGenerator::from(&typed, "secret", &rsip::Method::Register);
    assert!(generator.verify(&typed.response), "{second}");

    let granted = [("Contact", "<sip:x@127.0.0.1:1>;expires=9"), ("Expires", "120")];
    registrar.send(&registrar.answer(&second, "200 OK", &granted, ""), from).await;
    assert_eq!(registering.await.unwrap().unwrap(), Duration::from_secs(120));
}

#[tokio::test]
async fn wrong_password_is_not_tried_for_ever() {
    let registrar = Peer::open().await;
    let mut config = PhoneConfig::new("127.0.0.1:0".parse().unwrap(), "1001");
    config.password = Some("wrong".into());
    let mut phone = Phone::open(config).await.unwrap();
    let target = registrar.addr();
    let registering = tokio::spawn(async move { phone.register(target, Duration::from_secs(600)).await });
    for nonce in ["a", "b"] {
        let (request, from) = registrar.receive().await;
        let challenge = format!("Digest realm=\"baton\", nonce=\"{nonce}\"");
        let answer = registrar.answer(&request, "401 Unauthorized", &[("WWW-Authenticate", &challenge)], "");
        registrar.send(&answer, from).await;
    }
    assert_eq!(registering.await.unwrap().unwrap_err().to_string(), "registrar refused with 401");
}

#[tokio::test]
async fn a_lost_invite_and_a_lost_ack_are_made_good() {
    let peer = Peer::open().await;
    let phone = phone("a").await;
    let mut call = phone.invite(to(peer.addr())).unwrap();
    let (first, _) = peer.receive().await;
    let (second, from) = peer.receive().await;
    assert_eq!(first, second, "timer A repeats the same bytes");
    let tagged = peer.answer(&second, "200 OK", &[("Contact", &format!("<sip:p@{}>", peer.addr()))], SDP);
    peer.send(&tagged, from).await;
    assert!(matches!(event(&mut call).await, CallEvent::Answered { .. }));
    let (ack, _) = peer.receive().await;
    assert!(ack.starts_with("ACK sip:p@"), "{ack}");
    assert!(field(&ack, "To").contains("tag=peer"));
    peer.send(&tagged, from).await;
    assert_eq!(peer.receive().await.0, ack, "a repeated 200 is acknowledged again");
}

#[tokio::test]
async fn a_200_repeats_until_its_ack_and_a_hold_is_obeyed() {
    let peer = Peer::open().await;
    let mut phone = phone("b").await;
    let local = phone.local_addr();
    let rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let sdp = SDP.replace("4000", &rtp.local_addr().unwrap().port().to_string());
    peer.send(&peer.request("INVITE", "held", 1, "z9hG4bK1", &[], &sdp), local).await;
    let ringing = incoming(&mut phone).await;
    let mut call = ringing.answer();
    let (first, _) = peer.receive().await;
    let (again, _) = peer.receive().await;
    assert!(first.starts_with("SIP/2.0 200 OK"));
    assert_eq!(first, again);
    let tag = format!("tag={}", field(&first, "To").rsplit_once("tag=").unwrap().1);
    let acked = |s: String| s.replacen("To: <sip:5000@127.0.0.1>", &format!("To: <sip:5000@127.0.0.1>;{tag}"), 1);
    peer.send(&acked(peer.request("ACK", "held", 1, "z9hG4bK2", &[], "")), local).await;
    assert!(matches!(event(&mut call).await, CallEvent::Confirmed { .. }));

    let mut buffer = [0; 400];
    let (len, _) = timeout(SOON, rtp.recv_from(&mut buffer)).await.expect("the phone sends").unwrap();
    assert_eq!(len, 172);
    let hold = format!("{sdp}a=sendonly\r\n");
    peer.send(&acked(peer.request("INVITE", "held", 2, "z9hG4bK3", &[], &hold)), local).await;
    let (answer, _) = peer.receive().await;
    assert!(answer.contains("a=recvonly"), "{answer}");
    assert!(matches!(event(&mut call).await, CallEvent::Reoffered { .. }));
    peer.send(&acked(peer.request("ACK", "held", 2, "z9hG4bK4", &[], "")), local).await;
    assert!(matches!(event(&mut call).await, CallEvent::Confirmed { .. }));
    // What was under way may still arrive; then it is quiet for ten packet times.
    while timeout(Duration::from_millis(30), rtp.recv_from(&mut buffer)).await.is_ok() {}
    assert!(timeout(Duration::from_millis(200), rtp.recv_from(&mut buffer)).await.is_err(), "quiet on hold");
}

#[tokio::test]
async fn a_challenged_invite_is_repeated_with_credentials() {
    let peer = Peer::open().await;
    let mut config = PhoneConfig::new("127.0.0.1:0".parse().unwrap(), "1001");
    config.password = Some("secret".into());
    let phone = Phone::open(config).await.unwrap();
    let mut call = phone.invite(to(peer.addr())).unwrap();
    let (first, from) = peer.receive().await;
    let challenge = [("Proxy-Authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"")];
    peer.send(&peer.answer(&first, "407 Proxy Authentication Required", &challenge, ""), from).await;
    let (ack, _) = peer.receive().await;
    assert!(ack.starts_with("ACK ") && field(&ack, "Via") == field(&first, "Via"));
    let (second, _) = peer.receive().await;
    assert!(second.contains("Proxy-Authorization: Digest username=\"1001\""));
    assert_eq!(field(&second, "CSeq"), "2 INVITE");
    peer.send(&peer.answer(&second, "404 Not Found", &[], ""), from).await;
    assert!(matches!(event(&mut call).await, CallEvent::Failed { code: 404, .. }));
}

#[tokio::test]
async fn dial_reports_what_was_on_the_wire() {
    let folder = std::env::temp_dir().join(format!("baton-phone-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (play, record) = (folder.join("play.wav"), folder.join("heard.wav"));
    let said = babble(7);
    baton_audio::write_wav(&play, &said, 8_000).unwrap();
    let mut answering = phone("5000").await;
    let options = Dial {
        uri: format!("sip:5000@{}", answering.local_addr()),
        from: Some("sip:+15551230009@127.0.0.1".into()),
        play: Some(play),
        record: Some(record.clone()),
        dtmf: Some("1,2".into()),
        json: false,
        max_duration: None,
    };
    let dialing = tokio::spawn(dial(options));
    let ringing = incoming(&mut answering).await;
    assert_eq!(ringing.from_user, "+15551230009");
    ringing.ring();
    let call = ringing.answer();
    let pressed = Duration::from_secs(10);
    assert!(call.media().wait(pressed, |m| m.listen(|h| h.digits.len() == 2)).await, "both digits are heard");
    let reply = babble(8);
    let played = call.media().play(Arc::clone(&reply));
    assert!(call.media().wait(SOON, |m| m.played(played).is_some()).await);
    assert!(correlation(&said, &call.media().heard().samples) > 0.99);

    call.hang_up();
    let report = timeout(SOON, dialing).await.expect("dial ends").unwrap().unwrap();
    assert_eq!((report.code, report.ended_by), (200, EndedBy::Them));
    assert!(report.ringing_ms.unwrap() <= report.answered_ms.unwrap());
    assert!(report.reply_ms.unwrap() > report.played_until_ms.unwrap());
    assert_eq!(report.rtp.lost, 0);
    let heard = baton_audio::load_clip(&record).unwrap();
    assert!(correlation(&reply, heard.samples()) > 0.99);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["ended_by"], "them");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn dial_reports_a_refusal() {
    let mut busy = phone("5000").await;
    let options = Dial {
        uri: format!("sip:5000@{}", busy.local_addr()),
        from: None,
        play: None,
        record: None,
        dtmf: None,
        json: false,
        max_duration: None,
    };
    let dialing = tokio::spawn(dial(options));
    let _call = incoming(&mut busy).await.reject(486);
    let report = timeout(SOON, dialing).await.expect("dial ends").unwrap().unwrap();
    assert_eq!((report.code, report.ended_by, report.answered_ms), (486, EndedBy::Nobody, None));
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\n\
                   a=rtpmap:101 telephone-event/8000\r\n";

fn field<'a>(message: &'a str, name: &str) -> &'a str {
    let prefix = format!("{name}: ");
    message.lines().find_map(|l| l.strip_prefix(&prefix)).unwrap_or_default()
}

/// A peer that writes its messages by hand.
struct Peer(UdpSocket);

impl Peer {
    async fn open() -> Self {
        Self(UdpSocket::bind("127.0.0.1:0").await.unwrap())
    }

    fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    async fn send(&self, text: &str, to: SocketAddr) {
        self.0.send_to(text.as_bytes(), to).await.unwrap();
    }

    async fn receive(&self) -> (String, SocketAddr) {
        let mut buffer = vec![0; 4_096];
        let (len, from) = timeout(SOON, self.0.recv_from(&mut buffer)).await.expect("a message in time").unwrap();
        (String::from_utf8(buffer[..len].to_vec()).unwrap(), from)
    }

    fn request(&self, method: &str, id: &str, cseq: u32, branch: &str, more: &[(&str, &str)], body: &str) -> String {
        let addr = self.addr();
        let more: String = more.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        format!(
            "{method} sip:5000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {addr};branch={branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:peer@{addr}>;tag=p\r\nTo: <sip:5000@127.0.0.1>\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:peer@{addr}>\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn answer(&self, request: &str, status: &str, more: &[(&str, &str)], body: &str) -> String {
        let more: String = more.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=peer\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}\
             Content-Length: {}\r\n\r\n{body}",
            field(request, "Via"),
            field(request, "From"),
            field(request, "To"),
            field(request, "Call-ID"),
            field(request, "CSeq"),
            body.len()
        )
    }
}
