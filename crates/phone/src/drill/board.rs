//! What passes between the people of a drill outside the line: whose phone rings for whom, and who is joined.

use std::time::Instant;

use tokio::sync::watch;

/// How far one caller's transfer is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stage {
    /// An agent's phone has rung for this caller at least once.
    pub rang: bool,
    /// How many agent phones are at it now: ringing or listening to the briefing.
    pub busy: usize,
    /// An agent accepted.
    pub joined: Option<Instant>,
}

impl Stage {
    /// The caller hears music and says nothing.
    pub fn on_hold(&self) -> bool {
        self.busy > 0 && self.joined.is_none()
    }
}

#[derive(Clone, Debug)]
pub struct Board {
    numbers: std::sync::Arc<Vec<String>>,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    stages: Vec<Stage>,
    closed: bool,
}

impl Board {
    /// A board for callers with these numbers.
    pub fn new(numbers: Vec<String>) -> Self {
        let stages = vec![Stage::default(); numbers.len()];
        Self { numbers: numbers.into(), state: watch::Sender::new(State { stages, closed: false }) }
    }

    /// Which caller an agent's phone rings for, by the calling number it shows; the only caller when there is one.
    pub fn caller(&self, number: &str) -> Option<usize> {
        let digits = |n: &str| n.chars().filter(char::is_ascii_digit).collect::<String>();
        let found = self.numbers.iter().position(|n| !number.is_empty() && digits(n) == digits(number));
        found.or_else(|| (self.numbers.len() == 1).then_some(0))
    }

    pub fn stage(&self, caller: usize) -> Stage {
        self.state.borrow().stages.get(caller).copied().unwrap_or_default()
    }

    pub fn ringing(&self, caller: Option<usize>) {
        self.change(caller, |s| {
            s.rang = true;
            s.busy += 1;
        });
    }

    /// The agent's call is over, or was refused.
    pub fn released(&self, caller: Option<usize>) {
        self.change(caller, |s| s.busy = s.busy.saturating_sub(1));
    }

    pub fn joined(&self, caller: Option<usize>, at: Instant) {
        self.change(caller, |s| s.joined = s.joined.or(Some(at)));
    }

    /// No more calls: agents may go.
    pub fn close(&self) {
        self.state.send_modify(|s| s.closed = true);
    }

    pub async fn closed(&self) {
        let mut watch = self.state.subscribe();
        let _ = watch.wait_for(|s| s.closed).await;
    }

    /// Waits until `test` holds for a caller's stage.
    pub async fn until(&self, caller: usize, test: impl Fn(&Stage) -> bool) {
        let mut watch = self.state.subscribe();
        let _ = watch.wait_for(|s| s.stages.get(caller).is_some_and(&test)).await;
    }

    fn change(&self, caller: Option<usize>, change: impl FnOnce(&mut Stage)) {
        self.state.send_modify(|s| {
            if let Some(stage) = caller.and_then(|c| s.stages.get_mut(c)) {
                change(stage);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_known_by_their_number() {
        let two = Board::new(vec!["+15551230001".into(), "+15551230002".into()]);
        assert_eq!(two.caller("15551230002"), Some(1));
        assert_eq!(two.caller("anonymous"), None);
        let one = Board::new(vec!["+15551230001".into()]);
        assert_eq!(one.caller("anonymous"), Some(0));
    }

    #[test]
    fn hold_lasts_while_an_agent_is_at_it() {
        let board = Board::new(vec!["1".into()]);
        assert!(!board.stage(0).on_hold());
        board.ringing(Some(0));
        assert!(board.stage(0).on_hold());
        board.released(Some(0));
        assert!(!board.stage(0).on_hold());
        board.ringing(Some(0));
        board.joined(Some(0), Instant::now());
        assert!(!board.stage(0).on_hold());
    }
}
