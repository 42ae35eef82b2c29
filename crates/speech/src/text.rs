//! Text for a voice: figures become words it reads right, and long lines become clauses, the first one short.
//!
//! The voice is American English. What is not recognised stays as it is; no word is ever dropped.

mod forms;
mod numbers;

use forms::{alone, date_of, money_of, phone_of, time_of};

/// Bumped when the same text is to sound otherwise than before: what was cached under an older one is not played.
pub(crate) const VERSION: u32 = 2;

/// A token: what stands before its core (quotes, brackets), the core, and what stands after it (commas, full stops).
#[derive(Clone, Copy)]
struct Token<'a> {
    raw: &'a str,
    before: &'a str,
    core: &'a str,
    after: &'a str,
}

impl<'a> Token<'a> {
    fn new(raw: &'a str) -> Self {
        let opens = |c: char| c.is_alphanumeric() || matches!(c, '$' | '€' | '£' | '+' | '#' | '&');
        let closes = |c: char| c.is_alphanumeric() || matches!(c, '%' | '&');
        let start = raw.find(opens).unwrap_or(0);
        let end = raw.rfind(closes).map_or(raw.len(), |i| i + raw[i..].chars().next().map_or(1, char::len_utf8));
        let start = start.min(end);
        Self { raw, before: &raw[..start], core: &raw[start..end], after: &raw[end..] }
    }
}

/// The text with money, dates, times, telephone and order numbers, e-mail and web addresses, spellings, percentages and
/// decimals in words.
pub fn speakable(text: &str) -> String {
    let tokens: Vec<Token<'_>> = text.split_whitespace().map(Token::new).collect();
    let mut out: Vec<String> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(first) = tokens.get(at) {
        let rest = &tokens[at..];
        let several = phone_of(rest).or_else(|| money_of(rest)).or_else(|| date_of(rest)).or_else(|| time_of(rest));
        if let Some((words, used)) = several {
            let last = rest.get(used - 1).unwrap_or(first);
            out.push(format!("{}{words}{}", first.before.trim_end_matches('('), last.after.trim_start_matches(')')));
            at += used;
            continue;
        }
        let title = forms::title(first.core).filter(|_| first.after == "." || first.after.is_empty());
        out.push(match title {
            // Its full stop is none: "Dr. Park" has no pause.
            Some(title) => format!("{}{title}", first.before),
            None => format!("{}{}{}", first.before, alone(first.core).as_deref().unwrap_or(first.core), first.after),
        });
        at += 1;
    }
    out.join(" ")
}

/// The first clause may be as short as that, so that speech starts soon; the others longer, so that it flows. Bytes.
const FIRST_CLAUSE: usize = 12;
const CLAUSE: usize = 24;

/// Sentences, and of long ones their clauses. The first is short where the text allows, so that speech starts soon.
pub fn clauses(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut current = String::new();
    for token in text.split_whitespace() {
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(token);
        let sentence = token.ends_with(['.', '!', '?', ':', ';']) && !abbreviation(token);
        let least = if out.is_empty() { FIRST_CLAUSE } else { CLAUSE };
        let clause = token.ends_with(',') && current.len() >= least;
        if sentence || clause {
            out.push(std::mem::take(&mut current));
        }
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}

fn abbreviation(token: &str) -> bool {
    ["Mr.", "Mrs.", "Ms.", "Dr.", "St.", "No.", "vs.", "e.g.", "i.e.", "a.m.", "p.m.", "A.M.", "P.M."].contains(&token)
        || forms::is_short_month(token)
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
