//! What came out of a drill: raw material (samples, packets, moments) and the figures drawn from it.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use crate::call::{Call, Incoming};
use crate::dial::EndedBy;
use crate::heard::{Heard, RtpStats};
use crate::measure::{correlation, first_relayed};
use crate::media::{Media, Sent};
use crate::script::{CallerScript, Expect};

/// Everything a drill saw.
#[derive(Debug)]
pub struct DrillReport {
    /// One per caller, in the order of the spec.
    pub callers: Vec<CallerReport>,
    /// One per agent, in the order of the spec.
    pub agents: Vec<AgentReport>,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What, in words.
    pub what: String,
}

/// How soon the other side answered an utterance: ms from the end of its sound.
#[derive(Clone, Debug, Serialize)]
pub struct Reply {
    /// The utterance, or the digits.
    pub said: String,
    /// First packet that is more than digital silence. Negative pauses do not occur: it starts to count at the end.
    pub first_packet_ms: Option<f64>,
    /// First packet as loud as speech.
    pub first_voiced_ms: Option<f64>,
}

/// One caller's call.
#[derive(Debug)]
pub struct CallerReport {
    /// Name of the script.
    pub name: String,
    /// Its expectations, as they stand in the script.
    pub expect: Expect,
    /// Call-ID.
    pub call_id: String,
    /// INVITE sent.
    pub invited: Instant,
    /// The same moment, RFC 3339.
    pub started_at: String,
    /// Final SIP status of the INVITE; 0 when none came.
    pub code: u16,
    /// 2xx received.
    pub answered: Option<Instant>,
    /// End of the call.
    pub ended: Option<Instant>,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What was said, each with the end of its sound.
    pub said: Vec<Event>,
    /// How soon each was answered.
    pub replies: Vec<Reply>,
    /// An agent accepted this caller.
    pub joined: Option<Instant>,
    /// What it heard.
    pub heard: Heard,
    /// What it sent.
    pub sent: Sent,
    /// The hand-over to the agent who accepted, if it came to that.
    pub hand: Option<Hand>,
}

/// Figures of one warm transfer, as seen on the wire by both phones.
#[derive(Clone, Debug, Serialize)]
pub struct Hand {
    /// Extension that accepted.
    pub extension: String,
    /// End of the caller's last utterance before the ring → the agent's INVITE arrives, ms.
    pub said_to_ring_ms: Option<f64>,
    /// Agent's 200 → first packet of the briefing that is more than digital silence, ms.
    pub answer_to_briefing_ms: Option<f64>,
    /// Join → the later of the two sides' first live packet at the other, ms. Towards the agent it counts from the
    /// accepting digit's first packet; towards the caller from the agent's first audio packet after it, since a phone
    /// sends no audio while a key is down. `None` when a transcoder makes packets unrecognisable.
    pub accept_to_two_way_ms: Option<f64>,
    /// Caller's voice after the join as the agent heard it: [`correlation`]; `None` when nothing was said.
    pub caller_to_agent: Option<f32>,
    /// Agent's voice after the join as the caller heard it.
    pub agent_to_caller: Option<f32>,
}

/// One agent's drill.
#[derive(Debug)]
pub struct AgentReport {
    /// Extension.
    pub extension: String,
    /// Calls that rang, in order.
    pub calls: Vec<AgentCall>,
}

/// One call to an agent.
#[derive(Debug)]
pub struct AgentCall {
    /// Index of the caller, when the calling number told.
    pub caller: Option<usize>,
    /// Calling number and name that the phone showed.
    pub from_user: String,
    /// Display name that the phone showed.
    pub from_display: Option<String>,
    /// The INVITE, as text.
    pub invite: String,
    /// INVITE received.
    pub rang: Instant,
    /// 200 sent.
    pub answered: Option<Instant>,
    /// Accepted: the digit's first packet, or the end of the briefing.
    pub joined: Option<Instant>,
    /// End of the call.
    pub ended: Option<Instant>,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What it heard and sent; `None` when it was not answered.
    pub audio: Option<(Heard, Sent)>,
}

