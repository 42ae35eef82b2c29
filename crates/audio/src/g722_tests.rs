//! Appendix II sequences where they are at hand, and the filter bank by its effect.

use std::path::PathBuf;

use super::*;

fn words(name: &str) -> Option<Vec<u16>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/vectors/g722");
    let bytes = std::fs::read(folder.join(name)).ok()?;
    Some(bytes.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect())
}

/// Bit 0 of a word asks for a reset: both coders begin anew, and the word itself is not compared.
fn is_reset(word: u16) -> bool {
    word & 1 != 0
}

#[test]
fn the_itu_sequences_encode_bit_for_bit() {
    for (input, output) in [("bt1c1.xmt", "bt2r1.cod"), ("bt1c2.xmt", "bt2r2.cod")] {
        let (Some(input), Some(expected)) = (words(input), words(output)) else {
            println!("skipped: the ITU-T G.722 sequences are not at hand");
            return;
        };
        let (mut low, mut high, mut compared) = (LowBand::default(), HighBand::default(), 0);
        for (n, (x, code)) in input.iter().zip(&expected).enumerate() {
            if is_reset(*x) {
                (low, high) = Default::default();
                continue;
            }
            let x = i32::from(*x as i16 >> 1);
            let got = (u16::from(high.encode(x)) << 14) | (u16::from(low.encode(x)) << 8);
            assert_eq!(got, code & 0xFF00, "word {n}");
            compared += 1;
        }
        assert!(compared > 700, "{compared}");
    }
}

#[test]
fn the_itu_sequences_decode_bit_for_bit_in_every_mode() {
    let modes = [("rc1", Mode::One), ("rc2", Mode::Two), ("rc3", Mode::Three)];
    for (n, input) in ["bt2r1.cod", "bt2r2.cod", "bt1d3.cod"].into_iter().enumerate() {
        for (suffix, mode) in modes {
            let names = (format!("bt3l{}.{suffix}", n + 1), format!("bt3h{}.rc0", n + 1));
            let (Some(codes), Some(lows), Some(highs)) = (words(input), words(&names.0), words(&names.1)) else {
                println!("skipped: the ITU-T G.722 sequences are not at hand");
                return;
            };
            let (mut low, mut high) = (LowBand::default(), HighBand::default());
            for (i, code) in codes.iter().enumerate() {
                if is_reset(*code) {
                    (low, high) = Default::default();
                    continue;
                }
                let got = low.decode((code >> 8) as u8 & 63, mode) << 1;
                assert_eq!(got as i16, lows[i] as i16, "{} word {i}", names.0);
                let got = high.decode((code >> 14) as u8) << 1;
                assert_eq!(got as i16, highs[i] as i16, "{} word {i}", names.1);
            }
        }
    }
}

#[test]
fn a_wide_band_sound_comes_back() {
    for hz in [300.0f64, 1_000.0, 3_000.0, 6_000.0] {
        let pcm: Vec<i16> = (0..6_400)
            .map(|i| ((f64::from(i) * hz * std::f64::consts::TAU / 16_000.0).sin() * 9_000.0) as i16)
            .collect();
        let (mut bytes, mut heard) = (vec![0; 3_200], vec![0; 6_400]);
        assert_eq!(Encoder::default().encode(&pcm, &mut bytes), 3_200);
        assert_eq!(Decoder::default().decode(&bytes, &mut heard), 6_400);
        // The two filter banks delay by 22 samples together.
        let error: f64 = (1_000..6_300).map(|i| (f64::from(pcm[i]) - f64::from(heard[i + 22])).powi(2)).sum::<f64>();
        let own: f64 = (1_000..6_300).map(|i| f64::from(pcm[i]).powi(2)).sum();
        let snr = 10.0 * (own / error).log10();
        assert!(snr > if hz < 4_000.0 { 20.0 } else { 6.0 }, "{hz} Hz: {snr:.1} dB");
    }
}
