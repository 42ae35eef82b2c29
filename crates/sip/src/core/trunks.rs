//! Trunks within the core: registrations at providers, targets asked whether they work, calls placed with failover and
//! proof, and whose call an INVITE is. What to do is decided by [`crate::trunk`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sipx_sip::TuEvent;
use tracing::{debug, info, warn};

use super::calls_out::{Draft, Target};
use super::transactions::{Probe, Purpose, TxId};
use super::{Core, CoreOutput, Deadline, Leg, Phase};
use crate::api::{LegId, SipEvent, Transport, TrunkState};
use crate::auth::Verdict;
use crate::digest::Challenge;
use crate::dns::Place;
use crate::fields::escape_user;
use crate::flow::Flow;
use crate::trunk::{Account, Ask, Outcome, Reply, Trunk};
use crate::wire::{self, Address, HeaderName, Method, Request, Response, Uri};

/// How often names of targets and registrars are looked up again.
const LOOK_UP: Duration = Duration::from_secs(60);
/// How long a target that failed a call is tried last.
const SPARE: Duration = Duration::from_secs(60);

/// What a trunk has to be woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrunkTimer {
    Register,
    Health,
    LookUp,
}

/// A target and one address of it.
type Way = (usize, (Transport, SocketAddr));

/// A call that goes out by a trunk and is not answered yet.
#[derive(Debug)]
pub(super) struct Attempt {
    trunk: usize,
    /// The target tried now.
    target: usize,
    /// Those to be tried after it.
    rest: VecDeque<Way>,
    number: String,
    draft: Draft,
    /// A challenge was answered at this target.
    proved: bool,
}

impl Core {
    /// Looks up what has a name, registers where we register, asks targets.
    pub(super) fn start_trunks(&mut self, now: Instant) {
        for trunk in 0..self.trunks.len() {
            let health = self.trunks.get(trunk).and_then(|t| t.config.health).is_some();
            self.look_up(now, trunk);
            self.timers.set(now, Deadline::Trunk(trunk, TrunkTimer::Register));
            if health {
                self.timers.set(now, Deadline::Trunk(trunk, TrunkTimer::Health));
            }
        }
    }

    pub(super) fn on_trunk_timer(&mut self, now: Instant, trunk: usize, timer: TrunkTimer) {
        match timer {
            TrunkTimer::Register => self.register_at(now, trunk),
            TrunkTimer::Health => self.ask_targets(now, trunk),
            TrunkTimer::LookUp => self.look_up(now, trunk),
        }
    }

    /// Finds the addresses of a trunk's targets and registrar: written ones at once, names by the driver.
    fn look_up(&mut self, now: Instant, trunk: usize) {
        let Some(t) = self.trunks.get(trunk) else { return };
        let registrar = t.config.account.as_ref().and_then(|a| a.registrar.clone());
        let uris: Vec<String> = t.config.targets.iter().cloned().chain(registrar).collect();
        let mut names = false;
        for uri in uris.iter().filter_map(|u| Uri::parse(Bytes::copy_from_slice(u.as_bytes())).ok()) {
            match (wire::uri_addr(&uri), wire::place(&uri), wire::uri_transport(&uri)) {
                (Some(addr), _, Some(transport)) => {
                    self.located(now, |u| wire::uri_text(u) == wire::uri_text(&uri), &[(transport, addr)])
                }
                (None, Some(place), _) => {
                    names = true;
                    self.outputs.push_back(CoreOutput::LookUp(place));
                }
                _ => {}
            }
        }
        if names {
            self.timers.set(now + LOOK_UP, Deadline::Trunk(trunk, TrunkTimer::LookUp));
        }
    }

    /// Where a place is that the core asked for, the first to be tried first; nothing if nobody could say.
    pub fn looked_up(&mut self, now: Instant, place: &Place, addrs: &[(Transport, SocketAddr)]) {
        if addrs.is_empty() {
            warn!(host = place.host, "no address of this name can be found; those found before stay in use");
        }
        self.located(now, |uri| wire::place(uri).as_ref() == Some(place), addrs);
    }

