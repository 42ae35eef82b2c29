//! Card numbers and codes never reach the disk. Payment card numbers are told by issuer range, length and check digit
//! (ISO/IEC 7812, Luhn), in figures or spoken; a code by what stands before it ("my PIN is …", or a question for one), or by
//! the name of the slot it was collected in. In a call's record a card number is also known when it was said or typed over
//! several turns, and its parts go wherever else they stand there.
//!
//! Limits: of a card number that was never finished only a typed one is known, by its length; figures after a `+` are a
//! telephone number and left alone.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

mod parts;

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

/// A text for a log, which nobody keeps an eye on: all figures in rows of four and more are out, whatever they are.
pub fn figures(text: &str) -> String {
    let mut out = text.to_owned();
    let tokens = tokens(text);
    for row in tokens.chunk_by(|a, b| a.digits.is_empty() == b.digits.is_empty()).rev() {
        if row.iter().map(|token| token.digits.len()).sum::<usize>() >= 4 {
            out.replace_range(row[0].range.start..row[row.len() - 1].range.end, "[figures]");
        }
    }
    out
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
    let parts =
        value.get_mut("turns").and_then(Value::as_array_mut).map(|turns| parts::out_of(turns)).unwrap_or_default();
    let found = words(value, &parts);
    found || !parts.is_empty()
}

/// `parts`: figures that are part of a card number, wherever they stand.
fn words(value: &mut Value, parts: &[String]) -> bool {
    match value {
        Value::Object(map) => map.iter_mut().fold(false, |found, (key, value)| {
            let here = match value {
                Value::String(said) if WORDS.contains(&key.as_str()) => replace(said, false) | parts::mask(said, parts),
                Value::Array(turns) if key == "turns" => conversation(turns, parts),
                Value::Object(slots) if key == "slots" => {
                    slots.iter_mut().fold(false, |found, (name, value)| slot(name, value, parts) | found)
                }
                other => words(other, parts),
            };
            found | here
        }),
        Value::Array(items) => items.iter_mut().fold(false, |found, item| words(item, parts) | found),
        _ => false,
    }
}

/// Turns in order: what is said or typed after a question for a code is one.
fn conversation(turns: &mut [Value], parts: &[String]) -> bool {
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
        found |= parts::mask(words, parts);
    }
    found
}

fn slot(name: &str, value: &mut Value, parts: &[String]) -> bool {
    let secret = secret_slot(name);
    match value {
        Value::Object(map) => map.iter_mut().fold(false, |found, (_, value)| slot(name, value, parts) | found),
        Value::String(words) if secret => {
            let known = ["speech", "dtmf", "crm", CODE].contains(&words.as_str());
            if !known {
                CODE.clone_into(words);
            }
            !known
        }
        Value::String(words) => replace(words, false) | parts::mask(words, parts),
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
        if let Some((first, last)) = card(run) {
            out.push((run[first].range.start..run[last].range.end, CARD));
            at += last + 1;
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
#[derive(Clone)]
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

/// The first card number among the figures of a run: its first token and its last.
fn card(run: &[Token<'_>]) -> Option<(usize, usize)> {
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
                return Some((first, last));
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
    issuer(digits).contains(&digits.len()) && luhn(digits)
}

/// Whether figures begin as a card's number does and may go on as one.
fn is_issuer(digits: &str) -> bool {
    issuer(digits).iter().any(|length| digits.len() <= *length)
}

/// How long the numbers of this issuer are; nothing if it is none. Lengths that are no longer issued (Visa's 13) are left
/// out: telephone numbers have them.
fn issuer(digits: &str) -> &'static [usize] {
    let prefix = |n: usize| digits.get(..n).and_then(|p| p.parse::<u32>().ok()).unwrap_or(0);
    match (prefix(1), prefix(2), prefix(3), prefix(4)) {
        (4, ..) => &[16, 19],
        (_, 34 | 37, ..) => &[15],
        (_, 36 | 38 | 39, ..) | (_, _, 300..=305, _) => &[14, 16],
        (_, 51..=55, ..) | (_, _, _, 2221..=2720) => &[16],
        (_, 50 | 56..=69, ..) => &[16, 17, 18, 19],
        (_, _, _, 3528..=3589) => &[16, 17, 18, 19],
        _ => &[],
    }
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
