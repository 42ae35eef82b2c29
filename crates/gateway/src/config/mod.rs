//! The config, read raw and then compiled into types that cannot be wrong: every reference is resolved, every number in
//! its range. Each fault is told with file, line and what to do; nothing is started on a faulty config.

mod language;
mod locate;
mod media;
pub mod raw;
mod recording;
mod remote;
mod secrets;
mod sip;
mod trunk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use baton_agents::{AgentPlan, Hours, Plan, QueuePlan};
use baton_call::Rules;
use baton_crm::config::CrmConfig;
use baton_crm::{Hook, HookConfig, Known};
use baton_intake::Flow;

pub use self::language::Language;
use self::locate::Lines;
pub use self::media::{Line, Media};
pub use self::raw::SttEngine;
pub use self::recording::{Consent, Recording};
pub use self::remote::RemoteEngine;
pub use self::sip::Sip;

/// The config a gateway starts on when it is given none: loopback only, one extension, the flow for orders.
pub const EMBEDDED: &str = concat!(
    include_str!("../../../../sip-configs/baton.toml"),
    "\n",
    include_str!("../../../../sip-configs/flows/orders.toml")
);

/// A compiled config.
#[derive(Debug, Clone)]
pub struct Config {
    pub sip: Sip,
    pub media: Media,
    pub recording: Recording,
    pub speech: Speech,
    pub store: PathBuf,
    pub seed: Option<PathBuf>,
    pub keep_days: Option<u32>,
    pub crm: CrmConfig,
    pub http: Option<SocketAddr>,
    pub http_token: Option<String>,
    /// Where agents' browsers reach the API.
    pub http_url: Option<String>,
    pub log: Log,
    pub extensions: Vec<Extension>,
    /// Queues and agents.
    pub floor: Plan,
    /// What holds for every call beside its flow.
    pub rules: Rules,
    /// How a caller's mood is weighed.
    pub tone: baton_tone::Config,
    /// What flows may call for a caller, by name.
    pub hooks: BTreeMap<String, HookConfig>,
    /// The language model, if there is one.
    pub language: Option<Language>,
    /// Called number → flow.
    pub dids: BTreeMap<String, Arc<Flow>>,
}

/// Where the models are and how many work with them.
#[derive(Debug, Clone)]
pub struct Speech {
    pub models: PathBuf,
    pub engine: SttEngine,
    pub stt_workers: usize,
    pub stt_threads: usize,
    pub tts_workers: usize,
    pub cache: PathBuf,
    pub partials: bool,
    pub remote_stt: Option<RemoteEngine>,
    pub remote_tts: Option<RemoteEngine>,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Log {
    pub filter: String,
    pub json: bool,
}

/// An agent's number and how it proves itself.
#[derive(Debug, Clone)]
pub struct Extension {
    pub number: String,
    pub secret: Secret,
}

/// An extension's password, however it was given. `Generated`: the config names none, so one is made at first start.
#[derive(Clone)]
pub enum Secret {
    Password(String),
    Ha1(String),
    Generated,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(***)",
            Self::Ha1(_) => "Ha1(***)",
            Self::Generated => "Generated",
        })
    }
}

/// One thing wrong with a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    pub line: Option<usize>,
    pub message: String,
    pub hint: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message)?,
            None => write!(f, "{}: {}", self.file, self.message)?,
        }
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\n    {}", self.hint) }
    }
}

/// Every fault found in one config.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Faults(pub Vec<Fault>);

/// Reads and compiles the config in `file`, or the embedded one. Relative paths in a file are taken from its folder.
pub fn load(file: Option<&Path>) -> Result<Config, Faults> {
    let Some(path) = file else { return parse("embedded default", EMBEDDED, Path::new("")) };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| {
        Faults(vec![Fault {
            file: name.clone(),
            line: None,
            message: format!("cannot read the config: {e}"),
            hint: "write one to start from with: baton init DIR".into(),
        }])
    })?;
    parse(&name, &text, path.parent().unwrap_or(Path::new("")))
}

/// Compiles config text. `name` stands in messages; relative paths are joined to `base`.
pub fn parse(name: &str, text: &str, base: &Path) -> Result<Config, Faults> {
    let text = secrets::expand(name, text, base).map_err(Faults)?;
    let raw: raw::Raw = toml::from_str(&text).map_err(|e| {
        let line = e.span().map(|span| locate::line_of(&text, span.start));
        let message = e.message().lines().collect::<Vec<_>>().join("; ");
        let hint = if message.contains("unknown field") {
            "correct the key's spelling or remove it; `baton init DIR` writes a config with every key"
        } else {
            "correct the value; `baton init DIR` writes a config with every key"
        };
        Faults(vec![Fault { file: name.into(), line, message, hint: hint.into() }])
    })?;
    Compiler { name, lines: Lines::new(&text), base, faults: Vec::new() }.compile(raw)
}

