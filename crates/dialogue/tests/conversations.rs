//! Whole conversations at text level: `testdata/conversations.txt` holds what callers say, turn by turn, and what must come
//! out. Lines of a conversation:
//!
//! ```text
//! == name                     a new conversation
//! known Maria Gomez           the caller's number is this person's (see `contacts` below)
//! says TEXT | types DIGITS | silent | mumbles
//! expect escalate TRIGGER | expect finish DISPOSITION | expect listening
//! slot NAME = VALUE           must be filled so at the end
//! no slot NAME                must be empty at the end
//! holder yes|no|open
//! said TEXT                   one of our lines since the start holds this
//! never TEXT                  none does
//! briefing TEXT               the briefing holds this
//! ```

use baton_intake::{Action, ActionResult, BriefingNotes, ContactView, Flow, Intake, Next, OrderView, Reply, TriggerName, compile, raw};
use std::sync::Arc;

fn flow() -> Arc<Flow> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sip-configs/flows/orders.toml");
    let raw: raw::Flows = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    compile(raw, &["support".into()]).unwrap().remove("orders").unwrap()
}

fn order(number: &str, item: &str, status: &str, eta: Option<&str>) -> OrderView {
    OrderView { number: number.into(), item: item.into(), status: status.into(), amount_cents: 5_000, eta: eta.map(Into::into) }
}

fn contacts() -> Vec<ContactView> {
    let contact = |id: &str, name: &str, orders| ContactView { id: id.into(), name: name.into(), orders, matched_by: "caller_id".into() };
    vec![
        contact("c1", "Maria Gomez", vec![order("A-1042", "blue kettle", "delayed", Some("2026-12-01"))]),
        contact("c2", "David Chen", vec![order("A-1043", "desk lamp", "shipped", Some("2026-11-27")), order("A-1077", "rug", "delivered", None)]),
        contact("c3", "Ellen Park", vec![order("A-2050", "garden chair", "delivered", None)]),
    ]
}

/// Answers the conversation's own actions from the contacts above.
fn settle(intake: &mut Intake, mut reply: Reply, said: &mut Vec<String>) -> Reply {
    loop {
        said.extend(reply.say.iter().cloned());
        let Next::Act(Action::OrderStatus { number }) = &reply.next else { return reply };
        let found = contacts().into_iter().find_map(|c| c.orders.iter().find(|o| o.number == *number).cloned().map(|o| (o, c)));
        reply = intake.action_result(ActionResult::Order(found));
    }
}

#[test]
fn every_conversation_comes_out_as_it_should() {
    let text = include_str!("../testdata/conversations.txt");
    let mut failures = Vec::new();
    let mut count = 0;
    for block in text.split("\n== ").skip(1) {
        count += 1;
        if let Err(why) = run(block) {
            failures.push(format!("== {}\n   {why}", block.lines().next().unwrap_or_default()));
        }
    }
    assert!(count >= 30, "only {count} conversations");
    assert!(failures.is_empty(), "{} of {count} conversations:\n{}", failures.len(), failures.join("\n"));
}

fn run(block: &str) -> Result<(), String> {
    let mut intake = Intake::new(flow(), Some("+15551230001".into()));
    let mut said = Vec::new();
    let first = intake.begin();
    let mut reply = settle(&mut intake, first, &mut said);
    for line in block.lines().skip(1).map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let next = match verb {
            "known" => {
                let contact = contacts().into_iter().find(|c| c.name == rest).ok_or("no such contact")?;
                intake.contact_found(contact);
                continue;
            }
            "says" => intake.heard(rest, 0.9),
            "types" => intake.digits(rest),
            "silent" => intake.no_input(),
            "mumbles" => intake.not_understood(),
            "back" => intake.handed_back(),
            _ => {
                check(line, &intake, &reply, &said)?;
                continue;
            }
        };
        reply = settle(&mut intake, next, &mut said);
    }
    Ok(())
}

