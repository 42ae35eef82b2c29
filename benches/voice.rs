//! `make bench`, the voice part: how fast and how well Baton hears and answers over real calls, with real models and RTP on
//! this machine. All times are the test phone's own, from packet to packet. Adds its rows to `target/bench/summary.json`.
//!
//! Phones and gateway share the cores. `BATON_BENCH_VOICE_CALLS` gives the numbers of calls at the same time, `1,5,10` without it,
//! and after them more and more until the 95th percentile of the replies passes two seconds or calls are refused.

#[path = "../crates/speech-native/examples/support/samples.rs"]
mod samples;
#[path = "../crates/speech-native/examples/support/score.rs"]
mod score;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use baton_audio::load_clip;
use baton_phone::drill::{self, CallerReport, DrillSpec};
use baton_phone::script::{CallerScript, HangUp, HangUpWhen};
use baton_speech::Hints;
use baton_speech_native::{NativeConfig, engines};
use samples::telephone;
use score::{canonical, distance};
use support::{Gateway, Row, caller, root, summarise};
use tokio::task::JoinSet;

/// Eight callers with voices of their own. They hang up when they have said what they know: nobody is rung.
const CALLERS: [&str; 8] = [
    "solved-alone",
    "slow-scot",
    "disputed-amount",
    "two-failed-attempts",
    "not-account-holder",
    "unknown-number",
    "out-of-scope",
    "all-at-once",
];
/// Rounds of the callers at one call at a time; with more at a time, one for each.
const ROUNDS_ALONE: usize = 3;
/// Calls begin so far apart, so that they do not speak in chorus.
const APART: Duration = Duration::from_millis(1_300);
const BARGE_INS: usize = 20;
/// Packets louder than this hold a voice (RMS), as the phones count.
const VOICED_RMS: f64 = 200.0;

fn main() -> Result<()> {
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let gateway = Gateway::start(&root().join("target/bench/voice"), |t| t)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut rows = Vec::new();
    warm(&gateway, &runtime)?;

    let mut words = Words::default();
    for calls in counts() {
        let rounds = if calls == 1 { ROUNDS_ALONE } else { 1 };
        let run = together(&gateway, &runtime, calls, rounds * CALLERS.len().max(calls))?;
        say(&run.line());
        if calls == 1 {
            words.take(&gateway, &run)?;
        }
        rows.extend(run.rows());
    }
    rows.extend(capacity(&gateway, &runtime)?);
    rows.extend(words.rows()?);
    rows.extend(barge_in(&gateway, &runtime)?);
    for row in &rows {
        say(&format!("{:<40} {:>9.1} {}   n={}  {}", row.name, row.value, row.unit, row.n, row.conditions));
    }
    summarise(&rows)
}

/// How many calls at a time.
fn counts() -> Vec<usize> {
    let given = std::env::var("BATON_BENCH_VOICE_CALLS").ok();
    given.as_deref().unwrap_or("1,5,10").split(',').filter_map(|n| n.trim().parse().ok()).collect()
}

/// Every prompt is in the cache and every page in memory before anything is measured, as in a gateway that has run a while.
fn warm(gateway: &Gateway, runtime: &tokio::runtime::Runtime) -> Result<()> {
    together(gateway, runtime, 4, CALLERS.len()).map(|_| ())
}

struct Run {
    calls: usize,
    placed: usize,
    refused: usize,
    replies: Vec<f64>,
    callers: Vec<CallerReport>,
    /// Of the gateway, in cores.
    cpu: f64,
}

/// So many calls in all, `calls` of them at a time: each place takes the next caller when its call is over.
fn together(gateway: &Gateway, runtime: &tokio::runtime::Runtime, calls: usize, in_all: usize) -> Result<Run> {
    let scripts: Vec<CallerScript> = CALLERS.iter().map(|name| alone(name)).collect::<Result<_>>()?;
    let (began, cpu) = (Instant::now(), cpu_seconds(gateway.pid()));
    let sip = gateway.sip;
    let callers = runtime.block_on(async move {
        let mut places = JoinSet::new();
        for place in 0..calls {
            let mine: Vec<CallerScript> =
                (place..in_all).step_by(calls).map(|n| scripts[n % scripts.len()].clone()).collect();
            places.spawn(async move {
                tokio::time::sleep(APART * place as u32).await;
                let mut reports = Vec::new();
                for script in mine {
                    let spec =
                        DrillSpec { limit: Duration::from_secs(120), ..DrillSpec::new(sip, vec![script], vec![]) };
                    reports.extend(drill::run(spec).await?.callers);
                }
                anyhow::Ok(reports)
            });
        }
        let mut all = Vec::new();
        while let Some(reports) = places.join_next().await {
            all.extend(reports??);
        }
        anyhow::Ok(all)
    })?;
    let refused = callers.iter().filter(|c| c.code == 503).count();
    let replies = callers.iter().flat_map(|c| &c.replies).filter_map(|r| r.first_voiced_ms).collect();
    let cpu = (cpu_seconds(gateway.pid()) - cpu) / began.elapsed().as_secs_f64();
    Ok(Run { calls, placed: callers.len(), refused, replies, callers, cpu })
}

