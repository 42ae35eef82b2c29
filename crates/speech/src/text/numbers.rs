//! Numbers in words, as American English says them.

/// "two hundred twelve".
pub(super) fn cardinal(n: u64) -> String {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let with =
        |head: String, rest: u64, join: &str| if rest == 0 { head } else { format!("{head}{join}{}", cardinal(rest)) };
    match n {
        0..20 => SMALL[n as usize].to_owned(),
        20..100 => with(TENS[n as usize / 10].to_owned(), n % 10, "-"),
        100..1_000 => with(format!("{} hundred", cardinal(n / 100)), n % 100, " "),
        1_000..1_000_000 => with(format!("{} thousand", cardinal(n / 1_000)), n % 1_000, " "),
        _ => with(format!("{} million", cardinal(n / 1_000_000)), n % 1_000_000, " "),
    }
}

/// A number with a decimal point: "three point five".
pub(super) fn decimal(text: &str) -> Option<String> {
    let (whole_part, fraction) = text.split_once('.')?;
    if fraction.is_empty() || fraction.len() > 6 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(format!("{} point {}", cardinal(whole(whole_part)?), spelled(fraction)))
}

/// Digits one by one.
pub(super) fn spelled(digits: &str) -> String {
    let words: Vec<String> = digits.chars().filter_map(|c| c.to_digit(10)).map(|d| cardinal(u64::from(d))).collect();
    words.join(" ")
}

/// A whole number, thousands separated by commas or not.
pub(super) fn whole(text: &str) -> Option<u64> {
    let mut groups = text.split(',');
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    if !rest.is_empty() && (first.len() > 3 || rest.iter().any(|g| g.len() != 3)) {
        return None;
    }
    let plain = text.replace(',', "");
    (!plain.is_empty() && plain.len() <= 12 && plain.bytes().all(|b| b.is_ascii_digit()))
        .then(|| plain.parse().ok())
        .flatten()
}

/// "twenty-third".
pub(super) fn ordinal(n: u64) -> String {
    const SMALL: [&str; 13] = [
        "", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
        "twelfth",
    ];
    match n {
        1..=12 => SMALL[n as usize].to_owned(),
        20 | 30 => format!("{}ieth", cardinal(n).trim_end_matches('y')),
        21..=31 => format!("{}-{}", cardinal(n / 10 * 10), ordinal(n % 10)),
        _ => format!("{}th", cardinal(n)),
    }
}