fn check(line: &str, intake: &Intake, reply: &Reply, said: &[String]) -> Result<(), String> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let seen = || format!("{line}: got {:?}; said {:?}; form {:?}; attempts {:?}", reply.next, said, intake.form(), intake.attempts());
    let ok = match verb {
        "expect" => match (&reply.next, rest.split_once(' ').unwrap_or((rest, ""))) {
            (Next::Escalate { trigger, .. }, ("escalate", name)) => trigger.as_str() == name,
            (Next::Finish { disposition }, ("finish", code)) => disposition == code,
            (Next::Listen { .. }, ("listening", _)) => true,
            _ => false,
        },
        "slot" => {
            let (name, value) = rest.split_once(" = ").ok_or("slot NAME = VALUE")?;
            intake.form().text(name) == Some(value)
        }
        "no" => intake.form().text(rest.trim_start_matches("slot ")).is_none(),
        "holder" => intake.account_holder() == match rest { "yes" => Some(true), "no" => Some(false), _ => None },
        "said" => said.iter().any(|s| s.contains(rest)),
        "asked" => reply.say.iter().any(|s| s.contains(rest)),
        "never" => !said.iter().any(|s| s.contains(rest)),
        "briefing" => {
            let Next::Escalate { trigger, .. } = &reply.next else { return Err(seen()) };
            let briefing = intake.briefing(*trigger, &BriefingNotes::default());
            if !briefing.text.contains(rest) {
                return Err(format!("{line}: the briefing is: {}", briefing.text));
            }
            true
        }
        other => return Err(format!("unknown line: {other}")),
    };
    if ok { Ok(()) } else { Err(seen()) }
}

#[test]
fn each_trigger_has_a_briefing_even_with_nothing_collected() {
    let intake = Intake::new(flow(), None);
    for trigger in TriggerName::ALL {
        let briefing = intake.briefing(trigger, &BriefingNotes { record_late: true });
        assert!(briefing.text.split_whitespace().count() > 5, "{trigger}: {}", briefing.text);
        assert!(!briefing.text.contains(['{', '}', '[', ']']), "{trigger}: {}", briefing.text);
        assert!(briefing.text.ends_with("The record is not in the system yet."));
    }
}

#[test]
fn a_briefing_stays_within_twenty_seconds() {
    let mut intake = Intake::new(flow(), None);
    let _ = intake.begin();
    let story = "I ordered a kettle and then it never arrived and I called the courier and they said it was lost and then I called again and they said it was found and now I have no idea at all";
    let _ = intake.heard(story, 0.9);
    let _ = intake.heard("My name is Bartholomew Featherstonehaugh", 0.9);
    let _ = intake.heard("A 1042", 0.9);
    for trigger in TriggerName::ALL {
        let text = intake.briefing(trigger, &BriefingNotes::default()).text;
        assert!(text.split_whitespace().count() <= 60, "{trigger}: {text}");
        assert!(text.contains("Bartholomew Featherstonehaugh"), "{text}");
    }
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    /// What a caller may say, sense and nonsense.
    const SAYINGS: [&str; 24] = [
        "where is my order", "yes", "no", "A 1042", "A one zero four three", "my name is John Smith", "this is Maria Gomez", "I want a refund of $300",
        "agent please", "hold on", "I don't have it", "what?", "I'm calling for my mother Ellen Park", "thanks, bye", "blah blah blah blah", "one",
        "there is a fire, it's an emergency", "that's all", "this number", "five five five one two three four", "99", "cancel my order", "0", "hm",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        /// However a conversation goes: it never panics, every way out has a disposition, and the briefing names no slot
        /// value that is not in the form.
        #[test]
        fn any_conversation_holds(turns in proptest::collection::vec((0usize..27, 0usize..3), 1..25)) {
            let mut intake = Intake::new(flow(), None);
            let mut said = Vec::new();
            let first = intake.begin();
            let _ = settle(&mut intake, first, &mut said);
            for (saying, contact) in turns {
                intake.contact_found(contacts()[contact].clone());
                let next = match saying {
                    24 => intake.no_input(),
                    25 => intake.not_understood(),
                    26 => intake.digits("1042"),
                    n => intake.heard(SAYINGS[n], 0.8),
                };
                let before = said.len();
                let reply = settle(&mut intake, next, &mut said);
                // Nothing about an order is read out to somebody who is not its holder.
                if intake.account_holder() != Some(true) {
                    prop_assert!(!said[before..].iter().any(|s| s.contains("delayed") || s.contains("is shipped")));
                }
                match reply.next {
                    Next::Escalate { trigger, disposition, queue } => {
                        prop_assert!(!disposition.is_empty() && !queue.is_empty());
                        let text = intake.briefing(trigger, &BriefingNotes::default()).text;
                        for known in ["A-1042", "A-1043", "A-2050", "$300.00", "John Smith", "Maria Gomez"] {
                            let collected = intake.form().iter().any(|(_, v)| v.value.contains(known))
                                || intake.contact().is_some_and(|c| c.name == known)
                                || intake.attempts().iter().any(|a| a.outcome.contains(known));
                            prop_assert!(!text.contains(known) || collected, "{known} in {text}");
                        }
                        break;
                    }
                    Next::Finish { disposition } => {
                        prop_assert!(!disposition.is_empty());
                        break;
                    }
                    Next::Listen { .. } | Next::Act(_) => prop_assert!(!reply.say.is_empty()),
                }
            }
        }
    }
}
