//! The API: health, metrics, call records, drain. Loopback by default; beyond it every request but the health checks needs
//! the bearer token (the config refuses to be without one).

pub mod page;
mod timeline;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use baton_agents::Wish;
use baton_crm::privacy;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::desk;
use super::metrics::Now;
use super::recordings;
use super::shared::{CallEvent, Shared};
use crate::letters;

/// What the handlers may see.
#[derive(Clone)]
pub struct Api {
    pub shared: Arc<Shared>,
    pub draining: Arc<AtomicBool>,
    /// Told when a drain is asked for.
    pub drain: tokio::sync::mpsc::Sender<()>,
    pub token: Option<String>,
    /// Where recordings are.
    pub recordings: std::path::PathBuf,
}

/// Serves the API on a listener that is already bound.
pub async fn serve(listener: TcpListener, api: Api) {
    let guarded = Router::new()
        .route("/metrics", get(metrics))
        .route("/api/v1/calls", get(calls))
        .route("/api/v1/calls/{id}", get(call))
        .route("/api/v1/calls/{id}/timeline", get(told))
        .route("/api/v1/calls/{id}/trace", get(trace))
        .route("/api/v1/calls/{id}/hangup", post(hangup))
        .route("/api/v1/calls/{id}/recording", get(recording))
        .route("/api/v1/calls/{id}/recording/pause", post(pause_recording))
        .route("/api/v1/calls/{id}/recording/resume", post(resume_recording))
        .route("/api/v1/agents", get(agents))
        .route("/api/v1/agents/{extension}/ready", post(agent_ready))
        .route("/api/v1/agents/{extension}/pause", post(agent_pause))
        .route("/api/v1/trunks", get(trunks))
        .route("/api/v1/outbox/dead", get(dead_letters))
        .route("/api/v1/outbox/resend/{key}", post(resend))
        .route("/api/v1/forget", post(forget))
        .route("/api/v1/events", get(events))
        .route("/api/v1/drain", post(drain))
        .layer(middleware::from_fn_with_state(api.clone(), authorise));
    let app = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/calls/{id}", get(page::show))
        .merge(guarded)
        .with_state(api);
    if let Err(e) = axum::serve(listener, app).await {
        tracing::error!(error = %e, "the API stopped");
    }
}

/// Binds the API's address.
pub async fn bind(addr: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(addr).await
}

async fn authorise(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Some(token) = &api.token else { return next.run(request).await };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "));
    if given.is_some_and(|given| same(given.as_bytes(), token.as_bytes())) {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
    }
}

/// Compares in a time that does not tell how far the two agree.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

async fn ready(State(api): State<Api>) -> Response {
    if api.draining.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
    } else {
        "ready\n".into_response()
    }
}

async fn metrics(State(api): State<Api>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let now = Now {
        calls_live: api.shared.live.len(),
        outbox_depth: api.shared.store.outbox_depth().await.unwrap_or(0),
        outbox_dead: api.shared.store.outbox_dead().await.map_or(0, |rows| rows.len() as u64),
        media: api.shared.media.counters(),
        sip: api.shared.sip.counters(),
        speech: api.shared.speech.stats(),
        sizes: api.shared.sip.sizes(),
    };
    match api.shared.metrics.text(&now) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(e) => fault(&e),
    }
}

#[derive(Deserialize)]
struct Filter {
    live: Option<u8>,
    limit: Option<u32>,
}

async fn calls(State(api): State<Api>, Query(filter): Query<Filter>) -> Response {
    match api.shared.store.calls(filter.limit.unwrap_or(100).min(1_000)).await {
        Ok(rows) => {
            let records: Vec<Value> = rows
                .into_iter()
                .filter(|row| filter.live.is_none_or(|n| n == 0) || row.ended_at.is_none())
                .filter_map(|row| serde_json::from_str(&row.json).ok())
                .collect();
            Json(records).into_response()
        }
        Err(e) => fault(&e),
    }
}

