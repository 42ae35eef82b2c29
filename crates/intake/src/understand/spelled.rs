//! Letter by letter: e-mail addresses and spelled words. "f miller, f m i l l e r, 7 2 at mail dot example dot org".

use super::codes;
use super::numbers;
use super::words::Word;

/// An e-mail address, in small letters. The name before the "at" may be words, letters, digits, or words that are then
/// spelled; the spelling counts.
pub fn email(text: &str, words: &[Word]) -> Option<String> {
    if let Some(written) = written(text) {
        return Some(written);
    }
    let at = words.iter().rposition(|w| w.norm == "at")?;
    let domain = domain(words.get(at + 1..)?)?;
    let start = words[..at].iter().rposition(|w| is_lead(&w.norm)).map_or(0, |i| i + 1);
    let local = local(&words[start..at])?;
    Some(format!("{local}@{domain}"))
}

/// A word that is spelled in `words`: letters, digits, "double t", "b as in bravo". At least two characters.
pub fn word(words: &[Word]) -> Option<String> {
    let run = codes::runs(words, true).into_iter().max_by_key(|r| r.spelling().len())?;
    let spelling = run.spelling();
    (spelling.len() >= 2).then_some(spelling)
}

fn written(text: &str) -> Option<String> {
    let clean = |w: &str| w.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_lowercase();
    text.split_whitespace().map(clean).find(|w| {
        let Some((local, domain)) = w.split_once('@') else { return false };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        let dotted = domain.split('.').count() >= 2 && domain.split('.').all(|l| !l.is_empty());
        !local.is_empty() && dotted && local.chars().all(allowed) && domain.chars().all(allowed)
    })
}

fn domain(words: &[Word]) -> Option<String> {
    let mut labels = vec![String::new()];
    let mut dots = 0;
    for (i, word) in words.iter().enumerate() {
        match word.norm.as_str() {
            "dot" | "period" | "point" => {
                labels.push(String::new());
                dots += 1;
            }
            "dash" | "hyphen" => labels.last_mut()?.push('-'),
            w if w.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                // One word after the last dot is the end; what follows is another matter.
                if dots > 0 && labels.last().is_some_and(|l| l.len() > 1) {
                    break;
                }
                labels.last_mut()?.push_str(w);
            }
            w if i == 0 && w.contains('.') => return None,
            _ => break,
        }
    }
    (dots > 0 && labels.iter().all(|l| !l.is_empty()) && labels.last().is_some_and(|l| l.len() >= 2))
        .then(|| labels.join("."))
}

/// Before the "at". Of "miller, m i l l e r, 72" the spelled part, with what is not covered by it.
fn local(words: &[Word]) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut spelling = String::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let norm = word.norm.as_str();
        let mut next = at + 1;
        let mut close = |parts: &mut Vec<String>| {
            if !spelling.is_empty() {
                parts.push(std::mem::take(&mut spelling));
            }
        };
        if let Some((digits, end)) = numbers::digits(words, at) {
            close(&mut parts);
            parts.push(digits);
            next = end;
        } else if norm.len() == 1 {
            spelling.push_str(norm);
        } else {
            close(&mut parts);
            match norm {
                "dot" | "period" | "point" => parts.push(".".into()),
                "underscore" => parts.push("_".into()),
                "dash" | "hyphen" => parts.push("-".into()),
                "plus" => parts.push("+".into()),
                "um" | "uh" | "thats" | "all" | "lowercase" | "and" | "then" => {}
                w if w.bytes().all(|b| b.is_ascii_alphanumeric()) => parts.push(w.to_owned()),
                _ => return None,
            }
        }
        at = next;
    }
    if !spelling.is_empty() {
        parts.push(spelling);
    }
    let mut out: Vec<String> = Vec::new();
    for part in parts {
        // "miller, m i l l e r": said, then spelled; also "f miller, f m i l l e r".
        let back = (1..=out.len()).find(|n| out[out.len() - n..].concat() == part && part.len() > 1);
        if let Some(n) = back {
            out.truncate(out.len() - n);
        }
        out.push(part);
    }
    let local = out.concat();
    (!local.is_empty() && !local.starts_with('.') && !local.ends_with('.') && local.len() <= 64).then_some(local)
}

fn is_lead(word: &str) -> bool {
    matches!(word, "is" | "its" | "email" | "mail" | "address" | "to" | "be" | "yes" | "sure" | "okay" | "use" | "yeah")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::understand::words::words;

    #[test]
    fn hears_addresses() {
        for (said, address) in [
            ("frank dot miller at example dot com", "frank.miller@example.com"),
            ("It's frank.miller@example.com.", "frank.miller@example.com"),
            ("it's f miller, f m i l l e r, 7 2 at mail dot example dot org", "fmiller72@mail.example.org"),
            ("my email is jo underscore smith nineteen at gmail dot com", "jo_smith19@gmail.com"),
            ("m a r i a at example dot net, thank you", "maria@example.net"),
            ("Anna, A N N A, dot lee at my dash shop dot co dot uk", "anna.lee@my-shop.co.uk"),
        ] {
            assert_eq!(email(said, &words(said)).as_deref(), Some(address), "{said}");
        }
        for none in ["I'm at home", "at example", "meet me at nine dot", "no email", "@"] {
            assert_eq!(email(none, &words(none)), None, "{none}");
        }
    }

    #[test]
    fn hears_spelling() {
        for (said, meant) in
            [("K O W A L S K I", "KOWALSKI"), ("it's B as in bravo, X, 7", "BX7"), ("bravo tango double four", "BT44")]
        {
            assert_eq!(word(&words(said)).as_deref(), Some(meant), "{said}");
        }
        assert_eq!(word(&words("no idea at all")), None);
    }
}
