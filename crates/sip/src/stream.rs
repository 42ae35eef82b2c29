//! Connections: one task opens, reads and frames, one writes. They own no state of SIP; what they read goes to the
//! endpoint's bounded channel, and a peer that does not read what it is sent, does not finish what it began, or sends
//! faster than it may, loses its connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::api::{Limits, Transport};
use crate::defence::{Defence, Pace};
use crate::dns::Dns;
use crate::flow::{ConnectionId, Flow};
use crate::guard::{Frame, Framer};
use crate::hep::Exporter;
use crate::owner::Arrival;
use crate::tls::Tls;
use crate::websocket;

/// Messages that may wait to be written to one peer.
const QUEUE: usize = 256;
/// How long one write may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connect may take. Short: a request moved from UDP waits for it, and goes back.
const CONNECT: Duration = Duration::from_secs(4);

/// What all connections of an endpoint share.
#[derive(Debug)]
pub(crate) struct Kit {
    pub limits: Limits,
    pub defence: Defence,
    pub tls: Option<Tls>,
    pub dns: Dns,
    pub ws_origins: Vec<String>,
    /// Gets a copy of every message.
    pub hep: Option<Exporter>,
    pub arrivals: mpsc::Sender<Arrival>,
}

/// How a connection comes about.
#[derive(Debug)]
pub(crate) enum Opening {
    /// Somebody connected.
    Accepted(TcpStream),
    /// We connect; under TLS the peer must be whom this names, where it has a name.
    Connect { name: Option<String> },
}

/// The endpoint's end of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub transport: Transport,
    pub remote: SocketAddr,
    /// The address of its own that the peer wants to be reached under by this connection (RFC 5923).
    pub alias: Option<SocketAddr>,
    writer: mpsc::Sender<Bytes>,
    tasks: AbortHandle,
}

impl Connection {
    /// Queues a message; `false` if the peer does not take what it is sent.
    pub fn send(&self, bytes: Bytes) -> bool {
        self.writer.try_send(bytes).is_ok()
    }

    /// Stops reading; what is queued is still written.
    pub fn close(self) {
        self.tasks.abort();
    }
}

/// Runs a connection; what is sent before it stands waits.
pub(crate) fn open(opening: Opening, flow: Flow, id: ConnectionId, kit: Arc<Kit>) -> Connection {
    let (writer, queue) = mpsc::channel(QUEUE);
    let flow = Flow { connection: Some(id), ..flow };
    let tasks = tokio::spawn(run(opening, flow, id, kit, queue)).abort_handle();
    Connection { transport: flow.transport, remote: flow.remote, alias: None, writer, tasks }
}

async fn run(opening: Opening, flow: Flow, id: ConnectionId, kit: Arc<Kit>, queue: mpsc::Receiver<Bytes>) {
    let arrivals = kit.arrivals.clone();
    let connecting = matches!(opening, Opening::Connect { .. });
    let why = match establish(opening, flow, id, &kit, queue).await {
        Ok(why) => why,
        Err(error) if connecting => {
            let _ = arrivals.send(Arrival::ConnectFailed(id, flow, error.to_string())).await;
            return;
        }
        Err(error) => {
            tracing::info!(from = %flow.remote, transport = %flow.transport, %error, "no connection came about");
            "handshake failed"
        }
    };
    let _ = arrivals.send(Arrival::Closed(id, why)).await;
}

/// Does what handshakes the transport wants, then serves the connection to its end; says why it ended.
async fn establish(
    opening: Opening,
    flow: Flow,
    id: ConnectionId,
    kit: &Arc<Kit>,
    queue: mpsc::Receiver<Bytes>,
) -> Result<&'static str, OpenError> {
    let (tcp, name, ours) = match opening {
        Opening::Accepted(tcp) => (tcp, None, false),
        Opening::Connect { name } => {
            let tcp = timeout(CONNECT, TcpStream::connect(flow.remote)).await.map_err(|_| OpenError::Silent)??;
            (tcp, name, true)
        }
    };
    let _ = tcp.set_nodelay(true);
    let patience = kit.limits.tcp_patience;
    match (flow.transport, ours) {
        (Transport::Tls, true) => {
            let connector = kit.tls.as_ref().ok_or(OpenError::NoCertificate)?.connector();
            let name = server_name(name, flow.remote.ip())?;
            let tls = timeout(PATIENCE, connector.connect(name, tcp)).await.map_err(|_| OpenError::Silent)??;
            Ok(serve(tls, flow, id, kit, queue).await)
        }
        (Transport::Tls, false) => {
            let acceptor = kit.tls.as_ref().ok_or(OpenError::NoCertificate)?.acceptor();
            let tls = timeout(patience, acceptor.accept(tcp)).await.map_err(|_| OpenError::Silent)??;
            Ok(serve(tls, flow, id, kit, queue).await)
        }
        (Transport::Ws, false) => websocket::serve(tcp, flow, kit, queue).await,
        (Transport::Wss, false) => {
            let acceptor = kit.tls.as_ref().ok_or(OpenError::NoCertificate)?.acceptor();
            let tls = timeout(patience, acceptor.accept(tcp)).await.map_err(|_| OpenError::Silent)??;
            websocket::serve(tls, flow, kit, queue).await
        }
        (Transport::Tcp | Transport::Udp, _) => Ok(serve(tcp, flow, id, kit, queue).await),
        (Transport::Ws | Transport::Wss, true) => Err(OpenError::NotConnectable),
    }
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("nothing came in time")]
    Silent,
    #[error("no certificate is configured")]
    NoCertificate,
    #[error("{0:?} is no name a certificate could have")]
    Name(String),
    #[error("a browser cannot be connected to")]
    NotConnectable,
    #[error("no WebSocket: {0}")]
    WebSocket(String),
}

