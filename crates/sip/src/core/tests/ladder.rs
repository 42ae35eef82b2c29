//! What is kept of a call's messages.

use super::*;
use crate::ladder::draw;

#[test]
fn a_call_is_drawn_as_it_went() {
    let (mut pair, a, b) = Pair::talking();
    pair.order(0, SipCommand::Bye { leg: a, reason: None });
    pair.run(ms(100));
    let story = |who: usize, leg| -> Vec<String> {
        let steps = pair.cores[who].ladders().of_legs(&[leg]);
        steps
            .iter()
            .map(|s| {
                let what = s.status.map_or_else(|| s.method.to_owned(), |code| format!("{code} {}", s.method));
                format!("{}{what}", if s.sent { ">" } else { "<" })
            })
            .collect()
    };
    assert_eq!(story(0, a), [">INVITE", "<100 INVITE", "<200 INVITE", ">ACK", ">BYE", "<200 BYE"]);
    assert_eq!(story(1, b), ["<INVITE", ">100 INVITE", ">200 INVITE", "<ACK", "<BYE", ">200 BYE"]);
    let drawn = draw(&pair.cores[0].ladders().of_legs(&[a]));
    assert!(drawn.contains("192.0.2.2:5060 (udp)") && drawn.contains("<") && drawn.lines().count() == 7, "{drawn}");
    pair.finish();
}

#[test]
fn forks_share_a_ladder_and_scanners_have_none() {
    let mut script = Script::new();
    script.send(&request("INVITE", "sip:nobody@192.0.2.1", "x", 1, "", OFFER));
    script.send(&request("OPTIONS", "sip:nobody@192.0.2.1", "y", 1, "", ""));
    established(&mut script, "");
    assert!(script.core.ladders().of_legs(&[LegId(0)]).is_empty());
    let steps = script.core.ladders().of_legs(&[LegId(2)]);
    assert_eq!(steps.len(), 4, "the refused INVITE of the same Call-ID made no call: {steps:?}");
}
