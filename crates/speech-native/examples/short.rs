use baton_audio::load_clip;
use baton_speech::Hints;
use baton_speech_native::{NativeConfig, engines};
use std::path::Path;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("dir")?;
    let mut engines = engines(&NativeConfig { stt_threads: 2, ..NativeConfig::in_dir(Path::new(&dir)) })?;
    for file in args {
        let clip = load_clip(&file)?;
        let s = clip.samples();
        let first = s.iter().position(|x| x.abs() > 300).unwrap_or(0);
        let last = s.iter().rposition(|x| x.abs() > 300).unwrap_or(s.len());
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        for gain in [0.5f32, 1.0] {
            for pre in (0..2600).step_by(320) {
                for post in (1600..4000).step_by(800) {
                    let mut pcm = vec![0i16; 0];
                    let mut seed = 1u32;
                    let mut noise = || {
                        seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
                        ((seed >> 16) as i16) % 8
                    };
                    for _ in 0..pre {
                        pcm.push(noise());
                    }
                    pcm.extend(
                        s[first..=last.min(s.len() - 1)].iter().map(|x| (f32::from(*x) * gain) as i16 + noise()),
                    );
                    for _ in 0..post {
                        pcm.push(noise());
                    }
                    let t = engines.transcribers[0].transcribe(&pcm, &Hints::default())?;
                    *counts.entry(t.text).or_default() += 1;
                }
            }
        }
        println!("{file} {} ms: {counts:?}", (last - first) / 8);
    }
    Ok(())
}
