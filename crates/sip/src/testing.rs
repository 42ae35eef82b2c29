//! Ways in for fuzzers, and nothing else: each takes any bytes whatever and panics if something that must always hold does
//! not. Not part of the interface; may change any day.

#![expect(clippy::panic, reason = "a panic is how a fuzzer is told")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::api::{ExtensionAuth, SipCommand, SipConfig, SipEvent, Transport};
use crate::auth::{Ha1, Verdict, Verifier};
use crate::core::{Core, CoreOutput};
use crate::digest::{Challenge, Credentials};
use crate::flow::{ConnectionId, Flow, Listener};
use crate::guard::{Frame, Framer, MAX_HEAD, MAX_MESSAGE};
use crate::sdp::negotiate::{self, Local};
use crate::sdp::stream::{CodecDesc, CryptoAttr, Description, Protocol};
use crate::sdp::{self, SessionId};
use crate::wire;

/// Cuts a stream in pieces and whole: both ways must give the same messages. The first byte says how large the pieces are.
pub fn framing(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let mut all = cut(stream, stream.len().max(1));
    let mut pieces = cut(stream, usize::from(*piece) + 1);
    // A ping is a ping only where the stream pauses behind it: that depends on the pieces.
    all.retain(|frame| !matches!(frame, Cut::Frame(Frame::Ping)));
    pieces.retain(|frame| !matches!(frame, Cut::Frame(Frame::Ping)));
    // What is left of a stream that is given up depends on the pieces too.
    assert_eq!(all, pieces);
}

#[derive(Debug, PartialEq)]
enum Cut {
    Frame(Frame),
    Broken(u16),
}

fn cut(stream: &[u8], piece: usize) -> Vec<Cut> {
    let (mut framer, mut out) = (Framer::default(), Vec::new());
    for part in stream.chunks(piece) {
        framer.push(part);
        loop {
            match framer.next_frame() {
                Ok(Frame::More) => break,
                Ok(frame) => {
                    if let Frame::Message(bytes) | Frame::Stun(bytes) = &frame {
                        assert!(bytes.len() <= MAX_MESSAGE);
                    }
                    out.push(Cut::Frame(frame));
                }
                Err(error) => {
                    out.push(Cut::Broken(error.status));
                    return out;
                }
            }
        }
        assert!(framer.pending() <= MAX_MESSAGE + MAX_HEAD + piece, "a stream is not hoarded");
    }
    out
}

/// Two datagrams and the commands a house would give, through the whole core: what is sent can be parsed, and everything
/// ends by itself.
pub fn sip(data: &[u8]) {
    let mut world = World::new();
    let half = data.len() / 2;
    let split = data[half..].windows(4).position(|w| w == b"\0\0\0\0").map(|i| half + i);
    let (first, second) = data.split_at(split.unwrap_or(data.len()));
    for (bytes, transport) in [(first, Transport::Udp), (second, Transport::Tcp), (first, Transport::Tcp)] {
        world.receive(bytes, transport);
    }
    world.end();
}

