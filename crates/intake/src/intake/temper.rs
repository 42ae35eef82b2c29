//! Frustration and what it leads to: first shorter and softer words, then the offer of a person, then the person. What was
//! said is the evidence and the voice ([`ToneReading`]) only strengthens it: without a word of complaint lately the voice
//! counts for less than an offer needs, and nobody is transferred for it.

use super::listen::{Gained, Heard};
use super::{Focus, Intake};
use crate::api::{Reply, ToneReading, TriggerName};
use crate::understand::lexicon;
use crate::understand::mood::mood;

/// Of the heat of one turn, what is left in the next.
const COOLING: f32 = 0.75;
/// Heat that shows that words of complaint were said lately.
const EVIDENCE: f32 = 0.25;
/// Falls below a step by this much before the step is left.
const HYSTERESIS: f32 = 0.15;

/// The caller's temper as far as it shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Temper {
    /// From words alone, 0 to 1.
    heat: f32,
    /// Words and voice together, 0 to 1.
    level: f32,
    peak: f32,
    tone: ToneReading,
    complaints: usize,
    /// Words of complaint in the last utterance.
    fresh: bool,
    soft: bool,
    softened: bool,
    offered: usize,
    /// Turns until a person may be offered again.
    rest: usize,
}

impl Intake {
    /// What the voice said beside the words that come next to [`Intake::heard`].
    pub fn tone(&mut self, reading: ToneReading) {
        let score = reading.score.clamp(0.0, 1.0);
        self.temper.tone = ToneReading { score: if score.is_finite() { score } else { 0.0 }, ..reading };
    }

    /// How upset the caller is, 0 to 1, words and voice together, and why, in words for an agent.
    pub fn frustration(&self) -> (f32, Vec<String>) {
        let t = &self.temper;
        let mut why = t.tone.plain.clone();
        match t.complaints {
            0 => {}
            1 => why.push("complained once".into()),
            n => why.push(format!("complained {n} times")),
        }
        (t.level, why)
    }

    /// Weighs an utterance.
    pub(super) fn weigh(&mut self, heard: &Heard) {
        if !self.flow.tone.enabled {
            return;
        }
        let mood = mood(&heard.words);
        let t = &mut self.temper;
        let said = 0.35 * mood.complaints.min(2) as f32 + 0.3 * mood.swearing.min(2) as f32;
        let misunderstood = 0.1 * self.unmatched.min(2) as f32;
        t.heat = (t.heat * COOLING + said + if said > 0.0 { misunderstood } else { 0.0 }).min(1.0);
        if mood.content {
            t.heat *= 0.4;
        }
        t.fresh = said > 0.0;
        t.complaints += mood.complaints + mood.swearing;
        let cap = self.flow.tone.offer / 2.0;
        let voice = if t.heat >= EVIDENCE && !mood.content { t.tone.score } else { t.tone.score.min(cap) };
        t.level = t.heat.max(voice);
        t.peak = t.peak.max(t.level);
        t.rest = t.rest.saturating_sub(1);
        let step = self.flow.tone.soften;
        t.soft = t.level >= step || (t.soft && t.level >= step - HYSTERESIS);
    }

    pub(super) fn is_soft(&self) -> bool {
        self.temper.soft
    }

    /// What the caller's temper leads to, before the conversation goes on.
    pub(super) fn tempered(&mut self, heard: &Heard, gained: &mut Gained) -> Option<Reply> {
        let rules = self.flow.tone.clone();
        let level = self.temper.level;
        if !rules.enabled || !self.temper.soft || self.pending.is_some() {
            return None;
        }
        let can_call = self.flow.triggers.contains_key(&TriggerName::Frustration);
        let spoken_for = matches!(self.focus, Focus::CallbackOffer { .. } | Focus::Callback | Focus::Acting);
        if can_call && !spoken_for && self.temper.fresh {
            if level >= rules.transfer && self.temper.offered > 0 {
                self.mark_unsolved();
                self.pend(TriggerName::Frustration);
                return Some(self.step_to_person(std::mem::take(&mut gained.say)));
            }
            if level >= rules.offer && self.temper.rest == 0 {
                if self.focus == Focus::Helped && lexicon::answer(&heard.words) != Some(true) {
                    self.mark_unsolved();
                    self.failed += 1;
                }
                self.temper.offered += 1;
                self.temper.softened = true;
                self.temper.rest = rules.cooldown;
                self.focus = Focus::PersonOffer;
                let line = self.flow.say.offer_person.clone();
                return Some(self.listen_after(vec![line]));
            }
        }
        if !std::mem::replace(&mut self.temper.softened, true) {
            gained.say.insert(0, self.flow.say.soften.clone());
        }
        None
    }

    /// The answer to the offer of a person.
    pub(super) fn offer_answered(&mut self, heard: &Heard, gained: Gained) -> Reply {
        match lexicon::answer(&heard.words) {
            Some(true) => {
                self.pend(TriggerName::Frustration);
                self.step_to_person(gained.say)
            }
            Some(false) => self.step(gained.say),
            None if gained.any => self.step(gained.say),
            None => self.missed(heard),
        }
    }
}
