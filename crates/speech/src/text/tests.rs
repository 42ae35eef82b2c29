//! What people write, and what a voice is to say.

use super::{clauses, speakable};

#[track_caller]
fn says(cases: &[(&str, &str)]) {
    let wrong: Vec<_> = cases.iter().map(|(t, s)| (*t, *s, speakable(t))).filter(|(_, s, got)| s != got).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (_, said) in cases {
        assert_eq!(speakable(said), *said, "twice is once");
    }
}

#[test]
fn money() {
    says(&[
        ("$212.50", "two hundred twelve dollars and fifty cents"),
        ("It's $1.", "It's one dollar."),
        ("$0.99,", "ninety-nine cents,"),
        ("$0.01", "one cent"),
        ("$1,250", "one thousand two hundred fifty dollars"),
        ("$1,250.05?", "one thousand two hundred fifty dollars and five cents?"),
        ("a refund of -$5", "a refund of minus five dollars"),
        ("€49.99 or £5.01", "forty-nine euros and ninety-nine cents or five pounds and one penny"),
        ("$1.2 million", "one point two million dollars"),
        ("$5k", "five thousand dollars"),
        ("USD 212.50", "two hundred twelve dollars and fifty cents"),
        ("212.50 dollars", "two hundred twelve dollars and fifty cents"),
        ("between $10-$20", "between ten to twenty dollars"),
        ("The $89.90 refund", "The eighty-nine dollars and ninety cents refund"),
        ("US$12", "twelve dollars"),
    ]);
}

#[test]
fn order_numbers() {
    says(&[
        ("order A-1042, please", "order A one zero four two, please"),
        ("order #A-1042.", "order A one zero four two."),
        ("A1042", "A one zero four two"),
        ("a-1042", "A one zero four two"),
        ("SO-20391.", "S O two zero three nine one."),
        ("order 1042", "order one zero four two"),
        ("order number is 1042.", "order number is one zero four two."),
        ("orders 1042 and 1043", "orders one zero four two and one zero four three"),
        ("order #1042", "order one zero four two"),
        ("ticket: 88120", "ticket: eight eight one two zero"),
        ("20391", "two zero three nine one"),
        ("007", "zero zero seven"),
        ("extension 201", "extension two zero one"),
        ("ext. 2001", "extension two zero zero one"),
        ("We are #1", "We are number one"),
        (
            "114-3941689-8772232",
            "one one four, three nine four, one six eight nine, eight seven seven, two two three two",
        ),
        ("1Z999AA1", "one Z nine nine nine A A one"),
        ("COVID-19 and Model-3", "COVID nineteen and Model three"),
        ("code 12345678", "code one two three four, five six seven eight"),
        ("G-O-M-E-Z", "G O M E Z"),
        ("INV_2024_001", "I N V, two zero two four, zero zero one"),
    ]);
}

#[test]
fn telephone_numbers() {
    let ours = "five five five, one two three, four five six seven";
    for form in [
        "+15551234567",
        "+1 555 123 4567",
        "1-555-123-4567",
        "(555) 123-4567",
        "555-123-4567",
        "555.123.4567",
        "5551234567",
        "+1 (555) 123-4567",
    ] {
        assert_eq!(speakable(&format!("Call {form}, please.")), format!("Call {ours}, please."), "{form}");
        assert_eq!(speakable(&format!("It is {form}.")), format!("It is {ours}."), "{form}");
    }
    says(&[
        ("555-1234", "five five five, one two three four"),
        ("+442079460958", "plus four four, two zero seven, nine four six, zero nine five eight"),
        ("020 7946 0958", "zero two zero, seven nine four, six zero nine, five eight"),
        ("+1 555 123 4567 20 items", "five five five, one two three, four five six seven twenty items"),
        ("call 5551234567. 2 items", "call five five five, one two three, four five six seven. two items"),
        ("+4915112345678", "plus four nine, one five one, one two three, four five six, seven eight"),
    ]);
}

#[test]
fn dates_and_times() {
    says(&[
        ("on 2026-12-01.", "on December first, twenty twenty-six."),
        ("2026-11-24T14:05:00Z", "November twenty-fourth, twenty twenty-six at two oh five P M"),
        ("by 11/24.", "by November twenty-fourth."),
        ("11/24/2026", "November twenty-fourth, twenty twenty-six"),
        ("24/11", "November twenty-fourth"),
        ("11/3/26", "November third, twenty twenty-six"),
        ("open 24/7", "open twenty-four seven"),
        ("November 24, 2026, at noon", "November twenty-fourth, twenty twenty-six, at noon"),
        ("Nov. 24 it was", "November twenty-fourth it was"),
        ("Nov 24th.", "November twenty-fourth."),
        ("24 November 2026", "November twenty-fourth, twenty twenty-six"),
        ("Tue, Nov 24", "Tuesday, November twenty-fourth"),
        ("since November 2026", "since November twenty twenty-six"),
        ("May 5", "May fifth"),
        ("in 1999", "in nineteen ninety-nine"),
        ("at 14:05", "at two oh five P M"),
        ("9:00", "nine o'clock"),
        ("9:30", "nine thirty"),
        ("09:30", "nine thirty A M"),
        ("00:15", "twelve fifteen A M"),
        ("12:00", "twelve o'clock"),
        ("3pm", "three P M"),
        ("3:05 p.m. tomorrow", "three oh five P M tomorrow"),
        ("at 3 p.m. We open", "at three P M. We open"),
        ("9am-5pm", "nine A M to five P M"),
        ("9-5pm", "nine to five P M"),
        ("the 2nd and 21st", "the second and twenty-first"),
        ("the 12th, 20th and 30th", "the twelfth, twentieth and thirtieth"),
    ]);
}

