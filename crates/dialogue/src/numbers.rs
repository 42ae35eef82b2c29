//! Spoken numbers. Speech-to-text writes digits sometimes as figures and sometimes as words, and people say the same
//! number in many ways: "one oh four two", "ten forty-two", "1042", "double five". This module reads text into a row of
//! digits and letters, and into amounts of money. It knows nothing of slots.

/// One readable sign of a text, with the index of the word it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// Digits (one or more, in order) or one letter, upper case.
    pub text: String,
    /// Which word of the text it began at.
    pub word: usize,
    /// The word after its last.
    pub end: usize,
}

impl Sign {
    /// Whether it is digits.
    pub fn is_digits(&self) -> bool {
        self.text.bytes().all(|b| b.is_ascii_digit())
    }
}

/// The words of a text, lower case, without punctuation. A hyphen separates ("forty-two", "A-1042"), an apostrophe joins.
pub fn words(text: &str) -> Vec<String> {
    text.replace(['’', '‘'], "'")
        .split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '.' || c == '$' || c == '@' || c == '+'))
        .map(|w| w.trim_matches(|c: char| c == '.' || c == '\'').to_lowercase())
        .filter(|w| !w.is_empty())
        .collect()
}

/// Reads every digit and every spelled letter of `text`, in order. A word that is neither ends a run: it yields nothing, but
/// the signs around it keep their word indices, so a caller of this function sees the gap.
pub fn signs(text: &str) -> Vec<Sign> {
    let words = words(text);
    let mut out: Vec<Sign> = Vec::new();
    let mut i = 0;
    while i < words.len() {
        let word = words[i].as_str();
        let next = words.get(i + 1).map(String::as_str);
        let start = i;
        if let Some(times) = match word {
            "double" => Some(2),
            "triple" => Some(3),
            _ => None,
        } && let Some(digit) = next.and_then(digit)
        {
            out.push(Sign { text: digit.to_string().repeat(times), word: start, end: i + 2 });
            i += 2;
            continue;
        }
        if word.bytes().any(|b| b.is_ascii_digit()) {
            mixed(word, start, &mut out);
            i += 1;
            continue;
        }
        if let Some((value, used)) = spoken(&words[i..]) {
            out.push(Sign { text: value, word: start, end: i + used });
            i += used;
            continue;
        }
        if let Some((letter, used)) = letter(&words[i..]) {
            out.push(Sign { text: letter.to_string(), word: start, end: i + used });
            i += used;
            continue;
        }
        i += 1;
    }
    out
}

/// All digits of the text, in order.
pub fn digits(text: &str) -> String {
    signs(text).into_iter().filter(Sign::is_digits).map(|s| s.text).collect()
}

/// An amount of money in cents: "$212.50", "two hundred twelve dollars and fifty cents", "212 dollars", "four hundred
/// bucks". A bare number counts only if `asked`: the caller was just asked for an amount.
pub fn money(text: &str, asked: bool) -> Option<u64> {
    let words = words(text);
    const UNITS: [&str; 6] = ["dollar", "dollars", "bucks", "buck", "usd", "pounds"];
    // Written with a sign: $212.50, also "$1,200" (the comma has split it).
    if let Some(start) = words.iter().position(|w| w.starts_with('$')) {
        let mut figure = words[start].trim_start_matches('$').to_owned();
        if figure.is_empty() {
            figure = words.get(start + 1)?.clone();
        }
        if let Some(thousands) = words.get(start + 1).filter(|w| is_group(w) && !figure.contains('.') && figure.len() <= 3) {
            figure.push_str(thousands);
        }
        let mut cents = figure_cents(&figure)?;
        if words.get(start + 1).is_some_and(|w| w == "thousand") {
            cents *= 1_000;
        }
        return Some(cents);
    }
    let unit = words.iter().position(|w| UNITS.contains(&w.as_str()));
    let cents_at = words.iter().position(|w| w == "cents" || w == "cent");
    match unit {
        Some(unit) => {
            let whole = number_before(&words[..unit])?;
            let after = &words[unit + 1..];
            let cents = match cents_at {
                Some(at) if at > unit => whole_number(without_and(&words[unit + 1..at])).unwrap_or(0),
                _ => match without_and(after).first().and_then(|_| leading_number(without_and(after))) {
                    Some(n) if n < 100 => n, // "two hundred dollars fifty"
                    _ => 0,
                },
            };
            Some(whole * 100 + cents.min(99))
        }
        None if cents_at.is_some() => number_before(&words[..cents_at?]).filter(|c| *c < 100),
        None if asked => {
            if let Some(figure) = words.iter().find(|w| w.bytes().all(|b| b.is_ascii_digit() || b == b'.') && w.bytes().any(|b| b.is_ascii_digit())) {
                return figure_cents(figure);
            }
            let start = words.iter().position(|w| is_number_word(w))?;
            let run = words[start..].iter().take_while(|w| is_number_word(w) || *w == "and" || *w == "point").count();
            let run = &words[start..start + run];
            // "two twelve fifty" is 212.50 in a shop; "two hundred" is not 2.00.
            whole_number(run).map(|n| n * 100).or_else(|| price(run))
        }
        None => None,
    }
}

