//! Ears and voice with scripted engines, through the real threads. Every wait is for an event, with a deadline.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic in a test is a failed test")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use baton_audio::{AudioFrame, Clip};
use baton_speech::scripted::{Script, engines};
use baton_speech::{
    Ear, Engines, Expectation, Expected, HearEvent, Hints, Speech, SpeechConfig, Spoken, SttError, Synthesizer,
    TtsError,
};
use rtrb::{Producer, RingBuffer};

const LIMIT: Duration = Duration::from_secs(20);
const RING: usize = 4_096;

struct Rig {
    audio: Producer<AudioFrame>,
    events: Receiver<HearEvent>,
    ear: Ear,
    time: u32,
    speech: Speech,
}

fn rig(script: &Script) -> Rig {
    let speech = Speech::start(engines(script), SpeechConfig::default());
    let (audio, events, ear) = listen(&speech);
    Rig { audio, events, ear, time: 0, speech }
}

fn listen(speech: &Speech) -> (Producer<AudioFrame>, Receiver<HearEvent>, Ear) {
    let (audio, consumer) = RingBuffer::new(RING);
    let (tell, events) = channel();
    let ear = speech.listen(
        consumer,
        Box::new(move |e| {
            let _ = tell.send(e);
        }),
    );
    ear.open(true);
    (audio, events, ear)
}

fn frame(media_time: u32, voice: bool) -> AudioFrame {
    let level = if voice { 4_000 } else { 0 };
    AudioFrame { media_time, samples: std::array::from_fn(|i| if i % 8 < 4 { level } else { -level }) }
}

impl Rig {
    /// So much of voice or silence, as fast as the ring takes it.
    fn feed(&mut self, ms: u32, voice: bool) {
        for _ in 0..ms / 20 {
            self.audio.push(frame(self.time, voice)).unwrap();
            self.time += 160;
        }
    }

    fn next(&self) -> HearEvent {
        self.events.recv_timeout(LIMIT).expect("an event in time")
    }

    /// The next event that is not the beginning of a turn.
    fn outcome(&self) -> HearEvent {
        loop {
            match self.next() {
                HearEvent::SpeechStarted { .. } => {}
                event => return event,
            }
        }
    }

