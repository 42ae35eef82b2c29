//! Telephone numbers in running text, E.164 and national: digit by digit, in the groups people say them in.

use super::number::{digits, grouped};

/// The text with every telephone number in words.
pub fn replace(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || matches!(c, '+' | '(')) {
        let (head, tail) = rest.split_at(start);
        out.push_str(head);
        let fresh = !out.ends_with(|c: char| c.is_alphanumeric() || "-./$€£#:@_".contains(c));
        match if fresh { number(tail) } else { None } {
            Some((words, used)) => {
                out.push_str(&words);
                rest = &tail[used..];
            }
            None => {
                // Past this run, so that no number is looked for in its middle.
                let end = tail.find(|c: char| !c.is_ascii_digit() && !"+(".contains(c)).unwrap_or(tail.len());
                out.push_str(&tail[..end]);
                rest = &tail[end..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Groups of digits from the start of `text`: the digits and where the group ends.
struct Group<'a> {
    digits: &'a str,
    end: usize,
    /// What stands between the group before and this one.
    joint: &'a str,
}

fn number(text: &str) -> Option<(String, usize)> {
    let international = text.starts_with('+');
    let groups = groups(text);
    let lengths: Vec<usize> = groups.iter().map(|g| g.digits.len()).collect();
    let take = if international { international_groups(&groups)? } else { national_groups(text, &groups, &lengths)? };
    let taken = &groups[..take];
    let end = taken.last()?.end;
    let after = text[end..].chars().next();
    let more = text[end..].chars().nth(1).is_some_and(char::is_alphanumeric);
    let goes_on = after.is_some_and(|c| c.is_alphanumeric() || "-/:@_".contains(c) && more || c == '.' && more);
    if goes_on {
        return None;
    }
    let all: String = taken.iter().map(|g| g.digits).collect();
    Some((spoken(&all, international), end))
}

fn groups(text: &str) -> Vec<Group<'_>> {
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        let joint_end = text[at..].find(|c: char| !" -.()+".contains(c)).map_or(text.len(), |i| at + i);
        let joint = &text[at..joint_end];
        let usual = if out.is_empty() {
            matches!(joint, "" | "+" | "(" | "+(")
        } else {
            matches!(joint, " " | "-" | "." | " (" | ") " | ")" | ")-" | " - " | "-(")
        };
        let end = text[joint_end..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |i| joint_end + i);
        if !usual || end == joint_end {
            return out;
        }
        out.push(Group { digits: &text[joint_end..end], end, joint });
        at = end;
    }
}

/// E.164 has at most 15 digits; those of country code 1 have eleven.
fn international_groups(groups: &[Group<'_>]) -> Option<usize> {
    let mut total = 0;
    let mut take = 0;
    for group in groups {
        let nanp = groups[0].digits.starts_with('1');
        if total + group.digits.len() > if nanp { 11 } else { 15 } || take > 0 && group.digits.len() < 2 {
            break;
        }
        total += group.digits.len();
        take += 1;
    }
    (total >= 8).then_some(take)
}

fn national_groups(text: &str, groups: &[Group<'_>], lengths: &[usize]) -> Option<usize> {
    match lengths {
        [10, ..] if !text.starts_with(['0', '1']) => Some(1),
        [11, ..] if text.starts_with('1') => Some(1),
        [3, 3, 4, ..] => Some(3),
        [1, 3, 3, 4, ..] if text.starts_with('1') => Some(4),
        [3, 4, ..] if groups[1].joint == "-" && !text.starts_with(['0', '1']) => Some(2),
        // National numbers of other countries begin with a trunk zero: "020 7946 0958".
        _ if text.starts_with('0') => {
            let total = lengths.iter().take(5).scan(0, |sum, n| {
                *sum += n;
                Some(*sum)
            });
            total.enumerate().find(|(_, sum)| (10..=11).contains(sum)).map(|(i, _)| i + 1).filter(|n| *n > 1)
        }
        _ => None,
    }
}

fn spoken(all: &str, international: bool) -> String {
    let national = match (international, all.len()) {
        (true, 11) | (false, 11) if all.starts_with('1') => &all[1..],
        (false, _) => all,
        (true, _) => {
            let (code, rest) = all.split_at(country_code(all).min(all.len()));
            return format!("plus {}, {}", digits(code), grouped(rest));
        }
    };
    match national.len() {
        10 if !national.starts_with('0') => {
            format!("{}, {}, {}", digits(&national[..3]), digits(&national[3..6]), digits(&national[6..]))
        }
        7 => format!("{}, {}", digits(&national[..3]), digits(&national[3..])),
        _ => grouped(national),
    }
}

/// How long the country code is (ITU-T E.164 assignments).
fn country_code(all: &str) -> usize {
    const TWO: [&str; 43] = [
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49",
        "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84",
        "86", "90", "91", "92", "93", "94", "95",
    ];
    match all {
        _ if all.starts_with(['1', '7']) => 1,
        _ if TWO.iter().any(|c| all.starts_with(c)) || all.starts_with("98") => 2,
        _ => 3,
    }
}
