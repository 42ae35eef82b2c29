//! Counters and the Prometheus text they become. Names carry the prefix `baton_` and base units.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use baton_call::record::CallRecord;

/// The process's counters. Control plane only: nothing here is touched by a media thread.
#[derive(Default)]
pub struct Metrics {
    calls_total: AtomicU64,
    calls_refused: AtomicU64,
    pub call_events_lost: Arc<AtomicU64>,
    finished: Mutex<Finished>,
}

#[derive(Default)]
struct Finished {
    by: std::collections::BTreeMap<(String, String), u64>,
    transfers: std::collections::BTreeMap<(String, &'static str), u64>,
    latencies: [Histogram; 4],
}

const LATENCIES: [&str; 4] = ["reply", "trigger_to_ring", "answer_to_briefing", "accept_to_two_way"];
const BOUNDS_MS: [u64; 10] = [20, 50, 100, 150, 300, 600, 1_000, 1_500, 2_000, 5_000];

#[derive(Default)]
struct Histogram {
    buckets: [u64; BOUNDS_MS.len()],
    count: u64,
    sum_ms: u64,
}

impl Histogram {
    fn observe(&mut self, ms: u64) {
        self.count += 1;
        self.sum_ms += ms;
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS_MS) {
            *bucket += u64::from(ms <= bound);
        }
    }
}

impl Metrics {
    /// A call was taken.
    pub fn taken(&self) {
        self.calls_total.fetch_add(1, Ordering::Relaxed);
    }

    /// A call was refused.
    pub fn refused(&self) {
        self.calls_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a finished call.
    pub fn finished(&self, record: &CallRecord) {
        let Ok(mut finished) = self.finished.lock() else { return };
        let cause = record.termination.as_ref().map_or("unknown".into(), |t| t.cause.clone());
        *finished.by.entry((cause, record.disposition.clone().unwrap_or_default())).or_default() += 1;
        if let Some(trigger) = &record.trigger {
            let outcome = if record.bridged_at.is_some() { "joined" } else { "not_joined" };
            *finished.transfers.entry((trigger.to_string(), outcome)).or_default() += 1;
        }
        let ms = &record.latency_ms;
        for reply in &ms.reply {
            finished.latencies[0].observe(*reply);
        }
        for (i, value) in [ms.trigger_to_ring, ms.answer_to_briefing, ms.accept_to_two_way].into_iter().enumerate() {
            if let Some(value) = value {
                finished.latencies[i + 1].observe(value);
            }
        }
    }

    /// The text a Prometheus server scrapes.
    pub fn text(&self, live: usize, outbox_depth: u64) -> String {
        let mut out = String::new();
        let mut counter = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        counter("baton_calls_live", "gauge", "Calls in progress.", live as u64);
        counter("baton_calls_total", "counter", "Calls taken since start.", self.calls_total.load(Ordering::Relaxed));
        counter(
            "baton_calls_refused_total",
            "counter",
            "Calls refused for want of a port, speech or while draining.",
            self.calls_refused.load(Ordering::Relaxed),
        );
        counter(
            "baton_call_events_lost_total",
            "counter",
            "Events dropped because a call's inbox was full.",
            self.call_events_lost.load(Ordering::Relaxed),
        );
        counter("baton_crm_outbox_depth", "gauge", "CRM writes not yet acknowledged.", outbox_depth);
        if let Ok(finished) = self.finished.lock() {
            let _ = writeln!(
                out,
                "# HELP baton_calls_finished_total Calls over, by technical cause and business outcome.\n# TYPE baton_calls_finished_total counter"
            );
            for ((cause, disposition), n) in &finished.by {
                let _ =
                    writeln!(out, "baton_calls_finished_total{{cause=\"{cause}\",disposition=\"{disposition}\"}} {n}");
            }
            let _ = writeln!(
                out,
                "# HELP baton_transfers_total Escalations, by trigger and outcome.\n# TYPE baton_transfers_total counter"
            );
            for ((trigger, outcome), n) in &finished.transfers {
                let _ = writeln!(out, "baton_transfers_total{{trigger=\"{trigger}\",outcome=\"{outcome}\"}} {n}");
            }
            for (name, histogram) in LATENCIES.iter().zip(&finished.latencies) {
                let _ = writeln!(
                    out,
                    "# HELP baton_{name}_seconds As in the call record's latency_ms.\n# TYPE baton_{name}_seconds histogram"
                );
                for (n, bound) in histogram.buckets.iter().zip(BOUNDS_MS) {
                    let _ = writeln!(out, "baton_{name}_seconds_bucket{{le=\"{}\"}} {n}", bound as f64 / 1_000.0);
                }
                let _ = writeln!(
                    out,
                    "baton_{name}_seconds_bucket{{le=\"+Inf\"}} {0}\nbaton_{name}_seconds_sum {1}\nbaton_{name}_seconds_count {0}",
                    histogram.count,
                    histogram.sum_ms as f64 / 1_000.0
                );
            }
        }
        out
    }
}
