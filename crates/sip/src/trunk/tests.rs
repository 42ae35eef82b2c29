use super::*;

fn trunk(name: &str, sources: &[&str]) -> TrunkConfig {
    let sources = sources.iter().map(|s| s.parse().unwrap()).collect();
    TrunkConfig { name: name.into(), sources, ..TrunkConfig::default() }
}

fn trunks(configs: Vec<TrunkConfig>) -> (Trunks, Instant) {
    let now = Instant::now();
    (Trunks::new(now, configs), now)
}

#[test]
fn the_narrowest_network_says_whose_call_it_is() {
    let (mut all, _) = trunks(vec![
        trunk("wide", &["192.0.2.0/24", "2001:db8::/32"]),
        trunk("narrow", &["192.0.2.16/28"]),
        trunk("twin", &["192.0.2.0/24"]),
        trunk("named", &[]),
    ]);
    let of = |all: &Trunks, ip: &str| all.of_source(ip.parse().unwrap());
    assert_eq!(of(&all, "192.0.2.1"), Some(0));
    assert_eq!(of(&all, "192.0.2.17"), Some(1));
    assert_eq!(of(&all, "::ffff:192.0.2.17"), Some(1));
    assert_eq!(of(&all, "2001:db8:1::1"), Some(0));
    assert_eq!(of(&all, "198.51.100.1"), None);
    all.learn(3, &[(Transport::Udp, "198.51.100.1:5060".parse().unwrap())]);
    assert_eq!((of(&all, "198.51.100.1"), all.named("named"), all.named("x")), (Some(3), Some(3), None));
}

#[test]
fn channels_and_calls_a_second_are_counted_both_ways() {
    let (mut all, t) = trunks(vec![TrunkConfig { channels: 3, calls_per_s: 2, ..trunk("a", &[]) }]);
    assert_eq!((all.admit(t, 0, LegId(1)), all.admit(t, 0, LegId(2))), (Ok(()), Ok(())));
    assert_eq!(all.admit(t, 0, LegId(3)), Err(Busy::Rate(2)));
    let t = t + Duration::from_secs(1);
    assert_eq!(all.admit(t, 0, LegId(3)), Ok(()));
    assert_eq!(all.admit(t, 0, LegId(4)), Err(Busy::Channels(3)));
    all.release(LegId(2));
    all.release(LegId(2));
    all.release(LegId(99));
    assert_eq!((all.admit(t, 0, LegId(5)), all.views()[0].channels), (Ok(()), 3));
    let (mut free, t) = trunks(vec![trunk("b", &[])]);
    assert!((0..1_000).all(|n| free.admit(t, 0, LegId(n)).is_ok()));
}

#[test]
fn targets_that_do_not_work_come_last() {
    let targets = ["sip:a", "sip:b", "sip:c"].map(str::to_owned).to_vec();
    let (mut all, t) = trunks(vec![TrunkConfig { targets, ..trunk("a", &[]) }]);
    assert_eq!(all.order(t, 0), [0, 1, 2]);
    assert!(all.found(0, 0, false) && !all.found(0, 0, false));
    all.spare(0, 1, t + Duration::from_secs(5));
    assert_eq!(all.order(t, 0), [2, 0, 1]);
    assert_eq!(all.order(t + Duration::from_secs(5), 0), [1, 2, 0]);
    assert!(all.found(0, 0, true));
    assert_eq!((all.order(t + Duration::from_secs(5), 0), all.order(t, 9)), (vec![0, 1, 2], vec![]));
}

#[test]
fn numbers_and_callers() {
    let numbers = NumberRules { country: Some("44".into()), ..NumberRules::default() };
    let dids = HashMap::from([("+442071838750".to_owned(), "help".to_owned())]);
    let (all, _) = trunks(vec![TrunkConfig { numbers, dids, ..trunk("a", &[]) }]);
    let heard = all.trunks[0].heard("02071838750", "0012125550100");
    assert_eq!(heard, ("help".to_owned(), "+12125550100".to_owned()));
    assert_eq!(all.trunks[0].heard("020 7183 8751", "anonymous").0, "+442071838751");
    let caller = |caller_id: CallerId, account: Option<Account>, brought: &str| {
        let (all, _) = trunks(vec![TrunkConfig { caller_id, account, ..trunk("a", &[]) }]);
        all.trunks[0].caller(brought)
    };
    let own = |always| CallerId { number: Some("+4420".into()), always, asserted: false };
    assert_eq!(caller(own(false), None, "+1212"), "+1212");
    assert_eq!(caller(own(true), None, "+1212"), "+4420");
    assert_eq!(caller(own(false), None, ""), "+4420");
    assert_eq!(caller(CallerId::default(), Some(Account::new("acme", "p", "d")), ""), "acme");
}

#[test]
fn header_rules_leave_alone_what_sip_needs() {
    let allowed = |name: &str| HeaderRule::Remove { name: name.into() }.is_allowed();
    assert!(allowed("X-Account") && allowed("P-Charging-Vector") && allowed("User-Agent"));
    assert!(!allowed("Via") && !allowed("cseq") && !allowed("M") && !allowed("") && !allowed("X: y\r\nZ"));
}
