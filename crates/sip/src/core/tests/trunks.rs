//! Trunks through the core: registration, calls out with failover and proof, calls in by address and by password.

use super::qualify::response;
use super::*;
use crate::api::TrunkState;
use crate::auth::tests::respond;
use crate::dns::Place;
use crate::trunk::{Account, CallerId, Dial, HeaderRule, NumberRules, TrunkConfig};

fn script(trunks: Vec<TrunkConfig>) -> Script {
    let mut script = Script::new();
    let listeners = [Transport::Udp, Transport::Tcp].map(|t| Listener::new(t, "192.0.2.1:5060".parse().unwrap()));
    script.core = Core::new(script.now, SipConfig { trunks, ..config() }, listeners.to_vec(), [7; 32]);
    script
}

fn trunk() -> TrunkConfig {
    TrunkConfig {
        name: "carrier".into(),
        targets: vec!["sip:192.0.2.50".into(), "sip:192.0.2.51:5080".into()],
        health: None,
        numbers: NumberRules { country: Some("44".into()), dial: Dial::Digits, ..NumberRules::default() },
        ..TrunkConfig::default()
    }
}

/// What was sent, and where to.
fn sent(script: &mut Script) -> Vec<(String, String)> {
    let all = std::iter::from_fn(|| script.core.poll_output());
    let sends = all.filter_map(|o| match o {
        CoreOutput::Send { flow, bytes } => {
            Some((flow.remote.to_string(), String::from_utf8_lossy(&bytes).into_owned()))
        }
        _ => None,
    });
    sends.collect()
}

/// Lets time pass; what was sent meanwhile.
fn run(script: &mut Script, time: Duration) -> Vec<(String, String)> {
    let end = script.now + time;
    while let Some(at) = script.core.next_deadline().filter(|at| *at <= end) {
        script.now = script.now.max(at);
        script.core.fire(script.now);
    }
    script.now = end;
    sent(script)
}

fn answered(script: &mut Script, request: &str, code: u16, extra: &str) {
    let text = response(request, code).replace("Content-Length", &format!("{extra}Content-Length"));
    let flow = script.flow();
    script.core.receive(script.now, flow, text.replace('\n', "\r\n").into());
}

fn dial(script: &mut Script, leg: u64) -> Vec<(String, String)> {
    let order = SipCommand::InviteTrunk {
        leg: LegId(leg),
        trunk: "carrier".into(),
        number: "+442071838750".into(),
        from_user: "+442071838000".into(),
        from_display: None,
        headers: vec![("X-Secret".into(), "1".into())],
        sdp: sdp(),
    };
    script.core.command(script.now, order);
    sent(script)
}

#[test]
fn we_register_prove_ourselves_refresh_and_tell_what_goes_wrong() {
    let account = Account {
        registrar: Some("sip:192.0.2.60;transport=tcp".into()),
        ..Account::new("acme", "pw", "carrier.example")
    };
    let mut script = script(vec![TrunkConfig { account: Some(account), ..trunk() }]);
    let register = run(&mut script, ms(1)).pop().unwrap();
    assert_eq!((register.0.as_str(), name(&register.1).as_str()), ("192.0.2.60:5060", "REGISTER"));
    assert!(register.1.starts_with("REGISTER sip:192.0.2.60;transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP "));
    assert_eq!(header(&register.1, "To").unwrap(), "<sip:acme@carrier.example>");
    assert_eq!(header(&register.1, "Contact").unwrap(), "<sip:acme@192.0.2.1:5060;transport=tcp>");
    let challenge =
        "WWW-Authenticate: Digest realm=\"carrier.example\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256\n";
    answered(&mut script, &register.1, 401, challenge);
    let proved = run(&mut script, ms(1)).pop().unwrap().1;
    assert_eq!(header(&proved, "CSeq").unwrap(), "2 REGISTER");
    assert!(header(&proved, "Authorization").unwrap().contains("username=\"acme\", realm=\"carrier.example\""));
    answered(&mut script, &proved, 200, "Contact: <sip:acme@192.0.2.1:5060;transport=tcp>;expires=120\n");
    assert_eq!(script.kinds(), ["Trunk(carrier,Registered { expires_s: 120 })"]);
    assert_eq!(script.core.trunks()[0].registered, Some(true));
    assert!(run(&mut script, secs(95)).is_empty());
    let refresh = run(&mut script, secs(2)).pop().unwrap().1;
    assert!(header(&refresh, "Authorization").unwrap().contains("nc=00000002"));
    answered(&mut script, &refresh, 200, "Contact: <sip:acme@192.0.2.1:5060;transport=tcp>;expires=120\n");
    assert!(script.kinds().is_empty(), "a refresh is no news");
    // Then the provider is gone.
    let refresh = run(&mut script, secs(97)).pop().unwrap();
    assert_eq!(name(&refresh.1), "REGISTER");
    run(&mut script, secs(33));
    let Some(SipEvent::Trunk { state: TrunkState::Unregistered { code: 408, reason, retry_s }, .. }) =
        script.events().pop()
    else {
        panic!()
    };
    assert!(reason.contains("no answer") && (14..=30).contains(&retry_s), "{reason} {retry_s}");
    assert_eq!(script.core.trunks()[0].registered, Some(false));
    let again = run(&mut script, secs(31)).pop().unwrap().1;
    assert_eq!(name(&again), "REGISTER");
}

