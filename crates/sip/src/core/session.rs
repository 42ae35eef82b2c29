//! Session timers (RFC 4028): a dialog whose peer has vanished without BYE ends by itself. What the peer asks for holds; where
//! it asks for none we do, and refresh ourselves where it knows of no timers.

use std::time::{Duration, Instant};

use sipx_sip::TuEvent;
use tracing::info;

use super::transactions::{Purpose, T1, TIMEOUT, TxId};
use super::{Core, Deadline, LegTimer, Phase};
use crate::api::{EndCause, LegId};
use crate::wire::{self, HeaderName, Headers, Method, Response};

/// The shortest interval we take, seconds (RFC 4028 §4).
const MIN_SE: u32 = 90;
/// How often a running timer is looked at.
const LOOK: Duration = Duration::from_secs(32);

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
    /// When it is looked at next.
    wake: Instant,
}

/// The interval to ask for in an INVITE of ours, seconds.
pub(super) fn offered(interval: Duration) -> u32 {
    u32::try_from(interval.as_secs()).unwrap_or(u32::MAX).max(MIN_SE)
}

impl SessionTimer {
    /// The interval agreed, seconds.
    pub fn interval(&self) -> u32 {
        self.interval
    }
}

/// What a request of theirs says of session timers.
pub(super) struct Wish {
    asked: Option<(u32, Option<String>)>,
    understands: bool,
    updates: bool,
}

pub(super) fn wish(request: &Headers) -> Wish {
    Wish { asked: wanted(request), understands: understands(request), updates: allows_update(request) }
}

/// The Min-SE to answer with 422 when the interval asked for is too small and the sender would understand that.
pub(super) fn too_small(headers: &Headers) -> Option<&'static str> {
    let (interval, _) = wanted(headers)?;
    (interval < MIN_SE && understands(headers)).then_some("90")
}

impl Core {
    /// Takes the timer a request of theirs asks for and says so in its 2xx.
    pub(super) fn accept_session_timer(&mut self, now: Instant, leg: LegId, wish: Wish, response: &mut Response) {
        let running = self.legs.get(&leg).and_then(|l| l.timer.as_ref()).map(SessionTimer::interval);
        let own = running.or(self.config.session_expires.map(offered));
        let asked = wish.asked.or_else(|| {
            // RFC 4028 §9: we may ask for a timer that the request does not; where its sender does not know of timers, the
            // refresher can only be us.
            let refresher = if wish.understands { "uac" } else { "uas" };
            Some((own?, Some(refresher.to_owned())))
        });
        let Some((interval, refresher)) = asked else { return };
        let we_refresh = match refresher.as_deref() {
            Some("uas") => true,
            _ => !wish.understands,
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
        let by_update = wish.updates;
        self.set_session_timer(
            now,
            leg,
            SessionTimer { interval, we_refresh, by_update, ends: now, refresh_at: None, wake: now },
        );
    }

    /// Takes the timer a 2xx to a request of ours sets.
    pub(super) fn start_session_timer(&mut self, now: Instant, leg: LegId, response: &Headers) {
        // RFC 4028 §7.2: a 2xx that names no interval comes from a peer that knows of none. We may refresh all the same, and
        // so notice that it is gone.
        let own = || Some((self.config.session_expires.map(offered)?, None));
        let Some((interval, refresher)) = wanted(response).or_else(own) else {
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
            SessionTimer {
                interval: interval.max(MIN_SE),
                we_refresh,
                by_update,
                ends: now,
                refresh_at: None,
                wake: now,
            },
        );
    }

    fn set_session_timer(&mut self, now: Instant, leg: LegId, mut timer: SessionTimer) {
        let interval = Duration::from_secs(u64::from(timer.interval));
        timer.ends = now + interval - (interval / 3).min(Duration::from_secs(32));
        timer.refresh_at = timer.we_refresh.then(|| now + interval / 2);
        if let Some(state) = self.legs.get_mut(&leg) {
            timer.by_update |= state.timer.as_ref().is_some_and(|t| t.by_update);
            state.timer = Some(timer);
        }
        self.watch_session(now, leg);
    }

    /// Sets the next look at the timer: soon enough, and never so far ahead that the deadlines of calls long over pile up.
    fn watch_session(&mut self, now: Instant, leg: LegId) {
        let Some(timer) = self.legs.get_mut(&leg).and_then(|l| l.timer.as_mut()) else { return };
        let next = timer.refresh_at.map_or(timer.ends, |at| at.min(timer.ends));
        timer.wake = next.min(now + LOOK);
        self.timers.set(timer.wake, Deadline::Leg(leg, LegTimer::Session));
    }

    pub(super) fn on_session_timer(&mut self, now: Instant, at: Instant, leg: LegId) {
        let Some(timer) = self.legs.get(&leg).and_then(|l| l.timer.as_ref()).filter(|t| t.wake == at) else { return };
        let (ends, refresh) = (timer.ends, timer.refresh_at.is_some_and(|r| r <= now));
        if ends <= now {
            info!(leg = leg.0, "the session was not refreshed: hanging up");
            let why = Some("SIP;cause=408;text=\"session timer\"".into());
            return self.say_bye(now, leg, why, EndCause::SessionExpired);
        }
        if refresh {
            self.refresh_session(now, leg);
        }
        self.watch_session(now, leg);
    }

    fn refresh_session(&mut self, now: Instant, leg: LegId) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let busy = !matches!(state.phase, Phase::Up)
            || state.reoffer.is_some()
            || state.unacked.is_some()
            || state.refreshing.is_some()
            || state.bye.is_some();
        let Some(timer) = state.timer.as_mut() else { return };
        if busy {
            timer.refresh_at = Some(now + Duration::from_secs(2));
            return;
        }
        timer.refresh_at = None;
        let (interval, by_update) = (timer.interval, timer.by_update);
        let method = if by_update { Method::Update } else { Method::Invite };
        let sdp =
            if by_update { None } else { state.described.as_ref().map(|d| crate::sdp::with_session(d, state.session)) };
        let user = state.user.clone();
        let Some(dialog) = state.dialog.as_mut() else { return };
        let (mut request, flow) = dialog.request(method);
        let ack = (!by_update).then(|| Box::new(dialog.clone()));
        wire::push(&mut request.headers, HeaderName::Contact, Self::contact(&user, flow));
        wire::push(&mut request.headers, HeaderName::Allow, wire::ALLOW);
        wire::push(&mut request.headers, HeaderName::Supported, wire::SUPPORTED_WITHIN);
        wire::push(&mut request.headers, HeaderName::SessionExpires, format!("{interval};refresher=uac"));
        let id = self.send_request(now, request, flow, sdp.as_deref(), Purpose::Refresh(leg, ack));
        if let (Some(state), Some(id)) = (self.legs.get_mut(&leg), id) {
            state.refreshing = Some(id);
            self.timers.set(now + TIMEOUT + T1, Deadline::GiveUp(id));
        }
    }

