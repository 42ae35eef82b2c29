//! Who is calling: names, the contact behind the number, who speaks for whom.

use super::listen::{Gained, Heard};
use super::{Focus, Intake};
use crate::form::Source;
use crate::raw::SlotKind;
use crate::understand::lexicon;
use crate::understand::names::{self, ThirdParty};

impl Intake {
    pub(super) fn take_people(&mut self, heard: &Heard, gained: &mut Gained) {
        let words = &heard.words;
        let answer = lexicon::answer(words);
        let asked_identity = self.focus == Focus::Identity;
        let asked_holder = self.asks_for(SlotKind::AccountHolder);
        let kin = || (asked_identity || asked_holder).then(|| names::kin_of_holder(words)).flatten();
        let third = names::third_party(words).or_else(kin);
        if let Some(third) = third {
            self.set_third_party(third, asked_identity);
            gained.any = true;
        } else if let Some(own) = lexicon::claims_account(words).or(answer.filter(|_| asked_holder)) {
            self.set_holder(own, Source::Speech);
            gained.any = true;
        }
        if self.account_holder() == Some(false)
            && let Some(name) = names::holder_named(words)
        {
            self.form.set("holder_name", name, Source::Speech, false);
            gained.any = true;
        }
        if self.focus == Focus::HolderName {
            if self.form.text("holder_name").is_none()
                && let Some(name) = names::answered(words)
            {
                self.form.set("holder_name", name, Source::Speech, false);
                gained.any = true;
            }
            return;
        }
        let asked_name = self.asks_for(SlotKind::PersonName);
        if answer.is_none()
            && words.len() <= 4
            && let (Some(known), Some(full)) = (self.slot_value(SlotKind::PersonName), names::answered(words))
            && names::first(&full).is_some_and(|f| f.eq_ignore_ascii_case(&known))
        {
            // The family name comes a turn after the given name.
            self.set_name(full);
            gained.any = true;
            return;
        }
        let name = if asked_name || (asked_identity && answer != Some(true)) {
            names::answered(words)
        } else {
            names::introduced(words)
        };
        // "No, Ellen is my client, I'm her carer": the name of whom they call for is not theirs.
        let others = self.account_holder() == Some(false) && asked_identity;
        let name = name.filter(|n| !(others && self.contact.as_ref().is_some_and(|c| names::same(n, &c.name))));
        if let Some(name) = name {
            let known = self.slot_value(SlotKind::PersonName);
            // "Yes, this is Dave Chang": who agrees to be the contact and gives half the name right is the contact.
            let agrees = asked_identity && answer == Some(true) && names::introduced(words).is_some();
            if agrees && self.contact.as_ref().is_some_and(|c| names::same_in_part(&name, &c.name)) {
                self.identify(Source::Speech);
                gained.any = true;
                return;
            }
            let named_anew = !self.identified && names::says_name(words);
            if named_anew || known.is_none() || asked_name || asked_identity || lexicon::corrects(words) {
                self.set_name(name);
                gained.any = true;
            }
        } else if asked_identity && self.account_holder() != Some(false) {
            self.identity_answered(answer, heard, gained);
        }
    }

    fn identity_answered(&mut self, answer: Option<bool>, heard: &Heard, gained: &mut Gained) {
        let Some(contact) = self.contact.clone() else { return };
        let says_name = names::answered(&heard.words).is_some_and(|n| names::same(&n, &contact.name));
        match answer {
            Some(true) => self.identify(Source::Crm),
            None if says_name => self.identify(Source::Speech),
            Some(false) => {
                self.stranger = true;
                self.identified = false;
            }
            None => return,
        }
        gained.any = true;
    }

    /// The caller is the contact.
    fn identify(&mut self, source: Source) {
        let Some(contact) = &self.contact else { return };
        self.identity_agreed = true;
        self.identified = self.mismatched.is_empty();
        self.stranger = false;
        let name = contact.name.clone();
        if let Some(slot) = self.slot_name(SlotKind::PersonName) {
            self.form.set(&slot, name, source, true);
        }
        self.set_holder(true, source);
    }

    fn set_name(&mut self, name: String) {
        let Some(slot) = self.slot_name(SlotKind::PersonName) else { return };
        if !self.match_name(&name) {
            self.form.set(&slot, name, Source::Speech, false);
        }
    }

    /// Compares a spoken name with the contact's. Agreement identifies the caller, unless they speak for someone else.
    pub(super) fn match_name(&mut self, name: &str) -> bool {
        let Some(contact) = &self.contact else { return false };
        let same = names::same(name, &contact.name);
        // Behind the number is a person; behind a name or an order found later must be the full name.
        let enough = contact.matched_by == "caller_id" || names::same_in_full(name, &contact.name);
        if !(same && enough) {
            self.stranger = !same;
            return false;
        }
        if self.account_holder() == Some(false) {
            self.stranger = false;
            let known = contact.name.clone();
            if let Some(slot) = self.slot_name(SlotKind::PersonName) {
                self.form.set(&slot, known, Source::Speech, true);
            }
            return true;
        }
        self.identify(Source::Speech);
        true
    }

    fn set_holder(&mut self, own: bool, source: Source) {
        if let Some(slot) = self.slot_name(SlotKind::AccountHolder) {
            self.form.set(&slot, if own { "yes" } else { "no" }, source, true);
        }
        if !own {
            self.identified = false;
        }
    }

    fn set_third_party(&mut self, third: ThirdParty, of_contact: bool) {
        self.set_holder(false, Source::Speech);
        if let Some(relation) = third.relation {
            self.form.set("relation", relation, Source::Speech, false);
        }
        if let Some(holder) = third.holder {
            self.form.set("holder_name", holder, Source::Speech, false);
        } else if of_contact && let Some(contact) = &self.contact {
            let name = contact.name.clone();
            self.form.set("holder_name", name, Source::Crm, true);
        }
        if of_contact {
            self.stranger = true;
        }
    }
}
