//! When a queue is open: weekly spans of local time, and days on which it is closed. In the time zone of whoever asks.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::{Span, Zoned};

/// Opening hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// `None`: always.
    spans: Option<Vec<Weekly>>,
    closed: Vec<Date>,
}

/// On these days, from then until then. A span that ends before it begins runs over midnight.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Weekly {
    days: Vec<Weekday>,
    from: Time,
    to: Time,
}

/// Why hours could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadHours {
    /// Not `DAYS FROM-TO`, as in `mon-fri 09:00-17:30`.
    Shape(String),
    /// No weekday: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`.
    Day(String),
    /// No time of day, `00:00` to `24:00`.
    Time(String),
    /// No date, as in `2026-12-25`.
    Date(String),
}

impl std::fmt::Display for BadHours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shape(s) => write!(f, "`{s}` is not of the form `mon-fri 09:00-17:30`"),
            Self::Day(s) => write!(f, "`{s}` is no weekday (mon, tue, wed, thu, fri, sat, sun)"),
            Self::Time(s) => write!(f, "`{s}` is no time of day (00:00 to 24:00)"),
            Self::Date(s) => write!(f, "`{s}` is no date of the form 2026-12-25"),
        }
    }
}

impl std::error::Error for BadHours {}

impl Default for Hours {
    fn default() -> Self {
        Self::always()
    }
}

impl Hours {
    /// Never closed.
    pub fn always() -> Self {
        Self { spans: None, closed: Vec::new() }
    }

    /// Open in these spans (`mon-fri 09:00-17:30`, `sat,sun 10:00-14:00`; none: always), but not on these dates.
    ///
    /// # Errors
    /// The first part that is not understood.
    pub fn parse<S: AsRef<str>>(spans: &[S], closed: &[S]) -> Result<Self, BadHours> {
        let read: Result<Vec<Weekly>, BadHours> = spans.iter().map(|s| weekly(s.as_ref())).collect();
        let dates: Result<Vec<Date>, BadHours> = closed
            .iter()
            .map(|d| d.as_ref().trim().parse().map_err(|_| BadHours::Date(d.as_ref().to_owned())))
            .collect();
        Ok(Self { spans: if spans.is_empty() { None } else { Some(read?) }, closed: dates? })
    }

    /// Whether it is open at this local time.
    pub fn is_open(&self, at: DateTime) -> bool {
        let Some(spans) = &self.spans else { return !self.closed.contains(&at.date()) };
        spans.iter().any(|span| {
            let today = at.date();
            if span.from < span.to {
                return self.begins(span, today) && at.time() >= span.from && at.time() < span.to;
            }
            let evening = self.begins(span, today) && at.time() >= span.from;
            let yesterday = today.yesterday().ok();
            evening || yesterday.is_some_and(|d| self.begins(span, d)) && at.time() < span.to
        })
    }

    fn begins(&self, span: &Weekly, on: Date) -> bool {
        span.days.contains(&on.weekday()) && !self.closed.contains(&on)
    }

    /// The next moment at which it opens, looking at most two weeks ahead; `None` when it is open, or stays closed.
    pub fn next_opening(&self, at: &Zoned) -> Option<Zoned> {
        if self.is_open(at.datetime()) {
            return None;
        }
        let midnight = [Time::midnight()];
        let mut date = at.date();
        for _ in 0..15 {
            let times = self.spans.iter().flatten().map(|s| s.from).chain(midnight);
            let mut openings: Vec<Zoned> = times
                .filter_map(|time| date.to_datetime(time).to_zoned(at.time_zone().clone()).ok())
                .filter(|opening| opening > at && self.is_open(opening.datetime()))
                .collect();
            openings.sort();
            if let Some(first) = openings.into_iter().next() {
                return Some(first);
            }
            date = date.checked_add(Span::new().days(1)).ok()?;
        }
        None
    }
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

fn weekly(text: &str) -> Result<Weekly, BadHours> {
    let shape = || BadHours::Shape(text.to_owned());
    let (days, times) = text.trim().split_once(' ').ok_or_else(shape)?;
    let (from, to) = times.trim().split_once('-').ok_or_else(shape)?;
    let mut on = Vec::new();
    for part in days.split(',') {
        match part.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (day(first)?, day(last)?);
                let count = (last + 7 - first) % 7;
                on.extend(DAYS.iter().cycle().skip(first).take(count + 1).map(|d| d.1));
            }
            None => on.extend(DAYS.get(day(part)?).map(|d| d.1)),
        }
    }
    let span = Weekly { days: on, from: time(from)?, to: time(to)? };
    if span.from == span.to && span.from != Time::midnight() { Err(shape()) } else { Ok(span) }
}

