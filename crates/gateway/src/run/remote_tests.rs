//! Against a small server on loopback that answers as the real ones do, or not at all.

use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use baton_speech::scripted::{Script, engines};

use super::*;

#[derive(Default)]
struct Server {
    hangs: AtomicBool,
    broken: AtomicBool,
    seen: StdMutex<Vec<(String, Vec<u8>)>>,
}

impl Server {
    async fn answer(&self, headers: &HeaderMap, body: &Bytes, good: Vec<u8>) -> axum::response::Response {
        let proof = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
        self.seen.lock().unwrap().push((proof, body.to_vec()));
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        match self.broken.load(Ordering::Relaxed) {
            true => (StatusCode::INTERNAL_SERVER_ERROR, "out of memory").into_response(),
            false => good.into_response(),
        }
    }
}

async fn hears(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> axum::response::Response {
    let good = json!({"text": " Where is my order? ", "segments": [{"avg_logprob": -0.1}]});
    server.answer(&headers, &body, good.to_string().into_bytes()).await
}

async fn speaks(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> axum::response::Response {
    server.answer(&headers, &body, wav(&[5_000; 8_000])).await
}

/// A server, and the engines before which it stands; the local ones hear "here" and hum.
async fn rig(timeout_ms: u64) -> (Arc<Server>, Engines, Arc<RemoteCounters>) {
    let server = Arc::new(Server::default());
    let app = Router::new()
        .route("/v1/audio/transcriptions", post(hears))
        .route("/v1/audio/speech", post(speaks))
        .with_state(Arc::clone(&server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let to = RemoteEngine {
        url,
        model: "whisper-1".into(),
        voice: "alloy".into(),
        language: "en".into(),
        key: Some("s3cret".into()),
        timeout: Duration::from_millis(timeout_ms),
        workers: 3,
    };
    let counters = Arc::default();
    let local = engines(&Script::new(&["here"; 9]));
    let engines = before_local(local, Some(&to), Some(&to), &counters).unwrap();
    (server, engines, counters)
}

/// As a worker's thread does it.
async fn transcribe(engines: Engines) -> (Engines, Result<Transcript, SttError>) {
    tokio::task::spawn_blocking(move || {
        let mut engines = engines;
        let hints = Hints { prompt: "Priya Patel, A-1042".into(), ..Hints::default() };
        let heard = engines.transcribers[0].transcribe(&[1_000; 4_000], &hints);
        (engines, heard)
    })
    .await
    .unwrap()
}

async fn synthesize(engines: Engines) -> (Engines, Clip, bool) {
    tokio::task::spawn_blocking(move || {
        let mut engines = engines;
        let clip = engines.synthesizers[0].synthesize("One moment.").unwrap();
        let substitute = engines.synthesizers[0].is_substitute();
        (engines, clip, substitute)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_endpoints_are_asked_as_they_want_it() {
    let (server, engines, counters) = rig(10_000).await;
    assert_eq!(engines.transcribers.len(), 3, "as many as may be under way, not as many as there are local ones");
    let (engines, heard) = transcribe(engines).await;
    let heard = heard.unwrap();
    assert_eq!(heard.text, "Where is my order?");
    assert!((heard.confidence - (-0.1f32).exp()).abs() < 1e-3);
    let (_, clip, substitute) = synthesize(engines).await;
    assert_eq!((clip.len(), substitute), (8_000, false));
    let seen = server.seen.lock().unwrap();
    assert!(seen.iter().all(|(proof, _)| proof == "Bearer s3cret"));
    let form = String::from_utf8_lossy(&seen[0].1);
    for part in ["name=\"model\"\r\n\r\nwhisper-1", "name=\"prompt\"\r\n\r\nPriya Patel, A-1042", "RIFF", "WAVEfmt "] {
        assert!(form.contains(part), "{part}");
    }
    let asked: Value = serde_json::from_slice(&seen[1].1).unwrap();
    assert_eq!(
        asked,
        json!({"model": "whisper-1", "voice": "alloy", "input": "One moment.", "response_format": "wav"})
    );
    assert_eq!(counters.fallbacks.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_answer_in_time_is_done_here_and_left_alone_after_a_while() {
    let (server, mut engines, counters) = rig(50).await;
    server.hangs.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        let (back, heard) = transcribe(engines).await;
        engines = back;
        assert_eq!(heard.unwrap().text, "here");
    }
    assert_eq!(server.seen.lock().unwrap().len(), 3, "then it is not asked any more");
    assert_eq!(counters.requests.load(Ordering::Relaxed), 3);
    assert_eq!(counters.fallbacks.load(Ordering::Relaxed), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_is_replaced_and_its_substitute_is_known_as_one() {
    let (server, engines, _) = rig(10_000).await;
    server.broken.store(true, Ordering::Relaxed);
    let (engines, heard) = transcribe(engines).await;
    assert_eq!(heard.unwrap().text, "here");
    let (engines, clip, substitute) = synthesize(engines).await;
    assert!(substitute && clip.len() != 8_000, "the local voice");
    server.broken.store(false, Ordering::Relaxed);
    let (_, clip, substitute) = synthesize(engines).await;
    assert_eq!((clip.len(), substitute), (8_000, false));
}
