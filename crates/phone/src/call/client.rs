//! The task of a call: its state, our own requests and the responses to them. Their requests: `server`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use rsip::{Header, Method, Request, Response};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Call, CallEvent, Incoming, InviteOptions, Wish};
use crate::media::Media;
use crate::message::{self, header};
use crate::sdp;
use crate::ua::{GIVE_UP, Inbound, PhoneError, T1, T2, Ua, new_branch, token};

/// Starts the task of a call that we place.
pub fn place(ua: &Arc<Ua>, options: InviteOptions) -> Result<Call, PhoneError> {
    let peer = message::addr_of(&options.uri).ok_or_else(|| PhoneError::Uri(options.uri.clone()))?;
    let target = message::uri(&options.uri)?.to_string();
    let local = options.from.clone().unwrap_or_else(|| ua.contact());
    message::uri(&local)?;
    let display = options.display.as_ref().map(|d| format!("\"{d}\" ")).unwrap_or_default();
    let dialog = Dialog {
        call_id: token(),
        local: format!("{display}<{local}>;tag={}", token()),
        remote: format!("<{target}>"),
        target,
        routes: Vec::new(),
        cseq: 1,
        peer,
    };
    let (mut task, call) = task(ua, dialog, options.noise)?;
    task.extra = options.headers.iter().map(|(n, v)| header(n, v.as_str())).collect();
    tokio::spawn(async move {
        task.send_invite(None).await;
        task.run().await;
    });
    Ok(call)
}

/// Starts the task of a call that came in. `None` when the INVITE lacks what a dialog needs.
pub fn receive(ua: &Arc<Ua>, invite: &Request, from: SocketAddr) -> Option<Incoming> {
    let caller = message::value(invite, "from")?;
    let contact = message::value(invite, "contact")?;
    let dialog = Dialog {
        call_id: message::value(invite, "call-id")?,
        local: format!("{};tag={}", message::value(invite, "to")?, token()),
        remote: caller.clone(),
        target: message::inner_uri(&contact),
        routes: message::values(invite, "record-route"),
        cseq: 1,
        peer: from,
    };
    let (mut task, call) = task(ua, dialog, None).ok()?;
    task.phase = Phase::Offered { invite: Box::new(invite.clone()), last: None, cseq: message::cseq(invite)?.0 };
    tokio::spawn(async move { task.run().await });
    Some(Incoming {
        invite: invite.to_string(),
        from_user: message::user_of(&caller).unwrap_or_default(),
        from_display: message::display_name(&caller),
        call,
    })
}

fn task(ua: &Arc<Ua>, dialog: Dialog, noise: Option<Arc<[i16]>>) -> Result<(Task, Call), PhoneError> {
    let ip = ua.local.ip();
    let fail = |source| PhoneError::Socket { addr: SocketAddr::new(ip, 0), source };
    let media = Arc::new(Media::open(ip, noise).map_err(fail)?);
    let (wishes, wished) = mpsc::unbounded_channel();
    let (tell, events) = mpsc::unbounded_channel();
    let call =
        Call { call_id: dialog.call_id.clone(), media: Arc::clone(&media), wishes, events, invited: Moment::now() };
    let task = Task {
        inbox: ua.route(&dialog.call_id),
        ua: Arc::clone(ua),
        dialog,
        media,
        wished,
        tell,
        phase: Phase::Inviting { ringing: false, ending: false, authorized: false },
        extra: Vec::new(),
        pending: Vec::new(),
        repeat: None,
        answered: HashMap::new(),
        last_ack: None,
        invite_branch: String::new(),
        sdp_version: u64::from(rand::random::<u32>()),
        hung_up_at: None,
        close_at: None,
    };
    Ok((task, call))
}

pub(super) struct Dialog {
    pub(super) call_id: String,
    /// Our From or To with its tag.
    pub(super) local: String,
    pub(super) remote: String,
    pub(super) target: String,
    pub(super) routes: Vec<String>,
    pub(super) cseq: u32,
    pub(super) peer: SocketAddr,
}

pub(super) enum Phase {
    /// Our INVITE is out.
    Inviting { ringing: bool, ending: bool, authorized: bool },
    /// Their INVITE waits for our final answer; `last` is what was answered so far.
    Offered { invite: Box<Request>, last: Option<Vec<u8>>, cseq: u32 },
    /// We refused; the refusal repeats until its ACK.
    Refused { last: Vec<u8> },
    /// 2xx sent or received.
    Talking { invite_cseq: u32 },
    /// Nothing more but answers to retransmissions.
    Over,
}

