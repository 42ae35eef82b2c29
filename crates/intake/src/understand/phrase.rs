//! Set phrases, as a flow's TOML writes them: words; `a|b` alternatives; `charg*` beginnings; `my?` may be missing;
//! `..` up to four words between; `^` and `$` for an utterance's start and end, courtesies aside.

use super::words::{Gap, Word};

/// A compiled phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    parts: Vec<Part>,
    from_start: bool,
    to_end: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Word { any: Vec<Alternative>, optional: bool },
    Gap,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Alternative {
    text: String,
    prefix: bool,
}

/// Where a phrase was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Index of its first word.
    pub start: usize,
    /// One past its last word.
    pub end: usize,
    /// How many of its words were matched: how telling it is.
    pub score: usize,
}

const LONGEST_GAP: usize = 4;

impl Phrase {
    /// Reads a phrase; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut body = text.trim();
        let from_start = body.starts_with('^');
        body = body.trim_start_matches('^').trim();
        let to_end = body.ends_with('$');
        body = body.trim_end_matches('$').trim();
        let mut parts = Vec::new();
        for token in body.split_whitespace() {
            if token == ".." {
                if parts.is_empty() || parts.last() == Some(&Part::Gap) {
                    return Err(format!("phrase `{text}` has `..` where no word stands before it"));
                }
                parts.push(Part::Gap);
                continue;
            }
            let optional = token.ends_with('?');
            let mut any = Vec::new();
            for option in token.trim_end_matches('?').split('|') {
                let prefix = option.ends_with('*');
                let word = option.trim_end_matches('*').replace(['\'', '’'], "").to_lowercase();
                if word.is_empty() || !word.chars().all(char::is_alphanumeric) {
                    return Err(format!("phrase `{text}` has `{option}`, which is no word"));
                }
                any.push(Alternative { text: word, prefix });
            }
            parts.push(Part::Word { any, optional });
        }
        if !parts.iter().any(|p| matches!(p, Part::Word { optional: false, .. })) {
            return Err(format!("phrase `{text}` has no word that must be there"));
        }
        if parts.last() == Some(&Part::Gap) {
            return Err(format!("phrase `{text}` ends in `..`"));
        }
        Ok(Self { parts, from_start, to_end })
    }

    /// The first place where the phrase is found.
    pub fn find(&self, words: &[Word]) -> Option<Found> {
        let first = words.iter().take_while(|w| is_courtesy(&w.norm)).count();
        let last = words.len() - words[first..].iter().rev().take_while(|w| is_courtesy(&w.norm)).count();
        // An utterance of courtesies alone ("please") is left whole.
        let words = if last > first { &words[..last] } else { words };
        let starts = if self.from_start { first..first + 1 } else { 0..words.len() };
        starts.into_iter().find_map(|start| {
            let (end, score) = follow(&self.parts, words, start, 0)?;
            (!self.to_end || end == words.len()).then_some(Found { start, end, score })
        })
    }
}

/// The most telling of `phrases` in `words`, passing over those that the caller does *not* want.
pub fn best(phrases: &[Phrase], words: &[Word]) -> Option<Found> {
    phrases.iter().filter_map(|p| p.find(words)).filter(|f| !is_unwanted(words, f.start)).max_by_key(|f| f.score)
}

fn follow(parts: &[Part], words: &[Word], at: usize, score: usize) -> Option<(usize, usize)> {
    let Some((part, rest)) = parts.split_first() else { return Some((at, score)) };
    match part {
        Part::Gap => (0..=LONGEST_GAP).find_map(|skip| {
            let crosses = words.get(at.saturating_sub(1)..at + skip)?.iter().any(|w| w.gap == Gap::End);
            if crosses { None } else { follow(rest, words, at + skip, score) }
        }),
        Part::Word { any, optional } => {
            let here = words.get(at).is_some_and(|w| any.iter().any(|a| a.matches(&w.norm)));
            here.then(|| follow(rest, words, at + 1, score + 1))
                .flatten()
                .or_else(|| optional.then(|| follow(rest, words, at, score)).flatten())
        }
    }
}

impl Alternative {
    fn matches(&self, word: &str) -> bool {
        if self.prefix { word.starts_with(&self.text) } else { word == self.text }
    }
}

/// "I don't want a refund", "no need to transfer me": what follows is not asked for.
fn is_unwanted(words: &[Word], start: usize) -> bool {
    let clause = words[..start].iter().rev().take(6).take_while(|w| w.gap == Gap::None).count();
    let before: Vec<&str> = words[start - clause..start].iter().map(|w| w.norm.as_str()).collect();
    let first = words.get(start).map_or("", |w| w.norm.as_str());
    let refused = matches!(before.last(), Some(&("dont" | "not" | "didnt" | "never" | "doesnt")));
    let asks = matches!(first, "want" | "wanna" | "need" | "like" | "wish");
    let hands_over = matches!(first, "transfer" | "connect" | "put" | "pass" | "send" | "give" | "get" | "hand");
    if refused && (asks || hands_over) {
        return true;
    }
    before.windows(2).any(|pair| {
        matches!(
            pair,
            ["dont" | "not" | "didnt" | "never", "want" | "wanna" | "need" | "wish" | "wanted" | "like"]
                | ["no", "need"]
                | ["rather", "not" | "than"]
                | ["instead", "of"]
        )
    })
}

fn is_courtesy(word: &str) -> bool {
    matches!(
        word,
        "please"
            | "uh"
            | "um"
            | "er"
            | "erm"
            | "hmm"
            | "well"
            | "so"
            | "hi"
            | "hello"
            | "hey"
            | "okay"
            | "ok"
            | "oh"
            | "just"
            | "yeah"
            | "yes"
            | "no"
            | "and"
            | "but"
            | "thanks"
            | "sorry"
            | "look"
            | "listen"
            | "now"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::understand::words::words;

    fn found(phrase: &str, text: &str) -> bool {
        best(&[Phrase::parse(phrase).unwrap()], &words(text)).is_some()
    }

    #[test]
    fn finds_phrases() {
        assert!(found("where|wheres .. order|package", "Where's my order?"));
        assert!(found("where|wheres .. order|package", "Hi, where is my last big order"));
        assert!(!found("where|wheres .. order|package", "Where. I have a thing. An order"));
        assert!(found("charg* .. twice", "You charged my card twice!"));
        assert!(found("^agent|representative$", "Uh, agent, please."));
        assert!(!found("^agent$", "The delivery agent was rude"));
        assert!(found("cancel my|the? order", "cancel order"));
        assert!(found("need|want|give|get|like .. person|human", "Just give me a person!"));
    }

    #[test]
    fn passes_over_what_is_not_wanted() {
        assert!(!found("talk to a person", "I don't want to talk to a person"));
        assert!(!found("transfer me", "please don't transfer me to anyone"));
        assert!(!found("need|want .. person", "No, I don't need a person. I need my package"));
        assert!(found("talk to a person", "I don't want this, let me talk to a person"));
        assert!(found("refund", "I did not get my refund"));
    }

    #[test]
    fn refuses_nonsense() {
        for bad in ["", "..", ".. order", "order ..", "a .. .. b", "my?", "what(ever)", "|"] {
            assert!(Phrase::parse(bad).is_err(), "{bad}");
        }
    }
}
