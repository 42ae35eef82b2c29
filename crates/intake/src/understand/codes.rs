//! Order numbers and their like, as they are said: "A dash one oh four two", "hey 1042", "S as in Sam, O, 20391".
//! Also telephone numbers, which are only longer runs of digits.

use super::numbers;
use super::words::Word;

/// A pattern for a code: `@` any letter, `#` any digit, letters and digits themselves, `-` and blanks for looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    elements: Vec<Element>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    AnyLetter,
    AnyDigit,
    Exactly(char),
    Look(char),
}

/// How surely a code was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Surety {
    /// Not as heard: the number on the caller's record that it is nearest to.
    Near,
    /// Only the digits; the letters come from the pattern or the caller's record.
    DigitsOnly,
    /// A letter was guessed from a word that sounds like it.
    Doubtful,
    /// As the pattern has it.
    Exact,
}

/// A code heard in an utterance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// In the pattern's form; only the digits when letters are missing and the pattern leaves them open.
    pub value: String,
    /// How surely.
    pub surety: Surety,
    /// Letters are missing that cannot be known.
    pub open_letters: bool,
    /// Index of its first word.
    pub start: usize,
    /// One past its last word.
    pub end: usize,
}

/// A run of letters and digits that an utterance spells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub(super) atoms: Vec<Atom>,
    /// Index of its first word.
    pub start: usize,
    /// One past its last word.
    pub end: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Atom {
    pub(super) main: char,
    /// What it may be instead: 8 for A, 0 for O.
    pub(super) alt: Option<char>,
    /// A letter guessed from a word.
    weak: bool,
    /// Part of a word of several letters, which only stands for letters that a pattern names.
    pub(super) in_word: bool,
    word: usize,
}

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut elements = Vec::new();
        for c in text.chars() {
            elements.push(match c {
                '@' => Element::AnyLetter,
                '#' => Element::AnyDigit,
                '-' | ' ' | '/' => Element::Look(c),
                c if c.is_ascii_alphanumeric() => Element::Exactly(c.to_ascii_uppercase()),
                c => return Err(format!("pattern `{text}` has `{c}`")),
            });
        }
        let digits = elements.iter().filter(|e| **e == Element::AnyDigit).count();
        if digits < 3 {
            return Err(format!("pattern `{text}` has fewer than three digits (`#`), which any sentence would match"));
        }
        Ok(Self { elements })
    }

    /// The pattern that only `code` itself fits.
    pub fn of_code(code: &str) -> Self {
        let element = |c: char| {
            if c.is_ascii_alphanumeric() { Element::Exactly(c.to_ascii_uppercase()) } else { Element::Look(c) }
        };
        Self { elements: code.chars().map(element).collect() }
    }

    fn sounds(&self) -> impl Iterator<Item = Element> + Clone + '_ {
        self.elements.iter().copied().filter(|e| !matches!(e, Element::Look(_)))
    }

    /// How many digits it has.
    pub fn digit_count(&self) -> usize {
        self.sounds().filter(|e| e.is_digit()).count()
    }

    /// The code that `digits` alone make, and whether letters are missing that cannot be known.
    fn completed(&self, digits: &str) -> Option<(String, bool)> {
        if digits.len() != self.digit_count() {
            return None;
        }
        if self.elements.contains(&Element::AnyLetter) {
            return Some((digits.to_owned(), true));
        }
        let mut digits = digits.chars();
        let mut out = String::new();
        for e in &self.elements {
            match e {
                Element::Exactly(c) if c.is_ascii_digit() => out.push(digits.next().filter(|d| d == c)?),
                Element::Exactly(c) | Element::Look(c) => out.push(*c),
                Element::AnyDigit => out.push(digits.next()?),
                Element::AnyLetter => return None,
            }
        }
        Some((out, false))
    }

    fn at(&self, atoms: &[Atom], start: usize) -> Option<(String, usize, bool)> {
        let (mut value, mut at, mut doubtful) = (String::new(), start, false);
        for element in &self.elements {
            let c = match element {
                Element::Look(c) => *c,
                e => {
                    let (c, unsure) = e.hear(atoms.get(at)?)?;
                    doubtful |= unsure;
                    at += 1;
                    c
                }
            };
            value.push(c);
        }
        let is_digit = |a: &Atom| a.main.is_ascii_digit();
        let runs_on = atoms.get(at).is_some_and(is_digit);
        let begun = start > 0 && is_digit(&atoms[start - 1]) && is_digit(&atoms[start]);
        // A word of several letters is taken whole or not at all.
        let cut = start > 0 && atoms[start].in_word && atoms[start - 1].word == atoms[start].word;
        (!runs_on && !begun && !cut).then_some((value, at, doubtful))
    }
}