fn server_name(name: Option<String>, ip: IpAddr) -> Result<ServerName<'static>, OpenError> {
    match name {
        Some(name) => ServerName::try_from(name.clone()).map_err(|_| OpenError::Name(name)),
        None => Ok(ServerName::IpAddress(ip.into())),
    }
}

async fn serve<S>(stream: S, flow: Flow, id: ConnectionId, kit: &Arc<Kit>, queue: mpsc::Receiver<Bytes>) -> &'static str
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (reading, writing) = tokio::io::split(stream);
    tokio::spawn(write(writing, queue));
    read(reading, flow, id, kit).await
}

async fn write(mut stream: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = queue.recv().await {
        let written = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        if !matches!(timeout(PATIENCE, written).await, Ok(Ok(()))) {
            break;
        }
    }
    let _ = timeout(PATIENCE, stream.shutdown()).await;
}

async fn read(mut stream: impl AsyncRead + Unpin, flow: Flow, id: ConnectionId, kit: &Kit) -> &'static str {
    let mut framer = Framer::default();
    let mut pace = Pace::new(&kit.defence, flow.remote.ip());
    let mut buffer = vec![0; 16_384];
    let mut spoke = false;
    loop {
        let patience = if framer.pending() > 0 || !spoke { kit.limits.tcp_patience } else { kit.limits.tcp_idle };
        // A message dribbled in byte by byte has the same patience as one that stops: it is counted from its first byte.
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let received = match tokio::time::timeout_at(deadline, stream.read(&mut buffer)).await {
                Ok(Ok(n)) if n > 0 => n,
                end => return ended(&end),
            };
            framer.push(&buffer[..received]);
            match deliver(&mut framer, &mut pace, flow, id, &kit.arrivals).await {
                Delivered::Some => {
                    spoke = true;
                    break;
                }
                Delivered::None if framer.pending() == 0 => break,
                Delivered::None => {}
                Delivered::Broken(why) => return why,
            }
        }
    }
}

enum Delivered {
    Some,
    None,
    Broken(&'static str),
}

async fn deliver(
    framer: &mut Framer,
    pace: &mut Pace,
    flow: Flow,
    id: ConnectionId,
    arrivals: &mpsc::Sender<Arrival>,
) -> Delivered {
    let mut any = Delivered::None;
    loop {
        let arrival = match framer.next_frame() {
            Ok(Frame::More) => return any,
            Ok(Frame::Message(bytes)) => Arrival::Message(flow, bytes),
            Ok(Frame::Ping) => Arrival::Ping(id, Bytes::from_static(b"\r\n")),
            Ok(Frame::Stun(bytes)) => match crate::stun::answer(&bytes, flow.remote) {
                Some(answer) => Arrival::Ping(id, answer.into()),
                None => continue,
            },
            Err(error) => {
                let _ = arrivals.send(Arrival::Misframed(flow, error)).await;
                return Delivered::Broken("");
            }
        };
        any = Delivered::Some;
        if !pace.admit(std::time::Instant::now()) {
            return Delivered::Broken("sent more requests than it may");
        }
        if arrivals.send(arrival).await.is_err() {
            return Delivered::Broken("");
        }
    }
}

fn ended(end: &Result<io::Result<usize>, tokio::time::error::Elapsed>) -> &'static str {
    match end {
        Ok(Ok(_)) => "closed by the peer",
        Ok(Err(_)) => "broken",
        Err(_) => "silent for too long",
    }
}
