//! REFER both ways, NOTIFY, Replaces, and REFER against BYE.

use super::*;
use crate::details::{ReferId, ReferStep};

const URI: &str = "sip:help@192.0.2.1";

fn within(method: &str, branch: &str, cseq: u32, to: &str, extra: &str, body: &str) -> String {
    request(method, URI, branch, cseq, &format!("To: {to}\n{extra}"), body)
}

fn up() -> (Script, LegId, String) {
    let mut script = Script::new();
    let (leg, to) = established(&mut script, "");
    (script, leg, to)
}

fn names(messages: &[String]) -> Vec<String> {
    messages.iter().map(|m| name(m)).collect()
}

/// The peer's answer to a request of ours.
fn reply(request: &str, code: u16) -> String {
    let keep =
        ["Via", "From", "To", "Call-ID", "CSeq"].map(|n| format!("{n}: {}\n", header(request, n).unwrap())).concat();
    format!("SIP/2.0 {code} X\n{keep}Contact: <sip:bob@192.0.2.9:5070>\nContent-Length: 0\n\n")
}

fn referred(script: &mut Script, leg: LegId, to: &str, cseq: u32, target: &str) -> ReferId {
    let branch = format!("r{cseq}");
    let sent =
        script.send(&within("REFER", &branch, cseq, to, &format!("Refer-To: {target}\nReferred-By: <sip:b@x>\n"), ""));
    assert!(sent.is_empty(), "the house decides: {sent:?}");
    let Some(SipEvent::Refer { leg: on, refer, referred_by, .. }) = script.events().pop() else { panic!() };
    assert_eq!((on, referred_by.as_deref()), (leg, Some("<sip:b@x>")));
    refer
}

fn status(message: &str) -> (String, String) {
    (header(message, "Subscription-State").unwrap(), message.split("\r\n\r\n").nth(1).unwrap().trim().to_owned())
}

#[test]
fn a_blind_transfer_is_reported_step_by_step() {
    let (mut script, leg, to) = up();
    let refer = referred(&mut script, leg, &to, 2, "<sip:200@pbx>");
    let sent = script.order(SipCommand::AcceptRefer { leg, refer });
    assert_eq!(names(&sent), ["202 REFER", "NOTIFY"]);
    assert_eq!(header(&sent[1], "Event").as_deref(), Some("refer;id=2"));
    assert_eq!(header(&sent[1], "Content-Type").as_deref(), Some("message/sipfrag;version=2.0"));
    assert_eq!(status(&sent[1]), ("active;expires=180".into(), "SIP/2.0 100 Trying".into()));
    // The next waits for the answer to the last, and only the latest is told.
    script.order(SipCommand::ReferStatus { leg, refer, code: 180, reason: None });
    assert!(script.order(SipCommand::ReferStatus { leg, refer, code: 183, reason: None }).is_empty());
    let next = script.send(&reply(&sent[1], 200));
    assert_eq!(status(&next[0]).1, "SIP/2.0 183 Session Progress");
    script.send(&reply(&next[0], 200));
    let last = script.order(SipCommand::ReferStatus { leg, refer, code: 200, reason: None });
    assert_eq!(status(&last[0]), ("terminated;reason=noresource".into(), "SIP/2.0 200 OK".into()));
    assert!(script.order(SipCommand::ReferStatus { leg, refer, code: 486, reason: None }).is_empty(), "it is over");
    script.send(&reply(&last[0], 200));
    assert_eq!(script.core.sizes().referrals, 0);
    script.order(SipCommand::Bye { leg, reason: None });
    script.finish();
}

#[test]
fn a_refer_is_refused_by_the_house_by_time_and_for_its_faults() {
    let (mut script, leg, to) = up();
    let refer = referred(&mut script, leg, &to, 2, "<sip:200@pbx>");
    assert_eq!(names(&script.order(SipCommand::RejectRefer { leg, refer, code: 603 })), ["603 REFER"]);
    referred(&mut script, leg, &to, 3, "<tel:+15550100>");
    assert_eq!(names(&script.run(secs(10))), ["603 REFER"], "nobody dealt with it");
    for (i, (target, code)) in [
        ("", 400),
        ("Refer-To: <sip:a@b>, <sip:c@d>\n", 400),
        ("Refer-To: <http://a.example>\n", 416),
        ("Refer-To: <sip:a@b;method=SUBSCRIBE>\n", 400),
    ]
    .into_iter()
    .enumerate()
    {
        let sent = script.send(&within("REFER", &format!("x{i}"), 10 + i as u32, &to, target, ""));
        assert_eq!(names(&sent), [format!("{code} REFER")], "{target}");
    }
    let outside =
        request("REFER", URI, "o", 1, &format!("To: <{URI}>\nRefer-To: <sip:a@b>\n"), "").replace("call-1", "call-2");
    assert_eq!(names(&script.send(&outside)), ["403 REFER"]);
    assert!(script.kinds().is_empty());
    script.order(SipCommand::Bye { leg, reason: None });
    script.finish();
}

