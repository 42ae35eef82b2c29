//! Numbers as carriers write them and as we write them: E.164 with its plus (ITU-T E.164, 15 digits at most). Pure text.

/// How a trunk writes numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberRules {
    /// Country calling code without plus, `44`; `None` leaves national numbers as they are.
    pub country: Option<String>,
    /// What stands before national numbers, `0` in most of Europe, `1` in North America, nothing in Italy.
    pub national_prefix: String,
    /// What stands before international numbers, `00`, or `011` in North America.
    pub international_prefix: String,
    /// What a number is that begins with none of these.
    pub bare: Bare,
    /// Tried before all else: the longest prefix that fits is replaced.
    pub rewrite: Vec<Rewrite>,
    /// How numbers we call are written.
    pub dial: Dial,
}

impl Default for NumberRules {
    fn default() -> Self {
        Self {
            country: None,
            national_prefix: "0".into(),
            international_prefix: "00".into(),
            bare: Bare::Unknown,
            rewrite: Vec::new(),
            dial: Dial::Plus,
        }
    }
}

/// A number of digits alone that begins with neither prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bare {
    /// E.164 whose plus was left out, as many carriers do.
    International,
    /// National without its prefix.
    National,
    /// Nothing is known of it: left as it is.
    Unknown,
}

/// One replacement of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// What the number begins with.
    pub prefix: String,
    /// What stands there instead.
    pub with: String,
}

/// How an E.164 number is written for a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dial {
    /// `+442071838750`.
    Plus,
    /// `442071838750`.
    Digits,
    /// `02071838750` within the country, `00` and so on outside.
    National,
    /// `00442071838750`.
    International,
}

/// The fewest and the most digits of an E.164 number; fewer are a short code, never made international.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

impl NumberRules {
    /// The number in E.164 with its plus; `None` for what is no such number (names, short codes, `anonymous`).
    pub fn to_e164(&self, written: &str) -> Option<String> {
        let text: String = written.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/')).collect();
        let text = self.rewritten(text);
        let international = |rest: &str| plausible(rest).then(|| format!("+{rest}"));
        let national = |rest: &str| international(&format!("{}{rest}", self.country.as_deref()?));
        if let Some(rest) = text.strip_prefix('+') {
            return international(rest);
        }
        if let Some(rest) = strip(&text, &self.international_prefix) {
            return international(rest);
        }
        if let (Some(rest), Some(_)) = (strip(&text, &self.national_prefix), &self.country) {
            return national(rest);
        }
        match self.bare {
            Bare::International => international(&text),
            Bare::National => national(&text),
            Bare::Unknown => None,
        }
    }

    /// The number in E.164 where it is one, else as it was written.
    pub fn normalised(&self, written: &str) -> String {
        self.to_e164(written).unwrap_or_else(|| written.to_owned())
    }

    /// A number as the carrier wants it dialled; what is not E.164 is left alone.
    pub fn dialled(&self, number: &str) -> String {
        let Some(digits) = number.strip_prefix('+').filter(|d| plausible(d)) else { return number.to_owned() };
        let national = self.country.as_deref().and_then(|country| digits.strip_prefix(country));
        match (self.dial, national) {
            (Dial::Plus, _) => number.to_owned(),
            (Dial::Digits, _) => digits.to_owned(),
            (Dial::National, Some(rest)) => format!("{}{rest}", self.national_prefix),
            (Dial::National | Dial::International, _) => format!("{}{digits}", self.international_prefix),
        }
    }

    fn rewritten(&self, text: String) -> String {
        let fitting = self.rewrite.iter().filter(|r| text.starts_with(&r.prefix));
        match fitting.max_by_key(|r| r.prefix.len()) {
            Some(rule) => format!("{}{}", rule.with, &text[rule.prefix.len()..]),
            None => text,
        }
    }
}

fn plausible(digits: &str) -> bool {
    DIGITS.contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The rest behind a prefix; an empty prefix stands before nothing.
fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix).filter(|_| !prefix.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uk() -> NumberRules {
        NumberRules { country: Some("44".into()), ..NumberRules::default() }
    }

    #[test]
    fn numbers_become_e164() {
        let nanp = NumberRules {
            country: Some("1".into()),
            national_prefix: "1".into(),
            international_prefix: "011".into(),
            bare: Bare::National,
            ..NumberRules::default()
        };
        let carrier = NumberRules { bare: Bare::International, ..uk() };
        for (rules, written, e164) in [
            (&uk(), "+44 20 7183 8750", Some("+442071838750")),
            (&uk(), "0044-20-7183-8750", Some("+442071838750")),
            (&uk(), "(020) 7183.8750", Some("+442071838750")),
            (&uk(), "442071838750", None),
            (&uk(), "999", None),
            (&uk(), "0", None),
            (&uk(), "anonymous", None),
            (&uk(), "", None),
            (&uk(), "+1234567890123456", None),
            (&uk(), "+0123456789", None),
            (&carrier, "442071838750", Some("+442071838750")),
            (&carrier, "020 7183 8750", Some("+442071838750")),
            (&carrier, "112", None),
            (&nanp, "(212) 555-0100", Some("+12125550100")),
            (&nanp, "1 212 555 0100", Some("+12125550100")),
            (&nanp, "011442071838750", Some("+442071838750")),
            (&NumberRules::default(), "02071838750", None),
            (&NumberRules::default(), "+442071838750", Some("+442071838750")),
        ] {
            assert_eq!(rules.to_e164(written).as_deref(), e164, "{written}");
        }
        assert_eq!(uk().normalised("help"), "help");
    }

    #[test]
    fn the_longest_rewrite_wins() {
        let rewrite =
            [("9", ""), ("90", "+90"), ("#31#", "")].map(|(p, w)| Rewrite { prefix: p.into(), with: w.into() });
        let rules = NumberRules { rewrite: rewrite.to_vec(), ..uk() };
        assert_eq!(rules.to_e164("902121234567").as_deref(), Some("+902121234567"));
        assert_eq!(rules.to_e164("902071838750").as_deref(), Some("+902071838750"));
        assert_eq!(rules.to_e164("9+442071838750").as_deref(), Some("+442071838750"));
        assert_eq!(rules.to_e164("#31#02071838750").as_deref(), Some("+442071838750"));
    }

    #[test]
    fn numbers_are_dialled_as_the_carrier_writes_them() {
        for (dial, home, abroad) in [
            (Dial::Plus, "+442071838750", "+12125550100"),
            (Dial::Digits, "442071838750", "12125550100"),
            (Dial::National, "02071838750", "0012125550100"),
            (Dial::International, "00442071838750", "0012125550100"),
        ] {
            let rules = NumberRules { dial, ..uk() };
            assert_eq!((rules.dialled("+442071838750"), rules.dialled("+12125550100")), (home.into(), abroad.into()));
            assert_eq!(rules.dialled("help"), "help");
        }
    }
}
