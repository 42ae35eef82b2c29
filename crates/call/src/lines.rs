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
}

impl Line {
    pub fn new(id: LineId, texts: Vec<String>, interruptible: bool) -> Self {
        Self { id, texts, interruptible, replies_to: None, again: false, turn: None, stopped: false }
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

    /// Marks everything as stopped and returns the texts that had not been said to their end: `None` if they were being
    /// repeated already.
    pub fn stop(&mut self) -> Option<Vec<String>> {
        let mut cut = Vec::new();
        let mut again = false;
        for line in self.lines.iter_mut().filter(|l| !l.stopped) {
            line.stopped = true;
            again |= line.again;
            cut.extend(line.texts.iter().cloned());
        }
        (!again && !cut.is_empty()).then_some(cut)
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
        assert_eq!(lines.stop(), Some(vec!["line 1".to_owned()]));
        assert!(!lines.may_be_stopped(), "it is stopped already");
        assert!(lines.is_silent() && !lines.is_empty());
        assert_eq!(lines.stop(), None);
    }
}
