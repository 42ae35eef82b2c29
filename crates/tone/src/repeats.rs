//! Whether a caller says the same again, in the same or in other words.

use std::collections::{BTreeSet, VecDeque};

use crate::lexicon::sentences;

/// Utterances that are remembered.
const REMEMBERED: usize = 4;
/// An utterance of fewer telling words ("yes", a number, a name) repeats nothing.
const FEWEST_WORDS: usize = 3;
/// So much of the shorter of two utterances must be in the other.
const SAME: f32 = 0.7;

/// Words that tell nothing of what a sentence is about, though they are four letters long or more; numbers and money are among
/// them, because a caller says them again when asked to.
const IDLE: &str = "about after again also because been before call calling cant could didnt does doesnt dont even from have \
    havent hello here into just know like name need number okay only please really said should some still tell thank thanks \
    that thats their them then there they this want well were what with would your zero three four five seven eight nine \
    eleven twelve twenty thirty forty fifty sixty seventy eighty ninety hundred thousand double dollar dollars cents pounds \
    euros point";

fn is_idle(word: &str) -> bool {
    word.ends_with("teen")
        || word.chars().any(|c| c.is_ascii_digit())
        || IDLE.split_whitespace().any(|idle| idle == word)
}

/// What the caller said of late.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said(VecDeque<BTreeSet<String>>);

impl Said {
    /// Takes an utterance; whether it repeats one of the last.
    pub fn repeats(&mut self, text: &str) -> bool {
        let words: BTreeSet<String> = sentences(text)
            .into_iter()
            .flatten()
            .filter(|w| w.chars().count() >= 4 && !is_idle(w))
            // "arrive", "arrived", "arrives", "arriving" are one word here.
            .map(|w| w.chars().take(5).collect())
            .collect();
        if words.len() < FEWEST_WORDS {
            return false;
        }
        let same = |old: &BTreeSet<String>| {
            let shorter = old.len().min(words.len()) as f32;
            old.intersection(&words).count() as f32 >= SAME * shorter
        };
        let repeats = self.0.iter().any(same);
        self.0.push_back(words);
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
        repeats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_again_is_a_repeat_and_an_answer_is_none() {
        let mut said = Said::default();
        for (text, repeats) in [
            ("I want to know when my desk lamp will arrive.", false),
            ("Yes.", false),
            ("Yes.", false),
            ("A one zero four three.", false),
            ("Two hundred and eighty dollars.", false),
            ("Two hundred and eighty dollars.", false),
            ("This is Anna Gomez speaking.", false),
            ("When will the desk lamp be arriving?", true),
            ("The invoice charged me for shipping twice.", false),
            ("I was charged shipping twice on that invoice!", true),
        ] {
            assert_eq!(said.repeats(text), repeats, "{text}");
        }
    }
}
