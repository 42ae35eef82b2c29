//! How queues and agents are set up. Plain data, from the config; nothing here changes while the gateway runs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::hours::Hours;

/// Whom of the free agents a queue rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Who has been idle longest.
    #[default]
    LongestIdle,
    /// Each in turn, in the order of the config.
    RoundRobin,
    /// Who has taken the fewest calls since the gateway began.
    FewestCalls,
    /// All at once; the first who picks up has it.
    RingAll,
}

/// One agent's place in one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub extension: String,
    /// Those of a lower tier are rung first; the next tier only when none of them is free.
    pub tier: u8,
}

impl From<String> for Member {
    fn from(extension: String) -> Self {
        Self { extension, tier: 0 }
    }
}

impl From<&str> for Member {
    fn from(extension: &str) -> Self {
        extension.to_owned().into()
    }
}

/// One queue.
#[derive(Debug, Clone)]
pub struct QueuePlan {
    /// Its name.
    pub name: String,
    /// Who serves it.
    pub members: Vec<Member>,
    /// Whom of them it rings.
    pub strategy: Strategy,
    /// An agent's time after a call.
    pub wrap_up: Duration,
    /// The longest that a caller waits here.
    pub max_wait: Duration,
    /// No more than so many wait here.
    pub max_waiting: usize,
    /// So many agents are rung for one caller; then it is enough.
    pub max_tries: usize,
    /// Where callers go whom this queue cannot serve: it is closed, full, empty, or they have waited too long.
    pub overflow: Option<String>,
    /// When it is open.
    pub hours: Hours,
    /// For so long a caller waits in a queue whose last agent has gone: phones register anew within it.
    pub empty_grace: Duration,
    /// After so many missed calls in a row an agent is paused. 0: never.
    pub pause_after_missed: u32,
    /// Whether an agent must have every skill that a caller needs, or who has them is only preferred.
    pub strict_skills: bool,
    /// An answer within this counts for the service level.
    pub service_level: Duration,
    /// How long a call keeps an agent, until there are calls to learn it from.
    pub talk_estimate: Duration,
}

impl QueuePlan {
    /// A queue of these agents, with what most queues want.
    pub fn new<M: Into<Member>>(name: &str, members: impl IntoIterator<Item = M>) -> Self {
        Self {
            name: name.to_owned(),
            members: members.into_iter().map(Into::into).collect(),
            strategy: Strategy::default(),
            wrap_up: Duration::from_secs(5),
            max_wait: Duration::from_secs(600),
            max_waiting: 100,
            max_tries: 10,
            overflow: None,
            hours: Hours::always(),
            empty_grace: Duration::from_secs(30),
            pause_after_missed: 0,
            strict_skills: true,
            service_level: Duration::from_secs(20),
            talk_estimate: Duration::from_secs(180),
        }
    }
}

/// One agent, apart from the queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPlan {
    /// The number that is rung: an extension here, one behind a PBX trunk, or an outside number.
    pub extension: String,
    /// What the agent can do.
    pub skills: BTreeSet<String>,
    /// Whether the phone registers here, and is there only then. Others are taken to be there until they sign out.
    pub registers: bool,
    /// Joined only by a key, because what picks up there may be a mailbox.
    pub must_accept: bool,
}

impl AgentPlan {
    /// An agent whose phone registers here.
    pub fn here(extension: &str) -> Self {
        Self { extension: extension.to_owned(), skills: BTreeSet::new(), registers: true, must_accept: false }
    }

    /// An agent who is reached by a number elsewhere.
    pub fn elsewhere(number: &str) -> Self {
        Self { registers: false, must_accept: true, ..Self::here(number) }
    }

    /// With these skills.
    #[must_use]
    pub fn with_skills(mut self, skills: &[&str]) -> Self {
        self.skills = skills.iter().map(|s| (*s).to_owned()).collect();
        self
    }
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The queues.
    pub queues: Vec<QueuePlan>,
    /// What is to be said of agents beyond their queues. Who is only named by a queue is [`AgentPlan::here`].
    pub agents: Vec<AgentPlan>,
}
