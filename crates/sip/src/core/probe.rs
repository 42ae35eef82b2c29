//! Requests of our own outside of any call, and what was kept over a restart: OPTIONS to contacts, to know whether they
//! are there, and bindings given back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;
use sipx_sip::TuEvent;
use tracing::{debug, info, warn};

use super::transactions::{Probe, Purpose, TxId};
use super::{Core, Deadline};
use crate::api::{Registration, SipEvent, Transport};
use crate::flow::Flow;
use crate::registrar::{Binding, Reach};
use crate::wire::{self, HeaderName, Method, Request, Uri};

impl Core {
    /// Puts back what the last run had registered.
    pub(super) fn restore(&mut self, now: Instant) {
        for kept in std::mem::take(&mut self.config.restore) {
            let Registration { ext, contact, instance, q, path, user_agent, transport, .. } = kept.clone();
            // A browser's connection died with the last run, and nobody can connect to it.
            let lost = matches!(transport, Transport::Ws | Transport::Wss) || kept.expires_s == 0;
            let flow = self.flow_to(transport, kept.source).filter(|_| !lost && self.verifier.knows(&ext));
            let Some(flow) = flow else {
                debug!(extension = ext, contact, "a registration of the last run cannot be used any more");
                continue;
            };
            let until = now + Duration::from_secs(u64::from(kept.expires_s));
            let (call_id, cseq) = (kept.call_id, kept.cseq);
            let binding = Binding {
                uri: contact.clone(),
                instance,
                flow,
                path,
                q,
                user_agent,
                until,
                reach: Reach::Unknown,
                call_id,
                cseq,
            };
            self.registrar.restore(&ext, binding);
            self.timers.set(until, Deadline::Binding(ext.clone()));
            self.events.push_back(SipEvent::Registered { ext: ext.clone(), contact, expires_s: kept.expires_s });
            self.qualify_later(now, &ext);
            self.moved.push(ext);
        }
    }

    /// Tells what an extension has registered now, where the house wants to keep it.
    pub(super) fn tell_registrations(&mut self, now: Instant, ext: &str) {
        if !self.config.tell_registrations {
            return;
        }
        let kept = |b: &Binding| Registration {
            ext: ext.to_owned(),
            contact: b.uri.clone(),
            instance: b.instance.clone(),
            q: b.q,
            path: b.path.clone(),
            user_agent: b.user_agent.clone(),
            transport: b.flow.transport,
            source: b.flow.remote,
            expires_s: u32::try_from(b.until.saturating_duration_since(now).as_secs()).unwrap_or(u32::MAX),
            call_id: b.call_id.clone(),
            cseq: b.cseq,
        };
        let contacts = self.registrar.contacts(now, ext).map(kept).collect();
        self.events.push_back(SipEvent::Registrations { ext: ext.to_owned(), contacts });
    }

    /// Asks an extension's contacts before long, unless that is planned.
    pub(super) fn qualify_later(&mut self, now: Instant, ext: &str) {
        let Some(interval) = self.config.qualify else { return };
        if self.qualifying.insert(ext.to_owned()) {
            // Phones that all came at once, after a power cut, are not all asked at once.
            let after = interval.mul_f64(self.rng.random_range(0.1..1.0));
            self.timers.set(now + after, Deadline::Qualify(ext.to_owned()));
        }
    }

    /// Asks all contacts of an extension whether they are there.
    pub(super) fn qualify(&mut self, now: Instant, ext: &str) {
        let contacts: Vec<_> =
            self.registrar.contacts(now, ext).map(|b| (b.uri.clone(), b.flow, b.path.clone())).collect();
        if contacts.is_empty() {
            self.qualifying.remove(ext);
            return;
        }
        for (uri, flow, routes) in contacts {
            let Ok(target) = Uri::parse(Bytes::copy_from_slice(uri.as_bytes())) else { continue };
            self.probe(now, &target, flow, &routes, Probe::Contact { ext: ext.to_owned(), uri });
        }
        if let Some(interval) = self.config.qualify {
            self.timers.set(now + interval, Deadline::Qualify(ext.to_owned()));
        }
    }

    /// Sends OPTIONS; what comes of it is told to [`Core::on_probe_event`].
    pub(super) fn probe(&mut self, now: Instant, target: &Uri, flow: Flow, routes: &[String], what: Probe) {
        let mut options = Request::new(Method::Options, target.clone());
        let (tag, call_id) = (self.random_hex(), self.random_hex());
        let headers = &mut options.headers;
        for route in routes {
            wire::push(headers, HeaderName::Route, &**route);
        }
        wire::push(headers, HeaderName::MaxForwards, "70");
        wire::push(headers, HeaderName::From, format!("<sip:{}>;tag={tag}", self.config.domain));
        wire::push(headers, HeaderName::To, format!("<{}>", wire::uri_text(target)));
        wire::push(headers, HeaderName::CallId, call_id);
        wire::push(headers, HeaderName::CSeq, "1 OPTIONS");
        wire::push(headers, HeaderName::Contact, Self::contact("", flow));
        wire::push(headers, HeaderName::Accept, "application/sdp");
        wire::push(headers, HeaderName::UserAgent, &*self.config.user_agent);
        self.add_via(&mut options, flow);
        wire::finish(&mut options.headers, None);
        self.tx.send(now, options, flow, Purpose::Probe(Box::new(what)));
    }

    /// What became of a request of ours outside of any call.
    pub(super) fn on_probe_event(&mut self, now: Instant, id: TxId, event: TuEvent) {
        let Some(Purpose::Probe(probe)) = self.tx.purpose(id) else { return };
        let probe = (**probe).clone();
        if let (Probe::Registrar { trunk }, false) = (&probe, is_provisional(&event)) {
            return self.on_registrar_event(now, *trunk, &event);
        }
        // Any final answer, 404 and 501 too, is a sign of life; a proxy's 408 and 503 speak of somebody behind it.
        let answered = match &event {
            _ if is_provisional(&event) => return,
            TuEvent::Response(r) => !matches!(r.status.code(), 408 | 503),
            TuEvent::Timeout | TuEvent::TransportError => false,
            _ => return,
        };
        match probe {
            Probe::Contact { ext, uri } => self.on_qualified(now, &ext, &uri, answered),
            Probe::Target { trunk, target } => self.on_target_asked(trunk, target, answered),
            Probe::Registrar { .. } => {}
        }
    }

    fn on_qualified(&mut self, now: Instant, ext: &str, uri: &str, answered: bool) {
        let Some(reachable) = self.registrar.qualified(ext, uri, answered) else { return };
        self.moved.push(ext.to_owned());
        if reachable {
            info!(extension = ext, contact = uri, "phone answers again");
            let left = self.registrar.contacts(now, ext).find(|b| b.uri == uri).map(|b| b.until - now);
            let expires_s = left.map_or(0, |left| u32::try_from(left.as_secs()).unwrap_or(u32::MAX));
            self.events.push_back(SipEvent::Registered { ext: ext.to_owned(), contact: uri.to_owned(), expires_s });
            return;
        }
        warn!(
            extension = ext,
            contact = uri,
            "phone is registered but no longer answers: not called until it does; is it plugged in, and can it be reached from here?"
        );
        if self.registrar.callable(now, ext).is_empty() {
            self.events.push_back(SipEvent::Unregistered { ext: ext.to_owned() });
        }
    }
}

fn is_provisional(event: &TuEvent) -> bool {
    matches!(event, TuEvent::Response(r) if r.status.is_provisional())
}
