//! Flows as they are written in TOML: `[flow.NAME]`, `[[trigger]]`, `[briefing.NAME]`. Serde structs, unknown keys
//! refused; nothing is checked here beyond types. [`crate::compile`] does that, and names what is missing.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The tables of a config that belong to this crate.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flows {
    /// `[flow.NAME]`
    #[serde(default)]
    pub flow: BTreeMap<String, Flow>,
    /// `[[trigger]]`
    #[serde(default)]
    pub trigger: Vec<Trigger>,
    /// `[briefing.NAME]`
    #[serde(default)]
    pub briefing: BTreeMap<String, Briefing>,
}

/// `[flow.NAME]`: one conversation's design.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// The firm, as `{company}` in lines and as a hint for the ear.
    #[serde(default)]
    pub company: String,
    /// Said on answering. Must tell that an assistant speaks.
    #[serde(default)]
    pub greeting: String,
    /// The first question.
    #[serde(default)]
    pub opening: String,
    /// The voice that speaks: the name of a model among the others; without it, the usual one.
    #[serde(default)]
    pub voice: String,
    /// What callers speak, as a two-letter code (ISO 639-1). What is understood is understood in English.
    #[serde(default = "defaults::language")]
    pub language: String,
    /// Said when no intent was understood, varied by turn.
    #[serde(default)]
    pub rephrase: Vec<String>,
    /// Said after silence, varied by turn; after the last of them comes the trigger `no_input`.
    #[serde(default)]
    pub no_input: Vec<String>,
    /// Silence, in seconds, after which the caller is asked again.
    #[serde(default = "defaults::patience")]
    pub patience_s: f64,
    /// Heard with less confidence (0 to 1) than this, a number is read back and asked for.
    #[serde(default = "defaults::confirm_below")]
    pub confirm_below: f32,
    /// Words the ear should know: products, places.
    #[serde(default)]
    pub vocabulary: Vec<String>,
    /// `[[flow.NAME.slot]]`
    #[serde(default)]
    pub slot: Vec<Slot>,
    /// `[[flow.NAME.intent]]`
    #[serde(default)]
    pub intent: Vec<Intent>,
    /// `[flow.NAME.disposition]`
    #[serde(default)]
    pub disposition: Disposition,
    /// `[flow.NAME.lines]`
    #[serde(default)]
    pub lines: Lines,
    /// `[flow.NAME.transfer]`
    #[serde(default)]
    pub transfer: Transfer,
    /// `[flow.NAME.identity]`
    #[serde(default)]
    pub identity: Identity,
    /// `[flow.NAME.tone]`
    #[serde(default)]
    pub tone: Tone,
    /// `[flow.NAME.meaning]`
    #[serde(default)]
    pub meaning: Meaning,
}

/// `[flow.NAME.identity]`: who is told what.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// What of the CRM's record may be said to a caller whose identity is not confirmed: `name` (in "am I speaking with
    /// …?"), `status` (of an order or ticket whose number the caller gave).
    pub reveal: Vec<String>,
    /// What happens when the caller is not the account holder.
    pub third_party: ThirdPartyRule,
}

impl Default for Identity {
    fn default() -> Self {
        Self { reveal: vec!["name".into()], third_party: ThirdPartyRule::Transfer }
    }
}

/// What happens when the caller is not the account holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThirdPartyRule {
    /// The trigger `third_party` fires.
    Transfer,
    /// It fires unless the CRM says that this person may act for the holder.
    UnlessAuthorised,
}

/// `[flow.NAME.tone]`: what frustration leads to. It is what `crates/tone` heard, weighed with what the caller said; the
/// voice alone never calls a person.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tone {
    /// Off: neither voice nor complaints are weighed.
    pub enabled: bool,
    /// From here on (0 to 1) questions are short and an apology is made, once.
    pub soften: f32,
    /// From here on a person is offered.
    pub offer: f32,
    /// From here on a person is called, if one was offered before.
    pub transfer: f32,
    /// Turns before a declined offer is made again.
    pub cooldown: usize,
}

