//! Failures, bans and their end, on a virtual clock.

use super::register::{message, register};
use super::*;
use crate::defence::Defence;

fn script() -> Script {
    let mut script = Script::new();
    let defence = Defence { failures: 5, window: secs(60), ban: secs(600), ..Defence::default() };
    let listeners = [Transport::Udp, Transport::Tcp].map(|t| Listener::new(t, "192.0.2.1:5060".parse().unwrap()));
    script.core = Core::new(script.now, SipConfig { defence, ..config() }, listeners.to_vec(), [7; 32]);
    script
}

#[test]
fn who_guesses_passwords_is_banned_and_heard_again_when_it_is_over() {
    let mut script = script();
    for n in 0..5 {
        let answer = register(&mut script, "1001", "guess", 1 + 2 * n, "");
        assert_eq!(name(&answer), "401 REGISTER");
    }
    assert_eq!(script.kinds(), ["Banned(192.0.2.9)"]);
    assert_eq!(
        (script.core.counters().bans, script.core.counters().banned, script.core.counters().failures),
        (1, 1, 5)
    );
    // Not a byte for whoever sits there, with the right password too; others are served.
    assert!(script.send(&message("1001", 50, "")).is_empty());
    assert!(script.send("nonsense").is_empty());
    assert_eq!(script.core.counters().ignored, 2);
    let attacker = std::mem::replace(&mut script.peer, "192.0.2.10:5070".parse().unwrap());
    assert_eq!(
        name(&register(&mut script, "1002", "secret", 1, "Contact: <sip:x@192.0.2.10>;expires=60\n")),
        "200 REGISTER"
    );
    script.peer = attacker;
    script.run(secs(599));
    assert!(script.send(&message("1001", 52, "")).is_empty());
    script.run(secs(1));
    assert_eq!(script.kinds(), ["Registered(1002,60)", "Unregistered(1002)", "Pardoned(192.0.2.9)"]);
    let answer = register(&mut script, "1001", "secret", 60, "Contact: <sip:1001@192.0.2.9:5070>\n");
    assert_eq!(name(&answer), "200 REGISTER");
    script.finish();
}

#[test]
fn who_asks_for_names_is_banned_and_a_slow_phone_is_not() {
    let mut script = script();
    for n in 0..20 {
        // A phone that has to be told its nonce again and again is no scanner.
        assert_eq!(name(&script.send(&message("1001", n, "")).pop().unwrap()), "401 REGISTER");
    }
    for n in 0..4 {
        assert_eq!(name(&script.send(&message(&format!("2{n:03}"), 1, "")).pop().unwrap()), "401 REGISTER");
    }
    // The window passes, the count begins anew.
    script.run(secs(61));
    for n in 0..4 {
        let uri = format!("sip:0044{n}@192.0.2.1");
        let answer = script.send(&request("INVITE", &uri, &format!("b{n}"), 1, "", OFFER)).pop().unwrap();
        assert_eq!(name(&answer), "404 INVITE");
    }
    assert!(script.kinds().is_empty());
    script.send(&message("2999", 1, ""));
    assert_eq!(script.kinds(), ["Banned(192.0.2.9)"]);
    script.core.pardon(script.now, "192.0.2.9".parse().unwrap());
    assert_eq!(script.kinds(), ["Pardoned(192.0.2.9)"]);
    assert_eq!(name(&script.send(&message("1001", 90, "")).pop().unwrap()), "401 REGISTER");
    script.run(secs(601));
    assert!(script.kinds().is_empty(), "a ban that was ended does not end again");
}

#[test]
fn a_call_that_lives_is_not_cut_by_a_ban() {
    let mut script = script();
    let (_, to) = established(&mut script, "");
    for n in 0..5 {
        register(&mut script, "1001", "guess", 1 + 2 * n, "");
    }
    script.events();
    assert!(script.send(&message("1001", 50, "")).is_empty());
    let answer = script.send(&request("BYE", "sip:help@192.0.2.1", "bye", 2, &format!("To: {to}\n"), ""));
    assert_eq!(answer.iter().map(|m| name(m)).collect::<Vec<_>>(), ["200 BYE"]);
    assert_eq!(script.kinds(), ["Ended(Bye)"]);
    script.finish();
}
