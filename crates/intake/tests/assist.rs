//! A language model may help and cannot invent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]

mod support;

use baton_intake::{AnswerError, Day, Intake};

fn talking() -> Intake {
    let mut intake = Intake::new(support::corpus::flow("claim", None), None);
    intake.set_today(Day::new(2026, 11, 24).unwrap());
    intake.begin();
    intake.heard(
        "I want to file a claim, it was the Tuesday before Thanksgiving week, well, on November 17th or so",
        0.9,
    );
    intake.heard("Frank Miller", 0.9);
    intake.heard("yes, and I reckon we are looking at, what, eighteen hundred dollars", 0.9);
    intake
}

#[test]
fn takes_what_was_said_in_the_callers_words() {
    let mut intake = Intake::new(support::corpus::flow("claim", None), None);
    assert_eq!(intake.question(), None, "nothing was said yet");
    intake.set_today(Day::new(2026, 11, 24).unwrap());
    intake.begin();
    intake.heard("well my neighbor did it with his truck and it cost me around nine hundred at the garage", 0.9);
    let question = intake.question().unwrap();
    assert!(question.user.contains("- amount: estimated loss") && question.user.contains("nine hundred"));
    let taken = intake
        .answered(r#"{"slots":[{"slot":"amount","quote":"around nine hundred"}],"summary":"A truck did damage for nine hundred."}"#)
        .unwrap();
    assert_eq!(taken.slots, ["amount"]);
    assert!(taken.summary.is_some());
    assert!(
        intake.summary(None).ends_with("In short: A truck did damage for nine hundred."),
        "{}",
        intake.summary(None)
    );
    assert_eq!(intake.form().text("amount"), Some("$900"));
    assert!(!intake.form().slots()["amount"].confirmed);
}

#[test]
fn cannot_invent_a_value() {
    let mut intake = talking();
    let before = intake.form().clone();
    let taken = intake
        .answered(
            r#"{"slots":[{"slot":"policy_number","quote":"HM 882104"},{"slot":"email","quote":"frank at example dot com"},
            {"slot":"injured","quote":"yes"},{"slot":"nothing","quote":"Frank"},{"slot":"cause","quote":""}],
            "summary":"Frank Miller lost 2500 dollars in Boston."}"#,
        )
        .unwrap();
    assert_eq!((taken.slots.len(), taken.refused.len(), taken.summary), (0, 5, None));
    assert_eq!(*intake.form(), before);
}

#[test]
fn a_filled_slot_is_not_changed() {
    let mut intake = talking();
    let date = intake.form().text("incident_date").map(str::to_owned);
    intake.answered(r#"{"slots":[{"slot":"incident_date","quote":"on November 17th"}],"summary":null}"#).unwrap();
    assert!(date.is_none() || intake.form().text("incident_date").map(str::to_owned) == date);
}

#[test]
fn other_json_is_refused() {
    for bad in
        ["", "sure, here you are", "[]", r#"{"slots":{}}"#, r#"{"slots":[],"note":"x"}"#, r#"{"slots":[{"slot":"a"}]}"#]
    {
        assert!(matches!(talking().answered(bad), Err(AnswerError::Malformed(_))), "{bad}");
    }
}
