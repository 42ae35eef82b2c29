use serde_json::json;

use super::*;

#[test]
fn card_numbers_written_and_spoken() {
    for (said, kept) in [
        ("my card is 4111 1111 1111 1111 thanks", "my card is [card number] thanks"),
        ("4111111111111111", "[card number]"),
        ("4111-1111-1111-1111.", "[card number]."),
        ("amex 3782 822463 10005", "amex [card number]"),
        ("it's 5555.5555.5555.4444, ok", "it's [card number], ok"),
        ("order 1042 card 4111 1111 1111 1111", "order 1042 card [card number]"),
        ("that is 12 4111 1111 1111 1111", "that is 12 [card number]"),
        ("four one one one, one one one one, one one one one, one one one one", "[card number]"),
        ("Four triple one double one double one double one double one double one double one", "[card number]"),
        ("forty one eleven eleven eleven eleven eleven eleven eleven", "[card number]"),
        ("two cards: 4111111111111111 and 5555555555554444", "two cards: [card number] and [card number]"),
        ("6304 0000 0000 0000", "[card number]"),
    ] {
        assert_eq!(text(said), kept, "{said}");
    }
}

#[test]
fn what_is_no_card_number_stays() {
    for said in [
        "4111 1111 1111 1112",       // the check digit is wrong
        "call me at +4915112345678", // a telephone number, whatever its sum
        "+1 (555) 123-0001",
        "order A-1042 from 2026-11-24",
        "one or two things, maybe three",
        "9999 9999 9999 9995", // no issuer
        "",
        "ünïcödé 4111 ünïcödé",
    ] {
        assert!(matches!(text(said), Cow::Borrowed(_)), "{said}: {}", text(said));
    }
}

#[test]
fn codes_after_their_name() {
    for (said, kept) in [
        ("my PIN is 4321", "my PIN is [code]"),
        ("the security code is 1 2 3", "the security code is [code]"),
        ("cvv: 123", "cvv: [code]"),
        ("the code was four seven one one", "the code was [code]"),
        ("passcode double one two", "passcode [code]"),
        ("the code, um, it's 998877.", "the code, um, it's [code]."),
    ] {
        assert_eq!(text(said), kept, "{said}");
    }
    for said in
        ["zip code is 90210", "my area code 555", "order code 1042", "I got 2 codes", "the pin fell off my 1042 kettle"]
    {
        assert!(matches!(text(said), Cow::Borrowed(_)), "{said}: {}", text(said));
    }
}

#[test]
fn a_record_keeps_its_shape_and_loses_its_secrets() {
    let mut record = json!({
        "call_id": "4111111111111111", "from": "+15551230001",
        "turns": [
            {"who": "assistant", "text": "Please enter your PIN."},
            {"who": "caller", "text": "4 3 2 1", "dtmf": true},
            {"who": "assistant", "text": "And the order number?"},
            {"who": "caller", "text": "1042"},
            {"who": "caller", "text": "charge it to 4111 1111 1111 1111"}],
        "slots": {"name": {"value": "Maria", "confirmed": true, "source": "speech"},
                  "pin": {"value": "4321", "confirmed": true, "source": "dtmf"},
                  "zip_code": {"value": "90210"}, "card": "5555555555554444", "otp": 9876},
        "summary": "paid with 4111111111111111"});
    assert!(json(&mut record));
    assert_eq!(
        record,
        json!({
            "call_id": "4111111111111111", "from": "+15551230001",
            "turns": [
                {"who": "assistant", "text": "Please enter your PIN."},
                {"who": "caller", "text": "[code]", "dtmf": true},
                {"who": "assistant", "text": "And the order number?"},
                {"who": "caller", "text": "1042"},
                {"who": "caller", "text": "charge it to [card number]"}],
            "slots": {"name": {"value": "Maria", "confirmed": true, "source": "speech"},
                      "pin": {"value": "[code]", "confirmed": true, "source": "dtmf"},
                      "zip_code": {"value": "90210"}, "card": "[code]", "otp": "[code]"},
            "summary": "paid with [card number]"})
    );
    assert!(!json(&mut record), "nothing is left to take out");
}

