//! The forms in which figures come: money, dates, times, telephone numbers, addresses, identifiers. Each function gives the
//! words, or `None` for what is not of its form; those on several tokens also how many they used.

use super::Token;
use super::numbers::{cardinal, decimal, ordinal, spelled, whole};

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

/// A token by itself.
pub(super) fn alone(core: &str) -> Option<String> {
    money(core)
        .or_else(|| iso_date(core))
        .or_else(|| slash_date(core))
        .or_else(|| clock(core))
        .or_else(|| phone(core))
        .or_else(|| email(core))
        .or_else(|| site(core))
        .or_else(|| letters(core))
        .or_else(|| range(core))
        .or_else(|| identifier(core))
        .or_else(|| percent(core))
        .or_else(|| decimal(core))
        .or_else(|| core.contains(',').then(|| whole(core).map(cardinal)).flatten())
        .or_else(|| abbreviated(core))
}

/// Titles that are written short, whose full stop ends no sentence.
pub(super) fn title(core: &str) -> Option<&'static str> {
    Some(match core {
        "Dr" => "Doctor",
        "Mr" => "Mister",
        "Mrs" => "Missis",
        "Ms" => "Miss",
        _ => return None,
    })
}

fn abbreviated(core: &str) -> Option<String> {
    Some(match core {
        "ETA" => "E T A".to_owned(),
        "&" => "and".to_owned(),
        "24/7" => "twenty-four seven".to_owned(),
        _ => return None,
    })
}

fn percent(core: &str) -> Option<String> {
    let figure = core.strip_suffix('%')?;
    Some(format!("{} percent", whole(figure).map(cardinal).or_else(|| decimal(figure))?))
}

fn month(name: &str) -> Option<&'static str> {
    let name = name.trim_end_matches('.');
    let is = |m: &&&str| **m == name || name.len() == 3 && m.starts_with(name) || name == "Sept" && **m == "September";
    MONTHS.iter().find(is).copied()
}

/// "Dec." and the like.
pub(super) fn is_short_month(token: &str) -> bool {
    token.ends_with('.') && token.len() <= 5 && token != "May." && month(token).is_some()
}

/// "December 1", "Dec. 1st": the day as it is said. A year after it stays.
pub(super) fn date_of(tokens: &[Token<'_>]) -> Option<(String, usize)> {
    let [first, second, ..] = tokens else { return None };
    let month = month(first.core).filter(|_| first.after.is_empty() || first.after == ".")?;
    let day = ["st", "nd", "rd", "th"].iter().find_map(|s| second.core.strip_suffix(s)).unwrap_or(second.core);
    let day = whole(day).filter(|d| day.len() <= 2 && (1..=31).contains(d) && second.before.is_empty())?;
    Some((format!("{month} {}", ordinal(day)), 2))
}

fn day_of(month: &str, day: &str) -> Option<String> {
    let name = MONTHS.get(usize::try_from(whole(month)?).ok()?.checked_sub(1)?)?;
    whole(day).filter(|d| (1..=31).contains(d)).map(|d| format!("{name} {}", ordinal(d)))
}

/// ISO dates: "2026-12-01" becomes "December first".
fn iso_date(core: &str) -> Option<String> {
    let mut parts = core.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    (year.len() == 4 && whole(year).is_some() && parts.next().is_none()).then(|| day_of(month, day)).flatten()
}

/// American dates: "12/01/2026".
fn slash_date(core: &str) -> Option<String> {
    let mut parts = core.split('/');
    let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
    (matches!(year.len(), 2 | 4) && whole(year).is_some() && parts.next().is_none())
        .then(|| day_of(month, day))
        .flatten()
}

/// "am", "p.m." and the like.
fn half(token: &str) -> Option<&'static str> {
    match token.replace('.', "").to_ascii_lowercase().as_str() {
        "am" => Some("A M"),
        "pm" => Some("P M"),
        _ => None,
    }
}

