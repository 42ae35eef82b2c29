//! Calls to an extension with several phones.

use super::register::register;
use super::*;

/// Two phones of 1001, and the INVITEs of a call to it.
fn ringing() -> (Script, Vec<String>) {
    let mut script = Script::new();
    for (cseq, port) in [(1, 5070), (3, 5071)] {
        script.peer.set_port(port);
        register(&mut script, "1001", "secret", cseq, &format!("Contact: <sip:1001@192.0.2.9:{port}>;expires=3600\n"));
    }
    script.events();
    let invites = script.order(invite());
    assert_eq!(invites.len(), 2);
    assert_ne!(header(&invites[0], "Call-ID"), header(&invites[1], "Call-ID"));
    (script, invites)
}

fn invite() -> SipCommand {
    SipCommand::Invite {
        leg: LegId(1),
        ext: "1001".into(),
        from_user: "x".into(),
        from_display: None,
        headers: vec![],
        sdp: sdp(),
    }
}

/// A phone's response.
fn answer(request: &str, code: u16, tag: &str) -> String {
    let keep = ["Via", "From", "Call-ID", "CSeq"].map(|n| format!("{n}: {}\n", header(request, n).unwrap())).concat();
    let (extra, body) = if code / 100 == 2 && name(request) == "INVITE" {
        ("Contact: <sip:1001@192.0.2.9:5099>\nContent-Type: application/sdp\n", OFFER)
    } else {
        ("", "")
    };
    let length = body.replace('\n', "\r\n").len();
    format!(
        "SIP/2.0 {code} Whatever\n{keep}To: {};tag={tag}\n{extra}Content-Length: {length}\n\n{body}",
        header(request, "To").unwrap()
    )
}

fn names(messages: &[String]) -> Vec<String> {
    messages.iter().map(|m| name(m)).collect()
}

#[test]
fn the_first_answer_wins_and_the_others_are_cancelled() {
    let (mut script, invites) = ringing();
    for invite in &invites {
        script.send(&answer(invite, 180, "t"));
    }
    let sent = script.send(&answer(&invites[1], 200, "win"));
    assert_eq!(names(&sent), ["ACK", "CANCEL"]);
    assert!(
        sent[0].starts_with("ACK sip:1001@192.0.2.9:5099 ") && header(&sent[0], "To").unwrap().ends_with("tag=win")
    );
    assert_eq!(
        header(&sent[1], "Reason").as_deref(),
        Some("SIP;cause=200;text=\"Call completed elsewhere\""),
        "RFC 3326"
    );
    for same in ["Via", "Call-ID", "From", "To"] {
        assert_eq!(header(&sent[1], same), header(&invites[0], same), "RFC 3261 §9.1");
    }
    script.send(&answer(&sent[1], 200, "t"));
    assert_eq!(names(&script.send(&answer(&invites[0], 487, "t"))), ["ACK"]);
    assert_eq!(script.kinds(), ["Progress(180)", "Progress(180)", "Answered"]);
    let bye = script.order(SipCommand::Bye { leg: LegId(1), reason: None }).remove(0);
    assert!(bye.starts_with("BYE sip:1001@192.0.2.9:5099 ") && header(&bye, "CSeq").unwrap() == "2 BYE");
    script.send(&answer(&bye, 200, "win"));
    script.finish();
}

#[test]
fn two_phones_answer_at_once() {
    let (mut script, invites) = ringing();
    for invite in &invites {
        script.send(&answer(invite, 180, "t"));
    }
    assert_eq!(names(&script.send(&answer(&invites[0], 200, "one"))), ["ACK", "CANCEL"]);
    let late = script.send(&answer(&invites[1], 200, "two"));
    assert_eq!(names(&late), ["ACK", "BYE"]);
    assert!(late.iter().all(|m| header(m, "To").unwrap().ends_with("tag=two")));
    assert_eq!(names(&script.send(&answer(&invites[1], 200, "two"))), ["ACK"], "repeated, and no second BYE");
    assert_eq!(names(&script.send(&answer(&invites[0], 200, "one"))), ["ACK"]);
    assert_eq!(script.kinds(), ["Progress(180)", "Progress(180)", "Answered"]);
    assert_eq!(script.core.sizes().legs, 1);
    script.order(SipCommand::Bye { leg: LegId(1), reason: None });
    script.finish();
}

#[test]
fn a_proxy_behind_one_fork_answers_twice() {
    let (mut script, invites) = ringing();
    script.send(&answer(&invites[0], 200, "one"));
    let second = script.send(&answer(&invites[0], 200, "two"));
    assert_eq!(names(&second), ["ACK", "BYE"], "RFC 3261 §13.2.2.4");
    assert_eq!(script.kinds(), ["Answered"]);
}

#[test]
fn the_best_refusal_is_told_once_all_have_failed() {
    for (codes, best) in [([486, 404], 404), ([503, 486], 486), ([480, 603], 603)] {
        let (mut script, invites) = ringing();
        assert_eq!(names(&script.send(&answer(&invites[0], codes[0], "t"))), ["ACK"]);
        assert!(script.kinds().is_empty());
        script.send(&answer(&invites[1], codes[1], "t"));
        assert_eq!(script.kinds(), [format!("Failed({best})")]);
        script.finish();
    }
}

#[test]
fn decline_everywhere_ends_all() {
    let (mut script, invites) = ringing();
    script.send(&answer(&invites[1], 180, "t"));
    assert_eq!(names(&script.send(&answer(&invites[0], 603, "t"))), ["ACK", "CANCEL"]);
    assert_eq!(script.kinds(), ["Progress(180)", "Failed(603)"]);
    script.finish();
}