/// "two twelve fifty" → 21250; "forty nine ninety nine" → 4999.
fn price(run: &[String]) -> Option<u64> {
    let parts = groups(run)?;
    match parts.as_slice() {
        [a, b] if *b < 100 => Some(a * 100 + b),
        [a, b, c] if *a < 10 && *b < 100 && *c < 100 => Some((a * 100 + b) * 100 + c),
        _ => None,
    }
}

fn is_group(word: &str) -> bool {
    let whole = word.split('.').next().unwrap_or_default();
    whole.len() == 3 && whole.bytes().all(|b| b.is_ascii_digit())
}

fn figure_cents(figure: &str) -> Option<u64> {
    let (whole, fraction) = figure.split_once('.').unwrap_or((figure, ""));
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let cents: u64 = match fraction.len() {
        0 => 0,
        1 => fraction.parse::<u64>().ok()? * 10,
        _ => fraction.get(..2)?.parse().ok()?,
    };
    whole.checked_mul(100)?.checked_add(cents)
}

fn without_and(words: &[String]) -> &[String] {
    match words.split_first() {
        Some((first, rest)) if first == "and" => rest,
        _ => words,
    }
}

fn leading_number(words: &[String]) -> Option<u64> {
    let run = words.iter().take_while(|w| is_number_word(w) || w.bytes().all(|b| b.is_ascii_digit())).count();
    whole_number(&words[..run])
}

/// The number that ends at the end of `words`.
fn number_before(words: &[String]) -> Option<u64> {
    let last = words.last()?;
    if last.bytes().any(|b| b.is_ascii_digit()) {
        let mut figure = last.clone();
        if let Some(before) = words.len().checked_sub(2).and_then(|i| words.get(i))
            && is_group(last)
            && before.bytes().all(|b| b.is_ascii_digit())
            && before.len() <= 3
        {
            figure = format!("{before}{last}");
        }
        return figure_cents(&figure).map(|c| c / 100);
    }
    let run = words.iter().rev().take_while(|w| is_number_word(w) || *w == "and" || *w == "a").count();
    let run = &words[words.len() - run..];
    let run = if run.first().is_some_and(|w| w == "and") { &run[1..] } else { run };
    whole_number(run).or_else(|| {
        let parts = groups(run)?;
        match parts.as_slice() {
            [a, b] if *a < 100 && (10..100).contains(b) => Some(a * 100 + b), // "two twelve dollars"
            _ => None,
        }
    })
}

fn is_number_word(word: &str) -> bool {
    digit(word).is_some() || small(word).is_some() || matches!(word, "hundred" | "thousand")
}

/// A number said as a quantity: "two hundred (and) twelve", "a thousand", "forty two", "212".
pub fn whole_number(words: &[String]) -> Option<u64> {
    let (mut total, mut current, mut any) = (0u64, 0u64, false);
    let mut last_scale = u64::MAX; // what may still follow: forty → units only
    for word in words {
        if word == "and" && any {
            continue;
        }
        if word == "a" {
            (current, any) = (1, true);
            continue;
        }
        if word.bytes().all(|b| b.is_ascii_digit()) {
            current += word.parse::<u64>().ok()?;
            any = true;
            continue;
        }
        match word.as_str() {
            "hundred" => (current, last_scale) = (current.max(1).checked_mul(100)?, 100),
            "thousand" => {
                total += current.max(1).checked_mul(1_000)?;
                (current, last_scale) = (0, 1_000);
            }
            _ => {
                let value = small(word)?;
                let scale = if value >= 20 { 10 } else { 1 };
                let fits = match last_scale {
                    u64::MAX | 100 | 1_000 => true,
                    10 => value < 10,
                    _ => false,
                };
                if !fits {
                    return None;
                }
                current += value;
                last_scale = scale;
            }
        }
        any = true;
    }
    any.then_some(total + current)
}

/// Splits "two twelve fifty" into [2, 12, 50].
fn groups(words: &[String]) -> Option<Vec<u64>> {
    let mut out: Vec<u64> = Vec::new();
    let mut i = 0;
    while i < words.len() {
        let value = small(&words[i])?;
        if value >= 20 && let Some(unit) = words.get(i + 1).and_then(|w| small(w)).filter(|u| (1..10).contains(u)) {
            out.push(value + unit);
            i += 2;
        } else {
            out.push(value);
            i += 1;
        }
    }
    Some(out)
}

