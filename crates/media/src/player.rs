//! The playlist of a leg: clips one after the other, sample on sample, 20 ms at a time. No clock, no socket.

use std::collections::VecDeque;
use std::time::Duration;

use baton_audio::{Clip, FRAME_SAMPLES, RATE};

use crate::PlayId;

/// Clips that may wait.
const QUEUE: usize = 64;
/// A cut is rounded off over 5 ms, or it clicks, unless the next clip begins about where the last one was.
const ROUND: i32 = 40;
const STEP: i32 = 400;

/// What happened to a clip, and, where it is done with, the clip: to be freed elsewhere.
pub enum Played {
    /// Its first sample is in the frame.
    Started(PlayId),
    /// It is over.
    Ended {
        /// Which.
        id: PlayId,
        /// Whether to its end.
        completed: bool,
        /// How much of it was taken.
        played: Duration,
        /// Its memory.
        clip: Clip,
    },
}

/// See the module.
pub struct Player {
    queue: VecDeque<Item>,
    /// The last sample of what was cut.
    tail: i16,
    last: i16,
}

struct Item {
    id: PlayId,
    clip: Clip,
    looped: bool,
    at: usize,
    taken: u64,
    started: bool,
}

impl Item {
    fn ended(self, completed: bool) -> Played {
        let played = Duration::from_micros(self.taken * 1_000_000 / u64::from(RATE));
        Played::Ended { id: self.id, completed, played, clip: self.clip }
    }
}

impl Player {
    /// An empty one.
    pub fn new() -> Self {
        Self { queue: VecDeque::with_capacity(QUEUE), tail: 0, last: 0 }
    }

