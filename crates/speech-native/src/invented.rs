//! What a transcriber writes that nobody said: marks for sounds, loops, stock phrases it finds in noise. Pure.

/// How sure the transcriber was.
#[derive(Debug, Clone, Copy)]
pub struct Certainty {
    /// Mean log-probability of the words' tokens.
    pub mean_logprob: f32,
    /// Probability that there is no speech at all.
    pub no_speech: f32,
}

/// Below this mean log-probability words are invented, and below the second they are if it also thinks there is no speech.
const LEAST: f32 = -1.1;
const LEAST_IF_SILENT: f32 = -0.6;
const SILENT: f32 = 0.6;
/// Stock phrases, and the hints read back, need to be this sure.
const STOCK: f32 = -0.45;
/// Nobody says more characters a second than this (fast speech has 20).
const FASTEST: f32 = 32.0;

/// Found in noise and silence by every Whisper model: they were subtitles once.
const STOCK_PHRASES: [&str; 18] = [
    "you",
    "thank you",
    "thanks for watching",
    "thank you for watching",
    "thank you so much for watching",
    "thanks for watching and ill see you in the next video",
    "please subscribe",
    "subscribe",
    "bye",
    "bye bye",
    "the end",
    "so",
    "oh",
    "im sorry",
    "i dont know",
    "subtitles by the amaraorg community",
    "well be right back",
    "ill see you next time",
];

/// The words that were really said, `None` if none were. `seconds` is the length of the audio.
pub fn said(raw: &str, prompt: &str, certainty: Certainty, seconds: f32) -> Option<String> {
    let text = unlooped(&plain(raw));
    let Certainty { mean_logprob, no_speech } = certainty;
    let words = bare(&text);
    let unsure = mean_logprob < LEAST || no_speech > SILENT && mean_logprob < LEAST_IF_SILENT;
    let stock = STOCK_PHRASES.contains(&words.as_str()) && mean_logprob < STOCK;
    let read_back = words.len() > 12 && bare(prompt).contains(&words) && mean_logprob < STOCK;
    let too_fast = text.chars().count() as f32 > 24.0 + FASTEST * seconds;
    (!words.is_empty() && !unsure && !stock && !read_back && !too_fast).then_some(text)
}

/// Without marks such as `[BLANK_AUDIO]`, `(music)`, `*sighs*`, `>>`. What is sung between notes was not said to us.
fn plain(text: &str) -> String {
    if text.contains(['♪', '♫', '♬']) {
        return String::new();
    }
    let (mut out, mut depth, mut starred) = (String::new(), 0u32, false);
    for c in text.chars() {
        match c {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth = depth.saturating_sub(1),
            '*' => starred = !starred,
            '>' => {}
            c if depth == 0 && !starred => out.push(c),
            _ => {}
        }
    }
    let words: Vec<&str> = out.split_whitespace().filter(|w| w.chars().any(char::is_alphanumeric)).collect();
    words.join(" ")
}

/// Words going round in circles up to the end are kept once. Digits may well repeat.
fn unlooped(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let keys: Vec<String> = words.iter().map(|w| bare(w)).collect();
    for size in 1..=words.len() / 3 {
        let cycle = &keys[keys.len() - size..];
        let rounds = keys.rchunks(size).take_while(|chunk| *chunk == cycle).count();
        let figures = cycle.iter().all(|w| is_figure(w));
        let most = if figures {
            usize::MAX
        } else if size < 3 {
            4
        } else {
            2
        };
        if rounds > most {
            return words[..words.len() - size * (rounds - 1)].join(" ");
        }
    }
    words.join(" ")
}

fn is_figure(word: &str) -> bool {
    const FIGURES: [&str; 13] =
        ["zero", "oh", "o", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    FIGURES.contains(&word) || word.bytes().all(|b| b.is_ascii_digit())
}

/// Letters and digits in small letters, one space between words.
fn bare(text: &str) -> String {
    let word = |w: &str| w.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    text.split(|c: char| c.is_whitespace() || c == '-')
        .map(word)
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SURE: Certainty = Certainty { mean_logprob: -0.2, no_speech: 0.0 };

    #[test]
    fn marks_are_no_words() {
        for raw in [" [BLANK_AUDIO]", "(music)", "♪ la la la ♪", " ... ", "*sighs*", "[Music] (applause)", ""] {
            assert_eq!(said(raw, "", SURE, 2.0), None, "{raw}");
        }
        assert_eq!(said(" Hello there. (laughs)", "", SURE, 2.0).as_deref(), Some("Hello there."));
        assert_eq!(said(">> Yes. - No.", "", SURE, 2.0).as_deref(), Some("Yes. No."));
    }

    #[test]
    fn loops_are_kept_once_and_digits_as_they_are() {
        for (raw, kept) in [
            ("Where is my order? Where is my order? Where is my order?", "Where is my order?"),
            ("it came and then it came and then it came and then", "it came and then"),
            ("no no no", "no no no"),
            ("please please please please please please", "please"),
            ("five five five five five five", "five five five five five five"),
            ("one two one two one two one two", "one two one two one two one two"),
        ] {
            assert_eq!(said(raw, "", SURE, 8.0).as_deref(), Some(kept));
        }
    }

    #[test]
    fn what_is_unsure_is_not_said() {
        let with = |mean_logprob, no_speech| Certainty { mean_logprob, no_speech };
        assert_eq!(said("I went to the store", "", with(-1.3, 0.0), 2.0), None);
        assert_eq!(said("I went to the store", "", with(-0.8, 0.9), 2.0), None);
        assert!(said("I went to the store", "", with(-0.8, 0.1), 2.0).is_some());
        assert_eq!(said("Thank you.", "", with(-0.6, 0.1), 2.0), None);
        assert!(said("Thank you.", "", with(-0.2, 0.1), 2.0).is_some());
        assert!(said("Maria Gomez-Lopez.", "Maria Gomez Lopez, A-1042", with(-0.2, 0.1), 2.0).is_some());
        assert_eq!(said("Maria Gomez-Lopez.", "Maria Gomez Lopez, A-1042", with(-0.9, 0.1), 2.0), None);
        let hurried = "a whole paragraph about something that nobody could have said in half a second";
        assert_eq!(said(hurried, "", SURE, 0.5), None);
    }
}
