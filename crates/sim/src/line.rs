//! What is being said on one leg: lines in order, at the pace of a telephone voice; stopping bumps an epoch, and what
//! belongs to an older one is dropped.

use std::time::{Duration, Instant};

use baton_call::{Leg, LineId};

/// Which leg's line, and of which epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Voicing {
    pub leg: Leg,
    pub epoch: u64,
}

/// One leg's lines.
#[derive(Debug, Default)]
pub(crate) struct Voice {
    pub epoch: u64,
    busy_until: Option<Instant>,
    lines: Vec<LineId>,
}

impl Voice {
    /// Queues a line; when it begins and ends.
    pub fn say(&mut self, now: Instant, ready_ms: u64, line: LineId, chars: usize) -> (Instant, Instant) {
        let ready = now + Duration::from_millis(ready_ms);
        let start = self.busy_until.map_or(ready, |until| until.max(ready));
        let end = start + Duration::from_millis(60 * chars as u64 + 100);
        self.busy_until = Some(end);
        self.lines.push(line);
        (start, end)
    }

    /// Stops everything; the lines that are cut.
    pub fn stop(&mut self) -> Vec<LineId> {
        self.epoch += 1;
        self.busy_until = None;
        std::mem::take(&mut self.lines)
    }

    pub fn ended(&mut self, line: LineId) {
        self.lines.retain(|l| *l != line);
    }

    pub fn is_silent(&self) -> bool {
        self.lines.is_empty()
    }
}
