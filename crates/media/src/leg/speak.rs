//! What is sent to the peer: one stream, whatever its source, without a click where the source changes.

use std::time::{Duration, Instant};

use baton_audio::halfband::{Down, Up};
use baton_audio::{AudioFrame, FRAME_SAMPLES};

use super::ear::WIDE;
use super::receive::{Kind, Live};
use super::{COMFORT_NOISE, Leg, Mode, Moment, Port};
use crate::shard::{Garbage, Sinks};
use crate::wire::MAX_PAYLOAD;
use crate::{Codec, MediaEvent, Sources, StereoFrame};

/// What a frame was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Made {
    #[default]
    Silence,
    Clip,
    Mix,
    Relay,
}

/// A change of source is blended over 5 ms, unless the next begins about where the last ended: the step a loud voice makes
/// from sample to sample anyway.
const BLEND: usize = 40;
const STEP: i32 = 400;
/// After this long without a packet the peer has faded out what was relayed last by itself.
const FADED: Duration = Duration::from_millis(60);
/// How long a digit is pressed that comes from a peer whose packets cannot be relayed, in ms.
const PRESSED_ON: u32 = 100;

/// What was said last, and the way to 16 kHz.
#[derive(Default)]
pub struct Mouth {
    made: Made,
    last: i16,
    /// When a packet was relayed last.
    relayed: Option<Instant>,
    up: Up,
    /// To the recorder.
    down: Down,
}

impl Mouth {
    /// Takes the next samples of a source (at `rate` 1 for 8 kHz, 2 for 16): where the source changes, what went before
    /// fades out and what comes fades in.
    fn join(&mut self, made: Made, pcm: &mut [i16], rate: usize) {
        if std::mem::replace(&mut self.made, made) != made
            && let Some(first) = pcm.first()
            && (i32::from(*first) - i32::from(self.last)).abs() > STEP
        {
            let length = (BLEND * rate).min(pcm.len()) as i32;
            // A clip that begins a silence is as it was recorded: its beginning is its own.
            let whole = made == Made::Clip && self.last == 0;
            for (sample, at) in pcm.iter_mut().zip(0..length) {
                let new = if whole { i32::from(*sample) } else { i32::from(*sample) * (at + 1) / length };
                let sum = new + i32::from(self.last) * (length - 1 - at) / length;
                *sample = sum.clamp(-32_768, 32_767) as i16;
            }
        }
        self.last = pcm.last().copied().unwrap_or(0);
    }

    /// The first relayed payload after another source, blended with what went before.
    fn blended<'b>(&mut self, law: Codec, payload: &[u8], out: &'b mut [u8; MAX_PAYLOAD]) -> Option<&'b [u8]> {
        let mut pcm = [0i16; MAX_PAYLOAD];
        let pcm = pcm.get_mut(..payload.len())?;
        pcm.iter_mut().zip(payload).for_each(|(sample, byte)| *sample = law.decode(*byte));
        self.join(Made::Relay, pcm, 1);
        out.iter_mut().zip(&*pcm).for_each(|(byte, sample)| *byte = law.encode(*sample));
        out.get(..payload.len())
    }
}

/// The mix for a leg: 20 ms at its own rate.
pub type Mix = [i32; WIDE];

impl<P: Port> Leg<P> {
    /// First half of a tick: hears 20 ms, if anybody wants them.
    pub fn listen(&mut self, at: Moment, sinks: &mut Sinks<P>) {
        self.allow();
        let Some(link) = &mut self.link else { return };
        if !self.ear.wanted {
            return;
        }
        self.ear.listen(&mut link.voices);
        if link.agreement.in_band_dtmf
            && let Some(digit) = self.ear.tones.hear(&self.ear.narrow)
        {
            sinks.event(MediaEvent::Digit { leg: self.id, digit, at: at.now });
        }
        let Some(tap) = &mut self.tap else { return };
        if tap.is_abandoned() {
            if let Some(tap) = self.tap.take() {
                sinks.bin(Garbage::Tap(tap));
            }
        } else if tap.push(AudioFrame { media_time: self.media_time, samples: self.ear.narrow }).is_err() {
            self.overruns += 1;
            sinks.counters.tap_overruns.add(1);
        }
    }

    /// Whether it speaks 16 kHz.
    pub fn speaks_wide(&self) -> bool {
        self.codec_out().is_some_and(|codec| codec.sample_rate() == 16_000)
    }

