//! One task per call. It owns the [`Call`], feeds it what happens and carries out what it decides; the decisions are all
//! in there, the sockets, models and disks all out here. It never waits for any of them.

use std::sync::Arc;
use std::time::Instant;

use baton_audio::Clip;
use baton_call::{Action, AgentGone, Call, CallerGone, HangUpCause, Input, Leg, LineId, Setup};
use baton_intake::Flow;
use baton_media::{MediaCommand, MediaEvent, MediaLeg};
use baton_sip::sdp::{self, Remote};
use baton_sip::{EndCause, LegId, SipCommand, SipEvent};
use baton_speech::{Ear, Expectation, HearEvent, Hints, Spoken};
use tokio::sync::mpsc;
use tracing::{Instrument, info, info_span, warn};

use super::journal::Journal;
use super::lines::Lines;
use super::shared::{CallEvent, Inbox, Shared};
use super::{desk, records};

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
            journal: Journal::open(shared.store.clone()),
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
}

/// What happens, turned into the call's inputs.
impl Task {
    fn on_event(&mut self, event: CallEvent) {
        match event {
            CallEvent::Sip(event) => self.on_sip(event),
            CallEvent::Media(leg, event) => self.on_media(leg, event),
            CallEvent::Hear(event) => self.on_heard(event),
            CallEvent::Spoken(line, spoken) => self.on_spoken(line, spoken),
            CallEvent::Briefing(generation, spoken) => self.on_briefing(generation, spoken),
            CallEvent::Answer(input) => self.feed(input),
            CallEvent::End => self.feed(Input::Shutdown),
        }
    }

    fn on_sip(&mut self, event: SipEvent) {
        let is_caller = event.leg() == Some(self.caller.sip);
        match event {
            SipEvent::Confirmed { sdp, .. } if is_caller => {
                if self.caller_remote.is_none() && !self.late_answer(sdp.as_deref()) {
                    return;
                }
                self.feed(Input::CallerConfirmed);
            }
            SipEvent::Ended { cause, .. } if is_caller => {
                let (cause, sip) = match cause {
                    EndCause::Bye => (CallerGone::Hangup, 200),
                    EndCause::Cancel => (CallerGone::Cancel, 487),
                    EndCause::NoAck => (CallerGone::NoAck, 408),
                    EndCause::TransportError | EndCause::SessionExpired => (CallerGone::Fault, 503),
                };
                self.shared.by_leg.remove(&self.caller.sip);
                self.media(self.caller.media, MediaCommand::Close); // its last figures belong into the record
                self.feed(Input::CallerGone { cause, sip });
            }
            SipEvent::Reoffer { leg, sdp } => self.on_reoffer(leg, sdp.as_deref()),
            SipEvent::InfoDigit { digit, .. } => {
                let leg = if is_caller { Leg::Caller } else { Leg::Agent };
                self.feed(Input::Digit { leg, digit });
            }
            SipEvent::Progress { .. } if self.is_agent(&event) => self.feed(Input::AgentRinging),
            SipEvent::Answered { ref sdp, .. } if self.is_agent(&event) => {
                let sdp = sdp.clone();
                self.on_agent_answered(sdp.as_deref());
            }
            SipEvent::Failed { code, ref reason, .. } if self.is_agent(&event) => {
                info!(code, reason, "the agent's phone did not take the call");
                let cut = self.close_agent();
                self.feed(Input::AgentFailed { code });
                self.feed_all(cut);
            }
            SipEvent::Ended { cause, .. } if self.is_agent(&event) => {
                let cut = self.close_agent();
                let cause = if cause == EndCause::Bye { AgentGone::Hangup } else { AgentGone::Fault };
                // That the agent is gone comes first: a line that was cut must not be followed by another.
                self.feed(Input::AgentGone { cause });
                self.feed_all(cut);
            }
            _ => {}
        }
    }

