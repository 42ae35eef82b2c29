//! What happens to a call's legs, its ear and its voice, turned into the call's inputs.

use std::time::Instant;

use baton_call::{AgentGone, CallerGone, Input, Leg, LineId};
use baton_media::{MediaCommand, MediaEvent};
use baton_sip::sdp;
use baton_sip::{EndCause, LegId, SipCommand, SipEvent, fields};
use baton_speech::{HearEvent, Spoken};
use tracing::{info, warn};

use super::super::shared::CallEvent;
use super::super::{desk, records};
use super::Task;

impl Task {
    pub(super) fn on_event(&mut self, event: CallEvent) {
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
            SipEvent::Refer { leg, refer, .. } => {
                // Nobody may send this call elsewhere yet: the caller never, the agent not before there is a rule for it.
                self.shared.sip_send(SipCommand::RejectRefer { leg, refer, code: 603 });
            }
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
                self.shared.sip_send(SipCommand::Bye { leg: self.caller.sip, reason: Some(fields::reason(488, &why)) });
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
                self.shared.sip_send(SipCommand::Bye { leg: sip, reason: Some(fields::reason(488, &why)) });
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

    pub(super) fn feed(&mut self, input: Input) {
        self.call.handle(Instant::now(), input);
        self.drain();
    }

    pub(super) fn feed_all(&mut self, inputs: impl IntoIterator<Item = Input>) {
        for input in inputs {
            self.feed(input);
        }
    }
}