    /// How loud its peer is to others, on top of what they ask for.
    pub fn loudness(&self, gain: i32) -> i32 {
        if self.gain == super::UNITY { gain } else { (i64::from(gain) * i64::from(self.gain) / 4_096) as i32 }
    }

    /// Second half of a tick: 20 ms to the peer. `mix` is what it hears of others, decoded, where that was asked for; `live`
    /// says which of them is in it.
    pub fn speak(&mut self, at: Moment, mix: Option<&Mix>, live: [bool; Sources::MOST], sinks: &mut Sinks<P>) {
        let Some(link) = &self.link else { return };
        let (send, receive) = (link.agreement.send, link.agreement.receive);
        let n = if self.speaks_wide() { WIDE } else { FRAME_SAMPLES };
        let mut pcm = [0i16; WIDE];
        let fill = |pcm: &mut [i16; WIDE]| {
            for (sample, sum) in pcm.iter_mut().zip(mix.iter().flat_map(|mix| mix.iter())).take(n) {
                *sample = super::ear::guard(*sum);
            }
        };
        if !send {
            self.out.mark();
        } else if !self.send_digit(sinks) {
            let relayed = self.mode == Mode::Relay && self.relay.live(at.now);
            let made = if self.player.active() {
                Made::Clip
            } else if relayed {
                Made::Relay
            } else if self.mode == Mode::Mix {
                Made::Mix
            } else {
                Made::Silence
            };
            match made {
                Made::Relay | Made::Mix => fill(&mut pcm),
                Made::Clip | Made::Silence => {
                    let leg = self.id; // an empty player is silent
                    let clip = self.player.take(|played| sinks.played(leg, at.now, played));
                    if n == WIDE { self.mouth.up.run(&clip, &mut pcm) } else { pcm[..n].copy_from_slice(&clip) }
                }
            }
            if made != Made::Relay {
                let faded = self.mouth.relayed.is_none_or(|last| at.now.saturating_duration_since(last) > FADED);
                if self.mouth.made == Made::Relay && faded {
                    self.mouth.last = 0;
                }
                self.mouth.join(made, &mut pcm[..n], n / FRAME_SAMPLES);
                self.send_frame(&pcm[..n], sinks);
                if made == Made::Mix {
                    self.tell_first_mix(at, live, sinks);
                }
            }
        }
        self.out.advance();
        self.feed_recorder(&pcm[..n], sinks);
        self.media_time = self.media_time.wrapping_add(FRAME_SAMPLES as u32);
        self.watch_silence(at, receive, sinks);
        self.report(at, sinks);
    }

    fn tell_first_mix(&mut self, at: Moment, live: [bool; Sources::MOST], sinks: &mut Sinks<P>) {
        let to = self.id;
        let speaking = self.hears.iter_mut().zip(live).filter(|(_, live)| *live);
        for source in speaking.filter_map(|(source, _)| source.as_mut()).filter(|source| !source.heard) {
            source.heard = true;
            sinks.event(MediaEvent::BridgeAudio { from: source.leg, to, at: at.now });
        }
    }

    fn feed_recorder(&mut self, said: &[i16], sinks: &mut Sinks<P>) {
        let Some(record) = &mut self.record else { return };
        let mut frame = StereoFrame { left: self.ear.narrow, right: [0; FRAME_SAMPLES] };
        match said.first_chunk::<FRAME_SAMPLES>() {
            Some(narrow) if said.len() == FRAME_SAMPLES => frame.right = *narrow,
            _ => self.mouth.down.run(said, &mut frame.right),
        }
        if self.record_paused {
            frame = StereoFrame::SILENCE;
        }
        if record.is_abandoned() {
            if let Some(record) = self.record.take() {
                sinks.bin(Garbage::Record(record));
            }
        } else if record.push(frame).is_err() {
            self.overruns += 1;
            sinks.counters.record_overruns.add(1);
        }
    }