async fn call(State(api): State<Api>, Path(id): Path<String>) -> Response {
    match api.shared.store.call(&id).await {
        Ok(Some(row)) => ([(header::CONTENT_TYPE, "application/json")], row.json).into_response(),
        Ok(None) => no_call(&id),
        Err(e) => fault(&e),
    }
}

async fn told(State(api): State<Api>, Path(id): Path<String>) -> Response {
    match api.shared.store.call(&id).await {
        Ok(Some(row)) => match serde_json::from_str(&row.json) {
            Ok(record) => Json(timeline::of(&record)).into_response(),
            Err(e) => fault(&e),
        },
        Ok(None) => no_call(&id),
        Err(e) => fault(&e),
    }
}

/// The call's SIP messages, drawn.
async fn trace(State(api): State<Api>, Path(id): Path<String>) -> Response {
    let steps = api.shared.traces.legs(&id).map(|legs| api.shared.sip.ladder(&legs)).unwrap_or_default();
    if steps.is_empty() {
        let error = format!("no messages are kept of a call {id}: they are of the latest calls, until a restart");
        return (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], baton_sip::ladder::draw(&steps)).into_response()
}

/// Every call's record as it changes, as server-sent events named `call`, and what callers are saying while they say it, named
/// `words`, where `speech.partials` asks for that. Who reads too slowly misses some; an event `missed` says how many.
async fn events(State(api): State<Api>) -> impl IntoResponse {
    let told = |name: &'static str| {
        move |change: Result<String, BroadcastStreamRecvError>| {
            Ok::<_, Infallible>(match change {
                Ok(data) => Event::default().event(name).data(data),
                Err(BroadcastStreamRecvError::Lagged(n)) => Event::default().event("missed").data(n.to_string()),
            })
        }
    };
    let calls = BroadcastStream::new(api.shared.changes.subscribe()).map(told("call"));
    let words = BroadcastStream::new(api.shared.words.subscribe()).map(told("words"));
    Sse::new(calls.merge(words)).keep_alive(KeepAlive::default())
}

async fn hangup(State(api): State<Api>, Path(id): Path<String>) -> Response {
    match api.shared.live.get(&id) {
        Some(inbox) => {
            inbox.send(CallEvent::End);
            StatusCode::ACCEPTED.into_response()
        }
        None => (StatusCode::NOT_FOUND, Json(json!({"error": format!("no live call {id}")}))).into_response(),
    }
}

/// The newest recording of a call, as far as it is written. The record names all of them.
async fn recording(State(api): State<Api>, Path(id): Path<String>) -> Response {
    let row = match api.shared.store.call(&id).await {
        Ok(Some(row)) => row,
        Ok(None) => return no_call(&id),
        Err(e) => return fault(&e),
    };
    let record: Value = serde_json::from_str(&row.json).unwrap_or_default();
    let file = record["recordings"].as_array().and_then(|all| all.last()).and_then(|last| last["file"].as_str());
    let Some(file) = file else {
        return (StatusCode::NOT_FOUND, Json(json!({"error": format!("call {id} was not recorded")}))).into_response();
    };
    match tokio::fs::read(file).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, "audio/ogg; codecs=opus")], bytes).into_response(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            (StatusCode::GONE, Json(json!({"error": "the recording is no longer kept"}))).into_response()
        }
        Err(e) => fault(&e),
    }
}

async fn pause_recording(State(api): State<Api>, Path(id): Path<String>) -> Response {
    tell_recording(&api, &id, true)
}

async fn resume_recording(State(api): State<Api>, Path(id): Path<String>) -> Response {
    tell_recording(&api, &id, false)
}

fn tell_recording(api: &Api, id: &str, pause: bool) -> Response {
    match api.shared.live.get(id) {
        Some(inbox) => {
            inbox.send(CallEvent::PauseRecording(pause));
            StatusCode::ACCEPTED.into_response()
        }
        None => no_call(id),
    }
}

