use super::*;

#[test]
fn figures_become_words() {
    for (text, spoken) in [
        ("$212.50", "two hundred twelve dollars and fifty cents"),
        ("It's $1.", "It's one dollar."),
        ("$0.99,", "ninety-nine cents,"),
        ("$1,250", "one thousand two hundred fifty dollars"),
        ("€5.01 or £2.01", "five euros and one cent or two pounds and one penny"),
        ("$1.5 million.", "one point five million dollars."),
        ("order A-1042, please", "order A one zero four two, please"),
        ("#A-1042", "A one zero four two"),
        ("SO-20391.", "S O two zero three nine one."),
        ("call +15551230001.", "call five five five, one two three, zero zero zero one."),
        ("call (555) 123-0001, or", "call five five five, one two three, zero zero zero one, or"),
        ("+1 555 123 0001.", "five five five, one two three, zero zero zero one."),
        ("555 123 0001", "five five five, one two three, zero zero zero one"),
        ("+442071838750", "four four two, zero seven one, eight three eight, seven five zero"),
        ("rooms 555 123, 4567", "rooms 555 123, 4567"),
        ("on 2026-12-01.", "on December first."),
        ("2026-11-23", "November twenty-third"),
        ("2026-11-30", "November thirtieth"),
        ("12/24/2026,", "December twenty-fourth,"),
        ("by December 1, 2026", "by December first, 2026"),
        ("Dec. 22nd.", "December twenty-second."),
        ("May 45", "May 45"),
        ("at 14:05", "at two oh five P M"),
        ("0:30", "twelve thirty A M"),
        ("9:00", "nine o'clock"),
        ("2:05 pm,", "two oh five P M,"),
        ("from 9am to 5 p.m.", "from nine A M to five P M."),
        ("I am 9 am I?", "I am nine A M I?"),
        ("15%", "fifteen percent"),
        ("2.5%", "two point five percent"),
        ("3.5 stars, 1,250 of them", "three point five stars, one thousand two hundred fifty of them"),
        ("2-3 days", "two to three days"),
        ("24/7", "twenty-four seven"),
        ("a.b@shop.example", "a dot b at shop dot example"),
        ("maria_g42@shop-it.example.", "maria underscore g four two at shop dash it dot example."),
        ("www.shop.example/help.", "www dot shop dot example slash help."),
        ("G-O-M-E-Z.", "G O M E Z."),
        ("Dr. Park", "Doctor Park"),
        ("salt & pepper", "salt and pepper"),
        ("Press 1 to accept, 2 to decline.", "Press 1 to accept, 2 to decline."),
        ("Gomez, the account holder.", "Gomez, the account holder."),
        ("the 2nd one", "the 2nd one"),
        ("20391", "two zero three nine one"),
        ("Well... yes", "Well... yes"),
    ] {
        assert_eq!(speakable(text), spoken, "{text}");
    }
}

#[test]
fn clauses_keep_every_word_and_the_first_is_short() {
    let text = "Thanks for calling Northwind. I'm an automated assistant, and this call may be transcribed. How can I help? Dr. Who knows";
    let parts = clauses(text);
    assert_eq!(parts[0], "Thanks for calling Northwind.");
    assert_eq!(parts.join(" "), text);
    assert!(parts.contains(&"Dr. Who knows".to_owned()));
    assert!(clauses("").is_empty());
    assert_eq!(clauses("Thanks, Maria, your order ships on Dec. 1.")[0], "Thanks, Maria,");
    assert_eq!(clauses("It ships on Dec. 1.").len(), 1);
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived(text in ".{0,80}") {
        let _ = speakable(&text);
        proptest::prop_assert_eq!(clauses(&text).join(" "), text.split_whitespace().collect::<Vec<_>>().join(" "));
    }

    #[test]
    fn any_figures_are_survived(text in "[-+$€£#%.,:/@()0-9A-Zapm ]{0,40}") {
        let _ = speakable(&text);
    }
}