#[test]
fn one_phone_is_gone_and_the_other_answers() {
    let (mut script, invites) = ringing();
    script.send(&answer(&invites[0], 180, "t"));
    script.run(secs(33));
    assert_eq!(script.kinds(), ["Progress(180)"], "the one that is silent does not end the call");
    assert_eq!(names(&script.send(&answer(&invites[0], 200, "t"))), ["ACK"]);
    assert_eq!(script.kinds(), ["Answered"]);
}

#[test]
fn a_peer_that_cannot_be_reached_is_503() {
    let (mut script, _) = ringing();
    for port in [5070, 5071] {
        script.peer.set_port(port);
        let flow = script.flow();
        script.core.unreachable(script.now, &flow);
    }
    assert_eq!(script.kinds(), ["Failed(503)"]);
    script.finish();
}

#[test]
fn nobody_registered_is_480_and_a_challenge_is_a_refusal() {
    let mut script = Script::new();
    assert!(script.order(invite()).is_empty());
    assert_eq!(script.kinds(), ["Failed(480)"]);
    let (mut script, invites) = ringing();
    script.send(&answer(&invites[0], 401, "t"));
    script.send(&answer(&invites[1], 407, "t"));
    assert_eq!(script.kinds(), ["Failed(401)"]);
}

#[test]
fn a_cancel_says_why() {
    let (mut script, invites) = ringing();
    script.send(&answer(&invites[0], 180, "t"));
    let reason = crate::fields::completed_elsewhere();
    let sent = script.order(SipCommand::CancelFor { leg: LegId(1), reason: reason.clone() });
    assert_eq!((names(&sent), header(&sent[0], "Reason")), (vec!["CANCEL".into()], Some(reason.clone())));
    let late = script.send(&answer(&invites[1], 180, "t"));
    assert_eq!(
        (names(&late), header(&late[0], "Reason")),
        (vec!["CANCEL".into()], Some(reason)),
        "once it is heard of"
    );
    script.finish();
}

#[test]
fn a_bye_that_overtakes_its_200_ends_the_call() {
    let (mut script, invites) = ringing();
    script.send(&answer(&invites[0], 180, "t"));
    let (from, to) = (header(&invites[0], "To").unwrap(), header(&invites[0], "From").unwrap());
    let bye = format!(
        "BYE sip:x@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5099;branch=z9hG4bKbye\nFrom: {from};tag=t\nTo: {to}\nCall-ID: {}\nCSeq: 1 BYE\nContent-Length: 0\n\n",
        header(&invites[0], "Call-ID").unwrap()
    );
    assert_eq!(names(&script.send(&bye)), ["200 BYE"]);
    assert_eq!(names(&script.send(&answer(&invites[0], 200, "t"))), ["ACK"]);
    assert_eq!(script.kinds(), ["Progress(180)", "Answered", "Ended(Bye)"]);
    script.finish();
}

#[test]
fn an_interval_too_small_is_asked_for_anew() {
    let (mut script, invites) = ringing();
    let refused = answer(&invites[0], 422, "t").replace("Content-Length", "Min-SE: 3600\nContent-Length");
    let sent = script.send(&refused);
    assert_eq!(names(&sent), ["ACK", "INVITE"]);
    for (name, value) in [("Session-Expires", "3600"), ("Min-SE", "3600"), ("CSeq", "2 INVITE")] {
        assert_eq!(header(&sent[1], name).as_deref(), Some(value));
    }
    assert_eq!(header(&sent[1], "Call-ID"), header(&invites[0], "Call-ID"));
    assert_ne!(header(&sent[1], "Via"), header(&invites[0], "Via"));
    assert_eq!(names(&script.send(&answer(&sent[1], 200, "t"))), ["ACK",]);
    assert_eq!(script.kinds(), ["Answered"]);
    let bye = script.order(SipCommand::Bye { leg: LegId(1), reason: None }).remove(0);
    assert_eq!(header(&bye, "CSeq").as_deref(), Some("3 BYE"));
    script.finish();
}

#[test]
fn prack_goes_into_the_dialog_of_each_fork() {
    let (mut script, invites) = ringing();
    let reliable = |invite: &str, tag: &str, rseq: u32| {
        answer(invite, 183, tag).replace(
            "Content-Length",
            &format!("Contact: <sip:{tag}@192.0.2.9:6000>\nRequire: 100rel\nRSeq: {rseq}\nContent-Length"),
        )
    };
    let one = script.send(&reliable(&invites[0], "one", 7));
    let two = script.send(&reliable(&invites[0], "two", 70));
    for (sent, tag, rack) in [(&one, "one", "7 1 INVITE"), (&two, "two", "70 1 INVITE")] {
        assert_eq!(names(sent), ["PRACK"]);
        assert!(sent[0].starts_with(&format!("PRACK sip:{tag}@192.0.2.9:6000 ")));
        assert_eq!(header(&sent[0], "RAck").as_deref(), Some(rack));
        assert!(header(&sent[0], "To").unwrap().ends_with(&format!("tag={tag}")));
    }
    assert!(script.send(&reliable(&invites[0], "one", 7)).is_empty(), "a copy: its PRACK repeats itself");
    assert!(script.send(&reliable(&invites[0], "one", 9)).is_empty(), "one before it is missing: RFC 3262 §4");
    assert_eq!(names(&script.send(&reliable(&invites[0], "one", 8))), ["PRACK"]);
    assert_eq!(script.kinds(), ["Progress(183)", "Progress(183)", "Progress(183)"]);
    script.send(&answer(&invites[0], 200, "one"));
    let bye = script.order(SipCommand::Bye { leg: LegId(1), reason: None }).remove(0);
    assert_eq!(header(&bye, "CSeq").as_deref(), Some("4 BYE"), "INVITE, two PRACKs");
    script.finish();
}
