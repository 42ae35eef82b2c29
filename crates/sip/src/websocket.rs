//! SIP over WebSocket (RFC 7118): the handshake with its subprotocol `sip`, then one SIP message in each WebSocket message,
//! text or binary. TLS, if any, was done before.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use crate::defence::Pace;
use crate::flow::Flow;
use crate::guard::{self, MAX_MESSAGE};
use crate::owner::Arrival;
use crate::stream::{Kit, OpenError, PATIENCE};

/// The subprotocol's name (RFC 7118 §4).
const SUBPROTOCOL: &str = "sip";

/// Serves a client to its end; says why it ended.
pub(crate) async fn serve<S>(
    stream: S,
    flow: Flow,
    kit: &Arc<Kit>,
    queue: mpsc::Receiver<Bytes>,
) -> Result<&'static str, OpenError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let received = Arc::new(AtomicUsize::new(0));
    let stream = Counted { inner: stream, received: Arc::clone(&received) };
    let origins = kit.ws_origins.clone();
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let check = move |request: &Request, response: Response| negotiate(request, response, &origins);
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_MESSAGE);
    let handshake = accept_hdr_async_with_config(stream, check, Some(config));
    let socket = timeout(kit.limits.tcp_patience, handshake)
        .await
        .map_err(|_| OpenError::Silent)?
        .map_err(|e| OpenError::WebSocket(e.to_string()))?;
    let (writing, reading) = socket.split();
    tokio::spawn(write(writing, queue));
    Ok(read(reading, flow, kit, &received).await)
}

type Sender<S> = futures_util::stream::SplitSink<WebSocketStream<Counted<S>>, Message>;
type Receiver<S> = futures_util::stream::SplitStream<WebSocketStream<Counted<S>>>;

async fn write<S: AsyncRead + AsyncWrite + Unpin>(mut socket: Sender<S>, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = queue.recv().await {
        // RFC 7118 §5: text where the message is UTF-8, which it is unless a peer put other bytes into what we echo.
        let message = match String::from_utf8(bytes.to_vec()) {
            Ok(text) => Message::text(text),
            Err(_) => Message::binary(bytes),
        };
        if !matches!(timeout(PATIENCE, socket.send(message)).await, Ok(Ok(()))) {
            break;
        }
    }
    let _ = timeout(PATIENCE, socket.close()).await;
}

async fn read<S>(mut socket: Receiver<S>, flow: Flow, kit: &Kit, received: &AtomicUsize) -> &'static str
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut pace = Pace::new(&kit.defence, flow.remote.ip());
    let mut heard = Instant::now();
    let mut spoke = false;
    loop {
        received.store(0, Ordering::Relaxed);
        let message = loop {
            match timeout(kit.limits.tcp_patience, socket.next()).await {
                Ok(Some(Ok(message))) => break message,
                Ok(Some(Err(_))) => return "broken",
                Ok(None) => return "closed by the peer",
                // A frame that was begun and not finished, or nothing at all from somebody who just came.
                Err(_) if received.load(Ordering::Relaxed) > 0 || !spoke => return "silent for too long",
                Err(_) if heard.elapsed() >= kit.limits.tcp_idle => return "silent for too long",
                Err(_) => {}
            }
        };
        heard = Instant::now();
        if !pace.admit(heard) {
            return "sent more requests than it may";
        }
        let bytes: Bytes = match message {
            Message::Text(text) => text.into(),
            Message::Binary(bytes) => bytes,
            Message::Close(_) => return "closed by the peer",
            // Pongs are sent by the library.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        spoke = true;
        let arrival = match flow.connection {
            Some(id) if guard::is_keepalive(&bytes) => Arrival::Ping(id, Bytes::from_static(b"\r\n")),
            _ => Arrival::Message(flow, bytes),
        };
        if kit.arrivals.send(arrival).await.is_err() {
            return "";
        }
    }
}

/// Takes a client that speaks `sip` and comes from where it may.
#[expect(clippy::result_large_err, reason = "the library's signature")]
fn negotiate(request: &Request, mut response: Response, origins: &[String]) -> Result<Response, ErrorResponse> {
    let refuse = |status: StatusCode, why: &str| {
        let mut refusal = ErrorResponse::new(Some(why.to_owned()));
        *refusal.status_mut() = status;
        refusal
    };
    let offered = request.headers().get_all("Sec-WebSocket-Protocol").iter().filter_map(|v| v.to_str().ok());
    if !offered.flat_map(|v| v.split(',')).any(|p| p.trim().eq_ignore_ascii_case(SUBPROTOCOL)) {
        return Err(refuse(StatusCode::BAD_REQUEST, "the subprotocol sip is required (RFC 7118)"));
    }
    let origin = request.headers().get("Origin").and_then(|v| v.to_str().ok());
    if let Some(origin) = origin.filter(|_| !origins.is_empty())
        && !origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
    {
        return Err(refuse(StatusCode::FORBIDDEN, "pages of this origin may not connect"));
    }
    response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

/// A stream that tells how much was read from it.
struct Counted<S> {
    inner: S,
    received: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.received.fetch_add(buf.filled().len() - before, Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
