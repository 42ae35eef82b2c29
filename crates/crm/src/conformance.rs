//! What every connector must do, as one suite over `dyn Crm`. The crate's tests run it against each connector; whoever
//! writes another runs it against theirs. It leaves records behind: run it against a system made for trying.

use std::fmt::Debug;

use jiff::Timestamp;
use serde_json::json;

use crate::{CapabilityState, CaseView, CaseWrite, Crm, CrmError, Lookup, PopRequest, Receipt, Step};

/// What the system under test is known to hold.
#[derive(Debug, Clone, Default)]
pub struct Fixture {
    /// Makes this run's call ids unlike those of other runs.
    pub stamp: String,
    /// The full name of somebody who has open tickets or orders.
    pub name: String,
    /// Their number, in the writings it must be found by.
    pub phones: Vec<String>,
    /// Their e-mail address, in the writings it must be found by.
    pub emails: Vec<String>,
    /// A number that two people have.
    pub shared_phone: Option<String>,
    /// Numbers nobody has; some of them like those above, so that a search finds what it must not.
    pub strangers: Vec<String>,
    /// An order of theirs, in the writings it must be found by.
    pub orders: Vec<String>,
    /// Two disposition codes the connector is configured for.
    pub dispositions: [String; 2],
    /// An agent's extension that the connector is configured for.
    pub agent: Option<String>,
    /// A queue the connector is configured for.
    pub queue: Option<String>,
    /// The system answers by its description but keeps nothing: what is written cannot be read back.
    pub keeps_nothing: bool,
}

/// What did not hold: which check, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The check's name.
    pub check: &'static str,
    /// What was seen.
    pub what: String,
}

/// Runs the suite. Empty: the connector conforms.
pub async fn run(crm: &dyn Crm, fixture: &Fixture) -> Vec<Failure> {
    let mut suite = Suite { crm, fixture, failures: Vec::new() };
    suite.people().await;
    suite.orders().await;
    suite.one_record_per_call().await;
    suite.a_case_that_grows().await;
    suite.notes_and_links().await;
    suite.a_call_without_an_agent().await;
    suite.shows_and_checks().await;
    suite.failures
}

struct Suite<'a> {
    crm: &'a dyn Crm,
    fixture: &'a Fixture,
    failures: Vec<Failure>,
}

