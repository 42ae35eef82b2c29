//! Beginning and end of a turn, decided from voice activity and, once they are known, from the words. A pure machine:
//! windows of 32 ms in, events out. It knows no clock: its time is the audio's.
//!
//! What must always hold: every `Started` is followed by exactly one of `Ended` and `Dropped`; words are asked for
//! (`Probe`, `Split`) before a turn ends; a turn ends only when its words are known and its silence has lasted.

use crate::Expected;
use crate::words::{Shape, shape};

/// One window of voice activity, in milliseconds.
pub(crate) const WINDOW_MS: u32 = 32;

/// A voice begins at this probability and is gone below the lower one.
const BEGIN: f32 = 0.5;
const KEEP: f32 = 0.35;
/// What stands out of the line's noise by less than this many dB needs so much more probability to be a voice.
const STANDS_OUT_DB: f32 = 6.0;
const IN_NOISE: f32 = 0.3;
/// Below this level (dB of full scale) nothing is a voice.
const INAUDIBLE_DB: f32 = -62.0;

/// Voiced windows that make a beginning (128 ms), and the gap between them that unmakes it.
const BEGIN_WINDOWS: u32 = 4;
const BEGIN_GAP: u32 = 3;
/// A turn whose voice is less than this is none: what follows a split.
const LEAST_VOICE_MS: u32 = 96;

/// Silence after which the words so far are asked for, in the hope that the turn is over.
const PROBE_MS: u32 = 256;
/// Silence that ends a turn whose words are a whole answer, and one whose words hang.
const COMPLETE_MS: u32 = 448;
const HANGING_MS: u32 = 1_280;
/// From here on a turn takes the next chance to end, and here it is split.
const LONG_MS: u32 = 15_000;
const LONGEST_MS: u32 = 20_000;

/// What the endpointer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing new.
    Nothing,
    /// A voice has begun, so many windows ago.
    Started { windows: u32 },
    /// A short silence: find the words so far.
    Probe,
    /// The voice goes on after a probe: its words are not all.
    Resumed,
    /// The turn is over, and its words are those of the probe.
    Ended,
    /// Too long: find the words so far; they are final, and the rest will be a turn of its own.
    Split,
    /// The turn had no voice worth the name.
    Dropped,
}

/// What is known of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    NotAsked,
    Asked,
    Known(Shape),
}

#[derive(Debug)]
enum State {
    Idle { age: u32, voiced: u32, gap: u32 },
    Speaking { length_ms: u32, voiced_ms: u32, silence_ms: u32, recent: u32, words: Words },
}

const IDLE: State = State::Idle { age: 0, voiced: 0, gap: 0 };

/// Follows one ear.
#[derive(Debug)]
pub(crate) struct Endpointer {
    state: State,
    /// Level of the line's own noise, dB of full scale.
    floor_db: Option<f32>,
    open_ms: u32,
}

impl Endpointer {
    /// A turn of which nothing can be told ends after `open_ms` of silence.
    pub fn new(open_ms: u32) -> Self {
        Self { state: IDLE, floor_db: None, open_ms: open_ms.clamp(COMPLETE_MS, HANGING_MS) }
    }

    /// Forgets the turn, not the line's noise.
    pub fn reset(&mut self) {
        self.state = IDLE;
    }

    /// How long it has been silent in this turn.
    pub fn silence_ms(&self) -> u32 {
        match self.state {
            State::Idle { .. } => 0,
            State::Speaking { silence_ms, .. } => silence_ms,
        }
    }

    /// Takes one window: its probability of speech and its level in dB of full scale.
    pub fn window(&mut self, probability: f32, level_db: f32) -> Turn {
        let voiced = self.is_voiced(probability, level_db);
        self.follow_noise(voiced, level_db);
        match &mut self.state {
            State::Idle { age, voiced: count, gap } => {
                if voiced {
                    (*age, *count, *gap) = (*age + 1, *count + 1, 0);
                } else if *count > 0 {
                    (*age, *gap) = (*age + 1, *gap + 1);
                }
                if *gap > BEGIN_GAP {
                    self.state = IDLE;
                    return Turn::Nothing;
                }
                if *count < BEGIN_WINDOWS {
                    return Turn::Nothing;
                }
                let (windows, voiced_ms) = (*age, *count * WINDOW_MS);
                self.state = State::Speaking {
                    length_ms: windows * WINDOW_MS,
                    voiced_ms,
                    silence_ms: 0,
                    recent: u32::MAX,
                    words: Words::NotAsked,
                };
                Turn::Started { windows }
            }
            State::Speaking { length_ms, voiced_ms, silence_ms, recent, words } => {
                *length_ms += WINDOW_MS;
                *recent = *recent << 1 | u32::from(voiced);
                if voiced {
                    *voiced_ms += WINDOW_MS;
                    // One voiced window in a pause is a click, not a voice.
                    let back = *recent & 0b11 == 0b11 || (*recent & 0b11_1111).count_ones() >= 3;
                    if !back {
                        return Turn::Nothing;
                    }
                    *silence_ms = 0;
                    if *words != Words::NotAsked {
                        *words = Words::NotAsked;
                        return Turn::Resumed;
                    }
                } else {
                    *silence_ms += WINDOW_MS;
                }
                self.progress()
            }
        }
    }

