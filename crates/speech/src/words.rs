//! What the words so far tell of the end of a turn: a whole answer, or words that hang in the air. Pure.

use crate::Expected;

/// How a turn's words end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A whole answer to what was asked.
    Complete,
    /// Nothing can be told.
    Open,
    /// More is to come.
    Hanging,
}

/// Never the last word of anything, whatever mark the transcriber put after it.
const NEVER_LAST: [&str; 28] = [
    "and", "my", "the", "a", "an", "um", "uh", "er", "hmm", "well", "because", "but", "or", "is", "it's", "i'm", "i",
    "if", "your", "our", "their", "his", "her", "number's", "name's", "which", "like", "wait",
];
/// Last words only where the sentence was ended.
const SELDOM_LAST: [&str; 22] = [
    "for", "to", "of", "with", "at", "in", "on", "from", "about", "by", "was", "are", "so", "that", "number", "name",
    "address", "code", "than", "this", "not", "then",
];
const YES_NO: [&str; 22] = [
    "yes",
    "yeah",
    "yep",
    "yup",
    "no",
    "nope",
    "nah",
    "correct",
    "right",
    "wrong",
    "sure",
    "okay",
    "ok",
    "speaking",
    "absolutely",
    "exactly",
    "certainly",
    "negative",
    "affirmative",
    "indeed",
    "please",
    "incorrect",
];

/// Looks at the words of a turn, given what was asked.
pub(crate) fn shape(text: &str, expected: Expected) -> Shape {
    let text = text.trim();
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c == '-')
        .map(|w| w.trim_matches(|c: char| !c.is_alphanumeric() && c != '\'').to_lowercase())
        .filter(|w| !w.is_empty())
        .collect();
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return Shape::Open };
    let trails = text.ends_with([',', '-', '…', ':']) || text.ends_with("...");
    let ended = text.ends_with(['.', '?', '!']) && !trails;
    if let Expected::Digits(wanted) = expected {
        let digits: usize = words.iter().map(|w| digits_in(w)).sum();
        if digits >= wanted && wanted > 0 {
            return Shape::Complete;
        }
        // "Wanted" is the longest number there is: one that ends like a sentence and is nearly as long may be whole.
        if digits > 0 {
            return if ended && digits * 5 > wanted * 3 { Shape::Open } else { Shape::Hanging };
        }
    }
    if trails || NEVER_LAST.contains(&last.as_str()) || !ended && SELDOM_LAST.contains(&last.as_str()) {
        return Shape::Hanging;
    }
    let answers = |w: &String| YES_NO.contains(&w.as_str());
    match expected {
        Expected::YesNo if words.len() <= 4 && (answers(first) || answers(last)) => Shape::Complete,
        Expected::Name if ended && (2..=6).contains(&words.len()) => Shape::Complete,
        _ => Shape::Open,
    }
}

/// How many digits of a number a word is: "1042" four, "seven" one, "twenty" one (what follows completes it), "fifteen" two.
fn digits_in(word: &str) -> usize {
    const ONE: [&str; 21] = [
        "zero", "oh", "o", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "twenty", "thirty",
        "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "nought",
    ];
    const TWO: [&str; 12] = [
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
        "hundred",
        "double",
    ];
    match word {
        w if ONE.contains(&w) => 1,
        w if TWO.contains(&w) => 2,
        w => w.bytes().filter(u8::is_ascii_digit).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_answers_hanging_words_and_the_rest() {
        use Expected::{Anything, Digits, Name, YesNo};
        for (text, expected, shape_) in [
            ("Yes.", YesNo, Shape::Complete),
            ("No, it isn't.", YesNo, Shape::Complete),
            ("Yeah, that's right", YesNo, Shape::Complete),
            ("Yes, but", YesNo, Shape::Hanging),
            ("Yes, I think the parcel came but it was damaged.", YesNo, Shape::Open),
            ("A-1042.", Digits(4), Shape::Complete),
            ("A one zero four two", Digits(4), Shape::Complete),
            ("ten forty-two", Digits(4), Shape::Complete),
            ("A one zero", Digits(4), Shape::Hanging),
            ("A-104", Digits(4), Shape::Hanging),
            ("1042.", Digits(5), Shape::Open),
            ("555-123.", Digits(10), Shape::Hanging),
            ("I don't have it.", Digits(4), Shape::Open),
            ("It's Maria Gomez.", Name, Shape::Complete),
            ("My name is", Name, Shape::Hanging),
            ("My order number is", Anything, Shape::Hanging),
            ("My number is.", Anything, Shape::Hanging),
            ("I'd like to know,", Anything, Shape::Hanging),
            ("I was looking for...", Anything, Shape::Hanging),
            ("That's what I was looking for.", Anything, Shape::Open),
            ("I want to speak to", Anything, Shape::Hanging),
            ("Where is my order?", Anything, Shape::Open),
            ("", Anything, Shape::Open),
        ] {
            assert_eq!(shape(text, expected), shape_, "{text:?} for {expected:?}");
        }
    }
}
