//! REFER (RFC 3515): the peer's, which the house accepts or refuses and reports on by NOTIFY, and ours, whose NOTIFYs tell how
//! it goes. Also which of our dialogs a Replaces means (RFC 3891).
//!
//! 202 says that somebody will try, never that it worked. The subscription a REFER makes lives beside the call in one dialog
//! (RFC 5057) and outlives it: a phone that hangs up once it has asked is told all the same.

use std::time::{Duration, Instant};

use sipx_sip::{Scheme, TuEvent};
use tracing::{debug, info};

use super::dialog::Dialog;
use super::transactions::{Purpose, TIMEOUT, TxId};
use super::{Core, Deadline, LegTimer, Phase};
use crate::api::{LegId, SipEvent};
use crate::details::{self, ReferId, ReferStep, Replaces};
use crate::fields::{escape_header, escape_user};
use crate::flow::Flow;
use crate::wire::{self, HeaderName, Method, Request};

/// How long the house may think before a REFER is refused.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a REFER's call may take: what its subscription is granted.
const GRANTED: Duration = Duration::from_secs(180);
/// At most this many REFERs of one leg are open.
const OPEN: usize = 4;

/// A REFER of the peer's.
#[derive(Debug)]
pub(super) struct Referral {
    leg: LegId,
    /// Its CSeq: the id of its subscription.
    id: u32,
    /// Not answered yet.
    asked: Option<TxId>,
    /// The dialog, once the leg is gone.
    dialog: Option<Dialog>,
    /// User part of our Contact.
    user: String,
    /// The peer wants no NOTIFY (RFC 4488).
    silent: bool,
    ends: Instant,
    /// A NOTIFY on its way, and what the next one says: the latest only.
    notifying: Option<TxId>,
    next: Option<Status>,
}

#[derive(Debug, Clone)]
struct Status {
    code: u16,
    reason: String,
    state: &'static str,
}

/// A REFER of ours.
#[derive(Debug)]
pub(super) struct Referring {
    tx: TxId,
    id: u32,
    gives_up: Option<Instant>,
}

/// Where NOTIFYs still come in for a leg that is gone.
#[derive(Debug)]
pub(super) struct Afterlife {
    call_id: String,
    remote_tag: String,
}

/// The peer's.
impl Core {
    pub(super) fn on_refer(&mut self, now: Instant, leg: LegId, tx: TxId, request: &Request) {
        let Some(state) = self.legs.get(&leg) else { return };
        if !matches!(state.phase, Phase::Up) {
            return self.finish_within(now, tx, request, 403, &[]);
        }
        let mut target = match details::refer_target(&request.headers) {
            Ok(target) => target,
            Err(why) => {
                info!(leg = leg.0, why, "REFER refused");
                return self.finish_within(now, tx, request, 400, &[]);
            }
        };
        let scheme = wire::Uri::parse(target.uri.clone().into()).map(|uri| uri.scheme().clone());
        if !scheme.is_ok_and(|s| s.is_sip() || matches!(s, Scheme::Tel)) {
            return self.finish_within(now, tx, request, 416, &[]);
        }
        if self.referrals.values().filter(|r| r.leg == leg).count() >= OPEN {
            return self.finish_within(now, tx, request, 500, &[(HeaderName::RetryAfter, "10")]);
        }
        let user = state.user.clone();
        target.leg = target.replaces.as_ref().and_then(|r| self.replaced(r).ok());
        self.last_refer += 1;
        let refer = ReferId(self.last_refer);
        let silent = wire::text(&request.headers, &HeaderName::ReferSub).is_some_and(|v| v.trim().starts_with("false"));
        let id = wire::cseq(&request.headers).map_or(0, |c| c.sequence);
        let ends = now + PATIENCE;
        self.timers.set(ends, Deadline::Refer(refer));
        let (asked, dialog, notifying, next) = (Some(tx), None, None, None);
        self.referrals.insert(refer, Referral { leg, id, asked, dialog, user, silent, ends, notifying, next });
        let referred_by = wire::text(&request.headers, &HeaderName::ReferredBy);
        self.events.push_back(SipEvent::Refer { leg, refer, target: Box::new(target), referred_by });
    }

