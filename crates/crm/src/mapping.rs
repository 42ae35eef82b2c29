//! Our words and the system's: dispositions, queues, agents, and which collected value goes into which field. From the
//! config, checked at load.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{CaseView, CaseWrite, Ticket};

/// `[crm.map]`. What is not listed goes by its own name; fields that are not listed stand in the text only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// Our disposition code → the system's.
    pub dispositions: BTreeMap<String, String>,
    /// Our queue → the system's queue, group, team or pipeline.
    pub queues: BTreeMap<String, String>,
    /// An agent's extension → the system's user.
    pub agents: BTreeMap<String, String>,
    /// A slot → the system's field.
    pub fields: BTreeMap<String, String>,
}

impl Mapping {
    /// The system's word for a disposition.
    pub(crate) fn disposition<'a>(&'a self, code: &'a str) -> &'a str {
        self.dispositions.get(code).map_or(code, String::as_str)
    }

    /// Our word for the system's.
    pub(crate) fn code(&self, theirs: &str) -> String {
        let ours = self.dispositions.iter().find(|(_, word)| word.as_str() == theirs);
        ours.map_or(theirs, |(code, _)| code).to_owned()
    }

    pub(crate) fn queue<'a>(&'a self, queue: Option<&'a str>) -> Option<&'a str> {
        queue.map(|queue| self.queues.get(queue).map_or(queue, String::as_str))
    }

    /// The system's user behind an extension; none if it is not listed: an extension is nobody's id by itself.
    pub(crate) fn agent(&self, extension: Option<&str>) -> Option<&str> {
        self.agents.get(extension?).map(String::as_str)
    }

    /// The system's fields and what goes into them.
    pub(crate) fn fields<'a>(&'a self, write: &CaseWrite) -> Vec<(&'a str, String)> {
        let values = write.values();
        let value = |slot: &str| values.iter().find(|(name, _)| *name == slot).map(|(_, value)| value.clone());
        self.fields.iter().filter_map(|(slot, field)| Some((field.as_str(), value(slot)?))).collect()
    }

    /// What does not fit the rest of the config: `key: what`. `known` holds the flow's own words; an empty list is not
    /// checked against.
    pub fn faults(&self, known: &Known<'_>) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let lists = [
            ("dispositions", &self.dispositions, known.dispositions, "no trigger or flow has this disposition"),
            ("queues", &self.queues, known.queues, "there is no such queue"),
            ("agents", &self.agents, known.extensions, "there is no such extension"),
            ("fields", &self.fields, known.slots, "no flow collects this slot"),
        ];
        for (list, map, words, what) in lists {
            for (ours, theirs) in map {
                if theirs.trim().is_empty() {
                    faults.push((format!("crm.map.{list}.{ours}"), "it is mapped to nothing".to_owned()));
                }
                if !words.is_empty() && !words.contains(&ours.as_str()) {
                    faults.push((format!("crm.map.{list}.{ours}"), what.to_owned()));
                }
            }
        }
        for (list, map) in [("dispositions", &self.dispositions), ("fields", &self.fields)] {
            let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
            for (ours, theirs) in map {
                if let Some(before) = seen.insert(theirs, ours) {
                    let what = format!("{before} is mapped to {theirs:?} too; reading back could not tell them apart");
                    faults.push((format!("crm.map.{list}.{ours}"), what));
                }
            }
        }
        faults
    }
}

/// The words of the rest of the config, to check a mapping against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Every disposition code of every trigger and flow.
    pub dispositions: &'a [&'a str],
    /// Every queue.
    pub queues: &'a [&'a str],
    /// Every extension.
    pub extensions: &'a [&'a str],
    /// Every slot of every flow.
    pub slots: &'a [&'a str],
}

/// One line for lists: who, why.
pub(crate) fn subject(write: &CaseWrite) -> String {
    let who = write.caller_name.as_deref().unwrap_or(&write.from);
    let who = if who.is_empty() { "unknown caller" } else { who };
    let why = write.trigger.as_deref().unwrap_or(&write.disposition).replace('_', " ");
    if why.is_empty() { format!("Call from {who}") } else { format!("Call from {who}: {}", why.to_lowercase()) }
}

