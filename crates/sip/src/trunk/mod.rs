//! Trunks: carriers and PBXs that send us calls and take ours. Whose call it is, how many at once, which way a call goes,
//! and what numbers look like. Pure: it sends nothing; the core asks it and does what it says.

mod numbers;
mod register;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ipnet::IpNet;

pub use self::numbers::{Bare, Dial, NumberRules, Rewrite};
pub(crate) use self::register::{Ask, Outcome, Registering, Reply};
use crate::api::{ExtensionAuth, LegId, Transport};
use crate::digest::Credentials;
use crate::wire::{Uri, uri_transport};

/// A trunk as configured.
#[derive(Debug, Clone)]
pub struct TrunkConfig {
    /// Its name, in logs, events and commands.
    pub name: String,
    /// Networks its calls come from. Addresses of its targets and registrar count as well. These sources are never
    /// limited nor banned.
    pub sources: Vec<IpNet>,
    /// What its calls must prove to know, wherever they come from; `None` takes those of `sources` as they come.
    pub inbound: Option<ExtensionAuth>,
    /// Where our calls go, the first that works: `sip:` or `sips:` URIs without user, `sip:sbc.example;transport=tcp`.
    pub targets: Vec<String>,
    /// The account at the provider: for REGISTER, and for calls it challenges.
    pub account: Option<Account>,
    /// How often targets are asked by OPTIONS whether they work; `None` asks none.
    pub health: Option<Duration>,
    /// How long a target may leave an INVITE without any answer before the next is tried.
    pub answer_within: Duration,
    /// Calls at once, both directions together; 0 is no limit.
    pub channels: usize,
    /// New calls a second, both directions together; 0 is no limit.
    pub calls_per_s: u32,
    /// How it writes numbers.
    pub numbers: NumberRules,
    /// Numbers called by it (in E.164 where they are such) and the number of ours each stands for.
    pub dids: HashMap<String, String>,
    /// Who we say calls.
    pub caller_id: CallerId,
    /// Changes to the headers of our INVITEs.
    pub headers: Vec<HeaderRule>,
}

impl Default for TrunkConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            sources: Vec::new(),
            inbound: None,
            targets: Vec::new(),
            account: None,
            health: Some(Duration::from_secs(60)),
            answer_within: Duration::from_secs(5),
            channels: 0,
            calls_per_s: 0,
            numbers: NumberRules::default(),
            dids: HashMap::new(),
            caller_id: CallerId::default(),
            headers: Vec::new(),
        }
    }
}

/// An account at a provider.
#[derive(Debug, Clone)]
pub struct Account {
    /// Authentication name and password.
    pub credentials: Credentials,
    /// User part of the address that is registered; often the same as the authentication name.
    pub user: String,
    /// Host part of that address, and of From in calls: the provider's domain.
    pub domain: String,
    /// Where REGISTER goes, as `sip:registrar.example`; `None` registers nowhere and proves itself in calls alone.
    pub registrar: Option<String>,
    /// Seconds wanted.
    pub expires_s: u32,
}

impl Account {
    /// An account that registers at its domain for an hour.
    pub fn new(user: &str, password: &str, domain: &str) -> Self {
        Self {
            credentials: Credentials { user: user.into(), password: password.into() },
            user: user.into(),
            domain: domain.into(),
            registrar: Some(format!("sip:{domain}")),
            expires_s: register::EXPIRES,
        }
    }
}

/// Who we say calls, towards a trunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallerId {
    /// The number where a call does not bring its own; of an account with a registrar its user.
    pub number: Option<String>,
    /// Put that number in place of whatever the call brings.
    pub always: bool,
    /// Say the number in P-Asserted-Identity as well (RFC 3325), for carriers that trust us.
    pub asserted: bool,
}

/// A change to the headers of an INVITE of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderRule {
    /// Put this header in place of any of its name. `{number}` and `{caller}` stand for called and calling number.
    Set {
        /// Name.
        name: String,
        /// Value.
        value: String,
    },
    /// Leave all of this name out.
    Remove {
        /// Name.
        name: String,
    },
}

impl HeaderRule {
    /// Whether the rule leaves alone what SIP itself needs.
    pub fn is_allowed(&self) -> bool {
        const OURS: [&str; 14] = [
            "via",
            "v",
            "from",
            "f",
            "to",
            "t",
            "call-id",
            "i",
            "cseq",
            "max-forwards",
            "contact",
            "m",
            "content-length",
            "l",
        ];
        let (Self::Set { name, .. } | Self::Remove { name }) = self;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
        !name.is_empty() && name.bytes().all(token) && !OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }
}

