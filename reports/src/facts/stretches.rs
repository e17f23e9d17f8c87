//! Facts of parts of the load: before, during, after or outside a declared fault.
//!
//! When a firing is over is seen only when all has been well for a while. What may still belong to it waits that long, and
//! what is not known at the end to be after it counts as during it.

use std::collections::VecDeque;

use super::faults::{FaultFacts, Firing};
use super::spans::{Span, Spans};
use super::{Facts, workloads};
use crate::runlog::event::{Event, Header, Phase, Record, Round, Severity};
use crate::stretch::{Side, Stretch};

/// A step of a fault is in the log so long after it at most.
const LOGGED_NS: u64 = 1_000_000_000;
/// Records that wait at most: what stays undecided for longer is during the fault.
const WAITING_MAX: usize = 1 << 14;

#[derive(Debug, Clone)]
struct Waiting {
    record: Record,
    /// A fault explains it.
    declared: bool,
    /// Of a sweep: a fault used processors since the one before.
    is_taken: bool,
    /// Of what came after the last checkpoint of its segment: when that was.
    past_ns: Option<u64>,
}

#[derive(Debug, Clone)]
struct Part {
    stretch: Stretch,
    /// Numbers of its faults in the plan.
    faults: Vec<usize>,
    facts: Box<Facts>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Stretches {
    parts: Vec<Part>,
    waiting: VecDeque<Waiting>,
}

impl Stretches {
    pub(super) fn new(header: &Header, stretches: &[Stretch]) -> Self {
        let faults = &header.plan.faults;
        let is_meant =
            |stretch: &Stretch, name: &str| stretch.fault.as_ref().is_none_or(|fault| fault == name);
        let part = |stretch: &Stretch| Part {
            stretch: stretch.clone(),
            faults: (0..faults.len()).filter(|at| is_meant(stretch, &faults[*at].name)).collect(),
            facts: Box::new(Facts::new(header, &[], &[], &[])),
        };
        Self { parts: stretches.iter().map(part).collect(), waiting: VecDeque::new() }
    }
}

/// Where a time lies beside the firings of some faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lies {
    Within,
    /// Within them, or after one: that is not known yet.
    Open,
    Without,
}

impl Part {
    fn is_meant(&self, firing: &Firing) -> bool {
        self.faults.contains(&firing.fault)
    }

    /// Where the time from `from_ns` to `to_ns` lies. All steps of the log up to then are known.
    fn lies(&self, faults: &FaultFacts, (from_ns, to_ns): (u64, u64)) -> Lies {
        let mut found = Lies::Without;
        for (at, firing) in faults.firings.iter().enumerate().filter(|(_, firing)| self.is_meant(firing)) {
            let Some(injected_ns) = firing.injected_ns.filter(|injected_ns| *injected_ns <= to_ns) else {
                continue;
            };
            let over_ns = firing.gone_ns().or_else(|| faults.seems_over_ns(at)).unwrap_or(u64::MAX);
            if from_ns < over_ns.max(injected_ns.saturating_add(1)) {
                return Lies::Within;
            }
            if firing.gone_ns().is_none() {
                found = Lies::Open;
            }
        }
        found
    }

    /// Whether the time is part of it; unknown yet, if absent.
    fn holds(&self, faults: &FaultFacts, time: (u64, u64)) -> Option<bool> {
        let lies = self.lies(faults, time);
        if lies == Lies::Open {
            return None;
        }
        let without = lies == Lies::Without;
        Some(match self.stretch.side {
            Side::During => !without,
            Side::Outside => without,
            Side::Before => without && !self.has_begun(faults, time.1),
            Side::After => without && self.has_had_all(faults, time.0),
        })
    }

    /// As [`Self::holds`], where nothing more will be known: what is not seen to be over lasts.
    fn holds_at_last(&self, faults: &FaultFacts, time: (u64, u64)) -> bool {
        self.holds(faults, time).unwrap_or(self.stretch.side == Side::During)
    }

    /// Whether any was injected by then.
    fn has_begun(&self, faults: &FaultFacts, by_ns: u64) -> bool {
        let mut of = faults.firings.iter().filter(|firing| self.is_meant(firing));
        of.any(|firing| firing.injected_ns.is_some_and(|at_ns| at_ns <= by_ns))
    }

