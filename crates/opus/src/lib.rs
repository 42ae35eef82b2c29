//! Opus (RFC 6716) for telephone legs and recordings, by libopus. The native leaf of the media plane: it knows samples and
//! packets, no RTP. Coders are made once; encoding and decoding allocate nothing.

use opus::{Application, Bitrate, Channels, Signal};

/// libopus refused to make a coder.
#[derive(Debug, thiserror::Error)]
#[error("libopus: {0}")]
pub struct OpusError(#[from] opus::Error);

/// Samples (at 48 kHz) of a packet, by its first bytes; `None` if it is no Opus packet, or lasts more than 120 ms.
pub fn duration_48k(packet: &[u8]) -> Option<u32> {
    opus::packet::get_nb_samples(packet, 48_000).ok().and_then(|samples| u32::try_from(samples).ok())
}

/// Encodes 20 ms frames of one or two interleaved channels.
#[derive(Debug)]
pub struct Encoder(opus::Encoder);

impl Encoder {
    /// For speech of a telephone call at `rate` Hz, mono: 24 kbit/s, in-band FEC for a loss of 10 %.
    pub fn voice(rate: u32) -> Result<Self, OpusError> {
        let mut encoder = opus::Encoder::new(rate, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(24_000))?;
        encoder.set_inband_fec(true)?;
        encoder.set_packet_loss_perc(10)?;
        encoder.set_signal(Signal::Voice)?;
        encoder.set_complexity(5)?;
        Ok(Self(encoder))
    }

    /// For a stereo recording at `rate` Hz, 32 kbit/s.
    pub fn recording(rate: u32) -> Result<Self, OpusError> {
        let mut encoder = opus::Encoder::new(rate, Channels::Stereo, Application::Audio)?;
        encoder.set_bitrate(Bitrate::Bits(32_000))?;
        encoder.set_complexity(5)?;
        Ok(Self(encoder))
    }

    /// Encodes one frame; the packet's length, 0 where `pcm` is no legal frame or `out` is too short.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        self.0.encode(pcm, out).unwrap_or(0)
    }

    /// Samples (at the encoder's rate) that a decoder is to drop at the beginning.
    pub fn lookahead(&mut self) -> u32 {
        self.0.get_lookahead().ok().and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
    }
}

/// Decodes packets of one stream, in order.
#[derive(Debug)]
pub struct Decoder(opus::Decoder);

impl Decoder {
    /// Gives `rate` Hz (8, 12, 16, 24 or 48 kHz), whatever was encoded.
    pub fn new(rate: u32, stereo: bool) -> Result<Self, OpusError> {
        let channels = if stereo { Channels::Stereo } else { Channels::Mono };
        Ok(Self(opus::Decoder::new(rate, channels)?))
    }

    /// Decodes a packet; samples a channel, 0 where it is no Opus packet or `out` is too short.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> usize {
        if packet.is_empty() { 0 } else { self.0.decode(packet, out, false).unwrap_or(0) }
    }

    /// Fills `out` with what a lost packet held: from the FEC data of the packet after it, where that has come and carries
    /// any, else by extrapolation. Samples a channel.
    pub fn recover(&mut self, next: Option<&[u8]>, out: &mut [i16]) -> usize {
        match next {
            Some(next) if !next.is_empty() => self.0.decode(next, out, true).unwrap_or(0),
            _ => self.0.decode(&[], out, false).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(n: usize) -> Vec<i16> {
        (0..n).map(|i| ((i as f32 * 440.0 * std::f32::consts::TAU / 16_000.0).sin() * 8_000.0) as i16).collect()
    }

    fn level(pcm: &[i16]) -> f64 {
        (pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len() as f64).sqrt()
    }

    #[test]
    fn a_tone_comes_back_at_its_level() {
        let (mut encoder, mut decoder) = (Encoder::voice(16_000).unwrap(), Decoder::new(16_000, false).unwrap());
        let (mut packet, mut heard) = ([0; 600], Vec::new());
        for frame in tone(16_000).chunks(320) {
            let length = encoder.encode(frame, &mut packet);
            assert_eq!(duration_48k(&packet[..length]), Some(960));
            let mut out = [0; 320];
            assert_eq!(decoder.decode(&packet[..length], &mut out), 320);
            heard.extend(out);
        }
        assert!((level(&heard[1_600..]) / level(&tone(16_000)) - 1.0).abs() < 0.1);
    }

    #[test]
    fn what_is_no_packet_decodes_to_nothing() {
        let mut decoder = Decoder::new(16_000, false).unwrap();
        let mut out = [0; 320];
        assert_eq!(decoder.decode(&[], &mut out), 0);
        assert_eq!(decoder.decode(&[0xFF, 0xFF, 0xFF], &mut out), 0);
        assert_eq!(duration_48k(&[]), None);
        assert_eq!(decoder.recover(None, &mut out), 320, "silence is made of nothing");
    }
}
