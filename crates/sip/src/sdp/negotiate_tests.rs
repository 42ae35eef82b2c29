use super::*;

const KEY: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4";

fn local() -> Local {
    let codecs = vec![
        CodecDesc::new("opus", 48_000, 96).channels(2).fmtp("useinbandfec=1"),
        CodecDesc::new("G722", 8_000, 9),
        CodecDesc::new("PCMU", 8_000, 0),
        CodecDesc::new("PCMA", 8_000, 8),
    ];
    Local::plain("127.0.0.1:30000".parse().unwrap(), codecs)
}

fn secured(protocols: &[Protocol]) -> Local {
    let crypto = |tag, suite: &str| CryptoAttr::parse(&format!("{tag} {suite} {KEY}")).unwrap();
    let crypto = vec![crypto(1, "AEAD_AES_128_GCM"), crypto(2, "AES_CM_128_HMAC_SHA1_80")];
    Local { protocols: protocols.to_vec(), crypto, ..local() }
}

fn answered(offer: &str, local: &Local) -> Result<(String, Agreed), SdpError> {
    answer(&Description::parse(offer)?, local, SessionId { id: 1, version: 1 })
}

fn media(text: &str) -> Vec<&str> {
    text.lines().filter(|l| l.starts_with("m=")).collect()
}

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n";

