//! Spoken numbers: digit by digit ("one oh four two"), in pairs ("ten forty two"), as cardinals ("one thousand forty
//! two"), with "double" and "triple", and as a recogniser writes them ("10:42", "1-0-4-2").
//!
//! Two readings: [`digits`] keeps what was said as a string of digits, for codes and telephone numbers; [`cardinal`]
//! computes a quantity, for money.

use super::words::Word;

/// A string of digits read from `words[at..]`, and the index of the word behind it.
pub fn digits(words: &[Word], at: usize) -> Option<(String, usize)> {
    let word = words.get(at)?;
    if let Some(times) = repeat(&word.norm) {
        let (digit, end) = digits_once(words, at + 1)?;
        // "double 42" is not a thing that is said; only single digits are doubled.
        return (digit.len() == 1).then(|| (digit.repeat(times), end));
    }
    digits_once(words, at)
}

/// Every digit in `text`, whatever stands between.
pub fn all_digits(words: &[Word]) -> String {
    let mut out = String::new();
    let mut at = 0;
    while at < words.len() {
        match digits(words, at) {
            Some((d, end)) => {
                out.push_str(&d);
                at = end;
            }
            None => at += 1,
        }
    }
    out
}

/// A whole quantity read from `words[at..]`, and the index of the word behind it. "two twelve" is 212 here.
pub fn cardinal(words: &[Word], at: usize) -> Option<(u64, usize)> {
    let (mut total, mut end) = (0_u64, at);
    let (mut group, after) = hundreds(words, at)?;
    end = end.max(after);
    while let Some(scale) = words.get(end).and_then(|w| scale(&w.norm)) {
        total = total.checked_add(group.checked_mul(scale)?)?;
        group = 0;
        end += 1;
        let next = if word_is(words, end, "and") { end + 1 } else { end };
        let Some((value, after)) = hundreds(words, next) else { break };
        if value >= scale {
            break;
        }
        group = value;
        end = after;
    }
    Some((total.checked_add(group)?, end))
}

fn digits_once(words: &[Word], at: usize) -> Option<(String, usize)> {
    let word = words.get(at)?;
    if word.norm == "a" && words.get(at + 1).is_some_and(|w| w.norm == "hundred" || w.norm == "thousand") {
        return as_string(cardinal(words, at));
    }
    let scaled = |i: usize| words.get(i).is_some_and(|w| w.norm == "hundred" || scale(&w.norm).is_some());
    if word.is_numeral() {
        return if scaled(at + 1) && word.norm.len() <= 3 {
            as_string(cardinal(words, at))
        } else {
            Some((word.norm.clone(), at + 1))
        };
    }
    if let Some(tens) = tens(&word.norm) {
        let (value, end) = match words.get(at + 1).and_then(|w| unit(&w.norm)) {
            Some(u) if u > 0 => (tens + u, at + 2),
            _ => (tens, at + 1),
        };
        return if scaled(end) { as_string(cardinal(words, at)) } else { Some((value.to_string(), end)) };
    }
    if let Some(value) = teen(&word.norm) {
        return if scaled(at + 1) { as_string(cardinal(words, at)) } else { Some((value.to_string(), at + 1)) };
    }
    let value = unit(&word.norm)?;
    // "eight hundred five five five …": single digits that go on are not part of the hundred.
    let single = |i: usize| words.get(i).is_some_and(|w| unit(&w.norm).is_some());
    if word_is(words, at + 1, "hundred") && single(at + 2) && single(at + 3) {
        return Some(((value * 100).to_string(), at + 2));
    }
    if scaled(at + 1) { as_string(cardinal(words, at)) } else { Some((value.to_string(), at + 1)) }
}

fn as_string(read: Option<(u64, usize)>) -> Option<(String, usize)> {
    read.map(|(value, end)| (value.to_string(), end))
}

/// Below a thousand: "two hundred and twelve", "twelve hundred", "two twelve", "a couple hundred".
fn hundreds(words: &[Word], at: usize) -> Option<(u64, usize)> {
    let (lead, end) = match words.get(at)?.norm.as_str() {
        "a" if word_is(words, at + 1, "couple") => {
            let of = usize::from(word_is(words, at + 2, "of"));
            (2, at + 2 + of)
        }
        "a" if words.get(at + 1).is_some_and(|w| w.norm == "hundred" || scale(&w.norm).is_some()) => (1, at + 1),
        _ => below_hundred(words, at)?,
    };
    if word_is(words, end, "hundred") || word_is(words, end, "hundreds") {
        let next = if word_is(words, end + 1, "and") { end + 2 } else { end + 1 };
        return match below_hundred(words, next).filter(|(v, _)| *v < 100) {
            Some((rest, after)) => Some((lead * 100 + rest, after)),
            None => Some((lead * 100, end + 1)),
        };
    }
    // "two twelve", "three fifty": a single digit before a pair counts hundreds. Not for numerals.
    if (1..10).contains(&lead)
        && !words[at].is_numeral()
        && let Some((rest, after)) = below_hundred(words, end)
        && (10..100).contains(&rest)
        && !words[end].is_numeral()
    {
        return Some((lead * 100 + rest, after));
    }
    Some((lead, end))
}

/// Below a hundred in words, or any numeral.
fn below_hundred(words: &[Word], at: usize) -> Option<(u64, usize)> {
    let word = words.get(at)?;
    if word.is_numeral() {
        return word.norm.parse().ok().map(|v| (v, at + 1));
    }
    if let Some(tens) = tens(&word.norm) {
        return match words.get(at + 1).and_then(|w| unit(&w.norm)) {
            Some(u) if u > 0 => Some((tens + u, at + 2)),
            _ => Some((tens, at + 1)),
        };
    }
    teen(&word.norm).or_else(|| cardinal_unit(&word.norm)).map(|v| (v, at + 1))
}

fn word_is(words: &[Word], at: usize, norm: &str) -> bool {
    words.get(at).is_some_and(|w| w.norm == norm)
}

fn repeat(word: &str) -> Option<usize> {
    match word {
        "double" => Some(2),
        "triple" | "treble" => Some(3),
        "quadruple" => Some(4),
        _ => None,
    }
}

fn scale(word: &str) -> Option<u64> {
    match word {
        "thousand" | "grand" | "k" => Some(1_000),
        "million" => Some(1_000_000),
        _ => None,
    }
}

/// A digit's name. "oh" and "o" are zero; the recogniser's "won", "ate" and "for" are left to their own meaning.
pub fn unit(word: &str) -> Option<u64> {
    match word {
        "oh" | "o" | "nought" | "naught" | "nil" => Some(0),
        "zeroes" | "zeros" => Some(0),
        _ => cardinal_unit(word),
    }
}

fn cardinal_unit(word: &str) -> Option<u64> {
    Some(match word {
        "zero" => 0,
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

fn teen(word: &str) -> Option<u64> {
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
        _ => return None,
    })
}

fn tens(word: &str) -> Option<u64> {
    Some(match word {
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

#[cfg(test)]
mod tests;
