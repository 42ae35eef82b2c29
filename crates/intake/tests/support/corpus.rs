//! Plays the corpus's calls against the flows that ship. See `tests/corpus.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use baton_intake::{
    Action, ActionResult, BriefingNotes, ContactView, Day, Embedder, Flow, Intake, Next, RecordView, Reply,
    ToneReading, TriggerName, compile, raw,
};

const FLOWS: [(&str, &str); 4] = [
    ("orders", include_str!("../../../../sip-configs/flows/orders.toml")),
    ("outage", include_str!("../../../../sip-configs/flows/outage.toml")),
    ("clinic", include_str!("../../../../sip-configs/flows/clinic.toml")),
    ("claim", include_str!("../../../../sip-configs/flows/claim.toml")),
];

/// One scripted call.
pub struct Call {
    pub file: String,
    pub title: String,
    pub flow: String,
    pub awkward: bool,
    known: Option<String>,
    down: bool,
    says: Vec<Say>,
    answers: BTreeMap<String, Vec<(String, Option<ToneReading>)>>,
    pub end: String,
    disposition: Option<String>,
    slots: Vec<(String, Option<String>, bool)>,
    briefs: Vec<String>,
}

#[derive(Clone)]
enum Say {
    Words(String, Option<ToneReading>),
    Keys(String),
    Silence,
}

/// What came of a call.
#[derive(Default)]
pub struct Outcome {
    pub end: String,
    slots_right: usize,
    disposition_right: bool,
    facts_right: usize,
    complained: bool,
    pub faults: Vec<String>,
    pub transcript: Vec<String>,
}

/// Over many calls.
#[derive(Default)]
pub struct Figures {
    pub calls: usize,
    pub awkward: usize,
    slots: (usize, usize),
    facts: (usize, usize),
    dispositions: (usize, usize),
    right: usize,
    fired: usize,
    expected: usize,
    pub on_tone_alone: usize,
    pub distress_missed: usize,
}

/// The calls of every file whose name begins so.
pub fn calls(part: &str) -> Vec<Call> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../intake/testdata/corpus");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut out = Vec::new();
    for path in files {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if file.starts_with(part) {
            out.extend(parse(&file, &std::fs::read_to_string(&path).unwrap()));
        }
    }
    out
}

fn parse(file: &str, text: &str) -> Vec<Call> {
    let text = format!("\n{text}");
    let mut parts = text.split("\n== ");
    let head = parts.next().unwrap_or_default();
    let flow = head.lines().find_map(|l| l.strip_prefix("flow ")).unwrap_or("orders");
    parts.map(|part| parse_call(file, flow, part)).collect()
}

fn parse_call(file: &str, flow: &str, part: &str) -> Call {
    let mut lines = part.lines();
    let mut call = Call {
        file: file.into(),
        title: lines.next().unwrap_or_default().trim().into(),
        flow: flow.into(),
        awkward: false,
        known: None,
        down: false,
        says: Vec::new(),
        answers: BTreeMap::new(),
        end: String::new(),
        disposition: None,
        slots: Vec::new(),
        briefs: Vec::new(),
    };
    let mut tone = None;
    for line in lines.map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("//")) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "flow" => call.flow = rest.into(),
            "awkward" => call.awkward = true,
            "known" => call.known = Some(rest.into()),
            "down" => call.down = true,
            "<" => call.says.push(Say::Words(rest.into(), tone.take())),
            "#" => call.says.push(Say::Keys(rest.into())),
            "..." => call.says.push(Say::Silence),
            "tone" => {
                let (score, why) = rest.split_once(' ').unwrap_or((rest, ""));
                let score = score.parse().expect(line);
                tone = Some(ToneReading { score, peak: score, why: Vec::new(), plain: vec![why.to_owned()] });
            }
            "end" => call.end = rest.into(),
            "disposition" => call.disposition = Some(rest.into()),
            "slot" => {
                let (name, value, whole) = match rest.split_once(" ~ ") {
                    Some((name, part)) => (name, part, false),
                    None => rest.split_once(" = ").map(|(n, v)| (n, v, true)).expect(line),
                };
                call.slots.push((name.into(), Some(value.into()), whole));
            }
            "noslot" => call.slots.push((rest.into(), None, true)),
            "brief" => call.briefs.push(rest.into()),
            asked => {
                let asked =
                    asked.strip_suffix(':').unwrap_or_else(|| panic!("{file}: {}: what is `{line}`?", call.title));
                call.answers.entry(asked.into()).or_default().push((rest.into(), tone.take()));
            }
        }
    }
    assert!(!call.end.is_empty(), "{file}: {}: no end", call.title);
    call
}