impl Suite<'_> {
    fn that(&mut self, check: &'static str, holds: bool, what: impl Debug) {
        if !holds {
            self.failures.push(Failure { check, what: format!("{what:?}") });
        }
    }

    /// The answer; a failure of the check otherwise.
    fn got<T>(&mut self, check: &'static str, answer: Result<T, CrmError>) -> Option<T> {
        answer.map_err(|e| self.failures.push(Failure { check, what: e.to_string() })).ok()
    }

    async fn people(&mut self) {
        let fixture = self.fixture;
        let by_phone = fixture.phones.iter().map(|p| ("finds by phone", Lookup::Phone(p.clone())));
        let by_email = fixture.emails.iter().map(|e| ("finds by e-mail", Lookup::Email(e.clone())));
        let mut id = None;
        for (check, lookup) in by_phone.chain(by_email) {
            let Some(people) = self.got(check, self.crm.find_person(lookup.clone()).await) else { continue };
            if fixture.keeps_nothing {
                continue;
            }
            let right = people.len() == 1 && people[0].name == fixture.name && !people[0].id.is_empty();
            self.that(check, right, (&lookup, &people));
            if let Some(person) = people.into_iter().next() {
                self.that(
                    "reads what is open",
                    !person.tickets.is_empty() || !person.orders.is_empty(),
                    (&lookup, &person),
                );
                let known = id.get_or_insert_with(|| person.id.clone());
                let same = *known == person.id;
                self.that("finds the same person every way", same, (&lookup, &person.id));
            }
        }
        if let Some(id) = id {
            let found = self.crm.find_person(Lookup::Id(id.clone())).await;
            if let Some(people) = self.got("finds by id", found) {
                self.that("finds by id", people.len() == 1 && people[0].id == id, &people);
            }
        }
        if fixture.keeps_nothing {
            return;
        }
        if let Some(shared) = fixture.shared_phone.clone() {
            let found = self.crm.find_person(Lookup::Phone(shared)).await;
            if let Some(people) = self.got("tells of all on one number", found) {
                self.that("tells of all on one number", people.len() == 2, &people);
            }
        }
        let nobody = Lookup::Email("nobody.at.all@example.invalid".into());
        for lookup in fixture.strangers.iter().cloned().map(Lookup::Phone).chain([nobody]) {
            let found = self.crm.find_person(lookup.clone()).await;
            if let Some(people) = self.got("finds nobody for a stranger", found) {
                self.that("finds nobody for a stranger", people.is_empty(), (&lookup, &people));
            }
        }
    }

    async fn orders(&mut self) {
        for number in &self.fixture.orders {
            let check = "finds an order and its holder";
            let Some(found) = self.got(check, self.crm.order(number.clone()).await) else { continue };
            if self.fixture.keeps_nothing {
                continue;
            }
            let right = found.as_ref().is_some_and(|(_, holder)| holder.name == self.fixture.name);
            self.that(check, right, (number, &found));
            let people = self.crm.find_person(Lookup::Order(number.clone())).await;
            if let Some(people) = self.got(check, people) {
                self.that(check, people.len() == 1 && people[0].name == self.fixture.name, (number, &people));
            }
        }
        if !self.fixture.keeps_nothing {
            let none = self.crm.order("ZZ-0000000".into()).await;
            if let Some(found) = self.got("finds no order that is not there", none) {
                self.that("finds no order that is not there", found.is_none(), &found);
            }
        }
    }

    async fn one_record_per_call(&mut self) {
        let contact = self.contact().await;
        let [first, last] = self.fixture.dispositions.clone();
        let call = format!("{}-one", self.fixture.stamp);
        let base = CaseWrite { contact: contact.clone(), disposition: first.clone(), ..self.base(&call) };
        let open = step(&base, Step::Open, "1", "disputes a charge of 212 dollars");
        let Some(receipt) = self.send("opens a case", &open).await else { return };
        self.that("a receipt names its system", receipt.system == self.crm.name(), &receipt);
        if let Some(case) = self.the_case("opens a case", &call).await {
            self.that("opens a case", case.record_id == receipt.record_id, (&case, &receipt));
            self.that("opens a case", case.disposition.as_deref() == Some(&first), &case);
            self.that("opens a case", case.text.contains("disputes a charge of 212 dollars"), &case);
            self.that("links the person", contact.is_none() || case.contact == contact, (&case, &contact));
            self.that("an open case is open", !case.closed, &case);
        }
        if let Some(again) = self.send("the same key again changes nothing", &open).await {
            let same = again.record_id == receipt.record_id;
            self.that("the same key again changes nothing", same || self.fixture.keeps_nothing, (&again, &receipt));
        }
        self.the_case("the same key again changes nothing", &call).await;

        let update = step(&base, Step::Update, "1", "wants the charge of the second kettle back");
        self.send("updates during the call", &update).await;
        if let Some(case) = self.the_case("updates during the call", &call).await {
            self.that("updates during the call", case.record_id == receipt.record_id, &case);
            self.that("updates during the call", case.text.contains("the second kettle"), &case);
        }
        let end = CaseWrite {
            disposition: last.clone(),
            agent: self.fixture.agent.clone(),
            bridged_at: base.started_at,
            ended_at: Some(Timestamp::now()),
            ..step(&base, Step::Complete, "1", "an agent refunded the second kettle")
        };
        for _ in 0..2 {
            self.send("completes", &end).await;
        }
        if let Some(case) = self.the_case("completes", &call).await {
            self.that("completes", case.record_id == receipt.record_id && case.closed, &case);
            self.that("completes", case.disposition.as_deref() == Some(&last), &case);
        }
    }

    /// Written as the call goes, before anybody knows what comes of it.
    async fn a_case_that_grows(&mut self) {
        let call = format!("{}-grows", self.fixture.stamp);
        let unknown = CaseWrite { trigger: None, queue: None, disposition: String::new(), ..self.base(&call) };
        let first = step(&unknown, Step::Update, "1", "the call goes on");
        let Some(receipt) = self.send("begins without an outcome", &first).await else { return };
        if let Some(case) = self.the_case("begins without an outcome", &call).await {
            self.that("begins without an outcome", case.record_id == receipt.record_id && !case.closed, &case);
            let none = case.disposition.as_deref().unwrap_or_default().is_empty();
            self.that("begins without an outcome", none, &case);
        }
        let [known, _] = self.fixture.dispositions.clone();
        let contact = self.contact().await;
        let open = CaseWrite { disposition: known.clone(), contact: contact.clone(), ..self.base(&call) };
        self.send("the outcome follows", &step(&open, Step::Open, "1", "wants a person")).await;
        if let Some(case) = self.the_case("the outcome follows", &call).await {
            self.that("the outcome follows", case.record_id == receipt.record_id && !case.closed, &case);
            self.that("the outcome follows", case.disposition.as_deref() == Some(&known), &case);
            self.that("the outcome follows", contact.is_none() || case.contact == contact, (&case, &contact));
        }
    }

    async fn notes_and_links(&mut self) {
        let call = format!("{}-notes", self.fixture.stamp);
        let base = CaseWrite { disposition: self.fixture.dispositions[0].clone(), ..self.base(&call) };
        self.send("adds a note", &step(&base, Step::Open, "1", "rings about a delivery")).await;
        let note = |n: &str, text: &str| CaseWrite {
            note: Some(text.into()),
            ..step(&base, Step::Note, n, "rings about a delivery")
        };
        let (one, two) = (note("1", "the caller is in a hurry"), note("2", "the parcel stands with a neighbour"));
        for write in [&one, &one, &two, &one] {
            self.send("adds a note", write).await;
        }
        if let Some(case) = self.the_case("adds a note", &call).await {
            let found: Vec<usize> = ["in a hurry", "with a neighbour"]
                .map(|text| case.notes.iter().filter(|note| note.contains(text)).count())
                .into();
            self.that("adds each note once", found == [1, 1], &case);
        }
        let contact = self.contact().await;
        if contact.is_none() {
            return;
        }
        let link = CaseWrite { contact: contact.clone(), ..step(&base, Step::Link, "1", "rings about a delivery") };
        for _ in 0..2 {
            self.send("links a case later", &link).await;
        }
        if let Some(case) = self.the_case("links a case later", &call).await {
            self.that("links a case later", case.contact == contact, &case);
            self.that("a link leaves the rest alone", case.text.contains("rings about a delivery"), &case);
        }
    }

    async fn a_call_without_an_agent(&mut self) {
        let call = format!("{}-solved", self.fixture.stamp);
        let base = CaseWrite {
            disposition: self.fixture.dispositions[1].clone(),
            contact: self.contact().await,
            trigger: None,
            queue: None,
            ended_at: Some(Timestamp::now()),
            ..self.base(&call)
        };
        let only = step(&base, Step::Complete, "1", "was told when the kettle comes");
        for _ in 0..2 {
            self.send("a solved call has its record", &only).await;
        }
        if let Some(case) = self.the_case("a solved call has its record", &call).await {
            let right = case.closed && case.disposition.as_deref() == Some(self.fixture.dispositions[1].as_str());
            self.that("a solved call has its record", right, &case);
        }
        // A late write, from the dead letters say, finds the closed case and does not make another.
        self.send("a late write makes no second case", &step(&base, Step::Update, "late", "said earlier")).await;
        self.the_case("a late write makes no second case", &call).await;
    }

    async fn shows_and_checks(&mut self) {
        let call = format!("{}-one", self.fixture.stamp);
        let record = self.crm.cases(&call).await.ok().and_then(|cases| cases.into_iter().next());
        let request = PopRequest {
            record_id: record.map(|case| case.record_id),
            contact: self.contact().await,
            agent: self.fixture.agent.clone(),
            call_id: call,
        };
        if let Some(Some(pop)) = self.got("shows the case", self.crm.screen_pop(&request).await) {
            self.that("shows the case", pop.url.contains("://"), &pop);
        }
        let report = self.crm.check().await;
        self.that("says what its credentials can do", !report.is_empty(), &report);
        let cannot: Vec<_> = report.iter().filter(|c| matches!(c.state, CapabilityState::Cannot(_))).collect();
        self.that("its credentials suffice", cannot.is_empty(), &cannot);
    }

    async fn send(&mut self, check: &'static str, write: &CaseWrite) -> Option<Receipt> {
        let receipt = self.got(check, self.crm.write(write).await)?;
        self.that(check, !receipt.record_id.is_empty(), &receipt);
        Some(receipt)
    }

    /// The call's one record, read back.
    async fn the_case(&mut self, check: &'static str, call_id: &str) -> Option<CaseView> {
        let mut cases = self.got(check, self.crm.cases(call_id).await)?;
        if self.fixture.keeps_nothing {
            return None;
        }
        self.that(check, cases.len() == 1, &cases);
        cases.pop()
    }

    /// The known person's id.
    async fn contact(&self) -> Option<String> {
        let by_email = self.fixture.emails.first().map(|e| Lookup::Email(e.clone()));
        let lookup = self.fixture.phones.first().map(|p| Lookup::Phone(p.clone())).or(by_email)?;
        let mut people = self.crm.find_person(lookup).await.ok()?;
        (people.len() == 1 || self.fixture.keeps_nothing).then(|| people.pop().map(|p| p.id)).flatten()
    }

    fn base(&self, call_id: &str) -> CaseWrite {
        CaseWrite {
            call_id: call_id.into(),
            from: self.fixture.phones.first().cloned().unwrap_or_else(|| "+15551239999".into()),
            to: "+15550000100".into(),
            started_at: Some(Timestamp::now()),
            caller_name: Some(self.fixture.name.clone()),
            account_holder: Some(true),
            trigger: Some("asked_for_person".into()),
            queue: self.fixture.queue.clone(),
            slots: json!({"name": {"value": self.fixture.name, "confirmed": true, "source": "speech"},
                          "order_number": {"value": "A-1042", "confirmed": true, "source": "dtmf"}}),
            ..CaseWrite::default()
        }
    }
}

fn step(base: &CaseWrite, step: Step, n: &str, summary: &str) -> CaseWrite {
    let key = format!("{}:{}-{n}", base.call_id, step.name());
    CaseWrite { key, step, summary: summary.into(), ..base.clone() }
}
