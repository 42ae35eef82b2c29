//! A call's page, for the agent whose phone rings: who calls, why, what was collected, what the system of record has. Its
//! address goes out with the INVITE where that system has no page of its own. It holds a key of its own call where the API
//! has a token: a browser that follows a link has no other way to show that it may.

use std::fmt::Write;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use baton_crm::PopRequest;
use ring::hmac;
use serde::Deserialize;
use serde_json::Value;

use super::Api;
use crate::config::Config;

/// Where pages are, and what opens them.
pub struct Pages {
    base: Option<String>,
    secret: Option<hmac::Key>,
}

impl Pages {
    /// As the config has it; without an API there are none.
    pub fn new(config: &Config) -> Self {
        let base = config.http_url.clone().or_else(|| config.http.map(|addr| format!("http://{addr}")));
        let secret = config.http_token.as_ref().map(|token| hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes()));
        Self { base: base.filter(|_| config.http.is_some()), secret }
    }

    /// The page of a call.
    pub fn of(&self, call_id: &str) -> Option<String> {
        let page = format!("{}/calls/{call_id}", self.base.as_deref()?.trim_end_matches('/'));
        Some(match &self.secret {
            Some(secret) => format!("{page}?key={}", hex(hmac::sign(secret, call_id.as_bytes()).as_ref())),
            None => page,
        })
    }

    /// Whether `key` opens the page of that call.
    fn opens(&self, call_id: &str, key: Option<&str>) -> bool {
        let Some(secret) = &self.secret else { return true };
        let signed = hmac::sign(secret, call_id.as_bytes());
        key.is_some_and(|key| super::same(key.as_bytes(), hex(signed.as_ref()).as_bytes()))
    }
}

/// Half of the tag is enough for a key that opens one page (RFC 2104 section 5), and User-to-User has 128 octets for all.
fn hex(tag: &[u8]) -> String {
    tag.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Deserialize)]
pub struct Opened {
    key: Option<String>,
}

/// `GET /calls/{id}`
pub async fn show(State(api): State<Api>, Path(id): Path<String>, Query(opened): Query<Opened>) -> Response {
    let shared = &api.shared;
    if !shared.pages.opens(&id, opened.key.as_deref()) {
        return (StatusCode::UNAUTHORIZED, "This address is not whole: open it from the call again.\n").into_response();
    }
    let record = match shared.store.call(&id).await {
        Ok(Some(row)) => serde_json::from_str::<Value>(&row.json).unwrap_or_default(),
        Ok(None) => return (StatusCode::NOT_FOUND, "There is no such call.\n").into_response(),
        Err(e) => return super::fault(&e),
    };
    let case = shared.store.case(&id).await.ok().flatten();
    let notes = match &case {
        Some(case) => shared.store.case_notes(case.id).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let notes: Vec<String> = notes.into_iter().map(|note| note.text).collect();
    let elsewhere = shared.crm.page(&PopRequest {
        call_id: id,
        record_id: record["crm"]["record_id"].as_str().map(str::to_owned),
        contact: record["contact"]["id"].as_str().map(str::to_owned),
        agent: None,
    });
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"),
    ];
    (headers, page(&record, &notes, elsewhere.as_deref())).into_response()
}

