//! Names of people: who says they are calling, whom they call for, and whether a name is the one on record.

use super::words::{Gap, Word};

/// The caller speaks for someone else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThirdParty {
    /// What the account holder is to the caller (`mother`).
    pub relation: Option<String>,
    /// The account holder's name.
    pub holder: Option<String>,
}

/// The caller's own name in an utterance, by its introduction ("this is …", "my name is …", "… speaking").
pub fn introduced(words: &[Word]) -> Option<String> {
    let cased = is_cased(words);
    for at in 0..words.len() {
        let Some(start) = intro(words, at) else { continue };
        let name = take_name(words, start, cased);
        // "It's Monday", "I'm Italian": a bare contraction needs more evidence than "my name is".
        let weak = start - at < 2;
        let enough = !weak || name.len() >= 2 || words.get(start + name.len()).is_none_or(|w| is_after_name(&w.norm));
        if !name.is_empty() && enough && !has_code_letters(&name) {
            // "My name is Chen, David Chen."
            let again = take_name(words, start + name.len(), cased);
            let fuller = again.len() > name.len() && again.last().map(|w| &w.norm) == name.last().map(|w| &w.norm);
            return Some(join(if fuller { &again } else { &name }));
        }
    }
    for (at, word) in words.iter().enumerate() {
        let closing =
            word.norm == "speaking" || (word.norm == "here" && word.gap != Gap::None || word.norm == "calling");
        if at > 0 && closing {
            let from = at.saturating_sub(3);
            let name: Vec<&Word> =
                (from..at).rev().map_while(|i| is_name_word(&words[i], cased).then_some(&words[i])).collect();
            let name: Vec<&Word> = name.into_iter().rev().collect();
            if !name.is_empty() && (name.len() > 1 || name.len() == at) {
                return Some(join(&name));
            }
        }
    }
    None
}

/// The name in an answer to "May I have your name?".
pub fn answered(words: &[Word]) -> Option<String> {
    if let Some(name) = introduced(words) {
        return Some(name);
    }
    if let Some(name) = said_and_spelled(words).or_else(|| spelled(words)) {
        return Some(name);
    }
    let cased = is_cased(words) && words.iter().skip(1).any(Word::is_capital);
    let mut best: Vec<&Word> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let name = take_name(words, at, cased);
        at += name.len().max(1);
        if name.len() > best.len() {
            best = name;
        }
    }
    let rest = words.len() - best.len();
    // A name amid a long sentence without capitals is a guess not worth making.
    (!best.is_empty() && (cased || rest <= 4)).then(|| join(&best))
}