impl Run {
    fn line(&self) -> String {
        format!(
            "{} calls at a time: {} placed, {} refused, reply p50 {:.0} ms, p95 {:.0} ms of {}, gateway {:.2} cores",
            self.calls,
            self.placed,
            self.refused,
            self.at(0.5),
            self.at(0.95),
            self.replies.len(),
            self.cpu
        )
    }

    fn at(&self, part: f64) -> f64 {
        at(&self.replies, part)
    }

    fn rows(&self) -> Vec<Row> {
        let suffix = if self.calls == 1 { String::new() } else { format!("_at_{}_calls", self.calls) };
        let conditions = format!(
            "last voiced packet of the caller to first voiced packet of the reply; {} placed, {} at a time, {} refused",
            self.placed, self.calls, self.refused
        );
        let row = |name: String, unit: &'static str, value: f64, n: usize| Row {
            name,
            unit,
            value,
            n,
            conditions: conditions.clone(),
        };
        vec![
            row(format!("voice.reply_p50_ms{suffix}"), "ms", self.at(0.5), self.replies.len()),
            row(format!("voice.reply_p95_ms{suffix}"), "ms", self.at(0.95), self.replies.len()),
            row(format!("voice.gateway_cores{suffix}"), "cores", self.cpu, self.placed),
        ]
    }
}

