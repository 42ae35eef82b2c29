//! The driver: sockets around the core. One task owns the core; socket tasks hand it what arrives through a bounded channel
//! and nothing else. When that channel is full, datagrams are dropped: UDP peers send again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use crate::core::{Core, Peer, Sizes, Transmit};
use crate::guard::{MAX_MESSAGE, is_keepalive};
use crate::{LegId, Listen, SipCommand, SipConfig, SipEvent, Transport};

/// A connection that begins a message must end it within this time.
const MESSAGE_TIME: Duration = Duration::from_secs(10);
/// The most streams at a time.
const MAX_STREAMS: usize = 1_000;

/// Why the front end did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("SIP cannot listen on {transport} {addr}: {cause}\n    free the port (ss -lnp shows who has it), or set [sip] {transport} to another")]
    Bind {
        /// Over what.
        transport: Transport,
        /// Where.
        addr: SocketAddr,
        /// The system's word.
        cause: std::io::Error,
    },
}

/// The front end takes no command: it has ended, or is overloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the SIP front end has ended or is overloaded")]
pub struct Gone;

enum Work {
    Arrived(Bytes, Peer),
    Command(SipCommand),
    Opened(usize, mpsc::Sender<Bytes>),
    Closed(Peer),
    Drain(bool),
}

/// The front end's address.
#[derive(Clone)]
pub struct SipHandle {
    work: mpsc::Sender<Work>,
    next_leg: Arc<AtomicU64>,
    sizes: watch::Receiver<Sizes>,
    locals: Arc<Vec<Listen>>,
}

impl SipHandle {
    /// A number for a call we are about to place.
    pub fn new_leg(&self) -> LegId {
        LegId(self.next_leg.fetch_add(1, Ordering::Relaxed))
    }

    /// Orders something, without waiting.
    pub fn send(&self, command: SipCommand) -> Result<(), Gone> {
        self.work.try_send(Work::Command(command)).map_err(|_| Gone)
    }

    /// No new calls.
    pub fn drain(&self, on: bool) {
        let _ = self.work.try_send(Work::Drain(on));
    }

    /// How full the tables are.
    pub fn sizes(&self) -> Sizes {
        *self.sizes.borrow()
    }

    /// Where it listens, as bound.
    pub fn locals(&self) -> &[Listen] {
        &self.locals
    }
}

/// Binds every listener, or none, and starts.
pub async fn start(config: SipConfig) -> Result<(SipHandle, mpsc::Receiver<SipEvent>), StartError> {
    let (mut udp, mut tcp, mut locals) = (Vec::new(), Vec::new(), Vec::new());
    for listen in &config.listen {
        let failed = |cause| StartError::Bind { transport: listen.transport, addr: listen.bind, cause };
        let bound = match listen.transport {
            Transport::Udp => {
                let socket = UdpSocket::bind(listen.bind).await.map_err(failed)?;
                let bound = socket.local_addr().map_err(failed)?;
                udp.push((locals.len(), Arc::new(socket)));
                bound
            }
            Transport::Tcp => {
                let listener = TcpListener::bind(listen.bind).await.map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                tcp.push(listener);
                bound
            }
        };
        locals.push(Listen { transport: listen.transport, bind: bound });
    }
    let (work, queue) = mpsc::channel(4_096);
    let (events, receiver) = mpsc::channel(4_096);
    let (sizes, watch) = watch::channel(Sizes::default());
    for (via, socket) in &udp {
        tokio::spawn(read_datagrams(Arc::clone(socket), *via, work.clone()));
    }
    let streams = Arc::new(AtomicU64::new(0));
    for listener in tcp {
        tokio::spawn(accept(listener, work.clone(), Arc::clone(&streams)));
    }
    let core = Core::new(Instant::now(), config, locals.clone(), rand::random());
    let driver = Driver { core, udp: udp.into_iter().collect(), streams: HashMap::new(), events, sizes };
    tokio::spawn(driver.run(queue));
    // Legs of calls from outside are numbered from 1 by the core; ours begin far above.
    let next_leg = Arc::new(AtomicU64::new(1 << 32));
    Ok((SipHandle { work, next_leg, sizes: watch, locals: Arc::new(locals) }, receiver))
}

