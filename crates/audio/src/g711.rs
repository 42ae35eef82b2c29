//! ITU-T G.711, µ-law and A-law, sample by sample: table look-up to decode, arithmetic to encode. Allocates nothing.

/// µ-law byte of a 16-bit sample.
pub const fn encode_ulaw(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    const CLIP: i32 = 32_635;
    let sign = if sample < 0 { 0x80u8 } else { 0 };
    let wide = sample as i32;
    let magnitude = if wide < 0 { -wide } else { wide };
    let biased = (if magnitude > CLIP { CLIP } else { magnitude }) + BIAS;
    let segment = 24 - (biased as u32).leading_zeros() as i32; // biased lies in 132..=32767
    let mantissa = (biased >> (segment + 3)) & 0x0F;
    !(sign | ((segment as u8) << 4) | mantissa as u8)
}

/// 16-bit sample of a µ-law byte.
pub const fn decode_ulaw(byte: u8) -> i16 {
    ULAW[byte as usize]
}

/// A-law byte of a 16-bit sample.
pub const fn encode_alaw(sample: i16) -> u8 {
    let positive = sample >= 0;
    // 13-bit magnitude; a negative value counts from -1, so that zero has a byte of its own on each side.
    let magnitude = (if positive { sample as i32 } else { -(sample as i32) - 1 }) >> 3;
    let code = if magnitude < 32 {
        (magnitude >> 1) as u8
    } else {
        let segment = 27 - (magnitude as u32).leading_zeros() as i32; // 32..=4095 gives 1..=7
        ((segment << 4) | ((magnitude >> segment) & 0x0F)) as u8
    };
    code ^ if positive { 0xD5 } else { 0x55 }
}

/// 16-bit sample of an A-law byte.
pub const fn decode_alaw(byte: u8) -> i16 {
    ALAW[byte as usize]
}

const ULAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let byte = !(i as u8);
        let magnitude = ((((byte & 0x0F) as i32) << 3) + 0x84) << ((byte >> 4) & 7);
        let value = magnitude - 0x84;
        table[i] = if byte & 0x80 != 0 { -value } else { value } as i16;
        i += 1;
    }
    table
};

const ALAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let byte = (i as u8) ^ 0x55;
        let segment = ((byte >> 4) & 7) as i32;
        let mantissa = (byte & 0x0F) as i32;
        let value = if segment == 0 { (mantissa << 4) + 8 } else { ((mantissa << 4) + 0x108) << (segment - 1) };
        table[i] = if byte & 0x80 != 0 { value } else { -value } as i16;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_a_round_trip() {
        for byte in 0..=255u8 {
            assert_eq!(encode_alaw(decode_alaw(byte)), byte, "A-law {byte:#x}");
            // µ-law has two zeros; the negative one comes back as the positive.
            let expected = if byte == 0x7F { 0xFF } else { byte };
            assert_eq!(encode_ulaw(decode_ulaw(byte)), expected, "µ-law {byte:#x}");
        }
    }

    #[test]
    fn known_values() {
        assert_eq!((encode_ulaw(0), encode_alaw(0)), (0xFF, 0xD5));
        assert_eq!((decode_ulaw(0x00), decode_ulaw(0x80)), (-32_124, 32_124));
        assert_eq!((decode_alaw(0x2A), decode_alaw(0xAA)), (-32_256, 32_256));
    }

    /// A segment has 16 steps, so a sample is off by at most half a step: 1/32 of its segment's start (G.711 tables 1, 2).
    #[test]
    fn no_sample_is_further_off_than_half_a_step() {
        for sample in -32_124..=32_124i16 {
            let magnitude = i32::from(sample).abs();
            for (law, decoded, bias) in
                [("µ", decode_ulaw(encode_ulaw(sample)), 132), ("A", decode_alaw(encode_alaw(sample)), 264)]
            {
                let off = (i32::from(decoded) - i32::from(sample)).abs();
                assert!(off <= (magnitude + bias) / 32 + 1, "{law}-law {sample} became {decoded}");
            }
        }
    }
}
