//! One token's words: money, percentages, dates, times, addresses of the net, identifiers, plain figures.

use super::lexicon::{self, MONTHS, abbreviation, acronym, spelled};
use super::number::{cardinal, decimal, digits, grouped, ordinal, whole, year};

/// What stands around a token.
#[derive(Clone, Copy, Default)]
pub struct Around<'a> {
    /// The word before.
    pub previous: &'a str,
    /// The word after; empty if a mark stands between.
    pub next: &'a str,
    /// A point follows the token.
    pub pointed: bool,
    /// The words before say that digits name something ("order", "extension").
    pub naming: bool,
}

/// The token in words.
pub fn words(core: &str, around: Around<'_>) -> String {
    money(core)
        .or_else(|| percent(core))
        .or_else(|| date(core))
        .or_else(|| clock(core))
        .or_else(|| email(core))
        .or_else(|| url(core))
        .or_else(|| ordinal_figure(core))
        .or_else(|| figure(core, around))
        .or_else(|| range(core))
        .or_else(|| measure(core))
        .or_else(|| identifier(core, around))
        .or_else(|| abbreviation(core, around.pointed).map(str::to_owned))
        .or_else(|| spelled_out(core))
        .or_else(|| acronym(core))
        .or_else(|| sign(core))
        .unwrap_or_else(|| plain(core))
}

/// "$212.50", "€5", "-$3.20", "$5k", "$10-20".
pub fn money(core: &str) -> Option<String> {
    if let Some((low, high)) = core.split_once('-').filter(|(low, _)| !low.is_empty()) {
        let currency = low.chars().next().filter(|c| "$€£".contains(*c))?;
        let high = high.strip_prefix(currency).unwrap_or(high);
        return Some(format!("{} to {}", decimal(low.strip_prefix(currency)?)?, money(&format!("{currency}{high}"))?));
    }
    let (sign, core) = core.strip_prefix('-').map_or(("", core), |rest| ("minus ", rest));
    let symbol = |c: char| "$€£".contains(c);
    let bare = core.strip_prefix("US").filter(|rest| rest.starts_with('$')).unwrap_or(core);
    let (currency, amount) = match bare.strip_prefix(symbol) {
        Some(amount) => (bare.chars().next()?, amount),
        None => (bare.chars().last()?, bare.strip_suffix(symbol)?),
    };
    let scale = |suffix, name| amount.strip_suffix(suffix).and_then(decimal).map(|n| format!("{n} {name}"));
    let (_, many, _) = names(currency);
    if let Some(n) = scale(['k', 'K'], "thousand").or_else(|| scale(['m', 'M'], "million")) {
        return Some(format!("{sign}{n} {many}"));
    }
    Some(format!("{sign}{}", amount_of(amount, currency)?))
}

/// An amount without its sign: "212.50" in dollars and cents.
pub fn amount_of(amount: &str, currency: char) -> Option<String> {
    let (one, many, (cent, cents)) = names(currency);
    let (head, tail) = amount.split_once('.').unwrap_or((amount, "00"));
    if !(1..=2).contains(&tail.len()) {
        return decimal(amount).map(|n| format!("{n} {many}"));
    }
    let large = if head.is_empty() { 0 } else { whole(head)? };
    let small = whole(&format!("{tail:0<2}")).filter(|_| tail.bytes().all(|b| b.is_ascii_digit()))?;
    let count = |n: u64, one: &str, many: &str| format!("{} {}", cardinal(n), if n == 1 { one } else { many });
    Some(match (large, small) {
        (n, 0) => count(n, one, many),
        (0, n) => count(n, cent, cents),
        (n, c) => format!("{} and {}", count(n, one, many), count(c, cent, cents)),
    })
}

/// A currency's names: one, many, its hundredth.
pub fn names(currency: char) -> (&'static str, &'static str, (&'static str, &'static str)) {
    match currency {
        '€' => ("euro", "euros", ("cent", "cents")),
        '£' => ("pound", "pounds", ("penny", "pence")),
        _ => ("dollar", "dollars", ("cent", "cents")),
    }
}

fn percent(core: &str) -> Option<String> {
    let figure = core.strip_suffix('%')?;
    let range = figure.split_once('-').filter(|(low, _)| !low.is_empty());
    let words = match range {
        Some((low, high)) => format!("{} to {}", decimal(low.trim_end_matches('%'))?, decimal(high)?),
        None => decimal(figure)?,
    };
    Some(format!("{words} percent"))
}