/// The record for a person to read.
fn page(record: &Value, notes: &[String], elsewhere: Option<&str>) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let live = record["ended_at"].is_null();
    let name = ["/slots/name/value", "/contact/name", "/from"]
        .iter()
        .filter_map(|at| record.pointer(at).and_then(Value::as_str))
        .find(|name| !name.is_empty())
        .unwrap_or("Somebody who withholds their number");
    let mut rows: Vec<(String, String)> = vec![
        ("State".into(), if live { "the call goes on".into() } else { format!("over, {}", text(&record["ended_at"])) }),
        ("Calls from".into(), text(&record["from"])),
        ("Known as".into(), known_as(record)),
        ("A person because".into(), text(&record["trigger"]).replace('_', " ")),
        ("Disposition".into(), text(&record["disposition"])),
        ("Record".into(), case(record)),
    ];
    for (slot, value) in record["slots"].as_object().into_iter().flatten() {
        let sure = if value["confirmed"] == true { "" } else { " (not confirmed)" };
        rows.push((slot.replace('_', " "), format!("{}{sure}", text(&value["value"]))));
    }
    for attempt in record["attempts"].as_array().into_iter().flatten() {
        rows.push(("Tried".into(), format!("{}: {}", text(&attempt["action"]), text(&attempt["outcome"]))));
    }
    rows.extend(notes.iter().map(|note| ("Note".to_owned(), note.clone())));
    let mut out = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    if live {
        out.push_str("<meta http-equiv=\"refresh\" content=\"3\">");
    }
    let _ = write!(
        out,
        "<title>{0}</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}}\
         th{{text-align:left;vertical-align:top;padding-right:1.5rem;font-weight:normal;color:#555}}</style><h1>{0}</h1>",
        escape(name)
    );
    let summary = text(&record["summary"]);
    if !summary.is_empty() {
        let _ = write!(out, "<p>{}</p>", escape(&summary));
    }
    out.push_str("<table>");
    for (what, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(out, "<tr><th>{}<td>{}", escape(what), escape(value));
    }
    out.push_str("</table>");
    if let Some(url) = elsewhere.filter(|url| url.starts_with("https://") || url.starts_with("http://")) {
        let _ = write!(out, "<p><a href=\"{0}\" rel=\"noreferrer\">{0}</a>", escape(url));
    }
    out
}

fn known_as(record: &Value) -> String {
    let Some(name) = record["contact"]["name"].as_str() else { return "nobody the system of record knows".into() };
    match record["contact"]["account_holder"].as_bool() {
        Some(true) => format!("{name}; the caller is the account holder"),
        Some(false) => format!("{name}; the caller is another person"),
        None => format!("{name}; whether the caller is the account holder is open"),
    }
}

/// Where the case is, or that it is late.
fn case(record: &Value) -> String {
    let crm = &record["crm"];
    match (crm["record_id"].as_str(), crm["policy"].as_str()) {
        (Some(id), _) => format!("{id} in {}", crm["system"].as_str().unwrap_or("?")),
        (None, Some("proceeded")) => "not yet in the system of record; it follows".into(),
        (None, _) if crm.is_object() => "on its way to the system of record".into(),
        _ => String::new(),
    }
}

/// As text and within a quoted attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_tells_the_case_and_runs_nothing_that_a_caller_said() {
        let record = json!({
            "from": "+15551230001", "ended_at": null, "trigger": "asked_for_person", "disposition": "ESC-PERSON",
            "contact": {"id": "c01", "name": "Maria Gomez", "account_holder": false},
            "slots": {"reason": {"value": "<script>alert(1)</script> & \"more\"", "confirmed": false}},
            "crm": {"system": null, "record_id": null, "policy": "proceeded"}
        });
        let html = page(&record, &["in a hurry".into()], Some("https://acme.example/tickets/7"));
        for said in [
            "<h1>Maria Gomez</h1>",
            "Maria Gomez; the caller is another person",
            "asked for person",
            "not yet in the system of record",
            "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot; (not confirmed)",
            "in a hurry",
            "<a href=\"https://acme.example/tickets/7\"",
            "http-equiv=\"refresh\"",
        ] {
            assert!(html.contains(said), "{said}\n{html}");
        }
        assert!(!html.contains("<script"));
        assert!(!page(&record, &[], Some("javascript:alert(1)")).contains("href"));
        assert!(!page(&json!({"ended_at": "2026-11-24T10:00:00.000Z"}), &[], None).contains("refresh"));
    }

    #[test]
    fn a_key_opens_its_own_page() {
        let secret = Some(hmac::Key::new(hmac::HMAC_SHA256, b"token"));
        let pages = Pages { base: Some("https://desk.example/".into()), secret };
        let url = pages.of("c1").unwrap();
        let (page, key) = url.split_once("?key=").unwrap();
        assert_eq!((page, key.len()), ("https://desk.example/calls/c1", 32));
        assert!(pages.opens("c1", Some(key)));
        assert!(!pages.opens("c2", Some(key)) && !pages.opens("c1", Some("")) && !pages.opens("c1", None));
        let open = Pages { base: Some("http://127.0.0.1:8060".into()), secret: None };
        assert!(open.opens("c1", None));
        assert_eq!(Pages { base: None, secret: None }.of("c1"), None);
    }
}
