//! REGISTER: who may, what it asks, what the registrar makes of it (RFC 3261 §10.3).

use std::net::SocketAddr;
use std::time::Instant;

use tracing::info;

use super::{Core, Deadline};
use crate::api::{SipEvent, Transport};
use crate::auth::Verdict;
use crate::flow::Flow;
use crate::registrar::{Binding, Origin, RegisterError, Wish};
use crate::wire::{self, Address, HeaderName, Request};

/// Seconds granted to who names none.
const DEFAULT_EXPIRES: u32 = 3_600;

/// The longest Path kept.
const MAX_PATH: usize = 8;

/// What a REGISTER asks for.
enum Ask {
    /// Set, refresh or remove these; none asks only which there are.
    Contacts(Vec<Wish>),
    RemoveAll,
}

impl Core {
    pub(super) fn on_register(&mut self, now: Instant, flow: Flow, request: &Request) {
        let to = request.headers.value(&HeaderName::To).and_then(|v| Address::parse(&v, "To").ok());
        let Some(aor) = to.map(|a| a.uri).filter(|uri| uri.scheme().is_sip()) else {
            return self.reply(flow, request, 400, "the address of record is no SIP URI", &[]);
        };
        let credentials = wire::rows(&request.headers, &HeaderName::Authorization);
        let user = match self.verifier.verify(now, &credentials, "REGISTER") {
            Verdict::Granted { user } => user,
            Verdict::Challenge { stale, user, why } => {
                if !credentials.is_empty() && !stale {
                    let (agent, hint) = (user_agent(request), advice(why));
                    info!(from = %flow.remote, transport = %flow.transport, extension = user, agent, why, hint, "registration refused");
                    self.suspect(now, flow);
                } else if credentials.is_empty() && !self.verifier.knows(&wire::user_text(&aor)) {
                    // A scanner asks for one name after the other and never answers; a phone asks for one that exists.
                    self.suspect(now, flow);
                }
                let challenges = self.verifier.challenges(now, &mut self.rng, stale);
                let extra: Vec<_> = challenges.iter().map(|c| (HeaderName::WwwAuthenticate, c.as_str())).collect();
                return self.reply(flow, request, 401, why, &extra);
            }
        };
        if wire::user_text(&aor) != user {
            let hint = "user name (address of record) and authentication name of a phone must be the same extension";
            info!(from = %flow.remote, transport = %flow.transport, extension = user, aor = wire::uri_text(&aor), hint, "registration refused: not its own address");
            self.suspect(now, flow);
            return self.reply(flow, request, 403, "not its own address of record", &[]);
        }
        // From here on there is state to repeat: a second run would count its nonce as a replay.
        let Some(tx) = self.tx.serve(now, request, wire::reply_flow(&request.headers, flow), None) else { return };
        let result = asked(request, flow).and_then(|ask| self.apply_register(now, &user, ask, request));
        let (code, why, extra) = match result {
            Ok(()) => {
                let mut extra = self.contact_list(now, &user);
                // RFC 3327 §5.3: what was stored is told.
                extra
                    .extend(wire::rows(&request.headers, &HeaderName::Path).into_iter().map(|p| (HeaderName::Path, p)));
                (200, None, extra)
            }
            Err((code, why, extra)) => {
                let (agent, hint) = (user_agent(request), advice(&why));
                info!(from = %flow.remote, transport = %flow.transport, extension = user, agent, code, why, hint, "registration refused");
                (code, Some(why), extra)
            }
        };
        let tag = self.stateless_tag(request);
        let mut response = wire::answer(
            request,
            code,
            why.as_deref().filter(|_| code == 403 || code == 500),
            Some(&tag),
            &self.config.user_agent,
        );
        if let Some(response) = &mut response {
            for (name, value) in extra {
                wire::push(&mut response.headers, name, value);
            }
            wire::finish(&mut response.headers, None);
        }
        self.respond(now, tx, response);
    }

    fn apply_register(&mut self, now: Instant, ext: &str, ask: Ask, request: &Request) -> Result<(), Refused> {
        let from = Origin {
            call_id: wire::call_id(&request.headers),
            cseq: wire::cseq(&request.headers).map_or(0, |c| c.sequence),
            user_agent: wire::text(&request.headers, &HeaderName::UserAgent),
        };
        let had = self.registrar.contacts(now, ext).next().is_some();
        match ask {
            Ask::RemoveAll => self.registrar.remove_all(now, ext, &from).map_err(refused)?,
            Ask::Contacts(wishes) => {
                let granted = self.registrar.register(now, ext, &wishes, &from).map_err(refused)?;
                for (wish, expires_s) in wishes.into_iter().zip(granted).filter(|(_, s)| *s > 0) {
                    self.timers.set(
                        now + std::time::Duration::from_secs(u64::from(expires_s)),
                        Deadline::Binding(ext.to_owned()),
                    );
                    self.events.push_back(SipEvent::Registered { ext: ext.to_owned(), contact: wish.uri, expires_s });
                    self.qualify_later(now, ext);
                }
            }
        }
        self.moved.push(ext.to_owned());
        self.tell_registrations(now, ext);
        if had && self.registrar.contacts(now, ext).next().is_none() {
            self.events.push_back(SipEvent::Unregistered { ext: ext.to_owned() });
        }
        Ok(())
    }

