//! Every sample caller through the whole gateway, real models, real SIP and RTP: what each script expects must be in the
//! record. Some at a time, as many agents as callers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a helper that fails is a failed test"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use baton_phone::drill::{self, DrillSpec};
use baton_phone::script::CallerScript;
use support::{Gateway, PASSWORD, agent, disagreements, root};

/// Slots whose value is not exactly what was said, of all that are expected: what speech-to-text may cost over all callers.
const SLOTS_WRONG: f64 = 0.25;
/// Calls whose trigger, disposition or join may come out otherwise for the same reason: a misheard "no" is all of these.
const CALLS_WRONG: usize = 1;
/// Agents' extensions, and so calls at a time.
const AGENTS: [&str; 4] = ["1001", "1002", "1003", "1004"];

/// The default config with as many agents.
fn with_agents(config: String) -> String {
    let listed = AGENTS.map(|e| format!("\"{e}\"")).join(", ");
    let config = config.replace("agents = [\"1001\", \"1002\"]", &format!("agents = [{listed}]"));
    let more = AGENTS[2..].iter();
    more.fold(config, |c, e| c + &format!("\n[[extension]]\nnumber = \"{e}\"\npassword = \"{PASSWORD}\"\n"))
}

#[test]
fn every_sample_caller_comes_out_as_its_script_says() {
    let gateway = Gateway::start(&root().join("target/whole/callers"), with_agents).unwrap();
    let callers = CallerScript::load_all(&root().join("media/callers")).unwrap();
    assert!(callers.len() >= 8);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut failures, mut outcomes, mut slots, mut wrong) = (Vec::new(), BTreeMap::new(), 0usize, 0usize);
    for group in callers.chunks(AGENTS.len()) {
        let agents = AGENTS.map(|e| agent(e).unwrap()).to_vec();
        let spec = DrillSpec { limit: Duration::from_secs(150), ..DrillSpec::new(gateway.sip, group.to_vec(), agents) };
        let report = runtime.block_on(drill::run(spec)).unwrap();
        for (script, caller) in group.iter().zip(&report.callers) {
            let record = gateway.record_of(&script.from).unwrap();
            slots += script.expect.slots.len() + usize::from(script.expect.account_holder.is_some());
            for fault in disagreements(&record, &script.expect) {
                let slot = fault.starts_with("account_holder: ")
                    || script.expect.slots.keys().any(|s| fault.starts_with(&format!("{s}: ")));
                println!("{}: {fault}", script.name);
                if slot {
                    wrong += 1;
                } else {
                    outcomes.entry(&script.name).or_insert_with(Vec::new).push(fault);
                }
            }
            if record["bridged_at"].is_string() {
                // The record came first, and both heard each other.
                let (acknowledged, bridged) =
                    (record["crm"]["acknowledged_at"].as_str().unwrap_or("~"), record["bridged_at"].as_str().unwrap());
                if acknowledged > bridged {
                    failures.push(format!("{}: joined at {bridged}, acknowledged at {acknowledged}", script.name));
                }
                let hand = caller.hand.as_ref();
                for (way, c) in [
                    ("caller to agent", hand.and_then(|h| h.caller_to_agent)),
                    ("agent to caller", hand.and_then(|h| h.agent_to_caller)),
                ] {
                    if c.is_some_and(|c| c < 0.95) {
                        failures.push(format!("{}: {way} correlates {c:?}", script.name));
                    }
                }
            }
            println!(
                "{}: trigger {} disposition {} latencies {}",
                script.name, record["trigger"], record["disposition"], record["latency_ms"]
            );
            for turn in record["turns"].as_array().unwrap() {
                println!("    {} {}", turn["who"].as_str().unwrap_or("?"), turn["text"]);
            }
        }
    }
    println!("slots: {wrong} of {slots} wrong");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(outcomes.len() <= CALLS_WRONG, "{outcomes:#?}");
    assert!((wrong as f64) <= SLOTS_WRONG * slots as f64, "{wrong} of {slots} slots are wrong");
    assert_eq!(gateway.get("/healthz").unwrap().0, 200);
}
