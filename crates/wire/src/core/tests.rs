//! Two front ends on a virtual clock, and hand-written peers: timers, races, refusals.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Core, Peer, Sizes};
use crate::{EndCause, ExtensionAuth, Ha1, LegId, Listen, SipCommand, SipConfig, SipEvent, Transport};

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

struct World {
    core: Core,
    now: Instant,
    sent: Vec<String>,
    events: Vec<SipEvent>,
}

fn peer() -> Peer {
    Peer { transport: Transport::Udp, addr: "127.0.0.9:5080".parse().unwrap(), via: 0 }
}

impl World {
    fn new() -> Self {
        let extensions = ["1001", "1002"].map(|e| ExtensionAuth { ext: e.into(), ha1: Ha1::from_password(e, "r", "pw") }).to_vec();
        let config = SipConfig { domain: "r".into(), extensions, numbers: vec!["5000".into()], max_legs: 50, ..SipConfig::default() };
        let locals = vec![Listen { transport: Transport::Udp, bind: "127.0.0.1:5060".parse().unwrap() }];
        let now = Instant::now();
        Self { core: Core::new(now, config, locals, [3; 32]), now, sent: Vec::new(), events: Vec::new() }
    }

    fn pump(&mut self) {
        while let Some(t) = self.core.poll_transmit() {
            self.sent.push(String::from_utf8_lossy(&t.bytes).into_owned());
        }
        while let Some(e) = self.core.poll_event() {
            self.events.push(e);
        }
    }

    fn receive(&mut self, text: &str) {
        self.core.receive(self.now, Bytes::copy_from_slice(text.as_bytes()), &peer());
        self.pump();
    }

    fn command(&mut self, command: SipCommand) {
        self.core.command(self.now, command);
        self.pump();
    }

    /// Lets time pass, every timer in its turn.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.core.timeout(self.now);
            self.pump();
        }
        self.now = end;
    }

    fn take(&mut self) -> (Vec<String>, Vec<SipEvent>) {
        (std::mem::take(&mut self.sent), std::mem::take(&mut self.events))
    }

    fn statuses(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.sent).iter().filter_map(|m| m.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()).collect()
    }

    /// After every timer nothing may be left.
    fn at_rest(&mut self) {
        self.pass(S(600));
        assert_eq!(self.core.sizes(), Sizes::default(), "something outlives its purpose");
    }
}

fn request(method: &str, uri: &str, branch: &str, to_tag: &str, cseq: u32, body: &str) -> String {
    let to_tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9:5080;branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\nFrom: \"Ann\" <sip:+15551230001@h>;tag=them\r\nTo: <{uri}>{to_tag}\r\nCall-ID: c1\r\nCSeq: {cseq} {method}\r\nContact: <sip:ann@127.0.0.9:5080>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const SDP: &str = "v=0\r\nc=IN IP4 127.0.0.9\r\nm=audio 4000 RTP/AVP 0\r\n";
const TO: &str = "sip:5000@127.0.0.1";

fn field<'a>(message: &'a str, name: &str) -> &'a str {
    message.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim()
}

fn tag_of(message: &str) -> String {
    field(message, "To:").split(";tag=").nth(1).unwrap_or_default().to_owned()
}

/// An answered call: the leg and our tag.
fn answered(world: &mut World) -> (LegId, String) {
    world.receive(&request("INVITE", TO, "a", "", 1, SDP));
    let leg = world.events.iter().find_map(|e| match e { SipEvent::Incoming { leg, .. } => Some(*leg), _ => None }).unwrap();
    world.command(SipCommand::Answer { leg, sdp: SDP.into() });
    let ok = world.sent.iter().find(|m| m.starts_with("SIP/2.0 200")).unwrap().clone();
    (leg, tag_of(&ok))
}

fn up(world: &mut World) -> (LegId, String) {
    let (leg, tag) = answered(world);
    world.receive(&request("ACK", TO, "ack", &tag, 1, ""));
    world.take();
    (leg, tag)
}

