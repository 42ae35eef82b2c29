//! A scripted caller: one call from INVITE to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::DrillError;
use super::board::Board;
use super::report::{CallerReport, Event, Reply};
use crate::call::{Call, CallEvent, InviteOptions};
use crate::dial::{EndedBy, local_ip_towards};
use crate::media::Media;
use crate::script::{CallerScript, HangUpWhen, Say, When};
use crate::ua::{Phone, PhoneConfig};

/// Voice that makes a turn of the other side: less is a click.
const TURN: Duration = Duration::from_millis(200);
/// From the join to a caller's first word.
const REACTION: Duration = Duration::from_millis(300);
/// How long a caller waits for one of its moments; the drill's limit comes first.
const PATIENCE: Duration = Duration::from_secs(900);

pub async fn call(
    index: usize,
    script: CallerScript,
    gateway: SocketAddr,
    limit: Duration,
    board: Board,
) -> Result<CallerReport, DrillError> {
    let ip = local_ip_towards(gateway);
    let phone = Phone::open(PhoneConfig::new(SocketAddr::new(ip, 0), &script.from)).await?;
    let mut call = phone.invite(InviteOptions {
        uri: format!("sip:{}@{gateway}", script.to),
        from: Some(format!("sip:{}@{ip}", script.from)),
        display: script.display.clone(),
        headers: Vec::new(),
        noise: script.noise()?,
    })?;
    let media = Arc::clone(call.media());
    let mut report = CallerReport::new(&script, &call);
    let deadline = tokio::time::Instant::now() + limit;

    let mut notes = Vec::new();
    if let Some(answered) = ring(&mut call, &mut report, deadline).await {
        report.answered = Some(answered);
        let mut act = Act { index, script: &script, media: &media, board: &board, answered, said: Vec::new() };
        let ended = tokio::select! {
            at = ended(&mut call, &mut notes) => Some(at),
            () = act.play() => None,
            () = tokio::time::sleep_until(deadline) => {
                report.note(Instant::now(), "hung up: the drill's limit");
                None
            }
        };
        let said = act.said;
        report.ended_by = if ended.is_some() { EndedBy::Them } else { EndedBy::Us };
        report.ended = Some(ended.unwrap_or_else(Instant::now));
        report.replies = replies(&said, &media, board.stage(index).joined);
        report.said = said;
    }
    report.events.extend(notes);
    let over = report.ended.is_none() || report.ended_by == EndedBy::Us;
    call.hang_up();
    if over {
        let known = |event| matches!(event, None | Some(CallEvent::HungUp { .. } | CallEvent::Failed { .. }));
        let _ = tokio::time::timeout(Duration::from_secs(3), async { while !known(call.event().await) {} }).await;
    }
    report.finish(&media, board.stage(index).joined);
    Ok(report)
}

async fn ring(call: &mut Call, report: &mut CallerReport, deadline: tokio::time::Instant) -> Option<Instant> {
    while let Ok(Some(event)) = tokio::time::timeout_at(deadline, call.event()).await {
        match event {
            CallEvent::Progress { code, at } => report.note(at, format!("{code}")),
            CallEvent::Answered { at } => {
                report.code = 200;
                report.note(at, "answered");
                return Some(at);
            }
            CallEvent::Failed { code, at } => {
                report.code = code;
                report.note(at, format!("refused with {code}"));
                return None;
            }
            _ => {}
        }
    }
    None
}

async fn ended(call: &mut Call, notes: &mut Vec<Event>) -> Instant {
    loop {
        match call.event().await {
            Some(CallEvent::Ended { reason, at }) => {
                notes.push(Event { at, what: format!("they hung up {}", reason.unwrap_or_default()) });
                return at;
            }
            Some(CallEvent::Failed { at, .. }) => return at,
            Some(CallEvent::Reoffered { at }) => notes.push(Event { at, what: "session changed".into() }),
            Some(_) => {}
            None => return Instant::now(),
        }
    }
}

/// The caller's part, played from the answer on. It returns when the caller hangs up.
struct Act<'a> {
    index: usize,
    script: &'a CallerScript,
    media: &'a Media,
    board: &'a Board,
    answered: Instant,
    /// What was said, with the end of its sound.
    said: Vec<Event>,
}