/// Plays a call. Flows with a model are compiled once for each model.
pub fn run(call: &Call, model: Option<&Arc<dyn Embedder>>) -> Outcome {
    let flow = flow(&call.flow, model);
    let mut intake = Intake::new(flow, Some("+15550100200".to_owned()));
    intake.set_today(Day::new(2026, 11, 24).unwrap());
    if let Some(known) = &call.known {
        let contact = people().into_iter().find(|p| p.name == *known).unwrap_or_else(|| panic!("who is {known}?"));
        intake.contact_found(contact);
    }
    let mut caller = Caller { call, next: 0, used: BTreeMap::new(), repeated: false };
    let mut out = Outcome::default();
    let mut reply = intake.begin();
    for _ in 0..40 {
        out.transcript.push(format!("> {}", reply.say.join(" ")));
        match reply.next.clone() {
            Next::Escalate { trigger, disposition, .. } => {
                out.end = format!("escalate {trigger}");
                out.judge(call, &intake, Some(trigger), &disposition);
                return out;
            }
            Next::Finish { disposition } => {
                out.end = format!("finish {disposition}");
                out.judge(call, &intake, None, &disposition);
                return out;
            }
            Next::Act(action) => {
                let result = if call.down { ActionResult::Failed } else { act(&action) };
                reply = intake.action_result(result);
            }
            Next::Listen { .. } => {
                let said = caller.says(&intake, &reply);
                out.transcript.push(match &said {
                    Say::Words(words, _) => format!("< {words}"),
                    Say::Keys(keys) => format!("# {keys}"),
                    Say::Silence => "...".into(),
                });
                reply = match said {
                    Say::Words(words, tone) => {
                        out.complained |= is_complaint(&words);
                        intake.tone(tone.unwrap_or_default());
                        intake.heard(&words, 0.9)
                    }
                    Say::Keys(keys) => intake.digits(&keys),
                    Say::Silence => intake.no_input(),
                };
            }
        }
    }
    out.end = "nothing".into();
    out.judge(call, &intake, None, "");
    out
}

/// Plain words of complaint, counted here apart from the code under test.
fn is_complaint(words: &str) -> bool {
    let words = words.to_lowercase();
    [
        "ridiculous",
        "useless",
        "sick of",
        "worst",
        "unacceptable",
        "furious",
        "kidding",
        "fed up",
        "joke",
        "nobody ever",
        "damn",
        "terrible",
        "awful",
        "pathetic",
        "stupid",
    ]
    .iter()
    .any(|c| words.contains(c))
}

struct Caller<'a> {
    call: &'a Call,
    next: usize,
    used: BTreeMap<String, usize>,
    repeated: bool,
}

