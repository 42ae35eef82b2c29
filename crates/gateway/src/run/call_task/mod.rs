//! One task per call. It owns the [`Call`], feeds it what happens and carries out what it decides; the decisions are all
//! in there, the sockets, models and disks all out here. It never waits for any of them.

mod actions;
mod inputs;

use std::sync::Arc;
use std::time::Instant;

use baton_audio::Clip;
use baton_call::{Call, Input, Leg, LineId, Setup};
use baton_intake::Flow;
use baton_media::{MediaCommand, MediaLeg};
use baton_sip::sdp::{self, Remote};
use baton_sip::{LegId, SipCommand};
use baton_speech::Ear;
use tokio::sync::mpsc;
use tracing::{Instrument, info, info_span, warn};

use super::journal::Journal;
use super::lines::Lines;
use super::records;
use super::shared::{CallEvent, Inbox, Shared};

/// A call that was offered to us.
pub struct Arrival {
    pub leg: LegId,
    pub call_id: String,
    pub from: String,
    pub to: String,
    pub trunk: String,
    pub offer: Option<String>,
    pub flow: Arc<Flow>,
}

/// Takes the call: opens its media, starts its task. Refuses with 488 or 503 where there is no common codec or no port.
pub fn take(shared: &Arc<Shared>, arrival: Arrival) {
    let span = info_span!("call", call_id = %arrival.call_id);
    let leg = arrival.leg;
    let (inbox, events) = Inbox::new(&shared.metrics);
    let task = match Task::new(shared, &inbox, arrival) {
        Ok(task) => task,
        Err(Refusal { code, why }) => {
            shared.metrics.refused();
            span.in_scope(|| warn!(code, why, "call refused"));
            shared.sip_send(SipCommand::Reject { leg, code, reason: Some(why) });
            return;
        }
    };
    shared.metrics.taken();
    tokio::spawn(task.run(events).instrument(span));
}

struct Refusal {
    code: u16,
    why: String,
}

/// One of the call's legs as it stands on this side: its dialog and its port.
struct Side {
    sip: LegId,
    media: MediaLeg,
    local: std::net::SocketAddr,
    extension: Option<String>,
    answered: bool,
}

/// The briefing, synthesized while the agent's phone rings.
#[derive(Default)]
struct Prepared {
    generation: u64,
    text: String,
    clips: Vec<Clip>,
    complete: bool,
    /// Once it is being played: the line it is played as.
    line: Option<LineId>,
}

struct Task {
    shared: Arc<Shared>,
    inbox: Inbox,
    call: Call,
    journal: Journal,
    caller: Side,
    caller_remote: Option<Remote>,
    answer: String,
    agent: Option<Side>,
    ear: Option<Ear>,
    lines: Lines,
    briefing: Prepared,
    on_hold: bool,
    hold_play: Option<baton_media::PlayId>,
    talked: bool,
    complete: bool,
    over: bool,
}

impl Task {
    fn new(shared: &Arc<Shared>, inbox: &Inbox, arrival: Arrival) -> Result<Self, Refusal> {
        let (media, local) = shared.media.open().map_err(|e| Refusal { code: 503, why: e.to_string() })?;
        let negotiated = match &arrival.offer {
            Some(offer) => sdp::answer(offer, local, &shared.sdp_codecs(), sdp::SessionId::next())
                .map(|(answer, remote)| (answer, Some(remote)))
                .map_err(|e| Refusal { code: 488, why: e.to_string() }),
            // An INVITE without an offer: ours goes into the 200, the answer comes with the ACK (RFC 3264 §5).
            None => Ok((sdp::offer(local, &shared.sdp_codecs(), sdp::SessionId::next()), None)),
        };
        let (answer, caller_remote) = match negotiated {
            Ok(pair) => pair,
            Err(refusal) => {
                shared.media_send(media, MediaCommand::Close);
                return Err(refusal);
            }
        };
        let now = Instant::now();
        let setup = Setup {
            call_id: arrival.call_id.clone(),
            from: arrival.from,
            to: arrival.to,
            trunk: arrival.trunk,
            flow: arrival.flow,
        };
        shared.by_leg.insert(arrival.leg, inbox.clone());
        shared.by_media.insert(media, (Leg::Caller, inbox.clone()));
        shared.live.insert(arrival.call_id, inbox.clone());
        Ok(Self {
            call: Call::new(now, jiff::Timestamp::now(), setup),
            journal: Journal::open(shared.store.clone(), shared.changes.clone()),
            shared: Arc::clone(shared),
            inbox: inbox.clone(),
            caller: Side { sip: arrival.leg, media, local, extension: None, answered: false },
            caller_remote,
            answer,
            agent: None,
            ear: None,
            lines: Lines::default(),
            briefing: Prepared::default(),
            on_hold: false,
            hold_play: None,
            talked: false,
            complete: false,
            over: false,
        })
    }

    async fn run(mut self, mut events: mpsc::Receiver<CallEvent>) {
        self.drain();
        while !self.over {
            let timeout = self.call.poll_timeout();
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { break };
                    self.on_event(event);
                }
                () = tokio::time::sleep_until(timeout.map_or_else(Instant::now, |(at, _)| at).into()), if timeout.is_some() => {
                    if let Some((_, timer)) = timeout {
                        self.feed(Input::Timeout(timer));
                    }
                }
            }
        }
        self.finish(events).await;
    }

    /// The call is over, its record complete: nothing of it stays but what is on disk.
    async fn finish(mut self, mut events: mpsc::Receiver<CallEvent>) {
        self.close_agent();
        self.ear = None;
        self.media(self.caller.media, MediaCommand::Close);
        events.close();
        while let Ok(event) = events.try_recv() {
            if let CallEvent::Answer(input) = event {
                self.feed(input); // an agent found too late is given back
            }
        }
        self.shared.by_leg.remove(&self.caller.sip);
        let record = self.call.record();
        self.shared.metrics.finished(record);
        info!(
            disposition = record.disposition.as_deref().unwrap_or("-"),
            cause = record.termination.as_ref().map_or("-", |t| t.cause.as_str()),
            "call over"
        );
        let call_id = record.call_id.clone();
        self.journal.save(record);
        if self.complete {
            records::complete(&self.shared, record).await;
        }
        self.journal.close().await;
        self.shared.live.remove(&call_id);
    }
}