/// More and more calls, until replies take too long or calls are refused.
fn capacity(gateway: &Gateway, runtime: &tokio::runtime::Runtime) -> Result<Vec<Row>> {
    let (mut most, mut beyond) = (0, None);
    for calls in [16, 24, 32, 44, 60] {
        let run = together(gateway, runtime, calls, calls)?;
        say(&run.line());
        if run.at(0.95) >= 2_000.0 || run.refused > 0 {
            beyond = Some(run);
            break;
        }
        most = calls;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let conditions = beyond.as_ref().map_or("no limit was found".into(), |run| {
        format!(
            "beyond: {} at a time, {} of {} refused with 503, reply p95 {:.0} ms; phones on the same {cores} cores",
            run.calls,
            run.refused,
            run.placed,
            run.at(0.95)
        )
    });
    let n = beyond.map_or(most, |run| run.placed);
    let row = |name: &str, unit, value| Row { name: name.into(), unit, value, n, conditions: conditions.clone() };
    Ok(vec![
        row("voice.calls_within_2_s", "calls", most as f64),
        row("voice.calls_within_2_s_per_core", "calls", most as f64 / cores as f64),
    ])
}

/// A sample caller who has nothing to do with agents.
fn alone(name: &str) -> Result<CallerScript> {
    let mut script = caller(name)?;
    script.talk.clear();
    script.say.truncate(3);
    script.hang_up = HangUp { when: Some(HangUpWhen::AfterLast), ms: 0 };
    Ok(script)
}

/// What was said over the line and what the gateway wrote down, beside the same files straight into the same engine.
#[derive(Default)]
struct Words {
    over_rtp: (usize, usize),
    digits: (usize, usize),
    files: BTreeMap<std::path::PathBuf, (String, String)>,
}

impl Words {
    fn take(&mut self, gateway: &Gateway, run: &Run) -> Result<()> {
        let records = gateway.records()?;
        for report in &run.callers {
            let script = alone(&report.name)?;
            let said: Vec<&str> = report.said.iter().map(|s| s.what.as_str()).collect();
            let started: &str = &report.started_at[..19];
            // The records are newest first; calls of one caller come one after the other.
            let record = records
                .iter()
                .filter(|r| r["from"] == script.from.as_str())
                .min_by_key(|r| r["started_at"].as_str().map_or(usize::MAX, |s| seconds_apart(s, started)))
                .with_context(|| format!("no record of {}", report.name))?;
            let turns = record["turns"].as_array().cloned().unwrap_or_default();
            let heard: Vec<&str> =
                turns.iter().filter(|t| t["who"] == "caller").filter_map(|t| t["text"].as_str()).collect();
            let (want, got) = (canonical(&said.join(" ")), canonical(&heard.join(" ")));
            self.over_rtp.0 += distance(&want, &got);
            self.over_rtp.1 += want.len();
            for words in &said {
                let digits = figures(words);
                if digits.len() >= 4 {
                    self.digits.1 += 1;
                    self.digits.0 += usize::from(heard.iter().any(|h| figures(h).contains(&digits)));
                }
            }
            for say in script.say.iter().take(said.len()) {
                if let Some(file) = &say.file {
                    let expected = format!("Northwind, {}.", script.display.clone().unwrap_or_default());
                    self.files.insert(script.folder.join(file), (say.text.clone(), expected));
                }
            }
        }
        Ok(())
    }

    fn rows(&self) -> Result<Vec<Row>> {
        let mut engines = engines(&NativeConfig::in_dir(&root().join("media/models")))?;
        let stt = engines.transcribers.first_mut().context("no engine")?;
        let (mut wrong, mut words) = (0, 0);
        for (file, (text, expected)) in &self.files {
            let pcm = telephone(load_clip(file)?.samples(), None);
            let hints = Hints { prompt: expected.clone(), kind: samples::asked(text), ..Hints::default() };
            let heard = stt.transcribe(&pcm, &hints)?.text;
            let (want, got) = (canonical(text), canonical(&heard));
            (wrong, words) = (wrong + distance(&want, &got), words + want.len());
        }
        let percent = |(part, all): (usize, usize)| 100.0 * part as f64 / all.max(1) as f64;
        let row = |name: &str, value, n, conditions: &str| Row {
            name: name.into(),
            unit: "%",
            value,
            n,
            conditions: conditions.into(),
        };
        Ok(vec![
            row(
                "stt.wer_rtp_pct",
                percent(self.over_rtp),
                self.over_rtp.1,
                "words, as the call records have them; eight synthetic voices",
            ),
            row(
                "stt.wer_offline_pct",
                percent((wrong, words)),
                words,
                "words, the same files straight into the engine",
            ),
            row(
                "stt.digits_right_rtp_pct",
                percent(self.digits),
                self.digits.1,
                "order numbers and amounts said over RTP",
            ),
        ])
    }
}

fn figures(text: &str) -> String {
    canonical(text).iter().flat_map(|w| w.chars()).filter(char::is_ascii_digit).collect()
}

/// Seconds between two RFC 3339 times of one day, by their clock.
fn seconds_apart(a: &str, b: &str) -> usize {
    let clock =
        |s: &str| s.get(11..19)?.split(':').try_fold(0usize, |sum, part| Some(sum * 60 + part.parse::<usize>().ok()?));
    clock(a).zip(clock(b)).map_or(usize::MAX, |(a, b)| a.abs_diff(b))
}

/// Callers who speak over the assistant's answer: how long it goes on.
fn barge_in(gateway: &Gateway, runtime: &tokio::runtime::Runtime) -> Result<Vec<Row>> {
    let mut script = alone("two-failed-attempts")?;
    // The second utterance comes as soon as 200 ms of the answer were heard.
    script.say.truncate(2);
    script.say[1].gap_ms = Some(0);
    let mut stops = Vec::new();
    for _ in 0..BARGE_INS {
        let spec =
            DrillSpec { limit: Duration::from_secs(60), ..DrillSpec::new(gateway.sip, vec![script.clone()], vec![]) };
        for report in runtime.block_on(drill::run(spec))?.callers {
            stops.extend(stopped_after(&report));
        }
    }
    let conditions = "first voiced packet of the caller over a reply to the reply's last voiced packet".to_owned();
    let row = |name: &str, part| Row {
        name: name.into(),
        unit: "ms",
        value: at(&stops, part),
        n: stops.len(),
        conditions: conditions.clone(),
    };
    Ok(vec![row("voice.barge_in_stop_p50_ms", 0.5), row("voice.barge_in_stop_p95_ms", 0.95)])
}

/// From the first voiced packet of the second utterance to the end of the sound it fell into.
fn stopped_after(report: &CallerReport) -> Option<f64> {
    let over = report.sent.played.get(1)?;
    let first = report.sent.packets.iter().filter(|p| p.at >= over.start).find(|p| {
        let Some(pcm) = report.sent.samples.get(p.position..p.position + 160) else { return false };
        (pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 160.0).sqrt() > VOICED_RMS
    })?;
    let spell = report.heard.spells.iter().find(|s| s.start < first.at && s.end >= first.at)?;
    // A clause that ended by itself just then was not stopped.
    Some(spell.end.saturating_duration_since(first.at).as_secs_f64() * 1_000.0).filter(|ms| *ms > 20.0)
}

fn at(values: &[f64], part: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(((values.len() as f64 - 1.0).max(0.0) * part).round() as usize).copied().unwrap_or(f64::NAN)
}

/// User and system time of a process, from /proc (clock ticks of 10 ms).
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
