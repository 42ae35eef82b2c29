//! Caller and agent against phones that play the gateway's part by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use tokio::time::timeout;

use super::board::Board;
use super::report::DrillReport;
use super::{agent, caller};
use crate::media::Media;
use crate::script::{AgentScript, CallerScript, HangUp, HangUpWhen, OnRing, Press, Say, When};
use crate::{CallEvent, InviteOptions, Phone, PhoneConfig};

const SOON: Duration = Duration::from_secs(8);
const LIMIT: Duration = Duration::from_secs(30);

fn babble(seed: u64, ms: usize) -> Arc<[i16]> {
    let mut random = rand::rngs::SmallRng::seed_from_u64(seed);
    let mut low = 0.0f64;
    (0..ms * 8)
        .map(|_| {
            low = 0.92 * low + random.random_range(-1.0..1.0);
            (low * 3_000.0) as i16
        })
        .collect()
}

fn say(seed: u64, when: When) -> Say {
    Say { samples: Some(babble(seed, 700)), text: format!("line {seed}"), when, ..Default::default() }
}

fn script(says: Vec<Say>, talk: Vec<Say>) -> CallerScript {
    let mut script: CallerScript = toml::from_str("about = \"a test\"\nfrom = \"+15551230001\"\ngap_ms = 300").unwrap();
    (script.say, script.talk) = (says, talk);
    script
}

async fn phone(user: &str) -> Phone {
    Phone::open(PhoneConfig::new("127.0.0.1:0".parse().unwrap(), user)).await.unwrap()
}

fn board() -> Board {
    Board::new(vec!["+15551230001".into()])
}

/// Plays a clip and waits until it is out.
async fn play(media: &Media, clip: Arc<[i16]>) {
    let id = media.play(clip);
    assert!(media.wait(SOON, |m| m.played(id).is_some()).await);
}

/// Waits until the caller has said so many lines and is silent.
async fn spells(media: &Media, count: usize) {
    let quiet = Duration::from_millis(250);
    let over =
        |m: &Media| m.listen(|h| h.spells.len() >= count && h.last_voiced().is_some_and(|at| at.elapsed() > quiet));
    assert!(media.wait(SOON, over).await, "spell {count} is heard");
}

#[tokio::test]
async fn a_caller_speaks_in_its_turn_is_silent_on_hold_and_talks_when_joined() {
    let mut desk = phone("5000").await;
    let address = desk.local_addr();
    let turn = When::AfterPrompt;
    let script = script(vec![say(1, turn), say(2, turn), say(3, turn)], vec![say(4, When::OnJoin)]);
    let board = board();
    let calling = tokio::spawn(caller::call(0, script, address, LIMIT, board.clone()));
    let call = timeout(SOON, desk.incoming()).await.unwrap().unwrap().answer();
    let media = call.media();

    play(media, babble(10, 600)).await;
    spells(media, 1).await;
    play(media, babble(11, 600)).await;
    spells(media, 2).await;
    // The phone of an agent rings; music, then a pause long enough for a turn.
    board.ringing(Some(0));
    play(media, babble(12, 800)).await;
    let quiet = std::time::Instant::now() + Duration::from_millis(900);
    media.wait(SOON, |_| std::time::Instant::now() > quiet).await;
    assert_eq!(media.listen(|h| h.spells.len()), 2, "nothing is said on hold");
    board.joined(Some(0), std::time::Instant::now());
    spells(media, 3).await;
    let quiet = std::time::Instant::now() + Duration::from_millis(900);
    media.wait(SOON, |_| std::time::Instant::now() > quiet).await;
    call.hang_up();

    let report = timeout(SOON, calling).await.unwrap().unwrap().unwrap();
    let said: Vec<_> = report.said.iter().map(|s| s.what.as_str()).collect();
    assert_eq!(said, ["line 1", "line 2", "line 4"], "what was left to say is not said to the agent");
    let heard = media.heard();
    for seed in [1, 2, 4] {
        let c = crate::correlation(&babble(seed, 700), &heard.samples);
        assert!(c > 0.99, "line {seed}: {c}");
    }
    // The desk waited for the end of each line, and for nothing more.
    let reply = report.replies[0].first_voiced_ms.unwrap();
    assert!(reply > 0.0 && reply < 800.0, "{reply}");
    assert!(report.replies[0].first_packet_ms.unwrap() <= reply);
    let figures = report.figures();
    assert_eq!(figures.code, 200);
    assert!(figures.answer_to_greeting_ms.is_some());
}

