//! What happens to a call's legs, its ear and its voice, turned into the call's inputs.

use std::time::Instant;

use baton_agents::Input as FloorInput;
use baton_call::record::Policy;
use baton_call::{AgentGone, CallerGone, Input, Leg, LineId};
use baton_media::{Agreement, LegStats, MediaCommand, MediaEvent};
use baton_sip::{EndCause, LegId, SipCommand, SipEvent, fields};
use baton_speech::{HearEvent, Spoken, SttError};
use baton_store::redact;
use baton_tone::UtteranceInput;
use tracing::{info, warn};

use super::super::records;
use super::super::shared::CallEvent;
use super::Task;
use super::legs::Who;

impl Task {
    pub(super) fn on_event(&mut self, event: CallEvent) {
        match event {
            CallEvent::Sip(event) => self.on_sip(event),
            CallEvent::Media(event) => self.on_media(event),
            CallEvent::Hear(event) => self.on_heard(event),
            CallEvent::Spoken(line, spoken) => self.on_spoken(line, spoken),
            CallEvent::Briefing(generation, spoken) => self.on_briefing(generation, spoken),
            CallEvent::Advice(answer) => self.on_advice(answer),
            CallEvent::Answer(input) => {
                let proceeded =
                    self.call.record().crm.as_ref().is_some_and(|crm| crm.policy == Some(Policy::Proceeded));
                let late = proceeded && matches!(input, Input::CaseWritten { .. });
                self.feed(input);
                if late {
                    self.show_late_record();
                }
            }
            CallEvent::RecordingReady(ready) => self.recording_ready(ready),
            CallEvent::Recorded(recorded) => self.recorded(recorded),
            CallEvent::PauseRecording(on) => self.pause_recording(on),
            CallEvent::End => self.feed(Input::Shutdown),
        }
    }

    fn on_sip(&mut self, event: SipEvent) {
        let Some(leg) = event.leg() else { return };
        let Some((who, side)) = self.legs.of_sip(leg) else { return };
        let answered = side.answered;
        match event {
            SipEvent::Confirmed { sdp, .. } => self.on_confirmed(who, leg, sdp.as_deref()),
            SipEvent::Ended { cause, .. } => self.on_ended(who, cause),
            SipEvent::Reoffer { leg, sdp } => self.on_reoffer(leg, sdp.as_deref()),
            SipEvent::Refer { leg, refer, target, .. } => {
                info!(to = target.party.user, "asked to connect the other side elsewhere (REFER)");
                self.refers.push((who.leg(), leg, refer));
                self.feed(Input::Refer { leg: who.leg(), to: target.party.user.clone() });
            }
            SipEvent::InfoDigit { digit, .. } if who == Who::Caller || answered => {
                self.feed(Input::Digit { leg: who.leg(), digit });
            }
            SipEvent::Progress { .. } => match who {
                Who::Agent(extension) => self.feed(Input::AgentRinging { extension }),
                who => self.feed(Input::LegRinging { leg: who.leg() }),
            },
            SipEvent::Answered { sdp, .. } => self.on_answered(who, leg, sdp.as_deref()),
            SipEvent::Failed { code, reason, .. } => {
                info!(?who, code, reason, "the phone did not take the call");
                self.on_failed(who, code);
            }
            _ => {}
        }
    }

    fn on_ended(&mut self, who: Who, cause: EndCause) {
        match who {
            Who::Caller => {
                let (cause, sip) = match cause {
                    EndCause::Bye => (CallerGone::Hangup, 200),
                    EndCause::Cancel => (CallerGone::Cancel, 487),
                    EndCause::NoAck => (CallerGone::NoAck, 408),
                    EndCause::TransportError | EndCause::SessionExpired => (CallerGone::Fault, 503),
                };
                self.shared.by_leg.remove(&self.legs.caller.sip);
                self.media(self.legs.caller.media, MediaCommand::Close); // its last figures belong into the record
                self.feed(Input::CallerGone { cause, sip });
            }
            Who::Agent(extension) => {
                let Some(side) = self.legs.take_agent(&extension) else { return };
                let cut = self.close_agent(&side);
                let cause = if cause == EndCause::Bye { AgentGone::Hangup } else { AgentGone::Fault };
                // That the agent is gone comes first: a line that was cut must not be followed by another.
                if side.answered {
                    self.feed(Input::AgentGone { cause });
                } else {
                    self.feed(Input::AgentFailed { extension, code: 503 });
                }
                self.feed_all(cut);
            }
            Who::Third | Who::Supervisor => {
                self.take_side(who.leg());
                self.feed(Input::LegGone { leg: who.leg() });
            }
        }
    }

    fn on_failed(&mut self, who: Who, code: u16) {
        match who {
            Who::Agent(extension) => {
                let Some(side) = self.legs.take_agent(&extension) else { return };
                let cut = self.close_agent(&side);
                self.feed(Input::AgentFailed { extension, code });
                self.feed_all(cut);
            }
            Who::Caller => self.feed(Input::LegFailed { leg: Leg::Caller, code }),
            Who::Third | Who::Supervisor => {
                self.take_side(who.leg());
                self.feed(Input::LegFailed { leg: who.leg(), code });
            }
        }
    }