    pub(super) fn accept_refer(&mut self, now: Instant, refer: ReferId) {
        let Some(referral) = self.referrals.get_mut(&refer) else { return debug!("no such REFER") };
        let Some(tx) = referral.asked.take() else { return debug!("this REFER was answered already") };
        let (silent, user) = (referral.silent, referral.user.clone());
        referral.ends = now + GRANTED;
        self.timers.set(referral.ends, Deadline::Refer(refer));
        let Some(request) = self.tx.pending_request(tx).cloned() else { return };
        let Some(mut response) = self.answer_within(tx, &user, &request, 202) else { return };
        if silent {
            wire::push(&mut response.headers, HeaderName::ReferSub, "false");
        }
        wire::finish(&mut response.headers, None);
        self.respond(now, tx, Some(response));
        self.tell(now, refer, Status { code: 100, reason: "Trying".into(), state: "active" });
    }

    pub(super) fn reject_refer(&mut self, now: Instant, refer: ReferId, code: u16) {
        let Some(tx) = self.referrals.get_mut(&refer).and_then(|r| r.asked.take()) else { return };
        self.referrals.remove(&refer);
        if let Some(request) = self.tx.pending_request(tx).cloned() {
            self.finish_within(now, tx, &request, if (400..700).contains(&code) { code } else { 603 }, &[]);
        }
    }

    pub(super) fn refer_status(&mut self, now: Instant, refer: ReferId, code: u16, reason: Option<String>) {
        let code = if (100..700).contains(&code) { code } else { 500 };
        let reason = reason.unwrap_or_else(|| wire::reason_phrase(code).to_owned());
        let reason = reason.replace(|c: char| c.is_control(), " ");
        let state = if code >= 200 { "noresource" } else { "active" };
        self.tell(now, refer, Status { code, reason, state });
    }

    /// NOTIFY, or once the one before is answered.
    fn tell(&mut self, now: Instant, refer: ReferId, status: Status) {
        let Some(referral) = self.referrals.get_mut(&refer).filter(|r| r.asked.is_none()) else {
            return debug!("no such REFER is open");
        };
        if referral.silent {
            if status.code >= 200 {
                self.referrals.remove(&refer);
            }
            return;
        }
        if referral.next.as_ref().is_some_and(|n| n.code >= 200) {
            return debug!("this REFER's call has ended already");
        }
        referral.next = Some(status);
        self.next_notify(now, refer);
    }

    fn next_notify(&mut self, now: Instant, refer: ReferId) {
        let Some(referral) = self.referrals.get_mut(&refer).filter(|r| r.notifying.is_none()) else { return };
        let Some(status) = referral.next.take() else { return };
        let live = self.legs.get_mut(&referral.leg).and_then(|l| l.dialog.as_mut());
        let Some(dialog) = live.or(referral.dialog.as_mut()) else { return };
        let (mut notify, flow) = dialog.request(Method::Notify);
        let headers = &mut notify.headers;
        wire::push(headers, HeaderName::Contact, Self::contact(&referral.user, flow));
        wire::push(headers, HeaderName::Event, format!("refer;id={}", referral.id));
        let state = match status.state {
            "active" => format!("active;expires={}", referral.ends.saturating_duration_since(now).as_secs()),
            over => format!("terminated;reason={over}"),
        };
        wire::push(headers, HeaderName::SubscriptionState, state);
        let body = format!("SIP/2.0 {} {}\r\n", status.code, status.reason);
        let body = ("message/sipfrag;version=2.0", body);
        let tx = self.send_with(now, notify, flow, Some(body), Purpose::Notify(refer));
        if let Some(referral) = self.referrals.get_mut(&refer) {
            referral.notifying = tx;
        }
        if status.code >= 200 {
            self.referrals.remove(&refer);
        }
    }

    pub(super) fn on_notify_event(&mut self, now: Instant, refer: ReferId, event: &TuEvent) {
        let code = match event {
            TuEvent::Response(response) => response.status.code(),
            TuEvent::Timeout | TuEvent::TransportError => 408,
            _ => return,
        };
        let Some(referral) = self.referrals.get_mut(&refer) else { return };
        match code {
            100..=199 => {}
            // RFC 6665 §4.2.2: nobody listens any more.
            408 | 481 => drop(self.referrals.remove(&refer)),
            _ => {
                referral.notifying = None;
                self.next_notify(now, refer);
            }
        }
    }

    pub(super) fn on_refer_timer(&mut self, now: Instant, at: Instant, refer: ReferId) {
        let Some(referral) = self.referrals.get_mut(&refer).filter(|r| r.ends == at) else { return };
        if referral.asked.is_some() {
            info!(leg = referral.leg.0, "nobody dealt with the REFER: refused");
            return self.reject_refer(now, refer, 603);
        }
        referral.notifying = None;
        self.tell(now, refer, Status { code: 408, reason: "Request Timeout".into(), state: "timeout" });
        self.referrals.remove(&refer);
    }

