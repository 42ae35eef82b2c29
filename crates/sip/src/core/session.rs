//! Session timers (RFC 4028): a dialog whose peer has vanished without BYE ends by itself. We take part where the peer
//! asks for it; whoever it names refreshes.

use std::time::{Duration, Instant};

use sipx_sip::TuEvent;
use tracing::info;

use super::transactions::{Purpose, TxId};
use super::{Core, Deadline, LegTimer, Phase};
use crate::api::{EndCause, LegId};
use crate::wire::{self, HeaderName, Headers, Method, Response};

/// The shortest interval we take, seconds (RFC 4028 §4).
const MIN_SE: u32 = 90;

/// A dialog's session timer.
#[derive(Debug, Clone)]
pub(super) struct SessionTimer {
    interval: u32,
    we_refresh: bool,
    /// The peer lists UPDATE in Allow: refreshing needs no offer.
    by_update: bool,
    /// When it ends unless refreshed.
    ends: Instant,
    refresh_at: Option<Instant>,
}

/// The Min-SE to answer with 422 when the interval asked for is too small and the sender would understand that.
pub(super) fn too_small(headers: &Headers) -> Option<&'static str> {
    let (interval, _) = wanted(headers)?;
    (interval < MIN_SE && understands(headers)).then_some("90")
}

impl Core {
    /// Takes the timer a request of theirs asks for and says so in its 2xx.
    pub(super) fn accept_session_timer(
        &mut self,
        now: Instant,
        leg: LegId,
        request: &Headers,
        response: &mut Response,
    ) {
        let Some((interval, refresher)) = wanted(request) else {
            if let Some(state) = self.legs.get_mut(&leg) {
                state.timer = None;
            }
            return;
        };
        let we_refresh = match refresher.as_deref() {
            Some("uas") => true,
            _ => !understands(request),
        };
        let interval = interval.max(MIN_SE);
        wire::push(
            &mut response.headers,
            HeaderName::SessionExpires,
            format!("{interval};refresher={}", if we_refresh { "uas" } else { "uac" }),
        );
        if !we_refresh {
            wire::push(&mut response.headers, HeaderName::Require, "timer"); // RFC 4028 §9
        }
        let by_update = allows_update(request);
        self.set_session_timer(now, leg, SessionTimer { interval, we_refresh, by_update, ends: now, refresh_at: None });
    }

    /// Takes the timer a 2xx to a request of ours sets.
    pub(super) fn start_session_timer(&mut self, now: Instant, leg: LegId, response: &Headers) {
        let Some((interval, refresher)) = wanted(response) else {
            // RFC 4028 §7.2: a 2xx that names no interval ends the timer, not the session.
            if let Some(state) = self.legs.get_mut(&leg) {
                state.timer = None;
            }
            return;
        };
        let we_refresh = refresher.as_deref() != Some("uas");
        let by_update = allows_update(response);
        self.set_session_timer(
            now,
            leg,
            SessionTimer { interval: interval.max(MIN_SE), we_refresh, by_update, ends: now, refresh_at: None },
        );
    }

    fn set_session_timer(&mut self, now: Instant, leg: LegId, mut timer: SessionTimer) {
        let interval = Duration::from_secs(u64::from(timer.interval));
        timer.ends = now + interval - (interval / 3).min(Duration::from_secs(32));
        timer.refresh_at = timer.we_refresh.then(|| now + interval / 2);
        self.timers.set(timer.ends, Deadline::Leg(leg, LegTimer::SessionEnd));
        if let Some(at) = timer.refresh_at {
            self.timers.set(at, Deadline::Leg(leg, LegTimer::Refresh));
        }
        if let Some(state) = self.legs.get_mut(&leg) {
            timer.by_update |= state.timer.as_ref().is_some_and(|t| t.by_update);
            state.timer = Some(timer);
        }
    }

    pub(super) fn on_session_end(&mut self, now: Instant, at: Instant, leg: LegId) {
        if self.legs.get(&leg).and_then(|l| l.timer.as_ref()).is_some_and(|t| t.ends == at) {
            info!(leg = leg.0, "the session was not refreshed: hanging up");
            self.say_bye(now, leg, Some("SIP;cause=408;text=\"session timer\"".into()), EndCause::SessionExpired);
        }
    }