impl Caller<'_> {
    fn says(&mut self, intake: &Intake, reply: &Reply) -> Say {
        let asking = intake.asking().to_owned();
        if let Some(answers) = self.call.answers.get(&asking) {
            let used = self.used.entry(asking.clone()).or_default();
            if let Some((words, tone)) = answers.get(*used) {
                *used += 1;
                return Say::Words(words.clone(), tone.clone());
            }
        }
        if asking == "name"
            && let Some(known) = &self.call.known
        {
            return Say::Words(known.clone(), None);
        }
        let yes_no = matches!(
            asking.as_str(),
            "identity" | "account_holder" | "confirm" | "offer" | "topic" | "helped" | "else"
        );
        let left = self.call.says.len() - self.next;
        // After the first words, a question of yes or no is answered before the next matter is brought up.
        if left > 0 && (!yes_no || self.unexpected(&asking)) {
            self.next += 1;
            return self.call.says[self.next - 1].clone();
        }
        let line = reply.say.join(" ");
        let words = match asking.as_str() {
            "identity" | "account_holder" => "Yes.",
            "offer" | "confirm" if self.is_right(&line) => "Yes.",
            "offer" | "confirm" => "No.",
            "topic" if self.is_it(&line) => "Yes.",
            "topic" => "No.",
            // Asked to say it in other words, people say it once more.
            "opening" if !self.repeated => {
                self.repeated = true;
                match self.call.says.first() {
                    Some(Say::Words(words, _)) => words.as_str(),
                    _ => return Say::Silence,
                }
            }
            "helped" => "Yes, thank you.",
            "else" => "No, that's all.",
            _ => return Say::Silence,
        };
        Say::Words(words.into(), None)
    }

    /// The script goes on with a plain line where an answer is expected: it is the answer.
    fn unexpected(&self, asking: &str) -> bool {
        matches!(asking, "helped" | "else")
            && self.call.answers.contains_key("helped")
            && self.used.contains_key("helped")
    }

    /// "Is it about …?": what the call is to end as tells what the caller wants.
    fn is_it(&self, line: &str) -> bool {
        let about = [
            ("RESOLVED", "status"),
            ("RESOLVED", "state of"),
            ("RESOLVED", "time of"),
            ("APPT-CANCEL", "cancelling"),
            ("escalate complexity", "new claim"),
            ("escalate amount", "new claim"),
            ("escalate amount", "charge"),
            ("escalate vip", "damaged"),
            ("REFUND", "charge"),
            ("CANCEL", "cancel"),
            ("REPLACE", "damaged"),
            ("out_of_scope", "matter"),
            ("OUTAGE", "outage"),
            ("APPT-REQ", "making"),
            ("CLAIM-OPENED", "new claim"),
            ("two_failed", "status"),
        ];
        about.iter().any(|(end, word)| self.call.end.contains(end) && line.contains(word))
    }

    fn is_right(&self, line: &str) -> bool {
        let plain = |s: &str| s.to_lowercase().replace(" dot ", ".").replace(" at ", "@").replace(' ', "");
        let line = plain(line);
        let wanted = self.call.slots.iter().filter_map(|s| s.1.as_ref()).chain(&self.call.briefs);
        wanted.filter(|v| v.len() > 3).any(|v| line.contains(&plain(v)))
    }
}

impl Outcome {
    fn judge(&mut self, call: &Call, intake: &Intake, trigger: Option<TriggerName>, disposition: &str) {
        if self.end != call.end {
            self.faults.push(format!("ended with `{}`, not `{}`", self.end, call.end));
        }
        self.disposition_right = match &call.disposition {
            Some(d) => d == disposition,
            None => self.end == call.end,
        };
        if !self.disposition_right && self.end == call.end {
            self.faults.push(format!("disposition {disposition}"));
        }
        for (slot, value, whole) in &call.slots {
            let got = intake.form().text(slot);
            let right = match (value, got) {
                (None, None) => true,
                (Some(v), Some(g)) if *whole => v == g,
                (Some(v), Some(g)) => g.to_lowercase().contains(&v.to_lowercase()),
                _ => false,
            };
            self.slots_right += usize::from(right);
            if !right {
                self.faults.push(format!("slot {slot} is {got:?}, not {value:?}"));
            }
        }
        let briefing = intake.briefing(trigger.unwrap_or(TriggerName::AskedForPerson), &BriefingNotes::default()).text;
        for fact in &call.briefs {
            let told = briefing.to_lowercase().contains(&fact.to_lowercase());
            self.facts_right += usize::from(told);
            if !told {
                self.faults.push(format!("`{fact}` is not in the briefing: {briefing}"));
            }
        }
        let spoken = briefing.split_whitespace().count();
        if spoken > 55 {
            self.faults.push(format!("briefing of {spoken} words: {briefing}"));
        }
    }
}

impl Figures {
    pub fn add(&mut self, call: &Call, outcome: &Outcome) {
        self.calls += 1;
        self.awkward += usize::from(call.awkward);
        self.slots.0 += outcome.slots_right;
        self.slots.1 += call.slots.len();
        self.facts.0 += outcome.facts_right;
        self.facts.1 += call.briefs.len();
        self.dispositions.0 += usize::from(outcome.disposition_right);
        self.dispositions.1 += 1;
        let fired = outcome.end.starts_with("escalate");
        let expected = call.end.starts_with("escalate");
        self.fired += usize::from(fired);
        self.expected += usize::from(expected);
        self.right += usize::from(fired && outcome.end == call.end);
        self.on_tone_alone += usize::from(outcome.end == "escalate frustration" && !outcome.complained);
        self.distress_missed += usize::from(call.end == "escalate distress" && outcome.end != call.end);
    }