/// What is wrong with a trunk's configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrunkError {
    /// Two trunks of one name, or none.
    #[error("two trunks are named {0:?}; each needs a name of its own")]
    Name(String),
    /// Not a URI that can be called.
    #[error("trunk {trunk}: {uri:?} is no SIP URI of a host, such as sip:sbc.example.com;transport=tcp")]
    Uri {
        /// Whose.
        trunk: String,
        /// What was written.
        uri: String,
    },
    /// A header rule for what must be as it is.
    #[error("trunk {trunk}: header {name:?} cannot be set or removed by a rule")]
    Header {
        /// Whose.
        trunk: String,
        /// Which.
        name: String,
    },
}

/// Checks trunks before anything is started.
pub fn check(trunks: &[TrunkConfig]) -> Result<(), TrunkError> {
    for (i, trunk) in trunks.iter().enumerate() {
        let name = || trunk.name.clone();
        if trunk.name.is_empty() || trunks[..i].iter().any(|other| other.name == trunk.name) {
            return Err(TrunkError::Name(name()));
        }
        let registrar = trunk.account.as_ref().and_then(|a| a.registrar.as_ref());
        for uri in trunk.targets.iter().chain(registrar) {
            let parsed = Uri::parse(bytes::Bytes::copy_from_slice(uri.as_bytes()));
            let fits =
                |u: &Uri| u.scheme().is_sip() && u.user().is_none() && !u.has_headers() && uri_transport(u).is_some();
            if !parsed.is_ok_and(|u| fits(&u)) {
                return Err(TrunkError::Uri { trunk: name(), uri: uri.clone() });
            }
        }
        if let Some(rule) = trunk.headers.iter().find(|rule| !rule.is_allowed()) {
            let (HeaderRule::Set { name: header, .. } | HeaderRule::Remove { name: header }) = rule;
            return Err(TrunkError::Header { trunk: name(), name: header.clone() });
        }
    }
    Ok(())
}

/// A trunk as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkView {
    /// Its name.
    pub name: String,
    /// Whether we are registered there; `None` if we do not register.
    pub registered: Option<bool>,
    /// Calls at the moment.
    pub channels: usize,
    /// Its targets, and whether each works as far as is known.
    pub targets: Vec<(String, bool)>,
}

/// Why a trunk takes no further call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Busy {
    #[error("all {0} channels of the trunk are in use")]
    Channels(usize),
    #[error("more than {0} calls a second on the trunk")]
    Rate(u32),
}

/// All trunks.
#[derive(Debug)]
pub(crate) struct Trunks {
    trunks: Vec<Trunk>,
    legs: HashMap<LegId, usize>,
    /// Whether a view would differ from the one taken last.
    changed: bool,
}

#[derive(Debug)]
pub(crate) struct Trunk {
    pub config: TrunkConfig,
    pub registering: Option<Registering>,
    registered: bool,
    channels: usize,
    /// Calls begun in this second.
    second: (Instant, u32),
    pub targets: Vec<Target>,
    /// Addresses of the registrar, the one in use first.
    pub registrar: Vec<(Transport, SocketAddr)>,
    /// Addresses of targets and registrar, as far as they are known.
    known: Vec<IpAddr>,
}

/// One way out.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub uri: String,
    /// Where that is; of a name, what it was last looked up to.
    pub addrs: Vec<(Transport, SocketAddr)>,
    pub works: bool,
    /// It asked to be left alone until then (Retry-After).
    pub spared: Option<Instant>,
}

impl Trunks {
    pub fn new(now: Instant, configs: Vec<TrunkConfig>) -> Self {
        let trunk = |config: TrunkConfig| {
            let account = config.account.as_ref().filter(|a| a.registrar.is_some());
            let registering = account.map(|a| Registering::new(now, a.credentials.clone(), a.expires_s));
            let target = |uri: &String| Target { uri: uri.clone(), addrs: Vec::new(), works: true, spared: None };
            let targets = config.targets.iter().map(target).collect();
            Trunk {
                registering,
                registered: false,
                channels: 0,
                second: (now, 0),
                targets,
                registrar: Vec::new(),
                known: Vec::new(),
                config,
            }
        };
        Self { trunks: configs.into_iter().map(trunk).collect(), legs: HashMap::new(), changed: true }
    }

    pub fn len(&self) -> usize {
        self.trunks.len()
    }

    pub fn get(&self, trunk: usize) -> Option<&Trunk> {
        self.trunks.get(trunk)
    }

    pub fn get_mut(&mut self, trunk: usize) -> Option<&mut Trunk> {
        self.trunks.get_mut(trunk)
    }

