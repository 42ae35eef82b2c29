//! What no peer should send.

use proptest::prelude::*;

use super::*;

fn corpus() -> Vec<String> {
    vec![
        request("INVITE", "sip:help@192.0.2.1", "a", 1, "Record-Route: <sip:p;lr>, <sip:q>\nSession-Expires: 100;refresher=uas\nP-Asserted-Identity: \"x\" <tel:+1>\n", OFFER),
        request("REGISTER", "sip:baton.test", "b", 1, "Authorization: Digest username=\"1001\", realm=\"baton.test\", nonce=\"x\", uri=\"sip:b\", response=\"y\"\nExpires: 60\n", ""),
        request("CANCEL", "sip:help@192.0.2.1", "a", 1, "", ""),
        request("OPTIONS", "sip:192.0.2.1", "c", 7, "Require: timer\n", ""),
        request("BYE", "sip:help@192.0.2.1", "d", 2, "To: <sip:help@192.0.2.1>;tag=1\n", ""),
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx;rport\nFrom: <sip:a@b>;tag=1\nTo: <sip:c@d>;tag=2\nCall-ID: x\nCSeq: 1 INVITE\nContent-Length: 0\n\n".into(),
    ]
}

#[test]
fn the_quadratic_datagram_is_refused_and_never_parsed() {
    let mut script = Script::new();
    let parameters: String = (0..9_000).map(|i| format!(";p{i}")).collect();
    let message = request("OPTIONS", &format!("sip:help@192.0.2.1{parameters}"), "a", 1, "To: <sip:x@y>\n", "");
    assert!(message.len() > 50_000);
    assert_eq!(crate::guard::check(message.replace('\n', "\r\n").as_bytes()), Err(crate::guard::Refusal::StartLine));
    let answers = script.send(&message);
    assert!(answers.iter().all(|a| name(a).starts_with("414")));
    let message = request("OPTIONS", "sip:192.0.2.1", "a", 1, &format!("To: <sip:x@y{parameters}>\n"), "");
    assert!(crate::guard::check(message.replace('\n', "\r\n").as_bytes()).is_err());
    assert!(script.send(&message).len() <= 1);
    assert_eq!(script.core.sizes(), Sizes::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Whatever is done to a message, nothing panics, and what it may have begun ends by itself.
    #[test]
    fn mutated_messages_never_panic(which in 0usize..6, edits in prop::collection::vec((any::<prop::sample::Index>(), 0u8..6, any::<u8>()), 1..12), tcp in any::<bool>()) {
        let mut bytes = corpus()[which].replace('\n', "\r\n").into_bytes();
        for (at, what, byte) in edits {
            if bytes.is_empty() { break; }
            let i = at.index(bytes.len());
            match what {
                0 => bytes[i] = byte,
                1 => { bytes.remove(i); }
                2 => bytes.insert(i, byte),
                3 => bytes.truncate(i),
                4 => { let part = bytes[i..(i + 40).min(bytes.len())].to_vec(); bytes.extend(part); }
                _ => bytes[i] = b"<>;,\":@%[]= \r\n"[usize::from(byte) % 14],
            }
        }
        let mut script = Script::new();
        if tcp {
            script.transport = Transport::Tcp;
            let mut framer = crate::guard::Framer::default();
            framer.push(&bytes);
            while let Ok(crate::guard::Frame::Message(message)) = framer.next_frame() {
                let flow = script.flow();
                script.core.receive(script.now, flow, message);
            }
        }
        let flow = script.flow();
        script.core.receive(script.now, flow, bytes.into());
        for event in script.events() {
            if let Some(leg) = event.leg() {
                script.core.command(script.now, SipCommand::Answer { leg, sdp: sdp() });
                script.core.command(script.now, SipCommand::Bye { leg, reason: None });
            }
        }
        script.finish();
    }

    #[test]
    fn sdp_never_panics(text in "(v=0\r\n)?([a-z]=[ -~]{0,40}\r\n){0,12}") {
        crate::testing::description(text.as_bytes());
    }
}
