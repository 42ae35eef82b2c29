//! Dates as they are said: "March third nineteen seventy eight", "the 3rd of March", "07 21 1990", "next Tuesday",
//! "yesterday". Days are counted in the proleptic Gregorian calendar; today is given by the caller of this crate.

use super::numbers;
use super::words::{Gap, Word};

/// A calendar day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// Year.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// Which days are meant when a year or week is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Around {
    /// The nearest one behind us: when something happened, a birthday.
    Past,
    /// The nearest one before us: an appointment.
    #[default]
    Future,
}

impl Day {
    /// That day, if there is one.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        let fits = (1..=12).contains(&month) && (1..=9999).contains(&year) && day >= 1 && day <= days_in(year, month);
        fits.then_some(Self { year, month, day })
    }

    /// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`).
    pub fn number(self) -> i64 {
        let y = i64::from(self.year) - i64::from(self.month <= 2);
        let era = y.div_euclid(400);
        let of_era = y.rem_euclid(400);
        let month = (i64::from(self.month) + 9) % 12;
        let of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// The day that is `days` later.
    pub fn plus(self, days: i64) -> Self {
        let z = self.number() + days + 719_468;
        let era = z.div_euclid(146_097);
        let of_era = z.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let m = (5 * of_year + 2) / 153;
        let month = if m < 10 { m + 3 } else { m - 9 };
        Self {
            year: (year + era * 400 + i64::from(month <= 2)) as i32,
            month: month as u8,
            day: (of_year - (153 * m + 2) / 5 + 1) as u8,
        }
    }

    /// 0 for Monday.
    fn weekday(self) -> i64 {
        (self.number() + 3).rem_euclid(7)
    }

    /// `2026-11-24`.
    pub fn iso(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A date in an utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The day.
    pub day: Day,
    /// Whether its year was said.
    pub has_year: bool,
}

/// Every date in `words`, in order.
pub fn all(words: &[Word], today: Option<Day>, around: Around) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match read(words, at, today, around) {
            Some((day, end)) => {
                // A year that was said does not depend on today.
                let far = today.map(|t| Day { year: t.year - 40, ..t });
                let has_year = read(words, at, far, around).is_some_and(|(d, _)| d == day);
                found.push(Found { day, has_year });
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

/// The date that `words` say last: in a correction ("July 21st, no, the 22nd") that one is meant. A year after a
/// correction ("July 21st 1991, no, 1990") replaces the year.
pub fn date(words: &[Word], today: Option<Day>, around: Around) -> Option<Day> {
    let found = all(words, today, around).last()?.day;
    let point = super::lexicon::correction_point(words).filter(|p| *p > 1);
    let corrected = point.and_then(|p| words.get(p..)).and_then(|rest| match year(rest, 0) {
        (Some(y), end) if end == rest.len() => Day::new(y, found.month, found.day),
        _ => None,
    });
    Some(corrected.unwrap_or(found))
}

/// The date that keys say: `MMDDYYYY` or `MMDD`.
pub fn typed(keys: &str, today: Option<Day>, around: Around) -> Option<Day> {
    let part = |range: std::ops::Range<usize>| keys.get(range).and_then(|p| p.parse::<u8>().ok());
    let (month, day) = (part(0..2)?, part(2..4)?);
    match keys.len() {
        8 => Day::new(keys.get(4..8)?.parse().ok()?, month, day),
        4 => with_year(month, day, None, today, around),
        _ => None,
    }
}

/// As it is read to somebody: `Tuesday, December 1`, with the year when it is not this one's.
pub fn spoken(iso: &str, today: Option<Day>) -> Option<String> {
    let mut parts = iso.splitn(3, '-');
    let year: i32 = parts.next()?.parse().ok()?;
    let (month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let date = Day::new(year, month, day)?;
    let name = MONTHS.get(usize::from(month) - 1)?;
    let mut capital = name.chars();
    let name = capital.next()?.to_uppercase().collect::<String>() + capital.as_str();
    let weekday = WEEKDAYS.get(date.weekday() as usize)?;
    let near = today.is_some_and(|t| (date.number() - t.number()).abs() < 14);
    let weekday = weekday[..1].to_uppercase() + &weekday[1..];
    Some(if near { format!("{weekday}, {name} {day}") } else { format!("{name} {day}, {year}") })
}

fn read(words: &[Word], at: usize, today: Option<Day>, around: Around) -> Option<(Day, usize)> {
    relative(words, at, today)
        .or_else(|| weekday(words, at, today, around))
        .or_else(|| month_first(words, at, today, around))
        .or_else(|| day_first(words, at, today, around))
        .or_else(|| in_digits(words, at))
}

fn norm(words: &[Word], at: usize) -> &str {
    words.get(at).map_or("", |w| w.norm.as_str())
}

fn relative(words: &[Word], at: usize, today: Option<Day>) -> Option<(Day, usize)> {
    let today = today?;
    let days = match norm(words, at) {
        "today" | "tonight" => (0, at + 1),
        "tomorrow" => (1, at + 1),
        "yesterday" => {
            if norm(words, at.wrapping_sub(2)) == "day" && norm(words, at.wrapping_sub(1)) == "before" {
                (-2, at + 1)
            } else {
                (-1, at + 1)
            }
        }
        "this" if matches!(norm(words, at + 1), "morning" | "afternoon" | "evening") => (0, at + 2),
        "last" if norm(words, at + 1) == "night" => (-1, at + 2),
        _ => return ago(words, at, today),
    };
    let after = norm(words, at.wrapping_sub(1)) == "after" && norm(words, at.wrapping_sub(2)) == "day";
    Some((today.plus(days.0 + i64::from(after && days.0 == 1)), days.1))
}

/// "three days ago", "in two weeks", "a week ago".
fn ago(words: &[Word], at: usize, today: Day) -> Option<(Day, usize)> {
    let (n, end) = match norm(words, at) {
        "a" | "an" => (1, at + 1),
        _ => numbers::cardinal(words, at)?,
    };
    let unit = match norm(words, end) {
        "day" | "days" => 1,
        "week" | "weeks" => 7,
        _ => return None,
    };
    let days = i64::try_from(n).ok().filter(|n| *n < 400)? * unit;
    if norm(words, end + 1) == "ago" {
        return Some((today.plus(-days), end + 2));
    }
    (at > 0 && norm(words, at - 1) == "in").then(|| (today.plus(days), end + 1))
}

fn weekday(words: &[Word], at: usize, today: Option<Day>, around: Around) -> Option<(Day, usize)> {
    let today = today?;
    let word = norm(words, at);
    let wanted =
        WEEKDAYS.iter().position(|d| *d == word || d.strip_suffix("day").is_some_and(|s| s == word && s.len() > 3))?;
    // "Friday the 27th", "Tuesday December 1st": the date behind it is more exact.
    if month_first(words, at + 1, Some(today), around).is_some()
        || day_first(words, at + 1, Some(today), around).is_some()
    {
        return None;
    }
    let ahead = (i64::try_from(wanted).ok()? - today.weekday()).rem_euclid(7);
    let before = norm(words, at.wrapping_sub(1));
    let days = match before {
        "last" => {
            if ahead == 0 {
                -7
            } else {
                ahead - 7
            }
        }
        "next" | "coming" => {
            if ahead == 0 {
                7
            } else {
                ahead
            }
        }
        "this" => ahead,
        _ if around == Around::Past => {
            if ahead == 0 {
                0
            } else {
                ahead - 7
            }
        }
        _ => {
            if ahead == 0 {
                7
            } else {
                ahead
            }
        }
    };
    Some((today.plus(days), at + 1))
}

/// "March third", "March the 3rd 1978", "July 21st nineteen ninety".
fn month_first(words: &[Word], at: usize, today: Option<Day>, around: Around) -> Option<(Day, usize)> {
    let month = month(norm(words, at))?;
    let start = at + 1 + usize::from(norm(words, at + 1) == "the");
    let (day, end) = day_of_month(words, start)?;
    let (year, end) = year(words, end);
    Some((with_year(month, day, year, today, around)?, end))
}

/// "the 3rd of March", "third of march seventy eight", "3 March 1978".
fn day_first(words: &[Word], at: usize, today: Option<Day>, around: Around) -> Option<(Day, usize)> {
    let start = at + usize::from(norm(words, at) == "the");
    let (day, end) = day_of_month(words, start)?;
    let end = end + usize::from(norm(words, end) == "of");
    if let Some(month) = month(norm(words, end)) {
        let (year, end) = year(words, end + 1);
        return Some((with_year(month, day, year, today, around)?, end));
    }
    // "the 27th", of this month or the next one.
    let today = today?;
    let closes = words.get(end - 1).is_some_and(|w| w.gap != Gap::None)
        || matches!(norm(words, end), "" | "please" | "at" | "in" | "would" | "if" | "or" | "works" | "is");
    (start > at && is_ordinal(norm(words, start)) && closes).then_some(())?;
    let this = Day::new(today.year, today.month, day)?;
    let month = i64::from(days_in(today.year, today.month));
    let other = |days| Day::new(this.plus(days).year, this.plus(days).month, day);
    match around {
        Around::Future if this < today => other(month).map(|d| (d, end)),
        Around::Past if this > today => other(-month).map(|d| (d, end)),
        _ => Some((this, end)),
    }
}

/// "07 21 1990", "7/21/90", "0 7 2 1 1 9 9 0".
fn in_digits(words: &[Word], at: usize) -> Option<(Day, usize)> {
    let mut digits = String::new();
    let mut parts = Vec::new();
    let mut end = at;
    while let Some((d, next)) = numbers::digits(words, end).filter(|_| digits.len() < 8) {
        digits.push_str(&d);
        parts.push(d);
        end = next;
    }
    let small = |s: &str| s.parse::<u8>().ok();
    let date = match parts.as_slice() {
        [m, d, y] if m.len() <= 2 && d.len() <= 2 => Day::new(full_year(y)?, small(m)?, small(d)?),
        [m, d, century, y] if m.len() <= 2 && d.len() <= 2 && century.len() == 2 && y.len() == 2 => {
            Day::new(format!("{century}{y}").parse().ok()?, small(m)?, small(d)?)
        }
        _ if digits.len() == 8 => {
            Day::new(digits.get(4..8)?.parse().ok()?, small(digits.get(..2)?)?, small(digits.get(2..4)?)?)
        }
        _ => None,
    }?;
    Some((date, end))
}

fn with_year(month: u8, day: u8, year: Option<i32>, today: Option<Day>, around: Around) -> Option<Day> {
    if let Some(year) = year {
        return Day::new(year, month, day);
    }
    let today = today?;
    let this = Day::new(today.year, month, day)?;
    match around {
        Around::Future if this < today => Day::new(today.year + 1, month, day),
        Around::Past if this > today => Day::new(today.year - 1, month, day),
        _ => Some(this),
    }
}

fn year(words: &[Word], at: usize) -> (Option<i32>, usize) {
    let start = at + usize::from(matches!(norm(words, at), "in" | "of"));
    let Some((first, end)) = numbers::digits(words, start) else { return (None, at) };
    if let Some(year) = (first.len() == 4).then(|| full_year(&first)).flatten() {
        return (Some(year), end);
    }
    // "nineteen seventy eight", "twenty oh five"
    if let Some((mut rest, mut after)) = numbers::digits(words, end).filter(|_| matches!(first.as_str(), "19" | "20")) {
        if rest == "0"
            && let Some((unit, next)) = numbers::digits(words, after).filter(|(u, _)| u.len() == 1)
        {
            rest.push_str(&unit);
            after = next;
        }
        if rest.len() == 2 {
            return (format!("{first}{rest}").parse().ok(), after);
        }
    }
    if first.len() == 2 { (full_year(&first), end) } else { (None, at) }
}

/// Two digits are of the last hundred years.
fn full_year(text: &str) -> Option<i32> {
    let year: i32 = text.parse().ok()?;
    match text.len() {
        4 => (1880..=2100).contains(&year).then_some(year),
        2 => Some(if year <= 30 { 2000 + year } else { 1900 + year }),
        _ => None,
    }
}

fn day_of_month(words: &[Word], at: usize) -> Option<(u8, usize)> {
    let word = norm(words, at);
    if let Some(day) = ordinal(word) {
        return Some((day, at + 1));
    }
    if matches!(word, "twenty" | "thirty")
        && let Some(unit) = ordinal(norm(words, at + 1)).filter(|u| *u < 10)
    {
        return Some((if word == "twenty" { 20 } else { 30 } + unit, at + 2));
    }
    let (value, end) = numbers::digits(words, at)?;
    value.parse().ok().filter(|d| (1..=31).contains(d) && value.len() <= 2).map(|d| (d, end))
}

fn is_ordinal(word: &str) -> bool {
    ordinal(word).is_some() || matches!(word, "twenty" | "thirty")
}

fn ordinal(word: &str) -> Option<u8> {
    const NAMES: [&str; 20] = [
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "sixth",
        "seventh",
        "eighth",
        "ninth",
        "tenth",
        "eleventh",
        "twelfth",
        "thirteenth",
        "fourteenth",
        "fifteenth",
        "sixteenth",
        "seventeenth",
        "eighteenth",
        "nineteenth",
        "twentieth",
    ];
    if word == "thirtieth" {
        return Some(30);
    }
    let named = NAMES.iter().position(|n| *n == word).and_then(|i| u8::try_from(i + 1).ok());
    named.or_else(|| {
        let digits = ["st", "nd", "rd", "th"].into_iter().find_map(|e| word.strip_suffix(e))?;
        digits.parse().ok().filter(|d| (1..=31).contains(d))
    })
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

fn month(word: &str) -> Option<u8> {
    let short = |m: &str| word == m || (word.len() >= 3 && word != "mar" && m.starts_with(word) && word.len() <= 4);
    MONTHS.iter().position(|m| short(m)).and_then(|i| u8::try_from(i + 1).ok())
}

fn days_in(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::understand::words::words;

    const TODAY: Option<Day> = Some(Day { year: 2026, month: 11, day: 24 });

    #[test]
    fn reads_dates() {
        for (said, around, iso) in [
            ("March third, nineteen seventy eight", Around::Past, "1978-03-03"),
            ("the 3rd of March 1978", Around::Past, "1978-03-03"),
            ("third of march seventy eight", Around::Past, "1978-03-03"),
            ("3 March 1978", Around::Past, "1978-03-03"),
            ("07 21 1990", Around::Past, "1990-07-21"),
            ("7/21/90", Around::Past, "1990-07-21"),
            ("seven twenty one nineteen ninety", Around::Past, "1990-07-21"),
            ("July 21st two thousand five", Around::Past, "2005-07-21"),
            ("july twenty first twenty oh five", Around::Past, "2005-07-21"),
            ("December 10th", Around::Future, "2026-12-10"),
            ("January 5", Around::Future, "2027-01-05"),
            ("November 20th", Around::Past, "2026-11-20"),
            ("the twentieth", Around::Past, "2026-11-20"),
            ("the 27th", Around::Future, "2026-11-27"),
            ("the 3rd", Around::Future, "2026-12-03"),
            ("next Tuesday", Around::Future, "2026-12-01"),
            ("on Friday please", Around::Future, "2026-11-27"),
            ("last Friday", Around::Past, "2026-11-20"),
            ("on Sunday", Around::Past, "2026-11-22"),
            ("yesterday", Around::Past, "2026-11-23"),
            ("the day before yesterday", Around::Past, "2026-11-22"),
            ("the day after tomorrow", Around::Future, "2026-11-26"),
            ("three days ago", Around::Past, "2026-11-21"),
            ("in two weeks", Around::Future, "2026-12-08"),
            ("Friday the 27th", Around::Future, "2026-11-27"),
            ("this morning", Around::Past, "2026-11-24"),
        ] {
            let day = date(&words(said), TODAY, around).map(Day::iso);
            assert_eq!(day.as_deref(), Some(iso), "{said}");
        }
        for none in ["A 1042", "maybe", "on the second try", "13 45 1990", "February 30th", "I am fine", "the 2 of us"]
        {
            assert_eq!(date(&words(none), TODAY, Around::Future), None, "{none}");
        }
    }

    #[test]
    fn counts_days_both_ways() {
        let start = Day { year: 1899, month: 12, day: 31 };
        for n in (0..60_000).step_by(37) {
            let day = start.plus(n);
            assert_eq!(day.number() - start.number(), n);
            assert_eq!(Day::new(day.year, day.month, day.day), Some(day));
        }
        assert_eq!(TODAY.unwrap().weekday(), 1);
        assert_eq!(typed("07211990", TODAY, Around::Past).map(Day::iso).as_deref(), Some("1990-07-21"));
        assert_eq!(typed("9999", TODAY, Around::Past), None);
        assert_eq!(spoken("2026-12-01", TODAY).as_deref(), Some("Tuesday, December 1"));
    }
}
