//! What must hold whatever comes in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails is a failed test")]

use baton_tone::{Band, Config, Cue, Features, Frustration, Level, LevelsConfig, Reading, ToneConfig, UtteranceInput};
use proptest::prelude::*;

/// Any number at all, and often one that a voice might have.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![4 => -100.0f32..500.0, 1 => any::<f32>(), 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]
}

fn features() -> impl Strategy<Value = Option<Features>> {
    proptest::option::weighted(
        0.9,
        [number(), number(), number(), number(), number(), number()].prop_map(|n| Features {
            level_dbov: n[0],
            f0_hz: n[1],
            f0_sd_st: n[2],
            alpha_db: n[3],
            rate_hz: n[4],
            hnr_db: n[5],
            ..Features::default()
        }),
    )
}

/// A voice as voices are, from calm to shouting.
fn voice() -> impl Strategy<Value = Features> {
    (-40.0f32..-6.0, 80.0f32..400.0, 0.5f32..6.0, -16.0f32..4.0, 2.0f32..8.0, 3.0f32..20.0).prop_map(
        |(level_dbov, f0_hz, f0_sd_st, alpha_db, rate_hz, hnr_db)| Features {
            level_dbov,
            f0_hz,
            f0_sd_st,
            alpha_db,
            rate_hz,
            hnr_db,
            ..Features::default()
        },
    )
}

/// Any weights, most of which `check` would refuse.
fn config() -> impl Strategy<Value = Config> {
    ([number(), number(), number(), number()], number(), number(), 0usize..9, 0u32..5).prop_map(
        |(caps, weight, on, baseline, cooldown)| {
            let cue = Cue { weight, still: caps[0], full: caps[1] };
            Config {
                tone: ToneConfig {
                    cap: caps[0],
                    absolute_cap: caps[1],
                    slope_cap: caps[2],
                    smoothing: caps[3],
                    baseline,
                    level: cue,
                    pitch: cue,
                    ..ToneConfig::default()
                },
                levels: LevelsConfig {
                    soften: Band { on, off: on },
                    offer: Band { on: on / 2.0, off: on / 3.0 },
                    transfer: Band { on: on / 4.0, off: weight },
                    hard: on / 5.0,
                    cooldown,
                },
                memory: caps[2],
                ..Config::default()
            }
        },
    )
}

const NEUTRAL: [&str; 6] =
    ["", "Yes.", "Where is my order?", "A one zero four two.", "Thank you, great!", "On Tuesday, I think."];
const WORDS: [&str; 6] = [
    "Yes.",
    "This is ridiculous!",
    "I already told you, I'm fed up.",
    "Thank you.",
    "What the hell, it's bullshit.",
    "It's on the box.",
];

/// A turn of words and events, and a voice.
fn turn() -> impl Strategy<Value = (usize, bool, bool, bool, Option<Features>)> {
    (0..WORDS.len(), any::<bool>(), any::<bool>(), any::<bool>(), features())
}

