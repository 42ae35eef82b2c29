//! The SIP messages of each call, small and bounded, and the drawing a telephony engineer reads them from.
//!
//! Kept apart from the calls: a ladder can be asked for while its call goes on and for a while after. Who is heard of without
//! a call leaves nothing here. Of a long call the first and the last messages are kept.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::api::{LegId, Transport};
use crate::flow::Flow;

/// Messages kept of the beginning of a call, and of its end so far.
const FIRST: usize = 24;
const LAST: usize = 24;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceStep {
    /// Since the call's first message.
    pub at: Duration,
    /// We sent it.
    pub sent: bool,
    /// Who sent it to us, or was sent it.
    pub peer: SocketAddr,
    /// Over what.
    pub transport: Transport,
    /// Status of a response; `None` for a request.
    pub status: Option<u16>,
    /// Method of the request, or of what is answered.
    pub method: &'static str,
    /// Number in CSeq.
    pub cseq: u32,
    /// SIP Call-ID.
    pub call_id: Arc<str>,
}

/// The ladders of the calls of late. Clones share them.
#[derive(Debug, Clone)]
pub struct Ladders(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    calls: HashMap<Arc<str>, Ladder>,
    /// The oldest first.
    order: VecDeque<Arc<str>>,
    most: usize,
}

#[derive(Debug)]
struct Ladder {
    leg: LegId,
    began: Instant,
    first: Vec<Step>,
    last: VecDeque<Step>,
    peers: Vec<(SocketAddr, Transport)>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    at_ms: u32,
    cseq: u32,
    status: u16,
    method: u8,
    peer: u8,
    sent: bool,
}

/// What a ladder wants to know of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glance<'a> {
    pub call_id: &'a [u8],
    pub status: u16,
    pub method: u8,
    pub cseq: u32,
}

const METHODS: [&str; 15] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "INFO",
    "UPDATE",
    "PRACK",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "MESSAGE",
    "REGISTER",
    "PUBLISH",
    "OTHER",
];

impl Ladders {
    /// Room for that many calls; the oldest make way.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Book { calls: HashMap::new(), order: VecDeque::new(), most })))
    }

    /// The messages of these legs, in order of time; empty for such as are not known any more.
    pub fn of_legs(&self, legs: &[LegId]) -> Vec<TraceStep> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut legs: Vec<_> = book.calls.iter().filter(|(_, l)| legs.contains(&l.leg)).collect();
        legs.sort_by_key(|(_, l)| l.began);
        let Some(began) = legs.first().map(|(_, l)| l.began) else { return Vec::new() };
        let mut steps: Vec<TraceStep> = legs.iter().flat_map(|(id, ladder)| ladder.steps(id, began)).collect();
        steps.sort_by_key(|s| s.at);
        steps
    }

    /// From now on the messages of this Call-ID are kept.
    pub(crate) fn open(&self, now: Instant, call_id: &str, leg: LegId) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if book.most == 0 {
            return;
        }
        let id: Arc<str> = call_id.into();
        let (first, last, peers) = (Vec::with_capacity(8), VecDeque::new(), Vec::with_capacity(1));
        if book.calls.insert(Arc::clone(&id), Ladder { leg, began: now, first, last, peers }).is_none() {
            book.order.push_back(id);
        }
        while book.calls.len() > book.most {
            let Some(oldest) = book.order.pop_front() else { break };
            book.calls.remove(&oldest);
        }
    }

    /// Notes a message, if its call is kept.
    pub(crate) fn note(&self, now: Instant, sent: bool, flow: &Flow, glance: Glance<'_>) {
        let Ok(call_id) = std::str::from_utf8(glance.call_id) else { return };
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ladder) = book.calls.get_mut(call_id) else { return };
        let peer = (flow.remote, flow.transport);
        let known = ladder.peers.iter().position(|p| *p == peer).unwrap_or_else(|| {
            ladder.peers.push(peer);
            ladder.peers.len() - 1
        });
        let Ok(peer) = u8::try_from(known) else { return };
        let at_ms = u32::try_from(now.saturating_duration_since(ladder.began).as_millis()).unwrap_or(u32::MAX);
        let Glance { status, method, cseq, .. } = glance;
        let step = Step { at_ms, cseq, status, method, peer, sent };
        if ladder.first.len() < FIRST {
            return ladder.first.push(step);
        }
        if ladder.last.len() >= LAST {
            ladder.last.pop_front();
        }
        ladder.last.push_back(step);
    }
}

