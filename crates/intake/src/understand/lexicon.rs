//! The small words of every conversation, whatever it is about: yes and no, "what?", "hold on", "I don't know", thanks.

use super::words::{Word, words};

/// Yes, no, or neither.
pub fn answer(words: &[Word]) -> Option<bool> {
    let n: Vec<&str> = words.iter().map(|w| w.norm.as_str()).collect();
    let text = n.join(" ");
    if has(&text, DENIALS) {
        return Some(false);
    }
    // "No, just tell me where it is" is no agreement; "No, that's right" is one.
    let refuses = n.first().is_some_and(|w| NO.contains(w)) && n.len() > 4;
    let opening = n.iter().take(4).copied().collect::<Vec<_>>().join(" ");
    let agreement = if refuses { &opening } else { &text };
    if has(agreement, AGREEMENTS) || text.ends_with("this is her") || text.ends_with("this is him") {
        return Some(true);
    }
    let polarity = |w: &&str| match *w {
        w if YES.contains(&w) => Some(true),
        w if NO.contains(&w) => Some(false),
        _ => None,
    };
    let mut said = n.iter().take(6).filter_map(polarity);
    match (said.next(), said.next()) {
        // "Yeah, no", "no, yeah": the second word is meant.
        (Some(true), Some(false)) if n.len() <= 4 || n[..2].iter().all(|w| polarity(w).is_some()) => Some(false),
        (Some(false), Some(true)) if n[..2].iter().all(|w| polarity(w).is_some()) => Some(true),
        (first, _) => first,
    }
}

/// "This number", "the same one", in answer to which number to call.
pub fn means_this_number(words: &[Word]) -> bool {
    has(&text(words), &["this number", "this one", "same number", "the same", "number im calling from", "this phone"])
}

/// "I don't have it", "no idea", "I'd rather not say".
pub fn does_not_have(words: &[Word]) -> bool {
    has(&text(words), DOES_NOT_HAVE)
}

/// "What?", "say that again".
pub fn wants_repeat(words: &[Word]) -> bool {
    let text = text(words);
    words.len() <= 9 && (REPEAT_WHOLE.contains(&bare(&text).as_str()) || has(&text, REPEAT))
}

/// "Hold on", "just a second".
pub fn wants_time(words: &[Word]) -> bool {
    has(&text(words), WAIT)
}

/// "Hello? Are you there?"
pub fn only_greets(words: &[Word]) -> bool {
    const GREETINGS: [&str; 11] =
        ["hello", "hi", "hey", "good", "morning", "afternoon", "evening", "there", "yes", "yeah", "um"];
    !words.is_empty() && words.iter().all(|w| GREETINGS.contains(&w.norm.as_str())) && answer(words).is_none()
        || has(&text(words), &["are you there", "anybody there", "anyone there", "can you hear me"]) && words.len() <= 6
}

/// "Are you a real person?"
pub fn asks_whether_machine(words: &[Word]) -> bool {
    has(&text(words), ASKS_MACHINE)
}

/// "That's all, thanks", "goodbye": nothing more is wanted.
pub fn is_done(words: &[Word]) -> bool {
    has(&text(words), DONE)
}

/// "Thank you", "great", "that helps": content with what was said.
pub fn is_content(words: &[Word]) -> bool {
    has(&text(words), CONTENT)
}

/// "No, I meant …", "actually", "that's wrong": what was understood is being put right.
pub fn corrects(words: &[Word]) -> bool {
    let first = words
        .first()
        .is_some_and(|w| matches!(w.norm.as_str(), "no" | "nope" | "wrong" | "sorry" | "actually" | "not"));
    first || has(&text(words), CORRECTIONS)
}

/// Index behind the last word of a correction inside an utterance: "1043, no sorry, 1042".
pub fn correction_point(words: &[Word]) -> Option<usize> {
    let n: Vec<&str> = words.iter().map(|w| w.norm.as_str()).collect();
    (1..n.len())
        .rev()
        .find(|&i| {
            matches!(n[i], "sorry" | "no" | "actually" | "correction" | "wait")
                || (n[i] == "mean" && n[i - 1] == "i")
                || (n[i] == "that" && matches!(n[i - 1], "scratch" | "make"))
        })
        .map(|i| i + 1)
}

/// Whether the utterance is nothing but a recogniser's guess at noise.
pub fn is_noise(words: &[Word]) -> bool {
    words.is_empty()
        || words.iter().all(|w| matches!(w.norm.as_str(), "uh" | "um" | "hmm" | "mm" | "ah" | "er" | "oh" | "you"))
}

/// The caller is the account holder, in so many words: `Some(false)` for "I'm not".
pub fn claims_account(words: &[Word]) -> Option<bool> {
    let text = text(words);
    if has(&text, NOT_MY_ACCOUNT) {
        Some(false)
    } else if has(&text, MY_ACCOUNT) || has(&text, &["the account holder"]) {
        Some(true)
    } else {
        None
    }
}

