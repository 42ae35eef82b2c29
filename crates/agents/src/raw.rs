//! `[[queue]]` and the agents' part of `[[extension]]` as they are written in the config. Durations are in seconds there.
//! Whoever reads the file knows lines and other tables; here is only what one queue says of itself.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use crate::hours::Hours;
use crate::plan::{AgentPlan, Member, QueuePlan, Strategy};

/// `[[queue]]`. What is left out is as in [`QueuePlan::new`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// `"1001"`, or `{ extension = "1002", tier = 1 }`.
    pub agents: Vec<Place>,
    /// `longest_idle`, `round_robin`, `fewest_calls`, `ring_all`.
    #[serde(default)]
    pub strategy: Strategy,
    /// An agent's time after a call.
    pub wrap_up_s: Option<f64>,
    /// The longest that a caller waits.
    pub max_wait_s: Option<f64>,
    /// No more than so many wait.
    pub max_waiting: Option<usize>,
    /// So many agents are rung for one caller.
    pub max_tries: Option<usize>,
    /// The queue for callers whom this one cannot serve.
    pub overflow: Option<String>,
    /// `mon-fri 09:00-17:30`; none: always.
    #[serde(default)]
    pub open: Vec<String>,
    /// `2026-12-25`
    #[serde(default)]
    pub closed: Vec<String>,
    /// For so long a caller waits when the last agent has gone.
    pub empty_grace_s: Option<f64>,
    /// After so many missed calls in a row an agent is paused.
    pub pause_after_missed: Option<u32>,
    /// Whether skills are a condition, or a wish.
    pub strict_skills: Option<bool>,
    /// An answer within this counts for the service level.
    pub service_level_s: Option<f64>,
    /// How long a call keeps an agent, until there are calls to learn it from.
    pub talk_estimate_s: Option<f64>,
}

/// An agent's place in a queue.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// In the first tier.
    First(String),
    /// In another.
    Tier {
        /// Who.
        extension: String,
        /// Lower ones are rung first.
        #[serde(default)]
        tier: u8,
    },
}

/// What an agent's own table says beyond number and password. An agent whose number is not registered here is reached by it
/// elsewhere: behind a PBX trunk, outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentKeys {
    /// What the agent can do.
    pub skills: BTreeSet<String>,
    /// Joined only by a key; as a rule, whoever does not register here.
    pub must_accept: Option<bool>,
}

/// A key of a queue that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadQueue {
    /// Which.
    pub key: &'static str,
    /// Why, with what would do.
    pub why: String,
}

impl std::fmt::Display for BadQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.key, self.why)
    }
}

impl std::error::Error for BadQueue {}

impl Queue {
    /// Who serves it, in its order.
    pub fn extensions(&self) -> impl Iterator<Item = &str> {
        self.agents.iter().map(|place| match place {
            Place::First(extension) | Place::Tier { extension, .. } => extension.as_str(),
        })
    }

    /// The queue.
    ///
    /// # Errors
    /// The first key that cannot be taken.
    pub fn plan(&self) -> Result<QueuePlan, BadQueue> {
        let bad = |key, why: &str| BadQueue { key, why: why.to_owned() };
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.extensions().find(|e| !seen.insert(*e)) {
            return Err(bad("agents", &format!("{twice} is there twice; remove one")));
        }
        if self.overflow.as_ref() == Some(&self.name) {
            return Err(bad("overflow", "a queue cannot overflow into itself; name another, or none"));
        }
        let hours = Hours::parse(&self.open, &[]).map_err(|e| bad("open", &e.to_string()))?;
        let hours = match self.closed.is_empty() {
            true => hours,
            false => Hours::parse(&self.open, &self.closed).map_err(|e| bad("closed", &e.to_string()))?,
        };
        let member = |place: &Place| match place.clone() {
            Place::First(extension) => extension.into(),
            Place::Tier { extension, tier } => Member { extension, tier },
        };
        let usual = QueuePlan::new(&self.name, self.agents.iter().map(member));
        Ok(QueuePlan {
            strategy: self.strategy,
            wrap_up: seconds("wrap_up_s", self.wrap_up_s, usual.wrap_up)?,
            max_wait: seconds("max_wait_s", self.max_wait_s, usual.max_wait)?,
            max_waiting: self.max_waiting.unwrap_or(usual.max_waiting),
            max_tries: self.max_tries.unwrap_or(usual.max_tries).max(1),
            overflow: self.overflow.clone(),
            hours,
            empty_grace: seconds("empty_grace_s", self.empty_grace_s, usual.empty_grace)?,
            pause_after_missed: self.pause_after_missed.unwrap_or(usual.pause_after_missed),
            strict_skills: self.strict_skills.unwrap_or(usual.strict_skills),
            service_level: seconds("service_level_s", self.service_level_s, usual.service_level)?,
            talk_estimate: seconds("talk_estimate_s", self.talk_estimate_s, usual.talk_estimate)?,
            ..usual
        })
    }
}

