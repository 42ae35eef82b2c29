//! WordPiece as BERT's uncased models have it (Devlin et al. 2018; Wu et al. 2016): small letters without accents, words and
//! punctuation apart, then greedily the longest piece that the vocabulary has.

use std::collections::HashMap;

/// Pieces and their numbers.
pub struct Vocabulary {
    numbers: HashMap<String, i64>,
    start: i64,
    end: i64,
    unknown: i64,
}

/// A word of more characters is not cut up.
const LONGEST_WORD: usize = 100;

impl Vocabulary {
    /// Reads a vocabulary, one piece a line. `None` if it has no `[CLS]`, `[SEP]` and `[UNK]`.
    pub fn new(text: &str) -> Option<Self> {
        let numbers: HashMap<String, i64> =
            text.lines().enumerate().map(|(i, line)| (line.trim_end().to_owned(), i as i64)).collect();
        let number = |piece: &str| numbers.get(piece).copied();
        let (start, end, unknown) = (number("[CLS]")?, number("[SEP]")?, number("[UNK]")?);
        Some(Self { numbers, start, end, unknown })
    }

    /// The sentence's pieces, with the marks for its start and end; at most `most`.
    pub fn pieces(&self, sentence: &str, most: usize) -> Vec<i64> {
        let mut out = vec![self.start];
        for word in words(sentence) {
            self.word(&word, &mut out);
        }
        out.truncate(most.saturating_sub(1));
        out.push(self.end);
        out
    }

    fn word(&self, word: &str, out: &mut Vec<i64>) {
        let chars: Vec<char> = word.chars().collect();
        if chars.len() > LONGEST_WORD {
            out.push(self.unknown);
            return;
        }
        let before = out.len();
        let mut start = 0;
        while start < chars.len() {
            let piece = (start + 1..=chars.len()).rev().find_map(|end| {
                let text: String = chars[start..end].iter().collect();
                let text = if start > 0 { format!("##{text}") } else { text };
                self.numbers.get(&text).map(|n| (*n, end))
            });
            let Some((number, end)) = piece else {
                out.truncate(before);
                out.push(self.unknown);
                return;
            };
            out.push(number);
            start = end;
        }
    }
}

fn words(sentence: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut current = String::new();
    for c in sentence.chars().flat_map(char::to_lowercase).map(plain) {
        if c.is_alphanumeric() {
            current.push(c);
            continue;
        }
        if !current.is_empty() {
            out.push(std::mem::take(&mut current));
        }
        if !c.is_whitespace() && !c.is_control() {
            out.push(c.to_string());
        }
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}

/// The letter without its accent, for the letters of western Europe.
fn plain(c: char) -> char {
    match c {
        'à'..='å' | 'ā' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
        'ì'..='ï' | 'ī' => 'i',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ō' => 'o',
        'ù'..='ü' | 'ū' | 'ů' => 'u',
        'ý' | 'ÿ' => 'y',
        'š' | 'ś' => 's',
        'ž' | 'ż' | 'ź' => 'z',
        '’' => '\'',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_words_into_the_longest_pieces() {
        let vocabulary =
            Vocabulary::new("[PAD]\n[UNK]\n[CLS]\n[SEP]\nwhere\nis\nmy\nket\n##tle\n?\ncafe\n'\ns\n").unwrap();
        assert_eq!(vocabulary.pieces("Where is my KETTLE?", 128), [2, 4, 5, 6, 7, 8, 9, 3]);
        assert_eq!(vocabulary.pieces("Café’s xyz", 128), [2, 10, 11, 12, 1, 3]);
        assert_eq!(vocabulary.pieces("where where where", 3), [2, 4, 3]);
        assert_eq!(vocabulary.pieces("", 128), [2, 3]);
        assert!(Vocabulary::new("a\nb").is_none());
    }
}
