//! Flows as they are written in TOML. Only shapes; what they mean and whether they fit together is for [`crate::compile`].

use std::collections::BTreeMap;

use serde::Deserialize;

/// The three tables that make flows.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flows {
    /// `[flow.NAME]`
    pub flow: BTreeMap<String, Flow>,
    /// `[[trigger]]`
    pub trigger: Vec<Trigger>,
    /// `[briefing.NAME]`
    pub briefing: BTreeMap<String, Briefing>,
}

/// `[flow.NAME]`: one conversation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Said in the greeting and known to speech-to-text.
    pub company: String,
    /// First words. Say that it is an assistant and that the call may be transcribed.
    pub greeting: String,
    /// Everything else the assistant says, by name. A line may have several wordings, used in turn.
    pub lines: BTreeMap<String, Vec<String>>,
    /// What is collected.
    #[serde(default)]
    pub slot: Vec<Slot>,
    /// What callers come with.
    #[serde(default)]
    pub intent: Vec<Intent>,
    /// A disputed amount above this (in the currency's main unit) goes to a person.
    pub amount_limit: f64,
    /// Disposition of a call the assistant solved.
    pub solved: String,
    /// Disposition of a call whose caller left before anything was settled.
    pub abandoned: String,
    /// Disposition of a call that ended with a promised callback.
    pub callback: String,
    /// Words at which a person is called at once, whatever is missing.
    #[serde(default)]
    pub distress: Vec<String>,
    /// How the agent is reached.
    #[serde(default)]
    pub transfer: Transfer,
}

/// `[[flow.NAME.slot]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The slot's name: in templates, in `requires`, in the record.
    pub name: String,
    /// What kind of value it takes.
    pub kind: SlotKind,
    /// The question, in several wordings.
    pub ask: Vec<String>,
    /// For `order`: the number's form, `A` a letter, `0` a digit, e.g. `A-0000`.
    pub form: Option<String>,
    /// For `order`: letters to assume when the caller says only the digits.
    pub assume: Option<String>,
}

/// The kinds of slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotKind {
    /// A person's name.
    Name,
    /// What the call is about, in the caller's words.
    Reason,
    /// An order or policy number.
    Order,
    /// Money.
    Amount,
    /// A number to call back.
    Phone,
}

/// `[[flow.NAME.intent]]`: something callers come with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Its name, in the record and the summary.
    pub name: String,
    /// Words or phrases that show it. A `*` at a word's end stands for any ending.
    pub phrases: Vec<String>,
    /// What the assistant can do about it. Without one, only a person can help.
    pub action: Option<ActionKind>,
    /// Slots needed before the action, or before a person takes over.
    #[serde(default)]
    pub needs: Vec<String>,
    /// For `log_request`: what is said when the request is noted.
    pub done: Option<String>,
}

/// What the assistant can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Look the order up and read its status out, once the caller's identity is known.
    OrderStatus,
    /// Note the request in the case.
    LogRequest,
}

/// `[flow.NAME.transfer]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transfer {
    /// How long one agent's phone rings.
    pub ring_s: u64,
    /// How long the CRM may take to acknowledge the case before `if_late` decides.
    pub crm_wait_ms: u64,
    /// What then.
    pub if_late: IfLate,
    /// Whether the end of the briefing accepts the call.
    pub accept_on_briefing_end: bool,
    /// How often a waiting caller is told that it goes on.
    pub news_every_s: u64,
}

impl Default for Transfer {
    fn default() -> Self {
        Self { ring_s: 20, crm_wait_ms: 3_000, if_late: IfLate::Proceed, accept_on_briefing_end: true, news_every_s: 15 }
    }
}

/// The record-first policy when the CRM is late or fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IfLate {
    /// Join all the same; the record and the briefing say that the case is late.
    Proceed,
    /// Do not join: the caller is given back to the assistant.
    Wait,
}

/// `[[trigger]]`: when a person is called, and what goes with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Which trigger.
    pub name: String,
    /// The business outcome's code.
    pub disposition: Option<String>,
    /// The briefing template's name.
    pub briefing: Option<String>,
    /// Who takes it.
    pub queue: Option<String>,
    /// Why it is escalated, said to the agent.
    pub why: String,
    /// Slots asked for once before the transfer, if still missing.
    #[serde(default)]
    pub requires: Vec<String>,
}

/// `[briefing.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Briefing {
    /// What the agent hears. `{slot}` is filled; a part in `[…]` is left out when one of its slots is empty.
    pub template: String,
}
