//! The phone itself: one UDP socket, requests outside dialogs (REGISTER, OPTIONS), and the way of each message to its call.
//!
//! A call is a task of its own (see `call`); this page only routes by Call-ID. Timers are those of RFC 3261 §17.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rsip::{Header, Method, Request, Response, SipMessage};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::call::{self, Call, Incoming, InviteOptions};
use crate::digest::Challenge;
use crate::message::{self, MessageError, header};
use crate::sdp::Codec;

/// RFC 3261 T1: the round trip that retransmission starts from.
pub const T1: Duration = Duration::from_millis(500);
/// RFC 3261 T2: the longest retransmission interval.
pub const T2: Duration = Duration::from_secs(4);
/// 64 × T1: timers B, F, H.
pub const GIVE_UP: Duration = Duration::from_secs(32);

const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE";

/// How a phone presents itself.
#[derive(Clone, Debug)]
pub struct PhoneConfig {
    /// Local SIP address; port 0 takes a free one. RTP uses the same IP address, so it must be a concrete one.
    pub bind: SocketAddr,
    /// User part of its address: an extension or a number.
    pub user: String,
    /// Password for digest challenges, if it has one.
    pub password: Option<String>,
    /// Domain of its address; the local IP address when empty.
    pub domain: String,
    /// Codecs it offers and accepts, best first.
    pub codecs: Vec<Codec>,
}

impl PhoneConfig {
    /// A phone on `bind` that knows both G.711 variants.
    pub fn new(bind: SocketAddr, user: &str) -> Self {
        Self { bind, user: user.into(), password: None, domain: String::new(), codecs: vec![Codec::Pcmu, Codec::Pcma] }
    }
}

/// Why a phone or one of its requests failed.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// The socket could not be opened or used.
    #[error("socket {addr}: {source}")]
    Socket {
        /// Which.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The URI is none, or not one whose host is an IPv4 address.
    #[error("cannot call {0}: want sip:USER@IPV4[:PORT]")]
    Uri(String),
    /// The message could not be built.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Nobody answered within 32 s (RFC 3261 timer F).
    #[error("no answer from {0}")]
    Timeout(SocketAddr),
}

/// Why a registration failed.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The request could not be sent or nobody answered.
    #[error(transparent)]
    Phone(#[from] PhoneError),
    /// The registrar refused.
    #[error("registrar refused with {code}")]
    Refused {
        /// SIP status.
        code: u16,
    },
}

/// A SIP phone on one UDP port. Calls need it: once it is dropped, they hear nothing more of the other side.
#[derive(Debug)]
pub struct Phone {
    ua: Arc<Ua>,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    reader: tokio::task::JoinHandle<()>,
    register_id: String,
    register_cseq: u32,
}

impl Phone {
    /// Opens the port.
    pub async fn open(config: PhoneConfig) -> Result<Self, PhoneError> {
        let fail = |source| PhoneError::Socket { addr: config.bind, source };
        let socket = UdpSocket::bind(config.bind).await.map_err(fail)?;
        let local = socket.local_addr().map_err(fail)?;
        let (arrive, incoming) = mpsc::unbounded_channel();
        let ua = Arc::new(Ua { socket, local, config, routes: Mutex::default(), arrive });
        let reader = tokio::spawn(read(Arc::clone(&ua)));
        Ok(Self { ua, incoming, reader, register_id: token(), register_cseq: 0 })
    }

    /// Where it listens for SIP.
    pub fn local_addr(&self) -> SocketAddr {
        self.ua.local
    }

    /// The next call that comes in.
    pub async fn incoming(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }

    /// Registers for `expires` (zero takes the binding away) and answers a digest challenge, the strongest that is
    /// offered. Returns the lifetime granted.
    pub async fn register(&mut self, registrar: SocketAddr, expires: Duration) -> Result<Duration, RegisterError> {
        let domain = self.ua.domain(registrar);
        let target = format!("sip:{domain}");
        let us = format!("sip:{}@{domain}", self.ua.config.user);
        let tag = token();
        let mut credentials: Option<Header> = None;
        let mut rounds = 0;
        loop {
            self.register_cseq += 1;
            let mut headers = self.ua.common(Method::Register, self.register_cseq, &self.register_id);
            headers.push(header("From", format!("<{us}>;tag={tag}")));
            headers.push(header("To", format!("<{us}>")));
            headers.push(header("Contact", format!("<{}>", self.ua.contact())));
            headers.push(header("Expires", expires.as_secs().to_string()));
            headers.extend(credentials.take());
            let uri = message::uri(&target).map_err(PhoneError::from)?;
            let request = message::request(Method::Register, uri, headers, None);
            let response = self.ua.transact(request, registrar, &self.register_id).await?;
            rounds += 1;
            match response.status_code.code() {
                200 => return Ok(self.granted(&response).unwrap_or(expires)),
                code @ (401 | 407) if rounds < 3 => {
                    let method = Method::Register;
                    let answer = self.ua.authorize(&response, method, &target, rounds > 1);
                    credentials = Some(answer.ok_or(RegisterError::Refused { code })?);
                }
                code => return Err(RegisterError::Refused { code }),
            }
        }
    }

