//! What the process counts, as Prometheus reads it. Names carry the prefix `baton_` and base units. Control plane only:
//! nothing here is touched by a media thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use baton_call::Leg;
use baton_call::record::{CallRecord, MediaStats, Policy};
use baton_media::MediaCounters;
use baton_speech::SpeechStats;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::remote::RemoteCounters;

/// Upper bounds of the latency histograms, in seconds.
const BOUNDS: [f64; 10] = [0.02, 0.05, 0.1, 0.15, 0.3, 0.6, 1.0, 1.5, 2.0, 5.0];

/// The same for the system of record, which is elsewhere.
const RECORD_BOUNDS: [f64; 10] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 30.0, 300.0];

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct End {
    cause: String,
    disposition: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Record {
    policy: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Escalation {
    trigger: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfLeg {
    leg: &'static str,
    codec: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LegFault {
    leg: &'static str,
    fault: &'static str,
}

/// A figure of a leg: its name, what it means, where it stands.
type LegSum = (&'static str, &'static str, fn(&MediaStats) -> u64);

/// What legs count, over all of them: packets, and frames of 20 ms.
const OF_LEGS: [LegSum; 6] = [
    ("media_received_packets", "RTP packets of peers", |s| s.received),
    ("media_sent_packets", "RTP packets to peers", |s| s.sent),
    ("media_lost_packets", "RTP packets of peers that never came", |s| s.lost),
    ("media_late_packets", "RTP packets of peers that came too late to be heard", |s| s.late),
    ("media_concealed_frames", "Frames of 20 ms that were made up", |s| s.concealed),
    ("media_overrun_frames", "Frames of 20 ms that speech-to-text or recorder were too slow to take", |s| s.overruns),
];

/// The process's counters.
pub struct Metrics {
    calls: Counter,
    refused: Counter,
    /// Events dropped because a call's inbox was full.
    pub call_events_lost: Arc<AtomicU64>,
    /// Speech engines elsewhere.
    pub remote: Arc<RemoteCounters>,
    finished: Family<End, Counter>,
    transfers: Family<Escalation, Counter>,
    records: Family<Record, Counter>,
    record_acknowledged: Histogram,
    reply: Histogram,
    trigger_to_ring: Histogram,
    answer_to_briefing: Histogram,
    accept_to_two_way: Histogram,
    legs: Family<OfLeg, Counter>,
    of_legs: [Counter; OF_LEGS.len()],
    leg_faults: Family<LegFault, Counter>,
    mos: Family<OfLeg, Histogram, fn() -> Histogram>,
    jitter: Histogram,
    recordings_failed: Counter,
    registry: Registry,
}

/// What is asked of the rooms when Prometheus comes, and counted nowhere else.
pub struct Now {
    pub calls_live: usize,
    pub outbox_depth: u64,
    pub outbox_dead: u64,
    pub media: MediaCounters,
    pub sip: baton_sip::Counters,
    pub sizes: baton_sip::Sizes,
    pub speech: SpeechStats,
}

impl Metrics {
    pub fn new() -> Self {
        let latency = || Histogram::new(BOUNDS);
        let mut metrics = Self {
            calls: Counter::default(),
            refused: Counter::default(),
            call_events_lost: Arc::default(),
            remote: Arc::default(),
            finished: Family::default(),
            transfers: Family::default(),
            records: Family::default(),
            record_acknowledged: Histogram::new(RECORD_BOUNDS),
            reply: latency(),
            trigger_to_ring: latency(),
            answer_to_briefing: latency(),
            accept_to_two_way: latency(),
            legs: Family::default(),
            of_legs: Default::default(),
            leg_faults: Family::default(),
            mos: Family::new_with_constructor(|| Histogram::new([1.5, 2.0, 2.5, 3.0, 3.5, 3.8, 4.0, 4.2, 4.4])),
            jitter: Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2]),
            recordings_failed: Counter::default(),
            registry: Registry::with_prefix("baton"),
        };
        let to = &mut metrics.registry;
        to.register("calls", "Calls taken since start", metrics.calls.clone());
        to.register("calls_refused", "Calls refused for want of a port or a common codec", metrics.refused.clone());
        to.register("calls_finished", "Calls over, by technical cause and business outcome", metrics.finished.clone());
        to.register("transfers", "Escalations, by trigger and outcome", metrics.transfers.clone());
        to.register(
            "crm_records",
            "Escalations by what let the agent's phone ring: the record acknowledged, the flow's policy, or nothing",
            metrics.records.clone(),
        );
        to.register("media_legs", "Legs that are over, by their codec", metrics.legs.clone());
        for ((name, help, _), counter) in OF_LEGS.iter().zip(&metrics.of_legs) {
            to.register(*name, *help, counter.clone());
        }
        to.register(
            "media_leg_faults",
            "Legs on which something was wrong, by what it was",
            metrics.leg_faults.clone(),
        );
        to.register("media_leg_mos", "Mean opinion score of legs, by the E-model", metrics.mos.clone());
        to.register_with_unit("media_leg_jitter", "Interarrival jitter of legs", Unit::Seconds, metrics.jitter.clone());
        to.register("recordings_failed", "Recordings that failed or are not whole", metrics.recordings_failed.clone());
        for (name, help, histogram) in [
            (
                "crm_record_acknowledged",
                "A case asked for to its acknowledgement by the system of record, before the join or after",
                &metrics.record_acknowledged,
            ),
            ("reply", "End of the caller's words to the first packet of the reply", &metrics.reply),
            ("trigger_to_ring", "Decision to escalate to the first agent's phone ringing", &metrics.trigger_to_ring),
            ("answer_to_briefing", "Agent's answer to the first briefing packet", &metrics.answer_to_briefing),
            ("accept_to_two_way", "Acceptance to live audio both ways", &metrics.accept_to_two_way),
        ] {
            to.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        metrics
    }

    /// A call was taken.
    pub fn taken(&self) {
        self.calls.inc();
    }

    /// A call was refused.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// A recording failed, or is not whole.
    pub fn recording_failed(&self) {
        self.recordings_failed.inc();
    }

    /// Counts a leg that is over.
    pub fn leg_closed(&self, leg: Leg, stats: &MediaStats) {
        let leg = leg.as_str();
        let labels = OfLeg { leg, codec: stats.codec.clone() };
        self.legs.get_or_create(&labels).inc();
        for ((_, _, of), counter) in OF_LEGS.iter().zip(&self.of_legs) {
            counter.inc_by(of(stats));
        }
        for &fault in &stats.faults {
            self.leg_faults.get_or_create(&LegFault { leg, fault }).inc();
        }
        if stats.received > 0 {
            self.mos.get_or_create(&labels).observe(f64::from(stats.mos));
            self.jitter.observe(f64::from(stats.jitter_ms) / 1_000.0);
        }
    }

    /// Counts a finished call.
    pub fn finished(&self, record: &CallRecord) {
        let cause = record.termination.as_ref().map_or("unknown".into(), |t| t.cause.clone());
        let disposition = record.disposition.clone().unwrap_or_default();
        self.finished.get_or_create(&End { cause, disposition }).inc();
        if let Some(trigger) = &record.trigger {
            let outcome = if record.bridged_at.is_some() { "joined" } else { "not_joined" };
            self.transfers.get_or_create(&Escalation { trigger: trigger.to_string(), outcome }).inc();
        }
        if let Some(crm) = &record.crm {
            let policy = match crm.policy {
                Some(Policy::Acknowledged) => "acknowledged",
                Some(Policy::Proceeded) => "proceeded",
                None => "none",
            };
            self.records.get_or_create(&Record { policy }).inc();
            if let Some(at) = crm.acknowledged_at {
                let took = at.0.duration_since(crm.requested_at.0);
                self.record_acknowledged.observe(took.as_secs_f64().max(0.0));
            }
        }
        let ms = &record.latency_ms;
        let seen = |histogram: &Histogram, ms: Option<u64>| {
            if let Some(ms) = ms {
                histogram.observe(ms as f64 / 1_000.0);
            }
        };
        ms.reply.iter().for_each(|reply| seen(&self.reply, Some(*reply)));
        seen(&self.trigger_to_ring, ms.trigger_to_ring);
        seen(&self.answer_to_briefing, ms.answer_to_briefing);
        seen(&self.accept_to_two_way, ms.accept_to_two_way);
    }

    /// The text a Prometheus server scrapes (OpenMetrics 1.0).
    pub fn text(&self, now: &Now) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode_registry(&mut out, &self.registry)?;
        text::encode_registry(&mut out, &self.asked(now))?;
        text::encode_eof(&mut out)?;
        Ok(out)
    }

    /// What the rooms say at this moment.
    fn asked(&self, now: &Now) -> Registry {
        let mut to = Registry::with_prefix("baton");
        let speech = &now.speech;
        let (media, sip, sizes) = (&now.media, &now.sip, &now.sizes);
        for (name, help, value) in [
            ("calls_live", "Calls in progress", now.calls_live as u64),
            ("crm_outbox_depth", "CRM writes not yet acknowledged", now.outbox_depth),
            ("crm_outbox_dead", "CRM writes that were given up, for a person to look at", now.outbox_dead),
            ("sip_transactions", "Client and server transactions in memory", sizes.transactions as u64),
            ("sip_dialogs", "Dialogs in memory", sizes.dialogs as u64),
            ("sip_legs", "Legs in memory", sizes.legs as u64),
            ("sip_registrations", "Registered contacts", sizes.bindings as u64),
            ("sip_connections", "Stream connections", sip.connections as u64),
            ("sip_banned", "Sources banned now", sip.banned as u64),
            (
                "stt_level",
                "How far speech-to-text is behind: 0 in time, 1 no partials, 2 only the end of long utterances and no new calls, 3 callers are asked to use the keys",
                speech.level as u64,
            ),
            ("stt_waiting", "Utterances that wait for speech-to-text", speech.waiting as u64),
            ("stt_workers", "Speech-to-text engines at work or ready", speech.workers as u64),
            ("media_worst_tick_late_microseconds", "Worst lateness of a media tick", media.worst_late_us),
        ] {
            to.register(name, help, ConstGauge::<u64>::new(value));
        }
        for (name, help, value) in [
            (
                "call_events_lost",
                "Events dropped because a call's inbox was full",
                self.call_events_lost.load(Ordering::Relaxed),
            ),
            ("sip_dropped", "Datagrams dropped because the front end did not keep up", sip.dropped),
            ("sip_limited", "Messages and connections of sources that sent too many", sip.limited),
            ("sip_shed", "Requests answered 503 before any state was made", sip.shed),
            ("sip_failures", "Failed registrations and calls counted against their source", sip.failures),
            ("sip_ignored", "Messages of banned sources", sip.ignored),
            ("sip_bans", "Bans", sip.bans),
            ("stt_utterances", "Utterances heard", speech.finals),
            ("stt_partials", "Partial transcripts made", speech.partials),
            ("stt_partials_refused", "Partial transcripts not made, for lack of time", speech.partials_refused),
            (
                "speech_remote_requests",
                "Requests to speech engines elsewhere",
                self.remote.requests.load(Ordering::Relaxed),
            ),
            (
                "speech_remote_fallbacks",
                "Of those, and while a server is left alone: done by the local engine",
                self.remote.fallbacks.load(Ordering::Relaxed),
            ),
            ("stt_late", "Utterances whose words came after the turn's end", speech.late),
            ("stt_shortened", "Utterances of which only the end was heard, for lack of time", speech.shortened),
            ("stt_overloaded", "Utterances refused for lack of time", speech.overloaded),
            ("stt_failed", "Utterances on which an engine failed", speech.failed),
            ("stt_restarts", "Engines started anew", speech.restarts),
            ("media_ticks", "Media ticks that ran", media.ticks),
            ("media_ticks_late", "Media ticks that ran 5 ms late or more", media.ticks_late),
            ("media_malformed", "Datagrams that were no RTP or RTCP", media.malformed),
            ("media_strays", "Datagrams from others than the leg's peer", media.strays),
            ("media_tap_overruns", "Frames that speech-to-text was too slow to take", media.tap_overruns),
            ("media_record_overruns", "Frames that the recorder was too slow to take", media.record_overruns),
            ("media_refused", "SRTP packets refused: not authentic, replayed, or in the clear", media.refused),
            ("media_flooded", "Packets dropped because their leg was flooded", media.flooded),
            ("media_freed_inline", "Things a media thread had to free itself", media.freed_inline),
            ("media_events_lost", "Media events that nobody took in time", media.events_lost),
            ("media_send_failures", "Datagrams the system did not take", media.send_failures),
        ] {
            to.register(name, help, ConstCounter::<u64>::new(value));
        }
        for (name, help, value) in [
            ("stt_wait", "Time utterances waited for an engine", speech.wait),
            ("stt_decoding", "Time engines worked", speech.decoding),
            ("stt_speech", "Speech that was decoded", speech.speech),
        ] {
            to.register_with_unit(name, help, Unit::Seconds, ConstCounter::new(value.as_secs_f64()));
        }
        let lateness = TickLateness { buckets: media.lateness, sum_us: media.late_us };
        to.register_with_unit("media_tick_lateness", "How late media ticks ran", Unit::Seconds, lateness);
        process(&mut to);
        to
    }
}

/// How late media ticks ran; counted by the media plane itself.
#[derive(Debug)]
struct TickLateness {
    buckets: [u64; 8],
    sum_us: u64,
}

impl TickLateness {
    /// Upper bounds in seconds, as `MediaCounters::lateness` has them.
    const BOUNDS: [f64; 8] = [0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, f64::MAX];
}

impl EncodeMetric for TickLateness {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        let buckets: Vec<(f64, u64)> = Self::BOUNDS.into_iter().zip(self.buckets).collect();
        let count = self.buckets.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum_us as f64 / 1e6, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// CPU time and memory of this process, from `/proc`; left out where there is none.
fn process(to: &mut Registry) {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    // Fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms; the name in field 2 may hold spaces, not a closing bracket last.
    let ticks = read("/proc/self/stat").and_then(|stat| {
        let fields: Vec<u64> = stat.rsplit_once(')')?.1.split_whitespace().filter_map(|f| f.parse().ok()).collect();
        Some(fields.get(10)? + fields.get(11)?)
    });
    if let Some(ticks) = ticks {
        to.register("process_cpu_seconds", "User and system time", ConstCounter::new(ticks as f64 / 100.0));
    }
    let resident = read("/proc/self/status")
        .and_then(|s| s.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok()));
    if let Some(kib) = resident {
        to.register("process_resident_memory_bytes", "Resident memory", ConstGauge::<u64>::new(kib * 1_024));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_named_as_prometheus_wants_it() {
        let metrics = Metrics::new();
        metrics.taken();
        metrics.reply.observe(0.7);
        metrics.records.get_or_create(&Record { policy: "proceeded" }).inc();
        metrics.record_acknowledged.observe(3.2);
        let stats = MediaStats {
            codec: "opus".into(),
            received: 50,
            mos: 4.1,
            jitter_ms: 3.0,
            faults: vec!["one_way"],
            ..MediaStats::default()
        };
        metrics.leg_closed(Leg::Agent, &stats);
        metrics.transfers.get_or_create(&Escalation { trigger: "distress".into(), outcome: "joined" }).inc();
        let now = Now {
            calls_live: 2,
            outbox_depth: 0,
            outbox_dead: 1,
            media: MediaCounters { lateness: [1, 2, 0, 3, 0, 0, 0, 1], late_us: 12_000, ..MediaCounters::default() },
            sip: Default::default(),
            sizes: Default::default(),
            speech: SpeechStats::default(),
        };
        let text = metrics.text(&now).unwrap();
        for line in [
            "baton_calls_total 1",
            "baton_calls_live 2",
            "baton_reply_seconds_bucket{le=\"1.0\"} 1",
            "baton_transfers_total{trigger=\"distress\",outcome=\"joined\"} 1",
            "baton_crm_records_total{policy=\"proceeded\"} 1",
            "baton_crm_record_acknowledged_seconds_bucket{le=\"5.0\"} 1",
            "baton_crm_outbox_dead 1",
            "baton_media_legs_total{leg=\"agent\",codec=\"opus\"} 1",
            "baton_media_received_packets_total 50",
            "baton_media_leg_faults_total{leg=\"agent\",fault=\"one_way\"} 1",
            "baton_media_leg_mos_bucket{le=\"4.2\",leg=\"agent\",codec=\"opus\"} 1",
            "baton_media_leg_jitter_seconds_bucket{le=\"0.005\"} 1",
            "baton_media_tick_lateness_seconds_bucket{le=\"0.001\"} 6",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("baton_process_resident_memory_bytes "));
    }
}