    /// The leg is gone; its subscriptions go on in a dialog of their own.
    pub(super) fn outlive(&mut self, now: Instant, leg: LegId, dialog: &Dialog, referring: bool) {
        for referral in self.referrals.values_mut().filter(|r| r.leg == leg) {
            let mut dialog = dialog.clone();
            dialog.local_cseq += 1; // the BYE's
            referral.dialog = Some(dialog);
        }
        if referring {
            self.events.push_back(SipEvent::Referral { leg, step: ReferStep::Unknown });
            let (call_id, remote_tag) = (dialog.call_id.clone(), dialog.remote_tag.clone());
            self.afterlife.insert(dialog.local_tag.clone(), Afterlife { call_id, remote_tag });
            self.timers.set(now + TIMEOUT, Deadline::Afterlife(dialog.local_tag.as_str().into()));
        }
    }

    /// The leg of ours a Replaces means, or the status of RFC 3891 §3.
    pub(super) fn replaced(&mut self, replaces: &Replaces) -> Result<LegId, u16> {
        let Replaces { call_id, to_tag, from_tag, early_only } = replaces;
        let leg = *self.dialogs.get(to_tag).ok_or(481u16)?;
        let from_tag = if from_tag == "0" { "" } else { from_tag };
        let (dialog, up) = self.dialog_of(leg, to_tag, from_tag).ok_or(481u16)?;
        let known = dialog.call_id == *call_id;
        let rings_here = self.legs.get(&leg).is_none_or(|l| matches!(l.phase, Phase::Incoming { .. }));
        match (known, up) {
            (false, _) => Err(481),
            (true, true) if *early_only => Err(486),
            // An early dialog may be replaced by who began it alone, and that is not the sender where it rings at our end.
            (true, false) if rings_here => Err(481),
            (true, _) => Ok(leg),
        }
    }
}

/// Ours.
impl Core {
    pub(super) fn refer(
        &mut self,
        now: Instant,
        leg: LegId,
        to: &str,
        replaces: Option<LegId>,
        referred_by: Option<String>,
    ) {
        let other = replaces.and_then(|other| self.legs.get(&other)?.dialog.as_ref()).map(|d| {
            let (call_id, to_tag, from_tag) = (d.call_id.clone(), d.remote_tag.clone(), d.local_tag.clone());
            (wire::uri_text(&d.target), Replaces { call_id, to_tag, from_tag, early_only: false })
        });
        let bare = |uri: &str| uri.split('?').next().unwrap_or_default().to_owned();
        let uri = match (&other, to) {
            (Some((target, _)), "") => bare(target),
            _ => bare(to),
        };
        let fits = wire::Uri::parse(uri.clone().into()).is_ok_and(|u| u.scheme().is_sip() || u.tel_parts().is_some());
        let Some(state) = self.legs.get_mut(&leg).filter(|l| matches!(l.phase, Phase::Up) && l.referring.is_none())
        else {
            return debug!(leg = leg.0, "no REFER in this state");
        };
        if !fits || uri.contains(['<', '>', '"']) || (replaces.is_some() && other.is_none()) {
            debug!(leg = leg.0, uri, "nothing a REFER could name");
            return self.events.push_back(SipEvent::Referral { leg, step: ReferStep::Refused { code: 400 } });
        }
        let Some(dialog) = state.dialog.as_mut() else { return };
        let (mut request, flow) = dialog.request(Method::Refer);
        let (id, user) = (dialog.local_cseq, state.user.clone());
        let replaces = other.map(|(_, r)| format!("?Replaces={}", escape_header(&r.value()))).unwrap_or_default();
        let by = referred_by.unwrap_or_else(|| format!("<sip:{}@{}>", escape_user(&user), self.config.domain));
        let headers = &mut request.headers;
        wire::push(headers, HeaderName::Contact, Self::contact(&user, flow));
        wire::push(headers, HeaderName::ReferTo, format!("<{uri}{replaces}>"));
        wire::push(headers, HeaderName::ReferredBy, by);
        wire::push(headers, HeaderName::Supported, wire::SUPPORTED_WITHIN);
        let tx = self.send_request(now, request, flow, None, Purpose::Refer(leg));
        if let (Some(state), Some(tx)) = (self.legs.get_mut(&leg), tx) {
            state.referring = Some(Box::new(Referring { tx, id, gives_up: None }));
        }
    }

