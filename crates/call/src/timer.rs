//! Every deadline of a call, by name. A deadline that was moved or dropped does not fire: the driver may report one late, or
//! twice, and nothing comes of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The call's timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The caller's ACK has not come.
    Confirm,
    /// The caller says nothing. Runs from the end of our line.
    NoInput,
    /// The caller began to speak, and no words come of it.
    Utterance,
    /// What is being said to the caller has no end.
    LineCeiling,
    /// Something done for the assistant takes too long.
    ActionBudget,
    /// The CRM has not acknowledged the case.
    CrmWait,
    /// Nobody says whether there is an agent.
    AgentSearch,
    /// In line, and nobody says any more whether there will be an agent.
    QueueCeiling,
    /// The agent's phone rings.
    AgentRing,
    /// The briefing has no end.
    BriefingCeiling,
    /// The agent has heard the briefing and decides nothing.
    AgentLinger,
    /// What speaks on the agent's leg has spoken for so long that it is a machine.
    AgentMonologue,
    /// Caller and agent are told of each other, without an end.
    Introduction,
    /// A caller who is called back does not answer.
    CallerRing,
    /// A third party does not answer.
    ThirdRing,
    /// The agent has pressed some keys, and no more.
    FeatureKeys,
    /// A spoken word for who waits.
    HoldNews,
    /// The legs are gone; their figures and the CRM's answer are waited for.
    FinalSave,
    /// No call lasts longer.
    CallCeiling,
}

/// The SIP room gives up an unacknowledged 2xx after 64·T1 = 32 s (RFC 3261 §13.3.1.4); this is the net below it.
pub(crate) const CONFIRM: Duration = Duration::from_secs(40);
/// Longer than any one utterance that speech-to-text takes in one piece.
pub(crate) const UTTERANCE: Duration = Duration::from_secs(40);
/// How long the assistant's own actions may take, while the caller hears "one moment".
pub(crate) const ACTION_BUDGET: Duration = Duration::from_secs(5);
/// The pool answers at once; this is the net below it.
pub(crate) const AGENT_SEARCH: Duration = Duration::from_secs(5);
/// The desk sends on or gives back who waits too long; this is the net below it.
pub(crate) const QUEUE_CEILING: Duration = Duration::from_secs(3_600);
/// Of the agent's leg, in which a monologue counts.
pub(crate) const MONOLOGUE_WINDOW: Duration = Duration::from_secs(10);
/// Between two words of a monologue.
pub(crate) const MONOLOGUE_GAP: Duration = Duration::from_millis(800);
/// An introduction is one sentence.
pub(crate) const INTRODUCTION: Duration = Duration::from_secs(15);
/// Between two keys of an agent's code or number.
pub(crate) const FEATURE_KEYS: Duration = Duration::from_secs(4);
/// From the end of the caller's speech to its words.
pub(crate) const DECODING: Duration = Duration::from_secs(6);
/// A briefing is 20 s at most.
pub(crate) const BRIEFING_CEILING: Duration = Duration::from_secs(45);
/// How long an agent may hesitate once the briefing was heard: time to hear which keys there are, and to press one.
pub(crate) const AGENT_LINGER: Duration = Duration::from_secs(20);
/// How long a finished call waits for its last figures.
pub(crate) const FINAL_SAVE: Duration = Duration::from_secs(1);
/// Four hours.
pub(crate) const CALL_CEILING: Duration = Duration::from_secs(4 * 3_600);

/// The longest that saying `chars` characters may take: half the pace of a slow telephone voice, and time to synthesize.
pub(crate) fn line_ceiling(chars: usize) -> Duration {
    Duration::from_secs(15) + Duration::from_millis(150) * u32::try_from(chars).unwrap_or(u32::MAX / 1_000)
}

/// What runs now.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeMap<Timer, Instant>);

impl Timers {
    pub fn set(&mut self, timer: Timer, at: Instant) {
        self.0.insert(timer, at);
    }

    pub fn stop(&mut self, timer: Timer) {
        self.0.remove(&timer);
    }

    pub fn stop_all(&mut self) {
        self.0.clear();
    }

    pub fn next(&self) -> Option<(Instant, Timer)> {
        self.0.iter().map(|(timer, at)| (*at, *timer)).min()
    }

    /// Takes the timer, if it is due.
    pub fn fire(&mut self, timer: Timer, now: Instant) -> bool {
        let due = self.0.get(&timer).is_some_and(|at| *at <= now);
        if due {
            self.0.remove(&timer);
        }
        due
    }
}
