//! Our registration at a provider: when to send REGISTER, with what proof, and what an answer means. Pure: time, random
//! numbers and answers in, what to do next out.
//!
//! What must always hold: one REGISTER at a time; whatever goes wrong, the next try is planned, further off each time, and
//! never so soon that a provider would take us for an attack.

use std::time::{Duration, Instant};

use rand::{Rng, RngCore};

use crate::digest::{Challenge, Credentials};

/// The first pause after a failure, doubled with each further one (RFC 5626 §4.5).
const BASE: Duration = Duration::from_secs(30);
/// The longest pause.
const MOST: Duration = Duration::from_secs(1_800);
/// What is wanted where the trunk does not say, seconds.
pub(super) const EXPIRES: u32 = 3_600;

/// One registration.
#[derive(Debug)]
pub(crate) struct Registering {
    credentials: Credentials,
    wanted: u32,
    challenge: Option<Challenge>,
    /// The challenge was answered in the request that is out, and came from the answer before it.
    proving: bool,
    cseq: u32,
    failures: u32,
    /// Challenges in a row.
    challenges: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is out; at this moment something will be.
    Due(Instant),
    /// A REGISTER is out.
    Waiting,
}

/// What the next REGISTER says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub cseq: u32,
    pub expires_s: u32,
    /// Whether the proof goes into Proxy-Authorization, and the proof.
    pub proof: Option<(bool, String)>,
}

/// What a provider answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub code: u16,
    /// WWW-Authenticate or, for 407, Proxy-Authenticate.
    pub challenges: Vec<String>,
    pub expires_s: Option<u32>,
    pub min_expires_s: Option<u32>,
    pub retry_after_s: Option<u32>,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Ask again at once.
    Again,
    /// Registered for so long.
    Registered { expires_s: u32 },
    /// Not registered; tried again after so long.
    Refused { code: u16, why: &'static str, retry: Duration },
}

impl Registering {
    pub fn new(now: Instant, credentials: Credentials, wanted: u32) -> Self {
        let state = State::Due(now);
        Self {
            credentials,
            wanted: wanted.max(60),
            challenge: None,
            proving: false,
            cseq: 0,
            failures: 0,
            challenges: 0,
            state,
        }
    }

    /// When the next REGISTER is to be sent; `None` while one is out.
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Due(at) => Some(at),
            State::Waiting => None,
        }
    }

    /// The next REGISTER.
    pub fn ask(&mut self, uri: &str, rng: &mut impl RngCore) -> Ask {
        self.state = State::Waiting;
        self.cseq += 1;
        let cnonce = format!("{:016x}", rng.next_u64());
        let credentials = &self.credentials;
        let proof = self.challenge.as_mut().map(|c| (c.proxy, c.answer(credentials, "REGISTER", uri, &cnonce)));
        Ask { cseq: self.cseq, expires_s: self.wanted, proof }
    }

    /// A final answer came, or none did (408), or the provider cannot be reached (503).
    pub fn on_reply(&mut self, now: Instant, reply: &Reply, rng: &mut impl RngCore) -> Outcome {
        let proved = std::mem::take(&mut self.proving);
        self.challenges = if matches!(reply.code, 401 | 407) { self.challenges + 1 } else { 0 };
        match reply.code {
            200..=299 => {
                let expires_s = reply.expires_s.unwrap_or(self.wanted).max(1);
                self.failures = 0;
                self.state = State::Due(now + refresh_after(expires_s));
                Outcome::Registered { expires_s }
            }
            401 | 407 => match Challenge::choose(&reply.challenges, reply.code == 407) {
                Some(challenge) if !proved || challenge.stale => {
                    self.challenge = Some(challenge);
                    self.proving = true;
                    self.state = State::Due(now);
                    // A provider that calls every nonce stale would keep us busy for ever.
                    match self.challenges {
                        ..=8 => Outcome::Again,
                        _ => self.refused(now, reply, "every nonce is stale", rng),
                    }
                }
                Some(_) => self.refused(now, reply, "user name or password are wrong", rng),
                None => self.refused(now, reply, "asks for a proof of a kind we do not know", rng),
            },
            423 if reply.min_expires_s.is_some_and(|min| min > self.wanted && min <= 86_400) => {
                self.wanted = reply.min_expires_s.unwrap_or(self.wanted);
                self.state = State::Due(now);
                Outcome::Again
            }
            403 => self.refused(now, reply, "the account is not allowed to register", rng),
            404 => self.refused(now, reply, "the provider does not know this account", rng),
            408 => {
                self.refused(now, reply, "no answer: is the registrar's address right, and not behind a firewall?", rng)
            }
            503 => self.refused(now, reply, "the registrar cannot be reached or is overloaded", rng),
            _ => self.refused(now, reply, "the provider refused", rng),
        }
    }

    fn refused(&mut self, now: Instant, reply: &Reply, why: &'static str, rng: &mut impl RngCore) -> Outcome {
        (self.challenge, self.challenges) = (None, 0);
        let most = BASE.saturating_mul(1 << self.failures.min(10)).min(MOST);
        self.failures += 1;
        // Half to all of it, so that all customers of a provider that comes back do not come at once.
        let pause = most.mul_f64(rng.random_range(0.5..=1.0));
        let told = Duration::from_secs(u64::from(reply.retry_after_s.unwrap_or(0).min(86_400)));
        let retry = pause.max(told);
        self.state = State::Due(now + retry);
        Outcome::Refused { code: reply.code, why, retry }
    }
}

