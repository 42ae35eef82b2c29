//! A shop with three customers, on the default flow.
#![allow(dead_code, reason = "each test file uses some of it")]

pub mod corpus;

use std::sync::{Arc, OnceLock};

use baton_intake::{ContactView, Flow, OrderView, compile, raw};

pub const DEFAULT_FLOW: &str = include_str!("../../../../sip-configs/flows/orders.toml");

pub fn flow() -> Arc<Flow> {
    static FLOW: OnceLock<Arc<Flow>> = OnceLock::new();
    FLOW.get_or_init(default_flow).clone()
}

fn default_flow() -> Arc<Flow> {
    let raw: raw::Flows = toml::from_str(DEFAULT_FLOW).unwrap();
    compile(raw, &["support".to_owned()]).unwrap().remove("orders").unwrap()
}

pub fn contacts() -> Vec<ContactView> {
    let order = |number: &str, item: &str, status: &str, eta: Option<&str>| OrderView {
        number: number.into(),
        item: item.into(),
        status: status.into(),
        amount_cents: 4_999,
        eta: eta.map(str::to_owned),
    };
    let contact = |id: &str, name: &str, orders: Vec<OrderView>| ContactView {
        id: id.into(),
        name: name.into(),
        orders,
        matched_by: "caller_id".into(),
        ..ContactView::default()
    };
    vec![
        contact(
            "c1",
            "Maria Gomez",
            vec![
                order("A-1042", "blue kettle", "delayed", Some("2026-12-01")),
                order("SO-20391", "steel toaster", "shipped", Some("2026-11-27")),
            ],
        ),
        contact("c2", "David Chen", vec![order("A-1043", "desk lamp", "shipped", Some("2026-11-28"))]),
        contact("c3", "Ellen Park", vec![order("A-1077", "wool rug", "delivered", Some("2026-11-20"))]),
    ]
}

pub fn words(text: &str) -> usize {
    text.split_whitespace().count()
}