#[test]
fn a_call_goes_to_the_next_target_when_one_fails() {
    let mut script = script(vec![TrunkConfig { channels: 1, ..trunk() }]);
    let invite = dial(&mut script, 1).pop().unwrap();
    assert_eq!(invite.0, "192.0.2.50:5060");
    assert!(invite.1.starts_with("INVITE sip:442071838750@192.0.2.50 SIP/2.0\r\n"));
    assert!(header(&invite.1, "From").unwrap().starts_with("<sip:442071838000@baton.test>;tag="));
    assert_eq!(script.core.trunks()[0].channels, 1);
    // Not a word from the first for five seconds.
    let later = run(&mut script, secs(5));
    let second = later.iter().find(|(to, _)| to == "192.0.2.51:5080").unwrap();
    assert!(second.1.starts_with("INVITE sip:442071838750@192.0.2.51:5080 SIP/2.0\r\n"));
    answered(&mut script, &second.1, 503, "");
    run(&mut script, ms(1));
    let Some(SipEvent::Failed { code: 408, .. }) = script.events().pop() else { panic!() };
    assert_eq!(script.core.trunks()[0].channels, 0);
    // Both are spared now: in the order they are written.
    assert_eq!(dial(&mut script, 3)[0].0, "192.0.2.50:5060");
    // The trunk has one channel.
    dial(&mut script, 5);
    let Some(SipEvent::Failed { leg: LegId(5), code: 503, reason }) = script.events().pop() else { panic!() };
    assert!(reason.contains("channels"), "{reason}");
    script.order(SipCommand::Cancel { leg: LegId(3) });
    assert_eq!(script.core.trunks()[0].channels, 0);
    script.finish();
}

#[test]
fn a_call_that_was_refused_or_rang_goes_nowhere_else() {
    let mut script = script(vec![trunk()]);
    for (leg, code) in [(1, 486), (3, 404), (5, 603), (7, 487)] {
        let invite = dial(&mut script, leg).pop().unwrap().1;
        answered(&mut script, &invite, code, "");
        assert!(sent(&mut script).iter().all(|(_, m)| name(m) != "INVITE"), "{code}");
        assert!(matches!(script.events().pop(), Some(SipEvent::Failed { code: c, .. }) if c == code));
    }
    let invite = dial(&mut script, 9).pop().unwrap().1;
    answered(&mut script, &invite, 180, "");
    run(&mut script, secs(10));
    answered(&mut script, &invite, 408, "");
    assert!(sent(&mut script).iter().all(|(_, m)| name(m) != "INVITE"));
    assert!(matches!(script.events().pop(), Some(SipEvent::Failed { code: 408, .. })));
    script.finish();
}

