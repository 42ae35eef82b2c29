//! Moonshine's vocabulary file: for each token its length (one byte, or two from 128 up: the low seven bits, then times
//! 128) and its bytes. `▁` is a space; `<0xNN>` is one byte; what else stands in angle brackets is no text.

use std::collections::HashMap;

/// The vocabulary.
pub(crate) struct Tokens(Vec<Vec<u8>>, HashMap<Vec<u8>, usize>);

const SPACE: &str = "\u{2581}";

impl Tokens {
    pub(crate) fn parse(file: &[u8]) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut rest = file;
        while let [first, after @ ..] = rest {
            let (length, after) = match (first, after) {
                (0..=127, _) => (usize::from(*first), after),
                (_, [second, after @ ..]) => (usize::from(first & 0x7f) + usize::from(*second) * 128, after),
                _ => return Err("the vocabulary ends in a token's length".into()),
            };
            let Some((token, after)) = after.split_at_checked(length) else {
                return Err(format!("token {} of the vocabulary is cut off", tokens.len()));
            };
            tokens.push(meaning(token));
            rest = after;
        }
        if tokens.len() < 3 {
            return Err("the vocabulary is empty".into());
        }
        let ids = tokens.iter().enumerate().filter(|(_, t)| !t.is_empty()).map(|(id, t)| (t.clone(), id)).collect();
        Ok(Self(tokens, ids))
    }

    /// A token's bytes, a leading space included. `None`: there is no such token.
    pub(crate) fn bytes(&self, token: usize) -> Option<Vec<u8>> {
        self.0.get(token).cloned()
    }

    /// The token that is these bytes.
    pub(crate) fn id(&self, bytes: &[u8]) -> Option<usize> {
        self.1.get(bytes).copied()
    }

    /// Their text.
    pub(crate) fn text(&self, tokens: impl Iterator<Item = usize>) -> String {
        let bytes: Vec<u8> = tokens.filter_map(|t| self.0.get(t)).flatten().copied().collect();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

fn meaning(token: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(token) else { return token.to_vec() };
    if let Some(byte) = text.strip_prefix("<0x").and_then(|t| u8::from_str_radix(t.strip_suffix('>')?, 16).ok()) {
        return vec![byte];
    }
    if text.len() > 2 && text.starts_with('<') && text.ends_with('>') {
        return Vec::new();
    }
    text.replace(SPACE, " ").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_one_and_two_bytes_spaces_and_single_bytes() {
        let long = "x".repeat(200);
        let mut file = Vec::new();
        for token in ["<unk>", "<s>", "</s>", "\u{2581}Hello", "<0xC3>", "<0xA9>"] {
            file.push(token.len() as u8);
            file.extend(token.as_bytes());
        }
        file.extend([(200 % 128) as u8 | 0x80, 1]);
        file.extend(long.as_bytes());
        let tokens = Tokens::parse(&file).unwrap();
        assert_eq!(tokens.text([1, 3, 4, 5, 6, 2, 99].into_iter()), format!("Helloé{long}"));
        assert_eq!(tokens.bytes(3).unwrap(), b" Hello");
        assert_eq!(tokens.bytes(99), None);
        for broken in [&file[..file.len() - 1], &[5, b'a'], &[0x80], &[]] {
            assert!(Tokens::parse(broken).is_err());
        }
    }
}