impl Default for Tone {
    fn default() -> Self {
        Self { enabled: true, soften: 0.4, offer: 0.6, transfer: 0.85, cooldown: 3 }
    }
}

/// `[flow.NAME.meaning]`: how near in meaning to an intent's examples an utterance must be. Used where no phrase is found,
/// and only with an embedding model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Meaning {
    /// At this similarity (cosine) the intent is taken.
    pub threshold: f32,
    /// How far the next intent must be behind.
    pub margin: f32,
    /// From here on, below the threshold or the margin, the caller is asked whether that is meant.
    pub ask: f32,
    /// At this similarity to one of its examples `distress` fires.
    pub urgent: f32,
}

impl Default for Meaning {
    fn default() -> Self {
        Self { threshold: 0.5, margin: 0.08, ask: 0.3, urgent: 0.6 }
    }
}

/// `[[flow.NAME.slot]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// As triggers, intents and templates refer to it.
    pub name: String,
    /// What sort of value.
    pub kind: SlotKind,
    /// The question, and its rewordings for further tries.
    #[serde(default)]
    pub ask: Vec<String>,
    /// A few words for when a person is on the way (`what's your order number?`).
    #[serde(default)]
    pub ask_short: Option<String>,
    /// How the value is named to an agent (`order number`); the slot's name when absent.
    #[serde(default)]
    pub label: Option<String>,
    /// How a value is confirmed; by the kind when absent.
    #[serde(default)]
    pub confirm: Option<Confirm>,
    /// How often it is asked for before it is left out; as many as there are questions when absent.
    #[serde(default)]
    pub tries: Option<usize>,
    /// What callers say for it. Each must be understood as a value, which is checked at load; the ear expects them.
    #[serde(default)]
    pub examples: Vec<String>,
    /// For `kind = "choice"`: value → what callers say for it, as phrases.
    #[serde(default)]
    pub options: BTreeMap<String, Vec<String>>,
    /// For `kind = "choice"`: key → value.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// For `kind = "date"`: which day "Friday" or "the third" means.
    #[serde(default)]
    pub around: Around,
    /// Name of an attribute on the CRM's record that the value must equal. Otherwise it is asked for again, and the
    /// caller is not taken for that person.
    #[serde(default)]
    pub must_match: Option<String>,
    /// For `kind = "number"` and `"code"`: `@` a letter, `#` a digit, letters and digits themselves; `-` and spaces only for looks.
    #[serde(default)]
    pub patterns: Vec<String>,
}

/// What sort of value a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// The caller's name.
    PersonName,
    /// Whether the caller is the account holder (`yes` or `no`). Fills `holder_name` and `relation` as well.
    AccountHolder,
    /// What the call is about, in the caller's words. Fills `topic`, the intent's label, as well.
    Reason,
    /// An order or policy number by pattern.
    Number,
    /// An amount of money.
    Money,
    /// A telephone number.
    Phone,
    /// An e-mail address.
    Email,
    /// A calendar day, as `2026-11-24`.
    Date,
    /// One of `options`.
    Choice,
    /// `yes` or `no`.
    YesNo,
    /// The caller's words, as they are.
    Text,
    /// A word, letter by letter.
    Spelled,
    /// A number by pattern that is not on the caller's list of orders: a ticket, a claim, a meter.
    Code,
}

impl SlotKind {
    /// Whether a flow may have several slots of this kind.
    pub(crate) fn is_plain(self) -> bool {
        use SlotKind::{Choice, Code, Date, Email, Spelled, Text, YesNo};
        matches!(self, Email | Date | Choice | YesNo | Text | Spelled | Code)
    }
}

/// How a value is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// It is said back with the next question; the caller may put it right.
    Implicit,
    /// It is read back and asked for.
    Explicit,
    /// It is taken as heard.
    Never,
}

