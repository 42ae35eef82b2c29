//! The end of a turn, decided from voice activity and, once they are known, from the words. Pure: windows in, events out.
//!
//! The wait is short after a whole answer to what was asked, longer while the words hang or a number is unfinished, and
//! never shorter than what a breath takes nor longer than what a caller endures.

use crate::Expected;
use crate::shape::{Shape, shape};

/// One window of voice activity, in milliseconds.
pub const WINDOW_MS: u32 = 32;

/// A voice begins at this probability, for so many windows in a row, and is gone below the lower one.
const START: f32 = 0.5;
const START_WINDOWS: u32 = 3;
const KEEP: f32 = 0.35;

/// Silence after which the words so far are transcribed, in the hope that the turn is over.
const PROBE_MS: u32 = 192;
/// Silence that ends a turn, by the shape of its words. `END_MS` also while nothing is known of them.
const END_COMPLETE_MS: u32 = 224;
const END_SENTENCE_MS: u32 = 448;
const END_MS: u32 = 608;
const END_HANGING_MS: u32 = 800;
/// No turn is longer.
const LONGEST_MS: u32 = 20_000;

/// What the endpointer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing new.
    Nothing,
    /// A voice has begun.
    Started,
    /// Silence: transcribe what there is.
    Probe,
    /// The voice goes on after a probe: what was transcribed is not all.
    Resumed,
    /// The turn is over.
    Ended,
}

/// Follows one ear.
#[derive(Debug, Default)]
pub struct Endpointer {
    voiced: u32,
    speaking: bool,
    probed: bool,
    silence_ms: u32,
    length_ms: u32,
    end_ms: Option<u32>,
}

impl Endpointer {
    /// Takes one window.
    pub fn window(&mut self, probability: f32) -> Turn {
        if !self.speaking {
            self.voiced = if probability >= START { self.voiced + 1 } else { 0 };
            if self.voiced < START_WINDOWS {
                return Turn::Nothing;
            }
            *self = Self { speaking: true, length_ms: self.voiced * WINDOW_MS, ..Self::default() };
            return Turn::Started;
        }
        self.length_ms += WINDOW_MS;
        if self.length_ms >= LONGEST_MS && !self.probed {
            self.probed = true;
            self.silence_ms = self.end_ms();
            return Turn::Probe;
        }
        if probability >= KEEP {
            // One loud window in a pause is a click, not a voice.
            self.voiced += 1;
            if self.probed && (self.voiced < 2 || self.length_ms >= LONGEST_MS) {
                return self.quiet();
            }
            self.silence_ms = 0;
            if self.probed {
                (self.probed, self.end_ms) = (false, None);
                return Turn::Resumed;
            }
            return Turn::Nothing;
        }
        self.voiced = 0;
        self.quiet()
    }

    /// What the words of the last probe tell of the turn.
    pub fn words(&mut self, text: &str, expected: Expected) {
        self.end_ms = Some(match shape(text, expected) {
            Shape::Complete => END_COMPLETE_MS,
            Shape::Sentence => END_SENTENCE_MS,
            Shape::Open => END_MS,
            Shape::Hanging => END_HANGING_MS,
        });
    }

    /// Whether a voice was heard and its turn is not over.
    pub fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// How long it has been silent.
    pub fn silence_ms(&self) -> u32 {
        self.silence_ms
    }

    /// How much longer the silence must last, by what is known now, until the turn is over.
    pub fn remaining_ms(&self) -> u32 {
        self.end_ms().saturating_sub(self.silence_ms)
    }

    fn quiet(&mut self) -> Turn {
        self.silence_ms += WINDOW_MS;
        if !self.probed && self.silence_ms >= PROBE_MS {
            self.probed = true;
            self.voiced = 0;
            return Turn::Probe;
        }
        if self.probed && self.silence_ms >= self.end_ms() {
            *self = Self::default();
            return Turn::Ended;
        }
        Turn::Nothing
    }

    fn end_ms(&self) -> u32 {
        self.end_ms.unwrap_or(END_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `ms` of voice or silence; every event but `Nothing`.
    fn feed(e: &mut Endpointer, ms: u32, voice: bool) -> Vec<Turn> {
        (0..ms / WINDOW_MS).map(|_| e.window(if voice { 0.9 } else { 0.05 })).filter(|t| *t != Turn::Nothing).collect()
    }

    #[test]
    fn a_turn_starts_is_probed_and_ends() {
        let mut e = Endpointer::default();
        assert_eq!(feed(&mut e, 1_600, true), [Turn::Started]);
        assert_eq!(feed(&mut e, 192, false), [Turn::Probe]);
        assert_eq!(e.remaining_ms(), 416);
        assert_eq!(feed(&mut e, 416, false), [Turn::Ended]);
        assert_eq!(feed(&mut e, 3_000, false), []);
    }

    #[test]
    fn a_whole_answer_ends_sooner_and_hanging_words_later() {
        for (text, expected, silence_ms) in [
            ("Yes.", Expected::YesNo, 224),
            ("A one zero four two", Expected::Digits(4), 224),
            ("A 1042.", Expected::Digits(4), 224),
            ("A one zero", Expected::Digits(4), 800),
            ("My order number is", Expected::Anything, 800),
            ("I'd like to know,", Expected::Anything, 800),
            ("Where is my order?", Expected::Anything, 448),
            ("where is my order", Expected::Anything, 608),
        ] {
            let mut e = Endpointer::default();
            feed(&mut e, 960, true);
            assert_eq!(feed(&mut e, PROBE_MS, false), [Turn::Probe]);
            e.words(text, expected);
            let ended = PROBE_MS + (1..100).find(|_| e.window(0.0) == Turn::Ended).unwrap() * WINDOW_MS;
            assert_eq!(ended, silence_ms, "{text}");
            assert!((200..=800).contains(&ended));
        }
    }

    #[test]
    fn words_that_come_late_end_the_turn_at_once() {
        let mut e = Endpointer::default();
        feed(&mut e, 960, true);
        feed(&mut e, 480, false);
        e.words("Yes.", Expected::YesNo);
        assert_eq!(e.remaining_ms(), 0);
        assert_eq!(e.window(0.0), Turn::Ended);
    }

    #[test]
    fn a_pause_inside_is_no_end_and_a_click_no_voice() {
        let mut e = Endpointer::default();
        assert_eq!(feed(&mut e, 64, true), [], "a click");
        assert_eq!(feed(&mut e, 640, false), []);
        feed(&mut e, 960, true);
        assert_eq!(feed(&mut e, 320, false), [Turn::Probe]);
        assert_eq!(feed(&mut e, 32, true), [], "a click in the pause");
        assert_eq!(feed(&mut e, 96, true), [Turn::Resumed]);
        assert_eq!(feed(&mut e, 640, false), [Turn::Probe, Turn::Ended]);
    }

    #[test]
    fn nobody_talks_for_ever() {
        let mut e = Endpointer::default();
        let events = feed(&mut e, 22_000, true);
        assert_eq!(&events[..3], [Turn::Started, Turn::Probe, Turn::Ended]);
    }
}
