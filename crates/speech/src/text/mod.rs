//! Text for a voice. [`speakable`] turns what people write into words a synthesizer reads right: money, order and telephone
//! numbers, dates, times, addresses. [`clauses`] cuts a text into pieces that are synthesized one after the other.
//!
//! American English, for the telephone. What must always hold: no figure is left in a speakable text (a voice would guess
//! how to read it), making it speakable once more changes nothing, and clauses joined give every word of the text.

mod clauses;
mod lexicon;
mod number;
mod phone;
mod token;

pub use clauses::clauses;

use token::Around;

/// The text in words a voice reads right.
pub fn speakable(text: &str) -> String {
    let text = phone::replace(&tidy(text)).replace(['(', ')'], ", ");
    let tokens: Vec<Token<'_>> = text.split_whitespace().map(Token::of).collect();
    let mut out: Vec<String> = Vec::with_capacity(tokens.len());
    let (mut at, mut naming) = (0, false);
    while let Some(token) = tokens.get(at) {
        let rest = &tokens[at..];
        let previous = at.checked_sub(1).map(|i| tokens[i].core).unwrap_or_default();
        let (words, used, mark) = span(rest, previous).unwrap_or_else(|| {
            let next = rest.get(1).filter(|_| token.after.is_empty()).map(|t| t.core).unwrap_or_default();
            let around = Around { previous, next, pointed: token.after.starts_with('.'), naming };
            let words = token::words(token.core, around);
            let letter = |w: &str| w.len() == 1 && w.starts_with(|c: char| c.is_ascii_uppercase());
            // A lone capital is somebody's initial; one after another is the end of a spelled word.
            let spells = letter(previous) && letter(token.core);
            (words, 1, token.mark(rest.get(1).filter(|_| !spells)))
        });
        out.push(format!("{words}{mark}"));
        naming = match token.core {
            "and" | "or" | "is" | "" => naming,
            core if core.bytes().any(|b| b.is_ascii_digit()) => naming,
            core => lexicon::names_something(core),
        };
        at += used;
    }
    polish(&out.join(" "))
}

/// A word with what stands before and after it.
struct Token<'a> {
    core: &'a str,
    after: &'a str,
}

impl<'a> Token<'a> {
    fn of(text: &'a str) -> Self {
        let opens = |(i, c): (usize, char)| {
            let next = text[i + c.len_utf8()..].chars().next();
            c.is_alphanumeric()
                || "$€£#@&=%".contains(c)
                || matches!(c, '-' | '+' | '.') && next.is_some_and(|n| n.is_ascii_digit() || "$€£".contains(n))
                || c == '+' && next.is_none()
        };
        let start = text.char_indices().find(|at| opens(*at)).map_or(text.len(), |(i, _)| i);
        let closes = |c: char| c.is_alphanumeric() || "%°$€£@&=+#".contains(c);
        let end = text.char_indices().rfind(|(_, c)| closes(*c)).map_or(start, |(i, c)| (i + c.len_utf8()).max(start));
        Self { core: &text[start..end], after: if start < end { &text[end..] } else { text } }
    }