/// The figures of one caller's call, for tables and JSON. Times in ms since the INVITE unless the name says otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct CallerFigures {
    /// Name of the script.
    pub name: String,
    /// Call-ID.
    pub call_id: String,
    /// RFC 3339.
    pub started_at: String,
    /// Final SIP status.
    pub code: u16,
    /// 2xx.
    pub answered_ms: Option<f64>,
    /// From the answer to the first packet of the greeting that is more than digital silence.
    pub answer_to_greeting_ms: Option<f64>,
    /// End.
    pub ended_ms: Option<f64>,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// How soon each utterance was answered.
    pub replies: Vec<Reply>,
    /// The transfer.
    pub hand: Option<Hand>,
    /// Caller's RTP.
    pub rtp: RtpStats,
    /// What happened, in order.
    pub timeline: Vec<(f64, String)>,
}

impl DrillReport {
    pub(super) fn assemble(callers: Vec<CallerReport>, agents: Vec<AgentReport>) -> Self {
        let mut report = Self { callers, agents };
        for index in 0..report.callers.len() {
            report.callers[index].hand = report.accepted(index).map(|(extension, call)| {
                let mut hand = report.callers[index].hand_over(call);
                hand.extension = extension.to_owned();
                hand
            });
        }
        report
    }

    /// The agent's call that was joined with this caller.
    pub fn accepted(&self, caller: usize) -> Option<(&str, &AgentCall)> {
        let mut calls = self.agents.iter().flat_map(|a| a.calls.iter().map(move |c| (a.extension.as_str(), c)));
        calls.find(|(_, c)| c.caller == Some(caller) && c.joined.is_some())
    }
}

impl CallerReport {
    pub(super) fn new(script: &CallerScript, call: &Call) -> Self {
        let now = Instant::now();
        let empty = Sent { samples: Vec::new(), packets: Vec::new(), played: Vec::new(), digits: Vec::new() };
        Self {
            name: script.name.clone(),
            expect: script.expect.clone(),
            call_id: call.call_id().to_owned(),
            invited: call.invited,
            started_at: jiff::Timestamp::now().to_string(),
            code: 0,
            answered: None,
            ended: None,
            ended_by: EndedBy::Nobody,
            events: Vec::new(),
            said: Vec::new(),
            replies: Vec::new(),
            joined: None,
            heard: Heard::new(now),
            sent: empty,
            hand: None,
        }
    }

    pub(super) fn note(&mut self, at: Instant, what: impl Into<String>) {
        self.events.push(Event { at, what: what.into() });
    }

    pub(super) fn finish(&mut self, media: &Media, joined: Option<Instant>) {
        (self.heard, self.sent, self.joined) = (media.heard(), media.sent(), joined);
        self.events.extend(self.said.iter().map(|s| Event { at: s.at, what: format!("said: {}", s.what) }));
        self.events.extend(heard_events(&self.heard));
        self.events.sort_by_key(|e| e.at);
    }

    /// Writes what it heard as WAV, 8 kHz, from the answer on.
    pub fn write_heard(&self, path: &Path) -> std::io::Result<()> {
        let samples = self.answered.map_or(&[][..], |at| self.heard.since(at));
        baton_audio::write_wav(path, samples, baton_audio::RATE)
    }

    /// The figures.
    pub fn figures(&self) -> CallerFigures {
        let ms = |at: Instant| at.saturating_duration_since(self.invited).as_secs_f64() * 1_000.0;
        let greeting = self.answered.and_then(|a| Some((a, self.heard.sound_after(a)?)));
        CallerFigures {
            name: self.name.clone(),
            call_id: self.call_id.clone(),
            started_at: self.started_at.clone(),
            code: self.code,
            answered_ms: self.answered.map(ms),
            answer_to_greeting_ms: greeting.map(|(a, g)| between(a, g)),
            ended_ms: self.ended.map(ms),
            ended_by: self.ended_by,
            replies: self.replies.clone(),
            hand: self.hand.clone(),
            rtp: self.heard.stats,
            timeline: self.events.iter().map(|e| (ms(e.at), e.what.clone())).collect(),
        }
    }

