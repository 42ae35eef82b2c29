//! What a caller's words mean, one question at a time: yes or no, a name, an order number, a wish for a person. Each
//! function looks at one text and knows nothing of the conversation around it.

use crate::flow::{Flow, OrderForm};
use crate::numbers::{Sign, signs, words};

/// Yes, no, or neither.
pub fn yes_no(text: &str) -> Option<bool> {
    const NO: [&str; 14] = [
        "no", "nope", "nah", "not", "wrong", "incorrect", "isn't", "wasn't", "didn't", "doesn't", "don't", "negative", "neither", "never",
    ];
    const YES: [&str; 23] = [
        "yes", "yeah", "yep", "yup", "ya", "sure", "correct", "right", "exactly", "speaking", "affirmative", "indeed", "ok", "okay",
        "absolutely", "definitely", "certainly", "true", "please", "uh-huh", "mhm", "great", "perfect",
    ];
    let words = words(text);
    let head = &words[..words.len().min(4)];
    if head.iter().any(|w| NO.contains(&w.as_str())) {
        // "no problem", "not a problem", "why not" agree.
        let joined = words.join(" ");
        return Some(joined.contains("no problem") || joined.contains("not a problem"));
    }
    let yes = words.iter().take(6).any(|w| YES.contains(&w.as_str()));
    let phrase = any(&words, &["that's me", "this is she", "this is he", "this is her", "this is him", "it is", "i am", "that is", "you are", "you got it", "uh huh"]);
    (yes || phrase).then_some(true)
}

/// Whether the caller asks for a person.
pub fn wants_person(text: &str) -> bool {
    const WHO: [&str; 17] = [
        "person", "human", "agent", "agents", "representative", "rep", "operator", "somebody", "someone", "manager", "supervisor", "advisor",
        "adviser", "people", "receptionist", "staff", "being",
    ];
    const VERBS: [&str; 12] = ["speak", "talk", "get", "want", "need", "give", "like", "prefer", "connect", "transfer", "chat", "have"];
    let words = words(text);
    let who = words.iter().position(|w| WHO.contains(&w.as_str()));
    if any(&words, &["transfer me", "put me through", "connect me", "pass me", "real person", "real human", "actual person", "live person", "human being", "customer service", "to a human", "to a person", "live agent"]) {
        return !any(&words, &["don't transfer me", "don't connect me", "don't put me through"]);
    }
    let Some(who) = who else { return false };
    let short = words.len() <= 4 && !words.iter().any(|w| w == "name" || w == "is");
    let verb = words[..who].iter().position(|w| VERBS.contains(&w.as_str()));
    let refused = verb.is_some_and(|v| words[..v].iter().rev().take(2).any(|w| w == "don't" || w == "not" || w == "won't"));
    // "I need someone to deliver it" is about somebody, "talk to someone" is to us.
    let near = verb.is_some_and(|v| who - v <= 6);
    !refused && (short || near)
}

/// Whether the caller wants the last words again.
pub fn wants_repeat(text: &str) -> bool {
    let words = words(text);
    words.len() <= 8
        && (any(&words, &["repeat that", "repeat it", "say that again", "say it again", "come again", "what was that", "what did you say", "didn't catch", "didn't hear", "didn't get that", "one more time", "can you repeat", "could you repeat"])
            || (words.len() <= 2 && words.iter().any(|w| matches!(w.as_str(), "pardon" | "what" | "sorry" | "huh" | "repeat" | "again"))))
}

/// Whether the caller asks for a moment.
pub fn wants_time(text: &str) -> bool {
    let words = words(text);
    words.len() <= 12
        && signs(text).iter().filter(|s| s.is_digits()).map(|s| s.text.len()).sum::<usize>() < 3
        && any(&words, &["hold on", "hang on", "one moment", "just a moment", "one second", "just a second", "one sec", "just a sec", "one minute", "just a minute", "give me a moment", "give me a second", "give me a minute", "let me find", "let me look", "let me check", "let me get", "let me grab", "wait a"])
        || matches!(words.as_slice(), [w] if w == "wait")
}