    /// The answer to our own offer came with the ACK.
    fn late_answer(&mut self, sdp: Option<&str>) -> bool {
        let remote = sdp
            .ok_or_else(|| "the ACK brought no answer to our offer".to_owned())
            .and_then(|s| sdp::read_answer(s, &self.shared.sdp_codecs()).map_err(|e| e.to_string()));
        match remote {
            Ok(remote) => {
                self.connect(self.caller.media, &remote);
                self.caller_remote = Some(remote);
                true
            }
            Err(why) => {
                warn!(why, "no agreed media with the caller");
                self.feed(Input::CallerGone { cause: CallerGone::Fault, sip: 488 });
                self.shared
                    .sip_send(SipCommand::Bye { leg: self.caller.sip, reason: Some(records::reason(488, &why)) });
                false
            }
        }
    }

    fn on_agent_answered(&mut self, sdp: Option<&str>) {
        let Some(agent) = &mut self.agent else { return };
        agent.answered = true;
        let (sip, media) = (agent.sip, agent.media);
        match sdp.map(|s| sdp::read_answer(s, &self.shared.sdp_codecs())) {
            Some(Ok(remote)) => {
                self.connect(media, &remote);
                if let Some(extension) = self.agent.as_ref().and_then(|a| a.extension.clone()) {
                    self.tell_desk(desk::Request::Answered { extension });
                }
                self.feed(Input::AgentAnswered);
            }
            other => {
                let why = match other {
                    Some(Err(e)) => e.to_string(),
                    _ => "no SDP in the agent's answer".into(),
                };
                warn!(why, "the agent's phone answered without usable media");
                self.shared.sip_send(SipCommand::Bye { leg: sip, reason: Some(records::reason(488, &why)) });
                let cut = self.close_agent();
                self.feed(Input::AgentFailed { code: 488 });
                self.feed_all(cut);
            }
        }
    }

    /// Hold, resume, a new address or codec, from either side (RFC 3264 §8). The other leg is not told: it keeps hearing
    /// what we send.
    fn on_reoffer(&mut self, leg: LegId, offer: Option<&str>) {
        let side = if leg == self.caller.sip {
            &self.caller
        } else if let Some(a) = self.agent.as_ref().filter(|a| a.sip == leg) {
            a
        } else {
            return;
        };
        let (media, local) = (side.media, side.local);
        let sdp = match offer {
            None => Ok(sdp::offer(local, &self.shared.sdp_codecs(), sdp::SessionId::next())),
            Some(offer) => match sdp::answer(offer, local, &self.shared.sdp_codecs(), sdp::SessionId::next()) {
                Ok((answer, remote)) => {
                    self.connect(media, &remote);
                    Ok(answer)
                }
                Err(e) => {
                    info!(error = %e, "a new offer was refused");
                    Err(488)
                }
            },
        };
        self.shared.sip_send(SipCommand::AnswerReoffer { leg, sdp });
    }

    fn on_media(&mut self, leg: Leg, event: MediaEvent) {
        match event {
            MediaEvent::Digit { digit, .. } => self.feed(Input::Digit { leg, digit }),
            MediaEvent::PlayStarted { id, at, .. } => {
                let input = self.lines.started(id, at);
                self.feed_all(input);
            }
            MediaEvent::PlayEnded { id, completed, .. } => {
                let input = self.lines.ended(id, completed);
                let line_over = input.is_some();
                self.feed_all(input);
                if line_over && leg == Leg::Caller {
                    self.resume_hold_music();
                }
            }
            MediaEvent::BridgeAudio { at, .. } => self.feed(Input::BridgeAudio { from: leg, at }),
            MediaEvent::Silent { .. } => self.feed(Input::MediaSilent { leg }),
            MediaEvent::Closed { stats, .. } => self.feed(Input::MediaStats { leg, stats: records::media(&stats) }),
            MediaEvent::FirstPacket { .. } => {}
            MediaEvent::OneWay { .. } => warn!(?leg, "one-way audio: the peer's reports say it hears nothing"),
            MediaEvent::Fault { fault, .. } => warn!(?leg, ?fault, "media does not fit what was agreed"),
        }
    }

