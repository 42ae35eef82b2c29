//! Requests within a dialog.

use super::*;

fn within(method: &str, branch: &str, cseq: u32, to: &str, extra: &str, body: &str) -> String {
    request(method, "sip:help@192.0.2.1", branch, cseq, &format!("To: {to}\n{extra}"), body)
}

fn up() -> (Script, LegId, String) {
    let mut script = Script::new();
    let (leg, to) = established(&mut script, "");
    (script, leg, to)
}

#[test]
fn a_new_offer_is_answered_by_the_house() {
    let (mut script, leg, to) = up();
    let trying = script.send(&within("INVITE", "r1", 2, &to, "Record-Route: <sip:p;lr>\n", OFFER));
    assert_eq!(name(&trying[0]), "100 INVITE");
    assert_eq!(script.kinds(), ["Reoffer(sdp)"]);
    let ok = script.order(SipCommand::AnswerReoffer { leg, sdp: Ok(sdp().replace("5000", "5002")) });
    assert!(name(&ok[0]) == "200 INVITE" && header(&ok[0], "Contact").is_some());
    assert!(!script.run(ms(600)).is_empty(), "repeated until its ACK");
    script.send(&within("ACK", "r2", 2, &to, "", ""));
    assert!(script.run(secs(10)).is_empty());
    assert_eq!(script.kinds(), ["Confirmed"]);
    // Without an offer ours is asked for; refused, the dialog stands.
    script.send(&within("INVITE", "r3", 3, &to, "", ""));
    assert_eq!(script.kinds(), ["Reoffer(none)"]);
    let refused = script.order(SipCommand::AnswerReoffer { leg, sdp: Err(488) });
    assert_eq!(name(&refused[0]), "488 INVITE");
    script.send(&within("ACK", "r3", 3, &to, "", ""));
    assert_eq!(name(&script.send(&within("BYE", "b", 4, &to, "", ""))[0]), "200 BYE");
    script.finish();
}

#[test]
fn a_leg_keeps_its_session_id_and_raises_the_version() {
    let (mut script, leg, to) = up();
    let origin = |m: &str| -> Vec<u64> {
        let line = m.lines().find(|l| l.starts_with("o=")).unwrap();
        line.split(' ').skip(1).take(2).map(|n| n.parse().unwrap()).collect()
    };
    let mut seen = Vec::new();
    for (i, port) in ["5000", "5002", "5002"].iter().enumerate() {
        let cseq = 2 + i as u32;
        script.send(&within("UPDATE", &format!("u{i}"), cseq, &to, "", OFFER));
        let ok = script.order(SipCommand::AnswerReoffer {
            leg,
            sdp: Ok(sdp().replace("5000", port).replace("o=- 9 9", &format!("o=- {i} {i}"))),
        });
        seen.push(origin(&ok[0]));
    }
    assert!(seen.iter().all(|s| s[0] == seen[0][0]));
    assert_eq!((seen[1][1] - seen[0][1], seen[2][1] - seen[1][1]), (1, 0), "RFC 3264 §8");
}

