//! A call of the corpus (`crates/intake/testdata/corpus`) as its caller plays it by voice: what is said when, by what is asked.
//! The caller understands questions as people do; how is not under test, so it reads them in the live call record.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::root;

/// One scripted call: what the caller knows, says, and what must come out.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// As in the corpus.
    pub title: String,
    /// The flow it is for.
    pub flow: String,
    /// Marked so in the corpus.
    pub awkward: bool,
    /// Whose number it is called from, by name.
    pub known: Option<String>,
    says: Vec<Say>,
    /// By what is asked, in order.
    answers: BTreeMap<String, Vec<String>>,
    /// `escalate TRIGGER` or `finish CODE`.
    pub end: String,
    /// Where it is not the end's own.
    pub disposition: Option<String>,
    /// Name, value (none: it must not be filled), whole or part of it.
    pub slots: Vec<(String, Option<String>, bool)>,
    /// What the briefing must tell.
    pub briefs: Vec<String>,
}

/// What a caller does in a turn: the cue of what is said, keys, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    Cue(String),
    Keys(String),
    Silence,
}

impl Call {
    /// The call of that title in `crates/intake/testdata/corpus/FILE.txt`.
    pub fn of_corpus(file: &str, title: &str) -> Result<Self> {
        let path = root().join("crates/intake/testdata/corpus").join(format!("{file}.txt"));
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let text = format!("\n{text}");
        let mut parts = text.split("\n== ");
        let head = parts.next().unwrap_or_default();
        let flow = head.lines().find_map(|l| l.strip_prefix("flow ")).unwrap_or("orders");
        let part = parts.find(|part| part.lines().next().is_some_and(|line| line.trim() == title));
        Ok(Self::parse(flow, part.with_context(|| format!("{} has no call `{title}`", path.display()))?))
    }

    fn parse(flow: &str, part: &str) -> Self {
        let mut lines = part.lines();
        let title = lines.next().unwrap_or_default().trim().to_owned();
        let mut call = Self { title, flow: flow.to_owned(), ..Self::default() };
        let mut said = 0;
        for line in lines.map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("//")) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "awkward" => call.awkward = true,
                "known" => call.known = Some(rest.into()),
                "<" => {
                    said += 1;
                    call.says.push(Say::Cue(format!("say-{said}")));
                }
                "#" => call.says.push(Say::Keys(rest.into())),
                "..." => call.says.push(Say::Silence),
                "end" => call.end = rest.into(),
                "disposition" => call.disposition = Some(rest.into()),
                "brief" => call.briefs.push(rest.into()),
                "noslot" => call.slots.push((rest.into(), None, true)),
                "slot" => {
                    let whole = rest.split_once(" = ").map(|(name, value)| (name, value, true));
                    let part = || rest.split_once(" ~ ").map(|(name, value)| (name, value, false));
                    if let Some((name, value, whole)) = whole.or_else(part) {
                        call.slots.push((name.into(), Some(value.into()), whole));
                    }
                }
                asked => {
                    if let Some(asked) = asked.strip_suffix(':') {
                        let all = call.answers.entry(asked.into()).or_default();
                        all.push(format!("{asked}-{}", all.len() + 1));
                    }
                }
            }
        }
        call
    }
}

/// A caller on the way through a call.
pub struct Caller<'a> {
    call: &'a Call,
    questions: &'a Questions,
    next: usize,
    used: BTreeMap<String, usize>,
    asked: String,
    /// What was said to the last question, and how often again.
    last: Option<(Say, usize)>,
    retold: bool,
}

impl<'a> Caller<'a> {
    pub fn new(call: &'a Call, questions: &'a Questions) -> Self {
        let (used, asked) = (BTreeMap::new(), String::new());
        Self { call, questions, next: 0, used, asked, last: None, retold: false }
    }

    /// What the caller does after the assistant's `line`.
    pub fn turn(&mut self, line: &str) -> Say {
        let before = std::mem::take(&mut self.asked);
        self.asked = self.questions.asked(line).unwrap_or_else(|| before.clone());
        let say = self.answer(line);
        // Asked the same once more by who did not understand, people say the same once more.
        let again = self.last.clone().filter(|(_, times)| say == Say::Silence && self.asked == before && *times < 2);
        let (say, times) = again.map_or((say, 0), |(said, times)| (said, times + 1));
        self.last = Some((say.clone(), times)).filter(|(say, _)| *say != Say::Silence);
        say
    }

