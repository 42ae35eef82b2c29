//! Phrases that tell a mood, and where they stand in a sentence.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Most words that `..` in a phrase may stand for.
const GAP: usize = 3;
/// Between a "not" and what it denies there may be so many words, all of them light ones.
const DENIAL_REACH: usize = 3;

/// What a phrase tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mood {
    /// Patience has run out, in plain words or with a threat.
    ComplaintStrong,
    /// Unhappy, or ironic.
    ComplaintMild,
    /// Swearing that is aimed.
    ProfanityStrong,
    /// Swearing that is not.
    ProfanityMild,
    /// Says that it was said or tried before.
    Repeats,
    /// Thanks, contentment, a joke.
    Positive,
}

/// A phrase found in what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What it tells.
    pub mood: Mood,
    /// The words found, in lower case.
    pub words: String,
}

/// Why a list of phrases could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LexiconError {
    /// A heading that is not known.
    #[error("line {line}: there is no section [{name}]")]
    UnknownSection {
        /// From 1.
        line: usize,
        /// The heading.
        name: String,
    },
    /// A phrase before the first heading.
    #[error("line {line}: a phrase before the first [section]")]
    NoSection {
        /// From 1.
        line: usize,
    },
    /// A phrase that can never be found.
    #[error(
        "line {line}: `{phrase}` is never found: write words in lower case, no apostrophe, `..` only between words"
    )]
    NotAPhrase {
        /// From 1.
        line: usize,
        /// The phrase.
        phrase: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Word(String),
    Beginning(String),
    Gap,
}

#[derive(Debug, Clone)]
struct Phrase {
    mood: Mood,
    pieces: Vec<Piece>,
}

/// The phrases. Shared by all calls.
#[derive(Debug, Clone, Default)]
pub struct Lexicon {
    /// By their first word; those that begin with a beginning stand under "".
    phrases: HashMap<String, Vec<Phrase>>,
    not: Vec<String>,
    light: Vec<String>,
}

/// Words of a text in lower case without apostrophes, sentence by sentence. A word masked by a transcriber ("f***") is "bleep".
pub(crate) fn sentences(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for sentence in text.split(['.', '!', '?', ';', '\n']) {
        let words: Vec<String> = sentence
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '’' | '*')))
            .map(|w| w.to_lowercase().replace(['\'', '’'], ""))
            .filter(|w| !w.is_empty() && w.chars().any(|c| c != '*'))
            .map(|w| if w.matches('*').count() > 1 { "bleep".to_owned() } else { w.replace('*', "") })
            .collect();
        if !words.is_empty() {
            all.push(words);
        }
    }
    all
}

impl Lexicon {
    /// The list that ships with this crate, `data/en.txt`.
    pub fn english() -> Arc<Self> {
        static ENGLISH: LazyLock<Arc<Lexicon>> =
            LazyLock::new(|| Arc::new(Lexicon::parse(include_str!("../data/en.txt")).unwrap_or_default()));
        Arc::clone(&ENGLISH)
    }

    /// Reads a list in the format of `data/en.txt`, which explains it.
    pub fn parse(text: &str) -> Result<Self, LexiconError> {
        enum Section {
            Phrases(Mood),
            Not,
            Light,
        }
        let mut lexicon = Self::default();
        let mut section = None;
        for (n, line) in text.lines().enumerate() {
            let (number, line) = (n + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = Some(match name {
                    "complaint strong" => Section::Phrases(Mood::ComplaintStrong),
                    "complaint mild" => Section::Phrases(Mood::ComplaintMild),
                    "profanity strong" => Section::Phrases(Mood::ProfanityStrong),
                    "profanity mild" => Section::Phrases(Mood::ProfanityMild),
                    "repeats" => Section::Phrases(Mood::Repeats),
                    "positive" => Section::Phrases(Mood::Positive),
                    "not" => Section::Not,
                    "between not and what it denies" => Section::Light,
                    _ => return Err(LexiconError::UnknownSection { line: number, name: name.to_owned() }),
                });
                continue;
            }
            match section {
                None => return Err(LexiconError::NoSection { line: number }),
                Some(Section::Not) => lexicon.not.push(line.to_owned()),
                Some(Section::Light) => lexicon.light.push(line.to_owned()),
                Some(Section::Phrases(mood)) => {
                    let pieces = pieces(line)
                        .ok_or_else(|| LexiconError::NotAPhrase { line: number, phrase: line.to_owned() })?;
                    let key = match pieces.first() {
                        Some(Piece::Word(word)) => word.clone(),
                        _ => String::new(),
                    };
                    lexicon.phrases.entry(key).or_default().push(Phrase { mood, pieces });
                }
            }
        }
        Ok(lexicon)
    }