    /// Whether there is something to play.
    pub fn active(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Appends a clip. A full playlist hands it back as ended.
    pub fn append(&mut self, id: PlayId, clip: Clip, looped: bool, mut said: impl FnMut(Played)) {
        let item = Item { id, clip, looped, at: 0, taken: 0, started: false };
        if self.queue.len() >= QUEUE {
            said(item.ended(false));
        } else {
            self.queue.push_back(item);
        }
    }

    /// Empties the playlist.
    pub fn stop(&mut self, mut said: impl FnMut(Played)) {
        self.tail = self.last;
        while let Some(item) = self.queue.pop_front() {
            said(item.ended(false));
        }
    }

    /// Takes the next 20 ms; silence where there is nothing.
    pub fn take(&mut self, mut said: impl FnMut(Played)) -> [i16; FRAME_SAMPLES] {
        let mut frame = [0; FRAME_SAMPLES];
        if self.queue.len() > 1
            && let Some(item) = self.queue.pop_front_if(|item| item.looped)
        {
            self.tail = self.last;
            said(item.ended(false));
        }
        let mut filled = 0;
        while filled < FRAME_SAMPLES
            && let Some(item) = self.queue.front_mut()
        {
            if !item.started {
                item.started = true;
                said(Played::Started(item.id));
            }
            let rest = item.clip.samples().get(item.at..).unwrap_or_default();
            let count = rest.len().min(FRAME_SAMPLES - filled);
            for (to, from) in frame.iter_mut().skip(filled).zip(&rest[..count]) {
                *to = *from;
            }
            filled += count;
            item.at += count;
            item.taken += count as u64;
            if item.at >= item.clip.len() {
                if item.looped && !item.clip.is_empty() {
                    item.at = 0;
                } else if let Some(item) = self.queue.pop_front() {
                    said(item.ended(true));
                }
            }
        }
        self.round(&mut frame);
        self.last = frame[FRAME_SAMPLES - 1];
        frame
    }

    /// Lets the last sample of what was cut fade into the frame.
    fn round(&mut self, frame: &mut [i16; FRAME_SAMPLES]) {
        let tail = i32::from(std::mem::take(&mut self.tail));
        if tail == 0 {
            return;
        }
        let far = (tail - i32::from(frame[0])).abs() > STEP;
        for (sample, left) in frame.iter_mut().zip((1..ROUND).rev()) {
            let begun = if far { i32::from(*sample) * (ROUND - left) / ROUND } else { i32::from(*sample) };
            let faded = begun + if far { tail * left / ROUND } else { 0 };
            *sample = faded.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Log(Vec<String>);

    impl Log {
        fn note(&mut self, played: Played) {
            self.0.push(match played {
                Played::Started(id) => format!("{} starts", id.0),
                Played::Ended { id, completed, played, .. } => {
                    format!("{} {} at {}", id.0, if completed { "ends" } else { "is cut" }, played.as_millis())
                }
            });
        }
        fn taken(&mut self) -> Vec<String> {
            std::mem::take(&mut self.0)
        }
    }

    fn clip(value: i16, samples: usize) -> Clip {
        Clip::new(vec![value; samples])
    }

    #[test]
    fn clips_follow_each_other_without_a_gap() {
        let (mut p, mut log) = (Player::new(), Log::default());
        p.append(PlayId(1), clip(10, 240), false, |e| log.note(e));
        p.append(PlayId(2), clip(20, 160), false, |e| log.note(e));
        let first = p.take(|e| log.note(e));
        assert_eq!(log.taken(), ["1 starts"]);
        let second = p.take(|e| log.note(e));
        assert_eq!(log.taken(), ["1 ends at 30", "2 starts"]);
        let third = p.take(|e| log.note(e));
        assert_eq!(log.taken(), ["2 ends at 20"]);
        assert!(!p.active());
        let heard: Vec<i16> = first.into_iter().chain(second).chain(third).collect();
        let expected: Vec<i16> = [vec![10; 240], vec![20; 160], vec![0; 80]].concat();
        assert_eq!(heard, expected);
    }

    #[test]
    fn a_loop_has_no_seam_and_ends_with_the_next_play() {
        let (mut p, mut log) = (Player::new(), Log::default());
        let saw: Vec<i16> = (0..250).collect();
        p.append(PlayId(1), Clip::new(saw), true, |e| log.note(e));
        let heard: Vec<i16> = (0..10).flat_map(|_| p.take(|e| log.note(e))).collect();
        assert!(heard.iter().enumerate().all(|(i, v)| *v == (i % 250) as i16));
        p.append(PlayId(2), clip(0, 160), false, |e| log.note(e));
        let after = p.take(|e| log.note(e));
        assert_eq!(log.taken(), ["1 starts", "1 is cut at 200", "2 starts", "2 ends at 20"]);
        assert!(after[0] >= 0 && after[100] == 0, "rounded off, not clicked");
    }

    #[test]
    fn stop_cuts_what_plays_and_what_waits() {
        let (mut p, mut log) = (Player::new(), Log::default());
        p.append(PlayId(1), clip(1_000, 800), false, |e| log.note(e));
        p.append(PlayId(2), clip(1_000, 800), false, |e| log.note(e));
        p.take(|e| log.note(e));
        p.stop(|e| log.note(e));
        assert_eq!(log.taken(), ["1 starts", "1 is cut at 20", "2 is cut at 0"]);
        let faded = p.take(|e| log.note(e));
        assert!(faded[0] > 900 && faded[39..].iter().all(|v| *v == 0));
        assert!(!p.active());
    }

    #[test]
    fn an_empty_clip_ends_at_once_even_looped() {
        let (mut p, mut log) = (Player::new(), Log::default());
        p.append(PlayId(1), clip(0, 0), true, |e| log.note(e));
        assert_eq!(p.take(|e| log.note(e)), [0; 160]);
        assert_eq!(log.taken(), ["1 starts", "1 ends at 0"]);
    }

    #[test]
    fn a_full_playlist_hands_back() {
        let (mut p, mut log) = (Player::new(), Log::default());
        for i in 0..=QUEUE as u64 {
            p.append(PlayId(i), clip(0, 160), false, |e| log.note(e));
        }
        assert_eq!(log.taken(), ["64 is cut at 0"]);
    }
}