/// Which day "Friday" or "the third" means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Around {
    /// The last one.
    Past,
    /// The next one.
    #[default]
    Future,
}

/// `[[flow.NAME.intent]]`: something a caller may want.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// As it is referred to.
    pub name: String,
    /// In words an agent understands, fitting after "about" (`a late order`).
    #[serde(default)]
    pub label: String,
    /// What callers say: words; `a|b` alternatives; `charg*` beginnings; `..` up to four words between; `^` and `$`
    /// for the whole utterance's start and end.
    #[serde(default)]
    pub phrases: Vec<String>,
    /// Whole sentences that callers say, for the embedding model. Three or more make a good intent.
    #[serde(default)]
    pub examples: Vec<String>,
    /// Added to how telling its phrases are, for intents that win over others in the same sentence.
    #[serde(default)]
    pub priority: usize,
    /// Slots to be collected before the action, in order of asking.
    #[serde(default)]
    pub needs: Vec<String>,
    /// `order_status`, `lookup`, `webhook` or `take_request`; left out when the intent goes to a person.
    #[serde(default)]
    pub action: Option<String>,
    /// For `lookup`: what is looked up (`ticket`, `appointment`, `claim`).
    #[serde(default)]
    pub record: Option<String>,
    /// For `lookup`: the slot that holds its number; looked up by the caller alone when absent.
    #[serde(default)]
    pub by: Option<String>,
    /// For `webhook`: its name in the config.
    #[serde(default)]
    pub webhook: Option<String>,
    /// Said first, once.
    #[serde(default)]
    pub acknowledge: Option<String>,
    /// For `take_request` and `webhook`: what is said when the request was taken.
    #[serde(default)]
    pub done: Option<String>,
    /// Disposition when the caller says that it is solved; `disposition.solved` when absent.
    #[serde(default)]
    pub solved: Option<String>,
    /// The trigger that fires at once, `out_of_scope` for one.
    #[serde(default)]
    pub trigger: Option<String>,
}

/// `[flow.NAME.disposition]`: codes for calls that end without a person.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disposition {
    /// The caller says that it is solved.
    #[serde(default)]
    pub solved: Option<String>,
    /// The caller wanted nothing more, and nothing was done.
    #[serde(default)]
    pub nothing_done: Option<String>,
    /// Nobody was free; a number to call back was taken.
    #[serde(default)]
    pub callback: Option<String>,
    /// Nobody was free, and no number was had.
    #[serde(default)]
    pub unreached: Option<String>,
    /// The caller hung up before an outcome.
    #[serde(default)]
    pub abandoned: Option<String>,
}

