use super::*;
use crate::understand::words::words;

/// What is said → the digits that are meant.
const DIGITS: &[(&str, &str)] = &[
    ("1042", "1042"),
    ("1,042", "1042"),
    ("10:42", "1042"),
    ("10 42", "1042"),
    ("10-42", "1042"),
    ("1-0-4-2", "1042"),
    ("1 0 4 2", "1042"),
    ("1, 0, 4, 2.", "1042"),
    ("one zero four two", "1042"),
    ("one oh four two", "1042"),
    ("one o four two", "1042"),
    ("One-oh-four-two.", "1042"),
    ("one, zero, four, two", "1042"),
    ("ten forty two", "1042"),
    ("ten forty-two", "1042"),
    ("ten four two", "1042"),
    ("one zero forty two", "1042"),
    ("one oh forty two", "1042"),
    ("1 oh 42", "1042"),
    ("one thousand forty two", "1042"),
    ("one thousand and forty two", "1042"),
    ("a thousand and forty two", "1042"),
    ("1 thousand 42", "1042"),
    ("ten hundred forty two", "1042"),
    ("twenty three oh five", "2305"),
    ("twenty-three zero five", "2305"),
    ("two three oh five", "2305"),
    ("two thousand three hundred five", "2305"),
    ("two thousand three hundred and five", "2305"),
    ("twenty three hundred five", "2305"),
    ("twenty oh five", "2005"),
    ("two zero three nine one", "20391"),
    ("two oh three ninety one", "20391"),
    ("twenty three ninety one", "2391"),
    ("twenty thousand three hundred ninety one", "20391"),
    ("20,391", "20391"),
    ("20 391", "20391"),
    ("double four two one", "4421"),
    ("one double oh two", "1002"),
    ("double zero seven", "007"),
    ("triple five one two", "55512"),
    ("one triple zero", "1000"),
    ("treble nine", "999"),
    ("double 5 1 2", "5512"),
    ("nine niner nine", "999"),
    ("eleven twelve", "1112"),
    ("thirteen nineteen", "1319"),
    ("forty forty", "4040"),
    ("fifty fifty one", "5051"),
    ("ninety nine ninety nine", "9999"),
    ("sixty one hundred", "6100"),
    ("four hundred", "400"),
    ("one hundred four", "104"),
    ("one hundred and four", "104"),
    ("seven hundred sixty eight", "768"),
    ("nought nought one", "001"),
    ("five five five one two three four five six seven", "5551234567"),
    ("five five five, one twenty three, forty five sixty seven", "5551234567"),
    ("(555) 123-4567", "5551234567"),
    ("555 123 4567", "5551234567"),
    ("triple five, one two three, four five six seven", "5551234567"),
    ("eight hundred five five five oh one two three", "8005550123"),
    ("plus one five five five", "1555"),
    ("zero", "0"),
    ("the number is one oh four two I think", "1042"),
    ("uh one um zero four uh two", "1042"),
    ("nothing here", ""),
    ("double trouble", ""),
];

/// What is said → the quantity that is meant.
const CARDINALS: &[(&str, u64)] = &[
    ("two hundred twelve", 212),
    ("two hundred and twelve", 212),
    ("two twelve", 212),
    ("four hundred", 400),
    ("a hundred", 100),
    ("a hundred and twenty", 120),
    ("a couple hundred", 200),
    ("a couple of hundred", 200),
    ("twelve hundred", 1200),
    ("one thousand two hundred", 1200),
    ("one thousand two hundred and fifty six", 1256),
    ("a thousand", 1000),
    ("two grand", 2000),
    ("3 hundred", 300),
    ("450", 450),
    ("forty five", 45),
    ("nineteen", 19),
    ("three fifty", 350),
    ("zero", 0),
];

#[test]
fn reads_digits() {
    for (said, meant) in DIGITS {
        assert_eq!(all_digits(&words(said)), *meant, "{said}");
    }
}

#[test]
fn reads_cardinals() {
    for (said, meant) in CARDINALS {
        let words = words(said);
        assert_eq!(cardinal(&words, 0), Some((*meant, words.len())), "{said}");
    }
}

#[test]
fn never_overflows() {
    let huge = words("99999999999999999999 thousand million nine hundred million million");
    for at in 0..huge.len() {
        let _ = cardinal(&huge, at);
        let _ = digits(&huge, at);
    }
}