struct Driver {
    core: Core,
    udp: HashMap<usize, Arc<UdpSocket>>,
    streams: HashMap<usize, mpsc::Sender<Bytes>>,
    events: mpsc::Sender<SipEvent>,
    sizes: watch::Sender<Sizes>,
}

impl Driver {
    async fn run(mut self, mut queue: mpsc::Receiver<Work>) {
        loop {
            let wake = self.core.poll_timeout();
            tokio::select! {
                work = queue.recv() => match work {
                    Some(work) => {
                        self.take(work);
                        // What else has arrived is taken in the same turn.
                        for _ in 0..64 {
                            match queue.try_recv() {
                                Ok(work) => self.take(work),
                                Err(_) => break,
                            }
                        }
                    }
                    None => return,
                },
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => self.core.timeout(Instant::now()),
            }
            if !self.flush().await {
                return;
            }
        }
    }

    fn take(&mut self, work: Work) {
        let now = Instant::now();
        match work {
            Work::Arrived(bytes, peer) => self.core.receive(now, bytes, &peer),
            Work::Command(command) => self.core.command(now, command),
            Work::Opened(id, writer) => {
                self.streams.insert(id, writer);
            }
            Work::Closed(peer) => {
                self.streams.remove(&peer.via);
                self.core.unreachable(now, &peer);
            }
            Work::Drain(on) => self.core.drain(on),
        }
    }

    async fn flush(&mut self) -> bool {
        while let Some(Transmit { to, bytes }) = self.core.poll_transmit() {
            match to.transport {
                Transport::Udp => {
                    let socket = self.udp.get(&to.via).or_else(|| self.udp.values().next());
                    if let Some(socket) = socket
                        && let Err(e) = socket.send_to(&bytes, to.addr).await
                    {
                        debug!(peer = %to.addr, error = %e, "datagram not sent");
                    }
                }
                Transport::Tcp => {
                    let sent = self.streams.get(&to.via).is_some_and(|s| s.try_send(bytes).is_ok());
                    if !sent {
                        debug!(peer = %to.addr, "stream is gone or does not read");
                        self.core.unreachable(Instant::now(), &to);
                    }
                }
            }
        }
        self.sizes.send_replace(self.core.sizes());
        while let Some(event) = self.core.poll_event() {
            if self.events.send(event).await.is_err() {
                return false;
            }
        }
        true
    }
}

async fn read_datagrams(socket: Arc<UdpSocket>, via: usize, work: mpsc::Sender<Work>) {
    let mut buffer = vec![0; MAX_MESSAGE + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((n, addr)) => {
                let peer = Peer { transport: Transport::Udp, addr, via };
                match work.try_send(Work::Arrived(Bytes::copy_from_slice(&buffer[..n]), peer)) {
                    Err(mpsc::error::TrySendError::Closed(_)) => return,
                    Err(mpsc::error::TrySendError::Full(_)) => debug!("overload: datagram dropped"),
                    Ok(()) => {}
                }
            }
            // ICMP port unreachable of an earlier datagram; the socket itself is well.
            Err(e) => debug!(error = %e, "receiving"),
        }
    }
}