    /// The ACK to a 200 of ours, at the beginning or after a new offer. It brings the answer where the offer was ours.
    fn on_confirmed(&mut self, who: Who, leg: LegId, sdp: Option<&str>) {
        let agreed_already = who != Who::Caller || self.caller_agreed.is_some();
        if sdp.is_some() || !agreed_already {
            let Some((_, side)) = self.legs.of_sip(leg) else { return };
            match side.terms.read_answer(sdp) {
                Ok(agreement) => self.agreed(&who, leg, agreement),
                Err(refused) if agreed_already => {
                    info!(?who, why = refused.hint, "the answer to a new offer cannot be used; what was agreed stays");
                }
                Err(refused) => {
                    warn!(why = refused.hint, "no agreed media with the caller");
                    self.feed(Input::CallerGone { cause: CallerGone::Fault, sip: 488 });
                    let reason = Some(fields::reason(488, &refused.why));
                    return self.shared.sip_send(SipCommand::Bye { leg, reason });
                }
            }
        }
        if who == Who::Caller {
            self.feed(Input::CallerConfirmed);
        }
    }

    /// Media goes by this from now on; hold and its end follow from it.
    fn agreed(&mut self, who: &Who, leg: LegId, agreement: Agreement) {
        let Some((_, side)) = self.legs.of_sip(leg) else { return };
        let (media, held) = (side.media, !agreement.send);
        let changed = std::mem::replace(&mut side.held, held) != held;
        if let Some((codec, _)) = agreement.codecs.first() {
            let srtp = agreement.crypto.map(|keys| keys.send.suite().name());
            info!(?who, %codec, srtp, remote = %agreement.remote, held, "media agreed");
        }
        if *who == Who::Caller {
            self.caller_agreed = Some(agreement.clone());
        }
        self.media(media, MediaCommand::Connect(agreement));
        if changed {
            self.feed(Input::Hold { leg: who.leg(), on: held });
        }
    }

    /// A phone that we called picked up.
    fn on_answered(&mut self, who: Who, leg: LegId, sdp: Option<&str>) {
        let Some((_, side)) = self.legs.of_sip(leg) else { return };
        let agreement = match side.terms.read_answer(sdp) {
            Ok(agreement) => agreement,
            Err(refused) => {
                warn!(?who, why = refused.hint, "a phone answered without usable media");
                let reason = Some(fields::reason(488, &refused.why));
                self.shared.sip_send(SipCommand::Bye { leg, reason });
                return self.on_failed(who, 488);
            }
        };
        side.answered = true;
        self.agreed(&who, leg, agreement);
        match who {
            Who::Agent(extension) => {
                self.tell_floor(FloorInput::Answered { extension: extension.clone() });
                self.feed(Input::AgentAnswered { extension });
            }
            Who::Caller => {
                self.hear_caller();
                self.feed(Input::LegAnswered { leg: Leg::Caller });
            }
            Who::Third | Who::Supervisor => self.feed(Input::LegAnswered { leg: who.leg() }),
        }
    }

    /// Hold, resume, a new address or codec, from either side (RFC 3264 §8). The other leg is not told by SIP: it keeps
    /// hearing what we send.
    fn on_reoffer(&mut self, leg: LegId, offer: Option<&str>) {
        let Some((who, side)) = self.legs.of_sip(leg) else { return };
        let answered = match offer {
            None => Ok((side.terms.offer(), None)), // the answer comes with the ACK
            Some(offer) => side.terms.answer(offer).map(|(answer, agreement)| (answer, Some(agreement))),
        };
        match answered {
            Ok((sdp, agreement)) => {
                self.shared.sip_send(SipCommand::AnswerReoffer { leg, sdp: Ok(sdp) });
                if let Some(agreement) = agreement {
                    self.agreed(&who, leg, agreement);
                }
            }
            Err(refused) => {
                info!(?who, why = refused.hint, "a new offer was refused (488); what was agreed stays");
                self.shared.sip_send(SipCommand::AnswerReoffer { leg, sdp: Err(488) });
            }
        }
    }

    fn on_media(&mut self, event: MediaEvent) {
        let Some((who, _)) = self.legs.of_media(event.leg()) else {
            // A leg that is gone still tells how it was.
            if let MediaEvent::Closed { leg: media, stats } = event
                && let Some(at) = self.closing.iter().position(|(closing, _)| *closing == media)
            {
                let (_, leg) = self.closing.swap_remove(at);
                self.closed(leg, &stats);
            }
            return;
        };
        let leg = who.leg();
        match event {
            MediaEvent::Digit { digit, .. } => self.feed(Input::Digit { leg, digit }),
            MediaEvent::PlayStarted { id, at, .. } => {
                if let (Some(ear), Some(clip)) = (&self.ear, self.playing.get(&id)) {
                    ear.played(clip.clone(), at);
                }
                let input = self.lines.started(id, at);
                self.feed_all(input);
            }
            MediaEvent::PlayEnded { id, completed, .. } => self.on_play_ended(leg, id, completed),
            MediaEvent::BridgeAudio { at, .. } => self.feed(Input::BridgeAudio { from: leg, at }),
            MediaEvent::Silent { .. } => self.feed(Input::MediaSilent { leg }),
            MediaEvent::Closed { stats, .. } => self.closed(leg, &stats),
            MediaEvent::FirstPacket { .. } => {}
            MediaEvent::OneWay { .. } => warn!(?leg, "one-way audio: the peer's reports say it hears nothing"),
            MediaEvent::Fault { fault, .. } => warn!(?leg, ?fault, "media does not fit what was agreed"),
        }
    }