struct World {
    core: Core,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let local = address("192.0.2.1:5060");
        let listeners = [Transport::Udp, Transport::Tcp].map(|t| Listener::new(t, local)).to_vec();
        let ha1 = Ha1::from_md5_hex("0123456789abcdef0123456789abcdef");
        let extensions = ha1.map(|ha1| ExtensionAuth { ext: "1001".into(), ha1 }).into_iter().collect();
        let config = SipConfig { domain: "b".into(), numbers: vec!["*".into()], extensions, ..SipConfig::default() };
        Self { core: Core::new(now, config, listeners, [7; 32]), now }
    }

    fn receive(&mut self, bytes: &[u8], transport: Transport) {
        let (local, remote) = (address("192.0.2.1:5060"), address("192.0.2.9:5070"));
        let connection = transport.is_stream().then_some(ConnectionId(1));
        let listener = usize::from(transport.is_stream());
        let flow = Flow { transport, listener, local, remote, connection };
        self.core.receive(self.now, flow, Bytes::copy_from_slice(bytes));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.core.poll_event() {
            let Some(leg) = event.leg() else { continue };
            let command = match event {
                SipEvent::Incoming { sdp, .. } => {
                    let sdp = sdp.as_deref().map(|offer| sdp::plain_answer(offer, address("192.0.2.1:9")));
                    match sdp {
                        Some(Ok(sdp)) => SipCommand::Answer { leg, sdp },
                        _ => SipCommand::Reject { leg, code: 488, reason: None },
                    }
                }
                SipEvent::Reoffer { .. } => SipCommand::AnswerReoffer { leg, sdp: Err(488) },
                _ => SipCommand::Bye { leg, reason: None },
            };
            self.core.command(self.now, command);
        }
        while let Some(output) = self.core.poll_output() {
            if let CoreOutput::Send { bytes, .. } = output
                && let Err(error) = wire::parse(bytes.clone())
            {
                panic!("we sent what cannot be parsed, {error}: {}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    fn end(&mut self) {
        for _ in 0..10_000 {
            let Some(at) = self.core.next_deadline() else { break };
            self.now = self.now.max(at);
            self.core.fire(self.now);
            self.drain();
        }
        let sizes = self.core.sizes();
        assert_eq!((sizes.transactions, sizes.legs, sizes.dialogs), (0, 0, 0), "everything ends by itself");
    }
}

/// A description as an offer and as an answer: what we answer can be read.
pub fn description(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let ours = address("192.0.2.1:4000");
    let Ok(offer) = Description::parse(&text) else { return };
    let codec = |name: &str, clock, pt| CodecDesc::new(name, clock, pt);
    let codecs = vec![codec("PCMU", 8_000, 0), codec("G722", 8_000, 9), codec("opus", 48_000, 111).channels(2)];
    let key = CryptoAttr::parse("1 AES_CM_128_HMAC_SHA1_80 inline:k");
    let protocols = vec![Protocol::Savp, Protocol::Savpf, Protocol::Avp, Protocol::Avpf];
    for encrypted in [false, true] {
        let crypto = key.iter().cloned().collect();
        let plain = Local::plain(ours, codecs.clone());
        let local = Local { crypto, encrypted, rtcp_mux: true, protocols: protocols.clone(), ..plain };
        let _ = negotiate::read_answer(&text, &local);
        let Ok((answer, agreed)) = negotiate::answer(&offer, &local, SessionId::next()) else { continue };
        assert!(!encrypted || agreed.crypto.is_some(), "nothing goes in the clear: {answer}");
        assert!(sdp::with_direction(&answer, sdp::Direction::SendOnly).starts_with("v=0\r\n"));
        match Description::parse(&answer) {
            Ok(read) => assert_eq!(read.streams.len(), offer.streams.len(), "{answer}"),
            Err(error) => panic!("our own answer cannot be read, {error}: {answer}"),
        }
    }
}

/// An Authorization value, and a challenge: never granted to who does not know the password, and what we answer to a
/// challenge can be read.
pub fn digest(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let now = Instant::now();
    let users = [("1001".to_owned(), Ha1::from_password("1001", "r", "a password nobody guesses"))].into();
    let mut verifier = Verifier::new(now, "r", users, true, [7; 32]);
    let mut rng = StdRng::from_seed([1; 32]);
    // `{nonce}` in the bytes stands for a nonce of ours: what a fuzzer could not find.
    let nonce = verifier.challenges(now, &mut rng, false).remove(0);
    let nonce = nonce.split("nonce=\"").nth(1).and_then(|n| n.split('"').next()).unwrap_or_default();
    let value = text.replace("{nonce}", nonce);
    let later = now + Duration::from_secs(1);
    if let Verdict::Granted { user } = verifier.verify(later, &[value], "REGISTER") {
        panic!("granted to {user}");
    }
    if let Some(mut challenge) = Challenge::choose(&[text], false) {
        let us = Credentials { user: "a\"b\\c".into(), password: "p".into() };
        let proof = challenge.answer(&us, "REGISTER", "sip:r", "c");
        let fields = crate::auth::parse(&proof);
        let read = fields.as_ref().and_then(|f| f.get("username")).map(String::as_str);
        assert_eq!((read, proof.contains(['\r', '\n'])), (Some("a\"b\\c"), false), "{proof}");
    }
}

fn address(text: &str) -> SocketAddr {
    match text.parse() {
        Ok(address) => address,
        Err(error) => panic!("{text}: {error}"),
    }
}