    fn located(&mut self, now: Instant, is: impl Fn(&Uri) -> bool, addrs: &[(Transport, SocketAddr)]) {
        let is = |uri: &str| Uri::parse(Bytes::copy_from_slice(uri.as_bytes())).is_ok_and(|u| is(&u));
        for trunk in 0..self.trunks.len() {
            let Some(t) = self.trunks.get_mut(trunk) else { continue };
            let registrar = t.config.account.as_ref().and_then(|a| a.registrar.as_deref()).is_some_and(is);
            let mut any = registrar;
            if registrar && !addrs.is_empty() {
                t.registrar = addrs.to_vec();
            }
            for target in t.targets.iter_mut().filter(|target| is(&target.uri)) {
                any = true;
                if !addrs.is_empty() {
                    target.addrs = addrs.to_vec();
                }
            }
            if any {
                self.trunks.learn(trunk, addrs);
            }
            if registrar {
                self.register_at(now, trunk);
            }
        }
    }

    /// Sends a REGISTER if one is due.
    fn register_at(&mut self, now: Instant, trunk: usize) {
        let Some(t) = self.trunks.get(trunk) else { return };
        let due = t.registering.as_ref().and_then(|r| r.due());
        if due.is_none_or(|at| now < at) {
            return;
        }
        let Some(account) = t.config.account.clone() else { return };
        let Some(uri) = account.registrar.as_ref().and_then(|r| Uri::parse(Bytes::copy_from_slice(r.as_bytes())).ok())
        else {
            return;
        };
        let Some((transport, addr)) = t.registrar.first().copied() else {
            debug!(trunk = t.config.name, "the registrar's address is not known yet");
            return; // told when it was looked up
        };
        let flow = self.flow_to(transport, addr);
        let text = wire::uri_text(&uri);
        let Some(ask) =
            self.trunks.get_mut(trunk).and_then(|t| t.registering.as_mut()).map(|r| r.ask(&text, &mut self.rng))
        else {
            return;
        };
        match flow {
            Some(flow) => self.send_register(now, trunk, &account, &uri, flow, &ask),
            None => self.on_registrar_reply(now, trunk, &Reply { code: 503, ..Reply::default() }),
        }
    }

    fn send_register(&mut self, now: Instant, trunk: usize, account: &Account, uri: &Uri, flow: Flow, ask: &Ask) {
        let mut register = Request::new(Method::Register, uri.clone());
        let tag = self.random_hex();
        let call_id = format!("{}-{trunk}", self.hash_tag(account.domain.as_bytes()));
        let aor = format!("<sip:{}@{}>", escape_user(&account.user), account.domain);
        let headers = &mut register.headers;
        wire::push(headers, HeaderName::MaxForwards, "70");
        wire::push(headers, HeaderName::From, format!("{aor};tag={tag}"));
        wire::push(headers, HeaderName::To, aor);
        wire::push(headers, HeaderName::CallId, call_id);
        wire::push(headers, HeaderName::CSeq, format!("{} REGISTER", ask.cseq));
        wire::push(headers, HeaderName::Contact, Self::contact(&account.user, flow));
        wire::push(headers, HeaderName::Expires, ask.expires_s.to_string());
        wire::push(headers, HeaderName::Supported, "path");
        wire::push(headers, HeaderName::UserAgent, &*self.config.user_agent);
        if let Some((proxy, value)) = &ask.proof {
            wire::push(headers, proof_header(*proxy), &**value);
        }
        self.add_via(&mut register, flow);
        wire::finish(&mut register.headers, None);
        self.tx.send(now, register, flow, Purpose::Probe(Box::new(Probe::Registrar { trunk })));
    }

    pub(super) fn on_registrar_event(&mut self, now: Instant, trunk: usize, event: &TuEvent) {
        let reply = match event {
            TuEvent::Response(response) => {
                let ours = self.trunks.get(trunk).and_then(|t| t.config.account.as_ref()).map(|a| a.user.clone());
                read_reply(response, &ours.unwrap_or_default())
            }
            TuEvent::Timeout => Reply { code: 408, ..Reply::default() },
            _ => Reply { code: 503, ..Reply::default() },
        };
        self.on_registrar_reply(now, trunk, &reply);
    }

