//! `cargo run --release -p baton-speech-native --example hear -- MODELS FILE…`: what is heard in audio files, and how long it takes.

use std::path::Path;
use std::time::Instant;

use baton_audio::load_clip;
use baton_speech::Hints;
use baton_speech_native::{NativeConfig, engines};

#[expect(clippy::print_stdout, reason = "an example for a terminal")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("give the models' folder")?;
    let dir = Path::new(&dir);
    let mut engines = engines(&NativeConfig { stt_threads: 2, ..NativeConfig::in_dir(dir) })?;
    let began = Instant::now();
    let clip =
        engines.synthesizers[0].synthesize("Maria Gomez, the account holder, about order A one zero four two.")?;
    println!("spoken: {:?} of audio in {:?}", clip.duration(), began.elapsed());
    let began = Instant::now();
    let heard = engines.transcribers[0].transcribe(clip.samples(), &Hints::default())?;
    println!("heard back: {:?} {:?}", heard, began.elapsed());
    for file in args {
        let clip = load_clip(&file)?;
        let mut vad = (engines.voice_activity)();
        let voiced = clip.samples().as_chunks::<256>().0.iter().filter(|w| vad.probability(w) > 0.5).count();
        let began = Instant::now();
        let heard = engines.transcribers[0].transcribe(clip.samples(), &Hints::default())?;
        println!("{file}: {:?} of audio, {} ms voiced, {heard:?}, {:?}", clip.duration(), voiced * 32, began.elapsed());
    }
    Ok(())
}
