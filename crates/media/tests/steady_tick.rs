//! The media thread allocates and frees nothing once its legs are set up: a global allocator counts by thread while legs
//! play, feed a tap, relay, transcode, mix, encrypt, are recorded, hear and send digits, report and are flooded.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic here is a failed test")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use baton_audio::Clip;
use baton_media::{Agreement, Codec, CryptoKey, CryptoPair, CryptoSuite, MediaCommand, MediaEvent, PlayId};
use support::{Engine, encoded, noise};

struct Counting;

const THREADS: usize = 1 << 16;
static CALLS: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn count() {
    let slot = SLOT.get();
    let slot = if slot == usize::MAX {
        // SAFETY: no arguments, cannot fail.
        let slot = unsafe { libc::gettid() } as usize % THREADS;
        SLOT.set(slot);
        slot
    } else {
        slot
    };
    CALLS[slot].fetch_add(1, Ordering::Relaxed);
}

// SAFETY: every call is the system allocator's own; counting touches atomics and a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as given.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: as given.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as given.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls to the allocator by the threads of that name so far; `None` if there is none.
fn calls_of(name: &str) -> Option<u64> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let named = tasks.filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name));
    let counts: Vec<u64> = named
        .map(|task| task.file_name().unwrap().to_str().unwrap().parse::<usize>().unwrap())
        .map(|tid| CALLS[tid % THREADS].load(Ordering::Relaxed))
        .collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

#[test]
fn the_media_thread_allocates_and_frees_nothing() {
    the_counter_counts();

    let mut engine = Engine::new(16);
    let (playing, pace) = engine.leg(Codec::Pcmu);
    let (tapped, mut speaker) = engine.leg(Codec::Pcma);
    let (a, mut one) = engine.leg(Codec::Pcmu);
    let (b, mut two) = engine.leg(Codec::Pcmu);
    let (c, mut three) = engine.leg(Codec::Pcmu);
    let (d, mut four) = engine.leg(Codec::Pcma);
    let music = Clip::new(noise(1, 12_345));
    engine.command(playing, MediaCommand::Play { id: PlayId(1), clip: music, looped: true });
    let (to, mut tap) = rtrb::RingBuffer::new(1_024);
    engine.command(tapped, MediaCommand::Tap { to: Some(to) });
    engine.command(a, MediaCommand::Bridge { with: b });
    engine.command(c, MediaCommand::Bridge { with: d });
    // G.711 to Opus and G.722, three mixed, recorded; tones listened for; SRTP.
    let (e, mut five) = engine.leg(Codec::Pcma);
    let (f, mut six) = engine.leg(Codec::Opus);
    let (g, mut seven) = engine.leg(Codec::G722);
    let (record, mut recorded) = rtrb::RingBuffer::new(1_024);
    engine.command(e, MediaCommand::Record { to: Some(record) });
    engine.handle.conference(&[e, f, g]).unwrap();
    let (h, mut eight) = engine.leg(Codec::Pcmu);
    let (i, mut nine) = engine.leg(Codec::Pcmu);
    let key = CryptoKey::generate(CryptoSuite::AesCm128HmacSha1_80);
    let (crypto, plain) = (Some(CryptoPair { send: key, receive: key }), eight.agreement());
    engine.command(h, MediaCommand::Connect(Agreement { crypto, in_band_dtmf: true, ..plain }));
    eight.encrypt(key);
    engine.command(h, MediaCommand::Bridge { with: i });
    engine.event(|e| matches!(e, MediaEvent::PlayStarted { .. }).then_some(()));
    let mut opus = baton_opus::Encoder::voice(16_000).unwrap();
    let mut opus_payload = [0; 400];
    let opus_length = opus.encode(&noise(4, 320), &mut opus_payload);

    let speech = [encoded(Codec::Pcmu, &noise(2, 160)), encoded(Codec::Pcma, &noise(3, 160))];
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut before, mut live, mut frames) = (0, 0, 0);
    for tick in 0..320 {
        pace.hear();
        speaker.say(&speech[1]);
        one.say(&speech[0]);
        three.say(&speech[0]);
        two.say(&speech[0]);
        four.say(&speech[1]);
        five.say(&speech[1]);
        six.say_for(960, &opus_payload[..opus_length]);
        seven.say(&speech[0]);
        eight.say(&speech[0]);
        nine.say(&speech[0]);
        if tick % 50 == 7 {
            speaker.press(5);
            one.press(7);
            engine.command(playing, MediaCommand::Digit { digit: '3', duration_ms: 60 });
        }
        for to in [speaker.to, one.to] {
            stranger.send_to(&[0x80; 300], to).unwrap();
            stranger.send_to(&[0x81, 200, 0, 9, 1, 2, 3], (to.ip(), to.port() + 1)).unwrap();
        }
        if tick == 20 {
            before = calls_of("baton-media-0").expect("it runs");
        }
        while tap.pop().is_ok() {}
        frames += std::iter::from_fn(|| recorded.pop().ok()).count();
        while let Some(event) = engine.events.try_next() {
            live += usize::from(matches!(event, MediaEvent::BridgeAudio { .. }));
        }
    }
    // 320 packets at one each 20 ms are 6.4 s: RTCP reports have gone out as well.
    let after = calls_of("baton-media-0").expect("it still runs");
    assert_eq!(live, 12, "three bridges live both ways, and six ways between three");
    assert!(frames > 300 && engine.handle.counters().refused == 0);
    assert_eq!(after - before, 0, "allocator calls of the media thread in 6 s");
    assert!(engine.handle.counters().malformed > 100);
}

/// A thread that allocates is seen to.
fn the_counter_counts() {
    let (ready, wait) = std::sync::mpsc::channel::<()>();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::Builder::new().name("counted".into()).spawn(move || {
        gone.recv().unwrap();
        drop(std::hint::black_box(vec![0u8; 999]));
        ready.send(()).unwrap();
        gone.recv_timeout(Duration::from_secs(10)).unwrap();
    });
    // The name is set by the thread itself: it can be read once it is there.
    let before = std::iter::repeat_with(|| calls_of("counted")).take(100_000).flatten().next().unwrap();
    go.send(()).unwrap();
    wait.recv().unwrap();
    assert!(calls_of("counted").unwrap() >= before + 2);
    go.send(()).unwrap();
    thread.unwrap().join().unwrap();
}
