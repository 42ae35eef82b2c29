//! The core on a virtual clock: two cores over a wire that delays and loses by rule, or one core against a scripted peer.

mod calls;
mod defence;
mod early;
mod forks;
mod hostile;
mod ladder;
mod qualify;
mod races;
mod refer;
mod register;
mod reoffer;
mod requests;
mod torture;
mod trunks;
mod walk;
mod within;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Core, CoreOutput, Sizes};
use crate::api::{ExtensionAuth, LegId, SipCommand, SipConfig, SipEvent, Transport};
use crate::auth::Ha1;
use crate::flow::{Flow, Listener};

/// One way through the wire.
pub(super) const LATENCY: Duration = Duration::from_millis(10);

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn config() -> SipConfig {
    SipConfig {
        domain: "baton.test".into(),
        user_agent: "Baton/test".into(),
        extensions: ["1001", "1002"]
            .map(|ext| ExtensionAuth { ext: ext.into(), ha1: Ha1::from_password(ext, "baton.test", "secret") })
            .to_vec(),
        numbers: vec!["+15550100".into(), "help".into()],
        ..SipConfig::default()
    }
}

pub(super) fn core_at(addr: SocketAddr, now: Instant, seed: u8) -> Core {
    let listeners = [Transport::Udp, Transport::Tcp].map(|t| Listener::new(t, addr)).to_vec();
    Core::new(now, config(), listeners, [seed; 32])
}

/// The first line of a message, and its CSeq method where it is a response: `200 INVITE`, `BYE`.
pub(super) fn name(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let mut words = first.split(' ');
    match (words.next(), words.next()) {
        (Some("SIP/2.0"), Some(code)) => {
            let method = header(message, "CSeq").and_then(|c| c.split(' ').nth(1).map(str::to_owned));
            format!("{code} {}", method.unwrap_or_default())
        }
        (Some(method), _) => method.to_owned(),
        _ => String::new(),
    }
}

pub(super) fn header(message: &str, name: &str) -> Option<String> {
    message.lines().take_while(|l| !l.is_empty()).find_map(|line| {
        let (n, v) = line.split_once(':')?;
        n.trim().eq_ignore_ascii_case(name).then(|| v.trim().to_owned())
    })
}

pub(super) fn headers(message: &str, name: &str) -> Vec<String> {
    let named = |line: &str| {
        line.split_once(':').filter(|(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, v)| v.trim().to_owned())
    };
    message.lines().take_while(|l| !l.is_empty()).filter_map(named).collect()
}

/// Given who sends and the message's name: whether it is lost.
type Rule = Box<dyn FnMut(usize, &str) -> bool>;

/// Two cores, `0` which calls and `1` which is called, and the wire between them.
pub(super) struct Pair {
    pub began: Instant,
    pub now: Instant,
    pub cores: [Core; 2],
    pub events: [Vec<SipEvent>; 2],
    /// What was sent: when, by whom, what, and whether it arrived.
    pub log: Vec<(Duration, usize, String, bool)>,
    flying: Vec<(Instant, usize, Bytes)>,
    pub lose: Rule,
}

pub(super) const ADDRS: [&str; 2] = ["192.0.2.1:5060", "192.0.2.2:5060"];

impl Pair {
    pub fn new() -> Self {
        let now = Instant::now();
        let cores = [0, 1].map(|i| core_at(ADDRS[i].parse().unwrap(), now, i as u8 + 1));
        Self {
            began: now,
            now,
            cores,
            events: Default::default(),
            log: Vec::new(),
            flying: Vec::new(),
            lose: Box::new(|_, _| false),
        }
    }

    /// `0` calls `1`.
    pub fn call(&mut self) -> LegId {
        let leg = LegId(1);
        let uri = "sip:+15550100@192.0.2.2".to_owned();
        let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
            .to_owned();
        self.order(
            0,
            SipCommand::InviteUri {
                leg,
                uri,
                from_user: "alice".into(),
                from_display: Some("Alice \"A\"".into()),
                headers: vec![("X-Test".into(), "1".into())],
                sdp,
            },
        );
        leg
    }

