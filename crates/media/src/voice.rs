//! Encoders and decoders behind one trait. They are made on the control side; on the media thread they allocate nothing.

use baton_audio::g722;

use crate::{Codec, CodecList};

/// Most samples one payload decodes to: 120 ms at 16 kHz.
pub const MOST_SAMPLES: usize = 1_920;

/// One codec's state for one leg, both ways.
pub trait Voice: Send {
    /// Encodes 20 ms at the codec's sample rate; the payload's length, 0 if it could not.
    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize;
    /// Decodes a payload; how many samples, 0 if it is none of this codec.
    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize;
    /// Fills `out` with what was lost, with the help of the payload after it where that has come; how many samples, 0 from
    /// a codec that cannot.
    fn recover(&mut self, _next: Option<&[u8]>, _out: &mut [i16]) -> usize {
        0
    }
}

/// The voices of one leg, by codec. G.711 is always among them: a peer may switch between the laws (RFC 3264 §8.3.2).
pub struct Voices([Option<Box<dyn Voice>>; 4]);

impl Voices {
    /// Voices for what was agreed. Allocates. A codec libopus refuses to make is left out, and so is not spoken.
    pub fn of(codecs: &CodecList) -> Self {
        Self(Codec::ALL.map(|codec| -> Option<Box<dyn Voice>> {
            match codec {
                Codec::Pcmu | Codec::Pcma => Some(Box::new(G711(codec))), // nothing is allocated for them
                Codec::G722 => codecs.payload_type(codec).map(|_| Box::<G722>::default() as Box<dyn Voice>),
                Codec::Opus => codecs.payload_type(codec).and_then(|_| Opus::new()).map(|v| Box::new(v) as _),
            }
        }))
    }

    /// The voice of a codec.
    pub fn get(&mut self, codec: Codec) -> Option<&mut (dyn Voice + 'static)> {
        self.0.get_mut(codec as usize)?.as_deref_mut()
    }

    /// Goes on with the state of another agreement's voices, where both have the codec.
    pub fn go_on_from(&mut self, old: &mut Self) {
        for (new, old) in self.0.iter_mut().zip(&mut old.0) {
            if new.is_some() && old.is_some() {
                std::mem::swap(new, old);
            }
        }
    }
}

struct G711(Codec);

impl Voice for G711 {
    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        out.iter_mut().zip(pcm).map(|(byte, sample)| *byte = self.0.encode(*sample)).count()
    }
    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        out.iter_mut().zip(payload).map(|(sample, byte)| *sample = self.0.decode(*byte)).count()
    }
}

#[derive(Default)]
struct G722 {
    encoder: g722::Encoder,
    decoder: g722::Decoder,
}

impl Voice for G722 {
    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        self.encoder.encode(pcm, out)
    }
    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        self.decoder.decode(payload, out)
    }
}

struct Opus {
    encoder: baton_opus::Encoder,
    decoder: baton_opus::Decoder,
}

impl Opus {
    fn new() -> Option<Self> {
        let rate = Codec::Opus.sample_rate();
        Some(Self {
            encoder: baton_opus::Encoder::voice(rate).ok()?,
            decoder: baton_opus::Decoder::new(rate, false).ok()?,
        })
    }
}

impl Voice for Opus {
    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        self.encoder.encode(pcm, out)
    }
    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        self.decoder.decode(payload, out)
    }
    fn recover(&mut self, next: Option<&[u8]>, out: &mut [i16]) -> usize {
        self.decoder.recover(next, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_voice_brings_a_tone_back_and_refuses_nonsense() {
        for codec in Codec::ALL {
            let mut voices = Voices::of(&CodecList::one(codec, codec.usual_payload_type()));
            let voice = voices.get(codec).unwrap();
            let n = codec.sample_rate() as usize / 50;
            let tone = |i: usize| {
                ((i as f32 * 500.0 * std::f32::consts::TAU / codec.sample_rate() as f32).sin() * 8_000.0) as i16
            };
            let mut energy = 0.0;
            for frame in 0..50 {
                let pcm: Vec<i16> = (frame * n..(frame + 1) * n).map(tone).collect();
                let (mut payload, mut heard) = ([0; 600], [0; MOST_SAMPLES]);
                let length = voice.encode(&pcm, &mut payload);
                assert_eq!(codec.units(&payload[..length]), Some(160), "{codec}");
                assert_eq!(voice.decode(&payload[..length], &mut heard), n, "{codec}");
                if frame >= 10 {
                    energy += heard[..n].iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / n as f64 / 40.0;
                }
            }
            assert!((energy.sqrt() / 5_657.0 - 1.0).abs() < 0.1, "{codec}: {}", energy.sqrt());
            assert_eq!(voice.decode(&[], &mut [0; MOST_SAMPLES]), 0);
        }
    }
}