impl Element {
    fn is_digit(self) -> bool {
        match self {
            Self::AnyDigit => true,
            Self::Exactly(c) => c.is_ascii_digit(),
            Self::AnyLetter | Self::Look(_) => false,
        }
    }

    /// The character it takes from an atom, and whether that is a guess.
    fn hear(self, atom: &Atom) -> Option<(char, bool)> {
        let either = [Some(atom.main), atom.alt];
        match self {
            Self::AnyDigit => either.into_iter().flatten().find(char::is_ascii_digit).map(|c| (c, atom.weak)),
            Self::AnyLetter if atom.in_word => None,
            Self::AnyLetter => {
                let c = either.into_iter().flatten().find(char::is_ascii_uppercase)?;
                Some((c, atom.weak || c != atom.main))
            }
            Self::Exactly(c) if c.is_ascii_digit() => either.contains(&Some(c)).then_some((c, atom.weak)),
            Self::Exactly(c) if either.contains(&Some(c)) => Some((c, false)),
            Self::Exactly(c) => (atom.main.is_ascii_alphanumeric() && sound_alike(c, atom.main)).then_some((c, true)),
            Self::Look(_) => None,
        }
    }
}

impl Run {
    /// Its digits alone.
    pub fn digits(&self) -> String {
        self.atoms.iter().map(|a| a.main).filter(char::is_ascii_digit).collect()
    }

    /// Its letters that were surely said.
    pub fn letters(&self) -> String {
        self.atoms.iter().filter(|a| !a.weak && !a.in_word).map(|a| a.main).filter(char::is_ascii_uppercase).collect()
    }

    /// Everything in it that was surely said, letters and digits. An "oh" beside letters is a letter.
    pub fn spelling(&self) -> String {
        let sure: Vec<&Atom> = self.atoms.iter().filter(|a| !a.weak && !a.in_word).collect();
        let letter = |i: Option<usize>| i.and_then(|i| sure.get(i)).is_some_and(|a| a.main.is_ascii_alphabetic());
        let heard = |(i, a): (usize, &&Atom)| match a.alt {
            Some('O') if letter(i.checked_sub(1)) || letter(Some(i + 1)) => 'O',
            _ => a.main,
        };
        sure.iter().enumerate().map(heard).collect()
    }

    /// The codes it holds, by the first pattern that fits at each place. `digits_alone`: digits without their letters
    /// count as well.
    pub fn codes(&self, patterns: &[Pattern], digits_alone: bool) -> Vec<Code> {
        let mut out: Vec<Code> = Vec::new();
        let mut at = 0;
        while at < self.atoms.len() {
            let hit = patterns
                .iter()
                .filter_map(|p| p.at(&self.atoms, at))
                .max_by_key(|(value, end, doubtful)| (!*doubtful, *end, value.len()));
            let Some((value, end, doubtful)) = hit else {
                at += 1;
                continue;
            };
            let surety = if doubtful { Surety::Doubtful } else { Surety::Exact };
            let word = |i: usize| self.atoms.get(i).map_or(self.start, |a| a.word);
            out.push(Code { value, surety, open_letters: false, start: word(at), end: word(end - 1) + 1 });
            at = end;
        }
        if out.is_empty() && digits_alone {
            let digits = self.digits();
            let options: Vec<(String, bool)> = patterns.iter().filter_map(|p| p.completed(&digits)).collect();
            // A pattern that names its letters settles them; otherwise they stay open.
            if let Some((value, open)) = options.iter().find(|o| !o.1).or(options.first()).cloned() {
                let surety = Surety::DigitsOnly;
                out.push(Code { value, surety, open_letters: open, start: self.start, end: self.end });
            }
        }
        out
    }
}

