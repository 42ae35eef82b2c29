//! A system that is down, slow, angry or forgetful while a call is on: what the caller waits at most, what is lost (nothing),
//! what is doubled (nothing).
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a panic here is a failed test")]

mod fakes;
#[path = "support/systems.rs"]
mod systems;

use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_crm::{CaseWrite, Crm, CrmError, DeliveryEvent, Lookup, Outbox, Policy, Step, TwoSystems};
use baton_store::Store;
use fakes::gorgias::Gorgias;
use fakes::shopify::Shopify;
use fakes::zendesk::Zendesk;
use fakes::{Fake, Fault};
use systems::{SECRETS, config, connect};
use tempfile::TempDir;

fn policy(try_timeout: Duration) -> Policy {
    Policy {
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(50),
        ..Policy::new(try_timeout)
    }
}

fn write(call: &str, step: Step) -> CaseWrite {
    CaseWrite {
        key: format!("{call}:{}", step.name()),
        call_id: call.into(),
        step,
        from: "+15551230001".into(),
        to: "+15550000100".into(),
        disposition: "ESC".into(),
        summary: "rings about a delivery".into(),
        started_at: Some(jiff::Timestamp::now()),
        ..CaseWrite::default()
    }
}

async fn store() -> (Store, TempDir) {
    let dir = TempDir::new().unwrap();
    (Store::open(dir.path().join("b.db")).await.unwrap(), dir)
}

