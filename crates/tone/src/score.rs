//! The fused score of one call, and the level it stands for.
//!
//! What must always hold, whatever the config and the features: the voice alone never raises the level above
//! [`Level::Soften`], for that takes words or turns of the same utterance; the score is a number from 0 to 100; nothing is
//! learnt for the baseline from an utterance that was spoken over us, for it may hold our own voice's echo.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Features;
use crate::baseline::{self, Baseline, Distance};
use crate::config::{Band, Config};
use crate::lexicon::{Lexicon, Mood};
use crate::repeats::Said;
use crate::why::{self, Reason, Term};

/// Terms with fewer points are forgotten, and not told.
const FORGOTTEN: f32 = 1.0;
/// What the voice told last fades so at an utterance without features (too short, or off).
const UNHEARD: f32 = 0.7;
/// The slope is taken over so many measured turns.
const SLOPE_TURNS: usize = 3;
/// A rise of the arousal by this at each of them is worth the slope's full points.
const FULL_SLOPE: f32 = 0.4;

/// One utterance of the caller, as the gateway knows it.
#[derive(Debug, Clone, Copy, Default)]
pub struct UtteranceInput<'a> {
    /// Of its audio. `None`: too short, or the voice is switched off.
    pub features: Option<Features>,
    /// Its words.
    pub text: &'a str,
    /// The caller had to say it again, by the conversation's own account. Repeats in the words are found here.
    pub repeated: bool,
    /// We did not understand it, or had understood the last one wrong.
    pub misunderstood: bool,
    /// It began while we were speaking.
    pub interrupted: bool,
}

/// What to do. Each is reached through the score alone; asking for a person and words of distress act at once elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Level {
    /// Go on.
    #[default]
    Calm,
    /// Shorten, soften, say sorry.
    Soften,
    /// Offer a person.
    OfferPerson,
    /// Give the call to a person.
    Transfer,
}

/// What an utterance told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// 0 to 100.
    pub score: f32,
    /// The highest score of the call.
    pub peak: f32,
    /// What the score stands for.
    pub level: Level,
    /// Whether the level was reached with this utterance: act on it now, and not at every utterance that follows.
    pub rose: bool,
    /// What the score is made of, most points first. Empty when calm.
    pub why: Vec<Reason>,
}

