//! Amounts of money, in cents: "$212.50", "two hundred twelve dollars and fifty cents", "about four hundred bucks".

use super::numbers::cardinal;
use super::words::Word;

/// An amount and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// In cents.
    pub cents: u64,
    /// Index of its first word.
    pub start: usize,
    /// One past its last word.
    pub end: usize,
}

/// Every amount in `words`. A number without a unit counts only when `asked`, or when it is written with cents.
pub fn amounts(words: &[Word], asked: bool) -> Vec<Amount> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match amount(words, at, asked) {
            Some(found) => {
                at = found.end;
                out.push(found);
            }
            None => at += 1,
        }
    }
    out
}

/// The amount that a caller disputes: the one charged if that is said, else the first.
pub fn disputed(words: &[Word], found: &[Amount]) -> Option<Amount> {
    // "30 dollars, no wait, 35 dollars": only if nothing but the correction stands between.
    if let Some(point) = super::lexicon::correction_point(words)
        && let Some(before) = found.iter().rfind(|a| a.end <= point)
        && let Some(after) = found.iter().find(|a| a.start >= point)
        && after.start - before.end <= 6
    {
        return Some(*after);
    }
    let charged = |a: &&Amount| {
        words[a.start.saturating_sub(5)..a.start]
            .iter()
            .any(|w| matches!(w.norm.as_str(), "charged" | "charge" | "billed" | "took" | "debited" | "paid"))
    };
    found.iter().find(charged).or_else(|| found.first()).copied()
}

/// `$212.50`, `$400`.
pub fn written(cents: u64) -> String {
    if cents.is_multiple_of(100) { format!("${}", cents / 100) } else { format!("${}.{:02}", cents / 100, cents % 100) }
}

/// Cents of an amount in [`written`] form.
pub fn cents(written: &str) -> Option<u64> {
    decimal(written.strip_prefix('$')?)
}

fn amount(words: &[Word], start: usize, asked: bool) -> Option<Amount> {
    let word = &words[start];
    if let Some(number) = word.norm.strip_prefix('$') {
        let (cents, end) = scaled(words, decimal(number)?, start + 1);
        let end = end + usize::from(words.get(end).is_some_and(|w| is_unit(&w.norm)));
        return Some(Amount { cents, start, end });
    }
    if let Some(cents) = word.norm.contains('.').then(|| decimal(&word.norm)).flatten() {
        let (cents, end) = scaled(words, cents, start + 1);
        let unit = words.get(end).is_some_and(|w| is_unit(&w.norm));
        return Some(Amount { cents, start, end: end + usize::from(unit) });
    }
    let (whole, end) = cardinal(words, start)?;
    if words.get(end).is_some_and(|w| w.norm == "cents" || w.norm == "cent") {
        return Some(Amount { cents: whole, start, end: end + 1 });
    }
    let dollars = whole.checked_mul(100)?;
    if words.get(end).is_some_and(|w| is_unit(&w.norm)) {
        let (extra, end) = and_cents(words, end + 1);
        return Some(Amount { cents: dollars + extra, start, end });
    }
    let counted =
        words.get(end).is_some_and(|w| matches!(w.norm.as_str(), "times" | "time" | "days" | "items" | "orders"));
    if counted
        || !(asked || is_charged(words, start))
        || words[start..end].iter().any(|w| w.norm.len() > 6 && w.is_numeral())
    {
        return None;
    }
    // "two hundred twelve fifty", "212 50": what follows a sum without a unit is its cents.
    if let Some((rest, after)) = cardinal(words, end).filter(|(v, _)| (1..100).contains(v))
        && words.get(after).is_none_or(|w| w.norm != "percent")
    {
        return Some(Amount { cents: dollars + rest, start, end: after });
    }
    Some(Amount { cents: dollars, start, end })
}

/// "billed two twelve fifty", "charged me 80", "a charge of 45": the number behind is money without its unit.
fn is_charged(words: &[Word], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).and_then(|i| words.get(i)).map_or("", |w| w.norm.as_str());
    let verb = |w: &str| matches!(w, "charged" | "billed" | "paid" | "debited");
    let noun = |w: &str| matches!(w, "charge" | "refund" | "bill" | "amount" | "total" | "payment");
    verb(before(1)) || (before(1) == "me" && verb(before(2))) || (before(1) == "of" && noun(before(2)))
}

/// "… and fifty cents", "… fifty" behind the word "dollars".
fn and_cents(words: &[Word], at: usize) -> (u64, usize) {
    let and = words.get(at).is_some_and(|w| w.norm == "and");
    let Some((cents, end)) = cardinal(words, at + usize::from(and)).filter(|(v, _)| *v < 100) else { return (0, at) };
    if words.get(end).is_some_and(|w| w.norm == "cents" || w.norm == "cent") {
        (cents, end + 1)
    } else if !and && cents >= 10 {
        (cents, end)
    } else {
        (0, at)
    }
}

fn scaled(words: &[Word], cents: u64, at: usize) -> (u64, usize) {
    match words.get(at).map(|w| w.norm.as_str()) {
        Some("thousand" | "grand" | "k") => (cents.saturating_mul(1_000), at + 1),
        Some("hundred") => (cents.saturating_mul(100), at + 1),
        _ => (cents, at),
    }
}

fn decimal(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let part: u64 = match part.len() {
        1 => part.parse::<u64>().ok()? * 10,
        2 => part.parse().ok()?,
        _ => return None,
    };
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part)
}

fn is_unit(word: &str) -> bool {
    matches!(word, "dollars" | "dollar" | "bucks" | "buck" | "usd" | "pounds" | "pound" | "quid" | "euros" | "euro")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::understand::words::words;

    #[test]
    fn reads_amounts() {
        for (said, asked, meant) in [
            ("$212.50", false, "$212.50"),
            ("212.50", false, "$212.50"),
            ("two hundred twelve dollars and fifty cents", false, "$212.50"),
            ("two hundred and twelve dollars fifty", false, "$212.50"),
            ("212 dollars and 50 cents", false, "$212.50"),
            ("about four hundred bucks", false, "$400"),
            ("it was 1,200 dollars", false, "$1200"),
            ("$1.2 thousand", false, "$1200"),
            ("twelve hundred dollars", false, "$1200"),
            ("a couple hundred dollars", false, "$200"),
            ("two grand dollars", false, "$2000"),
            ("fifty cents", false, "$0.50"),
            ("you charged me 89 dollars and I am angry", false, "$89"),
            ("like 450 bucks", false, "$450"),
            ("two twelve fifty", true, "$212.50"),
            ("two hundred twelve fifty", true, "$212.50"),
            ("450", true, "$450"),
            ("forty five fifty", true, "$45.50"),
            ("I was billed two twelve fifty for order A-1042", false, "$212.50"),
            ("they charged me 80", false, "$80"),
            ("it should have been $50 but you charged me $450", false, "$450"),
            ("you charged me 30 dollars, sorry, 35 dollars", false, "$35"),
        ] {
            let words = words(said);
            let found = disputed(&words, &amounts(&words, asked)).map(|a| written(a.cents));
            assert_eq!(found.as_deref(), Some(meant), "{said}");
        }
    }

    #[test]
    fn a_bare_number_is_no_money() {
        for said in ["A 1042", "order 450", "five five five one two three four", "two items", "billed 3 times"] {
            assert_eq!(amounts(&words(said), false), [], "{said}");
        }
    }

    #[test]
    fn written_reads_back() {
        for c in [0, 5, 100, 21_250, 123_456_789] {
            assert_eq!(cents(&written(c)), Some(c));
        }
    }
}
