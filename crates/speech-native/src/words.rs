//! What both engines' words need: marks taken out, circles cut.

/// Without marks such as `[BLANK_AUDIO]`, `(music)`, `♪`, `*sighs*`.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut depth = 0u32;
    for c in text.chars() {
        match c {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth = depth.saturating_sub(1),
            '♪' | '*' | '♫' => {}
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    if out.chars().any(char::is_alphanumeric) { out } else { String::new() }
}

/// Cuts words that go round in circles to their first round: three or more words three times running, five or more twice.
/// A round that is cut short by the token limit counts.
pub(crate) fn unlooped(text: &str) -> String {
    let shown: Vec<&str> = text.split_whitespace().collect();
    let words: Vec<String> =
        shown.iter().map(|w| w.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()).collect();
    for start in 0..words.len() {
        for n in 3..=(words.len() - start) / 2 {
            let round = &words[start..start + n];
            let twice = words[start + n..start + 2 * n] == *round;
            let rest = &words[start + 2 * n..];
            let thrice = rest.len() >= 2 && rest.iter().zip(round).all(|(a, b)| a == b);
            if twice && (n >= 5 || thrice) {
                return shown[..start + n].join(" ");
            }
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_circles_are_not_words() {
        assert_eq!(plain(" [BLANK_AUDIO] (music) ♪ ♪"), "");
        assert_eq!(plain(" Hello there. (laughs)"), "Hello there.");
        assert_eq!(plain(" ... "), "");
        assert_eq!(
            unlooped("Yes, it's order A-1042. Yes, it's order A-1042. Yes, it's order"),
            "Yes, it's order A-1042."
        );
        assert_eq!(unlooped("I was charged twice today. I was charged twice today."), "I was charged twice today.");
        for honest in ["one two three one two three", "one one one zero four two", "no no no no", ""] {
            assert_eq!(unlooped(honest), honest);
        }
    }
}
