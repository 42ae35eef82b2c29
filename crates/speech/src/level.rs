//! One loudness for every clip, no silence before its first sound, and the right pause after its last.

use baton_audio::{Clip, RATE};

/// Telephone speech: RMS of the voiced part at -20 dB of full scale.
const LEVEL: f32 = 3_277.0;
/// No clip is made louder than by this (18 dB): it would be noise.
const MOST_GAIN: f32 = 8.0;
/// Above this peaks are bent, so that none is cut off: -3 dB of full scale.
const KNEE: f32 = 23_200.0;
const FULL: f32 = 32_700.0;

const BLOCK: usize = RATE as usize / 100;

/// The clip as callers hear it. `clause` tells by its last mark how long the pause after it is.
pub(crate) fn levelled(clip: &Clip, clause: &str) -> Clip {
    let pcm = clip.samples();
    let rms =
        |block: &[i16]| (block.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / block.len().max(1) as f32).sqrt();
    let loudest = pcm.chunks(BLOCK).map(rms).fold(0.0, f32::max);
    // Sound is what is within 35 dB of the loudest block; what carries the loudness is within 20.
    let sounds = |block: &[i16]| rms(block) > loudest / 56.0;
    let Some(first) = pcm.chunks(BLOCK).position(sounds).filter(|_| loudest > 1.0) else {
        return Clip::new(Vec::new());
    };
    let last = pcm.chunks(BLOCK).rposition(sounds).unwrap_or(first);
    let sound = &pcm[first.saturating_sub(1) * BLOCK..((last + 2) * BLOCK).min(pcm.len())];

    let voiced = || sound.chunks(BLOCK).map(rms).filter(|r| *r > loudest / 10.0);
    let power = voiced().map(|r| r * r).sum::<f32>() / voiced().count().max(1) as f32;
    let gain = (LEVEL / power.sqrt().max(1.0)).min(MOST_GAIN);
    let pause = RATE as usize * pause_ms(clause) / 1_000;
    Clip::new(sound.iter().map(|s| bent(f32::from(*s) * gain)).chain(std::iter::repeat_n(0, pause)).collect())
}

fn pause_ms(clause: &str) -> usize {
    match clause.trim_end_matches(|c: char| "\"')".contains(c)).chars().last() {
        Some('.' | '!' | '?' | ':' | '…') => 260,
        Some(',' | ';' | '—' | '–') => 120,
        _ => 60,
    }
}

/// Straight up to the knee, then ever flatter towards full scale.
fn bent(sample: f32) -> i16 {
    let size = sample.abs();
    if size <= KNEE {
        return sample as i16;
    }
    let room = FULL - KNEE;
    ((KNEE + room * ((size - KNEE) / room).tanh()) * sample.signum()) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(amplitude: f32, n: usize) -> Vec<i16> {
        (0..n).map(|i| ((i as f32 * 0.4).sin() * amplitude) as i16).collect()
    }

    fn rms(pcm: &[i16]) -> f32 {
        (pcm.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / pcm.len() as f32).sqrt()
    }

    #[test]
    fn loud_and_soft_come_out_alike_and_start_at_once() {
        for amplitude in [900.0, 6_000.0, 30_000.0] {
            let mut pcm = vec![0; 4_000];
            pcm.extend(tone(amplitude, 8_000));
            pcm.extend(vec![0; 6_000]);
            let out = levelled(&Clip::new(pcm), "One moment.");
            let samples = out.samples();
            assert!(samples[..160].iter().any(|s| s.abs() > 1_000), "the first packet is heard");
            let db = 20.0 * (rms(&samples[400..7_600]) / 32_768.0).log10();
            assert!((db + 20.0).abs() < 1.0, "{amplitude}: {db} dB");
            let tail = samples.iter().rev().take_while(|s| **s == 0).count();
            assert!((2_000..2_400).contains(&tail), "{tail} samples of pause");
        }
    }

    #[test]
    fn nothing_is_cut_off_and_silence_is_nothing() {
        // Mostly soft, with one peak that the gain would take beyond full scale.
        let mut pcm = tone(800.0, 16_000);
        pcm[8_000..8_040].copy_from_slice(&tone(20_000.0, 40));
        let out = levelled(&Clip::new(pcm), "Hm");
        assert!(out.samples().iter().all(|s| s.abs() < 32_767));
        assert!(levelled(&Clip::new(vec![0; 8_000]), "x").is_empty());
        assert!(levelled(&Clip::new(Vec::new()), "x").is_empty());
    }
}
