//! A recogniser that stumbles says things twice: "No. No. No.", "I want I want to cancel". What is repeated at once is taken
//! once. Numbers are not touched: "seven seven" are two sevens.

use super::numbers;
use super::words::{Word, words};

/// `text` without sentences that repeat the one before.
pub fn sentences_once(text: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut last: Vec<String> = Vec::new();
    for sentence in text.split_inclusive(['.', '!', '?']) {
        let words = words(sentence);
        let norms: Vec<String> = words.iter().map(|w| w.norm.clone()).collect();
        let number = numbers::all_digits(&words).len();
        // "Four. Four." are two digits; "A-1042. A-1042." is one number, said again.
        let may_go = !norms.is_empty() && (number == 0 || number >= 4) && norms.iter().any(|n| n.len() > 1);
        if may_go && norms == last {
            continue;
        }
        last = norms;
        out.push(sentence);
    }
    out.concat().trim().to_owned()
}

/// `words` without words and short phrases that repeat what stands right before them.
pub fn words_once(mut words: Vec<Word>) -> Vec<Word> {
    for n in (1..=4).rev() {
        let mut at = 0;
        while at + 2 * n <= words.len() {
            let (here, next) = (&words[at..at + n], &words[at + n..at + 2 * n]);
            let same = here.iter().zip(next).all(|(a, b)| a.norm == b.norm);
            if same && here.iter().all(is_plain) {
                words.drain(at..at + n);
            } else {
                at += 1;
            }
        }
    }
    words
}

/// Neither a number nor a letter, nor a sound that means something only when doubled ("uh-uh").
fn is_plain(word: &Word) -> bool {
    let letter = word.norm.chars().count() == 1 && word.norm != "i";
    let digit = word.norm.bytes().any(|b| b.is_ascii_digit()) || numbers::unit(&word.norm).is_some();
    let number = digit || numbers::cardinal(std::slice::from_ref(word), 0).is_some();
    !letter && !number && !matches!(word.norm.as_str(), "uh" | "mm" | "mhm" | "double" | "triple" | "hundred")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_it_once() {
        for (text, once) in [
            ("No. No. No.", "no"),
            ("no no no no", "no"),
            ("Yes, yes, yes.", "yes"),
            ("I want to I want to cancel it", "i want to cancel it"),
            ("I don't know. I don't know. I don't know.", "i dont know"),
            ("A-1042. A-1042.", "a 1042"),
            ("one zero seven seven", "one zero seven seven"),
            ("Seven. Seven.", "seven seven"),
            ("two two four four", "two two four four"),
            ("uh uh", "uh uh"),
            ("double seven", "double seven"),
            ("it is twenty twenty", "it is twenty twenty"),
        ] {
            let words = words_once(words(&sentences_once(text)));
            let got: Vec<&str> = words.iter().map(|w| w.norm.as_str()).collect();
            assert_eq!(got.join(" "), once, "{text}");
        }
    }
}