/// Whether the caller says they have no such thing, or do not know.
pub fn not_known(text: &str) -> bool {
    let words = words(text);
    any(&words, &["don't have", "do not have", "don't know", "do not know", "don't remember", "can't find", "cannot find", "can't remember", "no idea", "not sure", "haven't got", "lost it", "don't got", "not with me", "didn't get one", "i'd rather not", "don't want to say"])
}

/// Whether the caller is done.
pub fn is_done(text: &str) -> bool {
    let words = words(text);
    any(&words, &["that's all", "that is all", "that's it", "that will be all", "that'll be all", "that'll do", "nothing else", "nothing more", "that's everything", "goodbye", "bye", "i'm good", "all set", "i'm done", "no thanks", "no thank you"])
        || (words.len() <= 5 && any(&words, &["thank you", "thanks"]) && yes_no(text) != Some(true))
}

/// Whether one of a flow's phrases is in the text.
pub fn has_phrase(text: &str, phrases: &[Vec<String>]) -> bool {
    let words = words(text);
    phrases.iter().any(|p| phrase_in(&words, p))
}

/// The flow's intent that fits best: the one with the most words of a phrase found, the first of equals.
pub fn intent(flow: &Flow, text: &str) -> Option<usize> {
    let words = words(text);
    let score = |i: usize| flow.intents[i].phrases.iter().filter(|p| phrase_in(&words, p)).map(Vec::len).max().unwrap_or(0);
    (0..flow.intents.len()).map(|i| (score(i), i)).filter(|(s, _)| *s > 0).min_by_key(|(s, i)| (std::cmp::Reverse(*s), *i)).map(|(_, i)| i)
}

/// The words of `phrase` in order, with at most two others between two of them.
fn phrase_in(words: &[String], phrase: &[String]) -> bool {
    fn from(words: &[String], phrase: &[String], reach: usize) -> bool {
        let Some((first, rest)) = phrase.split_first() else { return true };
        (0..words.len().min(reach)).any(|i| matches(&words[i], first) && from(&words[i + 1..], rest, 3))
    }
    fn matches(word: &str, pattern: &str) -> bool {
        match pattern.strip_suffix('*') {
            Some(stem) => word.starts_with(stem),
            None => word.strip_suffix("'s").unwrap_or(word) == pattern || word == pattern, // "where's"
        }
    }
    from(words, phrase, usize::MAX)
}

/// Whether one of the phrases stands in the words, word after word.
fn any(words: &[String], phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        words.windows(phrase.len()).any(|w| w.iter().map(String::as_str).eq(phrase.iter().copied()))
    })
}

/// An order number as far as it was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderHeard {
    /// All of it. `known`: it is one of the caller's own.
    Full { number: String, known: bool },
    /// Digits, but not as many as an order number has.
    Partial { digits: String },
}

/// Finds an order number. `known` are the caller's own orders: what is nearly one of them is taken for it when only its
/// letters differ.
pub fn order(text: &str, form: &OrderForm, known: &[&str]) -> Option<OrderHeard> {
    let words = words(text);
    let runs = runs(&words, &signs(text));
    let mut partial: Option<String> = None;
    // The last one counts: "A 1077, no, A 1043".
    for (letters, digits) in runs.iter().rev() {
        if let Some(found) = order_in(letters, digits, form, known) {
            return Some(found);
        }
        if partial.as_ref().is_none_or(|p| p.len() < digits.len()) {
            partial = Some(digits.clone());
        }
    }
    // Two or more digits that are no amount of anything else.
    let partial = partial.filter(|p| p.len() >= 2 && !words.iter().any(|w| w.starts_with('$') || w == "dollars"))?;
    Some(OrderHeard::Partial { digits: partial })
}

