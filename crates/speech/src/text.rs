//! Text for a voice: figures become words it reads right, and long lines become clauses, the first one short.

/// The text with money, order numbers, telephone numbers, dates, times and e-mail addresses in words.
pub fn speakable(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for token in text.split_whitespace() {
        let start = token.find(|c: char| c.is_alphanumeric() || matches!(c, '$' | '+' | '#')).unwrap_or(0);
        let end = token
            .rfind(|c: char| c.is_alphanumeric() || c == '%')
            .map_or(token.len(), |i| i + token[i..].chars().next().map_or(1, char::len_utf8));
        let (before, rest) = token.split_at(start.min(end));
        let (core, after) = rest.split_at(end - start.min(end));
        out.push(format!("{before}{}{after}", word(core)));
    }
    out.join(" ")
}

/// Sentences, and of long ones their clauses. The first is short where the text allows, so that speech starts soon.
pub fn clauses(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut current = String::new();
    for token in text.split_whitespace() {
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(token);
        let sentence = token.ends_with(['.', '!', '?', ':', ';']) && !abbreviation(token);
        let clause = token.ends_with(',') && current.len() >= 24;
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
    ["Mr.", "Mrs.", "Ms.", "Dr.", "St.", "No.", "vs.", "e.g.", "i.e.", "a.m.", "p.m."].contains(&token)
}

fn word(core: &str) -> String {
    money(core)
        .or_else(|| date(core))
        .or_else(|| time(core))
        .or_else(|| phone(core))
        .or_else(|| email(core))
        .or_else(|| identifier(core))
        .or_else(|| core.strip_suffix('%').and_then(whole).map(|n| format!("{} percent", cardinal(n))))
        .or_else(|| abbreviated(core))
        .unwrap_or_else(|| core.to_owned())
}

fn abbreviated(core: &str) -> Option<String> {
    Some(
        match core {
            "Dr" => "Doctor",
            "Mr" => "Mister",
            "Mrs" => "Missis",
            "Ms" => "Miss",
            "ETA" => "E T A",
            _ => return None,
        }
        .to_owned(),
    )
}

fn whole(text: &str) -> Option<u64> {
    let plain = text.replace(',', "");
    (!plain.is_empty() && plain.len() <= 12 && plain.bytes().all(|b| b.is_ascii_digit()))
        .then(|| plain.parse().ok())
        .flatten()
}

fn money(core: &str) -> Option<String> {
    let figure = core.strip_prefix('$')?;
    let (dollars, cents) = figure.split_once('.').unwrap_or((figure, "00"));
    let (dollars, cents) = (whole(dollars)?, whole(&format!("{cents:0<2}")).filter(|c| *c < 100)?);
    let unit = |n: u64, one: &str| format!("{} {one}{}", cardinal(n), if n == 1 { "" } else { "s" });
    Some(match (dollars, cents) {
        (d, 0) => unit(d, "dollar"),
        (0, c) => unit(c, "cent"),
        (d, c) => format!("{} and {}", unit(d, "dollar"), unit(c, "cent")),
    })
}

/// ISO dates: "2026-12-01" becomes "December first".
fn date(core: &str) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let parts: Vec<&str> = core.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    if year.len() != 4 {
        return None;
    }
    let (_, month, day) = (whole(year)?, whole(month)?, whole(day)?);
    let month = MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    (1..=31).contains(&day).then(|| format!("{month} {}", ordinal(day)))
}

fn time(core: &str) -> Option<String> {
    let (hour, minute) = core.split_once(':')?;
    let (hour, minute) = (whole(hour).filter(|h| *h < 24)?, whole(minute).filter(|m| *m < 60 && minute.len() == 2)?);
    Some(match minute {
        0 => format!("{} o'clock", cardinal(hour)),
        1..10 => format!("{} oh {}", cardinal(hour), cardinal(minute)),
        _ => format!("{} {}", cardinal(hour), cardinal(minute)),
    })
}

/// Seven digits or more with nothing but the usual marks between: read in groups.
fn phone(core: &str) -> Option<String> {
    let digits: String = core.chars().filter(char::is_ascii_digit).collect();
    let plausible = core.chars().all(|c| c.is_ascii_digit() || "+-().".contains(c)) && (7..=15).contains(&digits.len());
    if !plausible {
        return None;
    }
    let national = if digits.len() == 11 { digits.strip_prefix('1') } else { None }.unwrap_or(&digits);
    let cuts: &[usize] = if national.len() == 10 { &[3, 6] } else { &[3] };
    let spelled: String = national
        .char_indices()
        .map(|(i, c)| {
            format!(
                "{}{}",
                if i == 0 {
                    ""
                } else if cuts.contains(&i) {
                    ", "
                } else {
                    " "
                },
                cardinal(u64::from(c as u8 - b'0'))
            )
        })
        .collect();
    Some(spelled)
}

