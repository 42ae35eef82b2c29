//! Between the rooms: what one calls a thing, said in another's words; and what is written to the CRM.

use std::sync::Arc;

use baton_call::HangUpCause;
use baton_call::record::{CallRecord, MediaStats, RemoteStats};
use baton_crm::PopRequest;
use baton_intake::{Day, ToneReading};
use baton_media::{LegFaults, LegStats};
use baton_sip::{LegId, SipCommand, fields};
use baton_speech::Expected;
use baton_tone::Term;
use tracing::{info, warn};

use super::shared::Shared;

/// A call's id: when, and 48 random bits; sorts by time.
pub fn new_call_id() -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    format!("{now}-{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff)
}

/// The day it is where this gateway stands.
pub fn today() -> Option<Day> {
    let date = jiff::Zoned::now().date();
    Day::new(i32::from(date.year()), u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?)
}

/// What an agent is to see, and where: a page of the system of record, else Baton's own.
pub fn context(shared: &Shared, record: &CallRecord, extension: &str) -> (PopRequest, Option<String>) {
    let request = PopRequest {
        call_id: record.call_id.clone(),
        record_id: record.crm.as_ref().and_then(|crm| crm.record_id.clone()),
        contact: record.contact.as_ref().map(|c| c.id.clone()),
        agent: Some(extension.to_owned()),
    };
    let page = shared.crm.page(&request).or_else(|| shared.pages.of(&record.call_id));
    (request, page)
}

/// Has the agent's screen show the case, where the system of record can.
pub fn screen_pop(shared: &Arc<Shared>, request: PopRequest) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        match shared.crm.screen_pop(&request).await {
            Ok(Some(pop)) => info!(call_id = request.call_id, url = pop.url, native = pop.native, "screen pop"),
            Ok(None) => {}
            Err(e) => warn!(call_id = request.call_id, error = %e, "the agent's screen shows nothing"),
        }
    });
}

/// A leg's figures as the record has them.
pub fn media(stats: &LegStats) -> MediaStats {
    let LegFaults { one_way, silent, unknown_payload_type, not_authentic, flood } = stats.faults;
    let faults = [
        (one_way, "one_way"),
        (silent, "silent"),
        (unknown_payload_type, "unknown_payload_type"),
        (not_authentic, "not_authentic"),
        (flood, "flood"),
    ];
    MediaStats {
        codec: stats.codec.map_or("none", |codec| codec.name()).to_owned(),
        srtp: stats.crypto.map(|suite| suite.name()),
        received: stats.received,
        sent: stats.sent,
        lost: stats.lost,
        late: stats.late,
        concealed: stats.concealed,
        jitter_ms: stats.jitter_ms as f32,
        mos: stats.mos as f32,
        remote: stats.remote.map(|remote| RemoteStats {
            lost: remote.lost,
            jitter_ms: remote.jitter_ms as f32,
            round_trip_ms: remote.round_trip_ms as f32,
            mos: remote.mos.map(|mos| mos as f32),
        }),
        overruns: stats.overruns,
        ticks_late: stats.ticks_late,
        faults: faults.into_iter().filter_map(|(was, name)| was.then_some(name)).collect(),
    }
}

/// How a caller's leg is ended: BYE if it was answered, a refusal before.
pub fn goodbye(leg: LegId, answered: bool, cause: HangUpCause) -> SipCommand {
    let (code, text) = told(cause);
    info!(leg = leg.0, text, "ending a leg");
    if answered {
        SipCommand::Bye { leg, reason: Some(fields::reason(code, text)) }
    } else {
        SipCommand::Reject { leg, code: if code == 200 { 480 } else { code }, reason: Some(text.into()) }
    }
}

/// How a leg that we called is ended: BYE if it was answered, CANCEL before.
pub fn stop_calling(leg: LegId, answered: bool, cause: HangUpCause) -> SipCommand {
    let (code, text) = told(cause);
    info!(leg = leg.0, text, "ending a leg");
    match (answered, cause) {
        (true, _) => SipCommand::Bye { leg, reason: Some(fields::reason(code, text)) },
        (false, HangUpCause::AnsweredElsewhere) => SipCommand::CancelFor { leg, reason: fields::completed_elsewhere() },
        (false, _) => SipCommand::Cancel { leg },
    }
}

fn told(cause: HangUpCause) -> (u16, &'static str) {
    match cause {
        HangUpCause::Normal => (200, "call completed"),
        HangUpCause::OtherSideGone => (200, "the other side hung up"),
        HangUpCause::Declined => (603, "declined"),
        HangUpCause::NoDecision => (603, "no decision after the briefing"),
        HangUpCause::NoMedia => (408, "no RTP received"),
        HangUpCause::AnsweredElsewhere => (200, "answered elsewhere"),
        HangUpCause::Machine => (200, "a machine answered"),
        HangUpCause::PassedOn => (200, "the caller was passed on"),
        HangUpCause::Shutdown => (503, "gateway is ending"),
    }
}

/// Header fields of the agent's INVITE: which case it is, and the page where a screen shows it (RFC 7433, RFC 3261 §20.9); who
/// calls (RFC 3325).
pub fn agent_headers(record: &CallRecord, domain: &str, page: Option<&str>) -> Vec<(String, String)> {
    let page = page.unwrap_or_default();
    let (user, display) = caller_identity(record);
    let mut headers =
        vec![("X-Baton-Call-ID".to_owned(), record.call_id.clone()), fields::user_to_user(&record.call_id, page)];
    if !user.is_empty() {
        headers.push(fields::asserted_identity(&user, domain, display.as_deref()));
    }
    headers.extend(fields::call_info(page, "info"));
    headers
}

/// What the agent's phone shows: the caller, by name if it is known.
pub fn caller_identity(record: &CallRecord) -> (String, Option<String>) {
    let name =
        record.slots.get("name").map(|v| v.value.clone()).or_else(|| record.contact.as_ref().map(|c| c.name.clone()));
    (record.from.clone(), name)
}

/// How something was said, on the steps of the flow. What the words themselves complain of the conversation hears by itself.
pub fn tone(config: &baton_tone::Config, steps: [f32; 3], reading: &baton_tone::Reading) -> ToneReading {
    let by_itself = |term| matches!(term, Term::Complaint | Term::Profanity);
    let (why, plain) = reading
        .why
        .iter()
        .filter(|reason| !by_itself(reason.term))
        .map(|reason| (reason.words.clone(), reason.plain.clone()))
        .unzip();
    let on_steps = |score| config.levels.on_steps(score, steps);
    ToneReading { score: on_steps(reading.score), peak: on_steps(reading.peak), why, plain }
}

/// The conversation's word for what comes next, as endpointing knows it.
pub fn expected(expected: baton_intake::Expected) -> Expected {
    match expected {
        baton_intake::Expected::YesNo => Expected::YesNo,
        baton_intake::Expected::Number(n) => Expected::Digits(n),
        baton_intake::Expected::Name => Expected::Name,
        _ => Expected::Anything,
    }
}
