//! One task per call. It owns the [`Call`], feeds it what happens and carries out what it decides; the decisions are all
//! in there, the sockets, models and disks all out here. It never waits for any of them.

mod actions;
mod inputs;
mod legs;
mod tape;
mod terms;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use baton_agents::{Input as FloorInput, Released, Waiter};
use baton_audio::Clip;
use baton_call::{Call, Input, Leg, LineId, Setup, Ticket};
use baton_intake::Flow;
use baton_media::{Agreement, MediaCommand, MediaLeg, PlayId};
use baton_sip::{LegId, ReferId, SipCommand};
use baton_speech::Ear;
use baton_tone::Frustration;
use tokio::sync::mpsc;
use tracing::{Instrument, info, info_span, warn};

use self::legs::{Legs, Side};
use self::tape::Tape;
use self::terms::Terms;
use super::case::Case;
use super::desk::{CallBack, Request};
use super::journal::Journal;
use super::lines::Lines;
use super::means::Means;
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
    pub means: Arc<Means>,
}

/// Takes the call: opens its media, starts its task. Refuses with 488 or 503 where there is no common codec or no port.
pub fn take(shared: &Arc<Shared>, arrival: Arrival) {
    let span = info_span!("call", call_id = %arrival.call_id);
    let (leg, from, trunk) = (arrival.leg, arrival.from.clone(), arrival.trunk.clone());
    let (inbox, events) = Inbox::new(&shared.metrics);
    let task = match Task::arriving(shared, &inbox, arrival) {
        Ok(task) => task,
        Err(Refusal { code, why, hint }) => {
            shared.metrics.refused();
            span.in_scope(|| warn!(code, from, trunk, why = hint.as_ref().unwrap_or(&why), "call refused"));
            shared.sip_send(SipCommand::Reject { leg, code, reason: Some(why) });
            return;
        }
    };
    shared.metrics.taken();
    tokio::spawn(task.run(events).instrument(span));
}

/// Begins a promised call: the agents who were offered to it are rung and briefed, then the caller is called.
pub fn call_back(shared: &Arc<Shared>, flow: Arc<Flow>, means: Arc<Means>, callback: CallBack) {
    let call_id = records::new_call_id();
    let span = info_span!("call", %call_id);
    let CallBack { ticket, since, agents } = callback;
    let (inbox, events) = Inbox::new(&shared.metrics);
    let (media, local) = match shared.media.open() {
        Ok(opened) => opened,
        Err(e) => {
            span.in_scope(|| warn!(error = %e, "no port for a promised call; it is put off"));
            for agent in agents {
                let how = Released::NotNeeded;
                shared.tell_desk(Request::Tell(FloorInput::Released { extension: agent.extension, how }));
            }
            shared.tell_desk(Request::Promise(Box::new(ticket), since));
            return;
        }
    };
    let ids = (call_id.clone(), Arc::clone(&flow));
    let id = ticket.id.clone();
    let (now, wall) = (Instant::now(), jiff::Timestamp::now());
    let call = Call::callback(now, wall, ids, (ticket, since), Arc::clone(&shared.rules));
    let caller = Side::new(shared.sip.new_leg(), media, Terms::new(&shared.lines.line, local));
    let mut task = Task::with(shared, &inbox, call, caller, (&flow, means));
    task.waiter = Waiter::Callback(id.clone());
    task.ticket = Some(id);
    shared.metrics.taken();
    inbox.send(CallEvent::Answer(Input::AgentsOffered { agents }));
    tokio::spawn(task.run(events).instrument(span));
}

struct Refusal {
    code: u16,
    why: String,
    /// For the log, where there is more to say.
    hint: Option<String>,
}

/// The briefing, synthesized while the agent's phone rings.
#[derive(Default)]
struct Prepared {
    generation: u64,
    text: String,
    clips: Vec<(String, Clip)>,
    complete: bool,
    /// Once it is being played: the line it is played as.
    line: Option<LineId>,
}

struct Task {
    shared: Arc<Shared>,
    inbox: Inbox,
    call: Call,
    /// As whom it waits for an agent.
    waiter: Waiter,
    /// The promise it keeps, until it is promised again.
    ticket: Option<String>,
    /// What it has promised.
    promise: Option<(Box<Ticket>, Instant)>,
    journal: Journal,
    case: Case,
    legs: Legs,
    /// What is agreed with the caller.
    caller_agreed: Option<Agreement>,
    answer: String,
    ear: Option<Ear>,
    /// The flow's.
    voice: String,
    language: String,
    lines: Lines,
    /// What is being said to the caller: a speakerphone sends it back.
    playing: HashMap<PlayId, Clip>,
    means: Arc<Means>,
    /// The language model is being asked; what was said since is to be asked about too.
    asking_model: bool,
    ask_again: bool,
    /// The caller's, never an agent's.
    mood: Frustration,
    /// Its voice counts, and not its words alone.
    measures_voice: bool,
    /// Where the flow's answers to it begin.
    tone_steps: [f32; 3],
    misunderstood: bool,
    interrupted: bool,
    briefing: Prepared,
    on_hold: bool,
    ringback: bool,
    /// The music or the tone that plays while nothing is said.
    background: Option<baton_media::PlayId>,
    /// The recording of its sound.
    tape: Tape,
    /// REFERs that wait for an answer, or whose sender waits for news.
    refers: Vec<(Leg, LegId, ReferId)>,
    /// Ports that are being closed: their figures are still to come.
    closing: Vec<(MediaLeg, Leg)>,
    complete: bool,
    over: bool,
}

