//! The calls of `testdata/calls.txt`, in the format that it explains.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails is a failed test")]

use baton_tone::{Config, Features, Frustration, Level, UtteranceInput};

/// A calm voice. Each turn wobbles a little, as voices do.
fn calm(turn: usize) -> Features {
    let wobble = [0.0, 1.0, -1.0, 0.5, -0.5][turn % 5];
    Features {
        duration_s: 3.0,
        voiced_s: 1.8,
        level_dbov: -24.0 + 1.5 * wobble,
        f0_hz: 120.0 * (0.7 * wobble / 12.0f32).exp2(),
        f0_sd_st: 2.4 + 0.4 * wobble,
        alpha_db: -9.0 + wobble,
        rate_hz: 4.3 - 0.3 * wobble,
        hnr_db: 11.0 - wobble,
        ..Features::default()
    }
}

#[derive(Default)]
struct Turn<'a> {
    features: Option<Features>,
    text: &'a str,
    repeated: bool,
    misunderstood: bool,
    interrupted: bool,
    declined: bool,
}

fn turn(line: &str, number: usize) -> Turn<'_> {
    let (text, notes) = line.strip_prefix('"').and_then(|l| l.split_once('"')).expect(line);
    let mut turn = Turn { features: Some(calm(number)), text, ..Turn::default() };
    let mut voice = calm(number);
    for note in notes.split([',', ';']).map(str::trim).filter(|n| !n.is_empty()) {
        let by = |name: &str| note.strip_prefix(name).map(|n| n.trim().parse::<f32>().expect(note));
        match note {
            "repeated" => turn.repeated = true,
            "misunderstood" => turn.misunderstood = true,
            "interrupted" => turn.interrupted = true,
            "no voice" => turn.features = None,
            "declined" => turn.declined = true,
            _ => {
                if let Some(db) = by("louder") {
                    voice.level_dbov += db;
                } else if let Some(semitones) = by("higher") {
                    voice.f0_hz *= (semitones / 12.0).exp2();
                } else if let Some(db) = by("sharper") {
                    voice.alpha_db += db;
                } else if let Some(rate) = by("faster") {
                    voice.rate_hz += rate;
                } else {
                    voice.f0_sd_st += by("livelier").unwrap_or_else(|| panic!("{note}"));
                }
            }
        }
    }
    turn.features = turn.features.map(|_| voice);
    turn
}

fn level(name: &str) -> Level {
    match name {
        "calm" => Level::Calm,
        "soften" => Level::Soften,
        "offer" => Level::OfferPerson,
        "transfer" => Level::Transfer,
        _ => panic!("no level {name}"),
    }
}

#[test]
fn calls_go_as_written() {
    let script = include_str!("../testdata/calls.txt");
    let (mut mood, mut call, mut number, mut checked) = (Frustration::new(Config::default()), "", 0, 0);
    let mut reading = None;
    let mut wrong = Vec::new();
    for (at, line) in script.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("call: ") {
            (mood, call, number) = (Frustration::new(Config::default()), name, 0);
        } else if line.starts_with('"') {
            let turn = turn(line, number);
            if turn.declined {
                mood.offer_declined();
            }
            number += 1;
            reading = Some(mood.utterance(UtteranceInput {
                features: turn.features,
                text: turn.text,
                repeated: turn.repeated,
                misunderstood: turn.misunderstood,
                interrupted: turn.interrupted,
            }));
        } else {
            let got = reading.take().expect("an expectation follows an utterance");
            let (how, reasons) = line.split_once("because").unwrap_or((line, ""));
            let mut words = how.split_whitespace();
            let rose = words.next().unwrap() == "reaches";
            let wanted = level(words.next().unwrap());
            let lacking: Vec<&str> =
                reasons.split(';').map(str::trim).filter(|reason| !got.words().contains(reason)).collect();
            println!("{call}: {:5.1} {:?}{} {}", got.score, got.level, if got.rose { "!" } else { "" }, got.words());
            if (got.level, got.rose) != (wanted, rose) || !lacking.is_empty() {
                wrong.push(format!("line {}: {line}\n    got {got:?}", at + 1));
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
    assert!(wrong.is_empty(), "{call}\n{}", wrong.join("\n"));
}