    fn on_heard(&mut self, event: HearEvent) {
        match event {
            HearEvent::SpeechStarted { .. } => self.feed(Input::SpeechStarted),
            HearEvent::Utterance { text, confidence, ended, .. } => {
                info!(text, confidence, "heard");
                self.feed(Input::Heard { text, confidence, ended });
            }
            HearEvent::NothingHeard => self.feed(Input::NotUnderstood),
            HearEvent::Failed(e) => {
                warn!(error = %e, "speech-to-text failed");
                self.feed(Input::SpeechDown);
            }
        }
    }

    fn on_spoken(&mut self, line: LineId, spoken: Spoken) {
        match spoken {
            Spoken::Clip { clip, .. } => self.play(line, clip),
            Spoken::Done => {
                let input = self.lines.all_queued(line);
                self.feed_all(input);
            }
            Spoken::Failed(e) => {
                warn!(error = %e, "text-to-speech failed");
                let input = self.lines.all_queued(line);
                self.feed_all(input);
                self.feed(Input::SpeechDown);
            }
        }
    }

    fn on_briefing(&mut self, generation: u64, spoken: Spoken) {
        if generation != self.briefing.generation {
            return; // of an earlier text
        }
        match (spoken, self.briefing.line) {
            (Spoken::Clip { clip, .. }, line) => {
                if let Some(line) = line {
                    self.play(line, clip.clone());
                }
                self.briefing.clips.push(clip);
            }
            (Spoken::Done, line) => {
                self.briefing.complete = true;
                let input = line.and_then(|line| self.lines.all_queued(line));
                self.feed_all(input);
            }
            (Spoken::Failed(e), line) => {
                warn!(error = %e, "the briefing could not be spoken");
                self.briefing.complete = true;
                let input = line.and_then(|line| self.lines.all_queued(line));
                self.feed_all(input);
            }
        }
    }

    fn is_agent(&self, event: &SipEvent) -> bool {
        self.agent.as_ref().is_some_and(|a| event.leg() == Some(a.sip))
    }

    fn feed(&mut self, input: Input) {
        self.call.handle(Instant::now(), input);
        self.drain();
    }

    fn feed_all(&mut self, inputs: impl IntoIterator<Item = Input>) {
        for input in inputs {
            self.feed(input);
        }
    }
}

