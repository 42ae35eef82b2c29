//! What is heard in audio files, and how long it takes, through the whole room: voice activity, end of turn, whisper.
//!
//! `cargo run --release -p baton-speech-native --example hear -- MODELS THREADS FILE… [--prompt WORDS]`

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use baton_audio::{AudioFrame, FRAME_SAMPLES, g711, load_clip};
use baton_speech::{Expectation, Expected, HearEvent, Hints, Speech, SpeechConfig};
use baton_speech_native::{NativeConfig, engines};

#[expect(clippy::print_stdout, reason = "an example for a terminal")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let prompt = match files.iter().position(|a| a == "--prompt") {
        Some(at) => files.split_off(at).split_off(1).join(" "),
        None => String::new(),
    };
    if files.len() < 3 {
        return Err("give the models' folder, threads, and audio files".into());
    }
    let (dir, threads) = (files.remove(0), files.remove(0).parse()?);
    let dir = Path::new(&dir);
    let began = Instant::now();
    let mut engines = engines(NativeConfig {
        whisper: dir.join("ggml-base.bin"),
        voice: dir.join("en_US-joe-medium.onnx"),
        silero: dir.join("silero_vad.onnx"),
        onnxruntime: dir.join("libonnxruntime.so"),
        espeak_data: dir.to_owned(),
        stt_workers: 2,
        stt_threads: threads,
        tts_workers: 1,
    })?;
    println!("engines loaded in {:?}", began.elapsed());
    let hints = Hints { prompt };
    // One transcriber for whole files, the other behind the ears.
    let mut direct = engines.transcribers.remove(0);
    let speech = Speech::start(engines, SpeechConfig::default());
    for file in files {
        let clip = load_clip(&file)?;
        let phone: Vec<i16> = clip.samples().iter().map(|s| g711::decode_ulaw(g711::encode_ulaw(*s))).collect();
        let began = Instant::now();
        let heard = direct.transcribe(&phone, &hints)?;
        println!("\n{file} ({:.1} s)", clip.duration().as_secs_f32());
        println!("  direct {:>5} ms {:.2} {:?}", began.elapsed().as_millis(), heard.confidence, heard.text);

        let (tell, events) = channel();
        let (mut audio, consumer) = rtrb::RingBuffer::new(20_000);
        let ear = speech.listen(consumer, Box::new(move |e| drop(tell.send(e))));
        ear.expect(Expectation { hints: hints.clone(), kind: Expected::Anything });
        ear.open(true);
        let silence = std::iter::repeat_n(0, 16_000);
        let padded: Vec<i16> = silence.clone().take(8_000).chain(phone).chain(silence).collect();
        for (i, samples) in padded.as_chunks::<FRAME_SAMPLES>().0.iter().enumerate() {
            let _ = audio.push(AudioFrame { media_time: (i * FRAME_SAMPLES) as u32, samples: *samples });
        }
        drop(audio);
        while let Ok(event) = events.recv_timeout(Duration::from_secs(4)) {
            match event {
                HearEvent::SpeechStarted { .. } => println!("  voice"),
                HearEvent::Utterance { text, confidence, started, ended, .. } => {
                    println!("  ear {:>5} ms of voice {confidence:.2} {text:?}", (ended - started).as_millis());
                }
                other => println!("  {other:?}"),
            }
        }
    }
    Ok(())
}