    /// The words of the last probe are known (`None`: they could not be found). They may end the turn at once.
    pub fn words(&mut self, text: Option<&str>, expected: Expected) -> Turn {
        if let State::Speaking { words: words @ Words::Asked, .. } = &mut self.state {
            *words = Words::Known(text.map_or(Shape::Open, |text| shape(text, expected)));
            return self.progress();
        }
        Turn::Nothing
    }

    /// The silence that ends this turn.
    pub fn limit_ms(&self) -> u32 {
        match self.state {
            State::Speaking { words: Words::Known(Shape::Complete), .. } => COMPLETE_MS,
            State::Speaking { words: Words::Known(Shape::Hanging), length_ms, .. } if length_ms < LONG_MS => HANGING_MS,
            _ => self.open_ms,
        }
    }

    fn progress(&mut self) -> Turn {
        let limit = self.limit_ms();
        let State::Speaking { length_ms, voiced_ms, silence_ms, words, .. } = &mut self.state else {
            return Turn::Nothing;
        };
        if *silence_ms >= PROBE_MS && *words == Words::NotAsked {
            if *voiced_ms < LEAST_VOICE_MS {
                self.state = IDLE;
                return Turn::Dropped;
            }
            *words = Words::Asked;
            return Turn::Probe;
        }
        if matches!(words, Words::Known(_)) && *silence_ms >= limit {
            self.state = IDLE;
            return Turn::Ended;
        }
        if *length_ms >= LONGEST_MS && *words == Words::NotAsked {
            (*length_ms, *voiced_ms, *silence_ms) = (0, 0, 0);
            return Turn::Split;
        }
        Turn::Nothing
    }

    fn is_voiced(&self, probability: f32, level_db: f32) -> bool {
        let least = if matches!(self.state, State::Idle { .. }) { BEGIN } else { KEEP };
        let drowned = self.floor_db.is_some_and(|floor| level_db < floor + STANDS_OUT_DB);
        probability >= if drowned { least + IN_NOISE } else { least } && level_db > INAUDIBLE_DB
    }

