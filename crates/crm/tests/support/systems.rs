//! The connectors, each set up for its fake.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use baton_crm::Crm;
use baton_crm::config::CrmConfig;
use baton_store::Store;

pub const KEY: &str = include_str!("../fakes/key-for-tests-only.pem");
/// Whatever a log, an error or a `Debug` must not hold.
pub const SECRETS: [&str; 8] = [
    "zendesk-token",
    "access-1",
    "refresh-1",
    "client-secret",
    "gorgias-key",
    "shpat_1",
    crate::fakes::webhook::SECRET,
    "BEGIN PRIVATE KEY",
];

/// The config's text for one system at `url`.
pub fn config(kind: &str, url: &str) -> String {
    let section = match kind {
        "zendesk" => format!(
            "url = \"{url}\"\nemail = \"a@acme.example\"\ntoken = \"zendesk-token\"\ntalk = true\napp_id = 7\ndisposition_field = \"360099\""
        ),
        "hubspot" => format!(
            "url = \"{url}\"\nclient_id = \"c\"\nclient_secret = \"client-secret\"\nrefresh_token = \"refresh-1\"\nportal = \"77\""
        ),
        "salesforce" => format!(
            "url = \"{url}\"\nlogin_url = \"{url}\"\nclient_id = \"client-1\"\nusername = \"baton@acme.example\"\nprivate_key = '''{KEY}'''"
        ),
        "gorgias" => {
            format!("url = \"{url}\"\nemail = \"a@acme.example\"\nkey = \"gorgias-key\"\ndisposition_field = \"41\"")
        }
        "shopify" => format!("url = \"{url}\"\ntoken = \"shpat_1\""),
        "webhook" => format!("url = \"{url}/hooks/baton\"\nsecret = \"{}\"", crate::fakes::webhook::SECRET),
        other => panic!("{other}"),
    };
    format!(
        "kind = \"{kind}\"\nlookup_ms = 20000\nsettle_s = 0\n\n[map]\ndispositions = {{ ESC = \"Escalated\", SOLVED = \"Solved\" }}\n\
         agents = {{ 1001 = \"77\" }}\nqueues = {{ billing = \"360001\" }}\n\n[{kind}]\n{section}\n"
    )
}

pub fn connect(text: &str, store: &Store) -> Arc<dyn Crm> {
    let config: CrmConfig = toml::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    config.connect(store).unwrap_or_else(|fault| panic!("{fault:?}\n{text}"))
}