/// Digits at the start of `words` as they are said in a number that is read out: one group ("forty two" → "42", "ten" →
/// "10", "two hundred" → "200", "one thousand forty two" → "1042"), and how many words it took.
fn spoken(words: &[String]) -> Option<(String, usize)> {
    let first = words.first()?.as_str();
    if let Some(d) = digit(first) {
        // "one thousand forty two", "two hundred": a quantity, not a digit.
        if words.get(1).is_some_and(|w| w == "thousand" || w == "hundred") {
            let run = words.iter().take_while(|w| is_number_word(w) || *w == "and").count();
            for used in (2..=run).rev() {
                if words[used - 1] != "and" && let Some(value) = whole_number(&words[..used]) {
                    return Some((value.to_string(), used));
                }
            }
        }
        return Some((d.to_string(), 1));
    }
    let value = small(first)?;
    if value >= 20 {
        if let Some(unit) = words.get(1).and_then(|w| small(w)).filter(|u| (1..10).contains(u)) {
            if words.get(2).is_some_and(|w| w == "hundred") {
                return Some((((value + unit) * 100).to_string(), 3)); // "twenty-three hundred"
            }
            return Some(((value + unit).to_string(), 2));
        }
        if words.get(1).is_some_and(|w| w == "hundred") {
            return Some((format!("{}", value * 100), 2));
        }
    } else if words.get(1).is_some_and(|w| w == "hundred") {
        return Some((format!("{}", value * 100), 2)); // "ten hundred", "twelve hundred"
    }
    Some((value.to_string(), 1))
}

/// A word of letters and figures together: "a1042", "1042", "so20391".
fn mixed(word: &str, at: usize, out: &mut Vec<Sign>) {
    let word = word.trim_start_matches(['$', '+']);
    // "1st" and "2nd" are not signs to be kept apart; their digits are what was said.
    let ordinal = ["st", "nd", "rd", "th"].iter().any(|s| word.strip_suffix(s).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())));
    let mut digits = String::new();
    for c in word.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
        } else if c.is_ascii_alphabetic() && !ordinal {
            if !digits.is_empty() {
                out.push(Sign { text: std::mem::take(&mut digits), word: at, end: at + 1 });
            }
            out.push(Sign { text: c.to_ascii_uppercase().to_string(), word: at, end: at + 1 });
        }
    }
    if !digits.is_empty() {
        out.push(Sign { text: digits, word: at, end: at + 1 });
    }
}

fn digit(word: &str) -> Option<u8> {
    Some(match word {
        "zero" | "oh" | "o" | "nought" | "naught" => 0,
        "one" => 1,
        "two" => 2,
        "three" => 3,
        "four" => 4,
        "five" => 5,
        "six" => 6,
        "seven" => 7,
        "eight" => 8,
        "nine" | "niner" => 9,
        _ => return None,
    })
}

fn small(word: &str) -> Option<u64> {
    if let Some(d) = digit(word).filter(|_| word != "o") {
        return Some(u64::from(d));
    }
    Some(match word {
        "ten" => 10,
        "eleven" => 11,
        "twelve" => 12,
        "thirteen" => 13,
        "fourteen" => 14,
        "fifteen" => 15,
        "sixteen" => 16,
        "seventeen" => 17,
        "eighteen" => 18,
        "nineteen" => 19,
        "twenty" => 20,
        "thirty" => 30,
        "forty" | "fourty" => 40,
        "fifty" => 50,
        "sixty" => 60,
        "seventy" => 70,
        "eighty" => 80,
        "ninety" => 90,
        _ => return None,
    })
}

/// A spelled letter at the start of `words`: "a", "b as in bravo", "bravo", "ay". And how many words it took.
fn letter(words: &[String]) -> Option<(char, usize)> {
    let first = words.first()?.as_str();
    let mut chars = first.chars();
    let single = match (chars.next(), chars.next()) {
        (Some(c), None) if c.is_ascii_alphabetic() => Some(c.to_ascii_uppercase()),
        _ => None,
    };
    let named = single.or_else(|| LETTERS.iter().find(|(name, _)| *name == first).map(|(_, c)| *c))?;
    // "A as in apple", "B for Bravo": the word after only confirms. "a for" alone is English, so "for" needs the letter.
    let as_in = words.get(1).is_some_and(|w| w == "as") && words.get(2).is_some_and(|w| w == "in");
    let starts = |i: usize| words.get(i).is_some_and(|w| w.starts_with(named.to_ascii_lowercase()));
    let like = words.get(1).is_some_and(|w| w == "for" || w == "like");
    let used = if as_in && starts(3) { 4 } else if like && starts(2) { 3 } else { 1 };
    Some((named, used))
}

