//! Messages that cross.

use super::*;

#[test]
fn cancel_ends_a_ringing_call() {
    let mut pair = Pair::new();
    let a = pair.call();
    pair.run(ms(50));
    let b = pair.incoming();
    pair.order(1, SipCommand::Ring { leg: b });
    pair.run(ms(50));
    pair.order(0, SipCommand::Cancel { leg: a });
    pair.run(ms(100));
    assert_eq!((pair.story(0), pair.story(1)), ("Progress(180) Failed(487)".into(), "Incoming Ended(Cancel)".into()));
    for (who, what) in [(0, "CANCEL"), (1, "200 CANCEL"), (1, "487 INVITE"), (0, "ACK")] {
        assert_eq!(pair.sent(who, what).len(), 1, "{what}");
    }
    pair.order(1, SipCommand::Answer { leg: b, sdp: sdp() });
    assert!(pair.sent(1, "200 INVITE").is_empty(), "an answer too late is none");
    pair.finish();
}

#[test]
fn cancel_waits_for_a_provisional_answer() {
    let mut pair = Pair::new();
    let mut left = 2;
    pair.lose = Box::new(move |who, what| {
        who == 1 && what == "100 INVITE" && {
            left -= 1;
            left >= 0
        }
    });
    let a = pair.call();
    pair.run(ms(100));
    pair.order(0, SipCommand::Cancel { leg: a });
    pair.run(ms(300));
    assert!(pair.sent(0, "CANCEL").is_empty(), "RFC 3261 §9.1");
    assert_eq!(pair.story(0), "Failed(487)", "the house need not wait");
    pair.run(secs(3));
    assert_eq!(pair.sent(0, "CANCEL"), [ms(1_520)]);
    assert_eq!(pair.story(1), "Incoming Ended(Cancel)");
    pair.finish();
}

#[test]
fn cancel_and_200_cross() {
    let mut pair = Pair::new();
    let a = pair.call();
    pair.run(ms(50));
    let b = pair.incoming();
    pair.order(1, SipCommand::Answer { leg: b, sdp: sdp() });
    pair.order(0, SipCommand::Cancel { leg: a });
    pair.run(ms(200));
    assert_eq!(pair.story(0), "Failed(487)", "for the house it was never answered");
    assert_eq!(pair.story(1), "Incoming Confirmed Ended(Bye)");
    assert_eq!(pair.sent(1, "200 CANCEL").len(), 1);
    assert!(pair.sent(1, "487 INVITE").is_empty());
    assert_eq!((pair.sent(0, "ACK").len(), pair.sent(0, "BYE").len()), (1, 1));
    pair.finish();
}

#[test]
fn cancel_ordered_after_the_answer_is_a_bye() {
    let (mut pair, a, _) = Pair::talking();
    pair.order(0, SipCommand::Cancel { leg: a });
    pair.run(ms(100));
    assert_eq!((pair.story(0), pair.story(1)), ("Answered Ended(Bye)".into(), "Incoming Confirmed Ended(Bye)".into()));
    pair.finish();
}

#[test]
fn a_cancelled_call_that_nobody_ends_is_forgotten() {
    let mut pair = Pair::new();
    let a = pair.call();
    pair.run(ms(50));
    pair.lose = Box::new(|who, _| who == 1);
    pair.order(0, SipCommand::Cancel { leg: a });
    pair.finish();
    assert_eq!(pair.story(0), "Failed(487)");
}

#[test]
fn both_hang_up_at_once() {
    let (mut pair, a, b) = Pair::talking();
    pair.order(0, SipCommand::Bye { leg: a, reason: None });
    pair.order(1, SipCommand::Bye { leg: b, reason: None });
    pair.run(ms(100));
    assert_eq!((pair.story(0), pair.story(1)), ("Answered Ended(Bye)".into(), "Incoming Confirmed Ended(Bye)".into()));
    assert_eq!((pair.sent(0, "481 BYE").len(), pair.sent(1, "481 BYE").len()), (1, 1));
    pair.finish();
}

#[test]
fn cancel_then_a_new_invite_of_the_same_call_id() {
    let mut script = Script::new();
    script.send(&request("INVITE", "sip:help@192.0.2.1", "a", 1, "", OFFER));
    let answers = script.send(&request("CANCEL", "sip:help@192.0.2.1", "a", 1, "", ""));
    assert_eq!(answers.iter().map(|m| name(m)).collect::<Vec<_>>(), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(header(&answers[0], "To"), header(&answers[1], "To"), "RFC 3261 §9.2: one tag");
    script.send(&request(
        "ACK",
        "sip:help@192.0.2.1",
        "a",
        1,
        &format!("To: {}\n", header(&answers[1], "To").unwrap()),
        "",
    ));
    let again = script.send(&request("INVITE", "sip:help@192.0.2.1", "b", 2, "", OFFER));
    assert_eq!(name(&again[0]), "100 INVITE");
    assert_eq!(script.kinds(), ["Incoming", "Ended(Cancel)", "Incoming"]);
}

#[test]
fn a_second_copy_by_another_path_is_482_and_a_retry_is_not() {
    let mut script = Script::new();
    script.send(&request("INVITE", "sip:help@192.0.2.1", "a", 1, "", OFFER));
    assert_eq!(name(&script.send(&request("INVITE", "sip:help@192.0.2.1", "b", 1, "", OFFER))[0]), "482 INVITE");
    let other = request("INVITE", "sip:help@192.0.2.1", "c", 1, "", OFFER).replace("tag=bob", "tag=bob2");
    assert_eq!(name(&script.send(&other)[0]), "100 INVITE", "another From tag is another call");
    let other = request("INVITE", "sip:help@192.0.2.1", "d", 2, "", OFFER);
    assert_eq!(name(&script.send(&other)[0]), "100 INVITE", "another CSeq is another call");
}

#[test]
fn cancel_of_nothing_is_481() {
    let mut script = Script::new();
    assert_eq!(name(&script.send(&request("CANCEL", "sip:help@192.0.2.1", "a", 1, "", ""))[0]), "481 CANCEL");
    let (_, _) = established(&mut script, "");
    let late = script.send(&request("CANCEL", "sip:help@192.0.2.1", "first", 1, "", ""));
    assert_eq!(
        late.iter().map(|m| name(m)).collect::<Vec<_>>(),
        ["200 CANCEL"],
        "after the final answer it changes nothing"
    );
    assert!(script.kinds().is_empty());
}
