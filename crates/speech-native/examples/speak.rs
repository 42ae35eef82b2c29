//! A text spoken into a WAV file, as a caller would hear it, with the time to its first audio.
//!
//! `cargo run --release -p baton-speech-native --example speak -- MODELS OUT.wav TEXT…`

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Instant;

use baton_audio::{RATE, write_wav};
use baton_speech::{Speech, SpeechConfig, Spoken, text};
use baton_speech_native::{NativeConfig, engines};

#[expect(clippy::print_stdout, reason = "an example for a terminal")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(out)) = (args.next(), args.next()) else {
        return Err("give the models' folder, a file to write, and a text".into());
    };
    let words = args.collect::<Vec<_>>().join(" ");
    let dir = Path::new(&dir);
    let engines = engines(NativeConfig {
        whisper: dir.join("ggml-base.bin"),
        voice: dir.join("en_US-joe-medium.onnx"),
        silero: dir.join("silero_vad.onnx"),
        onnxruntime: dir.join("libonnxruntime.so"),
        espeak_data: dir.to_owned(),
        stt_workers: 1,
        stt_threads: 1,
        tts_workers: 1,
    })?;
    let speech = Speech::start(engines, SpeechConfig::default());
    println!("{}", text::speakable(&words));
    let (tell, spoken) = channel();
    let began = Instant::now();
    speech.speak(&words, Box::new(move |s| drop(tell.send(s))));
    let mut pcm = Vec::new();
    for part in spoken {
        match part {
            Spoken::Clip { text, clip, .. } => {
                println!("{:>6} ms: {:>6} ms of {text:?}", began.elapsed().as_millis(), clip.duration().as_millis());
                pcm.extend_from_slice(clip.samples());
            }
            Spoken::Done => {}
            Spoken::Failed(e) => return Err(e.into()),
        }
    }
    write_wav(&out, &pcm, RATE)?;
    Ok(())
}
