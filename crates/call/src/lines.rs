//! What is being said to the caller: lines ordered and not yet over, and what follows once all of them are. It does not
//! speak; it answers whether the caller may speak over it, and keeps what was cut off.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::api::LineId;

/// What follows when everything was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing by itself: something else is awaited.
    Nothing,
    /// The caller is to answer, within so long.
    Listen(Duration),
    /// The end of the call.
    HangUp,
}

/// One thing being said.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub id: LineId,
    pub texts: Vec<String>,
    pub interruptible: bool,
    /// End of the caller's words that it answers.
    pub replies_to: Option<Instant>,
    /// It is said a second time because noise had cut it off.
    pub again: bool,
    /// Index of its turn in the record, once it has begun.
    pub turn: Option<usize>,
    /// Stopped; its end has not been reported.
    pub stopped: bool,
    /// Characters of it that were played, as far as that was told.
    pub heard: Option<usize>,
}

impl Line {
    pub fn new(id: LineId, texts: Vec<String>, interruptible: bool) -> Self {
        Self { id, texts, interruptible, replies_to: None, again: false, turn: None, stopped: false, heard: None }
    }

    /// Its sentences as one, white space taken as one blank: what positions in it count by.
    pub fn text(&self) -> String {
        let words: Vec<&str> = self.texts.iter().flat_map(|t| t.split_whitespace()).collect();
        words.join(" ")
    }
}

/// The whole words among the first `chars` characters of `text`.
pub(crate) fn heard_of(text: &str, chars: usize) -> &str {
    let Some((end, next)) = text.char_indices().nth(chars) else { return text };
    let heard = text.get(..end).unwrap_or_default();
    let whole = if next.is_whitespace() { heard } else { heard.rfind(' ').map_or("", |at| &heard[..at]) };
    whole.trim_end()
}

/// What is left of `text` when its first `chars` characters were heard, from the beginning of the clause that was cut.
pub(crate) fn rest_of(text: &str, chars: usize) -> &str {
    let end = text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    let ends_clause = |c: char| matches!(c, '.' | ',' | ';' | ':' | '!' | '?');
    let mut from = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if c == ' ' && ends_clause(before) && at <= end {
            from = at + 1;
        }
        before = c;
    }
    if end == text.len() { "" } else { text.get(from..).unwrap_or_default() }
}

/// What the caller's speech has cut off.
#[derive(Debug, Default)]
pub(crate) struct CutOff(Vec<(LineId, String, usize)>);

impl CutOff {
    /// More of a line was heard than was known when it was stopped.
    pub fn heard(&mut self, id: LineId, chars: usize) {
        for (_, _, heard) in self.0.iter_mut().filter(|c| c.0 == id) {
            *heard = chars.max(*heard);
        }
    }

    /// What was not heard.
    pub fn rest(&self) -> Vec<String> {
        let rest = self.0.iter().map(|(_, text, heard)| rest_of(text, *heard).to_owned());
        rest.filter(|r| !r.is_empty()).collect()
    }
}

/// Everything that is being said to the caller.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: VecDeque<Line>,
    pub after: After,
}

impl Default for Lines {
    fn default() -> Self {
        Self { lines: VecDeque::new(), after: After::Nothing }
    }
}

impl Lines {
    pub fn push(&mut self, line: Line) {
        self.lines.push_back(line);
    }

    /// Nothing is being said; what was stopped may still be on its way out.
    pub fn is_silent(&self) -> bool {
        self.lines.iter().all(|l| l.stopped)
    }

    /// Everything ordered is over.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Something is being said, and all of it may be stopped. An announcement protects what was ordered with it.
    pub fn may_be_stopped(&self) -> bool {
        !self.is_silent() && self.lines.iter().all(|l| l.interruptible || l.stopped)
    }

    /// Marks everything as stopped and returns what was cut: `None` if it was being repeated already.
    pub fn stop(&mut self) -> Option<CutOff> {
        let mut cut = CutOff::default();
        let mut again = false;
        for line in self.lines.iter_mut().filter(|l| !l.stopped) {
            line.stopped = true;
            again |= line.again;
            cut.0.push((line.id, line.text(), line.heard.unwrap_or(0)));
        }
        (!again && !cut.0.is_empty()).then_some(cut)
    }

    /// A turn of the record is gone: those behind it move up.
    pub fn turn_removed(&mut self, at: usize) {
        for turn in self.lines.iter_mut().filter_map(|l| l.turn.as_mut()).filter(|t| **t > at) {
            *turn -= 1;
        }
    }

    pub fn get_mut(&mut self, id: LineId) -> Option<&mut Line> {
        self.lines.iter_mut().find(|l| l.id == id)
    }

    pub fn ended(&mut self, id: LineId) -> Option<Line> {
        let at = self.lines.iter().position(|l| l.id == id)?;
        self.lines.remove(at)
    }

    /// Nothing more will be heard of what is being said.
    pub fn drain(&mut self) -> impl Iterator<Item = Line> {
        self.lines.drain(..)
    }

    /// Characters still to be said.
    pub fn chars(&self) -> usize {
        self.lines.iter().flat_map(|l| &l.texts).map(String::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u64, interruptible: bool) -> Line {
        Line::new(LineId(id), vec![format!("line {id}")], interruptible)
    }

    #[test]
    fn an_announcement_protects_what_is_said_with_it() {
        let mut lines = Lines::default();
        assert!(!lines.may_be_stopped(), "nothing is being said");
        lines.push(line(1, true));
        assert!(lines.may_be_stopped());
        lines.push(line(2, false));
        assert!(!lines.may_be_stopped());
        lines.ended(LineId(2));
        assert!(lines.may_be_stopped());
        assert_eq!(lines.stop().unwrap().rest(), ["line 1"]);
        assert!(!lines.may_be_stopped(), "it is stopped already");
        assert!(lines.is_silent() && !lines.is_empty());
        assert!(lines.stop().is_none());
    }

    #[test]
    fn what_was_heard_is_whole_words_and_what_is_left_begins_with_a_clause() {
        let text = "Your order is late, I am sorry. Does that help?";
        for (chars, heard, rest) in [
            (0, "", text),
            (3, "", text),
            (4, "Your", text),
            (12, "Your order", text),
            (19, "Your order is late,", "I am sorry. Does that help?"),
            (25, "Your order is late, I am", "I am sorry. Does that help?"),
            (31, "Your order is late, I am sorry.", "Does that help?"),
            (47, text, ""),
            (99, text, ""),
        ] {
            assert_eq!(heard_of(text, chars), heard, "{chars}");
            assert_eq!(rest_of(text, chars), rest, "{chars}");
        }
        assert_eq!(heard_of("Grüß Gott", 4), "Grüß");
        assert_eq!(rest_of("It is 1.5, or more", 14), "or more", "a figure is no clause's end");
    }
}
