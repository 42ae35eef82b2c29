//! The recording of a call's sound: it begins where the flow's consent is there, is paused when somebody asks for that, and
//! its end goes into the record. A disk that is slow or full costs the recording, never the call.

use std::time::Duration;

use baton_call::{Input, Recording};
use baton_media::{MediaCommand, Recorded, StereoFrame};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::super::shared::CallEvent;
use super::Task;
use crate::config::Consent;

/// How long the end of a call waits for the end of its recording.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How far it is.
#[derive(Default)]
pub(super) enum Tape {
    #[default]
    Idle,
    /// Its file is being made.
    Asked,
    /// Into this file.
    Running { file: String, paused: bool },
    /// It has failed, and is not tried again.
    Failed,
}

impl Task {
    /// Begins or ends the recording as the consent that is there demands.
    pub(super) fn mind_recording(&mut self) {
        let Some(recordings) = &self.shared.recordings else { return };
        let record = self.call.record();
        let agreed = match recordings.consent(&record.flow) {
            None => return,
            Some(Consent::Announced) => true,
            Some(Consent::Slot(name)) => record.slots.get(name).is_some_and(|slot| slot.value == "yes"),
        };
        match &self.tape {
            Tape::Idle if agreed && self.legs.caller.answered && !self.over => {
                recordings.begin(&record.call_id, record.recordings.len(), &self.inbox);
                self.tape = Tape::Asked;
            }
            Tape::Running { file, .. } if !agreed => {
                info!(file, "the caller agrees to being recorded no more");
                self.media(self.legs.caller.media, MediaCommand::Record { to: None });
                self.tape = Tape::Idle;
            }
            _ => {}
        }
    }

    /// The file is there, or cannot be.
    pub(super) fn recording_ready(&mut self, ready: Result<(String, rtrb::Producer<StereoFrame>), String>) {
        match ready {
            Ok((file, to)) => {
                info!(file, "recording");
                self.media(self.legs.caller.media, MediaCommand::PauseRecording(false));
                self.media(self.legs.caller.media, MediaCommand::Record { to: Some(to) });
                self.tape = Tape::Running { file: file.clone(), paused: false };
                self.feed(Input::Recording(Recording::Began { file }));
            }
            Err(why) => {
                warn!(why, "the call goes on unrecorded");
                self.shared.metrics.recording_failed();
                self.tape = Tape::Failed;
            }
        }
    }

    /// A file is closed.
    pub(super) fn recorded(&mut self, recorded: Recorded) {
        let file = recorded.path.display().to_string();
        let fault = recorded.fault.map(|e| e.to_string());
        if let Some(why) = &fault {
            warn!(file, why, "the recording is not whole");
            self.shared.metrics.recording_failed();
        }
        if matches!(&self.tape, Tape::Running { file: current, .. } if *current == file) {
            self.tape = if fault.is_some() { Tape::Failed } else { Tape::Idle };
        }
        self.feed(Input::Recording(Recording::Ended { file, duration: recorded.duration, fault }));
    }

    /// Silence in place of sound, or sound again.
    pub(super) fn pause_recording(&mut self, on: bool) {
        let Tape::Running { file, paused } = &mut self.tape else { return };
        if std::mem::replace(paused, on) == on {
            return;
        }
        info!(file, on, "recording paused");
        self.media(self.legs.caller.media, MediaCommand::PauseRecording(on));
        if on {
            self.feed(Input::Recording(Recording::Paused));
        }
    }

    /// The caller's port is closed: waits for the recording's end. What else came meanwhile comes back.
    pub(super) async fn end_recording(&mut self, events: &mut mpsc::Receiver<CallEvent>) -> Vec<CallEvent> {
        let (deadline, mut others) = (Instant::now() + LAST_WORDS, Vec::new());
        while matches!(self.tape, Tape::Asked | Tape::Running { .. }) {
            match timeout_at(deadline, events.recv()).await {
                Ok(Some(CallEvent::Recorded(recorded))) => self.recorded(recorded),
                // Too late: what hears nothing ends at once.
                Ok(Some(CallEvent::RecordingReady(ready))) => self.recording_ready(ready),
                Ok(Some(other)) => others.push(other),
                Ok(None) => break,
                Err(_) => {
                    warn!("the recording does not end: its disk does not answer");
                    break;
                }
            }
        }
        others
    }
}
