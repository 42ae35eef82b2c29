//! What an utterance gives: names, numbers, amounts, topics, each put where it belongs in the form. Nothing is asked or
//! decided here.

use super::{Focus, Intake};
use crate::form::Source;
use crate::raw::SlotKind;
use crate::understand::words::Word;
use crate::understand::{codes, money};

/// One utterance.
pub(super) struct Heard {
    pub text: String,
    pub words: Vec<Word>,
    pub confidence: f32,
    /// In the embedding model's terms, where there is one.
    pub vector: Option<Vec<f32>>,
}

/// What an utterance gave.
#[derive(Debug, Default)]
pub(super) struct Gained {
    /// Anything at all.
    pub any: bool,
    /// To be said before the next question.
    pub say: Vec<String>,
    /// A number that must be read back.
    pub confirm: bool,
    /// Digits whose letter is missing.
    pub letter: Option<String>,
    /// The beginning of a number.
    pub partial: bool,
    /// A topic, new or repeated.
    pub topic: bool,
    /// An intent that may be meant.
    pub perhaps: Option<usize>,
}

impl Intake {
    pub(super) fn take_all(&mut self, heard: &Heard) -> Gained {
        let mut gained = Gained::default();
        self.take_people(heard, &mut gained);
        self.take_number(heard, &mut gained);
        self.take_phone(heard, &mut gained);
        self.take_topic(heard, &mut gained);
        self.take_amount(heard, &mut gained);
        self.take_fields(heard, &mut gained);
        gained
    }

    fn take_phone(&mut self, heard: &Heard, gained: &mut Gained) {
        let Some(slot) = self.slot_name(SlotKind::Phone) else { return };
        if let Some(number) = codes::phone(&heard.words) {
            self.form.set(&slot, number, Source::Speech, false);
            self.confirm_if_wanted(&slot);
            gained.any = true;
        }
    }

    pub(super) fn take_amount(&mut self, heard: &Heard, gained: &mut Gained) {
        let Some(slot) = self.slot_name(SlotKind::Money) else { return };
        let asked = self.asks_for(SlotKind::Money);
        let found = money::amounts(&heard.words, asked);
        if let Some(amount) = money::disputed(&heard.words, &found) {
            self.amount = Some(amount.cents);
        }
        let wanted =
            asked || self.topic.and_then(|t| self.flow.intents.get(t)).is_some_and(|i| i.needs.contains(&slot));
        if wanted && let Some(cents) = self.amount.take() {
            self.form.set(&slot, money::written(cents), Source::Speech, false);
            self.confirm_if_wanted(&slot);
            gained.any = true;
        }
    }

    pub(super) fn is_between_topics(&self) -> bool {
        matches!(self.focus, Focus::Open | Focus::Helped | Focus::StillOpen | Focus::AnythingElse)
    }
}

/// Whether two codes are the same but for blanks and hyphens.
pub(super) fn same_code(a: &str, b: &str) -> bool {
    let plain = |s: &str| s.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    plain(a) == plain(b)
}