impl Ladder {
    fn steps<'a>(&'a self, call_id: &'a Arc<str>, since: Instant) -> impl Iterator<Item = TraceStep> + 'a {
        let offset = self.began.saturating_duration_since(since);
        self.first.iter().chain(&self.last).filter_map(move |step| {
            let (peer, transport) = *self.peers.get(usize::from(step.peer))?;
            Some(TraceStep {
                at: offset + Duration::from_millis(u64::from(step.at_ms)),
                sent: step.sent,
                peer,
                transport,
                status: (step.status != 0).then_some(step.status),
                method: METHODS.get(usize::from(step.method)).copied().unwrap_or("OTHER"),
                cseq: step.cseq,
                call_id: Arc::clone(call_id),
            })
        })
    }
}

/// Reads a message's first line, Call-ID and CSeq. `None` where one is missing.
pub(crate) fn glance(message: &[u8]) -> Option<Glance<'_>> {
    let mut lines = message.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let start = lines.next()?;
    let (mut call_id, mut cseq) = (None, None);
    for line in lines.take_while(|l| !l.is_empty()) {
        let name = line.split(|b| *b == b':').next()?.trim_ascii();
        let value = || {
            line.get(name.len()..)
                .map(|v| v.trim_ascii_start())
                .and_then(|v| v.strip_prefix(b":"))
                .map(<[u8]>::trim_ascii)
        };
        if name.eq_ignore_ascii_case(b"call-id") || name.eq_ignore_ascii_case(b"i") {
            call_id = value();
        } else if name.eq_ignore_ascii_case(b"cseq") {
            cseq = value();
        }
        if call_id.is_some() && cseq.is_some() {
            break;
        }
    }
    let (call_id, cseq) = (call_id?, std::str::from_utf8(cseq?).ok()?);
    let (number, method) = cseq.split_once(' ')?;
    let status = match start.strip_prefix(b"SIP/2.0 ") {
        Some(rest) => std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()?,
        None => 0,
    };
    let method = METHODS.iter().position(|m| *m == method.trim()).unwrap_or(METHODS.len() - 1);
    Some(Glance { call_id, status, method: u8::try_from(method).ok()?, cseq: number.trim().parse().ok()? })
}

/// Draws messages as arrows between us and each peer:
///
/// ```text
///           192.0.2.9:5060 (udp)            Baton
///    0.000          |--------- INVITE 1 ------->|
///    0.002          |<---------- 100 ------------|
/// ```
pub fn draw(steps: &[TraceStep]) -> String {
    let mut peers: Vec<(SocketAddr, Transport)> = Vec::new();
    for step in steps {
        if !peers.contains(&(step.peer, step.transport)) {
            peers.push((step.peer, step.transport));
        }
    }
    let mut out = format!("{:>9} ", "");
    for (addr, transport) in &peers {
        let _ = write!(out, "{:^WIDTH$}", format!("{addr} ({transport})"));
    }
    out.push_str("Baton\n");
    for step in steps {
        let column = peers.iter().position(|p| *p == (step.peer, step.transport)).unwrap_or(0);
        let _ = write!(out, "{:>9.3} ", step.at.as_secs_f64());
        for _ in 0..column {
            let _ = write!(out, "{:>half$}{:rest$}", "|", "", half = WIDTH / 2 + 1, rest = WIDTH / 2 - 1);
        }
        let label = match step.status {
            Some(status) => format!(" {status} ({} {}) ", step.method, step.cseq),
            None => format!(" {} {} ", step.method, step.cseq),
        };
        let length = WIDTH * (peers.len() - column) - WIDTH / 2 - 1;
        let line = format!("{label:-^length$}");
        let (head, tail) = if step.sent { ("<", "") } else { ("", ">") };
        let cut = line.len() - head.len() - tail.len();
        let _ = writeln!(out, "{:>half$}{head}{}{tail}|", "|", &line[..cut], half = WIDTH / 2 + 1);
    }
    out
}