/// "2026-11-24", with a time or without; "11/24", "11/24/2026".
fn date(core: &str) -> Option<String> {
    if core == "24/7" {
        return Some("twenty-four seven".to_owned());
    }
    let (day_part, time_part) = core.split_once('T').map_or((core, None), |(d, t)| (d, Some(t)));
    let separator = if day_part.contains('/') { '/' } else { '-' };
    let parts: Vec<&str> = day_part.split(separator).collect();
    let n = |i: usize, most: usize| {
        parts
            .get(i)
            .filter(|p| p.len() <= most && !p.contains(','))
            .and_then(|p| whole(p))
            .and_then(|n| usize::try_from(n).ok())
    };
    let (y, m, d) = match (parts.len(), separator, parts[0].len()) {
        (3, _, 4) => (n(0, 4), n(1, 2)?, n(2, 2)?),
        (3, '/', _) => {
            let y = n(2, 4).filter(|_| parts[2].len() != 3).map(|y| if y < 100 { y + 2_000 } else { y });
            (Some(y?), n(0, 2)?, n(1, 2)?)
        }
        (2, '/', _) => (None, n(0, 2)?, n(1, 2)?),
        _ => return None,
    };
    let (m, d) = if m > 12 && d <= 12 && separator == '/' { (d, m) } else { (m, d) };
    let day = day(m, d)?;
    let year = y.map_or(String::new(), |y| format!(", {}", year(y as u64)));
    let time = match time_part {
        None => String::new(),
        Some(t) => format!(" at {}", clock(t.get(..5)?)?),
    };
    Some(format!("{day}{year}{time}"))
}

/// "November twenty-fourth".
pub fn day(month: usize, day: usize) -> Option<String> {
    let name = MONTHS.get(month.checked_sub(1)?)?;
    (1..=31).contains(&day).then(|| format!("{name} {}", ordinal(day as u64)))
}

/// "14:05", "9:30am", "3pm", "9:00-17:00".
fn clock(core: &str) -> Option<String> {
    if let Some((from, to)) = core.split_once('-') {
        let to_words = clock(to)?;
        let from_words =
            clock(from).or_else(|| (to.contains(['m', 'M'])).then(|| whole(from).map(cardinal)).flatten())?;
        return Some(format!("{from_words} to {to_words}"));
    }
    let low = core.to_ascii_lowercase();
    let (figure, half) = match (low.strip_suffix("am"), low.strip_suffix("pm")) {
        (Some(figure), _) => (figure, Some("A M")),
        (_, Some(figure)) => (figure, Some("P M")),
        _ => (low.as_str(), None),
    };
    time(figure, half)
}

/// "3", "3:05" with "P M"; without it only figures with a colon are a time.
pub fn time(figure: &str, half: Option<&str>) -> Option<String> {
    let (hour, minute) = match figure.split_once(':') {
        Some((h, m)) => {
            let m = m.split_once(':').map_or(m, |(m, _)| m);
            (h, (m.len() == 2).then(|| whole(m)).flatten().filter(|m| *m < 60)?)
        }
        None if half.is_some() => (figure, 0),
        None => return None,
    };
    let h = Some(hour).filter(|h| h.len() <= 2 && !h.is_empty()).and_then(whole).filter(|h| *h < 24)?;
    let half = match half {
        Some(half) if h <= 12 => Some(half),
        Some(_) => return None,
        None if h >= 13 || h == 12 && minute > 0 => Some("P M"),
        None if hour.len() == 2 && h < 10 => Some("A M"), // "09:30" and "00:15" are 24-hour notation
        None => None,
    };
    let h = cardinal(match h {
        0 => 12,
        13.. => h - 12,
        _ => h,
    });
    let minutes = match minute {
        0 if half.is_none() => " o'clock".to_owned(),
        0 => String::new(),
        1..10 => format!(" oh {}", cardinal(minute)),
        _ => format!(" {}", cardinal(minute)),
    };
    Some(format!("{h}{minutes}{}", half.map(|h| format!(" {h}")).unwrap_or_default()))
}

fn email(core: &str) -> Option<String> {
    let (user, host) = core.split_once('@').filter(|(u, h)| !u.is_empty() && h.contains('.'))?;
    Some(format!("{} at {}", address(user), host_name(host)))
}