fn order_in(letters: &str, digits: &str, form: &OrderForm, known: &[&str]) -> Option<OrderHeard> {
    let known_with = |digits: &str| known.iter().find(|k| k.ends_with(digits) && k.bytes().filter(u8::is_ascii_digit).count() == digits.len());
    let tail = |n: usize| letters.len().checked_sub(n).map(|from| &letters[from..]);
    if digits.len() == form.digits {
        let given = tail(form.letters);
        if let Some(own) = known_with(digits) {
            return Some(OrderHeard::Full { number: (*own).to_owned(), known: true });
        }
        let prefix = given.map(str::to_owned).or_else(|| form.assume.clone());
        return match prefix {
            Some(prefix) => Some(OrderHeard::Full { number: form.write(&prefix, digits), known: false }),
            None if form.letters == 0 => Some(OrderHeard::Full { number: digits.to_owned(), known: false }),
            None => Some(OrderHeard::Full { number: form.write("", digits), known: false }),
        };
    }
    if digits.len() == form.digits + 1 && form.letters > 0 {
        // One sign too many in front: an "A" heard as "8" or "eight", an "O" read as zero.
        let (first, rest) = digits.split_at(1);
        if let Some(own) = known_with(rest) {
            return Some(OrderHeard::Full { number: (*own).to_owned(), known: true });
        }
        let letter = match first {
            "8" => "A",
            "0" => "O",
            _ => return None,
        };
        let prefix = format!("{}{letter}", tail(form.letters - 1)?);
        return Some(OrderHeard::Full { number: form.write(&prefix, rest), known: false });
    }
    None
}

impl OrderForm {
    /// A number as it is written.
    pub fn write(&self, letters: &str, digits: &str) -> String {
        let dash = if self.dash && !letters.is_empty() { "-" } else { "" };
        format!("{letters}{dash}{digits}")
    }
}

/// Runs of signs that were said together, as (letters before, digits). Small words between signs do not part them.
fn runs(words: &[String], signs: &[Sign]) -> Vec<(String, String)> {
    const BETWEEN: [&str; 10] = ["dash", "hyphen", "minus", "um", "uh", "then", "er", "and", "slash", "number"];
    let mut out: Vec<(String, String)> = Vec::new();
    let mut last_end = None;
    for sign in signs {
        let joined = last_end.is_some_and(|end: usize| words.get(end..sign.word).is_some_and(|gap| gap.len() <= 2 && gap.iter().all(|w| BETWEEN.contains(&w.as_str()))) || end > sign.word || end == sign.word);
        if !joined || (!sign.is_digits() && out.last().is_some_and(|(_, d)| !d.is_empty())) {
            out.push((String::new(), String::new()));
        }
        if let Some((letters, digits)) = out.last_mut() {
            if sign.is_digits() { digits.push_str(&sign.text) } else { letters.push_str(&sign.text) }
        }
        last_end = Some(sign.end);
    }
    out.retain(|(_, digits)| !digits.is_empty());
    out
}

/// A telephone number: seven digits or more, `+` kept.
pub fn phone(text: &str) -> Option<String> {
    let digits = crate::numbers::digits(text);
    if !(7..=15).contains(&digits.len()) {
        return None;
    }
    Some(match digits.len() {
        10 => format!("+1{digits}"),
        11 if digits.starts_with('1') => format!("+{digits}"),
        _ if text.contains('+') => format!("+{digits}"),
        _ => digits,
    })
}