/// Whom the caller calls for, if that is someone else.
pub fn third_party(words: &[Word]) -> Option<ThirdParty> {
    let norms: Vec<&str> = words.iter().map(|w| w.norm.as_str()).collect();
    let cased = is_cased(words);
    let pair = |at: usize, a: &str, b: &str| norms.get(at) == Some(&a) && norms.get(at + 1) == Some(&b);
    for at in 0..words.len() {
        // "calling for / on behalf of / about my mother('s order)"
        let calling = matches!(norms[at], "calling" | "call" | "phoning" | "ringing" | "speaking" | "asking");
        let after = match norms[at] {
            _ if calling && norms.get(at + 1) == Some(&"for") => Some((at + 2, true)),
            _ if calling && matches!(norms.get(at + 1), Some(&"about" | &"regarding")) => Some((at + 2, false)),
            "behalf" if norms.get(at + 1) == Some(&"of") => Some((at + 2, true)),
            _ => None,
        };
        if let Some((start, names_count)) = after {
            if let Some(found) = relative(words, start, names_count) {
                return Some(found);
            }
            let name = if names_count { take_name(words, start, cased) } else { Vec::new() };
            if name.len() >= 2 || (name.len() == 1 && norms[at] == "behalf") {
                let possessive = name.iter().map(|w| strip_possessive(w)).collect::<Vec<_>>().join(" ");
                return Some(ThirdParty { relation: None, holder: Some(title(&possessive)) });
            }
        }
        // "an order for my boss, Robert Hill", "an appointment for my daughter"; not a present that was bought for her
        let thing = matches!(
            norms[at],
            "order"
                | "orders"
                | "account"
                | "appointment"
                | "claim"
                | "policy"
                | "parcel"
                | "package"
                | "delivery"
                | "visit"
        );
        let bought = norms[..at].iter().any(|w| matches!(*w, "bought" | "ordered" | "gift" | "present" | "got"));
        if thing
            && !bought
            && norms.get(at + 1) == Some(&"for")
            && let Some(found) = relative(words, at + 2, true)
        {
            return Some(found);
        }
        // "my neighbor asked me to call", "a friend of mine wants to know"
        let me_to = (pair(at, "asked", "me") || pair(at, "told", "me") || pair(at, "wants", "me"))
            && norms.get(at + 2) == Some(&"to");
        if me_to && let Some(found) = mentioned(words, at) {
            return Some(found);
        }
        // "my mother's house, she's insured with you"
        let theirs = matches!(norms[at], "shes" | "hes" | "theyre") || pair(at, "she", "is") || pair(at, "he", "is");
        let next = at + 1 + usize::from(!matches!(norms[at], "shes" | "hes" | "theyre"));
        if theirs
            && matches!(norms.get(next), Some(&"insured" | &"a" | &"your" | &"the"))
            && norms
                .iter()
                .skip(next)
                .take(3)
                .any(|w| matches!(*w, "insured" | "customer" | "member" | "patient" | "holder" | "client"))
            && let Some(found) = mentioned(words, at)
        {
            return Some(found);
        }
        // "my mother's order", "my wife's account", "under my husband's name"
        if norms[at] == "my" && norms.get(at + 1).is_some_and(|w| relation(w.trim_end_matches('s')).is_some()) {
            let owned = norms
                .iter()
                .skip(at + 2)
                .take(3)
                .any(|w| matches!(*w, "order" | "orders" | "account" | "name" | "behalf"));
            let possessive = norms[at + 1].ends_with('s') && words[at + 1].raw.contains(['\'', '’']);
            if owned && (possessive || norms[at + 1].ends_with('s')) {
                return relative(words, at, true);
            }
        }
        // "the account belongs to my wife", "it's in my husband's name", "the order was placed by my sister"
        if (pair(at, "belongs", "to")
            || pair(at, "placed", "by")
            || pair(at, "ordered", "by")
            || pair(at, "account", "is"))
            && let Some(found) = relative(words, at + 2, true)
        {
            return Some(found);
        }
        // "I'm her son", "this is his daughter"
        let intro =
            matches!(norms[at], "im" | "its") || pair(at, "this", "is") || pair(at, "i", "am") || pair(at, "it", "is");
        let next = at + 1 + usize::from(!matches!(norms[at], "im" | "its"));
        if intro
            && matches!(norms.get(next), Some(&"her" | &"his" | &"their"))
            && let Some(own) = norms.get(next + 1).and_then(|w| relation(w))
        {
            return Some(ThirdParty { relation: Some(inverse(own).to_owned()), holder: None });
        }
    }
    None
}

/// "His name is Robert Hill", "her name's Ellen Park", "the account holder is Ellen Park".
pub fn holder_named(words: &[Word]) -> Option<String> {
    let cased = is_cased(words);
    let norm = |i: usize| words.get(i).map_or("", |w| w.norm.as_str());
    (0..words.len()).find_map(|at| {
        let start = match (norm(at), norm(at + 1)) {
            ("name", "is") if at > 0 && is_third_person(norm(at - 1)) => at + 2,
            ("names", _) if at > 0 && is_third_person(norm(at - 1)) => at + 1,
            ("holder", "is") | ("account", "is") => at + 2,
            ("account", "of") | ("account", "for") => at + 2,
            _ => return None,
        };
        let name = take_name(words, start, cased);
        (!name.is_empty()).then(|| join(&name))
    })
}