#[test]
fn a_call_is_offered_rung_answered_confirmed_ended() {
    let mut w = World::new();
    w.receive(&request("INVITE", TO, "a", "", 1, SDP));
    let SipEvent::Incoming { leg, from, to, sdp, .. } = w.events.remove(0) else { panic!() };
    assert_eq!((from.user.as_str(), from.display.as_deref(), to.user.as_str()), ("+15551230001", Some("Ann"), "5000"));
    assert_eq!(sdp.as_deref(), Some(SDP));
    w.command(SipCommand::Ring { leg });
    w.command(SipCommand::Answer { leg, sdp: SDP.into() });
    assert_eq!(w.sent.iter().filter(|m| m.contains("received=127.0.0.9") || m.contains("rport=5080")).count(), 3);
    let tag = tag_of(w.sent.last().unwrap());
    assert_eq!(w.statuses(), [100, 180, 200]);
    w.receive(&request("ACK", TO, "b", &tag, 1, ""));
    assert_eq!(w.events, [SipEvent::Confirmed { leg, sdp: None }]);
    w.receive(&request("BYE", TO, "c", &tag, 2, ""));
    assert_eq!(w.statuses(), [200]);
    assert_eq!(w.events.pop(), Some(SipEvent::Ended { leg, cause: EndCause::Bye }));
    w.at_rest();
}

#[test]
fn the_200_is_repeated_until_the_ack_and_at_last_the_call_is_ended() {
    let mut w = World::new();
    let (leg, tag) = answered(&mut w);
    w.take();
    w.pass(MS(3_600)); // 0.5, 1.5, 3.5
    assert_eq!(w.statuses(), [200, 200, 200]);
    w.receive(&request("INVITE", TO, "a", "", 1, SDP));
    assert!(w.events.is_empty(), "a retransmitted INVITE is no new call");
    w.take();
    w.pass(S(30));
    let (sent, events) = w.take();
    assert_eq!(events, [SipEvent::Ended { leg, cause: EndCause::NoAck }]);
    assert!(sent.iter().any(|m| m.starts_with("BYE ") && m.contains(&tag)), "§13.3.1.4");
    w.at_rest();
}

#[test]
fn cancel_before_the_answer_and_after_it() {
    let mut w = World::new();
    w.receive(&request("INVITE", TO, "a", "", 1, SDP));
    w.take();
    w.receive(&request("CANCEL", TO, "a", "", 1, ""));
    let (sent, events) = w.take();
    assert!(sent.iter().any(|m| m.starts_with("SIP/2.0 200") && m.contains("CSeq: 1 CANCEL")));
    assert!(sent.iter().any(|m| m.starts_with("SIP/2.0 487") && m.contains("CSeq: 1 INVITE")));
    assert!(matches!(events[..], [SipEvent::Ended { cause: EndCause::Cancel, .. }]));
    // The race: our 200 has left before their CANCEL came. The call stands; they will end it by BYE.
    let mut w = World::new();
    let (_, _) = answered(&mut w);
    w.take();
    w.receive(&request("CANCEL", TO, "a", "", 1, ""));
    let (sent, events) = w.take();
    assert!(sent.iter().any(|m| m.starts_with("SIP/2.0 200") && m.contains("CANCEL")) && events.is_empty());
    // CANCEL of nothing.
    w.receive(&request("CANCEL", TO, "zzz", "", 9, ""));
    assert_eq!(w.statuses(), [481]);
    // CANCEL, then a second INVITE of the same Call-ID with another CSeq: a call like any other.
    let mut w = World::new();
    w.receive(&request("INVITE", TO, "a", "", 1, SDP));
    w.receive(&request("CANCEL", TO, "a", "", 1, ""));
    w.take();
    w.receive(&request("INVITE", TO, "b", "", 2, SDP));
    assert!(matches!(w.events[..], [SipEvent::Incoming { .. }]));
    w.command(SipCommand::Reject { leg: LegId(2), code: 486, reason: None });
    w.at_rest();
}

