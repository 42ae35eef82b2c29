//! Raw flows into checked ones. Every reference is resolved here: a trigger without a disposition or a briefing, a template
//! that names a slot nobody collects, a required slot that does not exist, a missing line are all found at load, together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::flow::{Flow, Intent, LINES, OrderForm, Slot, TransferRules, Trigger, TriggerName};
use crate::numbers::words;
use crate::raw::{self, ActionKind, SlotKind};

/// One thing wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .path.join("."))]
pub struct ConfigError {
    /// The key's path; a number is an index into an array of tables.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Facts a briefing may name besides the flow's slots.
const FACTS: [&str; 6] = ["caller", "holder", "about", "status", "tried", "why"];

/// Compiles all flows, or tells everything that is wrong. `queues` are the queues that exist.
pub fn compile(raw: raw::Flows, queues: &[String]) -> Result<BTreeMap<String, Arc<Flow>>, Vec<ConfigError>> {
    let mut faults = Faults(Vec::new());
    let mut flows = BTreeMap::new();
    for (name, flow) in &raw.flow {
        let triggers = triggers(&raw, flow, queues, &mut faults);
        flows.insert(name.clone(), Arc::new(one(name, flow, triggers, &mut faults)));
    }
    for (name, briefing) in &raw.briefing {
        template(name, briefing, &raw, &mut faults);
    }
    if faults.0.is_empty() { Ok(flows) } else { Err(faults.0) }
}

struct Faults(Vec<ConfigError>);

impl Faults {
    fn add(&mut self, path: &[&str], message: impl Into<String>, hint: impl Into<String>) {
        let path = path.iter().map(|s| (*s).to_owned()).collect();
        let error = ConfigError { path, message: message.into(), hint: hint.into() };
        if !self.0.contains(&error) {
            self.0.push(error); // two flows share their triggers, and so the triggers' faults
        }
    }
}

fn triggers(raw: &raw::Flows, flow: &raw::Flow, queues: &[String], faults: &mut Faults) -> BTreeMap<TriggerName, Trigger> {
    let known = || TriggerName::ALL.map(TriggerName::as_str).join(", ");
    let mut out = BTreeMap::new();
    for (i, trigger) in raw.trigger.iter().enumerate() {
        let i = i.to_string();
        let at = |key| ["trigger", i.as_str(), key];
        let Some(name) = TriggerName::ALL.into_iter().find(|t| t.as_str() == trigger.name) else {
            faults.add(&at("name"), format!("`{}` is no trigger", trigger.name), format!("one of: {}", known()));
            continue;
        };
        let Some(disposition) = trigger.disposition.clone().filter(|d| !d.trim().is_empty()) else {
            let hint = "add disposition = \"CODE\": the outcome that is written to the CRM";
            faults.add(&["trigger", &i], format!("trigger `{name}` has no disposition"), hint);
            continue;
        };
        let Some(briefing) = trigger.briefing.clone() else {
            let hint = "add briefing = \"NAME\" and [briefing.NAME] with a template";
            faults.add(&["trigger", &i], format!("trigger `{name}` has no briefing"), hint);
            continue;
        };
        let Some(queue) = trigger.queue.clone() else {
            faults.add(&["trigger", &i], format!("trigger `{name}` has no queue"), "add queue = \"NAME\": who takes the call");
            continue;
        };
        if !queues.contains(&queue) {
            let hint = format!("define [[queue]] name = \"{queue}\", or correct the name");
            faults.add(&at("queue"), format!("trigger `{name}` goes to queue `{queue}`, which is not defined"), hint);
        }
        for slot in trigger.requires.iter().filter(|s| !flow.slot.iter().any(|f| f.name == **s)) {
            let hint = "add the slot to the flow, or remove it here";
            faults.add(&at("requires"), format!("trigger `{name}` requires slot `{slot}`, which no flow collects"), hint);
        }
        let Some(template) = raw.briefing.get(&briefing).map(|b| b.template.clone()) else {
            let hint = format!("define [briefing.{briefing}] with a template, or correct the name");
            faults.add(&at("briefing"), format!("trigger `{name}` uses briefing `{briefing}`, which is not defined"), hint);
            continue;
        };
        let (why, requires) = (trigger.why.clone(), trigger.requires.clone());
        if out.insert(name, Trigger { disposition, briefing, template, queue, why, requires }).is_some() {
            faults.add(&at("name"), format!("trigger `{name}` is there twice"), "remove one of the two");
        }
    }
    let missing: Vec<&str> = TriggerName::ALL
        .into_iter()
        .map(TriggerName::as_str)
        .filter(|t| !raw.trigger.iter().any(|r| r.name == *t))
        .collect();
    if !missing.is_empty() {
        let hint = "every trigger needs a disposition, a briefing and a queue, or a caller could be escalated to nobody";
        faults.add(&["trigger"], format!("no [[trigger]] for: {}", missing.join(", ")), hint);
    }
    out
}

fn one(name: &str, raw: &raw::Flow, triggers: BTreeMap<TriggerName, Trigger>, faults: &mut Faults) -> Flow {
    for key in LINES.iter().filter(|k| raw.lines.get(**k).is_none_or(Vec::is_empty)) {
        let hint = format!("add {key} = [\"…\"] under [flow.{name}.lines]");
        faults.add(&["flow", name, "lines"], format!("the line `{key}` is missing"), hint);
    }
    for key in raw.lines.keys().filter(|k| !LINES.contains(&k.as_str())) {
        let hint = format!("one of: {}", LINES.join(", "));
        faults.add(&["flow", name, "lines", key], format!("`{key}` is no line"), hint);
    }
    if raw.greeting.trim().is_empty() {
        let hint = "say who this is, that it is an assistant, and that the call may be transcribed";
        faults.add(&["flow", name, "greeting"], "the greeting is empty", hint);
    }
    for (key, code) in [("solved", &raw.solved), ("abandoned", &raw.abandoned), ("callback", &raw.callback)] {
        if code.trim().is_empty() {
            let hint = "give the code that is written to the CRM";
            faults.add(&["flow", name, key], format!("the disposition `{key}` is empty"), hint);
        }
    }
    if !(raw.amount_limit.is_finite() && raw.amount_limit >= 0.0) {
        let hint = "give an amount in the main unit, e.g. 200.00";
        faults.add(&["flow", name, "amount_limit"], format!("the limit {} is no amount", raw.amount_limit), hint);
    }
    let transfer = &raw.transfer;
    if !(1..=180).contains(&transfer.ring_s) {
        let message = format!("an agent's phone would ring for {} s", transfer.ring_s);
        faults.add(&["flow", name, "transfer", "ring_s"], message, "give 1 to 180");
    }
    if transfer.news_every_s < 5 {
        let message = format!("news every {} s would leave no music", transfer.news_every_s);
        faults.add(&["flow", name, "transfer", "news_every_s"], message, "give 5 or more");
    }
    Flow {
        name: name.to_owned(),
        company: raw.company.clone(),
        greeting: raw.greeting.clone(),
        lines: raw.lines.clone(),
        slots: slots(name, &raw.slot, faults),
        intents: intents(name, raw, faults),
        amount_limit_cents: (raw.amount_limit.max(0.0) * 100.0).round() as u64,
        solved: raw.solved.clone(),
        abandoned: raw.abandoned.clone(),
        callback: raw.callback.clone(),
        distress: raw.distress.iter().map(|p| phrase(p)).filter(|p| !p.is_empty()).collect(),
        triggers,
        transfer: TransferRules {
            ring_timeout: Duration::from_secs(transfer.ring_s),
            crm_wait: Duration::from_millis(transfer.crm_wait_ms),
            if_late: transfer.if_late,
            accept_on_briefing_end: transfer.accept_on_briefing_end,
            news_every: Duration::from_secs(transfer.news_every_s),
        },
    }
}

fn slots(flow: &str, raw: &[raw::Slot], faults: &mut Faults) -> Vec<Slot> {
    for kind in [SlotKind::Name, SlotKind::Reason, SlotKind::Order, SlotKind::Amount, SlotKind::Phone] {
        let shown = format!("{kind:?}").to_lowercase();
        match raw.iter().filter(|s| s.kind == kind).count() {
            1 => {}
            0 => {
                let hint = format!("add [[flow.{flow}.slot]] with name, kind = \"{shown}\" and ask");
                faults.add(&["flow", flow], format!("flow `{flow}` has no slot of kind `{shown}`"), hint);
            }
            _ => faults.add(&["flow", flow, "slot"], format!("flow `{flow}` has two slots of kind `{shown}`"), "keep one"),
        }
    }
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for (i, slot) in raw.iter().enumerate() {
        let i = i.to_string();
        let at = |key| ["flow", flow, "slot", i.as_str(), key];
        let name = &slot.name;
        if !seen.insert(name.clone()) {
            faults.add(&at("name"), format!("slot `{name}` is there twice"), "rename or remove one");
        }
        if FACTS.contains(&name.as_str()) {
            faults.add(&at("name"), format!("`{name}` is a fact of every briefing and cannot name a slot"), "rename the slot");
        }
        if slot.ask.iter().all(|a| a.trim().is_empty()) {
            faults.add(&at("ask"), format!("slot `{name}` has no question"), "add ask = [\"…\"]");
        }
        let form = slot.form.as_deref().and_then(|form| order_form(form, slot.assume.as_deref()));
        match (slot.kind, &slot.form, &form) {
            (SlotKind::Order, Some(written), None) => {
                let hint = "letters as A, then digits as 0, a dash between them if it is written so: A-0000";
                faults.add(&at("form"), format!("`{written}` is no form of an order number"), hint);
            }
            (SlotKind::Order, None, _) => {
                faults.add(&at("name"), format!("slot `{name}` has no form"), "add form = \"A-0000\": A a letter, 0 a digit");
            }
            (SlotKind::Order, Some(_), Some(_)) | (_, None, _) => {}
            (_, Some(_), _) => {
                faults.add(&at("form"), format!("slot `{name}` is no order number and takes no form"), "remove `form`");
            }
        }
        out.push(Slot { name: name.clone(), kind: slot.kind, ask: slot.ask.clone(), form });
    }
    out
}

fn order_form(form: &str, assume: Option<&str>) -> Option<OrderForm> {
    let letters = form.chars().take_while(|c| *c == 'A').count();
    let rest = &form[letters..];
    let (dash, rest) = rest.strip_prefix('-').map_or((false, rest), |r| (true, r));
    let digits = rest.len();
    let assume = assume.map(str::to_ascii_uppercase);
    let fits = rest.bytes().all(|b| b == b'0') && digits > 0 && (letters > 0 || !dash);
    let assume_fits = assume.as_ref().is_none_or(|a| a.len() == letters && a.bytes().all(|b| b.is_ascii_uppercase()));
    (fits && assume_fits).then_some(OrderForm { letters, digits, dash, assume })
}

fn intents(flow: &str, raw: &raw::Flow, faults: &mut Faults) -> Vec<Intent> {
    if raw.intent.is_empty() {
        faults.add(&["flow", flow], format!("flow `{flow}` has no intents"), "add [[flow.NAME.intent]]: what callers come with");
    }
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for (i, intent) in raw.intent.iter().enumerate() {
        let i = i.to_string();
        let at = |key| ["flow", flow, "intent", i.as_str(), key];
        let name = &intent.name;
        if !seen.insert(name) {
            faults.add(&at("name"), format!("intent `{name}` is there twice"), "rename or remove one");
        }
        let phrases: Vec<_> = intent.phrases.iter().map(|p| phrase(p)).filter(|p| !p.is_empty()).collect();
        if phrases.is_empty() {
            faults.add(&at("phrases"), format!("intent `{name}` has no phrases, so nobody can have it"), "add phrases = [\"…\"]");
        }
        for slot in intent.needs.iter().filter(|s| !raw.slot.iter().any(|r| r.name == **s)) {
            let hint = "add the slot, or remove it here";
            faults.add(&at("needs"), format!("intent `{name}` needs slot `{slot}`, which the flow does not collect"), hint);
        }
        if intent.action == Some(ActionKind::LogRequest) && intent.done.is_none() {
            faults.add(&at("action"), format!("intent `{name}` notes a request and says nothing afterwards"), "add done = \"…\"");
        }
        let needs_order = intent.needs.iter().any(|n| raw.slot.iter().any(|s| s.name == *n && s.kind == SlotKind::Order));
        if intent.action == Some(ActionKind::OrderStatus) && !needs_order {
            let message = format!("intent `{name}` reads out an order's status but does not need the order's number");
            faults.add(&at("action"), message, "add the order slot to `needs`");
        }
        out.push(Intent {
            name: name.clone(),
            phrases,
            action: intent.action,
            needs: intent.needs.clone(),
            done: intent.done.clone(),
        });
    }
    out
}

fn template(name: &str, briefing: &raw::Briefing, raw: &raw::Flows, faults: &mut Faults) {
    let at = ["briefing", name, "template"];
    if briefing.template.trim().is_empty() {
        let hint = "write a template, e.g. \"{caller}, {holder}. {why}\"";
        faults.add(&at, format!("briefing `{name}` says nothing"), hint);
    }
    let (mut depth, mut bad) = (0i32, false);
    for c in briefing.template.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        bad |= !(0..=1).contains(&depth);
    }
    if bad || depth != 0 {
        let hint = "each optional part is one [ … ], and parts do not nest";
        faults.add(&at, format!("the brackets of briefing `{name}` do not match"), hint);
    }
    for used in names(&briefing.template) {
        let slot = raw.flow.values().any(|f| f.slot.iter().any(|s| s.name == used));
        if !slot && !FACTS.contains(&used.as_str()) {
            let hint = format!("use a slot of the flow, or one of: {}", FACTS.join(", "));
            faults.add(&at, format!("briefing `{name}` names `{used}`, which nobody collects"), hint);
        }
    }
}

/// The names in braces.
pub(crate) fn names(template: &str) -> Vec<String> {
    template.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name.to_owned()).collect()
}

/// A phrase's words; a trailing `*` of a word is kept as a mark for any ending.
fn phrase(text: &str) -> Vec<String> {
    let one = |w: &str| match w.strip_suffix('*') {
        Some(stem) => words(stem).into_iter().map(|w| w + "*").collect(),
        None => words(w),
    };
    text.split_whitespace().flat_map(one).collect()
}
