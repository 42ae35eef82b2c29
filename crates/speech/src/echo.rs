//! Our own voice, come back from a speakerphone: neither an interruption nor words. Pure: what was played, what was heard and
//! the time come in.
//!
//! What is heard while we speak, and a little after, is compared with what was played, over every delay that a network and a
//! room make. Waveforms are compared, not levels, so that a caller who speaks over us is no echo; where both sound at once,
//! whoever is louder than our echo has been so far is the caller.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use baton_audio::{Clip, RATE};

/// Compared at half the rate: what loudspeakers and microphones keep of a voice lies below.
const THIN: usize = 2;
const THIN_RATE: usize = RATE as usize / THIN;
/// Compared at once: 256 ms, longer than a voice holds its pitch. Else any two voices resemble each other.
const SPAN: usize = THIN_RATE * 256 / 1_000;
/// Echoes come back within so long: two jitter buffers, two networks, a room.
const LONGEST: Duration = Duration::from_millis(700);
/// The clock of packets and that of this thread differ by so much.
const SLACK: Duration = Duration::from_millis(60);
/// Likeness from which a sound is an echo, before its delay is known and at the known one. Two voices reach 0.25 by chance;
/// a reverberant room leaves 0.45 of what was played.
const LIKE: f32 = 0.42;
const LIKE_THERE: f32 = 0.3;
/// So much louder than the echo was so far, compared with what is played, dB: the caller speaks over us.
const LOUDER: f32 = 5.0;
/// Echoes at one delay after which it, and their level, is known.
const KNOWN: u32 = 4;

/// Follows one ear.
#[derive(Default)]
pub struct Echo {
    played: VecDeque<Played>,
    /// The last [`SPAN`] of what was heard.
    heard: VecDeque<f32>,
    delay: Option<Delay>,
}

struct Played {
    clip: Clip,
    from: Instant,
    until: Instant,
}

struct Delay {
    thin: usize,
    times: u32,
    /// Of what comes back, beside what was played.
    level_db: f32,
}

impl Echo {
    /// The first packet of `clip` left at `at`.
    pub fn played(&mut self, clip: Clip, at: Instant) {
        let until = at + clip.duration();
        self.played.push_back(Played { clip, from: at, until });
    }

    /// What was being played was stopped.
    pub fn stopped(&mut self, at: Instant) {
        for played in &mut self.played {
            played.until = played.until.min(at);
        }
    }

    /// Takes a window that ends now; whether it is our echo. `is_sound`: anything less is nobody's voice, and is not compared.
    pub fn window(&mut self, samples: &[i16], now: Instant, is_sound: bool) -> bool {
        let (pairs, _) = samples.as_chunks::<THIN>();
        self.heard.extend(pairs.iter().map(|p| p.iter().map(|s| f32::from(*s)).sum::<f32>() / THIN as f32));
        while self.heard.len() > SPAN {
            self.heard.pop_front();
        }
        self.played.retain(|p| p.until + LONGEST + SLACK > now);
        if !is_sound || self.played.is_empty() || self.heard.len() < SPAN {
            return false;
        }
        self.compare(now)
    }

    fn compare(&mut self, now: Instant) -> bool {
        let reach = thin(LONGEST) + thin(SLACK);
        let reference = flat(&self.reference(now, reach + SPAN));
        let heard = flat(&self.heard.iter().copied().collect::<Vec<f32>>());
        // Known delays are looked for alone: that is cheap, and less is alike by chance.
        let slack = thin(SLACK);
        let there = self.delay.as_ref().filter(|d| d.times >= KNOWN).map(|d| d.thin);
        let delays = there.map_or(0..=reach, |at| at.saturating_sub(slack)..=(at + slack).min(reach));
        let Some((alike, delay, level_db)) = best(&heard, &reference, delays) else { return false };
        if alike < if there.is_some() { LIKE_THERE } else { LIKE } {
            return false;
        }
        match &mut self.delay {
            Some(known) if known.thin.abs_diff(delay) <= slack => {
                if known.times >= KNOWN && level_db > known.level_db + LOUDER {
                    return false;
                }
                known.times += 1;
                known.thin = delay;
                known.level_db += (level_db - known.level_db) * (1.0 / known.times as f32).max(0.1);
            }
            other => *other = Some(Delay { thin: delay, times: 1, level_db }),
        }
        true
    }

    /// What was played in the last `length` thin samples before now, and [`SLACK`] after.
    fn reference(&self, now: Instant, length: usize) -> Vec<f32> {
        let mut out = vec![0.0; length];
        let end = now + SLACK;
        for played in &self.played {
            // Places are counted back from the end.
            let back = |at: Instant| thin(end.saturating_duration_since(at));
            let (first, last) = (back(played.from), back(played.until.min(end)));
            for at in last..first.min(length) {
                let in_clip = (first - at - 1) * THIN;
                if let (Some(to), Some(pair)) =
                    (out.get_mut(length - 1 - at), played.clip.samples().get(in_clip..in_clip + THIN))
                {
                    *to = pair.iter().map(|s| f32::from(*s)).sum::<f32>() / THIN as f32;
                }
            }
        }
        out
    }
}

fn thin(time: Duration) -> usize {
    (time.as_micros() as usize * THIN_RATE) / 1_000_000
}

/// Without what all voices have in common: most of the sound in the low tones.
fn flat(samples: &[f32]) -> Vec<f32> {
    let mut before = 0.0;
    samples.iter().map(|s| s - 0.9 * std::mem::replace(&mut before, *s)).collect()
}

/// The delay at which `heard` is most like the reference, how like (0 to 1), and its level beside it, dB. `reference` ends at
/// delay 0.
fn best(heard: &[f32], reference: &[f32], delays: std::ops::RangeInclusive<usize>) -> Option<(f32, usize, f32)> {
    let energy = |s: &[f32]| s.iter().map(|x| x * x).sum::<f32>();
    let mine = energy(heard);
    if mine < 1.0 {
        return None;
    }
    let mut best: Option<(f32, usize, f32)> = None;
    for delay in delays {
        let Some(end) = reference.len().checked_sub(delay) else { break };
        let Some(part) = end.checked_sub(heard.len()).and_then(|start| reference.get(start..end)) else { break };
        let theirs = energy(part);
        // Silence is like everything.
        if theirs < heard.len() as f32 * 100.0 {
            continue;
        }
        let together: f32 = heard.iter().zip(part).map(|(a, b)| a * b).sum();
        let alike = together.abs() / (mine * theirs).sqrt();
        if best.is_none_or(|(top, ..)| alike > top) {
            best = Some((alike, delay, 10.0 * (mine / theirs).log10()));
        }
    }
    best
}

#[cfg(test)]
#[path = "echo_tests.rs"]
mod tests;
