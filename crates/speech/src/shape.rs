//! Whether words are a whole answer, a finished sentence, or hang in the air. Pure.

use crate::Expected;

/// How words stand at a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A whole answer to what was asked.
    Complete,
    /// A finished sentence, as far as its punctuation tells.
    Sentence,
    /// Neither finished nor hanging.
    Open,
    /// More must come.
    Hanging,
}

/// Words after which something must follow.
const HANGING: [&str; 58] = [
    "and", "my", "is", "the", "a", "an", "um", "uh", "er", "erm", "hmm", "mm", "for", "to", "of", "it's", "its", "i",
    "but", "so", "because", "with", "at", "or", "number", "i'm", "i'd", "i've", "about", "that", "that's", "in", "on",
    "was", "were", "from", "are", "your", "their", "his", "her", "our", "we", "they", "he", "she", "if", "when",
    "like", "well", "then", "by", "as", "than", "called", "named", "letter", "dash",
];

const YES_NO: [&str; 19] = [
    "yes",
    "yeah",
    "yep",
    "yup",
    "no",
    "nope",
    "nah",
    "correct",
    "right",
    "sure",
    "speaking",
    "okay",
    "ok",
    "absolutely",
    "exactly",
    "definitely",
    "please",
    "wrong",
    "incorrect",
];

const ONES: [&str; 11] = ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const TEENS: [&str; 10] =
    ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// Figures that are heard as other words come in groups of up to so many.
const MISHEARD: usize = 3;

/// How `text` stands when `expected` was asked for.
pub fn shape(text: &str, expected: Expected) -> Shape {
    let text = text.trim_end();
    let words: Vec<String> = text
        .split_whitespace()
        .map(|w| w.trim_matches(|c: char| !c.is_alphanumeric() && c != '\'').to_lowercase())
        .filter(|w| !w.is_empty())
        .collect();
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return Shape::Open };
    if let Expected::Digits(wanted) = expected {
        let digits = digits(&words);
        if digits >= wanted {
            return Shape::Complete;
        }
        // The model takes single figures for words, "seven" for "heaven": a few that are no answer are the first of them.
        if digits > 0 || words.len() <= MISHEARD && !words.iter().any(|w| YES_NO.contains(&w.as_str())) {
            return Shape::Hanging;
        }
    }
    if text.ends_with([',', '-', '…']) || text.ends_with("...") || HANGING.contains(&last.as_str()) {
        return Shape::Hanging;
    }
    let is_yes_no = |w: &String| YES_NO.contains(&w.as_str());
    match expected {
        Expected::YesNo if words.len() <= 4 && (is_yes_no(first) || is_yes_no(last)) => Shape::Complete,
        Expected::Name if words.len() >= 2 && text.ends_with('.') => Shape::Complete,
        _ if is_opening(&words, text) => Shape::Hanging,
        // Figures at the end of anything else may well go on: "one zero" … "four two".
        _ if digits(std::slice::from_ref(last)) > 0 => Shape::Open,
        _ if text.ends_with(['.', '?', '!']) => Shape::Sentence,
        _ => Shape::Open,
    }
}

/// A greeting, or who calls: what they want is still to come.
fn is_opening(words: &[String], text: &str) -> bool {
    const GREETINGS: [&str; 6] = ["hello", "hi", "hey", "good", "morning", "afternoon"];
    let greets = words.first().is_some_and(|w| GREETINGS.contains(&w.as_str()));
    let low = text.to_lowercase();
    let introduces = ["this is", "my name", "calling", "thanks", "thank you"].iter().any(|p| low.contains(p));
    greets && !text.ends_with('?') && (words.len() <= 2 || words.len() <= 9 && introduces)
}

/// How many digits the words stand for: "1042" four, "forty two" two, "double seven" two, "ten forty two" four.
fn digits(words: &[String]) -> usize {
    let mut count = 0;
    let mut after_tens = false;
    let mut times = 1;
    for word in words {
        let is = |list: &[&str]| list.contains(&word.as_str());
        let figures = word.bytes().filter(u8::is_ascii_digit).count();
        let of_this = if is(&TENS) || is(&TEENS) {
            2
        } else if is(&ONES) {
            // "forty two" are two digits, not three.
            usize::from(!after_tens || is(&["zero", "oh"]))
        } else {
            figures
        };
        count += of_this * times;
        after_tens = is(&TENS);
        times = match word.as_str() {
            "double" => 2,
            "triple" => 3,
            _ => 1,
        };
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        use Expected::{Anything, Digits, Name, YesNo};
        for (text, expected, is) in [
            ("Yes, that's right.", YesNo, Shape::Complete),
            ("No.", YesNo, Shape::Complete),
            ("Well, yes, but I", YesNo, Shape::Hanging),
            ("I think somebody else ordered it.", YesNo, Shape::Sentence),
            ("A one oh four two.", Digits(4), Shape::Complete),
            ("ten forty two", Digits(4), Shape::Complete),
            ("double seven three", Digits(4), Shape::Hanging),
            ("double seven three four", Digits(4), Shape::Complete),
            ("It's A, one zero,", Digits(4), Shape::Hanging),
            ("I don't have it.", Digits(4), Shape::Sentence),
            ("Heaven.", Digits(4), Shape::Hanging),
            ("Sick pie, pie.", Digits(6), Shape::Hanging),
            ("No.", Digits(4), Shape::Sentence),
            ("Maria Gomez.", Name, Shape::Complete),
            ("Maria", Name, Shape::Open),
            ("My name is", Name, Shape::Hanging),
            ("It's order one zero.", Anything, Shape::Open),
            ("I want to talk to a person.", Anything, Shape::Sentence),
            ("Um", Anything, Shape::Hanging),
            ("Hello.", Anything, Shape::Hanging),
            ("Hi, this is Anna Schmidt.", Anything, Shape::Hanging),
            ("Hello, I'm calling for my mother, Ellen Park.", Anything, Shape::Hanging),
            ("Hi, I want to talk to a person.", Anything, Shape::Sentence),
            ("Hi, is this Northwind?", Anything, Shape::Sentence),
            ("", Anything, Shape::Open),
            ("…", Anything, Shape::Open),
        ] {
            assert_eq!(shape(text, expected), is, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_words_have_a_shape(text in ".{0,60}", n in 0usize..12) {
            let _ = shape(&text, Expected::Digits(n));
        }
    }
}
