//! Histograms over intervals of the run, as `latency.hlog` will show them.

use crate::engine::recorder::Handle;
use crate::scenario::Mix;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use reports::runlog::event::{Event, LatencyInterval, LatencyTag, Phase, WorkloadLatency};

/// The length of an interval.
const EVERY_NS: u64 = 10_000_000_000;
/// What takes longer counts as this long: far above every time-out.
const MAX_NS: u64 = 24 * 3_600_000_000_000;
const TAGS: [LatencyTag; 3] = [LatencyTag::Coordination, LatencyTag::Task, LatencyTag::TaskFromSend];
const PHASES: [Phase; 2] = [Phase::WarmUp, Phase::Load];

#[derive(Debug)]
pub(super) struct Latencies {
    histograms: Vec<(LatencyTag, Phase, Histogram<u64>)>,
    /// Of the tasks of each workload that has a name, in the order of the mix.
    by_workload: Vec<(String, [Histogram<u64>; 2])>,
    begun_ns: u64,
}

impl Latencies {
    pub fn new(mix: &Mix) -> Self {
        let empty = || Histogram::new_with_bounds(1, MAX_NS, 3).expect("the bounds are in order");
        let histograms = PHASES.iter().flat_map(|phase| TAGS.map(|tag| (tag, *phase, empty()))).collect();
        let by_workload = mix.names().map(|name| (name.to_owned(), [empty(), empty()])).collect();
        Self { histograms, by_workload, begun_ns: 0 }
    }

    pub fn record(&mut self, tag: LatencyTag, phase: Phase, value_ns: u64) {
        if let Some((.., histogram)) = self.histograms.iter_mut().find(|(t, p, _)| (*t, *p) == (tag, phase)) {
            histogram.saturating_record(value_ns.max(1));
        }
    }

    /// Of a task of the mix's n-th workload.
    pub fn record_of(&mut self, part: usize, phase: Phase, value_ns: u64) {
        let at = PHASES.iter().position(|known| *known == phase);
        if let (Some((_, histograms)), Some(at)) = (self.by_workload.get_mut(part), at) {
            histograms[at].saturating_record(value_ns.max(1));
        }
    }

    pub fn flush_if_due(&mut self, log: &Handle, now_ns: u64) {
        if now_ns >= self.begun_ns + EVERY_NS {
            self.flush(log, now_ns);
        }
    }

    /// Ends the interval: what is in it goes into the log.
    pub fn flush(&mut self, log: &Handle, now_ns: u64) {
        for (tag, phase, histogram) in &mut self.histograms {
            if histogram.is_empty() {
                continue;
            }
            log.record(Event::Latency(LatencyInterval {
                tag: *tag,
                phase: *phase,
                start_ns: self.begun_ns,
                length_ns: now_ns - self.begun_ns,
                max_ns: histogram.max(),
                count: histogram.len(),
                histogram: written(histogram),
            }));
            histogram.reset();
        }
        for (name, histograms) in &mut self.by_workload {
            for (histogram, phase) in histograms.iter_mut().zip(PHASES).filter(|(h, _)| !h.is_empty()) {
                log.record(Event::WorkloadLatency(WorkloadLatency {
                    workload: name.clone(),
                    phase,
                    start_ns: self.begun_ns,
                    length_ns: now_ns - self.begun_ns,
                    max_ns: histogram.max(),
                    count: histogram.len(),
                    histogram: written(histogram),
                }));
                histogram.reset();
            }
        }
        self.begun_ns = now_ns;
    }
}

/// As the log has it.
pub(crate) fn written(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).expect("a histogram is written into memory");
    STANDARD.encode(bytes)
}
