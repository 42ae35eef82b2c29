//! New offers of ours within a call: hold, resume, glare, refusal, and the races with BYE.

use super::*;
use crate::api::EndCause;

fn version(message: &str) -> (u64, u64) {
    let line = message.lines().find(|l| l.starts_with("o=")).unwrap();
    let mut words = line.split(' ').skip(1).map(|w| w.parse().unwrap());
    (words.next().unwrap(), words.next().unwrap())
}

fn sent_bodies(pair: &Pair, who: usize, what: &str) -> Vec<String> {
    pair.log.iter().filter(|(_, w, m, _)| *w == who && name(m) == what).map(|(_, _, m, _)| m.clone()).collect()
}

#[test]
fn hold_and_resume_from_both_sides() {
    for (who, other) in [(0, 1), (1, 0)] {
        let (mut pair, a, b) = Pair::talking();
        let legs = [a, b];
        for (command, direction) in
            [(SipCommand::Hold { leg: legs[who] }, "a=sendonly"), (SipCommand::Resume { leg: legs[who] }, "a=sendrecv")]
        {
            let before = sent_bodies(&pair, who, "INVITE").len();
            pair.order(who, command);
            pair.run(ms(50));
            pair.order(other, SipCommand::AnswerReoffer { leg: legs[other], sdp: Ok(sdp()) });
            pair.run(ms(100));
            let sent = sent_bodies(&pair, who, "INVITE");
            assert_eq!(sent.len(), before + 1);
            let offer = sent.last().unwrap();
            assert!(offer.contains(direction) && offer.matches("a=send").count() == 1, "{offer}");
            assert!(header(offer, "Contact").is_some() && header(offer, "Supported").unwrap().contains("timer"));
        }
        assert!(pair.story(who).ends_with("Reoffered(sdp) Reoffered(sdp)"), "{}", pair.story(who));
        assert!(pair.story(other).ends_with("Reoffer(sdp) Confirmed Reoffer(sdp) Confirmed"));
        let said: Vec<_> = sent_bodies(&pair, who, "INVITE").iter().map(|m| version(m)).collect();
        assert!(said.windows(2).all(|w| w[0].0 == w[1].0 && w[0].1 < w[1].1), "RFC 3264 §8: {said:?}");
        pair.order(0, SipCommand::Bye { leg: a, reason: None });
        pair.finish();
    }
}

#[test]
fn an_offer_waits_for_the_exchange_that_is_open() {
    let (mut pair, a, b) = Pair::talking();
    pair.order(0, SipCommand::Reoffer { leg: a, sdp: sdp().replace("5000", "6000") });
    pair.run(ms(50));
    // Two more while the first is open: only the last of them goes out, once that is answered.
    pair.order(0, SipCommand::Reoffer { leg: a, sdp: sdp().replace("5000", "6002") });
    pair.order(0, SipCommand::Reoffer { leg: a, sdp: sdp().replace("5000", "6004") });
    // One of the called's waits, too.
    pair.order(1, SipCommand::Reoffer { leg: b, sdp: sdp().replace("5000", "7000") });
    pair.run(ms(50));
    assert_eq!((pair.sent(0, "INVITE").len(), pair.sent(1, "INVITE").len()), (2, 0));
    for _ in 0..6 {
        pair.order(0, SipCommand::AnswerReoffer { leg: a, sdp: Ok(sdp()) });
        pair.order(1, SipCommand::AnswerReoffer { leg: b, sdp: Ok(sdp()) });
        pair.run(secs(6));
    }
    let offers = sent_bodies(&pair, 0, "INVITE");
    assert!(offers[1].contains("audio 6000") && offers[2].contains("audio 6004"));
    assert!(!offers.iter().any(|m| m.contains("audio 6002")));
    assert_eq!(pair.story(0).matches("Reoffered(sdp)").count(), 1, "what was overtaken is not told");
    assert_eq!(pair.story(1).matches("Reoffered(sdp)").count(), 1);
    pair.order(0, SipCommand::Bye { leg: a, reason: None });
    pair.finish();
}

#[test]
fn glare_ends_by_the_rfcs_back_off() {
    for round in 0..10 {
        let (mut pair, a, b) = Pair::talking();
        pair.run(ms(round * 7));
        let began = pair.now - pair.began;
        pair.order(0, SipCommand::Hold { leg: a });
        pair.order(1, SipCommand::Hold { leg: b });
        pair.run(ms(30));
        assert_eq!((pair.sent(0, "491 INVITE").len(), pair.sent(1, "491 INVITE").len()), (1, 1));
        for _ in 0..2_000 {
            pair.run(ms(10));
            pair.order(0, SipCommand::AnswerReoffer { leg: a, sdp: Ok(sdp()) });
            pair.order(1, SipCommand::AnswerReoffer { leg: b, sdp: Ok(sdp()) });
        }
        assert_eq!(pair.story(0).matches("Reoffered(sdp)").count(), 1, "{}", pair.story(0));
        assert_eq!(pair.story(1).matches("Reoffered(sdp)").count(), 1, "{}", pair.story(1));
        // The 491 arrived 20 ms after the offer went out; then RFC 3261 §14.1.
        let first = pair.sent(1, "INVITE")[1] - began - ms(20);
        assert!(first <= ms(2_000), "the called, whose Call-ID it is not: {first:?}");
        let second = pair.sent(0, "INVITE")[2] - began - ms(20);
        assert!(second >= ms(2_100), "the caller: {second:?}");
        pair.order(0, SipCommand::Bye { leg: a, reason: None });
        pair.finish();
    }
}

