//! Scripted conversations at text level: `testdata/*.txt`, readable by whoever designs a flow.
//!
//! `== title`, then in order: `known NAME` (the CRM finds the caller's number), `number +1…`, `< caller says`, `<0.3 with
//! that confidence`, `# keys`, `...` silence, `> our reply has this`, `! our reply does not`, `back` (handed back), `down`
//! (look-ups fail from here on), and at the end `= escalate TRIGGER`, `= finish CODE` or `= listening`, `slot a = b`, `slot a ~ part`,
//! `noslot a`, `holder yes|no|unknown`, `brief part`, `nobrief part`, `summary part`, `attempts n`.
//!
//! Held in every one of them, besides: nothing of an order is told to a caller who is not known to be its holder; a
//! briefing for every trigger fits 20 seconds; the end has a disposition.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is a failed test")]

mod support;

use baton_intake::{Action, ActionResult, Intake, Next, Reply, TriggerName};
use support::{contacts, flow, words};

struct Play {
    intake: Intake,
    reply: Reply,
    said: String,
    down: bool,
    at: String,
}

impl Play {
    fn take(&mut self, reply: Reply) {
        let mut reply = reply;
        self.said = reply.say.join(" ");
        self.guard();
        while let Next::Act(action) = reply.next.clone() {
            let result = if self.down { ActionResult::Failed } else { look_up(&action) };
            reply = self.intake.action_result(result);
            self.said = format!("{} {}", self.said, reply.say.join(" "));
            self.guard();
        }
        self.reply = reply;
    }

    fn guard(&self) {
        if self.intake.account_holder() != Some(true) {
            for order in contacts().into_iter().flat_map(|c| c.orders) {
                let told = [order.item.as_str(), order.eta.as_deref().unwrap_or("2026-")];
                assert!(!told.iter().any(|t| self.said.contains(t)), "{}: private: {}", self.at, self.said);
            }
        }
        for trigger in TriggerName::ALL {
            let briefing = self.intake.briefing(trigger, &baton_intake::BriefingNotes { record_late: true });
            assert!(words(&briefing.text) <= 55, "{}: too long: {}", self.at, briefing.text);
            assert!(briefing.text.contains("not yet in the CRM"));
            assert!(!briefing.text.contains(['{', '[', ']', '}']), "{}: {}", self.at, briefing.text);
        }
    }

    fn trigger(&self) -> Option<TriggerName> {
        if let Next::Escalate { trigger, .. } = &self.reply.next { Some(*trigger) } else { None }
    }

    fn line(&mut self, line: &str) {
        let at = self.at.clone();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "known" => self.intake.contact_found(contacts().into_iter().find(|c| c.name == rest).expect(rest)),
            "..." => {
                let r = self.intake.no_input();
                self.take(r);
            }
            "#" => {
                let r = self.intake.digits(rest);
                self.take(r);
            }
            "back" => {
                let r = self.intake.handed_back();
                self.take(r);
            }
            "down" => self.down = true,
            w if w.starts_with('<') => {
                let confidence = w[1..].parse().unwrap_or(0.9);
                let r = self.intake.heard(rest, confidence);
                self.take(r);
            }
            ">" => assert!(self.said.contains(rest), "{at}: expected `{rest}` in `{}`", self.said),
            "!" => assert!(!self.said.contains(rest), "{at}: unexpected `{rest}` in `{}`", self.said),
            "=" => self.ending(rest),
            "slot" => {
                let form = self.intake.form();
                if let Some((name, part)) = rest.split_once(" ~ ") {
                    assert!(form.text(name).unwrap_or_default().contains(part), "{at}: {name}: {:?}", form.text(name));
                } else {
                    let (name, value) = rest.split_once(" = ").expect(rest);
                    assert_eq!(form.text(name), Some(value), "{at}: slot {name}");
                }
            }
            "noslot" => assert_eq!(self.intake.form().text(rest), None, "{at}"),
            "confirmed" => assert!(self.intake.form().slots()[rest].confirmed, "{at}"),
            "unconfirmed" => assert!(!self.intake.form().slots()[rest].confirmed, "{at}"),
            "holder" => {
                let holder = self.intake.account_holder().map_or("unknown", |h| if h { "yes" } else { "no" });
                assert_eq!(holder, rest, "{at}");
            }
            "brief" | "nobrief" => {
                let trigger = self.trigger().unwrap_or(TriggerName::AskedForPerson);
                let text = self.intake.briefing(trigger, &Default::default()).text;
                assert_eq!(text.contains(rest), word == "brief", "{at}: `{rest}` in `{text}`");
            }
            "summary" => {
                let text = self.intake.summary(self.trigger());
                assert!(text.contains(rest), "{at}: `{rest}` in `{text}`");
            }
            "attempts" => {
                assert_eq!(self.intake.attempts().len().to_string(), rest, "{at}: {:?}", self.intake.attempts())
            }
            other => panic!("{at}: what is `{other}`?"),
        }
    }

    fn ending(&self, expected: &str) {
        let actual = match &self.reply.next {
            Next::Listen { .. } => "listening".to_owned(),
            Next::Act(_) => "acting".to_owned(),
            Next::Finish { disposition } => {
                assert!(!disposition.is_empty());
                format!("finish {disposition}")
            }
            Next::Escalate { trigger, disposition, queue } => {
                assert!(!disposition.is_empty() && queue == "support");
                format!("escalate {trigger}")
            }
        };
        assert_eq!(actual, expected, "{}: after `{}`", self.at, self.said);
    }
}

fn look_up(action: &Action) -> ActionResult {
    let Action::OrderStatus { number } = action else { return ActionResult::Failed };
    for contact in contacts() {
        if let Some(order) = contact.orders.iter().find(|o| o.number == *number) {
            let holder = baton_intake::ContactView { matched_by: "order".into(), ..contact.clone() };
            return ActionResult::Order(Some((order.clone(), holder)));
        }
    }
    ActionResult::Order(None)
}

fn play(file: &str, script: &str) -> Vec<String> {
    let mut failures = Vec::new();
    for part in script.split("\n== ").skip(1) {
        let title = part.lines().next().unwrap_or_default();
        let number = part.lines().find_map(|l| l.strip_prefix("number ")).map(str::to_owned);
        let run = std::panic::catch_unwind(|| {
            let intake = Intake::new(flow(), number);
            let mut play = Play {
                intake,
                reply: Reply {
                    say: Vec::new(),
                    interruptible: false,
                    next: Next::Listen { patience: std::time::Duration::ZERO },
                },
                said: String::new(),
                down: false,
                at: String::new(),
            };
            let first = play.intake.begin();
            play.take(first);
            for line in part
                .lines()
                .skip(1)
                .map(str::trim)
                .filter(|l| !l.is_empty() && !l.starts_with("//") && !l.starts_with("number "))
            {
                play.at = format!("{file}: {title}: {line}");
                play.line(line);
            }
        });
        if let Err(e) = run {
            failures.push(e.downcast_ref::<String>().cloned().unwrap_or_else(|| format!("{title}: panicked")));
        }
    }
    failures
}

#[test]
fn conversations_go_as_written() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    let (mut failures, mut count) = (Vec::new(), 0);
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue; // the corpus has its own test
        }
        let text = format!("\n{}", std::fs::read_to_string(&path).unwrap());
        count += text.matches("\n== ").count();
        failures.extend(play(&path.file_name().unwrap().to_string_lossy(), &text));
    }
    assert!(count >= 30, "{count} conversations");
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n\n"));
}
