//! Calls of the corpus, spoken through a running gateway over RTP: real models hear and answer, several calls at once. Agents
//! pick up, and the caller goes when the briefing begins: what it tells is known then.

mod script;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use baton_phone::{CallEvent, InviteOptions, Phone, PhoneConfig};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;

pub use script::Call;
use script::{Caller, Questions, Say};

use crate::{Gateway, PASSWORD, root};

/// The number that is called for each flow.
pub const NUMBERS: [(&str, &str); 4] = [("orders", "5000"), ("outage", "5001"), ("clinic", "5002"), ("claim", "5003")];
/// Silence after which it is the caller's turn.
const GAP: Duration = Duration::from_millis(900);
/// Voice that makes a turn of the assistant.
const TURN: Duration = Duration::from_millis(200);
/// After a refusal, before the next try.
const REDIAL: Duration = Duration::from_secs(5);
/// A call that lasts longer is hung up.
const LIMIT: Duration = Duration::from_secs(200);

/// One call of `media/callers/spoken/calls.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    file: String,
    title: String,
    /// Read by the script that makes the voices.
    voice: toml::Table,
    #[serde(default)]
    noise: bool,
    /// Slots that depend on the day of the run.
    #[serde(default)]
    skip: Vec<String>,
}

#[derive(Deserialize)]
struct List {
    call: Vec<Listed>,
}

/// A call ready to be placed.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// What is said and must come out.
    pub call: Call,
    /// Engine and name.
    pub voice: String,
    from: String,
    noise: Option<Arc<[i16]>>,
    cues: BTreeMap<String, Arc<[i16]>>,
}

/// What came of a call.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// As it was when a person was called for, or at its end.
    pub record: Value,
    /// Slots that are right, of so many.
    pub slots: (usize, usize),
    /// The trigger, or that there was none.
    pub trigger_right: bool,
    /// The disposition, where the script names one.
    pub disposition_right: bool,
    /// Facts in the briefing, of so many.
    pub facts: (usize, usize),
    /// All that is not as it must be, in words.
    pub faults: Vec<String>,
}

/// The calls of the list whose titles are named, or all.
pub fn calls(titles: &[&str]) -> Result<Vec<Spoken>> {
    let room = root().join("media/callers/spoken");
    let list: List = toml::from_str(&std::fs::read_to_string(room.join("calls.toml"))?)?;
    let cues: BTreeMap<String, BTreeMap<String, [usize; 2]>> =
        serde_json::from_str(&std::fs::read_to_string(room.join("cues.json"))?)?;
    let noise = baton_audio::load_clip(root().join("media/callers/line-noise/noise.flac"))?;
    let mut out = Vec::new();
    for (number, listed) in (1..).zip(list.call) {
        if !titles.is_empty() && !titles.contains(&listed.title.as_str()) {
            continue;
        }
        let name = format!("{number:02}");
        let clip = baton_audio::load_clip(room.join(format!("{name}.ogg")))?;
        let per_ms = baton_audio::RATE as usize / 1_000;
        let piece = |[from, to]: [usize; 2]| {
            let samples = clip.samples();
            let (from, to) = ((from * per_ms).min(samples.len()), (to * per_ms).min(samples.len()));
            samples[from..to].into()
        };
        let cues =
            cues.get(&name).with_context(|| format!("no cues for call {name}: media/callers/make.sh --spoken"))?;
        let mut call = Call::of_corpus(&listed.file, &listed.title)?;
        call.slots.retain(|(slot, ..)| !listed.skip.contains(slot));
        let voice = ["engine", "name"].map(|key| listed.voice.get(key).and_then(toml::Value::as_str).unwrap_or("?"));
        out.push(Spoken {
            call,
            voice: voice.join(" "),
            from: format!("+155530{number:05}"),
            noise: listed.noise.then(|| noise.samples().into()),
            cues: cues.iter().map(|(cue, at)| (cue.clone(), piece(*at))).collect(),
        });
    }
    Ok(out)
}

/// A gateway that answers with all four sample flows, knows the corpus's people by the numbers of `calls`, and has so many
/// agents. `more` edits its config's text.
pub fn gateway(dir: &Path, calls: &[Spoken], agents: usize, more: impl Fn(String) -> String) -> Result<Gateway> {
    let people = people(calls)?;
    Gateway::start(dir, |text| more(change(&text, dir, &people, agents)))
}