#[test]
fn what_cannot_be_served_gets_its_status() {
    let cases = [
        (request("INVITE", "sip:9999@h", "1", "", 1, SDP), 404),
        (request("PUBLISH", TO, "2", "", 1, ""), 405),
        (request("FLY", TO, "3", "", 1, ""), 501),
        (request("OPTIONS", "soap.beep://h", "4", "", 1, ""), 416),
        (request("BYE", TO, "5", "nobody", 1, ""), 481),
        (request("INVITE", TO, "6", "nobody", 1, SDP), 481),
        (request("BYE", TO, "7", "", 1, ""), 481),
        (request("OPTIONS", TO, "8", "", 1, "").replace("Max-Forwards: 70", "Require: foo"), 420),
        (request("INVITE", TO, "9", "", 1, "x").replace("application/sdp", "application/x"), 415),
        (request("INVITE", TO, "10", "", 1, SDP).replace("Max-Forwards: 70", "Accept: text/plain"), 406),
        (request("OPTIONS", TO, "11", "", 1, "").replace("OPTIONS sip:5000@127.0.0.1 SIP/2.0", "OPTIONS sip:5000@127.0.0.1 SIP/7.0"), 505),
        (request("OPTIONS", TO, "12", "", 1, "").replace("1 OPTIONS", "1 INVITE"), 400),
        (request("OPTIONS", TO, "13", "", 1, "").replace("To: <sip", "To: \"<sip"), 400),
        (request("OPTIONS", TO, "14", "", 1, "").replace("Content-Length: 0", "Content-Length: 99"), 400),
        (request("OPTIONS", TO, "15", "", 1, ""), 200),
        (request("REGISTER", "sip:r", "16", "", 1, ""), 401),
    ];
    for (text, status) in cases {
        let mut w = World::new();
        w.receive(&text);
        assert_eq!(w.statuses(), [status], "{text}");
        w.at_rest();
    }
}

#[test]
fn merged_overloaded_draining() {
    let mut w = World::new();
    w.receive(&request("INVITE", TO, "a", "", 1, SDP));
    w.take();
    w.receive(&request("INVITE", TO, "another-way", "", 1, SDP));
    assert_eq!(w.statuses(), [482]);
    for i in 0..60 {
        w.receive(&request("INVITE", TO, &format!("x{i}"), "", 10 + i, SDP));
    }
    let (sent, _) = w.take();
    let refused: Vec<_> = sent.iter().filter(|m| m.starts_with("SIP/2.0 503")).collect();
    assert_eq!(refused.len(), 11);
    assert!(refused.iter().all(|m| m.contains("Retry-After:")));
    let mut w = World::new();
    w.core.drain(true);
    w.receive(&request("INVITE", TO, "a", "", 1, SDP));
    w.receive(&request("OPTIONS", TO, "b", "", 2, ""));
    assert_eq!(w.statuses(), [503, 503]);
}

#[test]
fn hold_resume_and_glare() {
    let mut w = World::new();
    let (leg, tag) = up(&mut w);
    w.receive(&request("INVITE", TO, "re1", &tag, 2, SDP));
    assert!(matches!(&w.events[..], [SipEvent::Reoffer { sdp: Some(_), .. }]));
    w.take();
    w.receive(&request("INVITE", TO, "re2", &tag, 3, SDP));
    assert_eq!(w.statuses(), [500], "§14.2: one at a time");
    w.command(SipCommand::AnswerReoffer { leg, sdp: Ok(SDP.into()) });
    assert_eq!(w.statuses(), [200]);
    w.receive(&request("ACK", TO, "re1ack", &tag, 2, ""));
    assert!(w.take().1.is_empty(), "the call was confirmed before");
    w.receive(&request("UPDATE", TO, "u", &tag, 4, SDP));
    w.command(SipCommand::AnswerReoffer { leg, sdp: Err(488) });
    assert_eq!(w.statuses(), [488]);
    w.receive(&request("BYE", TO, "old", &tag, 1, ""));
    assert_eq!(w.statuses(), [500], "out of order");
    // BYE crosses a re-INVITE that waits for our answer.
    w.receive(&request("INVITE", TO, "re3", &tag, 5, SDP));
    w.take();
    w.command(SipCommand::Bye { leg, reason: Some("SIP;cause=200".into()) });
    let (sent, _) = w.take();
    assert!(sent.iter().any(|m| m.starts_with("SIP/2.0 487")) && sent.iter().any(|m| m.starts_with("BYE ") && m.contains("Reason: SIP;cause=200")));
    w.at_rest();
}