    pub fn slot_accuracy(&self) -> f64 {
        percent(self.slots)
    }
    pub fn precision(&self) -> f64 {
        percent((self.right, self.fired))
    }
    pub fn recall(&self) -> f64 {
        percent((self.right, self.expected))
    }
    pub fn dispositions(&self) -> f64 {
        percent(self.dispositions)
    }
    pub fn facts(&self) -> f64 {
        percent(self.facts)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls ({} awkward); slots {:.1}% of {}; triggers precision {:.1}% recall {:.1}% of {}; dispositions {:.1}%; \
             briefing facts {:.1}% of {}; on tone alone {}; distress missed {}",
            self.calls,
            self.awkward,
            self.slot_accuracy(),
            self.slots.1,
            self.precision(),
            self.recall(),
            self.expected,
            self.dispositions(),
            self.facts(),
            self.facts.1,
            self.on_tone_alone,
            self.distress_missed
        )
    }
}

fn percent((part, whole): (usize, usize)) -> f64 {
    if whole == 0 { 100.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// A flow that ships, with or without a model.
pub fn flow(name: &str, model: Option<&Arc<dyn Embedder>>) -> Arc<Flow> {
    type Made = BTreeMap<(String, bool), Arc<Flow>>;
    static MADE: OnceLock<Mutex<Made>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
    let flow = made.entry((name.to_owned(), model.is_some())).or_insert_with(|| {
        let text = FLOWS.iter().find(|f| f.0 == name).unwrap_or_else(|| panic!("no flow {name}")).1;
        let raw: raw::Flows = toml::from_str(text).unwrap();
        let flow =
            compile(raw, &["support".to_owned()]).unwrap_or_else(|e| panic!("{name}: {e:#?}")).remove(name).unwrap();
        if let Some(model) = model {
            assert!(flow.learn(model.clone()) > 0);
        }
        flow
    });
    flow.clone()
}

fn act(action: &Action) -> ActionResult {
    let record = |kind: &str, number: Option<&String>| {
        let all = people().into_iter().flat_map(|p| p.records.clone().into_iter().map(move |r| (r, p.clone())));
        all.into_iter().find(|(r, _)| r.kind == kind && number.is_none_or(|n| r.number == *n))
    };
    match action {
        Action::OrderStatus { number } => ActionResult::Order(people().into_iter().find_map(|p| {
            let order = p.orders.iter().find(|o| o.number == *number)?.clone();
            Some((order, ContactView { matched_by: "order".into(), ..p }))
        })),
        Action::Lookup { record: kind, number, .. } => ActionResult::Record(record(kind, number.as_ref())),
        Action::Webhook { .. } => ActionResult::Hook { done: true, say: None },
    }
}

fn people() -> Vec<ContactView> {
    let mut out = super::contacts();
    let order = |number: &str, item: &str, status: &str, eta: &str| baton_intake::OrderView {
        number: number.into(),
        item: item.into(),
        status: status.into(),
        amount_cents: 8_900,
        eta: Some(eta.into()),
    };
    let person = |id: &str, name: &str| ContactView {
        id: id.into(),
        name: name.into(),
        matched_by: "caller_id".into(),
        ..ContactView::default()
    };
    let record = |kind: &str, number: &str, status: &str, when: &str| RecordView {
        kind: kind.into(),
        number: number.into(),
        status: status.into(),
        what: String::new(),
        when: Some(when.into()),
    };
    out.push(ContactView {
        orders: vec![order("A-1090", "espresso machine", "shipped", "2026-11-26")],
        attributes: [("tier".to_owned(), "vip".to_owned())].into(),
        ..person("c4", "Priya Natarajan")
    });
    out.push(ContactView {
        orders: vec![order("A-1055", "garden chair", "shipped", "2026-11-30")],
        authorised: vec!["Linda Baker".into()],
        ..person("c5", "Tom Baker")
    });
    out.push(ContactView {
        records: vec![record("ticket", "T-58213", "being repaired", "expected back by six")],
        ..person("c6", "Rita Alvarez")
    });
    out.push(ContactView {
        records: vec![record("appointment", "", "confirmed", "2026-11-26")],
        attributes: [("date_of_birth".to_owned(), "1978-03-03".to_owned())].into(),
        ..person("c7", "Helen Brooks")
    });
    out.push(ContactView {
        records: vec![record("claim", "CL-30771", "being reviewed", "decision by 2026-12-04")],
        ..person("c8", "Frank Miller")
    });
    out
}
