//! The weights. All of them are set by hand; nothing here was fitted.
//!
//! Directions and sizes of the voice's terms follow P. Juslin & P. Laukka, "Communication of emotions in vocal expression and
//! music performance", Psychological Bulletin 129, 2003 (anger: louder, higher, livelier, faster, more power in the high
//! frequencies) and R. Banse & K. Scherer, "Acoustic profiles in vocal emotion expression", JPSP 70, 1996. That the words get
//! more points than the voice follows what call-centre studies found together: words and voice complete each other, and the
//! voice by itself cannot tell anger from joy or fear.

use serde::{Deserialize, Serialize};

/// How a mood is scored. Points are from 0 to 100.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether the voice counts at all. Off: words and turns only; hand in no features, and say no disclosure.
    pub voice: bool,
    /// What a caller is told at the start when the voice counts. Empty: nothing.
    pub disclosure: String,
    /// The voice.
    pub tone: ToneConfig,
    /// The words.
    pub words: WordsConfig,
    /// The turns.
    pub turns: TurnsConfig,
    /// Where the levels begin and end.
    pub levels: LevelsConfig,
    /// What is left of the points of words and turns at each further utterance, 0 to 1.
    pub memory: f32,
    /// What a contented utterance leaves of them, 0 to 1.
    pub relief: f32,
}

/// What the voice is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToneConfig {
    /// Most points of all that the voice tells together.
    pub cap: f32,
    /// Most points of the absolute term, for callers who start angry.
    pub absolute_cap: f32,
    /// Most points for a voice that rises over three turns.
    pub slope_cap: f32,
    /// How much of a change is taken over at each utterance, 0 to 1.
    pub smoothing: f32,
    /// Utterances the baseline is the median of.
    pub baseline: usize,
    /// Utterances without a complaint after which a lively voice is taken for the speaker's own.
    pub patience: usize,
    /// Louder: dB.
    pub level: Cue,
    /// Higher: semitones of the median F0.
    pub pitch: Cue,
    /// Livelier: semitones of F0's standard deviation.
    pub melody: Cue,
    /// More pressed: dB of the alpha ratio.
    pub press: Cue,
    /// Faster: syllables a second.
    pub rate: Cue,
    /// Rougher: dB of the harmonics-to-noise ratio, downwards.
    pub rough: Cue,
}

/// One dimension of the voice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cue {
    /// Its part of the whole.
    pub weight: f32,
    /// A change that calm speech has from one sentence to the next; it counts nothing.
    pub still: f32,
    /// The change of an angry voice; it counts full.
    pub full: f32,
}

/// What words are worth. Each is worth it at most twice in one utterance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WordsConfig {
    /// "This is ridiculous."
    pub complaint_strong: f32,
    /// "I am disappointed."
    pub complaint_mild: f32,
    /// Aimed.
    pub profanity_strong: f32,
    /// "Damn."
    pub profanity_mild: f32,
    /// "I already told you."
    pub repeats: f32,
    /// Most points of the words of one utterance.
    pub cap: f32,
}

/// What turns are worth, each time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnsConfig {
    /// The caller says the same again, or the same in other words.
    pub repeated: f32,
    /// We did not understand.
    pub misunderstood: f32,
    /// The caller speaks over us.
    pub interrupted: f32,
}

/// Where the levels begin and end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LevelsConfig {
    /// Shorten and soften.
    pub soften: Band,
    /// Offer a person.
    pub offer: Band,
    /// Transfer. Begins when the score was there in two utterances one after the other.
    pub transfer: Band,
    /// Begins the transfer at once.
    pub hard: f32,
    /// Utterances after which a level that was left may be entered again, or a person offered again.
    pub cooldown: u32,
}

/// A level's ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// It begins at this score.
    pub on: f32,
    /// It is left below this one.
    pub off: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            voice: true,
            disclosure: "I listen to how you speak as well as to what you say, so that I can find you a person sooner."
                .into(),
            tone: ToneConfig::default(),
            words: WordsConfig::default(),
            turns: TurnsConfig::default(),
            levels: LevelsConfig::default(),
            memory: 0.75,
            relief: 0.6,
        }
    }
}

impl Default for ToneConfig {
    fn default() -> Self {
        Self {
            cap: 40.0,
            absolute_cap: 16.0,
            slope_cap: 8.0,
            smoothing: 0.6,
            baseline: 5,
            patience: 4,
            level: Cue { weight: 0.3, still: 2.0, full: 8.0 },
            pitch: Cue { weight: 0.25, still: 1.0, full: 5.0 },
            melody: Cue { weight: 0.1, still: 0.7, full: 2.0 },
            press: Cue { weight: 0.2, still: 1.5, full: 5.0 },
            rate: Cue { weight: 0.1, still: 0.5, full: 1.5 },
            rough: Cue { weight: 0.05, still: 1.5, full: 5.0 },
        }
    }
}

impl Default for WordsConfig {
    fn default() -> Self {
        Self {
            complaint_strong: 18.0,
            complaint_mild: 9.0,
            profanity_strong: 20.0,
            profanity_mild: 8.0,
            repeats: 10.0,
            cap: 45.0,
        }
    }
}