#[test]
fn a_subscription_ends_by_time_silence_or_a_peer_that_forgot_it() {
    let (mut script, leg, to) = up();
    let refer = referred(&mut script, leg, &to, 2, "<sip:200@pbx>");
    let sent = script.order(SipCommand::AcceptRefer { leg, refer });
    script.send(&reply(&sent[1], 200));
    let last = script.run(secs(181));
    assert_eq!(status(&last[0]), ("terminated;reason=timeout".into(), "SIP/2.0 408 Request Timeout".into()));
    let refer = referred(&mut script, leg, &to, 3, "<sip:200@pbx>");
    let sent = script.order(SipCommand::AcceptRefer { leg, refer });
    script.send(&reply(&sent[1], 481));
    assert!(script.order(SipCommand::ReferStatus { leg, refer, code: 200, reason: None }).is_empty());
    // RFC 4488: no NOTIFY is wanted.
    script.send(&within("REFER", "q", 4, &to, "Refer-To: <sip:200@pbx>\nRefer-Sub: false\n", ""));
    let Some(SipEvent::Refer { refer, .. }) = script.events().pop() else { panic!() };
    let sent = script.order(SipCommand::AcceptRefer { leg, refer });
    assert_eq!((names(&sent), header(&sent[0], "Refer-Sub").as_deref()), (vec!["202 REFER".into()], Some("false")));
    script.order(SipCommand::ReferStatus { leg, refer, code: 200, reason: None });
    script.order(SipCommand::Bye { leg, reason: None });
    script.finish();
}

#[test]
fn refer_then_bye_at_once_is_still_served() {
    let (mut script, leg, to) = up();
    let refer = referred(&mut script, leg, &to, 2, "<sip:200@pbx>");
    assert_eq!(names(&script.send(&within("BYE", "b", 3, &to, "", ""))), ["200 BYE"]);
    assert_eq!(script.kinds(), ["Ended(Bye)"]);
    let sent = script.order(SipCommand::AcceptRefer { leg, refer });
    assert_eq!(names(&sent), ["202 REFER", "NOTIFY"]);
    script.send(&reply(&sent[1], 200));
    let last = script.order(SipCommand::ReferStatus { leg, refer, code: 200, reason: None });
    assert_eq!(status(&last[0]).1, "SIP/2.0 200 OK");
    script.send(&reply(&last[0], 200));
    script.finish();
}

#[test]
fn our_bye_and_their_refer_cross() {
    let (mut script, leg, to) = up();
    let bye = script.order(SipCommand::Bye { leg, reason: None }).remove(0);
    let late = script.send(&within("REFER", "r", 2, &to, "Refer-To: <sip:200@pbx>\n", ""));
    assert_eq!(names(&late), ["481 REFER"]);
    script.send(&reply(&bye, 200));
    assert_eq!(script.kinds(), ["Ended(Bye)"]);
    // A REFER accepted before our BYE goes on, in numbers after the BYE's.
    let (mut script, leg, to) = up();
    let refer = referred(&mut script, leg, &to, 2, "<sip:200@pbx>");
    let sent = script.order(SipCommand::AcceptRefer { leg, refer });
    script.send(&reply(&sent[1], 200));
    let bye = script.order(SipCommand::Bye { leg, reason: None }).remove(0);
    let last = script.order(SipCommand::ReferStatus { leg, refer, code: 200, reason: None }).remove(0);
    let number = |m: &str| header(m, "CSeq").unwrap().split(' ').next().unwrap().parse::<u32>().unwrap();
    assert!(number(&bye) < number(&last), "{bye}{last}");
    script.finish();
}