    /// What came of a refresh or an offer of ours.
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
            self.acknowledge_refresh(id, response);
        }
        let Some(state) = self.legs.get_mut(&leg) else { return };
        if state.refreshing != Some(id) {
            return;
        }
        state.refreshing = None;
        let up = matches!(state.phase, Phase::Up);
        let offered = self.on_offer_event(now, id, leg, code, &event);
        let Some(state) = self.legs.get_mut(&leg) else { return };
        match (event, code) {
            (TuEvent::Response(response), 200..=299) => {
                if let (Some(dialog), true) = (&mut state.dialog, up) {
                    dialog.refresh_target(&response.headers);
                    self.start_session_timer(now, leg, &response.headers);
                }
            }
            (_, 408 | 481) if up => {
                // RFC 3261 §12.2.1.2: the peer has no such dialog any more.
                info!(leg = leg.0, code, "the peer does not know the dialog: hanging up");
                self.say_bye(now, leg, None, EndCause::SessionExpired);
            }
            _ if offered => {}
            _ => {
                // Glare (491) or a refusal: again in a moment, until the session ends by itself.
                let again = now + if code == 491 { self.back_off(leg) } else { Duration::from_secs(10) };
                let Some(state) = self.legs.get_mut(&leg) else { return };
                if let Some(timer) = &mut state.timer {
                    timer.refresh_at = Some(again);
                    self.watch_session(now, leg);
                }
            }
        }
        self.try_offer(now, leg);
    }

    /// A re-INVITE or UPDATE of ours that rang on and on without a final answer.
    pub(super) fn on_refresh_stuck(&mut self, now: Instant, id: TxId, leg: LegId) {
        self.on_refresh_event(now, id, leg, TuEvent::TransportError);
        self.tx.abandon(id);
    }

    /// ACK for the 2xx to a re-INVITE of ours; repeated when the 2xx is, and sent even if the leg is gone meanwhile.
    fn acknowledge_refresh(&mut self, id: TxId, response: &Response) {
        let Some(cseq) = wire::cseq(&response.headers).filter(|c| c.method == Method::Invite) else { return };
        let Some(Purpose::Refresh(_, Some(dialog))) = self.tx.purpose(id) else { return };
        let mut dialog = dialog.clone();
        dialog.refresh_target(&response.headers);
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
    wire::lists(headers, &HeaderName::Supported, "timer") || wire::lists(headers, &HeaderName::Require, "timer")
}

pub(super) fn allows_update(headers: &Headers) -> bool {
    wire::lists(headers, &HeaderName::Allow, "UPDATE")
}