    fn words(&self) -> String {
        match self.outcome() {
            HearEvent::Utterance { text, .. } => text,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the ear has taken all that was fed.
    fn drained(&self) {
        let began = Instant::now();
        while self.audio.slots() < RING {
            assert!(began.elapsed() < LIMIT, "the ear takes what is in its ring");
            std::thread::yield_now();
        }
    }
}

#[test]
fn an_utterance_is_heard_once_with_its_times() {
    let script = Script::new(&["where is my order"]);
    let mut rig = rig(&script);
    rig.ear.expect(Expectation { hints: Hints { prompt: "A-1042".to_owned() }, kind: Expected::Anything });
    rig.feed(2_000, false);
    rig.feed(1_000, true);
    rig.feed(1_000, false);
    assert!(matches!(rig.next(), HearEvent::SpeechStarted { .. }));
    let HearEvent::Utterance { text, confidence, started, ended, endpointed, decoded } = rig.next() else { panic!() };
    assert_eq!((text.as_str(), confidence), ("where is my order", 1.0));
    assert!(started < ended && ended < decoded && decoded <= endpointed);
    let voice = ended - started;
    assert!((900..1_100).contains(&voice.as_millis()), "{voice:?}");
    // The audio that was decoded: 320 ms before the voice, the voice, and 256 ms of silence. Once: no second decoding.
    rig.feed(1_000, true);
    rig.feed(1_000, false);
    assert!(matches!(rig.outcome(), HearEvent::NothingHeard { .. }));
    let heard = script.heard();
    assert_eq!(heard.len(), 2, "one decoding a turn");
    assert!((12_000..13_400).contains(&heard[0].0), "{} samples", heard[0].0);
    assert_eq!(heard[0].1, "A-1042");
}

#[test]
fn a_pause_shorter_than_the_end_is_one_turn_and_its_first_half_is_decoded_ahead() {
    let script = Script::new(&["my order number is", "my order number is a one zero four two"]);
    let mut rig = rig(&script);
    rig.feed(1_000, true);
    rig.feed(400, false);
    // The first half has been decoded before the voice goes on.
    let began = Instant::now();
    while script.heard().is_empty() {
        assert!(began.elapsed() < LIMIT);
        std::thread::yield_now();
    }
    rig.feed(1_000, true);
    rig.feed(2_000, false);
    assert_eq!(rig.words(), "my order number is a one zero four two");
    assert!(script.heard()[1].0 > script.heard()[0].0 + 10_000, "the second decoding has all of it");
}

#[test]
fn a_closed_ear_hears_nothing_and_forgets() {
    let script = Script::new(&["after"]);
    let mut rig = rig(&script);
    rig.feed(1_000, true);
    assert!(matches!(rig.next(), HearEvent::SpeechStarted { .. }));
    rig.ear.open(false);
    rig.feed(1_000, true);
    rig.feed(1_000, false);
    rig.drained();
    rig.ear.open(true);
    rig.feed(2_000, false);
    rig.feed(1_000, true);
    rig.feed(1_000, false);
    assert_eq!(rig.words(), "after");
    assert_eq!(script.heard().len(), 1);
}

#[test]
fn closing_and_opening_at_once_forgets_the_turn() {
    let mut rig = rig(&Script::new(&["later"]));
    rig.feed(600, true);
    assert!(matches!(rig.next(), HearEvent::SpeechStarted { .. }));
    rig.drained();
    rig.ear.open(false);
    rig.ear.open(true);
    rig.feed(3_000, false);
    rig.drained();
    rig.feed(600, true);
    assert!(matches!(rig.next(), HearEvent::SpeechStarted { .. }), "the first turn is forgotten, this is another");
    rig.feed(1_000, false);
    assert_eq!(rig.words(), "later");
}

#[test]
fn no_words_and_failures_are_told_apart_and_a_panic_costs_one_turn() {
    let script = Script::new(&[""]);
    script.push(Err(SttError::Engine("x".into())));
    script.push(Ok("!panic".into()));
    script.push(Ok("fine".into()));
    let mut rig = rig(&script);
    let mut seen = Vec::new();
    for _ in 0..4 {
        rig.feed(1_000, true);
        rig.feed(1_500, false);
        seen.push(rig.outcome());
    }
    assert!(matches!(&seen[0], HearEvent::NothingHeard { .. }), "{seen:?}");
    assert!(matches!(&seen[1], HearEvent::Failed(SttError::Engine(why)) if why == "x"), "{seen:?}");
    assert!(matches!(&seen[2], HearEvent::Failed(SttError::Engine(_))), "{seen:?}");
    assert!(matches!(&seen[3], HearEvent::Utterance { text, .. } if text == "fine"), "{seen:?}");
}

#[test]
fn a_long_turn_comes_in_parts_and_lost_audio_counts_as_silence() {
    let script = Script::new(&["part one", "part two", "next"]);
    let mut rig = rig(&script);
    rig.feed(25_000, true);
    rig.feed(1_000, false);
    assert_eq!((rig.words(), rig.words()), ("part one".to_owned(), "part two".to_owned()));
    // The ring was full for a second: what follows is another turn.
    rig.feed(1_000, true);
    rig.time += 8_000;
    rig.feed(20, false);
    assert_eq!(rig.words(), "next");
}

#[test]
fn ears_are_independent_and_end_with_their_ring_or_owner() {
    let mut one = rig(&Script::new(&["x", "y"]));
    let (mut audio, events, ear) = listen(&one.speech);
    let (other, gone) = (one.speech.clone(), channel::<()>());
    let (broken_audio, consumer) = RingBuffer::new(RING);
    let keep = gone.0;
    let broken = other.listen(
        consumer,
        Box::new(move |_| {
            let _ = &keep;
            panic!("whoever listens panics");
        }),
    );
    broken.open(true);
    let mut broken_audio: Producer<AudioFrame> = broken_audio;
    for i in 0..50 {
        broken_audio.push(frame(i * 160, true)).unwrap();
    }
    assert!(gone.1.recv_timeout(LIMIT).is_err(), "the ear is closed and its callback dropped");
    one.feed(1_000, true);
    one.feed(1_000, false);
    assert_eq!(one.words(), "x", "nobody else is concerned");
    for i in 0..100 {
        audio.push(frame(i * 160, i < 50)).unwrap();
    }
    drop(audio);
    drop(ear);
    while !matches!(events.recv_timeout(LIMIT), Err(std::sync::mpsc::RecvTimeoutError::Disconnected)) {}
}

/// Delivers what a text became.
fn say(speech: &Speech, text: &str) -> Vec<Spoken> {
    let (tell, spoken) = channel();
    speech.speak(
        text,
        Box::new(move |s| {
            let _ = tell.send(s);
        }),
    );
    spoken.into_iter().collect()
}

fn texts(spoken: &[Spoken]) -> Vec<&str> {
    let mut texts = Vec::new();
    for s in spoken {
        if let Spoken::Clip { text, .. } = s {
            texts.push(text.as_str());
        }
    }
    texts
}

#[test]
fn a_line_is_spoken_in_clauses_in_order_and_at_one_loudness() {
    let speech = Speech::start(engines(&Script::default()), SpeechConfig::default());
    let spoken = say(&speech, "One moment, please. It is $5. *** Thanks!");
    assert_eq!(texts(&spoken), ["One moment, please.", "It is $5.", "*** Thanks!"]);
    assert!(matches!(spoken.last(), Some(Spoken::Done)));
    for (i, s) in spoken.iter().take(3).enumerate() {
        let Spoken::Clip { index, clip, .. } = s else { panic!() };
        assert_eq!(*index, i);
        assert!(clip.samples()[..160].iter().any(|s| s.abs() > 1_000), "the first packet is heard");
    }
    assert!(matches!(say(&speech, "")[..], [Spoken::Done]));
    let failed = say(&speech, "First this. Then fail on purpose, now. Never this.");
    assert_eq!(texts(&failed), ["First this."]);
    assert!(matches!(failed[1..], [Spoken::Failed(TtsError::Engine(_))]));
}

#[test]
fn prompts_outlive_the_process_and_what_one_caller_heard_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = || SpeechConfig { cache_dir: Some(dir.path().to_owned()), ..SpeechConfig::default() };
    let speech = Speech::start(engines(&Script::default()), config());
    speech.preload(&["One moment, please. Thank you.".to_owned()]);
    let began = Instant::now();
    while !speech.is_preloaded() {
        assert!(began.elapsed() < LIMIT);
        std::thread::yield_now();
    }
    assert_eq!(texts(&say(&speech, "Maria owes us $5.")), ["Maria owes us $5."]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "the two prompts");
    // Another process, whose engine fails: the prompts are there all the same.
    struct Mute;
    impl Synthesizer for Mute {
        fn synthesize(&mut self, _: &str) -> Result<Clip, TtsError> {
            Err(TtsError::Engine("mute".into()))
        }
    }
    let mute = Engines { synthesizers: vec![Box::new(Mute)], ..engines(&Script::default()) };
    let speech = Speech::start(mute, config());
    assert_eq!(texts(&say(&speech, "One moment, please. Thank you.")).len(), 2);
    assert!(texts(&say(&speech, "Maria owes us $5.")).is_empty());
}

#[test]
fn callers_come_before_prompts_and_a_first_clause_before_a_second() {
    /// Reports each clause when it begins, and waits to be let go.
    struct Held(Sender<String>, Receiver<()>);
    impl Synthesizer for Held {
        fn synthesize(&mut self, clause: &str) -> Result<Clip, TtsError> {
            let _ = self.0.send(clause.to_owned());
            let _ = self.1.recv();
            Ok(Clip::new(vec![4_000; 8_000]))
        }
    }
    let ((began, begins), (go, gate)) = (channel(), channel());
    let held = Engines { synthesizers: vec![Box::new(Held(began, gate))], ..engines(&Script::default()) };
    let speech = Speech::start(held, SpeechConfig::default());
    let quiet = || Box::new(|_: Spoken| {});
    speech.speak("Alpha one. Alpha two.", quiet());
    assert_eq!(begins.recv_timeout(LIMIT).unwrap(), "Alpha one.");
    speech.preload(&["Prompt.".to_owned()]);
    speech.speak("Bravo one.", quiet());
    let mut order = Vec::new();
    for _ in 0..3 {
        go.send(()).unwrap();
        order.push(begins.recv_timeout(LIMIT).unwrap());
    }
    assert_eq!(order, ["Bravo one.", "Alpha two.", "Prompt."]);
}
