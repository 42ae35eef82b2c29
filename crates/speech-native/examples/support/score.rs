//! Word error rate, with numbers compared by value: "two hundred and eighty dollars" is "$280", "A one zero four two" is
//! "A-1042".
#![allow(dead_code, reason = "not every example needs all of it")]

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

/// The words to compare: lower case, no punctuation, numbers in figures and neighbouring ones as one.
pub fn canonical(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for token in
        text.to_lowercase().replace(['\u{2019}', '`'], "'").split(|c: char| c.is_whitespace() || "-–—/".contains(c))
    {
        let dollars = token.contains('$');
        let mut part = String::new();
        for c in token.chars().filter(|c| c.is_alphanumeric() || *c == '\'') {
            if part.chars().last().is_some_and(|l| l.is_ascii_digit() != c.is_ascii_digit()) {
                words.push(std::mem::take(&mut part));
            }
            part.push(c);
        }
        words.push(part);
        if dollars {
            words.push("dollars".into());
        }
    }
    words.retain(|w| !w.is_empty());
    let mut out: Vec<String> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let (figures, used) = number(&words[at..]);
        if used == 0 {
            out.push(words[at].clone());
            at += 1;
            continue;
        }
        at += used;
        match out.last_mut() {
            Some(last) if last.bytes().all(|b| b.is_ascii_digit()) => last.push_str(&figures),
            _ => out.push(figures),
        }
    }
    out
}

/// The number that begins here, and how many words it takes.
fn number(words: &[String]) -> (String, usize) {
    let first = words[0].as_str();
    if first.bytes().all(|b| b.is_ascii_digit()) {
        return (first.to_owned(), 1);
    }
    if first == "oh" {
        return ("0".into(), 1);
    }
    let small = |w: &String| SMALL.iter().position(|s| s == w).map(|n| n as u64);
    let tens = |w: &String| TENS.iter().position(|t| !t.is_empty() && t == w).map(|n| n as u64 * 10);
    let under_hundred = |w: &[String]| -> Option<(u64, usize)> {
        let head = w.first()?;
        if let Some(t) = tens(head) {
            return Some(match w.get(1).and_then(small).filter(|n| (1..10).contains(n)) {
                Some(n) => (t + n, 2),
                None => (t, 1),
            });
        }
        small(head).map(|n| (n, 1))
    };
    let Some((mut value, mut used)) = under_hundred(words) else { return (String::new(), 0) };
    let mut factor = false;
    for (name, times) in [("hundred", 100), ("thousand", 1_000)] {
        if words.get(used).is_some_and(|w| w == name) {
            (value, used, factor) = (value * times, used + 1, true);
        }
    }
    if factor {
        let and = usize::from(words.get(used).is_some_and(|w| w == "and"));
        if let Some((rest, n)) = words.get(used + and..).and_then(under_hundred) {
            (value, used) = (value + rest, used + and + n);
        }
    }
    (value.to_string(), used)
}

/// Words substituted, left out or put in.
pub fn distance(want: &[String], got: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=got.len()).collect();
    for (i, w) in want.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, g) in got.iter().enumerate() {
            let cost = (diagonal + usize::from(w != g)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[got.len()]
}
