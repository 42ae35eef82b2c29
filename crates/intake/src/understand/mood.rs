//! Complaint, anger and content in words. Words are evidence; how loud they were is somebody else's business.

use super::words::{Gap, Word};

/// What an utterance's words show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mood {
    /// Complaints about us or the service.
    pub complaints: usize,
    /// Swear words.
    pub swearing: usize,
    /// Content, not said in irony.
    pub content: bool,
}

/// Reads the mood off `words`.
pub fn mood(words: &[Word]) -> Mood {
    let text = words.iter().map(|w| w.norm.as_str()).collect::<Vec<_>>().join(" ");
    let padded = format!(" {text} ");
    let count = |list: &[&str]| list.iter().filter(|p| padded.contains(&format!(" {p} "))).count();
    let complaints = count(COMPLAINTS);
    let amiss = count(AMISS) > 0;
    let irony = count(&["thanks for nothing"]) > 0 || (amiss && count(IRONY) > 0);
    let ironic = complaints > 0 || irony || (words.first().is_some_and(is_exclaimed) && amiss);
    Mood {
        complaints: complaints + usize::from(irony),
        swearing: count(SWEARING),
        content: count(CONTENT) > 0 && !ironic,
    }
}

fn is_exclaimed(word: &Word) -> bool {
    matches!(word.norm.as_str(), "great" | "wonderful" | "brilliant" | "fantastic" | "perfect" | "lovely")
        && word.gap != Gap::None
}

const COMPLAINTS: &[&str] = &[
    "ridiculous",
    "unacceptable",
    "useless",
    "outrageous",
    "disgusting",
    "disgrace",
    "disgraceful",
    "pathetic",
    "terrible",
    "horrible",
    "awful",
    "appalling",
    "incompetent",
    "fed up",
    "sick of",
    "sick and tired",
    "tired of this",
    "worst",
    "a joke",
    "are you kidding",
    "you kidding me",
    "furious",
    "angry",
    "disappointed",
    "frustrated",
    "frustrating",
    "waste of time",
    "wasting my time",
    "nobody ever helps",
    "nobody helps",
    "no one helps",
    "lousy",
    "scam",
    "rip off",
    "ripped off",
    "never again",
    "i have had enough",
    "ive had enough",
    "had it with",
    "i already told",
    "i told you",
    "how many times",
    "called three times",
    "called twice",
    "third time",
    "fourth time",
    "fifth time",
    "every time i call",
    "unbelievable",
    "shame on",
    "lawyer",
    "sue you",
    "cant believe",
    "doing nothing",
    "dont care about",
    "complaint",
    "the last guy",
    "nothing but trouble",
    "nightmare",
    "insane",
    "absurd",
    "livid",
    "upset",
    "annoyed",
    "annoying",
];

/// Praise that means its opposite when something is amiss in the same breath.
const IRONY: &[&str] = &[
    "great service",
    "oh wonderful",
    "oh great",
    "oh brilliant",
    "oh perfect",
    "oh lovely",
    "oh fantastic",
    "how nice of you",
];

const AMISS: &[&str] =
    &["still", "again", "another week", "nothing", "never", "no", "not", "late", "hasnt", "didnt", "doesnt"];

const SWEARING: &[&str] = &[
    "damn", "dammit", "goddamn", "hell", "crap", "bloody", "shit", "bullshit", "fuck", "fucking", "fucked", "asshole",
    "bastard", "bastards", "idiot", "idiots", "moron", "morons", "stupid", "piss", "pissed",
];

const CONTENT: &[&str] = &[
    "thank you",
    "thanks",
    "great",
    "perfect",
    "wonderful",
    "excellent",
    "awesome",
    "lovely",
    "brilliant",
    "fantastic",
    "good",
    "that helps",
    "appreciate",
    "happy",
    "no problem",
    "take your time",
    "no rush",
    "please",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::understand::words::words;

    #[test]
    fn tells_complaint_from_content() {
        for (text, complaints, swearing, content) in [
            ("This is ridiculous, you are useless", 2, 0, false),
            ("Oh great, thanks for nothing", 1, 0, false),
            ("Great, another week and it's still not here", 0, 0, false),
            ("Great, thank you", 0, 0, true),
            ("Oh great. Okay, thanks, great service", 0, 0, true),
            ("where the hell is my damn order", 0, 2, false),
            ("where is my order", 0, 0, false),
        ] {
            assert_eq!(mood(&words(text)), Mood { complaints, swearing, content }, "{text}");
        }
    }
}