#[test]
fn a_refused_offer_changes_nothing() {
    let (mut pair, a, b) = Pair::talking();
    pair.order(0, SipCommand::Hold { leg: a });
    pair.run(ms(50));
    pair.order(1, SipCommand::AnswerReoffer { leg: b, sdp: Err(488) });
    pair.run(ms(50));
    assert_eq!(pair.story(0), "Answered Reoffered(488)");
    pair.order(0, SipCommand::Resume { leg: a });
    pair.run(ms(50));
    let offers = sent_bodies(&pair, 0, "INVITE");
    assert!(offers[2].contains("audio 4000") && offers[2].contains("a=sendrecv"), "from what it was before");
    pair.order(1, SipCommand::AnswerReoffer { leg: b, sdp: Ok(sdp()) });
    pair.run(ms(50));
    assert_eq!(pair.story(0), "Answered Reoffered(488) Reoffered(sdp)");
    pair.order(0, SipCommand::Bye { leg: a, reason: None });
    pair.finish();
}

#[test]
fn bye_and_reinvite_cross() {
    // The caller hangs up while the called's offer is on its way, and the other way round.
    for (who, other) in [(0, 1), (1, 0)] {
        let (mut pair, a, b) = Pair::talking();
        let legs = [a, b];
        pair.order(who, SipCommand::Bye { leg: legs[who], reason: None });
        pair.order(other, SipCommand::Hold { leg: legs[other] });
        pair.run(secs(1));
        assert!(pair.story(who).ends_with("Ended(Bye)") && pair.story(other).ends_with("Ended(Bye)"));
        assert_eq!(pair.sent(who, "481 INVITE").len(), 1);
        assert_eq!(pair.story(0).matches("Ended").count() + pair.story(1).matches("Ended").count(), 2);
        pair.finish();
    }
}

#[test]
fn a_200_to_a_reinvite_after_the_bye_is_still_acknowledged() {
    let (mut pair, a, b) = Pair::talking();
    pair.order(0, SipCommand::Hold { leg: a });
    pair.run(ms(50));
    // The answer and the BYE cross on the wire.
    pair.order(1, SipCommand::AnswerReoffer { leg: b, sdp: Ok(sdp()) });
    pair.order(0, SipCommand::Bye { leg: a, reason: None });
    pair.run(secs(3));
    assert_eq!(pair.sent(0, "ACK").len(), 2, "of the call, and of the hold");
    assert_eq!(pair.sent(1, "200 INVITE").len(), 2, "no repetition");
    assert_eq!(pair.events[0].last(), Some(&SipEvent::Ended { leg: a, cause: EndCause::Bye, reason: None }));
    pair.finish();
}

#[test]
fn lost_reinvites_and_lost_answers_are_made_good() {
    for (who, what) in [(0, "INVITE"), (1, "200 INVITE"), (0, "ACK")] {
        let (mut pair, a, b) = Pair::talking();
        let mut left = 2;
        pair.lose = Box::new(move |w, m| {
            w == who && m == what && {
                left -= 1;
                left >= 0
            }
        });
        pair.order(0, SipCommand::Hold { leg: a });
        pair.run(secs(2));
        pair.order(1, SipCommand::AnswerReoffer { leg: b, sdp: Ok(sdp()) });
        pair.run(secs(5));
        assert_eq!(pair.story(0), "Answered Reoffered(sdp)", "{what}");
        assert!(pair.story(1).ends_with("Reoffer(sdp) Confirmed"), "{what}: {}", pair.story(1));
        pair.order(0, SipCommand::Bye { leg: a, reason: None });
        pair.finish();
    }
}

#[test]
fn a_peer_that_never_answers_an_offer() {
    // It says nothing: the dialog is dead (RFC 3261 §12.2.1.2).
    let (mut pair, a, _) = Pair::talking();
    pair.lose = Box::new(|_, _| true);
    pair.order(0, SipCommand::Hold { leg: a });
    pair.run(secs(33));
    assert_eq!(pair.story(0), "Answered Reoffered(408) Ended(SessionExpired)");
    // It says 100 and nothing more: the call stands.
    let (mut pair, a, _) = Pair::talking();
    pair.order(0, SipCommand::Hold { leg: a });
    pair.run(secs(33));
    assert_eq!(pair.story(0), "Answered Reoffered(503)");
    pair.order(0, SipCommand::Bye { leg: a, reason: None });
    pair.finish();
}