fn email(core: &str) -> Option<String> {
    let (user, host) = core.split_once('@')?;
    Some(format!("{} at {}", user.replace('.', " dot "), host.replace('.', " dot ")))
}

/// Order numbers and the like, letters and digits together: spelled out. Digits alone, four or more, too.
fn identifier(core: &str) -> Option<String> {
    let bare = core.trim_start_matches('#');
    let digits = bare.bytes().filter(u8::is_ascii_digit).count();
    let plain = bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let letters = bare.bytes().any(|b| b.is_ascii_uppercase());
    let ordinal = ["st", "nd", "rd", "th"].iter().any(|s| bare.ends_with(s)) && !letters;
    if !plain
        || ordinal
        || !(letters && digits > 0 || digits >= 5 && digits == bare.len() || bare.len() < core.len() && digits > 0)
    {
        return None;
    }
    let signs = bare.chars().filter(|c| *c != '-').map(|c| match c.to_digit(10) {
        Some(0) => "zero".to_owned(),
        Some(d) => cardinal(u64::from(d)),
        None => c.to_uppercase().to_string(),
    });
    Some(signs.collect::<Vec<_>>().join(" "))
}

fn cardinal(n: u64) -> String {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let with =
        |head: String, rest: u64, join: &str| if rest == 0 { head } else { format!("{head}{join}{}", cardinal(rest)) };
    match n {
        0..20 => SMALL[n as usize].to_owned(),
        20..100 => with(TENS[n as usize / 10].to_owned(), n % 10, "-"),
        100..1_000 => with(format!("{} hundred", cardinal(n / 100)), n % 100, " "),
        1_000..1_000_000 => with(format!("{} thousand", cardinal(n / 1_000)), n % 1_000, " "),
        _ => with(format!("{} million", cardinal(n / 1_000_000)), n % 1_000_000, " "),
    }
}

fn ordinal(n: u64) -> String {
    const SMALL: [&str; 13] = [
        "", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
        "twelfth",
    ];
    match n {
        1..=12 => SMALL[n as usize].to_owned(),
        20 | 30 => format!("{}ieth", cardinal(n).trim_end_matches('y')),
        21..=31 => format!("{}-{}", cardinal(n / 10 * 10), ordinal(n % 10)),
        _ => format!("{}th", cardinal(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_words() {
        for (text, spoken) in [
            ("$212.50", "two hundred twelve dollars and fifty cents"),
            ("It's $1.", "It's one dollar."),
            ("$0.99,", "ninety-nine cents,"),
            ("$1,250", "one thousand two hundred fifty dollars"),
            ("order A-1042, please", "order A one zero four two, please"),
            ("#A-1042", "A one zero four two"),
            ("SO-20391.", "S O two zero three nine one."),
            ("call +15551230001.", "call five five five, one two three, zero zero zero one."),
            ("on 2026-12-01.", "on December first."),
            ("2026-11-23", "November twenty-third"),
            ("2026-11-30", "November thirtieth"),
            ("at 14:05", "at fourteen oh five"),
            ("9:00", "nine o'clock"),
            ("15%", "fifteen percent"),
            ("a.b@shop.example", "a dot b at shop dot example"),
            ("Dr. Park", "Doctor. Park"),
            ("Press 1 to accept, 2 to decline.", "Press 1 to accept, 2 to decline."),
            ("Gomez, the account holder.", "Gomez, the account holder."),
            ("the 2nd one", "the 2nd one"),
            ("20391", "two zero three nine one"),
        ] {
            assert_eq!(speakable(text), spoken, "{text}");
        }
    }

    #[test]
    fn clauses_keep_every_word() {
        let text = "Thanks for calling Northwind. I'm an automated assistant, and this call may be transcribed. How can I help? Dr. Who knows";
        let parts = clauses(text);
        assert_eq!(parts[0], "Thanks for calling Northwind.");
        assert_eq!(parts.join(" "), text);
        assert!(parts.contains(&"Dr. Who knows".to_owned()));
        assert!(clauses("").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,80}") {
            let _ = speakable(&text);
            proptest::prop_assert_eq!(clauses(&text).join(" "), text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