async fn agents(State(api): State<Api>) -> Response {
    let (answer, states) = tokio::sync::oneshot::channel();
    api.shared.tell_desk(desk::Request::List { answer });
    let states = states.await.unwrap_or_default();
    Json(
        states
            .into_iter()
            .map(|(extension, state)| json!({"extension": extension, "state": state}))
            .collect::<Vec<_>>(),
    )
    .into_response()
}

async fn trunks(State(api): State<Api>) -> Response {
    let trunks = api.shared.sip.trunks().into_iter().map(|t| {
        let targets: Vec<Value> = t.targets.iter().map(|(uri, works)| json!({"uri": uri, "works": works})).collect();
        json!({"name": t.name, "registered": t.registered, "channels": t.channels, "targets": targets})
    });
    Json(trunks.collect::<Vec<_>>()).into_response()
}

/// Writes that the system of record refused for good, to be looked at.
async fn dead_letters(State(api): State<Api>) -> Response {
    match api.shared.outbox.dead().await {
        Ok(rows) => Json(rows.iter().map(letters::letter).collect::<Vec<_>>()).into_response(),
        Err(e) => fault(&e),
    }
}

/// Sends one of them again.
async fn resend(State(api): State<Api>, Path(key): Path<String>) -> Response {
    match api.shared.outbox.resend(&key).await {
        Ok(Some(_)) => StatusCode::ACCEPTED.into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, Json(json!({"error": format!("no dead letter {key}")}))).into_response(),
        Err(e) => fault(&e),
    }
}

/// Deletes a caller's data (`number`, several if need be, `contact`), or what is older than so many days.
async fn forget(State(api): State<Api>, Query(asked): Query<Vec<(String, String)>>) -> Response {
    let all = |name: &str| asked.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect::<Vec<_>>();
    let (numbers, contact, days) = (all("number"), all("contact").pop(), all("older_than_days").pop());
    let store = &api.shared.store;
    let answer = match days.map(|days| days.parse::<u32>()) {
        Some(Ok(days)) => match privacy::expire(store, Duration::from_secs(86_400) * days).await {
            Ok(calls) => Ok(json!({"calls": calls})),
            Err(e) => Err(e),
        },
        None if !numbers.is_empty() || contact.is_some() => {
            match privacy::forget(store, &api.shared.numbering, &numbers, contact.as_deref()).await {
                Ok(deletion) => match recordings::forget(&api.recordings, &deletion.calls) {
                    Ok(_) => Ok(json!(deletion)),
                    Err(e) => return fault(&format!("recordings of these calls could not be deleted: {e}")),
                },
                Err(e) => Err(e),
            }
        }
        _ => {
            let what = "say whose data: number=…, contact=…, or older_than_days=…";
            return (StatusCode::BAD_REQUEST, Json(json!({"error": what}))).into_response();
        }
    };
    answer.map_or_else(|e| fault(&e), |answer| Json(answer).into_response())
}

async fn agent_ready(State(api): State<Api>, Path(extension): Path<String>) -> Response {
    set_agent(&api, extension, Wish::Ready).await
}

async fn agent_pause(State(api): State<Api>, Path(extension): Path<String>) -> Response {
    set_agent(&api, extension, Wish::Pause { reason: String::new() }).await
}

async fn set_agent(api: &Api, extension: String, wish: Wish) -> Response {
    let (answer, state) = tokio::sync::oneshot::channel();
    api.shared.tell_desk(desk::Request::Set { extension: extension.clone(), wish, answer });
    match state.await {
        Ok(Some(state)) => Json(json!({"extension": extension, "state": state})).into_response(),
        _ => (StatusCode::NOT_FOUND, Json(json!({"error": format!("no queue has an agent {extension}")})))
            .into_response(),
    }
}

async fn drain(State(api): State<Api>) -> StatusCode {
    let _ = api.drain.try_send(());
    StatusCode::ACCEPTED
}

fn no_call(id: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error": format!("no call {id}")}))).into_response()
}

fn fault(e: &dyn std::fmt::Display) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": e.to_string()}))).into_response()
}
