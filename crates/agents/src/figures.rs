//! What supervisors count: how callers fared in each queue, and what each agent did. Pure counters; whoever shows them
//! divides.
//!
//! Every visit to a queue is counted when it begins, and once more under how it ended:
//! `offered + overflowed_in = answered + abandoned + given_back + callbacks + overflowed_out + waiting`.
//! A callback that is made counts beside that, under `called_back`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// One queue's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct QueueFigures {
    /// Callers who came.
    pub offered: u64,
    /// Callers who came from a queue that could not serve them.
    pub overflowed_in: u64,
    /// Joined with an agent.
    pub answered: u64,
    /// Joined within the queue's service level.
    pub answered_in_time: u64,
    /// Hung up before.
    pub abandoned: u64,
    /// Hung up within the service level; usually left out of the reckoning, for they gave nobody a chance.
    pub abandoned_in_time: u64,
    /// Went back to the assistant.
    pub given_back: u64,
    /// Were promised a call.
    pub callbacks: u64,
    /// Were called back and joined with an agent.
    pub called_back: u64,
    /// Went on to another queue.
    pub overflowed_out: u64,
    /// Are waiting, or being served, now.
    pub waiting: u64,
    /// Sum of what the answered waited.
    pub wait: Duration,
    /// Sum of what the abandoned waited.
    pub abandoned_wait: Duration,
    /// The longest that an answered caller waited.
    pub longest_wait: Duration,
}

impl QueueFigures {
    /// Part of the callers, 0 to 1, who were answered in time; those who left at once are left out. `None`: there were none.
    pub fn service_level(&self) -> Option<f64> {
        let of = (self.answered + self.abandoned).checked_sub(self.abandoned_in_time).filter(|of| *of > 0)?;
        Some(self.answered_in_time as f64 / of as f64)
    }

    /// Average speed of answer. `None`: nobody was answered.
    pub fn average_wait(&self) -> Option<Duration> {
        let answered = u32::try_from(self.answered).ok().filter(|n| *n > 0)?;
        Some(self.wait / answered)
    }
}

/// One agent's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AgentFigures {
    /// Calls promised.
    pub promised: u64,
    /// Calls taken.
    pub handled: u64,
    /// Calls refused.
    pub declined: u64,
    /// Calls that rang out.
    pub missed: u64,
    /// Sum of the time with callers.
    pub talk: Duration,
}

/// Everybody's, since the gateway began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// By queue.
    pub queues: BTreeMap<String, QueueFigures>,
    /// By extension.
    pub agents: BTreeMap<String, AgentFigures>,
}

/// How a visit to a queue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Abandoned,
    GivenBack,
    Callback,
    Overflowed,
}

impl Figures {
    pub(crate) fn queue(&mut self, name: &str) -> &mut QueueFigures {
        self.queues.entry(name.to_owned()).or_default()
    }

    pub(crate) fn agent(&mut self, extension: &str) -> &mut AgentFigures {
        self.agents.entry(extension.to_owned()).or_default()
    }

    pub(crate) fn left(&mut self, queue: &str, outcome: Outcome, waited: Duration, service_level: Duration) {
        let in_time = u64::from(waited <= service_level);
        let figures = self.queue(queue);
        figures.waiting = figures.waiting.saturating_sub(1);
        match outcome {
            Outcome::Answered => {
                figures.answered += 1;
                figures.answered_in_time += in_time;
                figures.wait += waited;
                figures.longest_wait = figures.longest_wait.max(waited);
            }
            Outcome::Abandoned => {
                figures.abandoned += 1;
                figures.abandoned_in_time += in_time;
                figures.abandoned_wait += waited;
            }
            Outcome::GivenBack => figures.given_back += 1,
            Outcome::Callback => figures.callbacks += 1,
            Outcome::Overflowed => figures.overflowed_out += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_leave_out_who_left_at_once_and_divide_by_nobody() {
        let s = Duration::from_secs;
        let mut figures = Figures::default();
        assert_eq!(figures.queue("q").service_level(), None);
        assert_eq!(figures.queue("q").average_wait(), None);
        for (outcome, waited) in [
            (Outcome::Answered, 10),
            (Outcome::Answered, 30),
            (Outcome::Abandoned, 5),
            (Outcome::Abandoned, 90),
            (Outcome::GivenBack, 60),
        ] {
            figures.left("q", outcome, s(waited), s(20));
        }
        let q = &figures.queues["q"];
        assert_eq!(q.service_level(), Some(1.0 / 3.0));
        assert_eq!((q.average_wait(), q.longest_wait), (Some(s(20)), s(30)));
    }
}