    fn answer(&mut self, line: &str) -> Say {
        let asked = self.asked.clone();
        let asked = asked.as_str();
        if let Some(answers) = self.call.answers.get(asked) {
            let used = self.used.entry(asked.to_owned()).or_default();
            if let Some(cue) = answers.get(*used) {
                *used += 1;
                return Say::Cue(cue.clone());
            }
        }
        if asked == "name" && self.call.known.is_some() {
            return Say::Cue("me".into());
        }
        let yes_no = matches!(asked, "identity" | "account_holder" | "confirm" | "offer" | "topic" | "helped" | "else");
        let goes_on = matches!(asked, "helped" | "else") && self.used.contains_key("helped");
        if self.next < self.call.says.len() && (!yes_no || goes_on) {
            self.next += 1;
            return self.call.says[self.next - 1].clone();
        }
        let yes = |yes: bool| Say::Cue(if yes { "yes" } else { "no" }.into());
        match asked {
            "identity" | "account_holder" => yes(true),
            "offer" | "confirm" => yes(self.is_right(line)),
            "topic" => yes(self.is_it(line)),
            "opening" if !std::mem::replace(&mut self.retold, true) => {
                self.call.says.first().cloned().unwrap_or(Say::Silence)
            }
            "helped" => Say::Cue("thanks".into()),
            "else" => Say::Cue("all".into()),
            // What was told at the beginning and not heard is told again.
            _ if self.expects(asked) && self.used.insert(format!("{asked} again"), 1).is_none() => {
                self.call.says.first().cloned().unwrap_or(Say::Silence)
            }
            _ => Say::Silence,
        }
    }

    /// "Is it about …?": what the call is to end as tells what the caller wants.
    fn is_it(&self, line: &str) -> bool {
        let about = [
            ("RESOLVED", "status"),
            ("RESOLVED", "state of"),
            ("RESOLVED", "time of"),
            ("APPT-REQ", "making"),
            ("CANCEL", "cancel"),
            ("REFUND", "charge"),
            ("amount", "charge"),
            ("REPLACE", "damaged"),
            ("vip", "damaged"),
            ("frustration", "status"),
            ("two_failed", "status"),
            ("out_of_scope", "matter"),
            ("OUTAGE", "outage"),
            ("CLAIM-OPENED", "new claim"),
        ];
        about.iter().any(|(end, word)| self.call.end.contains(end) && line.contains(word))
    }

    fn expects(&self, slot: &str) -> bool {
        self.call.slots.iter().any(|(name, value, _)| name == slot && value.is_some())
    }

    fn is_right(&self, line: &str) -> bool {
        let plain = |s: &str| s.to_lowercase().replace(" dot ", ".").replace(" at ", "@").replace(' ', "");
        let line = plain(line);
        let wanted = self.call.slots.iter().filter_map(|s| s.1.as_ref()).chain(&self.call.briefs);
        wanted.filter(|v| v.len() > 3).any(|v| line.contains(&plain(v)))
    }
}

/// What a flow's lines ask for.
pub struct Questions(Vec<(String, String)>);

/// Lines that all flows share, as far as the sample flows leave them as they are.
const COMMON: [(&str, &str); 12] = [
    ("am i speaking with", "identity"),
    ("may i have your name?", "name"),
    ("whose account is it?", "holder_name"),
    ("is that right?", "confirm"),
    ("is it about order", "offer"),
    ("is it about", "topic"),
    // People say the whole number again.
    ("which letter comes before that?", "order_number"),
    ("would you rather talk to a person?", "person"),
    ("does that help?", "helped"),
    ("what is still open?", "open"),
    ("is there anything else?", "else"),
    ("call you back", "callback"),
];

impl Questions {
    /// Of the flow in `sip-configs/flows/NAME.toml`.
    pub fn of(flow: &str) -> Result<Self> {
        let path = root().join("sip-configs/flows").join(format!("{flow}.toml"));
        let table: toml::Table = toml::from_str(&std::fs::read_to_string(&path)?)?;
        let table = table["flow"].get(flow).with_context(|| format!("{}: no flow {flow}", path.display()))?;
        let mut all: Vec<(String, String)> = COMMON.iter().map(|(l, k)| ((*l).to_owned(), (*k).to_owned())).collect();
        let mut add = |line: Option<&toml::Value>, key: &str| {
            if let Some(line) = line.and_then(toml::Value::as_str) {
                all.push((line.to_lowercase(), key.to_owned()));
            }
        };
        add(table.get("opening"), "opening");
        let lists = |value: Option<&toml::Value>| value.and_then(toml::Value::as_array).cloned().unwrap_or_default();
        lists(table.get("rephrase")).iter().for_each(|line| add(Some(line), "opening"));
        for slot in lists(table.get("slot")) {
            let name = slot.get("name").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
            lists(slot.get("ask")).iter().for_each(|line| add(Some(line), &name));
            add(slot.get("ask_short"), &name);
        }
        Ok(Self(all))
    }

    /// The question that a line ends with; none when it asks nothing new ("Go on.").
    fn asked(&self, line: &str) -> Option<String> {
        let line = line.to_lowercase();
        let found = self.0.iter().filter_map(|(text, key)| Some((line.rfind(text.as_str())?, text.len(), key)));
        found.max_by_key(|(at, len, _)| (*at, *len)).map(|(.., key)| key.clone())
    }
}
