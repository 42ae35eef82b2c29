//! A number heard slightly wrong, against a number that is known: an edit distance in which what a telephone line and a
//! recogniser confuse costs little (a doubled digit, five for nine, a letter that was lost) and any other change much.

use super::codes::{Atom, Run, sound_alike};

/// At this distance or below, a number may have been meant. One whole wrong digit is farther.
pub const NEAR: f32 = 0.9;
/// How much nearer than the next one it must be.
pub const MARGIN: f32 = 0.3;

const DOUBLED: f32 = 0.4;
const ALIKE: f32 = 0.4;
const FIRST_LETTER: f32 = 0.3;
const NEXT_LETTER: f32 = 0.1;
const STRAY_LETTER: f32 = 0.3;
const OTHER: f32 = 1.0;

/// The one of `known` that `run` may have been meant for, if there is exactly one.
pub fn nearest<'k>(run: &Run, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let mut scored: Vec<(f32, &str)> = known.filter(|k| long_enough(run, k)).map(|k| (distance(run, k), k)).collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (best, code) = *scored.first()?;
    let clear = scored.get(1).is_none_or(|next| next.0 - best >= MARGIN);
    (best <= NEAR && clear).then_some(code)
}

/// The cost of turning what was heard into `code`; letters and digits alone count.
pub fn distance(run: &Run, code: &str) -> f32 {
    let heard = run.atoms.as_slice();
    let code: Vec<char> = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let mut row = vec![0.0_f32];
    for (j, _) in code.iter().enumerate() {
        row.push(row.last().copied().unwrap_or(0.0) + lost(&code, j));
    }
    for (i, atom) in heard.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|p| heard.get(p));
        let extra = stray(atom, before);
        let mut next = vec![row.first().copied().unwrap_or(0.0) + extra];
        for (j, &c) in code.iter().enumerate() {
            let at = |k: usize| row.get(k).copied().unwrap_or(f32::MAX);
            let kept = at(j) + confused(atom, c);
            let inserted = at(j + 1) + extra;
            let deleted = next.get(j).copied().unwrap_or(f32::MAX) + lost(&code, j);
            next.push(kept.min(inserted).min(deleted));
        }
        row = next;
    }
    row.last().copied().unwrap_or(f32::MAX)
}

/// A number cut short is not guessed: its rest may still come.
fn long_enough(run: &Run, code: &str) -> bool {
    let digits = code.bytes().filter(u8::is_ascii_digit).count();
    digits >= 3 && run.digits().len() >= digits
}

fn confused(atom: &Atom, c: char) -> f32 {
    if atom.main == c {
        return 0.0;
    }
    if atom.alt == Some(c) {
        return 0.1;
    }
    let pair = |a, b| (atom.main == a && c == b) || (atom.main == b && c == a);
    let digits = pair('5', '9') || pair('0', '4') || pair('1', '9') || pair('6', '0');
    if digits {
        return 0.7;
    }
    if atom.main.is_ascii_digit() == c.is_ascii_digit() && !c.is_ascii_alphabetic() {
        return OTHER;
    }
    if sound_alike(atom.main, c) { ALIKE } else { OTHER }
}

fn stray(atom: &Atom, before: Option<&Atom>) -> f32 {
    if atom.in_word {
        0.0 // a word that may only stand for letters a pattern names: "is 1077"
    } else if before.is_some_and(|b| b.main == atom.main) {
        DOUBLED
    } else if atom.main.is_ascii_alphabetic() {
        STRAY_LETTER
    } else {
        OTHER
    }
}

fn lost(code: &[char], j: usize) -> f32 {
    let c = code.get(j).copied().unwrap_or(' ');
    let before = j.checked_sub(1).and_then(|p| code.get(p)).copied();
    match before {
        None if c.is_ascii_alphabetic() => FIRST_LETTER,
        Some(b) if c.is_ascii_alphabetic() && b.is_ascii_alphabetic() => NEXT_LETTER,
        Some(b) if b == c => DOUBLED,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::understand::codes::runs;
    use crate::understand::words::words;

    fn meant(text: &str, known: &[&'static str]) -> Option<&'static str> {
        let words = words(text);
        let runs = runs(&words, false);
        runs.first().and_then(|run| nearest(run, known.iter().copied()))
    }

    #[test]
    fn prefers_what_is_known() {
        for text in ["10777", "1 0 7 7 7", "eight 10777", "A one zero zero seven seven", "J 1077 7", "a 10 77 7"] {
            assert_eq!(meant(text, &["A-1077", "SO-20391"]), Some("A-1077"), "{text}");
        }
        assert_eq!(meant("203391", &["A-1077", "SO-20391"]), Some("SO-20391"));
        assert_eq!(meant("A 5042", &["A-9042"]), Some("A-9042"));
    }

    #[test]
    fn other_numbers_are_other_numbers() {
        for text in ["A 1043", "A 1078", "20392", "5551234567", "107", "A 10"] {
            assert_eq!(meant(text, &["A-1077", "A-1042", "SO-20391"]), None, "{text}");
        }
        // Two of the caller's numbers are as near.
        assert_eq!(meant("10777", &["A-1077", "B-1077"]), None);
    }
}