/// Refresh early enough that a lost REGISTER and its repetitions still fit in.
fn refresh_after(expires_s: u32) -> Duration {
    let whole = Duration::from_secs(u64::from(expires_s));
    if expires_s > 600 { whole - Duration::from_secs(60) } else { whole.mul_f64(0.8) }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn setup() -> (Registering, Instant, StdRng) {
        let t = Instant::now();
        let us = Credentials { user: "acme".into(), password: "secret".into() };
        (Registering::new(t, us, 600), t, StdRng::seed_from_u64(3))
    }

    fn challenge(nonce: &str, extra: &str) -> Reply {
        let value = format!("Digest realm=\"p\", nonce=\"{nonce}\", qop=\"auth\"{extra}");
        Reply { code: 401, challenges: vec![value], ..Reply::default() }
    }

    fn ok(expires_s: u32) -> Reply {
        Reply { code: 200, expires_s: Some(expires_s), ..Reply::default() }
    }

    #[test]
    fn proves_itself_refreshes_in_time_and_keeps_the_nonce() {
        let (mut r, t, mut rng) = setup();
        assert_eq!(r.due(), Some(t));
        let first = r.ask("sip:p", &mut rng);
        assert_eq!((first.cseq, first.expires_s, first.proof.is_none(), r.due()), (1, 600, true, None));
        assert_eq!(r.on_reply(t, &challenge("n1", ""), &mut rng), Outcome::Again);
        let second = r.ask("sip:p", &mut rng).proof.unwrap().1;
        assert!(second.contains("nonce=\"n1\"") && second.contains("nc=00000001"));
        assert_eq!(r.on_reply(t, &ok(300), &mut rng), Outcome::Registered { expires_s: 300 });
        assert_eq!(r.due(), Some(t + Duration::from_secs(240)));
        let later = t + Duration::from_secs(240);
        let third = r.ask("sip:p", &mut rng);
        assert!(third.cseq == 3 && third.proof.unwrap().1.contains("nc=00000002"));
        // The nonce is too old by now, and named stale or not: that is no wrong password.
        assert_eq!(r.on_reply(later, &challenge("n2", ""), &mut rng), Outcome::Again);
        assert!(r.ask("sip:p", &mut rng).proof.unwrap().1.contains("nonce=\"n2\""));
        assert_eq!(r.on_reply(later, &challenge("n3", ", stale=true"), &mut rng), Outcome::Again);
        r.ask("sip:p", &mut rng);
        assert_eq!(r.on_reply(later, &ok(3_600), &mut rng), Outcome::Registered { expires_s: 3_600 });
        assert_eq!(r.due(), Some(later + Duration::from_secs(3_540)));
    }

    #[test]
    fn a_wrong_password_is_not_tried_for_ever() {
        let (mut r, mut now, mut rng) = setup();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            r.ask("sip:p", &mut rng);
            assert_eq!(r.on_reply(now, &challenge("a", ""), &mut rng), Outcome::Again);
            r.ask("sip:p", &mut rng);
            match r.on_reply(now, &challenge("b", ""), &mut rng) {
                Outcome::Refused { code: 401, why, retry } => {
                    assert!(why.contains("password"));
                    pauses.push(retry);
                }
                other => panic!("{other:?}"),
            }
            now = r.due().unwrap();
        }
        assert!(pauses[0] >= Duration::from_secs(15) && pauses.iter().all(|p| *p <= MOST));
        assert!(pauses[8] >= MOST / 2, "{pauses:?}");
    }

    #[test]
    fn answers_of_every_kind_plan_the_next_try() {
        let (mut r, t, mut rng) = setup();
        r.ask("sip:p", &mut rng);
        let brief = Reply { code: 423, min_expires_s: Some(1_800), ..Reply::default() };
        assert_eq!(r.on_reply(t, &brief, &mut rng), Outcome::Again);
        assert_eq!(r.ask("sip:p", &mut rng).expires_s, 1_800);
        assert!(matches!(r.on_reply(t, &brief, &mut rng), Outcome::Refused { code: 423, .. }));
        for code in [403, 404, 408, 500, 503, 603] {
            r.ask("sip:p", &mut rng);
            let reply = Reply { code, retry_after_s: Some(4_000), ..Reply::default() };
            let Outcome::Refused { retry, .. } = r.on_reply(t, &reply, &mut rng) else { panic!() };
            assert!(retry >= Duration::from_secs(4_000) && r.due() == Some(t + retry), "{code}");
        }
        r.ask("sip:p", &mut rng);
        let unknown = Reply { code: 401, challenges: vec!["Bearer x".into()], ..Reply::default() };
        assert!(matches!(r.on_reply(t, &unknown, &mut rng), Outcome::Refused { .. }));
        let (mut r, t, mut rng) = setup();
        let mut tries = 0;
        while tries < 100 {
            r.ask("sip:p", &mut rng);
            tries += 1;
            if r.on_reply(t, &challenge("n", ", stale=true"), &mut rng) != Outcome::Again {
                break;
            }
        }
        assert!(tries < 10, "a provider whose every nonce is stale");
    }
}