    /// A packet of the one leg this one hears, to be sent at once.
    pub fn relay(&mut self, at: Moment, live: Live<'_>, sinks: &mut Sinks<P>) {
        let Some(link) = &self.link else { return };
        let agreement = &link.agreement;
        if let (Mode::Mix, Some(digit), Some(_)) = (self.mode, live.digit, agreement.dtmf_payload_type) {
            self.digits_out.press(digit, PRESSED_ON);
        }
        if self.mode != Mode::Relay || !agreement.send || self.player.active() || self.digits_out.active() {
            return;
        }
        let event = live.kind == Kind::Event;
        let payload_type = match live.kind {
            Kind::Audio(codec) if !live.packet.payload.is_empty() => self.relay_type(codec),
            Kind::Event => agreement.dtmf_payload_type,
            Kind::Noise => agreement.comfort_noise.then_some(COMFORT_NOISE),
            Kind::Audio(_) => None,
        };
        let Some(payload_type) = payload_type else { return };
        let law = agreement.codecs.of(payload_type).filter(|codec| codec.is_g711());
        let Some(place) = self.relay.place(at.now, &live.packet, event, &self.out) else { return };
        let (mut mapped, mut blended) = ([0; MAX_PAYLOAD], [0; MAX_PAYLOAD]);
        let mut payload = live.packet.payload;
        if let (Kind::Audio(codec), Some(law)) = (live.kind, law) {
            if let Some(map) = codec.map_to(law) {
                for (to, byte) in mapped.iter_mut().zip(payload) {
                    *to = map[usize::from(*byte)];
                }
                payload = mapped.get(..payload.len()).unwrap_or_default();
            }
            if self.mouth.made != Made::Relay {
                payload = self.mouth.blended(law, payload, &mut blended).unwrap_or(payload);
            }
            self.mouth.last = payload.last().map_or(0, |byte| law.decode(*byte));
        }
        let duration = match live.kind {
            Kind::Audio(codec) => codec.units(payload).map_or(0, |units| units * (codec.clock_rate() / 8_000)),
            _ => 0,
        };
        let length = if event {
            self.out.event(payload_type, place.sequence, place.timestamp, live.packet.marker, payload)
        } else {
            if place.seam || live.packet.marker {
                self.out.mark();
            }
            (self.mouth.made, self.mouth.relayed) = (Made::Relay, Some(at.now));
            self.out.relayed_audio(payload_type, place.sequence, place.timestamp, payload, duration)
        };
        self.transmit(length, sinks);
        let to = self.id;
        if let (Kind::Audio(_), Some(source)) = (live.kind, self.hears.iter_mut().flatten().next())
            && !std::mem::replace(&mut source.heard, true)
        {
            sinks.event(MediaEvent::BridgeAudio { from: source.leg, to, at: at.now });
        }
    }

    /// True if a digit holds the stream at this tick.
    fn send_digit(&mut self, sinks: &mut Sinks<P>) -> bool {
        let Some(link) = &self.link else { return false };
        let (Some(payload_type), true) = (link.agreement.dtmf_payload_type, self.digits_out.active()) else {
            return false;
        };
        let clock = self.codec_out().map_or(1, |codec| codec.clock_rate() / 8_000);
        let Some(mut packet) = self.digits_out.tick() else {
            let silence = [0; WIDE]; // the pause between two digits
            let n = if self.speaks_wide() { WIDE } else { FRAME_SAMPLES };
            self.send_frame(&silence[..n], sinks);
            return true;
        };
        if packet.first {
            self.event_timestamp = self.out.now();
        }
        packet.event.duration = (u32::from(packet.event.duration) * clock).min(0xFFFF) as u16;
        let (sequence, timestamp) = (self.out.sequence(), self.event_timestamp);
        let length = self.out.event(payload_type, sequence, timestamp, packet.first, &packet.event.bytes());
        self.transmit(length, sinks);
        self.relay.interrupted();
        self.out.mark();
        (self.mouth.made, self.mouth.last) = (Made::Silence, 0);
        true
    }

    fn send_frame(&mut self, pcm: &[i16], sinks: &mut Sinks<P>) {
        let Some(link) = &mut self.link else { return };
        let Some((codec, payload_type)) = link.agreement.codecs.first() else { return };
        let mut payload = [0; MAX_PAYLOAD];
        let length = link.voices.get(codec).map_or(0, |voice| voice.encode(pcm, &mut payload));
        if length == 0 {
            return;
        }
        let length = self.out.audio(payload_type, payload.get(..length).unwrap_or_default(), codec.tick());
        self.transmit(length, sinks);
        self.relay.interrupted();
    }

    /// Sends the packet the stream has made, encrypted where that was agreed.
    fn transmit(&mut self, length: usize, sinks: &mut Sinks<P>) {
        let (Some(link), Some(latch)) = (&mut self.link, &self.latch) else { return };
        let packet = self.out.packet();
        let length = match &mut link.secure {
            Some(secure) => secure.protect_rtp(packet, length),
            None => Some(length),
        };
        let taken = length.and_then(|length| packet.get(..length)).is_some_and(|p| self.port.rtp(latch.target(), p));
        sinks.sent(taken);
    }
}
