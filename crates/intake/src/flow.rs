//! A compiled flow: every reference resolved, every phrase and pattern parsed. Made by [`crate::compile`] alone, and never
//! changed afterwards; a call keeps the flow it began with.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use crate::api::TriggerName;
use crate::meaning::Learnt;
use crate::raw;
pub use crate::raw::IfLate;
use crate::raw::{Around, Confirm, SlotKind};
use crate::template::Template;
use crate::understand::codes::Pattern;
use crate::understand::phrase::Phrase;
use crate::when::When;

/// One conversation's design, compiled.
#[derive(Debug)]
pub struct Flow {
    pub(crate) name: String,
    pub(crate) company: String,
    pub(crate) greeting: String,
    pub(crate) opening: String,
    pub(crate) voice: String,
    pub(crate) language: String,
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
    pub(crate) transfer: TransferRules,
    pub(crate) dispositions: Dispositions,
    pub(crate) identity: IdentityRules,
    pub(crate) tone: raw::Tone,
    pub(crate) meaning: raw::Meaning,
    /// Set once, after compiling: what the intents' examples mean.
    pub(crate) learnt: OnceLock<Learnt>,
}

/// Who is told what.
#[derive(Debug)]
pub(crate) struct IdentityRules {
    /// The contact's name may be said to whoever calls.
    pub reveal_name: bool,
    /// The state of what a caller has the number of may be told before they are identified.
    pub reveal_status: bool,
    pub third_party: raw::ThirdPartyRule,
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
    pub confirm: Confirm,
    pub tries: usize,
    pub examples: Vec<String>,
    pub options: Vec<(String, Vec<Phrase>)>,
    pub keys: BTreeMap<char, String>,
    pub around: Around,
    pub must_match: Option<String>,
}

/// Something a caller may want.
#[derive(Debug)]
pub(crate) struct Intent {
    pub name: String,
    pub label: String,
    pub phrases: Vec<Phrase>,
    pub examples: Vec<String>,
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
    /// Look something else up and tell where it stands. `by`: the slot with its number.
    Lookup { record: String, by: Option<String> },
    /// Call a web hook, then say so.
    Webhook { name: String, done: Template },
    /// Take the request down; the text says so.
    TakeRequest(Template),
    /// Bring in a person at once.
    Trigger(TriggerName),
}

/// When and how a person is called.
#[derive(Debug)]
pub(crate) struct Trigger {
    pub phrases: Vec<Phrase>,
    pub examples: Vec<String>,
    /// Slot and limit in cents.
    pub over: Option<(String, u64)>,
    pub disposition: String,
    pub briefing: String,
    pub template: Template,
    pub queue: String,
    pub requires: Vec<String>,
    pub say: Option<String>,
    pub when: Option<When>,
    pub after: Option<usize>,
    pub priority: u8,
    pub missing: raw::Missing,
}

impl Flow {
    /// The flow's name in the config.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// From where on (0 to 1) frustration is answered: gently, with the offer of a person, with a person.
    pub fn tone_steps(&self) -> [f32; 3] {
        [self.tone.soften, self.tone.offer, self.tone.transfer]
    }

    /// Whether how callers sound and complain is weighed at all.
    pub fn weighs_tone(&self) -> bool {
        self.tone.enabled
    }

    /// Whether it has a slot of this name that is answered by yes or no.
    pub fn asks_yes_no(&self, slot: &str) -> bool {
        self.slots.iter().any(|s| s.name == slot && s.kind == SlotKind::YesNo)
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
        let mut out = vec![self.greeting.clone(), self.opening.clone(), say.connecting.clone()];
        out.extend(self.rephrase.iter().chain(&self.no_input).chain(&say.hold_news).cloned());
        out.extend(self.slots.iter().flat_map(|s| s.ask.iter().chain([&s.ask_short])).cloned());
        out.extend(self.intents.iter().filter_map(|i| i.acknowledge.clone()));
        out.extend(self.triggers.values().filter_map(|t| t.say.clone()));
        let fixed = [
            &say.identity_no,
            &say.holder_name,
            &say.soften,
            &say.offer_person,
            &say.wait,
            &say.person_coming,
            &say.added,
            &say.looking,
            &say.lookup_failed,
            &say.helped,
            &say.not_helped,
            &say.anything_else,
            &say.goodbye,
            &say.nobody_free,
            &say.callback_offer,
            &say.callback_ask,
            &say.callback_none,
            &say.agent_help,
            &say.speech_down,
            &say.use_keys,
        ];
        out.extend(fixed.into_iter().cloned());
        let mut seen = std::collections::BTreeSet::new();
        out.retain(|line| !line.is_empty() && !line.contains('{') && seen.insert(line.clone()));
        out
    }