/// The relative that was spoken of before `end`, with the name that stands right behind if there is one.
fn mentioned(words: &[Word], end: usize) -> Option<ThirdParty> {
    let before = &words[..end];
    let at = (0..before.len()).rev().find(|&i| {
        let word = before[i].norm.as_str();
        let owned = i > 0 && matches!(before[i - 1].norm.as_str(), "my" | "our" | "a" | "an" | "elderly" | "old");
        owned && relation(word).or_else(|| relation(word.strip_suffix('s')?)).is_some()
    })?;
    let word = before[at].norm.as_str();
    let relation = relation(word).or_else(|| relation(word.strip_suffix('s')?))?;
    let cased = is_cased(words);
    let name = (at + 1..end).map(|i| take_name(before, i, cased)).find(|n| n.len() >= 2).unwrap_or_default();
    Some(ThirdParty { relation: Some(relation.to_owned()), holder: (!name.is_empty()).then(|| join(&name)) })
}

/// "her son", "his wife", in answer to "Am I speaking with …?": what that person is to the caller.
pub fn kin_of_holder(words: &[Word]) -> Option<ThirdParty> {
    words.windows(2).find_map(|pair| {
        let theirs = matches!(pair[0].norm.as_str(), "her" | "his" | "their" | "the");
        let own = theirs.then(|| relation(&pair[1].norm)).flatten()?;
        Some(ThirdParty { relation: Some(inverse(own).to_owned()), holder: None })
    })
}

/// Whether two names may be the same person's, as misheard on the phone. A single given or family name fits a full one;
/// two full names must agree in both.
pub fn same(heard: &str, known: &str) -> bool {
    let (heard, known) = (parts(heard), parts(known));
    if heard.is_empty() || known.is_empty() {
        return false;
    }
    if heard.len() == 1 {
        return known.iter().any(|k| alike(&heard[0], k));
    }
    let first = known.iter().take(known.len().saturating_sub(1).max(1)).any(|k| alike(&heard[0], k));
    let last = match (heard.last(), known.last()) {
        (Some(h), Some(k)) => alike(h, k) || (known.len() == 1),
        _ => false,
    };
    first && last
}

/// Whether a part of the heard name is a part of the known one.
pub fn same_in_part(heard: &str, known: &str) -> bool {
    let known = parts(known);
    parts(heard).iter().any(|h| known.iter().any(|k| alike(h, k)))
}

/// Whether the caller says in so many words what their own name is.
pub fn says_name(words: &[Word]) -> bool {
    words.windows(3).any(|w| w[0].norm == "my" && w[1].norm == "name" && w[2].norm == "is")
}

/// Whether both names are full ones and the same.
pub fn same_in_full(heard: &str, known: &str) -> bool {
    parts(heard).len() >= 2 && same(heard, known)
}

/// The given name of a full name; `None` for a single name, which may be either.
pub fn first(name: &str) -> Option<&str> {
    let mut parts = name.split_whitespace();
    let first = parts.next()?;
    parts.next().map(|_| first)
}

/// A phonetic key: letters that sound alike fall together, vowels and doubles fall out.
pub fn sound_key(word: &str) -> String {
    let word = word.to_lowercase();
    let mut text = word.replace("ph", "f").replace("ck", "k").replace("gh", "g").replace("th", "t").replace("sch", "s");
    text = text
        .replace("sh", "s")
        .replace("ch", "j")
        .replace("qu", "k")
        .replace("x", "ks")
        .replace("wr", "r")
        .replace("kn", "n");
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    for (i, &c) in chars.iter().enumerate() {
        let next = chars.get(i + 1).copied().unwrap_or(' ');
        let code = match c {
            'b' | 'p' => 'p',
            'c' if matches!(next, 'e' | 'i' | 'y') => 's',
            'c' | 'k' | 'q' | 'g' => 'k',
            'd' | 't' => 't',
            'f' | 'v' => 'f',
            'j' => 'j',
            's' | 'z' => 's',
            'm' | 'n' => 'n',
            'l' => 'l',
            'r' => 'r',
            'a' | 'e' | 'i' | 'o' | 'u' | 'y' if i == 0 => 'a',
            _ => continue,
        };
        if !out.ends_with(code) {
            out.push(code);
        }
    }
    out
}