#[test]
fn a_challenge_is_answered_and_headers_are_as_the_carrier_wants_them() {
    let caller_id = CallerId { number: Some("+442071839999".into()), always: true, asserted: true };
    let set = |name: &str, value: &str| HeaderRule::Set { name: name.into(), value: value.into() };
    let headers = vec![
        set("X-Dialled", "{number} for {caller}"),
        set("User-Agent", "PBX"),
        HeaderRule::Remove { name: "x-secret".into() },
    ];
    let account = Account { registrar: None, ..Account::new("acme", "pw", "carrier.example") };
    let mut script = script(vec![TrunkConfig { caller_id, headers, account: Some(account), ..trunk() }]);
    let invite = dial(&mut script, 1).pop().unwrap().1;
    assert!(header(&invite, "From").unwrap().starts_with("<sip:442071839999@carrier.example>"));
    assert_eq!(header(&invite, "P-Asserted-Identity").unwrap(), "<sip:442071839999@carrier.example>");
    assert_eq!(header(&invite, "X-Dialled").unwrap(), "+442071838750 for 442071839999");
    assert_eq!((super::headers(&invite, "User-Agent"), header(&invite, "X-Secret")), (vec!["PBX".to_owned()], None));
    let challenge = "Proxy-Authenticate: Digest realm=\"c\", nonce=\"one\"\n";
    answered(&mut script, &invite, 407, challenge);
    let all = sent(&mut script);
    let again = &all.iter().find(|(_, m)| name(m) == "INVITE").unwrap().1;
    assert_eq!(header(again, "CSeq").unwrap(), "2 INVITE");
    assert_eq!(header(again, "Call-ID"), header(&invite, "Call-ID"));
    let proof = header(again, "Proxy-Authorization").unwrap();
    assert!(proof.contains("nonce=\"one\", uri=\"sip:442071838750@192.0.2.50\""), "{proof}");
    // Stale is answered once more, a second refusal is final.
    answered(&mut script, again, 407, &challenge.replace("one\"", "two\", stale=true"));
    let all = sent(&mut script);
    let third = &all.iter().find(|(_, m)| name(m) == "INVITE").unwrap().1;
    assert_eq!(super::headers(third, "Proxy-Authorization").len(), 1);
    answered(&mut script, third, 407, &challenge.replace("one", "three"));
    assert!(matches!(script.events().pop(), Some(SipEvent::Failed { code: 407, .. })));
    script.finish();
}

#[test]
fn targets_are_asked_and_those_that_do_not_answer_are_tried_last() {
    let mut script = script(vec![TrunkConfig { health: Some(secs(60)), ..trunk() }]);
    let asked = run(&mut script, ms(1));
    assert_eq!(
        asked.iter().map(|(to, m)| (to.as_str(), name(m))).collect::<Vec<_>>(),
        [("192.0.2.50:5060", "OPTIONS".to_owned()), ("192.0.2.51:5080", "OPTIONS".to_owned())]
    );
    answered(&mut script, &asked[1].1, 405, "");
    run(&mut script, secs(33));
    assert_eq!(script.kinds(), ["Trunk(carrier,TargetDown { target: \"sip:192.0.2.50\" })"]);
    assert_eq!(dial(&mut script, 1)[0].0, "192.0.2.51:5080");
    script.order(SipCommand::Cancel { leg: LegId(1) });
    script.events();
    let asked =
        run(&mut script, secs(28)).into_iter().find(|(to, m)| to == "192.0.2.50:5060" && name(m) == "OPTIONS").unwrap();
    answered(&mut script, &asked.1, 200, "");
    assert_eq!(script.kinds(), ["Trunk(carrier,TargetUp { target: \"sip:192.0.2.50\" })"]);
    assert_eq!(dial(&mut script, 3)[0].0, "192.0.2.50:5060");
}

