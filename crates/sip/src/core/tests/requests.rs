//! Requests outside of dialogs: what is refused, with what, and without state.

use super::*;

fn one(script: &mut Script, message: &str) -> String {
    let mut answers = script.send(message);
    assert_eq!(answers.len(), 1, "{message}");
    answers.remove(0)
}

#[test]
fn options_tell_what_we_can() {
    let mut script = Script::new();
    let ok = one(&mut script, &request("OPTIONS", "sip:192.0.2.1", "a", 1, "", ""));
    assert_eq!(name(&ok), "200 OPTIONS");
    for (header_name, holds) in [
        ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS"),
        ("Accept", "application/sdp"),
        ("Supported", "timer"),
        ("Server", "Baton/test"),
    ] {
        assert!(header(&ok, header_name).unwrap().contains(holds), "{header_name}");
    }
    assert!(header(&ok, "To").unwrap().contains(";tag="));
    assert_eq!(script.core.sizes(), Sizes::default());
}

#[test]
fn refusals_have_the_rfcs_status_and_make_no_state() {
    let mut script = Script::new();
    let uri = "sip:help@192.0.2.1";
    for (message, status, with) in [
        (request("DANCE", uri, "a", 1, "", ""), "501 DANCE", None),
        (request("SUBSCRIBE", uri, "a", 1, "", ""), "405 SUBSCRIBE", Some(("Allow", "INVITE"))),
        (request("OPTIONS", "mailto:a@b", "a", 1, "", ""), "416 OPTIONS", None),
        (request("INVITE", "sip:nobody@192.0.2.1", "a", 1, "", OFFER), "404 INVITE", None),
        (
            request("INVITE", uri, "a", 1, "Require: precondition, timer, 100rel, x\n", OFFER),
            "420 INVITE",
            Some(("Unsupported", "precondition, x")),
        ),
        (
            request("INVITE", uri, "a", 1, "Content-Type: text/plain\n", "hello"),
            "415 INVITE",
            Some(("Accept", "application/sdp")),
        ),
        (
            request("INVITE", uri, "a", 1, "Content-Encoding: gzip\n", OFFER),
            "415 INVITE",
            Some(("Accept-Encoding", "identity")),
        ),
        (request("INVITE", uri, "a", 1, "Accept: text/plain\n", OFFER), "406 INVITE", None),
        (
            request("INVITE", uri, "a", 1, "", OFFER).replace("Contact: <sip:bob@192.0.2.9:5070>\n", ""),
            "400 INVITE",
            None,
        ),
        (request("BYE", uri, "a", 1, "", ""), "481 BYE", None),
        (request("INFO", uri, "a", 1, "", ""), "481 INFO", None),
        (request("OPTIONS", uri, "a", 1, "", "").replacen("SIP/2.0", "SIP/3.0", 1), "505 OPTIONS", None),
        (request("OPTIONS", uri, "a", 1, "From: <sip:twice@x>;tag=1\n", ""), "400 OPTIONS", None),
        (request("OPTIONS", uri, "a", 1, "", "").replace("1 OPTIONS", "1 INVITE"), "400 INVITE", None),
        (request("OPTIONS", uri, "a", 1, "", "").replace("1 OPTIONS", "4294967296 OPTIONS"), "400 OPTIONS", None),
    ] {
        let answer = one(&mut script, &message);
        assert_eq!(name(&answer), status, "{message}");
        if let Some((header_name, holds)) = with {
            assert!(header(&answer, header_name).unwrap_or_default().starts_with(holds), "{answer}");
        }
        assert_eq!(answer, one(&mut script, &message), "the same tag for every copy (RFC 3261 §8.2.7)");
        assert_eq!(script.core.sizes(), Sizes::default());
    }
    assert!(script.kinds().is_empty());
}

#[test]
fn what_is_no_request_gets_silence() {
    let mut script = Script::new();
    let ack = request("ACK", "sip:help@192.0.2.1", "a", 1, "", "");
    let response = "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\nFrom: <sip:a@b>;tag=1\nTo: <sip:c@d>;tag=2\nCall-ID: x\nCSeq: 1 INVITE\nContent-Length: 0\n\n";
    let no_from =
        request("OPTIONS", "sip:192.0.2.1", "a", 1, "", "").replace("From: \"Bob\" <sip:bob@192.0.2.9>;tag=bob\n", "");
    for message in [&*ack, response, "\n\n", "garbage", "", &no_from] {
        assert!(script.send(message).is_empty(), "{message}");
    }
    assert_eq!(script.core.sizes(), Sizes::default());
}

