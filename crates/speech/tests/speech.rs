//! Ears and voice with scripted engines, through the real threads. Every wait is for an event, with a deadline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails is a failed test")]

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use baton_audio::{AudioFrame, Clip};
use baton_speech::scripted::{Script, engines};
use baton_speech::{
    Ear, Expectation, Expected, HearEvent, Hints, Level, Speech, SpeechConfig, Spoken, SttError, Synthesizer,
    Transcriber, Transcript, TtsError,
};
use rtrb::{Producer, RingBuffer};

const LIMIT: Duration = Duration::from_secs(10);

struct Rig {
    audio: Producer<AudioFrame>,
    events: Receiver<HearEvent>,
    ear: Ear,
    time: u32,
    speech: Speech,
}

fn rig(script: &Script) -> Rig {
    rig_with(Speech::start(engines(script), SpeechConfig::default()))
}

fn rig_with(speech: Speech) -> Rig {
    rig_listening(&speech)
}

/// Another ear of the same speech.
fn rig_listening(speech: &Speech) -> Rig {
    let (audio, consumer) = RingBuffer::new(4_096);
    let (tell, events) = channel();
    let ear = speech.listen(
        consumer,
        Box::new(move |e| {
            let _ = tell.send(e);
        }),
    );
    ear.open(true);
    Rig { audio, events, ear, time: 0, speech: speech.clone() }
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
    let speech = Speech::start(
        engines(&Script::default()),
        SpeechConfig { cache_dir: Some(dir.clone()), ..SpeechConfig::default() },
    );
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
    // What was said in one call tells of its caller: it is not on disk. Prompts are.
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    let speech = Speech::start(
        engines(&Script::default()),
        SpeechConfig { cache_dir: Some(dir.clone()), ..SpeechConfig::default() },
    );
    speech.preload("", &["One moment, please. It is $5.".into()]);
    let deadline = Instant::now() + LIMIT;
    while !speech.is_preloaded() || std::fs::read_dir(&dir).unwrap().count() < 2 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    // No engine at all: everything comes from the disk.
    let mut none = engines(&Script::default());
    none.synthesizers.clear();
    assert_eq!(
        say(&Speech::start(none, SpeechConfig { cache_dir: Some(dir.clone()), ..SpeechConfig::default() })).len(),
        2
    );
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_crashed_engine_is_started_anew_and_the_next_caller_is_heard() {
    let script = Script::new(&["!panic", "fine"]);
    let mut rig = rig(&script);
    rig.feed(1_000, true);
    rig.feed(1_000, false);
    assert!(matches!(rig.next(), HearEvent::SpeechStarted { .. }));
    assert!(matches!(rig.next(), HearEvent::Failed(SttError::Engine(_))));
    rig.feed(1_000, true);
    rig.feed(1_000, false);
    assert_eq!(rig.words(), "fine");
    let stats = rig.speech.stats();
    assert_eq!((stats.failed, stats.restarts, stats.finals, stats.workers), (1, 1, 2, 1));
    assert!(rig.speech.has_room());
}

#[test]
fn an_engine_that_cannot_be_started_anew_leaves_and_callers_are_told_at_once() {
    struct Broken;
    impl Transcriber for Broken {
        fn transcribe(&mut self, _: &[i16], _: &Hints) -> Result<Transcript, SttError> {
            panic!("broken")
        }
        fn restart(&mut self) -> Result<(), SttError> {
            Err(SttError::Engine("out of memory".into()))
        }
    }
    let mut all = engines(&Script::default());
    all.transcribers = vec![Box::new(Broken)];
    let mut rig = rig_with(Speech::start(all, SpeechConfig::default()));
    for _ in 0..2 {
        rig.feed(1_000, true);
        rig.feed(1_000, false);
        assert!(matches!(rig.next(), HearEvent::SpeechStarted { .. }));
        assert!(matches!(rig.next(), HearEvent::Failed(SttError::Engine(_))));
    }
    let deadline = std::time::Instant::now() + LIMIT;
    while rig.speech.stats().workers > 0 {
        assert!(std::time::Instant::now() < deadline, "the worker is still counted");
        std::thread::yield_now();
    }
    assert!(!rig.speech.has_room(), "no new calls");
}

#[test]
fn partial_transcripts_come_while_the_caller_speaks_where_they_are_wanted() {
    let config = SpeechConfig { partials: true, ..SpeechConfig::default() };
    let script = Script::new(&["where is", "where is my order"]);
    let mut rig = rig_with(Speech::start(engines(&script), config));
    rig.feed(1_200, true);
    assert!(matches!(rig.next(), HearEvent::SpeechStarted { .. }));
    assert!(matches!(rig.next(), HearEvent::Partial { text } if text == "where is"));
    rig.feed(200, true);
    rig.feed(1_000, false);
    assert_eq!(rig.words(), "where is my order");
    assert_eq!(rig.speech.stats().partials, 1);
}

#[test]
fn a_flow_has_a_voice_of_its_own_and_an_unknown_one_is_the_usual() {
    struct Hum(usize);
    impl Synthesizer for Hum {
        fn synthesize(&mut self, _: &str) -> Result<Clip, TtsError> {
            Ok(Clip::new(vec![5_000; self.0]))
        }
    }
    let mut all = engines(&Script::default());
    all.synthesizers = vec![Box::new(Hum(4_000))];
    all.more_voices = vec![("other".into(), vec![Box::new(Hum(8_000))])];
    let speech = Speech::start(all, SpeechConfig::default());
    let length = |voice: &str| {
        let (tell, spoken) = channel();
        speech.speak_as(voice, "One moment.", Box::new(move |s| drop(tell.send(s))));
        match spoken.recv_timeout(LIMIT).unwrap() {
            Spoken::Clip { clip, .. } => clip.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([length("other"), length(""), length("nobody")], [8_000, 4_000, 4_000]);
}

#[test]
fn a_clip_made_in_anothers_place_is_played_and_not_kept() {
    struct Elsewhere(usize);
    impl Synthesizer for Elsewhere {
        fn synthesize(&mut self, _: &str) -> Result<Clip, TtsError> {
            self.0 += 1;
            Ok(Clip::new(vec![5_000; if self.0 == 1 { 4_000 } else { 8_000 }]))
        }
        fn is_substitute(&self) -> bool {
            self.0 == 1
        }
    }
    let mut all = engines(&Script::default());
    all.synthesizers = vec![Box::new(Elsewhere(0))];
    let speech = Speech::start(all, SpeechConfig::default());
    let mut lengths = Vec::new();
    for _ in 0..3 {
        let (tell, spoken) = channel();
        speech.speak("One moment.", Box::new(move |s| drop(tell.send(s))));
        while let Spoken::Clip { clip, .. } = spoken.recv_timeout(LIMIT).unwrap() {
            lengths.push(clip.len());
        }
    }
    assert_eq!(
        lengths,
        [4_000, 8_000, 8_000],
        "the server was back the second time, and the third came from the cache"
    );
}

#[test]
fn who_is_not_heard_in_time_is_told_and_no_new_calls_are_taken_meanwhile() {
    /// Holds on to its first utterance until it is told to go on.
    struct Stuck(Arc<Mutex<()>>);
    impl Transcriber for Stuck {
        fn transcribe(&mut self, _: &[i16], _: &Hints) -> Result<Transcript, SttError> {
            let _goes_on = self.0.lock();
            Ok(Transcript { text: "fine".into(), confidence: 1.0, words: Vec::new() })
        }
    }
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().unwrap();
    let mut all = engines(&Script::default());
    all.transcribers = vec![Box::new(Stuck(Arc::clone(&gate)))];
    let mut rig = rig_with(Speech::start(all, SpeechConfig::default()));
    let speech = rig.speech.clone();
    // Eight callers say eight seconds each at once: more than four seconds of work at the rate first assumed.
    let mut others: Vec<Rig> = (0..8).map(|_| rig_listening(&speech)).collect();
    for other in others.iter_mut().chain([&mut rig]) {
        other.feed(8_000, true);
        other.feed(1_000, false);
    }
    // One is at work; each of the others waits or is refused.
    let deadline = std::time::Instant::now() + LIMIT;
    let refused = loop {
        let stats = speech.stats();
        if stats.waiting as u64 + stats.overloaded == 8 {
            break stats.overloaded;
        }
        assert!(std::time::Instant::now() < deadline, "{stats:?}");
        std::thread::yield_now();
    };
    assert!((1..8).contains(&refused), "{refused} of nine");
    assert!(!speech.has_room(), "no new calls");
    assert_eq!(speech.stats().level, Level::Overloaded);
    drop(held);
    let told = others.iter().chain([&rig]).filter(|r| {
        assert!(matches!(r.next(), HearEvent::SpeechStarted { .. }));
        match r.next() {
            HearEvent::Failed(SttError::Overloaded) => true,
            HearEvent::Utterance { text, .. } => text != "fine",
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(told.count() as u64, refused, "each of those was told, and the others were heard");
    assert!(speech.has_room(), "there is room again");
}