    fn contact_list(&self, now: Instant, ext: &str) -> Vec<(HeaderName, String)> {
        let row = |b: &Binding| {
            let left = b.until.saturating_duration_since(now).as_secs();
            let instance = b.instance.as_ref().map(|i| format!(";+sip.instance=\"{i}\"")).unwrap_or_default();
            let q = if b.q == 1_000 { String::new() } else { format!(";q=0.{:03}", b.q) };
            (HeaderName::Contact, format!("<{}>;expires={left}{q}{instance}", b.uri))
        };
        self.registrar.contacts(now, ext).map(row).collect()
    }
}

type Refused = (u16, String, Vec<(HeaderName, String)>);

fn refused(error: RegisterError) -> Refused {
    let why = error.to_string();
    match error {
        RegisterError::TooBrief { min_s } => (423, why, vec![(HeaderName::MinExpires, min_s.to_string())]),
        RegisterError::TooMany { .. } => (403, why, Vec::new()),
        RegisterError::OutOfOrder => (500, why, Vec::new()),
    }
}

fn asked(request: &Request, flow: Flow) -> Result<Ask, Refused> {
    let malformed = |why: &str| (400, why.to_owned(), Vec::new());
    let expires = wire::text(&request.headers, &HeaderName::Expires);
    // RFC 3261 §20.19: a malformed value stands for 3600; one too large for the largest.
    let default = expires.as_deref().map_or(DEFAULT_EXPIRES, seconds);
    let rows = wire::rows(&request.headers, &HeaderName::Contact);
    if rows.iter().any(|row| row.trim() == "*") {
        let alone = rows.len() == 1 && expires.as_deref().map(str::trim) == Some("0");
        return if alone {
            Ok(Ask::RemoveAll)
        } else {
            Err(malformed("Contact: * needs Expires: 0 and no other contact"))
        };
    }
    let path: Vec<String> = wire::rows(&request.headers, &HeaderName::Path)
        .iter()
        .flat_map(|row| super::dialog::split_routes(row))
        .collect();
    let usable = |row: &String| Address::parse(row.as_bytes(), "Path").is_ok_and(|a| a.uri.scheme().is_sip());
    if path.len() > MAX_PATH || !path.iter().all(usable) {
        return Err(malformed("a Path that is no list of SIP addresses"));
    }
    let mut wishes = Vec::new();
    for row in rows {
        for contact in Address::parse_list(row.as_bytes(), "Contact").map_err(|e| malformed(&e.to_string()))? {
            if !contact.uri.scheme().is_sip() {
                return Err(malformed("a contact that is no SIP URI"));
            }
            let instance = contact.param("+sip.instance").map(|i| String::from_utf8_lossy(i).into_owned());
            let expires = contact.param("expires").map_or(default, |e| seconds(&String::from_utf8_lossy(e)));
            let q = contact.param("q").map_or(1_000, |q| thousandths(&String::from_utf8_lossy(q)));
            // With a Path the request came from the proxy that wrote it: that is where to go.
            let flow = if path.is_empty() { reach(&contact, flow) } else { flow };
            wishes.push(Wish { uri: wire::uri_text(&contact.uri), instance, expires, flow, path: path.clone(), q });
        }
    }
    Ok(Ask::Contacts(wishes))
}

fn user_agent(request: &Request) -> String {
    wire::text(&request.headers, &HeaderName::UserAgent).unwrap_or_default()
}

/// What the admin of a PBX, or the owner of a phone, can do about a refusal.
fn advice(why: &str) -> &'static str {
    match why {
        "wrong password" => "give the phone the password of this extension",
        "no such extension" => "add the extension to the configuration, or correct the phone's user name",
        "no credentials for this realm" => "the phone answers for another realm: set it to ours, or to take any",
        "nonce is not ours" => {
            "the phone uses a challenge of another server, or of before a restart: it will try again"
        }
        "algorithm was not offered" => {
            "the phone takes an algorithm we did not offer: prefer SHA-256 or MD5 as configured"
        }
        "qop=auth with nc and cnonce is required" => "the phone's firmware knows only RFC 2069 digests: update it",
        _ if why.starts_with("more than") => {
            "remove old phones of this extension, or wait until their registrations end"
        }
        _ if why.starts_with("a registration of less") => "the phone may ask again with the time we named",
        _ => "look at the phone's log beside this time",
    }
}

/// A preference: 0 to 1 with three decimals at most (RFC 3261 §25.1); nonsense is taken for the default.
fn thousandths(text: &str) -> u16 {
    match text.trim().parse::<f32>() {
        Ok(q) if (0.0..=1.0).contains(&q) => (q * 1_000.0).round() as u16,
        _ => 1_000,
    }
}

fn seconds(text: &str) -> u32 {
    let text = text.trim();
    match text.parse() {
        Ok(seconds) => seconds,
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => u32::MAX,
        Err(_) => DEFAULT_EXPIRES,
    }
}

/// Where a contact is reached: at its own port if its address is the one it registers from, else (NAT, names, proxies)
/// exactly where the REGISTER came from. A TCP connection is used as long as it lives.
fn reach(contact: &Address, flow: Flow) -> Flow {
    match wire::uri_addr(&contact.uri) {
        Some(addr) if addr.ip() == flow.remote.ip() && wire::uri_transport(&contact.uri) == Some(flow.transport) => {
            Flow { remote: SocketAddr::new(flow.remote.ip(), addr.port()), ..flow }
        }
        Some(addr) if addr.ip() == flow.remote.ip() && matches!(flow.transport, Transport::Tcp | Transport::Tls) => {
            Flow { remote: addr, ..flow }
        }
        _ => flow,
    }
}
