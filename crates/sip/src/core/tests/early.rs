//! Before the answer: reliable provisional answers, early media, early dialogs, UPDATE in them.

use super::*;

const URI: &str = "sip:help@192.0.2.1";

/// A call from the scripted peer that is not answered; the leg.
fn ringing(script: &mut Script, extra: &str, offer: &str) -> LegId {
    script.send(&request("INVITE", URI, "first", 1, extra, offer));
    let Some(SipEvent::Incoming { leg, .. }) = script.events().pop() else { panic!("no call came in") };
    leg
}

fn prack(to: &str, branch: &str, cseq: u32, rack: &str, body: &str) -> String {
    request("PRACK", URI, branch, cseq, &format!("To: {to}\nRAck: {rack}\n"), body)
}

fn progress(leg: LegId, code: u16, with_sdp: bool) -> SipCommand {
    SipCommand::Progress { leg, code, sdp: with_sdp.then(sdp) }
}

fn names(messages: &[String]) -> Vec<String> {
    messages.iter().map(|m| name(m)).collect()
}

#[test]
fn early_media_is_reliable_for_who_can_do_that() {
    for (extra, code, with_sdp, reliable, described) in [
        ("", 183, true, false, true),
        ("Supported: 100rel\n", 183, true, true, true),
        ("Supported: 100rel\n", 180, false, false, false),
        ("Require: 100rel\n", 180, false, true, false),
    ] {
        let mut script = Script::new();
        let leg = ringing(&mut script, extra, OFFER);
        let sent = script.order(progress(leg, code, with_sdp)).remove(0);
        assert_eq!(header(&sent, "RSeq").is_some(), reliable, "{extra}");
        assert_eq!(header(&sent, "Require").as_deref(), reliable.then_some("100rel"));
        assert_eq!(sent.contains("m=audio 5000"), described);
        assert!(header(&sent, "Contact").is_some() && header(&sent, "To").unwrap().contains(";tag="));
    }
}

#[test]
fn a_reliable_answer_is_repeated_until_its_prack_and_the_200_waits() {
    let mut script = Script::new();
    let leg = ringing(&mut script, "Supported: 100rel\n", OFFER);
    let first = script.order(progress(leg, 183, true)).remove(0);
    let (to, rseq) = (header(&first, "To").unwrap(), header(&first, "RSeq").unwrap());
    // Doubling without the ceiling of T2 (RFC 3262 §3): 0.5, 1.5, 3.5, 7.5 s.
    assert_eq!(script.run(ms(8_000)).len(), 4);
    script.order(progress(leg, 180, true));
    assert!(script.order(SipCommand::Answer { leg, sdp: sdp() }).is_empty(), "RFC 3262 §3: not before the PRACK");
    assert_eq!(names(&script.send(&prack(&to, "p0", 2, &format!("{rseq} 7 INVITE"), ""))), ["481 PRACK"]);
    let sent = script.send(&prack(&to, "p", 3, &format!("{rseq} 1 INVITE"), ""));
    assert_eq!(names(&sent), ["200 PRACK", "200 INVITE"]);
    assert!(sent[1].contains("m=audio 5000"), "the same description once more");
    assert_eq!(names(&script.send(&prack(&to, "p", 3, &format!("{rseq} 1 INVITE"), ""))), ["200 PRACK"], "a copy");
    script.send(&request("ACK", URI, "k", 1, &format!("To: {to}\n"), ""));
    assert_eq!(script.kinds(), ["Confirmed"]);
    script.order(SipCommand::Bye { leg, reason: None });
    script.finish();
}

#[test]
fn several_reliable_answers_go_one_by_one() {
    let mut script = Script::new();
    let leg = ringing(&mut script, "Require: 100rel\n", OFFER);
    let first = script.order(SipCommand::Ring { leg }).remove(0);
    assert!(script.order(progress(leg, 183, true)).is_empty());
    let to = header(&first, "To").unwrap();
    let n: u32 = header(&first, "RSeq").unwrap().parse().unwrap();
    let sent = script.send(&prack(&to, "p1", 2, &format!("{n} 1 INVITE"), ""));
    assert_eq!(names(&sent), ["200 PRACK", "183 INVITE"]);
    assert_eq!(header(&sent[1], "RSeq").unwrap(), (n + 1).to_string());
    assert_eq!(names(&script.send(&prack(&to, "p2", 3, &format!("{} 1 INVITE", n + 1), ""))), ["200 PRACK"]);
    assert_eq!(names(&script.order(SipCommand::Answer { leg, sdp: sdp() })), ["200 INVITE"]);
}

#[test]
fn without_prack_the_call_is_refused_after_64_t1() {
    let mut script = Script::new();
    let leg = ringing(&mut script, "Require: 100rel\n", OFFER);
    script.order(SipCommand::Ring { leg });
    script.run(ms(31_999));
    assert!(script.kinds().is_empty());
    assert_eq!(names(&script.run(ms(1))), ["500 INVITE"]);
    assert_eq!(script.kinds(), ["Ended(NoAck)"]);
    script.finish();
}

