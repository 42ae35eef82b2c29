//! Comparing what was sent with what was heard. Pure arithmetic on samples.

use std::time::{Duration, Instant};

use crate::heard::Heard;
use crate::media::Sent;

/// Best-lag normalised cross-correlation of `sent` within `heard`, 0 to 1 (1: the same waveform at some gain).
///
/// `sent` should be a clip of a second or more; it is searched at every place in `heard` where it fits or overlaps by at
/// least half. The sign is kept out: an inverted line counts as heard.
pub fn correlation(sent: &[i16], heard: &[i16]) -> f32 {
    let sent = trim(sent);
    if sent.is_empty() || heard.is_empty() {
        return 0.0;
    }
    // A search on samples thinned by 4 finds the place; the exact lags around the best few are then tried in full.
    let (thin_sent, thin_heard) = (thin(sent), thin(heard));
    let reach = (thin_sent.len() / 2) as i64;
    let last = thin_heard.len() as i64 - reach;
    let mut best: Vec<(f64, i64)> =
        (-reach..=last.max(-reach)).map(|lag| (at_lag(&thin_sent, &thin_heard, lag).abs(), lag)).collect();
    best.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (full_sent, full_heard): (Vec<f32>, Vec<f32>) =
        (sent.iter().map(|s| f32::from(*s)).collect(), heard.iter().map(|s| f32::from(*s)).collect());
    let mut top = 0.0f64;
    for (_, lag) in best.iter().take(4) {
        for fine in lag * THIN as i64 - 6..=lag * THIN as i64 + 6 {
            top = top.max(at_lag(&full_sent, &full_heard, fine).abs());
        }
    }
    top as f32
}

/// The arrival at `heard` of the first packet that is exactly one sent in the second before, from `from` on: the first
/// live audio through a bridge, even while the sender only breathes, since a phone never sends two equal frames.
/// `None` when nothing passed unchanged (not bridged, or transcoded).
pub fn first_relayed(sent: &Sent, heard: &Heard, from: Instant) -> Option<Instant> {
    heard
        .packets
        .iter()
        .filter(|p| p.at >= from && p.peak > 0)
        .find(|p| {
            let Some(samples) = heard.samples.get(p.position..p.position + p.len) else { return false };
            let earliest = p.at.checked_sub(Duration::from_secs(1)).unwrap_or(p.at);
            let start = sent.packets.partition_point(|s| s.at < earliest);
            sent.packets[start..]
                .iter()
                .take_while(|s| s.at <= p.at)
                .any(|s| sent.samples.get(s.position..s.position + p.len) == Some(samples))
        })
        .map(|p| p.at)
}

const THIN: usize = 4;

/// A box filter and every fourth sample: enough to find the place of speech, whose energy lies below 1 kHz.
fn thin(samples: &[i16]) -> Vec<f32> {
    samples.chunks(THIN).map(|c| c.iter().map(|s| f32::from(*s)).sum::<f32>() / c.len() as f32).collect()
}

fn at_lag(sent: &[f32], heard: &[f32], lag: i64) -> f64 {
    let start = (-lag).max(0) as usize;
    let end = (heard.len() as i64 - lag).clamp(0, sent.len() as i64) as usize;
    if end <= start || (end - start) * 2 < sent.len() {
        return 0.0;
    }
    let a = &sent[start..end];
    let b = &heard[(start as i64 + lag) as usize..(end as i64 + lag) as usize];
    let (mut ab, mut aa, mut bb) = (0.0f64, 0.0f64, 0.0f64);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(*x), f64::from(*y));
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa < 1.0 || bb < 1.0 { 0.0 } else { ab / (aa * bb).sqrt() }
}

/// Silence at both ends says nothing about the line.
fn trim(samples: &[i16]) -> &[i16] {
    let loud = |s: &i16| s.unsigned_abs() > 100;
    let (Some(start), Some(end)) = (samples.iter().position(loud), samples.iter().rposition(loud)) else { return &[] };
    &samples[start..=end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711;
    use rand::{Rng, SeedableRng};

    fn babble(seed: u64, len: usize) -> Vec<i16> {
        let mut random = rand::rngs::SmallRng::seed_from_u64(seed);
        let (mut a, mut b) = (0.0f64, 0.0f64);
        (0..len)
            .map(|n| {
                // Low-passed noise under a slow envelope: the shape of speech, never twice the same.
                a = 0.9 * a + random.random_range(-1.0..1.0);
                b = 0.9 * b + 0.1 * a;
                (b * 20_000.0 * (1.0 + (n as f64 / 900.0).sin()) / 2.0).clamp(-30_000.0, 30_000.0) as i16
            })
            .collect()
    }

    #[test]
    fn finds_the_clip_through_delay_gain_and_companding() {
        let sent = babble(1, 16_000);
        let mut heard = babble(2, 5_003).iter().map(|s| s / 100).collect::<Vec<_>>();
        heard.extend(sent.iter().map(|s| g711::decode_ulaw(g711::encode_ulaw(s / 2))));
        heard.extend([0; 3_000]);
        let c = correlation(&sent, &heard);
        assert!(c > 0.99, "{c}");
    }

    #[test]
    fn another_voice_does_not_correlate() {
        let c = correlation(&babble(1, 16_000), &babble(3, 32_000));
        assert!(c < 0.3, "{c}");
        assert_eq!(correlation(&[], &[1, 2]), 0.0);
        assert_eq!(correlation(&babble(1, 8_000), &[0; 8_000]), 0.0);
    }

    #[test]
    fn half_a_clip_lost_is_seen() {
        let sent = babble(1, 16_000);
        let mut heard = sent.clone();
        heard[4_000..12_000].fill(0);
        let c = correlation(&sent, &heard);
        assert!(c < 0.85, "{c}");
    }
}
