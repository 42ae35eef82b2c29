//! Ears and voice with scripted engines, through the real threads. Every wait is for an event, with a deadline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails is a failed test")]

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use baton_audio::AudioFrame;
use baton_speech::scripted::{Script, engines};
use baton_speech::{Ear, Expectation, Expected, HearEvent, Speech, SpeechConfig, Spoken, SttError};
use rtrb::{Producer, RingBuffer};

const LIMIT: Duration = Duration::from_secs(10);

struct Rig {
    audio: Producer<AudioFrame>,
    events: Receiver<HearEvent>,
    ear: Ear,
    time: u32,
    _speech: Speech,
}

fn rig(script: &Script) -> Rig {
    let speech = Speech::start(engines(script), SpeechConfig::default());
    let (audio, consumer) = RingBuffer::new(4_096);
    let (tell, events) = channel();
    let ear = speech.listen(
        consumer,
        Box::new(move |e| {
            let _ = tell.send(e);
        }),
    );
    ear.open(true);
    Rig { audio, events, ear, time: 0, _speech: speech }
}

impl Rig {
    /// So much of voice or silence, as fast as the ring takes it.
    fn feed(&mut self, ms: u32, voice: bool) {
        for _ in 0..ms / 20 {
            let level = if voice { 4_000 } else { 0 };
            let samples = std::array::from_fn(|i| if i % 8 < 4 { level } else { -level });
            self.audio.push(AudioFrame { media_time: self.time, samples }).unwrap();
            self.time += 160;
        }
    }

    fn next(&self) -> HearEvent {
        self.events.recv_timeout(LIMIT).expect("an event in time")
    }

    fn words(&self) -> String {
        loop {
            match self.next() {
                HearEvent::Utterance { text, .. } => return text,
                HearEvent::SpeechStarted { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn an_utterance_is_heard_once() {
    let mut rig = rig(&Script::new(&["where is my order"]));
    rig.feed(200, false);
    rig.feed(1_000, true);
    rig.feed(800, false);
    assert!(matches!(rig.next(), HearEvent::SpeechStarted { .. }));
    assert_eq!(rig.words(), "where is my order");
    rig.feed(2_000, false);
    assert!(rig.events.recv_timeout(Duration::from_millis(200)).is_err(), "silence says nothing");
}

#[test]
fn the_voice_is_measured_where_it_is_asked_for_and_long_enough() {
    let mut rig = rig(&Script::new(&["where is my order", "where is my order", "yes"]));
    for (measure, voiced_ms, measured) in [(false, 2_000, false), (true, 2_000, true), (true, 500, false)] {
        rig.ear.measure_voice(measure);
        rig.feed(200, false);
        rig.feed(voiced_ms, true);
        rig.feed(1_000, false);
        let features = loop {
            if let HearEvent::Utterance { features, .. } = rig.next() {
                break features;
            }
        };
        assert_eq!(features.is_some(), measured, "{measure}, {voiced_ms} ms: {features:?}");
        if let Some(f) = features {
            // A square wave of 4,000.
            assert!((f.level_dbov - 20.0 * (4_000f32 / 32_768.0).log10()).abs() < 0.3, "{f:?}");
            assert!((f.voiced_s - 2.0).abs() < 0.1, "{f:?}");
        }
    }
}

#[test]
fn a_closed_ear_hears_nothing_and_forgets() {
    let script = Script::new(&["after"]);
    let mut rig = rig(&script);
    rig.ear.open(false);
    rig.feed(1_000, true);
    rig.feed(1_000, false);
    // Opened again: only what comes then counts. The closed ear must have emptied the ring first.
    while rig.audio.slots() < 4_096 {
        std::thread::yield_now();
    }
    rig.ear.open(true);
    rig.feed(300, false);
    rig.feed(1_000, true);
    rig.feed(1_000, false);
    assert_eq!(rig.words(), "after");
}

#[test]
fn no_words_and_failures_are_told_apart_and_a_panic_costs_one_job() {
    let script = Script::new(&[""]);
    script.0.lock().unwrap().extend([Err(SttError::Engine("x".into())), Ok("!panic".into()), Ok("fine".into())]);
    let mut rig = rig(&script);
    rig.ear.expect(Expectation { kind: Expected::YesNo, ..Expectation::default() });
    let mut seen = Vec::new();
    for _ in 0..4 {
        rig.feed(1_000, true);
        rig.feed(1_500, false);
        loop {
            match rig.next() {
                HearEvent::SpeechStarted { .. } => {}
                event => {
                    seen.push(event);
                    break;
                }
            }
        }
    }
    assert!(
        matches!(&seen[..], [HearEvent::NothingHeard, HearEvent::Failed(SttError::Engine(_)), HearEvent::Failed(_), HearEvent::Utterance { text, .. }] if text == "fine"),
        "{seen:?}"
    );
}

#[test]
fn a_line_is_spoken_in_clauses_and_the_second_time_from_the_cache() {
    let dir = std::env::temp_dir().join(format!("baton-voice-{}", std::process::id()));
    let speech = Speech::start(engines(&Script::default()), SpeechConfig { cache_dir: Some(dir.clone()) });
    let say = |speech: &Speech| {
        let (tell, spoken) = channel();
        speech.speak(
            "One moment, please. It is $5.",
            Box::new(move |s| {
                let _ = tell.send(s);
            }),
        );
        let mut texts = Vec::new();
        loop {
            match spoken.recv_timeout(LIMIT).unwrap() {
                Spoken::Clip { index, text, clip } => {
                    assert_eq!(index, texts.len());
                    assert!(!clip.is_empty());
                    texts.push(text);
                }
                Spoken::Done => return texts,
                Spoken::Failed(e) => panic!("{e}"),
            }
        }
    };
    assert_eq!(say(&speech), ["One moment, please.", "It is $5."]);
    // No engine at all: everything comes from the disk.
    let mut none = engines(&Script::default());
    none.synthesizers.clear();
    assert_eq!(say(&Speech::start(none, SpeechConfig { cache_dir: Some(dir.clone()) })).len(), 2);
    std::fs::remove_dir_all(dir).unwrap();
}