/// All that is known, for people to read.
pub(crate) fn body(write: &CaseWrite) -> String {
    let mut lines = vec![write.summary.clone(), String::new()];
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.push(format!("{name}: {value}"));
        }
    };
    let name = write.caller_name.clone();
    line(
        "Caller",
        Some(match &name {
            Some(name) => format!("{name}, {}", write.from),
            None => write.from.clone(),
        }),
    );
    line("Account holder", write.account_holder.map(|yes| if yes { "yes" } else { "no, another person" }.to_owned()));
    line("Called", Some(write.to.clone()));
    line("Began", write.started_at.map(|at| format!("{at:.0}")));
    line("Disposition", Some(write.disposition.clone()));
    line("Why a person was called", write.trigger.clone());
    line("Queue", write.queue.clone());
    for (slot, value) in write.values() {
        line(&slot.replace('_', " "), Some(value));
    }
    line("Agent", write.agent.clone());
    line("Joined", write.bridged_at.map(|at| format!("{at:.0}")));
    line("Ended", write.ended_at.map(|at| format!("{at:.0}")));
    line("Baton call", Some(write.call_id.clone()));
    lines.join("\n").trim_start().to_owned()
}

/// Marks a remark, so that it is found again: one effect for each key.
pub(crate) fn mark(key: &str) -> String {
    format!("[baton {key}]")
}

/// Whole seconds from answer to end, once it has ended.
pub(crate) fn duration_s(write: &CaseWrite) -> Option<i64> {
    let (start, end) = (write.started_at?, write.ended_at?);
    Some((end.as_second() - start.as_second()).max(0))
}

/// A JSON value's text: vendors send ids as numbers or as strings.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// An id that goes into a JSON body as a number where the system counts in numbers.
pub(crate) fn id_value(id: &str) -> Value {
    id.parse::<u64>().map_or_else(|_| Value::from(id), Value::from)
}

/// The rows under a key; nothing if there are none.
pub(crate) fn rows<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What is open with a help desk, from its own rows: id, subject and status stand under these names.
pub(crate) fn tickets(found: &[Value], [id, subject, status]: [&str; 3]) -> Vec<Ticket> {
    let word = |row: &Value, name: &str| text(&row[name]).unwrap_or_default();
    found
        .iter()
        .map(|row| Ticket { id: word(row, id), subject: word(row, subject), status: word(row, status) })
        .collect()
}

/// The value of one of a record's custom fields, listed as `{"id": …, "value": …}`.
pub(crate) fn field_value(record: &Value, id: Option<&str>) -> Option<String> {
    let id = id_value(id?);
    let field = rows(record, "custom_fields").iter().find(|field| field["id"] == id)?;
    text(&field["value"])
}

/// A call's ticket read back, where all that was said stands in its comments. A remark begins with `note`.
pub(crate) fn view(record_id: String, said: Vec<String>, note: &str) -> CaseView {
    let text = said.join("\n");
    CaseView {
        record_id,
        text,
        notes: said.into_iter().filter(|words| words.starts_with(note)).collect(),
        ..CaseView::default()
    }
}

/// One URL path segment, percent-encoded (RFC 3986 §2.1): an id from outside must not lead elsewhere.
pub(crate) fn segment(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            b'.' if id.len() > 2 => out.push('.'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_there_and_back_and_faults_are_told() {
        let mapping: Mapping = toml::from_str(
            "dispositions = { ESC = \"Escalated\", SOLVED = \"Escalated\" }\nqueues = { billing = \"\" }\nfields = { nope = \"f\" }",
        )
        .unwrap();
        assert_eq!((mapping.disposition("ESC"), mapping.disposition("X")), ("Escalated", "X"));
        assert_eq!((mapping.code("Escalated").as_str(), mapping.code("X").as_str()), ("ESC", "X"));
        let known = Known { slots: &["name"], dispositions: &["ESC", "SOLVED"], ..Known::default() };
        let faults: Vec<String> =
            mapping.faults(&known).into_iter().map(|(key, what)| format!("{key}: {what}")).collect();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults.iter().any(|f| f.contains("crm.map.queues.billing: it is mapped to nothing")), "{faults:?}");
        assert!(faults.iter().any(|f| f.contains("crm.map.fields.nope: no flow collects")), "{faults:?}");
        assert!(faults.iter().any(|f| f.contains("could not tell them apart")), "{faults:?}");
        assert!(toml::from_str::<Mapping>("slots = {}").is_err());
    }

    #[test]
    fn a_segment_leads_nowhere_else() {
        assert_eq!(segment("12-ab_c.d"), "12-ab_c.d");
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(segment("a/b?c#d e"), "a%2Fb%3Fc%23d%20e");
    }
}
