//! Words a voice reads wrongly as they are written: titles, abbreviations, units, acronyms, months.

pub const MONTHS: [&str; 12] = [
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

/// Abbreviations that end in a point without ending a sentence, and how they are read. Title and street forms that depend
/// on their neighbours ("Dr.", "St.", "No.") are told apart elsewhere.
const ABBREVIATIONS: [(&str, &str); 34] = [
    ("Mr", "Mister"),
    ("Mrs", "Missis"),
    ("Ms", "Miz"),
    ("Prof", "Professor"),
    ("Jr", "Junior"),
    ("Sr", "Senior"),
    ("Ave", "Avenue"),
    ("Rd", "Road"),
    ("Blvd", "Boulevard"),
    ("Ln", "Lane"),
    ("Hwy", "Highway"),
    ("Apt", "apartment"),
    ("Ste", "suite"),
    ("Inc", "Incorporated"),
    ("Ltd", "Limited"),
    ("Corp", "Corporation"),
    ("Co", "Company"),
    ("Dept", "department"),
    ("dept", "department"),
    ("approx", "approximately"),
    ("appt", "appointment"),
    ("acct", "account"),
    ("Acct", "account"),
    ("est", "estimated"),
    ("etc", "et cetera"),
    ("vs", "versus"),
    ("e.g", "for example"),
    ("i.e", "that is"),
    ("ref", "reference"),
    ("Ref", "reference"),
    ("ext", "extension"),
    ("Ext", "extension"),
    ("qty", "quantity"),
    ("Qty", "quantity"),
];

/// Abbreviations that are read in full only with their point: without it they are words of their own.
const NEED_POINT: [&str; 8] = ["Co", "est", "Ste", "ref", "Ref", "ext", "Ext", "Inc"];

/// Read letter by letter, though they hold a vowel. Capitals without any vowel are, too, and need no entry.
const ACRONYMS: [&str; 33] = [
    "ETA", "ID", "IP", "UPS", "USB", "US", "USA", "UK", "EU", "CEO", "CFO", "CTO", "ATM", "FAQ", "LED", "RMA", "SKU",
    "VIP", "VAT", "API", "IRS", "IVR", "URL", "UPC", "OTP", "AI", "ACH", "IBAN", "PO", "USPS", "RSVP", "EST", "DOB",
];

const UNITS: [(&str, &str, &str); 26] = [
    ("kg", "kilogram", "kilograms"),
    ("g", "gram", "grams"),
    ("mg", "milligram", "milligrams"),
    ("lb", "pound", "pounds"),
    ("lbs", "pound", "pounds"),
    ("oz", "ounce", "ounces"),
    ("km", "kilometer", "kilometers"),
    ("m", "meter", "meters"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("mi", "mile", "miles"),
    ("ft", "foot", "feet"),
    ("mph", "mile an hour", "miles an hour"),
    ("ml", "milliliter", "milliliters"),
    ("L", "liter", "liters"),
    ("GB", "gigabyte", "gigabytes"),
    ("MB", "megabyte", "megabytes"),
    ("TB", "terabyte", "terabytes"),
    ("kW", "kilowatt", "kilowatts"),
    ("kWh", "kilowatt hour", "kilowatt hours"),
    ("hr", "hour", "hours"),
    ("hrs", "hour", "hours"),
    ("min", "minute", "minutes"),
    ("mins", "minute", "minutes"),
    ("sec", "second", "seconds"),
    ("x", "times", "times"),
];

/// After one of these, digits are a name of something and are read one by one.
const NAMED: [&str; 26] = [
    "order",
    "orders",
    "number",
    "code",
    "account",
    "case",
    "ticket",
    "extension",
    "pin",
    "zip",
    "ending",
    "reference",
    "invoice",
    "tracking",
    "confirmation",
    "id",
    "flight",
    "room",
    "claim",
    "policy",
    "card",
    "serial",
    "model",
    "ext",
    "no",
    "ref",
];

/// How an abbreviation is read; `pointed` when a point follows it.
pub fn abbreviation(core: &str, pointed: bool) -> Option<&'static str> {
    if !pointed && NEED_POINT.contains(&core) {
        return None;
    }
    ABBREVIATIONS.iter().find(|(short, _)| *short == core).map(|(_, long)| *long)
}

/// Whether a token with a point at its end may stand inside a sentence.
pub fn point_is_not_an_end(core: &str) -> bool {
    let initial = core.len() == 1 && core.bytes().all(|b| b.is_ascii_uppercase());
    initial
        || matches!(core, "Dr" | "St" | "a.m" | "p.m" | "A.M" | "P.M" | "U.S")
        || abbreviation(core, true).is_some()
        || month(core).is_some_and(|_| core.len() <= 4)
}

/// The month's number, 1 to 12, from its name or its usual short form.
pub fn month(core: &str) -> Option<usize> {
    let capital = core.starts_with(|c: char| c.is_ascii_uppercase());
    let short = (core.len() == 3 || core == "Sept") && core.is_ascii();
    let at = MONTHS.iter().position(|m| *m == core || short && m.starts_with(core))?;
    capital.then_some(at + 1)
}

/// A weekday's full name from its short form.
pub fn weekday(core: &str) -> Option<&'static str> {
    Some(match core {
        "Mon" => "Monday",
        "Tue" | "Tues" => "Tuesday",
        "Wed" => "Wednesday",
        "Thu" | "Thur" | "Thurs" => "Thursday",
        "Fri" => "Friday",
        "Sat" => "Saturday",
        "Sun" => "Sunday",
        _ => return None,
    })
}

/// "E T A", "D H L", "I D's".
pub fn acronym(core: &str) -> Option<String> {
    let (letters, plural) = match core.strip_suffix('s') {
        Some(head) if head.len() >= 2 => (head, "'s"),
        _ => (core, ""),
    };
    let capitals = (2..=5).contains(&letters.len()) && letters.bytes().all(|b| b.is_ascii_uppercase());
    let vowelless = !letters.contains(['A', 'E', 'I', 'O', 'U', 'Y']);
    (capitals && (vowelless || ACRONYMS.contains(&letters))).then(|| format!("{}{plural}", spelled(letters)))
}

/// Letters one by one, capitals.
pub fn spelled(letters: &str) -> String {
    letters.chars().map(|c| c.to_ascii_uppercase().to_string()).collect::<Vec<_>>().join(" ")
}

/// A unit's name.
pub fn unit(short: &str, one: bool) -> Option<&'static str> {
    UNITS.iter().find(|(s, _, _)| *s == short).map(|(_, single, many)| if one { *single } else { *many })
}

/// Whether digits after this word name something.
pub fn names_something(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
    NAMED.contains(&word.as_str())
}
