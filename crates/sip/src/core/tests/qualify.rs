//! Locations: preference, Path, OPTIONS to contacts, and a restart.

use super::register::register;
use super::*;
use crate::api::Registration;

fn script(config: SipConfig) -> Script {
    let mut script = Script::new();
    let listeners = [Transport::Udp, Transport::Tcp].map(|t| Listener::new(t, "192.0.2.1:5060".parse().unwrap()));
    script.core = Core::new(script.now, config, listeners.to_vec(), [7; 32]);
    script
}

fn call(script: &mut Script, leg: u64) -> Vec<String> {
    script.order(SipCommand::Invite {
        leg: LegId(leg),
        ext: "1001".into(),
        from_user: "baton".into(),
        from_display: None,
        headers: vec![],
        sdp: sdp(),
    })
}

/// Lets time pass until the phone is asked anew, and lets it answer.
fn asked_and_answered(script: &mut Script, code: u16) {
    script.run(secs(33)); // what was asked before is over
    let asked = (0..60).find_map(|_| script.run(secs(1)).into_iter().find(|m| name(m) == "OPTIONS")).unwrap();
    script.send(&response(&asked, code));
}

/// The peer's answer to a request of ours.
pub(super) fn response(to: &str, code: u16) -> String {
    let echo = ["Via", "From", "To", "Call-ID", "CSeq"];
    let lines: String = echo.iter().map(|n| format!("{n}: {}\n", header(to, n).unwrap())).collect();
    let lines = lines.replace("\nCall-ID", ";tag=theirs\nCall-ID");
    format!("SIP/2.0 {code} Whatever\n{lines}Content-Length: 0\n\n")
}

#[test]
fn the_preferred_contact_is_called_first_and_the_path_is_the_way() {
    let mut script = script(config());
    let path = "Supported: path\nRequire: path\nPath: <sip:edge.example;lr>, <sip:192.0.2.77;lr>\n";
    let contacts = "Contact: <sip:low@10.0.0.1>;q=0.2, <sip:high@10.0.0.2>\n";
    let ok = register(&mut script, "1001", "secret", 1, &format!("{contacts}{path}"));
    assert_eq!(name(&ok), "200 REGISTER");
    assert_eq!(headers(&ok, "Path"), ["<sip:edge.example;lr>, <sip:192.0.2.77;lr>"]);
    assert_eq!(headers(&ok, "Contact")[0], "<sip:low@10.0.0.1>;expires=3600;q=0.200");
    let invites = call(&mut script, 1);
    assert!(invites[0].starts_with("INVITE sip:high@") && invites[1].starts_with("INVITE sip:low@"));
    assert_eq!(headers(&invites[0], "Route"), ["<sip:edge.example;lr>", "<sip:192.0.2.77;lr>"]);
    let bad = register(&mut script, "1002", "secret", 3, "Contact: <sip:a@10.0.0.1>\nPath: <tel:1>\n");
    assert_eq!(name(&bad), "400 REGISTER");
}

#[test]
fn a_phone_that_answered_and_falls_silent_is_not_called() {
    let mut script = script(SipConfig { qualify: Some(secs(60)), ..config() });
    register(&mut script, "1001", "secret", 1, "Contact: <sip:1001@192.0.2.9:5070>;expires=1000\n");
    script.kinds();
    let asked = script.run(secs(61));
    assert_eq!(asked.iter().map(|m| name(m)).collect::<Vec<_>>()[0], "OPTIONS");
    assert!(asked[0].starts_with("OPTIONS sip:1001@192.0.2.9:5070 SIP/2.0\r\n"));
    // Not a word yet: it may be a phone that answers no OPTIONS, and is called all the same.
    script.run(secs(40));
    assert!(call(&mut script, 1)[0].starts_with("INVITE "));
    assert!(script.kinds().is_empty());
    script.order(SipCommand::Cancel { leg: LegId(1) });
    script.events();
    // It answers, if only that it does not know what this is.
    asked_and_answered(&mut script, 501);
    assert!(script.core.contacts(script.now, "1001")[0].reachable);
    // Then it does not, for as long as a transaction waits.
    script.run(secs(60 + 33));
    assert_eq!(script.kinds(), ["Unregistered(1001)"]);
    assert!(!script.core.contacts(script.now, "1001")[0].reachable);
    assert!(call(&mut script, 3).is_empty());
    let SipEvent::Failed { code: 480, reason, .. } = script.events().remove(0) else { panic!() };
    assert!(reason.contains("does not answer"), "{reason}");
    // And it comes back.
    asked_and_answered(&mut script, 200);
    assert!(script.kinds()[0].starts_with("Registered(1001,"));
    assert!(call(&mut script, 5)[0].starts_with("INVITE "));
    script.finish();
}

#[test]
fn what_was_registered_survives_a_restart() {
    let mut before = script(SipConfig { tell_registrations: true, ..config() });
    let contact = "Contact: <sip:1001@10.1.1.1>;q=0.5;+sip.instance=\"<urn:uuid:1>\"\nPath: <sip:edge;lr>\n";
    register(&mut before, "1001", "secret", 1, contact);
    before.run(secs(600));
    register(&mut before, "1001", "secret", 3, "Contact: <sip:two@192.0.2.9>;expires=60\n");
    let told = |script: &mut Script| -> Vec<Registration> {
        let last = script.events().into_iter().rev().find_map(|e| match e {
            SipEvent::Registrations { ext, contacts } => Some((ext, contacts)),
            _ => None,
        });
        let (ext, contacts) = last.unwrap();
        assert_eq!(ext, "1001");
        contacts
    };
    let kept = told(&mut before);
    assert_eq!(kept.iter().map(|r| r.expires_s).collect::<Vec<_>>(), [3_000, 60]);
    before.run(secs(60));
    assert_eq!(told(&mut before).len(), 1, "told of what ran out too");
    // An extension that is no more, a browser, and something that ran out meanwhile are left behind.
    let stranger = Registration { ext: "9999".into(), ..kept[0].clone() };
    let browser = Registration { transport: Transport::Wss, contact: "sip:x@y.invalid".into(), ..kept[0].clone() };
    let late = Registration { expires_s: 0, contact: "sip:late@192.0.2.9".into(), ..kept[1].clone() };
    let restore = vec![kept[0].clone(), kept[1].clone(), stranger, browser, late];
    let mut after = script(SipConfig { restore, tell_registrations: true, ..config() });
    assert_eq!(after.kinds(), ["Registered(1001,3000)", "Registered(1001,60)"]);
    assert_eq!(after.core.take_moved(), ["1001", "1001"]);
    let invites = call(&mut after, 1);
    assert!(invites[0].starts_with("INVITE sip:two@192.0.2.9 ") && invites[1].starts_with("INVITE sip:1001@10.1.1.1 "));
    assert_eq!(headers(&invites[1], "Route"), ["<sip:edge;lr>"]);
    // The phone that moved meanwhile replaces its former self; an old REGISTER changes nothing.
    register(&mut after, "1001", "secret", 9, "Contact: <sip:1001@10.1.1.2>;+sip.instance=\"<urn:uuid:1>\"\n");
    assert_eq!(
        told(&mut after).iter().map(|r| r.contact.as_str()).collect::<Vec<_>>(),
        ["sip:two@192.0.2.9", "sip:1001@10.1.1.2"]
    );
    let old = register(&mut after, "1001", "secret", 1, "Contact: <sip:two@192.0.2.9>\n");
    assert_eq!(name(&old), "500 REGISTER");
}