    fn on_registrar_reply(&mut self, now: Instant, trunk: usize, reply: &Reply) {
        let Some(t) = self.trunks.get_mut(trunk) else { return };
        let name = t.config.name.clone();
        let Some(registering) = t.registering.as_mut() else { return };
        let outcome = registering.on_reply(now, reply, &mut self.rng);
        if let Some(due) = registering.due() {
            self.timers.set(due, Deadline::Trunk(trunk, TrunkTimer::Register));
        }
        match outcome {
            Outcome::Again => {}
            Outcome::Registered { expires_s } => {
                if self.trunks.registered(trunk, true) {
                    info!(trunk = name, expires_s, "registered at the provider");
                    self.events.push_back(SipEvent::Trunk { name, state: TrunkState::Registered { expires_s } });
                }
            }
            Outcome::Refused { code, why, retry } => {
                // The next address of the registrar, if it has several.
                if matches!(code, 408 | 503) && t.registrar.len() > 1 {
                    t.registrar.rotate_left(1);
                }
                self.trunks.registered(trunk, false);
                let retry_s = retry.as_secs();
                warn!(trunk = name, code, why, retry_s, "not registered at the provider: calls by this trunk may fail");
                let state = TrunkState::Unregistered { code, reason: why.to_owned(), retry_s };
                self.events.push_back(SipEvent::Trunk { name, state });
            }
        }
    }

    /// Asks all targets of a trunk whether they work.
    fn ask_targets(&mut self, now: Instant, trunk: usize) {
        let Some(t) = self.trunks.get(trunk) else { return };
        let Some(interval) = t.config.health else { return };
        let targets: Vec<_> = t.targets.iter().map(|t| (t.uri.clone(), t.addrs.first().copied())).collect();
        for (target, (uri, addr)) in targets.into_iter().enumerate() {
            let (Ok(uri), Some((transport, addr))) = (Uri::parse(Bytes::from(uri)), addr) else { continue };
            let Some(flow) = self.flow_to(transport, addr) else { continue };
            self.probe(now, &uri, flow, &[], Probe::Target { trunk, target });
        }
        self.timers.set(now + interval, Deadline::Trunk(trunk, TrunkTimer::Health));
    }

    pub(super) fn on_target_asked(&mut self, trunk: usize, target: usize, works: bool) {
        if !self.trunks.found(trunk, target, works) {
            return;
        }
        let Some(t) = self.trunks.get(trunk) else { return };
        let (name, uri) = (t.config.name.clone(), t.targets[target].uri.clone());
        let state = match works {
            true => {
                info!(trunk = name, target = uri, "target answers again");
                TrunkState::TargetUp { target: uri }
            }
            false => {
                warn!(trunk = name, target = uri, "target does not answer OPTIONS: calls try the others first");
                TrunkState::TargetDown { target: uri }
            }
        };
        self.events.push_back(SipEvent::Trunk { name, state });
    }
}

/// Calls out.
impl Core {
    pub(super) fn invite_trunk(&mut self, now: Instant, leg: LegId, name: &str, number: &str, mut draft: Draft) {
        let Some(trunk) = self.trunks.named(name) else {
            return self.fail(now, leg, 404, format!("there is no trunk {name:?}"));
        };
        if self.legs.contains_key(&leg) {
            return debug!(leg = leg.0, "a leg is placed once");
        }
        if let Err(busy) = self.trunks.admit(now, trunk, leg) {
            return self.fail(now, leg, 503, busy.to_string());
        }
        let order = self.trunks.order(now, trunk);
        let Some(t) = self.trunks.get(trunk) else { return };
        let addrs = |target: usize| t.targets[target].addrs.iter().map(move |addr| (target, *addr));
        let mut rest: VecDeque<_> = order.into_iter().flat_map(addrs).collect();
        dress(t, number, &mut draft);
        let Some(way) = rest.pop_front() else {
            return self.fail(now, leg, 503, format!("no address of any target of trunk {name} is known"));
        };
        let number = t.config.numbers.dialled(number);
        let placed = self.trunk_target(trunk, way, &number);
        let attempt = Attempt { trunk, target: way.0, rest, number, draft, proved: false };
        match placed {
            Some(placed) => {
                self.place(now, leg, vec![placed], &attempt.draft);
                self.attempts.insert(leg, attempt);
                self.watch(now, leg);
            }
            None => {
                self.attempts.insert(leg, attempt);
                if !self.try_next(now, leg, 503) {
                    self.fail(now, leg, 503, format!("no listener reaches any target of trunk {name}"));
                }
            }
        }
    }

