//! REGISTER through the core.

use super::*;
use crate::auth::tests::respond;

/// A REGISTER of an extension's phone.
pub(super) fn message(ext: &str, cseq: u32, extra: &str) -> String {
    format!(
        "REGISTER sip:baton.test SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKr{ext}{cseq}\nMax-Forwards: 70\nFrom: <sip:{ext}@baton.test>;tag=r\nTo: <sip:{ext}@baton.test>\nCall-ID: reg-{ext}\nCSeq: {cseq} REGISTER\nUser-Agent: Phone/1\n{extra}Content-Length: 0\n\n"
    )
}

/// Registers, answering the challenge; the final answer. Takes two CSeq numbers from `cseq` on.
pub(super) fn register(script: &mut Script, ext: &str, password: &str, cseq: u32, extra: &str) -> String {
    let challenge = script.send(&message(ext, cseq, extra)).pop().unwrap();
    assert_eq!(name(&challenge), "401 REGISTER");
    let credentials =
        respond(&headers(&challenge, "WWW-Authenticate")[0], ext, password, "REGISTER", "sip:baton.test", 1);
    script.send(&message(ext, cseq + 1, &format!("Authorization: {credentials}\n{extra}"))).pop().unwrap()
}

#[test]
fn a_phone_registers_refreshes_and_leaves() {
    let mut script = Script::new();
    let ok = register(&mut script, "1001", "secret", 1, "Contact: <sip:1001@192.0.2.9:5070>;expires=120\n");
    assert_eq!(
        (name(&ok).as_str(), headers(&ok, "Contact")),
        ("200 REGISTER", vec!["<sip:1001@192.0.2.9:5070>;expires=120".to_owned()])
    );
    assert_eq!(script.kinds(), ["Registered(1001,120)"]);
    assert_eq!(script.core.take_moved(), ["1001"]);
    let view = &script.core.contacts(script.now, "1001")[0];
    assert_eq!(
        (view.uri.as_str(), view.user_agent.as_deref(), view.source),
        ("sip:1001@192.0.2.9:5070", Some("Phone/1"), script.peer)
    );
    // One more contact, by the Expires header, and the list shows both with what is left.
    script.run(secs(20));
    let ok = register(&mut script, "1001", "secret", 3, "Contact: sip:1001@192.0.2.10\nExpires: 7200\n");
    assert_eq!(
        headers(&ok, "Contact"),
        ["<sip:1001@192.0.2.9:5070>;expires=100", "<sip:1001@192.0.2.10>;expires=3600"]
    );
    let gone = register(&mut script, "1001", "secret", 5, "Contact: *\nExpires: 0\n");
    assert!(name(&gone) == "200 REGISTER" && headers(&gone, "Contact").is_empty());
    assert_eq!(script.kinds(), ["Registered(1001,3600)", "Unregistered(1001)"]);
    script.finish();
}

#[test]
fn a_phone_that_falls_silent_runs_out() {
    let mut script = Script::new();
    register(&mut script, "1001", "secret", 1, "Contact: <sip:1001@192.0.2.9:5070>;expires=60\n");
    script.run(ms(59_999));
    assert_eq!(script.kinds(), ["Registered(1001,60)"]);
    script.run(ms(1));
    assert_eq!(script.kinds(), ["Unregistered(1001)"]);
    script.finish();
}

#[test]
fn known_and_unknown_extensions_are_challenged_alike() {
    let mut script = Script::new();
    let shape = |answer: &str, ext: &str| {
        let nonce = header(answer, "WWW-Authenticate")
            .and_then(|w| w.split("nonce=\"").nth(1)?.split('"').next().map(str::to_owned))
            .unwrap();
        let tag = header(answer, "To").and_then(|t| t.split("tag=").nth(1).map(str::to_owned)).unwrap();
        answer.replace(&nonce, "N").replace(&tag, "T").replace(ext, "E")
    };
    let known = script.send(&message("1001", 1, "")).pop().unwrap();
    let unknown = script.send(&message("9999", 1, "")).pop().unwrap();
    assert_eq!(shape(&known, "1001"), shape(&unknown, "9999"));
    let algorithms: Vec<_> =
        headers(&known, "WWW-Authenticate").iter().map(|w| w.split("algorithm=").nth(1).unwrap().to_owned()).collect();
    assert_eq!(algorithms, ["SHA-256", "SHA-512-256", "MD5"]);
    let wrong = register(&mut script, "1001", "wrong", 2, "Contact: <sip:a@192.0.2.9>\n");
    let nobody = register(&mut script, "9999", "wrong", 2, "Contact: <sip:a@192.0.2.9>\n");
    assert_eq!(shape(&wrong, "1001"), shape(&nobody, "9999"));
    assert!(name(&wrong) == "401 REGISTER" && !wrong.contains("stale"));
    assert!(script.kinds().is_empty() && script.core.sizes() == Sizes::default(), "no state for who proves nothing");
}