/// The config's own words, for the CRM's mappings to be checked against.
struct Words {
    dispositions: BTreeSet<String>,
    queues: BTreeSet<String>,
    extensions: BTreeSet<String>,
    slots: BTreeSet<String>,
}

impl Words {
    fn of(raw: &raw::Raw) -> Self {
        let flows = raw.flow.values().map(|flow| &flow.disposition);
        let of_flows = flows.flat_map(|d| [&d.solved, &d.nothing_done, &d.callback, &d.unreached, &d.abandoned]);
        let of_intents = raw.flow.values().flat_map(|flow| flow.intent.iter().map(|intent| &intent.solved));
        let of_triggers = raw.trigger.iter().map(|trigger| &trigger.disposition);
        Self {
            dispositions: of_flows.chain(of_intents).chain(of_triggers).flatten().cloned().collect(),
            queues: raw.queue.iter().map(|queue| queue.name.clone()).collect(),
            extensions: raw.extension.iter().map(|extension| extension.number.clone()).collect(),
            slots: raw.flow.values().flat_map(|flow| flow.slot.iter().map(|slot| slot.name.clone())).collect(),
        }
    }
}

struct Compiler<'a> {
    name: &'a str,
    lines: Lines,
    base: &'a Path,
    faults: Vec<Fault>,
}

