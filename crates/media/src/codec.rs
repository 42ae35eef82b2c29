//! G.711 frames and packets: encode, decode, and the byte map from one law to the other.

use std::fmt;

use baton_audio::g711;

/// The audio codecs of phone legs: G.711, 8 kHz, one byte a sample (RFC 3551 §4.5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// µ-law, static payload type 0.
    Pcmu,
    /// A-law, static payload type 8.
    Pcma,
}

impl Codec {
    /// The payload type RFC 3551 gives it.
    pub const fn static_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    pub(crate) fn of_static_payload_type(payload_type: u8) -> Option<Self> {
        [Self::Pcmu, Self::Pcma].into_iter().find(|codec| codec.static_payload_type() == payload_type)
    }

    pub(crate) const fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Pcmu => g711::encode_ulaw(sample),
            Self::Pcma => g711::encode_alaw(sample),
        }
    }

    pub(crate) const fn decode(self, byte: u8) -> i16 {
        match self {
            Self::Pcmu => g711::decode_ulaw(byte),
            Self::Pcma => g711::decode_alaw(byte),
        }
    }

    /// The map that turns a byte of this law into one of the other; `None` where they are the same.
    pub(crate) fn map_to(self, other: Self) -> Option<&'static [u8; 256]> {
        match (self, other) {
            (Self::Pcmu, Self::Pcma) => Some(&U_TO_A),
            (Self::Pcma, Self::Pcmu) => Some(&A_TO_U),
            _ => None,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        })
    }
}

static U_TO_A: [u8; 256] = map(Codec::Pcmu, Codec::Pcma);
static A_TO_U: [u8; 256] = map(Codec::Pcma, Codec::Pcmu);

const fn map(from: Codec, to: Codec) -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = to.encode(from.decode(byte as u8));
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_one_law_to_the_other_a_sample_stays_within_a_step() {
        for (from, to) in [(Codec::Pcmu, Codec::Pcma), (Codec::Pcma, Codec::Pcmu)] {
            let map = from.map_to(to).unwrap();
            for byte in 0..=255u8 {
                let before = i32::from(from.decode(byte));
                let after = i32::from(to.decode(map[usize::from(byte)]));
                assert!((before - after).abs() <= before.abs() / 16 + 16, "{from} {byte:#x}: {before} became {after}");
            }
        }
        assert!(Codec::Pcmu.map_to(Codec::Pcmu).is_none());
    }

    #[test]
    fn silence_stays_silence() {
        assert_eq!(Codec::Pcmu.encode(0), 0xFF);
        assert_eq!(Codec::Pcma.encode(0), 0xD5);
        assert!(Codec::Pcma.decode(Codec::Pcmu.map_to(Codec::Pcma).unwrap()[0xFF]).abs() <= 8);
    }
}