#[test]
fn every_valid_card_of_every_issuer_is_found() {
    // A walk over prefixes: complete each with its check digit.
    for (prefix, length) in
        [("4", 16), ("51", 16), ("2221", 16), ("34", 15), ("6011", 16), ("3528", 16), ("36", 14), ("62", 19)]
    {
        for body in 0..200_u64 {
            let mut digits = format!("{prefix}{:0width$}", body * 7_919, width = length - prefix.len() - 1);
            digits.truncate(length - 1);
            let check = (0..10).find(|d| luhn(&format!("{digits}{d}"))).unwrap();
            let number = format!("{digits}{check}");
            assert_eq!(text(&number), CARD, "{number}");
            assert_eq!(text(&format!("it is {} {}", &number[..4], &number[4..])), "it is [card number]", "{number}");
        }
    }
}

fn said(turns: &[(&str, &str, bool)]) -> Value {
    let turns: Vec<Value> =
        turns.iter().map(|(who, text, typed)| json!({"who": who, "text": text, "dtmf": typed})).collect();
    json!({"turns": turns})
}

fn texts(record: &Value) -> Vec<String> {
    record["turns"].as_array().unwrap().iter().map(|t| t["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_card_number_over_several_turns_goes_with_all_its_parts() {
    let mut record = said(&[
        ("caller", "I'd like to pay, it's four one one one, one one one one", false),
        ("assistant", "Sorry, I didn't get that.", false),
        ("caller", "wait a second", false),
        ("caller", "1111", false),
        ("assistant", "And then?", false),
        ("caller", "1111, thanks", false),
    ]);
    record["summary"] = json!("In the caller's words: \"it's four one one one, one one one one\".");
    record["slots"] = json!({"reason": {"value": "it's four one one one, one one one one", "source": "speech"},
                             "order_number": {"value": "1111"}});
    assert!(super::json(&mut record));
    assert_eq!(
        texts(&record),
        [
            "I'd like to pay, it's [card number]",
            "Sorry, I didn't get that.",
            "wait a second",
            "[card number]",
            "And then?",
            "[card number], thanks"
        ]
    );
    assert_eq!(record["summary"], "In the caller's words: \"it's [card number]\".");
    assert_eq!(record["slots"]["reason"]["value"], "it's [card number]");
    assert_eq!(record["slots"]["order_number"]["value"], "[card number]", "it was the card's");
    assert!(!super::json(&mut record), "nothing is left to take out");
}

#[test]
fn a_typed_card_number_is_known_before_its_end_and_over_pauses() {
    for typed in ["4111111111111111#", "411111111111", "41111111111111"] {
        let mut record = said(&[("caller", typed, true)]);
        assert!(super::json(&mut record), "{typed}");
        assert_eq!(texts(&record)[0].trim_end_matches('#'), CARD, "{typed}");
    }
    for (rest, left) in [("11111111#", "[card number]#"), ("1111", CARD)] {
        let mut record =
            said(&[("caller", "41111111", true), ("assistant", "Are you there?", false), ("caller", rest, true)]);
        assert!(super::json(&mut record));
        assert_eq!(texts(&record), [CARD, "Are you there?", left]);
    }
}

#[test]
fn numbers_of_several_turns_that_are_no_card_stay() {
    for turns in [
        vec![("caller", "order 1042", false), ("caller", "5551230001", true)],
        vec![("caller", "3921#", true), ("caller", "my number is 555 123 0010", false)],
        vec![("caller", "4111 1111", false), ("caller", "+49 1111 1111", false)],
        vec![("caller", "4111 1111 and then", false), ("assistant", "1111 1111?", false)],
        vec![
            ("caller", "4111 1111", false),
            ("caller", "a", false),
            ("caller", "b", false),
            ("caller", "c", false),
            ("caller", "1111 1111", false),
        ],
        vec![("caller", "41111111111", true)],
        vec![("caller", "155512300011", true)],
    ] {
        let mut record = said(&turns);
        let before = record.clone();
        super::json(&mut record);
        assert_eq!(record, before);
    }
}

#[test]
fn a_log_shows_no_figures() {
    assert_eq!(figures("it's A1042, call 555 123 0001 for two"), "it's A1042, call [figures] for two");
    assert_eq!(figures("four one one one and 1111"), "[figures] and [figures]");
    assert_eq!(figures("ünïcödé"), "ünïcödé");
}