    pub fn order(&mut self, who: usize, command: SipCommand) {
        self.cores[who].command(self.now, command);
        self.collect(who);
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let wire = self.flying.iter().map(|(at, ..)| *at).min();
            let timers = self.cores.iter().filter_map(Core::next_deadline).min();
            let Some(next) = wire.into_iter().chain(timers).min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            if let Some(i) = self.flying.iter().position(|(at, ..)| *at <= self.now) {
                let (_, to, bytes) = self.flying.remove(i);
                let flow = Flow {
                    transport: Transport::Udp,
                    listener: 0,
                    local: ADDRS[to].parse().unwrap(),
                    remote: ADDRS[1 - to].parse().unwrap(),
                    connection: None,
                };
                self.cores[to].receive(self.now, flow, bytes);
                self.collect(to);
                continue;
            }
            for who in [0, 1] {
                self.cores[who].fire(self.now);
                self.collect(who);
            }
        }
        self.now = end;
    }

    fn collect(&mut self, who: usize) {
        while let Some(output) = self.cores[who].poll_output() {
            let CoreOutput::Send { flow, bytes } = output else { continue };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let arrives = flow.remote == ADDRS[1 - who].parse().unwrap() && !(self.lose)(who, &name(&text));
            self.log.push((self.now - self.began, who, text, arrives));
            if arrives {
                self.flying.push((self.now + LATENCY, 1 - who, bytes));
            }
        }
        while let Some(event) = self.cores[who].poll_event() {
            self.events[who].push(event);
        }
    }

    /// The leg of the call that came in at `1`.
    pub fn incoming(&self) -> LegId {
        self.events[1]
            .iter()
            .find_map(|e| if let SipEvent::Incoming { leg, .. } = e { Some(*leg) } else { None })
            .unwrap()
    }

    /// When messages of that name were sent by `who`.
    pub fn sent(&self, who: usize, what: &str) -> Vec<Duration> {
        self.log.iter().filter(|(_, w, m, _)| *w == who && name(m) == what).map(|(at, ..)| *at).collect()
    }

    /// Kinds of the events of one side, such as `Incoming Confirmed Ended(Bye)`.
    pub fn story(&self, who: usize) -> String {
        self.events[who].iter().map(kind).collect::<Vec<_>>().join(" ")
    }

    /// An established call; the leg of each side.
    pub fn talking() -> (Self, LegId, LegId) {
        let mut pair = Self::new();
        let a = pair.call();
        pair.run(ms(50));
        let b = pair.incoming();
        pair.order(1, SipCommand::Answer { leg: b, sdp: sdp() });
        pair.run(ms(50));
        (pair, a, b)
    }

    /// Lets every timer run out; nothing may be left then.
    pub fn finish(&mut self) {
        self.run(secs(300));
        for core in &self.cores {
            assert_eq!(core.sizes(), Sizes::default());
        }
    }
}

pub(super) fn sdp() -> String {
    "v=0\r\no=- 9 9 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n".into()
}

pub(super) fn kind(event: &SipEvent) -> String {
    match event {
        SipEvent::Incoming { .. } => "Incoming".into(),
        SipEvent::Progress { code, .. } => format!("Progress({code})"),
        SipEvent::Answered { .. } => "Answered".into(),
        SipEvent::Confirmed { .. } => "Confirmed".into(),
        SipEvent::Failed { code, .. } => format!("Failed({code})"),
        SipEvent::Ended { cause, .. } => format!("Ended({cause:?})"),
        SipEvent::Reoffer { sdp, .. } => format!("Reoffer({})", if sdp.is_some() { "sdp" } else { "none" }),
        SipEvent::Reoffered { sdp, .. } => match sdp {
            Ok(sdp) => format!("Reoffered({})", if sdp.is_some() { "sdp" } else { "none" }),
            Err(code) => format!("Reoffered({code})"),
        },
        SipEvent::EarlyAnswer { .. } => "EarlyAnswer".into(),
        SipEvent::Refer { .. } => "Refer".into(),
        SipEvent::Referral { step, .. } => format!("Referral({step:?})"),
        SipEvent::InfoDigit { digit, .. } => format!("InfoDigit({digit})"),
        SipEvent::Registered { ext, expires_s, .. } => format!("Registered({ext},{expires_s})"),
        SipEvent::Unregistered { ext } => format!("Unregistered({ext})"),
        SipEvent::Registrations { ext, contacts } => format!("Registrations({ext},{})", contacts.len()),
        SipEvent::Trunk { name, state } => format!("Trunk({name},{state:?})"),
        SipEvent::Banned { source, .. } => format!("Banned({source})"),
        SipEvent::Pardoned { source } => format!("Pardoned({source})"),
    }
}

