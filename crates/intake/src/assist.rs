//! A language model's help, which is never required and never believed: it may point at words that the caller said, and
//! the value is read out of those words here. What it quotes must stand in the transcript, so it cannot make a value up; a
//! summary of its is used only if every name, number and address in it was said or is on record.
//!
//! Pure: the question is made here and the answer judged here. Asking, and the time-out, are outside.

use serde::Deserialize;

use crate::form::Source;
use crate::intake::Intake;
use crate::raw::SlotKind;
use crate::understand::value;
use crate::understand::words::{normal, words};

/// Of a summary.
const MOST_WORDS: usize = 80;

/// What a model is asked: the two messages of a chat, and the JSON schema for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The `system` message.
    pub system: String,
    /// The `user` message.
    pub user: String,
    /// For `response_format.json_schema.schema`.
    pub schema: &'static str,
}

/// Why an answer was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not the JSON that was asked for.
    #[error("the language model's answer is not the JSON asked for: {0}")]
    Malformed(String),
}

/// What was taken from an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Slots that now have a value.
    pub slots: Vec<String>,
    /// Slots whose quote was never said, or holds no value; they were left alone.
    pub refused: Vec<String>,
    /// The summary, if everything in it is known.
    pub summary: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default)]
    slots: Vec<Quote>,
    #[serde(default)]
    summary: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Quote {
    slot: String,
    quote: String,
}

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"required":["slots","summary"],"properties":{
"slots":{"type":"array","items":{"type":"object","additionalProperties":false,"required":["slot","quote"],"properties":{
"slot":{"type":"string"},"quote":{"type":"string"}}}},"summary":{"type":["string","null"]}}}"#;

impl Intake {
    /// What a model may be asked now: the slots that are still empty, and what the caller said. `None` when nothing was said.
    pub fn question(&self) -> Option<Question> {
        if self.caller_said().is_empty() {
            return None;
        }
        let mut missing: Vec<String> = self.empty_slots().map(|(name, label)| format!("- {name}: {label}")).collect();
        if missing.is_empty() {
            missing.push("(none)".into());
        }
        let system = "You read what a caller said on the phone. For each slot listed, quote the caller's exact words that \
                      give its value, copied letter by letter; leave a slot out if they did not say it. Then summarise the \
                      call in at most three sentences with nothing that was not said. Answer in JSON only."
            .to_owned();
        let user = format!("Slots:\n{}\n\nThe caller said:\n{}", missing.join("\n"), self.caller_said().join("\n"));
        Some(Question { system, user, schema: SCHEMA })
    }

    /// Judges a model's answer and takes what stands in the transcript. Values are unconfirmed; a filled slot is never
    /// changed. Ask [`Intake::asking`] again afterwards: the next question may have become needless.
    pub fn answered(&mut self, json: &str) -> Result<Taken, AnswerError> {
        // A list would be read as the fields in order; only an object was asked for.
        if !json.trim_start().starts_with('{') {
            return Err(AnswerError::Malformed("no object".into()));
        }
        let answer: Answer = serde_json::from_str(json).map_err(|e| AnswerError::Malformed(e.to_string()))?;
        let mut taken = Taken::default();
        for Quote { slot, quote } in answer.slots {
            match self.quoted_value(&slot, &quote) {
                Some(value) => {
                    self.form_mut().set(&slot, value, Source::Speech, false);
                    taken.slots.push(slot);
                }
                None => taken.refused.push(slot),
            }
        }
        self.match_number();
        taken.summary = answer.summary.filter(|s| self.is_all_known(s));
        if let Some(summary) = &taken.summary {
            self.in_short(summary.trim().to_owned());
        }
        Ok(taken)
    }

    /// The value in a quote, if the caller said it in one utterance and the slot is empty.
    fn quoted_value(&self, slot: &str, quote: &str) -> Option<String> {
        let flow = self.flow().clone();
        let compiled = flow.slot(slot)?;
        self.empty_slots().find(|(name, _)| *name == slot)?;
        let quoted = format!(" {} ", normal(quote));
        let said = self.caller_said().iter().any(|line| format!(" {} ", normal(line)).contains(&quoted));
        if quoted.trim().is_empty() || !said {
            return None;
        }
        // Yes and no depend on the question, and who the caller is on more than words: never a model's matter.
        let fit = !matches!(compiled.kind, SlotKind::YesNo | SlotKind::AccountHolder | SlotKind::PersonName);
        fit.then(|| value::read(compiled, quote, self.today())).flatten()
    }

    /// Whether every number and every name of a text was said, collected or is the contact's.
    fn is_all_known(&self, text: &str) -> bool {
        let mut known: Vec<String> = self.caller_said().iter().map(|s| normal(s)).collect();
        known.extend(self.form().slots().values().map(|v| normal(&v.value)));
        known.extend(self.contact().map(|c| normal(&c.name)));
        known.extend(self.attempts().iter().map(|a| normal(&a.outcome)));
        let known = format!(" {} ", known.join(" "));
        let all = words(text);
        let starts = |i: usize| i == 0 || all.get(i - 1).is_some_and(|w| w.gap == crate::understand::words::Gap::End);
        let telling = all.iter().enumerate().filter(|(i, w)| {
            w.norm.bytes().any(|b| b.is_ascii_digit()) || (w.is_capital() && !starts(*i) && w.norm != "i")
        });
        let mut telling = telling.map(|(_, w)| w.norm.as_str());
        !text.trim().is_empty() && all.len() <= MOST_WORDS && telling.all(|w| known.contains(&format!(" {w} ")))
    }
}