/// "2:05 pm", "9 a.m.", "9am".
pub(super) fn time_of(tokens: &[Token<'_>]) -> Option<(String, usize)> {
    let first = tokens.first()?;
    let attached = first.core.find(|c: char| c.is_ascii_alphabetic()).map(|at| first.core.split_at(at));
    let (figure, half, used) = match attached {
        Some((figure, tail)) => (figure, half(tail)?, 1),
        None => (first.core, half(tokens.get(1)?.core).filter(|_| first.after.is_empty())?, 2),
    };
    let (hour, minute) = figure.split_once(':').unwrap_or((figure, "00"));
    let hour = whole(hour).filter(|h| (1..=12).contains(h))?;
    let minute = whole(minute).filter(|m| minute.len() == 2 && *m < 60)?;
    Some((format!("{} {half}", hour_and_minute(hour, minute).trim_end_matches(" o'clock")), used))
}

/// "14:05" becomes "two oh five P M"; "9:00", of which the half is not said, "nine o'clock".
fn clock(core: &str) -> Option<String> {
    let (hour, minute) = core.split_once(':')?;
    let (hour, minute) = (whole(hour).filter(|h| *h < 24)?, whole(minute).filter(|m| *m < 60 && minute.len() == 2)?);
    let (shown, half) = match hour {
        0 => (12, " A M"),
        1..=12 => (hour, ""),
        _ => (hour - 12, " P M"),
    };
    let words = hour_and_minute(shown, minute);
    Some(if half.is_empty() { words } else { format!("{}{half}", words.trim_end_matches(" o'clock")) })
}

fn hour_and_minute(hour: u64, minute: u64) -> String {
    match minute {
        0 => format!("{} o'clock", cardinal(hour)),
        1..10 => format!("{} oh {}", cardinal(hour), cardinal(minute)),
        _ => format!("{} {}", cardinal(hour), cardinal(minute)),
    }
}

/// Names of a currency's unit and its hundredth, one and many.
fn currency(core: &str) -> Option<([&'static str; 4], &str)> {
    let dollars = ["dollar", "dollars", "cent", "cents"];
    let core = core.strip_prefix("US").filter(|rest| rest.starts_with('$')).unwrap_or(core);
    if let Some(figure) = core.strip_prefix('$') {
        Some((dollars, figure))
    } else if let Some(figure) = core.strip_prefix('€') {
        Some((["euro", "euros", "cent", "cents"], figure))
    } else {
        core.strip_prefix('£').map(|figure| (["pound", "pounds", "penny", "pence"], figure))
    }
}

fn money(core: &str) -> Option<String> {
    let ([one, many, one_small, many_small], figure) = currency(core)?;
    let (units, cents) = figure.split_once('.').unwrap_or((figure, "00"));
    let cents = whole(&format!("{cents:0<2}")).filter(|c| *c < 100)?;
    let said = |n: u64, one: &str, many: &str| format!("{} {}", cardinal(n), if n == 1 { one } else { many });
    Some(match (whole(units)?, cents) {
        (n, 0) => said(n, one, many),
        (0, c) => said(c, one_small, many_small),
        (n, c) => format!("{} and {}", said(n, one, many), said(c, one_small, many_small)),
    })
}

/// "$1.5 million".
pub(super) fn money_of(tokens: &[Token<'_>]) -> Option<(String, usize)> {
    let [first, second, ..] = tokens else { return None };
    let ([_, many, ..], figure) = currency(first.core).filter(|_| first.after.is_empty())?;
    let times = ["thousand", "million", "billion"].into_iter().find(|t| *t == second.core)?;
    let figure = whole(figure).map(cardinal).or_else(|| decimal(figure))?;
    Some((format!("{figure} {times} {many}"), 2))
}

/// Seven digits or more with nothing but the usual marks between: read in groups.
fn phone(core: &str) -> Option<String> {
    let digits: String = core.chars().filter(char::is_ascii_digit).collect();
    let plausible = core.chars().all(|c| c.is_ascii_digit() || "+-().".contains(c)) && (7..=15).contains(&digits.len());
    if !plausible {
        return None;
    }
    let national = if digits.len() == 11 { digits.strip_prefix('1') } else { None }.unwrap_or(&digits);
    let cuts: &[usize] = match national.len() {
        10 => &[3, 6],
        7 => &[3],
        // Abroad, in threes: any grouping is better than none.
        _ => &[3, 6, 9, 12],
    };
    let mut groups: Vec<&str> = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().filter(|c| *c < national.len()).chain([national.len()]) {
        groups.push(&national[from..cut]);
        from = cut;
    }
    Some(groups.iter().map(|g| spelled(g)).collect::<Vec<_>>().join(", "))
}

/// A telephone number with spaces in it: "+1 555 123 0001", "(555) 123-0001", "555 123 0001".
pub(super) fn phone_of(tokens: &[Token<'_>]) -> Option<(String, usize)> {
    let is_piece =
        |t: &&Token<'_>| t.raw.chars().all(|c| c.is_ascii_digit() || "+-().,;:!?".contains(c)) && !t.core.is_empty();
    let mut joined = String::new();
    let mut sizes = Vec::new();
    for token in tokens.iter().take_while(is_piece) {
        joined.push_str(token.core);
        sizes.push(token.core.bytes().filter(u8::is_ascii_digit).count());
        if !token.after.trim_start_matches(')').is_empty() {
            break; // a mark ends it
        }
    }
    let first = tokens.first()?;
    // Figures in a row may be anything; these beginnings and groupings are a telephone number's.
    let marked = first.core.starts_with('+') || first.before == "(" && first.after == ")";
    let grouped = matches!(sizes[..], [3, 3, 4] | [1, 3, 3, 4] | [3, 4]);
    (sizes.len() >= 2 && (marked || grouped)).then(|| phone(&joined)).flatten().map(|words| (words, sizes.len()))
}

/// Words as they are, digits one by one, marks by name.
fn address(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        let name = match c {
            '.' => "dot",
            '-' => "dash",
            '_' => "underscore",
            '+' => "plus",
            '/' => "slash",
            '@' => "at",
            c if c.is_ascii_digit() => "",
            c => {
                word.push(c);
                continue;
            }
        };
        if !word.is_empty() {
            out.push(std::mem::take(&mut word));
        }
        out.push(if name.is_empty() { spelled(c.encode_utf8(&mut [0; 4])) } else { name.to_owned() });
    }
    if !word.is_empty() {
        out.push(word);
    }
    out.join(" ")
}

fn email(core: &str) -> Option<String> {
    let (user, host) = core.split_once('@')?;
    (!user.is_empty() && !host.is_empty() && !host.contains('@')).then(|| address(core))
}

/// "www.shop.example/help", "shop.example".
fn site(core: &str) -> Option<String> {
    let core = core.strip_prefix("https://").or_else(|| core.strip_prefix("http://")).unwrap_or(core);
    let host = core.split('/').next()?;
    let mut labels = host.split('.');
    let is_label = |l: &str| l.len() >= 2 && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let is_host = host.contains('.') && labels.all(is_label) && host.ends_with(|c: char| c.is_ascii_alphabetic());
    is_host.then(|| address(core))
}

/// Spellings: "G-O-M-E-Z", "U.S.A".
fn letters(core: &str) -> Option<String> {
    let separator = ['-', '.'].into_iter().find(|s| core.contains(*s))?;
    let parts: Vec<&str> = core.split(separator).collect();
    let single = |p: &&str| p.len() == 1 && p.bytes().all(|b| b.is_ascii_uppercase());
    (parts.len() >= 2 && parts.iter().all(single)).then(|| parts.join(" "))
}

/// "2-3" becomes "two to three".
fn range(core: &str) -> Option<String> {
    let (low, high) = core.split_once(['-', '–'])?;
    let (low, high) = (whole(low).filter(|n| *n < 1_000)?, whole(high).filter(|n| *n < 1_000)?);
    (low < high).then(|| format!("{} to {}", cardinal(low), cardinal(high)))
}

/// Order numbers and the like, letters and digits together: spelled out. Digits alone, five or more, too.
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
        Some(d) => cardinal(u64::from(d)),
        None => c.to_uppercase().to_string(),
    });
    Some(signs.collect::<Vec<_>>().join(" "))
}
