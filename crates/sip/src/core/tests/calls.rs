//! Whole calls, and what the wire loses of them.

use super::*;
use crate::api::EndCause;

#[test]
fn a_call_from_invite_to_bye() {
    let mut pair = Pair::new();
    let a = pair.call();
    pair.run(ms(50));
    let b = pair.incoming();
    let SipEvent::Incoming { from, to, sdp: offer, source, .. } = pair.events[1][0].clone() else { panic!() };
    assert_eq!(
        (from.user.as_str(), from.display.as_deref(), to.user.as_str()),
        ("alice", Some("Alice \"A\""), "+15550100")
    );
    assert!(offer.unwrap().contains("m=audio 4000") && source == ADDRS[0].parse().unwrap());
    pair.order(1, SipCommand::Ring { leg: b });
    pair.run(secs(3));
    pair.order(1, SipCommand::Answer { leg: b, sdp: sdp() });
    pair.run(secs(60));
    pair.order(0, SipCommand::Bye { leg: a, reason: Some("Q.850;cause=16;text=\"done\"".into()) });
    pair.run(ms(50));
    assert_eq!(pair.story(0), "Progress(180) Answered Ended(Bye)");
    assert_eq!(pair.story(1), "Incoming Confirmed Ended(Bye)");
    let SipEvent::Ended { reason, .. } = &pair.events[1][2] else { panic!() };
    assert_eq!(reason.as_deref(), Some("Q.850;cause=16;text=\"done\""));
    for (who, what, times) in [
        (0, "INVITE", 1),
        (1, "100 INVITE", 1),
        (1, "180 INVITE", 1),
        (1, "200 INVITE", 1),
        (0, "ACK", 1),
        (0, "BYE", 1),
        (1, "200 BYE", 1),
    ] {
        assert_eq!(pair.sent(who, what).len(), times, "{what}");
    }
    let invite = &pair.log[0].2;
    assert!(
        invite.contains("X-Test: 1\r\n") && invite.contains("From: \"Alice \\\"A\\\"\" <sip:alice@baton.test>;tag=")
    );
    assert!(invite.contains("Contact: <sip:alice@192.0.2.1:5060>\r\n") && invite.contains(";rport"));
    for core in &pair.cores {
        assert_eq!((core.sizes().legs, core.sizes().dialogs), (0, 0));
    }
    pair.finish();
}

#[test]
fn a_lost_invite_is_repeated_at_t1_doubling() {
    let mut pair = Pair::new();
    let mut left = 3;
    pair.lose = Box::new(move |who, what| {
        who == 0 && what == "INVITE" && {
            left -= 1;
            left >= 0
        }
    });
    pair.call();
    pair.run(secs(5));
    assert_eq!(pair.sent(0, "INVITE"), [ms(0), ms(500), ms(1_500), ms(3_500)]);
    assert_eq!(pair.story(1), "Incoming");
}

#[test]
fn an_invite_nobody_hears_fails_after_64_t1() {
    let mut pair = Pair::new();
    pair.lose = Box::new(|_, _| true);
    pair.call();
    pair.run(ms(31_999));
    assert_eq!(pair.story(0), "");
    pair.run(ms(1));
    assert_eq!(pair.story(0), "Failed(408)");
    pair.finish();
}

#[test]
fn a_repeated_invite_is_one_call() {
    let mut pair = Pair::new();
    let mut left = 2;
    pair.lose = Box::new(move |who, what| {
        who == 1 && what == "100 INVITE" && {
            left -= 1;
            left >= 0
        }
    });
    pair.call();
    pair.run(secs(5));
    assert_eq!((pair.sent(0, "INVITE").len(), pair.sent(1, "100 INVITE").len()), (3, 3));
    assert_eq!(pair.story(1), "Incoming");
}

#[test]
fn a_lost_ack_is_made_good_by_the_repeated_200() {
    let mut pair = Pair::new();
    let mut left = 2;
    pair.lose = Box::new(move |_, what| {
        what == "ACK" && {
            left -= 1;
            left >= 0
        }
    });
    pair.call();
    pair.run(ms(50));
    let b = pair.incoming();
    pair.order(1, SipCommand::Answer { leg: b, sdp: sdp() });
    pair.run(secs(10));
    assert_eq!(pair.sent(1, "200 INVITE"), [ms(50), ms(550), ms(1_550)]);
    assert_eq!(pair.sent(0, "ACK").len(), 3);
    let acks: Vec<_> = pair.log.iter().filter(|(_, _, m, _)| name(m) == "ACK").map(|(_, _, m, _)| m.clone()).collect();
    assert!(acks.iter().all(|ack| *ack == acks[0]), "the same ACK each time");
    assert_eq!((pair.story(0), pair.story(1)), ("Answered".into(), "Incoming Confirmed".into()));
}