#[test]
fn a_bye_that_nobody_answers_is_repeated_and_given_up() {
    let mut w = World::new();
    let (leg, _) = up(&mut w);
    w.command(SipCommand::Bye { leg, reason: None });
    w.pass(S(40));
    assert_eq!(w.take().0.iter().filter(|m| m.starts_with("BYE ")).count(), 11, "timer E: 0, 0.5, 1.5, 3.5, then every 4 s to 32");
    w.at_rest();
}

#[test]
fn digits_by_info() {
    let mut w = World::new();
    let (leg, tag) = up(&mut w);
    for (i, (kind, body, digit)) in [("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", '5'), ("application/dtmf", "#", '#'), ("application/dtmf-relay", "Signal= 11\r\n", '#')].into_iter().enumerate() {
        w.receive(&request("INFO", TO, &format!("i{i}"), &tag, 10 + i as u32, body).replace("application/sdp", kind));
        let (sent, events) = w.take();
        assert!(sent[0].starts_with("SIP/2.0 200"));
        assert_eq!(events, [SipEvent::InfoDigit { leg, digit }]);
    }
}

/// Registers an extension's phone; what the 200 says.
fn register(w: &mut World, ext: &str, contact: &str, expires: u32, cseq: u32) -> String {
    let plain = format!(
        "REGISTER sip:r SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9:5080;branch=z9hG4bKr{}{cseq};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{ext}@r>;tag=t\r\nTo: <sip:{ext}@r>\r\nCall-ID: reg{ext}{contact}\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{contact}>\r\nExpires: {expires}\r\nContent-Length: 0\r\n\r\n",
        contact.len() + contact.bytes().map(usize::from).sum::<usize>()
    );
    w.receive(&plain);
    let challenge = w.take().0.pop().unwrap();
    assert!(challenge.starts_with("SIP/2.0 401"), "{challenge}");
    let nonce = field(&challenge, "WWW-Authenticate:").split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    use md5::{Digest, Md5};
    let h = |t: String| Md5::digest(t).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let response = h(format!("{}:{nonce}:00000001:c:auth:{}", h(format!("{ext}:r:pw")), h("REGISTER:sip:r".into())));
    let authorization = format!("Authorization: Digest username=\"{ext}\", realm=\"r\", nonce=\"{nonce}\", uri=\"sip:r\", response=\"{response}\", qop=auth, nc=00000001, cnonce=\"c\"\r\n");
    w.receive(&plain.replace("Expires:", &format!("{authorization}Expires:")).replace("z9hG4bKr", "z9hG4bKs").replace(&format!("CSeq: {cseq}"), &format!("CSeq: {}", cseq + 1)));
    w.sent.pop().unwrap()
}

#[test]
fn a_phone_registers_refreshes_and_expires() {
    let mut w = World::new();
    let ok = register(&mut w, "1001", "1001@127.0.0.9:5080", 60, 1);
    assert!(ok.starts_with("SIP/2.0 200") && ok.contains("Contact: <sip:1001@127.0.0.9:5080>;expires=60"), "{ok}");
    assert!(matches!(&w.events[..], [SipEvent::Registered { ext, .. }] if ext == "1001"));
    w.take();
    assert!(register(&mut w, "1001", "1001@127.0.0.9:5080", 5, 3).starts_with("SIP/2.0 423"));
    w.pass(S(61));
    assert_eq!(w.take().1, [SipEvent::Unregistered { ext: "1001".into() }]);
    // Unknown extensions are challenged like known ones.
    w.receive(&request("REGISTER", "sip:r", "u1", "", 1, "").replace("+15551230001", "1001"));
    w.receive(&request("REGISTER", "sip:r", "u2", "", 1, "").replace("+15551230001", "7777"));
    let shape = |m: &String| m.lines().map(|l| l.split(&[':', ' '][..]).next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(shape(&w.sent[0]), shape(&w.sent[1]));
    w.at_rest();
}

fn call(w: &mut World) -> LegId {
    let leg = LegId(1 << 32);
    w.command(SipCommand::Invite { leg, ext: "1001".into(), from_user: "+15551230001".into(), from_display: Some("Maria \"G\"".into()), headers: vec![("X-Test".into(), "1".into())], sdp: SDP.into() });
    leg
}

fn answer_to(invite: &str, code: u16, tag: &str, body: &str) -> String {
    let echo: String = invite.lines().filter(|l| ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|n| l.starts_with(n))).map(|l| format!("{l}\r\n")).collect();
    format!("SIP/2.0 {code} X\r\n{echo}To: {};tag={tag}\r\nContact: <sip:1001@127.0.0.9:5080>\r\nRecord-Route: <sip:proxy@127.0.0.8;lr>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", field(invite, "To:"), body.len())
}

