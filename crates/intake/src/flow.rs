//! A compiled flow: every reference resolved, every phrase and pattern parsed. Made by [`crate::compile`] alone, and never
//! changed afterwards; a call keeps the flow it began with.

use std::time::Duration;

/// One conversation's design, compiled.
#[derive(Debug)]
pub struct Flow {
    pub(crate) name: String,
    pub(crate) greeting: String,
    pub(crate) lines: Lines,
    pub(crate) transfer: TransferRules,
    pub(crate) dispositions: Dispositions,
}

impl Flow {
    /// The flow's name in the config.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Said on answering.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Every line that is the same in each call, to be synthesized ahead.
    pub fn prompts(&self) -> Vec<String> {
        Vec::new()
    }

    /// The lines said around a transfer.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// How a transfer goes.
    pub fn transfer(&self) -> &TransferRules {
        &self.transfer
    }

    /// Codes for calls that end without a person.
    pub fn dispositions(&self) -> &Dispositions {
        &self.dispositions
    }
}

/// Lines for the call machine; those of the conversation itself are said by [`crate::Intake`].
#[derive(Debug, Clone)]
pub struct Lines {
    /// To the caller before a transfer, uninterruptible.
    pub connecting: String,
    /// To the waiting caller, in turn; never empty.
    pub hold_news: Vec<String>,
    /// To the agent, after the briefing: which keys do what.
    pub agent_keys: String,
    /// To the agent, when the caller has gone.
    pub agent_caller_gone: String,
    /// To the caller, when the assistant cannot hear or speak.
    pub fault: String,
    /// Last words to the caller.
    pub goodbye: String,
}

/// How a transfer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferRules {
    /// How long one agent's phone rings.
    pub ring_timeout: Duration,
    /// How long agents are looked for in all.
    pub give_up: Duration,
    /// How often the waiting caller hears news.
    pub news_every: Duration,
    /// Whether the end of the briefing counts as accepting.
    pub accept_on_briefing_end: bool,
    /// What to do while the CRM has not acknowledged the case.
    pub crm_policy: CrmPolicy,
}

/// What to do while the CRM has not acknowledged the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrmPolicy {
    /// No agent is rung before the acknowledgement; without one, the transfer fails.
    Wait {
        /// How long to wait.
        at_most: Duration,
    },
    /// The agent is rung all the same, the record says so, and so does the briefing.
    ProceedAndFlag {
        /// How long to wait first.
        after: Duration,
    },
}

/// Codes for calls that end without a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispositions {
    /// The caller says that it is solved.
    pub solved: String,
    /// The caller wanted nothing more, and nothing was done.
    pub nothing_done: String,
    /// Nobody was free; a number to call back was taken.
    pub callback: String,
    /// Nobody was free, and no number was had.
    pub unreached: String,
    /// The caller hung up before an outcome.
    pub abandoned: String,
}