#[tokio::test]
async fn a_handed_back_caller_speaks_again() {
    let mut desk = phone("5000").await;
    let address = desk.local_addr();
    let board = board();
    let script = script(vec![say(1, When::AfterPrompt)], vec![]);
    let calling = tokio::spawn(caller::call(0, script, address, LIMIT, board.clone()));
    let call = timeout(SOON, desk.incoming()).await.unwrap().unwrap().answer();
    let media = call.media();
    board.ringing(Some(0));
    play(media, babble(12, 600)).await;
    board.released(Some(0));
    play(media, babble(13, 600)).await;
    spells(media, 1).await;
    call.hang_up();
    let report = timeout(SOON, calling).await.unwrap().unwrap().unwrap();
    assert!(media.heard().spells[0].start > report.answered.unwrap() + Duration::from_millis(1_200));
}

#[tokio::test]
async fn a_caller_may_leave_while_the_agent_rings() {
    let mut desk = phone("5000").await;
    let address = desk.local_addr();
    let board = board();
    let mut script = script(vec![], vec![]);
    script.hang_up = HangUp { when: Some(HangUpWhen::AgentRinging), ms: 50 };
    let calling = tokio::spawn(caller::call(0, script, address, LIMIT, board.clone()));
    let mut call = timeout(SOON, desk.incoming()).await.unwrap().unwrap().answer();
    assert!(matches!(timeout(SOON, call.event()).await.unwrap(), Some(CallEvent::Confirmed { .. })));
    board.ringing(Some(0));
    assert!(matches!(timeout(SOON, call.event()).await.unwrap(), Some(CallEvent::Ended { .. })));
    assert!(timeout(SOON, calling).await.unwrap().unwrap().is_ok());
}

/// The caller's INVITE goes straight to the agent's phone: the shortest warm transfer there is.
#[tokio::test]
async fn joined_ends_are_measured() {
    let (desk, phone) = (phone("baton").await, phone("1001").await);
    let address = phone.local_addr();
    let mut agent = AgentScript::accepting("1001", "");
    agent.ring_ms = 100;
    agent.press = vec![Press { digit: '1', after_ms: Some(300) }];
    agent.samples = Some(babble(21, 1_500));
    agent.hang_up_after_ms = Some(2_500);
    let board = board();
    let attending = tokio::spawn(agent::attend(phone, agent, desk.local_addr(), board.clone()));
    let talk = Say { samples: Some(babble(22, 1_500)), ..say(22, When::OnJoin) };
    let calling = tokio::spawn(caller::call(0, script(vec![], vec![talk]), address, LIMIT, board.clone()));
    let caller = timeout(SOON, calling).await.unwrap().unwrap().unwrap();
    board.close();
    let agent = timeout(SOON, attending).await.unwrap().unwrap();

    let report = DrillReport::assemble(vec![caller], vec![agent]);
    let hand = report.callers[0].hand.as_ref().unwrap();
    assert_eq!(hand.extension, "1001");
    assert!(hand.caller_to_agent.unwrap() > 0.99, "{hand:?}");
    assert!(hand.agent_to_caller.unwrap() > 0.99, "{hand:?}");
    let both = hand.accept_to_two_way_ms.unwrap();
    assert!(both < 100.0, "live audio is found at once: {both}");
    let call = &report.agents[0].calls[0];
    assert_eq!(call.from_user, "+15551230001");
    assert!(call.joined.unwrap() > call.answered.unwrap() && call.answered.unwrap() > call.rang);
    assert!(report.callers[0].heard.digits.iter().any(|(d, _)| *d == '1'));
}