fn change(text: &str, dir: &Path, people: &str, agents: usize) -> String {
    let seed = dir.join("people.toml");
    // The folder is emptied before this is called.
    let written = std::fs::write(&seed, people);
    let mut text = text.replace(
        &root().join("media/demo/contacts.toml").display().to_string(),
        &written.map_or_else(|e| e.to_string(), |()| seed.display().to_string()),
    );
    for flow in ["outage", "clinic", "claim"] {
        let path = root().join("sip-configs/flows").join(format!("{flow}.toml"));
        text.push_str(&std::fs::read_to_string(path).unwrap_or_default());
    }
    for (flow, number) in &NUMBERS[1..] {
        text.push_str(&format!("\n[[did]]\nnumber = \"{number}\"\nflow = \"{flow}\"\n"));
    }
    let extensions: Vec<String> = (0..agents).map(|n| format!("{}", 1001 + n)).collect();
    for extension in extensions.iter().skip(2) {
        text.push_str(&format!("\n[[extension]]\nnumber = \"{extension}\"\npassword = \"{PASSWORD}\"\n"));
    }
    let named = extensions.iter().map(|e| format!("\"{e}\"")).collect::<Vec<_>>().join(", ");
    text.replace("agents = [\"1001\", \"1002\"]", &format!("agents = [{named}]"))
        .replace("wrap_up_s = 5", "wrap_up_s = 0")
}

/// The corpus's people; each has the numbers of those calls in which they are known by theirs.
fn people(calls: &[Spoken]) -> Result<String> {
    let text = std::fs::read_to_string(root().join("media/callers/spoken/people.toml"))?;
    let mut out = String::new();
    for line in text.lines() {
        out.push_str(line);
        out.push('\n');
        if let Some(name) = line.strip_prefix("name = ") {
            let theirs = calls.iter().filter(|c| c.call.known.as_deref() == Some(name.trim_matches('"')));
            let numbers: Vec<String> = theirs.map(|c| format!("\"{}\"", c.from)).collect();
            out.push_str(&format!("phones = [{}]\n", numbers.join(", ")));
        }
    }
    Ok(out)
}

/// Places the calls, `at_once` together at most, while `agents` are there. In the order of `calls`.
pub async fn run(gateway: Arc<Gateway>, calls: Vec<Spoken>, at_once: usize, agents: usize) -> Result<Vec<Outcome>> {
    let mut phones = Vec::new();
    for n in 0..agents {
        phones.push(tokio::spawn(agent(gateway.sip, format!("{}", 1001 + n))));
    }
    let free = Arc::new(Semaphore::new(at_once));
    let tasks: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let (gateway, free) = (Arc::clone(&gateway), Arc::clone(&free));
            tokio::spawn(async move {
                let _place = free.acquire().await?;
                let name = call.call.title.clone();
                let deadline = Instant::now() + LIMIT;
                loop {
                    match place(&gateway, &call).await.with_context(|| name.clone())? {
                        Some(outcome) => break Ok::<_, anyhow::Error>(outcome),
                        None if Instant::now() > deadline => bail!("{name}: refused again and again"),
                        None => tokio::time::sleep(REDIAL).await,
                    }
                }
            })
        })
        .collect();
    let mut out = Vec::new();
    for task in tasks {
        out.push(task.await??);
    }
    phones.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(out)
}

/// An agent who picks up and listens until the other side hangs up.
async fn agent(gateway: SocketAddr, extension: String) -> Result<()> {
    let config = PhoneConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)), &extension);
    let mut phone = Phone::open(PhoneConfig { password: Some(PASSWORD.into()), ..config }).await?;
    phone.register(gateway, Duration::from_secs(3_600)).await?;
    while let Some(incoming) = phone.incoming().await {
        let mut call = incoming.answer();
        tokio::spawn(async move { while !matches!(call.event().await, None | Some(CallEvent::Ended { .. })) {} });
    }
    Ok(())
}

