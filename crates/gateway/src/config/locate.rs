//! Where in the file a key stands, so that every fault names its line.

use toml::de::{DeTable, DeValue};

/// The line (from 1) of a byte offset.
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

/// A config's text, indexed by key path.
pub struct Lines {
    text: String,
}

impl Lines {
    pub fn new(text: &str) -> Self {
        Self { text: text.into() }
    }

    /// The line of the deepest key of `path` that is there. A segment that is a number picks from an array.
    pub fn of<S: AsRef<str>>(&self, path: &[S]) -> Option<usize> {
        self.walk(path).0
    }

    /// Whether the whole path is there.
    pub fn has(&self, path: &[&str]) -> bool {
        self.walk(path).1 == path.len()
    }

    fn walk<S: AsRef<str>>(&self, path: &[S]) -> (Option<usize>, usize) {
        let Ok(root) = DeTable::parse(&self.text) else { return (None, 0) };
        let Some((first, rest)) = path.split_first() else { return (None, 0) };
        let Some((key, value)) = root.get_ref().iter().find(|(k, _)| k.get_ref().as_ref() == first.as_ref()) else {
            return (None, 0);
        };
        let (mut offset, mut value, mut depth) = (key.span().start, value, 1);
        for segment in rest {
            let next = match value.get_ref() {
                DeValue::Table(table) => table
                    .iter()
                    .find(|(k, _)| k.get_ref().as_ref() == segment.as_ref())
                    .map(|(k, v)| (k.span().start, v)),
                DeValue::Array(array) => {
                    segment.as_ref().parse::<usize>().ok().and_then(|i| array.get(i)).map(|v| (v.span().start, v))
                }
                _ => None,
            };
            let Some((at, inner)) = next else { break };
            (offset, value, depth) = (at, inner, depth + 1);
        }
        (Some(line_of(&self.text, offset)), depth)
    }
}
