//! Card numbers and codes never reach the disk. Payment card numbers are told by issuer range, length and check digit
//! (ISO/IEC 7812, Luhn), in figures or spoken; a code by what stands before it ("my PIN is …", or a question for one), or by
//! the name of the slot it was collected in.
//!
//! Limits: a card number that one text does not hold whole (said over two turns) has no check digit and is not known;
//! figures after a `+` are a telephone number and left alone.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

/// What stands in a card number's place.
pub const CARD: &str = "[card number]";
/// What stands in a code's place.
pub const CODE: &str = "[code]";

/// The keys under which a record holds what people said. Others hold ids, numbers, times: they are never touched.
const WORDS: [&str; 9] = ["text", "summary", "value", "note", "why", "outcome", "caller_name", "raw", "heard"];

/// A text without card numbers and codes.
pub fn text(text: &str) -> Cow<'_, str> {
    redacted(text, false)
}

/// A JSON document, as text, without card numbers and codes in its words. What does not parse is taken as words itself.
pub fn json_text(document: &str) -> Cow<'_, str> {
    match serde_json::from_str(document) {
        Ok(mut value) => {
            if json(&mut value) {
                Cow::Owned(value.to_string())
            } else {
                Cow::Borrowed(document)
            }
        }
        Err(_) => text(document),
    }
}

/// Takes card numbers and codes out of a record's words. Answers whether there were any.
pub fn json(value: &mut Value) -> bool {
    match value {
        Value::Object(map) => map.iter_mut().fold(false, |found, (key, value)| {
            let here = match value {
                Value::String(words) if WORDS.contains(&key.as_str()) => replace(words, false),
                Value::Array(turns) if key == "turns" => conversation(turns),
                Value::Object(slots) if key == "slots" => {
                    slots.iter_mut().fold(false, |found, (name, value)| slot(name, value) | found)
                }
                other => json(other),
            };
            found | here
        }),
        Value::Array(items) => items.iter_mut().fold(false, |found, item| json(item) | found),
        _ => false,
    }
}

/// Turns in order: what is said or typed after a question for a code is one.
fn conversation(turns: &mut [Value]) -> bool {
    let (mut found, mut asked) = (false, false);
    for turn in turns {
        let assistant = turn.get("who").and_then(Value::as_str) == Some("assistant");
        let Some(Value::String(words)) = turn.get_mut("text") else { continue };
        if assistant {
            asked = asks_for_code(words);
            found |= replace(words, false);
        } else {
            found |= replace(words, asked);
        }
    }
    found
}

fn slot(name: &str, value: &mut Value) -> bool {
    let secret = secret_slot(name);
    match value {
        Value::Object(map) => map.iter_mut().fold(false, |found, (_, value)| slot(name, value) | found),
        Value::String(words) if secret => {
            let known = ["speech", "dtmf", "crm", CODE].contains(&words.as_str());
            if !known {
                CODE.clone_into(words);
            }
            !known
        }
        Value::String(words) => replace(words, false),
        Value::Number(_) if secret => {
            *value = Value::from(CODE);
            true
        }
        _ => false,
    }
}

/// Slots whose value is a secret by their name.
fn secret_slot(name: &str) -> bool {
    let name = name.to_lowercase();
    let public = ["zip", "post", "area", "country", "promo", "discount", "order", "product", "error"];
    let secret = ["pin", "passcode", "password", "cvv", "cvc", "otp", "code", "card", "iban"];
    name.split(['_', '-']).any(|word| secret.contains(&word)) && !name.split(['_', '-']).any(|w| public.contains(&w))
}

fn replace(words: &mut String, asked: bool) -> bool {
    match redacted(words, asked) {
        Cow::Owned(clean) => {
            *words = clean;
            true
        }
        Cow::Borrowed(_) => false,
    }
}