    /// What is found in a text, in its order. What is denied ("I am not angry") is left out; a denied good word ("not very
    /// helpful") is a mild complaint.
    pub fn hits(&self, text: &str) -> Vec<Hit> {
        let mut hits = Vec::new();
        for words in sentences(text) {
            let mut at = 0;
            while at < words.len() {
                let Some((length, mood)) = self.longest(&words[at..]) else {
                    at += 1;
                    continue;
                };
                let mood = match (mood, self.is_denied(&words[..at])) {
                    (mood, false) => Some(mood),
                    (Mood::Positive, true) => Some(Mood::ComplaintMild),
                    (Mood::ComplaintStrong | Mood::ComplaintMild, true) => None,
                    (mood, true) => Some(mood),
                };
                hits.extend(mood.map(|mood| Hit { mood, words: words[at..at + length].join(" ") }));
                at += length;
            }
        }
        hits
    }

    fn longest(&self, words: &[String]) -> Option<(usize, Mood)> {
        let first = words.first()?;
        let by_word = self.phrases.get(first).into_iter().flatten();
        let by_beginning = self.phrases.get("").into_iter().flatten();
        by_word.chain(by_beginning).filter_map(|p| Some((length(&p.pieces, words)?, p.mood))).max_by_key(|(n, _)| *n)
    }

    fn is_denied(&self, before: &[String]) -> bool {
        let light = before.iter().rev().take_while(|w| self.light.contains(w)).count();
        light <= DENIAL_REACH
            && before.len().checked_sub(light + 1).and_then(|at| before.get(at)).is_some_and(|w| self.not.contains(w))
    }
}

fn pieces(phrase: &str) -> Option<Vec<Piece>> {
    let mut all = Vec::new();
    for word in phrase.split_whitespace() {
        let bare = word.strip_suffix('*').unwrap_or(word);
        if word == ".." {
            all.push(Piece::Gap);
        } else if bare.is_empty() || bare.chars().any(|c| !c.is_alphanumeric() || c.is_uppercase()) {
            return None;
        } else if bare.len() < word.len() {
            all.push(Piece::Beginning(bare.to_owned()));
        } else {
            all.push(Piece::Word(bare.to_owned()));
        }
    }
    let inside = all.first() != Some(&Piece::Gap) && all.last() != Some(&Piece::Gap);
    (inside && !all.is_empty()).then_some(all)
}

/// How many of the words a phrase takes, from the first on.
fn length(pieces: &[Piece], words: &[String]) -> Option<usize> {
    let Some((piece, rest)) = pieces.split_first() else { return Some(0) };
    let takes_first = match (piece, words.first()) {
        (Piece::Word(word), Some(first)) => word == first,
        (Piece::Beginning(start), Some(first)) => first.starts_with(start.as_str()),
        (Piece::Gap, _) => {
            return (0..=GAP.min(words.len())).find_map(|gap| Some(gap + length(rest, &words[gap..])?));
        }
        (_, None) => false,
    };
    if takes_first { Some(1 + length(rest, words.get(1..)?)?) } else { None }
}

#[cfg(test)]
mod tests {
    use super::Mood::*;
    use super::*;

    fn moods(text: &str) -> Vec<Mood> {
        Lexicon::english().hits(text).into_iter().map(|h| h.mood).collect()
    }

    #[test]
    fn the_list_that_ships_is_read() {
        let lexicon = Lexicon::parse(include_str!("../data/en.txt")).unwrap();
        assert!(lexicon.phrases.values().map(Vec::len).sum::<usize>() > 200);
        assert!(!lexicon.not.is_empty() && !lexicon.light.is_empty());
    }

    #[test]
    fn moods_are_found() {
        let table: [(&str, &[Mood]); 22] = [
            ("Where is my order?", &[]),
            ("The lamp arrived broken and I want a refund.", &[]),
            ("It's the wrong lamp.", &[]),
            ("This is ridiculous!", &[ComplaintStrong]),
            ("I'm really disappointed.", &[ComplaintMild]),
            ("I’ve told you three times already.", &[Repeats]),
            ("Told you a million bloody times", &[Repeats]),
            ("You've wasted an hour of my time, what a waste of my time.", &[ComplaintStrong]),
            ("This is f***ing stupid", &[ProfanityStrong, ComplaintMild]),
            ("Thank you, that's perfect.", &[Positive, Positive]),
            ("Thanks for nothing.", &[ComplaintStrong]),
            ("Oh great. Just great.", &[ComplaintMild, ComplaintMild]),
            ("I'm not angry.", &[]),
            ("I don't want to complain, but", &[]),
            ("That's not very helpful.", &[ComplaintMild]),
            ("That's not good enough.", &[ComplaintStrong]),
            ("No, thank you.", &[Positive]),
            ("No. That's ridiculous.", &[ComplaintStrong]),
            ("It does not work. It's useless.", &[ComplaintStrong]),
            ("Nobody ever called me back", &[ComplaintMild]),
            ("hello", &[]),
            ("", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(moods(text), expected, "{text}");
        }
    }

    #[test]
    fn a_broken_list_says_where() {
        let error = |text: &str| Lexicon::parse(text).unwrap_err().to_string();
        assert!(error("# x\n[nice]\nfoo").contains("line 2"));
        assert!(error("foo").contains("before the first"));
        for phrase in ["don't", ".. x", "x ..", "Foo", "*"] {
            assert!(error(&format!("[positive]\n{phrase}")).contains("line 2"), "{phrase}");
        }
    }
}