/// Short forms that neither letters nor sound would match.
fn is_short_for(short: &str, long: &str) -> bool {
    const SHORT: &[(&str, &str)] = &[
        ("dave", "david"),
        ("bob", "robert"),
        ("rob", "robert"),
        ("bobby", "robert"),
        ("bill", "william"),
        ("will", "william"),
        ("mike", "michael"),
        ("liz", "elizabeth"),
        ("beth", "elizabeth"),
        ("betty", "elizabeth"),
        ("kate", "katherine"),
        ("cathy", "catherine"),
        ("kathy", "kathleen"),
        ("jim", "james"),
        ("tom", "thomas"),
        ("tony", "anthony"),
        ("joe", "joseph"),
        ("sam", "samuel"),
        ("sam", "samantha"),
        ("sue", "susan"),
        ("peggy", "margaret"),
        ("maggie", "margaret"),
        ("dick", "richard"),
        ("rick", "richard"),
        ("ted", "edward"),
        ("ed", "edward"),
        ("andy", "andrew"),
        ("becky", "rebecca"),
        ("chuck", "charles"),
        ("jack", "john"),
        ("larry", "lawrence"),
        ("hank", "henry"),
        ("harry", "henry"),
        ("nancy", "anne"),
        ("vicky", "victoria"),
    ];
    SHORT.contains(&(short, long)) || (short.len() >= 3 && long.starts_with(short))
}

fn is_third_person(word: &str) -> bool {
    matches!(word, "his" | "her" | "their" | "hers")
        || (word.ends_with('s') && relation(&word[..word.len() - 1]).is_some())
}

fn alike(a: &str, b: &str) -> bool {
    if a == b || is_short_for(a, b) || is_short_for(b, a) {
        return true;
    }
    let close = strsim::jaro_winkler(a, b);
    let key = sound_key(a) == sound_key(b) && !sound_key(a).is_empty();
    close >= 0.9 || (key && close >= 0.7) || (key && sound_key(a).len() >= 3)
}

fn parts(name: &str) -> Vec<String> {
    let clean = |p: &str| p.chars().filter(|c| c.is_alphabetic()).collect::<String>().to_lowercase();
    name.split(|c: char| c.is_whitespace() || c == '-').map(clean).filter(|p| p.len() > 1).collect()
}

/// Index where the name begins, if the words at `at` introduce one.
fn intro(words: &[Word], at: usize) -> Option<usize> {
    let norm = |i: usize| words.get(at + i).map_or("", |w| w.norm.as_str());
    match (norm(0), norm(1), norm(2)) {
        // "His name is …" introduces someone else.
        ("name" | "names", ..) if at > 0 && is_third_person(&words[at - 1].norm) => None,
        ("name", "is", "actually") => Some(at + 3),
        ("name", "is", _) | ("names", "is", _) => Some(at + 2),
        ("names" | "name", _, _) if at > 0 && words[at - 1].norm == "my" => Some(at + 1),
        ("this", "is", _) => Some(at + 2),
        ("you're" | "youre", "speaking" | "talking", "with" | "to") => Some(at + 3),
        ("i", "am", _) | ("it", "is", _) => Some(at + 2),
        ("im" | "its", _, _) => Some(at + 1),
        ("call" | "called", "me" | "us", _) => None,
        _ => None,
    }
}

/// The name words from `start` on: at most three.
fn take_name(words: &[Word], start: usize, cased: bool) -> Vec<&Word> {
    let mut out = Vec::new();
    for word in words.iter().skip(start).take(3) {
        // "Omar Said", "Olga Will": behind a given name a capital is enough.
        let family =
            !out.is_empty() && cased && word.is_capital() && word.norm.len() > 2 && !word.raw.contains(['\'', '’']);
        if !(is_name_word(word, cased) || family && word.raw.chars().all(char::is_alphabetic)) {
            break;
        }
        out.push(word);
        if word.gap != Gap::None {
            break;
        }
    }
    out
}

