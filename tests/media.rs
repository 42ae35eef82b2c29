//! The gateway's audio with real phones: baresip in each codec and with SRTP demanded, pjsua2 with a codec change, hold and
//! resume by re-INVITE, SIPp on a line without telephone-event; and what is recorded of it. Phones that are not installed
//! are left out with a clear word (`scripts/setup.sh test`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a helper that fails is a failed test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::peer::{Baresip, Phone, TONE, has, level, recording, tone};
use support::{Gateway, dir, free_port, root};

/// All flows' calls are recorded; lines of every kind.
fn recorded(text: String, dir: &Path) -> String {
    let mut text = text
        .replace("this call may be transcribed", "this call is recorded")
        .replace("dir = \"var/recordings\"", &format!("dir = \"{}\"", dir.join("recordings").display()))
        .replace("keep_free_mb = 512", "keep_free_mb = 0")
        .replace("# [recording.flow.orders]", "[recording.flow.orders]")
        .replace("# consent = \"announced\"", "consent = \"announced\"");
    for (number, line) in [
        ("pcmu", "codecs = [\"PCMU\"]"),
        ("pcma", "codecs = [\"PCMA\"]"),
        ("g722", "codecs = [\"G722\"]"),
        ("opus", "codecs = [\"opus\"]"),
        ("opus-srtp", "codecs = [\"opus\"]\nsrtp = \"required\""),
        ("g722-srtp", "codecs = [\"G722\"]\nsrtp = \"required\""),
        ("pj-srtp", "srtp = \"required\""),
        ("pj-changes", "srtp = \"optional\""),
    ] {
        text += &format!("\n[[extension]]\nnumber = \"{number}\"\npassword = \"{}\"\n{line}\n", support::PASSWORD);
    }
    text
}

fn leg(record: &Value) -> &Value {
    &record["media"][0]
}

/// The recording of a call: the caller's tone on the left and nowhere else, our voice on the right.
fn check_recording(record: &Value) {
    let kept = &record["recordings"][0];
    assert!(kept["fault"].is_null() && kept["duration_ms"].as_u64().unwrap() > 2_000, "{record}");
    let (left, right) = recording(Path::new(kept["file"].as_str().unwrap())).unwrap();
    let loudest = |pcm: &[i16]| pcm.chunks(1_600).map(|c| level(c, TONE)).fold(0.0, f32::max);
    assert!((4_500.0..7_500.0).contains(&loudest(&left)), "the caller's tone on the left: {}", loudest(&left));
    assert!(loudest(&right) < 1_500.0, "and not on the right: {}", loudest(&right));
    assert!(right.iter().any(|s| s.abs() > 2_000), "our voice on the right");
}