#[test]
fn an_offer_names_all_and_an_answer_one() {
    let theirs = Local { addr: "192.0.2.9:4000".parse().unwrap(), ..local() };
    let text = offer(&theirs, SessionId { id: 5, version: 6 });
    assert_eq!(media(&text), ["m=audio 4000 RTP/AVP 96 9 0 8 101 102"]);
    for line in [
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 useinbandfec=1",
        "a=rtpmap:101 telephone-event/48000",
        "a=rtpmap:102 telephone-event/8000",
        "a=fmtp:102 0-15",
        "a=ptime:20",
        "a=sendrecv",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    let ours = Local { codecs: local().codecs.into_iter().skip(1).collect(), ..local() };
    let (reply, agreed) = answered(&text, &ours).unwrap();
    assert_eq!(media(&reply), ["m=audio 30000 RTP/AVP 9 102"]);
    assert_eq!((agreed.codec.name.as_str(), agreed.receive_pt, agreed.events.as_ref().unwrap().pt), ("G722", 9, 102));
    assert_eq!((agreed.addr, agreed.rtcp.port()), ("192.0.2.9:4000".parse().unwrap(), 4001));
    let back = read_answer(&reply, &theirs).unwrap();
    assert_eq!((back.codec.name.as_str(), back.addr, back.events.unwrap().pt), ("G722", ours.addr, 102));
}

#[test]
fn dynamic_types_are_theirs_to_choose_and_digits_go_by_the_codecs_clock() {
    let text = format!(
        "{HEAD}m=audio 4000 RTP/AVP 111 0 110 126\r\na=rtpmap:111 OPUS/48000/2\r\na=fmtp:111 minptime=10\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\na=maxptime:10\r\n"
    );
    let (reply, agreed) = answered(&text, &local()).unwrap();
    assert_eq!(media(&reply), ["m=audio 30000 RTP/AVP 111 110"]);
    assert!(reply.contains("a=fmtp:111 useinbandfec=1\r\n"), "our parameters for what we receive");
    assert_eq!(agreed.codec.fmtp.as_deref(), Some("minptime=10"), "theirs for what we send");
    assert_eq!((agreed.receive_pt, agreed.ptime_ms), (111, 10));
    // An answerer may number differently than the offer; each sends with the other's number.
    let answer =
        format!("{HEAD}m=audio 4000 RTP/AVP 98 99\r\na=rtpmap:98 opus/48000/2\r\na=rtpmap:99 telephone-event/8000\r\n");
    let agreed = read_answer(&answer, &local()).unwrap();
    assert_eq!((agreed.codec.pt, agreed.receive_pt, agreed.events.unwrap().pt), (98, 96, 99));
    // Mono "opus" is no opus.
    let text = format!("{HEAD}m=audio 4000 RTP/AVP 98 8\r\na=rtpmap:98 opus/48000\r\n");
    assert_eq!(answered(&text, &local()).unwrap().1.codec.name, "PCMA");
    let no_events = Local { events: false, ..local() };
    assert_eq!(answered(&text, &no_events).unwrap().1.events, None);
}

#[test]
fn keys_are_agreed_by_the_offers_order_and_tag() {
    let lines = "a=crypto:4 F8_128_HMAC_SHA1_80 inline:x\r\na=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:theirs|2^31 KDR=1\r\na=crypto:8 AEAD_AES_128_GCM inline:other\r\n";
    let text = format!("{HEAD}m=audio 4000 RTP/SAVP 0\r\n{lines}");
    let (reply, agreed) = answered(&text, &secured(&[Protocol::Savp, Protocol::Avp])).unwrap();
    let keys = agreed.crypto.unwrap();
    assert_eq!((keys.theirs.tag, keys.theirs.key_params.as_str()), (7, "inline:theirs|2^31"));
    assert_eq!(keys.theirs.session_params.as_deref(), Some("KDR=1"));
    assert_eq!(media(&reply), ["m=audio 30000 RTP/SAVP 0"]);
    assert!(
        reply.contains(&format!("a=crypto:7 AES_CM_128_HMAC_SHA1_80 {KEY}\r\n"))
            && reply.matches("a=crypto").count() == 1
    );
    assert!(!format!("{keys:?}").contains("inline"), "keys are not printed");
    // The answer to ours.
    let ours = secured(&[Protocol::Savp]);
    assert_eq!(offer(&ours, SessionId::next()).matches("a=crypto").count(), 2);
    let back =
        read_answer(&format!("{HEAD}m=audio 9 RTP/SAVP 0\r\na=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:t\r\n"), &ours);
    assert_eq!(back.unwrap().crypto.unwrap().ours.tag, 2);
    for bad in ["", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:t\r\n", "a=crypto:3 AEAD_AES_128_GCM inline:t\r\n"] {
        let answer = format!("{HEAD}m=audio 9 RTP/SAVP 0\r\n{bad}");
        assert_eq!(read_answer(&answer, &ours).unwrap_err(), SdpError::NoCrypto, "{bad}");
    }
    let plain = format!("{HEAD}m=audio 9 RTP/AVP 0\r\n");
    let refused = SdpError::NoProfile { theirs: "RTP/AVP".into() };
    assert_eq!(read_answer(&plain, &ours).unwrap_err(), refused, "no fall back to plain behind our back");
}

#[test]
fn keys_beside_a_plain_profile_may_be_passed_over() {
    let both = secured(&[Protocol::Savp, Protocol::Avp]);
    let must = Local { encrypted: true, ..both.clone() };
    let never = Local { crypto: Vec::new(), ..both.clone() };
    let text = format!("{HEAD}m=audio 4000 RTP/AVP 0\r\na=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:theirs\r\n");
    for local in [&both, &must] {
        let (reply, agreed) = answered(&text, local).unwrap();
        assert_eq!((media(&reply), agreed.crypto.unwrap().theirs.tag), (vec!["m=audio 30000 RTP/AVP 0"], 3));
        assert!(reply.contains("a=crypto:3 AES_CM_128_HMAC_SHA1_80 "), "{reply}");
    }
    let (reply, agreed) = answered(&text, &never).unwrap();
    assert!(agreed.crypto.is_none() && !reply.contains("crypto"));
    let plain = format!("{HEAD}m=audio 4000 RTP/AVP 0\r\n");
    assert!(answered(&plain, &both).unwrap().1.crypto.is_none());
    assert_eq!(answered(&plain, &must).unwrap_err(), SdpError::NoCrypto);
    // The same from the other end: an offer of ours with keys beside RTP/AVP, and both kinds of answer.
    let ours = secured(&[Protocol::Avp]);
    let text = offer(&ours, SessionId::next());
    assert!(text.contains("RTP/AVP ") && text.matches("a=crypto").count() == 2);
    assert!(read_answer(&plain, &ours).unwrap().crypto.is_none());
    assert_eq!(read_answer(&plain, &Local { encrypted: true, ..ours.clone() }).unwrap_err(), SdpError::NoCrypto);
    let safe = format!("{plain}a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:t\r\n");
    assert_eq!(read_answer(&safe, &ours).unwrap().crypto.unwrap().ours.tag, 2);
}

#[test]
fn an_answer_may_name_several_and_each_may_come() {
    let text = format!("{HEAD}m=audio 4000 RTP/AVP 0 98 18 8\r\na=rtpmap:98 opus/48000/2\r\n");
    let agreed = read_answer(&text, &local()).unwrap();
    let also: Vec<(&str, u8)> = agreed.also.iter().map(|c| (c.name.as_str(), c.pt)).collect();
    assert_eq!((agreed.codec.pt, also), (0, vec![("opus", 96), ("PCMA", 8)]));
}

#[test]
fn of_several_streams_the_best_profile_is_taken_and_the_rest_refused_in_place() {
    let text = format!(
        "{HEAD}m=video 5000 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\nm=audio 4000 RTP/AVP 0\r\nm=audio 4002 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\nm=application 6000 UDP/DTLS/SCTP webrtc-datachannel\r\nm=audio 0 RTP/AVP 8\r\n"
    );
    let refused = ["m=video 0 RTP/AVP 97", "m=application 0 UDP/DTLS/SCTP webrtc-datachannel", "m=audio 0 RTP/AVP 8"];
    for (protocols, stream, plain, safe) in [
        (&[Protocol::Savp, Protocol::Avp][..], 2, "m=audio 0 RTP/AVP 0", "m=audio 30000 RTP/SAVP 0"),
        (&[Protocol::Avp][..], 1, "m=audio 30000 RTP/AVP 0", "m=audio 0 RTP/SAVP 0"),
    ] {
        let (reply, agreed) = answered(&text, &secured(protocols)).unwrap();
        assert_eq!(media(&reply), [refused[0], plain, safe, refused[1], refused[2]]);
        assert_eq!(agreed.stream, stream);
    }
    // Where the best has no key that fits, the next is taken.
    let odd = text.replace("AES_CM_128_HMAC_SHA1_80", "UNKNOWN_SUITE");
    assert_eq!(answered(&odd, &secured(&[Protocol::Savp, Protocol::Avp])).unwrap().1.stream, 1);
    assert_eq!(answered(&odd, &secured(&[Protocol::Savp])).unwrap_err(), SdpError::NoCrypto);
}

#[test]
fn directions_meet() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    for (theirs, ours, agreed, answer) in [
        (SendRecv, SendRecv, SendRecv, "a=sendrecv"),
        (SendOnly, SendRecv, SendOnly, "a=recvonly"),
        (RecvOnly, SendRecv, RecvOnly, "a=sendonly"),
        (Inactive, SendRecv, Inactive, "a=inactive"),
        (SendRecv, SendOnly, RecvOnly, "a=sendonly"),
        (SendOnly, SendOnly, Inactive, "a=inactive"),
        (RecvOnly, SendOnly, RecvOnly, "a=sendonly"),
    ] {
        let text = format!("{HEAD}m=audio 4000 RTP/AVP 0\r\na={}\r\n", theirs.attribute());
        let (reply, got) = answered(&text, &Local { direction: ours, ..local() }).unwrap();
        assert_eq!(got.direction, agreed, "{theirs:?} {ours:?}");
        assert!(reply.contains(answer), "{theirs:?} {ours:?}\n{reply}");
    }
    let held = HEAD.replace("c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0") + "m=audio 4000 RTP/AVP 0\r\n";
    assert_eq!(answered(&held, &local()).unwrap().1.direction, SendOnly);
    let session_level = format!("{HEAD}a=inactive\r\nm=audio 4000 RTP/AVP 0\r\n");
    assert_eq!(answered(&session_level, &local()).unwrap().1.direction, Inactive);
}