#[test]
fn draining_and_a_full_house_answer_503() {
    let mut script = Script::new();
    established(&mut script, "");
    script.core.set_draining(true);
    let other = |method: &str, branch: &str| {
        request(method, "sip:help@192.0.2.1", branch, 1, "", if method == "INVITE" { OFFER } else { "" })
            .replace("call-1", "call-2")
    };
    for method in ["INVITE", "OPTIONS"] {
        let answer = one(&mut script, &other(method, "d"));
        assert!(name(&answer).starts_with("503") && header(&answer, "Retry-After").is_some());
    }
    let sizes = script.core.sizes();
    script.core.set_draining(false);
    script.core.set_congested(true);
    assert_eq!(name(&one(&mut script, &other("INVITE", "e"))), "503 INVITE");
    assert_eq!(script.core.sizes(), sizes, "before any state is made");
    script.core.set_congested(false);
    assert_eq!(name(&one(&mut script, &other("INVITE", "f"))), "100 INVITE");
}

#[test]
fn the_carriers_of_a_call_are_told_apart() {
    let mut script = Script::new();
    let message = request(
        "INVITE",
        "tel:+1-555-0100",
        "a",
        1,
        "To: <tel:+15559999>\nP-Asserted-Identity: \"A, B\" <sip:+15557777@c.example;user=phone>, <tel:+15557777>\nUser-Agent: SBC/9\n",
        OFFER,
    );
    assert_eq!(name(&one(&mut script, &message)), "100 INVITE");
    let Some(SipEvent::Incoming { from, to, user_agent, .. }) = script.events().pop() else { panic!() };
    assert_eq!(
        (to.user.as_str(), from.user.as_str(), from.asserted.as_deref(), user_agent.as_deref()),
        ("+1-555-0100", "bob", Some("+15557777"), Some("SBC/9"))
    );
}

#[test]
fn answers_follow_the_record_route_and_the_source_port() {
    let mut script = Script::new();
    let message = request(
        "INVITE",
        "sip:help@192.0.2.1",
        "a",
        1,
        "Record-Route: <sip:p1;lr>\nRecord-Route: <sip:p2;lr>\n",
        OFFER,
    )
    .replace("192.0.2.9:5070;branch", "10.9.9.9:5070;rport;branch");
    script.send(&message);
    let Some(SipEvent::Incoming { leg, .. }) = script.events().pop() else { panic!() };
    script.core.command(script.now, SipCommand::Ring { leg });
    let CoreOutput::Send { flow, bytes } = script.core.poll_output().unwrap() else { panic!() };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert_eq!(flow.remote, script.peer);
    assert!(header(&text, "Via").unwrap().ends_with(";received=192.0.2.9;rport=5070"));
    assert_eq!(headers(&text, "Record-Route"), ["<sip:p1;lr>", "<sip:p2;lr>"]);
    assert_eq!(header(&text, "Contact").unwrap(), "<sip:help@192.0.2.1:5060>");
}

#[test]
fn tcp_needs_no_repetition_but_the_2xx() {
    let mut script = Script::new();
    script.transport = Transport::Tcp;
    let message = request("INVITE", "sip:help@192.0.2.1", "a", 1, "", OFFER).replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    script.send(&message);
    let Some(SipEvent::Incoming { leg, .. }) = script.events().pop() else { panic!() };
    let ok = script.order(SipCommand::Answer { leg, sdp: sdp() });
    assert_eq!(header(&ok[0], "Contact").unwrap(), "<sip:help@192.0.2.1:5060;transport=tcp>");
    assert_eq!(script.run(secs(1)).len(), 1, "RFC 3261 §13.3.1.4: over any transport");
    let busy = script.send(&message.replace("call-1", "call-2").replace("bKa", "bKb"));
    assert_eq!(name(&busy[0]), "100 INVITE");
    let Some(SipEvent::Incoming { leg, .. }) = script.events().pop() else { panic!() };
    assert_eq!(script.order(SipCommand::Reject { leg, code: 486, reason: Some("On\r\nX: y".into()) }).len(), 1);
    assert!(script.run(ms(600)).iter().all(|m| !m.starts_with("SIP/2.0 486")));
    script.finish();
}
