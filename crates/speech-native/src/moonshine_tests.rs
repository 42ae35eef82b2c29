use super::*;

fn said(tokens: &[usize], logprob: f32) -> Vec<(usize, f32)> {
    tokens.iter().map(|t| (*t, logprob)).collect()
}

/// Tokens 0 to 2 have no text; from 3 on: these.
fn vocabulary(pieces: &[&str]) -> Tokens {
    let mut file = Vec::new();
    for piece in ["<unk>", "<s>", "</s>"].iter().chain(pieces) {
        file.push(piece.len() as u8);
        file.extend(piece.as_bytes());
    }
    Tokens::parse(&file).unwrap()
}

#[test]
fn words_are_as_sure_as_their_least_sure_token() {
    let tokens = vocabulary(&["\u{2581}my", "\u{2581}or", "der", "."]);
    let heard = heard(&[(3, -0.01), (4, -0.02), (5, -0.7), (6, -0.1)], &tokens, Expected::Anything);
    assert_eq!(heard.text, "my order.");
    let words: Vec<(&str, bool)> = heard.words.iter().map(|w| (w.text.as_str(), w.confidence > 0.9)).collect();
    assert_eq!(words, [("my", true), ("order.", false)]);
    assert!((heard.words[1].confidence - (-0.7f32).exp()).abs() < 1e-6);
    assert!(heard.confidence > 0.7 && heard.confidence < 0.9, "{}", heard.confidence);
}

#[test]
fn what_looks_invented_is_dropped() {
    let tokens = vocabulary(&["\u{2581}You", ".", "\u{2581}order", "\u{2581}No", "\u{2581}Okay"]);
    let text = |said: &[(usize, f32)], expected| heard(said, &tokens, expected).text;
    assert_eq!(text(&said(&[3, 4], -0.5), Expected::Anything), "");
    assert_eq!(text(&said(&[3, 4], -0.1), Expected::Anything), "You.");
    assert_eq!(text(&said(&[5; 5], -1.5), Expected::Anything), "");
    assert_eq!(text(&said(&[5], -0.5), Expected::Anything), "order");
    assert_eq!(text(&[], Expected::Anything), "");
    // A syllable is less sure than a sentence; and what was asked for is no filler.
    assert_eq!(text(&said(&[6, 4], -1.5), Expected::Anything), "No.");
    assert_eq!(text(&said(&[5], -2.5), Expected::Anything), "");
    assert_eq!(text(&said(&[6, 4], -2.5), Expected::YesNo), "No.");
    assert_eq!(text(&said(&[7, 4], -0.5), Expected::Anything), "");
    assert_eq!(text(&said(&[7, 4], -0.5), Expected::YesNo), "Okay.");
}

#[test]
fn circles_are_seen_and_figures_said_four_times_are_none() {
    let round = |n: usize, times: usize| said(&(0..times).flat_map(|_| 10..10 + n).collect::<Vec<_>>(), -0.1);
    assert!(circles(&round(3, 4)) && circles(&round(8, 4)));
    assert!(!circles(&round(3, 3)) && !circles(&round(9, 6)));
    assert!(!circles(&round(1, 8)), "one one one one one one one one");
    assert!(circles(&round(1, 16)) && circles(&round(2, 16)));
}

/// The folder of models of this checkout; `None` (and a word about it) without Moonshine in it.
fn models() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../media/models");
    let there = dir.join("moonshine-base-encoder.onnx").exists() && dir.join("libonnxruntime.so").exists();
    if !there {
        println!("skipped: no Moonshine in media/models; run: baton models fetch");
    }
    there.then_some(dir)
}

#[test]
fn the_model_hears_a_telephone_caller_and_strings_of_digits() {
    let Some(dir) = models() else { return };
    ort::init_from(dir.join("libonnxruntime.so")).unwrap().commit();
    let mut engine = Moonshine::load(&MoonshineFiles::in_dir(&dir), 1).unwrap();
    let callers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../media/callers");
    let clip = baton_audio::load_clip(callers.join("disputed-amount/01.flac")).unwrap();
    let heard = engine.transcribe(clip.samples(), &Hints::default()).unwrap();
    assert!(heard.text.to_lowercase().contains("charge"), "{heard:?}");
    assert_eq!(heard.words.len(), heard.text.split_whitespace().count(), "{heard:?}");
    assert!(heard.confidence > 0.5, "{heard:?}");
    // Less audio than the encoder takes is no error.
    for samples in [0, 1, 400] {
        engine.transcribe(&vec![0; samples], &Hints::default()).unwrap();
    }
}