fn url(core: &str) -> Option<String> {
    const ENDINGS: [&str; 14] =
        ["com", "org", "net", "io", "edu", "gov", "app", "dev", "info", "example", "co", "uk", "de", "us"];
    let schemeless = core.split_once("://").map(|(_, rest)| rest);
    let rest = schemeless.unwrap_or(core);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let named = host.strip_prefix("www.");
    let lettered = host.split('.').all(|p| p.len() > 1 && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    let ends_well = lettered && host.rsplit_once('.').is_some_and(|(_, end)| ENDINGS.contains(&end));
    if schemeless.is_none() && named.is_none() && !ends_well {
        return None;
    }
    let path = path.split('/').filter(|p| !p.is_empty()).map(|p| format!(" slash {}", address(p)));
    Some(format!("{}{}", host_name(named.unwrap_or(host)), path.collect::<String>()))
}

fn host_name(host: &str) -> String {
    let parts = host.split('.').filter(|p| !p.is_empty());
    let said = parts.map(|p| {
        if p.len() == 2 && p.bytes().all(|b| b.is_ascii_alphabetic()) && p != "co" { spelled(p) } else { address(p) }
    });
    said.collect::<Vec<_>>().join(" dot ")
}

/// Part of an address: marks by their names, digits one by one.
fn address(part: &str) -> String {
    let mut out = String::new();
    for c in part.chars() {
        match c {
            '.' => out.push_str(" dot "),
            '_' => out.push_str(" underscore "),
            '-' => out.push_str(" dash "),
            '+' => out.push_str(" plus "),
            c if c.is_ascii_digit() => out.push_str(&format!(" {} ", digits(&c.to_string()))),
            c if c.is_alphanumeric() => out.push(c),
            _ => out.push(' '),
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// "2nd", "21st".
fn ordinal_figure(core: &str) -> Option<String> {
    let figure = ["st", "nd", "rd", "th"].iter().find_map(|s| core.strip_suffix(s))?;
    whole(figure).map(ordinal)
}

/// Figures alone: "1,250", "3.5", "1042", "#5", "007".
fn figure(core: &str, around: Around<'_>) -> Option<String> {
    let bare = core.strip_prefix('#').unwrap_or(core);
    let hash = bare.len() < core.len();
    if bare.is_empty() || !bare.bytes().all(|b| b.is_ascii_digit()) {
        return if hash { None } else { decimal(core.strip_prefix('+').unwrap_or(core)) };
    }
    let number = if hash && !around.naming { "number " } else { "" };
    let as_year = bare.len() == 4
        && (bare.starts_with("19") || bare.starts_with("20"))
        && ["in", "since", "of", "by", "until", "from", "year"]
            .contains(&around.previous.to_ascii_lowercase().as_str());
    let counted = ["dollars", "euros", "pounds", "percent", "USD", "EUR", "GBP"].contains(&around.next)
        || around.next.ends_with('s') && around.next.len() > 3;
    let n = whole(bare);
    let words = match (bare.len(), n) {
        (1..=2, Some(n)) if bare.len() == 1 || !bare.starts_with('0') => cardinal(n),
        (4, Some(n)) if as_year && !hash => year(n),
        (3..=4, Some(n))
            if !hash && !around.naming && !bare.starts_with('0') && (bare.len() == 3 || counted || n % 100 == 0) =>
        {
            cardinal(n)
        }
        (5..=9, Some(n)) if !hash && !around.naming && counted && !bare.starts_with('0') => cardinal(n),
        _ => grouped(bare),
    };
    Some(format!("{number}{words}"))
}

/// "2-3", "100-200", "2024-2025": from small to large. Other figures with dashes are a name of something.
fn range(core: &str) -> Option<String> {
    let (low, high) = core.split_once('-')?;
    let (a, b) = (whole(low)?, whole(high)?);
    let years = [low, high].iter().all(|y| y.len() == 4 && (y.starts_with("19") || y.starts_with("20")));
    let say = |n| if years { year(n) } else { cardinal(n) };
    let plain = !low.starts_with('0') && !high.starts_with('0') && (low.len() <= 3 && high.len() <= 3 || years);
    (plain && a < b).then(|| format!("{} to {}", say(a), say(b)))
}

/// "5kg", "72°F".
fn measure(core: &str) -> Option<String> {
    let cut = core.find(|c: char| !c.is_ascii_digit() && !".,".contains(c))?;
    let (figure, unit) = core.split_at(cut);
    let n = decimal(figure)?;
    let name = match unit {
        "°" => "degrees",
        "°F" => "degrees Fahrenheit",
        "°C" => "degrees Celsius",
        _ => lexicon::unit(unit, figure == "1")?,
    };
    Some(format!("{n} {name}"))
}

/// Order numbers and their like: letters spelled, digits one by one. Words inside stay words ("COVID-19", "Model-3").
fn identifier(core: &str, around: Around<'_>) -> Option<String> {
    let bare = core.trim_start_matches('#');
    let usual = bare.chars().all(|c| c.is_ascii_alphanumeric() || "-/_.#".contains(c));
    if !usual || !bare.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let parts: Vec<&str> = runs(bare);
    let is_word = |p: &str| {
        let small = p.bytes().skip(1).any(|b| b.is_ascii_lowercase());
        let vowel = p.to_ascii_uppercase().contains(['A', 'E', 'I', 'O', 'U', 'Y']);
        vowel && (small && p.len() >= 3 || p.len() >= 5)
    };
    let letters: Vec<&str> =
        parts.iter().copied().filter(|p| p.starts_with(|c: char| c.is_ascii_alphabetic())).collect();
    let wordy = !letters.is_empty() && letters.iter().all(|p| is_word(p));
    let long = bare.bytes().filter(u8::is_ascii_digit).count() > 6 && parts.len() > 2;
    let mut out = String::new();
    for (i, part) in parts.iter().enumerate() {
        let word = match part {
            p if p.starts_with(|c: char| c.is_ascii_digit()) => match whole(p) {
                Some(n) if wordy && !around.naming && p.len() <= 2 && !p.starts_with('0') => cardinal(n),
                _ => grouped(p),
            },
            p if is_word(p) => (*p).to_owned(),
            p => spelled(p),
        };
        if i > 0 {
            out.push_str(if long { ", " } else { " " });
        }
        out.push_str(&word);
    }
    let number = if letters.is_empty() && bare.len() < core.len() && !around.naming { "number " } else { "" };
    Some(format!("{number}{out}"))
}

/// Runs of letters and runs of digits.
fn runs(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = None;
    let kind = |b: u8| (b.is_ascii_alphabetic(), b.is_ascii_digit());
    let bytes = text.as_bytes();
    for i in 0..=bytes.len() {
        let here = bytes.get(i).map_or((false, false), |b| kind(*b));
        if let Some(s) = start
            && here != kind(bytes[s])
        {
            out.push(&text[s..i]);
            start = None;
        }
        if start.is_none() && here != (false, false) {
            start = Some(i);
        }
    }
    out
}

/// "G-O-M-E-Z", "U.S": letters with marks between.
fn spelled_out(core: &str) -> Option<String> {
    let parts: Vec<&str> = core.split(['-', '.']).collect();
    let single = |p: &&str| p.len() == 1 && p.bytes().all(|b| b.is_ascii_alphabetic());
    (parts.len() >= 2 && parts.iter().all(single)).then(|| spelled(&parts.concat()))
}

fn sign(core: &str) -> Option<String> {
    Some(
        match core {
            "&" => "and",
            "@" => "at",
            "+" => "plus",
            "=" => "equals",
            "%" => "percent",
            "#" => "number",
            "$" => "dollars",
            "OK" | "Ok" => "okay",
            _ => return None,
        }
        .to_owned(),
    )
}

/// A word as it is; figures and signs nobody foresaw in words, so that nothing is left unsaid or read as a sign.
fn plain(core: &str) -> String {
    if core.chars().all(|c| c.is_alphabetic() || c == '\'') {
        return core.to_owned();
    }
    let mut out = String::new();
    let chars: Vec<char> = core.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        let between = i > 0 && chars[i - 1].is_alphabetic() && chars.get(i + 1).is_some_and(|c| c.is_alphabetic());
        match c {
            c if c.is_ascii_digit() => out.push_str(&format!(" {} ", digits(&c.to_string()))),
            c if c.is_alphabetic() || between && matches!(c, '\'' | '-') => out.push(*c),
            '@' => out.push_str(" at "),
            '+' => out.push_str(" plus "),
            '%' => out.push_str(" percent "),
            '&' => out.push_str(" and "),
            '.' | ',' | ':' | ';' | '!' | '?' => out.push_str(", "),
            _ => out.push(' '),
        }
    }
    let out = out.split_whitespace().filter(|w| w.chars().any(char::is_alphanumeric)).collect::<Vec<_>>().join(" ");
    out.trim_matches(|c: char| !c.is_alphanumeric()).to_owned()
}
