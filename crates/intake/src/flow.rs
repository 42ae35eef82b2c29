//! A compiled flow: every reference resolved, every phrase and pattern parsed. Made by [`crate::compile`] alone, and never
//! changed afterwards; a call keeps the flow it began with.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::TriggerName;
use crate::raw;
use crate::raw::SlotKind;
use crate::template::Template;
use crate::understand::codes::Pattern;
use crate::understand::phrase::Phrase;

/// One conversation's design, compiled.
#[derive(Debug)]
pub struct Flow {
    pub(crate) name: String,
    pub(crate) company: String,
    pub(crate) greeting: String,
    pub(crate) opening: String,
    pub(crate) rephrase: Vec<String>,
    pub(crate) no_input: Vec<String>,
    pub(crate) patience: Duration,
    pub(crate) confirm_below: f32,
    pub(crate) vocabulary: Vec<String>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) triggers: BTreeMap<TriggerName, Trigger>,
    /// What the conversation itself says.
    pub(crate) say: raw::Lines,
    pub(crate) lines: Lines,
    pub(crate) transfer: TransferRules,
    pub(crate) dispositions: Dispositions,
}

/// Something to be collected.
#[derive(Debug)]
pub(crate) struct Slot {
    pub name: String,
    pub kind: SlotKind,
    pub ask: Vec<String>,
    pub ask_short: String,
    pub label: String,
    pub patterns: Vec<Pattern>,
}

/// Something a caller may want.
#[derive(Debug)]
pub(crate) struct Intent {
    pub name: String,
    pub label: String,
    pub phrases: Vec<Phrase>,
    pub priority: usize,
    pub needs: Vec<String>,
    pub does: Does,
    pub acknowledge: Option<String>,
    pub solved: String,
}

/// What an intent leads to.
#[derive(Debug)]
pub(crate) enum Does {
    /// Look the order up and tell its status.
    OrderStatus,
    /// Take the request down; the text says so.
    TakeRequest(Template),
    /// Bring in a person at once.
    Trigger(TriggerName),
}

/// When and how a person is called.
#[derive(Debug)]
pub(crate) struct Trigger {
    pub phrases: Vec<Phrase>,
    /// Slot and limit in cents.
    pub over: Option<(String, u64)>,
    pub disposition: String,
    pub briefing: String,
    pub template: Template,
    pub queue: String,
    pub requires: Vec<String>,
    pub say: Option<String>,
}

impl Flow {
    /// The flow's name in the config.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The firm's name.
    pub fn company(&self) -> &str {
        &self.company
    }

    /// Said on answering.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Every line that is the same in each call, to be synthesized ahead. The first ones are said first.
    pub fn prompts(&self) -> Vec<String> {
        let say = &self.say;
        let mut out = vec![self.greeting.clone(), self.opening.clone(), self.lines.connecting.clone()];
        out.extend(self.rephrase.iter().chain(&self.no_input).chain(&self.lines.hold_news).cloned());
        out.extend(self.slots.iter().flat_map(|s| s.ask.iter().chain([&s.ask_short])).cloned());
        out.extend(self.intents.iter().filter_map(|i| i.acknowledge.clone()));
        out.extend(self.triggers.values().filter_map(|t| t.say.clone()));
        let fixed = [
            &say.identity_no,
            &say.holder_name,
            &say.wait,
            &say.person_coming,
            &say.looking,
            &say.lookup_failed,
            &say.helped,
            &say.not_helped,
            &say.anything_else,
            &say.goodbye,
            &say.nobody_free,
            &say.transfer_failed,
            &say.callback_offer,
            &say.callback_ask,
            &say.callback_none,
            &self.lines.agent_keys,
            &self.lines.agent_caller_gone,
            &self.lines.fault,
        ];
        out.extend(fixed.into_iter().cloned());
        let mut seen = std::collections::BTreeSet::new();
        out.retain(|line| !line.is_empty() && !line.contains('{') && seen.insert(line.clone()));
        out
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

    pub(crate) fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|s| s.name == name)
    }

    pub(crate) fn slot_of(&self, kind: SlotKind) -> Option<&Slot> {
        self.slots.iter().find(|s| s.kind == kind)
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
