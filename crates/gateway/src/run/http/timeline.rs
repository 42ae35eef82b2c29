//! A call's record told in order: what happened when, in milliseconds since the INVITE was taken. Read from the record's
//! JSON, so that calls of earlier versions have a timeline too.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Milliseconds since `started_at`.
    pub at_ms: i64,
    /// Where: `caller`, `assistant`, `crm`, `agent`, `call`.
    pub who: &'static str,
    /// What, in words.
    pub what: String,
}

/// The whole call, in order of time.
pub fn of(record: &Value) -> Vec<Moment> {
    let Some(started) = stamp(&record["started_at"]) else { return Vec::new() };
    let mut moments = Vec::new();
    let mut add = |at: &Value, who, what: String| {
        if let Some(at) = stamp(at) {
            let at_ms = at.as_millisecond() - started.as_millisecond();
            moments.push(Moment { at_ms, who, what });
        }
    };
    add(&record["started_at"], "call", format!("INVITE from {} for {}", text(&record["from"]), text(&record["to"])));
    let crm = &record["crm"];
    let trigger = record["trigger"].as_str().map_or_else(String::new, |t| format!(" ({t})"));
    add(&crm["requested_at"], "crm", format!("case sent{trigger}"));
    let id = crm["record_id"].as_str().map_or_else(String::new, |id| format!(" as {id}"));
    add(&crm["acknowledged_at"], "crm", format!("case acknowledged by {}{id}", text(&crm["system"])));
    let agent = &record["agent"];
    let extension = text(&agent["extension"]);
    add(&agent["rang_at"], "agent", format!("{extension} rings"));
    add(&agent["answered_at"], "agent", format!("{extension} answers and is briefed"));
    add(&agent["accepted_at"], "agent", format!("{extension} accepts"));
    add(&record["bridged_at"], "call", format!("caller and {extension} are joined"));
    for given in record["given_back"].as_array().into_iter().flatten() {
        add(&given["at"], "call", format!("the caller is given back to the assistant: {}", text(&given["why"])));
    }
    let end = &record["termination"];
    add(
        &record["ended_at"],
        "call",
        format!("over: {} by {} (SIP {})", text(&end["cause"]), text(&end["by"]), end["sip"]),
    );
    for turn in record["turns"].as_array().into_iter().flatten() {
        let who = if turn["who"] == "caller" { "caller" } else { "assistant" };
        let how = if turn["dtmf"] == true { "keys " } else { "" };
        let cut = if turn["cut"] == true { " — cut" } else { "" };
        moments.push(Moment {
            at_ms: turn["at_ms"].as_i64().unwrap_or(0),
            who,
            what: format!("{how}“{}”{cut}", text(&turn["text"])),
        });
    }
    moments.sort_by_key(|m| m.at_ms);
    moments
}

fn stamp(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_happened_is_told_in_order_and_what_did_not_is_not() {
        let record = json!({
            "started_at": "2026-11-24T10:00:00.000Z", "ended_at": "2026-11-24T10:01:00.000Z", "from": "+1555", "to": "5000",
            "turns": [{"who": "assistant", "text": "Hello", "at_ms": 120, "dtmf": false},
                      {"who": "caller", "text": "1", "at_ms": 4000, "dtmf": true}],
            "trigger": "asked_for_person",
            "crm": {"system": "embedded", "record_id": "7", "requested_at": "2026-11-24T10:00:05.000Z",
                    "acknowledged_at": "2026-11-24T10:00:05.004Z"},
            "agent": {"extension": "1001", "rang_at": "2026-11-24T10:00:05.020Z", "answered_at": null},
            "bridged_at": null,
            "termination": {"cause": "hangup", "by": "caller", "sip": 200}
        });
        let told: Vec<String> = of(&record).iter().map(|m| format!("{} {} {}", m.at_ms, m.who, m.what)).collect();
        assert_eq!(
            told,
            [
                "0 call INVITE from +1555 for 5000",
                "120 assistant “Hello”",
                "4000 caller keys “1”",
                "5000 crm case sent (asked_for_person)",
                "5004 crm case acknowledged by embedded as 7",
                "5020 agent 1001 rings",
                "60000 call over: hangup by caller (SIP 200)",
            ]
        );
        assert!(of(&json!({})).is_empty());
    }
}