/// A person's name in the text. `asked`: the caller was just asked for it, so a bare name will do.
pub fn name(text: &str, asked: bool) -> Option<String> {
    const LEADS: [&[&str]; 12] = [
        &["my", "name", "is"], &["my", "name's"], &["name", "is"], &["the", "name's"], &["this", "is"], &["i'm"], &["i", "am"],
        &["it's"], &["it", "is"], &["speaking", "with"], &["speaking", "to"], &["call", "me"],
    ];
    let tokens: Vec<(String, String, bool)> = text
        .replace('’', "'")
        .split_whitespace()
        .map(|raw| {
            let bare = raw.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
            let ends = raw.ends_with(['.', ',', '!', '?', ';']);
            (bare.to_lowercase(), bare, ends)
        })
        .filter(|(_, bare, _)| !bare.is_empty())
        .collect();
    for lead in LEADS {
        for start in 0..tokens.len() {
            let fits = lead.iter().enumerate().all(|(i, w)| tokens.get(start + i).is_some_and(|(low, _, _)| low == w));
            if fits && let Some(name) = name_at(&tokens[start + lead.len()..], asked && lead.len() > 1) {
                return Some(name);
            }
        }
    }
    // "Maria Gomez speaking", "Maria Gomez here".
    if let Some(at) = tokens.iter().position(|(low, _, _)| low == "speaking" || low == "here")
        && (1..=4).contains(&at)
        && let Some(name) = name_at(&tokens[at.saturating_sub(2)..at], false)
    {
        return Some(name);
    }
    if asked {
        let start = tokens.iter().position(|(low, _, _)| !FILLERS.contains(&low.as_str()))?;
        let rest = &tokens[start..];
        if rest.len() <= 5 {
            return name_at(rest, true);
        }
    }
    None
}

const FILLERS: [&str; 24] = [
    "yes", "yeah", "sure", "uh", "um", "er", "hi", "hello", "well", "okay", "ok", "of", "course", "so", "it's", "its", "no", "nope", "oh", "and", "the", "name", "is", "certainly",
];

/// Words that follow "I'm" or "this is" and are no name.
const NO_NAME: [&str; 66] = [
    "a", "about", "actually", "afraid", "an", "and", "angry", "at", "because", "but", "calling", "can", "concerning", "for", "from", "frustrated",
    "fine", "going", "good", "having", "he", "her", "here", "him", "his", "how", "in", "it", "just", "looking", "my", "not", "on", "order", "really",
    "regarding", "ridiculous", "she", "so", "sorry", "speaking", "still", "sure", "that", "the", "their", "they", "this", "to", "trying", "upset",
    "very", "waiting", "what", "when", "where", "with", "wondering", "you", "your", "yes", "no", "okay", "also", "i", "please",
];

fn name_at(tokens: &[(String, String, bool)], lower_case_too: bool) -> Option<String> {
    let mut out: Vec<String> = Vec::new();
    for (low, bare, ends) in tokens.iter().take(3) {
        let letters = bare.chars().all(|c| c.is_alphabetic() || c == '\'' || c == '-');
        let upper = bare.chars().next().is_some_and(char::is_uppercase);
        if !letters || NO_NAME.contains(&low.as_str()) || !(upper || lower_case_too) || low.ends_with("'s") {
            break;
        }
        let mut chars = bare.chars();
        out.extend(chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()));
        if *ends {
            break;
        }
    }
    (!out.is_empty()).then(|| out.join(" "))
}

/// Whether a name as heard may be the name on the record: its last name agrees, or the one name that was said is the
/// record's first. Spelling is forgiven by sound and by small differences.
pub fn same_name(heard: &str, record: &str) -> bool {
    let (heard, record) = (words(heard), words(record));
    let alike = |a: &str, b: &str| a == b || strsim::jaro_winkler(a, b) >= 0.88 || (a.len() > 2 && sound(a) == sound(b));
    match (heard.as_slice(), record.as_slice()) {
        ([], _) | (_, []) => false,
        ([one], record) => record.iter().any(|r| alike(one, r)),
        (heard, record) => {
            let last = alike(&heard[heard.len() - 1], &record[record.len() - 1]);
            let first = alike(&heard[0], &record[0]) || heard[0].chars().next() == record[0].chars().next();
            last && first || alike(&heard[0], &record[0]) && strsim::jaro_winkler(&heard[heard.len() - 1], &record[record.len() - 1]) >= 0.7
        }
    }
}