const YES: &[&str] = &[
    "yes",
    "yeah",
    "yep",
    "yup",
    "yea",
    "ya",
    "yah",
    "sure",
    "correct",
    "right",
    "exactly",
    "absolutely",
    "definitely",
    "certainly",
    "ok",
    "okay",
    "aye",
    "affirmative",
    "indeed",
    "true",
    "speaking",
    "mhm",
    "uhhuh",
    "totally",
    "si",
];
const NO: &[&str] =
    &["no", "nope", "nah", "negative", "incorrect", "wrong", "never", "not", "isnt", "doesnt", "didnt", "hasnt", "noo"];
const AGREEMENTS: &[&str] = &[
    "thats right",
    "thats correct",
    "that is right",
    "that is correct",
    "thats it",
    "thats me",
    "thats the one",
    "that is me",
    "it is",
    "i am",
    "i do",
    "it does",
    "it did",
    "you got it",
    "of course",
    "go ahead",
    "sounds good",
    "please do",
    "i think so",
    "i guess",
    "i suppose",
    "this is she",
    "this is he",
    "you are",
    "mm hmm",
    "uh huh",
    "mm hm",
    "no problem",
    "why not",
    "youre right",
    "got it right",
    "you do",
];
const DENIALS: &[&str] = &[
    "thats not",
    "that is not",
    "thats wrong",
    "that is wrong",
    "its not",
    "it is not",
    "im not",
    "i am not",
    "not really",
    "not quite",
    "not exactly",
    "not right",
    "not correct",
    "dont think so",
    "it doesnt",
    "that doesnt",
    "it didnt",
    "uh uh",
    "no its not",
    "not me",
    "not at all",
    "thats incorrect",
    "i dont",
    "i do not",
    "its wrong",
    "no way",
    "isnt right",
    "not helpful",
    "didnt help",
    "doesnt help",
    "does not help",
];
const DOES_NOT_HAVE: &[&str] = &[
    "i dont have",
    "doesnt have",
    "does not have",
    "i do not have",
    "dont have it",
    "dont have that",
    "dont have one",
    "dont have the",
    "dont have an",
    "i dont know",
    "i do not know",
    "dont know it",
    "no idea",
    "not sure",
    "cant find it",
    "cannot find it",
    "cant find that",
    "cant find the",
    "dont remember",
    "do not remember",
    "cant remember",
    "cant recall",
    "dont recall",
    "havent got",
    "i lost it",
    "i lost the",
    "lost the email",
    "threw it away",
    "threw the",
    "thrown it away",
    "threw away",
    "deleted it",
    "deleted the",
    "not in front of me",
    "havent got it",
    "rather not",
    "dont want to say",
    "not with me",
    "no clue",
    "skip it",
    "skip that",
    "haven't got",
    "never got one",
    "never got a number",
    "couldnt tell you",
    "beats me",
    "dunno",
];
const REPEAT: &[&str] = &[
    "repeat that",
    "repeat it",
    "repeat the question",
    "say that again",
    "say it again",
    "come again",
    "what was that",
    "what did you say",
    "one more time",
    "didnt hear",
    "didnt catch",
    "didnt get that",
    "could you repeat",
    "can you repeat",
    "please repeat",
    "beg your pardon",
    "once more",
    "couldnt hear",
    "cant hear you",
    "didnt understand you",
    "again please",
];
const REPEAT_WHOLE: &[&str] = &[
    "what",
    "huh",
    "pardon",
    "pardon me",
    "sorry",
    "excuse me",
    "repeat",
    "again",
    "sorry what",
    "what sorry",
    "im sorry",
    "say what",
    "come again",
];
const WAIT: &[&str] = &[
    "hold on",
    "hang on",
    "wait",
    "one moment",
    "one second",
    "one sec",
    "just a moment",
    "just a minute",
    "just a second",
    "just a sec",
    "a second",
    "a sec",
    "give me a minute",
    "give me a moment",
    "bear with me",
    "let me check",
    "let me look",
    "let me find",
    "let me get",
    "let me see",
    "let me grab",
    "need my glasses",
    "get my glasses",
    "one minute",
    "im looking for it",
    "looking it up",
    "two seconds",
];
const ASKS_MACHINE: &[&str] = &[
    "are you a robot",
    "who am i talking",
    "who am i speaking",
    "who is this",
    "what is this",
    "are you a bot",
    "are you a machine",
    "are you a computer",
    "are you human",
    "are you a human",
    "are you an ai",
    "are you real",
    "are you a real",
    "are you a person",
    "is this a robot",
    "is this a machine",
    "is this a bot",
    "is this a real",
    "is this a recording",
    "talking to a machine",
    "talking to a robot",
    "am i talking to a",
    "am i speaking to a",
];
const DONE: &[&str] = &[
    "thats all",
    "that is all",
    "thats everything",
    "thats it",
    "nothing else",
    "no thanks",
    "no thank you",
    "im good",
    "im all set",
    "all set",
    "goodbye",
    "good bye",
    "bye",
    "bye bye",
    "were good",
    "that will be all",
    "thatll be all",
    "thats fine",
    "no more",
    "im done",
    "never mind",
    "nevermind",
    "have a good",
    "have a nice",
    "have a great",
    "im fine",
    "all good",
    "no im okay",
    "not right now",
];
const CONTENT: &[&str] = &[
    "thank",
    "thanks",
    "great",
    "perfect",
    "that helps",
    "it helps",
    "very helpful",
    "wonderful",
    "excellent",
    "awesome",
    "good to know",
    "thats good",
    "thats great",
    "lovely",
    "brilliant",
    "cheers",
    "fantastic",
    "that works",
    "that answers",
    "very good",
    "appreciate",
];
const CORRECTIONS: &[&str] =
    &["i said", "i meant", "thats wrong", "thats not", "not right", "actually", "it should be", "it's not", "its not"];
