//! Sample-rate conversion of whole pieces, by rubato's FFT resampler: band-limited, delay removed, length kept.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

/// The piece at another rate.
pub fn resample(pcm: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    if from_hz == to_hz {
        return pcm.to_vec();
    }
    let float: Vec<f32> = pcm.iter().map(|s| f32::from(*s)).collect();
    resample_f32(&float, from_hz, to_hz).into_iter().map(|s| s.round().clamp(-32_768.0, 32_767.0) as i16).collect()
}

/// The piece at another rate, in floating point; its scale is kept. A rate of zero yields nothing.
pub fn resample_f32(pcm: &[f32], from_hz: u32, to_hz: u32) -> Vec<f32> {
    if from_hz == to_hz || pcm.is_empty() {
        return pcm.to_vec();
    }
    let convert = || -> Option<Vec<f32>> {
        let mut resampler = Fft::<f32>::new(from_hz as usize, to_hz as usize, 1024, 1, FixedSync::Both).ok()?;
        let mut out = vec![0.0; resampler.process_all_needed_output_len(pcm.len())];
        let capacity = out.len();
        let input = InterleavedSlice::new(pcm, 1, pcm.len()).ok()?;
        let mut output = InterleavedSlice::new_mut(&mut out, 1, capacity).ok()?;
        let (_, written) = resampler.process_all_into_buffer(&input, &mut output, pcm.len(), None).ok()?;
        out.truncate(written);
        Some(out)
    };
    convert().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, rate: u32, n: usize) -> Vec<i16> {
        (0..n).map(|i| ((i as f32 * hz * std::f32::consts::TAU / rate as f32).sin() * 8_000.0) as i16).collect()
    }

    #[test]
    fn a_tone_keeps_its_length_pitch_and_level() {
        for rate in [16_000u32, 22_050, 24_000, 44_100, 48_000] {
            let out = resample(&tone(300.0, rate, rate as usize), rate, 8_000);
            assert_eq!(out.len(), 8_000, "{rate}");
            let expected = tone(300.0, 8_000, 8_000);
            let error: f64 =
                out[200..7_800].iter().zip(&expected[200..7_800]).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
                    / 7_600.0;
            // The FFT resampler removes its delay to half a sample of 8 kHz (62 µs), no further.
            assert!(error.sqrt() < 700.0, "{rate}: rms error {}", error.sqrt());
        }
    }

    #[test]
    fn what_a_telephone_cannot_carry_is_removed() {
        let out = resample(&tone(6_000.0, 16_000, 16_000), 16_000, 8_000);
        assert!(out[400..7_600].iter().all(|s| s.abs() < 100), "no alias of 6 kHz at 8 kHz");
    }

    #[test]
    fn nothing_stays_nothing() {
        assert!(resample(&[], 16_000, 8_000).is_empty());
    }
}
