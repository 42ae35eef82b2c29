//! A call's answers to the other side's requests: INVITE and its final answers, re-INVITE, BYE, CANCEL, UPDATE, INFO.

use std::net::SocketAddr;
use std::time::Instant as Moment;

use rsip::{Header, Method, Request};
use tokio::time::Instant;

use super::CallEvent;
use super::client::{Phase, Repeat, Task};
use crate::message::{self, header};
use crate::sdp::{self, Codec};
use crate::ua::{GIVE_UP, T1};

impl Task {
    pub(super) async fn request(&mut self, request: Request, from: SocketAddr) {
        let key = (message::branch(&request), request.method.to_string());
        if let Some(bytes) = self.answered.get(&key) {
            self.ua.send(bytes, from).await;
            return;
        }
        match request.method {
            Method::Ack => self.ack(&request),
            Method::Invite => self.invite(request, from).await,
            Method::Cancel => self.cancelled(&request, from).await,
            Method::Bye => {
                self.respond(&request, 200, from).await;
                let reason = message::value(&request, "reason");
                self.repeat = None;
                if matches!(self.phase, Phase::Talking { .. }) {
                    self.event(CallEvent::Ended { reason, at: Moment::now() });
                    self.over();
                }
            }
            Method::Update => self.update(&request, from).await,
            Method::Info => {
                if let Some(digit) = info_digit(&request) {
                    self.event(CallEvent::InfoDigit { digit, at: Moment::now() });
                }
                self.respond(&request, 200, from).await;
            }
            Method::Options => self.respond(&request, 200, from).await,
            _ => self.respond(&request, 501, from).await,
        }
    }

    fn ack(&mut self, ack: &Request) {
        let Some(repeat) = self.repeat.take() else { return };
        match self.phase {
            Phase::Talking { .. } => {
                if repeat.wants_answer
                    && let Ok(remote) = sdp::read(&String::from_utf8_lossy(&ack.body), &self.ua.config.codecs)
                {
                    self.media.connect(remote);
                }
                self.event(CallEvent::Confirmed { at: Moment::now() });
            }
            Phase::Refused { .. } => {
                self.hung_up();
                self.over();
            }
            _ => {}
        }
    }

    /// A retransmitted INVITE, or one inside the dialog.
    async fn invite(&mut self, request: Request, from: SocketAddr) {
        let number = message::cseq(&request).map_or(0, |(n, _)| n);
        match &self.phase {
            Phase::Offered { last, cseq, .. } if *cseq == number => {
                if let Some(bytes) = last {
                    self.ua.send(bytes, from).await;
                }
            }
            Phase::Refused { last } => self.ua.send(last, from).await,
            Phase::Talking { invite_cseq } if *invite_cseq == number => {
                if let Some(repeat) = &self.repeat {
                    self.ua.send(&repeat.bytes, from).await;
                }
            }
            Phase::Talking { .. } => self.reinvite(request, from, number).await,
            // Our INVITE is still open (RFC 3261 §14.2).
            Phase::Offered { .. } | Phase::Inviting { .. } => self.respond(&request, 491, from).await,
            Phase::Over => self.respond(&request, 481, from).await,
        }
    }

    async fn reinvite(&mut self, request: Request, from: SocketAddr, number: u32) {
        let Some((body, wants_answer)) = self.session_answer(&request) else {
            self.respond(&request, 488, from).await;
            return;
        };
        self.retarget(&request);
        self.phase = Phase::Talking { invite_cseq: number };
        self.final_answer(&request, 200, from, Some(body), wants_answer).await;
        self.event(CallEvent::Reoffered { at: Moment::now() });
    }

    async fn update(&mut self, request: &Request, from: SocketAddr) {
        self.retarget(request);
        if request.body.is_empty() {
            self.respond(request, 200, from).await;
            return;
        }
        let Some((body, _)) = self.session_answer(request) else {
            self.respond(request, 488, from).await;
            return;
        };
        let more = vec![header("Contact", format!("<{}>", self.ua.contact()))];
        self.respond_with(request, 200, from, more, Some(body)).await;
        self.event(CallEvent::Reoffered { at: Moment::now() });
    }