    /// Whether all that is planned was injected by then.
    fn has_had_all(&self, faults: &FaultFacts, by_ns: u64) -> bool {
        let mut of = faults.firings.iter().filter(|firing| self.is_meant(firing));
        of.all(|firing| firing.injected_ns.is_some_and(|at_ns| at_ns <= by_ns))
    }

    /// On the run's clock.
    fn spans(&self, faults: &FaultFacts, load: &Spans, now_ns: u64) -> Spans {
        let windows = faults.windows(|firing| self.is_meant(firing));
        // Without, within, without, …: from the first moment to the last.
        let inner = windows.into_iter().flat_map(|(from_ns, to_ns)| [from_ns, to_ns]);
        let edges: Vec<u64> = std::iter::once(0).chain(inner).chain([u64::MAX]).collect();
        let mut out = Spans::default();
        for span in load.iter() {
            for (at, edge) in edges.windows(2).enumerate() {
                let wanted = match self.stretch.side {
                    Side::During => at % 2 == 1,
                    Side::Outside => at % 2 == 0,
                    Side::Before => at == 0,
                    Side::After => at % 2 == 0 && self.has_had_all(faults, edge[0]),
                };
                let start_ns = edge[0].max(span.start_ns);
                let end_ns = edge[1].min(span.end_ns.unwrap_or(now_ns));
                if wanted && start_ns < end_ns {
                    out.add(Span { start_ns, end_ns: Some(end_ns) });
                }
            }
        }
        out
    }
}

/// When what a record is about began and ended; absent for what is not divided.
fn time(record: &Record) -> Option<(u64, u64)> {
    match &record.event {
        Event::Round(round) => Some((round.scheduled_ns.min(round.started_ns), round.finished_ns)),
        Event::Latency(interval) => Some(reach(interval.start_ns, interval.length_ns)),
        Event::WorkloadLatency(interval) => Some(reach(interval.start_ns, interval.length_ns)),
        Event::Sample(sample) => Some((sample.started_ns, sample.started_ns)),
        Event::AgentExit(exit) => Some((exit.seen_ns, exit.seen_ns)),
        Event::Incident(incident) => {
            Some((incident.from_ns, incident.to_ns.unwrap_or(incident.from_ns).max(incident.from_ns)))
        }
        // Needed by the others, and divided with them in the order of the log.
        Event::Agents(_) | Event::AgentReplaced(_) | Event::Scaled(_) => Some((record.t_ns, record.t_ns)),
        Event::Header(_)
        | Event::Clock(_)
        | Event::Phase(_)
        | Event::Fault(_)
        | Event::DeathNoticed(_)
        | Event::Resized(_)
        | Event::Command(_)
        | Event::TaskFailed(_)
        | Event::SampleMissed(_)
        | Event::Alert(_)
        | Event::Checkpoint(_)
        | Event::Threshold(_)
        | Event::Workers(_)
        | Event::Ledger(_)
        | Event::Verify(_)
        | Event::End(_) => None,
    }
}

fn reach(start_ns: u64, length_ns: u64) -> (u64, u64) {
    (start_ns, start_ns.saturating_add(length_ns))
}

/// What is not inside stands as if it were of the warm-up: the next figures of the same processes follow on it.
fn take(facts: &mut Facts, waiting: &Waiting, inside: bool, load: &Spans) {
    let nowhere = Spans::default();
    match &waiting.record.event {
        Event::Agents(event) => facts.introduce(event, waiting.record.t_ns),
        Event::AgentReplaced(new) => facts.replaced(new, waiting.record.t_ns),
        Event::Scaled(scaled) => facts.samples.scaling.push(scaled),
        Event::Round(round) if waiting.past_ns.is_some() => {
            let Some(at_ns) = waiting.past_ns.filter(|_| inside) else { return };
            let load_ns = load.last_load_time(at_ns);
            facts.take_bad(round, load_ns);
            if round.phase == Phase::Load {
                facts.load.lose(round.failed.into(), at_ns, load_ns);
            }
        }
        Event::Round(round) => {
            let round = Round { phase: if inside { round.phase } else { Phase::WarmUp }, ..round.clone() };
            facts.balance.round(&round);
            facts.strays.round(&round);
            facts.load.push_round(&round, load);
            workloads::push_round(&mut facts.workloads, &round, load);
        }
        Event::Latency(interval) if inside => facts.load.push_latency(interval, load),
        Event::WorkloadLatency(interval) if inside => {
            let merged = workloads::push_latency(&mut facts.workloads, interval, load);
            facts.load.unreadable(merged);
        }
        Event::Sample(sample) => {
            facts.samples.push(sample, if inside { load } else { &nowhere }, u32::MAX, waiting.is_taken);
        }
        Event::AgentExit(exit) => {
            facts.balance.exit(exit);
            facts.samples.exit(exit);
            if inside && !waiting.declared && !exit.expected {
                facts.exits_unexpected.push(exit.clone());
            }
        }
        Event::Incident(incident) if inside && !waiting.declared => {
            facts.incidents_minor += u64::from(incident.kind.severity() == Severity::Minor);
        }
        Event::Header(_)
        | Event::Clock(_)
        | Event::Phase(_)
        | Event::Fault(_)
        | Event::DeathNoticed(_)
        | Event::Resized(_)
        | Event::Command(_)
        | Event::Latency(_)
        | Event::WorkloadLatency(_)
        | Event::Incident(_)
        | Event::TaskFailed(_)
        | Event::SampleMissed(_)
        | Event::Alert(_)
        | Event::Checkpoint(_)
        | Event::Threshold(_)
        | Event::Workers(_)
        | Event::Ledger(_)
        | Event::Verify(_)
        | Event::End(_) => {}
    }
}