/// What the call decides, carried out.
impl Task {
    fn drain(&mut self) {
        while let Some(action) = self.call.poll_action() {
            self.act(action);
        }
        self.over |= self.call.is_over();
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::AnswerCaller => self.answer_caller(),
            Action::LookUpContact { number } => records::look_up(&self.shared, &self.inbox, number),
            Action::Say { line, leg, texts, .. } => self.say(line, leg, &texts),
            Action::StopSpeech { leg } => self.stop_speech(leg),
            Action::Listen { on, hints, expected } => {
                if let Some(ear) = &self.ear {
                    ear.expect(Expectation { hints: Hints { prompt: hints }, kind: records::expected(expected) });
                    ear.open(on);
                }
            }
            Action::HoldMusic { on } => self.hold_music(on),
            Action::RunAction(action) => records::run_action(&self.shared, &self.inbox, action),
            Action::WriteCase(draft) => records::write_case(&self.shared, &self.inbox, draft),
            Action::PrepareBriefing { text } => self.prepare_briefing(text),
            Action::FindAgent { queue, not } => self.find_agent(queue, not),
            Action::RingAgent { extension, .. } => self.ring_agent(extension),
            Action::CancelAgent => {
                if let Some(agent) = &self.agent {
                    self.shared.sip_send(SipCommand::Cancel { leg: agent.sip });
                }
                let cut = self.close_agent();
                self.feed_all(cut);
            }
            Action::PlayBriefing { line, text } => self.play_briefing(line, text),
            Action::Bridge => self.bridge(),
            Action::Unbridge => self.media(self.caller.media, MediaCommand::Unbridge),
            Action::ReleaseAgent { extension } => {
                let talked = std::mem::take(&mut self.talked);
                self.tell_desk(desk::Request::Released { extension, talked });
            }
            Action::HangUp { leg, cause } => self.hang_up(leg, cause),
            Action::SaveRecord => self.journal.save(self.call.record()),
            Action::CompleteRecord => {
                self.journal.save(self.call.record());
                records::complete(&self.shared, self.call.record());
            }
        }
    }

    fn answer_caller(&mut self) {
        let (audio_in, audio_out) = rtrb::RingBuffer::new(64);
        let inbox = self.inbox.clone();
        self.ear =
            Some(self.shared.speech.listen(audio_out, Box::new(move |event| inbox.send(CallEvent::Hear(event)))));
        self.media(self.caller.media, MediaCommand::Tap { to: Some(audio_in) });
        if let Some(remote) = self.caller_remote.clone() {
            self.connect(self.caller.media, &remote);
        }
        self.caller.answered = true;
        self.shared.sip_send(SipCommand::Answer { leg: self.caller.sip, sdp: self.answer.clone() });
    }

    fn connect(&self, media: MediaLeg, remote: &Remote) {
        self.media(media, records::connect(remote));
    }

    fn say(&mut self, line: LineId, leg: Leg, texts: &[String]) {
        self.lines.ordered(line, leg);
        let inbox = self.inbox.clone();
        self.shared.speech.speak(&texts.join(" "), Box::new(move |spoken| inbox.send(CallEvent::Spoken(line, spoken))));
    }

    fn play(&mut self, line: LineId, clip: Clip) {
        let Some((leg, id)) = self.lines.clip(line) else { return };
        let media = match leg {
            Leg::Caller => Some(self.caller.media),
            Leg::Agent => self.agent.as_ref().map(|a| a.media),
        };
        match media {
            Some(media) => self.media(media, MediaCommand::Play { id, clip, looped: false }),
            None => {
                let input = self.lines.ended(id, false);
                self.feed_all(input);
            }
        }
    }

    fn stop_speech(&mut self, leg: Leg) {
        let media = match leg {
            Leg::Caller => Some(self.caller.media),
            Leg::Agent => self.agent.as_ref().map(|a| a.media),
        };
        if let Some(media) = media {
            self.media(media, MediaCommand::Stop);
        }
        let inputs = self.lines.cut(leg);
        self.feed_all(inputs);
        if leg == Leg::Caller {
            self.hold_play = None;
            self.resume_hold_music();
        }
    }

    fn hold_music(&mut self, on: bool) {
        self.on_hold = on;
        if on {
            self.resume_hold_music();
        } else if self.hold_play.take().is_some() {
            self.media(self.caller.media, MediaCommand::Stop);
        }
    }

    /// Music comes back after each spoken word that interrupted it.
    fn resume_hold_music(&mut self) {
        if self.on_hold {
            let id = self.lines.loose();
            self.hold_play = Some(id);
            self.media(
                self.caller.media,
                MediaCommand::Play { id, clip: self.shared.hold_music.clone(), looped: true },
            );
        }
    }

    fn prepare_briefing(&mut self, text: String) {
        let generation = self.briefing.generation + 1;
        let inbox = self.inbox.clone();
        self.shared.speech.speak(&text, Box::new(move |spoken| inbox.send(CallEvent::Briefing(generation, spoken))));
        self.briefing = Prepared { generation, text, ..Prepared::default() };
    }

    fn play_briefing(&mut self, line: LineId, text: String) {
        if self.briefing.text != text {
            self.prepare_briefing(text);
        }
        self.lines.ordered(line, Leg::Agent);
        self.briefing.line = Some(line);
        for clip in self.briefing.clips.clone() {
            self.play(line, clip);
        }
        if self.briefing.complete {
            let input = self.lines.all_queued(line);
            self.feed_all(input);
        }
    }

    fn find_agent(&self, queue: String, not: Vec<String>) {
        let (answer, found) = tokio::sync::oneshot::channel();
        self.tell_desk(desk::Request::Find { queue, not, answer });
        let inbox = self.inbox.clone();
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let input = match found.await {
                Ok(Some(extension)) => Input::AgentOffered { extension },
                Ok(None) | Err(_) => Input::NoAgent,
            };
            if let Some(CallEvent::Answer(Input::AgentOffered { extension })) = inbox.offer(CallEvent::Answer(input)) {
                shared.tell_desk(desk::Request::Released { extension, talked: false }); // the call is over
            }
        });
    }

    fn ring_agent(&mut self, extension: String) {
        let (media, local) = match self.shared.media.open() {
            Ok(opened) => opened,
            Err(e) => {
                warn!(error = %e, "no RTP port for the agent's leg");
                self.feed(Input::AgentFailed { code: 503 });
                return;
            }
        };
        let sip = self.shared.sip.new_leg();
        self.shared.by_leg.insert(sip, self.inbox.clone());
        self.shared.by_media.insert(media, (Leg::Agent, self.inbox.clone()));
        let record = self.call.record();
        let (from_user, from_display) = records::caller_identity(record);
        let headers = vec![("X-Baton-Call-ID".to_owned(), record.call_id.clone())];
        info!(extension, "ringing the agent");
        self.shared.sip_send(SipCommand::Invite {
            leg: sip,
            ext: extension.clone(),
            from_user,
            from_display,
            headers,
            sdp: sdp::offer(local, &self.shared.sdp_codecs(), sdp::SessionId::next()),
        });
        self.agent = Some(Side { sip, media, local, extension: Some(extension), answered: false });
    }

    fn bridge(&mut self) {
        let Some(agent) = &self.agent else { return };
        let (media, extension) = (agent.media, agent.extension.clone());
        self.on_hold = false;
        self.hold_play = None;
        self.talked = true;
        self.media(self.caller.media, MediaCommand::Bridge { with: media });
        if let Some(extension) = extension {
            self.tell_desk(desk::Request::Talking { extension });
        }
    }

    fn hang_up(&mut self, leg: Leg, cause: HangUpCause) {
        match leg {
            Leg::Caller => {
                let (sip, answered) = (self.caller.sip, self.caller.answered);
                self.shared.sip_send(records::goodbye(sip, answered, cause));
                self.media(self.caller.media, MediaCommand::Close);
            }
            Leg::Agent => {
                if let Some(agent) = &self.agent {
                    let bye = if agent.answered {
                        records::goodbye(agent.sip, true, cause)
                    } else {
                        SipCommand::Cancel { leg: agent.sip }
                    };
                    self.shared.sip_send(bye);
                }
                let cut = self.close_agent();
                self.feed_all(cut);
            }
        }
    }

    /// The agent's leg is over on our side: its port closes, its late events reach nobody. The lines that end with it.
    fn close_agent(&mut self) -> Vec<Input> {
        let Some(agent) = self.agent.take() else { return Vec::new() };
        self.briefing.line = None;
        self.media(agent.media, MediaCommand::Close);
        self.shared.by_leg.remove(&agent.sip);
        self.lines.cut(Leg::Agent)
    }

    fn media(&self, leg: MediaLeg, command: MediaCommand) {
        self.shared.media_send(leg, command);
    }

    fn tell_desk(&self, request: desk::Request) {
        self.shared.tell_desk(request);
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
        self.journal.close().await;
        self.shared.live.remove(&call_id);
    }
}