const MY_ACCOUNT: &[&str] = &[
    "im the account holder",
    "i am the account holder",
    "its my account",
    "it is my account",
    "my own account",
    "its mine",
    "it is mine",
    "my own order",
    "i placed the order",
    "i placed it",
    "in my name",
    "under my name",
    "my name is on",
    "im the owner",
    "for myself",
];
const NOT_MY_ACCOUNT: &[&str] = &[
    "not the account holder",
    "for the account holder",
    "isnt the account holder",
    "not my account",
    "someone elses account",
    "not in my name",
    "not my order",
    "isnt my account",
    "isnt mine",
    "not mine",
    "for someone else",
    "for somebody else",
];

fn text(words: &[Word]) -> String {
    words.iter().map(|w| w.norm.as_str()).collect::<Vec<_>>().join(" ")
}

/// Whole words only.
fn has(text: &str, any: &[&str]) -> bool {
    let padded = format!(" {text} ");
    any.iter().any(|p| padded.contains(&format!(" {} ", p.replace('\'', ""))))
}

fn bare(text: &str) -> String {
    let courtesy = ["please", "uh", "um", "oh"];
    words(text).iter().map(|w| w.norm.as_str()).filter(|w| !courtesy.contains(w)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_and_no_in_many_words() {
        for yes in [
            "Yes.",
            "Yeah.",
            "Yep, that's me.",
            "Uh-huh.",
            "That's right.",
            "Correct.",
            "It is.",
            "Speaking.",
            "This is she.",
            "Sure, go ahead.",
            "No, that's right.",
            "I think so.",
            "Absolutely.",
            "Right.",
            "Yes, but it is late.",
            "Okay",
            "mm-hmm",
            "Yes it is",
            "You got it.",
            "Of course.",
            "Yes, I am.",
            "No yeah",
        ] {
            assert_eq!(answer(&words(yes)), Some(true), "{yes}");
        }
        for no in [
            "No.",
            "Nope.",
            "Nah.",
            "That's not right.",
            "No, it isn't.",
            "I'm not.",
            "Not really.",
            "That's wrong.",
            "Incorrect.",
            "I don't think so.",
            "It doesn't.",
            "Yeah, no.",
            "No, just tell me where it is",
            "No, one zero four three.",
            "uh-uh",
            "That doesn't help.",
            "Not quite.",
        ] {
            assert_eq!(answer(&words(no)), Some(false), "{no}");
        }
        for neither in ["A-1042", "The blue kettle", "Maria Gomez", "I know the kettle"] {
            assert_eq!(answer(&words(neither)), None, "{neither}");
        }
    }

    #[test]
    fn meta_talk() {
        for text in
            ["What?", "Sorry?", "Can you repeat that please?", "Say that again.", "I didn't catch that.", "Pardon?"]
        {
            assert!(wants_repeat(&words(text)), "{text}");
        }
        for text in ["What is the status of my order?", "Sorry, it's A-1043."] {
            assert!(!wants_repeat(&words(text)), "{text}");
        }
        for text in ["Hold on.", "Wait a second", "Just a minute, let me look.", "Hang on, let me find it"] {
            assert!(wants_time(&words(text)), "{text}");
        }
        assert!(!wants_time(&words("I've been waiting for weeks")));
        for text in ["I don't have it.", "I don't know.", "I haven't got it with me", "No idea.", "I'd rather not say"]
        {
            assert!(does_not_have(&words(text)), "{text}");
        }
        assert!(only_greets(&words("Hello?")));
        assert!(!only_greets(&words("Hello, my order is late")));
    }
}
