//! The torture messages of RFC 4475 and RFC 5118 against verdicts written by hand, which live beside the project's own tree.

use std::fs;
use std::path::Path;

use super::*;

/// RFC 5118's archive holds bare line feeds: what the wire would carry.
fn wire_form(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end_matches('\n'), ""));
    let body = body.replace('\n', "\r\n");
    let lines = head.split('\n').map(|line| match line.split_once(':') {
        Some((name, _)) if matches!(name.trim().to_ascii_lowercase().as_str(), "content-length" | "l") => {
            format!("{name}: {}", body.len())
        }
        _ => line.to_owned(),
    });
    format!("{}\r\n\r\n{body}", lines.collect::<Vec<_>>().join("\r\n")).into_bytes()
}

/// The first final status sent; calls are answered.
fn outcome(bytes: Vec<u8>) -> Option<u16> {
    let mut script = Script::new();
    let numbers = SipConfig { numbers: vec!["*".into()], ..config() };
    let listeners = vec![Listener::new(Transport::Udp, "192.0.2.1:5060".parse().unwrap())];
    script.core = Core::new(script.now, numbers, listeners, [3; 32]);
    let flow = script.flow();
    script.core.receive(script.now, flow, bytes.into());
    let mut sent = script.take();
    for event in script.events() {
        if let SipEvent::Incoming { leg, sdp: offer, .. } = event {
            let answer = offer.map_or(Ok(sdp()), |o| crate::sdp::plain_answer(&o, flow.local));
            sent.extend(script.order(match answer {
                Ok(sdp) => SipCommand::Answer { leg, sdp },
                Err(_) => SipCommand::Reject { leg, code: 488, reason: None },
            }));
        }
    }
    sent.iter().filter_map(|m| name(m).split(' ').next()?.parse().ok()).find(|code: &u16| *code >= 200)
}

#[test]
fn torture_messages_get_their_verdicts() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/torture");
    let Ok(table) = fs::read_to_string(base.join("expected.tsv")) else {
        println!("SKIPPED: no torture messages at {}", base.display());
        return;
    };
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for row in table.lines().skip(1) {
        let mut fields = row.split('\t');
        let file = fields.next().unwrap();
        let (expected, also) = (fields.nth(3).unwrap(), fields.next().unwrap_or_default());
        let bytes = fs::read(base.join(file)).unwrap();
        let bytes = if file.starts_with("rfc5118") { wire_form(&bytes) } else { bytes };
        let got = outcome(bytes);
        let fits = |verdict: &str| match (verdict, got) {
            ("none", None) => true,
            ("not400", Some(code)) => code != 400 && code != 500,
            (code, Some(got)) => code == got.to_string(),
            _ => false,
        };
        seen += 1;
        if !fits(expected) && !also.split(',').any(fits) {
            wrong.push(format!("{file}: {got:?}, not {expected} (or {also})"));
        }
    }
    assert!(wrong.is_empty() && seen >= 61, "{seen} messages, wrong:\n{}", wrong.join("\n"));
}