/// One core and a peer whose messages the test writes.
pub(super) struct Script {
    pub now: Instant,
    pub core: Core,
    pub peer: SocketAddr,
    pub transport: Transport,
}

impl Script {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            now,
            core: core_at("192.0.2.1:5060".parse().unwrap(), now, 7),
            peer: "192.0.2.9:5070".parse().unwrap(),
            transport: Transport::Udp,
        }
    }

    pub fn flow(&self) -> Flow {
        Flow {
            transport: self.transport,
            listener: usize::from(self.transport == Transport::Tcp),
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: self.peer,
            connection: None,
        }
    }

    /// Sends a message, `\n` standing for CRLF; what comes back.
    pub fn send(&mut self, message: &str) -> Vec<String> {
        let flow = self.flow();
        self.core.receive(self.now, flow, message.replace('\n', "\r\n").into());
        self.take()
    }

    /// What was sent, wherever it goes.
    pub fn take(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.core.poll_output())
            .filter_map(|o| {
                if let CoreOutput::Send { bytes, .. } = o {
                    Some(String::from_utf8_lossy(&bytes).into_owned())
                } else {
                    None
                }
            })
            .collect()
    }

    pub fn order(&mut self, command: SipCommand) -> Vec<String> {
        self.core.command(self.now, command);
        self.take()
    }

    /// Lets time pass; what was sent meanwhile.
    pub fn run(&mut self, time: Duration) -> Vec<String> {
        let end = self.now + time;
        while let Some(at) = self.core.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.core.fire(self.now);
        }
        self.now = end;
        self.take()
    }

    pub fn events(&mut self) -> Vec<SipEvent> {
        std::iter::from_fn(|| self.core.poll_event()).collect()
    }

    pub fn kinds(&mut self) -> Vec<String> {
        self.events().iter().map(kind).collect()
    }

    /// Nothing may be left once all timers have run out.
    pub fn finish(&mut self) {
        self.run(secs(4_000));
        assert_eq!(self.core.sizes(), Sizes::default());
    }
}

/// A request of the scripted peer; `extra` are header lines, each with its `\n`.
pub(super) fn request(method: &str, uri: &str, branch: &str, cseq: u32, extra: &str, body: &str) -> String {
    let kind = if body.starts_with("v=0") { "Content-Type: application/sdp\n" } else { "" };
    let length = body.replace('\n', "\r\n").len();
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK{branch}\nMax-Forwards: 70\nFrom: \"Bob\" <sip:bob@192.0.2.9>;tag=bob\nCall-ID: call-1\nCSeq: {cseq} {method}\nContact: <sip:bob@192.0.2.9:5070>\n{kind}{extra}{}Content-Length: {length}\n\n{body}",
        if extra.contains("To:") { String::new() } else { format!("To: <{uri}>\n") }
    )
}

pub(super) const OFFER: &str =
    "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\nm=audio 4000 RTP/AVP 0\n";

/// An established call from the scripted peer: the leg and the To value within the dialog.
pub(super) fn established(script: &mut Script, extra: &str) -> (LegId, String) {
    script.send(&request("INVITE", "sip:help@192.0.2.1", "first", 1, extra, OFFER));
    let Some(SipEvent::Incoming { leg, .. }) = script.events().pop() else { panic!("no call came in") };
    let ok = script.order(SipCommand::Answer { leg, sdp: sdp() }).pop().unwrap();
    let to = header(&ok, "To").unwrap();
    script.send(&request("ACK", "sip:help@192.0.2.1", "ack", 1, &format!("To: {to}\n"), ""));
    assert_eq!(script.kinds(), ["Confirmed"]);
    (leg, to)
}