impl Facts {
    /// Takes a record into the parts of the load, as far as it is known to which it belongs.
    pub(super) fn divide(&mut self, record: &Record, declared: bool) {
        if self.stretches.parts.is_empty() {
            return;
        }
        if time(record).is_some() {
            self.stretches.waiting.push_back(Waiting {
                record: record.clone(),
                declared,
                is_taken: self.samples.is_taken,
                past_ns: self.tail.as_ref().map(|tail| tail.at_ns),
            });
        }
        while let Some(first) = self.stretches.waiting.front() {
            let when = time(&first.record).unwrap_or_default();
            let forced = self.stretches.waiting.len() > WAITING_MAX;
            let Some(inside) = self.belongs(when, forced) else { return };
            let Some(first) = self.stretches.waiting.pop_front() else { return };
            for (part, inside) in self.stretches.parts.iter_mut().zip(inside) {
                take(&mut part.facts, &first, inside, &self.spans);
            }
        }
    }

    /// To which of the parts a time belongs; absent as long as that is open and not `forced`.
    fn belongs(&self, when: (u64, u64), forced: bool) -> Option<Vec<bool>> {
        let parts = self.stretches.parts.iter();
        if forced {
            return Some(parts.map(|part| part.holds_at_last(&self.faults, when)).collect());
        }
        let is_logged = self.last_ns >= when.1.saturating_add(LOGGED_NS);
        is_logged.then(|| parts.map(|part| part.holds(&self.faults, when)).collect())?
    }

    /// The facts of a part of the load; or, in words, why there are none. The part was asked for from the start.
    pub(crate) fn within(&self, stretch: &Stretch) -> Result<Self, String> {
        let name = stretch.fault_name();
        let mut parts = self.stretches.parts.iter();
        let Some(part) = parts.find(|part| part.stretch == *stretch && !part.faults.is_empty()) else {
            return Err(format!("the run declares no fault `{name}`"));
        };
        let mut facts = (*part.facts).clone();
        for waiting in &self.stretches.waiting {
            let inside = part.holds_at_last(&self.faults, time(&waiting.record).unwrap_or_default());
            take(&mut facts, waiting, inside, &self.spans);
        }
        facts.spans = part.spans(&self.faults, &self.spans, self.last_ns);
        facts.last_ns = self.last_ns;
        facts.faults = self.faults.only(&part.faults, &facts.load.counts);
        let firings = &facts.faults.firings;
        // What came after a fault that is not seen to be over was under it, for all that is known.
        let lasts = firings.iter().any(|firing| firing.injected_ns.is_some() && firing.gone_ns().is_none());
        if facts.load_ns() > 0 && !(lasts && stretch.side == Side::Outside) {
            return Ok(facts);
        }
        let injected = firings.iter().all(|firing| firing.injected_ns.is_some());
        Err(match stretch.side {
            Side::Outside if lasts => unrecovered(name),
            Side::Before | Side::Outside => format!("no part of the load is {stretch}"),
            Side::During | Side::After if !injected => {
                format!("`{name}` was not injected as often as planned")
            }
            Side::During | Side::After => unrecovered(name),
        })
    }
}

fn unrecovered(name: &str) -> String {
    format!("the load ended before the fleet was seen to have recovered from `{name}`")
}
