//! TCP connections: one task reads and frames, one writes. They own no state of SIP; what they read goes to the endpoint's
//! bounded channel, and a peer that does not read what it is sent, or does not finish what it began, loses its connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::api::Limits;
use crate::endpoint::Arrival;
use crate::flow::{ConnectionId, Flow};
use crate::guard::{Frame, Framer};

/// Messages that may wait to be written to one peer.
const QUEUE: usize = 256;
/// How long one write, or a connect, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The endpoint's end of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub remote: SocketAddr,
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

/// Runs a connection that was accepted.
pub(crate) fn accepted(
    stream: TcpStream,
    flow: Flow,
    id: ConnectionId,
    limits: &Limits,
    arrivals: mpsc::Sender<Arrival>,
) -> Connection {
    let (writer, queue) = mpsc::channel(QUEUE);
    let (reading, writing) = stream.into_split();
    tokio::spawn(write(writing, queue));
    let tasks = tokio::spawn(read(reading, flow, id, limits.clone(), arrivals)).abort_handle();
    Connection { remote: flow.remote, writer, tasks }
}

/// Connects to a flow's peer and runs the connection; what is sent in the meantime waits.
pub(crate) fn connect(flow: Flow, id: ConnectionId, limits: &Limits, arrivals: mpsc::Sender<Arrival>) -> Connection {
    let (writer, queue) = mpsc::channel(QUEUE);
    let limits = limits.clone();
    let task = async move {
        match timeout(PATIENCE, TcpStream::connect(flow.remote)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                let (reading, writing) = stream.into_split();
                tokio::spawn(write(writing, queue));
                read(reading, flow, id, limits, arrivals).await;
            }
            _ => {
                let _ = arrivals.send(Arrival::ConnectFailed(id, flow)).await;
            }
        }
    };
    Connection { remote: flow.remote, writer, tasks: tokio::spawn(task).abort_handle() }
}

async fn write(mut stream: OwnedWriteHalf, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = queue.recv().await {
        if !matches!(timeout(PATIENCE, stream.write_all(&bytes)).await, Ok(Ok(()))) {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

async fn read(
    mut stream: OwnedReadHalf,
    flow: Flow,
    id: ConnectionId,
    limits: Limits,
    arrivals: mpsc::Sender<Arrival>,
) {
    let flow = Flow { connection: Some(id), ..flow };
    let mut framer = Framer::default();
    let mut buffer = vec![0; 16_384];
    let mut spoke = false;
    loop {
        let patience = if framer.pending() > 0 || !spoke { limits.tcp_patience } else { limits.tcp_idle };
        // A message dribbled in byte by byte has the same patience as one that stops: it is counted from its first byte.
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let received = match tokio::time::timeout_at(deadline, stream.read(&mut buffer)).await {
                Ok(Ok(n)) if n > 0 => n,
                end => {
                    let why = ended(&end);
                    let _ = arrivals.send(Arrival::Closed(id, why)).await;
                    return;
                }
            };
            framer.push(&buffer[..received]);
            match deliver(&mut framer, flow, &arrivals).await {
                Delivered::Some => {
                    spoke = true;
                    break;
                }
                Delivered::None if framer.pending() == 0 => break,
                Delivered::None => {}
                Delivered::Broken => return,
            }
        }
    }
}

enum Delivered {
    Some,
    None,
    Broken,
}

async fn deliver(framer: &mut Framer, flow: Flow, arrivals: &mpsc::Sender<Arrival>) -> Delivered {
    let mut any = Delivered::None;
    loop {
        let arrival = match framer.next_frame() {
            Ok(Frame::More) => return any,
            Ok(Frame::Message(bytes)) => Arrival::Message(flow, bytes),
            Ok(Frame::Ping) => Arrival::Ping(flow),
            Err(error) => {
                let _ = arrivals.send(Arrival::Misframed(flow, error)).await;
                return Delivered::Broken;
            }
        };
        any = Delivered::Some;
        if arrivals.send(arrival).await.is_err() {
            return Delivered::Broken;
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