/// `[flow.NAME.lines]`: what is said around the questions. Each has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lines {
    /// "Am I speaking with …?" `{contact}` is the CRM's name.
    pub identity: String,
    /// To a caller who is someone else than the number's owner.
    pub identity_no: String,
    /// To a caller who speaks for someone else.
    pub holder_name: String,
    /// After "are you a robot?"
    pub machine: String,
    /// Reading a number back. `{number}`.
    pub confirm: String,
    /// Reading any other value back. `{label}`, `{value}`.
    pub confirm_value: String,
    /// A value was taken and is not asked about. `{label}`, `{value}`.
    pub got_value: String,
    /// A value is not the one on record. `{label}`.
    pub mismatch: String,
    /// An intent was understood, not surely. `{topic}`.
    pub is_it_about: String,
    /// The caller is upset: said once.
    pub soften: String,
    /// The caller is upset: a person is offered.
    pub offer_person: String,
    /// What is on record. `{what}`, `{number}`, `{status}`, `{when}`.
    pub record_is: String,
    /// Nothing is on record. `{what}`.
    pub no_record: String,
    /// A number was taken. `{number}`, and `{item}` when that may be told.
    pub took: String,
    /// The caller has one order that fits. `{number}`, `{item}`.
    pub is_it_this: String,
    /// After part of a number.
    pub go_on: String,
    /// The number's digits are there, the letter is not. `{number}`.
    pub letter: String,
    /// More was said to a request that was taken.
    pub added: String,
    /// No number, so nothing can be looked up.
    pub no_number: String,
    /// After "wait" or "hold on".
    pub wait: String,
    /// Before the first question once a person is on the way.
    pub person_coming: String,
    /// While something is looked up.
    pub looking: String,
    /// Order not found. `{number}`.
    pub not_found: String,
    /// The order is under another name.
    pub not_yours: String,
    /// A lookup failed.
    pub lookup_failed: String,
    /// After an answer.
    pub helped: String,
    /// After "no, that does not help".
    pub not_helped: String,
    /// After "yes, that helps".
    pub anything_else: String,
    /// Last words.
    pub goodbye: String,
    /// Before a transfer, uninterruptible.
    pub connecting: String,
    /// While the caller waits for an agent, in turn.
    pub hold_news: Vec<String>,
    /// Nobody could take the call.
    pub nobody_free: String,
    /// Offer to call the calling number back.
    pub callback_offer: String,
    /// Ask which number to call back.
    pub callback_ask: String,
    /// A callback number was taken.
    pub callback_thanks: String,
    /// No callback number was had.
    pub callback_none: String,
    /// After the briefing, to the agent: which keys do what.
    pub agent_help: String,
    /// To the caller, when the assistant cannot hear or speak.
    pub speech_down: String,
    /// To the caller, when the assistant has no time to hear what is said; the question follows.
    pub use_keys: String,
}

impl Default for Lines {
    fn default() -> Self {
        let s = str::to_owned;
        Self {
            identity: s("Am I speaking with {contact}?"),
            identity_no: s("Thanks. May I have your name?"),
            holder_name: s("Whose account is it? Please tell me the account holder's full name."),
            machine: s("I'm an automated assistant. I can get you a person if you like."),
            confirm: s("I heard {number}. Is that right?"),
            confirm_value: s("I have {value}. Is that right?"),
            got_value: s("{value}."),
            mismatch: s("That doesn't match what we have on record."),
            is_it_about: s("Is it about {topic}?"),
            soften: s("I'm sorry about this. I'll keep it short."),
            offer_person: s("I'm sorry about the trouble. Would you rather talk to a person?"),
            record_is: s("Your {what}[ {number}] is {status}[, {when}]."),
            no_record: s("I can't find a {what} for you."),
            took: s("Order {number}[, the {item}], got it."),
            is_it_this: s("Is it about order {number}[, the {item}]? If not, tell me the order number."),
            go_on: s("Go on."),
            letter: s("I have {number}. Which letter comes before that?"),
            added: s("I've added that to the request."),
            no_number: s("Without the number I can't look it up."),
            wait: s("Of course, take your time."),
            person_coming: s("I'll get you a person. So they have it at hand:"),
            looking: s("One moment, I'll look that up."),
            not_found: s("I can't find order {number}."),
            not_yours: s("I can't open order {number} under your name."),
            lookup_failed: s("I'm sorry, I can't reach the order system right now."),
            helped: s("Does that help?"),
            not_helped: s("I'm sorry. What is still open?"),
            anything_else: s("Good. Is there anything else?"),
            goodbye: s("Thanks for calling. Goodbye."),
            connecting: s(
                "I'm connecting you with a person now, and I'll tell them what we talked about. Please stay on the line.",
            ),
            hold_news: vec![
                s("I'm still trying to reach a colleague for you."),
                s("Thanks for waiting. Someone will be with you as soon as possible."),
                s("You're still in line. Thank you for your patience."),
            ],
            nobody_free: s("I'm sorry, nobody can take your call right now."),
            callback_offer: s("Shall we call you back on the number you're calling from?"),
            callback_ask: s("What number should we call you back on?"),
            callback_thanks: s("Thank you. Someone will call you back on {phone}. Goodbye."),
            callback_none: s("I've written down what you told me. Please call us again later. Goodbye."),
            agent_help: s(
                "Press 1 to take the call, 2 to decline, 3 to hear this again, or star to go straight to the caller.",
            ),
            speech_down: s("I'm sorry, I'm having trouble hearing you. Let me get a person."),
            use_keys: s("I'm slow to hear just now. You can use the keys of your telephone; zero gets you a person."),
        }
    }
}

