//! Telephone speech through each codec and a network that loses some of it: what is heard after the media plane's jitter
//! buffer and concealment (`CODEC-LOSS-plc.wav`), and what would be without concealment (`CODEC-LOSS-none.wav`), beside
//! `reference.wav`, in `target/bench/quality`. `scripts/audio-quality.sh` runs it and has the files scored.
//!
//! The same packets are lost both ways, evenly spread. All 16 lines run at once, in the time that the speech takes.

use std::error::Error;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use baton_audio::halfband::{Down, Up};
use baton_audio::{AudioFrame, FRAME_SAMPLES, RATE, g711, g722};
use baton_media::{Agreement, Codec, CodecList, MediaCommand, MediaConfig, start};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const LOSSES: [u32; 4] = [0, 1, 5, 10];
/// Frames of 20 ms: what is scored.
const FRAMES: usize = 700;
const WIDE: usize = 2 * FRAME_SAMPLES;

struct Line {
    name: String,
    codec: Codec,
    packets: Vec<Option<Vec<u8>>>,
    socket: UdpSocket,
    tap: rtrb::Consumer<AudioFrame>,
}

#[expect(clippy::disallowed_methods, reason = "packets are paced as a phone paces them")]
fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = root.join("target/bench/quality");
    std::fs::create_dir_all(&out)?;
    let speech = speech(&root.join("media/callers"))?;
    baton_audio::write_wav(out.join("reference.wav"), &speech, RATE)?;

    let (media, _events) = start(MediaConfig { ports: 40_000..=40_099, ..MediaConfig::default() })?;
    let mut lines = Vec::new();
    for codec in Codec::ALL {
        let encoded = encode(codec, &speech)?;
        for loss in LOSSES {
            let mut random = StdRng::seed_from_u64(u64::from(loss));
            let arrives = |packet: &Vec<u8>| (!random.random_ratio(loss, 100)).then(|| packet.clone());
            let packets: Vec<_> = encoded.iter().map(arrives).collect();
            let name = format!("{}-{loss}", codec.name());
            let without = without_concealment(codec, &packets)?;
            baton_audio::write_wav(out.join(format!("{name}-none.wav")), &without, RATE)?;
            let (leg, at) = media.open()?;
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(at)?;
            let codecs = CodecList::one(codec, codec.usual_payload_type());
            media.command(leg, MediaCommand::Connect(Agreement::new(socket.local_addr()?, codecs)))?;
            let (to, tap) = rtrb::RingBuffer::new(2 * FRAMES);
            media.command(leg, MediaCommand::Tap { to: Some(to) })?;
            lines.push(Line { name, codec, packets, socket, tap });
        }
    }
    let began = Instant::now();
    for n in 0..FRAMES + 20 {
        for line in &lines {
            let Some(Some(payload)) = line.packets.get(n) else { continue };
            let mut packet = vec![0x80, line.codec.usual_payload_type()];
            packet.extend((n as u16).to_be_bytes());
            packet.extend((n as u32 * line.codec.clock_rate() / 50).to_be_bytes());
            packet.extend(7u32.to_be_bytes());
            packet.extend(payload);
            line.socket.send(&packet)?;
        }
        std::thread::sleep(
            (began + Duration::from_millis(20 * (n as u64 + 1))).saturating_duration_since(Instant::now()),
        );
    }
    for line in &mut lines {
        let mut heard = Vec::new();
        while let Ok(frame) = line.tap.pop() {
            heard.extend(frame.samples);
        }
        let silence = heard.iter().take_while(|sample| **sample == 0).count();
        baton_audio::write_wav(
            out.join(format!("{}-plc.wav", line.name)),
            heard.get(silence..).unwrap_or_default(),
            RATE,
        )?;
    }
    Ok(())
}

/// The sample callers' words, one after the other.
fn speech(callers: &Path) -> Result<Vec<i16>, Box<dyn Error>> {
    let folder = callers.join("disputed-amount");
    let mut files: Vec<_> = std::fs::read_dir(&folder)?.map(|f| f.map(|f| f.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|e| e == "flac"));
    files.sort();
    let mut speech = Vec::new();
    while speech.len() < FRAMES * FRAME_SAMPLES {
        for file in &files {
            speech.extend_from_slice(baton_audio::load_clip(file)?.samples());
        }
    }
    speech.truncate(FRAMES * FRAME_SAMPLES);
    Ok(speech)
}

fn encode(codec: Codec, speech: &[i16]) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut up = Up::default();
    let mut g722 = g722::Encoder::default();
    let mut opus = baton_opus::Encoder::voice(16_000)?;
    let mut packet = |frame: &[i16]| -> Option<Vec<u8>> {
        let narrow: &[i16; FRAME_SAMPLES] = frame.try_into().ok()?;
        let (mut wide, mut payload) = ([0; WIDE], [0; 600]);
        up.run(narrow, &mut wide);
        let length = match codec {
            Codec::Pcmu => return Some(narrow.iter().map(|s| g711::encode_ulaw(*s)).collect()),
            Codec::Pcma => return Some(narrow.iter().map(|s| g711::encode_alaw(*s)).collect()),
            Codec::G722 => g722.encode(&wide, &mut payload),
            Codec::Opus => opus.encode(&wide, &mut payload),
        };
        payload.get(..length).map(<[u8]>::to_vec)
    };
    speech.chunks_exact(FRAME_SAMPLES).map(|frame| packet(frame).ok_or("a frame was not coded".into())).collect()
}

/// Decoded in order, silence where a packet is missing.
fn without_concealment(codec: Codec, packets: &[Option<Vec<u8>>]) -> Result<Vec<i16>, Box<dyn Error>> {
    let (mut down, mut g722) = (Down::default(), g722::Decoder::default());
    let mut opus = baton_opus::Decoder::new(16_000, false)?;
    let mut heard = Vec::new();
    for packet in packets {
        let (mut wide, mut narrow) = ([0; WIDE], [0; FRAME_SAMPLES]);
        match (packet, codec) {
            (None, Codec::Pcmu | Codec::Pcma) => {}
            (Some(bytes), Codec::Pcmu) => narrow.iter_mut().zip(bytes).for_each(|(s, b)| *s = g711::decode_ulaw(*b)),
            (Some(bytes), Codec::Pcma) => narrow.iter_mut().zip(bytes).for_each(|(s, b)| *s = g711::decode_alaw(*b)),
            (Some(bytes), Codec::G722) => {
                g722.decode(bytes, &mut wide);
            }
            (Some(bytes), Codec::Opus) => {
                opus.decode(bytes, &mut wide);
            }
            (None, Codec::G722 | Codec::Opus) => {}
        }
        if matches!(codec, Codec::G722 | Codec::Opus) {
            down.run(&wide, &mut narrow);
        }
        heard.extend(narrow);
    }
    Ok(heard)
}