    pub(super) fn on_refer_event(&mut self, now: Instant, tx: TxId, leg: LegId, event: &TuEvent) {
        let code = match event {
            TuEvent::Response(response) => response.status.code(),
            TuEvent::Timeout => 408,
            TuEvent::TransportError => 503,
            _ => return,
        };
        let Some(state) = self.legs.get_mut(&leg) else { return };
        let Some(referring) = state.referring.as_mut().filter(|r| r.tx == tx) else { return };
        match code {
            100..=199 => {}
            200..=299 => {
                let at = now + GRANTED;
                referring.gives_up = Some(at);
                self.timers.set(at, Deadline::Leg(leg, LegTimer::Referring));
                self.events.push_back(SipEvent::Referral { leg, step: ReferStep::Accepted });
            }
            _ => {
                state.referring = None;
                self.events.push_back(SipEvent::Referral { leg, step: ReferStep::Refused { code } });
            }
        }
    }

    pub(super) fn on_referring_timer(&mut self, at: Instant, leg: LegId) {
        let Some(state) = self.legs.get_mut(&leg) else { return };
        if state.referring.take_if(|r| r.gives_up == Some(at)).is_some() {
            info!(leg = leg.0, "the peer never told what became of the REFER");
            self.events.push_back(SipEvent::Referral { leg, step: ReferStep::Unknown });
        }
    }

    /// How the call goes that our REFER asked for. May overtake the 202.
    pub(super) fn on_notify(&mut self, now: Instant, leg: LegId, tx: TxId, request: &Request) {
        let event = wire::text(&request.headers, &HeaderName::Event).unwrap_or_default();
        let mut parts = event.split(';').map(str::trim);
        if !parts.next().is_some_and(|e| e.eq_ignore_ascii_case("refer")) {
            return self.finish_within(now, tx, request, 489, &[(HeaderName::AllowEvents, "refer")]);
        }
        let id = parts.find_map(|p| p.strip_prefix("id=")).and_then(|id| id.parse::<u32>().ok());
        let Some(state) = self.legs.get_mut(&leg) else { return };
        if state.referring.as_ref().is_none_or(|r| id.is_some_and(|id| id != r.id)) {
            return self.finish_within(now, tx, request, 481, &[]);
        }
        let said = fragment(&String::from_utf8_lossy(request.body()));
        let subscription = wire::text(&request.headers, &HeaderName::SubscriptionState).unwrap_or_default();
        let over = subscription.trim_start().to_ascii_lowercase().starts_with("terminated");
        let step = match said {
            Some((code, reason)) if code >= 200 => Some(ReferStep::Over { code, reason }),
            _ if over => Some(ReferStep::Unknown),
            Some((code, _)) => Some(ReferStep::Progress { code }),
            None => None,
        };
        if matches!(step, Some(ReferStep::Over { .. } | ReferStep::Unknown)) {
            state.referring = None;
        }
        self.finish_within(now, tx, request, 200, &[]);
        self.events.extend(step.map(|step| SipEvent::Referral { leg, step }));
    }

    /// A NOTIFY for a leg that is gone. `false` if it is none of those.
    pub(super) fn on_late_notify(&mut self, flow: Flow, request: &Request) -> bool {
        let ours = wire::tag(&request.headers, &HeaderName::To).unwrap_or_default();
        let theirs = wire::tag(&request.headers, &HeaderName::From).unwrap_or_default();
        let known = self
            .afterlife
            .get(&ours)
            .is_some_and(|a| a.remote_tag == theirs && a.call_id == wire::call_id(&request.headers));
        if known && request.method == Method::Notify {
            self.reply(flow, request, 200, "NOTIFY after the end of its call", &[]);
        }
        known && request.method == Method::Notify
    }
}

/// The status line of a sipfrag (RFC 3420).
fn fragment(body: &str) -> Option<(u16, String)> {
    let rest = body.trim_start().strip_prefix("SIP/2.0 ")?;
    let line = rest.lines().next()?;
    let (code, reason) = line.split_once(' ').unwrap_or((line, ""));
    let code = code.trim().parse().ok().filter(|c| (100..700).contains(c))?;
    Some((code, reason.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::fragment;

    #[test]
    fn fragments() {
        assert_eq!(fragment("SIP/2.0 200 OK\r\nTo: x\r\n"), Some((200, "OK".into())));
        assert_eq!(fragment("SIP/2.0 180"), Some((180, String::new())));
        for bad in ["", "200 OK", "SIP/2.0 x", "SIP/2.0 99 X", "INVITE sip:a@b SIP/2.0"] {
            assert_eq!(fragment(bad), None, "{bad}");
        }
    }
}
