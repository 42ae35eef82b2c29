//! Which clip belongs to which line. A line is one thing said to one leg; the voice delivers it in clauses, each a clip of
//! its own, and the call wants to hear of two moments only: the line's first packet, and its end.

use std::collections::HashMap;
use std::time::Instant;

use baton_call::{Input, Leg, LineId};
use baton_media::PlayId;

/// The lines of one call that are not over.
#[derive(Debug, Default)]
pub struct Lines {
    next_play: u64,
    /// Each clip's line, and how many characters its clause has.
    plays: HashMap<PlayId, (LineId, usize)>,
    lines: HashMap<LineId, Line>,
}

#[derive(Debug)]
struct Line {
    leg: Leg,
    /// Clips handed to the player and not yet ended.
    waiting: usize,
    all_queued: bool,
    started: bool,
    cut: bool,
    /// Characters of the clauses that were played to their end, as [`Input::LineHeard`] counts them.
    heard: usize,
}

impl Lines {
    /// A line was ordered; its clips will follow.
    pub fn ordered(&mut self, line: LineId, leg: Leg) {
        self.lines.insert(line, Line { leg, waiting: 0, all_queued: false, started: false, cut: false, heard: 0 });
    }

    /// A play id that belongs to no line (hold music).
    pub fn loose(&mut self) -> PlayId {
        self.next_play += 1;
        PlayId(self.next_play)
    }

    /// A clip of `line`, the clause `words`, is about to be queued: on which leg and as what. `None`: the line was cut, drop
    /// the clip.
    pub fn clip(&mut self, line: LineId, words: &str) -> Option<(Leg, PlayId)> {
        self.next_play += 1;
        let state = self.lines.get_mut(&line).filter(|l| !l.cut)?;
        state.waiting += 1;
        let play = PlayId(self.next_play);
        self.plays.insert(play, (line, words.chars().count()));
        Some((state.leg, play))
    }

    /// No clip of `line` will follow.
    pub fn all_queued(&mut self, line: LineId) -> Option<Input> {
        self.lines.get_mut(&line)?.all_queued = true;
        self.over(line)
    }

    /// The first packet of `play` has left.
    pub fn started(&mut self, play: PlayId, at: Instant) -> Option<Input> {
        let (line, _) = *self.plays.get(&play)?;
        let state = self.lines.get_mut(&line)?;
        (!std::mem::replace(&mut state.started, true)).then_some(Input::LineStarted { line, at })
    }

    /// `play` is over, whole or cut.
    pub fn ended(&mut self, play: PlayId, completed: bool) -> Vec<Input> {
        let Some((line, chars)) = self.plays.remove(&play) else { return Vec::new() };
        let Some(state) = self.lines.get_mut(&line) else { return Vec::new() };
        state.waiting = state.waiting.saturating_sub(1);
        state.cut |= !completed;
        let mut inputs = Vec::new();
        if completed {
            // A blank stands between two clauses.
            state.heard += chars + usize::from(state.heard > 0);
            inputs.push(Input::LineHeard { line, chars: state.heard });
        }
        inputs.extend(self.over(line));
        inputs
    }

    /// Whether something is being said to `leg`.
    pub fn is_speaking(&self, leg: Leg) -> bool {
        self.lines.values().any(|line| line.leg == leg && line.started && !line.cut)
    }

    /// Speech on `leg` was stopped: what its lines still bring is not played. Lines that never began end here.
    pub fn cut(&mut self, leg: Leg) -> Vec<Input> {
        let cut: Vec<LineId> = self.lines.iter().filter(|(_, l)| l.leg == leg).map(|(id, _)| *id).collect();
        cut.into_iter()
            .filter_map(|line| {
                let state = self.lines.get_mut(&line)?;
                state.cut = true;
                self.over(line)
            })
            .collect()
    }

    fn over(&mut self, line: LineId) -> Option<Input> {
        let state = self.lines.get(&line)?;
        let over = state.waiting == 0 && (state.all_queued || state.cut);
        if !over {
            return None;
        }
        let completed = !state.cut;
        self.lines.remove(&line);
        Some(Input::LineEnded { line, completed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: LineId = LineId(7);

    #[test]
    fn a_line_of_two_clauses_starts_once_and_ends_once() {
        let mut lines = Lines::default();
        lines.ordered(LINE, Leg::Caller);
        let (_, first) = lines.clip(LINE, "Hello.").unwrap();
        let now = Instant::now();
        assert!(matches!(lines.started(first, now), Some(Input::LineStarted { line: LINE, .. })));
        assert!(
            matches!(lines.ended(first, true).as_slice(), [Input::LineHeard { chars: 6, .. }]),
            "the second clause is still to come"
        );
        let (_, second) = lines.clip(LINE, "Hello.").unwrap();
        assert!(lines.started(second, now).is_none());
        assert!(lines.all_queued(LINE).is_none());
        assert!(matches!(
            lines.ended(second, true).as_slice(),
            [Input::LineHeard { chars: 13, .. }, Input::LineEnded { line: LINE, completed: true }]
        ));
    }

    #[test]
    fn a_cut_line_takes_no_more_clips() {
        let mut lines = Lines::default();
        lines.ordered(LINE, Leg::Caller);
        let (_, first) = lines.clip(LINE, "Hello.").unwrap();
        assert!(lines.cut(Leg::Agent).is_empty());
        assert!(lines.cut(Leg::Caller).is_empty(), "its first clause has yet to stop");
        assert!(lines.clip(LINE, "Hello.").is_none());
        assert!(matches!(lines.ended(first, false).as_slice(), [Input::LineEnded { completed: false, .. }]));
    }

    #[test]
    fn a_line_cut_before_its_first_clip_ends_at_once() {
        let mut lines = Lines::default();
        lines.ordered(LINE, Leg::Caller);
        assert!(matches!(lines.cut(Leg::Caller).as_slice(), [Input::LineEnded { completed: false, .. }]));
        assert!(lines.clip(LINE, "Hello.").is_none());
    }
}