#[test]
fn our_refer_is_no_success_until_they_say_so() {
    let (mut pair, a, b) = Pair::talking();
    pair.order(0, SipCommand::Refer { leg: a, to: "sip:200@pbx".into(), replaces: None, referred_by: None });
    pair.run(ms(50));
    let SipEvent::Refer { refer, target, .. } = pair.events[1].last().unwrap().clone() else { panic!() };
    assert_eq!((target.uri.as_str(), target.party.user.as_str(), target.leg), ("sip:200@pbx", "200", None));
    pair.order(1, SipCommand::AcceptRefer { leg: b, refer });
    pair.run(ms(50));
    for code in [180, 486] {
        pair.order(1, SipCommand::ReferStatus { leg: b, refer, code, reason: None });
        pair.run(ms(50));
    }
    let steps: Vec<ReferStep> = pair.events[0]
        .iter()
        .filter_map(|e| if let SipEvent::Referral { step, .. } = e { Some(step.clone()) } else { None })
        .collect();
    let over = ReferStep::Over { code: 486, reason: "Busy Here".into() };
    assert_eq!(
        steps,
        [ReferStep::Accepted, ReferStep::Progress { code: 100 }, ReferStep::Progress { code: 180 }, over]
    );
    let asked = pair.log.iter().find(|(_, _, m, _)| name(m) == "REFER").unwrap();
    assert_eq!(header(&asked.2, "Referred-By").as_deref(), Some("<sip:alice@baton.test>"));
    // Refused, and never answered.
    pair.order(0, SipCommand::Refer { leg: a, to: "sip:200@pbx".into(), replaces: None, referred_by: None });
    pair.run(secs(11));
    assert!(pair.story(0).ends_with("Referral(Refused { code: 603 })"));
    pair.order(0, SipCommand::Refer { leg: a, to: "nonsense".into(), replaces: None, referred_by: None });
    assert!(pair.story(0).ends_with("Referral(Refused { code: 400 })"));
    pair.lose = Box::new(|_, what| what == "REFER");
    pair.order(0, SipCommand::Refer { leg: a, to: "sip:200@pbx".into(), replaces: None, referred_by: None });
    pair.run(secs(33));
    assert!(pair.story(0).ends_with("Referral(Refused { code: 408 })"));
    pair.order(0, SipCommand::Bye { leg: a, reason: None });
    pair.finish();
}

#[test]
fn their_notify_may_overtake_the_202_and_their_bye_the_notify() {
    let (mut script, leg, to) = up();
    let asked =
        script.order(SipCommand::Refer { leg, to: "sip:200@pbx".into(), replaces: None, referred_by: None }).remove(0);
    let id = header(&asked, "CSeq").unwrap().split(' ').next().unwrap().to_owned();
    let notify = |branch: &str, cseq: u32, state: &str, body: &str, id: &str| {
        within(
            "NOTIFY",
            branch,
            cseq,
            &to,
            &format!("Event: refer{id}\nSubscription-State: {state}\nContent-Type: message/sipfrag\n"),
            body,
        )
    };
    assert_eq!(names(&script.send(&notify("n1", 2, "active", "SIP/2.0 100 Trying\n", ""))), ["200 NOTIFY"]);
    script.send(&reply(&asked, 202));
    assert_eq!(names(&script.send(&notify("n2", 3, "active", "SIP/2.0 180 Ringing\n", ";id=9999"))), ["481 NOTIFY"]);
    script.send(&notify("n3", 4, "active", "SIP/2.0 180 Ringing\n", &format!(";id={id}")));
    assert_eq!(names(&script.send(&within("NOTIFY", "n4", 5, &to, "Event: presence\n", ""))), ["489 NOTIFY"]);
    assert_eq!(names(&script.send(&within("BYE", "b", 6, &to, "", ""))), ["200 BYE"]);
    assert_eq!(
        script.kinds(),
        [
            "Referral(Progress { code: 100 })",
            "Referral(Accepted)",
            "Referral(Progress { code: 180 })",
            "Referral(Unknown)",
            "Ended(Bye)"
        ]
    );
    let late = notify("n5", 7, "terminated;reason=noresource", "SIP/2.0 200 OK\n", "");
    assert_eq!(names(&script.send(&late)), ["200 NOTIFY"], "taken, and told to nobody");
    assert!(script.kinds().is_empty());
    script.finish();
}