    /// The trunk of that name.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.trunks.iter().position(|t| t.config.name == name)
    }

    /// The trunk whose calls prove themselves by that user name.
    pub fn of_user(&self, user: &str) -> Option<usize> {
        self.trunks.iter().position(|t| t.config.inbound.as_ref().is_some_and(|i| i.ext == user))
    }

    /// Whether any trunk's calls have to prove something.
    pub fn want_proof(&self) -> bool {
        self.trunks.iter().any(|t| t.config.inbound.is_some())
    }

    /// The trunk a source belongs to: the narrowest network that holds it, then the addresses of targets.
    pub fn of_source(&self, ip: IpAddr) -> Option<usize> {
        let ip = ip.to_canonical();
        let width = |t: &Trunk| t.config.sources.iter().filter(|n| n.contains(&ip)).map(IpNet::prefix_len).max();
        let by_network = self.trunks.iter().enumerate().filter_map(|(i, t)| Some((width(t)?, i)));
        by_network
            .max_by_key(|(width, i)| (*width, std::cmp::Reverse(*i)))
            .map(|(_, i)| i)
            .or_else(|| self.trunks.iter().position(|t| t.known.contains(&ip)))
    }

    /// Takes a channel for a leg.
    pub fn admit(&mut self, now: Instant, trunk: usize, leg: LegId) -> Result<(), Busy> {
        let Some(t) = self.trunks.get_mut(trunk) else { return Ok(()) };
        if t.config.channels > 0 && t.channels >= t.config.channels {
            return Err(Busy::Channels(t.config.channels));
        }
        if now.saturating_duration_since(t.second.0) >= Duration::from_secs(1) {
            t.second = (now, 0);
        }
        if t.config.calls_per_s > 0 && t.second.1 >= t.config.calls_per_s {
            return Err(Busy::Rate(t.config.calls_per_s));
        }
        t.second.1 += 1;
        t.channels += 1;
        self.changed = true;
        self.legs.insert(leg, trunk);
        Ok(())
    }

    /// Gives a leg's channel back.
    pub fn release(&mut self, leg: LegId) {
        if let Some(t) = self.legs.remove(&leg).and_then(|trunk| self.trunks.get_mut(trunk)) {
            t.channels -= 1;
            self.changed = true;
        }
    }

    /// The targets of a trunk in the order they are tried: those that work as configured, then the others.
    pub fn order(&self, now: Instant, trunk: usize) -> Vec<usize> {
        let Some(t) = self.trunks.get(trunk) else { return Vec::new() };
        let fit = |target: &Target| target.works && target.spared.is_none_or(|until| now >= until);
        let (good, bad): (Vec<usize>, Vec<usize>) = (0..t.targets.len()).partition(|i| fit(&t.targets[*i]));
        good.into_iter().chain(bad).collect()
    }

    /// Notes whether a target works; `true` if that is news.
    pub fn found(&mut self, trunk: usize, target: usize, works: bool) -> bool {
        let Some(target) = self.trunks.get_mut(trunk).and_then(|t| t.targets.get_mut(target)) else { return false };
        let news = std::mem::replace(&mut target.works, works) != works;
        self.changed |= news;
        news
    }

    /// Leaves a target alone for a while, as it asked.
    pub fn spare(&mut self, trunk: usize, target: usize, until: Instant) {
        if let Some(target) = self.trunks.get_mut(trunk).and_then(|t| t.targets.get_mut(target)) {
            target.spared = Some(until);
        }
    }

    /// Notes an address of a trunk's target or registrar: calls from there are its calls.
    pub fn learn(&mut self, trunk: usize, addrs: &[(Transport, SocketAddr)]) {
        let Some(t) = self.trunks.get_mut(trunk) else { return };
        for ip in addrs.iter().map(|(_, a)| a.ip().to_canonical()) {
            if !t.known.contains(&ip) && t.known.len() < 64 {
                t.known.push(ip);
            }
        }
    }

    /// Notes whether we are registered at a trunk's provider; `true` if that is news.
    pub fn registered(&mut self, trunk: usize, on: bool) -> bool {
        let Some(t) = self.trunks.get_mut(trunk) else { return false };
        let news = std::mem::replace(&mut t.registered, on) != on;
        self.changed |= news;
        news
    }

    /// Whether anything a view shows has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// How they are now.
    pub fn views(&self) -> Vec<TrunkView> {
        let view = |t: &Trunk| TrunkView {
            name: t.config.name.clone(),
            registered: t.registering.as_ref().map(|_| t.registered),
            channels: t.channels,
            targets: t.targets.iter().map(|target| (target.uri.clone(), target.works)).collect(),
        };
        self.trunks.iter().map(view).collect()
    }
}

impl Trunk {
    /// The number of ours that was called, and the caller's number, both as we write them.
    pub fn heard(&self, called: &str, caller: &str) -> (String, String) {
        let rules = &self.config.numbers;
        let called = rules.normalised(called);
        let called = self.config.dids.get(&called).cloned().unwrap_or(called);
        (called, rules.normalised(caller))
    }

    /// The caller we say calls.
    pub fn caller(&self, brought: &str) -> String {
        let CallerId { number, always, .. } = &self.config.caller_id;
        let own = number.clone().or_else(|| self.config.account.as_ref().map(|a| a.user.clone()));
        match own {
            Some(own) if *always || brought.is_empty() => own,
            _ => brought.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