fn day(name: &str) -> Result<usize, BadHours> {
    let name = name.trim();
    DAYS.iter().position(|d| name.eq_ignore_ascii_case(d.0)).ok_or_else(|| BadHours::Day(name.to_owned()))
}

/// `24:00` is the midnight that ends the day.
fn time(text: &str) -> Result<Time, BadHours> {
    let text = text.trim();
    let bad = || BadHours::Time(text.to_owned());
    let (hour, minute) = text.split_once(':').ok_or_else(bad)?;
    let (hour, minute): (i8, i8) = (hour.parse().map_err(|_| bad())?, minute.parse().map_err(|_| bad())?);
    if (hour, minute) == (24, 0) {
        return Ok(Time::midnight());
    }
    Time::new(hour, minute, 0, 0).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(hours: &Hours, at: &str) -> bool {
        hours.is_open(at.parse().unwrap())
    }

    #[test]
    fn open_on_weekdays_and_over_midnight_and_closed_on_holidays() {
        let hours = Hours::parse(&["mon-fri 09:00-17:30", "fri,sat 22:00-02:00"], &["2026-12-25"]).unwrap();
        for (at, is) in [
            ("2026-11-23T08:59:59", false), // a Monday
            ("2026-11-23T09:00:00", true),
            ("2026-11-23T17:29:59", true),
            ("2026-11-23T17:30:00", false),
            ("2026-11-28T01:59:00", true), // Friday's night
            ("2026-11-28T12:00:00", false),
            ("2026-11-29T01:00:00", true), // Saturday's night
            ("2026-11-30T01:00:00", false),
            ("2026-12-25T10:00:00", false),
            ("2026-12-26T01:00:00", false), // the night of the closed Friday
        ] {
            assert_eq!(open(&hours, at), is, "{at}");
        }
        assert!(open(&Hours::always(), "2026-12-25T03:00:00"));
        let all_day = Hours::parse(&["mon 00:00-24:00"], &[]).unwrap();
        assert!(open(&all_day, "2026-11-23T00:00:00") && open(&all_day, "2026-11-23T23:59:59"));
        assert!(!open(&all_day, "2026-11-24T00:00:00"));
        let weekend = Hours::parse(&["sat-mon 10:00-11:00"], &[]).unwrap();
        assert!(open(&weekend, "2026-11-22T10:30:00") && !open(&weekend, "2026-11-24T10:30:00"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let bad = |s: &str| Hours::parse(&[s], &[]).unwrap_err();
        assert_eq!(bad("mon-fri"), BadHours::Shape("mon-fri".into()));
        assert_eq!(bad("mon-fry 09:00-10:00"), BadHours::Day("fry".into()));
        assert_eq!(bad("mon 09:00-25:00"), BadHours::Time("25:00".into()));
        assert_eq!(bad("mon 09:00-09:00"), BadHours::Shape("mon 09:00-09:00".into()));
        assert_eq!(Hours::parse(&[], &["25.12."]).unwrap_err(), BadHours::Date("25.12.".into()));
    }

    #[test]
    fn the_next_opening_is_found_over_a_weekend_and_a_change_of_clocks() {
        let hours = Hours::parse(&["mon-fri 09:00-17:30"], &[]).unwrap();
        // The night of 25 October 2026 has an hour more in this zone.
        let at: Zoned = "2026-10-23T18:00:00+02:00[Europe/Berlin]".parse().unwrap();
        let opening = hours.next_opening(&at).unwrap();
        assert_eq!(opening.datetime().to_string(), "2026-10-26T09:00:00");
        assert_eq!(at.timestamp().duration_until(opening.timestamp()).as_hours(), 64);
        assert_eq!(hours.next_opening(&opening), None, "it is open");
        let closed = Hours::parse(&["mon 09:00-10:00"], &["2026-10-26", "2026-11-02"]).unwrap();
        assert_eq!(closed.next_opening(&at), None);
        let tomorrow = Hours::parse::<&str>(&[], &["2026-10-23"]).unwrap();
        assert_eq!(tomorrow.next_opening(&at).unwrap().datetime().to_string(), "2026-10-24T00:00:00");
    }
}