/// Every run of letters and digits in `words` that has at least one digit, or that spells letters (`spelled`).
pub fn runs(words: &[Word], spelled: bool) -> Vec<Run> {
    let mut out = Vec::new();
    let mut run = Run { atoms: Vec::new(), start: 0, end: 0 };
    let mut at = 0;
    while at < words.len() {
        if let Some((atoms, end)) = homophone(words, at, &run).or_else(|| spell(words, at)) {
            if run.atoms.is_empty() {
                run.start = at;
            }
            run.atoms.extend(atoms);
            run.end = end;
            at = end;
        } else if !run.atoms.is_empty() && is_filler(&words[at].norm) {
            at += 1;
        } else {
            close(&mut out, &mut run, spelled);
            at += 1;
        }
    }
    close(&mut out, &mut run, spelled);
    out
}

/// "one zero for two", "four to": between single digits, a word that sounds like one is one.
fn homophone(words: &[Word], at: usize, run: &Run) -> Option<(Vec<Atom>, usize)> {
    let digit = match words.get(at)?.norm.as_str() {
        "for" | "fore" => '4',
        "to" | "too" => '2',
        "won" => '1',
        "ate" => '8',
        "tree" | "free" => '3',
        "sex" | "sicks" => '6',
        "nein" => '9',
        "fife" => '5',
        _ => return None,
    };
    let single = |w: &Word| numbers::unit(&w.norm).is_some() || (w.is_numeral() && w.norm.len() == 1);
    let before = at.checked_sub(1).and_then(|b| words.get(b)).is_some_and(single) && run.end == at;
    let after = words.get(at + 1).is_none_or(single);
    (before && after && run.atoms.len() >= 2)
        .then(|| (vec![Atom { main: digit, alt: None, weak: false, in_word: false, word: at }], at + 1))
}

/// A telephone number in `words`: seven to fifteen digits. Ten of them are taken as North American.
pub fn phone(words: &[Word]) -> Option<String> {
    let run =
        runs(words, false).into_iter().find(|r| (7..=15).contains(&r.digits().len()) && r.letters().is_empty())?;
    let plus = words.get(run.start.saturating_sub(1)).is_some_and(|w| w.norm == "plus");
    Some(phone_written(&run.digits(), plus))
}

/// A telephone number's digits in E.164 form where that is known.
pub fn phone_written(digits: &str, international: bool) -> String {
    match digits.len() {
        10 if !international => format!("+1{digits}"),
        11 if digits.starts_with('1') => format!("+{digits}"),
        _ if international => format!("+{digits}"),
        _ => digits.to_owned(),
    }
}

fn close(out: &mut Vec<Run>, run: &mut Run, spelled: bool) {
    let run = std::mem::replace(run, Run { atoms: Vec::new(), start: 0, end: 0 });
    let digits = run.atoms.iter().any(|a| a.main.is_ascii_digit());
    if digits || (spelled && run.atoms.iter().any(|a| !a.in_word)) {
        out.push(run);
    }
}