impl Act<'_> {
    async fn play(&mut self) {
        let hang_up = self.script.hang_up.clone();
        let extra = Duration::from_millis(hang_up.ms);
        let (index, board) = (self.index, self.board.clone());
        let answered = self.answered;
        let goes = async move {
            match hang_up.when {
                Some(HangUpWhen::AgentRinging) => board.until(index, |s| s.rang).await,
                Some(HangUpWhen::Joined) => board.until(index, |s| s.joined.is_some()).await,
                Some(HangUpWhen::AfterMs) => tokio::time::sleep_until(answered.into()).await,
                Some(HangUpWhen::AfterLast) | None => std::future::pending().await,
            }
            tokio::time::sleep(extra).await;
        };
        tokio::select! {
            () = goes => {}
            () = self.speak() => {}
        }
    }

    async fn speak(&mut self) {
        let mut turn = self.answered;
        for say in &self.script.say {
            if !self.moment(say, &mut turn).await {
                break;
            }
            turn = self.say(say).await;
        }
        if matches!(self.script.hang_up.when, Some(HangUpWhen::AfterLast)) {
            let last = Say::default();
            if self.moment(&last, &mut turn).await {
                tokio::time::sleep(Duration::from_millis(self.script.hang_up.ms)).await;
                return;
            }
        }
        let index = self.index;
        self.board.until(index, |s| s.joined.is_some()).await;
        let joined = self.board.stage(index).joined.unwrap_or_else(Instant::now);
        turn = joined;
        for say in &self.script.talk {
            match say.when {
                When::OnJoin => tokio::time::sleep_until((joined + REACTION).into()).await,
                When::AtMs => tokio::time::sleep_until((joined + Duration::from_millis(say.at_ms)).into()).await,
                When::AfterPrompt => self.silence_after(say, &mut turn).await,
            }
            turn = self.say(say).await;
        }
        std::future::pending().await
    }

    /// Waits for an utterance's moment; false when the join came first.
    async fn moment(&self, say: &Say, turn: &mut Instant) -> bool {
        let joined = self.board.until(self.index, |s| s.joined.is_some());
        let ready = async {
            match say.when {
                When::AfterPrompt => self.silence_after(say, turn).await,
                When::AtMs => {
                    tokio::time::sleep_until((self.answered + Duration::from_millis(say.at_ms)).into()).await;
                }
                When::OnJoin => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = joined => false,
            () = ready => true,
        }
    }

    /// The other side has spoken since `turn` and is silent now. On hold, nobody's turn begins.
    async fn silence_after(&self, say: &Say, turn: &mut Instant) {
        let gap = Duration::from_millis(say.gap_ms.unwrap_or(self.script.gap_ms));
        let ready = |media: &Media| {
            if self.board.stage(self.index).on_hold() {
                *turn = Instant::now();
                return false;
            }
            let since = *turn;
            media.listen(|heard| {
                let silent = heard.last_voiced().is_some_and(|at| at > since && at.elapsed() >= gap);
                silent && heard.voiced_time_after(since) >= TURN
            })
        };
        self.media.wait(PATIENCE, ready).await;
    }

    /// Says it; returns when its sound ended.
    async fn say(&mut self, say: &Say) -> Instant {
        if let Some(digits) = &say.dtmf {
            self.media.press(digits);
            self.media.wait(PATIENCE, Media::is_idle).await;
            self.said.push(Event { at: Instant::now(), what: format!("pressed {digits}") });
            return Instant::now();
        }
        let Some(samples) = &say.samples else { return Instant::now() };
        let id = self.media.play(Arc::clone(samples));
        self.media.wait(PATIENCE, |m| m.played(id).is_some()).await;
        let end = self.media.played(id).map_or_else(Instant::now, |p| p.voiced_end);
        self.said.push(Event { at: end, what: say.text.clone() });
        end
    }
}

/// How soon the other side answered each utterance, up to the next one. What is said to the agent is not counted.
fn replies(said: &[Event], media: &Media, joined: Option<Instant>) -> Vec<Reply> {
    let heard = media.heard();
    let mut replies = Vec::new();
    for (n, event) in said.iter().enumerate().take_while(|(_, e)| joined.is_none_or(|j| e.at < j)) {
        let until = said.get(n + 1).map(|next| next.at);
        let ms = |at: Option<Instant>| {
            let at = at.filter(|at| until.is_none_or(|u| *at < u))?;
            Some(at.saturating_duration_since(event.at).as_secs_f64() * 1_000.0)
        };
        replies.push(Reply {
            said: event.what.clone(),
            first_packet_ms: ms(heard.sound_after(event.at)),
            first_voiced_ms: ms(heard.voiced_after(event.at)),
        });
    }
    replies
}
