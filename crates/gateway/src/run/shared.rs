//! What every call's task may use: handles to the rooms, and the look-up tables that bring events to the right task.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use baton_audio::Clip;
use baton_call::LineId;
use baton_call::record::CallRecord;
use baton_call::{Input, Rules};
use baton_crm::{Crm, Numbering, Outbox};
use baton_media::{MediaCommand, MediaEvent, MediaHandle, MediaLeg, Recorded, StereoFrame};
use baton_sip::{LegId, SipCommand, SipEvent, SipHandle};
use baton_speech::{HearEvent, Speech, Spoken};
use baton_store::Store;
use dashmap::DashMap;
use tokio::sync::{broadcast, mpsc};
use tracing::warn;

use super::desk::{self, Desk};
use super::http::page::Pages;
use super::metrics::Metrics;
use super::recordings::Recordings;
use super::traces::Traces;
use crate::config::{Line, Media};

/// What reaches a call's task.
#[derive(Debug)]
pub enum CallEvent {
    Sip(SipEvent),
    Media(MediaEvent),
    Hear(HearEvent),
    /// The voice delivered a part of a line.
    Spoken(LineId, Spoken),
    /// The voice delivered a part of the briefing, while the agent's phone rings.
    Briefing(u64, Spoken),
    /// Somebody else's answer: the CRM's, the desk's.
    Answer(Input),
    /// What the language model answered; none if it was of no use.
    Advice(Option<String>),
    /// A recording's file is made, or cannot be.
    RecordingReady(Result<(String, rtrb::Producer<StereoFrame>), String>),
    /// A recording's file is closed.
    Recorded(Recorded),
    /// The API: the recording hears silence, or sound again.
    PauseRecording(bool),
    /// Second SIGTERM, or the API: end it now.
    End,
}

/// A call task's address. Bounded: what cannot be delivered is counted, never waited for.
#[derive(Clone)]
pub struct Inbox {
    events: mpsc::Sender<CallEvent>,
    lost: Arc<AtomicU64>,
}

impl Inbox {
    pub fn new(metrics: &Metrics) -> (Self, mpsc::Receiver<CallEvent>) {
        let (events, inbox) = mpsc::channel(1024);
        (Self { events, lost: Arc::clone(&metrics.call_events_lost) }, inbox)
    }

    /// Delivers, or hands the event back when the call is over.
    pub fn offer(&self, event: CallEvent) -> Option<CallEvent> {
        match self.events.try_send(event) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(event) | mpsc::error::TrySendError::Closed(event)) => Some(event),
        }
    }

    /// Delivers without waiting. A call that is over takes nothing; a full inbox is a fault, counted and logged.
    pub fn send(&self, event: CallEvent) {
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            warn!(?event, "a call's inbox is full: event dropped");
        }
    }
}

/// Handles to the rooms.
pub struct Shared {
    pub sip: SipHandle,
    pub media: MediaHandle,
    pub speech: Speech,
    pub store: Store,
    pub crm: Arc<dyn Crm>,
    pub outbox: Outbox,
    pub desk: Desk,
    pub hold_music: Clip,
    /// What a caller hears while somebody else is rung for them.
    pub ringback: Clip,
    /// What holds for every call beside its flow: queues, keys, numbers.
    pub rules: Arc<Rules>,
    /// Numbers that are phones of ours.
    pub extensions: BTreeSet<String>,
    /// Trunks that calls can be placed by, in order.
    pub trunks: Vec<String>,
    /// What is spoken with whom.
    pub lines: Media,
    /// Where flows are recorded.
    pub recordings: Option<Recordings>,
    /// The host of our own addresses.
    pub domain: String,
    /// Where agents see a call.
    pub pages: Pages,
    /// How national numbers are read.
    pub numbering: Numbering,
    /// How long after one write of a call's case the next waits for more.
    pub case_pause: Duration,
    pub metrics: Metrics,
    /// Records as they change, for who follows along.
    pub changes: broadcast::Sender<String>,
    /// What callers are saying while they say it, for the same.
    pub words: broadcast::Sender<String>,
    /// SIP leg → the call that owns it.
    pub by_leg: DashMap<LegId, Inbox>,
    /// Media leg → the call that owns it.
    pub by_media: DashMap<MediaLeg, Inbox>,
    /// Live calls, for the API and for the drain.
    pub live: DashMap<String, Inbox>,
    /// Which legs the calls of late had.
    pub traces: Traces,
}

impl Shared {
    /// Orders something of the SIP endpoint.
    pub fn sip_send(&self, command: SipCommand) {
        if let Err(e) = self.sip.send(command) {
            warn!(error = %e, "the SIP endpoint takes no command");
        }
    }

    /// Orders something of a media leg.
    pub fn media_send(&self, leg: MediaLeg, command: MediaCommand) {
        if let Err(e) = self.media.command(leg, command) {
            warn!(?leg, error = %e, "the media plane takes no command");
        }
    }

    /// Tells the agents' desk.
    pub fn tell_desk(&self, request: desk::Request) {
        if let Err(e) = self.desk.try_send(request) {
            warn!(error = %e, "the agents' desk takes no request");
        }
    }
}

impl Shared {
    /// What is spoken with whoever calls by this trunk, or from this extension.
    pub fn line_from(&self, trunk: &str, from: &str) -> &Line {
        self.lines.trunks.get(trunk).unwrap_or_else(|| self.line_of_extension(from))
    }

    /// What is spoken with a phone of ours.
    pub fn line_of_extension(&self, extension: &str) -> &Line {
        self.lines.extensions.get(extension).unwrap_or(&self.lines.line)
    }

    /// What is spoken with whom we call.
    pub fn line_of(&self, way: Option<&Way>, to: &str) -> &Line {
        match way {
            Some(Way::Trunk(trunk)) => self.lines.trunks.get(trunk).unwrap_or(&self.lines.line),
            Some(Way::Extension) => self.line_of_extension(to),
            None => &self.lines.line,
        }
    }
}

/// How somebody is called.
pub enum Way {
    /// A phone that is registered here.
    Extension,
    /// By this trunk.
    Trunk(String),
}

impl Shared {
    /// The way to a number: an extension of ours, else the trunk the call came by, else the first there is.
    pub fn way_to(&self, number: &str, came_by: &str) -> Option<Way> {
        if self.extensions.contains(number) {
            return Some(Way::Extension);
        }
        let trunk = self.trunks.iter().find(|name| *name == came_by).or_else(|| self.trunks.first())?;
        Some(Way::Trunk(trunk.clone()))
    }
}

impl Way {
    /// The INVITE that goes this way.
    pub fn invite(self, leg: LegId, to: &str, record: &CallRecord, sdp: String) -> SipCommand {
        let headers = vec![("X-Baton-Call-ID".to_owned(), record.call_id.clone())];
        match self {
            Self::Extension => SipCommand::Invite {
                leg,
                ext: to.to_owned(),
                from_user: record.from.clone(),
                from_display: None,
                headers,
                sdp,
            },
            Self::Trunk(trunk) => SipCommand::InviteTrunk {
                leg,
                trunk,
                number: to.to_owned(),
                from_user: String::new(),
                from_display: None,
                headers,
                sdp,
            },
        }
    }
}