/// A client transaction: what repeats until it is answered.
pub(super) struct Pending {
    method: Method,
    branch: String,
    bytes: Vec<u8>,
    interval: Duration,
    next: Option<Instant>,
    give_up: Option<Instant>,
}

/// Our final response to an INVITE, repeated until the ACK (RFC 3261 §13.3.1.4, §17.2.1 timer G).
pub(super) struct Repeat {
    pub(super) bytes: Vec<u8>,
    pub(super) to: SocketAddr,
    pub(super) interval: Duration,
    pub(super) next: Instant,
    pub(super) give_up: Instant,
    /// The INVITE had no offer: the ACK carries the answer.
    pub(super) wants_answer: bool,
}

pub(super) struct Task {
    pub(super) ua: Arc<Ua>,
    pub(super) dialog: Dialog,
    pub(super) media: Arc<Media>,
    pub(super) inbox: mpsc::UnboundedReceiver<Inbound>,
    pub(super) wished: mpsc::UnboundedReceiver<Wish>,
    pub(super) tell: mpsc::UnboundedSender<CallEvent>,
    pub(super) phase: Phase,
    pub(super) extra: Vec<Header>,
    pub(super) pending: Vec<Pending>,
    pub(super) repeat: Option<Repeat>,
    /// Final responses by branch and method, for retransmitted requests.
    pub(super) answered: HashMap<(String, String), Vec<u8>>,
    pub(super) last_ack: Option<Vec<u8>>,
    pub(super) invite_branch: String,
    pub(super) sdp_version: u64,
    pub(super) hung_up_at: Option<Moment>,
    pub(super) close_at: Option<Instant>,
}

impl Task {
    async fn run(mut self) {
        let mut wishing = true;
        while !self.finished() {
            let alarm = self.next_alarm();
            tokio::select! {
                inbound = self.inbox.recv() => match inbound {
                    Some(Inbound::Request(request, from)) => self.request(*request, from).await,
                    Some(Inbound::Response(response)) => self.response(*response).await,
                    None => break,
                },
                wish = self.wished.recv(), if wishing => match wish {
                    Some(wish) => self.wish(wish).await,
                    None => {
                        wishing = false;
                        self.wish(Wish::End).await;
                    }
                },
                () = tokio::time::sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => self.alarm().await,
            }
        }
        self.media.close();
        self.ua.forget(&self.dialog.call_id);
    }

    fn finished(&self) -> bool {
        let idle = self.pending.is_empty() && self.repeat.is_none();
        matches!(self.phase, Phase::Over) && idle && self.close_at.is_some_and(|at| Instant::now() >= at)
    }

    pub(super) fn event(&self, event: CallEvent) {
        tracing::debug!(call_id = %self.dialog.call_id, ?event, "phone");
        let _ = self.tell.send(event);
    }

    /// The call is over; retransmissions of the last requests are still answered for one T2.
    pub(super) fn over(&mut self) {
        self.phase = Phase::Over;
        self.media.close();
        self.close_at = Some(Instant::now() + T2);
    }

    async fn wish(&mut self, wish: Wish) {
        match (wish, &mut self.phase) {
            (Wish::Ring, Phase::Offered { .. }) => self.provisional(180).await,
            (Wish::Answer, Phase::Offered { .. }) => self.accept().await,
            (Wish::Reject(code), Phase::Offered { .. }) => self.refuse(code).await,
            (Wish::End, Phase::Offered { .. }) => self.refuse(480).await,
            (Wish::End, Phase::Inviting { ringing, ending: ending @ false, .. }) => {
                *ending = true;
                // No CANCEL before a provisional response (RFC 3261 §9.1), and only one.
                if *ringing {
                    self.cancel().await;
                }
            }
            (Wish::End, Phase::Talking { .. }) => {
                self.hung_up_at = Some(Moment::now());
                self.in_dialog(Method::Bye).await;
                self.over();
            }
            _ => {}
        }
    }

    /// The other side has answered our BYE or acknowledged our refusal, or never will.
    pub(super) fn hung_up(&mut self) {
        if let Some(at) = self.hung_up_at.take() {
            self.event(CallEvent::HungUp { at });
        }
    }

    // ---- our requests

