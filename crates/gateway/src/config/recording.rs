//! `[recording]`: which flows are recorded, by what consent, and how long what was recorded is kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use baton_intake::Flow;

use super::{Compiler, raw};

/// How recordings are made and kept.
#[derive(Debug, Clone)]
pub struct Recording {
    pub dir: PathBuf,
    pub keep_days: Option<u32>,
    /// Bytes that stay free on the disk.
    pub keep_free: u64,
    /// By flow; what is not here is not recorded.
    pub flows: BTreeMap<String, Consent>,
}

/// By what a call is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consent {
    /// The greeting tells: from the answer on.
    Announced,
    /// From the moment on when this slot is `yes`.
    Slot(String),
}

impl Compiler<'_> {
    pub(super) fn recording(&mut self, raw: raw::Recording, compiled: &BTreeMap<String, Arc<Flow>>) -> Recording {
        if raw.keep_days == Some(0) {
            self.fault(&["recording", "keep_days"], "`keep_days` is 0", "give 1 or more, or record no flow");
        }
        let mut flows = BTreeMap::new();
        for (name, recorded) in &raw.flow {
            let at = |key: &str| ["recording", "flow", name.as_str(), key].map(str::to_owned);
            let Some(flow) = compiled.get(name) else {
                // A flow that did not compile has its own faults.
                if !self.lines.has(&["flow", name]) {
                    let hint = format!("define [flow.{name}], or correct the name");
                    self.fault(&at("consent"), format!("flow `{name}` is recorded, but not defined"), hint);
                }
                continue;
            };
            match (recorded.consent, &recorded.slot) {
                (raw::ConsentKind::Announced, None) => {
                    let notice = recorded.notice.as_deref().unwrap_or("record").to_lowercase();
                    if notice.is_empty() || !flow.greeting().to_lowercase().contains(&notice) {
                        self.fault(
                            &at("consent"),
                            format!("flow `{name}` is recorded as announced, but its greeting has no \"{notice}\" in it"),
                            "say in the greeting that the call is recorded (`notice` is the word that says so), or ask: consent = \"asked\"",
                        );
                    }
                    flows.insert(name.clone(), Consent::Announced);
                }
                (raw::ConsentKind::Asked, Some(slot)) => {
                    if !flow.asks_yes_no(slot) {
                        self.fault(
                            &at("slot"),
                            format!("flow `{name}` has no slot `{slot}` of kind yes_no"),
                            format!("add [[flow.{name}.slot]] name = \"{slot}\" and kind = \"yes_no\", and ask for it"),
                        );
                    }
                    flows.insert(name.clone(), Consent::Slot(slot.clone()));
                }
                (raw::ConsentKind::Announced, Some(_)) => {
                    self.fault(
                        &at("slot"),
                        format!("flow `{name}` is recorded as announced, and has a `slot` to ask by"),
                        "remove `slot`, or set consent = \"asked\"",
                    );
                }
                (raw::ConsentKind::Asked, None) => {
                    self.fault(
                        &at("consent"),
                        format!("flow `{name}` is to ask before it records, but no `slot` says by which question"),
                        "set slot = \"…\" to the flow's slot of kind yes_no",
                    );
                }
            }
        }
        let keep_free = raw.keep_free_mb.saturating_mul(1_048_576);
        Recording { dir: self.path(raw.dir), keep_days: raw.keep_days, keep_free, flows }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, EMBEDDED, Faults, parse};

    fn with(recording: &str, greeting: &str) -> Result<Config, Faults> {
        let text = EMBEDDED.replace("this call may be transcribed", greeting);
        parse("test", &format!("{text}\n{recording}\n"), Path::new(""))
    }

    #[test]
    fn a_flow_is_recorded_only_by_consent_that_can_be_given() {
        let nothing = with("", "this call may be transcribed").unwrap();
        assert!(nothing.recording.flows.is_empty());
        let announced = "[recording.flow.orders]\nconsent = \"announced\"";
        let config = with(announced, "this call is recorded").unwrap();
        assert_eq!(config.recording.flows.get("orders"), Some(&Consent::Announced));
        assert!(with(&format!("{announced}\nnotice = \"transcribed\""), "this call may be transcribed").is_ok());
        let slot = "[[flow.orders.slot]]\nname = \"ok\"\nkind = \"yes_no\"\nask = [\"May we record this?\"]\n";
        let asked = format!("{slot}[recording.flow.orders]\nconsent = \"asked\"\nslot = \"ok\"");
        let config = with(&asked, "this call may be transcribed").unwrap();
        assert_eq!(config.recording.flows.get("orders"), Some(&Consent::Slot("ok".into())));
        for (recording, words) in [
            (announced, "its greeting has no \"record\" in it"),
            ("[recording.flow.ordres]\nconsent = \"announced\"", "not defined"),
            ("[recording.flow.orders]\nconsent = \"asked\"", "no `slot` says"),
            ("[recording.flow.orders]\nconsent = \"asked\"\nslot = \"name\"", "no slot `name` of kind yes_no"),
            ("[recording.flow.orders]\nconsent = \"announced\"\nslot = \"name\"", "has a `slot` to ask by"),
        ] {
            let told = with(recording, "this call may be transcribed").unwrap_err().to_string();
            assert!(told.contains(words) && told.starts_with("test:"), "{told}");
        }
    }
}