impl AgentKeys {
    /// The agent of this number.
    pub fn plan(&self, extension: &str, registers: bool) -> AgentPlan {
        AgentPlan {
            extension: extension.to_owned(),
            skills: self.skills.clone(),
            registers,
            must_accept: self.must_accept.unwrap_or(!registers),
        }
    }
}

/// A day at most: who means longer means for ever, and a queue has no such thing.
fn seconds(key: &'static str, given: Option<f64>, usual: Duration) -> Result<Duration, BadQueue> {
    let Some(given) = given else { return Ok(usual) };
    let taken = Duration::try_from_secs_f64(given).ok().filter(|d| *d <= Duration::from_secs(86_400));
    taken.ok_or_else(|| BadQueue { key, why: format!("{given} is no time between 0 and 86400 seconds") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(text: &str) -> Queue {
        toml::from_str(&format!("name = \"q\"\nagents = [\"1001\", {{ extension = \"1002\", tier = 1 }}]\n{text}"))
            .unwrap()
    }

    #[test]
    fn a_queue_says_what_it_wants_and_the_rest_is_as_usual() {
        let plan = queue("").plan().unwrap();
        let usual = QueuePlan::new("q", ["1001"]);
        assert_eq!(
            (plan.max_wait, plan.wrap_up, plan.strategy),
            (usual.max_wait, usual.wrap_up, Strategy::LongestIdle)
        );
        assert_eq!(plan.members[1], Member { extension: "1002".into(), tier: 1 });
        let plan = queue("strategy = \"ring_all\"\nmax_wait_s = 90\noverflow = \"r\"\nopen = [\"mon 09:00-10:00\"]\nclosed = [\"2026-12-25\"]\nstrict_skills = false").plan().unwrap();
        assert_eq!((plan.strategy, plan.max_wait), (Strategy::RingAll, Duration::from_secs(90)));
        assert_eq!((plan.overflow.as_deref(), plan.strict_skills), (Some("r"), false));
        assert!(plan.hours.is_open("2026-11-23T09:30:00".parse().unwrap()));
    }

    #[test]
    fn what_cannot_be_taken_is_named() {
        let bad = |text: &str| queue(text).plan().unwrap_err().key;
        assert_eq!(bad("max_wait_s = -1"), "max_wait_s");
        assert_eq!(bad("wrap_up_s = 1e300"), "wrap_up_s");
        assert_eq!(bad("overflow = \"q\""), "overflow");
        assert_eq!(bad("open = [\"always\"]"), "open");
        assert_eq!(bad("closed = [\"25.12.\"]"), "closed");
        let twice: Queue = toml::from_str("name = \"q\"\nagents = [\"1\", \"1\"]").unwrap();
        assert_eq!(twice.plan().unwrap_err().key, "agents");
        assert!(toml::from_str::<Queue>("name = \"q\"\nagents = []\nmax_wiat_s = 3").is_err());
    }

    #[test]
    fn who_is_elsewhere_must_accept_unless_told_otherwise() {
        let keys = AgentKeys::default();
        assert!(!keys.plan("1001", true).must_accept && keys.plan("0301", false).must_accept);
        let sure = AgentKeys { must_accept: Some(false), ..keys };
        assert!(!sure.plan("0301", false).must_accept);
    }
}