    /// Tries the next target of a call whose target failed; `false` if there is none, or the failure is the call's own.
    pub(super) fn try_next(&mut self, now: Instant, leg: LegId, code: u16) -> bool {
        // RFC 3263 §4.3: no answer, no connection, or 503; and what SBCs say of a broken way behind them.
        if !matches!(code, 408 | 500 | 502 | 503 | 504) {
            return false;
        }
        let Some(attempt) = self.attempts.get_mut(&leg) else { return false };
        let trunk = attempt.trunk;
        self.trunks.spare(trunk, attempt.target, now + SPARE);
        while let Some(way) = self.attempts.get_mut(&leg).and_then(|a| a.rest.pop_front()) {
            let Some(mut attempt) = self.attempts.remove(&leg) else { return false };
            (attempt.target, attempt.proved) = (way.0, false);
            let placed = self.trunk_target(trunk, way, &attempt.number);
            let done = placed.is_some_and(|placed| {
                info!(leg = leg.0, code, to = %way.1.1, "the trunk's target failed: trying the next");
                match self.legs.contains_key(&leg) {
                    true => self.place_next(now, leg, placed, &attempt.draft),
                    false => self.place(now, leg, vec![placed], &attempt.draft),
                }
                true
            });
            self.attempts.insert(leg, attempt);
            if done {
                self.watch(now, leg);
                return true;
            }
        }
        false
    }

    /// A challenge to an INVITE is answered once, with the account of its trunk. `false` if that is not possible.
    pub(super) fn answer_challenge(&mut self, now: Instant, id: TxId, response: &Response) -> bool {
        let Some(leg) = self.tx.fork_mut(id).map(|f| f.leg) else { return false };
        let Some(attempt) = self.attempts.get(&leg) else { return false };
        let (trunk, proved) = (attempt.trunk, attempt.proved);
        let Some(account) = self.trunks.get(trunk).and_then(|t| t.config.account.clone()) else { return false };
        let Some(mut challenge) = challenge(response).filter(|c| !proved || c.stale) else {
            warn!(leg = leg.0, "the provider does not take our user name and password");
            return false;
        };
        let Some(uri) = self.tx.client(id).map(|(invite, ..)| wire::uri_text(&invite.uri)) else { return false };
        let cnonce = self.random_hex();
        let value = challenge.answer(&account.credentials, "INVITE", &uri, &cnonce);
        if let Some(attempt) = self.attempts.get_mut(&leg) {
            attempt.proved = true;
        }
        let header = proof_header(challenge.proxy);
        self.invite_again(now, id, std::slice::from_ref(&header), vec![(header.clone(), value)])
    }

    /// A target that says nothing at all is given up soon.
    fn watch(&mut self, now: Instant, leg: LegId) {
        let Some(trunk) = self.attempts.get(&leg).map(|a| a.trunk) else { return };
        let Some(patience) = self.trunks.get(trunk).map(|t| t.config.answer_within) else { return };
        let Some(Leg { phase: Phase::Placing(placing), .. }) = self.legs.get(&leg) else { return };
        for fork in placing.forks.clone() {
            self.timers.set(now + patience, Deadline::Patience(leg, fork));
        }
    }

    pub(super) fn on_patience(&mut self, now: Instant, leg: LegId, id: TxId) {
        let more = self.attempts.get(&leg).is_some_and(|a| !a.rest.is_empty());
        let silent = self.tx.fork_mut(id).is_some_and(|f| !f.provisional && !f.unwanted);
        if more && silent {
            self.give_up_fork(now, id, None);
            self.on_call_failure(now, id, 408, "no answer from the target");
        }
    }

    fn trunk_target(&self, trunk: usize, way: Way, number: &str) -> Option<Target> {
        let (target, (transport, addr)) = way;
        let uri = &self.trunks.get(trunk)?.targets.get(target)?.uri;
        let (scheme, rest) = uri.split_once(':')?;
        let uri = Uri::parse(Bytes::from(format!("{scheme}:{}@{rest}", escape_user(number)))).ok()?;
        let flow = self.flow_to(transport, addr)?;
        Some(Target { uri, flow, behind_nat: false, routes: Vec::new() })
    }
}

