//! Which SIP legs a call had, so that its messages can be drawn while it lives and for a while after.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use baton_sip::LegId;

/// Calls kept; the SIP endpoint keeps no more messages than of so many legs.
const CALLS: usize = 2_000;

/// The legs of the calls of late, the oldest call first.
#[derive(Debug, Default)]
pub struct Traces(Mutex<VecDeque<(String, Vec<LegId>)>>);

impl Traces {
    /// This leg is one of that call's.
    pub fn note(&self, call_id: &str, leg: LegId) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match calls.iter_mut().rev().find(|(id, _)| id == call_id) {
            Some((_, legs)) => legs.push(leg),
            None => calls.push_back((call_id.to_owned(), vec![leg])),
        }
        while calls.len() > CALLS {
            calls.pop_front();
        }
    }

    /// The call's legs in the order in which they came; `None` for a call that is not known, or not any more.
    pub fn legs(&self, call_id: &str) -> Option<Vec<LegId>> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().rev().find(|(id, _)| id == call_id).map(|(_, legs)| legs.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_calls_are_kept_with_all_their_legs() {
        let traces = Traces::default();
        for n in 0..=CALLS as u64 {
            traces.note(&n.to_string(), LegId(n));
        }
        traces.note("7", LegId(70_000));
        assert_eq!(traces.legs("7"), Some(vec![LegId(7), LegId(70_000)]));
        assert_eq!(traces.legs("0"), None, "the oldest made way");
        assert_eq!(traces.legs("never"), None);
    }
}