/// `[flow.NAME.transfer]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transfer {
    /// How long one agent's phone rings, in seconds.
    pub ring_s: f64,
    /// How often the waiting caller hears news, in seconds.
    pub news_every_s: f64,
    /// Whether the end of the briefing counts as accepting.
    pub accept_on_briefing_end: bool,
    /// What to do when the CRM has not acknowledged the case in time.
    pub if_late: IfLate,
    /// How long the CRM may take, in milliseconds.
    pub crm_wait_ms: u64,
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            ring_s: 20.0,
            news_every_s: 20.0,
            accept_on_briefing_end: true,
            if_late: IfLate::Proceed,
            crm_wait_ms: 3_000,
        }
    }
}

/// What to do when the CRM has not acknowledged the case in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum IfLate {
    /// The caller is never joined without the acknowledgement: the transfer fails and the assistant takes a number.
    #[serde(rename = "wait")]
    Wait,
    /// The agent is rung all the same; the record says so, and so does the briefing.
    #[serde(rename = "proceed-and-flag", alias = "proceed")]
    Proceed,
}

/// `[[trigger]]`: when a person is called.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// One of the names in the call record.
    #[serde(default)]
    pub name: String,
    /// The flow it belongs to; every flow when absent.
    #[serde(default)]
    pub flow: Option<String>,
    /// What makes it fire, for triggers that need to be told.
    #[serde(default)]
    pub condition: Condition,
    /// Agents are rung for the highest first; 0 to 9, 5 when absent.
    #[serde(default)]
    pub priority: Option<u8>,
    /// Whether required slots that are missing are asked for first.
    #[serde(default)]
    pub missing: Missing,
    /// Outcome code for the record.
    #[serde(default)]
    pub disposition: Option<String>,
    /// Name of the briefing template.
    #[serde(default)]
    pub briefing: Option<String>,
    /// Whose agents are rung.
    #[serde(default)]
    pub queue: Option<String>,
    /// Slots an agent needs. Missing ones are asked for once each before the transfer.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Said when it fires.
    #[serde(default)]
    pub say: Option<String>,
}

/// `condition` of a trigger; which keys are allowed depends on the trigger.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// `asked_for_person`, `distress`: what callers say.
    #[serde(default)]
    pub phrases: Vec<String>,
    /// `distress`: whole sentences that callers say, for the embedding model.
    #[serde(default)]
    pub examples: Vec<String>,
    /// `amount_over_limit`: the slot that holds the amount.
    #[serde(default)]
    pub slot: Option<String>,
    /// `amount_over_limit`: fires above this, in dollars.
    #[serde(default)]
    pub over: Option<f64>,
    /// A condition over slots, `topic`, `contact.…`: see `docs/flows.md`. `complexity` and `vip` need one; it narrows
    /// `third_party`, and is one more reason for `distress` and `amount_over_limit`.
    #[serde(default)]
    pub when: Option<String>,
    /// `two_failed_attempts`: so many attempts in vain. `no_input`: so many turns without a usable word.
    #[serde(default)]
    pub after: Option<usize>,
}

/// Whether required slots that are missing are asked for before the transfer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Each is asked for once.
    #[default]
    Ask,
    /// The transfer does not wait for them.
    Skip,
}

/// `[briefing.NAME]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Briefing {
    /// `{slot}` in text; `[…]` is left out unless all of its slots were collected; `[a|b]` takes the first that can be told.
    pub text: String,
}

mod defaults {
    pub fn patience() -> f64 {
        7.0
    }
    pub fn confirm_below() -> f32 {
        0.55
    }
    pub fn language() -> String {
        "en".into()
    }
}