#[test]
fn an_attended_transfer_of_ours_names_the_other_dialog() {
    let (mut script, leg, _) = up();
    let other = LegId(1);
    let invite = script
        .order(SipCommand::InviteUri {
            leg: other,
            uri: "sip:agent@192.0.2.9:5090".into(),
            from_user: "x".into(),
            from_display: None,
            headers: vec![],
            sdp: sdp(),
        })
        .remove(0);
    let to = header(&invite, "To").unwrap();
    let ok = reply(&invite, 200).replace(&format!("To: {to}"), &format!("To: {to};tag=ag;x=1"));
    script.send(&ok.replace("<sip:bob@192.0.2.9:5070>", "<sip:agent@192.0.2.9:5091>"));
    let asked = script.order(SipCommand::Refer { leg, to: String::new(), replaces: Some(other), referred_by: None });
    let refer_to = header(&asked[0], "Refer-To").unwrap();
    let from = header(&invite, "From").unwrap();
    let call_id = header(&invite, "Call-ID").unwrap().replace('@', "%40");
    let ours = from.split("tag=").nth(1).unwrap();
    assert_eq!(refer_to, format!("<sip:agent@192.0.2.9:5091?Replaces={call_id}%3Bto-tag%3Dag%3Bfrom-tag%3D{ours}>"));
}

#[test]
fn an_invite_with_replaces_finds_its_leg() {
    let (mut script, leg, to) = up();
    let tag = to.split("tag=").nth(1).unwrap().to_owned();
    let invite = |branch: &str, replaces: &str| {
        request("INVITE", "sip:whoever@192.0.2.1", branch, 1, &format!("Require: replaces\n{replaces}"), OFFER)
            .replace("Call-ID: call-1", &format!("Call-ID: {branch}"))
    };
    let good = format!("Replaces: call-1;from-tag=bob;to-tag={tag}\n");
    assert_eq!(names(&script.send(&invite("a", &good))), ["100 INVITE"], "and never mind the number called");
    let Some(SipEvent::Incoming { leg: new, details, .. }) = script.events().pop() else { panic!() };
    assert_eq!(details.replaces, Some(leg));
    script.order(SipCommand::Answer { leg: new, sdp: sdp() });
    for (branch, replaces, code) in [
        ("b", format!("Replaces: call-1;from-tag=bob;to-tag={tag};early-only\n"), 486),
        ("c", format!("Replaces: call-1;from-tag=eve;to-tag={tag}\n"), 481),
        ("d", format!("Replaces: call-9;from-tag=bob;to-tag={tag}\n"), 481),
        ("e", "Replaces: call-1;from-tag=bob;to-tag=x\n".into(), 481),
        ("f", "Replaces: call-1\n".into(), 400),
        ("g", format!("{good}{good}"), 400),
    ] {
        assert_eq!(names(&script.send(&invite(branch, &replaces))), [format!("{code} INVITE")], "{replaces}");
    }
    // A call that rings at our end cannot be taken over by Replaces (RFC 3891 §3).
    script.send(&request("INVITE", URI, "h", 1, "", OFFER).replace("call-1", "call-h"));
    let early = script.order(SipCommand::Ring { leg: LegId(new.0 + 2) }).pop().unwrap();
    let tag = header(&early, "To").unwrap().split("tag=").nth(1).unwrap().to_owned();
    let taken = invite("i", &format!("Replaces: call-h;from-tag=bob;to-tag={tag}\n"));
    assert_eq!(names(&script.send(&taken)), ["481 INVITE"]);
}

#[test]
fn an_attended_transfer_between_two_legs_of_ours_is_recognised() {
    let (mut script, leg, to) = up();
    script.send(&request("INVITE", URI, "z", 1, "", OFFER).replace("call-1", "call-z").replace("tag=bob", "tag=zed"));
    let Some(SipEvent::Incoming { leg: second, .. }) = script.events().pop() else { panic!() };
    let ok = script.order(SipCommand::Answer { leg: second, sdp: sdp() }).pop().unwrap();
    let tag = header(&ok, "To").unwrap().split("tag=").nth(1).unwrap().to_owned();
    let target = format!("Refer-To: <sip:help@192.0.2.1?Replaces=call-z%3Bto-tag%3D{tag}%3Bfrom-tag%3Dzed>\n");
    script.send(&within("REFER", "r", 2, &to, &target, ""));
    let Some(SipEvent::Refer { leg: on, target, .. }) = script.events().pop() else { panic!() };
    assert_eq!((on, target.leg), (leg, Some(second)));
}