async fn settled(delivery: &mut baton_crm::Delivery) -> DeliveryEvent {
    tokio::time::timeout(Duration::from_secs(60), delivery.settled()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn down_for_the_whole_call_loses_nothing() {
    let (store, _dir) = store().await;
    let fake = Fake::start_with(Zendesk::new).await;
    fake.always(Some(Fault::RequestLost));
    let crm = connect(&config("zendesk", &fake.url), &store);
    let outbox = Outbox::start_with(store.clone(), Arc::clone(&crm), policy(Duration::from_secs(5))).await.unwrap();
    let mut deliveries = Vec::new();
    for step in [Step::Open, Step::Update, Step::Complete] {
        deliveries.push(outbox.enqueue(&write("down", step)).await.unwrap());
    }
    // The call hears of it at once and goes on by its policy.
    assert!(matches!(deliveries[0].next().await, Some(DeliveryEvent::Failing { .. })));
    assert!(crm.find_person(Lookup::Phone("+15551230001".into())).await.is_err());
    assert_eq!(store.outbox_depth().await.unwrap(), 3);
    assert_eq!(fake.objects()[0], ("tickets", 0));
    fake.always(None);
    for delivery in &mut deliveries {
        assert!(matches!(settled(delivery).await, DeliveryEvent::Acknowledged(_)));
    }
    assert_eq!(fake.objects()[0], ("tickets", 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_by_thirty_seconds_keeps_no_caller_waiting() {
    let (store, _dir) = store().await;
    let fake = Fake::start_with(Zendesk::new).await;
    fake.latency(Duration::from_secs(30));
    let text = config("zendesk", &fake.url).replace("lookup_ms = 20000", "lookup_ms = 600");
    let crm = connect(&text, &store);
    let started = Instant::now();
    let mut left_alone = 0;
    for _ in 0..8 {
        match crm.find_person(Lookup::Phone("+15551230001".into())).await {
            Err(CrmError::TimedOut) => {}
            Err(CrmError::NotNow { .. }) => left_alone += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(left_alone > 0, "the circuit breaker opens: later callers do not even wait for the bound");
    assert!(started.elapsed() < Duration::from_secs(30), "nobody waited for the system itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_429_is_no_failure_and_is_sat_out() {
    let (store, _dir) = store().await;
    let fake = Fake::start_with(Zendesk::new).await;
    let storm: Vec<(usize, Fault)> = (0..60).map(|at| (at, Fault::Limited)).collect();
    fake.arm(&storm);
    let crm = connect(&config("zendesk", &fake.url), &store);
    // Three tries would be used up at once if being told to wait counted as one.
    let policy = Policy { tries: 3, ..policy(Duration::from_secs(20)) };
    let outbox = Outbox::start_with(store.clone(), crm, policy).await.unwrap();
    let mut deliveries = Vec::new();
    for n in 0..5 {
        deliveries.push(outbox.enqueue(&write(&format!("storm-{n}"), Step::Open)).await.unwrap());
    }
    for delivery in &mut deliveries {
        assert!(matches!(settled(delivery).await, DeliveryEvent::Acknowledged(_)));
    }
    assert_eq!(fake.objects()[0], ("tickets", 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_that_comes_after_we_gave_up_is_not_doubled() {
    // Gorgias refuses no double. The create takes effect 900 ms after it was sent; we give up after 300.
    let (store, _dir) = store().await;
    let fake = Fake::start(Gorgias::default()).await;
    let late = Fault::Slow(Duration::from_millis(900));
    fake.arm(&[(0, late)]);
    let text = config("gorgias", &fake.url).replace("settle_s = 0", "settle_s = 2");
    let outbox =
        Outbox::start_with(store.clone(), connect(&text, &store), policy(Duration::from_millis(300))).await.unwrap();
    let mut delivery = outbox.enqueue(&write("late", Step::Complete)).await.unwrap();
    assert!(matches!(settled(&mut delivery).await, DeliveryEvent::Acknowledged(_)));
    let vendor = fake.vendor.lock().unwrap();
    let ours = vendor.tickets.iter().filter(|t| t["external_id"] == "late").count();
    assert_eq!(ours, 1, "neither a second one, nor one that had to be put away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_goes_out_to_the_customer() {
    let (store, _dir) = store().await;
    let fake = Fake::start(Gorgias::default()).await;
    let crm = connect(&config("gorgias", &fake.url), &store);
    for step in [Step::Open, Step::Update, Step::Note, Step::Complete] {
        crm.write(&CaseWrite { note: Some("in a hurry".into()), ..write("quiet", step) }).await.unwrap();
    }
    assert_eq!(fake.vendor.lock().unwrap().sent_out, 0);
    // What others put on the ticket survives ours: a PUT replaces tags and fields.
    fake.vendor.lock().unwrap().tickets[1]["tags"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({"name": "of-an-agent"}));
    crm.write(&write("quiet2", Step::Open)).await.unwrap();
    fake.vendor.lock().unwrap().tickets[2]["tags"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({"name": "of-an-agent"}));
    crm.write(&write("quiet2", Step::Complete)).await.unwrap();
    let tags = fake.vendor.lock().unwrap().tickets[2]["tags"].to_string();
    assert!(tags.contains("of-an-agent") && tags.contains("baton-ended"), "{tags}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_systems_orders_from_the_shop_tickets_at_the_desk() {
    let (store, _dir) = store().await;
    let (desk, shop) = (Fake::start_with(Zendesk::new).await, Fake::start(Shopify::default()).await);
    let both: Arc<dyn Crm> = Arc::new(TwoSystems::new(
        connect(&config("zendesk", &desk.url), &store),
        connect(&config("shopify", &shop.url), &store),
    ));
    let maria = both.find_person(Lookup::Phone("+15551230001".into())).await.unwrap().remove(0);
    assert_eq!((maria.id.as_str(), maria.orders.len(), maria.tickets.len()), ("101", 1, 1));
    let (order, holder) = both.order("1042".into()).await.unwrap().unwrap();
    assert_eq!((order.amount_cents, holder.id.as_str()), (Some(21_250), "101"), "the desk's person, not the shop's");

    // The shop is down: the caller is known all the same.
    shop.always(Some(Fault::Broken));
    let maria = both.find_person(Lookup::Phone("+15551230001".into())).await.unwrap().remove(0);
    assert_eq!((maria.id.as_str(), maria.orders.len()), ("101", 0));
    assert!(both.order("1042".into()).await.is_err());

    // Somebody only the shop knows is not written into the desk as a person of its own.
    let stranger =
        CaseWrite { contact: Some("shopify:gid://shopify/Customer/9".into()), ..write("stranger", Step::Open) };
    both.write(&stranger).await.unwrap();
    let case = both.cases("stranger").await.unwrap().remove(0);
    assert!(case.contact.is_none() && case.text.contains("Known to shopify as shopify:gid"), "{case:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pop_reaches_the_agents_screen_or_shows_the_page() {
    let (store, _dir) = store().await;
    let fake = Fake::start_with(Zendesk::new).await;
    let crm = connect(&config("zendesk", &fake.url), &store);
    let request = |agent: &str| baton_crm::PopRequest {
        record_id: Some("12".into()),
        agent: Some(agent.into()),
        ..Default::default()
    };
    let pop = crm.screen_pop(&request("1001")).await.unwrap().unwrap();
    assert!(pop.native && pop.url.ends_with("/agent/tickets/12"), "{pop:?}");
    let pop = crm.screen_pop(&request("1002")).await.unwrap().unwrap();
    assert!(!pop.native, "nobody there by that extension");
    assert_eq!(fake.vendor.lock().unwrap().popped, ["77 tickets 12"]);
}

#[tokio::test]
async fn what_is_wrong_in_the_config_is_told_before_anything_starts() {
    use baton_crm::Known;
    use baton_crm::config::CrmConfig;
    let (store, _dir) = store().await;
    let faults = |text: &str| -> Vec<String> {
        let config: CrmConfig = toml::from_str(text).unwrap();
        let known = Known { slots: &["name"], ..Known::default() };
        config.check(&known).into_iter().map(|f| format!("{}: {} | {}", f.key, f.what, f.hint)).collect()
    };
    for (text, says) in [
        ("kind = \"zendesk\"", "crm.zendesk: the section is missing | add [crm.zendesk]"),
        (
            "kind = \"zendesk\"\n[zendesk]\nurl = \"https://a.zendesk.com\"\ntoken = \"t\"",
            "the credentials are not whole",
        ),
        (
            "kind = \"shopify\"\n[shopify]\nurl = \"http://a.myshopify.com\"\ntoken = \"t\"",
            "would go in the clear | use https",
        ),
        ("kind = \"shopify\"\n[shopify]\nurl = \"a.myshopify.com\"\ntoken = \"t\"", "it is no address"),
        ("kind = \"webhook\"\n[webhook]\nurl = \"https://a.example/x\"\nsecret = \"short\"", "it is too short"),
        ("orders = \"hubspot\"", "that system knows no orders"),
        ("country = \"+1\"", "no calling code"),
        ("lookup_ms = 5", "not between 100 and 60000"),
        ("[map]\nfields = { colour = \"c\" }", "crm.map.fields.colour: no flow collects this slot"),
        (
            "kind = \"salesforce\"\n[salesforce]\nurl = \"https://a.my.salesforce.com\"\nclient_id = \"c\"\nusername = \"u\"\nprivate_key = \"no key\"",
            "crm.salesforce.private_key: it is no private key in PEM",
        ),
    ] {
        let told = faults(text);
        assert!(told.iter().any(|fault| fault.contains(says)), "{text}\n{told:?}");
        let config: CrmConfig = toml::from_str(text).unwrap();
        assert!(!told.is_empty() || config.connect(&store).is_ok());
    }
    assert_eq!(faults(""), Vec::<String>::new(), "nothing at all is the embedded store");
    assert!(toml::from_str::<CrmConfig>("kind = \"zoho\"").is_err());
    assert!(
        toml::from_str::<CrmConfig>("[rt]\nurl = \"https://x\"\npasswort = \"x\"").is_err(),
        "unknown keys are refused"
    );
    for kind in ["zendesk", "hubspot", "salesforce", "gorgias", "shopify", "webhook"] {
        let text = config(kind, "http://127.0.0.1:9");
        let config: CrmConfig = toml::from_str(&text).unwrap();
        assert_eq!(config.check(&Known::default()), [], "{kind}");
        let shown = format!("{config:?}");
        assert!(!SECRETS.iter().any(|secret| shown.contains(secret)), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_credentials_cannot_do_is_said() {
    use baton_crm::CapabilityState;
    let (store, _dir) = store().await;
    let fake = Fake::start(Shopify::default()).await;
    let crm = connect(&config("shopify", &fake.url).replace("shpat_1", "shpat_wrong"), &store);
    let report = crm.check().await;
    assert_eq!(report.len(), 4);
    for capability in report {
        assert!(matches!(&capability.state, CapabilityState::Cannot(why) if why.contains("401")), "{capability:?}");
    }
}
