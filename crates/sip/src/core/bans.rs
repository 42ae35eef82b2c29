//! Failures and what follows from them, in words that tell the admin of a PBX who, from where, why, and what to do.

use std::net::IpAddr;
use std::time::Instant;

use tracing::{info, warn};

use super::{Core, CoreCounters, Deadline};
use crate::api::SipEvent;
use crate::flow::Flow;
use crate::wire::{self, HeaderName, Message};

impl Core {
    /// Whether nobody listens to a source now.
    pub fn is_banned(&self, now: Instant, ip: IpAddr) -> bool {
        self.bans.is_banned(now, ip)
    }

    /// Ends a ban before its time.
    pub fn pardon(&mut self, _now: Instant, ip: IpAddr) {
        if self.bans.pardon(ip) {
            let source = crate::defence::source(ip);
            info!(%source, "ban ended by command");
            self.events.push_back(SipEvent::Pardoned { source });
        }
    }

    /// What the core did besides answering calls.
    pub fn counters(&self) -> CoreCounters {
        CoreCounters { banned: self.bans.len(), ..self.counters }
    }

    /// Counts a failure against its source.
    pub(super) fn suspect(&mut self, now: Instant, flow: Flow) {
        self.counters.failures += 1;
        if self.trunks.of_source(flow.remote.ip()).is_some() {
            return;
        }
        let Some(ban) = self.bans.failed(now, flow.remote.ip()) else { return };
        let (source, failures) = (ban.source, ban.failures);
        let seconds = (ban.until - now).as_secs();
        warn!(%source, failures, seconds, "banned: wrong passwords, unknown extensions or numbers; a phone of yours there needs the right ones, a trunk or proxy belongs into the trusted list");
        self.counters.bans += 1;
        self.timers.set(ban.until, Deadline::Ban(source));
        self.events.push_back(SipEvent::Banned { source, ban: ban.until - now, failures });
    }

    pub(super) fn end_ban(&mut self, now: Instant, source: IpAddr) {
        if self.bans.expire(now, source) {
            info!(%source, "ban is over");
            self.events.push_back(SipEvent::Pardoned { source });
        }
    }

    /// Whether a message belongs to a call that lives, or answers a request of ours: a ban does not cut those off.
    pub(super) fn is_of_a_call(&self, parsed: &Result<Message, String>) -> bool {
        match parsed {
            Ok(Message::Request(r)) => {
                wire::tag(&r.headers, &HeaderName::To).is_some_and(|tag| self.dialogs.contains_key(&tag))
            }
            Ok(Message::Response(_)) => true,
            Err(_) => false,
        }
    }
}