    fn hand_over(&self, agent: &AgentCall) -> Hand {
        let mut hand = Hand {
            extension: String::new(),
            said_to_ring_ms: self.said.iter().rev().find(|s| s.at <= agent.rang).map(|s| between(s.at, agent.rang)),
            answer_to_briefing_ms: None,
            accept_to_two_way_ms: None,
            caller_to_agent: None,
            agent_to_caller: None,
        };
        let (Some((heard, sent)), Some(joined)) = (&agent.audio, agent.joined) else { return hand };
        let briefing = agent.answered.and_then(|a| Some(between(a, heard.sound_after(a)?)));
        hand.answer_to_briefing_ms = briefing;
        let there = first_relayed(&self.sent, heard, joined);
        let back = first_relayed(sent, &self.heard, joined);
        let spoke = sent.packets.iter().find(|p| p.at >= joined).map_or(joined, |p| p.at);
        hand.accept_to_two_way_ms = there.zip(back).map(|(a, b)| between(joined, a).max(between(spoke, b)));
        hand.caller_to_agent = spoken_since(&self.sent, joined).map(|clip| correlation(clip, heard.since(joined)));
        hand.agent_to_caller = spoken_since(sent, joined).map(|clip| correlation(clip, self.heard.since(joined)));
        hand
    }
}

impl AgentCall {
    pub(super) fn new(incoming: &Incoming, caller: Option<usize>, rang: Instant) -> Self {
        Self {
            caller,
            from_user: incoming.from_user.clone(),
            from_display: incoming.from_display.clone(),
            invite: incoming.invite.clone(),
            rang,
            answered: None,
            joined: None,
            ended: None,
            ended_by: EndedBy::Nobody,
            events: vec![Event { at: rang, what: "rings".into() }],
            audio: None,
        }
    }

    pub(super) fn note(&mut self, at: Instant, what: impl Into<String>) {
        self.events.push(Event { at, what: what.into() });
    }

    pub(super) fn finish(&mut self, media: &Media) {
        let (heard, sent) = (media.heard(), media.sent());
        self.events.extend(heard_events(&heard));
        self.events.sort_by_key(|e| e.at);
        self.audio = Some((heard, sent));
    }

    /// Writes what it heard as WAV, 8 kHz, from its answer on; nothing when it did not answer.
    pub fn write_heard(&self, path: &Path) -> std::io::Result<()> {
        let samples = match (&self.audio, self.answered) {
            (Some((heard, _)), Some(at)) => heard.since(at),
            _ => &[],
        };
        baton_audio::write_wav(path, samples, baton_audio::RATE)
    }
}

/// The samples of the first clip that began after `from`, as sent; for correlation.
fn spoken_since(sent: &Sent, from: Instant) -> Option<&[i16]> {
    let played = sent.played.iter().find(|p| p.start >= from)?;
    let first = sent.packets.iter().find(|p| p.at >= played.start)?;
    let len = (played.end.saturating_duration_since(played.start).as_micros() / 125) as usize;
    sent.samples.get(first.position..(first.position + len).min(sent.samples.len()))
}

fn heard_events(heard: &Heard) -> Vec<Event> {
    let spell = |s: &crate::heard::Spell| {
        [Event { at: s.start, what: "hears sound".into() }, Event { at: s.end, what: "hears it stop".into() }]
    };
    let mut events: Vec<Event> = heard.spells.iter().flat_map(spell).collect();
    events.extend(heard.first_packet().map(|at| Event { at, what: "first packet".into() }));
    events.extend(heard.digits.iter().map(|(d, at)| Event { at: *at, what: format!("hears digit {d}") }));
    events
}

fn between(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1_000.0
}