    /// Asks what the other side can do; the status it answers.
    pub async fn options(&self, uri: &str) -> Result<u16, PhoneError> {
        let addr = message::addr_of(uri).ok_or_else(|| PhoneError::Uri(uri.into()))?;
        let call_id = token();
        let mut headers = self.ua.common(Method::Options, 1, &call_id);
        headers.push(header("From", format!("<{}>;tag={}", self.ua.contact(), token())));
        headers.push(header("To", format!("<{uri}>")));
        let request = message::request(Method::Options, message::uri(uri)?, headers, None);
        Ok(self.ua.transact(request, addr, &call_id).await?.status_code.code())
    }

    /// Places a call; what becomes of it comes as events.
    pub fn invite(&self, options: InviteOptions) -> Result<Call, PhoneError> {
        call::place(&self.ua, options)
    }

    fn granted(&self, response: &Response) -> Option<Duration> {
        let mine = message::values(response, "contact")
            .iter()
            .flat_map(|v| v.split(','))
            .find(|c| c.contains(&self.ua.local.to_string()))
            .and_then(|c| message::param(c.rsplit_once('>').map_or(c, |(_, p)| p), "expires"))
            .or_else(|| message::value(response, "expires"))?;
        Some(Duration::from_secs(mine.parse().ok()?))
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// What reaches the task that owns a Call-ID.
#[derive(Debug)]
pub enum Inbound {
    Request(Box<Request>, SocketAddr),
    Response(Box<Response>),
}

/// The socket and the table of Call-IDs.
#[derive(Debug)]
pub struct Ua {
    socket: UdpSocket,
    pub local: SocketAddr,
    pub config: PhoneConfig,
    routes: Mutex<HashMap<String, mpsc::UnboundedSender<Inbound>>>,
    arrive: mpsc::UnboundedSender<Incoming>,
}

impl Ua {
    pub async fn send(&self, bytes: &[u8], to: SocketAddr) {
        if let Err(error) = self.socket.send_to(bytes, to).await {
            // Unreliable transport: the retransmission or its timer deals with it.
            tracing::debug!(%to, %error, "datagram not sent");
        }
    }

    /// Takes everything that comes for a Call-ID, until [`Ua::forget`].
    pub fn route(&self, call_id: &str) -> mpsc::UnboundedReceiver<Inbound> {
        let (send, receive) = mpsc::unbounded_channel();
        self.routes().insert(call_id.to_owned(), send);
        receive
    }

    pub fn forget(&self, call_id: &str) {
        self.routes().remove(call_id);
    }

    pub fn contact(&self) -> String {
        format!("sip:{}@{}", self.config.user, self.local)
    }

    pub fn domain(&self, peer: SocketAddr) -> String {
        if self.config.domain.is_empty() { peer.to_string() } else { self.config.domain.clone() }
    }

    pub fn via(&self, branch: &str) -> Header {
        header("Via", format!("SIP/2.0/UDP {};branch={branch};rport", self.local))
    }

    /// Via with a fresh branch, Max-Forwards, Call-ID, CSeq, User-Agent, Allow.
    pub fn common(&self, method: Method, cseq: u32, call_id: &str) -> Vec<Header> {
        vec![
            self.via(&new_branch()),
            header("Max-Forwards", "70"),
            header("Call-ID", call_id),
            header("CSeq", format!("{cseq} {method}")),
            header("User-Agent", concat!("baton-phone/", env!("CARGO_PKG_VERSION"))),
            header("Allow", ALLOW),
        ]
    }

    /// Answers the strongest challenge of a 401 or 407. `again`: credentials were sent already, so only a stale nonce is
    /// worth another try.
    pub fn authorize(&self, response: &Response, method: Method, uri: &str, again: bool) -> Option<Header> {
        let password = self.config.password.as_deref()?;
        let (asked, answer) = match response.status_code.code() {
            407 => ("proxy-authenticate", "Proxy-Authorization"),
            _ => ("www-authenticate", "Authorization"),
        };
        let challenge = message::values(response, asked)
            .iter()
            .filter_map(|v| Challenge::parse(v))
            .max_by_key(|challenge| challenge.algorithm)
            .filter(|challenge| !again || challenge.stale)?;
        let value = challenge.answer(&self.config.user, password, &method.to_string(), uri, &token(), 1);
        Some(header(answer, value))
    }

    /// A non-INVITE client transaction (RFC 3261 §17.1.2).
    async fn transact(&self, request: Request, to: SocketAddr, call_id: &str) -> Result<Response, PhoneError> {
        let mut answers = self.route(call_id);
        let (branch, bytes) = (message::branch(&request), request.to_string().into_bytes());
        let give_up = Instant::now() + GIVE_UP;
        let mut interval = T1;
        let result = loop {
            self.send(&bytes, to).await;
            let next = (Instant::now() + interval).min(give_up);
            match self.final_answer(&mut answers, &branch, next).await {
                Some(response) => break Ok(response),
                None if Instant::now() >= give_up => break Err(PhoneError::Timeout(to)),
                None => interval = (interval * 2).min(T2),
            }
        };
        self.forget(call_id);
        result
    }

    async fn final_answer(
        &self,
        answers: &mut mpsc::UnboundedReceiver<Inbound>,
        branch: &str,
        until: Instant,
    ) -> Option<Response> {
        loop {
            match tokio::time::timeout_at(until, answers.recv()).await.ok()?? {
                Inbound::Response(r) if message::branch(&*r) == branch && r.status_code.code() >= 200 => {
                    return Some(*r);
                }
                _ => {}
            }
        }
    }

    fn routes(&self) -> std::sync::MutexGuard<'_, HashMap<String, mpsc::UnboundedSender<Inbound>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What no call claims: new calls, OPTIONS, and requests for dialogs that are gone.
    async fn unclaimed(self: &Arc<Self>, inbound: Inbound) {
        let Inbound::Request(request, from) = inbound else { return };
        let code = match request.method {
            Method::Invite if message::tag_of(&message::value(&*request, "to").unwrap_or_default()).is_none() => {
                match call::receive(self, &request, from) {
                    Some(incoming) => {
                        let _ = self.arrive.send(incoming);
                        return;
                    }
                    None => 400,
                }
            }
            Method::Ack => return,
            Method::Options => 200,
            Method::Invite | Method::Bye | Method::Cancel | Method::Info | Method::Update => 481,
            _ => 405,
        };
        let more = vec![header("Allow", ALLOW), header("Accept", "application/sdp")];
        let response = message::response(&request, code, &token(), more, None);
        self.send(response.to_string().as_bytes(), from).await;
    }
}

/// A token for tags, Call-IDs and cnonces: 96 random bits.
pub fn token() -> String {
    format!("{:016x}{:08x}", rand::random::<u64>(), rand::random::<u32>())
}

/// A branch with RFC 3261's magic cookie.
pub fn new_branch() -> String {
    format!("z9hG4bK{}", token())
}

async fn read(ua: Arc<Ua>) {
    let mut buffer = vec![0u8; 65_536];
    loop {
        let Ok((len, from)) = ua.socket.recv_from(&mut buffer).await else { continue };
        let datagram = &buffer[..len];
        // Keep-alives (RFC 5626 §3.5.1) are blank lines.
        if datagram.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let inbound = match message::parse(datagram) {
            Ok(SipMessage::Request(request)) => Inbound::Request(Box::new(request), from),
            Ok(SipMessage::Response(response)) => Inbound::Response(Box::new(response)),
            Err(error) => {
                tracing::warn!(%from, %error, "datagram dropped");
                continue;
            }
        };
        let call_id = match &inbound {
            Inbound::Request(request, _) => message::value(&**request, "call-id"),
            Inbound::Response(response) => message::value(&**response, "call-id"),
        };
        let owner = call_id.and_then(|id| ua.routes().get(&id).cloned());
        let left = match owner {
            Some(owner) => owner.send(inbound).err().map(|unsent| unsent.0),
            None => Some(inbound),
        };
        if let Some(inbound) = left {
            ua.unclaimed(inbound).await;
        }
    }
}
