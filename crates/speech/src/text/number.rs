//! Numbers in English words: cardinals, ordinals, years, and digits one by one.

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
const SCALES: [(u64, &str); 6] = [
    (1_000_000_000_000_000, "quadrillion"),
    (1_000_000_000_000, "trillion"),
    (1_000_000_000, "billion"),
    (1_000_000, "million"),
    (1_000, "thousand"),
    (100, "hundred"),
];

/// "two hundred twelve".
pub fn cardinal(n: u64) -> String {
    if n < 20 {
        return SMALL[n as usize].to_owned();
    }
    if n < 100 {
        let tens = TENS[n as usize / 10];
        return if n.is_multiple_of(10) { tens.to_owned() } else { format!("{tens}-{}", SMALL[n as usize % 10]) };
    }
    let (scale, name) = SCALES.into_iter().find(|(scale, _)| n >= *scale).unwrap_or((100, "hundred"));
    let head = format!("{} {name}", cardinal(n / scale));
    if n.is_multiple_of(scale) { head } else { format!("{head} {}", cardinal(n % scale)) }
}

/// "twenty-first".
pub fn ordinal(n: u64) -> String {
    let words = cardinal(n);
    let cut = words.rfind([' ', '-']).map_or(0, |i| i + 1);
    let (head, last) = words.split_at(cut);
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        tens if tens.ends_with('y') => format!("{}ieth", &tens[..tens.len() - 1]),
        other => format!("{other}th"),
    };
    format!("{head}{last}")
}

/// "twenty twenty-six", "nineteen oh five", "two thousand".
pub fn year(n: u64) -> String {
    match (n / 100, n % 100) {
        (century, 0) if century % 10 != 0 => format!("{} hundred", cardinal(century)),
        (century, rest) if century % 10 == 0 && rest < 10 => cardinal(n),
        (century, rest) if rest < 10 => format!("{} oh {}", cardinal(century), cardinal(rest)),
        (century, rest) => format!("{} {}", cardinal(century), cardinal(rest)),
    }
}

/// Digits one by one: "one zero four two". Other characters are passed over.
pub fn digits(text: &str) -> String {
    let words: Vec<&str> = text.bytes().filter(u8::is_ascii_digit).map(|d| SMALL[usize::from(d - b'0')]).collect();
    words.join(" ")
}

/// Digits one by one, long runs in groups a listener can write down.
pub fn grouped(text: &str) -> String {
    let run: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
    let size = match run.len() {
        0..=6 => return digits(text),
        8 | 12 | 16 => 4,
        _ => 3,
    };
    let mut groups: Vec<String> = Vec::new();
    let mut rest = run.as_slice();
    while !rest.is_empty() {
        let take = if rest.len() <= size + 1 { rest.len() } else { size };
        groups.push(digits(&String::from_utf8_lossy(&rest[..take])));
        rest = &rest[take..];
    }
    groups.join(", ")
}

/// A whole number, thousands separated by commas in the usual places or not at all. At most 15 digits.
pub fn whole(text: &str) -> Option<u64> {
    let mut parts = text.split(',');
    let head = parts.next()?;
    let well_formed = if text.contains(',') {
        (1..=3).contains(&head.len()) && parts.all(|p| p.len() == 3 && p.bytes().all(|b| b.is_ascii_digit()))
    } else {
        true
    };
    let plain: String = text.chars().filter(|c| *c != ',').collect();
    let fine = well_formed && (1..=15).contains(&plain.len()) && plain.bytes().all(|b| b.is_ascii_digit());
    if fine { plain.parse().ok() } else { None }
}

/// "1,250", "3.5", "-2": in words.
pub fn decimal(text: &str) -> Option<String> {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("minus ", rest));
    match text.split_once('.') {
        None => Some(format!("{sign}{}", cardinal(whole(text)?))),
        Some((head, tail)) => {
            let head = if head.is_empty() { 0 } else { whole(head)? };
            let fine = !tail.is_empty() && tail.len() <= 6 && tail.bytes().all(|b| b.is_ascii_digit());
            fine.then(|| format!("{sign}{} point {}", cardinal(head), digits(tail)))
        }
    }
}