fn is_name_word(word: &Word, cased: bool) -> bool {
    let letters = word.raw.chars().all(|c| c.is_alphabetic() || c == '\'' || c == '’');
    letters && word.norm.len() > 1 && (!cased || word.is_capital()) && !is_common(&word.norm)
}

/// "My name is Maria, M A R I A", "G O M E Z": letters one by one.
fn spelled(words: &[Word]) -> Option<String> {
    let letters: Vec<&str> = words.iter().map(|w| w.norm.as_str()).filter(|w| w.len() == 1).collect();
    (letters.len() >= 3
        && letters.len() * 2 > words.len()
        && letters.iter().all(|l| l.chars().all(char::is_alphabetic)))
    .then(|| title(&letters.concat()))
}

/// "Ellen Park, P A R K", "Kim, that's K I M": the name, its last part as it was spelled.
fn said_and_spelled(words: &[Word]) -> Option<String> {
    let first = words
        .windows(3)
        .position(|w| w.iter().all(|w| w.norm.len() == 1 && w.norm.chars().all(char::is_alphabetic)))?;
    let letters = words[first..].iter().take_while(|w| w.norm.len() == 1).map(|w| w.norm.as_str()).collect::<String>();
    let cased = is_cased(words);
    let start = (0..first).find(|i| !take_name(&words[..first], *i, cased).is_empty())?;
    let mut said: Vec<String> = take_name(&words[..first], start, cased).iter().map(|w| w.raw.clone()).collect();
    let spelled = title(&letters);
    let fits = said.last().is_some_and(|last| alike(&last.to_lowercase(), &letters));
    if fits {
        said.pop();
    }
    if fits || said.len() == 1 {
        said.push(spelled);
    }
    Some(title(&said.join(" ")))
}

/// "my mother Ellen Park", "my mother's order": from "my" on.
fn relative(words: &[Word], start: usize, names_count: bool) -> Option<ThirdParty> {
    let mut at = start;
    if !words.get(at).is_some_and(|w| w.norm == "my" || w.norm == "our" || w.norm == "a") {
        return None;
    }
    at += 1;
    while words.get(at).is_some_and(|w| matches!(w.norm.as_str(), "elderly" | "old" | "dear" | "late" | "good")) {
        at += 1;
    }
    let word = words.get(at)?;
    let relation = relation(&word.norm).or_else(|| relation(word.norm.strip_suffix('s')?))?;
    let possessive = word.raw.ends_with("'s") || word.raw.ends_with("’s");
    let mut next = at + 1;
    while words.get(next).is_some_and(|w| matches!(w.norm.as_str(), "in" | "law")) {
        next += 1;
    }
    let named = if names_count && !possessive { take_name(words, next, is_cased(words)) } else { Vec::new() };
    let name = named.iter().map(|w| strip_possessive(w)).collect::<Vec<_>>().join(" ");
    Some(ThirdParty { relation: Some(relation.to_owned()), holder: (!name.is_empty()).then(|| title(&name)) })
}

fn strip_possessive(word: &Word) -> String {
    word.raw.trim_end_matches("'s").trim_end_matches("’s").to_owned()
}

fn relation(word: &str) -> Option<&'static str> {
    Some(match word {
        "mother" | "mom" | "mum" | "mommy" | "mama" => "mother",
        "father" | "dad" | "daddy" | "papa" => "father",
        "wife" => "wife",
        "husband" => "husband",
        "son" => "son",
        "daughter" => "daughter",
        "brother" => "brother",
        "sister" => "sister",
        "grandmother" | "grandma" | "granny" | "nana" => "grandmother",
        "grandfather" | "grandpa" | "granddad" => "grandfather",
        "aunt" | "auntie" => "aunt",
        "uncle" => "uncle",
        "cousin" => "cousin",
        "partner" => "partner",
        "girlfriend" => "girlfriend",
        "boyfriend" => "boyfriend",
        "friend" => "friend",
        "neighbor" | "neighbour" => "neighbor",
        "boss" | "employer" | "manager" => "employer",
        "client" => "client",
        "roommate" | "flatmate" => "roommate",
        "parents" => "parents",
        "caregiver" | "carer" | "caretaker" => "caregiver",
        "assistant" | "secretary" => "assistant",
        _ => return None,
    })
}