    /// The floor falls at once and rises slowly (about 3 s), and never under a voice.
    fn follow_noise(&mut self, voiced: bool, level_db: f32) {
        let level = level_db.clamp(-80.0, -25.0);
        self.floor_db = match self.floor_db {
            None if voiced => None,
            None => Some(level),
            Some(floor) if level < floor => Some(floor + (level - floor) * 0.5),
            Some(floor) if voiced => Some(floor),
            Some(floor) => Some(floor + (level - floor) * 0.03),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOICE: (f32, f32) = (0.9, -20.0);
    const SILENCE: (f32, f32) = (0.05, -60.0);

    fn machine() -> Endpointer {
        Endpointer::new(608)
    }

    /// Feeds `ms` of one kind; every event but `Nothing`.
    fn feed(e: &mut Endpointer, ms: u32, (probability, level): (f32, f32)) -> Vec<Turn> {
        (0..ms / WINDOW_MS).map(|_| e.window(probability, level)).filter(|t| *t != Turn::Nothing).collect()
    }

    fn started(windows: u32) -> Turn {
        Turn::Started { windows }
    }

    #[test]
    fn a_turn_starts_is_probed_and_ends() {
        let mut e = machine();
        assert_eq!(feed(&mut e, 1_600, VOICE), [started(4)]);
        assert_eq!(feed(&mut e, 256, SILENCE), [Turn::Probe]);
        assert_eq!(e.words(Some("Where is my order?"), Expected::Anything), Turn::Nothing);
        assert_eq!(feed(&mut e, 352, SILENCE), [Turn::Ended]);
        assert_eq!(feed(&mut e, 3_000, SILENCE), []);
    }

    #[test]
    fn a_whole_answer_ends_sooner_and_hanging_words_later() {
        for (text, expected, silence_ms) in [
            (Some("Yes."), Expected::YesNo, 448),
            (Some("Where is my order?"), Expected::Anything, 608),
            (Some("My order number is"), Expected::Anything, 1_280),
            (None, Expected::Anything, 608),
        ] {
            let mut e = machine();
            feed(&mut e, 960, VOICE);
            assert_eq!(feed(&mut e, 256, SILENCE), [Turn::Probe]);
            assert_eq!(e.words(text, expected), Turn::Nothing);
            let more = (1..100).find(|_| e.window(SILENCE.0, SILENCE.1) == Turn::Ended).unwrap() * WINDOW_MS;
            assert_eq!(256 + more, silence_ms, "{text:?}");
        }
    }

    #[test]
    fn slow_words_end_the_turn_when_they_come_and_a_voice_meanwhile_goes_on() {
        let mut e = machine();
        feed(&mut e, 960, VOICE);
        assert_eq!(feed(&mut e, 1_024, SILENCE), [Turn::Probe], "no end without words");
        assert_eq!(e.words(Some("Yes."), Expected::YesNo), Turn::Ended);

        feed(&mut e, 960, VOICE);
        assert_eq!(feed(&mut e, 1_024, SILENCE), [Turn::Probe]);
        assert_eq!(feed(&mut e, 320, VOICE), [Turn::Resumed]);
        assert_eq!(e.words(Some("Yes."), Expected::YesNo), Turn::Nothing, "words of a shorter turn");
        assert_eq!(feed(&mut e, 1_024, SILENCE), [Turn::Probe]);
    }

    #[test]
    fn a_pause_inside_is_no_end_and_a_click_no_voice() {
        let mut e = machine();
        assert_eq!(feed(&mut e, 96, VOICE), [], "a click");
        assert_eq!(feed(&mut e, 640, SILENCE), []);
        feed(&mut e, 960, VOICE);
        assert_eq!(feed(&mut e, 320, SILENCE), [Turn::Probe]);
        assert_eq!(feed(&mut e, 32, VOICE), [], "a click in the pause");
        assert_eq!(feed(&mut e, 64, SILENCE), []);
        assert_eq!(feed(&mut e, 96, VOICE), [Turn::Resumed]);
        assert_eq!(feed(&mut e, 640, SILENCE), [Turn::Probe]);
        assert_eq!(e.words(None, Expected::Anything), Turn::Ended);
    }

    #[test]
    fn two_short_syllables_are_a_voice() {
        let mut e = machine();
        let mut seen = feed(&mut e, 64, VOICE);
        seen.extend(feed(&mut e, 64, SILENCE));
        seen.extend(feed(&mut e, 64, VOICE));
        assert_eq!(seen, [started(6)], "counted from the first");
    }

    #[test]
    fn noise_is_no_voice_and_does_not_keep_a_turn_open() {
        let noise = (0.6, -35.0);
        let mut e = machine();
        feed(&mut e, 3_200, (0.1, -35.0));
        assert_eq!(feed(&mut e, 3_200, noise), [], "no louder than the line itself");
        assert_eq!(feed(&mut e, 640, VOICE), [started(4)]);
        assert_eq!(feed(&mut e, 640, noise), [Turn::Probe], "what is left is the line's noise");
        let mut quiet = machine();
        assert_eq!(feed(&mut quiet, 640, (0.9, -70.0)), [], "inaudible");
        assert_eq!(feed(&mut quiet, 640, (0.6, -35.0)), [started(4)], "a soft voice on a quiet line");
    }

    #[test]
    fn nobody_talks_for_ever() {
        let mut e = machine();
        assert_eq!(feed(&mut e, 45_000, VOICE), [started(4), Turn::Split, Turn::Split]);
        // Right after a split, silence is no turn.
        let mut e = machine();
        while e.window(VOICE.0, VOICE.1) != Turn::Split {}
        assert_eq!(feed(&mut e, 1_000, SILENCE), [Turn::Dropped]);
        // Long turns do not wait for hanging words.
        let mut e = machine();
        feed(&mut e, 16_000, VOICE);
        assert_eq!(feed(&mut e, 640, SILENCE), [Turn::Probe]);
        assert_eq!(e.words(Some("and my"), Expected::Anything), Turn::Ended);
    }

    proptest::proptest! {
        /// Whatever comes in, starts and ends alternate, and nothing ends without its words.
        #[test]
        fn turns_are_well_formed(steps in proptest::collection::vec((0f32..1.0, -80f32..0.0, 0u8..12), 0..400)) {
            let mut e = machine();
            let (mut open, mut asked) = (false, false);
            for (probability, level, answer) in steps {
                let mut events = vec![e.window(probability, level)];
                if answer == 0 {
                    events.push(e.words(Some("and"), Expected::Anything));
                }
                for event in events {
                    match event {
                        Turn::Nothing => {}
                        Turn::Started { .. } => { proptest::prop_assert!(!open); open = true; }
                        Turn::Probe => { proptest::prop_assert!(open && !asked); asked = true; }
                        Turn::Resumed => { proptest::prop_assert!(open && asked); asked = false; }
                        Turn::Split => proptest::prop_assert!(open && !asked),
                        Turn::Ended => { proptest::prop_assert!(open && asked); (open, asked) = (false, false); }
                        Turn::Dropped => { proptest::prop_assert!(open && !asked); open = false; }
                    }
                }
            }
        }
    }
}