#[test]
fn an_offer_of_ours_in_a_reliable_answer_has_its_answer_in_the_prack() {
    let mut script = Script::new();
    let leg = ringing(&mut script, "Supported: 100rel\n", "");
    let first = script.order(progress(leg, 183, true)).remove(0);
    let (to, rseq) = (header(&first, "To").unwrap(), header(&first, "RSeq").unwrap());
    assert_eq!(names(&script.send(&prack(&to, "p", 2, &format!("{rseq} 1 INVITE"), OFFER))), ["200 PRACK"]);
    assert_eq!(script.kinds(), ["EarlyAnswer"]);
    let ok = script.order(SipCommand::Answer { leg, sdp: sdp() }).remove(0);
    assert!(name(&ok) == "200 INVITE" && !ok.contains("m=audio"), "they have agreed already");
    script.send(&request("ACK", URI, "k", 1, &format!("To: {to}\n"), ""));
    assert_eq!(script.kinds(), ["Confirmed"]);
    // Without PRACK no offer may stand in a provisional answer.
    let mut script = Script::new();
    let leg = ringing(&mut script, "", "");
    assert!(!script.order(progress(leg, 183, true))[0].contains("m=audio"));
}

#[test]
fn cancel_and_bye_stop_the_repeating() {
    for method in ["CANCEL", "BYE"] {
        let mut script = Script::new();
        let leg = ringing(&mut script, "Require: 100rel\n", OFFER);
        let first = script.order(SipCommand::Ring { leg }).remove(0);
        let to = header(&first, "To").unwrap();
        let end = match method {
            "CANCEL" => request("CANCEL", URI, "first", 1, "", ""),
            _ => request("BYE", URI, "b", 2, &format!("To: {to}\n"), ""),
        };
        assert_eq!(names(&script.send(&end)), [format!("200 {method}"), "487 INVITE".into()]);
        script.send(&request("ACK", URI, "first", 1, &format!("To: {to}\n"), ""));
        assert!(script.run(secs(40)).is_empty());
        script.finish();
    }
}

#[test]
fn two_cores_agree_early_and_change_it_before_the_answer() {
    let mut pair = Pair::new();
    let a = pair.call();
    pair.run(ms(50));
    let b = pair.incoming();
    // The 183 is lost once; its copy is acknowledged.
    let mut left = 1;
    pair.lose = Box::new(move |who, what| {
        who == 1 && what == "183 INVITE" && {
            left -= 1;
            left >= 0
        }
    });
    pair.order(1, progress(b, 183, true));
    pair.run(secs(1));
    assert_eq!((pair.sent(1, "183 INVITE").len(), pair.sent(0, "PRACK").len()), (2, 1));
    assert_eq!(pair.story(0), "Progress(183)");
    // RFC 3311: another port before the answer, from either side.
    pair.order(0, SipCommand::Reoffer { leg: a, sdp: sdp().replace("5000", "6000") });
    pair.run(ms(50));
    assert_eq!((pair.sent(0, "UPDATE").len(), pair.story(1)), (1, "Incoming Reoffer(sdp)".into()));
    pair.order(1, SipCommand::AnswerReoffer { leg: b, sdp: Ok(sdp()) });
    pair.run(ms(50));
    pair.order(1, SipCommand::Reoffer { leg: b, sdp: sdp().replace("5000", "7000") });
    pair.run(ms(50));
    pair.order(0, SipCommand::AnswerReoffer { leg: a, sdp: Ok(sdp()) });
    pair.run(ms(50));
    assert_eq!(pair.story(0), "Progress(183) Reoffered(sdp) Reoffer(sdp)");
    assert_eq!(pair.story(1), "Incoming Reoffer(sdp) Reoffered(sdp)");
    pair.order(1, SipCommand::Answer { leg: b, sdp: sdp() });
    pair.run(secs(1));
    pair.order(0, SipCommand::Bye { leg: a, reason: None });
    pair.run(ms(50));
    assert_eq!(pair.story(1), "Incoming Reoffer(sdp) Reoffered(sdp) Confirmed Ended(Bye)");
    let numbers = |who: usize| -> Vec<u32> {
        let mine = pair.log.iter().filter(|(_, w, m, _)| *w == who && !m.starts_with("SIP/2.0"));
        mine.filter(|(_, _, m, _)| name(m) != "ACK")
            .map(|(_, _, m, _)| header(m, "CSeq").unwrap().split(' ').next().unwrap().parse().unwrap())
            .collect()
    };
    assert_eq!(numbers(0), [1, 2, 3, 4], "INVITE, PRACK, UPDATE, BYE of one dialog");
    assert_eq!(numbers(1), [1], "UPDATE of the called");
    pair.finish();
}

#[test]
fn an_update_before_anything_was_agreed_is_500() {
    let mut script = Script::new();
    let leg = ringing(&mut script, "Supported: 100rel\n", OFFER);
    let to = header(&script.order(SipCommand::Ring { leg })[0], "To").unwrap();
    let early = script.send(&request("UPDATE", URI, "u", 2, &format!("To: {to}\n"), OFFER));
    assert!(name(&early[0]) == "500 UPDATE" && header(&early[0], "Retry-After").is_some(), "RFC 3311 §5.2");
}