/// What the words at `at` spell, and the index behind them.
fn spell(words: &[Word], at: usize) -> Option<(Vec<Atom>, usize)> {
    let word = &words[at];
    if is_filler(&word.norm) {
        return None;
    }
    let atom = |main, alt, weak| Atom { main, alt, weak, in_word: false, word: at };
    if let Some((letter, end)) = as_in(words, at) {
        return Some((vec![atom(letter, None, false)], end));
    }
    if word.norm == "o" || word.norm == "oh" {
        return Some((vec![atom('0', Some('O'), false)], at + 1));
    }
    if let Some((digits, end)) = numbers::digits(words, at) {
        // An amount, a clock time or a year's share is no code.
        let counted = words.get(end).is_some_and(|w| is_measure(&w.norm));
        if counted {
            return None;
        }
        let single = digits.len() == 1;
        let alt = |c| match c {
            '8' if single => Some('A'),
            '0' => Some('O'),
            _ => None,
        };
        return Some((digits.chars().map(|c| atom(c, alt(c), false)).collect(), end));
    }
    let mut letters = word.norm.chars();
    if let (Some(c), None) = (letters.next(), letters.next()) {
        return c.is_ascii_lowercase().then(|| (vec![atom(c.to_ascii_uppercase(), None, false)], at + 1));
    }
    if let Some(letter) = nato(&word.norm) {
        return Some((vec![atom(letter, None, false)], at + 1));
    }
    if let Some(letter) = letter_name(&word.norm) {
        return Some((vec![atom(letter, None, true)], at + 1));
    }
    // "so 20391": a short word right before digits may be the letters that a pattern names.
    let before_digits = words.get(at + 1).is_some_and(|w| numbers::unit(&w.norm).is_some() || w.is_numeral())
        || numbers::digits(words, at + 1).is_some();
    let short = (2..=3).contains(&word.norm.len()) && word.norm.bytes().all(|b| b.is_ascii_lowercase());
    (short && before_digits && word.norm != "the").then(|| {
        let in_word = |c: char| Atom { main: c.to_ascii_uppercase(), alt: None, weak: false, in_word: true, word: at };
        (word.norm.chars().map(in_word).collect(), at + 1)
    })
}

/// "A as in apple", "S for Sam", "B like Bravo": the letter, and the index behind the example.
fn as_in(words: &[Word], at: usize) -> Option<(char, usize)> {
    let link = match words.get(at + 1)?.norm.as_str() {
        "as" if words.get(at + 2).is_some_and(|w| w.norm == "in") => 3,
        "for" | "like" => 2,
        _ => return None,
    };
    let example = words.get(at + link).filter(|w| w.norm.len() > 1 && w.norm.chars().all(char::is_alphabetic))?;
    let initial = example.norm.chars().next()?.to_ascii_uppercase();
    let said = &words[at].norm;
    let is_letter = said.len() == 1 || letter_name(said).is_some() || said == "eight" || said == "8";
    // "a for" and "8 for" also begin ordinary clauses; the example must then bear the letter out.
    let spoken = if said.len() == 1 { said.chars().next() } else { letter_name(said) }.map(|c| c.to_ascii_uppercase());
    let borne_out =
        spoken == Some(initial) || (link == 3 && is_letter) || spoken.is_some_and(|c| sound_alike(c, initial));
    (is_letter && borne_out).then_some((initial, at + link + 1))
}

fn is_filler(word: &str) -> bool {
    matches!(
        word,
        "dash"
            | "hyphen"
            | "minus"
            | "uh"
            | "um"
            | "er"
            | "erm"
            | "then"
            | "space"
            | "stroke"
            | "slash"
            | "like"
            | "capital"
            | "letter"
            | "number"
            | "digits"
            | "yeah"
            | "okay"
            | "it"
            | "it's"
            | "its"
    )
}

fn is_measure(word: &str) -> bool {
    matches!(
        word,
        "dollars"
            | "dollar"
            | "bucks"
            | "buck"
            | "cents"
            | "cent"
            | "percent"
            | "pounds"
            | "euros"
            | "days"
            | "day"
            | "weeks"
            | "week"
            | "months"
            | "month"
            | "years"
            | "year"
            | "hours"
            | "hour"
            | "minutes"
            | "times"
            | "am"
            | "pm"
            | "of"
            | "items"
            | "people"
            | "more"
    )
}

/// Words that a recogniser writes for a letter's name, and that mean little else beside digits.
fn letter_name(word: &str) -> Option<char> {
    Some(match word {
        "hey" | "eh" | "ay" | "aye" | "ey" => 'A',
        "bee" => 'B',
        "cee" | "sea" | "see" => 'C',
        "dee" => 'D',
        "ee" => 'E',
        "ef" | "eff" => 'F',
        "gee" => 'G',
        "aitch" => 'H',
        "jay" => 'J',
        "kay" => 'K',
        "el" | "ell" => 'L',
        "em" => 'M',
        "en" => 'N',
        "pee" | "pea" => 'P',
        "cue" | "queue" => 'Q',
        "ar" => 'R',
        "ess" => 'S',
        "tee" | "tea" => 'T',
        "vee" => 'V',
        "ex" => 'X',
        "wye" => 'Y',
        "zee" | "zed" => 'Z',
        _ => return None,
    })
}

