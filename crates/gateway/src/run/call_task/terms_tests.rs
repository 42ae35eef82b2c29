use super::*;

fn line(codecs: &[Codec], srtp: SrtpPolicy) -> Line {
    Line { codecs: codecs.to_vec(), srtp, in_band_dtmf: true }
}

fn terms(codecs: &[Codec], srtp: SrtpPolicy, port: u16) -> Terms {
    Terms::new(&line(codecs, srtp), SocketAddr::from(([127, 0, 0, 1], port)))
}

#[test]
fn two_ends_agree_on_codec_and_keys_by_the_policies_of_both() {
    use SrtpPolicy::{Off, Optional, Required};
    for (theirs, ours, outcome) in [
        (Off, Off, Some(false)),
        (Off, Optional, Some(false)),
        (Off, Required, None),
        (Optional, Off, Some(false)),
        (Optional, Optional, Some(true)),
        (Optional, Required, Some(true)),
        (Required, Off, None),
        (Required, Optional, Some(true)),
        (Required, Required, Some(true)),
    ] {
        let (a, b) = (terms(&Codec::ALL, theirs, 4_000), terms(&[Codec::Opus, Codec::G722], ours, 5_000));
        let answered = b.answer(&a.offer());
        assert_eq!(answered.is_ok(), outcome.is_some(), "{theirs:?} {ours:?}");
        let Ok((text, at_b)) = answered else {
            assert!(b.answer(&a.offer()).unwrap_err().hint.contains("srtp ="), "says what to do");
            continue;
        };
        let at_a = a.read_answer(Some(&text)).unwrap();
        assert_eq!((at_a.codecs.first(), at_b.codecs.first()), (Some((Codec::Opus, 111)), Some((Codec::Opus, 111))));
        assert_eq!((at_a.crypto.is_some(), at_b.crypto.is_some()), (outcome == Some(true), outcome == Some(true)));
        if let (Some(a), Some(b)) = (at_a.crypto, at_b.crypto) {
            assert!(a.send == b.receive && a.receive == b.send && a.send != a.receive);
        }
        assert_eq!((at_a.remote.port(), at_b.remote.port()), (5_000, 4_000));
        assert!(at_b.dtmf_payload_type.is_some() && !at_b.in_band_dtmf);
    }
}

#[test]
fn a_line_without_telephone_event_is_listened_to() {
    let text = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8\r\n";
    let here = terms(&Codec::ALL, SrtpPolicy::Off, 5_000);
    assert!(here.answer(text).unwrap().1.in_band_dtmf);
    let deaf = Terms::new(&Line { in_band_dtmf: false, ..here.line.clone() }, here.local);
    assert!(!deaf.answer(text).unwrap().1.in_band_dtmf);
}

#[test]
fn the_other_sides_codec_is_offered_first_and_held_lines_are_not_sent_to() {
    let mut here = terms(&[Codec::Pcmu, Codec::Pcma, Codec::G722], SrtpPolicy::Off, 5_000);
    here.prefer(Codec::G722);
    assert!(here.offer().contains("RTP/AVP 9 0 8 101"), "{}", here.offer());
    here.prefer(Codec::Opus);
    assert!(here.offer().contains("RTP/AVP 9 0 8 101"), "what is not spoken is not offered");
    let held = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8\r\na=sendonly\r\n";
    let (answer, agreement) = here.answer(held).unwrap();
    assert!(answer.contains("a=recvonly") && !agreement.send && agreement.receive);
}

#[test]
fn what_is_not_agreed_is_told_in_the_words_of_the_trade() {
    let hint = |offer: &str, srtp| terms(&[Codec::Pcmu, Codec::Opus], srtp, 5_000).answer(offer).unwrap_err().hint;
    let offer = |profile: &str, rest: &str| format!("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 {profile} {rest}");
    for (offer, srtp, words) in [
        (offer("RTP/AVP", "18 9\r\n"), SrtpPolicy::Off, &["G729/8000, G722/8000", "PCMU, opus", "`codecs`"][..]),
        (offer("RTP/SAVP", "0\r\n"), SrtpPolicy::Off, &["RTP/SAVP", "SRTP is off here", "srtp = \"optional\""]),
        (offer("RTP/AVP", "0\r\n"), SrtpPolicy::Required, &["SRTP is required here"]),
        (offer("UDP/TLS/RTP/SAVPF", "0\r\n"), SrtpPolicy::Optional, &["DTLS", "SDES"]),
        // A key in a suite that nobody here speaks is none.
        (
            offer("RTP/SAVP", "0\r\na=crypto:1 F8_128_HMAC_SHA1_80 inline:x\r\n"),
            SrtpPolicy::Required,
            &["crypto suite"],
        ),
    ] {
        let told = hint(&offer, srtp);
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    }
}

#[test]
fn keys_stay_when_something_is_agreed_anew() {
    let (a, b) = (terms(&Codec::ALL, SrtpPolicy::Required, 4_000), terms(&Codec::ALL, SrtpPolicy::Required, 5_000));
    let (first, second) = (b.answer(&a.offer()).unwrap().1, b.answer(&a.offer()).unwrap().1);
    assert_eq!(first.crypto, second.crypto);
}