    fn retarget(&mut self, request: &Request) {
        if let Some(contact) = message::value(request, "contact") {
            self.dialog.target = message::inner_uri(&contact);
        }
    }

    /// Our SDP for a request with an offer, or our offer when it has none; `None` when nothing fits.
    fn session_answer(&mut self, request: &Request) -> Option<(String, bool)> {
        let codecs: &[Codec] = &self.ua.config.codecs;
        self.sdp_version += 1;
        if request.body.is_empty() {
            return Some((sdp::offer(self.media.local_addr(), codecs, self.sdp_version), true));
        }
        let offer = String::from_utf8_lossy(&request.body);
        let remote = sdp::read(&offer, codecs).ok()?;
        self.media.connect(remote);
        Some((sdp::answer(&offer, &remote, self.media.local_addr(), self.sdp_version), false))
    }

    pub(super) async fn provisional(&mut self, code: u16) {
        let contact = header("Contact", format!("<{}>", self.ua.contact()));
        let tag = message::tag_of(&self.dialog.local).unwrap_or_default();
        let Phase::Offered { invite, last, .. } = &mut self.phase else { return };
        let bytes = message::response(invite, code, &tag, vec![contact], None).to_string().into_bytes();
        self.ua.send(&bytes, self.dialog.peer).await;
        *last = Some(bytes);
    }

    pub(super) async fn accept(&mut self) {
        let Phase::Offered { invite, cseq, .. } = &self.phase else { return };
        let (invite, cseq) = (invite.clone(), *cseq);
        let Some((body, wants_answer)) = self.session_answer(&invite) else {
            self.refuse(488).await;
            return;
        };
        self.phase = Phase::Talking { invite_cseq: cseq };
        self.final_answer(&invite, 200, self.dialog.peer, Some(body), wants_answer).await;
    }

    pub(super) async fn refuse(&mut self, code: u16) {
        let Phase::Offered { invite, .. } = &self.phase else { return };
        let invite = invite.clone();
        let last = self.final_answer(&invite, code, self.dialog.peer, None, false).await;
        self.phase = Phase::Refused { last };
        self.hung_up_at = Some(Moment::now());
    }

    async fn cancelled(&mut self, request: &Request, from: SocketAddr) {
        self.respond(request, 200, from).await;
        let Phase::Offered { invite, .. } = &self.phase else { return };
        let invite = invite.clone();
        let last = self.final_answer(&invite, 487, from, None, false).await;
        self.phase = Phase::Refused { last };
        self.event(CallEvent::Ended { reason: message::value(request, "reason"), at: Moment::now() });
    }

    async fn final_answer(
        &mut self,
        invite: &Request,
        code: u16,
        to: SocketAddr,
        body: Option<String>,
        wants_answer: bool,
    ) -> Vec<u8> {
        let more = vec![header("Contact", format!("<{}>", self.ua.contact()))];
        let tag = message::tag_of(&self.dialog.local).unwrap_or_default();
        let bytes = message::response(invite, code, &tag, more, body).to_string().into_bytes();
        self.ua.send(&bytes, to).await;
        let now = Instant::now();
        self.repeat = Some(Repeat {
            bytes: bytes.clone(),
            to,
            interval: T1,
            next: now + T1,
            give_up: now + GIVE_UP,
            wants_answer,
        });
        bytes
    }

    async fn respond(&mut self, request: &Request, code: u16, to: SocketAddr) {
        self.respond_with(request, code, to, Vec::new(), None).await;
    }

    async fn respond_with(
        &mut self,
        request: &Request,
        code: u16,
        to: SocketAddr,
        more: Vec<Header>,
        body: Option<String>,
    ) {
        let tag = message::tag_of(&self.dialog.local).unwrap_or_default();
        let bytes = message::response(request, code, &tag, more, body).to_string().into_bytes();
        self.ua.send(&bytes, to).await;
        self.answered.insert((message::branch(request), request.method.to_string()), bytes);
    }
}

/// `Signal=5` of application/dtmf-relay.
fn info_digit(request: &Request) -> Option<char> {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let signal = body.lines().find_map(|l| l.trim().strip_prefix("Signal="))?;
    signal.trim().chars().next()
}
