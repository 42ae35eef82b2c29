//! A scripted agent: a registered phone that takes calls until the drill is over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::DrillError;
use super::board::Board;
use super::report::{AgentCall, AgentReport, Event};
use crate::call::{Call, CallEvent, Incoming};
use crate::dial::{EndedBy, local_ip_towards};
use crate::media::Media;
use crate::script::{AgentScript, OnRing};
use crate::ua::{Phone, PhoneConfig};

const LIFETIME: Duration = Duration::from_secs(3_600);
/// Silence after which an agent takes the briefing as over.
const BRIEFING_GAP: Duration = Duration::from_millis(600);
const TURN: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(120);

/// Opens and registers an agent's phone.
pub async fn register(script: &AgentScript, gateway: SocketAddr) -> Result<Phone, DrillError> {
    let bind = SocketAddr::new(local_ip_towards(gateway), 0);
    let mut config = PhoneConfig::new(bind, &script.extension);
    config.password = Some(script.password.clone());
    let mut phone = Phone::open(config).await?;
    let fail = |source| DrillError::Register { extension: script.extension.clone(), source };
    phone.register(gateway, LIFETIME).await.map_err(fail)?;
    Ok(phone)
}

/// Takes one call after the other until the board closes.
pub async fn attend(mut phone: Phone, script: AgentScript, gateway: SocketAddr, board: Board) -> AgentReport {
    let mut report = AgentReport { extension: script.extension.clone(), calls: Vec::new() };
    loop {
        let incoming = tokio::select! {
            biased;
            incoming = phone.incoming() => incoming,
            () = board.closed() => None,
        };
        let Some(incoming) = incoming else { break };
        let caller = board.caller(&incoming.from_user);
        board.ringing(caller);
        let taken = take(incoming, &script, &board, caller).await;
        board.released(caller);
        report.calls.push(taken);
    }
    if let Err(error) = phone.register(gateway, Duration::ZERO).await {
        tracing::warn!(extension = %script.extension, %error, "could not take the registration back");
    }
    report
}

async fn take(incoming: Incoming, script: &AgentScript, board: &Board, caller: Option<usize>) -> AgentCall {
    let rang = incoming.call.invited;
    let mut report = AgentCall::new(&incoming, caller, rang);
    let answer = match script.on_ring {
        OnRing::Ignore => false,
        OnRing::RingOut => {
            incoming.ring();
            false
        }
        _ => {
            incoming.ring();
            true
        }
    };
    let mut incoming = incoming;
    let rings = async { if answer { tokio::time::sleep(script.ring()).await } else { board.closed().await } };
    tokio::select! {
        at = over(&mut incoming.call, &mut report.events) => {
            report.note(at, "the ringing stopped");
            report.ended = Some(at);
            report.ended_by = EndedBy::Nobody;
            return report;
        }
        () = rings => {}
    }
    let mut call = match script.on_ring {
        OnRing::Busy => return refuse(incoming, 486, report).await,
        OnRing::Decline => return refuse(incoming, 603, report).await,
        OnRing::Ignore | OnRing::RingOut => return report,
        OnRing::Answer => incoming.answer(),
    };
    let answered = Instant::now();
    report.answered = Some(answered);
    let media = Arc::clone(call.media());
    let mut part = Part { script, media: &media, board, caller, answered, joined: None, notes: Vec::new() };
    let ended = tokio::select! {
        at = over(&mut call, &mut report.events) => Some(at),
        () = part.play() => None,
    };
    (report.joined, report.ended_by) = (part.joined, if ended.is_some() { EndedBy::Them } else { EndedBy::Us });
    report.events.append(&mut part.notes);
    call.hang_up();
    if ended.is_none() {
        let known = |event| matches!(event, None | Some(CallEvent::HungUp { .. }));
        let _ = tokio::time::timeout(Duration::from_secs(3), async { while !known(call.event().await) {} }).await;
    }
    report.ended = Some(ended.unwrap_or_else(Instant::now));
    report.finish(&media);
    report
}

async fn refuse(incoming: Incoming, code: u16, mut report: AgentCall) -> AgentCall {
    let mut call = incoming.reject(code);
    report.note(Instant::now(), format!("refused with {code}"));
    let known = |event| matches!(event, None | Some(CallEvent::HungUp { .. }));
    let _ = tokio::time::timeout(Duration::from_secs(3), async { while !known(call.event().await) {} }).await;
    report.ended = Some(Instant::now());
    report.ended_by = EndedBy::Us;
    report
}

async fn over(call: &mut Call, notes: &mut Vec<Event>) -> Instant {
    loop {
        match call.event().await {
            Some(CallEvent::Ended { reason, at }) => {
                notes.push(Event { at, what: format!("they hung up {}", reason.unwrap_or_default()) });
                return at;
            }
            Some(CallEvent::Failed { at, .. }) => return at,
            Some(CallEvent::Confirmed { at }) => notes.push(Event { at, what: "acknowledged".into() }),
            Some(_) => {}
            None => return Instant::now(),
        }
    }
}

/// An agent's part from its answer on; returns when it hangs up.
struct Part<'a> {
    script: &'a AgentScript,
    media: &'a Media,
    board: &'a Board,
    caller: Option<usize>,
    answered: Instant,
    joined: Option<Instant>,
    notes: Vec<Event>,
}

impl Part<'_> {
    async fn play(&mut self) {
        let mut mark = self.answered;
        for press in &self.script.press {
            match press.after_ms {
                Some(ms) => tokio::time::sleep_until((mark + Duration::from_millis(ms)).into()).await,
                None => self.voice_over(mark).await,
            }
            let before = self.media.sent_digits();
            self.media.press(&press.digit.to_string());
            self.media.wait(PATIENCE, |m| m.sent_digits() > before).await;
            mark = self.media.sent().digits.last().map_or_else(Instant::now, |(_, at)| *at);
            self.notes.push(Event { at: mark, what: format!("pressed {}", press.digit) });
            if matches!(press.digit, '1' | '*') {
                self.join(mark);
            }
        }
        if self.script.joins_at_briefing_end && self.joined.is_none() {
            self.voice_over(mark).await;
            self.join(Instant::now());
        }
        let Some(joined) = self.joined else { return std::future::pending().await };
        let at = |ms: u64| tokio::time::Instant::from(joined + Duration::from_millis(ms));
        let talk = async {
            tokio::time::sleep_until(at(self.script.talk_after_ms)).await;
            if let Some(samples) = &self.script.samples {
                self.media.play(Arc::clone(samples));
            }
            std::future::pending().await
        };
        match self.script.hang_up_after_ms {
            Some(ms) => tokio::select! {
                () = talk => {}
                () = tokio::time::sleep_until(at(ms)) => {}
            },
            None => talk.await,
        }
    }

    fn join(&mut self, at: Instant) {
        self.joined = self.joined.or(Some(at));
        self.board.joined(self.caller, at);
    }

    async fn voice_over(&self, mark: Instant) {
        let over = |m: &Media| {
            m.listen(|h| {
                h.last_voiced().is_some_and(|at| at > mark && at.elapsed() >= BRIEFING_GAP)
                    && h.voiced_time_after(mark) >= TURN
            })
        };
        self.media.wait(PATIENCE, over).await;
    }
}