    async fn send_invite(&mut self, credentials: Option<Header>) {
        let mut headers = self.headers(Method::Invite);
        headers.push(header("Contact", format!("<{}>", self.ua.contact())));
        headers.extend(self.extra.iter().cloned());
        headers.extend(credentials);
        let offer = sdp::offer(self.media.local_addr(), &self.ua.config.codecs, self.sdp_version);
        self.invite_branch = self.start(Method::Invite, headers, Some(offer)).await;
    }

    pub(super) async fn in_dialog(&mut self, method: Method) {
        self.dialog.cseq += 1;
        let headers = self.headers(method);
        self.start(method, headers, None).await;
    }

    async fn cancel(&mut self) {
        let mut headers = self.headers(Method::Cancel);
        headers[0] = self.ua.via(&self.invite_branch.clone());
        self.start(Method::Cancel, headers, None).await;
        if let Some(invite) = self.pending.iter_mut().find(|p| p.method == Method::Invite) {
            invite.give_up = Some(Instant::now() + GIVE_UP);
        }
    }

    fn headers(&self, method: Method) -> Vec<Header> {
        let mut headers = self.ua.common(method, self.dialog.cseq, &self.dialog.call_id);
        headers.extend(self.dialog.routes.iter().map(|r| header("Route", r.as_str())));
        headers.push(header("From", self.dialog.local.as_str()));
        headers.push(header("To", self.dialog.remote.as_str()));
        headers
    }

    /// Sends a request and keeps it for retransmission; returns its branch.
    async fn start(&mut self, method: Method, headers: Vec<Header>, body: Option<String>) -> String {
        let Ok(uri) = message::uri(&self.dialog.target) else { return String::new() };
        let request = message::request(method, uri, headers, body);
        let (branch, bytes) = (message::branch(&request), request.to_string().into_bytes());
        self.ua.send(&bytes, self.next_hop()).await;
        let now = Instant::now();
        self.pending.push(Pending {
            method,
            branch: branch.clone(),
            bytes,
            interval: T1,
            next: Some(now + T1),
            give_up: Some(now + GIVE_UP),
        });
        branch
    }

    /// First Route, else the target, else where the peer's messages come from (its host may be a name).
    fn next_hop(&self) -> SocketAddr {
        let route = self.dialog.routes.first().map(|r| message::inner_uri(r));
        route.as_deref().or(Some(&self.dialog.target)).and_then(message::addr_of).unwrap_or(self.dialog.peer)
    }

    async fn alarm(&mut self) {
        let now = Instant::now();
        let hop = self.next_hop();
        for pending in &mut self.pending {
            if pending.next.is_some_and(|at| at <= now) {
                self.ua.send(&pending.bytes, hop).await;
                // Timer A doubles without bound, timer E up to T2.
                pending.interval *= 2;
                if pending.method != Method::Invite {
                    pending.interval = pending.interval.min(T2);
                }
                pending.next = Some(now + pending.interval);
            }
        }
        let expired = |p: &Pending| p.give_up.is_some_and(|at| at <= now);
        let invite_expired = self.pending.iter().any(|p| p.method == Method::Invite && expired(p));
        if self.pending.iter().any(|p| p.method == Method::Bye && expired(p)) {
            self.hung_up();
        }
        self.pending.retain(|p| !expired(p));
        if invite_expired && matches!(self.phase, Phase::Inviting { .. }) {
            self.event(CallEvent::Failed { code: 408, at: Moment::now() });
            self.over();
        }
        if let Some(repeat) = &mut self.repeat {
            if repeat.give_up <= now {
                self.repeat = None;
                if matches!(self.phase, Phase::Talking { .. }) {
                    self.in_dialog(Method::Bye).await;
                    self.event(CallEvent::Failed { code: 408, at: Moment::now() });
                }
                self.hung_up();
                self.over();
            } else if repeat.next <= now {
                self.ua.send(&repeat.bytes, repeat.to).await;
                repeat.interval = (repeat.interval * 2).min(T2);
                repeat.next = now + repeat.interval;
            }
        }
    }

    fn next_alarm(&self) -> Option<Instant> {
        let pending = self.pending.iter().flat_map(|p| [p.next, p.give_up]).flatten();
        let repeat = self.repeat.iter().flat_map(|r| [r.next, r.give_up]);
        let close = self.close_at.filter(|_| self.pending.is_empty() && self.repeat.is_none());
        pending.chain(repeat).chain(close).min()
    }