/// `asked`: the text answers a question for a code.
fn redacted(text: &str, asked: bool) -> Cow<'_, str> {
    // Most texts hold no figures at all, spoken or written; those cost one look at each word.
    let tokens = tokens(text);
    let mut out: Vec<(Range<usize>, &str)> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].digits.is_empty() || tokens[at].plus {
            let plus = tokens[at].plus;
            at += 1;
            while plus && at < tokens.len() && !tokens[at].digits.is_empty() {
                at += 1;
            }
            continue;
        }
        let end = at + tokens[at..].iter().take_while(|t| !t.digits.is_empty() && !t.plus).count();
        let run = &tokens[at..end];
        if let Some((card, rest)) = card(run) {
            out.push((card, CARD));
            at += rest;
            continue;
        }
        let length: usize = run.iter().map(|t| t.digits.len()).sum();
        if (3..=8).contains(&length) && (asked || follows_keyword(&tokens[..at])) {
            out.push((run[0].range.start..run[run.len() - 1].range.end, CODE));
        }
        at = end;
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for (range, word) in out {
        clean.push_str(&text[from..range.start]);
        clean.push_str(word);
        from = range.end;
    }
    clean.push_str(&text[from..]);
    Cow::Owned(clean)
}

/// A word, or figures between words.
struct Token<'a> {
    range: Range<usize>,
    word: &'a str,
    /// The figures it stands for; empty for a word.
    digits: String,
    /// A `+` stands right before it.
    plus: bool,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut out: Vec<Token<'_>> = Vec::new();
    let mut start = None;
    let mut times = 1;
    let ends = text.char_indices().map(|(i, c)| (i, Some(c))).chain([(text.len(), None)]);
    let mut push = |range: Range<usize>| {
        let word = &text[range.clone()];
        let plus = text[..range.start].ends_with('+');
        let figures = if word.bytes().all(|b| b.is_ascii_digit()) { word.to_owned() } else { spoken(word) };
        let lower = word.to_lowercase();
        if lower == "double" || lower == "triple" {
            times = if lower == "double" { 2 } else { 3 };
            out.push(Token { range, word, digits: String::new(), plus });
            return;
        }
        if times > 1 && figures.len() == 1 {
            // "double four": the word before belongs to the figures.
            let start = out.pop().map_or(range.start, |t| t.range.start);
            out.push(Token { range: start..range.end, word, digits: figures.repeat(times), plus });
        } else {
            out.push(Token { range, word, digits: figures, plus });
        }
        times = 1;
    };
    let mut kind = false;
    for (i, c) in ends {
        let (part, digit) = (c.is_some_and(char::is_alphanumeric), c.is_some_and(|c| c.is_ascii_digit()));
        if let Some(from) = start {
            // Letters and figures are apart: `A1042` is no number.
            if !part {
                push(from..i);
                start = None;
            } else if digit != kind {
                kind = kind && digit;
            }
        } else if part {
            (start, kind) = (Some(i), digit);
        }
    }
    out
}

/// Figures for number words, as people read numbers out. `oh` and `o` are zero among figures only: [`redacted`] asks for
/// more figures around them anyway.
fn spoken(word: &str) -> String {
    let lower = word.to_lowercase();
    let digits = match lower.as_str() {
        "zero" | "oh" | "o" | "nought" => "0",
        "one" => "1",
        "two" => "2",
        "three" => "3",
        "four" => "4",
        "five" => "5",
        "six" => "6",
        "seven" => "7",
        "eight" => "8",
        "nine" => "9",
        "ten" => "10",
        "eleven" => "11",
        "twelve" => "12",
        "thirteen" => "13",
        "fourteen" => "14",
        "fifteen" => "15",
        "sixteen" => "16",
        "seventeen" => "17",
        "eighteen" => "18",
        "nineteen" => "19",
        "twenty" => "20",
        "thirty" => "30",
        "forty" => "40",
        "fifty" => "50",
        "sixty" => "60",
        "seventy" => "70",
        "eighty" => "80",
        "ninety" => "90",
        _ => "",
    };
    digits.to_owned()
}