async fn accept(listener: TcpListener, work: mpsc::Sender<Work>, count: Arc<AtomicU64>) {
    static NEXT: AtomicU64 = AtomicU64::new(1_000);
    loop {
        let (stream, addr) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                warn!(error = %e, "a stream could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await; // out of file descriptors: do not spin
                continue;
            }
        };
        if count.load(Ordering::Relaxed) >= MAX_STREAMS as u64 {
            debug!(peer = %addr, "too many streams");
            continue;
        }
        count.fetch_add(1, Ordering::Relaxed);
        let id = NEXT.fetch_add(1, Ordering::Relaxed) as usize;
        let peer = Peer { transport: Transport::Tcp, addr, via: id };
        let (work, count) = (work.clone(), Arc::clone(&count));
        tokio::spawn(async move {
            let (writer, outbox) = mpsc::channel(64);
            if work.send(Work::Opened(id, writer)).await.is_ok() {
                serve(stream, &peer, outbox, &work).await;
                let _ = work.send(Work::Closed(peer)).await;
            }
            count.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn serve(stream: TcpStream, peer: &Peer, mut outbox: mpsc::Receiver<Bytes>, work: &mpsc::Sender<Work>) {
    let _ = stream.set_nodelay(true);
    let (mut reader, mut writer) = stream.into_split();
    let writing = async {
        while let Some(bytes) = outbox.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    let reading = async {
        let mut buffer = BytesMut::with_capacity(4_096);
        loop {
            match next_message(&mut buffer) {
                Framed::Message(message) => {
                    if work.send(Work::Arrived(message, peer.clone())).await.is_err() {
                        return;
                    }
                    continue;
                }
                Framed::Keepalive => {
                    continue; // RFC 5626's pong is optional without outbound; reading it is enough
                }
                Framed::Broken(message) => {
                    // The boundary is lost: answer what can be answered, then close.
                    let _ = work.send(Work::Arrived(message, peer.clone())).await;
                    return;
                }
                Framed::More => {}
            }
            // An idle stream may rest; one that has begun a message must end it.
            let resting = buffer.is_empty();
            let read = reader.read_buf(&mut buffer);
            let n = if resting { read.await } else { tokio::time::timeout(MESSAGE_TIME, read).await.unwrap_or(Ok(0)) };
            if !matches!(n, Ok(n) if n > 0) {
                return;
            }
        }
    };
    tokio::pin!(writing, reading);
    tokio::select! {
        () = &mut writing => {}
        // What is already queued for the peer (a 400, say) is still written.
        () = &mut reading => { let _ = tokio::time::timeout(Duration::from_millis(200), writing).await; }
    }
}

enum Framed {
    Message(Bytes),
    Keepalive,
    Broken(Bytes),
    More,
}

/// Takes the next whole message off a stream, by its Content-Length (RFC 3261 §18.3).
fn next_message(buffer: &mut BytesMut) -> Framed {
    let blanks = buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    if blanks > 0 {
        let _ = buffer.split_to(blanks);
        return Framed::Keepalive;
    }
    if buffer.is_empty() || is_keepalive(buffer) {
        return Framed::More;
    }
    let Some(head) = buffer.windows(4).position(|w| w == b"\r\n\r\n").map(|p| p + 4) else {
        return if buffer.len() > 16_384 { Framed::Broken(buffer.split().freeze()) } else { Framed::More };
    };
    let text = String::from_utf8_lossy(&buffer[..head]);
    let lengths: Vec<Option<usize>> = text
        .split("\r\n")
        .skip(1)
        .filter_map(|l| l.split_once(':'))
        .filter(|(n, _)| matches!(n.trim().to_ascii_lowercase().as_str(), "content-length" | "l"))
        .map(|(_, v)| v.trim().parse().ok())
        .collect();
    match lengths.as_slice() {
        [Some(length)] if head + length <= MAX_MESSAGE => {
            if buffer.len() < head + length { Framed::More } else { Framed::Message(buffer.split_to(head + length).freeze()) }
        }
        // Mandatory on a stream (§18.3); two of them, or none, leave no boundary.
        _ => Framed::Broken(buffer.split_to(head).freeze()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_at_its_messages() {
        let one = "OPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabc";
        let mut buffer = BytesMut::from(format!("\r\n\r\n{one}{one}OPT").as_str());
        assert!(matches!(next_message(&mut buffer), Framed::Keepalive));
        for _ in 0..2 {
            assert!(matches!(next_message(&mut buffer), Framed::Message(m) if m == one));
        }
        assert!(matches!(next_message(&mut buffer), Framed::More));
    }

    #[test]
    fn a_stream_without_boundary_is_broken() {
        for head in ["Content-Length: -1", "Content-Length: 3\r\nl: 4", "X: y", "Content-Length: 99999999"] {
            let mut buffer = BytesMut::from(format!("OPTIONS sip:a SIP/2.0\r\n{head}\r\n\r\n").as_str());
            assert!(matches!(next_message(&mut buffer), Framed::Broken(_)), "{head}");
        }
    }
}
