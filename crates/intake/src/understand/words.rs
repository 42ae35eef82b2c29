//! Utterances cut into words. `A-1042`, `10:42` and `one-oh-four` fall apart, `1,042` and `212.50` stay whole.

/// One word of an utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Lower case, without apostrophes; `$` stays in front of an amount.
    pub norm: String,
    /// As it was written, without punctuation around it.
    pub raw: String,
    /// What follows it.
    pub gap: Gap,
}

/// What stands between a word and the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Nothing but space, or a hyphen.
    None,
    /// A comma, colon or semicolon.
    Pause,
    /// The end of a sentence.
    End,
}

impl Word {
    /// Whether it begins with a capital letter.
    pub fn is_capital(&self) -> bool {
        self.raw.chars().next().is_some_and(char::is_uppercase)
    }

    /// Whether it is written in digits alone.
    pub fn is_numeral(&self) -> bool {
        !self.norm.is_empty() && self.norm.bytes().all(|b| b.is_ascii_digit())
    }
}

/// The words of `text`. Remarks in brackets (`[BLANK_AUDIO]`, `(music)`) are no words.
pub fn words(text: &str) -> Vec<Word> {
    let text = without_remarks(text);
    let chars: Vec<char> = text.chars().map(|c| if matches!(c, '’' | '‘' | '`') { '\'' } else { c }).collect();
    let mut out: Vec<Word> = Vec::new();
    let mut current = String::new();
    for (i, &c) in chars.iter().enumerate() {
        let prev = i.checked_sub(1).and_then(|p| chars.get(p)).copied().unwrap_or(' ');
        let next = chars.get(i + 1).copied().unwrap_or(' ');
        match c {
            _ if c.is_alphanumeric() => {
                let boundary = (c.is_ascii_digit() && prev.is_alphabetic())
                    || (c.is_alphabetic() && prev.is_ascii_digit() && !is_ordinal(&chars, i));
                if boundary {
                    push(&mut out, &mut current);
                }
                current.push(c);
            }
            '\'' if !current.is_empty() => current.push(c),
            '$' if next.is_ascii_digit() => {
                push(&mut out, &mut current);
                current.push('$');
            }
            ',' if prev.is_ascii_digit() && is_thousands(&chars, i) => {}
            '.' if prev.is_ascii_digit() && next.is_ascii_digit() && is_decimal(&chars, i) => current.push('.'),
            _ => {
                push(&mut out, &mut current);
                let gap = match c {
                    '.' | '?' | '!' | '\n' => Gap::End,
                    ',' | ';' | ':' | '…' | '—' | '–' => Gap::Pause,
                    _ => Gap::None,
                };
                if let Some(last) = out.last_mut()
                    && gap != Gap::None
                    && last.gap != Gap::End
                {
                    last.gap = gap;
                }
            }
        }
    }
    push(&mut out, &mut current);
    out
}

/// The norms of `text`, joined by single blanks.
pub fn normal(text: &str) -> String {
    words(text).iter().map(|w| w.norm.as_str()).collect::<Vec<_>>().join(" ")
}

fn without_remarks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut depth = 0_u32;
    // "(555) 123-4567" is no remark: only brackets that hold a letter are.
    let remark_at = |rest: &str| rest.chars().take_while(|c| !matches!(c, ')' | ']')).any(char::is_alphabetic);
    for (i, c) in text.char_indices() {
        match c {
            '[' | '(' if depth > 0 || remark_at(&text[i..]) => depth += 1,
            ']' | ')' if depth > 0 => depth -= 1,
            '♪' | '*' => {}
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

fn push(out: &mut Vec<Word>, current: &mut String) {
    let raw = current.trim_matches('\'').to_owned();
    current.clear();
    if !raw.is_empty() && raw != "$" {
        out.push(Word { norm: raw.to_lowercase().replace('\'', ""), raw, gap: Gap::None });
    }
}

/// `4th`: the letters from `i` on are an ordinal's ending.
fn is_ordinal(chars: &[char], i: usize) -> bool {
    let tail: String = chars[i..].iter().take_while(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    matches!(tail.as_str(), "st" | "nd" | "rd" | "th")
}

/// The comma at `i` groups thousands: up to three digits before it, exactly three after.
fn is_thousands(chars: &[char], i: usize) -> bool {
    let before = chars[..i].iter().rev().take_while(|c| c.is_ascii_digit()).count();
    let after = chars[i + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
    (1..=3).contains(&before) && after == 3
}

/// The dot at `i` is the only one in its number.
fn is_decimal(chars: &[char], i: usize) -> bool {
    let part = |c: &&char| c.is_ascii_digit() || **c == '.';
    let before = chars[..i].iter().rev().take_while(part).any(|c| *c == '.');
    let after = chars[i + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
    let dotted = chars.get(i + 1 + after) == Some(&'.') && chars.get(i + 2 + after).is_some_and(char::is_ascii_digit);
    !before && !dotted && after <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_as_callers_speak() {
        for (text, expected) in [
            ("It's A-1042.", "its a 1042"),
            ("A1042", "a 1042"),
            ("1-0-4-2", "1 0 4 2"),
            ("10:42", "10 42"),
            ("1,042", "1042"),
            ("1,0,4,2", "1 0 4 2"),
            ("$1,212.50, please", "$1212.50 please"),
            ("(555) 123-4567", "555 123 4567"),
            ("555.123.4567", "555 123 4567"),
            ("[BLANK_AUDIO]", ""),
            ("(keyboard clicking) yes", "yes"),
            ("the 4th of May", "the 4th of may"),
            ("G.O.M.E.Z.", "g o m e z"),
            ("don’t", "dont"),
        ] {
            assert_eq!(normal(text), expected, "{text}");
        }
    }
}