#[tokio::test]
async fn an_agent_waits_for_the_end_of_the_briefing() {
    let (desk, phone) = (phone("baton").await, phone("1001").await);
    let address = phone.local_addr();
    let mut script = AgentScript::accepting("1001", "");
    script.ring_ms = 50;
    let board = board();
    let attending = tokio::spawn(agent::attend(phone, script, desk.local_addr(), board.clone()));
    let call = desk.invite(to(address)).unwrap();
    assert!(call.media().wait(SOON, |m| m.listen(|h| !h.packets.is_empty())).await);
    play(call.media(), babble(30, 1_000)).await;
    let over = std::time::Instant::now();
    assert!(call.media().wait(SOON, |m| m.listen(|h| !h.digits.is_empty())).await);
    let pressed = call.media().heard().digits[0];
    assert_eq!(pressed.0, '1');
    assert!(pressed.1 > over + Duration::from_millis(400), "not into the briefing");
    timeout(SOON, board.until(0, |s| s.joined.is_some())).await.unwrap();
    call.hang_up();
    board.close();
    assert_eq!(timeout(SOON, attending).await.unwrap().unwrap().calls.len(), 1);
}

#[tokio::test]
async fn agents_that_do_not_take_the_call() {
    for (on_ring, code) in [(OnRing::Busy, 486), (OnRing::Decline, 603)] {
        let (desk, phone) = (phone("baton").await, phone("1001").await);
        let address = phone.local_addr();
        let mut script = AgentScript::accepting("1001", "");
        (script.on_ring, script.ring_ms) = (on_ring, 20);
        let board = board();
        let attending = tokio::spawn(agent::attend(phone, script, desk.local_addr(), board.clone()));
        let mut call = desk.invite(to(address)).unwrap();
        while !matches!(timeout(SOON, call.event()).await.unwrap(), Some(CallEvent::Failed { code: c, .. }) if c == code)
        {
        }
        assert!(board.stage(0).rang);
        board.close();
        assert_eq!(timeout(SOON, attending).await.unwrap().unwrap().calls.len(), 1);
        assert!(!board.stage(0).on_hold());
    }
    // One that rings out: the desk gives up.
    let (desk, phone) = (phone("baton").await, phone("1001").await);
    let address = phone.local_addr();
    let mut script = AgentScript::accepting("1001", "");
    script.on_ring = OnRing::RingOut;
    let board = board();
    let attending = tokio::spawn(agent::attend(phone, script, desk.local_addr(), board.clone()));
    let mut call = desk.invite(to(address)).unwrap();
    assert!(matches!(timeout(SOON, call.event()).await.unwrap(), Some(CallEvent::Progress { code: 180, .. })));
    call.hang_up();
    assert!(matches!(timeout(SOON, call.event()).await.unwrap(), Some(CallEvent::Failed { code: 487, .. })));
    board.close();
    let report = timeout(SOON, attending).await.unwrap().unwrap();
    assert!(report.calls[0].answered.is_none());
}

#[test]
fn the_scripts_that_come_with_baton_are_sound() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../media/callers"));
    let callers = CallerScript::load_all(folder).unwrap();
    assert!(callers.len() >= 9, "{} callers", callers.len());
    let voices: std::collections::BTreeSet<_> = callers.iter().map(|c| c.voice["name"].to_string()).collect();
    assert!(voices.len() >= 9, "{voices:?}");
    for caller in &callers {
        assert!(caller.expect.disposition.is_some(), "{}: what must come out?", caller.name);
        assert_eq!(caller.expect.solved, caller.expect.trigger.is_none(), "{}", caller.name);
        assert!(caller.expect.slots.contains_key("name"), "{}", caller.name);
        assert_eq!(caller.expect.joined, !caller.talk.is_empty(), "{}", caller.name);
        for say in caller.say.iter().chain(&caller.talk).filter(|s| s.file.is_some()) {
            assert!(!say.text.is_empty());
            let seconds = say.samples.as_ref().unwrap().len() as f64 / 8_000.0;
            assert!((0.3..12.0).contains(&seconds), "{}: {:?} lasts {seconds} s", caller.name, say.file);
        }
        assert!(caller.noise().is_ok());
    }
    for entry in std::fs::read_dir(folder.join("agents")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            AgentScript::load(&path).unwrap();
        }
    }
}

fn to(address: SocketAddr) -> InviteOptions {
    InviteOptions {
        uri: format!("sip:1001@{address}"),
        from: Some("sip:+15551230001@127.0.0.1".into()),
        ..Default::default()
    }
}
