//! A loudspeaker, a room and a line, made of arithmetic; voices from the sample callers.

use super::*;
use baton_audio::g711;

fn voice(name: &str) -> Vec<i16> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../media/callers").join(name);
    baton_audio::load_clip(path).unwrap().samples().to_vec()
}

/// 200 ms later, `gain_db` softer, with 60 ms of reverberation, through µ-law.
fn speakerphone(pcm: &[i16], gain_db: f32) -> Vec<i16> {
    let mut seed = 7u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let mut room = vec![1.0f32];
    room.extend((1..480).map(|n| if n % 7 == 0 { 0.7 * random() * (-(n as f32) / 120.0).exp() } else { 0.0 }));
    let gain = 10f32.powf(gain_db / 20.0);
    let mut out = vec![0i16; 1_600];
    out.extend((0..pcm.len() + room.len()).map(|n| {
        let sum: f32 =
            room.iter().enumerate().filter_map(|(k, g)| Some(g * f32::from(*pcm.get(n.checked_sub(k)?)?))).sum();
        // A small loudspeaker does not stay in proportion.
        let bent = (sum * gain / 9_000.0).tanh() * 9_000.0;
        g711::decode_ulaw(g711::encode_ulaw((bent + random() * 20.0) as i16))
    }));
    out
}

fn is_sound(window: &[i16]) -> bool {
    window.iter().map(|s| u32::from(s.unsigned_abs())).sum::<u32>() / window.len() as u32 > 150
}

/// Of the windows with sound in them: how many were held for our echo, and how many there were.
fn run(played: &[i16], heard: &[i16]) -> (usize, usize) {
    let began = Instant::now();
    let mut echo = Echo::default();
    echo.played(Clip::new(played.to_vec()), began);
    let (mut echoes, mut sounds) = (0, 0);
    for (n, window) in heard.as_chunks::<256>().0.iter().enumerate() {
        // The thread looks every 10 ms: windows are seen late by different times.
        let late = Duration::from_millis([4, 19, 11][n % 3]);
        let now = began + Duration::from_micros((n as u64 + 1) * 32_000) + late;
        let sound = is_sound(window);
        let is_echo = echo.window(window, now, sound);
        if sound {
            (echoes, sounds) = (echoes + usize::from(is_echo), sounds + 1);
        }
    }
    (echoes, sounds)
}

#[test]
fn our_voice_from_a_speakerphone_is_an_echo() {
    for (name, gain) in
        [("agents/accepts.flac", -6.0), ("agents/waits.flac", -12.0), ("disputed-amount/01.flac", -18.0)]
    {
        let ours = voice(name);
        let (echoes, sounds) = run(&ours, &speakerphone(&ours, gain));
        assert!(sounds > 40 && echoes * 100 >= sounds * 92, "{name}: {echoes} of {sounds}");
    }
}

#[test]
fn a_caller_who_speaks_while_we_do_is_none() {
    let (mut echoes, mut sounds) = (0, 0);
    for (ours, theirs) in [
        ("agents/accepts.flac", "disputed-amount/01.flac"),
        ("agents/waits.flac", "asks-for-person/01.flac"),
        ("disputed-amount/01.flac", "two-failed-attempts/01.flac"),
        ("agents/accepts.flac", "two-failed-attempts/07.flac"),
    ] {
        let (e, s) = run(&voice(ours), &voice(theirs));
        (echoes, sounds) = (echoes + e, sounds + s);
    }
    assert!(sounds > 200 && echoes * 100 <= sounds * 3, "{echoes} of {sounds}");
}

#[test]
fn a_caller_over_our_echo_is_heard() {
    let ours = voice("agents/accepts.flac");
    let mut line = speakerphone(&ours, -18.0);
    let theirs = voice("disputed-amount/01.flac");
    let from = 16_000;
    for (at, s) in line[from..].iter_mut().zip(&theirs) {
        *at = at.saturating_add(*s);
    }
    let began = Instant::now();
    let mut echo = Echo::default();
    echo.played(Clip::new(ours), began);
    let mut over = Vec::new();
    for (n, window) in line.as_chunks::<256>().0.iter().enumerate() {
        let now = began + Duration::from_micros((n as u64 + 1) * 32_000);
        let is_echo = echo.window(window, now, is_sound(window));
        let voiced = theirs.get((n * 256).wrapping_sub(from)..).is_some_and(|t| t.len() > 256 && is_sound(&t[..256]));
        if n * 256 > from + 2_048 && voiced {
            over.push(is_echo);
        }
    }
    let held_for_echo = over.iter().filter(|e| **e).count();
    assert!(over.len() > 30 && held_for_echo * 4 <= over.len(), "{held_for_echo} of {}", over.len());
}

#[test]
fn what_was_stopped_does_not_come_back_and_silence_is_like_nothing() {
    let ours = voice("agents/accepts.flac");
    let began = Instant::now();
    let mut echo = Echo::default();
    assert!(!echo.window(&[3_000; 256], began, true), "nothing was played");
    echo.played(Clip::new(ours.clone()), began);
    echo.stopped(began + Duration::from_millis(500));
    let later = began + Duration::from_millis(1_500);
    for window in ours.as_chunks::<256>().0.iter().take(20) {
        assert!(!echo.window(window, later, true), "it was stopped a second ago");
    }
    assert!(echo.played.is_empty());
}
