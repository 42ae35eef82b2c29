//! The ways one telephone number is written: E.164, international digits, national. What a trunk signals and what a record
//! keeps seldom agree; here both become E.164, and only whole numbers are ever compared.

/// Where national numbers are at home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbering {
    country: String,
}

impl Default for Numbering {
    /// North America: country code 1.
    fn default() -> Self {
        Self::new("1")
    }
}

impl Numbering {
    /// National numbers belong to the country of this calling code, digits only: `1`, `49`.
    pub fn new(country_code: &str) -> Self {
        Self { country: country_code.to_owned() }
    }

    /// What a number as signalled or typed may stand for, as E.164, likeliest first. A number with its country has one
    /// reading, one without may have two; text that is no number (`anonymous`) has none.
    pub fn readings(&self, number: &str) -> Vec<String> {
        let Some((international, digits)) = digits(number) else { return Vec::new() };
        let abroad = digits.strip_prefix("011").filter(|_| self.country == "1").or_else(|| digits.strip_prefix("00"));
        let readings = match (international, abroad) {
            (true, _) => vec![digits],
            (false, Some(abroad)) => vec![abroad.to_owned()],
            (false, None) => self.domestic(&digits),
        };
        let mut out = Vec::new();
        for digits in readings {
            if (7..=15).contains(&digits.len()) && !digits.starts_with('0') && !out.contains(&format!("+{digits}")) {
                out.push(format!("+{digits}"));
            }
        }
        out
    }

    /// How systems that search by text may have written the number: each reading in E.164, as bare digits, and as a national
    /// number if it is one.
    pub fn writings(&self, number: &str) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for reading in self.readings(number) {
            let digits = reading.trim_start_matches('+').to_owned();
            let national = digits.strip_prefix(&self.country).filter(|n| n.len() > 6).map(str::to_owned);
            for writing in [Some(reading), Some(digits), national].into_iter().flatten() {
                if !out.contains(&writing) {
                    out.push(writing);
                }
            }
        }
        out
    }

    /// Whether two writings are the same number: the likeliest reading of each.
    pub fn same(&self, one: &str, other: &str) -> bool {
        let (one, other) = (self.readings(one), self.readings(other));
        one.first().is_some_and(|reading| other.first() == Some(reading))
    }

    /// A number as the system keeps it, in E.164; as it is if it is no number.
    pub(crate) fn e164(&self, number: &str) -> String {
        self.readings(number).into_iter().next().unwrap_or_else(|| number.to_owned())
    }

    /// Without any sign of a country: a national number, or international digits without their plus.
    fn domestic(&self, digits: &str) -> Vec<String> {
        let country = &self.country;
        let bare = digits.to_owned();
        // North American Numbering Plan: ten digits, often after a 1; seven alone lack their area.
        if country == "1" {
            return match digits.len() {
                10 => vec![format!("1{digits}"), bare],
                8.. => vec![bare],
                _ => Vec::new(),
            };
        }
        // Elsewhere a trunk prefix, 0 in most plans, 8 in +7; Italy's 0 belongs to the number (ITU-T E.164 national plans).
        let trunk_prefix = if country == "7" { '8' } else { '0' };
        match digits.strip_prefix(trunk_prefix) {
            Some(_) if country == "39" => vec![format!("{country}{digits}")],
            Some(national) => vec![format!("{country}{national}")],
            None if digits.starts_with(country.as_str()) => vec![bare, format!("{country}{digits}")],
            None => vec![format!("{country}{digits}"), bare],
        }
    }
}

/// The digits, and whether a plus came before them. SIP and tel URIs, and visual separators (RFC 3966 §5.1.1), are taken.
fn digits(number: &str) -> Option<(bool, String)> {
    let number = number.trim();
    let number = ["sip:", "sips:", "tel:"].iter().find_map(|scheme| number.strip_prefix(scheme)).unwrap_or(number);
    let number = number.split(['@', ';']).next().unwrap_or_default().trim();
    let (international, rest) = match number.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    // `+44 (0)20 …`: the bracketed trunk prefix is for callers at home.
    let rest = if international { rest.replace("(0)", "") } else { rest.to_owned() };
    let mut out = String::new();
    for c in rest.chars() {
        match c {
            '0'..='9' => out.push(c),
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' => {}
            _ => return None,
        }
    }
    (!out.is_empty()).then_some((international, out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_search_by_and_what_is_the_same() {
        let plan = Numbering::default();
        assert_eq!(plan.writings("(555) 123-0001")[..3], ["+15551230001", "15551230001", "5551230001"]);
        assert!(plan.same("(555) 123-0001", "+1 555 123 0001"));
        for other in ["+15551230002", "1230001", "+5551230001", "", "anonymous"] {
            assert!(!plan.same("5551230001", other), "{other}");
        }
    }

    #[test]
    fn every_writing_of_a_north_american_number_is_one_number() {
        let plan = Numbering::default();
        for written in [
            "+15551230001",
            "15551230001",
            "5551230001",
            "0015551230001",
            "01115551230001",
            "+1 (555) 123-0001",
            "555.123.0001",
            "1-555-123-0001",
            "tel:+1-555-123-0001",
            "sip:+15551230001@carrier.example;user=phone",
            "tel:5551230001;phone-context=+1",
        ] {
            assert_eq!(plan.readings(written).first().map(String::as_str), Some("+15551230001"), "{written}");
        }
        assert_eq!(plan.readings("+442079460000"), ["+442079460000"]);
        assert_eq!(plan.readings("011442079460000"), ["+442079460000"]);
        assert_eq!(plan.readings("442079460000"), ["+442079460000"]);
    }

    #[test]
    fn national_writing_elsewhere() {
        let plan = Numbering::new("44");
        for written in ["02079460000", "+44 (0)20 7946 0000", "00442079460000", "442079460000"] {
            assert_eq!(plan.readings(written).first().map(String::as_str), Some("+442079460000"), "{written}");
        }
        assert_eq!(Numbering::new("39").readings("0669812345"), ["+390669812345"], "Italy keeps its 0");
        assert_eq!(Numbering::new("7").readings("84951234567"), ["+74951234567"]);
        assert_eq!(
            Numbering::new("49").readings("15551230001"),
            ["+4915551230001", "+15551230001"],
            "either may be meant"
        );
    }

    #[test]
    fn what_is_no_number_has_no_reading() {
        for written in [
            "",
            "anonymous",
            "Restricted",
            "sip:anonymous@anonymous.invalid",
            "+",
            "1001",
            "5551234",
            "+1555CALLNOW",
            "0000000",
            "+12345678901234567",
        ] {
            assert!(Numbering::default().readings(written).is_empty(), "{written}");
        }
    }
}