/// American Soundex: how a name sounds, in one letter and three digits.
fn sound(name: &str) -> String {
    let code = |c: char| match c {
        'b' | 'f' | 'p' | 'v' => '1',
        'c' | 'g' | 'j' | 'k' | 'q' | 's' | 'x' | 'z' => '2',
        'd' | 't' => '3',
        'l' => '4',
        'm' | 'n' => '5',
        'r' => '6',
        'h' | 'w' => '-',
        _ => '0',
    };
    let mut letters = name.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase());
    let Some(first) = letters.next() else { return String::new() };
    let mut out = String::from(first);
    let mut last = code(first);
    for c in letters {
        let now = code(c);
        if now != '-' {
            if now != '0' && now != last {
                out.push(now);
            }
            last = now;
        }
    }
    out.truncate(4);
    format!("{out:0<4}")
}

/// Somebody who calls for somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThirdParty {
    /// The holder, as the caller calls them: "mother".
    pub relation: Option<String>,
    /// The holder's name, if it was said.
    pub holder: Option<String>,
}

/// Whether the caller says they call for another person.
pub fn third_party(text: &str) -> Option<ThirdParty> {
    const RELATIONS: [&str; 29] = [
        "mother", "mom", "mum", "father", "dad", "husband", "wife", "son", "daughter", "sister", "brother", "boss", "neighbor", "neighbour",
        "friend", "grandmother", "grandma", "grandfather", "grandpa", "client", "parents", "partner", "aunt", "uncle", "employer", "colleague", "roommate", "fiance", "girlfriend",
    ];
    let words = words(text);
    let bare = |w: &str| w.trim_end_matches("'s").trim_end_matches('\'').to_owned();
    let relation_at = words.iter().position(|w| RELATIONS.contains(&bare(w).as_str()));
    let relation = relation_at.map(|i| bare(&words[i]));
    let behalf = any(&words, &["on behalf of", "behalf of"]);
    let not_holder = any(&words, &["not the account holder", "not my account", "not my order", "isn't my account", "isn't my order"]);
    // "calling for my mother", "calling about my mother's order", "it's my husband's account", "I'm her daughter".
    let for_them = relation_at.is_some_and(|i| {
        let before = &words[..i];
        let calling = before.iter().rev().take(4).any(|w| matches!(w.as_str(), "calling" | "call" | "phoning" | "ringing" | "helping"));
        let theirs = words[i].ends_with("'s") && words[i + 1..].iter().take(3).any(|w| matches!(w.as_str(), "order" | "account" | "package" | "delivery" | "bill" | "policy" | "parcel" | "behalf"));
        let hers = before.iter().rev().take(2).any(|w| matches!(w.as_str(), "her" | "his" | "their")) && before.iter().any(|w| matches!(w.as_str(), "i'm" | "am" | "is"));
        calling || theirs || hers
    });
    (behalf || not_holder || for_them).then(|| {
        let hers = relation_at.is_some_and(|i| i > 0 && matches!(words[i - 1].as_str(), "her" | "his" | "their"));
        ThirdParty { relation: relation.filter(|_| !hers), holder: holder_name(text, relation_at.map(|i| words[i].clone())) }
    })
}

/// The name after "behalf of" or after the relation: "my mother, Ellen Park".
fn holder_name(text: &str, relation: Option<String>) -> Option<String> {
    let tokens: Vec<(String, String, bool)> = text
        .split_whitespace()
        .map(|raw| {
            let bare = raw.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
            (bare.to_lowercase(), bare.trim_end_matches("'s").to_owned(), raw.ends_with(['.', '!', '?']) || bare.ends_with("'s"))
        })
        .collect();
    let after_relation = relation.and_then(|r| tokens.iter().position(|(low, _, _)| *low == r)).map(|i| i + 1);
    let after_behalf = tokens.windows(2).position(|w| w[0].0 == "behalf" && w[1].0 == "of").map(|i| i + 2);
    let start = after_relation.or(after_behalf)?;
    name_at(tokens.get(start..)?, false)
}