#[test]
fn rtcp_ipv6_and_what_is_not_understood() {
    let text = "v=0\r\no=- 1 1 IN IP6 2001:db8::9\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=fingerprint:sha-256 AA\r\nm=audio 4000 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP6 2001:db8::9\r\na=rtcp:4007\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=candidate:1 1 UDP 1 2001:db8::9 4000 typ host\r\na=setup:actpass\r\na=ice-lite\r\n";
    let mut ours = Local { protocols: vec![Protocol::DtlsSavpf], ..local() };
    ours.raw = vec![("setup".into(), Some("active".into())), ("ice-ufrag".into(), Some("x\r\na=evil".into()))];
    let (reply, agreed) = answered(text, &ours).unwrap();
    assert_eq!((agreed.rtcp, agreed.protocol), ("[2001:db8::9]:4007".parse().unwrap(), Protocol::DtlsSavpf));
    let raw: Vec<&str> = agreed.raw.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(raw, ["mid", "ice-ufrag", "candidate", "setup", "ice-lite", "group", "fingerprint"]);
    assert!(reply.contains("a=mid:0\r\na=setup:active\r\n") && !reply.contains("\na=evil"));
    let mux = text.replace("a=rtcp:4007", "a=rtcp-mux");
    assert!(!answered(&mux, &ours).unwrap().0.contains("rtcp-mux"), "only where we can");
    let (reply, agreed) = answered(&mux, &Local { rtcp_mux: true, ..ours }).unwrap();
    assert!(reply.contains("a=rtcp-mux\r\n") && agreed.rtcp_mux && agreed.rtcp == agreed.addr);
}