/// "I'm her son" makes her a parent; told neutrally.
fn inverse(own: &str) -> &'static str {
    match own {
        "son" | "daughter" => "parent",
        "mother" | "father" => "child",
        "wife" | "husband" | "partner" => "spouse",
        "brother" | "sister" => "sibling",
        "caregiver" => "person in care",
        "assistant" => "employer",
        "friend" => "friend",
        "neighbor" => "neighbor",
        _ => "relative",
    }
}

/// Whether the utterance is written with capitals where they belong, as whisper does, so that names can be told by them.
fn is_cased(words: &[Word]) -> bool {
    words.iter().any(|w| w.is_capital())
}

fn has_code_letters(name: &[&Word]) -> bool {
    name.iter().any(|w| w.norm.len() < 2)
}

fn is_after_name(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "here"
            | "speaking"
            | "calling"
            | "from"
            | "i"
            | "im"
            | "my"
            | "the"
            | "with"
            | "um"
            | "uh"
            | "hi"
            | "yes"
    )
}

fn join(words: &[&Word]) -> String {
    title(&words.iter().map(|w| w.raw.as_str()).collect::<Vec<_>>().join(" "))
}

/// Capitals for names that were written without.
fn title(name: &str) -> String {
    let cap = |w: &str| {
        let mut chars = w.chars();
        let first = chars.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
        first + chars.as_str()
    };
    name.split_whitespace().map(cap).collect::<Vec<_>>().join(" ")
}

/// Words that stand where a name could stand, and are none.
fn is_common(word: &str) -> bool {
    const COMMON: &str = " a about account actually after afraid again all already also always am an and angry another any \
        anybody anyone anything apple are around as asking at available away back bad because been before being better bill \
        billing both bought box broken but buy by bye call called caller callers calling came can cancel card care charge \
        charged charges check checking come complaining concerned confused correct could crazy credit customer damaged day \
        days dead delayed delivery did disappointed do does doing dollars done dont down due eight english even ever every \
        exactly executive expecting fed fine first five for forty four fraud friday from frustrated fully furious get \
        getting give giving glad go goes going gone good goodbye got great guess had happy has hasnt have havent having he \
        hello help her here hes hey hi him his hold holder home hoping how i id if ill im in inquiring interested invoice is \
        isnt it item its ive just kettle know last late later let lets like line little live long looking lost lot \
        machine mad made make making man many may maybe me mean missing mister moment monday money more morning most mr mrs \
        ms much my name need needing never new nice nine no nobody none nope not nothing now number of off oh ok okay old on \
        once one only onto or order ordered orders other our out outside over package parcel pardon paid payment people \
        perfect person phone phoning placed please pretty problem product purchase put question quite ready real really \
        refund regarding regular reporting representative return right said same saturday say saying second see service \
        seven she shes shipment should sick since sir six so some somebody someone something sorry speak speaking still \
        stuck such sunday sure talk talking tell ten terrible than thank thanks that thats the their them then there these \
        they theyre thing think thirty this those three thursday tired to today tomorrow too tracking trying tuesday \
        agent representative operator human supervisor manager twenty two uh um under unable unhappy until up upset us very wait waiting want wanted wanting was way we wednesday \
        week well went were what whats when where which who why will wish with wondering wont work worried would wouldnt \
        wrong yeah yep yes yesterday yet you your yours youre zero ";
    COMMON.split_ascii_whitespace().any(|w| w == word)
}

#[cfg(test)]
mod tests;
