//! G.711 companding, written from ITU-T G.711 and not shared with the gateway.

use crate::sdp::Codec;

/// Encodes one sample.
pub fn encode(codec: Codec, sample: i16) -> u8 {
    match codec {
        Codec::Pcmu => encode_ulaw(sample),
        Codec::Pcma => encode_alaw(sample),
    }
}

/// Decodes one byte.
pub fn decode(codec: Codec, byte: u8) -> i16 {
    match codec {
        Codec::Pcmu => decode_ulaw(byte),
        Codec::Pcma => decode_alaw(byte),
    }
}

/// Encodes one 16-bit linear sample as µ-law (G.711 table 2a).
pub fn encode_ulaw(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    let sign = if sample < 0 { 0x80u8 } else { 0 };
    let magnitude = (i32::from(sample).abs()).min(32_635) + BIAS;
    let segment = (31 - magnitude.leading_zeros()) as i32 - 7;
    let mantissa = (magnitude >> (segment + 3)) & 0x0f;
    !(sign | ((segment as u8) << 4) | mantissa as u8)
}

/// Decodes one µ-law byte to 16-bit linear.
pub fn decode_ulaw(byte: u8) -> i16 {
    let byte = !byte;
    let segment = (byte >> 4) & 0x07;
    let magnitude = ((i32::from(byte & 0x0f) << 3) + 0x84) << segment;
    let value = magnitude - 0x84;
    (if byte & 0x80 != 0 { -value } else { value }) as i16
}

/// Encodes one 16-bit linear sample as A-law (G.711 table 1a), even bits inverted.
pub fn encode_alaw(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80u8 } else { 0 };
    let linear = i32::from(sample) >> 3;
    let magnitude = if linear < 0 { -linear - 1 } else { linear };
    let code = if magnitude < 32 {
        (magnitude >> 1) as u8
    } else {
        let segment = 31 - magnitude.leading_zeros() - 4;
        ((segment as u8) << 4) | ((magnitude >> segment) & 0x0f) as u8
    };
    (sign | code) ^ 0x55
}

/// Decodes one A-law byte to 16-bit linear.
pub fn decode_alaw(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let segment = (byte >> 4) & 0x07;
    let mantissa = i32::from(byte & 0x0f) << 4;
    let magnitude = match segment {
        0 => mantissa + 8,
        n => (mantissa + 0x108) << (n - 1),
    };
    (if byte & 0x80 != 0 { magnitude } else { -magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_a_round_trip() {
        for code in 0..=255u8 {
            // 0x7f is µ-law's negative zero; it decodes to 0, whose code is 0xff.
            let want = if code == 0x7f { 0xff } else { code };
            assert_eq!(encode_ulaw(decode_ulaw(code)), want, "µ-law {code:#x}");
            assert_eq!(encode_alaw(decode_alaw(code)), code, "A-law {code:#x}");
        }
    }

    #[test]
    fn known_values() {
        // ITU-T G.191 reference values.
        assert_eq!(decode_ulaw(0x00), -32_124);
        assert_eq!(decode_ulaw(0x80), 32_124);
        assert_eq!(encode_ulaw(0), 0xff);
        assert_eq!(decode_alaw(0xd5), 8);
        assert_eq!(decode_alaw(0x2a), -32_256);
        assert_eq!(encode_alaw(0), 0xd5);
        for sample in (i16::MIN..=i16::MAX).step_by(97) {
            let tolerance = 16 + i32::from(sample).abs() / 16;
            assert!((i32::from(decode_ulaw(encode_ulaw(sample))) - i32::from(sample)).abs() <= tolerance + 512);
            assert!((i32::from(decode_alaw(encode_alaw(sample))) - i32::from(sample)).abs() <= tolerance + 512);
        }
    }
}