#[test]
fn offers_that_cross_or_overlap() {
    // Before our 200 is acknowledged: 491.
    let mut script = Script::new();
    script.send(&request("INVITE", "sip:help@192.0.2.1", "a", 1, "", OFFER));
    let Some(SipEvent::Incoming { leg, .. }) = script.events().pop() else { panic!() };
    let early = script.send(&within("UPDATE", "u", 2, "<sip:help@192.0.2.1>;tag=unknown", "", OFFER));
    assert_eq!(name(&early[0]), "481 UPDATE");
    let ok = script.order(SipCommand::Answer { leg, sdp: sdp() }).pop().unwrap();
    let to = header(&ok, "To").unwrap();
    assert_eq!(name(&script.send(&within("INVITE", "r1", 2, &to, "", OFFER))[0]), "491 INVITE");
    script.send(&within("ACK", "r1", 2, &to, "", ""));
    script.send(&within("ACK", "k", 1, &to, "", ""));
    // While one waits for the house: 500 with Retry-After (RFC 3261 §14.2).
    script.send(&within("INVITE", "r2", 3, &to, "", OFFER));
    let second = script.send(&within("INVITE", "r3", 4, &to, "", OFFER));
    assert!(name(&second[0]) == "500 INVITE" && header(&second[0], "Retry-After").is_some());
    assert_eq!(name(&script.send(&within("UPDATE", "u2", 5, &to, "", OFFER))[0]), "500 UPDATE");
    // CANCEL of a re-INVITE ends it, not the call.
    let cancelled = script.send(&within("CANCEL", "r2", 3, &to, "", ""));
    assert_eq!(cancelled.iter().map(|m| name(m)).collect::<Vec<_>>(), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(script.core.sizes().legs, 1);
    // BYE while an offer waits answers that too.
    script.send(&within("ACK", "r2", 3, &to, "", ""));
    script.send(&within("INVITE", "r4", 6, &to, "", OFFER));
    let end = script.send(&within("BYE", "b", 7, &to, "", ""));
    assert_eq!(end.iter().map(|m| name(m)).collect::<Vec<_>>(), ["200 BYE", "487 INVITE"]);
    script.finish();
}

#[test]
fn update_without_a_body_refreshes_and_moves_the_target() {
    let (mut script, leg, to) = up();
    let moved = within("UPDATE", "u", 2, &to, "", "")
        .replace("Contact: <sip:bob@192.0.2.9:5070>", "Contact: <sip:bob@192.0.2.9:5099>");
    let ok = script.send(&moved);
    assert!(name(&ok[0]) == "200 UPDATE" && header(&ok[0], "Contact").is_some());
    script.core.command(script.now, SipCommand::Bye { leg, reason: None });
    let CoreOutput::Send { flow, .. } = script.core.poll_output().unwrap() else { panic!() };
    assert_eq!(flow.remote.port(), 5099);
}

#[test]
fn info_brings_digits() {
    let (mut script, _, to) = up();
    let info = |branch: &str, cseq, kind: &str, body: &str| {
        within("INFO", branch, cseq, &to, &format!("Content-Type: {kind}\n"), body)
    };
    assert_eq!(name(&script.send(&info("1", 2, "application/dtmf-relay", "Signal=5\nDuration=160\n"))[0]), "200 INFO");
    assert_eq!(name(&script.send(&info("1", 2, "application/dtmf-relay", "Signal=5\nDuration=160\n"))[0]), "200 INFO");
    assert_eq!(name(&script.send(&info("2", 3, "application/dtmf", "#"))[0]), "200 INFO");
    assert_eq!(script.kinds(), ["InfoDigit(5)", "InfoDigit(#)"], "a repeated request is one digit");
    let odd = script.send(&info("3", 4, "text/plain", "hello"));
    assert!(name(&odd[0]) == "415 INFO" && header(&odd[0], "Accept").unwrap().contains("application/dtmf-relay"));
    assert_eq!(name(&script.send(&info("4", 5, "application/dtmf-relay", "Signal=x99"))[0]), "400 INFO");
    assert_eq!(name(&script.send(&within("INFO", "5", 6, &to, "", ""))[0]), "200 INFO");
    assert_eq!(name(&script.send(&within("INFO", "6", 7, &to, "Info-Package: foo\n", ""))[0]), "469 INFO");
}

#[test]
fn strangers_and_disorder_are_refused() {
    let (mut script, _, to) = up();
    assert_eq!(name(&script.send(&within("BYE", "x", 2, "<sip:help@192.0.2.1>;tag=nobody", "", ""))[0]), "481 BYE");
    let stranger = within("BYE", "y", 2, &to, "", "").replace("tag=bob", "tag=eve");
    assert_eq!(name(&script.send(&stranger)[0]), "481 BYE", "our tag alone is not enough");
    let other = within("BYE", "z", 2, &to, "", "").replace("Call-ID: call-1", "Call-ID: call-2");
    assert_eq!(name(&script.send(&other)[0]), "481 BYE");
    assert_eq!(name(&script.send(&within("OPTIONS", "o", 9, &to, "", ""))[0]), "200 OPTIONS");
    assert_eq!(name(&script.send(&within("INFO", "p", 8, &to, "", ""))[0]), "500 INFO", "RFC 3261 §12.2.2");
    assert!(script.kinds().is_empty());
}

#[test]
fn a_session_nobody_refreshes_ends() {
    let mut script = Script::new();
    let (_, to) = established(&mut script, "Supported: timer\nSession-Expires: 120;refresher=uac\n");
    script.run(secs(70));
    let ok = script.send(&within("UPDATE", "u", 2, &to, "Supported: timer\nSession-Expires: 120;refresher=uac\n", ""));
    assert_eq!(
        (header(&ok[0], "Session-Expires").as_deref(), header(&ok[0], "Require").as_deref()),
        (Some("120;refresher=uac"), Some("timer"))
    );
    assert!(script.run(secs(87)).is_empty());
    let end = script.run(secs(2));
    assert_eq!(name(&end[0]), "BYE");
    assert_eq!(script.kinds(), ["Ended(SessionExpired)"]);
    script.finish();
}

#[test]
fn we_refresh_where_the_peer_wants_it() {
    for (allow, method) in [("Allow: UPDATE, INVITE\n", "UPDATE"), ("", "INVITE")] {
        let mut script = Script::new();
        let (leg, to) =
            established(&mut script, &format!("{allow}Supported: timer\nSession-Expires: 180;refresher=uas\n"));
        let refresh = script.run(secs(90)).remove(0);
        assert_eq!(
            (name(&refresh).as_str(), header(&refresh, "Session-Expires").as_deref()),
            (method, Some("180;refresher=uac"))
        );
        assert_eq!(refresh.contains("m=audio"), method == "INVITE", "a re-INVITE repeats what we said");
        // Theirs meets ours: 491, and ours, refused the same way, is tried again.
        assert_eq!(name(&script.send(&within("INVITE", "g", 2, &to, "", OFFER))[0]), "491 INVITE");
        script.send(&within("ACK", "g", 2, &to, "", ""));
        script.send(&reply(&refresh, 491));
        let again = script.run(secs(2)).into_iter().find(|m| name(m) == method).unwrap();
        let sent = script.send(&reply(&again, 200));
        assert_eq!(
            sent.iter().map(|m| name(m)).collect::<Vec<_>>(),
            if method == "INVITE" { vec!["ACK"] } else { vec![] }
        );
        script.run(secs(60));
        assert!(script.kinds().is_empty(), "the session goes on");
        script.order(SipCommand::Bye { leg, reason: None });
        script.finish();
    }
}

#[test]
fn a_peer_that_lost_the_dialog_ends_it() {
    let mut script = Script::new();
    established(&mut script, "Allow: UPDATE\nSupported: timer\nSession-Expires: 180;refresher=uas\n");
    let refresh = script.run(secs(90)).remove(0);
    script.send(&reply(&refresh, 481));
    assert_eq!(script.kinds(), ["Ended(SessionExpired)"]);
    script.finish();
}

#[test]
fn too_short_a_session_is_422() {
    let mut script = Script::new();
    let short =
        script.send(&request("INVITE", "sip:help@192.0.2.1", "a", 1, "Supported: timer\nSession-Expires: 30\n", OFFER));
    assert_eq!((name(&short[0]).as_str(), header(&short[0], "Min-SE").as_deref()), ("422 INVITE", Some("90")));
}

fn reply(request: &str, code: u16) -> String {
    let keep =
        ["Via", "From", "To", "Call-ID", "CSeq"].map(|n| format!("{n}: {}\n", header(request, n).unwrap())).concat();
    format!(
        "SIP/2.0 {code} X\n{keep}Contact: <sip:bob@192.0.2.9:5070>\nSession-Expires: 180;refresher=uac\nContent-Length: 0\n\n"
    )
}