    // ---- their responses

    async fn response(&mut self, response: Response) {
        let code = response.status_code.code();
        let branch = message::branch(&response);
        let method = message::cseq(&response).map(|(_, m)| m).unwrap_or_default();
        let Some(at) = self.pending.iter().position(|p| p.branch == branch && p.method.to_string() == method) else {
            // Our ACK got lost: the 2xx or the refusal comes again.
            if method == "INVITE" && code >= 200 && branch == self.invite_branch {
                match (&self.last_ack, code < 300) {
                    (Some(ack), true) => self.ua.send(ack, self.next_hop()).await,
                    _ => self.ack_refusal(&response).await,
                }
            }
            return;
        };
        if code < 200 {
            if method == "INVITE" {
                self.pending[at].next = None;
                self.pending[at].give_up = None;
                self.progress(code).await;
            }
            return;
        }
        self.pending.remove(at);
        match (method.as_str(), code) {
            ("INVITE", 200..300) => self.answered_by(&response).await,
            ("INVITE", _) => self.refused_by(&response, code).await,
            ("BYE", _) => self.hung_up(),
            _ => {}
        }
    }

    async fn progress(&mut self, code: u16) {
        let Phase::Inviting { ringing, ending, .. } = &mut self.phase else { return };
        let first = !std::mem::replace(ringing, true);
        let cancel = *ending && first;
        if code > 100 {
            self.event(CallEvent::Progress { code, at: Moment::now() });
        }
        if cancel {
            self.cancel().await;
        }
    }

    async fn answered_by(&mut self, response: &Response) {
        let at = Moment::now();
        self.dialog.remote = message::value(response, "to").unwrap_or_default();
        self.dialog.routes = message::values(response, "record-route");
        self.dialog.routes.reverse();
        if let Some(contact) = message::value(response, "contact") {
            self.dialog.target = message::inner_uri(&contact);
        }
        let mut headers = self.headers(Method::Ack);
        headers[0] = self.ua.via(&new_branch());
        if let Ok(uri) = message::uri(&self.dialog.target) {
            let bytes = message::request(Method::Ack, uri, headers, None).to_string().into_bytes();
            self.ua.send(&bytes, self.next_hop()).await;
            self.last_ack = Some(bytes);
        }
        let ending = matches!(self.phase, Phase::Inviting { ending: true, .. });
        self.phase = Phase::Talking { invite_cseq: 0 };
        let usable = sdp::read(&String::from_utf8_lossy(&response.body), &self.ua.config.codecs);
        match usable {
            Ok(remote) if !ending => {
                self.media.connect(remote);
                self.event(CallEvent::Answered { at });
            }
            Ok(_) => {
                // The answer crossed our CANCEL.
                self.hung_up_at = Some(at);
                self.in_dialog(Method::Bye).await;
                self.over();
            }
            Err(error) => {
                tracing::warn!(%error, "answer without usable audio");
                self.in_dialog(Method::Bye).await;
                self.event(CallEvent::Failed { code: 488, at });
                self.over();
            }
        }
    }

    async fn refused_by(&mut self, response: &Response, code: u16) {
        self.ack_refusal(response).await;
        let Phase::Inviting { authorized, ringing, ending } = &mut self.phase else { return };
        let again = *authorized;
        if matches!(code, 401 | 407)
            && !*ending
            && let Some(credentials) = self.ua.authorize(response, Method::Invite, &self.dialog.target, again)
        {
            (*authorized, *ringing) = (true, false);
            self.dialog.cseq += 1;
            self.send_invite(Some(credentials)).await;
            return;
        }
        self.event(CallEvent::Failed { code, at: Moment::now() });
        self.over();
    }

    /// ACK of a non-2xx: the INVITE's branch and CSeq, the response's To (RFC 3261 §17.1.1.3).
    async fn ack_refusal(&mut self, response: &Response) {
        let (Ok(uri), Some((number, _))) = (message::uri(&self.dialog.target), message::cseq(response)) else { return };
        let mut headers = self.ua.common(Method::Ack, number, &self.dialog.call_id);
        headers[0] = self.ua.via(&message::branch(response));
        headers.push(header("From", self.dialog.local.as_str()));
        headers.push(header("To", message::value(response, "to").unwrap_or_default()));
        let ack = message::request(Method::Ack, uri, headers, None);
        self.ua.send(ack.to_string().as_bytes(), self.next_hop()).await;
    }
}