/// The room of one column.
const WIDTH: usize = 34;

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(remote: &str) -> Flow {
        let local = "192.0.2.1:5060".parse().unwrap();
        Flow { transport: Transport::Udp, listener: 0, local, remote: remote.parse().unwrap(), connection: None }
    }

    fn message(start: &str, cseq: &str) -> Vec<u8> {
        format!("{start}\r\nVia: x\r\ni : call-1\r\nCSeq:  {cseq}\r\n\r\nCall-ID: in the body\r\n").into_bytes()
    }

    #[test]
    fn a_glance_reads_what_it_needs_and_no_more() {
        let invite = message("INVITE sip:a@b SIP/2.0", "1 INVITE");
        assert_eq!(glance(&invite), Some(Glance { call_id: b"call-1", status: 0, method: 0, cseq: 1 }));
        let ok = message("SIP/2.0 200 OK", "7 BYE");
        assert_eq!(glance(&ok), Some(Glance { call_id: b"call-1", status: 200, method: 2, cseq: 7 }));
        for bad in
            ["", "x", "SIP/2.0 200 OK\r\nCall-ID: x\r\n\r\n", "SIP/2.0 2\r\ni: x\r\nCSeq: 1 BYE\r\n", "\r\n\r\n:\r\n"]
        {
            assert_eq!(glance(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn calls_and_messages_are_bounded() {
        let (ladders, now) = (Ladders::new(2), Instant::now());
        let message = |call: &str| format!("BYE sip:a SIP/2.0\r\nCall-ID: {call}\r\nCSeq: 1 BYE\r\n\r\n");
        for (n, call) in ["a", "b", "c"].iter().enumerate() {
            ladders.open(now, call, LegId(n as u64));
            for i in 0..100 {
                let text = message(call);
                ladders.note(
                    now + Duration::from_millis(i),
                    false,
                    &flow("192.0.2.9:5060"),
                    glance(text.as_bytes()).unwrap(),
                );
            }
        }
        let unknown = message("nobody's");
        ladders.note(now, false, &flow("192.0.2.9:5060"), glance(unknown.as_bytes()).unwrap());
        assert!(ladders.of_legs(&[LegId(0)]).is_empty(), "the oldest made way");
        let kept = ladders.of_legs(&[LegId(2)]);
        assert_eq!((kept.len(), kept[0].at, kept[47].at), (48, Duration::ZERO, Duration::from_millis(99)));
    }

    #[test]
    fn a_ladder_reads_like_one() {
        let (ladders, now) = (Ladders::new(2), Instant::now());
        ladders.open(now, "call-1", LegId(1));
        let carrier = flow("192.0.2.9:5060");
        for (ms, sent, to, start, cseq) in [
            (0, false, &carrier, "INVITE sip:a@b SIP/2.0", "1 INVITE"),
            (2, true, &carrier, "SIP/2.0 100 Trying", "1 INVITE"),
            (1_250, true, &carrier, "SIP/2.0 200 OK", "1 INVITE"),
            (1_300, false, &flow("192.0.2.7:5070"), "ACK sip:a@b SIP/2.0", "1 ACK"),
            (9_000, true, &carrier, "BYE sip:x@y SIP/2.0", "1 BYE"),
        ] {
            let text = message(start, cseq);
            ladders.note(now + Duration::from_millis(ms), sent, to, glance(&text).unwrap());
        }
        let drawn = draw(&ladders.of_legs(&[LegId(1)]));
        let expected = "
                192.0.2.9:5060 (udp)              192.0.2.7:5070 (udp)       Baton
    0.000                  |-------------------- INVITE 1 ------------------->|
    0.002                  |<----------------- 100 (INVITE 1) ----------------|
    1.250                  |<----------------- 200 (INVITE 1) ----------------|
    1.300                  |                                 |---- ACK 1 ---->|
    9.000                  |<--------------------- BYE 1 ---------------------|
";
        let lines = |text: &str| text.trim().lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&drawn), lines(expected), "\n{drawn}");
    }
}