    fn closed(&mut self, leg: Leg, stats: &LegStats) {
        let stats = records::media(stats);
        self.shared.metrics.leg_closed(leg, &stats);
        self.feed(Input::MediaStats { leg, stats });
    }

    fn on_play_ended(&mut self, leg: Leg, id: baton_media::PlayId, completed: bool) {
        if self.playing.remove(&id).is_some()
            && !completed
            && let Some(ear) = &self.ear
        {
            ear.stopped(Instant::now());
        }
        let inputs = self.lines.ended(id, completed);
        let line_over = inputs.iter().any(|input| matches!(input, Input::LineEnded { .. }));
        self.feed_all(inputs);
        if line_over && leg == Leg::Caller {
            self.resume_background();
        }
    }

    fn on_heard(&mut self, event: HearEvent) {
        match event {
            HearEvent::SpeechStarted { .. } => {
                self.interrupted = self.lines.is_speaking(Leg::Caller);
                self.feed(Input::SpeechStarted);
            }
            HearEvent::Partial { text } => {
                if self.shared.words.receiver_count() > 0 {
                    let words = serde_json::json!({"call_id": self.call.record().call_id, "text": text});
                    let _ = self.shared.words.send(words.to_string()); // an error means that the last reader has just gone
                }
            }
            HearEvent::Utterance { text, confidence, features, ended, .. } => {
                info!(text = redact::figures(&text), confidence, "heard");
                let misunderstood = std::mem::take(&mut self.misunderstood);
                let interrupted = std::mem::take(&mut self.interrupted);
                let said = UtteranceInput { features, text: &text, repeated: false, misunderstood, interrupted };
                let reading = self.mood.utterance(said);
                if !reading.why.is_empty() {
                    info!(score = reading.score, why = reading.words(), "tone");
                }
                self.feed(Input::Tone(records::tone(&self.means.tone, self.tone_steps, &reading)));
                let offered = self.call.offers_person();
                self.feed(Input::Heard { text, confidence, ended });
                if offered && self.call.is_talking() && !self.call.offers_person() {
                    self.mood.offer_declined();
                }
                self.ask_model();
            }
            HearEvent::NothingHeard => {
                self.misunderstood = true;
                self.feed(Input::NotUnderstood);
            }
            HearEvent::Failed(SttError::Overloaded) => {
                warn!("speech-to-text has too much waiting: the caller is asked to use the keys");
                self.feed(Input::SpeechBusy);
            }
            HearEvent::Failed(e) => {
                warn!(error = %e, "speech-to-text failed");
                self.feed(Input::SpeechDown);
            }
        }
    }

    /// The words so far, to the language model if there is one; one question at a time.
    fn ask_model(&mut self) {
        if !self.means.has_model() {
            return;
        }
        if self.asking_model {
            self.ask_again = true;
            return;
        }
        if let Some(question) = self.call.question() {
            self.asking_model = true;
            self.means.ask_model(&self.inbox, question);
        }
    }

    fn on_advice(&mut self, answer: Option<String>) {
        self.asking_model = false;
        if let Some(answer) = answer {
            match self.call.advised(&answer) {
                Ok(taken) => {
                    let summary = taken.summary.is_some();
                    info!(slots = ?taken.slots, refused = ?taken.refused, summary, "the language model helped");
                }
                Err(e) => info!(error = %e, "nothing was taken from the language model"),
            }
            self.drain();
        }
        if std::mem::take(&mut self.ask_again) {
            self.ask_model();
        }
    }

    fn on_spoken(&mut self, line: LineId, spoken: Spoken) {
        match spoken {
            Spoken::Clip { text, clip, .. } => self.play(line, &text, clip),
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
            (Spoken::Clip { text, clip, .. }, line) => {
                if let Some(line) = line {
                    self.play(line, &text, clip.clone());
                }
                self.briefing.clips.push((text, clip));
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

    /// The agent's phone rang before there was a record to show: now there is.
    fn show_late_record(&self) {
        let record = self.call.record();
        if let Some(extension) = record.agent.as_ref().and_then(|agent| agent.extension.as_deref()) {
            let (pop, page) = records::context(&self.shared, record, extension);
            info!(extension, page, "the record is there, after the agent's phone rang");
            records::screen_pop(&self.shared, pop);
        }
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
