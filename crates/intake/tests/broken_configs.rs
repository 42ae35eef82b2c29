//! Every broken mapping is refused, at its place. Each row edits the default flow and names where the fault is told and
//! what the message says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]

mod support;

use baton_intake::{compile, raw};
use support::DEFAULT_FLOW;

/// (what is wrong, text to replace, by what, path of the fault, part of the message)
const ROWS: &[(&str, &str, &str, &str, &str)] = &[
    ("trigger without disposition", "disposition = \"ESC-URGENT\"\n", "", "trigger.1.disposition", "no disposition"),
    ("trigger without briefing", "briefing = \"urgent\"\n", "", "trigger.1.briefing", "no briefing"),
    (
        "unknown briefing",
        "briefing = \"urgent\"",
        "briefing = \"urgnet\"",
        "trigger.1.briefing",
        "`urgnet`, which is not defined",
    ),
    ("briefing nobody uses", "briefing = \"urgent\"", "briefing = \"case\"", "briefing.urgent", "used by no trigger"),
    (
        "unknown queue",
        "queue = \"support\"\nrequires = [\"name\", \"reason\", \"order_number\"]",
        "queue = \"suport\"",
        "trigger.0.queue",
        "`suport`",
    ),
    (
        "trigger without queue",
        "queue = \"support\"\nrequires = [\"name\", \"reason\", \"order_number\"]",
        "",
        "trigger.0.queue",
        "no queue",
    ),
    ("unknown trigger", "name = \"third_party\"", "name = \"3rd_party\"", "trigger.2.name", "no trigger `3rd_party`"),
    ("trigger twice", "name = \"third_party\"", "name = \"no_input\"", "trigger.8.name", "there twice"),
    (
        "a needed trigger is gone",
        "name = \"no_input\"",
        "name = \"complexity\"\ncondition = { when = \"topic is known\" }",
        "trigger",
        "no trigger `no_input`",
    ),
    (
        "trigger of an unknown flow",
        "name = \"third_party\"",
        "name = \"third_party\"\nflow = \"oders\"",
        "trigger.2.flow",
        "`oders`",
    ),
    (
        "requires an unknown slot",
        "requires = [\"name\", \"holder_name\"",
        "requires = [\"name\", \"holder\"",
        "trigger.2.requires",
        "slot `holder`",
    ),
    (
        "briefing names an unknown slot",
        "[Amount {amount}.]",
        "[Amount {ammount}.]",
        "briefing.case.text",
        "slot `ammount`",
    ),
    ("briefing with a hole", "[Amount {amount}.]", "Amount {amount}.", "briefing.case.text", "a hole when `amount`"),
    (
        "briefing does not parse",
        "[Amount {amount}.]",
        "[Amount {amount}.",
        "briefing.case.text",
        "cannot stand in one another",
    ),
    ("empty briefing", "text = \"Urgent.", "text = \"\" # ", "briefing.urgent.text", "is empty"),
    (
        "limit without slot",
        "condition = { slot = \"amount\", over = 200 }",
        "condition = { over = 200 }",
        "trigger.3.condition.over",
        "no limit",
    ),
    ("limit of nothing", "over = 200", "over = 0", "trigger.3.condition.over", "no limit"),
    (
        "limit on a slot that is no money",
        "slot = \"amount\"",
        "slot = \"reason\"",
        "trigger.3.condition.slot",
        "no amount of money",
    ),
    (
        "phrases where none count",
        "say = \"I'm sorry I couldn't",
        "condition = { phrases = [\"x\"] }\nsay = \"I'm sorry I couldn't",
        "trigger.6.condition.phrases",
        "does not fire on phrases",
    ),
    ("bad phrase", "\"transfer me\"", "\"transfer ..\"", "trigger.0.condition.phrases", "ends in `..`"),
    ("bad phrase of an intent", "\"cancel*\"", "\"(cancel)\"", "flow.orders.intent.1.phrases", "no word"),
    (
        "intent twice",
        "name = \"cancel_order\"",
        "name = \"billing_dispute\"",
        "flow.orders.intent.1.name",
        "there twice",
    ),
    ("intent without phrases", "phrases = [\"cancel*\"", "needs_not = [\"cancel*\"", "", "unknown field"),
    (
        "intent needs an unknown slot",
        "needs = [\"name\", \"account_holder\", \"order_number\", \"amount\"]",
        "needs = [\"name\", \"amout\"]",
        "flow.orders.intent.0.needs",
        "slot `amout`",
    ),
    (
        "unknown action",
        "action = \"order_status\"",
        "action = \"order_stats\"",
        "flow.orders.intent.3.action",
        "`order_stats`",
    ),
    (
        "intent without action",
        "action = \"order_status\"\n",
        "",
        "flow.orders.intent.3.action",
        "either an `action` or a `trigger`",
    ),
    (
        "intent fires an unknown trigger",
        "trigger = \"out_of_scope\"",
        "trigger = \"outofscope\"",
        "flow.orders.intent.4.trigger",
        "`outofscope`",
    ),
    ("request without words", "done = \"I've put the cancellation", "solved = \"X\" # ", "", "duplicate key"),
    (
        "request names an unknown slot",
        "cancellation[ of order {order_number}]",
        "cancellation[ of order {order}]",
        "flow.orders.intent.1.done",
        "slot `order`",
    ),
    (
        "request with a hole",
        "cancellation[ of order {order_number}]",
        "cancellation of order {order_number}",
        "flow.orders.intent.1.done",
        "a hole when `order_number`",
    ),
    (
        "status without the number",
        "needs = [\"name\", \"account_holder\", \"order_number\"]\nexamples = [\n  \"I'm still",
        "needs = [\"name\"]\nexamples = [\n  \"I'm still",
        "flow.orders.intent.3.needs",
        "does not need its number",
    ),
    ("slot twice", "name = \"amount\"\nkind", "name = \"phone\"\nkind", "flow.orders.slot.5.name", "there twice"),
    (
        "slot with a reserved name",
        "name = \"amount\"\nkind",
        "name = \"who\"\nkind",
        "flow.orders.slot.4.name",
        "cannot be a slot's name",
    ),
    (
        "slot without question",
        "ask = [\"What amount is it about?\", \"Roughly how many dollars is it about?\"]",
        "",
        "flow.orders.slot.4.ask",
        "no question",
    ),
    ("second slot of a kind", "kind = \"money\"", "kind = \"phone\"", "flow.orders.slot.5.kind", "second of its kind"),
    ("unknown kind", "kind = \"money\"", "kind = \"cash\"", "", "unknown variant"),
    (
        "number without pattern",
        "patterns = [\"@-####\", \"SO-#####\"]",
        "",
        "flow.orders.slot.3.patterns",
        "no pattern",
    ),
    ("bad pattern", "\"@-####\"", "\"[A-Z]-####\"", "flow.orders.slot.3.patterns", "has `[`"),
    (
        "pattern that any sentence fits",
        "\"@-####\"",
        "\"@-##\"",
        "flow.orders.slot.3.patterns",
        "fewer than three digits",
    ),
    ("greeting hides the assistant", "I'm an automated assistant, and", "Hello,", "flow.orders.greeting", "assistant"),
    ("no opening", "opening = \"How can I help you today?\"", "opening = \" \"", "flow.orders.opening", "no `opening`"),
    ("no re-prompts", "no_input = [", "no_input = []\nvocabulary_x = [", "", "unknown field"),
    ("empty line", "goodbye = \"Thanks", "goodbye = \"\" # ", "flow.orders.lines.goodbye", "is empty"),
    (
        "line names what is not known",
        "goodbye = \"Thanks",
        "goodbye = \"{name}, thanks",
        "flow.orders.lines.goodbye",
        "names `name`",
    ),
    (
        "no disposition for the end",
        "callback = \"CALLBACK\"\n",
        "",
        "flow.orders.disposition.callback",
        "no disposition",
    ),
    ("ring too short", "ring_s = 20", "ring_s = 1", "flow.orders.transfer.ring_s", "`ring_s` is 1"),
    ("patience too long", "patience_s = 7", "patience_s = 700", "flow.orders.patience_s", "700"),
    ("confidence out of range", "confirm_below = 0.55", "confirm_below = 55", "flow.orders.confirm_below", "55"),
    ("unknown policy", "if_late = \"proceed\"", "if_late = \"go\"", "", "unknown variant"),
    (
        "rule without a condition",
        "condition = { when = \"identified",
        "condition = { phrases = [] }\n# ",
        "trigger.5.condition.when",
        "no condition",
    ),
    (
        "condition names nothing known",
        "when = \"identified and",
        "when = \"identfied and",
        "trigger.5.condition.when",
        "`identfied`",
    ),
    (
        "condition with an intent that is not there",
        "topic in ('damaged_item'",
        "topic in ('damaged'",
        "trigger.5.condition.when",
        "never 'damaged'",
    ),
    (
        "condition that breaks off",
        "'billing_dispute')\" }",
        "'billing_dispute'\" }",
        "trigger.5.condition.when",
        "not closed",
    ),
    (
        "condition where none is looked at",
        "condition = { slot = \"amount\", over = 200 }",
        "condition = { slot = \"amount\", over = 200 }\n[[trigger]]\nname = \"frustration\"\nflow = \"orders\"\ndisposition = \"X\"\nbriefing = \"upset\"\nqueue = \"support\"\ncondition = { when = \"identified\" }",
        "trigger.4.condition.when",
        "does not fire on a condition",
    ),
    (
        "counts what is not counted",
        "condition = { slot = \"amount\", over = 200 }",
        "condition = { slot = \"amount\", over = 200, after = 3 }",
        "trigger.3.condition.after",
        "cannot fire after 3",
    ),
    ("priority out of range", "priority = 9", "priority = 90", "trigger.1.priority", "priority 90"),
    ("distress that waits", "priority = 9", "priority = 9\nrequires = [\"name\"]", "trigger.1.requires", "would wait"),
    ("tone levels that do not rise", "offer = 0.6", "offer = 0.3", "flow.orders.tone", "do not rise"),
    ("similarities that cannot be", "threshold = 0.5", "threshold = 0.2", "flow.orders.meaning", "cannot be"),
    (
        "reveals what cannot be",
        "reveal = [\"name\"]",
        "reveal = [\"address\"]",
        "flow.orders.identity.reveal",
        "`address`",
    ),
    (
        "unknown third-party rule",
        "third_party = \"unless_authorised\"",
        "third_party = \"maybe\"",
        "",
        "unknown variant",
    ),
    (
        "example that is not understood",
        "patterns = [\"@-####\", \"SO-#####\"]",
        "examples = [\"A 12\"]\npatterns = [\"@-####\", \"SO-#####\"]",
        "flow.orders.slot.3.examples",
        "not understood",
    ),
    (
        "choice without options",
        "kind = \"money\"",
        "kind = \"choice\"",
        "flow.orders.slot.4.options",
        "fewer than two options",
    ),
    (
        "options of what is no choice",
        "kind = \"money\"",
        "kind = \"money\"\noptions = { a = [\"b\"] }",
        "flow.orders.slot.4.options",
        "no choice",
    ),
    (
        "key for no option",
        "kind = \"money\"",
        "kind = \"choice\"\noptions = { a = [\"b\"], c = [\"d\"] }\nkeys = { \"1\" = \"e\" }",
        "flow.orders.slot.4.keys",
        "no option",
    ),
    (
        "key that is none",
        "kind = \"money\"",
        "kind = \"choice\"\noptions = { a = [\"b\"], c = [\"d\"] }\nkeys = { \"0\" = \"a\" }",
        "flow.orders.slot.4.keys",
        "no key",
    ),
    ("asked for too often", "kind = \"money\"", "kind = \"money\"\ntries = 50", "flow.orders.slot.4.tries", "50 times"),
    (
        "look-up of nothing",
        "action = \"order_status\"",
        "action = \"lookup\"",
        "flow.orders.intent.3.record",
        "does not say what",
    ),
    (
        "look-up by a slot it does not ask for",
        "action = \"order_status\"",
        "action = \"lookup\"\nrecord = \"ticket\"\nby = \"phone\"",
        "flow.orders.intent.3.by",
        "`phone`",
    ),
    (
        "web hook without a name",
        "action = \"take_request\"",
        "action = \"webhook\"",
        "flow.orders.intent.0.webhook",
        "without a name",
    ),
    ("filter that is none", "{reason}.] [Tried", "{reason:long}.] [Tried", "briefing.case.text", "`long`"),
    ("unknown key", "patience_s = 7", "patience = 7", "", "unknown field"),
];