#[test]
fn a_call_to_an_extension_rings_is_answered_and_ended_by_them() {
    let mut w = World::new();
    register(&mut w, "1001", "1001@127.0.0.9:5080", 600, 1);
    w.take();
    let leg = call(&mut w);
    let invite = w.take().0.remove(0);
    assert!(invite.starts_with("INVITE sip:1001@127.0.0.9:5080 SIP/2.0") && invite.contains("X-Test: 1") && invite.contains("From: \"Maria G\" <sip:+15551230001@r>"));
    w.receive(&answer_to(&invite, 180, "ph", ""));
    w.receive(&answer_to(&invite, 200, "ph", SDP));
    let (sent, events) = w.take();
    assert_eq!(events, [SipEvent::Progress { leg, code: 180 }, SipEvent::Answered { leg, sdp: Some(SDP.into()) }]);
    assert!(sent[0].starts_with("ACK sip:1001@127.0.0.9:5080") && sent[0].contains("CSeq: 1 ACK") && sent[0].contains("Route: <sip:proxy@127.0.0.8;lr>"));
    w.receive(&answer_to(&invite, 200, "ph", SDP));
    assert!(w.take().0[0].starts_with("ACK "), "a 200 that comes again gets its ACK again");
    // A second place answers through the same proxy: it is acknowledged and ended, and no second answer is told.
    w.receive(&answer_to(&invite, 200, "other", SDP));
    let (sent, events) = w.take();
    assert!(sent[0].starts_with("ACK ") && sent[1].starts_with("BYE ") && events.is_empty());
    let from = field(&invite, "From:").replace("tag=", "TAG").split("TAG").nth(1).unwrap().to_owned();
    let call_id = field(&invite, "Call-ID:");
    w.receive(&format!("BYE sip:baton@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9:5080;branch=z9hG4bKbye;rport\r\nFrom: {};tag=ph\r\nTo: <sip:x@r>;tag={from}\r\nCall-ID: {call_id}\r\nCSeq: 7 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", field(&invite, "To:")));
    let (sent, events) = w.take();
    assert!(sent.iter().any(|m| m.starts_with("SIP/2.0 200")));
    assert_eq!(events, [SipEvent::Ended { leg, cause: EndCause::Bye }]);
    w.pass(S(4_000));
    w.at_rest();
}

#[test]
fn two_phones_ring_and_the_first_to_answer_wins() {
    let mut w = World::new();
    register(&mut w, "1001", "1001@127.0.0.9:5080", 600, 1);
    register(&mut w, "1001", "1001@127.0.0.9:5081", 600, 1);
    w.take();
    let leg = call(&mut w);
    let (invites, _) = w.take();
    assert_eq!(invites.len(), 2);
    w.receive(&answer_to(&invites[0], 180, "a", ""));
    w.receive(&answer_to(&invites[1], 180, "b", ""));
    w.take();
    w.receive(&answer_to(&invites[1], 200, "b", SDP));
    let (sent, events) = w.take();
    assert_eq!(events, [SipEvent::Answered { leg, sdp: Some(SDP.into()) }]);
    let cancel = sent.iter().find(|m| m.starts_with("CANCEL ")).unwrap();
    assert_eq!(field(cancel, "Call-ID:"), field(&invites[0], "Call-ID:"));
    // The cancelled phone answers all the same: its 200 crossed our CANCEL.
    w.receive(&answer_to(&invites[0], 200, "a", SDP));
    let (sent, events) = w.take();
    assert!(sent.iter().any(|m| m.starts_with("ACK ")) && sent.iter().any(|m| m.starts_with("BYE ")) && events.is_empty());
}

