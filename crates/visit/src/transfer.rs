//! The transfer: case, agent, briefing, acceptance. It decides only what it knows: where it stands with the CRM and with the
//! agents. Legs, timers and the record are the call's.

use baton_intake::{IfLate, TriggerName};

/// Where the transfer stands with the CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Asked for, not acknowledged.
    Asked,
    /// The CRM has it.
    Acknowledged,
    /// The policy decided to go on without.
    Proceeded,
}

/// Where it stands with an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AgentStep {
    /// Looking for one.
    Wanted,
    /// Promised; the phone does not ring before the case is settled.
    Promised(String),
    /// The phone was called.
    Ringing(String),
    /// Picked up; hears the briefing.
    Briefing(String),
}

impl AgentStep {
    /// Who is promised to this call.
    pub(crate) fn extension(&self) -> Option<&str> {
        match self {
            Self::Wanted => None,
            Self::Promised(e) | Self::Ringing(e) | Self::Briefing(e) => Some(e),
        }
    }
}

/// What the transfer wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing yet.
    Wait,
    /// Ring this phone.
    Ring(String),
    /// It has failed.
    GiveBack,
}

/// One escalation of one call.
#[derive(Debug, Clone)]
pub struct Transfer {
    pub(crate) trigger: TriggerName,
    pub(crate) queue: String,
    pub(crate) case: Case,
    pub(crate) agent: AgentStep,
    /// Who did not take it.
    pub(crate) declined: Vec<String>,
    /// How many spoken words the waiting caller has heard.
    pub(crate) news: usize,
    if_late: IfLate,
}

impl Transfer {
    pub(crate) fn new(trigger: TriggerName, queue: String, if_late: IfLate) -> Self {
        Self { trigger, queue, case: Case::Asked, agent: AgentStep::Wanted, declined: Vec::new(), news: 0, if_late }
    }

    /// The CRM has the case.
    pub(crate) fn acknowledged(&mut self) -> Step {
        if self.case == Case::Asked {
            self.case = Case::Acknowledged;
        }
        self.ready()
    }

    /// The CRM is late, or has given up: the policy decides.
    pub(crate) fn late(&mut self) -> Step {
        match (self.case, self.if_late) {
            (Case::Asked, IfLate::Proceed) => {
                self.case = Case::Proceeded;
                self.ready()
            }
            (Case::Asked, IfLate::Wait) => Step::GiveBack,
            _ => Step::Wait,
        }
    }

    /// An agent is promised.
    pub(crate) fn offered(&mut self, extension: String) -> Step {
        self.agent = AgentStep::Promised(extension);
        self.ready()
    }

    /// The agent in hand did not take the call: on to the next.
    pub(crate) fn passed_over(&mut self) -> Option<String> {
        let extension = self.agent.extension().map(str::to_owned)?;
        self.declined.push(extension.clone());
        self.agent = AgentStep::Wanted;
        Some(extension)
    }

    fn ready(&mut self) -> Step {
        match (&self.agent, self.case) {
            (AgentStep::Promised(extension), Case::Acknowledged | Case::Proceeded) => {
                let extension = extension.clone();
                self.agent = AgentStep::Ringing(extension.clone());
                Step::Ring(extension)
            }
            _ => Step::Wait,
        }
    }
}