#[test]
fn broken_configs_are_refused() {
    for (what, old, new, path, message) in ROWS {
        assert!(DEFAULT_FLOW.contains(old), "{what}: the default flow has no `{old}`");
        let text = DEFAULT_FLOW.replacen(old, new, 1);
        let raw: raw::Flows = match toml::from_str(&text) {
            Ok(raw) => raw,
            Err(e) if path.is_empty() => {
                assert!(e.to_string().contains(message), "{what}: {e}");
                continue;
            }
            Err(e) => panic!("{what}: {e}"),
        };
        let errors = compile(raw, &["support".to_owned()]).expect_err(what);
        let found = errors.iter().find(|e| e.path.join(".") == *path && e.message.contains(message));
        let found = found.unwrap_or_else(|| panic!("{what}: {errors:#?}"));
        assert!(!found.hint.is_empty(), "{what}: no hint");
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let text =
        DEFAULT_FLOW.replace("disposition = \"ESC-URGENT\"\n", "").replace("queue = \"support\"", "queue = \"x\"");
    let errors = compile(toml::from_str(&text).unwrap(), &["support".to_owned()]).unwrap_err();
    assert!(errors.len() >= 9, "{errors:#?}");
}

#[test]
fn the_default_flow_compiles_and_tells_what_it_must() {
    let flow = support::flow();
    assert!(flow.greeting().contains("assistant") && flow.greeting().contains("transcribed"));
    let prompts = flow.prompts();
    assert!(prompts.len() > 20 && prompts.iter().all(|p| !p.contains(['{', '[', '|'])), "{prompts:#?}");
}
