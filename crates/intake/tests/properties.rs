//! Random conversations. Whatever is said: nothing is briefed that was not collected, no order is told to who is not known
//! to be its holder, distress goes straight to a person, and every conversation ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]

mod support;

use baton_intake::{Action, ActionResult, BriefingNotes, Intake, Next, Reply, TriggerName};
use proptest::prelude::*;
use support::{contacts, flow, words};

const SAID: &[&str] = &[
    "yes",
    "no",
    "where is my order",
    "my kettle never came",
    "A 1042",
    "hey 1042",
    "ten forty two",
    "no, one zero four three",
    "this is Maria Gomez",
    "David Chen",
    "my name is Tom Reed",
    "I'm calling for my mother Ellen Park",
    "I'm her son",
    "I was charged 450 dollars",
    "212.50",
    "about forty bucks",
    "I want a refund for order A 1043",
    "cancel it",
    "what?",
    "hold on",
    "I don't have it",
    "call me at 555 123 4567",
    "thanks",
    "bye",
    "that doesn't help",
    "that's all",
    "it arrived broken",
    "are you a robot",
    "hello?",
    "",
    "[BLANK_AUDIO]",
    "one",
    "A",
    "SO 20391",
    "I'm the account holder",
    "do you have jobs",
    "the weather is quite nice over there today",
    "not the account holder",
    "A one zero",
    "four two",
    "99999999999999999999 dollars",
];

#[derive(Debug, Clone)]
enum Move {
    Say(usize, f32),
    Keys(String),
    Silence,
    Noise,
    Contact(usize),
    Back,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        12 => (0..SAID.len(), 0.1_f32..1.0).prop_map(|(i, c)| Move::Say(i, c)),
        2 => "[0-9*#]{1,6}".prop_map(Move::Keys),
        1 => Just(Move::Silence),
        1 => Just(Move::Noise),
        1 => (0_usize..3).prop_map(Move::Contact),
        1 => Just(Move::Back),
    ];
    proptest::collection::vec(one, 1..25)
}