#[test]
fn a_200_that_is_never_acknowledged_ends_the_call() {
    let mut pair = Pair::new();
    pair.lose = Box::new(|_, what| what == "ACK");
    pair.call();
    pair.run(ms(50));
    let b = pair.incoming();
    pair.order(1, SipCommand::Answer { leg: b, sdp: sdp() });
    pair.run(ms(31_900));
    assert_eq!(pair.story(1), "Incoming");
    assert_eq!(pair.sent(1, "200 INVITE").len(), 11, "0, .5, 1.5, 3.5, 7.5, then every 4 s");
    pair.run(ms(200));
    assert_eq!(pair.story(1), "Incoming Ended(NoAck)");
    assert_eq!(pair.sent(1, "BYE").len(), 1);
    pair.finish();
    assert_eq!(pair.story(0), "Answered Ended(Bye)");
}

#[test]
fn a_lost_bye_is_repeated_and_its_lost_answer_too() {
    let (mut pair, _, b) = Pair::talking();
    let mut left = 2;
    pair.lose = Box::new(move |_, what| {
        what.ends_with("BYE") && {
            left -= 1;
            left >= 0
        }
    });
    pair.order(1, SipCommand::Bye { leg: b, reason: None });
    pair.run(secs(5));
    assert_eq!(pair.sent(1, "BYE").len(), 3);
    assert_eq!(pair.story(0), "Answered Ended(Bye)");
    assert_eq!(pair.story(1), "Incoming Confirmed Ended(Bye)");
    pair.finish();
}

#[test]
fn a_refusal_is_repeated_until_its_ack() {
    let mut pair = Pair::new();
    let mut left = 2;
    pair.lose = Box::new(move |_, what| {
        what == "486 INVITE" && {
            left -= 1;
            left >= 0
        }
    });
    pair.call();
    pair.run(ms(50));
    let b = pair.incoming();
    pair.order(1, SipCommand::Reject { leg: b, code: 486, reason: None });
    pair.run(secs(10));
    assert_eq!(pair.sent(1, "486 INVITE"), [ms(50), ms(550), ms(1_550)]);
    assert_eq!(pair.sent(0, "ACK").len(), 1);
    assert_eq!((pair.story(0), pair.story(1)), ("Failed(486)".into(), "Incoming".into()));
    pair.finish();
}

#[test]
fn a_bye_waits_for_the_ack() {
    let mut pair = Pair::new();
    let mut left = 1;
    pair.lose = Box::new(move |_, what| {
        what == "ACK" && {
            left -= 1;
            left >= 0
        }
    });
    pair.call();
    pair.run(ms(50));
    let b = pair.incoming();
    pair.order(1, SipCommand::Answer { leg: b, sdp: sdp() });
    pair.order(1, SipCommand::Bye { leg: b, reason: None });
    pair.run(ms(400));
    assert!(pair.sent(1, "BYE").is_empty(), "RFC 3261 §15");
    pair.run(secs(1));
    assert_eq!(pair.sent(1, "BYE"), [ms(570)]);
    assert_eq!(pair.story(1), "Incoming Confirmed Ended(Bye)");
    pair.finish();
}

#[test]
fn a_call_without_an_offer_brings_the_answer_with_the_ack() {
    let mut script = Script::new();
    script.send(&request("INVITE", "sip:help@192.0.2.1", "a", 1, "", ""));
    let Some(SipEvent::Incoming { leg, sdp: None, .. }) = script.events().pop() else { panic!() };
    let ok = script.order(SipCommand::Answer { leg, sdp: sdp() }).pop().unwrap();
    let to = format!("To: {}\n", header(&ok, "To").unwrap());
    script.send(&request("ACK", "sip:help@192.0.2.1", "b", 1, &to, OFFER));
    let Some(SipEvent::Confirmed { sdp: Some(answer), .. }) = script.events().pop() else { panic!() };
    assert!(answer.contains("m=audio 4000"));
    let bye = script.send(&request("BYE", "sip:help@192.0.2.1", "c", 2, &to, ""));
    assert_eq!(name(&bye[0]), "200 BYE");
    script.finish();
}

#[test]
fn a_phone_that_rings_for_ever_is_given_up() {
    let mut pair = Pair::new();
    pair.call();
    pair.run(ms(50));
    let b = pair.incoming();
    pair.order(1, SipCommand::Ring { leg: b });
    pair.run(secs(181));
    assert_eq!((pair.story(0), pair.story(1)), ("Progress(180) Failed(408)".into(), "Incoming Ended(Cancel)".into()));
    pair.finish();
}

#[test]
fn a_leg_is_over_once() {
    let (mut pair, a, _) = Pair::talking();
    for _ in 0..2 {
        pair.order(0, SipCommand::Bye { leg: a, reason: None });
        pair.order(0, SipCommand::Cancel { leg: a });
    }
    pair.finish();
    assert_eq!(pair.events[0].iter().filter(|e| matches!(e, SipEvent::Ended { cause: EndCause::Bye, .. })).count(), 1);
    assert_eq!(pair.sent(0, "BYE").len(), 1);
}