impl Compiler<'_> {
    fn compile(mut self, mut raw: raw::Raw) -> Result<Config, Faults> {
        let floor = self.floor(&raw);
        let words = Words::of(&raw);
        self.hooks(&raw);
        self.language(raw.language.as_ref());
        disclose(&raw.tone, &mut raw.flow);
        let queue_names: Vec<String> = floor.queues.iter().map(|q| q.name.clone()).collect();
        let flows = baton_intake::raw::Flows { flow: raw.flow, trigger: raw.trigger, briefing: raw.briefing };
        let flows = match baton_intake::compile(flows, &queue_names) {
            Ok(flows) => flows,
            Err(errors) => {
                for e in errors {
                    self.fault(&e.path, e.message, e.hint);
                }
                BTreeMap::new()
            }
        };
        let mut rules = raw.calls;
        rules.queues = queue_names;
        let dids = self.dids(raw.did, &flows);
        let media = self.media(raw.media, &raw.trunk, &raw.extension);
        let recording = self.recording(raw.recording, &flows);
        let extensions = self.extensions(raw.extension);
        let sip = self.sip(raw.sip, raw.trunk);
        self.crm(&raw.crm, &words);
        if let Err(e) = raw.tone.check() {
            let path: Vec<&str> = std::iter::once("tone").chain(e.key.split('.')).collect();
            self.fault(&path, format!("`{}` {}", e.key, e.why), "docs/tone.md says what each weight does");
        }
        for (key, n, max) in [
            ("stt_workers", raw.speech.stt_workers, 64),
            ("stt_threads", raw.speech.stt_threads, 16),
            ("tts_workers", raw.speech.tts_workers, 16),
        ] {
            if n == 0 || n > max {
                self.fault(&["speech", key], format!("`{key}` is {n}"), format!("give a number from 1 to {max}"));
            }
        }
        let remote_stt = raw.speech.remote_stt.map(|r| self.remote("remote_stt", r));
        let remote_tts = raw.speech.remote_tts.map(|r| self.remote("remote_tts", r));
        let http = raw.http.bind;
        if let Some(bind) = http
            && !bind.ip().is_loopback()
            && raw.http.token.is_none()
        {
            self.fault(
                &["http", "bind"],
                format!("the API would listen on {bind}, beyond loopback, without a token"),
                "set `token = \"${env:BATON_TOKEN}\"`, or bind 127.0.0.1",
            );
        }
        if let Some(url) = raw.http.url.as_ref().filter(|u| !u.starts_with("https://") && !u.starts_with("http://")) {
            self.fault(&["http", "url"], format!("`{url}` is no address"), "write it as https://baton.example.org");
        }
        if !self.faults.is_empty() {
            return Err(Faults(self.faults));
        }
        Ok(Config {
            sip,
            media,
            recording,
            speech: Speech {
                models: self.path(raw.speech.models),
                engine: raw.speech.engine,
                stt_workers: raw.speech.stt_workers,
                stt_threads: raw.speech.stt_threads,
                tts_workers: raw.speech.tts_workers,
                cache: self.path(raw.speech.cache),
                partials: raw.speech.partials,
                remote_stt,
                remote_tts,
            },
            store: self.path(raw.store.path),
            seed: raw.store.seed.map(|p| self.path(p)),
            keep_days: raw.store.keep_days,
            crm: raw.crm,
            http,
            http_token: raw.http.token,
            http_url: raw.http.url,
            log: Log { filter: raw.log.filter, json: raw.log.json },
            extensions,
            floor,
            rules,
            tone: raw.tone,
            hooks: raw.webhook,
            language: raw.language,
            dids,
        })
    }

    fn extensions(&mut self, raw: Vec<raw::Extension>) -> Vec<Extension> {
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for (i, ext) in raw.into_iter().enumerate() {
            let at = ["extension".to_owned(), i.to_string(), "number".to_owned()];
            if !seen.insert(ext.number.clone()) {
                self.fault(&at, format!("extension {} is there twice", ext.number), "remove one of the two");
            }
            if ext.number.is_empty() || !ext.number.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c)) {
                self.fault(&at, format!("`{}` cannot be a SIP user", ext.number), "use digits, letters, and - _ . +");
            }
            let secret = match (ext.password, ext.ha1) {
                (Some(_), Some(_)) => {
                    self.fault(&at, format!("extension {} has both `password` and `ha1`", ext.number), "keep one");
                    continue;
                }
                (Some(p), None) if p.is_empty() => {
                    self.fault(
                        &at,
                        format!("extension {} has an empty password", ext.number),
                        "remove the key and one is made at first start",
                    );
                    continue;
                }
                (Some(p), None) => Secret::Password(p),
                (None, Some(h)) if h.len() == 32 && h.chars().all(|c| c.is_ascii_hexdigit()) => Secret::Ha1(h),
                (None, Some(_)) => {
                    self.fault(
                        &at,
                        format!("`ha1` of extension {} is not 32 hex digits", ext.number),
                        "it is MD5(user:realm:password), the realm being [sip] domain",
                    );
                    continue;
                }
                (None, None) => Secret::Generated,
            };
            out.push(Extension { number: ext.number, secret });
        }
        out
    }

    fn floor(&mut self, raw: &raw::Raw) -> Plan {
        let known: BTreeSet<&str> = raw.extension.iter().map(|e| e.number.as_str()).collect();
        let mut seen = BTreeSet::new();
        for (i, queue) in raw.queue.iter().enumerate() {
            let at = |key: &str| ["queue".to_owned(), i.to_string(), key.to_owned()];
            if !seen.insert(queue.name.as_str()) {
                self.fault(&at("name"), format!("queue `{}` is there twice", queue.name), "rename or remove one");
            }
            if queue.agents.is_empty() {
                self.fault(
                    &at("agents"),
                    format!("queue `{}` has no agents", queue.name),
                    "name at least one extension",
                );
            }
            for agent in queue.agents.iter().filter(|a| !known.contains(a.as_str())) {
                self.fault(
                    &at("agents"),
                    format!("queue `{}` names extension {agent}, which is not defined", queue.name),
                    format!("add [[extension]] number = \"{agent}\", or correct the number"),
                );
            }
        }
        let queues = raw.queue.iter().enumerate().map(|(i, queue)| self.queue(i, queue, raw)).collect();
        let agents = raw.extension.iter().map(|e| AgentPlan {
            skills: e.skills.iter().cloned().collect(),
            must_accept: e.must_accept,
            ..AgentPlan::here(&e.number)
        });
        Plan { queues, agents: agents.collect() }
    }

    fn queue(&mut self, i: usize, queue: &raw::Queue, raw: &raw::Raw) -> QueuePlan {
        let at = |key: &str| ["queue".to_owned(), i.to_string(), key.to_owned()];
        if let Some(overflow) = queue.overflow.as_ref().filter(|o| !raw.queue.iter().any(|q| q.name == **o)) {
            self.fault(
                &at("overflow"),
                format!("queue `{}` overflows into `{overflow}`, which is not defined", queue.name),
                format!("add [[queue]] name = \"{overflow}\", or correct the name"),
            );
        }
        let hours = if queue.hours.is_empty() && queue.closed.is_empty() {
            Hours::always()
        } else {
            Hours::parse(&queue.hours, &queue.closed).unwrap_or_else(|e| {
                self.fault(
                    &at("hours"),
                    format!("queue `{}`: {e}", queue.name),
                    "write hours = [\"Mon-Fri 08:00-18:00\"], closed = [\"2026-12-25\"]",
                );
                Hours::always()
            })
        };
        QueuePlan {
            strategy: queue.strategy,
            wrap_up: Duration::from_secs(queue.wrap_up_s),
            max_wait: Duration::from_secs(queue.max_wait_s),
            max_waiting: queue.max_waiting,
            max_tries: queue.max_tries,
            overflow: queue.overflow.clone(),
            hours,
            pause_after_missed: queue.pause_after_missed,
            service_level: Duration::from_secs(queue.service_level_s),
            ..QueuePlan::new(&queue.name, queue.agents.iter().map(String::as_str))
        }
    }

    fn dids(&mut self, raw: Vec<raw::Did>, flows: &BTreeMap<String, Arc<Flow>>) -> BTreeMap<String, Arc<Flow>> {
        let mut out = BTreeMap::new();
        if raw.is_empty() {
            self.fault(
                &["did"],
                "no number is answered: there is no [[did]]",
                "add [[did]] number = \"…\" and flow = \"…\"",
            );
        }
        for (i, did) in raw.into_iter().enumerate() {
            let at = |key: &str| ["did".to_owned(), i.to_string(), key.to_owned()];
            match flows.get(&did.flow) {
                Some(flow) => {
                    if out.insert(did.number.clone(), Arc::clone(flow)).is_some() {
                        self.fault(
                            &at("number"),
                            format!("number {} is there twice", did.number),
                            "remove one of the two",
                        );
                    }
                }
                // A flow that did not compile has its own faults; only a name nobody defined is told here.
                None if self.lines.has(&["flow", &did.flow]) => {}
                None => self.fault(
                    &at("flow"),
                    format!("number {} goes to flow `{}`, which is not defined", did.number, did.flow),
                    format!("define [flow.{}], or correct the name", did.flow),
                ),
            }
        }
        out
    }

    fn crm(&mut self, crm: &CrmConfig, words: &Words) {
        let [dispositions, queues, extensions, slots] =
            [&words.dispositions, &words.queues, &words.extensions, &words.slots]
                .map(|list| list.iter().map(String::as_str).collect::<Vec<_>>());
        let known = Known { dispositions: &dispositions, queues: &queues, extensions: &extensions, slots: &slots };
        for fault in crm.check(&known) {
            let path: Vec<&str> = fault.key.split('.').collect();
            self.fault(&path, format!("{}: {}", fault.key, fault.what), fault.hint);
        }
    }

    fn hooks(&mut self, raw: &raw::Raw) {
        for (name, hook) in &raw.webhook {
            if let Err(fault) = Hook::new(name, hook) {
                let path: Vec<&str> = fault.key.split('.').collect();
                self.fault(&path, format!("{}: {}", fault.key, fault.what), fault.hint);
            }
        }
        for (flow, intents) in raw.flow.iter().map(|(name, flow)| (name, &flow.intent)) {
            for (i, intent) in intents.iter().enumerate() {
                if let Some(name) = intent.webhook.as_ref().filter(|name| !raw.webhook.contains_key(*name)) {
                    let at = ["flow", flow, "intent", &i.to_string(), "webhook"];
                    let hint = format!("add [webhook.{name}] with url and secret, or correct the name");
                    let message = format!("intent `{}` calls web hook `{name}`, which is not defined", intent.name);
                    self.fault(&at, message, hint);
                }
            }
        }
    }

    fn language(&mut self, language: Option<&Language>) {
        let Some(language) = language else { return };
        if let Err(fault) = language.connect() {
            let path: Vec<&str> = fault.key.split('.').collect();
            self.fault(&path, format!("{}: {}", fault.key, fault.what), fault.hint);
        }
    }

    fn path(&self, path: PathBuf) -> PathBuf {
        if path.is_absolute() { path } else { self.base.join(path) }
    }

    fn fault<S: AsRef<str>>(&mut self, path: &[S], message: impl Into<String>, hint: impl Into<String>) {
        let line = self.lines.of(path);
        self.faults.push(Fault { file: self.name.into(), line, message: message.into(), hint: hint.into() });
    }
}

/// Where the voice is weighed every caller is told so, right after the greeting.
fn disclose(tone: &baton_tone::Config, flows: &mut BTreeMap<String, baton_intake::raw::Flow>) {
    let told = tone.disclosure.trim();
    for flow in flows.values_mut().filter(|flow| tone.voice && flow.tone.enabled && !told.is_empty()) {
        if !flow.greeting.contains(told) {
            flow.greeting = format!("{} {told}", flow.greeting.trim_end());
        }
    }
}
