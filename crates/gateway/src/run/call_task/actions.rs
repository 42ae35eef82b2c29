//! What a call decides, carried out on SIP, media, speech, CRM and desk.

use std::sync::Arc;

use baton_audio::Clip;
use baton_call::{Action, HangUpCause, Input, Leg, LineId};
use baton_media::{MediaCommand, MediaLeg};
use baton_sip::SipCommand;
use baton_sip::sdp::{self, Remote};
use baton_speech::{Expectation, Hints};
use tracing::{info, warn};

use super::super::shared::CallEvent;
use super::super::{desk, records};
use super::{Prepared, Side, Task};

impl Task {
    pub(super) fn drain(&mut self) {
        while let Some(action) = self.call.poll_action() {
            self.act(action);
        }
        self.over |= self.call.is_over();
    }

    pub(super) fn act(&mut self, action: Action) {
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
                self.complete = true; // the CRM is told at the end, by `finish`
            }
        }
    }

    pub(super) fn answer_caller(&mut self) {
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

    pub(super) fn connect(&self, media: MediaLeg, remote: &Remote) {
        self.media(media, records::connect(remote));
    }

    fn say(&mut self, line: LineId, leg: Leg, texts: &[String]) {
        self.lines.ordered(line, leg);
        let inbox = self.inbox.clone();
        self.shared.speech.speak(&texts.join(" "), Box::new(move |spoken| inbox.send(CallEvent::Spoken(line, spoken))));
    }

    pub(super) fn play(&mut self, line: LineId, clip: Clip) {
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

    pub(super) fn hold_music(&mut self, on: bool) {
        self.on_hold = on;
        if on {
            self.resume_hold_music();
        } else if self.hold_play.take().is_some() {
            self.media(self.caller.media, MediaCommand::Stop);
        }
    }

    /// Music comes back after each spoken word that interrupted it.
    pub(super) fn resume_hold_music(&mut self) {
        if self.on_hold {
            let id = self.lines.loose();
            self.hold_play = Some(id);
            self.media(
                self.caller.media,
                MediaCommand::Play { id, clip: self.shared.hold_music.clone(), looped: true },
            );
        }
    }

    pub(super) fn prepare_briefing(&mut self, text: String) {
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
        let headers = records::agent_headers(record, &self.shared.domain, self.shared.api);
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
    pub(super) fn close_agent(&mut self) -> Vec<Input> {
        let Some(agent) = self.agent.take() else { return Vec::new() };
        self.briefing.line = None;
        self.media(agent.media, MediaCommand::Close);
        self.shared.by_leg.remove(&agent.sip);
        self.lines.cut(Leg::Agent)
    }

    pub(super) fn media(&self, leg: MediaLeg, command: MediaCommand) {
        self.shared.media_send(leg, command);
    }

    pub(super) fn tell_desk(&self, request: desk::Request) {
        self.shared.tell_desk(request);
    }
}