    pub(super) fn on_refresh_timer(&mut self, now: Instant, at: Instant, leg: LegId) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let busy = !matches!(state.phase, Phase::Up)
            || state.reoffer.is_some()
            || state.unacked.is_some()
            || state.refreshing.is_some();
        let Some(timer) = state.timer.as_mut().filter(|t| t.refresh_at == Some(at)) else { return };
        if busy {
            let later = now + Duration::from_secs(2);
            timer.refresh_at = Some(later);
            return self.timers.set(later, Deadline::Leg(leg, LegTimer::Refresh));
        }
        let (interval, by_update) = (timer.interval, timer.by_update);
        let method = if by_update { Method::Update } else { Method::Invite };
        let sdp =
            if by_update { None } else { state.described.as_ref().map(|d| crate::sdp::with_session(d, state.session)) };
        let user = state.user.clone();
        let Some(dialog) = state.dialog.as_mut() else { return };
        let (mut request, flow) = dialog.request(method);
        wire::push(&mut request.headers, HeaderName::Contact, Self::contact(&user, flow));
        wire::push(&mut request.headers, HeaderName::Allow, wire::ALLOW);
        wire::push(&mut request.headers, HeaderName::Supported, wire::SUPPORTED);
        wire::push(&mut request.headers, HeaderName::SessionExpires, format!("{interval};refresher=uac"));
        let id = self.send_request(now, request, flow, sdp.as_deref(), Purpose::Refresh(leg));
        if let Some(state) = self.legs.get_mut(&leg) {
            state.refreshing = id;
        }
    }

    /// What came of a refresh of ours.
    pub(super) fn on_refresh_event(&mut self, now: Instant, id: TxId, leg: LegId, event: TuEvent) {
        let code = match &event {
            TuEvent::Response(response) => response.status.code(),
            TuEvent::Timeout => 408,
            TuEvent::TransportError => 503,
            _ => return,
        };
        if code < 200 {
            return;
        }
        if let (TuEvent::Response(response), 200..=299) = (&event, code) {
            self.acknowledge_refresh(leg, response);
        }
        let Some(state) = self.legs.get_mut(&leg) else { return };
        if state.refreshing != Some(id) {
            return;
        }
        state.refreshing = None;
        match (event, code) {
            (TuEvent::Response(response), 200..=299) => {
                if let Some(dialog) = &mut state.dialog {
                    dialog.refresh_target(&response.headers);
                }
                self.start_session_timer(now, leg, &response.headers);
            }
            (_, 408 | 481) => {
                // RFC 3261 §12.2.1.2: the peer has no such dialog any more.
                info!(leg = leg.0, code, "the peer does not know the dialog: hanging up");
                self.say_bye(now, leg, None, EndCause::SessionExpired);
            }
            _ => {
                // Glare (491) or a refusal: again in a moment, until the session ends by itself.
                let again = now + Duration::from_millis(if code == 491 { 1_000 } else { 10_000 });
                if let Some(timer) = &mut state.timer {
                    timer.refresh_at = Some(again);
                    self.timers.set(again, Deadline::Leg(leg, LegTimer::Refresh));
                }
            }
        }
    }

    /// ACK for the 2xx to a re-INVITE of ours; repeated when the 2xx is.
    fn acknowledge_refresh(&mut self, leg: LegId, response: &Response) {
        let Some(cseq) = wire::cseq(&response.headers).filter(|c| c.method == Method::Invite) else { return };
        let Some(dialog) = self.legs.get(&leg).and_then(|l| l.dialog.clone()) else { return };
        let (flow, bytes) = self.ack(&dialog, cseq.sequence);
        self.send_bytes(flow, bytes);
    }
}

/// Session-Expires: seconds and refresher.
fn wanted(headers: &Headers) -> Option<(u32, Option<String>)> {
    let text = wire::text(headers, &HeaderName::SessionExpires)?;
    let mut parts = text.split(';').map(str::trim);
    let interval = parts.next()?.parse().ok()?;
    let refresher = parts.find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim().eq_ignore_ascii_case("refresher").then(|| value.trim().to_ascii_lowercase())
    });
    Some((interval, refresher))
}

fn understands(headers: &Headers) -> bool {
    lists(headers, &HeaderName::Supported, "timer") || lists(headers, &HeaderName::Require, "timer")
}

fn allows_update(headers: &Headers) -> bool {
    lists(headers, &HeaderName::Allow, "UPDATE")
}

fn lists(headers: &Headers, name: &HeaderName, token: &str) -> bool {
    wire::rows(headers, name).iter().flat_map(|row| row.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
}
