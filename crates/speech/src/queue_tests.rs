use super::*;

fn entry(ear: u64, turn: u64, kind: Kind, due: Instant, seconds: f64) -> Entry {
    Entry { ear, turn, kind, due, samples: (seconds * 8_000.0) as usize }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A queue in which one second of speech takes a tenth.
fn queue(workers: usize) -> Queue<&'static str> {
    let mut q = Queue::new(workers);
    q.rate = 0.1;
    q
}

#[test]
fn finals_go_first_by_deadline_and_partials_last() {
    let (mut q, t) = (queue(1), Instant::now());
    q.submit(entry(1, 1, Kind::Partial, t, 1.0), "partial", t).unwrap();
    q.submit(entry(2, 1, Kind::Final, t + ms(400), 1.0), "later", t).unwrap();
    q.submit(entry(3, 1, Kind::Final, t + ms(200), 1.0), "sooner", t).unwrap();
    let mut order = Vec::new();
    while let Some((item, taken)) = q.take(t + ms(50)) {
        assert_eq!(taken, Taken { waited: ms(50), stale: false, shorten_to: None });
        order.push(item);
    }
    assert_eq!(order, ["sooner", "later", "partial"]);
}

#[test]
fn an_ear_has_one_final_waiting_and_its_place_in_time_stays() {
    let (mut q, t) = (queue(1), Instant::now());
    q.submit(entry(1, 1, Kind::Partial, t, 1.0), "partial", t).unwrap();
    q.submit(entry(1, 1, Kind::Final, t + ms(100), 1.0), "old", t).unwrap();
    q.submit(entry(2, 1, Kind::Final, t + ms(200), 1.0), "other", t).unwrap();
    q.submit(entry(1, 1, Kind::Final, t + ms(900), 2.0), "new", t + ms(500)).unwrap();
    assert_eq!(q.waiting(), 2);
    let (item, taken) = q.take(t + ms(600)).unwrap();
    assert_eq!((item, taken.waited), ("new", ms(600)));
    // Another turn of the same ear is another utterance: both are heard.
    q.submit(entry(2, 2, Kind::Final, t + ms(300), 1.0), "next turn", t).unwrap();
    assert_eq!(q.waiting(), 2);
}

#[test]
fn one_caller_cannot_hold_every_worker() {
    let (mut q, t) = (queue(2), Instant::now());
    q.submit(entry(1, 1, Kind::Final, t, 1.0), "a1", t).unwrap();
    assert_eq!(q.take(t).unwrap().0, "a1");
    q.submit(entry(1, 2, Kind::Final, t, 1.0), "a2", t).unwrap();
    q.submit(entry(2, 1, Kind::Final, t + ms(500), 1.0), "b", t).unwrap();
    assert_eq!(q.take(t).unwrap().0, "b", "due later, but nobody hears them yet");
    q.finished(1, 8_000, Some(ms(100)));
    assert_eq!(q.take(t).unwrap().0, "a2");
}

#[test]
fn it_degrades_in_the_stated_order_and_recovers() {
    let (mut q, t) = (queue(1), Instant::now());
    let mut levels = Vec::new();
    let mut ear = 0;
    let refused = loop {
        ear += 1;
        if levels.last() != Some(&q.level()) {
            levels.push(q.level());
        }
        match q.submit(entry(ear, 1, Kind::Final, t + ms(ear), 10.0), "x", t) {
            Ok(()) => {}
            Err((refusal, _)) => break refusal,
        }
        if q.level() > Level::Normal {
            let (refusal, _) = q.submit(entry(999, 1, Kind::Partial, t, 1.0), "partial", t).unwrap_err();
            assert_eq!(refusal, Refusal::NoPartials);
        }
    };
    assert_eq!(refused, Refusal::Full);
    assert_eq!(levels, [Level::Normal, Level::Shorter, Level::Overloaded]);
    let (_, taken) = q.take(t).unwrap();
    assert_eq!(taken.shorten_to, Some(64_000), "ten seconds, of which eight are heard");
    q.finished(1, 64_000, Some(ms(800)));
    while let Some((_, _)) = q.take(t) {
        q.finished(q.running[0].0, 8_000, Some(ms(100)));
    }
    assert_eq!(q.level(), Level::Normal);
    // A free worker is no reason to give anything up.
    q.submit(entry(1, 1, Kind::Final, t, 19.0), "long", t).unwrap();
    assert_eq!(q.level(), Level::Normal);
}

#[test]
fn the_queue_is_bounded_and_what_is_too_late_is_told() {
    let (mut q, t) = (queue(1), Instant::now());
    q.rate = 0.0;
    for ear in 0..WAITING as u64 {
        q.submit(entry(ear, 1, Kind::Final, t, 1.0), "x", t).unwrap();
    }
    assert_eq!(q.submit(entry(900, 1, Kind::Final, t, 1.0), "x", t).unwrap_err().0, Refusal::Full);
    // A newer one in an older one's place needs no room.
    q.submit(entry(5, 1, Kind::Final, t, 2.0), "x", t).unwrap();
    assert!(q.take(t + STALE + ms(1)).unwrap().1.stale);
    q.lose_worker();
    assert_eq!(q.submit(entry(901, 1, Kind::Final, t, 1.0), "x", t).unwrap_err().0, Refusal::NoWorkers);
    assert_eq!(q.drain().count(), WAITING - 1);
}

proptest::proptest! {
    /// Whatever comes in whatever order: bounded, and an ear never waits twice for one turn.
    #[test]
    fn random_walks_hold_the_bounds(steps in proptest::collection::vec((0u8..4, 0u64..6, 0u64..3, 0u64..2_000), 0..200)) {
        let (mut q, t) = (queue(2), Instant::now());
        let mut running: Vec<u64> = Vec::new();
        for (what, ear, turn, at) in steps {
            match what {
                0 | 1 => {
                    let kind = if what == 0 { Kind::Final } else { Kind::Partial };
                    let _ = q.submit(entry(ear, turn, kind, t + ms(at), 3.0), "x", t + ms(at));
                }
                2 if running.len() < 2 => {
                    if q.take(t + ms(at)).is_some() {
                        running.push(q.running[q.running.len() - 1].0);
                    }
                }
                _ => {
                    if let Some(ear) = running.pop() {
                        q.finished(ear, 24_000, Some(ms(300)));
                    }
                }
            }
            proptest::prop_assert!(q.waiting() <= WAITING && q.running.len() == running.len());
            for (i, a) in q.waiting.iter().enumerate() {
                for b in q.waiting.iter().skip(i + 1) {
                    let (a, b) = (a.entry, b.entry);
                    proptest::prop_assert!(a.ear != b.ear || a.kind != b.kind || a.turn != b.turn);
                }
            }
        }
    }
}
