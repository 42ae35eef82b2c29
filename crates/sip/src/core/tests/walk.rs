//! A random walk: many calls over a wire that loses, with orders at any moment. Whatever happens, each leg ends once, and in
//! the end nothing is left.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::details::ReferId;

fn walk(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut pair = Pair::new();
    let loss = [0.0, 0.05, 0.3][rng.random_range(0..3)];
    let mut dice = StdRng::seed_from_u64(seed ^ 77);
    pair.lose = Box::new(move |_, _| dice.random_bool(loss));
    let mut placed = Vec::new();
    for step in 0..40 {
        let legs: Vec<LegId> = pair.events[1]
            .iter()
            .filter_map(|e| if let SipEvent::Incoming { leg, .. } = e { Some(*leg) } else { None })
            .collect();
        let called = (!legs.is_empty()).then(|| legs[rng.random_range(0..legs.len())]);
        let caller = (!placed.is_empty()).then(|| placed[rng.random_range(0..placed.len())]);
        let side = rng.random_range(0..2);
        let either = if side == 0 { caller } else { called };
        let refer = ReferId(rng.random_range(1..4));
        match (rng.random_range(0..16), called, caller) {
            (0 | 1, ..) => {
                let leg = LegId(step * 2 + 1);
                placed.push(leg);
                let uri = "sip:help@192.0.2.2".to_owned();
                pair.order(
                    0,
                    SipCommand::InviteUri {
                        leg,
                        uri,
                        from_user: "w".into(),
                        from_display: None,
                        headers: vec![],
                        sdp: sdp(),
                    },
                );
            }
            (2, Some(leg), _) => pair.order(1, SipCommand::Ring { leg }),
            (3 | 4, Some(leg), _) => pair.order(1, SipCommand::Answer { leg, sdp: sdp() }),
            (5, Some(leg), _) => pair.order(1, SipCommand::Reject { leg, code: 486, reason: None }),
            (6, Some(leg), _) => pair.order(1, SipCommand::Bye { leg, reason: None }),
            (7, _, Some(leg)) => pair.order(0, SipCommand::Bye { leg, reason: None }),
            (8, _, Some(leg)) => pair.order(0, SipCommand::Cancel { leg }),
            (9, Some(leg), _) => {
                let sdp = rng.random_bool(0.5).then(sdp);
                pair.order(1, SipCommand::Progress { leg, code: 183, sdp });
            }
            (10, ..) => either.into_iter().for_each(|leg| pair.order(side, SipCommand::Hold { leg })),
            (11, ..) => either.into_iter().for_each(|leg| pair.order(side, SipCommand::Reoffer { leg, sdp: sdp() })),
            (12 | 13, ..) => {
                let sdp = if rng.random_bool(0.8) { Ok(sdp()) } else { Err(488) };
                either
                    .into_iter()
                    .for_each(|leg| pair.order(side, SipCommand::AnswerReoffer { leg, sdp: sdp.clone() }));
            }
            (14, ..) => either.into_iter().for_each(|leg| {
                let to = "sip:x@192.0.2.9".to_owned();
                pair.order(side, SipCommand::Refer { leg, to, replaces: None, referred_by: None });
            }),
            (15, ..) => either.into_iter().for_each(|leg| match rng.random_range(0..3) {
                0 => pair.order(side, SipCommand::AcceptRefer { leg, refer }),
                1 => pair.order(side, SipCommand::RejectRefer { leg, refer, code: 603 }),
                _ => pair.order(side, SipCommand::ReferStatus { leg, refer, code: 200, reason: None }),
            }),
            _ => {}
        }
        let pause = [0, 5, 10, 200, 3_000][rng.random_range(0..5)];
        pair.run(ms(pause));
    }
    for leg in placed.clone() {
        pair.order(0, SipCommand::Bye { leg, reason: None });
    }
    pair.run(secs(70));
    let open: Vec<LegId> = pair.events[1]
        .iter()
        .filter_map(|e| if let SipEvent::Incoming { leg, .. } = e { Some(*leg) } else { None })
        .collect();
    for leg in open {
        pair.order(1, SipCommand::Reject { leg, code: 480, reason: None });
        pair.order(1, SipCommand::Bye { leg, reason: None });
    }
    pair.finish();
    for who in [0, 1] {
        let mut ends: HashMap<LegId, usize> = HashMap::new();
        for event in &pair.events[who] {
            let Some(leg) = event.leg() else { continue };
            let ended = matches!(event, SipEvent::Ended { .. } | SipEvent::Failed { .. });
            let count = ends.entry(leg).or_default();
            assert!(*count == 0, "seed {seed}: {event:?} after the end of its leg");
            *count += usize::from(ended);
        }
        if who == 0 {
            assert!(
                placed.iter().all(|leg| ends.get(leg) == Some(&1)),
                "seed {seed}: a call placed ends once: {ends:?}"
            );
        }
    }
}

#[test]
fn every_walk_ends_in_empty_tables() {
    for seed in 0..400 {
        walk(seed);
    }
}
