//! Nothing is invented: half an hour of what a telephone line carries besides speech, through the real ear and the real
//! engines, must yield no words. Long, so it is asked for: `cargo test --release -p baton-speech-native --test noise -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod support;

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use baton_audio::{AudioFrame, FRAME_SAMPLES, g711};
use baton_speech::{HearEvent, Speech, SpeechConfig};
use baton_speech_native::{Engine, NativeConfig, engines};
use support::{KINDS, Noise};

const SECONDS_EACH: usize = 95;

#[test]
#[ignore = "half an hour of audio twice: minutes of CPU"]
fn no_words_in_half_an_hour_of_silence_tones_music_noise_and_typing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let models = root.join("media/models");
    let config = NativeConfig::in_dir(&models);
    if !config.onnxruntime.exists() {
        println!("skipped: no models in media/models; run: baton models fetch");
        return;
    }
    let hold = baton_audio::load_clip(root.join("media/music/hold.wav")).unwrap();
    for engine in [Engine::Moonshine, Engine::Whisper] {
        let loaded = engines(&NativeConfig { engine, ..config.clone() }).unwrap();
        let speech = Speech::start(loaded, SpeechConfig::default());
        let (mut voices, mut invented) = (0, Vec::new());
        for kind in KINDS {
            let mut noise = Noise::new(kind, &hold);
            let heard = hear(&speech, SECONDS_EACH, &mut || noise.sample());
            println!("{engine:?} {kind}: {} taken for a voice, words: {:?}", heard.0, heard.1);
            voices += heard.0;
            invented.extend(heard.1.into_iter().map(|text| (kind, text)));
        }
        let minutes = (KINDS.len() * SECONDS_EACH) as f32 / 60.0;
        println!(
            "{engine:?}: {minutes:.1} min of {} kinds, {voices} taken for a voice, words: {invented:?}",
            KINDS.len()
        );
        assert!(minutes >= 30.0);
        assert!(invented.is_empty(), "{engine:?} invented {invented:?}");
    }
}

/// How often a voice was taken to be there, and what it was taken to have said. As fast as the ear goes, not as time does.
fn hear(speech: &Speech, seconds: usize, sample: &mut dyn FnMut() -> i16) -> (usize, Vec<String>) {
    // A second at a time: what is taken for speech is decoded before much more comes, as in life.
    let (mut audio, consumer) = rtrb::RingBuffer::new(50);
    let (tell, events) = channel();
    let ear = speech.listen(consumer, Box::new(move |e| drop(tell.send(e))));
    ear.open(true);
    let (mut voices, mut words) = (0, Vec::new());
    let mut take = |event| match event {
        HearEvent::SpeechStarted { .. } => voices += 1,
        HearEvent::Utterance { text, .. } => words.push(text),
        HearEvent::Failed(e) => panic!("{e}"),
        HearEvent::NothingHeard | HearEvent::Partial { .. } => {}
    };
    for n in 0..seconds * 50 {
        // The last two seconds are silent, so that every turn ends.
        let silent = n >= (seconds - 2) * 50;
        let samples: [i16; FRAME_SAMPLES] =
            std::array::from_fn(|_| g711::decode_ulaw(g711::encode_ulaw(if silent { 0 } else { sample() })));
        while speech.stats().waiting > 0 || audio.push(AudioFrame { media_time: n as u32 * 160, samples }).is_err() {
            if let Ok(event) = events.recv_timeout(Duration::from_millis(20)) {
                take(event);
            }
        }
    }
    // Whatever is still being decoded comes within a few seconds; silence after that says that nothing is.
    while audio.slots() < 50 {
        if let Ok(event) = events.recv_timeout(Duration::from_millis(20)) {
            take(event);
        }
    }
    let finals = || speech.stats().waiting;
    while let Ok(event) = events.recv_timeout(Duration::from_millis(if finals() > 0 { 10_000 } else { 2_500 })) {
        take(event);
    }
    (voices, words)
}