impl Task {
    fn arriving(shared: &Arc<Shared>, inbox: &Inbox, arrival: Arrival) -> Result<Self, Refusal> {
        // Who is on the line already must not suffer: a call that could not be heard in time is not taken.
        if !shared.speech.has_room() {
            return Err(Refusal { code: 503, why: "speech-to-text has too much waiting".into(), hint: None });
        }
        let (media, local) = shared.media.open().map_err(|e| Refusal { code: 503, why: e.to_string(), hint: None })?;
        let terms = Terms::new(shared.line_from(&arrival.trunk, &arrival.from), local);
        let negotiated = match &arrival.offer {
            Some(offer) => terms
                .answer(offer)
                .map(|(answer, agreement)| (answer, Some(agreement)))
                .map_err(|e| Refusal { code: 488, why: e.why, hint: Some(e.hint) }),
            // An INVITE without an offer: ours goes into the 200, the answer comes with the ACK (RFC 3264 §5).
            None => Ok((terms.offer(), None)),
        };
        let (answer, agreed) = match negotiated {
            Ok(pair) => pair,
            Err(refusal) => {
                shared.media_send(media, MediaCommand::Close);
                return Err(refusal);
            }
        };
        let flow = Arc::clone(&arrival.flow);
        let setup = Setup {
            call_id: arrival.call_id,
            from: arrival.from,
            to: arrival.to,
            trunk: arrival.trunk,
            flow: arrival.flow,
        };
        let mut call = Call::with_rules(Instant::now(), jiff::Timestamp::now(), setup, Arc::clone(&shared.rules));
        if let Some(today) = records::today() {
            call.set_today(today);
        }
        let mut task = Self::with(shared, inbox, call, Side::new(arrival.leg, media, terms), (&flow, arrival.means));
        (task.answer, task.caller_agreed) = (answer, agreed);
        Ok(task)
    }

    fn with(shared: &Arc<Shared>, inbox: &Inbox, call: Call, caller: Side, (flow, means): (&Flow, Arc<Means>)) -> Self {
        let call_id = call.record().call_id.clone();
        shared.by_leg.insert(caller.sip, inbox.clone());
        shared.traces.note(&call_id, caller.sip);
        shared.by_media.insert(caller.media, inbox.clone());
        shared.live.insert(call_id.clone(), inbox.clone());
        Self {
            call,
            waiter: Waiter::Call(call_id),
            ticket: None,
            promise: None,
            journal: Journal::open(shared.store.clone(), shared.changes.clone()),
            case: Case::open(shared, inbox),
            shared: Arc::clone(shared),
            inbox: inbox.clone(),
            legs: Legs::new(caller),
            caller_agreed: None,
            answer: String::new(),
            ear: None,
            voice: flow.voice().to_owned(),
            language: flow.language().to_owned(),
            lines: Lines::default(),
            playing: HashMap::new(),
            mood: Frustration::new(Arc::clone(&means.tone)),
            tone_steps: flow.tone_steps(),
            measures_voice: means.tone.voice && flow.weighs_tone(),
            means,
            asking_model: false,
            ask_again: false,
            misunderstood: false,
            interrupted: false,
            briefing: Prepared::default(),
            on_hold: false,
            ringback: false,
            background: None,
            tape: Tape::default(),
            refers: Vec::new(),
            closing: Vec::new(),
            complete: false,
            over: false,
        }
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
        for side in self.legs.take_others() {
            self.close(&side);
        }
        self.ear = None;
        self.media(self.legs.caller.media, MediaCommand::Close);
        let mut late = self.end_recording(&mut events).await;
        events.close();
        late.extend(std::iter::from_fn(|| events.try_recv().ok()));
        for event in late {
            match event {
                CallEvent::Answer(Input::AgentsOffered { agents }) => {
                    for agent in agents {
                        let how = Released::NotNeeded; // found too late
                        self.tell_floor(FloorInput::Released { extension: agent.extension, how });
                    }
                }
                CallEvent::Answer(input) => self.feed(input),
                _ => {}
            }
        }
        self.shared.by_leg.remove(&self.legs.caller.sip);
        if let Some((ticket, since)) = self.promise.take() {
            self.shared.tell_desk(Request::Promise(ticket, since));
        }
        if let Some(id) = self.ticket.take() {
            self.shared.tell_desk(Request::Kept(id));
        }
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
            self.case.over(record).await;
        }
        self.journal.close().await;
        self.shared.live.remove(&call_id);
    }

    fn media(&self, leg: MediaLeg, command: MediaCommand) {
        self.shared.media_send(leg, command);
    }

    fn tell_floor(&self, input: FloorInput) {
        self.shared.tell_desk(Request::Tell(input));
    }
}