/// Plays the moves; `check` sees the state after each.
fn play(moves: &[Move], mut check: impl FnMut(&Intake, &Reply, &str)) {
    let mut intake = Intake::new(flow(), Some("+15550001111".to_owned()));
    let mut reply = intake.begin();
    let mut heard = String::new();
    for m in moves {
        let over = !matches!(reply.next, Next::Listen { .. });
        reply = match m {
            Move::Say(i, c) => {
                heard.push_str(SAID[*i]);
                heard.push('\n');
                intake.heard(SAID[*i], *c)
            }
            Move::Keys(keys) => {
                heard.push_str(keys);
                intake.digits(keys)
            }
            Move::Silence => intake.no_input(),
            Move::Noise => intake.not_understood(),
            Move::Contact(i) => {
                intake.contact_found(contacts()[*i].clone());
                continue;
            }
            Move::Back if matches!(reply.next, Next::Escalate { .. }) => intake.handed_back(),
            Move::Back => continue,
        };
        if let Next::Act(Action::OrderStatus { number }) = &reply.next {
            let known = contacts()
                .into_iter()
                .find_map(|c| c.orders.iter().find(|o| o.number == *number).cloned().map(|o| (o, c.clone())));
            reply = intake.action_result(ActionResult::Order(known));
        }
        assert!(!matches!(reply.next, Next::Act(_)));
        if over && !matches!(m, Move::Back) {
            assert!(!matches!(reply.next, Next::Act(_)));
        }
        check(&intake, &reply, &heard);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn briefings_hold_only_what_was_collected(moves in moves()) {
        let found: Vec<String> = moves.iter().filter_map(|m| if let Move::Contact(i) = m { Some(contacts()[*i].name.clone()) } else { None }).collect();
        play(&moves, |intake, _, _| {
            let known: Vec<&str> = intake.form().slots().values().map(|v| v.value.as_str()).collect();
            let contact = intake.contact().map(|c| c.name.clone()).unwrap_or_default();
            let tried: String = intake.attempts().iter().map(|a| a.outcome.as_str()).collect();
            for trigger in TriggerName::ALL {
                let text = intake.briefing(trigger, &BriefingNotes { record_late: true }).text;
                assert!(words(&text) <= 55, "{text}");
                for name in ["Maria Gomez", "David Chen", "Ellen Park", "Tom Reed"] {
                    // Whose number it is, the CRM told, whoever is calling.
                    let number = found.contains(&name.to_owned()) && text.contains(&format!("from the number of {name}"));
                    let collected = known.iter().any(|k| k.contains(name)) || contact == name || tried.contains(name) || number;
                    assert!(!text.contains(name) || collected, "{name} in {text}");
                }
                for secret in ["A-1042", "A-1043", "A-1077", "SO-20391", "$450", "$212.50", "$40", "kettle", "lamp", "rug", "toaster", "+1555"] {
                    let collected = known.iter().any(|k| k.contains(secret)) || tried.contains(secret) || secret == "+1555";
                    assert!(!text.contains(secret) || collected, "{secret} in {text}");
                }
            }
        });
    }

    #[test]
    fn nothing_private_is_told_to_strangers(moves in moves()) {
        play(&moves, |intake, reply, heard| {
            let said = reply.say.join(" ");
            let holder = intake.account_holder() == Some(true);
            for contact in contacts() {
                let own = holder && intake.contact().is_some_and(|c| c.id == contact.id);
                for order in &contact.orders {
                    let told = said.contains(&order.item) || order.eta.as_ref().is_some_and(|e| said.contains(e));
                    assert!(!told || own, "told {} after:\n{heard}", order.number);
                }
            }
        });
    }

    #[test]
    fn distress_never_waits(moves in moves()) {
        let mut intake = Intake::new(flow(), None);
        let mut reply = intake.begin();
        for m in &moves {
            if let Move::Say(i, c) = m && matches!(reply.next, Next::Listen { .. }) {
                reply = intake.heard(SAID[*i], *c);
            }
        }
        if matches!(reply.next, Next::Listen { .. }) {
            let next = intake.heard("please, I want to kill myself", 0.5).next;
            let distress = matches!(next, Next::Escalate { trigger: TriggerName::Distress, .. });
            prop_assert!(distress);
        }
    }

    #[test]
    fn silence_and_noise_end(moves in moves(), silent in any::<bool>()) {
        let mut intake = Intake::new(flow(), None);
        let mut reply = intake.begin();
        for m in &moves {
            if let Move::Say(i, c) = m && matches!(reply.next, Next::Listen { .. }) {
                reply = intake.heard(SAID[*i], *c);
            }
        }
        for _ in 0..12 {
            if !matches!(reply.next, Next::Listen { .. }) {
                break;
            }
            reply = if silent { intake.no_input() } else { intake.not_understood() };
        }
        let ended = !matches!(reply.next, Next::Listen { .. });
        prop_assert!(ended);
    }

    #[test]
    fn any_text_is_survived(texts in proptest::collection::vec(".{0,60}", 1..6)) {
        let mut intake = Intake::new(flow(), None);
        intake.contact_found(contacts()[0].clone());
        intake.begin();
        for text in texts {
            intake.heard(&text, 0.9);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// The other flows with any words: they survive, and say nothing with a hole in it.
    #[test]
    fn every_flow_survives_any_talk(
        name in prop_oneof![Just("outage"), Just("clinic"), Just("claim")],
        lines in proptest::collection::vec(prop_oneof![
            3 => "[a-zA-Z0-9 ,.@'$?-]{0,60}",
            2 => (0..SAID.len()).prop_map(|i| SAID[i].to_owned()),
            1 => "[0-9#*]{1,9}".prop_map(|k| format!("#{k}")),
            1 => Just("next friday or the 31st of february 2026 at 5 dot at dot com".to_owned()),
        ], 1..25),
        tone in 0.0_f32..1.0,
    ) {
        let mut intake = Intake::new(support::corpus::flow(name, None), None);
        intake.set_today(baton_intake::Day::new(2026, 11, 24).unwrap());
        let mut reply = intake.begin();
        for line in lines {
            intake.tone(baton_intake::ToneReading { score: tone, peak: tone, ..Default::default() });
            reply = match line.strip_prefix('#') {
                Some(keys) => intake.digits(keys),
                None => intake.heard(&line, 0.8),
            };
            if let Next::Act(_) = reply.next {
                reply = intake.action_result(ActionResult::Record(None));
            }
            prop_assert!(reply.say.iter().all(|s| !s.contains(['{', '[', '}', ']'])), "{:?}", reply.say);
            // Upset by tone alone is nobody: there were words as well.
            let upset = matches!(&reply.next, Next::Escalate { trigger: TriggerName::Frustration, .. });
            prop_assert!(!upset || intake.frustration().1.iter().any(|why| why.starts_with("complained")), "tone alone");
        }
        let over = !matches!(reply.next, Next::Listen { .. });
        prop_assert!(!over || intake.asking().is_empty());
    }
}