/// Calls in.
impl Core {
    /// The trunk an INVITE is of, if any. `Err` if it was answered: it has to prove what it did not.
    pub(super) fn trunk_of(&mut self, now: Instant, flow: Flow, request: &Request) -> Result<Option<usize>, ()> {
        let ip = flow.remote.ip();
        let by_source = self.trunks.of_source(ip);
        if let Some(trunk) = by_source
            && self.trunks.get(trunk).is_some_and(|t| t.config.inbound.is_none())
        {
            return Ok(by_source);
        }
        let proofs = wire::rows(&request.headers, &HeaderName::Authorization);
        // Who need not prove anything, and does not try to, is somebody who calls a number of ours.
        let unasked = !self.config.known_callers_only && (proofs.is_empty() || !self.trunks.want_proof());
        if by_source.is_none() && (unasked || proofs.is_empty() && self.registrar.is_at(now, flow)) {
            return Ok(None);
        }
        match self.callers.verify(now, &proofs, "INVITE") {
            Verdict::Granted { user } => {
                let trunk = self.trunks.of_user(&user);
                if by_source.is_some() && by_source != trunk {
                    warn!(from = %flow.remote, user, "call refused with 403: another trunk's password from this trunk's address");
                    self.suspect(now, flow);
                    self.reply(flow, request, 403, "not this trunk", &[]);
                    return Err(());
                }
                Ok(trunk)
            }
            Verdict::Challenge { stale, user, why } => {
                if !proofs.is_empty() && !stale {
                    info!(from = %flow.remote, user, why, "call refused with 401: neither a trunk's address nor a trunk's password");
                }
                // A trunk asks first without a proof, for a number that exists; who does neither dials at random.
                let called = wire::user_text(&request.uri);
                let random =
                    proofs.is_empty() && !self.config.numbers.iter().any(|n| super::calls_in::is_number(n, &called));
                if by_source.is_none() && !stale && (random || !proofs.is_empty()) {
                    self.suspect(now, flow);
                }
                let challenges = self.callers.challenges(now, &mut self.rng, stale);
                let extra: Vec<_> = challenges.iter().map(|c| (HeaderName::WwwAuthenticate, c.as_str())).collect();
                self.reply(flow, request, 401, why, &extra);
                Err(())
            }
        }
    }
}

/// Makes a draft what the trunk wants to see.
fn dress(trunk: &Trunk, number: &str, draft: &mut Draft) {
    let caller = trunk.caller(&draft.from_user);
    let written = trunk.config.numbers.dialled(&caller);
    draft.from_host = trunk.config.account.as_ref().map(|a| a.domain.clone());
    if trunk.config.caller_id.asserted {
        let host = draft.from_host.clone().unwrap_or_default();
        let identity = if host.is_empty() {
            format!("<tel:{written}>")
        } else {
            format!("<sip:{}@{host}>", escape_user(&written))
        };
        draft.headers.push(("P-Asserted-Identity".into(), identity));
    }
    draft.rules = trunk.config.headers.clone();
    draft.number = number.to_owned();
    draft.from_user = written;
}

fn proof_header(proxy: bool) -> HeaderName {
    if proxy { HeaderName::ProxyAuthorization } else { HeaderName::Authorization }
}

fn challenge(response: &Response) -> Option<Challenge> {
    let proxy = response.status.code() == 407;
    let name = if proxy { HeaderName::ProxyAuthenticate } else { HeaderName::WwwAuthenticate };
    Challenge::choose(&wire::rows(&response.headers, &name), proxy)
}

fn read_reply(response: &Response, user: &str) -> Reply {
    let headers = &response.headers;
    let code = response.status.code();
    let number = |name| wire::text(headers, &name).and_then(|v| v.trim().split([';', ' ', '(']).next()?.parse().ok());
    let name = if code == 407 { HeaderName::ProxyAuthenticate } else { HeaderName::WwwAuthenticate };
    let rows = wire::rows(headers, &HeaderName::Contact);
    let contacts = rows.iter().filter_map(|row| Address::parse_list(row.as_bytes(), "Contact").ok()).flatten();
    let ours = contacts.filter(|c| wire::user_text(&c.uri) == user);
    let granted = ours.filter_map(|c| String::from_utf8_lossy(c.param("expires")?).trim().parse().ok()).min();
    Reply {
        code,
        challenges: wire::rows(headers, &name),
        expires_s: granted.or_else(|| number(HeaderName::Expires)),
        min_expires_s: number(HeaderName::MinExpires),
        retry_after_s: number(HeaderName::RetryAfter),
    }
}