impl Reading {
    /// For the log and the record: "6 dB louder than at the start; repeated twice".
    pub fn words(&self) -> String {
        self.why.iter().map(|r| r.words.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// For the agent, without figures: "The caller speaks much louder than at the start and had to repeat something twice."
    /// Empty when there is nothing to tell.
    pub fn plain(&self) -> String {
        let reasons: Vec<&str> = self.why.iter().map(|r| r.plain.as_str()).collect();
        if reasons.is_empty() { String::new() } else { format!("The caller {}.", why::list(&reasons)) }
    }
}

/// Points of a term of words or turns, and how often it was met.
#[derive(Debug, Clone, Default)]
struct Kept {
    points: f32,
    count: u32,
    quote: String,
}

const KEPT: [Term; 5] = [Term::Complaint, Term::Profanity, Term::Repeated, Term::Misunderstood, Term::Interrupted];

/// The mood of one caller in one call. One owner; not for agents.
#[derive(Debug, Clone)]
pub struct Frustration {
    config: Arc<Config>,
    lexicon: Arc<Lexicon>,
    baseline: Baseline,
    said: Said,
    kept: [Kept; KEPT.len()],
    arousals: VecDeque<f32>,
    voice: f32,
    absolute: f32,
    last: Option<Distance>,
    level: Level,
    over_transfer: bool,
    peak: f32,
    utterances: u32,
    /// For offer and transfer: the utterance from which on it may be entered again.
    barred: [u32; 2],
}

/// What one utterance's words and turns are worth.
struct Fresh {
    points: f32,
    words: Words,
}

#[derive(Clone, Copy, PartialEq)]
enum Words {
    Negative,
    Neutral,
    Positive,
}

impl Frustration {
    /// A call begins. English words.
    pub fn new(config: impl Into<Arc<Config>>) -> Self {
        Self::with_lexicon(config, Lexicon::english())
    }

    /// A call in another language, or with other phrases.
    pub fn with_lexicon(config: impl Into<Arc<Config>>, lexicon: Arc<Lexicon>) -> Self {
        Self {
            config: config.into(),
            lexicon,
            baseline: Baseline::default(),
            said: Said::default(),
            kept: Default::default(),
            arousals: VecDeque::with_capacity(SLOPE_TURNS),
            voice: 0.0,
            absolute: 0.0,
            last: None,
            level: Level::Calm,
            over_transfer: false,
            peak: 0.0,
            utterances: 0,
            barred: [0; 2],
        }
    }

    /// The caller said something.
    pub fn utterance(&mut self, input: UtteranceInput<'_>) -> Reading {
        self.utterances = self.utterances.saturating_add(1);
        let config = Arc::clone(&self.config);
        let fresh = self.take_words_and_turns(&input, &config);
        // Our own line may echo in what is spoken over it.
        let features = input.features.filter(|_| config.voice && !input.interrupted);
        let cues = features.as_ref().and_then(baseline::cues);
        let mut voice = self.take_voice(cues.as_ref(), &config);
        // Happy people are loud as well: without words that say otherwise the voice is worth half a threshold at most. Beside
        // thanks it is not even worth an apology.
        let threshold = match fresh.words {
            Words::Negative => None,
            Words::Neutral => Some(config.levels.transfer.on),
            Words::Positive => Some(config.levels.soften.on),
        };
        if let Some(threshold) = threshold {
            cap(&mut voice, 0.5 * points(threshold));
        }
        let voice_total: f32 = voice.iter().map(|r| r.points).sum();
        let kept: f32 = self.kept.iter().map(|k| k.points).sum();
        let score = points(kept + voice_total);
        self.peak = self.peak.max(score);
        if let Some(cues) = &cues {
            let calm = score < config.levels.soften.off;
            self.baseline.learn(cues, calm, fresh.points == 0.0, &config.tone);
        }
        let rose = self.move_level(score, fresh.points > 0.0, &config);
        Reading { score, peak: self.peak, level: self.level, rose, why: self.why(voice) }
    }

    /// The caller was offered a person and does not want one: not again for a while, and what was is half forgiven.
    pub fn offer_declined(&mut self) {
        self.kept.iter_mut().for_each(|k| k.points *= 0.5);
        let until = self.utterances.saturating_add(1).saturating_add(self.config.levels.cooldown);
        // Then it is offered again before it is done.
        self.barred = [until, until.saturating_add(1)];
        self.level = self.level.min(Level::Soften);
        self.over_transfer = false;
    }

    fn take_words_and_turns(&mut self, input: &UtteranceInput<'_>, config: &Config) -> Fresh {
        let hits = self.lexicon.hits(input.text);
        let (w, t) = (&config.words, &config.turns);
        let words = match hits.iter().all(|h| h.mood == Mood::Positive) {
            false => Words::Negative,
            true if hits.is_empty() => Words::Neutral,
            true => Words::Positive,
        };
        let keep = part(config.memory);
        let relief = if words == Words::Positive { part(config.relief) } else { 1.0 };
        for kept in &mut self.kept {
            kept.points *= keep * relief;
            if kept.points < FORGOTTEN {
                *kept = Kept::default();
            }
        }
        let mut total = 0.0;
        let mut left = points(w.cap);
        for (mood, worth) in [
            (Mood::ComplaintStrong, w.complaint_strong),
            (Mood::ComplaintMild, w.complaint_mild),
            (Mood::ProfanityStrong, w.profanity_strong),
            (Mood::ProfanityMild, w.profanity_mild),
            (Mood::Repeats, w.repeats),
        ] {
            for hit in hits.iter().filter(|h| h.mood == mood).take(2) {
                let worth = points(worth).min(left);
                left -= worth;
                total += worth;
                let at = match mood {
                    Mood::ComplaintStrong | Mood::ComplaintMild => 0,
                    Mood::ProfanityStrong | Mood::ProfanityMild => 1,
                    Mood::Repeats | Mood::Positive => 2,
                };
                self.keep(at, worth, if at == 0 { &hit.words } else { "" });
            }
        }
        let says_so = hits.iter().any(|h| h.mood == Mood::Repeats);
        let repeated = self.said.repeats(input.text) || input.repeated;
        for (at, met, worth) in [
            // Who says "I already told you" and says it again repeats once.
            (2, repeated && !says_so, t.repeated),
            (3, input.misunderstood, t.misunderstood),
            (4, input.interrupted, t.interrupted),
        ] {
            if met {
                self.keep(at, points(worth), "");
                total += points(worth);
            }
        }
        Fresh { points: total, words }
    }

    fn keep(&mut self, at: usize, worth: f32, quote: &str) {
        let kept = &mut self.kept[at];
        kept.points = points(kept.points + worth);
        kept.count = kept.count.saturating_add(1);
        if !quote.is_empty() {
            quote.clone_into(&mut kept.quote);
        }
    }

    /// The voice's terms, smoothed and capped.
    fn take_voice(&mut self, cues: Option<&baseline::Cues>, config: &Config) -> Vec<Reason> {
        let tone = &config.tone;
        let Some(cues) = cues else {
            self.voice *= UNHEARD;
            self.absolute *= UNHEARD;
            return self.voice_reasons(0.0, config);
        };
        let distance = self.baseline.distance(cues, tone);
        let smoothing = part(tone.smoothing);
        let relative = ((distance.arousal - 0.15) / 0.85).clamp(0.0, 1.0) * distance.trust * points(tone.cap);
        let absolute = Baseline::absolute(cues) * points(tone.absolute_cap);
        self.voice += smoothing * (points(relative) - self.voice);
        self.absolute += smoothing * (points(absolute) - self.absolute);
        if self.arousals.len() == SLOPE_TURNS {
            self.arousals.pop_front();
        }
        self.arousals.push_back(distance.arousal * distance.trust);
        self.last = Some(distance);
        let slope = match (self.arousals.front(), self.arousals.back()) {
            (Some(first), Some(last)) if self.arousals.len() == SLOPE_TURNS => {
                (last - first) / (SLOPE_TURNS - 1) as f32
            }
            _ => 0.0,
        };
        self.voice_reasons((slope / FULL_SLOPE).clamp(0.0, 1.0) * points(tone.slope_cap), config)
    }

    fn voice_reasons(&self, rising: f32, config: &Config) -> Vec<Reason> {
        let distance = self.last.unwrap_or_default();
        // Two views of one voice: the stronger counts.
        let main = if self.absolute > self.voice {
            why::from_the_start(self.absolute)
        } else {
            why::voice(self.voice, &distance)
        };
        let mut all = vec![main, why::rises(rising)];
        cap(&mut all, points(config.tone.cap));
        all
    }

    /// Moves the level; whether it rose.
    fn move_level(&mut self, score: f32, fresh: bool, config: &Config) -> bool {
        let levels = &config.levels;
        let bands =
            [(Level::Soften, levels.soften), (Level::OfferPerson, levels.offer), (Level::Transfer, levels.transfer)];
        let was_over = std::mem::replace(&mut self.over_transfer, score >= levels.transfer.on && fresh);
        let before = self.level;
        let may = |level: Level, band: Band| {
            if level <= before {
                return score >= band.off;
            }
            let barred = match level {
                Level::Calm | Level::Soften => return score >= band.on,
                Level::OfferPerson => self.barred[0],
                Level::Transfer => self.barred[1],
            };
            // A person comes into it only for what was said or happened in this very utterance.
            let reached = match level {
                Level::Transfer => score >= levels.hard || (score >= band.on && was_over),
                _ => score >= band.on,
            };
            fresh && reached && self.utterances >= barred
        };
        let level = bands.into_iter().filter(|(level, band)| may(*level, *band)).map(|(level, _)| level).max();
        self.level = level.unwrap_or(Level::Calm);
        for (at, level) in [Level::OfferPerson, Level::Transfer].into_iter().enumerate() {
            if before >= level && self.level < level {
                self.barred[at] = self.utterances.saturating_add(levels.cooldown);
            }
        }
        self.level > before
    }

    fn why(&self, voice: Vec<Reason>) -> Vec<Reason> {
        let kept = KEPT.iter().zip(&self.kept).map(|(term, k)| term.reason(k.points, k.count, &k.quote));
        let mut all: Vec<Reason> = kept.chain(voice).filter(|r| r.points >= FORGOTTEN).collect();
        all.sort_by(|a, b| b.points.total_cmp(&a.points));
        all
    }
}

/// Points as they may be: a number from 0 to 100. What is no number is 0.
fn points(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 100.0) }
}

/// A part as it may be: from 0 to 1. What is no number is 0.
fn part(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

/// Cuts reasons down to so many points together, beginning with the last.
fn cap(reasons: &mut [Reason], most: f32) {
    let mut left = most;
    for reason in reasons {
        reason.points = points(reason.points).min(left);
        left -= reason.points;
    }
}
