//! The way out when nobody is free: the caller is told so, leaves a number, and is not left hanging.

use super::listen::Heard;
use super::{Focus, Intake};
use crate::api::Reply;
use crate::form::Source;
use crate::raw::SlotKind;
use crate::understand::{codes, lexicon};

impl Intake {
    /// Where the caller can be reached: the number they gave, else the one they call from, if it is one.
    pub fn callback_number(&self) -> Option<String> {
        let calling = self.caller.number.clone().filter(|n| n.chars().filter(char::is_ascii_digit).count() >= 7);
        self.slot_value(SlotKind::Phone).or(calling)
    }

    /// A person has sent the caller back, and is not gone for lack of anybody: is there anything else?
    pub fn returned(&mut self) -> Reply {
        self.over = None;
        self.pending = None;
        self.unmatched = 0;
        self.silent = 0;
        self.focus = Focus::AnythingElse;
        let line = self.flow.say.anything_else.clone();
        self.listen_after(vec![line])
    }

    pub(super) fn offer_callback(&mut self) -> Reply {
        self.pending = None;
        self.unmatched = 0;
        self.silent = 0;
        let sorry = self.flow.say.nobody_free.clone();
        let said = self.slot_value(SlotKind::Phone);
        if let Some(number) = said {
            // They said where to reach them; no need to ask again.
            return self.callback_taken_after(sorry, &number);
        }
        let line = match self.caller.number.clone().filter(|n| n.chars().filter(char::is_ascii_digit).count() >= 7) {
            Some(number) => {
                self.focus = Focus::CallbackOffer { number };
                self.flow.say.callback_offer.clone()
            }
            None => {
                self.focus = Focus::Callback;
                self.flow.say.callback_ask.clone()
            }
        };
        self.listen_after(vec![sorry, line])
    }

    pub(super) fn callback_heard(&mut self, heard: &Heard) -> Reply {
        let words = &heard.words;
        if lexicon::wants_repeat(words) {
            let last = self.last.clone();
            return self.listen_after(last);
        }
        if let Some(number) = codes::phone(words) {
            self.keep_phone(&number, Source::Speech, false);
            return self.callback_taken(&number);
        }
        let answer = lexicon::answer(words);
        match self.focus.clone() {
            Focus::CallbackOffer { number }
                if answer == Some(true) || (answer.is_none() && lexicon::means_this_number(words)) =>
            {
                self.keep_phone(&number, Source::Crm, true);
                self.callback_taken(&number)
            }
            Focus::CallbackOffer { .. } if answer == Some(false) && !lexicon::is_done(words) => {
                self.focus = Focus::Callback;
                let line = self.flow.say.callback_ask.clone();
                self.listen_after(vec![line])
            }
            _ if lexicon::is_done(words) || lexicon::does_not_have(words) || answer == Some(false) => {
                self.without_callback()
            }
            _ => self.callback_missed(),
        }
    }

    /// No answer, or none that can be used: asked again once.
    pub(super) fn callback_missed(&mut self) -> Reply {
        self.unmatched += 1;
        if self.unmatched > 1 {
            return self.without_callback();
        }
        let last = self.last.last().cloned().into_iter().collect();
        self.listen_after(last)
    }

    pub(super) fn callback_taken(&mut self, number: &str) -> Reply {
        let thanks = self.fill(&self.flow.say.callback_thanks, &[("phone", Some(number))]);
        let disposition = self.flow.dispositions.callback.clone();
        self.end(vec![thanks], disposition)
    }

    fn callback_taken_after(&mut self, sorry: String, number: &str) -> Reply {
        let mut reply = self.callback_taken(number);
        reply.say.insert(0, sorry);
        reply
    }

    fn without_callback(&mut self) -> Reply {
        let disposition = self.flow.dispositions.unreached.clone();
        self.end(vec![self.flow.say.callback_none.clone()], disposition)
    }

    fn keep_phone(&mut self, number: &str, source: Source, confirmed: bool) {
        if let Some(slot) = self.slot_name(SlotKind::Phone) {
            self.form.set(&slot, number, source, confirmed);
        }
    }
}