/// The first card number among the figures of a run: where it stands, and how many tokens to go on after.
fn card(run: &[Token<'_>]) -> Option<(Range<usize>, usize)> {
    for first in 0..run.len() {
        let mut digits = String::new();
        for last in first..run.len() {
            let next = &run[last].digits;
            // "forty one" is 41, not 401.
            if next.len() == 1 && next != "0" && tens(run, last) {
                digits.pop();
            }
            digits.push_str(next);
            if digits.len() > 19 {
                break;
            }
            if is_card(&digits) && !(last + 1 < run.len() && digits.len() < 16 && longer(&digits, &run[last + 1..])) {
                return Some((run[first].range.start..run[last].range.end, last + 1));
            }
        }
    }
    None
}

/// The figure at `at` completes a spoken ten before it.
fn tens(run: &[Token<'_>], at: usize) -> bool {
    at > 0 && run[at - 1].word.to_lowercase().ends_with("ty") && !run[at].word.bytes().all(|b| b.is_ascii_digit())
}

/// More figures make a longer card of it: the longer one is meant.
fn longer(digits: &str, rest: &[Token<'_>]) -> bool {
    let mut digits = digits.to_owned();
    rest.iter().any(|token| {
        digits.push_str(&token.digits);
        digits.len() <= 19 && is_card(&digits)
    })
}

/// Whether figures are a payment card's number: the issuer's range, its lengths, the check digit.
fn is_card(digits: &str) -> bool {
    let prefix = |n: usize| digits.get(..n).and_then(|p| p.parse::<u32>().ok()).unwrap_or(0);
    let lengths: &[usize] = match (prefix(1), prefix(2), prefix(3), prefix(4)) {
        (4, ..) => &[13, 16, 19],
        (_, 34 | 37, ..) => &[15],
        (_, 36 | 38 | 39, ..) | (_, _, 300..=305, _) => &[14, 16],
        (_, 51..=55, ..) | (_, _, _, 2221..=2720) => &[16],
        (_, 50 | 56..=69, ..) => &[13, 14, 15, 16, 17, 18, 19],
        (_, _, _, 3528..=3589) => &[16, 17, 18, 19],
        _ => return false,
    };
    lengths.contains(&digits.len()) && luhn(digits)
}

/// ISO/IEC 7812-1 annex B: every second figure from the right doubled, the sum divisible by ten.
fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b.wrapping_sub(b'0'));
            let doubled = digit * (1 + (i as u32 & 1));
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// A word for a code stands shortly before, with nothing but small words between.
fn follows_keyword(before: &[Token<'_>]) -> bool {
    let between = [
        "is", "was", "its", "it", "s", "the", "my", "number", "of", "as", "to", "be", "would", "equals", "and", "um",
        "uh",
    ];
    for (i, token) in before.iter().enumerate().rev().take(6) {
        let word = token.word.to_lowercase();
        if names_code(&word, i.checked_sub(1).and_then(|i| before.get(i)).map(|t| t.word)) {
            return true;
        }
        if !between.contains(&word.as_str()) {
            return false;
        }
    }
    false
}

fn asks_for_code(text: &str) -> bool {
    let tokens = tokens(text);
    (0..tokens.len()).any(|i| {
        let before = i.checked_sub(1).and_then(|i| tokens.get(i)).map(|t| t.word);
        names_code(&tokens[i].word.to_lowercase(), before)
    })
}

fn names_code(word: &str, before: Option<&str>) -> bool {
    let public =
        ["zip", "postal", "post", "area", "country", "dialling", "promo", "discount", "error", "product", "order"];
    match word {
        "pin" | "passcode" | "password" | "cvv" | "cvc" | "csc" | "otp" => true,
        "code" | "codes" => !before.is_some_and(|w| public.contains(&w.to_lowercase().as_str())),
        _ => false,
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