#[test]
fn nonsense_is_refused_and_floods_are_not_read() {
    let none = format!("{HEAD}m=audio 4000 RTP/AVP 18 97\r\na=rtpmap:97 iLBC/8000\r\n");
    assert_eq!(answered(&none, &local()).unwrap_err(), SdpError::NoCodec { theirs: "G729/8000, iLBC/8000".into() });
    let name = HEAD.replace("192.0.2.9", "media.example") + "m=audio 4000 RTP/AVP 0\r\n";
    assert_eq!(answered(&name, &local()).unwrap_err(), SdpError::NoAddress);
    for text in [
        format!("{HEAD}m=audio 4000 RTP/AVP{}\r\n", " 0".repeat(1_000)),
        format!("{HEAD}{}", "m=audio 4000 RTP/AVP 0\r\n".repeat(100)),
        format!("{HEAD}m=audio 4000 RTP/AVP 0\r\n{}", "a=rtpmap:0 PCMU/8000\r\n".repeat(1_000)),
        String::new(),
        "v=0".into(),
    ] {
        assert!(answered(&text, &local()).is_err());
    }
    for bad in ["", "1", "1 X", "x X inline:k", "1 X key"] {
        assert_eq!(CryptoAttr::parse(bad), None, "{bad}");
    }
    for odd in [
        "a=rtpmap:0\r\n",
        "a=rtpmap:0 \r\n",
        "a=rtpmap:0 PCMU/x\r\n",
        "a=fmtp:\r\n",
        "a=crypto:\r\n",
        "a=ptime:x\r\n",
        "a=rtcp:0\r\n",
    ] {
        let _ = answered(&format!("{HEAD}m=audio 4000 RTP/AVP 0 200 x\r\n{odd}"), &local());
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(v=0\n)?(([a-z]=)?[ -~]{0,40}\r?\n){0,12}") {
        let Ok(description) = Description::parse(&text) else { return Ok(()) };
        let local = secured(&[Protocol::Savp, Protocol::Avp]);
        if let Ok((reply, agreed)) = answer(&description, &local, SessionId::next()) {
            let again = Description::parse(&reply).unwrap();
            proptest::prop_assert_eq!(again.streams.len(), description.streams.len());
            proptest::prop_assert_eq!(again.streams.iter().filter(|s| s.port != 0).count(), 1);
            proptest::prop_assert!(agreed.addr.port() != 0);
        }
    }

    #[test]
    fn what_one_end_offers_and_the_other_answers_both_read_alike(
        mine in proptest::sample::subsequence(vec![0usize, 1, 2, 3], 1..=4),
        theirs in proptest::sample::subsequence(vec![0usize, 1, 2, 3], 1..=4),
        safe in proptest::bool::ANY, mux in proptest::bool::ANY, events in proptest::bool::ANY,
    ) {
        let pick = |of: &[usize]| of.iter().map(|i| local().codecs[*i].clone()).collect::<Vec<_>>();
        let protocols = if safe { vec![Protocol::Savp] } else { vec![Protocol::Avp] };
        let secured = |protocols: &[Protocol]| if safe { secured(protocols) } else { Local { protocols: protocols.to_vec(), ..local() } };
        let a = Local { codecs: pick(&mine), rtcp_mux: mux, ..secured(&protocols) };
        let b = Local { codecs: pick(&theirs), rtcp_mux: true, events, addr: "127.0.0.2:4000".parse().unwrap(), ..secured(&protocols) };
        let result = answered(&offer(&a, SessionId::next()), &b);
        if !mine.iter().any(|i| theirs.contains(i)) {
            let refused = matches!(result, Err(SdpError::NoCodec { .. }));
            proptest::prop_assert!(refused);
            return Ok(());
        }
        let (reply, at_b) = result.unwrap();
        let at_a = read_answer(&reply, &a).unwrap();
        proptest::prop_assert!(at_a.codec.same_format(&at_b.codec));
        proptest::prop_assert_eq!(at_a.codec.pt, at_b.receive_pt);
        proptest::prop_assert_eq!(at_b.codec.pt, at_a.receive_pt);
        proptest::prop_assert_eq!(at_a.rtcp_mux, at_b.rtcp_mux);
        proptest::prop_assert_eq!(at_a.events.is_some(), events);
        proptest::prop_assert_eq!(at_a.crypto.is_some(), safe);
        if let (Some(x), Some(y)) = (at_a.crypto, at_b.crypto) {
            proptest::prop_assert_eq!(x.ours, y.theirs);
            proptest::prop_assert_eq!(x.theirs, y.ours);
        }
    }
}