#[test]
fn phones_of_every_codec_are_heard_and_hear_with_keys_and_without() {
    if !has("baresip") {
        return;
    }
    let home = dir("codecs").unwrap();
    let gateway = Gateway::start(&home, |t| recorded(t, &home)).unwrap();
    let calls = [
        ("pcmu", "PCMU", false),
        ("pcma", "PCMA", false),
        ("g722", "G722", false),
        ("opus", "opus", false),
        ("g722-srtp", "G722", true),
        ("opus-srtp", "opus", true),
    ];
    let mut phones: Vec<Baresip> = calls
        .iter()
        .map(|(user, codec, srtp)| {
            let phone = Phone {
                home: home.join(format!("phone-{user}")),
                user,
                codec,
                srtp: *srtp,
                account: ";regint=0",
                command: Some(format!("/dial sip:5000@{}", gateway.sip)),
                seconds: 8,
            };
            Baresip::start(gateway.sip, &phone).unwrap()
        })
        .collect();
    phones.iter_mut().for_each(|phone| phone.wait().unwrap());
    for ((user, codec, srtp), phone) in calls.into_iter().zip(&phones) {
        let record = gateway.record_of(user).unwrap();
        let leg = leg(&record);
        assert_eq!(leg["codec"], codec, "{user}: {record}");
        assert_eq!(leg["srtp"].is_string(), srtp, "{user}: {record}");
        assert!(leg["received"].as_u64().unwrap() > 200 && leg["sent"].as_u64().unwrap() > 200, "{user}: {record}");
        assert!(leg["mos"].as_f64().unwrap() > 3.0, "{user}: {record}");
        // baresip sends something unprotected as it hangs up with keys: dropped, and named.
        let faults = leg["faults"].as_array().cloned().unwrap_or_default();
        assert!(faults.iter().all(|fault| srtp && fault == "not_authentic"), "{user}: {record}");
        let heard = phone.heard().unwrap();
        assert!(heard.samples().iter().any(|s| s.abs() > 2_000), "{user} hears our voice");
        check_recording(&record);
    }
    let metrics = gateway.get("/metrics").unwrap().1;
    for line in ["baton_media_legs_total{leg=\"caller\",codec=\"opus\"} 2", "baton_media_tick_lateness_seconds_count"] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

/// The interpreter of a virtual environment with pjsua2, made if need be.
fn python_with_pjsua2() -> Option<PathBuf> {
    if !has("python3") {
        return None;
    }
    let venv = root().join("target/venv");
    let python = venv.join("bin/python");
    let imports = || Command::new(&python).args(["-c", "import pjsua2"]).output().is_ok_and(|o| o.status.success());
    if !imports() {
        // Debian's own, for which there is a wheel.
        let base = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
        let _ = Command::new(base).args(["-m", "venv"]).arg(&venv).output();
        let _ = Command::new(&python).args(["-m", "pip", "install", "-q", "pjsua2-python"]).output();
    }
    let there = imports();
    if !there {
        println!("SKIPPED: pjsua2-python cannot be had from pip for this Python");
    }
    there.then_some(python)
}

#[test]
fn pjsua2_changes_its_codec_holds_and_resumes_and_demands_keys() {
    let Some(python) = python_with_pjsua2() else { return };
    let home = dir("pjsua2").unwrap();
    let gateway = Gateway::start(&home, |t| recorded(t, &home)).unwrap();
    tone(&home.join("says.wav"), 16_000, 1, 60).unwrap();
    let output = Command::new(python)
        .arg(root().join("tests/codec_phone.py"))
        .arg(gateway.sip.to_string())
        .arg(home.join("says.wav"))
        .arg(&home)
        .output()
        .unwrap();
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let first = ["pcma codec-PCMA", "g722 codec-G722", "srtp codec-PCMU", "changes codec-PCMA"];
    for line in first.into_iter().chain(["changes codec-G722", "changes held", "changes resumed"]) {
        assert!(said.lines().any(|l| l == line), "{line}\n{said}");
    }
    for (user, codec, srtp) in [
        ("pj-pcma", "PCMA", false),
        ("pj-g722", "G722", false),
        ("pj-srtp", "PCMU", true),
        ("pj-changes", "G722", true),
    ] {
        let record = gateway.record_of(user).unwrap();
        assert_eq!((&leg(&record)["codec"], leg(&record)["srtp"].is_string()), (&Value::from(codec), srtp), "{record}");
        check_recording(&record);
        let heard = baton_audio::load_clip(home.join(format!("{}.wav", &user[3..]))).unwrap();
        assert!(heard.samples().iter().any(|s| s.abs() > 2_000), "{user} hears our voice");
    }
}

fn sipp(gateway: &Gateway, scenario: &Path, number: &str) -> Output {
    let (port, media) = (free_port().unwrap().to_string(), free_port().unwrap().to_string());
    Command::new("sipp")
        .arg("-sf")
        .arg(scenario)
        .args(["-s", "5000", "-m", "1", "-i", "127.0.0.1", "-nostdin", "-timeout", "60", "-p", &port, "-mp", &media])
        .args(["-key", "from", number, "-trace_err", &gateway.sip.to_string()])
        .current_dir(&gateway.dir)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn keys_are_heard_in_the_sound_of_a_line_without_telephone_event_and_what_cannot_be_spoken_is_refused() {
    if !has("sipp") {
        return;
    }
    let home = dir("in-band").unwrap();
    let gateway = Gateway::start(&home, |t| t).unwrap();
    // Silence, then the key 0, µ-law, as a headerless file for SIPp.
    let wave = |i: usize, hz: f32| (i as f32 / 8_000.0 * hz * std::f32::consts::TAU).sin() * 5_000.0;
    let key: Vec<i16> = (0..2_000).map(|i| (wave(i, 941.0) + wave(i, 1_336.0)) as i16).collect();
    let pcm = [vec![0; 8_000 * 4], key, vec![0; 8_000 * 30]].concat();
    let bytes: Vec<u8> = pcm.into_iter().map(baton_audio::g711::encode_ulaw).collect();
    std::fs::write(home.join("key.ul"), bytes).unwrap();
    let scenario = std::fs::read_to_string(root().join("sip-configs/sipp/no-telephone-event.xml")).unwrap();
    std::fs::write(home.join("call.xml"), scenario).unwrap();
    let output = sipp(&gateway, &home.join("call.xml"), "in-band");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record = gateway.record_of("in-band").unwrap();
    let typed = record["turns"].as_array().unwrap().iter().any(|t| t["dtmf"] == true && t["text"] == "0");
    assert!(typed, "{record}");

    // G.729 alone, and keys where none are spoken: 488, and the log says what to do.
    let text = std::fs::read_to_string(home.join("call.xml")).unwrap();
    std::fs::write(home.join("g729.xml"), text.replace("RTP/AVP 0", "RTP/AVP 18").replace("0 PCMU", "18 G729"))
        .unwrap();
    std::fs::write(home.join("savp.xml"), text.replace("RTP/AVP 0", "RTP/SAVP 0")).unwrap();
    for (file, words) in [("g729.xml", "taken here: PCMU, PCMA, G722, opus"), ("savp.xml", "srtp = \\\"optional\\\"")] {
        let output = sipp(&gateway, &home.join(file), file);
        assert!(!output.status.success(), "{file} is refused");
        let log = std::fs::read_to_string(home.join("baton.log")).unwrap();
        assert!(log.contains("code=488") && log.contains(words), "{file}: {words}\n{log}");
    }
}

/// Waits for something of the only live call's record.
fn live(gateway: &Gateway, what: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let records: Vec<Value> = serde_json::from_str(&gateway.get("/api/v1/calls?live=1").unwrap().1).unwrap();
        if let Some(record) = records.into_iter().find(|r| what(r)) {
            return record;
        }
        assert!(Instant::now() < deadline, "it does not come about");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn longer_than(file: &Path, bytes: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let now = std::fs::metadata(file).unwrap().len();
        if now > bytes {
            return now;
        }
        assert!(Instant::now() < deadline, "the recording goes on");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_paused_recording_is_silent_and_a_full_disk_costs_the_recording_alone() {
    if !has("baresip") {
        return;
    }
    let home = dir("pause").unwrap();
    let gateway = Gateway::start(&home, |t| recorded(t, &home)).unwrap();
    let call = |user: &str, codec: &str, seconds| {
        let phone = Phone {
            home: home.join(format!("phone-{user}")),
            user,
            codec,
            srtp: false,
            account: ";regint=0",
            command: Some(format!("/dial sip:5000@{}", gateway.sip)),
            seconds,
        };
        Baresip::start(gateway.sip, &phone).unwrap()
    };
    let mut phone = call("pcmu", "PCMU", 14);
    let record = live(&gateway, |r| r["recordings"][0]["file"].is_string());
    let (id, file) =
        (record["call_id"].as_str().unwrap(), PathBuf::from(record["recordings"][0]["file"].as_str().unwrap()));
    longer_than(&file, longer_than(&file, 4_000)); // some seconds of it
    assert_eq!(gateway.post(&format!("/api/v1/calls/{id}/recording/pause")).unwrap().0, 202);
    live(&gateway, |r| r["recordings"][0]["pauses"] == 1);
    let paused = std::fs::metadata(&file).unwrap().len();
    longer_than(&file, longer_than(&file, paused)); // silence is written too
    assert_eq!(gateway.post(&format!("/api/v1/calls/{id}/recording/resume")).unwrap().0, 202);
    phone.wait().unwrap();
    let record = gateway.record_of("pcmu").unwrap();
    check_recording(&record);
    let (left, _) = recording(&file).unwrap();
    let sounds: Vec<bool> = left.chunks(800).map(|c| level(c, TONE) > 2_000.0).collect();
    let silence = |c: &[bool]| c.iter().all(|sounds| !sounds);
    let at =
        sounds.iter().position(|s| *s).and_then(|tone| sounds[tone..].windows(10).position(silence).map(|n| tone + n));
    assert!(at.is_some_and(|at| sounds[at..].contains(&true)), "tone, a second of silence, tone: {sounds:?}");
    let (code, _) = gateway.get(&format!("/api/v1/calls/{}/recording", record["call_id"].as_str().unwrap())).unwrap();
    assert_eq!(code, 200);

    // A disk of 24 kB takes the first seconds, and then no more. The call does not notice.
    let disk = home.join("recordings");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24k", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|o| o.status.success()) {
        println!("SKIPPED: mounting a small disk takes root");
        return;
    }
    let mut phone = call("pcma", "PCMA", 12);
    phone.wait().unwrap();
    let record = gateway.record_of("pcma");
    let unmounted = Command::new("umount").arg("-l").arg(&disk).status().unwrap();
    let record = record.unwrap();
    assert!(unmounted.success());
    assert!(record["recordings"][0]["fault"].as_str().unwrap().contains("No space left"), "{record}");
    assert_eq!(record["termination"]["cause"], "hangup", "{record}");
    assert!(leg(&record)["sent"].as_u64().unwrap() > 400, "{record}");
    assert!(gateway.get("/metrics").unwrap().1.contains("baton_recordings_failed_total 1"));
}
