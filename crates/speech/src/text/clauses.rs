//! Cutting a text where a voice may take breath.

use super::lexicon::{month, point_is_not_an_end};

/// A first clause shorter than this sounds clipped, a first sentence longer than this is cut.
const SHORT: usize = 12;
const LONG_FIRST: usize = 48;
/// A later sentence is cut only when it would take its synthesizer seconds.
const LONG: usize = 160;

/// The sentences of a text, long ones in parts. The first is short where the words allow, so that a caller soon hears
/// something. Joined by a space they are the text, its white space apart.
pub fn clauses(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for sentence in sentences(text) {
        let mut rest: &[&str] = &sentence;
        loop {
            let limit = if out.is_empty() { LONG_FIRST } else { LONG };
            match cut(rest, limit, out.is_empty()) {
                Some(at) => {
                    out.push(rest[..at].join(" "));
                    rest = &rest[at..];
                }
                None => {
                    out.push(rest.join(" "));
                    break;
                }
            }
        }
    }
    out
}

fn sentences(text: &str) -> Vec<Vec<&str>> {
    let tokens: Vec<&str> = text.split_whitespace().collect();
    let mut out = Vec::new();
    let mut current = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        current.push(*token);
        let bare = token.trim_end_matches(|c: char| "\"')]}\u{2019}\u{201d}".contains(c));
        let end = match bare.chars().last() {
            Some('!' | '?' | ';' | ':' | '…') => true,
            Some('.') => {
                let word = bare.trim_end_matches('.').trim_start_matches(|c: char| !c.is_alphanumeric());
                let follows = tokens.get(i + 1).and_then(|t| t.chars().find(|c| c.is_alphanumeric()));
                let opens = follows.is_none_or(|c| !c.is_lowercase());
                let numbered = matches!(word, "No" | "no") && follows.is_some_and(|c| c.is_ascii_digit());
                opens
                    && !numbered
                    && !(point_is_not_an_end(word) && follows.is_some() && !matches!(word, "a.m" | "p.m" | "etc"))
            }
            _ => false,
        };
        if end && token.chars().any(char::is_alphanumeric) {
            out.push(std::mem::take(&mut current));
        }
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}

/// Where to cut a sentence longer than `limit`: after a comma, or else before a joining word.
fn cut(words: &[&str], limit: usize, first: bool) -> Option<usize> {
    let length = |to: usize| words[..to].iter().map(|w| w.len() + 1).sum::<usize>();
    if length(words.len()) <= limit {
        return None;
    }
    let rest_is_worth_it = |at: usize| length(words.len()) - length(at) >= SHORT;
    let comma = |at: &usize| {
        let (before, after) = (words[*at - 1], words[*at]);
        let inside_date =
            after.starts_with(|c: char| c.is_ascii_digit()) && *at >= 2 && month(words[*at - 2]).is_some();
        before.ends_with([',', '—', '–']) && !inside_date
    };
    let joins = |at: &usize| {
        matches!(
            words[*at],
            "and" | "but" | "because" | "so" | "which" | "or" | "while" | "if" | "when" | "before" | "after"
        )
    };
    let fits = |at: &usize| length(*at) >= SHORT && rest_is_worth_it(*at);
    let places = (1..words.len()).filter(fits);
    if first {
        let longest = 2 * limit;
        places.clone().filter(|at| length(*at) <= longest).find(comma).or_else(|| {
            let hurried = length(words.len()) > longest;
            places.filter(|at| hurried && length(*at) >= limit / 2).find(joins)
        })
    } else {
        let near = |at: &usize| length(*at).abs_diff(limit / 2);
        places.clone().filter(comma).min_by_key(near).or_else(|| places.filter(joins).min_by_key(near))
    }
}
