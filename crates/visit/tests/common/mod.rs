//! The default flow and its contacts, for tests of the call.

use std::sync::Arc;

use baton_intake::{ContactView, Flow, OrderView, compile, raw};

/// The default flow; `change` edits its TOML first.
pub fn flow(change: impl Fn(String) -> String) -> Arc<Flow> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sip-configs/flows/orders.toml");
    let text = change(std::fs::read_to_string(path).unwrap());
    let raw: raw::Flows = toml::from_str(&text).unwrap();
    compile(raw, &["support".into()]).unwrap().remove("orders").unwrap()
}

pub fn order() -> OrderView {
    let (number, item, status) = ("A-1042".into(), "blue kettle".into(), "delayed".into());
    OrderView { number, item, status, amount_cents: 21_250, eta: None }
}

pub fn maria() -> ContactView {
    ContactView { id: "c1".into(), name: "Maria Gomez".into(), orders: vec![order()], matched_by: "caller_id".into() }
}
