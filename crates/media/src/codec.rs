//! The codecs of phone legs: what they are called, how they count time, and the byte map between the two laws of G.711.

use std::fmt;

use baton_audio::g711;

/// An audio codec a leg may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// G.711 µ-law, 8 kHz, a byte a sample (RFC 3551 §4.5.14); static payload type 0.
    Pcmu,
    /// G.711 A-law; static payload type 8.
    Pcma,
    /// G.722 at 64 kbit/s: 16 kHz audio whose RTP clock says 8 kHz (RFC 3551 §4.5.2); static payload type 9.
    G722,
    /// Opus, RTP clock 48 kHz (RFC 7587); coded here as 16 kHz mono. Payload type by agreement.
    Opus,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pcmu, Self::Pcma, Self::G722, Self::Opus];

    /// The payload type RFC 3551 gives it; for Opus, which has none, the one that most phones use.
    pub const fn usual_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 111,
        }
    }

    /// RTP timestamp units a second, as SDP's `rtpmap` names them.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            _ => 8_000,
        }
    }

    /// Audio samples a second that are coded.
    pub const fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::G722 | Self::Opus => 16_000,
        }
    }

    /// The encoding name of SDP's `rtpmap`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    pub(crate) const fn is_g711(self) -> bool {
        matches!(self, Self::Pcmu | Self::Pcma)
    }

    /// RTP clock units in 20 ms.
    pub(crate) const fn tick(self) -> u32 {
        self.clock_rate() / 50
    }

    /// How long a payload lasts, in units of 8 kHz; `None` if it is none of this codec.
    pub(crate) fn units(self, payload: &[u8]) -> Option<u32> {
        match self {
            Self::Opus => baton_opus::duration_48k(payload).map(|samples| samples / 6),
            _ => (!payload.is_empty()).then_some(payload.len() as u32),
        }
    }

    pub(crate) fn of_static_payload_type(payload_type: u8) -> Option<Self> {
        [Self::Pcmu, Self::Pcma].into_iter().find(|codec| codec.usual_payload_type() == payload_type)
    }

    /// The byte of a sample of G.711 (µ-law for a codec that is none).
    pub(crate) const fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Pcma => g711::encode_alaw(sample),
            _ => g711::encode_ulaw(sample),
        }
    }

    pub(crate) const fn decode(self, byte: u8) -> i16 {
        match self {
            Self::Pcma => g711::decode_alaw(byte),
            _ => g711::decode_ulaw(byte),
        }
    }

    /// The map that turns a byte of this law into one of the other; `None` where there is nothing to map.
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
        f.write_str(self.name())
    }
}

/// The codecs agreed with a peer, each with its payload type, the one we send first. Holds four; a fifth is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodecList([Option<(Codec, u8)>; 4]);

impl CodecList {
    /// A list of one.
    pub const fn one(codec: Codec, payload_type: u8) -> Self {
        Self([Some((codec, payload_type)), None, None, None])
    }

    /// Adds one at the end.
    #[must_use]
    pub fn and(mut self, codec: Codec, payload_type: u8) -> Self {
        if let Some(place) = self.0.iter_mut().find(|place| place.is_none()) {
            *place = Some((codec, payload_type));
        }
        self
    }

    /// What we send, if anything was agreed.
    pub fn first(&self) -> Option<(Codec, u8)> {
        self.0[0]
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = (Codec, u8)> + '_ {
        self.0.iter().flatten().copied()
    }

    /// The codec of a payload type.
    pub fn of(&self, payload_type: u8) -> Option<Codec> {
        self.iter().find(|(_, known)| *known == payload_type).map(|(codec, _)| codec)
    }

    /// The payload type of a codec.
    pub fn payload_type(&self, codec: Codec) -> Option<u8> {
        self.iter().find(|(known, _)| *known == codec).map(|(_, payload_type)| payload_type)
    }
}

impl FromIterator<(Codec, u8)> for CodecList {
    fn from_iter<I: IntoIterator<Item = (Codec, u8)>>(codecs: I) -> Self {
        codecs.into_iter().fold(Self::default(), |list, (codec, payload_type)| list.and(codec, payload_type))
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

    #[test]
    fn a_list_keeps_its_order_and_no_more_than_four() {
        let list: CodecList = Codec::ALL.into_iter().map(|codec| (codec, codec.usual_payload_type())).collect();
        let list = list.and(Codec::Opus, 96);
        assert_eq!(list.first(), Some((Codec::Pcmu, 0)));
        assert_eq!((list.of(9), list.of(96), list.payload_type(Codec::Opus)), (Some(Codec::G722), None, Some(111)));
    }
}
