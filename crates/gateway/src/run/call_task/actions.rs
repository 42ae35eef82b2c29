//! What a call decides, carried out on SIP, media, speech, CRM and desk.

use baton_agents::{Input as FloorInput, Left, Released, Want};
use baton_audio::Clip;
use baton_call::{Action, HangUpCause, Input, LeftQueue, Leg, LineId, Route};
use baton_media::{MediaCommand, Sources};
use baton_sip::SipCommand;
use baton_speech::{Expectation, Hints};
use tracing::{info, warn};

use super::super::desk::Request;
use super::super::means;
use super::super::records;
use super::super::shared::CallEvent;
use super::legs::Side;
use super::terms::Terms;
use super::{Prepared, Task};
use crate::config::Line;

impl Task {
    pub(super) fn drain(&mut self) {
        while let Some(action) = self.call.poll_action() {
            self.act(action);
        }
        self.over |= self.call.is_over();
        self.mind_recording();
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::PauseRecording { on } => self.pause_recording(on),
            Action::AnswerCaller => self.answer_caller(),
            Action::LookUpContact { number } => means::look_up(&self.shared, &self.inbox, number),
            Action::Say { line, leg, texts, .. } => self.say(line, leg, &texts),
            Action::StopSpeech { leg } => self.stop_speech(leg),
            Action::Listen { on, hints, expected } => {
                if let Some(ear) = &self.ear {
                    ear.expect(Expectation {
                        hints: Hints { prompt: hints, language: self.language.clone(), ..Hints::default() },
                        kind: records::expected(expected),
                    });
                    ear.open(on);
                }
            }
            Action::HoldMusic { on } => {
                self.on_hold = on;
                self.change_background();
            }
            Action::Ringback { leg: Leg::Caller, on } => {
                self.ringback = on;
                self.change_background();
            }
            Action::Ringback { .. } => {} // an agent hears that it rings by the silence after the code
            Action::RunAction(action) => {
                self.means.run_action(&self.shared, &self.inbox, self.call.record(), action);
            }
            Action::WriteCase(draft) => self.case.escalated(draft, self.call.record()),
            Action::PrepareBriefing { text } => self.prepare_briefing(text),
            Action::FindAgent { queue, not, since, priority, needs } => {
                let want = Want { who: self.waiter.clone(), queue, not, since, priority, needs };
                self.shared.tell_desk(Request::Wants(want, self.inbox.clone()));
            }
            Action::LeaveQueue { why } => {
                let why = match why {
                    LeftQueue::Abandoned => Left::Abandoned,
                    LeftQueue::GivenBack => Left::GivenBack,
                    LeftQueue::Callback => Left::Callback,
                };
                self.tell_floor(FloorInput::Leaves { who: self.waiter.clone(), why });
            }
            Action::KeepPlace { ticket, since } => {
                if self.ticket.as_ref() == Some(&ticket.id) {
                    self.ticket = None; // promised again: it is not to be forgotten
                }
                // The caller is still on the line; nobody is to be called back before that is over.
                self.shared.tell_desk(Request::Note(ticket.clone()));
                self.promise = Some((ticket, since));
            }
            Action::RingAgent { extension, .. } => self.ring_agent(extension),
            Action::CancelAgent { extension, cause } => self.cancel_agent(&extension, cause),
            Action::Dial { leg, to, .. } => self.dial(leg, to),
            Action::PlayBriefing { line, text } => self.play_briefing(line, text),
            Action::AgentTalking { extension } => self.tell_floor(FloorInput::Talking { extension }),
            Action::Bridge => self.bridge(),
            Action::Mix { routes } => self.mix(&routes),
            Action::Unbridge => self.unbridge(),
            Action::ReleaseAgent { extension, how } => {
                let how = match how {
                    baton_call::Released::Talked => Released::Talked,
                    baton_call::Released::Declined => Released::Declined,
                    baton_call::Released::Missed => Released::Missed,
                    baton_call::Released::NotNeeded => Released::NotNeeded,
                };
                self.tell_floor(FloorInput::Released { extension, how });
            }
            Action::AnswerRefer { leg, code } => self.answer_refer(leg, code),
            Action::ReferProgress { leg, code } => self.refer_progress(leg, code),
            Action::HangUp { leg, cause } => self.hang_up(leg, cause),
            Action::SaveRecord => {
                self.journal.save(self.call.record());
                self.case.changed(self.call.record());
            }
            Action::CompleteRecord => {
                self.journal.save(self.call.record());
                self.complete = true; // the CRM is told at the end, by `finish`
            }
        }
    }

    fn answer_caller(&mut self) {
        self.hear_caller();
        if let Some(agreed) = &self.caller_agreed {
            self.media(self.legs.caller.media, MediaCommand::Connect(agreed.clone()));
        }
        self.legs.caller.answered = true;
        self.shared.sip_send(SipCommand::Answer { leg: self.legs.caller.sip, sdp: self.answer.clone() });
    }

    /// Gives the caller's audio an ear; it is closed until the call opens it.
    pub(super) fn hear_caller(&mut self) {
        let (audio_in, audio_out) = rtrb::RingBuffer::new(64);
        let inbox = self.inbox.clone();
        let ear = self.shared.speech.listen(audio_out, Box::new(move |event| inbox.send(CallEvent::Hear(event))));
        ear.measure_voice(self.measures_voice);
        self.ear = Some(ear);
        self.media(self.legs.caller.media, MediaCommand::Tap { to: Some(audio_in) });
    }

    fn say(&mut self, line: LineId, leg: Leg, texts: &[String]) {
        self.lines.ordered(line, leg);
        let inbox = self.inbox.clone();
        // Agents hear the usual voice.
        let voice = if leg == Leg::Caller { self.voice.as_str() } else { "" };
        let out = Box::new(move |spoken| inbox.send(CallEvent::Spoken(line, spoken)));
        self.shared.speech.speak_as(voice, &texts.join(" "), out);
    }

    pub(super) fn play(&mut self, line: LineId, words: &str, clip: Clip) {
        let Some((leg, id)) = self.lines.clip(line, words) else { return };
        match self.legs.get(leg).map(|side| side.media) {
            Some(media) => {
                if leg == Leg::Caller {
                    self.playing.insert(id, clip.clone());
                }
                self.media(media, MediaCommand::Play { id, clip, looped: false });
            }
            None => {
                let inputs = self.lines.ended(id, false);
                self.feed_all(inputs);
            }
        }
    }

    fn stop_speech(&mut self, leg: Leg) {
        if let Some(media) = self.legs.get(leg).map(|side| side.media) {
            self.media(media, MediaCommand::Stop);
        }
        let inputs = self.lines.cut(leg);
        self.feed_all(inputs);
        if leg == Leg::Caller {
            self.background = None;
            self.resume_background();
        }
    }

    /// Music or ringing tone began or ended.
    fn change_background(&mut self) {
        if self.background.take().is_some() {
            self.media(self.legs.caller.media, MediaCommand::Stop);
        }
        self.resume_background();
    }

    /// What plays while nothing is said comes back after each word that interrupted it.
    pub(super) fn resume_background(&mut self) {
        let clip = match (self.ringback, self.on_hold) {
            (true, _) => self.shared.ringback.clone(),
            (false, true) => self.shared.hold_music.clone(),
            (false, false) => return,
        };
        let id = self.lines.loose();
        self.background = Some(id);
        self.media(self.legs.caller.media, MediaCommand::Play { id, clip, looped: true });
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
        for (words, clip) in self.briefing.clips.clone() {
            self.play(line, &words, clip);
        }
        if self.briefing.complete {
            let input = self.lines.all_queued(line);
            self.feed_all(input);
        }
    }

    /// A new leg beside the caller's, ready to be called on that line.
    fn open_side(&self, line: &Line) -> Option<Side> {
        match self.shared.media.open_beside(self.legs.caller.media) {
            Ok((media, local)) => {
                let mut terms = Terms::new(line, local);
                if let Some((codec, _)) = self.caller_agreed.as_ref().and_then(|agreed| agreed.codecs.first()) {
                    terms.prefer(codec);
                }
                let side = Side::new(self.shared.sip.new_leg(), media, terms);
                self.shared.by_leg.insert(side.sip, self.inbox.clone());
                self.shared.traces.note(&self.call.record().call_id, side.sip);
                self.shared.by_media.insert(side.media, self.inbox.clone());
                Some(side)
            }
            Err(e) => {
                warn!(error = %e, "no RTP port for another leg");
                None
            }
        }
    }

    fn ring_agent(&mut self, extension: String) {
        let Some(side) = self.open_side(self.shared.line_of_extension(&extension)) else {
            return self.feed(Input::AgentFailed { extension, code: 503 });
        };
        let record = self.call.record();
        let (from_user, from_display) = records::caller_identity(record);
        let (pop, page) = records::context(&self.shared, record, &extension);
        info!(extension, page, "ringing the agent");
        self.shared.sip_send(SipCommand::Invite {
            leg: side.sip,
            ext: extension.clone(),
            from_user,
            from_display,
            headers: records::agent_headers(record, &self.shared.domain, page.as_deref()),
            sdp: side.terms.offer(),
        });
        records::screen_pop(&self.shared, pop);
        self.legs.add_agent(extension, side);
    }

    fn cancel_agent(&mut self, extension: &str, cause: HangUpCause) {
        let Some(side) = self.legs.take_agent(extension) else { return };
        self.shared.sip_send(records::stop_calling(side.sip, side.answered, cause));
        let cut = self.close_agent(&side);
        self.feed_all(cut);
    }

    /// Calls somebody who is no agent of this call's: an extension of ours, else a number by the trunk.
    fn dial(&mut self, leg: Leg, to: String) {
        let way = self.shared.way_to(&to, &self.call.record().trunk);
        let line = self.shared.line_of(way.as_ref(), &to);
        let side = match leg {
            Leg::Caller => {
                self.legs.caller.terms = self.legs.caller.terms.on(line);
                None
            }
            _ => match self.open_side(line) {
                Some(side) => Some(side),
                None => return self.feed(Input::LegFailed { leg, code: 503 }),
            },
        };
        let called = side.as_ref().unwrap_or(&self.legs.caller);
        let record = self.call.record();
        let command = way.map(|way| way.invite(called.sip, &to, record, called.terms.offer()));
        match leg {
            Leg::Third => self.legs.third = side,
            Leg::Supervisor => self.legs.supervisor = side,
            Leg::Caller | Leg::Agent => {}
        }
        match command {
            Some(command) => {
                info!(to, "calling out");
                self.shared.sip_send(command);
            }
            None => {
                warn!(to, "there is no trunk to call by: give one `targets` in [[trunk]]");
                self.take_side(leg);
                self.feed(Input::LegFailed { leg, code: 503 });
            }
        }
    }

    fn bridge(&mut self) {
        let Some(agent) = self.legs.agent().map(|side| side.media) else { return };
        (self.on_hold, self.ringback, self.background) = (false, false, None);
        self.media(self.legs.caller.media, MediaCommand::Bridge { with: agent });
    }

    fn mix(&mut self, routes: &[Route]) {
        (self.on_hold, self.ringback) = (false, false);
        if self.background.take().is_some() {
            self.media(self.legs.caller.media, MediaCommand::Stop);
        }
        for leg in [Leg::Caller, Leg::Agent, Leg::Third, Leg::Supervisor] {
            let Some(media) = self.legs.get(leg).map(|side| side.media) else { continue };
            let heard = routes.iter().filter(|route| route.to == leg).filter_map(|route| self.legs.get(route.from));
            let sources: Sources = heard.map(|side| side.media).collect();
            self.media(media, MediaCommand::Hear { sources });
        }
    }

    fn unbridge(&self) {
        for leg in [Leg::Caller, Leg::Agent, Leg::Third, Leg::Supervisor] {
            if let Some(side) = self.legs.get(leg) {
                self.media(side.media, MediaCommand::Unbridge);
            }
        }
    }

    fn answer_refer(&mut self, leg: Leg, code: u16) {
        let Some(at) = self.refers.iter().position(|(of, ..)| *of == leg) else { return };
        let (_, sip, refer) = self.refers[at];
        if code < 300 {
            self.shared.sip_send(SipCommand::AcceptRefer { leg: sip, refer });
        } else {
            self.refers.swap_remove(at);
            self.shared.sip_send(SipCommand::RejectRefer { leg: sip, refer, code });
        }
    }

    fn refer_progress(&mut self, leg: Leg, code: u16) {
        let Some(at) = self.refers.iter().position(|(of, ..)| *of == leg) else { return };
        let (_, sip, refer) = self.refers[at];
        if code >= 200 {
            self.refers.swap_remove(at);
        }
        self.shared.sip_send(SipCommand::ReferStatus { leg: sip, refer, code, reason: None });
    }

    fn hang_up(&mut self, leg: Leg, cause: HangUpCause) {
        match leg {
            Leg::Caller => {
                let (sip, answered) = (self.legs.caller.sip, self.legs.caller.answered);
                let bye = match &self.ticket {
                    Some(_) => records::stop_calling(sip, answered, cause),
                    None => records::goodbye(sip, answered, cause),
                };
                self.shared.sip_send(bye);
                self.media(self.legs.caller.media, MediaCommand::Close);
            }
            Leg::Agent => {
                let Some(side) = self.legs.take_the_agent() else { return };
                self.shared.sip_send(records::stop_calling(side.sip, side.answered, cause));
                let cut = self.close_agent(&side);
                self.feed_all(cut);
            }
            Leg::Third | Leg::Supervisor => {
                if let Some(side) = self.take_side(leg) {
                    self.shared.sip_send(records::stop_calling(side.sip, side.answered, cause));
                }
            }
        }
    }

    /// The agent's leg is over on our side: its port closes, its late events reach nobody. The lines that end with it.
    pub(super) fn close_agent(&mut self, side: &Side) -> Vec<Input> {
        self.close(side);
        self.closing.push((side.media, Leg::Agent));
        self.pause_recording(false); // whoever paused it is gone
        if self.legs.agent().is_some() {
            return Vec::new(); // a colleague, who was slower
        }
        self.briefing.line = None;
        self.lines.cut(Leg::Agent)
    }

    /// Ends a leg of a third party or a supervisor on our side.
    pub(super) fn take_side(&mut self, leg: Leg) -> Option<Side> {
        let side = match leg {
            Leg::Third => self.legs.third.take(),
            Leg::Supervisor => self.legs.supervisor.take(),
            Leg::Caller | Leg::Agent => None,
        }?;
        self.close(&side);
        self.closing.push((side.media, leg));
        Some(side)
    }

    pub(super) fn close(&self, side: &Side) {
        self.media(side.media, MediaCommand::Close);
        self.shared.by_leg.remove(&side.sip);
    }
}