#[test]
fn busy_silence_cancel_and_nobody_there() {
    let mut w = World::new();
    let leg = call(&mut w);
    assert!(matches!(&w.take().1[..], [SipEvent::Failed { code: 480, .. }]), "not registered");
    register(&mut w, "1001", "1001@127.0.0.9:5080", 3_600, 1);
    w.take();
    call(&mut w);
    let invite = w.take().0.remove(0);
    w.receive(&answer_to(&invite, 486, "x", ""));
    let (sent, events) = w.take();
    assert!(sent[0].starts_with("ACK ") && matches!(events[..], [SipEvent::Failed { code: 486, .. }]));
    call(&mut w);
    w.take();
    w.pass(S(33));
    let (sent, events) = w.take();
    assert_eq!(sent.len(), 6, "timer A: 0.5, 1.5, 3.5, 7.5, 15.5, 31.5");
    assert!(matches!(events[..], [SipEvent::Failed { code: 408, .. }]), "timer B");
    // CANCEL waits for a provisional response (§9.1).
    call(&mut w);
    let invite = w.take().0.remove(0);
    w.command(SipCommand::Cancel { leg });
    assert!(w.take().0.is_empty());
    w.receive(&answer_to(&invite, 180, "x", ""));
    assert!(w.take().0[0].starts_with("CANCEL "));
    w.receive(&answer_to(&invite, 487, "x", ""));
    assert!(matches!(w.take().1[..], [SipEvent::Failed { code: 487, .. }]));
    w.pass(S(4_000));
    w.at_rest();
}

/// RFC 4475 and RFC 5118 by the verdicts in `expected.tsv`.
#[test]
fn torture_messages_get_the_rfcs_answer() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/torture");
    let Ok(table) = std::fs::read_to_string(format!("{dir}/expected.tsv")) else {
        println!("SKIPPED: the torture messages are not at {dir}");
        return;
    };
    let mut failures = Vec::new();
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let (file, expected, also) = (columns[0], columns[4], columns.get(5).copied().unwrap_or(""));
        let mut w = World::new();
        w.core.config.numbers.extend(["user", "vivekg", "service", "j.user", "bob", "watson", "ralph", "null-%00-null"].map(str::to_owned));
        w.core.receive(w.now, std::fs::read(format!("{dir}/{file}")).unwrap().into(), &peer());
        w.pump();
        let got = w.statuses().into_iter().find(|c| *c != 100);
        let fits = |verdict: &str| match verdict {
            "none" | "close" => got.is_none(),
            "not400" => got != Some(400),
            code => got.is_some_and(|g| code == g.to_string()),
        };
        if !std::iter::once(expected).chain(also.split(',')).filter(|v| !v.is_empty()).any(fits) {
            failures.push(format!("{file}: {got:?}, expected {expected} or {also}"));
        }
        w.pass(S(600));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

proptest::proptest! {
    /// No datagram, however bent, panics or leaves anything behind.
    #[test]
    fn bent_messages_leave_nothing(which in 0usize..4, cuts in proptest::collection::vec((0usize..600, proptest::num::u8::ANY), 0..6), keep in 1usize..700) {
        let whole = match which {
            0 => request("INVITE", TO, "a", "", 1, SDP),
            1 => request("REGISTER", "sip:r", "a", "", 1, ""),
            2 => request("BYE", TO, "a", "x", 1, ""),
            _ => answer_to(&request("INVITE", TO, "a", "", 1, SDP), 200, "t", SDP),
        };
        let mut bytes = whole.into_bytes();
        for (at, with) in cuts {
            let at = at % bytes.len();
            bytes[at] = with;
        }
        bytes.truncate(keep.max(1));
        let mut w = World::new();
        w.core.receive(w.now, bytes.into(), &peer());
        w.pump();
        let offered: Vec<_> = w.events.iter().filter_map(SipEvent::leg).collect();
        for leg in offered {
            w.command(SipCommand::Reject { leg, code: 486, reason: None });
        }
        w.at_rest();
    }
}