#[test]
fn a_replayed_request_is_stale_and_a_repeated_one_is_answered_again() {
    let mut script = Script::new();
    let challenge = script.send(&message("1001", 1, "")).pop().unwrap();
    let credentials =
        respond(&headers(&challenge, "WWW-Authenticate")[1], "1001", "secret", "REGISTER", "sip:baton.test", 1);
    let extra = format!("Authorization: {credentials}\nContact: <sip:a@192.0.2.9>\n");
    let first = script.send(&message("1001", 2, &extra)).pop().unwrap();
    assert_eq!(name(&first), "200 REGISTER");
    assert_eq!(script.send(&message("1001", 2, &extra)).pop().unwrap(), first, "the transaction repeats its answer");
    let replay = script.send(&message("1001", 3, &extra)).pop().unwrap();
    assert!(name(&replay) == "401 REGISTER" && replay.contains("stale=true"));
    assert_eq!(script.kinds().len(), 1);
}

#[test]
fn what_a_register_may_not_ask() {
    let mut script = Script::new();
    let brief = register(&mut script, "1001", "secret", 1, "Contact: <sip:a@192.0.2.9>;expires=10\n");
    assert_eq!((name(&brief).as_str(), header(&brief, "Min-Expires").as_deref()), ("423 REGISTER", Some("60")));
    for extra in [
        "Contact: *\n",
        "Contact: *\nExpires: 60\n",
        "Contact: *\nContact: <sip:a@b>\nExpires: 0\n",
        "Contact: <tel:+1555>\n",
    ] {
        let answer = register(&mut script, "1001", "secret", 10, extra);
        assert_eq!(name(&answer), "400 REGISTER", "{extra}");
        script.run(secs(40));
    }
    let challenge = script.send(&message("1002", 50, "")).pop().unwrap();
    let credentials =
        respond(&headers(&challenge, "WWW-Authenticate")[0], "1001", "secret", "REGISTER", "sip:baton.test", 1);
    let other = script
        .send(&message("1002", 51, &format!("Authorization: {credentials}\nContact: <sip:a@192.0.2.9>\n")))
        .pop()
        .unwrap();
    assert_eq!(name(&other), "403 REGISTER", "only its own address");
    assert!(script.kinds().is_empty());
    let scheme = message("1001", 60, "").replace("To: <sip:1001@baton.test>", "To: <isbn:2983792873>");
    assert_eq!(name(&script.send(&scheme)[0]), "400 REGISTER");
}

#[test]
fn calls_go_where_the_phone_can_be_reached() {
    for (contact, to) in [
        ("<sip:1001@192.0.2.9:5080>", "192.0.2.9:5080"), // its own address, another port
        ("<sip:1001@10.0.0.3:5060>", "192.0.2.9:5070"),  // behind NAT: where it came from
        ("<sip:1001@phone.example:5060>", "192.0.2.9:5070"), // a name
    ] {
        let mut script = Script::new();
        register(&mut script, "1001", "secret", 1, &format!("Contact: {contact};expires=120\n"));
        script.core.command(
            script.now,
            SipCommand::Invite {
                leg: LegId(1),
                ext: "1001".into(),
                from_user: "+1 555".into(),
                from_display: None,
                headers: vec![],
                sdp: sdp(),
            },
        );
        let CoreOutput::Send { flow, bytes } = script.core.poll_output().unwrap() else { panic!() };
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(flow.remote, to.parse().unwrap(), "{contact}");
        assert!(
            text.starts_with(&format!("INVITE {} SIP/2.0", contact.trim_matches(['<', '>'])))
                && text.contains("<sip:+1%20555@baton.test>")
        );
    }
}