/// The spelling alphabet, and letters as speech-to-text writes them.
const LETTERS: [(&str, char); 40] = [
    ("alpha", 'A'), ("alfa", 'A'), ("bravo", 'B'), ("charlie", 'C'), ("delta", 'D'), ("echo", 'E'), ("foxtrot", 'F'),
    ("golf", 'G'), ("hotel", 'H'), ("india", 'I'), ("juliet", 'J'), ("juliett", 'J'), ("kilo", 'K'), ("lima", 'L'),
    ("mike", 'M'), ("november", 'N'), ("oscar", 'O'), ("papa", 'P'), ("quebec", 'Q'), ("romeo", 'R'), ("sierra", 'S'),
    ("tango", 'T'), ("uniform", 'U'), ("victor", 'V'), ("whiskey", 'W'), ("xray", 'X'), ("yankee", 'Y'), ("zulu", 'Z'),
    ("ay", 'A'), ("bee", 'B'), ("cee", 'C'), ("dee", 'D'), ("ef", 'F'), ("gee", 'G'), ("jay", 'J'), ("kay", 'K'),
    ("el", 'L'), ("em", 'M'), ("en", 'N'), ("zed", 'Z'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_as_they_are_said() {
        for (text, expected) in [
            ("1042", "1042"),
            ("one zero four two", "1042"),
            ("one oh four two", "1042"),
            ("ten forty-two", "1042"),
            ("ten forty two", "1042"),
            ("ten four two", "1042"),
            ("one thousand forty-two", "1042"),
            ("one thousand and forty two", "1042"),
            ("twenty three oh five", "2305"),
            ("twenty-three hundred", "2300"),
            ("double five one nine", "5519"),
            ("triple seven", "777"),
            ("nineteen ninety nine", "1999"),
            ("two three nine one", "2391"),
            ("It's 2-0-3-9-1.", "20391"),
            ("five five five, one two three, zero zero zero one", "5551230001"),
            ("555-123-0001", "5551230001"),
            ("(555) 123 0001", "5551230001"),
            ("sixteen", "16"),
            ("sixty", "60"),
            ("eighty eight", "88"),
            ("I have no idea", ""),
            ("two hundred", "200"),
            ("three hundred and four", "304"),
            ("niner niner", "99"),
            ("1 0 4 2", "1042"),
        ] {
            assert_eq!(digits(text), expected, "{text}");
        }
    }

    #[test]
    fn letters_as_they_are_spelled() {
        for (text, expected) in [
            ("A-1042", "A 1042"),
            ("a1042", "A 1042"),
            ("A as in apple one zero four two", "A 1 0 4 2"),
            ("alpha 1042", "A 1042"),
            ("B for bravo, 77", "B 77"),
            ("S O 20391", "S O 20391"),
            ("so20391", "S O 20391"),
            ("A dash one oh four two", "A 1 0 4 2"),
            ("November 4", "N 4"),
            ("jay 17", "J 17"),
        ] {
            let read: Vec<String> = signs(text).into_iter().map(|s| s.text).collect();
            // "O" after a letter reads as the digit zero; an order number's mask sorts that out.
            assert_eq!(read.join(" ").replace("S 0", "S O"), expected, "{text}");
        }
    }

    #[test]
    fn money_as_it_is_said() {
        for (text, asked, expected) in [
            ("$212.50", false, Some(21_250)),
            ("they charged me $212", false, Some(21_200)),
            ("$1,250.75", false, Some(125_075)),
            ("two hundred twelve dollars and fifty cents", false, Some(21_250)),
            ("two hundred and twelve dollars", false, Some(21_200)),
            ("212 dollars", false, Some(21_200)),
            ("about four hundred bucks", false, Some(40_000)),
            ("a hundred dollars", false, Some(10_000)),
            ("twelve hundred dollars", false, Some(120_000)),
            ("two twelve fifty", true, Some(21_250)),
            ("forty nine ninety nine", true, Some(4_999)),
            ("forty nine dollars and ninety-nine cents", false, Some(4_999)),
            ("fifty cents", false, Some(50)),
            ("212.5", true, Some(21_250)),
            ("three hundred", true, Some(30_000)),
            ("three hundred", false, None),
            ("order 1042", false, None),
            ("one thousand two hundred dollars", false, Some(120_000)),
            ("1,200 dollars", false, Some(120_000)),
            ("I don't know", true, None),
            ("eighty-nine dollars", false, Some(8_900)),
            ("$89", true, Some(8_900)),
            ("two twelve dollars", false, Some(21_200)),
        ] {
            assert_eq!(money(text, asked), expected, "{text}");
        }
    }
}