    /// The mark that is kept: the strongest of those that follow. An abbreviation's point ends no sentence.
    fn mark(&self, next: Option<&Token<'_>>) -> &'static str {
        let strongest = ["?", "!", ".", ";", ":", ","].into_iter().find(|m| self.after.contains(m)).unwrap_or_default();
        let abbreviates = strongest == "." && lexicon::point_is_not_an_end(self.core);
        let goes_on = next.is_some_and(|n| !ends_sentence(self.core, n.core));
        if abbreviates && goes_on { if self.after.contains(',') { "," } else { "" } } else { strongest }
    }
}

/// Whether a point after `core`, which may abbreviate, ends the sentence all the same: only a capital can follow then, and
/// titles are followed by capitals anyway.
fn ends_sentence(core: &str, next: &str) -> bool {
    let capital = next.starts_with(|c: char| c.is_uppercase());
    capital && matches!(core, "etc" | "a.m" | "p.m" | "A.M" | "P.M" | "Inc" | "Ltd" | "Corp" | "Ave" | "Rd" | "Blvd")
}

/// Forms of several tokens: words, how many tokens, the mark after them.
fn span(rest: &[Token<'_>], previous: &str) -> Option<(String, usize, &'static str)> {
    dated(rest).or_else(|| timed(rest)).or_else(|| amount(rest)).or_else(|| titled(rest, previous))
}

/// "November 24, 2026", "Nov. 24th", "24 November", "November 2026", "Tue, Nov 24".
fn dated(rest: &[Token<'_>]) -> Option<(String, usize, &'static str)> {
    let [first, second, ..] = rest else { return None };
    let day_of = |t: &Token<'_>| {
        let figure = ["st", "nd", "rd", "th"].iter().find_map(|s| t.core.strip_suffix(s)).unwrap_or(t.core);
        figure.parse::<usize>().ok().filter(|d| (1..=31).contains(d) && figure.len() <= 2)
    };
    let year_of = |t: &Token<'_>| {
        let year = Some(t.core).filter(|y| y.len() == 4 && (y.starts_with("19") || y.starts_with("20")));
        year.and_then(|y| y.parse::<u64>().ok()).map(number::year)
    };
    if let Some(name) = lexicon::weekday(first.core)
        && (lexicon::month(second.core).is_some() || second.core.starts_with(|c: char| c.is_ascii_digit()))
    {
        return Some((format!("{name},"), 1, ""));
    }
    let open = |t: &Token<'_>| matches!(t.after, "" | ".");
    let (month, day) = match (lexicon::month(first.core), lexicon::month(second.core)) {
        (Some(month), _) if open(first) => match day_of(second) {
            Some(day) => (month, day),
            None => {
                let words = format!("{} {}", lexicon::MONTHS.get(month - 1)?, year_of(second)?);
                return Some((words, 2, second.mark(rest.get(2))));
            }
        },
        (_, Some(month)) if first.after.is_empty() => (month, day_of(first)?),
        _ => return None,
    };
    let day = token::day(month, day)?;
    match rest.get(2).filter(|_| matches!(second.after, "" | "," | ".")).and_then(year_of) {
        Some(year) => Some((format!("{day}, {year}"), 3, rest[2].mark(rest.get(3)))),
        None if second.after == "." && rest.len() > 2 && lexicon::month(second.core).is_some() => Some((day, 2, "")),
        None => Some((day, 2, second.mark(rest.get(2)))),
    }
}

/// "3 p.m.", "9:30 AM".
fn timed(rest: &[Token<'_>]) -> Option<(String, usize, &'static str)> {
    let [figure, half, ..] = rest else { return None };
    let half_words = match half.core.to_ascii_lowercase().replace('.', "").as_str() {
        "am" if half.core != "am" || figure.core.contains(':') || figure.after.is_empty() => "A M",
        "pm" => "P M",
        _ => return None,
    };
    if !figure.after.is_empty() || !figure.core.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some((token::time(figure.core, Some(half_words))?, 2, half.mark(rest.get(2))))
}

/// "$1.2 million", "USD 212.50", "212.50 dollars", "5 kg".
fn amount(rest: &[Token<'_>]) -> Option<(String, usize, &'static str)> {
    let [first, second, ..] = rest else { return None };
    if !first.after.is_empty() {
        return None;
    }
    let mark = second.mark(rest.get(2));
    let code = |t: &Token<'_>| match t.core {
        "USD" | "dollars" => Some('$'),
        "EUR" | "euros" => Some('€'),
        "GBP" | "pounds" => Some('£'),
        _ => None,
    };
    if matches!(second.core, "thousand" | "million" | "billion" | "trillion") {
        let currency = first.core.chars().next().filter(|c| "$€£".contains(*c))?;
        let words = number::decimal(first.core.strip_prefix(currency)?)?;
        return Some((format!("{words} {} {}", second.core, token::names(currency).1), 2, mark));
    }
    if let Some(currency) = code(first).filter(|_| first.core.len() == 3) {
        return Some((token::amount_of(second.core, currency)?, 2, mark));
    }
    let figure = first.core.starts_with(|c: char| c.is_ascii_digit());
    if let Some(currency) = code(second).filter(|_| figure) {
        return Some((token::amount_of(first.core, currency)?, 2, mark));
    }
    let unit = (figure && second.core.len() >= 2).then(|| lexicon::unit(second.core, first.core == "1")).flatten()?;
    let abbreviates = second.after.starts_with('.') && rest.get(2).is_some_and(|t| !ends_sentence("etc", t.core));
    Some((format!("{} {unit}", number::decimal(first.core)?), 2, if abbreviates { "" } else { mark }))
}

/// "Dr. Park" and "Elm Dr.", "St. Louis" and "Main St.", "No. 5".
fn titled(rest: &[Token<'_>], previous: &str) -> Option<(String, usize, &'static str)> {
    let token = rest.first()?;
    let next = rest.get(1);
    let capital = |word: &str| word.starts_with(|c: char| c.is_uppercase());
    let place = capital(previous) && !matches!(previous, "The" | "To" | "At" | "In" | "For" | "And" | "With" | "Is");
    let before_name = next.is_some_and(|n| capital(n.core)) && matches!(token.after, "" | ".");
    let end = |token: &Token<'_>| match next {
        Some(n) if token.after == "." && !capital(n.core) => "",
        _ => token.mark(None),
    };
    match token.core {
        "Dr" if before_name && !place => Some(("Doctor".to_owned(), 1, "")),
        "Dr" if place => Some(("Drive".to_owned(), 1, end(token))),
        "Dr" => Some(("Doctor".to_owned(), 1, end(token))),
        "St" if before_name && !place => Some(("Saint".to_owned(), 1, "")),
        "St" => Some(("Street".to_owned(), 1, end(token))),
        "No" | "no" if token.after == "." => {
            let digit = next.is_some_and(|n| n.core.trim_start_matches('#').starts_with(|c: char| c.is_ascii_digit()));
            digit.then(|| ("number".to_owned(), 1, ""))
        }
        _ => None,
    }
}

/// Typographic characters become plain ones; what is only for the eye goes.
fn tidy(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    for (i, c) in chars.iter().enumerate() {
        let digit_at = |at: Option<usize>| at.and_then(|i| chars.get(i)).is_some_and(char::is_ascii_digit);
        match c {
            '\u{2018}' | '\u{2019}' | '`' | '\u{2b9}' => out.push('\''),
            '\u{2010}' | '\u{2011}' | '\u{2212}' => out.push('-'),
            '\u{2013}' | '\u{2014}' if digit_at(i.checked_sub(1)) && digit_at(Some(i + 1)) => out.push('-'),
            '\u{2013}' | '\u{2014}' => out.push_str(", "),
            '\u{2026}' => out.push_str(". "),
            '~' if digit_at(Some(i + 1)) => out.push_str("about "),
            '½' => out.push_str(" one half "),
            '¼' => out.push_str(" one quarter "),
            '¾' => out.push_str(" three quarters "),
            '[' | '{' => out.push('('),
            ']' | '}' => out.push(')'),
            c if c.is_whitespace() || c.is_control() => out.push(' '),
            c if c.is_alphanumeric() && !c.is_numeric() => out.push(*c),
            c if c.is_ascii_digit() || ".,;:!?'-/+#@&%$€£=()_°".contains(*c) => out.push(*c),
            _ => out.push(' '),
        }
    }
    out
}

/// No mark without a word before it, one mark after a word.
fn polish(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for token in text.split_whitespace() {
        let word = token.trim_end_matches([',', ';', ':', '.', '!', '?']);
        let mark =
            ["?", "!", ".", ";", ":", ","].into_iter().find(|m| token[word.len()..].contains(m)).unwrap_or_default();
        if word.chars().any(char::is_alphanumeric) {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(word);
        }
        let weaker = out.ends_with([',', ';', ':']) && !matches!(mark, "" | ",");
        if weaker {
            out.pop();
        }
        if !mark.is_empty() && !out.is_empty() && !out.ends_with([',', ';', ':', '.', '!', '?']) {
            out.push_str(mark);
        }
    }
    out
}

#[cfg(test)]
mod tests;
