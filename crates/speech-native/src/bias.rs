//! What is expected, made easier to hear: while decoding, tokens that begin or go on with an expected name or number get a
//! little more weight, so that they win where the model wavers, and nowhere else.
//!
//! Words are followed by their bytes, not by one way of cutting them into tokens: the model may cut them as it likes.

use crate::tokens::Tokens;

/// More weight, in nats, for a token that begins an expected word, and for one that goes on with it.
const BEGIN: f32 = 1.0;
const GO_ON: f32 = 2.5;
/// More weight for a word that would be a whole answer to what was asked, where the sound is as short as one.
const ANSWER: f32 = 2.0;
/// Words that are followed at most: names, and a caller's open orders.
const MOST_WORDS: usize = 48;
/// A beginning shorter than that says too little: the space and two letters.
const BEGINNING: usize = 3;

/// The words expected now, and how far each has been said.
#[derive(Default)]
pub(crate) struct Bias {
    words: Vec<Expected>,
    /// Whole answers, until something is said.
    answers: &'static [&'static str],
    /// Word and bytes of it said.
    begun: Vec<(usize, usize)>,
}

struct Expected {
    bytes: Vec<u8>,
    /// Letters and figures together: its first letter alone is a beginning.
    is_number: bool,
}

impl Bias {
    /// From a prompt: names and numbers in it, common words left out; and from the words that would be a whole answer.
    pub(crate) fn new(prompt: &str, answers: &'static [&'static str]) -> Self {
        let mut words: Vec<Expected> = Vec::new();
        let mut add = |text: String, is_number| {
            let bytes = format!(" {text}").into_bytes();
            if bytes.len() > BEGINNING && words.len() < MOST_WORDS && words.iter().all(|w| w.bytes != bytes) {
                words.push(Expected { bytes, is_number });
            }
        };
        for word in prompt.split(|c: char| c.is_whitespace() || ",.;:".contains(c)) {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric());
            let is_number = word.bytes().any(|b| b.is_ascii_digit());
            if is_number {
                // As the model may write it: "A-1042", "A1042".
                add(word.to_owned(), true);
                add(word.chars().filter(|c| c.is_alphanumeric()).collect(), true);
            } else if word.starts_with(char::is_uppercase) {
                add(word.to_owned(), false);
            }
        }
        Self { words, answers, begun: Vec::new() }
    }

    /// Tokens with more weight now, and how much.
    pub(crate) fn weights(&self, tokens: &Tokens) -> Vec<(usize, f32)> {
        let mut weights: Vec<(usize, f32)> =
            self.answers.iter().filter_map(|word| Some((tokens.id(format!(" {word}").as_bytes())?, ANSWER))).collect();
        for word in &self.words {
            let shortest = if word.is_number { 2 } else { BEGINNING };
            weights.extend(pieces(tokens, &word.bytes, shortest).map(|token| (token, BEGIN)));
        }
        for (word, said) in &self.begun {
            if let Some(rest) = self.words.get(*word).and_then(|w| w.bytes.get(*said..)) {
                weights.extend(pieces(tokens, rest, 1).map(|token| (token, GO_ON)));
            }
        }
        weights
    }

    /// This token was said.
    pub(crate) fn said(&mut self, token: usize, tokens: &Tokens) {
        self.answers = &[];
        let Some(piece) = tokens.bytes(token).filter(|p| !p.is_empty()) else { return };
        let fresh = (0..self.words.len()).map(|word| (word, 0));
        let goes_on = |(word, said): (usize, usize)| {
            let bytes = &self.words.get(word)?.bytes;
            let to = said + piece.len();
            (bytes.get(said..)?.starts_with(&piece) && to < bytes.len()).then_some((word, to))
        };
        self.begun = self.begun.iter().copied().chain(fresh).filter_map(goes_on).collect();
    }
}

/// The tokens that are the first bytes of `rest`, at least `shortest` of them.
fn pieces<'a>(tokens: &'a Tokens, rest: &'a [u8], shortest: usize) -> impl Iterator<Item = usize> + 'a {
    (shortest..=rest.len()).filter_map(move |n| tokens.id(rest.get(..n)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Tokens {
        let pieces =
            ["<unk>", "<s>", "</s>", "\u{2581}Pri", "ya", "\u{2581}P", "\u{2581}A", "-", "10", "42", "\u{2581}desk"];
        let mut file = Vec::new();
        for piece in pieces {
            file.push(piece.len() as u8);
            file.extend(piece.as_bytes());
        }
        Tokens::parse(&file).unwrap()
    }

    #[test]
    fn names_and_numbers_get_weight_and_common_words_none() {
        let tokens = vocabulary();
        let mut bias = Bias::new("Priya Patel, order A-1042, desk lamp.", &[]);
        assert_eq!(bias.weights(&tokens), [(3, BEGIN), (6, BEGIN), (6, BEGIN)], "one letter begins no name");
        bias.said(3, &tokens);
        assert!(bias.weights(&tokens).contains(&(4, GO_ON)));
        bias.said(4, &tokens);
        assert!(bias.begun.is_empty(), "the word is over");
        bias.said(6, &tokens);
        let after_a: Vec<usize> = bias.weights(&tokens).iter().filter(|w| w.1 == GO_ON).map(|w| w.0).collect();
        assert_eq!(after_a, [7, 8], "A-1042 and A1042");
        bias.said(10, &tokens);
        assert!(bias.begun.is_empty(), "something else was said");
        bias.said(99, &tokens);
        assert!(Bias::default().weights(&tokens).is_empty());
    }

    #[test]
    fn a_whole_answer_is_expected_first_and_nowhere_else() {
        let tokens = vocabulary();
        let mut bias = Bias::new("", &["Desk", "desk"]);
        assert_eq!(bias.weights(&tokens), [(10, ANSWER)]);
        bias.said(6, &tokens);
        assert!(bias.weights(&tokens).is_empty());
    }
}