fn say(mood: &mut Frustration, text: &str, features: Option<Features>) -> Reading {
    mood.utterance(UtteranceInput { features, text, ..UtteranceInput::default() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_voice_alone_reaches_no_person(
        config in prop_oneof![2 => Just(Config::default()), 1 => config()],
        turns in proptest::collection::vec((0..NEUTRAL.len(), features()), 1..30),
    ) {
        let mut mood = Frustration::new(config);
        for (n, (text, features)) in turns.into_iter().enumerate() {
            // Said twice is a repeat, and no more the voice alone.
            let text = if text < 2 { NEUTRAL[text].to_owned() } else { format!("{} {n}", NEUTRAL[text % 2]) };
            let reading = say(&mut mood, &text, features);
            prop_assert!(reading.level <= Level::Soften, "{reading:?}");
        }
    }

    #[test]
    fn a_real_voice_beside_neutral_words_is_worth_half_a_threshold(voices in proptest::collection::vec(voice(), 1..20)) {
        let mut mood = Frustration::new(Config::default());
        for features in voices {
            let reading = say(&mut mood, "It is on the box.", Some(features));
            prop_assert!(reading.score <= 30.0 && reading.why.iter().all(|r| r.term.is_voice()), "{reading:?}");
            let reading = say(&mut mood, "Thank you.", Some(features));
            prop_assert!(reading.score <= 10.0 && reading.level <= Level::Soften, "{reading:?}");
        }
    }

    #[test]
    fn the_gain_of_the_line_changes_nothing(
        turns in proptest::collection::vec((0..WORDS.len(), voice()), 1..15),
        gain_db in -20.0f32..20.0,
    ) {
        let (mut mood, mut louder) = (Frustration::new(Config::default()), Frustration::new(Config::default()));
        for (text, features) in turns {
            let a = say(&mut mood, WORDS[text], Some(features));
            let gained = Features { level_dbov: features.level_dbov + gain_db, ..features };
            let b = say(&mut louder, WORDS[text], Some(gained));
            prop_assert!((a.score - b.score).abs() < 0.05, "{a:?}\n{b:?}");
        }
    }

    #[test]
    fn a_reading_is_sound_whatever_comes(
        config in prop_oneof![2 => Just(Config::default()), 1 => config()],
        turns in proptest::collection::vec(turn(), 1..30),
        declines in any::<u32>(),
    ) {
        let mut mood = Frustration::new(config);
        let (mut before, mut peak) = (Level::Calm, 0.0f32);
        for (n, (text, repeated, misunderstood, interrupted, features)) in turns.into_iter().enumerate() {
            if declines >> (n % 32) & 7 == 0 {
                mood.offer_declined();
                before = before.min(Level::Soften);
            }
            let r = mood.utterance(UtteranceInput { features, text: WORDS[text], repeated, misunderstood, interrupted });
            peak = peak.max(r.score);
            prop_assert!((0.0..=100.0).contains(&r.score) && r.peak == peak, "{r:?}");
            prop_assert_eq!(r.rose, r.level > before);
            prop_assert!(r.why.iter().all(|w| w.points >= 1.0 && !w.words.is_empty() && !w.plain.is_empty()), "{r:?}");
            prop_assert!(r.why.windows(2).all(|w| w[0].points >= w[1].points));
            let sum: f32 = r.why.iter().map(|w| w.points).sum();
            prop_assert!(sum <= r.score + 0.01 || r.score == 100.0, "the reasons are the score: {r:?}");
            prop_assert!(r.score - sum < 8.0, "the score has reasons: {r:?}");
            before = r.level;
        }
    }

    /// The level is left only below its `off`, and entered only from its `on`.
    #[test]
    fn levels_have_hysteresis(turns in proptest::collection::vec((0..WORDS.len(), voice()), 1..40)) {
        let config = Config::default();
        let mut mood = Frustration::new(config.clone());
        let bands = [config.levels.soften, config.levels.offer, config.levels.transfer];
        let (mut before, mut was_over) = (Level::Calm, false);
        for (text, features) in turns {
            let r = say(&mut mood, WORDS[text], Some(features));
            for (level, band) in [Level::Soften, Level::OfferPerson, Level::Transfer].into_iter().zip(bands) {
                if before >= level && r.level < level {
                    prop_assert!(r.score < band.off, "{level:?} left at {}", r.score);
                }
                if before < level && r.level == level {
                    prop_assert!(r.score >= band.on, "{level:?} entered at {}", r.score);
                    prop_assert!(level < Level::Transfer || was_over || r.score >= config.levels.hard);
                }
            }
            (before, was_over) = (r.level, r.score >= config.levels.transfer.on);
        }
    }

    #[test]
    fn any_audio_can_be_measured(pcm in proptest::collection::vec(any::<i16>(), 0..20_000), period in 1usize..200) {
        for audio in [pcm.clone(), pcm.iter().cycle().step_by(period).take(20_000).copied().collect()] {
            if let Some(f) = Features::of(&audio) {
                let json = serde_json::to_value(f).unwrap();
                prop_assert!(json.as_object().unwrap().values().all(|v| v.is_number()), "no NaN: {f:?}");
            }
        }
    }
}

#[test]
fn the_defaults_pass_their_own_check_and_bad_weights_are_named() {
    Config::default().check().unwrap();
    let bad = |toml: &str| toml::from_str::<Config>(toml).unwrap().check().unwrap_err().to_string();
    for (toml, key) in [
        ("memory = 1.0", "memory"),
        ("relief = nan", "relief"),
        ("[tone]\nsmoothing = 0.0", "tone.smoothing"),
        ("[tone]\nbaseline = 9", "tone.baseline"),
        ("[tone]\ncap = -1.0", "tone.cap"),
        ("[words]\nrepeats = 101.0", "words.repeats"),
        ("[turns]\ninterrupted = nan", "turns.interrupted"),
        ("[tone]\nlevel = { weight = -1.0, still = 1.0, full = 2.0 }", "tone.level.weight"),
        ("[tone]\nrate = { weight = 1.0, still = 2.0, full = 2.0 }", "tone.rate"),
        ("[levels]\nsoften = { on = 10.0, off = 20.0 }", "levels.soften"),
        ("[levels]\noffer = { on = 15.0, off = 10.0 }", "levels.offer.on"),
        ("[levels]\nhard = 50.0", "levels.hard"),
    ] {
        assert!(bad(toml).starts_with(&format!("{key} ")), "{toml}: {}", bad(toml));
    }
    assert!(toml::from_str::<Config>("voise = false").unwrap_err().to_string().contains("voise"));
    let written = toml::to_string(&Config::default()).unwrap();
    assert_eq!(toml::from_str::<Config>(&written).unwrap(), Config::default());
}

#[test]
fn a_score_keeps_its_level_on_a_scale_of_others() {
    let levels = LevelsConfig::default();
    let steps = [0.4, 0.6, 0.85];
    for (score, there) in [(0.0, 0.0), (10.0, 0.2), (20.0, 0.4), (30.0, 0.5), (40.0, 0.6), (60.0, 0.85), (100.0, 1.0)] {
        assert!((levels.on_steps(score, steps) - there).abs() < 1e-6, "{score}");
    }
    assert_eq!(levels.on_steps(f32::NAN, steps), 0.0);
}

#[test]
fn switched_off_the_voice_counts_nothing() {
    let mut mood = Frustration::new(Config { voice: false, ..Config::default() });
    let calm = Features {
        level_dbov: -25.0,
        f0_hz: 120.0,
        f0_sd_st: 2.0,
        alpha_db: -9.0,
        rate_hz: 4.0,
        hnr_db: 10.0,
        ..Features::default()
    };
    for _ in 0..3 {
        say(&mut mood, "Yes.", Some(calm));
    }
    let shout = Features { level_dbov: -8.0, f0_hz: 300.0, alpha_db: 3.0, rate_hz: 7.0, ..calm };
    for _ in 0..3 {
        assert_eq!(say(&mut mood, "It is on the box.", Some(shout)).score, 0.0);
    }
    let reading = say(&mut mood, "This is ridiculous.", Some(shout));
    assert_eq!(reading.words(), "complained once (\"ridiculous\")");
    assert_eq!(reading.plain(), "The caller complained once (\"ridiculous\").");
}

#[test]
fn what_is_spoken_over_us_is_not_measured() {
    let calm = Features {
        level_dbov: -25.0,
        f0_hz: 120.0,
        f0_sd_st: 2.0,
        alpha_db: -9.0,
        rate_hz: 4.0,
        hnr_db: 10.0,
        ..Features::default()
    };
    let shout = Features { level_dbov: -8.0, f0_hz: 300.0, alpha_db: 3.0, rate_hz: 7.0, ..calm };
    let mut mood = Frustration::new(Config::default());
    for _ in 0..3 {
        say(&mut mood, "Yes.", Some(calm));
    }
    let over = UtteranceInput {
        features: Some(shout),
        text: "It is on the box.",
        interrupted: true,
        ..UtteranceInput::default()
    };
    let reading = mood.utterance(over);
    assert_eq!(reading.words(), "interrupted us once");
}