/// None: the gateway takes no call now, as it may when the machine is busy (503).
async fn place(gateway: &Gateway, spoken: &Spoken) -> Result<Option<Outcome>> {
    let questions = Questions::of(&spoken.call.flow)?;
    let number = NUMBERS.iter().find(|(flow, _)| *flow == spoken.call.flow).context("no number for the flow")?.1;
    let phone = Phone::open(PhoneConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)), &spoken.from)).await?;
    let mut call = phone.invite(InviteOptions {
        uri: format!("sip:{number}@{}", gateway.sip),
        from: Some(format!("sip:{}@127.0.0.1", spoken.from)),
        display: None,
        headers: Vec::new(),
        noise: spoken.noise.clone(),
    })?;
    let media = Arc::clone(call.media());
    let mut caller = Caller::new(&spoken.call, &questions);
    let deadline = Instant::now() + LIMIT;
    let mut turn = Instant::now();
    let mut last_line = 0;
    let record = loop {
        let silent = media.wait(Duration::from_millis(500), |media| {
            media.listen(|heard| {
                let silent = heard.last_voiced().is_some_and(|at| at > turn && at.elapsed() >= GAP);
                silent && heard.voiced_time_after(turn) >= TURN
            })
        });
        let ready = tokio::select! {
            event = call.event() => match event {
                None | Some(CallEvent::Ended { .. }) => break gateway.record_of(&spoken.from)?,
                Some(CallEvent::Failed { .. }) => return Ok(None),
                Some(_) => false,
            },
            ready = silent => ready,
        };
        let record = gateway.records()?.into_iter().find(|r| r["from"] == spoken.from.as_str()).unwrap_or_default();
        if !record["trigger"].is_null() && !record["briefing"].is_null() {
            break record; // the agent hears of it
        }
        if Instant::now() > deadline {
            break record;
        }
        let lines = record["turns"].as_array().cloned().unwrap_or_default();
        let said = lines.iter().rposition(|t| t["who"] == "assistant").filter(|at| at + 1 > last_line);
        let (true, Some(said), true) = (ready, said, record["trigger"].is_null()) else { continue };
        last_line = said + 1;
        let doing = caller.turn(lines[said]["text"].as_str().unwrap_or_default());
        turn = Instant::now();
        match doing {
            Say::Silence => {}
            Say::Keys(keys) => {
                media.press(&keys);
                media.wait(Duration::from_secs(10), baton_phone::Media::is_idle).await;
                turn = Instant::now();
            }
            Say::Cue(cue) => {
                let Some(samples) = spoken.cues.get(&cue) else { bail!("no sound for `{cue}`") };
                let id = media.play(Arc::clone(samples));
                media.wait(Duration::from_secs(60), |m| m.played(id).is_some()).await;
                turn = media.played(id).map_or_else(Instant::now, |p| p.voiced_end);
            }
        }
    };
    call.hang_up();
    let _ = tokio::time::timeout(Duration::from_secs(3), async { while call.event().await.is_some() {} }).await;
    Ok(Some(judge(&spoken.call, record)))
}

fn judge(call: &Call, record: Value) -> Outcome {
    let mut faults = Vec::new();
    let trigger = record["trigger"].as_str().map(str::to_owned);
    let disposition = record["disposition"].as_str().unwrap_or("none").to_owned();
    let wanted = call.end.strip_prefix("escalate ");
    let trigger_right = trigger.as_deref() == wanted;
    if !trigger_right {
        faults.push(format!("trigger {}, not {}", trigger.as_deref().unwrap_or("none"), wanted.unwrap_or("none")));
    }
    let code = call.disposition.as_deref().or(call.end.strip_prefix("finish "));
    let disposition_right = code.map_or(trigger_right, |code| code == disposition);
    if !disposition_right {
        faults.push(format!("disposition {disposition}, not {}", code.unwrap_or("the trigger's")));
    }
    let mut slots = (0, 0);
    for (slot, value, whole) in &call.slots {
        let got = record["slots"][slot]["value"].as_str();
        let right = match (value, got) {
            (None, None) => true,
            (Some(value), Some(got)) if *whole => value == got,
            (Some(value), Some(got)) => got.to_lowercase().contains(&value.to_lowercase()),
            _ => false,
        };
        slots = (slots.0 + usize::from(right), slots.1 + 1);
        if !right {
            faults.push(format!("{slot}: {}, not {}", got.unwrap_or("nothing"), value.as_deref().unwrap_or("nothing")));
        }
    }
    let mut facts = (0, 0);
    if let Some(briefing) = record["briefing"]["text"].as_str().map(str::to_lowercase) {
        for fact in &call.briefs {
            let told = briefing.contains(&fact.to_lowercase());
            facts = (facts.0 + usize::from(told), facts.1 + 1);
            if !told {
                faults.push(format!("`{fact}` is not in the briefing"));
            }
        }
    }
    Outcome { record, slots, trigger_right, disposition_right, facts, faults }
}
