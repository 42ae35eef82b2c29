//! How people's names, order numbers and phone numbers are compared: the folded forms under which the store keeps them.

/// An order number's letters and digits, in capitals: `so - 20391` and `SO-20391` are one.
pub fn order_key(number: &str) -> String {
    number.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// A name's words in small letters without accents or punctuation: `Gómez,  María` → `gomez maria`.
pub fn name_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for word in name.split(|c: char| c.is_whitespace() || matches!(c, '-' | ',' | '/')) {
        let mut letters = word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).peekable();
        if letters.peek().is_some() && !key.is_empty() {
            key.push(' ');
        }
        for c in letters {
            match plain(c) {
                Some(plain) => key.push_str(plain),
                None => key.push(c),
            }
        }
    }
    key
}

/// A phone number in international writing, as E.164: `+1 (555) 123-0001` → `+15551230001`. Nothing if the country is not
/// in it, or it has fewer than 7 or more than 15 digits (ITU-T E.164 §6).
pub fn e164(number: &str) -> Option<String> {
    let mut rest = number.trim().strip_prefix('+')?.chars();
    let mut out = String::from("+");
    for c in rest.by_ref() {
        match c {
            '0'..='9' => out.push(c),
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' => {}
            _ => return None,
        }
    }
    ((8..=16).contains(&out.len()) && !out.starts_with("+0")).then_some(out)
}

/// The plain letters for an accented one. Speech-to-text writes names with and without accents.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ą' => "a",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' => "e",
        'ğ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'ı' => "i",
        'ł' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ő' => "o",
        'ř' => "r",
        'ś' | 'š' | 'ş' => "s",
        'ť' => "t",
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_numbers_by_letters_and_digits() {
        for written in ["A-1042", "a 1042", "A1042", "#a-10 42", "A\u{2013}1042"] {
            assert_eq!(order_key(written), "A1042", "{written}");
        }
        assert_ne!(order_key("A-1042"), order_key("A-1043"));
    }

    #[test]
    fn names_without_case_accents_and_punctuation() {
        for written in ["Maria Gomez", "maría  GÓMEZ", " Maria-Gomez. ", "Mari'a Gomez"] {
            assert_eq!(name_key(written), "maria gomez", "{written}");
        }
        assert_eq!(name_key("Jörg Weiß"), "jorg weiss");
        assert_eq!(name_key("O'Brien"), "obrien");
        assert_eq!(name_key("李 小龙"), "李 小龙");
    }

    #[test]
    fn phones_as_e164() {
        assert_eq!(e164(" +1 (555) 123-0001").as_deref(), Some("+15551230001"));
        assert_eq!(e164("+49 30/123456").as_deref(), Some("+4930123456"));
        for bad in ["555 123 0001", "+1 555 CALL NOW", "+0 1234567", "+12345", "+1234567890123456", "", "+"] {
            assert_eq!(e164(bad), None, "{bad}");
        }
    }
}