fn nato(word: &str) -> Option<char> {
    const WORDS: [&str; 28] = [
        "alpha", "alfa", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet", "juliett",
        "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor",
        "whiskey", "xray", "yankee", "zulu",
    ];
    WORDS.contains(&word).then(|| word.chars().next()).flatten().map(|c| c.to_ascii_uppercase())
}

/// Letters and digits whose names are confused on an 8 kHz line.
pub(super) fn sound_alike(a: char, b: char) -> bool {
    const GROUPS: [&str; 8] = ["BCDEGPTVZ3", "AJKH8", "FSX", "MN", "IY", "QUW", "O0", "LR"];
    a == b || GROUPS.iter().any(|g| g.contains(a) && g.contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::understand::words::words;

    fn patterns() -> Vec<Pattern> {
        ["@-####", "SO-#####"].iter().map(|p| Pattern::parse(p).unwrap()).collect()
    }

    fn heard(text: &str, alone: bool) -> Vec<(String, Surety)> {
        let words = words(text);
        runs(&words, false).iter().flat_map(|r| r.codes(&patterns(), alone)).map(|c| (c.value, c.surety)).collect()
    }

    #[test]
    fn hears_order_numbers() {
        for text in [
            "A-1042",
            "a 1042",
            "A1042.",
            "A 10:42",
            "A ten forty two",
            "A one zero four two",
            "order number is A dash one oh four two",
            "It's A, um, 1-0-4-2",
            "A. 1042.",
            "alpha ten forty two",
            "A as in apple, one zero four two",
            "A as in Adam 1042",
            "eight as in apple 1042",
            "my order A 1042 never came",
            "A for apple 1042",
            "order number A one thousand forty two",
            "a 1,042",
            "capital A ten four two",
            "A one zero for two",
            "A one oh four to",
        ] {
            assert_eq!(heard(text, false), [("A-1042".to_owned(), Surety::Exact)], "{text}");
        }
        for text in ["Hey 1042", "eight 1042", "8 1042", "8-10-42", "aye one oh four two", "eh, 1042"] {
            assert_eq!(heard(text, false), [("A-1042".to_owned(), Surety::Doubtful)], "{text}");
        }
        for text in [
            "SO 20391",
            "S.O. 20391",
            "so 20391",
            "S O two oh three nine one",
            "S as in Sam, O as in Oscar, 20391",
            "it's S-O-20391",
            "sierra oscar two zero three ninety one",
            "SO20391",
        ] {
            assert_eq!(heard(text, false), [("SO-20391".to_owned(), Surety::Exact)], "{text}");
        }
        assert_eq!(heard("F O 20391", false), [("SO-20391".to_owned(), Surety::Doubtful)]);
    }

    #[test]
    fn digits_alone_only_when_asked() {
        assert_eq!(heard("one zero four two", false), []);
        assert_eq!(heard("one zero four two", true), [("1042".to_owned(), Surety::DigitsOnly)]);
        assert_eq!(heard("20391", true), [("SO-20391".to_owned(), Surety::DigitsOnly)]);
        assert_eq!(heard("one zero four", true), []);
    }

    #[test]
    fn other_numbers_are_no_codes() {
        for text in [
            "a 1200 dollar charge",
            "I am 8 years old",
            "call me at 555 123 4567",
            "A 10425",
            "is 1042 the one",
            "a 450",
        ] {
            assert_eq!(heard(text, false), [], "{text}");
        }
    }

    #[test]
    fn finds_phone_numbers() {
        for (text, phone_number) in [
            ("call me at (555) 123-4567", Some("+15551234567")),
            ("five five five, one two three, four five six seven", Some("+15551234567")),
            ("it's 1-555-123-4567", Some("+15551234567")),
            ("555 0142 7", Some("55501427")),
            ("plus four four two oh seven nine four six oh one two three", Some("+442079460123")),
            ("A 1042", None),
        ] {
            assert_eq!(phone(&words(text)).as_deref(), phone_number, "{text}");
        }
    }

    #[test]
    fn refuses_bad_patterns() {
        for bad in ["", "@", "@-##", "A_####", "é###"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