#[test]
fn the_rest() {
    says(&[
        ("15%", "fifteen percent"),
        ("2.5%.", "two point five percent."),
        ("10-15%", "ten to fifteen percent"),
        ("2-3 days", "two to three days"),
        ("3.75", "three point seven five"),
        ("1,250 items", "one thousand two hundred fifty items"),
        ("1500 items", "one thousand five hundred items"),
        ("5 kg", "five kilograms"),
        ("1 lb.", "one pound."),
        ("72°F", "seventy-two degrees Fahrenheit"),
        ("a.b@shop.example", "a dot b at shop dot example"),
        ("maria_gomez7@mail-1.co.uk.", "maria underscore gomez seven at mail dash one dot co dot U K."),
        ("https://www.shop.example/help", "shop dot example slash help"),
        ("Dr. Park", "Doctor Park"),
        ("on Elm Dr.", "on Elm Drive."),
        ("St. Louis, 12 Main St.", "Saint Louis, twelve Main Street."),
        ("Mr. and Mrs. Cho", "Mister and Missis Cho"),
        ("No. 5", "number five"),
        ("order No. 5 of 7", "order number five of seven"),
        ("No. That is all.", "No. That is all."),
        ("What's your ETA?", "What's your E T A?"),
        ("your ID via DHL", "your I D via D H L"),
        ("boxes, bags, etc. are fine", "boxes, bags, et cetera are fine"),
        ("Press 1 to accept, 2 to decline.", "Press one to accept, two to decline."),
        ("Gomez, the account holder.", "Gomez, the account holder."),
        ("two items (both late)", "two items, both late,"),
        ("Salt & Co.", "Salt and Company."),
        ("late \u{2014} again\u{2026}", "late, again."),
        ("\u{201c}Hold on\u{201d}, it\u{2019}s fine!", "Hold on, it's fine!"),
        ("**Important:** read", "Important: read"),
        ("O'Brien and McDonald", "O'Brien and McDonald"),
        ("and/or", "and or"),
        ("", ""),
        ("  ...  ", ""),
    ]);
}

#[test]
fn the_first_clause_is_short_and_sentences_stay_whole() {
    let cut = |text: &str| clauses(text);
    assert_eq!(
        cut(
            "Thanks for calling Northwind. I'm an automated assistant, and this call may be transcribed. How can I help?"
        ),
        [
            "Thanks for calling Northwind.",
            "I'm an automated assistant, and this call may be transcribed.",
            "How can I help?"
        ]
    );
    assert_eq!(
        cut("Maria Gomez, the account holder, wants a refund of $212.50 for order A-1042."),
        ["Maria Gomez,", "the account holder, wants a refund of $212.50 for order A-1042."]
    );
    assert_eq!(cut("Dr. Who knows. It cost 3.50 e.g. Yesterday."), ["Dr. Who knows.", "It cost 3.50 e.g. Yesterday."]);
    assert_eq!(cut("One moment, please."), ["One moment, please."]);
    assert_eq!(cut("At 3 p.m. on Nov. 24, 2026 it was delivered."), ["At 3 p.m. on Nov. 24, 2026 it was delivered."]);
    assert_eq!(cut("Press 1: accept; 2: decline."), ["Press 1:", "accept;", "2:", "decline."]);
    assert!(cut("").is_empty());
    let long =
        "I have looked everywhere in the system for your order but nothing under that number was there when I searched";
    assert!(cut(long)[0].len() < 70, "{:?}", cut(long));
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived(text in ".{0,60}") {
        let said = speakable(&text);
        proptest::prop_assert!(!said.contains(|c: char| c.is_ascii_digit()), "{said:?}");
        proptest::prop_assert_eq!(clauses(&text).join(" "), text.split_whitespace().collect::<Vec<_>>().join(" "));
    }

    #[test]
    fn no_figure_and_no_sign_is_left(text in "([A-Z]{0,2}[a-z]{0,4}[-#$+./:@(),%]{0,2}[0-9]{0,5}[-/:.,)% ]{0,2}){0,6}") {
        let said = speakable(&text);
        proptest::prop_assert!(!said.contains(|c: char| c.is_ascii_digit() || "$#@%".contains(c)), "{said:?}");
    }
}