    /// A line of the call machine's own, in its `nth` wording (they are used in turn).
    pub fn line(&self, line: Line, nth: usize) -> String {
        let say = &self.say;
        match line {
            Line::Connecting => say.connecting.clone(),
            Line::HoldNews => {
                say.hold_news.get(nth.checked_rem(say.hold_news.len()).unwrap_or(0)).cloned().unwrap_or_default()
            }
            Line::Goodbye => say.goodbye.clone(),
            Line::AgentHelp => say.agent_help.clone(),
            Line::SpeechDown => say.speech_down.clone(),
            Line::UseKeys => say.use_keys.clone(),
        }
    }

    /// Name of the voice that speaks; empty: the usual one.
    pub fn voice(&self) -> &str {
        &self.voice
    }

    /// What callers speak, as a two-letter code (ISO 639-1).
    pub fn language(&self) -> &str {
        &self.language
    }

    /// How an agent is reached.
    pub fn transfer(&self) -> TransferRules {
        self.transfer
    }

    /// Disposition of a call whose caller left before anything was settled.
    pub fn abandoned(&self) -> &str {
        &self.dispositions.abandoned
    }

    /// Disposition of a call that ended with a promised callback.
    pub fn callback(&self) -> &str {
        &self.dispositions.callback
    }

    /// Disposition and queue of a trigger. One that the flow does not define goes where `system_fault` goes.
    pub fn escalation(&self, trigger: TriggerName) -> (String, String) {
        let known = self.triggers.get(&trigger).or_else(|| self.triggers.get(&TriggerName::SystemFault));
        known.map_or_else(Default::default, |t| (t.disposition.clone(), t.queue.clone()))
    }

    /// How urgent a trigger is: 0 to 9, higher first.
    pub fn priority(&self, trigger: TriggerName) -> u8 {
        self.triggers.get(&trigger).map_or(5, |t| t.priority)
    }

    /// What the ear should expect: products, places, examples of what is asked for.
    pub(crate) fn vocabulary(&self) -> impl Iterator<Item = &String> {
        self.vocabulary.iter()
    }

    pub(crate) fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|s| s.name == name)
    }

    pub(crate) fn slot_of(&self, kind: SlotKind) -> Option<&Slot> {
        self.slots.iter().find(|s| s.kind == kind)
    }
}

/// What the call machine says by itself, rather than the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// To the caller before a transfer. Never interrupted.
    Connecting,
    /// To a waiting caller, every so often.
    HoldNews,
    /// The very end.
    Goodbye,
    /// To the agent, after the briefing: which keys do what.
    AgentHelp,
    /// To the caller, when the assistant cannot hear or speak.
    SpeechDown,
    /// To the caller, when the assistant has no time to hear what is said.
    UseKeys,
}

/// How an agent is reached and when the two are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferRules {
    /// How long one agent's phone rings.
    pub ring_timeout: Duration,
    /// How long the CRM may take to acknowledge before `if_late` decides.
    pub crm_wait: Duration,
    /// What happens then.
    pub if_late: IfLate,
    /// Whether the end of the briefing accepts the call.
    pub accept_on_briefing_end: bool,
    /// How often a waiting caller is told that it goes on.
    pub news_every: Duration,
}

/// Codes for calls that end without a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dispositions {
    pub solved: String,
    pub nothing_done: String,
    pub callback: String,
    pub unreached: String,
    pub abandoned: String,
}