impl Default for TurnsConfig {
    fn default() -> Self {
        Self { repeated: 8.0, misunderstood: 8.0, interrupted: 3.0 }
    }
}

impl Default for LevelsConfig {
    fn default() -> Self {
        Self {
            soften: Band { on: 20.0, off: 12.0 },
            offer: Band { on: 40.0, off: 28.0 },
            transfer: Band { on: 60.0, off: 45.0 },
            hard: 80.0,
            cooldown: 3,
        }
    }
}

/// A weight that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} {why}")]
pub struct ConfigError {
    /// Which, as it is written in TOML.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub why: String,
}

impl Config {
    /// Refuses what cannot be meant, naming the first such key. `baton check` calls it; [`Frustration`](crate::Frustration) takes
    /// any config and never transfers on the voice alone whatever stands in it.
    pub fn check(&self) -> Result<(), ConfigError> {
        let t = &self.tone;
        let fail = |key: &str, why: String| Err(ConfigError { key: key.to_owned(), why });
        for (key, value) in [("memory", self.memory), ("relief", self.relief)] {
            if !(0.0..1.0).contains(&value) {
                return fail(key, format!("is {value}, but must be at least 0 and below 1"));
            }
        }
        if !(t.smoothing > 0.0 && t.smoothing <= 1.0) {
            return fail("tone.smoothing", format!("is {}, but must be above 0 and at most 1", t.smoothing));
        }
        if !(3..=5).contains(&t.baseline) {
            return fail("tone.baseline", format!("is {}, but must be from 3 to 5", t.baseline));
        }
        for (key, points) in self.points() {
            if !(0.0..=100.0).contains(&points) {
                return fail(key, format!("is {points}, but points are from 0 to 100"));
            }
        }
        for (name, cue) in t.cues() {
            if !(cue.weight >= 0.0 && cue.weight.is_finite()) {
                return fail(&format!("tone.{name}.weight"), format!("is {}, but must be 0 or more", cue.weight));
            }
            if !(cue.still >= 0.0 && cue.full > cue.still && cue.full.is_finite()) {
                let why = format!("goes from {} to {}, but `full` must be above `still`", cue.still, cue.full);
                return fail(&format!("tone.{name}"), why);
            }
        }
        if t.cues().iter().map(|(_, c)| c.weight).sum::<f32>() <= 0.0 {
            return fail("tone", "gives no cue any weight; to leave the voice out, set voice = false".to_owned());
        }
        let l = &self.levels;
        let bands = [("soften", l.soften, 0.0), ("offer", l.offer, l.soften.on), ("transfer", l.transfer, l.offer.on)];
        for (name, band, below) in bands {
            if !(band.off > 0.0 && band.off <= band.on && band.on <= 100.0) {
                let why =
                    format!("begins at {} and is left below {}: both from 0 to 100, off below on", band.on, band.off);
                return fail(&format!("levels.{name}"), why);
            }
            if band.on <= below {
                return fail(
                    &format!("levels.{name}.on"),
                    format!("is {}, but the level before begins at {below}", band.on),
                );
            }
        }
        if !(l.hard >= l.transfer.on && l.hard <= 100.0) {
            let why = format!("is {}, but must be from transfer.on ({}) to 100", l.hard, l.transfer.on);
            return fail("levels.hard", why);
        }
        Ok(())
    }

    fn points(&self) -> [(&'static str, f32); 12] {
        let (t, w, n) = (&self.tone, &self.words, &self.turns);
        [
            ("tone.cap", t.cap),
            ("tone.absolute_cap", t.absolute_cap),
            ("tone.slope_cap", t.slope_cap),
            ("words.complaint_strong", w.complaint_strong),
            ("words.complaint_mild", w.complaint_mild),
            ("words.profanity_strong", w.profanity_strong),
            ("words.profanity_mild", w.profanity_mild),
            ("words.repeats", w.repeats),
            ("words.cap", w.cap),
            ("turns.repeated", n.repeated),
            ("turns.misunderstood", n.misunderstood),
            ("turns.interrupted", n.interrupted),
        ]
    }
}

impl LevelsConfig {
    /// A score on another scale from 0 to 1, on which the three levels begin at these steps. For a room that has steps of its own
    /// (a flow's), so that both mean the same by them.
    pub fn on_steps(&self, score: f32, steps: [f32; 3]) -> f32 {
        let ours = [0.0, self.soften.on, self.offer.on, self.transfer.on, 100.0];
        let theirs = [0.0, steps[0], steps[1], steps[2], 1.0];
        let pieces = ours.windows(2).zip(theirs.windows(2));
        let on = pieces.filter(|(our, _)| score >= our[0] && our[1] > our[0]).last();
        on.map_or(0.0, |(our, their)| their[0] + (score - our[0]) / (our[1] - our[0]) * (their[1] - their[0]))
            .clamp(0.0, 1.0)
    }
}

impl ToneConfig {
    /// The cues under their names in TOML.
    pub fn cues(&self) -> [(&'static str, Cue); 6] {
        [
            ("level", self.level),
            ("pitch", self.pitch),
            ("melody", self.melody),
            ("press", self.press),
            ("rate", self.rate),
            ("rough", self.rough),
        ]
    }
}
