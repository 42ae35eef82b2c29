//! What tests of the call share: flows, a customer, actions in the words of the trade.
#![allow(dead_code, clippy::unwrap_used, reason = "test support; each test file uses some of it")]

use std::sync::{Arc, OnceLock};

use baton_call::record::MediaStats;
use baton_call::{Action, Leg};
use baton_intake::{ContactView, Flow, OrderView, compile, raw};

const SHOP: &str = include_str!("../../testdata/flow.toml");

/// The scripts' flow, with `key = value` lines put in the place of its own.
pub fn shop(changes: &[(String, String)]) -> Arc<Flow> {
    let line = |line: &str| match changes.iter().find(|(key, _)| line.starts_with(&format!("{key} = "))) {
        Some((key, value)) => format!("{key} = {value}\n"),
        None => format!("{line}\n"),
    };
    for (key, _) in changes {
        assert!(SHOP.lines().any(|l| l.starts_with(&format!("{key} = "))), "the flow has no `{key}` to change");
    }
    read(&SHOP.lines().map(line).collect::<String>(), "shop")
}

/// The flow that the gateway ships.
pub fn default_flow() -> Arc<Flow> {
    static FLOW: OnceLock<Arc<Flow>> = OnceLock::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sip-configs/flows/orders.toml");
    FLOW.get_or_init(|| read(&std::fs::read_to_string(path).unwrap(), "orders")).clone()
}

fn read(text: &str, name: &str) -> Arc<Flow> {
    let raw: raw::Flows = toml::from_str(text).unwrap();
    compile(raw, &["support".to_owned()]).unwrap().remove(name).unwrap()
}

pub fn order() -> OrderView {
    OrderView {
        number: "A-1042".into(),
        status: "delayed".into(),
        item: "blue kettle".into(),
        amount_cents: 4_999,
        eta: None,
    }
}

pub fn maria() -> ContactView {
    ContactView {
        id: "c1".into(),
        name: "Maria Gomez".into(),
        orders: vec![order()],
        matched_by: "caller_id".into(),
        ..ContactView::default()
    }
}

pub fn stats() -> MediaStats {
    MediaStats {
        codec: "PCMU".into(),
        received: 900,
        lost: 1,
        concealed: 1,
        jitter_ms: 0.5,
        mos: 4.4,
        ..MediaStats::default()
    }
}

/// An action in the words of the scripts.
pub fn words(action: &Action) -> String {
    let who = |leg: &Leg| leg.as_str();
    match action {
        Action::AnswerCaller => "200 to caller".into(),
        Action::LookUpContact { number } => format!("look up {number}"),
        Action::Say { leg: Leg::Caller, texts, .. } => format!("say: {}", texts.join(" ")),
        Action::Say { leg, texts, .. } => format!("tell {}: {}", who(leg), texts.join(" ")),
        Action::StopSpeech { leg } => format!("stop speaking to {}", who(leg)),
        Action::Listen { on: true, .. } => "ear open".into(),
        Action::Listen { on: false, .. } => "ear closed".into(),
        Action::HoldMusic { on: true } => "music on".into(),
        Action::HoldMusic { on: false } => "music off".into(),
        Action::RunAction(baton_intake::Action::OrderStatus { number }) => format!("look up order {number}"),
        Action::RunAction(baton_intake::Action::Lookup { record, .. }) => format!("look up {record}"),
        Action::RunAction(baton_intake::Action::Webhook { name, .. }) => format!("call web hook {name}"),
        Action::WriteCase(case) => format!("write case {} {} {}", case.key, case.trigger, case.disposition),
        Action::PrepareBriefing { text } => format!("prepare briefing: {text}"),
        Action::FindAgent { queue, not, .. } if not.is_empty() => format!("find agent in {queue}, anybody"),
        Action::FindAgent { queue, not, .. } => format!("find agent in {queue}, not {}", not.join(", ")),
        Action::LeaveQueue { why } => format!("leave queue ({why:?})"),
        Action::KeepPlace { ticket, .. } => {
            format!("keep place of {} in {} for {}, tries {}", ticket.number, ticket.queue, ticket.id, ticket.tries)
        }
        Action::RingAgent { extension, timeout } => format!("ring agent {extension} for {timeout:?}"),
        Action::CancelAgent { extension, cause } => format!("cancel agent {extension} ({cause:?})"),
        Action::Dial { leg, to, .. } => format!("dial {to} as {}", who(leg)),
        Action::Ringback { leg, on } => format!("ringback {} for {}", if *on { "on" } else { "off" }, who(leg)),
        Action::PlayBriefing { text, .. } => format!("brief: {text}"),
        Action::AgentTalking { extension } => format!("{extension} talks"),
        Action::Bridge => "bridge".into(),
        Action::Unbridge => "unbridge".into(),
        Action::Mix { routes } => {
            let ways: Vec<String> = routes.iter().map(|r| format!("{}>{}", who(&r.from), who(&r.to))).collect();
            format!("mix {}", ways.join(" "))
        }
        Action::ReleaseAgent { extension, how } => format!("release {extension} ({how:?})"),
        Action::AnswerRefer { leg, code } => format!("{code} to the REFER of {}", who(leg)),
        Action::ReferProgress { leg, code } => format!("NOTIFY {code} to {}", who(leg)),
        Action::HangUp { leg, cause } => format!("BYE {} ({cause:?})", who(leg)),
        Action::PauseRecording { on } => format!("recording {}", if *on { "pauses" } else { "goes on" }),
        Action::SaveRecord => "save record".into(),
        Action::CompleteRecord => "complete record".into(),
    }
}