#[test]
fn a_name_is_looked_up_and_its_addresses_are_tried_in_turn() {
    let mut script = script(vec![TrunkConfig { targets: vec!["sip:sbc.example".into()], ..trunk() }]);
    let asked = std::iter::from_fn(|| script.core.poll_output()).next().unwrap();
    let place = Place { host: "sbc.example".into(), port: None, transport: None, secure: false };
    assert_eq!(asked, CoreOutput::LookUp(place.clone()));
    dial(&mut script, 1);
    let Some(SipEvent::Failed { code: 503, reason, .. }) = script.events().pop() else { panic!() };
    assert!(reason.contains("no address"), "{reason}");
    let addrs = ["192.0.2.70:5060", "192.0.2.71:5060"].map(|a| (Transport::Udp, a.parse().unwrap()));
    script.core.looked_up(script.now, &place, &addrs);
    let first = dial(&mut script, 3).pop().unwrap();
    assert_eq!(first.0, "192.0.2.70:5060");
    answered(&mut script, &first.1, 503, "");
    assert!(sent(&mut script).iter().any(|(to, m)| to == "192.0.2.71:5060" && name(m) == "INVITE"));
    // Looked up again, to no avail: what was known stays.
    run(&mut script, secs(60));
    script.core.looked_up(script.now, &place, &[]);
    script.order(SipCommand::Cancel { leg: LegId(3) });
    script.events();
    assert_eq!(dial(&mut script, 5)[0].0, "192.0.2.70:5060");
}

#[test]
fn calls_come_in_by_address_with_their_numbers_made_ours() {
    let dids = [("+12125550111", "help")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let numbers = NumberRules { country: Some("1".into()), national_prefix: "1".into(), ..NumberRules::default() };
    let sources = vec!["192.0.2.0/28".parse().unwrap()];
    let mut script = script(vec![TrunkConfig { sources, dids, numbers, calls_per_s: 1, ..trunk() }]);
    let invite =
        |branch: &str| request("INVITE", "sip:12125550111@192.0.2.1", branch, 1, "", OFFER).replace("call-1", branch);
    script.send(&invite("one"));
    let Some(SipEvent::Incoming { leg, to, details, .. }) = script.events().pop() else { panic!() };
    assert_eq!((to.user.as_str(), details.trunk.as_deref()), ("help", Some("carrier")));
    assert_eq!(script.core.trunks()[0].channels, 1);
    let busy = script.send(&invite("two")).pop().unwrap();
    assert_eq!((name(&busy).as_str(), header(&busy, "Retry-After").as_deref()), ("503 INVITE", Some("5")));
    script.order(SipCommand::Reject { leg, code: 486, reason: None });
    assert_eq!(script.core.trunks()[0].channels, 0);
    // Somebody else calls the same number as it stands: no such number.
    script.peer = "198.51.100.1:5060".parse().unwrap();
    assert_eq!(name(&script.send(&invite("three")).pop().unwrap()), "404 INVITE");
}

#[test]
fn calls_come_in_by_password_and_strangers_may_be_kept_out() {
    let inbound = ExtensionAuth { ext: "pbx".into(), ha1: Ha1::from_password("pbx", "baton.test", "pw") };
    let mut script = script(vec![TrunkConfig { inbound: Some(inbound), ..trunk() }]);
    script.core.config.known_callers_only = true;
    let invite = |branch: &str, extra: &str| {
        request("INVITE", "sip:help@192.0.2.1", branch, 1, extra, OFFER).replace("call-1", branch)
    };
    let challenge = script.send(&invite("one", "")).pop().unwrap();
    assert_eq!(name(&challenge), "401 INVITE");
    let values = headers(&challenge, "WWW-Authenticate");
    let proof = |password: &str, nc| {
        let proof = respond(&values[0], "pbx", password, "INVITE", "sip:help@192.0.2.1", nc);
        format!("Authorization: {proof}\n")
    };
    assert_eq!(name(&script.send(&invite("two", &proof("guess", 1))).pop().unwrap()), "401 INVITE");
    assert!(script.events().is_empty());
    script.send(&invite("three", &proof("pw", 1)));
    let Some(SipEvent::Incoming { details, .. }) = script.events().pop() else { panic!() };
    assert_eq!(details.trunk.as_deref(), Some("carrier"));
    let replay = script.send(&invite("four", &proof("pw", 1))).pop().unwrap();
    assert!(name(&replay) == "401 INVITE" && headers(&replay, "WWW-Authenticate")[0].ends_with("stale=true"));
    // A registered phone calls without ado.
    super::register::register(&mut script, "1001", "secret", 1, "Contact: <sip:1001@192.0.2.9:5070>\n");
    script.events();
    script.send(&invite("five", ""));
    assert!(matches!(script.events().pop(), Some(SipEvent::Incoming { .. })));
}
